/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kit.c - sentences, chance, and the plugin with its options.
 */
#include "core/check/kit.h"

#include "core/check/shared.h"
#include "core/codec/field.h"
#include "core/host/builtin.h"
#include "core/host/directory.h"
#include "core/host/option.h"
#include "core/host/schema.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct kit kit;

#define SENTENCE 1600 /* bytes of a verdict's line */

/* ---- sentences --------------------------------------------------------------------------------------------------- */

static const char *plugin_name(void)
{
    const char *file = strrchr(kit.asked, '/');

    return kit.plugin ? kit.plugin->head.name : file ? file + 1 : kit.asked;
}

/* One line into the report's pipe, in one write. */
static void tell(const char *verdict, const char *format, va_list arguments)
{
    char line[SENTENCE];
    int head = snprintf(line, sizeof line, "%s %s: ", verdict, plugin_name());
    int room = (int)sizeof line - head - 64;
    int size = vsnprintf(line + head, (size_t)room, format, arguments);

    size = head + (size < room ? size : room - 1);
    for (int i = 0; i < size; i++)
        if ((unsigned char)line[i] < ' ')
            line[i] = ' ';
    size += snprintf(line + size, 64, " (seed %" PRIu64 ")\n", kit.seed);
    shared->told++;
    if (write(kit.report, line, (size_t)size) != size)
        _exit(SHARED_EXIT_BROKEN);
}

void kit_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    tell("fail", format, arguments);
    va_end(arguments);
    _exit(SHARED_EXIT_DONE);
}

void kit_warn(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    tell("warn", format, arguments);
    va_end(arguments);
}

void kit_skip(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    tell("skip", format, arguments);
    va_end(arguments);
    _exit(SHARED_EXIT_DONE);
}

static atomic_flag doing_busy = ATOMIC_FLAG_INIT;
static const char *place;

void kit_where(const char *where)
{
    place = where;
}

void kit_at(const char *format, ...)
{
    char text[sizeof shared->doing]; /* the old words may be part of the new ones */
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (place && size >= 0 && (size_t)size < sizeof text && !strstr(text, place)) /* or old words are among the new */
        (void)snprintf(text + size, sizeof text - (size_t)size, "%s", place);
    while (atomic_flag_test_and_set(&doing_busy)) /* a lane of the check may be at something too */
        ;
    memcpy(shared->doing, text, strlen(text) + 1);
    atomic_flag_clear(&doing_busy);
}

const char *kit_doing(void)
{
    return shared->doing;
}

void kit_broken_at(const char *expected, const char *saw, ...)
{
    char text[800];
    va_list arguments;

    va_start(arguments, saw);
    (void)vsnprintf(text, sizeof text, saw, arguments);
    va_end(arguments);
    kit_fail("%s: expected %s, saw %s", shared->doing, expected, text);
}

const char *kit_status(int64_t status)
{
    static const char *const names[] = {
        "GAVEL_OK", "GAVEL_E_INVALID", "GAVEL_E_NOT_FOUND", "GAVEL_E_EXISTS", "GAVEL_E_CONDITION", "GAVEL_E_STATE",
        "GAVEL_E_TOO_LARGE", "GAVEL_E_BUSY", "GAVEL_E_NO_LEADER", "GAVEL_E_TIMEOUT", "GAVEL_E_UNKNOWN",
        "GAVEL_E_DENIED", "GAVEL_E_CLOSED", "GAVEL_E_CORRUPT", "GAVEL_E_IO", "GAVEL_E_NO_SPACE", "GAVEL_E_NO_MEMORY",
        "GAVEL_E_LOCAL", "GAVEL_E_UNSUPPORTED", "GAVEL_E_EXPIRED", "GAVEL_E_STALE", "GAVEL_E_COMPACTED",
        "GAVEL_E_CONFIG", "GAVEL_E_VERSION", "GAVEL_E_INTERNAL", "GAVEL_E_NOT_LEADER"};
    static char number[32];

    if (status <= 0 && -status < (int64_t)(sizeof names / sizeof names[0]))
        return names[-status];
    (void)snprintf(number, sizeof number, "status %" PRId64, status);
    return number;
}

/* ---- chance ------------------------------------------------------------------------------------------------------ */

struct kit_random kit_random(const char *what)
{
    struct kit_random random = {.state = kit.seed};

    for (; *what; what++)
        random.state = (random.state ^ (unsigned char)*what) * UINT64_C(0x100000001b3);
    return random;
}

