/*
 * Det 11, 22 (ai.onnx): determinants of a stack of square matrices [.., M, M] -> [..]
 *
 * By elimination in double precision, rounded once. The determinant of an empty matrix is 1. 22 adds bfloat16.
 */
#include "ops/matmul/square_matrix.h"
#include "ops/work.h"

static norma_status det_infer(infer_context *context) {
  TRY(infer_types_since(context, TYPES_BFLOAT16, 22));
  TRY(square_infer_input(context));
  shape y = *infer_shape(context, 0);
  if (y.rank != RANK_UNKNOWN) y.rank -= 2;
  infer_output(context, 0, infer_type(context, 0), &y);
  return NORMA_OK;
}

static norma_status det_prepare(prepare_context *context) {
  const shape *x = prepare_shape(context, 0);
  const int64_t n = x->dims[x->rank - 1];
  size_t offset;
  context->kernel_name = "elimination";
  context->flops = 2.0 / 3 * (double)n * (double)n * (double)n * (double)dims_product(x->dims, 0, x->rank - 2);
  if (n > INT32_MAX || !scratch_append(&context->worker_scratch_bytes, (size_t)(n * n), sizeof(double), &offset))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the matrices are too large");
  return NORMA_OK;
}

static void det_body(void *argument, int64_t begin, int64_t end, int worker) {
  const run_context *context = argument;
  const norma_tensor *x = run_input(context, 0), *y = run_output(context, 0);
  const int64_t n = x->dims[x->rank - 1];
  double *matrix = run_worker_scratch(context, worker);
  for (int64_t i = begin; i < end; i++) {
    elements_to_double(x->type, x->data, i * n * n, n * n, matrix);
    element_set_double(y->type, y->data, i, square_determinant(context, matrix, n));
  }
}

static norma_status det_compute(run_context *context) {
  const norma_tensor *x = run_input(context, 0);
  const double n = (double)x->dims[x->rank - 1];
  if (!run_output(context, 0)) return NORMA_OK;
  return run_parallel(context, dims_product(x->dims, 0, x->rank - 2), work_grain(n * n * n + 8 * n * n + 20), det_body,
                      context);
}

const operator_descriptor operators_det[] = {
    {
        .domain = "",
        .name = "Det",
        .versions = {11, 22},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0)}},
        .infer = det_infer,
        .prepare = det_prepare,
        .compute = det_compute,
    },
    {0},
};
