/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_complete.c - what the last word of a command line may become: options and areas from their tables, commands and
 * arguments from the machines' own.
 *
 * The cluster is asked for those, briefly, and its answer kept for half a minute, since a shell asks with each press of
 * a key; when nobody answers, the plugins that are installed here tell, and nobody is asked again for some seconds.
 */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <gavel/statemachine.h>

#include "core/host/directory.h"
#include "core/os/clean.h"

#define ASK_TIMEOUT_MS 500   /* for a node: a person waits */
#define KEEP_SECONDS 30      /* an answer */
#define KEEP_NONE_SECONDS 10 /* that there was none */
#define TABLES_MAX 4194304   /* bytes of the kept tables */
#define TABLES_DEPTH 40      /* their nesting: that of a message */
#define KEYS_MAX 50          /* of the store offered */

/* A command line so far. */
struct line {
    struct cli *cli;
    const struct cli_area *area;
    const char *first;                /* the area's or command's word; NULL: not there yet */
    const char *words[CLI_WORDS_MAX]; /* behind it, without options */
    int count;
    const struct usage_option *open;  /* the last word is its value */
};

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* Where the answer of these endpoints is kept; false: nowhere. */
static bool kept_path(const struct cli *cli, char *path, size_t size)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    uint64_t hash = gavel_mix(0, cli->endpoints, strlen(cli->endpoints));
    char dir[1024];

    if (cache && *cache == '/')
        (void)snprintf(dir, sizeof dir, "%s/gavel", cache);
    else if (home && *home == '/' && snprintf(dir, sizeof dir, "%s/.cache", home) > 0 &&
             (mkdir(dir, 0700) == 0 || errno == EEXIST))
        (void)snprintf(dir, sizeof dir, "%s/.cache/gavel", home);
    else
        return false;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return false;
    return snprintf(path, size, "%s/describe-%016llx", dir, (unsigned long long)hash) < (int)size;
}

/* 1: the tables were kept; 0: it was kept that nobody answers; -1: nothing is. */
static int kept(const struct cli *cli, struct gavel_buffer *out)
{
    char path[1100];
    struct stat at;
    FILE *in;
    os_autofree char *text = NULL;
    size_t size;
    time_t age;

    if (!kept_path(cli, path, sizeof path) || stat(path, &at) != 0 || at.st_uid != getuid())
        return -1;
    age = time(NULL) - at.st_mtime;
    if (age < 0 || age > (at.st_size ? KEEP_SECONDS : KEEP_NONE_SECONDS) || at.st_size > TABLES_MAX)
        return -1;
    if (at.st_size == 0)
        return 0;
    in = fopen(path, "re");
    if (!in)
        return -1;
    text = malloc(TABLES_MAX);
    size = text ? fread(text, 1, TABLES_MAX, in) : 0;
    (void)fclose(in);
    return size > 0 && gavel_buffer_append(out, text, size) == GAVEL_OK ? 1 : -1;
}

/* Keep the tables, or that there are none; another process may do the same at the same time. */
static void keep(const struct cli *cli, struct gavel_slice tables)
{
    char path[1100], made[1150];
    FILE *out;

    if (!kept_path(cli, path, sizeof path))
        return;
    (void)snprintf(made, sizeof made, "%s.%ld", path, (long)getpid());
    out = fopen(made, "we");
    if (!out)
        return;
    if (tables.size > 0)
        (void)fwrite(tables.data, 1, tables.size, out);
    if (fclose(out) != 0 || rename(made, path) != 0)
        (void)unlink(made);
}

