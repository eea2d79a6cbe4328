/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_ini.c - fuzz target: an INI file as gaveld reads it, down to plugins' own keys, and printed again. Each mistake
 * is one sentence of one line; what was read without one is printed as a file that reads without one.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/host/config.h"
#include "tests/fuzz/fuzz.h"

struct options {
    uint64_t present;
    uint64_t size;
    uint64_t wait;
    struct gavel_slice text;
    struct gavel_list names;
    uint64_t on;
    uint64_t mode;
    double share;
};

static const char *const modes[] = {"slow", "fast", NULL};

#define AT(member) .offset = offsetof(struct options, member)
static const struct gavel_field rows[] = {
    {.name = "size", .id = 1, .type = GAVEL_SIZE, AT(size), .fallback = "64KiB", .min = 1, .max = 1 << 20},
    {.name = "wait", .id = 2, .type = GAVEL_DURATION, AT(wait), .fallback = "1s"},
    {.name = "text", .id = 3, .type = GAVEL_STRING, AT(text), .flags = GAVEL_REPLICATED},
    {.name = "names", .id = 4, .type = GAVEL_LIST, AT(names), .element = GAVEL_STRING},
    {.name = "on", .id = 5, .type = GAVEL_BOOL, AT(on)},
    {.name = "mode", .id = 6, .type = GAVEL_CHOICE, AT(mode), .choices = modes, .flags = GAVEL_REPLICATED},
    {.name = "share", .id = 7, .type = GAVEL_REAL, AT(share)},
};
static const struct gavel_fields table = GAVEL_FIELDS(rows, struct options);

static void check_sentences(const struct host_faults *faults)
{
    for (unsigned i = 0; i < faults->count; i++) {
        assert(faults->text[i][0]);
        assert(!strchr(faults->text[i], '\n'));
    }
}

/* Read, and the whole of it printed to *text (the caller frees it) when there was no mistake. */
static bool read_and_print(const void *data, size_t size, char **text, size_t *text_size)
{
    static struct host_config config;
    struct host_faults faults = {.count = 0};
    struct host_faults warnings = {.count = 0};
    char *copy = malloc(size + 1); /* fmemopen wants what it may write to */
    FILE *stream = copy ? fmemopen(copy, size + 1, "r") : NULL;
    bool good;

    if (!stream)
        abort();
    memcpy(copy, data, size);
    copy[size] = '\n';
    host_config_read(&config, stream, "fuzz.ini", &faults, &warnings);
    (void)fclose(stream);
    free(copy);
    for (unsigned i = 0; i < config.instance_count; i++) {
        host_config_bind(&config, &config.instance[i], &table, false, &faults, &warnings);
        (void)host_config_replicated(&config, &config.instance[i]);
    }
    check_sentences(&faults);
    check_sentences(&warnings);
    good = faults.count == 0;
    if (good) {
        FILE *out = open_memstream(text, text_size);

        assert(out);
        host_config_print(&config, out);
        (void)fclose(out);
    }
    host_config_free(&config);
    host_faults_free(&faults);
    host_faults_free(&warnings);
    return good;
}

/* Nothing in it that the form of a file gives a meaning of its own, and so a printed value might not say again. */
static bool is_plain(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((data[i] < ' ' && data[i] != '\n') || data[i] == ';' || data[i] == '#' || data[i] == '\\')
            return false;
    return true;
}

static bool lines_fit(const char *text)
{
    while (*text) {
        size_t length = strcspn(text, "\n");

        if (length > HOST_INI_LINE_MAX)
            return false;
        text += length + (text[length] == '\n');
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *once = NULL;
    char *twice = NULL;
    size_t once_size = 0;
    size_t twice_size = 0;

    if (read_and_print(data, size, &once, &once_size) && is_plain(data, size) && lines_fit(once)) {
        bool good = read_and_print(once, once_size, &twice, &twice_size);

        assert(good);
    }
    free(once);
    free(twice);
    return 0;
}
