/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enumerate_play.c - one scene in one world: a stage hand looks every two milliseconds what the next step needs, starts
 * again what lies down and should not, and asks again what was not answered.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/codec/message.h"
#include "core/codec/value.h"
#include "core/node/internal.h"
#include "disk_state.h"
#include "enumerate.h"
#include "fate_internal.h"
#include "guard.h"
#include "heap.h"
#include "net.h"
#include "node.h"
#include "oracle.h"
#include "run.h"
#include "world.h"

#define LOOK_NS (2 * SIM_MS)
#define DOWN_NS (50 * SIM_MS)    /* until a node that ended is started again */
#define AGAIN_NS (20 * SIM_MS)   /* until a request that was refused is sent again */
#define PATIENCE_NS (3 * SIM_S)  /* until one that is not answered is */
#define WITHIN_OPERATIONS 32     /* of a recovery, and a little beyond */
#define STEP_NS (120 * SIM_S)    /* a step that takes longer will never end */
#define CALM_NS (200 * SIM_MS)   /* the end must have been calm for so long: housekeeping is done too */
#define PUSHES 16

struct play {
    struct sim *sim;
    const struct enumerate_plan *plan;
    const struct enumerate_scene *scene;
    struct sim_event look;
    uint32_t step;
    bool begun;
    bool over;
    uint64_t since;     /* simulated ns: when the step began */
    uint64_t calm_since; /* 0: it is not */
    uint32_t kept_down; /* a bit a node */
    uint32_t joined;    /* a bit a node: it was added, and is started to join */
    uint32_t removed;   /* a bit a node */
    uint32_t full;      /* a bit a node: its disk is, or has been a moment ago */
    bool no_space;      /* the victim's was, and it knew */
    uint64_t believer;  /* KILL: the victim's life after the one that was killed; 0: that runs, or it is to come */
    bool power_gone;    /* KILL: afterwards */
    uint64_t start_at[SIM_NODES_MAX];
    uint32_t done;      /* parts of the step */
    /* the request under way */
    uint64_t asked_id; /* 0: none */
    uint64_t asked_at;
    uint32_t asked_node;
    uint64_t asked_life;
    bool sending;
    bool answered;
    uint64_t at_once;
    int64_t status;
    uint64_t number; /* a session's id, a counter's value */
    struct gavel_buffer text;
    /* what must be true at the end */
    uint32_t written;
    uint32_t sizes[64];
    uint32_t pushed;
    uint64_t session;
    uint64_t added;
    uint32_t checked;
};

static struct play *playing; /* answers come without a context */

/* ---- asking -------------------------------------------------------------------------------------------- */

static void take_answer(struct sim *sim, struct sim_node *node, const struct codec_reply *reply)
{
    struct gavel_slice value = codec_map_find(reply->result, "value");

    (void)sim;
    if (!playing || node->number != playing->asked_node)
        return;
    if (playing->sending)
        playing->at_once = reply->id; /* from within the request: its number is not known yet */
    else if (reply->id != playing->asked_id)
        return;
    else
        playing->answered = true;
    playing->status = reply->status;
    playing->number = codec_uint_or(codec_map_find(reply->result, "session"), codec_uint_or(value, 0));
    playing->text.size = 0;
    value = codec_string_or(value, "");
    if (gavel_buffer_append(&playing->text, value.data, value.size) != GAVEL_OK)
        abort();
}

static uint64_t send_request(struct play *play, struct sim_node *node, const char *machine, const char *command,
                             const char *const *pairs, uint64_t sequence)
{
    struct codec_request request = {.machine = gavel_text(machine),
                                    .command = gavel_text(command),
                                    .remaining_ms = PATIENCE_NS / SIM_MS,
                                    .session = sequence ? play->session : 0,
                                    .sequence = sequence,
                                    .acked = sequence ? sequence - 1 : 0};
    struct gavel_buffer arguments = codec_buffer(0);
    struct gavel_error error;
    uint64_t count = 0;
    uint64_t id;

    sim_heap_ours();
    while (pairs && pairs[count])
        count++;
    if (count && codec_pairs(NULL, command, pairs, count, NULL, NULL, &arguments, &error) != GAVEL_OK)
        sim_fail(play->sim, "protocol", "arguments of %s: %s", command, error.text);
    sim_heap_theirs();
    request.arguments = gavel_buffer_slice(&arguments);
    id = sim_admin_request(node->process->admin, &request, take_answer);
    gavel_buffer_free(&arguments);
    return id;
}

