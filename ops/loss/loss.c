#include "ops/loss/loss.h"

#include "ops/work.h"

#include <inttypes.h>
#include <stdatomic.h>

const operator_attribute loss_attributes[] = {
    {"ignore_index", ATTRIBUTE_INT, 12, OPERATOR_LATEST, false},
    {"reduction", ATTRIBUTE_STRING, 12, OPERATOR_LATEST, false},
    {0},
};

norma_status loss_read(const node *node, loss_state *state, norma_error *error) {
  static const char *const names[] = {"mean", "sum", "none"};
  const char *reduction = attribute_string(node, "reduction", "mean");
  int found = -1;
  for (int i = 0; i < 3; i++) {
    if (strcmp(names[i], reduction) == 0) found = i;
  }
  if (found < 0)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "reduction is \"%.40s\" but must be mean, sum or none",
                         reduction);
  state->reduction = (enum loss_reduction)found;
  state->ignores = node_attribute(node, "ignore_index") != NULL;
  state->ignored = attribute_int(node, "ignore_index", 0);
  return NORMA_OK;
}

static bool loss_sizes_differ(int64_t a, int64_t b) {
  return a != DIM_UNKNOWN && b != DIM_UNKNOWN && a != b;
}

norma_status loss_infer(infer_context *context, const loss_state *state) {
  const shape *scores = infer_shape(context, 0), *labels = infer_shape(context, 1), *weights = infer_shape(context, 2);
  shape losses = *labels;
  if (scores->rank != RANK_UNKNOWN) {
    if (scores->rank < 2) return infer_fail(context, "scores of rank %d have no classes", scores->rank);
    if (labels->rank == RANK_UNKNOWN) losses = shape_of_rank(scores->rank - 1);
    if (losses.rank != scores->rank - 1)
      return infer_fail(context, "scores of rank %d need labels of rank %d, not %d", scores->rank, scores->rank - 1,
                        losses.rank);
    for (int i = 0; i < losses.rank; i++) {
      const int64_t size = scores->dims[i == 0 ? 0 : i + 1];
      if (loss_sizes_differ(losses.dims[i], size))
        return infer_fail(context, "labels have %" PRId64 " entries in dimension %d, scores %" PRId64, losses.dims[i],
                          i, size);
      if (losses.dims[i] == DIM_UNKNOWN) losses.dims[i] = size;
    }
    if (weights->rank == 1 && loss_sizes_differ(weights->dims[0], scores->dims[1]))
      return infer_fail(context, "%" PRId64 " weights do not fit %" PRId64 " classes", weights->dims[0],
                        scores->dims[1]);
  }
  if (weights->rank != RANK_UNKNOWN && weights->rank != 1)
    return infer_fail(context, "weights have rank %d, not 1", weights->rank);
  const shape scalar = shape_of_rank(0);
  infer_output(context, 0, infer_type(context, 0), state->reduction == LOSS_NONE ? &losses : &scalar);
  return NORMA_OK;
}

norma_status loss_prepare(prepare_context *context, loss_state *state, int64_t elements, int64_t width) {
  const shape *scores = prepare_shape(context, 0);
  size_t offset;
  state->type = prepare_type(context, 0);
  state->samples = scores->dims[0];
  state->classes = scores->dims[1];
  state->inner = dims_product(scores->dims, 2, scores->rank);
  const int64_t classes = state->classes > 0 ? state->classes : 1;
  const int64_t places = elements / classes < 16 ? 16 : elements / classes;
  state->lines = state->inner == 1 ? places : 1;
  state->width = state->inner < places ? state->inner : places;
  if (state->width > width) state->width = width;
  state->strips = state->width > 0 ? divide_up(state->inner, state->width) : 0;
  state->units = divide_up(state->samples, state->lines) * state->strips;
  if (!scratch_append(&context->scratch_bytes, (size_t)state->units, sizeof(loss_sums), &offset))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "there are too many losses");
  return NORMA_OK;
}

typedef struct loss_label_check {
  const loss_state *state;
  const norma_tensor *labels;
  atomic_bool outside;
} loss_label_check;

static bool loss_label_is_good(const loss_state *state, int64_t label) {
  return (label >= 0 && label < state->classes) || loss_is_ignored(state, label);
}

/* `wide` is a constant where this is called. */
static inline __attribute__((always_inline)) bool loss_any_outside(const loss_state *state, const void *labels,
                                                                   int64_t begin, int64_t end, const bool wide) {
  const int64_t ignored = state->ignores ? state->ignored : 0; /* or a class, where there is one */
  const uint64_t classes = (uint64_t)state->classes;
  bool outside = state->classes == 0 && !state->ignores && begin < end;
  for (int64_t i = begin; i < end; i++) {
    const int64_t label = wide ? ((const int64_t *)labels)[i] : ((const int32_t *)labels)[i];
    outside |= (uint64_t)label >= classes && label != ignored;
  }
  return outside;
}

static void loss_check_body(void *argument, int64_t begin, int64_t end, int worker) {
  loss_label_check *check = argument;
  const void *labels = check->labels->data;
  (void)worker;
  const bool outside = check->labels->type == NORMA_INT64 ? loss_any_outside(check->state, labels, begin, end, true)
                                                          : loss_any_outside(check->state, labels, begin, end, false);
  if (outside) atomic_store_explicit(&check->outside, true, memory_order_relaxed);
}

norma_status loss_begin(run_context *context, const loss_state *state, loss_job *job) {
  const norma_tensor *labels = run_input(context, 1);
  loss_label_check check = {.state = state, .labels = labels};
  const int64_t count = norma_tensor_count(labels);
  TRY(run_parallel(context, count, 65536, loss_check_body, &check));
  for (int64_t i = 0; i < count && atomic_load_explicit(&check.outside, memory_order_relaxed); i++) {
    const int64_t label = loss_label(labels, i);
    if (!loss_label_is_good(state, label))
      return run_fail(context, NORMA_ERROR_RUN, "label %" PRId64 " is none of %" PRId64 " classes", label,
                      state->classes);
  }
  norma_tensor *output = run_output(context, 0);
  *job = (loss_job){.context = context,
                    .state = state,
                    .scores = run_input(context, 0),
                    .labels = labels,
                    .weights = run_input(context, 2),
                    .output = state->reduction == LOSS_NONE ? output : NULL,
                    .sums = context->scratch};
  return NORMA_OK;
}

void loss_finish(const loss_job *job) {
  const norma_tensor *output = run_output(job->context, 0);
  loss_sums total = {0, 0};
  if (!output || job->state->reduction == LOSS_NONE) return;
  for (int64_t i = 0; i < job->state->units; i++) {
    total.loss += job->sums[i].loss;
    total.weight += job->sums[i].weight;
  }
  element_set_double(output->type, output->data, 0,
                     job->state->reduction == LOSS_SUM ? total.loss : total.loss / total.weight);
}
