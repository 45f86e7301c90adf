/* Plans: which nodes become steps, where values live, what is prepared, and for which shapes a plan serves. */
#include "engine/plan/plan.h"

#include "engine/execute/runtime.h"
#include "tests/support/built_model.h"
#include "tests/support/failing_allocations.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIMS(...)   ((int64_t[]){__VA_ARGS__})
#define MOST_INPUTS 4

/* A plan of a model's main graph, for float inputs of these shapes. */
typedef struct planned {
  norma_model *model;
  executor executor;
  value_info inputs[MOST_INPUTS];
  plan_request request;
  plan *plan;
  norma_error error;
} planned;

static void planned_open(planned *planned, model_builder *b, norma_optimization level) {
  memset(planned, 0, sizeof *planned);
  planned->model = load_built(b, level, NULL);
  planned->executor = executor_of(planned->model);
  const graph *graph = planned->model->graph;
  assert_true(graph->input_count <= MOST_INPUTS);
  for (int i = 0; i < graph->input_count; i++) planned->inputs[i] = graph->inputs[i]->info;
  planned->request = (plan_request){.executor = &planned->executor, .graph = graph, .inputs = planned->inputs};
}

static norma_status planned_make(planned *planned) {
  plan_destroy(planned->plan);
  return plan_create(&planned->request, &planned->plan, &planned->error);
}

static void planned_need(planned *planned) {
  if (planned_make(planned) != NORMA_OK) fail_msg("%s", planned->error.message);
}

static void planned_close(planned *planned) {
  plan_destroy(planned->plan);
  norma_model_destroy(planned->model);
}

static const slot *slot_named(const planned *planned, const char *name) {
  const graph_value *value = graph_find_value(planned->request.graph, name);
  const int index = value ? plan_find_slot(planned->plan, value) : -1;
  if (index < 0) fail_msg("'%s' has no slot", name);
  return &planned->plan->slots[index];
}

static model_builder *start(void) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 4));
  return b;
}

static value_info batch_of(int64_t batch) {
  const shape shape = shape_make(2, DIMS(batch, 4));
  return value_info_tensor(NORMA_FLOAT, &shape);
}

/* ------------------------------------------------------------------------------------------------------------ steps */

/* Backwards from the outputs: what nobody needs is no step, nor is what is known already; at -O 0 every node is one. */
static void what_is_needed_becomes_a_step(void **state) {
  (void)state;
  for (int keep_all = 0; keep_all < 2; keep_all++) {
    planned planned;
    model_builder *b = start();
    builder_named_node(b, "shape", "", "Shape", "x", "s");
    builder_named_node(b, "reshape", "", "Reshape", "x s", "r");
    builder_named_node(b, "neg", "", "Neg", "r", "y");
    builder_named_node(b, "dead", "", "Exp", "y", "e");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    planned_open(&planned, b, NORMA_OPTIMIZE_NONE);
    planned.inputs[0] = batch_of(3);
    planned.request.keep_all = keep_all;
    planned_need(&planned);
    static const char *const few[] = {"reshape", "neg"}, *const all[] = {"shape", "reshape", "neg", "dead"};
    assert_int_equal(planned.plan->step_count, keep_all ? 4 : 2);
    for (int s = 0; s < planned.plan->step_count; s++) {
      assert_string_equal(planned.plan->steps[s].node->name, keep_all ? all[s] : few[s]);
      assert_false(planned.plan->steps[s].late);
    }
    assert_true(planned.plan->is_static);
    assert_int_equal(slot_named(&planned, "s")->kind, keep_all ? SLOT_ARENA : SLOT_KNOWN);
    if (!keep_all) assert_int_equal(tensor_get_int64(norma_value_tensor(slot_named(&planned, "s")->contents), 0), 3);
    planned_close(&planned);
  }
}

