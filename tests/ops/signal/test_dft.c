/* DFT of all kinds, types and ways against the definition in long double. */
#include "ops/signal/fourier.h"
#include "tests/support/operator_driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef struct dft_case {
  int rank;
  int64_t dims[4]; /* the last is the parts */
  int axis;
  int64_t length; /* 0: none given */
  bool inverse, onesided;
} dft_case;

static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};

static double tolerance_of(norma_element_type type) {
  return type == NORMA_DOUBLE ? 4e-15 : type == NORMA_FLOAT ? 1e-6 : type == NORMA_FLOAT16 ? 2e-3 : 1.6e-2;
}

static long double turn(int64_t jk, int64_t n) {
  return 2 * 3.14159265358979323846264338327950288L * (long double)(jk % n) / (long double)n;
}

/* Part `part` of number k of the result for the signal that begins at `first`, elements `step` scalars apart. */
static double define(const dft_case *c, const value *x, int64_t first, int64_t step, int64_t n, int64_t k, int part,
                     long double *size) {
  const int64_t parts = c->dims[c->rank - 1], available = c->dims[c->axis];
  const bool to_real = c->inverse && c->onesided;
  long double sum = 0;
  *size = 0;
  for (int64_t j = 0; j < n; j++) {
    const int64_t from = to_real && 2 * j > n ? n - j : j;
    if (from >= available) continue;
    double re = driver_element(x, first + from * step),
           im = parts == 2 ? driver_element(x, first + from * step + 1) : 0;
    if (to_real && (j == 0 || 2 * j == n)) im = 0;
    if (to_real && 2 * j > n) im = -im;
    const long double cosine = cosl(turn(j * k, n)), sine = c->inverse ? sinl(turn(j * k, n)) : -sinl(turn(j * k, n));
    sum += part == 0 ? re * cosine - im * sine : re * sine + im * cosine;
    *size += (long double)re * re + (long double)im * im;
  }
  if (c->inverse) sum /= (long double)n, *size /= (long double)n * n;
  return (double)sum;
}

static void check(driver *driver, const dft_case *c, norma_element_type type, int64_t opset, uint64_t *seed,
                  int64_t stride) {
  static const int threads[] = {1, 2, 3, 7};
  int64_t count = 1, inner = 1, outer = 1;
  for (int i = 0; i < c->rank; i++) count *= c->dims[i];
  for (int i = 0; i < c->axis; i++) outer *= c->dims[i];
  for (int i = c->axis + 1; i < c->rank - 1; i++) inner *= c->dims[i];
  const int64_t parts = c->dims[c->rank - 1];
  double *elements = malloc(sizeof(double) * (size_t)(count + 1));
  for (int64_t i = 0; i < count; i++) elements[i] = driver_random(seed, -1, 1);
  value x = driver_tensor(driver, type, c->rank, c->dims, elements);
  value length = driver_ints(driver, 0, NULL, &c->length),
        axis = driver_ints(driver, 0, NULL, (int64_t[]){c->axis - c->rank});
  const bool to_real = c->inverse && c->onesided;
  const int64_t n = c->length ? c->length : to_real ? 2 * (c->dims[c->axis] - 1) : c->dims[c->axis];
  const int64_t outputs = c->onesided && !c->inverse ? n / 2 + 1 : n, parts_out = to_real ? 1 : 2;
  void *first = NULL;
  for (size_t t = 0; t < COUNT(threads) * 2; t++) {
    driver_call call = {.op_type = "DFT",
                        .opset = opset,
                        .inputs = {&x, c->length ? &length : NULL, opset >= 20 ? &axis : NULL},
                        .input_count = opset >= 20 ? 3
                                       : c->length ? 2
                                                   : 1,
                        .output_count = 1,
                        .constants = t % 2 ? 6 : 0,
                        .workers = threads[t / 2],
                        .attributes = {DRIVER_INT("inverse", c->inverse), DRIVER_INT("onesided", c->onesided)}};
    if (opset < 20) call.attributes[2] = (attribute)DRIVER_INT("axis", c->axis);
    if (driver_run(driver, &call) != NORMA_OK) fail_msg("%s", driver->error.message);
    const norma_tensor *y = &driver->outputs[0].tensor;
    assert_int_equal(y->rank, c->rank);
    for (int i = 0; i < c->rank - 1; i++) assert_int_equal(y->dims[i], i == c->axis ? outputs : c->dims[i]);
    assert_int_equal(y->dims[c->rank - 1], parts_out);
    if (t == 0) {
      first = malloc(y->size_bytes + 1);
      memcpy(first, y->data, y->size_bytes);
      for (int64_t i = 0; i < norma_tensor_count(y); i += stride) {
        const int64_t part = i % parts_out, in = i / parts_out % inner, k = i / parts_out / inner % outputs;
        const int64_t out = i / parts_out / inner / outputs;
        long double size;
        const double wanted =
            define(c, &x, (out * c->dims[c->axis] * inner + in) * parts, inner * parts, n, k, (int)part, &size);
        const double found = driver_element(&driver->outputs[0], i);
        if (!(fabs(found - wanted) <=
              tolerance_of(type) * ((double)sqrtl(size) * log2((double)n + 1) / 4 + fabs(wanted) + 1e-2)))
          fail_msg("length %d, element %d is %.9g, not %.9g", (int)n, (int)i, found, wanted);
      }
    }
    assert_memory_equal(first, y->data, y->size_bytes);
  }
  (void)outer;
  free(first), free(elements);
  value_clear(&x), value_clear(&length), value_clear(&axis);
}

