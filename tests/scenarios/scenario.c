/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/scenarios/scenario.c - runs text scripts against core/raft in the world of world.h.
 *
 *   scenario [FILE...]      without: all *.txt beside the sources, each in a process of its own
 *   scenario --seeded       exits 0 if this build has seeded bugs
 *   scenario --bugs         the seeded bugs of core/raft, and which scenario must fail by each
 *
 * One command a line, # begins a comment. Nodes are letters; links are a->b, with * for any. Times are
 * milliseconds of the virtual clock. Nothing moves unless the script says so, except inside a node: disks
 * complete, machines apply and snapshots install at once, unless they are held.
 *
 *   option NAME VALUE              before start; names: see options[] below
 *   nodes a b c learner d spare e  the founding; spares know no configuration; b=5, b=never: a priority
 *   log a 1 1 2                    before start: a's log, one term for each entry
 *   vote a TERM [b|-]              before start: a's vote record
 *   committed a N                  before start: a's log up to N had committed
 *   start [a...]                   all that are down
 *   elect a                        time passes until nobody sees a leader, a's timer runs out, all settles
 *   timeout a | time a             a's timer runs out; a gets the time
 *   wait MS                        time passes, and nothing happens
 *   run MS                         time passes, with timers and messages
 *   settle                         all messages are delivered, in no time
 *   propose a [BATCHES [ENTRIES]]
 *   propose-at a FIRST TERM        a batch made for another end of the log
 *   lazy a | obey a                a does not, then does, propose what its core asks for
 *   deliver|hold|release|dup LINK [TYPE [all]]      the first such message in the bag, or all
 *   drop LINK [TYPE]               all of them
 *   reorder LINK [TYPE]            all of them change places: the last one comes first
 *   cut a b | cut a->b | isolate a | heal
 *   disk|apply|install|store a hold|free
 *   written a [N] | fail a         of what is pending N writes complete; they fail
 *   installed a | spoiled a        an install that is held ends, well or not
 *   crash a [N]                    N of its pending writes made it; what it sent is gone, unless held
 *   restart a [N]                  crash and start in one
 *   damage a N | wipe a            the log on its disk lost N batches; its disk lost everything, unnoticed
 *   snapshot a [KEEP]              compacted up to KEEP batches before it
 *   members a a b learner c joining d
 *   recovered a | read a | transfer a b|- | fence a on|off | space a yes|no
 *   refused a b | broken a b | linkup a b
 *   refuse CODE COMMAND...         the command must be refused so: busy, stale, not-leader, ...
 *   expect ...                     see scenario_expect.c
 *   trace                          prints messages from here on
 */
#include "scenario.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/raft/bugs.h"

#define REORDER_MAX 256 /* messages of one link: far more than windows let out */

static const struct {
    const char *name;
    size_t offset;
    size_t size;
    uint64_t unit;
} options[] = {
#define OPTION(name, field, unit) \
    {name, offsetof(struct raft_options, field), sizeof((struct raft_options *)0)->field, unit}
    OPTION("election_min_ms", election_min_ns, WORLD_MS),
    OPTION("election_max_ms", election_max_ns, WORLD_MS),
    OPTION("heartbeat_ms", heartbeat_ns, WORLD_MS),
    OPTION("commit_notify_ms", commit_notify_ns, WORLD_MS),
    OPTION("disk_stall_ms", disk_stall_ns, WORLD_MS),
    OPTION("priority_delay_ms", priority_delay_ns, WORLD_MS),
    OPTION("batches_max", batches_max, 1),
    OPTION("ios_max", ios_max, 1),
    OPTION("append_bytes_max", append_bytes_max, 1),
    OPTION("chunk_bytes", chunk_bytes, 1),
    OPTION("snapshot_wait_ms", snapshot_wait_ns, WORLD_MS),
    OPTION("window_bytes", window_bytes, 1),
    OPTION("uncommitted_bytes", uncommitted_bytes, 1),
    OPTION("apply_window", apply_window, 1),
    OPTION("promote_lag", promote_lag, 1),
#undef OPTION
};

