/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_schema.c - the command tables of the cluster's machines, as the nodes describe them. They give types to
 * arguments that are text (is 42 a number or a string of the key?), tell reads, which may be sent twice, from
 * writes, and give the command line its help. Fetched once, when text first needs them, and anew when a command is
 * not in them.
 */
#include "client_core.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include <gavel/statemachine.h>

#define COMMANDS_MAX 4096     /* of all machines together */
#define PAIRS_MAX 256         /* key=value words of one call */
#define ARENA_FACTOR 16       /* rebuilt tables are wider than their description */
#define ARENA_MIN 65536

/* ---- tables ------------------------------------------------------------------------------------------------------ */

void client_schema_free(struct client_schema *schema)
{
    if (!schema)
        return;
    gavel_buffer_free(&schema->document);
    free(schema->arena_memory);
    free(schema->commands);
    free(schema);
}

/* A NUL-terminated copy in the arena; NULL for what is absent or does not fit. */
static const char *text_in(struct client_schema *schema, struct gavel_slice value)
{
    struct gavel_slice text;
    struct gavel_slice copy;

    if (!value.data || codec_get_string(value, &text) != GAVEL_OK ||
        codec_arena_copy(&schema->arena, text, &copy) != GAVEL_OK)
        return NULL;
    return copy.data;
}

static int32_t add_command(struct client_schema *schema, const char *machine, struct gavel_slice described,
                           struct gavel_error *error)
{
    struct gavel_slice arguments = codec_map_find(described, "arguments");
    struct client_command *command;

    if (schema->count == COMMANDS_MAX)
        return gavel_fail(error, GAVEL_E_TOO_LARGE, "more than %d commands", COMMANDS_MAX);
    command = &schema->commands[schema->count];
    memset(command, 0, sizeof *command);
    command->machine = machine;
    command->name = text_in(schema, codec_map_find(described, "name"));
    if (!command->name)
        return gavel_fail(error, GAVEL_E_INVALID, "a command of %s has no name", machine);
    command->flags = codec_uint_or(codec_map_find(described, "flags"), 0);
    command->help = text_in(schema, codec_map_find(described, "help"));
    command->example = text_in(schema, codec_map_find(described, "example"));
    if (arguments.data && codec_value_count(arguments) > 0 &&
        codec_fields_rebuild(arguments, &schema->arena, &command->fields, error) != GAVEL_OK)
        return gavel_wrap(error, command->name);
    schema->count++;
    return GAVEL_OK;
}

static int32_t add_machine(struct client_schema *schema, struct gavel_slice described, struct gavel_error *error)
{
    const char *machine = text_in(schema, codec_map_find(described, "name"));
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice command;

    if (!machine)
        return gavel_fail(error, GAVEL_E_INVALID, "a machine has no name");
    codec_walk_begin(&walk, codec_map_find(described, "commands"));
    while (codec_walk_next(&walk, &key, &command)) {
        int32_t status = add_command(schema, machine, command, error);

        if (status != GAVEL_OK)
            return status;
    }
    return GAVEL_OK;
}

struct client_schema *client_schema_new(struct gavel_slice described, struct gavel_error *error)
{
    struct client_schema *schema = calloc(1, sizeof *schema);
    uint64_t arena_size = described.size * ARENA_FACTOR + ARENA_MIN;
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice machine;

    if (!schema)
        goto no_memory;
    schema->document = codec_buffer(0);
    schema->arena_memory = malloc(arena_size);
    schema->commands = calloc(COMMANDS_MAX, sizeof *schema->commands);
    if (!schema->arena_memory || !schema->commands ||
        gavel_buffer_append(&schema->document, described.data, described.size) != GAVEL_OK)
        goto no_memory;
    schema->arena = codec_arena(schema->arena_memory, arena_size);
    codec_walk_begin(&walk, codec_map_find(gavel_buffer_slice(&schema->document), "machines"));
    while (codec_walk_next(&walk, &key, &machine)) {
        if (add_machine(schema, machine, error) == GAVEL_OK)
            continue;
        (void)gavel_wrap(error, "the answer to describe");
        client_schema_free(schema);
        return NULL;
    }
    return schema;

no_memory:
    client_schema_free(schema);
    (void)gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the command tables");
    return NULL;
}

