/* What the operators of ai.onnx.ml take: rows of features, a tensor [N, F] of float, double, int64 or int32; a tensor
 * [F] is one row. */
#ifndef OPS_ML_FEATURES_H
#define OPS_ML_FEATURES_H

#include "ops/operator.h"

#define TYPES_FEATURES (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_DOUBLE) | TYPE_BIT(NORMA_INT64) | TYPE_BIT(NORMA_INT32))

/* Rows and features of a shape, either DIM_UNKNOWN. false: it has neither one dimension nor two. */
bool feature_shape(const shape *shape, int64_t *rows, int64_t *features);

/* The same for input 0, which must not have another rank, nor another number of features than `wanted` (DIM_UNKNOWN:
 * any). */
norma_status infer_feature_rows(infer_context *context, int64_t wanted, int64_t *rows, int64_t *features);
norma_status run_feature_rows(run_context *context, int64_t wanted, int64_t *rows, int64_t *features);

/* Elements first .. first + count - 1, rounded to the nearest number of the type. Any of TYPES_FEATURES, and
 * float16. */
void features_to_float(norma_element_type type, const void *data, int64_t first, int64_t count, float *result);
void features_to_double(norma_element_type type, const void *data, int64_t first, int64_t count, double *result);

/* infer of operators whose output 0 is float and has the shape of input 0. */
norma_status infer_same_in_float(infer_context *context);

#endif
