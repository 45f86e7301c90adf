/* Derivatives of Softmax, LogSoftmax and BatchNormalization in both modes against differences. */
#include "tests/support/gradient_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void softmax_agrees(void **state) {
  static const char *const names[] = {"Softmax", "LogSoftmax"};
  (void)state;
  for (int form = 0; form < 16; form++) {
    gradient_check check;
    const int64_t axis = form / 2 % 4 - 1;
    gradient_check_begin(&check, form < 8 ? 12 : 13);
    gradient_check_variable(&check, "x", 3, (int64_t[]){2, 3, 4}, -2, 2);
    builder_int(builder_node(check.builder, names[form % 2], "x", "y"), "axis", axis);
    (form % 3 ? gradient_check_finish : gradient_check_finish_twice)(&check, "y");
  }
}

/* With the gradient through mean and variance of the batch. */
static void batch_normalization_agrees(void **state) {
  static const int64_t shapes[][4] = {{6, 3}, {2, 3, 4}, {2, 3, 2, 3}};
  (void)state;
  for (int form = 0; form < 6; form++) {
    gradient_check check;
    const bool trains = form < 3;
    const int64_t channels = 3;
    gradient_check_begin(&check, 15);
    gradient_check_variable(&check, "x", 2 + form % 3, shapes[form % 3], -1, 1);
    gradient_check_variable(&check, "scale", 1, &channels, 0.5, 2);
    gradient_check_variable(&check, "bias", 1, &channels, -1, 1);
    gradient_check_variable(&check, "mean", 1, &channels, -1, 1);
    gradient_check_variable(&check, "variance", 1, &channels, 0.5, 2);
    node *node = builder_node(check.builder, "BatchNormalization", "x scale bias mean variance",
                              trains ? "y new_mean new_variance" : "y");
    if (trains) builder_int(node, "training_mode", 1);
    builder_float(node, "epsilon", 0.01f);
    (form % 3 ? gradient_check_finish : gradient_check_finish_twice)(&check, "y");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(softmax_agrees),
      cmocka_unit_test(batch_normalization_agrees),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
