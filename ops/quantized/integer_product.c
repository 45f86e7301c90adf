#include "ops/quantized/integer_product.h"

#include "ops/matmul/matmul_sides.h"
#include "ops/work.h"

enum integer_product_packed { INTEGER_PRODUCT_B };

/* ----------------------------------------------------------------------------------------------------------- shapes */

void integer_product_of_matmul(const prepare_context *context, int a, int b, integer_product *product) {
  matmul_side left = matmul_side_of(prepare_shape(context, a), false);
  matmul_side right = matmul_side_of(prepare_shape(context, b), true);
  shape batch;
  if (!shape_broadcast(&left.batch, &right.batch, &batch)) batch = shape_of_rank(0); /* inference has refused it */
  product->a_type = prepare_type(context, a);
  product->b_type = prepare_type(context, b);
  product->m = left.rows;
  product->n = right.columns;
  product->k = left.columns;
  if (dims_product(right.batch.dims, 0, right.batch.rank) == 1) { /* leading axes that only A has are rows */
    product->m *= dims_product(batch.dims, 0, batch.rank);
    left.batch = batch = shape_of_rank(0);
  }
  product->batch_rank = batch.rank;
  memcpy(product->batch_dims, batch.dims, (size_t)batch.rank * sizeof *batch.dims);
  product->a = (integer_operand){.input = a, .row_stride = product->k, .column_stride = 1};
  product->b = (integer_operand){.input = b, .row_stride = product->n, .column_stride = 1};
  if (batch.rank == 0) right.batch = batch;
  product->a.count = matmul_batch_strides(&left.batch, batch.rank, product->a.batch_stride);
  product->b.count = matmul_batch_strides(&right.batch, batch.rank, product->b.batch_stride);
}

