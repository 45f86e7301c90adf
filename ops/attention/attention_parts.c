#include "ops/attention/attention_parts.h"

#include "ops/half.h"
#include "ops/work.h"

#include <math.h>

/* ------------------------------------------------------------------------------------------------------------ units */

static int64_t attention_row_blocks(const attention_plan *plan) {
  return divide_up(plan->query_heads / plan->key_heads * plan->queries, plan->row_block);
}

int64_t attention_unit_count(const attention_plan *plan) {
  return plan->batch * plan->key_heads * attention_row_blocks(plan);
}

static int64_t attention_limit(int64_t x, int64_t low, int64_t high) {
  return x < low ? low : x > high ? high : x;
}

/* The keys that row `row`, a query at `position`, sees. */
static void attention_set_keys(const attention_plan *plan, const attention_sample *sample, int64_t position,
                               attention_unit *unit, int64_t row) {
  int64_t from = sample->first, to = sample->keys;
  if (plan->left >= 0 && position - plan->left > from) from = position - plan->left;
  if (plan->right >= 0 && position < to - plan->right) to = position + plan->right + 1;
  unit->to[row] = to = attention_limit(to, 0, sample->keys);
  unit->from[row] = from = attention_limit(from, 0, to);
  if (from == to) {
    unit->least_to = 0; /* blocks look at each row's keys */
    return;
  }
  if (from < unit->least_from) unit->least_from = from;
  if (from > unit->most_from) unit->most_from = from;
  if (to < unit->least_to) unit->least_to = to;
  if (to > unit->most_to) unit->most_to = to;
}

attention_unit attention_unit_of(const attention_job *job, int64_t index) {
  const attention_plan *plan = job->plan;
  int64_t blocks = attention_row_blocks(plan), all = plan->query_heads / plan->key_heads * plan->queries;
  attention_unit unit = {.row = index % blocks * plan->row_block};
  unit.key_head = index / blocks % plan->key_heads;
  unit.sample = index / blocks / plan->key_heads;
  unit.rows = all - unit.row < plan->row_block ? all - unit.row : plan->row_block;
  const attention_sample *sample = &job->call->samples[unit.sample];
  unit.least_from = unit.least_to = INT64_MAX;
  for (int64_t r = 0; r < unit.rows;) {
    attention_span span = attention_span_of(plan, &unit, r);
    for (int64_t end = r + span.rows; r < end; r++) {
      attention_set_keys(plan, sample, sample->offset + span.query++, &unit, r);
    }
  }
  return unit;
}

/* ------------------------------------------------------------------------------------------------- keys and values */

attention_range attention_keys_of(const attention_job *job, const attention_unit *unit, int64_t begin, int64_t end) {
  const attention_call *call = job->call;
  return (attention_range){&call->past_k, &call->k, unit->sample, unit->key_head, begin, end, job->plan->depth};
}

attention_range attention_values_of(const attention_job *job, const attention_unit *unit, int64_t begin, int64_t end) {
  const attention_call *call = job->call;
  return (attention_range){&call->past_v, &call->v, unit->sample, unit->key_head, begin, end, job->plan->values};
}

const attention_operand *attention_range_source(const attention_job *job, const attention_range *range, int64_t *row) {
  int64_t past = job->call->samples[range->sample].past;
  *row = range->begin < past ? range->begin : range->begin - past;
  if (range->begin < past && range->end > past) return NULL;
  return range->begin < past ? range->past : range->now;
}

static void attention_convert(const struct kernel_table *kernels, norma_element_type to, void *target,
                              norma_element_type from, const void *source, int64_t count) {
  if (to == from) {
    memcpy(target, source, (size_t)count * element_type_bytes(to));
  } else if (to == NORMA_FLOAT && is_half(from)) {
    half_to_float(kernels, from, target, source, count);
  } else if (from == NORMA_FLOAT && is_half(to)) {
    half_from_float(kernels, to, target, source, count);
  } else {
    for (int64_t i = 0; i < count; i++) element_set_double(to, target, i, element_get_double(from, source, i));
  }
}

/* Numbers times scales. */
static void attention_dequantize(const attention_operand *from, int64_t head, const void *source, int64_t elements,
                                 norma_element_type type, void *target) {
  const attention_quantization *quantization = from->quantization;
  const float *scales = quantization->scales + head * quantization->head_step;
  for (int64_t e = 0; e < elements; e++) {
    double number;
    if (quantization->packed)
      number = (double)(((const uint8_t *)source)[e / 2] >> (e % 2 * 4) & 15) - 8;
    else
      number = element_get_double(from->type, source, e);
    number *= (double)scales[e * quantization->element_step];
    if (type == NORMA_FLOAT)
      ((float *)target)[e] = (float)number;
    else
      element_set_double(type, target, e, number);
  }
}