uint64_t script_number(struct script *s, const char *word)
{
    char *end;
    if (!word)
        world_fail(s->w, "a number is missing");
    uint64_t number = strtoull(word, &end, 10);
    if (*end || end == word)
        world_fail(s->w, "'%s' is not a number", word);
    return number;
}

uint64_t script_id(struct script *s, const char *word)
{
    if (!word || strlen(word) != 1 || word[0] < 'a' || word[0] >= 'a' + WORLD_NODES)
        world_fail(s->w, "'%s' is not a node", word ? word : "");
    return (uint64_t)(word[0] - 'a') + 1;
}

struct world_node *script_node(struct script *s, const char *word)
{
    return world_node(s->w, script_id(s, word));
}

void script_link(struct script *s, const char *word, uint64_t *from, uint64_t *to)
{
    if (!word || strlen(word) != 4 || word[1] != '-' || word[2] != '>')
        world_fail(s->w, "'%s' is not a link", word ? word : "");
    char a[2] = {word[0], 0}, b[2] = {word[3], 0};
    *from = a[0] == '*' ? 0 : script_id(s, a);
    *to = b[0] == '*' ? 0 : script_id(s, b);
}

uint32_t script_type(struct script *s, const char *word)
{
    if (!word || strcmp(word, "any") == 0)
        return 0;
    uint32_t type = world_type(word);
    if (!type)
        world_fail(s->w, "there is no message '%s'", word);
    return type;
}

size_t script_find(struct script *s, uint64_t from, uint64_t to, uint32_t type, size_t start)
{
    for (size_t i = start; i < s->w->bag_count; i++) {
        const struct world_message *put = &s->w->bag[i];
        if (put->gate == 0 && (!from || put->m.from == from) && (!to || put->m.to == to) &&
            (!type || put->m.type == type))
            return i;
    }
    return SIZE_MAX;
}

static void do_option(struct script *s, char **v)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strcmp(options[i].name, v[1]) != 0)
            continue;
        uint64_t value = script_number(s, v[2]) * options[i].unit;
        unsigned char *field = (unsigned char *)&s->w->options + options[i].offset;
        uint32_t narrow = (uint32_t)value;
        memcpy(field, options[i].size == 4 ? (void *)&narrow : (void *)&value, options[i].size);
        return;
    }
    world_fail(s->w, "there is no option '%s'", v[1]);
}

/* As it is stored: what stands behind the name of a member, or nothing. */
static uint32_t read_priority(struct script *s, const char *word)
{
    if (word && strcmp(word, "never") == 0)
        return RAFT_PRIORITY_NEVER;
    return word ? (uint32_t)script_number(s, word) : 0;
}

/* "a b=5 c=never learner c joining d spare e" from v[0] on; returns the spares as a bit set. */
static uint64_t parse_members(struct script *s, char **v, struct raft_configuration *c)
{
    uint32_t role = RAFT_VOTER;
    uint64_t spares = 0;
    for (; *v; v++) {
        char *priority = strchr(*v, '=');
        if (priority)
            *priority++ = 0;
        if (strcmp(*v, "learner") == 0)
            role = RAFT_LEARNER;
        else if (strcmp(*v, "joining") == 0)
            role = RAFT_JOINING;
        else if (strcmp(*v, "spare") == 0)
            role = 0;
        else if (role == 0)
            spares |= UINT64_C(1) << script_id(s, *v);
        else
            raft_configuration_set(c, script_id(s, *v), role, read_priority(s, priority));
    }
    return spares;
}

static void do_nodes(struct script *s, char **v)
{
    struct raft_configuration founding = {0}, nothing = {0};
    uint64_t spares = parse_members(s, v + 1, &founding);
    for (uint32_t i = 0; i < founding.count; i++)
        world_add(s->w, founding.members[i].id, &founding);
    for (uint64_t id = 1; id <= WORLD_NODES; id++)
        if (spares >> id & 1)
            world_add(s->w, id, &nothing);
}

