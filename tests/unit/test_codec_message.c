/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_codec_message.c - messages on the wire: every type round by both serializers, what a receiver skips, what it
 * refuses, the tail that is sent apart, and the algorithm's messages to their wire form and back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/codec/message.h"
#include "core/log/batch.h"
#include "plugins/serializers/json/js.h"
#include "tests/unit/codec_random.h"

/*
 * A serializer of somebody else's, of an older minor: binary, but without the optional operations. Its tables end
 * before them, and what lies behind must not be looked at.
 */
static struct gavel_writer_ops old_writer_ops;
static struct gavel_reader_ops old_reader_ops;

static void never_write(struct gavel_writer *writer, struct gavel_slice value)
{
    (void)writer;
    (void)value;
    fail_msg("an operation beyond the table's size was called");
}

static int32_t never_read(struct gavel_reader *reader, struct gavel_slice *value, struct gavel_error *error)
{
    (void)reader;
    (void)value;
    fail_msg("an operation beyond the table's size was called");
    return gavel_fail(error, GAVEL_E_INTERNAL, "never");
}

static int32_t old_write_begin(void *self, void *at, struct gavel_buffer *out, struct gavel_writer **writer)
{
    int32_t status = mp_serializer.write_begin(self, at, out, writer);

    old_writer_ops = *(*writer)->ops;
    old_writer_ops.size = GAVEL_END(struct gavel_writer_ops, bytes);
    old_writer_ops.msgpack = never_write;
    (*writer)->ops = &old_writer_ops;
    return status;
}

static int32_t old_read_begin(void *self, void *at, struct gavel_slice input, const struct gavel_limits *limits,
                              struct gavel_reader **reader, struct gavel_error *error)
{
    int32_t status = mp_serializer.read_begin(self, at, input, limits, reader, error);

    if (status == GAVEL_OK) {
        old_reader_ops = *(*reader)->ops;
        old_reader_ops.size = GAVEL_END(struct gavel_reader_ops, next);
        old_reader_ops.msgpack = never_read;
        (*reader)->ops = &old_reader_ops;
    }
    return status;
}

static struct gavel_serializer old_serializer; /* mp_serializer but for the two above; filled in by main */

static const struct gavel_serializer *const all[] = {&mp_serializer, &js_serializer, &old_serializer};
#define ALL (sizeof all / sizeof all[0])

static uint64_t seed;

_Alignas(16) static unsigned char memory[1 << 20];

static void decode(const struct gavel_serializer *serializer, struct gavel_slice input, uint64_t wanted, void **message)
{
    struct gavel_limits limits = codec_limits(1 << 20);
    struct codec_arena arena = codec_arena(memory, sizeof memory);
    struct gavel_error error;
    uint64_t type = 0;
    int32_t status = codec_message_decode(serializer, NULL, input, &limits, &arena, &type, message, &error);

    if (status != GAVEL_OK)
        fail_msg("decode: %s", error.text);
    assert_int_equal(type, wanted);
}

static int32_t decode_status(const struct gavel_serializer *serializer, struct gavel_slice input,
                             struct gavel_error *error)
{
    struct gavel_limits limits = codec_limits(1 << 20);
    struct codec_arena arena = codec_arena(memory, sizeof memory);
    uint64_t type = 0;
    void *message;

    return codec_message_decode(serializer, NULL, input, &limits, &arena, &type, &message, error);
}

static int32_t json_status(const char *text, struct gavel_error *error)
{
    return decode_status(&js_serializer, gavel_text(text), error);
}