/* The commands into cli->schema; false when neither a node nor a plugin knows any. */
static bool tables(struct cli *cli)
{
    const struct gavel_limits limits = {.size = GAVEL_END(struct gavel_limits, items), .depth = TABLES_DEPTH,
                                        .bytes = TABLES_MAX, .items = TABLES_MAX};
    struct gavel_buffer described = codec_buffer(TABLES_MAX);
    struct gavel_result *result = NULL;
    int state;

    if (cli->schema)
        return true;
    state = kept(cli, &described);
    if (state == 1 && codec_value_check(gavel_buffer_slice(&described), &limits, NULL) != GAVEL_OK)
        state = -1;
    if (state == -1) {
        gavel_buffer_free(&described);
        described = codec_buffer(TABLES_MAX);
        if (cli_connect(cli) == CLI_OK && cli_call_node(cli, "describe", NULL, &result) == CLI_OK &&
            gavel_buffer_append(&described, result->value.data, result->value.size) == GAVEL_OK)
            state = 1;
        gavel_result_free(result);
        keep(cli, gavel_buffer_slice(&described));
    }
    if (state != 1)
        (void)cli_tables_installed(&described, false);
    if (described.size > 0)
        (void)cli_tables_take(cli, gavel_buffer_slice(&described));
    gavel_buffer_free(&described);
    return cli->schema != NULL;
}

/* ---- what capitals stand for ------------------------------------------------------------------------------------- */

static void offer_commands(struct usage_completion *completion, const char *prefix)
{
    struct cli *cli = ((struct line *)completion->context)->cli;
    bool dotted = strchr(completion->word + strlen(prefix), '.') != NULL;
    char name[256];

    for (uint32_t i = 0; tables(cli) && i < cli->schema->count; i++) {
        const struct client_command *command = &cli->schema->commands[i];

        if (cli->machine && strcmp(cli->machine, command->machine) != 0)
            continue;
        (void)snprintf(name, sizeof name, "%s.%s", command->machine, command->name);
        if (dotted)
            usage_offer(completion, prefix, name, command->help);
        else if (!cli_area_find(command->name)) /* those are offered already */
            usage_offer(completion, prefix, command->name, command->help);
    }
    for (uint32_t i = 0; !dotted && tables(cli) && i < cli->schema->count; i++) {
        if (i > 0 && strcmp(cli->schema->commands[i].machine, cli->schema->commands[i - 1].machine) == 0)
            continue;
        (void)snprintf(name, sizeof name, "%s.", cli->schema->commands[i].machine);
        usage_offer(completion, prefix, name, "Commands of this machine");
    }
}

static void offer_areas(struct usage_completion *completion)
{
    for (const struct cli_area *area = cli_areas; area->name; area++)
        if (area->help)
            usage_offer(completion, "", area->name, area->help);
}

/* A plugin of a kind, by the names of the installed files. */
struct installed {
    struct usage_completion *completion;
    const char *prefix;
};

static void offer_file(void *context, const char *file)
{
    struct installed *installed = context;
    char name[64];
    uint64_t kind;

    if (host_plugin_file(file, name, &kind))
        usage_offer(installed->completion, installed->prefix, name, NULL);
}

/* Names out of an array of maps, or of texts, that a node answers. */
static void offer_answer(struct usage_completion *completion, const char *prefix, struct gavel_slice array,
                         const char *member)
{
    struct codec_walk walk;
    struct gavel_slice key, item, text;
    char name[256];

    codec_walk_begin(&walk, array);
    while (codec_walk_next(&walk, &key, &item)) {
        if (member)
            item = codec_map_find(item, member);
        if (!item.data || codec_get_string(item, &text) != GAVEL_OK)
            continue;
        (void)snprintf(name, sizeof name, "%.*s", (int)text.size, (const char *)text.data);
        usage_offer(completion, prefix, name, NULL);
    }
}

static void offer_members(struct usage_completion *completion, const char *prefix)
{
    struct cli *cli = ((struct line *)completion->context)->cli;
    struct gavel_result *result = NULL;

    if (cli_connect(cli) == CLI_OK && cli_call_node(cli, "member_list", NULL, &result) == CLI_OK)
        offer_answer(completion, prefix, codec_map_find(result->value, "members"), "name");
    gavel_result_free(result);
}