static void do_log(struct script *s, char **v)
{
    struct world_node *n = script_node(s, v[1]);
    for (v += 2; *v; v++) {
        struct raft_batch b = {.kind = RAFT_BATCH_COMMAND, .count = 1, .bytes = 100, .term = script_number(s, *v)};
        uint64_t term;
        uint32_t chain = 0;
        b.first = world_last(&n->disk.log) + 1;
        world_boundary(&n->disk.log, b.first - 1, &term, &chain);
        b.chain = world_chain(chain, &b, 0);
        world_append(&n->disk.log, &b);
        if (n->disk.term < b.term)
            n->disk.term = b.term;
    }
}

static void do_committed(struct script *s, char **v)
{
    struct world_node *n = script_node(s, v[1]);
    uint64_t until = script_number(s, v[2]);
    for (size_t i = 0; i < n->disk.log.count && n->disk.log.items[i].first <= until; i++)
        if (n->disk.log.items[i].first > world_last(&s->w->ledger))
            world_append(&s->w->ledger, &n->disk.log.items[i]);
}

static void do_start(struct script *s, char **v)
{
    if (v[1]) {
        for (v++; *v; v++)
            world_start(s->w, script_node(s, *v));
        return;
    }
    for (size_t i = 0; i < WORLD_NODES; i++)
        if (s->w->nodes[i].exists && !s->w->nodes[i].alive)
            world_start(s->w, &s->w->nodes[i]);
}

static void run_out(struct script *s, struct world_node *n)
{
    if (s->w->now < n->deadline)
        s->w->now = n->deadline;
    world_event(s->w, n, RAFT_EVENT_TIME);
}

/* Three attempts: the first may only teach it the others' term. */
static void do_elect(struct script *s, char **v)
{
    struct world_node *n = script_node(s, v[1]);
    struct raft_status status = {0};
    s->w->now += 1000 * WORLD_MS;
    for (int attempt = 0; attempt < 3 && status.role != RAFT_LEADER; attempt++) {
        run_out(s, n);
        world_settle(s->w);
        raft_status(n->raft, &status);
    }
    if (status.role != RAFT_LEADER)
        world_fail(s->w, "%s has not become leader", v[1]);
}

/* What it had sent goes with it, unless it is held: a script says so where a message outlives its sender. */
static void do_crash(struct script *s, struct world_node *n, size_t survivors)
{
    world_crash(s->w, n, survivors);
    for (size_t i = s->w->bag_count; i-- > 0;)
        if (s->w->bag[i].m.from == n->id && !s->w->bag[i].held)
            world_drop(s->w, i);
}

static int do_propose(struct script *s, char **v)
{
    struct world_node *n = script_node(s, v[1]);
    uint64_t batches = v[2] ? script_number(s, v[2]) : 1;
    uint32_t entries = v[2] && v[3] ? (uint32_t)script_number(s, v[3]) : 1;
    int result = RAFT_OK;
    for (; batches > 0 && result == RAFT_OK; batches--)
        result = world_propose(s->w, n, RAFT_BATCH_COMMAND, entries, 100 * entries);
    return result;
}

static int do_propose_at(struct script *s, char **v)
{
    struct raft_batch b = {.kind = RAFT_BATCH_COMMAND};
    b.first = script_number(s, v[2]);
    b.term = script_number(s, v[3]);
    return world_propose_batch(s->w, script_node(s, v[1]), b);
}

static int do_obey(struct script *s, char **v)
{
    struct world_node *n = script_node(s, v[1]);
    struct raft_status status;
    n->lazy = false;
    raft_status(n->raft, &status);
    if (!status.own_term_committed && n->wanted.count == 0)
        return world_propose(s->w, n, RAFT_BATCH_NOOP, 1, 50);
    struct raft_batch b = {.kind = RAFT_BATCH_CONFIGURATION, .configuration = world_keep(s->w, &n->wanted)};
    memset(&n->wanted, 0, sizeof n->wanted);
    return world_propose_batch(s->w, n, b);
}

