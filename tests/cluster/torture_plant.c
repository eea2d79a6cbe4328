/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torture_plant.c - the checks, checked: after a calm run in which all is well, what each of them looks for is made so,
 * on the nodes and their disks themselves where that can be done, in what was written down about them where not. The
 * check must then fail with the right words; what was planted is taken back, and it must find nothing again.
 */
#include "torture_crew.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_MS 20000
#define TRIES 3
#define FRAME 4096 /* of a segment's first frame: gavel-formats(7) */

static unsigned planted;

/* Ask, and come back with what was found, in caught_text; false when nothing was. */
static bool caught(struct torture *torture, void (*check)(struct torture *torture))
{
    torture->planter = pthread_self();
    torture->planting = true;
    if (setjmp(torture->caught) == 0) {
        check(torture);
        torture->planting = false;
        return false;
    }
    torture->planting = false;
    return true;
}

/* A check must find what is planted, and say so with these words. On a machine that does other things too it may come
 * upon a node that is late before it comes to that: then it is asked again. */
static void see(struct torture *torture, void (*check)(struct torture *torture), const char *words)
{
    for (int i = 0; i < TRIES; i++) {
        if (!caught(torture, check))
            torture_fail(torture, "PLANTED and not found: %s", words);
        if (strstr(torture->caught_text, words)) {
            printf("planted, found: %s\n", torture->caught_text);
            planted++;
            return;
        }
    }
    torture_fail(torture, "PLANTED and taken for something else: '%s' is not in '%s'", words, torture->caught_text);
}

/* ---- the ledger and the watchers --------------------------------------------------------------------------------- */

/* The first write that was acknowledged, behind so many others. */
static void pick(struct torture *torture, unsigned skip, int *client, uint32_t *number, struct torture_entry *entry)
{
    for (*client = 0; *client < TORTURE_CLIENTS; ++*client)
        for (*number = 0; load_entry(torture, *client, *number, entry); ++*number)
            if (entry->done && skip-- == 0)
                return;
    torture_fail(torture, "too little was written to plant anything");
}

/* The number that the client's next entry would have. */
static uint32_t ledger_end(struct torture *torture, int client)
{
    struct torture_entry entry;
    uint32_t end = 0;

    while (load_entry(torture, client, end, &entry))
        end++;
    return end;
}

static void end_too_late(struct torture *torture)
{
    watch_end(torture, UINT64_MAX);
}

static void plant_watchers(struct torture *torture)
{
    static const struct torture_entry refused = {.refused = true};
    struct torture_entry phantom = {.done = true};
    struct torture_entry entry;
    uint32_t number;
    int client;

    phantom.index = load_mark(torture);
    see(torture, end_too_late, "and no further");
    watch_end(torture, phantom.index);
    watch_check(torture);
    see(torture, watch_again, "came behind");
    pick(torture, 3, &client, &number, &entry);
    load_forge(torture, client, number, &refused);
    see(torture, watch_check, "which was refused");
    load_forge(torture, client, number, &entry);
    number = ledger_end(torture, 1);
    load_forge(torture, 1, number, &phantom);
    see(torture, watch_check, "never saw w1/");
    load_forge(torture, 1, number, &(struct torture_entry){0});
    watch_check(torture);
    watch_free(torture);
}

static void write_key(struct torture *torture, const char *key, const char *value)
{
    char arguments[80];

    (void)snprintf(arguments, sizeof arguments, "key=%s value=%s", key, value);
    (void)load_write(torture, "store.set", arguments);
}

static void delete_key(struct torture *torture, const char *key)
{
    char arguments[80];

    (void)snprintf(arguments, sizeof arguments, "key=%s", key);
    (void)load_write(torture, "store.delete", arguments);
}

static void plant_ledger(struct torture *torture)
{
    static const struct torture_entry refused = {.refused = true};
    static const struct torture_entry done = {.done = true};
    struct torture_entry entry;
    uint32_t number;
    int client;
    char value[16];
    char key[32];

    pick(torture, 2, &client, &number, &entry);
    (void)snprintf(value, sizeof value, "%u", number);
    (void)snprintf(key, sizeof key, "w%d/%08u", client, number);
    delete_key(torture, key);
    see(torture, load_check, "LOST: ");
    write_key(torture, key, value);
    load_check(torture);
    write_key(torture, key, value);
    see(torture, load_check, "DOUBLED: ");
    delete_key(torture, key);
    write_key(torture, key, "123456789");
    see(torture, load_check, "has the value 123456789");
    delete_key(torture, key);
    write_key(torture, key, value);
    write_key(torture, "w0/x", "1");
    see(torture, load_check, "a key that nobody wrote: w0/x");
    delete_key(torture, "w0/x");
    load_forge(torture, client, number, &refused);
    see(torture, load_check, "its writer was told that it was not done");
    load_forge(torture, client, number, &entry);
    number = ledger_end(torture, TORTURE_CLIENTS - 1); /* the last of a ledger, behind which nothing is found */
    load_forge(torture, TORTURE_CLIENTS - 1, number, &done);
    see(torture, load_check, "LOST: w15/");
    load_forge(torture, TORTURE_CLIENTS - 1, number, &(struct torture_entry){0});
    load_check(torture);
}