/* Keys of the store that begin with the word, read from whichever node answers. */
static void offer_keys(struct usage_completion *completion, const char *prefix)
{
    struct cli *cli = ((struct line *)completion->context)->cli;
    const char *begin = completion->word + strlen(prefix);
    const char *store = tables(cli) ? client_schema_store(cli->schema) : NULL;
    struct gavel_request request = gavel_request_defaults();
    struct gavel_builder *builder = store ? gavel_builder_new() : NULL;
    struct gavel_result *result = NULL;
    struct gavel_error error;
    struct gavel_writer *w;

    if (!builder)
        return;
    w = gavel_builder_writer(builder);
    gavel_put_map(w, 2);
    gavel_put_key(w, "prefix");
    gavel_put_text(w, begin);
    gavel_put_key(w, "limit");
    gavel_put_uint(w, KEYS_MAX);
    gavel_put_end(w);
    request.machine = cli->machine ? cli->machine : store;
    request.command = "keys";
    request.read = GAVEL_STALE;
    request.flags = GAVEL_REPEATABLE;
    if (gavel_builder_end(builder, &request.arguments, &error) == GAVEL_OK && cli_connect(cli) == CLI_OK &&
        gavel_call(cli->client, &request, &result, &error) >= 0)
        offer_answer(completion, prefix, codec_map_find(result->value, "keys"), NULL);
    gavel_result_free(result);
    gavel_builder_free(builder);
}

static void offer_instances(struct usage_completion *completion, const char *prefix)
{
    struct cli *cli = ((struct line *)completion->context)->cli;

    for (uint32_t i = 0; tables(cli) && i < cli->schema->count; i++)
        if (i == 0 || strcmp(cli->schema->commands[i].machine, cli->schema->commands[i - 1].machine) != 0)
            usage_offer(completion, prefix, cli->schema->commands[i].machine, NULL);
}

