/*
 * Sums, means, norms and extremes of float, float16 and bfloat16 by the kernels of the table.
 *
 * What is reduced to one element is cut in units of about REDUCE_UNIT elements, whatever the number of threads: pieces
 * of one row of adjacent elements, or several rows where these are short. Kernels reduce a piece in single precision
 * with a relative error below 1e-6 and units are joined in double, in order.
 */
#include "ops/half.h"
#include "ops/reduction/reduce.h"
#include "ops/work.h"

#include <math.h>

#define REDUCE_UNIT    65536
#define REDUCE_COLUMNS 256 /* of the output that are reduced together */
#define REDUCE_ROWS    16  /* of half precision that are converted together */

typedef struct reduce_floats_job {
  const struct kernel_table *kernels;
  const reduce_walk *walk;
  enum reduction reduction;
  enum reduce_kind kind;
  norma_element_type type;
  const char *input;
  void *output;

  /* The reduced elements of one output: rows along the innermost reduced dimension, cut in pieces; a unit is `group`
   * pieces that follow each other. */
  int64_t length, piece, row_pieces, pieces, group, units;

  /* Of the kept columns that lie together: */
  int64_t width, strips; /* strips of REDUCE_COLUMNS */
  double *partial;       /* results of units, where there are several for an output */
} reduce_floats_job;

static bool reduce_kernel(enum reduction reduction, enum reduce_kind *kind) {
  switch (reduction) {
  case SUM:
  case MEAN:
  case LOG_SUM:
    *kind = REDUCE_SUM;
    return true;
  case L1:
    *kind = REDUCE_SUM_ABS;
    return true;
  case L2:
  case SUM_SQUARE:
    *kind = REDUCE_SUM_SQUARES;
    return true;
  case MAXIMUM:
    *kind = REDUCE_MAX;
    return true;
  case MINIMUM:
    *kind = REDUCE_MIN;
    return true;
  default:
    return false;
  }
}

bool reduce_floats_suits(enum reduction reduction, norma_element_type type, const reduce_walk *walk) {
  enum reduce_kind kind;
  return (type == NORMA_FLOAT || is_half(type)) && reduce_kernel(reduction, &kind) && walk->count > 0 &&
         walk->outputs > 0 && walk->reduced.rank > 0 && (walk->last_is_reduced || walk->kept.rank > 0);
}

static double reduce_identity_of(enum reduce_kind kind) {
  return kind == REDUCE_MAX ? -(double)INFINITY : kind == REDUCE_MIN ? (double)INFINITY : 0;
}

static inline double reduce_join(enum reduce_kind kind, double a, double b) {
  if (kind == REDUCE_MAX) return a > b || isnan(a) ? a : b;
  if (kind == REDUCE_MIN) return a < b || isnan(a) ? a : b;
  return a + b;
}

/* Piece `index` of the reduced elements: its first row or element, counted from the output's first, and its length. */
static int64_t reduce_piece_at(const reduce_floats_job *job, int64_t index, int64_t *count) {
  const reduce_dims *reduced = &job->walk->reduced;
  const int64_t begin = index % job->row_pieces * job->piece, left = job->length - begin;
  *count = left < job->piece ? left : job->piece;
  return reduce_walk_offset(reduced, reduced->rank - 1, index / job->row_pieces) +
         begin * reduced->strides[reduced->rank - 1];
}

static void reduce_store(const reduce_floats_job *job, int64_t index, double result) {
  const double y = reduce_finish(job->reduction, result, job->walk->count);
  if (job->type == NORMA_FLOAT)
    ((float *)job->output)[index] = (float)y;
  else
    element_set_double(job->type, job->output, index, y);
}

/* The same for float results that lie in the output already. */
static void reduce_finish_row(const reduce_floats_job *job, float *y, int64_t count) {
  const struct kernel_table *kernels = job->kernels;
  if (job->reduction == MEAN)
    kernels->binary_right_scalar_f32[BINARY_DIV](y, y, (float)job->walk->count, (size_t)count);
  if (job->reduction == L2) kernels->unary_f32[UNARY_SQRT](y, y, (size_t)count, 0, 0);
  if (job->reduction == LOG_SUM) kernels->unary_f32[UNARY_LOG](y, y, (size_t)count, 0, 0);
}

/* ------------------------------------------------------------------------------ the last dimension is reduced: runs */

