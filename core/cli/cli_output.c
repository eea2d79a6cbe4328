/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_output.c - documents for people and for programs. What comes from the store never drives the terminal: control
 * characters are escaped everywhere.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COLUMNS_MAX 32 /* of a table; further keys are left to --output json */

static bool colours(void)
{
    const char *no = getenv("NO_COLOR");

    return isatty(STDOUT_FILENO) && !(no && *no);
}

const char *cli_bold(void)
{
    return colours() ? "\033[1m" : "";
}

const char *cli_red(void)
{
    return colours() ? "\033[31m" : "";
}

const char *cli_green(void)
{
    return colours() ? "\033[32m" : "";
}

const char *cli_plain(void)
{
    return colours() ? "\033[0m" : "";
}

void cli_put_plain(FILE *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) { /* those above 0x7f, such as CSI, in UTF-8 */
            putc('?', out);
            c++;
        } else {
            putc((*c < 0x20 && *c != '\n' && *c != '\t') || *c == 0x7f ? '?' : *c, out);
        }
    }
}

/* The text of a value, to be freed with gavel_buffer_free; absent values are "". */
static struct gavel_buffer text_of(struct gavel_slice value)
{
    struct gavel_buffer text = codec_buffer(0);

    if (value.data && codec_value_text(value, 0, &text) != GAVEL_OK)
        text.size = 0;
    return text;
}

void cli_print_value(struct gavel_slice value, FILE *out)
{
    struct gavel_buffer text = text_of(value);

    if (text.size)
        (void)fwrite(text.data, 1, text.size, out);
    gavel_buffer_free(&text);
}

void cli_print_capabilities(struct gavel_slice member)
{
    struct codec_walk walk;
    struct gavel_slice key, value;
    const char *before = "  ";

    codec_walk_begin(&walk, codec_map_find(member, "capabilities"));
    while (codec_walk_next(&walk, &key, &value)) {
        fputs(before, stdout);
        cli_print_value(key, stdout);
        putchar('=');
        cli_print_value(value, stdout);
        before = " ";
    }
}

