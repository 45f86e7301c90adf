/*
 * MatMul 1, 9, 13 (ai.onnx): numpy.matmul
 *
 * A [..., m, k] * B [..., k, n] -> Y [..., m, n]; leading axes are broadcast. A vector A stands for 1 x k, a vector B
 * for k x 1, and the axis of size 1 is left out of Y. 9 adds integers of 32 and 64 bits, whose sums wrap; 13 adds
 * bfloat16.
 *
 * Leading axes that only A has are rows of one larger product.
 *
 * A bias of the epilogue has n elements, added to each row.
 */
#include "engine/graph/query.h"
#include "ops/matmul/matmul_sides.h"
#include "ops/matmul/matrix_product.h"
#include "ops/work.h"

typedef struct matmul_state {
  matrix_product product;
} matmul_state;

static norma_status matmul_infer(infer_context *context) {
  shape y;
  TRY(infer_types_since(context, TYPES_INTEGER, 9));
  TRY(infer_types_since(context, TYPES_BFLOAT16, 13));
  TRY(infer_matmul_shape(context, 0, 1, &y));
  infer_output(context, 0, infer_type(context, 0), &y);
  return NORMA_OK;
}

static norma_status matmul_prepare(prepare_context *context) {
  matmul_state *state = context->state;
  matrix_product *product = &state->product;
  const epilogue *epilogue = &context->node->epilogue;
  matmul_side left = matmul_side_of(prepare_shape(context, 0), false);
  matmul_side right = matmul_side_of(prepare_shape(context, 1), true);
  shape batch;
  if (!shape_broadcast(&left.batch, &right.batch, &batch))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "leading axes do not fit");
  product->type = prepare_type(context, 0);
  if (product->type != NORMA_FLOAT && (epilogue->residual_input || epilogue->activation.kind != UNARY_IDENTITY))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "an activation was fused that only float has");
  product->m = left.rows;
  product->n = right.columns;
  product->k = left.columns;
  if (dims_product(right.batch.dims, 0, right.batch.rank) == 1) {
    product->m *= dims_product(batch.dims, 0, batch.rank);
    left.batch = batch = shape_of_rank(0);
  }
  product->batch_rank = batch.rank;
  memcpy(product->batch_dims, batch.dims, (size_t)batch.rank * sizeof *batch.dims);
  product->a.input = 0;
  product->a.row_stride = product->k;
  product->a.column_stride = 1;
  product->a.count = matmul_batch_strides(&left.batch, product->batch_rank, product->a.batch_stride);
  product->b.input = 1;
  product->b.row_stride = product->n;
  product->b.column_stride = 1;
  if (batch.rank == 0) right.batch = batch;
  product->b.count = matmul_batch_strides(&right.batch, product->batch_rank, product->b.batch_stride);
  return product_prepare(context, product);
}

static norma_status matmul_compute(run_context *context) {
  const matmul_state *state = context->state;
  const epilogue *fused = &context->node->epilogue;
  product_epilogue epilogue = {.activation = fused->activation};
  if (fused->bias_input) epilogue.column_bias = run_input(context, fused->bias_input)->data;
  if (fused->residual_input) epilogue.residual = run_input(context, fused->residual_input)->data;
  TRY(product_run(context, &state->product, state->product.type == NORMA_FLOAT ? &epilogue : NULL));
  return product_finish(context, &state->product);
}

/* ------------------------------------------------------------------------------------------------------------ facts */

/* With a bias it is a Gemm, where it multiplies matrices. */
static bool matmul_linear(const node *node, linear_form *form) {
  const shape *a = node_input_shape(node, 0), *b = node_input_shape(node, 1);
  if (b->rank != 2 || a->rank < 2) return false;
  form->weights = 1;
  form->bias = 2;
  form->groups = form->inner = 1;
  form->first = b->dims[0];
  form->second = b->dims[1];
  form->input_axis = form->output_axis = a->rank - 1;
  form->takes_bias = a->rank == 2;
  form->biased = "Gemm";
  form->settings = gemm_bias_settings;
  return true;
}

const operator_descriptor operators_matmul[] = {
    {
        .domain = "",
        .name = "MatMul",
        .versions = {1, 9, 13},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT | TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64) | TYPE_BIT(NORMA_UINT32) |
                       TYPE_BIT(NORMA_UINT64),
                   INPUT(0) | INPUT(1), OUTPUT(0)}},
        .state_size = sizeof(matmul_state),
        .infer = matmul_infer,
        .prepare = matmul_prepare,
        .facts = {.linear = matmul_linear,
                  .packs = INPUT(0) | INPUT(1),
                  .weights = INPUT(1),
                  .store = {.bias = TYPE_BIT(NORMA_FLOAT),
                            .residual = TYPE_BIT(NORMA_FLOAT),
                            .activation = TYPE_BIT(NORMA_FLOAT)}},
        .compute = matmul_compute,
    },
    {0},
};
