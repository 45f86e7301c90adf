/* Nodes on constants are evaluated while the model is loaded: which ones, and what stays for the sake of memory, time
 * and truth. All exact, since the same code runs. */
#include "tests/engine/passes/pass_check.h"

#include "engine/execute/runtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define PASS      "constant_folding"

static model_builder *start(int opset) {
  model_builder *b = builder_create(opset);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 3, 4));
  return b;
}

static void expect(model_builder *b, int count) {
  expect_nodes(b, PASS, 0, count);
}

/* --------------------------------------------------------------------------------------------------- what is folded */

/* The sketch of the pass: the shape of constant weights, and the weights in that shape. */
static void shape_and_reshape_of_weights_fold(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(1, 3, 5, 5));
  add_random(b, "v", NORMA_FLOAT, 2, DIMS(4, 12), -1, 1);
  add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 3, 2, 2), -1, 1);
  builder_node(b, "Shape", "w", "shape");
  builder_node(b, "Reshape", "v shape", "r");
  builder_node(b, "Conv", "x r", "y");
  checked c = check_nodes(b, PASS, 0, 1);
  const node *conv = only_node(&c, "Conv");
  assert_non_null(conv->inputs[1]->constant);
  assert_string_equal(conv->inputs[1]->name, "r");
  assert_int_equal(conv->inputs[1]->info.shape.rank, 4);
  free_checked(&c);
}

static void chains_of_nodes_fold(void **state) {
  (void)state;
  model_builder *b = start(13);
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(3, 4), -1, 1);
  builder_node(b, "Neg", "w", "n");
  builder_node(b, "Exp", "n", "e");
  builder_node(b, "Mul", "e w", "m");
  builder_node(b, "Add", "x m", "y");
  checked c = check_nodes(b, PASS, 0, 1);
  const node *add = only_node(&c, "Add");
  assert_int_equal(add->inputs[1]->info.type, NORMA_FLOAT);
  assert_null(add->inputs[1]->producer);
  assert_null(graph_find_value(c.model->graph, "w")->constant); /* nobody reads it any more */
  assert_null(graph_find_value(c.model->graph, "n")->constant);
  free_checked(&c);
}

static void constant_nodes_fold(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_tensor(builder_node(b, "Constant", "", "w"), "value", NORMA_FLOAT, 1, DIMS(4), (float[]){1, 2, 3, 4});
  builder_node(b, "Add", "x w", "y");
  expect(b, 1);
}

static void constant_outputs_keep_their_names(void **state) {
  (void)state;
  model_builder *b = start(13);
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(3, 4), -1, 1);
  builder_node(b, "Neg", "w", "y");
  builder_node(b, "Relu", "x", "z");
  builder_output(b, "z", NORMA_UNDEFINED, -1, NULL);
  expect(b, 1);
}

static void several_outputs_fold(void **state) {
  (void)state;
  model_builder *b = start(13);
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(3, 4), -1, 1);
  builder_int(builder_node(b, "Split", "w", "u v"), "axis", 1);
  builder_int(builder_node(b, "Concat", "v u", "c"), "axis", 1);
  builder_node(b, "Add", "x c", "y");
  expect(b, 1);
}

/* Constants of outer graphs count, in graphs below nodes too. */
static void folds_in_subgraphs(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(3, 4), -1, 1);
  node *branch = builder_node(b, "If", "choice", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    builder_node(inner, i ? "Neg" : "Exp", "w", "v");
    builder_node(inner, i ? "Add" : "Sub", "x v", "z");
    builder_output(inner, "z", NORMA_FLOAT, 3, DIMS(2, 3, 4));
  }
  expect(b, 3);
}

/* ----------------------------------------------------------------------------------------------------------- shapes */

static void shapes_that_are_known_fold(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_node(b, "Shape", "x", "s");
  builder_ints64(b, "turned", 1, DIMS(3), DIMS(2, 0, 1));
  builder_node(b, "Gather", "s turned", "t");
  builder_node(b, "Reshape", "x t", "y");
  expect(b, 1);

  b = start(13);
  builder_node(b, "Size", "x", "y");
  expect(b, 0);

  b = builder_create(15); /* the part that is asked for is known */
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(-1, 3, 4));
  builder_int(builder_node(b, "Shape", "x", "y"), "start", 1);
  expect(b, 0);
}