uint64_t kit_next(struct kit_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* ---- the plugin -------------------------------------------------------------------------------------------------- */

/* A verdict of the loader has its own words and names the file. */
static void refused(const char *text)
{
    char line[SENTENCE];
    int size = snprintf(line, sizeof line, "fail %s\n", text);

    shared->told++;
    if (write(kit.report, line, (size_t)size) != size)
        _exit(SHARED_EXIT_BROKEN);
    _exit(SHARED_EXIT_REFUSED);
}

static bool is_path(const char *asked)
{
    size_t size = strlen(asked);

    return strchr(asked, '/') || (size > 3 && strcmp(asked + size - 3, ".so") == 0);
}

static void find_plugin(struct host_loader *loader)
{
    struct gavel_error error = {.code = 0};
    const struct host_plugin *found, *chosen = NULL;
    char path[HOST_PLUGIN_PATH_MAX];

    (void)snprintf(path, sizeof path, "%s%s", strchr(kit.asked, '/') ? "" : "./", kit.asked);
    if (is_path(kit.asked)) {
        int32_t status = host_load_path(loader, path, &kit.plugin, &error);

        shared->missing = status == GAVEL_E_NOT_FOUND;
        if (status != GAVEL_OK)
            refused(error.text);
        if (kit.kind && strcmp(kit.kind, host_kind_name(kit.plugin->head.kind)) != 0) {
            (void)snprintf(path, sizeof path, "%s: is a %s, not a %s", kit.asked,
                           host_kind_name(kit.plugin->head.kind), kit.kind);
            refused(path);
        }
        return;
    }
    for (uint64_t kind = GAVEL_KIND_TRANSPORT; kind <= GAVEL_KIND_OBSERVER; kind++) {
        int32_t status;

        if (kit.kind && strcmp(kit.kind, host_kind_name(kind)) != 0)
            continue;
        status = host_load(loader, kit.dir, kit.asked, kind, host_builtins, &found, &error);
        if (status != GAVEL_OK && status != GAVEL_E_NOT_FOUND)
            refused(error.text);
        if (status == GAVEL_OK && chosen) {
            (void)snprintf(path, sizeof path, "\"%s\" names a %s and a %s; say which with --kind", kit.asked,
                           host_kind_name(chosen->head.kind), host_kind_name(kind));
            refused(path);
        }
        if (status == GAVEL_OK)
            chosen = found;
    }
    if (!chosen) {
        (void)snprintf(path, sizeof path, "there is no %s called \"%s\" in %s; see gaveld --list-plugins",
                       kit.kind ? kit.kind : "plugin", kit.asked, kit.dir);
        shared->missing = 1;
        refused(path);
    }
    kit.plugin = chosen;
}

/* What the leader of a section's binding does in gaveld: what was said, defaults, what is required. */
static void fill_options(void)
{
    const struct gavel_fields *table = kit.plugin->head.options;
    struct gavel_error error = {.code = 0};
    char text[SENTENCE];

    if (table)
        kit.values = host_arena_take(&kit.arena, table->struct_size);
    for (const char *const *option = kit.options; *option; option++) {
        const struct gavel_fields *in = table;
        const char *value = strchr(*option, '=');
        void *object = kit.values;
        char key[128];
        uint64_t row;

        assert(value); /* main has looked */
        (void)snprintf(key, sizeof key, "%.*s", (int)(value - *option), *option);
        if (!table || host_option_find(&in, &object, key, &row) != GAVEL_OK)
            (void)snprintf(text, sizeof text, "%s: has no option \"%s\"; see gaveld --dump-plugin", kit.asked, key);
        else if (host_option_set(in, row, value + 1, object, &kit.arena, &error) != GAVEL_OK)
            (void)snprintf(text, sizeof text, "%s: option %s: %s", kit.asked, key, error.text);
        else
            continue;
        refused(text);
    }
    if (!table)
        return;
    if (host_option_defaults(table, kit.values, &kit.arena, &error) != GAVEL_OK ||
        codec_fields_complete(table, kit.values, &error) != GAVEL_OK) {
        (void)snprintf(text, sizeof text, "%s: option %s; give it with --set key=value", kit.asked, error.text);
        refused(text);
    }
}

void kit_load(void)
{
    static struct host_loader loader;

    kit_at("load of the file");
    find_plugin(&loader);
    fill_options();
    kit_at("nothing");
}
