/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leak.h - what a plugin has left behind: file descriptors of its start, libuv handles on the loop.
 */
#ifndef CORE_HOST_LEAK_H
#define CORE_HOST_LEAK_H

#include <gavel/host.h>
#include <stdbool.h>
#include <uv.h>

#define HOST_LEAK_FDS 16   /* of one instance; more are not looked for */
#define HOST_LEAK_SEEN 256 /* numbers that are told apart: those of a node that starts are small */

/* The open descriptors of a moment. */
struct host_leak_mark {
    uint64_t open[HOST_LEAK_SEEN / 64];
};

/* What an instance opened between two moments; all zero: nothing. */
struct host_leak {
    struct {
        int fd;
        uint64_t device;
        uint64_t inode;
    } fd[HOST_LEAK_FDS];
    unsigned count;
};

/* [loop] What is open now. */
void host_leak_mark(struct host_leak_mark *mark);

/* [loop] What has been opened since. */
void host_leak_since(struct host_leak *leak, const struct host_leak_mark *mark);

/* [loop] Those of them that are the same open files still are told, with number and kind. */
void host_leak_tell(const struct host_leak *leak, const char *who, const struct gavel_host *host);

/*
 * [loop] Handles on the loop that are neither closing nor `ours` are told by kind and count, with the file whose
 * call-back they would make where that can be seen.
 */
void host_leak_handles(uv_loop_t *loop, bool (*ours)(void *context, const uv_handle_t *handle), void *context,
                       const struct gavel_host *host);

#endif
