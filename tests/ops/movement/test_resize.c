/* Resize and Upsample against the formulas of the specification, evaluated for each output element on its own. */
#include "tests/support/blocked_tensor.h"
#include "tests/support/random_tensor.h"

static const char *const coordinate_modes[] = {"half_pixel",    "half_pixel_symmetric", "pytorch_half_pixel",
                                               "align_corners", "asymmetric",           "tf_crop_and_resize"};
static const char *const nearest_modes[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
static const char *const interpolations[] = {"nearest", "linear", "cubic"};

typedef struct setting {
  const char *coordinates, *nearest, *mode;
  bool antialias, exclude_outside;
} setting;

#define OUTSIDE 1e30

static double original(const char *mode, double x, double scale, double in, double out, double start, double end) {
  const double width = scale * in;
  if (strcmp(mode, "half_pixel") == 0) return (x + 0.5) / scale - 0.5;
  if (strcmp(mode, "half_pixel_symmetric") == 0) return in / 2 * (1 - out / width) + (x + 0.5) / scale - 0.5;
  if (strcmp(mode, "pytorch_half_pixel") == 0) return out > 1 ? (x + 0.5) / scale - 0.5 : 0;
  if (strcmp(mode, "align_corners") == 0) return out > 1 ? x * (in - 1) / (width - 1) : 0;
  if (strcmp(mode, "asymmetric") == 0) return x / scale;
  const double at =
      out > 1 ? start * (in - 1) + x * (end - start) * (in - 1) / (out - 1) : 0.5 * (start + end) * (in - 1);
  return at < 0 || at > in - 1 ? OUTSIDE : at;
}

static double weight_at(const setting *s, double distance) {
  const double a = -0.75, x = fabs(distance);
  if (strcmp(s->mode, "linear") == 0) return fmax(0, 1 - x);
  if (x <= 1) return (a + 2) * x * x * x - (a + 3) * x * x + 1;
  return x < 2 ? a * x * x * x - 5 * a * x * x + 8 * a * x - 4 * a : 0;
}

/* The weights of all input coordinates for one output coordinate; false: outside a crop. */
static bool weights_of(const setting *s, double x, double scale, int64_t in, int64_t out, double start, double end,
                       double *weights) {
  for (int64_t i = 0; i < in; i++) weights[i] = 0;
  double at = original(s->coordinates, x, scale, (double)in, (double)out, start, end);
  if (at == OUTSIDE) return false;
  if (strcmp(s->mode, "nearest") == 0) {
    at = (double)(float)at;
    if (fabs(at - floor(at) - 0.5) < 1e-6) at = floor(at) + 0.5;
    double whole = strcmp(s->nearest, "floor") == 0  ? floor(at)
                   : strcmp(s->nearest, "ceil") == 0 ? ceil(at)
                   : floor(at) + 0.5 == at ? (strcmp(s->nearest, "round_prefer_ceil") == 0 ? ceil(at) : floor(at))
                                           : rint(at);
    weights[(int64_t)fmax(0, fmin((double)in - 1, whole))] = 1;
    return true;
  }
  const double stretch = s->antialias && scale < 1 ? scale : 1;
  const int64_t reach = (int64_t)ceil(2 / stretch) + 2, middle = (int64_t)floor(at);
  double sum = 0;
  for (int64_t i = middle - reach; i <= middle + reach; i++) {
    const double weight = weight_at(s, ((double)i - at) * stretch);
    if (s->exclude_outside && (i < 0 || i >= in)) continue;
    weights[i < 0 ? 0 : i >= in ? in - 1 : i] += weight;
    sum += weight;
  }
  for (int64_t i = 0; i < in && (s->exclude_outside || stretch < 1); i++) weights[i] /= sum;
  return true;
}

static void check_resize(driver *driver, const setting *s, norma_element_type type, const int64_t *in,
                         const int64_t *out, bool by_sizes, uint64_t *seed, const struct kernel_table *kernels) {
  double elements[4096], expected;
  const int64_t planes = in[0] * in[1];
  const int64_t count = planes * in[2] * in[3];
  const bool single = type == NORMA_FLOAT || type == NORMA_DOUBLE || type == NORMA_FLOAT16;
  for (int64_t i = 0; i < count; i++)
    elements[i] = single ? driver_random(seed, 0.5, 1.5) : floor(driver_random(seed, 0, 200));
  float scales[4] = {1, 1, (float)out[2] / (float)in[2], (float)out[3] / (float)in[3]};
  const float roi[8] = {0, 0, 0.1f, -0.2f, 1, 1, 0.8f, 1.1f};
  const bool crop = strcmp(s->coordinates, "tf_crop_and_resize") == 0;
  value x = driver_tensor(driver, type, 4, in, elements), sizes = driver_ints(driver, 1, (int64_t[]){4}, out);
  value scale_value = driver_floats(driver, 1, (int64_t[]){4}, scales);
  value roi_value = driver_floats(driver, 1, (int64_t[]){8}, roi);
  for (int64_t i = 0; i < count; i++) elements[i] = driver_element(&x, i);
  driver_call call = {
      .op_type = "Resize",
      .opset = 19,
      .inputs = {&x, crop ? &roi_value : NULL},
      .output_count = 1,
      .input_count = 4,
      .kernels = kernels,
      .workers = 2,
      .attributes = {{.name = "mode", .kind = ATTRIBUTE_STRING, .s = {s->mode, strlen(s->mode)}},
                     {.name = "coordinate_transformation_mode",
                      .kind = ATTRIBUTE_STRING,
                      .s = {s->coordinates, strlen(s->coordinates)}},
                     {.name = "nearest_mode", .kind = ATTRIBUTE_STRING, .s = {s->nearest, strlen(s->nearest)}},
                     DRIVER_INT("antialias", s->antialias),
                     DRIVER_INT("exclude_outside", s->exclude_outside),
                     DRIVER_FLOAT("extrapolation_value", 10)}};
  if (by_sizes || crop)
    call.inputs[3] = &sizes;
  else
    call.inputs[2] = &scale_value;
  if (driver_run(driver, &call) != NORMA_OK) fail_msg("%s", driver->error.message);
  const value *y = &driver->outputs[0];
  for (int i = 0; i < 4; i++) assert_int_equal(y->tensor.dims[i], out[i]);
  double down[64], across[64], scale[2];
  for (int i = 0; i < 2; i++) {
    scale[i] = call.inputs[3] ? (double)out[2 + i] / (double)in[2 + i] : (double)scales[2 + i];
  }
  for (int64_t i = 0; i < planes * out[2] * out[3]; i++) {
    const int64_t column = i % out[3], row = i / out[3] % out[2], plane = i / out[3] / out[2];
    const bool inside = weights_of(s, (double)row, scale[0], in[2], out[2], (double)roi[2], (double)roi[6], down) &&
                        weights_of(s, (double)column, scale[1], in[3], out[3], (double)roi[3], (double)roi[7], across);
    expected = inside ? 0 : 10;
    for (int64_t r = 0; r < in[2] && inside; r++) {
      for (int64_t c = 0; c < in[3]; c++) expected += down[r] * across[c] * elements[(plane * in[2] + r) * in[3] + c];
    }
    if (!single) expected = fmax(0, fmin(255, rint(expected)));
    const double found = driver_element(y, i);
    const double tolerance = type == NORMA_DOUBLE    ? 1e-12
                             : type == NORMA_FLOAT   ? 1e-5
                             : type == NORMA_FLOAT16 ? 3e-3
                                                     : 1;
    if (fabs(found - expected) > tolerance * (1 + (single ? fabs(expected) : 0))) {
      fail_msg("%s %s %s: row %d, column %d is %.9g, not %.9g", s->mode, s->coordinates, s->nearest, (int)row,
               (int)column, found, expected);
    }
  }
  value_clear(&x);
  value_clear(&sizes);
  value_clear(&scale_value);
  value_clear(&roi_value);
}

static void every_mode_up_and_down(void **state) {
  (void)state;
  static const int64_t sizes[][2][4] = {{{1, 2, 4, 5}, {1, 2, 8, 10}},
                                        {{2, 1, 7, 9}, {2, 1, 3, 4}},
                                        {{1, 1, 5, 1}, {1, 1, 7, 3}},
                                        {{1, 3, 6, 8}, {1, 3, 6, 21}},
                                        {{1, 1, 40, 30}, {1, 1, 9, 60}}};
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_UINT8};
  driver driver;
  driver_init(&driver);
  uint64_t seed = 61;
  const struct kernel_table *kernels;
  for (int k = 0; (kernels = driver_kernels(k)); k++) {
    for (size_t m = 0; m < COUNT(interpolations); m++) {
      for (size_t c = 0; c < COUNT(coordinate_modes); c++) {
        for (size_t i = 0; i < COUNT(sizes); i++) {
          for (int variant = 0; variant < 4; variant++) {
            const setting s = {coordinate_modes[c], nearest_modes[variant], interpolations[m], m > 0 && variant % 2,
                               m > 0 && variant / 2};
            check_resize(&driver, &s, types[(i + (size_t)variant) % COUNT(types)], sizes[i][0], sizes[i][1], true,
                         &seed, kernels);
          }
        }
      }
    }
  }
  driver_finish(&driver);
}

