/* Types, shapes and small known values of whole graphs. */
#include "engine/plan/shape_inference.h"

#include "engine/execute/runtime.h"
#include "tests/support/built_model.h"
#include "tests/support/failing_allocations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

/* An inferrer over a model that was loaded as exported. */
typedef struct inference {
  norma_model *model;
  executor executor;
  region region;
  inferrer inferrer;
  norma_error error;
} inference;

static void inference_open(inference *work, model_builder *b) {
  memset(work, 0, sizeof *work);
  work->model = load_built(b, NORMA_OPTIMIZE_NONE, NULL);
  work->executor = executor_of(work->model);
  region_init(&work->region, work->model->memory);
  assert_int_equal(inferrer_init(&work->inferrer, &work->executor, &work->region, work->model->graph, NULL,
                                 NORMA_ERROR_INPUT, &work->error),
                   NORMA_OK);
}

static void inference_run(inference *work) {
  if (inferrer_run(&work->inferrer, &work->error) != NORMA_OK) fail_msg("%s", work->error.message);
}

static void inference_close(inference *work) {
  inferrer_release(&work->inferrer);
  region_free(&work->region);
  norma_model_destroy(work->model);
}

static const graph_value *value_of(const inference *work, const char *name) {
  const graph_value *value = graph_find_value(work->model->graph, name);
  assert_non_null(value);
  return value;
}

static void set_input(inference *work, const char *name, int rank, const int64_t *dims) {
  const shape shape = shape_make(rank, dims);
  work->inferrer.infos[value_of(work, name)->id].shape = shape;
}

static void expect_shape(const value_info *info, norma_element_type type, int rank, const int64_t *dims) {
  assert_int_equal(info->kind, NORMA_VALUE_TENSOR);
  assert_int_equal(info->type, type);
  assert_int_equal(info->shape.rank, rank);
  for (int i = 0; i < rank; i++) assert_int_equal(info->shape.dims[i], dims[i]);
}

/* ------------------------------------------------------------------------------------------------------- at loading */

static void the_graph_learns_types_and_shapes(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(-1, 3, 4));
  builder_node(b, "Transpose", "x", "t");
  builder_int(builder_node(b, "Cast", "t", "c"), "to", NORMA_DOUBLE);
  builder_node(b, "Shape", "c", "s");
  builder_node(b, "Identity", "c", "y");
  builder_output(b, "y", NORMA_DOUBLE, -1, NULL);
  builder_output(b, "s", NORMA_INT64, -1, NULL);
  norma_model *model = load_built(b, NORMA_OPTIMIZE_NONE, NULL);
  expect_shape(&graph_find_value(model->graph, "t")->info, NORMA_FLOAT, 3, DIMS(4, 3, -1));
  expect_shape(&graph_find_value(model->graph, "c")->info, NORMA_DOUBLE, 3, DIMS(4, 3, -1));
  expect_shape(&graph_find_value(model->graph, "s")->info, NORMA_INT64, 1, DIMS(3));
  expect_shape(&graph_find_value(model->graph, "y")->info, NORMA_DOUBLE, 3, DIMS(4, 3, -1));
  norma_model_destroy(model);
}

/* In graphs below nodes as well, with what the graphs around them tell; elements of sequences too, at any depth. */
static void subgraphs_and_containers_learn_too(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 4));
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  node *branch = builder_node(b, "If", "choice", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    builder_node(inner, "SequenceConstruct", "x x", i ? "p" : "q");
    builder_output_info(inner, i ? "p" : "q", &(value_info){.kind = NORMA_VALUE_NONE});
  }
  builder_output_info(b, "y", &(value_info){.kind = NORMA_VALUE_NONE});
  norma_model *model = load_built(b, NORMA_OPTIMIZE_NONE, NULL);
  const graph *inner = attribute_graph(model->graph->first, "then_branch");
  const graph_value *values[2] = {inner->outputs[0], model->graph->outputs[0]};
  for (int i = 0; i < 2; i++) {
    assert_int_equal(values[i]->info.kind, NORMA_VALUE_SEQUENCE);
    assert_non_null(values[i]->info.item);
    expect_shape(values[i]->info.item, NORMA_FLOAT, 2, DIMS(-1, 4));
  }
  norma_model_destroy(model);
}

