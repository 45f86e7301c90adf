/*
 * Resampling of tensors along their dimensions, one after the other.
 *
 * An axis is a map from output to input coordinates: for nearest neighbours one coordinate each, for linear and cubic
 * interpolation a number of adjacent ones with weights. Coordinates outside the input are moved to its edge.
 */
#ifndef OPS_MOVEMENT_RESIZE_H
#define OPS_MOVEMENT_RESIZE_H

#include "ops/operator.h"

enum resize_mode { RESIZE_NEAREST, RESIZE_LINEAR, RESIZE_CUBIC };

enum resize_coordinates {
  COORDINATES_HALF_PIXEL,
  COORDINATES_HALF_PIXEL_SYMMETRIC,
  COORDINATES_PYTORCH_HALF_PIXEL,
  COORDINATES_ALIGN_CORNERS,
  COORDINATES_ASYMMETRIC,
  COORDINATES_HALF_PIXEL_FOR_NEAREST, /* tf_half_pixel_for_nn */
  COORDINATES_CROP_AND_RESIZE,
  COORDINATES_COUNT
};

enum resize_rounding { ROUND_PREFER_FLOOR, ROUND_PREFER_CEIL, ROUND_FLOOR, ROUND_CEIL, ROUNDING_COUNT };

typedef struct resize_rules {
  enum resize_mode mode;
  enum resize_coordinates coordinates;
  enum resize_rounding rounding;
  bool antialias, exclude_outside;
  double cubic_a;
  double extrapolation; /* the value outside a crop */
} resize_rules;

typedef struct resize_axis {
  int64_t input, output; /* sizes */
  double scale;
  double width;              /* of the output, not rounded to a whole number where it comes from a scale */
  double roi_start, roi_end; /* of COORDINATES_CROP_AND_RESIZE */
  bool identity;
  int taps;
  int64_t *first;       /* per output: the first input coordinate, which may lie outside, or RESIZE_EXTRAPOLATED */
  double *weights;      /* per output `taps` of them; NULL for nearest neighbours */
  float *float_weights; /* the same, rounded */
} resize_axis;

#define RESIZE_EXTRAPOLATED INT64_MIN

/* Coordinates per output; false when there are too many. */
bool resize_taps(const resize_rules *rules, double scale, int *taps);
/* Bytes of the tables of one axis. false: overflow. */
bool resize_table_bytes(const resize_rules *rules, int64_t output, int taps, size_t *bytes);
/* Fills `first` and `weights`, laid out in `block` of that size. */
void resize_fill_table(const resize_rules *rules, resize_axis *axis, void *block);

/* Nearest neighbours: target[o] = source[i(o)] for elements of `bytes` bytes. `item` stands for what is extrapolated;
 * NULL where nothing is. */
norma_status resize_gather(run_context *context, const resize_axis *axes, int rank, const void *source, void *target,
                           size_t bytes, const void *item);

/* One dimension of float data seen as outer x input x inner -> outer x output x inner. */
norma_status resize_interpolate(run_context *context, const resize_axis *axis, int64_t outer, int64_t inner,
                                const float *source, float *target, float extrapolation);
/* The same in double precision. */
norma_status resize_interpolate_f64(run_context *context, const resize_axis *axis, int64_t outer, int64_t inner,
                                    const double *source, double *target, double extrapolation);

#endif
