#include "ops/ml/svm.h"

#include "ops/ml/features.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

#define SVM_BLOCK_VALUES (128 * 1024) /* of float: half of a second-level cache of 1 MiB */
#define SVM_BLOCK_ROWS   64
#define SVM_LARGEST_TERM 30.0 /* of the exponent: four roundings of it change a kernel by a factor of 1 + 7e-6 */

/* Keys of what is packed. */
#define SVM_PRODUCTS 1
#define SVM_CENTER   100
#define SVM_BIAS     101

norma_status svm_read(const node *node, svm *svm, int64_t vectors, norma_error *error) {
  static const char *const kinds[] = {"LINEAR", "POLY", "RBF", "SIGMOID"};
  const char *kind = attribute_string(node, "kernel_type", "LINEAR");
  size_t parameters, support;
  const float *parameter = attribute_floats(node, "kernel_params", &parameters);
  int found = 0;
  while (found < 4 && strcmp(kind, kinds[found]) != 0) found++;
  if (found == 4)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "kernel_type '%.40s' does not exist", kind);
  if (parameters != 0 && parameters != 3)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %zu kernel_params, expected 3", parameters);
  svm->kind = vectors > 0 ? (svm_kind)found : SVM_LINEAR;
  if (parameters == 3) {
    svm->gamma = parameter[0];
    svm->coef0 = parameter[1];
    svm->degree = parameter[2];
  }
  svm->vectors = vectors;
  if (vectors == 0) return NORMA_OK;
  svm->support = attribute_floats(node, "support_vectors", &support);
  if (support % (size_t)vectors != 0)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                         "support_vectors has %zu elements, no multiple of %" PRId64, support, vectors);
  svm->features = (int64_t)(support / (size_t)vectors);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- packing */

static void svm_fill_center(void *destination, const void *argument) {
  const svm *svm = argument;
  float *center = destination;
  for (int64_t f = 0; f < svm->features; f++) {
    double sum = 0;
    for (int64_t v = 0; v < svm->vectors; v++) sum += (double)svm->support[v * svm->features + f];
    center[f] = (float)(sum / (double)svm->vectors);
    if (!isfinite(center[f])) center[f] = 0;
  }
}

static double svm_squared_norm(const svm *svm, int64_t vector) {
  double sum = 0;
  for (int64_t f = 0; f < svm->features; f++) {
    const double x = (double)svm->support[vector * svm->features + f] - (double)svm->center[f];
    sum += x * x;
  }
  return sum;
}

/* Biases, and behind them the largest magnitude of any. */
static void svm_fill_bias(void *destination, const void *argument) {
  const svm *svm = argument;
  float *biases = destination, largest = 0;
  for (int64_t v = 0; v < svm->vectors; v++) {
    const double bias = svm->kind == SVM_RBF ? -(double)svm->gamma * svm_squared_norm(svm, v) : (double)svm->coef0;
    biases[v] = (float)bias;
    if (!(fabsf(biases[v]) <= largest)) largest = isnan(biases[v]) ? INFINITY : fabsf(biases[v]);
  }
  biases[svm->vectors] = largest;
}

/* The support vectors as the exponents of RBF, and the arguments of POLY and SIGMOID, need them. */
static void svm_kernel_weights(const void *argument, int64_t output, double *weights) {
  const svm *svm = argument;
  const float *vector = svm->support + output * svm->features;
  for (int64_t f = 0; f < svm->features; f++) {
    if (svm->kind == SVM_RBF)
      weights[f] = 2 * (double)svm->gamma * ((double)vector[f] - (double)svm->center[f]);
    else
      weights[f] = (double)svm->gamma * (double)vector[f];
  }
}

static norma_status svm_pack(prepare_context *context, svm *svm, row_weights *weights, const void *argument) {
  const void *packed;
  if (svm->kind == SVM_LINEAR) return row_products_prepare(context, &svm->products, SVM_PRODUCTS, weights, argument);
  if (svm->kind == SVM_RBF) {
    TRY(prepare_packed(context, SVM_CENTER, (size_t)svm->features * sizeof(float), svm_fill_center, svm, &packed));
    svm->center = packed;
  }
  TRY(prepare_packed(context, SVM_BIAS, (size_t)(svm->vectors + 1) * sizeof(float), svm_fill_bias, svm, &packed));
  svm->column_bias = packed;
  svm->by_distance = svm->kind == SVM_RBF && (double)svm->column_bias[svm->vectors] > SVM_LARGEST_TERM;
  return svm->by_distance ? NORMA_OK
                          : row_products_prepare(context, &svm->products, SVM_PRODUCTS, svm_kernel_weights, svm);
}

