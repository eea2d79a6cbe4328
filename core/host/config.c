/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - from sections and keys to structs and instances.
 */
#include "core/host/config.h"

#include "core/codec/field.h"
#include "core/host/bind.h"
#include "core/host/option.h"
#include "core/host/sink.h"
#include "core/host/uri.h"

#include <gavel/plugin.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Names appear in addresses, file names, log lines and metrics. */
static bool is_name(const char *name)
{
    size_t size = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    return size > 0 && size <= HOST_NAME_MAX && name[size] == 0 && name[0] != '.' && name[0] != '-';
}

/* A slice that host_option_set has made is followed by a NUL. */
static const char *text_of(struct gavel_slice slice)
{
    return slice.data;
}

void *host_config_object(struct host_config *config, const char *section)
{
    const struct {
        const char *name;
        void *object;
    } objects[] = {{"node", &config->node},         {"cluster", &config->cluster}, {"raft", &config->raft},
                   {"log", &config->log},           {"snapshot", &config->snapshot},
                   {"session", &config->session},   {"client", &config->client},
                   {"health", &config->health},     {"trace", &config->trace}};

    for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++)
        if (strcmp(objects[i].name, section) == 0)
            return objects[i].object;
    return NULL;
}

/* ---- sections ---------------------------------------------------------------------------------------------------- */

static void unknown_section(const struct host_config *config, const struct host_ini_section *ini, const char *kind,
                            struct host_faults *faults)
{
    struct codec_nearest nearest = {.wanted = gavel_text(kind)};
    const char *name = strchr(ini->name, '.');
    char best[HOST_INI_SECTION_MAX + 1];

    for (const struct host_section *section = host_sections; section->name; section++)
        codec_nearest_offer(&nearest, gavel_text(section->name));
    if (!nearest.best.data) {
        host_fault(faults, "%s:%u: unknown section [%s]", config->ini.file, ini->line, ini->name);
        return;
    }
    (void)snprintf(best, sizeof best, "%.*s", (int)nearest.best.size, (const char *)nearest.best.data);
    if (!host_section_find(best)->named)
        name = "";
    host_fault(faults, "%s:%u: unknown section [%s]; did you mean [%s%s]?", config->ini.file, ini->line, ini->name,
               best, name ? name : ".NAME");
}

static struct host_instance_config *add_instance(struct host_config *config, uint64_t kind, const char *name,
                                                 const char *plugin, const struct host_ini_section *ini,
                                                 struct host_faults *faults)
{
    struct host_instance_config *instance;

    if (config->instance_count == HOST_INSTANCES_MAX) {
        host_fault(faults, "%s:%u: more than %d plugin instances", config->ini.file, ini ? ini->line : 0,
                   HOST_INSTANCES_MAX);
        return NULL;
    }
    instance = &config->instance[config->instance_count++];
    *instance = (struct host_instance_config){
        .kind = kind, .name = name, .plugin = plugin, .ini = ini, .line = ini ? ini->line : 0};
    return instance;
}

static void read_plugin_section(struct host_config *config, const struct host_section *section,
                                const struct host_ini_section *ini, struct host_faults *faults)
{
    const struct host_ini_entry *entry = host_ini_entry(ini, "plugin");
    const char *name = strchr(ini->name, '.');

    if (!name || !is_name(name + 1)) {
        host_fault(faults, "%s:%u: expected [%s.NAME] with a NAME of letters, digits, '.', '_' and '-', found [%s]",
                   config->ini.file, ini->line, section->name, ini->name);
        return;
    }
    (void)add_instance(config, section->kind, name + 1, entry ? entry->value : name + 1, ini, faults);
}

static void read_serializers(struct host_config *config, const struct host_ini_section *ini,
                             struct host_faults *faults, struct host_faults *warnings)
{
    struct host_serializer_options options;
    const struct gavel_slice *names;

