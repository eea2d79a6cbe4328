/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.h - whole files into memory, as they are on the disk.
 */
#ifndef CORE_LOG_FILE_H
#define CORE_LOG_FILE_H

#include "core/os/os.h"

/* Memory that files are read into, one after another; all zero: none yet. Whoever has it frees `data`. */
struct log_room {
    uint8_t *data;
    uint64_t bytes;
};

/*
 * Read a whole file of at most `max` bytes to the front of the room, which grows for it if it must and has at least one
 * byte more than *size. 0, -ENOENT, -EFBIG, -ENOMEM or another negative errno: then the room holds nothing to use.
 */
int log_file_read_into(const struct os *os, const char *path, uint64_t max, struct log_room *room, uint64_t *size);

/* The same into memory of its own, which the caller frees. */
int log_file_read(const struct os *os, const char *path, uint64_t max, uint8_t **data, uint64_t *size);

/*
 * Make a file's cached bytes durable, and forget them, so that the next read says what the disk holds. A process that
 * was killed leaves dirty pages; a sync that failed leaves clean ones that never reached the disk, which a second sync
 * would call durable. Both would otherwise be believed as if they were there. 0 or a negative errno (-ENOENT: no file).
 */
int log_file_refresh(const struct os *os, const char *path);

#endif
