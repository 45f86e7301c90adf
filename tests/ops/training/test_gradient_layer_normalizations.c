/* Derivatives of LayerNormalization, RMSNormalization and InstanceNormalization against differences. */
#include "tests/support/gradient_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void normalizations_of_last_axes_agree(void **state) {
  static const int64_t x[] = {2, 3, 4};
  (void)state;
  for (int form = 0; form < 12; form++) {
    gradient_check check;
    const bool is_rms = form % 2, has_bias = form / 6 && !is_rms;
    const int axis = form / 2 % 3;
    gradient_check_begin(&check, is_rms ? 23 : 17);
    gradient_check_variable(&check, "x", 3, x, -1, 1);
    gradient_check_variable(&check, "scale", 3 - axis, x + axis, 0.5, 2);
    if (has_bias) gradient_check_variable(&check, "bias", 3 - axis, x + axis, -1, 1);
    node *node = builder_node(check.builder, is_rms ? "RMSNormalization" : "LayerNormalization",
                              has_bias ? "x scale bias" : "x scale", "y");
    builder_int(node, "axis", form < 6 ? axis : axis - 3);
    builder_float(node, "epsilon", 0.01f);
    (form % 3 ? gradient_check_finish : gradient_check_finish_twice)(&check, "y");
  }
}

static void instance_normalization_agrees(void **state) {
  static const int64_t shapes[][4] = {{2, 3, 4}, {2, 3, 2, 3}}, channels = 3;
  (void)state;
  for (int form = 0; form < 2; form++) {
    gradient_check check;
    gradient_check_begin(&check, 17);
    gradient_check_variable(&check, "x", 3 + form, shapes[form], -1, 1);
    gradient_check_variable(&check, "scale", 1, &channels, 0.5, 2);
    gradient_check_variable(&check, "bias", 1, &channels, -1, 1);
    builder_float(builder_node(check.builder, "InstanceNormalization", "x scale bias", "y"), "epsilon", 0.01f);
    (form ? gradient_check_finish : gradient_check_finish_twice)(&check, "y");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(normalizations_of_last_axes_agree),
      cmocka_unit_test(instance_normalization_agrees),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
