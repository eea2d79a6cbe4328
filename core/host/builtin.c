/* SPDX-License-Identifier: Apache-2.0 */
/*
 * builtin.c - the list of plugins that are linked in.
 */
#include "core/host/builtin.h"

GAVEL_PLUGIN_LINKAGE const struct gavel_plugin *gavel_plugin_log(void);
GAVEL_PLUGIN_LINKAGE const struct gavel_plugin *gavel_plugin_msgpack(void);
GAVEL_PLUGIN_LINKAGE const struct gavel_plugin *gavel_plugin_tcp(void);

const struct host_builtin host_builtins[] = {
    {GAVEL_KIND_TRANSPORT, "tcp", gavel_plugin_tcp}, /* the admin socket speaks it */
    {GAVEL_KIND_SERIALIZER, "msgpack", gavel_plugin_msgpack},
    {GAVEL_KIND_OBSERVER, "log", gavel_plugin_log},
    {0, NULL, NULL},
};
