/* SPDX-License-Identifier: Apache-2.0 */
/* cli_init.c - gavel init: commented INIs for a cluster on this machine, and the script that starts it. */
#include "cli.h"

#include <string.h>

#include "core/host/sample.h"

#ifdef CLIENT_WEBSOCKET
#define INIT_TRANSPORT "websocket"
#else
#define INIT_TRANSPORT "tcp"
#endif

static int take_machines(const char *given, char *memory, size_t size, const char **machines)
{
    size_t count = 0;
    char *rest = memory;
    char *name;

    if (strlen(given) >= size)
        return cli_fail(CLI_USAGE, "--machines is too long");
    memcpy(memory, given, strlen(given) + 1);
    while ((name = strsep(&rest, ", ")) != NULL) {
        if (!*name)
            continue;
        if (count == HOST_SAMPLE_MACHINES_MAX)
            return cli_fail(CLI_USAGE, "more than %d machines", HOST_SAMPLE_MACHINES_MAX);
        machines[count++] = name;
    }
    machines[count] = NULL;
    return CLI_OK;
}

/* A plugin may be installed later; but it may be a slip too, and the nodes would tell of it last. */
static void warn_missing(struct host_loader *loader, const char *plugin_dir, const char *name, uint64_t kind)
{
    struct gavel_error error = {0, ""};
    const struct host_plugin *plugin;

    if (host_load(loader, plugin_dir, name, kind, NULL, &plugin, &error) != GAVEL_OK)
        fprintf(stderr, "gavel: warning: the nodes will not start yet: %s\n", error.text);
}

/* Whether the endpoints of a user, separated as gavel takes them, hold this one. */
static bool is_listed(const char *endpoints, const char *uri)
{
    size_t size = strlen(uri);

    for (const char *at = strstr(endpoints, uri); at; at = strstr(at + 1, uri))
        if ((at == endpoints || strchr(", \t\n", at[-1])) && (!at[size] || strchr(", \t\n", at[size])))
            return true;
    return false;
}

/* Where the nodes are, when that is not where this user's gavel looks by itself. */
static void print_endpoints(const struct cli *cli, const struct host_sample *sample)
{
    char uri[128];

    (void)snprintf(uri, sizeof uri, "%s://127.0.0.1:%u", sample->scheme, sample->port);
    if (is_listed(cli->endpoints, uri))
        return;
    printf("gavel has to be told where the nodes are, by --endpoints or once for all that follows:\n"
           "    export GAVEL_ENDPOINTS=");
    for (unsigned i = 0; i < sample->nodes; i++)
        printf("%s%s://127.0.0.1:%u", i ? "," : "", sample->scheme, sample->port + i);
    printf("\n");
}

static uint64_t nodes, port;
static const char *transport, *list;

const struct usage_option cli_init_options[] = {
    {"nodes", 'n', USAGE_NUMBER, "N", "Nodes of the cluster, at most 9; 3", &nodes},
    {"port", 'p', USAGE_NUMBER, "PORT", "Port of the first node, the others follow; 8080", &port},
    {"transport", 0, USAGE_TEXT, "TRANSPORT", "The transport's plugin; " INIT_TRANSPORT, &transport},
    {"machines", 0, USAGE_TEXT, "MACHINE,...", "The state machines' plugins; workflow", &list},
    {.name = NULL},
};

int cli_area_init(struct cli *cli, int count, char **words)
{
    const char *machines[HOST_SAMPLE_MACHINES_MAX + 1];
    char memory[1024];
    struct host_sample sample = {0};
    struct gavel_error error = {0, ""};
    struct host_loader loader = {.count = 0};
    int32_t status;
    unsigned i;
    int code;

    nodes = 3;
    port = HOST_SAMPLE_PORT;
    transport = INIT_TRANSPORT;
    list = "workflow";
    code = cli_options_take(cli, cli_init_options, count, words);
    if (code == CLI_OK)
        code = take_machines(list, memory, sizeof memory, machines);
    if (code != CLI_OK)
        return code;
    if (cli->word_count != 2)
        return cli_misused(cli, "gavel init [--nodes N] [--port P] [--transport NAME] [--machines NAME,...] DIR");
    if (nodes < 1 || nodes > HOST_SAMPLE_NODES_MAX || port < 1 || port > 65536 - nodes)
        return cli_fail(CLI_USAGE, "1 to %d nodes, on ports from 1 to 65535", HOST_SAMPLE_NODES_MAX);
    sample.dir = cli->words[1];
    sample.nodes = (unsigned)nodes;
    sample.port = (unsigned)port;
    sample.transport = transport;
    sample.scheme = strcmp(transport, "websocket") == 0 ? "ws" : transport;
    sample.machines = machines;
    sample.loader = &loader; /* what is installed here tells its keys; the rest is named by a comment */
    sample.plugin_dir = cli_plugin_dir();
    status = host_sample_write(&sample, &error);
    if (status == GAVEL_OK) {
        warn_missing(&loader, sample.plugin_dir, transport, GAVEL_KIND_TRANSPORT);
        for (i = 0; machines[i]; i++)
            warn_missing(&loader, sample.plugin_dir, machines[i], GAVEL_KIND_STATEMACHINE);
    }
    host_loader_free(&loader);
    if (status != GAVEL_OK)
        return cli_fail(CLI_FAILED, "%s", error.text);
    printf("%s/node-1.ini%s written, and %s/start.sh: run it to start the cluster\n", sample.dir,
           nodes > 1 ? " and its fellows" : "", sample.dir);
    print_endpoints(cli, &sample);
    return CLI_OK;
}
