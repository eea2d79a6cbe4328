/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload_address.c - where a node is reached after a reload. An address in the configuration may be a name or a port
 * that leads to a listener by ways this host knows nothing of; so what is not about a transport that goes is left.
 */
#include "core/host/reload.h"

#include <string.h>

#define LISTEN_MAX 8 /* addresses that one transport is bound to */

static const char *port_of(const char *uri)
{
    const char *colon = strrchr(uri, ':');

    return colon && strspn(colon + 1, "0123456789") == strlen(colon + 1) ? colon + 1 : "";
}

static const char *advertised(const struct host_instance_config *config, uint64_t i)
{
    const struct gavel_slice *items = config->transport.advertise.items;

    return i < config->transport.advertise.count ? items[i].data : NULL;
}

/* Whether an address of this node leads to that transport: it says so, or has its scheme and port. */
static bool leads_to(const struct host_reload *reload, const char *address, const struct host_part *part)
{
    const struct node *node = reload->process->node;
    size_t scheme = strcspn(address, ":");
    const char *one;

    for (uint64_t i = 0; (one = advertised(part->config, i)); i++)
        if (strcmp(one, address) == 0)
            return true;
    for (uint32_t i = 0; i < LISTEN_MAX; i++) {
        const char *bound = node_transport_bound(node, part->listening, i);

        if (*bound && strcspn(bound, ":") == scheme && strncmp(bound, address, scheme) == 0 &&
            strcmp(port_of(bound), port_of(address)) == 0)
            return true;
    }
    return false;
}

static bool goes(const struct host_reload *reload, const char *address)
{
    for (unsigned i = 0; i < reload->change_count; i++) {
        const struct host_change *change = &reload->change[i];

        if (change->old && change->old->listening && change->what != HOST_KEEP &&
            leads_to(reload, address, change->old))
            return true;
    }
    return false;
}

/* [] and 0.0.0.0 are nobody's address: the host of an address that the node has already takes their place. */
static const char *reachable(struct host_reload *reload, const char *bound, const char *known)
{
    const char *host = strstr(bound, "://"), *port = strrchr(bound, ':'), *from = known ? strstr(known, "://") : NULL;
    size_t size;

    if (!host || !port || (strncmp(host + 3, "0.0.0.0:", 8) != 0 && strncmp(host + 3, "[::]:", 5) != 0))
        return bound;
    if (!from || !strrchr(from + 3, ':'))
        return NULL;
    size = (size_t)(strrchr(from + 3, ':') - (from + 3));
    return host_arena_format(&reload->next->config.arena, "%.*s%.*s%s", (int)(host + 3 - bound), bound, (int)size,
                             from + 3, port);
}

static void add(struct host_reload *reload, const char *texts[NODE_ADDRESSES_MAX], uint32_t *count, const char *text)
{
    for (uint32_t i = 0; i < *count; i++)
        if (strcmp(texts[i], text) == 0)
            return;
    if (*count == NODE_ADDRESSES_MAX)
        host_fault(&reload->faults, "%s: a member has at most %d addresses, and %s would be one more",
                   reload->next->config.ini.file, NODE_ADDRESSES_MAX, text);
    else
        texts[(*count)++] = host_arena_format(&reload->next->config.arena, "%s", text);
}

/* Those of one transport that comes, or is advertised otherwise. */
static void add_all(struct host_reload *reload, const char *texts[NODE_ADDRESSES_MAX], uint32_t *count,
                    const struct host_part *part, const struct host_instance_config *config, const char *known)
{
    const char *one;

    for (uint64_t i = 0; (one = advertised(config, i)); i++)
        add(reload, texts, count, one);
    for (uint32_t i = 0; i < LISTEN_MAX && config->transport.advertise.count == 0; i++) {
        const char *bound = node_transport_bound(reload->process->node, part->listening, i);
        const char *text = *bound ? reachable(reload, bound, known) : NULL;

        if (text)
            add(reload, texts, count, text);
    }
}

uint32_t host_reload_addresses(struct host_reload *reload, const char *texts[NODE_ADDRESSES_MAX])
{
    const char *own[NODE_ADDRESSES_MAX];
    uint32_t own_count = node_addresses(reload->process->node, own), count = 0;

    for (uint32_t i = 0; i < own_count; i++)
        if (!goes(reload, own[i]))
            add(reload, texts, &count, own[i]);
    for (unsigned i = 0; i < reload->change_count; i++) {
        const struct host_change *change = &reload->change[i];
        const struct host_part *part = change->fresh ? change->fresh : change->what == HOST_TUNE ? change->old : NULL;

        if (part && part->listening)
            add_all(reload, texts, &count, part, &reload->next->config.instance[change->index],
                    own_count ? own[0] : NULL);
    }
    if (count == 0)
        host_fault(&reload->faults, "%s: this node would have no address left: give a transport `listen`",
                   reload->next->config.ini.file);
    return count;
}
