/* Sums fused into the layer that makes one of the summands, with sizes that are known and that are not. */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define BOUND     PASS_BOUND(NORMA_FLOAT)

/* x, float, 2 x 4 x 9 x 8, or with sizes that only a run tells; w3 and w1, weights of 4 channels to 4. */
static model_builder *start(int opset, bool dynamic) {
  model_builder *b = builder_create(opset);
  builder_input(b, "x", NORMA_FLOAT, 4, dynamic ? DIMS(-1, 4, -1, -1) : DIMS(2, 4, 9, 8));
  add_random(b, "w3", NORMA_FLOAT, 4, DIMS(4, 4, 3, 3), -1, 1);
  add_random(b, "w1", NORMA_FLOAT, 4, DIMS(4, 4, 1, 1), -1, 1);
  add_random(b, "d3", NORMA_FLOAT, 4, DIMS(4, 1, 3, 3), -1, 1);
  return b;
}

/* A convolution of 3 x 3 elements that pads by 1. */
static node *add_conv3(model_builder *b, const char *input, const char *output, int64_t stride) {
  char inputs[40] = "";
  strcat(strcat(inputs, input), " w3");
  node *conv = builder_node(b, "Conv", inputs, output);
  builder_ints(conv, "pads", 4, DIMS(1, 1, 1, 1));
  builder_ints(conv, "strides", 2, DIMS(stride, stride));
  return conv;
}

static void expect(model_builder *b, double bound, int count) {
  checked c = check_nodes(b, "fuse_residual", bound, count);
  free_checked(&c);
}

static void sum_fuses_on_either_side(void **state) {
  static const struct {
    const char *op_type, *inputs;
  } sums[] = {{"Add", "c x"}, {"Add", "x c"}, {"Sum", "c x"}, {"Sum", "x c"}};
  (void)state;
  for (int dynamic = 0; dynamic < 2; dynamic++) {
    for (int i = 0; i < 4; i++) {
      model_builder *b = start(13, dynamic);
      add_conv3(b, "x", "c", 1);
      builder_node(b, sums[i].op_type, sums[i].inputs, "y");
      checked c = check_nodes(b, "fuse_residual", BOUND, 1);
      const node *conv = only_node(&c, "Conv");
      assert_int_equal(conv->epilogue.residual_input, 3);
      assert_null(conv->inputs[2]); /* no bias */
      assert_string_equal(conv->inputs[3]->name, "x");
      free_checked(&c);
    }
  }
}

static void depthwise_takes_a_residual(void **state) {
  (void)state;
  model_builder *b = start(13, false);
  node *conv = builder_node(b, "Conv", "x d3", "c");
  builder_int(conv, "group", 4);
  builder_ints(conv, "pads", 4, DIMS(1, 1, 1, 1));
  builder_node(b, "Add", "x c", "y");
  expect(b, BOUND, 1);
}

static void products_take_a_residual(void **state) {
  static const char *const layers[] = {"MatMul", "Gemm"};
  (void)state;
  for (int i = 0; i < 2; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(6, 7));
    builder_input(b, "r", NORMA_FLOAT, 2, DIMS(6, 5));
    add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
    builder_node(b, layers[i], "x w", "c");
    builder_node(b, "Add", "r c", "y");
    checked c = check_nodes(b, "fuse_residual", BOUND, 1);
    assert_int_equal(only_node(&c, layers[i])->epilogue.residual_input, i ? 3 : 2);
    free_checked(&c);
  }
}

/* Products of rank 3 take a bias, then a residual, then an activation. */
static void products_of_rank_three_take_all(void **state) {
  static const char *const sums[] = {"c t", "t c"};
  (void)state;
  for (int i = 0; i < 4; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 3, i < 2 ? DIMS(2, 6, 7) : DIMS(-1, -1, 7));
    add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 7), -1, 1);
    add_random(b, "t", NORMA_FLOAT, 1, DIMS(7), -1, 1);
    builder_node(b, "MatMul", "x w", "c");
    builder_node(b, "Add", sums[i % 2], "d");
    if (i < 2) builder_node(b, "Add", "d x", "e");
    builder_node(b, "Relu", i < 2 ? "e" : "d", "y");
    checked c = check_nodes(b, "fuse_bias fuse_residual fuse_activation", BOUND, 1);
    const node *product = only_node(&c, "MatMul");
    assert_string_equal(product->inputs[2]->name, "t");
    assert_int_equal(product->epilogue.residual_input, i < 2 ? 3 : 0);
    free_checked(&c);
  }
}

