/* libFuzzer: any model, loaded and run twice on inputs that follow from it. */
#include "tests/fuzz/fuzzing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_load_and_run(data, size);
  return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed) {
  return fuzz_mutate_model(data, size, room, seed);
}
