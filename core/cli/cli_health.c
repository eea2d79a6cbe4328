/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_health.c - gavel health: one node, one question, one exit code, for whoever supervises it. Live: it answers.
 * Ready: it knows a leader and has applied what was committed when it started. A node without a majority is live and
 * not ready, and killing it would help nobody.
 */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HEALTH_MS 2000       /* a node answers from memory: a longer silence is an answer too */
#define HEALTH_STEP_MS 100u  /* between two looks while --wait waits */

/* What one look said, and the line for people. */
struct looked {
    int code;
    char line[sizeof((struct gavel_error *)0)->text + 64];
};

/* The one node that is asked: behind a socket, or the only endpoint. */
static int whom(const struct cli *cli, char *uri, size_t size)
{
    char path[PATH_MAX];

    if (!cli->admin && !cli->data_dir) {
        if (cli->endpoints[strcspn(cli->endpoints, ", \t\n")])
            return cli_fail(CLI_USAGE,
                            "health asks one node: say --data-dir DIR, --admin SOCKET or one --endpoints URI");
        (void)snprintf(uri, size, "%s", cli->endpoints);
        return CLI_OK;
    }
    if (cli->admin)
        (void)snprintf(path, sizeof path, "%s", cli->admin);
    else
        (void)snprintf(path, sizeof path, "%s/admin.sock", cli->data_dir);
    if (path[0] == '/') {
        (void)snprintf(uri, size, "unix://%s", path);
    } else {
        char here[PATH_MAX];

        if (!getcwd(here, sizeof here))
            return cli_fail(CLI_FAILED, "no working directory: %s", strerror(errno));
        (void)snprintf(uri, size, "unix://%s/%s", here, path);
    }
    return CLI_OK;
}

/* The socket appears with the node, so a client is made for each look. */
static void look(const char *uri, const struct cli *cli, bool whole, uint64_t timeout_ms, struct looked *looked)
{
    struct gavel_client_options options = gavel_client_defaults();
    struct gavel_request request = gavel_request_defaults();
    struct gavel_client *client = NULL;
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};
    int32_t status;

    options.endpoints = uri;
    options.name = "gavel health";
    options.serializer = cli->serializer;
    options.stay = 1;
    request.machine = "gavel";
    request.command = "status";
    request.read = GAVEL_STALE;
    request.flags = GAVEL_REPEATABLE;
    request.timeout_ms = timeout_ms;
    status = gavel_client_open(&options, &client, &error);
    if (status == GAVEL_OK)
        status = gavel_call(client, &request, &result, &error);
    if (status < 0) {
        looked->code = status == GAVEL_E_INVALID ? CLI_USAGE : CLI_NO_QUORUM;
        (void)snprintf(looked->line, sizeof looked->line, "not live: %s", error.text);
    } else {
        struct gavel_slice role = gavel_get_bytes(result->value, "role");
        struct gavel_slice leader = gavel_get_bytes(result->value, "leader");
        bool good = gavel_get_bool(result->value, "ready", 0) != 0;

        looked->code = good || !whole ? CLI_OK : CLI_FALSE;
        (void)snprintf(looked->line, sizeof looked->line, "%s: %.*s%s%.*s, term %llu",
                       good ? "ready" : "live, not ready", (int)role.size, (const char *)role.data,
                       leader.size ? ", leader " : "", (int)leader.size,
                       (const char *)leader.data, (unsigned long long)gavel_get_uint(result->value, "term", 0));
    }
    gavel_result_free(result);
    gavel_client_close(client);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static bool live;
static bool ready;
static uint64_t wait_ms;

const struct usage_option cli_health_options[] = {
    {"live", 0, USAGE_FLAG, NULL, "Ask only whether it is live", &live},
    {"ready", 0, USAGE_FLAG, NULL, "Ask whether it is ready, as without any option", &ready},
    {"wait", 0, USAGE_DURATION, "TIME", "Ask again until it is, or this time is over", &wait_ms},
    {.name = NULL},
};

int cli_area_health(struct cli *cli, int count, char **words)
{
    static const struct timespec step = {.tv_nsec = HEALTH_STEP_MS * 1000000L};
    struct looked looked = {.code = CLI_FAILED};
    char uri[PATH_MAX * 2 + 16];
    uint64_t until;
    int code;

    live = ready = false;
    wait_ms = 0;
    code = cli_options_take(cli, cli_health_options, count, words);
    if (code == CLI_OK && (cli->word_count > 1 || (live && ready)))
        code = cli_misused(cli, "gavel health [--live | --ready] [--wait TIME]");
    if (code == CLI_OK)
        code = whom(cli, uri, sizeof uri);
    if (code != CLI_OK)
        return code;
    until = now_ms() + wait_ms;
    for (;;) {
        look(uri, cli, !live, cli->timeout_ms ? cli->timeout_ms : HEALTH_MS, &looked);
        if (looked.code == CLI_OK || looked.code == CLI_USAGE || now_ms() >= until)
            break;
        (void)nanosleep(&step, NULL);
    }
    if (looked.code == CLI_OK) {
        printf("%s\n", looked.line);
        return CLI_OK;
    }
    return cli_fail(looked.code, "%s", looked.line);
}
