/* Col2Im against the sum over all taps and places, of every type. */
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

static void check_sums(workbench *bench, norma_element_type type, int axes) {
  int64_t image[3], block[3], stride[3], dilation[3], pads[6], places[3], taps = 1, count = 1;
  for (int d = 0; d < axes; d++) {
    image[d] = random_int(&bench->seed, 1, 7);
    pads[d] = random_int(&bench->seed, 0, 2), pads[d + axes] = random_int(&bench->seed, 0, 2);
    stride[d] = random_int(&bench->seed, 1, 3), dilation[d] = random_int(&bench->seed, 1, 2);
    block[d] = random_int(&bench->seed, 1, 3);
    int64_t left = image[d] + pads[d] + pads[d + axes] - dilation[d] * (block[d] - 1) - 1;
    if (left < 0) block[d] = 1, left = image[d] + pads[d] + pads[d + axes] - 1;
    places[d] = left / stride[d] + 1;
    taps *= block[d], count *= places[d];
  }
  const int64_t samples = random_int(&bench->seed, 0, 2), channels = random_int(&bench->seed, 1, 3);
  const value *x = bench_random(bench, type, SHAPE(samples, channels * taps, count), 0, 4);
  driver_call call =
      CALL("Col2Im", 18, x, bench_ints(bench, SHAPE(axes), image), bench_ints(bench, SHAPE(axes), block));
  call.attributes[0] = (attribute)DRIVER_INTS("strides", (size_t)axes, stride);
  call.attributes[1] = (attribute)DRIVER_INTS("dilations", (size_t)axes, dilation);
  call.attributes[2] = (attribute)DRIVER_INTS("pads", (size_t)(2 * axes), pads);
  shape y = shape_of_rank(axes + 2), places_shape = shape_make(axes, places), block_shape = shape_make(axes, block);
  y.dims[0] = samples, y.dims[1] = channels;
  memcpy(y.dims + 2, image, (size_t)axes * sizeof *image);
  double *expected = calloc((size_t)shape_count(&y) + 1, sizeof *expected);
  for (int64_t i = 0; i < samples * channels * taps * count; i++) {
    int64_t tap[NORMA_MAX_RANK], place[NORMA_MAX_RANK], to = i / count / taps;
    shape_coordinates(&block_shape, i / count % taps, tap);
    shape_coordinates(&places_shape, i % count, place);
    for (int d = 0; d < axes && to >= 0; d++) {
      const int64_t at = place[d] * stride[d] + tap[d] * dilation[d] - pads[d];
      to = at < 0 || at >= image[d] ? -1 : to * image[d] + at;
    }
    if (to >= 0) expected[to] += driver_element(x, i);
  }
  for (int64_t i = 0; i < shape_count(&y) && type == NORMA_BOOL; i++) expected[i] = expected[i] != 0;
  check_near("sums", bench_run(bench, &call), type, y, expected, type_tolerance(type));
  free(expected);
}

static void every_type(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 30; round++) {
    FOR_TYPES(type, TYPES_NUMERIC | TYPE_BIT(NORMA_BOOL)) check_sums(&bench, type, 1 + round % 3);
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* Integers wrap around in their own size; parts of complex numbers are summed apart. */
static void wrapped_and_complex(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *image = bench_list(&bench, 3), *block = bench_list(&bench, 2);
  driver_call call = CALL("Col2Im", 18, NULL, image, block);
  call.inputs[0] = bench_tensor(&bench, NORMA_UINT8, SHAPE(1, 2, 2), NUMBERS(200, 100, 100, 7));
  check_tensor(bench_run(&bench, &call), NORMA_UINT8, SHAPE(1, 1, 3), NUMBERS(200, 200, 7));
  call.inputs[0] = bench_tensor(&bench, NORMA_INT8, SHAPE(1, 2, 2), NUMBERS(1, 100, 100, 7));
  check_tensor(bench_run(&bench, &call), NORMA_INT8, SHAPE(1, 1, 3), NUMBERS(1, -56, 7));
  value *x = bench_make(&bench, NORMA_UINT64, SHAPE(1, 2, 2));
  memcpy(x->tensor.data, (const uint64_t[]){1, UINT64_MAX, 3, (uint64_t)1 << 60 | 1}, 32);
  call.inputs[0] = x;
  const uint64_t *wide = bench_run(&bench, &call)->tensor.data;
  assert_true(wide[0] == 1 && wide[1] == 2 && wide[2] == ((uint64_t)1 << 60 | 1));
  x = bench_make(&bench, NORMA_COMPLEX64, SHAPE(1, 2, 2));
  memcpy(x->tensor.data, (const float[]){1, 2, 3, 4, 5, 6, 7, 8}, 32);
  call.inputs[0] = x;
  const float *parts = bench_run(&bench, &call)->tensor.data;
  const float expected[] = {1, 2, 8, 10, 7, 8};
  assert_memory_equal(parts, expected, sizeof expected);
  x = bench_make(&bench, NORMA_COMPLEX128, SHAPE(1, 2, 2));
  memcpy(x->tensor.data, NUMBERS(1, 2, 3, 4, 5, 6, 7, 8), 64);
  call.inputs[0] = x;
  assert_memory_equal(bench_run(&bench, &call)->tensor.data, NUMBERS(1, 2, 8, 10, 7, 8), 48);
  bench_finish(&bench);
}

static void mistakes_are_refused(void **state) {
  static const int64_t steps[] = {1, 0};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 4, 4), NULL), *image = bench_list(&bench, 3, 3),
              *block = bench_list(&bench, 2, 2);
  driver_call call = CALL("Col2Im", 18, x, image, bench_list(&bench, 2));
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "image_shape has 2 axes, block_shape 1");
  call.inputs[2] = bench_list(&bench, 2, 0);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "block_shape holds 0");
  call.inputs[2] = bench_list(&bench, 3, 2);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "no multiple of the block's 6");
  call.inputs[2] = block;
  call.inputs[1] = bench_list(&bench, 4, 3);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "4 patches but the window 6 places");
  call.inputs[1] = bench_list(&bench, -1, 3);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "holds -1");
  call.inputs[1] = bench_list(&bench, 1, 1);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "");
  call.inputs[1] = image;
  call.inputs[0] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(4, 4), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 2");
  call.inputs[0] = bench_strings(
      &bench, SHAPE(1, 4, 4),
      (const char *const[16]){"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"});
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "strings have no sum");
  call.inputs[0] = x;
  call.attributes[0] = (attribute)DRIVER_INTS("strides", 2, steps);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "strides[1] is 0");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type),
      cmocka_unit_test(wrapped_and_complex),
      cmocka_unit_test(mistakes_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
