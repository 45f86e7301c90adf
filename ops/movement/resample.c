/* See ops/movement/resize.h. */
#include "ops/movement/resize.h"
#include "ops/strided.h"

#include <math.h>

/* ----------------------------------------------------------------------------------------------------------- tables */

/* Where output coordinate `x` of a crop lies, in float; NaN where that is outside. */
static double crop_coordinate(const resize_axis *axis, float x) {
  const float last = (float)axis->input - 1, start = (float)axis->roi_start, end = (float)axis->roi_end;
  const float at = axis->output > 1 ? start * last + x * (end - start) * last / ((float)axis->output - 1)
                                    : 0.5f * (start + end) * last;
  return at < 0 || at > last ? (double)NAN : (double)at;
}

/* Where output coordinate `x` lies in the input; NaN where that is outside a crop, which is decided in float, as
 * onnxruntime does. */
static double source_coordinate(enum resize_coordinates coordinates, const resize_axis *axis, double x) {
  const double input = (double)axis->input;
  switch (coordinates) {
  case COORDINATES_HALF_PIXEL:
    return (x + 0.5) / axis->scale - 0.5;
  case COORDINATES_HALF_PIXEL_SYMMETRIC:
    return input / 2 * (1 - (double)axis->output / axis->width) + (x + 0.5) / axis->scale - 0.5;
  case COORDINATES_PYTORCH_HALF_PIXEL:
    return axis->output > 1 ? (x + 0.5) / axis->scale - 0.5 : 0;
  case COORDINATES_ALIGN_CORNERS:
    return axis->output > 1 && axis->width != 1 ? x * (input - 1) / (axis->width - 1) : 0;
  case COORDINATES_ASYMMETRIC:
    return x / axis->scale;
  case COORDINATES_HALF_PIXEL_FOR_NEAREST:
    return (x + 0.5) / axis->scale;
  default:
    break;
  }
  if (isnan(crop_coordinate(axis, (float)x))) return (double)NAN;
  const double extent = (axis->roi_end - axis->roi_start) * (input - 1), start = axis->roi_start * (input - 1);
  return axis->output > 1 ? start + x * extent / ((double)axis->output - 1)
                          : 0.5 * (axis->roi_start + axis->roi_end) * (input - 1);
}

/* The same for nearest neighbours: in float, so that with a scale of 0.2, which float holds as a little more, output 3
 * lies at 15 and not just before. */
static double nearest_coordinate(enum resize_coordinates coordinates, const resize_axis *axis, float x) {
  const float input = (float)axis->input, scale = (float)axis->scale;
  const float center = (x + 0.5f) / scale;
  switch (coordinates) {
  case COORDINATES_HALF_PIXEL:
    return (double)(center - 0.5f);
  case COORDINATES_HALF_PIXEL_SYMMETRIC: {
    const float offset = input / 2 * (1 - (float)axis->output / (scale * input));
    return (double)(float)((double)offset + ((double)x + 0.5) / (double)scale - 0.5);
  }
  case COORDINATES_PYTORCH_HALF_PIXEL:
    return axis->output > 1 ? (double)(center - 0.5f) : 0;
  case COORDINATES_ALIGN_CORNERS:
    return axis->output > 1 && axis->width != 1 ? (double)(x * (input - 1) / ((float)axis->width - 1)) : 0;
  case COORDINATES_ASYMMETRIC:
    return (double)(x / scale);
  case COORDINATES_HALF_PIXEL_FOR_NEAREST:
    return (double)center;
  default:
    return crop_coordinate(axis, x);
  }
}

#define NEAREST_TIE 1e-6 /* closer than this to the middle of two neighbours counts as the middle */

static int64_t nearest(enum resize_rounding rounding, double at, int64_t size) {
  const double middle = floor(at) + 0.5;
  double whole = at;
  if (fabs(at - middle) < NEAREST_TIE) at = middle;
  if (rounding == ROUND_PREFER_FLOOR) whole = ceil(at - 0.5);
  if (rounding == ROUND_PREFER_CEIL) whole = floor(at + 0.5);
  if (rounding == ROUND_FLOOR) whole = floor(at);
  if (rounding == ROUND_CEIL) whole = ceil(at);
  if (!(whole > 0)) return 0;
  return whole >= (double)size ? size - 1 : (int64_t)whole;
}

/* How much the filter is stretched: 1 / this. */
static double filter_scale(const resize_rules *rules, double scale) {
  return rules->antialias && scale < 1 ? scale : 1;
}

