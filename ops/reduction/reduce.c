/*
 * Reductions along axes: ReduceSum, Mean, Prod, Max, Min, L1, L2, LogSum, LogSumExp, SumSquare.
 *
 * 1: attribute axes; 11: negative ones; 12: 8-bit types (Max, Min); 13: bfloat16, and axes of ReduceSum as an input;
 * 18: axes of all as an input, noop_with_empty_axes; 20: bool (Max, Min); 28: only floats (LogSum, LogSumExp).
 * Without axes everything is reduced, or nothing with noop_with_empty_axes.
 *
 * float and half precision are reduced by the kernels of the table (reduce_floats.c, reduce_products.c), double in
 * double, integers in 64 bits that wrap around; the mean of integers is truncated. An empty reduction gives 0, 1 for a
 * product, the least number for a maximum and so on. The order in which an element is summed up depends on the shape of
 * what is reduced only.
 */
#include "ops/axes.h"
#include "ops/blocked.h"
#include "ops/movement/movement.h"
#include "ops/reduction/reduce.h"
#include "ops/work.h"

#include <math.h>

typedef struct reduce_state {
  enum reduction reduction;
  bool keep_dims, nothing_without_axes;
  bool axes_input;
  integers axes;
} reduce_state;

static norma_status reduce_read(const node *node, void *opaque, norma_error *error) {
  static const char *const names[REDUCTION_COUNT] = {"ReduceSum",       "ReduceMean",     "ReduceProd", "ReduceMax",
                                                     "ReduceMin",       "ReduceL1",       "ReduceL2",   "ReduceLogSum",
                                                     "ReduceLogSumExp", "ReduceSumSquare"};
  reduce_state *state = opaque;
  for (int i = 0; i < REDUCTION_COUNT; i++) {
    if (strcmp(names[i], node->op->name) == 0) state->reduction = (enum reduction)i;
  }
  state->keep_dims = attribute_int(node, "keepdims", 1) != 0;
  state->nothing_without_axes = attribute_int(node, "noop_with_empty_axes", 0) != 0;
  const int axes_since = state->reduction == SUM ? 13 : 18;
  state->axes_input = node->version >= axes_since;
  TRY(read_inputs_since(node, 1, axes_since, error));
  if (!state->axes_input && !integers_from_attribute(node, "axes", &state->axes)) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "more than %d axes", NORMA_MAX_RANK);
  }
  return NORMA_OK;
}

/* Marks the reduced dimensions; false when axes do not fit. */
static bool mark_axes(const reduce_state *state, const integers *given, int rank, bool *reduced) {
  integers axes = *given;
  const bool all = axes.count == 0 && !state->nothing_without_axes;
  for (int i = 0; i < rank; i++) reduced[i] = all;
  if (!axes_normalize(&axes, rank)) return false;
  for (int i = 0; i < axes.count; i++) reduced[axes.values[i]] = true;
  return true;
}

