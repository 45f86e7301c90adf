/* NhwcConv is Conv of the same numbers in another order, to the bit; and the moves between the two orders. */
#include "ops/convolution/channels_last.h"
#include "tests/support/operator_trial.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const norma_element_type last_types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};

static void shapes_there_and_back(void **state) {
  const int64_t dims[] = {2, 3, 4, 5, 6}, moved[] = {2, 6, 3, 4, 5};
  (void)state;
  for (int rank = 0; rank <= 5; rank++) {
    const shape last = shape_make(rank, dims), first = channels_last_to_first(&last);
    const shape back = channels_last_from_first(&first);
    assert_int_equal(first.rank, rank);
    assert_true(shape_equal(&back, &last));
    if (rank < 3) assert_true(shape_equal(&first, &last));
    if (rank == 5) assert_memory_equal(first.dims, moved, sizeof moved);
  }
  const shape unknown = shape_unknown();
  assert_int_equal(channels_last_to_first(&unknown).rank, RANK_UNKNOWN);
}

static double plane_element(norma_element_type type, const void *planes, int64_t i) {
  return type == NORMA_DOUBLE ? ((const double *)planes)[i] : (double)((const float *)planes)[i];
}

static void pixels_become_planes_and_back(void **state) {
  uint64_t seed = 7;
  (void)state;
  for (int i = 0; i < 48; i++) {
    const norma_element_type type = last_types[i % 4];
    const struct kernel_table *kernels = driver_kernels(i / 4 % 2);
    if (!kernels) kernels = driver_kernels(0);
    int64_t count = random_int(&seed, 0, 100), channels = random_int(&seed, 0, 100);
    value pixels = random_tensor(&seed, type, 2, (int64_t[]){count, channels});
    value again = random_tensor(&seed, type, 2, (int64_t[]){count, channels});
    void *planes = malloc((size_t)(count * channels) * (type == NORMA_DOUBLE ? sizeof(double) : sizeof(float)) + 1);
    assert_non_null(planes);
    channels_last_load(kernels, type, planes, pixels.tensor.data, channels, count);
    for (int64_t k = 0; k < count * channels; k++) {
      double expected = driver_element(&pixels, k);
      assert_true(plane_element(type, planes, k % channels * count + k / channels) == expected);
    }
    channels_last_store(kernels, type, again.tensor.data, planes, channels, count);
    assert_true(same_tensor(&pixels.tensor, &again.tensor));
    free(planes);
    random_tensor_free(&pixels);
    random_tensor_free(&again);
  }
}

/* Index of the element, in the order of channels first, that element `index` of a tensor with channels last is. */
static int64_t first_index(const norma_tensor *last, int64_t index) {
  int64_t channels = last->dims[last->rank - 1], pixels = 1;
  for (int i = 1; i + 1 < last->rank; i++) pixels *= last->dims[i];
  int64_t channel = index % channels, pixel = index / channels % pixels, sample = index / channels / pixels;
  return (sample * channels + channel) * pixels + pixel;
}

/* Appends the tensor of shape [first, spatial .., channels] to `last`, and the same with channels first to `plain`. */
static void append_both(trial *last, trial *plain, norma_element_type type, int64_t first, int64_t channels, int axes,
                        const int64_t *spatial) {
  int64_t dims[6] = {first}, plain_dims[6] = {first, channels};
  for (int i = 0; i < axes; i++) dims[1 + i] = plain_dims[2 + i] = spatial[i];
  dims[1 + axes] = channels;
  trial_random(last, type, 2 + axes, dims);
  int index = last->call.input_count - 1;
  const norma_tensor *tensor = &last->inputs[index].tensor;
  int64_t count = norma_tensor_count(tensor);
  double *moved = malloc((size_t)(count + 1) * sizeof *moved);
  assert_non_null(moved);
  for (int64_t i = 0; i < count; i++) moved[first_index(tensor, i)] = last->numbers[index][i];
  trial_numbers(plain, type, 2 + axes, plain_dims, moved);
  free(moved);
}

