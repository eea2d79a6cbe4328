/* SPDX-License-Identifier: Apache-2.0 */
/* core/raft/cover.c - the counts behind cover.h, in builds that have them. */
#include "cover.h"

#ifdef GAVEL_COVER
#define RAFT_COVER_ROW(symbol, name, what) {name, 0},
__attribute__((section("gavel_cover"), used, aligned(16))) struct raft_cover raft_covers[RAFT_COVER_COUNT] = {
    RAFT_COVERS(RAFT_COVER_ROW)};
#else
_Static_assert(sizeof(int) >= 4, "a file must hold something");
#endif
