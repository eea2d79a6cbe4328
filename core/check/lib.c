/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lib.c - libgavelcheck: runs gavel-check and reads what it says.
 */
#define _GNU_SOURCE
#include <gavel/check.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define OPTIONS_MAX 64
#define DEADLINE_MAX_MS (24u * 3600 * 1000)

extern char **environ;

/* The caller's struct as this library knows it: what its size leaves out is zero. */
static int32_t adopt(const struct gavel_check *given, struct gavel_check *check, struct gavel_error *error)
{
    uint64_t count = 0;

    memset(check, 0, sizeof *check);
    if (!given || given->size < GAVEL_END(struct gavel_check, plugin) || given->size % 8)
        return gavel_fail(error, GAVEL_E_CONFIG, "struct gavel_check states no sensible size; set it to "
                          "GAVEL_END(struct gavel_check, context)");
    memcpy(check, given, given->size < sizeof *check ? (size_t)given->size : sizeof *check);
    if (!check->plugin || !*check->plugin)
        return gavel_fail(error, GAVEL_E_CONFIG, "struct gavel_check names no plugin");
    while (check->options && check->options[count])
        if (!strchr(check->options[count++], '='))
            return gavel_fail(error, GAVEL_E_CONFIG, "option \"%.60s\" is not of the form key=value",
                              check->options[count - 1]);
    if (count > OPTIONS_MAX || check->deadline_ms > DEADLINE_MAX_MS)
        return gavel_fail(error, GAVEL_E_CONFIG, "at most %d options and a deadline of a day", OPTIONS_MAX);
    return GAVEL_OK;
}

struct arguments {
    const char *word[2 * OPTIONS_MAX + 16];
    unsigned count;
    char seed[32];
    char deadline[32];
};

static void put(struct arguments *arguments, const char *option, const char *value)
{
    if (!value)
        return;
    arguments->word[arguments->count++] = option;
    arguments->word[arguments->count++] = value;
}

static void fill(struct arguments *arguments, const struct gavel_check *check, const char *program)
{
    (void)snprintf(arguments->seed, sizeof arguments->seed, "%" PRIu64, check->seed);
    (void)snprintf(arguments->deadline, sizeof arguments->deadline, "%" PRIu64 "ms", check->deadline_ms);
    arguments->word[arguments->count++] = program;
    put(arguments, "--plugin-dir", check->plugin_dir);
    put(arguments, "--kind", check->kind);
    put(arguments, "--only", check->only);
    put(arguments, "--seed", check->seed ? arguments->seed : NULL);
    put(arguments, "--deadline", check->deadline_ms ? arguments->deadline : NULL);
    for (uint64_t i = 0; check->options && check->options[i]; i++)
        put(arguments, "--set", check->options[i]);
    put(arguments, "--", check->plugin);
    arguments->word[arguments->count] = NULL;
}

/* What was read so far. */
struct reading {
    const struct gavel_check *check;
    struct gavel_check_report *report;
    char failure[1024]; /* the first sentence */
};

static void take_line(struct reading *reading, char *line)
{
    static const struct {
        const char *word;
        uint64_t verdict;
    } words[] = {{"ok  ", GAVEL_CHECK_OK}, {"fail", GAVEL_CHECK_FAIL}, {"warn", GAVEL_CHECK_WARN},
                 {"skip", GAVEL_CHECK_SKIP}};
    struct gavel_check_report *report = reading->report;

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct gavel_check_verdict verdict = {.size = GAVEL_END(struct gavel_check_verdict, text),
                                              .verdict = words[i].verdict, .check = line + 6, .text = ""};
        uint64_t *counts[] = {&report->passed, &report->failed, &report->warned, &report->skipped};
        char *text;

        if (strncmp(line, words[i].word, 4) != 0 || strlen(line) < 7)
            continue;
        text = strstr(line + 6, "  ");
        if (text) {
            *text = 0;
            verdict.text = text + 2;
        }
        ++*counts[i];
        if (words[i].verdict == GAVEL_CHECK_FAIL && !reading->failure[0])
            (void)snprintf(reading->failure, sizeof reading->failure, "%s", verdict.text);
        if (reading->check->told)
            reading->check->told(reading->check->context, &verdict);
        return;
    }
    if (strncmp(line, "gavel-check ", 12) == 0) {
        const char *seed = strstr(line, " seed ");

        report->seed = seed ? strtoull(seed + 6, NULL, 10) : 0;
    }
}

