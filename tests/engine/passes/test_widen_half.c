/* Half precision becomes float from the first product on: what joins, what stays, and that weights which nobody has
 * read yet are widened as they are read. */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define PASSES    "widen_half constant_folding dead_code_elimination remove_identity"

static const norma_element_type half_types[] = {NORMA_FLOAT16, NORMA_BFLOAT16};

static model_builder *half_model(norma_element_type type) {
  model_builder *b = builder_create(17);
  builder_input(b, "x", type, 3, DIMS(-1, 5, 8));
  add_random(b, "w", type, 2, DIMS(8, 6), -1, 1);
  add_random(b, "k", type, 1, DIMS(6), -1, 1);
  return b;
}

static norma_element_type type_of_input(const checked *checked, const char *op_type) {
  return only_node(checked, op_type)->inputs[0]->info.type;
}

static void stretches_become_float(void **state) {
  (void)state;
  for (int t = 0; t < 2; t++) {
    model_builder *b = half_model(half_types[t]);
    builder_node(b, "MatMul", "x w", "m");
    builder_node(b, "Softmax", "m", "s");
    builder_ints64(b, "shape", 1, DIMS(3), DIMS(-1, 6, 5));
    builder_node(b, "Reshape", "s shape", "r"); /* moves elements */
    builder_node(b, "Transpose", "r", "p");
    builder_node(b, "Add", "p p", "y");
    checked c = check_nodes(b, PASSES, PASS_BOUND(half_types[t]), 7); /* two Casts */
    assert_int_equal(count_nodes(&c, "Cast"), 2);
    assert_int_equal(type_of_input(&c, "MatMul"), NORMA_FLOAT);
    assert_int_equal(only_node(&c, "MatMul")->inputs[1]->info.type, NORMA_FLOAT);
    assert_int_equal(type_of_input(&c, "Transpose"), NORMA_FLOAT);
    assert_int_equal(type_of_input(&c, "Add"), NORMA_FLOAT);
    assert_int_equal(c.model->graph->outputs[0]->info.type, half_types[t]);
    free_checked(&c);
  }
}

/* What stands in front of the first product, and what only moves elements of half precision. */
static void other_nodes_stay(void **state) {
  (void)state;
  model_builder *b = half_model(NORMA_FLOAT16);
  builder_node(b, "Add", "x x", "a");
  builder_int(builder_node(b, "Concat", "a x", "y"), "axis", 1);
  checked c = check_nodes(b, PASSES, 0, 2);
  free_checked(&c);
  b = half_model(NORMA_FLOAT16);
  builder_node(b, "Abs", "x", "a");
  builder_node(b, "MatMul", "a w", "m");
  builder_int(builder_node(b, "Concat", "m k2", "j"), "axis", 1); /* one part is half */
  builder_input(b, "k2", NORMA_FLOAT16, 3, DIMS(-1, 5, 6));
  builder_node(b, "Neg", "j", "y");
  c = check_nodes(b, PASSES, PASS_BOUND(NORMA_FLOAT16), 6);
  assert_int_equal(type_of_input(&c, "Abs"), NORMA_FLOAT16);
  assert_int_equal(type_of_input(&c, "MatMul"), NORMA_FLOAT);
  assert_int_equal(type_of_input(&c, "Concat"), NORMA_FLOAT16);
  assert_int_equal(type_of_input(&c, "Neg"), NORMA_FLOAT16);
  free_checked(&c);
}

/* Convolutions have kernels for half precision; behind a product they are float as well. */
static void convolutions_follow(void **state) {
  (void)state;
  for (int after = 0; after < 2; after++) {
    model_builder *b = builder_create(17);
    builder_input(b, "x", NORMA_FLOAT16, 3, DIMS(2, 5, 8));
    add_random(b, "w", NORMA_FLOAT16, 2, DIMS(8, 8), -1, 1);
    add_random(b, "f", NORMA_FLOAT16, 3, DIMS(4, 5, 3), -1, 1);
    if (after) builder_node(b, "MatMul", "x w", "m");
    builder_node(b, "Conv", after ? "m f" : "x f", "y");
    checked c = check_nodes(b, PASSES, PASS_BOUND(NORMA_FLOAT16), after ? 4 : 1);
    assert_int_equal(type_of_input(&c, "Conv"), after ? NORMA_FLOAT : NORMA_FLOAT16);
    free_checked(&c);
  }
}