void cli_print_json(struct gavel_slice document, bool pretty, FILE *out)
{
    struct gavel_buffer text = codec_buffer(0);
    struct gavel_error error = {0, ""};

    if (gavel_document_json(document, pretty ? GAVEL_JSON_PRETTY : 0, &text, &error) == GAVEL_OK)
        fprintf(out, "%.*s\n", (int)text.size, (const char *)text.data);
    else
        (void)cli_fail(CLI_FAILED, "%s", error.text);
    gavel_buffer_free(&text);
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* Columns on a terminal of UTF-8 text: continuation bytes take none. Wide characters count as one. */
static unsigned width_of(const struct gavel_buffer *text)
{
    unsigned width = 0;
    uint64_t i;

    for (i = 0; i < text->size; i++)
        width += (text->data[i] & 0xc0) != 0x80;
    return width;
}

struct column {
    struct gavel_slice name;
    unsigned width;
};

/* The keys of all rows, in the order in which they were first seen, and how wide each column is. */
static unsigned columns_of(struct gavel_slice rows, struct column *columns)
{
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice row;
    unsigned count = 0;

    codec_walk_begin(&walk, rows);
    while (codec_walk_next(&walk, &key, &row)) {
        struct codec_walk cells;
        struct gavel_slice name;
        struct gavel_slice cell;

        codec_walk_begin(&cells, row);
        while (codec_walk_next(&cells, &key, &cell)) {
            struct gavel_buffer text = text_of(cell);
            unsigned width = width_of(&text);
            unsigned i = 0;

            gavel_buffer_free(&text);
            if (codec_get_bytes(key, &name) != GAVEL_OK)
                continue;
            while (i < count && !gavel_slice_equal(columns[i].name, name))
                i++;
            if (i == count && count == COLUMNS_MAX)
                continue;
            if (i == count)
                columns[count++] = (struct column){name, (unsigned)name.size};
            if (width > columns[i].width)
                columns[i].width = width;
        }
    }
    return count;
}

/* One cell, padded unless it is the last of its line. */
static void put_cell(const struct gavel_buffer *text, unsigned width, bool last, FILE *out)
{
    unsigned have = width_of(text);

    if (text->size)
        (void)fwrite(text->data, 1, text->size, out);
    if (!last)
        fprintf(out, "%*s", (int)(width > have ? width - have : 0) + 2, "");
}

static void print_rows(struct gavel_slice rows, FILE *out)
{
    struct column columns[COLUMNS_MAX];
    unsigned count = columns_of(rows, columns);
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice row;
    unsigned i;

    if (out == stdout)
        fputs(cli_bold(), out);
    for (i = 0; i < count; i++)
        fprintf(out, "%.*s%*s", (int)columns[i].name.size, (const char *)columns[i].name.data,
                i + 1 < count ? (int)(columns[i].width - columns[i].name.size) + 2 : 0, "");
    fprintf(out, "%s\n", out == stdout ? cli_plain() : "");
    codec_walk_begin(&walk, rows);
    while (codec_walk_next(&walk, &key, &row)) {
        for (i = 0; i < count; i++) {
            struct gavel_buffer text = text_of(codec_map_find_slice(row, columns[i].name));

            put_cell(&text, columns[i].width, i + 1 == count, out);
            gavel_buffer_free(&text);
        }
        fputc('\n', out);
    }
}

/* An array whose elements are all maps, and which has some: it becomes a table of its own. */
static bool is_rows(struct gavel_slice value)
{
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice row;

    if (codec_value_type(value) != GAVEL_TOKEN_ARRAY || codec_value_count(value) == 0)
        return false;
    codec_walk_begin(&walk, value);
    while (codec_walk_next(&walk, &key, &row))
        if (codec_value_type(row) != GAVEL_TOKEN_MAP)
            return false;
    return true;
}

static void print_map(struct gavel_slice map, FILE *out)
{
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice value;

    codec_walk_begin(&walk, map);
    while (codec_walk_next(&walk, &key, &value)) {
        if (is_rows(value))
            continue;
        cli_print_value(key, out);
        fputs(": ", out);
        cli_print_value(value, out);
        fputc('\n', out);
    }
    codec_walk_begin(&walk, map);
    while (codec_walk_next(&walk, &key, &value)) {
        if (!is_rows(value))
            continue;
        if (codec_value_count(map) > 1) {
            fputc('\n', out);
            cli_print_value(key, out);
            fputs(":\n", out);
        }
        print_rows(value, out);
    }
}

void cli_print_table(struct gavel_slice document, FILE *out)
{
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice value;

    switch (document.size ? codec_value_type(document) : GAVEL_TOKEN_NIL) {
    case GAVEL_TOKEN_NIL:
        fputs("ok\n", out);
        return;
    case GAVEL_TOKEN_MAP:
        print_map(document, out);
        return;
    case GAVEL_TOKEN_ARRAY:
        if (is_rows(document)) {
            print_rows(document, out);
            return;
        }
        codec_walk_begin(&walk, document);
        while (codec_walk_next(&walk, &key, &value)) {
            cli_print_value(value, out);
            fputc('\n', out);
        }
        return;
    default:
        cli_print_value(document, out);
        fputc('\n', out);
    }
}

void cli_print_pairs(struct gavel_slice items, FILE *out)
{
    struct codec_walk walk;
    struct gavel_slice key;
    struct gavel_slice item;

    codec_walk_begin(&walk, items);
    while (codec_walk_next(&walk, &key, &item)) {
        cli_print_value(codec_map_find(item, "key"), out);
        fputs(": ", out);
        cli_print_value(codec_map_find(item, "value"), out);
        fputc('\n', out);
    }
}

int cli_print(const struct cli *cli, struct gavel_slice document)
{
    if (cli->json)
        cli_print_json(document, true, stdout);
    else
        cli_print_table(document, stdout);
    return ferror(stdout) ? CLI_FAILED : CLI_OK;
}