static void do_messages(struct script *s, char **v)
{
    uint64_t from, to;
    script_link(s, v[1], &from, &to);
    uint32_t type = v[2] ? script_type(s, v[2]) : 0;
    bool deliver = strcmp(v[0], "deliver") == 0;
    bool all = (v[2] && v[3] && strcmp(v[3], "all") == 0) || strcmp(v[0], "drop") == 0;
    size_t at = 0, limit = s->w->bag_count;
    size_t seen = 0;
    for (; limit > 0 && (seen == 0 || all); limit--) {
        at = script_find(s, from, to, type, at);
        while (deliver && at != SIZE_MAX && s->w->bag[at].held)
            at = script_find(s, from, to, type, at + 1);
        if (at == SIZE_MAX)
            break;
        seen++;
        if (deliver)
            world_deliver(s->w, at);
        else if (strcmp(v[0], "drop") == 0)
            world_drop(s->w, at);
        else if (strcmp(v[0], "dup") == 0)
            world_duplicate(s->w, at++);
        else
            s->w->bag[at++].held = strcmp(v[0], "hold") == 0;
    }
    if (seen == 0)
        world_fail(s->w, "there is no such message to %s", v[0]);
}

/* The messages of a link change places and times: what was sent last comes first. */
static void do_reorder(struct script *s, char **v)
{
    size_t places[REORDER_MAX], count = 0;
    uint64_t from, to;
    script_link(s, v[1], &from, &to);
    uint32_t type = v[2] ? script_type(s, v[2]) : 0;
    for (size_t at = script_find(s, from, to, type, 0); at != SIZE_MAX && count < REORDER_MAX;
         at = script_find(s, from, to, type, at + 1))
        places[count++] = at;
    if (count < 2)
        world_fail(s->w, "there are no two such messages to %s", v[0]);
    for (size_t i = 0, k = count - 1; i < k; i++, k--) {
        struct world_message *early = &s->w->bag[places[i]], *late = &s->w->bag[places[k]];
        struct world_message put = *early;
        *early = *late;
        *late = put;
        late->due = early->due;
        early->due = put.due;
    }
}

static void do_cut(struct script *s, char **v)
{
    uint64_t from, to;
    if (strcmp(v[0], "heal") == 0) {
        memset(s->w->cut, 0, sizeof s->w->cut);
        return;
    }
    if (strcmp(v[0], "isolate") == 0) {
        uint64_t id = script_id(s, v[1]);
        for (size_t i = 0; i < WORLD_NODES; i++)
            s->w->cut[id - 1][i] = s->w->cut[i][id - 1] = true;
        return;
    }
    if (v[2]) {
        from = script_id(s, v[1]);
        to = script_id(s, v[2]);
        s->w->cut[to - 1][from - 1] = true;
    } else {
        script_link(s, v[1], &from, &to);
    }
    s->w->cut[from - 1][to - 1] = true;
}

static void do_hold(struct script *s, char **v)
{
    struct world_node *n = script_node(s, v[1]);
    bool hold = v[2] && strcmp(v[2], "hold") == 0;
    if (strcmp(v[0], "disk") == 0)
        n->disk_held = hold;
    else if (strcmp(v[0], "apply") == 0)
        n->apply_held = hold;
    else if (strcmp(v[0], "store") == 0)
        n->store_held = hold;
    else
        n->install_held = hold;
    if (!hold && n->alive)
        world_event(s->w, n, RAFT_EVENT_LINK_UP); /* an event without meaning, so that the node moves on */
}

static int node_event(struct script *s, char **v)
{
    struct world_node *n = script_node(s, v[1]);
    struct raft_event event = {0};
    struct raft_configuration target = {0};
    if (strcmp(v[0], "transfer") == 0) {
        event.type = RAFT_EVENT_TRANSFER;
        event.transfer.target = v[2] && v[2][0] != '-' ? script_id(s, v[2]) : 0;
    } else if (strcmp(v[0], "fence") == 0) {
        event.type = RAFT_EVENT_FENCE;
        event.fence.on = strcmp(v[2], "on") == 0;
    } else if (strcmp(v[0], "space") == 0) {
        event.type = RAFT_EVENT_SPACE;
        event.space.ok = strcmp(v[2], "yes") == 0;
    } else if (strcmp(v[0], "members") == 0) {
        event.type = RAFT_EVENT_MEMBERSHIP;
        parse_members(s, v + 2, &target);
        event.membership.target = &target;
    } else if (strcmp(v[0], "recovered") == 0) {
        event.type = RAFT_EVENT_RECOVERED;
        n->recovering = false;
    } else {
        event.type = strcmp(v[0], "linkup") == 0 ? RAFT_EVENT_LINK_UP : RAFT_EVENT_LINK_LOST;
        event.link.peer = script_id(s, v[2]);
        event.link.refused = strcmp(v[0], "refused") == 0;
    }
    return world_step(s->w, n, &event);
}

