/* Conv against the sum of its definition in double precision, over random shapes and every kernel table. */
#include "tests/support/operator_driver.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define AXES 4

typedef struct conv_case {
  norma_element_type type;
  int axes;
  int64_t samples, group, channels, outputs; /* of one group */
  int64_t input[AXES], output[AXES], kernel[AXES], stride[AXES], dilation[AXES], pads[2 * AXES];
  bool bias, constant, residual;
  struct activation activation;
} conv_case;

static int64_t product(const int64_t *sizes, int count) {
  int64_t result = 1;
  for (int i = 0; i < count; i++) result *= sizes[i];
  return result;
}

/* Row-major index to a position. */
static void position_of(int64_t index, const int64_t *sizes, int axes, int64_t *position) {
  for (int d = axes - 1; d >= 0; d--) {
    position[d] = index % sizes[d];
    index /= sizes[d];
  }
}

static double activate(const struct activation *activation, double x) {
  switch (activation->kind) {
  case UNARY_RELU:
    return x > 0 ? x : 0;
  case UNARY_CLIP:
    return fmin(fmax(x, (double)activation->a), (double)activation->b);
  case UNARY_LEAKY_RELU:
    return x < 0 ? (double)activation->a * x : x;
  case UNARY_SIGMOID:
    return 1 / (1 + exp(-x));
  default:
    return x;
  }
}

/* Output element (n, m, p) and the sum of magnitudes that bounds its error. */
static double reference(const conv_case *c, const double *x, const double *w, const double *b, const double *residual,
                        int64_t index, double *magnitude) {
  int64_t pixels = product(c->output, c->axes), inputs = product(c->input, c->axes), taps = product(c->kernel, c->axes);
  int64_t m = index / pixels % (c->group * c->outputs), n = index / pixels / (c->group * c->outputs);
  int64_t p[AXES], k[AXES];
  position_of(index % pixels, c->output, c->axes, p);
  double sum = b ? b[m] : 0;
  *magnitude = fabs(sum);
  for (int64_t i = 0; i < c->channels * taps; i++) {
    int64_t offset = 0, channel = m / c->outputs * c->channels + i / taps;
    bool inside = true;
    position_of(i % taps, c->kernel, c->axes, k);
    for (int d = 0; d < c->axes; d++) {
      int64_t at = p[d] * c->stride[d] + k[d] * c->dilation[d] - c->pads[d];
      inside = inside && at >= 0 && at < c->input[d];
      offset = offset * c->input[d] + at;
    }
    if (!inside) continue;
    double term = w[m * c->channels * taps + i] * x[(n * c->group * c->channels + channel) * inputs + offset];
    sum += term;
    *magnitude += fabs(term);
  }
  if (residual) sum += residual[index];
  if (residual) *magnitude += fabs(residual[index]);
  return activate(&c->activation, sum);
}

static void describe(const conv_case *c, const char *kernels, char *text, size_t size) {
  int used = snprintf(text, size, "%s %s n%d g%d c%d m%d", kernels, norma_element_type_name(c->type), (int)c->samples,
                      (int)c->group, (int)c->channels, (int)c->outputs);
  for (int d = 0; d < c->axes; d++)
    used += snprintf(text + used, size - (size_t)used, " [in %d out %d k%d s%d d%d p%d,%d]", (int)c->input[d],
                     (int)c->output[d], (int)c->kernel[d], (int)c->stride[d], (int)c->dilation[d], (int)c->pads[d],
                     (int)c->pads[c->axes + d]);
  snprintf(text + used, size - (size_t)used, "%s%s%s activation %d", c->bias ? " bias" : "",
           c->constant ? " constant" : "", c->residual ? " residual" : "", (int)c->activation.kind);
}

static void tensors_of(uint64_t *seed, const conv_case *c, value *x, value *w, value *b, value *residual) {
  int64_t dims[2 + AXES] = {c->samples, c->group * c->channels};
  memcpy(dims + 2, c->input, sizeof c->input);
  *x = random_tensor(seed, c->type, 2 + c->axes, dims);
  dims[0] = c->group * c->outputs;
  dims[1] = c->channels;
  memcpy(dims + 2, c->kernel, sizeof c->kernel);
  *w = random_tensor(seed, c->type, 2 + c->axes, dims);
  *b = random_tensor(seed, c->type, 1, dims);
  dims[0] = c->samples;
  dims[1] = c->group * c->outputs;
  memcpy(dims + 2, c->output, sizeof c->output);
  *residual = random_tensor(seed, c->type, 2 + c->axes, dims);
}

