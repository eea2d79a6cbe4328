/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capability.h - what a node can do, as a set of names and values: read from INI files, requests and registrations, and
 * kept in one form, so that equal sets are equal bytes.
 */
#ifndef CORE_CODEC_CAPABILITY_H
#define CORE_CODEC_CAPABILITY_H

#include <gavel/abi.h>

#define CAPABILITY_PAIRS_MAX 64  /* capabilities of one node: what people read on a screen or two */
#define CAPABILITY_NAME_MAX 63   /* bytes of a name: A-Z, a-z, 0-9, '.', '_', '-' and '/' */
#define CAPABILITY_VALUE_MAX 255 /* bytes of a value, without control characters */
#define CAPABILITY_SET_MAX 4096  /* bytes of one set: it travels in every list of members */

/*
 * [any] Append the one form of `map`, a MessagePack map of names and values: a map of strings, sorted by name. Values
 * are strings; numbers and booleans become what is written for them. GAVEL_E_INVALID or GAVEL_E_TOO_LARGE with the
 * reason, also for what is no map; then *out may hold a part.
 */
int32_t codec_capabilities(struct gavel_slice map, struct gavel_buffer *out, struct gavel_error *error);

/* [any] Whether these bytes, of which nothing is known, are a set in its one form. */
int codec_capabilities_valid(struct gavel_slice set);

#endif