    memset(&options, 0, sizeof options);
    if (ini) {
        struct host_bind bind = {.config = config, .ini = ini, .faults = faults, .warnings = warnings, .lenient = true};

        host_bind_section(&bind, &host_serializer_fields, &options, NULL, NULL);
    } else {
        int32_t status = host_option_defaults(&host_serializer_fields, &options, &config->arena, NULL);

        assert(status == GAVEL_OK);
    }
    names = options.plugin.items;
    for (uint64_t i = 0; i < options.plugin.count; i++) {
        const char *name = strrchr(text_of(names[i]), '/');

        (void)add_instance(config, GAVEL_KIND_SERIALIZER, name ? name + 1 : text_of(names[i]), text_of(names[i]), ini,
                           faults);
    }
}

static void read_section(struct host_config *config, const struct host_ini_section *ini, struct host_faults *faults,
                         struct host_faults *warnings)
{
    char kind[HOST_INI_SECTION_MAX + 1];
    const struct host_section *section;
    struct host_bind bind = {.config = config, .ini = ini, .faults = faults, .warnings = warnings};

    (void)snprintf(kind, sizeof kind, "%.*s", (int)strcspn(ini->name, "."), ini->name);
    section = host_section_find(kind);
    if (!section) {
        unknown_section(config, ini, kind, faults);
        return;
    }
    if (section->free) {
        host_capabilities_read(&config->capabilities, config->ini.file, ini, faults);
        return;
    }
    if (section->named) {
        read_plugin_section(config, section, ini, faults);
        return;
    }
    if (strcmp(ini->name, section->name) != 0) {
        host_fault(faults, "%s:%u: there is one section [%s]; it takes no name of its own", config->ini.file, ini->line,
                   section->name);
        return;
    }
    if (section->kind == GAVEL_KIND_SERIALIZER)
        read_serializers(config, ini, faults, warnings);
    else
        host_bind_section(&bind, section->fields, host_config_object(config, section->name), NULL, NULL);
}

/* Sections that are not in the file: defaults, or a sentence. */
static void read_absent(struct host_config *config, struct host_faults *faults, struct host_faults *warnings)
{
    for (const struct host_section *section = host_sections; section->name; section++) {
        bool seen = false;

        for (unsigned i = 0; i < config->ini.count; i++) {
            const char *name = config->ini.section[i]->name;

            seen = seen || (strncmp(name, section->name, strlen(section->name)) == 0 &&
                            strchr(".", name[strlen(section->name)]));
        }
        if (seen)
            continue;
        if (section->required)
            host_fault(faults, "%s: no section [%s%s]: %s", config->ini.file, section->name,
                       section->named ? ".NAME" : "", section->help);
        if (section->kind == GAVEL_KIND_SERIALIZER)
            read_serializers(config, NULL, faults, warnings);
        else if (section->kind == GAVEL_KIND_OBSERVER)
            (void)add_instance(config, section->kind, "log", "log", NULL, faults);
        else if (!section->named && !section->free)
            (void)host_option_defaults(section->fields, host_config_object(config, section->name), &config->arena,
                                       NULL);
    }
}

/* ---- rules over several keys ------------------------------------------------------------------------------------- */

/* "file:line" of a key, or of its section, or of the file. */
static const char *place(struct host_config *config, const char *section, const char *key)
{
    const struct host_ini_section *ini = host_ini_section(&config->ini, section);
    const struct host_ini_entry *entry = host_ini_entry(ini, key);

    if (!ini)
        return config->ini.file;
    return host_arena_format(&config->arena, "%s:%u", config->ini.file, entry ? entry->line : ini->line);
}

