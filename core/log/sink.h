/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink.h - a snapshot file being written block by block; what a local writer and a receiver share. Belongs to whichever
 * lane job uses it at the time.
 */
#ifndef CORE_LOG_SINK_H
#define CORE_LOG_SINK_H

#include "core/log/snapshot_file.h"

struct log_sink {
    const struct os *os;
    struct os_file *file; /* NULL: not open */
    uint64_t blocks_at;   /* file offset of the first block */
    uint64_t number;      /* of whole blocks written */
    uint32_t fill;        /* payload bytes in `block` */
    uint32_t digest;      /* of all payload so far */
    uint64_t bytes;       /* of all payload so far */
    uint8_t block[LOG_SNAPSHOT_BLOCK];
};

/* [lane] Make the file at `path` and write header and meta. Negative errno. */
int log_sink_open(struct log_sink *sink, const struct os *os, const char *path, const struct log_snapshot_info *info,
                  const void *meta, uint64_t meta_bytes);

/* [lane] Open a part that was begun with the same header and meta, and go on behind its last sound whole block;
 * sink->bytes tells where that is. -ENOENT, -EBADMSG when it is another one, other negative errno. */
int log_sink_resume(struct log_sink *sink, const struct os *os, const char *path,
                    const struct log_snapshot_info *info, const void *meta, uint64_t meta_bytes);

/* [lane] Append payload. Negative errno. */
int log_sink_put(struct log_sink *sink, const void *data, uint64_t size);

/* [lane] Write what is left and the footer, and sync. Fills bytes and digest of `info`. Negative errno. */
int log_sink_finish(struct log_sink *sink, struct log_snapshot_info *info);

/* [any] Close; fine for one that is not open. */
void log_sink_close(struct log_sink *sink);

/* [lane] Rename snap/<part> to the name of this snapshot, durably, and remove what is pruned. Negative errno. */
int log_sink_publish(const struct os *os, const char *dir, const char *part, const struct log_snapshot_info *info,
                     const struct log_snapshot_info *pruned, uint32_t pruned_count);

#endif
