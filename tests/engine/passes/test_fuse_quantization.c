/* Operators between DequantizeLinear and QuantizeLinear become those of integers. Scales are powers of two and sums
 * small, so that floats hold all of them and results are the same to the bit. */
#include "engine/graph/query.h"
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define PASS      "fuse_quantization"

static const double number_list[] = {-3, 7, 1, 0, -8, 5, 2, -1, 4, -6, 3, -2, 6, -4, 8, -5};

static void add_bytes(model_builder *b, const char *name, int rank, const int64_t *dims) {
  double numbers[64];
  int64_t count = 1;
  for (int i = 0; i < rank; i++) count *= dims[i];
  assert_true(count <= 64);
  for (int64_t i = 0; i < count; i++) numbers[i] = number_list[i * 5 % 16];
  add_numbers(b, name, NORMA_INT8, rank, dims, numbers);
}

/* x, quantised in eighths with zero point 10, as d; `type` of all activations. */
static model_builder *start(norma_element_type type, int rank, const int64_t *dims) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, rank, dims);
  add_number(b, "eighth", NORMA_FLOAT, 0.125);
  add_number(b, "quarter", NORMA_FLOAT, 0.25);
  add_number(b, "half", NORMA_FLOAT, 0.5);
  add_number(b, "zero", type, type == NORMA_INT8 ? -10 : 100);
  add_number(b, "least", type, type == NORMA_INT8 ? -128 : 0);
  builder_node(b, "QuantizeLinear", "x eighth zero", "q");
  builder_node(b, "DequantizeLinear", "q eighth zero", "d");
  return b;
}

/* y from the floats `name`, through integers of this scale and zero point. */
static void finish(model_builder *b, const char *name, const char *scale, const char *zero) {
  char inputs[64], again[64];
  snprintf(inputs, sizeof inputs, "%s %s %s", name, scale, zero);
  snprintf(again, sizeof again, "yq %s %s", scale, zero);
  builder_node(b, "QuantizeLinear", inputs, "yq");
  builder_node(b, "DequantizeLinear", again, "y");
}

/* The model becomes Quantize, this operator, Dequantize, and gives the same. */
static checked expect_fused(model_builder *b, const char *op_type) {
  checked c = check_nodes(b, PASS, 0, 3);
  only_node(&c, op_type);
  return c;
}

/* Weights of 4 x 4 x 1 x 1 with a scale for each output, and a bias of their scales. */
static void add_conv(model_builder *b, const char *bias_scale, const char *output) {
  add_bytes(b, "w", 4, DIMS(4, 4, 1, 1));
  add_numbers(b, "ws", NORMA_FLOAT, 1, DIMS(4), (const double[]){0.5, 0.25, 0.125, 1});
  add_numbers(b, "wz", NORMA_INT8, 1, DIMS(4), (const double[]){0, 0, 0, 0});
  add_numbers(b, "bq", NORMA_INT32, 1, DIMS(4), (const double[]){5, -7, 9, 100});
  add_numbers(b, "right", NORMA_FLOAT, 1, DIMS(4), (const double[]){0.0625, 0.03125, 0.015625, 0.125});
  add_numbers(b, "wrong", NORMA_FLOAT, 1, DIMS(4), (const double[]){0.0625, 0.03125, 0.015625, 0.25});
  builder_int(builder_node(b, "DequantizeLinear", "w ws wz", "wd"), "axis", 0);
  char inputs[32];
  snprintf(inputs, sizeof inputs, "bq %s", bias_scale);
  builder_int(builder_node(b, "DequantizeLinear", inputs, "bd"), "axis", 0);
  builder_node(b, "Conv", "d wd bd", output);
}

static void convolutions(void **state) {
  (void)state;
  for (int type = 0; type < 2; type++) {
    model_builder *b = start(type ? NORMA_INT8 : NORMA_UINT8, 4, DIMS(1, 4, 5, 3));
    add_conv(b, "right", "c");
    finish(b, "c", "half", "zero");
    checked c = expect_fused(b, "QLinearConv");
    assert_int_equal(only_node(&c, "QLinearConv")->epilogue.activation.kind, UNARY_IDENTITY);
    free_checked(&c);
  }
}