static double filter(const resize_rules *rules, double x) {
  const double a = rules->cubic_a;
  x = fabs(x);
  if (rules->mode == RESIZE_LINEAR) return x < 1 ? 1 - x : 0;
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

bool resize_taps(const resize_rules *rules, double scale, int *taps) {
  *taps = 1;
  if (rules->mode == RESIZE_NEAREST) return true;
  const double radius = (rules->mode == RESIZE_LINEAR ? 1 : 2) / filter_scale(rules, scale);
  if (!(radius < 1 << 24)) return false;
  *taps = 2 * (int)ceil(radius); /* floor(-radius) + 1 is the first one, relative to the coordinate left of x */
  return true;
}

bool resize_table_bytes(const resize_rules *rules, int64_t output, int taps, size_t *bytes) {
  size_t weights = 0;
  if (!size_multiply((size_t)output, sizeof(int64_t), bytes)) return false;
  if (rules->mode != RESIZE_NEAREST && (!size_multiply((size_t)output, (size_t)taps, &weights) ||
                                        !size_multiply(weights, sizeof(double) + sizeof(float), &weights))) {
    return false;
  }
  if (!size_add(*bytes, weights, bytes) || *bytes > SIZE_MAX / 2) return false;
  *bytes = size_align(*bytes, MEMORY_ALIGNMENT);
  return true;
}

static void fill_weights(const resize_rules *rules, const resize_axis *axis, double at, int64_t output) {
  const double scale = filter_scale(rules, axis->scale);
  const double left = ceil(at) - 1, ratio = at - left; /* 0 < ratio <= 1 */
  const int first = 1 - axis->taps / 2;
  double *weights = axis->weights + output * axis->taps;
  const int64_t begin = (int64_t)left + first;
  double sum = 0;
  axis->first[output] = begin;
  for (int k = 0; k < axis->taps; k++) {
    const bool outside = begin + k < 0 || begin + k >= axis->input;
    if (!outside || !rules->exclude_outside) sum += filter(rules, scale * ((double)(first + k) - ratio));
  }
  const double divisor = sum != 0 && (rules->exclude_outside || scale < 1) ? sum : 1;
  for (int k = 0; k < axis->taps; k++) {
    const bool outside = begin + k < 0 || begin + k >= axis->input;
    const double weight = filter(rules, scale * ((double)(first + k) - ratio)) / divisor;
    weights[k] = outside && rules->exclude_outside ? 0 : weight;
    axis->float_weights[output * axis->taps + k] = (float)weights[k];
  }
}

void resize_fill_table(const resize_rules *rules, resize_axis *axis, void *block) {
  const double far = 4 * (double)axis->input + 4; /* beyond this everything is the edge */
  axis->first = block;
  axis->weights = rules->mode == RESIZE_NEAREST ? NULL : (double *)(axis->first + axis->output);
  axis->float_weights = axis->weights ? (float *)(axis->weights + axis->output * axis->taps) : NULL;
  for (int64_t i = 0; i < axis->output; i++) {
    double at = rules->mode == RESIZE_NEAREST ? nearest_coordinate(rules->coordinates, axis, (float)i)
                                              : source_coordinate(rules->coordinates, axis, (double)i);
    if (rules->coordinates == COORDINATES_CROP_AND_RESIZE && isnan(at)) {
      axis->first[i] = RESIZE_EXTRAPOLATED;
      continue;
    }
    at = at > far ? far : at >= -far ? at : -far; /* NaN too */
    if (rules->mode == RESIZE_NEAREST)
      axis->first[i] = nearest(rules->rounding, at, axis->input);
    else
      fill_weights(rules, axis, at, i);
  }
}

/* ----------------------------------------------------------------------------------------------- nearest neighbours */

typedef struct resample_gather_job {
  const resize_axis *axes;
  int rank;
  int64_t strides[NORMA_MAX_RANK]; /* of the source, in elements */
  const char *source;
  char *target;
  size_t bytes;
  bool doubles; /* the last axis takes each element of 4 bytes twice */
  const void *item;
} resample_gather_job;

typedef uint32_t four_floats __attribute__((vector_size(16), aligned(4), may_alias));

/* Each of `count` elements of 4 bytes twice. */
static void double_row(char *target, const char *source, int64_t count) {
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    const four_floats x = *(const four_floats *)(const void *)(source + 4 * i);
    ((four_floats *)(void *)(target + 8 * i))[0] = (four_floats){x[0], x[0], x[1], x[1]};
    ((four_floats *)(void *)(target + 8 * i))[1] = (four_floats){x[2], x[2], x[3], x[3]};
  }
  for (; i < count; i++) {
    memcpy(target + 8 * i, source + 4 * i, 4);
    memcpy(target + 8 * i + 4, source + 4 * i, 4);
  }
}

