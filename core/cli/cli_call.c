/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_call.c - any command of any machine, by its own table: words become typed arguments, results are printed.
 *
 * Words are key=value, or bare values that fill the arguments which nobody named, in the table's order: "set color
 * blue" is "set key=color value=blue". A word with '=' counts as key=value only if the table has that key; so a bare
 * value may hold a '='. Everything about types is the table's business (core/codec/field.h).
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#include <gavel/statemachine.h>

/* The library's sentence begins with the command that was sent; its reader typed another one. */
static void drop_name(struct gavel_error *error, const char *command)
{
    size_t length = strlen(command);

    if (strncmp(error->text, command, length) == 0 && strncmp(error->text + length, ": ", 2) == 0)
        memmove(error->text, error->text + length + 2, strlen(error->text + length + 2) + 1);
}

static int call_node(struct cli *cli, struct gavel_request *request, const char *command,
                     struct gavel_builder *arguments, struct gavel_result **result)
{
    struct gavel_error error = {0, ""};
    int32_t status = GAVEL_OK;

    if (arguments)
        status = gavel_builder_end(arguments, &request->arguments, &error);
    request->traceparent = cli->traceparent;
    request->machine = "gavel";
    request->command = command;
    if (status == GAVEL_OK)
        status = gavel_call(cli->client, request, result, &error);
    if (status < 0)
        drop_name(&error, command);
    return status >= 0 ? CLI_OK : cli_error(status, &error);
}

int cli_call_node(struct cli *cli, const char *command, struct gavel_builder *arguments, struct gavel_result **result)
{
    struct gavel_request request = gavel_request_defaults();

    request.read = GAVEL_STALE;
    request.flags = GAVEL_REPEATABLE;
    return call_node(cli, &request, command, arguments, result);
}

int cli_change_node(struct cli *cli, const char *command, struct gavel_builder *arguments, struct gavel_result **result)
{
    struct gavel_request request = gavel_request_defaults();

    return call_node(cli, &request, command, arguments, result);
}

int cli_tables_take(struct cli *cli, struct gavel_slice described)
{
    struct gavel_error error = {0, ""};

    cli->schema = client_schema_new(described, &error);
    return cli->schema ? CLI_OK : cli_error((int32_t)error.code, &error);
}

int cli_tables(struct cli *cli)
{
    struct gavel_result *result = NULL;
    int code;

    if (cli->schema)
        return CLI_OK;
    code = cli_connect(cli);
    if (code == CLI_OK)
        code = cli_call_node(cli, "describe", NULL, &result);
    if (code != CLI_OK)
        return code;
    code = cli_tables_take(cli, result->value);
    gavel_result_free(result);
    return code;
}

const struct client_command *cli_command(struct cli *cli, const char *name)
{
    const struct client_command *command;
    const char *store = cli->machine ? NULL : client_schema_store(cli->schema);
    struct gavel_error error = {0, ""};

    command = client_schema_find(cli->schema, cli->machine, name, &error);
    if (!command && store && !strchr(name, '.'))
        command = client_schema_find(cli->schema, store, name, NULL);
    if (!command) {
        (void)cli_fail(CLI_USAGE, "%s", error.text);
        if (!cli->machine)
            cli_area_hint(name);
    }
    return command;
}

/* The row that a word "key=value" names; CODEC_NO_ROW when it is a bare value. */
static uint64_t row_of(const struct client_command *command, const char *word)
{
    const char *equals = strchr(word, '=');

    return equals ? codec_row_named(command->fields, gavel_bytes(word, (uint64_t)(equals - word))) : CODEC_NO_ROW;
}

/* "acount=ann": a pair whose key is nearly one of the table's. */
static bool misspelt(const struct client_command *command, const char *word)
{
    const char *equals = strchr(word, '=');
    struct codec_nearest nearest = {.wanted = gavel_bytes(word, equals ? (uint64_t)(equals - word) : 0)};
    struct gavel_field copy;
    uint64_t row;

    for (row = 0; nearest.wanted.size > 3 && command->fields && row < command->fields->count; row++)
        codec_nearest_offer(&nearest, gavel_text(codec_row(command->fields, row, &copy)->name));
    return nearest.best.data != NULL;
}

/* Where the table's order is not what people mean: values of the optional arguments in between are seldom given. */
static const struct {
    const char *command;
    int count;
    const char *order[4];
} short_orders[] = {
    {"cas", 3, {"key", "expect", "value"}},
    {"incr", 2, {"key", "by"}},
    {"list_workflows", 1, {"status"}},
};

