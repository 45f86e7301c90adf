/* LRN against its formula in double precision. */
#include "tests/support/blocked_tensor.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static double reference(const double *x, int64_t index, int64_t channels, int64_t pixels, int64_t size, double alpha,
                        double beta, double bias) {
  int64_t c = index / pixels % channels, sample = index / pixels / channels, pixel = index % pixels;
  double sum = 0;
  for (int64_t i = c - (size - 1) / 2; i <= c + size / 2; i++) {
    if (i < 0 || i >= channels) continue;
    double element = x[(sample * channels + i) * pixels + pixel];
    sum += element * element;
  }
  return x[index] / pow(bias + alpha / (double)size * sum, beta);
}

static void every_type_matches_the_formula(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  static const float betas[] = {0.75f, 0.5f, 1, 0.6f};
  const struct kernel_table *kernels;
  (void)state;
  for (int t = 0; (kernels = driver_kernels(t)); t++) {
    uint64_t seed = 21;
    for (int i = 0; i < 160; i++) {
      norma_element_type type = types[i % 4];
      int64_t dims[] = {random_int(&seed, 0, 2), random_int(&seed, 1, 30), random_int(&seed, 1, 50),
                        i % 20 ? random_int(&seed, 1, 5) : 60};
      int64_t size = random_of(&seed, 1, 2, 3, 5, 6, 99);
      float beta = betas[random_int(&seed, 0, 3)], alpha = i % 3 ? 0.5f : 0.0001f, bias = i % 5 ? 1 : 2;
      driver driver;
      driver_init(&driver);
      value x = random_tensor(&seed, type, 4, dims);
      double *numbers = tensor_doubles(&x);
      driver_call call = {.op_type = "LRN",
                          .opset = type == NORMA_BFLOAT16 ? 13 : 1 + i % 13,
                          .attributes = {DRIVER_INT("size", size), DRIVER_FLOAT("alpha", alpha),
                                         DRIVER_FLOAT("beta", beta), DRIVER_FLOAT("bias", bias)},
                          .inputs = {&x},
                          .input_count = 1,
                          .output_count = 1,
                          .kernels = kernels,
                          .workers = 1 + i % 3};
      assert_int_equal(driver_run(&driver, &call), NORMA_OK);
      for (int64_t e = 0; e < norma_tensor_count(&x.tensor); e++) {
        double wanted =
            reference(numbers, e, dims[1], dims[2] * dims[3], size, (double)alpha, (double)beta, (double)bias);
        double got = driver_element(&driver.outputs[0], e);
        double allowed =
            (rounding_error(type) + 12 * rounding_error(type == NORMA_DOUBLE ? type : NORMA_FLOAT)) * fabs(wanted) +
            (type == NORMA_FLOAT16 ? 0x1p-25 : 0);
        if (!(fabs(got - wanted) <= allowed))
          fail_msg("%s %s size %d beta %g: element %d: expected %.9g, got %.9g", kernels->name,
                   norma_element_type_name(type), (int)size, (double)beta, (int)e, wanted, got);
      }
      free(numbers);
      random_tensor_free(&x);
      driver_finish(&driver);
    }
  }
}

/* The result may take the input's place, though channels look at each other. */
static void in_place_is_the_same(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16};
  static const int64_t dims[] = {2, 7, 5, 5};
  (void)state;
  for (int i = 0; i < 3; i++) {
    uint64_t seed = 5;
    driver apart, in_place;
    driver_init(&apart);
    driver_init(&in_place);
    value x = random_tensor(&seed, types[i], 4, dims);
    driver_call call = {.op_type = "LRN", .opset = 13, .inputs = {&x}, .input_count = 1, .output_count = 1};
    call.attributes[0] = (attribute)DRIVER_INT("size", 5);
    assert_int_equal(driver_run(&apart, &call), NORMA_OK);
    call.in_place = true;
    assert_int_equal(driver_run(&in_place, &call), NORMA_OK);
    assert_true(same_tensor(&apart.outputs[0].tensor, &in_place.outputs[0].tensor));
    random_tensor_free(&x);
    driver_finish(&apart);
    driver_finish(&in_place);
  }
}

static void a_size_is_needed(void **state) {
  static const int64_t dims[] = {1, 2, 3}, sizes[] = {0, -1, INT64_MIN};
  (void)state;
  for (int i = 0; i < 4; i++) {
    driver driver;
    driver_init(&driver);
    value x = driver_floats(&driver, 3, dims, NULL);
    driver_call call = {.op_type = "LRN", .opset = 13, .inputs = {&x}, .input_count = 1, .output_count = 1};
    if (i < 3) call.attributes[0] = (attribute)DRIVER_INT("size", sizes[i]);
    assert_int_equal(driver_run(&driver, &call), NORMA_ERROR_INVALID_MODEL);
    value_clear(&x);
    driver_finish(&driver);
  }
}

/* On channel blocks the same, in other orders of summation. */
static void blocks_are_the_same(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int round = 0; round < 60; round++) {
      const int64_t channels = random_int(&bench.seed, 1, 40);
      const shape shape =
          SHAPE(random_int(&bench.seed, 0, 2), channels, random_int(&bench.seed, 1, 9), random_int(&bench.seed, 1, 9));
      driver_call plain = CALL("LRN", 13, bench_random(&bench, NORMA_FLOAT, shape, -3, 3)), call;
      plain.attributes[0] = (attribute)DRIVER_INT("size", random_int(&bench.seed, 1, 9));
      plain.attributes[1] = (attribute)DRIVER_FLOAT("alpha", 0.5f);
      plain.attributes[2] = (attribute)DRIVER_FLOAT("beta", round % 2 ? 0.75f : 0.6f);
      plain.attributes[3] = (attribute)DRIVER_FLOAT("bias", 1.5f);
      call = plain;
      call.domain = OPERATOR_INNER_DOMAIN;
      call.opset = 1;
      call.inputs[0] = blocked_of(&bench, plain.inputs[0]);
      call.attributes[4] = (attribute)DRIVER_INT("block", bench_block(&bench));
      call.attributes[5] = (attribute)DRIVER_INT("channels", channels);
      check_blocked(&bench, &call, &plain, 2e-6);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_matches_the_formula),
      cmocka_unit_test(in_place_is_the_same),
      cmocka_unit_test(a_size_is_needed),
      cmocka_unit_test(blocks_are_the_same),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