static bool doubles(const resize_axis *axis) {
  if (axis->output != 2 * axis->input) return false;
  for (int64_t i = 0; i < axis->output; i++) {
    if (axis->first[i] != i / 2) return false;
  }
  return true;
}

/* Elements of a size that the compiler knows. */
#define GATHER_SIZE(size)                                                                                              \
  case size:                                                                                                           \
    for (int64_t i = 0; i < count; i++) memcpy(target + size * i, source + size * map[i], size);                       \
    return

static void gather_elements(char *target, const char *source, const int64_t *map, int64_t count, size_t bytes) {
  switch (bytes) {
    GATHER_SIZE(4);
    GATHER_SIZE(16);
    GATHER_SIZE(32);
    GATHER_SIZE(64);
  default:
    for (int64_t i = 0; i < count; i++) memcpy(target + (size_t)i * bytes, source + (size_t)map[i] * bytes, bytes);
  }
}

static void gather_row(const resample_gather_job *job, const resize_axis *axis, char *target, const char *source) {
  const int64_t *map = axis->first;
  if (axis->identity) {
    memcpy(target, source, (size_t)axis->output * job->bytes);
  } else if (job->doubles) {
    double_row(target, source, axis->input);
  } else if (map[0] != RESIZE_EXTRAPOLATED && map[axis->output - 1] != RESIZE_EXTRAPOLATED) {
    gather_elements(target, source, map, axis->output, job->bytes);
  } else {
    for (int64_t i = 0; i < axis->output; i++) {
      const void *item = map[i] == RESIZE_EXTRAPOLATED ? job->item : source + (size_t)map[i] * job->bytes;
      memcpy(target + (size_t)i * job->bytes, item, job->bytes);
    }
  }
}

static void resample_gather_body(void *argument, int64_t begin, int64_t end, int worker) {
  const resample_gather_job *job = argument;
  const resize_axis *last = &job->axes[job->rank - 1];
  const size_t row_bytes = (size_t)last->output * job->bytes;
  int64_t previous = -1;
  (void)worker;
  for (int64_t row = begin; row < end; row++) {
    int64_t rest = row, offset = 0;
    bool extrapolated = false;
    for (int i = job->rank - 2; i >= 0; i--) {
      const resize_axis *axis = &job->axes[i];
      const int64_t at = axis->identity ? rest % axis->output : axis->first[rest % axis->output];
      rest /= axis->output;
      if (at == RESIZE_EXTRAPOLATED)
        extrapolated = true;
      else
        offset += at * job->strides[i];
    }
    char *target = job->target + (size_t)row * row_bytes;
    if (extrapolated) {
      strided_fill(target, job->item, job->bytes, last->output);
      previous = -1;
    } else if (offset == previous) { /* the same row again */
      memcpy(target, target - row_bytes, row_bytes);
    } else {
      gather_row(job, last, target, job->source + (size_t)offset * job->bytes);
      previous = offset;
    }
  }
}

/* Dimensions at the end that stay as they are make larger elements, if the value outside a crop is not wanted. */
static int merge_last(const resize_axis *axes, int rank, const void *item, size_t *bytes) {
  for (; !item && rank > 1 && axes[rank - 1].identity; rank--) *bytes *= (size_t)axes[rank - 1].output;
  return rank;
}

norma_status resize_gather(run_context *context, const resize_axis *axes, int rank, const void *source, void *target,
                           size_t bytes, const void *item) {
  resample_gather_job job = {.axes = axes, .source = source, .target = target, .bytes = bytes, .item = item};
  int64_t stride = 1, rows = 1;
  rank = job.rank = merge_last(axes, rank, item, &job.bytes);
  for (int i = rank - 1; i >= 0; i--) {
    job.strides[i] = stride;
    stride *= axes[i].input;
    if (i < rank - 1) rows *= axes[i].output;
  }
  const resize_axis *last = &axes[rank - 1];
  job.doubles = job.bytes == 4 && !last->identity && doubles(last);
  const int64_t length = last->output * (int64_t)(job.bytes / bytes);
  return run_parallel(context, rows, length >= 16384 ? 1 : 16384 / length, resample_gather_body, &job);
}

/* ---------------------------------------------------------------------------------------------------- interpolation */

typedef struct interpolate_job {
  const resize_axis *axis;
  const struct kernel_table *kernels;
  int64_t inner;
  const void *source;
  void *target;
  double extrapolation;
} interpolate_job;

static inline int64_t clamp_coordinate(int64_t at, int64_t size) {
  return at < 0 ? 0 : at >= size ? size - 1 : at;
}

