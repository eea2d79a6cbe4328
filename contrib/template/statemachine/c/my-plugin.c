/* SPDX-License-Identifier: Apache-2.0 */
/*
 * my-plugin.c - a bank: accounts, deposits, and transfers that happen whole or not at all, the same on every node.
 *
 * Change it into yours from the top down. The host checks arguments by the table below and logs them; then a command
 * runs on every node in the same order. It may look at its arguments, the state, the options and `call`, and at
 * nothing else: no clock, no random number, no file. What it answers, a refusal too, is replicated with it.
 */
#include <gavel/statemachine.h>

struct account {
    int64_t balance;
    uint64_t size;          /* of the name */
    unsigned char name[48]; /* zeros behind it */
};

struct bank {
    const struct gavel_host *host;
    const struct options *options; /* the host's, valid until configure gives others, or destroy */
    uint64_t count;
    struct account accounts[1024]; /* sorted by name; nothing is allocated later, so no command can lack memory */
};

#define ACCOUNTS_MAX (sizeof((struct bank *)0)->accounts / sizeof(struct account))
#define NAME_BYTES_MAX sizeof((struct account *)0)->name

struct options {
    uint64_t present; /* begins every struct that a field table describes */
    uint64_t overdraft;
};
static const struct gavel_field option_rows[] = {
    { .name = "overdraft", .id = 1, .type = GAVEL_UINT, .flags = GAVEL_REPLICATED, .max = 1000000,
      .fallback = "0", .offset = offsetof(struct options, overdraft), .unit = "coins",
      .help = "how far a transfer may take an account below zero" },
};
static const struct gavel_fields option_fields = GAVEL_FIELDS(option_rows, struct options);

struct given {
    uint64_t present;
    struct gavel_slice account;
    int64_t amount;
    struct gavel_slice to;
};
static const struct gavel_field rows[] = {
    { .name = "account", .id = 1, .type = GAVEL_STRING, .flags = GAVEL_REQUIRED | GAVEL_KEY, .min = 1,
      .max = NAME_BYTES_MAX, .offset = offsetof(struct given, account), .unit = "bytes", .help = "whose account" },
    { .name = "amount", .id = 2, .type = GAVEL_INT, .flags = GAVEL_REQUIRED, .min = 1, .max = INT64_C(1) << 50,
      .offset = offsetof(struct given, amount), .help = "how much, in the smallest coin" },
    { .name = "to", .id = 3, .type = GAVEL_STRING, .flags = GAVEL_REQUIRED | GAVEL_KEY, .min = 1,
      .max = NAME_BYTES_MAX, .offset = offsetof(struct given, to), .unit = "bytes", .help = "who is paid" },
};
static const struct gavel_fields account_fields = { rows, 1, sizeof rows[0], sizeof(struct given) };
static const struct gavel_fields deposit_fields = { rows, 2, sizeof rows[0], sizeof(struct given) };
static const struct gavel_fields transfer_fields = { rows, 3, sizeof rows[0], sizeof(struct given) };

static struct gavel_slice name_of(const struct account *account)
{
    return gavel_bytes(account->name, account->size);
}

/* Printable ASCII: what an account may be called, whether it comes from a client or out of a snapshot. */
static int is_name(const unsigned char *name, uint64_t size)
{
    if (size < 1 || size > NAME_BYTES_MAX)
        return 0;
    for (uint64_t i = 0; i < size; i++)
        if (name[i] < 0x20 || name[i] > 0x7e)
            return 0;
    return 1;
}

/* The account of that name; NULL: there is none, and `reply` says so. */
static struct account *find(struct bank *self, struct gavel_slice name, struct gavel_reply *reply)
{
    for (uint64_t i = 0; i < self->count; i++)
        if (gavel_slice_equal(name_of(&self->accounts[i]), name))
            return &self->accounts[i];
    (void)gavel_fail(reply->error, GAVEL_E_NOT_FOUND, "there is no account \"%.*s\"", (int)name.size,
                     (const char *)name.data);
    return NULL;
}

/* Set a balance, tell whoever watches (in MessagePack: 0xd3 and eight bytes, the biggest first), and answer it. */
static void set(struct account *account, int64_t balance, struct gavel_reply *reply)
{
    unsigned char value[9] = { 0xd3 };
    struct gavel_event event = { .size = GAVEL_END(struct gavel_event, previous), .type = "balance",
                                 .key = name_of(account), .value = gavel_bytes(value, sizeof value) };
    for (int i = 1; i <= 8; i++)
        value[i] = (unsigned char)((uint64_t)balance >> (64 - 8 * i));
    account->balance = balance;
    reply->emit(reply->context, &event);
}