const struct client_command *client_schema_find(const struct client_schema *schema, const char *machine,
                                                const char *command, struct gavel_error *error)
{
    const char *dot = machine ? NULL : strchr(command, '.');
    const char *name = dot ? dot + 1 : command;
    size_t prefix = machine ? strlen(machine) : dot ? (size_t)(dot - command) : 0;
    const char *owner = machine ? machine : command;
    const struct client_command *found = NULL;
    struct codec_nearest nearest = {gavel_text(name), {NULL, 0}, 0};
    struct codec_nearest owners = {gavel_bytes(owner, prefix), {NULL, 0}, 0};
    bool owned = !prefix;
    char text[128];
    uint32_t i;

    for (i = 0; i < schema->count; i++) {
        const struct client_command *one = &schema->commands[i];

        codec_nearest_offer(&owners, gavel_text(one->machine));
        if (prefix && (strlen(one->machine) != prefix || memcmp(one->machine, owner, prefix) != 0))
            continue;
        owned = true;
        codec_nearest_offer(&nearest, gavel_text(one->name));
        if (strcmp(one->name, name) != 0)
            continue;
        if (found) {
            (void)gavel_fail(error, GAVEL_E_INVALID, "%s and %s both have a command '%s': say %s.%s", found->machine,
                             one->machine, name, found->machine, name);
            return NULL;
        }
        found = one;
    }
    if (!owned)
        (void)gavel_fail(error, GAVEL_E_NOT_FOUND, "there is no machine '%.*s' here%s", (int)prefix, owner,
                         codec_nearest_text(&owners, text, sizeof text));
    else if (!found)
        (void)gavel_fail(error, GAVEL_E_NOT_FOUND, "no machine here has a command '%s'%s", command,
                         codec_nearest_text(&nearest, text, sizeof text));
    return found;
}

/* True when that machine has that command. */
static bool has(const struct client_schema *schema, const char *machine, const char *name)
{
    uint32_t i;

    for (i = 0; i < schema->count; i++)
        if (strcmp(schema->commands[i].machine, machine) == 0 && strcmp(schema->commands[i].name, name) == 0)
            return true;
    return false;
}