static void sizes_from_scales(void **state) {
  (void)state;
  static const float scales[][2] = {{0.6f, 0.6f}, {1.4f, 2.5f}, {2, 3}};
  static const int64_t expected[][2] = {{3, 4}, {7, 17}, {10, 21}};
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 4, (int64_t[]){1, 1, 5, 7}, NULL);
  for (size_t i = 0; i < COUNT(scales); i++) {
    value s = driver_floats(&driver, 1, (int64_t[]){4}, (float[]){1, 1, scales[i][0], scales[i][1]});
    driver_call call = {
        .op_type = "Resize", .opset = 13, .inputs = {&x, NULL, &s}, .input_count = 3, .output_count = 1};
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    assert_int_equal(driver.outputs[0].tensor.dims[2], expected[i][0]);
    assert_int_equal(driver.outputs[0].tensor.dims[3], expected[i][1]);
    value_clear(&s);
  }
  value_clear(&x);
  driver_finish(&driver);
}

/* float holds 0.2 as a little more than it is: pixels must not move by it. */
static void decimal_scales_pick_whole_pixels(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  float ramp[30];
  for (int i = 0; i < 30; i++) ramp[i] = (float)i;
  value x = driver_floats(&driver, 1, (int64_t[]){30}, ramp),
        scale = driver_floats(&driver, 1, (int64_t[]){1}, (float[]){0.2f});
  driver_call call = {.op_type = "Resize",
                      .opset = 13,
                      .inputs = {&x, NULL, &scale},
                      .input_count = 3,
                      .output_count = 1,
                      .attributes = {DRIVER_STRING("coordinate_transformation_mode", "asymmetric"),
                                     DRIVER_STRING("nearest_mode", "floor")}};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){6}, (double[]){0, 5, 10, 15, 20, 25});
  /* With half_pixel these lie in the middle, at 2, 7, 12 .. and with scale 0.1 at 4.5, 14.5, 24.5. */
  value tenth = driver_floats(&driver, 1, (int64_t[]){1}, (float[]){0.1f});
  call.inputs[2] = &tenth;
  call.attributes[0] = (attribute)DRIVER_STRING("coordinate_transformation_mode", "half_pixel");
  call.attributes[1] = (attribute)DRIVER_STRING("nearest_mode", "round_prefer_ceil");
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){3}, (double[]){5, 15, 25});
  call.attributes[1] = (attribute)DRIVER_STRING("nearest_mode", "round_prefer_floor");
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){3}, (double[]){4, 14, 24});
  value_clear(&x);
  value_clear(&scale);
  value_clear(&tenth);
  driver_finish(&driver);
}

