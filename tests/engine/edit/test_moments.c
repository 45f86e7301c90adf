/* Moments of channels: against sums in long double, whatever the order, the batches, the threads and the types. */
#include "engine/edit/moments.h"

#include "tests/support/counting_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static double random_number(uint64_t *state) { /* -1 to 1 */
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (double)(int64_t)(*state >> 11 << 11) / 9223372036854775808.0;
}

static norma_tensor tensor_of(norma_element_type type, int rank, const int64_t *dims, void *data) {
  norma_tensor tensor;
  assert_int_equal(norma_tensor_init(&tensor, type, rank, dims, data), NORMA_OK);
  return tensor;
}

/* Means and variances of samples x channels x inner floats, in long double. */
static void reference(const float *x, int64_t samples, int64_t channels, int64_t inner, double *mean,
                      double *variance) {
  for (int64_t c = 0; c < channels; c++) {
    long double sum = 0, squares = 0, count = (long double)(samples * inner);
    for (int64_t n = 0; n < samples; n++) {
      for (int64_t i = 0; i < inner; i++) sum += (long double)x[(n * channels + c) * inner + i];
    }
    for (int64_t n = 0; n < samples; n++) {
      for (int64_t i = 0; i < inner; i++) {
        long double difference = (long double)x[(n * channels + c) * inner + i] - sum / count;
        squares += difference * difference;
      }
    }
    mean[c] = (double)(sum / count);
    variance[c] = (double)(squares / count);
  }
}

static void assert_close(double found, double expected, double size, const char *what) {
  if (fabs(found - expected) <= 1e-13 * size) return;
  fail_msg("%s is %.17g, expected %.17g", what, found, expected);
}

/* Adds the samples in batches of `batch` and compares with the reference. */
static void check_batches(norma_runtime *runtime, const float *x, int64_t samples, int64_t channels, int64_t inner,
                          int64_t batch) {
  double mean[64], squares[64], expected_mean[64], expected_variance[64];
  norma_error error;
  moments moments;
  moments_init(&moments, &runtime->memory, channels);
  for (int64_t first = 0; first < samples; first += batch) {
    int64_t rows = samples - first < batch ? samples - first : batch;
    norma_tensor tensor = tensor_of(NORMA_FLOAT, 3, (int64_t[]){rows, channels, inner},
                                    (void *)(uintptr_t)(x + first * channels * inner));
    assert_int_equal(moments_add(&moments, runtime, &tensor, rows, &error), NORMA_OK);
  }
  assert_true(moments_total(&moments, mean, squares) == (double)(samples * inner));
  reference(x, samples, channels, inner, expected_mean, expected_variance);
  for (int64_t c = 0; c < channels; c++) {
    double deviation = sqrt(expected_variance[c]);
    assert_close(mean[c], expected_mean[c], fmax(fabs(expected_mean[c]), deviation), "mean");
    /* a mean of 10,000 deviations is only known to so many digits of a deviation */
    double conditioned = expected_variance[c] + 0.01 * deviation * fabs(expected_mean[c]);
    assert_close(squares[c] / (double)(samples * inner), expected_variance[c], conditioned, "variance");
  }
  moments_free(&moments);
}

static norma_runtime *make_runtime(int threads) {
  norma_runtime_options options = {.struct_size = sizeof options, .threads = threads};
  norma_runtime *runtime;
  assert_int_equal(norma_runtime_create(&options, &runtime, NULL), NORMA_OK);
  return runtime;
}

static void test_any_batches(void **unused) {
  (void)unused;
  enum { SAMPLES = 53, CHANNELS = 11 };
  static const int64_t inners[] = {1, 2, 7, 64, 255};
  norma_runtime *runtime = make_runtime(2);
  uint64_t state = 5;
  for (size_t k = 0; k < sizeof inners / sizeof inners[0]; k++) {
    float *x = malloc((size_t)(SAMPLES * CHANNELS * inners[k]) * sizeof *x);
    assert_non_null(x);
    /* means far from 0 next to deviations, where the naive formula loses everything */
    for (int64_t i = 0; i < SAMPLES * CHANNELS * inners[k]; i++) {
      x[i] = (float)(1000.0 * (double)(i / inners[k] % CHANNELS) + random_number(&state));
    }
    for (int64_t batch = 1; batch <= SAMPLES + 1; batch += batch < 9 ? 1 : 13) {
      check_batches(runtime, x, SAMPLES, CHANNELS, inners[k], batch);
    }
    free(x);
  }
  norma_runtime_destroy(runtime);
}

