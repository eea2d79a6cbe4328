/* SPDX-License-Identifier: Apache-2.0 */
/*
 * document.c - see document.h.
 */
#define _GNU_SOURCE
#include "core/check/document.h"

#include "core/check/watch.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define INPUT_ROOM (8u << 20)
#define MESSAGE_DEPTH 40
#define MESSAGE_BYTES (UINT64_C(4) << 20)
#define MESSAGE_ITEMS (UINT64_C(1) << 20)

/* ---- making ------------------------------------------------------------------------------------------------------ */

struct document *document_new(void)
{
    struct document *document = calloc(1, sizeof *document);

    assert(document);
    document->text = malloc(DOCUMENT_TEXT);
    assert(document->text);
    return document;
}

void document_free(struct document *document)
{
    free(document->text);
    free(document);
}

static struct gavel_token *put(struct document *document, uint64_t type)
{
    struct gavel_token *token = &document->token[document->count++];

    assert(document->count <= DOCUMENT_TOKENS);
    memset(token, 0, sizeof *token);
    token->type = type;
    return token;
}

static void put_text(struct document *document, uint64_t type, const void *bytes, uint64_t size)
{
    struct gavel_token *token = put(document, type);

    assert(document->used + size <= DOCUMENT_TEXT);
    if (size)
        memcpy(document->text + document->used, bytes, size);
    token->text = gavel_bytes(document->text + document->used, size);
    document->used += size;
}

static void put_uint(struct document *document, uint64_t number)
{
    put(document, GAVEL_TOKEN_UINT)->uint = number;
}

static void put_int(struct document *document, int64_t number)
{
    put(document, GAVEL_TOKEN_INT)->sint = number;
}

static void put_real(struct document *document, double number)
{
    put(document, GAVEL_TOKEN_REAL)->real = number;
}

/* Keys of a map differ; some carry a number, as those of messages do. */
static void put_key(struct document *document, struct kit_random *random, uint64_t index)
{
    static const char *const names[] = {"id", "key", "Value", "\xc3\xa4\xe2\x82\xac", "a b", "\"quoted\"", "x/y", ""};
    char name[32];
    int size = snprintf(name, sizeof name, "%s%" PRIu64, names[kit_below(random, 8)], index);

    put_text(document, GAVEL_TOKEN_KEY, name, (uint64_t)size);
    if (kit_below(random, 2))
        document->token[document->count - 1].uint = index + 1;
}

static void put_string(struct document *document, struct kit_random *random, uint64_t size)
{
    static const char *const parts[] = {"a", "Z", " ", "\"", "\\", "\n", "\x7f", "\xc3\xa4", "\xe2\x82\xac",
                                        "\xf0\x9f\x90\xab"};
    char text[4096];
    uint64_t used = 0;

    while (used < size && used < sizeof text - 4) {
        const char *part = parts[kit_below(random, sizeof parts / sizeof parts[0])];

        memcpy(text + used, part, strlen(part));
        used += strlen(part);
    }
    put_text(document, GAVEL_TOKEN_STRING, text, used);
}

static void put_bytes(struct document *document, struct kit_random *random, uint64_t size)
{
    unsigned char bytes[256];

    bytes[0] = 0xff; /* never text: some formats hand bytes that are text back as a string */
    for (uint64_t i = 1; i < size; i++)
        bytes[i] = (unsigned char)kit_next(random);
    put_text(document, GAVEL_TOKEN_BYTES, bytes, size);
}

static void put_value(struct document *document, struct kit_random *random, uint64_t depth);

static void put_composite(struct document *document, struct kit_random *random, uint64_t depth, bool map)
{
    uint64_t count = document->count > DOCUMENT_TOKENS / 8 ? 0 : kit_below(random, 7);

    put(document, map ? GAVEL_TOKEN_MAP : GAVEL_TOKEN_ARRAY)->count = count;
    for (uint64_t i = 0; i < count; i++) {
        if (map)
            put_key(document, random, i);
        put_value(document, random, depth - 1);
    }
    put(document, GAVEL_TOKEN_END);
}

