/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec_random.h - random documents from a seed, for the tests of the serializers and the codec.
 */
#ifndef TESTS_UNIT_CODEC_RANDOM_H
#define TESTS_UNIT_CODEC_RANDOM_H

#include "core/codec/value.h"

/* The seed of this run: GAVEL_TEST_SEED, or the time; printed, so that a failure can be repeated. */
uint64_t random_seed(void);

/* The next number (splitmix64). */
uint64_t random_next(uint64_t *state);

/* A number below `bound`. */
uint64_t random_below(uint64_t *state, uint64_t bound);

/*
 * One document in canonical form, of any type. Its bytes values are never text, so that JSON gives them back as
 * bytes.
 */
void random_document(uint64_t *state, struct gavel_buffer *out);

/* The same, but a map. */
void random_map(uint64_t *state, struct gavel_buffer *out);

#endif
