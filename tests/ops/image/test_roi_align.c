/* RoiAlign against the interpolation of each point on its own. */
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

typedef struct setting {
  bool is_max, half_pixel;
  int64_t bins[2], ratio;
  float scale;
} setting;

static double rounded(norma_element_type type, double x) {
  return type == NORMA_DOUBLE ? x : (double)(float)x;
}

/* Joins the four products at a point to *sum, or to the largest. */
static void add_point(const value *x, int64_t first, const double place[2], bool is_max, bool is_first,
                      double *result) {
  const int64_t *size = x->tensor.dims + 2;
  int64_t low[2], high[2];
  double weight[2], products[4] = {0};
  if (place[0] >= -1 && place[0] <= (double)size[0] && place[1] >= -1 && place[1] <= (double)size[1]) {
    for (int d = 0; d < 2; d++) {
      const double inside = fmax(place[d], 0);
      low[d] = (int64_t)fmin(floor(inside), (double)size[d] - 1);
      high[d] = low[d] < size[d] - 1 ? low[d] + 1 : low[d];
      weight[d] = low[d] < size[d] - 1 ? inside - (double)low[d] : 0;
    }
    for (int t = 0; t < 4; t++) {
      const int64_t row = t < 2 ? low[0] : high[0], column = t % 2 ? high[1] : low[1];
      products[t] = (t < 2 ? 1 - weight[0] : weight[0]) * (t % 2 ? weight[1] : 1 - weight[1]) *
                    driver_element(x, first + row * size[1] + column);
    }
  }
  for (int t = 0; t < 4; t++)
    *result = !is_max ? *result + products[t] : is_first && t == 0 ? products[t] : fmax(*result, products[t]);
}

static double bin_of(const value *x, const value *rois, int64_t roi, int64_t plane, const setting *s,
                     const int64_t bin[2]) {
  const norma_element_type type = x->tensor.type;
  double start[2], step[2], result = 0;
  int64_t grid[2];
  for (int d = 0; d < 2; d++) {
    double ends[2];
    for (int i = 0; i < 2; i++)
      ends[i] = rounded(type, rounded(type, driver_element(rois, roi * 4 + 2 * i + 1 - d) * (double)s->scale) -
                                  (s->half_pixel ? 0.5 : 0));
    const double length = rounded(type, ends[1] - ends[0]);
    start[d] = ends[0];
    step[d] = rounded(type, (s->half_pixel ? length : fmax(length, 1)) / (double)s->bins[d]);
    grid[d] = s->ratio > 0 ? s->ratio : (int64_t)fmax(ceil(step[d]), 0);
  }
  for (int64_t i = 0; i < grid[0]; i++) {
    for (int64_t j = 0; j < grid[1]; j++) {
      const int64_t at[2] = {i, j};
      double place[2];
      for (int d = 0; d < 2; d++) {
        const double from = rounded(type, start[d] + rounded(type, (double)bin[d] * step[d]));
        place[d] =
            rounded(type, from + rounded(type, rounded(type, ((double)at[d] + 0.5) * step[d]) / (double)grid[d]));
      }
      add_point(x, plane * x->tensor.dims[2] * x->tensor.dims[3], place, s->is_max, i == 0 && j == 0, &result);
    }
  }
  const double points = (double)(grid[0] * grid[1]);
  return s->is_max || points < 1 ? result : result / points;
}

static void check_boxes(workbench *bench, norma_element_type type, const setting *s, int version, int64_t largest) {
  const int64_t samples = random_int(&bench->seed, 1, 3), channels = random_int(&bench->seed, 1, 70),
                count = random_int(&bench->seed, 0, 4);
  const value *x = bench_random(
      bench, type, SHAPE(samples, channels, random_int(&bench->seed, 1, largest), random_int(&bench->seed, 1, largest)),
      -2, 2);
  value *rois = bench_make(bench, type, SHAPE(count, 4));
  int64_t indices[4];
  for (int64_t i = 0; i < count; i++) {
    indices[i] = random_int(&bench->seed, 0, samples - 1);
    for (int k = 0; k < 4; k++) { /* eighths, which all types hold; some boxes are turned inside out */
      const double low = k < 2 || i == 3 ? -3 : 2;
      element_set_double(type, rois->tensor.data, i * 4 + k,
                         floor(driver_random(&bench->seed, low, low + (double)largest) * 8) / 8);
    }
  }
  driver_call call = CALL("RoiAlign", version, x, rois, bench_ints(bench, SHAPE(count), indices));
  call.attributes[0] = (attribute)DRIVER_TEXT("mode", s->is_max ? "max" : "avg");
  call.attributes[1] = (attribute)DRIVER_INT("output_height", s->bins[0]);
  call.attributes[2] = (attribute)DRIVER_INT("output_width", s->bins[1]);
  call.attributes[3] = (attribute)DRIVER_INT("sampling_ratio", s->ratio);
  call.attributes[4] = (attribute)DRIVER_FLOAT("spatial_scale", s->scale);
  if (version >= 16)
    call.attributes[5] =
        (attribute)DRIVER_TEXT("coordinate_transformation_mode", s->half_pixel ? "half_pixel" : "output_half_pixel");
  const shape y = SHAPE(count, channels, s->bins[0], s->bins[1]);
  double *expected = malloc((size_t)(shape_count(&y) + 1) * sizeof *expected);
  for (int64_t i = 0; i < shape_count(&y); i++) {
    int64_t at[NORMA_MAX_RANK];
    shape_coordinates(&y, i, at);
    expected[i] = bin_of(x, rois, at[0], indices[at[0]] * channels + at[1], s, at + 2);
  }
  check_near(s->is_max ? "max" : "avg", bench_run(bench, &call), type, y, expected, type_tolerance(type));
  free(expected);
}