/* Start it; its output can be read from *out. */
static int32_t start(struct arguments *arguments, pid_t *pid, FILE **out, struct gavel_error *error)
{
    posix_spawn_file_actions_t actions;
    int pipes[2], failed;

    if (pipe2(pipes, O_CLOEXEC) != 0)
        return gavel_fail(error, GAVEL_E_INTERNAL, "no pipe for gavel-check: %s", strerror(errno));
    *out = fdopen(pipes[0], "r"); /* both ends stay open when memory is out: the process is about to fail anyway */
    failed = posix_spawn_file_actions_init(&actions);
    if (!*out || failed) {
        (void)close(pipes[1]);
        return gavel_fail(error, GAVEL_E_INTERNAL, "memory is out");
    }
    failed = posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
    if (!failed)
        failed = posix_spawn(pid, arguments->word[0], &actions, NULL, (char **)(uintptr_t)arguments->word, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(pipes[1]);
    if (!failed)
        return GAVEL_OK;
    (void)fclose(*out);
    return gavel_fail(error, GAVEL_E_INTERNAL, "the program %s, which makes the checks, cannot be started: %s; it is "
                      "installed with gavel, and GAVEL_CHECK_PROGRAM names another one", arguments->word[0],
                      strerror(failed));
}

static int32_t verdict_of(int status, const struct reading *reading, const char *program, struct gavel_error *error)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

    switch (code) {
    case EX_OK:
        return GAVEL_OK;
    case EX_SOFTWARE:
        return gavel_fail(error, GAVEL_E_STATE, "%s", reading->failure);
    case EX_CONFIG:
        return gavel_fail(error, GAVEL_E_CONFIG, "%s", reading->failure);
    case EX_NOINPUT:
        return gavel_fail(error, GAVEL_E_NOT_FOUND, "%s", reading->failure);
    case EX_USAGE:
        return gavel_fail(error, GAVEL_E_CONFIG, "%s refuses what it is asked; its words are on stderr", program);
    default:
        return gavel_fail(error, GAVEL_E_INTERNAL, "%s ended with status %d", program, status);
    }
}

int32_t gavel_check_plugin(const struct gavel_check *given, struct gavel_check_report *report,
                           struct gavel_error *error)
{
    struct gavel_check_report made = {.size = GAVEL_END(struct gavel_check_report, first)};
    const char *program = getenv("GAVEL_CHECK_PROGRAM");
    struct arguments arguments = {.count = 0};
    struct gavel_check check;
    struct reading reading = {.check = &check, .report = &made};
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    int status = 0;
    FILE *out = NULL;
    pid_t pid;
    int32_t result = adopt(given, &check, error);

    if (result != GAVEL_OK)
        return result;
    program = program && *program ? program : GAVEL_LIBEXECDIR "/gavel-check";
    fill(&arguments, &check, program);
    result = start(&arguments, &pid, &out, error);
    if (result != GAVEL_OK)
        return result;
    while ((size = getline(&line, &room, out)) > 0) {
        if (line[size - 1] == '\n')
            line[size - 1] = 0;
        take_line(&reading, line);
    }
    free(line);
    (void)fclose(out);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    memcpy(made.first, reading.failure, sizeof made.first);
    if (report) {
        uint64_t room_for = report->size < made.size ? report->size : made.size;

        made.size = report->size;
        memcpy(report, &made, (size_t)room_for);
    }
    return verdict_of(status, &reading, program, error);
}
