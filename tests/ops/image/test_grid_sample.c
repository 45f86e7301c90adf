/* GridSample against sums over all axes, one element after the other; what lies far outside, or is no number. */
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

static const char *const modes[] = {"nearest", "linear", "cubic"}, *old_modes[] = {"nearest", "bilinear", "bicubic"};
static const char *const paddings[] = {"zeros", "border", "reflection"};

typedef struct setting {
  int mode, padding;
  bool corners;
} setting;

static double reflected(double x, double low, double high) {
  const double span = high - low;
  if (!(span > 0)) return low;
  const double distance = fmod(fabs(x - low), 2 * span);
  return low + (distance > span ? 2 * span - distance : distance);
}

static double weight_of(int mode, double distance) {
  const double d = fabs(distance), a = -0.75;
  if (mode == 0) return d <= 0.5 ? 1 : 0;
  if (mode == 1) return d < 1 ? 1 - d : 0;
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/* The element that stands for `index`, -1: none. */
static int64_t element_for(const setting *s, int64_t size, int64_t index) {
  const double low = s->corners ? 0 : -0.5;
  if (index >= 0 && index < size) return index;
  if (s->padding == 0) return -1;
  if (s->padding == 1) return index < 0 ? 0 : size - 1;
  return (int64_t)reflected((double)index, low, (double)size - 1 - low);
}

static double place_of(const setting *s, int64_t size, double point, bool is_double) {
  const double low = s->corners ? 0 : -0.5, high = (double)size - 1 - low, n = (double)size;
  double x = s->corners ? (point + 1) / 2 * (n - 1) : ((point + 1) * n - 1) / 2;
  if (!is_double) {
    const float p = (float)point, m = (float)size;
    x = (double)(s->corners ? (p + 1) / 2 * (m - 1) : ((p + 1) * m - 1) / 2);
  }
  if (s->mode == 0) x = rint(x);
  if (x >= low && x <= high) return x;
  if (s->padding == 1) return fmin(fmax(x, 0), n - 1);
  return s->padding == 2 ? reflected(x, low, high) : x;
}

/* The value at a point of a plane whose element `k` is element `first + k` of x. */
static double value_at(const setting *s, const value *x, int64_t first, int axes, const int64_t *sizes,
                       const double *point, bool is_double) {
  int64_t tap[3] = {0}, starts[3];
  double places[3], sum = 0;
  const int taps = s->mode == 0 ? 1 : 2 * s->mode;
  for (int d = 0; d < axes; d++) {
    places[d] = place_of(s, sizes[d], point[axes - 1 - d], is_double);
    starts[d] = s->mode == 0 ? (int64_t)rint(places[d]) : (int64_t)floor(places[d]) - (s->mode - 1);
  }
  for (;;) {
    int64_t at = 0;
    double weight = 1;
    for (int d = 0; d < axes; d++) {
      const int64_t index = starts[d] + tap[d], element = element_for(s, sizes[d], index);
      weight *= s->mode == 0 ? 1 : weight_of(s->mode, places[d] - (double)index);
      at = element < 0 || at < 0 ? -1 : at * sizes[d] + element;
    }
    if (at >= 0) sum += weight * driver_element(x, first + at);
    int d = axes - 1;
    for (; d >= 0 && ++tap[d] == taps; d--) tap[d] = 0;
    if (d < 0) return sum;
  }
}

static void check_sampled(workbench *bench, const setting *s, norma_element_type type, norma_element_type grid_type,
                          int axes, int opset, int64_t points) {
  shape x_shape = shape_of_rank(axes + 2), grid_shape = shape_of_rank(axes + 2), y_shape;
  x_shape.dims[0] = grid_shape.dims[0] = random_int(&bench->seed, 1, 2);
  x_shape.dims[1] = random_int(&bench->seed, 1, 3);
  for (int d = 0; d < axes; d++) {
    x_shape.dims[d + 2] = random_int(&bench->seed, 1, 6);
    grid_shape.dims[d + 1] = d == 0 ? points : random_int(&bench->seed, 1, 3);
  }
  grid_shape.dims[axes + 1] = axes;
  y_shape = x_shape;
  for (int d = 0; d < axes; d++) y_shape.dims[d + 2] = grid_shape.dims[d + 1];
  const value *x = bench_random(bench, type, x_shape, -4, 4);
  const value *grid = bench_random(bench, grid_type, grid_shape, -2.2, 2.2);
  driver_call call = CALL("GridSample", opset, x, grid);
  call.attributes[0] = (attribute)DRIVER_TEXT("mode", opset < 20 ? old_modes[s->mode] : modes[s->mode]);
  call.attributes[1] = (attribute)DRIVER_TEXT("padding_mode", paddings[s->padding]);
  call.attributes[2] = (attribute)DRIVER_INT("align_corners", s->corners);
  const value *y = bench_run(bench, &call);
  const int64_t pixels = dims_product(x_shape.dims, 2, axes + 2), places = dims_product(y_shape.dims, 2, axes + 2);
  double *expected = malloc((size_t)shape_count(&y_shape) * sizeof *expected);
  for (int64_t i = 0; i < shape_count(&y_shape); i++) {
    const int64_t plane = i / places, sample = plane / x_shape.dims[1];
    double point[3];
    for (int d = 0; d < axes; d++) point[d] = driver_element(grid, (sample * places + i % places) * axes + d);
    expected[i] = value_at(s, x, plane * pixels, axes, x_shape.dims + 2, point, grid_type == NORMA_DOUBLE);
    if (TYPE_BIT(type) & TYPES_INTEGER) expected[i] = trunc(expected[i]);
  }
  check_near(modes[s->mode], y, type, y_shape, expected, type_tolerance(type) + (grid_type == NORMA_DOUBLE ? 0 : 4e-6));
  free(expected);
}

static void every_mode_padding_and_type(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int i = 0; i < 18; i++) {
      const setting s = {i % 3, i / 3 % 3, i >= 9};
      FOR_TYPES(type, TYPES_FLOAT) {
        FOR_TYPES(grid_type, TYPES_FLOAT) {
          for (int axes = 1; axes <= 3; axes++) check_sampled(&bench, &s, type, grid_type, axes, 22, 3);
          bench_clear(&bench);
        }
        if (type != NORMA_BFLOAT16) check_sampled(&bench, &s, type, NORMA_FLOAT, 2, 16, 2);
      }
      FOR_TYPES(type, TYPES_INTEGER) {
        if (s.mode == 0) check_sampled(&bench, &s, type, NORMA_FLOAT, 2, 22, 2);
        bench_clear(&bench);
      }
    }
  }
  bench_finish(&bench);
}

