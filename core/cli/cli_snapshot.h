/* SPDX-License-Identifier: Apache-2.0 */
/* cli_snapshot.h - what the two files of `gavel snapshot` share. */
#ifndef CORE_CLI_CLI_SNAPSHOT_H
#define CORE_CLI_CLI_SNAPSHOT_H

#include "cli.h"

struct cli_snapshot_options {
    bool force;
    const char *name;
    const char *members;
    const char *token;
};

extern struct cli_snapshot_options cli_snapshot;

/* ---- cli_out.c: a file that gets its name when all of it is on the disk ------------------------------------------ */

struct cli_out {
    const char *file; /* "-": standard output */
    char part[4096];  /* what it is called until then, if it has to be; "": there is none */
    int fd;
    bool named;       /* it is called that */
};

/* Begin. An exit code, said: the file is there and `force` is not, or it cannot be written. */
int cli_out_open(struct cli_out *out, const char *file, bool force);

/* Write all of it; `ctx` is the struct cli_out. 0, or a negative errno. */
int cli_out_write(void *ctx, const void *data, size_t size);

/* Sync it, and give it its name. An exit code, said. */
int cli_out_publish(struct cli_out *out, bool force);

/* Remove what has not got its name. Fine on one that could not be opened. */
void cli_out_drop(struct cli_out *out);

/* ---- cli_restore.c ----------------------------------------------------------------------------------------------- */

/* Look into a saved snapshot, off line; an exit code. */
int cli_snapshot_inspect(struct cli *cli, const char *file);

/* Make the data directory of a new cluster from it, off line; an exit code. */
int cli_snapshot_restore(struct cli *cli, const char *file);

#endif
