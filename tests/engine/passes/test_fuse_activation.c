/* Functions of each element go into the store of the layer in front of them. */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define PASS      "fuse_activation"
#define BOUND     PASS_BOUND(NORMA_FLOAT)

static model_builder *conv_model(int opset, norma_element_type type) {
  model_builder *b = builder_create(opset);
  builder_input(b, "x", type, 4, DIMS(2, 3, 7, 5));
  add_random(b, "w", type, 4, DIMS(4, 3, 3, 3), -1, 1);
  builder_node(b, "Conv", "x w", "c");
  return b;
}

static void every_function_fuses(void **state) {
  static const struct {
    const char *op_type;
    int opset;
  } functions[] = {{"Relu", 13},      {"LeakyRelu", 13}, {"Elu", 13},         {"Selu", 13},
                   {"Celu", 13},      {"Sigmoid", 13},   {"HardSigmoid", 13}, {"Tanh", 13},
                   {"HardSwish", 14}, {"Softplus", 13},  {"Softsign", 13},    {"ThresholdedRelu", 13},
                   {"Abs", 13},       {"Neg", 13},       {"Exp", 13},         {"Mish", 18},
                   {"Gelu", 20},      {"Swish", 24},     {"Sqrt", 13}};
  (void)state;
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    model_builder *b = conv_model(functions[i].opset, NORMA_FLOAT);
    builder_node(b, functions[i].op_type, "c", "y");
    expect_nodes(b, PASS, BOUND, 1);
  }
}

static void parameters_are_taken_along(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT);
  builder_float(builder_node(b, "LeakyRelu", "c", "y"), "alpha", 0.75f);
  expect_nodes(b, PASS, BOUND, 1);

  b = conv_model(13, NORMA_FLOAT);
  node *hard = builder_node(b, "HardSigmoid", "c", "y");
  builder_float(hard, "alpha", 0.3f);
  builder_float(hard, "beta", 0.1f);
  expect_nodes(b, PASS, BOUND, 1);

  b = conv_model(13, NORMA_FLOAT);
  node *selu = builder_node(b, "Selu", "c", "y");
  builder_float(selu, "alpha", 0.5f);
  builder_float(selu, "gamma", 2.5f);
  expect_nodes(b, PASS, BOUND, 1);

  b = conv_model(20, NORMA_FLOAT);
  builder_string(builder_node(b, "Gelu", "c", "y"), "approximate", "tanh");
  expect_nodes(b, PASS, BOUND, 1);
}

static void clip_fuses_with_constant_bounds(void **state) {
  static const char *const inputs[] = {"c low high", "c low", "c - high", "c"};
  (void)state;
  for (int i = 0; i < 4; i++) {
    model_builder *b = conv_model(13, NORMA_FLOAT);
    add_number(b, "low", NORMA_FLOAT, -0.5);
    add_number(b, "high", NORMA_FLOAT, 0.75);
    builder_node(b, "Clip", inputs[i], "y");
    expect_nodes(b, PASS, BOUND, 1);
  }
  model_builder *b = conv_model(6, NORMA_FLOAT);
  node *clip = builder_node(b, "Clip", "c", "y");
  builder_float(clip, "min", -0.25f);
  builder_float(clip, "max", 0.5f);
  expect_nodes(b, PASS, BOUND, 1);
}

static void clip_with_a_bound_that_is_an_input_stays(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT);
  builder_input(b, "low", NORMA_FLOAT, 0, NULL);
  builder_node(b, "Clip", "c low", "y");
  expect_nodes(b, PASS, 0, 2);
}

static void slope_fuses_when_it_is_one_number(void **state) {
  (void)state;
  for (int many = 0; many < 2; many++) {
    model_builder *b = conv_model(9, NORMA_FLOAT);
    add_random(b, "slope", NORMA_FLOAT, 3, DIMS(many ? 4 : 1, 1, 1), -1, 1);
    builder_node(b, "PRelu", "c slope", "y");
    expect_nodes(b, PASS, many ? 0 : BOUND, many ? 2 : 1);
  }
}

static void other_producers_take_it(void **state) {
  (void)state;
  model_builder *b = builder_create(15);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 4, 5));
  add_random(b, "v", NORMA_FLOAT, 1, DIMS(3), 0.5, 2);
  builder_node(b, "BatchNormalization", "x v v v v", "c");
  builder_node(b, "Relu", "c", "y");
  expect_nodes(b, PASS, BOUND, 1);

  b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(4, 7));
  builder_input(b, "w", NORMA_FLOAT, 2, DIMS(7, 5));
  builder_input(b, "b", NORMA_FLOAT, 2, DIMS(4, 1));
  node *gemm = builder_node(b, "Gemm", "x w b", "c");
  builder_float(gemm, "alpha", 0.5f);
  builder_node(b, "Tanh", "c", "y");
  expect_nodes(b, PASS, BOUND, 1);

  b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 4, 7));
  builder_input(b, "w", NORMA_FLOAT, 2, DIMS(7, 5));
  builder_node(b, "MatMul", "x w", "c");
  builder_node(b, "Sigmoid", "c", "y");
  expect_nodes(b, PASS, BOUND, 1);
}