static void gemm_with_a_matrix_and_a_residual(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(6, 7));
  builder_input(b, "r", NORMA_FLOAT, 2, DIMS(6, 5));
  builder_input(b, "m", NORMA_FLOAT, 2, DIMS(6, 5));
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
  builder_node(b, "Gemm", "x w m", "c");
  builder_node(b, "Add", "r c", "s");
  builder_node(b, "Relu", "s", "y");
  checked c = check_nodes(b, "fuse_residual fuse_activation", BOUND, 1);
  free_checked(&c);
}

/* The summand comes after the layer, which moves behind it. */
static void layer_moves_behind_the_summand(void **state) {
  (void)state;
  model_builder *b = start(13, false);
  add_conv3(b, "x", "c", 1);
  builder_node(b, "Sigmoid", "x", "s");
  builder_node(b, "Tanh", "s", "t");
  builder_node(b, "Add", "c t", "y");
  checked c = check_nodes(b, "fuse_residual", BOUND, 3);
  assert_string_equal(c.model->graph->last->op_type, "Conv");
  free_checked(&c);
}

/* Of two layers the later one takes the sum; the other keeps its place. */
static void later_layer_takes_the_sum(void **state) {
  (void)state;
  for (int swapped = 0; swapped < 2; swapped++) {
    model_builder *b = start(13, false);
    add_conv3(b, "x", "c", 1);
    builder_node(b, "Conv", "x w1", "d");
    builder_node(b, "Add", swapped ? "d c" : "c d", "s");
    builder_node(b, "Relu", "s", "y");
    checked c = check_nodes(b, "fuse_residual fuse_activation", BOUND, 2);
    assert_int_equal(c.model->graph->first->epilogue.residual_input, 0);
    assert_int_equal(c.model->graph->last->epilogue.residual_input, 3);
    assert_int_equal(c.model->graph->last->epilogue.activation.kind, UNARY_RELU);
    free_checked(&c);
  }
}

static void activation_in_front_of_the_sum_keeps_it_apart(void **state) {
  (void)state;
  model_builder *b = start(13, false);
  add_conv3(b, "x", "c", 1);
  builder_node(b, "Relu", "c", "r");
  builder_node(b, "Add", "r x", "y");
  checked c = check_nodes(b, "fuse_residual fuse_activation", BOUND, 2);
  assert_int_equal(only_node(&c, "Conv")->epilogue.residual_input, 0);
  free_checked(&c);
}

static void x_plus_x_of_a_layer_stays(void **state) {
  (void)state;
  model_builder *b = start(13, false);
  add_conv3(b, "x", "c", 1);
  builder_node(b, "Add", "c c", "y");
  expect(b, 0, 2);
}

static void broadcast_sums_stay(void **state) {
  (void)state;
  model_builder *b = start(13, false);
  builder_input(b, "r", NORMA_FLOAT, 4, DIMS(1, 4, 9, 8));
  add_conv3(b, "x", "c", 1);
  builder_node(b, "Add", "c r", "y");
  expect(b, 0, 2);

  b = start(13, false);
  builder_input(b, "r", NORMA_FLOAT, 5, DIMS(1, 2, 4, 9, 8));
  add_conv3(b, "x", "c", 1);
  builder_node(b, "Add", "c r", "y");
  expect(b, 0, 2);
}

static void sums_of_unrelated_sizes_stay(void **state) {
  (void)state;
  model_builder *b = start(13, true);
  builder_input(b, "r", NORMA_FLOAT, 4, DIMS(-1, 4, -1, -1));
  add_conv3(b, "x", "c", 1);
  builder_node(b, "Add", "c r", "y");
  expect(b, 0, 2);

  b = start(13, true); /* the height of one is the width of the other; a run with squares would not tell */
  add_conv3(b, "x", "c", 1);
  builder_ints(builder_node(b, "Transpose", "x", "t"), "perm", 4, DIMS(0, 1, 3, 2));
  builder_node(b, "Add", "c t", "y");
  expect(b, 0, 3);
}

/* What comes out smaller by one is broadcast only where it comes out as 1, which nobody knows. */
static void sums_of_sizes_that_may_differ_stay(void **state) {
  (void)state;
  model_builder *b = start(13, true);
  builder_ints(builder_node(b, "Conv", "x w3", "c"), "pads", 4, DIMS(1, 1, 1, 1));
  builder_ints(builder_node(b, "MaxPool", "x", "p"), "kernel_shape", 2, DIMS(6, 6)); /* 6 x 6 becomes 1 x 1 */
  builder_node(b, "Add", "c p", "y");
  expect(b, 0, 3);
}

