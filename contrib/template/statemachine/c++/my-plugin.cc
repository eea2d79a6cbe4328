// SPDX-License-Identifier: Apache-2.0
//
// my-plugin.cc - a bank: accounts, deposits, and transfers that happen whole or not at all, the same on every node.
//
// Change it into yours from the top down. The host checks arguments by the table below and logs them; then a command
// runs on every node in the same order. It may look at its arguments, the state, the options and `call`, and at
// nothing else: no clock, no random number, no file. What it answers, a refusal too, is replicated with it.
//
// The border to the host is C: no exception crosses it. Memory that runs out is this node's own affair (the others go
// on), so std::bad_alloc becomes GAVEL_E_LOCAL; everything else is checked before the first change.
#include <gavel/statemachine.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <new>
#include <string>

namespace {

constexpr std::size_t name_bytes_max = 48;
constexpr std::size_t accounts_max = 1024;

struct Options {
    uint64_t present; // begins every struct that a field table describes
    uint64_t overdraft;
};

const gavel_field option_rows[] = {
    {.name = "overdraft", .id = 1, .type = GAVEL_UINT, .flags = GAVEL_REPLICATED, .offset = offsetof(Options, overdraft),
     .fallback = "0", .min = 0, .max = 1000000, .choices = nullptr, .unit = "coins",
     .help = "how far a transfer may take an account below zero", .sub = nullptr, .element = 0},
};
const gavel_fields option_fields = GAVEL_FIELDS(option_rows, Options);

struct Given {
    uint64_t present;
    gavel_slice account;
    int64_t amount;
    gavel_slice to;
};

constexpr gavel_field name_row(const char *name, uint64_t id, uint64_t offset, const char *help)
{
    return {.name = name, .id = id, .type = GAVEL_STRING, .flags = GAVEL_REQUIRED | GAVEL_KEY, .offset = offset,
            .fallback = nullptr, .min = 1, .max = name_bytes_max, .choices = nullptr, .unit = "bytes", .help = help,
            .sub = nullptr, .element = 0};
}

const gavel_field rows[] = {
    name_row("account", 1, offsetof(Given, account), "whose account"),
    {.name = "amount", .id = 2, .type = GAVEL_INT, .flags = GAVEL_REQUIRED, .offset = offsetof(Given, amount),
     .fallback = nullptr, .min = 1, .max = int64_t(1) << 50, .choices = nullptr, .unit = nullptr,
     .help = "how much, in the smallest coin", .sub = nullptr, .element = 0},
    name_row("to", 3, offsetof(Given, to), "who is paid"),
};
const gavel_fields account_fields = {rows, 1, sizeof rows[0], sizeof(Given)};
const gavel_fields deposit_fields = {rows, 2, sizeof rows[0], sizeof(Given)};
const gavel_fields transfer_fields = {rows, 3, sizeof rows[0], sizeof(Given)};

// How an account is written in a snapshot; the banks in C and in Rust write the same.
struct Record {
    int64_t balance;
    uint64_t size;
    char name[name_bytes_max]; // zeros behind it
};
static_assert(sizeof(Record) == 64);

gavel_slice slice(const std::string &text)
{
    return gavel_bytes(text.data(), text.size());
}

std::string text(gavel_slice bytes)
{
    return std::string(static_cast<const char *>(bytes.data), bytes.size);
}

// Printable ASCII: what an account may be called, whether it comes from a client or out of a snapshot.
bool is_name(const std::string &name)
{
    return name.size() >= 1 && name.size() <= name_bytes_max &&
           std::all_of(name.begin(), name.end(), [](char byte) { return byte >= 0x20 && byte <= 0x7e; });
}

struct Bank {
    const Options *options;                 // the host's, valid until configure gives others, or destroy
    std::map<std::string, int64_t> accounts; // in the order of their names: never a hash table's order
    std::string snapshot;                    // the one that is being taken
    using Place = std::map<std::string, int64_t>::iterator;

    Place find(gavel_slice name, gavel_reply *reply)
    {
        Place place = accounts.find(text(name));
        if (place == accounts.end())
            (void)gavel_fail(reply->error, GAVEL_E_NOT_FOUND, "there is no account \"%.*s\"", int(name.size),
                             static_cast<const char *>(name.data));
        return place;
    }

    // Set a balance and tell whoever watches (in MessagePack: 0xd3 and eight bytes, the biggest first).
    static void set(Place account, int64_t balance, gavel_reply *reply)
    {
        unsigned char value[9] = {0xd3};
        for (int i = 1; i <= 8; i++)
            value[i] = static_cast<unsigned char>(uint64_t(balance) >> (64 - 8 * i));
        account->second = balance;
        gavel_event event = {};
        event.size = GAVEL_END(gavel_event, previous);
        event.type = "balance";
        event.key = slice(account->first);
        event.value = gavel_bytes(value, sizeof value);
        reply->emit(reply->context, &event);
    }

