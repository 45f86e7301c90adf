/* Loop in whole models: when it ends, what it carries, what it stacks, what it sees of the graph around it, and what
 * ends a loop without end. */
#include "tests/support/opened_model.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* A loop whose body doubles what it carries as long as that stays below 100, and stacks what it had before.
 * `controls`: the names of trip count and condition, "-" where absent. */
static model_builder *make_doubling(int64_t opset, const char *inputs) {
  model_builder *builder = builder_create(opset);
  builder_input(builder, "trips", NORMA_INT64, 0, NULL);
  builder_input(builder, "condition", NORMA_BOOL, 0, NULL);
  builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){2});
  builder_floats(builder, "limit", 0, NULL, (float[]){100});
  node *loop = builder_node(builder, "Loop", inputs, "last all");
  model_builder *body = builder_subgraph(builder, loop, "body");
  builder_input(body, "i", NORMA_INT64, 0, NULL);
  builder_input(body, "go", NORMA_BOOL, 0, NULL);
  builder_input(body, "v", NORMA_FLOAT, -1, NULL);
  builder_node(body, "Add", "v v", "doubled");
  node *sum = builder_node(body, "ReduceMax", "doubled", "most");
  builder_int(sum, "keepdims", 0);
  builder_node(body, "Less", "most limit", "more");
  builder_node(body, "Identity", "v", "before");
  builder_output(body, "more", NORMA_UNDEFINED, -1, NULL);
  builder_output(body, "doubled", NORMA_UNDEFINED, -1, NULL);
  builder_output(body, "before", NORMA_UNDEFINED, -1, NULL);
  builder_output(builder, "last", NORMA_FLOAT, -1, NULL);
  builder_output(builder, "all", NORMA_FLOAT, -1, NULL);
  return builder;
}

static void set_doubling(opened_model *opened, int64_t *trips, uint8_t *condition, float *x) {
  opened_set(opened, "trips", NORMA_INT64, 0, NULL, trips);
  opened_set(opened, "condition", NORMA_BOOL, 0, NULL, condition);
  opened_set(opened, "x", NORMA_FLOAT, 1, (int64_t[]){2}, x);
}

/* After `steps` doublings of {1, 3}. */
static void assert_doubled(const opened_model *opened, int steps) {
  double last[2] = {ldexp(1, steps), ldexp(3, steps)}, all[80];
  for (int i = 0; i < steps; i++) {
    all[2 * i] = ldexp(1, i);
    all[2 * i + 1] = ldexp(3, i);
  }
  opened_assert_floats(opened, 0, 1, (int64_t[]){2}, last);
  opened_assert_floats(opened, 1, 2, (int64_t[]){steps, 2}, all);
}

/* 3 * 2^n reaches 100 after 6 doublings. */
static void trip_count_and_condition_end_a_loop(void **state) {
  (void)state;
  static const int64_t opsets[] = {9, 11, 13, 16, 19, 21, 23, 24, 25};
  float x[2] = {1, 3};
  for (size_t o = 0; o < sizeof opsets / sizeof *opsets; o++) {
    FOR_EACH_LEVEL(level) {
      model_builder *builder = make_doubling(opsets[o], "trips condition x");
      opened_model opened = opened_load(builder, tested_levels[level]);
      static const struct {
        int64_t trips;
        bool condition;
        int steps;
      } cases[] = {{3, true, 3}, {100, true, 6}, {INT64_MAX, true, 6}, {1, true, 1},
                   {0, true, 0}, {-5, true, 0},  {3, false, 0}};
      for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        int64_t trips = cases[c].trips;
        uint8_t condition = cases[c].condition;
        set_doubling(&opened, &trips, &condition, x);
        opened_run(&opened);
        assert_doubled(&opened, cases[c].steps);
      }
      opened_free(&opened);
      builder_destroy(builder);
    }
  }
}

/* Without a condition that of the body is ignored; without a trip count it alone decides. */
static void controls_may_be_absent(void **state) {
  (void)state;
  float x[2] = {1, 3};
  static const struct {
    const char *inputs;
    int steps;
  } cases[] = {{"trips - x", 9}, {"- condition x", 6}};
  for (size_t c = 0; c < 2; c++) {
    FOR_EACH_LEVEL(level) {
      model_builder *builder = make_doubling(16, cases[c].inputs);
      opened_model opened = opened_load(builder, tested_levels[level]);
      int64_t trips = 9;
      uint8_t condition = 1;
      set_doubling(&opened, &trips, &condition, x);
      opened_run(&opened);
      assert_doubled(&opened, cases[c].steps);
      opened_free(&opened);
      builder_destroy(builder);
    }
  }
}

