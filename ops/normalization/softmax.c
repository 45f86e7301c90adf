/*
 * Softmax, LogSoftmax, Hardmax 1, 11, 13 (ai.onnx)
 *
 *   Softmax     y = exp(x - max) / sum of exp(x - max)
 *   LogSoftmax  y = (x - max) - log(sum of exp(x - max))
 *   Hardmax     1 at the first maximum (or NaN), 0 elsewhere
 *
 * Since 13 these run along one axis, by default the last. Before, `axis` (by default 1) cuts X in two: all axes from it
 * on are one line; in version 1 it may be behind the last one. 13 adds bfloat16.
 *
 * float runs in kernels, along lines that lie together or across rows that do; half precision in float where its lines
 * lie together; all else line by line in double precision.
 */
#include "ops/blocked.h"
#include "ops/normalization/softmax.h"

#include "ops/half.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

typedef struct softmax_state {
  enum softmax_kind kind;
  int64_t axis;
  bool flattens; /* the axes behind it belong to the line */

  /* The plan's: X as outer x count x inner. */
  norma_element_type type;
  int64_t outer, count, inner;
} softmax_state;

/* ----------------------------------------------------------------------------------------------- attributes, shapes */

static norma_status softmax_read_kind(const node *node, void *opaque, enum softmax_kind kind) {
  softmax_state *state = opaque;
  state->kind = kind;
  state->flattens = node->version < 13;
  state->axis = attribute_int(node, "axis", state->flattens ? 1 : -1);
  return NORMA_OK;
}

static norma_status softmax_read(const node *node, void *state, norma_error *error) {
  (void)error;
  return softmax_read_kind(node, state, SOFTMAX);
}

static norma_status log_softmax_read(const node *node, void *state, norma_error *error) {
  (void)error;
  return softmax_read_kind(node, state, LOG_SOFTMAX);
}

static norma_status hardmax_read(const node *node, void *state, norma_error *error) {
  (void)error;
  return softmax_read_kind(node, state, HARDMAX);
}

static bool softmax_axis(const softmax_state *state, int version, int rank, int *axis) {
  *axis = rank;
  if (version == 1 && state->axis == rank) return true;
  return axis_normalize(state->axis, rank, axis);
}

static norma_status softmax_infer(infer_context *context) {
  const softmax_state *state = context->state;
  const shape *x = infer_shape(context, 0);
  int axis;
  TRY(infer_types_since(context, TYPES_BFLOAT16, 13));
  if (x->rank != RANK_UNKNOWN && !softmax_axis(state, context->node->version, x->rank, &axis))
    return infer_fail(context, "axis %" PRId64 " does not exist in an input of rank %d", state->axis, x->rank);
  return infer_same(context);
}

static norma_status softmax_prepare(prepare_context *context) {
  softmax_state *state = context->state;
  const shape *x = prepare_shape(context, 0);
  int axis;
  if (!softmax_axis(state, context->node->version, x->rank, &axis))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "axis does not exist");
  int end = state->flattens ? x->rank : axis + 1;
  state->type = prepare_type(context, 0);
  state->outer = dims_product(x->dims, 0, axis);
  state->count = dims_product(x->dims, axis, end);
  state->inner = dims_product(x->dims, end, x->rank);
  size_t offset;
  if ((state->type != NORMA_FLOAT || state->kind == HARDMAX) &&
      !scratch_append(&context->worker_scratch_bytes, (size_t)state->count, sizeof(double), &offset))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "one line is too large");
  context->kernel_name = state->inner == 1 ? "lines" : "rows";
  context->flops = 5.0 * (double)state->outer * (double)state->count * (double)state->inner;
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------ lines of adjacent */

/* LogSoftmax. y may be x. */
static void log_softmax_line(const struct kernel_table *kernels, float *y, const float *x, int64_t count) {
  size_t n = (size_t)count;
  float largest = kernels->reduce_f32[REDUCE_MAX](x, n);
  /* In two steps, since a large maximum would swallow the logarithm. */
  float sum = kernels->exp_sum_f32(NULL, x, n, largest);
  kernels->binary_right_scalar_f32[BINARY_SUB](y, x, largest, n);
  kernels->binary_right_scalar_f32[BINARY_SUB](y, y, logf(sum), n);
}

void softmax_float_lines(const struct kernel_table *kernels, enum softmax_kind kind, float *y, const float *x,
                         int64_t lines, int64_t count) {
  if (kind == SOFTMAX) {
    kernels->softmax_lines_f32(y, x, (size_t)lines, (size_t)count);
  } else {
    for (int64_t i = 0; i < lines; i++) log_softmax_line(kernels, y + i * count, x + i * count, count);
  }
}