/* One request to that node until it is answered with success: true when it was. Call it again until then. */
static bool insist(struct play *play, struct sim_node *node, const char *machine, const char *command,
                   const char *const *pairs, uint64_t sequence)
{
    uint64_t waited = play->sim->now - play->asked_at;

    if (play->asked_id && play->answered && play->status == GAVEL_OK) {
        play->asked_id = 0;
        return true;
    }
    if (play->asked_id && (play->answered ? waited < AGAIN_NS : waited < PATIENCE_NS) &&
        play->sim->nodes[play->asked_node].lives == play->asked_life)
        return false;
    play->asked_id = 0;
    if (!node || !sim_is_up(node) || !node->node)
        return false;
    play->answered = false;
    play->asked_at = play->sim->now;
    play->asked_node = node->number;
    play->asked_life = node->lives;
    play->at_once = 0;
    play->sending = true;
    play->asked_id = send_request(play, node, machine, command, pairs, sequence);
    play->sending = false;
    play->answered = play->asked_id && play->at_once == play->asked_id;
    return false;
}

/* "key=KIND-NUMBER" and "value=..." of that size; freed by the caller. */
static char *value_pair(const char *kind, uint32_t number, uint32_t size)
{
    char *text = malloc(size + 64);
    int length;

    assert(text);
    length = snprintf(text, 64, "value=%s%u-", kind, number);
    memset(text + length, 'x', size);
    text[(uint32_t)length + size] = 0;
    return text;
}

static bool write_one(struct play *play, struct sim_node *leader, uint32_t size)
{
    char key[32];
    char *value = value_pair("w", play->written, size);
    const char *pairs[] = {key, value, NULL};
    bool done;

    (void)snprintf(key, sizeof key, "key=w%u", play->written);
    done = insist(play, leader, "workflow", "set", pairs, 0);
    free(value);
    if (done) {
        assert(play->written < sizeof play->sizes / sizeof *play->sizes);
        play->sizes[play->written++] = size;
        play->sim->totals.acknowledged++;
    }
    return done;
}

static void push(struct play *play, struct sim_node *node, uint32_t count, uint32_t size)
{
    for (uint32_t i = 0; i < count && sim_is_up(node) && node->node; i++) {
        char key[32];
        char *value = value_pair("p", play->pushed, size);
        const char *pairs[] = {key, value, NULL};

        (void)snprintf(key, sizeof key, "key=p%u", play->pushed++);
        (void)send_request(play, node, "workflow", "set", pairs, 0);
        free(value);
    }
}

static bool add_one(struct play *play, struct sim_node *leader)
{
    static const char *const pairs[] = {"key=counter", NULL};

    if (!insist(play, leader, "workflow", "incr", pairs, play->added + 1))
        return false;
    play->added++;
    return true;
}

/* ---- what the world is like ---------------------------------------------------------------------------- */

static bool is_kept_down(const struct play *play, uint32_t number)
{
    return play->kept_down >> number & 1;
}

/* All that should run does, and has applied what its leader has committed. */
static bool has_converged(struct play *play)
{
    const struct sim_node *leader = fate_leader(play->sim->fate);

    for (uint32_t i = 0; leader && i < play->sim->node_count; i++) {
        const struct sim_node *node = &play->sim->nodes[i];

        if ((i >= play->sim->founders && !(play->joined >> i & 1)) || is_kept_down(play, i) || (play->removed >> i & 1))
            continue;
        if (!sim_is_up(node) || !node->node || !node->node->raft || node->node->phase != NODE_RUNNING)
            return false;
        if (node_applied(node->node) != node_commit(leader->node) || !node_ready(node->node) ||
            engine_status(node->node).recovering)
            return false;
    }
    return leader != NULL;
}

static bool is_calm(struct play *play)
{
    if (!has_converged(play))
        play->calm_since = 0;
    else if (!play->calm_since)
        play->calm_since = play->sim->now;
    return play->calm_since && play->sim->now - play->calm_since >= CALM_NS;
}

static void isolate(struct sim *sim, uint32_t number, bool cut)
{
    for (uint32_t i = 0; i < sim->node_count; i++) {
        if (i == number)
            continue;
        sim_net_cut(sim->net, i, number, cut);
        sim_net_cut(sim->net, number, i, cut);
    }
}