static double reduce_adjacent(const reduce_floats_job *job, int64_t first, int64_t count) {
  float converted[HALF_PIECE];
  if (job->type == NORMA_FLOAT) {
    return (double)job->kernels->reduce_f32[job->kind]((const float *)(const void *)job->input + first, (size_t)count);
  }
  double result = reduce_identity_of(job->kind);
  for (int64_t i = 0; i < count; i += HALF_PIECE) {
    const int64_t some = count - i < HALF_PIECE ? count - i : HALF_PIECE;
    half_to_float(job->kernels, job->type, converted, (const uint16_t *)(const void *)job->input + first + i, some);
    result = reduce_join(job->kind, result, (double)job->kernels->reduce_f32[job->kind](converted, (size_t)some));
  }
  return result;
}

/* Runs of float in one piece each: what most are. */
static void reduce_short_runs_body(void *argument, int64_t begin, int64_t end, int worker) {
  const reduce_floats_job *job = argument;
  const reduce_dims *kept = &job->walk->kept;
  float *y = job->output;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const float *x = (const float *)(const void *)job->input + reduce_walk_offset(kept, kept->rank, i);
    y[i] = job->kernels->reduce_f32[job->kind](x, (size_t)job->length);
  }
  reduce_finish_row(job, y + begin, end - begin);
}

static void reduce_runs_body(void *argument, int64_t begin, int64_t end, int worker) {
  const reduce_floats_job *job = argument;
  const reduce_walk *walk = job->walk;
  float *y = job->type == NORMA_FLOAT && !job->partial ? job->output : NULL;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const int64_t index = i / job->units, first = i % job->units * job->group;
    const int64_t last = job->pieces - first < job->group ? job->pieces : first + job->group;
    const int64_t base = reduce_walk_offset(&walk->kept, walk->kept.rank, index);
    if (job->pieces == 1 && y) {
      y[index] =
          job->kernels->reduce_f32[job->kind]((const float *)(const void *)job->input + base, (size_t)job->length);
      continue;
    }
    double result = reduce_identity_of(job->kind);
    for (int64_t p = first; p < last; p++) {
      int64_t count, at = reduce_piece_at(job, p, &count);
      result = reduce_join(job->kind, result, reduce_adjacent(job, base + at, count));
    }
    if (job->partial)
      job->partial[i] = result;
    else if (y)
      y[index] = (float)result;
    else
      reduce_store(job, index, result);
  }
  if (y) reduce_finish_row(job, y + begin, end - begin);
}

/* -------------------------------------------------------------------- the last dimension is kept: strips of columns */

/* Joins `columns` columns of `rows` rows to result[]; by way of float rows where the type is another one. */
static void reduce_strip(const reduce_floats_job *job, int64_t first, int64_t rows, int64_t columns, double *result) {
  const int64_t stride = job->walk->reduced.strides[job->walk->reduced.rank - 1];
  float part[REDUCE_COLUMNS], converted[REDUCE_ROWS * REDUCE_COLUMNS];
  const bool is_float = job->type == NORMA_FLOAT;
  for (int64_t r = 0; r < rows;) {
    const int64_t some = is_float || rows - r < REDUCE_ROWS ? rows - r : REDUCE_ROWS;
    const float *x = (const float *)(const void *)job->input + first;
    for (int64_t i = 0; i < some && !is_float; i++) {
      half_to_float(job->kernels, job->type, converted + i * columns,
                    (const uint16_t *)(const void *)job->input + first + (r + i) * stride, columns);
    }
    job->kernels->reduce_rows_f32[job->kind](part, is_float ? x : converted, (size_t)some, (size_t)columns,
                                             (size_t)(is_float ? stride : columns));
    if (job->kind == REDUCE_MAX || job->kind == REDUCE_MIN) {
      for (int64_t j = 0; j < columns; j++) result[j] = reduce_join(job->kind, result[j], (double)part[j]);
    } else {
      for (int64_t j = 0; j < columns; j++) result[j] += (double)part[j];
    }
    r += some;
  }
}

/* Strip `strip` of the outputs: its first output, and where that begins in the input. */
static int64_t reduce_strip_at(const reduce_floats_job *job, int64_t strip, int64_t *columns, int64_t *base) {
  const int64_t outer = strip / job->strips, first = strip % job->strips * REDUCE_COLUMNS;
  *columns = job->width - first < REDUCE_COLUMNS ? job->width - first : REDUCE_COLUMNS;
  *base = reduce_walk_offset(&job->walk->kept, job->walk->kept.rank - 1, outer) + first;
  return outer * job->width + first;
}

