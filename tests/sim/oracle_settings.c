/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_settings.c - settings are part of the replicated state: at one index all nodes have the same ones, those of
 * the newest change up to there, whether they came to them by the log or by a snapshot.
 */
#include "oracle_memory.h"

#include <string.h>

#include <gavel/statemachine.h>

#include "core/node/settings.h"

uint64_t oracle_settings_hash(const struct settings *settings)
{
    uint64_t hash = settings->version;

    for (uint32_t i = 0; i < settings->count; i++) {
        const struct setting *item = &settings->items[i];

        hash = gavel_mix(hash, item->key, strlen(item->key) + 1);
        hash = gavel_mix(hash, item->value, strlen(item->value) + 1);
        hash = gavel_mix(hash, &item->index, sizeof item->index);
    }
    for (uint32_t i = 0; i < settings->machine_count; i++)
        hash = gavel_mix(hash, &settings->machines[i], sizeof settings->machines[i]);
    return hash;
}

/* Where in the order a version stands, or would. */
static uint64_t place_of(const struct sim_oracle *oracle, uint64_t version)
{
    uint64_t at = oracle->setting_count;

    while (at > 0 && oracle->settings[at - 1].version >= version)
        at--;
    return at;
}

static void note(struct sim_oracle *oracle, uint64_t at, uint64_t version, uint64_t hash)
{
    oracle->settings = oracle_grow(oracle->settings, &oracle->setting_capacity, oracle->setting_count + 1,
                                   sizeof *oracle->settings);
    memmove(oracle->settings + at + 1, oracle->settings + at,
            (oracle->setting_count - at) * sizeof *oracle->settings);
    oracle->settings[at] = (struct oracle_setting){.version = version, .hash = hash};
    oracle->setting_count++;
}

void oracle_settings(struct sim_oracle *oracle, struct oracle_node *node, uint64_t index, uint64_t version,
                     uint64_t hash)
{
    uint64_t at = place_of(oracle, version);

    if (version > index)
        sim_fail(oracle->sim, "settings equality", "n%u goes by settings of index %llu and has applied %llu",
                 oracle_number(oracle, node) + 1, (unsigned long long)version, (unsigned long long)index);
    if (at == oracle->setting_count || oracle->settings[at].version != version)
        note(oracle, at, version, hash);
    if (oracle->settings[at].hash != hash)
        sim_fail(oracle->sim, "settings equality", "n%u has other settings of version %llu than another node",
                 oracle_number(oracle, node) + 1, (unsigned long long)version);
    if (at + 1 < oracle->setting_count && oracle->settings[at + 1].version <= index)
        sim_fail(oracle->sim, "settings equality",
                 "n%u has applied %llu and goes by settings of version %llu; those of %llu are in force",
                 oracle_number(oracle, node) + 1, (unsigned long long)index, (unsigned long long)version,
                 (unsigned long long)oracle->settings[at + 1].version);
}
