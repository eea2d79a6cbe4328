/* SPDX-License-Identifier: Apache-2.0 */
/* torture_hand.c - what an operator does, and what he sees: see torture_crew.h. */
#include "torture_crew.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 50      /* between two looks at what is waited for */
#define ASK_MS 400      /* a node that does not answer its own socket in that time is paused, or starting */
#define HEAR_MS 20000   /* a node that was removed, runs, and has not heard of it in that time, is ended by hand */
#define WORDS_MAX 16
#define COMMAND_TIME "4s"

uint64_t hand_random(struct hand *hand, uint64_t bound)
{
    return torture_random(&hand->dice, bound);
}

void hand_wait(struct hand *hand)
{
    uint64_t healed = atomic_load(&hand->torture->crew->healed_ms);

    if (healed && torture_now(hand->torture) > healed + torture_patience(hand->torture, TORTURE_SETTLE_MS))
        torture_fail(hand->torture, "%s has not come to its end %" PRIu64 " ms after the last fault; gavel said: %s",
                     atomic_load(&hand->doing), torture_now(hand->torture) - healed, hand->said);
    torture_pause(LOOK_MS);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

/* What a node answers by its admin socket; NULL: nothing. */
static struct gavel_result *ask(struct hand *hand, struct torture_node *node, const char *command)
{
    struct gavel_client_options options = gavel_client_defaults();
    struct gavel_request request = gavel_request_defaults();
    struct gavel_client **client = &hand->clients[node->number - 1];
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};
    char uri[TORTURE_PATH + 24];

    if (!*client) {
        (void)snprintf(uri, sizeof uri, "unix://%s/admin.sock", node->data);
        options.endpoints = uri;
        options.name = "operator";
        options.role = GAVEL_ROLE_ADMIN;
        options.stay = 1;
        if (gavel_client_open(&options, client, &error) != GAVEL_OK)
            torture_fail(hand->torture, "%s", error.text);
    }
    request.command = command;
    request.read = GAVEL_STALE;
    request.flags = GAVEL_REPEATABLE;
    request.timeout_ms = ASK_MS;
    return gavel_call(*client, &request, &result, &error) == GAVEL_OK ? result : NULL;
}

/* It may end at any time; then it does not answer. */
static bool runs(struct hand *hand, const struct torture_node *node)
{
    bool running;

    (void)pthread_mutex_lock(&hand->torture->lock);
    running = node->state == NODE_RUNNING && !node->paused && !node->out;
    (void)pthread_mutex_unlock(&hand->torture->lock);
    return running;
}

static void copy(char *to, size_t size, struct gavel_slice text)
{
    (void)snprintf(to, size, "%.*s", (int)text.size, text.size ? (const char *)text.data : "");
}

static void read_member(struct gavel_slice item, struct view *view)
{
    struct gavel_slice list = gavel_get(item, "addresses");
    struct seen *member;
    char name[40];
    int number = 0;

    copy(name, sizeof name, gavel_get_bytes(item, "name"));
    if (sscanf(name, "n%d", &number) != 1 || number < 1 || number > TORTURE_NODES)
        return;
    member = &view->members[number - 1];
    member->there = true;
    member->joined = gavel_get_bool(item, "joined", 0) != 0;
    member->id = gavel_get_uint(item, "id", 0);
    copy(member->role, sizeof member->role, gavel_get_bytes(item, "role"));
    for (uint64_t i = 0; i < gavel_get_count(list, NULL); i++) {
        struct gavel_slice one = gavel_get_bytes(gavel_document_at(list, i, NULL), NULL);
        size_t used = strlen(member->addresses);

        (void)snprintf(member->addresses + used, sizeof member->addresses - used, "%s%.*s", i ? "," : "",
                       (int)one.size, one.size ? (const char *)one.data : "");
    }
}

static bool look(struct hand *hand, struct view *view)
{
    struct torture *torture = hand->torture;
    struct gavel_result *list;
    uint64_t highest = 0;

    memset(view, 0, sizeof *view);
    for (int i = 0; i < torture->slots; i++) {
        struct torture_node *node = &torture->nodes[i];
        struct gavel_result *status = runs(hand, node) ? ask(hand, node, "gavel.status") : NULL;
        uint64_t term = status ? gavel_get_uint(status->value, "term", 0) : 0;

        if (term >= highest && status &&
            gavel_slice_equal(gavel_get_bytes(status->value, "role"), gavel_text("leader"))) {
            view->leader = node;
            highest = term;
        }
        gavel_result_free(status);
    }
    list = view->leader ? ask(hand, view->leader, "gavel.member_list") : NULL;
    if (!list)
        return false;
    view->version = gavel_get_uint(list->value, "version", 0);
    view->in_flight = gavel_get_bool(list->value, "in_flight", 1) != 0;
    for (uint64_t i = 0; i < gavel_get_count(list->value, "members"); i++)
        read_member(gavel_document_at(gavel_get(list->value, "members"), i, NULL), view);
    gavel_result_free(list);
    return true;
}