static int do_node(struct script *s, char **v)
{
    struct world_node *n = script_node(s, v[1]);
    uint64_t number = v[2] ? script_number(s, v[2]) : SIZE_MAX;
    if (strcmp(v[0], "written") == 0)
        world_written(s->w, n, number);
    else if (strcmp(v[0], "fail") == 0)
        world_write_failed(s->w, n);
    else if (strcmp(v[0], "installed") == 0 || strcmp(v[0], "spoiled") == 0)
        world_installed(s->w, n, strcmp(v[0], "spoiled") == 0);
    else if (strcmp(v[0], "crash") == 0 || strcmp(v[0], "restart") == 0)
        do_crash(s, n, v[2] ? number : 0);
    else if (strcmp(v[0], "damage") == 0)
        world_damage(s->w, n, number);
    else if (strcmp(v[0], "wipe") == 0)
        world_wipe(s->w, n);
    else if (strcmp(v[0], "snapshot") == 0 && !world_take_snapshot(s->w, n, v[2] ? number : 0))
        world_fail(s->w, "there is nothing to take a snapshot of");
    else if (strcmp(v[0], "timeout") == 0)
        run_out(s, n);
    else if (strcmp(v[0], "time") == 0)
        return world_event(s->w, n, RAFT_EVENT_TIME);
    else if (strcmp(v[0], "read") == 0)
        return world_read(s->w, n);
    if (strcmp(v[0], "restart") == 0)
        world_start(s->w, n);
    if (n->alive)
        world_event(s->w, n, RAFT_EVENT_LINK_UP); /* an event without meaning, so that the node moves on */
    return RAFT_OK;
}

static void do_vote(struct script *s, char **v)
{
    struct world_node *n = script_node(s, v[1]);
    n->disk.term = script_number(s, v[2]);
    n->disk.vote = v[3] && v[3][0] != '-' ? script_id(s, v[3]) : 0;
}

static bool is_one_of(const char *word, const char *list)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += length)
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == 0))
            return true;
    return false;
}

static int execute(struct script *s, char **v)
{
    struct world *w = s->w;
    int result = RAFT_OK;
    if (is_one_of(v[0], "nodes"))
        do_nodes(s, v);
    else if (is_one_of(v[0], "option"))
        do_option(s, v);
    else if (is_one_of(v[0], "log"))
        do_log(s, v);
    else if (is_one_of(v[0], "vote"))
        do_vote(s, v);
    else if (is_one_of(v[0], "committed"))
        do_committed(s, v);
    else if (is_one_of(v[0], "start"))
        do_start(s, v);
    else if (is_one_of(v[0], "elect"))
        do_elect(s, v);
    else if (is_one_of(v[0], "settle"))
        world_settle(w);
    else if (is_one_of(v[0], "run"))
        world_run(w, script_number(s, v[1]) * WORLD_MS);
    else if (is_one_of(v[0], "wait"))
        w->now += script_number(s, v[1]) * WORLD_MS;
    else if (is_one_of(v[0], "trace"))
        w->trace = true;
    else if (is_one_of(v[0], "lazy"))
        script_node(s, v[1])->lazy = true;
    else if (is_one_of(v[0], "cut isolate heal"))
        do_cut(s, v);
    else if (is_one_of(v[0], "disk apply install store"))
        do_hold(s, v);
    else if (is_one_of(v[0], "deliver drop dup hold release"))
        do_messages(s, v);
    else if (is_one_of(v[0], "reorder"))
        do_reorder(s, v);
    else if (is_one_of(v[0], "expect"))
        script_expect(s, v + 1);
    else if (is_one_of(v[0], "propose"))
        result = do_propose(s, v);
    else if (is_one_of(v[0], "propose-at"))
        result = do_propose_at(s, v);
    else if (is_one_of(v[0], "obey"))
        result = do_obey(s, v);
    else if (is_one_of(v[0], "transfer fence space members recovered linkup refused broken"))
        result = node_event(s, v);
    else if (is_one_of(v[0], "written fail installed spoiled crash restart damage wipe snapshot timeout time read"))
        result = do_node(s, v);
    else
        world_fail(w, "there is no command '%s'", v[0]);
    return result;
}

