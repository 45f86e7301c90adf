/* What the load makes of Gradient nodes: which tensors they name, other values than those named, order, refusals. */
#include "tests/support/gradient_check.h"
#include "tests/support/opened_model.h"
#include "tests/support/random_tensor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static model_builder *begin(void) {
  model_builder *b = builder_create(13);
  builder_import(b, "ai.onnx.preview.training", 1);
  builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){2});
  return b;
}

/* Runs the model with x = (2, 3) at all levels and compares output 0. */
static void expect(model_builder *b, double first, double second) {
  FOR_EACH_LEVEL(level) {
    opened_model opened = opened_load(b, tested_levels[level]);
    opened_set(&opened, "x", NORMA_FLOAT, 1, (int64_t[]){2}, (float[]){2, 3});
    opened_run(&opened);
    opened_assert_floats(&opened, 0, 1, (int64_t[]){2}, (double[]){first, second});
    opened_free(&opened);
  }
  builder_destroy(b);
}

static void sums_the_elements_of_y(void **state) {
  (void)state;
  model_builder *b = begin();
  builder_node(b, "Mul", "x x", "y");
  gradient_check_node(b, "x", "", "y", "x", "d");
  builder_output(b, "d", NORMA_FLOAT, 1, (int64_t[]){2});
  expect(b, 4, 6);
}

static void constants_and_other_inputs_may_be_left_out(void **state) {
  (void)state;
  model_builder *b = begin();
  builder_floats(b, "w", 1, (int64_t[]){2}, (float[]){5, 7});
  builder_node(b, "Mul", "x w", "y");
  gradient_check_node(b, "w", "", "y", "w", "d");
  builder_output(b, "d", NORMA_FLOAT, -1, NULL);
  expect(b, 2, 3);
}

/* h = x x, y = h x: with respect to h and x, h counts as a variable. */
static void a_computed_variable_is_independent(void **state) {
  (void)state;
  model_builder *b = begin();
  builder_node(b, "Mul", "x x", "h");
  builder_node(b, "Mul", "h x", "y");
  gradient_check_node(b, "x", "h", "y", "x h", "d");
  builder_output(b, "d", NORMA_FLOAT, -1, NULL);
  expect(b, 4, 9);
}

static void absent_outputs_are_not_computed(void **state) {
  (void)state;
  model_builder *b = begin();
  builder_node(b, "Exp", "x", "e");
  builder_node(b, "Mul", "e x", "y");
  gradient_check_node(b, "x e", "", "y", "x e", "- d");
  builder_output(b, "d", NORMA_FLOAT, -1, NULL);
  expect(b, 2, 3);
}

static void what_y_does_not_depend_on_has_zeros(void **state) {
  (void)state;
  model_builder *b = begin();
  builder_floats(b, "w", 1, (int64_t[]){2}, (float[]){5, 7});
  builder_node(b, "Exp", "w", "y");
  gradient_check_node(b, "x w", "", "y", "x w", "d");
  builder_output(b, "d", NORMA_FLOAT, -1, NULL);
  expect(b, 0, 0);
}

static void y_may_be_a_variable(void **state) {
  (void)state;
  model_builder *b = begin();
  gradient_check_node(b, "x", "", "x", "x", "d");
  builder_output(b, "d", NORMA_FLOAT, -1, NULL);
  expect(b, 1, 1);
}

/* y = x^3, differentiated at 10 x. */
static void other_values_are_put_in(void **state) {
  (void)state;
  model_builder *b = begin();
  builder_floats(b, "ten", 0, NULL, (float[]){10});
  builder_node(b, "Mul", "x x", "h");
  builder_node(b, "Mul", "h x", "y");
  builder_node(b, "Mul", "x ten", "other");
  gradient_check_node(b, "x", "", "y", "other", "d");
  builder_output(b, "d", NORMA_FLOAT, -1, NULL);
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  expect(b, 1200, 2700);
}

