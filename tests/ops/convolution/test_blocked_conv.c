/* Conv (norma) on channel blocks against Conv of ai.onnx: blocked and plain inputs, groups, depthwise, fused stores. */
#include "tests/support/blocked_tensor.h"
#include "tests/support/random_tensor.h"

typedef struct conv_case {
  int64_t samples, group, channels, outputs; /* of all groups */
  int64_t input[2], kernel[2], strides[2], dilations[2], pads[4];
  bool plain_input, bias, residual;
  struct activation activation;
} conv_case;

static int64_t output_size(const conv_case *c, int d) {
  const int64_t room = c->input[d] + c->pads[d] + c->pads[2 + d] - (c->kernel[d] - 1) * c->dilations[d] - 1;
  return room < 0 ? -1 : room / c->strides[d] + 1;
}

static void check_conv(workbench *bench, const conv_case *c) {
  const value *x = bench_random(bench, NORMA_FLOAT, SHAPE(c->samples, c->channels, c->input[0], c->input[1]), -1, 1);
  const value *w =
      bench_random(bench, NORMA_FLOAT, SHAPE(c->outputs, c->channels / c->group, c->kernel[0], c->kernel[1]), -1, 1);
  const value *b = c->bias ? bench_random(bench, NORMA_FLOAT, SHAPE(c->outputs), -1, 1) : NULL;
  const value *residual =
      c->residual
          ? bench_random(bench, NORMA_FLOAT, SHAPE(c->samples, c->outputs, output_size(c, 0), output_size(c, 1)), -1, 1)
          : NULL;
  driver_call plain = CALL("Conv", 22, x, w, b, residual);
  plain.input_count = residual ? 4 : b ? 3 : 2;
  plain.residual_input = residual ? 3 : 0;
  plain.activation = c->activation;
  plain.attributes[0] = (attribute)DRIVER_INTS("strides", 2, c->strides);
  plain.attributes[1] = (attribute)DRIVER_INTS("dilations", 2, c->dilations);
  plain.attributes[2] = (attribute)DRIVER_INTS("pads", 4, c->pads);
  plain.attributes[3] = (attribute)DRIVER_INT("group", c->group);
  driver_call call = plain;
  call.domain = OPERATOR_INNER_DOMAIN;
  call.opset = 1;
  if (!c->plain_input) call.inputs[0] = blocked_of(bench, x);
  if (residual) call.inputs[3] = blocked_of(bench, residual);
  call.constants = INPUT(1) | INPUT(2);
  call.attributes[4] = (attribute)DRIVER_INT("block", bench_block(bench));
  call.attributes[5] = (attribute)DRIVER_INT("channels", c->channels);
  call.attributes[6] = (attribute)DRIVER_INT("plain_input", c->plain_input);
  /* Other orders of summation, and Winograd's algorithms. */
  const double terms = (double)(c->channels / c->group * c->kernel[0] * c->kernel[1]);
  check_blocked(bench, &call, &plain, 1e-5 * sqrt(terms + 1));
  bench_clear(bench);
}

static void random_axis(uint64_t *seed, conv_case *c, int d) {
  do {
    c->input[d] = random_int(seed, 1, 17);
    c->kernel[d] = random_of(seed, 1, 1, 2, 3, 3, 3, 5, 7);
    c->strides[d] = random_of(seed, 1, 1, 1, 2, 2, 3);
    c->dilations[d] = random_of(seed, 1, 1, 1, 2, 3);
    c->pads[d] = random_of(seed, 0, 0, 1, 1, 2, 3);
    c->pads[2 + d] = random_of(seed, 0, 0, 1, 1, 2, 5);
  } while (output_size(c, d) < 1);
}

static conv_case random_case(uint64_t *seed, int64_t block) {
  static const enum unary_kind kinds[] = {UNARY_IDENTITY, UNARY_RELU, UNARY_CLIP, UNARY_SIGMOID};
  conv_case c = {.samples = random_int(seed, 1, 3),
                 .group = 1,
                 .bias = random_int(seed, 0, 1),
                 .residual = random_int(seed, 0, 2) == 0};
  for (int d = 0; d < 2; d++) random_axis(seed, &c, d);
  c.activation = (struct activation){kinds[random_int(seed, 0, 3)], -0.5f, 0.5f};
  switch (random_int(seed, 0, 3)) {
  case 0: /* depthwise */
    c.group = c.channels = c.outputs = random_int(seed, 2, 40);
    break;
  case 1: /* groups that begin at blocks */
    c.group = random_int(seed, 2, 3);
    c.channels = c.group * block * random_int(seed, 1, 2);
    c.outputs = c.group * block * random_int(seed, 1, 2);
    break;
  case 2:
    c.plain_input = true;
    c.channels = random_int(seed, 1, 5);
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
    for (int round = 0; round < 250; round++) {
      const conv_case c = random_case(&bench.seed, bench_block(&bench));
      check_conv(&bench, &c);
    }
  }
  bench_finish(&bench);
}

