/* SPDX-License-Identifier: Apache-2.0 */
/* cli_restore.c - a saved snapshot looked into, and made into the data directory of a new cluster. No node is asked. */
#include "cli_snapshot.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gavel/statemachine.h>

#include "core/node/reset.h"
#include "core/node/saved.h"
#include "core/os/clean.h"
#include "core/os/real.h"

/*
 * Added to the index of what is restored: indexes that the old cluster went on to give out, as ids of sessions or as
 * revisions of watches, are not given out again for something else. No cluster writes so much in a year.
 */
#define INDEX_SKIP UINT64_C(1000000000000)

static void hex(char *to, const struct log_cluster_id *id)
{
    for (size_t i = 0; i < sizeof id->bytes; i++)
        (void)snprintf(to + 2 * i, 3, "%02x", id->bytes[i]);
}

static const char *moment(char *to, size_t size, uint64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) || strftime(to, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        (void)snprintf(to, size, "?");
    return to;
}

/* ---- inspect ----------------------------------------------------------------------------------------------------- */

static const char *role_name(uint32_t role)
{
    return role == RAFT_VOTER     ? "voter"
           : role == RAFT_LEARNER ? "learner"
           : role == RAFT_JOINING ? "joining"
                                  : "leaving";
}

static void put_text(struct gavel_writer *w, const char *key, const char *text)
{
    gavel_put_key(w, key);
    gavel_put_text(w, text);
}

static void put_number(struct gavel_writer *w, const char *key, uint64_t number)
{
    gavel_put_key(w, key);
    gavel_put_uint(w, number);
}

static void put_members(struct gavel_writer *w, const struct members *members)
{
    gavel_put_key(w, "members");
    gavel_put_array(w, members->count);
    for (uint32_t i = 0; i < members->count; i++) {
        const struct member *member = &members->items[i];

        gavel_put_map(w, 4);
        put_text(w, "name", member->name);
        put_number(w, "id", member->id);
        put_text(w, "role", role_name(member->role));
        gavel_put_key(w, "addresses");
        gavel_put_array(w, member->address_count);
        for (uint32_t a = 0; a < member->address_count; a++)
            gavel_put_text(w, member->addresses[a]);
        gavel_put_end(w);
        gavel_put_end(w);
    }
    gavel_put_end(w);
}

static void put_machines(struct gavel_writer *w, const struct saved *saved, const struct saved_contents *contents)
{
    gavel_put_key(w, "machines");
    gavel_put_array(w, contents->machine_count);
    for (uint32_t i = 0; i < contents->machine_count; i++) {
        gavel_put_map(w, 4);
        put_text(w, "name", contents->machines[i].name);
        gavel_put_key(w, "plugin");
        gavel_put_string(w, saved->record.machines[i].plugin);
        put_number(w, "state_version", contents->machines[i].version);
        put_number(w, "bytes", contents->machines[i].bytes);
        gavel_put_end(w);
    }
    gavel_put_end(w);
}

static int print_json(struct cli *cli, const struct saved *saved, const struct saved_contents *contents)
{
    struct gavel_builder *builder = gavel_builder_new();
    struct gavel_slice document = {0};
    struct gavel_error error = {0, ""};
    struct gavel_writer *w;
    char cluster[33];
    char digest[9];
    int code = CLI_FAILED;

    if (!builder)
        return cli_fail(CLI_FAILED, "no memory");
    w = gavel_builder_writer(builder);
    hex(cluster, &saved->about.cluster_id);
    (void)snprintf(digest, sizeof digest, "%08x", saved->about.info.digest);
    gavel_put_map(w, 14 + (contents->sessions_known != 0));
    put_text(w, "cluster_id", cluster);
    put_number(w, "index", saved->about.info.index);
    put_number(w, "term", saved->about.info.term);
    put_number(w, "tick", contents->tick);
    put_text(w, "node", saved->about.node);
    put_text(w, "version", saved->about.version);
    put_number(w, "saved_ms", saved->about.saved_ms);
    put_number(w, "file_bytes", saved->bytes);
    put_number(w, "bytes", saved->about.info.bytes);
    put_text(w, "digest", digest);
    put_text(w, "checksums", "good");
    if (contents->sessions_known)
        put_number(w, "sessions", contents->sessions);
    put_number(w, "settings_version", contents->settings_version);
    put_members(w, &saved->members);
    put_machines(w, saved, contents);
    gavel_put_end(w);
    if (gavel_builder_end(builder, &document, &error) == GAVEL_OK)
        code = cli_print(cli, document);
    else
        (void)cli_fail(CLI_FAILED, "%s", error.text);
    gavel_builder_free(builder);
    return code;
}

