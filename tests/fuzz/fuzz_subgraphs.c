/* libFuzzer: models with functions and with graphs below nodes, loaded, looked at and run. The corpus makes it what it
 * is: see corpus.sh. */
#include "tests/fuzz/fuzzing.h"
#include "tests/fuzz/inspector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  norma_runtime *runtime = fuzz_runtime(1, NULL);
  norma_error error;
  fuzz_check(inspect_bytes(runtime, data, size, false, &error), &error);
  fuzz_end(runtime);
  fuzz_load_and_run(data, size);
  return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed) {
  return fuzz_mutate_model(data, size, room, seed);
}
