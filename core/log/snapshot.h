/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.h - snapshots on disk: writing one, reading it back, receiving one from a peer.
 *
 * A snapshot is a stream of payload bytes (what the machines and the node wrote, in the node's own framing) and a
 * small opaque `meta`. It is streamed, never held whole: one piece is under way at a time. Files are written as
 * *.part and published by a sync, a rename and a sync of the directory; a local one only when the log is durable up to
 * its index. The newest `snapshot_keep` stay.
 *
 *   file   header, one block of 4096 bytes and the meta behind it, padded to a multiple of 4096:
 *            0 u32 magic "GVSN"  4 u16 version  6 u16 zero  8 u64 index  16 u64 term  24 u32 chain  28 u32 meta bytes
 *           32 u32 meta crc     36 u32 header crc (of 0..35)
 *          blocks of 65536 bytes, the last one shorter: u32 bytes, u32 crc (of block number u64, then the bytes), bytes
 *          footer, 40 bytes: u32 magic "GVSE", u16 version, u16 zero, u64 index, u64 payload bytes, u64 blocks,
 *            u32 digest (crc32c of the payload), u32 crc (of 0..35)
 *
 * Called on the loop; file work runs on OS_LANE_DISK and touches only the memory of its writer, reader or receiver
 * and the borrowed piece.
 */
#ifndef CORE_LOG_SNAPSHOT_H
#define CORE_LOG_SNAPSHOT_H

#include "core/log/log.h"

#define LOG_SNAPSHOT_META_MAX (1024 * 1024) /* bytes: configurations of hundreds of members with their addresses */
#define LOG_SNAPSHOT_PIECE_MAX (1024 * 1024) /* bytes of one write, read or received piece */

/* ---- writing a local one ------------------------------------------------------------------------------- */

struct log_snapshot_writer;

/* Answer to begin, write and end: status 0, GAVEL_E_IO or GAVEL_E_NO_SPACE with a sentence; to end also GAVEL_E_EXISTS
 * when a newer one was received meanwhile. After a failure of a write or of end the writer must be cancelled; the log
 * goes on, for nothing was promised. */
typedef void (*log_snapshot_done)(void *ctx, int32_t status, const struct gavel_error *error);

/* [loop] Begin one at `info->index`, `term` and `chain` (bytes and digest are ignored); `meta` is copied. At most one
 * writer at a time: GAVEL_E_BUSY. GAVEL_E_EXISTS when a newer or equal one is published. The file is made with the
 * first write. `done` is called for each write and for the end with `ctx`. */
int log_snapshot_begin(struct log *log, const struct log_snapshot_info *info, const void *meta, uint64_t meta_bytes,
                       log_snapshot_done done, void *ctx, struct log_snapshot_writer **writer);

/* [loop] Write the next piece of the payload; `data` is borrowed until `done`. One at a time (asserted). */
int log_snapshot_write(struct log_snapshot_writer *writer, const void *data, uint64_t size);

/* [loop] Finish: footer, sync, wait until the log is durable up to the index, publish, remove old ones, then `done`.
 * A writer whose end was answered with 0 is gone. */
int log_snapshot_end(struct log_snapshot_writer *writer);

/* [loop] Give up and remove the part; safe while a piece is under way (its data must stay until its `done`, which
 * comes with GAVEL_E_CLOSED). The writer is gone; the next one may begin, but while a piece, the end or the publication
 * is with the lane GAVEL_E_BUSY. NULL is fine. */
void log_snapshot_cancel(struct log_snapshot_writer *writer);

/* ---- what there is ------------------------------------------------------------------------------------- */

/* [loop] The newest published snapshot; index 0 when there is none. */
struct log_snapshot_info log_snapshot_newest(const struct log *log);

/* [loop] How many are published, and each of them, 0 the newest. */
uint32_t log_snapshot_count(const struct log *log);
struct log_snapshot_info log_snapshot_at(const struct log *log, uint32_t position);

/* ---- reading one back: restore at start, sending to a peer --------------------------------------------- */

struct log_snapshot_reader;

/* Answer to a read: `data` is borrowed until the next call on the reader; `digest` is the crc32c of the piece. */
struct log_snapshot_piece {
    uint64_t offset; /* in the payload */
    const void *data;
    uint64_t size; /* 0 only at the end */
    uint32_t digest;
    uint32_t last; /* 1: offset + size is the end of the payload */
};
typedef void (*log_snapshot_read_done)(void *ctx, int32_t status, const struct log_snapshot_piece *piece,
                                       const struct gavel_error *error);

/* [loop] Open the snapshot at `index` for reading; it stays readable even when it is pruned meanwhile. Several
 * readers may be open. GAVEL_E_NOT_FOUND. */
int log_snapshot_open(struct log *log, uint64_t index, log_snapshot_read_done done, void *ctx,
                      struct log_snapshot_reader **reader);

/* [loop] What is being read; meta is borrowed until close. */
const struct log_snapshot_info *log_snapshot_reader_info(const struct log_snapshot_reader *reader,
                                                         struct gavel_slice *meta);

/* [loop] Read up to `size` bytes of payload at `offset`; `done` follows with a piece that was checked against its
 * checksums, or GAVEL_E_CORRUPT, GAVEL_E_IO. One at a time (asserted). */
int log_snapshot_read(struct log_snapshot_reader *reader, uint64_t offset, uint64_t size);

/* [loop] Close; safe while a read is under way (its `done` is not called then). NULL is fine. */
void log_snapshot_close(struct log_snapshot_reader *reader);

/* ---- receiving one from a peer ------------------------------------------------------------------------- */

struct log_snapshot_receiver;

/* Answer to begin, piece and end; `offset` is where the next piece has to begin. */
typedef void (*log_snapshot_received)(void *ctx, int32_t status, uint64_t offset, const struct gavel_error *error);

/* [loop] Begin, or go on with, receiving the snapshot that `info` (all fields) and `meta` describe. `done` tells the
 * offset to ask for: 0, or more when a part of the very same snapshot is there from before, in this life or an
 * earlier one. At most one receiver at a time: GAVEL_E_BUSY. GAVEL_E_EXISTS when it is published already. */
int log_snapshot_receive(struct log *log, const struct log_snapshot_info *info, const void *meta, uint64_t meta_bytes,
                         log_snapshot_received done, void *ctx, struct log_snapshot_receiver **receiver);

/* [loop] The next piece; `data` is borrowed until `done`. GAVEL_E_CORRUPT when `digest` is not its crc32c;
 * GAVEL_E_INVALID when `offset` is not where the last one ended or it goes beyond the end: nothing was done. */
int log_snapshot_piece(struct log_snapshot_receiver *receiver, uint64_t offset, const void *data, uint64_t size,
                       uint32_t digest);

/* [loop] All has come: check the digest of the whole, sync, publish, then `done`; 0: it is the newest, now restore the
 * machines and log_reset (or keep the log when it contains the index). GAVEL_E_CORRUPT: the part is dropped. After
 * status 0 the receiver is gone; otherwise close it. */
int log_snapshot_received_end(struct log_snapshot_receiver *receiver);

/* [loop] Stop receiving; the part stays, to go on with later. Safe while a piece is under way (`done` is not called
 * then, but the data must stay until the lane is through with it: it is copied before that). NULL is fine. */
void log_snapshot_receive_close(struct log_snapshot_receiver *receiver);

#endif