static void check_timings(struct host_config *config, struct host_faults *faults)
{
    const struct host_raft_options *raft = &config->raft;

    if (raft->election_timeout_max <= raft->election_timeout_min)
        host_fault(faults, "%s: election_timeout_max (%llums) must be above election_timeout_min (%llums)",
                   place(config, "raft", "election_timeout_max"), (unsigned long long)raft->election_timeout_max,
                   (unsigned long long)raft->election_timeout_min);
    if (raft->heartbeat > raft->election_timeout_min / 2)
        host_fault(faults, "%s: heartbeat (%llums) must be at most half of election_timeout_min (%llums), else one "
                   "lost message costs an election", place(config, "raft", "heartbeat"),
                   (unsigned long long)raft->heartbeat,
                   (unsigned long long)raft->election_timeout_min);
    if (raft->redial_max < raft->redial_min)
        host_fault(faults, "%s: redial_max (%llums) must not be below redial_min (%llums)",
                   place(config, "raft", "redial_max"), (unsigned long long)raft->redial_max,
                   (unsigned long long)raft->redial_min);
}

/* One element of the members list: name=uri[|uri...]. */
static void read_member(struct host_config *config, const char *text, const char *at, struct host_faults *faults)
{
    const char *equals = strchr(text, '=');
    struct host_member member = {.uri_count = 0};
    struct gavel_error error;

    if (!equals || equals == text) {
        host_fault(faults, "%s: expected a member as name=uri, found \"%s\"", at, text);
        return;
    }
    member.name = host_arena_text(&config->arena, text, (size_t)(equals - text));
    if (!is_name(member.name)) {
        host_fault(faults, "%s: \"%s\" is no name for a member: letters, digits, '.', '_' and '-', at most %d", at,
                   member.name, HOST_NAME_MAX);
        return;
    }
    for (const char *uri = equals + 1; uri; uri = strchr(uri, '|') ? strchr(uri, '|') + 1 : NULL) {
        const char *one = host_arena_text(&config->arena, uri, strcspn(uri, "|"));

        if (member.uri_count == HOST_ADDRESSES_MAX) {
            host_fault(faults, "%s: member %s has more than %d addresses", at, member.name, HOST_ADDRESSES_MAX);
            return;
        }
        if (host_uri_check(one, &error) != GAVEL_OK)
            host_fault(faults, "%s: member %s: %s", at, member.name, error.text);
        member.uri[member.uri_count++] = one;
    }
    for (unsigned i = 0; i < config->member_count; i++) {
        if (strcmp(config->member[i].name, member.name) == 0) {
            host_fault(faults, "%s: member %s is listed twice", at, member.name);
            return;
        }
    }
    assert(config->member_count < HOST_MEMBERS_MAX);
    config->member[config->member_count++] = member;
}

/* Whoever has fellows is dialled by them. */
static void check_ports(const struct host_config *config, const char *at, struct host_faults *faults)
{
    struct gavel_error error;

    for (unsigned i = 0; i < config->member_count && config->member_count > 1; i++)
        for (unsigned j = 0; j < config->member[i].uri_count; j++)
            if (host_uri_check(config->member[i].uri[j], &error) == GAVEL_OK &&
                host_uri_check_dialled(config->member[i].uri[j], &error) != GAVEL_OK)
                host_fault(faults, "%s: member %s: %s", at, config->member[i].name, error.text);
}

static void read_members(struct host_config *config, struct host_faults *faults)
{
    const char *at = place(config, "cluster", "members");
    const struct gavel_slice *items = config->cluster.members.items;
    const char *own = gavel_present(&config->node, 0) ? text_of(config->node.name) : NULL;

    for (uint64_t i = 0; i < config->cluster.members.count; i++)
        read_member(config, text_of(items[i]), at, faults);
    check_ports(config, at, faults);
    if (own && !is_name(own))
        host_fault(faults, "%s: \"%s\" is no name for a node: letters, digits, '.', '_' and '-', at most %d",
                   place(config, "node", "name"), own, HOST_NAME_MAX);
}

