/* SPDX-License-Identifier: Apache-2.0 */
/*
 * observer-text.c - unit test of the prometheus observer: pages byte for byte, and the heads of requests, whole, in
 * parts, and damaged at random.
 */
#include "tests/unit/observer_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* ---- pages ------------------------------------------------------------------------------------------------------- */

static const double bounds[] = {1, 250};
static const uint64_t buckets[] = {2, 0, 1};
static const struct gavel_attribute odd[] = {{"peer.name", {"a\"b\\c\nd\xff\x01\xc3\xa4", 11}},
                                             {"instance", {"main", 4}},
                                             {"peer_name", {"twice", 5}}};
static const struct gavel_exemplar exemplars[3] = {
    {0, 0, 0, {{0}, {0}, 0}},
    {0, 0, 0, {{0}, {0}, 0}},
    {GAVEL_END(struct gavel_exemplar, trace), 1700000000042, 300, {{0xab, 1}, {0xcd}, 1}},
};
#define SIZE GAVEL_END(struct gavel_series, exemplar_stride)
static const struct gavel_series series[] = {
    {.size = SIZE, .kind = GAVEL_COUNTER, .name = "done.total", .unit = "{thing}", .help = "a \\ and a\nline \"q\"",
     .value = 7},
    {.size = SIZE, .kind = GAVEL_GAUGE, .name = "now", .unit = "1", .help = "", .attributes = odd,
     .attribute_count = 3, .value = 0.1},
    {.size = SIZE, .kind = GAVEL_GAUGE, .name = "now", .unit = "1", .help = "", .value = 1e300},
    {.size = SIZE, .kind = GAVEL_GAUGE, .name = "now.total", .help = "the same name", .value = 5},
    {.size = SIZE, .kind = 9, .name = "unknown.kind", .value = 5},
    {.size = SIZE, .kind = GAVEL_HISTOGRAM, .name = "took", .unit = "ms", .help = "T", .bounds = bounds,
     .buckets = buckets, .bound_count = 2, .count = 99, .sum = 302.5, .exemplars = exemplars,
     .exemplar_stride = sizeof exemplars[0]},
};

static void *resize(void *self, void *old, uint64_t wanted)
{
    (void)self;
    if (wanted == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, wanted);
}
static const struct gavel_heap heap = {GAVEL_END(struct gavel_heap, resize), NULL, resize};

static char *page_of(enum prom_format format, const struct gavel_series *rows, uint64_t count, uint64_t left_out)
{
    struct gavel_buffer out = {.heap = &heap};
    struct prom_page page = {.format = format, .node = "n\"1", .version = "9", .out = &out};

    prom_text(&page, rows, count, sizeof rows[0]);
    assert_int_equal(page.status, GAVEL_OK);
    assert_int_equal(page.left_out, left_out);
    assert_int_equal(gavel_buffer_append(&out, "", 1), GAVEL_OK);
    return (char *)out.data;
}

static void test_text(void **state)
{
    char *page = page_of(PROM_TEXT, series, 6, 2);

    (void)state;
    assert_string_equal(page,
                        "# HELP target_info The node that is scraped\n"
                        "# TYPE target_info gauge\n"
                        "target_info{service_name=\"gavel\",service_instance_id=\"n\\\"1\",service_version=\"9\"} 1\n"
                        "# HELP done_total a \\\\ and a\\nline \"q\"\n"
                        "# TYPE done_total counter\n"
                        "done_total 7\n"
                        "# TYPE now gauge\n"
                        "now{peer_name=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\xef\xbf\xbd\xc3\xa4\",section=\"main\"} 0.1\n"
                        "now 1e+300\n"
                        "# HELP took_seconds T\n"
                        "# TYPE took_seconds histogram\n"
                        "took_seconds_bucket{le=\"0.001\"} 2\n"
                        "took_seconds_bucket{le=\"0.25\"} 2\n"
                        "took_seconds_bucket{le=\"+Inf\"} 3\n"
                        "took_seconds_sum 0.3025\n"
                        "took_seconds_count 3\n");
    free(page);
}

