/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry-bench.c - what one record costs, by both ways, in CPU time: the median of 11 rounds. Not in make check: it
 * measures.
 */
#include "core/host/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 11
#define RECORDS 2000000

static double now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void tell(const char *what, double *rounds)
{
    qsort(rounds, ROUNDS, sizeof *rounds, by_value);
    (void)printf("%-40s %6.1f ns, from %.1f to %.1f\n", what, rounds[ROUNDS / 2], rounds[1], rounds[ROUNDS - 2]);
}

int main(void)
{
    struct host_registry *registry = host_registry_new();
    const struct gavel_attribute attributes[] = {{"peer", {"node-2", 6}}, {"type", {"append_entries", 14}}};
    uint64_t counter, histogram, bound[2];
    double rounds[3][ROUNDS];

    if (!registry)
        return EXIT_FAILURE;
    counter = host_registry_metric(registry, GAVEL_COUNTER, "bench.count", "1", "");
    histogram = host_registry_metric(registry, GAVEL_HISTOGRAM, "bench.duration", "s", "");
    bound[0] = host_registry_series(registry, counter, NULL, attributes, 2);
    bound[1] = host_registry_series(registry, histogram, NULL, NULL, 0);
    for (int round = 0; round < ROUNDS; round++) {
        double begin = now_ns(), middle, end;

        for (int i = 0; i < RECORDS; i++)
            host_registry_observe(registry, bound[0], 1);
        middle = now_ns();
        for (int i = 0; i < RECORDS; i++)
            host_registry_observe(registry, bound[1], (double)(i & 1023) / 1e6);
        end = now_ns();
        for (int i = 0; i < RECORDS / 10; i++)
            host_registry_record(registry, counter, 1, NULL, attributes, 2);
        rounds[0][round] = (middle - begin) / RECORDS;
        rounds[1][round] = (end - middle) / RECORDS;
        rounds[2][round] = (now_ns() - end) / (RECORDS / 10);
    }
    tell("a bound counter", rounds[0]);
    tell("a bound histogram", rounds[1]);
    tell("a counter by two attributes", rounds[2]);
    (void)host_registry_free(registry);
    return EXIT_SUCCESS;
}