static driver_call call_of(const conv_case *c, const value *x, const value *w, const value *b, const value *residual) {
  driver_call call = {
      .op_type = "Conv",
      .opset = 22,
      .attributes = {DRIVER_INTS("strides", (size_t)c->axes, c->stride),
                     DRIVER_INTS("dilations", (size_t)c->axes, c->dilation),
                     DRIVER_INTS("pads", (size_t)(2 * c->axes), c->pads), DRIVER_INT("group", c->group)},
      .inputs = {x, w, c->bias ? b : NULL, c->residual ? residual : NULL},
      .input_count = c->residual ? 4
                     : c->bias   ? 3
                                 : 2,
      .constants = c->constant ? INPUT(1) : 0,
      .output_count = 1,
      .activation = c->activation,
      .residual_input = c->residual ? 3 : 0,
  };
  return call;
}

static void check_case(const conv_case *c, const struct kernel_table *kernels, uint64_t *seed) {
  value x, w, b, residual;
  char text[400];
  driver driver;
  driver_init(&driver);
  tensors_of(seed, c, &x, &w, &b, &residual);
  driver_call call = call_of(c, &x, &w, &b, &residual);
  call.kernels = kernels;
  describe(c, kernels->name, text, sizeof text);
  if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s: %s", text, driver.error.message);
  double *numbers[] = {tensor_doubles(&x), tensor_doubles(&w), tensor_doubles(&b), tensor_doubles(&residual)};
  const norma_tensor *y = &driver.outputs[0].tensor;
  if (memcmp(y->dims + 2, c->output, (size_t)c->axes * sizeof *y->dims) != 0) fail_msg("%s: wrong shape", text);
  double terms = (double)(c->channels * product(c->kernel, c->axes)) + 4;
  norma_element_type inner = c->type == NORMA_DOUBLE ? NORMA_DOUBLE : NORMA_FLOAT;
  for (int64_t i = 0; i < norma_tensor_count(y); i++) {
    double magnitude, wanted = reference(c, numbers[0], numbers[1], c->bias ? numbers[2] : NULL,
                                         c->residual ? numbers[3] : NULL, i, &magnitude);
    double got = driver_element(&driver.outputs[0], i);
    double allowed = rounding_error(inner) * sqrt(terms) * 2 * magnitude + 2 * rounding_error(c->type) * fabs(wanted);
    if (!(fabs(got - wanted) <= allowed + 1e-40))
      fail_msg("%s: element %d: expected %.9g, got %.9g, allowed error %.3g", text, (int)i, wanted, got, allowed);
  }
  for (int i = 0; i < 4; i++) free(numbers[i]);
  random_tensor_free(&x);
  random_tensor_free(&w);
  random_tensor_free(&b);
  random_tensor_free(&residual);
  driver_finish(&driver);
}

/* Draws one axis whose output is not empty. */
static void random_axis(uint64_t *seed, conv_case *c, int d, int64_t largest) {
  do {
    c->input[d] = random_int(seed, 1, largest);
    c->kernel[d] = random_of(seed, 1, 1, 2, 3, 3, 3, 4, 5, 7);
    c->stride[d] = random_of(seed, 1, 1, 1, 2, 2, 3, 5);
    c->dilation[d] = random_of(seed, 1, 1, 1, 2, 3);
    c->pads[d] = random_of(seed, 0, 0, 1, 1, 2, 3, 9);
    c->pads[c->axes + d] = random_of(seed, 0, 0, 1, 1, 2, 3, 11);
    c->output[d] = c->input[d] + c->pads[d] + c->pads[c->axes + d] - (c->kernel[d] - 1) * c->dilation[d] - 1;
  } while (c->output[d] < 0);
  c->output[d] = c->output[d] / c->stride[d] + 1;
}