/* Large enough for Winograd's algorithms and for several workers. */
static void shapes_of_networks(void **state) {
  static const conv_case cases[] = {
      {1, 1, 64, 64, {28, 28}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, false, true, true, {UNARY_RELU, 0, 0}},
      {1, 1, 32, 48, {13, 11}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, false, true, false, {UNARY_IDENTITY, 0, 0}},
      {2, 1, 96, 64, {14, 14}, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}, false, true, false, {UNARY_RELU, 0, 0}},
      {1, 1, 3, 64, {57, 57}, {7, 7}, {2, 2}, {1, 1}, {3, 3, 3, 3}, true, true, false, {UNARY_RELU, 0, 0}},
      {1, 96, 96, 96, {29, 29}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, false, true, false, {UNARY_CLIP, 0, 6}},
      {3, 1, 300, 20, {5, 5}, {5, 5}, {1, 1}, {1, 1}, {0, 0, 0, 0}, false, false, false, {UNARY_IDENTITY, 0, 0}},
  };
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (size_t i = 0; i < COUNT(cases); i++) check_conv(&bench, &cases[i]);
  }
  bench_finish(&bench);
}

static void nothing_gives_nothing(void **state) {
  const conv_case empty = {
      0, 1, 5, 7, {4, 4}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, false, true, false, {UNARY_IDENTITY, 0, 0}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  check_conv(&bench, &empty);
  bench_finish(&bench);
}

/* A sample alone and in a batch: the same bits. */
static void batches_do_not_show(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int64_t size = 3; size < 20; size += 5) {
      const int64_t ones[] = {1, 1, 1, 1};
      const value *w = bench_random(&bench, NORMA_FLOAT, SHAPE(20, 24, 3, 3), -1, 1),
                  *x = bench_random(&bench, NORMA_FLOAT, SHAPE(3, 24, size, size), -1, 1);
      driver_call take = CALL("Slice", 13, x, bench_list(&bench, 1), bench_list(&bench, 2)),
                  call = CALL("Conv", 1, blocked_of(&bench, x), w);
      bench_run_once(&bench, &take);
      const value *one = blocked_of(&bench, bench_keep(&bench, 0));
      call.domain = OPERATOR_INNER_DOMAIN;
      call.constants = INPUT(1);
      call.attributes[0] = (attribute)DRIVER_INT("block", bench_block(&bench));
      call.attributes[1] = (attribute)DRIVER_INT("channels", 24);
      call.attributes[2] = (attribute)DRIVER_INTS("pads", 4, ones);
      bench_run_once(&bench, &call);
      const value *all = plain_of(&bench, &bench.driver.outputs[0], 20);
      call.inputs[0] = one;
      bench_run_once(&bench, &call);
      const value *alone = plain_of(&bench, &bench.driver.outputs[0], 20);
      const size_t bytes = alone->tensor.size_bytes;
      assert_memory_equal((const char *)all->tensor.data + bytes, alone->tensor.data, bytes);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

static void what_the_pass_never_makes_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const int64_t b = bench_block(&bench);
  driver_call call = CALL("Conv", 1, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 4, 4, b), NULL),
                          bench_tensor(&bench, NORMA_FLOAT, SHAPE(b, b, 3, 3), NULL));
  call.domain = OPERATOR_INNER_DOMAIN;
  call.attributes[0] = (attribute)DRIVER_INT("block", b);
  call.attributes[1] = (attribute)DRIVER_INT("channels", b);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank"); /* weights that may change */
  call.constants = INPUT(1);
  call.inputs[call.input_count++] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(b), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INTERNAL, "must be constants");
  call.input_count = 2;
  call.attributes[0].i = b + 1;
  bench_refuse(&bench, &call, NORMA_ERROR_INTERNAL, "are not this kernel table's");
  call.inputs[0] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, b, 4, 4), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "its inputs have ranks 4 and 4");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_shapes),
      cmocka_unit_test(shapes_of_networks),
      cmocka_unit_test(nothing_gives_nothing),
      cmocka_unit_test(batches_do_not_show),
      cmocka_unit_test(what_the_pass_never_makes_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
