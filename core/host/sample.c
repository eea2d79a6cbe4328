/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample.c - every key of every section and plugin with what it means and takes; what a node needs is set, the rest is
 * a comment that shows the default.
 */
#include "core/host/sample.h"

#include "core/host/option.h"
#include "core/host/schema.h"
#include "core/host/words.h"
#include "core/os/clean.h"

#include <gavel/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMENT_WIDTH 100 /* columns of a comment */

/* A key that this file sets. */
struct given {
    const char *key;
    const char *value;
};

/* A text as comment lines, broken at blanks. */
static void print_comment(const char *text, FILE *out)
{
    os_autofree char *lines = NULL;
    size_t size = 0;
    FILE *wrapped = open_memstream(&lines, &size);

    if (!wrapped)
        return;
    host_words_wrap(text, 0, 0, COMMENT_WIDTH, wrapped);
    (void)fclose(wrapped);
    for (char *line = lines, *end; line && *line; line = end + 1) {
        end = strchr(line, '\n');
        *end = 0;
        (void)fprintf(out, "; %s\n", line);
    }
}

static void join(void *context, const char *sentence)
{
    (void)fprintf(context, "%s ", sentence);
}

/* A default as a value of the file: "${" begins a variable there. */
static void print_default(const char *text, FILE *out)
{
    (void)fputs(*text ? " " : "", out);
    for (; *text; text++) {
        if (text[0] == '$' && text[1] == '{')
            (void)fputc('$', out);
        (void)fputc(*text, out);
    }
}

/*
 * One key. What is required is no comment, even without a value: gaveld then names the line. The default of a secret is
 * not shown.
 */
static void print_key(const struct gavel_field *field, const char *prefix, const char *value, FILE *out)
{
    os_autofree char *text = NULL;
    size_t size = 0;
    FILE *comment = open_memstream(&text, &size);

    if (!comment)
        return;
    host_words_say(field, HOST_IN_INI, join, comment);
    (void)fclose(comment);
    (void)fputc('\n', out);
    print_comment(text, out);
    (void)fprintf(out, "%s%s%s =", value || field->flags & GAVEL_REQUIRED ? "" : ";", prefix, field->name);
    if (!value && field->fallback && !(field->flags & GAVEL_SECRET))
        print_default(field->fallback, out);
    else if (value)
        (void)fprintf(out, " %s", value);
    (void)fputc('\n', out);
}

/* The keys of a plugin. A record is its members; what is deprecated is not offered; a list of records has no form. */
static void print_plugin_keys(const struct gavel_fields *table, const char *prefix, FILE *out)
{
    for (uint64_t row = 0; table && row < table->count; row++) {
        struct gavel_field field = host_field(table, row);
        char inner[256];

        if (field.flags & GAVEL_DEPRECATED || (field.type == GAVEL_LIST && field.sub))
            continue;
        if (field.type != GAVEL_RECORD) {
            print_key(&field, prefix, NULL, out);
            continue;
        }
        (void)snprintf(inner, sizeof inner, "%s%s.", prefix, field.name);
        print_plugin_keys(field.sub, inner, out);
    }
}

/* What a plugin has besides the host's keys; what cannot be loaded is named. */
static void print_plugin(const struct host_sample *sample, uint64_t kind, const char *name, FILE *out)
{
    const struct host_plugin *plugin = NULL;
    struct gavel_error error;

    if (sample->loader &&
        host_load(sample->loader, sample->plugin_dir, name, kind, sample->builtins, &plugin, &error) == GAVEL_OK) {
        os_autofree char *summary = host_words_sentence(plugin->head.summary);

        (void)fprintf(out, "\n; ---- keys of the plugin %s: %s\n", plugin->head.name, summary ? summary : "");
        if (!plugin->head.options || plugin->head.options->count == 0)
            (void)fputs("; it has none\n", out);
        print_plugin_keys(plugin->head.options, "", out);
    } else {
        (void)fprintf(out, "\n; The plugin has keys of its own: gaveld --dump-plugin %s\n", name);
    }
}

/* One section: `given` ends with a row without a key. */
static void print_section(const struct host_sample *sample, const struct host_section *section, const char *name,
                          const struct given *given, int brief, FILE *out)
{
    const char *plugin = NULL;

    if (brief && !given->key)
        return;
    if (!brief) {
        (void)fputc('\n', out);
        print_comment(section->help, out);
    }
    (void)fprintf(out, "[%s%s%s]\n", section->name, name ? "." : "", name ? name : "");
    if (section->free)
        (void)fputs("; zone = a\n", out);
    for (uint64_t row = 0; row < section->fields->count; row++) {
        struct gavel_field field = host_field(section->fields, row);
        const char *value = NULL;

        for (const struct given *at = given; at->key; at++)
            if (strcmp(at->key, field.name) == 0)
                value = at->value;
        if (strcmp(field.name, "plugin") == 0)
            plugin = value ? value : field.fallback;
        if (!brief)
            print_key(&field, "", value, out);
        else if (value)
            (void)fprintf(out, "%s = %s\n", field.name, value);
    }
    if (!brief && section->named && plugin)
        print_plugin(sample, section->kind, plugin, out);
}

