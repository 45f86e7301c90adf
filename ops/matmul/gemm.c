/*
 * Gemm 1, 6, 7, 9, 11, 13 (ai.onnx): Y = alpha * A' * B' + beta * C
 *
 * A' [M, K] is A or, with transA, its transpose; B' [K, N] likewise; C is broadcast to Y [M, N]. Before 7, C is
 * broadcast only where the attribute says so; 9 adds integers of 32 and 64 bits, 11 makes C optional, 13 adds bfloat16.
 *
 * Float with alpha = 1 is one product that adds C as it stores; else C is added in a second pass over Y. Half precision
 * is computed in float and rounded once. Integers wrap; a factor that is no integer is applied in double precision.
 */
#include "engine/graph/query.h"
#include "ops/half.h"
#include "ops/matmul/matrix_product.h"
#include "ops/work.h"

#include <math.h>

/* How C covers Y. */
enum gemm_addend { GEMM_NOTHING, GEMM_SCALAR, GEMM_COLUMN_VECTOR, GEMM_ROW_VECTOR, GEMM_MATRIX };

typedef struct gemm_state {
  double alpha, beta;
  bool trans_a, trans_b;
  bool broadcasts;

  /* The plan's. */
  matrix_product product;
  int64_t m, n; /* of Y; the product may be transposed */
  enum gemm_addend addend;
  int64_t addend_count; /* elements of C */
  size_t addend_at;     /* in scratch: beta * C as float, a scalar repeated to a row */
} gemm_state;

