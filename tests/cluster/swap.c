/* SPDX-License-Identifier: Apache-2.0 */
/* swap.c - nodes of a test cluster whose INI files change while they run: see swap.h. */
#include "swap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RELOAD_MS 60000

void swap_write(struct cluster *cluster, int number, const struct swap_node *what)
{
    const struct cluster_node *node = &cluster->nodes[number];
    FILE *out = fopen(node->config, "we");

    if (!out)
        cluster_fail(cluster, "cannot write %s: %s", node->config, strerror(errno));
    fprintf(out, "[node]\nname = %s\ndata_dir = %s\n", node->name, node->data);
    if (what->drain)
        fprintf(out, "drain_timeout = %s\n", what->drain);
    fprintf(out, "[cluster]\nmembers =");
    for (int i = 0; i < cluster->count; i++)
        fprintf(out, " %s=%s", cluster->nodes[i].name, cluster->nodes[i].uri);
    fprintf(out, "\n");
    if (what->transports & SWAP_WS)
        fprintf(out, "[transport.web]\nplugin = websocket\nlisten = ws://127.0.0.1:%u\n", what->ws);
    if (what->transports & SWAP_TCP)
        fprintf(out, "[transport.fast]\nplugin = tcp\nlisten = tcp://127.0.0.1:%u\n", what->tcp);
    if (what->serializer)
        fprintf(out, "[serializer]\nplugin = %s\n", what->serializer);
    fprintf(out, "%s", what->machines ? what->machines
                                      : "[statemachine.store]\nplugin = workflow\n"
                                        "[statemachine.counter]\nplugin = counter\n");
    fprintf(out, "%s[observer.log]\nplugin = log\n%s%s", what->patient ? CLUSTER_PATIENT : "",
            what->observer ? what->observer : "", what->extra ? what->extra : "");
    if (fclose(out) != 0)
        cluster_fail(cluster, "cannot write %s: %s", node->config, strerror(errno));
}

static void copy_lines(struct gavel_slice list, char *text, size_t size)
{
    uint64_t count = gavel_get_count(list, NULL);
    size_t used = 0;

    text[0] = 0;
    for (uint64_t i = 0; i < count && used < size; i++) {
        struct gavel_slice line = gavel_get_bytes(gavel_document_at(list, i, NULL), NULL);

        used += (size_t)snprintf(text + used, size - used, "%.*s\n", (int)line.size,
                                 line.size ? (const char *)line.data : "");
    }
}

void swap_reload(struct cluster *cluster, int number, struct swap_answer *answer)
{
    struct gavel_client_options options = gavel_client_defaults();
    struct gavel_request request = gavel_request_defaults();
    struct gavel_client *client = NULL;
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};
    char uri[400];

    (void)snprintf(uri, sizeof uri, "unix://%s/admin.sock", cluster->nodes[number].data);
    options.endpoints = uri;
    options.role = GAVEL_ROLE_ADMIN;
    options.stay = 1;
    options.timeout_ms = RELOAD_MS;
    if (gavel_client_open(&options, &client, &error) != GAVEL_OK)
        cluster_fail(cluster, "%s", error.text);
    request.command = "gavel.reload";
    memset(answer, 0, sizeof *answer);
    answer->status = gavel_call(client, &request, &result, &error);
    if (answer->status < 0) {
        (void)snprintf(answer->faults, sizeof answer->faults, "%s\n", error.text);
    } else {
        answer->reloaded = gavel_get_bool(result->value, "reloaded", 0) != 0;
        copy_lines(gavel_get(result->value, "changes"), answer->changes, sizeof answer->changes);
        copy_lines(gavel_get(result->value, "faults"), answer->faults, sizeof answer->faults);
        gavel_result_free(result);
    }
    gavel_client_close(client);
}

void swap_must(struct cluster *cluster, int number)
{
    struct swap_answer answer;

    swap_reload(cluster, number, &answer);
    if (answer.status < 0 || !answer.reloaded)
        cluster_fail(cluster, "%s does not reload: %s", cluster->nodes[number].name, answer.faults);
}

void swap_refused(struct cluster *cluster, int number, const char *text)
{
    struct swap_answer answer;

    swap_reload(cluster, number, &answer);
    if (answer.reloaded)
        cluster_fail(cluster, "%s reloads, although %s", cluster->nodes[number].name, text);
    if (!strstr(answer.faults, text))
        cluster_fail(cluster, "%s does not say '%s', but: %s", cluster->nodes[number].name, text, answer.faults);
}

void swap_settled(struct cluster *cluster, int number)
{
    uint64_t until = cluster_now() + RELOAD_MS;
    struct swap_answer answer;

    do {
        if (cluster_now() > until)
            cluster_fail(cluster, "%s does not come to an end of its reload: %s", cluster->nodes[number].name,
                         answer.faults);
        cluster_pause(5);
        swap_reload(cluster, number, &answer);
    } while (!answer.reloaded && strstr(answer.faults, "a reload is running"));
    if (!answer.reloaded || answer.changes[0])
        cluster_fail(cluster, "a second reload of %s changes something: %s%s", cluster->nodes[number].name,
                     answer.changes, answer.faults);
}

static struct gavel_result *ask(struct cluster *cluster, int number, const char *command)
{
    struct gavel_client_options options = gavel_client_defaults();
    struct gavel_request request = gavel_request_defaults();
    struct gavel_client *client = NULL;
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};
    char uri[400];

    (void)snprintf(uri, sizeof uri, "unix://%s/admin.sock", cluster->nodes[number].data);
    options.endpoints = uri;
    options.role = GAVEL_ROLE_ADMIN;
    options.stay = 1;
    request.command = command;
    request.flags = GAVEL_REPEATABLE;
    if (gavel_client_open(&options, &client, &error) != GAVEL_OK ||
        gavel_call(client, &request, &result, &error) < 0)
        cluster_fail(cluster, "%s: %s", command, error.text);
    gavel_client_close(client);
    return result;
}

void swap_addresses(struct cluster *cluster, int number, char *text, size_t size)
{
    struct gavel_result *result = ask(cluster, number, "gavel.members");
    size_t used = 0;

    text[0] = 0;
    for (uint64_t i = 0; i < gavel_get_count(result->value, NULL); i++) {
        struct gavel_slice list = gavel_get(gavel_document_at(result->value, i, NULL), "addresses");

        for (uint64_t k = 0; k < gavel_get_count(list, NULL) && used < size; k++) {
            struct gavel_slice one = gavel_get_bytes(gavel_document_at(list, k, NULL), NULL);

            used += (size_t)snprintf(text + used, size - used, "%.*s ", (int)one.size, (const char *)one.data);
        }
    }
    gavel_result_free(result);
}

double swap_metric(struct cluster *cluster, int number, const char *name)
{
    struct gavel_result *result = ask(cluster, number, "gavel.metrics");
    char *json = gavel_result_json(result);
    const char *at = json ? strstr(json, name) : NULL;
    double value;

    at = at ? strstr(at, "\"value\":") : NULL;
    if (!at)
        cluster_fail(cluster, "%s has no metric %s: %.400s", cluster->nodes[number].name, name, json ? json : "");
    value = strtod(at + strlen("\"value\":"), NULL);
    free(json);
    gavel_result_free(result);
    return value;
}
