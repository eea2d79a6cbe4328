/* SPDX-License-Identifier: Apache-2.0 */
/* node.h - what a process of the world is made of; for node.c and its neighbours that look inside. */
#ifndef TESTS_SIM_NODE_H
#define TESTS_SIM_NODE_H

#include "admin.h"
#include "sim.h"

struct process_lane {
    struct sim_process *process;
    struct os_job *head; /* that wait */
    struct os_job *tail;
    struct os_job *ran;  /* that has run, and whose completion is on its way */
    struct sim_event event;
};

struct sim_process {
    struct sim_node *node;
    struct sim_random dice;   /* of the lanes */
    struct sim_random clocks;
    struct sim_random bytes;  /* os_random */
    struct process_lane lanes[OS_LANES];
    uint64_t submitted;
    struct sim_event deadline;
    struct sim_event resume;
    bool stopped;
    bool booted;            /* the machine is up: its monotonic clock counts */
    uint64_t clock_since;   /* simulated ns at which ... */
    uint64_t clock_mono;    /* ... the monotonic clock said this */
    int64_t drift_ppm;
    int64_t wall_offset_ms;
    bool jumped;            /* and nobody has read it since */
    uint64_t die_after;     /* of the next life */
    uint32_t die_how;       /* of the next life: enum sim_crash */
    uint32_t dies_how;      /* the same of the present one */
    uint64_t killed_life;   /* the last one that was killed in its recovery; 0: none was */
    struct sim_random cuts; /* how long the last operation is under way */
    struct sim_event cut;   /* a crash that was aimed at an operation: by then at the latest, met or not */
    uint32_t cut_how;       /* enum sim_crash */
    bool hangs;             /* it was met: jobs that ask the disk have no answers any more */
    uint64_t unanswered;    /* so many questions were of jobs */
    char uris[SIM_NODES_MAX][32]; /* of all nodes, as this life was told them */
    const char *listen[1];
    const char *join[SIM_NODES_MAX];
    const char *admin_listen[1];
    struct sim_admin *admin;
    struct gavel_host host;
    struct node_transport transports[2];
    struct node_machine machine;
    struct gavel_statemachine operations;
    uint64_t plugin; /* newest state version that its plugin knows, over its lives: never less */
    bool outdated;   /* it ended because its plugin does not know the version in force */
    const char *seeds[SIM_NODES_MAX];
    struct node_capability capabilities[2];
    char life[24];
    struct node_setup setup;
};

#endif
