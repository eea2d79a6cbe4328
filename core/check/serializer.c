/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serializer.c - what a host relies on in every serializer, whatever its bytes look like.
 */
#define _GNU_SOURCE
#include "core/check/serializer.h"

#include "core/check/document.h"
#include "core/check/life.h"
#include "core/check/watch.h"
#include "core/codec/value.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 1200
#define THREADS 4
#define FLIPS 3000
#define MANY_KEYS 100000
#define FEW_TRIES 3 /* before the many, and as often after them */
#define MANY_NS 50000000 /* processor time that no factor can be told from */
#define COST_FIXED (UINT64_C(64) << 10) /* bytes of memory that reading may take for any input, */
#define COST_A_BYTE 512                 /* and for each byte of it: a tree of small values is that dear */

/* Write it and read it back; everything must be there. */
static void round_trip(struct packer *packer, const struct document *document, struct gavel_buffer *out)
{
    struct gavel_limits limits = packer_limits();
    struct gavel_error error;
    int32_t status;

    out->size = 0;
    status = packer_write(packer, document, out, &error);
    if (status != GAVEL_OK)
        kit_broken("it to be written", "%s: %s", kit_status(status), error.text);
    if (out->size == 0)
        kit_broken("it to be written", "no byte");
    status = packer_read(packer, gavel_buffer_slice(out), &limits, document, &error);
    if (status != GAVEL_OK)
        kit_broken("what was written to be read back", "%s: %s", kit_status(status), error.text);
}

/* The same from several threads over one instance: self may be used by several lanes at once. */
static void *beside(void *context)
{
    struct packer packer;
    struct document *document = document_new();
    struct gavel_buffer out = codec_buffer(0);
    struct kit_random random = {.state = (uint64_t)(uintptr_t)&packer};

    watch_own_thread();
    packer_share(&packer, context);
    for (int i = 0; i < ROUNDS / 4; i++) {
        document_random(document, &random, 4, true);
        round_trip(&packer, document, &out);
    }
    gavel_buffer_free(&out);
    document_free(document);
    packer_unshare(&packer);
    return NULL;
}

void serializer_round_trips(void)
{
    struct kit_random random = kit_random("round trips");
    struct document *document = document_new();
    struct gavel_buffer out = codec_buffer(0);
    pthread_t thread[THREADS];
    struct packer packer;

    face_begin();
    packer_open(&packer);
    kit_at("a document of extremes");
    document_extremes(document);
    round_trip(&packer, document, &out);
    for (int i = 1; i <= ROUNDS; i++) {
        kit_at("random document %d", i);
        document_random(document, &random, 1 + kit_below(&random, 7), kit_below(&random, 2));
        round_trip(&packer, document, &out);
    }
    kit_at("a map of 1500 keys");
    document_keys(document, &random, 1500);
    round_trip(&packer, document, &out);
    kit_at("random documents in %d threads over one instance", THREADS);
    for (int i = 0; i < THREADS; i++) {
        int failed = pthread_create(&thread[i], NULL, beside, &packer);

        assert(failed == 0);
    }
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(thread[i], NULL);
    gavel_buffer_free(&out);
    document_free(document);
    packer_close(&packer);
}

/* ---- the writer's rules ------------------------------------------------------------------------------------------ */

static const char *const mistakes[] = {
    "write_end with nothing written", "two values at the top", "a map that is not closed", "an array closed too early",
    "a value in the place of a key", "a key in the place of a value", "more elements than were said",
    "a string that is not UTF-8", "an infinite real", "an end of nothing"};

