/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample.c - every key of every section with its help, range and default; what a node needs is set, the rest is a
 * comment.
 */
#include "core/host/sample.h"

#include "core/host/option.h"
#include "core/host/schema.h"
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

/* Print a text as comment lines, broken at blanks. */
static void print_comment(const char *text, FILE *out)
{
    size_t used = 0;

    while (*text) {
        size_t size = strcspn(text, " ");

        if (used == 0 || used + 1 + size > COMMENT_WIDTH) {
            (void)fprintf(out, "%s; ", used ? "\n" : "");
            used = 2;
        } else {
            (void)fputc(' ', out);
            used++;
        }
        (void)fprintf(out, "%.*s", (int)size, text);
        used += size;
        text += size;
        text += strspn(text, " ");
    }
    (void)fputc('\n', out);
}

static void print_key(const struct gavel_fields *table, uint64_t row, const char *value, int brief, FILE *out)
{
    struct gavel_field field = host_field(table, row);
    os_autofree char *text = NULL;
    size_t size = 0;
    FILE *comment;

    if (brief) {
        if (value)
            (void)fprintf(out, "%s = %s\n", field.name, value);
        return;
    }
    comment = open_memstream(&text, &size);
    if (!comment)
        return;
    (void)fprintf(comment, "%s: ", field.help);
    host_option_describe(table, row, comment);
    if (field.flags & GAVEL_REPLICATED)
        (void)fputs("; belongs to the cluster: the same on every node", comment);
    (void)fclose(comment);
    (void)fputc('\n', out);
    print_comment(text, out);
    if (value)
        (void)fprintf(out, "%s = %s\n", field.name, value);
    else
        (void)fprintf(out, ";%s = %s\n", field.name, field.fallback ? field.fallback : "");
}

/* One section: `given` ends with a row without a key. */
static void print_section(const struct host_section *section, const char *name, const struct given *given, int brief,
                          FILE *out)
{
    const char *plugin = "NAME";

    if (brief && !given->key)
        return;
    if (!brief) {
        (void)fputc('\n', out);
        print_comment(section->help, out);
    }
    (void)fprintf(out, "[%s%s%s]\n", section->name, name ? "." : "", name ? name : "");
    for (uint64_t row = 0; row < section->fields->count; row++) {
        struct gavel_field field = host_field(section->fields, row);
        const char *value = NULL;

        for (const struct given *at = given; at->key; at++)
            if (strcmp(at->key, field.name) == 0)
                value = at->value;
        if (strcmp(field.name, "plugin") == 0 && (value || field.fallback))
            plugin = value ? value : field.fallback;
        print_key(section->fields, row, value, brief, out);
    }
    if (!brief && section->kind)
        (void)fprintf(out, "\n; The plugin has keys of its own: gaveld --dump-plugin %s\n", plugin);
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

void host_sample_ini(const struct host_sample *sample, unsigned node, const char *data_dir, int brief, FILE *out)
{
    os_autofree char *members = text_of(sample, print_members);
    os_autofree char *serializers = text_of(sample, print_serializers);
    char name[32], listen[128];
    const struct given none[] = {{NULL, NULL}};
    const struct given node_given[] = {{"name", name}, {"data_dir", data_dir}, {NULL, NULL}};
    const struct given cluster_given[] = {{"members", members}, {NULL, NULL}};
    const struct given transport_given[] = {{"plugin", sample->transport}, {"listen", listen}, {NULL, NULL}};
    const struct given serializer_given[] = {{sample->serializers ? "plugin" : NULL, serializers}, {NULL, NULL}};

    (void)snprintf(name, sizeof name, "node-%u", node);
    (void)snprintf(listen, sizeof listen, "%s://127.0.0.1:%u", sample->scheme,
                   sample->port ? sample->port + node - 1 : 0);
    if (!brief)
        print_comment("A node of a gavel cluster; see gavel.ini(5). A line that begins with ; is a comment, and a key "
                      "in one shows its default.", out);
    for (const struct host_section *section = host_sections; section->name; section++) {
        if (section->kind == GAVEL_KIND_STATEMACHINE) {
            for (unsigned i = 0; sample->machines[i]; i++) {
                const struct given machine_given[] = {{"plugin", sample->machines[i]}, {NULL, NULL}};

                print_section(section, sample->machines[i], machine_given, brief, out);
            }
        } else if (section->kind == GAVEL_KIND_OBSERVER) {
            print_section(section, "log", (const struct given[]){{"plugin", "log"}, {NULL, NULL}}, brief, out);
        } else {
            print_section(section, section->named ? "main" : NULL,
                          strcmp(section->name, "node") == 0             ? node_given
                          : strcmp(section->name, "cluster") == 0        ? cluster_given
                          : section->kind == GAVEL_KIND_TRANSPORT        ? transport_given
                          : section->kind == GAVEL_KIND_SERIALIZER       ? serializer_given
                                                                         : none,
                          brief, out);
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
                  "program.\nset -eu\n"
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
                "wait\n", out);
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
