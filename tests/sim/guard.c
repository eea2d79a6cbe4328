/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.c - functions of the C library that this program defines itself, so that everything linked into it meets these
 * first. While the guard is off they pass the call on to the next definition, a sanitizer's or the library's.
 */
#define _GNU_SOURCE
#include "guard.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static struct sim *guarded;

void guard_on(struct sim *sim)
{
    guarded = sim;
}

void guard_off(void)
{
    guarded = NULL;
}

static void forbidden(const char *name)
{
    struct sim *sim = guarded;

    if (!sim)
        return;
    guarded = NULL;
    sim_fail(sim, "determinism", "the code that ships called %s", name);
}

/* The next definition of a function; kept, since looking it up takes long and may allocate. */
#define NEXT(type, name)                                                                                            \
    static type *next;                                                                                              \
    forbidden(#name);                                                                                               \
    if (!next) {                                                                                                    \
        void *found = dlsym(RTLD_NEXT, #name);                                                                      \
        memcpy(&next, &found, sizeof next);                                                                         \
    }

typedef int clock_gettime_function(clockid_t clock, struct timespec *at);
typedef int gettimeofday_function(struct timeval *at, void *zone);
typedef time_t time_function(time_t *at);
typedef ssize_t getrandom_function(void *bytes, size_t size, unsigned flags);
typedef int getentropy_function(void *bytes, size_t size);
typedef int open_function(const char *path, int flags, ...);
typedef int openat_function(int directory, const char *path, int flags, ...);
typedef FILE *fopen_function(const char *path, const char *mode);
typedef int socket_function(int domain, int type, int protocol);
typedef int rand_function(void);
typedef int rand_r_function(unsigned *seed);
typedef long random_function(void);
typedef double drand48_function(void);
typedef long lrand48_function(void);
typedef uint32_t arc4random_function(void);
typedef void arc4random_buf_function(void *bytes, size_t size);
typedef uint32_t arc4random_uniform_function(uint32_t bound);
typedef int timespec_get_function(struct timespec *at, int base);
typedef int nanosleep_function(const struct timespec *wait, struct timespec *left);
typedef int clock_nanosleep_function(clockid_t clock, int flags, const struct timespec *wait, struct timespec *left);
typedef int usleep_function(useconds_t wait);
typedef unsigned sleep_function(unsigned wait);
typedef clock_t clock_function(void);
typedef int thrd_create_function(thrd_t *thread, thrd_start_t run, void *argument);
typedef pid_t fork_function(void);
typedef int pthread_create_function(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                                    void *argument);

int clock_gettime(clockid_t clock, struct timespec *at)
{
    NEXT(clock_gettime_function, clock_gettime)
    return next(clock, at);
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
    NEXT(gettimeofday_function, gettimeofday)
    return next(at, zone);
}

time_t time(time_t *at)
{
    NEXT(time_function, time)
    return next(at);
}

ssize_t getrandom(void *bytes, size_t size, unsigned flags)
{
    NEXT(getrandom_function, getrandom)
    return next(bytes, size, flags);
}

int getentropy(void *bytes, size_t size)
{
    NEXT(getentropy_function, getentropy)
    return next(bytes, size);
}

int rand(void)
{
    NEXT(rand_function, rand)
    return next();
}

long random(void)
{
    NEXT(random_function, random)
    return next();
}

int rand_r(unsigned *seed)
{
    NEXT(rand_r_function, rand_r)
    return next(seed);
}

double drand48(void)
{
    NEXT(drand48_function, drand48)
    return next();
}

long lrand48(void)
{
    NEXT(lrand48_function, lrand48)
    return next();
}

uint32_t arc4random(void)
{
    NEXT(arc4random_function, arc4random)
    return next();
}

void arc4random_buf(void *bytes, size_t size)
{
    NEXT(arc4random_buf_function, arc4random_buf)
    next(bytes, size);
}

uint32_t arc4random_uniform(uint32_t bound)
{
    NEXT(arc4random_uniform_function, arc4random_uniform)
    return next(bound);
}

int timespec_get(struct timespec *at, int base)
{
    NEXT(timespec_get_function, timespec_get)
    return next(at, base);
}

clock_t clock(void)
{
    NEXT(clock_function, clock)
    return next();
}

/* In parentheses: these are no calls, which tests/style looks for. */
int (nanosleep)(const struct timespec *wait, struct timespec *left)
{
    NEXT(nanosleep_function, nanosleep)
    return next(wait, left);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *wait, struct timespec *left)
{
    NEXT(clock_nanosleep_function, clock_nanosleep)
    return next(clock, flags, wait, left);
}

int (usleep)(useconds_t wait)
{
    NEXT(usleep_function, usleep)
    return next(wait);
}

unsigned (sleep)(unsigned wait)
{
    NEXT(sleep_function, sleep)
    return next(wait);
}

int socket(int domain, int type, int protocol)
{
    NEXT(socket_function, socket)
    return next(domain, type, protocol);
}

FILE *fopen(const char *restrict path, const char *restrict mode)
{
    NEXT(fopen_function, fopen)
    return next(path, mode);
}

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes, void *(*run)(void *),
                   void *restrict argument)
{
    NEXT(pthread_create_function, pthread_create)
    return next(thread, attributes, run, argument);
}

int thrd_create(thrd_t *thread, thrd_start_t run, void *argument)
{
    NEXT(thrd_create_function, thrd_create)
    return next(thread, run, argument);
}

pid_t fork(void)
{
    NEXT(fork_function, fork)
    return next();
}

/* The mode is there or not; passing on what may be nothing harms nobody. */
static int mode_of(int flags, va_list arguments)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, int) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    int mode;

    NEXT(open_function, open)
    va_start(arguments, flags);
    mode = mode_of(flags, arguments);
    va_end(arguments);
    return next(path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...)
{
    va_list arguments;
    int mode;

    NEXT(openat_function, openat)
    va_start(arguments, flags);
    mode = mode_of(flags, arguments);
    va_end(arguments);
    return next(directory, path, flags, mode);
}

/* A sanitizer reads the environment before dlsym works: these need no next. */
static char *look_up(const char *name)
{
    size_t size = strlen(name);

    for (char **at = environ; at && *at; at++)
        if (strncmp(*at, name, size) == 0 && (*at)[size] == '=')
            return *at + size + 1;
    return NULL;
}

char *getenv(const char *name)
{
    forbidden("getenv");
    return look_up(name);
}

char *secure_getenv(const char *name)
{
    forbidden("secure_getenv");
    return look_up(name);
}
