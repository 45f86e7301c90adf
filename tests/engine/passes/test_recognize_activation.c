/* Functions that exporters write out in simple operators become one operator again, and what only looks alike does not.
 */
#include "tests/engine/passes/pass_check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define PASS      "recognize_activation"

static model_builder *plain_model(norma_element_type type) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", type, 3, DIMS(2, 3, 50));
  static const struct {
    const char *name;
    double number;
  } numbers[] = {{"three", 3}, {"zero", 0}, {"six", 6},        {"sixth", 1.0 / 6},     {"half", 0.5},
                 {"two", 2},   {"one", 1},  {"root", M_SQRT2}, {"inverse", M_SQRT1_2}, {"quick", 1.702}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) add_number(b, numbers[i].name, type, numbers[i].number);
  return b;
}

/* The model's nodes become the one of this type. */
static void expect_only(model_builder *b, const char *op_type) {
  checked c = check_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
  only_node(&c, op_type);
  free_checked(&c);
}

static void hard_functions_are_recognised(void **state) {
  (void)state;
  model_builder *b = plain_model(NORMA_FLOAT);
  builder_node(b, "Add", "x three", "a");
  builder_node(b, "Clip", "a zero six", "c");
  builder_node(b, "Div", "c six", "y");
  expect_only(b, "HardSigmoid");

  b = plain_model(NORMA_FLOAT);
  builder_node(b, "Add", "three x", "a");
  builder_node(b, "Clip", "a zero six", "c");
  builder_node(b, "Mul", "x c", "m");
  builder_node(b, "Div", "m six", "y");
  expect_only(b, "HardSwish");

  b = plain_model(NORMA_FLOAT);
  builder_node(b, "Add", "x three", "a");
  builder_node(b, "Clip", "a zero six", "c");
  builder_node(b, "Mul", "sixth c", "d");
  builder_node(b, "Mul", "d x", "y");
  expect_only(b, "HardSwish");

  b = plain_model(NORMA_FLOAT);
  node *gate = builder_node(b, "HardSigmoid", "x", "g");
  builder_float(gate, "alpha", 1.0f / 6);
  builder_node(b, "Mul", "x g", "y");
  expect_only(b, "HardSwish");
}

static void smooth_functions_are_recognised(void **state) {
  (void)state;
  model_builder *b = plain_model(NORMA_FLOAT);
  builder_node(b, "Sigmoid", "x", "g");
  builder_node(b, "Mul", "g x", "y");
  expect_only(b, "Swish");

  b = plain_model(NORMA_FLOAT);
  builder_node(b, "Mul", "quick x", "q");
  builder_node(b, "Sigmoid", "q", "g");
  builder_node(b, "Mul", "x g", "y");
  expect_only(b, "Swish");

  b = plain_model(NORMA_FLOAT);
  builder_node(b, "Softplus", "x", "p");
  builder_node(b, "Tanh", "p", "g");
  builder_node(b, "Mul", "x g", "y");
  expect_only(b, "Mish");
}

static void gelu_is_recognised_wherever_the_half_stands(void **state) {
  (void)state;
  for (int form = 0; form < 5; form++) {
    model_builder *b = plain_model(NORMA_FLOAT);
    builder_node(b, form % 2 ? "Div" : "Mul", form % 2 ? "x root" : "x inverse", "s");
    builder_node(b, "Erf", "s", "e");
    builder_node(b, "Add", "e one", "a");
    if (form == 0 || form == 1) {
      builder_node(b, "Mul", "x a", "m");
      builder_node(b, form ? "Div" : "Mul", form ? "m two" : "half m", "y");
    } else if (form == 2 || form == 3) {
      builder_node(b, "Mul", "x half", "h");
      builder_node(b, "Mul", form == 2 ? "h a" : "a h", "y");
    } else {
      builder_node(b, "Mul", "a half", "h");
      builder_node(b, "Mul", "h x", "y");
    }
    expect_only(b, "Gelu");
  }
}

