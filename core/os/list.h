/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.h - an intrusive, circular, doubly linked list, and the way from a member back to its owner.
 */
#ifndef CORE_OS_LIST_H
#define CORE_OS_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct os_list {
    struct os_list *next;
    struct os_list *prev;
};

/* The struct of `type` whose `member` is at `pointer`. */
#define os_container(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* Walk `list`; the current item may not be removed. `type *item` must be declared. */
#define os_list_each(item, list, type, member)                                                                     \
    for ((item) = os_container((list)->next, type, member); &(item)->member != (list);                              \
         (item) = os_container((item)->member.next, type, member))

/* Make an empty list, or a link that is in no list. */
static inline void os_list_init(struct os_list *list)
{
    list->next = list;
    list->prev = list;
}

/* True for a list without items, and for a link that is in no list. */
static inline bool os_list_empty(const struct os_list *list)
{
    return list->next == list;
}

/* Put `link` at the end. */
static inline void os_list_push(struct os_list *list, struct os_list *link)
{
    link->next = list;
    link->prev = list->prev;
    list->prev->next = link;
    list->prev = link;
}

/* Take `link` out of its list; harmless for a link that is in none. */
static inline void os_list_remove(struct os_list *link)
{
    link->next->prev = link->prev;
    link->prev->next = link->next;
    os_list_init(link);
}

/* Take the first link out; NULL when the list is empty. */
static inline struct os_list *os_list_pop(struct os_list *list)
{
    struct os_list *first = list->next;

    if (first == list)
        return NULL;
    os_list_remove(first);
    return first;
}

#endif
