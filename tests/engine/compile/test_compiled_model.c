/* A compiled model, written out here by hand: y = relu(x), z = x seen as 2 x 2. */
#include "engine/compile/compiled_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct fixture {
  graph graph;
  graph_value x, y;
  graph_value *inputs[1], *outputs[1];
  node node;
  compiled_slot slots[3];
  compiled_step steps[2];
  int outputs_of_model[2];
  compiled_model model;
} fixture;

static const operator_descriptor *find_operator(const char *name) {
  const operator_descriptor *op;
  size_t i = 0;
  while ((op = operator_at(i)) && strcmp(op->name, name) != 0) i++;
  assert_non_null(op);
  return op;
}

static void set_up_model(fixture *fixture) {
  static const int zero[] = {0}, one[] = {1}, two[] = {2};
  const shape four = shape_make(1, (int64_t[]){4}), square = shape_make(2, (int64_t[]){2, 2});
  memset(fixture, 0, sizeof *fixture);
  fixture->inputs[0] = &fixture->x;
  fixture->outputs[0] = &fixture->y;
  fixture->node = (node){.name = "relu",
                         .op_type = "Relu",
                         .domain = "",
                         .opset = 17,
                         .version = 14,
                         .op = find_operator("Relu"),
                         .graph = &fixture->graph,
                         .input_count = 1,
                         .output_count = 1,
                         .inputs = fixture->inputs,
                         .outputs = fixture->outputs};
  fixture->slots[0] = (compiled_slot){.info = value_info_tensor(NORMA_FLOAT, &four), .place = COMPILED_INPUT};
  fixture->slots[1] =
      (compiled_slot){.info = value_info_tensor(NORMA_FLOAT, &four), .place = COMPILED_ARENA, .offset = 64};
  fixture->slots[2] = (compiled_slot){.info = value_info_tensor(NORMA_FLOAT, &square), .place = COMPILED_INPUT};
  fixture->steps[0] = (compiled_step){.node = &fixture->node, .inputs = zero, .outputs = one};
  fixture->steps[1] = (compiled_step){.inputs = zero, .outputs = two, .skipped = true};
  fixture->outputs_of_model[0] = 1;
  fixture->outputs_of_model[1] = 2;
  fixture->model = (compiled_model){.kernels = kernel_table_built_at(0),
                                    .slot_count = 3,
                                    .step_count = 2,
                                    .input_count = 1,
                                    .output_count = 2,
                                    .slots = fixture->slots,
                                    .steps = fixture->steps,
                                    .outputs = fixture->outputs_of_model,
                                    .graph = &fixture->graph,
                                    .arena_bytes = 128};
}

static void a_model_runs_in_the_memory_it_is_given(void **state) {
  (void)state;
  static _Alignas(64) char pool[16384], arena[128];
  static _Alignas(64) float x[16] = {-1, 2, -3, 4};
  void *const inputs[] = {x};
  fixture fixture;
  compiled_session session;
  norma_error error;
  size_t used = 0;
  set_up_model(&fixture);
  const size_t need = compiled_pool_bytes(3, 1, 0, 2, size_align(fixture.node.op->state_size, 16));
  assert_true(need <= sizeof pool);
  assert_int_equal(compiled_open(&session, &fixture.model, pool, need, arena, inputs, &used, &error), NORMA_OK);
  assert_true(used > 0 && used <= need);
  for (int run = 0; run < 3; run++) {
    x[1] = 2 + (float)run;
    assert_int_equal(compiled_run(&session, &error), NORMA_OK);
    const norma_tensor *y = compiled_output(&session, 0), *z = compiled_output(&session, 1);
    assert_memory_equal(y->data, ((float[]){0, 2 + (float)run, 0, 4}), 16);
    assert_ptr_equal(y->data, arena + 64);
    assert_ptr_equal(z->data, x);
    assert_int_equal(z->rank, 2);
  }
}

/* A pool that is too small by any number of bytes is refused, and nothing behind it is touched. */
static void a_small_pool_is_refused(void **state) {
  (void)state;
  static _Alignas(64) char pool[16384], arena[128];
  static _Alignas(64) float x[16];
  void *const inputs[] = {x};
  fixture fixture;
  compiled_session session;
  norma_error error;
  size_t used;
  set_up_model(&fixture);
  assert_int_equal(compiled_open(&session, &fixture.model, pool, sizeof pool, arena, inputs, &used, &error), NORMA_OK);
  for (size_t bytes = 0; bytes < used; bytes += 16) {
    memset(pool, 0x5A, sizeof pool);
    assert_int_equal(compiled_open(&session, &fixture.model, pool, bytes, arena, inputs, NULL, &error),
                     NORMA_ERROR_BUDGET);
    for (size_t i = bytes; i < sizeof pool; i++) assert_int_equal(pool[i], 0x5A);
  }
}

static void kernels_that_cannot_run_are_refused(void **state) {
  (void)state;
  static _Alignas(64) char pool[16384], arena[128];
  static _Alignas(64) float x[16];
  void *const inputs[] = {x};
  fixture fixture;
  compiled_session session;
  norma_error error;
  set_up_model(&fixture);
  struct kernel_table other = *kernel_table_built_at(0);
  other.features = ~(cpu_feature_set)0;
  fixture.model.kernels = &other;
  assert_int_equal(compiled_open(&session, &fixture.model, pool, sizeof pool, arena, inputs, NULL, &error),
                   NORMA_ERROR_UNSUPPORTED);
  assert_non_null(strstr(error.message, other.name));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_model_runs_in_the_memory_it_is_given),
      cmocka_unit_test(a_small_pool_is_refused),
      cmocka_unit_test(kernels_that_cannot_run_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
