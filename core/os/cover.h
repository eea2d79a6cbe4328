/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cover.h - marks on rare branches: COVER("name") counts, in a build with --enable-cover, how often it is met, and the
 * tests together must meet every one (tests/cover.sh). In every other build it is nothing. core/raft, which includes
 * nothing from outside, has the same in core/raft/cover.h.
 *
 * The counts of all marks in a program are in one section of it. At its end a process appends them to the file that the
 * environment names as GAVEL_COVER_FILE, a line each: name, blank, count. Zeroes too: so it is known what there is.
 */
#ifndef CORE_OS_COVER_H
#define CORE_OS_COVER_H

#ifdef GAVEL_COVER
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct os_cover {
    const char *name;
    uint64_t count;
};

#define COVER(text)                                                                                          \
    do {                                                                                                     \
        static struct os_cover cover_mark __attribute__((section("gavel_cover"), used, aligned(16))) = {text, 0}; \
        (void)__atomic_fetch_add(&cover_mark.count, 1, __ATOMIC_RELAXED);                                    \
    } while (0)

extern struct os_cover __start_gavel_cover[] __attribute__((weak));
extern struct os_cover __stop_gavel_cover[] __attribute__((weak));

/* One of these in each file that includes this; the first to run writes, and the flag, which they share, says so. */
bool os_cover_written __attribute__((weak));

__attribute__((destructor)) static void os_cover_write(void)
{
    const char *path = getenv("GAVEL_COVER_FILE");
    static char text[65536];
    size_t size = 0;
    int file;

    if (!path || os_cover_written)
        return;
    os_cover_written = true;
    for (struct os_cover *mark = __start_gavel_cover; mark < __stop_gavel_cover; mark++) {
        int length = snprintf(text + size, sizeof text - size, "%s %llu\n", mark->name,
                              (unsigned long long)mark->count);

        if (length < 0 || (size_t)length >= sizeof text - size)
            break;
        size += (size_t)length;
    }
    file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0)
        return;
    if (write(file, text, size) != (ssize_t)size)
        (void)fputs("cover: the counts could not be written\n", stderr);
    (void)close(file);
}
#else
#define COVER(text) ((void)0)
#endif

#endif
