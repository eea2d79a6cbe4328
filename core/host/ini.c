/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ini.c - inih splits a line into key and value; everything around it is done here, because inih 55 cuts what is too
 * long instead of refusing it, tells only of the first bad line, and hears nothing of sections without keys.
 *
 * inih calls our reader once a line and our handler from within, so the reader's line is the handler's line.
 */
#include "core/host/ini.h"

#include <assert.h>
#include <ini.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct host_ini *ini;
    struct host_faults *faults;
    FILE *stream;
    unsigned line;                    /* of the text that inih has now */
    bool expects_key;                 /* the handler must be called for this line, else it is malformed */
    bool continues;                   /* this line goes on with the last value */
    bool unfinished;                  /* this line ended with a backslash */
    bool blank_before;                /* there was a blank before that backslash */
    bool joins_blank;                 /* the same of the line before */
    struct host_ini_section *section; /* open now; NULL before the first one and in a refused one */
    struct host_ini_entry *entry;     /* the last one; NULL after a header or a refused one */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* The next physical line without its end; false at the end of the file. Longer ones are read over and refused. */
static bool read_line(struct reader *reader, char line[HOST_INI_LINE_MAX + 1])
{
    size_t size = 0, kept = 0;
    bool nul = false;
    int c = getc(reader->stream);

    if (c == EOF)
        return false;
    reader->line++;
    for (; c != EOF && c != '\n'; c = getc(reader->stream)) {
        if (kept < HOST_INI_LINE_MAX)
            line[kept++] = (char)c;
        nul = nul || c == 0;
        size++;
    }
    line[kept] = 0;
    if (reader->line == 1 && kept >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0)
        memmove(line, line + 3, kept - 2);
    if (nul) {
        host_fault(reader->faults, "%s:%u: the line holds a NUL byte", reader->ini->file, reader->line);
        line[0] = 0;
    } else if (size > HOST_INI_LINE_MAX) {
        host_fault(reader->faults, "%s:%u: the line has %zu bytes, at most %d are read; end it with \\ and go on in "
                   "the next line", reader->ini->file, reader->line, size, HOST_INI_LINE_MAX);
        line[0] = 0;
    }
    return true;
}

/* Open a section; the text begins with '['. */
static void open_section(struct reader *reader, const char *text)
{
    struct host_ini *ini = reader->ini;
    const char *end = strchr(text, ']');
    struct host_ini_section *section;
    size_t size;

    reader->section = NULL;
    if (!end) {
        host_fault(reader->faults, "%s:%u: the section's name has no closing ]", ini->file, reader->line);
        return;
    }
    size = (size_t)(end - text - 1);
    if (size == 0 || size > HOST_INI_SECTION_MAX) {
        host_fault(reader->faults, "%s:%u: a section's name has 1 to %d bytes, this one has %zu", ini->file,
                   reader->line, HOST_INI_SECTION_MAX, size);
        return;
    }
    for (end++; is_blank(*end); end++)
        ;
    if (*end != 0 && *end != ';' && *end != '#')
        host_fault(reader->faults, "%s:%u: \"%s\" stands behind the section's name; a key begins a line of its own",
                   ini->file, reader->line, end);
    section = host_arena_take(&ini->arena, sizeof *section);
    section->name = host_arena_text(&ini->arena, text + 1, size);
    section->line = reader->line;
    reader->section = section;
    for (unsigned i = 0; i < ini->count; i++) {
        if (strcmp(ini->section[i]->name, section->name) == 0) {
            host_fault(reader->faults, "%s:%u: section [%s] was opened already in line %u", ini->file, reader->line,
                       section->name, ini->section[i]->line);
            return; /* its keys go to the copy, which nobody sees: no further sentence about them */
        }
    }
    if (ini->count == HOST_INI_SECTIONS_MAX) {
        host_fault(reader->faults, "%s:%u: more than %d sections", ini->file, reader->line, HOST_INI_SECTIONS_MAX);
        return;
    }
    ini->section[ini->count++] = section;
}

