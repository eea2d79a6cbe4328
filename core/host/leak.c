/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leak.c - /proc/self/fd and a walk over the loop. Descriptors are compared by device and inode, so that one that was
 * closed and given to somebody else accuses nobody.
 */
#include "core/host/leak.h"

#include "core/host/module.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define KINDS 16 /* of (file, type) that are told; more are in the last one */

static bool is_open(const struct host_leak_mark *mark, unsigned fd)
{
    return mark->open[fd / 64] >> fd % 64 & 1;
}

void host_leak_mark(struct host_leak_mark *mark)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;

    memset(mark, 0, sizeof *mark);
    while (dir && (entry = readdir(dir))) {
        char *end;
        unsigned long fd = strtoul(entry->d_name, &end, 10);

        if (end != entry->d_name && fd < HOST_LEAK_SEEN && (int)fd != dirfd(dir))
            mark->open[fd / 64] |= UINT64_C(1) << fd % 64;
    }
    if (dir)
        (void)closedir(dir);
}

void host_leak_since(struct host_leak *leak, const struct host_leak_mark *mark)
{
    struct host_leak_mark now;

    host_leak_mark(&now);
    leak->count = 0;
    for (unsigned fd = 0; fd < HOST_LEAK_SEEN && leak->count < HOST_LEAK_FDS; fd++) {
        struct stat stat_of;

        if (!is_open(&now, fd) || is_open(mark, fd) || fstat((int)fd, &stat_of) != 0)
            continue;
        leak->fd[leak->count].fd = (int)fd;
        leak->fd[leak->count].device = stat_of.st_dev;
        leak->fd[leak->count++].inode = stat_of.st_ino;
    }
}

static const char *kind_of(mode_t mode)
{
    return S_ISSOCK(mode) ? "a socket" : S_ISFIFO(mode) ? "a pipe" : S_ISREG(mode) ? "a file" : "another kind";
}

void host_leak_tell(const struct host_leak *leak, const char *who, const struct gavel_host *host)
{
    for (unsigned i = 0; i < leak->count; i++) {
        struct stat stat_of;

        if (fstat(leak->fd[i].fd, &stat_of) == 0 && leak->fd[i].device == stat_of.st_dev &&
            leak->fd[i].inode == stat_of.st_ino)
            gavel_log(host, GAVEL_LOG_WARN, "host", "%s, in destroy: left file descriptor %d open (%s)", who,
                      leak->fd[i].fd, kind_of(stat_of.st_mode));
    }
}

/* ---- handles ----------------------------------------------------------------------------------------------------- */

struct walk {
    bool (*ours)(void *context, const uv_handle_t *handle);
    void *context;
    struct {
        const char *path;
        uv_handle_type type;
        unsigned count;
    } kind[KINDS];
    unsigned kinds;
};

/* The call-back that a handle is for; libuv has no word for it, but the members are in its header. */
static const void *callback_of(const uv_handle_t *handle)
{
    const void *at = NULL;

    switch (handle->type) {
    case UV_TCP:
    case UV_NAMED_PIPE:
    case UV_TTY: {
        const uv_stream_t *stream = (const uv_stream_t *)handle;

        memcpy(&at, stream->connection_cb ? (const void *)&stream->connection_cb : (const void *)&stream->read_cb,
               sizeof at);
        break;
    }
    case UV_TIMER:
        memcpy(&at, &((const uv_timer_t *)handle)->timer_cb, sizeof at);
        break;
    case UV_ASYNC:
        memcpy(&at, &((const uv_async_t *)handle)->async_cb, sizeof at);
        break;
    case UV_IDLE:
        memcpy(&at, &((const uv_idle_t *)handle)->idle_cb, sizeof at);
        break;
    case UV_PREPARE:
        memcpy(&at, &((const uv_prepare_t *)handle)->prepare_cb, sizeof at);
        break;
    case UV_CHECK:
        memcpy(&at, &((const uv_check_t *)handle)->check_cb, sizeof at);
        break;
    case UV_POLL:
        memcpy(&at, &((const uv_poll_t *)handle)->poll_cb, sizeof at);
        break;
    default:
        break;
    }
    return at;
}

static void look(uv_handle_t *handle, void *context)
{
    struct walk *walk = context;
    const char *path;
    unsigned i = 0;

    if (uv_is_closing(handle) || walk->ours(walk->context, handle))
        return;
    path = host_module_at(callback_of(handle));
    while (i < walk->kinds && (walk->kind[i].path != path || walk->kind[i].type != handle->type))
        i++;
    if (i == KINDS)
        i--;
    if (i == walk->kinds)
        walk->kinds++;
    walk->kind[i].path = path;
    walk->kind[i].type = handle->type;
    walk->kind[i].count++;
}

void host_leak_handles(uv_loop_t *loop, bool (*ours)(void *context, const uv_handle_t *handle), void *context,
                       const struct gavel_host *host)
{
    struct walk walk = {.ours = ours, .context = context};

    uv_walk(loop, look, &walk);
    for (unsigned i = 0; i < walk.kinds; i++)
        gavel_log(host, GAVEL_LOG_WARN, "host", "%s: left %u open handles of libuv on the loop, of type %s",
                  walk.kind[i].path ? walk.kind[i].path : "A plugin, or a library under one", walk.kind[i].count,
                  uv_handle_type_name(walk.kind[i].type));
}