static void shapes_that_are_not_known_stay(void **state) {
  static const char *const op_types[] = {"Shape", "Size"};
  (void)state;
  for (int i = 0; i < 2; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 3, DIMS(-1, 3, 4));
    builder_node(b, op_types[i], "x", "y");
    expect(b, 1);
  }
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 3, 4));
  builder_ints64(b, "two", 1, DIMS(2), DIMS(4, -1));
  builder_node(b, "NonZero", "x", "n"); /* its shape depends on data */
  builder_node(b, "Shape", "n", "y");
  expect(b, 2);
}

/* --------------------------------------------------------------------------------------------- what is never folded */

/* An operator of the embedding program: y = x, counting its calls. */
static norma_status count_infer(norma_infer_context *context, void *user) {
  (void)user;
  norma_element_type type;
  int rank;
  int64_t dims[NORMA_MAX_RANK];
  if (!norma_infer_input(context, 0, &type, &rank, dims)) return NORMA_ERROR_ARGUMENT;
  return norma_infer_set_output(context, 0, type, rank, dims);
}

static norma_status count_compute(norma_run_context *context, void *user) {
  const norma_tensor *x = norma_run_input(context, 0);
  memcpy(norma_run_output(context, 0)->data, x->data, x->size_bytes);
  ++*(int *)user;
  return NORMA_OK;
}

/* Nothing is known of operators from outside: they may draw numbers, or keep count. So they run in each run, though
 * they read constants alone, and what follows from them is not folded either. */
static void operators_from_outside_stay(void **state) {
  (void)state;
  int calls = 0;
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  norma_error error;
  const norma_custom_operator counter = {.struct_size = sizeof counter,
                                         .domain = "test.house",
                                         .name = "Count",
                                         .since_version = 1,
                                         .min_inputs = 1,
                                         .max_inputs = 1,
                                         .min_outputs = 1,
                                         .max_outputs = 1,
                                         .infer = count_infer,
                                         .compute = count_compute,
                                         .user = &calls};
  assert_int_equal(norma_runtime_create(NULL, &runtime, &error), NORMA_OK);
  assert_int_equal(norma_runtime_register(runtime, &counter, &error), NORMA_OK);
  model_builder *b = start(13);
  builder_import(b, "test.house", 1);
  builder_floats(b, "w", 1, DIMS(4), (float[]){1, 2, 3, 4});
  builder_named_node(b, "counted", "test.house", "Count", "w", "c");
  builder_node(b, "Neg", "c", "n");
  builder_node(b, "Add", "x n", "y");
  builder_output(b, "y", NORMA_FLOAT, 3, DIMS(2, 3, 4));
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  norma_load_options options = {
      .struct_size = sizeof options, .runtime = runtime, .optimization = NORMA_OPTIMIZE_BASIC};
  if (norma_model_load_memory(bytes, size, &options, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  assert_int_equal(model->graph->node_count, 3);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  assert_int_equal(calls, 0);
  float zeros[24] = {0};
  norma_tensor x;
  norma_tensor_init(&x, NORMA_FLOAT, 3, DIMS(2, 3, 4), zeros);
  assert_int_equal(norma_session_set_input(session, "x", &x, &error), NORMA_OK);
  for (int run = 1; run <= 3; run++) {
    assert_int_equal(norma_session_run(session, &error), NORMA_OK);
    assert_int_equal(calls, run);
    assert_true(((const float *)norma_value_tensor(norma_session_output(session, 0))->data)[3] == -4);
  }
  norma_session_destroy(session);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  builder_destroy(b);
}

/* Dropout in training draws its mask, without a seed in each run another. */
static void draws_stay(void **state) {
  (void)state;
  model_builder *b = start(13);
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(3, 4), -1, 1);
  add_number(b, "ratio", NORMA_FLOAT, 0.5);
  builder_initializer(b, "training", NORMA_BOOL, 0, NULL, &(bool){true});
  builder_int(builder_node(b, "Dropout", "w ratio training", "d"), "seed", 7);
  builder_node(b, "Add", "x d", "y");
  expect(b, 2);
}

static void nodes_with_graphs_stay(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_initializer(b, "choice", NORMA_BOOL, 0, NULL, &(bool){true});
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(3, 4), -1, 1);
  node *branch = builder_node(b, "If", "choice", "i");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    builder_node(inner, i ? "Neg" : "Exp", "w", "z");
    builder_output(inner, "z", NORMA_FLOAT, 2, DIMS(3, 4));
  }
  builder_node(b, "Add", "x i", "y");
  expect(b, 2); /* If and Add; what stands in the branches is folded */
}

