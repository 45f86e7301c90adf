/*
 * MatMulInteger 10 (ai.onnx): Y = (A - a_zero_point) * (B - b_zero_point), numpy.matmul of 8-bit integers, exact modulo
 * 2^32. Zero points are one number, or one for each row of A and each column of B.
 */
#include "ops/matmul/matmul_sides.h"
#include "ops/quantized/integer_product.h"
#include "ops/quantized/quantization.h"

typedef struct matmul_integer_state {
  integer_product product;
} matmul_integer_state;

static norma_status matmul_integer_infer(infer_context *context) {
  shape y;
  TRY(infer_matmul_shape(context, 0, 1, &y));
  TRY(infer_product_parameter(context, 2, 0, false, "a_zero_point"));
  TRY(infer_product_parameter(context, 3, 1, true, "b_zero_point"));
  infer_output(context, 0, NORMA_INT32, &y);
  return NORMA_OK;
}

static norma_status matmul_integer_prepare(prepare_context *context) {
  matmul_integer_state *state = context->state;
  integer_product *product = &state->product;
  integer_product_of_matmul(context, 0, 1, product);
  product->c_type = NORMA_INT32;
  product->a_zero = 2;
  product->b_zero = 3;
  return integer_product_prepare(context, product);
}

static norma_status matmul_integer_compute(run_context *context) {
  const matmul_integer_state *state = context->state;
  const integer_product_end end = {.bias = NULL};
  return integer_product_run(context, &state->product, &end, run_output(context, 0)->data);
}

const operator_descriptor operators_matmul_integer[] = {
    {.domain = "",
     .name = "MatMulInteger",
     .versions = {10},
     .min_inputs = 2,
     .max_inputs = 4,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_8BIT, INPUT(0) | INPUT(2), 0},
               {TYPES_8BIT, INPUT(1) | INPUT(3), 0},
               {TYPE_BIT(NORMA_INT32), 0, OUTPUT(0)}},
     .state_size = sizeof(matmul_integer_state),
     .infer = matmul_integer_infer,
     .prepare = matmul_integer_prepare,
     .facts = {.packs = INPUT(1), .packs_alone = INPUT(1), .weights = INPUT(1)},
     .compute = matmul_integer_compute},
    {0},
};