/* ---- the end ------------------------------------------------------------------------------------------- */

/* Each acknowledged write is there, read at one node after the other. */
static bool check_one(struct play *play)
{
    bool counter = play->checked == play->written;
    uint32_t number = play->checked % play->sim->founders;
    char key[32];
    const char *pairs[] = {key, NULL};
    char *wanted;

    (void)snprintf(key, sizeof key, counter ? "key=counter" : "key=w%u", play->checked);
    for (uint32_t i = 0; i < play->sim->founders && !sim_is_up(&play->sim->nodes[number]); i++)
        number = (number + 1) % play->sim->founders;
    if (play->answered && play->asked_id && play->status == GAVEL_E_NOT_FOUND)
        sim_fail(play->sim, "acknowledged", "%s was acknowledged, and n%u has not got it", key + 4,
                 play->asked_node + 1);
    if (!insist(play, &play->sim->nodes[number], "workflow", "get", pairs, 0))
        return false;
    if (counter && play->number != play->added)
        sim_fail(play->sim, "exactly once", "%llu were added, and the counter says %llu",
                 (unsigned long long)play->added, (unsigned long long)play->number);
    if (!counter) {
        wanted = value_pair("w", play->checked, play->sizes[play->checked]);
        if (play->text.size != strlen(wanted) - 6 || memcmp(play->text.data, wanted + 6, play->text.size) != 0)
            sim_fail(play->sim, "acknowledged", "%s has another value than was acknowledged", key + 4);
        free(wanted);
    }
    play->checked++;
    return true;
}

static bool check_all(struct play *play)
{
    while (play->checked < play->written + (play->added > 0)) {
        if (!check_one(play))
            return false;
    }
    return is_calm(play);
}

/* ---- the power, after a kill --------------------------------------------------------------------------- */

static void take_power(struct play *play, struct sim_node *node)
{
    sim_disk_die_after(node->disk, 0);
    sim_disk_choose(node->disk, play->plan->variant == POWER_LATE ? SIM_DISK_ANY : SIM_DISK_DROP, true);
    sim_node_crash(node, SIM_POWER);
    play->power_gone = true;
    play->calm_since = 0;
    if (play->checked) /* what was there must be there again */
        play->asked_id = 0;
    play->checked = 0;
}

/* The next life of one that was killed has read what it found, synced or not, and has had time to speak of it. */
static void take_power_soon(struct play *play, struct sim_node *victim)
{
    if (play->plan->mode == ENUMERATE_KILL && play->plan->variant == POWER_SOON && play->believer &&
        !play->power_gone && sim_is_up(victim) && victim->node->phase == NODE_RUNNING)
        take_power(play, victim);
}

/* At the end: true when no power is to go any more. */
static bool has_power_gone(struct play *play)
{
    struct sim_node *victim = &play->sim->nodes[play->scene->victim];

    if (play->plan->mode != ENUMERATE_KILL || play->power_gone || is_kept_down(play, victim->number) ||
        sim_disk_operations(victim->disk) < play->plan->at)
        return true;
    if (play->believer && sim_is_up(victim))
        take_power(play, victim);
    return play->power_gone;
}

/* ---- steps --------------------------------------------------------------------------------------------- */

static void end_life(struct play *play, const struct enumerate_step *step)
{
    struct sim_node *node = &play->sim->nodes[step->node];

    play->kept_down |= UINT32_C(1) << step->node;
    if (step->kind == STEP_STOP && sim_is_up(node))
        sim_node_stop(node);
    else if (step->kind == STEP_POWER)
        sim_node_crash(node, SIM_POWER);
}

/* Where that sector is of the last write, whose sync nothing proves yet (disk_damage.c), one before it. */
static void damage(struct play *play, struct sim_node *node, uint32_t sector)
{
    while (sector && !sim_disk_hit(node->disk, ".seg", sector))
        sector--;
    if (!sector)
        sim_fail(play->sim, "enumerate", "step %u: there is nothing to damage", play->step + 1);
}

