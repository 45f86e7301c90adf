/* ConvTranspose against the sum of its definition in double precision. */
#include "tests/support/operator_driver.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define AXES 4

typedef struct transpose_case {
  norma_element_type type;
  int axes;
  int64_t samples, group, channels, outputs; /* of one group */
  int64_t input[AXES], output[AXES], kernel[AXES], stride[AXES], dilation[AXES], pads[2 * AXES], extra[AXES];
  bool bias, constant, residual;
  struct activation activation;
} transpose_case;

static int64_t product(const int64_t *sizes, int count) {
  int64_t result = 1;
  for (int i = 0; i < count; i++) result *= sizes[i];
  return result;
}

static void position_of(int64_t index, const int64_t *sizes, int axes, int64_t *position) {
  for (int d = axes - 1; d >= 0; d--) {
    position[d] = index % sizes[d];
    index /= sizes[d];
  }
}

/* Every product of an input and a weight is added where it belongs; sums of magnitudes too. */
static void reference(const transpose_case *c, double *const numbers[4], double *y, double *magnitudes) {
  int64_t inputs = product(c->input, c->axes), outputs = product(c->output, c->axes),
          taps = product(c->kernel, c->axes);
  int64_t channels = c->group * c->channels, planes = c->group * c->outputs, p[AXES], k[AXES];
  for (int64_t i = 0; i < c->samples * planes * outputs; i++) {
    y[i] = c->bias ? numbers[2][i / outputs % planes] : 0;
    magnitudes[i] = fabs(y[i]);
  }
  for (int64_t i = 0; i < c->samples * channels * inputs * taps; i++) {
    int64_t tap = i % taps, input = i / taps, channel = input / inputs % channels, n = input / inputs / channels;
    int64_t at = 0;
    bool inside = true;
    position_of(tap, c->kernel, c->axes, k);
    position_of(input % inputs, c->input, c->axes, p);
    for (int d = 0; d < c->axes; d++) {
      int64_t q = p[d] * c->stride[d] + k[d] * c->dilation[d] - c->pads[d];
      inside = inside && q >= 0 && q < c->output[d];
      at = at * c->output[d] + q;
    }
    for (int64_t o = 0; inside && o < c->outputs; o++) {
      double term = numbers[0][input] * numbers[1][(channel * c->outputs + o) * taps + tap];
      int64_t plane = n * planes + channel / c->channels * c->outputs + o;
      y[plane * outputs + at] += term;
      magnitudes[plane * outputs + at] += fabs(term);
    }
  }
  for (int64_t i = 0; i < c->samples * planes * outputs; i++) {
    if (c->residual) y[i] += numbers[3][i];
    if (c->residual) magnitudes[i] += fabs(numbers[3][i]);
    if (c->activation.kind == UNARY_RELU) y[i] = fmax(y[i], 0);
  }
}

static void tensors_of(uint64_t *seed, const transpose_case *c, value inputs[4]) {
  int64_t dims[2 + AXES] = {c->samples, c->group * c->channels};
  memcpy(dims + 2, c->input, sizeof c->input);
  inputs[0] = random_tensor(seed, c->type, 2 + c->axes, dims);
  dims[0] = c->group * c->channels;
  dims[1] = c->outputs;
  memcpy(dims + 2, c->kernel, sizeof c->kernel);
  inputs[1] = random_tensor(seed, c->type, 2 + c->axes, dims);
  dims[0] = c->group * c->outputs;
  inputs[2] = random_tensor(seed, c->type, 1, dims);
  dims[0] = c->samples;
  dims[1] = c->group * c->outputs;
  memcpy(dims + 2, c->output, sizeof c->output);
  inputs[3] = random_tensor(seed, c->type, 2 + c->axes, dims);
}

