/* SPDX-License-Identifier: Apache-2.0 */
/* torture_crew.c - who of the operators does what, and when: see torture_crew.h. */
#include "torture_crew.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FLOOR_MS 150000 /* of a long run: each task once, half as often under a sanitizer; alone it is six times that */
#define GAP_MS 1500 /* between two tasks of one operator, at the most: disks may be damaged then */

static const struct {
    const char *name;
    int whose;
    bool (*run)(struct hand *hand);
} tasks[TASK_KINDS] = {
#define TASK_ROW(symbol, name, whose) {name, whose, task_##symbol},
    TASKS(TASK_ROW)
#undef TASK_ROW
};

void crew_list(FILE *out)
{
    for (int i = 0; i < TASK_KINDS; i++)
        fprintf(out, "%s%s", i % 6 ? ", " : ",\n                            ", tasks[i].name);
}

bool crew_known(const char *name, size_t size)
{
    for (int i = 0; i < TASK_KINDS; i++)
        if (strlen(tasks[i].name) == size && memcmp(tasks[i].name, name, size) == 0)
            return true;
    return false;
}

/* ---- the work ---------------------------------------------------------------------------------------------------- */

/* The one that was done least of those that it may do; of equal ones any. -1: none. */
static int choose(struct hand *hand, const bool *tried)
{
    const struct torture_crew *crew = hand->torture->crew;
    int chosen = -1;
    uint64_t equal = 0;

    for (int i = 0; i < TASK_KINDS; i++) {
        if (tasks[i].whose != hand->number || !crew->wanted[i] || tried[i])
            continue;
        if (chosen < 0 || crew->done[i] < crew->done[chosen])
            equal = 0;
        else if (crew->done[i] > crew->done[chosen])
            continue;
        if (hand_random(hand, ++equal) == 0)
            chosen = i;
    }
    return chosen;
}

/* One task: one that cannot be done now makes room for another. */
static void work_once(struct hand *hand)
{
    struct torture_crew *crew = hand->torture->crew;
    bool tried[TASK_KINDS] = {false};
    int kind;

    while ((kind = choose(hand, tried)) >= 0) {
        uint64_t begun = torture_now(hand->torture);

        tried[kind] = true;
        atomic_store(&hand->doing, tasks[kind].name);
        if (!tasks[kind].run(hand))
            continue;
        crew->done[kind]++;
        torture_say(hand->torture, "%s: done after %" PRIu64 " ms", tasks[kind].name,
                    torture_now(hand->torture) - begun);
        break;
    }
    atomic_store(&hand->doing, "nothing");
}

static void *work(void *context)
{
    struct hand *hand = context;
    struct torture_crew *crew = hand->torture->crew;

    while (!atomic_load(&crew->healed_ms)) {
        work_once(hand);
        torture_pause(50 + (unsigned)hand_random(hand, GAP_MS));
    }
    atomic_store(&hand->doing, NULL);
    return NULL;
}

static void *restore(void *context)
{
    struct hand *hand = context;

    members_restore(hand);
    atomic_store(&hand->doing, NULL);
    return NULL;
}

static void begin(struct hand *hand, void *(*work_on)(void *context), const char *doing)
{
    atomic_store(&hand->doing, doing);
    if (pthread_create(&hand->thread, NULL, work_on, hand) != 0)
        torture_fail(hand->torture, "cannot start an operator");
    hand->started = true;
}

/* Until all of them have ended; meanwhile this thread does what nobody else may: it starts nodes. */
static void await(struct torture *torture)
{
    struct torture_crew *crew = torture->crew;

    for (int i = 0; i < CREW_HANDS; i++) {
        struct hand *hand = &crew->hands[i];

        if (!hand->started)
            continue;
        while (atomic_load(&hand->doing))
            storm_look(torture);
        (void)pthread_join(hand->thread, NULL);
        hand->started = false;
    }
}

/* ---- up and down ------------------------------------------------------------------------------------------------- */

static bool listed(const char *names, const char *name)
{
    if (strcmp(names, "all") == 0)
        return true;
    for (const char *at = names; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strcspn(at, ",") == strlen(name) && strncmp(at, name, strlen(name)) == 0)
            return true;
    return false;
}

static bool possible(const struct torture *torture, int kind)
{
    return (kind != TASK_transport || torture->transports == WAY_TRANSPORTS) &&
           (kind != TASK_serializer || torture->has_json);
}

void crew_make(struct torture *torture)
{
    static struct torture_crew crew;
    bool any = false;

    for (int i = 0; i < TASK_KINDS; i++) {
        bool asked = torture->only ? listed(torture->only, tasks[i].name) : torture->storm_ms >= TORTURE_CREW_MS;

        crew.wanted[i] = asked && possible(torture, i);
        any = any || crew.wanted[i];
        if (asked && !crew.wanted[i])
            printf("skipped: %s (a plugin is not there)\n", tasks[i].name);
    }
    for (int i = 0; i < CREW_HANDS; i++) {
        crew.hands[i].torture = torture;
        crew.hands[i].number = i;
        crew.hands[i].dice = torture->seed * 17 + (uint64_t)i + 5;
    }
    torture->crew = any ? &crew : NULL;
}

void crew_start(struct torture *torture)
{
    torture->way = torture->nodes[0].way;
    for (int i = 0; i < CREW_HANDS && torture->crew; i++)
        begin(&torture->crew->hands[i], work, "nothing");
}

void crew_stop(struct torture *torture)
{
    if (!torture->crew)
        return;
    atomic_store(&torture->crew->healed_ms, torture_now(torture));
    await(torture);
    torture_say(torture, "the operators have ended");
}

void crew_restore(struct torture *torture)
{
    if (!torture->crew)
        return;
    atomic_store(&torture->crew->healed_ms, torture_now(torture));
    begin(&torture->crew->hands[CREW_MEMBERS], restore, "restore the members");
    await(torture);
    torture_say(torture, "those that founded are the members again");
}

void crew_report(struct torture *torture)
{
    struct torture_crew *crew = torture->crew;
    uint64_t floor = torture->storm_ms < TORTURE_LONG_MS ? 0 : torture->storm_ms / FLOOR_MS / (torture->slow ? 2 : 1);

    if (!crew)
        return;
    printf("operators:");
    for (int i = 0; i < TASK_KINDS; i++) {
        if (!crew->wanted[i])
            continue;
        printf(" %s %u,", tasks[i].name, crew->done[i]);
        ledger_note(torture, " %s=%u", tasks[i].name, crew->done[i]);
        if (crew->done[i] < floor)
            torture_short(torture, "%s was done %u times of %" PRIu64, tasks[i].name, crew->done[i], floor);
    }
    printf(" %u reloads, %u nodes ended by hand, %u commands given again\n", crew->reloads, crew->ended,
           crew->hands[0].refused + crew->hands[1].refused);
    for (int i = 0; i < CREW_HANDS; i++)
        for (int k = 0; k < TORTURE_NODES; k++)
            gavel_client_close(crew->hands[i].clients[k]);
}
