/* SPDX-License-Identifier: Apache-2.0 */
/*
 * units.c - unit tests of the otlp observer's parts: the queue's bounds, lists of pairs, differences of metrics,
 * answers of collectors, the writer's two forms, the moves of a batch. What goes over the wire is in wire.py and
 * collectors.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "plugins/observers/otlp/otlp_encode.h"
#include "plugins/observers/otlp/otlp_exporter.h"

#include <math.h>

/* ---- the queue --------------------------------------------------------------------------------------------------- */

static void queue_is_bounded_in_records(void **state)
{
    struct otlp_queue queue;
    struct otlp_item *list;

    (void)state;
    otlp_queue_init(&queue, 3, 1 << 20, false);
    for (int i = 0; i < 3; i++)
        assert_int_equal(otlp_queue_push(&queue, "abc", 3, 1), 0);
    assert_int_equal(otlp_queue_push(&queue, "abc", 3, 1), 1); /* the one above */
    assert_int_equal(queue.records, 3);
    list = otlp_queue_take(&queue, 2, 1 << 20);
    assert_int_equal(otlp_items_free(list), 2);
    assert_int_equal(otlp_queue_push(&queue, "abc", 3, 2), 0);
    assert_int_equal(otlp_items_free(otlp_queue_take(&queue, 100, 1 << 20)), 3);
    assert_int_equal(queue.bytes, 0);
    assert_null(otlp_queue_take(&queue, 1, 1));
}

static void queue_is_bounded_in_bytes(void **state)
{
    static const char bytes[1000];
    struct otlp_queue queue;
    uint64_t pushed = 0;

    (void)state;
    otlp_queue_init(&queue, 1000, 10000, false);
    while (otlp_queue_push(&queue, bytes, sizeof bytes, 1) == 0)
        pushed++;
    assert_in_range(pushed, 8, 9); /* with what an item takes beside its bytes */
    assert_true(queue.bytes <= 10000);
    assert_int_equal(otlp_queue_push(&queue, bytes, 1, 1), 0); /* a small one still fits */
    assert_int_equal(otlp_items_free(otlp_queue_take(&queue, 1000, 2500)), 2);
    assert_int_equal(otlp_items_free(otlp_queue_take(&queue, 1000, 1)), 1); /* one at least */
    (void)otlp_items_free(otlp_queue_take(&queue, UINT64_MAX, UINT64_MAX));
    assert_int_equal(queue.items, 0);
}

static void queue_of_metrics_drops_the_oldest(void **state)
{
    static char bytes[1000];
    struct otlp_queue queue;
    struct otlp_item *list;
    uint64_t dropped = 0;

    (void)state;
    otlp_queue_init(&queue, UINT64_MAX / 2, 10000, true);
    for (int i = 0; i < 20; i++) {
        bytes[0] = (char)i;
        dropped += otlp_queue_push(&queue, bytes, sizeof bytes, 3);
    }
    assert_int_equal(dropped + queue.records, 60);
    assert_true(queue.bytes <= 10000);
    list = otlp_queue_take(&queue, UINT64_MAX, UINT64_MAX);
    assert_int_equal(list->bytes[0], dropped / 3);
    (void)otlp_items_free(list);
}

/* ---- pairs ------------------------------------------------------------------------------------------------------- */

static void pairs(void **state)
{
    struct otlp_memory memory = {NULL};
    struct otlp_pairs list = {.count = 0};
    struct gavel_error error;
    char many[2000] = "";

    (void)state;
    assert_int_equal(otlp_pairs_parse(&list, gavel_text(" a = b , c=d%20e=f,,a=x "), "here", &memory, &error), 0);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.pair[0].name, "a");
    assert_string_equal(list.pair[0].value, "x");
    assert_string_equal(list.pair[1].name, "c");
    assert_string_equal(list.pair[1].value, "d e=f");
    assert_int_equal(otlp_pairs_parse(&list, gavel_bytes(NULL, 0), "here", &memory, &error), 0);
    assert_int_equal(otlp_pairs_parse(&list, gavel_text("secret"), "here", &memory, &error), GAVEL_E_CONFIG);
    assert_null(strstr(error.text, "secret"));
    assert_int_equal(otlp_pairs_parse(&list, gavel_text("q=%4"), "here", &memory, &error), GAVEL_E_CONFIG);
    assert_int_equal(otlp_pairs_parse(&list, gavel_text("q=%0a"), "here", &memory, &error), GAVEL_E_CONFIG);
    for (unsigned i = 0; i < OTLP_PAIRS_MAX + 1; i++)
        (void)snprintf(many + strlen(many), sizeof many - strlen(many), "k%u=v,", i);
    list.count = 0;
    assert_int_equal(otlp_pairs_parse(&list, gavel_text(many), "here", &memory, &error), GAVEL_E_CONFIG);
    assert_int_equal(list.count, OTLP_PAIRS_MAX);
    otlp_memory_free(&memory);
}

