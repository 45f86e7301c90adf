/*
 * ScatterElements (11; 13: bfloat16; 16: reduction add, mul; 18: min, max), Scatter (9, the same under its old name)
 * and ScatterND (11; 13; 16; 18): a copy of the data with elements or slices replaced by updates, or joined with them.
 *
 * Updates are applied one after the other, in their order: where an index comes twice, the last one stays. All indices
 * are checked before anything is written.
 */
#include "ops/movement/indices.h"
#include "ops/movement/movement.h"
#include "ops/work.h"

#define UPDATES_PER_POLL 65536 /* elements between questions whether to stop */
/* Of a part of the columns, where there are many: rows a power of two apart share few sets of a cache. */
#define SCATTER_COLUMNS 256

enum scatter_reduction { SCATTER_NONE, SCATTER_ADD, SCATTER_MUL, SCATTER_MIN, SCATTER_MAX };

typedef struct scatter_state {
  int64_t axis;
  enum scatter_reduction reduction;
} scatter_state;

static norma_status scatter_read(const node *node, void *opaque, norma_error *error) {
  static const char *const names[] = {"none", "add", "mul", "min", "max"};
  scatter_state *state = opaque;
  const char *reduction = attribute_string(node, "reduction", "none");
  int found = -1;
  for (int i = 0; i < 5; i++) {
    if (strcmp(names[i], reduction) == 0) found = i;
  }
  if (found < 0) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "reduction is \"%s\"", reduction);
  state->reduction = (enum scatter_reduction)found;
  state->axis = attribute_int(node, "axis", 0);
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- values */

/* Where updates go. With a reduction, elements are numbers in the tensors' own presentation. */
typedef struct scatter_target {
  enum scatter_reduction reduction;
  norma_element_type type;
  size_t bytes;
  char *data;
  const char *updates;
} scatter_target;

/* x joined with an update; a NaN stays. `wide` is a type in which sums and products of integers wrap around. */
#define SCATTER_JOIN(type, wide)                                                                                       \
  static inline type scatter_join_##type(enum scatter_reduction reduction, type x, type update) {                      \
    switch (reduction) {                                                                                               \
    case SCATTER_ADD:                                                                                                  \
      return (type)((wide)x + (wide)update);                                                                           \
    case SCATTER_MUL:                                                                                                  \
      return (type)((wide)x * (wide)update);                                                                           \
    case SCATTER_MIN:                                                                                                  \
      return x < update || x != x ? x : update;                                                                        \
    case SCATTER_MAX:                                                                                                  \
      return x > update || x != x ? x : update;                                                                        \
    default:                                                                                                           \
      return update;                                                                                                   \
    }                                                                                                                  \
  }
#define SCATTER_INTEGERS(X)                                                                                            \
  X(NORMA_INT8, int8_t, uint64_t)                                                                                      \
  X(NORMA_INT16, int16_t, uint64_t)                                                                                    \
  X(NORMA_INT32, int32_t, uint64_t)                                                                                    \
  X(NORMA_INT64, int64_t, uint64_t)                                                                                    \
  X(NORMA_UINT8, uint8_t, uint64_t)                                                                                    \
  X(NORMA_UINT16, uint16_t, uint64_t)                                                                                  \
  X(NORMA_UINT32, uint32_t, uint64_t)                                                                                  \
  X(NORMA_UINT64, uint64_t, uint64_t)
#define SCATTER_TYPES(X)                                                                                               \
  SCATTER_INTEGERS(X)                                                                                                  \
  X(NORMA_FLOAT, float, float)                                                                                         \
  X(NORMA_DOUBLE, double, double)
#define SCATTER_JOIN_OF(constant, type, wide) SCATTER_JOIN(type, wide)
SCATTER_TYPES(SCATTER_JOIN_OF)

