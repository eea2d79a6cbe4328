/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_wait.c - the waiting forms of calls, for the program's own threads: a condition around the asynchronous ones.
 */
#include "client_core.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

void client_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;

    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

int32_t client_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t until)
{
    struct timespec moment;

    if (until == UINT64_MAX) {
        (void)pthread_cond_wait(condition, lock);
        return GAVEL_OK;
    }
    moment.tv_sec = (time_t)(until / 1000);
    moment.tv_nsec = (long)(until % 1000) * 1000000;
    return pthread_cond_timedwait(condition, lock, &moment) == ETIMEDOUT ? GAVEL_E_TIMEOUT : GAVEL_OK;
}

/* One waiting call, on the caller's stack. */
struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool wants_result;
    bool done;
    int32_t status;
    struct gavel_result *result;
    struct gavel_error error;
};

/* A result with its value and node behind it in one block. */
static struct gavel_result *result_copy(const struct gavel_result *result)
{
    size_t node_size = strlen(result->node) + 1;
    struct gavel_result *copy = malloc(sizeof *copy + result->value.size + node_size);
    char *at = (char *)(copy + 1);

    if (!copy)
        return NULL;
    *copy = *result;
    if (result->value.size)
        memcpy(at, result->value.data, result->value.size);
    copy->value = gavel_bytes(at, result->value.size);
    memcpy(at + result->value.size, result->node, node_size);
    copy->node = at + result->value.size;
    return copy;
}

static void waiter_done(void *context, int32_t status, const struct gavel_result *result,
                        const struct gavel_error *error)
{
    struct waiter *waiter = context;

    pthread_mutex_lock(&waiter->lock);
    waiter->status = status;
    if (error)
        waiter->error = *error;
    if (result && waiter->wants_result) {
        waiter->result = result_copy(result);
        if (!waiter->result)
            waiter->status = gavel_fail(&waiter->error, GAVEL_E_UNKNOWN, "it was done, but no memory for its result");
    }
    waiter->done = true;
    pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->lock);
}

int32_t gavel_call(struct gavel_client *client, const struct gavel_request *request, struct gavel_result **result,
                   struct gavel_error *error)
{
    struct waiter waiter;
    int32_t status;

    assert(client->magic == CLIENT_MAGIC);
    if (client_host_inside(&client->host))
        return gavel_fail(error, GAVEL_E_STATE, "a callback may not wait for a call: use gavel_call_async");
    memset(&waiter, 0, sizeof waiter);
    waiter.wants_result = result != NULL;
    (void)pthread_mutex_init(&waiter.lock, NULL);
    client_condition_init(&waiter.changed);
    status = gavel_call_async(client, request, waiter_done, &waiter, error);
    if (status == GAVEL_OK) {
        pthread_mutex_lock(&waiter.lock);
        while (!waiter.done)
            (void)pthread_cond_wait(&waiter.changed, &waiter.lock);
        pthread_mutex_unlock(&waiter.lock);
        status = waiter.status;
        if (status < 0 && error)
            *error = waiter.error;
        if (status >= 0 && result)
            *result = waiter.result;
    }
    (void)pthread_cond_destroy(&waiter.changed);
    (void)pthread_mutex_destroy(&waiter.lock);
    return status;
}

void gavel_result_free(struct gavel_result *result)
{
    free(result);
}

static void call_run(struct client_job *job)
{
    client_call_begin(os_container(job, struct client_call, job));
}

int32_t gavel_call_async(struct gavel_client *client, const struct gavel_request *request, gavel_called done,
                         void *context, struct gavel_error *error)
{
    struct client_call *call;
    int32_t status;

    assert(client->magic == CLIENT_MAGIC);
    if (atomic_load(&client->calls) >= GAVEL_CLIENT_CALLS)
        return gavel_fail(error, GAVEL_E_BUSY, "%d calls are under way already", GAVEL_CLIENT_CALLS);
    call = client_call_new(client, request, done, context, error);
    if (!call)
        return error ? (int32_t)error->code : GAVEL_E_INVALID;
    call->job.run = call_run;
    status = client_host_post(&client->host, &call->job);
    if (status == GAVEL_OK)
        return GAVEL_OK;
    if (call->session)
        atomic_fetch_sub(&call->session->calls, 1);
    atomic_fetch_sub(&client->calls, 1);
    call->state = CLIENT_CALL_DONE;
    client_call_free(call);
    return gavel_fail(error, status, "the client is closed or full");
}
