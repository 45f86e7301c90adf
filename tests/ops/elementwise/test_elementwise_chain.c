/* ElementwiseChain (norma): little programs, against the kernels of its steps run one by one over whole tensors. Both
 * must agree to the bit, wherever the operator begins its pieces. */
#include "ops/elementwise/elementwise_chain.h"
#include "tests/support/builtin_operator.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

/* --------------------------------------------------------------------------------------------------------- programs */

/* A node without a model, to hold the program. */
typedef struct holder {
  memory memory;
  region region;
  graph *graph;
  node *node;
} holder;

static void holder_init(holder *holder, int inputs) {
  memory_init(&holder->memory, NULL, 0);
  region_init(&holder->region, &holder->memory);
  holder->graph = graph_create(&holder->region, &holder->memory, "g", NULL, NULL);
  holder->node = graph_add_node(holder->graph, "n", CHAIN_OPERATOR, OPERATOR_INNER_DOMAIN, inputs, 1, 0);
  assert_non_null(holder->node);
}

static void holder_finish(holder *holder) {
  graph_release(holder->graph);
  region_free(&holder->region);
}

static const chain_step clip_of_x = {.kind = CHAIN_UNARY, .unary = {UNARY_CLIP, -0.25f, 1e-40f}, .x = 0};

static void programs_survive_as_attributes(void **state) {
  const chain_program program = {.count = 3,
                                 .steps = {clip_of_x,
                                           {.kind = CHAIN_BINARY, .binary = BINARY_DIV, .x = 1, .z = chain_result(0)},
                                           {.kind = CHAIN_PRELU, .x = chain_result(1), .z = 0}}};
  chain_program read;
  holder holder;
  (void)state;
  holder_init(&holder, 2);
  assert_true(is_elementwise_chain(holder.node));
  assert_true(chain_program_write(&program, holder.node) && chain_program_read(holder.node, &read));
  assert_int_equal(read.count, 3);
  assert_true(read.steps[0].kind == CHAIN_UNARY && read.steps[0].unary.kind == UNARY_CLIP && read.steps[0].x == 0);
  assert_true(read.steps[0].unary.a == -0.25f && read.steps[0].unary.b == 1e-40f);
  assert_true(read.steps[1].kind == CHAIN_BINARY && read.steps[1].binary == BINARY_DIV);
  assert_true(read.steps[1].x == 1 && read.steps[1].z == chain_result(0));
  assert_true(read.steps[2].kind == CHAIN_PRELU && read.steps[2].x == chain_result(1) && read.steps[2].z == 0);
  holder_finish(&holder);
}

static void programs_that_cannot_be_run_are_not_read(void **state) {
  static const struct {
    size_t count;
    int64_t numbers[12];
  } wrong[] = {
      {0, {0}},                                /* nothing */
      {5, {CHAIN_UNARY, UNARY_RELU, 0, 0, 0}}, /* no whole step */
      {6, {-1, 0, 0, 0, 0, 0}},                /* no kind of step */
      {6, {CHAIN_PRELU + 1, 0, 0, 0, 0, 0}},
      {6, {CHAIN_UNARY, UNARY_KIND_COUNT, 0, 0, 0, 0}}, /* no function */
      {6, {CHAIN_UNARY, -1, 0, 0, 0, 0}},
      {6, {CHAIN_BINARY, BINARY_KIND_COUNT, 0, 0, 0, 0}},
      {6, {CHAIN_PRELU, 1, 0, 0, 0, 0}},
      {6, {CHAIN_UNARY, UNARY_RELU, 2, 0, 0, 0}}, /* no such input */
      {6, {CHAIN_BINARY, BINARY_ADD, 0, 2, 0, 0}},
      {6, {CHAIN_UNARY, UNARY_RELU, -1, 0, 0, 0}}, /* its own result */
      {12, {CHAIN_UNARY, UNARY_RELU, 0, 0, 0, 0, CHAIN_BINARY, BINARY_ADD, -2, 0, 0, 0}},
      {6, {CHAIN_BINARY, BINARY_ADD, 0, INT64_MIN, 0, 0}},
  };
  holder holder;
  chain_program program;
  (void)state;
  holder_init(&holder, 2);
  assert_false(chain_program_read(holder.node, &program)); /* no attribute */
  for (size_t i = 0; i < COUNT(wrong); i++) {
    assert_true(node_set_attribute_ints(holder.node, "program", wrong[i].numbers, wrong[i].count));
    if (chain_program_read(holder.node, &program)) fail_msg("program %d was read", (int)i);
  }
  int64_t longest[(CHAIN_MOST_STEPS + 1) * 6] = {0};
  assert_true(node_set_attribute_ints(holder.node, "program", longest, COUNT(longest) - 6));
  assert_true(chain_program_read(holder.node, &program));
  assert_true(node_set_attribute_ints(holder.node, "program", longest, COUNT(longest)));
  assert_false(chain_program_read(holder.node, &program));
  holder_finish(&holder);
  holder_init(&holder, CHAIN_MOST_INPUTS + 1);
  assert_true(node_set_attribute_ints(holder.node, "program", longest, 6));
  assert_false(chain_program_read(holder.node, &program));
  holder_finish(&holder);
}

