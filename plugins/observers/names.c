/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.c - names of OpenTelemetry's kind made into names of Prometheus's kind.
 */
#include "plugins/observers/names.h"

#include <assert.h>

#define WORDS_MAX 32 /* of one name; what follows is dropped, and 64 bytes hold no more */
#define WORD_ROOM 65 /* bytes of one word with its NUL */
#define WORDS_BYTES_MAX (NAMES_ROOM / 2) /* the unit and "total" follow */

struct unit {
    const char *code; /* UCUM */
    const char *word;
    double scale;
};

/* Prometheus wants base units; "1" and "{annotations}" have no word. */
static const struct unit units[] = {
    {"s", "seconds", 1},           {"ms", "seconds", 1e-3},         {"us", "seconds", 1e-6},
    {"ns", "seconds", 1e-9},       {"min", "seconds", 60},          {"h", "seconds", 3600},
    {"d", "seconds", 86400},       {"By", "bytes", 1},              {"KBy", "bytes", 1e3},
    {"kBy", "bytes", 1e3},         {"MBy", "bytes", 1e6},           {"GBy", "bytes", 1e9},
    {"KiBy", "bytes", 1024},       {"MiBy", "bytes", 1048576},      {"GiBy", "bytes", 1073741824},
    {"%", "ratio", 0.01},          {"Cel", "celsius", 1},           {"Hz", "hertz", 1},
    {"V", "volts", 1},             {"A", "amperes", 1},             {"J", "joules", 1},
    {"W", "watts", 1},             {"g", "grams", 1},               {"m", "meters", 1},
};

/* What stands below the line of "By/s": the singular. */
static const struct unit per[] = {
    {"s", "second", 1},  {"m", "minute", 1}, {"min", "minute", 1}, {"h", "hour", 1},
    {"d", "day", 1},     {"w", "week", 1},   {"mo", "month", 1},   {"y", "year", 1},
};

struct words {
    char word[WORDS_MAX][WORD_ROOM];
    unsigned count;
};

static int is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static void split(struct words *words, const char *text)
{
    words->count = 0;
    while (*text && words->count < WORDS_MAX) {
        char *word = words->word[words->count];
        size_t size = 0;

        while (*text && !is_word(*text))
            text++;
        for (; is_word(*text); text++)
            if (size < WORD_ROOM - 1)
                word[size++] = *text;
        word[size] = 0;
        words->count += size > 0;
    }
}

static void drop(struct words *words, unsigned at)
{
    assert(at < words->count);
    memmove(words->word[at], words->word[at + 1], (words->count - at - 1) * sizeof words->word[0]);
    words->count--;
}

/* Take `word` away wherever it stands, as long as another one is left. */
static void drop_all(struct words *words, const char *word)
{
    for (unsigned i = words->count; i-- > 0;)
        if (words->count > 1 && strcmp(words->word[i], word) == 0)
            drop(words, i);
}

static int is_reserved(const char *word)
{
    static const char *const reserved[] = {"total", "count", "sum", "bucket", "created", "info"};

    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (strcmp(word, reserved[i]) == 0)
            return 1;
    return 0;
}

static void drop_endings(struct words *words)
{
    while (words->count > 1 && is_reserved(words->word[words->count - 1]))
        words->count--;
}

static void add(char *to, const char *text)
{
    size_t used = strlen(to);

    (void)snprintf(to + used, NAMES_ROOM - used, "%s%s", used ? "_" : "", text);
}

/* A code as it would be a word: "{page}" has none, "foo" becomes "foo". */
static void add_code(char *to, const char *code, const struct unit *table, size_t count, double *scale)
{
    struct words words;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(code, table[i].code) == 0) {
            add(to, table[i].word);
            *scale *= table[i].scale;
            return;
        }
    }
    if (*code == '{' || strcmp(code, "1") == 0)
        return;
    split(&words, code);
    for (unsigned i = 0; i < words.count; i++)
        if (strlen(to) + strlen(words.word[i]) < 32)
            add(to, words.word[i]);
}

static void make_unit(struct names_metric *out, const char *unit)
{
    char above[WORD_ROOM];
    const char *line = strchr(unit, '/');
    size_t size = line ? (size_t)(line - unit) : strlen(unit);

    if (size >= sizeof above)
        size = sizeof above - 1;
    memcpy(above, unit, size);
    above[size] = 0;
    add_code(out->unit, above, units, sizeof units / sizeof units[0], &out->scale);
    if (line && line[1] && line[1] != '{') {
        add(out->unit, "per");
        add_code(out->unit, line + 1, per, sizeof per / sizeof per[0], &out->scale);
    }
}

void names_metric(struct names_metric *out, uint64_t kind, const char *name, const char *unit)
{
    struct words words, of_unit;

    memset(out, 0, sizeof *out);
    out->scale = 1;
    make_unit(out, unit ? unit : "");
    split(&words, name);
    split(&of_unit, out->unit);
    drop_endings(&words);
    if (of_unit.count == 1)
        drop_all(&words, out->unit);
    drop_endings(&words); /* what stood before the unit's word */
    if (words.count == 0 || (words.word[0][0] >= '0' && words.word[0][0] <= '9'))
        add(out->family, "gavel"); /* a name does not begin with a digit */
    for (unsigned i = 0; i < words.count; i++)
        if (strlen(out->family) + strlen(words.word[i]) < WORDS_BYTES_MAX)
            add(out->family, words.word[i]);
    if (out->unit[0] && strcmp(out->family, out->unit) != 0)
        add(out->family, out->unit);
    (void)snprintf(out->sample, sizeof out->sample, "%s", out->family);
    if (kind == GAVEL_COUNTER)
        add(out->sample, "total");
}

void names_label(char *out, const char *attribute)
{
    static const char *const taken[] = {"job", "le", "quantile"};
    struct words words;

    out[0] = 0;
    split(&words, attribute);
    if (words.count == 1 && strcmp(words.word[0], "instance") == 0) {
        add(out, "section");
        return;
    }
    if (words.count == 0 || (words.word[0][0] >= '0' && words.word[0][0] <= '9'))
        add(out, "attribute");
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (words.count == 1 && strcmp(words.word[0], taken[i]) == 0)
            add(out, "attribute");
    for (unsigned i = 0; i < words.count; i++)
        if (strlen(out) + strlen(words.word[i]) < WORDS_BYTES_MAX)
            add(out, words.word[i]);
}