/* The inputs of Gradient do not say where y is computed. */
static void the_node_may_stand_before_y(void **state) {
  (void)state;
  model_builder *b = begin();
  gradient_check_node(b, "x", "", "y", "x", "d");
  builder_node(b, "Neg", "d", "e");
  builder_node(b, "Mul", "x x", "h");
  builder_node(b, "Mul", "h x", "y");
  builder_output(b, "e", NORMA_FLOAT, -1, NULL);
  expect(b, -12, -27);
}

/* The second one before the first. */
static void gradients_of_gradients(void **state) {
  (void)state;
  model_builder *b = begin();
  gradient_check_node(b, "x", "", "d", "x", "dd");
  gradient_check_node(b, "x", "", "y", "x", "d");
  builder_node(b, "Mul", "x x", "h");
  builder_node(b, "Mul", "h x", "y");
  builder_output(b, "dd", NORMA_FLOAT, -1, NULL);
  expect(b, 12, 18);
}

static void integers_between_have_no_gradient(void **state) {
  (void)state;
  model_builder *b = begin();
  builder_int(builder_node(b, "Cast", "x", "whole"), "to", NORMA_INT64);
  builder_int(builder_node(b, "Cast", "whole", "back"), "to", NORMA_FLOAT);
  builder_node(b, "Mul", "x back", "y");
  gradient_check_node(b, "x", "", "y", "x", "d");
  builder_output(b, "d", NORMA_FLOAT, -1, NULL);
  expect(b, 2, 3);
}

/* A node that the gradient does not pass may be anything. */
static void operators_beside_need_no_rule(void **state) {
  (void)state;
  model_builder *b = begin();
  builder_floats(b, "w", 1, (int64_t[]){2}, (float[]){5, 7});
  builder_int(builder_node(b, "CumSum", "w zero", "s"), "exclusive", 0);
  builder_ints64(b, "zero", 0, NULL, (int64_t[]){0});
  builder_node(b, "Mul", "x s", "y");
  gradient_check_node(b, "x", "", "y", "x", "d");
  builder_output(b, "d", NORMA_FLOAT, -1, NULL);
  expect(b, 5, 12);
}

/* --------------------------------------------------------------------------------------------------------- refusals */

static void refuse(model_builder *b, const char *text) {
  builder_output(b, "d", NORMA_FLOAT, -1, NULL);
  opened_assert_refused(b, text);
}

static void an_operator_without_rule_is_named(void **state) {
  (void)state;
  model_builder *b = begin();
  builder_named_node(b, "the largest", "", "Hardmax", "x", "y");
  gradient_check_node(b, "x", "", "y", "x", "d");
  refuse(b, "node 'the largest' (Hardmax, ai.onnx 13): the gradient of this operator is not known");
}

static void names_must_exist(void **state) {
  (void)state;
  model_builder *b = begin();
  builder_node(b, "Neg", "x", "y");
  gradient_check_node(b, "x", "", "z", "x", "d");
  refuse(b, "there is no tensor 'z'");
  b = begin();
  builder_node(b, "Neg", "x", "y");
  gradient_check_node(b, "w", "", "y", "x", "d");
  refuse(b, "there is no tensor 'w'");
}

static void numbers_of_names_must_fit(void **state) {
  (void)state;
  model_builder *b = begin();
  builder_node(b, "Neg", "x", "y");
  gradient_check_node(b, "x", "y", "y", "x", "d");
  refuse(b, "1 inputs for 1 names in xs and 1 in zs");
  b = begin();
  builder_node(b, "Neg", "x", "y");
  gradient_check_node(b, "x", "", "y", "x", "d e");
  refuse(b, "2 outputs for 1 names in xs");
  b = begin();
  gradient_check_node(b, "", "x", "x", "x", "d");
  refuse(b, "xs names no tensor");
}

static void circles_are_refused(void **state) {
  (void)state;
  model_builder *b = begin();
  builder_node(b, "Mul", "x d", "y");
  gradient_check_node(b, "x", "", "y", "x", "d");
  refuse(b, "own");
  b = begin();
  builder_node(b, "Mul", "x e", "y");
  builder_node(b, "Mul", "x d", "z");
  gradient_check_node(b, "x", "", "y", "x", "d");
  gradient_check_node(b, "x", "", "z", "x", "e");
  refuse(b, "own");
}