/* Bit for bit the same for every number of threads and every way to cut the samples. */
static void test_same_bits(void **unused) {
  (void)unused;
  enum { SAMPLES = 37, CHANNELS = 9, INNER = 31 };
  static float x[SAMPLES * CHANNELS * INNER];
  double first[2 * CHANNELS], other[2 * CHANNELS];
  uint64_t state = 9;
  for (size_t i = 0; i < sizeof x / sizeof x[0]; i++) x[i] = (float)random_number(&state);
  for (int threads = 1; threads <= 3; threads++) {
    norma_runtime *runtime = make_runtime(threads);
    for (int64_t batch = 1; batch <= SAMPLES; batch += 6) {
      moments moments;
      moments_init(&moments, &runtime->memory, CHANNELS);
      for (int64_t at = 0; at < SAMPLES; at += batch) {
        int64_t rows = SAMPLES - at < batch ? SAMPLES - at : batch;
        norma_tensor tensor = tensor_of(NORMA_FLOAT, 3, (int64_t[]){rows, CHANNELS, INNER}, x + at * CHANNELS * INNER);
        assert_int_equal(moments_add(&moments, runtime, &tensor, rows, NULL), NORMA_OK);
      }
      double *into = threads == 1 && batch == 1 ? first : other;
      moments_total(&moments, into, into + CHANNELS);
      if (into == other) assert_memory_equal(first, other, sizeof first);
      moments_free(&moments);
    }
    norma_runtime_destroy(runtime);
  }
}

static void test_merge(void **unused) {
  (void)unused;
  enum { SAMPLES = 40, CHANNELS = 3, INNER = 5 };
  static float x[SAMPLES * CHANNELS * INNER];
  double mean[CHANNELS], squares[CHANNELS], expected_mean[CHANNELS], expected_variance[CHANNELS];
  norma_runtime *runtime = make_runtime(1);
  uint64_t state = 3;
  for (size_t i = 0; i < sizeof x / sizeof x[0]; i++) x[i] = (float)(5 + random_number(&state));
  reference(x, SAMPLES, CHANNELS, INNER, expected_mean, expected_variance);
  for (int64_t cut = 0; cut <= SAMPLES; cut++) {
    moments a, b;
    moments_init(&a, &runtime->memory, CHANNELS);
    moments_init(&b, &runtime->memory, CHANNELS);
    norma_tensor all = tensor_of(NORMA_FLOAT, 3, (int64_t[]){SAMPLES, CHANNELS, INNER}, x);
    norma_tensor rest =
        tensor_of(NORMA_FLOAT, 3, (int64_t[]){SAMPLES - cut, CHANNELS, INNER}, x + cut * CHANNELS * INNER);
    assert_int_equal(moments_add(&a, runtime, &all, cut, NULL), NORMA_OK);
    assert_int_equal(moments_add(&b, runtime, &rest, SAMPLES - cut, NULL), NORMA_OK);
    assert_int_equal(moments_merge(&a, &b, NULL), NORMA_OK);
    double count = moments_total(&a, mean, squares);
    assert_true(count == SAMPLES * INNER);
    for (int c = 0; c < CHANNELS; c++) {
      assert_close(mean[c], expected_mean[c], expected_mean[c], "merged mean");
      assert_close(squares[c] / count, expected_variance[c], expected_variance[c], "merged variance");
    }
    moments_free(&a);
    moments_free(&b);
  }
  norma_runtime_destroy(runtime);
}

/* Values that every type holds exactly: 0, 1, 2, 3 in each channel. */
static void test_types_and_shapes(void **unused) {
  (void)unused;
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  static const int64_t shapes[][4] = {{4, 2, 1, 1}, {2, 2, 2, 1}, {1, 2, 2, 2}};
  norma_runtime *runtime = make_runtime(1);
  for (size_t t = 0; t < 4; t++) {
    for (size_t s = 0; s < 3; s++) {
      uint64_t data[8];
      int64_t inner = shapes[s][2] * shapes[s][3];
      for (int64_t n = 0; n < shapes[s][0]; n++) {
        for (int64_t c = 0; c < 2; c++) {
          for (int64_t i = 0; i < inner; i++) {
            element_set_double(types[t], data, (n * 2 + c) * inner + i, (double)(n * inner + i + 10 * c));
          }
        }
      }
      double mean[2], squares[2];
      moments moments;
      moments_init(&moments, &runtime->memory, 2);
      norma_tensor tensor = tensor_of(types[t], s == 0 ? 2 : 4, shapes[s], data);
      assert_int_equal(moments_add(&moments, runtime, &tensor, shapes[s][0], NULL), NORMA_OK);
      assert_true(moments_total(&moments, mean, squares) == 4);
      assert_true(mean[0] == 1.5 && mean[1] == 11.5 && squares[0] == 5 && squares[1] == 5);
      moments_free(&moments);
    }
  }
  norma_runtime_destroy(runtime);
}

