/*
 * Gather          1; 11: negative axis and indices; 13: bfloat16. Slices of the data along one axis, chosen by indices.
 * GatherElements  11; 13: bfloat16. One element of the data for each index, which replaces the coordinate on one axis.
 * GatherND        11; 12: batch_dims; 13: bfloat16. Slices chosen by tuples of leading coordinates.
 *
 * Indices count from the end where they are negative. All are checked before anything is written.
 */
#include "ops/movement/movement.h"

typedef struct gather_state {
  int64_t axis; /* of GatherND: batch_dims */
} gather_state;

static norma_status gather_read(const node *node, void *state, norma_error *error) {
  gather_state *gather = state;
  (void)error;
  gather->axis = attribute_int(node, "axis", 0);
  return NORMA_OK;
}

typedef struct index_check {
  const norma_tensor *indices;
  int64_t size; /* of the axis; unused with tuples */
  const int64_t *tuple_sizes;
  int64_t tuple; /* length of a tuple, 1 without */
  atomic_bool outside;
} index_check;

static void index_check_body(void *argument, int64_t begin, int64_t end, int worker) {
  index_check *check = argument;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const int64_t index = tensor_get_int64(check->indices, i);
    const int64_t size = check->tuple_sizes ? check->tuple_sizes[i % check->tuple] : check->size;
    if (index < -size || index >= size) {
      atomic_store_explicit(&check->outside, true, memory_order_relaxed);
      return;
    }
  }
}

static norma_status check_indices(run_context *context, const norma_tensor *indices, int64_t size,
                                  const int64_t *tuple_sizes, int64_t tuple) {
  index_check check = {.indices = indices, .size = size, .tuple_sizes = tuple_sizes, .tuple = tuple};
  TRY(run_parallel(context, norma_tensor_count(indices), 16384, index_check_body, &check));
  if (!atomic_load_explicit(&check.outside, memory_order_relaxed)) return NORMA_OK;
  for (int64_t i = 0; i < norma_tensor_count(indices); i++) {
    const int64_t index = tensor_get_int64(indices, i), limit = tuple_sizes ? tuple_sizes[i % tuple] : size;
    if (index < -limit || index >= limit) {
      return run_fail(context, NORMA_ERROR_RUN, "index %lld is outside an axis of %lld", (long long)index,
                      (long long)limit);
    }
  }
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

typedef struct gather_job {
  const norma_tensor *indices;
  int64_t index_count, axis_size;
  size_t block_bytes;
  const char *source;
  char *target;
} gather_job;

static void gather_body(void *argument, int64_t begin, int64_t end, int worker) {
  const gather_job *job = argument;
  int64_t outer = begin / job->index_count, i = begin % job->index_count;
  (void)worker;
  for (int64_t unit = begin; unit < end; unit++) {
    int64_t index = tensor_get_int64(job->indices, i);
    if (index < 0) index += job->axis_size;
    copy_block(job->target + (size_t)unit * job->block_bytes,
               job->source + (size_t)(outer * job->axis_size + index) * job->block_bytes, job->block_bytes);
    if (++i == job->index_count) i = 0, outer++;
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
  TRY(check_indices(context, indices, data->dims[axis], NULL, 1));
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
  norma_element_type index_type;
  int64_t axis_size, axis_step; /* step in bytes */
  size_t bytes;
} gather_elements_job;

/* Operands: target, indices, data at coordinate 0 of the axis. */
static void gather_elements_row(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  const gather_elements_job *job = argument;
  for (int64_t i = 0; i < count; i++) {
    int64_t index = element_get_int64(job->index_type, pointers[1] + i * steps[1], 0);
    if (index < 0) index += job->axis_size;
    copy_block(pointers[0] + i * steps[0], pointers[2] + i * steps[2] + index * job->axis_step, job->bytes);
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
  TRY(check_indices(context, indices, data->dims[axis], NULL, 1));
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
  gather_elements_job job = {indices->type, data->dims[axis], strides[axis] * (int64_t)bytes, bytes};
  TRY(strided_run(context, &walk, gather_elements_row, &job));
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
  (void)worker;
  for (int64_t unit = begin; unit < end; unit++) {
    int64_t offset = unit / job->tuples_per_batch * job->batch_elements;
    for (int64_t k = 0; k < job->tuple; k++) {
      const int64_t index = tensor_get_int64(job->indices, unit * job->tuple + k);
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
  TRY(check_indices(context, indices, 0, data->dims + batch, tuple));
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
