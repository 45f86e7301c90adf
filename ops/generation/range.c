/*
 * Range: start, start + delta, ... below limit. 11; 27: float16 and bfloat16, computed in float (stash_type 1; other
 * values make no difference here, where start + i * delta is computed in double and rounded once).
 */
#include "ops/operator.h"

#include <math.h>

/* The number of elements; NULL, or what is wrong. */
static const char *range_count(const norma_tensor *start, const norma_tensor *limit, const norma_tensor *delta,
                               int64_t *count) {
  if (norma_tensor_count(start) != 1 || norma_tensor_count(limit) != 1 || norma_tensor_count(delta) != 1) {
    return "start, limit and delta must be one number each";
  }
  if (TYPE_BIT(start->type) & TYPES_INTEGER) {
    const int64_t first = tensor_get_int64(start, 0), end = tensor_get_int64(limit, 0);
    const int64_t step = tensor_get_int64(delta, 0);
    if (step == 0) return "delta is 0";
    const uint64_t distance = step > 0 ? (uint64_t)end - (uint64_t)first : (uint64_t)first - (uint64_t)end;
    const uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    const bool empty = step > 0 ? end <= first : end >= first;
    const uint64_t steps = empty ? 0 : (distance - 1) / stride + 1;
    if (steps > INT64_MAX / 16) return "there would be too many elements";
    *count = (int64_t)steps;
    return NULL;
  }
  const double first = element_get_double(start->type, start->data, 0);
  const double end = element_get_double(limit->type, limit->data, 0);
  const double step = element_get_double(delta->type, delta->data, 0);
  if (!(fabs(step) > 0)) return "delta is no number other than 0";
  const double steps = ceil((end - first) / step);
  if (!(steps < 0x1p58)) return "there would be too many elements, or limits are no numbers";
  *count = steps > 0 ? (int64_t)steps : 0;
  return NULL;
}

static norma_status range_infer(infer_context *context) {
  const norma_tensor *start = infer_value(context, 0), *limit = infer_value(context, 1);
  const norma_tensor *delta = infer_value(context, 2);
  shape result = shape_of_rank(1);
  if (start && limit && delta) {
    const char *problem = range_count(start, limit, delta, &result.dims[0]);
    if (problem) return infer_fail(context, "%s", problem);
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

typedef struct range_job {
  const norma_tensor *output;
  int64_t first_whole, step_whole;
  double first, step;
} range_job;

static void range_body(void *argument, int64_t begin, int64_t end, int worker) {
  const range_job *job = argument;
  const norma_element_type type = job->output->type;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    if (TYPE_BIT(type) & TYPES_INTEGER) {
      const uint64_t element = (uint64_t)job->first_whole + (uint64_t)i * (uint64_t)job->step_whole;
      element_set_int64(type, job->output->data, i, (int64_t)element);
    } else {
      element_set_double(type, job->output->data, i, job->first + (double)i * job->step);
    }
  }
}

static norma_status range_compute(run_context *context) {
  const norma_tensor *start = run_input(context, 0), *delta = run_input(context, 2), *output = run_output(context, 0);
  int64_t count;
  if (!output) return NORMA_OK;
  const char *problem = range_count(start, run_input(context, 1), delta, &count);
  if (problem || count != norma_tensor_count(output)) {
    return run_fail(context, NORMA_ERROR_RUN, "%s", problem ? problem : "the limits do not fit the output");
  }
  range_job job = {.output = output,
                   .first_whole = tensor_get_int64(start, 0),
                   .step_whole = tensor_get_int64(delta, 0),
                   .first = element_get_double(start->type, start->data, 0),
                   .step = element_get_double(delta->type, delta->data, 0)};
  return run_parallel(context, count, 16384, range_body, &job);
}

static const operator_attribute range_attributes[] = {
    {"stash_type", ATTRIBUTE_INT, 27, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_range[] = {
    {.name = "Range",
     .domain = "",
     .versions = {11, 27},
     .min_inputs = 3,
     .max_inputs = 3,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_FLOAT | TYPE_BIT(NORMA_INT16) | TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64),
                INPUT(0) | INPUT(1) | INPUT(2), OUTPUT(0)}},
     .attributes = range_attributes,
     .infer = range_infer,
     .compute = range_compute},
    {0},
};