/* Shapes that change from iteration to iteration: a list that grows, and a result that says how long it was. */
static void carried_tensors_may_change_shape(void **state) {
  (void)state;
  float x[1] = {7};
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(13);
    builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){1});
    builder_ints64(builder, "five", 0, NULL, (int64_t[]){5});
    node *loop = builder_node(builder, "Loop", "five - x", "grown sizes");
    model_builder *body = builder_subgraph(builder, loop, "body");
    builder_input(body, "i", NORMA_INT64, 0, NULL);
    builder_input(body, "go", NORMA_BOOL, 0, NULL);
    builder_input(body, "v", NORMA_FLOAT, 1, (int64_t[]){-1});
    builder_int(builder_node(body, "Cast", "i", "index"), "to", NORMA_FLOAT);
    builder_ints64(body, "axes", 1, (int64_t[]){1}, (int64_t[]){0});
    builder_node(body, "Unsqueeze", "index axes", "row");
    builder_int(builder_node(body, "Concat", "v row", "longer"), "axis", 0);
    builder_node(body, "Size", "longer", "size");
    builder_output(body, "go", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "longer", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "size", NORMA_UNDEFINED, -1, NULL);
    builder_node(builder, "Neg", "grown", "y");
    builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
    builder_output(builder, "sizes", NORMA_INT64, -1, NULL);
    opened_model opened = opened_load(builder, tested_levels[level]);
    norma_value_info info;
    assert_int_equal(norma_model_output(opened.model, 0, &info), NORMA_OK);
    assert_int_equal(info.rank, 1);
    assert_int_equal(info.dims[0], -1);
    assert_int_equal(norma_model_output(opened.model, 1, &info), NORMA_OK);
    assert_int_equal(info.rank, 1);
    assert_int_equal(info.dims[0], 5);
    opened_set(&opened, "x", NORMA_FLOAT, 1, (int64_t[]){1}, x);
    for (int round = 0; round < 2; round++) {
      opened_run(&opened);
      opened_assert_floats(&opened, 0, 1, (int64_t[]){6}, (double[]){-7, 0, -1, -2, -3, -4});
      opened_assert_tensor(norma_session_output(opened.session, 1), NORMA_INT64, 1, (int64_t[]){5},
                           (double[]){2, 3, 4, 5, 6});
    }
    opened_free(&opened);
    builder_destroy(builder);
  }
}

static void carried_ranks_may_change(void **state) {
  (void)state;
  float x[1] = {7};
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(13);
    builder_input(builder, "x", NORMA_FLOAT, 0, NULL);
    builder_ints64(builder, "three", 0, NULL, (int64_t[]){3});
    builder_ints64(builder, "axes", 1, (int64_t[]){1}, (int64_t[]){0});
    node *loop = builder_node(builder, "Loop", "three - x", "y");
    model_builder *body = builder_subgraph(builder, loop, "body");
    builder_input(body, "i", NORMA_INT64, 0, NULL);
    builder_input(body, "go", NORMA_BOOL, 0, NULL);
    builder_input(body, "v", NORMA_FLOAT, -1, NULL);
    builder_node(body, "Unsqueeze", "v axes", "deeper");
    builder_output(body, "go", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "deeper", NORMA_UNDEFINED, -1, NULL);
    builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
    opened_model opened = opened_load(builder, tested_levels[level]);
    opened_set(&opened, "x", NORMA_FLOAT, 0, NULL, x);
    opened_run(&opened);
    opened_assert_floats(&opened, 0, 3, (int64_t[]){1, 1, 1}, (double[]){7});
    opened_free(&opened);
    builder_destroy(builder);
  }
}

