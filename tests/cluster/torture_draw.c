/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torture_draw.c - the faults of a storm, drawn whole from the seed before anything happens: when, what, to whom, for
 * how long. It opens with one of processes, one of disks and one of the network, and each of them begins again until it
 * is felt: so every run, the shortest too, has shown something of each. In a long one so does the first of each kind.
 */
#include "torture_storm.h"

#include <inttypes.h>
#include <string.h>

#define GAP_MS_MIN 60     /* between two faults, drawn between these by magnitude */
#define GAP_MS_MAX 2500
#define FULL_TIMES 4      /* a full disk lasts that much longer, */
#define FULL_MS 10000     /* and so long at the least: nobody feels it before the space in reserve is used */
#define CALM_MS 4000      /* now and then nothing new begins for so long, so that the nodes can agree */
#define HURRY_MS 30000    /* in a run shorter than this everything follows three times as fast */
#define ROLL_MS 2500      /* between two nodes of a rolling restart */
#define SWARM_PERCENT 65  /* each kind of fault is in a run with this chance */

#define LIST_INDENT "                            "

enum { NEEDS_LOOP = 1, NEEDS_SPACE = 2, NEEDS_SHIM = 4 };

/* What a storm opens with is felt wherever nodes run, lead and write: nothing rare, no link that nobody may use. */
enum { OPENS_NOTHING, OPENS_PROCESSES, OPENS_DISKS, OPENS_NETWORK, OPENINGS };

const struct storm_kind storm_kinds[FAULT_KINDS] = {
    [FAULT_NONE] = {"none", 0, OPENS_NOTHING},
#define FAULT_ROW(symbol, name, needs, opens) [FAULT_##symbol] = {name, needs, opens},
    FAULTS(FAULT_ROW)
#undef FAULT_ROW
};

/* Between two bounds, small ones as often as large ones by magnitude. */
uint64_t storm_draw_number(uint64_t *dice, uint64_t least, uint64_t most)
{
    uint64_t doublings = 0;
    uint64_t result;

    while (least << (doublings + 1) <= most)
        doublings++;
    result = least << torture_random(dice, doublings + 1);
    result += torture_random(dice, result);
    return result < most ? result : most;
}

static bool listed(const char *names, const char *name)
{
    size_t size = strlen(name);

    if (strcmp(names, "all") == 0)
        return true;
    while (names) {
        if (strncmp(names, name, size) == 0 && (names[size] == ',' || names[size] == 0))
            return true;
        names = strchr(names, ',');
        names = names ? names + 1 : NULL;
    }
    return false;
}

bool storm_known(const char *names)
{
    unsigned wanted = 1;
    unsigned found = 0;

    if (strcmp(names, "all") == 0)
        return true;
    for (const char *at = names; *at; at++)
        wanted += *at == ',';
    for (int i = 1; i < FAULT_KINDS; i++)
        found += listed(names, storm_kinds[i].name);
    for (const char *at = names; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        found += crew_known(at, strcspn(at, ","));
    return found == wanted;
}

void storm_list(FILE *out)
{
    for (int i = 1; i < FAULT_KINDS; i++)
        fprintf(out, "%s%s", i > 1 ? i % 8 == 1 ? ",\n" LIST_INDENT : ", " : "", storm_kinds[i].name);
    crew_list(out);
    fputc('\n', out);
}

static bool possible(const struct torture *torture, int kind)
{
    return !((storm_kinds[kind].needs & NEEDS_LOOP) && torture->disk != DISK_LOOP) &&
           !((storm_kinds[kind].needs & NEEDS_SPACE) && torture->disk == DISK_PLAIN) &&
           !((storm_kinds[kind].needs & NEEDS_SHIM) && !torture->has_shim);
}

/* The kinds of this run. A coin for each: faults hide one another, and a run without some shows what they hid. */
static unsigned choose_kinds(struct storm *storm, enum fault_kind *chosen)
{
    struct torture *torture = storm->torture;
    unsigned count = 0;

    for (int i = 1; i < FAULT_KINDS; i++) {
        bool coin = torture_random(&storm->dice, 100) < SWARM_PERCENT; /* drawn always: one kind does not move others */

        if (!possible(torture, i))
            printf("skipped: %s (%s)\n", storm_kinds[i].name,
                   storm_kinds[i].needs & NEEDS_SHIM ? "no shim for the C library" : torture->disk_why);
        else if (torture->only ? listed(torture->only, storm_kinds[i].name) : coin)
            chosen[count++] = (enum fault_kind)i;
    }
    return count;
}

static struct fault *add(struct storm *storm, uint64_t at, enum fault_kind kind)
{
    struct fault *fault;
    uint64_t *dice = &storm->dice;
    uint64_t count = (uint64_t)storm->torture->slots;
    uint64_t last = storm_draw_number(dice, LAST_MS_MIN, LAST_MS_MAX);

    if (storm->count == FAULTS_MAX)
        return NULL;
    storm->drawn[kind]++;
    fault = &storm->faults[storm->count++];
    memset(fault, 0, sizeof *fault);
    fault->at = at;
    fault->kind = kind;
    if (kind == FAULT_FULL)
        last = FULL_MS + last * FULL_TIMES;
    fault->until = at + (storm->torture->storm_ms < HURRY_MS ? last / 3 : last);
    fault->target = torture_random(dice, 2) ? LEADER : (int)torture_random(dice, count);
    fault->mask = 1u + (uint32_t)torture_random(dice, (1u << count) - 2); /* neither none nor all */
    fault->amount = torture_random(dice, UINT64_MAX);
    return fault;
}

/* One of that group: of the run's kinds where it has some, else, unless its kinds were named, of all possible ones. */
static enum fault_kind opening(struct storm *storm, int group, const enum fault_kind *chosen, unsigned count)
{
    enum fault_kind fit[FAULT_KINDS];
    unsigned fits = 0;

    for (unsigned i = 0; i < count; i++)
        if (storm_kinds[chosen[i]].opens == group)
            fit[fits++] = chosen[i];
    for (int i = 1; i < FAULT_KINDS && count > 0 && fits == 0 && !storm->torture->only; i++)
        if (storm_kinds[i].opens == group && possible(storm->torture, i))
            fit[fits++] = (enum fault_kind)i;
    return fits > 0 ? fit[torture_random(&storm->dice, fits)] : FAULT_NONE;
}

/* One of each group, any of them first; when the last of them is over. */
static uint64_t draw_openings(struct storm *storm, uint64_t at, const enum fault_kind *chosen, unsigned count)
{
    uint64_t founders = (uint64_t)storm->torture->count; /* not a node that nobody has raised yet */
    uint64_t turn = torture_random(&storm->dice, OPENINGS - 1);

    for (uint64_t i = 0; i < OPENINGS - 1; i++) {
        enum fault_kind kind = opening(storm, 1 + (int)((turn + i) % (OPENINGS - 1)), chosen, count);
        struct fault *fault = kind != FAULT_NONE ? add(storm, at, kind) : NULL;

        if (!fault)
            continue;
        fault->must = true;
        fault->mask = 1u + (uint32_t)torture_random(&storm->dice, (1u << founders) - 2);
        if (fault->target != LEADER)
            fault->target = (int)torture_random(&storm->dice, founders);
        fault->amount |= BREAKS_ALL;
        at = fault->until;
    }
    return at;
}

/* The first of each kind but of rolling restarts, which are made of stops; one more where the dice have left it out. */
static void draw_musts(struct storm *storm, const enum fault_kind *chosen, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct fault *first = NULL;

        for (unsigned k = 0; k < storm->count && !first; k++)
            if (storm->faults[k].kind == chosen[i] && !storm->faults[k].roll)
                first = &storm->faults[k];
        if (!first && chosen[i] != FAULT_ROLL)
            first = add(storm, torture_random(&storm->dice, storm->torture->storm_ms), chosen[i]);
        if (first)
            first->must = true;
    }
}