void hand_view(struct hand *hand, struct view *view)
{
    while (!look(hand, view))
        hand_wait(hand);
}

const struct seen *view_of(const struct view *view, const struct torture_node *node)
{
    const struct seen *member = &view->members[node->number - 1];

    return member->there ? member : NULL;
}

bool view_has(const struct view *view, const struct torture_node *node, const char *role)
{
    const struct seen *member = view_of(view, node);

    return !view->in_flight && member && member->joined && strcmp(member->role, role) == 0;
}

int view_count(const struct view *view, const char *role)
{
    int count = 0;

    for (int i = 0; i < TORTURE_NODES; i++)
        count += view->members[i].there && strcmp(view->members[i].role, role) == 0;
    return count;
}

struct torture_node *hand_pick(struct hand *hand, const struct view *view, const char *role, bool leader)
{
    struct torture *torture = hand->torture;
    struct torture_node *picked = NULL;
    uint64_t count = 0;

    for (int i = 0; i < torture->slots; i++) {
        struct torture_node *node = &torture->nodes[i];

        if (view_has(view, node, role) && (leader || node != view->leader) && runs(hand, node) &&
            hand_random(hand, ++count) == 0)
            picked = node;
    }
    return picked;
}

void hand_await_ready(struct hand *hand, struct torture_node *node)
{
    bool ready = false;

    while (!ready) {
        struct gavel_result *status = runs(hand, node) ? ask(hand, node, "gavel.status") : NULL;

        ready = (status && gavel_get_bool(status->value, "ready", 0)) || node->out;
        gavel_result_free(status);
        if (!ready)
            hand_wait(hand);
    }
    (void)pthread_mutex_lock(&hand->torture->lock);
    node->empty = false;
    (void)pthread_mutex_unlock(&hand->torture->lock);
}

/* ---- doing ------------------------------------------------------------------------------------------------------- */

/* What gavel(1) said, for who reads why nothing goes on; and all of it in a file of the operator. A sanitizer ends it
 * with a code that looks like any other refusal: its report is looked for whatever the code. */
static void hear(struct hand *hand, const char *path, const char *line, int code)
{
    char all[TORTURE_PATH];
    char text[560];
    char report[560] = "";
    FILE *in = fopen(path, "re");
    FILE *out;

    (void)snprintf(all, sizeof all, "%s/operator-%d", hand->torture->dir, hand->number);
    out = fopen(all, "ae");
    if (out)
        fprintf(out, "%" PRIu64 " exit %d of %s\n", torture_now(hand->torture), code, line);
    (void)snprintf(hand->said, sizeof hand->said, "exit %d", code);
    while (in && fgets(text, sizeof text, in)) {
        if (out)
            (void)fputs(text, out);
        text[strcspn(text, "\n")] = 0;
        if (!report[0] && node_is_report(text))
            memcpy(report, text, sizeof report);
        (void)snprintf(hand->said, sizeof hand->said, "exit %d, %s", code, text);
    }
    if (in)
        (void)fclose(in);
    if (out)
        (void)fclose(out);
    if (report[0])
        torture_fail(hand->torture, "a report of gavel %s: exit %d, %s", line, code, report);
}

