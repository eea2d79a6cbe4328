/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torture_load.c - 16 clients, each a libgavel of its own and a thread: half of them within a session, half of them
 * bound to one node, three of them in JSON. Every value is written once only. What they ask and what they are told goes
 * into a history (tests/linear/history.h has its form) as it happens; and a ledger remembers what became of each write
 * to keys that are written once, so that a lost one can be named.
 */
#include "torture.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEYS 8            /* contended keys at one time */
#define EPOCH_OPS 1500    /* operations of all clients until other keys are used: the check of one key stays short */
#define CALL_MS 2500
#define BALLAST_BYTES 40000
#define BALLAST_PART 25   /* one operation of so many, */
#define PRESSED_PART 3    /* and of so many where a disk is full */
#define PAGE_TEXT "500"
#define PAGE_MS 30000
#define LEDGER_NAME_BYTES 40

enum outcome { NOT_TRIED, NOT_DONE, UNKNOWN, DONE };

struct client {
    struct torture *torture;
    struct torture_load *load;
    struct gavel_client *client;
    struct gavel_session *session;
    pthread_t thread;
    int number;
    bool in_session;
    uint64_t dice;
    uint64_t values; /* handed out */
    uint32_t ledger_count;
    unsigned char *ledger; /* enum outcome of each */
    uint64_t *indexes;     /* of those that are done */
    uint64_t seen[KEYS];   /* what it last saw, for cas */
};

struct torture_load {
    struct client clients[TORTURE_CLIENTS];
    FILE *history;
    atomic_bool stop;
    atomic_int pressed; /* by how many */
    atomic_bool rests;
    _Atomic uint64_t begun;
    _Atomic uint64_t answered;
    _Atomic uint64_t refused;
    _Atomic uint64_t unknown;
    _Atomic uint64_t no_space; /* of the refused */
};

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- one operation ----------------------------------------------------------------------------------------------- */

struct op {
    const char *command; /* of the store */
    const char *long_arguments; /* instead of these: */
    char arguments[160];
    char text[120]; /* of the history: COMMAND KEY ... */
    bool reads;
    bool versioned; /* the version that it tells is that of a value */
    uint64_t invoked;
    uint64_t returned;
    struct gavel_result *result;
    struct gavel_error error;
    int32_t status;
};

static void call(struct client *client, struct op *op)
{
    struct gavel_request request = gavel_request_defaults();
    struct torture_load *load = client->load;

    request.command = op->command;
    request.form = GAVEL_FORM_TEXT;
    request.arguments = gavel_text(op->long_arguments ? op->long_arguments : op->arguments);
    request.timeout_ms = CALL_MS;
    request.flags = op->reads ? GAVEL_REPEATABLE : 0;
    request.session = op->reads ? NULL : client->session;
    op->result = NULL;
    atomic_fetch_add(&load->begun, 1);
    op->invoked = now_ns();
    op->status = gavel_call(client->client, &request, &op->result, &op->error);
    op->returned = now_ns();
    if (op->status == GAVEL_E_UNKNOWN)
        atomic_fetch_add(&load->unknown, 1);
    else if (op->status >= 0 || op->status == GAVEL_E_NOT_FOUND || op->status == GAVEL_E_CONDITION)
        atomic_fetch_add(&load->answered, 1);
    else
        atomic_fetch_add(&load->refused, 1);
    if (op->status == GAVEL_E_NO_SPACE)
        atomic_fetch_add(&load->no_space, 1);
}

/* The word of the history for a status; fails for one that no client should be told. */
static const char *outcome_of(struct client *client, const struct op *op)
{
    switch (op->status) {
    case GAVEL_E_NOT_FOUND: return "absent";
    case GAVEL_E_CONDITION: return "condition";
    case GAVEL_E_UNKNOWN: return "unknown";
    case GAVEL_E_NO_LEADER:
    case GAVEL_E_TIMEOUT:
    case GAVEL_E_BUSY:
    case GAVEL_E_NO_SPACE:
    case GAVEL_E_CLOSED: return "failed";
    default: break;
    }
    if (op->status < 0)
        torture_fail(client->torture, "client %d: %s %s: status %d: %s", client->number, op->command, op->arguments,
                     op->status, op->error.text);
    return "ok";
}