/* What is done once, when a step begins. */
static void begin_step(struct play *play, const struct enumerate_step *step)
{
    struct sim_node *node = &play->sim->nodes[step->node];

    switch (step->kind) {
    case STEP_PUSH:
        push(play, node, step->count, step->size);
        break;
    case STEP_STOP:
    case STEP_POWER:
        end_life(play, step);
        break;
    case STEP_START:
        play->kept_down &= ~(UINT32_C(1) << step->node);
        break;
    case STEP_JOIN:
        play->joined |= UINT32_C(1) << step->node;
        break;
    case STEP_REMOVE:
        play->removed |= UINT32_C(1) << step->node;
        break;
    case STEP_ISOLATE:
    case STEP_HEAL:
        isolate(play->sim, step->node, step->kind == STEP_ISOLATE);
        break;
    case STEP_DAMAGE:
        damage(play, node, step->count);
        break;
    case STEP_FILL:
    case STEP_ROOM:
        play->full |= UINT32_C(1) << step->node;
        sim_disk_fill(node->disk, step->kind == STEP_FILL ? step->size : UINT64_MAX);
        break;
    default:
        break;
    }
}

static bool hand_over(struct play *play, uint32_t number)
{
    struct sim_node *leader = fate_leader(play->sim->fate);
    char to[32];
    const char *pairs[] = {to, NULL};

    if (leader && leader->number == number && node_ready(leader->node))
        return true;
    (void)snprintf(to, sizeof to, "to=n%u", number + 1);
    if (leader)
        (void)insist(play, leader, "gavel", "transfer", pairs, 0);
    return false;
}

/* A change of the members: the leader that is asked may be one that goes. */
static bool change(struct play *play, struct sim_node *leader, const struct enumerate_step *step)
{
    const struct sim_node *node = &play->sim->nodes[step->node];
    char name[32];
    char address[64];
    const char *pairs[] = {name, step->kind == STEP_JOIN ? address : NULL, NULL};

    (void)snprintf(name, sizeof name, "name=%s", node->name);
    (void)snprintf(address, sizeof address, "addresses=%s", node->uri);
    if (play->answered && play->asked_id && (play->status == GAVEL_E_EXISTS || play->status == GAVEL_E_NOT_FOUND))
        play->status = GAVEL_OK; /* an earlier attempt was done, but not answered */
    return insist(play, leader, "gavel", step->kind == STEP_JOIN ? "member_add" : "member_remove", pairs, 0);
}

static bool take_session(struct play *play, struct sim_node *leader)
{
    if (!insist(play, leader, "gavel", "session_register", NULL, 0))
        return false;
    play->session = play->number;
    return true;
}

/* True when the step is over. */
static bool go_on(struct play *play, const struct enumerate_step *step)
{
    struct sim_node *leader = fate_leader(play->sim->fate);
    struct sim_node *node = &play->sim->nodes[step->node];

    switch (step->kind) {
    case STEP_WRITE:
        play->done += write_one(play, leader, step->size);
        return play->done == step->count;
    case STEP_ADD:
        play->done += add_one(play, leader);
        return play->done == step->count;
    case STEP_SESSION:
        return take_session(play, leader);
    case STEP_WAIT:
        return play->sim->now - play->since >= step->count * SIM_MS;
    case STEP_CALM:
        return is_calm(play);
    case STEP_LEAD:
        return hand_over(play, step->node);
    case STEP_JOIN:
        return node->lives && change(play, leader, step);
    case STEP_REMOVE:
        return change(play, leader, step);
    case STEP_SNAPSHOT:
        return insist(play, node, "gavel", "snapshot", NULL, 0);
    case STEP_STOP:
    case STEP_POWER:
        return node->state == SIM_DOWN;
    case STEP_START:
        return sim_is_up(node);
    case STEP_END:
        return has_power_gone(play) && check_all(play);
    default:
        return true;
    }
}

/* ---- the stage hand ------------------------------------------------------------------------------------ */

/* The victim dies at the place of the plan, in whichever life that is. */
static void arm(struct play *play, struct sim_node *node)
{
    const struct enumerate_plan *plan = play->plan;
    uint64_t before = sim_disk_operations(node->disk);
    struct sim_random dice = sim_stream(play->sim, SIM_STREAM_FATE, plan->at);

    if ((plan->mode != ENUMERATE_CRASH && plan->mode != ENUMERATE_KILL) || node->number != play->scene->victim)
        return;
    if (plan->at > before) {
        sim_node_die_in_recovery(node, plan->mode == ENUMERATE_KILL ? SIM_KILL : SIM_POWER, plan->at - before);
    } else if (plan->mode == ENUMERATE_KILL && !play->believer) {
        play->believer = node->lives + 1;
        if (plan->variant == POWER_WITHIN) {
            sim_disk_choose(node->disk, SIM_DISK_DROP, false);
            sim_node_die_in_recovery(node, SIM_POWER, sim_magnitude(&dice, 1, WITHIN_OPERATIONS));
        }
    } else if (plan->variant == POWER_WITHIN) {
        play->power_gone = true;
    }
}

