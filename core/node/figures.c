/* SPDX-License-Identifier: Apache-2.0 */
/* figures.c - rings of seconds, and of marks. */
#include "core/node/figures.h"

#include <assert.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define WAITING_NS (100 * NS_PER_MS) /* between two moments that are told apart */

/* Slots hold the number of their second + 1: 0 is none. */
static uint64_t second_of(uint64_t now_ns)
{
    return now_ns / NS_PER_S + 1;
}

/* ---- rates ----------------------------------------------------------------------------------------------------- */

void figures_count(struct figures_rate *rate, uint64_t now_ns, uint64_t count)
{
    uint64_t second = second_of(now_ns);
    uint64_t slot = second % FIGURES_SLOTS;

    if (rate->second[slot] != second) {
        rate->second[slot] = second;
        rate->count[slot] = 0;
    }
    rate->count[slot] += count;
}

uint64_t figures_rate(const struct figures_rate *rate, uint64_t now_ns, uint64_t since_ns)
{
    uint64_t second = second_of(now_ns);
    uint64_t over = second - second_of(since_ns);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < FIGURES_SLOTS; i++)
        if (rate->second[i] < second && rate->second[i] + FIGURES_SLOTS > second)
            sum += rate->count[i];
    if (over > FIGURES_SLOTS - 1)
        over = FIGURES_SLOTS - 1;
    return over ? (sum + over / 2) / over : 0;
}

/* ---- latencies ------------------------------------------------------------------------------------------------- */

/* Buckets 0..7 are single microseconds; above, four to a doubling. */
static uint32_t bucket_of(uint64_t us)
{
    uint32_t octave = 0;
    uint32_t bucket;

    if (us < 8)
        return (uint32_t)us;
    while (us >> octave >= 8)
        octave++;
    bucket = 4 + octave * 4 + (uint32_t)(us >> octave) - 4;
    return bucket < FIGURES_BUCKETS ? bucket : FIGURES_BUCKETS - 1;
}

/* The largest value that falls into it. */
static uint64_t bucket_end(uint32_t bucket)
{
    uint32_t octave;

    if (bucket < 8)
        return bucket;
    octave = (bucket - 4) / 4;
    return ((UINT64_C(1) + 4 + (bucket - 4) % 4) << octave) - 1;
}

void figures_latency(struct figures_latency *latency, uint64_t now_ns, uint64_t ns)
{
    uint64_t second = second_of(now_ns);
    uint64_t slot = second % FIGURES_SLOTS;

    if (latency->second[slot] != second) {
        latency->second[slot] = second;
        memset(latency->count[slot], 0, sizeof latency->count[slot]);
    }
    latency->count[slot][bucket_of(ns / 1000)]++;
}

/* Of the last seconds together: how many fell into each bucket, and all of them. */
static uint64_t sum(const struct figures_latency *latency, uint64_t now_ns, unsigned seconds,
                    uint64_t sums[FIGURES_BUCKETS])
{
    uint64_t second = second_of(now_ns);
    uint64_t total = 0;

    assert(seconds < FIGURES_SLOTS);
    memset(sums, 0, FIGURES_BUCKETS * sizeof sums[0]);
    for (uint32_t i = 0; i < FIGURES_SLOTS; i++) {
        if (latency->second[i] == 0 || latency->second[i] + seconds < second)
            continue;
        for (uint32_t b = 0; b < FIGURES_BUCKETS; b++) {
            sums[b] += latency->count[i][b];
            total += latency->count[i][b];
        }
    }
    return total;
}

static uint64_t quantile(const uint64_t sums[FIGURES_BUCKETS], uint64_t total, unsigned percent)
{
    uint64_t wanted = (total * percent + 99) / 100;

    for (uint32_t b = 0; b < FIGURES_BUCKETS && total; b++) {
        if (sums[b] >= wanted)
            return bucket_end(b);
        wanted -= sums[b];
    }
    return 0;
}

uint64_t figures_quantile_us(const struct figures_latency *latency, uint64_t now_ns, unsigned percent,
                             unsigned seconds)
{
    uint64_t sums[FIGURES_BUCKETS];
    uint64_t total = sum(latency, now_ns, seconds, sums);

    return quantile(sums, total, percent);
}

void figures_p50_p99_us(const struct figures_latency *latency, uint64_t now_ns, unsigned seconds, uint64_t *p50,
                        uint64_t *p99)
{
    uint64_t sums[FIGURES_BUCKETS];
    uint64_t total = sum(latency, now_ns, seconds, sums);

    *p50 = quantile(sums, total, 50);
    *p99 = quantile(sums, total, 99);
}

/* ---- slow syncs ------------------------------------------------------------------------------------------------ */