static norma_status reduce_infer(infer_context *context) {
  const reduce_state *state = context->state;
  const shape *input = infer_shape(context, 0);
  integers axes = state->axes;
  norma_status status = NORMA_OK;
  bool known = true;
  if (state->axes_input && infer_has_input(context, 1)) {
    known = infer_ints(context, 1, axes.values, NORMA_MAX_RANK, &axes.count, &status);
    TRY(status);
  }
  shape result = shape_unknown();
  if (input->rank != RANK_UNKNOWN && known) {
    bool reduced[NORMA_MAX_RANK];
    if (!mark_axes(state, &axes, input->rank, reduced)) {
      return infer_fail(context, "axes do not fit rank %d", input->rank);
    }
    result.rank = 0;
    for (int i = 0; i < input->rank; i++) {
      if (!reduced[i])
        result.dims[result.rank++] = input->dims[i];
      else if (state->keep_dims)
        result.dims[result.rank++] = 1;
    }
  } else if (input->rank != RANK_UNKNOWN && state->keep_dims) {
    result = shape_of_rank(input->rank);
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------- walk */

static void walk_append(reduce_dims *list, int64_t size, int64_t stride, bool merge) {
  if (merge) { /* goes in front of what is there */
    list->dims[0] *= size;
    return;
  }
  for (int i = list->rank; i > 0; i--) {
    list->dims[i] = list->dims[i - 1];
    list->strides[i] = list->strides[i - 1];
  }
  list->dims[0] = size;
  list->strides[0] = stride;
  list->rank++;
}

static void walk_make(reduce_walk *walk, const norma_tensor *input, const bool *reduced) {
  int64_t stride = 1;
  int previous = -1; /* 1: the dimension behind was reduced */
  memset(walk, 0, sizeof *walk);
  walk->outputs = walk->count = 1;
  for (int i = input->rank - 1; i >= 0; i--) {
    const int64_t size = input->dims[i];
    *(reduced[i] ? &walk->count : &walk->outputs) *= size;
    if (size != 1) {
      if (previous < 0) walk->last_is_reduced = reduced[i];
      walk_append(reduced[i] ? &walk->reduced : &walk->kept, size, stride, previous == (int)reduced[i]);
      previous = reduced[i];
    }
    stride *= size;
  }
}

typedef struct reduce_job {
  const run_context *context;
  const reduce_state *state;
  const reduce_walk *walk;
  const norma_tensor *input;
  norma_tensor *output;
} reduce_job;

/* --------------------------------------------------------------------------------------------------------- any type */

double reduce_finish(enum reduction reduction, double result, int64_t count) {
  switch (reduction) {
  case MEAN:
    return result / (double)count;
  case L2:
    return sqrt(result);
  case LOG_SUM:
    return log(result);
  default:
    return result;
  }
}

static double reduce_in_double(const reduce_job *job, int64_t base) {
  const reduce_walk *walk = job->walk;
  const enum reduction reduction = job->state->reduction;
  const norma_element_type type = job->input->type;
  double result = reduction == PRODUCT   ? 1
                  : reduction == MAXIMUM ? -(double)INFINITY
                  : reduction == MINIMUM ? (double)INFINITY
                                         : 0;
  double largest = -(double)INFINITY;
  for (int64_t i = 0; i < walk->count && reduction == LOG_SUM_EXP && !work_interrupted(job->context, i); i++) {
    const double x =
        element_get_double(type, job->input->data, base + reduce_walk_offset(&walk->reduced, walk->reduced.rank, i));
    if (isnan(x)) return x;
    largest = fmax(largest, x);
  }
  if (reduction == LOG_SUM_EXP && isinf(largest)) return largest;
  for (int64_t i = 0; i < walk->count && !work_interrupted(job->context, i); i++) {
    const double x =
        element_get_double(type, job->input->data, base + reduce_walk_offset(&walk->reduced, walk->reduced.rank, i));
    switch (reduction) {
    case PRODUCT:
      result *= x;
      break;
    case MAXIMUM:
      if (x > result || isnan(x)) result = x;
      break;
    case MINIMUM:
      if (x < result || isnan(x)) result = x;
      break;
    case L1:
      result += fabs(x);
      break;
    case L2:
    case SUM_SQUARE:
      result += x * x;
      break;
    case LOG_SUM_EXP:
      result += exp(x - largest);
      break;
    default:
      result += x;
      break;
    }
    if ((reduction == MAXIMUM || reduction == MINIMUM) && isnan(result)) break;
  }
  return reduction == LOG_SUM_EXP ? log(result) + largest : reduce_finish(reduction, result, walk->count);
}

static bool is_less(int64_t a, int64_t b, bool is_unsigned) {
  return is_unsigned ? (uint64_t)a < (uint64_t)b : a < b;
}

static void reduce_integers(const reduce_job *job, int64_t base, int64_t index) {
  const reduce_walk *walk = job->walk;
  const enum reduction reduction = job->state->reduction;
  const norma_element_type type = job->input->type;
  const bool is_unsigned = type == NORMA_UINT64;
  const int bits = type == NORMA_BOOL ? 1 : element_type_bits(type);
  const bool has_sign = (TYPE_BIT(type) & TYPES_SIGNED) != 0;
  const uint64_t ones = UINT64_MAX >> (64 - bits);
  const int64_t most = (int64_t)(has_sign ? ones >> 1 : ones), least = has_sign ? -most - 1 : 0;
  int64_t result = reduction == MAXIMUM ? least : reduction == MINIMUM ? most : reduction == PRODUCT;
  for (int64_t i = 0; i < walk->count && !work_interrupted(job->context, i); i++) {
    const int64_t x =
        element_get_int64(type, job->input->data, base + reduce_walk_offset(&walk->reduced, walk->reduced.rank, i));
    if (reduction == MAXIMUM)
      result = is_less(result, x, is_unsigned) ? x : result;
    else if (reduction == MINIMUM)
      result = is_less(x, result, is_unsigned) ? x : result;
    else if (reduction == PRODUCT)
      result = (int64_t)((uint64_t)result * (uint64_t)x);
    else if (reduction == SUM_SQUARE)
      result = (int64_t)((uint64_t)result + (uint64_t)x * (uint64_t)x);
    else if (reduction == L1 && x < 0 && has_sign)
      result = (int64_t)((uint64_t)result - (uint64_t)x);
    else
      result = (int64_t)((uint64_t)result + (uint64_t)x);
  }
  if (reduction == MEAN && is_unsigned)
    result = walk->count ? (int64_t)((uint64_t)result / (uint64_t)walk->count) : 0;
  else if (reduction == MEAN)
    result = walk->count ? result / walk->count : 0;
  element_set_int64(type, job->output->data, index, result);
}

static void reduce_any_body(void *argument, int64_t begin, int64_t end, int worker) {
  const reduce_job *job = argument;
  const enum reduction reduction = job->state->reduction;
  const bool in_double =
      (TYPE_BIT(job->input->type) & TYPES_FLOAT) || reduction == L2 || reduction == LOG_SUM || reduction == LOG_SUM_EXP;
  (void)worker;
  for (int64_t index = begin; index < end; index++) {
    const int64_t base = reduce_walk_offset(&job->walk->kept, job->walk->kept.rank, index);
    if (in_double) {
      const double result = reduce_in_double(job, base); /* integers are truncated, as by a cast */
      const bool is_float = (TYPE_BIT(job->output->type) & TYPES_FLOAT) != 0;
      element_set_double(job->output->type, job->output->data, index, is_float ? result : trunc(result));
    } else
      reduce_integers(job, base, index);
  }
}

static norma_status reduce_compute(run_context *context) {
  const reduce_state *state = context->state;
  const norma_tensor *input = run_input(context, 0), *list = state->axes_input ? run_input(context, 1) : NULL;
  norma_tensor *output = run_output(context, 0);
  integers axes = state->axes;
  bool reduced[NORMA_MAX_RANK];
  reduce_walk walk;
  if (!output) return NORMA_OK;
  if ((list && !integers_from_tensor(list, &axes)) || !mark_axes(state, &axes, input->rank, reduced)) {
    return run_fail(context, NORMA_ERROR_RUN, "axes do not fit rank %d", input->rank);
  }
  walk_make(&walk, input, reduced);
  if (walk.outputs != norma_tensor_count(output))
    return run_fail(context, NORMA_ERROR_RUN, "axes do not fit the output");
  if (reduce_floats_suits(state->reduction, input->type, &walk)) return reduce_floats(context, state->reduction, &walk);
  if (reduce_products_suits(state->reduction, input->type, &walk))
    return reduce_products(context, state->reduction, &walk);
  reduce_job job = {context, state, &walk, input, output};
  const int64_t grain = walk.count >= 2048 ? 1 : 2048 / (walk.count + 1) + 1;
  return run_parallel(context, walk.outputs, grain, reduce_any_body, &job);
}

static const operator_attribute sum_attributes[] = {
    {"axes", ATTRIBUTE_INTS, 1, 12, false},
    {"keepdims", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"noop_with_empty_axes", ATTRIBUTE_INT, 13, OPERATOR_LATEST, false},
    {0},
};
static const operator_attribute reduce_attributes[] = {
    {"axes", ATTRIBUTE_INTS, 1, 17, false},
    {"keepdims", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"noop_with_empty_axes", ATTRIBUTE_INT, 18, OPERATOR_LATEST, false},
    {0},
};

#define REDUCE_TYPES                                                                                                   \
  (TYPES_FLOAT | TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64) | TYPE_BIT(NORMA_UINT32) | TYPE_BIT(NORMA_UINT64))
#define EXTREME_TYPES (REDUCE_TYPES | TYPE_BIT(NORMA_INT8) | TYPE_BIT(NORMA_UINT8) | TYPE_BIT(NORMA_BOOL))

/* ------------------------------------------------------------------------------------------------------------ facts */

/* In blocks: the mean over all pixels, whose dimensions stay, is a pool. */
static bool reduce_block(const node *node, block_form *form) {
  block_list axes;
  if (strcmp(node->op->name, "ReduceMean") != 0 || !node_follows_block(node)) return false;
  if (attribute_int(node, "keepdims", 1) == 0 || !node_read_list(node, "axes", 1, &axes)) return false;
  if (axes.count != node->inputs[0]->info.shape.rank - 2) return false;
  unsigned seen = 0;
  for (int i = 0; i < axes.count; i++) {
    const int axis = block_axis(node->inputs[0], axes.values[i]);
    if (axis < 2) return false;
    seen |= 1u << axis;
  }
  if (axes.count == 2 && seen != (1u << 2 | 1u << 3)) return false;
  form->inner = "GlobalAveragePool";
  form->uses[0] = BLOCK_FOLLOW;
  form->kept_inputs = 1;
  form->drops_attributes = true;
  return true;
}

#define REDUCE(op, mask, list, ...)                                                                                    \
  {                                                                                                                    \
    .name = op, .domain = "", .versions = {__VA_ARGS__}, .min_inputs = 1, .max_inputs = 2, .min_outputs = 1,           \
    .max_outputs = 1, .types = {{mask, INPUT(0), OUTPUT(0)}, {TYPE_BIT(NORMA_INT64), INPUT(1), 0}},                    \
    .attributes = list, .state_size = sizeof(reduce_state), .read = reduce_read, .infer = reduce_infer,                \
    .facts = {.block = reduce_block, .block_types = TYPE_BIT(NORMA_FLOAT)}, .compute = reduce_compute,                 \
  }

const operator_descriptor operators_reduce[] = {
    REDUCE("ReduceSum", REDUCE_TYPES, sum_attributes, 1, 11, 13),
    REDUCE("ReduceMean", REDUCE_TYPES, reduce_attributes, 1, 11, 13, 18),
    REDUCE("ReduceProd", REDUCE_TYPES, reduce_attributes, 1, 11, 13, 18),
    REDUCE("ReduceMax", EXTREME_TYPES, reduce_attributes, 1, 11, 12, 13, 18, 20),
    REDUCE("ReduceMin", EXTREME_TYPES, reduce_attributes, 1, 11, 12, 13, 18, 20),
    REDUCE("ReduceL1", REDUCE_TYPES, reduce_attributes, 1, 11, 13, 18),
    REDUCE("ReduceL2", REDUCE_TYPES, reduce_attributes, 1, 11, 13, 18),
    REDUCE("ReduceLogSum", REDUCE_TYPES, reduce_attributes, 1, 11, 13, 18, 28),
    REDUCE("ReduceLogSumExp", REDUCE_TYPES, reduce_attributes, 1, 11, 13, 18, 28),
    REDUCE("ReduceSumSquare", REDUCE_TYPES, reduce_attributes, 1, 11, 13, 18),
    {0},
};
