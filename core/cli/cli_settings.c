/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_settings.c - what the whole cluster goes by: shown by any node, changed through the admin socket of any member,
 * which passes it on to the leader.
 */
#include "cli.h"

#include <string.h>

static int usage(const struct cli *cli)
{
    (void)cli_misused(cli, "gavel settings");
    fputs("       gavel settings set KEY=VALUE... [--if-version N]\n"
          "       gavel settings upgrade MACHINE [STATE_VERSION] [--if-version N]\n", stderr);
    return CLI_USAGE;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static void print_padded(struct gavel_slice text, int width)
{
    printf("%-*.*s ", width, (int)text.size, text.size ? (const char *)text.data : "");
}

static void print_setting(struct gavel_slice setting)
{
    uint64_t index = gavel_get_uint(setting, "index", 0);
    struct gavel_slice from = gavel_get_bytes(setting, "from");
    struct gavel_slice here = gavel_get_bytes(setting, "here");
    char since[40];

    if (index)
        (void)snprintf(since, sizeof since, "index %llu", (unsigned long long)index);
    else
        (void)snprintf(since, sizeof since, "%.*s", (int)from.size, (const char *)from.data);
    print_padded(gavel_get_bytes(setting, "key"), 40);
    print_padded(gavel_get_bytes(setting, "value"), 16);
    printf("%-14s ", since);
    cli_print_value(codec_map_find(setting, "ini"), stdout);
    if (!gavel_get_bool(setting, "changeable", 1))
        fputs("  (fixed)", stdout);
    if (here.data && !gavel_slice_equal(here, gavel_get_bytes(setting, "value")))
        printf("%s  (this node's file says %.*s)%s", cli_red(), (int)here.size, (const char *)here.data, cli_plain());
    putchar('\n');
}

static void print_member(struct gavel_slice member, uint64_t version)
{
    uint64_t oldest = gavel_get_uint(member, "oldest", 0);
    uint64_t newest = gavel_get_uint(member, "newest", 0);

    fputs("  ", stdout);
    print_padded(gavel_get_bytes(member, "name"), 20);
    if (!gavel_get_bool(member, "known", 0))
        printf("%sdoes not answer%s\n", cli_red(), cli_plain());
    else if (oldest == newest)
        printf("%llu\n", (unsigned long long)newest);
    else
        printf("%llu to %llu%s\n", (unsigned long long)oldest, (unsigned long long)newest,
               newest > version ? ", ready for an upgrade" : "");
}

static void print_machine(struct gavel_slice machine)
{
    uint64_t index = gavel_get_uint(machine, "index", 0);
    uint64_t version = gavel_get_uint(machine, "state_version", 0);
    struct codec_walk walk;
    struct gavel_slice key, member;

    printf("\nmachine ");
    cli_print_value(codec_map_find(machine, "name"), stdout);
    printf(" (");
    cli_print_value(codec_map_find(machine, "plugin"), stdout);
    if (index)
        printf(") has state version %llu, since index %llu; its members act as\n", (unsigned long long)version,
               (unsigned long long)index);
    else
        printf(") has state version %llu, since it was founded; its members act as\n", (unsigned long long)version);
    codec_walk_begin(&walk, codec_map_find(machine, "members"));
    while (codec_walk_next(&walk, &key, &member))
        print_member(member, version);
}

static void print_all(struct gavel_slice settings)
{
    struct codec_walk walk;
    struct gavel_slice key, item;

    printf("version %llu\n", (unsigned long long)gavel_get_uint(settings, "version", 0));
    printf("%s%-40s %-16s %-14s %s%s\n", cli_bold(), "setting", "value", "since", "INI key", cli_plain());
    codec_walk_begin(&walk, codec_map_find(settings, "settings"));
    while (codec_walk_next(&walk, &key, &item))
        print_setting(item);
    codec_walk_begin(&walk, codec_map_find(settings, "machines"));
    while (codec_walk_next(&walk, &key, &item))
        print_machine(item);
}

static int show(struct cli *cli)
{
    struct gavel_result *result = NULL;
    int code = cli->admin || cli->data_dir ? cli_connect_admin(cli) : cli_connect(cli);

    if (code == CLI_OK)
        code = cli_call_node(cli, "settings", NULL, &result);
    if (code != CLI_OK)
        return code;
    if (cli->json)
        code = cli_print(cli, result->value);
    else
        print_all(result->value);
    gavel_result_free(result);
    return code;
}

/* ---- changes ----------------------------------------------------------------------------------------------------- */

static void put_text(struct gavel_writer *w, const char *key, const char *value)
{
    gavel_put_key(w, key);
    gavel_put_text(w, value);
}

/* Takes the builder. */
static int change(struct cli *cli, const char *command, struct gavel_builder *builder)
{
    struct gavel_result *result = NULL;
    int code = cli_change_node(cli, command, builder, &result);

    gavel_builder_free(builder);
    if (code != CLI_OK)
        return code;
    if (cli->json)
        code = cli_print(cli, result->value);
    else
        printf("changed: version %llu\n", (unsigned long long)gavel_get_uint(result->value, "version", 0));
    gavel_result_free(result);
    return code;
}

static int set(struct cli *cli, const char *if_version)
{
    struct gavel_builder *builder;
    struct gavel_writer *w;
    int i;
    int code;

    for (i = 2; i < cli->word_count; i++) {
        const char *equals = strchr(cli->words[i], '=');

        if (!equals || equals == cli->words[i] || equals - cli->words[i] > 250)
            return cli_fail(CLI_USAGE, "'%s' is not KEY=VALUE, such as session.ttl=20m", cli->words[i]);
        for (int k = 2; k < i; k++)
            if (strncmp(cli->words[k], cli->words[i], (size_t)(equals - cli->words[i]) + 1) == 0)
                return cli_fail(CLI_USAGE, "'%.*s' is given twice", (int)(equals - cli->words[i]), cli->words[i]);
    }
    code = cli_connect_admin(cli);
    if (code != CLI_OK)
        return code;
    builder = gavel_builder_new();
    if (!builder)
        return cli_fail(CLI_FAILED, "no memory");
    w = gavel_builder_writer(builder);
    gavel_put_map(w, (uint64_t)(cli->word_count - 2) + (if_version != NULL));
    if (if_version)
        put_text(w, "version", if_version);
    for (i = 2; i < cli->word_count; i++) {
        const char *equals = strchr(cli->words[i], '=');
        char key[256];

        (void)snprintf(key, sizeof key, "%.*s", (int)(equals - cli->words[i]), cli->words[i]);
        put_text(w, key, equals + 1);
    }
    gavel_put_end(w);
    return change(cli, "settings_set", builder);
}

static int upgrade(struct cli *cli, const char *if_version)
{
    const char *state_version = cli->word_count > 3 ? cli->words[3] : NULL;
    struct gavel_builder *builder;
    struct gavel_writer *w;
    int code = cli_connect_admin(cli);

    if (code != CLI_OK)
        return code;
    builder = gavel_builder_new();
    if (!builder)
        return cli_fail(CLI_FAILED, "no memory");
    w = gavel_builder_writer(builder);
    gavel_put_map(w, 1u + (if_version != NULL) + (state_version != NULL));
    put_text(w, "machine", cli->words[2]);
    if (state_version)
        put_text(w, "state_version", state_version);
    if (if_version)
        put_text(w, "version", if_version);
    gavel_put_end(w);
    return change(cli, "settings_upgrade", builder);
}

static const char *version;

const struct usage_option cli_settings_options[] = {
    {"if-version", 0, USAGE_TEXT, "NUMBER", "Refuse the change when the settings are not of that version any more",
     &version},
    {.name = NULL},
};

int cli_area_settings(struct cli *cli, int count, char **words)
{
    int code;

    version = NULL;
    code = cli_options_take(cli, cli_settings_options, count, words);

    if (code != CLI_OK)
        return code;
    if (cli->word_count == 1)
        return version ? usage(cli) : show(cli);
    if (strcmp(cli->words[1], "set") == 0 && cli->word_count > 2)
        return set(cli, version);
    if (strcmp(cli->words[1], "upgrade") == 0 && (cli->word_count == 3 || cli->word_count == 4))
        return upgrade(cli, version);
    return usage(cli);
}
