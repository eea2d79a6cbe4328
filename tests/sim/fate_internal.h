/* SPDX-License-Identifier: Apache-2.0 */
/* fate_internal.h - what the files of fate know of each other. */
#ifndef TESTS_SIM_FATE_INTERNAL_H
#define TESTS_SIM_FATE_INTERNAL_H

#include "core/os/list.h"
#include "fate.h"

#define FATE_KINDS 16
#define FATE_MEMBERS 10
#define FATE_SETTINGS 12 /* places in the table of kinds */
#define FATE_REGISTER 13
#define FATE_CLIENT_CLOG 15
#define FATE_PARTITIONS 4 /* at the same time */

/* One kind of misfortune: when it strikes next. */
struct fate_clock {
    uint32_t kind;
    struct sim_random dice;
    struct sim_event event;
};

struct fate_link {
    uint8_t from;
    uint8_t to;
};

/* Links that are cut, all at once or one by one, and healed again, in another order. */
struct fate_partition {
    struct sim_event event;
    bool used;
    bool healing;
    uint64_t *shape; /* the total that counts those of its shape; NULL: there is none */
    uint32_t felt;   /* of its links, as far as they have been healed (sim_net_cut_felt) */
    bool one_by_one; /* is how it came */
    uint32_t count;
    uint32_t next;
    uint64_t step_ns; /* between two links; 0: all at once */
    uint64_t lasts_ns;
    struct fate_link links[SIM_NODES_MAX * SIM_NODES_MAX];
};

/* A member that gets another address: who was asked to note it, and when the old one is given up (0: not yet). */
struct fate_move {
    uint64_t asked_at;
    uint64_t id;
    uint32_t through;
    uint64_t leave_at;
};

/* Somebody looks for a joint configuration, to crash a node that has it in force. */
struct fate_joint {
    struct sim_event event;
    uint64_t until;
    uint32_t patience; /* looks at a joint one before that */
};

struct sim_fate {
    struct sim *sim;
    struct sim_random dice;
    struct sim_random founding;
    struct sim_random aims;   /* crashes within an operation */
    struct sim_random joined; /* rot on disks of nodes that joined */
    struct sim_random recoveries; /* kill or power, where a recovery is cut off */
    struct fate_clock clocks[FATE_KINDS];
    struct sim_event nurse;
    uint64_t start_at[SIM_NODES_MAX]; /* when a node that is down is started; 0: not decided */
    uint64_t down_ns[SIM_NODES_MAX];  /* how long it is down after a crash that has yet to come; 0: there is none */
    bool given_up[SIM_NODES_MAX];     /* nobody starts it again */
    bool joins[SIM_NODES_MAX];        /* it is started to join, not to found */
    bool empty[SIM_NODES_MAX];        /* it has no identity yet, or none any more */
    uint64_t rebuild_at[SIM_NODES_MAX]; /* not before, again */
    bool leaving[SIM_NODES_MAX];      /* its removal was asked for */
    uint64_t asked_at[SIM_NODES_MAX]; /* when something was asked about it last */
    bool left_out[SIM_NODES_MAX];     /* of the second phase: it stays as it is */
    uint64_t choose_until;            /* until then whom to leave out is still to be chosen; 0: it is not */
    struct fate_move moves[SIM_NODES_MAX];
    struct fate_joint joint;
    uint8_t cuts[SIM_NODES_MAX][SIM_NODES_MAX];
    struct fate_partition partitions[FATE_PARTITIONS];
};

/* One of the nodes that are up, by chance; NULL: none is. */
struct sim_node *fate_pick(struct sim_fate *fate);

/* The leader with the highest term; NULL: there is none. */
struct sim_node *fate_leader(const struct sim_fate *fate);

/* fate_heal.c: in the second phase, choose whom to leave out as soon as that can be said. */
void fate_heal_operate(struct sim_fate *fate);

/* fate_partition.c: begin one, of a random shape. */
void fate_partition(struct sim_fate *fate);
void fate_partitions_end(struct sim_fate *fate);

/* fate_members.c: ask for some change; lose a disk; see to who has nothing to start from. */
void fate_change(struct sim_fate *fate);
void fate_wipe(struct sim_fate *fate);
void fate_operate(struct sim_fate *fate);

/* A change was answered: that counts when it was done. */
void fate_changed(struct sim *sim, int64_t status);
void fate_answered(struct sim *sim, struct sim_node *node, uint64_t id, int64_t status, struct gavel_slice text);

/* A member of the newest configuration, by chance; NULL: none is known. And what is known of a node. */
struct sim_node *fate_some_member(struct sim_fate *fate);
bool fate_is_member(const struct sim_fate *fate, const struct sim_node *node);

/* Whether this node may be brought in: it runs for nobody. Start it empty, to join. */
bool fate_is_free(const struct sim_fate *fate, const struct sim_node *node);
void fate_start_empty(struct sim_fate *fate, struct sim_node *node);

/* fate_moves.c: several changes in one step; another address for a member, and the old one given up in time. */
#define FATE_CHANGE_MS 10000        /* an operator waits so long for a change */
#define FATE_LEAVES_NS (40 * SIM_S) /* it may come true so long after it was asked for: in the log of who was down */
void fate_several(struct sim_fate *fate);
void fate_move(struct sim_fate *fate);
void fate_move_operate(struct sim_fate *fate);

/* fate_joint.c: a change was asked for: crash somebody in the midst of it, perhaps. */
void fate_joint_begin(struct sim_fate *fate);
void fate_joint_init(struct sim_fate *fate);

/* fate.c: now, and started again after a while. */
void fate_crash_now(struct sim_fate *fate, struct sim_node *node, enum sim_crash how);

/* fate_settings.c: change some setting, bring out a new plugin, or let the cluster act as it. */
void fate_settings(struct sim_fate *fate);

/* fate_roster.c: a node that is no member comes, goes on or goes. */
void fate_register(struct sim_fate *fate);

/* fate_flip.c: the state of one follower changes; have rebuilt whoever is fenced. */
void fate_flip(struct sim_fate *fate);
void fate_flip_operate(struct sim_fate *fate);

/* Nodes that take part, the founders and those that joined: numbers below this. */
uint32_t fate_span(const struct sim_fate *fate);

#endif
