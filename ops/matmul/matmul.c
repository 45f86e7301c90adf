/*
 * MatMul 1, 9, 13 (ai.onnx): numpy.matmul; FusedMatMul 1 (com.microsoft): alpha * numpy.matmul(A', B')
 *
 * A [..., m, k] * B [..., k, n] -> Y [..., m, n]; leading axes are broadcast. A vector A stands for 1 x k, a vector B
 * for k x 1, and the axis of size 1 is left out of Y. 9 adds integers of 32 and 64 bits, whose sums wrap; 13 adds
 * bfloat16.
 *
 * A' of FusedMatMul: with transBatchA axis 0 of A stands behind the axes between, before the last; then with transA the
 * last two change places. B' likewise.
 *
 * Leading axes that only A has are rows of one larger product.
 *
 * A bias of the epilogue has n elements, added to each row.
 */
#include "engine/graph/query.h"
#include "ops/half.h"
#include "ops/matmul/matmul_sides.h"
#include "ops/matmul/matrix_product.h"
#include "ops/work.h"

typedef struct matmul_state {
  matmul_order orders[2]; /* of A and B */
  float alpha;
  matrix_product product; /* the plan's */
} matmul_state;

static norma_status matmul_read(const node *node, void *opaque, norma_error *error) {
  matmul_state *state = opaque;
  (void)error;
  state->alpha = attribute_float(node, "alpha", 1);
  state->orders[0].transposed = attribute_int(node, "transA", 0) != 0;
  state->orders[1].transposed = attribute_int(node, "transB", 0) != 0;
  state->orders[0].interleaved = attribute_int(node, "transBatchA", 0) != 0;
  state->orders[1].interleaved = attribute_int(node, "transBatchB", 0) != 0;
  return NORMA_OK;
}

static norma_status matmul_infer(infer_context *context) {
  const matmul_state *state = context->state;
  const bool fused = context->node->domain[0] != 0;
  shape y;
  if (!fused) TRY(infer_types_since(context, TYPES_INTEGER, 9));
  if (!fused) TRY(infer_types_since(context, TYPES_BFLOAT16, 13));
  TRY(infer_matmul_shape_ordered(context, 0, 1, state->orders, &y));
  infer_output(context, 0, infer_type(context, 0), &y);
  return NORMA_OK;
}

/* Strides over the leading axes of Y: in matrices of an operand, or in elements where matrices are interleaved. */
static void matmul_set_operand(product_operand *operand, int input, const matmul_side *side,
                               const matrix_product *product) {
  const int64_t last = side->order.transposed ? side->rows : side->columns;
  const int64_t matrices = dims_product(side->batch.dims, 0, side->batch.rank);
  const int64_t stride = side->order.interleaved ? last * matrices : last;
  *operand = (product_operand){.input = input,
                               .row_stride = side->order.transposed ? 1 : stride,
                               .column_stride = side->order.transposed ? stride : 1,
                               .interleaved = side->order.interleaved};
  operand->count = matmul_batch_strides(&side->batch, product->batch_rank, operand->batch_stride);
  for (int i = 0; side->order.interleaved && i < product->batch_rank; i++) operand->batch_stride[i] *= last;
}

static norma_status matmul_prepare(prepare_context *context) {
  matmul_state *state = context->state;
  matrix_product *product = &state->product;
  const epilogue *epilogue = &context->node->epilogue;
  const shape *a = prepare_shape(context, 0), *b = prepare_shape(context, 1);
  matmul_side left = matmul_side_ordered(a, false, state->orders[0]);
  matmul_side right = matmul_side_ordered(b, true, state->orders[1]);
  shape batch;
  if (!shape_broadcast(&left.batch, &right.batch, &batch))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "leading axes do not fit");
  product->type = prepare_type(context, 0);
  if (product->type != NORMA_FLOAT && (epilogue->residual_input || epilogue->activation.kind != UNARY_IDENTITY))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "an activation was fused that only float has");
  product->m = left.rows;
  product->n = right.columns;
  product->k = left.columns;
  bool follows = !left.order.interleaved && !left.order.transposed;
  if (follows && !right.order.interleaved && dims_product(right.batch.dims, 0, right.batch.rank) == 1) {
    product->m *= dims_product(batch.dims, 0, batch.rank);
    left.batch = right.batch = batch = shape_of_rank(0);
  }
  product->batch_rank = batch.rank;
  memcpy(product->batch_dims, batch.dims, (size_t)batch.rank * sizeof *batch.dims);
  matmul_set_operand(&product->a, 0, &left, product);
  matmul_set_operand(&product->b, 1, &right, product);
  return product_prepare(context, product);
}

/* Elements of a double result times alpha. */
static void matmul_scale(void *argument, int64_t begin, int64_t end, int worker) {
  const run_context *context = argument;
  const matmul_state *state = context->state;
  double *y = run_output(context, 0)->data;
  (void)worker;
  for (int64_t i = begin; i < end; i++) y[i] *= (double)state->alpha;
}

static norma_status matmul_compute(run_context *context) {
  const matmul_state *state = context->state;
  const epilogue *fused = &context->node->epilogue;
  bool scales = state->alpha != 1, is_float = state->product.type == NORMA_FLOAT || is_half(state->product.type);
  product_epilogue epilogue = {.activation = fused->activation};
  if (fused->bias_input) epilogue.column_bias = run_input(context, fused->bias_input)->data;
  if (fused->residual_input) epilogue.residual = run_input(context, fused->residual_input)->data;
  if (scales) epilogue.activation = (struct activation){UNARY_AFFINE, state->alpha, 0}; /* nothing is fused then */
  TRY(product_run(context, &state->product, is_float ? &epilogue : NULL));
  TRY(product_finish(context, &state->product));
  if (!scales || is_float) return NORMA_OK;
  return run_parallel(context, norma_tensor_count(run_output(context, 0)), work_grain(WORK_ELEMENT), matmul_scale,
                      context);
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

static const operator_attribute fused_matmul_attributes[] = {
    {"alpha", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"transA", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"transB", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"transBatchA", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"transBatchB", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

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
        .read = matmul_read,
        .infer = matmul_infer,
        .prepare = matmul_prepare,
        .facts = {.linear = matmul_linear,
                  .packs = INPUT(0) | INPUT(1),
                  .packs_alone = INPUT(1),
                  .weights = INPUT(1),
                  .store = {.bias = TYPE_BIT(NORMA_FLOAT),
                            .residual = TYPE_BIT(NORMA_FLOAT),
                            .activation = TYPE_BIT(NORMA_FLOAT)}},
        .compute = matmul_compute,
    },
    {
        .domain = "com.microsoft",
        .name = "FusedMatMul",
        .versions = {1},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(1), OUTPUT(0)}},
        .attributes = fused_matmul_attributes,
        .state_size = sizeof(matmul_state),
        .read = matmul_read,
        .infer = matmul_infer,
        .prepare = matmul_prepare,
        .facts = {.packs = INPUT(0) | INPUT(1), .packs_alone = INPUT(1), .weights = INPUT(1)},
        .compute = matmul_compute,
    },
    {0},
};