int hand_do(struct hand *hand, struct torture_node *node, const char *format, ...)
{
    static const char common[] = " --timeout " COMMAND_TIME " --data-dir ";
    char path[TORTURE_PATH];
    char line[1200];
    char copied[1200];
    char *words[WORDS_MAX + 1];
    char *rest = NULL;
    unsigned count = 0;
    va_list arguments;
    size_t used;
    int status;

    va_start(arguments, format);
    used = (size_t)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    (void)snprintf(line + used, sizeof line - used, "%s%s", common, node->data);
    (void)snprintf(path, sizeof path, "%s/said-%d", hand->torture->dir, hand->number);
    (void)unlink(path);
    memcpy(copied, line, sizeof copied);
    words[count++] = hand->torture->gavel;
    for (char *word = strtok_r(copied, " ", &rest); word && count < WORDS_MAX; word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    words[count] = NULL;
    status = torture_run(hand->torture, path, words);
    status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    hear(hand, path, line, status);
    if (status == 64 || status >= 126)
        torture_fail(hand->torture, "gavel %s: %s", line, hand->said);
    hand->refused += status != 0;
    return status;
}

/* Any node whose socket may answer: the leader or another one, which passes it on. */
static struct torture_node *gate(struct hand *hand, const struct view *view)
{
    struct torture *torture = hand->torture;
    struct torture_node *node = &torture->nodes[hand_random(hand, (uint64_t)torture->slots)];

    return view_of(view, node) && runs(hand, node) ? node : view->leader;
}

void hand_change(struct hand *hand, struct torture_node *node, const char *role, uint64_t not_id, const char *format,
                 ...)
{
    struct view view;
    char words[1000];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    for (;;) {
        const struct seen *member;

        hand_view(hand, &view);
        member = view_of(&view, node);
        if (view.in_flight) {
            hand_wait(hand);
            continue;
        }
        if (role ? member && member->id != not_id && strcmp(member->role, role) == 0 : !member)
            return;
        /* Joining: asked for already, and any leader goes on with it. The version keeps an answer that was lost, or a
         * leader that was not the newest, from having the same done twice. */
        if (!(role && member && member->id != not_id && strcmp(member->role, "joining") == 0))
            (void)hand_do(hand, gate(hand, &view), "member %s --if-version %" PRIu64, words, view.version);
        hand_wait(hand);
    }
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

struct torture_node *hand_spare(struct hand *hand)
{
    struct torture *torture = hand->torture;
    struct torture_node *spare = NULL;
    uint64_t count = 0;

    (void)pthread_mutex_lock(&torture->lock);
    for (int i = 0; i < torture->slots; i++) {
        struct torture_node *node = &torture->nodes[i];

        if (node->out && node->state == NODE_DOWN && hand_random(hand, ++count) == 0)
            spare = node;
    }
    if (spare) {
        node_wipe(torture, spare);
        spare->way = torture->way;
        spare->joins = true;
        spare->may_leave = spare->left = spare->wiped = false;
        node_configure(torture, spare);
    }
    (void)pthread_mutex_unlock(&torture->lock);
    return spare;
}

void hand_raise(struct hand *hand, struct torture_node *node)
{
    (void)pthread_mutex_lock(&hand->torture->lock);
    node->out = false;
    node->wanted = node->state == NODE_DOWN;
    (void)pthread_mutex_unlock(&hand->torture->lock);
}

/* A removed node's directory is still a sound one, unless it was damaged by us. */
static void inspect(struct hand *hand, struct torture_node *node)
{
    struct torture *torture = hand->torture;
    char area[] = "data";
    char verb[] = "check";
    char *words[] = {torture->gavel, area, verb, node->data, NULL};
    char log[TORTURE_PATH];
    int status;

    (void)snprintf(log, sizeof log, "%s/%s.check", torture->dir, node->name);
    (void)pthread_mutex_lock(&torture->lock);
    if (node->cut)
        room_restore(torture, node);
    status = node->damaged || node->damage || node->full ? 0 : torture_run(torture, log, words);
    (void)pthread_mutex_unlock(&torture->lock);
    if (status != 0)
        torture_fail(torture, "gavel data check of %s, which was removed: exit %d, see %s", node->name,
                     WEXITSTATUS(status), log);
    node_check_file(torture, "what gavel data check said", log);
}

void hand_farewell(struct hand *hand, struct torture_node *node)
{
    struct torture *torture = hand->torture;
    uint64_t until = 0;
    bool over = false;

    while (!over) {
        bool running = runs(hand, node);

        (void)pthread_mutex_lock(&torture->lock);
        over = node->left;
        if (running && !until)
            until = torture_now(torture) + HEAR_MS;
        if (!over && until && torture_now(torture) > until) {
            torture_say(torture, "%s was removed, did not hear of it in %d ms, and is ended by hand", node->name,
                        HEAR_MS);
            (void)node_kill(torture, node);
            node->out = over = true;
            node->wanted = false;
            torture->crew->ended++;
        }
        (void)pthread_mutex_unlock(&torture->lock);
        if (!over)
            hand_wait(hand);
    }
    inspect(hand, node);
}
