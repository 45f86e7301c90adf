/* GroupedConv (norma): 1x1 convolutions whose groups begin and end within blocks, against Conv of ai.onnx. */
#include "tests/support/blocked_tensor.h"
#include "tests/support/random_tensor.h"

typedef struct grouped_case {
  int64_t samples, group, channels, outputs, height, width; /* channels and outputs of one group */
  bool bias, residual, order;
  struct activation activation;
} grouped_case;

static void check_grouped(workbench *bench, const grouped_case *c) {
  const int64_t channels = c->group * c->channels, outputs = c->group * c->outputs;
  const value *x = bench_random(bench, NORMA_FLOAT, SHAPE(c->samples, channels, c->height, c->width), -1, 1);
  const value *w = bench_random(bench, NORMA_FLOAT, SHAPE(outputs, c->channels, 1, 1), -1, 1);
  const value *b = c->bias ? bench_random(bench, NORMA_FLOAT, SHAPE(outputs), -1, 1) : NULL;
  const value *residual =
      c->residual ? bench_random(bench, NORMA_FLOAT, SHAPE(c->samples, outputs, c->height, c->width), -1, 1) : NULL;
  int64_t order[200];
  for (int64_t i = 0; i < channels; i++) order[i] = i;
  for (int64_t i = channels - 1; i > 0 && c->order; i--) {
    const int64_t k = random_int(&bench->seed, 0, i), swapped = order[i];
    order[i] = order[k];
    order[k] = swapped;
  }
  driver_call gather =
      CALL("Gather", 13, x, bench_ints(bench, SHAPE(channels), order)); /* channel c is order[c] of x */
  gather.attributes[0] = (attribute)DRIVER_INT("axis", 1);
  bench_run_once(bench, &gather);
  driver_call plain = CALL("Conv", 22, bench_keep(bench, 0), w, b, residual);
  plain.input_count = residual ? 4 : b ? 3 : 2;
  plain.residual_input = residual ? 3 : 0;
  plain.activation = c->activation;
  plain.attributes[0] = (attribute)DRIVER_INT("group", c->group);
  driver_call call = plain;
  call.domain = OPERATOR_INNER_DOMAIN;
  call.op_type = "GroupedConv";
  call.opset = 1;
  call.inputs[0] = blocked_of(bench, x);
  if (residual) call.inputs[3] = blocked_of(bench, residual);
  call.constants = INPUT(1) | INPUT(2);
  call.attributes[1] = (attribute)DRIVER_INT("block", bench_block(bench));
  call.attributes[2] = (attribute)DRIVER_INT("channels", channels);
  if (c->order) call.attributes[3] = (attribute)DRIVER_INTS("order", (size_t)channels, order);
  check_blocked(bench, &call, &plain, 1e-5 * sqrt((double)c->channels));
  bench_clear(bench);
}

static void random_shapes(void **state) {
  static const enum unary_kind kinds[] = {UNARY_IDENTITY, UNARY_RELU, UNARY_CLIP, UNARY_SIGMOID};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int round = 0; round < 250; round++) {
      const grouped_case c = {.samples = random_int(&bench.seed, 0, 3),
                              .group = random_int(&bench.seed, 1, 6),
                              .channels = random_int(&bench.seed, 1, 30),
                              .outputs = random_int(&bench.seed, 1, 30),
                              .height = random_int(&bench.seed, 1, 9),
                              .width = random_int(&bench.seed, 1, 9),
                              .bias = random_int(&bench.seed, 0, 1),
                              .residual = random_int(&bench.seed, 0, 1),
                              .order = random_int(&bench.seed, 0, 1),
                              .activation = {kinds[random_int(&bench.seed, 0, 3)], -0.5f, 0.5f}};
      check_grouped(&bench, &c);
    }
  }
  bench_finish(&bench);
}

/* ShuffleNet's, large enough for several workers. */
static void shapes_of_networks(void **state) {
  static const grouped_case cases[] = {{1, 4, 34, 17, 28, 28, true, false, true, {UNARY_RELU, 0, 0}},
                                       {2, 3, 40, 60, 14, 14, true, true, false, {UNARY_RELU, 0, 0}},
                                       {1, 8, 12, 24, 33, 31, false, false, true, {UNARY_IDENTITY, 0, 0}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (size_t i = 0; i < COUNT(cases); i++) check_grouped(&bench, &cases[i]);
  }
  bench_finish(&bench);
}

static void what_the_pass_never_makes_is_refused(void **state) {
  static const int64_t order[] = {0, 1};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const int64_t b = bench_block(&bench);
  driver_call call = CALL("GroupedConv", 1, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 4, 4, b), NULL),
                          bench_tensor(&bench, NORMA_FLOAT, SHAPE(b, b / 2, 1, 1), NULL));
  call.domain = OPERATOR_INNER_DOMAIN;
  call.attributes[0] = (attribute)DRIVER_INT("block", b);
  call.attributes[1] = (attribute)DRIVER_INT("channels", b);
  call.attributes[2] = (attribute)DRIVER_INT("group", 2);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank"); /* weights that may change */
  call.constants = INPUT(1);
  call.inputs[call.input_count++] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(b), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INTERNAL, "must be constants");
  call.input_count = 2;
  call.attributes[3] = (attribute)DRIVER_INTS("order", 2, order);
  bench_refuse(&bench, &call, NORMA_ERROR_INTERNAL, "order does not list all channels");
  call.attributes[3] = (attribute){0};
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(b, b / 2), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "its weights have rank 2");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_shapes),
      cmocka_unit_test(shapes_of_networks),
      cmocka_unit_test(what_the_pass_never_makes_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
