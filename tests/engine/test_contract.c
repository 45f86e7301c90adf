/* The operator contract through whole models: shapes that depend on data, subgraphs, sequences, operators from
 * outside. */
#include "tests/support/counting_allocator.h"
#include "tests/support/model_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct engine {
  counting_allocator counting;
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  norma_error error;
} engine;

static void engine_open(engine *engine) {
  memset(engine, 0, sizeof *engine);
  norma_runtime_options options = {.struct_size = sizeof options};
  options.allocator = counting_allocator_functions(&engine->counting);
  options.threads = 2;
  assert_int_equal(norma_runtime_create(&options, &engine->runtime, &engine->error), NORMA_OK);
}

static norma_status engine_load(engine *engine, model_builder *builder, norma_load_options options) {
  size_t size;
  const void *bytes = builder_bytes(builder, &size);
  options.struct_size = sizeof options;
  options.runtime = engine->runtime;
  norma_status status = norma_model_load_memory(bytes, size, &options, &engine->model, &engine->error);
  builder_destroy(builder);
  return status;
}

static void engine_start(engine *engine, model_builder *builder, norma_optimization optimization) {
  norma_load_options options = {.optimization = optimization};
  if (engine_load(engine, builder, options) != NORMA_OK) fail_msg("%s", engine->error.message);
  norma_status status = norma_session_create(engine->model, NULL, &engine->session, &engine->error);
  if (status != NORMA_OK) fail_msg("%s", engine->error.message);
}

static void engine_close(engine *engine) {
  norma_session_destroy(engine->session);
  norma_model_destroy(engine->model);
  norma_runtime_destroy(engine->runtime);
  assert_int_equal(atomic_load(&engine->counting.outstanding), 0);
}

static void set_input(engine *engine, const char *name, norma_element_type type, int rank, const int64_t *dims,
                      const void *data) {
  norma_tensor tensor;
  assert_int_equal(norma_tensor_init(&tensor, type, rank, dims, (void *)(uintptr_t)data), NORMA_OK);
  norma_status status = norma_session_set_input(engine->session, name, &tensor, &engine->error);
  if (status != NORMA_OK) fail_msg("%s", engine->error.message);
}

static const norma_tensor *run(engine *engine, size_t output) {
  norma_status status = norma_session_run(engine->session, &engine->error);
  if (status != NORMA_OK) fail_msg("%s", engine->error.message);
  return norma_value_tensor(norma_session_output(engine->session, output));
}

static const norma_optimization levels[] = {NORMA_OPTIMIZE_NONE, NORMA_OPTIMIZE_FULL};

/* --------------------------------------------------------------------------------------- shapes that depend on data */

static void shape_from_data(void **state) {
  (void)state;
  for (size_t l = 0; l < 2; l++) {
    engine engine;
    engine_open(&engine);
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){-1});
    builder_node(b, "NonZero", "x", "where");
    builder_ints64(b, "flat", 1, (int64_t[]){1}, (int64_t[]){-1});
    builder_node(b, "Reshape", "where flat", "index");
    builder_node(b, "Gather", "x index", "kept");
    builder_node(b, "Neg", "kept", "y");
    builder_output(b, "y", NORMA_FLOAT, 1, (int64_t[]){-1});
    engine_start(&engine, b, levels[l]);
    static const float inputs[3][4] = {{0, 2, 0, 3}, {0, 0, 0, 0}, {1, 2, 3, 4}};
    static const float expected[3][4] = {{-2, -3}, {0}, {-1, -2, -3, -4}};
    static const int64_t counts[3] = {2, 0, 4};
    for (int i = 0; i < 6; i++) {
      set_input(&engine, "x", NORMA_FLOAT, 1, (int64_t[]){4}, inputs[i % 3]);
      const norma_tensor *y = run(&engine, 0);
      assert_false(norma_session_is_static(engine.session));
      assert_int_equal(y->rank, 1);
      assert_int_equal(y->dims[0], counts[i % 3]);
      assert_memory_equal(y->data, expected[i % 3], (size_t)counts[i % 3] * sizeof(float));
    }
    engine_close(&engine);
  }
}

