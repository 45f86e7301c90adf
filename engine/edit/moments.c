#include "engine/edit/moments.h"

#include "engine/base/element_type.h"
#include "ops/kernels/kernel_table.h"
#include "engine/base/status.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

void moments_init(moments *moments, memory *memory, int64_t channels) {
  memset(moments, 0, sizeof *moments);
  moments->memory = memory;
  moments->channels = channels;
}

void moments_free(moments *moments) {
  for (int i = 0; i < MOMENTS_LEVELS; i++) {
    if (moments->levels[i].mean) memory_free(moments->memory, moments->levels[i].mean);
  }
  memset(moments, 0, sizeof *moments);
}

void moments_reset(moments *moments) {
  for (int i = 0; i < MOMENTS_LEVELS; i++) moments->levels[i].count = 0;
  moments->samples = 0;
}

norma_status moments_reserve(moments *moments, uint64_t more, norma_error *error) {
  uint64_t last = moments->samples + more;
  if (last < more || last >> (MOMENTS_LEVELS - 2)) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "more samples than moments can hold");
  }
  size_t bytes;
  if (!size_multiply((size_t)moments->channels, 2 * sizeof(double), &bytes)) bytes = SIZE_MAX / 2;
  for (int i = 0; i == 0 || last >> (i - 1); i++) {
    moments_group *level = &moments->levels[i];
    if (level->mean) continue;
    level->mean = memory_allocate(moments->memory, bytes);
    if (!level->mean) return memory_error(moments->memory, bytes, error);
    level->squares = level->mean + moments->channels;
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------- one sample */

#define MOMENTS_BLOCK 512

static void measure_doubles(norma_element_type type, const void *data, int64_t first, int64_t count, double *mean,
                            double *squares) {
  double values[MOMENTS_BLOCK], sum = 0, deviations = 0;
  for (int64_t done = 0; done < count; done += MOMENTS_BLOCK) {
    int64_t length = count - done < MOMENTS_BLOCK ? count - done : MOMENTS_BLOCK;
    double part = 0; /* by blocks, so that rounding errors do not pile up */
    elements_to_double(type, data, first + done, length, values);
    for (int64_t i = 0; i < length; i++) part += values[i];
    sum += part;
  }
  *mean = sum / (double)count;
  for (int64_t done = 0; done < count; done += MOMENTS_BLOCK) {
    int64_t length = count - done < MOMENTS_BLOCK ? count - done : MOMENTS_BLOCK;
    double part = 0;
    elements_to_double(type, data, first + done, length, values);
    for (int64_t i = 0; i < length; i++) part += (values[i] - *mean) * (values[i] - *mean);
    deviations += part;
  }
  *squares = deviations;
}

#define ELEMENTS_PER_POLL ((int64_t)1 << 18)

typedef struct moments_work {
  moments *moments;
  const struct kernel_table *kernels;
  const norma_tensor *tensor;
  int64_t rows, inner, grain;
  double *means, *squares; /* rows x channels */
  bool *bad;               /* by piece: an element is not finite */
} moments_work;

static void measure(const moments_work *work, int64_t row, int64_t channel, double *mean, double *squares) {
  int64_t first = (row * work->moments->channels + channel) * work->inner;
  const norma_tensor *tensor = work->tensor;
  if (tensor->type == NORMA_FLOAT && work->inner == 1) {
    *mean = ((const float *)tensor->data)[first];
    *squares = 0;
  } else if (tensor->type == NORMA_FLOAT) {
    const float *x = (const float *)tensor->data + first;
    *mean = work->kernels->sum_f32_to_f64(x, (size_t)work->inner) / (double)work->inner;
    *squares = work->kernels->sum_squared_deviations_f32(x, (size_t)work->inner, *mean);
  } else {
    measure_doubles(tensor->type, tensor->data, first, work->inner, mean, squares);
  }
}

/* ------------------------------------------------------------------------------------------------------ all samples */

/* Adds one sample of one channel: it is carried upwards past all levels that are filled. `counts` are those of the
 * levels now; the filled ones follow from `samples`. */
static void carry(moments *moments, uint64_t samples, const double *counts, double count, int64_t channel, double mean,
                  double squares) {
  int level = 0;
  for (; samples >> level & 1; level++) {
    double below_mean = moments->levels[level].mean[channel], below_squares = moments->levels[level].squares[channel];
    moments_join(counts[level], &below_mean, &below_squares, count, mean, squares);
    mean = below_mean;
    squares = below_squares;
    count += counts[level];
  }
  moments->levels[level].mean[channel] = mean;
  moments->levels[level].squares[channel] = squares;
}

/* The counts of the levels after one more sample. */
static void carry_counts(uint64_t samples, double *counts, double count) {
  int level = 0;
  for (; samples >> level & 1; level++) {
    count += counts[level];
    counts[level] = 0;
  }
  counts[level] = count;
}

static void channel_range(const moments_work *work, size_t piece, int64_t *begin, int64_t *end) {
  *begin = (int64_t)piece * work->grain;
  *end = *begin + work->grain < work->moments->channels ? *begin + work->grain : work->moments->channels;
}

/* All samples are measured before any is added, so that a failure leaves the moments as they were. */
static void measure_piece(void *argument, size_t piece, int worker) {
  const moments_work *work = argument;
  int64_t begin, end, unasked = ELEMENTS_PER_POLL;
  (void)worker;
  channel_range(work, piece, &begin, &end);
  for (int64_t row = 0; row < work->rows; row++) {
    for (int64_t c = begin; c < end; c++) {
      int64_t at = row * work->moments->channels + c;
      unasked += work->inner;
      if (unasked >= ELEMENTS_PER_POLL) {
        if (interruption_reason(work->moments->interruption) != NORMA_OK) return;
        unasked = 0;
      }
      measure(work, row, c, &work->means[at], &work->squares[at]);
      if (!isfinite(work->means[at]) || !isfinite(work->squares[at])) work->bad[piece] = true;
    }
  }
}

static void add_piece(void *argument, size_t piece, int worker) {
  const moments_work *work = argument;
  moments *moments = work->moments;
  uint64_t samples = moments->samples;
  double counts[MOMENTS_LEVELS];
  int64_t begin, end;
  (void)worker;
  channel_range(work, piece, &begin, &end);
  for (int i = 0; i < MOMENTS_LEVELS; i++) counts[i] = moments->levels[i].count;
  for (int64_t row = 0; row < work->rows; row++, samples++) {
    for (int64_t c = begin; c < end; c++) {
      int64_t at = row * moments->channels + c;
      carry(moments, samples, counts, (double)work->inner, c, work->means[at], work->squares[at]);
    }
    carry_counts(samples, counts, (double)work->inner);
  }
}

typedef struct piece_loop {
  norma_parallel_body body;
  moments_work *work;
} piece_loop;

static void run_piece_range(void *argument, size_t begin, size_t end, int worker) {
  const piece_loop *loop = argument;
  for (size_t i = begin; i < end; i++) loop->body(loop->work, i, worker);
}

static void run_pieces(const norma_runtime *runtime, size_t count, norma_parallel_body body, moments_work *work) {
  if (runtime && runtime->parallel) {
    runtime->parallel(runtime->parallel_context, count, body, work);
  } else if (runtime && runtime->pool && thread_pool_enter(runtime->pool)) {
    piece_loop loop = {body, work};
    thread_pool_run(runtime->pool, count, run_piece_range, &loop);
    thread_pool_leave(runtime->pool);
  } else {
    for (size_t i = 0; i < count; i++) body(work, i, 0);
  }
}

static norma_status check_tensor(const moments *moments, const norma_tensor *tensor, int64_t rows, int64_t *inner,
                                 norma_error *error) {
  if (!(TYPES_FLOAT & TYPE_BIT(tensor->type))) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "moments of elements of type %s cannot be gathered",
                     norma_element_type_name(tensor->type));
  }
  int64_t per_row = tensor->rank > 0 ? dims_product(tensor->dims, 1, tensor->rank) : 0;
  if (tensor->rank < 1 || rows < 0 || rows > tensor->dims[0] || moments->channels < 1 ||
      per_row % moments->channels != 0) {
    char text[200];
    shape shape = shape_of_tensor(tensor);
    return error_set(error, NORMA_ERROR_ARGUMENT, "a tensor of shape %s has no %" PRId64 " channels",
                     shape_text(&shape, text, sizeof text), moments->channels);
  }
  *inner = per_row / moments->channels;
  return NORMA_OK;
}

