/* SPDX-License-Identifier: Apache-2.0 */
/*
 * next.c - what a later minor version says that this one has not heard of: a field more in every message that a table
 * makes (but those with a tail), and a message of an unknown type before each that goes to a peer. Nodes of this
 * version have to pass over both. The linker puts these two functions in the place of those that they call (--wrap).
 */
#include "core/node/internal.h"

#include <string.h>

#define NEXT_TYPE 63   /* no message of today has this type */
#define NEXT_FIELD 120 /* nor any field this number */

int32_t __real_codec_message_encode(const struct gavel_serializer *serializer, void *self, uint64_t type,
                                    const void *message, struct gavel_buffer *out, struct gavel_error *error);
int32_t __wrap_codec_message_encode(const struct gavel_serializer *serializer, void *self, uint64_t type,
                                    const void *message, struct gavel_buffer *out, struct gavel_error *error);
bool __real_conn_send(struct conn *conn, uint64_t type, const void *message);
bool __wrap_conn_send(struct conn *conn, uint64_t type, const void *message);

static uint64_t told; /* messages of the unknown type */

/* {1: 63, 2: "from the next minor version"}, in MessagePack. */
static int32_t unknown_message(struct gavel_buffer *out)
{
    static const char bytes[] = "\x82\x01\x3f\x02\xbb" "from the next minor version";

    return gavel_buffer_append(out, bytes, sizeof bytes - 1);
}

/* One more pair in the map that begins at `from`: 120: "more". */
static int32_t add_field(struct gavel_buffer *out, uint64_t from)
{
    static const char pair[] = "\x78\xa4more";
    unsigned char *head = (unsigned char *)out->data + from;

    if ((head[0] & 0xf0) != 0x80 || head[0] == 0x8f)
        return GAVEL_OK; /* not MessagePack, or a longer head that would have to be moved */
    head[0]++;
    return gavel_buffer_append(out, pair, sizeof pair - 1);
}

int32_t __wrap_codec_message_encode(const struct gavel_serializer *serializer, void *self, uint64_t type,
                                    const void *message, struct gavel_buffer *out, struct gavel_error *error)
{
    uint64_t from = out->size;
    int32_t status;

    if (type == NEXT_TYPE)
        return unknown_message(out);
    status = __real_codec_message_encode(serializer, self, type, message, out, error);
    return status == GAVEL_OK ? add_field(out, from) : status;
}

bool __wrap_conn_send(struct conn *conn, uint64_t type, const void *message)
{
    if (conn->role == CODEC_ROLE_PEER && strcmp(conn->serializer->name, "msgpack") == 0 && conn->up) {
        if (told++ == 0)
            node_log(conn->node, GAVEL_LOG_INFO, "node", "The next minor version speaks: field %d, message %d",
                     NEXT_FIELD, NEXT_TYPE);
        (void)__real_conn_send(conn, NEXT_TYPE, NULL);
    }
    return __real_conn_send(conn, type, message);
}
