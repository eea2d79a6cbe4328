/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_areas.c - the table of areas, in the order of gavel(1). gavel help, the page's sections OPTIONS and AREAS, and
 * what a shell completes are made from it.
 */
#include "cli.h"

#include <string.h>

#define THROUGH_ADMIN ". Through the admin socket: --admin or --data-dir"

const char *const cli_group_names[CLI_GROUPS] = {"Commands", "The store", "The cluster", "Operators", "Files"};

const struct cli_area cli_areas[] = {
    {"call", cli_area_call, CLI_COMMANDS, "COMMAND [ARGUMENT...]", cli_call_options,
     "Any command of any machine, as COMMAND or MACHINE.COMMAND; the word call may be left out. Commands of the nodes "
     "themselves are those of the machine gavel, see gavel-protocol(7)"},
    {"help", cli_area_help, CLI_COMMANDS, "[TOPIC]", cli_help_options,
     "What there is; with an area, a machine or a command as TOPIC its arguments, their types, bounds and defaults, "
     "and an example. When no node answers, the commands are those of the plugins that are installed here"},
    {"completion", cli_area_completion, CLI_COMMANDS, "bash|zsh", NULL,
     "Print what makes that shell complete the command lines of gavel and gaveld; make install puts it where both "
     "look"},

    {"get", cli_area_command, CLI_STORE, "KEY", NULL, "Print KEY: VALUE"},
    {"set", cli_area_command, CLI_STORE, "KEY VALUE", NULL, "Give a key a value"},
    {"del", cli_area_del, CLI_STORE, "KEY...", NULL, "Take keys out"},
    {"delete", cli_area_del, CLI_STORE, "KEY...", NULL, NULL},
    {"update", cli_area_command, CLI_STORE, "KEY PATCH", NULL, "Merge a JSON merge patch (RFC 7396) into the value"},
    {"incr", cli_area_command, CLI_STORE, "KEY [PATH] [BY]", NULL, "Add to a number in the value, 1 unless given"},
    {"cas", cli_area_command, CLI_STORE, "KEY EXPECT VALUE", NULL, "Give a key a value if it has the expected one"},
    {"batch", cli_area_batch, CLI_STORE, "OPERATION|FILE...", NULL,
     "All of the operations or none. An operation is one word: \"set KEY VALUE\", \"delete KEY\", \"update KEY "
     "PATCH\" or \"incr KEY [PATH] [BY]\". A file, or standard input for -, holds one a line, with # before "
     "comments, or a JSON array of records"},
    {"list", cli_area_list, CLI_STORE, "[PREFIX]", cli_list_options,
     "Keys with their values, a page of them, as of one moment with --all"},
    {"workflow", cli_area_workflow, CLI_STORE, "start|stop|update|get|list [ID] [DATA]", NULL,
     "Workflows of the store: begin one, stop it, merge DATA into its state, print it; list takes running or stopped"},

    {"status", cli_area_status, CLI_CLUSTER, "", cli_status_options,
     "The cluster on one screen: every endpoint is asked for its own view; with --data-dir or --admin that node alone. "
     "Without a leader it says who was tried and what each answered, and leaves with code 3"},
    {"health", cli_area_health, CLI_CLUSTER, "", cli_health_options,
     "A line each member, as the leader sees it, with the reason for whatever is not HEALTHY; see HEALTH. Code 0: all "
     "are HEALTHY; 10: one is DEGRADED; 11: one is UNHEALTHY; 12: one is UNKNOWN, or no node answers. The worst wins: "
     "11, then 12, then 10. With --data-dir or --admin: as that node sees it. "
     "With --live, --ready or --wait it is a probe of one node instead, for supervisors and for scripts that restart "
     "one node after the other: that of --data-dir, of --admin or of the only endpoint. It is live if it answers, and "
     "ready as READINESS says: without a majority a node is live and not ready. Code 0: it is; 2: it is only live; "
     "3: no answer in two seconds, or in --timeout"},
    {"top", cli_area_top, CLI_CLUSTER, "", cli_top_options,
     "The members with their figures, drawn again and again until q: health with its reason, term, commit, applied, "
     "entries behind the leader, log and newest snapshot, writes and reads a second, latencies of commit and sync "
     "(p50/p99 of the last ten seconds), members it is connected to. Elsewhere than on a terminal, and with --once, "
     "frames are plain text"},
    {"members", cli_area_members, CLI_CLUSTER, "", NULL, "Who belongs to the cluster"},
    {"metrics", cli_area_metrics, CLI_CLUSTER, "", NULL, "The figures of one node"},
    {"events", cli_area_events, CLI_CLUSTER, "", cli_events_options,
     "Follow what happens, one line an event, with its revision last"},
    {"node", cli_area_node, CLI_CLUSTER, "list|register|keep|deregister [NAME] [ADDRESS] [CAPABILITY=VALUE...]",
     cli_node_options,
     "Nodes that are no members of the cluster and register themselves: workers, gateways, whatever others want to "
     "find. list: those that are there now, with their times to live and when they were heard of last. register: put "
     "one in, or say anew what it is, which is a sign of life too; with --hold for as long as the command runs. keep: "
     "a sign of life. deregister: take it out. Who gives no sign of life for its time to live is taken out"},
    {"bench", cli_area_bench, CLI_CLUSTER, "", cli_bench_options,
     "Load the store, straight at the leader, and tell how fast it was. Writes keys that begin with bench/"},

    {"leader", cli_area_leader, CLI_OPERATORS, "transfer", cli_leader_options,
     "Hand leadership over, to the member named or to the one that is furthest. It ends when a newer leader is "
     "there; writes wait meanwhile" THROUGH_ADMIN ", of any member"},
    {"member", cli_area_member, CLI_OPERATORS,
     "list|add|remove|promote|demote|replace|update|rebuild|change [MEMBER] [ADDRESS,...]",
     cli_member_options,
     "Who belongs to the cluster, and changes of that. list: the members with their ids, roles, addresses and "
     "capabilities, nodes that are registered (see gavel node), and the version of the list; this one needs no "
     "socket. add: a member with a new id; start it with an empty data "
     "directory, that name and gaveld --join, before or after. A new voter is joining until it has caught up, and "
     "then becomes a voter by itself. remove: a member, whose process stops when it learns of it; the "
     "leader's goes on until a voter that may lead has its log. promote: make a "
     "learner a voter as soon as it has caught up. demote: make a voter a learner. replace: retire the id of a "
     "member, because it has lost its data directory for instance: an empty node of that name joins with a new one. "
     "update: change where a member is reached, or how much it is preferred as leader. rebuild: have a member whose "
     "state differs drop it and build it again from the leader's; it goes on with its log meanwhile. "
     "change: several of these in one step, each an option that may come again. One change at a time: while "
     "one is in flight another one is refused, as is one after which the voters that answer could not "
     "agree, or those whose state is wrong would be the majority" THROUGH_ADMIN ", of any member"},
    {"settings", cli_area_settings, CLI_OPERATORS, "[set|upgrade] [KEY=VALUE...] [MACHINE]", cli_settings_options,
     "What the whole cluster goes by: limits of sessions, replicated options of the machines, and the state version "
     "that each machine acts as. Alone: every setting with its value, whether it is from the founding or since which "
     "index it is so, and its key in gavel.ini(5); and what the plugin of each member can act as. This needs no "
     "socket. set: change settings such as session.ttl or statemachine.NAME.OPTION, all of them at one entry of the "
     "log, on every node. upgrade: from one entry on let every node act as a newer state version of a machine; behind "
     "MACHINE the version may be said, else it is the newest that the leader's plugin knows. It is refused until "
     "every member has a plugin that knows it: see UPGRADING A STATE MACHINE in gaveld(8)" THROUGH_ADMIN
     ", of any member"},
    {"snapshot", cli_area_snapshot, CLI_OPERATORS, "[save|inspect|restore] [FILE]", cli_snapshot_options,
     "Alone: have the node take a snapshot now. save: write a snapshot of everything to FILE (- is standard output) "
     "while the cluster serves; it holds every write that was acknowledged before, whichever node is asked. FILE gets "
     "its name when all of it is on the disk, and is not replaced without --force. Both through the admin socket: "
     "--admin or --data-dir. inspect: check every byte of FILE and tell what is in it. restore: make DIR of --data-dir "
     "the data directory of a new cluster with what FILE holds, see BACKUP AND RESTORE. The last two ask no node"},
    {"log-level", cli_area_log_level, CLI_OPERATORS, "[MODULE trace|debug|info|warn|error]", NULL,
     "Alone: the levels in force, a line each observer. Else change a level of the log until the next start. MODULE is "
     "the word in parentheses at the end of a log line, such as raft, and stands for all below it; the others keep "
     "their level" THROUGH_ADMIN},
    {"reload", cli_area_reload, CLI_OPERATORS, "", NULL,
     "Have the node read its INI file again, and tell what came of it: each change, or each mistake; with a mistake "
     "nothing was changed, and the exit code is 1. See gaveld(8)" THROUGH_ADMIN},
    {"stop", cli_area_stop, CLI_OPERATORS, "", NULL, "Stop the node, as SIGTERM does" THROUGH_ADMIN},

    {"data", cli_area_data, CLI_FILES, "check|dump|repair DIR", cli_data_options,
     "A data directory, read off line. check: everything in it, without changing a byte. dump: what is in the log. "
     "repair: say what a repair of a lone node's damaged log would lose, and with --apply do it. In a cluster there "
     "is no need for it, and it is refused: a damaged node fetches from the others"},
    {"recover", cli_area_recover, CLI_FILES, "", cli_recover_options,
     "Quorum lost: make a new cluster out of what is left of one whose majority will not come back. Off line: no node "
     "may run on the directories. Each of them is read; the one that is furthest along among those that are intact is "
     "the source, and everything in it is kept. The directory of a node that was fenced, for its state differed from "
     "that of the majority, is the source only when --source names it. The "
     "source becomes the one voter of a new cluster with a new id, so that nodes "
     "of the old one are refused; the other directories are emptied, their contents set aside inside of them, and "
     "their nodes join when they are started. What is kept and lost is told of each; begin with --dry-run. Old "
     "nodes that were not named with --data-dir and are a majority go on as the old cluster beside the new one if they "
     "run, or are started again; the report warns of it. Stop them for good, and move their directories away, before "
     "clients are let to the new cluster: what is written to the old one is not in it. Where nodes of the two meet, "
     "each refuses the other by the cluster id, so the old ones cannot disturb the new cluster. A run that "
     "was cut short is gone on with by the same command. See quorum-lost in gavel-runbook(7)"},
    {"init", cli_area_init, CLI_FILES, "DIR", cli_init_options,
     "Write commented INI files for a cluster on this machine, with every key of the plugins that are installed, and "
     "start.sh, which starts it; what gavel needs in GAVEL_ENDPOINTS is printed. Nothing is overwritten"},
    {"plugin", cli_area_plugin, CLI_FILES, "new NAME", cli_plugin_options,
     "Make a project for a plugin called NAME: source, test, manual page, configure.ac and what is to be done next. "
     "The name has lower-case letters, digits and single - between them. The project is built from what gavel has "
     "installed, through pkg-config(1). Nothing is overwritten"},
    {.name = NULL},
};

