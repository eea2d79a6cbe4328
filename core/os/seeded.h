/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seeded.h - seeded bugs: the named ways in which our tests must catch us.
 *
 * In a build with --enable-seeded-bugs, seeded_bug("name") is true when the environment says GAVEL_BUG=name; in every
 * other build it is the constant false and the branch disappears. core/raft has a hook of its own, since it may not
 * read the environment.
 */
#ifndef CORE_OS_SEEDED_H
#define CORE_OS_SEEDED_H

#include <stdbool.h>

#ifdef GAVEL_SEEDED_BUGS
/* [any] True when GAVEL_BUG, as it was when the first one asked, names this bug, or seeded_choose has. */
bool seeded_bug(const char *name);

/* [before any thread] Choose by name instead, NULL for none; `name` is kept. */
void seeded_choose(const char *name);
#else
#define seeded_bug(name) (false)
#endif

#endif
