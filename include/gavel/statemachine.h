/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gavel/statemachine.h - the one header that a state machine's author includes.
 *
 * A state machine is a table of commands over a state of its own. Writes arrive in log order, the same on every
 * node, and must have the same outcome on every node: `run` may use its arguments, its state and `call` (index,
 * term, wall, tick, seed), and nothing else: no clock, no random source, no I/O, no pointers as data. The host
 * gives durability, linearizability, exactly-once retries, snapshots, watches, a CLI and an API for it.
 *
 * Lanes: everything marked [apply] is called by one thread at a time, in order. A machine flagged GAVEL_BOUNDED
 * promises that its commands never block, and has its apply lane on the loop; any other has a thread.
 */
#ifndef GAVEL_STATEMACHINE_H
#define GAVEL_STATEMACHINE_H

#include <gavel/plugin.h>
#include <gavel/serializer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Machine flags. */
#define GAVEL_BOUNDED 1u    /* no command blocks or takes more than some 100 us */
#define GAVEL_CONCURRENT 2u /* snapshot_next may run on [worker] while commands run: what begin saw stays unchanged */

/* Command flags. */
#define GAVEL_WRITE 1u    /* goes through the log */
#define GAVEL_READ 2u     /* does not change the state; runs on one node after a read barrier */
#define GAVEL_INTERNAL 4u /* not offered to clients: entries that the machine asks for itself */

/* What a run may know. */
struct gavel_call {
    uint64_t size;    /* what the host filled: at least up to `machine` */
    uint64_t index;   /* of the entry in the log; for a read the index that it sees */
    uint64_t term;
    uint64_t wall_ms; /* the proposing leader's wall clock: for people, may jump back */
    uint64_t tick_ms; /* cluster time: never goes back, stands still without a leader */
    uint64_t seed;    /* the same on every node, another one for each entry */
    struct gavel_slice principal; /* who asked; "" when nobody was authenticated */
    uint64_t read_only;           /* 1 in reads */
    uint64_t machine;             /* number of this machine in the cluster */
#if GAVEL_ABI_TARGET >= 1
    uint64_t state_version; /* in force at this index: whatever the plugin knows beside it, it acts as this one */
#endif
};

/*
 * A change that watchers see. Emitted in order; the host adds the revision (index, ordinal). Of more than 2 MiB in all,
 * `previous` is left out, then `value`.
 */
struct gavel_event {
    uint64_t size; /* GAVEL_END(struct gavel_event, previous) */
    const char *type; /* "set", "delete", ... */
    struct gavel_slice key;
    struct gavel_slice value;    /* MessagePack, or absent */
    struct gavel_slice previous; /* the same, of before */
};

/* Where a run puts its result. */
struct gavel_reply {
    uint64_t size; /* GAVEL_END(struct gavel_reply, emit) */
    void *context;
    /*
     * Write at most one value of at most 1 MiB; nothing written is a nil result. What was written before an error
     * status is dropped. A larger one is refused with GAVEL_E_TOO_LARGE when the command has run: a write that has
     * changed the state by then has changed it, without its events and though its caller hears that nothing was done. A
     * write whose result may become large has to see to that first.
     */
    struct gavel_writer *out;
    /* The sentence that goes with a negative status; it is replicated, so the same on every node. */
    struct gavel_error *error;
    /* Tell watchers of a change; NULL in reads. Everything is copied. */
    void (*emit)(void *context, const struct gavel_event *event);
};

/* One command. */
struct gavel_command {
    const char *name; /* lower case, digits, '_' */
    uint64_t id;      /* 1.. ; in the log; never reused */
    uint64_t flags;   /* GAVEL_WRITE or GAVEL_READ ... */
    const struct gavel_fields *arguments; /* NULL: none */
    /*
     * [apply] Run it. `arguments` is the table's struct, checked, defaults filled in (by the leader, once).
     * Returns 0, or a negative status with a sentence, which is replicated like every result; GAVEL_E_LOCAL and (of a
     * plugin that states ABI 1.1) GAVEL_E_NO_MEMORY, which are this node's alone, stop it instead. A write that
     * fails must leave the state as it was.
     */
    int32_t (*run)(void *self, const struct gavel_call *call, const void *arguments, struct gavel_reply *reply);
    const char *help;    /* one sentence, without the final full stop */
    const char *example; /* arguments as the CLI takes them: "key=color value=blue"; may be NULL */
};

