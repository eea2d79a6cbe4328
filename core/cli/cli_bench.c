/* SPDX-License-Identifier: Apache-2.0 */
/* cli_bench.c - a simple load on a cluster's store, and how fast it was. */
#include "cli.h"

#include "core/client/client_load.h"

static uint64_t connections, seconds, size, reads, keys;

const struct usage_option cli_bench_options[] = {
    {"connections", 'c', USAGE_NUMBER, "N", "Connections, with one request in flight each; 10", &connections},
    {"seconds", 's', USAGE_NUMBER, "N", "How long; 5", &seconds},
    {"size", 0, USAGE_SIZE, "BYTES", "Bytes of a value; 256", &size},
    {"reads", 0, USAGE_NUMBER, "PERCENT", "How many of the requests read; 0", &reads},
    {"keys", 0, USAGE_NUMBER, "N", "How many keys are used; 1000", &keys},
    {.name = NULL},
};

int cli_area_bench(struct cli *cli, int count, char **words)
{
    struct client_load_options options = {0};
    struct client_load_result result;
    struct gavel_error error = {0, ""};
    int32_t status;
    int code;

    connections = 10;
    seconds = 5;
    size = 256;
    reads = 0;
    keys = 1000;
    code = cli_options_take(cli, cli_bench_options, count, words);
    if (code != CLI_OK)
        return code;
    if (cli->word_count > 1)
        return cli_fail(CLI_USAGE, "bench takes no words; see gavel help");
    if (connections > CLIENT_LOAD_CONNECTIONS || reads > 100 || seconds < 1 || seconds > 86400)
        return cli_fail(CLI_USAGE, "up to %d connections, 1 to 86400 seconds, 0 to 100 percent of reads",
                        CLIENT_LOAD_CONNECTIONS);
    options.endpoints = cli->endpoints;
    options.machine = cli->machine;
    options.connections = (uint32_t)connections;
    options.read_percent = (uint32_t)reads;
    options.milliseconds = seconds * 1000;
    options.value_bytes = size;
    options.keys = keys;
    status = client_load_run(&options, &result, &error);
    if (status != GAVEL_OK)
        return cli_error(status, &error);
    printf("%s: %llu connections with one request each, values of %llu bytes, %llu %% reads\n", result.node,
           (unsigned long long)connections, (unsigned long long)size, (unsigned long long)reads);
    printf("%.0f ops/s, p50 %.3f ms, p99 %.3f ms, p999 %.3f ms, most %.3f ms, %llu done, %llu failed\n",
           (double)result.done * 1e6 / (double)(result.elapsed_us ? result.elapsed_us : 1),
           (double)result.p50_us / 1e3, (double)result.p99_us / 1e3, (double)result.p999_us / 1e3,
           (double)result.most_us / 1e3, (unsigned long long)result.done, (unsigned long long)result.failed);
    return result.failed ? CLI_FAILED : CLI_OK;
}