norma_status svm_prepare(prepare_context *context, svm *svm, int64_t rows, int64_t decisions, row_weights *weights,
                         const void *argument, size_t more) {
  const int64_t outputs = svm->kind == SVM_LINEAR ? decisions : svm->vectors;
  svm->products = (row_products){.outputs = outputs, .features = svm->features};
  TRY(svm_pack(context, svm, weights, argument));
  int64_t most = outputs > 0 ? SVM_BLOCK_VALUES / outputs : SVM_BLOCK_ROWS;
  if (most > SVM_BLOCK_ROWS) most = SVM_BLOCK_ROWS;
  if (most < 1) most = 1;
  svm->block_rows = rows < most ? rows : most;
  svm->cuts_rows = svm->block_rows == 0 || divide_up(rows, svm->block_rows) >= context->workers;
  const size_t block = (size_t)svm->block_rows;
  size_t total = 0, distance = svm->by_distance ? (size_t)svm->features * sizeof(float) : 0;
  if (!scratch_append(&total, block * (size_t)outputs, sizeof(float), &svm->values_at) ||
      !scratch_append(&total, block * (size_t)svm->features, sizeof(float), &svm->rows_at) ||
      !scratch_append(&total, block, sizeof(float), &svm->bias_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "a block of rows is too large");
  svm->block_bytes = total;
  svm->product_bytes =
      svm->by_distance ? distance : row_products_scratch(context->kernels, &svm->products, svm->block_rows);
  svm->product_bytes = size_align(svm->product_bytes, MEMORY_ALIGNMENT);
  context->scratch_bytes = svm->cuts_rows ? 0 : svm->block_bytes;
  context->worker_scratch_bytes = svm->product_bytes + size_align(more, MEMORY_ALIGNMENT);
  if (svm->cuts_rows) context->worker_scratch_bytes += svm->block_bytes;
  context->flops = 2.0 * (double)rows * (double)outputs * (double)svm->features;
  context->kernel_name = svm->by_distance ? "distances" : "products";
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- values */

/* The rows of a block as the products take them, and their biases. */
static void svm_load_rows(const run_context *context, const svm *svm, int64_t first, int64_t rows, char *block) {
  const norma_tensor *x = run_input(context, 0);
  const struct kernel_table *kernels = context->kernels;
  float *loaded = (float *)(void *)(block + svm->rows_at), *bias = (float *)(void *)(block + svm->bias_at);
  const size_t features = (size_t)svm->features;
  features_to_float(x->type, x->data, first * svm->features, rows * svm->features, loaded);
  for (int64_t i = 0; i < rows && svm->kind == SVM_RBF && !svm->by_distance; i++) {
    float *row = loaded + i * svm->features;
    kernels->binary_f32[BINARY_SUB](row, row, svm->center, features);
    bias[i] = (float)(-(double)svm->gamma * kernels->sum_squared_deviations_f32(row, features, 0));
  }
}

static void svm_distances(const run_context *context, const svm *svm, int64_t rows, char *block, float *difference) {
  const struct kernel_table *kernels = context->kernels;
  const float *loaded = (const float *)(void *)(block + svm->rows_at);
  float *values = (float *)(void *)(block + svm->values_at);
  const size_t features = (size_t)svm->features;
  for (int64_t i = 0; i < rows && !run_cancelled(context); i++) {
    float *row = values + i * svm->vectors;
    for (int64_t v = 0; v < svm->vectors; v++) {
      kernels->binary_f32[BINARY_SUB](difference, loaded + i * svm->features, svm->support + v * svm->features,
                                      features);
      row[v] = -svm->gamma * kernels->reduce_f32[REDUCE_SUM_SQUARES](difference, features);
    }
    kernels->unary_f32[UNARY_EXP](row, row, (size_t)svm->vectors, 0, 0);
  }
}

static row_products_call svm_products_call(const svm *svm, int64_t rows, char *block) {
  row_products_call call = {.x = block + svm->rows_at, .y = block + svm->values_at, .rows = rows};
  call.column_bias = svm->column_bias;
  if (svm->kind == SVM_RBF) {
    call.row_bias = (const float *)(void *)(block + svm->bias_at);
    call.activation.kind = UNARY_EXP;
  }
  if (svm->kind == SVM_SIGMOID) call.activation.kind = UNARY_TANH;
  return call;
}

static float power_of(float x, int exponent) {
  float result = 1;
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2) result *= x;
    x *= x;
  }
  return result;
}