/* Who founds is listed. Who joins need not be, though the file was copied from a founder's. */
static void check_listed(struct host_config *config, struct host_faults *faults)
{
    const char *own = gavel_present(&config->node, 0) ? text_of(config->node.name) : NULL;
    struct codec_nearest nearest = {.best = {NULL, 0}};
    char hint[128];

    if (!own || !is_name(own) || config->member_count == 0 || config->join_count)
        return;
    nearest.wanted = gavel_text(own);
    for (unsigned i = 0; i < config->member_count; i++) {
        if (strcmp(own, config->member[i].name) == 0)
            return;
        codec_nearest_offer(&nearest, gavel_text(config->member[i].name));
    }
    host_fault(faults, "%s: this node is called \"%s\", which is not among the members (one that is added to a cluster "
               "says whom to join instead: join, or gaveld --join)%s",
               place(config, "node", "name"), own, codec_nearest_text(&nearest, hint, sizeof hint));
}

static void add_join(struct host_config *config, const char *uri, const char *at, struct host_faults *faults)
{
    struct gavel_error error;

    if (config->join_count == HOST_JOIN_MAX) {
        host_fault(faults, "%s: more than %d addresses to join by", at, HOST_JOIN_MAX);
        return;
    }
    if (host_uri_check_dialled(uri, &error) != GAVEL_OK)
        host_fault(faults, "%s: %s", at, error.text);
    config->join[config->join_count++] = uri;
}

