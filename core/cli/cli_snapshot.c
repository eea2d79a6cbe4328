/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_snapshot.c - snapshots: have one taken, save one to a file while the cluster serves, look into such a file, and
 * make the data directory of a new cluster from it.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli_snapshot.h"
#include "core/node/saved.h"
#include "core/os/clean.h"
#include "core/os/crc32c.h"

#define SAVE_MS 600000 /* a large snapshot may have to be taken first */
#define PIECE_BYTES (256u << 10)

struct cli_snapshot_options cli_snapshot;

const struct usage_option cli_snapshot_options[] = {
    {"force", 0, USAGE_FLAG, NULL, "Of save: replace FILE when it is there", &cli_snapshot.force},
    {"name", 0, USAGE_TEXT, "NAME", "Of restore: the name of this node, as in its INI file", &cli_snapshot.name},
    {"members", 0, USAGE_TEXT, "NAME=ADDRESS,...",
     "Of restore: all members of the new cluster, as in [cluster] members of gavel.ini(5); without it this node alone "
     "will be the cluster, at the addresses that it had", &cli_snapshot.members},
    {"cluster-token", 0, USAGE_TEXT, "TEXT",
     "Of restore with several members: any words, the same on each of them and never used before, such as the date: "
     "the id of the new cluster is made from it, the file and the members", &cli_snapshot.token},
    {.name = NULL},
};

/* ---- saving ------------------------------------------------------------------------------------------------------ */

struct saving {
    struct cli *cli;
    struct cli_out out;
    uint64_t handle;
    struct saved_about about;
    struct saved_writer writer;
};

static struct gavel_slice text_of(char *to, struct gavel_slice text)
{
    (void)snprintf(to, SAVED_TEXT, "%.*s", (int)text.size, text.size ? (const char *)text.data : "");
    return text;
}

static int about_of(struct saving *saving, struct gavel_slice answer)
{
    struct saved_about *about = &saving->about;
    struct gavel_slice cluster = gavel_get_bytes(answer, "cluster_id");

    saving->handle = gavel_get_uint(answer, "handle", 0);
    about->info = (struct log_snapshot_info){.index = gavel_get_uint(answer, "index", 0),
                                             .term = gavel_get_uint(answer, "term", 0),
                                             .chain = (uint32_t)gavel_get_uint(answer, "chain", 0),
                                             .bytes = gavel_get_uint(answer, "bytes", 0),
                                             .digest = (uint32_t)gavel_get_uint(answer, "digest", 0)};
    about->meta = gavel_get_bytes(answer, "meta");
    about->founding = gavel_get_bytes(answer, "founding");
    (void)text_of(about->node, gavel_get_bytes(answer, "name"));
    (void)text_of(about->version, gavel_get_bytes(answer, "version"));
    about->saved_ms = (uint64_t)time(NULL) * 1000;
    if (saving->handle == 0 || about->info.index == 0 || cluster.size != sizeof about->cluster_id.bytes)
        return cli_fail(CLI_FAILED, "the node's answer makes no sense");
    memcpy(about->cluster_id.bytes, cluster.data, cluster.size);
    return CLI_OK;
}

/* One piece, checked, into the file. */
static int copy_piece(struct saving *saving, uint64_t *offset, bool *last)
{
    struct gavel_builder *builder = gavel_builder_new();
    struct gavel_result *result = NULL;
    struct gavel_error error = {0, ""};
    struct gavel_slice data;
    struct gavel_writer *w;
    int code = CLI_OK;

    if (!builder)
        return cli_fail(CLI_FAILED, "no memory");
    w = gavel_builder_writer(builder);
    gavel_put_map(w, 3);
    gavel_put_key(w, "handle");
    gavel_put_uint(w, saving->handle);
    gavel_put_key(w, "offset");
    gavel_put_uint(w, *offset);
    gavel_put_key(w, "bytes");
    gavel_put_uint(w, PIECE_BYTES);
    gavel_put_end(w);
    code = cli_call_node(saving->cli, "snapshot_read", builder, &result);
    gavel_builder_free(builder);
    if (code != CLI_OK)
        return code;
    data = gavel_get_bytes(result->value, "data");
    *last = gavel_get_bool(result->value, "last", 0) != 0;
    if (crc32c(0, data.data, data.size) != gavel_get_uint(result->value, "digest", 0) || (data.size == 0 && !*last))
        code = cli_fail(CLI_FAILED, "a piece came damaged, at byte %llu of the payload", (unsigned long long)*offset);
    else if (saved_put(&saving->writer, data.data, data.size, &error) != GAVEL_OK)
        code = cli_fail(CLI_FAILED, "%s: %s", saving->out.file, error.text);
    *offset += data.size;
    gavel_result_free(result);
    return code;
}

