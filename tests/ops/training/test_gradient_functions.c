/* Derivatives of functions of one tensor against differences, first and second ones. */
#include "tests/support/gradient_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

typedef struct function_case {
  const char *op_type;
  int64_t opset;
  double low, high;
  const char *attribute; /* of a float, or of the string "tanh"; NULL: none */
  float number;
} function_case;

static const function_case cases[] = {
    {"Identity", 14, -1, 1, NULL, 0},
    {"Neg", 13, -1, 1, NULL, 0},
    {"Exp", 13, -1, 1, NULL, 0},
    {"Log", 13, 0.5, 2, NULL, 0},
    {"Sqrt", 13, 0.5, 2, NULL, 0},
    {"Reciprocal", 13, 0.5, 2, NULL, 0},
    {"Abs", 13, -1, 1, NULL, 0},
    {"Sin", 13, -1, 1, NULL, 0},
    {"Cos", 13, -1, 1, NULL, 0},
    {"Tan", 13, -1, 1, NULL, 0},
    {"Asin", 13, -0.7, 0.7, NULL, 0},
    {"Acos", 13, -0.7, 0.7, NULL, 0},
    {"Atan", 13, -1, 1, NULL, 0},
    {"Sinh", 13, -1, 1, NULL, 0},
    {"Cosh", 13, -1, 1, NULL, 0},
    {"Asinh", 13, -1, 1, NULL, 0},
    {"Acosh", 13, 1.5, 3, NULL, 0},
    {"Atanh", 13, -0.7, 0.7, NULL, 0},
    {"Erf", 13, -1, 1, NULL, 0},
    {"Tanh", 13, -2, 2, NULL, 0},
    {"Sigmoid", 13, -3, 3, NULL, 0},
    {"Softplus", 13, -3, 3, NULL, 0},
    {"Softsign", 13, -3, 3, NULL, 0},
    {"Relu", 14, -1, 1, NULL, 0},
    {"ThresholdedRelu", 13, -1, 2, "alpha", 0.3f},
    {"LeakyRelu", 16, -1, 1, NULL, 0},
    {"LeakyRelu", 13, -1, 1, "alpha", 0.2f},
    {"Elu", 13, -1, 1, NULL, 0},
    {"Elu", 13, -1, 1, "alpha", 1.5f},
    {"Selu", 13, -1, 1, NULL, 0},
    {"Selu", 13, -1, 1, "gamma", 2.0f},
    {"HardSigmoid", 13, -4, 4, NULL, 0},
    {"HardSigmoid", 13, -4, 4, "alpha", 0.4f},
    {"HardSwish", 14, -5, 5, NULL, 0},
    {"Swish", 24, -2, 2, NULL, 0},
    {"Swish", 24, -2, 2, "alpha", 1.7f},
    {"Mish", 18, -2, 2, NULL, 0},
    {"Gelu", 20, -2, 2, NULL, 0},
    {"Gelu", 20, -2, 2, "approximate", 0},
};

static void begin_case(gradient_check *check, const function_case *c) {
  gradient_check_begin(check, c->opset);
  gradient_check_variable(check, "x", 2, (int64_t[]){3, 7}, c->low, c->high);
  node *node = builder_node(check->builder, c->op_type, "x", "y");
  if (!c->attribute) return;
  if (c->number != 0) {
    builder_float(node, c->attribute, c->number);
  } else {
    builder_string(node, c->attribute, "tanh");
  }
}

static void agrees_with_differences(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gradient_check check;
    print_message("%s\n", cases[i].op_type);
    begin_case(&check, &cases[i]);
    gradient_check_finish(&check, "y");
  }
}

static void second_derivatives_agree(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gradient_check check;
    print_message("%s\n", cases[i].op_type);
    begin_case(&check, &cases[i]);
    gradient_check_finish_twice(&check, "y");
  }
}

/* Nothing flows through what is constant between its steps. */
static void steps_have_no_gradient(void **state) {
  static const char *const names[] = {"Sign", "Floor", "Ceil", "Round"};
  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    gradient_check check;
    gradient_check_begin(&check, 13);
    gradient_check_variable(&check, "x", 1, (int64_t[]){9}, -3, 3);
    builder_node(check.builder, names[i], "x", "y");
    gradient_check_finish(&check, "y");
  }
}

static void casts_go_back(void **state) {
  gradient_check check;
  (void)state;
  gradient_check_begin(&check, 13);
  gradient_check_variable(&check, "x", 1, (int64_t[]){5}, -1, 1);
  builder_int(builder_node(check.builder, "Cast", "x", "same"), "to", NORMA_DOUBLE);
  builder_node(check.builder, "Mul", "same x", "y");
  gradient_check_finish(&check, "y");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(agrees_with_differences),
      cmocka_unit_test(second_derivatives_agree),
      cmocka_unit_test(steps_have_no_gradient),
      cmocka_unit_test(casts_go_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
