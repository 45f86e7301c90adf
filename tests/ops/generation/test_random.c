/* RandomUniform, RandomNormal, their likes, Bernoulli and Multinomial: ranges, moments, frequencies, seeds,
 * refusals. */
#include "ops/generation/random_numbers.h"
#include "tests/support/operator_driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const norma_element_type float_types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};

/* Elements are these, rounded to the type. */
static void assert_rounded(const value *value, norma_element_type type, int64_t count, const double *expected) {
  assert_int_equal(value->tensor.type, type);
  assert_int_equal(norma_tensor_count(&value->tensor), count);
  for (int64_t i = 0; i < count; i++) {
    uint64_t item = 0;
    element_set_double(type, &item, 0, expected[i]);
    assert_true(driver_element(value, i) == element_get_double(type, &item, 0));
  }
}

static void uniform_and_normal_numbers(void **state) {
  (void)state;
  static const int64_t dims[] = {3, 5, 7};
  driver driver;
  driver_init(&driver);
  for (size_t t = 0; t < COUNT(float_types); t++) {
    for (int normal = 0; normal < 2; normal++) {
      for (int like = 0; like < 2; like++) {
        value x = driver_tensor(&driver, like ? float_types[t] : NORMA_INT8, 3, dims, NULL);
        double expected[105];
        random_numbers numbers;
        random_begin(&numbers, &(random_seed){true, 42});
        for (int i = 0; i < 105; i++)
          expected[i] = normal ? 1.5 + random_normal(&numbers) * 0.25 : -2 + random_uniform(&numbers) * 6;
        for (int threads = 1; threads < 4; threads++) {
          driver_call call = {
              .op_type = normal ? (like ? "RandomNormalLike" : "RandomNormal")
                                : (like ? "RandomUniformLike" : "RandomUniform"),
              .opset = 22,
              .inputs = {&x},
              .input_count = like,
              .output_count = 1,
              .workers = threads,
              .attributes = {DRIVER_FLOAT("seed", 42),
                             normal ? (attribute)DRIVER_FLOAT("mean", 1.5f) : (attribute)DRIVER_FLOAT("low", -2),
                             normal ? (attribute)DRIVER_FLOAT("scale", 0.25f) : (attribute)DRIVER_FLOAT("high", 4)}};
          if (!like) {
            call.attributes[3] = (attribute)DRIVER_INTS("shape", 3, (int64_t *)dims);
            call.attributes[4] = (attribute)DRIVER_INT("dtype", float_types[t]);
          }
          if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
          assert_rounded(&driver.outputs[0], float_types[t], 105, expected);
        }
        value_clear(&x);
      }
    }
  }
  driver_finish(&driver);
}

static void moments(void **state) {
  (void)state;
  enum { MANY = 200000 };
  driver driver;
  driver_init(&driver);
  static const char *const names[] = {"RandomUniform", "RandomNormal"};
  for (int i = 0; i < 2; i++) {
    driver_call call = {
        .op_type = names[i], .opset = 1, .output_count = 1, .attributes = {DRIVER_INTS("shape", 1, (int64_t[]){MANY})}};
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    double sum = 0, squares = 0, least = INFINITY, most = -INFINITY;
    for (int k = 0; k < MANY; k++) {
      const double x = driver_element(&driver.outputs[0], k);
      sum += x, squares += x * x;
      least = fmin(least, x), most = fmax(most, x);
    }
    const double mean = sum / MANY, variance = squares / MANY - mean * mean;
    assert_true(fabs(mean - (i ? 0 : 0.5)) < 0.015);
    assert_true(fabs(variance - (i ? 1 : 1.0 / 12)) < 0.02);
    if (i == 0) assert_true(least >= 0 && most <= 1 && least < 0.001 && most > 0.999);
  }
  driver_finish(&driver);
}

