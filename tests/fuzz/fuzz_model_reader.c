/* libFuzzer: any bytes as a model. Memory is budgeted, so that what runs out is the budget. */
#include "proto/model_reader.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  memory memory;
  norma_error error;
  norma_model model = {.memory = &memory};
  model_read_options options = {.max_nodes = 10000, .max_depth = 16};
  memory_init(&memory, NULL, (size_t)256 << 20);
  region_init(&model.region, &memory);
  norma_status status = model_read_memory(&model, data, size, &options, &error);
  if (status != NORMA_OK && error.status != status) abort();
  graph_release(model.graph);
  region_free(&model.region);
  if (atomic_load(&memory.used) != 0) abort();
  return 0;
}
