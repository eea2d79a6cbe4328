/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kit_child.c - one check, one process: whatever the plugin does there, the parent has a sentence for it.
 */
#define _GNU_SOURCE
#include "core/check/kit.h"

#include "core/check/shared.h"
#include "core/check/watch.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORDS 4096 /* of the plugin's own on stderr, shown when it died */

struct shared *shared;

/* ---- in the child ------------------------------------------------------------------------------------------------ */

/* Sanitizers and the default action go on from here; only the address is kept. */
static void fault(int number, siginfo_t *info, void *context)
{
    (void)context;
    shared->faulted = 1;
    shared->fault = (uint64_t)(uintptr_t)info->si_addr;
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static _Noreturn void child(const struct kit_check *check, int report, int words)
{
    static char stack[64 * 1024]; /* a plugin that recurses for ever still dies of the right signal */
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(words, STDOUT_FILENO);
    (void)dup2(words, STDERR_FILENO);
    (void)setvbuf(stdout, NULL, _IONBF, 0); /* so that a print in `run` is a system call at once */
    (void)signal(SIGPIPE, SIG_IGN);         /* as gaveld does */
    if (watch_allocator()) {
        (void)sigaltstack(&alternate, NULL);
        (void)sigaction(SIGSEGV, &action, NULL);
        (void)sigaction(SIGBUS, &action, NULL);
    }
    kit.report = report;
    watch_own_thread();
    kit_load();
    shared->kind = kit.plugin->head.kind;
    check->run();
    if (write(report, "done\n", 5) != 5)
        _exit(SHARED_EXIT_BROKEN);
    _exit(SHARED_EXIT_DONE);
}

/* ---- in the parent ----------------------------------------------------------------------------------------------- */

struct outcome {
    bool done;     /* the check came to its end */
    bool late;     /* killed at the deadline */
    int status;    /* of waitpid */
    char last[2048]; /* what is left of an unfinished line */
    size_t size;
};

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void print(struct kit_tally *tally, const char *check, const char *verdict, const char *text)
{
    (void)printf("%-4s  %s%s%s\n", verdict, check, *text ? "  " : "", text);
    (void)fflush(stdout);
    tally->passed += strcmp(verdict, "ok") == 0;
    tally->failed += strcmp(verdict, "fail") == 0;
    tally->warned += strcmp(verdict, "warn") == 0;
    tally->skipped += strcmp(verdict, "skip") == 0;
}

/* Every whole line is a verdict, or "done". */
static void take_lines(struct outcome *outcome, const char *check, struct kit_tally *tally)
{
    char *end;

    while ((end = memchr(outcome->last, '\n', outcome->size))) {
        size_t length = (size_t)(end - outcome->last);

        *end = 0;
        if (strcmp(outcome->last, "done") == 0)
            outcome->done = true;
        else if (length > 5) {
            outcome->last[4] = 0;
            print(tally, check, outcome->last, outcome->last + 5);
        }
        outcome->size -= length + 1;
        memmove(outcome->last, end + 1, outcome->size);
    }
    if (outcome->size == sizeof outcome->last)
        outcome->size = 0; /* no line of ours */
}

/* Read verdicts until the child is gone or its time is up. */
static void attend(pid_t pid, int report, const char *check, struct outcome *outcome, struct kit_tally *tally)
{
    uint64_t until = now_ms() + kit.deadline_ms;
    bool open = true;

    while (open) {
        struct pollfd poll_for = {.fd = report, .events = POLLIN};
        uint64_t now = now_ms();
        ssize_t got;

        if (now >= until) {
            outcome->late = true;
            break;
        }
        if (poll(&poll_for, 1, (int)(until - now)) <= 0)
            continue;
        got = read(report, outcome->last + outcome->size, sizeof outcome->last - outcome->size);
        if (got <= 0) {
            open = got < 0 && errno == EINTR;
            continue;
        }
        outcome->size += (size_t)got;
        take_lines(outcome, check, tally);
    }
    if (outcome->late)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, &outcome->status, 0) < 0 && errno == EINTR)
        ;
}