/* Both branches halve x, in different ways; the sizes are the same function of those of x. */
static void branches_of_unknown_size_fuse(void **state) {
  (void)state;
  model_builder *b = start(13, true);
  builder_node(b, "Conv", "x w1", "a");
  builder_node(b, "Relu", "a", "r");
  add_conv3(b, "r", "c", 2);
  node *down = builder_node(b, "Conv", "x w1", "d");
  builder_ints(down, "strides", 2, DIMS(2, 2));
  builder_node(b, "Add", "c d", "y");
  expect(b, BOUND, 4);

  b = start(13, true);
  add_conv3(b, "x", "c", 2);
  node *pool = builder_node(b, "MaxPool", "x", "p");
  builder_ints(pool, "kernel_shape", 2, DIMS(2, 2));
  builder_ints(pool, "strides", 2, DIMS(2, 2));
  builder_string(pool, "auto_pad", "SAME_UPPER");
  builder_node(b, "Add", "p c", "y");
  expect(b, BOUND, 2);
}

/* 2 x 2 windows without padding lose the last row of an odd size, 3 x 3 windows with padding do not. */
static void branches_that_round_differently_stay(void **state) {
  (void)state;
  model_builder *b = start(13, true);
  add_conv3(b, "x", "c", 2);
  node *pool = builder_node(b, "MaxPool", "x", "p");
  builder_ints(pool, "kernel_shape", 2, DIMS(2, 2));
  builder_ints(pool, "strides", 2, DIMS(2, 2));
  builder_node(b, "Add", "p c", "y");
  expect(b, 0, 3);
}

/* Blocks behind each other: the sum of the first, fused already, stands for the size of the second. */
static void chain_of_blocks_fuses(void **state) {
  (void)state;
  model_builder *b = start(13, true);
  add_conv3(b, "x", "a", 1);
  builder_node(b, "Add", "a x", "s");
  builder_node(b, "Relu", "s", "r");
  add_conv3(b, "r", "c", 1);
  builder_node(b, "Add", "c r", "t");
  builder_node(b, "Relu", "t", "y");
  checked c = check_nodes(b, "fuse_residual fuse_activation", BOUND, 2);
  free_checked(&c);
}

static void layer_with_two_readers_stays(void **state) {
  (void)state;
  model_builder *b = start(13, false);
  add_conv3(b, "x", "c", 1);
  builder_node(b, "Add", "c x", "s");
  builder_node(b, "Mul", "c s", "y");
  expect(b, 0, 3);

  b = start(13, false);
  add_conv3(b, "x", "c", 1);
  builder_node(b, "Add", "c x", "y");
  builder_output(b, "c", NORMA_UNDEFINED, -1, NULL);
  expect(b, 0, 2);
}

static void other_types_stay(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_DOUBLE, 4, DIMS(2, 4, 5, 5));
  add_random(b, "w", NORMA_DOUBLE, 4, DIMS(4, 4, 1, 1), -1, 1);
  builder_node(b, "Conv", "x w", "c");
  builder_node(b, "Add", "c x", "y");
  expect(b, 0, 2);
}

/* A branch reads what the layer makes: it is not for the sum alone. */
static void layer_that_a_branch_reads_stays(void **state) {
  (void)state;
  model_builder *b = start(13, false);
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  add_conv3(b, "x", "c", 1);
  builder_node(b, "Add", "c x", "s");
  node *branch = builder_node(b, "If", "choice", "i");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    builder_node(inner, i ? "Neg" : "Abs", "c", "z");
    builder_output(inner, "z", NORMA_FLOAT, -1, NULL);
  }
  builder_node(b, "Sub", "s i", "y");
  expect(b, 0, 6);
}

/* The summand comes from outside the branch that the layer stands in: it is there before. */
static void summands_of_outer_graphs_fuse(void **state) {
  (void)state;
  model_builder *b = start(13, false);
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  builder_node(b, "Tanh", "x", "t");
  node *branch = builder_node(b, "If", "choice", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *inner = builder_subgraph(b, branch, i ? "then_branch" : "else_branch");
    builder_node(inner, "Conv", i ? "x w1" : "t w1", "c");
    builder_node(inner, "Add", "c t", "z");
    builder_output(inner, "z", NORMA_FLOAT, -1, NULL);
  }
  expect(b, BOUND, 4);
}

/* Each sum of a long chain has one layer for itself: x = Conv(x) + x. Loading takes time in proportion to the length;
 * a deterministic measure of it is the memory that a model takes, and the time has a generous bound. */