static void nhwc_conv_is_conv(void **state) {
  uint64_t seed = 21;
  (void)state;
  for (int i = 0; i < 96; i++) {
    const norma_element_type type = last_types[i % 4];
    const int axes = i % 7 == 0 ? 4 : (int)random_int(&seed, 1, 3);
    int64_t samples = random_int(&seed, 1, 3), groups = random_int(&seed, 1, 3), channels = random_int(&seed, 1, 40);
    int64_t outputs = random_int(&seed, 1, 40), spatial[4], kernel[4], pads[8], strides[4];
    if (i % 3 == 0) channels = outputs = 1; /* depthwise */
    for (int d = 0; d < axes; d++) {
      spatial[d] = random_int(&seed, 3, axes > 2 ? 4 : 9);
      kernel[d] = random_int(&seed, 1, 3);
      strides[d] = random_int(&seed, 1, 2);
      pads[d] = random_int(&seed, 0, 1);
      pads[axes + d] = random_int(&seed, 0, 1);
    }
    trial last, plain;
    trial_begin(&last, "com.microsoft", "NhwcConv", 1);
    trial_begin(&plain, "", "Conv", 22);
    last.seed = seed;
    append_both(&last, &plain, type, samples, groups * channels, axes, spatial);
    append_both(&last, &plain, type, groups * outputs, channels, axes, kernel);
    if (i % 2) {
      trial_random(&last, type, 1, (int64_t[]){groups * outputs});
      trial_numbers(&plain, type, 1, (int64_t[]){groups * outputs}, last.numbers[2]);
    }
    trial *both[] = {&last, &plain};
    for (int k = 0; k < 2; k++) {
      trial_attribute(both[k], (attribute)DRIVER_INT("group", groups));
      trial_attribute(both[k], (attribute)DRIVER_INTS("strides", (size_t)axes, strides));
      trial_attribute(both[k], (attribute)DRIVER_INTS("pads", 2 * (size_t)axes, pads));
      both[k]->call.constants = i % 5 < 2 ? INPUT(1) : 0;
      trial_run(both[k], 1);
    }
    const norma_tensor *y = &last.driver.outputs[0].tensor, *expected = &plain.driver.outputs[0].tensor;
    int64_t count = norma_tensor_count(y);
    assert_int_equal(y->type, type);
    assert_int_equal(count, norma_tensor_count(expected));
    assert_int_equal(y->dims[axes + 1], groups * outputs);
    assert_memory_equal(y->dims + 1, expected->dims + 2, (size_t)axes * sizeof *y->dims);
    for (int64_t k = 0; k < count; k++) {
      double got = trial_output(&last, 0, k), wanted = trial_output(&plain, 0, first_index(y, k));
      if (got != wanted) fail_msg("case %d: element %d is %.9g, not %.9g", i, (int)k, got, wanted);
    }
    trial_end(&last);
    trial_end(&plain);
  }
}

static void refusals(void **state) {
  static const struct {
    int rank;
    int64_t x[4], w[4];
    int64_t bias;
    const char *what;
  } wrong[] = {
      {4, {1, 5, 5, 4}, {3, 2, 2, 3}, 3, "weights for three channels, not four"},
      {4, {1, 4, 5, 5}, {3, 4, 2, 2}, 3, "channels first"},
      {2, {5, 4}, {3, 4}, 3, "no axis"},
      {3, {1, 5, 4}, {3, 9, 4}, 3, "a kernel larger than its input"},
      {3, {1, 5, 4}, {3, 2, 4}, 4, "a bias of another length"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    trial t;
    trial_begin(&t, "com.microsoft", "NhwcConv", 1);
    trial_random(&t, NORMA_FLOAT, wrong[i].rank, wrong[i].x);
    trial_random(&t, NORMA_FLOAT, wrong[i].rank, wrong[i].w);
    trial_random(&t, NORMA_FLOAT, 1, &wrong[i].bias);
    trial_expect_refusal(&t, 1, wrong[i].what);
    trial_end(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes_there_and_back),
      cmocka_unit_test(pixels_become_planes_and_back),
      cmocka_unit_test(nhwc_conv_is_conv),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
