/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_options.c - options out of a command line: anywhere in it, --name value or --name=value, -o value; "--" ends
 * them.
 */
#include "cli.h"

#include <string.h>

const struct cli_option *cli_options_general(struct cli *cli)
{
    static struct cli_option rows[16];
    const struct cli_option made[] = {
        {"endpoints", 'e', CLI_TEXT, &cli->endpoints}, {"output", 'o', CLI_TEXT, &cli->output},
        {"machine", 'm', CLI_TEXT, &cli->machine},     {"serializer", 0, CLI_TEXT, &cli->serializer},
        {"timeout", 't', CLI_DURATION, &cli->timeout_ms}, {"admin", 0, CLI_TEXT, &cli->admin},
        {"data-dir", 0, CLI_TEXT, &cli->data_dir},     {"stale", 0, CLI_FLAG, &cli->stale},
        {"retry", 0, CLI_FLAG, &cli->retry},           {"verbose", 'v', CLI_FLAG, &cli->verbose},
        {"help", 'h', CLI_FLAG, &cli->help},           {"version", 'V', CLI_FLAG, &cli->version},
        {NULL, 0, CLI_FLAG, NULL},
    };

    memcpy(rows, made, sizeof made);
    return rows;
}

static const struct cli_option *find(const struct cli_option *rows, const char *name, size_t size, char letter)
{
    for (; rows && rows->name; rows++) {
        if (letter ? rows->letter == letter : strlen(rows->name) == size && memcmp(rows->name, name, size) == 0)
            return rows;
    }
    return NULL;
}

static int set(const struct cli_option *option, const char *value)
{
    struct gavel_error error = {0, ""};
    struct gavel_slice text = gavel_text(value);
    int32_t status = GAVEL_OK;

    switch (option->kind) {
    case CLI_FLAG:
        *(bool *)option->target = true;
        return CLI_OK;
    case CLI_TEXT:
        *(const char **)option->target = value;
        return CLI_OK;
    case CLI_NUMBER:
        status = codec_parse_uint(text, option->target, &error);
        break;
    case CLI_DURATION:
        status = codec_parse_duration(text, option->target, &error);
        break;
    case CLI_SIZE:
        status = codec_parse_size(text, option->target, &error);
        break;
    }
    if (status != GAVEL_OK)
        return cli_fail(CLI_USAGE, "--%s: %s", option->name, error.text);
    return CLI_OK;
}

/* One word that begins with a dash; *used counts the words taken. */
static int take(struct cli *cli, const struct cli_option *rows, int left, char **words, int *used)
{
    const char *word = words[0];
    bool is_long = word[1] == '-';
    const char *name = word + 2;
    const char *equals = is_long ? strchr(name, '=') : NULL;
    size_t size = equals ? (size_t)(equals - name) : strlen(name);
    const struct cli_option *option = find(rows, name, size, is_long ? 0 : word[1]);
    const char *value = equals ? equals + 1 : !is_long && word[2] ? word + 2 : NULL;

    if (!option)
        option = find(cli_options_general(cli), name, size, is_long ? 0 : word[1]);
    if (!option)
        return cli_fail(CLI_USAGE, "there is no option '%s' here; see gavel help", word);
    *used = 1;
    if (option->kind == CLI_FLAG) {
        if (value)
            return cli_fail(CLI_USAGE, "--%s takes no value", option->name);
        return set(option, NULL);
    }
    if (!value) {
        if (left < 2)
            return cli_fail(CLI_USAGE, "--%s needs a value", option->name);
        value = words[1];
        *used = 2;
    }
    return set(option, value);
}

/* True for "-5" and the like: a number is a value, not an option. */
static bool is_number(const char *word)
{
    return word[0] == '-' && word[1] >= '0' && word[1] <= '9';
}

int cli_options_take(struct cli *cli, const struct cli_option *rows, int count, char **words)
{
    bool over = false;
    int i = 0;

    cli->word_count = 0;
    while (i < count) {
        int used = 1;

        if (!over && strcmp(words[i], "--") == 0) {
            over = true;
        } else if (!over && words[i][0] == '-' && words[i][1] && !is_number(words[i])) {
            int code = take(cli, rows, count - i, words + i, &used);

            if (code != CLI_OK)
                return code;
        } else if (cli->word_count == CLI_WORDS_MAX) {
            return cli_fail(CLI_USAGE, "more than %d words", CLI_WORDS_MAX);
        } else {
            cli->words[cli->word_count++] = words[i];
        }
        i += used;
    }
    cli->json = strcmp(cli->output, "json") == 0;
    if (!cli->json && strcmp(cli->output, "table") != 0)
        return cli_fail(CLI_USAGE, "--output is table or json, not '%s'", cli->output);
    return CLI_OK;
}
