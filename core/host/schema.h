/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema.h - what the host itself reads from the INI file: a struct and a field table for each section. What a plugin
 * reads from its own section is in the plugin's table.
 *
 * From these tables come the values, the error messages, --print-config, the sample files of gavel init and the test of
 * gavel.ini(5).
 */
#ifndef CORE_HOST_SCHEMA_H
#define CORE_HOST_SCHEMA_H

#include "core/host/discover.h"
#include <gavel/field.h>

#include "core/node/session_fields.h"

#define HOST_NAME_MAX 63 /* bytes of the name of a node or an instance: NODE_NAME_MAX with its NUL */

#define HOST_DATA_DIR_MAX 96 /* bytes: with "/admin.sock" it must fit the 108 that a Unix socket's address takes */

/* [node] */
struct host_node_options {
    uint64_t present;
    struct gavel_slice name;
    struct gavel_slice data_dir;
    struct gavel_slice plugin_dir;
    uint64_t stop_timeout;
    uint64_t drain_timeout;
    uint64_t slow_call;
};

#define HOST_JOIN_MAX 16 /* NODE_JOIN_MAX */

/* [cluster] */
struct host_cluster_options {
    uint64_t present;
    struct gavel_list members; /* of slices: name=uri[|uri...] */
    struct gavel_list join;    /* of slices: URIs */
    struct gavel_list seeds;   /* of slices: URIs */
    struct gavel_list discover; /* of slices: sources, see discover.h */
    struct gavel_slice discover_server;
    uint64_t bootstrap_expect;
};

/* [raft] */
struct host_raft_options {
    uint64_t present;
    uint64_t election_timeout_min;
    uint64_t election_timeout_max;
    uint64_t heartbeat;
    uint64_t append_window;
    uint64_t batch_bytes;
    uint64_t batch_entries;
    uint64_t command_bytes;
    uint64_t proposals;
    uint64_t reads;
    uint64_t peer_reply_timeout;
    uint64_t redial_min;
    uint64_t redial_max;
    uint64_t disk_stall_timeout;
    uint64_t priority_delay;
};

/* [log] */
struct host_log_options {
    uint64_t present;
    uint64_t segment_bytes;
    uint64_t trailing_bytes;
    uint64_t cache_bytes;
};

/* [snapshot] */
struct host_snapshot_options {
    uint64_t present;
    uint64_t snapshot_entries;
    uint64_t snapshot_log_min;
    uint64_t snapshot_keep;
    uint64_t transfer_rate;
    uint64_t transfer_wait;
};

/* [client] */
struct host_client_options {
    uint64_t present;
    uint64_t connections;
    uint64_t in_flight;
    uint64_t request_timeout;
    uint64_t streams;
    uint64_t event_ring;
};

/* [health]: struct health_limits of core/node/health.h */
struct host_health_options {
    uint64_t present;
    uint64_t interval;
    uint64_t timeout;
    uint64_t failures;
    uint64_t successes;
    uint64_t lag_entries;
    uint64_t lag_bytes;
    uint64_t sync_p99;
    uint64_t sync_time;
    uint64_t apply_backlog;
};

/* [trace] */
struct host_trace_options {
    uint64_t present;
    double ratio;
    uint64_t arguments;
};

/* [transport.NAME], besides what the plugin reads */
struct host_transport_options {
    uint64_t present;
    struct gavel_slice plugin;
    struct gavel_list listen; /* of slices */
    uint64_t insecure;
    struct gavel_list advertise; /* of slices */
};

/* [serializer] */
struct host_serializer_options {
    uint64_t present;
    struct gavel_list plugin; /* of slices */
};

/* [statemachine.NAME] */
struct host_statemachine_options {
    uint64_t present;
    struct gavel_slice plugin;
};

/* [observer.NAME] */
struct host_observer_options {
    uint64_t present;
    struct gavel_slice plugin;
    uint64_t level;           /* GAVEL_LOG_... - 1 */
    struct gavel_list levels; /* of slices: module:level */
    uint64_t metrics_interval;
};

/* "trace" ... "error": the choices of `level`, at GAVEL_LOG_... - 1. */
extern const char *const host_level_names[];

extern const struct gavel_fields host_node_fields;
extern const struct gavel_fields host_cluster_fields;
extern const struct gavel_fields host_raft_fields;
extern const struct gavel_fields host_log_fields;
extern const struct gavel_fields host_snapshot_fields;
extern const struct gavel_fields host_session_fields;
extern const struct gavel_fields host_client_fields;
extern const struct gavel_fields host_health_fields;
extern const struct gavel_fields host_trace_fields;
extern const struct gavel_fields host_transport_fields;
extern const struct gavel_fields host_serializer_fields;
extern const struct gavel_fields host_statemachine_fields;
extern const struct gavel_fields host_observer_fields;
extern const struct gavel_fields host_capability_fields; /* no row */

/* A section as users write it. */
struct host_section {
    const char *name;  /* "node", "transport" */
    uint64_t kind;     /* GAVEL_KIND_... of the plugins that are named in it; 0: none */
    uint64_t named;    /* 1: written [name.NAME], any number of times */
    uint64_t required; /* 1: a file without it is refused */
    const struct gavel_fields *fields;
    const char *help; /* a sentence, without the final full stop */
    uint64_t free;    /* 1: its keys are the user's, and `fields` has none */
};

/* All of them, in the order of a sample file; the last has no name. */
extern const struct host_section host_sections[];

/* The section of that name ("raft", "transport"); NULL when there is none. */
const struct host_section *host_section_find(const char *name);

/* "transport" for GAVEL_KIND_TRANSPORT and so on; NULL for an unknown kind. */
const char *host_kind_name(uint64_t kind);

#endif
