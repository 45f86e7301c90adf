/* MelWeightMatrix against triangles that are drawn bin by bin. */
#include "tests/support/operator_driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static norma_status run(driver *driver, const double *numbers, norma_element_type whole, norma_element_type edge,
                        norma_element_type output, uint32_t constants) {
  value inputs[5];
  driver_call call = {.op_type = "MelWeightMatrix",
                      .opset = 17,
                      .input_count = 5,
                      .output_count = 1,
                      .constants = constants,
                      .attributes = {DRIVER_INT("output_datatype", output)}};
  for (int i = 0; i < 5; i++) {
    inputs[i] = driver_tensor(driver, i < 3 ? whole : edge, 0, NULL, &numbers[i]);
    call.inputs[i] = &inputs[i];
  }
  const norma_status status = driver_run(driver, &call);
  for (int i = 0; i < 5; i++) value_clear(&inputs[i]);
  return status;
}

/* The bin of an edge. */
static long edge(const double *numbers, int index) {
  const double low = 2595 * log10(1 + numbers[3] / 700), high = 2595 * log10(1 + numbers[4] / 700);
  const double mel = low + index * (high - low) / (numbers[0] + 2), hertz = 700 * (pow(10, mel / 2595) - 1);
  return (long)floor((numbers[1] + 1) * hertz / numbers[2] + 1e-9);
}

static void triangles(void **state) {
  (void)state;
  static const double cases[][5] = {{8, 16, 8192, 0, 4096},    {40, 512, 16000, 20, 8000}, {3, 64, 1000, 0, 100},
                                    {80, 400, 16000, 0, 8000}, {0, 16, 8000, 0, 4000},     {5, 0, 8000, 0, 10},
                                    {1, 1, 100, 0, 20}};
  static const norma_element_type outputs[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16,
                                               NORMA_INT32, NORMA_UINT8,  NORMA_INT64};
  driver driver;
  driver_init(&driver);
  for (size_t i = 0; i < COUNT(cases); i++) {
    const double *numbers = cases[i];
    const norma_element_type type = outputs[i];
    const bool whole = (TYPE_BIT(type) & TYPES_INTEGER) != 0;
    for (uint32_t constants = 0; constants < 32; constants += 31) {
      if (run(&driver, numbers, i % 2 ? NORMA_INT32 : NORMA_INT64, i % 3 ? NORMA_FLOAT : NORMA_DOUBLE, type,
              constants) != NORMA_OK)
        fail_msg("%s", driver.error.message);
      const value *y = &driver.outputs[0];
      assert_int_equal(y->tensor.type, type);
      assert_int_equal(y->tensor.dims[0], (int64_t)numbers[1] / 2 + 1);
      assert_int_equal(y->tensor.dims[1], (int64_t)numbers[0]);
      for (long bin = 0; bin < y->tensor.dims[0]; bin++) {
        for (int band = 0; band < y->tensor.dims[1]; band++) {
          const long low = edge(numbers, band), center = edge(numbers, band + 1), high = edge(numbers, band + 2);
          double wanted = bin == center ? 1 : 0;
          if (bin >= low && bin < center) wanted = (double)(bin - low) / (double)(center - low);
          if (bin > center && bin < high) wanted = (double)(high - bin) / (double)(high - center);
          if (whole) wanted = floor(wanted);
          const double found = driver_element(y, bin * y->tensor.dims[1] + band);
          if (!(fabs(found - wanted) <= (type == NORMA_DOUBLE ? 1e-15 : type == NORMA_BFLOAT16 ? 4e-3 : 1e-3)))
            fail_msg("case %d, bin %d, band %d is %g, not %g", (int)i, (int)bin, band, found, wanted);
        }
      }
    }
  }
  driver_finish(&driver);
}

static void refused(void **state) {
  (void)state;
  static const double wrong[][5] = {{-1, 16, 8192, 0, 4096}, {8, -1, 8192, 0, 4096}, {8, 16, 0, 0, 4096},
                                    {8, 16, 8192, -5, 4096}, {8, 16, 8192, 100, 50}, {8, 16, 8192, 0, 1e9},
                                    {8, 16, 8192, NAN, 1},   {8, 16, 8192, 0, NAN},  {8, 16, 8192, 0, INFINITY}};
  driver driver;
  driver_init(&driver);
  for (size_t i = 0; i < COUNT(wrong); i++) {
    for (uint32_t constants = 0; constants < 32; constants += 31) {
      if (run(&driver, wrong[i], NORMA_INT64, NORMA_FLOAT, NORMA_FLOAT, constants) == NORMA_OK)
        fail_msg("case %d was accepted", (int)i);
    }
  }
  const double good[5] = {8, 16, 8192, 0, 4096};
  assert_int_not_equal(run(&driver, good, NORMA_INT64, NORMA_FLOAT, NORMA_STRING, 0), NORMA_OK);
  assert_int_not_equal(run(&driver, good, NORMA_INT64, NORMA_FLOAT, NORMA_BOOL, 0), NORMA_OK);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(triangles), cmocka_unit_test(refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