/* A node that cannot be evaluated is left to the run, which may never come to it. */
static void failing_nodes_stay(void **state) {
  (void)state;
  model_builder *b = start(13);
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  builder_ints64(b, "zero", 0, NULL, DIMS(0));
  builder_ints64(b, "one", 0, NULL, DIMS(1));
  node *branch = builder_node(b, "If", "choice", "i");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    builder_node(inner, "Div", i ? "one one" : "one zero", "z");
    builder_output(inner, "z", NORMA_INT64, 0, NULL);
  }
  builder_output(b, "i", NORMA_UNDEFINED, -1, NULL);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  checked c = {.builder = b};
  norma_error error;
  assert_int_equal(norma_model_load_memory(bytes, size, NULL, &c.model, &error), NORMA_OK);
  assert_int_equal(count_nodes(&c, "Div"), 1);
  norma_model_destroy(c.model);
  builder_destroy(b);
}

/* Overridable initializers are no constants. */
static void what_can_be_overridden_stays(void **state) {
  (void)state;
  static const char *const names[] = {"w"};
  for (size_t count = 0; count < 2; count++) {
    model_builder *b = start(13);
    builder_input(b, "w", NORMA_FLOAT, 1, DIMS(4));
    builder_floats(b, "w", 1, DIMS(4), (float[]){1, 2, 3, 4});
    builder_node(b, "Neg", "w", "n");
    builder_node(b, "Add", "x n", "y");
    builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
    size_t size;
    const void *bytes = builder_bytes(b, &size);
    norma_load_options options = {.struct_size = sizeof options,
                                  .optimization = NORMA_OPTIMIZE_BASIC,
                                  .overridable = names,
                                  .overridable_count = count};
    checked c = {.builder = b};
    norma_error error;
    assert_int_equal(norma_model_load_memory(bytes, size, &options, &c.model, &error), NORMA_OK);
    assert_int_equal(count_nodes(&c, "Neg"), (int)count);
    norma_model_destroy(c.model);
    builder_destroy(b);
  }
}

/* ----------------------------------------------------------------------------------------------------- memory, time */

/* 8 MiB made of 8 bytes. */
static model_builder *large_model(void) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(2, 1024));
  builder_ints64(b, "shape", 1, DIMS(2), DIMS(1024, 2048));
  builder_tensor(builder_node(b, "ConstantOfShape", "shape", "w"), "value", NORMA_FLOAT, 1, DIMS(1), (float[]){0.5f});
  return b;
}

static void large_results_fold_for_those_who_pack_them(void **state) {
  (void)state;
  model_builder *b = large_model();
  builder_node(b, "MatMul", "x w", "y");
  expect(b, 1);

  b = large_model(); /* through a node that folds as well */
  builder_node(b, "Neg", "w", "n");
  builder_node(b, "MatMul", "x n", "y");
  expect(b, 1);
}

static void large_results_stay_where_they_are_cheap(void **state) {
  (void)state;
  model_builder *b = large_model();
  builder_input(b, "z", NORMA_FLOAT, 2, DIMS(1024, 2048));
  builder_node(b, "Add", "w z", "y");
  checked c = check_nodes(b, PASS, 0, 2);
  only_node(&c, "ConstantOfShape");
  free_checked(&c);
}

