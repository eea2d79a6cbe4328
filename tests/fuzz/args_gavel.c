/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args_gavel.c - fuzz target: argument vectors of the command line, and what nodes may answer to it. The program runs
 * as it is but for its way out: the linker puts the functions below in the place of libgavel's that talk (--wrap, see
 * Module.am), so no socket, file or directory is touched. The first byte says how much of the input is the words, the
 * rest is what the cluster answers; the answer to `describe` is the real one of the shipped machines, or hostile too.
 */
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/select.h>
#include <string.h>

#include "core/cli/cli.h"
#include "core/cli/cli_snapshot.h"
#include "core/cli/scaffold.h"
#include "core/client/client_load.h"
#include "core/codec/value.h"
#include "core/host/sample.h"
#include "core/log/inspect.h"
#include "core/node/reform.h"
#include "core/node/reset.h"
#include "core/node/saved.h"
#include "plugins/serializers/msgpack/mp.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"

#include <gavel/statemachine.h>

#define WORDS_MAX 24
#define TEXT_MAX 4096

int gavel_main(int count, char **words);
#define main gavel_main
#include "core/cli/cli_main.c"
#undef main

const struct gavel_plugin *gavel_plugin_workflow(void);
const struct gavel_plugin *gavel_plugin_counter(void);

static struct fuzz_input answers;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER; /* gavel status asks all nodes at once */
static bool hostile_tables;
static bool running;
static struct gavel_buffer described;

struct answer {
    struct gavel_result result;
    struct gavel_buffer document;
};

/* ---- what the linker puts in libgavel's place ------------------------------------------------------------------ */

int32_t __wrap_gavel_client_open(const struct gavel_client_options *options, struct gavel_client **client,
                                 struct gavel_error *error);
void __wrap_gavel_client_close(struct gavel_client *client);
uint64_t __wrap_gavel_client_tried(struct gavel_client *client, char *text, uint64_t size);
int32_t __wrap_gavel_call(struct gavel_client *client, const struct gavel_request *request,
                          struct gavel_result **result, struct gavel_error *error);
void __wrap_gavel_result_free(struct gavel_result *result);
int32_t __wrap_gavel_session_open(struct gavel_client *client, struct gavel_session **session,
                                  struct gavel_error *error);
void __wrap_gavel_session_close(struct gavel_session *session);
int32_t __wrap_gavel_stream_open(struct gavel_client *client, const struct gavel_stream_options *options,
                                 struct gavel_stream **stream, struct gavel_error *error);
int32_t __wrap_gavel_stream_next(struct gavel_stream *stream, uint64_t timeout_ms, struct gavel_stream_event *event,
                                 struct gavel_error *error);
void __wrap_gavel_stream_close(struct gavel_stream *stream);
int32_t __wrap_client_load_run(const struct client_load_options *options, struct client_load_result *result,
                               struct gavel_error *error);
int32_t __wrap_host_sample_write(const struct host_sample *sample, struct gavel_error *error);
int32_t __wrap_scaffold_write(const struct scaffold *scaffold, uint64_t *files, struct gavel_error *error);
int __wrap_log_inspect_check(const struct os *os, const char *dir, bool json, FILE *out, struct gavel_error *error);
int __wrap_log_inspect_dump(const struct os *os, const char *dir, const struct log_dump_options *options, FILE *out,
                            struct gavel_error *error);
int __wrap_log_inspect_repair(const struct os *os, const char *dir, bool apply, bool json, FILE *out,
                              struct gavel_error *error);
uint32_t __wrap_members_seen_others(const struct os *os, const char *dir);
int32_t __wrap_reform(const struct os *os, const struct reform_options *options, FILE *out, struct gavel_error *error);
int __wrap_pselect(int count, fd_set *read, fd_set *write, fd_set *other, const struct timespec *wait,
                   const sigset_t *mask);
int __real_pselect(int count, fd_set *read, fd_set *write, fd_set *other, const struct timespec *wait,
                   const sigset_t *mask);