/* One line of the history, with all that the answer told. */
static void write_down(struct client *client, const struct op *op)
{
    const char *outcome = outcome_of(client, op);
    struct gavel_slice value = op->result ? op->result->value : gavel_bytes(NULL, 0);
    char line[320];
    size_t used;

    if (op->status == GAVEL_E_UNKNOWN)
        used = (size_t)snprintf(line, sizeof line, "%d %" PRIu64 " - %s -> unknown", client->number, op->invoked,
                                op->text);
    else
        used = (size_t)snprintf(line, sizeof line, "%d %" PRIu64 " %" PRIu64 " %s -> %s", client->number, op->invoked,
                                op->returned, op->text, outcome);
    if (op->status >= 0 && gavel_get_kind(value, "value") == GAVEL_DOCUMENT_UINT)
        used += (size_t)snprintf(line + used, sizeof line - used, " %" PRIu64, gavel_get_uint(value, "value", 0));
    if (op->status >= 0 && op->versioned && gavel_get_kind(value, "version") == GAVEL_DOCUMENT_UINT)
        used += (size_t)snprintf(line + used, sizeof line - used, " version=%" PRIu64,
                                 gavel_get_uint(value, "version", 0));
    if (op->status >= 0 && op->reads)
        used += (size_t)snprintf(line + used, sizeof line - used, " revision=%" PRIu64,
                                 gavel_get_uint(value, "mod_revision", 0));
    if (op->status >= 0)
        (void)snprintf(line + used, sizeof line - used, " index=%" PRIu64, op->result->index);
    fprintf(client->load->history, "%s\n", line);
}

/* ---- what the clients do ----------------------------------------------------------------------------------------- */

static uint64_t next_value(struct client *client)
{
    return (uint64_t)client->number * 100000000u + ++client->values;
}

/* On contended keys: reads, writes, conditional writes, deletes, sums. */
static void contend(struct client *client)
{
    uint64_t what = torture_random(&client->dice, 100);
    unsigned number = (unsigned)torture_random(&client->dice, KEYS);
    uint64_t epoch = atomic_load(&client->load->begun) / EPOCH_OPS;
    uint64_t value = next_value(client);
    struct op op = {.reads = what < 40, .versioned = what < 86 || what >= 90};
    char key[32];

    (void)snprintf(key, sizeof key, "%c%" PRIu64 "-%u", what >= 90 ? 'n' : 'r', epoch, number);
    if (what < 40) {
        op.command = "store.get";
        (void)snprintf(op.arguments, sizeof op.arguments, "key=%s", key);
        (void)snprintf(op.text, sizeof op.text, "get %s", key);
    } else if (what < 72) {
        op.command = "store.set";
        (void)snprintf(op.arguments, sizeof op.arguments, "key=%s value=%" PRIu64, key, value);
        (void)snprintf(op.text, sizeof op.text, "set %s %" PRIu64, key, value);
    } else if (what < 86) {
        op.command = "store.cas";
        (void)snprintf(op.arguments, sizeof op.arguments, "key=%s expect=%" PRIu64 " value=%" PRIu64, key,
                       client->seen[number], value);
        (void)snprintf(op.text, sizeof op.text, "cas %s %" PRIu64 " %" PRIu64, key, client->seen[number], value);
    } else if (what < 90) {
        op.command = "store.delete";
        (void)snprintf(op.arguments, sizeof op.arguments, "key=%s", key);
        (void)snprintf(op.text, sizeof op.text, "delete %s", key);
    } else {
        op.command = "store.incr";
        (void)snprintf(op.arguments, sizeof op.arguments, "key=%s by=%" PRIu64, key, 1 + value % 7);
        (void)snprintf(op.text, sizeof op.text, "add %s %" PRIu64, key, 1 + value % 7);
    }
    call(client, &op);
    write_down(client, &op);
    if (op.status >= 0 && what < 40)
        client->seen[number] = gavel_get_uint(op.result->value, "value", 0);
    else if (op.status >= 0 && what < 86)
        client->seen[number] = value;
    gavel_result_free(op.result);
}

/* A key of its own, written once. */
static void enter(struct client *client)
{
    uint32_t number = client->ledger_count++;
    struct op op = {.command = "store.set"};
    enum outcome outcome;

    (void)snprintf(op.arguments, sizeof op.arguments, "key=w%d/%08u value=%u", client->number, number, number);
    call(client, &op);
    outcome = op.status >= 0 ? DONE : op.status == GAVEL_E_UNKNOWN ? UNKNOWN : NOT_DONE;
    (void)outcome_of(client, &op);
    client->ledger[number] = (unsigned char)outcome;
    client->indexes[number] = outcome == DONE ? op.result->index : 0;
    gavel_result_free(op.result);
}

