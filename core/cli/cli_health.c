/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_health.c - gavel health. Two questions, told apart by their options:
 *
 * Of the cluster: a line each member, as the leader sees it, with the reason for whatever is not HEALTHY; the exit code
 * is that of the worst. What is not known is worse than what limps, and better than what is known to be down.
 *
 * Of one node, for whoever supervises it (--live, --ready, --wait). Live: it answers. Ready: what its status says of
 * it, which is the table of core/node/node.h. A node without a majority is live and not ready, and killing it would
 * help nobody.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/node/health.h"

#define HEALTH_STEP_MS 100u /* between two looks while --wait waits */

/* ---- one node -------------------------------------------------------------------------------------------------- */

/* What one look said, and the line for people. */
struct looked {
    int code;
    char line[sizeof((struct gavel_error *)0)->text + 64];
};

/* The one node that is asked: behind a socket, or the only endpoint. */
static int whom(const struct cli *cli)
{
    if (!cli->admin && !cli->data_dir && cli->endpoints[strcspn(cli->endpoints, ", \t\n")])
        return cli_fail(CLI_USAGE, "a probe asks one node: say --data-dir DIR, --admin SOCKET or one --endpoints URI");
    return CLI_OK;
}

/* The socket appears with the node, so a client is made for each look. */
static void look(const struct cli *cli, bool whole, uint64_t timeout_ms, struct looked *looked)
{
    struct cli_asked *asked;
    int count = cli_ask_begin(cli, "gavel health", timeout_ms, &asked);

    looked->code = CLI_FAILED;
    (void)snprintf(looked->line, sizeof looked->line, "not live: no node is named");
    if (count != 1) {
        cli_ask_end(asked, count);
        return;
    }
    cli_ask_all(asked, count);
    if (asked->status < 0) {
        looked->code = asked->status == GAVEL_E_INVALID ? CLI_USAGE : CLI_NO_QUORUM;
        (void)snprintf(looked->line, sizeof looked->line, "not live: %s", asked->error.text);
    } else {
        struct gavel_slice role = gavel_get_bytes(asked->result->value, "role");
        struct gavel_slice leader = gavel_get_bytes(asked->result->value, "leader");
        bool good = gavel_get_bool(asked->result->value, "ready", 0) != 0;
        char why[sizeof looked->line / 2];

        cli_rows_not_ready(asked->result->value, why, sizeof why);
        looked->code = good || !whole ? CLI_OK : CLI_FALSE;
        (void)snprintf(looked->line, sizeof looked->line, "%s: %.*s%s%.*s, term %llu%s%s",
                       good ? "ready" : "live, not ready", (int)role.size, (const char *)role.data,
                       leader.size ? ", leader " : "", (int)leader.size, (const char *)leader.data,
                       (unsigned long long)gavel_get_uint(asked->result->value, "term", 0), why[0] ? ": " : "", why);
    }
    cli_ask_end(asked, count);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static int probe(const struct cli *cli, bool whole, uint64_t wait_ms)
{
    static const struct timespec step = {.tv_nsec = HEALTH_STEP_MS * 1000000L};
    uint64_t until = now_ms() + wait_ms;
    struct looked looked;
    int code = whom(cli);

    if (code != CLI_OK)
        return code;
    for (;;) {
        look(cli, whole, cli->timeout_ms ? cli->timeout_ms : CLI_ASK_MS, &looked);
        if (looked.code == CLI_OK || looked.code == CLI_USAGE || now_ms() >= until)
            break;
        (void)nanosleep(&step, NULL);
    }
    if (looked.code == CLI_OK) {
        cli_put_plain(stdout, looked.line);
        putchar('\n');
        return CLI_OK;
    }
    return cli_fail(looked.code, "%s", looked.line);
}

/* ---- the cluster ----------------------------------------------------------------------------------------------- */

static enum health_state state_of(struct gavel_slice member)
{
    struct gavel_slice name = gavel_get_bytes(member, "health");

    for (enum health_state state = HEALTH_UNKNOWN; state <= HEALTH_UNHEALTHY; state++)
        if (gavel_slice_equal(name, gavel_text(health_name(state))))
            return state;
    return HEALTH_UNKNOWN;
}

static int code_of(enum health_state worst)
{
    switch (worst) {
    case HEALTH_HEALTHY: return CLI_OK;
    case HEALTH_DEGRADED: return CLI_DEGRADED;
    case HEALTH_UNHEALTHY: return CLI_UNHEALTHY;
    default: return CLI_HEALTH_UNKNOWN;
    }
}

/* The worst member's; without any member, as on a node that waits to join, nobody knows. */
static enum health_state worst_of(struct gavel_slice members)
{
    enum health_state worst = HEALTH_HEALTHY;
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice member;

    if (codec_value_count(members) == 0)
        return HEALTH_UNKNOWN;
    codec_walk_begin(&walk, members);
    while (codec_walk_next(&walk, &key, &member))
        if (health_worse(state_of(member), worst))
            worst = state_of(member);
    return worst;
}

static void print_member(struct gavel_slice member)
{
    struct gavel_slice name = gavel_get_bytes(member, "name");
    enum health_state state = state_of(member);

    cli_print_value(codec_map_find(member, "name"), stdout);
    printf("%*s %s%s%s", name.size < 12 ? (int)(12 - name.size) : 0, "",
           state == HEALTH_HEALTHY ? cli_green() : cli_red(), health_name(state), cli_plain());
    if (gavel_get_bytes(member, "reason").size) {
        printf("%*s", (int)(sizeof "UNHEALTHY" + 1 - strlen(health_name(state))), "");
        cli_print_value(codec_map_find(member, "reason"), stdout);
    }
    putchar('\n');
}

static void put_member(struct gavel_writer *w, struct gavel_slice member)
{
    static const char *const shown[] = {"name", "id", "role", "health", "reason", "cause", "health_ms"};

    gavel_put_map(w, sizeof shown / sizeof shown[0]);
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        gavel_put_key(w, shown[i]);
        codec_put_value(w, codec_map_find(member, shown[i]));
    }
    gavel_put_end(w);
}