static void test_openmetrics(void **state)
{
    char *page = page_of(PROM_OPENMETRICS, series, 6, 2);

    (void)state;
    assert_string_equal(page,
                        "# HELP target The node that is scraped\n"
                        "# TYPE target info\n"
                        "target_info{service_name=\"gavel\",service_instance_id=\"n\\\"1\",service_version=\"9\"} 1\n"
                        "# HELP done a \\\\ and a\\nline \\\"q\\\"\n"
                        "# TYPE done counter\n"
                        "done_total 7\n"
                        "# TYPE now gauge\n"
                        "now{peer_name=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\xef\xbf\xbd\xc3\xa4\",section=\"main\"} 0.1\n"
                        "now 1e+300\n"
                        "# HELP took_seconds T\n"
                        "# TYPE took_seconds histogram\n"
                        "# UNIT took_seconds seconds\n"
                        "took_seconds_bucket{le=\"0.001\"} 2\n"
                        "took_seconds_bucket{le=\"0.25\"} 2\n"
                        "took_seconds_bucket{le=\"+Inf\"} 3 # {trace_id=\"ab010000000000000000000000000000\","
                        "span_id=\"cd00000000000000\"} 0.3 1700000000.042\n"
                        "took_seconds_sum 0.3025\n"
                        "took_seconds_count 3\n"
                        "# EOF\n");
    free(page);
}

/* Numbers that are none; and rows of an older host, which end before the exemplars. */
static void test_values(void **state)
{
    const double values[] = {(double)NAN, (double)INFINITY, (double)-INFINITY, -0.5, 1e15, 123456789.125};
    static const char *const texts[] = {"NaN", "+Inf", "-Inf", "-0.5", "1e+15", "123456789.125"};
    struct gavel_series row = series[5];
    char *page;

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct gavel_series one = {.size = SIZE, .kind = GAVEL_GAUGE, .name = "v", .value = values[i]};
        char wanted[64];

        page = page_of(PROM_TEXT, &one, 1, 0);
        (void)snprintf(wanted, sizeof wanted, "\nv %s\n", texts[i]);
        assert_non_null(strstr(page, wanted));
        free(page);
    }
    row.size = GAVEL_END(struct gavel_series, sum);
    page = page_of(PROM_OPENMETRICS, &row, 1, 0);
    assert_null(strstr(page, "trace_id"));
    free(page);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

#define H "Host: x\r\n"
static const struct {
    const char *head;
    int status; /* 0: taken */
    enum prom_method method;
    const char *path;
    bool keep, verbose, gzip;
    enum prom_format format;
} heads[] = {
    {"GET /metrics HTTP/1.1\r\n" H "\r\n", 0, PROM_GET, "/metrics", true, false, false, PROM_TEXT},
    {"\r\nGET /readyz?verbose HTTP/1.1\n" "host:x\n\n", 0, PROM_GET, "/readyz", true, true, false, PROM_TEXT},
    {"HEAD /livez?a=b&verbose=1 HTTP/1.1\r\n" H "Connection: x, Close\r\n\r\n", 0, PROM_HEAD, "/livez", false, true,
     false, PROM_TEXT},
    {"GET /readyz?verbose=false HTTP/1.0\r\n\r\n", 0, PROM_GET, "/readyz", false, false, false, PROM_TEXT},
    {"GET http://a:1/metrics?x HTTP/1.1\r\n" H "\r\n", 0, PROM_GET, "/metrics", true, false, false, PROM_TEXT},
    {"POST /metrics HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", 0, PROM_OTHER, "/metrics", true, false, false,
     PROM_TEXT},
    {"GET / HTTP/1.1\r\n" H "Accept-Encoding: br;q=1, gzip;q=0.5\r\n\r\n", 0, PROM_GET, "/", true, false, true,
     PROM_TEXT},
    {"GET / HTTP/1.1\r\n" H "Accept-Encoding: *, gzip;q=0\r\n\r\n", 0, PROM_GET, "/", true, false, false, PROM_TEXT},
    {"GET / HTTP/1.1\r\n" H "Accept-Encoding: identity\r\n\r\n", 0, PROM_GET, "/", true, false, false, PROM_TEXT},
    {"GET / HTTP/1.1\r\n\r\n", 400, PROM_GET, NULL, false, false, false, PROM_TEXT},
    {"GET / HTTP/2.0\r\n" H "\r\n", 505, PROM_GET, NULL, false, false, false, PROM_TEXT},
    {"PRI * HTTP/2.0\r\n\r\n", 505, PROM_GET, NULL, false, false, false, PROM_TEXT},
    {"GET /\r\n\r\n", 400, PROM_GET, NULL, false, false, false, PROM_TEXT},
    {"\x16\x03\x01\r\n\r\n", 400, PROM_GET, NULL, false, false, false, PROM_TEXT},
    {"GET / HTTP/1.1\r\n" H "no colon\r\n\r\n", 400, PROM_GET, NULL, false, false, false, PROM_TEXT},
    {"GET / HTTP/1.1\r\n" H "name : x\r\n\r\n", 400, PROM_GET, NULL, false, false, false, PROM_TEXT},
    {"GET / HTTP/1.1\r\n" H " folded: x\r\n\r\n", 400, PROM_GET, NULL, false, false, false, PROM_TEXT},
    {"GET / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello", 413, PROM_GET, NULL, false, false, false, PROM_TEXT},
    {"GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", 413, PROM_GET, NULL, false, false, false, PROM_TEXT},
};

