/* Functions of each element fused into their producer, and written-out ones recognised. */
#include "tests/engine/passes/pass_check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

static model_builder *conv_model(int opset, norma_element_type type) {
  model_builder *b = builder_create(opset);
  builder_input(b, "x", type, 4, DIMS(2, 3, 7, 5));
  add_random(b, "w", type, 4, DIMS(4, 3, 3, 3), -1, 1);
  builder_node(b, "Conv", "x w", "c");
  return b;
}

static void expect_nodes(model_builder *b, const char *passes, double bound, int count) {
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  checked c = check_passes(b, passes, bound);
  assert_int_equal(count_nodes(&c, NULL), count);
  free_checked(&c);
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
    expect_nodes(b, "fuse_activation", 1e-6, 1);
  }
}

static void parameters_are_taken_along(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT);
  builder_float(builder_node(b, "LeakyRelu", "c", "y"), "alpha", 0.75f);
  expect_nodes(b, "fuse_activation", 1e-6, 1);

  b = conv_model(13, NORMA_FLOAT);
  node *hard = builder_node(b, "HardSigmoid", "c", "y");
  builder_float(hard, "alpha", 0.3f);
  builder_float(hard, "beta", 0.1f);
  expect_nodes(b, "fuse_activation", 1e-6, 1);

  b = conv_model(13, NORMA_FLOAT);
  node *selu = builder_node(b, "Selu", "c", "y");
  builder_float(selu, "alpha", 0.5f);
  builder_float(selu, "gamma", 2.5f);
  expect_nodes(b, "fuse_activation", 1e-6, 1);

  b = conv_model(20, NORMA_FLOAT);
  builder_string(builder_node(b, "Gelu", "c", "y"), "approximate", "tanh");
  expect_nodes(b, "fuse_activation", 1e-6, 1);
}

static void clip_fuses_with_constant_bounds(void **state) {
  static const char *const inputs[] = {"c low high", "c low", "c - high", "c"};
  (void)state;
  for (int i = 0; i < 4; i++) {
    model_builder *b = conv_model(13, NORMA_FLOAT);
    add_number(b, "low", NORMA_FLOAT, -0.5);
    add_number(b, "high", NORMA_FLOAT, 0.75);
    builder_node(b, "Clip", inputs[i], "y");
    expect_nodes(b, "fuse_activation", 1e-6, 1);
  }
  model_builder *b = conv_model(6, NORMA_FLOAT);
  node *clip = builder_node(b, "Clip", "c", "y");
  builder_float(clip, "min", -0.25f);
  builder_float(clip, "max", 0.5f);
  expect_nodes(b, "fuse_activation", 1e-6, 1);
}

static void clip_with_a_bound_that_is_an_input_stays(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT);
  builder_input(b, "low", NORMA_FLOAT, 0, NULL);
  builder_node(b, "Clip", "c low", "y");
  expect_nodes(b, "fuse_activation", 0, 2);
}

static void slope_fuses_when_it_is_one_number(void **state) {
  (void)state;
  for (int many = 0; many < 2; many++) {
    model_builder *b = conv_model(9, NORMA_FLOAT);
    add_random(b, "slope", NORMA_FLOAT, 3, DIMS(many ? 4 : 1, 1, 1), -1, 1);
    builder_node(b, "PRelu", "c slope", "y");
    expect_nodes(b, "fuse_activation", many ? 0 : 1e-6, many ? 2 : 1);
  }
}

static void other_producers_take_it(void **state) {
  (void)state;
  model_builder *b = builder_create(15);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(2, 3, 4, 5));
  add_random(b, "v", NORMA_FLOAT, 1, DIMS(3), 0.5, 2);
  builder_node(b, "BatchNormalization", "x v v v v", "c");
  builder_node(b, "Relu", "c", "y");
  expect_nodes(b, "fuse_activation", 1e-6, 1);

  b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(4, 7));
  builder_input(b, "w", NORMA_FLOAT, 2, DIMS(7, 5));
  builder_input(b, "b", NORMA_FLOAT, 2, DIMS(4, 1));
  node *gemm = builder_node(b, "Gemm", "x w b", "c");
  builder_float(gemm, "alpha", 0.5f);
  builder_node(b, "Tanh", "c", "y");
  expect_nodes(b, "fuse_activation", 1e-6, 1);

  b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 4, 7));
  builder_input(b, "w", NORMA_FLOAT, 2, DIMS(7, 5));
  builder_node(b, "MatMul", "x w", "c");
  builder_node(b, "Sigmoid", "c", "y");
  expect_nodes(b, "fuse_activation", 1e-6, 1);
}