/* A sequence and an optional are carried; the sequence is read after the loop. */
static void sequences_and_optionals_are_carried(void **state) {
  (void)state;
  float x[2] = {1, 2};
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(16);
    builder_input(builder, "trips", NORMA_INT64, 0, NULL);
    builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){2});
    builder_node(builder, "SequenceEmpty", "", "empty");
    builder_node(builder, "Optional", "x", "full");
    node *loop = builder_node(builder, "Loop", "trips - empty full", "list option");
    model_builder *body = builder_subgraph(builder, loop, "body");
    value_info tensor = {.kind = NORMA_VALUE_TENSOR, .type = NORMA_FLOAT, .shape = {.rank = RANK_UNKNOWN}};
    value_info sequence = {.kind = NORMA_VALUE_SEQUENCE, .shape = {.rank = RANK_UNKNOWN}, .item = &tensor};
    value_info optional = {.kind = NORMA_VALUE_OPTIONAL, .shape = {.rank = RANK_UNKNOWN}, .item = &tensor};
    builder_input(body, "i", NORMA_INT64, 0, NULL);
    builder_input(body, "go", NORMA_BOOL, 0, NULL);
    builder_input_info(body, "s", &sequence);
    builder_input_info(body, "o", &optional);
    builder_node(body, "OptionalGetElement", "o", "element");
    builder_node(body, "SequenceInsert", "s element", "longer");
    builder_node(body, "Add", "element element", "doubled");
    builder_node(body, "Optional", "doubled", "next");
    builder_output(body, "go", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "longer", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "next", NORMA_UNDEFINED, -1, NULL);
    builder_int(builder_node(builder, "ConcatFromSequence", "list", "joined"), "axis", 0);
    builder_node(builder, "OptionalGetElement", "option", "last");
    builder_output(builder, "joined", NORMA_FLOAT, -1, NULL);
    builder_output(builder, "last", NORMA_FLOAT, -1, NULL);
    builder_output_info(builder, "list", &sequence);
    opened_model opened = opened_load(builder, tested_levels[level]);
    opened_set(&opened, "x", NORMA_FLOAT, 1, (int64_t[]){2}, x);
    for (int64_t trips = 3; trips > 0; trips--) {
      opened_set(&opened, "trips", NORMA_INT64, 0, NULL, &trips);
      opened_run(&opened);
      opened_assert_floats(&opened, 0, 1, (int64_t[]){2 * trips}, (double[]){1, 2, 2, 4, 4, 8});
      opened_assert_floats(&opened, 1, 1, (int64_t[]){2}, (double[]){ldexp(1, (int)trips), ldexp(2, (int)trips)});
      assert_int_equal(norma_value_count(norma_session_output(opened.session, 2)), trips);
    }
    opened_free(&opened);
    builder_destroy(builder);
  }
}

/* Loops within loops, with values from both graphs around the inner one and an If below. */
static void loops_nest(void **state) {
  (void)state;
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(13);
    builder_input(builder, "x", NORMA_FLOAT, 0, NULL);
    builder_ints64(builder, "four", 0, NULL, (int64_t[]){4});
    builder_floats(builder, "one", 0, NULL, (float[]){1});
    builder_floats(builder, "hundred", 0, NULL, (float[]){100});
    node *outer_loop = builder_node(builder, "Loop", "four - x", "y rows");
    model_builder *outer = builder_subgraph(builder, outer_loop, "body");
    builder_input(outer, "i", NORMA_INT64, 0, NULL);
    builder_input(outer, "go", NORMA_BOOL, 0, NULL);
    builder_input(outer, "v", NORMA_FLOAT, 0, NULL);
    builder_int(builder_node(outer, "Cast", "i", "fi"), "to", NORMA_FLOAT);
    node *inner_loop = builder_node(outer, "Loop", "i - v", "w row"); /* i iterations: none at first */
    model_builder *inner = builder_subgraph(outer, inner_loop, "body");
    builder_input(inner, "j", NORMA_INT64, 0, NULL);
    builder_input(inner, "go inside", NORMA_BOOL, 0, NULL);
    builder_input(inner, "u", NORMA_FLOAT, 0, NULL);
    builder_node(inner, "Less", "u hundred", "small");
    node *choice = builder_node(inner, "If", "small", "chosen");
    model_builder *yes = builder_subgraph(inner, choice, "then_branch");
    builder_node(yes, "Add", "u fi", "sum");
    builder_output(yes, "sum", NORMA_UNDEFINED, -1, NULL);
    model_builder *no = builder_subgraph(inner, choice, "else_branch");
    builder_node(no, "Sub", "u x", "difference");
    builder_output(no, "difference", NORMA_UNDEFINED, -1, NULL);
    builder_output(inner, "go inside", NORMA_UNDEFINED, -1, NULL);
    builder_output(inner, "chosen", NORMA_UNDEFINED, -1, NULL);
    builder_output(inner, "chosen", NORMA_UNDEFINED, -1, NULL);
    builder_node(outer, "Add", "w one", "w1");
    builder_int(builder_node(outer, "ReduceSum", "row", "total"), "keepdims", 0);
    builder_output(outer, "go", NORMA_UNDEFINED, -1, NULL);
    builder_output(outer, "w1", NORMA_UNDEFINED, -1, NULL);
    builder_output(outer, "total", NORMA_UNDEFINED, -1, NULL);
    builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
    builder_output(builder, "rows", NORMA_FLOAT, -1, NULL);

    opened_model opened = opened_load(builder, tested_levels[level]);
    for (int round = 0; round < 2; round++) {
      float x = round ? 90 : 2, v = x;
      double totals[4];
      for (int i = 0; i < 4; i++) {
        totals[i] = 0;
        for (int j = 0; j < i; j++) {
          v = v < 100 ? v + (float)i : v - x;
          totals[i] += v;
        }
        v += 1;
      }
      opened_set(&opened, "x", NORMA_FLOAT, 0, NULL, &x);
      opened_run(&opened);
      opened_assert_floats(&opened, 0, 0, NULL, (double[]){v});
      opened_assert_floats(&opened, 1, 1, (int64_t[]){4}, totals);
    }
    opened_free(&opened);
    builder_destroy(builder);
  }
}

