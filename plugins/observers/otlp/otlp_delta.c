/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_delta.c - see otlp_delta.h.
 */
#include "otlp_delta.h"

#include <stdlib.h>

struct otlp_past {
    struct otlp_past *next;
    uint64_t hash;
    double value; /* counter; histogram: the sum */
    uint64_t count;
    uint64_t bucket_count;
    uint64_t *buckets;
    size_t size;
    char key[]; /* name and attributes, each with its size before it */
};

void otlp_delta_begin(struct otlp_delta *delta, uint64_t began_ns, uint64_t start_ns)
{
    delta->base = delta->last_ns == 0 && start_ns != 0 && began_ns > start_ns + OTLP_DELTA_SWAPPED_NS;
}

void otlp_delta_end(struct otlp_delta *delta, uint64_t now_ns)
{
    delta->last_ns = now_ns;
    delta->base = false;
}

void otlp_delta_free(struct otlp_delta *delta)
{
    for (uint64_t i = 0; delta->slot && i < OTLP_DELTA_SLOTS; i++) {
        for (struct otlp_past *past = delta->slot[i], *next; past; past = next) {
            next = past->next;
            free(past);
        }
    }
    free(delta->slot);
    memset(delta, 0, sizeof *delta);
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static size_t key_part(char *to, const void *data, uint64_t size)
{
    if (to) {
        memcpy(to, &size, sizeof size);
        if (size)
            memcpy(to + sizeof size, data, (size_t)size);
    }
    return sizeof size + (size_t)size;
}

/* The key of a series; with `to` NULL only its size. */
static size_t make_key(char *to, const struct gavel_series *series)
{
    size_t size = key_part(to, series->name, strlen(series->name));

    for (uint64_t i = 0; i < series->attribute_count; i++) {
        const struct gavel_attribute *attribute = &series->attributes[i];

        size += key_part(to ? to + size : NULL, attribute->name, strlen(attribute->name));
        size += key_part(to ? to + size : NULL, attribute->value.data, attribute->value.size);
    }
    return size;
}

static uint64_t hash_of(const char *bytes, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* One that starts at nothing, and is in no chain yet; NULL when memory is out. */
static struct otlp_past *past_new(const struct gavel_series *series)
{
    uint64_t buckets = series->kind == GAVEL_HISTOGRAM ? series->bound_count + 1 : 0;
    size_t size = make_key(NULL, series), aligned = (size + 7) / 8 * 8;
    struct otlp_past *past = calloc(1, sizeof *past + aligned + (size_t)buckets * sizeof *past->buckets);

    if (!past)
        return NULL;
    past->size = make_key(past->key, series);
    past->hash = hash_of(past->key, size);
    past->bucket_count = buckets;
    past->buckets = (uint64_t *)(void *)(past->key + aligned); /* `key` follows members of 8 bytes */
    return past;
}

/* What is remembered of a series, made if need be. */
static struct otlp_past *find(struct otlp_delta *delta, const struct gavel_series *series)
{
    struct otlp_past *fresh, *past, **slot;

    if (!delta->slot && !(delta->slot = calloc(OTLP_DELTA_SLOTS, sizeof(struct otlp_past *))))
        return NULL;
    fresh = past_new(series);
    if (!fresh)
        return NULL;
    slot = &delta->slot[fresh->hash % OTLP_DELTA_SLOTS];
    for (past = *slot; past; past = past->next)
        if (past->hash == fresh->hash && past->size == fresh->size && memcmp(past->key, fresh->key, past->size) == 0)
            break;
    if (past || delta->count == OTLP_DELTA_SERIES) {
        free(fresh);
        return past;
    }
    fresh->next = *slot;
    *slot = fresh;
    delta->count++;
    return fresh;
}

/* ---- differences ------------------------------------------------------------------------------------------------- */

static bool went_back(const struct otlp_past *past, const struct gavel_series *series)
{
    if (series->kind == GAVEL_COUNTER)
        return series->value < past->value;
    for (uint64_t i = 0; i < past->bucket_count; i++)
        if (series->buckets[i] < past->buckets[i])
            return true;
    return series->count < past->count;
}

static void subtract_histogram(struct otlp_delta *delta, struct otlp_past *past, struct gavel_series *series)
{
    double sum = series->sum;
    uint64_t count = series->count;

    for (uint64_t i = 0; i < past->bucket_count; i++) {
        delta->buckets[i] = series->buckets[i] - past->buckets[i];
        past->buckets[i] = series->buckets[i];
    }
    series->buckets = delta->buckets;
    series->sum -= past->value;
    series->count -= past->count;
    past->value = sum;
    past->count = count;
}

bool otlp_delta_take(struct otlp_delta *delta, struct gavel_series *series)
{
    bool histogram = series->kind == GAVEL_HISTOGRAM;
    struct otlp_past *past;
    double value;

    if (histogram && series->bound_count + 1 > OTLP_DELTA_BUCKETS)
        return false;
    past = find(delta, series);
    if (!past || past->bucket_count != (histogram ? series->bound_count + 1 : 0))
        return false;
    if (went_back(past, series)) { /* another one under the same name: it starts anew */
        past->value = 0;
        past->count = 0;
        memset(past->buckets, 0, (size_t)past->bucket_count * sizeof *past->buckets);
    }
    if (histogram) {
        subtract_histogram(delta, past, series);
    } else {
        value = series->value;
        series->value -= past->value;
        past->value = value;
    }
    if (delta->last_ns)
        series->start_wall_ns = delta->last_ns;
    return !delta->base;
}
