/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torture_damage.c - a disk that lies: bits flipped and files cut while their node is down. An atlas keeps a majority
 * of the nodes whole, so that whatever was acknowledged is still there to be fetched again; and nothing is damaged that
 * gavel does not promise to notice: rot in the last group of writes, of which no proof was on the disk yet, looks
 * like a write that a crash tore. So the newest segment is only touched after a clean stop, which proves all of it.
 */
#define _GNU_SOURCE /* syncfs */

#include "torture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASK_MS 500  /* between two questions to a node that recovers */
#define FILES_MAX 64
#define BLOCK 4096
#define FIRST_FRAME 4096 /* gavel-formats(7): behind the segment's record */

int damage_count(const struct torture *torture)
{
    int damaged = 0;

    for (int i = 0; i < torture->slots; i++)
        damaged += torture->nodes[i].damaged || torture->nodes[i].damage || torture->nodes[i].wiped;
    return damaged;
}

bool damage_allowed(const struct torture *torture, const struct torture_node *node)
{
    return !node->damaged && !node->damage && !node->wiped && damage_count(torture) < (torture->voters - 1) / 2;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(left, right);
}

/* Names that end like that, in order. */
static int names_of(const char *dir, const char *suffix, char names[FILES_MAX][64])
{
    DIR *at = opendir(dir);
    struct dirent *entry;
    int count = 0;

    while (at && (entry = readdir(at)) != NULL && count < FILES_MAX) {
        size_t size = strlen(entry->d_name);
        size_t end = strlen(suffix);

        if (size < 64 && size > end && strcmp(entry->d_name + size - end, suffix) == 0)
            memcpy(names[count++], entry->d_name, size + 1);
    }
    if (at)
        (void)closedir(at);
    qsort(names, (size_t)count, sizeof names[0], compare_names);
    return count;
}

/* Does that segment begin with a frame of its own? A spare one does not: it is zeroes, or another's old frames. */
static bool has_frames(const char *dir, const char *name)
{
    char path[TORTURE_PATH + 80];
    unsigned char frame[16] = {0};
    uint64_t number = 0;
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!pread(fd, frame, sizeof frame, FIRST_FRAME);
        (void)close(fd);
    }
    for (int i = 15; i >= 8; i--)
        number = number << 8 | frame[i];
    return memcmp(frame, "GVFR", 4) == 0 && number == strtoull(name, NULL, 16);
}

/* Segments that may be damaged: those in use, the newest of them only where all of it is proved. */
static int segments_of(const struct torture_node *node, const char *dir, char names[FILES_MAX][64])
{
    int count = names_of(dir, ".seg", names);

    while (count > 0 && !has_frames(dir, names[count - 1]))
        count--;
    return node->clean && !node->proofs_hurt ? count : count - 1;
}

/* Up to the last block that is not all zero. */
static off_t used_bytes(int fd)
{
    unsigned char block[BLOCK];
    struct stat stat;
    off_t at;

    if (fstat(fd, &stat) != 0)
        return 0;
    for (at = (stat.st_size + BLOCK - 1) / BLOCK * BLOCK; at > 0; at -= BLOCK) {
        ssize_t got = pread(fd, block, sizeof block, at - BLOCK);

        for (ssize_t i = 0; i < got; i++)
            if (block[i])
                return at < stat.st_size ? at : stat.st_size;
    }
    return 0;
}

/* The file to damage: mostly a segment; sometimes a snapshot, one vote file or the identity entries. */
static bool choose(struct torture *torture, struct torture_node *node, char *path, size_t size)
{
    static char names[FILES_MAX][64];
    uint64_t what = torture_random(&torture->dice, 10);
    char dir[TORTURE_PATH + 8];
    int count;

    if (what == 0) {
        (void)snprintf(path, size, "%s/vote.%d", node->data, (int)torture_random(&torture->dice, 2));
        return true;
    }
    if (what == 1) {
        node->proofs_hurt = true;
        (void)snprintf(path, size, "%s/log/synced", node->data);
        return true;
    }
    (void)snprintf(dir, sizeof dir, "%s/%s", node->data, what < 4 ? "snap" : "log");
    count = what < 4 ? names_of(dir, ".snap", names) : segments_of(node, dir, names);
    if (count <= 0)
        return false;
    /* Of the snapshots the newest: nobody reads an older one while that is good, so nobody would mend it either. */
    (void)snprintf(path, size, "%s/%s", dir,
                   names[what < 4 ? (uint64_t)count - 1 : torture_random(&torture->dice, (uint64_t)count)]);
    return true;
}

void damage_do(struct torture *torture, struct torture_node *node)
{
    bool cut = node->damage == FAULT_TRUNCATE;
    char path[TORTURE_PATH + 80];
    unsigned char byte = 0;
    off_t place;
    off_t used;
    int bit = (int)torture_random(&torture->dice, 8);
    int fd;

    node->damage = 0;
    if (node->cut)
        room_restore(torture, node);
    if (!choose(torture, node, path, sizeof path))
        return;
    fd = open(path, O_RDWR | O_CLOEXEC);
    used = fd >= 0 ? used_bytes(fd) : 0;
    if (used > 0 && syncfs(fd) != 0) /* what proves the damaged place must not be lost to a later power cut */
        torture_fail(torture, "%s: %s", path, strerror(errno));
    if (used > 0) {
        place = (off_t)torture_random(&torture->dice, (uint64_t)used);
        node->damaged = true;
        torture->damages[cut]++;
        node->asked_ms = torture_now(torture);
        torture_say(torture, "%s: %s of %s %s at byte %lld of %lld", node->name, node->clean ? "stopped" : "killed",
                    path + strlen(node->data) + 1, cut ? "is cut" : "has a bit flipped", (long long)place,
                    (long long)used);
        if (cut) {
            if (ftruncate(fd, place) != 0)
                torture_fail(torture, "%s: %s", path, strerror(errno));
        } else if (pread(fd, &byte, 1, place) != 1 ||
                   (byte = (unsigned char)(byte ^ (1 << bit)), pwrite(fd, &byte, 1, place) != 1)) {
            torture_fail(torture, "%s: %s", path, strerror(errno));
        }
        if (fsync(fd) != 0)
            torture_fail(torture, "%s: %s", path, strerror(errno));
    }
    if (fd >= 0)
        (void)close(fd);
}

void damage_look(struct torture *torture)
{
    for (int i = 0; i < torture->slots; i++) {
        struct torture_node *node = &torture->nodes[i];
        struct gavel_result *status;

        if (!node->damaged || node->state != NODE_RUNNING || node->paused ||
            torture_now(torture) < node->asked_ms + ASK_MS)
            continue;
        status = node_status(torture, node, 100);
        node->asked_ms = torture_now(torture);
        if (status && gavel_get_bool(status->value, "ready", 0) &&
            !gavel_slice_equal(gavel_get_bytes(status->value, "role"), gavel_text("recovering"))) {
            node->damaged = false;
            torture_say(torture, "%s is whole again", node->name);
        }
        gavel_result_free(status);
    }
}
