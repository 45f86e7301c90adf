/*
 * MatMulIntegerToFloat 1, DynamicQuantizeMatMul 1 (com.microsoft): numpy.matmul of 8-bit integers into float
 *
 *   Y = (A - a_zero_point) * (B - b_zero_point) * (a_scale * b_scale) + bias
 *
 * A has one scale and zero point, B one or one for each column. DynamicQuantizeMatMul takes A in float and quantises it
 * as DynamicQuantizeLinear does. The product of the scales, that with the exact sum, and the sum with the bias are each
 * rounded to float; half precision is rounded once more.
 */
#include "ops/half.h"
#include "ops/matmul/matmul_sides.h"
#include "ops/quantized/dynamic_quantization.h"
#include "ops/quantized/integer_product.h"
#include "ops/quantized/quantization.h"
#include "ops/work.h"

/* Where an operator has its inputs; -1: nowhere. */
typedef struct to_float_inputs {
  int a_scale, b_scale, a_zero, b_zero, bias;
} to_float_inputs;

static const to_float_inputs integer_inputs = {2, 3, 4, 5, 6}, dynamic_inputs = {-1, 2, -1, 3, 4};

typedef struct to_float_state {
  to_float_inputs inputs;
  bool is_dynamic; /* A is float */

  /* The plan's. */
  integer_product product;
  norma_element_type type; /* of Y */
  int64_t scale_count;
  int64_t a_count;                                                /* elements of A */
  size_t scales_at, bias_at, result_at, quantized_at, dynamic_at; /* in scratch */
} to_float_state;

static norma_status matmul_integer_to_float_read(const node *node, void *state, norma_error *error) {
  (void)node;
  (void)error;
  ((to_float_state *)state)->inputs = integer_inputs;
  return NORMA_OK;
}

static norma_status dynamic_quantize_matmul_read(const node *node, void *state, norma_error *error) {
  to_float_state *to_float = state;
  (void)node;
  (void)error;
  to_float->inputs = dynamic_inputs;
  to_float->is_dynamic = true;
  return NORMA_OK;
}

static norma_status to_float_infer(infer_context *context) {
  const to_float_state *state = context->state;
  const to_float_inputs *inputs = &state->inputs;
  const shape *b = infer_shape(context, 1);
  shape y;
  TRY(infer_matmul_shape(context, 0, 1, &y));
  if (!state->is_dynamic) {
    TRY(infer_single(context, inputs->a_scale, "a_scale"));
    TRY(infer_single(context, inputs->a_zero, "a_zero_point"));
  }
  const int64_t columns = b->rank >= 2 ? b->dims[b->rank - 1] : b->rank == 1 ? 1 : DIM_UNKNOWN;
  const shape *bias = infer_shape(context, inputs->bias);
  TRY(infer_product_parameter(context, inputs->b_scale, 1, true, "b_scale"));
  TRY(infer_product_parameter(context, inputs->b_zero, 1, true, "b_zero_point"));
  const bool is_vector =
      bias->rank == 1 && (bias->dims[0] == columns || bias->dims[0] == DIM_UNKNOWN || columns == DIM_UNKNOWN);
  if (infer_has_input(context, inputs->bias) && bias->rank != RANK_UNKNOWN && !is_vector)
    return infer_fail(context, "the bias must have an element for each column of B");
  infer_output(context, 0, state->is_dynamic ? NORMA_FLOAT : infer_type(context, inputs->a_scale), &y);
  return NORMA_OK;
}

static norma_status to_float_prepare(prepare_context *context) {
  to_float_state *state = context->state;
  integer_product *product = &state->product;
  const shape *a = prepare_shape(context, 0);
  const epilogue *epilogue = &context->node->epilogue;
  integer_product_of_matmul(context, 0, 1, product);
  if (state->is_dynamic) product->a_type = NORMA_UINT8;
  product->c_type = NORMA_FLOAT;
  product->a_zero = state->inputs.a_zero;
  product->b_zero = state->inputs.b_zero;
  product->batch = dims_product(product->batch_dims, 0, product->batch_rank);
  state->type = state->is_dynamic ? NORMA_FLOAT : prepare_type(context, state->inputs.a_scale);
  state->scale_count =
      shape_count(prepare_shape(context, state->inputs.b_scale)) == 1 ? 1 : product->n * product->b.count;
  state->a_count = dims_product(a->dims, 0, a->rank);
  if (is_half(state->type) && (epilogue->residual_input || epilogue->activation.kind != UNARY_IDENTITY))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "an activation was fused that only float has");
  bool fits = scratch_append(&context->scratch_bytes, (size_t)state->scale_count, sizeof(float), &state->scales_at);
  if (is_half(state->type)) {
    const size_t results = (size_t)(product->batch * product->m * product->n);
    fits = fits && scratch_append(&context->scratch_bytes, (size_t)product->n, sizeof(float), &state->bias_at) &&
           scratch_append(&context->scratch_bytes, results, sizeof(float), &state->result_at);
  }
  if (state->is_dynamic) {
    fits = fits && scratch_append(&context->scratch_bytes, (size_t)state->a_count, 1, &state->quantized_at);
    TRY(dynamic_quantize_prepare(context, state->a_count, &state->dynamic_at));
  }
  if (!fits) return prepare_fail(context, NORMA_ERROR_BUDGET, "the matrices are too large");
  return integer_product_prepare(context, product);
}

