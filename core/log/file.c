/* SPDX-License-Identifier: Apache-2.0 */
/* file.c - whole files into memory; see file.h. */
#include "core/log/file.h"

#include <errno.h>
#include <stdlib.h>

#include "core/os/seeded.h"

static int make_room(struct log_room *room, uint64_t bytes)
{
    if (bytes <= room->bytes)
        return 0;
    free(room->data);
    room->data = malloc(bytes);
    room->bytes = room->data ? bytes : 0;
    return room->data ? 0 : -ENOMEM;
}

int log_file_read_into(const struct os *os, const char *path, uint64_t max, struct log_room *room, uint64_t *size)
{
    struct os_file *file;
    uint64_t bytes = 0;
    size_t got = 0;
    int result = os_open(os, path, OS_OPEN_READ, &file);

    if (result)
        return result;
    result = os_size(os, file, &bytes);
    if (result == 0 && bytes > max)
        result = -EFBIG;
    if (result == 0)
        result = make_room(room, bytes + 1);
    if (result == 0)
        result = os_pread(os, file, room->data, bytes, 0, &got);
    os_close(os, file);
    if (result == 0)
        *size = got;
    return result;
}

int log_file_read(const struct os *os, const char *path, uint64_t max, uint8_t **data, uint64_t *size)
{
    struct log_room room = {.data = NULL};
    int result = log_file_read_into(os, path, max, &room, size);

    if (result)
        free(room.data);
    else
        *data = room.data;
    return result;
}

int log_file_refresh(const struct os *os, const char *path)
{
    struct os_file *file;
    int result = os_open(os, path, OS_OPEN_READ | OS_OPEN_WRITE, &file);

    if (result)
        return result;
    result = os_sync(os, file);
    if (result == 0 && !seeded_bug("log-recovered-clean-pages"))
        result = os_refresh(os, file);
    os_close(os, file);
    return result;
}
