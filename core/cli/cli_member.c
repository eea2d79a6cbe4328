/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_member.c - who belongs to the cluster, and changing that: through the admin socket of any member, which passes it
 * on to the leader.
 */
#include "cli.h"

#include <string.h>
#include <time.h>

#define WAIT_STEP_NS 200000000L /* between two looks while --wait waits */

/* What the options said. Numbers are text here: absent is not 0. */
struct member_options {
    const char *role;
    const char *priority;
    const char *version;
    uint64_t wait_ms;
};

struct verb {
    const char *name;
    const char *command;
    int words_min; /* behind the verb */
    int words_max;
    bool roles;      /* takes --role */
    bool priorities; /* takes --priority */
    bool waits;      /* takes --wait: somebody has to catch up */
    const char *done;
    const char *usage;
};

static const struct verb verbs[] = {
    {"add", "member_add", 2, 2, true, true, true, "was added",
     "gavel member add NAME ADDRESS,... [--role voter|learner] [--priority N] [--if-version N] [--wait TIME]"},
    {"remove", "member_remove", 1, 1, false, false, false, "was removed", "gavel member remove NAME [--if-version N]"},
    {"promote", "member_promote", 1, 1, false, false, true, "becomes a voter as soon as it has caught up",
     "gavel member promote NAME [--if-version N] [--wait TIME]"},
    {"demote", "member_demote", 1, 1, false, false, false, "is a learner", "gavel member demote NAME [--if-version N]"},
    {"replace", "member_replace", 1, 2, false, true, true, "was replaced",
     "gavel member replace NAME [ADDRESS,...] [--priority N] [--if-version N] [--wait TIME]"},
    {"update", "member_update", 1, 2, false, true, false, "was updated",
     "gavel member update NAME [ADDRESS,...] [--priority N] [--if-version N]"},
    {"rebuild", "rebuild", 1, 1, false, false, false, "rebuilds its state from the leader's",
     "gavel member rebuild NAME"},
};

#define CHANGE_USAGE \
    "gavel member change [--add NAME=ADDRESS,...] [--add-learner NAME=ADDRESS,...] [--remove NAME] [--promote NAME] " \
    "[--demote NAME] [--replace NAME[=ADDRESS,...]] [--update NAME=ADDRESS,...] [--if-version N]"

#define VERB_COUNT (sizeof verbs / sizeof verbs[0])

static int usage(const struct cli *cli)
{
    size_t i;

    (void)cli_misused(cli, "gavel member list");
    for (i = 0; i < VERB_COUNT; i++)
        fprintf(stderr, "       %s\n", verbs[i].usage);
    fprintf(stderr, "       " CHANGE_USAGE "\n");
    return CLI_USAGE;
}