static void aspect_ratio_and_axes(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 4, (int64_t[]){1, 1, 4, 8}, NULL),
        sizes = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){6, 20});
  driver_call call = {.op_type = "Resize",
                      .opset = 19,
                      .inputs = {&x, NULL, NULL, &sizes},
                      .input_count = 4,
                      .output_count = 1,
                      .attributes = {DRIVER_INTS("axes", 2, ((int64_t[]){-1, 2})),
                                     DRIVER_STRING("keep_aspect_ratio_policy", "not_larger")}};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK); /* 6/8 and 20/4: the smaller, 0.75 */
  assert_int_equal(driver.outputs[0].tensor.dims[3], 6);
  assert_int_equal(driver.outputs[0].tensor.dims[2], 3);
  call.attributes[1] = (attribute)DRIVER_STRING("keep_aspect_ratio_policy", "not_smaller");
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  assert_int_equal(driver.outputs[0].tensor.dims[3], 40);
  assert_int_equal(driver.outputs[0].tensor.dims[2], 20);
  value_clear(&x);
  value_clear(&sizes);
  driver_finish(&driver);
}

static void upsample_of_old(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 4, (int64_t[]){1, 1, 1, 2}, (float[]){1, 2});
  value s = driver_floats(&driver, 1, (int64_t[]){4}, (float[]){1, 1, 2, 2});
  driver_call calls[] = {{.op_type = "Upsample", .opset = 9, .inputs = {&x, &s}, .input_count = 2, .output_count = 1},
                         {.op_type = "Upsample",
                          .opset = 7,
                          .inputs = {&x},
                          .input_count = 1,
                          .output_count = 1,
                          .attributes = {DRIVER_FLOATS("scales", 4, ((float[]){1, 1, 2, 2}))}},
                         {.op_type = "Upsample",
                          .opset = 1,
                          .inputs = {&x},
                          .input_count = 1,
                          .output_count = 1,
                          .attributes = {DRIVER_FLOAT("height_scale", 2), DRIVER_FLOAT("width_scale", 2)}},
                         {.op_type = "Resize", .opset = 10, .inputs = {&x, &s}, .input_count = 2, .output_count = 1}};
  for (size_t i = 0; i < COUNT(calls); i++) {
    assert_int_equal(driver_run(&driver, &calls[i]), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 4, (int64_t[]){1, 1, 2, 4},
                         (double[]){1, 1, 2, 2, 1, 1, 2, 2});
  }
  calls[0].attributes[0] = (attribute)DRIVER_STRING("mode", "linear");
  assert_int_equal(driver_run(&driver, &calls[0]), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 4, (int64_t[]){1, 1, 2, 4},
                       (double[]){1, 1.5, 2, 2, 1, 1.5, 2, 2});
  value_clear(&x);
  value_clear(&s);
  driver_finish(&driver);
}

