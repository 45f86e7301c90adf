/* QLinearConv (norma) on channel blocks against QLinearConv of ai.onnx, to the bit: blocked and plain inputs, groups,
 * depthwise, all types, fused limits. */
#include "tests/ops/quantized/quantized_reference.h"
#include "tests/support/blocked_tensor.h"

typedef struct blocked_conv_case {
  int64_t samples, group, channels, outputs; /* of all groups */
  int64_t input[2], kernel[2], strides[2], dilations[2], pads[4];
  bool plain_input, bias;
  int code; /* of types and shapes of parameters */
  struct activation activation;
} blocked_conv_case;

static int64_t output_size(const blocked_conv_case *c, int d) {
  const int64_t room = c->input[d] + c->pads[d] + c->pads[2 + d] - (c->kernel[d] - 1) * c->dilations[d] - 1;
  return room < 0 ? -1 : room / c->strides[d] + 1;
}

static value *repeated(workbench *bench, norma_element_type type, shape shape, double number) {
  value *made = bench_make(bench, type, shape);
  for (int64_t i = 0; i < norma_tensor_count(&made->tensor); i++)
    element_set_double(type, made->tensor.data, i, number);
  return made;
}

static void check_case(workbench *bench, const blocked_conv_case *c) {
  const norma_element_type x_type = c->code & 1 ? NORMA_INT8 : NORMA_UINT8,
                           w_type = c->code & 2 ? NORMA_INT8 : NORMA_UINT8;
  const norma_element_type y_type = c->code & 4 ? NORMA_INT8 : NORMA_UINT8;
  const shape form = c->code & 8 ? SHAPE(c->outputs) : SCALAR;
  const value *x = any_numbers(bench, x_type, SHAPE(c->samples, c->channels, c->input[0], c->input[1]));
  driver_call plain =
      CALL("QLinearConv", 10, x, one_number(bench, NORMA_FLOAT, 0.5), any_numbers(bench, x_type, SCALAR),
           any_numbers(bench, w_type, SHAPE(c->outputs, c->channels / c->group, c->kernel[0], c->kernel[1])),
           scales_of(bench, NORMA_FLOAT, form), repeated(bench, w_type, form, w_type == NORMA_UINT8 ? 128 : 0),
           one_number(bench, NORMA_FLOAT, 64), any_numbers(bench, y_type, SCALAR),
           c->bias ? bench_random(bench, NORMA_INT32, SHAPE(c->outputs), -9999, 9999) : NULL);
  plain.input_count = c->bias ? 9 : 8;
  plain.activation = c->activation;
  plain.attributes[0] = (attribute)DRIVER_INTS("strides", 2, c->strides);
  plain.attributes[1] = (attribute)DRIVER_INTS("dilations", 2, c->dilations);
  plain.attributes[2] = (attribute)DRIVER_INTS("pads", 4, c->pads);
  plain.attributes[3] = (attribute)DRIVER_INT("group", c->group);
  driver_call call = plain;
  call.domain = OPERATOR_INNER_DOMAIN;
  call.opset = 1;
  if (!c->plain_input) call.inputs[0] = blocked_of(bench, x);
  call.constants = ~INPUT(0);
  call.attributes[4] = (attribute)DRIVER_INT("block", 16);
  call.attributes[5] = (attribute)DRIVER_INT("channels", c->channels);
  call.attributes[6] = (attribute)DRIVER_INT("plain_input", c->plain_input);
  check_blocked(bench, &call, &plain, 0);
  bench_clear(bench);
}

static void random_axis(uint64_t *seed, blocked_conv_case *c, int d) {
  do {
    c->input[d] = random_int(seed, 1, 17);
    c->kernel[d] = random_of(seed, 1, 1, 2, 3, 3, 3, 5, 7);
    c->strides[d] = random_of(seed, 1, 1, 1, 2, 2, 3);
    c->dilations[d] = random_of(seed, 1, 1, 1, 2, 3);
    c->pads[d] = random_of(seed, 0, 0, 1, 1, 2, 3);
    c->pads[2 + d] = random_of(seed, 0, 0, 1, 1, 2, 5);
  } while (output_size(c, d) < 1);
}

static blocked_conv_case random_case(uint64_t *seed) {
  blocked_conv_case c = {.samples = random_int(seed, 1, 3),
                         .group = 1,
                         .bias = random_int(seed, 0, 1),
                         .code = (int)random_int(seed, 0, 15)};
  for (int d = 0; d < 2; d++) random_axis(seed, &c, d);
  if (random_int(seed, 0, 2) == 0) c.activation = (struct activation){UNARY_CLIP, 20, 90};
  switch (random_int(seed, 0, 3)) {
  case 0: /* depthwise */
    c.group = c.channels = c.outputs = random_int(seed, 2, 40);
    break;
  case 1: /* groups that begin at blocks */
    c.group = random_int(seed, 2, 3);
    c.channels = c.group * 16 * random_int(seed, 1, 2);
    c.outputs = c.group * 16 * random_int(seed, 1, 2);
    break;
  case 2:
    c.plain_input = true;
    c.dilations[1] = 1;
    c.channels = random_int(seed, 1, 4);
    c.outputs = random_int(seed, 1, 50);
    break;
  default:
    c.channels = random_int(seed, 1, 40);
    c.outputs = random_int(seed, 1, 50);
    break;
  }
  return c;
}

static void random_shapes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int round = 0; round < 200; round++) {
      blocked_conv_case c = random_case(&bench.seed);
      if (output_size(&c, 1) < 1) continue;
      check_case(&bench, &c);
    }
  }
  bench_finish(&bench);
}

/* Large enough for several bands, several workers, and workers that share a band. */
static void shapes_of_networks(void **state) {
  static const blocked_conv_case cases[] = {
      {1, 1, 64, 64, {28, 28}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, false, true, 10, {UNARY_IDENTITY, 0, 0}},
      {2, 1, 96, 64, {14, 14}, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}, false, true, 10, {UNARY_CLIP, 0, 99}},
      {1, 1, 512, 96, {7, 7}, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}, false, true, 2, {UNARY_IDENTITY, 0, 0}},
      {1, 1, 256, 128, {7, 7}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, false, true, 11, {UNARY_IDENTITY, 0, 0}},
      {1, 1, 3, 64, {57, 57}, {7, 7}, {2, 2}, {1, 1}, {3, 3, 3, 3}, true, true, 10, {UNARY_IDENTITY, 0, 0}},
      {1, 96, 96, 96, {61, 61}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, false, true, 10, {UNARY_IDENTITY, 0, 0}},
      {1, 1, 2048, 40, {9, 25}, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}, false, false, 10, {UNARY_IDENTITY, 0, 0}},
  };
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (size_t i = 0; i < COUNT(cases); i++) check_case(&bench, &cases[i]);
  }
  bench_finish(&bench);
}

static void nothing_gives_nothing(void **state) {
  const blocked_conv_case empty = {
      0, 1, 5, 7, {4, 4}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, false, true, 10, {UNARY_IDENTITY, 0, 0}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  check_case(&bench, &empty);
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_shapes),
      cmocka_unit_test(shapes_of_networks),
      cmocka_unit_test(nothing_gives_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