/* Elements of memory that a row takes. */
static int64_t attention_row_elements(const attention_operand *operand, int64_t elements) {
  return operand->quantization && operand->quantization->packed ? (elements + 1) / 2 : elements;
}

void attention_read_rows(const struct kernel_table *kernels, const attention_operand *from, int64_t sample,
                         int64_t head, int64_t row, int64_t rows, int64_t elements, norma_element_type type,
                         void *target) {
  bool dequantizes = from->quantization && type != from->type;
  if (!dequantizes) elements = attention_row_elements(from, elements);
  bool at_once = from->row_stride == elements && !dequantizes;
  int64_t steps = at_once ? 1 : rows, count = at_once ? rows * elements : elements;
  int64_t step = from->row_stride * (int64_t)element_type_bytes(from->type);
  size_t bytes = (size_t)elements * element_type_bytes(type);
  if (elements == 0 || rows == 0) return;
  const char *source = attention_source(from, sample, head, row);
  for (int64_t r = 0; r < steps; r++) {
    if (dequantizes)
      attention_dequantize(from, head, source + r * step, elements, type, (char *)target + (size_t)r * bytes);
    else
      attention_convert(kernels, type, (char *)target + (size_t)r * bytes, from->type, source + r * step, count);
  }
}

void attention_write_rows(const struct kernel_table *kernels, const attention_operand *to, int64_t sample, int64_t head,
                          int64_t row, int64_t rows, int64_t elements, norma_element_type type, const void *source) {
  bool at_once = to->row_stride == elements;
  int64_t steps = at_once ? 1 : rows, count = at_once ? rows * elements : elements;
  int64_t step = to->row_stride * (int64_t)element_type_bytes(to->type);
  size_t bytes = (size_t)elements * element_type_bytes(type);
  if (elements == 0 || rows == 0) return;
  char *target = attention_target(to, sample, head, row);
  for (int64_t r = 0; r < steps; r++)
    attention_convert(kernels, to->type, target + r * step, type, (const char *)source + (size_t)r * bytes, count);
}

void attention_range_copy(const attention_job *job, const attention_range *range, norma_element_type type,
                          void *target) {
  const struct kernel_table *kernels = job->context->kernels;
  int64_t past = job->call->samples[range->sample].past, begin = range->begin, end = range->end;
  bool as_it_is = type == range->now->type;
  size_t bytes = (size_t)(as_it_is ? attention_row_elements(range->now, range->elements) : range->elements) *
                 element_type_bytes(type);
  int64_t of_past = begin >= past ? 0 : end < past ? end - begin : past - begin, of_now = end - begin - of_past;
  if (of_past > 0)
    attention_read_rows(kernels, range->past, range->sample, range->head, begin, of_past, range->elements, type,
                        target);
  if (of_now > 0)
    attention_read_rows(kernels, range->now, range->sample, range->head, begin + of_past - past, of_now,
                        range->elements, type, (char *)target + (size_t)of_past * bytes);
}

void attention_read_queries(const attention_job *job, const attention_unit *unit, norma_element_type type,
                            void *target) {
  const attention_plan *plan = job->plan;
  size_t bytes = (size_t)plan->depth * element_type_bytes(type);
  for (int64_t r = 0; r < unit->rows;) {
    attention_span span = attention_span_of(plan, unit, r);
    attention_read_rows(job->context->kernels, &job->call->q, unit->sample, span.head, span.query, span.rows,
                        plan->depth, type, (char *)target + (size_t)r * bytes);
    r += span.rows;
  }
}

void attention_write_results(const attention_job *job, const attention_unit *unit, norma_element_type type,
                             const void *source) {
  const attention_plan *plan = job->plan;
  size_t bytes = (size_t)plan->values * element_type_bytes(type);
  for (int64_t r = 0; r < unit->rows;) {
    attention_span span = attention_span_of(plan, unit, r);
    attention_write_rows(job->context->kernels, &job->call->y, unit->sample, span.head, span.query, span.rows,
                         plan->values, type, (const char *)source + (size_t)r * bytes);
    r += span.rows;
  }
}

/* ----------------------------------------------------------------------------------------------------------- biases */

bool attention_bias_fits(const shape *given, const int64_t dims[4], bool shorter) {
  if (given->rank == RANK_UNKNOWN) return true;
  if (given->rank > 4) return false;
  for (int i = 0; i < given->rank; i++) {
    int64_t size = given->dims[given->rank - 1 - i], wanted = dims[3 - i];
    if (size == DIM_UNKNOWN || wanted == DIM_UNKNOWN || size == wanted || size == 1) continue;
    if (!(shorter && i == 0 && size < wanted)) return false;
  }
  return true;
}