/* One output of every element type that can be stacked, from a constant of the body. */
static void stacks_every_element_type(void **state) {
  (void)state;
  for (int type = 1; type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    if (!element_type_exists((norma_element_type)type) || type == NORMA_STRING) continue;
    for (int64_t trips = 0; trips < 12; trips += 3) {
      uint8_t data[3 * 16];
      for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(type == NORMA_BOOL ? i % 3 == 0 : 37 * i + 11);
      const int bits = element_type_bits((norma_element_type)type);
      const size_t row_bits = 3 * (size_t)bits;
      if (row_bits % 8) data[row_bits / 8] &= (uint8_t)((1u << row_bits % 8) - 1);
      model_builder *builder = builder_create(25);
      builder_input(builder, "trips", NORMA_INT64, 0, NULL);
      node *loop = builder_node(builder, "Loop", "trips", "all");
      model_builder *body = builder_subgraph(builder, loop, "body");
      builder_input(body, "i", NORMA_INT64, 0, NULL);
      builder_input(body, "go", NORMA_BOOL, 0, NULL);
      builder_initializer(body, "row", (norma_element_type)type, 1, (int64_t[]){3}, data);
      builder_output(body, "go", NORMA_UNDEFINED, -1, NULL);
      builder_output(body, "row", NORMA_UNDEFINED, -1, NULL);
      builder_output(builder, "all", (norma_element_type)type, -1, NULL);
      opened_model opened = opened_load(builder, NORMA_OPTIMIZE_FULL);
      opened_set(&opened, "trips", NORMA_INT64, 0, NULL, &trips);
      opened_run(&opened);
      const norma_tensor *all = opened_output(&opened, 0);
      assert_int_equal(all->type, type);
      assert_int_equal(all->rank, 2);
      assert_int_equal(all->dims[0], trips);
      assert_int_equal(all->dims[1], 3);
      assert_int_equal(all->size_bytes, ((size_t)trips * row_bits + 7) / 8);
      for (size_t bit = 0; bit < (size_t)trips * row_bits; bit++) {
        const int expected = data[bit % row_bits / 8] >> (bit % row_bits % 8) & 1;
        const int got = ((const uint8_t *)all->data)[bit / 8] >> (bit % 8) & 1;
        if (got != expected) fail_msg("type %d, bit %zu: expected %d, got %d", type, bit, expected, got);
      }
      opened_free(&opened);
      builder_destroy(builder);
    }
  }
}

