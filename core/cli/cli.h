/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - the `gavel` program: what its files share. One file an area; main.c knows them all by one table.
 *
 *   cli_main.c     from words to an area                     cli_status.c  status, members, metrics
 *   cli_areas.c    the table of areas                        cli_complete.c  --complete, for shells
 *   cli_options.c  parsing of options                        cli_events.c  events
 *   cli_tables.c   commands of installed plugins
 *   cli_call.c     call, and every command of a machine      cli_data.c    data check, dump, repair
 *   cli_help.c     help, from the machines' own tables       cli_init.c    init
 *   cli_store.c    short forms of the store and workflows    cli_admin.c   leader, log-level, reload, stop
 *   cli_output.c   documents as tables, text or JSON         cli_bench.c   bench
 *   cli_member.c   member                                    cli_member_change.c  member change: several at once
 *   cli_node.c     node: those that register themselves      cli_settings.c  settings
 *   cli_health.c   health                                    cli_ask.c      status of several nodes at once
 *   cli_top.c      top                                       cli_rows.c     a line for each member
 *   cli_snapshot.c snapshot, and its save                    cli_restore.c  its inspect and restore
 *   cli_plugin.c   plugin new, by scaffold.c                 cli_out.c      a file that is whole or not there
 *   cli_recover.c  recover
 */
#ifndef CORE_CLI_CLI_H
#define CORE_CLI_CLI_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include <gavel/client.h>

#include "core/client/client_core.h"
#include "core/host/usage.h"

/* Exit codes, as gavel(1) documents them. */
#define CLI_OK 0
#define CLI_FAILED 1
#define CLI_FALSE 2     /* not found, or a condition is false */
#define CLI_NO_QUORUM 3
#define CLI_UNKNOWN 4   /* the outcome is unknown */
#define CLI_DENIED 5
#define CLI_DEGRADED 10 /* gavel health: the worst member is ... */
#define CLI_UNHEALTHY 11
#define CLI_HEALTH_UNKNOWN 12
#define CLI_USAGE 64

/* When nothing else is said: what gavel init writes. */
#ifdef CLIENT_WEBSOCKET
#define CLI_ENDPOINTS "ws://127.0.0.1:8080,ws://127.0.0.1:8081,ws://127.0.0.1:8082"
#else
#define CLI_ENDPOINTS "tcp://127.0.0.1:8080,tcp://127.0.0.1:8081,tcp://127.0.0.1:8082"
#endif
#define CLI_WORDS_MAX 512 /* words of one command line that are no options */

/* What the options said that every area has. */
struct cli {
    const char *endpoints;
    const char *output; /* "table" or "json" */
    const char *machine;
    const char *serializer;
    const char *admin;    /* path of an admin.sock */
    const char *data_dir; /* in which it lies */
    const char *traceparent; /* of every command; NULL: none */
    uint64_t timeout_ms;
    bool json;  /* --output json */
    bool stale; /* reads need no leader */
    bool retry; /* writes go through a session */
    bool verbose;
    bool help;
    bool version;
    const char *words[CLI_WORDS_MAX];
    int word_count; /* words[0] is the area */
    struct gavel_client *client;
    struct client_schema *schema;
};

/* ---- cli_options.c ----------------------------------------------------------------------------------------------- */

/*
 * Take the options of `rows` and the general ones out of the command line; the other words stay in cli->words. Rows end
 * with a NULL name; their targets are a bool, a const char * or a uint64_t. CLI_USAGE, with a sentence on stderr, for
 * what is no option here.
 */
int cli_options_take(struct cli *cli, const struct usage_option *rows, int count, char **words);

/* The general options. Ended by a NULL name. */
const struct usage_option *cli_options_general(struct cli *cli);

/* ---- cli_main.c -------------------------------------------------------------------------------------------------- */

/* Say "gavel: ..." on stderr; returns `code`. */
int cli_fail(int code, const char *format, ...) GAVEL_PRINTF(2, 3);

/* Say an error of the library; returns the exit code that belongs to its status. */
int cli_error(int32_t status, const struct gavel_error *error);

/* Open the client once, by --endpoints, GAVEL_ENDPOINTS or the default; an exit code. */
int cli_connect(struct cli *cli);

/* The same through the admin socket of --admin or --data-dir. */
int cli_connect_admin(struct cli *cli);

/* ---- cli_ask.c --------------------------------------------------------------------------------------------------- */

#define CLI_ASK_MS 2000 /* for each node: it answers from memory, so a longer silence is an answer too */

/* One endpoint, and what the node there said of itself and of the others. */
struct cli_asked {
    char uri[PATH_MAX + 64];
    const char *asker;
    const char *serializer;
    uint64_t timeout_ms;
    struct gavel_client *client; /* kept from one question to the next */
    struct gavel_result *result; /* its status document */
    struct gavel_error error;
    pthread_t thread;
    bool started;
    int32_t status;
};