/* A bias that has another scale, or is float, is brought to that of the sums. */
static void other_biases_become_integers(void **state) {
  (void)state;
  model_builder *b = start(NORMA_UINT8, 4, DIMS(1, 4, 5, 3));
  add_conv(b, "wrong", "c");
  finish(b, "c", "half", "zero");
  checked c = expect_fused(b, "QLinearConv");
  const norma_tensor *bias = node_constant_input(only_node(&c, "QLinearConv"), 8);
  assert_true(bias && bias->type == NORMA_INT32 && ((const int32_t *)bias->data)[3] == 200);
  free_checked(&c);

  b = start(NORMA_UINT8, 2, DIMS(5, 4));
  add_bytes(b, "w", 2, DIMS(4, 3));
  add_numbers(b, "bias", NORMA_FLOAT, 1, DIMS(3), (const double[]){0.5, -3, 0.03125});
  builder_node(b, "DequantizeLinear", "w quarter", "wd");
  builder_node(b, "Gemm", "d wd bias", "c");
  finish(b, "c", "half", "zero");
  c = expect_fused(b, "QGemm");
  bias = node_constant_input(only_node(&c, "QGemm"), 6);
  assert_true(bias && bias->type == NORMA_INT32 && ((const int32_t *)bias->data)[1] == -96);
  free_checked(&c);
}

static void biases_beyond_integers_stay(void **state) {
  (void)state;
  model_builder *b = start(NORMA_UINT8, 2, DIMS(5, 4));
  add_bytes(b, "w", 2, DIMS(4, 3));
  add_numbers(b, "bias", NORMA_FLOAT, 1, DIMS(3), (const double[]){0.5, -3, 1e9});
  builder_node(b, "DequantizeLinear", "w quarter", "wd");
  builder_node(b, "Gemm", "d wd bias", "c");
  finish(b, "c", "half", "zero");
  checked c = check_passes(b, PASS, 0);
  assert_int_equal(count_nodes(&c, "Gemm"), 1);
  free_checked(&c);
}

/* With the zero point at the lowest number a Relu is what the type's range does; else it becomes a limit. */
static void activations_are_ranges(void **state) {
  (void)state;
  for (int limited = 0; limited < 2; limited++) {
    model_builder *b = start(NORMA_UINT8, 4, DIMS(1, 4, 5, 3));
    add_conv(b, "right", "c");
    builder_node(b, "Relu", "c", "r");
    finish(b, "r", "half", limited ? "zero" : "least");
    checked c = expect_fused(b, "QLinearConv");
    const struct activation *activation = &only_node(&c, "QLinearConv")->epilogue.activation;
    assert_int_equal(activation->kind, limited ? UNARY_CLIP : UNARY_IDENTITY);
    if (limited) assert_true(activation->a == 100 && activation->b == 255);
    free_checked(&c);
  }
}

static void clips_become_limits(void **state) {
  (void)state;
  model_builder *b = start(NORMA_INT8, 4, DIMS(1, 4, 5, 3));
  add_conv(b, "right", "c");
  add_number(b, "low", NORMA_FLOAT, -1.3);
  add_number(b, "high", NORMA_FLOAT, 6);
  builder_node(b, "Clip", "c low high", "r");
  finish(b, "r", "half", "zero");
  checked c = expect_fused(b, "QLinearConv");
  const struct activation *activation = &only_node(&c, "QLinearConv")->epilogue.activation;
  assert_true(activation->kind == UNARY_CLIP && activation->a == -13 && activation->b == 2);
  free_checked(&c);
}

static void products(void **state) {
  (void)state;
  model_builder *b = start(NORMA_UINT8, 2, DIMS(5, 4));
  add_bytes(b, "w", 2, DIMS(4, 6));
  builder_node(b, "DequantizeLinear", "w quarter", "wd");
  builder_node(b, "MatMul", "d wd", "c");
  finish(b, "c", "half", "zero");
  checked c = expect_fused(b, "QLinearMatMul");
  free_checked(&c);

  b = start(NORMA_UINT8, 2, DIMS(5, 4));
  add_bytes(b, "w", 2, DIMS(6, 4));
  add_numbers(b, "bq", NORMA_INT32, 1, DIMS(6), (const double[]){1, 2, 3, -4, -5, -6});
  add_number(b, "sums", NORMA_FLOAT, 0.03125);
  builder_node(b, "DequantizeLinear", "w quarter", "wd");
  builder_node(b, "DequantizeLinear", "bq sums", "bd");
  builder_int(builder_node(b, "Gemm", "d wd bd", "c"), "transB", 1);
  finish(b, "c", "half", "zero");
  c = expect_fused(b, "QGemm");
  free_checked(&c);
}