/* Strips of float in one piece each. */
static void reduce_short_columns_body(void *argument, int64_t begin, int64_t end, int worker) {
  const reduce_floats_job *job = argument;
  const int64_t stride = job->walk->reduced.strides[job->walk->reduced.rank - 1];
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    int64_t columns, base, output = reduce_strip_at(job, i, &columns, &base);
    float *y = (float *)job->output + output;
    job->kernels->reduce_rows_f32[job->kind](y, (const float *)(const void *)job->input + base, (size_t)job->length,
                                             (size_t)columns, (size_t)stride);
    reduce_finish_row(job, y, columns);
  }
}

static void reduce_columns_body(void *argument, int64_t begin, int64_t end, int worker) {
  const reduce_floats_job *job = argument;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const int64_t first = i % job->units * job->group;
    const int64_t last = job->pieces - first < job->group ? job->pieces : first + job->group;
    int64_t columns, base, output = reduce_strip_at(job, i / job->units, &columns, &base);
    double own[REDUCE_COLUMNS], *result = own;
    if (job->partial) result = job->partial + output * job->units + i % job->units * columns;
    for (int64_t j = 0; j < columns; j++) result[j] = reduce_identity_of(job->kind);
    for (int64_t p = first; p < last; p++) {
      int64_t rows, at = reduce_piece_at(job, p, &rows);
      reduce_strip(job, base + at, rows, columns, result);
    }
    for (int64_t j = 0; j < columns && !job->partial; j++) reduce_store(job, output + j, result[j]);
  }
}

/* ------------------------------------------------------------------------------------------------------------ whole */

/* Results of an output's units, which lie `step` apart. */
static void reduce_join_units(const reduce_floats_job *job, int64_t output, const double *partial, int64_t step) {
  double result = partial[0];
  for (int64_t u = 1; u < job->units; u++) result = reduce_join(job->kind, result, partial[u * step]);
  reduce_store(job, output, result);
}

static void reduce_join_all(const reduce_floats_job *job) {
  for (int64_t index = 0; job->walk->last_is_reduced && index < job->walk->outputs; index++)
    reduce_join_units(job, index, job->partial + index * job->units, 1);
  for (int64_t strip = 0; !job->walk->last_is_reduced && strip < job->walk->outputs / job->width * job->strips;
       strip++) {
    int64_t columns, base, output = reduce_strip_at(job, strip, &columns, &base);
    for (int64_t j = 0; j < columns; j++)
      reduce_join_units(job, output + j, job->partial + output * job->units + j, columns);
  }
}

norma_status reduce_floats(run_context *context, enum reduction reduction, const reduce_walk *walk) {
  const reduce_dims *reduced = &walk->reduced;
  reduce_floats_job job = {.kernels = context->kernels,
                           .walk = walk,
                           .reduction = reduction,
                           .type = run_input(context, 0)->type,
                           .input = run_input(context, 0)->data,
                           .output = run_output(context, 0)->data,
                           .length = reduced->dims[reduced->rank - 1],
                           .width = 1,
                           .strips = 1};
  reduce_kernel(reduction, &job.kind);
  int64_t items = walk->outputs, columns = 1;
  if (!walk->last_is_reduced) {
    job.width = walk->kept.dims[walk->kept.rank - 1];
    job.strips = divide_up(job.width, REDUCE_COLUMNS);
    items = items / job.width * job.strips;
    columns = job.width < REDUCE_COLUMNS ? job.width : REDUCE_COLUMNS;
  }
  job.piece = REDUCE_UNIT / columns;
  job.row_pieces = divide_up(job.length, job.piece);
  job.pieces = walk->count / job.length * job.row_pieces;
  job.group = job.length < job.piece ? job.piece / job.length : 1;
  job.units = divide_up(job.pieces, job.group);
  const int64_t cost =
      (job.length < job.piece ? job.length : job.piece) * columns * (job.pieces < job.group ? job.pieces : job.group);
  if (job.units > 1) {
    void *block;
    TRY(run_allocate_temporary(context, (size_t)(walk->outputs * job.units) * sizeof(double), &block));
    job.partial = block;
  }
  const bool is_short = job.type == NORMA_FLOAT && job.pieces == 1;
  const parallel_body body = walk->last_is_reduced ? (is_short ? reduce_short_runs_body : reduce_runs_body)
                                                   : (is_short ? reduce_short_columns_body : reduce_columns_body);
  TRY(run_parallel(context, items * job.units, cost >= 16384 ? 1 : 16384 / cost, body, &job));
  if (job.partial) reduce_join_all(&job);
  return NORMA_OK;
}
