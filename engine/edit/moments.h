/*
 * Count, mean and sum of squared deviations of the elements of each channel, gathered over any amount of data and
 * merged exactly: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
 * 1979.
 *
 * Everything is in double. A sample (one index of axis 0) is reduced on its own, and samples are merged as the bits of
 * a binary counter are: equally many with equally many, so that rounding errors grow with the logarithm of their
 * number. The order depends on the order of the samples alone: not on threads, not on how samples were cut into
 * tensors.
 */
#ifndef ENGINE_EDIT_MOMENTS_H
#define ENGINE_EDIT_MOMENTS_H

#include "engine/execute/runtime.h"

#define MOMENTS_LEVELS 48 /* 2^48 samples */

/* One group of samples that were merged. */
typedef struct moments_group {
  double count;           /* elements of each channel; 0: the group is empty */
  double *mean, *squares; /* by channel; NULL until used */
} moments_group;

typedef struct moments {
  memory *memory;
  int64_t channels;
  uint64_t samples;           /* bit i tells whether levels[i] is filled */
  interruption *interruption; /* of moments_add; NULL: nothing ends it early */
  moments_group levels[MOMENTS_LEVELS];
} moments;

void moments_init(moments *moments, memory *memory, int64_t channels);
void moments_free(moments *moments);  /* all zero is fine */
void moments_reset(moments *moments); /* forgets what was gathered, keeps the memory */

/* Room for every level that the counter reaches when it goes up by `more`, and one above. Errors: ARGUMENT (too many),
 * OUT_OF_MEMORY, BUDGET. */
norma_status moments_reserve(moments *moments, uint64_t more, norma_error *error);

/* Adds the first `rows` indices of axis 0 of a tensor of a float type whose elements per row are channels x inner.
 * Works on the runtime's threads; `runtime` NULL: on the calling thread. Errors: ARGUMENT (shape or type), RUN (an
 * element is NaN or infinite), OUT_OF_MEMORY, BUDGET, CANCELLED, DEADLINE; then nothing was added. */
norma_status moments_add(moments *moments, const norma_runtime *runtime, const norma_tensor *tensor, int64_t rows,
                         norma_error *error);

/* Adds what `other`, of as many channels, has gathered. Errors: OUT_OF_MEMORY, BUDGET. */
norma_status moments_merge(moments *moments, const struct moments *other, norma_error *error);

/* Adds one group of `count` elements per channel, as if it were one sample. */
norma_status moments_add_group(moments *moments, double count, const double *mean, const double *squares,
                               norma_error *error);

/* All that was gathered: elements per channel (0: none), means, sums of squared deviations. */
double moments_total(const moments *moments, double *mean, double *squares);

/* (a_count, *a_mean, *a_squares) becomes both groups together. */
static inline void moments_join(double a_count, double *a_mean, double *a_squares, double b_count, double b_mean,
                                double b_squares) {
  double count = a_count + b_count;
  if (b_count == 0) return;
  if (a_count == 0) {
    *a_mean = b_mean;
    *a_squares = b_squares;
    return;
  }
  double delta = b_mean - *a_mean;
  *a_mean = a_count == b_count ? (*a_mean + b_mean) / 2 : *a_mean + delta * (b_count / count);
  *a_squares += b_squares + delta * delta * (a_count * (b_count / count));
}

/* How far measured statistics are from stored ones. Variances have epsilon added already. */
double moments_mean_drift(double stored_mean, double stored_variance, double mean); /* |difference| / deviation */
/* Jeffreys' divergence of two normal distributions: KL(p, q) + KL(q, p). */
double moments_divergence(double mean_p, double variance_p, double mean_q, double variance_q);

#endif
