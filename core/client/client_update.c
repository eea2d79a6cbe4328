/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_update.c - gavel_update: read a key, let the program make the next value, write it only if the key is still
 * as it was read. Works with every machine that has get {key} -> {value, mod_revision} and cas {key, value, revision}.
 */
#include "client_core.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#define PAUSE_MAX_MS 64 /* between attempts that lost a race: at random up to this, doubling from 1 */

/* One update under way. */
struct update {
    struct gavel_client *client;
    struct gavel_slice key;
    const char *machine;
    struct gavel_session *session;
    uint64_t deadline;
    struct gavel_builder *next;
    struct gavel_builder *arguments;
    uint64_t attempt;
};

/* What is left of the time; GAVEL_E_TIMEOUT when nothing is. */
static int32_t left(const struct update *update, uint64_t *milliseconds, struct gavel_error *error)
{
    uint64_t now = client_host_now();

    if (now >= update->deadline)
        return gavel_fail(error, GAVEL_E_TIMEOUT, "the key was changed by others each time, %" PRIu64 " times",
                          update->attempt);
    *milliseconds = update->deadline - now;
    return GAVEL_OK;
}

static int32_t call(struct update *update, const char *command, uint64_t flags, struct gavel_session *session,
                    struct gavel_result **result, struct gavel_error *error)
{
    struct gavel_request request = gavel_request_defaults();
    int32_t status = gavel_builder_end(update->arguments, &request.arguments, error);

    if (status == GAVEL_OK)
        status = left(update, &request.timeout_ms, error);
    if (status != GAVEL_OK)
        return status;
    request.machine = update->machine;
    request.command = command;
    request.flags = flags;
    request.session = session;
    return gavel_call(update->client, &request, result, error);
}

static struct gavel_writer *begin_arguments(struct update *update, uint64_t count)
{
    struct gavel_writer *w;

    gavel_builder_again(update->arguments);
    w = gavel_builder_writer(update->arguments);
    gavel_put_map(w, count);
    gavel_put_key(w, "key");
    gavel_put_bytes(w, update->key);
    return w;
}

/* Read the key; a missing one is an answer too. */
static int32_t read_key(struct update *update, struct gavel_result **result, struct gavel_current *current,
                        struct gavel_error *error)
{
    struct gavel_writer *w = begin_arguments(update, 1);
    int32_t status;

    gavel_put_end(w);
    memset(current, 0, sizeof *current);
    current->size = GAVEL_END(struct gavel_current, attempt);
    current->attempt = ++update->attempt;
    status = call(update, "get", GAVEL_REPEATABLE, NULL, result, error);
    if (status == GAVEL_E_NOT_FOUND) {
        *result = NULL;
        return GAVEL_OK;
    }
    if (status < 0)
        return status;
    current->exists = 1;
    current->revision = gavel_get_uint((*result)->value, "mod_revision",
                                       gavel_get_uint((*result)->value, "revision", 0));
    current->value = gavel_get((*result)->value, "value");
    return GAVEL_OK;
}

/* Write the new value if the key is unchanged; GAVEL_E_CONDITION when it is not. */
static int32_t write_key(struct update *update, const struct gavel_current *current, uint64_t *revision,
                         struct gavel_error *error)
{
    struct gavel_slice document;
    struct gavel_result *result = NULL;
    struct gavel_writer *w;
    int32_t status = gavel_builder_end(update->next, &document, error);

    if (status != GAVEL_OK)
        return gavel_wrap(error, "the new value");
    w = begin_arguments(update, 3);
    gavel_put_key(w, "value");
    codec_put_value(w, document);
    gavel_put_key(w, "revision");
    gavel_put_uint(w, current->revision);
    gavel_put_end(w);
    status = call(update, "cas", 0, update->session, &result, error);
    if (status >= 0 && revision)
        *revision = gavel_get_uint(result->value, "revision", 0);
    gavel_result_free(status >= 0 ? result : NULL);
    return status;
}