/* Each kind of place. */
static void values_live_where_they_must(void **state) {
  (void)state;
  planned planned;
  model_builder *b = start();
  builder_floats(b, "k", 1, DIMS(4), (float[4]){1, 2, 3, 4});
  builder_ints64(b, "flat", 1, DIMS(1), DIMS(-1));
  builder_node(b, "Add", "x k", "a");
  builder_node(b, "NonZero", "a", "where");
  builder_node(b, "Reshape", "where flat", "index");
  builder_node(b, "Neg", "a", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  builder_output(b, "index", NORMA_INT64, -1, NULL);
  planned_open(&planned, b, NORMA_OPTIMIZE_NONE);
  planned.inputs[0] = batch_of(3);
  planned_need(&planned);
  const plan *plan = planned.plan;
  assert_int_equal(slot_named(&planned, "k")->kind, SLOT_CONSTANT);
  assert_ptr_equal(slot_named(&planned, "k")->contents, graph_find_value(plan->graph, "k")->constant);
  assert_int_equal(slot_named(&planned, "x")->kind, SLOT_INPUT);
  assert_int_equal(slot_named(&planned, "a")->kind, SLOT_ARENA);
  assert_int_equal(slot_named(&planned, "where")->kind, SLOT_DYNAMIC);
  assert_int_equal(slot_named(&planned, "index")->kind, SLOT_DYNAMIC);
  assert_false(plan->is_static);
  for (int s = 0; s < plan->step_count; s++) {
    const step *step = &plan->steps[s];
    const char *type = step->node->op_type;
    assert_int_equal(step->late, strcmp(type, "NonZero") == 0 || strcmp(type, "Reshape") == 0);
  }
  /* lifetimes */
  const slot *a = slot_named(&planned, "a");
  assert_int_equal(a->first, 0);
  assert_int_equal(plan->slots[a->root].last == INT_MAX || a->last == 3, 1);
  assert_int_equal(slot_named(&planned, "y")->last, INT_MAX);
  const slot *where = slot_named(&planned, "where");
  assert_int_equal(plan->steps[where->last].release_count, 1); /* given back when its last reader is done */
  assert_ptr_equal(&plan->slots[plan->steps[where->last].releases[0]], where);
  planned_close(&planned);
}

static void inputs_and_outputs_have_slots(void **state) {
  (void)state;
  planned planned;
  model_builder *b = start();
  builder_input(b, "unread", NORMA_FLOAT, 1, DIMS(2));
  builder_floats(b, "fixed", 1, DIMS(4), (float[4]){1, 2, 3, 4});
  builder_input(b, "fixed", NORMA_FLOAT, 1, DIMS(4)); /* an input with an initializer is a constant */
  builder_node(b, "Add", "x fixed", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  builder_output(b, "x", NORMA_FLOAT, -1, NULL);
  builder_output(b, "fixed", NORMA_FLOAT, -1, NULL);
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  planned_open(&planned, b, NORMA_OPTIMIZE_NONE);
  planned.inputs[0] = batch_of(1);
  planned_need(&planned);
  const plan *plan = planned.plan;
  assert_int_equal(plan->slots[plan->inputs[0]].kind, SLOT_INPUT);
  assert_int_equal(plan->slots[plan->inputs[1]].kind, SLOT_INPUT);
  assert_int_equal(plan->inputs[2], -1);
  assert_ptr_equal(&plan->slots[plan->outputs[0]], slot_named(&planned, "y"));
  assert_int_equal(plan->outputs[1], plan->inputs[0]);
  assert_int_equal(plan->slots[plan->outputs[2]].kind, SLOT_CONSTANT);
  assert_int_equal(plan->outputs[3], plan->outputs[0]);
  planned_close(&planned);
}

static bool watches_named(void *context, const char *name) {
  return strcmp(name, context) == 0;
}

/* A watched value is computed though nobody reads it, and kept after the run. */
static void watched_values_are_kept(void **state) {
  static const char *const names[] = {"nothing", "a", "dead"};
  (void)state;
  for (int i = 0; i < 3; i++) {
    planned planned;
    model_builder *b = start();
    builder_node(b, "Neg", "x", "a");
    builder_node(b, "Exp", "a", "y");
    builder_node(b, "Abs", "x", "dead");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    planned_open(&planned, b, NORMA_OPTIMIZE_NONE);
    planned.inputs[0] = batch_of(2);
    planned.request.is_watched = watches_named;
    planned.request.watch_context = (void *)(uintptr_t)names[i];
    planned_need(&planned);
    assert_int_equal(planned.plan->step_count, i == 2 ? 3 : 2);
    if (i) assert_int_equal(slot_named(&planned, names[i])->last, INT_MAX);
    if (i != 1) assert_true(slot_named(&planned, "a")->last != INT_MAX || slot_named(&planned, "a")->root >= 0);
    planned_close(&planned);
  }
}

/* A view shares the memory of what it shows and is not run. */
static void views_are_skipped(void **state) {
  (void)state;
  planned planned;
  model_builder *b = start();
  builder_ints64(b, "flat", 1, DIMS(1), DIMS(-1));
  builder_node(b, "Neg", "x", "a");
  builder_named_node(b, "view", "", "Reshape", "a flat", "v");
  builder_node(b, "Exp", "v", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  planned_open(&planned, b, NORMA_OPTIMIZE_NONE);
  planned.inputs[0] = batch_of(2);
  planned_need(&planned);
  assert_true(planned.plan->steps[1].skipped);
  assert_int_equal(slot_named(&planned, "v")->root, slot_named(&planned, "a")->root);
  assert_int_equal(planned.plan->arena_bytes, 64); /* 32 bytes, aligned, for all */
  planned_close(&planned);
}

/* What a step costs: bytes of all operands, operations as its operator says, scratch in the arena. */
static void steps_are_prepared(void **state) {
  (void)state;
  planned planned;
  model_builder *b = builder_create(13);
  float weights[3 * 5] = {0};
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 3));
  builder_floats(b, "w", 2, DIMS(3, 5), weights);
  builder_node(b, "MatMul", "x w", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  planned_open(&planned, b, NORMA_OPTIMIZE_NONE);
  const shape shape = shape_make(2, DIMS(7, 3));
  planned.inputs[0] = value_info_tensor(NORMA_FLOAT, &shape);
  planned_need(&planned);
  const step *step = &planned.plan->steps[0];
  assert_true(step->bytes == 4 * (7 * 3 + 3 * 5 + 7 * 5));
  assert_true(step->flops == 2.0 * 7 * 3 * 5);
  assert_true(step->kernel_name && step->kernel_name[0]);
  assert_ptr_not_equal(step->state, step->node->state); /* each plan has its own */
  planned_close(&planned);
}

/* ----------------------------------------------------------------------------------------------------------- shapes */

static void a_plan_serves_its_shapes_only(void **state) {
  (void)state;
  planned planned;
  model_builder *b = start();
  builder_node(b, "Neg", "x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  planned_open(&planned, b, NORMA_OPTIMIZE_NONE);
  planned.inputs[0] = batch_of(2);
  planned_need(&planned);
  value_info other = batch_of(2);
  assert_true(plan_matches(planned.plan, &other));
  other = batch_of(3);
  assert_false(plan_matches(planned.plan, &other));
  other = batch_of(2);
  other.type = NORMA_DOUBLE;
  assert_false(plan_matches(planned.plan, &other));
  other = batch_of(2);
  other.kind = NORMA_VALUE_SEQUENCE;
  assert_false(plan_matches(planned.plan, &other));
  planned_close(&planned);
}

/* The graph below a node, by itself: what it reads from outside are captures, with slots of their own. */
/* A plan that follows one for other shapes is what it would be without: steps, kernels, places, known contents. */
static void plans_follow_similar_ones(void **state) {
  (void)state;
  float weights[6] = {1, 2, 3, 4, 5, 6};
  planned planned;
  model_builder *b = builder_create(18);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 3));
  builder_input(b, "z", NORMA_FLOAT, 2, DIMS(-1, -1));
  builder_floats(b, "w", 2, DIMS(3, 2), weights);
  builder_node(b, "MatMul", "x w", "m");
  builder_node(b, "Shape", "m", "s");
  builder_node(b, "Shape", "z", "t");
  builder_int(builder_node(b, "Concat", "s t", "st"), "axis", 0);
  builder_node(b, "ReduceProd", "st", "p");
  builder_node(b, "Softmax", "z", "y");
  for (const char *const *name = (const char *const[]){"m", "st", "p", "y", NULL}; *name; name++) {
    builder_output(b, *name, NORMA_UNDEFINED, -1, NULL);
  }
  planned_open(&planned, b, NORMA_OPTIMIZE_FULL);
  planned.inputs[0].shape = shape_make(2, DIMS(4, 3));
  planned.inputs[1].shape = shape_make(2, DIMS(5, 6));
  planned_need(&planned);
  plan *first = planned.plan, *alone;
  planned.plan = NULL;
  planned.inputs[1].shape = shape_make(2, DIMS(5, 7));
  planned_need(&planned);
  alone = planned.plan;
  planned.plan = NULL;
  planned.request.similar = first;
  planned_need(&planned);
  const plan *followed = planned.plan;
  plan_destroy(first); /* it is not needed any more */
  assert_int_equal(followed->step_count, alone->step_count);
  assert_int_equal(followed->slot_count, alone->slot_count);
  assert_int_equal(followed->arena_bytes, alone->arena_bytes);
  for (int i = 0; i < alone->step_count; i++) {
    assert_ptr_equal(followed->steps[i].node, alone->steps[i].node);
    assert_string_equal(followed->steps[i].kernel_name, alone->steps[i].kernel_name);
    assert_int_equal(followed->steps[i].scratch_bytes, alone->steps[i].scratch_bytes);
  }
  for (int i = 0; i < alone->slot_count; i++) {
    assert_int_equal(followed->slots[i].kind, alone->slots[i].kind);
    assert_true(shape_equal(&followed->slots[i].info.shape, &alone->slots[i].info.shape));
    assert_int_equal(followed->slots[i].offset, alone->slots[i].offset);
  }
  const int64_t *sizes = slot_named(&planned, "st")->contents->tensor.data;
  assert_memory_equal(sizes, DIMS(4, 2, 5, 7), 4 * sizeof *sizes);
  assert_int_equal(*(const int64_t *)slot_named(&planned, "p")->contents->tensor.data, 4 * 2 * 5 * 7);
  plan_destroy(alone);
  planned_close(&planned);
}

static void subgraphs_have_captures(void **state) {
  (void)state;
  planned planned;
  model_builder *b = start();
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  builder_floats(b, "k", 1, DIMS(4), (float[4]){1, 2, 3, 4});
  node *branch = builder_node(b, "If", "choice", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    builder_node(inner, "Add", "x k", "s");
    builder_node(inner, i ? "Neg" : "Exp", "s", "z");
    builder_output(inner, "z", NORMA_FLOAT, -1, NULL);
  }
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  planned_open(&planned, b, NORMA_OPTIMIZE_NONE);
  const graph *outer = planned.model->graph, *inner = attribute_graph(outer->first, "then_branch");
  planned.inputs[0] = batch_of(2);
  planned_need(&planned);
  assert_true(planned.plan->steps[0].late); /* runs graphs */
  assert_int_equal(slot_named(&planned, "y")->kind, SLOT_DYNAMIC);
  const value_info captures[1] = {batch_of(5)};
  planned.request = (plan_request){.executor = &planned.executor, .graph = inner, .captures = captures};
  planned_need(&planned);
  assert_int_equal(inner->capture_count, 1);
  const slot *captured = &planned.plan->slots[planned.plan->captures[0]];
  assert_int_equal(captured->kind, SLOT_CAPTURE);
  assert_ptr_equal(captured->value, graph_find_value(outer, "x"));
  assert_int_equal(captured->info.shape.dims[0], 5);
  assert_int_equal(slot_named(&planned, "s")->info.shape.dims[0], 5);
  assert_ptr_equal(slot_named(&planned, "x"), captured);
  float data[6 * 4];
  value fits = {.kind = NORMA_VALUE_TENSOR}, other = {.kind = NORMA_VALUE_TENSOR};
  norma_tensor_init(&fits.tensor, NORMA_FLOAT, 2, DIMS(5, 4), data);
  norma_tensor_init(&other.tensor, NORMA_FLOAT, 2, DIMS(6, 4), data);
  assert_true(plan_matches_values(planned.plan, NULL, (const value *[]){&fits}));
  assert_false(plan_matches_values(planned.plan, NULL, (const value *[]){&other}));
  planned_close(&planned);
}

static void shapes_that_do_not_fit_are_refused(void **state) {
  (void)state;
  planned planned;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, -1));
  builder_input(b, "z", NORMA_FLOAT, 2, DIMS(-1, -1));
  builder_named_node(b, "sum", "", "Add", "x z", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  planned_open(&planned, b, NORMA_OPTIMIZE_NONE);
  planned.inputs[0] = batch_of(2);
  planned.inputs[1] = batch_of(3);
  assert_int_equal(planned_make(&planned), NORMA_ERROR_INPUT);
  assert_string_equal(planned.error.node, "sum");
  assert_null(planned.plan);
  planned.inputs[1] = batch_of(2);
  planned_need(&planned); /* the graph is as it was */
  planned_close(&planned);
}

