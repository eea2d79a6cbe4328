/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.c - runs a fuzz target without a fuzzer: over each file of its corpus (tests/fuzz/corpus/NAME-*, or the
 * files that are named), and over random changes of each, for a bounded number and a bounded time: a moment in make
 * check, GAVEL_FUZZ_SECONDS of CPU time where it is set. GAVEL_TEST_SEED repeats a run: what changes depends on the
 * seed and the name of the file alone, and then there is no bound on the time.
 * An input that aborts or crashes is left as NAME.crash in the working directory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 65536 /* bytes of one file */
#define CHANGES 3000    /* of each file, at most */
#define BUDGET_S 0.2    /* CPU seconds for the changes of all files together; more: $GAVEL_FUZZ_SECONDS */

static uint64_t state;
static uint64_t seed;
static bool bounded;
static double budget = BUDGET_S;
static uint64_t changes; /* done, of all files */
static char crash_file[256];
static const uint8_t *volatile running; /* the input at hand, for the handler */
static volatile size_t running_size;

static void on_abort(int number)
{
    int file = open(crash_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (file >= 0 && write(file, running, running_size) == (ssize_t)running_size)
        (void)!write(2, "replay: the input was written to NAME.crash\n", 43);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static uint64_t next_random(void)
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Hand over a copy of exactly this size: the address sanitizer then sees every step beyond it. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        exit(1);
    memcpy(copy, data, size);
    running = copy;
    running_size = size;
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static size_t change(uint8_t *data, size_t size)
{
    size_t at = size ? next_random() % size : 0;
    size_t length = size - at < 8 ? size - at : 8;

    switch (next_random() % 6) {
    case 0: /* another byte */
        if (size)
            data[at] = (uint8_t)next_random();
        return size;
    case 1: /* one bit */
        if (size)
            data[at] ^= (uint8_t)(1u << next_random() % 8);
        return size;
    case 2: /* cut off */
        return at;
    case 3: /* one byte less */
        if (!size)
            return 0;
        memmove(data + at, data + at + 1, size - at - 1);
        return size - 1;
    case 4: /* one byte more */
        if (size == INPUT_MAX)
            return size;
        memmove(data + at + 1, data + at, size - at);
        data[at] = (uint8_t)next_random();
        return size + 1;
    default: /* a run of extreme bytes */
        memset(data + at, next_random() & 1 ? 0xff : 0x00, length);
        return size;
    }
}

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* Random changes, for at most so many seconds. */
static void change_often(const uint8_t *original, size_t size, double seconds)
{
    static uint8_t changed[INPUT_MAX + 1];
    double end = cpu_seconds() + seconds;

    for (int i = 0; i < CHANGES && (!bounded || cpu_seconds() < end); i++, changes++) {
        size_t left = size;
        uint64_t times = 1 + next_random() % 4;

        memcpy(changed, original, size);
        while (times--)
            left = change(changed, left);
        run(changed, left);
    }
}

static int replay(const char *path, double seconds)
{
    static uint8_t original[INPUT_MAX];
    const char *name = strrchr(path, '/');
    FILE *file = fopen(path, "rb");
    size_t size;

    if (!file) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return 1;
    }
    size = fread(original, 1, sizeof original, file);
    (void)fclose(file);
    state = seed;
    for (name = name ? name : path; *name; name++)
        state = state * 31 + (unsigned char)*name;
    run(original, size);
    change_often(original, size, seconds);
    return 0;
}

static bool is_of(const char *file, const char *name)
{
    return strncmp(file, name, strlen(name)) == 0 && file[strlen(name)] == '-';
}

/* The files NAME-* of the corpus, where NAME is the program's. */
static int replay_corpus(const char *name)
{
    const char *top = getenv("top_srcdir");
    char directory[4096];
    char path[8192];
    struct dirent *entry;
    int files = 0;
    DIR *dir;

    (void)snprintf(directory, sizeof directory, "%s/tests/fuzz/corpus", top ? top : ".");
    dir = opendir(directory);
    if (!dir) {
        fprintf(stderr, "replay: %s: %s\n", directory, strerror(errno));
        return 1;
    }
    while ((entry = readdir(dir)) != NULL)
        files += is_of(entry->d_name, name);
    rewinddir(dir);
    while ((entry = readdir(dir)) != NULL) {
        if (!is_of(entry->d_name, name))
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (replay(path, budget / files) != 0)
            return 1;
    }
    (void)closedir(dir);
    printf("%s: %d files, %llu changes\n", name, files, (unsigned long long)changes);
    return files ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *given = getenv("GAVEL_TEST_SEED");
    char *name = basename(argv[0]);
    int i;

    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    bounded = !given;
    if (getenv("GAVEL_FUZZ_SECONDS"))
        budget = strtod(getenv("GAVEL_FUZZ_SECONDS"), NULL);
    printf("GAVEL_TEST_SEED=%llu\n", (unsigned long long)seed);
    if (strncmp(name, "lt-", 3) == 0)
        name += 3;
    (void)snprintf(crash_file, sizeof crash_file, "%s.crash", name);
    (void)signal(SIGABRT, on_abort);
    (void)signal(SIGSEGV, on_abort);
    if (argc < 2)
        return replay_corpus(name);
    for (i = 1; i < argc; i++)
        if (replay(argv[i], budget / (argc - 1)) != 0)
            return 1;
    return 0;
}
