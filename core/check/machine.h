/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h - the checks of a state machine. Each is the body of one child process.
 */
#ifndef CORE_CHECK_MACHINE_H
#define CORE_CHECK_MACHINE_H

/* Two instances in two processes, with other addresses, clocks and environments, after every entry the same. */
void machine_determinism(void);
/* The second process of it: writes an outcome for each entry to stdout. The exit code. */
int machine_twin(void);

/* A read changes nothing; a write that fails changes nothing. */
void machine_reads(void);
/* run neither reads a clock nor draws a number nor makes a system call. */
void machine_purity(void);
/* Snapshot, restore, compare, after every entry. */
void machine_snapshots(void);
/* Restore and replay end where the original is. */
void machine_restart(void);
/* A snapshot that is let go of half-way; with GAVEL_CONCURRENT one that is taken while commands run. */
void machine_interleaving(void);
/* Damaged snapshots are refused, or taken, but never crash, and a good one goes in after them. */
void machine_damage(void);
/* Other replicated options at an index, and a later instance that is only told what is in force. */
void machine_settings(void);
/* An upgrade of the state version at an index, from each version to the next. */
void machine_versions(void);
/* Every allocation fails once. */
void machine_memory(void);
/* What maintain asks for is a command of the machine's, and the same on every node. */
void machine_maintain(void);
/* A life leaves nothing behind; also for the other kinds. */
void machine_leaks(void);

#endif