static void scatter_join(const scatter_target *target, int64_t at, int64_t from) {
  switch (target->type) {
#define SCATTER_CASE(constant, type, wide)                                                                             \
  case constant: {                                                                                                     \
    type *x = (type *)(void *)target->data + at;                                                                       \
    *x = scatter_join_##type(target->reduction, *x, ((const type *)(const void *)target->updates)[from]);              \
    break;                                                                                                             \
  }
    SCATTER_TYPES(SCATTER_CASE)
#undef SCATTER_CASE
  case NORMA_BOOL:
    element_set_int64(NORMA_BOOL, target->data, at,
                      scatter_join_uint8_t(target->reduction, ((const uint8_t *)target->data)[at] != 0,
                                           ((const uint8_t *)target->updates)[from] != 0));
    break;
  default: {
    const double x = element_get_double(target->type, target->data, at);
    const double update = element_get_double(target->type, target->updates, from);
    element_set_double(target->type, target->data, at, scatter_join_double(target->reduction, x, update));
    break;
  }
  }
}

/* `count` adjacent elements of the target from `at` on, joined with updates from `from` on. */
static void scatter_block(const scatter_target *target, int64_t at, int64_t from, int64_t count) {
  if (target->reduction == SCATTER_NONE) {
    memcpy(target->data + (size_t)at * target->bytes, target->updates + (size_t)from * target->bytes,
           (size_t)count * target->bytes);
    return;
  }
  for (int64_t i = 0; i < count; i++) scatter_join(target, at + i, from + i);
}

/* The same as scatter_row, joined. */
static void scatter_join_row(const scatter_target *target, int64_t at, int64_t step, const int64_t *indices,
                             int64_t axis_step, int64_t from, int64_t count) {
  switch (target->type) {
#define SCATTER_JOIN_EACH(reduction, type)                                                                             \
  case reduction:                                                                                                      \
    for (int64_t i = 0; i < count; i++) {                                                                              \
      type *joined = x + i * step + indices[i] * axis_step;                                                            \
      *joined = scatter_join_##type(reduction, *joined, updates[i]);                                                   \
    }                                                                                                                  \
    break;
#define SCATTER_CASE(constant, type, wide)                                                                             \
  case constant: {                                                                                                     \
    type *x = (type *)(void *)target->data + at;                                                                       \
    const type *updates = (const type *)(const void *)target->updates + from;                                          \
    switch (target->reduction) {                                                                                       \
      SCATTER_JOIN_EACH(SCATTER_ADD, type)                                                                             \
      SCATTER_JOIN_EACH(SCATTER_MUL, type)                                                                             \
      SCATTER_JOIN_EACH(SCATTER_MIN, type)                                                                             \
      SCATTER_JOIN_EACH(SCATTER_MAX, type)                                                                             \
    default:                                                                                                           \
      break;                                                                                                           \
    }                                                                                                                  \
    break;                                                                                                             \
  }
    SCATTER_TYPES(SCATTER_CASE)
#undef SCATTER_CASE
#undef SCATTER_JOIN_EACH
  default:
    for (int64_t i = 0; i < count; i++) scatter_join(target, at + i * step + indices[i] * axis_step, from + i);
  }
}

/* Update from + i goes to element at + i * step + indices[i] * axis_step. */
static void scatter_row(const scatter_target *target, int64_t at, int64_t step, const int64_t *indices,
                        int64_t axis_step, int64_t from, int64_t count) {
  char *data = target->data + (size_t)at * target->bytes;
  const char *updates = target->updates + (size_t)from * target->bytes;
  if (target->reduction != SCATTER_NONE) {
    scatter_join_row(target, at, step, indices, axis_step, from, count);
    return;
  }
  switch (target->bytes) {
#define SCATTER_CASE(size)                                                                                             \
  case size:                                                                                                           \
    for (int64_t i = 0; i < count; i++) {                                                                              \
      memcpy(data + (i * step + indices[i] * axis_step) * size, updates + i * size, size);                             \
    }                                                                                                                  \
    break;
    SCATTER_CASE(1)
    SCATTER_CASE(2)
    SCATTER_CASE(4)
    SCATTER_CASE(8)
    SCATTER_CASE(16)
#undef SCATTER_CASE
  }
}

