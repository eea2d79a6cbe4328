/* SPDX-License-Identifier: Apache-2.0 */
/* cli_main.c - `gavel`: finds the area that the first word names; a word that names none is a command of a machine. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct area {
    const char *name;
    int (*run)(struct cli *cli, int count, char **words);
    const char *usage; /* after "gavel"; NULL: not listed */
};

static const struct area areas[] = {
    {"call", cli_area_call, "call [MACHINE.]COMMAND [KEY=VALUE... | --json OBJECT]   any command of any machine"},
    {"help", cli_area_help, "help [COMMAND]                the machines' commands, their arguments and examples"},
    {"del", cli_area_del, "get | set | del | update | incr | cas ...   the store: values in order, or KEY=VALUE"},
    {"delete", cli_area_del, NULL},
    {"list", cli_area_list, "list [PREFIX] [--from K] [--to K] [--limit N] [--keys | --count]"},
    {"batch", cli_area_batch, "batch OPERATION... | FILE | -   \"set a 1\" \"delete b\": all of them or none"},
    {"workflow", cli_area_workflow, "workflow start|stop|update|list [ID] [DATA]"},
    {"status", cli_area_status, "status [--json]               the cluster on one screen"},
    {"members", cli_area_members, "members                       who belongs to it"},
    {"member", cli_area_member, "member list|add|remove|promote|demote|replace|update [NAME] [ADDRESS,...]"},
    {"metrics", cli_area_metrics, "metrics                       the figures of one node"},
    {"events", cli_area_events, "events [--count N] [--json]   follow what happens"},
    {"leader", cli_area_leader, "leader transfer [--to NAME]   (through --admin SOCKET or --data-dir DIR)"},
    {"snapshot", cli_area_snapshot, "snapshot                      take one now (the same)"},
    {"log-level", cli_area_log_level, "log-level MODULE LEVEL        (the same)"},
    {"stop", cli_area_stop, "stop                          stop that node cleanly (the same)"},
    {"data", cli_area_data, "data check|dump|repair DIR    read a data directory off line"},
    {"init", cli_area_init, "init [--nodes N] DIR          write INIs for a cluster and a script that starts it"},
    {"plugin", cli_area_plugin, "plugin new NAME [--kind KIND] [--language c|c++|rust]   a project to begin with"},
    {"bench", cli_area_bench, "bench [--connections N] [--seconds S] [--size BYTES] [--reads PERCENT]"},
};

void cli_usage(FILE *out)
{
    size_t i;

    fputs("usage: gavel [OPTION...] AREA ...\n\n", out);
    for (i = 0; i < sizeof areas / sizeof areas[0]; i++)
        if (areas[i].usage)
            fprintf(out, "  gavel %s\n", areas[i].usage);
    fputs("  gavel [MACHINE.]COMMAND ...         the same as gavel call\n\n"
          "  -e, --endpoints URI,...   nodes to ask (or GAVEL_ENDPOINTS)    -t, --timeout 5s\n"
          "  -o, --output table|json                                      -m, --machine NAME\n"
          "      --stale   reads that need no leader      --retry   writes in a session, safe to send again\n"
          "      --admin SOCKET | --data-dir DIR          for the commands of operators\n"
          "      --serializer msgpack|json   -v, --verbose   -h, --help   -V, --version\n\n"
          "exit codes: 0 ok, 1 failed, 2 not found or condition false, 3 no quorum, 4 outcome unknown, 5 denied, "
          "64 usage\n", out);
}

int cli_fail(int code, const char *format, ...)
{
    va_list arguments;

    (void)fflush(stdout);
    fputs("gavel: ", stderr);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return code;
}

int cli_error(int32_t status, const struct gavel_error *error)
{
    int code = CLI_FAILED;

    switch (status) {
    case GAVEL_E_NOT_FOUND:
    case GAVEL_E_CONDITION:
        code = CLI_FALSE;
        break;
    case GAVEL_E_NO_LEADER:
    case GAVEL_E_TIMEOUT:
        code = CLI_NO_QUORUM;
        break;
    case GAVEL_E_UNKNOWN:
        code = CLI_UNKNOWN;
        break;
    case GAVEL_E_DENIED:
        code = CLI_DENIED;
        break;
    case GAVEL_E_INVALID:
        code = CLI_USAGE;
        break;
    default:
        break;
    }
    return cli_fail(code, "%s", error->text);
}