static void integers_have_no_gradient(void **state) {
  (void)state;
  model_builder *b = begin();
  builder_input(b, "n", NORMA_INT64, 1, (int64_t[]){2});
  builder_node(b, "Neg", "n", "y");
  gradient_check_node(b, "n", "", "y", "n", "d");
  refuse(b, "no gradient with respect to input 0 of int64");
}

/* -------------------------------------------------------------------------------------------------- random networks */

/* Layers drawn at random, each of what is there already; all weights are variables. */
static void random_networks_agree(void **state) {
  static const char *const functions[] = {"Tanh", "Sigmoid", "Softplus", "Elu",
                                          "Selu", "Gelu",    "Softsign", "LeakyRelu"};
  static const char *const values[] = {"v0", "v1", "v2", "v3", "v4", "v5", "v6"};
  uint64_t seed = 0x2545F4914F6CDD1D;
  (void)state;
  for (int network = 0; network < 30; network++) {
    gradient_check check;
    gradient_check_begin(&check, 20);
    check.seed += (uint64_t)network;
    gradient_check_variable(&check, "x", 4, (int64_t[]){2, 2, 4, 4}, -1, 1);
    gradient_check_variable(&check, "w", 4, (int64_t[]){2, 2, 3, 3}, -0.5, 0.5);
    gradient_check_variable(&check, "s", 1, (int64_t[]){2}, 0.5, 1.5);
    gradient_check_variable(&check, "t", 1, (int64_t[]){2}, -1, 1);
    builder_initializer(check.builder, "m", NORMA_DOUBLE, 1, (int64_t[]){2}, (double[]){0, 0});
    builder_node(check.builder, "Identity", "x", "v0");
    for (int i = 1; i < 7; i++) {
      char inputs[64], outputs[64];
      const char *one = values[random_int(&seed, 0, i - 1)], *other = values[i - 1];
      snprintf(outputs, sizeof outputs, "%s", values[i]);
      switch (random_int(&seed, 0, 4)) {
      case 0:
        snprintf(inputs, sizeof inputs, "%s w", other);
        builder_ints(builder_node(check.builder, "Conv", inputs, outputs), "pads", 4, (int64_t[]){1, 1, 1, 1});
        break;
      case 1:
        snprintf(inputs, sizeof inputs, "%s s t m m", other);
        snprintf(outputs, sizeof outputs, "%s mean%d variance%d", values[i], i, i);
        builder_int(builder_node(check.builder, "BatchNormalization", inputs, outputs), "training_mode", 1);
        break;
      case 2:
        snprintf(inputs, sizeof inputs, "%s %s", one, other);
        builder_node(check.builder, random_int(&seed, 0, 1) ? "Mul" : "Add", inputs, outputs);
        break;
      case 3:
        builder_int(builder_node(check.builder, "Softmax", other, outputs), "axis", random_int(&seed, 1, 3));
        break;
      default:
        builder_node(check.builder, functions[random_int(&seed, 0, 7)], other, outputs);
      }
    }
    gradient_check_finish(&check, "v6");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sums_the_elements_of_y),
      cmocka_unit_test(constants_and_other_inputs_may_be_left_out),
      cmocka_unit_test(a_computed_variable_is_independent),
      cmocka_unit_test(absent_outputs_are_not_computed),
      cmocka_unit_test(what_y_does_not_depend_on_has_zeros),
      cmocka_unit_test(y_may_be_a_variable),
      cmocka_unit_test(other_values_are_put_in),
      cmocka_unit_test(the_node_may_stand_before_y),
      cmocka_unit_test(gradients_of_gradients),
      cmocka_unit_test(integers_between_have_no_gradient),
      cmocka_unit_test(operators_beside_need_no_rule),
      cmocka_unit_test(an_operator_without_rule_is_named),
      cmocka_unit_test(names_must_exist),
      cmocka_unit_test(numbers_of_names_must_fit),
      cmocka_unit_test(circles_are_refused),
      cmocka_unit_test(integers_have_no_gradient),
      cmocka_unit_test(random_networks_agree),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
