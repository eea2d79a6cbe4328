/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect_scan.h - what check, dump and repair share.
 */
#ifndef CORE_LOG_INSPECT_SCAN_H
#define CORE_LOG_INSPECT_SCAN_H

#include "core/log/scan.h"

/* [off line] A scan, or GAVEL_E_CONFIG and GAVEL_E_VERSION for what is no data directory of ours. */
int log_scan_for_inspection(struct log_scan *scan, const struct os *os, const char *dir,
                            const struct log_scan_options *options, struct gavel_error *error);

/* [any] True when a lone node would refuse to start. */
bool log_scan_is_corrupt(const struct log_scan *scan);

/* [any] "sound", "torn", "superseded" or "corrupt". */
const char *log_verdict_name(const struct log_scan *scan);

#endif