static void long_chains_of_blocks_load_in_linear_time(void **state) {
  static const int lengths[] = {1000, 10000};
  size_t used[2];
  double seconds[2];
  (void)state;
  for (int l = 0; l < 2; l++) {
    char inputs[60], output[20], sum[20], from[20] = "x";
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4, DIMS(1, 2, 2, 2));
    add_random(b, "w", NORMA_FLOAT, 4, DIMS(2, 2, 1, 1), -0.1, 0.1);
    for (int i = 0; i < lengths[l]; i++) {
      snprintf(inputs, sizeof inputs, "%s w", from);
      snprintf(output, sizeof output, "c%d", i);
      builder_node(b, "Conv", inputs, output);
      snprintf(inputs, sizeof inputs, i % 2 ? "%s %s" : "%s x", output, from);
      snprintf(sum, sizeof sum, "s%d", i);
      builder_node(b, "Add", inputs, sum);
      strcpy(from, sum);
    }
    builder_output(b, from, NORMA_FLOAT, -1, NULL);
    seconds[l] = time_load(b, "fuse_residual", lengths[l], &used[l]);
  }
  if (used[1] > 12 * used[0]) fail_msg("%zu bytes for ten times what took %zu", used[1], used[0]);
  if (seconds[1] > 30 * seconds[0]) fail_msg("%g seconds for ten times what took %g", seconds[1], seconds[0]);
}

/* One layer, and a long chain of sums behind it, of which it takes the first. */
static void long_chains_behind_a_layer_load_in_linear_time(void **state) {
  static const int lengths[] = {1000, 10000};
  size_t used[2];
  double seconds[2];
  (void)state;
  for (int l = 0; l < 2; l++) {
    char inputs[60], sum[20], from[20] = "c";
    model_builder *b = start(13, false);
    builder_node(b, "Conv", "x w1", "c");
    for (int i = 0; i < lengths[l]; i++) {
      snprintf(inputs, sizeof inputs, "%s x", from);
      snprintf(sum, sizeof sum, "s%d", i);
      builder_node(b, "Add", inputs, sum);
      strcpy(from, sum);
    }
    builder_output(b, from, NORMA_FLOAT, -1, NULL);
    seconds[l] = time_load(b, "fuse_residual", lengths[l], &used[l]);
  }
  if (used[1] > 12 * used[0]) fail_msg("%zu bytes for ten times what took %zu", used[1], used[0]);
  if (seconds[1] > 30 * seconds[0]) fail_msg("%g seconds for ten times what took %g", seconds[1], seconds[0]);
}

/* Layers at the beginning whose sums all stand at the end: each moves behind what was computed in between. */
static void many_layers_move_at_once(void **state) {
  enum { LAYERS = 300 };
  char inputs[60], output[20], from[20] = "x";
  (void)state;
  model_builder *b = start(13, false);
  for (int i = 0; i < LAYERS; i++) {
    snprintf(output, sizeof output, "c%d", i);
    builder_node(b, "Conv", "x w1", output);
  }
  for (int i = 0; i < LAYERS; i++) { /* the chain takes the layers in a mixed order */
    snprintf(inputs, sizeof inputs, "c%d %s", i * 7 % LAYERS, from);
    snprintf(output, sizeof output, i + 1 < LAYERS ? "s%d" : "y", i);
    builder_node(b, "Add", inputs, output);
    strcpy(from, output);
  }
  checked c = check_nodes(b, "fuse_residual", 20 * BOUND, LAYERS);
  const node *previous = NULL;
  for (const node *node = c.model->graph->first; node; previous = node, node = node->next) {
    assert_int_equal(node->epilogue.residual_input, 3);
    if (!previous) continue;
    assert_ptr_equal(node->inputs[3], previous->outputs[0]);
    assert_true(node_stands_before(previous, node) && !node_stands_before(node, previous));
  }
  free_checked(&c);
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = start(13, false);
  add_conv3(b, "x", "c", 1);
  builder_node(b, "Add", "c x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, "fuse_residual");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sum_fuses_on_either_side),
      cmocka_unit_test(depthwise_takes_a_residual),
      cmocka_unit_test(products_take_a_residual),
      cmocka_unit_test(products_of_rank_three_take_all),
      cmocka_unit_test(gemm_with_a_matrix_and_a_residual),
      cmocka_unit_test(layer_moves_behind_the_summand),
      cmocka_unit_test(later_layer_takes_the_sum),
      cmocka_unit_test(activation_in_front_of_the_sum_keeps_it_apart),
      cmocka_unit_test(x_plus_x_of_a_layer_stays),
      cmocka_unit_test(broadcast_sums_stay),
      cmocka_unit_test(sums_of_unrelated_sizes_stay),
      cmocka_unit_test(sums_of_sizes_that_may_differ_stay),
      cmocka_unit_test(branches_of_unknown_size_fuse),
      cmocka_unit_test(branches_that_round_differently_stay),
      cmocka_unit_test(chain_of_blocks_fuses),
      cmocka_unit_test(layer_with_two_readers_stays),
      cmocka_unit_test(other_types_stay),
      cmocka_unit_test(layer_that_a_branch_reads_stays),
      cmocka_unit_test(summands_of_outer_graphs_fuse),
      cmocka_unit_test(long_chains_of_blocks_load_in_linear_time),
      cmocka_unit_test(long_chains_behind_a_layer_load_in_linear_time),
      cmocka_unit_test(many_layers_move_at_once),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