static int print_json(struct gavel_slice status, enum health_state worst)
{
    struct gavel_builder *builder = gavel_builder_new();
    struct gavel_writer *w = builder ? gavel_builder_writer(builder) : NULL;
    struct gavel_slice members = codec_map_find(status, "members");
    struct gavel_slice document;
    struct gavel_error error = {0, ""};
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice member;
    int32_t ended;

    if (!builder)
        return cli_fail(CLI_FAILED, "no memory");
    gavel_put_map(w, 5);
    gavel_put_key(w, "health");
    gavel_put_text(w, health_name(worst));
    gavel_put_key(w, "seen_by");
    codec_put_value(w, codec_map_find(status, "name"));
    gavel_put_key(w, "leader");
    codec_put_value(w, codec_map_find(status, "leader"));
    gavel_put_key(w, "term");
    codec_put_value(w, codec_map_find(status, "term"));
    gavel_put_key(w, "members");
    gavel_put_array(w, codec_value_count(members));
    codec_walk_begin(&walk, members);
    while (codec_walk_next(&walk, &key, &member))
        put_member(w, member);
    gavel_put_end(w);
    gavel_put_end(w);
    ended = gavel_builder_end(builder, &document, &error);
    if (ended == GAVEL_OK)
        cli_print_json(document, true, stdout);
    gavel_builder_free(builder);
    return ended == GAVEL_OK ? CLI_OK : cli_fail(CLI_FAILED, "%s", error.text);
}

static int print_cluster(const struct cli *cli, struct gavel_slice status)
{
    struct gavel_slice members = codec_map_find(status, "members");
    enum health_state worst = worst_of(members);
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice member;

    if (cli->json) {
        int code = print_json(status, worst);

        return code != CLI_OK ? code : code_of(worst);
    }
    codec_walk_begin(&walk, members);
    while (codec_walk_next(&walk, &key, &member))
        print_member(member);
    if (codec_value_count(members) == 0)
        return cli_fail(CLI_HEALTH_UNKNOWN, "the node that answers knows no members: it is %.*s",
                        (int)gavel_get_bytes(status, "role").size,
                        (const char *)gavel_get_bytes(status, "role").data);
    return fflush(stdout) == 0 ? code_of(worst) : CLI_FAILED;
}

static int ask_cluster(const struct cli *cli)
{
    struct cli_asked *asked;
    int count = cli_ask_begin(cli, "gavel health", cli->timeout_ms ? cli->timeout_ms : CLI_ASK_MS, &asked);
    const struct cli_asked *best;
    int code;

    if (!asked)
        return cli_fail(CLI_FAILED, "no memory");
    cli_ask_all(asked, count);
    best = cli_asked_best(asked, count);
    if (best) {
        code = print_cluster(cli, best->result->value);
    } else {
        for (int i = 0; i < count; i++) {
            fprintf(stderr, "gavel:   %s: ", asked[i].uri);
            cli_put_plain(stderr, cli_asked_failure(&asked[i]));
            fputc('\n', stderr);
        }
        code = cli_fail(CLI_HEALTH_UNKNOWN, "no node answers: nothing is known of the members");
    }
    cli_ask_end(asked, count);
    return code;
}

/* ---- the area -------------------------------------------------------------------------------------------------- */

static bool live;
static bool ready;
static uint64_t wait_ms;

const struct usage_option cli_health_options[] = {
    {"live", 0, USAGE_FLAG, NULL, "Ask one node whether it is live", &live},
    {"ready", 0, USAGE_FLAG, NULL, "Ask one node whether it is ready", &ready},
    {"wait", 0, USAGE_DURATION, "TIME",
     "Ask it again until it is live or ready, or this time is over; ready when neither is said", &wait_ms},
    {.name = NULL},
};

int cli_area_health(struct cli *cli, int count, char **words)
{
    int code;

    live = ready = false;
    wait_ms = 0;
    code = cli_options_take(cli, cli_health_options, count, words);
    if (code == CLI_OK && (cli->word_count > 1 || (live && ready)))
        code = cli_misused(cli, "gavel health [--live | --ready] [--wait TIME]");
    if (code != CLI_OK)
        return code;
    return live || ready || wait_ms ? probe(cli, !live, wait_ms) : ask_cluster(cli);
}
