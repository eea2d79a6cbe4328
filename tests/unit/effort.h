/* SPDX-License-Identifier: Apache-2.0 */
/*
 * effort.h - how often a test of random cases tries: under a sanitizer, where each case takes ten times as long and
 * shows more, a part of what the normal build does, so that no single test takes minutes on a busy machine.
 */
#ifndef TESTS_UNIT_EFFORT_H
#define TESTS_UNIT_EFFORT_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EFFORT(normal, sanitized) (sanitized)
#else
#define EFFORT(normal, sanitized) (normal)
#endif

#endif