static norma_status gemm_read(const node *node, void *state, norma_error *error) {
  gemm_state *gemm = state;
  (void)error;
  gemm->alpha = (double)attribute_float(node, "alpha", 1);
  gemm->beta = (double)attribute_float(node, "beta", 1);
  gemm->trans_a = attribute_int(node, "transA", 0) != 0;
  gemm->trans_b = attribute_int(node, "transB", 0) != 0;
  gemm->broadcasts = node->version >= 7 || attribute_int(node, "broadcast", 0) != 0;
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ infer */

/* Whether C, broadcast or not as the version has it, covers m x n; unknown sizes fit. */
static bool gemm_addend_fits(const gemm_state *gemm, const shape *c, const int64_t y[2]) {
  if (c->rank == RANK_UNKNOWN) return true;
  if (c->rank > 2 || (!gemm->broadcasts && c->rank != 2)) return false;
  for (int i = 0; i < c->rank; i++) {
    int64_t size = c->dims[i], wanted = y[2 - c->rank + i];
    bool repeats = gemm->broadcasts && size == 1;
    if (size != DIM_UNKNOWN && wanted != DIM_UNKNOWN && size != wanted && !repeats) return false;
  }
  return true;
}

static norma_status gemm_infer(infer_context *context) {
  const gemm_state *gemm = context->state;
  const shape *a = infer_shape(context, 0), *b = infer_shape(context, 1), *c = infer_shape(context, 2);
  char a_text[200], b_text[200];
  TRY(infer_types_since(context, TYPES_INTEGER, 9));
  TRY(infer_types_since(context, TYPES_BFLOAT16, 13));
  if (context->node->version < 11 && !infer_has_input(context, 2))
    return infer_fail(context, "C is needed before opset 11");
  if ((a->rank != RANK_UNKNOWN && a->rank != 2) || (b->rank != RANK_UNKNOWN && b->rank != 2))
    return infer_fail(context, "A of shape %s and B of shape %s must be matrices", shape_text(a, a_text, sizeof a_text),
                      shape_text(b, b_text, sizeof b_text));
  shape y = shape_of_rank(2);
  if (a->rank == 2) y.dims[0] = a->dims[gemm->trans_a];
  if (b->rank == 2) y.dims[1] = b->dims[!gemm->trans_b];
  int64_t left = a->rank == 2 ? a->dims[!gemm->trans_a] : DIM_UNKNOWN;
  int64_t right = b->rank == 2 ? b->dims[gemm->trans_b] : DIM_UNKNOWN;
  if (left != DIM_UNKNOWN && right != DIM_UNKNOWN && left != right)
    return infer_fail(context, "matrices of shape %s%s and %s%s cannot be multiplied",
                      shape_text(a, a_text, sizeof a_text), gemm->trans_a ? " (transposed)" : "",
                      shape_text(b, b_text, sizeof b_text), gemm->trans_b ? " (transposed)" : "");
  if (!gemm_addend_fits(gemm, c, y.dims))
    return infer_fail(context, "C of shape %s does not fit an output of shape %s%s",
                      shape_text(c, a_text, sizeof a_text), shape_text(&y, b_text, sizeof b_text),
                      gemm->broadcasts ? "" : " without broadcast");
  infer_output(context, 0, infer_type(context, 0), &y);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

static enum gemm_addend gemm_addend_of(const gemm_state *gemm, const shape *c, int64_t m, int64_t n) {
  if (c->rank == RANK_UNKNOWN || gemm->beta == 0) return GEMM_NOTHING;
  int64_t rows = c->rank == 2 ? c->dims[0] : 1, columns = c->rank > 0 ? c->dims[c->rank - 1] : 1;
  if (rows == 1) return columns == n ? GEMM_ROW_VECTOR : GEMM_SCALAR;
  return columns == n && rows == m ? GEMM_MATRIX : GEMM_COLUMN_VECTOR;
}

static bool gemm_is_float(const gemm_state *gemm) {
  return gemm->product.type == NORMA_FLOAT || is_half(gemm->product.type);
}

/* Whether beta * C needs a place of its own. */
static bool gemm_copies_addend(const gemm_state *gemm) {
  if (!gemm_is_float(gemm) || gemm->addend == GEMM_NOTHING) return false;
  return gemm->beta != 1 || is_half(gemm->product.type) || gemm->addend == GEMM_SCALAR;
}

static norma_status gemm_prepare(prepare_context *context) {
  gemm_state *gemm = context->state;
  matrix_product *product = &gemm->product;
  const shape *a = prepare_shape(context, 0), *b = prepare_shape(context, 1), *c = prepare_shape(context, 2);
  const epilogue *epilogue = &context->node->epilogue;
  product->type = prepare_type(context, 0);
  if (product->type != NORMA_FLOAT && (epilogue->residual_input || epilogue->activation.kind != UNARY_IDENTITY))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "an activation was fused that only float has");
  product->m = gemm->m = a->dims[gemm->trans_a];
  product->n = gemm->n = b->dims[!gemm->trans_b];
  product->k = b->dims[gemm->trans_b];
  product->a = (product_operand){.input = 0, .count = 1};
  product->a.row_stride = gemm->trans_a ? 1 : product->k;
  product->a.column_stride = gemm->trans_a ? product->m : 1;
  product->b = (product_operand){.input = 1, .count = 1};
  product->b.row_stride = gemm->trans_b ? 1 : product->n;
  product->b.column_stride = gemm->trans_b ? product->k : 1;
  gemm->addend = gemm_addend_of(gemm, c, gemm->m, gemm->n);
  gemm->addend_count = gemm->addend == GEMM_NOTHING ? 0 : dims_product(c->dims, 0, c->rank);
  size_t count = (size_t)(gemm->addend == GEMM_SCALAR ? gemm->n : gemm->addend_count);
  if (gemm_copies_addend(gemm) && !scratch_append(&context->scratch_bytes, count, sizeof(float), &gemm->addend_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "C is too large");
  return product_prepare(context, product);
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* beta * C as float. */
static const float *gemm_make_addend(run_context *context) {
  const gemm_state *gemm = context->state;
  if (gemm->addend == GEMM_NOTHING) return NULL;
  const norma_tensor *c = run_input(context, 2);
  if (!gemm_copies_addend(gemm)) return c->data;
  float *values = (float *)((char *)context->scratch + gemm->addend_at);
  elements_to_float(c->type, c->data, 0, gemm->addend_count, values);
  for (int64_t i = 0; i < gemm->addend_count; i++) values[i] *= (float)gemm->beta;
  if (gemm->addend == GEMM_SCALAR) {
    for (int64_t i = 1; i < gemm->n; i++) values[i] = values[0];
  }
  return values;
}

/* A second pass over rows of Y, for what one product cannot do. */
struct gemm_pass {
  run_context *context;
  float *y;
  float scale;
  const float *addend; /* beta * C, or NULL where the product has added it */
  const float *residual;
  struct activation activation;
};

static void gemm_pass_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const struct gemm_pass *pass = argument;
  const gemm_state *gemm = pass->context->state;
  const struct kernel_table *kernels = pass->context->kernels;
  static const struct activation none = {UNARY_IDENTITY, 0, 0};
  size_t n = (size_t)gemm->n;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    float *y = pass->y + i * gemm->n, shift = 0;
    const float *row = pass->addend, *residual = pass->residual ? pass->residual + i * gemm->n : NULL;
    if (row && gemm->addend == GEMM_MATRIX) row += i * gemm->n;
    if (row && gemm->addend == GEMM_COLUMN_VECTOR) {
      shift = row[i];
      row = NULL;
    }
    kernels->affine_f32(y, y, row ? row : residual, n, pass->scale, shift, row && residual ? none : pass->activation);
    if (row && residual) kernels->affine_f32(y, y, residual, n, 1, 0, pass->activation);
  }
}

static norma_status gemm_compute_float(run_context *context) {
  const gemm_state *gemm = context->state;
  const epilogue *fused = &context->node->epilogue;
  const float *addend = gemm_make_addend(context);
  struct gemm_pass pass = {.context = context, .scale = (float)gemm->alpha, .activation = fused->activation};
  if (fused->residual_input) pass.residual = run_input(context, fused->residual_input)->data;
  bool is_matrix = gemm->addend == GEMM_MATRIX;
  bool in_one = gemm->alpha == 1 && !(is_matrix && pass.residual);

  product_epilogue epilogue = {0};
  if (gemm->alpha == 1) {
    epilogue.row_bias = gemm->addend == GEMM_COLUMN_VECTOR ? addend : NULL;
    epilogue.column_bias = gemm->addend == GEMM_ROW_VECTOR || gemm->addend == GEMM_SCALAR ? addend : NULL;
    epilogue.residual = is_matrix ? addend : pass.residual;
  } else {
    pass.addend = addend;
  }
  if (in_one) epilogue.activation = fused->activation;
  TRY(product_run(context, &gemm->product, &epilogue));
  if (!in_one) {
    pass.y = product_result(context, &gemm->product);
    TRY(run_parallel(context, gemm->m, work_grain(WORK_ELEMENT * (double)gemm->n), gemm_pass_rows, &pass));
  }
  return product_finish(context, &gemm->product);
}

/* Element (i, j) of C among its elements. */
static int64_t gemm_addend_index(const gemm_state *gemm, int64_t i, int64_t j) {
  switch (gemm->addend) {
  case GEMM_NOTHING:
  case GEMM_SCALAR:
    break;
  case GEMM_COLUMN_VECTOR:
    return i;
  case GEMM_ROW_VECTOR:
    return j;
  case GEMM_MATRIX:
    return i * gemm->n + j;
  }
  return 0;
}

static void gemm_add_double(const gemm_state *gemm, double *y, const double *c) {
  for (int64_t i = 0; i < gemm->m; i++) {
    for (int64_t j = 0; j < gemm->n; j++) {
      double *element = y + i * gemm->n + j;
      *element *= gemm->alpha;
      if (c) *element += gemm->beta * c[gemm_addend_index(gemm, i, j)];
    }
  }
}

static bool gemm_is_whole(double factor) {
  return factor == trunc(factor) && fabs(factor) < 0x1p62;
}

static void gemm_add_integer(const gemm_state *gemm, norma_tensor *y, const norma_tensor *c) {
  bool exact = gemm_is_whole(gemm->alpha) && gemm_is_whole(gemm->beta);
  for (int64_t i = 0; i < gemm->m; i++) {
    for (int64_t j = 0; j < gemm->n; j++) {
      int64_t at = i * gemm->n + j, from = c ? gemm_addend_index(gemm, i, j) : 0;
      if (exact) {
        uint64_t sum = (uint64_t)(int64_t)gemm->alpha * (uint64_t)element_get_int64(y->type, y->data, at);
        if (c) sum += (uint64_t)(int64_t)gemm->beta * (uint64_t)element_get_int64(c->type, c->data, from);
        element_set_int64(y->type, y->data, at, (int64_t)sum);
      } else {
        double sum = gemm->alpha * element_get_double(y->type, y->data, at);
        if (c) sum += gemm->beta * element_get_double(c->type, c->data, from);
        element_set_double(y->type, y->data, at, sum);
      }
    }
  }
}

static norma_status gemm_compute(run_context *context) {
  const gemm_state *gemm = context->state;
  if (gemm->m == 0 || gemm->n == 0) return NORMA_OK;
  if (gemm_is_float(gemm)) return gemm_compute_float(context);
  norma_tensor *y = run_output(context, 0);
  const norma_tensor *c = gemm->addend == GEMM_NOTHING ? NULL : run_input(context, 2);
  TRY(product_run(context, &gemm->product, NULL));
  if (!c && gemm->alpha == 1) return NORMA_OK;
  if (gemm->product.type == NORMA_DOUBLE)
    gemm_add_double(gemm, y->data, c ? c->data : NULL);
  else
    gemm_add_integer(gemm, y, c);
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------- descriptor */

static const operator_attribute gemm_attributes[] = {
    {"alpha", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"beta", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"broadcast", ATTRIBUTE_INT, 1, 6, false},
    {"transA", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"transB", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ facts */

const bias_setting gemm_bias_settings[] = {
    {"beta", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST},
    {"broadcast", ATTRIBUTE_INT, 1, 6},
    {NULL, ATTRIBUTE_NONE, 0, 0},
};

static bool gemm_linear(const node *node, linear_form *form) {
  const gemm_state *gemm = node->state;
  const shape *a = node_input_shape(node, 0), *b = node_input_shape(node, 1);
  if (b->rank != 2 || a->rank != 2 || gemm->trans_a) return false;
  form->weights = 1;
  form->bias = 2;
  form->output_first = gemm->trans_b;
  form->groups = form->inner = 1;
  form->first = b->dims[0];
  form->second = b->dims[1];
  form->input_axis = form->output_axis = 1;
  form->takes_bias = form->repeats_bias = true;
  form->alpha = gemm->alpha;
  form->beta = gemm->beta;
  form->settings = gemm_bias_settings;
  return true;
}

const operator_descriptor operators_gemm[] = {
    {
        .domain = "",
        .name = "Gemm",
        .versions = {1, 6, 7, 9, 11, 13},
        .min_inputs = 2,
        .max_inputs = 3,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT | TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64) | TYPE_BIT(NORMA_UINT32) |
                       TYPE_BIT(NORMA_UINT64),
                   INPUT(0) | INPUT(1) | INPUT(2), OUTPUT(0)}},
        .attributes = gemm_attributes,
        .state_size = sizeof(gemm_state),
        .read = gemm_read,
        .infer = gemm_infer,
        .prepare = gemm_prepare,
        .facts = {.linear = gemm_linear,
                  .packs = INPUT(0) | INPUT(1),
                  .packs_alone = INPUT(1),
                  .weights = INPUT(1),
                  .bias = 2,
                  .store = {.residual = TYPE_BIT(NORMA_FLOAT), .activation = TYPE_BIT(NORMA_FLOAT)}},
        .compute = gemm_compute,
    },
    {0},
};
