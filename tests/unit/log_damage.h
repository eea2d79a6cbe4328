/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_damage.h - damaging the files of a log on a disk in memory, and what must follow.
 */
#ifndef TESTS_UNIT_LOG_DAMAGE_H
#define TESTS_UNIT_LOG_DAMAGE_H

#include "log_fixture.h"

struct damage_place {
    uint64_t index; /* wanted */
    uint64_t segment;
    uint64_t offset; /* of the frame */
    uint64_t bytes;  /* of the frame with its payload */
    bool found;
};

/* The frame with the batch that holds `index`. */
struct damage_place damage_find(struct fixture *f, uint64_t index);

/* data/log/<number>.seg; OS_PATH_MAX bytes. */
void damage_segment_path(char *path, uint64_t number);

/* Change one byte of a frame. */
void damage_spoil(struct fixture *f, uint64_t index, uint64_t behind);

/* The frame is gone, as if it had never been written. */
void damage_erase(struct fixture *f, uint64_t index);

/* No identity entry is left. */
void damage_erase_identities(struct fixture *f);

/* A file comes from another disk, over one of the same size. */
void damage_copy_file(struct os_mem *from, struct os_mem *to, const char *path);

/* A file goes, durably. */
void damage_remove_file(struct fixture *f, const char *dir, const char *path);

/* A log of `groups` groups of one batch of one entry each in term 1, cleanly stopped: identity entries prove it all. */
void damage_make(struct fixture *f, int groups, uint32_t bytes);

/* This row of the recovery table had its test; and had it? */
void damage_saw(uint32_t number);
bool damage_seen(uint32_t number);

/* Alone: exit 65, and no byte is changed. */
void damage_expect_refused(struct fixture *f, uint32_t row);

/* With peers: it starts as recovering with the sound prefix, fetches the rest, and then it is whole again. */
void damage_expect_recovers(struct fixture *f, uint64_t prefix, uint64_t floor);

#endif