/* What the host shows of a machine: state.size and state.changelog.size, digest. */
struct gavel_machine_state {
    uint64_t size;      /* GAVEL_END(struct gavel_machine_state, changelog) */
    uint64_t digest[2]; /* an order-free sum over the logical state, see gavel_digest_add */
    uint64_t entries;   /* live keys, or what is like them */
    uint64_t changelog; /* revisions kept */
};

struct gavel_statemachine {
    uint64_t size;          /* GAVEL_END of the last member that the plugin was compiled with */
    uint64_t flags;         /* GAVEL_BOUNDED ... */
    uint64_t state_version; /* of what commands mean: a new outcome for an old entry needs a new number; the newest */
    const struct gavel_command *commands;
    uint64_t command_count;
    uint64_t command_stride; /* GAVEL_END(struct gavel_command, example) as compiled */

    /* [apply] Fill *state; cheap, called after entries of certain indexes. */
    void (*state)(void *self, struct gavel_machine_state *state);

    /* [apply] Hold the present state for a snapshot; one at a time. */
    int32_t (*snapshot_begin)(void *self, void **snapshot, struct gavel_error *error);
    /*
     * [apply], or [worker] with GAVEL_CONCURRENT. Append the next chunk (some 64 KiB, never over 16 MiB); 1: more
     * follows, 0: that was all.
     */
    int32_t (*snapshot_next)(void *self, void *snapshot, struct gavel_buffer *chunk, struct gavel_error *error);
    /* [apply] Let go of it; also after a failure or half-way. */
    void (*snapshot_end)(void *self, void *snapshot);

    /* [apply] Drop the state and take that of a snapshot: begin, the same chunks in the same order, end. */
    int32_t (*restore_begin)(void *self, uint64_t state_version, struct gavel_error *error);
    int32_t (*restore_chunk)(void *self, struct gavel_slice chunk, struct gavel_error *error);
    int32_t (*restore_end)(void *self, struct gavel_error *error);

    /*
     * [apply] Optional, on the leader only, about once a second: ask for a command of this machine to be
     * proposed, such as a compaction. Write its arguments (a map keyed by the fields' ids) into *arguments and
     * return its id; 0: nothing.
     */
    uint64_t (*maintain)(void *self, uint64_t tick_ms, struct gavel_buffer *arguments);

#if GAVEL_ABI_TARGET >= 1
    /*
     * The oldest state version that it can still act as; 0: only `state_version`. A cluster goes to a newer version by
     * a barrier in its log, once every member has a plugin that knows it; until that entry a plugin acts as the version
     * in force: commands, digest, and the chunks of its snapshots, which a member with an older plugin may restore.
     */
    uint64_t state_version_oldest;
    /*
     * [apply] Optional. From now on act as `state_version`: called before the first command of an instance, and at the
     * barrier, where the state may be changed to the new form (the same on every node). After restore_begin, the
     * version is that of its argument. A failure stops the node. NULL: call->state_version is all that it needs.
     */
    int32_t (*act_as)(void *self, uint64_t state_version, struct gavel_error *error);
    /*
     * [apply] Optional. New values of the options flagged GAVEL_REPLICATED, in force from the next command on; the
     * other rows of `options` hold their defaults and are not to be looked at. Called at the entry that changed them,
     * before restore_begin, and at the start when the cluster's values are not those of create; valid until the next
     * call has returned, or destroy. plugin->check has seen the values; a failure stops the node. NULL: the replicated
     * options of this machine cannot be changed once the cluster is founded. It and act_as may run while the snapshot
     * of a GAVEL_CONCURRENT machine is being walked: that walk must not look at what they change.
     */
    int32_t (*configure)(void *self, const void *options, struct gavel_error *error);
    /*
     * [any] Optional. The state version with which the command `command` (field 0), or the field `field` of its
     * arguments' own table, came into the plugin; 0: it was always there. While an older version is in force, members
     * may have an older plugin that stops at what it does not know: until the barrier such a command is refused, and
     * such a field is neither taken nor filled in, so that a run of the older version does not see it. A constant.
     * NULL: everything was always there.
     */
    uint64_t (*since)(uint64_t command, uint64_t field);
#endif
};

