/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.h - what has to be the same on every node of a cluster and may change while it runs: the limits of sessions,
 * the replicated options of its machines, and the state version that each machine acts as.
 *
 * A setting has a key, "session.ttl" or "statemachine.NAME.OPTION", and a value as an INI file writes it. The founding
 * record holds the first values; an entry of the log changes some, from its index on, on every node alike; a snapshot
 * holds what was changed. The version of the whole is the index of the entry that changed it last, 0: none has.
 *
 * Everything here is replicated state: the same calls give the same table and the same digest everywhere. [any], by
 * whoever owns the table: the apply lane has one, and the loop a copy of it.
 */
#ifndef CORE_NODE_SETTINGS_H
#define CORE_NODE_SETTINGS_H

#include <gavel/abi.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/node/bytes.h"
#include "core/node/node.h"
#include "core/node/session.h"

#define SETTINGS_MAX 1024        /* settings: 16 machines with 64 options each fill it */
#define SETTINGS_CHANGE_MAX 64   /* that one entry changes */
#define SETTING_KEY_MAX 200      /* bytes of a key: "statemachine." and two names */
#define SETTING_VALUE_MAX 1024   /* bytes of a value */

/* One that was recorded or changed; what was not has the default of its table. */
struct setting {
    char *key;
    char *value;
    uint64_t index; /* of the entry that changed it; 0: from the founding */
};

/* What a machine acts as. */
struct setting_version {
    uint64_t version;
    uint64_t index; /* of the barrier; 0: from the founding */
};

struct settings {
    uint32_t magic;
    uint32_t count;
    struct setting *items; /* sorted by key */
    uint32_t capacity;
    uint32_t machine_count;
    uint64_t version;
    struct setting_version machines[NODE_MACHINES_MAX];
};

/* A new, empty table; NULL when memory is out. */
struct settings *settings_new(void);

/* Free it; returns NULL; NULL is fine. */
struct settings *settings_free(struct settings *settings);

/* Make *to the same as *from. GAVEL_E_LOCAL without memory: *to is as it was. */
int32_t settings_copy(struct settings *to, const struct settings *from);

/* NULL: not recorded. Borrowed until the next change. */
const struct setting *settings_find(const struct settings *settings, struct gavel_slice key);

/* GAVEL_E_LOCAL without memory, GAVEL_E_TOO_LARGE over a bound. */
int32_t settings_put(struct settings *settings, struct gavel_slice key, struct gavel_slice value, uint64_t index);

/* Add what was changed to a digest; what is from the founding is the same for all of one cluster. */
void settings_digest(const struct settings *settings, uint64_t sum[2]);

/*
 * Write what was changed since the founding; and take it over a table that is as the cluster was founded.
 * GAVEL_E_CORRUPT, GAVEL_E_LOCAL.
 */
int32_t settings_save(const struct settings *settings, struct gavel_buffer *out);
int32_t settings_load(struct settings *settings, struct bytes_cursor *cursor, struct gavel_error *error);

/* ---- what a key means ------------------------------------------------------------------------------------------- */

#define SETTING_OF_SESSION UINT32_MAX

/* A row of a table that a key names. */
struct setting_row {
    uint32_t machine; /* position, or SETTING_OF_SESSION */
    const struct gavel_fields *fields;
    uint64_t row;
    char where[160]; /* "[session] ttl", "[statemachine.workflow] history_bytes": for people */
};

/* The machines that keys may name. */
struct setting_scope {
    const struct node_machine *machines;
    uint32_t count;
};

/* GAVEL_E_INVALID: there is no such key, with the nearest spelling. */
int32_t setting_find_row(const struct setting_scope *scope, struct gavel_slice key, struct setting_row *row,
                         struct gavel_error *error);

/* A value as people may see it, in logs and errors: a secret is "***". */
struct gavel_slice setting_shown(const struct setting_row *row, struct gavel_slice value);

/* Visit each key that there is, in order: rows of [session], then those of each machine that are replicated. */
void setting_each(const struct setting_scope *scope,
                  void (*visit)(void *context, const char *key, const struct setting_row *row), void *context);

/*
 * Check a value by its row and append its one spelling ("600000" of a duration is "10m") to *out. GAVEL_E_INVALID with
 * what was expected.
 */
int32_t setting_canonical(const struct setting_row *row, struct gavel_slice value, struct gavel_buffer *out,
                          struct gavel_error *error);

/*
 * Record a first value by its one spelling. GAVEL_E_CONFIG: the table here does not have that key, or does not take the
 * value; GAVEL_E_LOCAL.
 */
int32_t setting_record(struct settings *settings, const struct setting_scope *scope, const char *key,
                       struct gavel_slice value, struct gavel_error *error);

/* The value in force as text, NUL-terminated, into *out (cleared first): what is recorded, or the table's default. */
int32_t setting_in_force(const struct settings *settings, const char *key, const struct setting_row *row,
                         struct gavel_buffer *out);

/* The limits of sessions in force. */
void settings_limits(const struct settings *settings, struct session_limits *limits);

/* The replicated options of a machine in force, as its table's struct; other rows have their defaults. */
struct setting_options {
    void *memory;
    const void *object; /* NULL: the machine has no options */
};

/* GAVEL_E_LOCAL without memory; GAVEL_E_VERSION when the table here cannot take a value that is in force. */
int32_t setting_options_make(const struct settings *settings, const struct setting_scope *scope, uint32_t machine,
                             struct setting_options *options, struct gavel_error *error);
void setting_options_free(struct setting_options *options);

/* ---- state versions --------------------------------------------------------------------------------------------- */

/* The oldest version that a machine's plugin can act as. */
uint64_t setting_oldest(const struct node_machine *machine);

/*
 * Whether the plugin here can act as `version`. If not, GAVEL_E_VERSION and a sentence with both values and the recipe;
 * `from` is the index of the barrier, 0 for the founding.
 */
int32_t setting_fits(const struct node_machine *machine, struct setting_version in_force, struct gavel_error *error);

#endif