static void every_kind_of_every_small_length(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  uint64_t seed = 3;
  for (int64_t n = 1; n < 60; n++) {
    for (int kind = 0; kind < 6; kind++) {
      dft_case c = {.rank = 3, .dims = {1 + n % 3, n, 1 + kind % 2}, .axis = 1, .inverse = kind / 2 == 1};
      if (kind == 4) c = (dft_case){.rank = 3, .dims = {9, n, 1}, .axis = 1, .onesided = true};
      if (kind == 5)
        c = (dft_case){
            .rank = 3, .dims = {3, n, 2}, .axis = 1, .inverse = true, .onesided = true, .length = n % 3 ? n : 0};
      if (kind == 5 && n == 1) c.length = 1;
      check(&driver, &c, types[(n + kind) % 4], n % 2 ? 20 : 17, &seed, 1);
    }
  }
  driver_finish(&driver);
}

/* Signals that do not lie together, padded and cut. */
static void any_axis_and_length(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  uint64_t seed = 4;
  static const int64_t lengths[] = {0, 1, 4, 7, 12, 23, 30};
  for (int axis = 0; axis < 3; axis++) {
    for (size_t i = 0; i < COUNT(lengths); i++) {
      for (int kind = 0; kind < 4; kind++) {
        const dft_case c = {.rank = 4,
                            .dims = {3, 10, 5, kind == 3 || kind == 1 ? 2 : 1},
                            .axis = axis,
                            .length = lengths[i],
                            .inverse = kind % 2,
                            .onesided = kind > 1};
        check(&driver, &c, types[(size_t)(axis + kind) % 4], kind % 2 ? 17 : 20, &seed, 1);
      }
    }
  }
  driver_finish(&driver);
}

/* Convolutions, and signals that are taken one by one: 2^13, 2 * 4099, 6561, 10007 (prime), 2 * 5003. */
static void long_signals(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  uint64_t seed = 5;
  static const int64_t lengths[] = {499, 998, 2048, 2503, 4096, 8192, 8198, 6561, 10007, 10006, 14406};
  for (size_t i = 0; i < COUNT(lengths); i++) {
    for (int kind = 0; kind < 4; kind++) {
      const dft_case c = {.rank = 3,
                          .dims = {2, kind == 3 ? lengths[i] / 2 + 1 : lengths[i], kind == 3 || kind == 1 ? 2 : 1},
                          .axis = 1,
                          .length = kind == 3 ? lengths[i] : 0,
                          .inverse = kind % 2,
                          .onesided = kind > 1};
      check(&driver, &c, types[kind % 2 ? (i + 1) % 4 : i % 4], 20, &seed, 1 + lengths[i] / 17);
    }
  }
  driver_finish(&driver);
}

/* A signal alone and among others. */
static void the_batch_makes_no_difference(void **state) {
  (void)state;
  static const int64_t lengths[] = {12, 400, 499, 5000};
  driver driver;
  driver_init(&driver);
  uint64_t seed = 8;
  for (size_t i = 0; i < COUNT(lengths); i++) {
    const int64_t n = lengths[i], batch = 21;
    double *elements = malloc(sizeof(double) * (size_t)(batch * n));
    for (int64_t k = 0; k < batch * n; k++) elements[k] = driver_random(&seed, -1, 1);
    value all = driver_tensor(&driver, NORMA_FLOAT, 3, (int64_t[]){batch, n, 1}, elements);
    driver_call call = {.op_type = "DFT", .opset = 20, .inputs = {&all}, .input_count = 1, .output_count = 1};
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    const size_t bytes = (size_t)n * 2 * sizeof(float);
    char *together = malloc((size_t)batch * bytes);
    memcpy(together, driver.outputs[0].tensor.data, (size_t)batch * bytes);
    for (int64_t b = 0; b < batch; b += 7) {
      value one = driver_tensor(&driver, NORMA_FLOAT, 3, (int64_t[]){1, n, 1}, elements + b * n);
      call.inputs[0] = &one;
      assert_int_equal(driver_run(&driver, &call), NORMA_OK);
      assert_memory_equal(driver.outputs[0].tensor.data, together + (size_t)b * bytes, bytes);
      value_clear(&one);
    }
    free(elements), free(together);
    value_clear(&all);
  }
  driver_finish(&driver);
}

