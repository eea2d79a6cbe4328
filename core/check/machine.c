/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.c - what a state machine must be for replicas to agree: the same outcome of the same entry, everywhere.
 */
#define _GNU_SOURCE
#include "core/check/machine.h"

#include "core/check/drive.h"
#include "core/check/shared.h"
#include "core/check/watch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENTRIES 400           /* of a script: enough for each command to meet the state of the others */
#define BOUNDED_NS 10000000   /* processor time of one run over which a BOUNDED machine is warned about */

/* ---- the twin ---------------------------------------------------------------------------------------------------- */

/* An environment that shares nothing with this one's but the paths. */
static char *const other_environment[] = {
    (char[]){"PATH=/nonexistent"}, (char[]){"TZ=Pacific/Chatham"}, (char[]){"LC_ALL=C.UTF-8"}, (char[]){"HOME=/"},
    (char[]){"USER=twin"}, (char[]){"HOSTNAME=twin"}, (char[]){"GAVEL_CHECK_TWIN=1 a longer stack than the other's"},
    NULL};

/* Start it; its outcomes can be read from the result. */
static int start_twin(pid_t *pid)
{
    const char *words[2 * KIT_OPTIONS_MAX + 16] = {"gavel-check", "--twin", "--plugin-dir", kit.dir, "--seed"};
    pid_t parent = getpid();
    char seed[32];
    int count = 5, out[2];

    (void)snprintf(seed, sizeof seed, "%" PRIu64, kit.seed);
    words[count++] = seed;
    if (kit.kind) {
        words[count++] = "--kind";
        words[count++] = kit.kind;
    }
    for (const char *const *option = kit.options; *option; option++) {
        words[count++] = "--set";
        words[count++] = *option;
    }
    words[count++] = "--";
    words[count] = kit.asked;
    if (pipe2(out, O_CLOEXEC) != 0)
        kit_fail("the kit has no pipe: %s", strerror(errno));
    *pid = fork();
    if (*pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody waits for the twin of a plugin that hangs */
        if (getppid() != parent)
            _exit(127);
        (void)dup2(out[1], STDOUT_FILENO);
        (void)execve(kit.program, (char **)(uintptr_t)words, other_environment);
        _exit(127);
    }
    (void)close(out[1]);
    return out[0];
}

static bool read_outcome(int from, struct outcome *outcome)
{
    size_t got = 0;

    while (got < sizeof *outcome) {
        ssize_t more = read(from, (char *)outcome + got, sizeof *outcome - got);

        if (more < 0 && errno == EINTR)
            continue;
        if (more <= 0)
            return false;
        got += (size_t)more;
    }
    return true;
}

int machine_twin(void)
{
    static struct shared page;
    void *volatile kept; /* the compiler would see that nobody wants it, and leave the call out */
    struct script script;
    struct drive drive;
    int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    shared = &page;
    kit.report = null; /* the first process finds the same, and tells it */
    (void)dup2(null, STDOUT_FILENO);
    watch_own_thread();
    watch_perturb();
    for (size_t size = 8; size < 4096; size += 16)
        kept = malloc(size); /* never freed: other addresses, whatever the size and the allocator */
    (void)kept;
    kit_load();
    face_begin();
    script_make(&script, "script", ENTRIES);
    drive_open(&drive, "twin");
    for (uint64_t i = 0; i < script.count; i++) {
        drive_run(&drive, &script.entries[i], i + 1);
        if (write(out, &drive.last, sizeof drive.last) != (ssize_t)sizeof drive.last)
            _exit(SHARED_EXIT_BROKEN);
    }
    _exit(SHARED_EXIT_DONE); /* what it holds is not worth the time */
}

/* ---- determinism ------------------------------------------------------------------------------------------------- */

void machine_determinism(void)
{
    struct outcome *outcomes, other;
    struct script script;
    struct drive drive, second;
    const char *what;
    pid_t pid;
    int twin;

    face_begin();
    script_make(&script, "script", ENTRIES);
    if (script.writes == 0)
        kit_fail("a random script: expected arguments that the field tables let pass, saw none in %" PRIu64 " tries",
                 script.refused);
    outcomes = calloc(script.count, sizeof *outcomes);
    assert(outcomes);
    twin = start_twin(&pid);
    drive_open(&drive, "checked");
    for (uint64_t i = 0; i < script.count; i++) {
        drive_run(&drive, &script.entries[i], i + 1);
        outcomes[i] = drive.last;
        if (!read_outcome(twin, &other))
            kit_broken("a second process to come as far", "its end");
        what = drive_differs(&drive.last, &other);
        if (what)
            kit_broken("two instances in two processes to agree", "another %s in the second", what);
    }
    (void)close(twin);
    (void)waitpid(pid, NULL, 0);
    /* Beside the first in one process: what is kept in a variable of the file would be shared. */
    drive_open(&second, "second");
    for (uint64_t i = 0; i < script.count; i++) {
        drive_run(&second, &script.entries[i], i + 1);
        what = drive_differs(&second.last, &outcomes[i]);
        if (what)
            kit_broken("two instances in one process to share nothing", "another %s in the second", what);
    }
    drive_state(&drive, &other);
    what = drive_state_differs(&other, &outcomes[script.count - 1]);
    if (what)
        kit_broken("two instances in one process to share nothing", "another %s in the first", what);
    if (drive.machine->flags & GAVEL_BOUNDED && drive.slowest_ns > BOUNDED_NS)
        kit_warn("the machine says GAVEL_BOUNDED, and one run took %" PRIu64 " ms of processor time; such a run holds "
                 "up elections", drive.slowest_ns / 1000000);
    drive_close(&second);
    drive_close(&drive);
    script_free(&script);
    free(outcomes);
}