/* The row that the next bare word fills: number `done` of `bare` ones. */
static uint64_t next_row(const struct client_command *command, int bare, int done, uint64_t named)
{
    uint64_t rows = command->fields ? command->fields->count : 0;
    uint64_t row;
    size_t i;

    for (i = 0; i < sizeof short_orders / sizeof short_orders[0]; i++)
        if (strcmp(short_orders[i].command, command->name) == 0 && short_orders[i].count == bare)
            return codec_row_named(command->fields, gavel_text(short_orders[i].order[done]));
    for (row = 0; row < rows; row++)
        if (!(named >> row & 1))
            return row;
    return CODEC_NO_ROW;
}

/* "KEY=WORD" for that row; NULL, said, when there are more words than rows. */
static char *name_word(const struct client_command *command, const char *word, uint64_t row)
{
    struct gavel_field copy;
    const char *name;
    size_t size;
    char *pair;

    if (row == CODEC_NO_ROW) {
        (void)cli_fail(CLI_USAGE, "'%s' is one word too many for %s.%s; see gavel help %s", word, command->machine,
                       command->name, command->name);
        return NULL;
    }
    name = codec_row(command->fields, row, &copy)->name;
    size = strlen(name) + strlen(word) + 2;
    pair = malloc(size);
    if (pair)
        (void)snprintf(pair, size, "%s=%s", name, word);
    else
        (void)cli_fail(CLI_FAILED, "no memory");
    return pair;
}

/*
 * Words as key=value pairs; made ones are in `made` too, to be freed. An exit code. Where some words are pairs, one
 * more with a '=' is taken for a misspelt pair: the table's own error then names the nearest key. So is one that is
 * nearly a key: else its whole text would quietly become a value.
 */
static int name_words(const struct client_command *command, const char *const *words, int count, const char **pairs,
                      char **made)
{
    uint64_t named = 0;
    bool some_named = false;
    int bare = 0;
    int done = 0;
    int i;

    for (i = 0; i < count; i++) {
        uint64_t row = row_of(command, words[i]);

        if (row != CODEC_NO_ROW)
            named |= UINT64_C(1) << row;
        some_named = some_named || row != CODEC_NO_ROW || misspelt(command, words[i]);
    }
    for (i = 0; i < count; i++)
        bare += row_of(command, words[i]) == CODEC_NO_ROW && !(some_named && strchr(words[i], '='));
    for (i = 0; i < count; i++) {
        uint64_t row;

        pairs[i] = words[i];
        if (row_of(command, words[i]) != CODEC_NO_ROW || (some_named && strchr(words[i], '=')))
            continue;
        row = next_row(command, bare, done++, named);
        made[i] = name_word(command, words[i], row);
        if (!made[i])
            return CLI_USAGE;
        named |= UINT64_C(1) << row;
        pairs[i] = made[i];
    }
    return CLI_OK;
}

/* Arguments of a command from words, behind *out; an exit code. */
static int arguments_of(const struct client_command *command, const char *const *words, int count,
                        struct gavel_buffer *out)
{
    const char *pairs[CLI_WORDS_MAX] = {NULL};
    char *made[CLI_WORDS_MAX] = {NULL};
    struct gavel_error error = {0, ""};
    int code = name_words(command, words, count, pairs, made);
    int i;

    if (code == CLI_OK && client_schema_pairs(command, pairs, (uint64_t)count, out, &error) != GAVEL_OK)
        code = cli_fail(CLI_USAGE, "%s", error.text);
    for (i = 0; i < count; i++)
        free(made[i]);
    return code;
}

/* A result by the shape of the store's: one value is "key: value", many are such lines. */
static void print_result(const struct cli *cli, struct gavel_slice arguments, struct gavel_slice result)
{
    struct gavel_slice key = codec_map_find(arguments, "key");
    struct gavel_slice value = result.size ? codec_map_find(result, "value") : gavel_bytes(NULL, 0);
    struct gavel_slice items = result.size ? codec_map_find(result, "items") : gavel_bytes(NULL, 0);

    if (cli->json) {
        cli_print_json(result, true, stdout);
    } else if (key.data && value.data) {
        cli_print_value(key, stdout);
        fputs(": ", stdout);
        cli_print_value(value, stdout);
        fputc('\n', stdout);
    } else if (items.data && codec_map_find(codec_array_at(items, 0), "value").data) {
        cli_print_pairs(items, stdout);
    } else {
        cli_print_table(result, stdout);
    }
}

