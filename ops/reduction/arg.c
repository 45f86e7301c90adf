/*
 * ArgMax, ArgMin: where the largest or smallest element lies along an axis. 1; 11: negative axis; 12:
 * select_last_index; 13: bfloat16. Of equal elements the first counts, or the last; NaN counts as the extreme, as in
 * NumPy.
 */
#include "ops/movement/movement.h"
#include "ops/work.h"

#include <math.h>

typedef struct arg_state {
  int64_t axis;
  bool keep_dims, last, smallest;
} arg_state;

static norma_status arg_read(const node *node, void *opaque, norma_error *error) {
  arg_state *state = opaque;
  (void)error;
  state->axis = attribute_int(node, "axis", 0);
  state->keep_dims = attribute_int(node, "keepdims", 1) != 0;
  state->last = attribute_int(node, "select_last_index", 0) != 0;
  state->smallest = strcmp(node->op->name, "ArgMin") == 0;
  return NORMA_OK;
}

static norma_status arg_infer(infer_context *context) {
  const arg_state *state = context->state;
  const shape *input = infer_shape(context, 0);
  shape result = shape_unknown();
  int axis;
  if (input->rank != RANK_UNKNOWN) {
    if (!axis_normalize(state->axis, input->rank, &axis)) {
      return infer_fail(context, "axis %lld is outside a tensor of rank %d", (long long)state->axis, input->rank);
    }
    result.rank = 0;
    for (int i = 0; i < input->rank; i++) {
      if (i != axis)
        result.dims[result.rank++] = input->dims[i];
      else if (state->keep_dims)
        result.dims[result.rank++] = 1;
    }
  }
  infer_output(context, 0, NORMA_INT64, &result);
  return NORMA_OK;
}

typedef struct arg_job {
  const run_context *context;
  const arg_state *state;
  const norma_tensor *input;
  int64_t *result;
  int64_t size, inner;
} arg_job;

static bool better_float(const arg_state *state, double x, double best) {
  if (isnan(best)) return isnan(x) && state->last;
  if (isnan(x)) return true;
  if (x == best) return state->last;
  return state->smallest ? x < best : x > best;
}

static bool better_integer(const arg_state *state, int64_t x, int64_t best, bool is_unsigned) {
  if (x == best) return state->last;
  const bool less = is_unsigned ? (uint64_t)x < (uint64_t)best : x < best;
  return state->smallest == less;
}

typedef float lanes4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t four_indices __attribute__((vector_size(16)));

/* Whether the number, or NaN where it is that, is among 16. */
static bool is_reduced_axis(const float *x, float number, bool is_nan) {
  four_indices found = {0};
  for (int j = 0; j < 16; j += 4) {
    const lanes4 a = *(const lanes4 *)(x + j);
    found |= is_nan ? a != a : a == number;
  }
  return (found[0] | found[1] | found[2] | found[3]) != 0;
}

/* Where a number, which is there, stands first or last; where it is NaN, where one does. */
static int64_t find_number(const float *x, int64_t size, float number, bool last) {
  const bool is_nan = number != number;
  int64_t begin = 0, end = size;
  while (!last && end - begin > 16 && !is_reduced_axis(x + begin, number, is_nan)) begin += 16;
  while (last && end - begin > 16 && !is_reduced_axis(x + end - 16, number, is_nan)) end -= 16;
  int64_t i = last ? end - 1 : begin;
  while (i > begin - 1 && i < end && !(x[i] == number || (is_nan && x[i] != x[i]))) i += last ? -1 : 1;
  return i;
}

#define MOST_ARGS_AT_ONCE (1 << 20) /* a kernel cannot be cancelled */

static int64_t find_extreme(const arg_job *job, int64_t first) {
  const norma_element_type type = job->input->type;
  const void *data = job->input->data;
  int64_t found = 0;
  if (type == NORMA_FLOAT && job->inner == 1 && job->size <= MOST_ARGS_AT_ONCE) {
    const float *x = (const float *)data + first;
    const enum reduce_kind kind = job->state->smallest ? REDUCE_MIN : REDUCE_MAX;
    const float extreme = job->context->kernels->reduce_f32[kind](x, (size_t)job->size);
    found = find_number(x, job->size, extreme, job->state->last);
  } else if (type == NORMA_FLOAT) {
    const float *x = (const float *)data + first;
    for (int64_t i = 1; i < job->size && !work_interrupted(job->context, i); i++) {
      if (better_float(job->state, (double)x[i * job->inner], (double)x[found * job->inner])) found = i;
    }
  } else if (TYPE_BIT(type) & TYPES_FLOAT) {
    double best = element_get_double(type, data, first);
    for (int64_t i = 1; i < job->size && !work_interrupted(job->context, i); i++) {
      const double x = element_get_double(type, data, first + i * job->inner);
      if (better_float(job->state, x, best)) best = x, found = i;
    }
  } else {
    int64_t best = element_get_int64(type, data, first);
    for (int64_t i = 1; i < job->size && !work_interrupted(job->context, i); i++) {
      const int64_t x = element_get_int64(type, data, first + i * job->inner);
      if (better_integer(job->state, x, best, type == NORMA_UINT64)) best = x, found = i;
    }
  }
  return found;
}