/* A large value, so that segments fill up, snapshots are taken and slow links have something to carry. */
static void load_down(struct client *client)
{
    size_t size = 1024 + (size_t)torture_random(&client->dice, BALLAST_BYTES - 1024);
    struct op op = {.command = "store.set"};
    char *text = malloc(size + 64);
    size_t used;

    if (!text)
        torture_fail(client->torture, "memory is out");
    used = (size_t)snprintf(text, size + 64, "key=b%d value=\"", client->number);
    memset(text + used, 'x', size);
    memcpy(text + used + size, "\"", 2);
    op.long_arguments = text;
    (void)snprintf(op.arguments, sizeof op.arguments, "key=b%d", client->number);
    call(client, &op);
    (void)outcome_of(client, &op);
    gavel_result_free(op.result);
    free(text);
}

static void *client_main(void *context)
{
    struct client *client = context;
    uint64_t gap_ns = UINT64_C(1000000000) * TORTURE_CLIENTS / client->torture->rate;
    uint64_t next = now_ns();

    while (!atomic_load(&client->load->stop)) {
        uint64_t now = now_ns();

        if (now < next) { /* the pace of the load */
            torture_pause(1 + (unsigned)((next - now) / 1000000));
            continue;
        }
        if (atomic_load(&client->load->rests)) {
            torture_pause(20);
            continue;
        }
        next = (next + gap_ns > now ? next : now) + gap_ns;
        if (torture_random(&client->dice, atomic_load(&client->load->pressed) > 0 ? PRESSED_PART : BALLAST_PART) == 0)
            load_down(client);
        else if (torture_random(&client->dice, 5) == 0 && client->ledger_count < TORTURE_LEDGER_MAX)
            enter(client);
        else
            contend(client);
    }
    return NULL;
}

/* ---- up and down ------------------------------------------------------------------------------------------------- */

static struct gavel_client *open_client(struct torture *torture, const char *endpoints, bool stay, bool json)
{
    struct gavel_client_options options = gavel_client_defaults();
    struct gavel_client *client = NULL;
    struct gavel_error error = {0, ""};

    options.endpoints = endpoints;
    options.name = "torture";
    options.stay = stay;
    options.timeout_ms = CALL_MS;
    options.serializer = json && torture->has_json ? "json" : NULL;
    if (gavel_client_open(&options, &client, &error) != GAVEL_OK)
        torture_fail(torture, "%s", error.text);
    return client;
}

static void start_client(struct torture *torture, struct torture_load *load, int number)
{
    struct client *client = &load->clients[number];
    bool stays = number % 4 >= 2;
    struct gavel_error error = {0, ""};

    client->torture = torture;
    client->load = load;
    client->number = number;
    client->in_session = number % 2 == 0;
    client->dice = torture->seed * 31 + (uint64_t)number + 1;
    client->ledger = calloc(TORTURE_LEDGER_MAX, 1);
    client->indexes = calloc(TORTURE_LEDGER_MAX, sizeof *client->indexes);
    client->client = open_client(torture, stays ? torture->nodes[number % torture->count].uris : torture->endpoints,
                                 stays, number % 5 == 4);
    if (client->in_session && gavel_session_open(client->client, &client->session, &error) != GAVEL_OK)
        torture_fail(torture, "%s", error.text);
    if (!client->ledger || !client->indexes || pthread_create(&client->thread, NULL, client_main, client) != 0)
        torture_fail(torture, "cannot start a client");
}

void load_start(struct torture *torture)
{
    struct torture_load *load = calloc(1, sizeof *load);

    if (!load)
        torture_fail(torture, "memory is out");
    torture->load = load;
    load->history = fopen(torture->history, "we");
    if (!load->history)
        torture_fail(torture, "%s: %s", torture->history, strerror(errno));
    fprintf(load->history, "# torture of real processes, seed %" PRIu64 ", times in nanoseconds\n", torture->seed);
    for (int i = 0; i < TORTURE_CLIENTS; i++)
        start_client(torture, load, i);
}

uint64_t load_answered(const struct torture *torture)
{
    return torture->load ? atomic_load(&torture->load->answered) : 0;
}

void load_press(struct torture *torture, bool more)
{
    if (torture->load)
        (void)atomic_fetch_add(&torture->load->pressed, more ? 1 : -1);
}

void load_rest(struct torture *torture, bool rests)
{
    if (torture->load)
        atomic_store(&torture->load->rests, rests);
}