    // ---- commands: every reason to refuse comes before the first change

    int32_t open(const Given &given, gavel_reply *reply)
    {
        if (!is_name(text(given.account)))
            return gavel_fail(reply->error, GAVEL_E_INVALID, "the name of an account is printable ASCII");
        if (accounts.count(text(given.account)))
            return gavel_fail(reply->error, GAVEL_E_EXISTS, "this account is open already");
        if (accounts.size() == accounts_max)
            return gavel_fail(reply->error, GAVEL_E_TOO_LARGE, "no more than %zu accounts fit", accounts_max);
        set(accounts.emplace(text(given.account), 0).first, 0, reply);
        gavel_put_int(reply->out, 0);
        return GAVEL_OK;
    }

    int32_t deposit(const Given &given, gavel_reply *reply)
    {
        Place account = find(given.account, reply);
        int64_t sum;
        if (account == accounts.end())
            return GAVEL_E_NOT_FOUND;
        if (__builtin_add_overflow(account->second, given.amount, &sum))
            return gavel_fail(reply->error, GAVEL_E_INVALID, "no account can hold as much");
        set(account, sum, reply);
        gavel_put_int(reply->out, sum);
        return GAVEL_OK;
    }

    int32_t transfer(const Given &given, gavel_reply *reply)
    {
        Place from = find(given.account, reply);
        Place to = from == accounts.end() ? from : find(given.to, reply);
        int64_t sum;
        if (to == accounts.end())
            return GAVEL_E_NOT_FOUND;
        if (from == to)
            return gavel_fail(reply->error, GAVEL_E_INVALID, "an account cannot pay itself");
        if (from->second < given.amount - int64_t(options->overdraft))
            return gavel_fail(reply->error, GAVEL_E_CONDITION, "%lld is not enough to pay %lld",
                              static_cast<long long>(from->second), static_cast<long long>(given.amount));
        if (__builtin_add_overflow(to->second, given.amount, &sum))
            return gavel_fail(reply->error, GAVEL_E_INVALID, "no account can hold as much");
        set(from, from->second - given.amount, reply);
        set(to, sum, reply);
        gavel_put_int(reply->out, from->second);
        return GAVEL_OK;
    }

    int32_t balance(const Given &given, gavel_reply *reply)
    {
        Place account = find(given.account, reply);
        if (account == accounts.end())
            return GAVEL_E_NOT_FOUND;
        gavel_put_int(reply->out, account->second);
        return GAVEL_OK;
    }

    int32_t list(const Given &, gavel_reply *reply)
    {
        gavel_put_array(reply->out, accounts.size());
        for (const auto &[name, amount] : accounts) {
            gavel_put_map(reply->out, 2);
            gavel_put_key(reply->out, "account");
            gavel_put_string(reply->out, slice(name));
            gavel_put_key(reply->out, "balance");
            gavel_put_int(reply->out, amount);
            gavel_put_end(reply->out);
        }
        gavel_put_end(reply->out);
        return GAVEL_OK;
    }

    // ---- snapshot, restore

    void write(std::string &out) const
    {
        out.clear();
        for (const auto &[name, amount] : accounts) {
            Record record = {};
            record.balance = amount;
            record.size = name.size();
            std::copy(name.begin(), name.end(), record.name);
            out.append(reinterpret_cast<const char *>(&record), sizeof record);
        }
    }

