/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervise.c - what the service manager (notify.h) is told of this process: the node's own view of itself, looked at
 * between two turns of the loop, and how long its start may take.
 */
#include "core/host/process.h"
#include "core/host/ready.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#define LOOK_EVERY_MS 100           /* once it is ready; before that each turn of the loop */
#define READ_BYTES_PER_MS 20000     /* a slow disk: 20 MB/s */
#define READ_AT_LEAST_MS 30000

static void look(uv_prepare_t *prepare)
{
    struct host_process *process = prepare->data;
    struct host_notify *notify = &process->notify;
    bool ready = host_notify_is_ready(notify);
    struct node_view view;
    char line[HOST_NOTIFY_STATUS_MAX];

    if (!process->running || process->stopping || !process->node)
        return;
    if (ready && uv_now(&process->loop) - process->looked_ms < LOOK_EVERY_MS)
        return; /* the node wakes up often enough for the next look */
    process->looked_ms = uv_now(&process->loop);
    node_view(process->node, &view);
    host_ready_line(&view, line, sizeof line);
    host_notify_restoring(notify, !view.started);
    host_notify_status(notify, line);
    if (!ready && view.started)
        host_notify_ready(notify);
}

void host_supervise_open(struct host_process *process)
{
    host_notify_open(&process->notify, &process->loop);
    (void)uv_prepare_init(&process->loop, &process->look);
    process->look.data = process;
    if (host_notify_wanted(&process->notify))
        (void)uv_prepare_start(&process->look, look);
    uv_unref((uv_handle_t *)&process->look);
}

/* Bytes of the files right below `dir`. */
static uint64_t bytes_below(const char *dir)
{
    DIR *list = opendir(dir);
    struct dirent *entry;
    struct stat stat_of;
    uint64_t bytes = 0;

    while (list && (entry = readdir(list)) != NULL)
        if (fstatat(dirfd(list), entry->d_name, &stat_of, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(stat_of.st_mode))
            bytes += (uint64_t)stat_of.st_size;
    if (list)
        (void)closedir(list);
    return bytes;
}

/* The whole log is read before the loop turns for the first time, so nothing can be said while that lasts. */
void host_supervise_reading(struct host_process *process)
{
    char dir[PATH_MAX + 8];

    if (!host_notify_wanted(&process->notify))
        return;
    (void)snprintf(dir, sizeof dir, "%s/log", process->data_dir);
    host_notify_status(&process->notify, "reading the log");
    host_notify_extend(&process->notify, READ_AT_LEAST_MS + bytes_below(dir) / READ_BYTES_PER_MS);
}

void host_supervise_stopping(struct host_process *process, uint64_t ms, const char *line)
{
    host_notify_extend(&process->notify, ms);
    host_notify_status(&process->notify, line);
    host_notify_stopping(&process->notify);
}

void host_supervise_close(struct host_process *process)
{
    uv_close((uv_handle_t *)&process->look, NULL);
    host_notify_close(&process->notify);
}