/* ---- the nodes --------------------------------------------------------------------------------------------------- */

/* Alone, it must notice that nobody hears it. */
static void await_unready(struct torture *torture, struct torture_node *node)
{
    uint64_t until = torture_now(torture) + WAIT_MS;
    bool ready = true;

    while (ready) {
        struct gavel_result *status = node_status(torture, node, 1000);

        ready = !status || gavel_get_bool(status->value, "ready", 0);
        gavel_result_free(status);
        if (ready && torture_now(torture) > until)
            torture_fail(torture, "%s is ready without any other node", node->name);
        torture_pause(20);
    }
}

static void plant_disagreement(struct torture *torture)
{
    struct torture_node *first = &torture->nodes[0];

    check_settled(torture);
    torture->forged = 2;
    see(torture, check_settled, "another has");
    torture->forged = 0;
    for (int i = 1; i < torture->count; i++)
        (void)node_freeze(&torture->nodes[i], true);
    see(torture, check_settled, "n2 does not answer");
    await_unready(torture, first);
    see(torture, check_settled, "ready 0");
    for (int i = 1; i < torture->count; i++)
        (void)node_freeze(&torture->nodes[i], false);
    check_settled(torture);
    (void)node_freeze(first, true);
    see(torture, load_check, "n1 cannot be read when everything is healed");
    see(torture, load_read, "of n1 is not answered when everything is healed");
    (void)node_freeze(first, false);
    check_settled(torture);
    load_check(torture);
    load_read(torture);
}

/* Somebody ends, and nobody here has told it to. */
static void watch_deaths(struct torture *torture)
{
    uint64_t until = torture_now(torture) + WAIT_MS;

    while (torture_now(torture) < until) {
        node_look(torture);
        torture_pause(5);
    }
}

/* All but one end as they should. */
static void stop_others(struct torture *torture, const struct torture_node *node)
{
    bool running = true;

    for (int i = 0; i < torture->count; i++)
        if (&torture->nodes[i] != node)
            node_stop(torture, &torture->nodes[i]);
    while (running) {
        running = false;
        node_look(torture);
        for (int i = 0; i < torture->count; i++)
            running = running || (&torture->nodes[i] != node && torture->nodes[i].pid > 0);
        torture_pause(5);
    }
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Append a line; the size before, for who takes it back. */
static off_t append(struct torture *torture, const char *path, const char *line)
{
    FILE *out = fopen(path, "ae");
    struct stat stat;

    if (!out || fstat(fileno(out), &stat) != 0 || fprintf(out, "%s\n", line) < 0 || fclose(out) != 0)
        torture_fail(torture, "%s: %s", path, strerror(errno));
    return stat.st_size;
}

static void take_back(struct torture *torture, const char *path, off_t size)
{
    if (truncate(path, size) != 0)
        torture_fail(torture, "%s: %s", path, strerror(errno));
}

static void plant_history(struct torture *torture)
{
    static const char *const lines[] = {
        "99 9000000000000000000 9000000000000000001 get r0-0 -> ok 4242", /* nobody wrote that */
        "99 9000000000000000000 9000000000000000001 get r0-0 ->"          /* nor is that a line */
    };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        off_t size = append(torture, torture->history, lines[i]);

        see(torture, check_history, "the history is not linearizable, or was not decided");
        take_back(torture, torture->history, size);
    }
    check_history(torture);
}

static void plant_reports(struct torture *torture)
{
    static const char *const lines[] = {
        "==1==ERROR: AddressSanitizer: heap-use-after-free",
        "==1==ERROR: LeakSanitizer: detected memory leaks",
        "WARNING: ThreadSanitizer: data race (pid=1)",
        "log.c:1:1: runtime error: signed integer overflow",
        "gaveld: log.c:1: log_open: Assertion `0' failed."};

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        off_t size = append(torture, torture->nodes[i % 2].log, lines[i]);

        see(torture, check_ends, lines[i]);
        take_back(torture, torture->nodes[i % 2].log, size);
    }
}