    // A snapshot may be damaged or forged: whatever the commands rely on is checked.
    int32_t read(gavel_slice chunk, gavel_error *error)
    {
        if (chunk.size % sizeof(Record) || chunk.size / sizeof(Record) > accounts_max - accounts.size())
            return gavel_fail(error, GAVEL_E_CORRUPT, "%zu bytes are no accounts", std::size_t(chunk.size));
        for (uint64_t at = 0; at < chunk.size; at += sizeof(Record)) {
            Record record;
            memcpy(&record, static_cast<const char *>(chunk.data) + at, sizeof record);
            bool good = record.size >= 1 && record.size <= name_bytes_max &&
                        std::all_of(record.name + record.size, record.name + name_bytes_max,
                                    [](char byte) { return byte == 0; });
            std::string name = good ? std::string(record.name, record.size) : std::string();
            if (!is_name(name) || (!accounts.empty() && accounts.rbegin()->first >= name))
                return gavel_fail(error, GAVEL_E_CORRUPT, "account %zu is damaged or out of order", accounts.size());
            accounts.emplace_hint(accounts.end(), std::move(name), record.balance);
        }
        return GAVEL_OK;
    }
};

Bank &of(void *self)
{
    return *static_cast<Bank *>(self);
}

// ---- the border to C

template <int32_t (Bank::*command)(const Given &, gavel_reply *)>
int32_t run(void *self, const gavel_call *, const void *arguments, gavel_reply *reply)
{
    static const Given nothing = {};
    try {
        return (of(self).*command)(arguments ? *static_cast<const Given *>(arguments) : nothing, reply);
    } catch (const std::bad_alloc &) {
        return gavel_fail(reply->error, GAVEL_E_LOCAL, "memory is out");
    }
}

// An id is in the log: never use it again for another command, nor a row's id for another field.
const gavel_command commands[] = {
    {"open", 1, GAVEL_WRITE, &account_fields, run<&Bank::open>, "Open an account with nothing in it", "account=ann"},
    {"deposit", 2, GAVEL_WRITE, &deposit_fields, run<&Bank::deposit>, "Pay in, and answer the new balance", "ann 100"},
    {"transfer", 3, GAVEL_WRITE, &transfer_fields, run<&Bank::transfer>, "Pay somebody, and answer what is left",
     "account=ann amount=30 to=bob"},
    {"balance", 4, GAVEL_READ, &account_fields, run<&Bank::balance>, "Answer what is in an account", "ann"},
    {"list", 5, GAVEL_READ, nullptr, run<&Bank::list>, "Answer all accounts in the order of their names", nullptr},
};

// What replicas compare: who differs is named and fenced. With more state than this, keep the sum up to date in run.
void tell_state(void *self, gavel_machine_state *state)
{
    state->digest[0] = state->digest[1] = state->changelog = 0;
    state->entries = of(self).accounts.size();
    for (const auto &[name, balance] : of(self).accounts)
        gavel_digest_add(state->digest, slice(name), gavel_bytes(&balance, sizeof balance));
}

// Without GAVEL_CONCURRENT no command runs between begin and end: there is nothing to hold, and one chunk is all.
int32_t snapshot_begin(void *self, void **snapshot, gavel_error *error)
{
    try {
        of(self).write(of(self).snapshot);
    } catch (const std::bad_alloc &) {
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a snapshot");
    }
    *snapshot = self;
    return GAVEL_OK;
}

int32_t snapshot_next(void *self, void *, gavel_buffer *chunk, gavel_error *error)
{
    if (gavel_buffer_append(chunk, of(self).snapshot.data(), of(self).snapshot.size()) != GAVEL_OK)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a snapshot");
    return 0; // 1: there is more
}

void snapshot_end(void *self, void *)
{
    std::string().swap(of(self).snapshot);
}

int32_t restore_begin(void *self, uint64_t state_version, gavel_error *error)
{
    of(self).accounts.clear();
    return state_version == 1 ? GAVEL_OK : gavel_fail(error, GAVEL_E_VERSION, "only state version 1 is known");
}

int32_t restore_chunk(void *self, gavel_slice chunk, gavel_error *error)
{
    try {
        return of(self).read(chunk, error);
    } catch (const std::bad_alloc &) {
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for the accounts of the snapshot");
    }
}

int32_t restore_end(void *, gavel_error *)
{
    return GAVEL_OK;
}

int32_t create(const gavel_host *, const void *options, void **self, gavel_error *error)
{
    Bank *bank = new (std::nothrow) Bank{static_cast<const Options *>(options), {}, {}};
    if (!bank)
        return gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for a bank");
    *self = bank;
    return GAVEL_OK;
}

// gavel settings set: new values from the next command on, on every node at the same entry of the log.
int32_t configure(void *self, const void *options, gavel_error *)
{
    of(self).options = static_cast<const Options *>(options);
    return GAVEL_OK;
}

void destroy(void *self)
{
    delete static_cast<Bank *>(self);
}

const gavel_statemachine operations = {
    .size = GAVEL_END(gavel_statemachine, configure),
    .flags = GAVEL_BOUNDED, // no command blocks or takes long
    .state_version = 1,     // of what commands mean: a new outcome for an old entry needs a new number
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
    .maintain = nullptr,
    .state_version_oldest = 0,
    .act_as = nullptr,
    .configure = configure,
};

const gavel_plugin plugin = {
    .size = GAVEL_END(gavel_plugin, destroy),
    .abi_major = GAVEL_ABI_MAJOR,
    .abi_minor = GAVEL_ABI_TARGET,
    .kind = GAVEL_KIND_STATEMACHINE,
    .name = "my-plugin",
    .version = PACKAGE_VERSION,
    .summary = "Accounts, and transfers between them",
    .options = &option_fields,
    .operations = &operations,
    .check = nullptr,
    .create = create,
    .start = nullptr,
    .reload = nullptr,
    .quiesce = nullptr,
    .destroy = destroy,
};

} // namespace

GAVEL_PLUGIN(my_plugin)
{
    return &plugin;
}
