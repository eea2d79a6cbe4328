/* SPDX-License-Identifier: Apache-2.0 */
/* cli_out.c - a file that gets its name when all of it is on the disk; see cli_snapshot.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli_snapshot.h"

/* The directory that a file is in. */
static void directory_of(const char *file, char path[4096])
{
    char *slash;

    (void)snprintf(path, 4096, "%s", file);
    slash = strrchr(path, '/');
    if (slash)
        slash[slash == path] = 0;
    else
        (void)snprintf(path, 4096, ".");
}

/* A file without a name goes with whoever writes it, even by SIGKILL. -1: not on this system. */
static int open_unnamed(const char *file)
{
    char path[4096];

    directory_of(file, path);
    return access("/proc/self/fd", X_OK) == 0 ? open(path, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600) : -1;
}

int cli_out_open(struct cli_out *out, const char *file, bool force)
{
    struct stat there;

    *out = (struct cli_out){.file = file};
    if (strcmp(file, "-") == 0) {
        out->fd = STDOUT_FILENO;
        return isatty(out->fd) ? cli_fail(CLI_USAGE, "a snapshot is not for a terminal: send standard output to a file "
                                                     "or a program")
                               : CLI_OK;
    }
    /* Its name goes over to a new file: a device or a pipe would be gone. */
    if (lstat(file, &there) == 0 && !S_ISREG(there.st_mode))
        return cli_fail(CLI_USAGE, "%s is no regular file, and is not replaced; \"-\" is standard output", file);
    if (!force && access(file, F_OK) == 0)
        return cli_fail(CLI_FAILED, "%s is there already: --force replaces it", file);
    if (snprintf(out->part, sizeof out->part, "%s.part.%ld", file, (long)getpid()) >= (int)sizeof out->part) {
        out->part[0] = 0;
        return cli_fail(CLI_USAGE, "the name of the file is too long");
    }
    out->fd = open_unnamed(file);
    if (out->fd >= 0)
        return CLI_OK;
    out->fd = open(out->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    out->named = out->fd >= 0;
    if (out->named)
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
    int fd, result;

    directory_of(file, path);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    result = fsync(fd);
    (void)close(fd);
    return result;
}

static int link_unnamed(const struct cli_out *out, const char *name)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", out->fd);
    return linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW);
}

/* Without --force it takes nobody's place: link(2) refuses where rename(2) would replace. */
static int give_name(struct cli_out *out, bool force)
{
    if (!out->named && !force)
        return link_unnamed(out, out->file);
    if (!out->named && link_unnamed(out, out->part) != 0)
        return -1;
    out->named = true;
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
    if (out->part[0] == 0)
        return CLI_OK;
    if (fsync(out->fd) != 0)
        return cli_fail(CLI_FAILED, "cannot write %s: %s", out->file, strerror(errno));
    if (give_name(out, force) != 0)
        return errno == EEXIST ? cli_fail(CLI_FAILED, "%s is there already: --force replaces it", out->file)
                               : cli_fail(CLI_FAILED, "cannot write %s: %s", out->file, strerror(errno));
    (void)close(out->fd); /* it was synced: there is nothing left that could fail */
    out->part[0] = 0;
    return sync_directory_of(out->file) == 0
               ? CLI_OK
               : cli_fail(CLI_FAILED, "cannot sync the directory of %s: %s", out->file, strerror(errno));
}

void cli_out_drop(struct cli_out *out)
{
    if (out->part[0] == 0)
        return;
    (void)close(out->fd);
    if (out->named)
        (void)unlink(out->part);
    out->part[0] = 0;
}
