/* Whether two values have the same shape in every run, as far as a model tells: what is said must hold for any sizes,
 * and what holds for the usual branches of networks must be said. */
#include "engine/passes/shape_relation.h"

#include "engine/graph/model.h"
#include "tests/support/model_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

static norma_model *load(model_builder *b, const char *a, const char *c) {
  size_t size;
  norma_error error;
  norma_model *model;
  norma_load_options options = {.struct_size = sizeof options, .optimization = NORMA_OPTIMIZE_NONE};
  builder_output(b, a, NORMA_UNDEFINED, -1, NULL);
  if (strcmp(a, c) != 0) builder_output(b, c, NORMA_UNDEFINED, -1, NULL);
  const void *bytes = builder_bytes(b, &size);
  if (norma_model_load_memory(bytes, size, &options, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  builder_destroy(b);
  return model;
}

/* Loads and asks, both ways round. */
static void expect_same(model_builder *b, const char *a, const char *c, bool same) {
  norma_model *model = load(b, a, c);
  const graph_value *first = graph_find_value(model->graph, a), *second = graph_find_value(model->graph, c);
  if (values_have_same_shape(first, second) != same) fail_msg("%s and %s", a, c);
  assert_int_equal(values_have_same_shape(second, first), same);
  assert_true(first->info.shape.rank == RANK_UNKNOWN || values_have_same_shape(first, first));
  norma_model_destroy(model);
}

/* x: a batch of pictures of any size, 4 channels. */
static model_builder *start(void) {
  model_builder *b = builder_create(13);
  float weights[4 * 4 * 9] = {0};
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(-1, 4, -1, -1));
  builder_floats(b, "w1", 4, DIMS(4, 4, 1, 1), weights);
  builder_floats(b, "w3", 4, DIMS(4, 4, 3, 3), weights);
  builder_floats(b, "w2", 4, DIMS(4, 4, 2, 2), weights);
  return b;
}

/* A convolution with square windows. */
static void add_conv(model_builder *b, const char *inputs, const char *output, int64_t pad, int64_t stride) {
  node *conv = builder_node(b, "Conv", inputs, output);
  builder_ints(conv, "pads", 4, DIMS(pad, pad, pad, pad));
  builder_ints(conv, "strides", 2, DIMS(stride, stride));
}

static void known_sizes_are_compared(void **state) {
  static const struct {
    int ranks[2];
    int64_t dims[2][3];
    bool same;
  } cases[] = {{{2, 2}, {{3, 4}, {3, 4}}, true},
               {{2, 2}, {{3, 4}, {4, 3}}, false},
               {{2, 3}, {{3, 4}, {1, 3, 4}}, false},
               {{0, 0}, {{0}, {0}}, true},
               {{1, 1}, {{1}, {5}}, false}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "a", NORMA_FLOAT, cases[i].ranks[0], cases[i].dims[0]);
    builder_input(b, "c", NORMA_FLOAT, cases[i].ranks[1], cases[i].dims[1]);
    expect_same(b, "a", "c", cases[i].same);
  }
}

static void unknown_sizes_of_different_inputs_may_differ(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "a", NORMA_FLOAT, 2, DIMS(-1, 4));
  builder_input(b, "c", NORMA_FLOAT, 2, DIMS(-1, 4));
  expect_same(b, "a", "c", false);
  b = builder_create(13); /* one is known, the other is not */
  builder_input(b, "a", NORMA_FLOAT, 2, DIMS(-1, 4));
  builder_input(b, "c", NORMA_FLOAT, 2, DIMS(3, 4));
  expect_same(b, "a", "c", false);
}