static void write_text(FILE *out, const struct saved *saved, const struct saved_contents *contents)
{
    char cluster[33];
    char when[32];

    hex(cluster, &saved->about.cluster_id);
    fprintf(out, "cluster     %s\n", cluster);
    fprintf(out, "point       index %llu, term %llu\n", (unsigned long long)saved->about.info.index,
            (unsigned long long)saved->about.info.term);
    fprintf(out, "saved       %s from %s, gaveld %s\n", moment(when, sizeof when, saved->about.saved_ms),
            saved->about.node, saved->about.version);
    fprintf(out, "bytes       %llu in the file, %llu of payload\n", (unsigned long long)saved->bytes,
            (unsigned long long)saved->about.info.bytes);
    fprintf(out, "checksums   good, digest %08x\n", saved->about.info.digest);
    for (uint32_t i = 0; i < saved->members.count; i++) {
        const struct member *member = &saved->members.items[i];

        fprintf(out, "member      %s, id %llu, %s", member->name, (unsigned long long)member->id,
                role_name(member->role));
        for (uint32_t a = 0; a < member->address_count; a++)
            fprintf(out, " %s", member->addresses[a]);
        putc('\n', out);
    }
    for (uint32_t i = 0; i < contents->machine_count; i++)
        fprintf(out, "machine     %s, plugin %.*s, state version %llu, %llu bytes\n", contents->machines[i].name,
                (int)saved->record.machines[i].plugin.size, (const char *)saved->record.machines[i].plugin.data,
                (unsigned long long)contents->machines[i].version, (unsigned long long)contents->machines[i].bytes);
    if (contents->sessions_known)
        fprintf(out, "sessions    %llu\n", (unsigned long long)contents->sessions);
    if (contents->settings_version)
        fprintf(out, "settings    last changed at index %llu\n", (unsigned long long)contents->settings_version);
}

/* The file may be anybody's: its names must not drive the terminal. */
static int print_text(const struct saved *saved, const struct saved_contents *contents)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out)
        write_text(out, saved, contents);
    if (!out || fclose(out) != 0) {
        free(text);
        return cli_fail(CLI_FAILED, "no memory");
    }
    cli_put_plain(stdout, text);
    free(text);
    return ferror(stdout) ? CLI_FAILED : CLI_OK;
}

static int open_whole(struct saved *saved, const struct os *os, const char *file, struct saved_contents *contents)
{
    struct gavel_error error = {0, ""};
    int32_t status = saved_open(saved, os, file, &error);

    if (status != GAVEL_OK)
        return cli_fail(CLI_FAILED, "%s", error.text);
    status = saved_check(saved, contents, &error);
    if (status == GAVEL_OK)
        return CLI_OK;
    saved_close(saved);
    return cli_fail(CLI_FAILED, "%s", error.text);
}

int cli_snapshot_inspect(struct cli *cli, const char *file)
{
    os_autofree struct saved *saved = calloc(1, sizeof *saved);
    os_autofree struct saved_contents *contents = calloc(1, sizeof *contents);
    struct os os;
    int code;

    if (!saved || !contents)
        return cli_fail(CLI_FAILED, "no memory");
    os_real_init(&os, NULL);
    code = open_whole(saved, &os, file, contents);
    if (code != CLI_OK)
        return code;
    code = cli->json ? print_json(cli, saved, contents) : print_text(saved, contents);
    saved_close(saved);
    return code;
}

