/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer.h - what gaveld answers about plugins without being a node: --dump-plugin, --list-plugins, --sample-config.
 * Each prints to stdout, its refusals to stderr, and returns gaveld's exit code.
 */
#ifndef CORE_HOST_ANSWER_H
#define CORE_HOST_ANSWER_H

#include "core/host/args.h"

/* `dir` is the plugin directory. */
int host_answer_dump_plugin(const struct host_args *args, const char *dir);
int host_answer_list_plugins(const char *dir);
int host_answer_sample_config(const struct host_args *args, const char *dir);

#endif
