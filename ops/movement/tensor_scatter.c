/*
 * TensorScatter 24: a cache of keys or values with an update written into it.
 *
 *   present[prefix, write_indices[prefix[0]] + i, ...] = update[prefix, i, ...],  elsewhere present = past
 *
 * `axis` (not 0) counts the positions of the cache; the update has fewer or as many of them and all other dimensions in
 * common. mode "linear": the update must fit behind its index; "circular": positions count modulo the size of the
 * cache.
 */
#include "ops/movement/movement.h"
#include "ops/work.h"

typedef struct tensor_scatter_state {
  int64_t axis;
  bool circular;
} tensor_scatter_state;

typedef struct tensor_scatter_work {
  const int64_t *starts; /* by sample; NULL: all 0 */
  int64_t per_sample;    /* prefixes that belong to one sample */
  int64_t positions, updates;
  size_t bytes; /* of what lies at one position */
  char *cache;
  const char *update;
} tensor_scatter_work;

static norma_status tensor_scatter_read(const node *node, void *opaque, norma_error *error) {
  tensor_scatter_state *state = opaque;
  const char *mode = attribute_string(node, "mode", "linear");
  state->axis = attribute_int(node, "axis", -2);
  state->circular = strcmp(mode, "circular") == 0;
  if (state->circular || strcmp(mode, "linear") == 0) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "mode is '%.40s', expected linear or circular", mode);
}

static norma_status tensor_scatter_infer(infer_context *context) {
  const tensor_scatter_state *state = context->state;
  const shape *cache = infer_shape(context, 0), *update = infer_shape(context, 1), *starts = infer_shape(context, 2);
  shape result = *cache;
  if (cache->rank != RANK_UNKNOWN) {
    int axis;
    char a[200], b[200];
    if (!axis_normalize(state->axis, cache->rank, &axis) || axis == 0) {
      return infer_fail(context, "axis %lld of a cache of rank %d cannot count positions", (long long)state->axis,
                        cache->rank);
    }
    bool fits = update->rank == RANK_UNKNOWN || update->rank == cache->rank;
    for (int i = 0; fits && update->rank != RANK_UNKNOWN && i < cache->rank; i++) {
      const int64_t size = cache->dims[i], more = update->dims[i];
      if (i != axis && size == DIM_UNKNOWN) result.dims[i] = more;
      if (size == DIM_UNKNOWN || more == DIM_UNKNOWN) continue;
      fits = i == axis ? more <= size : more == size;
    }
    if (!fits) {
      return infer_fail(context, "an update of shape %s does not fit a cache of shape %s",
                        shape_text(update, a, sizeof a), shape_text(cache, b, sizeof b));
    }
  }
  if (starts->rank != RANK_UNKNOWN && starts->rank != 1) return infer_fail(context, "write_indices is no list");
  if (starts->rank == 1 && cache->rank > 0) {
    const int64_t count = starts->dims[0], samples = result.dims[0];
    if (count != DIM_UNKNOWN && samples != DIM_UNKNOWN && count != samples) {
      return infer_fail(context, "write_indices has %lld elements for %lld samples", (long long)count,
                        (long long)samples);
    }
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

static norma_status tensor_scatter_check(run_context *context, const tensor_scatter_work *work, int64_t samples,
                                         bool circular) {
  for (int64_t i = 0; work->starts && !circular && i < samples; i++) {
    if (work->starts[i] >= 0 && work->starts[i] <= work->positions - work->updates) continue;
    return run_fail(context, NORMA_ERROR_RUN,
                    "write_indices holds %lld: %lld elements do not fit behind it into %lld positions",
                    (long long)work->starts[i], (long long)work->updates, (long long)work->positions);
  }
  return NORMA_OK;
}

/* Updates of prefixes; what runs over the end of a circular cache goes on at its beginning. */
static void tensor_scatter_prefixes(void *argument, int64_t begin, int64_t end, int worker) {
  const tensor_scatter_work *work = argument;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    int64_t start = work->starts ? work->starts[i / work->per_sample] % work->positions : 0;
    if (start < 0) start += work->positions;
    const int64_t room = work->positions - start, first = work->updates < room ? work->updates : room;
    char *cache = work->cache + (size_t)(i * work->positions) * work->bytes;
    const char *update = work->update + (size_t)(i * work->updates) * work->bytes;
    const size_t bytes = (size_t)first * work->bytes, rest = (size_t)(work->updates - first) * work->bytes;
    if (bytes) memcpy(cache + (size_t)start * work->bytes, update, bytes);
    if (rest) memcpy(cache, update + bytes, rest);
  }
}

static norma_status tensor_scatter_compute(run_context *context) {
  const tensor_scatter_state *state = context->state;
  const norma_tensor *past = run_input(context, 0), *update = run_input(context, 1), *starts = run_input(context, 2);
  int axis;
  if (!axis_normalize(state->axis, past->rank, &axis)) {
    return run_fail(context, NORMA_ERROR_INTERNAL, "axis does not exist");
  }
  tensor_scatter_work work = {.starts = starts ? starts->data : NULL,
                              .per_sample = dims_product(past->dims, 1, axis),
                              .positions = past->dims[axis],
                              .updates = update->dims[axis]};
  work.bytes = (size_t)dims_product(past->dims, axis + 1, past->rank) * movement_bytes(past->type);
  TRY(tensor_scatter_check(context, &work, past->dims[0], state->circular));
  norma_tensor target;
  const void *source, *updates;
  TRY(movement_source(context, past, &source));
  TRY(movement_source(context, update, &updates));
  work.update = updates;
  TRY(movement_target(context, 0, &target));
  TRY(movement_copy_bytes(context, target.data, source, (size_t)norma_tensor_count(past) * movement_bytes(past->type)));
  work.cache = target.data;
  const double cost = WORK_ELEMENT / 4 * ((double)work.updates * (double)work.bytes + 8);
  const int64_t prefixes = work.updates > 0 ? dims_product(past->dims, 0, axis) : 0;
  TRY(run_parallel(context, prefixes, work_grain(cost), tensor_scatter_prefixes, &work));
  return movement_finish(context, 0, &target);
}

static const operator_attribute tensor_scatter_attributes[] = {
    {"axis", ATTRIBUTE_INT, 24, OPERATOR_LATEST, false},
    {"mode", ATTRIBUTE_STRING, 24, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_tensor_scatter[] = {
    {
        .domain = "",
        .name = "TensorScatter",
        .versions = {24},
        .min_inputs = 2,
        .max_inputs = 3,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_ALL, INPUT(0) | INPUT(1), OUTPUT(0)}, {TYPE_BIT(NORMA_INT64), INPUT(2), 0}},
        .attributes = tensor_scatter_attributes,
        .facts = {.dimension = fact_dimension_same},
        .in_place = INPUT(0),
        .state_size = sizeof(tensor_scatter_state),
        .read = tensor_scatter_read,
        .infer = tensor_scatter_infer,
        .compute = tensor_scatter_compute,
    },
    {0},
};
