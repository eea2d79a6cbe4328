/* SPDX-License-Identifier: Apache-2.0 */
/* cli_out.c - a file that gets its name when all of it is on the disk; see cli_snapshot.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli_snapshot.h"

int cli_out_open(struct cli_out *out, const char *file, bool force)
{
    out->file = file;
    out->part[0] = 0;
    if (strcmp(file, "-") == 0) {
        out->fd = STDOUT_FILENO;
        return isatty(out->fd) ? cli_fail(CLI_USAGE, "a snapshot is not for a terminal: send standard output to a file "
                                                     "or a program")
                               : CLI_OK;
    }
    if (!force && access(file, F_OK) == 0)
        return cli_fail(CLI_FAILED, "%s is there already: --force replaces it", file);
    if (snprintf(out->part, sizeof out->part, "%s.part.%ld", file, (long)getpid()) >= (int)sizeof out->part) {
        out->part[0] = 0;
        return cli_fail(CLI_USAGE, "the name of the file is too long");
    }
    out->fd = open(out->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out->fd >= 0)
        return CLI_OK;
    (void)cli_fail(CLI_FAILED, "cannot write %s: %s", out->part, strerror(errno));
    out->part[0] = 0;
    return CLI_FAILED;
}

int cli_out_write(void *ctx, const void *data, size_t size)
{
    struct cli_out *out = ctx;
    const char *at = data;

    while (size) {
        ssize_t wrote = write(out->fd, at, size);

        if (wrote < 0 && errno != EINTR)
            return -errno;
        if (wrote > 0) {
            at += wrote;
            size -= (size_t)wrote;
        }
    }
    return 0;
}

static int sync_directory_of(const char *file)
{
    char path[4096];
    char *slash;
    int fd, result;

    (void)snprintf(path, sizeof path, "%s", file);
    slash = strrchr(path, '/');
    if (slash)
        slash[slash == path] = 0;
    fd = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    result = fsync(fd);
    (void)close(fd);
    return result;
}

/* Without --force it takes nobody's place: link(2) refuses where rename(2) would replace. */
static int give_name(const struct cli_out *out, bool force)
{
    if (force)
        return rename(out->part, out->file);
    if (link(out->part, out->file) == 0)
        return unlink(out->part);
    if (errno == EEXIST)
        return -1;
    return rename(out->part, out->file); /* a file system without links */
}

int cli_out_publish(struct cli_out *out, bool force)
{
    int result;

    if (out->part[0] == 0)
        return CLI_OK;
    result = fsync(out->fd);
    if (result == 0) {
        result = close(out->fd);
        out->fd = -1;
    }
    if (result != 0)
        return cli_fail(CLI_FAILED, "cannot write %s: %s", out->part, strerror(errno));
    if (give_name(out, force) != 0)
        return errno == EEXIST ? cli_fail(CLI_FAILED, "%s is there already: --force replaces it", out->file)
                               : cli_fail(CLI_FAILED, "cannot write %s: %s", out->file, strerror(errno));
    out->part[0] = 0;
    return sync_directory_of(out->file) == 0
               ? CLI_OK
               : cli_fail(CLI_FAILED, "cannot sync the directory of %s: %s", out->file, strerror(errno));
}

void cli_out_drop(struct cli_out *out)
{
    if (out->part[0] == 0)
        return;
    if (out->fd >= 0)
        (void)close(out->fd);
    (void)unlink(out->part);
    out->part[0] = 0;
}
