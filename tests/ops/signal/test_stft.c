/* STFT against the definition: windows, steps, lengths from each input, real and complex signals. */
#include "tests/support/operator_driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef struct stft_case {
  int64_t batch, length, step, frame;
  bool window, frame_given, onesided, complex, flat;
} stft_case;

static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};

static void check(driver *driver, const stft_case *c, norma_element_type type, uint64_t *seed) {
  static const int threads[] = {1, 2, 3, 7};
  const int64_t parts = c->complex ? 2 : 1, count = c->batch * c->length * parts;
  const int64_t frames = c->length < c->frame ? 0 : (c->length - c->frame) / c->step + 1;
  const int64_t bins = c->onesided ? c->frame / 2 + 1 : c->frame;
  double *elements = malloc(sizeof(double) * (size_t)(count + 1)), *factors = malloc(sizeof(double) * (size_t)c->frame);
  for (int64_t i = 0; i < count; i++) elements[i] = driver_random(seed, -1, 1);
  for (int64_t i = 0; i < c->frame; i++) factors[i] = driver_random(seed, 0.1, 1);
  value x = driver_tensor(driver, type, c->flat ? 2 : 3, (int64_t[]){c->batch, c->length, parts}, elements);
  value window = driver_tensor(driver, type, 1, &c->frame, factors), step = driver_ints(driver, 0, NULL, &c->step);
  value frame = driver_tensor(driver, NORMA_INT64, 0, NULL, (double[]){(double)c->frame});
  void *first = NULL;
  for (size_t t = 0; t < COUNT(threads) * 2; t++) {
    driver_call call = {.op_type = "STFT",
                        .opset = 17,
                        .inputs = {&x, &step, c->window ? &window : NULL, c->frame_given ? &frame : NULL},
                        .input_count = c->frame_given ? 4
                                       : c->window    ? 3
                                                      : 2,
                        .output_count = 1,
                        .constants = t % 2 ? 14 : 0,
                        .workers = threads[t / 2],
                        .attributes = {DRIVER_INT("onesided", c->onesided)}};
    if (!c->window && c->frame_given) call.constants &= 10;
    if (driver_run(driver, &call) != NORMA_OK) fail_msg("%s", driver->error.message);
    const norma_tensor *y = &driver->outputs[0].tensor;
    const int64_t dims[] = {c->batch, frames, bins, 2};
    assert_int_equal(y->rank, 4);
    for (int i = 0; i < 4; i++) assert_int_equal(y->dims[i], dims[i]);
    if (t > 0) {
      assert_memory_equal(first, y->data, y->size_bytes);
      continue;
    }
    first = malloc(y->size_bytes + 1);
    memcpy(first, y->data, y->size_bytes);
    for (int64_t i = 0; i < norma_tensor_count(y); i += 1 + norma_tensor_count(y) * c->frame / 200000) {
      const int64_t part = i % 2, k = i / 2 % bins, f = i / 2 / bins % frames, b = i / 2 / bins / frames;
      long double sum = 0, size = 0;
      for (int64_t j = 0; j < c->frame; j++) {
        const int64_t at = (b * c->length + f * c->step + j) * parts;
        const double factor = c->window ? driver_element(&window, j) : 1;
        const double re = driver_element(&x, at) * factor, im = c->complex ? driver_element(&x, at + 1) * factor : 0;
        const long double angle =
            -2 * 3.14159265358979323846264338327950288L * (long double)(j * k % c->frame) / (long double)c->frame;
        sum += part == 0 ? re * cosl(angle) - im * sinl(angle) : re * sinl(angle) + im * cosl(angle);
        size += (long double)re * re + (long double)im * im;
      }
      const double found = driver_element(&driver->outputs[0], i), wanted = (double)sum;
      const double tolerance = type == NORMA_DOUBLE    ? 1e-14
                               : type == NORMA_FLOAT   ? 1e-6
                               : type == NORMA_FLOAT16 ? 2e-3
                                                       : 1.6e-2;
      if (!(fabs(found - wanted) <= tolerance * ((double)sqrtl(size) + fabs(wanted) + 1e-3)))
        fail_msg("frame of %d, element %d is %.9g, not %.9g", (int)c->frame, (int)i, found, wanted);
    }
  }
  free(first), free(elements), free(factors);
  value_clear(&x), value_clear(&window), value_clear(&step), value_clear(&frame);
}

static void all_kinds(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  uint64_t seed = 2;
  static const stft_case cases[] = {
      {1, 128, 8, 16, true, true, true, false, false},       {2, 130, 7, 16, true, false, true, false, false},
      {3, 100, 10, 25, true, true, false, false, true},      {2, 100, 3, 21, false, true, true, false, false},
      {2, 64, 5, 64, false, false, true, false, false},      {2, 90, 9, 30, true, false, false, true, false},
      {1, 90, 4, 23, true, true, false, true, false},        {1, 40, 1, 23, true, true, true, false, false},
      {2, 10, 3, 11, true, true, true, false, false},        {0, 50, 3, 10, true, true, true, false, false},
      {2, 2000, 160, 400, true, true, true, false, true},    {1, 30000, 5000, 9000, true, true, true, false, false},
      {1, 30000, 7000, 5003, true, true, true, false, false}};
  for (size_t i = 0; i < COUNT(cases); i++) {
    for (size_t t = 0; t < COUNT(types); t++) check(&driver, &cases[i], types[t], &seed);
  }
  driver_finish(&driver);
}

static void refused(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 3, (int64_t[]){1, 20, 1}, NULL),
        complex = driver_floats(&driver, 3, (int64_t[]){1, 20, 2}, NULL);
  value three = driver_floats(&driver, 3, (int64_t[]){1, 20, 3}, NULL),
        line = driver_floats(&driver, 1, (int64_t[]){20}, NULL);
  value window = driver_floats(&driver, 1, (int64_t[]){8}, NULL),
        matrix = driver_floats(&driver, 2, (int64_t[]){4, 2}, NULL);
  value zero = driver_ints(&driver, 0, NULL, (int64_t[]){0}), two = driver_ints(&driver, 0, NULL, (int64_t[]){2});
  value eight = driver_ints(&driver, 0, NULL, (int64_t[]){8}),
        pair = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){2, 2});
  const struct {
    const value *x, *step, *window, *frame;
  } wrong[] = {{&x, &zero, &window, &eight},  {&x, &pair, &window, &eight}, {&x, &two, &window, &two},
               {&x, &two, NULL, &zero},       {&x, &two, NULL, &pair},      {&x, &two, &matrix, &eight},
               {&three, &two, &window, NULL}, {&line, &two, &window, NULL}, {&complex, &two, &window, NULL}};
  for (size_t i = 0; i < COUNT(wrong); i++) {
    for (uint32_t constants = 0; constants < 20; constants += 10) {
      driver_call call = {.op_type = "STFT",
                          .opset = 17,
                          .inputs = {wrong[i].x, wrong[i].step, wrong[i].window, wrong[i].frame},
                          .input_count = wrong[i].frame ? 4 : 3,
                          .output_count = 1,
                          .constants = wrong[i].frame ? constants : constants & 2};
      if (driver_run(&driver, &call) == NORMA_OK) fail_msg("case %d was accepted", (int)i);
    }
  }
  value_clear(&x), value_clear(&complex), value_clear(&three), value_clear(&line), value_clear(&window),
      value_clear(&matrix);
  value_clear(&zero), value_clear(&two), value_clear(&eight), value_clear(&pair);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(all_kinds), cmocka_unit_test(refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
