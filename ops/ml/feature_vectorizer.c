/*
 * FeatureVectorizer 1 (ai.onnx.ml): tensors side by side, as rows of float.
 *
 * Input i has N rows of features (a tensor [C] is one row; axes behind the second count as features too), of which the
 * output takes inputdimensions[i]: those behind are left out, and zeros fill in what is missing. Without the attribute
 * all are taken. Inputs are of one of float, double, int32 and int64.
 */
#include "ops/ml/features.h"
#include "ops/work.h"

#include <inttypes.h>

typedef struct feature_vectorizer_state {
  size_t count; /* of widths; 0: as the inputs have them */
  const int64_t *widths;
} feature_vectorizer_state;

static norma_status feature_vectorizer_read(const node *node, void *opaque, norma_error *error) {
  feature_vectorizer_state *state = opaque;
  int64_t total = 0;
  state->widths = attribute_ints(node, "inputdimensions", &state->count);
  if (state->count > 0 && state->count != (size_t)node->input_count)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %zu inputdimensions and %d inputs", state->count,
                         node->input_count);
  for (size_t i = 0; i < state->count; i++) {
    if (state->widths[i] < 0 || __builtin_add_overflow(total, state->widths[i], &total))
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "inputdimensions[%zu] is %" PRId64, i,
                           state->widths[i]);
  }
  return NORMA_OK;
}

/* Rows of a shape, and features, which all axes but the first count; either DIM_UNKNOWN. */
static void vectorizer_rows(const shape *shape, int64_t *rows, int64_t *features) {
  *rows = *features = DIM_UNKNOWN;
  if (shape->rank < 1) return;
  *rows = shape->rank == 1 ? 1 : shape->dims[0];
  *features = 1;
  for (int i = shape->rank == 1 ? 0 : 1; i < shape->rank; i++) {
    if (shape->dims[i] == DIM_UNKNOWN || __builtin_mul_overflow(*features, shape->dims[i], features)) {
      *features = DIM_UNKNOWN;
      return;
    }
  }
}

static norma_status feature_vectorizer_infer(infer_context *context) {
  const feature_vectorizer_state *state = context->state;
  shape result = shape_of_rank(2);
  int64_t total = 0;
  for (int i = 0; i < context->input_count; i++) {
    const shape *given = infer_shape(context, i);
    int64_t rows, features;
    if (given->rank == 0) return infer_fail(context, "input %d is a scalar", i);
    vectorizer_rows(given, &rows, &features);
    if (rows != DIM_UNKNOWN && result.dims[0] != DIM_UNKNOWN && rows != result.dims[0])
      return infer_fail(context, "input %d has %" PRId64 " rows, others %" PRId64, i, rows, result.dims[0]);
    if (rows != DIM_UNKNOWN) result.dims[0] = rows;
    const int64_t width = state->count > 0 ? state->widths[i] : features;
    if (width == DIM_UNKNOWN || total == DIM_UNKNOWN)
      total = DIM_UNKNOWN;
    else if (__builtin_add_overflow(total, width, &total))
      return infer_fail(context, "the rows are too long");
  }
  result.dims[1] = total;
  infer_output(context, 0, NORMA_FLOAT, &result);
  return NORMA_OK;
}

typedef struct vectorizer_work {
  const norma_tensor *x;
  int64_t features, width, first, row_length; /* taken of each row; where they go; of a row of the output */
  float *y;
} vectorizer_work;

static void vectorizer_body(void *argument, int64_t begin, int64_t end, int worker) {
  const vectorizer_work *work = argument;
  const int64_t taken = work->features < work->width ? work->features : work->width;
  (void)worker;
  for (int64_t row = begin; row < end; row++) {
    float *target = work->y + row * work->row_length + work->first;
    features_to_float(work->x->type, work->x->data, row * work->features, taken, target);
    for (int64_t i = taken; i < work->width; i++) target[i] = 0;
  }
}

static norma_status feature_vectorizer_compute(run_context *context) {
  const feature_vectorizer_state *state = context->state;
  if (!context->outputs[0]) return NORMA_OK;
  const norma_tensor *y = run_output(context, 0);
  vectorizer_work work = {.row_length = y->dims[1], .y = y->data};
  for (int i = 0; i < context->input_count && work.row_length > 0; i++) {
    const shape given = shape_of_tensor(run_input(context, i));
    int64_t rows;
    work.x = run_input(context, i);
    vectorizer_rows(&given, &rows, &work.features);
    work.width = state->count > 0 ? state->widths[i] : work.features;
    TRY(run_parallel(context, rows, work_grain(WORK_ELEMENT * (double)(work.width + 4)), vectorizer_body, &work));
    work.first += work.width;
  }
  return NORMA_OK;
}

static const operator_attribute feature_vectorizer_attributes[] = {
    {"inputdimensions", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_feature_vectorizer[] = {
    {
        .domain = "ai.onnx.ml",
        .name = "FeatureVectorizer",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = OPERATOR_VARIADIC,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FEATURES, INPUT(0), 0}},
        .attributes = feature_vectorizer_attributes,
        .state_size = sizeof(feature_vectorizer_state),
        .read = feature_vectorizer_read,
        .infer = feature_vectorizer_infer,
        .compute = feature_vectorizer_compute,
    },
    {0},
};