norma_status moments_add(moments *moments, const norma_runtime *runtime, const norma_tensor *tensor, int64_t rows,
                         norma_error *error) {
  moments_work work = {.moments = moments, .tensor = tensor, .rows = rows};
  TRY(check_tensor(moments, tensor, rows, &work.inner, error));
  if (rows == 0 || work.inner == 0) return NORMA_OK;
  TRY(moments_reserve(moments, (uint64_t)rows, error));
  work.kernels = runtime ? runtime->kernels : kernel_table_default();
  int64_t pieces = runtime ? 4 * (int64_t)runtime->workers : 1;
  work.grain = (moments->channels + pieces - 1) / pieces;
  size_t count = (size_t)((moments->channels + work.grain - 1) / work.grain);
  size_t cells = (size_t)rows * (size_t)moments->channels; /* fits: the tensor has as many elements */
  size_t bytes = cells * 2 * sizeof(double) + count;
  work.means = memory_allocate(moments->memory, bytes);
  if (!work.means) return memory_error(moments->memory, bytes, error);
  work.squares = work.means + cells;
  work.bad = (bool *)(work.squares + cells);
  memset(work.bad, 0, count);
  run_pieces(runtime, count, measure_piece, &work);
  bool bad = memchr(work.bad, 1, count) != NULL;
  const norma_status status = interruption_poll(moments->interruption, error);
  if (!bad && status == NORMA_OK) run_pieces(runtime, count, add_piece, &work);
  memory_free(moments->memory, work.means);
  if (status != NORMA_OK) return status;
  if (bad) return error_set(error, NORMA_ERROR_RUN, "an element is NaN or infinite");
  double counts[MOMENTS_LEVELS];
  for (int i = 0; i < MOMENTS_LEVELS; i++) counts[i] = moments->levels[i].count;
  for (int64_t row = 0; row < rows; row++) carry_counts(moments->samples++, counts, (double)work.inner);
  for (int i = 0; i < MOMENTS_LEVELS; i++) moments->levels[i].count = counts[i];
  return NORMA_OK;
}