static void what_contradicts_itself_is_invalid(void **state) {
  (void)state;
  norma_model *model;
  norma_error error;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(2, 3));
  builder_input(b, "z", NORMA_FLOAT, 2, DIMS(2, 4));
  builder_named_node(b, "sum", "", "Add", "x z", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  assert_int_equal(try_built(b, NORMA_OPTIMIZE_NONE, NULL, &model, &error), NORMA_ERROR_INVALID_MODEL);
  assert_string_equal(error.node, "sum");
  assert_null(model);
}

/* ----------------------------------------------------------------------------------------------------- known values */

/* Shape arithmetic comes out as numbers once the input's shape is known. */
static void small_values_are_computed(void **state) {
  (void)state;
  inference work;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(-1, 3, 4));
  builder_ints64(b, "zero", 0, NULL, DIMS(0));
  builder_ints64(b, "two", 0, NULL, DIMS(2));
  builder_node(b, "Shape", "x", "s");
  builder_node(b, "Gather", "s zero", "n");
  builder_node(b, "Mul", "n two", "m");
  builder_ints64(b, "axis", 1, DIMS(1), DIMS(0));
  builder_node(b, "Unsqueeze", "m axis", "u");
  builder_ints64(b, "rest", 1, DIMS(1), DIMS(-1));
  builder_int(builder_node(b, "Concat", "u rest", "target"), "axis", 0);
  builder_node(b, "Reshape", "x target", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  inference_open(&work, b);
  set_input(&work, "x", 3, DIMS(5, 3, 4));
  inference_run(&work);
  const value *m = inferrer_known(&work.inferrer, value_of(&work, "m"));
  assert_int_equal(tensor_get_int64(norma_value_tensor(m), 0), 10);
  expect_shape(inferrer_info(&work.inferrer, value_of(&work, "y")), NORMA_FLOAT, 2, DIMS(10, 6));
  assert_null(inferrer_known(&work.inferrer, value_of(&work, "y")));
  assert_int_equal(value_of(&work, "y")->info.shape.dims[0], DIM_UNKNOWN); /* the graph is not written to */
  inference_close(&work);
}

/* Values of up to 1024 elements, however they come about. */
static void large_values_are_not_computed(void **state) {
  (void)state;
  for (int64_t count = INFERENCE_KNOWN_ELEMENTS; count <= INFERENCE_KNOWN_ELEMENTS + 1; count++) {
    inference work;
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_INT64, 1, DIMS(-1));
    builder_node(b, "Shape", "x", "s");
    builder_tensor(builder_node(b, "ConstantOfShape", "s", "zeros"), "value", NORMA_INT64, 1, DIMS(1), DIMS(0));
    builder_node(b, "Add", "zeros x", "y");
    builder_output(b, "y", NORMA_INT64, -1, NULL);
    inference_open(&work, b);
    set_input(&work, "x", 1, &count);
    inference_run(&work);
    const bool known = inferrer_known(&work.inferrer, value_of(&work, "zeros")) != NULL;
    assert_int_equal(known, count <= INFERENCE_KNOWN_ELEMENTS);
    expect_shape(inferrer_info(&work.inferrer, value_of(&work, "zeros")), NORMA_INT64, 1, &count);
    inference_close(&work);
  }
}

/* A node that cannot be computed may stand in a branch that never runs: its result is not known, that is all. */
static void failing_nodes_leave_values_unknown(void **state) {
  (void)state;
  inference work;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 1, DIMS(-1));
  builder_ints64(b, "zero", 1, DIMS(1), DIMS(0));
  builder_node(b, "Shape", "x", "s");
  builder_node(b, "Div", "s zero", "d");
  builder_node(b, "Add", "d s", "y");
  builder_output(b, "y", NORMA_INT64, -1, NULL);
  inference_open(&work, b);
  set_input(&work, "x", 1, DIMS(3));
  inference_run(&work);
  assert_non_null(inferrer_known(&work.inferrer, value_of(&work, "s")));
  assert_null(inferrer_known(&work.inferrer, value_of(&work, "d")));
  assert_null(inferrer_known(&work.inferrer, value_of(&work, "y")));
  expect_shape(inferrer_info(&work.inferrer, value_of(&work, "d")), NORMA_INT64, 1, DIMS(1));
  inference_close(&work);
}

