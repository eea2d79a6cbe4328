/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checks.c - the list of checks, in the order in which they are made: the most basic first.
 */
#include "core/check/kit.h"
#include "core/check/life.h"
#include "core/check/machine.h"
#include "core/check/observer.h"
#include "core/check/serializer.h"
#include "core/check/transport.h"

const struct kit_check kit_checks[] = {
    {"life", 0, life_check},
    {"reload", 0, life_reload},
    {"determinism", GAVEL_KIND_STATEMACHINE, machine_determinism},
    {"reads", GAVEL_KIND_STATEMACHINE, machine_reads},
    {"purity", GAVEL_KIND_STATEMACHINE, machine_purity},
    {"snapshots", GAVEL_KIND_STATEMACHINE, machine_snapshots},
    {"restart", GAVEL_KIND_STATEMACHINE, machine_restart},
    {"interleaving", GAVEL_KIND_STATEMACHINE, machine_interleaving},
    {"damage", GAVEL_KIND_STATEMACHINE, machine_damage},
    {"settings", GAVEL_KIND_STATEMACHINE, machine_settings},
    {"versions", GAVEL_KIND_STATEMACHINE, machine_versions},
    {"maintain", GAVEL_KIND_STATEMACHINE, machine_maintain},
    {"memory", GAVEL_KIND_STATEMACHINE, machine_memory},
    {"leaks", GAVEL_KIND_STATEMACHINE, machine_leaks},
    {"round-trips", GAVEL_KIND_SERIALIZER, serializer_round_trips},
    {"rules", GAVEL_KIND_SERIALIZER, serializer_rules},
    {"limits", GAVEL_KIND_SERIALIZER, serializer_limits},
    {"hostile", GAVEL_KIND_SERIALIZER, serializer_hostile},
    {"memory", GAVEL_KIND_SERIALIZER, serializer_memory},
    {"leaks", GAVEL_KIND_SERIALIZER, serializer_leaks},
    {"events", GAVEL_KIND_OBSERVER, observer_events},
    {"dead-consumer", GAVEL_KIND_OBSERVER, observer_dead_consumer},
    {"memory", GAVEL_KIND_OBSERVER, observer_memory},
    {"leaks", GAVEL_KIND_OBSERVER, observer_leaks},
    {"order", GAVEL_KIND_TRANSPORT, transport_order},
    {"partial", GAVEL_KIND_TRANSPORT, transport_partial},
    {"limits", GAVEL_KIND_TRANSPORT, transport_limits},
    {"slow-reader", GAVEL_KIND_TRANSPORT, transport_slow_reader},
    {"pause", GAVEL_KIND_TRANSPORT, transport_pause},
    {"keep-alive", GAVEL_KIND_TRANSPORT, transport_keep_alive},
    {"resets", GAVEL_KIND_TRANSPORT, transport_resets},
    {"connects", GAVEL_KIND_TRANSPORT, transport_connects},
    {"open-and-close", GAVEL_KIND_TRANSPORT, transport_life},
    {"listeners", GAVEL_KIND_TRANSPORT, transport_listeners},
    {"http", GAVEL_KIND_TRANSPORT, transport_http},
    {"leaks", GAVEL_KIND_TRANSPORT, transport_leaks},
    {NULL, 0, NULL},
};