/* Fill every row with something that its bounds allow; lists get two elements. */
static void fill(uint64_t *random, const struct gavel_fields *fields, void *object)
{
    static const struct gavel_slice strings[2] = {{"ws://a:1", 8}, {"tcp://b:2", 9}};
    static const unsigned char document[] = {0x81, 0xa1, 'a', 0x92, 0x01, 0xc0};
    static unsigned char bytes[64];
    struct gavel_field copy;
    uint64_t i;

    memset(object, 0, fields->struct_size);
    memset(bytes, 0xff, sizeof bytes);
    for (i = 0; i < fields->count; i++) {
        const struct gavel_field *row = codec_row(fields, i, &copy);
        unsigned char *member = (unsigned char *)object + row->offset;
        uint64_t number = random_next(random) >> random_below(random, 64);
        struct gavel_slice slice = gavel_text("some text");
        struct gavel_list list = {strings, 2, sizeof strings[0]};
        switch (row->type) {
        case GAVEL_BOOL:
            number &= 1;
            memcpy(member, &number, sizeof number);
            break;
        case GAVEL_CHOICE:
            number = random_below(random, 2);
            memcpy(member, &number, sizeof number);
            break;
        case GAVEL_STRING:
            memcpy(member, &slice, sizeof slice);
            break;
        case GAVEL_BYTES:
            slice = gavel_bytes(bytes, row->min ? (uint64_t)row->min : 5);
            memcpy(member, &slice, sizeof slice);
            break;
        case GAVEL_VALUE:
            slice = gavel_bytes(document, sizeof document);
            memcpy(member, &slice, sizeof slice);
            break;
        case GAVEL_LIST:
            memcpy(member, &list, sizeof list);
            break;
        default:
            memcpy(member, &number, sizeof number);
            break;
        }
    }
}

static int same_list(const void *a, const void *b)
{
    struct gavel_list x;
    struct gavel_list y;
    uint64_t i;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    if (x.count != y.count)
        return 0;
    for (i = 0; i < x.count; i++) {
        struct gavel_slice p;
        struct gavel_slice q;
        memcpy(&p, (const unsigned char *)x.items + i * x.stride, sizeof p);
        memcpy(&q, (const unsigned char *)y.items + i * y.stride, sizeof q);
        if (!gavel_slice_equal(p, q))
            return 0;
    }
    return 1;
}

static void assert_same(const struct codec_message *what, const void *a, const void *b)
{
    struct gavel_field copy;
    uint64_t i;

    for (i = 0; i < what->fields->count; i++) {
        const struct gavel_field *row = codec_row(what->fields, i, &copy);
        const unsigned char *x = (const unsigned char *)a + row->offset;
        const unsigned char *y = (const unsigned char *)b + row->offset;
        struct gavel_slice p;
        struct gavel_slice q;
        int same;
        if (row->type == GAVEL_LIST) {
            same = same_list(x, y);
        } else if (row->type == GAVEL_STRING || row->type == GAVEL_BYTES || row->type == GAVEL_VALUE) {
            memcpy(&p, x, sizeof p);
            memcpy(&q, y, sizeof q);
            same = gavel_slice_equal(p, q);
        } else {
            same = memcmp(x, y, 8) == 0;
        }
        if (!same)
            fail_msg("%s: field %s came back different", what->name, row->name);
    }
}

static void every_type(void **state)
{
    _Alignas(16) unsigned char object[1024];
    uint64_t random = seed;
    uint64_t type;
    int types = 0;
    int round;
    size_t s;

    (void)state;
    for (type = 0; type <= CODEC_TYPE_MAX; type++) {
        const struct codec_message *what = codec_message_find(type);
        struct gavel_error error;
        if (!what)
            continue;
        types++;
        assert_int_equal(codec_fields_check(what->fields, &error), GAVEL_OK);
        assert_true(what->fields->struct_size <= sizeof object);
        assert_int_equal(codec_row_numbered(what->fields, 1), CODEC_NO_ROW);
        for (round = 0; round < 20; round++)
            for (s = 0; s < ALL; s++) {
                struct gavel_buffer out = codec_buffer(0);
                void *back;
                fill(&random, what->fields, object);
                if (codec_message_encode(all[s], NULL, type, object, &out, &error) != GAVEL_OK)
                    fail_msg("%s: %s", what->name, error.text);
                decode(all[s], gavel_buffer_slice(&out), type, &back);
                assert_same(what, object, back);
                gavel_buffer_free(&out);
            }
    }
    assert_int_equal(types, 28);
}

