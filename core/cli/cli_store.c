/* SPDX-License-Identifier: Apache-2.0 */
/* cli_store.c - short forms of the workflow store: del, list, batch, workflow. The others are commands as they are. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/os/clean.h"

#define BATCH_FILE_MAX (4u << 20) /* bytes of a file of operations: more would not fit into one entry anyway */

int cli_area_del(struct cli *cli, int count, char **words)
{
    int code = cli_options_take(cli, NULL, count, words);
    int worst = CLI_OK;
    int i;

    if (code != CLI_OK)
        return code;
    if (cli->help)
        return cli_help_command(cli, "delete");
    if (cli->word_count < 2)
        return cli_fail(CLI_USAGE, "which key? gavel del KEY...");
    for (i = 1; i < cli->word_count; i++) {
        code = cli_call_words(cli, "delete", cli->words + i, 1);
        if (code != CLI_OK)
            worst = code;
        if (code != CLI_OK && code != CLI_FALSE)
            break;
    }
    return worst;
}

/* ---- list -------------------------------------------------------------------------------------------------------- */

struct listing {
    const char *from;
    const char *to;
    const char *after;
    uint64_t limit;
    uint64_t revision;
    bool keys;
    bool count;
    bool all;
};

static void put_pair(struct gavel_writer *w, const char *key, const char *value)
{
    if (!value)
        return;
    gavel_put_key(w, key);
    gavel_put_bytes(w, gavel_text(value));
}

static void put_number(struct gavel_writer *w, const char *key, uint64_t value)
{
    if (!value)
        return;
    gavel_put_key(w, key);
    gavel_put_uint(w, value);
}

/* The arguments of one page: what the options say, and the `after` of the page before. */
static int32_t page_arguments(struct gavel_builder *builder, const struct listing *listing, const char *prefix,
                              struct gavel_slice after, uint64_t revision, struct gavel_slice *arguments,
                              struct gavel_error *error)
{
    bool ranged = listing->from || listing->to;
    struct gavel_writer *w;

    gavel_builder_again(builder);
    w = gavel_builder_writer(builder);
    if (listing->count) {
        gavel_put_map(w, prefix != NULL);
        put_pair(w, "prefix", prefix);
    } else {
        gavel_put_map(w, (ranged ? (listing->from != NULL) + (listing->to != NULL) : prefix || !listing->keys) +
                             (after.data || listing->after) + (listing->limit != 0) + (revision != 0));
        if (ranged) {
            put_pair(w, "from", listing->from);
            put_pair(w, "to", listing->to);
        } else {
            put_pair(w, "prefix", prefix ? prefix : listing->keys ? NULL : "");
        }
        if (after.data) {
            gavel_put_key(w, "after");
            gavel_put_bytes(w, after);
        } else {
            put_pair(w, "after", listing->after);
        }
        put_number(w, "limit", listing->limit);
        put_number(w, "revision", revision);
    }
    gavel_put_end(w);
    return gavel_builder_end(builder, arguments, error);
}

/* The keys alone, of items that have values too: a range has no other form. */
static void print_keys(struct gavel_slice items)
{
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice item;

    codec_walk_begin(&walk, items);
    while (codec_walk_next(&walk, &key, &item)) {
        cli_print_value(codec_map_find(item, "key"), stdout);
        putchar('\n');
    }
}

static void print_page(const struct cli *cli, const struct listing *listing, struct gavel_slice page)
{
    struct gavel_slice items = codec_map_find(page, "items");

    if (cli->json)
        cli_print_json(page, true, stdout);
    else if (items.data && listing->keys)
        print_keys(items);
    else if (items.data)
        cli_print_pairs(items, stdout);
    else if (codec_map_find(page, "keys").data)
        cli_print_table(codec_map_find(page, "keys"), stdout);
    else
        cli_print_table(codec_map_find(page, "count"), stdout);
}

static const char *list_command(const struct listing *listing)
{
    if (listing->count)
        return "count";
    if (listing->from || listing->to)
        return "range";
    return listing->keys ? "keys" : "prefix";
}

