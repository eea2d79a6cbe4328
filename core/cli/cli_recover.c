/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_recover.c - quorum lost: a new cluster out of what is left of the old one. Off line; no node is asked.
 */
#include "cli.h"

#include <string.h>

#include "core/node/reform.h"
#include "core/os/real.h"

static struct usage_each dirs;
static const char *members, *keep, *source;
static bool dry_run;

const struct usage_option cli_recover_options[] = {
    {"data-dir", 0, USAGE_EACH, "DIR", "A data directory of the old cluster; once for each that there is", &dirs},
    {"dry-run", 'n', USAGE_FLAG, NULL, "Only say what would be kept and what lost; change nothing", &dry_run},
    {"keep", 0, USAGE_TEXT, "NAME,...", "Who is in the new cluster; the default is the nodes of the directories",
     &keep},
    {"members", 0, USAGE_TEXT, "NAME=URI,...",
     "The same with addresses, as members in gavel.ini(5); a NAME alone keeps the address that it had", &members},
    {"source", 0, USAGE_TEXT, "DIR",
     "Take this directory, even if it is damaged: what it has lost is lost", &source},
    {.name = NULL},
};

int cli_area_recover(struct cli *cli, int count, char **words)
{
    struct reform_options options = {.dirs = dirs.values};
    struct gavel_error error = {0, ""};
    struct os os;
    int32_t status;
    int code;

    dirs.count = 0;
    members = keep = source = NULL;
    dry_run = false;
    code = cli_options_take(cli, cli_recover_options, count, words);
    if (code != CLI_OK)
        return code;
    if (cli->word_count != 1)
        return cli_fail(CLI_USAGE, "gavel recover takes no words; name each directory with --data-dir");
    if (dirs.count == 0)
        return cli_fail(CLI_USAGE, "name the data directories that are left, each with --data-dir; --dry-run first");
    if (members && keep)
        return cli_fail(CLI_USAGE, "--keep and --members say the same: give one of them");
    if (keep && strchr(keep, '='))
        return cli_fail(CLI_USAGE, "--keep takes names; --members takes addresses too");
    options.dir_count = dirs.count;
    options.members = members ? members : keep;
    options.source = source;
    options.dry_run = dry_run;
    options.json = cli->json;
    os_real_init(&os, NULL);
    status = reform(&os, &options, stdout, &error);
    return status == GAVEL_OK ? CLI_OK : cli_fail(status == GAVEL_E_INVALID ? CLI_USAGE : CLI_FAILED, "%s", error.text);
}
