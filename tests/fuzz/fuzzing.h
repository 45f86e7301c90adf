/* What the libFuzzer targets have in common: budgets, runs of any model, and structure-aware mutation. */
#ifndef TESTS_FUZZ_FUZZING_H
#define TESTS_FUZZ_FUZZING_H

#include "engine/norma.h"

#define FUZZ_MEMORY ((size_t)256 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room); /* libFuzzer's own */

/* A runtime within FUZZ_MEMORY, of a kernel table (NULL: the best). */
norma_runtime *fuzz_runtime(int threads, const char *kernels);
/* Ends the program where memory is still held. */
void fuzz_end(norma_runtime *runtime);

/* Ends the program unless the error is what a caller may expect: of that status, with a message, and no defect. */
void fuzz_check(norma_status status, const norma_error *error);

/* Sets an input that follows from `seed` wherever the model asks for one, and runs for at most half a second. The
 * values, input_count many from malloc, are to be destroyed once they are not bound any more. */
norma_status fuzz_run(norma_session *session, const norma_model *model, norma_runtime *runtime, uint64_t seed,
                      norma_error *error);

/* Loads the bytes at a level that follows from them, and runs what loads. */
void fuzz_load_and_run(const uint8_t *data, size_t size);

/* A custom mutator for bytes that are a model: mostly a mutation of its messages, else one of bytes. */
size_t fuzz_mutate_model(uint8_t *data, size_t size, size_t room, unsigned seed);

/* FNV-1a. */
uint64_t fuzz_hash(const uint8_t *data, size_t size);

#endif
