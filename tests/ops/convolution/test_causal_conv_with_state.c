/* CausalConvWithState against its sum in double precision. */
#include "tests/support/operator_driver.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static driver_call make_call(const value inputs[4], const char *activation) {
  driver_call call = {
      .op_type = "CausalConvWithState",
      .opset = 27,
      .attributes = {{.name = "activation", .kind = ATTRIBUTE_STRING, .s = {activation, strlen(activation)}}},
      .input_count = 4,
      .output_count = 2};
  for (int i = 0; i < 4; i++) call.inputs[i] = inputs[i].kind ? &inputs[i] : NULL;
  return call;
}

/* Position `at` of the padded input of one channel. */
static double padded(double *const in[4], int64_t channel, int64_t length, int64_t before, int64_t at) {
  if (at >= before) return in[0][channel * length + at - before];
  return in[3] ? in[3][channel * before + at] : 0;
}

static void compare(const value *got, int64_t at, double expected) {
  const double allowed = 4e-6 * (1 + fabs(expected)) + 1.01 * rounding_error(got->tensor.type) * fabs(expected) + 6e-8;
  if (!(fabs(driver_element(got, at) - expected) <= allowed)) {
    fail_msg("element %d: expected %.9g, got %.9g", (int)at, expected, driver_element(got, at));
  }
}

static void follows_its_sum(void **state) {
  (void)state;
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_FLOAT16, NORMA_BFLOAT16};
  static const char *const activations[] = {"none", "silu", "swish"};
  uint64_t seed = 9;
  for (int round = 0; round < 300; round++) {
    const norma_element_type type = types[round % 3];
    const char *activation = activations[round / 3 % 3];
    const int64_t batch = random_int(&seed, 0, 3), channels = random_int(&seed, 0, 9);
    const int64_t length = random_of(&seed, 0, 1, 2, 3, 17, 40), taps = random_int(&seed, 1, 6), before = taps - 1;
    value inputs[4] = {random_tensor(&seed, type, 3, (int64_t[]){batch, channels, length}),
                       random_tensor(&seed, type, 3, (int64_t[]){channels, 1, taps})};
    if (random_int(&seed, 0, 1)) inputs[2] = random_tensor(&seed, type, 1, &channels);
    if (random_int(&seed, 0, 1)) inputs[3] = random_tensor(&seed, type, 3, (int64_t[]){batch, channels, before});
    double *in[4] = {NULL};
    for (int i = 0; i < 4; i++) {
      if (inputs[i].kind) in[i] = tensor_doubles(&inputs[i]);
    }
    driver driver, other;
    driver_init(&driver);
    driver_call call = make_call(inputs, activation);
    if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
    for (int64_t row = 0; row < batch * channels; row++) {
      const int64_t channel = row % channels;
      for (int64_t t = 0; t < length; t++) {
        double sum = in[2] ? in[2][channel] : 0;
        for (int64_t j = 0; j < taps; j++) sum += in[1][channel * taps + j] * padded(in, row, length, before, t + j);
        compare(&driver.outputs[0], row * length + t, strcmp(activation, "none") == 0 ? sum : sum / (1 + exp(-sum)));
      }
      for (int64_t i = 0; i < before; i++) {
        assert_true(driver_element(&driver.outputs[1], row * before + i) ==
                    padded(in, row, length, before, length + i));
      }
    }
    driver_init(&other);
    call.workers = 3;
    if (driver_run(&other, &call) != NORMA_OK) fail_msg("%s", other.error.message);
    for (int o = 0; o < 2; o++) assert_true(same_tensor(&driver.outputs[o].tensor, &other.outputs[o].tensor));
    for (int i = 0; i < 4; i++) {
      free(in[i]);
      random_tensor_free(&inputs[i]);
    }
    driver_finish(&other);
    driver_finish(&driver);
  }
}

static void refuses_what_is_wrong(void **state) {
  (void)state;
  uint64_t seed = 2;
  value inputs[4] = {random_tensor(&seed, NORMA_FLOAT, 3, (int64_t[]){2, 4, 6}),
                     random_tensor(&seed, NORMA_FLOAT, 3, (int64_t[]){4, 1, 3}),
                     random_tensor(&seed, NORMA_FLOAT, 1, (int64_t[]){4}),
                     random_tensor(&seed, NORMA_FLOAT, 3, (int64_t[]){2, 4, 2})};
  static const char *const names[] = {"input", "weight", "bias", "past_state"};
  const driver_call call = make_call(inputs, "none");
  driver driver;
  driver_init(&driver);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  for (int i = 0; i < 4; i++) {
    for (int d = 0; d < inputs[i].tensor.rank; d++) {
      if (i == 0 && d == 2) continue; /* any length will do */
      int64_t dims[3];
      memcpy(dims, inputs[i].tensor.dims, sizeof dims);
      dims[d]++;
      value wrong = random_tensor(&seed, NORMA_FLOAT, inputs[i].tensor.rank, dims);
      driver_call changed = call;
      changed.inputs[i] = &wrong;
      assert_int_not_equal(driver_run(&driver, &changed), NORMA_OK);
      assert_non_null(strstr(driver.error.message, "does not fit"));
      random_tensor_free(&wrong);
    }
    value flat = random_tensor(&seed, NORMA_FLOAT, 2, (int64_t[]){2, 4});
    driver_call changed = call;
    changed.inputs[i] = &flat;
    assert_int_not_equal(driver_run(&driver, &changed), NORMA_OK);
    assert_non_null(strstr(driver.error.message, names[i]));
    random_tensor_free(&flat);
  }
  value none = random_tensor(&seed, NORMA_FLOAT, 3, (int64_t[]){4, 1, 0});
  driver_call changed = call;
  changed.inputs[1] = &none;
  assert_int_not_equal(driver_run(&driver, &changed), NORMA_OK);
  changed = make_call(inputs, "relu");
  assert_int_not_equal(driver_run(&driver, &changed), NORMA_OK);
  assert_non_null(strstr(driver.error.message, "no activation 'relu'"));
  random_tensor_free(&none);
  for (int i = 0; i < 4; i++) random_tensor_free(&inputs[i]);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(follows_its_sum),
      cmocka_unit_test(refuses_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
