/* What every fuzz target gives: one function, in the shape that libFuzzer and OSS-Fuzz expect. A
 * target may allocate from fuzz_pool(), which is cleared before each input; it aborts (fuzz_must)
 * when a promise of the code under test is broken.
 *
 * Three ways to run one:
 * - `make check`: linked with replay_main.c, it walks its corpus t/fuzz/corpus/<x>/ and small
 *   variations of it; an empty corpus is a failure;
 * - `configure --enable-fuzz CC=clang`: linked with libFuzzer, run it on a copy of the corpus;
 * - OSS-Fuzz: the same with LIB_FUZZING_ENGINE in the environment of configure.
 */
#ifndef T_FUZZ_FUZZ_H
#define T_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <apr_pools.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A pool that is empty at the first call for an input. */
apr_pool_t *fuzz_pool(void);

#define fuzz_must(condition) fuzz_check((condition), #condition, __FILE__, __LINE__)
void fuzz_check(int holds, const char *what, const char *file, int line);

#endif