static void ask(struct usage_completion *completion, const char *what, const char *prefix)
{
    struct installed installed = {completion, prefix};

    if (strcmp(what, "COMMAND") == 0) {
        offer_commands(completion, prefix);
    } else if (strcmp(what, "TOPIC") == 0) {
        offer_areas(completion);
        offer_commands(completion, prefix);
    } else if (strcmp(what, "MACHINE") == 0) {
        (void)host_plugins_each(cli_plugin_dir(), GAVEL_KIND_STATEMACHINE, offer_file, &installed);
    } else if (strcmp(what, "TRANSPORT") == 0) {
        (void)host_plugins_each(cli_plugin_dir(), GAVEL_KIND_TRANSPORT, offer_file, &installed);
    } else if (strcmp(what, "INSTANCE") == 0) {
        offer_instances(completion, prefix);
    } else if (strcmp(what, "MEMBER") == 0) {
        offer_members(completion, prefix);
    } else if (strcmp(what, "KEY") == 0 || strcmp(what, "PREFIX") == 0) {
        offer_keys(completion, prefix);
    }
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* The `index`-th word of an area's `words`, brackets taken off; the last one again when it may be repeated. */
static bool word_of(const char *words, int index, char *token, size_t size)
{
    size_t length = 0;
    bool again = false;

    for (;; words += length) {
        words += strspn(words, " []");
        length = strcspn(words, " []");
        if (length == 0)
            return again;
        again = length > 3 && strncmp(words + length - 3, "...", 3) == 0;
        (void)snprintf(token, size, "%.*s", (int)(again ? length - 3 : length), words);
        if (index-- == 0)
            return true;
    }
}

/* Values of a row that can be named: choices, yes and no. */
static void offer_values(struct usage_completion *completion, const struct gavel_field *row)
{
    char prefix[128];

    (void)snprintf(prefix, sizeof prefix, "%s=", row->name);
    for (uint64_t i = 0; row->type == GAVEL_CHOICE && row->choices && row->choices[i]; i++)
        usage_offer(completion, prefix, row->choices[i], NULL);
    if (row->type == GAVEL_BOOL) {
        usage_offer(completion, prefix, "yes", NULL);
        usage_offer(completion, prefix, "no", NULL);
    }
    if (strcmp(row->name, "key") == 0)
        offer_keys(completion, prefix);
}

/* Arguments of a machine's command: those that nobody named yet, but for deprecated ones. `from` is the first word. */
static void offer_arguments(struct usage_completion *completion, const struct line *line, const char *name, int from)
{
    struct cli *cli = line->cli;
    const struct client_command *command = tables(cli) ? cli_command(cli, name) : NULL;
    const char *equals = strchr(completion->word, '=');

    for (uint64_t i = 0; command && command->fields && i < command->fields->count; i++) {
        struct gavel_field copy;
        const struct gavel_field *row = codec_row(command->fields, i, &copy);
        size_t size = strlen(row->name);
        bool named = false;
        char key[128];

        for (int k = from; k < line->count; k++)
            named = named || (strncmp(line->words[k], row->name, size) == 0 && line->words[k][size] == '=');
        (void)snprintf(key, sizeof key, "%s=", row->name);
        if (equals && strncmp(completion->word, key, size + 1) == 0)
            offer_values(completion, row);
        else if (!equals && !named && !(row->flags & GAVEL_DEPRECATED))
            usage_offer(completion, "", key, row->help);
    }
}

static void offer_words(struct usage_completion *completion, const struct line *line)
{
    char token[64];

    if (!line->first) {
        offer_areas(completion);
        offer_commands(completion, "");
    } else if (!line->area) {
        offer_arguments(completion, line, line->first, 0);
    } else if (line->area->run == cli_area_call && line->count > 0) {
        offer_arguments(completion, line, line->words[0], 1);
    } else {
        if (word_of(line->area->words, line->count, token, sizeof token))
            usage_offer_argument(completion, token, "");
        if (line->area->run == cli_area_command)
            offer_arguments(completion, line, line->area->name, 0);
    }
}

/* ---- the line ---------------------------------------------------------------------------------------------------- */

static const struct usage_option *own_options(const struct line *line)
{
    return line->area ? line->area->options : line->first ? cli_call_options : NULL;
}

static const struct usage_option *option_of(const struct line *line, const char *word)
{
    const struct usage_option *option = usage_find(own_options(line), word);

    return option ? option : usage_find(cli_options_general(line->cli), word);
}

/* An option with its value: what says whom to ask, and for how long, is taken over. */
static void take_value(struct cli *cli, const struct usage_option *option, const char *value)
{
    if (option->target == &cli->timeout_ms)
        (void)codec_parse_duration(gavel_text(value), &cli->timeout_ms, NULL);
    else if (option->target == &cli->endpoints || option->target == &cli->machine || option->target == &cli->serializer)
        *(const char **)option->target = value;
}

static void read_words(struct line *line, int count, char **words)
{
    for (int i = 0; i < count - 1; i++) {
        const struct usage_option *option = option_of(line, words[i]);
        const char *equals = strchr(words[i], '=');

        if (option && option->kind != USAGE_FLAG && (!equals || words[i][1] != '-')) {
            if (words[i][1] != '-' && words[i][2])
                take_value(line->cli, option, words[i] + 2);
            else if (i + 1 < count - 1)
                take_value(line->cli, option, words[++i]);
            else
                line->open = option;
        } else if (option && equals) {
            take_value(line->cli, option, equals + 1);
        } else if (words[i][0] == '-' && words[i][1] && !isdigit((unsigned char)words[i][1])) {
            continue;
        } else if (!line->first) {
            line->first = words[i];
            line->area = cli_area_find(words[i]);
        } else if (line->count < CLI_WORDS_MAX) {
            line->words[line->count++] = words[i];
        }
    }
}

int cli_complete(struct cli *cli, int count, char **words)
{
    struct line line = {.cli = cli};
    struct usage_completion completion = {.word = count > 0 ? words[count - 1] : "", .out = stdout, .ask = ask,
                                          .context = &line};
    const struct usage_option *here;
    char prefix[64];

    cli->timeout_ms = ASK_TIMEOUT_MS;
    cli->stale = true;
    read_words(&line, count, words);
    here = completion.word[0] == '-' && strchr(completion.word, '=') ? option_of(&line, completion.word) : NULL;
    if (line.open) {
        usage_offer_argument(&completion, line.open->argument, "");
    } else if (here && here->argument) {
        (void)snprintf(prefix, sizeof prefix, "--%s=", here->name);
        usage_offer_argument(&completion, here->argument, prefix);
    } else if (completion.word[0] == '-') {
        usage_offer_options(&completion, own_options(&line));
        usage_offer_options(&completion, cli_options_general(cli));
    } else {
        offer_words(&completion, &line);
    }
    return CLI_OK;
}
