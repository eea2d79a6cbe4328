/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_entries.c - what each entry is. Batches are read where and when they are made, since all of them are in memory
 * there: who commits one may long have it on its disk only, after a restart or when its cache is small.
 */
#include "oracle_memory.h"

#include "core/log/batch.h"

void oracle_entries_begin(struct sim_oracle *oracle, struct oracle_batch *batch)
{
    batch->noted = oracle->made_count + 1;
    oracle->made_count += batch->count;
    oracle->made = oracle_grow(oracle->made, &oracle->made_capacity, oracle->made_count, sizeof *oracle->made);
}

void oracle_entry_made(struct sim_oracle *oracle, struct oracle_batch *batch, const struct log_entry *entry)
{
    if (entry->kind == LOG_COMMAND && entry->index >= batch->first && entry->index <= oracle_last(batch))
        oracle->made[batch->noted - 1 + entry->index - batch->first] =
            (struct oracle_entry){entry->session, entry->sequence};
}

/* Everything from `from` on has just been committed. */
void oracle_entries_commit(struct sim_oracle *oracle, uint64_t from)
{
    oracle->entries =
        oracle_grow(oracle->entries, &oracle->entry_capacity, oracle->committed_last + 1, sizeof *oracle->entries);
    while (from <= oracle->committed_last) {
        const struct oracle_batch *batch = &oracle->batches[oracle_committed(oracle, from)];

        if (!batch->noted)
            sim_fail(oracle->sim, "the oracle hears of each entry",
                     "entries %llu to %llu of term %llu are committed; who made them had them no longer in memory",
                     (unsigned long long)batch->first, (unsigned long long)oracle_last(batch),
                     (unsigned long long)batch->term);
        for (; from <= oracle_last(batch); from++)
            oracle->entries[from] = oracle->made[batch->noted - 1 + from - batch->first];
    }
}
