/* SPDX-License-Identifier: Apache-2.0 */
/* session.c - the replicated table of client sessions; see session.h. */
#include "core/node/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <gavel/statemachine.h>

#include "core/codec/value.h"
#include "core/node/bytes.h"
#include "core/os/cover.h"
#include "core/os/seeded.h"

#define SESSIONS_MAGIC 0x53455353u

struct kept {
    uint64_t sequence;
    uint64_t index;
    int32_t status;
    bool dropped;
    uint32_t result_bytes;
    uint32_t text_bytes;
    uint8_t *body; /* result, then text */
};

struct session {
    uint64_t id;
    uint64_t tick;     /* of the last sign of life */
    uint64_t ttl_ms;   /* what its client was told when it registered, and relies on */
    uint64_t acked;    /* the floor: at or below it nothing is executed again */
    uint64_t bytes;    /* of kept bodies */
    struct kept *kept; /* ascending sequences */
    uint32_t count;
    uint32_t capacity;
};

/* Ids are indexes of the log, so a new one is always the largest: a sorted array needs no hashing. */
struct sessions {
    uint32_t magic;
    struct session_limits limits;
    struct session **items;
    uint64_t count;
    uint64_t capacity;
};

struct sessions *sessions_new(const struct session_limits *limits)
{
    struct sessions *sessions = calloc(1, sizeof *sessions);

    if (!sessions)
        return NULL;
    sessions->magic = SESSIONS_MAGIC;
    sessions->limits = *limits;
    return sessions;
}

static void session_destroy(struct session *session)
{
    for (uint32_t i = 0; i < session->count; i++)
        free(session->kept[i].body);
    free(session->kept);
    free(session);
}

void sessions_clear(struct sessions *sessions)
{
    assert(sessions->magic == SESSIONS_MAGIC);
    for (uint64_t i = 0; i < sessions->count; i++)
        session_destroy(sessions->items[i]);
    sessions->count = 0;
}

struct sessions *sessions_free(struct sessions *sessions)
{
    if (!sessions)
        return NULL;
    sessions_clear(sessions);
    free(sessions->items);
    sessions->magic = 0;
    free(sessions);
    return NULL;
}