static void empty_and_refused(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value none = driver_floats(&driver, 3, (int64_t[]){0, 4, 1}, NULL),
        short_one = driver_floats(&driver, 3, (int64_t[]){2, 0, 1}, NULL);
  value real = driver_floats(&driver, 3, (int64_t[]){2, 4, 1}, NULL),
        complex = driver_floats(&driver, 3, (int64_t[]){2, 4, 2}, NULL);
  value three = driver_floats(&driver, 3, (int64_t[]){2, 4, 3}, NULL),
        vector = driver_floats(&driver, 1, (int64_t[]){2}, NULL);
  value zero = driver_ints(&driver, 0, NULL, (int64_t[]){0}), four = driver_ints(&driver, 0, NULL, (int64_t[]){4});
  value huge = driver_ints(&driver, 0, NULL, (int64_t[]){INT64_MAX}),
        last = driver_ints(&driver, 0, NULL, (int64_t[]){-1});
  value two = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){1, 1}),
        one = driver_ints(&driver, 1, (int64_t[]){1}, (int64_t[]){1});
  value point = driver_floats(&driver, 3, (int64_t[]){2, 1, 2}, NULL);
  driver_call call = {.op_type = "DFT", .opset = 20, .inputs = {&none}, .input_count = 1, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 3, (int64_t[]){0, 4, 2}, NULL);
  call.inputs[0] = &short_one;
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 3, (int64_t[]){2, 0, 2}, NULL);
  call.inputs[1] = &four; /* zeros */
  call.input_count = 2;
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  assert_int_equal(norma_tensor_count(&driver.outputs[0].tensor), 16);
  for (int i = 0; i < 16; i++) assert_true(driver_element(&driver.outputs[0], i) == 0);
  call =
      (driver_call){.op_type = "DFT", .opset = 20, .inputs = {&real, NULL, &one}, .input_count = 3, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  call = (driver_call){.op_type = "DFT",
                       .opset = 20,
                       .inputs = {&point},
                       .input_count = 1,
                       .output_count = 1,
                       .attributes = {DRIVER_INT("onesided", 1), DRIVER_INT("inverse", 1)}};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK); /* a spectrum of one number is that of 0 elements */
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 3, (int64_t[]){2, 0, 1}, NULL);
  const struct {
    const value *x, *length, *axis;
    int onesided, inverse;
  } wrong[] = {{&three, NULL, NULL, 0, 0}, {&vector, NULL, NULL, 0, 0}, {&real, &zero, NULL, 0, 0},
               {&real, &huge, NULL, 0, 0}, {&real, &two, NULL, 0, 0},   {&real, NULL, &last, 0, 0},
               {&real, NULL, &four, 0, 0}, {&real, NULL, &two, 0, 0},   {&complex, NULL, NULL, 1, 0},
               {&real, NULL, NULL, 1, 1}};
  for (size_t i = 0; i < COUNT(wrong); i++) {
    for (uint32_t constants = 0; constants < 8; constants += 6) {
      driver_call bad = {
          .op_type = "DFT",
          .opset = 20,
          .inputs = {wrong[i].x, wrong[i].length, wrong[i].axis},
          .input_count = 3,
          .output_count = 1,
          .constants = constants,
          .attributes = {DRIVER_INT("onesided", wrong[i].onesided), DRIVER_INT("inverse", wrong[i].inverse)}};
      if (driver_run(&driver, &bad) == NORMA_OK) fail_msg("case %d was accepted", (int)i);
    }
  }
  value_clear(&none), value_clear(&short_one), value_clear(&real), value_clear(&complex), value_clear(&three);
  value_clear(&vector), value_clear(&zero), value_clear(&four), value_clear(&huge), value_clear(&last),
      value_clear(&two);
  value_clear(&one), value_clear(&point);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_kind_of_every_small_length),
                                     cmocka_unit_test(any_axis_and_length), cmocka_unit_test(long_signals),
                                     cmocka_unit_test(the_batch_makes_no_difference),
                                     cmocka_unit_test(empty_and_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