static conv_case random_case(uint64_t *seed, norma_element_type type) {
  static const enum unary_kind kinds[] = {UNARY_IDENTITY, UNARY_IDENTITY,   UNARY_RELU,
                                          UNARY_CLIP,     UNARY_LEAKY_RELU, UNARY_SIGMOID};
  conv_case c = {.type = type, .axes = (int)random_of(seed, 1, 2, 2, 2, 2, 3, 4)};
  c.samples = random_of(seed, 1, 1, 1, 2, 3);
  c.group = random_of(seed, 1, 1, 1, 2, 3, 7);
  c.channels = random_of(seed, 1, 1, 2, 3, 5, 8, 17);
  c.outputs = random_of(seed, 1, 1, 2, 3, 5, 6, 16, 19);
  int64_t largest[] = {60, 20, 8, 5};
  do {
    for (int d = 0; d < c.axes; d++) random_axis(seed, &c, d, largest[c.axes - 1]);
  } while (c.samples * c.group * c.outputs * product(c.output, c.axes) * c.channels * product(c.kernel, c.axes) >
           1000000);
  c.bias = random_int(seed, 0, 1);
  c.constant = random_int(seed, 0, 1);
  if (type == NORMA_FLOAT) {
    c.residual = random_int(seed, 0, 3) == 0;
    c.activation.kind = kinds[random_int(seed, 0, 5)];
    c.activation.a = c.activation.kind == UNARY_CLIP ? -0.5f : 0.25f;
    c.activation.b = 0.5f;
  }
  return c;
}

static void check_random(norma_element_type type, int cases) {
  const struct kernel_table *kernels;
  for (int t = 0; (kernels = driver_kernels(t)); t++) {
    uint64_t seed = 12345 + (uint64_t)type;
    for (int i = 0; i < cases; i++) {
      conv_case c = random_case(&seed, type);
      check_case(&c, kernels, &seed);
    }
  }
}

static void float_matches_the_definition(void **state) {
  (void)state;
  check_random(NORMA_FLOAT, 400);
}

static void double_matches_the_definition(void **state) {
  (void)state;
  check_random(NORMA_DOUBLE, 100);
}

static void half_precision_matches_the_definition(void **state) {
  (void)state;
  check_random(NORMA_FLOAT16, 100);
  check_random(NORMA_BFLOAT16, 100);
}

/* Shapes whose reduction is longer than a block of depth, and those of real networks in small. */
static void long_sums_match_the_definition(void **state) {
  static const conv_case cases[] = {
      {NORMA_FLOAT,
       2,
       1,
       1,
       300,
       20,
       {5, 5},
       {5, 5},
       {1, 1},
       {1, 1},
       {1, 1},
       {0},
       true,
       true,
       true,
       {UNARY_RELU, 0, 0}},
      {NORMA_FLOAT, 2, 2, 1, 70, 33, {7, 7}, {7, 7}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, true, true, true, {0, 0, 0}},
      {NORMA_FLOAT,
       2,
       1,
       1,
       3,
       64,
       {33, 33},
       {17, 17},
       {7, 7},
       {2, 2},
       {1, 1},
       {3, 3, 3, 3},
       true,
       true,
       false,
       {UNARY_RELU, 0, 0}},
      {NORMA_FLOAT, 2, 1, 1, 512, 16, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}, true, false, false, {0, 0, 0}},
      {NORMA_FLOAT,
       2,
       3,
       32,
       1,
       1,
       {14, 14},
       {7, 7},
       {3, 3},
       {2, 2},
       {1, 1},
       {1, 1, 1, 1},
       true,
       true,
       true,
       {UNARY_CLIP, 0, 6}},
      {NORMA_DOUBLE,
       2,
       1,
       1,
       100,
       9,
       {4, 4},
       {4, 4},
       {3, 3},
       {1, 1},
       {1, 1},
       {1, 1, 1, 1},
       true,
       true,
       false,
       {0, 0, 0}},
  };
  const struct kernel_table *kernels;
  (void)state;
  for (int t = 0; (kernels = driver_kernels(t)); t++) {
    uint64_t seed = 99;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check_case(&cases[i], kernels, &seed);
  }
}

