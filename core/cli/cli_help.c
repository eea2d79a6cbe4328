/* SPDX-License-Identifier: Apache-2.0 */
/* cli_help.c - help made from the machines' own tables, so that every plugin has a manual at once. */
#include "cli.h"

#include <string.h>

#include <gavel/statemachine.h>

static void print_row(const struct gavel_field *row, unsigned indent)
{
    uint64_t i;

    printf("%*s%-14s %s%s", (int)indent, "", row->name, codec_type_name(row->type),
           row->flags & GAVEL_REQUIRED ? ", required" : "");
    if (row->type == GAVEL_LIST && row->element)
        printf(" of %s", codec_type_name(row->element));
    for (i = 0; row->choices && row->choices[i]; i++)
        printf("%s%s", i ? " | " : ": ", row->choices[i]);
    if (row->fallback)
        printf(", default %s", row->fallback[0] ? row->fallback : "\"\"");
    if (row->min != 0 || row->max != 0)
        printf(", %lld to %lld%s%s", (long long)row->min, (long long)row->max, row->unit ? " " : "",
               row->unit ? row->unit : "");
    else if (row->unit)
        printf(", in %s", row->unit);
    if (row->help)
        printf("\n%*s%-14s %s", (int)indent, "", "", row->help);
    putchar('\n');
}

/* The rows of a table, and below each the rows of its own table. Nesting is bounded by what rebuild accepts. */
static void print_fields(const struct gavel_fields *fields, unsigned indent)
{
    struct gavel_field copy;
    uint64_t i;

    for (i = 0; fields && i < fields->count; i++) {
        const struct gavel_field *row = codec_row(fields, i, &copy);

        print_row(row, indent);
        if (row->sub)
            print_fields(row->sub, indent + 4);
    }
}

int cli_help_command(struct cli *cli, const char *name)
{
    const struct client_command *command;
    int code = cli_tables(cli);

    if (code != CLI_OK)
        return code;
    command = cli_command(cli, name);
    if (!command)
        return CLI_USAGE;
    printf("%s%s.%s%s (%s)\n", cli_bold(), command->machine, command->name, cli_plain(),
           command->flags & GAVEL_READ ? "read" : "write");
    if (command->help)
        printf("  %s\n", command->help);
    if (command->fields) {
        printf("\narguments:\n");
        print_fields(command->fields, 2);
    }
    if (command->example)
        printf("\nexample:\n  gavel call %s.%s %s\n", command->machine, command->name, command->example);
    return CLI_OK;
}

static int help_all(struct cli *cli)
{
    const char *machine = NULL;
    uint32_t i;
    int code;

    cli_usage(stdout);
    code = cli_tables(cli);
    if (code != CLI_OK)
        return code;
    for (i = 0; i < cli->schema->count; i++) {
        const struct client_command *command = &cli->schema->commands[i];

        if (!machine || strcmp(machine, command->machine) != 0)
            printf("\n%s%s%s\n", cli_bold(), command->machine, cli_plain());
        machine = command->machine;
        printf("  %-20s %s\n", command->name, command->help ? command->help : "");
    }
    return CLI_OK;
}

int cli_area_help(struct cli *cli, int count, char **words)
{
    int code = cli_options_take(cli, NULL, count, words);

    if (code != CLI_OK)
        return code;
    if (cli->word_count > 2)
        return cli_fail(CLI_USAGE, "help is about one command at a time");
    return cli->word_count == 2 ? cli_help_command(cli, cli->words[1]) : help_all(cli);
}
