/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linear.h - is a history linearizable: is there one order of its operations that a single key-value store would have
 * answered just so, and in which nothing comes before what had returned before it was invoked (Herlihy and Wing, 1990)?
 *
 * The search is Wing and Gong's (1993): take an operation that may come next, see whether the store would have answered
 * so, go on; go back when nothing fits. With Lowe's memo ("Testing for linearizability", 2017): a set of operations
 * done together with the state that they made is looked at once. What makes it fast and bounded:
 *
 *   - Keys that no batch joins are independent of one another (Herlihy and Wing: linearizability is local), so each
 *     is searched alone; those that batches join are one part, whose state is all of its keys.
 *   - The memo keeps 128 bits of a Zobrist hash of the set and the state, not both themselves: a false match is less
 *     likely than a fault of this machine, and could only make the search answer "no".
 *   - What changes nothing and fits is placed at once; a value that a get still needs is not overwritten when nobody
 *     else can write it.
 *   - Where every operation has an index of the log, unknown writes those at which somebody who sees the log found them
 *     or none at all, that one order is tried before anything else: in one pass, answer by answer and against the times
 *     of calls and returns as any other.
 *   - Where answers tell an index of the log, only orders that keep to the indexes are looked at first: there are few,
 *     and one of them proves as much as any other. When there is none, all orders are.
 *   - An unknown write stays open for ever: it may come anywhere after it was invoked, or never. One whose effect
 *     nobody saw by its value is tried only when nothing else fits; and of several that are alike, the one that was
 *     invoked first, since any order that uses a later one instead is also an order with the two exchanged.
 *
 * So an order is found or not whatever the indexes say; they are held against the history by linear_check_indexes.
 *
 * Restriction: a part with many keys (a chain of batches over all of them) has a state of all of them; it is searched
 * all the same, but its memo helps less. Let batches stay within small groups of keys.
 */
#ifndef TESTS_LINEAR_LINEAR_H
#define TESTS_LINEAR_LINEAR_H

#include "tests/linear/history.h"

enum linear_verdict {
    LINEAR_OK,
    LINEAR_VIOLATED,
    LINEAR_UNDECIDED /* the bounds were reached first */
};

struct linear_limits {
    uint64_t steps;  /* tries in one part; 0: LINEAR_STEPS */
    uint64_t states; /* in the memo of one part, 16 bytes each; 0: LINEAR_STATES */
};

#define LINEAR_STEPS UINT64_C(20000000) /* a few seconds */
#define LINEAR_STATES UINT64_C(4194304) /* 64 MiB */

struct linear_result {
    uint64_t parts;  /* that were searched */
    uint64_t steps;
    uint64_t op;     /* violated: the operation in history->ops that nothing explains */
    char why[256];   /* not LINEAR_OK: a sentence, with the name of the key */
};

/*
 * Search every part. `out` (may be NULL) gets, for the first part that is violated, its history around the place, as
 * text. `limits` may be NULL.
 */
enum linear_verdict linear_check(const struct history *history, const struct linear_limits *limits, FILE *out,
                                 struct linear_result *result);

/*
 * Do the indexes that answers told agree with what clients saw: no two writes share one; what was invoked after
 * something had returned has no smaller one (a write: a larger one); a get's revision is not above its index, and is
 * the index of the write that it saw. Takes gets as linearizable ones, too.
 */
enum linear_verdict linear_check_indexes(const struct history *history, FILE *out, struct linear_result *result);

#endif
