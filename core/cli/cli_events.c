/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_events.c - follow what happens: one line an event, as text or as JSON, until interrupted or --count is reached.
 */
#include "cli.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

struct following {
    const char *from; /* INDEX or INDEX.ORDINAL: begin behind it */
    const char *type; /* one or more, separated by commas */
    uint64_t count;   /* 0: for ever */
    bool json;
};

static void put_optional(struct gavel_writer *w, const char *name, struct gavel_slice text)
{
    if (!text.data)
        return;
    gavel_put_key(w, name);
    if (mp_utf8(text.data, text.size))
        gavel_put_string(w, text);
    else
        gavel_put_bytes(w, text);
}

static void put_document(struct gavel_writer *w, const char *name, struct gavel_slice value)
{
    if (!value.data || !value.size)
        return;
    gavel_put_key(w, name);
    codec_put_value(w, value);
}

/* One event as one line of JSON. */
static void print_json(struct gavel_builder *builder, const struct gavel_stream_event *event)
{
    struct gavel_writer *w;
    struct gavel_slice document;

    gavel_builder_again(builder);
    w = gavel_builder_writer(builder);
    gavel_put_map(w, 4 + (event->machine.data != NULL) + (event->key.data != NULL) + (event->value.size != 0) +
                         (event->previous.size != 0));
    gavel_put_key(w, "event");
    gavel_put_string(w, event->type);
    gavel_put_key(w, "index");
    gavel_put_uint(w, event->index);
    gavel_put_key(w, "ordinal");
    gavel_put_uint(w, event->ordinal);
    gavel_put_key(w, "wall_ms");
    gavel_put_uint(w, event->wall_ms);
    put_optional(w, "machine", event->machine);
    put_optional(w, "key", event->key);
    put_document(w, "value", event->value);
    put_document(w, "previous", event->previous);
    gavel_put_end(w);
    if (gavel_builder_end(builder, &document, NULL) == GAVEL_OK)
        cli_print_json(document, false, stdout);
}

/* Text that came from a cluster, safe on a terminal. */
static void print_safe(struct gavel_slice text)
{
    uint64_t i;

    for (i = 0; i < text.size; i++) {
        unsigned char c = ((const unsigned char *)text.data)[i];

        if (c < 0x20 || c == 0x7f)
            printf("\\x%02x", c);
        else
            putchar(c);
    }
}

static void print_text(const struct gavel_stream_event *event)
{
    time_t seconds = (time_t)(event->wall_ms / 1000);
    struct tm parts;
    char moment[16] = "--:--:--";

    if (event->wall_ms && localtime_r(&seconds, &parts))
        (void)strftime(moment, sizeof moment, "%H:%M:%S", &parts);
    printf("%s.%03u %s%-16.*s%s", moment, (unsigned)(event->wall_ms % 1000), cli_bold(), (int)event->type.size,
           (const char *)event->type.data, cli_plain());
    if (event->machine.size) {
        putchar(' ');
        print_safe(event->machine);
    }
    if (event->key.size) {
        putchar(' ');
        print_safe(event->key);
    }
    if (event->value.size) {
        putchar(' ');
        cli_print_value(event->value, stdout);
    }
    if (event->index)
        printf(" (%" PRIu64 ".%" PRIu64 ")", event->index, event->ordinal);
    putchar('\n');
}

/* INDEX or INDEX.ORDINAL. */
static int parse_from(const char *text, struct gavel_stream_options *options)
{
    const char *dot = strchr(text, '.');
    struct gavel_error error = {0, ""};
    struct gavel_slice index = gavel_bytes(text, dot ? (uint64_t)(dot - text) : strlen(text));

    options->resume = 1;
    options->ordinal = dot ? 0 : UINT64_MAX; /* INDEX alone: behind all of its events */
    if (codec_parse_uint(index, &options->index, &error) != GAVEL_OK ||
        (dot && codec_parse_uint(gavel_text(dot + 1), &options->ordinal, &error) != GAVEL_OK))
        return cli_fail(CLI_USAGE, "--from is INDEX or INDEX.ORDINAL: %s", error.text);
    return CLI_OK;
}

