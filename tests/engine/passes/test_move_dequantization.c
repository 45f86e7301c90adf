/* Operators that move elements take integers in place of floats: the result is the same to the bit. */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define PASS      "move_dequantization"

/* x as integers q of scale s and zero point z, dequantised as d. */
static model_builder *start(void) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(1, 4, 6, 6));
  add_number(b, "s", NORMA_FLOAT, 0.02);
  add_number(b, "z", NORMA_UINT8, 100);
  builder_node(b, "QuantizeLinear", "x s z", "q");
  builder_node(b, "DequantizeLinear", "q s z", "d");
  return b;
}

static void movers_take_integers(void **state) {
  (void)state;
  for (int i = 0; i < 5; i++) {
    model_builder *b = start();
    builder_ints64(b, "indices", 1, DIMS(2), DIMS(3, 0));
    if (i == 0) builder_ints(builder_node(b, "Transpose", "d", "y"), "perm", 4, DIMS(0, 2, 3, 1));
    if (i == 1) builder_int(builder_node(b, "Flatten", "d", "y"), "axis", 2);
    if (i == 2) builder_int(builder_node(b, "Gather", "d indices", "y"), "axis", 1);
    if (i == 3) builder_ints(builder_node(b, "MaxPool", "d", "y"), "kernel_shape", 2, DIMS(2, 3));
    if (i == 4) builder_node(b, "Identity", "d", "y");
    checked c = check_nodes(b, PASS, 0, 3);
    const node *last = only_node(&c, "DequantizeLinear");
    assert_string_equal(last->outputs[0]->name, "y");
    assert_int_equal(last->inputs[0]->info.type, NORMA_UINT8);
    free_checked(&c);
  }
}

/* With other parameters numbers are rounded anew. */
static void pairs_of_the_same_parameters_go(void **state) {
  (void)state;
  model_builder *b = start();
  builder_node(b, "Transpose", "d", "t");
  builder_node(b, "QuantizeLinear", "t s z", "q2");
  builder_node(b, "DequantizeLinear", "q2 s z", "y");
  expect_nodes(b, PASS, 0, 3);

  b = start();
  add_number(b, "s2", NORMA_FLOAT, 0.03);
  builder_node(b, "QuantizeLinear", "d s2 z", "q2");
  builder_node(b, "DequantizeLinear", "q2 s2 z", "y");
  expect_nodes(b, PASS, 0, 4);
}

static void other_readers_keep_the_floats(void **state) {
  (void)state;
  model_builder *b = start();
  builder_ints(builder_node(b, "Transpose", "d", "t"), "perm", 4, DIMS(0, 1, 3, 2));
  builder_node(b, "Add", "d t", "y");
  checked c = check_nodes(b, PASS, 0, 5);
  assert_int_equal(count_nodes(&c, "DequantizeLinear"), 2);
  free_checked(&c);
}

/* Scales along an axis do not stay with their elements, and averages are no elements. */
static void what_is_left_alone(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, 4));
  add_numbers(b, "s", NORMA_FLOAT, 1, DIMS(4), (const double[]){0.01, 0.02, 0.03, 0.04});
  add_numbers(b, "z", NORMA_INT8, 1, DIMS(4), (const double[]){1, 2, 3, 4});
  builder_node(b, "QuantizeLinear", "x s z", "q");
  builder_node(b, "DequantizeLinear", "q s z", "d");
  builder_node(b, "Transpose", "d", "y");
  checked c = check_nodes(b, PASS, 0, 3);
  assert_int_equal(only_node(&c, "Transpose")->inputs[0]->info.type, NORMA_FLOAT);
  free_checked(&c);

  b = start();
  builder_node(b, "GlobalAveragePool", "d", "y");
  c = check_nodes(b, PASS, 0, 3);
  assert_int_equal(only_node(&c, "GlobalAveragePool")->inputs[0]->info.type, NORMA_FLOAT);
  free_checked(&c);
}

/* QuantizeLinear meets what computes its numbers. */
static void quantization_moves_in_front(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    model_builder *b = start();
    builder_ints64(b, "shape", 1, DIMS(2), DIMS(4, -1));
    builder_node(b, "GlobalAveragePool", "d", "a");
    if (i == 0) builder_node(b, "Reshape", "a shape", "m");
    if (i == 1) builder_ints(builder_node(b, "Transpose", "a", "m"), "perm", 4, DIMS(3, 1, 0, 2));
    builder_node(b, "QuantizeLinear", "m s z", "y");
    checked c = check_nodes(b, PASS, 0, 5);
    const node *mover = only_node(&c, i == 0 ? "Reshape" : "Transpose");
    assert_string_equal(mover->outputs[0]->name, "y");
    assert_int_equal(mover->inputs[0]->info.type, NORMA_UINT8);
    free_checked(&c);
  }
}

/* A slice would leave out some of what was quantised. */
static void quantization_stays_behind_choices(void **state) {
  (void)state;
  model_builder *b = start();
  builder_ints64(b, "indices", 1, DIMS(1), DIMS(3));
  builder_node(b, "Sigmoid", "d", "a");
  builder_int(builder_node(b, "Gather", "a indices", "m"), "axis", 1);
  builder_node(b, "QuantizeLinear", "m s z", "y");
  checked c = check_nodes(b, PASS, 0, 5);
  assert_int_equal(only_node(&c, "Gather")->inputs[0]->info.type, NORMA_FLOAT);
  free_checked(&c);
}

static void graph_outputs_keep_their_names(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "q", NORMA_INT8, 1, DIMS(5));
  add_number(b, "s", NORMA_FLOAT, 0.5);
  builder_node(b, "DequantizeLinear", "q s", "d");
  add_number(b, "z", NORMA_INT8, 0);
  builder_node(b, "QuantizeLinear", "d s z", "y");
  builder_output(b, "y", NORMA_INT8, 1, DIMS(5));
  checked c = check_passes(b, PASS, 0);
  assert_int_equal(count_nodes(&c, NULL), 2); /* between a graph's input and output something has to stand */
  free_checked(&c);
}

static void memory_may_run_out(void **state) {
  (void)state;
  model_builder *b = start();
  builder_node(b, "Transpose", "d", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(movers_take_integers),           cmocka_unit_test(pairs_of_the_same_parameters_go),
      cmocka_unit_test(other_readers_keep_the_floats),  cmocka_unit_test(what_is_left_alone),
      cmocka_unit_test(quantization_moves_in_front),    cmocka_unit_test(quantization_stays_behind_choices),
      cmocka_unit_test(graph_outputs_keep_their_names), cmocka_unit_test(memory_may_run_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
