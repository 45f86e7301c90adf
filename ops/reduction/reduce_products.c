/*
 * Products and logarithms of sums of exponentials of float, along one stretch of neighbouring dimensions, by the
 * kernels of the table. An output is one call, so the order depends on the length that is reduced alone. Products of
 * several stretches whose results lie together are multiplied row by row, in double precision and rounded once.
 */
#include "ops/reduction/reduce.h"
#include "ops/work.h"

#include <math.h>

#define PRODUCT_STRIP 256 /* columns of the output that are reduced together */

typedef struct reduce_products_job {
  const struct kernel_table *kernels;
  const reduce_walk *walk;
  enum reduction reduction;
  const float *x;
  float *y;
  size_t length, stride; /* of what is reduced */
  int64_t width, strips; /* kept columns that lie together, and strips of these */
} reduce_products_job;

bool reduce_products_suits(enum reduction reduction, norma_element_type type, const reduce_walk *walk) {
  if (type != NORMA_FLOAT || (reduction != PRODUCT && reduction != LOG_SUM_EXP)) return false;
  if (walk->outputs < 1 || walk->count < 1) return false;
  if (walk->reduced.rank != 1 && (reduction != PRODUCT || walk->last_is_reduced)) return false;
  /* A cancelled run waits for one output, or a strip of them. */
  const double columns = walk->last_is_reduced ? 1 : PRODUCT_STRIP;
  return (double)walk->count * columns * 4 < WORK_MOST && (walk->last_is_reduced || walk->kept.rank > 0);
}

/* exp(x - largest) adds up to `sum`. */
static float log_of_sum(float sum, float largest) {
  return isfinite(largest) ? (float)(log((double)sum) + (double)largest) : largest;
}

static void reduce_products_runs(void *argument, int64_t begin, int64_t end, int worker) {
  const reduce_products_job *job = argument;
  const struct kernel_table *kernels = job->kernels;
  const reduce_dims *kept = &job->walk->kept;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const float *x = job->x + reduce_walk_offset(kept, kept->rank, i);
    if (job->reduction == PRODUCT) {
      job->y[i] = kernels->product_f32(x, job->length);
    } else {
      const float largest = kernels->reduce_f32[REDUCE_MAX](x, job->length);
      job->y[i] = log_of_sum(kernels->exp_sum_f32(NULL, x, job->length, largest), largest);
    }
  }
}

/* y[j] = the product of column j over all that is reduced, any number of dimensions. */
static void multiply_rows(const reduce_walk *walk, const float *x, size_t columns, float *y) {
  const reduce_dims *reduced = &walk->reduced;
  double product[PRODUCT_STRIP];
  for (size_t j = 0; j < columns; j++) product[j] = 1;
  for (int64_t i = 0; i < walk->count; i++) {
    const float *row = x + reduce_walk_offset(reduced, reduced->rank, i);
    for (size_t j = 0; j < columns; j++) product[j] *= (double)row[j];
  }
  for (size_t j = 0; j < columns; j++) y[j] = (float)product[j];
}

static void reduce_products_columns(void *argument, int64_t begin, int64_t end, int worker) {
  const reduce_products_job *job = argument;
  const struct kernel_table *kernels = job->kernels;
  const reduce_dims *kept = &job->walk->kept;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const int64_t outer = i / job->strips, first = i % job->strips * PRODUCT_STRIP, left = job->width - first;
    const size_t columns = (size_t)(left < PRODUCT_STRIP ? left : PRODUCT_STRIP);
    const float *x = job->x + reduce_walk_offset(kept, kept->rank - 1, outer) + first;
    float *y = job->y + outer * job->width + first, largest[PRODUCT_STRIP];
    if (job->walk->reduced.rank != 1) {
      multiply_rows(job->walk, x, columns, y);
      continue;
    }
    if (job->reduction == PRODUCT) {
      kernels->product_rows_f32(y, x, job->length, columns, job->stride);
      continue;
    }
    kernels->reduce_rows_f32[REDUCE_MAX](largest, x, job->length, columns, job->stride);
    kernels->exp_sum_rows_f32(y, x, job->length, columns, job->stride, largest);
    for (size_t j = 0; j < columns; j++) y[j] = log_of_sum(y[j], largest[j]);
  }
}

norma_status reduce_products(run_context *context, enum reduction reduction, const reduce_walk *walk) {
  reduce_products_job job = {.kernels = context->kernels,
                             .walk = walk,
                             .reduction = reduction,
                             .x = run_input(context, 0)->data,
                             .y = run_output(context, 0)->data,
                             .length = (size_t)walk->reduced.dims[0],
                             .stride = (size_t)walk->reduced.strides[0]};
  const double step = reduction == PRODUCT ? 1 : 8, cost = step * (double)walk->count;
  if (walk->last_is_reduced) return run_parallel(context, walk->outputs, work_grain(cost), reduce_products_runs, &job);
  job.width = walk->kept.dims[walk->kept.rank - 1];
  job.strips = divide_up(job.width, PRODUCT_STRIP);
  return run_parallel(context, walk->outputs / job.width * job.strips, work_grain(cost * PRODUCT_STRIP),
                      reduce_products_columns, &job);
}
