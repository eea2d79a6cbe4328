/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_node.c - nodes that are no members: a worker, or whatever starts it, registers it by name and goes on giving
 * signs of life. No socket is needed: a client may do that.
 */
#include "cli.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "core/codec/capability.h"

#define TTL_MS 30000 /* as the cluster's own default */

static struct node_words {
    uint64_t ttl_ms;
    bool hold;
} options;

const struct usage_option cli_node_options[] = {
    {"ttl", 0, USAGE_DURATION, "TIME",
     "Of register: it is taken out when there was no sign of life for so long, 1s to 24h; 30s", &options.ttl_ms},
    {"hold", 0, USAGE_FLAG, NULL,
     "Of register: stay, and give signs of life; SIGINT and SIGTERM take it out again", &options.hold},
    {.name = NULL},
};

static int usage(const struct cli *cli)
{
    (void)cli_misused(cli, "gavel node list");
    fputs("       gavel node register NAME [ADDRESS] [CAPABILITY=VALUE...] [--ttl TIME] [--hold]\n"
          "       gavel node keep|deregister NAME\n", stderr);
    return CLI_USAGE;
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

static void print_nodes(struct gavel_slice list)
{
    struct codec_walk walk;
    struct gavel_slice key, node, name;

    printf("%s%-20s %8s %8s %s%s\n", cli_bold(), "name", "ttl", "heard", "address  capabilities", cli_plain());
    codec_walk_begin(&walk, list);
    while (codec_walk_next(&walk, &key, &node)) {
        name = gavel_get_bytes(node, "name");
        printf("%-20.*s %7.1fs %7.1fs ", (int)name.size, (const char *)name.data,
               (double)gavel_get_uint(node, "ttl_ms", 0) / 1000.0, (double)gavel_get_uint(node, "age_ms", 0) / 1000.0);
        cli_print_value(codec_map_find(node, "address"), stdout);
        cli_print_capabilities(node);
        putchar('\n');
    }
}

static int list(struct cli *cli)
{
    struct gavel_result *result = NULL;
    int code = cli_connect(cli);

    if (code == CLI_OK)
        code = cli_call_node(cli, "node_list", NULL, &result);
    if (code != CLI_OK)
        return code;
    if (cli->json)
        code = cli_print(cli, result->value);
    else
        print_nodes(result->value);
    gavel_result_free(result);
    return code;
}

/* ---- coming and going -------------------------------------------------------------------------------------------- */

static int said(const struct cli *cli, const char *what, int32_t status, const struct gavel_error *error)
{
    if (status < 0)
        return cli_error(status, error);
    if (!cli->json)
        printf("%s %s\n", cli->words[2], what);
    (void)fflush(stdout);
    return CLI_OK;
}

/* "zone=a" in a word of the command line, which is ours to cut. */
static int read_words(struct cli *cli, struct gavel_node_options *node,
                      struct gavel_node_capability capabilities[CAPABILITY_PAIRS_MAX],
                      char names[CAPABILITY_PAIRS_MAX][CAPABILITY_NAME_MAX + 2])
{
    for (int i = 3; i < cli->word_count; i++) {
        const char *equals = strchr(cli->words[i], '=');
        const char *slashes = strstr(cli->words[i], "://");
        uint64_t at = node->capability_count;

        if (slashes && (!equals || slashes < equals) && !node->address && i == 3) {
            node->address = cli->words[i];
            continue;
        }
        if (!equals || equals == cli->words[i])
            return cli_fail(CLI_USAGE, "'%s' is neither an address such as tcp://worker:9000 nor CAPABILITY=VALUE",
                            cli->words[i]);
        if (at == CAPABILITY_PAIRS_MAX)
            return cli_fail(CLI_USAGE, "a node has at most %d capabilities", CAPABILITY_PAIRS_MAX);
        (void)snprintf(names[at], CAPABILITY_NAME_MAX + 2, "%.*s", (int)(equals - cli->words[i]), cli->words[i]);
        capabilities[at].name = names[at];
        capabilities[at].value = equals + 1;
        node->capability_count++;
    }
    node->capabilities = capabilities;
    return CLI_OK;
}

/* A third of the time, so that two signs may be lost. */
static struct timespec pause_of(uint64_t ttl_ms)
{
    uint64_t ms = ttl_ms / 3;

    return (struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000 * 1000000)};
}

/* Until a signal comes. What expired meanwhile (the cluster was away, this machine slept) is registered anew. */
static int hold(struct cli *cli, const struct gavel_node_options *node, const sigset_t *signals)
{
    struct timespec pause = pause_of(node->ttl_ms);
    struct gavel_error error = {0, ""};
    bool complained = false;
    int32_t status;

    while (sigtimedwait(signals, NULL, &pause) < 0) {
        status = gavel_node_register(cli->client, node, &error);
        if (status < 0 && !complained)
            (void)cli_error(status, &error);
        complained = status < 0;
    }
    status = gavel_node_deregister(cli->client, node->name, &error);
    return status == GAVEL_E_NOT_FOUND ? CLI_OK : said(cli, "was taken out", status, &error);
}

static int enter(struct cli *cli)
{
    struct gavel_node_capability capabilities[CAPABILITY_PAIRS_MAX];
    char names[CAPABILITY_PAIRS_MAX][CAPABILITY_NAME_MAX + 2];
    struct gavel_node_options node = gavel_node_defaults();
    struct gavel_error error = {0, ""};
    sigset_t signals;
    int32_t status;
    int code;

    node.name = cli->words[2];
    node.ttl_ms = options.ttl_ms ? options.ttl_ms : TTL_MS;
    code = read_words(cli, &node, capabilities, names);
    if (code != CLI_OK)
        return code;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    if (options.hold) /* before the library's thread begins: it must not take them */
        (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    code = cli_connect(cli);
    if (code != CLI_OK)
        return code;
    status = gavel_node_register(cli->client, &node, &error);
    code = said(cli, "is registered", status, &error);
    return code == CLI_OK && options.hold ? hold(cli, &node, &signals) : code;
}

int cli_area_node(struct cli *cli, int count, char **words)
{
    struct gavel_error error = {0, ""};
    const char *verb;
    int code;

    options = (struct node_words){0};
    code = cli_options_take(cli, cli_node_options, count, words);
    if (code != CLI_OK)
        return code;
    verb = cli->word_count > 1 ? cli->words[1] : "";
    if (strcmp(verb, "list") == 0 && cli->word_count == 2)
        return list(cli);
    if (strcmp(verb, "register") == 0 && cli->word_count > 2)
        return enter(cli);
    if (cli->word_count != 3 || (strcmp(verb, "keep") != 0 && strcmp(verb, "deregister") != 0))
        return usage(cli);
    code = cli_connect(cli);
    if (code != CLI_OK)
        return code;
    if (strcmp(verb, "keep") == 0)
        return said(cli, "goes on", gavel_node_keep(cli->client, cli->words[2], &error), &error);
    return said(cli, "was taken out", gavel_node_deregister(cli->client, cli->words[2], &error), &error);
}
