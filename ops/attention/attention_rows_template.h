/* Attention of a block of rows that has all its scores at a time, in one precision: part of attention_rows.c, which
 * includes it for float and for double.
 *
 * Expects: REAL and its NORMA type REAL_TYPE; ROWS(name), which makes a name of its own from `name`; GEMM(member) of
 * the kernel table and GEMM_PROBLEM; ROWS_BIAS, attention_bias_row in this precision; ROWS_CAP(s, cap, count), cap *
 * tanh(s / cap) of a row; ROWS_EXP(s, count, offset), which makes exp(s - offset) of a row and returns its sum. */

struct ROWS(work) {
  const attention_job *job;
  const attention_unit *unit;
  char *scratch;
};

static REAL *ROWS(scratch)(const struct ROWS(work) * work, size_t at) {
  return (REAL *)(work->scratch + at);
}

/* c[rows][n] = a[rows][k] * b, of whose elements rows and columns are so far apart. */
static void ROWS(product)(const struct ROWS(work) * work, size_t n, size_t k, const REAL *a, const REAL *b,
                          size_t b_row_stride, size_t b_column_stride, REAL *c) {
  const struct kernel_table *kernels = work->job->context->kernels;
  size_t rows = (size_t)work->unit->rows;
  if (n == 0) return;
  struct GEMM_PROBLEM gemm = {.m = rows,
                              .n = n,
                              .k = k,
                              .a = a,
                              .a_row_stride = k,
                              .a_column_stride = 1,
                              .b = b,
                              .b_row_stride = b_row_stride,
                              .b_column_stride = b_column_stride,
                              .c = c,
                              .c_row_stride = n};
  kernels->GEMM(run)(&gemm, 0, kernels->GEMM(row_panels)(rows), 0, kernels->GEMM(column_panels)(n),
                     work->scratch + work->job->plan->product_at);
}

/* Rows where they lie, or copied. */
static const REAL *ROWS(load)(const struct ROWS(work) * work, const attention_range *range, REAL *copy,
                              size_t *stride) {
  int64_t row;
  const attention_operand *source = attention_range_source(work->job, range, &row);
  if (source && source->type == REAL_TYPE) {
    *stride = (size_t)source->row_stride;
    return attention_source(source, range->sample, range->head, row);
  }
  attention_range_copy(work->job, range, REAL_TYPE, copy);
  *stride = (size_t)range->elements;
  return copy;
}

static void ROWS(multiply_queries)(const struct ROWS(work) * work, size_t stored, REAL *s) {
  const attention_plan *plan = work->job->plan;
  const attention_unit *unit = work->unit;
  attention_range keys = attention_keys_of(work->job, unit, 0, (int64_t)stored);
  REAL *q = ROWS(scratch)(work, plan->q_at);
  size_t stride;
  attention_read_queries(work->job, unit, REAL_TYPE, q);
  for (int64_t i = 0; i < unit->rows * plan->depth; i++) q[i] *= (REAL)plan->scale;
  const REAL *k = ROWS(load)(work, &keys, ROWS(scratch)(work, plan->k_at), &stride);
  ROWS(product)(work, stored, (size_t)plan->depth, q, k, 1, stride, s);
}

/* Stores a row of scores, if these are the wanted ones; `rest` stands for keys that do not exist. */
static void ROWS(store)(const struct ROWS(work) * work, attention_scores scores, int64_t r, const REAL *s,
                        int64_t stored, REAL rest) {
  const attention_plan *plan = work->job->plan;
  const attention_operand *target = &work->job->call->scores;
  if (plan->scores != scores || !target->target) return;
  const struct kernel_table *kernels = work->job->context->kernels;
  attention_span row = attention_span_of(plan, work->unit, r);
  attention_operand behind = *target; /* the keys that do not exist */
  attention_write_rows(kernels, target, work->unit->sample, row.head, row.query, 1, stored, REAL_TYPE, s);
  for (int64_t j = stored; j < plan->keys; j++) {
    behind.target = (char *)target->target + (size_t)j * element_type_bytes(target->type);
    attention_write_rows(kernels, &behind, work->unit->sample, row.head, row.query, 1, 1, REAL_TYPE, &rest);
  }
}

