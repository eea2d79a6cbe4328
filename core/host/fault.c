/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault.c - sentences in the order in which they were found.
 */
#include "core/host/fault.h"

#include <stdarg.h>

#define FAULT_TEXT_MAX 1024 /* bytes of a sentence; longer ones are cut */

void host_fault(struct host_faults *faults, const char *format, ...)
{
    char text[FAULT_TEXT_MAX];
    va_list arguments;

    if (faults->count == HOST_FAULTS_MAX) {
        faults->beyond++;
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    faults->text[faults->count++] = host_arena_format(&faults->arena, "%s", text);
}

void host_faults_print(const struct host_faults *faults, FILE *stream, const char *prefix)
{
    for (unsigned i = 0; i < faults->count; i++)
        (void)fprintf(stream, "%s%s\n", prefix, faults->text[i]);
    if (faults->beyond)
        (void)fprintf(stream, "%sand %u more\n", prefix, faults->beyond);
}

void host_faults_free(struct host_faults *faults)
{
    host_arena_free(&faults->arena);
    *faults = (struct host_faults){.count = 0};
}
