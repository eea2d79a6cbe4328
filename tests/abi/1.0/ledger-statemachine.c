/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger-statemachine.c - a plugin of ABI 1.0: accounts with a balance and transfers between them. It uses what an
 * author of that time used: options, arguments with defaults, events, a reply map, a digest, a snapshot in chunks.
 * Never edit it: it stands for the plugins that are out there.
 */
#include <gavel/statemachine.h>

#define ACCOUNTS_MAX 256
#define NAME_MAX_BYTES 24

struct account {
    uint64_t size; /* of the name; 0: free */
    char name[NAME_MAX_BYTES];
    uint64_t balance;
};

struct options {
    uint64_t present;
    uint64_t limit;
};

struct ledger {
    const struct gavel_host *host;
    const struct options *options;
    uint64_t metric;
    uint64_t count;
    uint64_t digest[2];
    uint64_t chunk; /* the account that the next chunk of a snapshot begins with */
    struct account accounts[ACCOUNTS_MAX];
};

static const struct gavel_field option_rows[] = {
    {.name = "limit", .id = 1, .type = GAVEL_UINT, .flags = GAVEL_REPLICATED, .offset = offsetof(struct options, limit),
     .fallback = "1000000", .min = 1, .max = 1000000000, .help = "Largest balance of one account"},
};
static const struct gavel_fields option_fields = GAVEL_FIELDS(option_rows, struct options);

struct arguments {
    uint64_t present;
    struct gavel_slice from;
    struct gavel_slice to;
    uint64_t amount;
};

static const struct gavel_field transfer_rows[] = {
    {.name = "from", .id = 1, .type = GAVEL_STRING, .flags = GAVEL_REQUIRED | GAVEL_KEY,
     .offset = offsetof(struct arguments, from), .min = 1, .max = NAME_MAX_BYTES, .help = "Who pays"},
    {.name = "to", .id = 2, .type = GAVEL_STRING, .flags = GAVEL_REQUIRED, .offset = offsetof(struct arguments, to),
     .min = 1, .max = NAME_MAX_BYTES, .help = "Who is paid"},
    {.name = "amount", .id = 3, .type = GAVEL_UINT, .offset = offsetof(struct arguments, amount), .fallback = "1",
     .help = "How much"},
};
static const struct gavel_field deposit_rows[] = {
    {.name = "to", .id = 1, .type = GAVEL_STRING, .flags = GAVEL_REQUIRED | GAVEL_KEY,
     .offset = offsetof(struct arguments, to), .min = 1, .max = NAME_MAX_BYTES, .help = "Who is paid"},
    {.name = "amount", .id = 2, .type = GAVEL_UINT, .offset = offsetof(struct arguments, amount), .fallback = "100",
     .help = "How much"},
};
static const struct gavel_fields transfer_fields = GAVEL_FIELDS(transfer_rows, struct arguments);
static const struct gavel_fields deposit_fields = GAVEL_FIELDS(deposit_rows, struct arguments);

static struct account *find(struct ledger *self, struct gavel_slice name)
{
    for (uint64_t i = 0; i < self->count; i++)
        if (gavel_slice_equal(gavel_bytes(self->accounts[i].name, self->accounts[i].size), name))
            return &self->accounts[i];
    return NULL;
}

static struct account *make(struct ledger *self, struct gavel_slice name)
{
    struct account *account = find(self, name);

    if (account || self->count == ACCOUNTS_MAX)
        return account;
    account = &self->accounts[self->count++];
    memset(account, 0, sizeof *account);
    account->size = name.size;
    memcpy(account->name, name.data, name.size);
    gavel_digest_add(self->digest, name, gavel_bytes(&account->balance, sizeof account->balance));
    return account;
}

static void put(struct ledger *self, struct account *account, uint64_t balance, struct gavel_reply *reply)
{
    struct gavel_slice name = gavel_bytes(account->name, account->size);
    unsigned char value[9] = {0xcf};
    struct gavel_event event = {.size = GAVEL_END(struct gavel_event, previous), .type = "set", .key = name,
                                .value = gavel_bytes(value, sizeof value)};

    gavel_digest_remove(self->digest, name, gavel_bytes(&account->balance, sizeof account->balance));
    account->balance = balance;
    gavel_digest_add(self->digest, name, gavel_bytes(&account->balance, sizeof account->balance));
    for (int i = 1; i <= 8; i++)
        value[i] = (unsigned char)(balance >> (64 - 8 * i));
    reply->emit(reply->context, &event);
}

static int32_t run_deposit(void *context, const struct gavel_call *call, const void *given, struct gavel_reply *reply)
{
    struct ledger *self = context;
    const struct arguments *wanted = given;
    struct account *account = make(self, wanted->to);

    if (!account)
        return gavel_fail(reply->error, GAVEL_E_TOO_LARGE, "there are %d accounts", ACCOUNTS_MAX);
    if (wanted->amount > self->options->limit - account->balance)
        return gavel_fail(reply->error, GAVEL_E_CONDITION, "over the limit of %llu",
                          (unsigned long long)self->options->limit);
    put(self, account, account->balance + wanted->amount, reply);
    if (self->metric)
        self->host->record(self->host->self, self->metric, 1, NULL, 0);
    gavel_put_map(reply->out, 2);
    gavel_put_key(reply->out, "balance");
    gavel_put_uint(reply->out, account->balance);
    gavel_put_key(reply->out, "index");
    gavel_put_uint(reply->out, call->index);
    gavel_put_end(reply->out);
    return GAVEL_OK;
}

