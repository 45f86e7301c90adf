/* Attention of blocks of rows that have all their scores at a time: where these are wanted, and in double. */
#include "ops/attention/attention_parts.h"

#include "ops/half.h"
#include "ops/work.h"

#include <math.h>

#define ATTENTION_ROWS_AT_ONCE 32

static void attention_cap_f64(double *s, double cap, int64_t count) {
  for (int64_t j = 0; j < count; j++) s[j] = cap * tanh(s[j] / cap);
}

static double attention_exp_f64(double *s, int64_t count, double offset) {
  double sum = 0;
  for (int64_t j = 0; j < count; j++) sum += s[j] = exp(s[j] - offset);
  return sum;
}

#define REAL         float
#define REAL_TYPE    NORMA_FLOAT
#define ROWS(name)   rows_f32_##name
#define GEMM(member) gemm_f32_##member
#define GEMM_PROBLEM gemm_f32
#define ROWS_BIAS    attention_bias_row
#define ROWS_CAP(s, cap, count)                                                                                        \
  work->job->context->kernels->unary_f32[UNARY_SCALED_TANH](s, s, (size_t)(count), cap, 1 / (cap))
#define ROWS_EXP(s, count, offset) work->job->context->kernels->exp_sum_f32(s, s, (size_t)(count), offset)
#include "ops/attention/attention_rows_template.h"
#undef REAL
#undef REAL_TYPE
#undef ROWS
#undef GEMM
#undef GEMM_PROBLEM
#undef ROWS_BIAS
#undef ROWS_CAP
#undef ROWS_EXP

#define REAL                       double
#define REAL_TYPE                  NORMA_DOUBLE
#define ROWS(name)                 rows_f64_##name
#define GEMM(member)               gemm_f64_##member
#define GEMM_PROBLEM               gemm_f64
#define ROWS_BIAS                  attention_bias_row_f64
#define ROWS_CAP(s, cap, count)    attention_cap_f64(s, cap, count)
#define ROWS_EXP(s, count, offset) attention_exp_f64(s, count, offset)
#include "ops/attention/attention_rows_template.h"

/* Scratch of the two products, for any number of rows. */
static size_t attention_product_bytes(const struct kernel_table *kernels, const attention_plan *plan, int64_t rows) {
  size_t n = (size_t)plan->keys, k = (size_t)plan->depth, values = (size_t)plan->values, first, second;
  if (plan->in_double) {
    struct gemm_f64 scores = {.m = (size_t)rows, .n = n, .k = k, .b_row_stride = 1, .b_column_stride = k};
    struct gemm_f64 results = {.m = (size_t)rows, .n = values, .k = n, .b_row_stride = values, .b_column_stride = 1};
    first = kernels->gemm_f64_scratch_size(&scores);
    second = kernels->gemm_f64_scratch_size(&results);
  } else {
    struct gemm_f32 scores = {.m = (size_t)rows, .n = n, .k = k, .b_row_stride = 1, .b_column_stride = k};
    struct gemm_f32 results = {.m = (size_t)rows, .n = values, .k = n, .b_row_stride = values, .b_column_stride = 1};
    first = kernels->gemm_f32_scratch_size(&scores);
    second = kernels->gemm_f32_scratch_size(&results);
  }
  return first > second ? first : second;
}

norma_status attention_prepare_rows(prepare_context *context, attention_plan *plan) {
  int64_t all = plan->query_heads / plan->key_heads * plan->queries;
  size_t *total = &context->worker_scratch_bytes, real = plan->in_double ? sizeof(double) : sizeof(float);
  plan->row_block = all < ATTENTION_ROWS_AT_ONCE ? all : ATTENTION_ROWS_AT_ONCE;
  size_t rows = (size_t)plan->row_block, keys = (size_t)plan->keys, depth = (size_t)plan->depth;
  size_t values = (size_t)plan->values, k, v, s;
  size_t one = attention_product_bytes(context->kernels, plan, 1);
  size_t block = attention_product_bytes(context->kernels, plan, plan->row_block);
  if (!size_multiply(keys, depth, &k) || !size_multiply(keys, values, &v) || !size_multiply(keys, rows, &s) ||
      !scratch_append(total, rows * depth, real, &plan->q_at) ||
      !scratch_append(total, rows * values, real, &plan->y_at) || !scratch_append(total, s, real, &plan->state_at) ||
      !scratch_append(total, k, real, &plan->k_at) || !scratch_append(total, v, real, &plan->v_at) ||
      !scratch_append(total, keys, real, &plan->bias_at) ||
      !scratch_append(total, one > block ? one : block, 1, &plan->product_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the scores of a block of rows are too large");
  context->kernel_name = plan->in_double ? "rows in double" : "rows";
  return NORMA_OK;
}

void attention_run_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const attention_job *job = argument;
  for (int64_t i = begin; i < end; i++) {
    attention_unit unit = attention_unit_of(job, i);
    (job->plan->in_double ? rows_f64_run : rows_f32_run)(job, &unit, run_worker_scratch(job->context, worker));
    if (run_cancelled(job->context)) return;
  }
}
