/* MaxUnpool: elements back at their places, into the shape that indices count or a larger one. */
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

static void check_random(workbench *bench, norma_element_type type, int version, int axes) {
  int64_t kernel[3], stride[3], pads[6];
  shape x_shape = shape_of_rank(axes + 2), inner, whole;
  for (int i = 0; i < axes + 2; i++) x_shape.dims[i] = random_int(&bench->seed, 1, 4);
  inner = whole = x_shape;
  for (int d = 0; d < axes; d++) {
    kernel[d] = random_int(&bench->seed, 3, 4), stride[d] = random_int(&bench->seed, 2, 3);
    pads[d] = random_int(&bench->seed, 0, 1), pads[d + axes] = random_int(&bench->seed, 0, 1);
    inner.dims[d + 2] = (x_shape.dims[d + 2] - 1) * stride[d] + kernel[d] - pads[d] - pads[d + axes];
    whole.dims[d + 2] = inner.dims[d + 2] + random_int(&bench->seed, 0, 2);
  }
  const bool is_larger = random_int(&bench->seed, 0, 1);
  const shape y_shape = is_larger ? whole : inner;
  const int64_t count = shape_count(&x_shape), places = shape_count(&inner);
  const value *x = bench_random(bench, type, x_shape, -3, 3);
  int64_t *indices = malloc(sizeof *indices * (size_t)count);
  double *expected = calloc((size_t)shape_count(&y_shape), sizeof *expected);
  for (int64_t i = 0; i < count; i++) { /* rising, so none comes twice */
    int64_t at[NORMA_MAX_RANK];
    indices[i] = i * places / count;
    shape_coordinates(&inner, indices[i], at);
    expected[shape_place(&y_shape, at)] = driver_element(x, i);
  }
  driver_call call = CALL("MaxUnpool", version, x, bench_ints(bench, x_shape, indices),
                          is_larger ? bench_ints(bench, SHAPE(axes + 2), whole.dims) : NULL);
  if (!is_larger) call.input_count = 2;
  call.attributes[0] = (attribute)DRIVER_INTS("kernel_shape", (size_t)axes, kernel);
  call.attributes[1] = (attribute)DRIVER_INTS("strides", (size_t)axes, stride);
  call.attributes[2] = (attribute)DRIVER_INTS("pads", (size_t)(2 * axes), pads);
  check_tensor(bench_run(bench, &call), type, y_shape, expected);
  free(indices);
  free(expected);
  bench_clear(bench);
}

static void every_type(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 40; round++) {
    FOR_TYPES(type, TYPES_FLOAT)
    check_random(&bench, type, type == NORMA_BFLOAT16 ? 22 : round % 2 ? 9 : 11, 1 + round % 3);
  }
  bench_finish(&bench);
}

static void mistakes_are_refused(void **state) {
  static const int64_t two[] = {2}, many[] = {2, 2}, padded[] = {3, 3};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 2), NUMBERS(1, 2));
  driver_call call = CALL("MaxUnpool", 11, x, bench_ints(&bench, SHAPE(1, 1, 2), (const int64_t[]){0, 4}));
  call.attributes[0] = (attribute)DRIVER_INTS("kernel_shape", 1, two);
  call.attributes[1] = (attribute)DRIVER_INTS("strides", 1, two);
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "index 4 lies outside 0 .. 3");
  call.inputs[1] = bench_ints(&bench, SHAPE(1, 1, 2), (const int64_t[]){0, -1});
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "index -1 lies outside");
  call.inputs[1] = bench_ints(&bench, SHAPE(1, 1, 2), (const int64_t[]){0, 3});
  call.input_count = 3;
  call.inputs[2] = bench_list(&bench, 1, 1, 3);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "dimension 2 of output_shape is 3, too small");
  call.inputs[2] = bench_list(&bench, 1, 2, 4);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "dimension 1 of output_shape is 2, too large");
  call.inputs[2] = bench_list(&bench, 1, 4);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "2 dimensions but X has 3");
  call.input_count = 2;
  call.inputs[1] = bench_ints(&bench, SHAPE(1, 1, 3), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "differ in their shapes");
  call.inputs[1] = bench_ints(&bench, SHAPE(1, 1, 2), NULL);
  call.attributes[1] = (attribute)DRIVER_INTS("pads", 2, padded);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "axis 2 of the output has no size");
  call.attributes[1] = (attribute){0};
  call.attributes[0] = (attribute)DRIVER_INTS("kernel_shape", 2, many);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 3 but the kernel 2 axes");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_type), cmocka_unit_test(mistakes_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
