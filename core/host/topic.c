/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topic.c - see topic.h.
 */
#include "core/host/topic.h"

#include "core/codec/field.h"
#include "core/host/schema.h"
#include "core/host/sink.h"

#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 160 /* a kind, a dot, and a section's name or a plugin's */
#define LIST_BYTES 256     /* all words of host_log_modules */

/* Whether one of the two is the other, or is above it: "transport" and "transport.main". */
static bool related(struct gavel_slice module, const char *name)
{
    uint64_t size = strlen(name), shorter = size < module.size ? size : module.size;
    const char *text = module.data;

    return memcmp(text, name, (size_t)shorter) == 0 &&
           (size == module.size || (size < module.size ? text[size] : name[module.size]) == '.');
}

/* One instance's names. `best` keeps the nearest one, for `nearest` only points. */
static bool logs_as(const struct host_topic *topic, struct gavel_slice module, struct codec_nearest *nearest,
                    char *best)
{
    const char *words[] = {topic->name, topic->plugin};
    char name[NAME_MAX_BYTES];

    for (unsigned i = 0; i < 4; i++) { /* without the kind, and with it */
        (void)snprintf(name, sizeof name, "%s%s%s", i < 2 ? "" : host_kind_name(topic->kind), i < 2 ? "" : ".",
                       words[i % 2]);
        if (related(module, name))
            return true;
        codec_nearest_offer(nearest, gavel_text(name));
        if (nearest->best.data == name) {
            memcpy(best, name, sizeof name);
            nearest->best.data = best;
        }
    }
    return false;
}

int32_t host_topic_check(struct gavel_slice module, const struct host_topic *topics, unsigned count,
                         struct gavel_error *error)
{
    struct codec_nearest nearest = {.wanted = module};
    char hint[192], best[NAME_MAX_BYTES], list[LIST_BYTES] = "";
    size_t length = 0;

    for (unsigned i = 0; host_log_modules[i]; i++) {
        if (related(module, host_log_modules[i]))
            return GAVEL_OK;
        codec_nearest_offer(&nearest, gavel_text(host_log_modules[i]));
        if (length < sizeof list)
            length += (size_t)snprintf(list + length, sizeof list - length, "%s%s", i ? ", " : "", host_log_modules[i]);
    }
    for (unsigned i = 0; i < count; i++)
        if (logs_as(&topics[i], module, &nearest, best))
            return GAVEL_OK;
    (void)codec_nearest_text(&nearest, hint, sizeof hint);
    return gavel_fail(error, GAVEL_E_INVALID, "nothing logs as '%.*s'%s%s%s",
                      (int)(module.size < 64 ? module.size : 64), (const char *)module.data, hint,
                      *hint ? "" : "; known are each plugin's section, and ", *hint ? "" : list);
}
