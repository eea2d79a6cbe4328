/* SPDX-License-Identifier: Apache-2.0 */
/* history.c - histories in memory and as text; see history.h. */
#include "tests/linear/history.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES_MAX 65536

static const char *const kinds[] = {
#define HISTORY_KIND(symbol, word) word,
    HISTORY_KINDS(HISTORY_KIND)
#undef HISTORY_KIND
};

static const char *const outcomes[] = {
#define HISTORY_OUTCOME(symbol, word) word,
    HISTORY_OUTCOMES(HISTORY_OUTCOME)
#undef HISTORY_OUTCOME
};

const char *history_kind_name(uint8_t kind)
{
    assert(kind < HISTORY_KIND_COUNT);
    return kinds[kind];
}

const char *history_outcome_name(uint8_t outcome)
{
    assert(outcome < HISTORY_OUTCOME_END);
    return outcomes[outcome];
}

/* ---- memory -------------------------------------------------------------------------------------------- */

static void *grow(void *old, uint64_t count, size_t size)
{
    void *memory = realloc(old, count * size);

    if (!memory) {
        fprintf(stderr, "history: out of memory\n");
        abort();
    }
    return memory;
}

void history_init(struct history *history)
{
    memset(history, 0, sizeof *history);
}

void history_free(struct history *history)
{
    for (uint32_t i = 0; i < history->key_count; i++)
        free(history->keys[i]);
    free(history->keys);
    free(history->ops);
    free(history->items);
    free(history->table);
    memset(history, 0, sizeof *history);
}

static uint32_t name_hash(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash;
}

static void table_put(struct history *history, uint32_t key)
{
    uint32_t at = name_hash(history->keys[key]) & (history->table_size - 1);

    while (history->table[at])
        at = (at + 1) & (history->table_size - 1);
    history->table[at] = key + 1;
}

static void table_grow(struct history *history)
{
    history->table_size = history->table_size ? history->table_size * 2 : 64;
    free(history->table);
    history->table = grow(NULL, history->table_size, sizeof history->table[0]);
    memset(history->table, 0, history->table_size * sizeof history->table[0]);
    for (uint32_t i = 0; i < history->key_count; i++)
        table_put(history, i);
}

uint32_t history_key(struct history *history, const char *name)
{
    uint32_t at;
    size_t size = strlen(name) + 1;

    if (history->key_count * 2 >= history->table_size)
        table_grow(history);
    at = name_hash(name) & (history->table_size - 1);
    for (; history->table[at]; at = (at + 1) & (history->table_size - 1))
        if (strcmp(history->keys[history->table[at] - 1], name) == 0)
            return history->table[at] - 1;
    if (history->key_count == history->key_capacity) {
        history->key_capacity = history->key_capacity ? history->key_capacity * 2 : 64;
        history->keys = grow(history->keys, history->key_capacity, sizeof history->keys[0]);
    }
    history->keys[history->key_count] = grow(NULL, size, 1);
    memcpy(history->keys[history->key_count], name, size);
    history->table[at] = ++history->key_count;
    return history->key_count - 1;
}

struct history_op *history_add(struct history *history)
{
    struct history_op *op;

    if (history->count == history->capacity) {
        history->capacity = history->capacity ? history->capacity * 2 : 1024;
        history->ops = grow(history->ops, history->capacity, sizeof history->ops[0]);
    }
    op = &history->ops[history->count++];
    *op = (struct history_op){.returned = HISTORY_NEVER, .version = HISTORY_NO_VERSION, .outcome = HISTORY_UNKNOWN};
    return op;
}

struct history_item *history_add_item(struct history *history, struct history_op *op)
{
    struct history_item *item;

    if (history->item_count == history->item_capacity) {
        history->item_capacity = history->item_capacity ? history->item_capacity * 2 : 256;
        history->items = grow(history->items, history->item_capacity, sizeof history->items[0]);
    }
    if (op->item_count == 0)
        op->item_first = (uint32_t)history->item_count;
    assert(op->item_first + op->item_count == history->item_count);
    op->item_count++;
    item = &history->items[history->item_count++];
    *item = (struct history_item){.version = HISTORY_NO_VERSION};
    return item;
}

