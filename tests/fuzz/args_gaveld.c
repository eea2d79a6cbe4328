/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args_gaveld.c - fuzz target: argument vectors of gaveld, words with a NUL behind each. What is taken obeys the rules
 * between options, and every string of it is one of the vector's.
 */
#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "core/host/args.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"

#define WORDS_MAX 32
#define TEXT_MAX 4096

static void check(const struct host_args *args, const char *text)
{
    bool own_config = args->config >= text && args->config < text + TEXT_MAX;
    bool own_plugin = args->plugin >= text && args->plugin < text + TEXT_MAX;

    if (args->action == HOST_USAGE || args->action == HOST_COMPLETE)
        return;
    assert(args->config_given == own_config);
    assert(own_config || strcmp(args->config, HOST_CONFIG_FILE) == 0);
    assert((args->action == HOST_DUMP_PLUGIN) == own_plugin);
    assert(!args->json || args->action == HOST_DUMP_PLUGIN || args->action == HOST_DUMP_SECTIONS ||
           args->action == HOST_DUMP_METRICS);
    assert(!args->man || !args->json);
    assert(!args->dev || args->action == HOST_RUN);
    assert(!args->dev || !args->config_given);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char program[] = "gaveld";
    static char text[TEXT_MAX];
    struct fuzz_input input = {data, size};
    struct host_args args;
    char *words[WORDS_MAX + 1] = {program};
    size_t used = 0;
    int count = 1;

    while (input.size && count < WORDS_MAX && used < TEXT_MAX) {
        words[count++] = fuzz_text(&input, text + used, TEXT_MAX - used);
        used += strlen(text + used) + 1;
    }
    optind = 0; /* getopt(3): begin anew, forgetting the vector before */
    fuzz_hush(true);
    args = host_args_parse(count, words);
    fuzz_hush(false);
    check(&args, text);
    return 0;
}