/* Zero is not sent, but for required rows; what was not sent is zero. */
static void nothing_is_small(void **state)
{
    struct codec_reply reply = {.id = 7};
    struct codec_hello hello = {.version_major = 1};
    struct gavel_buffer out = codec_buffer(0);
    struct codec_reply *back;

    (void)state;
    assert_int_equal(codec_message_encode(&js_serializer, NULL, CODEC_REPLY, &reply, &out, NULL), GAVEL_OK);
    assert_int_equal(out.size, strlen("{\"type\":\"reply\",\"id\":7}"));
    assert_memory_equal(out.data, "{\"type\":\"reply\",\"id\":7}", out.size);
    out.size = 0;
    assert_int_equal(codec_message_encode(codec_msgpack(), NULL, CODEC_REPLY, &reply, &out, NULL), GAVEL_OK);
    assert_int_equal(out.size, 5);
    assert_memory_equal(out.data, "\x82\x01\x0b\x02\x07", 5);
    decode(codec_msgpack(), gavel_buffer_slice(&out), CODEC_REPLY, (void **)&back);
    assert_null(back->result.data);
    assert_int_equal(back->leader_addresses.count, 0);
    out.size = 0;
    assert_int_equal(codec_message_encode(&js_serializer, NULL, CODEC_HELLO, &hello, &out, NULL), GAVEL_OK);
    assert_int_equal(out.size, strlen("{\"type\":\"hello\",\"role\":\"peer\",\"version_major\":1,"
                                      "\"version_minor\":0}"));
    gavel_buffer_free(&out);
}

static void unknown_fields_and_types(void **state)
{
    struct gavel_error error;
    struct codec_stream_credit *credit;
    struct codec_request *request;

    (void)state;
    decode(&js_serializer,
           gavel_text("{\"type\":\"stream_credit\",\"novelty\":[{\"a\":{}},2],\"id\":1,\"credit\":2,\"more\":null}"),
           CODEC_STREAM_CREDIT, (void **)&credit);
    assert_int_equal(credit->id, 1);
    assert_int_equal(credit->credit, 2);
    decode(codec_msgpack(), gavel_bytes("\x84\x01\x0d\x7f\x91\x81\x01\x02\x02\x05\x03\x06", 12), CODEC_STREAM_CREDIT,
           (void **)&credit);
    assert_int_equal(credit->id, 5);
    assert_int_equal(credit->credit, 6);
    /* Names and numbers are both taken, for keys, types and choices. */
    decode(codec_msgpack(), gavel_bytes("\x83\xa4type\xa7request\xa2id\x01\xa4read\xa5stale", 29), CODEC_REQUEST,
           (void **)&request);
    assert_int_equal(request->read, CODEC_READ_STALE);
    decode(&js_serializer, gavel_text("{\"type\":10,\"id\":1,\"read\":1}"), CODEC_REQUEST, (void **)&request);
    assert_int_equal(request->read, CODEC_READ_STALE);

    assert_int_equal(json_status("{\"type\":\"novel\",\"id\":1}", &error), GAVEL_E_UNSUPPORTED);
    assert_string_equal(error.text, "a message of the unknown type 'novel'");
    assert_int_equal(decode_status(codec_msgpack(), gavel_bytes("\x81\x01\x3f", 3), &error), GAVEL_E_UNSUPPORTED);
    assert_int_equal(decode_status(codec_msgpack(), gavel_bytes("\x81\x01\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 11),
                                   &error),
                     GAVEL_E_UNSUPPORTED);
}

static void refused(void **state)
{
    static const struct {
        const char *input;
        const char *sentence;
    } inputs[] = {
        {"[]", "a message must be a map"},
        {"{}", "the first key of a message must be its type"},
        {"{\"id\":1,\"type\":\"reply\"}", "the first key of a message must be its type"},
        {"{\"type\":[]}", "the type of a message must be a number or a name"},
        {"{\"type\":\"reply\"}", "field 'id' of reply is missing"},
        {"{\"type\":\"reply\",\"id\":\"1\"}",
         "field 'id' of reply must be a whole number that is not negative, not a string"},
        {"{\"type\":\"reply\",\"id\":-1}",
         "field 'id' of reply must be a whole number that is not negative, not a negative number"},
        {"{\"type\":\"reply\",\"id\":1,\"leader_addresses\":[\"a\",1]}",
         "field 'leader_addresses[1]' of reply must be a string, not a whole number"},
        {"{\"type\":\"reply\",\"id\":1,\"read\":\"stail\"}",
         "field 'read' of reply is wrong: 'stail' is none of linearizable, stale; did you mean 'stale'?"},
        {"{\"type\":\"reply\",\"id\":1,\"read\":2}", "field 'read' of reply is a choice that is not known here"},
        {"{\"type\":\"hello\",\"role\":\"peer\",\"version_major\":1,\"version_minor\":0,\"cluster_id\":\"short\"}",
         "field 'cluster_id' of hello has 5 bytes; the least is 16"},
    };
    struct gavel_error error;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        assert_int_equal(json_status(inputs[i].input, &error), GAVEL_E_INVALID);
        assert_string_equal(error.text, inputs[i].sentence);
    }
    /* By name and by number is twice, too. */
    assert_int_equal(decode_status(codec_msgpack(), gavel_bytes("\x83\x01\x0b\x02\x07\xa2id\x07", 9), &error),
                     GAVEL_E_INVALID);
    assert_string_equal(error.text, "field 'id' of reply is given twice");
}