/* ---- commands: every reason to refuse comes before the first change ---------------------------------------------- */

static int32_t run_open(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    struct bank *self = context;
    const struct given *given = arguments;
    struct account *place = self->accounts, *end = self->accounts + self->count;

    while (place < end && gavel_slice_compare(name_of(place), given->account) < 0)
        place++;
    if (!is_name(given->account.data, given->account.size))
        return gavel_fail(reply->error, GAVEL_E_INVALID, "the name of an account is printable ASCII");
    if (place < end && gavel_slice_equal(name_of(place), given->account))
        return gavel_fail(reply->error, GAVEL_E_EXISTS, "this account is open already");
    if (self->count == ACCOUNTS_MAX)
        return gavel_fail(reply->error, GAVEL_E_TOO_LARGE, "no more than %zu accounts fit", ACCOUNTS_MAX);
    memmove(place + 1, place, (size_t)(end - place) * sizeof *place);
    *place = (struct account){ .size = given->account.size };
    memcpy(place->name, given->account.data, given->account.size); /* the table bounds it */
    self->count++;
    set(place, 0, reply);
    gavel_put_int(reply->out, 0);
    return GAVEL_OK;
}

static int32_t run_deposit(void *context, const struct gavel_call *call, const void *arguments,
                           struct gavel_reply *reply)
{
    const struct given *given = arguments;
    struct account *account = find(context, given->account, reply);
    int64_t balance;

    if (!account)
        return GAVEL_E_NOT_FOUND;
    if (__builtin_add_overflow(account->balance, given->amount, &balance))
        return gavel_fail(reply->error, GAVEL_E_INVALID, "no account can hold as much");
    set(account, balance, reply);
    gavel_put_int(reply->out, balance);
    return GAVEL_OK;
}

static int32_t run_transfer(void *context, const struct gavel_call *call, const void *arguments,
                            struct gavel_reply *reply)
{
    struct bank *self = context;
    const struct given *given = arguments;
    struct account *from = find(self, given->account, reply), *to = from ? find(self, given->to, reply) : NULL;
    int64_t sum;

    if (!to)
        return GAVEL_E_NOT_FOUND;
    if (from == to)
        return gavel_fail(reply->error, GAVEL_E_INVALID, "an account cannot pay itself");
    if (from->balance < given->amount - (int64_t)self->options->overdraft)
        return gavel_fail(reply->error, GAVEL_E_CONDITION, "%lld is not enough to pay %lld", (long long)from->balance,
                          (long long)given->amount);
    if (__builtin_add_overflow(to->balance, given->amount, &sum))
        return gavel_fail(reply->error, GAVEL_E_INVALID, "no account can hold as much");
    set(from, from->balance - given->amount, reply);
    set(to, sum, reply);
    gavel_put_int(reply->out, from->balance);
    return GAVEL_OK;
}

static int32_t run_balance(void *context, const struct gavel_call *call, const void *arguments,
                           struct gavel_reply *reply)
{
    const struct account *account = find(context, ((const struct given *)arguments)->account, reply);

    if (!account)
        return GAVEL_E_NOT_FOUND;
    gavel_put_int(reply->out, account->balance);
    return GAVEL_OK;
}

static int32_t run_list(void *context, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply)
{
    const struct bank *self = context;

    gavel_put_array(reply->out, self->count);
    for (uint64_t i = 0; i < self->count; i++) {
        gavel_put_map(reply->out, 2);
        gavel_put_key(reply->out, "account");
        gavel_put_string(reply->out, name_of(&self->accounts[i]));
        gavel_put_key(reply->out, "balance");
        gavel_put_int(reply->out, self->accounts[i].balance);
        gavel_put_end(reply->out);
    }
    gavel_put_end(reply->out);
    return GAVEL_OK;
}

/* An id is in the log: never use it again for another command, nor a row's id for another field. */
static const struct gavel_command commands[] = {
    { "open", 1, GAVEL_WRITE, &account_fields, run_open, "Open an account with nothing in it", "account=ann" },
    { "deposit", 2, GAVEL_WRITE, &deposit_fields, run_deposit, "Pay in, and answer the new balance", "ann 100" },
    { "transfer", 3, GAVEL_WRITE, &transfer_fields, run_transfer, "Pay somebody, and answer what is left",
      "account=ann amount=30 to=bob" },
    { "balance", 4, GAVEL_READ, &account_fields, run_balance, "Answer what is in an account", "ann" },
    { "list", 5, GAVEL_READ, NULL, run_list, "Answer all accounts in the order of their names", NULL },
};

/* ---- state, snapshot, restore ------------------------------------------------------------------------------------ */

