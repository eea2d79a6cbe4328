/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print.c - JSON and hexadecimal output for inspection. Errors of the stream are the caller's to ask for (ferror).
 */
#include "core/log/print.h"

#include <string.h>

static void begin(struct log_json *json, const char *name)
{
    if (json->started)
        (void)fputc(',', json->out);
    json->started = true;
    if (name)
        (void)fprintf(json->out, "\"%s\":", name);
}

void log_json_open(struct log_json *json, const char *name, char bracket)
{
    begin(json, name);
    (void)fputc(bracket, json->out);
    json->started = false;
}

void log_json_close(struct log_json *json, char bracket)
{
    (void)fputc(bracket, json->out);
    json->started = true;
}

void log_json_number(struct log_json *json, const char *name, uint64_t value)
{
    begin(json, name);
    (void)fprintf(json->out, "%llu", (unsigned long long)value);
}

void log_json_bool(struct log_json *json, const char *name, bool value)
{
    begin(json, name);
    (void)fputs(value ? "true" : "false", json->out);
}

void log_json_text(struct log_json *json, const char *name, const void *text, uint64_t size)
{
    const unsigned char *at = text;

    begin(json, name);
    (void)fputc('"', json->out);
    for (uint64_t i = 0; i < size; i++) {
        if (at[i] == '"' || at[i] == '\\')
            (void)fprintf(json->out, "\\%c", at[i]);
        else if (at[i] < 0x20 || at[i] > 0x7e)
            (void)fprintf(json->out, "\\u00%02x", at[i]);
        else
            (void)fputc(at[i], json->out);
    }
    (void)fputc('"', json->out);
}

void log_json_string(struct log_json *json, const char *name, const char *text)
{
    log_json_text(json, name, text, strlen(text));
}

void log_print_hex(FILE *out, const void *data, uint64_t size)
{
    const unsigned char *at = data;

    for (uint64_t i = 0; i < size; i++)
        (void)fprintf(out, "%02x", at[i]);
}

void log_json_hex(struct log_json *json, const char *name, const void *data, uint64_t size)
{
    begin(json, name);
    (void)fputc('"', json->out);
    log_print_hex(json->out, data, size);
    (void)fputc('"', json->out);
}
