/* A shuffle of channels in blocks goes into the grouped convolution behind it, which looks its channels up;
 * ShuffleNet's units compute what they compute plain. */
#include "tests/engine/passes/block_check.h"
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PASSES "recognize_channel_shuffle block_layout fold_channel_shuffle"
#define BOUND  2e-5 /* Winograd included */

/* y = x with its channels transposed between groups, as exporters write it. */
static void add_shuffle(model_builder *b, const char *x, const char *y, int64_t group, int64_t channels, int64_t size) {
  char split[32], whole[32], names[4][96];
  snprintf(split, sizeof split, "%s.split", y);
  snprintf(whole, sizeof whole, "%s.whole", y);
  builder_ints64(b, split, 1, (int64_t[]){5}, (int64_t[]){-1, group, channels / group, size, size});
  builder_ints64(b, whole, 1, (int64_t[]){4}, (int64_t[]){-1, channels, size, size});
  snprintf(names[0], sizeof names[0], "%s %s", x, split);
  snprintf(names[1], sizeof names[1], "%s.a", y);
  snprintf(names[2], sizeof names[2], "%s.b", y);
  snprintf(names[3], sizeof names[3], "%s.b %s", y, whole);
  builder_node(b, "Reshape", names[0], names[1]);
  builder_ints(builder_node(b, "Transpose", names[1], names[2]), "perm", 5, (int64_t[]){0, 2, 1, 3, 4});
  builder_node(b, "Reshape", names[3], y);
}

/* -------------------------------------------------------------------------------------------------------- the graph */

/* x -> 60 channels, c -> shuffled by 4 groups, s. */
static model_builder *shuffle_model(void) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){2, 3, 7, 7});
  block_conv(b, "x", "c", (block_conv_form){.channels = 3, .outputs = 60, .kernel = 3});
  add_shuffle(b, "c", "s", 4, 60, 7);
  return b;
}

static checked check_shuffle(model_builder *b) {
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  return check_passes(b, PASSES, BOUND);
}

static const node *only_shuffle(const checked *c) {
  const node *shuffle = only_node(c, "ChannelShuffle");
  assert_string_equal(shuffle->domain, "norma");
  return shuffle;
}

/* The sketch of the pass: nobody reads the shuffle any more, and channel i of the convolution is source(i) of c. */
static void the_order_of_channels_is_looked_up(void **state) {
  (void)state;
  model_builder *b = shuffle_model();
  block_conv(b, "s", "y", (block_conv_form){.channels = 60, .outputs = 120, .group = 4});
  checked c = check_shuffle(b);
  const node *shuffle = only_shuffle(&c), *grouped = only_node(&c, "GroupedConv");
  size_t count;
  const int64_t *order = attribute_ints(grouped, "order", &count);
  assert_ptr_equal(grouped->inputs[0], shuffle->inputs[0]);
  assert_int_equal(count, 60);
  for (int64_t i = 0; i < 60; i++) assert_int_equal(order[i], i % 4 * 15 + i / 4);
  free_checked(&c);
}

/* A depthwise convolution between gets its weights and bias in the order of c, and reads past the shuffle. */
static void depthwise_weights_move(void **state) {
  (void)state;
  for (int with_bias = 0; with_bias < 2; with_bias++) {
    model_builder *b = shuffle_model();
    block_conv_form form = {.channels = 60, .outputs = 60, .group = 60, .kernel = 3, .without_bias = !with_bias};
    block_conv(b, "s", "d", form);
    block_conv(b, "d", "y", (block_conv_form){.channels = 60, .outputs = 120, .group = 4});
    checked c = check_shuffle(b);
    const node *grouped = only_node(&c, "GroupedConv"), *depthwise = grouped->inputs[0]->producer;
    assert_non_null(node_attribute(grouped, "order"));
    assert_string_equal(depthwise->op_type, "Conv");
    assert_ptr_equal(depthwise->inputs[0], only_shuffle(&c)->inputs[0]);
    assert_string_not_equal(depthwise->inputs[1]->name, "d.w");
    assert_null(graph_find_value(c.model->graph, "d.w")->constant);
    if (with_bias) assert_null(graph_find_value(c.model->graph, "d.b")->constant);
    free_checked(&c);
  }
}

