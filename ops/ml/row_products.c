#include "ops/ml/row_products.h"

#include "ops/work.h"

/* ---------------------------------------------------------------------------------------------------------- packing */

typedef struct row_packing {
  const row_products *products;
  row_weights *weights;
  const void *argument;
} row_packing;

/* All weights in the type that is packed, one row behind the other. */
static void row_packing_gather(const row_packing *packing, double *row, void *all) {
  const row_products *products = packing->products;
  for (int64_t j = 0; j < products->outputs; j++) {
    packing->weights(packing->argument, j, row);
    for (int64_t f = 0; f < products->features; f++) {
      if (products->in_double)
        ((double *)all)[j * products->features + f] = row[f];
      else
        ((float *)all)[j * products->features + f] = (float)row[f];
    }
  }
}

static norma_status row_packing_fill(prepare_context *context, void *destination, const void *argument) {
  const row_packing *packing = argument;
  const row_products *products = packing->products;
  const struct kernel_table *kernels = context->kernels;
  memory *memory = context->node->graph->memory;
  const size_t outputs = (size_t)products->outputs, features = (size_t)products->features;
  const size_t bytes = outputs * features * (products->in_double ? sizeof(double) : sizeof(float));
  double *row = memory_allocate(memory, features * sizeof *row);
  void *all = memory_allocate(memory, bytes);
  norma_status status = row && all ? NORMA_OK : memory_error(memory, bytes, context->error);
  if (status == NORMA_OK) {
    row_packing_gather(packing, row, all);
    if (products->in_double)
      kernels->gemm_f64_pack_b(destination, all, features, outputs, 1, features);
    else
      kernels->gemm_f32_pack_b(destination, all, features, outputs, 1, features);
  }
  memory_free(memory, row);
  memory_free(memory, all);
  return status;
}

norma_status row_products_prepare(prepare_context *context, row_products *products, uint64_t key, row_weights *weights,
                                  const void *argument) {
  const struct kernel_table *kernels = context->kernels;
  const row_packing packing = {products, weights, argument};
  const size_t outputs = (size_t)products->outputs, features = (size_t)products->features;
  size_t elements, bytes;
  if (!size_multiply(outputs, features, &elements) || !size_multiply(elements, 4 * sizeof(double), &bytes))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "there are too many weights");
  bytes = products->in_double ? kernels->gemm_f64_packed_b_size(features, outputs) * sizeof(double)
                              : kernels->gemm_f32_packed_b_size(features, outputs) * sizeof(float);
  return prepare_packed_from(context, 2 * key + products->in_double, bytes, row_packing_fill, &packing,
                             &products->packed);
}

/* ---------------------------------------------------------------------------------------------------------- running */

static struct gemm_f32 row_products_f32(const row_products *products, const row_products_call *call) {
  return (struct gemm_f32){
      .m = (size_t)call->rows,
      .n = (size_t)products->outputs,
      .k = (size_t)products->features,
      .a = call->x,
      .a_row_stride = (size_t)products->features,
      .a_column_stride = 1,
      .packed_b = products->packed,
      .c = call->y,
      .c_row_stride = (size_t)products->outputs,
      .epilogue = {.row_bias = call->row_bias, .column_bias = call->column_bias, .activation = call->activation}};
}

static struct gemm_f64 row_products_f64(const row_products *products, const row_products_call *call) {
  return (struct gemm_f64){.m = (size_t)call->rows,
                           .n = (size_t)products->outputs,
                           .k = (size_t)products->features,
                           .a = call->x,
                           .a_row_stride = (size_t)products->features,
                           .a_column_stride = 1,
                           .packed_b = products->packed,
                           .c = call->y,
                           .c_row_stride = (size_t)products->outputs,
                           .column_bias = call->column_bias};
}

size_t row_products_scratch(const struct kernel_table *kernels, const row_products *products, int64_t rows) {
  const row_products_call call = {.rows = rows};
  const struct gemm_f32 single = row_products_f32(products, &call);
  const struct gemm_f64 twice = row_products_f64(products, &call);
  return products->in_double ? kernels->gemm_f64_scratch_size(&twice) : kernels->gemm_f32_scratch_size(&single);
}

/* Panels of rows and of columns of a call. */
static void count_panels(const struct kernel_table *kernels, const row_products *products,
                         const row_products_call *call, size_t *rows, size_t *columns) {
  const size_t m = (size_t)call->rows, n = (size_t)products->outputs;
  *rows = products->in_double ? kernels->gemm_f64_row_panels(m) : kernels->gemm_f32_row_panels(m);
  *columns = products->in_double ? kernels->gemm_f64_column_panels(n) : kernels->gemm_f32_column_panels(n);
}

static void run_panels(const struct kernel_table *kernels, const row_products *products, const row_products_call *call,
                       const size_t rows[2], const size_t columns[2], void *scratch) {
  if (products->in_double) {
    const struct gemm_f64 gemm = row_products_f64(products, call);
    kernels->gemm_f64_run(&gemm, rows[0], rows[1], columns[0], columns[1], scratch);
  } else {
    const struct gemm_f32 gemm = row_products_f32(products, call);
    kernels->gemm_f32_run(&gemm, rows[0], rows[1], columns[0], columns[1], scratch);
  }
}

void row_products_run(const struct kernel_table *kernels, const row_products *products, const row_products_call *call,
                      void *scratch) {
  size_t rows[2] = {0}, columns[2] = {0};
  if (call->rows == 0 || products->outputs == 0) return;
  count_panels(kernels, products, call, &rows[1], &columns[1]);
  run_panels(kernels, products, call, rows, columns, scratch);
}

typedef struct row_products_job {
  run_context *context;
  const row_products *products;
  const row_products_call *call;
  bool by_columns;
  size_t others; /* panels of the side that is not cut */
} row_products_job;

static void row_products_body(void *argument, int64_t begin, int64_t end, int worker) {
  const row_products_job *job = argument;
  const size_t cut[2] = {(size_t)begin, (size_t)end}, whole[2] = {0, job->others};
  run_panels(job->context->kernels, job->products, job->call, job->by_columns ? whole : cut,
             job->by_columns ? cut : whole, run_worker_scratch(job->context, worker));
}

norma_status row_products_run_parallel(run_context *context, const row_products *products,
                                       const row_products_call *call) {
  row_products_job job = {.context = context, .products = products, .call = call};
  size_t rows, columns;
  if (call->rows == 0 || products->outputs == 0) return NORMA_OK;
  count_panels(context->kernels, products, call, &rows, &columns);
  job.by_columns = columns > rows;
  job.others = job.by_columns ? rows : columns;
  const size_t panels = job.by_columns ? columns : rows;
  const double cost = 2.0 * ((double)call->rows + 8) * (double)products->outputs * (double)products->features;
  return run_parallel(context, (int64_t)panels, work_grain(cost / (double)panels), row_products_body, &job);
}