void storm_draw(struct storm *storm)
{
    struct torture *torture = storm->torture;
    enum fault_kind chosen[FAULT_KINDS];
    unsigned count = choose_kinds(storm, chosen);
    uint64_t end = torture->storm_ms;
    uint64_t hurry = end < HURRY_MS ? 3 : 1;
    uint64_t at = GAP_MS_MAX / hurry;

    printf("faults of this run:");
    for (unsigned i = 0; i < count; i++)
        printf(" %s", storm_kinds[chosen[i]].name);
    putchar('\n');
    at = draw_openings(storm, at, chosen, count);
    while (count > 0 && at < end && storm->count < FAULTS_MAX) {
        enum fault_kind kind = chosen[torture_random(&storm->dice, count)];

        if (kind == FAULT_ROLL) {
            for (int i = 0; i < torture->slots; i++) {
                struct fault *fault = add(storm, at, FAULT_STOP);

                if (fault) {
                    fault->target = i, fault->until = at + ROLL_MS / 4 / hurry;
                    fault->roll = true;
                    fault->last_of_roll = i == torture->slots - 1;
                }
                at += ROLL_MS / hurry;
            }
            storm->drawn[FAULT_ROLL]++;
        } else {
            (void)add(storm, at, kind);
        }
        at += storm_draw_number(&storm->dice, GAP_MS_MIN, GAP_MS_MAX) / hurry;
        if (torture_random(&storm->dice, 12) == 0)
            at += CALM_MS / hurry;
    }
    if (end >= TORTURE_LONG_MS)
        draw_musts(storm, chosen, count);
}
const char *storm_side(const struct storm *storm, const struct fault *fault)
{
    static char text[64];

    text[0] = 0;
    for (int i = 0; i < storm->torture->slots; i++)
        if (fault->mask & (1u << i)) {
            size_t used = strlen(text);

            (void)snprintf(text + used, sizeof text - used, "%s%s", used ? "+" : "", storm->torture->nodes[i].name);
        }
    return text;
}

void storm_print(const struct storm *storm)
{
    printf("schedule: %u faults\n", storm->count);
    for (unsigned i = 0; i < storm->count && storm->torture->verbose; i++) {
        const struct fault *fault = &storm->faults[i];

        printf("  at %7.3f for %5.3f %-12s target %s side %s amount %" PRIu64 "\n", (double)fault->at / 1000,
               (double)(fault->until - fault->at) / 1000, storm_kinds[fault->kind].name,
               fault->target == LEADER ? "leader" : storm->torture->nodes[fault->target].name, storm_side(storm, fault),
               fault->amount % 1000);
    }
}