/* The URI of the admin socket that --admin or --data-dir names; an exit code. */
int cli_node_uri(const struct cli *cli, char *uri, size_t size);

/*
 * The endpoints, or the node of --admin or --data-dir alone, into a new list; how many. Then ask, as often as is
 * wanted: all at the same time, each for its own view. `asker`: what the client calls itself, a constant.
 */
int cli_ask_begin(const struct cli *cli, const char *asker, uint64_t timeout_ms, struct cli_asked **list);
void cli_ask_all(struct cli_asked *asked, int count);
void cli_ask_end(struct cli_asked *asked, int count);

/* What an endpoint that failed said, without its own address. */
const char *cli_asked_failure(const struct cli_asked *asked);

/* The leader itself, else any node that knows one, else any that answered; NULL: none. */
const struct cli_asked *cli_asked_best(const struct cli_asked *asked, int count);

/* Whether it knows a leader. */
bool cli_asked_leader(const struct cli_asked *best);

/* ---- cli_rows.c -------------------------------------------------------------------------------------------------- */

/* A line for each member with its figures, and below those that are not HEALTHY the reason. */
void cli_rows(FILE *out, const struct cli_asked *asked, int count, const struct cli_asked *best);

/* "3 members: 2 HEALTHY, 1 DEGRADED" */
void cli_rows_summary(FILE *out, const struct cli_asked *best);

/* Why a node is not ready, by its own status: the sentences, joined; "" when it is, or does not say. */
void cli_rows_not_ready(struct gavel_slice status, char *text, size_t size);

/* What is wrong with nodes, by themselves: a line each. */
void cli_rows_alarms(FILE *out, const struct cli_asked *asked, int count);

/* ---- cli_call.c -------------------------------------------------------------------------------------------------- */

/* Fetch the command tables once; an exit code. */
int cli_tables(struct cli *cli);

/* Take them from a document as the nodes' describe answers; an exit code. */
int cli_tables_take(struct cli *cli, struct gavel_slice described);

/* The command of that name, with or without its machine; the store's, when several machines have it. NULL, said. */
const struct client_command *cli_command(struct cli *cli, const char *name);

/* Call a command with words (key=value, or values in the table's order) and print its result; an exit code. */
int cli_call_words(struct cli *cli, const char *name, const char *const *words, int count);

/*
 * Call a command of the nodes' own ("gavel") with a built document, which stays the caller's; so does the result. An
 * exit code. cli_call_node is for what may be asked again, cli_change_node asks once, also when the outcome is unknown.
 */
int cli_call_node(struct cli *cli, const char *command, struct gavel_builder *arguments, struct gavel_result **result);
int cli_change_node(struct cli *cli, const char *command, struct gavel_builder *arguments,
                    struct gavel_result **result);

/* Call a command with a document and print its result; an exit code. */
int cli_call_document(struct cli *cli, const struct client_command *command, struct gavel_slice arguments);

/* The same with the arguments as one JSON object. */
int cli_call_json(struct cli *cli, const char *name, const char *object);

int cli_area_call(struct cli *cli, int count, char **words);
int cli_area_command(struct cli *cli, int count, char **words); /* any other first word */

/* ---- cli_tables.c ------------------------------------------------------------------------------------------------ */

/* Where plugins are installed: GAVEL_PLUGIN_DIR, or what gavel was configured with. */
const char *cli_plugin_dir(void);

/*
 * The tables of the state machines that are installed on this machine, each under its plugin's name, as describe would
 * answer; appended to *out. How many machines there are; what is refused is left out, and told when `loud`.
 */
unsigned cli_tables_installed(struct gavel_buffer *out, bool loud);

/* ---- cli_help.c -------------------------------------------------------------------------------------------------- */

/*
 * Print what an area is, or a command, its arguments and an example; an exit code. When no node answers, the commands
 * are those of the installed plugins.
 */
int cli_help_command(struct cli *cli, const char *name);

/* ---- cli_areas.c ------------------------------------------------------------------------------------------------- */

/* Groups of areas, in the order of gavel(1). */
enum cli_group { CLI_COMMANDS, CLI_STORE, CLI_CLUSTER, CLI_OPERATORS, CLI_FILES, CLI_GROUPS };

/* An area: the first word of a command line. From this table come dispatch, help, gavel(1) and completion. */
struct cli_area {
    const char *name;
    int (*run)(struct cli *cli, int count, char **words);
    enum cli_group group;
    /*
     * The words behind the name, blanks between: "check|dump|repair DIR". Small letters are typed as they are, capitals
     * stand for something (usage.h), brackets mean that it may be left out, "..." that it may be repeated.
     */
    const char *words;
    const struct usage_option *options; /* its own; NULL: none */
    const char *help;                   /* sentences, the last one without its full stop; NULL: another name of the one
                                           before, not shown */
};