void figures_synced(struct figures *figures, uint64_t now_ns, uint64_t ns)
{
    figures->synced_ns = now_ns;
    figures_latency(&figures->sync, now_ns, ns);
}

uint64_t figures_slow_ms(struct figures *figures, uint64_t now_ns, uint64_t pending_ns, uint64_t limit_ms,
                         uint64_t patience_ms)
{
    uint64_t p99 = figures_quantile_us(&figures->sync, now_ns, 99, 1);

    if (pending_ns > limit_ms * NS_PER_MS || p99 > limit_ms * 1000) {
        if (!figures->slow_since)
            figures->slow_since = now_ns;
    } else if (now_ns - figures->synced_ns < NS_PER_S || now_ns - figures->synced_ns > patience_ms * NS_PER_MS) {
        figures->slow_since = 0;
    }
    return figures->slow_since ? (now_ns - figures->slow_since) / NS_PER_MS : 0;
}

/* ---- commits --------------------------------------------------------------------------------------------------- */

void figures_proposed(struct figures *figures, uint64_t now_ns, uint64_t last_index)
{
    if (figures->proposed_end - figures->proposed_first == FIGURES_BATCHES)
        return; /* so many wait that the older ones tell enough */
    figures->proposed[figures->proposed_end++ % FIGURES_BATCHES] =
        (struct figures_mark){.index = last_index, .value = now_ns};
}

bool figures_committed(struct figures *figures, uint64_t now_ns, uint64_t index, uint64_t *ns)
{
    const struct figures_mark *mark = &figures->proposed[figures->proposed_first % FIGURES_BATCHES];

    if (figures->proposed_first == figures->proposed_end || mark->index > index)
        return false;
    *ns = now_ns - mark->value;
    figures_latency(&figures->commit, now_ns, *ns);
    figures->proposed_first++;
    return true;
}

void figures_deposed(struct figures *figures)
{
    figures->proposed_first = figures->proposed_end;
}

/* ---- the apply lane -------------------------------------------------------------------------------------------- */

void figures_to_apply(struct figures *figures, uint64_t now_ns, uint64_t index)
{
    struct figures_mark *last = figures->waiting_count ? &figures->waiting[figures->waiting_count - 1] : NULL;

    /* The age of the oldest is what counts: the newest may speak for those that came soon after it. */
    if (last && (now_ns - last->value < WAITING_NS || figures->waiting_count == FIGURES_WAITING))
        last->index = index > last->index ? index : last->index;
    else
        figures->waiting[figures->waiting_count++] = (struct figures_mark){.index = index, .value = now_ns};
}

uint64_t figures_backlog_ms(struct figures *figures, uint64_t now_ns, uint64_t applied)
{
    uint32_t done = 0;

    while (done < figures->waiting_count && figures->waiting[done].index <= applied)
        done++;
    figures->waiting_count -= done;
    memmove(figures->waiting, figures->waiting + done, figures->waiting_count * sizeof figures->waiting[0]);
    return figures->waiting_count ? (now_ns - figures->waiting[0].value) / NS_PER_MS : 0;
}

/* ---- bytes of log ---------------------------------------------------------------------------------------------- */

static const struct figures_mark *mark_at(const struct figures *figures, uint64_t number)
{
    return &figures->mark[number % FIGURES_MARKS];
}

void figures_logged(struct figures *figures, uint64_t last_index, uint64_t bytes, uint64_t spacing)
{
    figures->bytes += bytes;
    if (figures->mark_end > figures->mark_first &&
        figures->bytes - mark_at(figures, figures->mark_end - 1)->value < spacing)
        return;
    if (figures->mark_end - figures->mark_first == FIGURES_MARKS)
        figures->mark_first++;
    figures->mark[figures->mark_end++ % FIGURES_MARKS] =
        (struct figures_mark){.index = last_index, .value = figures->bytes};
}

void figures_cut(struct figures *figures, uint64_t index)
{
    /* Bytes behind the newest mark that is left are counted once too often, less than a spacing of them. */
    while (figures->mark_end > figures->mark_first && mark_at(figures, figures->mark_end - 1)->index >= index)
        figures->mark_end--;
    if (figures->mark_end > figures->mark_first)
        figures->bytes = mark_at(figures, figures->mark_end - 1)->value;
}

uint64_t figures_behind(const struct figures *figures, uint64_t index)
{
    uint64_t low = figures->mark_first;
    uint64_t high = figures->mark_end;

    while (low < high) { /* the first mark above `index` */
        uint64_t middle = low + (high - low) / 2;

        if (mark_at(figures, middle)->index <= index)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > figures->mark_first)
        return figures->bytes - mark_at(figures, low - 1)->value;
    /* Below the oldest mark: at least what the marks span, or all that was ever counted. */
    return figures->bytes - (figures->mark_first ? mark_at(figures, figures->mark_first)->value : 0);
}
