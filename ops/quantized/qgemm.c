/*
 * QGemm 1 (com.microsoft): Y = alpha * A' * B' + C of quantised matrices. A' [M, K] is A or, with transA, its
 * transpose, B' [K, N] likewise; C int32, broadcast to [M, N], is added to the sums and so has the scale alpha *
 * a_scale * b_scale.
 *
 * A has one scale and zero point, B one or one for each column. With y_scale and y_zero_point
 *   Y = saturate(round(sum * (alpha * a_scale * b_scale / y_scale)) + y_zero_point), halves to even,
 * without them Y = sum * (alpha * a_scale * b_scale) in float. Factors are computed in float.
 */
#include "ops/quantized/integer_product.h"
#include "ops/quantized/quantization.h"
#include "ops/work.h"

enum qgemm_input { G_A, G_A_SCALE, G_A_ZERO, G_B, G_B_SCALE, G_B_ZERO, G_C, G_Y_SCALE, G_Y_ZERO };

/* How C covers Y. */
enum qgemm_addend { QGEMM_NOTHING, QGEMM_ROW, QGEMM_ANY };

typedef struct qgemm_state {
  bool trans_a, trans_b;
  float alpha;

  /* The plan's. */
  integer_product product;
  norma_element_type type; /* of Y */
  enum qgemm_addend addend;
  int64_t c_rows, c_columns;          /* of C */
  int64_t scale_count;                /* 1 or N */
  size_t scales_at, bias_at, sums_at; /* in scratch; sums where C has rows of its own */
} qgemm_state;

static norma_status qgemm_read(const node *node, void *state, norma_error *error) {
  qgemm_state *gemm = state;
  (void)error;
  gemm->trans_a = attribute_int(node, "transA", 0) != 0;
  gemm->trans_b = attribute_int(node, "transB", 0) != 0;
  gemm->alpha = attribute_float(node, "alpha", 1);
  return NORMA_OK;
}

static norma_status qgemm_infer_addend(infer_context *context, const shape *y) {
  const shape *c = infer_shape(context, G_C);
  shape broadcast;
  char c_text[200], y_text[200];
  if (!infer_has_input(context, G_C) || c->rank == RANK_UNKNOWN) return NORMA_OK;
  bool fits = c->rank <= 2 && shape_broadcast(c, y, &broadcast);
  for (int i = 0; fits && i < 2; i++)
    fits = broadcast.dims[i] == y->dims[i] || y->dims[i] == DIM_UNKNOWN || broadcast.dims[i] == DIM_UNKNOWN;
  if (fits) return NORMA_OK;
  return infer_fail(context, "C of shape %s does not fit an output of shape %s", shape_text(c, c_text, sizeof c_text),
                    shape_text(y, y_text, sizeof y_text));
}

static norma_status qgemm_infer(infer_context *context) {
  const qgemm_state *gemm = context->state;
  const shape *a = infer_shape(context, G_A), *b = infer_shape(context, G_B);
  char a_text[200], b_text[200];
  if ((a->rank != RANK_UNKNOWN && a->rank != 2) || (b->rank != RANK_UNKNOWN && b->rank != 2))
    return infer_fail(context, "A of shape %s and B of shape %s must be matrices", shape_text(a, a_text, sizeof a_text),
                      shape_text(b, b_text, sizeof b_text));
  if (infer_has_input(context, G_Y_SCALE) != infer_has_input(context, G_Y_ZERO))
    return infer_fail(context, "y_scale and y_zero_point come together");
  shape y = shape_of_rank(2);
  if (a->rank == 2) y.dims[0] = a->dims[gemm->trans_a];
  if (b->rank == 2) y.dims[1] = b->dims[!gemm->trans_b];
  const int64_t left = a->rank == 2 ? a->dims[!gemm->trans_a] : DIM_UNKNOWN;
  const int64_t right = b->rank == 2 ? b->dims[gemm->trans_b] : DIM_UNKNOWN;
  if (left != DIM_UNKNOWN && right != DIM_UNKNOWN && left != right)
    return infer_fail(context, "matrices of shape %s%s and %s%s cannot be multiplied",
                      shape_text(a, a_text, sizeof a_text), gemm->trans_a ? " (transposed)" : "",
                      shape_text(b, b_text, sizeof b_text), gemm->trans_b ? " (transposed)" : "");
  TRY(infer_single(context, G_A_SCALE, "a_scale"));
  TRY(infer_single(context, G_A_ZERO, "a_zero_point"));
  TRY(infer_vector(context, G_B_SCALE, "b_scale", y.dims[1]));
  TRY(infer_vector(context, G_B_ZERO, "b_zero_point", y.dims[1]));
  TRY(infer_single(context, G_Y_SCALE, "y_scale"));
  TRY(infer_single(context, G_Y_ZERO, "y_zero_point"));
  TRY(qgemm_infer_addend(context, &y));
  infer_output(context, 0, infer_has_input(context, G_Y_ZERO) ? infer_type(context, G_Y_ZERO) : NORMA_FLOAT, &y);
  return NORMA_OK;
}