/* A result that is larger than can be addressed. */
static void values_that_are_too_large_are_refused(void **state) {
  (void)state;
  planned planned;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, -1));
  builder_input(b, "z", NORMA_FLOAT, 2, DIMS(-1, -1));
  builder_node(b, "MatMul", "x z", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  planned_open(&planned, b, NORMA_OPTIMIZE_NONE);
  const shape tall = shape_make(2, DIMS((int64_t)1 << 40, 1)), wide = shape_make(2, DIMS(1, (int64_t)1 << 40));
  planned.inputs[0] = value_info_tensor(NORMA_FLOAT, &tall);
  planned.inputs[1] = value_info_tensor(NORMA_FLOAT, &wide);
  norma_status status = planned_make(&planned);
  assert_int_equal(status, NORMA_ERROR_BUDGET);
  assert_true(planned.error.message[0]);
  planned_close(&planned);
}

/* What is known while a plan is made must not depend on when somebody cancels: then there is no plan. */
static void planning_is_cancelled_as_a_whole(void **state) {
  (void)state;
  planned planned;
  interruption interruption = {.work = "run", .deadline_ns = 1};
  model_builder *b = start();
  builder_node(b, "Shape", "x", "s");
  builder_node(b, "Reshape", "x s", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  planned_open(&planned, b, NORMA_OPTIMIZE_NONE);
  planned.inputs[0] = batch_of(2);
  planned.executor.interruption = &interruption;
  assert_int_equal(planned_make(&planned), NORMA_ERROR_DEADLINE);
  assert_string_equal(planned.error.message, "the run took longer than its time limit");
  atomic_store(&interruption.cancelled, true);
  assert_int_equal(planned_make(&planned), NORMA_ERROR_CANCELLED);
  planned.executor.interruption = NULL;
  planned_need(&planned);
  assert_int_equal(slot_named(&planned, "s")->kind, SLOT_KNOWN);
  planned_close(&planned);
}

/* ----------------------------------------------------------------------------------------------------------- memory */

static norma_status make_plan(void *context, const norma_allocator *allocator, norma_error *error) {
  const planned *from = context;
  memory memory;
  memory_init(&memory, allocator, 0);
  packed_constants *packed = packed_constants_create(&memory);
  if (!packed) return memory_error(&memory, 1, error);
  executor executor;
  executor_init_serial(&executor, &memory, from->model->runtime->kernels, packed, false);
  plan_request request = from->request;
  request.executor = &executor;
  plan *plan;
  norma_status status = plan_create(&request, &plan, error);
  plan_destroy(plan);
  packed_constants_destroy(packed);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  planned planned;
  float weights[4 * 4] = {1};
  model_builder *b = start();
  builder_floats(b, "w", 2, DIMS(4, 4), weights);
  builder_node(b, "MatMul", "x w", "m");
  builder_node(b, "Shape", "m", "s");
  builder_node(b, "Reshape", "x s", "r");
  builder_int(builder_node(b, "Concat", "m r", "c"), "axis", 0);
  builder_node(b, "NonZero", "c", "y");
  builder_output(b, "y", NORMA_INT64, -1, NULL);
  planned_open(&planned, b, NORMA_OPTIMIZE_NONE);
  planned.inputs[0] = batch_of(2);
  assert_int_equal(fail_each_allocation(make_plan, &planned), 0);
  planned_close(&planned);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_needed_becomes_a_step),
      cmocka_unit_test(values_live_where_they_must),
      cmocka_unit_test(inputs_and_outputs_have_slots),
      cmocka_unit_test(watched_values_are_kept),
      cmocka_unit_test(views_are_skipped),
      cmocka_unit_test(steps_are_prepared),
      cmocka_unit_test(a_plan_serves_its_shapes_only),
      cmocka_unit_test(plans_follow_similar_ones),
      cmocka_unit_test(subgraphs_have_captures),
      cmocka_unit_test(shapes_that_do_not_fit_are_refused),
      cmocka_unit_test(values_that_are_too_large_are_refused),
      cmocka_unit_test(planning_is_cancelled_as_a_whole),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