/* On channel blocks the same; nearest neighbours to the bit. */
static void blocks_are_the_same(void **state) {
  static const int64_t sizes[][4] = {{4, 5, 8, 10}, {6, 7, 3, 4}, {5, 5, 13, 9}, {1, 1, 4, 3}, {8, 6, 8, 12}};
  static const char *const modes[] = {"half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"};
  (void)state;
  workbench bench;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int round = 0; round < 90; round++) {
      const int64_t *size = sizes[round % 5], channels = random_int(&bench.seed, 1, 40),
                    samples = random_int(&bench.seed, 1, 2);
      driver_call plain =
          CALL("Resize", 13, bench_random(&bench, NORMA_FLOAT, SHAPE(samples, channels, size[0], size[1]), -1, 1), NULL,
               NULL, bench_list(&bench, samples, channels, size[2], size[3]));
      plain.attributes[0] = (attribute)DRIVER_TEXT("mode", interpolations[round % 3]);
      plain.attributes[1] = (attribute)DRIVER_TEXT("coordinate_transformation_mode", modes[round % 4]);
      driver_call call = plain;
      call.domain = OPERATOR_INNER_DOMAIN;
      call.opset = 1;
      call.inputs[0] = blocked_of(&bench, plain.inputs[0]);
      call.attributes[2] = (attribute)DRIVER_INT("block", bench_block(&bench));
      call.attributes[3] = (attribute)DRIVER_INT("channels", channels);
      call.attributes[4] = (attribute)DRIVER_INT("version", 13);
      check_blocked(&bench, &call, &plain, 1e-6);
      if (round % 3 == 0) check_blocked(&bench, &call, &plain, 0);
      plain = CALL("Upsample", 9, plain.inputs[0], bench_tensor(&bench, NORMA_FLOAT, SHAPE(4), NUMBERS(1, 1, 2, 3)));
      plain.attributes[0] = (attribute)DRIVER_STRING("mode", "nearest");
      call = plain;
      call.domain = OPERATOR_INNER_DOMAIN;
      call.opset = 1;
      call.inputs[0] = blocked_of(&bench, plain.inputs[0]);
      call.attributes[1] = (attribute)DRIVER_INT("block", bench_block(&bench));
      call.attributes[2] = (attribute)DRIVER_INT("channels", channels);
      call.attributes[3] = (attribute)DRIVER_INT("version", 9);
      check_blocked(&bench, &call, &plain, 0);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

static void strings_have_neighbours_too(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_strings(&driver, 1, (int64_t[]){2}, (const char *[]){"a", "bc"});
  value s = driver_ints(&driver, 1, (int64_t[]){1}, (int64_t[]){4});
  driver_call call = {
      .op_type = "Resize", .opset = 19, .inputs = {&x, NULL, NULL, &s}, .input_count = 4, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  const norma_string *y = driver.outputs[0].tensor.data;
  assert_true(y[0].size == 1 && y[1].size == 1 && y[2].size == 2 && y[3].size == 2);
  value_clear(&x);
  value_clear(&s);
  driver_finish(&driver);
}

static void refused(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 2, (int64_t[]){2, 2}, NULL),
        empty = driver_floats(&driver, 2, (int64_t[]){0, 2}, NULL);
  static const float wrong[][2] = {{0, 1}, {-1, 1}, {NAN, 1}, {INFINITY, 1}, {1e30f, 1e30f}};
  for (size_t i = 0; i < COUNT(wrong); i++) {
    value s = driver_floats(&driver, 1, (int64_t[]){2}, wrong[i]);
    driver_call call = {
        .op_type = "Resize", .opset = 13, .inputs = {&x, NULL, &s}, .input_count = 3, .output_count = 1};
    assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
    value_clear(&s);
  }
  value three = driver_floats(&driver, 1, (int64_t[]){3}, (float[]){1, 1, 1});
  value large = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){2, 2}),
        negative = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){-2, 2});
  driver_call call = {
      .op_type = "Resize", .opset = 13, .inputs = {&x, NULL, &three}, .input_count = 3, .output_count = 1};
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  call = (driver_call){
      .op_type = "Resize", .opset = 13, .inputs = {&empty, NULL, NULL, &large}, .input_count = 4, .output_count = 1};
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  call.inputs[0] = &x;
  call.inputs[3] = &negative;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  value two = driver_floats(&driver, 1, (int64_t[]){2}, (float[]){1, 1}),
        none = driver_floats(&driver, 1, (int64_t[]){0}, NULL);
  for (uint32_t constants = 0; constants < 16; constants += 12) { /* known at load, and not before the run */
    call.constants = constants;
    call.inputs[2] = &two;
    call.inputs[3] = &large;
    assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
    assert_non_null(strstr(driver.error.message, "both scales and sizes"));
    call.inputs[2] = &none;
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  }
  value_clear(&two);
  value_clear(&none);
  value_clear(&x);
  value_clear(&empty);
  value_clear(&three);
  value_clear(&large);
  value_clear(&negative);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_mode_up_and_down),
      cmocka_unit_test(sizes_from_scales),
      cmocka_unit_test(decimal_scales_pick_whole_pixels),
      cmocka_unit_test(aspect_ratio_and_axes),
      cmocka_unit_test(upsample_of_old),
      cmocka_unit_test(blocks_are_the_same),
      cmocka_unit_test(strings_have_neighbours_too),
      cmocka_unit_test(refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
