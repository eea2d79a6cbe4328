/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_discover.c - fuzz target: what a name server answers, and what names one: sources, servers, addresses. The first
 * byte chooses. Whatever an answer says, what is taken of it is an address that a node could be asked to dial: its
 * scheme and port are right, and its host has nothing in it that would be understood as anything else.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/host/discover.h"
#include "core/host/uri.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"

#define DIGITS "0123456789"
#define HOST_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS ".-_"

static void check_uri(const char *uri)
{
    struct gavel_error error = {0, ""};
    const char *host = uri + strlen("tcp://");
    const char *end;
    long port;

    assert(memchr(uri, 0, HOST_FOUND_BYTES));
    assert(strncmp(uri, "tcp://", 6) == 0);
    assert(host_uri_check_dialled(uri, &error) == GAVEL_OK);
    if (*host == '[') {
        end = host + 1 + strspn(host + 1, "0123456789abcdef:.");
        assert(*end == ']');
        end++;
    } else {
        end = host + strspn(host, HOST_BYTES);
    }
    assert(end > host);
    assert(*end == ':');
    port = strtol(end + 1, NULL, 10);
    assert(port > 0);
    assert(port <= 65535);
    assert(strspn(end + 1, DIGITS) == strlen(end + 1));
}

static void check_answer(struct fuzz_input *input, bool srv)
{
    static const struct host_source names[2] = {
        {.text = "dns://nodes.example:7000", .name = "nodes.example", .port = "7000"},
        {.text = "dns+srv://_gavel._tcp.example", .srv = true, .name = "_gavel._tcp.example"},
    };
    struct host_found *found = calloc(1, sizeof *found);
    unsigned char *answer = malloc(input->size ? input->size : 1);
    struct gavel_error error = {0, ""};
    int32_t status;

    assert(found);
    assert(answer);
    if (input->size)
        memcpy(answer, input->data, input->size); /* a byte too far is seen by the sanitizer */
    found->count = 1;
    (void)snprintf(found->uri[0], sizeof found->uri[0], "tcp://kept:1");
    status = host_answer_take(answer, input->size, &names[srv], "tcp", found, &error);
    assert(status == GAVEL_OK || error.text[0]);
    assert(found->count >= 1);
    assert(found->count <= HOST_FOUND_MAX);
    assert(strcmp(found->uri[0], "tcp://kept:1") == 0);
    for (uint32_t i = 0; i < found->count; i++) {
        check_uri(found->uri[i]);
        for (uint32_t j = 0; j < i; j++)
            assert(strcmp(found->uri[i], found->uri[j]) != 0);
    }
    free(answer);
    free(found);
}

static void check_source(const char *text)
{
    struct gavel_error error = {0, ""};
    struct host_source source;
    int32_t status = host_source_read(text, &source, &error);

    assert(status == GAVEL_OK || error.text[0]);
    if (status != GAVEL_OK)
        return;
    assert(source.text == text);
    assert(memchr(source.name, 0, sizeof source.name));
    assert(source.name[0]);
    assert(strspn(source.name, HOST_BYTES) == strlen(source.name));
    assert(source.srv == (source.port[0] == 0));
    assert(memchr(source.port, 0, sizeof source.port));
    assert(strspn(source.port, DIGITS) == strlen(source.port));
    assert(memchr(source.scheme, 0, sizeof source.scheme));
}

static void check_words(const char *text)
{
    struct gavel_error error = {0, ""};
    uint32_t address;
    uint16_t port;

    check_source(text);
    if (host_server_read(text, &address, &port, &error) == GAVEL_OK)
        assert(port);
    else
        assert(error.text[0]);
    error.text[0] = 0;
    if (host_uri_check(text, &error) != GAVEL_OK)
        assert(error.text[0]);
    error.text[0] = 0;
    if (host_uri_check_dialled(text, &error) != GAVEL_OK)
        assert(error.text[0]);
    (void)host_uri_is_private(text);
    (void)host_uri_spoken("tcp unix", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    uint8_t choice = fuzz_u8(&input) % 3;
    char *text;

    if (choice < 2) {
        check_answer(&input, choice == 1);
        return 0;
    }
    text = malloc(input.size + 1);
    assert(text);
    check_words(fuzz_text(&input, text, input.size + 1));
    free(text);
    return 0;
}