void machine_reads(void)
{
    struct outcome before = {0};
    struct drive all, writes;
    struct script script;
    const char *what;

    face_begin();
    script_make(&script, "reads", ENTRIES);
    drive_open(&all, "all");
    drive_open(&writes, "writes");
    for (uint64_t i = 0; i < script.count; i++) {
        const struct entry *entry = &script.entries[i];

        drive_state(&all, &before);
        drive_run(&all, entry, i + 1);
        what = drive_state_differs(&before, &all.last);
        if (what && entry->read)
            kit_broken("a read to change nothing", "another %s behind it", what);
        if (what && all.last.status < 0)
            kit_broken("a write that fails to change nothing", "%s, and another %s behind it",
                       kit_status(all.last.status), what);
        if (entry->read || all.last.status < 0)
            continue;
        /* What is not in the digest shows later: this instance never saw reads and failures. */
        drive_run(&writes, entry, i + 1);
        what = drive_differs(&writes.last, &all.last);
        if (what)
            kit_broken("the same outcome without the reads and failed writes before it", "another %s", what);
    }
    drive_close(&writes);
    drive_close(&all);
    script_free(&script);
}

void machine_purity(void)
{
    struct script script;
    struct drive drive;

    face_begin();
    script_make(&script, "purity", ENTRIES);
    drive_open(&drive, "checked");
    drive.pure = true;
    if (!watch_system_calls(kit.report))
        kit_warn("system calls of run are not seen here: no filter for them");
    for (uint64_t i = 0; i < script.count; i++)
        drive_run(&drive, &script.entries[i], i + 1);
    /* Neither closed nor freed: this process may make no system call any more, and ends with the check. */
}

/* ---- maintain ---------------------------------------------------------------------------------------------------- */

/* The entry that maintain asked for; false when it asked for nothing. */
static bool ask(struct drive *drive, uint64_t tick, struct gavel_buffer *arguments, struct entry *entry)
{
    const struct gavel_statemachine *machine = drive->machine;
    struct outcome before = {0}, after = {0};
    const char *what;
    uint64_t id;

    arguments->size = 0;
    drive_state(drive, &before);
    kit_at("maintain");
    watch_enter(WATCH_APPLY, false);
    id = machine->maintain(drive->self, tick, arguments);
    watch_leave();
    drive_state(drive, &after);
    what = drive_state_differs(&before, &after);
    if (what)
        kit_broken("it to ask, and to change nothing by itself", "another %s behind it", what);
    if (id == 0)
        return false;
    memset(entry, 0, sizeof *entry);
    for (uint64_t i = 0; i < machine->command_count; i++)
        if (machine->commands[i].id == id)
            entry->command = &machine->commands[i];
    if (!entry->command || !(entry->command->flags & GAVEL_WRITE))
        kit_broken("the id of a write of this machine", "%" PRIu64, id);
    entry->logged = gavel_buffer_slice(arguments);
    entry->principal = gavel_text("");
    return true;
}

void machine_maintain(void)
{
    struct gavel_buffer arguments = codec_buffer(0);
    struct drive leader, follower;
    struct script script;
    struct entry asked;

    face_begin();
    if (!kit.plugin->operations.statemachine.maintain)
        return;
    script_make(&script, "maintain", ENTRIES);
    drive_open(&leader, "leader");
    drive_open(&follower, "follower");
    for (uint64_t i = 0; i < script.count; i++) {
        const struct entry *entry = &script.entries[i];
        const char *what;

        drive_run(&leader, entry, i + 1);
        drive_run(&follower, entry, i + 1);
        if (i % 5 || !ask(&leader, entry->tick_ms, &arguments, &asked))
            continue;
        asked.index = entry->index;
        asked.term = entry->term;
        asked.wall_ms = entry->wall_ms;
        asked.tick_ms = entry->tick_ms;
        drive_run(&leader, &asked, i + 1);
        drive_run(&follower, &asked, i + 1);
        what = drive_differs(&leader.last, &follower.last);
        if (what)
            kit_broken("what maintain asks for to have the same outcome on every node", "another %s", what);
    }
    drive_close(&follower);
    drive_close(&leader);
    gavel_buffer_free(&arguments);
    script_free(&script);
}