int cli_call_document(struct cli *cli, const struct client_command *command, struct gavel_slice arguments)
{
    struct gavel_request request = gavel_request_defaults();
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};
    bool read = (command->flags & GAVEL_READ) != 0;
    int32_t status = GAVEL_OK;

    request.traceparent = cli->traceparent;
    request.machine = command->machine;
    request.command = command->name;
    request.arguments = arguments;
    request.read = cli->stale ? GAVEL_STALE : GAVEL_LINEARIZABLE;
    request.flags = read ? GAVEL_REPEATABLE : 0;
    if (cli->retry && !read)
        status = gavel_session_open(cli->client, &request.session, &error);
    if (status == GAVEL_OK)
        status = gavel_call(cli->client, &request, &result, &error);
    gavel_session_close(request.session);
    if (status < 0)
        return cli_error(status, &error);
    print_result(cli, arguments, result->value);
    if (cli->verbose)
        fprintf(stderr, "gavel: index %llu, sent %llu times, answered by %s\n", (unsigned long long)result->index,
                (unsigned long long)result->attempts, result->node);
    gavel_result_free(result);
    return ferror(stdout) ? CLI_FAILED : CLI_OK;
}

/* A command of the nodes' own, "gavel.NAME": they have no tables, so values are JSON or strings. */
static int call_host(struct cli *cli, const char *name, const char *const *words, int count)
{
    static const struct client_command shape = {.machine = "gavel", .name = "", .flags = GAVEL_READ};
    struct client_command command = shape;
    struct gavel_buffer arguments = codec_buffer(GAVEL_CLIENT_MESSAGE);
    struct gavel_error error = {0, ""};
    int code = cli_connect(cli);

    command.name = name + strlen("gavel.");
    if (code == CLI_OK && codec_pairs(NULL, NULL, words, (uint64_t)count, gavel_plugin_json()->operations, NULL,
                                      &arguments, &error) != GAVEL_OK)
        code = cli_fail(CLI_USAGE, "%s", error.text);
    if (code == CLI_OK)
        code = cli_call_document(cli, &command, gavel_buffer_slice(&arguments));
    gavel_buffer_free(&arguments);
    return code;
}

int cli_call_words(struct cli *cli, const char *name, const char *const *words, int count)
{
    struct gavel_buffer arguments = codec_buffer(GAVEL_CLIENT_MESSAGE);
    const struct client_command *command;
    int code;

    if (strncmp(name, "gavel.", 6) == 0)
        return call_host(cli, name, words, count);
    code = cli_tables(cli);
    if (code != CLI_OK) {
        cli_area_hint(name); /* nobody was asked for what may have been meant */
        return code;
    }
    command = cli_command(cli, name);
    if (!command)
        return CLI_USAGE;
    code = arguments_of(command, words, count, &arguments);
    if (code == CLI_OK)
        code = cli_call_document(cli, command, gavel_buffer_slice(&arguments));
    gavel_buffer_free(&arguments);
    return code;
}

int cli_call_json(struct cli *cli, const char *name, const char *object)
{
    struct gavel_buffer arguments = codec_buffer(GAVEL_CLIENT_MESSAGE);
    const struct client_command *command;
    struct gavel_error error = {0, ""};
    int code = cli_tables(cli);

    if (code != CLI_OK)
        return code;
    command = cli_command(cli, name);
    if (!command)
        return CLI_USAGE;
    if (gavel_document_parse(gavel_text(object), &arguments, &error) != GAVEL_OK)
        code = cli_fail(CLI_USAGE, "--json: %s", error.text);
    else if (codec_value_type(gavel_buffer_slice(&arguments)) != GAVEL_TOKEN_MAP)
        code = cli_fail(CLI_USAGE, "--json: the arguments are one object");
    else
        code = cli_call_document(cli, command, gavel_buffer_slice(&arguments));
    gavel_buffer_free(&arguments);
    return code;
}

static const char *json;

const struct usage_option cli_call_options[] = {
    {"json", 0, USAGE_TEXT, "OBJECT", "All arguments as one JSON object", &json},
    {.name = NULL},
};

/* Both forms: the words behind the command, or --json. */
static int call_area(struct cli *cli, int count, char **words, int skip)
{
    int code;

    json = NULL;
    code = cli_options_take(cli, cli_call_options, count, words);
    if (code != CLI_OK)
        return code;
    if (cli->word_count <= skip && cli->help)
        return cli_help_command(cli, "call");
    if (cli->word_count <= skip)
        return cli_fail(CLI_USAGE, "which command? see gavel help");
    if (cli->help)
        return cli_help_command(cli, cli->words[skip]);
    if (json && cli->word_count > skip + 1)
        return cli_fail(CLI_USAGE, "--json holds all the arguments: '%s' is one too many", cli->words[skip + 1]);
    if (json)
        return cli_call_json(cli, cli->words[skip], json);
    return cli_call_words(cli, cli->words[skip], cli->words + skip + 1, cli->word_count - skip - 1);
}

int cli_area_call(struct cli *cli, int count, char **words)
{
    return call_area(cli, count, words, 1);
}

int cli_area_command(struct cli *cli, int count, char **words)
{
    return call_area(cli, count, words, 0);
}
