/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect.h - a data directory seen from outside: check, dump, and the explicit repair of a lone node.
 *
 * check and dump change no byte, not even an access by lock: they may run beside a stopped or a running node (then
 * the tail may be in motion, which they say). All write to `out`, human text or, with `json`, one JSON document.
 */
#ifndef CORE_LOG_INSPECT_H
#define CORE_LOG_INSPECT_H

#include <gavel/abi.h>
#include <stdbool.h>
#include <stdio.h>

#include "core/os/os.h"

/* Check everything in `dir`: directory, votes, founding record, segments, identity entries, snapshots. 0: sound (a
 * torn tail that a start would cut is reported and is sound); GAVEL_E_CORRUPT: damage, each one is named; other codes
 * with a sentence in `error`. */
int log_inspect_check(const struct os *os, const char *dir, bool json, FILE *out, struct gavel_error *error);

/* What of a dump. */
struct log_dump_options {
    uint64_t from;  /* entries from this index on; 0: all */
    uint64_t count; /* at most so many entries; 0: all */
    bool payload;   /* print payload bytes in hexadecimal */
    bool json;
};

/* Print everything that can be read: identity, votes, snapshots, each batch and entry. Damage is shown in place and
 * does not end the dump. */
int log_inspect_dump(const struct os *os, const char *dir, const struct log_dump_options *options, FILE *out,
                     struct gavel_error *error);

/* Say what a repair of a lone node's damaged log would lose (entries from an index on, of which any may have been
 * acknowledged), and with `apply` do it: the sound part before the damage stays, the rest is set aside as *.damaged
 * files in the log's directory. Refused (GAVEL_E_STATE) when nothing is damaged, when a node runs on it
 * (GAVEL_E_BUSY), or when votes, directory or founding record are damaged (GAVEL_E_CORRUPT). */
int log_inspect_repair(const struct os *os, const char *dir, bool apply, bool json, FILE *out,
                       struct gavel_error *error);

#endif
