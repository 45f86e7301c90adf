/* ConvInteger and QLinearConv, held against sums over all taps; channels last of com.microsoft. */
#include "tests/ops/quantized/quantized_reference.h"

/* Two axes; sizes of X, of W and of the steps between. */
typedef struct conv_case {
  int64_t samples, channels, height, width, outputs, group, kernel[2], stride[2], dilation[2], pads[4];
} conv_case;

static const conv_case conv_cases[] = {
    {1, 3, 5, 6, 4, 1, {3, 2}, {1, 1}, {1, 1}, {1, 0, 1, 1}},
    {2, 4, 7, 5, 6, 2, {3, 3}, {2, 1}, {1, 2}, {0, 2, 1, 2}},
    {1, 20, 6, 6, 33, 1, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}},
    {2, 6, 9, 9, 6, 6, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {1, 5, 8, 8, 10, 5, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}},
    {1, 2, 30, 31, 3, 1, {5, 5}, {1, 1}, {1, 1}, {2, 2, 2, 2}},
    {1, 3, 4, 4, 2, 1, {1, 1}, {2, 2}, {1, 1}, {0, 0, 0, 0}},
    {0, 3, 4, 4, 2, 1, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}},
};

static int64_t outputs_along(const conv_case *c, int axis) {
  const int64_t input = axis ? c->width : c->height;
  return (input + c->pads[axis] + c->pads[axis + 2] - (c->kernel[axis] - 1) * c->dilation[axis] - 1) / c->stride[axis] +
         1;
}

/* The sum for output channel m at (p, q) of a sample; x is channels first. */
static double sum_at(const conv_case *c, const value *x, double x_zero, const value *w, double w_zero, int64_t sample,
                     int64_t m, int64_t p, int64_t q) {
  const int64_t of_group = c->channels / c->group, first = m / (c->outputs / c->group) * of_group;
  double sum = 0;
  for (int64_t i = 0; i < of_group * c->kernel[0] * c->kernel[1]; i++) {
    const int64_t channel = i / (c->kernel[0] * c->kernel[1]), r = i / c->kernel[1] % c->kernel[0],
                  s = i % c->kernel[1];
    const int64_t y = p * c->stride[0] + r * c->dilation[0] - c->pads[0],
                  z = q * c->stride[1] + s * c->dilation[1] - c->pads[1];
    if (y < 0 || y >= c->height || z < 0 || z >= c->width) continue;
    const int64_t at = ((sample * c->channels + first + channel) * c->height + y) * c->width + z;
    sum +=
        (driver_element(x, at) - x_zero) * (driver_element(w, m * of_group * c->kernel[0] * c->kernel[1] + i) - w_zero);
  }
  return sum;
}

static void set_attributes(driver_call *call, const conv_case *c) {
  call->attributes[0] = (attribute)DRIVER_INTS("strides", 2, c->stride);
  call->attributes[1] = (attribute)DRIVER_INTS("dilations", 2, c->dilation);
  call->attributes[2] = (attribute)DRIVER_INTS("pads", 4, c->pads);
  call->attributes[3] = (attribute)DRIVER_INT("group", c->group);
}

/* [N, C, H, W] to [N, H, W, C]. */
static const value *channels_last(workbench *bench, const value *x) {
  const int64_t *dims = x->tensor.dims, pixels = dims[2] * dims[3];
  value *last = bench_make(bench, x->tensor.type, SHAPE(dims[0], dims[2], dims[3], dims[1]));
  for (int64_t i = 0; i < norma_tensor_count(&x->tensor); i++) {
    const int64_t pixel = i % pixels, channel = i / pixels % dims[1], sample = i / pixels / dims[1];
    element_set_double(x->tensor.type, last->tensor.data, (sample * pixels + pixel) * dims[1] + channel,
                       driver_element(x, i));
  }
  return last;
}

typedef struct conv_tensors {
  const value *x, *x_zero, *w, *w_scale, *w_zero, *y_zero, *bias;
} conv_tensors;

static conv_tensors tensors_of(workbench *bench, const conv_case *c, int code) {
  const norma_element_type x_type = code & 1 ? NORMA_INT8 : NORMA_UINT8, w_type = code & 2 ? NORMA_INT8 : NORMA_UINT8;
  const shape form = code & 4 ? SHAPE(c->outputs) : SCALAR;
  return (conv_tensors){
      .x = any_numbers(bench, x_type, SHAPE(c->samples, c->channels, c->height, c->width)),
      .x_zero = any_numbers(bench, x_type, SCALAR),
      .w = any_numbers(bench, w_type, SHAPE(c->outputs, c->channels / c->group, c->kernel[0], c->kernel[1])),
      .w_scale = scales_of(bench, NORMA_FLOAT, form),
      .w_zero = any_numbers(bench, w_type, form),
      .y_zero = any_numbers(bench, code & 8 ? NORMA_INT8 : NORMA_UINT8, SCALAR),
      .bias = code & 16 ? bench_random(bench, NORMA_INT32, SHAPE(c->outputs), -9999, 9999) : NULL};
}