/* More points than a block has. */
static void many_points(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int i = 0; i < 9; i++) {
    const setting s = {i % 3, i / 3, i % 2};
    check_sampled(&bench, &s, NORMA_FLOAT, NORMA_FLOAT, 2, 20, 900);
    check_sampled(&bench, &s, NORMA_FLOAT16, NORMA_FLOAT, 1, 20, 1300);
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* Texts and complex numbers at corners, in the middle, and outside. */
static void other_types(void **state) {
  static const char *const words[] = {"a", "b", "c", "long enough to need memory"};
  const char *const found[] = {"a", words[3], "b", ""};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *grid =
      bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 4, 2), NUMBERS(-0.5, -0.5, 0.5, 0.5, 0.5, -0.5, 3, 0.5));
  driver_call call = CALL("GridSample", 22, bench_strings(&bench, SHAPE(1, 1, 2, 2), words), grid);
  call.attributes[0] = (attribute)DRIVER_STRING("mode", "nearest");
  check_strings(bench_run(&bench, &call), SHAPE(1, 1, 1, 4), found);
  call.attributes[0] = (attribute)DRIVER_STRING("mode", "linear");
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "strings have no mode but nearest");
  value *x = bench_make(&bench, NORMA_COMPLEX64, SHAPE(1, 1, 1, 2));
  memcpy(x->tensor.data, (const float[]){1, -2, 3, 4}, 4 * sizeof(float));
  call.inputs[0] = x;
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 1, 2), NUMBERS(0, 0));
  const float *y = bench_run(&bench, &call)->tensor.data;
  assert_true(y[0] == 2 && y[1] == 1);
  call.inputs[0] = bench_tensor(&bench, NORMA_BOOL, SHAPE(1, 1, 1, 2), NUMBERS(0, 1));
  call.attributes[0] = (attribute)DRIVER_STRING("mode", "nearest");
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 2, 2), NUMBERS(-0.5, 0, 0.5, 0));
  check_tensor(bench_run(&bench, &call), NORMA_BOOL, SHAPE(1, 1, 1, 2), NUMBERS(0, 1));
  bench_finish(&bench);
}

