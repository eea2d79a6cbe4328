/* SPDX-License-Identifier: Apache-2.0 */
/* random.c - magnitudes; see random.h. Whole numbers only: a rounding of libm must not decide what a seed means. */
#include "random.h"

#include <assert.h>

uint64_t sim_magnitude(struct sim_random *random, uint64_t low, uint64_t high)
{
    uint64_t octaves = 1;
    uint64_t from;
    uint64_t to;

    assert(low >= 1);
    if (high <= low) /* a row that was set to 0 or to very little by hand, or by shrinking */
        return low;
    while (low << octaves <= high)
        octaves++;
    from = low << sim_below(random, octaves);
    to = from * 2 - 1 < high ? from * 2 - 1 : high;
    return from + sim_below(random, to - from + 1);
}
