/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_cluster.h - whole nodes in one thread: a disk in memory each, lanes pumped by hand, a network in
 * memory, one clock. And a client that speaks the protocol to any of them.
 */
#ifndef TESTS_NODE_CLUSTER_H
#define TESTS_NODE_CLUSTER_H

#include "core/codec/message.h"
#include "core/node/node.h"
#include "core/os/inline.h"
#include "core/os/mem.h"
#include "node_net.h"

#define CLUSTER_MAX 8

struct cluster_node {
    struct cluster *cluster;
    char name[16];
    char uri[32];
    const char *listen[1];
    struct os os;
    struct os_mem *disk;
    struct os_inline lanes;
    struct gavel_host host;
    struct node_transport transport;
    struct node_transport transports[2]; /* the second one is for administrators */
    char admin_uri[32];
    const char *admin_listen[1];
    struct node_machine machines[2];
    struct gavel_statemachine operations;
    struct gavel_command commands[8]; /* the counter's, and `pad` */
    struct gavel_fields old_tables[8];
    struct node_setup setup;
    const char *join[CLUSTER_MAX];
    const char *data_dir; /* NULL: "data" */
    uint32_t join_count; /* set before cluster_start: it was not a founder */
    /* Set before cluster_start, it takes the place of members: it discovers others at these seeds. */
    bool discovers;
    uint32_t expect;
    const char *seeds[CLUSTER_MAX];
    uint32_t seed_count;
    const struct node_capability *capabilities; /* what its INI file says, set before cluster_start */
    uint32_t capability_count;
    /* Of its one machine, set before cluster_start; 0 and NULL: the counter, as it is. */
    const struct gavel_plugin *plugin;
    uint64_t newest; /* state versions that it states */
    uint64_t oldest;
    bool fixed; /* without a configure */
    const char *settings; /* what it is created with, "name=value\n" lines */
    const char *given;    /* what its INI file gives of them; NULL: all */
    unsigned char options[1024];
    unsigned char strings[1024];
    char warned[512]; /* its last warning */
    struct node *node; /* NULL while it is down */
    uint64_t deadline;
    uint64_t stalled_until; /* its lanes, disks among them, stand still until this moment (ns) */
    int exit_code; /* of fatal; -1: none */
    char fatal[512];
    bool stopped;
    uint64_t installs; /* snapshots of a leader that it has installed, over all its lives */
};

struct cluster {
    uint32_t count;    /* nodes that exist */
    uint32_t founders; /* the first so many are listed as members */
    struct net *net;
    struct os_mem_clock clock;
    struct node_member members[CLUSTER_MAX];
    const char *addresses[CLUSTER_MAX][1];
    struct cluster_node nodes[CLUSTER_MAX];
    struct node_limits limits;             /* set before cluster_start */
    void (*tick)(struct cluster *cluster); /* called each millisecond, for misfortune; may be NULL */
    bool loud;
    bool threaded; /* the machine may block: its commands run on the apply lane instead of the loop */
};

/* A reply as it came; texts are cut. */
struct cluster_reply {
    bool came;
    int64_t status;
    uint64_t index;
    uint64_t session; /* of a session_register */
    int64_t number;   /* `value` of a counter's answer */
    char text[256];
    unsigned char result[65536];
    uint64_t result_size;
};

struct cluster_client;

void cluster_init(struct cluster *cluster, uint32_t count, uint64_t seed);
void cluster_start(struct cluster *cluster, uint32_t number);
void cluster_start_all(struct cluster *cluster);
/* Power off: lanes dropped, connections broken; what was not synced is lost or kept as `how` says. */
void cluster_crash(struct cluster *cluster, uint32_t number, enum os_mem_crash how);
/* Another node, that joins by the address of every node that exists. Returns its number; it is not started. */
uint32_t cluster_joiner(struct cluster *cluster);
/* Its data directory is lost: it must be down. */
void cluster_wipe(struct cluster *cluster, uint32_t number);
void cluster_free(struct cluster *cluster);
/* End a node that has stopped cleanly, as its process would. */
void cluster_end(struct cluster *cluster, uint32_t number);

/* Do a number of single steps (a message, a job, a deadline) without letting time pass. */
void cluster_steps(struct cluster *cluster, uint32_t count);
/* Let everything happen that can happen now, then let time pass, until `milliseconds` are over. */
void cluster_run(struct cluster *cluster, uint64_t milliseconds);
/* Run until the condition holds; false when `milliseconds` were not enough. */
bool cluster_until(struct cluster *cluster, bool (*condition)(struct cluster *cluster),
                   uint64_t milliseconds);
/* The number of the one leader that a majority follows; -1: none. */
int cluster_leader(struct cluster *cluster);
bool cluster_has_leader(struct cluster *cluster);

/* An administrator (role CODEC_ROLE_ADMIN) comes in through the transport that is for them. */
struct cluster_client *cluster_client(struct cluster *cluster, uint32_t number, uint64_t role);
/* The same with a side of the network of its own. */
struct cluster_client *cluster_client_as(struct cluster *cluster, uint32_t number, uint64_t role, const char *side);
/* The same without a hello: whoever calls sends one, of whatever kind. */
struct cluster_client *cluster_dial(struct cluster *cluster, uint32_t number, const char *side);
/* What the hello was answered with: the status, 1 while there is no answer; *text its sentence. */
int64_t cluster_client_welcome(const struct cluster_client *client, const char **text);
void cluster_client_free(struct cluster_client *client);
/* Send one request and run until its reply has come or the time is over. */
void cluster_call(struct cluster_client *client, struct codec_request *request, struct cluster_reply *reply);
/* The same for a command with arguments as key=value texts, NULL-terminated. */
void cluster_command(struct cluster_client *client, const char *command, uint64_t session, uint64_t sequence,
                     struct cluster_reply *reply, const char *const *pairs);
/* Write `size` bytes that change nothing: the log grows and is compacted. */
void cluster_pad(struct cluster_client *client, uint32_t size, struct cluster_reply *reply);
/* Send one request without waiting; its id is `id`. Replies to such ones are counted. */
void cluster_post(struct cluster_client *client, uint64_t id, struct codec_request *request);
/* Whether a request below 64 that was posted has been answered. */
bool cluster_client_answered(const struct cluster_client *client, uint64_t id);
/* The number that the newest answered post was answered with; -1: none, or no number. */
int64_t cluster_client_number(const struct cluster_client *client);
uint64_t cluster_client_replies(const struct cluster_client *client);
/* Send any message; what comes back that is no reply to a call is counted. */
void cluster_send(struct cluster_client *client, uint64_t type, const void *message);
void cluster_send_raw(struct cluster_client *client, struct gavel_slice bytes);
bool cluster_client_open(const struct cluster_client *client);
uint64_t cluster_client_events(const struct cluster_client *client);
struct codec_stream_end *cluster_client_end(struct cluster_client *client);

#endif
