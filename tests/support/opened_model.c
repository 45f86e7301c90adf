#include "tests/support/opened_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

const norma_optimization tested_levels[3] = {NORMA_OPTIMIZE_NONE, NORMA_OPTIMIZE_BASIC, NORMA_OPTIMIZE_FULL};

norma_status opened_try_load(opened_model *opened, model_builder *builder, norma_optimization level,
                             norma_runtime *runtime) {
  norma_load_options options = {.struct_size = sizeof options, .optimization = level, .runtime = runtime};
  size_t size;
  const void *bytes = builder_bytes(builder, &size);
  memset(opened, 0, sizeof *opened);
  norma_status status = norma_model_load_memory(bytes, size, &options, &opened->model, &opened->error);
  if (status != NORMA_OK) return status;
  return norma_session_create(opened->model, NULL, &opened->session, &opened->error);
}

opened_model opened_load(model_builder *builder, norma_optimization level) {
  opened_model opened;
  if (opened_try_load(&opened, builder, level, NULL) != NORMA_OK) fail_msg("%s", opened.error.message);
  return opened;
}

void opened_free(opened_model *opened) {
  norma_session_destroy(opened->session);
  norma_model_destroy(opened->model);
  opened->session = NULL;
  opened->model = NULL;
}

void opened_assert_refused(model_builder *builder, const char *text) {
  FOR_EACH_LEVEL(level) {
    opened_model opened;
    if (opened_try_load(&opened, builder, tested_levels[level], NULL) == NORMA_OK) {
      fail_msg("accepted, though \"%s\" was expected", text);
    }
    if (!strstr(opened.error.message, text)) {
      fail_msg("expected a message with \"%s\", got \"%s\"", text, opened.error.message);
    }
    opened_free(&opened);
  }
  builder_destroy(builder);
}

void opened_set(opened_model *opened, const char *name, norma_element_type type, int rank, const int64_t *dims,
                const void *data) {
  norma_tensor tensor;
  assert_int_equal(norma_tensor_init(&tensor, type, rank, dims, tensor_read_only(data)), NORMA_OK);
  if (norma_session_set_input(opened->session, name, &tensor, &opened->error) != NORMA_OK) {
    fail_msg("%s", opened->error.message);
  }
}

norma_status opened_try_run(opened_model *opened) {
  return norma_session_run(opened->session, &opened->error);
}

void opened_run(opened_model *opened) {
  if (opened_try_run(opened) != NORMA_OK) fail_msg("%s", opened->error.message);
}

void opened_assert_run_fails(opened_model *opened, norma_status status, const char *text) {
  assert_int_equal(opened_try_run(opened), status);
  if (!strstr(opened->error.message, text)) {
    fail_msg("expected a message with \"%s\", got \"%s\"", text, opened->error.message);
  }
}

const norma_tensor *opened_output(const opened_model *opened, size_t index) {
  const norma_tensor *tensor = norma_value_tensor(norma_session_output(opened->session, index));
  if (!tensor) fail_msg("output %zu is no tensor", index);
  return tensor;
}

void opened_assert_tensor(const norma_value *value, norma_element_type type, int rank, const int64_t *dims,
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

void opened_assert_floats(const opened_model *opened, size_t index, int rank, const int64_t *dims,
                          const double *elements) {
  opened_assert_tensor(norma_session_output(opened->session, index), NORMA_FLOAT, rank, dims, elements);
}
