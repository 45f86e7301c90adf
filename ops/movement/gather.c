/*
 * Gather          1; 11: negative axis and indices; 13: bfloat16. Slices of the data along one axis, chosen by indices.
 * GatherElements  11; 13: bfloat16. One element of the data for each index, which replaces the coordinate on one axis.
 * GatherND        11; 12: batch_dims; 13: bfloat16. Slices chosen by tuples of leading coordinates.
 *
 * Indices count from the end where they are negative. All are checked before anything is written.
 */
#include "ops/movement/indices.h"
#include "ops/movement/movement.h"

#include <stdatomic.h>

typedef struct gather_state {
  int64_t axis; /* of GatherND: batch_dims */
} gather_state;

static norma_status gather_read(const node *node, void *state, norma_error *error) {
  gather_state *gather = state;
  (void)error;
  gather->axis = attribute_int(node, "axis", 0);
  return NORMA_OK;
}

/* Copies of blocks of `bytes` bytes: small ones without a call. */
static inline void copy_block(char *target, const char *source, size_t bytes) {
  switch (bytes) {
  case 1:
    *target = *source;
    break;
  case 4:
    memcpy(target, source, 4);
    break;
  case 8:
    memcpy(target, source, 8);
    break;
  default:
    memcpy(target, source, bytes);
    break;
  }
}

/* Elements of work for run_parallel when each copies `bytes` bytes. */
static int64_t block_grain(size_t bytes) {
  const int64_t grain = (int64_t)(64 * 1024 / (bytes + 16));
  return grain < 1 ? 1 : grain;
}

/* ----------------------------------------------------------------------------------------------------------- Gather */

