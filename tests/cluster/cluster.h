/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster.h - real gaveld processes for a test: started in a directory of their own on free ports of this machine,
 * killed, started again, and looked at from outside. Everything that fails prints the nodes' last log lines and ends
 * the test.
 */
#ifndef TESTS_CLUSTER_CLUSTER_H
#define TESTS_CLUSTER_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <gavel/client.h>

#define CLUSTER_NODES 8
/* On a busy machine nobody shall lose its place for being late, where it is not measured how soon a leader is found. */
#define CLUSTER_PATIENT "[raft]\nelection_timeout_min = 600ms\nelection_timeout_max = 1200ms\n"
#define CLUSTER_READY_MS 60000 /* under a sanitizer on a busy machine; a healthy start takes some 300 ms */

struct cluster_node {
    pid_t pid; /* 0: not running */
    unsigned port;
    char uri[64];
    char name[32];
    char config[300];
    char data[300];
    char log[300];
};

struct cluster {
    char dir[200];
    int count;
    int founders;
    bool shim;
    const char *transport; /* "tcp" or "websocket" */
    struct cluster_node nodes[CLUSTER_NODES];
    char endpoints[CLUSTER_NODES * 64];
};

/* What a cluster is made of. All zero but nodes is fine. */
struct cluster_options {
    int nodes;
    int founders;          /* the first so many found the cluster, the others join when started; 0: all found */
    const char *transport; /* NULL: tcp */
    const char *extra;     /* more lines for each INI */
    bool shim;             /* each node runs with the shim, its page at cluster_shim_path */
    bool quiet;            /* no command_applied lines: benchmarks */
};

/* Print a sentence and the nodes' last lines, kill them, exit 1. */
void cluster_fail(struct cluster *cluster, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* Make the directory and the INIs; nothing runs yet. Exits 77 when the build has no gaveld or no such transport. */
void cluster_make(struct cluster *cluster, const struct cluster_options *options);

/* Start one node; does not wait. */
void cluster_start(struct cluster *cluster, int node);

/* Start the founders, and wait for a leader. */
void cluster_start_all(struct cluster *cluster);

/* Send a signal and wait for the end; the wait status. */
int cluster_kill(struct cluster *cluster, int node, int signal);

/* Stop all nodes cleanly and remove the directory. */
void cluster_remove(struct cluster *cluster);

/* Wait until every running node knows a leader and has applied what was committed when it started. */
void cluster_await_ready(struct cluster *cluster);

/* Wait until that node sees a member of this name as a voter, with no change in flight. */
void cluster_await_voter(struct cluster *cluster, int node, const char *name);

/* The status document of one node; NULL when it does not answer. The caller's. */
struct gavel_result *cluster_status(struct cluster *cluster, int node);

/* Where the shim of that node has its page (shim.h). */
void cluster_shim_path(const struct cluster *cluster, int node, char *path, size_t size);

/* Run gavel with these words, through the admin socket of that node; it has to leave with 0. */
void cluster_gavel(struct cluster *cluster, int node, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Take everything out of the data directory of a node that does not run: its disk is lost. */
void cluster_wipe(struct cluster *cluster, int node);

/* The node that leads, as its own status says; waits for one. `except` is not asked (-1: none). */
int cluster_leader(struct cluster *cluster, int except);

/* Wait until every running node has applied up to the leader's commit, and all digests are equal. */
void cluster_settle(struct cluster *cluster);

/* A client of all nodes, or of one that follows no hint (node >= 0). */
struct gavel_client *cluster_client(struct cluster *cluster, int node);

/* Run gaveld with a configuration and wait for its end; exit status, output in `text`. */
int cluster_run(struct cluster *cluster, const char *config, char *text, size_t size);

/* Call with text arguments; the status. `result` may be NULL. */
int32_t cluster_call(struct gavel_client *client, const char *command, const char *arguments, uint64_t flags,
                     struct gavel_session *session, struct gavel_result **result, struct gavel_error *error);

/* Milliseconds of the monotonic clock. */
uint64_t cluster_now(void);

/* The seed of this run: CLUSTER_SEED, or a new one; printed. */
uint64_t cluster_seed(void);

/* The next random number below `bound`. */
uint64_t cluster_random(uint64_t *seed, uint64_t bound);

/* A free port, kept free of others until the test ends. */
unsigned cluster_port(void);

/* Wait that long; only to look again at a process from outside, never to let something happen. */
void cluster_pause(unsigned milliseconds);

#endif
