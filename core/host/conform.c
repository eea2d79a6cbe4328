/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conform.c - see conform.h.
 */
#include "core/host/conform.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

int host_conform(const struct host_args *args, const char *plugin_dir)
{
    const char *given = getenv("GAVEL_CHECK_PROGRAM");
    const char *program = given && *given ? given : GAVEL_LIBEXECDIR "/gavel-check";
    const char *words[HOST_CONFORM_WORDS + 8];
    int count = 0;

    words[count++] = "gavel-check";
    words[count++] = "--plugin-dir";
    words[count++] = plugin_dir;
    for (int i = 0; i < args->conform_count; i++)
        words[count++] = args->conform[i];
    words[count++] = "--";
    words[count++] = args->plugin;
    words[count] = NULL;
    (void)execv(program, (char **)(uintptr_t)words);
    (void)fprintf(stderr, "gaveld: %s, which makes the checks, cannot be started: %s; it is installed with gavel, and "
                  "GAVEL_CHECK_PROGRAM names another one\n", program, strerror(errno));
    return EX_UNAVAILABLE;
}
