/* SPDX-License-Identifier: Apache-2.0 */
/* swap.h - nodes of a test cluster whose INI files change while they run. */
#ifndef TESTS_CLUSTER_SWAP_H
#define TESTS_CLUSTER_SWAP_H

#include "cluster.h"

#define SWAP_WS 1u
#define SWAP_TCP 2u

/* What a node's INI file says at present. All zero but ports and transports is fine. */
struct swap_node {
    unsigned ws;
    unsigned tcp;
    uint32_t transports;    /* SWAP_... */
    const char *serializer; /* NULL: no section */
    const char *drain;      /* drain_timeout; NULL: the default */
    const char *observer;   /* lines of [observer.log]; NULL: none */
    const char *machines;   /* sections of state machines; NULL: store and counter */
    const char *extra;      /* more sections; NULL: none */
    bool patient;           /* CLUSTER_PATIENT */
};

/* What a reload was answered with. */
struct swap_answer {
    int32_t status; /* of the call: negative when it was refused outright */
    bool reloaded;
    char changes[4096]; /* a line each */
    char faults[8192];  /* a line each, or the sentence of a refusal */
};

/* Write the INI file of a node; nothing is told to the node. */
void swap_write(struct cluster *cluster, int node, const struct swap_node *what);

/* Ask for a reload, through the admin socket, once. */
void swap_reload(struct cluster *cluster, int node, struct swap_answer *answer);

/* The same; it has to succeed. */
void swap_must(struct cluster *cluster, int node);

/* It has to be refused, and the faults to hold the text. */
void swap_refused(struct cluster *cluster, int node, const char *text);

/* Wait until a reload that has been answered has ended: the node takes another one, which changes nothing. */
void swap_settled(struct cluster *cluster, int node);

/* The addresses of all members as that node knows them, a blank behind each. */
void swap_addresses(struct cluster *cluster, int node, char *text, size_t size);

/* A counter or gauge of a node, summed over its series. */
double swap_metric(struct cluster *cluster, int node, const char *name);

#endif
