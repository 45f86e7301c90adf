/*
 * Binarizer 1 (ai.onnx.ml): Y = X > threshold ? 1 : 0.
 *
 * float, double, int32, int64. Compared exactly, whatever the type; NaN is not greater than anything.
 */
#include "ops/ml/features.h"

#include <math.h>

#define BINARIZER_GRAIN 16384 /* elements of one piece */

typedef struct binarizer_state {
  float threshold;
} binarizer_state;

static norma_status binarizer_read(const node *node, void *opaque, norma_error *error) {
  binarizer_state *state = opaque;
  (void)error;
  state->threshold = attribute_float(node, "threshold", 0);
  return NORMA_OK;
}

typedef struct binarizer_work {
  norma_element_type type;
  const void *x;
  void *y;
  float threshold;
} binarizer_work;

#define BINARIZE(type, compared, limit)                                                                                \
  for (int64_t i = begin; i < end; i++) ((type *)work->y)[i] = ((const type *)work->x)[i] compared(limit)

/* Integers above the threshold begin with the next one above it. */
static void binarize_integers(const binarizer_work *work, int64_t begin, int64_t end) {
  const size_t bytes = element_type_bytes(work->type);
  if (!(work->threshold < 0x1p63f)) { /* NaN too */
    memset((char *)work->y + (size_t)begin * bytes, 0, (size_t)(end - begin) * bytes);
    return;
  }
  const int64_t first = work->threshold < -0x1p63f ? INT64_MIN : (int64_t)floorf(work->threshold) + 1;
  if (work->type == NORMA_INT64) {
    BINARIZE(int64_t, >=, first);
  } else {
    BINARIZE(int32_t, >=, first);
  }
}

static void binarizer_body(void *argument, int64_t begin, int64_t end, int worker) {
  const binarizer_work *work = argument;
  (void)worker;
  if (work->type == NORMA_FLOAT) {
    BINARIZE(float, >, work->threshold);
  } else if (work->type == NORMA_DOUBLE) {
    BINARIZE(double, >, (double)work->threshold);
  } else {
    binarize_integers(work, begin, end);
  }
}

static norma_status binarizer_compute(run_context *context) {
  const binarizer_state *state = context->state;
  const norma_tensor *x = run_input(context, 0);
  if (!context->outputs[0]) return NORMA_OK;
  binarizer_work work = {x->type, x->data, run_output(context, 0)->data, state->threshold};
  return run_parallel(context, norma_tensor_count(x), BINARIZER_GRAIN, binarizer_body, &work);
}

static const operator_attribute binarizer_attributes[] = {
    {"threshold", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_binarizer[] = {
    {
        .domain = "ai.onnx.ml",
        .name = "Binarizer",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FEATURES, INPUT(0), OUTPUT(0)}},
        .attributes = binarizer_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(binarizer_state),
        .read = binarizer_read,
        .infer = infer_same,
        .facts = {.dimension = fact_dimension_same},
        .compute = binarizer_compute,
    },
    {0},
};
