/* Frames: the values of a plan while it runs, where they lie, how long they are kept, and what a failure leaves. */
#include "engine/run/frame.h"

#include "engine/base/platform.h"
#include "engine/base/status.h"
#include "engine/execute/runtime.h"
#include "tests/support/failing_allocations.h"
#include "tests/support/framed_model.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

static model_builder *start(void) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 1, DIMS(-1));
  return b;
}

static float first_of(const framed_model *framed, const char *name) {
  return *(const float *)framed_tensor(framed, name)->data;
}

static void need_run(framed_model *framed) {
  if (framed_run(framed) != NORMA_OK) fail_msg("%s", framed->error.message);
}

/* ----------------------------------------------------------------------------------------------------------- values */

static void runs_follow_their_inputs(void **state) {
  (void)state;
  framed_model framed;
  float one[3] = {1, 2, 3}, two[3] = {-5, 0, 5};
  value x = framed_floats(1, DIMS(3), one);
  model_builder *b = start();
  builder_floats(b, "k", 1, DIMS(1), (float[]){10});
  builder_node(b, "Add", "x k", "s");
  builder_node(b, "Neg", "s", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  framed_open(&framed, b, NULL, &x, false);
  need_run(&framed);
  assert_true(first_of(&framed, "y") == -11);
  one[0] = 7; /* inputs are borrowed: what stands there counts */
  need_run(&framed);
  assert_true(first_of(&framed, "y") == -17);
  x = framed_floats(1, DIMS(3), two);
  framed_set(&framed, &x);
  need_run(&framed);
  assert_true(first_of(&framed, "y") == -5);
  assert_true(first_of(&framed, "k") == 10); /* constants are found as well */
  assert_ptr_equal(framed_tensor(&framed, "x")->data, two);
  frame_set(framed.frame, -1, &x); /* an input without a slot: nothing happens */
  framed_close(&framed);
}

/* Values move with the arena; what stood in the old one does not count. */
static void arenas_can_be_exchanged(void **state) {
  (void)state;
  framed_model framed;
  float data[3] = {1, 2, 3};
  value x = framed_floats(1, DIMS(3), data);
  model_builder *b = start();
  builder_node(b, "Neg", "x", "n");
  builder_node(b, "Exp", "n", "e");
  builder_node(b, "Add", "n e", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  framed_open(&framed, b, NULL, &x, false);
  need_run(&framed);
  const float expected = first_of(&framed, "y");
  char *other = memory_allocate(framed.model->memory, framed.plan->arena_bytes);
  memset(framed.arena, 0x5A, framed.plan->arena_bytes);
  frame_bind(framed.frame, other);
  need_run(&framed);
  assert_true(first_of(&framed, "y") == expected);
  const char *y = framed_tensor(&framed, "y")->data;
  assert_true(y >= other && y < other + framed.plan->arena_bytes);
  memory_free(framed.model->memory, framed.arena);
  framed.arena = other;
  framed_close(&framed);
}

/* A root may be told to use other memory, such as the caller's buffer; the rest stays in the arena. */
static void roots_can_be_overridden(void **state) {
  (void)state;
  framed_model framed;
  float data[3] = {1, 2, 3}, buffer[3] = {0};
  value x = framed_floats(1, DIMS(3), data);
  model_builder *b = start();
  builder_node(b, "Neg", "x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  framed_open(&framed, b, NULL, &x, false);
  const int slot = framed.plan->outputs[0];
  framed.frame->overrides[framed.plan->slots[slot].root] = buffer;
  frame_bind(framed.frame, framed.arena);
  need_run(&framed);
  assert_true(buffer[0] == -1 && buffer[2] == -3);
  assert_ptr_equal(framed_tensor(&framed, "y")->data, buffer);
  framed_close(&framed);
}

/* A view of an input shows the input of this run. */
static void views_of_inputs_move_with_them(void **state) {
  (void)state;
  framed_model framed;
  float one[4] = {1, 2, 3, 4}, two[4] = {9, 8, 7, 6};
  value x = framed_floats(1, DIMS(4), one);
  model_builder *b = start();
  builder_ints64(b, "square", 1, DIMS(2), DIMS(2, 2));
  builder_node(b, "Reshape", "x square", "v");
  builder_node(b, "Neg", "v", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  framed_open(&framed, b, NULL, &x, false);
  need_run(&framed);
  assert_ptr_equal(framed_tensor(&framed, "v")->data, one);
  x = framed_floats(1, DIMS(4), two);
  framed_set(&framed, &x);
  need_run(&framed);
  assert_ptr_equal(framed_tensor(&framed, "v")->data, two);
  assert_true(first_of(&framed, "y") == -9);
  framed_close(&framed);
}

/* What only a run knows is allocated in it, given back when its last reader is done, and kept where it is an output. */
static void dynamic_values_are_given_back(void **state) {
  (void)state;
  framed_model framed;
  float data[4] = {0, 2, 0, 4}, more[4] = {1, 2, 3, 4};
  value x = framed_floats(1, DIMS(4), data);
  model_builder *b = start();
  builder_ints64(b, "flat", 1, DIMS(1), DIMS(-1));
  builder_node(b, "NonZero", "x", "where");
  builder_node(b, "Reshape", "where flat", "index");
  builder_node(b, "Gather", "x index", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  framed_open(&framed, b, NULL, &x, false);
  const size_t before = norma_runtime_memory_used(framed.runtime);
  need_run(&framed);
  assert_int_equal(framed_tensor(&framed, "y")->dims[0], 2);
  assert_true(first_of(&framed, "y") == 2);
  const graph_value *where = graph_find_value(framed.model->graph, "where");
  assert_int_equal(frame_find(framed.frame, where)->kind, NORMA_VALUE_NONE);
  const size_t with_result = norma_runtime_memory_used(framed.runtime);
  assert_true(with_result > before);
  x = framed_floats(1, DIMS(4), more);
  framed_set(&framed, &x);
  for (int i = 0; i < 10; i++) need_run(&framed); /* the last result goes with each run */
  assert_int_equal(framed_tensor(&framed, "y")->dims[0], 4);
  assert_true(norma_runtime_memory_used(framed.runtime) <= with_result + 64);
  frame_clear(framed.frame);
  assert_int_equal(norma_runtime_memory_used(framed.runtime), before);
  framed_close(&framed);
}

/* --------------------------------------------------------------------------------------------------------- failures */

/* A run that fails is over; the frame can run again. */
static void failures_leave_the_frame_usable(void **state) {
  (void)state;
  framed_model framed;
  float data[2] = {1, 5};
  value inputs[2] = {framed_floats(1, DIMS(2), data), {.kind = NORMA_VALUE_TENSOR}};
  int64_t index = 9;
  norma_tensor_init(&inputs[1].tensor, NORMA_INT64, 0, NULL, &index);
  model_builder *b = start();
  builder_input(b, "i", NORMA_INT64, 0, NULL);
  builder_node(b, "Neg", "x", "n");
  builder_named_node(b, "pick", "", "Gather", "n i", "p");
  builder_node(b, "Abs", "p", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  framed_open(&framed, b, NULL, inputs, false);
  assert_int_equal(framed_run(&framed), NORMA_ERROR_RUN);
  assert_string_equal(framed.error.node, "pick");
  assert_null(framed.executor.frame);
  assert_false(framed.frame->running);
  index = 1;
  need_run(&framed);
  assert_true(first_of(&framed, "y") == 5);
  framed_close(&framed);
}

static void cancelled_runs_end_between_steps(void **state) {
  (void)state;
  framed_model framed;
  interruption interruption = {.work = "run", .cancelled = true};
  float data[2] = {1, 5};
  value x = framed_floats(1, DIMS(2), data);
  model_builder *b = start();
  builder_node(b, "Neg", "x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  framed_open(&framed, b, NULL, &x, true);
  framed.executor.interruption = &interruption;
  assert_int_equal(framed_run(&framed), NORMA_ERROR_CANCELLED);
  assert_int_equal(framed.frame->profile[0].runs, 0);
  atomic_store(&interruption.cancelled, false);
  interruption.deadline_ns = 1;
  assert_int_equal(framed_run(&framed), NORMA_ERROR_DEADLINE);
  interruption.deadline_ns = 0;
  need_run(&framed);
  assert_int_equal(framed.frame->profile[0].runs, 1);
  framed_close(&framed);
}

/* An operator from outside that says one thing while it infers and makes another: later steps rely on what it said. */
typedef struct liar {
  norma_element_type type;
  int rank;
  bool fixed; /* infer says that the size is 2 */
  int64_t dims[2];
} liar;

static norma_status liar_infer(norma_infer_context *context, void *user) {
  const liar *liar = user;
  return norma_infer_set_output(context, 0, NORMA_FLOAT, 1, DIMS(liar->fixed ? 2 : -1));
}

static norma_status liar_compute(norma_run_context *context, void *user) {
  const liar *liar = user;
  norma_tensor *y = norma_run_allocate_output(context, 0, liar->type, liar->rank, liar->dims);
  if (!y) return NORMA_ERROR_OUT_OF_MEMORY;
  memset(y->data, 0, y->size_bytes);
  return NORMA_OK;
}

static void results_must_be_what_was_inferred(void **state) {
  static const struct {
    liar liar;
    bool good;
  } cases[] = {{{NORMA_FLOAT, 1, false, {5}}, true},   {{NORMA_FLOAT, 2, false, {5, 1}}, false},
               {{NORMA_DOUBLE, 1, false, {5}}, false}, {{NORMA_FLOAT, 0, false, {0}}, false},
               {{NORMA_FLOAT, 1, true, {2}}, true},    {{NORMA_FLOAT, 1, true, {3}}, false},
               {{NORMA_INT32, 1, true, {2}}, false}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    liar liar = cases[i].liar;
    framed_model framed;
    norma_runtime *runtime;
    norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
    const norma_custom_operator custom = {.struct_size = sizeof custom,
                                          .domain = "test.house",
                                          .name = "Lie",
                                          .since_version = 1,
                                          .min_inputs = 1,
                                          .max_inputs = 1,
                                          .min_outputs = 1,
                                          .max_outputs = 1,
                                          .infer = liar_infer,
                                          .compute = liar_compute,
                                          .user = &liar};
    assert_int_equal(norma_runtime_create(&options, &runtime, NULL), NORMA_OK);
    assert_int_equal(norma_runtime_register(runtime, &custom, NULL), NORMA_OK);
    float data[2] = {1, 5};
    value x = framed_floats(1, DIMS(2), data);
    model_builder *b = start();
    builder_import(b, "test.house", 1);
    builder_named_node(b, "lie", "test.house", "Lie", "x", "l");
    builder_node(b, "Neg", "l", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    framed_open(&framed, b, runtime, &x, false);
    assert_int_equal(framed_run(&framed), cases[i].good ? NORMA_OK : NORMA_ERROR_RUN);
    if (!cases[i].good) assert_string_equal(framed.error.node, "lie");
    if (!cases[i].good) assert_int_equal(framed.error.status, NORMA_ERROR_RUN);
    framed_close(&framed);
  }
}

/* ------------------------------------------------------------------------------------------------ profile, progress */

static void profiles_count_runs_and_time(void **state) {
  (void)state;
  for (int profile = 0; profile < 2; profile++) {
    framed_model framed;
    float data[2] = {1, 5};
    value x = framed_floats(1, DIMS(2), data);
    model_builder *b = start();
    builder_node(b, "Neg", "x", "n");
    builder_node(b, "Exp", "n", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    framed_open(&framed, b, NULL, &x, profile);
    assert_int_equal(framed.frame->profile != NULL, profile);
    uint64_t before = clock_now_ns();
    for (int i = 0; i < 3; i++) need_run(&framed);
    const uint64_t passed = clock_now_ns() - before;
    for (int s = 0; profile && s < 2; s++) {
      const step_profile *step = &framed.frame->profile[s];
      assert_int_equal(step->runs, 3);
      assert_true(step->last_ns <= step->total_ns && step->total_ns <= passed);
      assert_true(s == 0 || step->start_ns >= framed.frame->profile[0].start_ns);
    }
    framed_close(&framed);
  }
}

typedef struct progress_record {
  size_t done[10], total;
  int count;
} progress_record;

static void note_progress(void *context, size_t done, size_t total) {
  progress_record *record = context;
  assert_true(record->count < 10);
  record->done[record->count++] = done;
  record->total = total;
}

/* Of the outermost graph's steps: those of graphs below nodes are a part of one. */
static void progress_counts_outer_steps(void **state) {
  (void)state;
  framed_model framed;
  progress_record record = {.count = 0};
  bool choice = true;
  float data[2] = {1, 5};
  value inputs[2] = {framed_floats(1, DIMS(2), data), {.kind = NORMA_VALUE_TENSOR}};
  norma_tensor_init(&inputs[1].tensor, NORMA_BOOL, 0, NULL, &choice);
  model_builder *b = start();
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  node *branch = builder_node(b, "If", "choice", "i");
  for (int k = 0; k < 2; k++) {
    model_builder *inner = builder_subgraph(b, branch, k ? "then_branch" : "else_branch");
    builder_node(inner, "Neg", "x", "n");
    builder_node(inner, "Exp", "n", "z");
    builder_output(inner, "z", NORMA_FLOAT, -1, NULL);
  }
  builder_node(b, "Abs", "i", "a");
  builder_node(b, "Neg", "a", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  framed_open(&framed, b, NULL, inputs, false);
  framed.executor.progress = note_progress;
  framed.executor.progress_context = &record;
  need_run(&framed);
  assert_int_equal(record.count, 3);
  assert_int_equal(record.total, 3);
  for (int i = 0; i < 3; i++) assert_int_equal(record.done[i], i + 1);
  framed_close(&framed);
}

/* ----------------------------------------------------------------------------------------------------------- limits */

/* More inputs than a late step has room for on the stack. */
static void late_steps_with_many_inputs(void **state) {
  (void)state;
  framed_model framed;
  float data[3] = {0, 1, 2};
  value x = framed_floats(1, DIMS(3), data);
  char inputs[1000] = "";
  model_builder *b = start();
  builder_node(b, "NonZero", "x", "where");
  for (int i = 0; i < 100; i++) strcat(inputs, i ? " where" : "where");
  builder_int(builder_node(b, "Concat", inputs, "y"), "axis", 0);
  builder_output(b, "y", NORMA_INT64, -1, NULL);
  framed_open(&framed, b, NULL, &x, false);
  need_run(&framed);
  const norma_tensor *y = framed_tensor(&framed, "y");
  assert_int_equal(y->dims[0], 100);
  assert_int_equal(y->dims[1], 2);
  assert_int_equal(tensor_get_int64(y, 199), 2);
  framed_close(&framed);
}

static void empty_graphs_run(void **state) {
  (void)state;
  framed_model framed;
  float data[2] = {1, 5};
  value x = framed_floats(1, DIMS(2), data);
  model_builder *b = start();
  builder_output(b, "x", NORMA_FLOAT, -1, NULL);
  framed_open(&framed, b, NULL, &x, true);
  need_run(&framed);
  assert_ptr_equal(framed_tensor(&framed, "x")->data, data);
  framed_close(&framed);
  frame_destroy(NULL);
}

/* A frame made and run in memory that fails. */
static norma_status run_in(void *context, const norma_allocator *allocator, norma_error *error) {
  framed_model *framed = context;
  memory memory;
  frame *frame;
  memory_init(&memory, allocator, 0);
  executor executor = framed->executor;
  executor.memory = &memory;
  TRY(frame_create(&memory, framed->plan, &executor, true, &frame, error));
  frame_bind(frame, framed->arena);
  frame_set(frame, framed->plan->inputs[0], &framed->frame->values[framed->plan->inputs[0]]);
  norma_status status = frame_run(frame, &executor, error);
  frame_destroy(frame);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  framed_model framed;
  float data[3] = {0, 1, 2};
  char inputs[1000] = "";
  value x = framed_floats(1, DIMS(3), data);
  model_builder *b = start();
  builder_node(b, "NonZero", "x", "where");
  for (int i = 0; i < 70; i++) strcat(inputs, i ? " where" : "where");
  builder_int(builder_node(b, "Concat", inputs, "c"), "axis", 0);
  builder_node(b, "Neg", "c", "y");
  builder_output(b, "y", NORMA_INT64, -1, NULL);
  framed_open(&framed, b, NULL, &x, false);
  assert_int_equal(fail_each_allocation(run_in, &framed), 0);
  framed_close(&framed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(runs_follow_their_inputs),
      cmocka_unit_test(arenas_can_be_exchanged),
      cmocka_unit_test(roots_can_be_overridden),
      cmocka_unit_test(views_of_inputs_move_with_them),
      cmocka_unit_test(dynamic_values_are_given_back),
      cmocka_unit_test(failures_leave_the_frame_usable),
      cmocka_unit_test(cancelled_runs_end_between_steps),
      cmocka_unit_test(results_must_be_what_was_inferred),
      cmocka_unit_test(profiles_count_runs_and_time),
      cmocka_unit_test(progress_counts_outer_steps),
      cmocka_unit_test(late_steps_with_many_inputs),
      cmocka_unit_test(empty_graphs_run),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
