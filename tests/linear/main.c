/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - linear-check FILE...: is each history (see history.h; "-" is standard input) linearizable?
 * Exit 0: all are; 1: one is not, and its explanation is printed; 2: one was not decided; 64: usage or malformed text.
 */
#include <inttypes.h>
#include <string.h>

#include "tests/linear/linear.h"

static int check(const char *name)
{
    FILE *in = strcmp(name, "-") == 0 ? stdin : fopen(name, "r");
    struct history history;
    struct linear_result result;
    enum linear_verdict verdict;
    char why[256];
    bool good;

    if (!in) {
        perror(name);
        return 64;
    }
    history_init(&history);
    good = history_read(&history, in, why, sizeof why);
    if (in != stdin)
        fclose(in);
    if (!good) {
        fprintf(stderr, "%s: %s\n", name, why);
        history_free(&history);
        return 64;
    }
    verdict = linear_check_indexes(&history, stdout, &result);
    if (verdict == LINEAR_OK)
        verdict = linear_check(&history, NULL, stdout, &result);
    printf("%s: %s%s%s (%" PRIu64 " operations, %" PRIu64 " parts, %" PRIu64 " steps)\n", name,
           verdict == LINEAR_OK ? "linearizable" : verdict == LINEAR_VIOLATED ? "NOT linearizable" : "not decided",
           result.why[0] ? ": " : "", result.why, history.count, result.parts, result.steps);
    history_free(&history);
    return verdict == LINEAR_OK ? 0 : verdict == LINEAR_VIOLATED ? 1 : 2;
}

int main(int argc, char **argv)
{
    int worst = 0;

    if (argc < 2) {
        fprintf(stderr, "usage: linear-check FILE...\n");
        return 64;
    }
    for (int i = 1; i < argc; i++) {
        int status = check(argv[i]);

        worst = status == 1 || worst == 0 ? status : worst;
    }
    return worst;
}
