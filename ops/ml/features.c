#include "ops/ml/features.h"

#include <inttypes.h>

bool feature_shape(const shape *shape, int64_t *rows, int64_t *features) {
  *rows = *features = DIM_UNKNOWN;
  if (shape->rank == RANK_UNKNOWN) return true;
  if (shape->rank < 1 || shape->rank > 2) return false;
  *rows = shape->rank == 1 ? 1 : shape->dims[0];
  *features = shape->dims[shape->rank - 1];
  return true;
}

static bool has_wanted_features(int64_t wanted, int64_t features) {
  return wanted == DIM_UNKNOWN || features == DIM_UNKNOWN || features == wanted;
}

norma_status infer_feature_rows(infer_context *context, int64_t wanted, int64_t *rows, int64_t *features) {
  const shape *given = infer_shape(context, 0);
  char text[200];
  if (!feature_shape(given, rows, features))
    return infer_fail(context, "input 0 of shape %s is not rows of features", shape_text(given, text, sizeof text));
  if (!has_wanted_features(wanted, *features))
    return infer_fail(context, "rows have %" PRId64 " features, expected %" PRId64, *features, wanted);
  return NORMA_OK;
}

norma_status run_feature_rows(run_context *context, int64_t wanted, int64_t *rows, int64_t *features) {
  const shape given = shape_of_tensor(run_input(context, 0));
  if (!feature_shape(&given, rows, features) || !has_wanted_features(wanted, *features))
    return run_fail(context, NORMA_ERROR_RUN, "input 0 is not rows of features as the model wants them");
  return NORMA_OK;
}

void features_to_float(norma_element_type type, const void *data, int64_t first, int64_t count, float *result) {
  if (type == NORMA_INT64)
    for (int64_t i = 0; i < count; i++) result[i] = (float)((const int64_t *)data)[first + i];
  else if (type == NORMA_INT32)
    for (int64_t i = 0; i < count; i++) result[i] = (float)((const int32_t *)data)[first + i];
  else
    elements_to_float(type, data, first, count, result);
}

void features_to_double(norma_element_type type, const void *data, int64_t first, int64_t count, double *result) {
  if (type == NORMA_INT64)
    for (int64_t i = 0; i < count; i++) result[i] = (double)((const int64_t *)data)[first + i];
  else if (type == NORMA_INT32)
    for (int64_t i = 0; i < count; i++) result[i] = (double)((const int32_t *)data)[first + i];
  else
    elements_to_double(type, data, first, count, result);
}

norma_status infer_same_in_float(infer_context *context) {
  infer_output(context, 0, NORMA_FLOAT, infer_shape(context, 0));
  return NORMA_OK;
}
