/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup.c - uv_getaddrinfo with an owner that may go away first.
 */
#include "lookup.h"

#include <assert.h>
#include <netdb.h>
#include <stdlib.h>

#define LOOKUP_MAGIC 0x4c6f6f6bu

struct lookup {
    uint32_t magic;
    uv_getaddrinfo_t request;
    lookup_done done; /* NULL: forgotten */
    void *context;
};

static void on_found(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct lookup *lookup = request->data;
    struct sockaddr_storage found[LOOKUP_MAX];
    struct addrinfo *at;
    uint64_t count = 0;

    assert(lookup->magic == LOOKUP_MAGIC);
    memset(found, 0, sizeof found);
    for (at = list; at && status == 0 && count < LOOKUP_MAX; at = at->ai_next)
        if (at->ai_addrlen <= sizeof found[0])
            memcpy(&found[count++], at->ai_addr, at->ai_addrlen);
    uv_freeaddrinfo(list);
    if (status == 0 && count == 0)
        status = UV_EAI_NODATA;
    if (lookup->done)
        lookup->done(lookup->context, status, found, count);
    lookup->magic = 0;
    free(lookup);
}

int lookup_start(uv_loop_t *loop, const char *host, uint16_t port, lookup_done done, void *context,
                 struct lookup **result)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct lookup *lookup = calloc(1, sizeof *lookup);
    char service[8];
    int status;

    if (!lookup)
        return UV_ENOMEM;
    (void)snprintf(service, sizeof service, "%u", (unsigned)port);
    lookup->magic = LOOKUP_MAGIC;
    lookup->done = done;
    lookup->context = context;
    lookup->request.data = lookup;
    status = uv_getaddrinfo(loop, &lookup->request, on_found, host, service, &hints);
    if (status < 0) {
        free(lookup);
        return status;
    }
    *result = lookup;
    return 0;
}

void lookup_forget(struct lookup *lookup)
{
    if (!lookup)
        return;
    assert(lookup->magic == LOOKUP_MAGIC);
    lookup->done = NULL;
    (void)uv_cancel((uv_req_t *)&lookup->request);
}
