/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen.h - random commands from a state machine's own field tables: values that come again, so that commands meet the
 * state that earlier ones made, and values at every bound.
 */
#ifndef CORE_CHECK_GEN_H
#define CORE_CHECK_GEN_H

#include "core/check/kit.h"
#include "core/codec/field.h"

/* Documents of arguments; all of it follows from the seed. */
struct gen {
    struct kit_random random;
    unsigned char *scratch; /* GEN_TEXT_MAX bytes */
    bool plain;             /* small values only, no extremes */
};

#define GEN_TEXT_MAX (64 * 1024)

/* Append one random value of any type and at most `depth` levels to a writer. */
void gen_value(struct gen *gen, struct gavel_writer *writer, uint64_t depth);

/* Append a map of arguments for `fields` (NULL: the empty map) by ids. */
void gen_arguments(struct gen *gen, const struct gavel_fields *fields, struct gavel_writer *writer);

/* One entry of a script: a command in the log's form, and what the entry says. */
struct entry {
    const struct gavel_command *command;
    struct gavel_slice logged; /* owned */
    uint64_t index;            /* of the log; reads have that of the write before them */
    uint64_t term;
    uint64_t wall_ms;
    uint64_t tick_ms;
    struct gavel_slice principal;
    bool read;
};

struct script {
    struct entry *entries;
    uint64_t count;
    uint64_t writes;
    uint64_t refused; /* arguments that the table did not let pass */
};

/* A script of about `wanted` entries: each command's example first, then chance. Internal commands are left out. */
void script_make(struct script *script, const char *what, uint64_t wanted);
void script_free(struct script *script);

#endif