static norma_status draw_infer(norma_infer_context *context, void *user) {
  (void)user;
  return norma_infer_set_output(context, 0, NORMA_INT64, 1, DIMS(1));
}

static norma_status draw_compute(norma_run_context *context, void *user) {
  *(int64_t *)norma_run_output(context, 0)->data = ++*(int64_t *)user;
  return NORMA_OK;
}

/* What draws numbers, or comes from outside, is computed in each run. */
static void nodes_that_draw_are_not_computed(void **state) {
  (void)state;
  int64_t draws = 0;
  norma_runtime *runtime;
  norma_error error;
  const norma_custom_operator draw = {.struct_size = sizeof draw,
                                      .domain = "test.house",
                                      .name = "Draw",
                                      .since_version = 1,
                                      .max_outputs = 1,
                                      .min_outputs = 1,
                                      .infer = draw_infer,
                                      .compute = draw_compute,
                                      .user = &draws};
  assert_int_equal(norma_runtime_create(NULL, &runtime, &error), NORMA_OK);
  assert_int_equal(norma_runtime_register(runtime, &draw, &error), NORMA_OK);
  model_builder *b = builder_create(13);
  builder_import(b, "test.house", 1);
  builder_named_node(b, "draw", "test.house", "Draw", "", "d");
  builder_node(b, "ConstantOfShape", "d", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *model = load_built(b, NORMA_OPTIMIZE_FULL, runtime);
  norma_session *session;
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  assert_int_equal(draws, 0);
  for (int64_t run = 1; run < 4; run++) {
    assert_int_equal(norma_session_run(session, &error), NORMA_OK);
    assert_int_equal(norma_value_tensor(norma_session_output(session, 0))->dims[0], run);
  }
  norma_session_destroy(session);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
}

/* ---------------------------------------------------------------------------------------------------------- outside */

/* A graph below a node, without the graph around it: what is known of captures is given. */
static void captures_are_looked_up(void **state) {
  (void)state;
  inference work;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 4));
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  builder_ints64(b, "k", 1, DIMS(2), DIMS(7, 8));
  node *branch = builder_node(b, "If", "choice", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    builder_node(inner, "Transpose", "x", "z");
    builder_output(inner, "z", NORMA_FLOAT, -1, NULL);
  }
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  inference_open(&work, b);
  const graph *inner = attribute_graph(work.model->graph->first, "then_branch");
  const graph_value *x = value_of(&work, "x"), *k = value_of(&work, "k");
  inferrer below;
  assert_int_equal(inferrer_init(&below, &work.executor, &work.region, inner, NULL, NORMA_ERROR_INPUT, NULL), NORMA_OK);
  expect_shape(inferrer_info(&below, x), NORMA_FLOAT, 2, DIMS(-1, 4)); /* what the model tells */
  const shape shape = shape_make(2, DIMS(9, 4));
  const value_info captures[1] = {value_info_tensor(NORMA_FLOAT, &shape)};
  below.capture_infos = captures;
  assert_int_equal(inferrer_run(&below, NULL), NORMA_OK);
  expect_shape(inferrer_info(&below, x), NORMA_FLOAT, 2, DIMS(9, 4));
  expect_shape(inferrer_info(&below, inner->outputs[0]), NORMA_FLOAT, 2, DIMS(4, 9));
  assert_ptr_equal(inferrer_known(&below, k), k->constant); /* constants of outer graphs are known */
  inferrer_release(&below);
  /* with the inferrer of the graph around */
  set_input(&work, "x", 2, DIMS(3, 4));
  assert_int_equal(inferrer_init(&below, &work.executor, &work.region, inner, &work.inferrer, NORMA_ERROR_INPUT, NULL),
                   NORMA_OK);
  expect_shape(inferrer_info(&below, x), NORMA_FLOAT, 2, DIMS(3, 4));
  inferrer_release(&below);
  inference_close(&work);
}

