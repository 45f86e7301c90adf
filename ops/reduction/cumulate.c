/*
 * CumSum (11; 14: float16, bfloat16) and CumProd (26): running sums and products along an axis, which is an input.
 * exclusive leaves the element itself out, reverse begins at the end. Floats run in double and are rounded when stored;
 * integers wrap around.
 */
#include "ops/movement/movement.h"
#include "ops/work.h"

typedef struct cumulate_state {
  bool exclusive, reverse, product;
} cumulate_state;

static norma_status cumulate_read(const node *node, void *opaque, norma_error *error) {
  cumulate_state *state = opaque;
  (void)error;
  state->exclusive = attribute_int(node, "exclusive", 0) != 0;
  state->reverse = attribute_int(node, "reverse", 0) != 0;
  state->product = strcmp(node->op->name, "CumProd") == 0;
  return NORMA_OK;
}

typedef struct cumulate_job {
  const run_context *context;
  const cumulate_state *state;
  norma_element_type type;
  const void *source;
  void *target;
  int64_t size, inner;
} cumulate_job;

static void cumulate_body(void *argument, int64_t begin, int64_t end, int worker) {
  const cumulate_job *job = argument;
  const bool product = job->state->product, exclusive = job->state->exclusive;
  const bool is_float = (TYPE_BIT(job->type) & TYPES_FLOAT) != 0;
  (void)worker;
  for (int64_t lane = begin; lane < end; lane++) {
    const int64_t first = lane / job->inner * job->size * job->inner + lane % job->inner;
    double sum = product;
    uint64_t whole = product;
    for (int64_t i = 0; i < job->size && !work_interrupted(job->context, i); i++) {
      const int64_t at = first + (job->state->reverse ? job->size - 1 - i : i) * job->inner;
      if (is_float) { /* read before it is written: both may be the same memory */
        const double x = element_get_double(job->type, job->source, at), next = product ? sum * x : sum + x;
        element_set_double(job->type, job->target, at, exclusive ? sum : next);
        sum = next;
      } else {
        const uint64_t x = (uint64_t)element_get_int64(job->type, job->source, at);
        const uint64_t next = product ? whole * x : whole + x;
        element_set_int64(job->type, job->target, at, (int64_t)(exclusive ? whole : next));
        whole = next;
      }
    }
  }
}

static norma_status cumulate_compute(run_context *context) {
  const norma_tensor *input = run_input(context, 0), *axis_tensor = run_input(context, 1);
  const norma_tensor *output = run_output(context, 0);
  int axis;
  if (!output) return NORMA_OK;
  if (norma_tensor_count(axis_tensor) != 1 || !axis_normalize(tensor_get_int64(axis_tensor, 0), input->rank, &axis)) {
    return run_fail(context, NORMA_ERROR_RUN, "axis must be one number within rank %d", input->rank);
  }
  const int64_t count = norma_tensor_count(input), size = input->dims[axis];
  if (count == 0) return NORMA_OK;
  cumulate_job job = {.context = context,
                      .state = context->state,
                      .type = input->type,
                      .source = input->data,
                      .target = output->data,
                      .size = size,
                      .inner = dims_product(input->dims, axis + 1, input->rank)};
  return run_parallel(context, count / size, size >= 4096 ? 1 : 4096 / size, cumulate_body, &job);
}

static const operator_attribute cumulate_attributes[] = {
    {"exclusive", ATTRIBUTE_INT, 11, OPERATOR_LATEST, false},
    {"reverse", ATTRIBUTE_INT, 11, OPERATOR_LATEST, false},
    {0},
};

#define CUMULATE(op, ...)                                                                                              \
  {                                                                                                                    \
    .name = op, .domain = "", .versions = {__VA_ARGS__}, .min_inputs = 2, .max_inputs = 2, .min_outputs = 1,           \
    .max_outputs = 1,                                                                                                  \
    .types = {{TYPES_FLOAT | TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64) | TYPE_BIT(NORMA_UINT32) |                  \
                   TYPE_BIT(NORMA_UINT64),                                                                             \
               INPUT(0), OUTPUT(0)},                                                                                   \
              {TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64), INPUT(1), 0}},                                           \
    .attributes = cumulate_attributes, .in_place = INPUT(0), .state_size = sizeof(cumulate_state),                     \
    .read = cumulate_read, .infer = infer_same, .compute = cumulate_compute,                                           \
  }

const operator_descriptor operators_cumulate[] = {
    CUMULATE("CumSum", 11, 14),
    CUMULATE("CumProd", 26),
    {0},
};