void host_config_join(struct host_config *config, const char *addresses, struct host_faults *faults)
{
    const struct gavel_slice *items = config->cluster.join.items;

    for (uint64_t i = 0; !addresses && i < config->cluster.join.count; i++)
        add_join(config, text_of(items[i]), place(config, "cluster", "join"), faults);
    for (const char *at = addresses; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        add_join(config, host_arena_text(&config->arena, at, strcspn(at, ",")), "--join", faults);
    if (config->join_count && (config->cluster.seeds.count || config->cluster.discover.count))
        host_fault(faults, "%s: a node is told whom to join, or discovers it by seeds and discover: give either the "
                   "one or the others; without bootstrap_expect a node that discovers others only joins",
                   addresses ? "--join" : place(config, "cluster", "join"));
    check_listed(config, faults);
}

static void read_seeds(struct host_config *config, struct host_faults *faults)
{
    const struct gavel_slice *seeds = config->cluster.seeds.items;
    const struct gavel_slice *sources = config->cluster.discover.items;
    const char *server = config->cluster.discover_server.size ? text_of(config->cluster.discover_server) : NULL;
    bool scouts = config->cluster.seeds.count || config->cluster.discover.count;
    struct gavel_error error;
    uint32_t address;
    uint16_t port;

    for (uint64_t i = 0; i < config->cluster.seeds.count; i++)
        if (host_uri_check_dialled(text_of(seeds[i]), &error) != GAVEL_OK)
            host_fault(faults, "%s: %s", place(config, "cluster", "seeds"), error.text);
    for (uint64_t i = 0; i < config->cluster.discover.count && i < HOST_SOURCES_MAX; i++)
        if (host_source_read(text_of(sources[i]), &config->source[config->source_count++], &error) != GAVEL_OK)
            host_fault(faults, "%s: %s", place(config, "cluster", "discover"), error.text);
    if (server && host_server_read(server, &address, &port, &error) != GAVEL_OK)
        host_fault(faults, "%s: %s", place(config, "cluster", "discover_server"), error.text);
    if (server && !config->cluster.discover.count)
        host_fault(faults, "%s: discover_server is of no use without discover",
                   place(config, "cluster", "discover_server"));
    if (config->cluster.bootstrap_expect && !scouts)
        host_fault(faults, "%s: bootstrap_expect needs seeds or discover: where the others are",
                   place(config, "cluster", "bootstrap_expect"));
    if (scouts && config->cluster.members.count)
        host_fault(faults, "%s: members names the founders, seeds and discover look for them: give either the one or "
                   "the others", place(config, "cluster", "members"));
}

static void choose_plugin_dir(struct host_config *config)
{
    const char *variable = getenv("GAVEL_PLUGIN_DIR");
    bool given = host_ini_entry(host_ini_section(&config->ini, "node"), "plugin_dir") != NULL;

    config->plugin_dir_variable = !given && variable && *variable;
    if (config->plugin_dir_variable)
        config->node.plugin_dir = gavel_text(host_arena_text(&config->arena, variable, strlen(variable)));
    config->plugin_dir = gavel_present(&config->node, 2) ? text_of(config->node.plugin_dir) : GAVEL_PLUGINDIR;
}

void host_config_read(struct host_config *config, FILE *stream, const char *file, struct host_faults *faults,
                      struct host_faults *warnings)
{
    memset(config, 0, sizeof *config);
    host_ini_read(&config->ini, stream, file, faults);
    for (unsigned i = 0; i < config->ini.count; i++)
        read_section(config, config->ini.section[i], faults, warnings);
    read_absent(config, faults, warnings);
    check_timings(config, faults);
    read_members(config, faults);
    read_seeds(config, faults);
    choose_plugin_dir(config);
}

/* ---- instances --------------------------------------------------------------------------------------------------- */

/* A listener without TLS that others reach needs a word of consent, and is warned of all the same. */
static void check_listen(struct host_config *config, struct host_instance_config *instance,
                         struct host_faults *faults, struct host_faults *warnings)
{
    const struct host_ini_entry *entry = host_ini_entry(instance->ini, "listen");
    const struct gavel_slice *items = instance->transport.listen.items;
    unsigned line = entry ? entry->line : instance->line;

    for (uint64_t i = 0; i < instance->transport.listen.count; i++) {
        const char *uri = text_of(items[i]);
        struct gavel_error error;

        if (host_uri_check(uri, &error) != GAVEL_OK) {
            host_fault(faults, "%s:%u: %s", config->ini.file, line, error.text);
            continue;
        }
        instance->listen[instance->listen_count++] = uri;
        if (host_uri_is_private(uri))
            continue;
        if (instance->transport.insecure)
            host_fault(warnings, "%s:%u: %s has no TLS and can be reached by others (insecure = yes)", config->ini.file,
                       line, uri);
        else
            host_fault(faults, "%s:%u: %s has no TLS, so it must be a loopback address; write insecure = yes if "
                       "anybody who reaches it may use it", config->ini.file, line, uri);
    }
}

/* What others are told to dial. */
static void check_advertise(const struct host_config *config, const struct host_instance_config *instance,
                            struct host_faults *faults)
{
    const struct host_ini_entry *entry = host_ini_entry(instance->ini, "advertise");
    const struct gavel_slice *items = instance->transport.advertise.items;
    struct gavel_error error;

    for (uint64_t i = 0; i < instance->transport.advertise.count; i++)
        if (host_uri_check_dialled(text_of(items[i]), &error) != GAVEL_OK)
            host_fault(faults, "%s:%u: advertise: %s", config->ini.file, entry ? entry->line : instance->line,
                       error.text);
}

static void check_levels(struct host_config *config, const struct host_instance_config *instance,
                         struct host_faults *faults)
{
    const struct host_ini_entry *entry = host_ini_entry(instance->ini, "levels");
    const struct gavel_slice *items = instance->observer.levels.items;

    for (uint64_t i = 0; i < instance->observer.levels.count; i++) {
        char module[HOST_SINK_MODULE_MAX];
        struct gavel_error error;
        uint64_t level;

        if (host_sink_level(items[i], module, &level, &error) != GAVEL_OK)
            host_fault(faults, "%s:%u: levels: %s", config->ini.file, entry ? entry->line : instance->line, error.text);
    }
}

/* After the last serializer has been bound: keys of their section that none of them knows. */
static void check_shared_keys(const struct host_config *config, const struct host_instance_config *bound,
                              struct host_faults *faults)
{
    unsigned next = (unsigned)(bound - config->instance) + 1;

    for (; next < config->instance_count; next++)
        if (config->instance[next].kind == GAVEL_KIND_SERIALIZER)
            return;
    for (unsigned i = 0; bound->ini && i < bound->ini->count; i++) {
        const struct host_ini_entry *entry = &bound->ini->entry[i];
        bool known = strcmp(entry->key, "plugin") == 0;

        for (unsigned j = 0; j < config->instance_count && !known; j++) {
            const struct gavel_fields *table = config->instance[j].table;
            void *object = NULL;
            uint64_t row;

            known = config->instance[j].kind == GAVEL_KIND_SERIALIZER && table &&
                    host_option_find(&table, &object, entry->key, &row) == GAVEL_OK;
        }
        if (!known)
            host_fault(faults, "%s:%u: unknown key \"%s\" in [%s]", config->ini.file, entry->line, entry->key,
                       bound->ini->name);
    }
}

void host_config_bind(struct host_config *config, struct host_instance_config *instance,
                      const struct gavel_fields *table, bool unknown_plugin, struct host_faults *faults,
                      struct host_faults *warnings)
{
    struct host_bind bind = {.config = config, .ini = instance->ini, .faults = faults, .warnings = warnings,
                             .lenient = unknown_plugin};

    instance->table = table;
    if (table)
        instance->options = host_arena_take(&config->arena, table->struct_size);
    switch (instance->kind) {
    case GAVEL_KIND_TRANSPORT:
        host_bind_section(&bind, &host_transport_fields, &instance->transport, table, instance->options);
        check_listen(config, instance, faults, warnings);
        check_advertise(config, instance, faults);
        break;
    case GAVEL_KIND_OBSERVER:
        host_bind_section(&bind, &host_observer_fields, &instance->observer, table, instance->options);
        check_levels(config, instance, faults);
        break;
    case GAVEL_KIND_STATEMACHINE:
        host_bind_section(&bind, &host_statemachine_fields, &instance->statemachine, table, instance->options);
        break;
    default:
        assert(instance->kind == GAVEL_KIND_SERIALIZER);
        bind.lenient = true; /* several plugins share the section */
        host_bind_section(&bind, NULL, NULL, table, instance->options);
        check_shared_keys(config, instance, faults);
    }
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *replicated(struct host_config *config, const struct host_instance_config *instance, bool all_of_them)
{
    const struct gavel_fields *table = instance->table;
    const char *lines[64];
    size_t count = 0;
    char *all = host_arena_text(&config->arena, "", 0);

    for (uint64_t row = 0; table && row < table->count && row < 64; row++) {
        struct gavel_field field = host_field(table, row);
        char *text = NULL;
        size_t size = 0;
        FILE *out;

        if (!(field.flags & GAVEL_REPLICATED) || (!all_of_them && !host_ini_entry(instance->ini, field.name)))
            continue;
        out = open_memstream(&text, &size);
        if (!out)
            continue;
        (void)fprintf(out, "%s=", field.name);
        host_option_print(table, row, instance->options, out);
        (void)fclose(out);
        lines[count++] = host_arena_text(&config->arena, text, size);
        free(text);
    }
    qsort(lines, count, sizeof lines[0], compare_lines);
    for (size_t i = 0; i < count; i++)
        all = host_arena_format(&config->arena, "%s%s\n", all, lines[i]);
    return all;
}

const char *host_config_replicated(struct host_config *config, const struct host_instance_config *instance)
{
    return replicated(config, instance, true);
}

const char *host_config_given(struct host_config *config, const struct host_instance_config *instance)
{
    return replicated(config, instance, false);
}

bool host_config_gives(const struct host_config *config, const char *section, const char *key)
{
    return host_ini_entry(host_ini_section(&config->ini, section), key) != NULL;
}

void host_config_free(struct host_config *config)
{
    host_ini_free(&config->ini);
    host_arena_free(&config->arena);
    memset(config, 0, sizeof *config);
}