void load_stop(struct torture *torture)
{
    struct torture_load *load = torture->load;
    uint64_t written = 0;

    atomic_store(&load->stop, true);
    for (int i = 0; i < TORTURE_CLIENTS; i++) {
        (void)pthread_join(load->clients[i].thread, NULL);
        for (uint32_t k = 0; k < load->clients[i].ledger_count; k++)
            written += load->clients[i].ledger[k] == DONE;
    }
    printf("load: %" PRIu64 " operations, %" PRIu64 " answered, %" PRIu64 " refused (%" PRIu64
           " for want of space), %" PRIu64 " unknown; %" PRIu64
           " acknowledged writes in the ledger\n", atomic_load(&load->begun), atomic_load(&load->answered),
           atomic_load(&load->refused), atomic_load(&load->no_space), atomic_load(&load->unknown), written);
    if (atomic_load(&load->answered) == 0)
        torture_fail(torture, "nothing was answered: this shows nothing");
}

void load_free(struct torture *torture)
{
    struct torture_load *load = torture->load;

    for (int i = 0; i < TORTURE_CLIENTS && load; i++) {
        gavel_session_close(load->clients[i].session);
        gavel_client_close(load->clients[i].client);
        free(load->clients[i].ledger);
        free(load->clients[i].indexes);
    }
    if (load && load->history)
        (void)fclose(load->history);
    free(load);
    torture->load = NULL;
}

bool load_entry(const struct torture *torture, int client, uint32_t number, struct torture_entry *entry)
{
    const struct client *of = &torture->load->clients[client];

    if (number >= of->ledger_count)
        return false;
    entry->done = of->ledger[number] == DONE;
    entry->refused = of->ledger[number] == NOT_DONE;
    entry->index = of->indexes[number];
    return true;
}

void load_forge(struct torture *torture, int client, uint32_t number, const struct torture_entry *entry)
{
    struct client *of = &torture->load->clients[client];

    if (number == of->ledger_count && number < TORTURE_LEDGER_MAX)
        of->ledger_count++;
    of->ledger[number] = (unsigned char)(entry->done ? DONE : entry->refused ? NOT_DONE : UNKNOWN);
    of->indexes[number] = entry->index;
}

uint64_t load_write(struct torture *torture, const char *command, const char *arguments)
{
    struct client *client = &torture->load->clients[0];
    struct op op = {.command = command};
    uint64_t until = torture_now(torture) + PAGE_MS;
    uint64_t index;

    (void)snprintf(op.arguments, sizeof op.arguments, "%s", arguments);
    for (call(client, &op); op.status < 0; call(client, &op)) {
        if (torture_now(torture) > until)
            torture_fail(torture, "nothing can be written when everything is healed: %s", op.error.text);
        torture_pause(20);
    }
    index = op.result->index;
    gavel_result_free(op.result);
    return index;
}

uint64_t load_mark(struct torture *torture)
{
    return load_write(torture, "store.set", "key=mark value=1");
}

/* ---- afterwards -------------------------------------------------------------------------------------------------- */

/* What a walk over all keys of one node found, and what must not be missing. */
struct walk {
    struct torture *torture;
    struct torture_node *node;
    struct gavel_client *client;
    char after[80];
    uint32_t next[TORTURE_CLIENTS]; /* of each ledger, the number not passed yet */
    uint64_t items;
};

/* Entries of a ledger that the walk passed without finding them. */
static void pass(struct walk *walk, int client, uint32_t up_to)
{
    const struct client *of = &walk->torture->load->clients[client];

    for (; walk->next[client] < up_to; walk->next[client]++)
        if (of->ledger[walk->next[client]] == DONE)
            torture_fail(walk->torture, "LOST: w%d/%08u was acknowledged and is not on %s", client, walk->next[client],
                         walk->node->name);
}

static void check_entry(struct walk *walk, const char *key, uint64_t value, uint64_t version)
{
    int client = 0;
    uint32_t number = 0;
    const struct client *of;

    if (sscanf(key, "w%d/%u", &client, &number) != 2 || client < 0 || client >= TORTURE_CLIENTS)
        torture_fail(walk->torture, "%s has a key that nobody wrote: %s", walk->node->name, key);
    of = &walk->torture->load->clients[client];
    pass(walk, client, number);
    if (number >= of->ledger_count || value != number)
        torture_fail(walk->torture, "%s: %s has the value %" PRIu64, walk->node->name, key, value);
    if (version != 1)
        torture_fail(walk->torture, "DOUBLED: %s: %s was written %" PRIu64 " times", walk->node->name, key, version);
    if (of->ledger[number] == NOT_DONE)
        torture_fail(walk->torture, "%s: %s is there, and its writer was told that it was not done", walk->node->name,
                     key);
    walk->next[client] = number + 1;
}