static void second_activation_stays(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT);
  builder_node(b, "Relu", "c", "d");
  builder_node(b, "Tanh", "d", "y");
  expect_nodes(b, "fuse_activation", 1e-6, 2);
}

static void stays_with_two_readers_or_as_output(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT);
  builder_node(b, "Relu", "c", "d");
  builder_node(b, "Add", "c d", "y");
  expect_nodes(b, "fuse_activation", 0, 3);

  b = conv_model(13, NORMA_FLOAT);
  builder_node(b, "Relu", "c", "y");
  builder_output(b, "c", NORMA_UNDEFINED, -1, NULL);
  expect_nodes(b, "fuse_activation", 0, 2);
}

static void kernels_say_which_types_they_take(void **state) {
  static const norma_element_type types[] = {NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  (void)state;
  for (int i = 0; i < 3; i++) {
    model_builder *b = conv_model(22, types[i]);
    builder_node(b, "Relu", "c", "y");
    expect_nodes(b, "fuse_activation", 0, types[i] == NORMA_DOUBLE ? 2 : 1); /* rounding keeps the sign */
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
  expect_nodes(b, "fuse_activation", 0, 2);
}

/* ------------------------------------------------------------------------------------------------------ recognition */

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
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  checked c = check_passes(b, "recognize_activation", 2e-6);
  assert_int_equal(count_nodes(&c, NULL), 1);
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

/* Each differs from a pattern in one thing. */
static void what_only_looks_alike_stays(void **state) {
  (void)state;
  model_builder *b = plain_model(NORMA_FLOAT); /* another summand */
  builder_node(b, "Add", "x two", "a");
  builder_node(b, "Clip", "a zero six", "c");
  builder_node(b, "Mul", "x c", "m");
  builder_node(b, "Div", "m six", "y");
  expect_nodes(b, "recognize_activation", 0, 4);

  b = plain_model(NORMA_FLOAT); /* another bound */
  builder_node(b, "Add", "x three", "a");
  builder_node(b, "Clip", "a zero three", "c");
  builder_node(b, "Div", "c six", "y");
  expect_nodes(b, "recognize_activation", 0, 3);

  b = plain_model(NORMA_FLOAT); /* the gate of another value */
  builder_input(b, "z", NORMA_FLOAT, 3, DIMS(2, 3, 50));
  builder_node(b, "Sigmoid", "z", "g");
  builder_node(b, "Mul", "x g", "y");
  expect_nodes(b, "recognize_activation", 0, 2);

  b = plain_model(NORMA_FLOAT); /* the gate has another reader */
  builder_node(b, "Sigmoid", "x", "g");
  builder_node(b, "Mul", "x g", "y");
  builder_output(b, "g", NORMA_UNDEFINED, -1, NULL);
  expect_nodes(b, "recognize_activation", 0, 2);

  b = plain_model(NORMA_FLOAT); /* the default slope of HardSigmoid is 0.2 */
  builder_node(b, "HardSigmoid", "x", "g");
  builder_node(b, "Mul", "x g", "y");
  expect_nodes(b, "recognize_activation", 0, 2);

  b = plain_model(NORMA_FLOAT); /* a constant of higher rank makes the result larger */
  add_numbers(b, "wide", NORMA_FLOAT, 4, DIMS(1, 1, 1, 1), (double[]){6});
  builder_node(b, "Add", "x three", "a");
  builder_node(b, "Clip", "a zero six", "c");
  builder_node(b, "Div", "c wide", "y");
  expect_nodes(b, "recognize_activation", 0, 3);
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
  checked c = check_passes(b, NULL, 2e-6);
  assert_int_equal(count_nodes(&c, NULL), 1);
  assert_int_equal(only_node(&c, "Conv")->epilogue.activation.kind, UNARY_HARD_SWISH);
  free_checked(&c);
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
      cmocka_unit_test(hard_functions_are_recognised),
      cmocka_unit_test(smooth_functions_are_recognised),
      cmocka_unit_test(gelu_is_recognised_wherever_the_half_stands),
      cmocka_unit_test(what_only_looks_alike_stays),
      cmocka_unit_test(recognised_functions_fuse),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
