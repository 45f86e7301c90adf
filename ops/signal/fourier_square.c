/*
 * Transforms of long signals, one by one: point j = columns * r + c of the signal stands in row r and column c of a
 * matrix.
 *
 *   1. the columns are transformed, as many at a time as there are lanes,
 *   2. element (k, c) is multiplied by exp(-2 pi i k c / size),
 *   3. the rows are transformed, which gives point k + rows * l of the result in row k and column l.
 *
 * Points lie in two arrays, of real and of imaginary parts. The inverse transform is the transform with both exchanged.
 */
#include "ops/signal/fourier_parts.h"
#include "ops/work.h"

typedef struct square_points {
  double *re, *im;
} square_points;

typedef struct square_job {
  const fourier_work *work;
  const double *tables;
  int64_t signal;
  square_points a, b;
  bool inverse; /* of this transform */
} square_job;

typedef struct square_number {
  double re, im;
} square_number;

static square_number square_times(square_number a, const double *b, bool conjugate) {
  const double im = conjugate ? -b[1] : b[1];
  return (square_number){a.re * b[0] - a.im * im, a.re * im + a.im * b[0]};
}

/* -------------------------------------------------------------------------------------------- the signal's elements */

static double square_scalar(const fourier_job *job, int64_t index) {
  return job->type == NORMA_FLOAT    ? (double)((const float *)job->input)[index]
         : job->type == NORMA_DOUBLE ? ((const double *)job->input)[index]
                                     : element_get_double(job->type, job->input, index);
}

static square_number square_input(const square_job *square, int64_t index) {
  const fourier_job *job = square->work->job;
  if (index >= job->available) return (square_number){0, 0};
  const int64_t signal = square->signal;
  const int64_t at = signal / job->group * job->major_in + signal % job->group * job->minor_in + index * job->step_in;
  const double factor = !job->window                ? 1
                        : job->type == NORMA_DOUBLE ? ((const double *)job->window)[index]
                                                    : (double)((const float *)job->window)[index];
  return (square_number){square_scalar(job, at) * factor,
                         job->components_in == 2 ? square_scalar(job, at + 1) * factor : 0};
}

static void square_output(const square_job *square, int64_t index, square_number y) {
  const fourier_job *job = square->work->job;
  const int64_t signal = square->signal;
  const int64_t at =
      signal / job->group * job->major_out + signal % job->group * job->minor_out + index * job->step_out;
  const double values[2] = {y.re * job->scale, y.im * job->scale};
  for (int c = 0; c < job->components_out; c++) {
    if (job->type == NORMA_FLOAT)
      ((float *)job->output)[at + c] = (float)values[c];
    else
      element_set_double(job->type, job->output, at + c, values[c]);
  }
}

/* Number k of the spectrum that a real signal is made from. */
static square_number square_spectrum(const square_job *square, int64_t k) {
  const fourier *fourier = square->work->fourier;
  square_number x = square_input(square, k);
  if (k == 0 || 2 * k == fourier->length) x.im = 0;
  return x;
}

/* Point `index` of what is transformed. */
static square_number square_point(const square_job *square, int64_t index) {
  const fourier *fourier = square->work->fourier;
  if (fourier->domain == FOURIER_COMPLEX || (fourier->domain == FOURIER_FROM_REAL && !fourier->halved))
    return square_input(square, index);
  if (fourier->domain == FOURIER_FROM_REAL)
    return (square_number){square_input(square, 2 * index).re, square_input(square, 2 * index + 1).re};
  if (!fourier->halved) {
    const bool mirrored = 2 * index > fourier->length;
    square_number x = square_spectrum(square, mirrored ? fourier->length - index : index);
    if (mirrored) x.im = -x.im;
    return x;
  }
  const square_number a = square_spectrum(square, index), b = square_spectrum(square, fourier->points - index);
  const square_number odd = square_times((square_number){0.5 * (a.re - b.re), 0.5 * (a.im + b.im)},
                                         square->tables + fourier->split_at + 2 * index, true);
  return (square_number){0.5 * (a.re + b.re) - odd.im, 0.5 * (a.im - b.im) + odd.re};
}