/* No number, infinity, and what no integer holds: with zeros they are outside, else in the image. */
static void places_without_end(void **state) {
  static const double places[] = {NAN, INFINITY, -INFINITY, 1e30, -1e30, 4e9};
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_FLOAT) {
    const value *x = bench_random(&bench, type, SHAPE(1, 2, 3, 4), 1, 2);
    double grid[2 * COUNT(places)];
    for (size_t i = 0; i < COUNT(places); i++) grid[2 * i] = places[i], grid[2 * i + 1] = places[i];
    for (int i = 0; i < 18; i++) {
      driver_call call = CALL("GridSample", 22, x, bench_tensor(&bench, type, SHAPE(1, 1, COUNT(places), 2), grid));
      call.attributes[0] = (attribute)DRIVER_TEXT("mode", modes[i % 3]);
      call.attributes[1] = (attribute)DRIVER_TEXT("padding_mode", paddings[i / 3 % 3]);
      call.attributes[2] = (attribute)DRIVER_INT("align_corners", i / 9);
      const value *y = bench_run(&bench, &call);
      for (int64_t k = 0; k < 2 * (int64_t)COUNT(places); k++) {
        const double found = driver_element(y, k);
        assert_true(i / 3 % 3 == 0 ? found == 0 : found > 0.5 && found < 2.5);
      }
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void nothing_to_sample(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int i = 0; i < 9; i++) {
    driver_call call = CALL("GridSample", 20, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 0, 3), NULL),
                            bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 2, 2), NUMBERS(0, 0.5, 3, -9)));
    call.attributes[0] = (attribute)DRIVER_TEXT("mode", modes[i % 3]);
    call.attributes[1] = (attribute)DRIVER_TEXT("padding_mode", paddings[i / 3]);
    check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(1, 1, 1, 2), NUMBERS(0, 0));
    call.inputs[0] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 3, 0), NULL);
    check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(1, 1, 1, 2), NUMBERS(0, 0));
    call.inputs[0] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 0, 3, 2), NULL);
    check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(1, 0, 1, 2), NULL);
    call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 0, 2, 2), NULL);
    call.inputs[0] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 2, 3, 2), NULL);
    check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(1, 2, 0, 2), NULL);
  }
  bench_finish(&bench);
}

static void as_com_microsoft_has_it(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call = CALL("GridSample", 1, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 1, 2), NUMBERS(1, 3)),
                          bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 1, 2), NUMBERS(0, 0)));
  call.domain = "com.microsoft";
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(1, 1, 1, 1), NUMBERS(2));
  /* A quarter of an element before the first: ai.onnx has the first, here the taps are elements 0, 0, 0 and 1. */
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 1, 2), NUMBERS(-1.5, -0.0));
  call.attributes[0] = (attribute)DRIVER_STRING("mode", "bicubic");
  call.attributes[1] = (attribute)DRIVER_STRING("padding_mode", "border");
  call.attributes[2] = (attribute)DRIVER_INT("align_corners", 1);
  const double weight = -0.75 * (0.75 * 0.75 - 0.75 * 0.75 * 0.75); /* of the last of four at a fraction of 0.75 */
  check_near("border", bench_run(&bench, &call), NORMA_FLOAT, SHAPE(1, 1, 1, 1), NUMBERS(1 + 2 * weight), 1e-6);
  call.domain = "";
  call.opset = 16;
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(1, 1, 1, 1), NUMBERS(1));
  call.domain = "com.microsoft";
  call.opset = 1;
  call.attributes[0] = (attribute)DRIVER_STRING("mode", "linear");
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "must be nearest, bilinear or bicubic");
  bench_finish(&bench);
}

static void mistakes_are_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 1, 2, 2), NULL),
              *grid = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 1, 1, 2), NULL);
  driver_call call = CALL("GridSample", 22, x, grid);
  call.attributes[0] = (attribute)DRIVER_STRING("mode", "bilinear");
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "mode is \"bilinear\"");
  call.attributes[0] = (attribute)DRIVER_STRING("padding_mode", "edge");
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "padding_mode is \"edge\"");
  call.attributes[0] = (attribute){0};
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 1, 2), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "2 samples");
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 1, 1, 3), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "3 coordinates");
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 1, 2), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "do not fit");
  call.opset = 16; /* images have two axes */
  call.inputs[0] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 1, 2), NULL);
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 1, 1), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "do not fit");
  call.opset = 20;
  call.inputs[0] = bench_tensor(&bench, NORMA_BFLOAT16, SHAPE(2, 1, 2), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "bfloat16 needs opset 22");
  call.inputs[0] = bench_tensor(&bench, NORMA_FLOAT8E5M2, SHAPE(2, 1, 2), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "float8e5m2");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_mode_padding_and_type),
      cmocka_unit_test(many_points),
      cmocka_unit_test(other_types),
      cmocka_unit_test(places_without_end),
      cmocka_unit_test(nothing_to_sample),
      cmocka_unit_test(as_com_microsoft_has_it),
      cmocka_unit_test(mistakes_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
