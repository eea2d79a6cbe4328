/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_status.c - the cluster on one screen: every endpoint is asked for its own view, at the same time. Without a
 * leader that a node names the screen says who was tried and what each answered, and the exit code is that of no
 * quorum.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

/* ---- for people -------------------------------------------------------------------------------------------------- */

static void print_text(const char *label, struct gavel_slice document, const char *path)
{
    printf("%-10s ", label);
    cli_print_value(gavel_get(document, path), stdout);
    putchar('\n');
}

static void print_node(const struct cli_asked *asked)
{
    struct gavel_slice status;
    struct gavel_slice role;
    bool leads;
    char why[512];

    if (asked->status < 0) {
        printf("  %s%-28s ", cli_red(), asked->uri);
        cli_put_plain(stdout, cli_asked_failure(asked));
        printf("%s\n", cli_plain());
        return;
    }
    status = asked->result->value;
    role = gavel_get_bytes(status, "role");
    leads = gavel_slice_equal(role, gavel_text("leader"));
    cli_rows_not_ready(status, why, sizeof why);
    printf("  %-28s %-10.*s %s%-10.*s%s %6llu %10llu %10llu  %-16.*s %s", asked->uri,
           (int)gavel_get_bytes(status, "name").size, (const char *)gavel_get_bytes(status, "name").data,
           leads ? cli_green() : "", (int)role.size, (const char *)role.data, leads ? cli_plain() : "",
           (unsigned long long)gavel_get_uint(status, "term", 0),
           (unsigned long long)gavel_get_uint(status, "commit", 0),
           (unsigned long long)gavel_get_uint(status, "applied", 0), (int)gavel_get_bytes(status, "digest").size,
           (const char *)gavel_get_bytes(status, "digest").data,
           gavel_get_bool(status, "ready", 0) ? "ready" : why[0] ? "not ready: " : "not ready");
    cli_put_plain(stdout, why);
    putchar('\n');
}

static void print_machines(struct gavel_slice status)
{
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice machine;

    codec_walk_begin(&walk, codec_map_find(status, "machines"));
    while (codec_walk_next(&walk, &key, &machine)) {
        printf("%-10s ", "machine");
        cli_print_value(key, stdout);
        printf(" (");
        cli_print_value(codec_map_find(machine, "plugin"), stdout);
        printf("), %llu entries, digest ", (unsigned long long)gavel_get_uint(machine, "entries", 0));
        cli_print_value(codec_map_find(machine, "digest"), stdout);
        putchar('\n');
    }
}

static void print_screen(const struct cli_asked *asked, int count, const struct cli_asked *best)
{
    int i;

    if (best) {
        print_text("cluster", best->result->value, "cluster_id");
        if (cli_asked_leader(best))
            print_text("leader", best->result->value, "leader");
        else
            printf("%-10s %snone: no quorum%s\n", "leader", cli_red(), cli_plain());
        printf("%-10s version %llu\n", "settings",
               (unsigned long long)gavel_get_uint(best->result->value, "settings_version", 0));
        print_machines(best->result->value);
        printf("%-10s ", "members");
        cli_rows_summary(stdout, best);
        putchar('\n');
    }
    cli_rows_alarms(stdout, asked, count);
    if (best) {
        putchar('\n');
        cli_rows(stdout, asked, count, best);
    }
    printf("\n  %s%-28s %-10s %-10s %6s %10s %10s  %-16s%s\n", cli_bold(), "endpoint", "name", "role", "term", "commit",
           "applied", "digest", cli_plain());
    for (i = 0; i < count; i++)
        print_node(&asked[i]);
}

/* ---- for programs ------------------------------------------------------------------------------------------------ */

static void put_endpoint(struct gavel_writer *w, const struct cli_asked *asked)
{
    static const char *const shown[] = {"name", "role", "term", "commit", "applied", "digest",
                                        "ready", "not_ready"};
    size_t i;

    gavel_put_map(w, asked->status < 0 ? 2 : 1 + sizeof shown / sizeof shown[0]);
    gavel_put_key(w, "endpoint");
    gavel_put_text(w, asked->uri);
    if (asked->status < 0) {
        gavel_put_key(w, "error");
        gavel_put_text(w, cli_asked_failure(asked));
    }
    for (i = 0; asked->status >= 0 && i < sizeof shown / sizeof shown[0]; i++) {
        gavel_put_key(w, shown[i]);
        codec_put_value(w, codec_map_find(asked->result->value, shown[i]));
    }
    gavel_put_end(w);
}