/* Say what the handler was not called for. */
static void finish_line(struct reader *reader)
{
    if (!reader->expects_key)
        return;
    reader->expects_key = false;
    if (reader->continues)
        host_fault(reader->faults, "%s:%u: line %u ends with \\, but nothing of it can go on here", reader->ini->file,
                   reader->line, reader->line - 1);
    else
        host_fault(reader->faults, "%s:%u: expected \"key = value\" or \"[section]\"", reader->ini->file, reader->line);
    reader->entry = NULL;
}

/* inih takes comments off the first line of a value only. */
static size_t size_without_comment(const char *text, size_t size)
{
    size_t i = 1;

    while (i < size && !(text[i] == ';' && is_blank(text[i - 1])))
        i++;
    if (i >= size)
        return size;
    while (i && is_blank(text[i - 1]))
        i--;
    return i;
}

/* inih's reader: one line at a time, prepared so that inih finds nothing to misunderstand. */
static char *next_line(char *out, int room, void *context)
{
    struct reader *reader = context;
    char line[HOST_INI_LINE_MAX + 1];
    char *text = line;
    size_t size;

    assert(room > HOST_INI_LINE_MAX + 2);
    finish_line(reader);
    reader->continues = reader->unfinished;
    reader->joins_blank = reader->blank_before;
    reader->unfinished = false;
    if (!read_line(reader, line) || reader->line > HOST_INI_LINES_MAX) {
        if (reader->continues)
            host_fault(reader->faults, "%s:%u: the last line ends with \\, and nothing follows", reader->ini->file,
                       reader->line);
        return NULL;
    }
    while (is_blank(*text))
        text++;
    for (size = strlen(text); size && is_blank(text[size - 1]); size--)
        text[size - 1] = 0;
    if (size && !reader->continues && (*text == ';' || *text == '#'))
        size = 0;
    if (size && !reader->continues && *text == '[') {
        open_section(reader, text);
        reader->entry = NULL;
        size = 0;
    }
    if (reader->continues)
        size = size_without_comment(text, size);
    text[size] = 0;
    reader->expects_key = size > 0 || reader->continues;
    if (size && text[size - 1] == '\\') {
        reader->unfinished = true;
        reader->blank_before = size > 1 && is_blank(text[size - 2]);
        text[--size] = 0;
    }
    /* To inih a blank in front means that the line goes on, an empty line means nothing, and so neither may slip in. */
    (void)snprintf(out, (size_t)room, "%s%s\n", reader->continues && size ? " " : "", text);
    return out;
}

static void add_entry(struct reader *reader, const char *key, const char *value)
{
    struct host_ini *ini = reader->ini;
    struct host_ini_section *section = reader->section;
    const struct host_ini_entry *before;

    reader->entry = NULL;
    if (!section) {
        if (ini->count == 0)
            host_fault(reader->faults, "%s:%u: key \"%s\" stands before the first [section]", ini->file, reader->line,
                       key);
        return;
    }
    if (*key == 0) {
        host_fault(reader->faults, "%s:%u: a value without a key", ini->file, reader->line);
        return;
    }
    before = host_ini_entry(section, key);
    if (before) {
        host_fault(reader->faults, "%s:%u: key \"%s\" of [%s] was given already in line %u", ini->file, reader->line,
                   key, section->name, before->line);
        return;
    }
    if (section->count == HOST_INI_KEYS_MAX) {
        host_fault(reader->faults, "%s:%u: more than %d keys in [%s]", ini->file, reader->line, HOST_INI_KEYS_MAX,
                   section->name);
        return;
    }
    reader->entry = &section->entry[section->count++];
    reader->entry->key = host_arena_text(&ini->arena, key, strlen(key));
    reader->entry->value = host_arena_text(&ini->arena, value, strlen(value));
    reader->entry->line = reader->line;
}

