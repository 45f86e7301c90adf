/* Denormals kept and flushed. */
#include "engine/base/float_control.h"

#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Products that the compiler does not know: of two normal numbers below the normal range; of a denormal operand. */
static float small_product(void) {
  volatile float x = FLT_MIN, half = 0.5f;
  return x * half;
}

static float small_operand(void) {
  volatile float x = FLT_MIN / 4, large = 1e20f;
  return x * large;
}

static void flushed_and_back(void **state) {
  (void)state;
#if defined(__SSE2__) || defined(__aarch64__)
  const float_control before = float_control_keep();
  assert_true(small_product() > 0);
  const float_control kept = float_control_flush();
  assert_true(small_product() == 0);
  assert_true(small_operand() == 0);
  float_control_restore(kept);
  assert_true(small_product() > 0);
  assert_true(small_operand() > 0);
  assert_true(float_control_flush() == kept);
  assert_true(float_control_keep() != kept);
  assert_true(small_product() > 0);
  float_control_restore(before);
#else
  float_control_restore(float_control_flush());
  assert_true(small_product() > 0 && small_operand() > 0);
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(flushed_and_back)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
