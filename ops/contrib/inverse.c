/*
 * Inverse 1 (com.microsoft): inverses of a stack of square matrices [.., M, M]
 *
 * By elimination in double precision, rounded once. A matrix that has no inverse is an error of the run, before which
 * other matrices of the stack may have been written.
 */
#include "ops/matmul/square_matrix.h"
#include "ops/work.h"

#include <stdatomic.h>

typedef struct inverse_state {
  size_t pivots_at; /* in worker scratch */
} inverse_state;

static norma_status inverse_infer(infer_context *context) {
  TRY(square_infer_input(context));
  return infer_same(context);
}

static norma_status inverse_prepare(prepare_context *context) {
  inverse_state *state = context->state;
  const shape *x = prepare_shape(context, 0);
  const int64_t n = x->dims[x->rank - 1];
  size_t offset, *total = &context->worker_scratch_bytes;
  context->kernel_name = "elimination";
  context->flops = 2.0 * (double)n * (double)n * (double)n * (double)dims_product(x->dims, 0, x->rank - 2);
  if (n > INT32_MAX || !scratch_append(total, (size_t)(n * n), sizeof(double), &offset) ||
      !scratch_append(total, (size_t)n, sizeof(int64_t), &state->pivots_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the matrices are too large");
  return NORMA_OK;
}

typedef struct inverse_job {
  run_context *context;
  atomic_llong singular; /* the first matrix without an inverse; INT64_MAX: none */
} inverse_job;

static void inverse_note(inverse_job *job, int64_t index) {
  long long first = atomic_load(&job->singular);
  while (index < first && !atomic_compare_exchange_weak(&job->singular, &first, index)) {
  }
}

static void inverse_body(void *argument, int64_t begin, int64_t end, int worker) {
  inverse_job *job = argument;
  const inverse_state *state = job->context->state;
  const norma_tensor *x = run_input(job->context, 0), *y = run_output(job->context, 0);
  const int64_t n = x->dims[x->rank - 1];
  char *scratch = run_worker_scratch(job->context, worker);
  double *matrix = (double *)(void *)scratch;
  for (int64_t i = begin; i < end; i++) {
    elements_to_double(x->type, x->data, i * n * n, n * n, matrix);
    if (!square_invert(job->context, matrix, n, (int64_t *)(void *)(scratch + state->pivots_at))) {
      inverse_note(job, i);
      return;
    }
    elements_from_double(y->type, y->data, i * n * n, n * n, matrix);
  }
}

static norma_status inverse_compute(run_context *context) {
  const norma_tensor *x = run_input(context, 0);
  const double n = (double)x->dims[x->rank - 1];
  inverse_job job = {.context = context, .singular = INT64_MAX};
  if (!run_output(context, 0)) return NORMA_OK;
  TRY(run_parallel(context, dims_product(x->dims, 0, x->rank - 2), work_grain(2 * n * n * n + 16 * n * n + 20),
                   inverse_body, &job));
  const long long singular = atomic_load(&job.singular);
  if (singular != INT64_MAX) return run_fail(context, NORMA_ERROR_RUN, "matrix %lld has no inverse", singular);
  return NORMA_OK;
}

#define INVERSE_TYPES (TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_DOUBLE))

const operator_descriptor operators_inverse[] = {
    {
        .domain = "com.microsoft",
        .name = "Inverse",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{INVERSE_TYPES, INPUT(0), OUTPUT(0)}},
        .state_size = sizeof(inverse_state),
        .infer = inverse_infer,
        .prepare = inverse_prepare,
        .facts = {.dimension = fact_dimension_same},
        .compute = inverse_compute,
    },
    {0},
};
