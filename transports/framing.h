/* SPDX-License-Identifier: Apache-2.0 */
/*
 * framing.h - the inner framing that the transports share: messages, each behind its length, joined into one run of
 * bytes.
 *
 *   message   u32 length (0 .. 0x7fffffff, little-endian), then that many bytes
 *   control   u32 word = 0x80000000 | kind << 24 | length, then `length` bytes, at most FRAMING_CONTROL_MAX
 *
 * The websocket transport puts such a run, always of whole messages and without controls, into one binary message of
 * its own. The tcp transport sends it as its stream, behind an eight-byte preamble, and needs the controls: 1 ping, 2
 * pong, 3 bye (one byte GAVEL_CLOSE_..., then a sentence). An unknown kind is skipped, so that a later version may add
 * one.
 *
 * Nothing here knows a socket. Nothing is allocated for a message that lies whole in the input.
 */
#ifndef TRANSPORTS_FRAMING_H
#define TRANSPORTS_FRAMING_H

#include <gavel/abi.h>

#include <stdbool.h>

#define FRAMING_HEADER 4u
#define FRAMING_LENGTH_MAX 0x7fffffffu /* the top bit marks a control */
#define FRAMING_CONTROL_MAX 256u       /* a sentence and a code; anything longer is garbage */

#define FRAMING_PING 1u
#define FRAMING_PONG 2u
#define FRAMING_BYE 3u

/* When a run passes this size it is flushed at once instead of at the end of the loop's turn. */
#define FRAMING_BATCH 65536u

/* An empty buffer larger than KEEP is given back when its connection has been quiet for a while, over LARGE at once. */
#define FRAMING_KEEP 4096u
#define FRAMING_LARGE (4u << 20)

/* The tcp preamble: name, version, and a line end that a text-mode transfer would spoil. */
#define FRAMING_PREAMBLE 8u
#define FRAMING_VERSION 1u
extern const unsigned char framing_preamble[FRAMING_PREAMBLE];

/* What framing_next and framing_greet answer besides negative codes. */
#define FRAMING_MORE 0    /* the input is used up */
#define FRAMING_MESSAGE 1 /* *item is a message */
#define FRAMING_CONTROL 2 /* *item is a control's payload, *kind its kind */

/* The receiving side of one connection. framing_in_init, framing_in_free. */
struct framing_in {
    struct gavel_buffer partial; /* an incomplete message with its header, or the one given last */
    uint64_t limit;              /* longest message accepted */
    bool given;                  /* `partial` was given to the caller: the next call drops it */
};

/* An empty decoder; memory comes from `heap`, none is taken yet. `limit` is at most FRAMING_LENGTH_MAX. */
void framing_in_init(struct framing_in *in, const struct gavel_heap *heap, uint64_t limit);

/* Free the memory; the decoder may be used again. */
void framing_in_free(struct framing_in *in);

/*
 * Take the next item out of *input, which is moved on. FRAMING_MESSAGE or FRAMING_CONTROL: *item is borrowed until the
 * next call (it may point into the input). FRAMING_MORE: all input is used, a rest is kept inside. GAVEL_E_TOO_LARGE:
 * a message over the limit is announced (*item.size tells how long); GAVEL_E_CORRUPT: a control that is too long;
 * GAVEL_E_NO_MEMORY. After an error the decoder must not be used but freed.
 */
int32_t framing_next(struct framing_in *in, struct gavel_slice *input, struct gavel_slice *item, uint32_t *kind);

/* True when no part of a message is kept inside: a border. */
bool framing_in_border(const struct framing_in *in);

/*
 * A place to read into directly, when the rest of a long message is awaited: up to *size bytes at the returned address.
 * NULL when there is nothing to gain. What was read is told by framing_filled; then framing_next with an empty input.
 */
unsigned char *framing_room(struct framing_in *in, uint64_t *size);
void framing_filled(struct framing_in *in, uint64_t size);

/* Give back memory over FRAMING_KEEP when nothing is inside. */
void framing_in_trim(struct framing_in *in);

/*
 * Append one message, gathered from `parts`, to a run. Nothing is changed on failure: GAVEL_E_TOO_LARGE over `limit`,
 * GAVEL_E_NO_MEMORY.
 */
int32_t framing_put(struct gavel_buffer *run, const struct gavel_slice *parts, uint64_t count, uint64_t limit);

/* Append one control; the payload is cut to FRAMING_CONTROL_MAX. GAVEL_E_NO_MEMORY. */
int32_t framing_put_control(struct gavel_buffer *run, uint32_t kind, const void *payload, uint64_t size);

/*
 * Compare the first `size` (at most FRAMING_PREAMBLE) bytes of a stream with the preamble. FRAMING_MORE: so far it
 * fits; FRAMING_MESSAGE: it is whole; GAVEL_E_VERSION: another version of ours; GAVEL_E_CORRUPT: something else.
 */
int32_t framing_greet(const unsigned char *data, uint64_t size);

/* Little-endian 32 bits. */
static inline uint32_t framing_get32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline void framing_put32(unsigned char *at, uint32_t value)
{
    at[0] = (unsigned char)value;
    at[1] = (unsigned char)(value >> 8);
    at[2] = (unsigned char)(value >> 16);
    at[3] = (unsigned char)(value >> 24);
}

#endif