/* ---- restore ----------------------------------------------------------------------------------------------------- */

static int add_member(struct members *members, struct gavel_slice word)
{
    const char *text = word.data;
    const char *equals = memchr(text, '=', word.size);
    struct member *member = &members->items[members->count];
    const char *at;
    const char *end = text + word.size;

    if (members->count == NODE_MEMBERS_MAX)
        return cli_fail(CLI_USAGE, "more than %d members", NODE_MEMBERS_MAX);
    if (!equals || !members_name_valid(gavel_bytes(text, (uint64_t)(equals - text))))
        return cli_fail(CLI_USAGE, "'%.*s' is not NAME=ADDRESS", (int)word.size, text);
    memset(member, 0, sizeof *member);
    (void)members_copy_text(member->name, sizeof member->name, gavel_bytes(text, (uint64_t)(equals - text)));
    if (members_named(members, member->name))
        return cli_fail(CLI_USAGE, "two members are called %s", member->name);
    for (at = equals + 1; at < end; at++) {
        const char *bar = memchr(at, '|', (size_t)(end - at));
        struct gavel_slice address = gavel_bytes(at, (uint64_t)((bar ? bar : end) - at));

        if (!members_address_valid(address) || member->address_count == NODE_ADDRESSES_MAX)
            return cli_fail(CLI_USAGE, "%s: '%.*s' is not an address such as ws://host:8080, or is one too many",
                            member->name, (int)address.size, (const char *)address.data);
        (void)members_copy_text(member->addresses[member->address_count++], NODE_URI_MAX, address);
        if (!bar)
            break;
        at = bar;
    }
    if (member->address_count == 0)
        return cli_fail(CLI_USAGE, "%s has no address", member->name);
    member->id = members->next_id++;
    member->role = RAFT_VOTER; /* of the ordinary priority, which is 0 here and 1 for people */
    members->count++;
    return CLI_OK;
}

/* As [cluster] members has them, with blanks or commas between. Ids go on where the old cluster's end. */
static int read_members(struct members *members, uint64_t next_id)
{
    const char *at = cli_snapshot.members;
    int code = CLI_OK;

    memset(members, 0, sizeof *members);
    members->next_id = next_id;
    while (at && *at && code == CLI_OK) {
        size_t length = strcspn(at, ", \t\n");

        if (length)
            code = add_member(members, gavel_bytes(at, length));
        at += length + (at[length] != 0);
    }
    return code;
}

/* Alone, where the member of that name was before: those that are added later have to reach it. */
static int be_alone(struct members *members, const struct members *old)
{
    const struct member *before = members_named(old, cli_snapshot.name);

    if (!before || before->address_count == 0)
        return cli_fail(CLI_USAGE, "no member of the old cluster was called %s: say where it will be reached, as "
                                   "--members %s=ADDRESS", cli_snapshot.name, cli_snapshot.name);
    members->items[0] = *before;
    members->items[0].id = members->next_id++;
    members->items[0].incarnation = 0;
    members->items[0].role = RAFT_VOTER;
    members->items[0].outgoing = 0;
    if (members->items[0].priority == RAFT_PRIORITY_NEVER)
        members->items[0].priority = 0; /* nobody else can lead */
    members->count = 1;
    return CLI_OK;
}

/*
 * One member: any id does. Several: each makes the same one by itself, from all that they have in common; the token
 * keeps a second restore of the same file from being the same cluster.
 */
static int choose_cluster_id(const struct os *os, const struct saved *saved, const struct members *members,
                             struct log_cluster_id *id)
{
    struct gavel_buffer text = codec_buffer(0);
    int32_t status;

