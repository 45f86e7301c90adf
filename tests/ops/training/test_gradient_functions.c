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
    {"Shrink", 9, -1, 1, NULL, 0},
    {"Shrink", 9, -2, 2, "lambd", 0.7f},
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
  gradient_check_begin(&check, 15);
  gradient_check_variable(&check, "x", 1, (int64_t[]){5}, -1, 1);
  builder_node(check.builder, "CastLike", "x x", "same");
  builder_node(check.builder, "Mul", "same x", "y");
  gradient_check_finish(&check, "y");
}

/* form: 0 an old one without a mode, 1 inference, 2 training with its mask, which the seed repeats */
static void dropout_agrees(void **state) {
  static const float ratio = 0.25f;
  static const bool trains = true;
  (void)state;
  for (int form = 0; form < 3; form++) {
    gradient_check check;
    gradient_check_begin(&check, form ? 13 : 10);
    gradient_check_variable(&check, "x", 2, (int64_t[]){3, 7}, -1, 1);
    builder_floats(check.builder, "ratio", 0, NULL, &ratio);
    builder_initializer(check.builder, "trains", NORMA_BOOL, 0, NULL, &trains);
    node *node = builder_node(check.builder, "Dropout",
                              form == 2 ? "x ratio trains"
                              : form    ? "x ratio"
                                        : "x",
                              form == 2 ? "y mask" : "y");
    if (form) builder_int(node, "seed", 7);
    gradient_check_finish(&check, "y");
  }
}

/* What only the node knows has no derivative. */
static void dropout_without_its_mask_is_refused(void **state) {
  static const float ratio = 0.25f;
  static const bool trains = true;
  norma_model *model = NULL;
  norma_error error;
  size_t size;
  (void)state;
  model_builder *builder = builder_create(13);
  builder_import(builder, "ai.onnx.preview.training", 1);
  builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){5});
  builder_floats(builder, "ratio", 0, NULL, &ratio);
  builder_initializer(builder, "trains", NORMA_BOOL, 0, NULL, &trains);
  builder_node(builder, "Dropout", "x ratio trains", "y");
  gradient_check_node(builder, "x", "", "y", "x", "dx");
  builder_output(builder, "dx", NORMA_FLOAT, 1, (int64_t[]){5});
  const void *bytes = builder_bytes(builder, &size);
  assert_int_equal(norma_model_load_memory(bytes, size, NULL, &model, &error), NORMA_ERROR_UNSUPPORTED);
  assert_non_null(strstr(error.message, "the mask is no output of the node"));
  builder_destroy(builder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(agrees_with_differences), cmocka_unit_test(second_derivatives_agree),
      cmocka_unit_test(steps_have_no_gradient),  cmocka_unit_test(casts_go_back),
      cmocka_unit_test(dropout_agrees),          cmocka_unit_test(dropout_without_its_mask_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
