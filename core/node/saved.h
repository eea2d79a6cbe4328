/* SPDX-License-Identifier: Apache-2.0 */
/*
 * saved.h - the file that `gavel snapshot save` writes: one snapshot with what is needed to begin a cluster with it.
 * Written as a stream, read off line; every byte of it is covered by a checksum or must be zero.
 *
 *   file      head, about and founding behind it, zeroes to a multiple of 4096; then a snapshot as in a data directory,
 *             see core/log/snapshot.h, to the end of the file
 *   head      64 bytes: 0 u32 magic "GVSV"  4 u16 version (1)  6 u16 zero  8 u64 where the snapshot begins
 *             16 u64 bytes of the whole file  24 u32 bytes of about  28 u32 bytes of founding
 *             32 u64 saved, ms since 1970
 *             40 u32 crc of about  44 u32 crc of founding  48 12 bytes zero  60 u32 crc of 0..59
 *   about     cluster id 16 bytes, then texts (u32 length, bytes): name of the node, its version
 *   founding  the founding record of the cluster, see record.h
 */
#ifndef CORE_NODE_SAVED_H
#define CORE_NODE_SAVED_H

#include "core/log/snapshot_file.h"
#include "core/node/members.h"
#include "core/node/record.h"

#define SAVED_TEXT 64       /* bytes of a text with its NUL */
#define SAVED_ABOUT_MAX 4096

/* What lies before the payload. */
struct saved_about {
    struct log_cluster_id cluster_id;
    char node[SAVED_TEXT];    /* that it was saved from */
    char version[SAVED_TEXT]; /* of its gaveld */
    uint64_t saved_ms;
    struct log_snapshot_info info;
    struct gavel_slice meta;     /* the members, see members_decode */
    struct gavel_slice founding; /* see record_read */
};

/* ---- writing ------------------------------------------------------------------------------------------- */

struct saved_writer {
    int (*write)(void *ctx, const void *data, size_t size); /* all of it: 0, or a negative errno */
    void *ctx;
    uint64_t bytes; /* written */
    struct log_snapshot_info info;
    uint64_t number; /* of the next block */
    uint64_t put;    /* payload bytes so far */
    uint32_t fill;   /* of them in `block` */
    uint32_t digest;
    uint8_t block[LOG_SNAPSHOT_BLOCK];
};

/* Write everything before the payload. `write` and `ctx` are set by the caller. GAVEL_E_IO, _NO_SPACE, _NO_MEMORY. */
int32_t saved_begin(struct saved_writer *writer, const struct saved_about *about, struct gavel_error *error);

/* The next bytes of the payload. */
int32_t saved_put(struct saved_writer *writer, const void *data, uint64_t size, struct gavel_error *error);

/* The end. GAVEL_E_CORRUPT when the payload has not the promised size and digest. */
int32_t saved_end(struct saved_writer *writer, struct gavel_error *error);

/* ---- reading ------------------------------------------------------------------------------------------- */

struct saved {
    const struct os *os;
    const char *path;     /* borrowed */
    uint64_t bytes;       /* of the file */
    uint64_t snapshot_at; /* where the snapshot begins in it */
    struct saved_about about;
    struct record record;
    struct members members;
    uint8_t *head; /* the bytes before the snapshot; about.founding and record point into it */
    uint8_t *meta;
};

/* What is in the payload. */
struct saved_contents {
    uint64_t tick;
    uint64_t host_bytes; /* sessions, settings */
    uint64_t settings_version; /* index of the newest change of settings; 0: none since the founding */
    uint64_t sessions;
    uint32_t sessions_known; /* 0: they are too many to be looked through */
    uint32_t machine_count;
    struct {
        char name[SAVED_TEXT];
        uint64_t version; /* of its state */
        uint64_t bytes;
    } machines[NODE_MACHINES_MAX];
};

/* Open one and check all but the payload. GAVEL_E_CORRUPT names the byte, GAVEL_E_VERSION, GAVEL_E_IO, _NO_MEMORY;
 * there is nothing to close then. */
int32_t saved_open(struct saved *saved, const struct os *os, const char *path, struct gavel_error *error);

/* Read the payload to its end: checksums, digest, framing. As above. */
int32_t saved_check(const struct saved *saved, struct saved_contents *contents, struct gavel_error *error);

/* Free what saved_open took; fine twice. */
void saved_close(struct saved *saved);

#endif