/* Page after page, all as of the revision of the first one. */
static int list_pages(struct cli *cli, const struct listing *listing, const char *prefix,
                      const struct client_command *command, struct gavel_builder *builder)
{
    struct gavel_request request = gavel_request_defaults();
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};
    struct gavel_slice after = {NULL, 0};
    uint64_t revision = listing->revision;
    int32_t status;

    request.traceparent = cli->traceparent;
    request.machine = command->machine;
    request.command = command->name;
    request.read = cli->stale ? GAVEL_STALE : GAVEL_LINEARIZABLE;
    request.flags = GAVEL_REPEATABLE;
    for (;;) {
        struct gavel_result *page = NULL;

        status = page_arguments(builder, listing, prefix, after, revision, &request.arguments, &error);
        if (status == GAVEL_OK)
            status = gavel_call(cli->client, &request, &page, &error);
        gavel_result_free(result); /* `after` pointed into it */
        if (status < 0)
            return cli_error(status, &error);
        result = page;
        print_page(cli, listing, page->value);
        after = gavel_get_bytes(page->value, "after");
        if (!after.data || !listing->all)
            break;
        revision = gavel_get_uint(page->value, "revision", revision);
    }
    if (after.data && !cli->json)
        fprintf(stderr, "gavel: there is more: --all, or --after '%.*s'\n", (int)after.size, (const char *)after.data);
    gavel_result_free(result);
    return ferror(stdout) ? CLI_FAILED : CLI_OK;
}

static struct listing listing;

const struct usage_option cli_list_options[] = {
    {"from", 0, USAGE_TEXT, "KEY", "The first key, in place of a prefix", &listing.from},
    {"to", 0, USAGE_TEXT, "KEY", "The key before which it ends", &listing.to},
    {"limit", 'n', USAGE_NUMBER, "N", "Keys of a page", &listing.limit},
    {"after", 0, USAGE_TEXT, "KEY", "Go on behind this key", &listing.after},
    {"revision", 0, USAGE_NUMBER, "N", "Read as of this revision", &listing.revision},
    {"keys", 0, USAGE_FLAG, NULL, "Keys without their values", &listing.keys},
    {"count", 0, USAGE_FLAG, NULL, "How many keys there are", &listing.count},
    {"all", 0, USAGE_FLAG, NULL, "All pages, as of one moment", &listing.all},
    {.name = NULL},
};

int cli_area_list(struct cli *cli, int count, char **words)
{
    const struct client_command *command;
    struct gavel_builder *builder;
    int code;

    listing = (struct listing){0};
    code = cli_options_take(cli, cli_list_options, count, words);
    if (code != CLI_OK)
        return code;
    if (cli->word_count > 2)
        return cli_fail(CLI_USAGE, "list takes one prefix");
    if (cli->word_count == 2 && (listing.from || listing.to))
        return cli_fail(CLI_USAGE, "a prefix, or --from and --to, not both");
    code = cli_tables(cli);
    if (code != CLI_OK)
        return code;
    command = cli_command(cli, list_command(&listing));
    if (!command)
        return CLI_USAGE;
    builder = gavel_builder_new();
    if (!builder)
        return cli_fail(CLI_FAILED, "no memory");
    code = list_pages(cli, &listing, cli->word_count == 2 ? cli->words[1] : NULL, command, builder);
    gavel_builder_free(builder);
    return code;
}

/* ---- batch ------------------------------------------------------------------------------------------------------- */

/* Text that parses as JSON is JSON, anything else a string: as for values on the command line. */
static void put_value(struct gavel_writer *w, const char *text)
{
    struct gavel_buffer value = codec_buffer(0);

    if (gavel_document_parse(gavel_text(text), &value, NULL) == GAVEL_OK)
        codec_put_value(w, gavel_buffer_slice(&value));
    else
        gavel_put_text(w, text);
    gavel_buffer_free(&value);
}

