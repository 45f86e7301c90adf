/* Graphs below nodes: plans for the shapes they meet, values of the graphs around them, runs within runs. */
#include "engine/run/subgraph.h"

#include "engine/base/status.h"
#include "engine/execute/runtime.h"
#include "tests/support/failing_allocations.h"
#include "tests/support/framed_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

/* A SequenceMap whose body is run here by hand: the body takes `a`, and reads x and k of the graph around. */
typedef struct with_body {
  framed_model framed;
  const graph *body;
  run_context context;
} with_body;

/* The body is to be filled; it has as many outputs as there are names in `outputs`. */
static model_builder *map_model(const char *outputs, model_builder **body) {
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 1, DIMS(-1));
  builder_floats(b, "k", 1, DIMS(1), (float[]){100});
  builder_node(b, "SequenceConstruct", "x", "sequence");
  node *map = builder_named_node(b, "map", "", "SequenceMap", "sequence", outputs);
  *body = builder_subgraph(b, map, "body");
  builder_input(*body, "a", NORMA_FLOAT, -1, NULL);
  builder_output_info(b, "y", &(value_info){.kind = NORMA_VALUE_NONE});
  return b;
}

/* Opens the model and stands in the place of its SequenceMap, in the frame of the outer graph. */
static void body_open(with_body *work, model_builder *b, const value *x) {
  framed_open(&work->framed, b, NULL, x, false);
  const node *map = find_node(work->framed.model, "map");
  work->body = attribute_graph(map, "body");
  work->framed.executor.frame = work->framed.frame;
  work->context = (run_context){.node = map, .executor = &work->framed.executor, .error = &work->framed.error};
}

static void body_close(with_body *work) {
  work->framed.executor.frame = NULL;
  framed_close(&work->framed);
}

static norma_status run_body(with_body *work, const value *a, value *outputs, int count) {
  return run_subgraph(&work->context, work->body, &a, 1, outputs, count);
}

static void bodies_read_their_inputs_and_outer_values(void **state) {
  (void)state;
  with_body work;
  model_builder *body, *b = map_model("y", &body);
  float data[2] = {1, 2}, given[2] = {10, 20};
  value x = framed_floats(1, DIMS(2), data), a = framed_floats(1, DIMS(2), given), output;
  builder_node(body, "Add", "a x", "s");
  builder_node(body, "Add", "s k", "z");
  builder_output(body, "z", NORMA_FLOAT, -1, NULL);
  body_open(&work, b, &x);
  for (int run = 0; run < 3; run++) {
    assert_int_equal(run_body(&work, &a, &output, 1), NORMA_OK);
    assert_true(((const float *)output.tensor.data)[1] == 20 + 2 + 100 + 2 * (float)run);
    assert_non_null(output.owner); /* the caller's, whatever runs next */
    data[1] += 2;                  /* outer values are looked at in each run */
    value_clear(&output);
  }
  assert_ptr_equal(work.framed.executor.frame, work.framed.frame); /* back in the outer graph */
  body_close(&work);
}

/* Outputs that are inputs, values of outer graphs, or constants; fewer may be asked for than there are. */
static void outputs_that_nobody_computes(void **state) {
  (void)state;
  with_body work;
  model_builder *body, *b = map_model("y y1 y2", &body);
  float data[2] = {1, 2}, given[2] = {10, 20};
  value x = framed_floats(1, DIMS(2), data), a = framed_floats(1, DIMS(2), given), outputs[3];
  builder_output(body, "a", NORMA_FLOAT, -1, NULL);
  builder_output(body, "x", NORMA_FLOAT, -1, NULL);
  builder_output(body, "k", NORMA_FLOAT, -1, NULL);
  body_open(&work, b, &x);
  assert_int_equal(run_body(&work, &a, outputs, 3), NORMA_OK);
  assert_memory_equal(outputs[0].tensor.data, given, sizeof given);
  assert_ptr_not_equal(outputs[0].tensor.data, given); /* borrowed data are copied */
  assert_memory_equal(outputs[1].tensor.data, data, sizeof data);
  assert_true(*(const float *)outputs[2].tensor.data == 100);
  for (int i = 0; i < 3; i++) value_clear(&outputs[i]);
  assert_int_equal(run_body(&work, &a, outputs, 1), NORMA_OK);
  value_clear(&outputs[0]);
  body_close(&work);
}

