/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_node.c - programs that register themselves as nodes of a cluster: thin words for commands of the machine
 * "gavel", each of which may be sent again, for doing it twice comes to the same.
 */
#include "client_core.h"

#include <stddef.h>
#include <string.h>

#include "core/codec/value.h"

/* Call with one document; what the command answers is of no use to the caller. */
static int32_t call(struct gavel_client *client, const char *command, const struct gavel_buffer *arguments,
                    struct gavel_error *error)
{
    struct gavel_request request = gavel_request_defaults();

    request.machine = "gavel";
    request.command = command;
    request.flags = GAVEL_REPEATABLE;
    request.arguments = gavel_buffer_slice(arguments);
    return gavel_call(client, &request, NULL, error);
}

static void put_text(struct gavel_writer *out, const char *key, const char *text)
{
    gavel_put_key(out, key);
    gavel_put_text(out, text);
}

static int32_t write_registration(const struct gavel_node_options *node, struct gavel_buffer *arguments,
                                  struct gavel_error *error)
{
    struct codec_writer writer;
    struct gavel_writer *out = codec_writer_begin(&writer, arguments);
    const struct gavel_node_capability *capabilities = node->capabilities;

    gavel_put_map(out, 2 + (uint64_t)(node->address != NULL) + (uint64_t)(node->ttl_ms != 0));
    put_text(out, "name", node->name);
    if (node->address)
        put_text(out, "address", node->address);
    if (node->ttl_ms) {
        gavel_put_key(out, "ttl");
        gavel_put_uint(out, node->ttl_ms);
    }
    gavel_put_key(out, "capabilities");
    gavel_put_map(out, capabilities ? node->capability_count : 0);
    for (uint64_t i = 0; capabilities && i < node->capability_count; i++)
        put_text(out, capabilities[i].name ? capabilities[i].name : "",
                 capabilities[i].value ? capabilities[i].value : "");
    gavel_put_end(out);
    gavel_put_end(out);
    return codec_writer_end(&writer, error);
}

int32_t gavel_node_register(struct gavel_client *client, const struct gavel_node_options *options,
                            struct gavel_error *error)
{
    struct gavel_node_options node = gavel_node_defaults();
    struct gavel_buffer arguments = codec_buffer(0);
    uint64_t known = options->size < node.size ? options->size : node.size;
    int32_t status;

    memcpy(&node, options, known);
    if (!node.name)
        return gavel_fail(error, GAVEL_E_INVALID, "a node that registers needs a name");
    status = write_registration(&node, &arguments, error);
    if (status == GAVEL_OK)
        status = call(client, "node_register", &arguments, error);
    gavel_buffer_free(&arguments);
    return status;
}

static int32_t call_named(struct gavel_client *client, const char *command, const char *name,
                          struct gavel_error *error)
{
    struct gavel_buffer arguments = codec_buffer(0);
    struct codec_writer writer;
    struct gavel_writer *out = codec_writer_begin(&writer, &arguments);
    int32_t status;

    gavel_put_map(out, 1);
    put_text(out, "name", name ? name : "");
    gavel_put_end(out);
    status = codec_writer_end(&writer, error);
    if (status == GAVEL_OK)
        status = call(client, command, &arguments, error);
    gavel_buffer_free(&arguments);
    return status;
}

int32_t gavel_node_keep(struct gavel_client *client, const char *name, struct gavel_error *error)
{
    return call_named(client, "node_keep", name, error);
}

int32_t gavel_node_deregister(struct gavel_client *client, const char *name, struct gavel_error *error)
{
    return call_named(client, "node_deregister", name, error);
}
