/*
 * QLinearMatMul 10, 21 (ai.onnx): y = saturate(round(numpy.matmul(a, b) / y_scale) + y_zero_point) of tensors that are
 * quantised, halves to even. 21 adds scales of half precision and floats of 8 bits.
 *
 * Scales and zero points are one number, or one for each row of a and each column of b; y has one. The sum of 8-bit
 * integers is exact modulo 2^32, then converted to float and multiplied by a_scale * b_scale / y_scale, which is
 * computed in float. The three types are chosen one by one: where a, b or y is of floats of 8 bits, products are summed
 * in double instead, where those of integers are exact too, and the sum is rounded to float.
 */
#include "ops/matmul/matmul_sides.h"
#include "ops/quantized/integer_product.h"
#include "ops/quantized/quantization.h"
#include "ops/work.h"

enum qlinear_input { Q_A, Q_A_SCALE, Q_A_ZERO, Q_B, Q_B_SCALE, Q_B_ZERO, Q_Y_SCALE, Q_Y_ZERO };

typedef struct qlinear_matmul_state {
  integer_product product;
  bool is_float;              /* a, b or y is of floats of 8 bits */
  bool scales_rows;           /* a has a scale for each row: sums are scaled in a second pass */
  int64_t a_scales, b_scales; /* numbers in scratch */
  size_t scales_at, sums_at;  /* in scratch: a_scale and then b_scale, or what the product takes; sums */
} qlinear_matmul_state;

static norma_status qlinear_matmul_infer(infer_context *context) {
  shape y;
  for (int i = Q_A; i <= Q_Y_ZERO; i++) {
    const norma_element_type type = infer_type(context, i);
    const bool is_new = type != NORMA_UNDEFINED && !(TYPE_BIT(type) & (TYPES_8BIT | TYPE_BIT(NORMA_FLOAT)));
    if (is_new && context->node->version < 21)
      return infer_fail(context, "%s needs opset 21", norma_element_type_name(type));
  }
  TRY(infer_matmul_shape(context, Q_A, Q_B, &y));
  TRY(infer_product_parameter(context, Q_A_SCALE, Q_A, false, "a_scale"));
  TRY(infer_product_parameter(context, Q_A_ZERO, Q_A, false, "a_zero_point"));
  TRY(infer_product_parameter(context, Q_B_SCALE, Q_B, true, "b_scale"));
  TRY(infer_product_parameter(context, Q_B_ZERO, Q_B, true, "b_zero_point"));
  TRY(infer_single(context, Q_Y_SCALE, "y_scale"));
  TRY(infer_single(context, Q_Y_ZERO, "y_zero_point"));
  infer_output(context, 0, infer_type(context, Q_Y_ZERO), &y);
  return NORMA_OK;
}

