/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torture_room.c - namespaces and disks. Nothing of it has a name outside: processes, mounts and networks end with the
 * first process of the run, however that ends, and a loop device lets go of its image with its last user. Two runs
 * side by side cannot meet.
 */
#define _GNU_SOURCE /* unshare, setns, fallocate */

#include "torture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Sparse. The state, five snapshots of it (three that are kept, one that is made, one that comes) and the log, after
 * the load was pressed for a full disk again and again. */
#define IMAGE_BYTES ((off_t)512 << 20)
#define TMPFS_SIZE "size=96m"          /* memory */
#define LOOP_TRIES 50                  /* another run may take the free device first */
#define EXT4_SHUTDOWN _IOR('X', 125, uint32_t)
#define SHUTDOWN_NO_FLUSH 2u           /* the journal is not flushed: as a cut of the power */
#define FILL_STEP ((off_t)16 << 20)

static const char fill_name[] = "fill";

/* ---- namespaces -------------------------------------------------------------------------------------------------- */

static pid_t fork_into(unsigned long flags)
{
    return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

static bool put_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        (void)close(fd);
    return good;
}

pid_t room_fork(char *why, size_t size)
{
    unsigned long flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET;
    unsigned user = (unsigned)geteuid();
    unsigned group = (unsigned)getegid();
    char map[64];
    pid_t pid;

    (void)fflush(NULL);
    pid = fork_into(flags);
    if (pid >= 0)
        return pid;
    (void)snprintf(why, size, "namespaces are refused: %s", strerror(errno));
    pid = fork_into(flags | CLONE_NEWUSER); /* an ordinary user may make them inside one of users */
    if (pid != 0)
        return pid;
    (void)put_text("/proc/self/setgroups", "deny");
    (void)snprintf(map, sizeof map, "0 %u 1", user);
    if (!put_text("/proc/self/uid_map", map))
        _exit(77);
    (void)snprintf(map, sizeof map, "0 %u 1", group);
    (void)put_text("/proc/self/gid_map", map);
    return 0;
}

/* 127.0.0.0/8 is all that a node needs: the proxy is everybody else. */
static bool raise_loopback(void)
{
    struct ifreq request;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool good;

    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, "lo", 3);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    good = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (fd >= 0)
        (void)close(fd);
    return good;
}

/* Without O_CLOEXEC: the proxy is given them by number. */
static int this_space(void)
{
    return open("/proc/self/ns/net", O_RDONLY);
}

static bool make_spaces(struct torture *torture, char *why, size_t size)
{
    bool good = raise_loopback();

    torture->client_space = this_space();
    for (int i = 0; i < torture->slots && good; i++) {
        good = unshare(CLONE_NEWNET) == 0 && raise_loopback();
        torture->nodes[i].space = this_space();
        good = good && torture->nodes[i].space >= 0;
    }
    good = good && torture->client_space >= 0 && setns(torture->client_space, CLONE_NEWNET) == 0;
    if (!good)
        (void)snprintf(why, size, "network namespaces are refused: %s", strerror(errno));
    return good;
}

/* ---- disks ------------------------------------------------------------------------------------------------------- */

/* A loop device that ends with its last user. */
static bool attach(struct torture_node *node)
{
    struct loop_config config;
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int image = open(node->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool good = false;

    for (int i = 0; i < LOOP_TRIES && !good && control >= 0 && image >= 0; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);

        if (number < 0 || ftruncate(image, IMAGE_BYTES) != 0)
            break;
        (void)snprintf(node->device, sizeof node->device, "/dev/loop%d", number);
        node->device_fd = open(node->device, O_RDWR | O_CLOEXEC);
        if (node->device_fd < 0)
            break;
        memset(&config, 0, sizeof config);
        config.fd = (uint32_t)image;
        config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
        good = ioctl(node->device_fd, LOOP_CONFIGURE, &config) == 0;
        if (!good) {
            (void)close(node->device_fd);
            node->device_fd = -1;
            if (errno != EBUSY)
                break;
        }
    }
    if (control >= 0)
        (void)close(control);
    if (image >= 0)
        (void)close(image);
    return good;
}

static bool mount_loop(struct torture_node *node)
{
    return mount(node->device, node->disk, "ext4", MS_NOATIME, NULL) == 0;
}

