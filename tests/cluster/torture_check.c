/* SPDX-License-Identifier: Apache-2.0 */
/* torture_check.c - the questions that are asked when everything has been healed: see torture.h. */
#include "torture.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASK_MS 2000

/* What one node says, as far as it must agree with the others. */
struct view {
    uint64_t applied;
    uint64_t commit;
    char digest[40];
    char trouble[160]; /* why this is not settled; empty: it is */
};

static void look_at(struct torture *torture, struct torture_node *node, struct view *view)
{
    struct gavel_result *status = node->state == NODE_RUNNING ? node_status(torture, node, ASK_MS) : NULL;
    struct gavel_slice digest;
    struct gavel_slice role;

    memset(view, 0, sizeof *view);
    if (!status) {
        (void)snprintf(view->trouble, sizeof view->trouble, "%s does not answer", node->name);
        return;
    }
    digest = gavel_get_bytes(status->value, "digest");
    role = gavel_get_bytes(status->value, "role");
    view->applied = gavel_get_uint(status->value, "applied", 0);
    view->commit = gavel_get_uint(status->value, "commit", 0);
    (void)snprintf(view->digest, sizeof view->digest, "%.*s", (int)digest.size,
                   digest.size ? (const char *)digest.data : "");
    if (torture->forged == node->number)
        view->digest[0] ^= 1;
    if (!gavel_get_bool(status->value, "ready", 0) || gavel_get_count(status->value, "alarms") > 0 || !digest.size) {
        struct gavel_slice alarm = gavel_get_bytes(status->value, "alarms.0");

        (void)snprintf(view->trouble, sizeof view->trouble, "%s is %.*s, ready %d, applied %" PRIu64 " of %" PRIu64
                       ", alarm '%.*s'", node->name, (int)role.size, role.size ? (const char *)role.data : "",
                       gavel_get_bool(status->value, "ready", 0), view->applied, view->commit, (int)alarm.size,
                       alarm.size ? (const char *)alarm.data : "");
    }
    gavel_result_free(status);
}

/* True when all agree; else a sentence. */
static bool settled(struct torture *torture, char *why, size_t size)
{
    struct view views[TORTURE_NODES];
    const struct view *first = NULL;
    uint64_t commit = 0;

    for (int i = 0; i < torture->slots; i++) {
        if (torture->nodes[i].out)
            continue;
        look_at(torture, &torture->nodes[i], &views[i]);
        if (views[i].trouble[0]) {
            (void)snprintf(why, size, "%s", views[i].trouble);
            return false;
        }
        first = first ? first : &views[i];
        if (views[i].commit > commit)
            commit = views[i].commit;
    }
    for (int i = 0; i < torture->slots; i++)
        if (!torture->nodes[i].out && (views[i].applied != commit || strcmp(views[i].digest, first->digest) != 0)) {
            (void)snprintf(why, size, "%s has applied %" PRIu64 " of %" PRIu64 " and has digest %s, another has %s",
                           torture->nodes[i].name, views[i].applied, commit, views[i].digest, first->digest);
            return false;
        }
    return true;
}

void check_settled(struct torture *torture)
{
    uint64_t begun = torture_now(torture);
    char why[256] = "";

    load_rest(torture, true); /* where all are slow no two of them are at the same entry while more come */
    while (!settled(torture, why, sizeof why)) {
        node_look(torture);
        for (int i = 0; i < torture->slots; i++) {
            struct torture_node *node = &torture->nodes[i];

            if (node->state == NODE_DOWN && node->damage)
                damage_do(torture, node);
            if (node->state == NODE_DOWN && !node->out)
                node_start(torture, node);
        }
        if (torture_interrupted())
            torture_fail(torture, "interrupted");
        if (torture_now(torture) - begun > torture_patience(torture, TORTURE_SETTLE_MS))
            torture_fail(torture, "not settled %" PRIu64 " ms after the last fault: %s", torture_now(torture) - begun,
                         why);
        torture_pause(50);
    }
    load_rest(torture, false);
    torture_say(torture, "settled after %" PRIu64 " ms: all nodes have the same digest",
                torture_now(torture) - begun);
}

static void await_ends(struct torture *torture)
{
    bool running = true;

    while (running) {
        running = false;
        node_look(torture); /* has the deadline */
        for (int i = 0; i < torture->slots; i++)
            running = running || torture->nodes[i].pid > 0;
        if (running)
            torture_pause(5);
    }
}

void check_ends(struct torture *torture)
{
    char gavel[] = "gavel";
    char data[] = "data";
    char check[] = "check";
    char log[TORTURE_PATH];

    for (int i = 0; i < torture->slots; i++) {
        gavel_client_close(torture->nodes[i].client);
        torture->nodes[i].client = NULL;
        node_stop(torture, &torture->nodes[i]);
    }
    await_ends(torture);
    for (int i = 0; i < torture->slots; i++)
        if (!torture->nodes[i].out && !torture->nodes[i].clean)
            torture_fail(torture, "%s did not end with exit code 0", torture->nodes[i].name);
    printf("all nodes ended with exit code 0\n");
    node_check_reports(torture);
    for (int i = 0; i < torture->slots; i++) {
        struct torture_node *node = &torture->nodes[i];
        char *words[] = {gavel, data, check, node->data, NULL};
        int status;

        if (node->out)
            continue;
        words[0] = torture->gavel;
        (void)snprintf(log, sizeof log, "%s/%s.check", torture->dir, node->name);
        status = torture_run(torture, log, words);
        if (status != 0)
            torture_fail(torture, "gavel data check %s: exit %d, see %s", node->name, WEXITSTATUS(status), log);
        node_check_file(torture, "what gavel data check said", log);
    }
    printf("gavel data check: clean on every node\n");
}

void check_history(struct torture *torture)
{
    char *words[] = {torture->checker, torture->history, NULL};
    char log[TORTURE_PATH];
    char line[512];
    FILE *in;
    int status;

    (void)snprintf(log, sizeof log, "%s/linear", torture->dir);
    (void)unlink(log);
    status = torture_run(torture, log, words);
    in = fopen(log, "re");
    while (in && fgets(line, sizeof line, in))
        (void)fputs(line, stdout);
    if (in)
        (void)fclose(in);
    if (status != 0)
        torture_fail(torture, "the history is not linearizable, or was not decided: exit %d of %s %s",
                     WEXITSTATUS(status), torture->checker, torture->history);
}

void check_shown(struct torture *torture)
{
    if (torture->shortfall[0])
        torture_fail(torture, "all is well, but this shows little: %s", torture->shortfall);
}