/* A result's register is not written again before its last reader has read it, who may write over it. */
static void registers_are_kept_until_they_are_read(void **state) {
  uint64_t seed = 11;
  (void)state;
  for (int round = 0; round < 2000; round++) {
    chain_program program = {.count = (int)random_int(&seed, 1, CHAIN_MOST_STEPS)};
    int registers[CHAIN_MOST_STEPS], holds[CHAIN_MOST_REGISTERS];
    for (int i = 0; i < program.count; i++) {
      program.steps[i] = (chain_step){.kind = (enum chain_step_kind)random_int(&seed, 0, 2)};
      program.steps[i].x = (int)random_int(&seed, i > 3 ? -i : -i, i > 3 ? -i + 3 : 0);
      program.steps[i].z = i > 0 ? chain_result(i - 1) : 0;
    }
    const int count = chain_assign_registers(&program, registers);
    assert_true(count <= CHAIN_MOST_REGISTERS);
    for (int i = 0; count >= 0 && i < program.count; i++) {
      const chain_step *step = &program.steps[i];
      if (step->x < 0) assert_int_equal(holds[registers[-1 - step->x]], -1 - step->x);
      if (step->z < 0 && chain_operand_count(step) == 2) assert_int_equal(holds[registers[-1 - step->z]], -1 - step->z);
      if (i + 1 == program.count) break;
      assert_true(registers[i] >= 0 && registers[i] < count);
      holds[registers[i]] = i;
    }
  }
}

static void too_many_results_at_a_time(void **state) {
  chain_program program = {.count = 2 * CHAIN_MOST_REGISTERS + 2};
  int registers[CHAIN_MOST_STEPS];
  (void)state;
  const int half = program.count / 2; /* results that all live until the sums begin */
  for (int i = 0; i < program.count; i++) {
    program.steps[i] = (chain_step){.kind = i < half ? CHAIN_UNARY : CHAIN_BINARY,
                                    .x = i < half ? 0 : chain_result(i - half),
                                    .z = chain_result(i - 1)};
  }
  assert_int_equal(chain_assign_registers(&program, registers), -1);
}

/* ---------------------------------------------------------------------------------------------------------- running */

/* `count` elements: input or result `operand` as a whole tensor of the output's shape. */
static float *whole_operand(const value *const *inputs, float *const *results, int operand, const shape *shape) {
  const int64_t count = shape_count(shape);
  float *whole = malloc(sizeof *whole * (size_t)(count + 1));
  assert_non_null(whole);
  if (operand < 0) {
    memcpy(whole, results[-1 - operand], sizeof *whole * (size_t)count);
    return whole;
  }
  const struct shape own = shape_of_tensor(&inputs[operand]->tensor);
  const float *elements = inputs[operand]->tensor.data;
  for (int64_t i = 0; i < count; i++) whole[i] = elements[broadcast_place(&own, shape, i)];
  return whole;
}

static float *reference(const struct kernel_table *kernels, const chain_program *program, const value *const *inputs,
                        const shape *shape) {
  const size_t count = (size_t)shape_count(shape);
  float *results[CHAIN_MOST_STEPS];
  for (int i = 0; i < program->count; i++) {
    const chain_step *step = &program->steps[i];
    float *x = whole_operand(inputs, results, step->x, shape), *z = whole_operand(inputs, results, step->z, shape);
    if (step->kind == CHAIN_UNARY)
      kernels->unary_f32[step->unary.kind](x, x, count, step->unary.a, step->unary.b);
    else if (step->kind == CHAIN_BINARY)
      kernels->binary_f32[step->binary](x, x, z, count);
    else
      kernels->prelu_f32(x, x, z, count);
    results[i] = x;
    free(z);
  }
  for (int i = 0; i + 1 < program->count; i++) free(results[i]);
  return results[program->count - 1];
}

static const enum unary_kind unaries[] = {UNARY_RELU, UNARY_CLIP,       UNARY_SIGMOID,
                                          UNARY_NEG,  UNARY_HARD_SWISH, UNARY_SQUARE};

static chain_program random_program(uint64_t *seed, int inputs) {
  chain_program program = {.count = (int)random_int(seed, 1, 7)};
  for (int i = 0; i < program.count; i++) {
    chain_step *step = &program.steps[i];
    step->kind = (enum chain_step_kind)random_int(seed, 0, 2);
    if (step->kind == CHAIN_UNARY) step->unary = (struct activation){unaries[random_int(seed, 0, 5)], -0.5f, 0.75f};
    if (step->kind == CHAIN_BINARY) step->binary = (enum binary_kind)random_int(seed, 0, BINARY_KIND_COUNT - 1);
    step->x = (int)random_int(seed, -i, inputs - 1);
    step->z = (int)random_int(seed, -i, inputs - 1);
  }
  return program;
}

