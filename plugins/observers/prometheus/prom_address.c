/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prom_address.c - addresses to listen on. They are numeric (or "localhost"), for nothing on the node's loop may wait
 * for a name server.
 */
#define _GNU_SOURCE
#include "prom.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 64
#define NOTE_BYTES (PROM_ADDRESSES_MAX * (PROM_SPEC_MAX + 16))

/* ---- taking apart ------------------------------------------------------------------------------------------------ */

static int32_t no_address(struct gavel_error *error, const char *text)
{
    return gavel_fail(error, GAVEL_E_CONFIG, "listen: expected an address and a port such as 127.0.0.1:9464, "
                      "[::1]:9464, localhost:9464 or 0.0.0.0:9464, found \"%.100s\"", text);
}

static bool take_port(const char *text, uint16_t *port)
{
    unsigned long value;
    char *end;

    if (*text < '0' || *text > '9' || strlen(text) > 5)
        return false;
    value = strtoul(text, &end, 10);
    *port = (uint16_t)value;
    return *end == 0 && value <= 65535;
}

static int32_t take_address(struct gavel_slice given, struct prom_address *address, struct gavel_error *error)
{
    struct sockaddr_in *four = (struct sockaddr_in *)(void *)address->socket;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)address->socket;
    char host[PROM_SPEC_MAX], *colon;
    size_t size = given.size < sizeof host ? (size_t)given.size : sizeof host - 1;

    memset(address, 0, sizeof *address);
    memcpy(host, given.data, size);
    host[size] = 0;
    (void)snprintf(address->text, sizeof address->text, "%s", host);
    colon = strrchr(host, ':');
    if (given.size >= sizeof host || !colon || !take_port(colon + 1, &address->port))
        return no_address(error, address->text);
    *colon = 0;
    if (strcmp(host, "localhost") == 0)
        (void)snprintf(host, sizeof host, "127.0.0.1");
    if (host[0] == '[' && colon[-1] == ']') {
        colon[-1] = 0;
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(address->port);
        address->size = sizeof *six;
        if (inet_pton(AF_INET6, host + 1, &six->sin6_addr) != 1)
            return no_address(error, address->text);
        address->loopback = IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
        return GAVEL_OK;
    }
    four->sin_family = AF_INET;
    four->sin_port = htons(address->port);
    address->size = sizeof *four;
    if (inet_pton(AF_INET, host, &four->sin_addr) != 1)
        return no_address(error, address->text);
    address->loopback = ntohl(four->sin_addr.s_addr) >> 24 == 127;
    return GAVEL_OK;
}

int32_t prom_addresses(const struct gavel_list *list, struct prom_address *addresses, uint64_t *count,
                       struct gavel_error *error)
{
    const char *at = list->items;

    if (list->count == 0 || list->count > PROM_ADDRESSES_MAX)
        return gavel_fail(error, GAVEL_E_CONFIG, "listen: expected 1 to %d addresses", PROM_ADDRESSES_MAX);
    for (uint64_t i = 0; i < list->count; i++, at += list->stride) {
        struct gavel_slice given;
        int32_t status;

        memcpy(&given, at, sizeof given);
        status = take_address(given, &addresses[i], error);
        if (status != GAVEL_OK)
            return status;
    }
    for (uint64_t i = 0; i < list->count; i++)
        for (uint64_t j = 0; j < list->count; j++)
            if (addresses[i].size == sizeof(struct sockaddr_in6) && addresses[j].size == sizeof(struct sockaddr_in) &&
                addresses[i].port == addresses[j].port)
                addresses[i].six = true;
    *count = list->count;
    return GAVEL_OK;
}

/* ---- notes: a file in memory that only this process sees, named after the section -------------------------------- */

static int find_in_note(int note, const char *spec)
{
    char text[NOTE_BYTES + 1], *line = text, *end;
    ssize_t size = pread(note, text, NOTE_BYTES, 0);

    text[size > 0 ? size : 0] = 0;
    for (; (end = strchr(line, '\n')); line = end + 1) {
        char *blank = strrchr(line, ' ');

        *end = 0;
        blank = strrchr(line, ' ');
        if (!blank)
            continue;
        *blank = 0;
        if (strcmp(line, spec) == 0)
            return fcntl((int)strtol(blank + 1, NULL, 10), F_DUPFD_CLOEXEC, 3);
    }
    return -1;
}

/* The socket of an older instance of the section, for this one too; -1: there is none. */
static int share(const char *notes, const char *spec)
{
    DIR *list = opendir("/proc/self/fd");
    char wanted[256], path[64], target[256];
    struct dirent *entry;
    int fd = -1;

    (void)snprintf(wanted, sizeof wanted, "/memfd:%s (deleted)", notes);
    while (list && fd < 0 && (entry = readdir(list))) {
        ssize_t size;

        (void)snprintf(path, sizeof path, "/proc/self/fd/%.20s", entry->d_name);
        size = readlink(path, target, sizeof target - 1);
        target[size > 0 ? size : 0] = 0;
        if (strcmp(target, wanted) == 0)
            fd = find_in_note((int)strtol(entry->d_name, NULL, 10), spec);
    }
    if (list)
        (void)closedir(list);
    return fd;
}

int prom_note(const char *notes, const struct prom_address *addresses, const int *fds, uint64_t count)
{
    char text[NOTE_BYTES + 1];
    size_t used = 0;
    int note = memfd_create(notes, MFD_CLOEXEC);

    for (uint64_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s %d\n", addresses[i].text, fds[i]);
    if (note >= 0 && pwrite(note, text, used, 0) != (ssize_t)used) {
        (void)close(note);
        note = -1;
    }
    return note;
}

/* ---- listening --------------------------------------------------------------------------------------------------- */

int32_t prom_listen(const struct prom_address *address, const char *notes, int *fd, struct gavel_error *error)
{
    const struct sockaddr *socket_address = (const struct sockaddr *)(const void *)address->socket;
    int on = 1, six = address->six, code;

    *fd = share(notes, address->text);
    if (*fd >= 0)
        return GAVEL_OK;
    *fd = socket(socket_address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd >= 0 && setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        (socket_address->sa_family != AF_INET6 ||
         setsockopt(*fd, IPPROTO_IPV6, IPV6_V6ONLY, &six, sizeof six) == 0) &&
        bind(*fd, socket_address, address->size) == 0 && listen(*fd, BACKLOG) == 0)
        return GAVEL_OK;
    code = errno;
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
    return gavel_fail(error, code == EACCES ? GAVEL_E_DENIED : GAVEL_E_IO, "cannot listen on %s: %s", address->text,
                      strerror(code));
}

void prom_bound(int fd, char text[PROM_SPEC_MAX])
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    char host[INET6_ADDRSTRLEN] = "";

    text[0] = 0;
    if (getsockname(fd, (struct sockaddr *)&bound, &size) != 0)
        return;
    if (bound.ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&bound;

        (void)inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        (void)snprintf(text, PROM_SPEC_MAX, "[%s]:%u", host, ntohs(six->sin6_port));
    } else {
        const struct sockaddr_in *four = (const struct sockaddr_in *)&bound;

        (void)inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        (void)snprintf(text, PROM_SPEC_MAX, "%s:%u", host, ntohs(four->sin_port));
    }
}
