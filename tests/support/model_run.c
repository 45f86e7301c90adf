#include "tests/support/model_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void check(norma_status status, const norma_error *error) {
  if (status != NORMA_OK) fail_msg("%s: %s", norma_status_text(status), error->message);
}

loaded_model load_model(const char *path, norma_optimization optimization, int threads,
                        const norma_allocator *allocator) {
  loaded_model loaded = {0};
  norma_error error;
  norma_runtime_options runtime_options = {.struct_size = sizeof runtime_options};
  runtime_options.threads = threads;
  if (allocator) runtime_options.allocator = *allocator;
  check(norma_runtime_create(&runtime_options, &loaded.runtime, &error), &error);
  norma_load_options load_options = {.struct_size = sizeof load_options};
  load_options.runtime = loaded.runtime;
  load_options.optimization = optimization;
  check(norma_model_load(path, &load_options, &loaded.model, &error), &error);
  check(norma_session_create(loaded.model, NULL, &loaded.session, &error), &error);
  return loaded;
}

void free_model(loaded_model *loaded) {
  norma_session_destroy(loaded->session);
  norma_model_destroy(loaded->model);
  norma_runtime_destroy(loaded->runtime);
}

float *make_pictures(int64_t count, unsigned seed) {
  float *pictures = malloc((size_t)count * PICTURE_ELEMENTS * sizeof *pictures);
  assert_non_null(pictures);
  uint32_t state = seed * 2654435761u + 1;
  for (int64_t i = 0; i < count * PICTURE_ELEMENTS; i++) {
    state = state * 1664525u + 1013904223u;
    pictures[i] = (float)(state >> 8) / 16777216.0f;
  }
  return pictures;
}

void set_pictures(norma_session *session, float *pictures, int64_t count) {
  norma_tensor tensor;
  norma_error error;
  int64_t dims[4] = {count, 1, 8, 8};
  assert_int_equal(norma_tensor_init(&tensor, NORMA_FLOAT, 4, dims, pictures), NORMA_OK);
  check(norma_session_set_input(session, NULL, &tensor, &error), &error);
}

const norma_tensor *run_model(norma_session *session) {
  norma_error error;
  check(norma_session_run(session, &error), &error);
  const norma_tensor *output = norma_value_tensor(norma_session_output(session, 0));
  assert_non_null(output);
  assert_int_equal(output->type, NORMA_FLOAT);
  return output;
}
