/* See ops/signal/fourier.h: transforms of signals in lanes. Long ones are in fourier_square.c. */
#include "ops/half.h"
#include "ops/signal/fourier_parts.h"
#include "ops/work.h"

static int64_t fourier_offset_in(const fourier_job *job, int64_t signal) {
  return signal / job->group * job->major_in + signal % job->group * job->minor_in;
}

static int64_t fourier_offset_out(const fourier_job *job, int64_t signal) {
  return signal / job->group * job->major_out + signal % job->group * job->minor_out;
}

/* What a worker has for a block of signals. Rows are of float or double. */
typedef struct fourier_block {
  const fourier_work *work;
  const struct kernel_table *kernels;
  int64_t first, count; /* signals */
  size_t row_bytes;
  char *x, *y;   /* rows */
  float *floats; /* rows of float, which become double ones or come from there */
  float *lines;  /* signals of half precision */
} fourier_block;

/* Whether signals follow each other at equal distances, and elements without gaps. */
static bool fourier_is_regular(const fourier_block *block, bool in, int64_t *distance) {
  const fourier_job *job = block->work->job;
  int64_t (*offset)(const fourier_job *, int64_t) = in ? fourier_offset_in : fourier_offset_out;
  if (in ? job->step_in != job->components_in : job->step_out != job->components_out) return false;
  *distance = block->count > 1 ? offset(job, block->first + 1) - offset(job, block->first) : 0;
  for (int64_t s = 1; s < block->count; s++) {
    if (offset(job, block->first + s) - offset(job, block->first + s - 1) != *distance) return false;
  }
  return *distance >= 0;
}

/* ---------------------------------------------------------------------------------------------------------- loading */

/* The first `count` scalars of the signals become rows of float, side by side. */
static void fourier_load_floats(const fourier_block *block, float *rows, size_t count, int64_t distance) {
  const fourier_job *job = block->work->job;
  const size_t lanes = block->work->fourier->lanes;
  const int64_t first = fourier_offset_in(job, block->first);
  const void *from = (const float *)job->input + first;
  size_t stride = (size_t)distance;
  if (is_half(job->type)) {
    for (int64_t s = 0; s < block->count; s++) {
      half_to_float(block->kernels, job->type, block->lines + (size_t)s * count,
                    (const uint16_t *)job->input + first + s * distance, (int64_t)count);
    }
    from = block->lines;
    stride = count;
  }
  if (block->count < (int64_t)lanes) memset(rows, 0, count * lanes * sizeof *rows);
  block->kernels->transpose_32(rows, lanes, from, stride, (size_t)block->count, count);
}

/* Scalars of signals that do not lie like that, or of double. */
static void fourier_load_scalars(const fourier_block *block, size_t elements, size_t rows) {
  const fourier *fourier = block->work->fourier;
  const fourier_job *job = block->work->job;
  const size_t lanes = fourier->lanes, components = (size_t)job->components_in;
  for (size_t s = 0; s < lanes; s++) {
    const int64_t offset = fourier_offset_in(job, block->first + ((int64_t)s < block->count ? (int64_t)s : 0));
    for (size_t i = 0; i < elements; i++) {
      for (size_t c = 0; c < components; c++) {
        const int64_t from = offset + (int64_t)i * job->step_in + (int64_t)c;
        const size_t to = (i * rows + c) * lanes + s;
        if (job->type == NORMA_DOUBLE)
          ((double *)(void *)block->x)[to] = ((const double *)job->input)[from];
        else if (fourier->single)
          ((float *)(void *)block->x)[to] = (float)element_get_double(job->type, job->input, from);
        else
          ((double *)(void *)block->x)[to] = element_get_double(job->type, job->input, from);
      }
    }
  }
}

