/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_member_change.c - gavel member change: several changes of the members, in one step or not at all. Each option may
 * come several times. They are worked out in the order of the table below: who goes has made room for the name and the
 * address of who comes.
 */
#include "cli.h"

#include <string.h>

struct cli_member_changes cli_member_changes;

static const struct {
    const char *option;
    const char *op;
    const char *role; /* of add */
    struct usage_each *names;
    bool addresses; /* has to have some */
    bool may;       /* may have some */
} kinds[] = {
    {"remove", "remove", NULL, &cli_member_changes.remove, false, false},
    {"add", "add", "voter", &cli_member_changes.add, true, true},
    {"add-learner", "add", "learner", &cli_member_changes.add_learner, true, true},
    {"promote", "promote", NULL, &cli_member_changes.promote, false, false},
    {"demote", "demote", NULL, &cli_member_changes.demote, false, false},
    {"replace", "replace", NULL, &cli_member_changes.replace, false, true},
    {"update", "update", NULL, &cli_member_changes.update, true, true},
};

#define KINDS (sizeof kinds / sizeof kinds[0])

static int check(unsigned *count)
{
    *count = 0;
    for (size_t i = 0; i < KINDS; i++) {
        for (unsigned k = 0; k < kinds[i].names->count; k++) {
            const char *word = kinds[i].names->values[k];
            const char *equals = strchr(word, '=');

            if (kinds[i].addresses && (!equals || !equals[1]))
                return cli_fail(CLI_USAGE, "--%s takes NAME=ADDRESS,... and not '%s'", kinds[i].option, word);
            if (!kinds[i].may && equals)
                return cli_fail(CLI_USAGE, "--%s takes a NAME alone and not '%s'", kinds[i].option, word);
            ++*count;
        }
    }
    return *count ? CLI_OK
                  : cli_fail(CLI_USAGE, "gavel member change needs --add, --add-learner, --remove, --promote, "
                                        "--demote, --replace or --update, each as often as you like");
}

static void put_pair(struct gavel_writer *w, const char *key, struct gavel_slice value)
{
    gavel_put_key(w, key);
    gavel_put_string(w, value);
}

static void put_one(struct gavel_writer *w, size_t kind, const char *word)
{
    const char *equals = strchr(word, '=');
    struct gavel_slice name = equals ? gavel_bytes(word, (uint64_t)(equals - word)) : gavel_text(word);

    gavel_put_map(w, 2 + (equals != NULL) + (kinds[kind].role != NULL));
    put_pair(w, "op", gavel_text(kinds[kind].op));
    put_pair(w, "name", name);
    if (equals)
        put_pair(w, "addresses", gavel_text(equals + 1));
    if (kinds[kind].role)
        put_pair(w, "role", gavel_text(kinds[kind].role));
    gavel_put_end(w);
}

int cli_member_change(struct cli *cli, const char *version)
{
    struct gavel_result *result = NULL;
    struct gavel_builder *builder;
    struct gavel_writer *w;
    unsigned count;
    int code = check(&count);

    if (code == CLI_OK)
        code = cli_connect_admin(cli);
    if (code != CLI_OK)
        return code;
    builder = gavel_builder_new();
    if (!builder)
        return cli_fail(CLI_FAILED, "no memory");
    w = gavel_builder_writer(builder);
    gavel_put_map(w, 1 + (version != NULL));
    if (version)
        put_pair(w, "version", gavel_text(version));
    gavel_put_key(w, "changes");
    gavel_put_array(w, count);
    for (size_t i = 0; i < KINDS; i++)
        for (unsigned k = 0; k < kinds[i].names->count; k++)
            put_one(w, i, kinds[i].names->values[k]);
    gavel_put_end(w);
    gavel_put_end(w);
    code = cli_change_node(cli, "member_change", builder, &result);
    gavel_builder_free(builder);
    if (code != CLI_OK)
        return code;
    if (cli->json)
        code = cli_print(cli, result->value);
    else
        printf("%u %s made in one step: version %llu\n", count, count == 1 ? "change was" : "changes were",
               (unsigned long long)gavel_get_uint(result->value, "version", 0));
    gavel_result_free(result);
    return code;
}