/* The approximation, x^3 as a power and as products. */
static void gelu_by_tanh_is_recognised(void **state) {
  (void)state;
  for (int form = 0; form < 18; form++) {
    model_builder *b = plain_model(NORMA_FLOAT);
    add_number(b, "cubic", NORMA_FLOAT, form >= 12 ? 0.05 : 0.044715);
    add_number(b, "steep", NORMA_FLOAT, sqrt(2 / M_PI));
    if (form % 3 == 0) {
      builder_node(b, "Pow", "x three", "c");
    } else {
      builder_node(b, "Mul", "x x", "q");
      builder_node(b, "Mul", form % 3 == 1 ? "q x" : "x q", "c");
    }
    builder_node(b, "Mul", form & 1 ? "c cubic" : "cubic c", "cc");
    builder_node(b, "Add", form & 1 ? "x cc" : "cc x", "p");
    builder_node(b, "Mul", "p steep", "s");
    builder_node(b, "Tanh", "s", "t");
    builder_node(b, "Add", form & 1 ? "t one" : "one t", "a");
    if (form < 6) {
      builder_node(b, "Mul", "x half", "h");
      builder_node(b, "Mul", "h a", "y");
    } else {
      builder_node(b, "Mul", "a x", "h");
      builder_node(b, "Mul", "half h", "y");
    }
    if (form >= 12) { /* another number */
      expect_nodes(b, PASS, 0, form % 3 == 0 ? 8 : 9);
      continue;
    }
    checked c = check_nodes(b, PASS, 2 * PASS_BOUND(NORMA_FLOAT), 1);
    assert_string_equal(attribute_string(only_node(&c, "Gelu"), "approximate", "none"), "tanh");
    free_checked(&c);
  }
}

/* Each differs from a pattern in one thing. */
static void what_only_looks_alike_stays(void **state) {
  (void)state;
  model_builder *b = plain_model(NORMA_FLOAT); /* another summand */
  builder_node(b, "Add", "x two", "a");
  builder_node(b, "Clip", "a zero six", "c");
  builder_node(b, "Mul", "x c", "m");
  builder_node(b, "Div", "m six", "y");
  expect_nodes(b, PASS, 0, 4);

  b = plain_model(NORMA_FLOAT); /* another bound */
  builder_node(b, "Add", "x three", "a");
  builder_node(b, "Clip", "a zero three", "c");
  builder_node(b, "Div", "c six", "y");
  expect_nodes(b, PASS, 0, 3);

  b = plain_model(NORMA_FLOAT); /* the gate of another value */
  builder_input(b, "z", NORMA_FLOAT, 3, DIMS(2, 3, 50));
  builder_node(b, "Sigmoid", "z", "g");
  builder_node(b, "Mul", "x g", "y");
  expect_nodes(b, PASS, 0, 2);

  b = plain_model(NORMA_FLOAT); /* the gate has another reader */
  builder_node(b, "Sigmoid", "x", "g");
  builder_node(b, "Mul", "x g", "y");
  builder_output(b, "g", NORMA_UNDEFINED, -1, NULL);
  expect_nodes(b, PASS, 0, 2);

  b = plain_model(NORMA_FLOAT); /* the default slope of HardSigmoid is 0.2 */
  builder_node(b, "HardSigmoid", "x", "g");
  builder_node(b, "Mul", "x g", "y");
  expect_nodes(b, PASS, 0, 2);

  b = plain_model(NORMA_FLOAT); /* a constant of higher rank makes the result larger */
  add_numbers(b, "wide", NORMA_FLOAT, 4, DIMS(1, 1, 1, 1), (double[]){6});
  builder_node(b, "Add", "x three", "a");
  builder_node(b, "Clip", "a zero six", "c");
  builder_node(b, "Div", "c wide", "y");
  expect_nodes(b, PASS, 0, 3);
}

