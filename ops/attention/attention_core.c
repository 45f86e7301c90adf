#include "ops/attention/attention_core.h"

#include "ops/attention/attention_parts.h"
#include "ops/half.h"
#include "ops/work.h"

#include <math.h>

#define ATTENTION_BLOCK_ELEMENTS 8192 /* of a block of keys, and of values: 32 KiB */
#define ATTENTION_LEAST_KEYS     32
#define ATTENTION_MOST_KEYS      128
#define ATTENTION_FAR            ((int64_t)1 << 48) /* windows of this size are none */
#define ATTENTION_POLL           16                 /* blocks between two questions whether the run goes on */

attention_operand attention_operand_of(norma_element_type type, int64_t heads, int64_t rows, int64_t elements,
                                       bool by_row) {
  return (attention_operand){.type = type,
                             .batch_stride = heads * rows * elements,
                             .head_stride = by_row ? elements : rows * elements,
                             .row_stride = by_row ? heads * elements : elements};
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

static struct attention_f32 attention_kernel(const attention_plan *plan, int64_t rows) {
  return (struct attention_f32){.rows = (size_t)rows,
                                .keys = (size_t)plan->key_block,
                                .depth = (size_t)plan->depth,
                                .values = (size_t)plan->values,
                                .scale = (float)plan->scale,
                                .softcap = plan->softcap,
                                .few = plan->few,
                                .hidden = (float)plan->hidden};
}

static norma_status attention_prepare_blocks(prepare_context *context, attention_plan *plan) {
  const struct kernel_table *kernels = context->kernels;
  int64_t rows = plan->query_heads / plan->key_heads * plan->queries, widest = plan->depth;
  size_t *total = &context->worker_scratch_bytes, element = sizeof(float);
  if (plan->values > widest) widest = plan->values;
  plan->key_block = ATTENTION_BLOCK_ELEMENTS / (widest ? widest : 1) / 16 * 16;
  if (plan->key_block < ATTENTION_LEAST_KEYS) plan->key_block = ATTENTION_LEAST_KEYS;
  if (plan->key_block > ATTENTION_MOST_KEYS) plan->key_block = ATTENTION_MOST_KEYS;
  plan->row_block = ATTENTION_MOST_ROWS;
  if ((size_t)plan->row_block > kernels->attention_f32_rows) plan->row_block = (int64_t)kernels->attention_f32_rows;
  if (plan->row_block > rows) plan->row_block = rows;
  plan->few = rows <= (int64_t)kernels->attention_f32_few;
  struct attention_f32 kernel = attention_kernel(plan, plan->row_block);
  size_t block_rows = (size_t)plan->row_block, block_keys = (size_t)plan->key_block;
  if (!scratch_append(total, block_rows * (size_t)plan->depth, element, &plan->q_at) ||
      !scratch_append(total, block_rows * (size_t)plan->values, element, &plan->y_at) ||
      !scratch_append(total, kernels->attention_f32_state_size(&kernel), 1, &plan->state_at) ||
      !scratch_append(total, block_keys * (size_t)plan->depth, element, &plan->k_at) ||
      !scratch_append(total, block_keys * (size_t)plan->values, element, &plan->v_at) ||
      !scratch_append(total, block_rows * block_keys, element, &plan->bias_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the heads are too large");
  context->kernel_name = plan->few ? "few rows" : "blocks";
  return NORMA_OK;
}

norma_status attention_prepare(prepare_context *context, attention_plan *plan) {
  double rows = (double)plan->batch * (double)plan->query_heads * (double)plan->queries;
  context->flops = 2 * rows * (double)plan->keys * (double)(plan->depth + plan->values);
  context->kernel_name = "empty";
  if (plan->left > ATTENTION_FAR) plan->left = -1;
  if (plan->right > ATTENTION_FAR) plan->right = -1;
  if (plan->batch == 0 || plan->query_heads == 0 || plan->queries == 0) return NORMA_OK;
  if (plan->in_double || plan->scores != ATTENTION_NO_SCORES) return attention_prepare_rows(context, plan);
  return attention_prepare_blocks(context, plan);
}

/* ---------------------------------------------------------------------------------------------------------- present */

/* Keys begin .. end - 1 of a head, as far as the present has them. */
static void attention_append_range(const attention_job *job, const attention_range *keys,
                                   const attention_operand *present) {
  attention_range range = *keys;
  int64_t dropped = job->call->samples[range.sample].dropped;
  if (range.begin < dropped) range.begin = dropped;
  if (present->data && range.begin < range.end)
    attention_range_copy(job, &range, present->type,
                         attention_target(present, range.sample, range.head, range.begin - dropped));
}

static void attention_append_part(const attention_job *job, const attention_unit *unit, int64_t begin, int64_t end) {
  attention_range keys = attention_keys_of(job, unit, begin, end), values = attention_values_of(job, unit, begin, end);
  attention_append_range(job, &keys, &job->call->present_k);
  attention_append_range(job, &values, &job->call->present_v);
}

/* Zeros behind a sample's keys. */
static void attention_append_rest(const attention_job *job, const attention_unit *unit) {
  const attention_call *call = job->call;
  const attention_sample *sample = &call->samples[unit->sample];
  int64_t keys = sample->stored - sample->dropped, rest = call->present_rows - keys;
  if (rest <= 0) return;
  for (int i = 0; i < 2; i++) {
    const attention_operand *present = i ? &call->present_v : &call->present_k;
    if (present->data)
      memset(attention_target(present, unit->sample, unit->key_head, keys), 0,
             (size_t)(rest * present->row_stride) * element_type_bytes(present->type));
  }
}

/* Heads begin .. end - 1, counted over samples and key heads, of the present. */
static void attention_append_heads(void *argument, int64_t begin, int64_t end, int worker) {
  const attention_job *job = argument;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    attention_unit unit = {.sample = i / job->plan->key_heads, .key_head = i % job->plan->key_heads};
    attention_append_part(job, &unit, 0, job->call->samples[unit.sample].stored);
    attention_append_rest(job, &unit);
  }
}

/* ----------------------------------------------------------------------------------------------------------- blocks */

/* What a unit has on its way. */
struct attention_block_work {
  const attention_job *job;
  const attention_unit *unit;
  char *scratch; /* of the worker */
  struct attention_f32 kernel;
};

static float *attention_scratch(const struct attention_block_work *work, size_t at) {
  return (float *)(work->scratch + at);
}

/* Rows of keys or values as float: where they lie, or copied. */
static const float *attention_load(const struct attention_block_work *work, const attention_range *range, float *copy,
                                   size_t *stride) {
  int64_t row;
  const attention_operand *source = attention_range_source(work->job, range, &row);
  if (source && source->type == NORMA_FLOAT) {
    *stride = (size_t)source->row_stride;
    return attention_source(source, range->sample, range->head, row);
  }
  attention_range_copy(work->job, range, NORMA_FLOAT, copy);
  *stride = (size_t)range->elements;
  return copy;
}

/* Queries and what rows begin with. Rows of one head of float are read and written where they lie. */
static void attention_begin(const struct attention_block_work *work) {
  const attention_job *job = work->job;
  const attention_plan *plan = job->plan;
  const attention_unit *unit = work->unit;
  const attention_operand *operand = &job->call->q;
  attention_span span = attention_span_of(plan, unit, 0);
  float *q = attention_scratch(work, plan->q_at), sinks[ATTENTION_MOST_ROWS];
  bool in_place = operand->type == NORMA_FLOAT && span.rows == unit->rows;
  if (!in_place) attention_read_queries(job, unit, NORMA_FLOAT, q);
  for (int64_t r = 0; r < unit->rows && job->call->sinks; r++)
    sinks[r] = job->call->sinks[attention_span_of(plan, unit, r).head];
  job->context->kernels->attention_f32_begin(
      &work->kernel, in_place ? attention_source(operand, unit->sample, span.head, span.query) : q,
      (size_t)(in_place ? operand->row_stride : plan->depth), job->call->sinks ? sinks : NULL,
      attention_scratch(work, plan->state_at));
}

static void attention_end(const struct attention_block_work *work) {
  const attention_plan *plan = work->job->plan;
  const attention_operand *operand = &work->job->call->y;
  attention_span span = attention_span_of(plan, work->unit, 0);
  float *y = attention_scratch(work, plan->y_at);
  bool in_place = operand->type == NORMA_FLOAT && span.rows == work->unit->rows;
  work->job->context->kernels->attention_f32_end(
      &work->kernel, in_place ? attention_target(operand, work->unit->sample, span.head, span.query) : y,
      (size_t)(in_place ? operand->row_stride : plan->values), attention_scratch(work, plan->state_at));
  if (!in_place) attention_write_results(work->job, work->unit, NORMA_FLOAT, y);
}

/* The bias of keys begin .. end - 1, of all rows or (stride 0) the same for all. */
static const float *attention_load_bias(const struct attention_block_work *work, int64_t begin, int64_t end,
                                        size_t *stride) {
  const attention_plan *plan = work->job->plan;
  const attention_unit *unit = work->unit;
  const attention_bias *first = &work->job->call->bias[0], *second = &work->job->call->bias[1];
  attention_span span = attention_span_of(plan, unit, 0);
  int64_t keys = end - begin, column = work->job->call->samples[unit->sample].base + begin;
  bool one_head = span.rows == unit->rows;
  bool same = (!first->data || (first->row_stride == 0 && (one_head || first->head_stride == 0))) &&
              (!second->data || (second->row_stride == 0 && (one_head || second->head_stride == 0)));
  if (first->type == NORMA_FLOAT && first->data && !second->data && first->column_stride == 1 &&
      first->columns >= column + keys && (same || one_head)) {
    *stride = (size_t)first->row_stride;
    return (const float *)first->data + unit->sample * first->batch_stride + span.head * first->head_stride +
           span.query * first->row_stride + column;
  }
  float *bias = attention_scratch(work, plan->bias_at);
  *stride = same ? 0 : (size_t)keys;
  for (int64_t r = 0; r < (same ? 1 : unit->rows); r++) {
    attention_span row = attention_span_of(plan, unit, r);
    attention_bias_row(work->job, unit->sample, row.head, row.query, begin, end, bias + r * keys);
  }
  return bias;
}

/* Keys begin .. end - 1, which lie in one block. */
static void attention_add_keys(const struct attention_block_work *work, int64_t begin, int64_t end) {
  const attention_job *job = work->job;
  const attention_plan *plan = job->plan;
  const attention_unit *unit = work->unit;
  attention_range keys = attention_keys_of(job, unit, begin, end), values = attention_values_of(job, unit, begin, end);
  struct attention_keys_f32 block = {.keys = (size_t)(end - begin)};
  int32_t limits[2][ATTENTION_MOST_ROWS];
  block.k = attention_load(work, &keys, attention_scratch(work, plan->k_at), &block.k_stride);
  block.v = attention_load(work, &values, attention_scratch(work, plan->v_at), &block.v_stride);
  if (attention_has_bias(job->call)) block.bias = attention_load_bias(work, begin, end, &block.bias_stride);
  if (unit->most_from > begin || unit->least_to < end) {
    for (int64_t r = 0; r < unit->rows; r++) {
      int64_t from = unit->from[r] > begin ? unit->from[r] : begin, to = unit->to[r] < end ? unit->to[r] : end;
      limits[0][r] = (int32_t)(from < end ? from - begin : end - begin);
      limits[1][r] = (int32_t)(to > begin ? to - begin : 0);
    }
    block.first = limits[0];
    block.end = limits[1];
  }
  job->context->kernels->attention_f32_keys(&work->kernel, &block, attention_scratch(work, plan->state_at));
}

static void attention_run_blocks(void *argument, int64_t begin, int64_t end, int worker) {
  const attention_job *job = argument;
  const attention_plan *plan = job->plan;
  for (int64_t i = begin; i < end; i++) {
    attention_unit unit = attention_unit_of(job, i);
    struct attention_block_work work = {.job = job, .unit = &unit, .scratch = run_worker_scratch(job->context, worker)};
    int64_t keys = job->call->samples[unit.sample].stored;
    int64_t from = job->appends ? 0 : unit.least_from / plan->key_block * plan->key_block;
    int64_t to = job->appends ? keys : unit.most_to;
    work.kernel = attention_kernel(plan, unit.rows);
    attention_begin(&work);
    for (int64_t key = from, blocks = 1; key < to; key += plan->key_block, blocks++) {
      int64_t next = key + plan->key_block, first = key > unit.least_from ? key : unit.least_from;
      int64_t last = next < unit.most_to ? next : unit.most_to;
      if (first < last) attention_add_keys(&work, first, last);
      if (job->appends) attention_append_part(job, &unit, key, next < keys ? next : keys);
      if (blocks % ATTENTION_POLL == 0 && run_cancelled(job->context)) return;
    }
    if (job->appends) attention_append_rest(job, &unit);
    attention_end(&work);
  }
}

/* -------------------------------------------------------------------------------------------------------------- run */

norma_status attention_append(run_context *context, const attention_plan *plan, const attention_call *call) {
  attention_job job = {.context = context, .plan = plan, .call = call};
  double cost = WORK_ELEMENT * (double)plan->keys * (double)(plan->depth + plan->values);
  if (!call->present_k.data && !call->present_v.data) return NORMA_OK;
  return run_parallel(context, plan->batch * plan->key_heads, work_grain(cost), attention_append_heads, &job);
}

norma_status attention_run(run_context *context, const attention_plan *plan, const attention_call *call) {
  attention_job job = {.context = context, .plan = plan, .call = call};
  bool in_rows = plan->in_double || plan->scores != ATTENTION_NO_SCORES;
  bool has_rows = plan->batch > 0 && plan->query_heads > 0 && plan->queries > 0;
  /* Where a unit has all rows of its head, it stores the present as it reads. */
  job.appends = has_rows && !in_rows && plan->query_heads / plan->key_heads * plan->queries <= plan->row_block &&
                (call->present_k.data || call->present_v.data);
  if (!job.appends) TRY(attention_append(context, plan, call));
  if (!has_rows) return NORMA_OK;
  /* Few rows wait for memory rather than compute. */
  double cost = 2 * ((double)plan->row_block + 8) * (double)plan->keys * (double)(plan->depth + plan->values);
  return run_parallel(context, attention_unit_count(plan), work_grain(cost),
                      in_rows ? attention_run_rows : attention_run_blocks, &job);
}