/* What replicas compare: who differs is named and fenced. With more state than this, keep the sum up to date in run. */
static void tell_state(void *context, struct gavel_machine_state *state)
{
    struct bank *self = context;

    state->digest[0] = state->digest[1] = state->changelog = 0;
    state->entries = self->count;
    for (uint64_t i = 0; i < self->count; i++)
        gavel_digest_add(state->digest, name_of(&self->accounts[i]),
                         gavel_bytes(&self->accounts[i].balance, sizeof(int64_t)));
}

/* Without GAVEL_CONCURRENT no command runs between begin and end: there is nothing to hold, and one chunk is all. */
static int32_t snapshot_begin(void *context, void **snapshot, struct gavel_error *error)
{
    *snapshot = context;
    return GAVEL_OK;
}

static int32_t snapshot_next(void *context, void *snapshot, struct gavel_buffer *chunk, struct gavel_error *error)
{
    struct bank *self = context;

    if (gavel_buffer_append(chunk, self->accounts, self->count * sizeof(struct account)) != GAVEL_OK)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a snapshot of %zu accounts", (size_t)self->count);
    return 0; /* 1: there is more */
}

static void snapshot_end(void *context, void *snapshot)
{
}

static int32_t restore_begin(void *context, uint64_t state_version, struct gavel_error *error)
{
    ((struct bank *)context)->count = 0;
    return state_version == 1 ? GAVEL_OK : gavel_fail(error, GAVEL_E_VERSION, "only state version 1 is known");
}

/* A snapshot may be damaged or forged: whatever the commands rely on is checked. */
static int32_t restore_chunk(void *context, struct gavel_slice chunk, struct gavel_error *error)
{
    static const unsigned char zeros[NAME_BYTES_MAX];
    struct bank *self = context;
    struct account *account = &self->accounts[self->count];

    if (chunk.size % sizeof *account || chunk.size / sizeof *account > ACCOUNTS_MAX - self->count)
        return gavel_fail(error, GAVEL_E_CORRUPT, "%zu bytes are no accounts", (size_t)chunk.size);
    if (chunk.size)
        memcpy(account, chunk.data, chunk.size);
    for (uint64_t left = chunk.size / sizeof *account; left--; account++, self->count++)
        if (!is_name(account->name, account->size) ||
            memcmp(account->name + account->size, zeros, NAME_BYTES_MAX - account->size) != 0 ||
            (self->count && gavel_slice_compare(name_of(account - 1), name_of(account)) >= 0))
            return gavel_fail(error, GAVEL_E_CORRUPT, "account %zu is damaged or out of order", (size_t)self->count);
    return GAVEL_OK;
}

static int32_t restore_end(void *context, struct gavel_error *error)
{
    return GAVEL_OK;
}

/* ---- the plugin -------------------------------------------------------------------------------------------------- */

static int32_t create(const struct gavel_host *host, const void *options, void **instance, struct gavel_error *error)
{
    struct bank *self = host->heap->resize(host->heap->self, NULL, sizeof *self);

    if (!self)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for %zu accounts", ACCOUNTS_MAX);
    memset(self, 0, sizeof *self);
    self->host = host;
    self->options = options;
    *instance = self;
    return GAVEL_OK;
}

/* gavel settings set: new values from the next command on, on every node at the same entry of the log. */
static int32_t configure(void *context, const void *options, struct gavel_error *error)
{
    ((struct bank *)context)->options = options;
    return GAVEL_OK;
}

static void destroy(void *context)
{
    struct bank *self = context;
    (void)self->host->heap->resize(self->host->heap->self, self, 0);
}

static const struct gavel_statemachine operations = {
    .size = GAVEL_END(struct gavel_statemachine, configure),
    .flags = GAVEL_BOUNDED, /* no command blocks or takes long */
    .state_version = 1,     /* of what commands mean: a new outcome for an old entry needs a new number */
    .commands = commands,
    .command_count = sizeof commands / sizeof commands[0],
    .command_stride = sizeof commands[0],
    .state = tell_state,
    .snapshot_begin = snapshot_begin,
    .snapshot_next = snapshot_next,
    .snapshot_end = snapshot_end,
    .restore_begin = restore_begin,
    .restore_chunk = restore_chunk,
    .restore_end = restore_end,
    .configure = configure,
};

static const struct gavel_plugin plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_STATEMACHINE,
    .name = "my-plugin",
    .version = PACKAGE_VERSION,
    .summary = "Accounts, and transfers between them",
    .options = &option_fields,
    .operations = &operations,
    .create = create,
    .destroy = destroy,
};

GAVEL_PLUGIN(my_plugin)
{
    return &plugin;
}