/* A hostile message may fail for want of arena, but takes no other memory. */
static void small_arena(void **state)
{
    _Alignas(16) unsigned char small[2048];
    struct gavel_limits limits = codec_limits(1 << 20);
    struct codec_reply reply = {.id = 1};
    struct gavel_slice addresses[16];
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;
    uint64_t room;
    uint64_t type;
    void *message;
    int fits = 0;
    size_t i;

    (void)state;
    for (i = 0; i < 16; i++)
        addresses[i] = gavel_text("tcp://127.0.0.1:8080");
    reply.leader_addresses = (struct gavel_list){addresses, 16, sizeof addresses[0]};
    assert_int_equal(codec_message_encode(codec_msgpack(), NULL, CODEC_REPLY, &reply, &out, NULL), GAVEL_OK);
    for (room = 0; room <= sizeof small; room += 8) {
        struct codec_arena arena = codec_arena(small, room);
        int32_t status = codec_message_decode(codec_msgpack(), NULL, gavel_buffer_slice(&out), &limits, &arena, &type,
                                              &message, &error);
        if (status != GAVEL_OK)
            assert_int_equal(status, GAVEL_E_TOO_LARGE);
        fits += status == GAVEL_OK;
    }
    assert_true(fits > 0);
    assert_true(fits < 200);
    gavel_buffer_free(&out);
}

/* ---- the tail ---------------------------------------------------------------------------------------------------- */

static void put_little(unsigned char *at, uint64_t value, int width)
{
    while (width-- > 0) {
        *at++ = (unsigned char)value;
        value >>= 8;
    }
}

/*
 * A batch of one command entry whose payload is command 2 with the map {1: "color"}; checksums are not looked at
 * here.
 */