/* "node-1=ws://127.0.0.1:8080, \" and so on: a line for each member. */
static void print_members(const struct host_sample *sample, FILE *out)
{
    for (unsigned i = 0; i < sample->nodes; i++)
        (void)fprintf(out, "%snode-%u=%s://127.0.0.1:%u", i ? ", \\\n    " : "", i + 1, sample->scheme,
                      sample->port ? sample->port + i : 0);
}

static void print_serializers(const struct host_sample *sample, FILE *out)
{
    for (unsigned i = 0; sample->serializers && sample->serializers[i]; i++)
        (void)fprintf(out, "%s%s", i ? ", " : "", sample->serializers[i]);
}

static char *text_of(const struct host_sample *sample, void (*print)(const struct host_sample *, FILE *))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    print(sample, out);
    (void)fclose(out);
    return text;
}

/* The NAME of a plugin's section: a file's is what its plugin calls itself. */
static const char *instance_name(const struct host_sample *sample, uint64_t kind, const char *plugin)
{
    const struct host_plugin *loaded;
    struct gavel_error error;

    if (strchr(plugin, '/') && sample->loader &&
        host_load(sample->loader, sample->plugin_dir, plugin, kind, sample->builtins, &loaded, &error) == GAVEL_OK)
        return loaded->head.name;
    return plugin;
}

static void print_instances(const struct host_sample *sample, const struct host_section *section,
                            const char *const *plugins, int brief, FILE *out)
{
    for (unsigned i = 0; plugins[i]; i++) {
        const struct given given[] = {{"plugin", plugins[i]}, {NULL, NULL}};

        print_section(sample, section, instance_name(sample, section->kind, plugins[i]), given, brief, out);
    }
}

/* [transport.main], and the further ones a hundred ports apart from it and each other. */
static void print_transports(const struct host_sample *sample, const struct host_section *section, unsigned node,
                             int brief, FILE *out)
{
    char listen[128];
    const struct given given[] = {{"plugin", sample->transport}, {"listen", listen}, {NULL, NULL}};
    unsigned port = sample->port ? sample->port + node - 1 : 0;

    (void)snprintf(listen, sizeof listen, "%s://127.0.0.1:%u", sample->scheme, port);
    print_section(sample, section, "main", given, brief, out);
    for (unsigned i = 0; sample->transports && sample->transports[i]; i++) {
        const char *name = sample->transports[i];
        const struct given more[] = {{"plugin", name}, {"listen", listen}, {NULL, NULL}};
        const struct host_plugin *plugin;
        struct gavel_error error;
        const char *schemes = name;

        if (sample->loader && host_load(sample->loader, sample->plugin_dir, name, section->kind, sample->builtins,
                                        &plugin, &error) == GAVEL_OK)
            schemes = plugin->operations.transport.schemes;
        (void)snprintf(listen, sizeof listen, "%.*s://127.0.0.1:%u", (int)strcspn(schemes, " "), schemes,
                       port ? port + 100 * (i + 1) : 0);
        print_section(sample, section, instance_name(sample, section->kind, name), more, brief, out);
    }
}

/* [serializer] is one section, whatever it names. */
static void print_serializer(const struct host_sample *sample, const struct host_section *section, int brief, FILE *out)
{
    static const char *const usual[] = {"msgpack", NULL};
    os_autofree char *serializers = text_of(sample, print_serializers);
    const struct given given[] = {{sample->serializers ? "plugin" : NULL, serializers}, {NULL, NULL}};
    const char *const *plugins = sample->serializers ? sample->serializers : usual;

    print_section(sample, section, NULL, given, brief, out);
    for (unsigned i = 0; plugins[i] && !brief; i++)
        print_plugin(sample, section->kind, plugins[i], out);
}