/* x * Sigmoid(x), which is Swish, on every float type and on no other. */
static void types_are_checked(void **state) {
  static const norma_element_type types[] = {NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  (void)state;
  for (int i = 0; i < 3; i++) {
    model_builder *b = plain_model(types[i]);
    builder_node(b, "Sigmoid", "x", "g");
    builder_node(b, "Mul", "g x", "y");
    builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
    checked c = check_passes(b, PASS, 2 * PASS_BOUND(types[i])); /* fewer roundings than in between */
    only_node(&c, "Swish");
    free_checked(&c);
  }
  model_builder *b = plain_model(NORMA_INT32); /* the same nodes as of HardSigmoid, on integers */
  builder_node(b, "Add", "x three", "a");
  builder_node(b, "Clip", "a zero six", "c");
  builder_node(b, "Div", "c six", "y");
  expect_nodes(b, PASS, 0, 3);
}

/* The node carries a version of its own, whatever the model imports; both names stay in its name. */
static void the_new_node_has_an_opset_of_its_own(void **state) {
  (void)state;
  model_builder *b = plain_model(NORMA_FLOAT);
  builder_node(b, "Softplus", "x", "p");
  builder_node(b, "Tanh", "p", "g");
  builder_node(b, "Mul", "x g", "y");
  checked c = check_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
  const node *mish = only_node(&c, "Mish");
  assert_true(mish->opset >= 18);
  assert_string_equal(mish->name, "#0 (Softplus) + #1 (Tanh) + #2 (Mul)");
  free_checked(&c);
}

/* Numbers that any of the patterns asks for must be constants. */
static void numbers_that_are_inputs_stay(void **state) {
  (void)state;
  model_builder *b = plain_model(NORMA_FLOAT);
  builder_input(b, "slope", NORMA_FLOAT, 0, NULL);
  builder_node(b, "Mul", "slope x", "q");
  builder_node(b, "Sigmoid", "q", "g");
  builder_node(b, "Mul", "x g", "y");
  expect_nodes(b, PASS, 0, 3);

  b = plain_model(NORMA_FLOAT); /* one number for each channel */
  add_random(b, "slopes", NORMA_FLOAT, 2, DIMS(3, 1), 1, 2);
  builder_node(b, "Mul", "slopes x", "q");
  builder_node(b, "Sigmoid", "q", "g");
  builder_node(b, "Mul", "x g", "y");
  expect_nodes(b, PASS, 0, 3);
}

/* x * x * ..: the same value on both sides of the last node is no gate. */
static void squares_stay(void **state) {
  (void)state;
  model_builder *b = plain_model(NORMA_FLOAT);
  builder_node(b, "Sigmoid", "x", "g");
  builder_node(b, "Mul", "g g", "y");
  expect_nodes(b, PASS, 0, 2);
}

/* A part of the pattern stands in the graph around the branch. */
static void graphs_are_not_crossed(void **state) {
  (void)state;
  model_builder *b = plain_model(NORMA_FLOAT);
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  builder_node(b, "Sigmoid", "x", "g");
  node *branch = builder_node(b, "If", "choice", "y");
  model_builder *then_branch = builder_subgraph(b, branch, "then_branch");
  builder_node(then_branch, "Mul", "x g", "z");
  builder_output(then_branch, "z", NORMA_FLOAT, -1, NULL);
  model_builder *else_branch = builder_subgraph(b, branch, "else_branch");
  builder_node(else_branch, "Neg", "x", "z");
  builder_output(else_branch, "z", NORMA_FLOAT, -1, NULL);
  expect_nodes(b, PASS, 0, 4);
}

/* Before version 7 operands were broadcast by attributes. */
static void old_versions_stay(void **state) {
  (void)state;
  model_builder *b = builder_create(6);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(2, 3));
  builder_node(b, "Sigmoid", "x", "g");
  builder_node(b, "Mul", "x g", "y");
  expect_nodes(b, PASS, 0, 2);
}

/* The pattern at the edge of what is near: 1/6 as a float is, 0.1667 is not. */
static void factors_must_be_near(void **state) {
  static const double factors[] = {1.0f / 6, 0.1667};
  (void)state;
  for (int i = 0; i < 2; i++) {
    model_builder *b = plain_model(NORMA_FLOAT);
    add_number(b, "factor", NORMA_FLOAT, factors[i]);
    builder_node(b, "Add", "x three", "a");
    builder_node(b, "Clip", "a zero six", "c");
    builder_node(b, "Mul", "c factor", "y");
    expect_nodes(b, PASS, i ? 0 : PASS_BOUND(NORMA_FLOAT), i ? 3 : 1);
  }
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = plain_model(NORMA_FLOAT);
  builder_node(b, "Add", "x three", "a");
  builder_node(b, "Clip", "a zero six", "c");
  builder_node(b, "Div", "c six", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hard_functions_are_recognised),
      cmocka_unit_test(smooth_functions_are_recognised),
      cmocka_unit_test(gelu_is_recognised_wherever_the_half_stands),
      cmocka_unit_test(gelu_by_tanh_is_recognised),
      cmocka_unit_test(what_only_looks_alike_stays),
      cmocka_unit_test(types_are_checked),
      cmocka_unit_test(the_new_node_has_an_opset_of_its_own),
      cmocka_unit_test(numbers_that_are_inputs_stay),
      cmocka_unit_test(squares_stay),
      cmocka_unit_test(graphs_are_not_crossed),
      cmocka_unit_test(old_versions_stay),
      cmocka_unit_test(factors_must_be_near),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
