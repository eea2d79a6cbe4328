/* SPDX-License-Identifier: Apache-2.0 */
/* cli_plugin.c - gavel plugin new: a project for a plugin of one's own. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#include "core/cli/scaffold.h"

#define PLUGIN_USAGE \
    "gavel plugin new NAME [--kind statemachine|transport|serializer|observer] [--language c|c++|rust] [--dir DIR]"

/* What to type next; machines are the one kind that a cluster must know from its founding on. */
static void next_steps(const struct scaffold *made, uint64_t files)
{
    printf("%s: %s %s in %s, %llu files. Next:\n\n"
           "    cd %s\n"
           "    autoreconf -i && ./configure && make check\n"
           "    sudo make install\n"
           "    gaveld --dump-plugin %s\n"
           "    gaveld --check-plugin %s%s\n\n",
           made->dir, *made->kind == 'o' ? "an" : "a", made->kind, made->language, (unsigned long long)files, made->dir,
           made->name, made->name,
           strcmp(made->kind, "observer") == 0 ? " --set file=/dev/null" : "");
    if (strcmp(made->kind, "statemachine") == 0)
        printf("    gavel init --nodes 3 --machines workflow,%s try && try/start.sh\n\n", made->name);
    printf("%s/README.md says how to go on.\n", made->dir);
}

static struct scaffold scaffold;

const struct usage_option cli_plugin_options[] = {
    {"kind", 'k', USAGE_TEXT, "statemachine|transport|serializer|observer",
     "What it is to be; a statemachine, which is a bank", &scaffold.kind},
    {"language", 'l', USAGE_TEXT, "c|c++|rust", "What it is written in; c. The last two are for state machines",
     &scaffold.language},
    {"dir", 0, USAGE_TEXT, "DIR", "Where it goes; a directory of the plugin's name", &scaffold.dir},
    {"template", 0, USAGE_TEXT, "DIR", "A directory with other templates than the installed ones", &scaffold.templates},
    {.name = NULL},
};

int cli_area_plugin(struct cli *cli, int count, char **words)
{
    struct gavel_error error = {0, ""};
    const char *named = getenv("GAVEL_TEMPLATE_DIR");
    uint64_t files = 0;
    int32_t status;
    int code;

    scaffold = (struct scaffold){.kind = "statemachine", .language = "c"};
    code = cli_options_take(cli, cli_plugin_options, count, words);
    if (code != CLI_OK)
        return code;
    if (cli->word_count != 3 || strcmp(cli->words[1], "new") != 0)
        return cli_misused(cli, PLUGIN_USAGE);
    scaffold.name = cli->words[2];
    if (!scaffold.dir)
        scaffold.dir = scaffold.name;
    if (!scaffold.templates && named && *named)
        scaffold.templates = named;
    status = scaffold_write(&scaffold, &files, &error);
    if (status != GAVEL_OK)
        return cli_fail(status == GAVEL_E_INVALID ? CLI_USAGE : CLI_FAILED, "%s", error.text);
    next_steps(&scaffold, files);
    return CLI_OK;
}