const struct cli_area *cli_area_find(const char *name)
{
    for (const struct cli_area *area = cli_areas; area->name; area++)
        if (strcmp(area->name, name) == 0)
            return area;
    return NULL;
}

void cli_area_hint(const char *name)
{
    struct codec_nearest nearest = {.wanted = gavel_text(name)};

    for (const struct cli_area *area = cli_areas; area->name; area++)
        if (area->group != CLI_STORE && area->help)
            codec_nearest_offer(&nearest, gavel_text(area->name));
    if (nearest.best.data)
        fprintf(stderr, "gavel: did you mean gavel %s?\n", (const char *)nearest.best.data);
}

/* Among the words that stand first behind an area's name: "[set|upgrade] ..."; offers each. */
static bool stands_first(const struct cli_area *area, const char *word, struct codec_nearest *nearest)
{
    const char *at = area->words + (*area->words == '[');
    size_t size;

    for (; (size = strspn(at, "abcdefghijklmnopqrstuvwxyz-")) > 0; at += size + 1) {
        codec_nearest_offer(nearest, gavel_bytes(at, size));
        if (strlen(word) == size && memcmp(at, word, size) == 0)
            return true;
        if (at[size] != '|')
            break;
    }
    return !size;
}

int cli_misused(const struct cli *cli, const char *usage)
{
    const struct cli_area *area = cli_area_find(cli->words[0]);
    const char *word = cli->word_count > 1 ? cli->words[1] : NULL;
    struct codec_nearest nearest = {.wanted = gavel_text(word ? word : "")};
    char hint[64];

    if (!*area->words)
        return cli_fail(CLI_USAGE, "gavel %s takes no words; usage: %s", area->name, usage);
    if (!word)
        return cli_fail(CLI_USAGE, "gavel %s needs more words; usage: %s", area->name, usage);
    if (!stands_first(area, word, &nearest)) {
        (void)codec_nearest_text(&nearest, hint, sizeof hint);
        return cli_fail(CLI_USAGE, "gavel %s knows no '%s'%s%s usage: %s", area->name, word, hint, *hint ? "" : ";",
                        usage);
    }
    return cli_fail(CLI_USAGE, "too few words, or too many; usage: %s", usage);
}