static void stacks_and_carries_strings(void **state) {
  (void)state;
  static const char *const words[2] = {"a", "a longer text than fits a pointer"};
  FOR_EACH_LEVEL(level) {
    for (int64_t trips = 0; trips < 8; trips += 7) {
      model_builder *builder = builder_create(13);
      builder_input(builder, "trips", NORMA_INT64, 0, NULL);
      builder_strings(builder, "words", 1, (int64_t[]){2}, words);
      node *loop = builder_node(builder, "Loop", "trips - words", "last all");
      model_builder *body = builder_subgraph(builder, loop, "body");
      builder_input(body, "i", NORMA_INT64, 0, NULL);
      builder_input(body, "go", NORMA_BOOL, 0, NULL);
      builder_input(body, "v", NORMA_STRING, 1, (int64_t[]){2});
      builder_ints64(body, "order", 1, (int64_t[]){2}, (int64_t[]){1, 0});
      builder_node(body, "Gather", "v order", "swapped");
      builder_output(body, "go", NORMA_UNDEFINED, -1, NULL);
      builder_output(body, "swapped", NORMA_UNDEFINED, -1, NULL);
      builder_output(body, "swapped", NORMA_UNDEFINED, -1, NULL);
      builder_output(builder, "last", NORMA_STRING, -1, NULL);
      builder_output(builder, "all", NORMA_STRING, -1, NULL);
      opened_model opened = opened_load(builder, tested_levels[level]);
      opened_set(&opened, "trips", NORMA_INT64, 0, NULL, &trips);
      opened_run(&opened);
      const norma_tensor *last = opened_output(&opened, 0), *all = opened_output(&opened, 1);
      assert_int_equal(all->rank, 2);
      assert_int_equal(all->dims[0], trips);
      assert_int_equal(all->dims[1], 2);
      for (int64_t i = 0; i < 2 * trips + 2; i++) {
        const norma_string *got =
            i < 2 * trips ? (const norma_string *)all->data + i : (const norma_string *)last->data + (i - 2 * trips);
        const int64_t swaps = i < 2 * trips ? i / 2 + 1 : trips;
        const char *expected = words[(i + swaps) % 2];
        assert_int_equal(got->size, strlen(expected));
        assert_memory_equal(got->data, expected, got->size);
      }
      opened_free(&opened);
      builder_destroy(builder);
    }
  }
}

/* What no iteration gives has the shape that inference finds for the inputs of this run. */
static void no_iteration_gives_inferred_shapes(void **state) {
  (void)state;
  static const float x[12];
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(13);
    builder_input(builder, "x", NORMA_FLOAT, 2, (int64_t[]){-1, -1});
    builder_input(builder, "trips", NORMA_INT64, 0, NULL);
    node *loop = builder_node(builder, "Loop", "trips - x", "y swapped");
    model_builder *body = builder_subgraph(builder, loop, "body");
    builder_input(body, "i", NORMA_INT64, 0, NULL);
    builder_input(body, "go", NORMA_BOOL, 0, NULL);
    builder_input(body, "v", NORMA_FLOAT, -1, NULL);
    builder_node(body, "Neg", "v", "n");
    builder_node(body, "Transpose", "x", "t"); /* captured */
    builder_output(body, "go", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "n", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "t", NORMA_UNDEFINED, -1, NULL);
    builder_output(builder, "swapped", NORMA_FLOAT, -1, NULL);
    opened_model opened = opened_load(builder, tested_levels[level]);
    opened_set(&opened, "x", NORMA_FLOAT, 2, (int64_t[]){4, 3}, x);
    for (int64_t trips = 0; trips < 3; trips++) {
      opened_set(&opened, "trips", NORMA_INT64, 0, NULL, &trips);
      opened_run(&opened);
      opened_assert_floats(&opened, 0, 3, (int64_t[]){trips, 3, 4}, (double[24]){0});
    }
    opened_free(&opened);
    builder_destroy(builder);
  }
}

/* Values that a loop carries unchanged are shared, not copied in each iteration: so a loop of 2,000 iterations needs no
 * memory for copies, which the budget would not allow, and hardly more time than one. */
static void unchanged_values_are_shared(void **state) {
  (void)state;
  const int64_t count = 1 << 20;
  float *x = calloc((size_t)count, sizeof *x);
  assert_non_null(x);
  x[count - 1] = 5;
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(13);
    builder_input(builder, "x", NORMA_FLOAT, 1, &count);
    builder_ints64(builder, "many", 0, NULL, (int64_t[]){2000});
    node *loop = builder_node(builder, "Loop", "many - x", "y");
    model_builder *body = builder_subgraph(builder, loop, "body");
    builder_input(body, "i", NORMA_INT64, 0, NULL);
    builder_input(body, "go", NORMA_BOOL, 0, NULL);
    builder_input(body, "v", NORMA_FLOAT, -1, NULL);
    builder_node(body, "Identity", "v", "same");
    builder_output(body, "go", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "same", NORMA_UNDEFINED, -1, NULL);
    builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
    norma_runtime_options options = {.struct_size = sizeof options, .max_memory_bytes = 14u << 20};
    norma_runtime *runtime;
    assert_int_equal(norma_runtime_create(&options, &runtime, NULL), NORMA_OK);
    opened_model opened;
    if (opened_try_load(&opened, builder, tested_levels[level], runtime) != NORMA_OK)
      fail_msg("%s", opened.error.message);
    opened_set(&opened, "x", NORMA_FLOAT, 1, &count, x);
    opened_run(&opened);
    assert_float_equal(((const float *)opened_output(&opened, 0)->data)[count - 1], 5, 0);
    opened_free(&opened);
    norma_runtime_destroy(runtime);
    builder_destroy(builder);
  }
  free(x);
}