/* Casts of the model that meet those of the pass. */
static void casts_meet(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(5, 8));
  add_random(b, "w", NORMA_FLOAT16, 2, DIMS(8, 6), -1, 1);
  builder_int(builder_node(b, "Cast", "x", "h"), "to", NORMA_FLOAT16);
  builder_node(b, "MatMul", "h w", "m");
  builder_int(builder_node(b, "Cast", "m", "y"), "to", NORMA_FLOAT);
  checked c = check_nodes(b, PASSES, PASS_BOUND(NORMA_FLOAT16), 1);
  only_node(&c, "MatMul");
  free_checked(&c);
  b = half_model(NORMA_FLOAT16); /* of integers, to others */
  builder_input(b, "n", NORMA_INT64, 3, DIMS(-1, 5, 6));
  builder_int(builder_node(b, "Cast", "n", "h"), "to", NORMA_FLOAT16);
  builder_node(b, "MatMul", "x w", "m");
  builder_node(b, "Mul", "m h", "p");
  builder_node(b, "Floor", "p", "f");
  builder_int(builder_node(b, "Cast", "f", "y"), "to", NORMA_DOUBLE);
  c = check_nodes(b, PASSES, 1, 6); /* Floor may fall on another number */
  assert_int_equal(count_nodes(&c, "Cast"), 3);
  free_checked(&c);
}

/* Weights of two readers are folded once; those of one are widened where they stand, factors included. */
static void weights_are_widened(void **state) {
  (void)state;
  for (int shared = 0; shared < 2; shared++) {
    model_builder *b = builder_create(17);
    builder_input(b, "x", NORMA_FLOAT16, 2, DIMS(3, 300));
    add_random(b, "w", NORMA_FLOAT16, 2, DIMS(300, 300), -0.1, 0.1); /* large enough to be read late */
    add_random(b, "v", NORMA_FLOAT16, 2, DIMS(300, 300), -0.1, 0.1);
    add_random(b, "f", NORMA_FLOAT16, 1, DIMS(300), 0.5, 2);
    add_random(b, "g", NORMA_FLOAT16, 1, DIMS(300), -1, 1);
    builder_int(builder_node(b, "Gemm", "x w g", "m"), "transB", 1);
    builder_node(b, "Mul", "m f", "n"); /* goes into the weights */
    builder_node(b, "Relu", "n", "r");
    if (!shared) builder_node(b, "Mul", "r f", "i"); /* rows of the weights behind it, which are read at once */
    builder_node(b, "MatMul", shared ? "r w" : "i v", "y");
    checked c = check_nodes(b, NULL, 2 * PASS_BOUND(NORMA_FLOAT16), 4);
    assert_int_equal(count_nodes(&c, "Cast"), 2);
    assert_int_equal(type_of_input(&c, "MatMul"), NORMA_FLOAT);
    free_checked(&c);
  }
}

/* Graphs below nodes have casts of their own. */
static void branches_are_widened(void **state) {
  (void)state;
  model_builder *b = half_model(NORMA_FLOAT16);
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  builder_node(b, "MatMul", "x w", "m");
  node *branch = builder_node(b, "If", "choice", "y");
  model_builder *yes = builder_subgraph(b, branch, "then_branch"), *no = builder_subgraph(b, branch, "else_branch");
  builder_node(yes, "MatMul", "x w", "p");
  builder_node(yes, "Add", "p m", "q");
  builder_output(yes, "q", NORMA_UNDEFINED, -1, NULL);
  builder_node(no, "Neg", "m", "r");
  builder_output(no, "r", NORMA_UNDEFINED, -1, NULL);
  checked c = check_nodes(b, PASSES, PASS_BOUND(NORMA_FLOAT16), 10);
  assert_int_equal(count_nodes(&c, "MatMul"), 2);
  free_checked(&c);
}

/* Gelu is found by its constants, which are rounded to half precision. */
static void activations_are_found_before(void **state) {
  (void)state;
  for (int t = 0; t < 2; t++) {
    const norma_element_type type = half_types[t];
    model_builder *b = half_model(type);
    add_number(b, "root", type, 1.4142135623730951);
    add_number(b, "one", type, 1);
    add_number(b, "half", type, 0.5);
    builder_node(b, "MatMul", "x w", "m");
    builder_node(b, "Div", "m root", "d");
    builder_node(b, "Erf", "d", "e");
    builder_node(b, "Add", "e one", "a");
    builder_node(b, "Mul", "m a", "p");
    builder_node(b, "Mul", "p half", "y");
    checked c = check_nodes(b, "recognize_activation " PASSES, PASS_BOUND(type), 4);
    assert_int_equal(type_of_input(&c, "Gelu"), NORMA_FLOAT);
    free_checked(&c);
  }
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = half_model(NORMA_FLOAT16);
  builder_node(b, "MatMul", "x w", "m");
  builder_node(b, "Add", "m k", "y");
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  check_allocations(b, PASSES);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(stretches_become_float),       cmocka_unit_test(other_nodes_stay),
      cmocka_unit_test(convolutions_follow),          cmocka_unit_test(casts_meet),
      cmocka_unit_test(weights_are_widened),          cmocka_unit_test(branches_are_widened),
      cmocka_unit_test(activations_are_found_before), cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