static void judge(struct play *play, const struct sim_node *node)
{
    if (sim_heap_refused() && (node->exit_code == 70 || node->exit_code == 74))
        return;
    if (node->exit_code <= 0 || (node->exit_code == 74 && sim_disk_refused(node->disk)))
        return;
    sim_fail(play->sim, "exit", "%s ended with %d: %s", node->name, node->exit_code, node->said);
}

static void start(struct play *play, struct sim_node *node)
{
    uint32_t others[SIM_NODES_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < play->sim->founders && (play->joined >> node->number & 1); i++)
        others[count++] = i;
    arm(play, node);
    sim_node_start(node, others, count);
}

static void tend(struct play *play, uint32_t number)
{
    struct sim_node *node = &play->sim->nodes[number];

    if (node->node || is_kept_down(play, number) || (number >= play->sim->founders && !(play->joined >> number & 1)))
        return;
    if ((play->removed >> number & 1) && node->exit_code == 78) { /* it has understood */
        play->kept_down |= UINT32_C(1) << number;
        return;
    }
    if (!play->start_at[number]) {
        if (node->lives)
            judge(play, node);
        play->start_at[number] = play->sim->now + DOWN_NS;
    } else if (play->start_at[number] <= play->sim->now) {
        play->start_at[number] = 0;
        start(play, node);
    }
}

static bool sees_no_space(const struct sim_node *node)
{
    return sim_is_up(node) && node->node->raft && node->node->phase == NODE_RUNNING && !node->node->space_ok;
}

static void look(struct sim *sim, struct sim_event *event)
{
    struct play *play = os_container(event, struct play, look);
    const struct enumerate_step *step = &play->scene->steps[play->step];

    for (uint32_t i = 0; i < sim->node_count; i++)
        tend(play, i);
    take_power_soon(play, &sim->nodes[play->scene->victim]);
    play->no_space |= (play->full >> play->scene->victim & 1) && sees_no_space(&sim->nodes[play->scene->victim]);
    if (!play->begun) {
        play->begun = true;
        play->since = sim->now;
        play->calm_since = 0;
        play->done = 0;
        play->asked_id = 0;
        begin_step(play, step);
    }
    if (go_on(play, step)) {
        play->over = step->kind == STEP_END;
        play->step++;
        play->begun = false;
    } else if (sim->now - play->since > STEP_NS) {
        sim_fail(sim, "liveness", "step %u of the scene has no end", play->step + 1);
    }
    if (!play->over)
        sim_schedule(sim, event, sim->now + LOOK_NS);
}

void enumerate_options(const struct enumerate_plan *plan, struct sim_options *options)
{
    *options = (struct sim_options){
        .nodes = plan->scene->nodes,
        .apply_lane = 1,
        .clients = 0, /* the stage hand asks */
        .keys = 1,
        .rate = 20,
        .value_bytes = 1,
        .link_us = 100,
        .sync_us = 200,
        .snapshot_entries = plan->scene->snapshot_entries ? plan->scene->snapshot_entries : 1000000,
        .snapshot_log_kib = 1,
        .snapshot_keep = 1,
        .segment_kib = 64,
        .trailing_kib = 16,
        .cache_kib = 64,
        .ring_kib = 64,
        .session_ttl_ms = 600000,
    };
}

const char *enumerate_meets(const char *meets, char name[32], bool *somewhere, uint64_t *least)
{
    unsigned long long wanted = 1;
    int length = 0;

    *somewhere = *meets == '+';
    if (sscanf(meets + *somewhere, "%31[a-z_]%n=%llu%n", name, &length, &wanted, &length) < 1)
        return NULL;
    *least = wanted;
    meets += *somewhere + length;
    return meets + strspn(meets, " ");
}

/* In the configuration that the leader goes by: the victim may have been removed. */
static uint64_t known_members(const struct play *play)
{
    const struct sim_node *leader = fate_leader(play->sim->fate);

    return leader ? leader->node->in_force.count : 0;
}

