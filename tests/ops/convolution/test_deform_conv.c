/* DeformConv against its formula; without offsets it is Conv. */
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

typedef struct problem {
  int axes;
  int64_t samples, channels, outputs, group, offset_group;
  int64_t size[3], kernel[3], stride[3], dilation[3], pads[6], places[3];
  const value *x, *w, *offset, *bias, *mask;
} problem;

/* Linear interpolation, 0 outside. */
static double element_at(const problem *p, int64_t plane, const double *point) {
  double sum = 0;
  for (int corner = 0; corner < 1 << p->axes; corner++) {
    double weight = 1;
    int64_t at = plane;
    for (int d = 0; d < p->axes && at >= 0; d++) {
      const double low = floor(point[d]), index = low + (corner >> d & 1);
      weight *= corner >> d & 1 ? point[d] - low : 1 - (point[d] - low);
      at = index >= 0 && index < (double)p->size[d] ? at * p->size[d] + (int64_t)index : -1;
    }
    if (at >= 0) sum += weight * driver_element(p->x, at);
  }
  return sum;
}

static double output_at(const problem *p, const int64_t *at) {
  const shape kernel = shape_make(p->axes, p->kernel), places = shape_make(p->axes, p->places);
  const int64_t taps = shape_count(&kernel), count = shape_count(&places), place = shape_place(&places, at + 2);
  const int64_t own = p->channels / p->group, shared = p->channels / p->offset_group;
  double sum = p->bias ? driver_element(p->bias, at[1]) : 0;
  for (int64_t c = 0; c < own; c++) {
    const int64_t channel = at[1] / (p->outputs / p->group) * own + c;
    for (int64_t k = 0; k < taps; k++) {
      const int64_t moved = (at[0] * p->offset_group + channel / shared) * taps + k;
      int64_t tap[NORMA_MAX_RANK];
      double point[3];
      shape_coordinates(&kernel, k, tap);
      for (int d = 0; d < p->axes; d++)
        point[d] = (double)(at[d + 2] * p->stride[d] - p->pads[d] + tap[d] * p->dilation[d]) +
                   driver_element(p->offset, (moved * p->axes + d) * count + place);
      const double factor = p->mask ? driver_element(p->mask, moved * count + place) : 1;
      sum += driver_element(p->w, (at[1] * own + c) * taps + k) * factor *
             element_at(p, at[0] * p->channels + channel, point);
    }
  }
  return sum;
}

static shape with(int64_t first, int64_t second, int axes, const int64_t *sizes) {
  shape made = shape_of_rank(axes + 2);
  made.dims[0] = first, made.dims[1] = second;
  memcpy(made.dims + 2, sizes, (size_t)axes * sizeof *sizes);
  return made;
}

static problem random_problem(workbench *bench, norma_element_type type, int axes, int64_t largest, bool moves) {
  problem p = {.axes = axes, .samples = random_int(&bench->seed, 0, 2)};
  int64_t taps = 1;
  p.group = random_int(&bench->seed, 1, 2), p.offset_group = random_int(&bench->seed, 1, 3);
  p.channels = p.group * p.offset_group * random_int(&bench->seed, 1, 2);
  p.outputs = p.group * random_int(&bench->seed, 1, 5);
  for (int d = 0; d < axes; d++) {
    p.size[d] = random_int(&bench->seed, 3, largest), p.kernel[d] = random_int(&bench->seed, 1, 3);
    p.stride[d] = random_int(&bench->seed, 1, 2), p.dilation[d] = random_int(&bench->seed, 1, 2);
    p.pads[d] = random_int(&bench->seed, 1, 2), p.pads[d + axes] = random_int(&bench->seed, 1, 2);
    p.places[d] = (p.size[d] + p.pads[d] + p.pads[d + axes] - p.dilation[d] * (p.kernel[d] - 1) - 1) / p.stride[d] + 1;
    taps *= p.kernel[d];
  }
  const double far = moves ? 3 : 0;
  p.x = bench_random(bench, type, with(p.samples, p.channels, axes, p.size), -1, 1);
  p.w = bench_random(bench, type, with(p.outputs, p.channels / p.group, axes, p.kernel), -1, 1);
  p.offset = bench_random(bench, type, with(p.samples, p.offset_group * taps * axes, axes, p.places), -far, far);
  if (random_int(&bench->seed, 0, 1)) p.bias = bench_random(bench, type, SHAPE(p.outputs), -1, 1);
  if (moves && random_int(&bench->seed, 0, 1))
    p.mask = bench_random(bench, type, with(p.samples, p.offset_group * taps, axes, p.places), 0, 1);
  return p;
}

