/* SPDX-License-Identifier: Apache-2.0 */
/* directory.c - the lists of members of all configurations that are held; see directory.h. */
#include "core/node/directory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/os/seeded.h"

static struct members *copy_of(const struct members *members)
{
    struct members *copy = malloc(sizeof *copy);

    if (copy)
        *copy = *members;
    return copy;
}

/* Drops the oldest `count`. */
static void drop_oldest(struct directory *directory, uint32_t count)
{
    assert(count <= directory->count);
    for (uint32_t i = 0; i < count; i++)
        free(directory->items[i].members);
    directory->count -= count;
    memmove(&directory->items[0], &directory->items[count], directory->count * sizeof directory->items[0]);
}

void directory_free(struct directory *directory)
{
    drop_oldest(directory, directory->count);
}

int32_t directory_begin(struct directory *directory, uint64_t index, const struct members *members)
{
    struct members *copy = copy_of(members);

    if (!copy)
        return GAVEL_E_NO_MEMORY;
    drop_oldest(directory, directory->count);
    directory->items[0].index = index;
    directory->items[0].members = copy;
    directory->count = 1;
    return GAVEL_OK;
}

int32_t directory_push(struct directory *directory, uint64_t index, const struct members *members)
{
    struct members *copy;

    assert(directory->count > 0);
    if (index <= directory->items[0].index)
        return GAVEL_OK;
    assert(index > directory->items[directory->count - 1].index);
    copy = copy_of(members);
    if (!copy)
        return GAVEL_E_NO_MEMORY;
    if (directory->count == DIRECTORY_MAX)
        drop_oldest(directory, 1);
    copy->version = index;
    directory->items[directory->count].index = index;
    directory->items[directory->count].members = copy;
    directory->count++;
    return GAVEL_OK;
}

bool directory_truncate(struct directory *directory, uint64_t from)
{
    uint32_t before = directory->count;

    if (seeded_bug("member-names-not-rolled-back"))
        return false;
    while (directory->count > 1 && directory->items[directory->count - 1].index >= from)
        free(directory->items[--directory->count].members);
    return directory->count < before;
}

void directory_prune(struct directory *directory, uint64_t index)
{
    uint32_t old = 0;

    while (old + 1 < directory->count && directory->items[old + 1].index <= index)
        old++;
    drop_oldest(directory, old);
}

const struct members *directory_now(const struct directory *directory)
{
    return directory->count ? directory->items[directory->count - 1].members : NULL;
}

const struct members *directory_at(const struct directory *directory, uint64_t index)
{
    for (uint32_t i = directory->count; i-- > 0;)
        if (directory->items[i].index <= index)
            return directory->items[i].members;
    return NULL;
}

const struct member *directory_find(const struct directory *directory, uint64_t id)
{
    const struct member *found = NULL;

    for (uint32_t i = directory->count; i-- > 0 && !found;)
        found = members_find(directory->items[i].members, id);
    return found;
}

bool directory_removed(const struct directory *directory, uint64_t index, uint64_t id)
{
    const struct members *then = directory_at(directory, index);

    return then && id != 0 && id < then->next_id && !members_find(then, id);
}