static const struct verb *verb_named(const char *name)
{
    size_t i;

    for (i = 0; i < VERB_COUNT; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

static void print_addresses(struct gavel_slice member)
{
    struct codec_walk walk;
    struct gavel_slice key, address;
    bool first = true;

    codec_walk_begin(&walk, codec_map_find(member, "addresses"));
    while (codec_walk_next(&walk, &key, &address)) {
        if (!first)
            putchar(',');
        cli_print_value(address, stdout);
        first = false;
    }
}

/* Nodes that registered themselves have no id, no priority, and no health that a member would know of. */
static void print_registered(struct gavel_slice list)
{
    struct codec_walk walk;
    struct gavel_slice key, node;

    codec_walk_begin(&walk, codec_map_find(list, "registered"));
    while (codec_walk_next(&walk, &key, &node)) {
        struct gavel_slice name = gavel_get_bytes(node, "name");

        printf("%5s  %-20.*s %-10s %8s %-10s ", "-", (int)name.size, (const char *)name.data, "registered", "-", "-");
        cli_print_value(codec_map_find(node, "address"), stdout);
        cli_print_capabilities(node);
        putchar('\n');
    }
}

static void print_list(struct gavel_slice list)
{
    struct codec_walk walk;
    struct gavel_slice key, member;

    printf("version %llu%s\n", (unsigned long long)gavel_get_uint(list, "version", 0),
           gavel_get_bool(list, "in_flight", 0) ? ", a change is in flight" : "");
    printf("%s%5s  %-20s %-10s %8s %-10s %s%s\n", cli_bold(), "id", "name", "role", "priority", "health",
           "addresses  capabilities", cli_plain());
    codec_walk_begin(&walk, codec_map_find(list, "members"));
    while (codec_walk_next(&walk, &key, &member)) {
        struct gavel_slice name = gavel_get_bytes(member, "name");
        struct gavel_slice role = gavel_get_bytes(member, "role");
        struct gavel_slice health = gavel_get_bytes(member, "health");

        printf("%5llu  %-20.*s %-10.*s %8llu %-10.*s ", (unsigned long long)gavel_get_uint(member, "id", 0),
               (int)name.size, (const char *)name.data, (int)role.size, (const char *)role.data,
               (unsigned long long)gavel_get_uint(member, "priority", 0), (int)health.size, (const char *)health.data);
        print_addresses(member);
        cli_print_capabilities(member);
        printf("%s%s\n", gavel_get_bool(member, "leader", 0) ? "  (leads)" : "",
               gavel_get_bool(member, "joined", 1) ? "" : "  (has not come yet)");
        if (gavel_get_bytes(member, "reason").size) {
            printf("%5s  ", "");
            cli_print_value(codec_map_find(member, "reason"), stdout);
            putchar('\n');
        }
    }
    print_registered(list);
}

static int list(struct cli *cli)
{
    struct gavel_result *result = NULL;
    int code = cli->admin || cli->data_dir ? cli_connect_admin(cli) : cli_connect(cli);

    if (code == CLI_OK)
        code = cli_call_node(cli, "member_list", NULL, &result);
    if (code != CLI_OK)
        return code;
    if (cli->json)
        code = cli_print(cli, result->value);
    else
        print_list(result->value);
    gavel_result_free(result);
    return code;
}

/* ---- changes ----------------------------------------------------------------------------------------------------- */

static void put_text(struct gavel_writer *w, const char *key, const char *value)
{
    if (!value)
        return;
    gavel_put_key(w, key);
    gavel_put_text(w, value);
}

static int change(struct cli *cli, const struct verb *verb, const struct member_options *options,
                  struct gavel_result **result)
{
    const char *addresses = cli->word_count > 3 ? cli->words[3] : NULL;
    struct gavel_builder *builder = gavel_builder_new();
    struct gavel_writer *w;
    int code;

    if (!builder)
        return cli_fail(CLI_FAILED, "no memory");
    w = gavel_builder_writer(builder);
    gavel_put_map(w, 1 + (addresses != NULL) + (options->role != NULL) + (options->priority != NULL) +
                         (options->version != NULL));
    put_text(w, "name", cli->words[2]);
    put_text(w, "addresses", addresses);
    put_text(w, "role", options->role);
    put_text(w, "priority", options->priority);
    put_text(w, "version", options->version);
    gavel_put_end(w);
    code = cli_change_node(cli, verb->command, builder, result);
    gavel_builder_free(builder);
    return code;
}

static bool has_arrived(struct gavel_slice list_now, const char *name)
{
    struct codec_walk walk;
    struct gavel_slice key, member;

    codec_walk_begin(&walk, codec_map_find(list_now, "members"));
    while (codec_walk_next(&walk, &key, &member))
        if (gavel_slice_equal(gavel_get_bytes(member, "name"), gavel_text(name)))
            return gavel_get_bool(member, "joined", 0) &&
                   !gavel_slice_equal(gavel_get_bytes(member, "role"), gavel_text("joining")) &&
                   !gavel_get_bool(list_now, "in_flight", 1);
    return false;
}

static int wait_for(struct cli *cli, const char *name, uint64_t wait_ms)
{
    const struct timespec step = {0, WAIT_STEP_NS};
    uint64_t waited = 0;

    for (;;) {
        struct gavel_result *result = NULL;
        int code = cli_call_node(cli, "member_list", NULL, &result);
        bool arrived;

        if (code != CLI_OK)
            return code;
        arrived = has_arrived(result->value, name);
        gavel_result_free(result);
        if (arrived)
            return CLI_OK;
        if (waited >= wait_ms)
            return cli_fail(CLI_FALSE, "%s has not caught up yet; it goes on by itself", name);
        (void)nanosleep(&step, NULL);
        waited += WAIT_STEP_NS / 1000000;
    }
}

static int run_verb(struct cli *cli, const struct verb *verb, const struct member_options *options)
{
    struct gavel_result *result = NULL;
    int words = cli->word_count - 2;
    int code;

    if (words < verb->words_min || words > verb->words_max || (options->role && !verb->roles) ||
        (options->priority && !verb->priorities) || (options->wait_ms && !verb->waits))
        return cli_misused(cli, verb->usage);
    code = cli_connect_admin(cli);
    if (code == CLI_OK)
        code = change(cli, verb, options, &result);
    if (code != CLI_OK)
        return code;
    if (options->wait_ms)
        code = wait_for(cli, cli->words[2], options->wait_ms);
    if (code == CLI_OK && cli->json)
        code = cli_print(cli, result->value);
    else if (code == CLI_OK && strcmp(verb->name, "rebuild") == 0)
        printf("%s %s\n", cli->words[2], verb->done);
    else if (code == CLI_OK)
        printf("%s %s: version %llu\n", cli->words[2],
               options->wait_ms && verb->roles ? "was added and has caught up" : verb->done,
               (unsigned long long)gavel_get_uint(result->value, "version", 0));
    gavel_result_free(result);
    return code;
}

static struct member_options options;

const struct usage_option cli_member_options[] = {
    {"role", 0, USAGE_TEXT, "voter|learner", "Of add: what it becomes; voter", &options.role},
    {"priority", 0, USAGE_TEXT, "NUMBER",
     "Of add, replace and update: how much it is preferred as leader, 0 to 1000. 1 is ordinary; a member of a higher "
     "one gets the lead when it has been well for a while; 0 never leads, but for the moment in which it alone holds "
     "what another lacks",
     &options.priority},
    {"if-version", 0, USAGE_TEXT, "NUMBER", "Refuse the change when the members are not of that version any more",
     &options.version},
    {"wait", 0, USAGE_DURATION, "TIME",
     "Of add, promote and replace: go on until the member has caught up, or the time is over (exit code 2)",
     &options.wait_ms},
    {"add", 0, USAGE_EACH, "NAME=ADDRESS,...", "Of change: a new voter", &cli_member_changes.add},
    {"add-learner", 0, USAGE_EACH, "NAME=ADDRESS,...", "Of change: a new learner", &cli_member_changes.add_learner},
    {"remove", 0, USAGE_EACH, "MEMBER", "Of change: who goes", &cli_member_changes.remove},
    {"promote", 0, USAGE_EACH, "MEMBER", "Of change: a learner that is to vote", &cli_member_changes.promote},
    {"demote", 0, USAGE_EACH, "MEMBER", "Of change: a voter that is to learn", &cli_member_changes.demote},
    {"replace", 0, USAGE_EACH, "MEMBER[=ADDRESS,...]", "Of change: who gets a new id", &cli_member_changes.replace},
    {"update", 0, USAGE_EACH, "MEMBER=ADDRESS,...", "Of change: who is reached elsewhere", &cli_member_changes.update},
    {.name = NULL},
};

static bool changes_given(void)
{
    const struct cli_member_changes *given = &cli_member_changes;

    return given->add.count || given->add_learner.count || given->remove.count || given->promote.count ||
           given->demote.count || given->replace.count || given->update.count;
}

int cli_area_member(struct cli *cli, int count, char **words)
{
    const struct verb *verb;
    int code;

    options = (struct member_options){0};
    cli_member_changes = (struct cli_member_changes){0};
    code = cli_options_take(cli, cli_member_options, count, words);
    if (code != CLI_OK)
        return code;
    if (cli->word_count < 2)
        return usage(cli);
    if (strcmp(cli->words[1], "list") == 0)
        return cli->word_count == 2 ? list(cli) : usage(cli);
    if (strcmp(cli->words[1], "change") == 0) {
        bool other = options.role || options.priority || options.wait_ms;

        return cli->word_count == 2 && !other ? cli_member_change(cli, options.version)
                                              : cli_misused(cli, CHANGE_USAGE);
    }
    if (changes_given())
        return cli_misused(cli, CHANGE_USAGE);
    verb = verb_named(cli->words[1]);
    return verb ? run_verb(cli, verb, &options) : usage(cli);
}