/* Point `index` of the transform. */
static square_number square_result(const square_job *square, int64_t index) {
  const fourier *fourier = square->work->fourier;
  const square_number y = {square->a.re[index], square->a.im[index]};
  if (!fourier->chirps) return y;
  return square_times(y, square->tables + fourier->chirp_at + 2 * index, fourier->inverse);
}

static square_number square_split(const square_job *square, int64_t k) {
  const fourier *fourier = square->work->fourier;
  const int64_t half = fourier->points;
  const square_number a = square_result(square, k == half ? 0 : k), b = square_result(square, k == 0 ? 0 : half - k);
  const square_number odd = square_times((square_number){0.5 * (a.im + b.im), 0.5 * (b.re - a.re)},
                                         square->tables + fourier->split_at + 2 * k, false);
  return (square_number){0.5 * (a.re + b.re) + odd.re, 0.5 * (a.im - b.im) + odd.im};
}

static void square_load_body(void *argument, int64_t begin, int64_t end, int worker) {
  const square_job *square = argument;
  const fourier *fourier = square->work->fourier;
  const double *chirp = square->tables + fourier->chirp_at;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    square_number x = {0, 0};
    if (i < fourier->points) x = square_point(square, i);
    if (fourier->chirps && i < fourier->points) x = square_times(x, chirp + 2 * i, fourier->inverse);
    square->a.re[i] = x.re;
    square->a.im[i] = x.im;
  }
}

static void square_convolve_body(void *argument, int64_t begin, int64_t end, int worker) {
  const square_job *square = argument;
  const fourier *fourier = square->work->fourier;
  const double *spectrum = square->tables + fourier->spectrum_at;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const square_number x =
        square_times((square_number){square->a.re[i], square->a.im[i]}, spectrum + 2 * i, fourier->inverse);
    square->a.re[i] = x.re;
    square->a.im[i] = x.im;
  }
}

static void square_store_body(void *argument, int64_t begin, int64_t end, int worker) {
  const square_job *square = argument;
  const fourier *fourier = square->work->fourier;
  (void)worker;
  for (int64_t k = begin; k < end; k++) {
    square_number y;
    if (fourier->domain == FOURIER_TO_REAL && fourier->halved) {
      y = square_result(square, k / 2);
      if (k % 2) y.re = y.im;
    } else if (fourier->domain == FOURIER_FROM_REAL && fourier->halved) {
      const bool mirrored = 2 * k > fourier->length;
      y = square_split(square, mirrored ? fourier->length - k : k);
      if (mirrored) y.im = -y.im;
    } else {
      y = square_result(square, k);
    }
    square_output(square, k, y);
  }
}

/* ------------------------------------------------------------------------------------------------------- the matrix */

/* exp(-2 pi i k column / size) for k < rows. */
static void square_turns(const square_job *square, int64_t column, double *turns) {
  const fourier *fourier = square->work->fourier;
  const double *coarse = square->tables + fourier->coarse_at, *fine = square->tables + fourier->fine_at;
  for (int64_t k = 0, angle = 0; k < fourier->rows; k++) {
    const double *f = fine + 2 * (angle % fourier->fine_count);
    const square_number turn =
        square_times((square_number){f[0], f[1]}, coarse + 2 * (angle / fourier->fine_count), false);
    turns[2 * k] = turn.re;
    turns[2 * k + 1] = turn.im;
    angle += column;
    if (angle >= fourier->size) angle -= fourier->size;
  }
}

/* `count` numbers of a row of points from x to the lanes of a row of y. */
static void square_gather(const square_points *x, int64_t at, int64_t count, size_t lanes, double *y) {
  if (count < (int64_t)lanes) memset(y, 0, 2 * lanes * sizeof *y);
  memcpy(y, x->re + at, (size_t)count * sizeof *y);
  memcpy(y + lanes, x->im + at, (size_t)count * sizeof *y);
}