static void qgemm_describe(const prepare_context *context, qgemm_state *gemm) {
  const shape *a = prepare_shape(context, G_A), *b = prepare_shape(context, G_B), *c = prepare_shape(context, G_C);
  integer_product *product = &gemm->product;
  product->a_type = prepare_type(context, G_A);
  product->b_type = prepare_type(context, G_B);
  product->m = a->dims[gemm->trans_a];
  product->n = b->dims[!gemm->trans_b];
  product->k = b->dims[gemm->trans_b];
  product->a = (integer_operand){.input = G_A, .count = 1};
  product->a.row_stride = gemm->trans_a ? 1 : product->k;
  product->a.column_stride = gemm->trans_a ? product->m : 1;
  product->b = (integer_operand){.input = G_B, .count = 1};
  product->b.row_stride = gemm->trans_b ? 1 : product->n;
  product->b.column_stride = gemm->trans_b ? product->k : 1;
  product->a_zero = G_A_ZERO;
  product->b_zero = G_B_ZERO;
  gemm->c_rows = c->rank == 2 ? c->dims[0] : 1;
  gemm->c_columns = c->rank > 0 ? c->dims[c->rank - 1] : 1;
  gemm->addend = c->rank == RANK_UNKNOWN ? QGEMM_NOTHING : gemm->c_rows == 1 ? QGEMM_ROW : QGEMM_ANY;
  gemm->type = prepare_type(context, G_Y_ZERO);
  if (gemm->type == NORMA_UNDEFINED) gemm->type = NORMA_FLOAT;
  gemm->scale_count = shape_count(prepare_shape(context, G_B_SCALE)) == 1 ? 1 : product->n;
}

static norma_status qgemm_prepare(prepare_context *context) {
  qgemm_state *gemm = context->state;
  integer_product *product = &gemm->product;
  qgemm_describe(context, gemm);
  product->c_type = gemm->addend == QGEMM_ANY ? NORMA_INT32 : gemm->type;
  bool fits = scratch_append(&context->scratch_bytes, (size_t)gemm->scale_count, sizeof(float), &gemm->scales_at);
  if (gemm->addend == QGEMM_ROW)
    fits = fits && scratch_append(&context->scratch_bytes, (size_t)product->n, sizeof(int32_t), &gemm->bias_at);
  if (gemm->addend == QGEMM_ANY)
    fits = fits &&
           scratch_append(&context->scratch_bytes, (size_t)(product->m * product->n), sizeof(int32_t), &gemm->sums_at);
  if (!fits) return prepare_fail(context, NORMA_ERROR_BUDGET, "the matrices are too large");
  return integer_product_prepare(context, product);
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct qgemm_job {
  const qgemm_state *gemm;
  const int32_t *sums, *c;
  const float *scale;
  void *y;
  int32_t zero;
} qgemm_job;

/* Rows of Y from sums, where C has rows of its own. */
static void qgemm_finish_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const qgemm_job *job = argument;
  const qgemm_state *gemm = job->gemm;
  const int64_t n = gemm->product.n;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    for (int64_t j = 0; j < n; j++) {
      const int64_t c_at = (gemm->c_rows == 1 ? 0 : i) * gemm->c_columns + (gemm->c_columns == 1 ? 0 : j);
      const int32_t sum = (int32_t)((uint32_t)job->sums[i * n + j] + (uint32_t)job->c[c_at]);
      const float scaled = (float)sum * job->scale[gemm->scale_count == 1 ? 0 : j];
      if (gemm->type == NORMA_FLOAT) {
        ((float *)job->y)[i * n + j] = scaled;
      } else {
        ((uint8_t *)job->y)[i * n + j] = (uint8_t)quantize_ratio(
            (double)scaled, job->zero, quantized_lowest(gemm->type), quantized_highest(gemm->type));
      }
    }
  }
}

