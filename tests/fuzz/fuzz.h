/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h - fuzz targets have libFuzzer's entry point. With clang they become fuzzers (see tests/fuzz/Module.am);
 * in every build they are linked with replay.c, and make check runs them over the corpus and over random changes of it.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* One input; returns 0. Whatever is wrong aborts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
