/* BatchNormalization in inference behind a matrix product goes into the matrix and its addend; what must not be folded.
 */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PASS      "fold_batch_normalization_into_gemm"
#define DIMS(...) ((int64_t[]){__VA_ARGS__})

/* Parameters named scale, bias, mean, var. */
static void add_parameters(model_builder *b, norma_element_type type, int64_t channels) {
  add_random(b, "scale", type, 1, &channels, -2, 2);
  add_random(b, "bias", type, 1, &channels, -1, 1);
  add_random(b, "mean", type, 1, &channels, -1, 1);
  add_random(b, "var", type, 1, &channels, 0.1, 3);
}

/* y = BatchNormalization(c), in inference whatever the version. */
static node *add_normalization(model_builder *b, int opset) {
  node *bn = builder_node(b, "BatchNormalization", "c scale bias mean var", "y");
  if (opset < 7) builder_int(bn, "is_test", 1);
  if (opset < 6) builder_ints(bn, "consumed_inputs", 5, DIMS(0, 0, 0, 1, 1));
  return bn;
}

/* c = a product of x, 3 x 7, and w, 7 x 5, with parameters for its columns. */
static model_builder *product_model(int opset, const char *op_type, const char *inputs) {
  model_builder *b = builder_create(opset);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, 7));
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
  builder_node(b, op_type, inputs, "c");
  add_parameters(b, NORMA_FLOAT, 5);
  return b;
}

/* Gemm with every form of C that folds, both orders of B, and factors. */
static void folds_into_gemm(void **state) {
  static const struct {
    int opset, rank;
    int64_t dims[2];
  } addends[] = {{6, 2, {1, 5}}, {7, 1, {5}}, {9, 0, {0}}, {11, 1, {1}}, {13, 2, {1, 5}}, {13, -1, {0}}};
  (void)state;
  for (size_t i = 0; i < sizeof addends / sizeof *addends; i++) {
    for (int transposed = 0; transposed < 2; transposed++) {
      model_builder *b = builder_create(addends[i].opset);
      builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, 7));
      add_random(b, "w", NORMA_FLOAT, 2, transposed ? DIMS(5, 7) : DIMS(7, 5), -1, 1);
      bool has_addend = addends[i].rank >= 0;
      if (has_addend) add_random(b, "b", NORMA_FLOAT, addends[i].rank, addends[i].dims, -1, 1);
      node *layer = builder_node(b, "Gemm", has_addend ? "x w b" : "x w", "c");
      builder_float(layer, "alpha", 0.5f);
      builder_float(layer, "beta", -1.5f);
      builder_int(layer, "transB", transposed);
      if (addends[i].opset < 7) builder_int(layer, "broadcast", 1);
      add_parameters(b, NORMA_FLOAT, 5);
      add_normalization(b, addends[i].opset);
      checked c = check_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
      only_node(&c, "Gemm");
      free_checked(&c);
    }
  }
}

static void matmul_becomes_gemm(void **state) {
  static const int opsets[] = {6, 9, 11, 13};
  (void)state;
  for (size_t i = 0; i < sizeof opsets / sizeof *opsets; i++) {
    model_builder *b = builder_create(opsets[i]);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 7));
    add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
    builder_node(b, "MatMul", "x w", "c");
    add_parameters(b, NORMA_FLOAT, 5);
    add_normalization(b, opsets[i]);
    checked c = check_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
    only_node(&c, "Gemm");
    free_checked(&c);
  }
}

/* The names of both stay, and so does the opset; the addend becomes a vector that is added as it is. */
static void the_new_gemm_adds_its_vector_as_it_is(void **state) {
  (void)state;
  model_builder *b = product_model(11, "MatMul", "x w");
  add_normalization(b, 11);
  checked c = check_nodes(b, PASS, PASS_BOUND(NORMA_FLOAT), 1);
  const node *gemm = only_node(&c, "Gemm");
  assert_int_equal(gemm->opset, 11);
  assert_int_equal(gemm->input_count, 3);
  assert_int_equal(gemm->inputs[2]->info.shape.rank, 1);
  assert_true(attribute_float(gemm, "beta", 1) == 1);
  assert_string_equal(gemm->name, "#0 (MatMul) + #1 (BatchNormalization)");
  free_checked(&c);
}