/* Shape arithmetic comes out as numbers while planning, so the plan is static though the batch is not known at load. */
static void shape_arithmetic_is_planned(void **state) {
  (void)state;
  engine engine;
  engine_open(&engine);
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 3, (int64_t[]){-1, 2, 3});
  builder_ints64(b, "zero", 0, NULL, (int64_t[]){0});
  builder_ints64(b, "axis", 1, (int64_t[]){1}, (int64_t[]){0});
  builder_ints64(b, "rest", 1, (int64_t[]){1}, (int64_t[]){-1});
  builder_node(b, "Shape", "x", "shape");
  builder_node(b, "Gather", "shape zero", "batch");
  builder_node(b, "Unsqueeze", "batch axis", "batch1");
  builder_int(builder_node(b, "Concat", "batch1 rest", "target"), "axis", 0);
  builder_node(b, "Reshape", "x target", "y");
  builder_output(b, "y", NORMA_FLOAT, 2, (int64_t[]){-1, -1});
  engine_start(&engine, b, NORMA_OPTIMIZE_FULL);
  float x[5 * 6];
  for (int i = 0; i < 30; i++) x[i] = (float)i;
  for (int64_t batch = 1; batch <= 5; batch += 2) {
    set_input(&engine, "x", NORMA_FLOAT, 3, (int64_t[]){batch, 2, 3}, x);
    const norma_tensor *y = run(&engine, 0);
    assert_true(norma_session_is_static(engine.session));
    assert_int_equal(y->dims[0], batch);
    assert_int_equal(y->dims[1], 6);
    assert_memory_equal(y->data, x, (size_t)batch * 6 * sizeof(float));
    assert_ptr_not_equal(y->data, x); /* an output must not be the caller's input */
  }
  engine_close(&engine);
}

/* -------------------------------------------------------------------------------------------------------- subgraphs */

/* if (c) y = x + x else y = -k, where x is an outer input and k an outer intermediate. */
static void branches_read_outer_values(void **state) {
  (void)state;
  for (size_t l = 0; l < 2; l++) {
    engine engine;
    engine_open(&engine);
    model_builder *b = builder_create(13);
    builder_input(b, "c", NORMA_BOOL, 0, NULL);
    builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){-1});
    builder_node(b, "Mul", "x x", "k");
    node *branch = builder_node(b, "If", "c", "y0");
    model_builder *then_branch = builder_subgraph(b, branch, "then_branch");
    builder_node(then_branch, "Add", "x x", "then_y");
    builder_output(then_branch, "then_y", NORMA_FLOAT, 1, (int64_t[]){-1});
    model_builder *else_branch = builder_subgraph(b, branch, "else_branch");
    builder_node(else_branch, "Neg", "k", "else_y");
    builder_output(else_branch, "else_y", NORMA_FLOAT, 1, (int64_t[]){-1});
    builder_node(b, "Abs", "y0", "y");
    builder_output(b, "y", NORMA_FLOAT, 1, (int64_t[]){-1});
    engine_start(&engine, b, levels[l]);
    static const float x[3] = {1, -2, 3}, sum[3] = {2, 4, 6}, square[3] = {1, 4, 9};
    for (int i = 0; i < 6; i++) {
      bool condition = i % 2;
      int64_t count = 1 + i % 3;
      set_input(&engine, "c", NORMA_BOOL, 0, NULL, &condition);
      set_input(&engine, "x", NORMA_FLOAT, 1, &count, x);
      const norma_tensor *y = run(&engine, 0);
      assert_int_equal(y->dims[0], count);
      assert_memory_equal(y->data, condition ? sum : square, (size_t)count * sizeof(float));
    }
    engine_close(&engine);
  }
}