/* Sets the scores of keys that are not seen. */
static void ROWS(hide)(REAL *s, int64_t from, int64_t to, int64_t stored, REAL masked) {
  for (int64_t j = 0; j < from; j++) s[j] = masked;
  for (int64_t j = to; j < stored; j++) s[j] = masked;
}

/* From a row of products to a row of weights. */
static void ROWS(weigh)(const struct ROWS(work) * work, int64_t r, REAL *s, int64_t stored) {
  const attention_plan *plan = work->job->plan;
  const attention_unit *unit = work->unit;
  attention_span row = attention_span_of(plan, unit, r);
  int64_t from = unit->from[r], to = unit->to[r];
  const REAL masked = -(REAL)INFINITY;
  ROWS(store)(work, ATTENTION_RAW, r, s, stored, 0);
  if (plan->scores == ATTENTION_RAW && work->job->call->stage == ATTENTION_TO_SCORES) return;
  if (plan->softcap > 0) ROWS_CAP(s, (REAL)plan->softcap, stored);
  ROWS(store)(work, ATTENTION_CAPPED, r, s, stored, 0);
  if (attention_has_bias(work->job->call)) {
    REAL *bias = ROWS(scratch)(work, plan->bias_at);
    ROWS_BIAS(work->job, unit->sample, row.head, row.query, from, to, bias);
    for (int64_t j = from; j < to; j++) s[j] = bias[j - from] == masked ? masked : s[j] + bias[j - from];
  }
  ROWS(hide)(s, from, to, stored, (REAL)plan->masked);
  ROWS(store)(work, ATTENTION_BIASED, r, s, stored, (REAL)plan->masked);
  ROWS(hide)(s, from, to, stored, masked);
  REAL largest = work->job->call->sinks ? (REAL)work->job->call->sinks[row.head] : masked;
  for (int64_t j = from; j < to; j++) largest = s[j] > largest ? s[j] : largest;
  if (largest == masked) largest = 0;
  REAL sum = stored ? ROWS_EXP(s, stored, largest) : 0;
  if (work->job->call->sinks) sum += (REAL)exp((double)((REAL)work->job->call->sinks[row.head] - largest));
  REAL factor = sum == 0 ? (REAL)plan->hidden : 1 / sum;
  for (int64_t j = 0; j < stored; j++) s[j] *= factor;
  ROWS(store)(work, ATTENTION_WEIGHTS, r, s, stored, 0);
}

static void ROWS(read_weights)(const struct ROWS(work) * work, REAL *s, int64_t stored) {
  const attention_operand *from = &work->job->call->scores;
  for (int64_t r = 0; r < work->unit->rows;) {
    attention_span span = attention_span_of(work->job->plan, work->unit, r);
    attention_read_rows(work->job->context->kernels, from, work->unit->sample, span.head, span.query, span.rows, stored,
                        REAL_TYPE, s + r * stored);
    r += span.rows;
  }
}

static void ROWS(run)(const attention_job *job, const attention_unit *unit, char *scratch) {
  const attention_plan *plan = job->plan;
  const struct ROWS(work) work = {job, unit, scratch};
  int64_t stored = job->call->samples[unit->sample].stored;
  REAL *s = ROWS(scratch)(&work, plan->state_at), *result = ROWS(scratch)(&work, plan->y_at);
  if (job->call->stage == ATTENTION_FROM_SCORES) {
    ROWS(read_weights)(&work, s, stored);
  } else {
    ROWS(multiply_queries)(&work, (size_t)stored, s);
    for (int64_t r = 0; r < unit->rows; r++) ROWS(weigh)(&work, r, s + r * stored, stored);
  }
  if (job->call->stage == ATTENTION_TO_SCORES) return;
  attention_range values = attention_values_of(job, unit, 0, stored);
  size_t stride;
  const REAL *v = ROWS(load)(&work, &values, ROWS(scratch)(&work, plan->v_at), &stride);
  ROWS(product)(&work, (size_t)plan->values, (size_t)stored, s, v, stride, 1, result);
  attention_write_results(job, unit, REAL_TYPE, result);
}