#define TYPES \
    "leader_elected|node_joined|node_left|health_changed|command_applied|state_changed|snapshot_created|" \
    "capabilities_changed|node_registered|node_deregistered|alarm"

/* Machines have events of their own, so any type may come; a misspelt one never does, and who waits should know. */
static void note_types(const char *types)
{
    for (const char *at = types; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        size_t size = strcspn(at, ",");
        const char *known = TYPES;

        while (known && (strcspn(known, "|") != size || memcmp(known, at, size) != 0))
            known = strchr(known, '|') ? strchr(known, '|') + 1 : NULL;
        if (!known)
            (void)fprintf(stderr,
                          "gavel: the node itself has no events of type '%.*s': waiting for a state machine that has\n",
                          (int)size, at);
    }
}

/* {"types": [...]} for the wanted ones. */
static int filter(struct gavel_builder *builder, const char *types, struct gavel_slice *arguments)
{
    struct gavel_writer *w = gavel_builder_writer(builder);
    const char *at;
    uint64_t count = 1;

    for (at = types; *at; at++)
        count += *at == ',';
    gavel_put_map(w, 1);
    gavel_put_key(w, "types");
    gavel_put_array(w, count);
    for (at = types; count > 0; count--) {
        size_t size = strcspn(at, ",");

        gavel_put_string(w, gavel_bytes(at, size));
        at += size + (at[size] == ',');
    }
    gavel_put_end(w);
    gavel_put_end(w);
    return gavel_builder_end(builder, arguments, NULL) == GAVEL_OK ? CLI_OK : cli_fail(CLI_FAILED, "no memory");
}

static int follow(struct cli *cli, const struct following *following, struct gavel_builder *builder)
{
    struct gavel_stream_options options = gavel_stream_defaults();
    struct gavel_stream *stream = NULL;
    struct gavel_stream_event event;
    struct gavel_error error = {0, ""};
    uint64_t seen = 0;
    int32_t status;

    options.name = "events";
    options.machine = cli->machine;
    if (following->from && parse_from(following->from, &options) != CLI_OK)
        return CLI_USAGE;
    if (following->type && filter(builder, following->type, &options.arguments) != CLI_OK)
        return CLI_FAILED;
    status = gavel_stream_open(cli->client, &options, &stream, &error);
    while (status == GAVEL_OK && (following->count == 0 || seen < following->count)) {
        status = gavel_stream_next(stream, UINT64_MAX, &event, &error);
        if (status != GAVEL_OK)
            break;
        if (following->json)
            print_json(builder, &event);
        else
            print_text(&event);
        seen++;
        if (fflush(stdout) != 0) { /* whoever read it is gone */
            gavel_stream_close(stream);
            return CLI_FAILED;
        }
    }
    gavel_stream_close(stream);
    return status == GAVEL_OK ? CLI_OK : cli_error(status, &error);
}

static struct following following;

const struct usage_option cli_events_options[] = {
    {"count", 'n', USAGE_NUMBER, "N", "End after so many events; else never", &following.count},
    {"json", 0, USAGE_FLAG, NULL, "Print a line of JSON an event", &following.json},
    {"from", 0, USAGE_TEXT, "INDEX[.ORDINAL]", "Begin behind a revision that was seen before", &following.from},
    {"type", 0, USAGE_TEXT, TYPES ",...",
     "Only events of these types", &following.type},
    {.name = NULL},
};

int cli_area_events(struct cli *cli, int count, char **words)
{
    struct gavel_builder *builder;
    int code;

    following = (struct following){0};
    code = cli_options_take(cli, cli_events_options, count, words);
    if (code != CLI_OK)
        return code;
    if (cli->word_count > 1)
        return cli_fail(CLI_USAGE, "events takes no words; see gavel help");
    note_types(following.type);
    following.json |= cli->json;
    code = cli_connect(cli);
    if (code != CLI_OK)
        return code;
    builder = gavel_builder_new();
    if (!builder)
        return cli_fail(CLI_FAILED, "no memory");
    code = follow(cli, &following, builder);
    gavel_builder_free(builder);
    return code;
}
