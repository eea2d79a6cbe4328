/* SPDX-License-Identifier: Apache-2.0 */
/* cli_main.c - `gavel`: runs the area that the first word names; a word that names none is a command of a machine. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int cli_fail(int code, const char *format, ...)
{
    char text[8192]; /* a sentence of somebody else's may be in it: it must not drive the terminal */
    va_list arguments;

    (void)fflush(stdout);
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fputs("gavel: ", stderr);
    cli_put_plain(stderr, text);
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
    fputs(level >= GAVEL_LOG_WARN ? "gavel: warning: " : "gavel: ", stderr);
    cli_put_plain(stderr, text);
    fputc('\n', stderr);
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
        return cli_fail(CLI_FAILED, "no node answers at %s: %s%s", path, strerror(errno),
                        errno == EACCES ? "; ask as the user that the node runs as" : "");
    (void)snprintf(uri, sizeof uri, "unix://%s", full);
    free(full);
    return open_client(cli, uri, GAVEL_ROLE_ADMIN);
}

/* Whether an area has that option, and it takes a value there. */
static bool takes_value(const struct usage_option *options, const char *word)
{
    const struct usage_option *option = usage_find(options, word);

    return option && option->kind != USAGE_FLAG && !strchr(word, '=') && (word[1] == '-' || !word[2]);
}

/*
 * The first word that is no option, without judging options: each area knows its own. One that is a flag in an area and
 * takes a value in another one (--json) stands behind the area's name.
 */
static const char *first_word(struct cli *cli, int count, char **words)
{
    int i;

    for (i = 0; i < count; i++) {
        const struct cli_area *area;
        bool value = takes_value(cli_options_general(cli), words[i]);

        if (words[i][0] != '-' || !words[i][1])
            return words[i];
        for (area = cli_areas; area->name && !value; area++)
            value = takes_value(area->options, words[i]) && strcmp(words[i], "--json") != 0;
        i += value;
    }
    return NULL;
}

/* "gavel AREA --help". Those that lead to a command of a machine look for it themselves. */
static bool wants_help(const struct cli_area *area, int count, char **words)
{
    bool leads = area->run == cli_area_call || area->run == cli_area_command || area->run == cli_area_workflow;

    for (int i = 0; i < count && !leads && strcmp(words[i], "--") != 0; i++)
        if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0)
            return area->help != NULL;
    return false;
}

static int run(struct cli *cli, int count, char **words)
{
    const char *name = first_word(cli, count, words);
    const struct cli_area *area = name ? cli_area_find(name) : NULL;

    if (area && wants_help(area, count, words))
        return cli_help_command(cli, area->name);
    if (area)
        return area->run(cli, count, words);
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
    if (count > 1 && strcmp(words[1], "--complete") == 0)
        code = cli_complete(&cli, count - 2, words + 2);
    else
        code = run(&cli, count - 1, words + 1);
    client_schema_free(cli.schema);
    gavel_client_close(cli.client);
    if (fflush(stdout) != 0 && code == CLI_OK)
        code = CLI_FAILED;
    return code;
}