static void fourier_load_regular(const fourier_block *block, size_t elements, size_t rows, int64_t distance) {
  const fourier *fourier = block->work->fourier;
  const size_t components = (size_t)block->work->job->components_in, lanes = fourier->lanes;
  const bool direct = fourier->single && components == rows;
  float *floats = direct ? (float *)(void *)block->x : block->floats;
  fourier_load_floats(block, floats, elements * components, distance);
  if (direct) return;
  if (components == rows) {
    block->kernels->fft_widen_f32((double *)(void *)block->x, floats, elements * rows);
    return;
  }
  for (size_t i = 0; i < elements; i++) { /* real elements as complex ones */
    char *to = block->x + i * rows * block->row_bytes;
    if (fourier->single)
      memcpy(to, floats + i * lanes, block->row_bytes);
    else
      block->kernels->fft_widen_f32((double *)(void *)to, floats + i * lanes, 1);
    memset(to + block->row_bytes, 0, block->row_bytes);
  }
}

static void fourier_apply_window(const fourier_block *block, size_t elements, size_t rows) {
  const fourier *fourier = block->work->fourier;
  const fourier_job *job = block->work->job;
  if (fourier->single && rows == 1) {
    block->kernels->fft_scale_rows_f32((float *)(void *)block->x, job->window, elements);
    return;
  }
  for (size_t i = 0; i < elements * rows; i++) {
    void *row = block->x + i * block->row_bytes;
    const float *narrow = (const float *)job->window + i / rows;
    const double wide = job->type == NORMA_DOUBLE ? ((const double *)job->window)[i / rows]
                        : fourier->single         ? 0
                                                  : (double)*narrow;
    if (fourier->single)
      block->kernels->fft_scale_rows_f32(row, narrow, 1);
    else
      block->kernels->fft_scale_rows_f64(row, &wide, 1);
  }
}

/* Elements into rows of block->x: one row each where pairs of real ones are complex, else two. */
static void fourier_load(const fourier_block *block) {
  const fourier *fourier = block->work->fourier;
  const fourier_job *job = block->work->job;
  const bool paired = fourier->domain == FOURIER_FROM_REAL && fourier->halved;
  const int64_t needed = fourier->domain == FOURIER_TO_REAL ? fourier->length / 2 + 1 : fourier->length;
  const size_t elements = (size_t)(job->available < needed ? job->available : needed), rows = paired ? 1 : 2;
  int64_t distance;
  if (job->type != NORMA_DOUBLE && fourier_is_regular(block, true, &distance)) {
    fourier_load_regular(block, elements, rows, distance);
  } else {
    if ((size_t)job->components_in < rows) memset(block->x, 0, elements * rows * block->row_bytes);
    fourier_load_scalars(block, elements, rows);
  }
  const size_t filled = elements * rows, wanted = (size_t)needed * rows;
  memset(block->x + filled * block->row_bytes, 0, (wanted - filled) * block->row_bytes);
  if (job->window) fourier_apply_window(block, elements, rows);
}

/* -------------------------------------------------------------------------------------------------------- transform */

static char *fourier_other(const fourier_block *block, const void *rows) {
  return rows == block->x ? block->y : block->x;
}

/* A convolution with the chirp; rows of double. */
static char *fourier_convolve(const fourier_block *block, char *rows) {
  const fourier *fourier = block->work->fourier;
  const struct kernel_table *kernels = block->kernels;
  const double *tables = block->work->tables;
  const size_t points = (size_t)fourier->points, size = (size_t)fourier->size;
  struct fft_f64 fft = fourier->first;
  double *x = (double *)(void *)rows;
  fft.twiddles = tables + fourier->first_at;
  kernels->fft_scale_f64(x, x, tables + fourier->chirp_at, points, fourier->inverse);
  memset(rows + points * 2 * block->row_bytes, 0, (size - points) * 2 * block->row_bytes);
  x = kernels->fft_f64(&fft, x, (double *)(void *)fourier_other(block, x), false);
  kernels->fft_scale_f64(x, x, tables + fourier->spectrum_at, size, fourier->inverse);
  x = kernels->fft_f64(&fft, x, (double *)(void *)fourier_other(block, x), true);
  kernels->fft_scale_f64(x, x, tables + fourier->chirp_at, points, fourier->inverse);
  return (char *)x;
}

