/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_answer.c - fuzz target: what a collector answers, in each form, as success and as failure. However it lies, no
 * more is refused than was sent, and the message is one line.
 */
#include <assert.h>
#include <string.h>

#include "plugins/observers/otlp/otlp_answer.h"
#include "tests/fuzz/fuzz.h"

#define SENT 100

static void check(const struct otlp_answer *answer)
{
    assert(answer->rejected <= SENT);
    assert(memchr(answer->message, 0, sizeof answer->message));
    for (const char *at = answer->message; *at; at++)
        assert((unsigned char)*at >= 0x20);
    if (answer->rejected)
        assert(answer->readable);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct otlp_answer answer;

    if (size > OTLP_ANSWER_MAX)
        return 0;
    for (int form = OTLP_FORM_PROTOBUF; form <= OTLP_FORM_TEXT; form++) {
        otlp_answer_success(&answer, (enum otlp_form)form, data, size, SENT);
        check(&answer);
        otlp_answer_failure(&answer, (enum otlp_form)form, data, size);
        check(&answer);
    }
    return 0;
}
