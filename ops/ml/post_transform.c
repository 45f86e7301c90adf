#include "ops/ml/post_transform.h"

#include <inttypes.h>
#include <math.h>

static const char *const post_transform_names[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
#define POST_TRANSFORM_COUNT ((int64_t)(sizeof post_transform_names / sizeof *post_transform_names))

norma_status post_transform_read(const node *node, post_transform *transform, norma_error *error) {
  const attribute *given = node_attribute(node, "post_transform");
  *transform = POST_TRANSFORM_NONE;
  if (!given) return NORMA_OK;
  if (given->kind == ATTRIBUTE_INT) {
    if (given->i < 0 || given->i >= POST_TRANSFORM_COUNT)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "post_transform %" PRId64 " does not exist",
                           given->i);
    *transform = (post_transform)given->i;
    return NORMA_OK;
  }
  for (int64_t i = 0; i < POST_TRANSFORM_COUNT; i++) {
    if (strcmp(given->s.data, post_transform_names[i]) != 0) continue;
    *transform = (post_transform)i;
    return NORMA_OK;
  }
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "post_transform '%.40s' does not exist", given->s.data);
}

static void softmax_zero(float *scores, int64_t count) {
  float largest = -INFINITY, sum = 0;
  for (int64_t i = 0; i < count; i++) largest = scores[i] > largest ? scores[i] : largest;
  for (int64_t i = 0; i < count; i++) {
    const bool is_zero = scores[i] >= -1e-7f && scores[i] <= 1e-7f;
    scores[i] = is_zero ? 0 : expf(scores[i] - largest);
    sum += scores[i];
  }
  for (int64_t i = 0; i < count && sum > 0; i++) scores[i] /= sum;
}

/* S. Winitzki, A handy approximation for the error function and its inverse (2008). */
static float probit(float probability) {
  const double x = 2 * (double)probability - 1, a = 0.147;
  const double logarithm = log((1 - x) * (1 + x)), half = 2 / (M_PI * a) + logarithm / 2;
  return (float)copysign(sqrt(2 * (sqrt(half * half - logarithm / a) - half)), x);
}

void post_transform_scores(const struct kernel_table *kernels, post_transform transform, float *scores, int64_t rows,
                           int64_t count) {
  const int64_t all = rows * count;
  if (all == 0) return;
  switch (transform) {
  case POST_TRANSFORM_NONE:
    break;
  case POST_TRANSFORM_SOFTMAX:
    kernels->softmax_lines_f32(scores, scores, (size_t)rows, (size_t)count);
    break;
  case POST_TRANSFORM_LOGISTIC:
    kernels->unary_f32[UNARY_SIGMOID](scores, scores, (size_t)all, 0, 0);
    break;
  case POST_TRANSFORM_SOFTMAX_ZERO:
    for (int64_t i = 0; i < rows; i++) softmax_zero(scores + i * count, count);
    break;
  case POST_TRANSFORM_PROBIT:
    for (int64_t i = 0; i < all; i++) scores[i] = probit(scores[i]);
    break;
  }
}