static int copy_all(struct saving *saving)
{
    struct gavel_error error = {0, ""};
    uint64_t offset = 0;
    bool last = false;
    int code = CLI_OK;

    if (saved_begin(&saving->writer, &saving->about, &error) != GAVEL_OK)
        return cli_fail(CLI_FAILED, "%s: %s", saving->out.file, error.text);
    while (code == CLI_OK && !last)
        code = copy_piece(saving, &offset, &last);
    if (code == CLI_OK && saved_end(&saving->writer, &error) != GAVEL_OK)
        code = cli_fail(CLI_FAILED, "%s: %s", saving->out.file, error.text);
    return code;
}

static void tell_saved(const struct saving *saving)
{
    const struct saved_about *about = &saving->about;

    fprintf(strcmp(saving->out.file, "-") == 0 ? stderr : stdout,
            "saved %s: index %llu, term %llu, %llu bytes, digest %08x, from %s\n", saving->out.file,
            (unsigned long long)about->info.index, (unsigned long long)about->info.term,
            (unsigned long long)saving->writer.bytes, about->info.digest, about->node);
}

static int save(struct cli *cli, const char *file)
{
    os_autofree struct saving *saving = calloc(1, sizeof *saving);
    struct gavel_result *result = NULL;
    int code;

    if (!saving)
        return cli_fail(CLI_FAILED, "no memory");
    saving->cli = cli;
    saving->writer.write = cli_out_write;
    saving->writer.ctx = &saving->out;
    if (cli->timeout_ms == 0)
        cli->timeout_ms = SAVE_MS;
    code = cli_out_open(&saving->out, file, cli_snapshot.force);
    if (code == CLI_OK)
        code = cli_connect_admin(cli);
    if (code == CLI_OK)
        code = cli_call_node(cli, "snapshot_open", NULL, &result);
    if (code == CLI_OK)
        code = about_of(saving, result->value);
    if (code == CLI_OK)
        code = copy_all(saving);
    if (code == CLI_OK)
        code = cli_out_publish(&saving->out, cli_snapshot.force);
    gavel_result_free(result);
    cli_out_drop(&saving->out);
    if (code == CLI_OK)
        tell_saved(saving);
    return code;
}

/* ---- the area ---------------------------------------------------------------------------------------------------- */

static int take(struct cli *cli)
{
    struct gavel_result *result = NULL;
    int code = cli_connect_admin(cli);

    if (code == CLI_OK)
        code = cli_call_node(cli, "snapshot", NULL, &result);
    if (code != CLI_OK)
        return code;
    gavel_result_free(result);
    puts("a snapshot was taken");
    return CLI_OK;
}

int cli_area_snapshot(struct cli *cli, int count, char **words)
{
    const char *verb;
    int code;

    memset(&cli_snapshot, 0, sizeof cli_snapshot);
    code = cli_options_take(cli, cli_snapshot_options, count, words);
    if (code != CLI_OK)
        return code;
    if (cli->word_count == 1)
        return take(cli);
    verb = cli->words[1];
    if (cli->word_count != 3 || (strcmp(verb, "save") && strcmp(verb, "inspect") && strcmp(verb, "restore")))
        return cli_misused(cli, "gavel snapshot | gavel snapshot save [--force] FILE | inspect FILE | "
                                "restore FILE --data-dir DIR --name NAME [--members NAME=ADDRESS,...] "
                                "[--cluster-token TEXT]");
    if (strcmp(verb, "save") == 0)
        return save(cli, cli->words[2]);
    return strcmp(verb, "inspect") == 0 ? cli_snapshot_inspect(cli, cli->words[2])
                                        : cli_snapshot_restore(cli, cli->words[2]);
}