static norma_status qlinear_matmul_prepare(prepare_context *context) {
  qlinear_matmul_state *state = context->state;
  integer_product *product = &state->product;
  integer_product_of_matmul(context, Q_A, Q_B, product);
  const type_mask types =
      TYPE_BIT(product->a_type) | TYPE_BIT(product->b_type) | TYPE_BIT(prepare_type(context, Q_Y_ZERO));
  state->is_float = (types & TYPES_SCALED) != 0;
  state->scales_rows = shape_count(prepare_shape(context, Q_A_SCALE)) != 1;
  state->a_scales = state->scales_rows ? product->m * product->a.count : 1;
  state->b_scales = shape_count(prepare_shape(context, Q_B_SCALE)) == 1 ? 1 : product->n * product->b.count;
  product->c_type = state->scales_rows ? NORMA_INT32 : prepare_type(context, Q_Y_ZERO);
  product->a_zero = Q_A_ZERO;
  product->b_zero = Q_B_ZERO;
  product->batch = dims_product(product->batch_dims, 0, product->batch_rank);
  const size_t scales = (size_t)(state->a_scales + state->b_scales);
  bool fits = scratch_append(&context->scratch_bytes, scales, sizeof(float), &state->scales_at);
  if (state->scales_rows && !state->is_float) {
    const size_t sums = (size_t)(product->batch * product->m * product->n);
    fits = fits && scratch_append(&context->scratch_bytes, sums, sizeof(int32_t), &state->sums_at);
  }
  if (!fits) return prepare_fail(context, NORMA_ERROR_BUDGET, "the matrices are too large");
  if (!state->is_float) return integer_product_prepare(context, product);
  context->kernel_name = "floats of 8 bits";
  context->flops = 2.0 * (double)(product->batch * product->m * product->n) * (double)product->k;
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct qlinear_matmul_job {
  run_context *context;
  const qlinear_matmul_state *state;
  const int32_t *sums;
  const float *a_scale, *b_scale;
  float y_scale;
} qlinear_matmul_job;

/* `count` numbers from one for each, or for each line. */
static void qlinear_matmul_numbers(const norma_tensor *given, int64_t count, float *numbers) {
  const int64_t have = norma_tensor_count(given);
  for (int64_t i = 0; i < count; i++) numbers[i] = (float)element_get_double(given->type, given->data, i % have);
}

/* Rows of y from sums. */
static void qlinear_matmul_scale_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const qlinear_matmul_job *job = argument;
  const qlinear_matmul_state *state = job->state;
  const integer_product *product = &state->product;
  norma_tensor *y = run_output(job->context, 0);
  const int32_t zero = quantization_zero(run_input(job->context, Q_Y_ZERO));
  const int32_t low = quantized_lowest(y->type), high = quantized_highest(y->type);
  (void)worker;
  for (int64_t row = begin; row < end; row++) {
    const int64_t index = row / product->m;
    const int64_t a = integer_product_matrix(product, &product->a, index);
    const int64_t b = integer_product_matrix(product, &product->b, index);
    const float a_scale = job->a_scale[a * product->m + row % product->m];
    for (int64_t j = 0; j < product->n; j++) {
      const float b_scale = job->b_scale[state->b_scales == 1 ? 0 : b * product->n + j];
      const float scaled = (float)job->sums[row * product->n + j] * (a_scale * b_scale / job->y_scale);
      ((uint8_t *)y->data)[row * product->n + j] = (uint8_t)quantize_ratio((double)scaled, zero, low, high);
    }
  }
}

/* (x - zero) of element `index` of an operand, line counting rows of a or columns of b of all matrices. */
static float qlinear_matmul_difference(const norma_tensor *x, const norma_tensor *zero, int64_t index, int64_t line) {
  const int64_t zeros = norma_tensor_count(zero);
  const float number = (float)element_get_double(x->type, x->data, index);
  return number - (float)element_get_double(zero->type, zero->data, line % zeros);
}

static void qlinear_matmul_float_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const qlinear_matmul_job *job = argument;
  const qlinear_matmul_state *state = job->state;
  const integer_product *product = &state->product;
  const norma_tensor *a = run_input(job->context, Q_A), *b = run_input(job->context, Q_B);
  const norma_tensor *a_zero = run_input(job->context, Q_A_ZERO), *b_zero = run_input(job->context, Q_B_ZERO);
  const norma_tensor *y_zero = run_input(job->context, Q_Y_ZERO);
  const float zero = (float)element_get_double(y_zero->type, y_zero->data, 0);
  norma_tensor *y = run_output(job->context, 0);
  const bool to_integers = (TYPE_BIT(y->type) & TYPES_8BIT) != 0;
  const int32_t low = quantized_lowest(y->type), high = quantized_highest(y->type);
  (void)worker;
  for (int64_t row = begin; row < end; row++) {
    const int64_t index = row / product->m, i = row % product->m;
    const int64_t a_matrix = integer_product_matrix(product, &product->a, index);
    const int64_t b_matrix = integer_product_matrix(product, &product->b, index);
    const int64_t a_row = a_matrix * product->m + i;
    const float a_scale = job->a_scale[state->a_scales == 1 ? 0 : a_row];
    for (int64_t j = 0; j < product->n; j++) {
      const int64_t b_column = b_matrix * product->n + j;
      const float b_scale = job->b_scale[state->b_scales == 1 ? 0 : b_column];
      double sum = 0;
      if (work_interrupted(job->context, j)) return;
      for (int64_t p = 0; p < product->k; p++) {
        sum += (double)qlinear_matmul_difference(a, a_zero, a_row * product->k + p, a_row) *
               (double)qlinear_matmul_difference(b, b_zero, (b_matrix * product->k + p) * product->n + j, b_column);
      }
      const float scaled = (float)sum * (a_scale * b_scale / job->y_scale);
      if (to_integers) {
        ((uint8_t *)y->data)[row * product->n + j] = (uint8_t)quantize_ratio((double)scaled, (int32_t)zero, low, high);
      } else {
        element_set_double(y->type, y->data, row * product->n + j, (double)(zero == 0 ? scaled : scaled + zero));
      }
    }
  }
}