int __wrap_cli_out_open(struct cli_out *out, const char *file, bool force);
int32_t __wrap_saved_open(struct saved *saved, const struct os *os, const char *path, struct gavel_error *error);
int32_t __wrap_reset_from_snapshot(const struct reset_plan *plan, const char *path, uint64_t at, uint64_t size,
                                   struct gavel_slice founding, uint64_t skip, struct gavel_error *error);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__real_fopen(const char *path, const char *mode);
char *__wrap_realpath(const char *path, char *resolved);
char *__real_realpath(const char *path, char *resolved);

static int32_t refuse(struct gavel_error *error)
{
    static const int32_t codes[] = {GAVEL_E_NOT_FOUND, GAVEL_E_UNKNOWN, GAVEL_E_NO_LEADER, GAVEL_E_INVALID,
                                    GAVEL_E_CONDITION, GAVEL_E_DENIED};
    struct gavel_slice text = fuzz_take(&answers, 16);

    return gavel_fail(error, codes[fuzz_u8(&answers) % (sizeof codes / sizeof codes[0])], "%.*s", (int)text.size,
                      (const char *)text.data);
}

int32_t __wrap_gavel_client_open(const struct gavel_client_options *options, struct gavel_client **client,
                                 struct gavel_error *error)
{
    int32_t status = GAVEL_OK;

    assert(options->endpoints);
    (void)pthread_mutex_lock(&one_at_a_time);
    if (fuzz_u8(&answers) == 255)
        status = refuse(error);
    (void)pthread_mutex_unlock(&one_at_a_time);
    if (status != GAVEL_OK)
        return status;
    *client = malloc(1);
    assert(*client);
    return GAVEL_OK;
}

void __wrap_gavel_client_close(struct gavel_client *client)
{
    free(client);
}

uint64_t __wrap_gavel_client_tried(struct gavel_client *client, char *text, uint64_t size)
{
    assert(client);
    (void)snprintf(text, (size_t)size, "nobody was tried");
    return strlen("nobody was tried");
}

/* A checked document out of the input, as the library gives only such: a slice of it, or nil. */
static struct gavel_slice document(void)
{
    struct gavel_limits limits = codec_limits(1 << 16);
    struct gavel_slice value = fuzz_slice(&answers);

    limits.depth = GAVEL_DOCUMENT_DEPTH;
    return value.size && codec_document_check(value, &limits, NULL) == GAVEL_OK ? value : gavel_bytes("\xc0", 1);
}

int32_t __wrap_gavel_call(struct gavel_client *client, const struct gavel_request *request,
                          struct gavel_result **result, struct gavel_error *error)
{
    bool tables = strcmp(request->command, "describe") == 0;
    struct gavel_slice value = gavel_buffer_slice(&described);
    struct answer *made;
    int32_t status = GAVEL_OK;

    assert(client);
    assert(request->command);
    (void)pthread_mutex_lock(&one_at_a_time);
    if ((!tables || hostile_tables) && fuzz_u8(&answers) % 8 == 7)
        status = refuse(error);
    else if (!tables || hostile_tables)
        value = document();
    (void)pthread_mutex_unlock(&one_at_a_time);
    if (status != GAVEL_OK)
        return status;
    made = calloc(1, sizeof *made);
    assert(made);
    made->document = codec_buffer(0);
    assert(gavel_buffer_append(&made->document, value.data, value.size) == GAVEL_OK);
    made->result.value = gavel_buffer_slice(&made->document);
    made->result.node = "tcp://127.0.0.1:1";
    *result = &made->result;
    return GAVEL_OK;
}

void __wrap_gavel_result_free(struct gavel_result *result)
{
    struct answer *made = (struct answer *)result;

    if (!made)
        return;
    gavel_buffer_free(&made->document);
    free(made);
}

int32_t __wrap_gavel_session_open(struct gavel_client *client, struct gavel_session **session,
                                  struct gavel_error *error)
{
    (void)client;
    (void)session;
    return fuzz_u8(&answers) % 8 == 7 ? refuse(error) : GAVEL_OK;
}

void __wrap_gavel_session_close(struct gavel_session *session)
{
    (void)session;
}

int32_t __wrap_gavel_stream_open(struct gavel_client *client, const struct gavel_stream_options *options,
                                 struct gavel_stream **stream, struct gavel_error *error)
{
    (void)client;
    (void)stream;
    assert(options->name);
    return fuzz_u8(&answers) % 8 == 7 ? refuse(error) : GAVEL_OK;
}