/* ---- differences ------------------------------------------------------------------------------------------------- */

static bool take(struct otlp_delta *delta, double value, const char *peer, double *difference, uint64_t *start)
{
    const struct gavel_attribute attribute = {"peer", gavel_text(peer)};
    struct gavel_series series = {.size = GAVEL_END(struct gavel_series, start_wall_ns), .kind = GAVEL_COUNTER,
                                  .name = "n", .attributes = &attribute, .attribute_count = 1, .value = value,
                                  .start_wall_ns = 5};
    bool told = otlp_delta_take(delta, &series);

    *difference = series.value;
    *start = series.start_wall_ns;
    return told;
}

static void differences(void **state)
{
    struct otlp_delta delta = {.slot = NULL};
    double difference;
    uint64_t start;

    (void)state;
    otlp_delta_begin(&delta, 1000, 5);
    assert_true(take(&delta, 3, "a", &difference, &start));
    assert_true(difference == 3);
    assert_int_equal(start, 5);
    otlp_delta_end(&delta, 2000);
    otlp_delta_begin(&delta, 1000, 5);
    assert_true(take(&delta, 4, "a", &difference, &start));
    assert_true(difference == 1);
    assert_int_equal(start, 2000);
    assert_true(take(&delta, 4, "b", &difference, &start)); /* new: all of it came since the last export */
    assert_true(difference == 4);
    otlp_delta_free(&delta);
}