static void check_program(workbench *bench, const chain_program *program, const value *const *inputs, int input_count) {
  holder holder;
  holder_init(&holder, input_count);
  assert_true(chain_program_write(program, holder.node));
  driver_call call = {.domain = OPERATOR_INNER_DOMAIN,
                      .op_type = CHAIN_OPERATOR,
                      .opset = 1,
                      .input_count = input_count,
                      .output_count = 1};
  call.attributes[0] = holder.node->attributes[0];
  shape whole = shape_of_tensor(&inputs[0]->tensor);
  for (int k = 0; k < input_count; k++) {
    const shape own = shape_of_tensor(&inputs[k]->tensor);
    call.inputs[k] = inputs[k];
    assert_true(shape_broadcast(&whole, &own, &whole));
  }
  const value *y = bench_run(bench, &call);
  check_tensor(y, NORMA_FLOAT, whole, NULL);
  float *expected = reference(bench->kernels, program, inputs, &whole);
  const float *found = y->tensor.data;
  for (int64_t i = 0; i < shape_count(&whole); i++) {
    const bool same = memcmp(&found[i], &expected[i], sizeof *found) == 0 || (isnan(found[i]) && isnan(expected[i]));
    if (!same) fail_msg("element %d is %.9g, not %.9g", (int)i, (double)found[i], (double)expected[i]);
  }
  free(expected);
  holder_finish(&holder);
}

static shape part_of(uint64_t *seed, const shape *whole) {
  const int skipped = random_int(seed, 0, 2) ? 0 : (int)random_int(seed, 0, whole->rank);
  shape part = shape_make(whole->rank - skipped, whole->dims + skipped);
  for (int i = 0; i < part.rank; i++) {
    if (random_int(seed, 0, 3) == 0) part.dims[i] = 1;
  }
  return part;
}

static void random_programs_on_random_shapes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int round = 0; round < 250; round++) {
      const int count = (int)random_int(&bench.seed, 1, 4);
      const shape whole = random_shape(&bench.seed, 0, 5, 20000);
      const value *inputs[4];
      for (int i = 0; i < count; i++) {
        inputs[i] = bench_random(&bench, NORMA_FLOAT, part_of(&bench.seed, &whole), -2, 2);
      }
      const chain_program program = random_program(&bench.seed, count);
      check_program(&bench, &program, inputs, count);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

/* Planes of channel blocks with gates of one element per channel, of one per pixel, and rows that are cut in pieces. */
static void shapes_of_networks(void **state) {
  static const struct {
    shape whole, others[2];
  } cases[] = {{{5, {2, 3, 9, 11, 8}}, {{5, {2, 3, 1, 1, 8}}, {5, {1, 3, 1, 1, 8}}}},
               {{5, {1, 2, 40, 40, 16}}, {{5, {1, 2, 40, 40, 1}}, {1, {16}}}},
               {{4, {2, 5, 17, 19}}, {{4, {2, 5, 1, 1}}, {3, {5, 1, 1}}}},
               {{2, {3, 5000}}, {{2, {3, 1}}, {1, {5000}}}},
               {{3, {7, 255, 3}}, {{3, {7, 1, 3}}, {3, {1, 255, 1}}}},
               {{1, {1025}}, {{0, {0}}, {1, {1}}}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (size_t c = 0; c < COUNT(cases); c++) {
      const value *inputs[3] = {bench_random(&bench, NORMA_FLOAT, cases[c].whole, -2, 2)};
      for (int i = 0; i < 2; i++) inputs[1 + i] = bench_random(&bench, NORMA_FLOAT, cases[c].others[i], -2, 2);
      for (int round = 0; round < 10; round++) {
        const chain_program program = random_program(&bench.seed, 3);
        check_program(&bench, &program, inputs, 3);
      }
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

static void what_cannot_be_run_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const int64_t relu[] = {CHAIN_BINARY, BINARY_ADD, 0, 1, 0, 0}, none[] = {CHAIN_UNARY, UNARY_RELU, 5, 0, 0, 0};
  driver_call call = CALL(CHAIN_OPERATOR, 1, bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL),
                          bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NULL));
  call.domain = OPERATOR_INNER_DOMAIN;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute program is missing");
  call.attributes[0] = (attribute)DRIVER_INTS("program", 6, none);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "program cannot be run");
  call.attributes[0] = (attribute)DRIVER_INTS("program", 6, relu);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "cannot be broadcast");
  call.inputs[1] = bench_tensor(&bench, NORMA_DOUBLE, SHAPE(2), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type double");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(programs_survive_as_attributes),
      cmocka_unit_test(programs_that_cannot_be_run_are_not_read),
      cmocka_unit_test(registers_are_kept_until_they_are_read),
      cmocka_unit_test(too_many_results_at_a_time),
      cmocka_unit_test(random_programs_on_random_shapes),
      cmocka_unit_test(shapes_of_networks),
      cmocka_unit_test(what_cannot_be_run_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