#if GAVEL_ABI_TARGET >= 1
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_call) == 88);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_statemachine) == 144);
#else
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_call) == 80);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_statemachine) == 112);
#endif
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_event) == 64);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_reply) == 40);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_command) == 56);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_machine_state) == 40);

/* ---- digests ----------------------------------------------------------------------------------------------------- */

/*
 * [any] Mix bytes into a running hash; the same on every machine. Not for adversaries: it finds differences,
 * not forgers.
 */
static inline uint64_t gavel_mix(uint64_t hash, const void *data, uint64_t size)
{
    const unsigned char *byte = (const unsigned char *)data;
    while (size >= 8) {
        uint64_t word = (uint64_t)byte[0] | (uint64_t)byte[1] << 8 | (uint64_t)byte[2] << 16 | (uint64_t)byte[3] << 24 |
                        (uint64_t)byte[4] << 32 | (uint64_t)byte[5] << 40 | (uint64_t)byte[6] << 48 |
                        (uint64_t)byte[7] << 56;
        hash = (hash ^ word) * UINT64_C(0x9fb21c651e98df25);
        hash ^= hash >> 32;
        byte += 8;
        size -= 8;
    }
    while (size--) {
        hash = (hash ^ *byte++) * UINT64_C(0x100000001b3);
        hash ^= hash >> 29;
    }
    return hash;
}

/* [any] gavel_mix for two running hashes at once: neither waits for the other's multiplications. */
static inline void gavel_mix_pair(uint64_t hash[2], const void *data, uint64_t size)
{
    const unsigned char *byte = (const unsigned char *)data;
    uint64_t a = hash[0], b = hash[1];
    while (size >= 8) {
        uint64_t word = (uint64_t)byte[0] | (uint64_t)byte[1] << 8 | (uint64_t)byte[2] << 16 | (uint64_t)byte[3] << 24 |
                        (uint64_t)byte[4] << 32 | (uint64_t)byte[5] << 40 | (uint64_t)byte[6] << 48 |
                        (uint64_t)byte[7] << 56;
        a = (a ^ word) * UINT64_C(0x9fb21c651e98df25);
        b = (b ^ word) * UINT64_C(0x9fb21c651e98df25);
        a ^= a >> 32;
        b ^= b >> 32;
        byte += 8;
        size -= 8;
    }
    hash[0] = gavel_mix(a, byte, size);
    hash[1] = gavel_mix(b, byte, size);
}

/* [any] The two-word hash of one (key, value) pair of the state. */
static inline void gavel_digest_pair(uint64_t out[2], struct gavel_slice key, struct gavel_slice value)
{
    uint64_t hash[2] = { UINT64_C(0x27d4eb2f165667c5), UINT64_C(0xcbf29ce484222325) };
    int i;
    for (i = 0; i < 2; i++)
        hash[i] = (hash[i] ^ key.size) * UINT64_C(0xff51afd7ed558ccd);
    gavel_mix_pair(hash, key.data, key.size);
    for (i = 0; i < 2; i++)
        hash[i] = (hash[i] ^ value.size) * UINT64_C(0xff51afd7ed558ccd);
    gavel_mix_pair(hash, value.data, value.size);
    for (i = 0; i < 2; i++) {
        hash[i] ^= hash[i] >> 33;
        hash[i] *= UINT64_C(0xc4ceb9fe1a85ec53);
        out[i] = hash[i] ^ hash[i] >> 29;
    }
}

/* [any] Put a pair into the sum; order does not matter, so a snapshot needs not be walked to compare two replicas. */
static inline void gavel_digest_add(uint64_t sum[2], struct gavel_slice key, struct gavel_slice value)
{
    uint64_t pair[2];
    gavel_digest_pair(pair, key, value);
    sum[0] += pair[0];
    sum[1] += pair[1];
}

/* [any] Take a pair out again. */
static inline void gavel_digest_remove(uint64_t sum[2], struct gavel_slice key, struct gavel_slice value)
{
    uint64_t pair[2];
    gavel_digest_pair(pair, key, value);
    sum[0] -= pair[0];
    sum[1] -= pair[1];
}

#ifdef __cplusplus
}
#endif
#endif
