/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_help.c - help made from tables: that of areas and options, and the machines' own, so that every plugin has a
 * manual at once. With --man it is the sections of gavel(1).
 */
#include "cli.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <gavel/statemachine.h>

#include "core/host/roff.h"
#include "core/host/shell.h"
#include "core/host/words.h"
#include "core/os/clean.h"

#define HELP_TIMEOUT_MS 2000 /* for a node to answer, unless --timeout is given: the plugins here know most of it */
#define HELP_WIDTH 100
#define NAME_COLUMNS 16 /* of an argument's name */

static bool plugins, man;

const struct usage_option cli_help_options[] = {
    {"plugins", 0, USAGE_FLAG, NULL, "Ask no node: tell of the plugins that are installed here", &plugins},
    {"man", 0, USAGE_FLAG, NULL, "Print options and areas as sections of a manual page", &man},
    {.name = NULL},
};

/* ---- commands of machines ---------------------------------------------------------------------------------------- */

/* The tables, from a node or from what is installed. */
static int tables(struct cli *cli)
{
    struct gavel_buffer described = codec_buffer(0);
    int code = CLI_FAILED;

    if (cli->schema)
        return CLI_OK;
    if (!plugins) {
        if (cli->timeout_ms == 0)
            cli->timeout_ms = HELP_TIMEOUT_MS;
        code = cli_tables(cli);
    }
    if (code == CLI_OK)
        return CLI_OK;
    if (cli_tables_installed(&described, true) > 0) {
        if (!plugins)
            fprintf(stderr, "gavel: these are the commands of the plugins in %s\n", cli_plugin_dir());
        code = cli_tables_take(cli, gavel_buffer_slice(&described));
    } else if (plugins) {
        code = cli_fail(CLI_FAILED, "there are no state machines in %s", cli_plugin_dir());
    }
    gavel_buffer_free(&described);
    return code;
}

/* Sentences gathered in a text, with blanks between. */
static void gather(void *context, const char *sentence)
{
    (void)fprintf(context, "%s ", sentence);
}

static void print_row(const struct gavel_field *row, unsigned where, unsigned indent)
{
    os_autofree char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    int used = printf("%*s%s", (int)indent, "", row->name);
    unsigned column = indent + NAME_COLUMNS;

    if (!out)
        return;
    host_words_say(row, where, gather, out);
    (void)fclose(out);
    if (used >= (int)column)
        printf("\n%*s", (int)column, "");
    else
        printf("%*s", (int)column - used, "");
    host_words_wrap(text, column, column, HELP_WIDTH, stdout);
}

/* The rows of a table, and below each the rows of its own table. Nesting is bounded by what rebuild accepts. */
static void print_fields(const struct gavel_fields *fields, unsigned where, unsigned indent)
{
    struct gavel_field copy;
    uint64_t i;

    for (i = 0; fields && i < fields->count; i++) {
        const struct gavel_field *row = codec_row(fields, i, &copy);

        print_row(row, where, indent);
        if (row->sub)
            print_fields(row->sub, HOST_IN_RECORD, indent + 4);
    }
}

static void print_command(const struct client_command *command)
{
    os_autofree char *help = host_words_sentence(command->help);

    printf("%s%s.%s%s (%s)\n", cli_bold(), command->machine, command->name, cli_plain(),
           command->flags & GAVEL_READ ? "read" : "write");
    if (help) {
        printf("  ");
        host_words_wrap(help, 2, 2, HELP_WIDTH, stdout);
    }
    if (command->fields) {
        printf("\narguments:\n");
        print_fields(command->fields, HOST_IN_COMMAND, 2);
    }
    if (command->example)
        printf("\nexample:\n  gavel call %s.%s %s\n", command->machine, command->name, command->example);
}

/* ---- areas ------------------------------------------------------------------------------------------------------- */

static void print_area(const struct cli_area *area)
{
    os_autofree char *help = host_words_sentence(area->help);

    printf("usage: gavel %s%s%s%s\n", area->name, area->options ? " [OPTION...]" : "", *area->words ? " " : "",
           area->words);
    if (help) {
        printf("  ");
        host_words_wrap(help, 2, 2, HELP_WIDTH, stdout);
    }
    if (area->options) {
        printf("\noptions, besides those of gavel --help:\n");
        usage_print_help(area->options, stdout);
    }
}

/* The commands of a machine, or of all (NULL), a line each. False: there is no such machine. */
static bool print_machines(const struct cli *cli, const char *only)
{
    const char *machine = NULL;
    uint32_t i;

    for (i = 0; i < cli->schema->count; i++) {
        const struct client_command *command = &cli->schema->commands[i];
        os_autofree char *help = host_words_sentence(command->help);

        if (only && strcmp(only, command->machine) != 0)
            continue;
        if (!machine || strcmp(machine, command->machine) != 0)
            printf("%s%s%s%s\n", only ? "" : "\n", cli_bold(), command->machine, cli_plain());
        machine = command->machine;
        printf("  %-20s %s\n", command->name, help ? help : "");
    }
    return machine != NULL;
}

