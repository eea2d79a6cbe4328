/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - where batches get their memory; inside core/log only, others use batch.h.
 */
#ifndef CORE_LOG_POOL_H
#define CORE_LOG_POOL_H

#include "core/log/batch.h"

/* [loop] A batch with room for `bytes` bytes and one reference; head and data are not filled in, but for head.bytes.
 * NULL when memory is out. */
struct log_batch *log_pool_take(struct log_pool *pool, uint32_t bytes);

/* [any] Check bytes that were read straight into a taken batch, and decode its head from them. GAVEL_E_CORRUPT. */
int log_batch_adopt(struct log_batch *batch, struct gavel_error *error);

#endif