/* Ask the nodes which machine is a store, once a client; the name lives as long as the client. */
static int32_t find_store(struct gavel_client *client, const char **machine, struct gavel_error *error)
{
    struct gavel_request request = gavel_request_defaults();
    struct gavel_result *result = NULL;
    struct client_schema *schema;
    const char *store;
    int32_t status;

    *machine = atomic_load(&client->store);
    if (*machine)
        return GAVEL_OK;
    request.machine = "gavel";
    request.command = "describe";
    request.read = GAVEL_STALE;
    request.flags = GAVEL_REPEATABLE;
    status = gavel_call(client, &request, &result, error);
    if (status < 0)
        return status;
    schema = client_schema_new(result->value, error);
    gavel_result_free(result);
    if (!schema)
        return (int32_t)(error ? error->code : GAVEL_E_INVALID);
    store = client_schema_store(schema);
    if (store) {
        char *nobody = NULL;
        char *copy = strdup(store);

        /* Another thread may have been faster: then its copy stays. */
        if (copy && !atomic_compare_exchange_strong(&client->store, &nobody, copy))
            free(copy);
        *machine = atomic_load(&client->store);
    }
    client_schema_free(schema);
    return *machine ? GAVEL_OK : gavel_fail(error, GAVEL_E_INVALID, "no machine, or more than one, has get and cas");
}

/* One round: 1 when another one has to follow. */
static int32_t attempt(struct update *update, gavel_updater updater, void *context, uint64_t *revision,
                       struct gavel_error *error)
{
    struct gavel_result *result = NULL;
    struct gavel_current current;
    int32_t status = read_key(update, &result, &current, error);

    if (status != GAVEL_OK)
        return status;
    gavel_builder_again(update->next);
    if (error)
        error->text[0] = 0;
    status = updater(context, &current, gavel_builder_writer(update->next), error);
    if (status == 1) {
        if (revision)
            *revision = current.revision;
        status = GAVEL_OK;
    } else if (status == 0) {
        status = write_key(update, &current, revision, error);
        if (status == GAVEL_E_CONDITION || status == GAVEL_E_NOT_FOUND || status == GAVEL_E_EXISTS)
            status = 1;
    } else if (error && error->text[0] == 0) {
        (void)gavel_fail(error, status, "the updater gave up");
    }
    gavel_result_free(result);
    return status;
}

/* Wait a moment that differs from everybody else's, so that two updaters do not meet for ever. */
static void pause_a_moment(uint64_t attempts)
{
    uint64_t most = attempts < 6 ? UINT64_C(1) << attempts : PAUSE_MAX_MS;
    uint64_t wait = client_host_random(most * 1000 + 1);
    struct timespec moment = {(time_t)(wait / 1000000), (long)(wait % 1000000) * 1000};

    (void)nanosleep(&moment, NULL);
}

int32_t gavel_update(struct gavel_client *client, struct gavel_slice key, gavel_updater updater, void *context,
                     const struct gavel_update_options *options, uint64_t *revision, struct gavel_error *error)
{
    struct gavel_update_options known = gavel_update_defaults();
    struct gavel_session *own = NULL;
    struct update update;
    int32_t status = GAVEL_OK;

    assert(client->magic == CLIENT_MAGIC);
    if (options)
        memcpy(&known, options, options->size < known.size ? options->size : known.size);
    memset(&update, 0, sizeof update);
    update.client = client;
    update.key = key;
    update.machine = known.machine;
    update.deadline = client_host_now() + (known.timeout_ms ? known.timeout_ms : client->timeout_ms);
    update.next = gavel_builder_new();
    update.arguments = gavel_builder_new();
    if (!update.next || !update.arguments)
        status = gavel_fail(error, GAVEL_E_NO_MEMORY, "no memory for an update");
    if (status == GAVEL_OK && !known.machine)
        status = find_store(client, &update.machine, error);
    if (status == GAVEL_OK && !known.session)
        status = gavel_session_open(client, &own, error);
    update.session = known.session ? known.session : own;
    if (status == GAVEL_OK) {
        while ((status = attempt(&update, updater, context, revision, error)) == 1)
            pause_a_moment(update.attempt);
    }
    gavel_session_close(own);
    gavel_builder_free(update.arguments);
    gavel_builder_free(update.next);
    return status;
}