static norma_status gather_infer(infer_context *context) {
  const gather_state *state = context->state;
  const shape *data = infer_shape(context, 0), *indices = infer_shape(context, 1);
  shape result = shape_unknown();
  if (data->rank != RANK_UNKNOWN) {
    int axis;
    if (!axis_normalize(state->axis, data->rank, &axis)) {
      return infer_fail(context, "axis %lld is outside a tensor of rank %d", (long long)state->axis, data->rank);
    }
    if (indices->rank != RANK_UNKNOWN) {
      if (data->rank - 1 + indices->rank > NORMA_MAX_RANK) return infer_fail(context, "the output's rank is too large");
      result.rank = 0;
      for (int i = 0; i < axis; i++) result.dims[result.rank++] = data->dims[i];
      for (int i = 0; i < indices->rank; i++) result.dims[result.rank++] = indices->dims[i];
      for (int i = axis + 1; i < data->rank; i++) result.dims[result.rank++] = data->dims[i];
    }
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

/* Blocks `indices` of `step` bytes each, one behind the other. */
static void gather_blocks(char *target, const char *source, size_t bytes, int64_t step, const int64_t *indices,
                          int64_t count) {
  switch (bytes) {
#define GATHER_CASE(size)                                                                                              \
  case size:                                                                                                           \
    for (int64_t i = 0; i < count; i++) memcpy(target + i * size, source + indices[i] * step, size);                   \
    break;
    GATHER_CASE(1)
    GATHER_CASE(2)
    GATHER_CASE(4)
    GATHER_CASE(8)
    GATHER_CASE(16)
#undef GATHER_CASE
  default:
    for (int64_t i = 0; i < count; i++) memcpy(target + (size_t)i * bytes, source + indices[i] * step, bytes);
    break;
  }
}

typedef struct gather_job {
  const norma_tensor *indices;
  int64_t index_count, axis_size;
  size_t block_bytes;
  const char *source;
  char *target;
} gather_job;

static void gather_body(void *argument, int64_t begin, int64_t end, int worker) {
  const gather_job *job = argument;
  const size_t bytes = job->block_bytes, index_bytes = element_type_bytes(job->indices->type);
  int64_t indices[INDEX_PIECE];
  (void)worker;
  for (int64_t unit = begin, count; unit < end; unit += count) {
    const int64_t outer = unit / job->index_count, i = unit % job->index_count, left = job->index_count - i;
    count = end - unit < INDEX_PIECE ? end - unit : INDEX_PIECE;
    if (left < count) count = left;
    const char *from = job->source + (size_t)(outer * job->axis_size) * bytes;
    indices_read(job->indices->type, (const char *)job->indices->data + (size_t)i * index_bytes, (int64_t)index_bytes,
                 count, job->axis_size, indices);
    gather_blocks(job->target + (size_t)unit * bytes, from, bytes, (int64_t)bytes, indices, count);
  }
}

static norma_status gather_compute(run_context *context) {
  const gather_state *state = context->state;
  const norma_tensor *data = run_input(context, 0), *indices = run_input(context, 1);
  const void *source;
  norma_tensor target;
  int axis;
  if (!context->outputs[0]) return NORMA_OK;
  if (!axis_normalize(state->axis, data->rank, &axis)) {
    return run_fail(context, NORMA_ERROR_RUN, "axis is out of range");
  }
  TRY(indices_check(context, indices, data->dims[axis]));
  TRY(movement_source(context, data, &source));
  TRY(movement_target(context, 0, &target));
  const int64_t outer = dims_product(data->dims, 0, axis), inner = dims_product(data->dims, axis + 1, data->rank);
  gather_job job = {indices,          norma_tensor_count(indices),
                    data->dims[axis], (size_t)inner * movement_bytes(data->type),
                    source,           target.data};
  if (inner > 0) {
    TRY(run_parallel(context, outer * job.index_count, block_grain(job.block_bytes), gather_body, &job));
  }
  return movement_finish(context, 0, &target);
}

/* --------------------------------------------------------------------------------------------------- GatherElements */

static norma_status gather_elements_infer(infer_context *context) {
  const gather_state *state = context->state;
  const shape *data = infer_shape(context, 0), *indices = infer_shape(context, 1);
  int axis;
  if (data->rank != RANK_UNKNOWN && indices->rank != RANK_UNKNOWN) {
    if (data->rank != indices->rank || !axis_normalize(state->axis, data->rank, &axis)) {
      return infer_fail(context, "data of rank %d, indices of rank %d and axis %lld do not fit", data->rank,
                        indices->rank, (long long)state->axis);
    }
    for (int i = 0; i < data->rank; i++) {
      if (i != axis && data->dims[i] != DIM_UNKNOWN && indices->dims[i] > data->dims[i]) {
        return infer_fail(context, "indices have %lld entries in dimension %d, the data only %lld",
                          (long long)indices->dims[i], i, (long long)data->dims[i]);
      }
    }
  }
  infer_output(context, 0, infer_type(context, 0), indices);
  return NORMA_OK;
}

typedef struct gather_elements_job {
  const struct kernel_table *kernels;
  norma_element_type index_type;
  int64_t axis_size, axis_step; /* step in bytes */
  size_t bytes;
  atomic_bool outside;
} gather_elements_job;

/* The usual sizes in one loop. Element i of the data lies i * step bytes behind the first, and index * axis_step. */
#define GATHER_ELEMENTS_LOOP(index, size)                                                                              \
  static void gather_elements_##index##_##size(char *target, const index *indices, const char *data, int64_t step,     \
                                               int64_t axis_step, int64_t axis_size, int64_t count) {                  \
    if (step == 0 && axis_step == size) { /* along the last axis */                                                    \
      for (int64_t i = 0; i < count; i++) {                                                                            \
        const int64_t chosen = indices[i], place = chosen + (chosen >> 63 & axis_size);                                \
        memcpy(target + i * size, data + place * size, size);                                                          \
      }                                                                                                                \
      return;                                                                                                          \
    }                                                                                                                  \
    for (int64_t i = 0; i < count; i++) {                                                                              \
      const int64_t chosen = indices[i], place = chosen + (chosen >> 63 & axis_size);                                  \
      memcpy(target + i * size, data + i * step + place * axis_step, size);                                            \
    }                                                                                                                  \
  }
GATHER_ELEMENTS_LOOP(int64_t, 4)
GATHER_ELEMENTS_LOOP(int64_t, 8)
GATHER_ELEMENTS_LOOP(int32_t, 4)

/* Operands: target, indices, data at coordinate 0 of the axis. */
static void gather_elements_row(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  gather_elements_job *job = argument;
  if (!indices_fit(job->kernels, job->index_type, pointers[1], job->axis_size, count)) {
    atomic_store_explicit(&job->outside, true, memory_order_relaxed);
    return;
  }
  const int64_t axis_step = job->axis_step, step = steps[2];
  int64_t indices[INDEX_PIECE];
  if (job->index_type == NORMA_INT64 && job->bytes == 4) {
    gather_elements_int64_t_4(pointers[0], (const int64_t *)(const void *)pointers[1], pointers[2], step, axis_step,
                              job->axis_size, count);
    return;
  }
  if (job->index_type == NORMA_INT64 && job->bytes == 8) {
    gather_elements_int64_t_8(pointers[0], (const int64_t *)(const void *)pointers[1], pointers[2], step, axis_step,
                              job->axis_size, count);
    return;
  }
  if (job->index_type == NORMA_INT32 && job->bytes == 4) {
    gather_elements_int32_t_4(pointers[0], (const int32_t *)(const void *)pointers[1], pointers[2], step, axis_step,
                              job->axis_size, count);
    return;
  }
  for (int64_t i = 0; i < count; i += INDEX_PIECE) {
    const int64_t length = count - i < INDEX_PIECE ? count - i : INDEX_PIECE;
    char *target = pointers[0] + i * steps[0];
    const char *source = pointers[2] + i * step;
    indices_read(job->index_type, pointers[1] + i * steps[1], steps[1], length, job->axis_size, indices);
    switch (job->bytes) {
#define GATHER_CASE(size)                                                                                              \
  case size:                                                                                                           \
    for (int64_t k = 0; k < length; k++) {                                                                             \
      memcpy(target + k * size, source + k * step + indices[k] * axis_step, size);                                     \
    }                                                                                                                  \
    break;
      GATHER_CASE(1)
      GATHER_CASE(2)
      GATHER_CASE(4)
      GATHER_CASE(8)
      GATHER_CASE(16)
#undef GATHER_CASE
    }
  }
}

static norma_status gather_elements_compute(run_context *context) {
  const gather_state *state = context->state;
  const norma_tensor *data = run_input(context, 0), *indices = run_input(context, 1);
  const void *source;
  norma_tensor target;
  int axis;
  if (!context->outputs[0]) return NORMA_OK;
  if (data->rank != indices->rank || !axis_normalize(state->axis, data->rank, &axis)) {
    return run_fail(context, NORMA_ERROR_RUN, "axis is out of range");
  }
  TRY(movement_source(context, data, &source));
  TRY(movement_target(context, 0, &target));
  const size_t bytes = movement_bytes(data->type);
  strided walk = {.rank = indices->rank};
  int64_t strides[NORMA_MAX_RANK];
  memcpy(walk.dims, indices->dims, sizeof indices->dims);
  strided_add_broadcast(&walk, target.data, bytes, indices->rank, indices->dims);
  strided_add_broadcast(&walk, indices->data, element_type_bytes(indices->type), indices->rank, indices->dims);
  strided_add_broadcast(&walk, source, bytes, 0, NULL);
  movement_strides(data->rank, data->dims, strides);
  for (int i = 0; i < data->rank; i++) walk.strides[2][i] = i == axis ? 0 : strides[i];
  gather_elements_job job = {.kernels = context->kernels,
                             .index_type = indices->type,
                             .axis_size = data->dims[axis],
                             .axis_step = strides[axis] * (int64_t)bytes,
                             .bytes = bytes};
  TRY(strided_run(context, &walk, gather_elements_row, &job));
  if (atomic_load_explicit(&job.outside, memory_order_relaxed)) return indices_check(context, indices, job.axis_size);
  return movement_finish(context, 0, &target);
}

/* --------------------------------------------------------------------------------------------------------- GatherND */

static norma_status gather_nd_read(const node *node, void *state, norma_error *error) {
  gather_state *gather = state;
  gather->axis = attribute_int(node, "batch_dims", 0);
  if (gather->axis < 0 || gather->axis >= NORMA_MAX_RANK) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "batch_dims is %lld", (long long)gather->axis);
  }
  return NORMA_OK;
}

