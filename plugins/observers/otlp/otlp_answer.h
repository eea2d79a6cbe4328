/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_answer.h - what a collector says beside its status: how much of a request it has refused (partial_success), or
 * why all of it. Answers come from outside: every byte is doubted, and nothing is allocated from a length in them.
 */
#ifndef OTLP_ANSWER_H
#define OTLP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OTLP_ANSWER_MAX 65536u /* bytes of an answer that are read; more is not listened to */

enum otlp_form { OTLP_FORM_PROTOBUF, OTLP_FORM_JSON, OTLP_FORM_TEXT };

struct otlp_answer {
    bool readable;     /* it is a message of that form; an empty one is */
    uint64_t rejected; /* records; never more than were sent */
    char message[256]; /* one line without control characters, "" when there is none */
};

/* Of a Content-Type such as "application/json; charset=utf-8"; NULL and unknown ones are `otherwise`. */
enum otlp_form otlp_form_of(const char *type, enum otlp_form otherwise);

/* An Export...ServiceResponse. `sent`: records of the request. */
void otlp_answer_success(struct otlp_answer *answer, enum otlp_form form, const void *data, size_t size, uint64_t sent);

/* A google.rpc.Status, or whatever else came with an error: its message, else its first words. */
void otlp_answer_failure(struct otlp_answer *answer, enum otlp_form form, const void *data, size_t size);

#endif
