/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print.h - writing JSON, as far as inspection needs it: a comma before every member but the first.
 */
#ifndef CORE_LOG_PRINT_H
#define CORE_LOG_PRINT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct log_json {
    FILE *out;
    bool started; /* the present object or array has a member */
};

/* Open or close an object or array; `name` NULL: inside an array, or the document. `bracket` is one of { [ } ]. */
void log_json_open(struct log_json *json, const char *name, char bracket);
void log_json_close(struct log_json *json, char bracket);

void log_json_number(struct log_json *json, const char *name, uint64_t value);
void log_json_bool(struct log_json *json, const char *name, bool value);

/* Text of `size` bytes; bytes that are no ASCII letters are escaped as \u00xx. */
void log_json_text(struct log_json *json, const char *name, const void *text, uint64_t size);
void log_json_string(struct log_json *json, const char *name, const char *text);

/* Bytes as hexadecimal digits. */
void log_json_hex(struct log_json *json, const char *name, const void *data, uint64_t size);

/* Hexadecimal digits alone. */
void log_print_hex(FILE *out, const void *data, uint64_t size);

#endif
