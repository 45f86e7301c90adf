/*
 * ReverseSequence: turns the first sequence_lens[b] elements of each sample b round; those behind stay where they are.
 *
 * Version 10; 28: bfloat16. One of the first two axes counts time, the other one samples.
 */
#include "ops/movement/movement.h"
#include "ops/work.h"

typedef struct reverse_sequence_state {
  int time_axis;
} reverse_sequence_state;

typedef struct reverse_sequence_work {
  const int64_t *lengths;
  int64_t times, samples;
  bool time_first;
  size_t bytes; /* of what lies at one time of one sample */
  char *target;
  const char *source;
} reverse_sequence_work;

static norma_status reverse_sequence_read(const node *node, void *opaque, norma_error *error) {
  reverse_sequence_state *state = opaque;
  const int64_t time_axis = attribute_int(node, "time_axis", 0), batch_axis = attribute_int(node, "batch_axis", 1);
  if (time_axis < 0 || time_axis > 1 || batch_axis != 1 - time_axis) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                         "time_axis is %lld and batch_axis %lld, expected 0 and 1 or 1 and 0", (long long)time_axis,
                         (long long)batch_axis);
  }
  state->time_axis = (int)time_axis;
  return NORMA_OK;
}

static norma_status reverse_sequence_infer(infer_context *context) {
  const reverse_sequence_state *state = context->state;
  const shape *input = infer_shape(context, 0), *lengths = infer_shape(context, 1);
  TRY(infer_types_since(context, TYPES_BFLOAT16, 28));
  if (input->rank != RANK_UNKNOWN && input->rank < 2) {
    return infer_fail(context, "the input has rank %d, expected 2 or more", input->rank);
  }
  if (lengths->rank != RANK_UNKNOWN && lengths->rank != 1) return infer_fail(context, "sequence_lens is no list");
  if (input->rank != RANK_UNKNOWN && lengths->rank == 1) {
    const int64_t samples = input->dims[1 - state->time_axis], count = lengths->dims[0];
    if (samples != DIM_UNKNOWN && count != DIM_UNKNOWN && samples != count) {
      return infer_fail(context, "sequence_lens has %lld elements for %lld samples", (long long)count,
                        (long long)samples);
    }
  }
  return infer_same(context);
}

static void reverse_sequence_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const reverse_sequence_work *work = argument;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const int64_t sample = work->time_first ? i % work->samples : i / work->times;
    const int64_t time = work->time_first ? i / work->samples : i % work->times;
    const int64_t length = work->lengths[sample], from = time < length ? length - 1 - time : time;
    const int64_t source = work->time_first ? from * work->samples + sample : sample * work->times + from;
    if (work->bytes)
      memcpy(work->target + (size_t)i * work->bytes, work->source + (size_t)source * work->bytes, work->bytes);
  }
}

static norma_status reverse_sequence_compute(run_context *context) {
  const reverse_sequence_state *state = context->state;
  const norma_tensor *input = run_input(context, 0);
  reverse_sequence_work work = {.lengths = run_input(context, 1)->data,
                                .times = input->dims[state->time_axis],
                                .samples = input->dims[1 - state->time_axis],
                                .time_first = state->time_axis == 0,
                                .bytes =
                                    (size_t)dims_product(input->dims, 2, input->rank) * movement_bytes(input->type)};
  norma_tensor target;
  for (int64_t i = 0; i < work.samples; i++) {
    if (work.lengths[i] >= 0 && work.lengths[i] <= work.times) continue;
    return run_fail(context, NORMA_ERROR_RUN, "sequence_lens holds %lld, but there are %lld times",
                    (long long)work.lengths[i], (long long)work.times);
  }
  const void *source;
  TRY(movement_source(context, input, &source));
  work.source = source;
  TRY(movement_target(context, 0, &target));
  work.target = target.data;
  const int64_t grain = work_grain(WORK_ELEMENT / 4 * ((double)work.bytes + 8));
  TRY(run_parallel(context, work.times * work.samples, grain, reverse_sequence_rows, &work));
  return movement_finish(context, 0, &target);
}

static const operator_attribute reverse_sequence_attributes[] = {
    {"batch_axis", ATTRIBUTE_INT, 10, OPERATOR_LATEST, false},
    {"time_axis", ATTRIBUTE_INT, 10, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_reverse_sequence[] = {
    {
        .domain = "",
        .name = "ReverseSequence",
        .versions = {10, 28},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_NUMERIC | TYPES_COMPLEX | TYPE_BIT(NORMA_BOOL) | TYPE_BIT(NORMA_STRING), INPUT(0), OUTPUT(0)},
                  {TYPE_BIT(NORMA_INT64), INPUT(1), 0}},
        .attributes = reverse_sequence_attributes,
        .facts = {.dimension = fact_dimension_same},
        .state_size = sizeof(reverse_sequence_state),
        .read = reverse_sequence_read,
        .infer = reverse_sequence_infer,
        .compute = reverse_sequence_compute,
    },
    {0},
};
