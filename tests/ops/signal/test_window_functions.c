/* HannWindow, HammingWindow and BlackmanWindow of every type, both periods. */
#include "tests/support/operator_driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static double cosine(double n, double size, double times) {
  return cos(times * 2 * 3.14159265358979323846 * n / size);
}

static double hann(double n, double size) {
  return 0.5 - 0.5 * cosine(n, size, 1);
}

static double hamming(double n, double size) {
  return 25.0 / 46 - 21.0 / 46 * cosine(n, size, 1);
}

static double blackman(double n, double size) {
  return 0.42 - 0.5 * cosine(n, size, 1) + 0.08 * cosine(n, size, 2);
}

static const struct {
  const char *name;
  double (*value)(double n, double size);
} windows[] = {{"HannWindow", hann}, {"HammingWindow", hamming}, {"BlackmanWindow", blackman}};

static void every_window_and_type(void **state) {
  (void)state;
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16,
                                             NORMA_INT8,  NORMA_INT16,  NORMA_INT32,   NORMA_INT64,
                                             NORMA_UINT8, NORMA_UINT16, NORMA_UINT32,  NORMA_UINT64};
  static const int64_t sizes[] = {0, 2, 3, 10, 17, 9000};
  driver driver;
  driver_init(&driver);
  for (size_t w = 0; w < COUNT(windows); w++) {
    for (size_t t = 0; t < COUNT(types); t++) {
      for (size_t i = 0; i < COUNT(sizes); i++) {
        for (int periodic = 0; periodic < 2; periodic++) {
          value size = driver_tensor(&driver, t % 2 ? NORMA_INT32 : NORMA_INT64, 0, NULL, (double[]){(double)sizes[i]});
          driver_call call = {
              .op_type = windows[w].name,
              .opset = 17,
              .inputs = {&size},
              .input_count = 1,
              .output_count = 1,
              .workers = 1 + (int)i % 3,
              .constants = i % 2,
              .attributes = {DRIVER_INT("periodic", periodic), DRIVER_INT("output_datatype", types[t])}};
          if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
          const value *y = &driver.outputs[0];
          assert_int_equal(y->tensor.type, types[t]);
          assert_int_equal(norma_tensor_count(&y->tensor), sizes[i]);
          const bool whole = (TYPE_BIT(types[t]) & TYPES_INTEGER) != 0;
          for (int64_t k = 0; k < sizes[i]; k++) {
            const double exact = windows[w].value((double)k, (double)(sizes[i] - 1 + periodic)),
                         found = driver_element(y, k);
            const double tolerance = types[t] == NORMA_DOUBLE    ? 1e-15
                                     : types[t] == NORMA_FLOAT   ? 1e-7
                                     : types[t] == NORMA_FLOAT16 ? 5e-4
                                                                 : 4e-3;
            if (whole) /* only a peak is 1 */
              assert_true(found == (exact > 1 - 1e-15));
            else if (!(fabs(found - exact) <= tolerance))
              fail_msg("%s %d of %d is %.9g, not %.9g", windows[w].name, (int)k, (int)sizes[i], found, exact);
          }
          value_clear(&size);
        }
      }
    }
  }
  driver_finish(&driver);
}

static void refused(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value negative = driver_ints(&driver, 0, NULL, (int64_t[]){-1}), two = driver_ints(&driver, 1, (int64_t[]){2}, NULL);
  value huge = driver_ints(&driver, 0, NULL, (int64_t[]){INT64_MAX}),
        good = driver_ints(&driver, 0, NULL, (int64_t[]){4});
  const value *const wrong[] = {&negative, &two, &huge};
  for (size_t i = 0; i < COUNT(wrong) * 2; i++) {
    driver_call call = {.op_type = "HannWindow",
                        .opset = 17,
                        .inputs = {wrong[i / 2]},
                        .input_count = 1,
                        .output_count = 1,
                        .constants = i % 2};
    assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  }
  static const int64_t no_types[] = {NORMA_STRING, NORMA_BOOL, NORMA_COMPLEX64, 0, -1, 1000};
  for (size_t i = 0; i < COUNT(no_types); i++) {
    driver_call call = {.op_type = "HannWindow",
                        .opset = 17,
                        .inputs = {&good},
                        .input_count = 1,
                        .output_count = 1,
                        .attributes = {DRIVER_INT("output_datatype", no_types[i])}};
    assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  }
  value_clear(&negative), value_clear(&two), value_clear(&huge), value_clear(&good);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_window_and_type), cmocka_unit_test(refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