/* One result to the bit: for any number of workers, for constant weights or not, for a sample alone or in a batch. */
static void results_depend_on_nothing_else(void **state) {
  uint64_t seed = 777;
  (void)state;
  for (int i = 0; i < 60; i++) {
    conv_case c = random_case(&seed, i % 3 ? NORMA_FLOAT : i % 2 ? NORMA_DOUBLE : NORMA_FLOAT16);
    if (i % 4 == 0) c.channels *= 40; /* large enough to be shared */
    c.samples = 3;
    c.residual = false;
    value x, w, b, residual;
    driver one, many;
    driver_init(&one);
    driver_init(&many);
    tensors_of(&seed, &c, &x, &w, &b, &residual);
    driver_call call = call_of(&c, &x, &w, &b, &residual);
    assert_int_equal(driver_run(&one, &call), NORMA_OK);
    call.workers = 3;
    call.constants ^= INPUT(1);
    assert_int_equal(driver_run(&many, &call), NORMA_OK);
    if (!same_tensor(&one.outputs[0].tensor, &many.outputs[0].tensor))
      fail_msg("case %d: workers change the result", i);

    size_t sample_bytes = x.tensor.size_bytes / 3, result_bytes = one.outputs[0].tensor.size_bytes / 3;
    value alone = x;
    alone.tensor.dims[0] = 1;
    alone.tensor.size_bytes = sample_bytes;
    alone.tensor.data = (char *)x.tensor.data + 2 * sample_bytes;
    call.inputs[0] = &alone;
    assert_int_equal(driver_run(&many, &call), NORMA_OK);
    if (memcmp((char *)one.outputs[0].tensor.data + 2 * result_bytes, many.outputs[0].tensor.data, result_bytes) != 0)
      fail_msg("case %d: the batch changes the result", i);
    random_tensor_free(&x);
    random_tensor_free(&w);
    random_tensor_free(&b);
    random_tensor_free(&residual);
    driver_finish(&one);
    driver_finish(&many);
  }
}

/* A float Conv of x [1, 2, 5, 6] and w [2, 2, 3, 3] with one attribute of a kind, or none. */
static norma_status run_with(driver *driver, int64_t opset, const attribute *extra) {
  static const int64_t x_dims[] = {1, 2, 5, 6}, w_dims[] = {2, 2, 3, 3};
  value x = driver_floats(driver, 4, x_dims, NULL), w = driver_floats(driver, 4, w_dims, NULL);
  driver_call call = {.op_type = "Conv", .opset = opset, .inputs = {&x, &w}, .input_count = 2, .output_count = 1};
  if (extra) call.attributes[0] = *extra;
  norma_status status = driver_run(driver, &call);
  value_clear(&x);
  value_clear(&w);
  return status;
}

static void auto_pad_gives_the_sizes_of_the_specification(void **state) {
  static const struct {
    const char *auto_pad;
    int64_t stride, height, width;
  } cases[] = {{"NOTSET", 1, 3, 4},     {"VALID", 1, 3, 4},      {"SAME_UPPER", 1, 5, 6},
               {"SAME_LOWER", 1, 5, 6}, {"SAME_UPPER", 2, 3, 3}, {"VALID", 2, 2, 2}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    driver driver;
    driver_init(&driver);
    int64_t x_dims[] = {1, 1, 5, 6}, w_dims[] = {1, 1, 3, 3}, strides[] = {cases[i].stride, cases[i].stride};
    value x = driver_floats(&driver, 4, x_dims, NULL), w = driver_floats(&driver, 4, w_dims, NULL);
    attribute auto_pad = {
        .name = "auto_pad", .kind = ATTRIBUTE_STRING, .s = {cases[i].auto_pad, strlen(cases[i].auto_pad)}};
    driver_call call = {.op_type = "Conv",
                        .opset = 11,
                        .attributes = {auto_pad, DRIVER_INTS("strides", 2, strides)},
                        .inputs = {&x, &w},
                        .input_count = 2,
                        .output_count = 1};
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    assert_int_equal(driver.outputs[0].tensor.dims[2], cases[i].height);
    assert_int_equal(driver.outputs[0].tensor.dims[3], cases[i].width);
    value_clear(&x);
    value_clear(&w);
    driver_finish(&driver);
  }
}

