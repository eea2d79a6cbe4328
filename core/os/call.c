/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.c - the table of places, and the last words.
 */
#include "core/os/call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct os_call_place os_call_places[OS_CALL_PLACES];
_Thread_local struct os_call_place *os_call_here;
_Thread_local const struct gavel_trace *os_trace_here;

static char prefix_text[128] = "gavel: ";
static atomic_bool blamed;

static const char *const place_names[OS_CALL_PLACES] = {"log", "disk", "apply", "worker", "observer", "loop"};

const char *os_call_lane_name(uint32_t place)
{
    return place < OS_CALL_PLACES ? place_names[place] : "a thread of its own";
}

void (*_Atomic os_call_meter)(const char *who, const char *what, uint64_t ns);

uint64_t os_call_clock(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void os_call_measured(const char *who, const char *what, uint64_t began_ns)
{
    void (*meter)(const char *, const char *, uint64_t) = atomic_load(&os_call_meter);

    if (meter && who && what)
        meter(who, what, os_call_clock() - began_ns);
}

void os_call_thread(uint32_t place)
{
    os_call_here = place < OS_CALL_PLACES ? &os_call_places[place] : NULL;
    os_call_set((struct os_call){.who = NULL});
}

void os_call_prefix(const char *prefix)
{
    (void)snprintf(prefix_text, sizeof prefix_text, "%s", prefix);
}

const char *os_call_prefixed(void)
{
    return prefix_text;
}

bool os_call_blamed(void)
{
    return atomic_load(&blamed);
}

void os_call_blame(const char *who, const char *what, const char *format, ...)
{
    struct os_call now = os_call_now();
    char text[1024];
    va_list arguments;
    int size = snprintf(text, sizeof text, "%s%s, in %s: ", prefix_text, who ? who : now.who ? now.who : "gaveld",
                        what ? what : now.what ? now.what : "no call of a plugin");

    if (size > 0 && (size_t)size < sizeof text - 2) {
        va_start(arguments, format);
        (void)vsnprintf(text + size, sizeof text - 1 - (size_t)size, format, arguments);
        va_end(arguments);
    }
    size = (int)strlen(text);
    text[size++] = '\n';
    atomic_store(&blamed, true);
    if (write(STDERR_FILENO, text, (size_t)size) < 0)
        abort(); /* there is nobody else to tell */
    abort();
}