static norma_status to_float_compute(run_context *context) {
  const to_float_state *state = context->state;
  const to_float_inputs *inputs = &state->inputs;
  const integer_product *product = &state->product;
  const epilogue *fused = &context->node->epilogue;
  const norma_tensor *b_scale = run_input(context, inputs->b_scale), *bias = run_input(context, inputs->bias);
  const int residual = fused->residual_input;
  char *scratch = context->scratch;
  float *scale = (float *)(void *)(scratch + state->scales_at), a_scale;
  integer_product_end end = {.scale = scale, .scale_count = state->scale_count, .activation = fused->activation};
  dynamic_quantization chosen;
  if (product->batch == 0 || product->m == 0 || product->n == 0) return NORMA_OK;
  if (state->is_dynamic) {
    uint8_t *quantized = (uint8_t *)scratch + state->quantized_at;
    TRY(dynamic_quantize(context, run_input(context, 0)->data, state->a_count, state->dynamic_at, quantized, &chosen));
    end.a = quantized;
    end.a_zero = &chosen.zero;
    a_scale = chosen.scale;
  } else {
    a_scale = quantization_scale(run_input(context, inputs->a_scale));
  }
  const int64_t scales = norma_tensor_count(b_scale);
  for (int64_t j = 0; j < state->scale_count; j++)
    scale[j] = a_scale * (float)element_get_double(b_scale->type, b_scale->data, j % scales);
  if (residual) end.residual = run_input(context, residual)->data;
  if (!is_half(state->type)) {
    if (bias) end.column_bias = bias->data;
    return integer_product_run(context, product, &end, run_output(context, 0)->data);
  }
  float *wide_bias = (float *)(void *)(scratch + state->bias_at),
        *result = (float *)(void *)(scratch + state->result_at);
  if (bias) half_to_float(context->kernels, state->type, wide_bias, bias->data, product->n);
  if (bias) end.column_bias = wide_bias;
  TRY(integer_product_run(context, product, &end, result));
  half_from_float(context->kernels, state->type, run_output(context, 0)->data, result,
                  product->batch * product->m * product->n);
  return NORMA_OK;
}

#define TO_FLOAT_TYPES (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16))

const operator_descriptor operators_matmul_integer_to_float[] = {
    {.domain = "com.microsoft",
     .name = "MatMulIntegerToFloat",
     .versions = {1},
     .min_inputs = 4,
     .max_inputs = 7,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_8BIT, INPUT(0) | INPUT(4), 0},
               {TYPES_8BIT, INPUT(1) | INPUT(5), 0},
               {TO_FLOAT_TYPES, INPUT(2) | INPUT(3) | INPUT(6), OUTPUT(0)}},
     .state_size = sizeof(to_float_state),
     .read = matmul_integer_to_float_read,
     .infer = to_float_infer,
     .prepare = to_float_prepare,
     .facts = {.packs = INPUT(1),
               .packs_alone = INPUT(1),
               .weights = INPUT(1),
               .store = {.residual = TYPE_BIT(NORMA_FLOAT), .activation = TYPE_BIT(NORMA_FLOAT)}},
     .compute = to_float_compute},
    {.domain = "com.microsoft",
     .name = "DynamicQuantizeMatMul",
     .versions = {1},
     .min_inputs = 3,
     .max_inputs = 5,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_8BIT, INPUT(1) | INPUT(3), 0},
               {TYPE_BIT(NORMA_FLOAT), INPUT(0) | INPUT(2) | INPUT(4), OUTPUT(0)}},
     .state_size = sizeof(to_float_state),
     .read = dynamic_quantize_matmul_read,
     .infer = to_float_infer,
     .prepare = to_float_prepare,
     .facts = {.packs = INPUT(1),
               .packs_alone = INPUT(1),
               .weights = INPUT(1),
               .store = {.residual = TYPE_BIT(NORMA_FLOAT), .activation = TYPE_BIT(NORMA_FLOAT)}},
     .compute = to_float_compute},
    {0},
};
