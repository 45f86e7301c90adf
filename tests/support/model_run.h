/* Loading and running models in tests, with a failing check that says why. */
#ifndef TESTS_SUPPORT_MODEL_RUN_H
#define TESTS_SUPPORT_MODEL_RUN_H

#include "engine/norma.h"

#define DIGITS_BN     "models/digits_cnn_bn/model.onnx"
#define DIGITS_FOLDED "models/digits_cnn_folded/model.onnx"
#define DIGITS_DYNAMO "models/digits_cnn_dynamo/model.onnx"
#define DIGITS_MLP    "models/digits_mlp/model.onnx"

#define PICTURE_ELEMENTS 64 /* 1 x 8 x 8 */
#define DIGIT_CLASSES    10

/* A model with its runtime and one session; every step is checked. */
typedef struct loaded_model {
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
} loaded_model;

/* `threads` 0 and `allocator` NULL mean the default. */
loaded_model load_model(const char *path, norma_optimization optimization, int threads,
                        const norma_allocator *allocator);
void free_model(loaded_model *loaded);

/* `count` pictures with values in 0 .. 1, the same for the same seed and index, whatever the count. Free with
 * free(). */
float *make_pictures(int64_t count, unsigned seed);

/* Binds pictures to the first input. */
void set_pictures(norma_session *session, float *pictures, int64_t count);

/* Runs and returns the first output, which must be float. */
const norma_tensor *run_model(norma_session *session);

#endif