/* With an even total, upper and lower agree; with an odd one, the row of zeros stands on the other side. */
static void odd_padding_goes_to_the_side_that_is_named(void **state) {
  static const int64_t x_dims[] = {1, 1, 3}, w_dims[] = {1, 1, 2};
  static const float x_data[] = {1, 2, 3}, w_data[] = {10, 1};
  static const double upper[] = {12, 23, 30}, lower[] = {1, 12, 23};
  driver driver;
  (void)state;
  driver_init(&driver);
  value x = driver_floats(&driver, 3, x_dims, x_data), w = driver_floats(&driver, 3, w_dims, w_data);
  driver_call call = {.op_type = "Conv", .opset = 1, .inputs = {&x, &w}, .input_count = 2, .output_count = 1};
  call.attributes[0] = (attribute)DRIVER_STRING("auto_pad", "SAME_UPPER");
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 3, x_dims, upper);
  call.attributes[0] = (attribute)DRIVER_STRING("auto_pad", "SAME_LOWER");
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 3, x_dims, lower);
  value_clear(&x);
  value_clear(&w);
  driver_finish(&driver);
}

static void impossible_attributes_are_refused(void **state) {
  static const int64_t zeros[] = {0, 0, 0, 0}, negative[] = {-1, -1, -1, -1}, ones[] = {1, 1, 1, 1, 1, 1, 1, 1};
  static const int64_t huge[] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX}, fours[] = {4, 4};
  const attribute wrong[] = {
      DRIVER_INT("group", 0),
      DRIVER_INT("group", -1),
      DRIVER_INT("group", 3),
      DRIVER_INT("group", INT64_MAX),
      DRIVER_INTS("strides", 2, zeros),
      DRIVER_INTS("strides", 2, negative),
      DRIVER_INTS("strides", 3, ones),
      DRIVER_INTS("dilations", 2, zeros),
      DRIVER_INTS("dilations", 2, huge),
      DRIVER_INTS("pads", 4, negative),
      DRIVER_INTS("pads", 4, huge),
      DRIVER_INTS("pads", 3, ones),
      DRIVER_INTS("kernel_shape", 2, zeros),
      DRIVER_INTS("kernel_shape", 2, fours),
      DRIVER_INTS("kernel_shape", 2, huge),
      DRIVER_STRING("auto_pad", "MIDDLE"),
      DRIVER_INTS("dilations", 2, fours), /* the kernel spans more than the input */
  };
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    driver driver;
    driver_init(&driver);
    norma_status status = run_with(&driver, 11, &wrong[i]);
    if (status != NORMA_ERROR_INVALID_MODEL && status != NORMA_ERROR_INPUT)
      fail_msg("attribute %d (%s): status %s", (int)i, wrong[i].name, norma_status_text(status));
    driver_finish(&driver);
  }
}

static void shapes_that_do_not_fit_are_refused(void **state) {
  static const struct {
    int x_rank, w_rank, b_rank;
    int64_t x[4], w[4], b[2];
  } cases[] = {
      {4, 4, 1, {1, 3, 5, 5}, {2, 2, 3, 3}, {2}},    /* channels */
      {4, 3, 1, {1, 2, 5, 5}, {2, 2, 3}, {2}},       /* ranks */
      {2, 2, 1, {1, 2}, {2, 2}, {2}},                /* no spatial axis */
      {4, 4, 1, {1, 2, 5, 5}, {2, 2, 3, 3}, {3}},    /* bias too long */
      {4, 4, 2, {1, 2, 5, 5}, {2, 2, 3, 3}, {2, 1}}, /* bias no vector */
      {4, 4, 1, {1, 2, 5, 5}, {2, 2, 0, 3}, {2}},    /* empty kernel */
      {4, 4, 1, {1, 0, 5, 5}, {2, 1, 3, 3}, {2}},    /* no channels, but weights for one */
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    driver driver;
    driver_init(&driver);
    value x = driver_floats(&driver, cases[i].x_rank, cases[i].x, NULL);
    value w = driver_floats(&driver, cases[i].w_rank, cases[i].w, NULL);
    value b = driver_floats(&driver, cases[i].b_rank, cases[i].b, NULL);
    driver_call call = {.op_type = "Conv", .opset = 11, .inputs = {&x, &w, &b}, .input_count = 3, .output_count = 1};
    norma_status status = driver_run(&driver, &call);
    if (status != NORMA_ERROR_INPUT && status != NORMA_ERROR_INVALID_MODEL) fail_msg("case %d was accepted", (int)i);
    value_clear(&x);
    value_clear(&w);
    value_clear(&b);
    driver_finish(&driver);
  }
}