norma_status infer_product_parameter(infer_context *context, int parameter, int operand, bool is_b, const char *name) {
  const shape *given = infer_shape(context, parameter), *of = infer_shape(context, operand);
  const int64_t count = shape_count(given);
  if (!infer_has_input(context, parameter) || of->rank < 1 || count == DIM_UNKNOWN || count == 1) return NORMA_OK;
  const matmul_side side = matmul_side_of(of, is_b);
  const int64_t lines = is_b ? side.columns : side.rows, matrices = shape_count(&side.batch);
  if (lines == DIM_UNKNOWN || (given->rank <= 1 && count == lines)) return NORMA_OK;
  if (given->rank == of->rank) { /* the axis of the sum has one element, the others have the operand's */
    const int summed = is_b ? of->rank - 2 : of->rank - 1;
    bool fits = true;
    for (int i = 0; i < of->rank; i++) {
      const int64_t wanted = i == summed ? 1 : of->dims[i];
      if (wanted != DIM_UNKNOWN && given->dims[i] != wanted) fits = false;
    }
    if (fits && (matrices == DIM_UNKNOWN || count == matrices * lines)) return NORMA_OK;
  }
  char text[200], of_text[200];
  return infer_fail(context, "%s of shape %s does not belong to %s of a matrix of shape %s", name,
                    shape_text(given, text, sizeof text), is_b ? "the columns" : "the rows",
                    shape_text(of, of_text, sizeof of_text));
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

static int64_t integer_product_elements(const integer_product *product, bool is_b) {
  return product->k * (is_b ? product->n : product->m);
}

static norma_status integer_product_pack(prepare_context *context, void *destination, const void *argument) {
  const integer_product *product = argument;
  const struct kernel_table *kernels = context->kernels;
  const size_t k = (size_t)product->k, n = (size_t)product->n;
  const int64_t elements = integer_product_elements(product, true);
  for (int64_t i = 0; i < product->b.count; i++) {
    const void *source;
    TRY(prepare_read(context, product->b.input, i * elements, elements, &source));
    kernels->gemm_i8_pack_b((char *)destination + (size_t)i * product->packed_size, source, product->b_type, k, n,
                            (size_t)product->b.row_stride, (size_t)product->b.column_stride, 0,
                            kernels->gemm_i8_column_panels(n));
  }
  return NORMA_OK;
}

/* Packs B, or asks for the scratch to do so in each run. */
static norma_status integer_product_prepare_b(prepare_context *context, integer_product *product) {
  const size_t count = (size_t)product->b.count;
  product->packed_size =
      size_align(context->kernels->gemm_i8_packed_b_size((size_t)product->k, (size_t)product->n), MEMORY_ALIGNMENT);
  if (prepare_constant(context, product->b.input)) {
    TRY(prepare_packed_from(context, INTEGER_PRODUCT_B, count * product->packed_size, integer_product_pack, product,
                            &product->packed));
    context->packed_inputs |= INPUT(product->b.input);
    context->packed_for_good |= INPUT(product->b.input); /* its own shape tells its form */
    return NORMA_OK;
  }
  if (!scratch_append(&context->scratch_bytes, count, product->packed_size, &product->packed_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the matrices are too large");
  return NORMA_OK;
}

/* Room for zero points as numbers of 32 bits: one, or one for each line of each matrix. */
static norma_status integer_product_prepare_zeros(prepare_context *context, integer_product *product, bool is_b) {
  const int input = is_b ? product->b_zero : product->a_zero;
  if (input < 0 || input >= context->input_count || !context->inputs[input]) return NORMA_OK;
  const bool is_single = shape_count(prepare_shape(context, input)) == 1;
  const int64_t lines = is_b ? product->n * product->b.count : product->m * product->a.count;
  product->zero_count[is_b] = is_single ? 1 : lines;
  if (!scratch_append(&context->scratch_bytes, (size_t)product->zero_count[is_b], sizeof(int32_t),
                      &product->zeros_at[is_b]))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the matrices are too large");
  return NORMA_OK;
}

static int64_t integer_product_smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* Cuts the panels of one matrix: rows first, since a cut of columns packs A again. */
static void integer_product_split(const prepare_context *context, integer_product *product) {
  const struct kernel_table *kernels = context->kernels;
  const int64_t rows = (int64_t)kernels->gemm_i8_row_panels((size_t)product->m);
  const int64_t columns = (int64_t)kernels->gemm_i8_column_panels((size_t)product->n);
  /* Few rows wait for memory rather than compute. */
  const double cost = ((double)product->m + 8) * (double)product->n * (double)product->k / 2;
  const int64_t wanted = 4 * (int64_t)context->workers;
  int64_t pieces = context->workers > 1 && product->batch < wanted ? divide_up(wanted, product->batch) : 1;
  if ((double)pieces > cost / WORK_LEAST) pieces = (int64_t)(cost / WORK_LEAST) + 1;
  if ((double)pieces < cost / WORK_MOST) pieces = (int64_t)(cost / WORK_MOST) + 1;
  product->row_chunk = divide_up(rows, integer_product_smaller(rows, pieces));
  product->row_chunks = divide_up(rows, product->row_chunk);
  const int64_t column_pieces = integer_product_smaller(columns, divide_up(pieces, product->row_chunks));
  product->column_chunk = divide_up(columns, column_pieces);
  product->column_chunks = divide_up(columns, product->column_chunk);
  product->grain = work_grain(cost / (double)product->row_chunks / (double)product->column_chunks);
}

static bool integer_product_is_empty(const integer_product *product) {
  return product->batch == 0 || product->m == 0 || product->n == 0;
}

norma_status integer_product_prepare(prepare_context *context, integer_product *product) {
  product->batch = dims_product(product->batch_dims, 0, product->batch_rank);
  context->flops = 2.0 * (double)product->batch * (double)product->m * (double)product->n * (double)product->k;
  context->kernel_name = "empty";
  if (integer_product_is_empty(product)) return NORMA_OK;
  TRY(integer_product_prepare_b(context, product));
  TRY(integer_product_prepare_zeros(context, product, false));
  TRY(integer_product_prepare_zeros(context, product, true));
  integer_product_split(context, product);
  const struct gemm_i8 gemm = {.m = (size_t)product->m, .n = (size_t)product->n, .k = (size_t)product->k};
  context->worker_scratch_bytes = context->kernels->gemm_i8_scratch_size(&gemm);
  context->kernel_name = product->packed ? "packed" : "packed in the run";
  return NORMA_OK;
}

/* -------------------------------------------------------------------------------------------------------------- run */

struct integer_product_job {
  run_context *context;
  const integer_product *product;
  const integer_product_end *end;
  const char *a, *b;
  const int32_t *zeros[2]; /* NULL: none */
  const char *packed;
  char *c;
};

int64_t integer_product_matrix(const integer_product *product, const integer_operand *operand, int64_t index) {
  int64_t matrix = 0;
  for (int d = product->batch_rank - 1; d >= 0; d--) {
    matrix += index % product->batch_dims[d] * operand->batch_stride[d];
    index /= product->batch_dims[d];
  }
  return matrix;
}

static struct gemm_i8 integer_product_gemm(const struct integer_product_job *job, int64_t index) {
  const integer_product *product = job->product;
  const integer_product_end *end = job->end;
  const int64_t a = integer_product_matrix(product, &product->a, index);
  const int64_t b = integer_product_matrix(product, &product->b, index), c = index * product->m * product->n;
  const bool many_a = product->zero_count[0] > 1, many_b = product->zero_count[1] > 1;
  struct gemm_i8 gemm = {.m = (size_t)product->m,
                         .n = (size_t)product->n,
                         .k = (size_t)product->k,
                         .a_type = product->a_type,
                         .b_type = product->b_type,
                         .c_type = product->c_type,
                         .a = job->a + a * integer_product_elements(product, false),
                         .a_row_stride = (size_t)product->a.row_stride,
                         .a_column_stride = (size_t)product->a.column_stride,
                         .packed_b = job->packed + (size_t)b * product->packed_size,
                         .c = job->c + (size_t)c * element_type_bytes(product->c_type),
                         .c_row_stride = (size_t)product->n,
                         .a_zero_stride = many_a,
                         .b_zero_stride = many_b,
                         .bias = end->bias,
                         .scale = end->scale,
                         .scale_stride = end->scale_count > 1,
                         .c_zero = end->c_zero,
                         .c_limited = end->c_limited,
                         .c_low = end->c_low,
                         .c_high = end->c_high};
  if (job->zeros[0]) gemm.a_zero = job->zeros[0] + (many_a ? a * product->m : 0);
  if (job->zeros[1]) gemm.b_zero = job->zeros[1] + (many_b ? b * product->n : 0);
  if (end->scale_count > product->n) gemm.scale += b * product->n;
  gemm.epilogue.column_bias = end->column_bias;
  gemm.epilogue.residual = end->residual ? end->residual + c : NULL;
  gemm.epilogue.residual_stride = (size_t)product->n;
  gemm.epilogue.activation = end->activation;
  gemm.function = job->context->kernels->unary_f32[end->activation.kind];
  return gemm;
}

static void integer_product_pieces(void *argument, int64_t begin, int64_t end, int worker) {
  const struct integer_product_job *job = argument;
  const integer_product *product = job->product;
  const struct kernel_table *kernels = job->context->kernels;
  const int64_t row_panels = (int64_t)kernels->gemm_i8_row_panels((size_t)product->m);
  const int64_t column_panels = (int64_t)kernels->gemm_i8_column_panels((size_t)product->n);
  void *scratch = run_worker_scratch(job->context, worker);
  for (int64_t i = begin; i < end; i++) {
    const int64_t column = i % product->column_chunks * product->column_chunk, rest = i / product->column_chunks;
    const int64_t row = rest % product->row_chunks * product->row_chunk, index = rest / product->row_chunks;
    const int64_t row_end = integer_product_smaller(row + product->row_chunk, row_panels);
    const int64_t column_end = integer_product_smaller(column + product->column_chunk, column_panels);
    const struct gemm_i8 gemm = integer_product_gemm(job, index);
    kernels->gemm_i8_run(&gemm, (size_t)row, (size_t)row_end, (size_t)column, (size_t)column_end, scratch);
  }
}

/* Column panels of all matrices of B. */
static void integer_product_pack_panels(void *argument, int64_t begin, int64_t end, int worker) {
  const struct integer_product_job *job = argument;
  const integer_product *product = job->product;
  const struct kernel_table *kernels = job->context->kernels;
  const int64_t panels = (int64_t)kernels->gemm_i8_column_panels((size_t)product->n);
  char *packed = (char *)job->context->scratch + product->packed_at;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const int64_t matrix = i / panels, panel = i % panels;
    const int64_t column = panel * (int64_t)kernels->gemm_i8_tile_columns;
    const char *b = job->b + matrix * integer_product_elements(product, true) + column * product->b.column_stride;
    kernels->gemm_i8_pack_b(packed + (size_t)matrix * product->packed_size, b, product->b_type, (size_t)product->k,
                            (size_t)product->n, (size_t)product->b.row_stride, (size_t)product->b.column_stride,
                            (size_t)panel, (size_t)panel + 1);
  }
}

/* Zero points of each line of each matrix, from one for each or for each line. */
static const int32_t *integer_product_zeros(run_context *context, const integer_product *product, bool is_b) {
  const int64_t count = product->zero_count[is_b];
  if (count == 0) return NULL;
  const norma_tensor *given = run_input(context, is_b ? product->b_zero : product->a_zero);
  int32_t *zeros = (int32_t *)(void *)((char *)context->scratch + product->zeros_at[is_b]);
  const int64_t have = norma_tensor_count(given);
  for (int64_t i = 0; i < count; i++) zeros[i] = (int32_t)element_get_int64(given->type, given->data, i % have);
  return zeros;
}

norma_status integer_product_run(run_context *context, const integer_product *product, const integer_product_end *end,
                                 void *c) {
  if (integer_product_is_empty(product)) return NORMA_OK;
  struct integer_product_job job = {.context = context, .product = product, .end = end, .packed = product->packed};
  job.a = end->a ? end->a : run_input(context, product->a.input)->data;
  job.c = c;
  job.zeros[0] = end->a_zero ? end->a_zero : integer_product_zeros(context, product, false);
  job.zeros[1] = integer_product_zeros(context, product, true);
  if (!job.packed) {
    job.b = run_input(context, product->b.input)->data;
    job.packed = (char *)context->scratch + product->packed_at;
    const int64_t panels = (int64_t)context->kernels->gemm_i8_column_panels((size_t)product->n);
    const double cost = (double)context->kernels->gemm_i8_tile_columns * (double)product->k;
    TRY(run_parallel(context, product->b.count * panels, work_grain(cost), integer_product_pack_panels, &job));
  }
  const int64_t pieces = product->batch * product->row_chunks * product->column_chunks;
  return run_parallel(context, pieces, product->grain, integer_product_pieces, &job);
}