static bool make_loop(struct torture *torture, struct torture_node *node)
{
    char program[] = "mkfs.ext4";
    char quiet[] = "-qF";
    char reserved[] = "-m0";
    char *words[] = {program, quiet, reserved, node->device, NULL};

    if (!attach(node)) {
        (void)snprintf(torture->disk_why, sizeof torture->disk_why, "no loop device: %s", strerror(errno));
        return false;
    }
    if (torture_run(torture, "/dev/null", words) != 0) {
        (void)snprintf(torture->disk_why, sizeof torture->disk_why, "mkfs.ext4 fails on %s", node->device);
        return false;
    }
    if (!mount_loop(node)) {
        (void)snprintf(torture->disk_why, sizeof torture->disk_why, "ext4 cannot be mounted: %s", strerror(errno));
        return false;
    }
    return true;
}

static bool make_disk(struct torture *torture, struct torture_node *node)
{
    (void)mkdir(node->disk, 0700);
    if (torture->disk == DISK_LOOP && !make_loop(torture, node))
        torture->disk = DISK_TMPFS;
    if (torture->disk == DISK_TMPFS && mount("torture", node->disk, "tmpfs", 0, TMPFS_SIZE) != 0)
        torture->disk = DISK_PLAIN;
    return access(node->disk, W_OK) == 0;
}

bool room_make(struct torture *torture, char *why, size_t size)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        (void)snprintf(why, size, "mounts cannot be made private: %s", strerror(errno));
        return false;
    }
    (void)mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL); /* the old one does as well */
    if (!make_spaces(torture, why, size))
        return false;
    torture->disk = DISK_LOOP;
    for (int i = 0; i < torture->slots; i++) {
        enum torture_disk before = torture->disk;

        if (!make_disk(torture, &torture->nodes[i])) {
            (void)snprintf(why, size, "no disk for %s: %s", torture->nodes[i].name, strerror(errno));
            return false;
        }
        if (torture->disk != before)
            i = -1; /* all of the same kind: again from the first */
    }
    return true;
}

void room_leave(struct torture *torture)
{
    for (int i = 0; i < torture->slots; i++) {
        struct torture_node *node = &torture->nodes[i];

        if (torture->disk != DISK_PLAIN)
            (void)umount2(node->disk, MNT_DETACH);
        if (node->device_fd >= 0)
            (void)close(node->device_fd);
    }
}

/* ---- power ------------------------------------------------------------------------------------------------------- */

void room_cut(struct torture *torture, struct torture_node *node)
{
    uint32_t flags = SHUTDOWN_NO_FLUSH;
    int fd = open(node->disk, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || ioctl(fd, EXT4_SHUTDOWN, &flags) != 0)
        torture_fail(torture, "cannot cut the power of %s: %s", node->disk, strerror(errno));
    (void)close(fd);
    node->cut = true;
}

void room_restore(struct torture *torture, struct torture_node *node)
{
    uint64_t until = torture_now(torture) + TORTURE_END_MS;

    while (umount2(node->disk, 0) != 0) {
        if (errno != EBUSY || torture_now(torture) > until)
            torture_fail(torture, "cannot unmount %s: %s", node->disk, strerror(errno));
        torture_pause(2);
    }
    if (!mount_loop(node))
        torture_fail(torture, "cannot mount %s after a power cut: %s", node->disk, strerror(errno));
    node->cut = false;
    if (!node->full)
        room_empty(torture, node); /* it could not be emptied without power */
}

/* ---- space ------------------------------------------------------------------------------------------------------- */

static int open_fill(struct torture *torture, struct torture_node *node, int flags)
{
    char path[TORTURE_PATH + 8];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", node->disk, fill_name);
    fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0 && !node->cut && errno != ENOSPC)
        torture_fail(torture, "%s: %s", path, strerror(errno));
    return fd;
}

void room_fill(struct torture *torture, struct torture_node *node)
{
    int fd = open_fill(torture, node, O_RDWR | O_CREAT);
    off_t step = FILL_STEP;
    struct stat stat;

    node->full = true;
    while (fd >= 0 && step >= 4096) {
        if (fstat(fd, &stat) != 0 || fallocate(fd, 0, stat.st_size, step) != 0)
            step /= 2;
    }
    if (fd >= 0)
        (void)close(fd);
}

void room_empty(struct torture *torture, struct torture_node *node)
{
    char path[TORTURE_PATH + 8];

    (void)snprintf(path, sizeof path, "%s/%s", node->disk, fill_name);
    if (unlink(path) != 0 && errno != ENOENT && !node->cut)
        torture_fail(torture, "%s: %s", path, strerror(errno));
    node->full = false;
}