static norma_status gather_nd_infer(infer_context *context) {
  const gather_state *state = context->state;
  const shape *data = infer_shape(context, 0), *indices = infer_shape(context, 1);
  const int batch = (int)state->axis;
  shape result = shape_unknown();
  if (data->rank != RANK_UNKNOWN && indices->rank != RANK_UNKNOWN) {
    if (batch >= data->rank || batch >= indices->rank) {
      return infer_fail(context, "batch_dims %d does not fit ranks %d and %d", batch, data->rank, indices->rank);
    }
    for (int i = 0; i < batch; i++) {
      if (data->dims[i] != DIM_UNKNOWN && indices->dims[i] != DIM_UNKNOWN && data->dims[i] != indices->dims[i]) {
        return infer_fail(context, "data and indices differ in batch dimension %d", i);
      }
    }
    const int64_t tuple = indices->dims[indices->rank - 1];
    if (tuple != DIM_UNKNOWN) {
      if (tuple < 1 || tuple > data->rank - batch) {
        return infer_fail(context, "tuples of %lld indices do not fit rank %d", (long long)tuple, data->rank);
      }
      if (indices->rank - 1 + data->rank - batch - (int)tuple > NORMA_MAX_RANK) {
        return infer_fail(context, "the output's rank is too large");
      }
      result.rank = 0;
      for (int i = 0; i < indices->rank - 1; i++) {
        result.dims[result.rank++] = i < batch && indices->dims[i] == DIM_UNKNOWN ? data->dims[i] : indices->dims[i];
      }
      for (int i = batch + (int)tuple; i < data->rank; i++) result.dims[result.rank++] = data->dims[i];
    }
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

typedef struct gather_nd_job {
  const norma_tensor *indices;
  int64_t tuple, tuples_per_batch, batch_elements;
  const int64_t *sizes;
  int64_t strides[NORMA_MAX_RANK]; /* of the coordinates in a tuple, in elements */
  size_t bytes, block_bytes;
  const char *source;
  char *target;
} gather_nd_job;

static void gather_nd_body(void *argument, int64_t begin, int64_t end, int worker) {
  const gather_nd_job *job = argument;
  const bool is_wide = job->indices->type == NORMA_INT64;
  const void *indices = job->indices->data;
  (void)worker;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t tuple = job->tuple, first = unit * tuple;
    int64_t offset = unit / job->tuples_per_batch * job->batch_elements;
    for (int64_t k = 0; k < tuple; k++) {
      const int64_t index = is_wide ? ((const int64_t *)indices)[first + k] : ((const int32_t *)indices)[first + k];
      offset += (index < 0 ? index + job->sizes[k] : index) * job->strides[k];
    }
    copy_block(job->target + (size_t)unit * job->block_bytes, job->source + (size_t)offset * job->bytes,
               job->block_bytes);
  }
}

static norma_status gather_nd_compute(run_context *context) {
  const gather_state *state = context->state;
  const norma_tensor *data = run_input(context, 0), *indices = run_input(context, 1);
  const int batch = (int)state->axis;
  const void *source;
  norma_tensor target;
  if (!context->outputs[0]) return NORMA_OK;
  if (batch >= data->rank || batch >= indices->rank) return run_fail(context, NORMA_ERROR_RUN, "ranks do not fit");
  const int64_t tuple = indices->dims[indices->rank - 1];
  if (tuple < 1 || tuple > data->rank - batch) return run_fail(context, NORMA_ERROR_RUN, "tuples do not fit the data");
  TRY(indices_check_tuples(context, indices, data->dims + batch, tuple));
  TRY(movement_source(context, data, &source));
  TRY(movement_target(context, 0, &target));
  int64_t strides[NORMA_MAX_RANK];
  movement_strides(data->rank, data->dims, strides);
  const int64_t block = dims_product(data->dims, batch + (int)tuple, data->rank);
  gather_nd_job job = {.indices = indices,
                       .tuple = tuple,
                       .tuples_per_batch = dims_product(indices->dims, batch, indices->rank - 1),
                       .batch_elements = dims_product(data->dims, batch, data->rank),
                       .sizes = data->dims + batch,
                       .bytes = movement_bytes(data->type),
                       .block_bytes = (size_t)block * movement_bytes(data->type),
                       .source = source,
                       .target = target.data};
  memcpy(job.strides, strides + batch, (size_t)tuple * sizeof *strides);
  if (block > 0) {
    const int64_t units = dims_product(indices->dims, 0, indices->rank - 1);
    TRY(run_parallel(context, units, block_grain(job.block_bytes), gather_nd_body, &job));
  }
  return movement_finish(context, 0, &target);
}

static const operator_attribute axis_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};
static const operator_attribute gather_nd_attributes[] = {
    {"batch_dims", ATTRIBUTE_INT, 12, OPERATOR_LATEST, false},
    {0},
};

#define GATHER(op, prefix, reader, list, ...)                                                                          \
  {                                                                                                                    \
    .name = op, .domain = "", .versions = {__VA_ARGS__}, .min_inputs = 2, .max_inputs = 2, .min_outputs = 1,           \
    .max_outputs = 1,                                                                                                  \
    .types = {{TYPES_ALL, INPUT(0), OUTPUT(0)}, {TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64), INPUT(1), 0}},         \
    .attributes = list, .state_size = sizeof(gather_state), .read = reader, .infer = prefix##_infer,                   \
    .compute = prefix##_compute,                                                                                       \
  }

const operator_descriptor operators_gather[] = {
    GATHER("Gather", gather, gather_read, axis_attributes, 1, 11, 13),
    GATHER("GatherElements", gather_elements, gather_read, axis_attributes, 11, 13),
    GATHER("GatherND", gather_nd, gather_nd_read, gather_nd_attributes, 11, 12, 13),
    {0},
};
