/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entries.h - the batches of an append, entry by entry, for people who look at JSON on the wire. Nobody reads it
 * back.
 *
 * The format is that of core/log/batch.h. It is read again here, with every length checked and no checksum, so
 * that the client library does not need the log.
 */
#ifndef GAVEL_CODEC_ENTRIES_H
#define GAVEL_CODEC_ENTRIES_H

#include <gavel/serializer.h>

/* The number of `entries` in append_entries: reserved, so that no other field gets it. */
#define CODEC_ENTRIES_NUMBER 11
/* Larger appends travel without: a hostile value grows six-fold in JSON, and a message must not outgrow its limit. */
#define CODEC_ENTRIES_BYTES (256u * 1024)

/* [any] How many entries lie in whole batches, end to end; damaged ones end the count. */
uint64_t codec_entries_count(struct gavel_slice batches);

/*
 * [any] Write the first `count` as an array of {index, term, kind, machine, session, sequence, command, arguments}: the
 * latter two are the number of a command and its logged arguments. `kind` is left out where they are there; any other
 * payload is `payload`, as bytes.
 */
void codec_entries_write(struct gavel_slice batches, uint64_t count, struct gavel_writer *writer);

#endif