static void test_refusals(void **unused) {
  (void)unused;
  float x[6] = {1, 2, 3, NAN, 5, 6};
  double mean[2], squares[2];
  norma_runtime *runtime = make_runtime(1);
  norma_error error;
  moments moments;
  moments_init(&moments, &runtime->memory, 2);
  norma_tensor good = tensor_of(NORMA_FLOAT, 2, (int64_t[]){1, 2}, x),
               bad = tensor_of(NORMA_FLOAT, 2, (int64_t[]){3, 2}, x);
  norma_tensor odd = tensor_of(NORMA_FLOAT, 2, (int64_t[]){2, 3}, x),
               whole = tensor_of(NORMA_INT32, 2, (int64_t[]){1, 2}, x);
  assert_int_equal(moments_add(&moments, runtime, &good, 1, &error), NORMA_OK);
  assert_int_equal(moments_add(&moments, runtime, &bad, 3, &error), NORMA_ERROR_RUN);
  assert_int_equal(moments_add(&moments, runtime, &odd, 2, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(moments_add(&moments, runtime, &whole, 1, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(moments_add(&moments, runtime, &good, 2, &error), NORMA_ERROR_ARGUMENT);
  assert_true(moments_total(&moments, mean, squares) == 1); /* nothing was added */
  assert_true(mean[0] == 1 && mean[1] == 2 && squares[0] == 0);
  moments_reset(&moments);
  assert_true(moments_total(&moments, mean, squares) == 0);
  moments_free(&moments);
  norma_runtime_destroy(runtime);
}

static void test_failing_memory(void **unused) {
  (void)unused;
  float x[64] = {0};
  for (long at = 1;; at++) {
    counting_allocator counting = {.fail_at = 0};
    norma_runtime_options options = {
        .struct_size = sizeof options, .threads = 1, .allocator = counting_allocator_functions(&counting)};
    norma_runtime *runtime;
    assert_int_equal(norma_runtime_create(&options, &runtime, NULL), NORMA_OK);
    counting.fail_at = atomic_load(&counting.allocations) + at;
    counting.fail_from = true;
    moments moments;
    moments_init(&moments, &runtime->memory, 4);
    norma_tensor tensor = tensor_of(NORMA_FLOAT, 2, (int64_t[]){16, 4}, x);
    norma_status status = moments_add(&moments, runtime, &tensor, 16, NULL);
    moments_free(&moments);
    norma_runtime_destroy(runtime);
    assert_int_equal(atomic_load(&counting.outstanding), 0);
    if (status == NORMA_OK) {
      assert_true(at > 3);
      return;
    }
    assert_int_equal(status, NORMA_ERROR_OUT_OF_MEMORY);
  }
}

static void test_drift(void **unused) {
  (void)unused;
  assert_true(moments_mean_drift(1, 4, 5) == 2);
  assert_true(moments_divergence(1, 4, 1, 4) == 0);
  /* (4/1 + 1/4 - 2 + 9 * (1/4 + 1)) / 2 */
  assert_close(moments_divergence(0, 4, 3, 1), 6.75, 6.75, "divergence");
  assert_close(moments_divergence(3, 1, 0, 4), 6.75, 6.75, "divergence the other way");
  double near = 1 + 1e-9; /* excess^2 / ratio / 2, where ratio + 1 / ratio - 2 would be 0 */
  assert_close(moments_divergence(0, near, 0, 1) / 5e-19, 1, 1e7, "small divergence");
  assert_true(isinf(moments_divergence(0, 0, 0, 1)));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_any_batches), cmocka_unit_test(test_same_bits),
      cmocka_unit_test(test_merge),       cmocka_unit_test(test_types_and_shapes),
      cmocka_unit_test(test_refusals),    cmocka_unit_test(test_failing_memory),
      cmocka_unit_test(test_drift),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
