/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_test.c - libgavelcheck as the author of a plugin uses it, and what it answers when things go wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <gavel/check.h>

/* What was told, one bit a check's verdict. */
struct told {
    uint64_t verdicts;
    uint64_t failures;
    char first[64];
};

static void told(void *context, const struct gavel_check_verdict *verdict)
{
    struct told *seen = context;

    assert_true(GAVEL_HAS(struct gavel_check_verdict, verdict, text));
    if (seen->verdicts++ == 0)
        (void)snprintf(seen->first, sizeof seen->first, "%s", verdict->check);
    seen->failures += verdict->verdict == GAVEL_CHECK_FAIL;
    assert_true(verdict->verdict == GAVEL_CHECK_OK ? !*verdict->text : strlen(verdict->text) > 10);
}

static struct gavel_check counter(struct told *seen)
{
    struct gavel_check check;

    memset(&check, 0, sizeof check);
    check.size = GAVEL_END(struct gavel_check, context);
    check.plugin = "counter";
    check.kind = "statemachine";
    check.plugin_dir = getenv("GAVEL_TEST_PLUGINDIR");
    check.told = told;
    check.context = seen;
    return check;
}

/* The ten lines of the header's example. */
static void a_plugin_conforms(void **state)
{
    char file[1024];

    (void)state;
    (void)snprintf(file, sizeof file, "%s/gavel-counter-statemachine.so", getenv("GAVEL_TEST_PLUGINDIR"));
    gavel_check_assert(file);
}

static void every_verdict_is_told(void **state)
{
    struct told seen = {0};
    struct gavel_check check = counter(&seen);
    struct gavel_check_report report = {.size = GAVEL_END(struct gavel_check_report, first)};

    (void)state;
    check.seed = 77;
    assert_int_equal(gavel_check_plugin(&check, &report, NULL), GAVEL_OK);
    assert_int_equal(report.seed, 77);
    assert_int_equal(report.failed, 0);
    assert_true(report.passed > 8);
    assert_int_equal(report.passed + report.warned + report.skipped, seen.verdicts);
    assert_string_equal(seen.first, "tables");
    assert_string_equal(report.first, "");
}

static void one_check_alone(void **state)
{
    struct told seen = {0};
    struct gavel_check check = counter(&seen);

    (void)state;
    check.only = "snapshots";
    gavel_check_assert_with(&check);
    assert_int_equal(seen.verdicts, 2); /* the tables, without which there is nothing to check */
}

static void what_makes_no_sense_is_refused(void **state)
{
    static const char *const options[] = {"colour", NULL};
    struct told seen = {0};
    struct gavel_check check = counter(&seen);
    struct gavel_error error = {0, ""};

    (void)state;
    check.options = options;
    assert_int_equal(gavel_check_plugin(&check, NULL, &error), GAVEL_E_CONFIG);
    assert_string_equal(error.text, "option \"colour\" is not of the form key=value");
    check = counter(&seen);
    check.size = 0;
    assert_int_equal(gavel_check_plugin(&check, NULL, &error), GAVEL_E_CONFIG);
    check = counter(&seen);
    check.plugin = "nosuch";
    assert_int_equal(gavel_check_plugin(&check, NULL, &error), GAVEL_E_NOT_FOUND);
    assert_non_null(strstr(error.text, "there is no statemachine called \"nosuch\""));
    check.plugin = "./gavel-nosuch-statemachine.so";
    assert_int_equal(gavel_check_plugin(&check, NULL, &error), GAVEL_E_NOT_FOUND);
    check.plugin = "/etc/passwd";
    check.kind = NULL;
    assert_int_equal(gavel_check_plugin(&check, NULL, &error), GAVEL_E_CONFIG);
    assert_non_null(strstr(error.text, "is no name for a plugin's file"));
    check.plugin = "counter";
    check.only = "nothing";
    assert_int_equal(gavel_check_plugin(&check, NULL, &error), GAVEL_E_CONFIG);
    assert_int_equal(gavel_check_plugin(NULL, NULL, &error), GAVEL_E_CONFIG);
}

/* A caller that was compiled with a shorter struct gets what fits, and not a byte more. */
static void an_older_caller_is_served(void **state)
{
    struct told seen = {0};
    struct gavel_check check = counter(&seen);
    struct gavel_check_report report;

    (void)state;
    memset(&report, 0x5a, sizeof report);
    report.size = GAVEL_END(struct gavel_check_report, passed);
    check.only = "reload";
    assert_int_equal(gavel_check_plugin(&check, &report, NULL), GAVEL_OK);
    assert_int_equal(report.size, GAVEL_END(struct gavel_check_report, passed));
    assert_int_equal(report.passed, 2);
    assert_int_equal(report.failed, UINT64_C(0x5a5a5a5a5a5a5a5a));
}

static void no_program_is_a_sentence(void **state)
{
    struct told seen = {0};
    struct gavel_check check = counter(&seen);
    struct gavel_error error = {0, ""};
    char *kept = strdup(getenv("GAVEL_CHECK_PROGRAM"));

    (void)state;
    (void)setenv("GAVEL_CHECK_PROGRAM", "/nonexistent/gavel-check", 1);
    assert_int_equal(gavel_check_plugin(&check, NULL, &error), GAVEL_E_INTERNAL);
    assert_non_null(strstr(error.text, "/nonexistent/gavel-check, which makes the checks, cannot be started"));
    (void)setenv("GAVEL_CHECK_PROGRAM", kept, 1);
    free(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plugin_conforms),          cmocka_unit_test(every_verdict_is_told),
        cmocka_unit_test(one_check_alone),            cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(an_older_caller_is_served),  cmocka_unit_test(no_program_is_a_sentence),
    };
    char program[1024];

    (void)snprintf(program, sizeof program, "%s/core/check/gavel-check", getenv("top_builddir"));
    (void)setenv("GAVEL_CHECK_PROGRAM", program, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