static norma_status qgemm_compute(run_context *context) {
  const qgemm_state *gemm = context->state;
  const integer_product *product = &gemm->product;
  const norma_tensor *c = run_input(context, G_C), *y_scale = run_input(context, G_Y_SCALE);
  const norma_tensor *b_scale = run_input(context, G_B_SCALE);
  char *scratch = context->scratch;
  float *scale = (float *)(void *)(scratch + gemm->scales_at);
  const float factor = gemm->alpha * quantization_scale(run_input(context, G_A_SCALE));
  if (product->m == 0 || product->n == 0) return NORMA_OK;
  for (int64_t j = 0; j < gemm->scale_count; j++) {
    scale[j] = factor * ((const float *)b_scale->data)[j];
    if (y_scale) scale[j] /= quantization_scale(y_scale);
  }
  integer_product_end end = {.scale = scale, .scale_count = gemm->scale_count};
  end.c_zero = quantization_zero(run_input(context, G_Y_ZERO));
  void *y = run_output(context, 0)->data;
  if (gemm->addend == QGEMM_ANY) {
    int32_t *sums = (int32_t *)(void *)(scratch + gemm->sums_at);
    qgemm_job job = {gemm, sums, c->data, scale, y, end.c_zero};
    TRY(integer_product_run(context, product, &end, sums));
    return run_parallel(context, product->m, work_grain(16.0 * (double)product->n), qgemm_finish_rows, &job);
  }
  if (gemm->addend == QGEMM_ROW) {
    int32_t *bias = (int32_t *)(void *)(scratch + gemm->bias_at);
    const int32_t *addend = c->data;
    for (int64_t j = 0; j < product->n; j++) bias[j] = addend[gemm->c_columns == 1 ? 0 : j];
    end.bias = bias;
  }
  return integer_product_run(context, product, &end, y);
}

static const operator_attribute qgemm_attributes[] = {
    {"alpha", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"transA", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"transB", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_qgemm[] = {
    {.domain = "com.microsoft",
     .name = "QGemm",
     .versions = {1},
     .min_inputs = 6,
     .max_inputs = 9,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_8BIT, INPUT(G_A) | INPUT(G_A_ZERO), 0},
               {TYPES_8BIT, INPUT(G_B) | INPUT(G_B_ZERO), 0},
               {TYPE_BIT(NORMA_FLOAT), INPUT(G_A_SCALE) | INPUT(G_B_SCALE) | INPUT(G_Y_SCALE), 0},
               {TYPE_BIT(NORMA_INT32), INPUT(G_C), 0},
               {TYPES_8BIT, INPUT(G_Y_ZERO), 0},
               {TYPES_8BIT | TYPE_BIT(NORMA_FLOAT), 0, OUTPUT(0)}},
     .attributes = qgemm_attributes,
     .state_size = sizeof(qgemm_state),
     .read = qgemm_read,
     .infer = qgemm_infer,
     .prepare = qgemm_prepare,
     .facts = {.packs = INPUT(G_B), .packs_alone = INPUT(G_B), .weights = INPUT(G_B)},
     .compute = qgemm_compute},
    {0},
};