/* The transform of `points` complex rows; which of both buffers holds it. */
static char *fourier_transform(const fourier_block *block, char *rows) {
  const fourier *fourier = block->work->fourier;
  void *other = fourier_other(block, rows), *x = rows;
  if (fourier->chirps) return fourier_convolve(block, rows);
  struct fft_f64 wide = fourier->first;
  wide.twiddles = (const double *)block->work->tables + fourier->first_at;
  if (!fourier->single) return (char *)block->kernels->fft_f64(&wide, x, other, fourier->inverse);
  struct fft_f32 narrow = {.n = wide.n, .factor_count = wide.factor_count};
  memcpy(narrow.factors, wide.factors, sizeof wide.factors);
  narrow.twiddles = (const float *)block->work->tables + fourier->first_at;
  return (char *)block->kernels->fft_f32(&narrow, x, other, fourier->inverse);
}

/* Complex row `to` becomes the conjugate of row `from`. */
static void fourier_conjugate(const fourier_block *block, char *rows, int64_t to, int64_t from) {
  const size_t lanes = block->work->fourier->lanes;
  char *y = rows + (size_t)to * 2 * block->row_bytes;
  memcpy(y, rows + (size_t)from * 2 * block->row_bytes, 2 * block->row_bytes);
  void *imaginary = y + block->row_bytes;
  for (size_t i = 0; i < lanes && block->work->fourier->single; i++) ((float *)imaginary)[i] = -((float *)imaginary)[i];
  for (size_t i = 0; i < lanes && !block->work->fourier->single; i++)
    ((double *)imaginary)[i] = -((double *)imaginary)[i];
}

static char *fourier_from_real(const fourier_block *block) {
  const fourier *fourier = block->work->fourier;
  const int64_t length = fourier->length;
  char *x = fourier_transform(block, block->x);
  if (!fourier->halved) return x;
  void *y = fourier_other(block, x), *z = x;
  if (fourier->single)
    block->kernels->fft_split_real_f32(y, z, (const float *)block->work->tables + fourier->split_at,
                                       (size_t)fourier->points);
  else
    block->kernels->fft_split_real_f64(y, z, (const double *)block->work->tables + fourier->split_at,
                                       (size_t)fourier->points);
  for (int64_t k = length / 2 + 1; k < block->work->job->outputs; k++) fourier_conjugate(block, y, k, length - k);
  return y;
}

static char *fourier_to_real(const fourier_block *block) {
  const fourier *fourier = block->work->fourier;
  const int64_t length = fourier->length;
  void *x = block->x, *z = block->y;
  if (fourier->halved) {
    if (fourier->single)
      block->kernels->fft_join_real_f32(z, x, (const float *)block->work->tables + fourier->split_at,
                                        (size_t)fourier->points);
    else
      block->kernels->fft_join_real_f64(z, x, (const double *)block->work->tables + fourier->split_at,
                                        (size_t)fourier->points);
    return fourier_transform(block, z);
  }
  memset(block->x + block->row_bytes, 0, block->row_bytes);
  for (int64_t k = length / 2 + 1; k < length; k++) fourier_conjugate(block, block->x, k, length - k);
  char *y = fourier_transform(block, block->x);
  for (size_t k = 1; k < (size_t)length; k++)
    memcpy(y + k * block->row_bytes, y + 2 * k * block->row_bytes, block->row_bytes);
  return y;
}

/* From the loaded rows to those of the outputs: two for each where they are complex, else one. */
static char *fourier_transform_block(const fourier_block *block) {
  switch (block->work->fourier->domain) {
  case FOURIER_FROM_REAL:
    return fourier_from_real(block);
  case FOURIER_TO_REAL:
    return fourier_to_real(block);
  default:
    return fourier_transform(block, block->x);
  }
}

/* ---------------------------------------------------------------------------------------------------------- storing */

/* Rows of float to signals that lie regularly. */
static void fourier_store_floats(const fourier_block *block, const float *rows, int64_t distance) {
  const fourier_job *job = block->work->job;
  const size_t lanes = block->work->fourier->lanes, count = (size_t)(job->outputs * job->components_out);
  const int64_t first = fourier_offset_out(job, block->first);
  const bool half = is_half(job->type);
  float *to = half ? block->lines : (float *)job->output + first;
  block->kernels->transpose_32(to, half ? count : (size_t)distance, rows, lanes, count, (size_t)block->count);
  for (int64_t s = 0; s < block->count && half; s++) {
    half_from_float(block->kernels, job->type, (uint16_t *)job->output + first + s * distance,
                    block->lines + (size_t)s * count, (int64_t)count);
  }
}