static driver_call call_of(const problem *p, const char *op, int version) {
  driver_call call = CALL(op, version, p->x, p->w, p->offset, p->bias, p->mask);
  if (!p->mask) call.input_count = p->bias ? 4 : 3;
  if (strcmp(op, "Conv") == 0) {
    call.inputs[2] = p->bias;
    call.input_count = p->bias ? 3 : 2;
  } else {
    call.attributes[4] = (attribute)DRIVER_INT("offset_group", p->offset_group);
  }
  call.attributes[0] = (attribute)DRIVER_INTS("strides", (size_t)p->axes, p->stride);
  call.attributes[1] = (attribute)DRIVER_INTS("dilations", (size_t)p->axes, p->dilation);
  call.attributes[2] = (attribute)DRIVER_INTS("pads", (size_t)(2 * p->axes), p->pads);
  call.attributes[3] = (attribute)DRIVER_INT("group", p->group);
  return call;
}

static void check_problem(workbench *bench, norma_element_type type, int axes, int64_t largest) {
  const problem p = random_problem(bench, type, axes, largest, true);
  const driver_call call = call_of(&p, "DeformConv", type == NORMA_BFLOAT16 ? 22 : 19);
  const shape y = with(p.samples, p.outputs, axes, p.places);
  double *expected = malloc((size_t)(shape_count(&y) + 1) * sizeof *expected);
  for (int64_t i = 0; i < shape_count(&y); i++) {
    int64_t at[NORMA_MAX_RANK];
    shape_coordinates(&y, i, at);
    expected[i] = output_at(&p, at);
  }
  check_near("moved", bench_run(bench, &call), type, y, expected, 10 * type_tolerance(type));
  free(expected);
  bench_clear(bench);
}

static void every_type(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    FOR_TYPES(type, TYPES_FLOAT) {
      for (int round = 0; round < 12; round++) check_problem(&bench, type, 1 + round % 3, 6);
      check_problem(&bench, type, 2, 40); /* several blocks of places */
    }
  }
  bench_finish(&bench);
}

static void without_offsets_it_is_conv(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 20; round++) {
    const problem p = random_problem(&bench, NORMA_FLOAT, 2, 9, false);
    const driver_call call = call_of(&p, "DeformConv", 22), plain = call_of(&p, "Conv", 22);
    bench_run(&bench, &plain);
    const value *expected = bench_keep(&bench, 0), *y = bench_run(&bench, &call);
    const shape shape = shape_of_tensor(&expected->tensor);
    for (int64_t i = 0; i < shape_count(&shape); i++)
      assert_true(fabs(driver_element(y, i) - driver_element(expected, i)) < 1e-5);
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* Offsets that are no numbers, or lead nowhere, lead outside. */
static void offsets_without_end(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_FLOAT) {
    driver_call call =
        CALL("DeformConv", 22, bench_tensor(&bench, type, SHAPE(1, 1, 1, 4), NUMBERS(1, 2, 3, 4)),
             bench_tensor(&bench, type, SHAPE(1, 1, 1, 1), NUMBERS(2)),
             bench_tensor(&bench, type, SHAPE(1, 2, 1, 4), NUMBERS(0, 0, NAN, 0, 1, INFINITY, 0, -1e30)));
    check_tensor(bench_run(&bench, &call), type, SHAPE(1, 1, 1, 4), NUMBERS(4, 0, 0, 0));
  }
  bench_finish(&bench);
}

static void mistakes_are_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 4, 3, 3), NULL),
              *w = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 4, 2, 2), NULL),
              *offset = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 8, 2, 2), NULL);
  driver_call call = CALL("DeformConv", 19, x, w, offset);
  call.attributes[0] = (attribute)DRIVER_INT("group", 2);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "do not fit 2 groups");
  call.attributes[0] = (attribute)DRIVER_INT("offset_group", 3);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "no multiple of offset_group 3");
  call.attributes[0] = (attribute)DRIVER_INT("offset_group", 0);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "offset_group 0");
  call.attributes[0] = (attribute){0};
  call.inputs[2] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 8, 2, 3), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "offset has shape 1x8x2x3 but must have 1x8x2x2");
  call.inputs[2] = offset;
  call.input_count = 5;
  call.inputs[3] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "B must have one element");
  call.inputs[3] = NULL;
  call.inputs[4] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 8, 2, 2), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "mask has shape 1x8x2x2 but must have 1x4x2x2");
  call.input_count = 3;
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 4, 2), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "X has rank 4, W 3");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type),
      cmocka_unit_test(without_offsets_it_is_conv),
      cmocka_unit_test(offsets_without_end),
      cmocka_unit_test(mistakes_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
