/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directory.c - names of plugin files, and a walk over them.
 */
#include "core/host/directory.h"

#include "core/host/schema.h"

#include <gavel/plugin.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

bool host_plugin_file(const char *file, char name[64], uint64_t *kind)
{
    const char *dash = strrchr(file, '-');
    size_t size;

    if (strncmp(file, "gavel-", 6) != 0 || !dash || dash <= file + 6)
        return false;
    size = (size_t)(dash - file - 6);
    if (size >= 64 || strspn(file + 6, "abcdefghijklmnopqrstuvwxyz0123456789-") < size)
        return false;
    for (uint64_t k = GAVEL_KIND_TRANSPORT; host_kind_name(k); k++) {
        const char *word = host_kind_name(k);

        if (strncmp(dash + 1, word, strlen(word)) == 0 && strcmp(dash + 1 + strlen(word), ".so") == 0) {
            memcpy(name, file + 6, size);
            name[size] = 0;
            *kind = k;
            return true;
        }
    }
    return false;
}

int32_t host_plugins_each(const char *dir, uint64_t kind, void (*each)(void *context, const char *file), void *context)
{
    struct dirent **entries;
    int count = scandir(dir, &entries, NULL, alphasort);

    if (count < 0)
        return GAVEL_E_IO;
    for (int i = 0; i < count; i++) {
        char name[64];
        uint64_t found;

        if (host_plugin_file(entries[i]->d_name, name, &found) && (kind == 0 || kind == found))
            each(context, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return GAVEL_OK;
}