static uint64_t make_batch(unsigned char *at, uint64_t index)
{
    static const unsigned char payload[] = {0x02, 0, 0, 0, 0x81, 0x01, 0xa5, 'c', 'o', 'l', 'o', 'r'};

    memset(at, 0, LOG_BATCH_HEAD + LOG_ENTRY_HEAD + 16);
    put_little(at, LOG_BATCH_MAGIC, 4);
    put_little(at + 4, LOG_BATCH_VERSION, 2);
    put_little(at + 8, 7, 8);
    put_little(at + 16, index, 8);
    put_little(at + 24, 1, 4);
    put_little(at + 28, LOG_BATCH_HEAD + LOG_ENTRY_HEAD + 16, 4);
    put_little(at + LOG_BATCH_HEAD, LOG_ENTRY_HEAD + 16, 4);
    put_little(at + LOG_BATCH_HEAD + 4, sizeof payload, 4);
    put_little(at + LOG_BATCH_HEAD + 8, LOG_COMMAND, 2);
    put_little(at + LOG_BATCH_HEAD + 10, 1, 2);
    put_little(at + LOG_BATCH_HEAD + 16, 99, 8);
    put_little(at + LOG_BATCH_HEAD + 24, 3, 8);
    memcpy(at + LOG_BATCH_HEAD + LOG_ENTRY_HEAD, payload, sizeof payload);
    return LOG_BATCH_HEAD + LOG_ENTRY_HEAD + 16;
}

static void tail_apart(void **state)
{
    unsigned char batches[2][256];
    struct codec_raft wire = {.id = 3, .term = 7, .prev_index = 40, .last_index = 42, .commit = 40};
    struct codec_raft *back;
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_slice parts[2];
    uint64_t apart = 9;
    size_t s;

    (void)state;
    parts[0] = gavel_bytes(batches[0], make_batch(batches[0], 41));
    parts[1] = gavel_bytes(batches[1], make_batch(batches[1], 42));
    for (s = 0; s < ALL; s++) {
        out.size = 0;
        assert_int_equal(codec_message_encode_tail(all[s], NULL, CODEC_RAFT + RAFT_APPEND_REQUEST, &wire, parts, 2,
                                                   &out,
                                                   &apart, NULL),
                         GAVEL_OK);
        assert_int_equal(apart, s == 0);
        if (s == 1) {
            const char *wanted = "\"entries\":[{\"index\":41,\"term\":7,\"machine\":1,"
        "\"session\":99,"
                                 "\"sequence\":3,\"command\":2,\"arguments\":{\"1\":\"color\"}},{\"index\":42,";
            assert_int_equal(gavel_buffer_append(&out, "", 1), GAVEL_OK);
            assert_non_null(strstr((const char *)out.data, wanted));
            out.size--;
        } else if (s == 0) {
            assert_true(out.size < 30);
            assert_int_equal(gavel_buffer_append(&out, parts[0].data, parts[0].size), GAVEL_OK);
            assert_int_equal(gavel_buffer_append(&out, parts[1].data, parts[1].size), GAVEL_OK);
        }
        decode(all[s], gavel_buffer_slice(&out), CODEC_RAFT + RAFT_APPEND_REQUEST, (void **)&back);
        assert_int_equal(back->last_index, 42);
        assert_int_equal(back->tail.size, parts[0].size + parts[1].size);
        assert_memory_equal(back->tail.data, parts[0].data, parts[0].size);
        assert_memory_equal((const unsigned char *)back->tail.data + parts[0].size, parts[1].data, parts[1].size);
        /* A heartbeat has no tail at all. */
        out.size = 0;
        assert_int_equal(codec_message_encode_tail(all[s], NULL, CODEC_RAFT + RAFT_APPEND_REQUEST, &wire, NULL, 0, &out,
                                                   &apart, NULL),
                         GAVEL_OK);
        assert_int_equal(apart, 0);
        decode(all[s], gavel_buffer_slice(&out), CODEC_RAFT + RAFT_APPEND_REQUEST, (void **)&back);
        assert_null(back->tail.data);
    }
    gavel_buffer_free(&out);
}

/* ---- the algorithm's messages ------------------------------------------------------------------------------------ */