static void test_heads(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        size_t size = strlen(heads[i].head), end = (size_t)(strstr(heads[i].head, "hello") ? size - 5 : size);
        struct prom_request request;
        const char *why = NULL;

        for (size_t part = 0; part < end; part++) /* not before its last byte is there */
            assert_int_equal(prom_request(heads[i].head, part, part ? part - 1 : 0, &request, &why), 0);
        if (heads[i].status) {
            assert_int_equal(prom_request(heads[i].head, size, 0, &request, &why), -heads[i].status);
            assert_non_null(why);
            continue;
        }
        assert_int_equal(prom_request(heads[i].head, size, size - 1, &request, &why), size);
        assert_int_equal(request.method, heads[i].method);
        assert_string_equal(request.path, heads[i].path);
        assert_int_equal(request.keep, heads[i].keep);
        assert_int_equal(request.verbose, heads[i].verbose);
        assert_int_equal(request.gzip, heads[i].gzip);
        assert_int_equal(request.format, heads[i].format);
    }
}

#define OM "application/openmetrics-text"
static const struct {
    const char *accept;
    enum prom_format format;
} accepts[] = {
    {"*/*", PROM_TEXT},
    {"", PROM_TEXT},
    {"text/html,application/xhtml+xml,*/*;q=0.8", PROM_TEXT},
    {"application/json", PROM_TEXT},
    {"application/*", PROM_TEXT},
    {OM, PROM_OPENMETRICS},
    {"APPLICATION/OpenMetrics-Text; Version=1.0.0; charset=utf-8", PROM_OPENMETRICS},
    /* What Prometheus 2.42 sends. */
    {OM ";version=1.0.0," OM ";version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", PROM_OPENMETRICS},
    {OM ";version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.5", PROM_TEXT},
    {OM ";version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5", PROM_OPENMETRICS},
    {OM ";q=0.001,*/*;q=0.01", PROM_TEXT},
    {OM ";q=0", PROM_TEXT},
    {OM ";version=0.0.1", PROM_TEXT},
    {OM ";version=\"1.0.0\"", PROM_OPENMETRICS},
    {"text/plain;q=0.9, " OM ";q=0.9", PROM_OPENMETRICS},
    {",,;;q==,/;q=," OM, PROM_OPENMETRICS},
    {OM ";q=nonsense", PROM_OPENMETRICS},
};

static void test_accept(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepts / sizeof accepts[0]; i++) {
        struct prom_request request;
        char head[512];
        const char *why = NULL;

        (void)snprintf(head, sizeof head, "GET / HTTP/1.1\r\n" H "Accept: %s\r\n\r\n", accepts[i].accept);
        assert_true(prom_request(head, strlen(head), 0, &request, &why) > 0);
        if (request.format != accepts[i].format)
            fail_msg("Accept: %s", accepts[i].accept);
    }
}

/* Whatever comes, it is taken, refused with a sentence, or not whole: nothing is read beyond its end. */
static void test_damaged(void **state)
{
    const char *seed_text = getenv("GAVEL_TEST_SEED");
    uint64_t seed = seed_text ? strtoull(seed_text, NULL, 0) : (uint64_t)time(NULL), random = seed;

    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (unsigned round = 0; round < 20000; round++) {
        const char *head = heads[round % (sizeof heads / sizeof heads[0])].head;
        size_t size = strlen(head);
        char *copy = malloc(size); /* of that size, so that a sanitizer sees one byte too many */
        struct prom_request request;
        const char *why = NULL;
        int taken;

        assert_non_null(copy);
        memcpy(copy, head, size);
        for (unsigned i = 0; i < 1 + round % 4; i++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            copy[(random >> 33) % size] = (char)(random >> 24);
        }
        size -= round % 7 < size ? round % 7 : 0;
        taken = prom_request(copy, size, 0, &request, &why);
        assert_true(taken <= (int)size);
        assert_true(taken >= 0 || why);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),   cmocka_unit_test(test_openmetrics), cmocka_unit_test(test_values),
        cmocka_unit_test(test_heads),  cmocka_unit_test(test_accept),      cmocka_unit_test(test_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