static void arithmetic(void **state) {
  static const struct {
    const char *op_type, *integers;
  } operators[] = {{"Add", "QLinearAdd"}, {"Sum", "QLinearAdd"}, {"Mul", "QLinearMul"}};
  (void)state;
  for (int i = 0; i < 6; i++) {
    const bool limited = i >= 3;
    model_builder *b = start(NORMA_UINT8, 2, DIMS(5, 4));
    builder_input(b, "z", NORMA_FLOAT, 2, DIMS(5, 4));
    builder_node(b, "QuantizeLinear", "z quarter zero", "p");
    builder_node(b, "DequantizeLinear", "p quarter zero", "e");
    builder_node(b, operators[i % 3].op_type, "d e", "c");
    if (limited) builder_node(b, "Relu", "c", "r");
    finish(b, limited ? "r" : "c", "half", "zero");
    checked c = check_nodes(b, PASS, 0, 4);
    const struct activation *activation = &only_node(&c, operators[i % 3].integers)->epilogue.activation;
    assert_int_equal(activation->kind, limited ? UNARY_CLIP : UNARY_IDENTITY);
    free_checked(&c);
  }
}

/* Parts of other scales go through a table, those of y's stay as they are. */
static void parts_of_a_concat(void **state) {
  (void)state;
  model_builder *b = start(NORMA_UINT8, 2, DIMS(5, 4));
  builder_input(b, "z", NORMA_FLOAT, 2, DIMS(5, 4));
  builder_node(b, "QuantizeLinear", "z half zero", "p");
  builder_node(b, "DequantizeLinear", "p half zero", "e");
  builder_int(builder_node(b, "Concat", "d e d", "c"), "axis", 1);
  finish(b, "c", "half", "zero");
  checked c = check_nodes(b, PASS, 0, 6);
  assert_int_equal(count_nodes(&c, "QuantizedActivation"), 2);
  assert_string_equal(only_node(&c, "Concat")->domain, "");
  free_checked(&c);
}

static void pools_and_softmax(void **state) {
  (void)state;
  model_builder *b = start(NORMA_INT8, 4, DIMS(1, 3, 4, 4));
  builder_node(b, "GlobalAveragePool", "d", "c");
  finish(b, "c", "half", "zero");
  checked c = expect_fused(b, "QLinearGlobalAveragePool");
  free_checked(&c);

  b = start(NORMA_INT8, 4, DIMS(1, 3, 4, 4));
  builder_ints(builder_node(b, "AveragePool", "d", "c"), "kernel_shape", 2, DIMS(2, 2));
  finish(b, "c", "half", "zero");
  c = expect_fused(b, "QLinearAveragePool");
  free_checked(&c);

  b = start(NORMA_UINT8, 2, DIMS(3, 7));
  builder_node(b, "Softmax", "d", "c");
  add_number(b, "fine", NORMA_FLOAT, 0.00390625);
  finish(b, "c", "fine", "least");
  c = expect_fused(b, "QLinearSoftmax");
  assert_int_equal(attribute_int(only_node(&c, "QLinearSoftmax"), "axis", 0), -1);
  free_checked(&c);
}

/* Functions of one input, and none where only the parameters change. */
static void functions_become_tables(void **state) {
  static const char *const functions[] = {"Sigmoid", "LeakyRelu", "Abs", "Tanh", "Relu"};
  (void)state;
  for (int i = 0; i < 5; i++) {
    model_builder *b = start(NORMA_UINT8, 2, DIMS(5, 40));
    builder_node(b, functions[i], "d", "c");
    finish(b, "c", "quarter", "zero");
    checked c = expect_fused(b, "QuantizedActivation");
    free_checked(&c);
  }
}

static void what_others_read_stays(void **state) {
  (void)state;
  model_builder *b = start(NORMA_UINT8, 2, DIMS(5, 4));
  builder_node(b, "Sigmoid", "d", "c");
  builder_node(b, "QuantizeLinear", "c quarter zero", "yq");
  builder_node(b, "DequantizeLinear", "yq quarter zero", "e");
  builder_node(b, "Add", "c e", "y");
  checked c = check_nodes(b, PASS, 0, 6);
  assert_int_equal(count_nodes(&c, "QuantizedActivation"), 0);
  free_checked(&c);
}

static void memory_may_run_out(void **state) {
  (void)state;
  model_builder *b = start(NORMA_UINT8, 4, DIMS(1, 4, 5, 3));
  add_conv(b, "right", "c");
  builder_node(b, "Relu", "c", "r");
  finish(b, "r", "half", "zero");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(convolutions),
      cmocka_unit_test(other_biases_become_integers),
      cmocka_unit_test(biases_beyond_integers_stay),
      cmocka_unit_test(activations_are_ranges),
      cmocka_unit_test(clips_become_limits),
      cmocka_unit_test(products),
      cmocka_unit_test(arithmetic),
      cmocka_unit_test(parts_of_a_concat),
      cmocka_unit_test(pools_and_softmax),
      cmocka_unit_test(functions_become_tables),
      cmocka_unit_test(what_others_read_stays),
      cmocka_unit_test(memory_may_run_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
