/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serializer.h - the checks of a serializer. Each is the body of one child process.
 */
#ifndef CORE_CHECK_SERIALIZER_H
#define CORE_CHECK_SERIALIZER_H

/* What is written is read back: random documents, extremes, several threads over one instance. */
void serializer_round_trips(void);
/* The writer refuses what its reader would refuse, and its errors stick. */
void serializer_rules(void);
/* Depth, bytes and items: at the limit, and one above. */
void serializer_limits(void);
/* Bytes that were cut, flipped, made up: refused or read, at a bounded cost. */
void serializer_hostile(void);
/* Every allocation fails once. */
void serializer_memory(void);
/* A life leaves nothing behind. */
void serializer_leaks(void);

#endif
