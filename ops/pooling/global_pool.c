/*
 * GlobalAveragePool 1, 22; GlobalMaxPool 1, 22; GlobalLpPool 1, 2, 22 (ai.onnx)
 *
 * X [N, C, D1 .. Dn] -> Y [N, C, 1 .. 1]: the mean, maximum or p-norm of each plane. p is a float in version 1 and an
 * integer later; 22 adds bfloat16. Means and norms are summed in double precision; the mean of nothing is NaN.
 */
#include "ops/blocked.h"
#include "ops/operator.h"
#include "ops/half.h"
#include "ops/work.h"

#include <math.h>

enum global_pool_kind { GLOBAL_AVERAGE, GLOBAL_MAX, GLOBAL_LP };

typedef struct global_pool_state {
  enum global_pool_kind kind;
  double p;
  norma_element_type type;
  int64_t planes, inputs;
} global_pool_state;

static norma_status global_average_read(const node *node, void *state, norma_error *error) {
  (void)node, (void)error;
  ((global_pool_state *)state)->kind = GLOBAL_AVERAGE;
  return NORMA_OK;
}

static norma_status global_max_read(const node *node, void *state, norma_error *error) {
  (void)node, (void)error;
  ((global_pool_state *)state)->kind = GLOBAL_MAX;
  return NORMA_OK;
}

static norma_status global_lp_read(const node *node, void *state, norma_error *error) {
  global_pool_state *pool = state;
  pool->kind = GLOBAL_LP;
  pool->p = node->version == 1 ? (double)attribute_float(node, "p", 2) : (double)attribute_int(node, "p", 2);
  if (!(pool->p > 0))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "p is %g but must be above 0", pool->p);
  return NORMA_OK;
}

static norma_status global_pool_infer(infer_context *context) {
  shape y = *infer_shape(context, 0);
  TRY(infer_types_since(context, TYPES_BFLOAT16, 22));
  if (y.rank != RANK_UNKNOWN && y.rank < 3)
    return infer_fail(context, "the input has rank %d: it needs a batch, a channel and at least one spatial axis",
                      y.rank);
  for (int i = 2; i < y.rank; i++) y.dims[i] = 1;
  infer_output(context, 0, infer_type(context, 0), &y);
  return NORMA_OK;
}

static norma_status global_pool_prepare(prepare_context *context) {
  global_pool_state *pool = context->state;
  const shape *x = prepare_shape(context, 0);
  pool->type = prepare_type(context, 0);
  pool->planes = dims_product(x->dims, 0, 2);
  pool->inputs = dims_product(x->dims, 2, x->rank);
  context->flops = (double)pool->planes * (double)pool->inputs;
  context->kernel_name = "planes";
  return NORMA_OK;
}

static double global_pool_finish(const global_pool_state *pool, double value) {
  switch (pool->kind) {
  case GLOBAL_AVERAGE:
    return value / (double)pool->inputs;
  case GLOBAL_MAX:
    break;
  case GLOBAL_LP:
    return pool->p == 1 ? value : pool->p == 2 ? sqrt(value) : pow(value, 1 / pool->p);
  }
  return value;
}

/* A plane of any type, element by element. */
static double global_pool_elements(const run_context *context, const void *data, int64_t first) {
  const global_pool_state *pool = context->state;
  double value = pool->kind == GLOBAL_MAX ? -INFINITY : 0;
  for (int64_t i = first; i < first + pool->inputs && !work_interrupted(context, i); i++) {
    double x = element_get_double(pool->type, data, i);
    if (pool->kind == GLOBAL_AVERAGE)
      value += x;
    else if (pool->kind == GLOBAL_MAX)
      value = x > value || x != x ? x : value;
    else
      value += pool->p == 2 ? x * x : pool->p == 1 ? fabs(x) : pow(fabs(x), pool->p);
  }
  return value;
}

static void global_pool_planes(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const global_pool_state *pool = context->state;
  const struct kernel_table *kernels = context->kernels;
  const void *x = run_input(context, 0)->data;
  void *y = run_output(context, 0)->data;
  (void)worker;
  for (int64_t plane = begin; plane < end; plane++) {
    int64_t first = plane * pool->inputs;
    double value;
    if (pool->type == NORMA_FLOAT && pool->kind == GLOBAL_AVERAGE)
      value = kernels->sum_f32_to_f64((const float *)x + first, (size_t)pool->inputs);
    else if (pool->type == NORMA_FLOAT && pool->kind == GLOBAL_MAX)
      value = (double)kernels->reduce_f32[REDUCE_MAX]((const float *)x + first, (size_t)pool->inputs);
    else
      value = global_pool_elements(context, x, first);
    element_set_double(pool->type, y, plane, global_pool_finish(pool, value));
  }
}

static norma_status global_pool_compute(run_context *context) {
  const global_pool_state *pool = context->state;
  return run_parallel(context, pool->planes, work_grain(WORK_ELEMENT / 2 * (double)pool->inputs), global_pool_planes,
                      context);
}

static const operator_attribute global_lp_attributes[] = {
    {"p", ATTRIBUTE_FLOAT, 1, 1, false},
    {"p", ATTRIBUTE_INT, 2, OPERATOR_LATEST, false},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ facts */

static bool global_pool_block(const node *node, block_form *form) {
  form->inner = "GlobalAveragePool";
  form->uses[0] = BLOCK_FOLLOW;
  return node_follows_block(node);
}

const operator_descriptor operators_global_pool[] = {
    {
        .domain = "",
        .name = "GlobalAveragePool",
        .versions = {1, 22},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0)}},
        .state_size = sizeof(global_pool_state),
        .read = global_average_read,
        .infer = global_pool_infer,
        .prepare = global_pool_prepare,
        .facts = {.dimension = fact_dimension_batch, .block = global_pool_block, .block_types = TYPES_BLOCKED},
        .compute = global_pool_compute,
    },
    {
        .domain = "",
        .name = "GlobalMaxPool",
        .versions = {1, 22},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0)}},
        .state_size = sizeof(global_pool_state),
        .read = global_max_read,
        .infer = global_pool_infer,
        .prepare = global_pool_prepare,
        .facts = {.dimension = fact_dimension_batch},
        .compute = global_pool_compute,
    },
    {
        .domain = "",
        .name = "GlobalLpPool",
        .versions = {1, 2, 22},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0)}},
        .attributes = global_lp_attributes,
        .state_size = sizeof(global_pool_state),
        .read = global_lp_read,
        .infer = global_pool_infer,
        .prepare = global_pool_prepare,
        .facts = {.dimension = fact_dimension_batch},
        .compute = global_pool_compute,
    },
    {0},
};