static int code_of(struct script *s, const char *word)
{
    static const char *const names[] = {"ok",        "invalid",   "not-leader", "busy",    "no-space", "stale",
                                        "not-ready", "in-flight", "unchanged",  "stopped", "diverged"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], word) == 0)
            return -(int)i;
    world_fail(s->w, "there is no refusal '%s'", word);
}

static void run_line(struct script *s, char *line)
{
    char *hash = strchr(line, '#');
    if (hash)
        *hash = 0;
    s->count = 0;
    for (char *rest = line, *word; (word = strtok_r(rest, " \t\n", &rest)) != NULL;) {
        if (s->count == WORDS_MAX)
            world_fail(s->w, "too many words");
        s->words[s->count++] = word;
    }
    s->words[s->count] = NULL;
    if (s->count == 0)
        return;
    char **v = s->words;
    int wanted = RAFT_OK;
    if (strcmp(v[0], "refuse") == 0) {
        if (s->count < 3)
            world_fail(s->w, "refuse what?");
        wanted = code_of(s, v[1]);
        s->expectations++;
        v += 2;
    }
    int result = execute(s, v);
    if (result != wanted)
        world_fail(s->w, "%s: %s (expected: %s)", v[0], raft_error_text(result), raft_error_text(wanted));
}

static int run_file(const char *path)
{
    struct script s = {.w = world_new(1)};
    char line[512];
    const char *name = strrchr(path, '/');
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        return 1;
    }
    s.w->where = s.where;
    for (int number = 1; fgets(line, sizeof line, file); number++) {
        snprintf(s.where, sizeof s.where, "%s:%d", name ? name + 1 : path, number);
        run_line(&s, line);
    }
    fclose(file);
    if (s.expectations == 0)
        world_fail(s.w, "a scenario that expects nothing cannot fail");
    world_free(s.w);
    return 0;
}

static int run_apart(const char *path)
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        exit(run_file(path));
    if (child < 0 || waitpid(child, &status, 0) != child)
        abort();
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    printf("%s %s\n", good ? "ok  " : "FAIL", path);
    return good ? 0 : 1;
}

#ifdef GAVEL_SEEDED_BUGS
static const bool has_seeded_bugs = true;
#else
static const bool has_seeded_bugs = false;
#endif

/* The seeded bugs of core/raft and the scenario that must see each, for tests/mutants.sh. */
static int print_bugs(void)
{
#define ROW(symbol, name, scenario) printf("%s %s\n", name, scenario);
    RAFT_BUGS(ROW)
#undef ROW
    return 0;
}

static int is_script(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".txt") == 0;
}

static int run_all(void)
{
    const char *top = getenv("top_srcdir");
    char directory[512], path[1024];
    struct dirent **entries;
    int failed = 0;
    snprintf(directory, sizeof directory, "%s/tests/scenarios", top ? top : ".");
    int count = scandir(directory, &entries, is_script, alphasort);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
        failed += run_apart(path);
        free(entries[i]);
    }
    if (count > 0)
        free(entries);
    printf("%d scenarios, %d failed\n", count > 0 ? count : 0, failed);
    return count > 0 && failed == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    int failed = 0;
    if (argc == 1)
        return run_all();
    if (strcmp(argv[1], "--bugs") == 0)
        return print_bugs();
    if (strcmp(argv[1], "--seeded") == 0)
        return has_seeded_bugs ? 0 : 1;
    for (int i = 1; i < argc; i++)
        failed += argc == 2 ? run_file(argv[i]) : run_apart(argv[i]);
    return failed ? 1 : 0;
}
