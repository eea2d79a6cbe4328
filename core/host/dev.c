/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev.c - the INI file of gaveld --dev is written and read like any other, and lies in its directory for the curious.
 */
#define _GNU_SOURCE /* nftw */
#include "core/host/dev.h"

#include "core/host/builtin.h"
#include "core/host/directory.h"
#include "core/host/process.h"
#include "core/host/sample.h"

#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define DEV_OPEN_MAX 16 /* directories that nftw holds open */

struct dev {
    const char *plugin_dir;
    char dir[64];
    char ini[96];
    char machine[HOST_SAMPLE_MACHINES_MAX][64];
    const char *machines[HOST_SAMPLE_MACHINES_MAX + 1];
    unsigned machine_count;
    struct host_sample sample;
};

static void add_machine(void *context, const char *file)
{
    struct dev *dev = context;
    uint64_t kind;

    if (dev->machine_count == HOST_SAMPLE_MACHINES_MAX ||
        !host_plugin_file(file, dev->machine[dev->machine_count], &kind))
        return;
    dev->machines[dev->machine_count] = dev->machine[dev->machine_count];
    dev->machine_count++;
}

/*
 * A port that is free at this moment. It is bound again in a moment: a member's address must be known before the node
 * listens, so port 0 would not do.
 */
static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unsigned port = 0;

    if (fd < 0)
        return 0;
    if (bind(fd, (struct sockaddr *)&address, size) == 0 && getsockname(fd, (struct sockaddr *)&address, &size) == 0)
        port = ntohs(address.sin_port);
    (void)close(fd);
    return port;
}

static int write_ini(struct dev *dev)
{
    char path[1024], data[96];
    FILE *out;

    (void)snprintf(path, sizeof path, "%s/gavel-websocket-transport.so", dev->plugin_dir);
    dev->sample = (struct host_sample){
        .dir = dev->dir,
        .nodes = 1,
        .port = free_port(),
        .transport = access(path, R_OK) == 0 ? "websocket" : "tcp",
        .scheme = access(path, R_OK) == 0 ? "ws" : "tcp",
        .machines = dev->machines,
    };
    (void)snprintf(dev->ini, sizeof dev->ini, "%s/gavel.ini", dev->dir);
    (void)snprintf(data, sizeof data, "%s/data", dev->dir);
    out = fopen(dev->ini, "wx");
    if (!out)
        return EX_IOERR;
    host_sample_ini(&dev->sample, 1, data, 1, out);
    return fclose(out) == 0 ? EX_OK : EX_IOERR;
}

static int remove_one(const char *path, const struct stat *stat_of, int type, struct FTW *walk)
{
    (void)stat_of;
    (void)type;
    (void)walk;
    return remove(path);
}

static int run(struct dev *dev, const char *version)
{
    struct host_setup setup;
    int code = EX_CONFIG;

    if (host_setup_open(&setup, dev->ini, NULL)) {
        (void)printf("gaveld: one node for development; it is gone when it stops\n"
                     "  address  %s://127.0.0.1:%u\n"
                     "  data     %s\n"
                     "  try      gavel --endpoints %s://127.0.0.1:%u status\n",
                     dev->sample.scheme, dev->sample.port, dev->dir, dev->sample.scheme, dev->sample.port);
        (void)fflush(stdout);
        code = host_process_run(&setup, version);
    } else {
        host_faults_print(&setup.faults, stderr, "gaveld: ");
    }
    host_setup_free(&setup);
    return code;
}

int host_dev_run(const char *plugin_dir, const char *version)
{
    const char *base = getenv("TMPDIR");
    struct dev dev = {.plugin_dir = plugin_dir};
    int code;

    if (host_plugins_each(plugin_dir, GAVEL_KIND_STATEMACHINE, add_machine, &dev) != GAVEL_OK ||
        dev.machine_count == 0) {
        (void)fprintf(stderr, "gaveld: there are no state machines in %s; GAVEL_PLUGIN_DIR names another directory\n",
                      plugin_dir);
        return EX_CONFIG;
    }
    if (!base || *base != '/' || strlen(base) > 32)
        base = "/tmp";
    (void)snprintf(dev.dir, sizeof dev.dir, "%s/gavel-dev-XXXXXX", base);
    if (!mkdtemp(dev.dir)) {
        (void)fprintf(stderr, "gaveld: %s cannot be made: %s\n", dev.dir, strerror(errno));
        return EX_IOERR;
    }
    code = write_ini(&dev);
    if (code == EX_OK)
        code = run(&dev, version);
    else
        (void)fprintf(stderr, "gaveld: %s cannot be written: %s\n", dev.ini, strerror(errno));
    (void)nftw(dev.dir, remove_one, DEV_OPEN_MAX, FTW_DEPTH | FTW_PHYS);
    return code;
}
