/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torture_crew.h - operators, who change the cluster while the faults go on: as people do it, with gavel(1) and INI
 * files, and with the patience that a network takes which is down. Two of them work at the same time, each at one task
 * after the other: one changes who is a member, the other how members are reached. A task ends when the cluster says
 * that it is so; what a command answered on the way does not count, for answers get lost.
 */
#ifndef TESTS_CLUSTER_TORTURE_CREW_H
#define TESTS_CLUSTER_TORTURE_CREW_H

#include <stdatomic.h>

#include "torture.h"

enum { CREW_MEMBERS, CREW_WAYS, CREW_HANDS };

/* X(symbol, name, whose). The functions are task_NAME below. */
#define TASKS(X)                                    \
    X(add, "member-add", CREW_MEMBERS)              \
    X(learner, "member-add-learner", CREW_MEMBERS)  \
    X(promote, "member-promote", CREW_MEMBERS)      \
    X(demote, "member-demote", CREW_MEMBERS)        \
    X(remove, "member-remove", CREW_MEMBERS)        \
    X(remove_leader, "leader-remove", CREW_MEMBERS) \
    X(replace, "member-replace", CREW_MEMBERS)      \
    X(wipe, "disk-lost", CREW_MEMBERS)              \
    X(transport, "swap-transport", CREW_WAYS)       \
    X(serializer, "swap-serializer", CREW_WAYS)     \
    X(address, "address-change", CREW_WAYS)         \
    X(roll, "rolling-by-runbook", CREW_WAYS)

enum task_kind {
#define TASK_SYMBOL(symbol, name, whose) TASK_##symbol,
    TASKS(TASK_SYMBOL)
#undef TASK_SYMBOL
    TASK_KINDS
};

/* One operator. */
struct hand {
    struct torture *torture;
    pthread_t thread;
    int number; /* CREW_MEMBERS ... */
    bool started;
    uint64_t dice;
    struct gavel_client *clients[TORTURE_NODES]; /* of the admin sockets; its own, each made when it is needed */
    const char *_Atomic doing;                   /* for who waits for it: NULL when it has ended */
    char said[600];                              /* what gavel(1) said last */
    unsigned refused;                            /* commands that had to be given again */
};

struct torture_crew {
    struct hand hands[CREW_HANDS];
    bool wanted[TASK_KINDS];
    _Atomic uint64_t healed_ms; /* from then on they end what they are at, and there is no excuse; 0: not yet */
    unsigned done[TASK_KINDS];
    unsigned refused;
    unsigned reloads; /* that changed something */
    unsigned ended;   /* nodes that were removed, did not hear of it, and were ended by hand */
};

/* One member, as the leader has it. */
struct seen {
    bool there;
    bool joined;
    uint64_t id;
    char role[16];
    char addresses[TORTURE_URIS];
};

/* The members, as the node says that leads in the newest term. */
struct view {
    bool in_flight;
    uint64_t version;
    struct torture_node *leader;
    struct seen members[TORTURE_NODES];
};

/* ---- torture_hand.c: only by the operator's own thread, which does not hold the lock ----------------------------- */

/* Look again in a moment; fails when everything was healed long ago. */
void hand_wait(struct hand *hand);

/* A number below `bound`. */
uint64_t hand_random(struct hand *hand, uint64_t bound);

/* Wait until some node leads, and what it has of the members. */
void hand_view(struct hand *hand, struct view *view);

/* Member of that view? NULL: no. */
const struct seen *view_of(const struct view *view, const struct torture_node *node);

/* As voter (or learner, ...), with nothing in flight. */
bool view_has(const struct view *view, const struct torture_node *node, const char *role);

/* gavel(1) at that node, words separated by blanks; its exit code. */
int hand_do(struct hand *hand, struct torture_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Give a `gavel member` command to any member, again and again, until that node is a member in that role, with another
 * id than `not_id`; role NULL: until it is no member. */
void hand_change(struct hand *hand, struct torture_node *node, const char *role, uint64_t not_id, const char *format,
                 ...) __attribute__((format(printf, 5, 6)));

/* Wait until that node says of itself that it is ready, or is out. */
void hand_await_ready(struct hand *hand, struct torture_node *node);

/* One that is to be started on an empty disk; with INI as newcomers have it. NULL: none is free. */
struct torture_node *hand_spare(struct hand *hand);

/* Have a node running, from now on. */
void hand_raise(struct hand *hand, struct torture_node *node);

/* Wait until a node that was removed has ended by itself; then its disk is looked at. */
void hand_farewell(struct hand *hand, struct torture_node *node);

/* A member that runs, by role ("voter", "learner"), by chance; the leader only with `leader`. NULL: none. */
struct torture_node *hand_pick(struct hand *hand, const struct view *view, const char *role, bool leader);

/* Nodes with that role. */
int view_count(const struct view *view, const char *role);

/* ---- tasks: true when it was done, false when it cannot be done now ---------------------------------------------- */

#define TASK_FUNCTION(symbol, name, whose) bool task_##symbol(struct hand *hand);
TASKS(TASK_FUNCTION)
#undef TASK_FUNCTION

/* Those that founded, and nobody else. */
void members_restore(struct hand *hand);

#endif
