/* SPDX-License-Identifier: Apache-2.0 */
/*
 * next.h - put before every source of gaveld-next (-include): the minor versions of the ABI, of the protocol and of the
 * disk are one higher than in this tree, as in the gavel that comes after it. What that one says more is in next.c.
 */
#ifndef TESTS_CLUSTER_NEXT_H
#define TESTS_CLUSTER_NEXT_H

#include <gavel/abi.h>

#include "core/codec/message.h"

#if GAVEL_ABI_MINOR != 1 || CODEC_PROTOCOL_MINOR != 1 || CODEC_DISK_MINOR != 0
#error "a minor version has grown: let the numbers below grow with it"
#endif
#undef GAVEL_ABI_MINOR
#define GAVEL_ABI_MINOR 2
#undef CODEC_PROTOCOL_MINOR
#define CODEC_PROTOCOL_MINOR 2
#undef CODEC_DISK_MINOR
#define CODEC_DISK_MINOR 1

#endif
