/* SPDX-License-Identifier: Apache-2.0 */
/* cli_ask.c - the status of several nodes, asked at the same time, each of that node alone. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cli_node_uri(const struct cli *cli, char *uri, size_t size)
{
    char path[PATH_MAX];
    char here[PATH_MAX];

    if (cli->admin)
        (void)snprintf(path, sizeof path, "%s", cli->admin);
    else
        (void)snprintf(path, sizeof path, "%s/admin.sock", cli->data_dir);
    if (path[0] == '/') {
        (void)snprintf(uri, size, "unix://%s", path);
        return CLI_OK;
    }
    if (!getcwd(here, sizeof here))
        return cli_fail(CLI_FAILED, "no working directory: %s", strerror(errno));
    (void)snprintf(uri, size, "unix://%s/%s", here, path);
    return CLI_OK;
}

static int32_t connect_to(struct cli_asked *asked)
{
    struct gavel_client_options options = gavel_client_defaults();

    if (asked->client)
        return GAVEL_OK;
    options.endpoints = asked->uri;
    options.name = asked->asker;
    options.serializer = asked->serializer;
    options.stay = 1;
    return gavel_client_open(&options, &asked->client, &asked->error);
}

static void *ask(void *context)
{
    struct cli_asked *asked = context;
    struct gavel_request request = gavel_request_defaults();

    asked->status = connect_to(asked);
    if (asked->status != GAVEL_OK)
        return NULL;
    request.machine = "gavel";
    request.command = "status";
    request.read = GAVEL_STALE;
    request.flags = GAVEL_REPEATABLE;
    request.timeout_ms = asked->timeout_ms;
    asked->status = gavel_call(asked->client, &request, &asked->result, &asked->error);
    if (asked->status < 0)
        (void)gavel_client_tried(asked->client, asked->error.text, sizeof asked->error.text);
    return NULL;
}

int cli_ask_begin(const struct cli *cli, const char *asker, uint64_t timeout_ms, struct cli_asked **list)
{
    struct cli_asked *asked = calloc(GAVEL_CLIENT_ENDPOINTS, sizeof *asked);
    const char *at = cli->endpoints;
    int count = 0;

    *list = asked;
    if (!asked)
        return 0;
    if (cli->admin || cli->data_dir) {
        if (cli_node_uri(cli, asked[0].uri, sizeof asked[0].uri) != CLI_OK)
            return 0;
        count = 1;
    }
    while (count < GAVEL_CLIENT_ENDPOINTS && *at && !cli->admin && !cli->data_dir) {
        size_t size = strcspn(at, ", \t\n");

        if (size && size < sizeof asked[count].uri)
            memcpy(asked[count++].uri, at, size); /* the rest is zero */
        at += size;
        at += strspn(at, ", \t\n");
    }
    for (int i = 0; i < count; i++) {
        asked[i].asker = asker;
        asked[i].serializer = cli->serializer;
        asked[i].timeout_ms = timeout_ms;
    }
    return count;
}

void cli_ask_all(struct cli_asked *asked, int count)
{
    for (int i = 0; i < count; i++) {
        gavel_result_free(asked[i].result);
        asked[i].result = NULL;
        asked[i].started = pthread_create(&asked[i].thread, NULL, ask, &asked[i]) == 0;
        if (!asked[i].started)
            (void)ask(&asked[i]);
    }
    for (int i = 0; i < count; i++)
        if (asked[i].started)
            (void)pthread_join(asked[i].thread, NULL);
}

void cli_ask_end(struct cli_asked *asked, int count)
{
    for (int i = 0; i < count; i++) {
        gavel_result_free(asked[i].result);
        gavel_client_close(asked[i].client);
    }
    free(asked);
}

const char *cli_asked_failure(const struct cli_asked *asked)
{
    size_t size = strlen(asked->uri);

    return strncmp(asked->error.text, asked->uri, size) == 0 && asked->error.text[size] == ':'
               ? asked->error.text + size + 2
               : asked->error.text;
}

const struct cli_asked *cli_asked_best(const struct cli_asked *asked, int count)
{
    const struct cli_asked *best = NULL;
    uint64_t term_best = 0;
    int rank_best = 0;

    for (int i = 0; i < count; i++) {
        struct gavel_slice role;
        uint64_t term;
        int rank;

        if (asked[i].status < 0)
            continue;
        role = gavel_get_bytes(asked[i].result->value, "role");
        term = gavel_get_uint(asked[i].result->value, "term", 0);
        rank = gavel_slice_equal(role, gavel_text("leader")) ? 3
               : gavel_get_bytes(asked[i].result->value, "leader").size ? 2 : 1;
        /* Of two that lead the newer does: the other one has yet to hear of it. */
        if (rank > rank_best || (rank == rank_best && term > term_best)) {
            best = &asked[i];
            rank_best = rank;
            term_best = term;
        }
    }
    return best;
}

bool cli_asked_leader(const struct cli_asked *best)
{
    return best && gavel_get_bytes(best->result->value, "leader").size > 0;
}
