/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem_node.h - one file of the disk in memory; for mem.c only.
 *
 * There is one image, the present one, in pages of which those of zeroes take no memory. What a crash may take back is
 * in an undo list: the durable bytes of each sector that was written since its last sync. So a write costs its bytes
 * twice, a sync and a crash cost what is pending, and a file of zeroes costs nothing, however large.
 */
#ifndef CORE_OS_MEM_NODE_H
#define CORE_OS_MEM_NODE_H

#include "core/os/mem.h"

#define MEM_PAGE 4096                            /* bytes */
#define MEM_PAGE_SECTORS (MEM_PAGE / OS_MEM_SECTOR) /* one bit of a byte each */

struct mem_page {
    uint8_t *data;   /* NULL: zeroes */
    uint8_t undone;  /* a bit a sector: it stands in the undo list */
    uint8_t lost;    /* of these: a sync failed and forgot it. Nothing will write it any more, but reads still see it */
};

/* What is durable where the present image may differ. */
struct mem_undo {
    uint64_t sector;
    uint8_t *old; /* its own memory; NULL: zeroes, as nearly always, since files grow */
};

/* A file or directory, apart from its names. */
struct mem_node {
    uint32_t references; /* names in either table, pending operations, open files */
    uint32_t is_dir;
    uint32_t mode;
    uint32_t page_count;
    uint64_t id; /* never used again on this disk */
    uint64_t durable_size;
    uint64_t size;
    struct mem_page *pages;
    struct mem_undo *undo;
    uint32_t undo_count;
    uint32_t undo_capacity;
    uint8_t *flat; /* a copy in one piece, for those who look in from outside */
    struct os_file *locker;
};

/* Tests only: out of memory ends the test. */
void *mem_must(void *pointer);

char *mem_copy_text(const char *text);

/* A node without references. */
struct mem_node *mem_node_new(uint64_t id, uint32_t is_dir, uint32_t mode);

struct mem_node *mem_node_copy(const struct mem_node *node);

struct mem_node *mem_node_ref(struct mem_node *node);
void mem_node_unref(struct mem_node *node);

/* Sectors that so many bytes take. */
uint64_t mem_sectors(uint64_t bytes);

/* Set the present length. */
void mem_node_resize(struct mem_node *node, uint64_t size);

/* Write into the present image, within its length. */
void mem_node_write(struct mem_node *node, uint64_t offset, const void *data, uint64_t length);

/* Read from the present image, within its length. */
void mem_node_read(const struct mem_node *node, uint64_t offset, void *data, uint64_t length);

/* Change both images, within the present length. */
void mem_node_poke(struct mem_node *node, uint64_t offset, const void *data, uint64_t length);

/* The durable bytes of a sector; true when the present ones are no others by right (it is not in the undo list). */
bool mem_node_durable(const struct mem_node *node, uint64_t sector, uint8_t bytes[OS_MEM_SECTOR]);

/* Bytes up to the end of the last page that is not of zeroes. */
uint64_t mem_node_filled(const struct mem_node *node);

/* All of an image in one piece, with at least one byte; borrowed until the next call. */
const uint8_t *mem_node_flat(struct mem_node *node, bool durable);

/* The present image becomes the durable one. */
void mem_node_sync(struct mem_node *node);

/* The same for some bytes only, and for the length when they need it. */
void mem_node_sync_range(struct mem_node *node, uint64_t offset, uint64_t end);

/* One pending sector is written back, as the kernel may do at any time. */
void mem_node_write_back(struct mem_node *node, uint64_t *seed);

/* What a failed fsync leaves: each pending sector was written or (always, without a seed) not, and nothing is dirty. */
void mem_node_fail_sync(struct mem_node *node, uint64_t *seed);

/* Forget what is cached of lost sectors: reads say what is durable. */
void mem_node_refresh(struct mem_node *node);

/* Decide each pending sector; what is kept is durable. */
void mem_node_crash(struct mem_node *node, enum os_mem_crash how, uint64_t *seed);

#endif