static int32_t run_transfer(void *context, const struct gavel_call *call, const void *given, struct gavel_reply *reply)
{
    struct ledger *self = context;
    const struct arguments *wanted = given;
    struct account *from = find(self, wanted->from), *to = find(self, wanted->to);

    (void)call;
    if (!from || !to || from == to)
        return gavel_fail(reply->error, GAVEL_E_NOT_FOUND, "no two such accounts");
    if (from->balance < wanted->amount || wanted->amount > self->options->limit - to->balance)
        return gavel_fail(reply->error, GAVEL_E_CONDITION, "%.*s cannot pay", (int)from->size, from->name);
    put(self, from, from->balance - wanted->amount, reply);
    put(self, to, to->balance + wanted->amount, reply);
    gavel_put_uint(reply->out, from->balance);
    return GAVEL_OK;
}

static int32_t run_total(void *context, const struct gavel_call *call, const void *given, struct gavel_reply *reply)
{
    struct ledger *self = context;
    uint64_t total = 0;

    (void)given;
    if (!call->read_only)
        return gavel_fail(reply->error, GAVEL_E_INTERNAL, "a read is not marked as one");
    for (uint64_t i = 0; i < self->count; i++)
        total += self->accounts[i].balance;
    gavel_put_uint(reply->out, total);
    return GAVEL_OK;
}

static const struct gavel_command commands[] = {
    {"deposit", 1, GAVEL_WRITE, &deposit_fields, run_deposit, "Put money into an account", "to=anna amount=5"},
    {"transfer", 2, GAVEL_WRITE, &transfer_fields, run_transfer, "Move money", "from=anna to=bert amount=5"},
    {"total", 3, GAVEL_READ, NULL, run_total, "Answer the sum of all balances", NULL},
};

static void tell_state(void *context, struct gavel_machine_state *state)
{
    struct ledger *self = context;

    state->digest[0] = self->digest[0];
    state->digest[1] = self->digest[1];
    state->entries = self->count;
}

static int32_t snapshot_begin(void *context, void **snapshot, struct gavel_error *error)
{
    struct ledger *self = context;

    (void)error;
    self->chunk = 0;
    *snapshot = self;
    return GAVEL_OK;
}

static int32_t snapshot_next(void *context, void *snapshot, struct gavel_buffer *chunk, struct gavel_error *error)
{
    struct ledger *self = context;

    (void)snapshot;
    if (self->chunk < self->count &&
        gavel_buffer_append(chunk, &self->accounts[self->chunk++], sizeof(struct account)) != GAVEL_OK)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a chunk");
    return self->chunk < self->count;
}

static void snapshot_end(void *context, void *snapshot)
{
    (void)context;
    (void)snapshot;
}

static int32_t restore_begin(void *context, uint64_t state_version, struct gavel_error *error)
{
    struct ledger *self = context;

    if (state_version != 1)
        return gavel_fail(error, GAVEL_E_VERSION, "state version %llu", (unsigned long long)state_version);
    self->count = 0;
    self->digest[0] = self->digest[1] = 0;
    return GAVEL_OK;
}

static int32_t restore_chunk(void *context, struct gavel_slice chunk, struct gavel_error *error)
{
    struct ledger *self = context;
    struct account *account = &self->accounts[self->count];

    if (chunk.size != sizeof *account || self->count == ACCOUNTS_MAX)
        return gavel_fail(error, GAVEL_E_CORRUPT, "a chunk of %llu bytes", (unsigned long long)chunk.size);
    memcpy(account, chunk.data, sizeof *account);
    if (account->size == 0 || account->size > NAME_MAX_BYTES)
        return gavel_fail(error, GAVEL_E_CORRUPT, "an account without a name");
    self->count++;
    gavel_digest_add(self->digest, gavel_bytes(account->name, account->size),
                     gavel_bytes(&account->balance, sizeof account->balance));
    return GAVEL_OK;
}

static int32_t restore_end(void *context, struct gavel_error *error)
{
    (void)context;
    (void)error;
    return GAVEL_OK;
}

static int32_t create(const struct gavel_host *host, const void *options, void **instance, struct gavel_error *error)
{
    struct ledger *self = host->heap->resize(host->heap->self, NULL, sizeof *self);

    if (!self)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory");
    memset(self, 0, sizeof *self);
    self->host = host;
    self->options = options;
    if (host->metric)
        self->metric = host->metric(host->self, GAVEL_COUNTER, "deposits", "{deposit}", "Deposits made");
    *instance = self;
    return GAVEL_OK;
}

static void destroy(void *context)
{
    struct ledger *self = context;

    (void)self->host->heap->resize(self->host->heap->self, self, 0);
}

static const struct gavel_statemachine operations = {
    .size = GAVEL_END(struct gavel_statemachine, maintain),
    .state_version = 1,
    .commands = commands,
    .command_count = 3,
    .command_stride = sizeof commands[0],
    .state = tell_state,
    .snapshot_begin = snapshot_begin,
    .snapshot_next = snapshot_next,
    .snapshot_end = snapshot_end,
    .restore_begin = restore_begin,
    .restore_chunk = restore_chunk,
    .restore_end = restore_end,
};

static const struct gavel_plugin plugin = {
    .size = GAVEL_END(struct gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_STATEMACHINE,
    .name = "ledger",
    .version = "1.0",
    .summary = "Accounts of the year one",
    .options = &option_fields,
    .operations = &operations,
    .create = create,
    .destroy = destroy,
};

GAVEL_PLUGIN(ledger)
{
    return &plugin;
}