static void put_value(struct document *document, struct kit_random *random, uint64_t depth)
{
    switch (kit_below(random, depth ? 11 : 7)) {
    case 0:
        put(document, GAVEL_TOKEN_NIL);
        return;
    case 1:
        put(document, GAVEL_TOKEN_BOOL)->uint = kit_below(random, 2);
        return;
    case 2:
        put_uint(document, kit_next(random) >> kit_below(random, 64));
        return;
    case 3:
        put_int(document, -1 - (int64_t)(kit_next(random) >> (1 + kit_below(random, 63))));
        return;
    case 4:
        put_real(document, (double)(int64_t)kit_next(random) / 1024.0 / (double)(1 + kit_below(random, 100000)));
        return;
    case 5:
        put_string(document, random, kit_below(random, 8) ? kit_below(random, 40) : kit_below(random, 4000));
        return;
    case 6:
        put_bytes(document, random, 1 + kit_below(random, 200));
        return;
    case 7:
    case 8:
        put_composite(document, random, depth, false);
        return;
    default:
        put_composite(document, random, depth, true);
    }
}

static void clear(struct document *document)
{
    document->count = document->used = 0;
}

void document_random(struct document *document, struct kit_random *random, uint64_t depth, bool map)
{
    clear(document);
    if (map)
        put_composite(document, random, depth, true);
    else
        put_value(document, random, depth);
}

void document_extremes(struct document *document)
{
    static const uint64_t wholes[] = {0, 1, 127, 128, 255, 256, 65535, 65536, UINT32_MAX, UINT64_C(1) << 32,
                                      (UINT64_C(1) << 53) + 1, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX};
    static const int64_t negatives[] = {-1, -32, -33, -128, -129, -32768, -32769, INT32_MIN, -(INT64_C(1) << 40),
                                        -(INT64_C(1) << 53) - 1, INT64_MIN};
    static const double reals[] = {0.0, 1.0, -1.5, 0.1, DBL_MAX, -DBL_MAX, DBL_MIN, 123456789012345680.0, 5e-324};
    static const char controls[] = "nul\0 \x01 \x1f \x7f \xf4\x8f\xbf\xbf \"\\/\b\f\n\r\t";
    static char wide[70000];

    clear(document);
    memset(wide, 'w', sizeof wide);
    put(document, GAVEL_TOKEN_ARRAY)->count =
        sizeof wholes / 8 + sizeof negatives / 8 + sizeof reals / 8 + 8;
    for (size_t i = 0; i < sizeof wholes / 8; i++)
        put_uint(document, wholes[i]);
    for (size_t i = 0; i < sizeof negatives / 8; i++)
        put_int(document, negatives[i]);
    for (size_t i = 0; i < sizeof reals / 8; i++)
        put_real(document, reals[i]);
    put_text(document, GAVEL_TOKEN_STRING, "", 0);
    put_text(document, GAVEL_TOKEN_STRING, controls, sizeof controls - 1);
    put_text(document, GAVEL_TOKEN_STRING, wide, sizeof wide);
    put_text(document, GAVEL_TOKEN_BYTES, "\xff\x00\xfe", 3);
    put(document, GAVEL_TOKEN_MAP);
    put(document, GAVEL_TOKEN_END);
    put(document, GAVEL_TOKEN_ARRAY);
    put(document, GAVEL_TOKEN_END);
    put(document, GAVEL_TOKEN_NIL);
    put(document, GAVEL_TOKEN_BOOL)->uint = 1;
    put(document, GAVEL_TOKEN_END);
}

void document_nested(struct document *document, uint64_t depth)
{
    clear(document);
    for (uint64_t i = 0; i < depth; i++)
        put(document, GAVEL_TOKEN_ARRAY)->count = 1;
    put(document, GAVEL_TOKEN_NIL);
    for (uint64_t i = 0; i < depth; i++)
        put(document, GAVEL_TOKEN_END);
}

void document_keys(struct document *document, struct kit_random *random, uint64_t count)
{
    clear(document);
    put(document, GAVEL_TOKEN_MAP)->count = count;
    for (uint64_t i = 0; i < count; i++) {
        char name[48];
        int size = snprintf(name, sizeof name, "%" PRIu64 "-%" PRIu64, kit_below(random, 1000000), i);

        put_text(document, GAVEL_TOKEN_KEY, name, (uint64_t)size);
        put(document, GAVEL_TOKEN_NIL);
    }
    put(document, GAVEL_TOKEN_END);
}

/* ---- with the serializer ----------------------------------------------------------------------------------------- */

struct gavel_limits packer_limits(void)
{
    struct gavel_limits limits = {GAVEL_END(struct gavel_limits, items), MESSAGE_DEPTH, MESSAGE_BYTES, MESSAGE_ITEMS};