static void svm_raise(const svm *svm, int64_t rows, char *block) {
  float *values = (float *)(void *)(block + svm->values_at);
  const int64_t count = rows * svm->vectors;
  const bool is_whole = svm->degree >= 0 && svm->degree <= 64 && svm->degree == floorf(svm->degree);
  for (int64_t i = 0; i < count; i++)
    values[i] = is_whole ? power_of(values[i], (int)svm->degree) : powf(values[i], svm->degree);
}

/* ---------------------------------------------------------------------------------------------------------- running */

typedef struct svm_job {
  run_context *context;
  const svm *svm;
  int64_t rows;
  svm_body *body;
  void *argument;
} svm_job;

/* Behind the scratch of the products: a block, where workers take whole ones, and the caller's bytes. */
static void *svm_callers_bytes(const svm_job *job, int worker) {
  char *scratch = run_worker_scratch(job->context, worker);
  return scratch + job->svm->product_bytes + (job->svm->cuts_rows ? job->svm->block_bytes : 0);
}

static void svm_blocks(void *argument, int64_t begin, int64_t end, int worker) {
  const svm_job *job = argument;
  const svm *svm = job->svm;
  char *scratch = run_worker_scratch(job->context, worker), *block = scratch + svm->product_bytes;
  for (int64_t b = begin; b < end; b++) {
    const int64_t first = b * svm->block_rows, left = job->rows - first;
    const int64_t rows = left < svm->block_rows ? left : svm->block_rows;
    svm_load_rows(job->context, svm, first, rows, block);
    if (svm->by_distance) {
      svm_distances(job->context, svm, rows, block, (float *)(void *)scratch);
    } else {
      const row_products_call call = svm_products_call(svm, rows, block);
      row_products_run(job->context->kernels, &svm->products, &call, scratch);
    }
    if (svm->kind == SVM_POLY) svm_raise(svm, rows, block);
    job->body(job->argument, (const float *)(void *)(block + svm->values_at), first, rows,
              svm_callers_bytes(job, worker));
  }
}

/* Too few blocks for the workers: all work at one. */
static norma_status svm_shared_block(const svm_job *job, int64_t first, int64_t rows) {
  const svm *svm = job->svm;
  char *block = job->context->scratch;
  svm_load_rows(job->context, svm, first, rows, block);
  if (svm->by_distance) {
    svm_distances(job->context, svm, rows, block, run_worker_scratch(job->context, 0));
  } else {
    const row_products_call call = svm_products_call(svm, rows, block);
    TRY(row_products_run_parallel(job->context, &svm->products, &call));
  }
  if (svm->kind == SVM_POLY) svm_raise(svm, rows, block);
  job->body(job->argument, (const float *)(void *)(block + svm->values_at), first, rows, svm_callers_bytes(job, 0));
  return run_poll(job->context);
}

norma_status svm_run(run_context *context, const svm *svm, int64_t rows, svm_body *body, void *argument) {
  svm_job job = {.context = context, .svm = svm, .rows = rows, .body = body, .argument = argument};
  if (rows == 0) return NORMA_OK;
  const int64_t blocks = divide_up(rows, svm->block_rows);
  if (svm->cuts_rows) return run_parallel(context, blocks, 1, svm_blocks, &job);
  for (int64_t b = 0; b < blocks; b++) {
    const int64_t first = b * svm->block_rows, left = rows - first;
    TRY(svm_shared_block(&job, first, left < svm->block_rows ? left : svm->block_rows));
  }
  return NORMA_OK;
}
