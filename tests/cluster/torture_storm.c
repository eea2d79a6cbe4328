/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torture_storm.c - the faults, carried out as torture_draw.c has drawn them; only "the leader" is looked up when its
 * time has come. A timer paces it. Everything else waits for a condition and has a deadline.
 */
#include "torture_storm.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define STEP_MS 20    /* the nodes are looked at that often */
#define SYNC_MS_MIN 2 /* a slow disk: each sync */
#define SYNC_MS_MAX 4000
#define FLOOR_TRIED 5 /* a long run in which a fault was tried so often must have done it once, */
#define FLOOR_PART 20 /* and so large a part of the times; one that was drawn so often must have been tried */
#define FELT_MS 60000 /* what must be felt, must be so long after the storm's end at the latest */
#define CLOCK_MS_MAX 100000000 /* the wall clock jumps by up to a day and some, to and fro */

static void say(const struct storm *storm, const struct fault *fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(const struct storm *storm, const struct fault *fault, const char *format, ...)
{
    char text[128] = "";
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    torture_say(storm->torture, "%-13s %s%s for %" PRIu64 " ms", storm_kinds[fault->kind].name, text,
                fault->target == LEADER && fault->node ? ", which leads" : "", fault->until - fault->at);
}

/* ---- links ------------------------------------------------------------------------------------------------------- */

/* Sides of the proxy: 0 is the clients', node index i is i + 1. Faults may hold a link together; the last opens it. */
static void hold(struct storm *storm, int from, int to, const char *verb, uint64_t one, uint64_t two)
{
    storm->links[from][to]++;
    (void)net_do(storm->torture, "%s %d %d %" PRIu64 " %" PRIu64, verb, from, to, one, two);
}

static void release(struct storm *storm, int from, int to)
{
    assert(storm->links[from][to] > 0);
    if (--storm->links[from][to] == 0)
        (void)net_do(storm->torture, "open %d %d", from, to);
}

/* Is this directed link one that the fault holds? */
static bool is_held(const struct fault *fault, int from, int to)
{
    bool inside = from > 0 && (fault->mask & (1u << (from - 1)));
    bool other = to > 0 && (fault->mask & (1u << (to - 1)));
    bool clients = (fault->amount >> 8) % 4 == 0; /* clients lose the nodes of that side as well */

    if (from == to || ((from == 0 || to == 0) && !clients))
        return false;
    return fault->kind == FAULT_SPLIT ? inside != other : inside && !other;
}

static void each_held(struct storm *storm, const struct fault *fault, bool begin)
{
    for (int i = 0; i <= storm->torture->slots; i++)
        for (int k = 0; k <= storm->torture->slots; k++)
            if (is_held(fault, i, k)) {
                if (begin)
                    hold(storm, i, k, "drop", 0, 0);
                else
                    release(storm, i, k);
            }
}

/* One directed link between two sides, by the fault's number. Nobody dials a client: there is nothing to refuse. */
static void one_link(const struct storm *storm, const struct fault *fault, int *from, int *to)
{
    int sides = storm->torture->slots + 1;

    *from = (int)(fault->amount % (uint64_t)sides);
    *to = (*from + 1 + (int)(fault->amount / 16 % (uint64_t)(sides - 1))) % sides;
    if (fault->kind == FAULT_REFUSE && *to == 0) {
        *to = *from;
        *from = 0;
    }
}

/* What the proxy calls it. */
static const char *verb_of(const struct fault *fault)
{
    switch (fault->kind) {
    case FAULT_SLOW_LINK: return "rate";
    case FAULT_DELAY: return "delay";
    case FAULT_REFUSE: return "refuse";
    case FAULT_RESET: return "reset";
    case FAULT_CUT: return "cut";
    default: return "drop";
    }
}

/* How often that was felt on a link; '*' is -1. */
static uint64_t felt_on(const struct storm *storm, const struct fault *fault, int from, int to)
{
    char sides[2][16] = {"*", "*"};

    if (from >= 0)
        (void)snprintf(sides[0], sizeof sides[0], "%d", from);
    if (to >= 0)
        (void)snprintf(sides[1], sizeof sides[1], "%d", to);
    return strtoull(net_do(storm->torture, "felt %s %s %s", verb_of(fault), sides[0], sides[1]), NULL, 10);
}

static bool breaks_all(const struct fault *fault)
{
    return (fault->amount & BREAKS_ALL) != 0;
}

/* It was done, if it was. */
static void count(struct storm *storm, struct fault *fault, bool done)
{
    storm->done[fault->kind] += done;
    fault->met = fault->met || done;
}

/* By the links that the fault is on. */
static uint64_t felt_by_links(const struct storm *storm, const struct fault *fault)
{
    int from;
    int to;
    uint64_t sum = 0;

    if (fault->kind == FAULT_SPLIT || fault->kind == FAULT_ONE_WAY) {
        for (int i = 0; i <= storm->torture->slots; i++)
            for (int k = 0; k <= storm->torture->slots; k++)
                sum += is_held(fault, i, k) ? felt_on(storm, fault, i, k) : 0;
        return sum;
    }
    if ((fault->kind == FAULT_RESET || fault->kind == FAULT_CUT) && breaks_all(fault))
        return felt_on(storm, fault, fault->node->number, -1) + felt_on(storm, fault, -1, fault->node->number);
    one_link(storm, fault, &from, &to);
    return felt_on(storm, fault, from, to);
}

static void begin_link(struct storm *storm, struct fault *fault)
{
    int from;
    int to;

    one_link(storm, fault, &from, &to);
    fault->counted = felt_by_links(storm, fault);
    if (fault->kind == FAULT_SLOW_LINK)
        hold(storm, from, to, "rate", 2000 + fault->amount % 60000, 0);
    else if (fault->kind == FAULT_DELAY)
        hold(storm, from, to, "delay", 5 + fault->amount % 400, fault->amount / 512 % 100);
    else
        hold(storm, from, to, verb_of(fault), 1, 0);
    if (fault->kind == FAULT_REFUSE) /* else nobody has a reason to dial */
        (void)net_do(storm->torture, "reset %d %d", from, to);
    fault->held = true;
    say(storm, fault, "from %d to %d", from, to);
}

/* Resets are over at once; a cut is felt when the next piece comes. */
static void begin_break(struct storm *storm, struct fault *fault)
{
    const char *verb = verb_of(fault);
    int from;
    int to;

    one_link(storm, fault, &from, &to);
    fault->counted = felt_by_links(storm, fault);
    if (breaks_all(fault)) {
        (void)net_do(storm->torture, "%s %d * 0 0", verb, fault->node->number);
        (void)net_do(storm->torture, "%s * %d 0 0", verb, fault->node->number);
        say(storm, fault, "all of %s", fault->node->name);
    } else {
        (void)net_do(storm->torture, "%s %d %d 0 0", verb, from, to);
        say(storm, fault, "from %d to %d", from, to);
    }
    fault->held = fault->kind == FAULT_CUT;
    if (!fault->held)
        count(storm, fault, felt_by_links(storm, fault) != fault->counted);
}

/* A side of the network; the leader's own when it is the target and chance says so. */
static void begin_split(struct storm *storm, struct fault *fault)
{
    if (fault->target == LEADER && (fault->amount & LEADER_ALONE))
        fault->mask = 1u << (fault->node->number - 1);
    fault->held = true;
    fault->counted = felt_by_links(storm, fault);
    each_held(storm, fault, true);
    say(storm, fault, "%s%s", storm_side(storm, fault),
        fault->kind == FAULT_SPLIT ? " from the others" : " is not heard");
}

/* ---- processes and disks ----------------------------------------------------------------------------------------- */

static void store32(uint32_t *at, uint32_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
}

/* Kill one or all, with or without the power of their disks. */
static void begin_kill(struct storm *storm, struct fault *fault)
{
    struct torture *torture = storm->torture;
    bool power = fault->kind == FAULT_POWER || fault->kind == FAULT_POWER_ALL;
    bool all = fault->kind == FAULT_KILL_ALL || fault->kind == FAULT_POWER_ALL;
    int met = 0; /* processes that it ended, or whose disk it took: these may leave before they are killed */

    say(storm, fault, "%s", all ? "all" : fault->node->name);
    for (int i = 0; i < torture->slots && power; i++) {
        struct torture_node *node = &torture->nodes[i];

        if ((all || node == fault->node) && !node->cut) {
            node->may_fail = true; /* it may see that before it is killed */
            room_cut(torture, node);
            met += node->pid > 0;
        }
    }
    for (int i = 0; i < torture->slots; i++)
        if (all || &torture->nodes[i] == fault->node)
            met += node_kill(torture, &torture->nodes[i]);
    count(storm, fault, met > 0);
    fault->held = true;
}

static void begin_stop(struct storm *storm, struct fault *fault)
{
    struct torture *torture = storm->torture;
    struct torture_node *node = fault->node;

    if (fault->kind != FAULT_STOP) {
        if (!damage_allowed(torture, node)) {
            if (torture->verbose)
                torture_say(torture, "%s of %s is not allowed: %d of %d voters are not whole",
                            storm_kinds[fault->kind].name, node->name, damage_count(torture), torture->voters);
            storm->tried[fault->kind]--;
            return;
        }
        node->damage = (int)fault->kind;
    }
    count(storm, fault, fault->kind == FAULT_STOP); /* it ends, or node_look fails; damage counts itself */
    say(storm, fault, "%s", node->name);
    fault->held = true;
    fault->counted = torture->damages[fault->kind == FAULT_TRUNCATE];
    if (fault->kind != FAULT_STOP && fault->amount % 3 == 0)
        node_kill(torture, node);
    else
        node_stop(torture, node);
}

/* What the shim does it counts. */
static uint64_t shim_count(const struct fault *fault)
{
    const struct shim_page *page = fault->node->page;
    const uint32_t *count = fault->kind == FAULT_CLOCK       ? &page->clocks
                            : fault->kind == FAULT_SLOW_SYNC ? &page->syncs
                            : fault->kind == FAULT_EIO_SYNC  ? &page->failed_syncs
                                                             : &page->failed_writes;

    return __atomic_load_n(count, __ATOMIC_RELAXED);
}

/* How often a node found that it cannot write: a snapshot that failed is not enough. */
static uint64_t full_count(const struct fault *fault)
{
    return fault->node->failures + node_says(fault->node, "The disk is full: writes are refused");
}

/* Does it refuse writes now? */
static bool says_full(struct torture *torture, struct torture_node *node)
{
    struct gavel_result *status = node->state == NODE_RUNNING && !node->paused ? node_status(torture, node, 150) : NULL;
    struct gavel_slice alarm = status ? gavel_get_bytes(status->value, "alarms.0") : gavel_text("");
    bool full = alarm.size >= 8 && memcmp(alarm.data, "no space", 8) == 0;

    gavel_result_free(status);
    return full;
}

/* It is over: was it felt by anybody? Kills, pauses and stops are counted when they are done. */
static bool was_felt(struct storm *storm, const struct fault *fault)
{
    switch (fault->kind) {
    case FAULT_SPLIT:
    case FAULT_ONE_WAY:
    case FAULT_LINK:
    case FAULT_CUT:
    case FAULT_SLOW_LINK:
    case FAULT_DELAY:
    case FAULT_REFUSE: return felt_by_links(storm, fault) != fault->counted;
    case FAULT_EIO_SYNC:
    case FAULT_EIO_WRITE:
    case FAULT_SLOW_SYNC:
    case FAULT_CLOCK: return shim_count(fault) != fault->counted;
    case FAULT_FLIP:
    case FAULT_TRUNCATE: return storm->torture->damages[fault->kind == FAULT_TRUNCATE] != fault->counted;
    case FAULT_FULL:
        return full_count(fault) != fault->counted || says_full(storm->torture, fault->node);
    default: return false;
    }
}

static void begin_disk(struct storm *storm, struct fault *fault)
{
    struct torture_node *node = fault->node;
    uint64_t counted = fault->kind == FAULT_FULL ? full_count(fault) : shim_count(fault);
    int64_t jump = (int64_t)(fault->amount % CLOCK_MS_MAX) * ((fault->amount >> 40) % 2 ? 1 : -1);

    switch (fault->kind) {
    case FAULT_FULL: /* no reason to end: it heals; but one that has yet to join cannot write what it is told */
        node->may_fail = node->may_fail || node->empty;
        load_press(storm->torture, true);
        room_fill(storm->torture, node);
        break;
    case FAULT_EIO_SYNC:
        node->may_fail = true;
        store32(&node->page->fail_syncs, 1);
        break;
    case FAULT_EIO_WRITE:
        node->may_fail = true;
        store32(&node->page->fail_writes, 1);
        break;
    case FAULT_SLOW_SYNC:
        store32(&node->page->sync_ms, (uint32_t)storm_draw_number(&fault->amount, SYNC_MS_MIN, SYNC_MS_MAX));
        break;
    default: __atomic_store_n(&node->page->wall_ms, jump, __ATOMIC_RELAXED); break;
    }
    fault->held = true;
    fault->counted = counted;
    if (fault->kind == FAULT_CLOCK)
        say(storm, fault, "%s by %" PRId64 " ms", node->name, jump);
    else
        say(storm, fault, "%s", node->name);
}

/* ---- begin and end ----------------------------------------------------------------------------------------------- */

/* Its node: the leader, or the one that was drawn where there is none. NULL: that one is in no state for it. */
static struct torture_node *victim(struct storm *storm, const struct fault *fault)
{
    struct torture *torture = storm->torture;
    struct torture_node *node = fault->target == LEADER ? node_leader(torture, 150) : &torture->nodes[fault->target];

    if (!node)
        node = &torture->nodes[fault->amount % (uint64_t)torture->slots];
    return node->state == NODE_RUNNING && !node->paused && !node->wanted ? node : NULL;
}

static void begin(struct storm *storm, struct fault *fault)
{
    fault->node = victim(storm, fault);
    if (fault->must) { /* with what is there */
        uint64_t now = torture_now(storm->torture) - storm->began;

        if (!fault->node) {
            fault->target = LEADER;
            return;
        }
        fault->until += now - fault->at;
        fault->at = now;
    }
    fault->begun = true;
    storm->rolled += fault->roll && fault->node;
    storm->tried[FAULT_ROLL] += fault->last_of_roll;
    if (fault->last_of_roll) {
        storm->done[FAULT_ROLL] += storm->rolled > storm->torture->count / 2; /* some may be down already */
        storm->rolled = 0;
    }
    if (!fault->node && fault->kind != FAULT_KILL_ALL && fault->kind != FAULT_POWER_ALL)
        return;
    storm->tried[fault->kind]++;
    switch (fault->kind) {
    case FAULT_KILL:
    case FAULT_KILL_ALL:
    case FAULT_POWER:
    case FAULT_POWER_ALL: begin_kill(storm, fault); break;
    case FAULT_STOP:
    case FAULT_FLIP:
    case FAULT_TRUNCATE: begin_stop(storm, fault); break;
    case FAULT_PAUSE:
        fault->held = true;
        count(storm, fault, node_freeze(fault->node, true));
        say(storm, fault, "%s", fault->node->name);
        break;
    case FAULT_SPLIT:
    case FAULT_ONE_WAY: begin_split(storm, fault); break;
    case FAULT_RESET:
    case FAULT_CUT: begin_break(storm, fault); break;
    case FAULT_LINK:
    case FAULT_SLOW_LINK:
    case FAULT_DELAY:
    case FAULT_REFUSE: begin_link(storm, fault); break;
    default: begin_disk(storm, fault); break;
    }
}

static void end(struct storm *storm, struct fault *fault)
{
    struct torture *torture = storm->torture;
    int from;
    int to;

    fault->ended = true;
    if (!fault->held)
        return;
    count(storm, fault, was_felt(storm, fault));
    switch (fault->kind) {
    case FAULT_KILL_ALL:
    case FAULT_POWER_ALL:
        for (int i = 0; i < torture->slots; i++)
            torture->nodes[i].wanted = true;
        break;
    case FAULT_PAUSE: (void)node_freeze(fault->node, false); break;
    case FAULT_CUT: break;
    case FAULT_SPLIT:
    case FAULT_ONE_WAY: each_held(storm, fault, false); break;
    case FAULT_LINK:
    case FAULT_SLOW_LINK:
    case FAULT_DELAY:
    case FAULT_REFUSE:
        one_link(storm, fault, &from, &to);
        release(storm, from, to);
        break;
    case FAULT_FULL:
        load_press(torture, false);
        room_empty(torture, fault->node);
        fault->node->wanted = true;
        break;
    case FAULT_SLOW_SYNC: store32(&fault->node->page->sync_ms, 0); break;
    case FAULT_CLOCK: __atomic_store_n(&fault->node->page->wall_ms, 0, __ATOMIC_RELAXED); break;
    default: fault->node->wanted = true; break;
    }
}

/* Nobody felt what must be felt: once more, for longer, where the leader is, or on another link. */
static void begin_again(struct storm *storm, struct fault *fault)
{
    uint64_t last = fault->until - fault->at;
    uint64_t longer = 2 * last < LAST_MS_MAX ? 2 * last : LAST_MS_MAX;

    fault->at = fault->until;
    fault->until = fault->at + (longer > last ? longer : last);
    fault->target = LEADER;
    fault->amount = torture_random(&storm->dice, UINT64_MAX) | BREAKS_ALL | LEADER_ALONE;
    fault->begun = fault->held = fault->ended = false;
    storm->drawn[fault->kind]++;
}

static bool is_missed(const struct storm *storm)
{
    for (unsigned i = 0; i < storm->count; i++)
        if (storm->faults[i].must && !storm->faults[i].met)
            return true;
    return false;
}

/* Nodes that have ended and shall run again; what is to be damaged is damaged in between. */
static void raise_nodes(struct torture *torture)
{
    for (int i = 0; i < torture->slots; i++) {
        struct torture_node *node = &torture->nodes[i];

        if (node->state == NODE_DOWN && node->damage)
            damage_do(torture, node);
        if (node->state == NODE_DOWN && node->wanted && !node->out)
            node_start(torture, node);
        if (node->state == NODE_RUNNING)
            node->wanted = false;
    }
}

void storm_look(struct torture *torture)
{
    if (torture_interrupted())
        torture_fail(torture, "interrupted");
    (void)pthread_mutex_lock(&torture->lock);
    node_look(torture);
    raise_nodes(torture);
    damage_look(torture);
    (void)pthread_mutex_unlock(&torture->lock);
    torture_pause(STEP_MS);
}

static void heal(struct storm *storm)
{
    struct torture *torture = storm->torture;

    (void)pthread_mutex_lock(&torture->lock);

    for (unsigned i = 0; i < storm->count; i++)
        if (storm->faults[i].begun && !storm->faults[i].ended)
            end(storm, &storm->faults[i]);
    (void)net_do(torture, "open * *");
    for (int i = 0; i < torture->slots; i++) {
        struct torture_node *node = &torture->nodes[i];

        if (node->paused)
            (void)node_freeze(node, false);
        store32(&node->page->fail_syncs, 0);
        store32(&node->page->fail_writes, 0);
        node->wanted = true;
    }
    raise_nodes(torture);
    (void)pthread_mutex_unlock(&torture->lock);
    torture_say(torture, "everything is healed");
}

/* What was done too seldom. */
static void judge(const struct storm *storm)
{
    struct torture *torture = storm->torture;

    for (unsigned i = 0; i < storm->count; i++)
        if (storm->faults[i].must && !storm->faults[i].met)
            torture_short(torture, "%s, which must be felt, was tried %u times and never felt",
                          storm_kinds[storm->faults[i].kind].name, storm->tried[storm->faults[i].kind]);
    for (int i = 1; i < FAULT_KINDS && torture->storm_ms >= TORTURE_LONG_MS; i++)
        if ((storm->tried[i] >= FLOOR_TRIED && storm->done[i] < 1 + storm->tried[i] / FLOOR_PART) ||
            (storm->drawn[i] >= FLOOR_PART && storm->tried[i] == 0))
            torture_short(torture, "%s was drawn %u times, tried %u times and done %u times only", storm_kinds[i].name,
                          storm->drawn[i], storm->tried[i], storm->done[i]);
}

static void report(struct storm *storm)
{
    struct torture *torture = storm->torture;

    storm->done[FAULT_FLIP] = torture->damages[0];
    storm->done[FAULT_TRUNCATE] = torture->damages[1];
    printf("done, of those tried, of those drawn:");
    for (int i = 1; i < FAULT_KINDS; i++)
        if (storm->drawn[i] || storm->done[i]) {
            printf(" %s %u of %u of %u,", storm_kinds[i].name, storm->done[i], storm->tried[i], storm->drawn[i]);
            ledger_note(torture, " %s=%u/%u/%u", storm_kinds[i].name, storm->done[i], storm->tried[i], storm->drawn[i]);
        }
    printf(" %" PRIu64 " operations answered\n", load_answered(torture));
    ledger_note(torture, " answered=%" PRIu64, load_answered(torture));
    for (int i = 0; i < torture->slots; i++)
        printf("%s: started %u times, left with 74 %u times\n", torture->nodes[i].name, torture->nodes[i].starts,
               torture->nodes[i].failures);
    judge(storm);
}

void storm_idle(struct torture *torture, bool met)
{
    struct storm *storm = calloc(1, sizeof *storm);

    if (!storm)
        torture_fail(torture, "memory is out");
    storm->torture = torture;
    storm->count = 1;
    storm->faults[0].kind = FAULT_SPLIT;
    storm->faults[0].must = true;
    storm->faults[0].met = met;
    storm->drawn[FAULT_SPLIT] = storm->tried[FAULT_SPLIT] = FLOOR_TRIED;
    judge(storm);
    free(storm);
}

void storm_run(struct torture *torture)
{
    struct storm *storm = calloc(1, sizeof *storm);
    uint64_t now = 0;

    if (!storm)
        torture_fail(torture, "memory is out");
    storm->torture = torture;
    storm->began = torture_now(torture);
    storm->dice = torture->seed ^ UINT64_C(0x9e3779b97f4a7c15);
    storm_draw(storm);
    storm_print(storm);
    while (now < torture->storm_ms || (is_missed(storm) && now < torture->storm_ms + FELT_MS)) {
        (void)pthread_mutex_lock(&torture->lock);
        for (unsigned i = 0; i < storm->count; i++) {
            struct fault *fault = &storm->faults[i];

            if (!fault->begun && fault->at <= now && (fault->must || now < torture->storm_ms))
                begin(storm, fault);
            if (fault->begun && !fault->ended && fault->until <= now)
                end(storm, fault);
            if (fault->ended && fault->must && !fault->met)
                begin_again(storm, fault);
        }
        (void)pthread_mutex_unlock(&torture->lock);
        storm_look(torture);
        now = torture_now(torture) - storm->began;
    }
    heal(storm);
    report(storm);
    free(storm);
}