static void log_line(void *context, uint64_t level, const char *text)
{
    (void)context;
    fprintf(stderr, "gavel: %s%s\n", level >= GAVEL_LOG_WARN ? "warning: " : "", text);
}

static int open_client(struct cli *cli, const char *endpoints, uint64_t role)
{
    struct gavel_client_options options = gavel_client_defaults();
    struct gavel_error error = {0, ""};
    int32_t status;

    if (cli->client)
        return CLI_OK;
    options.endpoints = endpoints;
    options.name = "gavel";
    options.serializer = cli->serializer;
    options.timeout_ms = cli->timeout_ms;
    options.role = role;
    options.stay = role == GAVEL_ROLE_ADMIN;
    if (cli->verbose)
        options.log = log_line;
    status = gavel_client_open(&options, &cli->client, &error);
    return status == GAVEL_OK ? CLI_OK : cli_error(status, &error);
}

int cli_connect(struct cli *cli)
{
    return open_client(cli, cli->endpoints, GAVEL_ROLE_CLIENT);
}

int cli_connect_admin(struct cli *cli)
{
    char path[1024];
    char *full;
    char uri[PATH_MAX + 8];

    if (!cli->admin && !cli->data_dir)
        return cli_fail(CLI_USAGE, "this goes through a node's admin socket: say --admin SOCKET or --data-dir DIR");
    if (cli->admin)
        (void)snprintf(path, sizeof path, "%s", cli->admin);
    else
        (void)snprintf(path, sizeof path, "%s/admin.sock", cli->data_dir);
    full = realpath(path, NULL);
    if (!full)
        return cli_fail(CLI_FAILED, "no node answers at %s: %s", path, strerror(errno));
    (void)snprintf(uri, sizeof uri, "unix://%s", full);
    free(full);
    return open_client(cli, uri, GAVEL_ROLE_ADMIN);
}

/* The first word that is no option, without judging options: each area knows its own. */
static const char *first_word(int count, char **words)
{
    static const char *const with_value[] = {"-e", "-o", "-m", "-t", "--endpoints", "--output", "--machine",
                                             "--timeout", "--serializer", "--admin", "--data-dir", "--role",
                                             "--priority", "--if-version", "--wait", "-k", "--kind", "-l",
                                             "--language", "--dir", "--template"};
    int i;
    size_t k;

    for (i = 0; i < count; i++) {
        if (words[i][0] != '-' || !words[i][1])
            return words[i];
        for (k = 0; k < sizeof with_value / sizeof with_value[0]; k++)
            if (strcmp(words[i], with_value[k]) == 0) {
                i++;
                break;
            }
    }
    return NULL;
}

static int run(struct cli *cli, int count, char **words)
{
    const char *name = first_word(count, words);
    size_t i;

    for (i = 0; name && i < sizeof areas / sizeof areas[0]; i++)
        if (strcmp(areas[i].name, name) == 0)
            return areas[i].run(cli, count, words);
    if (name)
        return cli_area_command(cli, count, words);
    if (cli_options_take(cli, NULL, count, words) != CLI_OK)
        return CLI_USAGE;
    if (cli->version) {
        printf("gavel %s\n", gavel_client_version());
        return CLI_OK;
    }
    cli_usage(cli->help ? stdout : stderr);
    return cli->help ? CLI_OK : CLI_USAGE;
}

int main(int count, char **words)
{
    struct cli cli = {0};
    int code;

    (void)signal(SIGPIPE, SIG_IGN);
    cli.endpoints = getenv("GAVEL_ENDPOINTS");
    if (!cli.endpoints || !*cli.endpoints)
        cli.endpoints = CLI_ENDPOINTS;
    cli.output = "table";
    code = run(&cli, count - 1, words + 1);
    client_schema_free(cli.schema);
    gavel_client_close(cli.client);
    if (fflush(stdout) != 0 && code == CLI_OK)
        code = CLI_FAILED;
    return code;
}
