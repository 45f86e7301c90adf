/*
 * Compress: the slices along `axis` at which a list of truth values is true; without an axis, the elements of the
 * flattened input.
 *
 * Version 9; 11: negative axes; 28: bfloat16. The list may be shorter than the axis: what lies behind it is left out.
 */
#include "ops/movement/movement.h"
#include "ops/work.h"

typedef struct compress_state {
  bool has_axis;
  int64_t axis;
} compress_state;

/* Neighbouring slices that are all taken. */
typedef struct compress_run {
  int64_t from, to, count; /* slices of the input, of the output */
} compress_run;

typedef struct compress_work {
  const compress_run *runs;
  int64_t run_count;
  int64_t size, taken; /* slices of the input, of the output */
  size_t bytes;        /* of one slice within one of the outer indices */
  char *target;
  const char *source;
} compress_work;

static norma_status compress_read(const node *node, void *opaque, norma_error *error) {
  compress_state *state = opaque;
  (void)error;
  state->has_axis = node_attribute(node, "axis") != NULL;
  state->axis = attribute_int(node, "axis", 0);
  return NORMA_OK;
}

/* How many are true; of these, how many lie at `size` and behind. */
static int64_t compress_count(const norma_tensor *condition, int64_t size, int64_t *outside) {
  const uint8_t *flags = condition->data;
  const int64_t count = norma_tensor_count(condition);
  int64_t taken = 0;
  for (int64_t i = 0; i < count; i++) {
    taken += flags[i] != 0;
    *outside += size != DIM_UNKNOWN && i >= size && flags[i] != 0;
  }
  return taken;
}

static norma_status compress_infer(infer_context *context) {
  const compress_state *state = context->state;
  const shape *input = infer_shape(context, 0), *condition = infer_shape(context, 1);
  const norma_tensor *known = infer_value(context, 1);
  shape result = shape_of_rank(1);
  int axis = 0;
  int64_t size = shape_count(input), outside = 0;
  TRY(infer_types_since(context, TYPES_BFLOAT16, 28));
  if (condition->rank != RANK_UNKNOWN && condition->rank != 1) return infer_fail(context, "the condition is no list");
  if (state->has_axis) {
    result = *input;
    size = DIM_UNKNOWN;
    if (input->rank != RANK_UNKNOWN) {
      if (!axis_normalize(state->axis, input->rank, &axis)) {
        return infer_fail(context, "axis %lld is outside a tensor of rank %d", (long long)state->axis, input->rank);
      }
      size = input->dims[axis];
    }
  }
  if (result.rank != RANK_UNKNOWN) {
    result.dims[axis] = known ? compress_count(known, size, &outside) : DIM_UNKNOWN;
  }
  if (outside) return infer_fail(context, "the condition is true beyond the %lld slices there are", (long long)size);
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

/* Lists runs of neighbours; *runs is a temporary. */
static norma_status compress_list(run_context *context, const norma_tensor *condition, compress_work *work) {
  const uint8_t *flags = condition->data;
  const int64_t length = norma_tensor_count(condition);
  int64_t count = 0, to = 0;
  for (int64_t i = 0; i < length; i++) count += flags[i] && (i == 0 || !flags[i - 1]);
  void *block;
  TRY(run_allocate_temporary(context, (size_t)count * sizeof(compress_run), &block));
  compress_run *runs = block;
  count = 0;
  for (int64_t i = 0; i < length; i++) {
    if (!flags[i]) continue;
    if (i == 0 || !flags[i - 1]) runs[count++] = (compress_run){i, to, 0};
    runs[count - 1].count++;
    to++;
  }
  work->runs = runs;
  work->run_count = count;
  return NORMA_OK;
}

static void compress_copy(void *argument, int64_t begin, int64_t end, int worker) {
  const compress_work *work = argument;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const compress_run *run = &work->runs[i % work->run_count];
    const int64_t outer = i / work->run_count;
    memcpy(work->target + (size_t)(outer * work->taken + run->to) * work->bytes,
           work->source + (size_t)(outer * work->size + run->from) * work->bytes, (size_t)run->count * work->bytes);
  }
}

static norma_status compress_compute(run_context *context) {
  const compress_state *state = context->state;
  const norma_tensor *input = run_input(context, 0), *condition = run_input(context, 1);
  int axis = 0;
  int64_t outer = 1, outside = 0;
  compress_work work = {.size = norma_tensor_count(input), .bytes = movement_bytes(input->type)};
  shape result = {.rank = 1};
  if (state->has_axis) {
    if (!axis_normalize(state->axis, input->rank, &axis)) {
      return run_fail(context, NORMA_ERROR_RUN, "axis %lld does not exist", (long long)state->axis);
    }
    result = shape_of_tensor(input);
    outer = dims_product(input->dims, 0, axis);
    work.size = input->dims[axis];
    work.bytes *= (size_t)dims_product(input->dims, axis + 1, input->rank);
  }
  work.taken = result.dims[axis] = compress_count(condition, work.size, &outside);
  if (outside) {
    return run_fail(context, NORMA_ERROR_RUN, "the condition is true beyond the %lld slices there are",
                    (long long)work.size);
  }
  TRY(compress_list(context, condition, &work));
  norma_tensor target, *output;
  void *strings;
  work.source = input->data;
  if (norma_tensor_init(&target, input->type, result.rank, result.dims, NULL) != NORMA_OK) {
    return run_fail(context, NORMA_ERROR_BUDGET, "the output is too large");
  }
  if (input->type == NORMA_STRING) {
    TRY(run_allocate_temporary(context, target.size_bytes, &strings));
    target.data = strings;
  } else {
    TRY(run_allocate_output(context, 0, input->type, &result, &output));
    target.data = output->data;
  }
  work.target = target.data;
  const double average = work.run_count ? (double)work.taken / (double)work.run_count * (double)work.bytes : 0;
  if (work.bytes > 0) {
    TRY(run_parallel(context, outer * work.run_count, work_grain(WORK_ELEMENT / 4 * (average + 16)), compress_copy,
                     &work));
  }
  return input->type == NORMA_STRING ? movement_finish(context, 0, &target) : NORMA_OK;
}

static const operator_attribute compress_attributes[] = {
    {"axis", ATTRIBUTE_INT, 9, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_compress[] = {
    {
        .domain = "",
        .name = "Compress",
        .versions = {9, 11, 28},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_NUMERIC | TYPES_COMPLEX | TYPE_BIT(NORMA_BOOL) | TYPE_BIT(NORMA_STRING), INPUT(0), OUTPUT(0)},
                  {TYPE_BIT(NORMA_BOOL), INPUT(1), 0}},
        .attributes = compress_attributes,
        .state_size = sizeof(compress_state),
        .read = compress_read,
        .infer = compress_infer,
        .compute = compress_compute,
    },
    {0},
};