static void unknown_ranks_and_containers_are_not_compared(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "a", NORMA_FLOAT, -1, NULL);
  builder_node(b, "Neg", "a", "c");
  expect_same(b, "a", "c", false);
  b = builder_create(13);
  builder_input(b, "a", NORMA_FLOAT, 1, DIMS(3));
  builder_node(b, "SequenceConstruct", "a", "c");
  norma_model *model = load(b, "a", "c");
  const graph_value *sequence = graph_find_value(model->graph, "c");
  assert_false(values_have_same_shape(sequence, sequence));
  assert_false(values_have_same_shape(graph_find_value(model->graph, "a"), sequence));
  norma_model_destroy(model);
}

static void functions_of_elements_keep_the_shape(void **state) {
  static const char *const op_types[] = {"Relu", "Neg", "Erf", "Identity", "Softmax", "LRN"};
  (void)state;
  for (size_t i = 0; i < sizeof op_types / sizeof *op_types; i++) {
    model_builder *b = start();
    node *node = builder_node(b, op_types[i], "x", "y");
    if (strcmp(op_types[i], "LRN") == 0) builder_int(node, "size", 3);
    expect_same(b, "x", "y", true);
  }
}

/* Windows that give as many outputs as they take in, or the same smaller number, by other pads, kernels and dilations.
 */
static void windows_are_functions_of_their_input(void **state) {
  (void)state;
  model_builder *b = start();
  add_conv(b, "x w3", "y", 1, 1);
  expect_same(b, "x", "y", true);

  b = start(); /* one row less */
  add_conv(b, "x w2", "y", 0, 1);
  expect_same(b, "x", "y", false);

  b = start(); /* both halve: floor((n + 1) / 2) */
  add_conv(b, "x w3", "a", 1, 2);
  add_conv(b, "x w1", "c", 0, 2);
  expect_same(b, "a", "c", true);

  b = start(); /* floor(n / 2) */
  add_conv(b, "x w3", "a", 1, 2);
  add_conv(b, "x w2", "c", 0, 2);
  expect_same(b, "a", "c", false);

  b = start(); /* twice by 2 is once by 4 */
  add_conv(b, "x w1", "h", 0, 2);
  add_conv(b, "h w1", "a", 0, 2);
  add_conv(b, "x w1", "c", 0, 4);
  expect_same(b, "a", "c", true);

  b = start(); /* 3 x 3 pads that are cut again, and a dilated window */
  add_conv(b, "x w3", "h", 2, 1);
  add_conv(b, "h w3", "a", 0, 1);
  node *dilated = builder_node(b, "Conv", "x w3", "c");
  builder_ints(dilated, "dilations", 2, DIMS(3, 3));
  builder_ints(dilated, "pads", 4, DIMS(3, 3, 3, 3));
  expect_same(b, "a", "c", true);

  b = start(); /* a pool and a convolution */
  node *pool = builder_node(b, "MaxPool", "x", "a");
  builder_ints(pool, "kernel_shape", 2, DIMS(3, 3));
  builder_ints(pool, "strides", 2, DIMS(2, 2));
  builder_ints(pool, "pads", 4, DIMS(1, 1, 1, 1));
  add_conv(b, "x w1", "c", 0, 2);
  expect_same(b, "a", "c", true);

  b = start(); /* rounded up instead of down */
  pool = builder_node(b, "MaxPool", "x", "a");
  builder_ints(pool, "kernel_shape", 2, DIMS(2, 2));
  builder_ints(pool, "strides", 2, DIMS(2, 2));
  builder_int(pool, "ceil_mode", 1);
  add_conv(b, "x w2", "c", 0, 2);
  expect_same(b, "a", "c", false);
}

/* Each dimension on its own: the height of one is the width of the other. */
static void axes_are_not_confused(void **state) {
  (void)state;
  model_builder *b = start();
  builder_ints(builder_node(b, "Transpose", "x", "y"), "perm", 4, DIMS(0, 1, 3, 2));
  expect_same(b, "x", "y", false);

  b = start();
  builder_ints(builder_node(b, "Transpose", "x", "t"), "perm", 4, DIMS(0, 1, 3, 2));
  builder_ints(builder_node(b, "Transpose", "t", "y"), "perm", 4, DIMS(0, 1, 3, 2));
  norma_model *model =
      load(b, "x", "y"); /* true; whether it is found is not promised, only that nothing wrong is said */
  values_have_same_shape(graph_find_value(model->graph, "x"), graph_find_value(model->graph, "y"));
  norma_model_destroy(model);
}

