/* SPDX-License-Identifier: Apache-2.0 */
/* campaign.h - many seeds, some at a time, and the sum of what they saw. */
#ifndef TESTS_SIM_CAMPAIGN_H
#define TESTS_SIM_CAMPAIGN_H

#include "run.h"

#define CAMPAIGN_SETS_MAX 64
#define CAMPAIGN_JOBS_MAX 64

struct campaign {
    uint64_t first;
    uint64_t last;
    uint64_t seconds; /* of each */
    uint64_t jobs;    /* at the same time */
    uint64_t failures_max; /* no new seeds after so many; 0: never */
    bool tracing;
    bool twice;       /* all; else one in a hundred */
    bool inside;
    bool correlated;
    bool quiet;       /* no totals */
    const char *bug;
    const char *sets[CAMPAIGN_SETS_MAX];
    uint32_t set_count;
    const char *floors; /* file names; NULL: none */
    const char *ledger;
    uint64_t share; /* of the floors, in a hundred: few seeds come to less, by chance; 0: all */
    /* what came of it */
    uint64_t runs;
    uint64_t failures;
    uint64_t cpu_us;
    uint64_t sim_ns;
    uint64_t trace_sum; /* of the trace hashes of all seeds: two builds that print the same saw the same events */
    struct sim_totals totals;
};

/* "address", "thread" or "none": what this build of the simulator looks with. */
const char *campaign_sanitizer(void);

/* What this seed's run is. False when one of the sets is wrong. */
bool campaign_order(const struct campaign *campaign, uint64_t seed, struct sim_run_order *order);

/* Run all; true when nothing failed and no total is below its floor. */
bool campaign_run(struct campaign *campaign);

#endif