static void sequences_share_tensors(void **state) {
  (void)state;
  for (size_t l = 0; l < 2; l++) {
    engine engine;
    engine_open(&engine);
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){2});
    builder_node(b, "SequenceEmpty", "", "s0");
    builder_node(b, "SequenceInsert", "s0 x", "s1");
    builder_node(b, "Neg", "x", "n");
    builder_node(b, "SequenceInsert", "s1 n", "s2");
    builder_ints64(b, "zero", 0, NULL, (int64_t[]){0});
    builder_node(b, "SequenceAt", "s2 zero", "first");
    builder_node(b, "SequenceLength", "s2", "length");
    builder_output(b, "first", NORMA_FLOAT, 1, (int64_t[]){2});
    builder_output(b, "length", NORMA_INT64, 0, NULL);
    static const value_info item = {.kind = NORMA_VALUE_TENSOR, .type = NORMA_FLOAT, .shape = {.rank = RANK_UNKNOWN}};
    builder_output_info(b, "s2", &(value_info){.kind = NORMA_VALUE_SEQUENCE, .item = &item});
    engine_start(&engine, b, levels[l]);
    for (int i = 0; i < 3; i++) {
      float x[2] = {(float)i, 5};
      set_input(&engine, "x", NORMA_FLOAT, 1, (int64_t[]){2}, x);
      assert_memory_equal(run(&engine, 0)->data, x, sizeof x);
      assert_int_equal(*(int64_t *)norma_value_tensor(norma_session_output(engine.session, 1))->data, 2);
      const norma_value *sequence = norma_session_output(engine.session, 2);
      assert_int_equal(norma_value_get_kind(sequence), NORMA_VALUE_SEQUENCE);
      assert_int_equal(norma_value_count(sequence), 2);
      const float *second = norma_value_tensor(norma_value_element(sequence, 1))->data;
      assert_true(second[1] == -5);
    }
    engine_close(&engine);
  }
}

/* ------------------------------------------------------------------------------------------- operators from outside */

static norma_status scale_infer(norma_infer_context *context, void *user) {
  (void)user;
  norma_element_type type;
  int rank;
  int64_t dims[NORMA_MAX_RANK];
  if (!norma_infer_input(context, 0, &type, &rank, dims)) return NORMA_ERROR_ARGUMENT;
  return norma_infer_set_output(context, 0, type, rank, dims);
}

static norma_status scale_compute(norma_run_context *context, void *user) {
  const norma_tensor *x = norma_run_input(context, 0);
  norma_tensor *y = norma_run_output(context, 0);
  float factor = norma_run_attribute_float(context, "factor", 1) * *(float *)user;
  for (int64_t i = 0; i < norma_tensor_count(x); i++) ((float *)y->data)[i] = ((float *)x->data)[i] * factor;
  return NORMA_OK;
}

/* Keeps positive elements: the shape is known only afterwards. */
static norma_status positive_infer(norma_infer_context *context, void *user) {
  (void)user;
  int64_t dims[1] = {-1};
  return norma_infer_set_output(context, 0, NORMA_FLOAT, 1, dims);
}

static norma_status positive_compute(norma_run_context *context, void *user) {
  (void)user;
  const norma_tensor *x = norma_run_input(context, 0);
  int64_t count = 0, all = norma_tensor_count(x);
  const float *values = x->data;
  for (int64_t i = 0; i < all; i++) {
    if (values[i] == 99) return norma_run_fail(context, "99 is not allowed");
    count += values[i] > 0;
  }
  norma_tensor *y = norma_run_allocate_output(context, 0, NORMA_FLOAT, 1, &count);
  if (!y) return NORMA_ERROR_OUT_OF_MEMORY;
  float *kept = y->data;
  for (int64_t i = 0; i < all; i++) {
    if (values[i] > 0) *kept++ = values[i];
  }
  return NORMA_OK;
}

