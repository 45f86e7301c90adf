/* Loading with all passes while each allocation in turn fails: a status, nothing lost, nothing written wrong. */
#include "tests/engine/passes/pass_check.h"
#include "tests/support/counting_allocator.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

/* Something for every pass. */
static model_builder *make_model(void) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(1, 4, 5, 5));
  builder_ints64(b, "shape", 1, DIMS(4), DIMS(4, 4, 1, 1));
  builder_node(b, "ConstantOfShape", "shape", "zeros");
  add_random(b, "w", NORMA_FLOAT, 4, DIMS(4, 4, 1, 1), -1, 1);
  builder_node(b, "Add", "zeros w", "weights");
  builder_node(b, "Identity", "x", "i");
  builder_node(b, "Conv", "i weights", "c");
  add_random(b, "v", NORMA_FLOAT, 1, DIMS(4), 0.5, 2);
  add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), 0.5, 2);
  builder_node(b, "BatchNormalization", "c v v v v", "n");
  builder_node(b, "Mul", "n t", "m");
  builder_node(b, "Add", "m t", "a");
  builder_node(b, "Add", "a x", "s");
  builder_node(b, "Sigmoid", "s", "g");
  builder_node(b, "Mul", "s g", "h");
  builder_node(b, "Div", "h t", "d");
  builder_node(b, "Sub", "d t", "e");
  builder_node(b, "Transpose", "e", "p");
  builder_node(b, "Transpose", "p", "q");
  builder_ints64(b, "matrix", 1, DIMS(2), DIMS(25, 4));
  builder_node(b, "Flatten", "q", "f");
  builder_node(b, "Reshape", "f matrix", "r");
  add_random(b, "u", NORMA_FLOAT, 2, DIMS(4, 3), -1, 1);
  add_random(b, "k", NORMA_FLOAT, 1, DIMS(3), -1, 1);
  builder_node(b, "Mul", "r k4", "l");
  add_random(b, "k4", NORMA_FLOAT, 1, DIMS(4), -1, 1);
  builder_node(b, "MatMul", "l u", "o");
  builder_node(b, "Add", "o k", "y");
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  return b;
}

static void the_model_is_rewritten_by_all_passes(void **state) {
  (void)state;
  checked c = check_passes(make_model(), NULL, 5e-6);
  assert_int_equal(count_nodes(&c, "Conv"), 1);
  assert_int_equal(count_nodes(&c, "Gemm"), 1);
  assert_int_equal(count_nodes(&c, "BatchNormalization"), 1);
  assert_int_equal(count_nodes(&c, "Reshape"), 1);
  assert_int_equal(count_nodes(&c, NULL), 4);
  free_checked(&c);
}

static norma_status load(const void *bytes, size_t size, counting_allocator *counting) {
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  options.allocator = counting_allocator_functions(counting);
  norma_runtime *runtime;
  norma_model *model;
  norma_error error;
  norma_status status = norma_runtime_create(&options, &runtime, &error);
  if (status != NORMA_OK) return status;
  norma_load_options load_options = {.struct_size = sizeof load_options, .runtime = runtime};
  status = norma_model_load_memory(bytes, size, &load_options, &model, &error);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  return status;
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  model_builder *b = make_model();
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  counting_allocator whole = {0};
  assert_int_equal(load(bytes, size, &whole), NORMA_OK);
  long total = atomic_load(&whole.allocations), refused = 0;
  for (long i = 1; i <= total; i++) {
    for (int forever = 0; forever < 2; forever++) {
      counting_allocator counting = {.fail_at = i, .fail_from = forever};
      norma_status status = load(bytes, size, &counting);
      if (status != NORMA_OK && status != NORMA_ERROR_OUT_OF_MEMORY) fail_msg("allocation %ld: status %d", i, status);
      if (forever) assert_int_equal(status, NORMA_ERROR_OUT_OF_MEMORY);
      refused += status != NORMA_OK;
      assert_int_equal(atomic_load(&counting.outstanding), 0);
    }
  }
  assert_true(refused > total);
  builder_destroy(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_model_is_rewritten_by_all_passes),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