static void second_activation_stays(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT);
  builder_node(b, "Relu", "c", "d");
  builder_node(b, "Tanh", "d", "y");
  expect_nodes(b, PASS, BOUND, 2);
}

static void stays_with_two_readers_or_as_output(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT);
  builder_node(b, "Relu", "c", "d");
  builder_node(b, "Add", "c d", "y");
  expect_nodes(b, PASS, 0, 3);

  b = conv_model(13, NORMA_FLOAT);
  builder_node(b, "Relu", "c", "y");
  builder_output(b, "c", NORMA_UNDEFINED, -1, NULL);
  expect_nodes(b, PASS, 0, 2);
}

static void kernels_say_which_types_they_take(void **state) {
  static const norma_element_type types[] = {NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  (void)state;
  for (int i = 0; i < 3; i++) {
    model_builder *b = conv_model(22, types[i]);
    builder_node(b, "Relu", "c", "y");
    expect_nodes(b, PASS, 0, types[i] == NORMA_DOUBLE ? 2 : 1); /* rounding keeps the sign */
  }
}

static void training_normalization_stays_alone(void **state) {
  (void)state;
  model_builder *b = builder_create(14);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 4, 5));
  add_random(b, "v", NORMA_FLOAT, 1, DIMS(3), 0.5, 2);
  builder_int(builder_node(b, "BatchNormalization", "x v v v v", "c m s"), "training_mode", 1);
  builder_node(b, "Relu", "c", "y");
  builder_output(b, "m", NORMA_UNDEFINED, -1, NULL);
  expect_nodes(b, PASS, 0, 2);
}

static void recognised_functions_fuse(void **state) {
  (void)state;
  model_builder *b = conv_model(11, NORMA_FLOAT);
  add_number(b, "three", NORMA_FLOAT, 3);
  add_number(b, "zero", NORMA_FLOAT, 0);
  add_number(b, "six", NORMA_FLOAT, 6);
  builder_node(b, "Add", "c three", "a");
  builder_node(b, "Clip", "a zero six", "d");
  builder_node(b, "Mul", "c d", "m");
  builder_node(b, "Div", "m six", "y");
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  checked c = check_passes(b, NULL, BOUND);
  assert_int_equal(count_nodes(&c, NULL), 1);
  assert_int_equal(only_node(&c, "Conv")->epilogue.activation.kind, UNARY_HARD_SWISH);
  free_checked(&c);
}

/* Functions of two operands, and one whose slopes differ by channel. */
static void what_is_no_function_of_one_operand_stays(void **state) {
  static const char *const op_types[] = {"Add", "Max", "Pow", "Sub"};
  (void)state;
  for (int i = 0; i < 4; i++) {
    model_builder *b = conv_model(13, NORMA_FLOAT);
    add_number(b, "three", NORMA_FLOAT, 3);
    builder_node(b, op_types[i], "c three", "y");
    expect_nodes(b, PASS, 0, 2);
  }
}

/* The square is one, unless its exponent gives the result more dimensions. */
static void squares_fuse(void **state) {
  (void)state;
  for (int rank = 0; rank <= 5; rank++) {
    model_builder *b = conv_model(13, NORMA_FLOAT);
    add_numbers(b, "two", NORMA_FLOAT, rank, DIMS(1, 1, 1, 1, 1), (double[]){2});
    builder_node(b, "Pow", "c two", "y");
    expect_nodes(b, PASS, rank < 5 ? BOUND : 0, rank < 5 ? 1 : 2);
  }
}

static void function_in_a_branch_stays(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT);
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  node *branch = builder_node(b, "If", "choice", "y");
  model_builder *then_branch = builder_subgraph(b, branch, "then_branch");
  builder_node(then_branch, "Relu", "c", "z");
  builder_output(then_branch, "z", NORMA_FLOAT, -1, NULL);
  model_builder *else_branch = builder_subgraph(b, branch, "else_branch");
  builder_node(else_branch, "Conv", "x w", "u");
  builder_node(else_branch, "Relu", "u", "z");
  builder_output(else_branch, "z", NORMA_FLOAT, -1, NULL);
  expect_nodes(b, PASS, BOUND, 4); /* the one whose layer stands beside it goes */
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT);
  builder_node(b, "Relu", "c", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_function_fuses),
      cmocka_unit_test(parameters_are_taken_along),
      cmocka_unit_test(clip_fuses_with_constant_bounds),
      cmocka_unit_test(clip_with_a_bound_that_is_an_input_stays),
      cmocka_unit_test(slope_fuses_when_it_is_one_number),
      cmocka_unit_test(other_producers_take_it),
      cmocka_unit_test(second_activation_stays),
      cmocka_unit_test(stays_with_two_readers_or_as_output),
      cmocka_unit_test(kernels_say_which_types_they_take),
      cmocka_unit_test(training_normalization_stays_alone),
      cmocka_unit_test(recognised_functions_fuse),
      cmocka_unit_test(what_is_no_function_of_one_operand_stays),
      cmocka_unit_test(squares_fuse),
      cmocka_unit_test(function_in_a_branch_stays),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