const char *client_schema_store(const struct client_schema *schema)
{
    const char *store = NULL;
    uint32_t i;

    for (i = 0; i < schema->count; i++) {
        const struct client_command *command = &schema->commands[i];

        if (strcmp(command->name, "cas") != 0 || !has(schema, command->machine, "get"))
            continue;
        if (store)
            return NULL;
        store = command->machine;
    }
    return store;
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

/* One word from *at into *to, quotes taken off; false: a quote is not closed. */
static bool take_word(const char **at, const char *end, char **to)
{
    char quote = 0;
    const char *in = *at;
    char *out = *to;

    while (in < end && (quote || !isspace((unsigned char)*in))) {
        if (quote && *in == quote) {
            quote = 0;
        } else if (!quote && (*in == '"' || *in == '\'')) {
            quote = *in;
        } else if (*in == '\\' && quote != '\'' && in + 1 < end) {
            *out++ = *++in;
        } else {
            *out++ = *in;
        }
        in++;
    }
    *out++ = 0;
    *at = in;
    *to = out;
    return quote == 0;
}

int32_t client_schema_words(struct gavel_slice text, char ***words, uint64_t *count, struct gavel_error *error)
{
    /* The pointers first, the words' bytes behind them: never more than the text and a NUL for each word. */
    char **block = calloc(1, (PAIRS_MAX + 1) * sizeof *block + text.size + PAIRS_MAX + 1);
    char *to = (char *)(block + PAIRS_MAX + 1);
    const char *at = text.data;
    const char *end = at + text.size;
    uint64_t made = 0;

    if (!block)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the arguments");
    for (;;) {
        while (at < end && isspace((unsigned char)*at))
            at++;
        if (at == end)
            break;
        if (made == PAIRS_MAX) {
            free(block);
            return gavel_fail(error, GAVEL_E_TOO_LARGE, "more than %d arguments", PAIRS_MAX);
        }
        block[made++] = to;
        if (!take_word(&at, end, &to)) {
            free(block);
            return gavel_fail(error, GAVEL_E_INVALID, "a quote is not closed");
        }
    }
    *words = block;
    *count = made;
    return GAVEL_OK;
}

int32_t client_schema_pairs(const struct client_command *command, const char *const *pairs, uint64_t count,
                            struct gavel_buffer *out, struct gavel_error *error)
{
    char owner[160];

    if (command)
        (void)snprintf(owner, sizeof owner, "%s.%s", command->machine, command->name);
    return codec_pairs(command ? command->fields : NULL, command ? owner : NULL, pairs, count,
                       gavel_plugin_json()->operations, NULL, out, error);
}

/* ---- calls with text --------------------------------------------------------------------------------------------- */

/* Its arguments are MessagePack, and the library may know that it is a read. */
static void prepared(struct client_call *call)
{
    const struct client_command *command =
        call->client->schema ? client_schema_find(call->client->schema, call->machine, call->command, NULL) : NULL;

    if (command && (command->flags & GAVEL_READ))
        call->repeatable = true;
    if (call->session && !(command && (command->flags & GAVEL_READ)))
        client_session_enter(call);
    else
        client_call_go(call);
}

static int32_t convert(struct client_call *call, const struct client_command *command, struct gavel_error *error)
{
    struct gavel_buffer out = codec_buffer(GAVEL_CLIENT_MESSAGE);
    char **words = NULL;
    uint64_t count = 0;
    int32_t status = client_schema_words(gavel_buffer_slice(&call->arguments), &words, &count, error);

    if (status == GAVEL_OK)
        status = client_schema_pairs(command, (const char *const *)words, count, &out, error);
    free(words);
    if (status != GAVEL_OK) {
        gavel_buffer_free(&out);
        return status;
    }
    gavel_buffer_free(&call->arguments);
    call->arguments = out;
    call->form = GAVEL_FORM_MSGPACK;
    return GAVEL_OK;
}

static void described(void *context, int32_t status, const struct gavel_result *result,
                      const struct gavel_error *error)
{
    struct gavel_client *client = context;
    struct gavel_error problem = {GAVEL_E_INTERNAL, ""};
    struct client_schema *schema = NULL;
    struct os_list ready;
    struct os_list *link;

    client->schema_coming = false;
    if (status < 0)
        problem = *error;
    else
        schema = client_schema_new(result->value, &problem);
    if (schema) {
        client_schema_free(client->schema);
        client->schema = schema;
    }
    os_list_init(&ready);
    while ((link = os_list_pop(&client->wanting)) != NULL)
        os_list_push(&ready, link);
    while ((link = os_list_pop(&ready)) != NULL) {
        struct client_call *call = os_container(link, struct client_call, link);
        const struct client_command *command = NULL;

        assert(call->state == CLIENT_CALL_TABLES);
        if (schema)
            command = client_schema_find(schema, call->machine, call->command, &problem);
        if (command && convert(call, command, &problem) == GAVEL_OK)
            prepared(call);
        else
            client_call_finish(call, (int32_t)problem.code, NULL, &problem);
    }
}

/* Ask a node for the tables; whoever wants them waits in client->wanting. */
static void fetch(struct gavel_client *client, uint64_t deadline)
{
    struct gavel_request request = gavel_request_defaults();
    uint64_t now = client_host_now();
    struct client_call *call;
    struct gavel_error error;

    if (client->schema_coming)
        return;
    client->schema_coming = true;
    request.machine = "gavel";
    request.command = "describe";
    request.read = GAVEL_STALE;
    request.flags = GAVEL_REPEATABLE;
    request.timeout_ms = deadline > now ? deadline - now : 1;
    call = client_call_new(client, &request, described, client, &error);
    if (call)
        client_call_begin(call);
    else
        described(client, (int32_t)error.code, NULL, &error);
}

/* A command of the nodes themselves: they have no tables. */
static bool is_host(const struct client_call *call)
{
    return call->machine ? strcmp(call->machine, "gavel") == 0 : strncmp(call->command, "gavel.", 6) == 0;
}

void client_schema_prepare(struct client_call *call)
{
    struct gavel_client *client = call->client;
    const struct client_command *command;
    struct gavel_error error = {0, ""};

    if (call->form != GAVEL_FORM_TEXT) {
        prepared(call);
        return;
    }
    command = client->schema ? client_schema_find(client->schema, call->machine, call->command, NULL) : NULL;
    if (!command && !is_host(call)) {
        call->state = CLIENT_CALL_TABLES;
        os_list_push(&client->wanting, &call->link);
        fetch(client, call->deadline);
        return;
    }
    if (convert(call, command, &error) == GAVEL_OK)
        prepared(call);
    else
        client_call_finish(call, (int32_t)error.code, NULL, &error);
}