static driver_call call_of(const transpose_case *c, const value inputs[4]) {
  size_t axes = (size_t)c->axes;
  driver_call call = {
      .op_type = "ConvTranspose",
      .opset = 22,
      .attributes = {DRIVER_INTS("strides", axes, c->stride), DRIVER_INTS("dilations", axes, c->dilation),
                     DRIVER_INTS("pads", 2 * axes, c->pads), DRIVER_INTS("output_padding", axes, c->extra),
                     DRIVER_INT("group", c->group)},
      .inputs = {&inputs[0], &inputs[1], c->bias ? &inputs[2] : NULL, c->residual ? &inputs[3] : NULL},
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

static void describe(const transpose_case *c, const char *kernels, char *text, size_t size) {
  int used = snprintf(text, size, "%s %s n%d g%d c%d m%d", kernels, norma_element_type_name(c->type), (int)c->samples,
                      (int)c->group, (int)c->channels, (int)c->outputs);
  for (int d = 0; d < c->axes; d++)
    used += snprintf(text + used, size - (size_t)used, " [in %d out %d k%d s%d d%d p%d,%d extra %d]", (int)c->input[d],
                     (int)c->output[d], (int)c->kernel[d], (int)c->stride[d], (int)c->dilation[d], (int)c->pads[d],
                     (int)c->pads[c->axes + d], (int)c->extra[d]);
}

static void check_case(const transpose_case *c, const struct kernel_table *kernels, uint64_t *seed) {
  value inputs[4], first = {0};
  double *numbers[4];
  char text[400];
  driver driver;
  driver_init(&driver);
  tensors_of(seed, c, inputs);
  for (int i = 0; i < 4; i++) numbers[i] = tensor_doubles(&inputs[i]);
  driver_call call = call_of(c, inputs);
  call.kernels = kernels;
  describe(c, kernels->name, text, sizeof text);
  if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s: %s", text, driver.error.message);
  const norma_tensor *y = &driver.outputs[0].tensor;
  if (memcmp(y->dims + 2, c->output, (size_t)c->axes * sizeof *y->dims) != 0) fail_msg("%s: wrong shape", text);
  int64_t count = norma_tensor_count(y);
  double *wanted = malloc((size_t)(count + 1) * sizeof *wanted),
         *magnitudes = malloc((size_t)(count + 1) * sizeof *wanted);
  double terms = (double)(c->channels * product(c->kernel, c->axes)) + 4;
  norma_element_type inner = c->type == NORMA_DOUBLE ? NORMA_DOUBLE : NORMA_FLOAT;
  reference(c, numbers, wanted, magnitudes);
  for (int64_t i = 0; i < count; i++) {
    double got = driver_element(&driver.outputs[0], i);
    double allowed =
        rounding_error(inner) * 2 * sqrt(terms) * magnitudes[i] + 2 * rounding_error(c->type) * fabs(wanted[i]);
    if (!(fabs(got - wanted[i]) <= allowed))
      fail_msg("%s: element %d: expected %.9g, got %.9g, allowed error %.3g", text, (int)i, wanted[i], got, allowed);
  }
  assert_int_equal(value_copy(&driver.memory, &first, &driver.outputs[0], NULL), NORMA_OK);
  call.workers = 3;
  call.constants ^= INPUT(1);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  if (!same_tensor(&first.tensor, &driver.outputs[0].tensor)) fail_msg("%s: workers or packing matter", text);
  value_clear(&first);
  free(wanted);
  free(magnitudes);
  for (int i = 0; i < 4; i++) {
    free(numbers[i]);
    random_tensor_free(&inputs[i]);
  }
  driver_finish(&driver);
}

static void random_axis(uint64_t *seed, transpose_case *c, int d, int64_t largest) {
  do {
    c->input[d] = random_int(seed, 1, largest);
    c->kernel[d] = random_of(seed, 1, 2, 3, 3, 4, 5);
    c->stride[d] = random_of(seed, 1, 1, 2, 2, 3, 5);
    c->dilation[d] = random_of(seed, 1, 1, 1, 2, 3);
    c->pads[d] = random_of(seed, 0, 0, 1, 1, 2, 4);
    c->pads[c->axes + d] = random_of(seed, 0, 0, 1, 1, 2, 5);
    c->extra[d] = random_int(seed, 0, c->stride[d] - 1);
    c->output[d] = c->stride[d] * (c->input[d] - 1) + c->extra[d] + (c->kernel[d] - 1) * c->dilation[d] + 1 -
                   c->pads[d] - c->pads[c->axes + d];
  } while (c->output[d] < 1);
}

static void check_random(norma_element_type type, int cases) {
  static const int64_t largest[] = {150, 14, 6, 4};
  const struct kernel_table *kernels;
  for (int t = 0; (kernels = driver_kernels(t)); t++) {
    uint64_t seed = 7 + (uint64_t)type;
    for (int i = 0; i < cases; i++) {
      transpose_case c = {.type = type, .axes = (int)random_of(&seed, 1, 2, 2, 2, 3, 4)};
      c.samples = random_of(&seed, 1, 1, 2);
      c.group = random_of(&seed, 1, 1, 2, 3);
      c.channels = random_of(&seed, 1, 2, 3, 8, 17);
      c.outputs = random_of(&seed, 1, 2, 5, 9, 20);
      c.bias = random_int(&seed, 0, 1);
      c.constant = random_int(&seed, 0, 1);
      c.residual = type == NORMA_FLOAT && random_int(&seed, 0, 2) == 0;
      if (type == NORMA_FLOAT && random_int(&seed, 0, 1)) c.activation.kind = UNARY_RELU;
      do {
        for (int d = 0; d < c.axes; d++) random_axis(&seed, &c, d, largest[c.axes - 1]);
      } while (c.samples * c.group * c.channels * c.outputs * product(c.input, c.axes) * product(c.kernel, c.axes) >
               1000000);
      check_case(&c, kernels, &seed);
    }
  }
}

static void float_matches_the_definition(void **state) {
  (void)state;
  check_random(NORMA_FLOAT, 200);
}

static void other_types_match_the_definition(void **state) {
  (void)state;
  check_random(NORMA_DOUBLE, 50);
  check_random(NORMA_FLOAT16, 50);
  check_random(NORMA_BFLOAT16, 50);
}

/* One axis, a kernel of four ones, stride 2. */
static void the_output_shape_decides_the_padding(void **state) {
  static const int64_t x_dims[] = {1, 1, 3}, w_dims[] = {1, 1, 4}, strides[] = {2};
  static const float x_data[] = {1, 2, 4}, w_data[] = {1, 1, 1, 1}; /* full: 1 1 3 3 6 6 4 4 */
  static const struct {
    const char *auto_pad;
    int64_t output_shape, size;
    double y[9];
  } cases[] = {
      {"NOTSET", 0, 8, {1, 1, 3, 3, 6, 6, 4, 4}}, {"VALID", 0, 8, {1, 1, 3, 3, 6, 6, 4, 4}},
      {"SAME_UPPER", 0, 6, {1, 3, 3, 6, 6, 4}},   {"SAME_LOWER", 0, 6, {1, 3, 3, 6, 6, 4}},
      {"NOTSET", 5, 5, {3, 3, 6, 6, 4}},          {"SAME_UPPER", 5, 5, {1, 3, 3, 6, 6}},
      {"SAME_LOWER", 5, 5, {3, 3, 6, 6, 4}},      {"NOTSET", 9, 9, {1, 1, 3, 3, 6, 6, 4, 4, 0}},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    driver driver;
    driver_init(&driver);
    int64_t y_dims[] = {1, 1, cases[i].size};
    value x = driver_floats(&driver, 3, x_dims, x_data), w = driver_floats(&driver, 3, w_dims, w_data);
    attribute auto_pad = {
        .name = "auto_pad", .kind = ATTRIBUTE_STRING, .s = {cases[i].auto_pad, strlen(cases[i].auto_pad)}};
    driver_call call = {.op_type = "ConvTranspose",
                        .opset = 11,
                        .attributes = {DRIVER_INTS("strides", 1, strides), auto_pad},
                        .inputs = {&x, &w},
                        .input_count = 2,
                        .output_count = 1};
    if (cases[i].output_shape) call.attributes[2] = (attribute)DRIVER_INTS("output_shape", 1, &cases[i].output_shape);
    if (driver_run(&driver, &call) != NORMA_OK) fail_msg("case %d: %s", (int)i, driver.error.message);
    driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 3, y_dims, cases[i].y);
    value_clear(&x);
    value_clear(&w);
    driver_finish(&driver);
  }
}

static void what_cannot_be_is_refused(void **state) {
  static const int64_t x_dims[] = {1, 2, 3, 3}, w_dims[] = {2, 2, 3, 3}, zeros[] = {0, 0};
  static const int64_t negative[] = {-1, -1, -1, -1}, ones[] = {1, 1, 1}, fours[] = {4, 4, 4, 4};
  static const int64_t huge[] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX},
                       large[] = {INT64_C(1) << 40, INT64_C(1) << 40};
  const attribute wrong[] = {
      DRIVER_INT("group", 0),
      DRIVER_INT("group", 3),
      DRIVER_INT("group", INT64_MAX),
      DRIVER_INTS("strides", 2, zeros),
      DRIVER_INTS("strides", 2, huge),
      DRIVER_INTS("strides", 2, large), /* more pixels than can be counted */
      DRIVER_INTS("dilations", 2, huge),
      DRIVER_INTS("pads", 4, negative),
      DRIVER_INTS("pads", 4, fours), /* nothing is left */
      DRIVER_INTS("pads", 4, huge),
      DRIVER_INTS("output_padding", 2, negative),
      DRIVER_INTS("output_padding", 2, huge),
      DRIVER_INTS("output_padding", 3, ones),
      DRIVER_INTS("output_shape", 2, negative),
      DRIVER_INTS("output_shape", 3, ones),
      DRIVER_INTS("output_shape", 2, huge),
  };
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    driver driver;
    driver_init(&driver);
    value x = driver_floats(&driver, 4, x_dims, NULL), w = driver_floats(&driver, 4, w_dims, NULL);
    driver_call call = {
        .op_type = "ConvTranspose", .opset = 11, .inputs = {&x, &w}, .input_count = 2, .output_count = 1};
    call.attributes[0] = wrong[i];
    norma_status status = driver_run(&driver, &call);
    if (status != NORMA_ERROR_INVALID_MODEL && status != NORMA_ERROR_INPUT)
      fail_msg("attribute %d (%s): status %s", (int)i, wrong[i].name, norma_status_text(status));
    value_clear(&x);
    value_clear(&w);
    driver_finish(&driver);
  }
}