int32_t __wrap_gavel_stream_next(struct gavel_stream *stream, uint64_t timeout_ms, struct gavel_stream_event *event,
                                 struct gavel_error *error)
{
    (void)stream;
    (void)timeout_ms;
    if (answers.size == 0)
        return gavel_fail(error, GAVEL_E_CLOSED, "the end");
    memset(event, 0, sizeof *event);
    event->index = fuzz_u8(&answers);
    event->ordinal = fuzz_u8(&answers);
    event->wall_ms = fuzz_uint(&answers, 8);
    event->type = fuzz_take(&answers, fuzz_u8(&answers) % 16);
    event->key = fuzz_take(&answers, fuzz_u8(&answers) % 16);
    event->machine = fuzz_take(&answers, fuzz_u8(&answers) % 16);
    event->value = document();
    event->previous = document();
    return GAVEL_OK;
}

void __wrap_gavel_stream_close(struct gavel_stream *stream)
{
    (void)stream;
}

int32_t __wrap_client_load_run(const struct client_load_options *options, struct client_load_result *result,
                               struct gavel_error *error)
{
    (void)error;
    assert(options->connections <= CLIENT_LOAD_CONNECTIONS);
    assert(options->read_percent <= 100);
    memset(result, 0, sizeof *result);
    return GAVEL_OK;
}

int32_t __wrap_host_sample_write(const struct host_sample *sample, struct gavel_error *error)
{
    (void)error;
    assert(sample->nodes >= 1);
    assert(sample->nodes <= HOST_SAMPLE_NODES_MAX);
    assert(sample->port + sample->nodes <= 65535);
    for (uint64_t i = 0; sample->machines[i]; i++)
        assert(i < HOST_SAMPLE_MACHINES_MAX);
    return GAVEL_OK;
}

/* A file without a part: nothing of it is left anywhere. */
int __wrap_cli_out_open(struct cli_out *out, const char *file, bool force)
{
    (void)force;
    assert(file);
    out->file = file;
    out->part[0] = 0;
    out->fd = -1; /* what is written goes nowhere, and says so */
    return CLI_OK;
}

int32_t __wrap_saved_open(struct saved *saved, const struct os *os, const char *path, struct gavel_error *error)
{
    assert(saved);
    assert(os);
    assert(path);
    return refuse(error);
}

int32_t __wrap_reset_from_snapshot(const struct reset_plan *plan, const char *path, uint64_t at, uint64_t size,
                                   struct gavel_slice founding, uint64_t skip, struct gavel_error *error)
{
    (void)at, (void)size, (void)founding, (void)skip;
    assert(plan->dir);
    assert(path);
    return refuse(error);
}

int32_t __wrap_scaffold_write(const struct scaffold *scaffold, uint64_t *files, struct gavel_error *error)
{
    assert(scaffold->name);
    assert(scaffold->kind);
    assert(scaffold->language);
    assert(scaffold->dir);
    *files = 1;
    return fuzz_u8(&answers) % 8 == 7 ? refuse(error) : GAVEL_OK;
}

int __wrap_log_inspect_check(const struct os *os, const char *dir, bool json, FILE *out, struct gavel_error *error)
{
    (void)os;
    (void)json;
    (void)out;
    (void)error;
    assert(dir);
    return GAVEL_OK;
}

int __wrap_log_inspect_dump(const struct os *os, const char *dir, const struct log_dump_options *options, FILE *out,
                            struct gavel_error *error)
{
    (void)options;
    return __wrap_log_inspect_check(os, dir, false, out, error);
}

int __wrap_log_inspect_repair(const struct os *os, const char *dir, bool apply, bool json, FILE *out,
                              struct gavel_error *error)
{
    (void)apply;
    return __wrap_log_inspect_check(os, dir, json, out, error);
}

uint32_t __wrap_members_seen_others(const struct os *os, const char *dir)
{
    (void)os;
    return (uint32_t)strlen(dir) % 3;
}

