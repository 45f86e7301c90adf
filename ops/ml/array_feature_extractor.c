/*
 * ArrayFeatureExtractor 1 (ai.onnx.ml): Z = X[..., Y], elements along the last axis of X chosen by the indices Y.
 *
 * Z has the shape of X but for its last dimension, the number of indices, however these are arranged. A vector X counts
 * as one row: Z is [1, indices]. An index outside the axis, a negative one too, is an error of the run.
 */
#include "ops/movement/movement.h"
#include "ops/work.h"

#include <inttypes.h>

static norma_status feature_extractor_infer(infer_context *context) {
  const shape *x = infer_shape(context, 0), *indices = infer_shape(context, 1);
  shape z = *x;
  if (x->rank == 0) return infer_fail(context, "X is a scalar");
  if (x->rank == 1) {
    z = shape_of_rank(2);
    z.dims[0] = 1;
  }
  if (z.rank != RANK_UNKNOWN) z.dims[z.rank - 1] = shape_count(indices);
  infer_output(context, 0, infer_type(context, 0), &z);
  return NORMA_OK;
}

typedef struct extractor_work {
  const int64_t *indices;
  int64_t count, size; /* of indices; of the axis */
  size_t bytes;        /* of an element */
  const char *source;
  char *target;
} extractor_work;

#define EXTRACT(type)                                                                                                  \
  for (int64_t row = begin; row < end; row++) {                                                                        \
    const type *source = (const type *)(const void *)work->source + row * work->size;                                  \
    type *target = (type *)(void *)work->target + row * work->count;                                                   \
    for (int64_t i = 0; i < work->count; i++) target[i] = source[work->indices[i]];                                    \
  }

static void extractor_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const extractor_work *work = argument;
  (void)worker;
  if (work->bytes == 4) {
    EXTRACT(uint32_t)
  } else if (work->bytes == 8) {
    EXTRACT(uint64_t)
  } else {
    EXTRACT(norma_string)
  }
}

static norma_status feature_extractor_compute(run_context *context) {
  const norma_tensor *x = run_input(context, 0), *indices = run_input(context, 1);
  norma_tensor target;
  const void *source;
  if (!context->outputs[0]) return NORMA_OK;
  if (x->rank == 0) return run_fail(context, NORMA_ERROR_RUN, "X is a scalar");
  extractor_work work = {.indices = indices->data,
                         .count = norma_tensor_count(indices),
                         .size = x->dims[x->rank - 1],
                         .bytes = movement_bytes(x->type)};
  for (int64_t i = 0; i < work.count; i++) {
    if (work.indices[i] < 0 || work.indices[i] >= work.size)
      return run_fail(context, NORMA_ERROR_RUN, "index %" PRId64 " is outside an axis of %" PRId64, work.indices[i],
                      work.size);
  }
  TRY(movement_source(context, x, &source));
  TRY(movement_target(context, 0, &target));
  work.source = source;
  work.target = target.data;
  const int64_t rows = work.count > 0 ? dims_product(x->dims, 0, x->rank - 1) : 0;
  TRY(run_parallel(context, rows, work_grain(WORK_ELEMENT * (double)work.count), extractor_rows, &work));
  return movement_finish(context, 0, &target);
}

#define TYPES_EXTRACTED                                                                                                \
  (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_DOUBLE) | TYPE_BIT(NORMA_INT64) | TYPE_BIT(NORMA_INT32) |                    \
   TYPE_BIT(NORMA_STRING))

const operator_descriptor operators_array_feature_extractor[] = {
    {
        .domain = "ai.onnx.ml",
        .name = "ArrayFeatureExtractor",
        .versions = {1},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_EXTRACTED, INPUT(0), OUTPUT(0)}, {TYPE_BIT(NORMA_INT64), INPUT(1), 0}},
        .infer = feature_extractor_infer,
        .compute = feature_extractor_compute,
    },
    {0},
};