/* Without outputs there is nothing, without input channels or pixels there is the bias. */
static void without_elements(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  static const struct {
    int64_t x[4], w[4], y[4];
  } cases[] = {{{2, 3, 4, 4}, {3, 0, 3, 3}, {2, 0, 6, 6}},
               {{2, 0, 4, 4}, {0, 2, 3, 3}, {2, 2, 6, 6}},
               {{2, 3, 0, 4}, {3, 2, 3, 3}, {2, 2, 2, 6}},
               {{2, 3, 0, 4}, {3, 2, 1, 3}, {2, 2, 0, 6}}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
      for (uint32_t constants = 0; constants < 8; constants += 6) {
        driver driver;
        driver_init(&driver);
        const int64_t outputs = cases[i].y[1], pixels = cases[i].y[2] * cases[i].y[3];
        value x = driver_tensor(&driver, types[t], 4, cases[i].x, NULL);
        value w = driver_tensor(&driver, types[t], 4, cases[i].w, NULL);
        value b = driver_tensor(&driver, types[t], 1, &outputs, (double[]){1.5, -2});
        double expected[2 * 2 * 36];
        for (int64_t k = 0; k < 2 * outputs * pixels; k++) expected[k] = (double[]){1.5, -2}[k / pixels % outputs];
        driver_call call = {.op_type = "ConvTranspose",
                            .opset = 22,
                            .inputs = {&x, &w, &b},
                            .input_count = 3,
                            .output_count = 1,
                            .constants = constants};
        if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
        driver_assert_tensor(&driver.outputs[0], types[t], 4, cases[i].y, expected);
        value_clear(&x);
        value_clear(&w);
        value_clear(&b);
        driver_finish(&driver);
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(float_matches_the_definition),
      cmocka_unit_test(other_types_match_the_definition),
      cmocka_unit_test(the_output_shape_decides_the_padding),
      cmocka_unit_test(without_elements),
      cmocka_unit_test(what_cannot_be_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