static void an_empty_batch_has_an_empty_result(void **state) {
  static const int64_t x_dims[] = {0, 2, 5, 5}, w_dims[] = {3, 2, 3, 3}, y_dims[] = {0, 3, 3, 3};
  driver driver;
  (void)state;
  driver_init(&driver);
  value x = driver_floats(&driver, 4, x_dims, NULL), w = driver_floats(&driver, 4, w_dims, NULL);
  driver_call call = {.op_type = "Conv", .opset = 22, .inputs = {&x, &w}, .input_count = 2, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 4, y_dims, NULL);
  value_clear(&x);
  value_clear(&w);
  driver_finish(&driver);
}

/* Without outputs there is nothing, without input channels there is the bias, or 0. */
static void without_channels(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  static const int64_t x_dims[] = {2, 3, 5, 5}, no_outputs[] = {0, 3, 3, 3}, no_elements[] = {2, 0, 3, 3}, none[] = {0};
  static const int64_t x_empty[] = {2, 0, 5, 5}, w_empty[] = {4, 0, 3, 3}, b_dims[] = {4}, y_dims[] = {2, 4, 3, 3};
  (void)state;
  for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
    for (uint32_t constants = 0; constants < 8; constants += 6) {
      driver driver;
      driver_init(&driver);
      value x = driver_tensor(&driver, types[t], 4, x_dims, NULL),
            w = driver_tensor(&driver, types[t], 4, no_outputs, NULL);
      value b = driver_tensor(&driver, types[t], 1, none, NULL);
      driver_call call = {.op_type = "Conv",
                          .opset = 22,
                          .inputs = {&x, &w, &b},
                          .input_count = 3,
                          .output_count = 1,
                          .constants = constants};
      assert_int_equal(driver_run(&driver, &call), NORMA_OK);
      driver_assert_tensor(&driver.outputs[0], types[t], 4, no_elements, NULL);
      value x0 = driver_tensor(&driver, types[t], 4, x_empty, NULL),
            w0 = driver_tensor(&driver, types[t], 4, w_empty, NULL);
      value bias = driver_tensor(&driver, types[t], 1, b_dims, (double[]){1, -2, 3, 0.5});
      double expected[2 * 4 * 9];
      for (int i = 0; i < 2 * 4 * 9; i++) expected[i] = (double[]){1, -2, 3, 0.5}[i / 9 % 4];
      for (int64_t group = 1; group <= 4; group += 3) {
        call.attributes[0] = (attribute)DRIVER_INT("group", group);
        call.inputs[0] = &x0, call.inputs[1] = &w0, call.inputs[2] = &bias;
        assert_int_equal(driver_run(&driver, &call), NORMA_OK);
        driver_assert_tensor(&driver.outputs[0], types[t], 4, y_dims, expected);
      }
      value_clear(&x), value_clear(&w), value_clear(&b), value_clear(&x0), value_clear(&w0), value_clear(&bias);
      driver_finish(&driver);
    }
  }
}

static void bfloat16_needs_opset_22(void **state) {
  static const int64_t dims[] = {1, 1, 3, 3};
  driver driver;
  (void)state;
  driver_init(&driver);
  value x = driver_tensor(&driver, NORMA_BFLOAT16, 4, dims, NULL);
  driver_call call = {.op_type = "Conv", .opset = 21, .inputs = {&x, &x}, .input_count = 2, .output_count = 1};
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  call.opset = 22;
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  value_clear(&x);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(float_matches_the_definition),
      cmocka_unit_test(double_matches_the_definition),
      cmocka_unit_test(half_precision_matches_the_definition),
      cmocka_unit_test(long_sums_match_the_definition),
      cmocka_unit_test(results_depend_on_nothing_else),
      cmocka_unit_test(auto_pad_gives_the_sizes_of_the_specification),
      cmocka_unit_test(odd_padding_goes_to_the_side_that_is_named),
      cmocka_unit_test(impossible_attributes_are_refused),
      cmocka_unit_test(shapes_that_do_not_fit_are_refused),
      cmocka_unit_test(an_empty_batch_has_an_empty_result),
      cmocka_unit_test(without_channels),
      cmocka_unit_test(bfloat16_needs_opset_22),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