/* The end that no check makes: its sentence. False when all is as it should be. */
static bool died(const struct outcome *outcome, char *text, size_t size)
{
    const char *doing = shared->doing;
    const char *file = strrchr(kit.asked, '/');

    file = file ? file + 1 : kit.asked;
    if (outcome->late)
        (void)snprintf(text, size, "%s: %s: expected an end within %" PRIu64 " s, saw none (seed %" PRIu64 ")", file,
                       doing, kit.deadline_ms / 1000, kit.seed);
    else if (WIFSIGNALED(outcome->status))
        (void)snprintf(text, size, "%s: %s: expected it to return, saw the process die of signal %d (%s)%s (seed %"
                       PRIu64 ")", file, doing, WTERMSIG(outcome->status), strsignal(WTERMSIG(outcome->status)),
                       shared->faulted && shared->fault < 4096 ? " at a NULL pointer" : "", kit.seed);
    else if (!outcome->done && WEXITSTATUS(outcome->status) == SHARED_EXIT_DONE && shared->told > 0)
        return false;
    else if (!outcome->done && WEXITSTATUS(outcome->status) != SHARED_EXIT_REFUSED)
        (void)snprintf(text, size, "%s: %s: expected it to return, saw the process exit with status %d (seed %" PRIu64
                       ")", file, doing, WEXITSTATUS(outcome->status), kit.seed);
    else
        return false;
    return true;
}

/* What the plugin itself had to say before it died, such as a sanitizer's report. */
static void show_words(int words)
{
    char text[WORDS];
    off_t end = lseek(words, 0, SEEK_END);
    ssize_t got = end > 0 ? pread(words, text, sizeof text, end > WORDS ? end - WORDS : 0) : 0;

    if (got > 0)
        (void)fwrite(text, 1, (size_t)got, stderr);
}

/* A check that fell has left its socket files. */
static void clear(const char *place)
{
    DIR *directory = place[0] ? opendir(place) : NULL;
    const struct dirent *entry;

    while (directory && (entry = readdir(directory)))
        if (entry->d_name[0] != '.')
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
    if (directory)
        (void)closedir(directory);
    if (place[0])
        (void)rmdir(place);
}

static int run_child(const struct kit_check *check, struct kit_tally *tally)
{
    struct outcome outcome = {.done = false};
    uint64_t failed = tally->failed, warned = tally->warned, skipped = tally->skipped;
    int report[2], words = memfd_create("words", MFD_CLOEXEC);
    char text[2048];
    pid_t pid;

    if (words < 0 || pipe2(report, O_CLOEXEC) != 0) {
        print(tally, check->name, "fail", "the kit has no pipe for the check");
        return -1;
    }
    memset(shared, 0, sizeof *shared);
    pid = fork();
    if (pid == 0) {
        (void)close(report[0]);
        child(check, report[1], words);
    }
    (void)close(report[1]);
    if (pid > 0) {
        attend(pid, report[0], check->name, &outcome, tally);
        clear(shared->place);
        if (died(&outcome, text, sizeof text)) {
            print(tally, check->name, "fail", text);
            show_words(words);
        }
    } else {
        print(tally, check->name, "fail", "the kit cannot start a process for the check");
    }
    (void)close(report[0]);
    (void)close(words);
    if (tally->failed == failed && tally->warned == warned && tally->skipped == skipped)
        print(tally, check->name, "ok", "");
    return outcome.status;
}

bool kit_run(const struct kit_check *check, struct kit_tally *tally)
{
    uint64_t failed = tally->failed;

    (void)run_child(check, tally);
    return tally->failed == failed;
}

static void nothing(void)
{
}

uint64_t kit_probe(struct kit_tally *tally)
{
    static const struct kit_check tables = {.name = "tables", .run = nothing};

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(shared != MAP_FAILED);
    return kit_run(&tables, tally) ? shared->kind : 0;
}
