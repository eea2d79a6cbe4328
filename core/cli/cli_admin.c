/* SPDX-License-Identifier: Apache-2.0 */
/* cli_admin.c - what operators ask of one node, through the socket in its data directory. */
#include "cli.h"

#include <string.h>

#define RELOAD_MS 30000 /* new addresses have to be committed: without a leader that takes its time to fail */

/* Call an admin command with up to two text arguments; NULL values are left out. */
static int call_admin(struct cli *cli, const char *command, const char *const pairs[4], const char *done)
{
    struct gavel_builder *builder;
    struct gavel_writer *w;
    struct gavel_result *result = NULL;
    int code = cli_connect_admin(cli);
    int i;

    if (code != CLI_OK)
        return code;
    builder = gavel_builder_new();
    if (!builder)
        return cli_fail(CLI_FAILED, "no memory");
    w = gavel_builder_writer(builder);
    gavel_put_map(w, (pairs[1] != NULL) + (pairs[3] != NULL));
    for (i = 0; i < 4; i += 2) {
        if (!pairs[i + 1])
            continue;
        gavel_put_key(w, pairs[i]);
        gavel_put_text(w, pairs[i + 1]);
    }
    gavel_put_end(w);
    code = cli_call_node(cli, command, builder, &result);
    gavel_builder_free(builder);
    if (code != CLI_OK)
        return code;
    if (result->value.size && codec_value_type(result->value) != GAVEL_TOKEN_NIL)
        code = cli_print(cli, result->value);
    else
        puts(done);
    gavel_result_free(result);
    return code;
}

static const char *to;

const struct usage_option cli_leader_options[] = {
    {"to", 0, USAGE_TEXT, "MEMBER", "Who shall lead; without it the leader chooses the one that is furthest", &to},
    {.name = NULL},
};

int cli_area_leader(struct cli *cli, int count, char **words)
{
    int code;

    to = NULL;
    code = cli_options_take(cli, cli_leader_options, count, words);
    if (code != CLI_OK)
        return code;
    if (cli->word_count != 2 || strcmp(cli->words[1], "transfer") != 0)
        return cli_misused(cli, "gavel leader transfer [--to NAME]");
    return call_admin(cli, "transfer", (const char *const[4]){"to", to, "", NULL}, "leadership was handed over");
}

/* A line each observer: "log: info, raft debug". */
static int show_levels(struct cli *cli)
{
    struct gavel_result *result = NULL;
    int code = cli_connect_admin(cli);
    uint64_t count, i, j;

    if (code == CLI_OK)
        code = cli_call_node(cli, "log_levels", NULL, &result);
    if (code != CLI_OK)
        return code;
    count = gavel_get_count(result->value, NULL);
    for (i = 0; i < count && !cli->json; i++) {
        struct gavel_slice row = gavel_document_at(result->value, i, NULL);
        struct gavel_slice observer = gavel_get_bytes(row, "observer"), level = gavel_get_bytes(row, "level");
        struct gavel_slice levels = codec_map_find(row, "levels");
        uint64_t modules = gavel_get_count(levels, NULL);

        printf("%.*s: %.*s", (int)observer.size, (const char *)observer.data, (int)level.size,
               (const char *)level.data);
        for (j = 0; j < modules; j++) {
            struct gavel_slice module, own = gavel_document_at(levels, j, &module);

            own = gavel_get_bytes(own, NULL);
            printf(", %.*s %.*s", (int)module.size, (const char *)module.data, (int)own.size, (const char *)own.data);
        }
        puts("");
    }
    if (cli->json)
        code = cli_print(cli, result->value);
    gavel_result_free(result);
    return code;
}

int cli_area_log_level(struct cli *cli, int count, char **words)
{
    int code = cli_options_take(cli, NULL, count, words);

    if (code != CLI_OK)
        return code;
    if (cli->word_count == 1)
        return show_levels(cli);
    if (cli->word_count != 3)
        return cli_misused(cli, "gavel log-level [MODULE trace|debug|info|warn|error]");
    return call_admin(cli, "log_level", (const char *const[4]){"module", cli->words[1], "level", cli->words[2]},
                      "changed");
}

int cli_area_stop(struct cli *cli, int count, char **words)
{
    int code = cli_options_take(cli, NULL, count, words);

    if (code != CLI_OK)
        return code;
    if (cli->word_count != 1)
        return cli_misused(cli, "gavel stop");
    return call_admin(cli, "stop", (const char *const[4]){"", NULL, "", NULL}, "stopping");
}

static int print_lines(struct gavel_slice list, FILE *out, const char *prefix)
{
    uint64_t count = gavel_get_count(list, NULL), i;

    for (i = 0; i < count; i++) {
        struct gavel_slice line = gavel_get_bytes(gavel_document_at(list, i, NULL), NULL);

        fprintf(out, "%s%.*s\n", prefix, (int)line.size, line.size ? (const char *)line.data : "");
    }
    return count > 0;
}

/* What is wrong comes as an answer, not as an error: there may be many sentences. */
int cli_area_reload(struct cli *cli, int count, char **words)
{
    struct gavel_result *result = NULL;
    bool done;
    int code = cli_options_take(cli, NULL, count, words);

    if (code != CLI_OK)
        return code;
    if (cli->word_count != 1)
        return cli_misused(cli, "gavel reload");
    if (cli->timeout_ms == 0)
        cli->timeout_ms = RELOAD_MS;
    code = cli_connect_admin(cli);
    if (code == CLI_OK)
        code = cli_call_node(cli, "reload", NULL, &result);
    if (code != CLI_OK)
        return code;
    done = gavel_get_bool(result->value, "reloaded", 0) != 0;
    if (cli->json) {
        code = cli_print(cli, result->value);
    } else {
        (void)print_lines(codec_map_find(result->value, "faults"), stderr, "gavel: ");
        if (!print_lines(codec_map_find(result->value, "changes"), stdout, "") && done)
            puts("nothing has changed");
        if (!done)
            fputs("gavel: nothing was changed\n", stderr);
    }
    gavel_result_free(result);
    return code == CLI_OK && !done ? CLI_FAILED : code;
}