static void operators_from_outside(void **state) {
  (void)state;
  float twice = 2;
  engine engine;
  engine_open(&engine);
  norma_custom_operator scale = {.struct_size = sizeof scale,
                                 .domain = "test.house",
                                 .name = "Scale",
                                 .since_version = 1,
                                 .min_inputs = 1,
                                 .max_inputs = 1,
                                 .min_outputs = 1,
                                 .max_outputs = 1,
                                 .infer = scale_infer,
                                 .compute = scale_compute,
                                 .user = &twice};
  norma_custom_operator positive = scale;
  positive.name = "Positive";
  positive.infer = positive_infer;
  positive.compute = positive_compute;
  assert_int_equal(norma_runtime_register(engine.runtime, &scale, &engine.error), NORMA_OK);
  assert_int_equal(norma_runtime_register(engine.runtime, &positive, &engine.error), NORMA_OK);
  norma_custom_operator wrong = scale;
  wrong.domain = "ai.onnx";
  assert_int_equal(norma_runtime_register(engine.runtime, &wrong, &engine.error), NORMA_ERROR_ARGUMENT);

  model_builder *b = builder_create(13);
  builder_import(b, "test.house", 1);
  builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){4});
  builder_float(builder_named_node(b, "triple", "test.house", "Scale", "x", "scaled"), "factor", 1.5f);
  builder_named_node(b, "filter", "test.house", "Positive", "scaled", "kept");
  builder_node(b, "Neg", "kept", "y");
  builder_output(b, "y", NORMA_FLOAT, 1, (int64_t[]){-1});
  builder_output(b, "scaled", NORMA_FLOAT, 1, (int64_t[]){4});
  engine_start(&engine, b, NORMA_OPTIMIZE_FULL);
  for (int i = 0; i < 3; i++) {
    static const float x[4] = {1, -1, 2, -5}, scaled[4] = {3, -3, 6, -15}, y[2] = {-3, -6};
    set_input(&engine, "x", NORMA_FLOAT, 1, (int64_t[]){4}, x);
    const norma_tensor *kept = run(&engine, 0);
    assert_int_equal(kept->dims[0], 2);
    assert_memory_equal(kept->data, y, sizeof y);
    assert_memory_equal(norma_value_tensor(norma_session_output(engine.session, 1))->data, scaled, sizeof scaled);
  }
  static const float forbidden[4] = {33, 0, 0, 0};
  set_input(&engine, "x", NORMA_FLOAT, 1, (int64_t[]){4}, forbidden);
  assert_int_equal(norma_session_run(engine.session, &engine.error), NORMA_ERROR_RUN);
  assert_string_equal(engine.error.node, "filter");
  assert_string_equal(engine.error.message, "node 'filter' (Positive, test.house 1): 99 is not allowed");
  engine_close(&engine);
}

/* -------------------------------------------------------------------------------------------------- what is refused */

static void wrong_attributes_are_refused(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    engine engine;
    engine_open(&engine);
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 2, (int64_t[]){2, 3});
    node *node = builder_named_node(b, "join", "", "Concat", "x x", "y");
    if (i == 0) builder_int(node, "axes", 0);
    if (i == 1) builder_float(node, "axis", 0);
    if (i == 3) builder_int(node, "axis", 7);
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    static const char *const parts[] = {"no attribute 'axes'", "attribute 'axis' has kind 1, expected 2",
                                        "lacks the attribute 'axis'", "node 'join' (Concat, ai.onnx 13)"};
    norma_load_options options = {0};
    assert_int_equal(engine_load(&engine, b, options), NORMA_ERROR_INVALID_MODEL);
    if (!strstr(engine.error.message, parts[i])) fail_msg("'%s' lacks '%s'", engine.error.message, parts[i]);
    engine_close(&engine);
  }
}

/* One value may be two outputs, an input may be an output, and so may a constant. */
static void outputs_that_repeat(void **state) {
  (void)state;
  for (size_t l = 0; l < 2; l++) {
    engine engine;
    engine_open(&engine);
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){2});
    builder_floats(b, "k", 1, (int64_t[]){2}, (float[]){7, 8});
    builder_node(b, "Neg", "x", "y");
    builder_node(b, "Identity", "x", "same");
    static const char *const names[] = {"y", "y", "x", "k", "same"};
    for (int i = 0; i < 5; i++) builder_output(b, names[i], NORMA_FLOAT, 1, (int64_t[]){2});
    engine_start(&engine, b, levels[l]);
    static const float x[2] = {1, 2}, y[2] = {-1, -2}, k[2] = {7, 8};
    const float *expected[] = {y, y, x, k, x};
    set_input(&engine, "x", NORMA_FLOAT, 1, (int64_t[]){2}, x);
    for (size_t i = 0; i < 5; i++) assert_memory_equal(run(&engine, i)->data, expected[i], sizeof x);
    engine_close(&engine);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shape_from_data),
      cmocka_unit_test(shape_arithmetic_is_planned),
      cmocka_unit_test(branches_read_outer_values),
      cmocka_unit_test(sequences_share_tensors),
      cmocka_unit_test(operators_from_outside),
      cmocka_unit_test(wrong_attributes_are_refused),
      cmocka_unit_test(outputs_that_repeat),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