static norma_status qlinear_matmul_compute(run_context *context) {
  const qlinear_matmul_state *state = context->state;
  const integer_product *product = &state->product;
  float *a_scale = (float *)(void *)((char *)context->scratch + state->scales_at), *b_scale = a_scale + state->a_scales;
  qlinear_matmul_job job = {.context = context, .state = state, .a_scale = a_scale, .b_scale = b_scale};
  job.y_scale = quantization_scale(run_input(context, Q_Y_SCALE));
  qlinear_matmul_numbers(run_input(context, Q_A_SCALE), state->a_scales, a_scale);
  qlinear_matmul_numbers(run_input(context, Q_B_SCALE), state->b_scales, b_scale);
  const int64_t rows = product->batch * product->m;
  const double row_cost = 16.0 * (double)product->n;
  if (state->is_float)
    return run_parallel(context, rows, work_grain(row_cost * (double)product->k), qlinear_matmul_float_rows, &job);
  if (state->scales_rows) {
    int32_t *sums = (int32_t *)(void *)((char *)context->scratch + state->sums_at);
    const integer_product_end plain = {.bias = NULL};
    TRY(integer_product_run(context, product, &plain, sums));
    job.sums = sums;
    return run_parallel(context, rows, work_grain(row_cost), qlinear_matmul_scale_rows, &job);
  }
  for (int64_t j = 0; j < state->b_scales; j++) b_scale[j] = *a_scale * b_scale[j] / job.y_scale;
  const integer_product_end end = {
      .scale = b_scale, .scale_count = state->b_scales, .c_zero = quantization_zero(run_input(context, Q_Y_ZERO))};
  return integer_product_run(context, product, &end, run_output(context, 0)->data);
}

#define Q_TYPES  (TYPES_8BIT | TYPES_SCALED)
#define Q_SCALES (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16))

const operator_descriptor operators_qlinear_matmul[] = {
    {.domain = "",
     .name = "QLinearMatMul",
     .versions = {10, 21},
     .min_inputs = 8,
     .max_inputs = 8,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{Q_TYPES, INPUT(Q_A) | INPUT(Q_A_ZERO), 0},
               {Q_TYPES, INPUT(Q_B) | INPUT(Q_B_ZERO), 0},
               {Q_SCALES, INPUT(Q_A_SCALE) | INPUT(Q_B_SCALE) | INPUT(Q_Y_SCALE), 0},
               {Q_TYPES, INPUT(Q_Y_ZERO), OUTPUT(0)}},
     .state_size = sizeof(qlinear_matmul_state),
     .infer = qlinear_matmul_infer,
     .prepare = qlinear_matmul_prepare,
     .facts = {.packs = INPUT(Q_B), .packs_alone = INPUT(Q_B), .weights = INPUT(Q_B)},
     .compute = qlinear_matmul_compute},
    {0},
};
