/*
 * Points between the elements of an image, and the elements that count for each: what GridSample and DeformConv have in
 * common.
 *
 * An image has elements at the integers 0 .. size - 1 of each axis. A point is worth the weighted sum of the elements
 * near it, which are the same for all channels. So a block of points becomes a table of offsets and weights first:
 *
 *   value[i] = sum over t < taps of weights[t * count + i] * image[offsets[t * count + i]]
 *
 * where a negative offset stands for an element that counts as 0 whatever its weight. Weights are finite for any
 * points, NaN and infinities included, which are outside the image.
 */
#ifndef OPS_IMAGE_SAMPLE_TABLE_H
#define OPS_IMAGE_SAMPLE_TABLE_H

#include "ops/operator.h"

enum sample_mode {
  SAMPLE_NEAREST, /* one tap on each axis, halves to even */
  SAMPLE_LINEAR,  /* two */
  SAMPLE_CUBIC    /* four: Keys' convolution with a = -0.75 */
};

/* Where points and taps beyond the image are taken from. */
enum sample_padding { SAMPLE_ZEROS, SAMPLE_BORDER, SAMPLE_REFLECTION };

typedef struct sample_space {
  int axes;
  int64_t sizes[NORMA_MAX_RANK];
  enum sample_mode mode;
  enum sample_padding padding;
  bool centers; /* the image ends at the centres of its last elements, not half an element behind them: what REFLECTION
                   reflects at, and from where on BORDER moves points */
  bool keeps_points; /* BORDER moves taps alone, which makes a difference where there are four of them */
} sample_space;

/* Taps of a point: those of one axis to the power of the axes. */
int64_t sample_taps(const sample_space *space);
/* A number of points for a block, so that its tables stay in a cache. */
int64_t sample_block(const sample_space *space);
/* Whether all sizes but 0 suit 32-bit offsets in single precision. */
bool sample_fits_floats(const sample_space *space);

/* points[axis * count + i] is the coordinate on that axis of point i < count; it is overwritten. Tables have room for
 * sample_taps * count entries. */
void sample_table_f32(const sample_space *space, float *points, int64_t count, int32_t *offsets, float *weights);
void sample_table_f64(const sample_space *space, double *points, int64_t count, int64_t *offsets, double *weights);

/* y[i] = the value of point i, 0 where all its taps are outside; see also sample_points_f32 of the kernel table. */
void sample_points_f64(double *y, const double *x, const int64_t *offsets, const double *weights, int64_t taps,
                       int64_t count);

#endif
