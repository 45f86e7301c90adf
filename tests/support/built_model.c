#include "tests/support/built_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

const norma_optimization built_levels[3] = {NORMA_OPTIMIZE_NONE, NORMA_OPTIMIZE_BASIC, NORMA_OPTIMIZE_FULL};

norma_status built_try_load(built_model *built, model_builder *builder, norma_optimization level,
                            norma_runtime *runtime) {
  norma_load_options options = {.struct_size = sizeof options, .optimization = level, .runtime = runtime};
  size_t size;
  const void *bytes = builder_bytes(builder, &size);
  memset(built, 0, sizeof *built);
  norma_status status = norma_model_load_memory(bytes, size, &options, &built->model, &built->error);
  if (status != NORMA_OK) return status;
  return norma_session_create(built->model, NULL, &built->session, &built->error);
}

built_model built_load(model_builder *builder, norma_optimization level) {
  built_model built;
  if (built_try_load(&built, builder, level, NULL) != NORMA_OK) fail_msg("%s", built.error.message);
  return built;
}

void built_free(built_model *built) {
  norma_session_destroy(built->session);
  norma_model_destroy(built->model);
  built->session = NULL;
  built->model = NULL;
}

void built_assert_refused(model_builder *builder, const char *text) {
  FOR_EACH_BUILT_LEVEL(level) {
    built_model built;
    if (built_try_load(&built, builder, built_levels[level], NULL) == NORMA_OK) {
      fail_msg("accepted, though \"%s\" was expected", text);
    }
    if (!strstr(built.error.message, text)) {
      fail_msg("expected a message with \"%s\", got \"%s\"", text, built.error.message);
    }
    built_free(&built);
  }
  builder_destroy(builder);
}

void built_set(built_model *built, const char *name, norma_element_type type, int rank, const int64_t *dims,
               const void *data) {
  norma_tensor tensor;
  assert_int_equal(norma_tensor_init(&tensor, type, rank, dims, (void *)(uintptr_t)data), NORMA_OK);
  if (norma_session_set_input(built->session, name, &tensor, &built->error) != NORMA_OK) {
    fail_msg("%s", built->error.message);
  }
}

norma_status built_try_run(built_model *built) {
  return norma_session_run(built->session, &built->error);
}

void built_run(built_model *built) {
  if (built_try_run(built) != NORMA_OK) fail_msg("%s", built->error.message);
}

void built_assert_run_fails(built_model *built, norma_status status, const char *text) {
  assert_int_equal(built_try_run(built), status);
  if (!strstr(built->error.message, text)) {
    fail_msg("expected a message with \"%s\", got \"%s\"", text, built->error.message);
  }
}

const norma_tensor *built_output(const built_model *built, size_t index) {
  const norma_tensor *tensor = norma_value_tensor(norma_session_output(built->session, index));
  if (!tensor) fail_msg("output %zu is no tensor", index);
  return tensor;
}

void built_assert_tensor(const norma_value *value, norma_element_type type, int rank, const int64_t *dims,
                         const double *elements) {
  const norma_tensor *tensor = norma_value_tensor(value);
  assert_non_null(tensor);
  assert_int_equal(tensor->type, type);
  struct shape expected = shape_make(rank, dims), found = shape_of_tensor(tensor);
  if (!shape_equal(&expected, &found)) {
    char a[200], b[200];
    fail_msg("expected shape %s, got %s", shape_text(&expected, a, sizeof a), shape_text(&found, b, sizeof b));
  }
  for (int64_t i = 0; i < norma_tensor_count(tensor); i++) {
    const double got = element_get_double(type, tensor->data, i);
    if (got != elements[i] && !(isnan(got) && isnan(elements[i]))) {
      fail_msg("element %d: expected %g, got %g", (int)i, elements[i], got);
    }
  }
}

void built_assert_floats(const built_model *built, size_t index, int rank, const int64_t *dims,
                         const double *elements) {
  built_assert_tensor(norma_session_output(built->session, index), NORMA_FLOAT, rank, dims, elements);
}