/* Types that a model leaves open are checked when they are known. */
static void open_types_are_checked(void **state) {
  (void)state;
  inference work;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_UNDEFINED, 1, DIMS(-1));
  builder_named_node(b, "sine", "", "Sin", "x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  inference_open(&work, b);
  value_info *x = &work.inferrer.infos[value_of(&work, "x")->id];
  x->kind = NORMA_VALUE_TENSOR;
  x->type = NORMA_STRING;
  assert_int_equal(inferrer_run(&work.inferrer, &work.error), NORMA_ERROR_INPUT);
  assert_string_equal(work.error.node, "sine");
  assert_non_null(strstr(work.error.message, "'x'"));
  x->type = NORMA_FLOAT;
  inference_run(&work);
  inference_close(&work);
}

/* A node whose operator is not known leaves what it computes unknown; the walk goes on behind it. */
static void nodes_without_an_operator_are_passed_by(void **state) {
  (void)state;
  inference work;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 1, DIMS(3));
  builder_node(b, "Neg", "x", "n");
  builder_node(b, "Abs", "n", "a");
  builder_node(b, "Exp", "x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  builder_output(b, "a", NORMA_FLOAT, -1, NULL);
  inference_open(&work, b);
  node *neg = find_node(work.model, "Neg");
  const struct operator_descriptor *op = neg->op;
  neg->op = NULL;
  inference_run(&work);
  assert_int_equal(inferrer_info(&work.inferrer, value_of(&work, "n"))->kind, NORMA_VALUE_NONE);
  expect_shape(inferrer_info(&work.inferrer, value_of(&work, "y")), NORMA_FLOAT, 1, DIMS(3));
  neg->op = op;
  inference_close(&work);
}

/* ----------------------------------------------------------------------------------------------------------- memory */

static norma_status infer_again(void *context, const norma_allocator *allocator, norma_error *error) {
  const inference *from = context;
  memory memory;
  region region;
  inferrer inferrer;
  memory_init(&memory, allocator, 0);
  region_init(&region, &memory);
  executor executor = from->executor;
  executor.memory = &memory;
  norma_status status =
      inferrer_init(&inferrer, &executor, &region, from->model->graph, NULL, NORMA_ERROR_INPUT, error);
  if (status == NORMA_OK) {
    inferrer.infos[value_of(from, "x")->id].shape.dims[0] = 5;
    status = inferrer_run(&inferrer, error);
  }
  inferrer_release(&inferrer);
  region_free(&region);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  inference work;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(-1, 3, 4));
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  builder_ints64(b, "zero", 1, DIMS(1), DIMS(0));
  builder_node(b, "Shape", "x", "s");
  builder_node(b, "Gather", "s zero", "n");
  builder_int(builder_node(b, "Concat", "n s", "c"), "axis", 0);
  node *branch = builder_node(b, "If", "choice", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    builder_node(inner, "Neg", "c", "z");
    builder_output(inner, "z", NORMA_INT64, -1, NULL);
  }
  builder_output(b, "y", NORMA_INT64, -1, NULL);
  inference_open(&work, b);
  assert_int_equal(fail_each_allocation(infer_again, &work), 0);
  inference_close(&work);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_graph_learns_types_and_shapes),
      cmocka_unit_test(subgraphs_and_containers_learn_too),
      cmocka_unit_test(what_contradicts_itself_is_invalid),
      cmocka_unit_test(small_values_are_computed),
      cmocka_unit_test(large_values_are_not_computed),
      cmocka_unit_test(failing_nodes_leave_values_unknown),
      cmocka_unit_test(nodes_that_draw_are_not_computed),
      cmocka_unit_test(captures_are_looked_up),
      cmocka_unit_test(open_types_are_checked),
      cmocka_unit_test(nodes_without_an_operator_are_passed_by),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