int32_t __wrap_reform(const struct os *os, const struct reform_options *options, FILE *out, struct gavel_error *error)
{
    return __wrap_log_inspect_check(os, options->dir_count ? options->dirs[0] : NULL, false, out, error);
}

/* gavel top waits for its next frame, or for the signal that ends it: here for that one. */
int __wrap_pselect(int count, fd_set *read, fd_set *write, fd_set *other, const struct timespec *wait,
                   const sigset_t *mask)
{
    static const struct timespec at_once;

    (void)wait;
    (void)raise(SIGTERM);
    return __real_pselect(count, read, write, other, &at_once, mask);
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    static char text[TEXT_MAX];
    struct gavel_slice file;

    if (!running)
        return __real_fopen(path, mode); /* the fuzzer's own files */
    file = fuzz_slice(&answers);
    if (file.size == 0 || file.size > sizeof text)
        return NULL;
    memcpy(text, file.data, file.size);
    return fmemopen(text, file.size, "r");
}

char *__wrap_realpath(const char *path, char *resolved)
{
    if (!running)
        return __real_realpath(path, resolved);
    if (!resolved)
        return strdup(path);
    if (strlen(path) >= PATH_MAX)
        return NULL;
    return memcpy(resolved, path, strlen(path) + 1);
}

/* ---- one vector ------------------------------------------------------------------------------------------------ */

static void describe_machine(struct gavel_writer *out, const struct gavel_plugin *plugin)
{
    const struct gavel_statemachine *operations = plugin->operations;
    const char *row = (const char *)operations->commands;

    gavel_put_map(out, 2);
    gavel_put_key(out, "name");
    gavel_put_text(out, plugin->name);
    gavel_put_key(out, "commands");
    gavel_put_array(out, operations->command_count);
    for (uint64_t i = 0; i < operations->command_count; i++) {
        const struct gavel_command *command =
            (const struct gavel_command *)(const void *)(row + i * operations->command_stride);

        gavel_put_map(out, command->arguments ? 3 : 2);
        gavel_put_key(out, "name");
        gavel_put_text(out, command->name);
        gavel_put_key(out, "flags");
        gavel_put_uint(out, command->flags);
        if (command->arguments) {
            gavel_put_key(out, "arguments");
            codec_fields_describe(command->arguments, out);
        }
        gavel_put_end(out);
    }
    gavel_put_end(out);
    gavel_put_end(out);
}

static void describe(void)
{
    struct mp_writer memory;
    struct gavel_writer *out;

    described = codec_buffer(0);
    out = mp_writer_init(&memory, &described);
    gavel_put_map(out, 1);
    gavel_put_key(out, "machines");
    gavel_put_array(out, 2);
    describe_machine(out, gavel_plugin_workflow());
    describe_machine(out, gavel_plugin_counter());
    gavel_put_end(out);
    gavel_put_end(out);
    assert(mp_writer_end(&memory, NULL) == GAVEL_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char program[] = "gavel";
    static char text[TEXT_MAX];
    struct fuzz_input input = {data, size};
    struct gavel_slice given;
    struct fuzz_input words_input;
    char *words[WORDS_MAX + 1] = {program};
    size_t used = 0;
    int count = 1;
    int code;

    if (!described.data) {
        if (!freopen("/dev/null", "re", stdin))
            abort();
        (void)unsetenv("GAVEL_ENDPOINTS");
        (void)unsetenv("XDG_CACHE_HOME"); /* completion keeps nothing */
        (void)unsetenv("HOME");
        describe();
    }
    hostile_tables = fuzz_u8(&input) & 1;
    given = fuzz_slice(&input);
    words_input = (struct fuzz_input){given.data, given.size};
    answers = input;
    while (words_input.size && count < WORDS_MAX && used < TEXT_MAX) {
        words[count++] = fuzz_text(&words_input, text + used, TEXT_MAX - used);
        used += strlen(text + used) + 1;
    }
    fuzz_hush(true);
    running = true;
    code = gavel_main(count, words);
    running = false;
    fuzz_hush(false);
    assert(code >= 0);
    assert(code <= CLI_DENIED || code == CLI_USAGE || (code >= CLI_DEGRADED && code <= CLI_HEALTH_UNKNOWN) ||
           code == 128 + SIGTERM);
    return 0;
}
