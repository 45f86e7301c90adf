/*
 * Operators that repeat elements.
 *
 * Expand  8; 13: bfloat16. Broadcasts the input against a shape.
 * Tile    1: repeats the input `tiles` times along one axis; 6: a count for each dimension; 13: bfloat16
 *
 * Both can make much of little: the output's size is checked before anything is allocated.
 */
#include "ops/axes.h"
#include "ops/movement/movement.h"
#include "ops/work.h"

static norma_status check_sizes(infer_context *context, const integers *sizes, const char *name) {
  for (int i = 0; i < sizes->count; i++) {
    if (sizes->values[i] < 0) return infer_fail(context, "%s has the entry %lld", name, (long long)sizes->values[i]);
  }
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- Expand */

static norma_status expand_infer(infer_context *context) {
  const shape *input = infer_shape(context, 0), *list = infer_shape(context, 1);
  shape result = shape_unknown();
  integers sizes;
  norma_status status;
  if (infer_ints(context, 1, sizes.values, NORMA_MAX_RANK, &sizes.count, &status)) {
    TRY(check_sizes(context, &sizes, "shape"));
    const shape wanted = shape_make(sizes.count, sizes.values);
    if (!shape_broadcast(input, &wanted, &result)) {
      char a[200], b[200];
      return infer_fail(context, "shape %s cannot be broadcast with %s", shape_text(input, a, sizeof a),
                        shape_text(&wanted, b, sizeof b));
    }
  } else if (list->rank == 1 && list->dims[0] >= 0 && list->dims[0] <= NORMA_MAX_RANK && input->rank != RANK_UNKNOWN) {
    result = shape_of_rank(list->dims[0] > input->rank ? (int)list->dims[0] : input->rank);
  }
  TRY(status);
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

static norma_status expand_compute(run_context *context) {
  const norma_tensor *input = run_input(context, 0);
  const void *source;
  norma_tensor target;
  if (!context->outputs[0]) return NORMA_OK;
  TRY(movement_source(context, input, &source));
  TRY(movement_target(context, 0, &target));
  if (target.rank < input->rank) return run_fail(context, NORMA_ERROR_RUN, "the shape does not fit the output");
  strided walk = {.rank = target.rank};
  memcpy(walk.dims, target.dims, sizeof target.dims);
  strided_add_broadcast(&walk, target.data, 1, target.rank, target.dims);
  strided_add_broadcast(&walk, source, 1, input->rank, input->dims);
  TRY(movement_strided(context, &walk, &target, 0, source, 0));
  return movement_finish(context, 0, &target);
}

/* ------------------------------------------------------------------------------------------------------------- Tile */

/* The repeats of each dimension; *known false where they cannot be told yet. */
static norma_status tile_repeats(infer_context *context, int rank, integers *repeats, bool *known) {
  norma_status status = NORMA_OK;
  *known = false;
  if (context->node->version >= 6) {
    *known = infer_ints(context, 1, repeats->values, NORMA_MAX_RANK, &repeats->count, &status);
    if (*known && repeats->count != rank) {
      return infer_fail(context, "%d repeats for a tensor of rank %d", repeats->count, rank);
    }
    return status;
  }
  const norma_tensor *tiles = infer_value(context, 1), *axis_tensor = infer_value(context, 2);
  if (!tiles || !axis_tensor) return NORMA_OK;
  int axis;
  if (norma_tensor_count(tiles) != 1 || norma_tensor_count(axis_tensor) != 1 ||
      !axis_normalize(tensor_get_int64(axis_tensor, 0), rank, &axis)) {
    return infer_fail(context, "tiles and axis must be scalars, the axis within rank %d", rank);
  }
  repeats->count = rank;
  for (int i = 0; i < rank; i++) repeats->values[i] = i == axis ? tensor_get_int64(tiles, 0) : 1;
  *known = true;
  return NORMA_OK;
}

static norma_status tile_infer(infer_context *context) {
  const shape *input = infer_shape(context, 0);
  shape result = *input;
  const bool has_axis = infer_has_input(context, 2); /* which came with the tiles of version 1 */
  if (has_axis != (context->node->version < 6)) {
    return infer_fail(context, "has %d inputs, expected %d", has_axis ? 3 : 2, has_axis ? 2 : 3);
  }
  if (input->rank != RANK_UNKNOWN) {
    integers repeats;
    bool known;
    TRY(tile_repeats(context, input->rank, &repeats, &known));
    if (known) TRY(check_sizes(context, &repeats, "repeats"));
    for (int i = 0; i < input->rank; i++) {
      if (!known || input->dims[i] == DIM_UNKNOWN)
        result.dims[i] = DIM_UNKNOWN;
      else if (__builtin_mul_overflow(input->dims[i], repeats.values[i], &result.dims[i])) {
        return infer_fail(context, "dimension %d of the output is too large", i);
      }
    }
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

/* From the last dimension outwards each block is made once and then copied as a whole, so that copies are long. */
typedef struct tile_job {
  const run_context *context;
  int rank;
  int64_t dims[NORMA_MAX_RANK], repeats[NORMA_MAX_RANK];
  int64_t source_strides[NORMA_MAX_RANK], target_strides[NORMA_MAX_RANK]; /* in bytes */
  size_t bytes;                                                           /* of an element */
  const char *source;
  char *target;
} tile_job;

#define TILE_COPY_BYTES ((size_t)1 << 20) /* between questions whether to stop, about */

/* Repeats the block at `target`, whose copies stand behind it, in copies of what is there already. */
static void tile_repeat(const tile_job *job, char *target, size_t block, int64_t repeats) {
  const size_t total = block * (size_t)repeats;
  const size_t most = block < TILE_COPY_BYTES ? TILE_COPY_BYTES / block * block : block;
  for (size_t made = block, count; made < total; made += count) {
    count = made < total - made ? made : total - made;
    if (count > most) count = most;
    memcpy(target + made, target, count);
    if (made > TILE_COPY_BYTES && run_cancelled(job->context)) return;
  }
}

/* The input's dimensions from `axis` on, repeated. */
static void tile_block(const tile_job *job, int axis, const char *source, char *target) {
  size_t block = (size_t)(job->dims[axis] * job->target_strides[axis]);
  if (axis + 1 == job->rank) {
    memcpy(target, source, block);
  } else {
    for (int64_t i = 0; i < job->dims[axis]; i++) {
      tile_block(job, axis + 1, source + i * job->source_strides[axis], target + i * job->target_strides[axis]);
    }
  }
  tile_repeat(job, target, block, job->repeats[axis]);
}

/* Of the first dimension: its entries, made; then its repeats, copied. */
static void tile_entries(void *argument, int64_t begin, int64_t end, int worker) {
  const tile_job *job = argument;
  (void)worker;
  for (int64_t i = begin; i < end && !run_cancelled(job->context); i++) {
    const char *source = job->source + i * job->source_strides[0];
    char *target = job->target + i * job->target_strides[0];
    if (job->rank == 1) {
      memcpy(target, source, job->bytes);
    } else {
      tile_block(job, 1, source, target);
    }
  }
}

static void tile_copies(void *argument, int64_t begin, int64_t end, int worker) {
  const tile_job *job = argument;
  const size_t block = (size_t)job->target_strides[0];
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const int64_t entry = i % job->dims[0];
    memcpy(job->target + (size_t)(i + job->dims[0]) * block, job->target + (size_t)entry * block, block);
  }
}

/* Dimensions that are not repeated become one with those around them. */
static bool tile_lay_out(tile_job *job, const norma_tensor *input, const norma_tensor *target) {
  if (target->rank != input->rank) return false;
  for (int i = 0; i < input->rank; i++) {
    const int64_t dim = input->dims[i];
    if (dim == 0 || target->dims[i] % dim != 0) return false;
    const int64_t repeats = target->dims[i] / dim;
    if (job->rank > 0 && repeats == 1) {
      job->dims[job->rank - 1] *= dim;
    } else if (dim != 1 || repeats != 1) {
      job->repeats[job->rank] = repeats;
      job->dims[job->rank++] = dim;
    }
  }
  if (job->rank == 0) job->dims[0] = job->repeats[0] = job->rank = 1;
  int64_t source = (int64_t)job->bytes, made = (int64_t)job->bytes;
  for (int i = job->rank - 1; i >= 0; i--) {
    job->source_strides[i] = source;
    job->target_strides[i] = made;
    source *= job->dims[i];
    made *= job->dims[i] * job->repeats[i];
  }
  return true;
}

static norma_status tile_compute(run_context *context) {
  const norma_tensor *input = run_input(context, 0);
  const void *source;
  norma_tensor target;
  if (!context->outputs[0]) return NORMA_OK;
  TRY(movement_source(context, input, &source));
  TRY(movement_target(context, 0, &target));
  if (norma_tensor_count(&target) == 0) return movement_finish(context, 0, &target);
  tile_job job = {.context = context, .bytes = movement_bytes(input->type), .source = source, .target = target.data};
  if (!tile_lay_out(&job, input, &target)) {
    return run_fail(context, NORMA_ERROR_RUN, "the repeats do not fit the output");
  }
  const double entry = (double)job.target_strides[0] * WORK_ELEMENT / 4;
  if (job.rank == 1) { /* one run, many times */
    tile_block(&job, 0, job.source, job.target);
  } else {
    TRY(run_parallel(context, job.dims[0], work_grain(entry), tile_entries, &job));
    TRY(run_parallel(context, job.dims[0] * (job.repeats[0] - 1), work_grain(entry), tile_copies, &job));
  }
  return movement_finish(context, 0, &target);
}

#define REPEAT(op, prefix, most, rest, ...)                                                                            \
  {                                                                                                                    \
    .name = op, .domain = "", .versions = {__VA_ARGS__}, .min_inputs = 2, .max_inputs = most, .min_outputs = 1,        \
    .max_outputs = 1, .types = {{TYPES_ALL, INPUT(0), OUTPUT(0)}, {rest, INPUT(1) | (most > 2 ? INPUT(2) : 0), 0}},    \
    .infer = prefix##_infer, .facts = {.is_identity = fact_keeps_shape}, .compute = prefix##_compute,                  \
  }

const operator_descriptor operators_expand[] = {
    REPEAT("Expand", expand, 2, TYPE_BIT(NORMA_INT64), 8, 13),
    REPEAT("Tile", tile, 3, TYPE_BIT(NORMA_INT64) | TYPES_FLOAT, 1, 6, 13),
    {0},
};