/* ---------------------------------------------------------------------------------------------- what stays as it is */

static void expect_untouched(model_builder *b, const char *type) {
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  checked c = check_passes(b, PASS, 0);
  only_node(&c, "BatchNormalization");
  only_node(&c, type);
  free_checked(&c);
}

/* A matrix product of rank 3 has its columns on axis 2, channels are on axis 1. */
static void products_of_higher_rank_stay(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 5, 7));
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
  builder_node(b, "MatMul", "x w", "c");
  add_parameters(b, NORMA_FLOAT, 5);
  add_normalization(b, 13);
  expect_untouched(b, "MatMul");
}

/* C differs from row to row, or is no constant; neither is B. */
static void other_operands_stay(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, 7));
    if (i == 0) add_random(b, "b", NORMA_FLOAT, 2, DIMS(3, 5), -1, 1);
    if (i == 1) builder_input(b, "b", NORMA_FLOAT, 1, DIMS(5));
    if (i == 2) add_random(b, "b", NORMA_FLOAT, 1, DIMS(5), -1, 1);
    if (i == 2) builder_input(b, "w", NORMA_FLOAT, 2, DIMS(7, 5));
    if (i != 2) add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
    builder_node(b, "Gemm", "x w b", "c");
    add_parameters(b, NORMA_FLOAT, 5);
    add_normalization(b, 13);
    expect_untouched(b, "Gemm");
  }
}

static void other_readers_keep_it_apart(void **state) {
  (void)state;
  model_builder *b = product_model(13, "MatMul", "x w");
  builder_output(b, "c", NORMA_UNDEFINED, -1, NULL);
  add_normalization(b, 13);
  expect_untouched(b, "MatMul");

  b = product_model(13, "MatMul", "x w");
  add_normalization(b, 13);
  builder_node(b, "Neg", "c", "z");
  builder_output(b, "z", NORMA_UNDEFINED, -1, NULL);
  expect_untouched(b, "MatMul");
}

static void training_stays(void **state) {
  (void)state;
  model_builder *b = product_model(14, "MatMul", "x w");
  builder_int(builder_node(b, "BatchNormalization", "c scale bias mean var", "y m v"), "training_mode", 1);
  expect_untouched(b, "MatMul");
}

/* Transposed, the channels of input 0 are its rows: no form of a layer. */
static void transposed_first_operand_stays(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(7, 3));
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(7, 5), -1, 1);
  builder_int(builder_node(b, "Gemm", "x w", "c"), "transA", 1);
  add_parameters(b, NORMA_FLOAT, 5);
  add_normalization(b, 13);
  expect_untouched(b, "Gemm");
}

static void convolutions_stay(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 3, 9));
  add_random(b, "w", NORMA_FLOAT, 3, DIMS(5, 3, 3), -1, 1);
  builder_node(b, "Conv", "x w", "c");
  add_parameters(b, NORMA_FLOAT, 5);
  add_normalization(b, 13);
  expect_untouched(b, "Conv");
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  for (int gemm = 0; gemm < 2; gemm++) {
    model_builder *b = product_model(13, gemm ? "Gemm" : "MatMul", "x w");
    add_normalization(b, 13);
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    check_allocations(b, PASS);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(folds_into_gemm),
      cmocka_unit_test(matmul_becomes_gemm),
      cmocka_unit_test(the_new_gemm_adds_its_vector_as_it_is),
      cmocka_unit_test(products_of_higher_rank_stay),
      cmocka_unit_test(other_operands_stay),
      cmocka_unit_test(other_readers_keep_it_apart),
      cmocka_unit_test(training_stays),
      cmocka_unit_test(transposed_first_operand_stays),
      cmocka_unit_test(convolutions_stay),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