/* Whoever else reads what the depthwise convolution makes would get its channels in another order. */
static void depthwise_with_other_readers_keeps_its_order(void **state) {
  static const char *const readers[] = {"a plain one", "one in blocks", "the graph"};
  (void)state;
  for (int i = 0; i < 3; i++) {
    model_builder *b = shuffle_model();
    block_conv(b, "s", "d", (block_conv_form){.channels = 60, .outputs = 60, .group = 60, .kernel = 3});
    block_conv(b, "d", "g", (block_conv_form){.channels = 60, .outputs = 60, .group = 4});
    if (i == 0) builder_ints(builder_node(b, "Transpose", "d", "t"), "perm", 4, (int64_t[]){0, 1, 3, 2});
    if (i == 0) builder_output(b, "t", NORMA_FLOAT, -1, NULL);
    if (i == 2) builder_output(b, "d", NORMA_FLOAT, -1, NULL);
    builder_node(b, i == 1 ? "Add" : "Relu", i == 1 ? "g d" : "g", "y");
    checked c = check_shuffle(b);
    const node *shuffle = only_shuffle(&c);
    if (node_attribute(only_node(&c, "GroupedConv"), "order")) fail_msg("beside %s", readers[i]);
    assert_true(shuffle->outputs[0]->use_count >= 1);
    free_checked(&c);
  }
}

/* Of the shuffle itself others may read: it stays for them. */
static void other_readers_keep_the_shuffle(void **state) {
  (void)state;
  model_builder *b = shuffle_model();
  block_conv(b, "s", "g", (block_conv_form){.channels = 60, .outputs = 60, .group = 4});
  builder_node(b, "Add", "g s", "y");
  checked c = check_shuffle(b);
  assert_non_null(node_attribute(only_node(&c, "GroupedConv"), "order"));
  assert_int_equal(only_shuffle(&c)->outputs[0]->use_count, 2); /* Add, and what makes it plain */
  free_checked(&c);
}

/* Two shuffles behind each other are looked up at once. */
static void orders_are_joined(void **state) {
  (void)state;
  model_builder *b = shuffle_model();
  add_shuffle(b, "s", "s2", 3, 60, 7);
  block_conv(b, "s2", "y", (block_conv_form){.channels = 60, .outputs = 120, .group = 4});
  checked c = check_shuffle(b);
  size_t count;
  const int64_t *order = attribute_ints(only_node(&c, "GroupedConv"), "order", &count);
  assert_int_equal(count, 60);
  for (int64_t i = 0; i < 60; i++) {
    const int64_t middle = i % 3 * 20 + i / 3;
    assert_int_equal(order[i], middle % 4 * 15 + middle / 4);
  }
  free_checked(&c);
}

/* A convolution that is not grouped reads the shuffled block. */
static void other_convolutions_read_the_shuffle(void **state) {
  (void)state;
  model_builder *b = shuffle_model();
  block_conv(b, "s", "y", (block_conv_form){.channels = 60, .outputs = 32});
  checked c = check_shuffle(b);
  assert_true(only_shuffle(&c)->outputs[0]->use_count >= 1);
  assert_int_equal(count_nodes(&c, "GroupedConv"), 0);
  free_checked(&c);
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = shuffle_model();
  block_conv(b, "s", "d", (block_conv_form){.channels = 60, .outputs = 60, .group = 60, .kernel = 3});
  block_conv(b, "d", "y", (block_conv_form){.channels = 60, .outputs = 120, .group = 4});
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASSES);
}

/* ---------------------------------------------------------------------------------------------------------- results */