/* The registry's figures of the node whose status is shown; absent when it has none. */
static struct gavel_result *metrics_of(const struct cli_asked *best)
{
    struct gavel_request request = gavel_request_defaults();
    struct gavel_result *result = NULL;

    request.machine = "gavel";
    request.command = "metrics";
    request.read = GAVEL_STALE;
    request.flags = GAVEL_REPEATABLE;
    request.timeout_ms = CLI_ASK_MS;
    return best && gavel_call(best->client, &request, &result, NULL) >= 0 ? result : NULL;
}

/* The best node's status as it is, and beside it what each endpoint said, and the figures. */
static int print_document(const struct cli_asked *asked, int count, const struct cli_asked *best)
{
    struct gavel_builder *builder = gavel_builder_new();
    struct gavel_writer *w = builder ? gavel_builder_writer(builder) : NULL;
    struct gavel_result *metrics = metrics_of(best);
    struct gavel_slice status = best ? best->result->value : gavel_bytes(NULL, 0);
    struct gavel_slice document;
    struct gavel_error error = {0, ""};
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice value;
    int32_t ended;
    int i;

    if (!builder)
        return cli_fail(CLI_FAILED, "no memory");
    gavel_put_map(w, codec_value_count(status) + 1 + (metrics != NULL));
    codec_walk_begin(&walk, status);
    while (codec_walk_next(&walk, &key, &value)) {
        codec_put_key(w, key); /* whatever the node has answered */
        codec_put_value(w, value);
    }
    gavel_put_key(w, "endpoints");
    gavel_put_array(w, (uint64_t)count);
    for (i = 0; i < count; i++)
        put_endpoint(w, &asked[i]);
    gavel_put_end(w);
    if (metrics) {
        gavel_put_key(w, "metrics");
        codec_put_value(w, metrics->value);
    }
    gavel_put_end(w);
    ended = gavel_builder_end(builder, &document, &error);
    if (ended == GAVEL_OK)
        cli_print_json(document, true, stdout);
    gavel_result_free(metrics);
    gavel_builder_free(builder);
    return ended == GAVEL_OK ? CLI_OK : cli_fail(CLI_FAILED, "%s", error.text);
}

static bool json;

const struct usage_option cli_status_options[] = {
    {"json", 0, USAGE_FLAG, NULL,
     "Print the leader's status document, with endpoints (what each one said) and metrics (the figures of that node)",
     &json},
    {.name = NULL},
};

int cli_area_status(struct cli *cli, int count, char **words)
{
    struct cli_asked *asked;
    const struct cli_asked *best;
    int code;
    int total;
    int i;

    json = false;
    code = cli_options_take(cli, cli_status_options, count, words);
    if (code != CLI_OK)
        return code;
    if (cli->word_count > 1)
        return cli_fail(CLI_USAGE, "status takes no words; see gavel help");
    total = cli_ask_begin(cli, "gavel status", CLI_ASK_MS, &asked);
    if (!asked)
        return cli_fail(CLI_FAILED, "no memory");
    cli_ask_all(asked, total);
    best = cli_asked_best(asked, total);
    if (json || cli->json)
        code = print_document(asked, total, best);
    else
        print_screen(asked, total, best);
    if (!cli_asked_leader(best)) {
        (void)cli_fail(CLI_NO_QUORUM, "no leader is known: %d endpoint%s tried", total, total == 1 ? " was" : "s were");
        for (i = 0; (json || cli->json) && i < total; i++) { /* the screen has said it already */
            fprintf(stderr, "gavel:   %s: ", asked[i].uri);
            cli_put_plain(stderr, asked[i].status < 0 ? cli_asked_failure(&asked[i]) : "answered, but knows no leader");
            fputc('\n', stderr);
        }
        code = CLI_NO_QUORUM;
    }
    cli_ask_end(asked, total);
    return code;
}

/* One of the node's own questions, printed as it is. */
static int print_question(struct cli *cli, int count, char **words, const char *command)
{
    struct gavel_result *result = NULL;
    int code = cli_options_take(cli, NULL, count, words);

    if (code == CLI_OK)
        code = cli_connect(cli);
    if (code == CLI_OK)
        code = cli_call_node(cli, command, NULL, &result);
    if (code != CLI_OK)
        return code;
    code = cli_print(cli, result->value);
    gavel_result_free(result);
    return code;
}

int cli_area_members(struct cli *cli, int count, char **words)
{
    return print_question(cli, count, words, "members");
}

int cli_area_metrics(struct cli *cli, int count, char **words)
{
    return print_question(cli, count, words, "metrics");
}