static void raft_both_ways(void **state)
{
    uint64_t random = seed;
    uint32_t type;
    int round;

    (void)state;
    for (type = RAFT_PREVOTE_REQUEST; type <= RAFT_READ_RESPONSE; type++)
        for (round = 0; round < 50; round++) {
            struct raft_message message;
            struct raft_message middle;
            struct raft_message back;
            struct codec_raft wire;
            unsigned char *bytes = (unsigned char *)&message;
            size_t i;
            for (i = 0; i < sizeof message; i++)
                bytes[i] = (unsigned char)random_next(&random);
            message.type = type;
            codec_raft_put(&message, &wire);
            assert_int_equal(codec_raft_get(CODEC_RAFT + type, &wire, message.from, message.to, &middle, NULL),
                             GAVEL_OK);
            assert_int_equal(middle.term, message.term);
            /* What came out of the wire goes through it unchanged, every member of it. */
            codec_raft_put(&middle, &wire);
            assert_int_equal(codec_raft_get(CODEC_RAFT + type, &wire, message.from, message.to, &back, NULL), GAVEL_OK);
            assert_memory_equal(&middle, &back, sizeof back);
        }
}

static void raft_members(void **state)
{
    struct raft_message message = {.type = RAFT_SNAPSHOT_REQUEST, .term = 9};
    struct raft_message back;
    struct codec_raft wire;
    struct gavel_error error;

    (void)state;
    message.snapshot_request = (struct raft_snapshot_request){
        .index = 1, .last_term = 2, .total = 3, .digest = 4, .offset = 5, .length = 6, .chain = 7};
    codec_raft_put(&message, &wire);
    assert_int_equal(codec_raft_get(CODEC_RAFT + RAFT_SNAPSHOT_REQUEST, &wire, 0, 0, &back, NULL), GAVEL_OK);
    assert_memory_equal(&message, &back, sizeof back);
    message = (struct raft_message){.type = RAFT_APPEND_RESPONSE, .term = 9};
    message.append_response = (struct raft_append_response){.prev_index = 1,
                                                            .match = 2,
                                                            .hint_index = 3,
                                                            .hint_term = 4,
                                                            .last_index = 5,
                                                            .round = 6,
                                                            .digest_index = 7,
                                                            .digest = 8,
                                                            .flags = 3};
    codec_raft_put(&message, &wire);
    assert_int_equal(codec_raft_get(CODEC_RAFT + RAFT_APPEND_RESPONSE, &wire, 0, 0, &back, NULL), GAVEL_OK);
    assert_memory_equal(&message, &back, sizeof back);
    wire.flags = UINT64_C(1) << 32;
    assert_int_equal(codec_raft_get(CODEC_RAFT + RAFT_APPEND_RESPONSE, &wire, 0, 0, &back, &error), GAVEL_E_INVALID);
    assert_string_equal(error.text, "field 'flags' is over 32 bits");
}

static void each_member_of_32_bits(void **state)
{
    static const char *const names[] = {"flags", "prev_chain", "length", "chain", "status"};

    (void)state;
    for (uint32_t i = 0; i < 5; i++) {
        struct codec_raft wire = {0};
        uint64_t *const members[] = {&wire.flags, &wire.prev_chain, &wire.length, &wire.chain, &wire.status};
        struct raft_message back;
        struct gavel_error error;
        char want[64];

        *members[i] = UINT32_MAX;
        assert_int_equal(codec_raft_get(CODEC_RAFT + RAFT_APPEND_RESPONSE, &wire, 0, 0, &back, &error), GAVEL_OK);
        *members[i] = UINT64_C(1) << 32;
        assert_int_equal(codec_raft_get(CODEC_RAFT + RAFT_APPEND_RESPONSE, &wire, 0, 0, &back, &error),
                         GAVEL_E_INVALID);
        (void)snprintf(want, sizeof want, "field '%s' is over 32 bits", names[i]);
        assert_string_equal(error.text, want);
    }
}

