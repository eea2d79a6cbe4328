/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gavel/check.h - the conformance kit for authors of plugins: does this file keep the promises of its kind?
 *
 * The kit loads a plugin's .so as gaveld would and tries it out: a state machine with random commands made from its own
 * field tables, a serializer with random documents and hostile bytes, a transport over sockets that cut and reset, an
 * observer whose consumer is dead. Each check runs in a process of its own with a deadline: a plugin that crashes,
 * hangs or exits becomes a sentence. "gaveld --check-plugin FILE" is the same kit; gavel-check(3) lists the checks.
 *
 * A whole test for cmocka:
 *
 *     #include <setjmp.h>
 *     #include <stdarg.h>
 *     #include <stddef.h>
 *     #include <cmocka.h>
 *     #include <gavel/check.h>
 *
 *     static void conforms(void **state) { (void)state; gavel_check_assert(".libs/gavel-bank-statemachine.so"); }
 *     int main(void)
 *     {
 *         const struct CMUnitTest tests[] = {cmocka_unit_test(conforms)};
 *         return cmocka_run_group_tests(tests, NULL, NULL);
 *     }
 *
 *     gcc test.c $(pkg-config --cflags --libs libgavelcheck cmocka)
 *
 * The checks themselves are made by a program, gavel-check, which is installed with the library: it replaces malloc,
 * the clocks and the like, which must not happen to the caller. GAVEL_CHECK_PROGRAM in the environment names another.
 *
 * Everything here may be called from any thread; a call waits until all checks are done.
 */
#ifndef GAVEL_CHECK_H
#define GAVEL_CHECK_H

#include <gavel/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Verdicts. */
#define GAVEL_CHECK_OK 1   /* the check found nothing */
#define GAVEL_CHECK_FAIL 2 /* a promise is broken: the sentence says which, and how it was seen */
#define GAVEL_CHECK_WARN 3 /* nothing is broken, but it will surprise somebody */
#define GAVEL_CHECK_SKIP 4 /* this check cannot be made here: the sentence says why */

/* One verdict; borrowed for the call. */
struct gavel_check_verdict {
    uint64_t size;     /* GAVEL_END(struct gavel_check_verdict, text) */
    uint64_t verdict;  /* GAVEL_CHECK_... */
    const char *check; /* name of the check: "determinism" */
    const char *text;  /* one sentence: the plugin, what was done, what was expected, what was seen; "" for OK */
};

/* What to check. All zero but for `size` and `plugin` is a whole check with a seed of its own. */
struct gavel_check {
    uint64_t size;              /* GAVEL_END(struct gavel_check, context) */
    const char *plugin;         /* a file (anything with a '/' or a ".so" at its end), or a name in `plugin_dir` */
    const char *plugin_dir;     /* NULL: $GAVEL_PLUGIN_DIR, else the directory where gavel was installed to */
    const char *kind;           /* "statemachine" ..., where a name means plugins of several kinds; NULL: any */
    const char *const *options; /* "key=value" as in the INI file, ended by NULL; may be NULL */
    uint64_t seed;              /* the same seed makes the same checks; 0: one is drawn, and told in the report */
    uint64_t deadline_ms;       /* of each check; 0: 60000. Only a hang should ever meet it */
    const char *only;           /* the name of the one check to make; NULL: all */
    /* Optional: told of each verdict as it comes. */
    void (*told)(void *context, const struct gavel_check_verdict *verdict);
    void *context;
};

/* What came of it; filled in also when something was found. */
struct gavel_check_report {
    uint64_t size; /* the caller sets GAVEL_END(struct gavel_check_report, first) */
    uint64_t seed;
    uint64_t passed;
    uint64_t failed;
    uint64_t warned;
    uint64_t skipped;
    char first[1024]; /* the sentence of the first failure */
};

GAVEL_CHECK_LAYOUT(sizeof(struct gavel_check_verdict) == 32);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_check) == 80);
GAVEL_CHECK_LAYOUT(sizeof(struct gavel_check_report) == 48 + 1024);

/*
 * [any] Check a plugin. `report` and `error` are the caller's; either may be NULL. Returns GAVEL_OK when nothing failed
 * (warnings and skips are no failures); GAVEL_E_STATE when something did, with the first sentence in *error;
 * GAVEL_E_CONFIG when the file is refused as gaveld would refuse it, or `check` makes no sense; GAVEL_E_NOT_FOUND when
 * there is no such file; GAVEL_E_INTERNAL when the kit itself could not run (its program is missing, no memory).
 */
GAVEL_EXPORT int32_t gavel_check_plugin(const struct gavel_check *check, struct gavel_check_report *report,
                                        struct gavel_error *error);

/* [any] The same for a file (or name) alone: all checks, with the seed of $GAVEL_TEST_SEED or one that is drawn. */
static inline int32_t gavel_check_file(const char *plugin, struct gavel_error *error)
{
    struct gavel_check check;
    memset(&check, 0, sizeof check);
    check.size = GAVEL_END(struct gavel_check, context);
    check.plugin = plugin;
    return gavel_check_plugin(&check, NULL, error);
}

/*
 * For cmocka, which must be included before the line that uses it: fails the test with the first sentence. (A macro,
 * so that this header needs no other, and the failure carries the test's own file and line.)
 */
#define gavel_check_assert(plugin_file) \
    do { \
        struct gavel_error gavel_check_error_; \
        gavel_check_error_.text[0] = 0; \
        if (gavel_check_file((plugin_file), &gavel_check_error_) != GAVEL_OK) \
            fail_msg("%s", gavel_check_error_.text); \
    } while (0)

/* The same for a filled struct gavel_check: options, a seed, one check alone. */
#define gavel_check_assert_with(filled_check) \
    do { \
        struct gavel_error gavel_check_error_; \
        gavel_check_error_.text[0] = 0; \
        if (gavel_check_plugin((filled_check), NULL, &gavel_check_error_) != GAVEL_OK) \
            fail_msg("%s", gavel_check_error_.text); \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
