/* libFuzzer: any model, loaded at each level, to be looked at and to be written. */
#include "tests/fuzz/fuzzing.h"
#include "tests/fuzz/inspector.h"

static bool count_bytes(void *context, const void *bytes, size_t count) {
  (void)bytes;
  *(size_t *)context += count;
  return true;
}

static void load(norma_runtime *runtime, const uint8_t *data, size_t size, norma_optimization level,
                 norma_graph_form form) {
  norma_load_options options = {.struct_size = sizeof options, .runtime = runtime, .optimization = level, .form = form};
  norma_model *model;
  norma_error error;
  const norma_status status = norma_model_load_memory(data, size, &options, &model, &error);
  fuzz_check(status, &error);
  if (status == NORMA_OK && form != NORMA_FORM_RUN) {
    size_t written = 0;
    fuzz_check(norma_model_write(model, data, size, &options, count_bytes, &written, NULL, &error), &error);
  }
  norma_model_destroy(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  norma_runtime *runtime = fuzz_runtime(1, NULL);
  norma_error error;
  load(runtime, data, size, NORMA_OPTIMIZE_NONE, NORMA_FORM_RUN);
  load(runtime, data, size, NORMA_OPTIMIZE_FULL, NORMA_FORM_RUN);
  load(runtime, data, size, NORMA_OPTIMIZE_FULL, NORMA_FORM_OPTIMIZED);
  fuzz_check(inspect_bytes(runtime, data, size, true, &error), &error);
  fuzz_end(runtime);
  return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed) {
  return fuzz_mutate_model(data, size, room, seed);
}