/* The output with the data in it. */
static norma_status scatter_begin(run_context *context, norma_tensor *output, scatter_target *target) {
  const scatter_state *state = context->state;
  const norma_tensor *data = run_input(context, 0), *updates = run_input(context, 2);
  const void *source, *update_source;
  if (state->reduction != SCATTER_NONE && !(TYPE_BIT(data->type) & (TYPES_NUMERIC | TYPE_BIT(NORMA_BOOL)))) {
    return run_fail(context, NORMA_ERROR_RUN, "%s cannot be added or compared", norma_element_type_name(data->type));
  }
  TRY(movement_source(context, data, &source));
  TRY(movement_source(context, updates, &update_source));
  TRY(movement_target(context, 0, output));
  const size_t bytes = movement_bytes(data->type);
  const int64_t count = norma_tensor_count(data);
  if (norma_tensor_count(output) != count)
    return run_fail(context, NORMA_ERROR_RUN, "the output does not fit the data");
  if (output->data != source && count > 0) memcpy(output->data, source, (size_t)count * bytes);
  *target = (scatter_target){state->reduction, data->type, bytes, output->data, update_source};
  return NORMA_OK;
}

/* -------------------------------------------------------------------------------------------------- ScatterElements */

static norma_status scatter_elements_infer(infer_context *context) {
  const scatter_state *state = context->state;
  const shape *data = infer_shape(context, 0), *indices = infer_shape(context, 1);
  shape merged = *indices;
  int axis;
  if (!shape_merge(&merged, infer_shape(context, 2))) return infer_fail(context, "indices and updates differ in shape");
  if (data->rank != RANK_UNKNOWN && merged.rank != RANK_UNKNOWN) {
    if (data->rank != merged.rank || !axis_normalize(state->axis, data->rank, &axis)) {
      return infer_fail(context, "data of rank %d, indices of rank %d and axis %lld do not fit", data->rank,
                        merged.rank, (long long)state->axis);
    }
    for (int i = 0; i < data->rank; i++) {
      if (i != axis && data->dims[i] != DIM_UNKNOWN && merged.dims[i] > data->dims[i]) {
        return infer_fail(context, "indices have %lld entries in dimension %d, the data only %lld",
                          (long long)merged.dims[i], i, (long long)data->dims[i]);
      }
    }
  }
  return infer_same(context);
}

/* Pieces whose elements cannot meet run in parallel: slices along dimension 0, or, where that is the axis, columns.
 * Within a piece updates keep their order. */
typedef struct scatter_job {
  const run_context *context;
  const scatter_target *target;
  const norma_tensor *indices;
  int axis;
  int64_t axis_size, rows, columns; /* of one slice: rows along the last dimension */
  int64_t strides[NORMA_MAX_RANK];  /* of the data */
} scatter_job;

/* Columns first to first + count - 1 of row `row`, which counts all dimensions of the indices but the last. */
static void scatter_elements_row(const scatter_job *job, int64_t row, int64_t first, int64_t count) {
  const norma_tensor *shape = job->indices;
  const int last = shape->rank - 1;
  const size_t index_bytes = element_type_bytes(shape->type);
  const int64_t axis_step = job->strides[job->axis], step = job->axis == last ? 0 : 1;
  int64_t from = row * shape->dims[last] + first, at = first * step, indices[INDEX_PIECE];
  for (int i = last - 1; i >= 0; i--) {
    if (i != job->axis) at += row % shape->dims[i] * job->strides[i];
    row /= shape->dims[i];
  }
  for (int64_t i = 0, some; i < count; i += some, from += some) {
    some = count - i < INDEX_PIECE ? count - i : INDEX_PIECE;
    if ((i & 0xFFFF) == 0xFF00 && run_cancelled(job->context)) return;
    indices_read(shape->type, (const char *)shape->data + (size_t)from * index_bytes, (int64_t)index_bytes, some,
                 job->axis_size, indices);
    scatter_row(job->target, at + i * step, step, indices, axis_step, from, some);
  }
}