    if (members->count == 1 && !cli_snapshot.token) {
        os_random(os, id->bytes, sizeof id->bytes);
        return CLI_OK;
    }
    if (!cli_snapshot.token || !*cli_snapshot.token)
        return cli_fail(CLI_USAGE, "several members make the id of their cluster from the same words: say "
                                   "--cluster-token TEXT, the same on each and never used before, such as a date");
    status = members_encode(members, &text);
    for (uint64_t half = 0; half < 2 && status == GAVEL_OK; half++) {
        uint64_t hash = UINT64_C(0x6a09e667f3bcc908) + half;

        hash = gavel_mix(hash, saved->about.cluster_id.bytes, sizeof saved->about.cluster_id.bytes);
        hash = gavel_mix(hash, &saved->about.info.index, sizeof saved->about.info.index);
        hash = gavel_mix(hash, &saved->about.info.digest, sizeof saved->about.info.digest);
        hash = gavel_mix(hash, text.data, text.size);
        hash = gavel_mix(hash, cli_snapshot.token, strlen(cli_snapshot.token));
        memcpy(id->bytes + 8 * half, &hash, sizeof hash);
    }
    gavel_buffer_free(&text);
    return status == GAVEL_OK ? CLI_OK : cli_fail(CLI_FAILED, "no memory");
}

static int restore_into(struct cli *cli, const struct os *os, const struct saved *saved, const char *file)
{
    os_autofree struct members *members = calloc(1, sizeof *members);
    struct reset_plan plan = {.os = os, .dir = cli->data_dir, .name = cli_snapshot.name, .members = members};
    struct gavel_error error = {0, ""};
    const struct member *self;
    char cluster[33];
    int32_t status;
    int code;

    if (!members)
        return cli_fail(CLI_FAILED, "no memory");
    code = read_members(members, saved->members.next_id);
    if (code != CLI_OK)
        return code;
    if (members->count == 0)
        code = be_alone(members, &saved->members);
    if (code != CLI_OK)
        return code;
    self = members_named(members, cli_snapshot.name);
    if (!self)
        return cli_fail(CLI_USAGE, "%s is not among --members", cli_snapshot.name);
    code = choose_cluster_id(os, saved, members, &plan.cluster_id);
    if (code != CLI_OK)
        return code;
    plan.member_id = self->id;
    status = reset_from_snapshot(&plan, file, saved->snapshot_at, 0, saved->about.founding, INDEX_SKIP, &error);
    if (status != GAVEL_OK)
        return cli_fail(CLI_FAILED, "%s", error.text);
    hex(cluster, &plan.cluster_id);
    printf("restored into %s: node %s, id %llu, %s the new cluster %s, at %s\n", cli->data_dir, plan.name,
           (unsigned long long)plan.member_id, members->count == 1 ? "alone in" : "a member of", cluster,
           self->addresses[0]);
    return CLI_OK;
}

int cli_snapshot_restore(struct cli *cli, const char *file)
{
    os_autofree struct saved *saved = calloc(1, sizeof *saved);
    os_autofree struct saved_contents *contents = calloc(1, sizeof *contents);
    struct os os;
    int code;

    if (!cli->data_dir || !*cli->data_dir || !cli_snapshot.name || !*cli_snapshot.name)
        return cli_fail(CLI_USAGE, "restore needs --data-dir DIR and --name NAME, as in [node] of the INI file");
    if (!members_name_valid(gavel_text(cli_snapshot.name)))
        return cli_fail(CLI_USAGE, "'%s' is no name for a node: letters, digits, '.', '_' and '-', at most %d",
                        cli_snapshot.name, NODE_NAME_MAX - 1);
    if (!saved || !contents)
        return cli_fail(CLI_FAILED, "no memory");
    os_real_init(&os, NULL);
    code = open_whole(saved, &os, file, contents);
    if (code != CLI_OK)
        return code;
    code = restore_into(cli, &os, saved, file);
    saved_close(saved);
    return code;
}