int64_t attention_bias_columns(const norma_tensor *tensor) {
  return tensor->rank > 0 ? tensor->dims[tensor->rank - 1] : 1;
}

attention_bias attention_bias_of(const norma_tensor *tensor, int64_t keys, bool shorter) {
  attention_bias bias = {
      .data = tensor->data, .type = tensor->type, .masks = tensor->type == NORMA_BOOL, .filter = -INFINITY};
  int64_t strides[4] = {0}, stride = 1;
  for (int i = 0; i < tensor->rank && i < 4; i++) {
    int64_t size = tensor->dims[tensor->rank - 1 - i];
    strides[3 - i] = size == 1 ? 0 : stride;
    stride *= size;
  }
  bool pads = shorter && tensor->rank > 0;
  bias.batch_stride = strides[0];
  bias.head_stride = strides[1];
  bias.row_stride = strides[2];
  bias.column_stride = pads ? 1 : strides[3];
  bias.columns = pads ? tensor->dims[tensor->rank - 1] : keys;
  return bias;
}

/* Adds `count` elements of a bias from `first` on. */
static void attention_add_bias(const struct kernel_table *kernels, const attention_bias *bias, int64_t first,
                               int64_t count, float *row) {
  int64_t step = bias->column_stride;
  if (bias->masks && bias->type == NORMA_BOOL) {
    const bool *from = (const bool *)bias->data + first;
    for (int64_t j = 0; j < count; j++) row[j] += from[j * step] ? 0 : bias->filter;
    return;
  }
  if (bias->masks) {
    const int32_t *from = (const int32_t *)bias->data + first;
    for (int64_t j = 0; j < count; j++) row[j] += from[j * step] > 0 ? 0 : bias->filter;
    return;
  }
  if (bias->type == NORMA_FLOAT) {
    const float *from = (const float *)bias->data + first;
    for (int64_t j = 0; j < count; j++) row[j] += from[j * step];
    return;
  }
  float piece[HALF_PIECE];
  for (int64_t j = 0, now; j < count; j += now) {
    now = count - j < HALF_PIECE ? count - j : HALF_PIECE;
    if (is_half(bias->type) && step == 1) {
      half_to_float(kernels, bias->type, piece, (const uint16_t *)bias->data + first + j, now);
    } else {
      for (int64_t i = 0; i < now; i++)
        piece[i] = (float)element_get_double(bias->type, bias->data, first + (j + i) * step);
    }
    for (int64_t i = 0; i < now; i++) row[j + i] += piece[i];
  }
}

/* Where the elements for some keys begin, and how many of the keys a bias covers. */
struct attention_covered {
  int64_t first, count;
};

static struct attention_covered attention_cover(const attention_job *job, const attention_bias *bias, int64_t sample,
                                                int64_t head, int64_t query, int64_t begin, int64_t end) {
  int64_t base = job->call->samples[sample].base, column = base + begin;
  int64_t covered = bias->columns < base + end ? bias->columns - column : end - begin;
  return (struct attention_covered){sample * bias->batch_stride + head * bias->head_stride + query * bias->row_stride +
                                        column * bias->column_stride,
                                    covered > 0 ? covered : 0};
}

void attention_bias_row(const attention_job *job, int64_t sample, int64_t head, int64_t query, int64_t begin,
                        int64_t end, float *row) {
  for (int64_t j = 0; j < end - begin; j++) row[j] = 0;
  for (int i = 0; i < ATTENTION_BIASES; i++) {
    const attention_bias *bias = &job->call->bias[i];
    if (!bias->data) continue;
    struct attention_covered covered = attention_cover(job, bias, sample, head, query, begin, end);
    attention_add_bias(job->context->kernels, bias, covered.first, covered.count, row);
    for (int64_t j = covered.count; j < end - begin; j++) row[j] = -INFINITY;
  }
}

void attention_bias_row_f64(const attention_job *job, int64_t sample, int64_t head, int64_t query, int64_t begin,
                            int64_t end, double *row) {
  for (int64_t j = 0; j < end - begin; j++) row[j] = 0;
  for (int i = 0; i < ATTENTION_BIASES; i++) {
    const attention_bias *bias = &job->call->bias[i];
    if (!bias->data) continue;
    struct attention_covered covered = attention_cover(job, bias, sample, head, query, begin, end);
    for (int64_t j = 0; j < covered.count; j++) {
      double element = element_get_double(bias->type, bias->data, covered.first + j * bias->column_stride);
      row[j] += !bias->masks ? element : element > 0 ? 0 : (double)bias->filter;
    }
    for (int64_t j = covered.count; j < end - begin; j++) row[j] = -INFINITY;
  }
}
