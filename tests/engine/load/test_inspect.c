/* Models that are only looked at: whatever this build lacks, and without reading more than needed. */
#include "tests/support/failing_allocations.h"
#include "tests/support/model_builder.h"
#include "tests/support/model_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static norma_status inspect(model_builder *b, bool keep, norma_runtime *runtime, norma_model **model,
                            norma_error *error) {
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  norma_load_options options = {
      .struct_size = sizeof options, .form = NORMA_FORM_INSPECT, .keep_constants = keep, .runtime = runtime};
  return norma_model_load_memory(bytes, size, &options, model, error);
}

static int output_rank(const norma_model *model, size_t index) {
  norma_value_info info;
  assert_int_equal(norma_model_output(model, index, &info), NORMA_OK);
  return info.rank;
}

/* Unknown operators, an invalid node, and an inner operator in the file: nothing is refused, the rest is inferred. */
static void nothing_is_refused(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  builder_import(b, "norma", 1);
  builder_input(b, "x", NORMA_FLOAT, 2, (int64_t[]){2, 3});
  builder_node(b, "NoSuchOperator", "x", "a");
  builder_named_node(b, "", "norma", "ElementwiseChain", "x", "b");
  builder_node(b, "Relu", "x", "c");
  node *bad = builder_node(b, "Transpose", "x", "d");
  builder_string(bad, "perm", "no list"); /* an attribute of the wrong kind */
  static const char *const names[] = {"a", "b", "c", "d"};
  for (int i = 0; i < 4; i++) builder_output(b, names[i], NORMA_FLOAT, -1, NULL);
  norma_model *model;
  norma_session *session;
  norma_error error;
  if (inspect(b, false, NULL, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  assert_int_equal(norma_model_output_count(model), 4);
  assert_int_equal(output_rank(model, 0), -1);
  assert_int_equal(output_rank(model, 1), -1);
  assert_int_equal(output_rank(model, 2), 2);
  assert_int_equal(output_rank(model, 3), -1);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_ERROR_ARGUMENT);
  assert_non_null(strstr(error.message, "looked at"));
  norma_model_destroy(model);
  builder_destroy(b);
}

static void expect_dims(const norma_model *model, const char *name, int rank, const int64_t *dims) {
  norma_graph_value_info info = {.struct_size = sizeof info};
  assert_int_equal(norma_graph_value_describe(norma_graph_find_value(norma_model_graph(model), name), &info), NORMA_OK);
  assert_int_equal(norma_type_rank(info.type), rank);
  for (int i = 0; i < rank; i++) assert_int_equal(norma_type_dims(info.type)[i], dims[i]);
}

/* A node that cannot be inferred with the given shapes keeps what the declared ones tell, and so does what follows from
 * it; all others follow the given shapes. A shape that contradicts the model is refused. */
static void one_failure_leaves_the_rest(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, (int64_t[]){-1, 4});
  builder_input(b, "w", NORMA_FLOAT, 2, (int64_t[]){2, 3});
  builder_node(b, "MatMul", "w x", "product");
  builder_node(b, "Relu", "product", "y");
  builder_node(b, "Relu", "x", "z");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  builder_output(b, "z", NORMA_FLOAT, -1, NULL);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  int64_t dims[] = {1, 4};
  norma_input_shape shape = {"x", 2, dims};
  norma_load_options options = {
      .struct_size = sizeof options, .form = NORMA_FORM_INSPECT, .input_shapes = &shape, .input_shape_count = 1};
  norma_model *model;
  norma_error error;
  if (norma_model_load_memory(bytes, size, &options, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  expect_dims(model, "product", 2, (int64_t[]){2, 4});
  expect_dims(model, "y", 2, (int64_t[]){2, 4});
  expect_dims(model, "z", 2, (int64_t[]){1, 4});
  norma_model_destroy(model);
  dims[1] = 5;
  assert_int_equal(norma_model_load_memory(bytes, size, &options, &model, &error), NORMA_ERROR_ARGUMENT);
  builder_destroy(b);
}

/* Operators compute their required outputs without asking whether these are there: nothing is computed of a node that
 * lacks one, and what it has is described all the same. */
static void a_required_output_may_be_missing(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  builder_floats(b, "a", 1, (int64_t[]){3}, (const float[]){1, 3, 2});
  builder_ints64(b, "k", 1, (int64_t[]){1}, (const int64_t[]){2});
  static const char *const operators[] = {"Add", "Sqrt", "Transpose", "ReduceSum", "Softmax", "NonZero", "Shape"};
  for (int i = 0; i < 7; i++) builder_node(b, operators[i], i == 0 ? "a a" : "a", "-");
  builder_node(b, "TopK", "a k", "- indices");
  builder_output(b, "indices", NORMA_INT64, -1, NULL);
  norma_model *model;
  norma_error error;
  if (inspect(b, false, NULL, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  expect_dims(model, "indices", 1, (int64_t[]){2});
  norma_node_info info = {.struct_size = sizeof info};
  const norma_node *node = norma_graph_first_node(norma_model_graph(model));
  assert_int_equal(norma_node_describe(node, &info), NORMA_OK);
  assert_null(norma_node_output(node, 0)); /* as the file has it */
  norma_model_destroy(model);
  builder_destroy(b);
}

/* Broken bytes and broken models are refused as ever. */
static void what_is_no_model_is_refused(void **state) {
  (void)state;
  norma_model *model;
  norma_error error;
  norma_load_options options = {.struct_size = sizeof options, .form = NORMA_FORM_INSPECT};
  assert_int_equal(norma_model_load_memory("\xFF\xFF\xFF", 3, &options, &model, &error), NORMA_ERROR_FORMAT);
  model_builder *b = builder_create(17);
  builder_node(b, "Relu", "nobody", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  assert_int_equal(inspect(b, false, NULL, &model, &error), NORMA_ERROR_INVALID_MODEL);
  builder_destroy(b);
  options.form = (norma_graph_form)9;
  assert_int_equal(norma_model_load(DIGITS_BN, &options, &model, &error), NORMA_ERROR_ARGUMENT);
}

static const norma_value *contents_of(const norma_model *model, const char *name) {
  norma_graph_value_info info = {.struct_size = sizeof info};
  assert_int_equal(norma_graph_value_describe(norma_graph_find_value(norma_model_graph(model), name), &info), NORMA_OK);
  assert_true(info.is_constant && norma_type_rank(info.type) == 1);
  return info.contents;
}

/* Weights of 4 MiB are not read unless somebody wants them; small ones are. */
static void large_weights_are_read_on_demand(void **state) {
  (void)state;
  enum { COUNT = 1 << 20 };
  float *weights = malloc(COUNT * sizeof *weights);
  for (int i = 0; i < COUNT; i++) weights[i] = (float)i;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){COUNT});
  builder_floats(b, "large", 1, (int64_t[]){COUNT}, weights);
  builder_floats(b, "small", 1, (int64_t[]){1}, weights + 5);
  builder_node(b, "Add", "x large", "s");
  builder_node(b, "Add", "s small", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  for (int keep = 0; keep <= 1; keep++) {
    norma_runtime *runtime;
    norma_model *model;
    norma_error error;
    norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
    assert_int_equal(norma_runtime_create(&options, &runtime, &error), NORMA_OK);
    if (inspect(b, keep, runtime, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
    const norma_value *large = contents_of(model, "large"), *small = contents_of(model, "small");
    assert_true(*(const float *)norma_value_tensor(small)->data == 5);
    if (keep) {
      assert_true(((const float *)norma_value_tensor(large)->data)[COUNT - 1] == COUNT - 1);
    } else {
      assert_null(large);
      assert_true(norma_runtime_memory_peak(runtime) < COUNT);
    }
    norma_model_info info = {.struct_size = sizeof info};
    assert_int_equal(norma_model_describe(model, &info), NORMA_OK);
    assert_int_equal(info.parameter_bytes, COUNT * 4 + 4);
    norma_model_destroy(model);
    norma_runtime_destroy(runtime);
  }
  builder_destroy(b);
  free(weights);
}

/* Loads to look at, and frees. */
static norma_status look(void *context, const norma_allocator *allocator, norma_error *error) {
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .allocator = *allocator};
  norma_runtime *runtime = NULL;
  norma_model *model = NULL;
  norma_status status = norma_runtime_create(&options, &runtime, error);
  norma_load_options load = {.struct_size = sizeof load, .form = NORMA_FORM_INSPECT, .runtime = runtime};
  if (status == NORMA_OK) status = norma_model_load(context, &load, &model, error);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  return status;
}

/* Lack of memory is no reason to think that the build lacks an operator. */
static void every_allocation_may_fail(void **state) {
  (void)state;
  assert_int_equal(fail_each_allocation(look, DIGITS_MLP), 0);
  assert_int_equal(fail_each_allocation(look, DIGITS_BN), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_is_refused),
      cmocka_unit_test(one_failure_leaves_the_rest),
      cmocka_unit_test(a_required_output_may_be_missing),
      cmocka_unit_test(what_is_no_model_is_refused),
      cmocka_unit_test(large_weights_are_read_on_demand),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