static void mistake(struct gavel_writer *w, unsigned which)
{
    switch (which) {
    case 0:
        return;
    case 1:
        gavel_put_nil(w);
        gavel_put_nil(w);
        return;
    case 2:
        gavel_put_map(w, 0);
        return;
    case 3:
        gavel_put_array(w, 1);
        gavel_put_end(w);
        return;
    case 4:
        gavel_put_map(w, 1);
        gavel_put_nil(w);
        return;
    case 5:
        gavel_put_map(w, 1);
        gavel_put_key(w, "a");
        gavel_put_key(w, "b");
        return;
    case 6:
        gavel_put_array(w, 1);
        gavel_put_nil(w);
        gavel_put_nil(w);
        gavel_put_end(w);
        return;
    case 7:
        gavel_put_string(w, gavel_bytes("\xff", 1));
        return;
    case 8:
        gavel_put_real(w, (double)1e308 * 10.0);
        return;
    default:
        gavel_put_end(w);
    }
}

void serializer_rules(void)
{
    struct gavel_buffer out = codec_buffer(0);
    unsigned char small[8];
    struct gavel_error error;
    struct gavel_writer *writer;
    struct packer packer;
    int32_t status;

    face_begin();
    packer_open(&packer);
    for (unsigned i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        kit_at("%s", mistakes[i]);
        memset(&error, 0, sizeof error);
        out.size = 0;
        watch_enter(WATCH_WORKER, false);
        status = packer.serializer->write_begin(packer.self, packer.writer_memory, &out, &writer);
        if (status == GAVEL_OK) {
            mistake(writer, i);
            gavel_put_nil(writer); /* an error sticks: this cannot mend it */
            if (i == 0) {          /* nothing means nothing */
                (void)packer.serializer->write_end(packer.self, writer, &error);
                out.size = 0;
                status = packer.serializer->write_begin(packer.self, packer.writer_memory, &out, &writer);
            }
            status = packer.serializer->write_end(packer.self, writer, &error);
        }
        watch_leave();
        if (status != GAVEL_E_INVALID)
            kit_broken("GAVEL_E_INVALID from write_end", "%s", kit_status(status));
        if (error.text[0] == 0)
            kit_broken("a sentence with every negative status", "%s without one", kit_status(status));
    }
    gavel_buffer_free(&out);
    kit_at("a string longer than the buffer's limit");
    out = codec_buffer_fixed(small, sizeof small);
    watch_enter(WATCH_WORKER, false);
    (void)packer.serializer->write_begin(packer.self, packer.writer_memory, &out, &writer);
    gavel_put_text(writer, "longer than eight bytes");
    status = packer.serializer->write_end(packer.self, writer, &error);
    watch_leave();
    if (status != GAVEL_E_TOO_LARGE)
        kit_broken("GAVEL_E_TOO_LARGE from write_end", "%s", kit_status(status));
    packer_close(&packer);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static void expect(struct packer *packer, struct gavel_slice input, const struct gavel_limits *limits, int32_t wanted,
                   const char *what)
{
    struct gavel_error error;
    int32_t status;

    kit_at("%s", what);
    status = packer_read(packer, input, limits, NULL, &error);
    if (status != wanted)
        kit_broken_at(wanted == GAVEL_OK ? "GAVEL_OK" : "GAVEL_E_TOO_LARGE", "%s", kit_status(status));
    if (status < 0 && error.text[0] == 0)
        kit_broken("a sentence with every negative status", "none");
}

/* Processor time to write and read a map of so many keys in no order, in ns. */
static uint64_t keys_ns(struct packer *packer, uint64_t count)
{
    struct kit_random random = kit_random("keys");
    struct gavel_limits limits = packer_limits();
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_writer *writer;
    struct gavel_error error;
    struct timespec begin, end;
    int32_t status;

    kit_at("a map of %" PRIu64 " keys", count);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    watch_enter(WATCH_WORKER, false);
    status = packer->serializer->write_begin(packer->self, packer->writer_memory, &out, &writer);
    if (status == GAVEL_OK) {
        gavel_put_map(writer, count);
        for (uint64_t i = 0; i < count; i++) {
            char name[48];

            (void)snprintf(name, sizeof name, "%" PRIu64 "-%" PRIu64, kit_below(&random, 1000000), i);
            gavel_put_key(writer, name);
            gavel_put_nil(writer);
        }
        gavel_put_end(writer);
        status = packer->serializer->write_end(packer->self, writer, &error);
    }
    watch_leave();
    if (status == GAVEL_OK)
        status = packer_read(packer, gavel_buffer_slice(&out), &limits, NULL, &error);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    if (status != GAVEL_OK)
        kit_broken("GAVEL_OK", "%s: %s", kit_status(status), error.text);
    gavel_buffer_free(&out);
    return (uint64_t)(end.tv_sec - begin.tv_sec) * 1000000000 + (uint64_t)end.tv_nsec - (uint64_t)begin.tv_nsec;
}

/*
 * The least of some tries, and of what is known: who shares the processor only ever adds to a time, and what it adds to
 * that of a few keys counts sixtyfold.
 */
static uint64_t least_keys_ns(struct packer *packer, uint64_t count, int tries, uint64_t least)
{
    for (int i = 0; i < tries; i++) {
        uint64_t ns = keys_ns(packer, count);

        least = ns < least ? ns : least;
    }
    return least;
}

/* Whoever compares each key with each other one is a weapon in the hands of a client. */
static void many_keys(struct packer *packer)
{
    uint64_t few = least_keys_ns(packer, MANY_KEYS / 10, FEW_TRIES, UINT64_MAX);
    uint64_t many = keys_ns(packer, MANY_KEYS);

    few = least_keys_ns(packer, MANY_KEYS / 10, FEW_TRIES, few);
    if (many > 60 * few + MANY_NS)
        many = least_keys_ns(packer, MANY_KEYS, 1, many); /* before anybody is blamed */
    kit_at("a map of %d keys", MANY_KEYS);
    if (many > 60 * few + MANY_NS)
        kit_broken("about ten times the time of a tenth of them", "more than 60 times");
}

void serializer_limits(void)
{
    struct document *document = document_new();
    struct gavel_buffer at = codec_buffer(0), above = codec_buffer(0);
    struct gavel_limits limits = packer_limits();
    struct gavel_error error;
    struct packer packer;

    face_begin();
    packer_open(&packer);
    kit_at("write of a document as deep as a message may be");
    document_nested(document, limits.depth);
    if (packer_write(&packer, document, &at, &error) != GAVEL_OK)
        kit_broken("GAVEL_OK", "%s", error.text);
    document_nested(document, limits.depth + 1);
    kit_at("write of a document one deeper");
    if (packer_write(&packer, document, &above, &error) != GAVEL_OK)
        above.size = 0; /* a writer may have a bound of its own above what it must take */
    expect(&packer, gavel_buffer_slice(&at), &limits, GAVEL_OK, "read at the limit of depth");
    if (above.size)
        expect(&packer, gavel_buffer_slice(&above), &limits, GAVEL_E_TOO_LARGE, "read one over the limit of depth");
    limits.depth = 0;
    expect(&packer, gavel_buffer_slice(&at), &limits, GAVEL_E_TOO_LARGE, "read with a limit of no depth at all");
    limits = packer_limits();
    limits.bytes = at.size;
    expect(&packer, gavel_buffer_slice(&at), &limits, GAVEL_OK, "read at the limit of bytes");
    limits.bytes = at.size - 1;
    expect(&packer, gavel_buffer_slice(&at), &limits, GAVEL_E_TOO_LARGE, "read one over the limit of bytes");
    limits = packer_limits();
    limits.items = limits.depth + 1; /* arrays and the nil; ends are no items */
    expect(&packer, gavel_buffer_slice(&at), &limits, GAVEL_OK, "read at the limit of items");
    limits.items = limits.depth;
    expect(&packer, gavel_buffer_slice(&at), &limits, GAVEL_E_TOO_LARGE, "read one over the limit of items");
    many_keys(&packer);
    gavel_buffer_free(&at);
    gavel_buffer_free(&above);
    document_free(document);
    packer_close(&packer);
}

/* ---- hostile bytes ----------------------------------------------------------------------------------------------- */

/* Refused, or read as some document; with a sentence, and at no more cost than the bytes are worth. */
static void endure(struct packer *packer, struct gavel_slice input, bool must_refuse)
{
    struct gavel_limits limits = packer_limits();
    struct gavel_error error;
    uint64_t taken = watch_taken();
    int32_t status = packer_read(packer, input, &limits, NULL, &error);

    taken = watch_taken() - taken;
    if (status < 0 && error.text[0] == 0)
        kit_broken("a sentence with every negative status", "%s without one", kit_status(status));
    if (status == GAVEL_OK && must_refuse)
        kit_broken("it to be refused", "it taken");
    if (status < 0 && status != GAVEL_E_INVALID && status != GAVEL_E_TOO_LARGE)
        kit_broken("GAVEL_E_INVALID or GAVEL_E_TOO_LARGE", "%s", kit_status(status));
    if (taken > COST_FIXED + COST_A_BYTE * input.size)
        kit_broken("the size to be bounded before memory is taken", "%" PRIu64 " bytes of memory for %" PRIu64
                   " bytes of input", taken, input.size);
}

/* Bytes that announce much and hold little, in any format that counts: each byte value in front of large numbers. */
static void announcements(struct packer *packer)
{
    unsigned char bytes[10];

    for (unsigned first = 0; first < 256; first++)
        for (uint64_t size = 1; size <= sizeof bytes; size++) {
            memset(bytes, 0xff, sizeof bytes);
            bytes[0] = (unsigned char)first;
            kit_at("read of the byte %02x and %" PRIu64 " bytes ff", first, size - 1);
            endure(packer, gavel_bytes(bytes, size), false);
            memset(bytes + 1, 0, sizeof bytes - 1);
            bytes[1] = 0x04;
            kit_at("read of the bytes %02x 04 and %" PRIu64 " zeros", first, size > 2 ? size - 2 : 0);
            endure(packer, gavel_bytes(bytes, size), false);
        }
}

/* A long run of one byte: what opens something opens it without end. */
static void runs(struct packer *packer)
{
    uint64_t size = 1 << 16;
    unsigned char *bytes = malloc(size);

    assert(bytes);
    for (unsigned byte = 0; byte < 256; byte++) {
        memset(bytes, (int)byte, size);
        kit_at("read of 65536 bytes %02x", byte);
        endure(packer, gavel_bytes(bytes, size), false);
    }
    free(bytes);
}

void serializer_hostile(void)
{
    struct kit_random random = kit_random("hostile");
    struct document *document = document_new();
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_error error;
    struct packer packer;

    face_begin();
    packer_open(&packer);
    kit_at("read of no bytes");
    endure(&packer, gavel_bytes("", 0), true);
    for (int i = 0; i < 30; i++) {
        document_random(document, &random, 4, true);
        out.size = 0;
        (void)packer_write(&packer, document, &out, &error);
        for (uint64_t cut = 0; cut < out.size; cut += 1 + out.size / 400) {
            kit_at("read of the first %" PRIu64 " of the %" PRIu64 " bytes of a map", cut, out.size);
            endure(&packer, gavel_bytes(out.data, cut), true);
        }
        kit_at("read of a map with a second one behind it");
        if (gavel_buffer_reserve(&out, out.size) == GAVEL_OK) {
            memcpy(out.data + out.size, out.data, out.size);
            endure(&packer, gavel_bytes(out.data, 2 * out.size), true);
        }
    }
    for (int i = 0; i < FLIPS; i++) {
        document_random(document, &random, 4, kit_below(&random, 2));
        out.size = 0;
        (void)packer_write(&packer, document, &out, &error);
        for (uint64_t flips = 1 + kit_below(&random, 4); flips && out.size; flips--)
            out.data[kit_below(&random, out.size)] = (unsigned char)kit_next(&random);
        kit_at("read of damaged document %d", i + 1);
        endure(&packer, gavel_buffer_slice(&out), false);
        for (uint64_t j = 0; j < out.size && j < 64; j++)
            out.data[j] = (unsigned char)kit_next(&random);
        kit_at("read of random bytes %d", i + 1);
        endure(&packer, gavel_bytes(out.data, out.size < 64 ? out.size : 64), false);
    }
    announcements(&packer);
    runs(&packer);
    gavel_buffer_free(&out);
    document_free(document);
    packer_close(&packer);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void starve_write(struct packer *packer, const struct document *document)
{
    for (uint64_t n = 1;; n++) {
        struct gavel_buffer out = codec_buffer(0);
        struct gavel_error error;
        int32_t status;
        bool hit;

        kit_at("write with an allocation refused");
        watch_refuse(n);
        status = packer_write(packer, document, &out, &error);
        hit = watch_refused();
        watch_refuse(0);
        if (status < 0 && status != GAVEL_E_NO_MEMORY)
            kit_broken("GAVEL_E_NO_MEMORY", "%s", kit_status(status));
        if (status == GAVEL_OK)
            round_trip(packer, document, &out);
        gavel_buffer_free(&out);
        if (!hit)
            return;
    }
}

static void starve_read(struct packer *packer, const struct document *document, struct gavel_slice input)
{
    struct gavel_limits limits = packer_limits();
    uint64_t blocks, bytes, before;

    watch_held(&before, &bytes);
    for (uint64_t n = 1;; n++) {
        struct gavel_error error;
        int32_t status;
        bool hit;

        kit_at("read with an allocation refused");
        watch_refuse(n);
        status = packer_read(packer, input, &limits, document, &error);
        hit = watch_refused();
        watch_refuse(0);
        if (status == GAVEL_OK && !hit)
            break;
        if (status != GAVEL_OK && status != GAVEL_E_NO_MEMORY && status != GAVEL_E_INVALID)
            kit_broken("GAVEL_E_NO_MEMORY", "%s", kit_status(status));
        watch_held(&blocks, &bytes);
        if (blocks > before + 8)
            kit_broken("nothing to be left behind by a failure", "%" PRIu64 " blocks", blocks - before);
    }
}

void serializer_memory(void)
{
    struct kit_random random = kit_random("memory");
    struct document *document = document_new();
    struct gavel_buffer out = codec_buffer(0);
    struct packer packer;

    face_begin();
    if (!watch_allocator())
        kit_skip("allocations cannot be refused under a sanitizer");
    life_starve();
    packer_open(&packer);
    for (int i = 0; i < 40; i++) {
        if (i == 0)
            document_keys(document, &random, 100);
        else
            document_random(document, &random, 4, true);
        kit_at("document %d", i);
        round_trip(&packer, document, &out);
        starve_write(&packer, document);
        starve_read(&packer, document, gavel_buffer_slice(&out));
    }
    gavel_buffer_free(&out);
    document_free(document);
    packer_close(&packer);
}

static void live(void *context)
{
    struct document *document = context;
    struct kit_random random = kit_random("life");
    struct gavel_buffer out = codec_buffer(0);
    struct gavel_limits limits = packer_limits();
    struct gavel_error error;
    struct packer packer;

    packer_open(&packer);
    for (int i = 0; i < 60; i++) {
        kit_at("a document of a whole life");
        document_random(document, &random, 5, true);
        round_trip(&packer, document, &out);
        /* Half-way, and refused: both must give back what they took. */
        (void)packer_read(&packer, gavel_bytes(out.data, out.size / 2), &limits, NULL, &error);
    }
    gavel_buffer_free(&out);
    packer_close(&packer);
}

void serializer_leaks(void)
{
    struct document *document = document_new();

    face_begin();
    life_repeat(live, document);
    document_free(document);
}
