/* ReverseSequence against a naive one, for every element type. */
#include "tests/support/operator_driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define REVERSIBLE (TYPES_NUMERIC | TYPES_COMPLEX | TYPE_BIT(NORMA_BOOL) | TYPE_BIT(NORMA_STRING))

static driver_call make_call(int time_axis, const value *x, const value *lengths) {
  return (driver_call){.op_type = "ReverseSequence",
                       .opset = 28,
                       .attributes = {DRIVER_INT("time_axis", time_axis), DRIVER_INT("batch_axis", 1 - time_axis)},
                       .inputs = {x, lengths},
                       .input_count = 2,
                       .output_count = 1};
}

/* The bytes of element `index`; of a string its characters. */
static const void *element_of(const norma_tensor *tensor, int64_t index, size_t *bytes) {
  if (tensor->type == NORMA_STRING) {
    const norma_string *string = (const norma_string *)tensor->data + index;
    *bytes = string->size;
    return string->data;
  }
  *bytes = element_type_bytes(tensor->type);
  return (const char *)tensor->data + (size_t)index * *bytes;
}

static void assert_same_element(const norma_tensor *a, int64_t i, const norma_tensor *b, int64_t k) {
  size_t a_bytes, b_bytes;
  const void *x = element_of(a, i, &a_bytes), *y = element_of(b, k, &b_bytes);
  assert_int_equal(a_bytes, b_bytes);
  if (a_bytes) assert_memory_equal(x, y, a_bytes);
}

static value make_input(driver *driver, norma_element_type type, int rank, const int64_t *dims) {
  const int64_t count = dims_product(dims, 0, rank);
  if (type != NORMA_STRING) {
    value made = driver_tensor(driver, type, rank, dims, NULL);
    for (size_t i = 0; i < made.tensor.size_bytes; i++) {
      ((uint8_t *)made.tensor.data)[i] = (uint8_t)(type == NORMA_BOOL ? i % 3 == 0 : 29 * i + 7);
    }
    return made;
  }
  char words[64][8];
  const char *pointers[64];
  for (int64_t i = 0; i < count; i++) {
    snprintf(words[i], sizeof words[i], "%d", (int)i);
    pointers[i] = words[i];
  }
  return driver_strings(driver, rank, dims, pointers);
}

static void turns_the_first_elements_round(void **state) {
  (void)state;
  for (int type = 1; type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    if (!element_type_exists((norma_element_type)type) || !(REVERSIBLE & TYPE_BIT(type))) continue;
    for (int time_axis = 0; time_axis < 2; time_axis++) {
      for (int workers = 1; workers < 4; workers++) {
        const int64_t times = 5, samples = 4, dims[3] = {time_axis ? samples : times, time_axis ? times : samples, 3};
        const int64_t lengths[4] = {0, 1, 3, 5};
        driver driver;
        driver_init(&driver);
        value x = make_input(&driver, (norma_element_type)type, 3, dims);
        value counts = driver_ints(&driver, 1, &samples, lengths);
        driver_call call = make_call(time_axis, &x, &counts);
        call.workers = workers;
        if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
        const norma_tensor *y = &driver.outputs[0].tensor;
        assert_int_equal(y->type, type);
        for (int64_t t = 0; t < times; t++) {
          for (int64_t s = 0; s < samples; s++) {
            const int64_t from = t < lengths[s] ? lengths[s] - 1 - t : t;
            for (int64_t k = 0; k < 3; k++) {
              const int64_t to = (time_axis ? s * times + t : t * samples + s) * 3 + k;
              assert_same_element(y, to, &x.tensor, (time_axis ? s * times + from : from * samples + s) * 3 + k);
            }
          }
        }
        value_clear(&x);
        value_clear(&counts);
        driver_finish(&driver);
      }
    }
  }
}

static void takes_empty_tensors(void **state) {
  (void)state;
  static const int64_t shapes[][3] = {{0, 2, 3}, {3, 0, 2}, {3, 2, 0}};
  for (int i = 0; i < 3; i++) {
    driver driver;
    driver_init(&driver);
    value x = driver_tensor(&driver, NORMA_FLOAT, 3, shapes[i], NULL);
    value lengths = driver_ints(&driver, 1, &shapes[i][1], (int64_t[]){0, 0});
    const driver_call call = make_call(0, &x, &lengths);
    if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
    value_clear(&x);
    value_clear(&lengths);
    driver_finish(&driver);
  }
}

static void assert_refused(driver *driver, const driver_call *call, const char *text) {
  assert_int_not_equal(driver_run(driver, call), NORMA_OK);
  if (!strstr(driver->error.message, text)) fail_msg("expected \"%s\", got \"%s\"", text, driver->error.message);
}

static void refuses_what_is_wrong(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_tensor(&driver, NORMA_FLOAT, 2, (int64_t[]){3, 2}, NULL);
  value flat = driver_tensor(&driver, NORMA_FLOAT, 1, (int64_t[]){3}, NULL);
  value half = driver_tensor(&driver, NORMA_BFLOAT16, 2, (int64_t[]){3, 2}, NULL);
  value good = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){3, 0});
  value more = driver_ints(&driver, 1, (int64_t[]){3}, (int64_t[]){1, 1, 1});
  value large = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){1, 4});
  value negative = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){-1, 1});
  value square = driver_ints(&driver, 2, (int64_t[]){1, 2}, (int64_t[]){1, 1});
  driver_call call = make_call(0, &x, &good);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  call.inputs[1] = &more;
  assert_refused(&driver, &call, "3 elements for 2 samples");
  call.inputs[1] = &large;
  assert_refused(&driver, &call, "sequence_lens holds 4");
  call.inputs[1] = &negative;
  assert_refused(&driver, &call, "sequence_lens holds -1");
  call.inputs[1] = &square;
  assert_refused(&driver, &call, "no list");
  call.inputs[1] = &good;
  call.inputs[0] = &flat;
  assert_refused(&driver, &call, "rank 1");
  call.inputs[0] = &half;
  call.opset = 27;
  assert_refused(&driver, &call, "bfloat16 needs opset 28");
  call = make_call(0, &x, &good);
  call.attributes[0].i = 1;
  assert_refused(&driver, &call, "time_axis is 1 and batch_axis 1");
  call.attributes[0].i = 2;
  assert_refused(&driver, &call, "time_axis is 2");
  value *const values[] = {&x, &flat, &half, &good, &more, &large, &negative, &square};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) value_clear(values[i]);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(turns_the_first_elements_round),
      cmocka_unit_test(takes_empty_tensors),
      cmocka_unit_test(refuses_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