/* ------------------------------------------------------------------------------------------------ loops without end */

/* Runs until something ends it. `grows`: what it stacks grows as well. `hollow`: the body has no node. */
static model_builder *make_endless(bool grows, bool hollow) {
  model_builder *builder = builder_create(13);
  builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){1024});
  node *loop = builder_node(builder, "Loop", "- - x", grows ? "y all" : "y");
  model_builder *body = builder_subgraph(builder, loop, "body");
  builder_input(body, "i", NORMA_INT64, 0, NULL);
  builder_input(body, "go", NORMA_BOOL, 0, NULL);
  builder_input(body, "v", NORMA_FLOAT, -1, NULL);
  if (!hollow) builder_node(body, "Neg", "v", "n");
  builder_output(body, "go", NORMA_UNDEFINED, -1, NULL);
  builder_output(body, hollow ? "v" : "n", NORMA_UNDEFINED, -1, NULL);
  if (grows) builder_output(body, "v", NORMA_UNDEFINED, -1, NULL);
  builder_output(builder, grows ? "all" : "y", NORMA_FLOAT, -1, NULL);
  return builder;
}

static void *cancel_soon(void *session) {
  const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
  nanosleep(&pause, NULL);
  norma_session_cancel(session);
  return NULL;
}

static void cancel_and_deadline_end_a_loop(void **state) {
  (void)state;
  static const float x[1024];
  for (int hollow = 0; hollow < 2; hollow++) {
    model_builder *builder = make_endless(false, hollow);
    opened_model opened = opened_load(builder, NORMA_OPTIMIZE_FULL);
    opened_set(&opened, "x", NORMA_FLOAT, 1, (int64_t[]){1024}, x);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, opened.session), 0);
    opened_assert_run_fails(&opened, NORMA_ERROR_CANCELLED, "cancelled");
    pthread_join(thread, NULL);
    norma_session_set_timeout(opened.session, 0.02);
    opened_assert_run_fails(&opened, NORMA_ERROR_DEADLINE, "time limit");
    opened_free(&opened);
    builder_destroy(builder);
  }
}

static void the_memory_budget_ends_a_loop(void **state) {
  (void)state;
  static const float x[1024];
  FOR_EACH_LEVEL(level) {
    model_builder *builder = make_endless(true, false);
    norma_runtime_options options = {.struct_size = sizeof options, .max_memory_bytes = 32u << 20};
    norma_runtime *runtime;
    assert_int_equal(norma_runtime_create(&options, &runtime, NULL), NORMA_OK);
    opened_model opened;
    if (opened_try_load(&opened, builder, tested_levels[level], runtime) != NORMA_OK)
      fail_msg("%s", opened.error.message);
    opened_set(&opened, "x", NORMA_FLOAT, 1, (int64_t[]){1024}, x);
    const size_t used = norma_runtime_memory_used(runtime);
    for (int round = 0; round < 2; round++) {
      opened_assert_run_fails(&opened, NORMA_ERROR_BUDGET, "budget");
      assert_true(norma_runtime_memory_used(runtime) < used + (1u << 20));
    }
    opened_free(&opened);
    norma_runtime_destroy(runtime);
    builder_destroy(builder);
  }
}

/* --------------------------------------------------------------------------------------------------------- refusals */