/* What no total says; UINT64_MAX: nobody knows what that is. */
static uint64_t beside_totals(const struct play *play, const char *name)
{
    const struct sim_node *victim = &play->sim->nodes[play->scene->victim];
    struct os_mem_entry entry;
    uint64_t segments = 0;

    if (strcmp(name, "added") == 0)
        return play->added;
    if (strcmp(name, "no_space") == 0)
        return play->no_space;
    if (strcmp(name, "members") == 0)
        return known_members(play);
    if (strcmp(name, "base") == 0)
        return victim->node && victim->node->raft ? engine_status(victim->node).base_index : 0;
    if (strcmp(name, "segments") != 0)
        return UINT64_MAX;
    for (uint32_t i = 0; os_mem_entry(victim->disk->mem, i, &entry); i++)
        segments += !entry.is_dir && disk_kind(entry.path) == DISK_SEGMENT;
    return segments;
}

/* The undisturbed run was what the scene is named after. */
static void came_to(const struct play *play)
{
    const char *at = play->scene->meets;
    uint64_t value, least;
    bool somewhere;
    char name[32];

    while (*at) {
        at = enumerate_meets(at, name, &somewhere, &least);
        if (!at)
            sim_fail(play->sim, "enumerate", "what is '%s'?", play->scene->meets);
        if (!sim_total_named(&play->sim->totals, name, &value))
            value = somewhere ? UINT64_MAX : beside_totals(play, name);
        if (value == UINT64_MAX)
            sim_fail(play->sim, "enumerate", "what is '%s'?", name);
        if (!somewhere && value < least)
            sim_fail(play->sim, "enumerate", "undisturbed, %s must be %llu at the least, and is %llu", name,
                     (unsigned long long)least, (unsigned long long)value);
    }
}

/* Up to its place a run is the clean one: so it was met, and what was to go wrong there did. */
static bool went_wrong(const struct play *play)
{
    const struct sim *sim = play->sim;
    bool died = sim->totals.cuts_in_write + sim->totals.crashes_in_recovery > 0;

    switch (play->plan->mode) {
    case ENUMERATE_CRASH: return died;
    case ENUMERATE_KILL: return died && (play->power_gone || is_kept_down(play, play->scene->victim));
    case ENUMERATE_ERROR: return sim->totals.disk_errors > 0;
    case ENUMERATE_MEMORY: return sim_heap_refused();
    default: return true;
    }
}

void enumerate_play(struct sim *sim, const struct enumerate_plan *plan, uint64_t *counts)
{
    struct play play = {.sim = sim, .plan = plan, .scene = plan->scene, .look.run = look};
    struct sim_disk *disk = sim->nodes[plan->scene->victim].disk;

    playing = &play;
    play.text = codec_buffer(0);
    for (uint32_t i = 0; i < sim->node_count; i++) {
        sim->fate->given_up[i] = true; /* nobody but the stage hand starts anything */
        sim_disk_heal(sim->nodes[i].disk);
    }
    if (plan->mode == ENUMERATE_CRASH)
        sim_disk_choose(disk, plan->variant, false);
    if (plan->mode == ENUMERATE_ERROR)
        sim_disk_fail_at(disk, plan->at);
    sim_schedule(sim, &play.look, 1);
    guard_on(sim);
    sim->starved = plan->mode == ENUMERATE_MEMORY;
    sim_heap_begin(plan->mode == ENUMERATE_MEMORY ? plan->at : 0);
    while (!play.over) {
        if (!sim_step(sim))
            sim_fail(sim, "progress", "nothing is going to happen any more");
    }
    sim_oracle_finish(sim->oracle, false);
    if (plan->mode == ENUMERATE_CLEAN)
        came_to(&play);
    if (!went_wrong(&play))
        sim_fail(sim, "enumerate", "nothing went wrong at place %llu", (unsigned long long)plan->at);
    sim_heap_end();
    guard_off();
    sim_cancel(sim, &play.look);
    counts[ENUMERATE_CRASH] = counts[ENUMERATE_KILL] = sim_disk_operations(disk);
    counts[ENUMERATE_MEMORY] = sim_heap_count();
    counts[ENUMERATE_ERROR] = sim_disk_calls(disk);
    gavel_buffer_free(&play.text);
    playing = NULL;
}