/* Some columns of a, transformed and turned, to rows of b: the matrix is transposed. */
static void square_columns_body(void *argument, int64_t begin, int64_t end, int worker) {
  const square_job *square = argument;
  const fourier *fourier = square->work->fourier;
  const struct kernel_table *kernels = square->work->context->kernels;
  char *scratch = run_worker_scratch(square->work->context, worker);
  double *x = (double *)(scratch + fourier->x_at), *y = (double *)(scratch + fourier->y_at);
  double *turns = (double *)(scratch + fourier->turns_at);
  const int64_t lanes = (int64_t)fourier->lanes, rows = fourier->rows, columns = fourier->columns;
  struct fft_f64 fft = fourier->first;
  fft.twiddles = square->tables + fourier->first_at;
  for (int64_t block = begin; block < end; block++) {
    const int64_t first = block * lanes, count = columns - first < lanes ? columns - first : lanes;
    for (int64_t r = 0; r < rows; r++)
      square_gather(&square->a, r * columns + first, count, fourier->lanes, x + r * 2 * lanes);
    double *result = kernels->fft_f64(&fft, x, y, square->inverse);
    square_turns(square, first, turns);
    kernels->fft_twist_f64(result, turns, square->tables + fourier->vectors_at, (size_t)rows, square->inverse);
    for (int64_t lane = 0; lane < count; lane++) {
      double *re = square->b.re + (first + lane) * rows, *im = square->b.im + (first + lane) * rows;
      for (int64_t k = 0; k < rows; k++) {
        re[k] = result[k * 2 * lanes + lane];
        im[k] = result[k * 2 * lanes + lanes + lane];
      }
    }
  }
}

/* Rows of the matrix, which are columns of b by now, transformed to columns of a. */
static void square_rows_body(void *argument, int64_t begin, int64_t end, int worker) {
  const square_job *square = argument;
  const fourier *fourier = square->work->fourier;
  char *scratch = run_worker_scratch(square->work->context, worker);
  double *x = (double *)(scratch + fourier->x_at), *y = (double *)(scratch + fourier->y_at);
  const int64_t lanes = (int64_t)fourier->lanes, rows = fourier->rows, columns = fourier->columns;
  struct fft_f64 fft = fourier->second;
  fft.twiddles = square->tables + fourier->second_at;
  for (int64_t block = begin; block < end; block++) {
    const int64_t first = block * lanes, count = rows - first < lanes ? rows - first : lanes;
    for (int64_t c = 0; c < columns; c++)
      square_gather(&square->b, c * rows + first, count, fourier->lanes, x + c * 2 * lanes);
    const double *result = square->work->context->kernels->fft_f64(&fft, x, y, square->inverse);
    for (int64_t l = 0; l < columns; l++) {
      memcpy(square->a.re + l * rows + first, result + l * 2 * lanes, (size_t)count * sizeof(double));
      memcpy(square->a.im + l * rows + first, result + l * 2 * lanes + lanes, (size_t)count * sizeof(double));
    }
  }
}

static norma_status square_transform(square_job *square, bool inverse) {
  const fourier *fourier = square->work->fourier;
  const int64_t lanes = (int64_t)fourier->lanes;
  run_context *context = square->work->context;
  square->inverse = inverse;
  TRY(run_parallel(context, divide_up(fourier->columns, lanes), 1, square_columns_body, square));
  return run_parallel(context, divide_up(fourier->rows, lanes), 1, square_rows_body, square);
}

#define SQUARE_GRAIN 8192 /* elements */

norma_status fourier_run_squares(const fourier_work *work) {
  const fourier *fourier = work->fourier;
  const int64_t size = fourier->size;
  double *points = (double *)((char *)work->context->scratch + fourier->signal_at);
  square_job square = {
      .work = work, .tables = work->tables, .a = {points, points + size}, .b = {points + 2 * size, points + 3 * size}};
  for (; square.signal < work->job->signals; square.signal++) {
    TRY(run_parallel(work->context, size, SQUARE_GRAIN, square_load_body, &square));
    TRY(square_transform(&square, !fourier->chirps && fourier->inverse));
    if (fourier->chirps) {
      TRY(run_parallel(work->context, size, SQUARE_GRAIN, square_convolve_body, &square));
      TRY(square_transform(&square, true));
    }
    TRY(run_parallel(work->context, work->job->outputs, SQUARE_GRAIN, square_store_body, &square));
  }
  return NORMA_OK;
}