/* Another byte behind the head of a segment's first frame, and the same again to have the old one. */
static void spoil(struct torture *torture, const struct torture_node *node)
{
    char pattern[TORTURE_PATH + 16];
    unsigned char byte = 0;
    glob_t found;
    int fd;

    (void)snprintf(pattern, sizeof pattern, "%s/log/*.seg", node->data);
    if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc == 0)
        torture_fail(torture, "no file is like %s", pattern);
    fd = open(found.gl_pathv[0], O_RDWR | O_CLOEXEC);
    if (fd < 0 || pread(fd, &byte, 1, FRAME + 80) != 1)
        torture_fail(torture, "%s: %s", found.gl_pathv[0], strerror(errno));
    byte ^= 0x10;
    if (pwrite(fd, &byte, 1, FRAME + 80) != 1)
        torture_fail(torture, "%s: %s", found.gl_pathv[0], strerror(errno));
    (void)close(fd);
    globfree(&found);
}

/* ---- operators --------------------------------------------------------------------------------------------------- */

static struct hand hand;
static struct torture_crew crew;

static void command(struct torture *torture)
{
    (void)hand_do(&hand, &torture->nodes[0], "member list");
}

static void farewell(struct torture *torture)
{
    hand_farewell(&hand, &torture->nodes[0]);
}

static void wait_on(struct torture *torture)
{
    (void)torture;
    for (;;)
        hand_wait(&hand);
}

/* A gavel(1) that says what one says under a sanitizer, and exits as that lets it. */
static void plant_command(struct torture *torture, const char *line, int code)
{
    char script[TORTURE_PATH];
    char kept[sizeof torture->gavel];
    FILE *out;

    (void)snprintf(script, sizeof script, "%s/gavel", torture->dir);
    out = fopen(script, "we");
    if (!out || fprintf(out, "#!/bin/sh\necho '%s' >&2\necho more\nexit %d\n", line, code) < 0 || fclose(out) != 0 ||
        chmod(script, 0700) != 0)
        torture_fail(torture, "%s: %s", script, strerror(errno));
    memcpy(kept, torture->gavel, sizeof kept);
    (void)snprintf(torture->gavel, sizeof torture->gavel, "%s", script);
    if (node_is_report(line))
        see(torture, command, line);
    else
        command(torture);
    memcpy(torture->gavel, kept, sizeof kept);
}

/* All nodes are down. */
static void plant_operators(struct torture *torture)
{
    struct torture_node *node = &torture->nodes[0];

    hand.torture = torture;
    torture->crew = &crew;
    plant_command(torture, "gavel: not now", 1);
    plant_command(torture, "cli.c:1:1: runtime error: signed integer overflow", 0);
    plant_command(torture, "==1==ERROR: AddressSanitizer: heap-use-after-free", 1);
    plant_command(torture, "==1==ERROR: LeakSanitizer: detected memory leaks", 23);
    node->left = true;
    hand_farewell(&hand, node);
    spoil(torture, node);
    see(torture, farewell, "which was removed");
    spoil(torture, node);
    hand_farewell(&hand, node);
    node->left = false;
    atomic_store(&hand.doing, "member-add");
    atomic_store(&crew.healed_ms, torture_now(torture));
    see(torture, wait_on, "member-add has not come to its end");
    torture->crew = NULL;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static void raise_all(struct torture *torture)
{
    for (int i = 0; i < torture->count; i++) {
        (void)node_kill(torture, &torture->nodes[i]);
        node_start(torture, &torture->nodes[i]);
    }
    check_settled(torture);
}

void plant_run(struct torture *torture)
{
    struct torture_node *second = &torture->nodes[1];

    plant_watchers(torture);
    plant_ledger(torture);
    plant_disagreement(torture);
    plant_history(torture);
    (void)kill(second->pid, SIGKILL);
    see(torture, watch_deaths, "n2 ended with signal 9");
    check_settled(torture);
    stop_others(torture, second);
    (void)node_kill(torture, second);
    see(torture, check_ends, "n2 did not end with exit code 0");
    raise_all(torture);
    stop_others(torture, second);
    (void)kill(second->pid, SIGSTOP);
    see(torture, check_ends, "n2 does not end");
    raise_all(torture);
    check_ends(torture);
    plant_reports(torture);
    spoil(torture, second);
    see(torture, check_ends, "gavel data check n2");
    spoil(torture, second);
    plant_operators(torture);
    check_ends(torture);
    check_shown(torture);
    torture->storm_ms = TORTURE_LONG_MS; /* as if there had been that much */
    torture->damages[0] = 1000;
    node_report(torture);
    see(torture, check_shown, "no node said that it recovers");
    torture->damages[0] = torture->shortfall[0] = 0;
    node_report(torture);
    check_shown(torture);
    storm_idle(torture, false);
    see(torture, check_shown, "split, which must be felt, was tried 5 times and never felt");
    torture->shortfall[0] = 0;
    storm_idle(torture, true);
    see(torture, check_shown, "split was drawn 5 times, tried 5 times and done 0 times only");
    torture->shortfall[0] = 0;
    torture_short(torture, "nothing is left to be planted");
    see(torture, check_shown, "nothing is left to be planted");
    printf("planted: %u, each was found\n", planted);
    check_shown(torture);
    torture_fail(torture, "the run does not end");
}