norma_status moments_add_group(moments *moments, double count, const double *mean, const double *squares,
                               norma_error *error) {
  double counts[MOMENTS_LEVELS];
  if (count == 0) return NORMA_OK;
  TRY(moments_reserve(moments, 1, error));
  for (int i = 0; i < MOMENTS_LEVELS; i++) counts[i] = moments->levels[i].count;
  for (int64_t c = 0; c < moments->channels; c++) {
    carry(moments, moments->samples, counts, count, c, mean[c], squares[c]);
  }
  carry_counts(moments->samples++, counts, count);
  for (int i = 0; i < MOMENTS_LEVELS; i++) moments->levels[i].count = counts[i];
  return NORMA_OK;
}

norma_status moments_merge(moments *moments, const struct moments *other, norma_error *error) {
  for (int i = MOMENTS_LEVELS - 1; i >= 0; i--) {
    const moments_group *group = &other->levels[i];
    if (group->count > 0) TRY(moments_add_group(moments, group->count, group->mean, group->squares, error));
  }
  return NORMA_OK;
}

double moments_total(const moments *moments, double *mean, double *squares) {
  double count = 0;
  for (int64_t c = 0; c < moments->channels; c++) mean[c] = squares[c] = 0;
  for (int i = 0; i < MOMENTS_LEVELS; i++) { /* small groups first */
    const moments_group *group = &moments->levels[i];
    if (group->count == 0) continue;
    for (int64_t c = 0; c < moments->channels; c++) {
      moments_join(count, &mean[c], &squares[c], group->count, group->mean[c], group->squares[c]);
    }
    count += group->count;
  }
  return count;
}

/* ------------------------------------------------------------------------------------------------------------ drift */

double moments_mean_drift(double stored_mean, double stored_variance, double mean) {
  return stored_variance > 0 ? fabs(mean - stored_mean) / sqrt(stored_variance)
                             : (mean == stored_mean ? 0 : (double)INFINITY);
}

double moments_divergence(double mean_p, double variance_p, double mean_q, double variance_q) {
  if (!(variance_p > 0) || !(variance_q > 0)) {
    return mean_p == mean_q && variance_p == variance_q ? 0 : (double)INFINITY;
  }
  double difference = mean_p - mean_q, ratio = variance_p / variance_q;
  double excess = ratio - 1; /* ratio + 1/ratio - 2, without its cancellation */
  return (excess * excess / ratio + difference * difference * (1 / variance_p + 1 / variance_q)) / 2;
}