/* float and half precision, inner == 1. */
static void softmax_lines(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const softmax_state *state = context->state;
  const struct kernel_table *kernels = context->kernels;
  const void *x = run_input(context, 0)->data;
  void *y = run_output(context, 0)->data;
  float *line = run_worker_scratch(context, worker);
  if (state->type == NORMA_FLOAT) {
    int64_t first = begin * state->count;
    softmax_float_lines(kernels, state->kind, (float *)y + first, (const float *)x + first, end - begin, state->count);
    return;
  }
  for (int64_t i = begin; i < end; i++) {
    int64_t first = i * state->count;
    half_to_float(kernels, state->type, line, (const uint16_t *)x + first, state->count);
    softmax_float_lines(kernels, state->kind, line, line, 1, state->count);
    half_from_float(kernels, state->type, (uint16_t *)y + first, line, state->count);
  }
}

/* ------------------------------------------------------------------------------------------------- rows of adjacent */

/* Sums of single precision take that many rows, and then go to a sum of double precision. */
#define SOFTMAX_ROWS 32

typedef struct softmax_sums {
  float sum[SOFTMAX_COLUMNS];
  double total[SOFTMAX_COLUMNS];
  size_t rows; /* in sum */
} softmax_sums;

static void softmax_sums_begin(softmax_sums *sums, size_t columns) {
  for (size_t j = 0; j < columns; j++) sums->sum[j] = 0, sums->total[j] = 0;
  sums->rows = 0;
}

static void softmax_sums_add(const struct kernel_table *kernels, softmax_sums *sums, const float *row, size_t columns,
                             size_t left) {
  kernels->binary_f32[BINARY_ADD](sums->sum, sums->sum, row, columns);
  if (++sums->rows < SOFTMAX_ROWS || left == 0) return;
  for (size_t j = 0; j < columns; j++) sums->total[j] += (double)sums->sum[j], sums->sum[j] = 0;
  sums->rows = 0;
}

static const float *softmax_sums_end(softmax_sums *sums, size_t count, size_t columns) {
  if (count <= SOFTMAX_ROWS) return sums->sum;
  for (size_t j = 0; j < columns; j++) sums->sum[j] = (float)(sums->total[j] + (double)sums->sum[j]);
  return sums->sum;
}

void softmax_float_log_sums(const struct kernel_table *kernels, float *largest, float *log_sum, const float *x,
                            size_t count, size_t columns, size_t stride) {
  softmax_sums sums;
  float power[SOFTMAX_COLUMNS];
  softmax_sums_begin(&sums, columns);
  kernels->reduce_rows_f32[REDUCE_MAX](largest, x, count, columns, stride);
  for (size_t i = 0; i < count; i++) {
    kernels->binary_f32[BINARY_SUB](power, x + i * stride, largest, columns);
    kernels->unary_f32[UNARY_EXP](power, power, columns, 0, 0);
    softmax_sums_add(kernels, &sums, power, columns, count - 1 - i);
  }
  kernels->unary_f32[UNARY_LOG](log_sum, softmax_sums_end(&sums, count, columns), columns, 0, 0);
}

void softmax_float_columns(const struct kernel_table *kernels, enum softmax_kind kind, float *y, const float *x,
                           size_t count, size_t columns, size_t stride) {
  float largest[SOFTMAX_COLUMNS], log_sum[SOFTMAX_COLUMNS];
  if (kind == LOG_SOFTMAX) {
    softmax_float_log_sums(kernels, largest, log_sum, x, count, columns, stride);
    for (size_t i = 0; i < count; i++) { /* in two steps, since a large maximum would swallow the logarithm */
      kernels->binary_f32[BINARY_SUB](y + i * stride, x + i * stride, largest, columns);
      kernels->binary_f32[BINARY_SUB](y + i * stride, y + i * stride, log_sum, columns);
    }
    return;
  }
  softmax_sums sums;
  softmax_sums_begin(&sums, columns);
  kernels->reduce_rows_f32[REDUCE_MAX](largest, x, count, columns, stride);
  for (size_t i = 0; i < count; i++) {
    float *row = y + i * stride;
    kernels->binary_f32[BINARY_SUB](row, x + i * stride, largest, columns);
    kernels->unary_f32[UNARY_EXP](row, row, columns, 0, 0);
    softmax_sums_add(kernels, &sums, row, columns, count - 1 - i);
  }
  const float *sum = softmax_sums_end(&sums, count, columns);
  for (size_t i = 0; i < count; i++) kernels->binary_f32[BINARY_DIV](y + i * stride, y + i * stride, sum, columns);
}

static void softmax_rows(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const softmax_state *state = context->state;
  const float *x = run_input(context, 0)->data;
  float *y = run_output(context, 0)->data;
  int64_t blocks = divide_up(state->inner, SOFTMAX_COLUMNS);
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    int64_t column = i % blocks * SOFTMAX_COLUMNS, first = i / blocks * state->count * state->inner + column;
    int64_t columns = state->inner - column < SOFTMAX_COLUMNS ? state->inner - column : SOFTMAX_COLUMNS;
    softmax_float_columns(context->kernels, state->kind, y + first, x + first, (size_t)state->count, (size_t)columns,
                          (size_t)state->inner);
  }
}