/* All results of QLinearConv (y_scale 64), or with `sums` of ConvInteger; channels first. */
static const value *expected_of(workbench *bench, const conv_case *c, const conv_tensors *t, bool sums) {
  const int64_t rows = outputs_along(c, 0), columns = outputs_along(c, 1);
  const norma_element_type type = sums ? NORMA_INT32 : t->y_zero->tensor.type;
  value *y = bench_make(bench, type, SHAPE(c->samples, c->outputs, rows, columns));
  for (int64_t i = 0; i < norma_tensor_count(&y->tensor); i++) {
    const int64_t m = i / columns / rows % c->outputs, line = norma_tensor_count(&t->w_zero->tensor) > 1 ? m : 0;
    double number = sum_at(c, t->x, driver_element(t->x_zero, 0), t->w, driver_element(t->w_zero, line),
                           i / columns / rows / c->outputs, m, i / columns % rows, i % columns);
    if (!sums) {
      number += t->bias ? driver_element(t->bias, m) : 0;
      number =
          quantized_reference(number * 0.5 * driver_element(t->w_scale, line) / 64, driver_element(t->y_zero, 0), type);
    }
    element_set_double(type, y->tensor.data, i, number);
  }
  return y;
}

static void check_conv_case(workbench *bench, const conv_case *c, int code) {
  const conv_tensors t = tensors_of(bench, c, code);
  driver_call sums = CALL("ConvInteger", 10, t.x, t.w, t.x_zero, t.w_zero);
  set_attributes(&sums, c);
  assert_true(same_value(bench_run(bench, &sums), expected_of(bench, c, &t, true)));
  driver_call call = CALL("QLinearConv", 10, t.x, one_number(bench, NORMA_FLOAT, 0.5), t.x_zero, t.w, t.w_scale,
                          t.w_zero, one_number(bench, NORMA_FLOAT, 64), t.y_zero, t.bias);
  const value *expected = expected_of(bench, c, &t, false);
  set_attributes(&call, c);
  assert_true(same_value(bench_run(bench, &call), expected));
  call.domain = "com.microsoft";
  call.opset = 1;
  call.inputs[0] = channels_last(bench, t.x);
  call.attributes[4] = (attribute)DRIVER_INT("channels_last", 1);
  assert_true(same_value(bench_run(bench, &call), channels_last(bench, expected)));
  bench_clear(bench);
}

static void all_types_and_windows(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (size_t i = 0; i < COUNT(conv_cases); i++) {
      for (int code = 0; code < 32; code += 1 + (int)(i % 3)) check_conv_case(&bench, &conv_cases[i], code);
    }
  }
  bench_finish(&bench);
}

/* A Clip that a pass has fused holds integers of y's type. */
static void stores_keep_to_limits(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_INT8, SHAPE(1, 1, 5), NUMBERS(-100, -5, 0, 5, 100));
  const value *w = bench_tensor(&bench, NORMA_INT8, SHAPE(1, 1, 1), NUMBERS(1));
  const value *one = one_number(&bench, NORMA_FLOAT, 1), *zero = one_number(&bench, NORMA_INT8, 0);
  driver_call call = CALL("QLinearConv", 10, x, one, zero, w, one, zero, one, one_number(&bench, NORMA_INT8, 2));
  call.activation = (struct activation){UNARY_CLIP, -3, 50};
  check_tensor(bench_run(&bench, &call), NORMA_INT8, SHAPE(1, 1, 5), NUMBERS(-3, -3, 2, 7, 50));
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_UINT8, SHAPE(1, 4, 5, 5), NULL);
  const value *w = bench_tensor(&bench, NORMA_INT8, SHAPE(6, 4, 3, 3), NULL);
  driver_call group = CALL("ConvInteger", 10, x, w);
  group.attributes[0] = (attribute)DRIVER_INT("group", 4);
  bench_refuse(&bench, &group, NORMA_ERROR_INPUT, "groups");
  group.attributes[0] = (attribute)DRIVER_INT("group", 0);
  bench_refuse(&bench, &group, NORMA_ERROR_INVALID_MODEL, "group is 0");
  driver_call zero = CALL("ConvInteger", 10, x, w, bench_tensor(&bench, NORMA_UINT8, SHAPE(4), NULL));
  bench_refuse(&bench, &zero, NORMA_ERROR_INPUT, "x_zero_point");
  driver_call zeros = CALL("ConvInteger", 10, x, w, NULL, bench_tensor(&bench, NORMA_INT8, SHAPE(4), NULL));
  bench_refuse(&bench, &zeros, NORMA_ERROR_INPUT, "w_zero_point");
  driver_call large = CALL("ConvInteger", 10, x, bench_tensor(&bench, NORMA_INT8, SHAPE(6, 4, 7, 7), NULL));
  bench_refuse(&bench, &large, NORMA_ERROR_INPUT, "spans 7");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_types_and_windows),
      cmocka_unit_test(stores_keep_to_limits),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
