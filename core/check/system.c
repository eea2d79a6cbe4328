/* SPDX-License-Identifier: Apache-2.0 */
/*
 * system.c - the system calls of a run. Symbols of the C library that make system calls are many, and a plugin may make
 * them without the C library; the kernel sees them all. Those about memory and locks are let pass, as is the kit's own
 * pipe; any other one is refused and noted.
 *
 * What this cannot see: the time-stamp counter and RDRAND, which are instructions, and a clock that is read through the
 * vDSO by code that does not go through the C library.
 */
#define _GNU_SOURCE
#include "core/check/watch.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#define RESULT(context) ((ucontext_t *)(context))->uc_mcontext.gregs[REG_RAX]
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#define RESULT(context) ((ucontext_t *)(context))->uc_mcontext.regs[0]
#endif

#ifdef ARCH
static const struct {
    int number;
    const char *name;
} names[] = {
#define CALL(name) {SYS_##name, #name "(2)"}
#ifdef SYS_open
    CALL(open), CALL(poll), CALL(time), CALL(fork), CALL(vfork), CALL(stat), CALL(unlink), CALL(mkdir), CALL(rename),
    CALL(select), CALL(epoll_wait),
#endif
    CALL(openat), CALL(read), CALL(write), CALL(writev), CALL(pread64), CALL(pwrite64), CALL(close), CALL(fsync),
    CALL(fdatasync), CALL(socket), CALL(connect), CALL(sendto), CALL(sendmsg), CALL(recvfrom), CALL(recvmsg),
    CALL(getrandom), CALL(clock_gettime), CALL(clock_nanosleep), CALL(nanosleep), CALL(gettimeofday), CALL(getpid),
    CALL(gettid), CALL(clone), CALL(execve), CALL(kill), CALL(tgkill), CALL(newfstatat), CALL(ioctl), CALL(uname),
    CALL(sysinfo), CALL(getuid), CALL(getcwd), CALL(ppoll), CALL(epoll_pwait), CALL(unlinkat), CALL(mkdirat),
#ifdef SYS_clone3
    CALL(clone3),
#endif
};

static void trapped(int number, siginfo_t *info, void *context)
{
    const char *name = "a system call";

    (void)number;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].number == info->si_syscall)
            name = names[i].name;
    watch_note(name);
    RESULT(context) = -EPERM;
}

#define FIELD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define ALLOW(call) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

bool watch_system_calls(int report)
{
    struct sock_filter filter[] = {
        FIELD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        FIELD(nr),
        ALLOW(mmap), ALLOW(munmap), ALLOW(mremap), ALLOW(brk), ALLOW(madvise), ALLOW(mprotect), ALLOW(futex),
        ALLOW(rt_sigreturn), ALLOW(rt_sigprocmask), ALLOW(exit), ALLOW(exit_group), ALLOW(sched_yield),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 0, 3),
        FIELD(args[0]),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)report, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_NODEFER};

    if (!watch_allocator() || sigaction(SIGSYS, &action, NULL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return false; /* a sanitizer's run time makes calls of its own */
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}
#else
bool watch_system_calls(int report)
{
    (void)report;
    return false;
}
#endif