#define ARG_COLUMNS 256 /* of a tensor of float that are searched together */

/* found[j] becomes `row` where x[j] is the extreme, or is NaN where that is. Of both there are ARG_COLUMNS. */
static void mark_row(four_indices *found, const float *x, const float *extreme, int32_t row) {
  for (int j = 0; j < ARG_COLUMNS / 4; j++) {
    const lanes4 a = *(const lanes4 *)(x + 4 * j), b = *(const lanes4 *)(extreme + 4 * j);
    const four_indices is_it = (a == b) | ((a != a) & (b != b));
    found[j] = (found[j] & ~is_it) | (row & is_it);
  }
}

static void mark_columns(four_indices *found, const float *x, const float *extreme, int32_t row, int64_t columns) {
  float whole[ARG_COLUMNS];
  if (columns < ARG_COLUMNS) {
    memcpy(whole, x, (size_t)columns * sizeof *x);
    for (int64_t j = columns; j < ARG_COLUMNS; j++) whole[j] = 0;
    x = whole;
  }
  mark_row(found, x, extreme, row);
}

/* Unit u is piece u % pieces of the rows below outer index u / pieces: rows are read as they lie, first for the
 * extremes, then, from the far end, for where they are. */
static void arg_columns_body(void *argument, int64_t begin, int64_t end, int worker) {
  const arg_job *job = argument;
  const int64_t pieces = (job->inner + ARG_COLUMNS - 1) / ARG_COLUMNS;
  const enum reduce_kind kind = job->state->smallest ? REDUCE_MIN : REDUCE_MAX;
  (void)worker;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t outer = unit / pieces, first = unit % pieces * ARG_COLUMNS;
    const int64_t columns = job->inner - first < ARG_COLUMNS ? job->inner - first : ARG_COLUMNS;
    const float *x = (const float *)job->input->data + outer * job->size * job->inner + first;
    int64_t *result = job->result + outer * job->inner + first;
    four_indices found[ARG_COLUMNS / 4] = {{0}};
    float extreme[ARG_COLUMNS] = {0};
    job->context->kernels->reduce_rows_f32[kind](extreme, x, (size_t)job->size, (size_t)columns, (size_t)job->inner);
    for (int64_t k = 0; k < job->size && !((k & 0xFF) == 0xFF && run_cancelled(job->context)); k++) {
      const int64_t row = job->state->last ? k : job->size - 1 - k;
      mark_columns(found, x + row * job->inner, extreme, (int32_t)row, columns);
    }
    for (int64_t j = 0; j < columns; j++) result[j] = found[j / 4][j % 4];
  }
}

static void arg_body(void *argument, int64_t begin, int64_t end, int worker) {
  const arg_job *job = argument;
  (void)worker;
  for (int64_t index = begin; index < end; index++) {
    job->result[index] = find_extreme(job, index / job->inner * job->size * job->inner + index % job->inner);
  }
}

static norma_status arg_compute(run_context *context) {
  const arg_state *state = context->state;
  const norma_tensor *input = run_input(context, 0), *output = run_output(context, 0);
  int axis;
  if (!output) return NORMA_OK;
  if (!axis_normalize(state->axis, input->rank, &axis)) {
    return run_fail(context, NORMA_ERROR_RUN, "axis is out of range");
  }
  const int64_t count = norma_tensor_count(output), size = input->dims[axis];
  if (count == 0) return NORMA_OK;
  if (size == 0) return run_fail(context, NORMA_ERROR_RUN, "there is no extreme of no elements");
  arg_job job = {context, state, input, output->data, size, dims_product(input->dims, axis + 1, input->rank)};
  if (input->type == NORMA_FLOAT && job.inner > 1 && size <= MOST_ARGS_AT_ONCE / ARG_COLUMNS) {
    const int64_t pieces = (job.inner + ARG_COLUMNS - 1) / ARG_COLUMNS,
                  cost = size * (job.inner < ARG_COLUMNS ? job.inner : ARG_COLUMNS);
    return run_parallel(context, count / job.inner * pieces, cost >= 8192 ? 1 : 8192 / cost, arg_columns_body, &job);
  }
  return run_parallel(context, count, size >= 8192 ? 1 : 8192 / size, arg_body, &job);
}

static const operator_attribute arg_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"keepdims", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"select_last_index", ATTRIBUTE_INT, 12, OPERATOR_LATEST, false},
    {0},
};

#define ARG(op)                                                                                                        \
  {                                                                                                                    \
    .name = op, .domain = "", .versions = {1, 11, 12, 13}, .min_inputs = 1, .max_inputs = 1, .min_outputs = 1,         \
    .max_outputs = 1, .types = {{TYPES_NUMERIC, INPUT(0), 0}, {TYPE_BIT(NORMA_INT64), 0, OUTPUT(0)}},                  \
    .attributes = arg_attributes, .state_size = sizeof(arg_state), .read = arg_read, .infer = arg_infer,               \
    .compute = arg_compute,                                                                                            \
  }

const operator_descriptor operators_arg[] = {
    ARG("ArgMax"),
    ARG("ArgMin"),
    {0},
};