static void fourier_store_scalars(const fourier_block *block, const void *rows) {
  const fourier *fourier = block->work->fourier;
  const fourier_job *job = block->work->job;
  const size_t lanes = fourier->lanes, components = (size_t)job->components_out;
  for (size_t s = 0; s < (size_t)block->count; s++) {
    const int64_t offset = fourier_offset_out(job, block->first + (int64_t)s);
    for (size_t i = 0; i < (size_t)job->outputs; i++) {
      for (size_t c = 0; c < components; c++) {
        const size_t from = (i * components + c) * lanes + s;
        const int64_t to = offset + (int64_t)i * job->step_out + (int64_t)c;
        if (job->type == NORMA_DOUBLE)
          ((double *)job->output)[to] = ((const double *)rows)[from];
        else
          element_set_double(job->type, job->output, to,
                             fourier->single ? (double)((const float *)rows)[from] : ((const double *)rows)[from]);
      }
    }
  }
}

static void fourier_store(const fourier_block *block, void *rows) {
  const fourier *fourier = block->work->fourier;
  const fourier_job *job = block->work->job;
  const struct kernel_table *kernels = block->kernels;
  const size_t count = (size_t)(job->outputs * job->components_out), elements = count * fourier->lanes;
  int64_t distance;
  if (fourier->single) {
    if (job->scale != 1) kernels->binary_right_scalar_f32[BINARY_MUL](rows, rows, (float)job->scale, elements);
  } else if (job->scale != 1) {
    for (size_t i = 0; i < elements; i++) ((double *)rows)[i] *= job->scale;
  }
  if (job->type == NORMA_DOUBLE || !fourier_is_regular(block, false, &distance)) {
    fourier_store_scalars(block, rows);
  } else if (fourier->single) {
    fourier_store_floats(block, rows, distance);
  } else {
    kernels->fft_narrow_f32(block->floats, rows, count);
    fourier_store_floats(block, block->floats, distance);
  }
}

static void fourier_blocks_body(void *argument, int64_t begin, int64_t end, int worker) {
  const fourier_work *work = argument;
  const fourier *fourier = work->fourier;
  char *scratch = run_worker_scratch(work->context, worker);
  const int64_t lanes = (int64_t)fourier->lanes;
  for (int64_t i = begin; i < end; i++) {
    const int64_t left = work->job->signals - i * lanes;
    const fourier_block block = {.work = work,
                                 .kernels = work->context->kernels,
                                 .first = i * lanes,
                                 .count = left < lanes ? left : lanes,
                                 .row_bytes = fourier->lanes * fourier->element_bytes,
                                 .x = scratch + fourier->x_at,
                                 .y = scratch + fourier->y_at,
                                 .floats = (float *)(scratch + fourier->floats_at),
                                 .lines = (float *)(scratch + fourier->lines_at)};
    fourier_load(&block);
    fourier_store(&block, fourier_transform_block(&block));
  }
}

norma_status fourier_run(run_context *context, const fourier *fourier, const fourier_job *job) {
  fourier_work work = {.context = context, .fourier = fourier, .job = job, .tables = fourier->packed};
  if (job->signals == 0 || job->outputs == 0) return NORMA_OK;
  if (!work.tables) {
    void *tables = (char *)context->scratch + fourier->tables_at;
    fourier_fill_tables(fourier, tables);
    work.tables = tables;
  }
  if (fourier->is_square) return fourier_run_squares(&work);
  const double points = (double)fourier->size * (fourier->chirps ? 2 : 1);
  return run_parallel(context, divide_up(job->signals, (int64_t)fourier->lanes),
                      work_grain(5 * points * (8 + (double)fourier->first.factor_count)), fourier_blocks_body, &work);
}