/* `carried` names inputs of the node behind the controls; the body has as many inputs as `body_inputs` names. */
static model_builder *make_wrong(const char *inputs, const char *outputs, int body_inputs, int body_outputs) {
  static const char *const names[] = {"i", "go", "v", "w"};
  model_builder *builder = builder_create(13);
  builder_input(builder, "trips", NORMA_INT64, -1, NULL);
  builder_input(builder, "condition", NORMA_BOOL, -1, NULL);
  builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){2});
  node *loop = builder_node(builder, "Loop", inputs, outputs);
  model_builder *body = builder_subgraph(builder, loop, "body");
  for (int i = 0; i < body_inputs; i++) builder_input(body, names[i], NORMA_UNDEFINED, -1, NULL);
  for (int i = 0; i < body_outputs; i++) builder_output(body, names[1 + i], NORMA_UNDEFINED, -1, NULL);
  builder_output(builder, "y", NORMA_UNDEFINED, -1, NULL);
  return builder;
}

static void refuses_bodies_that_do_not_fit(void **state) {
  (void)state;
  opened_assert_refused(make_wrong("trips condition x", "y", 4, 2), "body has 4 inputs, expected 3");
  opened_assert_refused(make_wrong("trips condition x", "y", 2, 1), "body has 2 inputs, expected 3");
  opened_assert_refused(make_wrong("trips condition x", "y", 3, 1), "body has 1 outputs");
  opened_assert_refused(make_wrong("trips condition x", "y z", 3, 2), "body has 2 outputs");
  opened_assert_refused(make_wrong("condition trips x", "y", 3, 2), "the trip count is bool");
  opened_assert_refused(make_wrong("trips trips x", "y", 3, 2), "the condition is int64");
  opened_assert_refused(make_wrong("x condition x", "y", 3, 2), "the trip count is float");

  model_builder *builder = builder_create(13);
  builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){2});
  builder_node(builder, "Loop", "- - x", "y");
  builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
  opened_assert_refused(builder, "body");
}

/* A carried float that becomes an int64, a tensor that becomes a sequence, a sequence that is stacked. */
static void refuses_what_changes_its_type(void **state) {
  (void)state;
  static const struct {
    const char *op_type, *outputs, *text;
    bool stacks;
  } cases[] = {{"Shape", "y", "carried value 0 has element types float and int64", false},
               {"SequenceConstruct", "y", "carried value 0 is a tensor and a sequence", false},
               {"SequenceConstruct", "z y", "what becomes output 1 is no tensor", true}};
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    model_builder *builder = builder_create(13);
    builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){2});
    node *loop = builder_node(builder, "Loop", "- - x", cases[c].outputs);
    model_builder *body = builder_subgraph(builder, loop, "body");
    builder_input(body, "i", NORMA_INT64, 0, NULL);
    builder_input(body, "go", NORMA_BOOL, 0, NULL);
    builder_input(body, "v", NORMA_FLOAT, -1, NULL);
    builder_node(body, cases[c].op_type, "v", "made");
    builder_output(body, "go", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, cases[c].stacks ? "v" : "made", NORMA_UNDEFINED, -1, NULL);
    if (cases[c].stacks) builder_output(body, "made", NORMA_UNDEFINED, -1, NULL);
    builder_output(builder, "y", NORMA_UNDEFINED, -1, NULL);
    opened_assert_refused(builder, cases[c].text);
  }
}

static void fails_in_the_run(void **state) {
  (void)state;
  static const float x[2];
  model_builder *builder = make_wrong("trips condition x", "y", 3, 2);
  opened_model opened = opened_load(builder, NORMA_OPTIMIZE_FULL);
  opened_set(&opened, "x", NORMA_FLOAT, 1, (int64_t[]){2}, x);
  opened_set(&opened, "condition", NORMA_BOOL, 1, (int64_t[]){2}, (uint8_t[]){1, 1});
  opened_set(&opened, "trips", NORMA_INT64, 0, NULL, (int64_t[]){1});
  assert_int_not_equal(opened_try_run(&opened), NORMA_OK);
  assert_non_null(strstr(opened.error.message, "the condition"));
  opened_set(&opened, "condition", NORMA_BOOL, 1, (int64_t[]){1}, (uint8_t[]){1});
  opened_set(&opened, "trips", NORMA_INT64, 1, (int64_t[]){2}, (int64_t[]){1, 1});
  assert_int_not_equal(opened_try_run(&opened), NORMA_OK);
  assert_non_null(strstr(opened.error.message, "the trip count"));
  opened_set(&opened, "trips", NORMA_INT64, 1, (int64_t[]){1}, (int64_t[]){1});
  opened_run(&opened);
  opened_free(&opened);
  builder_destroy(builder);
}

