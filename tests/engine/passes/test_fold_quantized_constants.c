/* Scales and zero points that nodes compute from constants, and weights that are quantised in the model. */
#include "engine/graph/query.h"
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

static model_builder *start(void) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, 4));
  add_number(b, "eighth", NORMA_FLOAT, 0.125);
  add_number(b, "given", NORMA_INT32, 100);
  builder_int(builder_node(b, "Cast", "given", "zero"), "to", NORMA_UINT8);
  builder_node(b, "Identity", "eighth", "s");
  builder_node(b, "QuantizeLinear", "x s zero", "q");
  builder_node(b, "DequantizeLinear", "q s zero", "d");
  add_numbers(b, "floats", NORMA_FLOAT, 2, DIMS(4, 2), (const double[]){1, -2, 3, 0.5, -1.5, 2.5, 0, -0.5});
  add_number(b, "half", NORMA_FLOAT, 0.5);
  add_number(b, "none", NORMA_INT8, 0);
  builder_node(b, "QuantizeLinear", "floats half none", "w");
  builder_node(b, "DequantizeLinear", "w half none", "wd");
  builder_node(b, "MatMul", "d wd", "c");
  return b;
}

static void integers_stay_integers(void **state) {
  (void)state;
  model_builder *b = start();
  builder_node(b, "Identity", "c", "y");
  checked c = check_nodes(b, "fold_quantized_constants", 0, 5);
  assert_int_equal(count_nodes(&c, "DequantizeLinear"), 2);
  const node *product = only_node(&c, "MatMul");
  assert_int_equal(product->inputs[1]->producer->inputs[0]->info.type, NORMA_INT8);
  assert_non_null(node_constant_input(product->inputs[1]->producer, 0));
  free_checked(&c);
}

static void products_become_integers(void **state) {
  (void)state;
  model_builder *b = start();
  builder_node(b, "QuantizeLinear", "c half zero", "yq");
  builder_node(b, "DequantizeLinear", "yq half zero", "y");
  checked c = check_nodes(b, "fold_quantized_constants fuse_quantization", 0, 3);
  only_node(&c, "QLinearMatMul");
  free_checked(&c);
}

static void memory_may_run_out(void **state) {
  (void)state;
  model_builder *b = start();
  builder_output(b, "c", NORMA_FLOAT, -1, NULL);
  check_allocations(b, "fold_quantized_constants");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(integers_stay_integers),
      cmocka_unit_test(products_become_integers),
      cmocka_unit_test(memory_may_run_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
