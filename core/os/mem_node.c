/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem_node.c - one file of the disk in memory, and what a crash may do to it.
 */
#include "core/os/mem_node.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEM_UNDO_KEPT 2048 /* entries of an empty undo list that stay allocated: 32 KiB a file */

uint64_t os_mem_random(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void *mem_must(void *pointer)
{
    if (!pointer) {
        (void)fprintf(stderr, "os_mem: out of memory\n");
        abort();
    }
    return pointer;
}

char *mem_copy_text(const char *text)
{
    return text ? mem_must(strdup(text)) : NULL;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

struct mem_node *mem_node_new(uint64_t id, uint32_t is_dir, uint32_t mode)
{
    struct mem_node *node = mem_must(calloc(1, sizeof *node));

    node->id = id;
    node->is_dir = is_dir;
    node->mode = mode;
    return node;
}

void mem_node_unref(struct mem_node *node)
{
    if (!node)
        return;
    assert(node->references);
    if (--node->references)
        return;
    for (uint32_t i = 0; i < node->page_count; i++)
        free(node->pages[i].data);
    for (uint32_t i = 0; i < node->undo_count; i++)
        free(node->undo[i].old);
    free(node->pages);
    free(node->undo);
    free(node->flat);
    free(node);
}

struct mem_node *mem_node_ref(struct mem_node *node)
{
    node->references++;
    return node;
}

static uint8_t *sector_copy(const uint8_t *bytes)
{
    return memcpy(mem_must(malloc(OS_MEM_SECTOR)), bytes, OS_MEM_SECTOR);
}

struct mem_node *mem_node_copy(const struct mem_node *node)
{
    struct mem_node *copy = mem_node_new(node->id, node->is_dir, node->mode);

    copy->size = node->size;
    copy->durable_size = node->durable_size;
    copy->page_count = node->page_count;
    copy->pages = mem_must(calloc(node->page_count + 1u, sizeof *copy->pages));
    for (uint32_t i = 0; i < node->page_count; i++) {
        copy->pages[i] = node->pages[i];
        if (node->pages[i].data) {
            copy->pages[i].data = mem_must(malloc(MEM_PAGE));
            memcpy(copy->pages[i].data, node->pages[i].data, MEM_PAGE);
        }
    }
    copy->undo_count = node->undo_count;
    copy->undo_capacity = node->undo_count;
    if (node->undo_count) {
        copy->undo = mem_must(malloc(node->undo_count * sizeof *copy->undo));
        memcpy(copy->undo, node->undo, node->undo_count * sizeof *copy->undo);
    }
    for (uint32_t i = 0; i < node->undo_count; i++)
        if (node->undo[i].old)
            copy->undo[i].old = sector_copy(node->undo[i].old);
    return copy;
}

uint64_t mem_sectors(uint64_t bytes)
{
    return (bytes + OS_MEM_SECTOR - 1) / OS_MEM_SECTOR;
}

/* ---- pages and the undo list --------------------------------------------------------------------------- */

static struct mem_page *page_of(const struct mem_node *node, uint64_t sector)
{
    assert(sector / MEM_PAGE_SECTORS < node->page_count);
    return &node->pages[sector / MEM_PAGE_SECTORS];
}

static uint8_t bit_of(uint64_t sector)
{
    return (uint8_t)(1u << sector % MEM_PAGE_SECTORS);
}

static uint8_t *page_bytes(struct mem_page *page)
{
    if (!page->data)
        page->data = mem_must(calloc(1, MEM_PAGE));
    return page->data;
}

/* The same, of which `part` bytes are about to be written: a whole page need not be cleared before. */
static uint8_t *page_bytes_for(struct mem_page *page, uint64_t part)
{
    if (!page->data && part == MEM_PAGE)
        page->data = mem_must(malloc(MEM_PAGE));
    return page_bytes(page);
}

static bool is_zero(const uint8_t *data, uint64_t length)
{
    return length == 0 || (data[0] == 0 && memcmp(data, data + 1, length - 1) == 0);
}

/* Room for `size` bytes. */
static void reserve(struct mem_node *node, uint64_t size)
{
    uint64_t wanted = (size + MEM_PAGE - 1) / MEM_PAGE;
    uint64_t count = node->page_count ? node->page_count : 4;

    if (wanted <= node->page_count)
        return;
    while (count < wanted)
        count *= 2;
    assert(count < UINT32_MAX);
    node->pages = mem_must(realloc(node->pages, count * sizeof *node->pages));
    memset(node->pages + node->page_count, 0, (count - node->page_count) * sizeof *node->pages);
    node->page_count = (uint32_t)count;
}

/* A sector is about to change: remember what is durable, unless that is known already. */
static void touch(struct mem_node *node, uint64_t sector)
{
    struct mem_page *page = page_of(node, sector);
    struct mem_undo *undo;
    uint8_t bit = bit_of(sector);

    page->lost &= (uint8_t)~bit; /* dirty again */
    if (page->undone & bit)
        return;
    if (node->undo_count == node->undo_capacity) {
        node->undo_capacity = node->undo_capacity ? node->undo_capacity * 2 : 8;
        node->undo = mem_must(realloc(node->undo, node->undo_capacity * sizeof *node->undo));
    }
    undo = &node->undo[node->undo_count++];
    undo->sector = sector;
    undo->old = page->data ? sector_copy(page->data + sector % MEM_PAGE_SECTORS * OS_MEM_SECTOR) : NULL;
    page->undone |= bit;
}

/* Entry `at` is settled: its sector's present bytes are durable. The last entry takes its place. */
static void settle(struct mem_node *node, uint32_t at)
{
    struct mem_page *page = page_of(node, node->undo[at].sector);
    uint8_t keep = (uint8_t)~bit_of(node->undo[at].sector);

    page->undone &= keep;
    page->lost &= keep;
    free(node->undo[at].old);
    if (at != --node->undo_count)
        node->undo[at] = node->undo[node->undo_count];
    if (!node->undo_count && node->undo_capacity > MEM_UNDO_KEPT) {
        free(node->undo);
        node->undo = NULL;
        node->undo_capacity = 0;
    }
}

/* Entry `at`: the present bytes become the durable ones again. */
static void undo_one(struct mem_node *node, uint32_t at)
{
    const struct mem_undo *undo = &node->undo[at];
    uint8_t *to = page_bytes(page_of(node, undo->sector)) + undo->sector % MEM_PAGE_SECTORS * OS_MEM_SECTOR;

    if (undo->old)
        memcpy(to, undo->old, OS_MEM_SECTOR);
    else
        memset(to, 0, OS_MEM_SECTOR);
}

static bool is_lost(const struct mem_node *node, uint32_t at)
{
    return page_of(node, node->undo[at].sector)->lost & bit_of(node->undo[at].sector);
}

/* ---- bytes --------------------------------------------------------------------------------------------- */

/* `data` NULL: zeroes. */
static void write_bytes(struct mem_node *node, uint64_t offset, const uint8_t *data, uint64_t length)
{
    while (length) {
        struct mem_page *page = page_of(node, offset / OS_MEM_SECTOR);
        uint64_t at = offset % MEM_PAGE;
        uint64_t part = length < MEM_PAGE - at ? length : MEM_PAGE - at;

        if (page->data || (data && !is_zero(data, part))) {
            for (uint64_t sector = offset / OS_MEM_SECTOR; sector < mem_sectors(offset + part); sector++)
                touch(node, sector);
            if (data)
                memcpy(page_bytes_for(page, part) + at, data, part);
            else
                memset(page_bytes(page) + at, 0, part);
        }
        offset += part;
        length -= part;
        if (data)
            data += part;
    }
}

void mem_node_write(struct mem_node *node, uint64_t offset, const void *data, uint64_t length)
{
    assert(offset + length <= node->size);
    write_bytes(node, offset, data, length);
}

void mem_node_resize(struct mem_node *node, uint64_t size)
{
    reserve(node, size);
    if (size < node->size)
        write_bytes(node, size, NULL, node->size - size);
    node->size = size;
}

void mem_node_read(const struct mem_node *node, uint64_t offset, void *data, uint64_t length)
{
    uint8_t *to = data;

    while (length) {
        const struct mem_page *page = page_of(node, offset / OS_MEM_SECTOR);
        uint64_t at = offset % MEM_PAGE;
        uint64_t part = length < MEM_PAGE - at ? length : MEM_PAGE - at;

        if (page->data)
            memcpy(to, page->data + at, part);
        else
            memset(to, 0, part);
        to += part;
        offset += part;
        length -= part;
    }
}

void mem_node_poke(struct mem_node *node, uint64_t offset, const void *data, uint64_t length)
{
    const uint8_t *from = data;
    uint64_t end = offset + length;

    for (uint32_t i = 0; i < node->undo_count; i++) {
        struct mem_undo *undo = &node->undo[i];
        uint64_t first = undo->sector * OS_MEM_SECTOR;
        uint64_t low = first > offset ? first : offset;
        uint64_t high = first + OS_MEM_SECTOR < end ? first + OS_MEM_SECTOR : end;

        if (low >= high)
            continue;
        if (!undo->old)
            undo->old = mem_must(calloc(1, OS_MEM_SECTOR));
        memcpy(undo->old + (low - first), from + (low - offset), high - low);
    }
    while (length) {
        uint64_t at = offset % MEM_PAGE;
        uint64_t part = length < MEM_PAGE - at ? length : MEM_PAGE - at;

        memcpy(page_bytes(page_of(node, offset / OS_MEM_SECTOR)) + at, from, part);
        from += part;
        offset += part;
        length -= part;
    }
}

bool mem_node_durable(const struct mem_node *node, uint64_t sector, uint8_t bytes[OS_MEM_SECTOR])
{
    const struct mem_page *page = page_of(node, sector);

    for (uint32_t i = 0; (page->undone & bit_of(sector)) && i < node->undo_count; i++) {
        if (node->undo[i].sector != sector)
            continue;
        if (node->undo[i].old)
            memcpy(bytes, node->undo[i].old, OS_MEM_SECTOR);
        else
            memset(bytes, 0, OS_MEM_SECTOR);
        return false;
    }
    if (page->data)
        memcpy(bytes, page->data + sector % MEM_PAGE_SECTORS * OS_MEM_SECTOR, OS_MEM_SECTOR);
    else
        memset(bytes, 0, OS_MEM_SECTOR);
    return true;
}

uint64_t mem_node_filled(const struct mem_node *node)
{
    uint64_t count = node->page_count;

    while (count && !node->pages[count - 1].data)
        count--;
    return count * MEM_PAGE;
}

const uint8_t *mem_node_flat(struct mem_node *node, bool durable)
{
    uint64_t size = node->size > node->durable_size ? node->size : node->durable_size;

    reserve(node, size);
    node->flat = mem_must(realloc(node->flat, size + OS_MEM_SECTOR));
    mem_node_read(node, 0, node->flat, size);
    for (uint32_t i = 0; durable && i < node->undo_count; i++) {
        const struct mem_undo *undo = &node->undo[i];

        if (undo->sector * OS_MEM_SECTOR >= size)
            continue; /* of a length that is gone in both images */
        if (undo->old)
            memcpy(node->flat + undo->sector * OS_MEM_SECTOR, undo->old, OS_MEM_SECTOR);
        else
            memset(node->flat + undo->sector * OS_MEM_SECTOR, 0, OS_MEM_SECTOR);
    }
    return node->flat;
}

/* ---- durability ---------------------------------------------------------------------------------------- */

void mem_node_sync(struct mem_node *node)
{
    for (uint32_t i = node->undo_count; i-- > 0;) {
        if (!is_lost(node, i))
            settle(node, i);
    }
    node->durable_size = node->size;
}

void mem_node_sync_range(struct mem_node *node, uint64_t offset, uint64_t end)
{
    for (uint32_t i = node->undo_count; i-- > 0;) {
        uint64_t sector = node->undo[i].sector;

        if (sector >= offset / OS_MEM_SECTOR && sector < mem_sectors(end) && !is_lost(node, i))
            settle(node, i);
    }
    if (end > node->durable_size)
        node->durable_size = node->size;
}

void mem_node_write_back(struct mem_node *node, uint64_t *seed)
{
    uint32_t at = node->undo_count ? (uint32_t)(os_mem_random(seed) % node->undo_count) : 0;

    if (node->undo_count && !is_lost(node, at))
        settle(node, at);
}

void mem_node_fail_sync(struct mem_node *node, uint64_t *seed)
{
    for (uint32_t i = node->undo_count; i-- > 0;) {
        if (is_lost(node, i))
            continue;
        if (seed && (os_mem_random(seed) & 1))
            settle(node, i);
        else
            page_of(node, node->undo[i].sector)->lost |= bit_of(node->undo[i].sector);
    }
}

void mem_node_refresh(struct mem_node *node)
{
    for (uint32_t i = node->undo_count; i-- > 0;) {
        if (is_lost(node, i)) {
            undo_one(node, i);
            settle(node, i);
        }
    }
}

/* Both images end at `size`: nothing is behind it. */
static void cut(struct mem_node *node, uint64_t size)
{
    uint64_t page = size / MEM_PAGE;

    reserve(node, size);
    node->size = size;
    node->durable_size = size;
    if (size % MEM_PAGE && node->pages[page].data)
        memset(node->pages[page].data + size % MEM_PAGE, 0, MEM_PAGE - size % MEM_PAGE);
    for (page += size % MEM_PAGE ? 1 : 0; page < node->page_count; page++) {
        free(node->pages[page].data);
        node->pages[page].data = NULL;
    }
}

void mem_node_crash(struct mem_node *node, enum os_mem_crash how, uint64_t *seed)
{
    uint64_t kept_size = node->durable_size;

    if (how == OS_MEM_KEEP_ALL || (how == OS_MEM_RANDOM && (os_mem_random(seed) & 1)))
        kept_size = node->size;
    for (uint32_t i = node->undo_count; i-- > 0;) {
        uint64_t draw = how == OS_MEM_RANDOM ? os_mem_random(seed) % 8 : how == OS_MEM_KEEP_ALL ? 0 : 7;

        if (draw >= 4 || is_lost(node, i))
            undo_one(node, i);
        if (draw == 4 && !is_lost(node, i)) {
            uint64_t sector = node->undo[i].sector;
            uint8_t *bytes = page_bytes(page_of(node, sector)) + sector % MEM_PAGE_SECTORS * OS_MEM_SECTOR;

            for (uint32_t k = 0; k < OS_MEM_SECTOR; k += 8) {
                uint64_t noise = os_mem_random(seed);

                memcpy(bytes + k, &noise, 8);
            }
        }
        settle(node, i);
    }
    cut(node, kept_size);
    node->locker = NULL;
}