    return limits;
}

void packer_share(struct packer *packer, const struct packer *with)
{
    int failed;

    if (packer != with)
        *packer = *with;
    packer->writer_memory = aligned_alloc(16, (packer->serializer->writer_bytes + 15) & ~UINT64_C(15));
    packer->reader_memory = aligned_alloc(16, (packer->serializer->reader_bytes + 15) & ~UINT64_C(15));
    assert(packer->writer_memory);
    assert(packer->reader_memory);
    packer->room = INPUT_ROOM;
    packer->input = mmap(NULL, INPUT_ROOM + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(packer->input != MAP_FAILED);
    failed = mprotect(packer->input + INPUT_ROOM, 4096, PROT_NONE);
    assert(failed == 0);
}

void packer_unshare(struct packer *packer)
{
    free(packer->writer_memory);
    free(packer->reader_memory);
    (void)munmap(packer->input, INPUT_ROOM + 4096);
}

void packer_open(struct packer *packer)
{
    struct gavel_error error;
    int32_t status;

    memset(packer, 0, sizeof *packer);
    face_init(&packer->face, "checked");
    status = face_open(&packer->face, &error);
    if (status != GAVEL_OK)
        kit_broken("GAVEL_OK", "%s: %s", kit_status(status), error.text);
    packer->self = packer->face.self;
    packer->serializer = &kit.plugin->operations.serializer;
    packer_share(packer, packer);
}

void packer_close(struct packer *packer)
{
    face_close(&packer->face);
    packer_unshare(packer);
}

static void write_token(struct gavel_writer *writer, const struct gavel_token *token)
{
    switch (token->type) {
    case GAVEL_TOKEN_MAP:
        gavel_put_map(writer, token->count);
        return;
    case GAVEL_TOKEN_ARRAY:
        gavel_put_array(writer, token->count);
        return;
    case GAVEL_TOKEN_END:
        gavel_put_end(writer);
        return;
    case GAVEL_TOKEN_KEY:
        writer->ops->key(writer, token->text, token->uint);
        return;
    case GAVEL_TOKEN_NIL:
        gavel_put_nil(writer);
        return;
    case GAVEL_TOKEN_BOOL:
        gavel_put_bool(writer, (int)token->uint);
        return;
    case GAVEL_TOKEN_UINT:
        gavel_put_uint(writer, token->uint);
        return;
    case GAVEL_TOKEN_INT:
        gavel_put_int(writer, token->sint);
        return;
    case GAVEL_TOKEN_REAL:
        gavel_put_real(writer, token->real);
        return;
    case GAVEL_TOKEN_STRING:
        gavel_put_string(writer, token->text);
        return;
    default:
        gavel_put_bytes(writer, token->text);
    }
}

int32_t packer_write(struct packer *packer, const struct document *document, struct gavel_buffer *out,
                     struct gavel_error *error)
{
    struct gavel_writer *writer = NULL;
    int32_t status;

    memset(error, 0, sizeof *error);
    watch_enter(WATCH_WORKER, false);
    status = packer->serializer->write_begin(packer->self, packer->writer_memory, out, &writer);
    for (uint64_t i = 0; status == GAVEL_OK && i < document->count; i++)
        write_token(writer, &document->token[i]);
    if (status == GAVEL_OK)
        status = packer->serializer->write_end(packer->self, writer, error);
    else
        (void)gavel_fail(error, status, "write_begin");
    watch_leave();
    return status;
}

static const char *const token_names[] = {"nothing", "a map", "an array", "an end", "a key", "nil", "a boolean",
                                          "a whole number", "a negative number", "a real", "a string", "bytes",
                                          "the end of the input"};

static const char *token_name(uint64_t type)
{
    return type < sizeof token_names / sizeof token_names[0] ? token_names[type] : "a token of no known type";
}

static bool same_token(const struct gavel_token *wanted, const struct gavel_token *got)
{
    if (wanted->type == GAVEL_TOKEN_KEY && got->type == GAVEL_TOKEN_KEY && !got->text.data)
        return wanted->uint != 0 && wanted->uint == got->uint;
    if (wanted->type != got->type)
        return false;
    switch (wanted->type) {
    case GAVEL_TOKEN_MAP:
    case GAVEL_TOKEN_ARRAY:
        return got->count == GAVEL_COUNT_UNKNOWN || got->count == wanted->count;
    case GAVEL_TOKEN_BOOL:
    case GAVEL_TOKEN_UINT:
        return wanted->uint == got->uint;
    case GAVEL_TOKEN_INT:
        return wanted->sint == got->sint;
    case GAVEL_TOKEN_REAL:
        return memcmp(&wanted->real, &got->real, sizeof got->real) == 0;
    case GAVEL_TOKEN_KEY:
    case GAVEL_TOKEN_STRING:
    case GAVEL_TOKEN_BYTES:
        return gavel_slice_equal(wanted->text, got->text);
    default:
        return true;
    }
}

/* What every run of tokens keeps, whatever the input: nesting, keys where keys belong, numbers in their range. */
struct nesting {
    uint64_t depth;
    uint64_t tokens;
    bool map[256];
    bool key_next[256];
    bool value_seen;
};

static void follow(struct nesting *nesting, const struct gavel_token *token, const struct gavel_limits *limits)
{
    uint64_t depth = nesting->depth;
    bool key = depth && nesting->map[depth] && nesting->key_next[depth];

    if (token->type == GAVEL_TOKEN_FINISH) {
        if (depth || !nesting->value_seen)
            kit_broken("tokens of one whole value", "the end of the input %s",
                       depth ? "within a map or an array" : "before a value");
        return;
    }
    if (++nesting->tokens > 2 * limits->items + 2)
        kit_broken("no more tokens than the limit allows", "%" PRIu64, nesting->tokens);
    if (token->type == GAVEL_TOKEN_END) {
        if (depth == 0 || (nesting->map[depth] && !key))
            kit_broken("well-nested tokens", "an end where there is nothing to end");
        nesting->depth--;
        return;
    }
    if (key != (token->type == GAVEL_TOKEN_KEY))
        kit_broken("keys where keys belong", "%s where %s belongs", token_name(token->type), key ? "a key" : "a value");
    if (depth)
        nesting->key_next[depth] = nesting->map[depth] && !key;
    nesting->value_seen = true;
    if (token->type == GAVEL_TOKEN_INT && token->sint >= 0)
        kit_broken("negative numbers only as GAVEL_TOKEN_INT", "%" PRId64, token->sint);
    if (token->type != GAVEL_TOKEN_MAP && token->type != GAVEL_TOKEN_ARRAY)
        return;
    if (++nesting->depth > limits->depth || nesting->depth >= 256)
        kit_broken("no deeper nesting than the limit allows", "%" PRIu64 " levels", nesting->depth);
    nesting->map[nesting->depth] = token->type == GAVEL_TOKEN_MAP;
    nesting->key_next[nesting->depth] = true;
}

int32_t packer_read(struct packer *packer, struct gavel_slice input, const struct gavel_limits *limits,
                    const struct document *wanted, struct gavel_error *error)
{
    unsigned char *at = packer->input + packer->room - input.size;
    struct gavel_reader *reader = NULL;
    struct nesting nesting = {.depth = 0};
    struct gavel_token token;
    uint64_t index = 0;
    int32_t status;

    assert(input.size <= packer->room);
    memset(error, 0, sizeof *error);
    if (input.size)
        memcpy(at, input.data, input.size);
    watch_enter(WATCH_WORKER, false);
    status = packer->serializer->read_begin(packer->self, packer->reader_memory, gavel_bytes(at, input.size), limits,
                                            &reader, error);
    if (status != GAVEL_OK) {
        watch_leave();
        return status;
    }
    do {
        memset(&token, 0, sizeof token);
        status = reader->ops->next(reader, &token, error);
        if (status != GAVEL_OK)
            break;
        follow(&nesting, &token, limits);
        if (wanted && index < wanted->count && !same_token(&wanted->token[index], &token))
            kit_broken("what was written to be read back", "%s in place of %s (token %" PRIu64 ")",
                       token.type == wanted->token[index].type ? "another one" : token_name(token.type),
                       token_name(wanted->token[index].type), index + 1);
        if (wanted && index >= wanted->count && token.type != GAVEL_TOKEN_FINISH)
            kit_broken("the end of the input", "%s", token_name(token.type));
        index++;
    } while (token.type != GAVEL_TOKEN_FINISH);
    packer->serializer->read_end(packer->self, reader);
    watch_leave();
    return status;
}
