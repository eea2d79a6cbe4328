/* SPDX-License-Identifier: Apache-2.0 */
/*
 * module.c - a table that only grows, so that a signal's handler can read it.
 */
#define _GNU_SOURCE /* dl_iterate_phdr */

#include "core/host/module.h"

#include "core/host/loader.h"

#include <link.h>
#include <stdatomic.h>
#include <string.h>

/* The executable memory of loaded plugins; written on the loop before their code runs, read by the handler. */
static struct module {
    const char *path;
    uintptr_t begin;
    uintptr_t end;
} modules[HOST_PLUGINS_MAX];
static _Atomic uint32_t module_count;

static int find_module(struct dl_phdr_info *info, size_t size, void *context)
{
    struct module *module = context;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + segment->p_vaddr, end = begin + segment->p_memsz;

        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) || module->begin < begin || module->begin >= end)
            continue;
        module->begin = begin;
        module->end = end;
        return 1;
    }
    return 0;
}

void host_module_add(const char *path, const void *entry)
{
    uint32_t count = atomic_load(&module_count);
    struct module module = {.path = NULL, .begin = (uintptr_t)entry};

    if (count == HOST_PLUGINS_MAX || !dl_iterate_phdr(find_module, &module))
        return;
    module.path = strdup(path); /* for ever: nothing is ever unloaded */
    if (!module.path)
        return;
    modules[count] = module;
    atomic_store(&module_count, count + 1);
}

const char *host_module_at(const void *at)
{
    uint32_t count = atomic_load(&module_count);
    uintptr_t pc = (uintptr_t)at;

    for (uint32_t i = 0; i < count; i++)
        if (pc >= modules[i].begin && pc < modules[i].end)
            return modules[i].path;
    return NULL;
}
