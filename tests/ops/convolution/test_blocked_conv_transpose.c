/* ConvTranspose (norma) on channel blocks, phase by phase, against ConvTranspose of ai.onnx. */
#include "tests/support/blocked_tensor.h"
#include "tests/support/random_tensor.h"

typedef struct transpose_case {
  int64_t samples, channels, outputs;
  int64_t input[2], kernel[2], strides[2], pads[4], extra[2];
  bool plain_output, bias, residual;
  struct activation activation;
} transpose_case;

static int64_t output_size(const transpose_case *c, int d) {
  return (c->input[d] - 1) * c->strides[d] + c->kernel[d] + c->extra[d] - c->pads[d] - c->pads[2 + d];
}

static void check_transpose(workbench *bench, const transpose_case *c) {
  const value *x = bench_random(bench, NORMA_FLOAT, SHAPE(c->samples, c->channels, c->input[0], c->input[1]), -1, 1);
  const value *w = bench_random(bench, NORMA_FLOAT, SHAPE(c->channels, c->outputs, c->kernel[0], c->kernel[1]), -1, 1);
  const value *b = c->bias ? bench_random(bench, NORMA_FLOAT, SHAPE(c->outputs), -1, 1) : NULL;
  const value *residual =
      c->residual
          ? bench_random(bench, NORMA_FLOAT, SHAPE(c->samples, c->outputs, output_size(c, 0), output_size(c, 1)), -1, 1)
          : NULL;
  driver_call plain = CALL("ConvTranspose", 22, x, w, b, residual);
  plain.input_count = residual ? 4 : b ? 3 : 2;
  plain.residual_input = residual ? 3 : 0;
  plain.activation = c->activation;
  plain.attributes[0] = (attribute)DRIVER_INTS("strides", 2, c->strides);
  plain.attributes[1] = (attribute)DRIVER_INTS("pads", 4, c->pads);
  plain.attributes[2] = (attribute)DRIVER_INTS("output_padding", 2, c->extra);
  driver_call call = plain;
  call.domain = OPERATOR_INNER_DOMAIN;
  call.opset = 1;
  call.inputs[0] = blocked_of(bench, x);
  if (residual) call.inputs[3] = blocked_of(bench, residual);
  call.constants = INPUT(1) | INPUT(2);
  call.attributes[3] = (attribute)DRIVER_INT("block", bench_block(bench));
  call.attributes[4] = (attribute)DRIVER_INT("channels", c->channels);
  call.attributes[5] = (attribute)DRIVER_INT("plain_output", c->plain_output);
  check_blocked(bench, &call, &plain, 1e-5 * sqrt((double)(c->channels * c->kernel[0] * c->kernel[1])));
  bench_clear(bench);
}

/* What the pass makes: the kernel reaches over the stride, and no output has a negative first input. */
static void random_axis(uint64_t *seed, transpose_case *c, int d) {
  do {
    c->strides[d] = random_of(seed, 1, 1, 2, 2, 3, 4);
    c->kernel[d] = c->strides[d] + random_int(seed, 0, 3);
    c->input[d] = random_int(seed, 1, 11);
    c->pads[d] = random_int(seed, 0, c->kernel[d] - c->strides[d]);
    c->pads[2 + d] = random_int(seed, 0, c->kernel[d] - c->strides[d]);
    c->extra[d] = random_int(seed, 0, c->strides[d] - 1);
  } while (output_size(c, d) < 1);
}

static void random_shapes(void **state) {
  static const enum unary_kind kinds[] = {UNARY_IDENTITY, UNARY_RELU, UNARY_CLIP, UNARY_SIGMOID};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int round = 0; round < 150; round++) {
      transpose_case c = {.samples = random_int(&bench.seed, 1, 3),
                          .channels = random_int(&bench.seed, 1, 30),
                          .outputs = random_int(&bench.seed, 1, 30),
                          .bias = random_int(&bench.seed, 0, 1),
                          .residual = random_int(&bench.seed, 0, 1),
                          .activation = {kinds[random_int(&bench.seed, 0, 3)], -0.5f, 0.5f}};
      for (int d = 0; d < 2; d++) random_axis(&bench.seed, &c, d);
      check_transpose(&bench, &c);
    }
  }
  bench_finish(&bench);
}

/* To few outputs, where the kernel is the stride: the taps share blocks. */
static void plain_outputs(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int round = 0; round < 100; round++) {
      transpose_case c = {.samples = random_int(&bench.seed, 1, 3),
                          .channels = random_int(&bench.seed, 1, 30),
                          .outputs = random_int(&bench.seed, 1, 5),
                          .plain_output = true,
                          .bias = random_int(&bench.seed, 0, 1),
                          .activation = {random_int(&bench.seed, 0, 1) ? UNARY_RELU : UNARY_IDENTITY, 0, 0}};
      for (int d = 0; d < 2; d++) {
        c.kernel[d] = c.strides[d] = random_int(&bench.seed, 1, 4);
        c.input[d] = random_int(&bench.seed, 1, 9);
      }
      check_transpose(&bench, &c);
    }
  }
  bench_finish(&bench);
}

static void large_images(void **state) {
  static const transpose_case cases[] = {
      {1, 32, 16, {40, 40}, {4, 4}, {2, 2}, {1, 1, 1, 1}, {0, 0}, false, true, true, {UNARY_RELU, 0, 0}},
      {1, 16, 3, {60, 50}, {2, 2}, {2, 2}, {0}, {0}, true, true, false, {UNARY_SIGMOID, 0, 0}},
      {1, 40, 40, {30, 30}, {3, 3}, {1, 1}, {1, 1, 1, 1}, {0}, false, true, true, {UNARY_RELU, 0, 0}},
      {0, 5, 3, {4, 4}, {3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1}, false, true, false, {UNARY_IDENTITY, 0, 0}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (size_t i = 0; i < COUNT(cases); i++) check_transpose(&bench, &cases[i]);
  }
  bench_finish(&bench);
}

static void what_the_pass_never_makes_is_refused(void **state) {
  static const int64_t five[] = {5, 5}, one[] = {1, 1}, pads[] = {0, 0, 0, 0}, deep[] = {9, 9, 9, 9};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const int64_t b = bench_block(&bench);
  driver_call call = CALL("ConvTranspose", 1, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 4, 4, b), NULL),
                          bench_tensor(&bench, NORMA_FLOAT, SHAPE(b, b, 3, 3), NULL));
  call.domain = OPERATOR_INNER_DOMAIN;
  call.attributes[0] = (attribute)DRIVER_INT("block", b);
  call.attributes[1] = (attribute)DRIVER_INT("channels", b);
  call.attributes[2] = (attribute)DRIVER_INTS("strides", 2, one);
  call.attributes[3] = (attribute)DRIVER_INTS("pads", 4, pads);
  call.attributes[4] = (attribute)DRIVER_INTS("output_padding", 2, one);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank"); /* weights that may change */
  call.constants = INPUT(1);
  call.inputs[call.input_count++] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(b), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INTERNAL, "must be constants");
  call.input_count = 2;
  call.attributes[2].ints = five; /* 25 phases */
  bench_refuse(&bench, &call, NORMA_ERROR_INTERNAL, "its attributes are not those of two axes");
  call.attributes[2].ints = one;
  call.attributes[3].ints = deep;
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "its pads take more than there is");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_shapes),
      cmocka_unit_test(plain_outputs),
      cmocka_unit_test(large_images),
      cmocka_unit_test(what_the_pass_never_makes_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