/* Sentences are sent as they are made for people; what is not UTF-8 in them must not lose the reply. */
static void sentences(void **state)
{
    struct gavel_error error;
    struct codec_reply reply = {.id = 1, .status = -1};
    struct codec_reply *back;
    struct gavel_buffer out = codec_buffer(0);

    (void)state;
    memset(&error, 0, sizeof error);
    memcpy(error.text, "a\xff" "b \xe2\x82\xac\n\xe2\x82 c\xe2\x82", 14);
    reply.text = codec_sentence(&error);
    assert_int_equal(reply.text.size, 14);
    assert_memory_equal(reply.text.data, "a?b \xe2\x82\xac ?? c??", 14);
    assert_int_equal(codec_message_encode(codec_msgpack(), NULL, CODEC_REPLY, &reply, &out, NULL), GAVEL_OK);
    /* Who forgets it loses no reply; other strings are refused. */
    reply.text = gavel_bytes("a\xff", 2);
    out.size = 0;
    assert_int_equal(codec_message_encode(codec_msgpack(), NULL, CODEC_REPLY, &reply, &out, &error), GAVEL_OK);
    decode(codec_msgpack(), gavel_buffer_slice(&out), CODEC_REPLY, (void **)&back);
    assert_int_equal(back->text.size, 2);
    assert_memory_equal(back->text.data, "a?", 2);
    reply.leader = gavel_bytes("\xff", 1);
    assert_int_equal(codec_message_encode(codec_msgpack(), NULL, CODEC_REPLY, &reply, &out, &error), GAVEL_E_INVALID);
    assert_true(strstr(error.text, "reply: ") == error.text);
    gavel_buffer_free(&out);
}

/* ---- the manual page --------------------------------------------------------------------------------------------- */

static char *read_page(void)
{
    const char *top = getenv("top_srcdir");
    static char page[1 << 16];
    char path[4096];
    FILE *file;
    size_t size;

    (void)snprintf(path, sizeof path, "%s/core/codec/gavel-protocol.7", top ? top : ".");
    file = fopen(path, "r");
    if (!file)
        fail_msg("%s cannot be read", path);
    size = fread(page, 1, sizeof page - 1, file);
    (void)fclose(file);
    assert_true(size < sizeof page - 1);
    page[size] = 0;
    return page;
}

/* Every message and every field is on the page, with its number and type, in this order; and no others are. */
static void page_tells_all(void **state)
{
    const char *page = read_page();
    const char *section;
    uint64_t fields = 0;
    uint64_t rows = 0;
    uint64_t type;
    uint64_t i;

    (void)state;
    for (type = 0; type <= CODEC_TYPE_MAX; type++) {
        const struct codec_message *what = codec_message_find(type);
        struct gavel_field copy;
        char line[256];
        if (!what)
            continue;
        (void)snprintf(line, sizeof line, "\n.Ss %s Pq %d\n", what->name, (int)type);
        section = strstr(page, line);
        if (!section)
            fail_msg("gavel-protocol.7 has no section%s", line);
        for (i = 0; i < what->fields->count; i++) {
            const struct gavel_field *row = codec_row(what->fields, i, &copy);
            int list = row->type == GAVEL_LIST;
            (void)snprintf(line, sizeof line, "\n.It Cm %s Ns , %d, %s%s%s\n", row->name, (int)row->id,
                           list ? "list of " : "", codec_type_name(list ? row->element : row->type),
                           row->flags & GAVEL_REQUIRED ? ", required" : "");
            section = strstr(section, line);
            if (!section)
                fail_msg("gavel-protocol.7 does not tell of %s:%s", what->name, line);
            section++;
            rows++;
        }
    }
    for (section = page; (section = strstr(section, " Ns , ")) != NULL; section++)
        fields += section[6] >= '0' && section[6] <= '9';
    assert_int_equal(fields, rows);
}

