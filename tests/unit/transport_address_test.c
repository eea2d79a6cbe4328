/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_address_test.c - URIs: what is taken, what it means, and that everything else is a sentence.
 */
#include "transports/address.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    const char *uri;
    const char *host; /* NULL: refused */
    const char *path;
    unsigned port;
    bool literal;
    const char *with_port_7; /* formatted again */
} rows[] = {
    {"tcp://127.0.0.1:80", "127.0.0.1", "/", 80, true, "tcp://127.0.0.1:7"},
    {"tcp://[::1]:0", "::1", "/", 0, true, "tcp://[::1]:7"},
    {"tcp://node-1.example.org:65535", "node-1.example.org", "/", 65535, false, "tcp://node-1.example.org:7"},
    {"tcp://host:80/", "host", "/", 80, false, "tcp://host:7"},
    {"ws://host:80", "host", "/", 80, false, "ws://host:7"},
    {"ws://[fe80::1]:80/a/b", "fe80::1", "/a/b", 80, true, "ws://[fe80::1]:7/a/b"},
    {"unix:///run/gavel/admin.sock", "", "/run/gavel/admin.sock", 0, false, "unix:///run/gavel/admin.sock"},
    {"tcp://host:80/path", NULL, NULL, 0, false, NULL},
    {"tcp://host", NULL, NULL, 0, false, NULL},
    {"tcp://host:", NULL, NULL, 0, false, NULL},
    {"tcp://host:65536", NULL, NULL, 0, false, NULL},
    {"tcp://host:000080", NULL, NULL, 0, false, NULL},
    {"tcp://host:-1", NULL, NULL, 0, false, NULL},
    {"tcp://:80", NULL, NULL, 0, false, NULL},
    {"tcp://::1:80", NULL, NULL, 0, false, NULL},
    {"tcp://[::1]", NULL, NULL, 0, false, NULL},
    {"tcp://[1.2.3.4]:80", NULL, NULL, 0, false, NULL},
    {"tcp://[]:80", NULL, NULL, 0, false, NULL},
    {"tcp://a b:80", NULL, NULL, 0, false, NULL},
    {"unix://relative", NULL, NULL, 0, false, NULL},
    {"unix://", NULL, NULL, 0, false, NULL},
    {"tc://host:80", NULL, NULL, 0, false, NULL},
    {"w://host:80", NULL, NULL, 0, false, NULL},
    {"://host:80", NULL, NULL, 0, false, NULL},
    {"averylongscheme://host:80", NULL, NULL, 0, false, NULL},
    {"host:80", NULL, NULL, 0, false, NULL},
    {"", NULL, NULL, 0, false, NULL},
};

static void every_row(void **state)
{
    struct address address;
    struct gavel_error error;
    char text[ADDRESS_TEXT_MAX];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int32_t status;

        error.text[0] = 0;
        status = address_parse(gavel_text(rows[i].uri), "tcp unix ws", &address, &error);
        if (!rows[i].host) {
            if (status != GAVEL_E_INVALID)
                fail_msg("'%s' was taken", rows[i].uri);
            assert_non_null(strstr(error.text, rows[i].uri));
            continue;
        }
        if (status != GAVEL_OK)
            fail_msg("%s", error.text);
        assert_string_equal(address.host, rows[i].host);
        assert_string_equal(address.path, rows[i].path);
        assert_int_equal(address.port, rows[i].port);
        assert_int_equal(address.literal, rows[i].literal);
        address_format(&address, 7, text);
        assert_string_equal(text, rows[i].with_port_7);
    }
}

static void lengths(void **state)
{
    struct address address;
    struct gavel_error error;
    char uri[1200];

    (void)state;
    memset(uri, 'a', sizeof uri);
    memcpy(uri, "tcp://", 6);
    memcpy(uri + 6 + 253, ":80", 4);
    assert_int_equal(address_parse(gavel_text(uri), "tcp", &address, &error), GAVEL_OK);
    uri[6 + 253] = 'a';
    memcpy(uri + 6 + 254, ":80", 4);
    assert_int_equal(address_parse(gavel_text(uri), "tcp", &address, &error), GAVEL_E_INVALID);
    memset(uri, 'a', sizeof uri);
    assert_int_equal(address_parse(gavel_bytes(uri, sizeof uri), "tcp", &address, &error), GAVEL_E_INVALID);
    assert_int_equal(address_parse(gavel_bytes("tcp://a\0b:1", 11), "tcp", &address, &error), GAVEL_E_INVALID);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(every_row), cmocka_unit_test(lengths)};

    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