/* -------------------------------------------------------------------------------------------------- lines in double */

static void softmax_line_in_double(const run_context *context, double *line, int64_t count) {
  enum softmax_kind kind = ((const softmax_state *)context->state)->kind;
  double largest = line[0], sum = 0;
  int64_t best = 0;
  for (int64_t i = 1; i < count && !work_interrupted(context, i); i++) {
    if (!(line[i] > largest || (line[i] != line[i] && largest == largest))) continue;
    largest = line[i];
    best = i;
  }
  if (kind == HARDMAX) {
    for (int64_t i = 0; i < count; i++) line[i] = i == best;
    return;
  }
  for (int64_t i = 0; i < count && !work_interrupted(context, i); i++) sum += exp(line[i] - largest);
  double log_sum = log(sum);
  for (int64_t i = 0; i < count && !work_interrupted(context, i); i++)
    line[i] = kind == SOFTMAX ? exp(line[i] - largest) / sum : line[i] - largest - log_sum;
}

static void softmax_lines_in_double(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const softmax_state *state = context->state;
  const void *x = run_input(context, 0)->data;
  void *y = run_output(context, 0)->data;
  double *line = run_worker_scratch(context, worker);
  for (int64_t i = begin; i < end; i++) {
    int64_t first = i / state->inner * state->count * state->inner + i % state->inner;
    for (int64_t j = 0; j < state->count && !work_interrupted(context, j); j++)
      line[j] = element_get_double(state->type, x, first + j * state->inner);
    if (run_cancelled(context)) return; /* the line may not be whole */
    softmax_line_in_double(context, line, state->count);
    for (int64_t j = 0; j < state->count && !work_interrupted(context, j); j++)
      element_set_double(state->type, y, first + j * state->inner, line[j]);
  }
}

static norma_status softmax_compute(run_context *context) {
  const softmax_state *state = context->state;
  int64_t lines = state->outer * state->inner;
  double cost = 16.0 * (double)state->count;
  if (lines == 0 || state->count == 0) return NORMA_OK;
  if (state->kind == HARDMAX || state->type == NORMA_DOUBLE || (is_half(state->type) && state->inner > 1))
    return run_parallel(context, lines, work_grain(4 * cost), softmax_lines_in_double, context);
  if (state->inner == 1) return run_parallel(context, lines, work_grain(cost), softmax_lines, context);
  return run_parallel(context, state->outer * divide_up(state->inner, SOFTMAX_COLUMNS),
                      work_grain(cost * SOFTMAX_COLUMNS), softmax_rows, context);
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

static const operator_attribute softmax_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ facts */

/* In blocks: over all channels of each pixel, and worth it: in the plain layout it costs no less, but two reorders
 * where what follows computes on blocks as well. */
static bool softmax_block(const node *node, block_form *form) {
  const softmax_state *state = node->state;
  if (!node_follows_block(node) || block_axis(node->inputs[0], state->axis) != 1) return false;
  const shape x = plane_shape(node_input_shape(node, 0));
  if (state->flattens && (x.dims[2] != 1 || x.dims[3] != 1)) return false;
  return value_is_wanted_in_blocks(node->outputs[0]) && block_as_inner(node, form, node->op_type);
}

const operator_descriptor operators_softmax[] = {
    {
        .domain = "",
        .name = "Softmax",
        .versions = {1, 11, 13},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0)}},
        .attributes = softmax_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(softmax_state),
        .read = softmax_read,
        .infer = softmax_infer,
        .prepare = softmax_prepare,
        .facts = {.dimension = fact_dimension_same, .block = softmax_block, .block_types = TYPE_BIT(NORMA_FLOAT)},
        .compute = softmax_compute,
    },
    {
        .domain = "",
        .name = "LogSoftmax",
        .versions = {1, 11, 13},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0)}},
        .attributes = softmax_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(softmax_state),
        .read = log_softmax_read,
        .infer = softmax_infer,
        .prepare = softmax_prepare,
        .facts = {.dimension = fact_dimension_same, .block = softmax_block, .block_types = TYPE_BIT(NORMA_FLOAT)},
        .compute = softmax_compute,
    },
    {
        .domain = "",
        .name = "Hardmax",
        .versions = {1, 11, 13},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0)}},
        .attributes = softmax_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(softmax_state),
        .read = hardmax_read,
        .infer = softmax_infer,
        .prepare = softmax_prepare,
        .facts = {.dimension = fact_dimension_same},
        .compute = softmax_compute,
    },
    {0},
};