extern const struct cli_area cli_areas[]; /* ended by one without a name */
extern const char *const cli_group_names[CLI_GROUPS];

/* The area of that name; NULL when there is none. */
const struct cli_area *cli_area_find(const char *name);

/* Say which area a name that is none is near to, if any. */
void cli_area_hint(const char *name);

/* Say what is wrong with the number of words, or with the one behind the area's name, and the usage; CLI_USAGE. */
int cli_misused(const struct cli *cli, const char *usage);

/* ---- cli_complete.c ---------------------------------------------------------------------------------------------- */

/* Print what the last of these words may become (core/host/usage.h), nothing when nobody knows; always CLI_OK. */
int cli_complete(struct cli *cli, int count, char **words);

/* ---- the other areas --------------------------------------------------------------------------------------------- */

int cli_area_help(struct cli *cli, int count, char **words);
int cli_area_del(struct cli *cli, int count, char **words);
int cli_area_list(struct cli *cli, int count, char **words);
int cli_area_batch(struct cli *cli, int count, char **words);
int cli_area_workflow(struct cli *cli, int count, char **words);
int cli_area_status(struct cli *cli, int count, char **words);
int cli_area_health(struct cli *cli, int count, char **words);
int cli_area_top(struct cli *cli, int count, char **words);
int cli_area_members(struct cli *cli, int count, char **words);
int cli_area_metrics(struct cli *cli, int count, char **words);
int cli_area_events(struct cli *cli, int count, char **words);
int cli_area_data(struct cli *cli, int count, char **words);
int cli_area_init(struct cli *cli, int count, char **words);
int cli_area_recover(struct cli *cli, int count, char **words);
int cli_area_member(struct cli *cli, int count, char **words);
int cli_area_node(struct cli *cli, int count, char **words);
int cli_area_settings(struct cli *cli, int count, char **words);
int cli_area_leader(struct cli *cli, int count, char **words);
int cli_area_snapshot(struct cli *cli, int count, char **words);
int cli_area_log_level(struct cli *cli, int count, char **words);
int cli_area_reload(struct cli *cli, int count, char **words);
int cli_area_stop(struct cli *cli, int count, char **words);
int cli_area_bench(struct cli *cli, int count, char **words);
int cli_area_plugin(struct cli *cli, int count, char **words);
int cli_area_completion(struct cli *cli, int count, char **words);

extern const struct usage_option cli_bench_options[];
extern const struct usage_option cli_call_options[];
extern const struct usage_option cli_data_options[];
extern const struct usage_option cli_snapshot_options[];
extern const struct usage_option cli_events_options[];
extern const struct usage_option cli_help_options[];
extern const struct usage_option cli_init_options[];
extern const struct usage_option cli_leader_options[];
extern const struct usage_option cli_list_options[];
extern const struct usage_option cli_member_options[];
extern const struct usage_option cli_node_options[];
extern const struct usage_option cli_settings_options[];
extern const struct usage_option cli_plugin_options[];
extern const struct usage_option cli_recover_options[];
extern const struct usage_option cli_status_options[];
extern const struct usage_option cli_health_options[];
extern const struct usage_option cli_top_options[];

/* cli_member_change.c: what its options said, and the command itself; `version` may be NULL. */
struct cli_member_changes {
    struct usage_each add, add_learner, remove, promote, demote, replace, update;
};
extern struct cli_member_changes cli_member_changes;
int cli_member_change(struct cli *cli, const char *version);

/* Print the general usage. */
void cli_usage(FILE *out);

/* ---- cli_output.c ------------------------------------------------------------------------------------------------ */

/* Print a document as --output says. Returns CLI_OK, or CLI_FAILED when stdout took no more. */
int cli_print(const struct cli *cli, struct gavel_slice document);

/* Print a document as a table for people. */
void cli_print_table(struct gavel_slice document, FILE *out);

/* Print JSON; `pretty` on several lines. */
void cli_print_json(struct gavel_slice document, bool pretty, FILE *out);

/* One value as safe text on one line: strings as they are, the rest as codec_value_text. Its length in columns. */
void cli_print_value(struct gavel_slice value, FILE *out);

/* "zone=a disk=ssd" on stdout, behind two blanks: what a member or a registered node declares. Nothing for none. */
void cli_print_capabilities(struct gavel_slice member);

/* A text of somebody else's, with ? for whatever would drive a terminal; lines and tabs stay. */
void cli_put_plain(FILE *out, const char *text);

/* "key: value" lines of an array of maps that have a key. */
void cli_print_pairs(struct gavel_slice items, FILE *out);

/* ANSI codes when stdout is a terminal and NO_COLOR is not set, else "". */
const char *cli_bold(void);
const char *cli_red(void);
const char *cli_green(void);
const char *cli_plain(void);

#endif
