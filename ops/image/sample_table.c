/* See sample_table.h. */
#include "ops/image/sample_table.h"

#include <math.h>

static int64_t sample_axis_taps(enum sample_mode mode) {
  return mode == SAMPLE_NEAREST ? 1 : mode == SAMPLE_LINEAR ? 2 : 4;
}

int64_t sample_taps(const sample_space *space) {
  int64_t taps = 1;
  for (int d = 0; d < space->axes; d++) taps *= sample_axis_taps(space->mode);
  return taps;
}

int64_t sample_block(const sample_space *space) {
  const int64_t taps = sample_taps(space), points = 4096 / taps;
  return points > 512 ? 512 : points < 16 ? 16 : points;
}

bool sample_fits_floats(const sample_space *space) {
  int64_t elements = 1;
  for (int d = 0; d < space->axes; d++) {
    if (space->sizes[d] > 0 && elements > INT32_MAX / 2 / space->sizes[d]) return false;
    elements *= space->sizes[d] > 0 ? space->sizes[d] : 1;
  }
  return true;
}

void sample_points_f64(double *y, const double *x, const int64_t *offsets, const double *weights, int64_t taps,
                       int64_t count) {
  for (int64_t i = 0; i < count; i++) y[i] = 0;
  for (int64_t t = 0; t < taps; t++) {
    const int64_t *offset = offsets + t * count;
    const double *weight = weights + t * count;
    for (int64_t i = 0; i < count; i++) y[i] += offset[i] >= 0 ? weight[i] * x[offset[i]] : 0;
  }
}

static float sample_remainder_f32(float a, float b) {
  return fmodf(a, b);
}

static float sample_round_f32(float a) {
  return rintf(a);
}

static double sample_remainder_f64(double a, double b) {
  return fmod(a, b);
}

static double sample_round_f64(double a) {
  return rint(a);
}

#define REAL         float
#define INDEX        int32_t
#define SAMPLE(name) sample_##name##_f32
#include "ops/image/sample_table_template.h"

#define REAL         double
#define INDEX        int64_t
#define SAMPLE(name) sample_##name##_f64
#include "ops/image/sample_table_template.h"