/* After a swap the instance before has told all that was counted so far. */
static void differences_after_a_swap(void **state)
{
    uint64_t start_ns = UINT64_C(1700000000000000000), start;
    struct otlp_delta delta = {.slot = NULL};
    double difference;

    (void)state;
    otlp_delta_begin(&delta, start_ns + 2 * OTLP_DELTA_SWAPPED_NS, start_ns);
    assert_false(take(&delta, 3, "a", &difference, &start));
    otlp_delta_end(&delta, start_ns + 3 * OTLP_DELTA_SWAPPED_NS);
    otlp_delta_begin(&delta, start_ns + 2 * OTLP_DELTA_SWAPPED_NS, start_ns);
    assert_true(take(&delta, 10, "a", &difference, &start));
    assert_true(difference == 7);
    otlp_delta_free(&delta);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void answers(void **state)
{
    static const unsigned char partial[] = "\x0a\x08\x08\x05\x12\x04" "a\nb\x01";
    struct otlp_answer answer;

    (void)state;
    otlp_answer_success(&answer, OTLP_FORM_PROTOBUF, partial, sizeof partial - 1, 10);
    assert_true(answer.readable);
    assert_int_equal(answer.rejected, 5);
    assert_string_equal(answer.message, "a b");
    otlp_answer_success(&answer, OTLP_FORM_PROTOBUF, partial, sizeof partial - 1, 3);
    assert_int_equal(answer.rejected, 3); /* never more than was sent */
    otlp_answer_success(&answer, OTLP_FORM_PROTOBUF, partial, sizeof partial - 2, 10);
    assert_false(answer.readable);
    assert_int_equal(answer.rejected, 0);
    otlp_answer_success(&answer, OTLP_FORM_PROTOBUF, "", 0, 10);
    assert_true(answer.readable);
    otlp_answer_success(&answer, OTLP_FORM_JSON, "{\"partialSuccess\":{\"rejectedSpans\":\"4\"}}", 40, 10);
    assert_int_equal(answer.rejected, 4);
    otlp_answer_success(&answer, OTLP_FORM_JSON, "{\"partialSuccess\":{\"rejectedSpans\":-4}}", 39, 10);
    assert_int_equal(answer.rejected, 0);
    otlp_answer_failure(&answer, OTLP_FORM_JSON, "{\"code\":3,\"message\":\"no\"}", 25);
    assert_string_equal(answer.message, "no");
    otlp_answer_failure(&answer, OTLP_FORM_PROTOBUF, "\x08\x03\x12\x02no", 6);
    assert_string_equal(answer.message, "no");
    otlp_answer_failure(&answer, OTLP_FORM_TEXT, "go\r\n away \n", 11);
    assert_string_equal(answer.message, "go   away");
    assert_int_equal(otlp_form_of("Application/JSON; charset=utf-8", OTLP_FORM_PROTOBUF), OTLP_FORM_JSON);
    assert_int_equal(otlp_form_of(NULL, OTLP_FORM_JSON), OTLP_FORM_JSON);
    assert_int_equal(otlp_form_of("text/html", OTLP_FORM_JSON), OTLP_FORM_TEXT);
}

/* ---- the writer -------------------------------------------------------------------------------------------------- */

static void json_has_no_bad_numbers(void **state)
{
    static const char wanted[] = "{\"d\":[\"NaN\",\"-Infinity\",0.10000000000000001,1.0000000000000001e+300],"
                                 "\"least\":\"-9223372036854775808\",\"s\":\"\\u0001\\u0022\\u005c\xef\xbf\xbd"
                                 "\xc3\xa4\"}";
    const double values[] = {(double)NAN, -(double)INFINITY, 0.1, 1e300};
    struct otlp_writer writer;

    (void)state;
    otlp_writer_init(&writer, true);
    otlp_open(&writer, 0, NULL);
    otlp_double_list(&writer, 1, "d", values, 4);
    otlp_int(&writer, 2, "least", INT64_MIN);
    otlp_string(&writer, 3, "s", gavel_bytes("\x01\"\\\x80\xc3\xa4", 6));
    otlp_close(&writer);
    assert_int_equal(writer.size, strlen(wanted));
    assert_memory_equal(writer.data, wanted, writer.size);
    otlp_writer_free(&writer);
}

/* Lengths of one byte, two and three, before what they are of. */
static void lengths_are_put_in_place(void **state)
{
    struct otlp_writer writer;
    char text[20000];

    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t size = 1; size <= sizeof text; size = size * 5 + 1) {
        size_t length = size < 128 ? 1 : size < 16384 ? 2 : 3;

        otlp_writer_init(&writer, false);
        otlp_string(&writer, 1, "s", gavel_bytes(text, size));
        assert_int_equal(writer.size, 1 + length + size);
        assert_int_equal(writer.data[0], 0x0a);
        assert_int_equal(writer.data[1] & 0x7f, size & 0x7f);
        assert_int_equal(writer.data[writer.size - 1], 'x');
        otlp_writer_free(&writer);
    }
}

static void statuses_have_words(void **state)
{
    (void)state;
    assert_string_equal(otlp_status_word(GAVEL_E_TIMEOUT), "timeout");
    assert_string_equal(otlp_status_word(GAVEL_E_NO_MEMORY), "no memory");
    assert_string_equal(otlp_status_word(GAVEL_E_NOT_LEADER), "not the leader");
    assert_string_equal(otlp_status_word(-26), "error");
    assert_string_equal(otlp_status_word(INT64_MIN), "error");
}

static void moves_of_a_batch(void **state)
{
    (void)state;
    assert_true(otlp_pipe_may(OTLP_IDLE, OTLP_READY));
    assert_true(otlp_pipe_may(OTLP_READY, OTLP_SENDING));
    assert_true(otlp_pipe_may(OTLP_SENDING, OTLP_READY));
    assert_true(otlp_pipe_may(OTLP_SENDING, OTLP_IDLE));
    assert_false(otlp_pipe_may(OTLP_IDLE, OTLP_SENDING)); /* nothing is sent that is not in hand */
    assert_false(otlp_pipe_may(OTLP_READY, OTLP_READY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queue_is_bounded_in_records),   cmocka_unit_test(queue_is_bounded_in_bytes),
        cmocka_unit_test(queue_of_metrics_drops_the_oldest), cmocka_unit_test(pairs),
        cmocka_unit_test(differences),                   cmocka_unit_test(differences_after_a_swap),
        cmocka_unit_test(answers),                       cmocka_unit_test(json_has_no_bad_numbers),
        cmocka_unit_test(lengths_are_put_in_place),      cmocka_unit_test(statuses_have_words),
        cmocka_unit_test(moves_of_a_batch),
    };

    return cmocka_run_group_tests_name("otlp", tests, NULL, NULL);
}
