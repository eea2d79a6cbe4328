/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conform.h - gaveld --check-plugin: hands over to gavel-check, the conformance kit, a program of its own because
 * it replaces malloc and the clocks; no daemon should carry that.
 */
#ifndef CORE_HOST_CONFORM_H
#define CORE_HOST_CONFORM_H

#include "core/host/args.h"

/* Become gavel-check. Returns an exit code only when it is not there. */
int host_conform(const struct host_args *args, const char *plugin_dir);

#endif