void host_sample_ini(const struct host_sample *sample, unsigned node, const char *data_dir, int brief, FILE *out)
{
    static const char *const usual_observers[] = {"log", NULL};
    os_autofree char *members = text_of(sample, print_members);
    char name[32];
    const struct given none[] = {{NULL, NULL}};
    const struct given node_given[] = {{"name", name}, {"data_dir", data_dir}, {NULL, NULL}};
    const struct given cluster_given[] = {{"members", members}, {NULL, NULL}};

    (void)snprintf(name, sizeof name, "node-%u", node);
    if (!brief)
        print_comment("A node of a gavel cluster; see gavel.ini(5). A line that begins with ; is a comment, and a key "
                      "in one shows its default.", out);
    for (const struct host_section *section = host_sections; section->name; section++) {
        switch (section->kind) {
        case GAVEL_KIND_TRANSPORT:
            print_transports(sample, section, node, brief, out);
            break;
        case GAVEL_KIND_SERIALIZER:
            print_serializer(sample, section, brief, out);
            break;
        case GAVEL_KIND_STATEMACHINE:
            print_instances(sample, section, sample->machines, brief, out);
            break;
        case GAVEL_KIND_OBSERVER:
            print_instances(sample, section, sample->observers ? sample->observers : usual_observers, brief, out);
            break;
        default:
            print_section(sample, section, NULL,
                          strcmp(section->name, "node") == 0      ? node_given
                          : strcmp(section->name, "cluster") == 0 ? cluster_given
                                                                  : none,
                          brief, out);
            break;
        }
    }
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static FILE *create(const char *path, int mode, struct gavel_error *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    FILE *out;

    if (fd < 0 && errno == EEXIST) {
        (void)gavel_fail(error, GAVEL_E_EXISTS, "%s is there already; nothing is overwritten", path);
        return NULL;
    }
    out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out)
        (void)gavel_fail(error, GAVEL_E_IO, "%s cannot be made: %s", path, strerror(errno));
    return out;
}

static int32_t finish(FILE *out, const char *path, struct gavel_error *error)
{
    int bad = ferror(out);

    if (fclose(out) != 0 || bad)
        return gavel_fail(error, GAVEL_E_IO, "%s cannot be written: %s", path, strerror(errno));
    return GAVEL_OK;
}

static int32_t write_ini(const struct host_sample *sample, const char *dir, unsigned node, struct gavel_error *error)
{
    char path[PATH_MAX + 32], data[PATH_MAX + 32];
    FILE *out;

    (void)snprintf(path, sizeof path, "%s/node-%u.ini", dir, node);
    (void)snprintf(data, sizeof data, "%s/node-%u", dir, node);
    out = create(path, 0644, error);
    if (!out)
        return (int32_t)error->code;
    host_sample_ini(sample, node, data, 0, out);
    return finish(out, path, error);
}

static int32_t write_script(const struct host_sample *sample, const char *dir, struct gavel_error *error)
{
    char path[PATH_MAX + 32];
    FILE *out;

    (void)snprintf(path, sizeof path, "%s/start.sh", dir);
    out = create(path, 0755, error);
    if (!out)
        return (int32_t)error->code;
    (void)fprintf(out,
                  "#!/bin/sh\n"
                  "# Starts the %u node%s of this directory and waits; Ctrl-C stops them. GAVELD names another "
                  "program.\n# The exit code is 0, or that of a node which failed.\nset -eu\n"
                  "here=$(cd \"$(dirname \"$0\")\" && pwd)\n"
                  "PATH=\"$PATH:" GAVEL_SBINDIR "\"\n"
                  "gaveld=${GAVELD:-gaveld}\n"
                  "command -v \"$gaveld\" >/dev/null || { echo \"$gaveld is not there\" >&2; exit 1; }\n"
                  "pids=\n"
                  "trap 'trap - INT TERM; kill $pids 2>/dev/null || :; wait; exit 0' INT TERM\n"
                  "for node in", sample->nodes, sample->nodes == 1 ? "" : "s");
    for (unsigned node = 1; node <= sample->nodes; node++)
        (void)fprintf(out, " node-%u", node);
    (void)fputs("; do\n"
                "    \"$gaveld\" --config \"$here/$node.ini\" &\n"
                "    pids=\"$pids $!\"\n"
                "done\n"
                "code=0\n"
                "for pid in $pids; do wait \"$pid\" || code=$?; done\n"
                "exit \"$code\"\n", out);
    return finish(out, path, error);
}

int32_t host_sample_write(const struct host_sample *sample, struct gavel_error *error)
{
    struct gavel_error unused;
    char dir[PATH_MAX];
    int32_t status = GAVEL_OK;

    error = error ? error : &unused;
    if (sample->nodes < 1 || sample->nodes > HOST_SAMPLE_NODES_MAX)
        return gavel_fail(error, GAVEL_E_INVALID, "a cluster of %u nodes: expected 1 to %d", sample->nodes,
                          HOST_SAMPLE_NODES_MAX);
    if ((sample->port == 0 && sample->nodes > 1) || sample->port + sample->nodes - 1 > 65535)
        return gavel_fail(error, GAVEL_E_INVALID, "%u nodes cannot use the ports from %u on", sample->nodes,
                          sample->port);
    if (mkdir(sample->dir, 0755) != 0 && errno != EEXIST)
        return gavel_fail(error, GAVEL_E_IO, "%s cannot be made: %s", sample->dir, strerror(errno));
    if (!realpath(sample->dir, dir))
        return gavel_fail(error, GAVEL_E_IO, "%s: %s", sample->dir, strerror(errno));
    for (unsigned node = 1; node <= sample->nodes && status == GAVEL_OK; node++)
        status = write_ini(sample, dir, node, error);
    if (status == GAVEL_OK)
        status = write_script(sample, dir, error);
    return status;
}