/* What is not much larger than what it is made of is kept, whoever reads it. */
static void large_results_of_large_constants_fold(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(600, 700));
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(600, 700), -1, 1); /* more than a MiB */
  builder_node(b, "Neg", "w", "n");
  builder_node(b, "Add", "x n", "y");
  expect(b, 1);

  b = builder_create(13); /* floats made of bytes */
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(600, 700));
  add_random(b, "w", NORMA_UINT8, 2, DIMS(600, 700), 0, 255);
  builder_int(builder_node(b, "Cast", "w", "n"), "to", NORMA_FLOAT);
  builder_node(b, "Add", "x n", "y");
  expect(b, 1);
}

/* A result that would take more than half of what the budget has left, packed copy included, is made in each run. */
static void budget_is_not_spent_on_constants(void **state) {
  (void)state;
  for (int small = 0; small < 2; small++) {
    model_builder *b = large_model();
    builder_node(b, "MatMul", "x w", "y");
    builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
    size_t size;
    const void *bytes = builder_bytes(b, &size);
    norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
    options.max_memory_bytes = (size_t)(small ? 24 : 64) << 20;
    norma_load_options load = {.struct_size = sizeof load, .optimization = NORMA_OPTIMIZE_BASIC};
    checked c = {.builder = b};
    norma_error error;
    assert_int_equal(norma_runtime_create(&options, &load.runtime, &error), NORMA_OK);
    assert_int_equal(norma_model_load_memory(bytes, size, &load, &c.model, &error), NORMA_OK);
    assert_int_equal(count_nodes(&c, "ConstantOfShape"), small);
    norma_model_destroy(c.model);
    norma_runtime_destroy(load.runtime);
    builder_destroy(b);
  }
}

/* All that is evaluated at load may cost some 10^10 operations; the rest is left to runs, which have deadlines. */
static void what_takes_long_stays(void **state) {
  (void)state;
  for (int is_long = 0; is_long < 2; is_long++) {
    const int64_t n = is_long ? 2048 : 128;
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(1, n));
    builder_ints64(b, "shape", 1, DIMS(2), DIMS(n, n));
    node *made = builder_node(b, "ConstantOfShape", "shape", "w");
    builder_tensor(made, "value", NORMA_FLOAT, 1, DIMS(1), (float[]){0.5f});
    builder_node(b, "MatMul", "w w", "m"); /* 2 n^3 operations */
    builder_node(b, "Add", "x m", "y");
    builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
    size_t size;
    const void *bytes = builder_bytes(b, &size);
    checked c = {.builder = b};
    norma_error error;
    norma_load_options load = {.struct_size = sizeof load, .optimization = NORMA_OPTIMIZE_BASIC};
    assert_int_equal(norma_model_load_memory(bytes, size, &load, &c.model, &error), NORMA_OK);
    assert_int_equal(count_nodes(&c, "MatMul"), is_long);
    norma_model_destroy(c.model);
    builder_destroy(b);
  }
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = start(13);
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(3, 4), -1, 1);
  builder_node(b, "Shape", "x", "s");
  builder_int(builder_node(b, "Split", "w", "u v"), "axis", 1);
  builder_int(builder_node(b, "Concat", "v u", "c"), "axis", 1);
  builder_node(b, "Add", "x c", "a");
  builder_node(b, "Reshape", "a s", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shape_and_reshape_of_weights_fold),
      cmocka_unit_test(chains_of_nodes_fold),
      cmocka_unit_test(constant_nodes_fold),
      cmocka_unit_test(constant_outputs_keep_their_names),
      cmocka_unit_test(several_outputs_fold),
      cmocka_unit_test(folds_in_subgraphs),
      cmocka_unit_test(shapes_that_are_known_fold),
      cmocka_unit_test(shapes_that_are_not_known_stay),
      cmocka_unit_test(operators_from_outside_stay),
      cmocka_unit_test(draws_stay),
      cmocka_unit_test(nodes_with_graphs_stay),
      cmocka_unit_test(failing_nodes_stay),
      cmocka_unit_test(what_can_be_overridden_stays),
      cmocka_unit_test(large_results_fold_for_those_who_pack_them),
      cmocka_unit_test(large_results_stay_where_they_are_cheap),
      cmocka_unit_test(large_results_of_large_constants_fold),
      cmocka_unit_test(budget_is_not_spent_on_constants),
      cmocka_unit_test(what_takes_long_stays),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