/* Random bytes and flipped bits of real messages never do harm. */
static void hostile(void **state)
{
    _Alignas(16) unsigned char object[1024];
    uint64_t random = seed + 5;
    int round;

    (void)state;
    for (round = 0; round < 5000; round++) {
        const struct gavel_serializer *serializer = all[random_below(&random, ALL)];
        const struct codec_message *what = NULL;
        struct gavel_buffer out = codec_buffer(0);
        struct gavel_error error;
        unsigned char *copy;
        int flips;
        while (!what)
            what = codec_message_find(random_below(&random, CODEC_TYPE_MAX + 1));
        fill(&random, what->fields, object);
        assert_int_equal(codec_message_encode(serializer, NULL, what->type, object, &out, NULL), GAVEL_OK);
        copy = malloc(out.size);
        assert_non_null(copy);
        memcpy(copy, out.data, out.size);
        for (flips = 0; flips < 3; flips++)
            copy[random_below(&random, out.size)] ^= (unsigned char)(1 << random_below(&random, 8));
        (void)decode_status(serializer, gavel_bytes(copy, out.size), &error);
        free(copy);
        gavel_buffer_free(&out);
    }
}

/*
 * The fuzzer of messages begins with one of each type: a file of its corpus that decodes as that. GAVEL_CORPUS=DIR
 * writes them there anew; the first byte of a file chooses the serializer (tests/fuzz/codec_message.c).
 */
static void corpus_has_every_type(void **state)
{
    _Alignas(16) unsigned char object[1024];
    const char *root = getenv("top_srcdir");
    const char *write_to = getenv("GAVEL_CORPUS");
    uint64_t random = 1;

    (void)state;
    for (uint64_t type = 0; type <= CODEC_TYPE_MAX; type++) {
        const struct codec_message *what = codec_message_find(type);
        unsigned char bytes[4096] = {0};
        char path[512];
        void *message;
        size_t size;
        FILE *file;

        if (!what)
            continue;
        (void)snprintf(path, sizeof path, "%s/tests/fuzz/corpus/codec_message-a-%s.bin", root ? root : ".", what->name);
        if (write_to) {
            struct gavel_buffer out = codec_buffer(0);

            fill(&random, what->fields, object);
            assert_int_equal(codec_message_encode(&mp_serializer, NULL, type, object, &out, NULL), GAVEL_OK);
            (void)snprintf(path, sizeof path, "%s/codec_message-a-%s.bin", write_to, what->name);
            file = fopen(path, "wb");
            assert_non_null(file);
            assert_int_equal(fputc(0, file), 0);
            assert_int_equal(fwrite(out.data, 1, out.size, file), out.size);
            assert_int_equal(fclose(file), 0);
            gavel_buffer_free(&out);
        }
        file = fopen(path, "rb");
        if (!file)
            fail_msg("%s is missing: GAVEL_CORPUS=DIR makes it", path);
        size = fread(bytes, 1, sizeof bytes, file);
        (void)fclose(file);
        assert_in_range(size, 2, sizeof bytes - 1);
        assert_int_equal(bytes[0], 0);
        decode(&mp_serializer, gavel_bytes(bytes + 1, size - 1), type, &message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type), cmocka_unit_test(nothing_is_small), cmocka_unit_test(unknown_fields_and_types),
        cmocka_unit_test(refused),    cmocka_unit_test(small_arena),      cmocka_unit_test(tail_apart),
        cmocka_unit_test(each_member_of_32_bits),
        cmocka_unit_test(sentences),  cmocka_unit_test(raft_both_ways),   cmocka_unit_test(raft_members),
        cmocka_unit_test(hostile),    cmocka_unit_test(page_tells_all), cmocka_unit_test(corpus_has_every_type),
    };

    old_serializer = mp_serializer;
    old_serializer.media_type = "application/x-old";
    old_serializer.write_begin = old_write_begin;
    old_serializer.read_begin = old_read_begin;
    seed = random_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