/* Whether the command says a value, or a number to add. */
static bool has_value(const struct history_op *op)
{
    return op->kind != HISTORY_GET && op->kind != HISTORY_DELETE && op->kind != HISTORY_STOP &&
           op->kind != HISTORY_BATCH && op->kind != HISTORY_PEEK;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static void print_items(const struct history *history, const struct history_op *op, FILE *out)
{
    for (uint32_t i = 0; i < op->item_count; i++) {
        const struct history_item *item = &history->items[op->item_first + i];

        fprintf(out, "%s%s:%s", i ? "," : " ", kinds[item->kind], history->keys[item->key]);
        if (item->kind == HISTORY_SET)
            fprintf(out, ":%" PRIu64, item->value);
        else if (item->kind == HISTORY_ADD)
            fprintf(out, ":%" PRId64, (int64_t)item->value);
    }
}

static void print_command(const struct history *history, const struct history_op *op, FILE *out)
{
    fprintf(out, "%s", kinds[op->kind]);
    if (op->kind == HISTORY_BATCH) {
        print_items(history, op, out);
        return;
    }
    fprintf(out, " %s", history->keys[op->key]);
    if (op->kind == HISTORY_CAS || op->kind == HISTORY_CASREV)
        fprintf(out, " %" PRIu64, op->expect);
    if (op->kind == HISTORY_ADD)
        fprintf(out, " %" PRId64, (int64_t)op->value);
    else if (has_value(op))
        fprintf(out, " %" PRIu64, op->value);
}

void history_print(const struct history *history, const struct history_op *op, FILE *out)
{
    fprintf(out, "%" PRIu32 " %" PRIu64 " ", op->client, op->invoked);
    if (op->returned == HISTORY_NEVER)
        fprintf(out, "- ");
    else
        fprintf(out, "%" PRIu64 " ", op->returned);
    print_command(history, op, out);
    fprintf(out, " -> %s", outcomes[op->outcome]);
    if (op->told && op->outcome == HISTORY_OK)
        fprintf(out, " %" PRId64, (int64_t)op->seen);
    if (op->stopped)
        fprintf(out, " stopped");
    if (op->version != HISTORY_NO_VERSION)
        fprintf(out, " version=%" PRIu32, op->version);
    if (op->revision)
        fprintf(out, " revision=%" PRIu64, op->revision);
    if (op->index)
        fprintf(out, " index=%" PRIu64, op->index);
    fprintf(out, "\n");
}

void history_write(const struct history *history, FILE *out)
{
    for (uint64_t i = 0; i < history->count; i++)
        history_print(history, &history->ops[i], out);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

struct line {
    char *rest;
    char *why;
    size_t size;
    uint64_t number;
    bool bad;
};

static bool wrong(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool wrong(struct line *line, const char *format, ...)
{
    va_list arguments;
    int used;

    if (line->bad)
        return false;
    line->bad = true;
    used = snprintf(line->why, line->size, "line %" PRIu64 ": ", line->number);
    va_start(arguments, format);
    if (used >= 0 && (size_t)used < line->size)
        (void)vsnprintf(line->why + used, line->size - (size_t)used, format, arguments);
    va_end(arguments);
    return false;
}

/* The next word; "" at the end. */
static char *word(struct line *line)
{
    char *start = line->rest + strspn(line->rest, " \t\r\n");
    char *end = start + strcspn(start, " \t\r\n");

    line->rest = *end ? end + 1 : end;
    *end = 0;
    return start;
}

static uint64_t number(struct line *line, const char *text)
{
    char *end;
    bool minus = *text == '-';
    uint64_t value = minus ? (uint64_t)strtoll(text, &end, 10) : strtoull(text, &end, 10);

    if (end == text || *end)
        (void)wrong(line, "'%s' is not a whole number", text);
    return value;
}

static bool choice(const char *const *words, size_t count, const char *text, uint8_t *found)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(words[i], text) == 0) {
            *found = (uint8_t)i;
            return true;
        }
    return false;
}

static uint32_t key_of(struct history *history, struct line *line, const char *name)
{
    if (!*name)
        (void)wrong(line, "a key is missing");
    return history_key(history, *name ? name : "?");
}

static void read_items(struct history *history, struct history_op *op, struct line *line, char *text)
{
    while (*text && !line->bad) {
        char *end = text + strcspn(text, ",");
        char *next = *end ? end + 1 : end;
        char *key = text + strcspn(text, ":");
        char *value;
        struct history_item *item;

        *end = 0;
        if (!*key) {
            (void)wrong(line, "'%s' is not KIND:KEY", text);
            return;
        }
        *key++ = 0;
        value = key + strcspn(key, ":");
        if (*value)
            *value++ = 0;
        item = history_add_item(history, op);
        item->key = key_of(history, line, key);
        if (!choice(kinds, HISTORY_KIND_COUNT, text, &item->kind) ||
            (item->kind != HISTORY_SET && item->kind != HISTORY_DELETE && item->kind != HISTORY_ADD))
            (void)wrong(line, "'%s' cannot be in a batch", text);
        else if (item->kind != HISTORY_DELETE)
            item->value = number(line, value);
        text = next;
    }
    if (op->item_count == 0)
        (void)wrong(line, "a batch without items");
}

static void read_command(struct history *history, struct history_op *op, struct line *line)
{
    const char *name = word(line);

    if (!choice(kinds, HISTORY_KIND_COUNT, name, &op->kind)) {
        (void)wrong(line, "there is no command '%s'", name);
        return;
    }
    if (op->kind == HISTORY_BATCH) {
        read_items(history, op, line, word(line));
        return;
    }
    op->key = key_of(history, line, word(line));
    if (op->kind == HISTORY_CAS || op->kind == HISTORY_CASREV)
        op->expect = number(line, word(line));
    if (has_value(op))
        op->value = number(line, word(line));
}

static void read_outcome(struct history_op *op, struct line *line)
{
    char *text = word(line);

    if (strcmp(text, "->") != 0)
        (void)wrong(line, "'->' was expected, not '%s'", text);
    text = word(line);
    if (!choice(outcomes, HISTORY_OUTCOME_END, text, &op->outcome))
        (void)wrong(line, "there is no outcome '%s'", text);
    for (text = word(line); *text && !line->bad; text = word(line)) {
        if (strcmp(text, "stopped") == 0) {
            op->stopped = 1;
        } else if (strncmp(text, "version=", 8) == 0) {
            op->version = (uint32_t)number(line, text + 8);
        } else if (strncmp(text, "revision=", 9) == 0) {
            op->revision = number(line, text + 9);
        } else if (strncmp(text, "index=", 6) == 0) {
            op->index = number(line, text + 6);
        } else {
            op->seen = number(line, text);
            op->told = 1;
        }
    }
    if ((op->kind == HISTORY_GET || op->kind == HISTORY_PEEK) && op->outcome == HISTORY_OK && !op->told)
        (void)wrong(line, "a get that saw something says what");
}

static void read_line(struct history *history, struct line *line)
{
    struct history_op *op = history_add(history);
    char *text;

    op->client = (uint32_t)number(line, word(line));
    op->invoked = number(line, word(line));
    text = word(line);
    if (strcmp(text, "-") != 0)
        op->returned = number(line, text);
    if (op->returned < op->invoked)
        (void)wrong(line, "it returned before it was invoked");
    read_command(history, op, line);
    if (!line->bad)
        read_outcome(op, line);
    if (!line->bad && op->returned == HISTORY_NEVER && op->outcome != HISTORY_UNKNOWN)
        (void)wrong(line, "an outcome without a moment of return");
}

bool history_read(struct history *history, FILE *in, char *why, size_t size)
{
    char *text = grow(NULL, LINE_BYTES_MAX, 1);
    struct line line = {.why = why, .size = size};

    while (!line.bad && fgets(text, LINE_BYTES_MAX, in)) {
        line.number++;
        line.rest = text;
        if (!strchr(text, '\n') && !feof(in))
            (void)wrong(&line, "longer than %d bytes", LINE_BYTES_MAX);
        else if (text[strspn(text, " \t\r\n")] && text[0] != '#')
            read_line(history, &line);
    }
    free(text);
    return !line.bad;
}