/* The next word of *at, cut off in place; NULL at the end. A word may stand in quotes. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " \t");
    char quote = *word == '\'' || *word == '"' ? *word : 0;
    char *end;

    if (!*word)
        return NULL;
    if (quote)
        word++;
    end = quote ? strchr(word, quote) : word + strcspn(word, " \t");
    if (!end) /* a quote that is never closed belongs to the word */
        end = word + strlen(word);
    *at = *end ? end + 1 : end;
    *end = 0;
    return word;
}

/* What is left of a line, without blanks around it, and without '...' around it; JSON keeps its own quotes. */
static char *rest_of(char *at)
{
    size_t size;

    at += strspn(at, " \t");
    size = strlen(at);
    while (size > 0 && strchr(" \t\r", at[size - 1]))
        at[--size] = 0;
    if (size >= 2 && at[0] == '\'' && at[size - 1] == '\'') {
        at[size - 1] = 0;
        at++;
    }
    return *at ? at : NULL;
}

/* The arguments of incr behind the key: [PATH] [BY]. */
static int put_incr(struct gavel_writer *w, const char *key, char *rest)
{
    char *first = next_word(&rest);
    char *second = next_word(&rest);
    const char *path = second ? first : NULL;
    const char *number = second ? second : first;
    struct gavel_error error = {0, ""};
    int64_t by = 1;

    if (number && codec_parse_int(gavel_text(number), &by, &error) != GAVEL_OK)
        return cli_fail(CLI_USAGE, "incr %s: %s", key, error.text);
    gavel_put_map(w, path ? 4 : 3);
    gavel_put_key(w, "op");
    gavel_put_text(w, "incr");
    put_pair(w, "key", key);
    if (path) {
        gavel_put_key(w, "path");
        gavel_put_text(w, path);
    }
    gavel_put_key(w, "by");
    gavel_put_int(w, by);
    gavel_put_end(w);
    return CLI_OK;
}

/* One operation: "set KEY VALUE", "delete KEY", "update KEY PATCH", "incr KEY [PATH] [BY]". */
static int put_operation(struct gavel_writer *w, const char *given)
{
    os_autofree char *line = strdup(given);
    char *at = line;
    const char *op = line ? next_word(&at) : NULL;
    const char *key = op ? next_word(&at) : NULL;
    const char *value = NULL;

    if (!key)
        return cli_fail(CLI_USAGE, "'%s' is no operation: %s", given,
                        "set KEY VALUE, delete KEY, update KEY PATCH, incr KEY [PATH] [BY]");
    if (strcmp(op, "incr") == 0)
        return put_incr(w, key, at);
    value = rest_of(at);
    gavel_put_map(w, value ? 3 : 2);
    gavel_put_key(w, "op");
    gavel_put_text(w, strcmp(op, "del") == 0 ? "delete" : op);
    put_pair(w, "key", key);
    if (value) {
        gavel_put_key(w, strcmp(op, "update") == 0 ? "patch" : "value");
        put_value(w, value);
    }
    gavel_put_end(w);
    return CLI_OK;
}

/* A whole file, or standard input for "-"; NULL, said. To be freed. */
static char *read_all(const char *name)
{
    FILE *in = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    char *text = in ? malloc(BATCH_FILE_MAX + 1) : NULL;
    size_t size = text ? fread(text, 1, BATCH_FILE_MAX + 1, in) : 0;
    bool failed = !in || !text || ferror(in);

    if (failed)
        (void)cli_fail(CLI_FAILED, "cannot read %s: %s", name, strerror(errno));
    else if (size > BATCH_FILE_MAX)
        (void)cli_fail(CLI_FAILED, "%s has more than %u bytes", name, BATCH_FILE_MAX);
    if (in && in != stdin)
        (void)fclose(in);
    if (failed || size > BATCH_FILE_MAX) {
        free(text);
        return NULL;
    }
    text[size] = 0;
    return text;
}

/* The lines of a text that are neither empty nor comments, in place; at most `room`. */
static int split_lines(char *text, const char **lines, int room)
{
    char *rest = text;
    char *line;
    int count = 0;

    while ((line = strsep(&rest, "\n")) != NULL) {
        line += strspn(line, " \t\r");
        if (*line && *line != '#' && count < room)
            lines[count++] = line;
    }
    return count;
}