/* A plan for each shape, of which some are kept: memory does not grow with the number of shapes that were seen. */
static void plans_of_some_shapes_are_kept(void **state) {
  (void)state;
  with_body work;
  model_builder *body, *b = map_model("y", &body);
  float data[1] = {1}, given[200];
  value x = framed_floats(1, DIMS(1), data), output;
  builder_node(body, "Add", "a x", "s");
  builder_node(body, "Neg", "s", "z");
  builder_output(body, "z", NORMA_FLOAT, -1, NULL);
  body_open(&work, b, &x);
  for (int i = 0; i < 200; i++) given[i] = (float)i;
  size_t used[3] = {0};
  for (int64_t count = 1; count <= 200; count++) {
    value a = framed_floats(1, &count, given);
    for (int again = 0; again < 2; again++) {
      assert_int_equal(run_body(&work, &a, &output, 1), NORMA_OK);
      assert_int_equal(output.tensor.dims[0], count);
      assert_true(((const float *)output.tensor.data)[count - 1] == -(float)count);
      value_clear(&output);
    }
    const size_t now = norma_runtime_memory_used(work.framed.runtime);
    if (count == 1) used[0] = now;
    if (count == 8) used[1] = now;
    used[2] = now;
  }
  assert_true(used[1] > used[0]); /* some are kept */
  assert_true(used[2] < used[1] + 16384);
  const size_t before = norma_runtime_memory_peak(work.framed.runtime);
  int64_t count = 200;
  value a = framed_floats(1, &count, given);
  assert_int_equal(run_body(&work, &a, &output, 1), NORMA_OK); /* and found again: nothing new is planned */
  assert_int_equal(norma_runtime_memory_peak(work.framed.runtime), before);
  value_clear(&output);
  body_close(&work);
}

/* --------------------------------------------------------------------------------------------------------- failures */

static void wrong_numbers_of_operands_are_refused(void **state) {
  (void)state;
  with_body work;
  model_builder *body, *b = map_model("y", &body);
  float data[2] = {1, 2};
  value x = framed_floats(1, DIMS(2), data), outputs[3];
  builder_output(body, "a", NORMA_FLOAT, -1, NULL);
  body_open(&work, b, &x);
  memset(outputs, 0x55, sizeof outputs);
  assert_int_equal(run_subgraph(&work.context, work.body, (const value *[]){&x, &x}, 2, outputs, 1),
                   NORMA_ERROR_INVALID_MODEL);
  assert_string_equal(work.framed.error.node, "map");
  assert_non_null(strstr(work.framed.error.message, "1 inputs and 1 outputs, not 2 and 1"));
  assert_int_equal(outputs[0].kind, NORMA_VALUE_NONE);
  assert_int_equal(run_body(&work, &x, outputs, 3), NORMA_ERROR_INVALID_MODEL);
  for (int i = 0; i < 3; i++) assert_int_equal(outputs[i].kind, NORMA_VALUE_NONE);
  struct subgraph_cache *cache = work.framed.executor.subgraphs;
  work.framed.executor.subgraphs = NULL; /* outside of a session nothing runs graphs */
  assert_int_equal(run_body(&work, &x, outputs, 1), NORMA_ERROR_INVALID_MODEL);
  work.framed.executor.subgraphs = cache;
  body_close(&work);
}

/* Outputs are NONE, nothing is lost, and the body runs again with better inputs. */
static void failures_leave_nothing(void **state) {
  (void)state;
  with_body work;
  model_builder *body, *b = map_model("y", &body);
  float data[2] = {1, 2}, given[3] = {10, 20, 30};
  value x = framed_floats(1, DIMS(2), data), output;
  value bad = framed_floats(1, DIMS(3), given), good = framed_floats(1, DIMS(2), given);
  builder_named_node(body, "inner sum", "", "Add", "a x", "z");
  builder_output(body, "z", NORMA_FLOAT, -1, NULL);
  body_open(&work, b, &x);
  assert_int_equal(run_body(&work, &good, &output, 1), NORMA_OK);
  value_clear(&output);
  const size_t used = norma_runtime_memory_used(work.framed.runtime);
  assert_int_equal(run_body(&work, &bad, &output, 1), NORMA_ERROR_INPUT); /* found while planning */
  assert_string_equal(work.framed.error.node, "inner sum");
  assert_int_equal(output.kind, NORMA_VALUE_NONE);
  assert_int_equal(norma_runtime_memory_used(work.framed.runtime), used);
  assert_ptr_equal(work.framed.executor.frame, work.framed.frame);
  assert_int_equal(run_body(&work, &good, &output, 1), NORMA_OK);
  value_clear(&output);
  body_close(&work);
}

/* ----------------------------------------------------------------------------------------------------- whole models */

/* Bodies within bodies: the frames of the runs around are not disturbed. Each body adds x, of the outermost graph, to
 * what the one inside makes of its item. */