static void scatter_slices_body(void *argument, int64_t begin, int64_t end, int worker) {
  const scatter_job *job = argument;
  (void)worker;
  for (int64_t row = begin * job->rows; row < end * job->rows; row++) {
    if ((row & 0xFF) == 0xFF && run_cancelled(job->context)) return;
    scatter_elements_row(job, row, 0, job->columns);
  }
}

static void scatter_columns_body(void *argument, int64_t begin, int64_t end, int worker) {
  const scatter_job *job = argument;
  const int64_t rows = job->rows * job->indices->dims[0];
  (void)worker;
  for (int64_t row = 0; row < rows; row++) {
    if ((row & 0xFF) == 0xFF && run_cancelled(job->context)) return;
    scatter_elements_row(job, row, begin, end - begin);
  }
}

static norma_status scatter_elements_compute(run_context *context) {
  const scatter_state *state = context->state;
  const norma_tensor *data = run_input(context, 0), *indices = run_input(context, 1);
  int axis;
  if (!context->outputs[0]) return NORMA_OK;
  if (data->rank != indices->rank || !axis_normalize(state->axis, data->rank, &axis) ||
      norma_tensor_count(indices) != norma_tensor_count(run_input(context, 2))) {
    return run_fail(context, NORMA_ERROR_RUN, "data, indices and updates do not fit");
  }
  TRY(indices_check(context, indices, data->dims[axis]));
  norma_tensor output;
  scatter_target target;
  TRY(scatter_begin(context, &output, &target));
  scatter_job job = {.context = context,
                     .target = &target,
                     .indices = indices,
                     .axis = axis,
                     .axis_size = data->dims[axis],
                     .columns = indices->dims[indices->rank - 1]};
  movement_strides(data->rank, data->dims, job.strides);
  job.rows = indices->rank > 1 ? dims_product(indices->dims, 1, indices->rank - 1) : 1;
  if (norma_tensor_count(indices) > 0 && axis > 0) {
    const double slice = 2 * WORK_ELEMENT * (double)job.rows * (double)job.columns;
    TRY(run_parallel(context, indices->dims[0], work_grain(slice), scatter_slices_body, &job));
  } else if (norma_tensor_count(indices) > 0 && indices->rank > 1) {
    const double column = 2 * WORK_ELEMENT * (double)indices->dims[0] * (double)job.rows;
    const int64_t grain = work_grain(column), least = job.columns < 2 * SCATTER_COLUMNS ? 16 : SCATTER_COLUMNS;
    TRY(run_parallel(context, job.columns, grain < least ? least : grain, scatter_columns_body, &job));
  } else if (norma_tensor_count(indices) > 0) {
    scatter_elements_row(&job, 0, 0, job.columns);
  }
  return movement_finish(context, 0, &output);
}

/* -------------------------------------------------------------------------------------------------------- ScatterND */

static norma_status scatter_nd_infer(infer_context *context) {
  const shape *data = infer_shape(context, 0), *indices = infer_shape(context, 1);
  if (data->rank != RANK_UNKNOWN && indices->rank != RANK_UNKNOWN) {
    const int64_t tuple = indices->rank > 0 ? indices->dims[indices->rank - 1] : 0;
    if (tuple != DIM_UNKNOWN) {
      if (indices->rank < 1 || tuple < 0 || tuple > data->rank ||
          indices->rank - 1 + data->rank - (int)tuple > NORMA_MAX_RANK) {
        return infer_fail(context, "tuples of %lld indices do not fit rank %d", (long long)tuple, data->rank);
      }
      shape expected = {.rank = 0};
      for (int i = 0; i < indices->rank - 1; i++) expected.dims[expected.rank++] = indices->dims[i];
      for (int i = (int)tuple; i < data->rank; i++) expected.dims[expected.rank++] = data->dims[i];
      if (!shape_merge(&expected, infer_shape(context, 2))) {
        return infer_fail(context, "updates do not fit data and indices");
      }
    }
  }
  return infer_same(context);
}

