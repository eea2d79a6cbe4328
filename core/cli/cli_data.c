/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_data.c - a data directory read off line: check, dump, and the explicit repair of a lone node. No node is asked.
 */
#include "cli.h"

#include <string.h>

#include "core/log/inspect.h"
#include "core/node/members_seen.h"
#include "core/os/real.h"

static int finish(int status, const struct gavel_error *error)
{
    if (status == GAVEL_OK)
        return ferror(stdout) ? CLI_FAILED : CLI_OK;
    /* What damage there is has been printed, each piece by itself. */
    if (status == GAVEL_E_CORRUPT && !error->text[0])
        return CLI_FAILED;
    return cli_fail(CLI_FAILED, "%s", error->text[0] ? error->text : "it failed");
}

static struct log_dump_options dump;
static bool json, apply;

const struct usage_option cli_data_options[] = {
    {"json", 0, USAGE_FLAG, NULL, "Print JSON", &json},
    {"from", 0, USAGE_NUMBER, "INDEX", "Of dump: the first entry; else the first there is", &dump.from},
    {"count", 'n', USAGE_NUMBER, "N", "Of dump: how many entries; else all", &dump.count},
    {"payload", 0, USAGE_FLAG, NULL, "Of dump: what the entries hold, too", &dump.payload},
    {"apply", 0, USAGE_FLAG, NULL, "Of repair: do it; without it only what would be lost is told", &apply},
    {.name = NULL},
};

int cli_area_data(struct cli *cli, int count, char **words)
{
    struct gavel_error error = {0, ""};
    struct os os;
    const char *verb;
    const char *dir;
    uint32_t others;
    int code;

    dump = (struct log_dump_options){0};
    json = apply = false;
    code = cli_options_take(cli, cli_data_options, count, words);
    if (code != CLI_OK)
        return code;
    if (cli->word_count != 3)
        return cli_misused(cli, "gavel data check DIR | dump [--from I] [--count N] [--payload] DIR | "
                                   "repair [--apply] DIR, each with --json");
    verb = cli->words[1];
    dir = cli->words[2];
    json |= cli->json;
    os_real_init(&os, NULL);
    if (strcmp(verb, "check") == 0)
        return finish(log_inspect_check(&os, dir, json, stdout, &error), &error);
    dump.json = json;
    if (strcmp(verb, "dump") == 0)
        return finish(log_inspect_dump(&os, dir, &dump, stdout, &error), &error);
    others = strcmp(verb, "repair") == 0 && apply ? members_seen_others(&os, dir) : 0;
    if (others > 0) /* it would vote without what it has acknowledged */
        return cli_fail(CLI_FAILED, "%s is of a member of a cluster, and %u other %s: start its node, which fetches "
                        "from the others what is damaged here; where they are lost for good, see gavel recover", dir,
                        others, others == 1 ? "one votes" : "ones vote");
    if (strcmp(verb, "repair") == 0)
        return finish(log_inspect_repair(&os, dir, apply, json, stdout, &error), &error);
    return cli_fail(CLI_USAGE, "'%s' is none of check, dump, repair", verb);
}