static void runs_within_runs(void **state) {
  enum { DEPTH = 6 };
  (void)state;
  model_builder *b = builder_create(17), *at = b;
  builder_input(b, "x", NORMA_FLOAT, 1, DIMS(-1));
  builder_ints64(b, "last", 0, NULL, DIMS(-1));
  builder_node(b, "SequenceConstruct", "x x", "start");
  for (int depth = 0; depth < DEPTH; depth++) {
    char inputs[32], output[32]; /* v: the item, q: the sequence of it, m: the results, e: one of them, s: the sum */
    snprintf(inputs, sizeof inputs, depth ? "q%d" : "start", depth - 1);
    snprintf(output, sizeof output, depth ? "m%d" : "all", depth - 1);
    node *map = builder_node(at, "SequenceMap", inputs, output);
    if (depth) {
      snprintf(inputs, sizeof inputs, "m%d last", depth - 1);
      snprintf(output, sizeof output, "e%d", depth - 1);
      builder_node(at, "SequenceAt", inputs, output);
      snprintf(inputs, sizeof inputs, "e%d x", depth - 1);
      snprintf(output, sizeof output, "s%d", depth - 1);
      builder_node(at, "Add", inputs, output);
      builder_output(at, output, NORMA_FLOAT, -1, NULL);
    }
    at = builder_subgraph(at, map, "body");
    snprintf(output, sizeof output, "v%d", depth);
    builder_input(at, output, NORMA_FLOAT, -1, NULL);
    const bool is_last = depth + 1 == DEPTH;
    snprintf(inputs, sizeof inputs, is_last ? "v%d x" : "v%d v%d", depth, depth);
    snprintf(output, sizeof output, is_last ? "s%d" : "q%d", depth);
    builder_node(at, is_last ? "Add" : "SequenceConstruct", inputs, output);
    if (is_last) builder_output(at, output, NORMA_FLOAT, -1, NULL);
  }
  builder_node(b, "SequenceAt", "all last", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  for (norma_optimization level = NORMA_OPTIMIZE_NONE; level <= NORMA_OPTIMIZE_FULL; level += 2) {
    size_t size;
    norma_error error;
    norma_model *model;
    norma_session *session;
    norma_load_options options = {.struct_size = sizeof options, .optimization = level};
    const void *bytes = builder_bytes(b, &size);
    if (norma_model_load_memory(bytes, size, &options, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
    assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
    for (int64_t count = 1; count <= 3; count++) {
      float ones[3] = {1, 1, 1};
      norma_tensor x;
      norma_tensor_init(&x, NORMA_FLOAT, 1, &count, ones);
      norma_session_clear_inputs(session);
      assert_int_equal(norma_session_set_input(session, "x", &x, &error), NORMA_OK);
      if (norma_session_run(session, &error) != NORMA_OK) fail_msg("%s", error.message);
      const norma_tensor *y = norma_value_tensor(norma_session_output(session, 0));
      assert_int_equal(y->dims[0], count);
      assert_true(((const float *)y->data)[count - 1] == 1 + DEPTH);
    }
    norma_session_destroy(session);
    norma_model_destroy(model);
  }
  builder_destroy(b);
}

static norma_status run_in(void *context, const norma_allocator *allocator, norma_error *error) {
  with_body *work = context;
  memory memory;
  float given[2] = {10, 20};
  value a = framed_floats(1, DIMS(2), given), output;
  memory_init(&memory, allocator, 0);
  executor executor = work->framed.executor;
  subgraph_cache cache = {.memory = &memory};
  executor.memory = &memory;
  executor.subgraphs = &cache;
  with_body inside = {.body = work->body, .context = work->context};
  inside.context.executor = &executor;
  inside.context.error = error;
  norma_status status = run_body(&inside, &a, &output, 1);
  value_clear(&output);
  subgraph_cache_free(&cache);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  with_body work;
  model_builder *body, *b = map_model("y", &body);
  float data[2] = {1, 2};
  value x = framed_floats(1, DIMS(2), data);
  builder_node(body, "Add", "a x", "s");
  builder_node(body, "NonZero", "s", "n");
  builder_output(body, "n", NORMA_INT64, -1, NULL);
  body_open(&work, b, &x);
  assert_int_equal(fail_each_allocation(run_in, &work), 0);
  body_close(&work);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bodies_read_their_inputs_and_outer_values),
      cmocka_unit_test(outputs_that_nobody_computes),
      cmocka_unit_test(plans_of_some_shapes_are_kept),
      cmocka_unit_test(wrong_numbers_of_operands_are_refused),
      cmocka_unit_test(failures_leave_nothing),
      cmocka_unit_test(runs_within_runs),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
