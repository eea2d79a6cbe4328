/* SPDX-License-Identifier: Apache-2.0 */
/*
 * js_heap.h - memory for one json_loadb, that may run out.
 *
 * jansson 2.14 does not survive a refused allocation: when the buffer of its lexer cannot grow it drops a byte and goes
 * on, so that a number is read as another one, an assertion fails, or it writes behind the end of a string. So while a
 * reader loads, jansson's allocations come from a heap of the reader's: one that is refused leaves jansson by a long
 * jump, and the whole heap is given back at once.
 *
 * jansson's allocator belongs to the process. Only gaveld's plugin puts this one in its place (js_heap_install, from
 * create); outside of a load of ours it hands on to the one that was there. libgavel leaves an application's jansson
 * alone.
 */
#ifndef GAVEL_JS_HEAP_H
#define GAVEL_JS_HEAP_H

#include <setjmp.h>
#include <stdint.h>

struct js_heap_block;

/* All zero is a valid empty one. */
struct js_heap {
    struct js_heap_block *newest;
    uint64_t used; /* of the newest block */
    jmp_buf out;   /* where a refused allocation goes: set it, then js_heap_enter */
};

/* [loop] Stand in for jansson's allocator; once a process, the second call does nothing. */
void js_heap_install(void);

/* [any] True when jansson allocates from heaps between enter and leave. */
int js_heap_installed(void);

/* [any] From here to js_heap_leave, what jansson takes in this thread comes from the heap. */
void js_heap_enter(struct js_heap *heap);
void js_heap_leave(void);

/* [any] Give everything back; the heap is empty again. */
void js_heap_free(struct js_heap *heap);

#endif