/* Two units of ShuffleNet; the first halves the image and joins what pooling gives. */
static void shuffled_groups_stay_in_blocks(void **state) {
  (void)state;
  /* groups, channels before and in the first unit; reorders: groups of very few channels are computed plain */
  static const int64_t cases[][4] = {{4, 24, 112, 1}, {4, 136, 136, 1}, {3, 21, 39, -1},
                                     {2, 50, 34, 1},  {8, 64, 72, -1},  {5, 40, 40, -1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t group = cases[i][0], c = cases[i][1], m = cases[i][2], all = c + m;
    bool has_groups = all % group == 0;
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){-1, 3, 18, 18});
    block_conv(b, "x", "c0", (block_conv_form){.channels = 3, .outputs = c, .kernel = 3});
    block_conv(b, "c0", "c1", (block_conv_form){.channels = c, .outputs = m, .group = c % group == 0 ? group : 1});
    builder_node(b, "Relu", "c1", "r1");
    add_shuffle(b, "r1", "s1", m % group == 0 ? group : 1, m, 18);
    block_conv(b, "s1", "d1", (block_conv_form){.channels = m, .outputs = m, .group = m, .kernel = 3, .stride = 2});
    block_conv(b, "d1", "e1", (block_conv_form){.channels = m, .outputs = m, .group = group});
    node *average = builder_node(b, "AveragePool", "c0", "p1");
    builder_ints(average, "kernel_shape", 2, (int64_t[]){3, 3});
    builder_ints(average, "strides", 2, (int64_t[]){2, 2});
    builder_ints(average, "pads", 4, (int64_t[]){1, 1, 1, 1});
    builder_int(builder_node(b, "Concat", i & 1 ? "e1 p1" : "p1 e1", "j1"), "axis", 1);
    builder_node(b, "Relu", "j1", "u1");
    block_conv(b, "u1", "c2", (block_conv_form){.channels = all, .outputs = all, .group = (has_groups ? group : 1)});
    add_shuffle(b, "c2", "s2", has_groups ? group : 1, all, 9);
    block_conv(b, "s2", "d2", (block_conv_form){.channels = all, .outputs = all, .group = all, .kernel = 3});
    block_conv(b, "d2", "e2", (block_conv_form){.channels = all, .outputs = all, .group = (has_groups ? group : 1)});
    builder_node(b, "Sum", "u1 e2", "v2");
    builder_node(b, "GlobalAveragePool", "v2", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    char what[96];
    snprintf(what, sizeof what, "%d groups of %d and %d channels", (int)group, (int)c, (int)m);
    check_blocks(b,
                 &(block_case){.what = what, .input = {2, 3, 18, 18}, .reorders = (int)cases[i][3], .any_batch = true});
  }
}

/* A shuffle whose result has other readers, or is read by what cannot take its channels in any order. */
static void shuffles_that_cannot_be_folded_run(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){-1, 3, 7, 7});
    block_conv(b, "x", "c1", (block_conv_form){.channels = 3, .outputs = 60, .kernel = 3});
    add_shuffle(b, i == 0 ? "x" : "c1", "s1", i == 0 ? 3 : 4, i == 0 ? 3 : 60, 7);
    block_conv(b, "s1", "d1",
               (block_conv_form){
                   .channels = i == 0 ? 3 : 60, .outputs = i == 0 ? 3 : 60, .group = i == 0 ? 3 : 60, .kernel = 3});
    if (i == 0) { /* nothing but the shuffle and a convolution of its channels, one by one */
      builder_node(b, "GlobalAveragePool", "d1", "y");
    } else if (i == 1) { /* both results have readers that keep them */
      block_conv(b, "d1", "e1", (block_conv_form){.channels = 60, .outputs = 60, .group = 4});
      builder_node(b, "Add", "d1 e1", "v1");
      builder_node(b, "Mul", "v1 s1", "y");
    } else if (i == 2) { /* no depthwise convolution between */
      block_conv(b, "s1", "e1", (block_conv_form){.channels = 60, .outputs = 60, .group = 4});
      builder_node(b, "Add", "d1 e1", "y");
    } else { /* another shuffle behind the first */
      add_shuffle(b, "s1", "s2", 3, 60, 7);
      block_conv(b, "s2", "d2", (block_conv_form){.channels = 60, .outputs = 60, .group = 60, .kernel = 3});
      block_conv(b, "d2", "y", (block_conv_form){.channels = 60, .outputs = 120, .group = 3});
    }
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    char what[32];
    snprintf(what, sizeof what, "shuffle %d", i);
    check_blocks(b, &(block_case){.what = what, .input = {2, 3, 7, 7}, .reorders = -1, .any_batch = true});
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_order_of_channels_is_looked_up),
      cmocka_unit_test(depthwise_weights_move),
      cmocka_unit_test(depthwise_with_other_readers_keeps_its_order),
      cmocka_unit_test(other_readers_keep_the_shuffle),
      cmocka_unit_test(orders_are_joined),
      cmocka_unit_test(other_convolutions_read_the_shuffle),
      cmocka_unit_test(allocations_that_fail_are_reported),
      cmocka_unit_test(shuffled_groups_stay_in_blocks),
      cmocka_unit_test(shuffles_that_cannot_be_folded_run),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