static void random_boxes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_FLOAT) {
    for (int round = 0; round < 48; round++) {
      const int version = type == NORMA_BFLOAT16 ? 22 : round % 3 == 0 ? 10 : 16;
      const setting s = {.is_max = round % 4 == 3,
                         .half_pixel = version >= 16 && round % 2,
                         .bins = {random_int(&bench.seed, 1, 5), random_int(&bench.seed, 1, 5)},
                         .ratio = random_int(&bench.seed, 0, 3),
                         .scale = round % 5 ? 0.5f : 1};
      check_boxes(&bench, type, &s, version, 12);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

/* Far larger than the image: a grid of thousands of points, most of them outside, whose number is known all the
 * same. */
static void boxes_beyond_the_image(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_random(&bench, NORMA_FLOAT, SHAPE(1, 2, 5, 7), 1, 2);
  for (int is_max = 0; is_max < 2; is_max++) {
    const setting s = {.is_max = is_max, .half_pixel = true, .bins = {2, 3}, .scale = 1};
    driver_call call =
        CALL("RoiAlign", 16, x, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 4), NUMBERS(-900, -700, 1200, 800)),
             bench_list(&bench, 0));
    call.attributes[0] = (attribute)DRIVER_TEXT("mode", is_max ? "max" : "avg");
    call.attributes[1] = (attribute)DRIVER_INT("output_height", 2);
    call.attributes[2] = (attribute)DRIVER_INT("output_width", 3);
    const value *y = bench_run(&bench, &call);
    double expected[12];
    for (int i = 0; i < 12; i++)
      expected[i] = bin_of(x, call.inputs[1], 0, i / 6, &s, (const int64_t[]){i % 6 / 3, i % 3});
    check_near("large", y, NORMA_FLOAT, SHAPE(1, 2, 2, 3), expected, 1e-6);
    /* What no grid can have, and no numbers: all outside. */
    call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3, 4),
                                  NUMBERS(-1e30, -1e30, 1e30, 1e30, NAN, 0, 1, 1, 0, 0, INFINITY, INFINITY));
    call.inputs[2] = bench_list(&bench, 0, 0, 0);
    y = bench_run(&bench, &call);
    for (int64_t i = 0; i < 36; i++) assert_true(fabs(driver_element(y, i)) < 2);
  }
  bench_finish(&bench);
}

static void mistakes_are_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 1, 3, 3), NULL),
              *rois = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 4), NULL);
  driver_call call = CALL("RoiAlign", 16, x, rois, bench_list(&bench, 0, 2));
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "batch_indices[1] is 2");
  call.inputs[2] = bench_list(&bench, -1, 0);
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "batch_indices[0] is -1");
  call.inputs[2] = bench_list(&bench, 0);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "2 boxes but 1");
  call.inputs[2] = bench_list(&bench, 0, 0);
  call.attributes[0] = (attribute)DRIVER_STRING("mode", "mean");
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "mode is \"mean\"");
  call.attributes[0] = (attribute)DRIVER_STRING("coordinate_transformation_mode", "asymmetric");
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "asymmetric");
  call.attributes[0] = (attribute)DRIVER_INT("output_width", 0);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "1 x 0");
  call.attributes[0] = (attribute)DRIVER_INT("sampling_ratio", -1);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "sampling_ratio is -1");
  call.attributes[0] = (attribute){0};
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 5), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "four coordinates");
  call.inputs[1] = rois;
  call.inputs[0] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 1, 3), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 3");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_boxes),
      cmocka_unit_test(boxes_beyond_the_image),
      cmocka_unit_test(mistakes_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
