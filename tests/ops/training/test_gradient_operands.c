/* Derivatives of functions of several tensors against differences: operands of one shape, and broadcast ones. */
#include "tests/support/gradient_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char *const pairs[] = {"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Mean", "PRelu"};

static void check_pair(const char *op_type, int rank, const int64_t *dims, bool twice) {
  gradient_check check;
  print_message("%s\n", op_type);
  gradient_check_begin(&check, 13);
  gradient_check_variable(&check, "x", 3, (int64_t[]){2, 3, 4}, op_type[1] == 'R' ? -2 : 0.5, 2);
  gradient_check_variable(&check, "z", rank, dims, 0.6, 2.1);
  builder_node(check.builder, op_type, "x z", "y");
  (twice ? gradient_check_finish_twice : gradient_check_finish)(&check, "y");
}

static void pairs_agree(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    check_pair(pairs[i], 3, (int64_t[]){2, 3, 4}, false);
    check_pair(pairs[i], 3, (int64_t[]){2, 3, 4}, true);
  }
}

static void broadcast_pairs_agree(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    check_pair(pairs[i], 0, NULL, false);
    check_pair(pairs[i], 1, (int64_t[]){4}, false);
    check_pair(pairs[i], 2, (int64_t[]){3, 1}, false);
    check_pair(pairs[i], 3, (int64_t[]){2, 1, 4}, true);
  }
}

/* Both are smaller than the result. */
static void crossed_operands_agree(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs - 1; i++) {
    gradient_check check;
    gradient_check_begin(&check, 13);
    gradient_check_variable(&check, "x", 2, (int64_t[]){3, 1}, 0.5, 2);
    gradient_check_variable(&check, "z", 3, (int64_t[]){2, 1, 4}, 0.6, 2.1);
    builder_node(check.builder, pairs[i], "x z", "y");
    gradient_check_finish(&check, "y");
  }
}

/* One value as both operands: the gradients are added. */
static void equal_operands_add(void **state) {
  (void)state;
  for (size_t i = 0; i < 5; i++) {
    gradient_check check;
    gradient_check_begin(&check, 13);
    gradient_check_variable(&check, "x", 1, (int64_t[]){5}, 0.5, 2);
    builder_node(check.builder, pairs[i], "x x", "y");
    gradient_check_finish(&check, "y");
  }
}

static void many_operands_agree(void **state) {
  static const char *const names[] = {"Sum", "Mean", "Max", "Min"};
  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    gradient_check check;
    gradient_check_begin(&check, 13);
    gradient_check_variable(&check, "a", 2, (int64_t[]){3, 4}, -1, 1);
    gradient_check_variable(&check, "b", 1, (int64_t[]){4}, -1, 1);
    gradient_check_variable(&check, "c", 2, (int64_t[]){3, 1}, -1, 1);
    builder_node(check.builder, names[i], "a b c", "y");
    gradient_check_finish(&check, "y");
  }
}

/* x^2 and x^0 of negative numbers have a derivative in x. */
static void constant_powers_agree(void **state) {
  (void)state;
  for (double exponent = 0; exponent < 4; exponent++) {
    gradient_check check;
    gradient_check_begin(&check, 13);
    gradient_check_variable(&check, "x", 1, (int64_t[]){6}, -2, 2);
    builder_initializer(check.builder, "e", NORMA_DOUBLE, 0, NULL, &exponent);
    builder_node(check.builder, "Pow", "x e", "y");
    gradient_check_finish(&check, "y");
  }
}

static void where_agrees(void **state) {
  gradient_check check;
  (void)state;
  gradient_check_begin(&check, 13);
  gradient_check_variable(&check, "a", 2, (int64_t[]){3, 4}, -1, 1);
  gradient_check_variable(&check, "b", 2, (int64_t[]){3, 1}, -1, 1);
  builder_node(check.builder, "Less", "a b", "less");
  builder_node(check.builder, "Where", "less a b", "y");
  gradient_check_finish(&check, "y");
}

static void clip_agrees(void **state) {
  gradient_check check;
  (void)state;
  gradient_check_begin(&check, 13);
  gradient_check_variable(&check, "x", 1, (int64_t[]){20}, -2, 2);
  gradient_check_variable(&check, "low", 0, NULL, -1, -0.5);
  gradient_check_variable(&check, "high", 0, NULL, 0.5, 1);
  builder_node(check.builder, "Clip", "x low high", "y");
  gradient_check_finish(&check, "y");
  /* one bound; crossed bounds, of which the upper one counts; bounds as attributes */
  gradient_check_begin(&check, 13);
  gradient_check_variable(&check, "x", 1, (int64_t[]){20}, -2, 2);
  gradient_check_variable(&check, "high", 0, NULL, 0.5, 1);
  builder_node(check.builder, "Clip", "x - high", "y");
  gradient_check_finish(&check, "y");
  gradient_check_begin(&check, 13);
  gradient_check_variable(&check, "x", 1, (int64_t[]){20}, -2, 2);
  gradient_check_variable(&check, "low", 0, NULL, 0.5, 1);
  gradient_check_variable(&check, "high", 0, NULL, -1, -0.5);
  builder_node(check.builder, "Clip", "x low high", "y");
  gradient_check_finish(&check, "y");
  gradient_check_begin(&check, 10);
  gradient_check_variable(&check, "x", 1, (int64_t[]){20}, -2, 2);
  builder_float(builder_node(check.builder, "Clip", "x", "y"), "max", 0.75f);
  gradient_check_finish(&check, "y");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pairs_agree),
      cmocka_unit_test(broadcast_pairs_agree),
      cmocka_unit_test(crossed_operands_agree),
      cmocka_unit_test(equal_operands_add),
      cmocka_unit_test(many_operands_agree),
      cmocka_unit_test(constant_powers_agree),
      cmocka_unit_test(where_agrees),
      cmocka_unit_test(clip_agrees),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