/* What is stacked must keep its shape; the error names both. */
static void stacked_elements_keep_their_shape(void **state) {
  (void)state;
  static const float x[1];
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(13);
    builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){1});
    builder_ints64(builder, "three", 0, NULL, (int64_t[]){3});
    node *loop = builder_node(builder, "Loop", "three - x", "y all");
    model_builder *body = builder_subgraph(builder, loop, "body");
    builder_input(body, "i", NORMA_INT64, 0, NULL);
    builder_input(body, "go", NORMA_BOOL, 0, NULL);
    builder_input(body, "v", NORMA_FLOAT, -1, NULL);
    builder_int(builder_node(body, "Concat", "v v", "longer"), "axis", 0);
    builder_output(body, "go", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "longer", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "longer", NORMA_UNDEFINED, -1, NULL);
    builder_output(builder, "all", NORMA_FLOAT, -1, NULL);
    opened_model opened = opened_load(builder, tested_levels[level]);
    opened_set(&opened, "x", NORMA_FLOAT, 1, (int64_t[]){1}, x);
    opened_assert_run_fails(&opened, NORMA_ERROR_RUN, "output 1 is now float 4, at first it was float 2");
    assert_string_equal(opened.error.op_type, "Loop");
    opened_free(&opened);
    builder_destroy(builder);
  }
}

/* Thirty loops within each other: inference looks at each body a bounded number of times. */
static void deep_nests_are_inferred_in_time(void **state) {
  (void)state;
  static const float x[1];
  enum { DEPTH = 30 };
  model_builder *builders[DEPTH + 1] = {builder_create(13)};
  builder_input(builders[0], "v0", NORMA_FLOAT, 1, (int64_t[]){1});
  builder_ints64(builders[0], "one", 0, NULL, (int64_t[]){1});
  for (int d = 0; d < DEPTH; d++) {
    char name[32], inputs[64], outputs[32];
    snprintf(inputs, sizeof inputs, "one - v%d", d);
    snprintf(outputs, sizeof outputs, "y%d", d);
    node *loop = builder_node(builders[d], "Loop", inputs, outputs);
    builders[d + 1] = builder_subgraph(builders[d], loop, "body");
    snprintf(name, sizeof name, "i%d", d);
    builder_input(builders[d + 1], name, NORMA_INT64, 0, NULL);
    snprintf(name, sizeof name, "go%d", d);
    builder_input(builders[d + 1], name, NORMA_BOOL, 0, NULL);
    builder_output(builders[d + 1], name, NORMA_UNDEFINED, -1, NULL);
    snprintf(name, sizeof name, "v%d", d + 1);
    builder_input(builders[d + 1], name, NORMA_FLOAT, -1, NULL);
  }
  builder_int(builder_node(builders[DEPTH], "Concat", "v30 v30", "y30"), "axis", 0);
  for (int d = DEPTH; d > 0; d--) {
    char name[32];
    snprintf(name, sizeof name, "y%d", d);
    builder_output(builders[d], name, NORMA_UNDEFINED, -1, NULL);
  }
  builder_output(builders[0], "y0", NORMA_FLOAT, -1, NULL);
  opened_model opened = opened_load(builders[0], NORMA_OPTIMIZE_FULL);
  opened_set(&opened, "v0", NORMA_FLOAT, 1, (int64_t[]){1}, x);
  opened_run(&opened);
  opened_assert_floats(&opened, 0, 1, (int64_t[]){2}, (double[]){0, 0});
  opened_free(&opened);
  builder_destroy(builders[0]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(trip_count_and_condition_end_a_loop),
      cmocka_unit_test(controls_may_be_absent),
      cmocka_unit_test(carried_tensors_may_change_shape),
      cmocka_unit_test(carried_ranks_may_change),
      cmocka_unit_test(sequences_and_optionals_are_carried),
      cmocka_unit_test(loops_nest),
      cmocka_unit_test(stacks_every_element_type),
      cmocka_unit_test(stacks_and_carries_strings),
      cmocka_unit_test(no_iteration_gives_inferred_shapes),
      cmocka_unit_test(unchanged_values_are_shared),
      cmocka_unit_test(cancel_and_deadline_end_a_loop),
      cmocka_unit_test(the_memory_budget_ends_a_loop),
      cmocka_unit_test(refuses_bodies_that_do_not_fit),
      cmocka_unit_test(refuses_what_changes_its_type),
      cmocka_unit_test(fails_in_the_run),
      cmocka_unit_test(stacked_elements_keep_their_shape),
      cmocka_unit_test(deep_nests_are_inferred_in_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
