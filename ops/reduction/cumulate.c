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

/* Element i along the axis, counted in the order of summation. */
static int64_t cumulate_at(const cumulate_job *job, int64_t i) {
  return (job->state->reverse ? job->size - 1 - i : i) * job->inner;
}

/* ---- sums of float, as fast as memory: the axis is followed for CUMULATE_COLUMNS neighbours at a time, or, where it
 * is the last one, for CUMULATE_ROWS rows ---- */

#define CUMULATE_COLUMNS 512
#define CUMULATE_ROWS    8
#define CUMULATE_AT_ONCE 256 /* elements of the axis between questions whether to stop */

static void cumulate_columns(const cumulate_job *job, int64_t first, int64_t columns) {
  const struct kernel_table *kernels = job->context->kernels;
  double sums[CUMULATE_COLUMNS] = {0};
  const int64_t step = job->state->reverse ? -job->inner : job->inner;
  for (int64_t i = 0; i < job->size && !run_cancelled(job->context); i += CUMULATE_AT_ONCE) {
    const int64_t at = first + cumulate_at(job, i), left = job->size - i;
    kernels->arrays->cumulate_f32((float *)job->target + at, (const float *)job->source + at, step,
                                  (size_t)(left < CUMULATE_AT_ONCE ? left : CUMULATE_AT_ONCE), sums,
                                  job->state->exclusive, (size_t)columns);
  }
}

/* Sums of several rows do not wait for each other. */
static void cumulate_rows(const cumulate_job *job, int64_t row, int64_t rows) {
  const bool exclusive = job->state->exclusive;
  const float *x = (const float *)job->source + row * job->size;
  float *y = (float *)job->target + row * job->size;
  double sums[CUMULATE_ROWS] = {0};
  for (int64_t i = 0; i < job->size && !work_interrupted(job->context, i); i++) {
    const int64_t at = cumulate_at(job, i);
    if (rows == CUMULATE_ROWS) {
      for (int64_t r = 0; r < CUMULATE_ROWS; r++) {
        const double next = sums[r] + (double)x[r * job->size + at];
        y[r * job->size + at] = (float)(exclusive ? sums[r] : next);
        sums[r] = next;
      }
    } else {
      for (int64_t r = 0; r < rows; r++) {
        const double next = sums[r] + (double)x[r * job->size + at];
        y[r * job->size + at] = (float)(exclusive ? sums[r] : next);
        sums[r] = next;
      }
    }
  }
}

static void sum_columns_body(void *argument, int64_t begin, int64_t end, int worker) {
  const cumulate_job *job = argument;
  const int64_t pieces = divide_up(job->inner, CUMULATE_COLUMNS);
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const int64_t column = i % pieces * CUMULATE_COLUMNS, left = job->inner - column;
    cumulate_columns(job, i / pieces * job->size * job->inner + column,
                     left < CUMULATE_COLUMNS ? left : CUMULATE_COLUMNS);
  }
}

static void sum_rows_body(void *argument, int64_t begin, int64_t end, int worker) {
  const cumulate_job *job = argument;
  (void)worker;
  for (int64_t row = begin; row < end; row += CUMULATE_ROWS) {
    cumulate_rows(job, row, end - row < CUMULATE_ROWS ? end - row : CUMULATE_ROWS);
  }
}

/* ---- any type ---- */

/* Neighbours go along the axis together. */
#define CUMULATE_INTEGER(type)                                                                                         \
  static void cumulate_##type(const cumulate_job *job, int64_t first) {                                                \
    const bool product = job->state->product, exclusive = job->state->exclusive;                                       \
    const type *x = job->source;                                                                                       \
    type *y = job->target, sum = product;                                                                              \
    for (int64_t i = 0; i < job->size && !work_interrupted(job->context, i); i++) {                                    \
      const int64_t at = first + cumulate_at(job, i);                                                                  \
      const type next = product ? (type)(sum * x[at]) : (type)(sum + x[at]);                                           \
      y[at] = exclusive ? sum : next;                                                                                  \
      sum = next;                                                                                                      \
    }                                                                                                                  \
  }
CUMULATE_INTEGER(uint32_t)
CUMULATE_INTEGER(uint64_t)

/* Read before it is written: both may be the same memory. */
static void cumulate_floats(const cumulate_job *job, int64_t first) {
  const bool product = job->state->product, exclusive = job->state->exclusive;
  double sum = product;
  for (int64_t i = 0; i < job->size && !work_interrupted(job->context, i); i++) {
    const int64_t at = first + cumulate_at(job, i);
    const double x = element_get_double(job->type, job->source, at), next = product ? sum * x : sum + x;
    element_set_double(job->type, job->target, at, exclusive ? sum : next);
    sum = next;
  }
}

static void cumulate_body(void *argument, int64_t begin, int64_t end, int worker) {
  const cumulate_job *job = argument;
  (void)worker;
  for (int64_t lane = begin; lane < end; lane++) {
    const int64_t first = lane / job->inner * job->size * job->inner + lane % job->inner;
    if (TYPE_BIT(job->type) & TYPES_FLOAT) {
      cumulate_floats(job, first);
    } else if (element_type_bytes(job->type) == sizeof(uint32_t)) {
      cumulate_uint32_t(job, first);
    } else {
      cumulate_uint64_t(job, first);
    }
  }
}

static norma_status cumulate_compute(run_context *context) {
  const cumulate_state *state = context->state;
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
                      .state = state,
                      .type = input->type,
                      .source = input->data,
                      .target = output->data,
                      .size = size,
                      .inner = dims_product(input->dims, axis + 1, input->rank)};
  if (input->type != NORMA_FLOAT || state->product) {
    return run_parallel(context, count / size, size >= 4096 ? 1 : 4096 / size, cumulate_body, &job);
  }
  const int64_t lanes = count / size;
  if (job.inner == 1) {
    const int64_t rows = divide_up(8192, size * CUMULATE_ROWS) * CUMULATE_ROWS;
    return run_parallel(context, lanes, rows, sum_rows_body, &job);
  }
  const double piece = (double)size * (double)(job.inner < CUMULATE_COLUMNS ? job.inner : CUMULATE_COLUMNS);
  const int64_t pieces = lanes / job.inner * divide_up(job.inner, CUMULATE_COLUMNS);
  return run_parallel(context, pieces, work_grain(WORK_ELEMENT * piece), sum_columns_body, &job);
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
