/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.h - which call of which plugin a thread is in, so that whoever looks from outside (a watchdog, a signal's
 * handler, an assertion) can name it.
 *
 * A thread that wants to be seen says once which place of the table it has. Entering a call is four plain stores and no
 * clock: who looks keeps the time. A thread without a place (a test, a simulator) stores nothing.
 */
#ifndef CORE_OS_CALL_H
#define CORE_OS_CALL_H

#include "core/os/os.h"

#include <stdatomic.h>

#define OS_CALL_LOOP OS_LANES /* the place of the loop's thread; each lane has its own number */
#define OS_CALL_PLACES (OS_LANES + 1)

/* The call at hand; all zero: none. Strings live as long as the process. */
struct os_call {
    const char *who;  /* "statemachine main (plugin counter 0.1.0)" */
    const char *what; /* "snapshot_next", or a command's name */
    uint32_t lane;    /* the lane that this operation belongs to: OS_LANE_..., or OS_CALL_LOOP */
    uint64_t began_ns; /* of what os_call_enter returned: when the call it entered began; 0: it is not measured */
};

struct os_call_place {
    _Atomic(const char *) who; /* NULL: in no call */
    _Atomic(const char *) what;
    _Atomic uint32_t lane;
    _Atomic uint64_t serial; /* of the call: another number, another call; 0 was never used */
    _Atomic uint64_t entered; /* calls */
};

extern struct os_call_place os_call_places[OS_CALL_PLACES];
extern _Thread_local struct os_call_place *os_call_here;

/*
 * The trace that what this thread logs belongs to at this moment; NULL: none. Whoever sets it puts back what was there
 * before its memory ends. A machine that logs in `run`, or a transport in `send`, need not know of traces.
 */
extern _Thread_local const struct gavel_trace *os_trace_here;

/* The name of a place: "apply", "loop". */
const char *os_call_lane_name(uint32_t place);

/* [any] This thread is the one of that place, from now on; OS_CALL_PLACES: of none. */
void os_call_thread(uint32_t place);

/* [any] The call at hand of this thread. */
static inline struct os_call os_call_now(void)
{
    struct os_call_place *here = os_call_here;

    if (!here)
        return (struct os_call){.who = NULL};
    return (struct os_call){.who = atomic_load_explicit(&here->who, memory_order_relaxed),
                            .what = atomic_load_explicit(&here->what, memory_order_relaxed),
                            .lane = atomic_load_explicit(&here->lane, memory_order_relaxed)};
}

/*
 * Whoever wants to know how long calls take: one of every OS_CALL_MEASURED of each thread is measured, for a clock at
 * each would cost more than most calls. NULL: nobody.
 */
#define OS_CALL_MEASURED 64 /* a power of two */
extern void (*_Atomic os_call_meter)(const char *who, const char *what, uint64_t ns);
uint64_t os_call_clock(void);
void os_call_measured(const char *who, const char *what, uint64_t began_ns);

/* [any] Make `call` the one at hand. */
static inline void os_call_set(struct os_call call)
{
    struct os_call_place *here = os_call_here;

    if (!here)
        return;
    if (call.began_ns)
        os_call_measured(atomic_load_explicit(&here->who, memory_order_relaxed),
                         atomic_load_explicit(&here->what, memory_order_relaxed), call.began_ns);
    atomic_store_explicit(&here->what, call.what, memory_order_relaxed);
    atomic_store_explicit(&here->lane, call.lane, memory_order_relaxed);
    atomic_store_explicit(&here->who, call.who, memory_order_relaxed);
    atomic_store_explicit(&here->serial, atomic_load_explicit(&here->serial, memory_order_relaxed) + 1,
                          memory_order_release);
}

/* [any] Enter a call; what it returns is given to os_call_set when the call has returned. */
static inline struct os_call os_call_enter(const char *who, const char *what, uint32_t lane)
{
    struct os_call_place *here = os_call_here;
    struct os_call before = os_call_now();

    os_call_set((struct os_call){.who = who, .what = what, .lane = lane});
    if (here && atomic_load_explicit(&here->entered, memory_order_relaxed) % OS_CALL_MEASURED == 0 &&
        atomic_load_explicit(&os_call_meter, memory_order_relaxed))
        before.began_ns = os_call_clock();
    if (here)
        atomic_store_explicit(&here->entered, atomic_load_explicit(&here->entered, memory_order_relaxed) + 1,
                              memory_order_relaxed);
    return before;
}

/*
 * [any] A plugin broke a rule that nothing can go on from: say "PREFIX WHO, in WHAT: SENTENCE" on stderr, directly, and
 * abort. `who` and `what` may be NULL: those of the call at hand.
 */
_Noreturn void os_call_blame(const char *who, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "gaveld: [node-1] ", before what os_call_blame says; copied. */
void os_call_prefix(const char *prefix);
const char *os_call_prefixed(void);

/* Whether os_call_blame has spoken: the signal that follows needs no second sentence. */
bool os_call_blamed(void);

/* ---- guard words ------------------------------------------------------------------------------------------------- */

#define OS_GUARD_WORD UINT64_C(0x5fc1a7e93bd2068d) /* no pointer, no small number, no text */

#endif