/* Where the slices of tuples first to first + count - 1 begin. */
static void scatter_nd_places(const norma_tensor *indices, const norma_tensor *data, int64_t tuple,
                              const int64_t *strides, int64_t first, int64_t count, int64_t *places) {
  const size_t bytes = element_type_bytes(indices->type);
  const char *from = (const char *)indices->data + (size_t)(first * tuple) * bytes;
  int64_t axis[INDEX_PIECE];
  for (int64_t i = 0; i < count; i++) places[i] = 0;
  for (int64_t k = 0; k < tuple; k++, from += bytes) {
    indices_read(indices->type, from, tuple * (int64_t)bytes, count, data->dims[k], axis);
    for (int64_t i = 0; i < count; i++) places[i] += axis[i] * strides[k];
  }
}

static norma_status scatter_nd_compute(run_context *context) {
  const norma_tensor *data = run_input(context, 0), *indices = run_input(context, 1);
  if (!context->outputs[0]) return NORMA_OK;
  const int64_t tuple = indices->rank > 0 ? indices->dims[indices->rank - 1] : -1;
  if (tuple < 0 || tuple > data->rank) return run_fail(context, NORMA_ERROR_RUN, "tuples do not fit the data");
  const int64_t tuples = dims_product(indices->dims, 0, indices->rank - 1);
  const int64_t block = dims_product(data->dims, (int)tuple, data->rank);
  int64_t updates;
  if (__builtin_mul_overflow(tuples, block, &updates) || updates != norma_tensor_count(run_input(context, 2))) {
    return run_fail(context, NORMA_ERROR_RUN, "updates do not fit data and indices");
  }
  if (tuple > 0) TRY(indices_check_tuples(context, indices, data->dims, tuple));
  norma_tensor output;
  scatter_target target;
  TRY(scatter_begin(context, &output, &target));
  int64_t strides[NORMA_MAX_RANK];
  movement_strides(data->rank, data->dims, strides);
  int64_t places[INDEX_PIECE], some, polled = 0;
  for (int64_t i = 0; i < tuples && block > 0; i += some) {
    some = tuples - i < INDEX_PIECE ? tuples - i : INDEX_PIECE;
    scatter_nd_places(indices, data, tuple, strides, i, some, places);
    if (block == 1) scatter_row(&target, 0, 0, places, 1, i, some);
    for (int64_t t = 0; t < some && block > 1; t++) {
      scatter_block(&target, places[t], (i + t) * block, block);
      if ((polled += block) < UPDATES_PER_POLL) continue;
      polled = 0;
      TRY(run_poll(context));
    }
    if (block == 1 && i % UPDATES_PER_POLL == 0) TRY(run_poll(context));
  }
  return movement_finish(context, 0, &output);
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

static const operator_attribute scatter_elements_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"reduction", ATTRIBUTE_STRING, 16, OPERATOR_LATEST, false},
    {0},
};
static const operator_attribute scatter_nd_attributes[] = {
    {"reduction", ATTRIBUTE_STRING, 16, OPERATOR_LATEST, false},
    {0},
};

#define SCATTER(op, prefix, list, ...)                                                                                 \
  {                                                                                                                    \
    .name = op, .domain = "", .versions = {__VA_ARGS__}, .min_inputs = 3, .max_inputs = 3, .min_outputs = 1,           \
    .max_outputs = 1,                                                                                                  \
    .types = {{TYPES_ALL, INPUT(0) | INPUT(2), OUTPUT(0)},                                                             \
              {TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64), INPUT(1), 0}},                                           \
    .attributes = list, .in_place = INPUT(0), .state_size = sizeof(scatter_state), .read = scatter_read,               \
    .infer = prefix##_infer, .compute = prefix##_compute,                                                              \
  }

const operator_descriptor operators_scatter[] = {
    SCATTER("ScatterElements", scatter_elements, scatter_elements_attributes, 11, 13, 16, 18),
    SCATTER("Scatter", scatter_elements, scatter_elements_attributes, 9, 11),
    SCATTER("ScatterND", scatter_nd, scatter_nd_attributes, 11, 13, 16, 18),
    {0},
};
