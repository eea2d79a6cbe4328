/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seeded.c - which seeded bug the environment asks for; empty in every build but --enable-seeded-bugs.
 */
#include "core/os/seeded.h"

#ifdef GAVEL_SEEDED_BUGS
#include <stdlib.h>
#include <string.h>

static const char *wanted;
static bool looked;

void seeded_choose(const char *name)
{
    wanted = name;
    looked = true;
}

bool seeded_bug(const char *name)
{
    if (!looked)
        seeded_choose(getenv("GAVEL_BUG"));
    return wanted && strcmp(wanted, name) == 0;
}
#else
/* ISO C wants something in every translation unit. */
extern int seeded_bugs_are_absent;
int seeded_bugs_are_absent = 1;
#endif