int cli_help_command(struct cli *cli, const char *name)
{
    const struct cli_area *area = cli_area_find(name);
    const struct client_command *command;
    int code;

    if (area && area->help && area->run != cli_area_command) {
        print_area(area);
        return CLI_OK;
    }
    code = tables(cli);
    if (code != CLI_OK)
        return code;
    if (print_machines(cli, name))
        return CLI_OK;
    command = cli_command(cli, name);
    if (!command)
        return CLI_USAGE;
    print_command(command);
    return CLI_OK;
}

/* The first sentence of an area's help. */
static void print_short(const struct cli_area *area, FILE *out)
{
    os_autofree char *help = host_words_sentence(area->help);
    char *end = help ? strstr(help, ". ") : NULL;
    int used;

    if (!help)
        return;
    if (end)
        end[1] = 0;
    used = fprintf(out, "  %s%s%s", area->name, *area->words ? " " : "", area->words);
    fprintf(out, "%*s", used < 34 ? 34 - used : 0, "");
    if (used >= 34)
        fprintf(out, "\n%34s", "");
    host_words_wrap(help, 34, 34, HELP_WIDTH, out);
}

void cli_usage(FILE *out)
{
    struct cli none = {0};
    unsigned group;

    fputs("usage: gavel [OPTION...] AREA ...\n"
          "       gavel [OPTION...] [MACHINE.]COMMAND [KEY=VALUE... | VALUE... | --json OBJECT]\n", out);
    for (group = 0; group < CLI_GROUPS; group++) {
        fprintf(out, "\n%s\n", cli_group_names[group]);
        for (const struct cli_area *area = cli_areas; area->name; area++)
            if (area->group == group)
                print_short(area, out);
    }
    fputs("\nOptions\n", out);
    usage_print_help(cli_options_general(&none), out);
    fputs("\nexit codes: 0 ok, 1 failed, 2 not found or condition false, 3 no quorum, 4 outcome unknown, 5 denied, "
          "64 usage\n", out);
}

static int help_all(struct cli *cli)
{
    int code;

    cli_usage(stdout);
    code = tables(cli);
    if (code == CLI_OK)
        (void)print_machines(cli, NULL);
    return code;
}

/* ---- the manual page --------------------------------------------------------------------------------------------- */

/* "check|dump DIR" in mdoc: what is typed is Cm, what stands for something Ar. */
static void print_words(const char *words, FILE *out)
{
    while (*words) {
        size_t size = strspn(words, "abcdefghijklmnopqrstuvwxyz-");
        char word[64];

        if (size == 0)
            size = strspn(words, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        (void)snprintf(word, sizeof word, "%.*s", (int)size, words);
        if (size > 0 && islower((unsigned char)*word)) {
            fprintf(out, " Cm %s", word);
        } else if (size > 0) {
            fputs(" Ar ", out);
            for (const char *at = word; *at; at++)
                fputc(tolower((unsigned char)*at), out);
        } else if (*words == '[' || *words == ']') {
            fputs(*words == '[' ? " Oo" : " Oc", out);
            size = 1;
        } else if (*words == '|') {
            fputs(" |", out);
            size = 1;
        } else if (*words != ' ') {
            size = strcspn(words, " ]");
            fprintf(out, " Ns Li %.*s", (int)size, words);
        } else {
            size = 1;
        }
        words += size;
    }
}

static int print_page(void)
{
    struct cli none = {0};
    unsigned group;

    puts(".Sh OPTIONS\nOptions may stand anywhere;\n.Fl -\nends them.");
    usage_print_page(cli_options_general(&none), stdout);
    puts(".Sh AREAS");
    for (group = 0; group < CLI_GROUPS; group++) {
        printf(".Ss %s\n.Bl -tag -width Ds\n", cli_group_names[group]);
        for (const struct cli_area *area = cli_areas; area->name; area++) {
            os_autofree char *help = host_words_sentence(area->help);

            if (area->group != group || !help)
                continue;
            printf(".It Ic %s", area->name);
            print_words(area->words, stdout);
            putchar('\n');
            host_roff_prose(help, stdout);
            if (area->options)
                usage_print_page(area->options, stdout);
        }
        puts(".El");
    }
    return ferror(stdout) ? CLI_FAILED : CLI_OK;
}

int cli_area_help(struct cli *cli, int count, char **words)
{
    int code;

    plugins = man = false;
    code = cli_options_take(cli, cli_help_options, count, words);
    if (code != CLI_OK)
        return code;
    if (cli->word_count > 2)
        return cli_fail(CLI_USAGE, "help is about one command at a time");
    if (man)
        return print_page();
    return cli->word_count == 2 ? cli_help_command(cli, cli->words[1]) : help_all(cli);
}

int cli_area_completion(struct cli *cli, int count, char **words)
{
    int code = cli_options_take(cli, NULL, count, words);
    const char *script;

    if (code != CLI_OK)
        return code;
    script = cli->word_count == 2 ? shell_script(cli->words[1]) : NULL;
    if (!script)
        return cli_misused(cli, "gavel completion bash|zsh");
    return fputs(script, stdout) < 0 ? CLI_FAILED : CLI_OK;
}
