/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - one INI file, understood: the host's own sections as structs, and a list of plugin instances to make.
 *
 * Reading has two steps, because a plugin's table is known only when its file has been loaded: host_config_read does
 * everything but the plugins' own keys, host_config_bind does those of one instance. Mistakes of both gather in the
 * same list, so that one run tells them all.
 */
#ifndef CORE_HOST_CONFIG_H
#define CORE_HOST_CONFIG_H

#include "core/host/capability.h"
#include "core/host/fault.h"
#include "core/host/ini.h"
#include "core/host/schema.h"

#include <stdbool.h>

#define HOST_MEMBERS_MAX 32   /* NODE_MEMBERS_MAX */
#define HOST_ADDRESSES_MAX 4  /* NODE_ADDRESSES_MAX */
#define HOST_INSTANCES_MAX 40 /* 7 transports, 3 serializers, 16 machines, 8 observers, and room for a sentence */
#define HOST_LISTEN_MAX 16    /* URIs of one transport */

struct host_member {
    const char *name;
    const char *uri[HOST_ADDRESSES_MAX];
    unsigned uri_count;
};

/* One plugin instance that the file asks for. */
struct host_instance_config {
    uint64_t kind;                         /* GAVEL_KIND_... */
    const char *name;                      /* NAME of the section; a serializer's is its plugin's */
    const char *plugin;                    /* name, or path when it has a '/' */
    const struct host_ini_section *ini;    /* NULL: not from a section (the default serializer and observer) */
    unsigned line;                         /* of the section */
    struct host_transport_options transport; /* of kind transport */
    struct host_observer_options observer;   /* of kind observer */
    struct host_statemachine_options statemachine; /* of kind statemachine */
    const char *listen[HOST_LISTEN_MAX];
    unsigned listen_count;
    const struct gavel_fields *table; /* the plugin's; set by host_config_bind, NULL when it has none */
    void *options;                    /* the struct it describes; NULL without a table */
};

struct host_config {
    struct host_arena arena;
    struct host_ini ini;
    struct host_node_options node;
    struct host_cluster_options cluster;
    struct host_raft_options raft;
    struct host_log_options log;
    struct host_snapshot_options snapshot;
    struct node_session_options session;
    struct host_client_options client;
    struct host_health_options health;
    struct host_capabilities capabilities;
    struct host_trace_options trace;
    const char *plugin_dir; /* after GAVEL_PLUGIN_DIR has been looked at */
    bool plugin_dir_variable; /* it comes from there */
    struct host_member member[HOST_MEMBERS_MAX];
    unsigned member_count;
    const char *join[HOST_JOIN_MAX];
    unsigned join_count;
    struct host_source source[HOST_SOURCES_MAX]; /* of [cluster] discover */
    unsigned source_count;
    struct host_instance_config instance[HOST_INSTANCES_MAX];
    unsigned instance_count;
};

/*
 * Read `stream`, named `file` in sentences. What is wrong goes to `faults`, what deserves a look to `warnings`. The
 * struct is filled as far as possible in any case, and freed with host_config_free.
 */
void host_config_read(struct host_config *config, FILE *stream, const char *file, struct host_faults *faults,
                      struct host_faults *warnings);

/*
 * What the command line says of joining, addresses with commas, takes the place of [cluster] join; NULL: nothing.
 * A node that joins nobody is one of the members, if these are listed.
 */
void host_config_join(struct host_config *config, const char *addresses, struct host_faults *faults);

/*
 * Read the keys of one instance by its plugin's table (NULL: it has no options). With `unknown_plugin` nothing but the
 * host's own keys is looked at, since nobody knows what the others mean.
 */
void host_config_bind(struct host_config *config, struct host_instance_config *instance,
                      const struct gavel_fields *table, bool unknown_plugin, struct host_faults *faults,
                      struct host_faults *warnings);

/*
 * Print each effective value of every section as INI, each followed by where it comes from: "; gavel.ini:12" or
 * "; default". Secrets are not printed.
 */
void host_config_print(struct host_config *config, FILE *out);

/* An instance's options flagged GAVEL_REPLICATED, as sorted "key=value\n" lines, kept in the configuration. */
const char *host_config_replicated(struct host_config *config, const struct host_instance_config *instance);

/* The same, but only those that the file itself gives. */
const char *host_config_given(struct host_config *config, const struct host_instance_config *instance);

/* Whether the file gives a key of one of the host's unnamed sections. */
bool host_config_gives(const struct host_config *config, const char *section, const char *key);

/* The struct of one of the host's unnamed sections ("raft"), for tables; NULL when the name is another. */
void *host_config_object(struct host_config *config, const char *section);

/* Free what host_config_read made. */
void host_config_free(struct host_config *config);

#endif
