/*
 * Trilu    14: the upper or lower triangle of the last two dimensions, from diagonal k on; the rest is zero (false).
 * EyeLike  9; 22: bfloat16. A matrix of the input's shape with ones on diagonal k, of attribute dtype or the input's
 *          type.
 */
#include "ops/movement/movement.h"

typedef struct diagonal_state {
  bool upper;
  norma_element_type type;
  int64_t k;
} diagonal_state;

/* column - row, compared with k without overflow. */
static int64_t clamp_diagonal(int64_t k, int64_t rows, int64_t columns) {
  return k < -rows ? -rows : k > columns ? columns : k;
}

/* ------------------------------------------------------------------------------------------------------------ Trilu */

static norma_status trilu_read(const node *node, void *opaque, norma_error *error) {
  diagonal_state *state = opaque;
  (void)error;
  state->upper = attribute_int(node, "upper", 1) != 0;
  return NORMA_OK;
}

static norma_status trilu_infer(infer_context *context) {
  const shape *input = infer_shape(context, 0);
  if (input->rank != RANK_UNKNOWN && input->rank < 2) return infer_fail(context, "rank %d is below 2", input->rank);
  return infer_same(context);
}

typedef struct trilu_job {
  bool upper;
  int64_t k, rows, columns;
  const char *source;
  char *target;
  size_t bytes;
} trilu_job;

static void trilu_body(void *argument, int64_t begin, int64_t end, int worker) {
  const trilu_job *job = argument;
  (void)worker;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t row = unit % job->rows;
    /* Columns first .. last - 1 stay. */
    int64_t first = job->upper ? row + job->k : 0, last = job->upper ? job->columns : row + job->k + 1;
    if (first < 0) first = 0;
    if (first > job->columns) first = job->columns;
    if (last > job->columns) last = job->columns;
    if (last < first) last = first;
    const size_t offset = (size_t)(unit * job->columns) * job->bytes;
    char *target = job->target + offset;
    const char *source = job->source + offset;
    if (target != source && last > first) {
      memcpy(target + (size_t)first * job->bytes, source + (size_t)first * job->bytes,
             (size_t)(last - first) * job->bytes);
    }
    memset(target, 0, (size_t)first * job->bytes);
    memset(target + (size_t)last * job->bytes, 0, (size_t)(job->columns - last) * job->bytes);
  }
}

static norma_status trilu_compute(run_context *context) {
  const diagonal_state *state = context->state;
  const norma_tensor *input = run_input(context, 0), *diagonal = run_input(context, 1);
  const void *source;
  norma_tensor target;
  if (!context->outputs[0]) return NORMA_OK;
  if (input->rank < 2) return run_fail(context, NORMA_ERROR_RUN, "rank %d is below 2", input->rank);
  if (diagonal && norma_tensor_count(diagonal) != 1) return run_fail(context, NORMA_ERROR_RUN, "k must be one number");
  TRY(movement_source(context, input, &source));
  TRY(movement_target(context, 0, &target));
  const int64_t rows = input->dims[input->rank - 2], columns = input->dims[input->rank - 1];
  trilu_job job = {.upper = state->upper,
                   .k = clamp_diagonal(diagonal ? tensor_get_int64(diagonal, 0) : 0, rows, columns),
                   .rows = rows,
                   .columns = columns,
                   .source = source,
                   .target = target.data,
                   .bytes = movement_bytes(input->type)};
  if (columns > 0) {
    const int64_t units = dims_product(input->dims, 0, input->rank - 1);
    TRY(run_parallel(context, units, columns >= 16384 ? 1 : 16384 / columns, trilu_body, &job));
  }
  return movement_finish(context, 0, &target);
}

/* ---------------------------------------------------------------------------------------------------------- EyeLike */

static norma_status eye_like_read(const node *node, void *opaque, norma_error *error) {
  diagonal_state *state = opaque;
  const int64_t number = attribute_int(node, "dtype", 0);
  state->k = attribute_int(node, "k", 0);
  if (number < 0 || number >= NORMA_ELEMENT_TYPE_COUNT) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "dtype is no element type");
  }
  state->type = (norma_element_type)number;
  return NORMA_OK;
}

static norma_status eye_like_infer(infer_context *context) {
  const diagonal_state *state = context->state;
  const shape *input = infer_shape(context, 0);
  if (input->rank != RANK_UNKNOWN && input->rank != 2) return infer_fail(context, "rank %d is not 2", input->rank);
  infer_output(context, 0, state->type ? state->type : infer_type(context, 0), input);
  return NORMA_OK;
}

static norma_status eye_like_compute(run_context *context) {
  const diagonal_state *state = context->state;
  norma_tensor *output = run_output(context, 0);
  if (!output) return NORMA_OK;
  if (output->rank != 2) return run_fail(context, NORMA_ERROR_RUN, "rank %d is not 2", output->rank);
  const int64_t k = clamp_diagonal(state->k, output->dims[0], output->dims[1]);
  if (output->size_bytes) memset(output->data, 0, output->size_bytes);
  for (int64_t row = k < 0 ? -k : 0; row < output->dims[0] && row + k < output->dims[1]; row++) {
    element_set_double(output->type, output->data, row * output->dims[1] + row + k, 1);
  }
  return NORMA_OK;
}

static const operator_attribute trilu_attributes[] = {
    {"upper", ATTRIBUTE_INT, 14, OPERATOR_LATEST, false},
    {0},
};
static const operator_attribute eye_like_attributes[] = {
    {"dtype", ATTRIBUTE_INT, 9, OPERATOR_LATEST, false},
    {"k", ATTRIBUTE_INT, 9, OPERATOR_LATEST, false},
    {0},
};

#define EYE_TYPES (TYPES_NUMERIC | TYPE_BIT(NORMA_BOOL))

const operator_descriptor operators_trilu[] = {
    {.name = "Trilu",
     .domain = "",
     .versions = {14},
     .min_inputs = 1,
     .max_inputs = 2,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_ALL, INPUT(0), OUTPUT(0)}, {TYPE_BIT(NORMA_INT64), INPUT(1), 0}},
     .attributes = trilu_attributes,
     .in_place = INPUT(0),
     .state_size = sizeof(diagonal_state),
     .read = trilu_read,
     .infer = trilu_infer,
     .compute = trilu_compute},
    {.name = "EyeLike",
     .domain = "",
     .versions = {9, 22},
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{EYE_TYPES, INPUT(0), 0}, {EYE_TYPES, 0, OUTPUT(0)}},
     .attributes = eye_like_attributes,
     .state_size = sizeof(diagonal_state),
     .read = eye_like_read,
     .infer = eye_like_infer,
     .compute = eye_like_compute},
    {0},
};
