/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_options.c - options out of a command line: anywhere in it, --name value or --name=value, -o value; "--" ends
 * them.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

const struct usage_option *cli_options_general(struct cli *cli)
{
    static struct usage_option rows[16];
    const struct usage_option made[] = {
        {"endpoints", 'e', USAGE_TEXT, "URI,...",
         "Nodes to ask, such as ws://127.0.0.1:8080, tcp://[::1]:9000 or unix:///run/gavel.sock. One that answers is "
         "enough: it names the leader, and forwards what it cannot do itself. The default is the variable "
         "GAVEL_ENDPOINTS, else ports 8080 to 8082 of this machine. No transport has TLS", &cli->endpoints},
        {"output", 'o', USAGE_TEXT, "table|json",
         "A table, the default, is for people; JSON is the whole result", &cli->output},
        {"timeout", 't', USAGE_DURATION, "TIME",
         "How long a call may take in all, as 500ms or 5s, which is the default",
         &cli->timeout_ms},
        {"machine", 'm', USAGE_TEXT, "INSTANCE",
         "The machine that has the command, when several have one of that name. Without it a command that the store "
         "has is the store's", &cli->machine},
        {"stale", 0, USAGE_FLAG, NULL,
         "Read what the node that answers has applied, without asking the leader. Works without a quorum; may be old",
         &cli->stale},
        {"retry", 0, USAGE_FLAG, NULL,
         "Put writes into a session, so that they are sent again when a connection is lost, and are still done at most "
         "once. Costs two entries of the log", &cli->retry},
        {"admin", 0, USAGE_TEXT, "SOCKET", "The admin socket of a node, for the commands of operators", &cli->admin},
        {"data-dir", 0, USAGE_TEXT, "DIR", "The data directory in which that lies, as admin.sock", &cli->data_dir},
        {"traceparent", 0, USAGE_TEXT, "00-TRACE-SPAN-FLAGS",
         "The W3C trace context that the command belongs to: the nodes' spans of it hang below. The default is the "
         "variable TRACEPARENT", &cli->traceparent},
        {"serializer", 0, USAGE_TEXT, "msgpack|json", "What messages are written in", &cli->serializer},
        {"verbose", 'v', USAGE_FLAG, NULL,
         "Tell on standard error which node answered, and what the library has to say", &cli->verbose},
        {"help", 'h', USAGE_FLAG, NULL, "Print help; behind an area or a command, on that", &cli->help},
        {"version", 'V', USAGE_FLAG, NULL, "Print the version", &cli->version},
        {.name = NULL},
    };

    memcpy(rows, made, sizeof made);
    return rows;
}

static const struct usage_option *find(const struct usage_option *rows, const char *name, size_t size, char letter)
{
    for (; rows && rows->name; rows++) {
        if (letter ? rows->letter == letter : strlen(rows->name) == size && memcmp(rows->name, name, size) == 0)
            return rows;
    }
    return NULL;
}

static int append(const struct usage_option *option, struct usage_each *each, const char *value)
{
    if (each->count == USAGE_EACH_MAX)
        return cli_fail(CLI_USAGE, "--%s may come %d times at the most", option->name, USAGE_EACH_MAX);
    each->values[each->count++] = value;
    return CLI_OK;
}

static int set(const struct usage_option *option, const char *value)
{
    struct gavel_error error = {0, ""};
    struct gavel_slice text = gavel_text(value);
    int32_t status = GAVEL_OK;

    switch (option->kind) {
    case USAGE_FLAG:
        *(bool *)option->target = true;
        return CLI_OK;
    case USAGE_TEXT:
        *(const char **)option->target = value;
        return CLI_OK;
    case USAGE_EACH:
        return append(option, option->target, value);
    case USAGE_NUMBER:
        status = codec_parse_uint(text, option->target, &error);
        break;
    case USAGE_DURATION:
        status = codec_parse_duration(text, option->target, &error);
        break;
    case USAGE_SIZE:
    default:
        status = codec_parse_size(text, option->target, &error);
        break;
    }
    if (status != GAVEL_OK)
        return cli_fail(CLI_USAGE, "--%s: %s", option->name, error.text);
    return CLI_OK;
}

/* One word that begins with a dash; *used counts the words taken. */
static int take(struct cli *cli, const struct usage_option *rows, int left, char **words, int *used)
{
    const char *word = words[0];
    bool is_long = word[1] == '-';
    const char *name = word + 2;
    const char *equals = is_long ? strchr(name, '=') : NULL;
    size_t size = equals ? (size_t)(equals - name) : strlen(name);
    const struct usage_option *option = find(rows, name, size, is_long ? 0 : word[1]);
    const char *value = equals ? equals + 1 : !is_long && word[2] ? word + 2 : NULL;

    if (!option)
        option = find(cli_options_general(cli), name, size, is_long ? 0 : word[1]);
    if (!option)
        return cli_fail(CLI_USAGE, "there is no option '%s' here; %s", word,
                        strcmp(word, "--json") == 0 ? "--output json prints JSON" : "see gavel help");
    *used = 1;
    if (option->kind == USAGE_FLAG) {
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

/* The form of a W3C trace context; whether its ids are good is for the nodes to see. */
static bool is_traceparent(const char *text)
{
    static const char form[] = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
    size_t i = 0;

    for (; form[i]; i++)
        if (form[i] == 'x' ? !text[i] || !strchr("0123456789abcdef", text[i]) : text[i] != form[i])
            return false;
    return !text[i];
}

/* What the environment says is left out when it is malformed, as the standard wants it. */
static int take_traceparent(struct cli *cli)
{
    const char *text = getenv("TRACEPARENT");

    if (!cli->traceparent && text && is_traceparent(text))
        cli->traceparent = text;
    if (!cli->traceparent || is_traceparent(cli->traceparent))
        return CLI_OK;
    return cli_fail(CLI_USAGE, "--traceparent is 00-TRACE-SPAN-FLAGS, of 32, 16 and 2 digits 0-9a-f; not '%s'",
                    cli->traceparent);
}

int cli_options_take(struct cli *cli, const struct usage_option *rows, int count, char **words)
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
    return take_traceparent(cli);
}