/* Position of the first session with an id of at least `id`. */
static uint64_t place_of(const struct sessions *sessions, uint64_t id)
{
    uint64_t low = 0;
    uint64_t high = sessions->count;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (sessions->items[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct session *find(const struct sessions *sessions, uint64_t id)
{
    uint64_t place = place_of(sessions, id);

    assert(sessions->magic == SESSIONS_MAGIC);
    return place < sessions->count && sessions->items[place]->id == id ? sessions->items[place] : NULL;
}

/* Position of the first kept answer with a sequence of at least `sequence`. */
static uint32_t kept_place(const struct session *session, uint64_t sequence)
{
    uint32_t low = 0;
    uint32_t high = session->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (session->kept[middle].sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct session *append(struct sessions *sessions, uint64_t id)
{
    struct session *session;

    assert(sessions->count == 0 || sessions->items[sessions->count - 1]->id < id);
    if (sessions->count == sessions->capacity) {
        uint64_t wanted = sessions->capacity ? sessions->capacity * 2 : 16;
        struct session **grown = realloc(sessions->items, wanted * sizeof(*grown));

        if (!grown)
            return NULL;
        sessions->items = grown;
        sessions->capacity = wanted;
    }
    session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->id = id;
    sessions->items[sessions->count++] = session;
    return session;
}

int32_t session_register(struct sessions *sessions, uint64_t id, uint64_t tick)
{
    struct session *session;

    assert(sessions->magic == SESSIONS_MAGIC);
    if (sessions->count >= sessions->limits.sessions)
        return GAVEL_E_BUSY;
    session = append(sessions, id);
    if (!session)
        return GAVEL_E_LOCAL;
    session->tick = tick;
    session->ttl_ms = sessions->limits.ttl_ms;
    return GAVEL_OK;
}

/*
 * A client takes an EXPIRED for proof that nothing was done as long as it has heard of the session within the life that
 * it was told (client_session_expired): a shorter life is for sessions to come, a longer one for all.
 */
static bool is_over(const struct sessions *sessions, const struct session *session, uint64_t seen, uint64_t tick)
{
    uint64_t ttl_ms = session->ttl_ms > sessions->limits.ttl_ms ? session->ttl_ms : sessions->limits.ttl_ms;

    if (seeded_bug("session-life-shortened"))
        ttl_ms = sessions->limits.ttl_ms;
    return tick >= seen && tick - seen > ttl_ms;
}

bool session_close(struct sessions *sessions, uint64_t id)
{
    struct session *session = find(sessions, id);
    uint64_t place = place_of(sessions, id);

    if (!session)
        return false;
    session_destroy(session);
    memmove(sessions->items + place, sessions->items + place + 1,
            (sessions->count - place - 1) * sizeof *sessions->items);
    sessions->count--;
    return true;
}

bool session_touch(struct sessions *sessions, uint64_t id, uint64_t tick)
{
    struct session *session = find(sessions, id);

    if (!session)
        return false;
    if (tick > session->tick)
        session->tick = tick;
    return true;
}

bool session_expire(struct sessions *sessions, uint64_t id, uint64_t seen, uint64_t tick)
{
    struct session *session = find(sessions, id);

    /* A renewal that was ordered before this entry wins: the proposer could not know of it. */
    if (!session || session->tick > seen || !is_over(sessions, session, seen, tick))
        return false;
    return session_close(sessions, id);
}

static void drop_body(struct session *session, struct kept *kept)
{
    session->bytes -= (uint64_t)kept->result_bytes + kept->text_bytes;
    free(kept->body);
    kept->body = NULL;
    kept->result_bytes = 0;
    kept->text_bytes = 0;
    kept->dropped = true;
}

static void raise_floor(struct session *session, uint64_t acked)
{
    uint32_t gone;

    if (acked <= session->acked)
        return;
    session->acked = acked;
    gone = kept_place(session, acked + 1);
    if (gone == 0)
        return; /* and perhaps nothing was ever kept: there is no place to move from */
    for (uint32_t i = 0; i < gone; i++)
        drop_body(session, &session->kept[i]);
    memmove(session->kept, session->kept + gone, (session->count - gone) * sizeof *session->kept);
    session->count -= gone;
}

static enum session_verdict judge(const struct sessions *sessions, const struct session *session,
                                  uint64_t sequence, struct session_reply *reply)
{
    uint32_t place;
    const struct kept *kept;

    if (sequence <= session->acked)
        return SESSION_STALE;
    place = kept_place(session, sequence);
    /* Only what is new is held against the window: it may have been wider when this one was applied. */
    if (place == session->count || session->kept[place].sequence != sequence)
        return sequence - session->acked > sessions->limits.window ? SESSION_BEYOND : SESSION_RUN;
    kept = &session->kept[place];
    *reply = (struct session_reply){
        .status = kept->status,
        .dropped = kept->dropped,
        .index = kept->index,
        .result = gavel_bytes(kept->body, kept->result_bytes),
        .text = gavel_bytes(kept->body ? kept->body + kept->result_bytes : NULL, kept->text_bytes),
    };
    return SESSION_DUPLICATE;
}

enum session_verdict session_admit(struct sessions *sessions, uint64_t id, uint64_t sequence, uint64_t acked,
                                   uint64_t tick, struct session_reply *reply)
{
    struct session *session = find(sessions, id);

    if (!session)
        return SESSION_EXPIRED;
    if (tick > session->tick)
        session->tick = tick;
    /* A client acknowledges only what lies below a write that it still wants: a larger claim is cut to that.
     */
    raise_floor(session, acked < sequence ? acked : sequence - (sequence > 0));
    if (seeded_bug("session-forgets"))
        return SESSION_RUN;
    return judge(sessions, session, sequence, reply);
}

enum session_verdict session_peek(const struct sessions *sessions, uint64_t id, uint64_t sequence,
                                  struct session_reply *reply)
{
    const struct session *session = find(sessions, id);

    return session ? judge(sessions, session, sequence, reply) : SESSION_EXPIRED;
}

/* Over the bytes of one session the oldest bodies go; that they were applied stays known. */
static void shrink(const struct sessions *sessions, struct session *session)
{
    for (uint32_t i = 0; i < session->count && session->bytes > sessions->limits.bytes; i++)
        if (session->kept[i].body)
            drop_body(session, &session->kept[i]);
}

void sessions_set_limits(struct sessions *sessions, const struct session_limits *limits)
{
    assert(sessions->magic == SESSIONS_MAGIC);
    sessions->limits = *limits;
    for (uint64_t i = 0; i < sessions->count; i++)
        shrink(sessions, sessions->items[i]);
}

int32_t session_keep(struct sessions *sessions, uint64_t id, uint64_t sequence,
                     const struct session_reply *reply)
{
    struct session *session = find(sessions, id);
    uint64_t bytes = reply->result.size + reply->text.size;
    uint32_t place;
    uint8_t *body = NULL;

    assert(session);
    place = kept_place(session, sequence);
    if (seeded_bug("session-forgets") && place < session->count && session->kept[place].sequence == sequence)
        return GAVEL_OK;
    assert(place == session->count || session->kept[place].sequence != sequence);
    if (session->count == session->capacity) {
        uint32_t wanted = session->capacity ? session->capacity * 2 : 4;
        struct kept *grown = realloc(session->kept, wanted * sizeof *grown);

        if (!grown)
            return GAVEL_E_LOCAL;
        session->kept = grown;
        session->capacity = wanted;
    }
    if (bytes) {
        body = malloc(bytes);
        if (!body)
            return GAVEL_E_LOCAL;
        if (reply->result.size)
            memcpy(body, reply->result.data, reply->result.size);
        if (reply->text.size)
            memcpy(body + reply->result.size, reply->text.data, reply->text.size);
    }
    memmove(session->kept + place + 1, session->kept + place,
            (session->count - place) * sizeof *session->kept);
    session->kept[place] = (struct kept){.sequence = sequence,
                                         .index = reply->index,
                                         .status = reply->status,
                                         .dropped = reply->dropped,
                                         .result_bytes = (uint32_t)reply->result.size,
                                         .text_bytes = (uint32_t)reply->text.size,
                                         .body = body};
    session->count++;
    session->bytes += bytes;
    shrink(sessions, session);
    return GAVEL_OK;
}

uint64_t session_due(const struct sessions *sessions, uint64_t after, uint64_t tick, uint64_t *seen)
{
    assert(sessions->magic == SESSIONS_MAGIC);
    for (uint64_t i = place_of(sessions, after + 1); i < sessions->count; i++) {
        const struct session *session = sessions->items[i];

        if (is_over(sessions, session, session->tick, tick)) {
            COVER("node-session-expires");
            *seen = session->tick;
            return session->id;
        }
    }
    return 0;
}

uint64_t sessions_count(const struct sessions *sessions)
{
    return sessions->count;
}

/* One session as bytes: for the snapshot, and for the digest of exactly what a snapshot holds. */
static void save_one(const struct session *session, bool lives, struct gavel_buffer *out, int32_t *status)
{
    bytes_put64(out, status, session->id);
    bytes_put64(out, status, session->tick);
    bytes_put64(out, status, session->acked);
    if (lives)
        bytes_put64(out, status, session->ttl_ms);
    bytes_put32(out, status, session->count);
    for (uint32_t i = 0; i < session->count; i++) {
        const struct kept *kept = &session->kept[i];

        bytes_put64(out, status, kept->sequence);
        bytes_put64(out, status, kept->index);
        bytes_put32(out, status, (uint32_t)kept->status);
        bytes_put32(out, status, kept->dropped);
        bytes_put_slice(out, status, gavel_bytes(kept->body, kept->result_bytes));
        bytes_put_slice(out, status,
                        gavel_bytes(kept->body ? kept->body + kept->result_bytes : NULL, kept->text_bytes));
    }
}

void sessions_digest(const struct sessions *sessions, uint64_t sum[2])
{
    /* Numbers suffice: what a body holds follows from the entry that made it, which the machine's own digest
     * covers. */
    for (uint64_t i = 0; i < sessions->count; i++) {
        const struct session *session = sessions->items[i];
        uint64_t fields[4] = {session->tick, session->acked, session->count, session->bytes};

        gavel_digest_add(sum, gavel_bytes(&session->id, sizeof session->id),
                         gavel_bytes(fields, sizeof fields));
        if (session->ttl_ms != sessions->limits.ttl_ms) /* only after a change, which a gaveld of before cannot meet */
            gavel_digest_add(sum, gavel_bytes(&session->ttl_ms, sizeof session->ttl_ms),
                             gavel_bytes(&session->id, sizeof session->id));
    }
}

int32_t sessions_save(const struct sessions *sessions, bool lives, struct gavel_buffer *out)
{
    int32_t status = 0;

    assert(sessions->magic == SESSIONS_MAGIC);
    bytes_put64(out, &status, seeded_bug("snapshot-without-sessions") ? 0 : sessions->count);
    for (uint64_t i = 0; i < sessions->count && !seeded_bug("snapshot-without-sessions"); i++)
        save_one(sessions->items[i], lives, out, &status);
    return status;
}

/* Nothing, or one whole value: it is sent without another look at it. */
static bool is_result(struct gavel_slice result)
{
    static const struct gavel_limits all = {GAVEL_END(struct gavel_limits, items), MP_DEPTH_MAX, UINT64_MAX,
                                            UINT64_MAX};

    return result.size == 0 || mp_scan(result, &all, MP_DOUBLED, NULL) == GAVEL_OK;
}

static int32_t load_kept(struct sessions *sessions, struct session *session, struct bytes_cursor *cursor)
{
    uint32_t count = bytes_get32(cursor);

    for (uint32_t i = 0; i < count; i++) {
        uint64_t sequence = bytes_get64(cursor);
        struct session_reply reply = {.index = bytes_get64(cursor)};
        int32_t status;

        reply.status = (int32_t)bytes_get32(cursor);
        reply.dropped = bytes_get32(cursor) != 0;
        reply.result = bytes_get_slice(cursor);
        reply.text = bytes_get_slice(cursor);
        if (cursor->bad || sequence <= session->acked || !is_result(reply.result))
            return GAVEL_E_CORRUPT;
        if (i > 0 && sequence <= session->kept[session->count - 1].sequence)
            return GAVEL_E_CORRUPT;
        status = session_keep(sessions, session->id, sequence, &reply);
        if (status != GAVEL_OK)
            return status;
    }
    return GAVEL_OK;
}

int32_t sessions_load(struct sessions *sessions, struct gavel_slice in, bool lives, struct gavel_error *error)
{
    struct bytes_cursor cursor = bytes_read(in);
    uint64_t count = bytes_get64(&cursor);
    uint64_t last = 0;

    sessions_clear(sessions);
    for (uint64_t i = 0; i < count && !cursor.bad; i++) {
        uint64_t id = bytes_get64(&cursor);
        struct session *session;
        int32_t status;

        if (cursor.bad || id <= last)
            return gavel_fail(error, GAVEL_E_CORRUPT, "snapshot: session %llu is out of order",
                              (unsigned long long)id);
        last = id;
        session = append(sessions, id);
        if (!session)
            return gavel_fail(error, GAVEL_E_LOCAL, "no memory for session %llu", (unsigned long long)id);
        session->tick = bytes_get64(&cursor);
        session->acked = bytes_get64(&cursor);
        session->ttl_ms = lives ? bytes_get64(&cursor) : sessions->limits.ttl_ms;
        status = load_kept(sessions, session, &cursor);
        if (status != GAVEL_OK)
            return gavel_fail(error, status, "snapshot: replies of session %llu cannot be read",
                              (unsigned long long)id);
    }
    if (cursor.bad || cursor.left != 0)
        return gavel_fail(error, GAVEL_E_CORRUPT, "snapshot: the table of sessions has a wrong length");
    return GAVEL_OK;
}