/* How many from `begin` on, of the same outer index, before `end` or what is extrapolated. */
static int64_t count_alike(const resize_axis *axis, int64_t begin, int64_t end) {
  const int64_t o = begin % axis->output, most = axis->output - o < end - begin ? axis->output - o : end - begin;
  int64_t count = 0;
  while (count < most && axis->first[o + count] != RESIZE_EXTRAPOLATED) count++;
  return count;
}

/* A unit of work is one output coordinate of one outer index. */
static void interpolate_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const interpolate_job *job = argument;
  const resize_axis *axis = job->axis;
  (void)worker;
  for (int64_t unit = begin, count; unit < end; unit += count) {
    const int64_t o = unit % axis->output;
    const float *source = (const float *)job->source + unit / axis->output * axis->input * job->inner;
    float *target = (float *)job->target + unit * job->inner;
    count = count_alike(axis, unit, end);
    if (count > 0) {
      job->kernels->interpolate_rows_f32(target, source, (size_t)axis->input, (size_t)job->inner, axis->first + o,
                                         axis->float_weights + o * axis->taps, (size_t)axis->taps, (size_t)count);
    } else {
      for (int64_t j = 0; j < job->inner; j++) target[j] = (float)job->extrapolation;
      count = 1;
    }
  }
}

static void interpolate_rows_f64(void *argument, int64_t begin, int64_t end, int worker) {
  const interpolate_job *job = argument;
  const resize_axis *axis = job->axis;
  (void)worker;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t o = unit % axis->output, first = axis->first[o];
    const double *source = (const double *)job->source + unit / axis->output * axis->input * job->inner;
    double *target = (double *)job->target + unit * job->inner;
    if (first == RESIZE_EXTRAPOLATED) {
      for (int64_t j = 0; j < job->inner; j++) target[j] = job->extrapolation;
      continue;
    }
    for (int k = 0; k < axis->taps; k++) {
      const double *row = source + clamp_coordinate(first + k, axis->input) * job->inner;
      const double weight = axis->weights[o * axis->taps + k];
      for (int64_t j = 0; j < job->inner; j++) target[j] = weight * row[j] + (k > 0 ? target[j] : 0);
    }
  }
}

/* A unit of work of the columns is one outer index. */
#define INTERPOLATE(name, type, table, rows)                                                                           \
  static void name##_columns(void *argument, int64_t begin, int64_t end, int worker) {                                 \
    const interpolate_job *job = argument;                                                                             \
    const resize_axis *axis = job->axis;                                                                               \
    (void)worker;                                                                                                      \
    for (int64_t outer = begin; outer < end; outer++) {                                                                \
      const type *source = (const type *)job->source + outer * axis->input;                                            \
      type *target = (type *)job->target + outer * axis->output;                                                       \
      for (int64_t o = 0; o < axis->output; o++) {                                                                     \
        const int64_t first = axis->first[o];                                                                          \
        const type *weights = axis->table + o * axis->taps;                                                            \
        if (first == RESIZE_EXTRAPOLATED) {                                                                            \
          target[o] = (type)job->extrapolation;                                                                        \
          continue;                                                                                                    \
        }                                                                                                              \
        type sum = 0;                                                                                                  \
        if (axis->taps == 2) {                                                                                         \
          sum = weights[0] * source[clamp_coordinate(first, axis->input)] +                                            \
                weights[1] * source[clamp_coordinate(first + 1, axis->input)];                                         \
        } else if (first >= 0 && first + axis->taps <= axis->input) {                                                  \
          for (int k = 0; k < axis->taps; k++) sum += weights[k] * source[first + k];                                  \
        } else {                                                                                                       \
          for (int k = 0; k < axis->taps; k++) {                                                                       \
            sum += weights[k] * source[clamp_coordinate(first + k, axis->input)];                                      \
          }                                                                                                            \
        }                                                                                                              \
        target[o] = sum;                                                                                               \
      }                                                                                                                \
    }                                                                                                                  \
  }                                                                                                                    \
  norma_status name(run_context *context, const resize_axis *axis, int64_t outer, int64_t inner, const type *source,   \
                    type *target, type extrapolation) {                                                                \
    interpolate_job job = {axis, context->kernels, inner, source, target, (double)extrapolation};                      \
    if (inner == 1) {                                                                                                  \
      const int64_t cost = axis->output * axis->taps;                                                                  \
      return run_parallel(context, outer, cost >= 16384 ? 1 : 16384 / cost, name##_columns, &job);                     \
    }                                                                                                                  \
    const int64_t cost = inner * axis->taps;                                                                           \
    return run_parallel(context, outer * axis->output, cost >= 16384 ? 1 : 16384 / cost, rows, &job);                  \
  }
INTERPOLATE(resize_interpolate, float, float_weights, interpolate_rows)
INTERPOLATE(resize_interpolate_f64, double, weights, interpolate_rows_f64)