/* inih's handler, for a first line and for each that goes on with it. */
static int take_value(void *context, const char *section, const char *key, const char *value)
{
    struct reader *reader = context;
    struct host_ini_entry *entry = reader->entry;

    (void)section; /* inih's copy of the name is cut at 50 bytes: ours is the one of the reader */
    reader->expects_key = false;
    if (!reader->continues) {
        add_entry(reader, key, value);
        return 1;
    }
    if (!entry)
        return 1; /* the line that it belongs to was refused */
    if (strlen(entry->value) + strlen(value) > HOST_INI_VALUE_MAX) {
        host_fault(reader->faults, "%s:%u: a value of more than %d bytes", reader->ini->file, entry->line,
                   HOST_INI_VALUE_MAX);
        reader->entry = NULL;
        return 1;
    }
    entry->value = host_arena_format(&reader->ini->arena, "%s%s%s", entry->value, reader->joins_blank ? " " : "",
                                     value);
    return 1;
}

/* Write `text` with its variables replaced to `out`; a missing one is a fault. */
static void expand(const struct host_ini *ini, const struct host_ini_entry *entry, FILE *out,
                   struct host_faults *faults)
{
    const char *text = entry->value;

    while (*text) {
        const char *end, *value;
        char name[HOST_INI_LINE_MAX + 1];

        if (strncmp(text, "$${", 3) == 0) {
            (void)fputs("${", out);
            text += 3;
            continue;
        }
        end = strncmp(text, "${", 2) == 0 ? strchr(text, '}') : NULL;
        if (!end) {
            if (strncmp(text, "${", 2) == 0)
                host_fault(faults, "%s:%u: \"${\" without a \"}\"; write $${ when you mean the two characters",
                           ini->file, entry->line);
            (void)fputc(*text++, out);
            continue;
        }
        (void)snprintf(name, sizeof name, "%.*s", (int)(end - text - 2), text + 2);
        value = getenv(name);
        if (!value)
            host_fault(faults, "%s:%u: the environment has no variable %s", ini->file, entry->line, name);
        (void)fputs(value ? value : "", out);
        text = end + 1;
    }
}

static void expand_all(struct host_ini *ini, struct host_faults *faults)
{
    for (unsigned i = 0; i < ini->count; i++) {
        struct host_ini_section *section = ini->section[i];

        for (unsigned j = 0; j < section->count; j++) {
            struct host_ini_entry *entry = &section->entry[j];
            char *text = NULL;
            size_t size = 0;
            FILE *out;

            if (!strstr(entry->value, "${"))
                continue;
            out = open_memstream(&text, &size);
            if (!out)
                return;
            expand(ini, entry, out, faults);
            (void)fclose(out);
            entry->value = host_arena_text(&ini->arena, text, size);
            free(text);
        }
    }
}

void host_ini_read(struct host_ini *ini, FILE *stream, const char *file, struct host_faults *faults)
{
    struct reader reader = {.ini = ini, .faults = faults, .stream = stream};

    *ini = (struct host_ini){.count = 0};
    ini->file = host_arena_text(&ini->arena, file, strlen(file));
    (void)ini_parse_stream(next_line, &reader, take_value, &reader);
    finish_line(&reader);
    if (ferror(stream))
        host_fault(faults, "%s: cannot be read (is it a directory?)", file);
    if (reader.line > HOST_INI_LINES_MAX)
        host_fault(faults, "%s: more than %d lines", file, HOST_INI_LINES_MAX);
    expand_all(ini, faults);
}

const struct host_ini_section *host_ini_section(const struct host_ini *ini, const char *name)
{
    for (unsigned i = 0; i < ini->count; i++)
        if (strcmp(ini->section[i]->name, name) == 0)
            return ini->section[i];
    return NULL;
}

const struct host_ini_entry *host_ini_entry(const struct host_ini_section *section, const char *key)
{
    for (unsigned i = 0; section && i < section->count; i++)
        if (strcmp(section->entry[i].key, key) == 0)
            return &section->entry[i];
    return NULL;
}

void host_ini_free(struct host_ini *ini)
{
    host_arena_free(&ini->arena);
    *ini = (struct host_ini){.count = 0};
}