/* {"items": [...]} of operations that are text. */
static int batch_items(struct gavel_builder *builder, const char *const *lines, int count)
{
    struct gavel_writer *w = gavel_builder_writer(builder);
    int code = CLI_OK;
    int i;

    gavel_put_map(w, 1);
    gavel_put_key(w, "items");
    gavel_put_array(w, (uint64_t)count);
    for (i = 0; i < count && code == CLI_OK; i++)
        code = put_operation(w, lines[i]);
    gavel_put_end(w);
    gavel_put_end(w);
    return code;
}

/* {"items": ...} of a JSON array. */
static int batch_json(struct gavel_builder *builder, const char *json)
{
    struct gavel_writer *w = gavel_builder_writer(builder);
    struct gavel_buffer items = codec_buffer(0);
    struct gavel_error error = {0, ""};

    if (gavel_document_parse(gavel_text(json), &items, &error) != GAVEL_OK)
        return cli_fail(CLI_USAGE, "%s", error.text);
    gavel_put_map(w, 1);
    gavel_put_key(w, "items");
    codec_put_value(w, gavel_buffer_slice(&items));
    gavel_put_end(w);
    gavel_buffer_free(&items);
    return CLI_OK;
}

static int call_batch(struct cli *cli, struct gavel_builder *builder)
{
    struct gavel_slice arguments;
    struct gavel_error error = {0, ""};
    const struct client_command *command;

    if (gavel_builder_end(builder, &arguments, &error) != GAVEL_OK)
        return cli_fail(CLI_FAILED, "%s", error.text);
    command = cli_command(cli, "batch");
    return command ? cli_call_document(cli, command, arguments) : CLI_USAGE;
}

int cli_area_batch(struct cli *cli, int count, char **words)
{
    const char *lines[CLI_WORDS_MAX];
    struct gavel_builder *builder = NULL;
    char *text = NULL;
    const char *first;
    int line_count;
    int code = cli_options_take(cli, NULL, count, words);

    if (code != CLI_OK)
        return code;
    if (cli->word_count < 2)
        return cli_fail(CLI_USAGE, "what? gavel batch \"set a 1\" \"delete b\", or a file of such lines, or -");
    code = cli_tables(cli);
    if (code != CLI_OK)
        return code;
    first = cli->words[1];
    line_count = cli->word_count - 1;
    memcpy(lines, cli->words + 1, (size_t)line_count * sizeof lines[0]);
    /* One word without a blank is no operation: it names a file. */
    if (line_count == 1 && !strchr(first, ' ') && *first != '[') {
        text = read_all(first);
        if (!text)
            return CLI_FAILED;
        first = text + strspn(text, " \t\r\n");
        if (*first != '[')
            line_count = split_lines(text, lines, CLI_WORDS_MAX);
    }
    builder = gavel_builder_new();
    if (!builder)
        code = cli_fail(CLI_FAILED, "no memory");
    else
        code = *first == '[' ? batch_json(builder, first) : batch_items(builder, lines, line_count);
    if (code == CLI_OK)
        code = call_batch(cli, builder);
    gavel_builder_free(builder);
    free(text);
    return code;
}

/* ---- workflow ---------------------------------------------------------------------------------------------------- */

int cli_area_workflow(struct cli *cli, int count, char **words)
{
    static const char *const verbs[][2] = {{"start", "start_workflow"}, {"stop", "stop_workflow"},
                                           {"update", "update_state"}, {"get", "get_workflow"},
                                           {"list", "list_workflows"}};
    int code = cli_options_take(cli, NULL, count, words);
    size_t i;

    if (code != CLI_OK)
        return code;
    for (i = 0; cli->word_count > 1 && i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(cli->words[1], verbs[i][0]) != 0)
            continue;
        if (cli->help)
            return cli_help_command(cli, verbs[i][1]);
        return cli_call_words(cli, verbs[i][1], cli->words + 2, cli->word_count - 2);
    }
    return cli_misused(cli, "gavel workflow start|stop|update|get|list [ID] [DATA]");
}