/* A sum has the size of the operand that is not 1 there, where only one can be another. */
static void broadcast_sums_follow_one_operand(void **state) {
  (void)state;
  model_builder *b = start();
  builder_floats(b, "k", 3, DIMS(4, 1, 1), (float[4]){1});
  builder_node(b, "Add", "x k", "y");
  expect_same(b, "x", "y", true);

  b = start(); /* both may be 1, or not */
  builder_input(b, "z", NORMA_FLOAT, 4, DIMS(-1, 4, 1, -1));
  builder_node(b, "Mul", "x z", "y");
  expect_same(b, "x", "y", false);

  b = start(); /* the operand brings a dimension more */
  builder_floats(b, "k", 5, DIMS(1, 1, 4, 1, 1), (float[4]){1});
  builder_node(b, "Add", "x k", "y");
  expect_same(b, "x", "y", false);
}

/* What depends on data, or on numbers that only a run knows, has no source. */
static void sizes_from_data_have_no_source(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 1, DIMS(-1));
  builder_node(b, "NonZero", "x", "a");
  builder_node(b, "NonZero", "x", "c");
  expect_same(b, "a", "c", false);
}

/* Products of strides that would leave the range of numbers end the search, without an answer. */
static void long_chains_of_strides_end(void **state) {
  enum { LENGTH = 60 };
  char inputs[40], from[16], to[16];
  (void)state;
  model_builder *b = start();
  for (int side = 0; side < 2; side++) {
    strcpy(from, "x");
    for (int i = 0; i < LENGTH; i++) {
      snprintf(inputs, sizeof inputs, "%s w1", from);
      snprintf(to, sizeof to, "%s%d", side ? "a" : "c", i);
      add_conv(b, inputs, to, 0, 4);
      strcpy(from, to);
    }
  }
  snprintf(from, sizeof from, "a%d", LENGTH - 1);
  snprintf(to, sizeof to, "c%d", LENGTH - 1);
  norma_model *model = load(b, from, to);
  assert_false(values_have_same_shape(graph_find_value(model->graph, from), graph_find_value(model->graph, to)));
  norma_model_destroy(model);
}

/* The search has an end, too: behind thousands of nodes it gives up rather than take the square of their number. */
static void long_chains_are_followed_for_a_while(void **state) {
  enum { LENGTH = 9000 };
  char from[16] = "x", to[16];
  (void)state;
  model_builder *b = start();
  for (int i = 0; i < LENGTH; i++) {
    snprintf(to, sizeof to, "a%d", i);
    builder_node(b, i % 2 ? "Relu" : "Neg", from, to);
    strcpy(from, to);
  }
  norma_model *model = load(b, "x", from);
  const graph_value *x = graph_find_value(model->graph, "x");
  assert_true(values_have_same_shape(x, graph_find_value(model->graph, "a1000")));
  assert_false(values_have_same_shape(x, graph_find_value(model->graph, from)));
  norma_model_destroy(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_sizes_are_compared),
      cmocka_unit_test(unknown_sizes_of_different_inputs_may_differ),
      cmocka_unit_test(unknown_ranks_and_containers_are_not_compared),
      cmocka_unit_test(functions_of_elements_keep_the_shape),
      cmocka_unit_test(windows_are_functions_of_their_input),
      cmocka_unit_test(axes_are_not_confused),
      cmocka_unit_test(broadcast_sums_follow_one_operand),
      cmocka_unit_test(sizes_from_data_have_no_source),
      cmocka_unit_test(long_chains_of_strides_end),
      cmocka_unit_test(long_chains_are_followed_for_a_while),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