/* A page of `prefix`; true when there is another. */
static bool walk_page(struct walk *walk, const char *prefix)
{
    struct client reader = {.torture = walk->torture, .load = walk->torture->load, .client = walk->client,
                            .number = TORTURE_CLIENTS + walk->node->number};
    struct op op = {.command = "store.prefix", .reads = true};
    uint64_t until = torture_now(walk->torture) + torture_patience(walk->torture, PAGE_MS);
    struct gavel_slice after;
    uint64_t count;
    bool more;

    (void)snprintf(op.arguments, sizeof op.arguments, "prefix=%s limit=" PAGE_TEXT "%s%s", prefix,
                   walk->after[0] ? " after=" : "", walk->after);
    for (call(&reader, &op); op.status < 0; call(&reader, &op)) {
        if (torture_now(walk->torture) > until)
            torture_fail(walk->torture, "%s cannot be read when everything is healed: %s", walk->node->name,
                         op.error.text);
        torture_pause(20);
    }
    count = gavel_get_count(op.result->value, "items");
    for (uint64_t i = 0; i < count; i++) {
        struct gavel_slice item = gavel_document_at(gavel_get(op.result->value, "items"), i, NULL);
        struct gavel_slice name = gavel_get_bytes(item, "key");
        uint64_t value = gavel_get_uint(item, "value", UINT64_MAX);
        uint64_t version = gavel_get_uint(item, "version", 0);
        char key[LEDGER_NAME_BYTES];

        (void)snprintf(key, sizeof key, "%.*s", (int)name.size, name.size ? (const char *)name.data : "");
        walk->items++;
        check_entry(walk, key, value, version);
    }
    after = gavel_get_bytes(op.result->value, "after");
    more = after.size > 0;
    if (more)
        (void)snprintf(walk->after, sizeof walk->after, "%.*s", (int)after.size, (const char *)after.data);
    gavel_result_free(op.result);
    return more;
}

/*
 * One read of each contended key that was ever used, in turn on all nodes, whose digests are equal: what is absent now
 * is told to the check as well. One without an answer would leave open how that key has ended.
 */
static void read_keys(struct torture *torture, struct torture_node *node, struct gavel_client *client)
{
    struct client reader = {.torture = torture, .load = torture->load, .client = client,
                            .number = TORTURE_CLIENTS + node->number};
    uint64_t epochs = atomic_load(&torture->load->begun) / EPOCH_OPS + 1;
    uint64_t until = torture_now(torture) + torture_patience(torture, PAGE_MS);

    for (uint64_t i = (uint64_t)node->number - 1; i < epochs * KEYS * 2; i += (uint64_t)torture->count) {
        struct op op = {.command = "store.get", .reads = true, .versioned = true};
        char key[32];

        (void)snprintf(key, sizeof key, "%c%" PRIu64 "-%u", i % 2 ? 'n' : 'r', i / 2 / KEYS, (unsigned)(i / 2 % KEYS));
        (void)snprintf(op.arguments, sizeof op.arguments, "key=%s", key);
        (void)snprintf(op.text, sizeof op.text, "get %s", key);
        for (call(&reader, &op); op.status < 0 && op.status != GAVEL_E_NOT_FOUND; call(&reader, &op)) {
            (void)outcome_of(&reader, &op);
            if (torture_now(torture) > until)
                torture_fail(torture, "%s of %s is not answered when everything is healed: %s", key, node->name,
                             op.error.text);
            torture_pause(20);
        }
        write_down(&reader, &op);
        gavel_result_free(op.result);
    }
}

void load_check(struct torture *torture)
{
    for (int i = 0; i < torture->count; i++) {
        struct walk walk = {.torture = torture, .node = &torture->nodes[i]};

        walk.client = open_client(torture, walk.node->uris, true, false);
        for (int k = 0; k < TORTURE_CLIENTS; k++) {
            char prefix[16];

            (void)snprintf(prefix, sizeof prefix, "w%d/", k);
            walk.after[0] = 0;
            while (walk_page(&walk, prefix))
                ;
            pass(&walk, k, torture->load->clients[k].ledger_count);
        }
        gavel_client_close(walk.client);
        if (i == 0)
            printf("ledger: %" PRIu64 " keys on each node, none lost, none doubled\n", walk.items);
    }
}

void load_read(struct torture *torture)
{
    for (int i = 0; i < torture->count; i++) {
        struct torture_node *node = &torture->nodes[i];
        struct gavel_client *client = open_client(torture, node->uris, true, false);

        read_keys(torture, node, client);
        gavel_client_close(client);
    }
    if (fflush(torture->load->history) != 0)
        torture_fail(torture, "%s: %s", torture->history, strerror(errno));
}