static void draws_of_bernoulli(void **state) {
  (void)state;
  static const norma_element_type outputs[] = {NORMA_BOOL,   NORMA_INT8,    NORMA_UINT8,   NORMA_INT16,  NORMA_UINT16,
                                               NORMA_INT32,  NORMA_UINT32,  NORMA_INT64,   NORMA_UINT64, NORMA_FLOAT,
                                               NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  enum { MANY = 4000 };
  driver driver;
  driver_init(&driver);
  double elements[MANY];
  for (int i = 0; i < MANY; i++) elements[i] = (double[]){0, 0.25, 0.75, 1}[i % 4];
  for (size_t t = 0; t < COUNT(outputs); t++) {
    value x = driver_tensor(&driver, float_types[t % 4], 1, (int64_t[]){MANY}, elements);
    driver_call call = {.op_type = "Bernoulli",
                        .opset = 22,
                        .inputs = {&x},
                        .input_count = 1,
                        .output_count = 1,
                        .attributes = {DRIVER_INT("dtype", outputs[t])}};
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    assert_int_equal(driver.outputs[0].tensor.type, outputs[t]);
    double ones[4] = {0};
    for (int i = 0; i < MANY; i++) ones[i % 4] += driver_element(&driver.outputs[0], i);
    assert_true(ones[0] == 0 && ones[3] == MANY / 4);
    assert_true(fabs(ones[1] / (MANY / 4) - 0.25) < 0.08 && fabs(ones[2] / (MANY / 4) - 0.75) < 0.08);
    value_clear(&x);
  }
  driver_finish(&driver);
}

static void classes_of_multinomial(void **state) {
  (void)state;
  enum { MANY = 20000 };
  driver driver;
  driver_init(&driver);
  for (size_t t = 0; t < COUNT(float_types); t++) {
    const double logits[] = {log(0.5), log(0.125), -INFINITY, log(0.375), -INFINITY, -INFINITY, 1000, -INFINITY};
    value x = driver_tensor(&driver, float_types[t], 2, (int64_t[]){2, 4}, logits);
    driver_call call = {.op_type = "Multinomial",
                        .opset = 22,
                        .inputs = {&x},
                        .input_count = 1,
                        .output_count = 1,
                        .attributes = {DRIVER_INT("sample_size", MANY), DRIVER_FLOAT("seed", 3),
                                       DRIVER_INT("dtype", t % 2 ? NORMA_INT64 : NORMA_INT32)}};
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    assert_int_equal(driver.outputs[0].tensor.type, t % 2 ? NORMA_INT64 : NORMA_INT32);
    double counts[4] = {0};
    for (int i = 0; i < MANY; i++) counts[(int)driver_element(&driver.outputs[0], i)]++;
    assert_true(counts[2] == 0);
    assert_true(fabs(counts[0] / MANY - 0.5) < 0.02 && fabs(counts[1] / MANY - 0.125) < 0.02);
    for (int i = 0; i < MANY; i++) assert_true(driver_element(&driver.outputs[0], MANY + i) == 2);
    value_clear(&x);
  }
  driver_finish(&driver);
}

static void nothing_is_drawn_of_nothing(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 2, (int64_t[]){0, 3}, NULL);
  static const char *const names[] = {"RandomUniformLike", "RandomNormalLike", "Bernoulli"};
  for (size_t i = 0; i < COUNT(names); i++) {
    driver_call call = {.op_type = names[i], .opset = 22, .inputs = {&x}, .input_count = 1, .output_count = 1};
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 2, (int64_t[]){0, 3}, NULL);
  }
  driver_call call = {.op_type = "Multinomial", .opset = 7, .inputs = {&x}, .input_count = 1, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT32, 2, (int64_t[]){0, 1}, NULL);
  value_clear(&x);
  driver_finish(&driver);
}

static void refused(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value whole = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){1, 2});
  value outside = driver_floats(&driver, 1, (int64_t[]){2}, (float[]){0.5f, 1.5f});
  value no_number = driver_floats(&driver, 2, (int64_t[]){1, 2}, (float[]){0.5f, NAN});
  value none = driver_floats(&driver, 2, (int64_t[]){1, 2}, (float[]){-INFINITY, -INFINITY});
  value no_class = driver_floats(&driver, 2, (int64_t[]){1, 0}, NULL);
  driver_call calls[] = {
      {.op_type = "RandomUniform", .opset = 1}, /* no shape */
      {.op_type = "RandomUniform", .opset = 1, .attributes = {DRIVER_INTS("shape", 1, (int64_t[]){-1})}},
      {.op_type = "RandomNormal",
       .opset = 1,
       .attributes = {DRIVER_INTS("shape", 1, (int64_t[]){2}), DRIVER_INT("dtype", NORMA_INT32)}},
      {.op_type = "RandomNormal",
       .opset = 21,
       .attributes = {DRIVER_INTS("shape", 1, (int64_t[]){2}), DRIVER_INT("dtype", NORMA_BFLOAT16)}},
      {.op_type = "RandomNormal",
       .opset = 21,
       .attributes = {DRIVER_INTS("shape", 1, (int64_t[]){2}), DRIVER_INT("dtype", 1000)}},
      {.op_type = "RandomNormal", .opset = 21, .attributes = {DRIVER_INTS("shape", 17, (int64_t[17]){0})}},
      {.op_type = "RandomNormalLike", .opset = 1, .inputs = {&whole}, .input_count = 1}, /* integers, no dtype */
      {.op_type = "Bernoulli", .opset = 15, .inputs = {&outside}, .input_count = 1},
      {.op_type = "Bernoulli", .opset = 15, .inputs = {&no_number}, .input_count = 1},
      {.op_type = "Multinomial", .opset = 7, .inputs = {&outside}, .input_count = 1}, /* rank 1 */
      {.op_type = "Multinomial", .opset = 7, .inputs = {&no_number}, .input_count = 1},
      {.op_type = "Multinomial", .opset = 7, .inputs = {&none}, .input_count = 1},
      {.op_type = "Multinomial", .opset = 7, .inputs = {&no_class}, .input_count = 1},
      {.op_type = "Multinomial",
       .opset = 7,
       .inputs = {&none},
       .input_count = 1,
       .attributes = {DRIVER_INT("sample_size", -1)}},
      {.op_type = "Multinomial",
       .opset = 7,
       .inputs = {&none},
       .input_count = 1,
       .attributes = {DRIVER_INT("dtype", NORMA_FLOAT)}},
  };
  for (size_t i = 0; i < COUNT(calls); i++) {
    calls[i].output_count = 1;
    if (driver_run(&driver, &calls[i]) == NORMA_OK) fail_msg("call %d was accepted", (int)i);
  }
  value_clear(&whole), value_clear(&outside), value_clear(&no_number), value_clear(&none), value_clear(&no_class);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(uniform_and_normal_numbers),  cmocka_unit_test(moments),
      cmocka_unit_test(draws_of_bernoulli),          cmocka_unit_test(classes_of_multinomial),
      cmocka_unit_test(nothing_is_drawn_of_nothing), cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
