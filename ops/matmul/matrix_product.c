#include "ops/matmul/matrix_product.h"

#include "ops/half.h"
#include "ops/work.h"

/* Keys of what prepare_packed keeps: those of operand A, and the same plus PRODUCT_OF_B. */
enum product_packed { PRODUCT_CONVERTED, PRODUCT_PACKED, PRODUCT_OF_B };

static bool product_is_integer(const matrix_product *product) {
  return product->type != NORMA_FLOAT && product->type != NORMA_DOUBLE && !is_half(product->type);
}

/* Whether the result is made in scratch. */
static bool product_uses_scratch(const matrix_product *product) {
  return is_half(product->type) || product->in_scratch;
}

static size_t product_element_bytes(const matrix_product *product) {
  return is_half(product->type) ? sizeof(float) : element_type_bytes(product->type);
}

/* Elements of one matrix of A or B. */
static int64_t product_elements(const matrix_product *product, bool is_b) {
  return product->k * (is_b ? product->n : product->m);
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

struct product_packing {
  const matrix_product *product;
  const void *converted; /* the operand as float; NULL: as it is */
  bool is_b;
};

/* All elements of the constant. */
static norma_status product_read(prepare_context *context, const matrix_product *product, bool is_b,
                                 const void **data) {
  const product_operand *operand = is_b ? &product->b : &product->a;
  return prepare_read(context, operand->input, 0, operand->count * product_elements(product, is_b), data);
}

static norma_status product_convert(prepare_context *context, void *destination, const void *argument) {
  const struct product_packing *packing = argument;
  const product_operand *operand = packing->is_b ? &packing->product->b : &packing->product->a;
  const void *source;
  TRY(product_read(context, packing->product, packing->is_b, &source));
  half_to_float(context->kernels, packing->product->type, destination, source,
                operand->count * product_elements(packing->product, packing->is_b));
  return NORMA_OK;
}

static norma_status product_pack(prepare_context *context, void *destination, const void *argument) {
  const struct product_packing *packing = argument;
  const matrix_product *product = packing->product;
  const struct kernel_table *kernels = context->kernels;
  const product_operand *operand = packing->is_b ? &product->b : &product->a;
  const void *source = packing->converted;
  if (!source) TRY(product_read(context, product, packing->is_b, &source));
  size_t rows = (size_t)(packing->is_b ? product->k : product->m);
  size_t columns = (size_t)(packing->is_b ? product->n : product->k);
  size_t elements = rows * columns, row_stride = (size_t)operand->row_stride;
  size_t column_stride = (size_t)operand->column_stride;
  for (size_t i = 0; i < (size_t)operand->count; i++) {
    if (product->type == NORMA_DOUBLE)
      (packing->is_b ? kernels->gemm_f64_pack_b : kernels->gemm_f64_pack_a)(
          (double *)destination + i * operand->packed_size, (const double *)source + i * elements, rows, columns,
          row_stride, column_stride);
    else
      (packing->is_b ? kernels->gemm_f32_pack_b : kernels->gemm_f32_pack_a)(
          (float *)destination + i * operand->packed_size, (const float *)source + i * elements, rows, columns,
          row_stride, column_stride);
  }
  return NORMA_OK;
}

/* What some columns fill: a part of each block of depth. */
static void product_expect_columns(const struct kernel_table *kernels, const matrix_product *product, float *packed,
                                   const struct gemm_part *part) {
  if (part->k == 0) return;
  size_t blocks = (size_t)divide_up(product->k, (int64_t)kernels->gemm_depth_block);
  size_t region = product->b.packed_size / blocks, each = region / (product->b.packed_size / part->k);
  for (size_t i = 0; i < blocks; i++) {
    memory_expect_use(packed + i * region + part->column * each, part->columns * each * sizeof(float));
  }
}

/* Float B, read in pieces: rows, or columns where these lie together. */
static norma_status product_pack_pieces(prepare_context *context, void *destination, const void *argument) {
  const matrix_product *product = argument;
  const product_operand *b = &product->b;
  bool by_rows = b->column_stride == 1;
  int64_t lines = by_rows ? product->k : product->n, length = by_rows ? product->n : product->k;
  int64_t grain = by_rows ? 1 : (int64_t)context->kernels->gemm_f32_tile_columns;
  int64_t piece = PREPARE_PIECE_BYTES / (int64_t)sizeof(float) / (length ? length : 1) / grain * grain;
  if (piece < grain) piece = grain;
  for (int64_t i = 0; i < b->count; i++) {
    float *packed = (float *)destination + (size_t)i * b->packed_size;
    for (int64_t first = 0; first < lines; first += piece) {
      int64_t count = lines - first < piece ? lines - first : piece;
      struct gemm_part part = {.k = (size_t)product->k, .n = (size_t)product->n};
      part.row = by_rows ? (size_t)first : 0;
      part.rows = by_rows ? (size_t)count : (size_t)product->k;
      part.column = by_rows ? 0 : (size_t)first;
      part.columns = by_rows ? (size_t)product->n : (size_t)count;
      const void *data;
      TRY(prepare_read(context, b->input, (i * lines + first) * length, count * length, &data));
      if (!by_rows) product_expect_columns(context->kernels, product, packed, &part);
      context->kernels->gemm_f32_pack_b_part(packed, data, &part, (size_t)b->row_stride, (size_t)b->column_stride);
    }
  }
  return NORMA_OK;
}

/* A and B change places: C^T = B^T * A^T. Only for n == 1, when C^T lies in memory as C does. */
static void product_transpose(matrix_product *product) {
  const product_operand a = product->a, b = product->b;
  product->transposed = true;
  product->a = b;
  product->a.row_stride = b.column_stride;
  product->a.column_stride = b.row_stride;
  product->b = a;
  product->b.row_stride = a.column_stride;
  product->b.column_stride = a.row_stride;
  product->n = product->m;
  product->m = 1;
}

static norma_status product_prepare_operand(prepare_context *context, matrix_product *product, bool is_b) {
  product_operand *operand = is_b ? &product->b : &product->a;
  const struct kernel_table *kernels = context->kernels;
  const norma_tensor *constant = prepare_constant(context, operand->input);
  size_t m = (size_t)product->m, n = (size_t)product->n, k = (size_t)product->k;
  size_t element = product_element_bytes(product), count = (size_t)operand->count;
  size_t elements = (size_t)product_elements(product, is_b);
  if (product_is_integer(product)) return NORMA_OK;
  if (!constant || operand->interleaved) {
    if (is_half(product->type) &&
        !scratch_append(&context->scratch_bytes, count * elements, element, &operand->converted_at))
      return prepare_fail(context, NORMA_ERROR_BUDGET, "the matrices are too large");
    return NORMA_OK;
  }
  bool is_double = product->type == NORMA_DOUBLE;
  if (is_b)
    operand->packed_size = (is_double ? kernels->gemm_f64_packed_b_size : kernels->gemm_f32_packed_b_size)(k, n);
  else
    operand->packed_size = (is_double ? kernels->gemm_f64_packed_a_size : kernels->gemm_f32_packed_a_size)(m, k);
  /* The other operand's shape decides which side a constant is on and whether its leading axes are rows. */
  uint64_t key = ((uint64_t)count << 8) + (uint64_t)operand->input * 4 + (is_b ? PRODUCT_OF_B : 0);
  context->packed_inputs |= INPUT(operand->input);
  if (operand->input == 1) context->packed_for_good |= INPUT(1); /* its own shape tells its form, A's that of A */
  if (is_b && product->type == NORMA_FLOAT)
    return prepare_packed_from(context, key + PRODUCT_PACKED, count * operand->packed_size * element,
                               product_pack_pieces, product, &operand->packed);
  struct product_packing packing = {.product = product, .is_b = is_b};
  if (is_half(product->type))
    TRY(prepare_packed_from(context, key + PRODUCT_CONVERTED, count * elements * element, product_convert, &packing,
                            &packing.converted));
  return prepare_packed_from(context, key + PRODUCT_PACKED, count * operand->packed_size * element, product_pack,
                             &packing, &operand->packed);
}

/* The size of about `pieces` equal parts of `panels`, at least `least`. */
static int64_t product_chunk(int64_t panels, int64_t pieces, int64_t least) {
  int64_t chunk = divide_up(panels, pieces);
  if (chunk < least) chunk = least;
  return chunk < panels ? chunk : panels;
}

/* Cuts the panels of one matrix. Where B is packed, rows are cut first: that packs nothing twice. Else the longer side.
 */
static void product_split(const prepare_context *context, matrix_product *product) {
  const struct kernel_table *kernels = context->kernels;
  bool is_double = product->type == NORMA_DOUBLE;
  size_t m = (size_t)product->m, n = (size_t)product->n;
  int64_t rows = (int64_t)(is_double ? kernels->gemm_f64_row_panels(m) : kernels->gemm_f32_row_panels(m));
  int64_t columns = (int64_t)(is_double ? kernels->gemm_f64_column_panels(n) : kernels->gemm_f32_column_panels(n));
  /* Few rows wait for memory rather than compute. */
  double cost = 2.0 * ((double)product->m + 8) * (double)product->n * (double)product->k;
  int64_t wanted = 4 * (int64_t)context->workers;
  int64_t pieces = context->workers > 1 && product->batch < wanted ? divide_up(wanted, product->batch) : 1;
  if ((double)pieces > cost / WORK_LEAST) pieces = (int64_t)(cost / WORK_LEAST) + 1;
  if ((double)pieces < cost / WORK_MOST) pieces = (int64_t)(cost / WORK_MOST) + 1;

  /* Each piece of rows packs B again where it is not packed, and each piece of columns A. */
  int64_t rows_least = product->b.packed ? 1 : divide_up(128 * rows, product->m);
  int64_t columns_least = product->a.packed ? 1 : divide_up(64 * columns, product->n);
  bool rows_first = product->b.packed ? rows >= pieces : product->a.packed ? columns < pieces : m >= n;
  int64_t first = rows_first ? rows : columns, second = rows_first ? columns : rows;
  int64_t first_least = rows_first ? rows_least : columns_least, second_least = rows_first ? columns_least : rows_least;
  int64_t first_chunk = product_chunk(first, pieces, first_least);
  int64_t second_chunk = product_chunk(second, divide_up(pieces, divide_up(first, first_chunk)), second_least);
  product->row_chunk = rows_first ? first_chunk : second_chunk;
  product->column_chunk = rows_first ? second_chunk : first_chunk;
  product->row_chunks = divide_up(rows, product->row_chunk);
  product->column_chunks = divide_up(columns, product->column_chunk);
  product->grain = work_grain(cost / (double)product->row_chunks / (double)product->column_chunks);
}

static struct gemm_f32 product_gemm_f32(const matrix_product *product) {
  return (struct gemm_f32){.m = (size_t)product->m,
                           .n = (size_t)product->n,
                           .k = (size_t)product->k,
                           .a_row_stride = (size_t)product->a.row_stride,
                           .a_column_stride = (size_t)product->a.column_stride,
                           .packed_a = product->a.packed,
                           .b_row_stride = (size_t)product->b.row_stride,
                           .b_column_stride = (size_t)product->b.column_stride,
                           .packed_b = product->b.packed,
                           .c_row_stride = (size_t)product->n};
}

static struct gemm_f64 product_gemm_f64(const matrix_product *product) {
  return (struct gemm_f64){.m = (size_t)product->m,
                           .n = (size_t)product->n,
                           .k = (size_t)product->k,
                           .a_row_stride = (size_t)product->a.row_stride,
                           .a_column_stride = (size_t)product->a.column_stride,
                           .packed_a = product->a.packed,
                           .b_row_stride = (size_t)product->b.row_stride,
                           .b_column_stride = (size_t)product->b.column_stride,
                           .packed_b = product->b.packed,
                           .c_row_stride = (size_t)product->n};
}

norma_status product_prepare(prepare_context *context, matrix_product *product) {
  product->batch = dims_product(product->batch_dims, 0, product->batch_rank);
  context->flops = 2.0 * (double)product->batch * (double)product->m * (double)product->n * (double)product->k;
  context->kernel_name = "empty";
  if (product->batch == 0 || product->m == 0 || product->n == 0) return NORMA_OK;
  context->kernel_name = "integer";
  if (product_is_integer(product)) return NORMA_OK;

  if (product->n == 1) product_transpose(product);
  TRY(product_prepare_operand(context, product, false));
  TRY(product_prepare_operand(context, product, true));
  size_t results = (size_t)(product->batch * product->m * product->n);
  if (product_uses_scratch(product) &&
      !scratch_append(&context->scratch_bytes, results, sizeof(float), &product->result_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the matrices are too large");
  product_split(context, product);
  if (product->type == NORMA_DOUBLE) {
    struct gemm_f64 gemm = product_gemm_f64(product);
    context->worker_scratch_bytes = context->kernels->gemm_f64_scratch_size(&gemm);
  } else {
    struct gemm_f32 gemm = product_gemm_f32(product);
    context->worker_scratch_bytes = context->kernels->gemm_f32_scratch_size(&gemm);
  }
  context->kernel_name = product->b.packed ? "packed" : product->a.packed ? "packed left" : "gemm";
  return NORMA_OK;
}

/* -------------------------------------------------------------------------------------------------------------- run */

struct product_job {
  run_context *context;
  const matrix_product *product;
  const product_epilogue *epilogue;
  const void *a, *b; /* of product->a and b; unused where they are packed */
  void *c;
};

/* Which matrix of an operand belongs to matrix `index` of C. */
static int64_t product_matrix(const matrix_product *product, const product_operand *operand, int64_t index) {
  int64_t matrix = 0;
  for (int d = product->batch_rank - 1; d >= 0; d--) {
    matrix += index % product->batch_dims[d] * operand->batch_stride[d];
    index /= product->batch_dims[d];
  }
  return matrix;
}

/* The first element of matrix `matrix` of an operand, as product_matrix counts it. */
static int64_t product_first(const matrix_product *product, const product_operand *operand, int64_t matrix) {
  return operand->interleaved ? matrix : matrix * product_elements(product, operand == &product->b);
}

/* Matrix `index`, panels of the ranges. */
static void product_run_f32(const struct product_job *job, int64_t index, const int64_t rows[2],
                            const int64_t columns[2], void *scratch) {
  const matrix_product *product = job->product;
  const product_epilogue *epilogue = job->epilogue;
  int64_t a = product_matrix(product, &product->a, index), b = product_matrix(product, &product->b, index);
  int64_t c = index * product->m * product->n;
  struct gemm_f32 gemm = product_gemm_f32(product);
  if (gemm.packed_a)
    gemm.packed_a += (size_t)a * product->a.packed_size;
  else
    gemm.a = (const float *)job->a + product_first(product, &product->a, a);
  if (gemm.packed_b)
    gemm.packed_b += (size_t)b * product->b.packed_size;
  else
    gemm.b = (const float *)job->b + product_first(product, &product->b, b);
  gemm.c = (float *)job->c + c;
  if (epilogue) {
    gemm.epilogue.row_bias = product->transposed ? epilogue->column_bias : epilogue->row_bias;
    gemm.epilogue.column_bias = product->transposed ? epilogue->row_bias : epilogue->column_bias;
    gemm.epilogue.residual = epilogue->residual ? epilogue->residual + c : NULL;
    gemm.epilogue.residual_stride = gemm.c_row_stride;
    gemm.epilogue.activation = epilogue->activation;
  }
  job->context->kernels->gemm_f32_run(&gemm, (size_t)rows[0], (size_t)rows[1], (size_t)columns[0], (size_t)columns[1],
                                      scratch);
}

static void product_run_f64(const struct product_job *job, int64_t index, const int64_t rows[2],
                            const int64_t columns[2], void *scratch) {
  const matrix_product *product = job->product;
  int64_t a = product_matrix(product, &product->a, index), b = product_matrix(product, &product->b, index);
  struct gemm_f64 gemm = product_gemm_f64(product);
  if (gemm.packed_a)
    gemm.packed_a += (size_t)a * product->a.packed_size;
  else
    gemm.a = (const double *)job->a + product_first(product, &product->a, a);
  if (gemm.packed_b)
    gemm.packed_b += (size_t)b * product->b.packed_size;
  else
    gemm.b = (const double *)job->b + product_first(product, &product->b, b);
  gemm.c = (double *)job->c + index * product->m * product->n;
  job->context->kernels->gemm_f64_run(&gemm, (size_t)rows[0], (size_t)rows[1], (size_t)columns[0], (size_t)columns[1],
                                      scratch);
}

static void product_run_pieces(void *argument, int64_t begin, int64_t end, int worker) {
  const struct product_job *job = argument;
  const matrix_product *product = job->product;
  const struct kernel_table *kernels = job->context->kernels;
  bool is_double = product->type == NORMA_DOUBLE;
  size_t m = (size_t)product->m, n = (size_t)product->n;
  int64_t row_panels = (int64_t)(is_double ? kernels->gemm_f64_row_panels : kernels->gemm_f32_row_panels)(m);
  int64_t column_panels = (int64_t)(is_double ? kernels->gemm_f64_column_panels : kernels->gemm_f32_column_panels)(n);
  void *scratch = run_worker_scratch(job->context, worker);
  for (int64_t i = begin; i < end; i++) {
    int64_t row = i % product->row_chunks * product->row_chunk, rest = i / product->row_chunks;
    int64_t column = rest % product->column_chunks * product->column_chunk, index = rest / product->column_chunks;
    int64_t rows[2] = {row, row + product->row_chunk}, columns[2] = {column, column + product->column_chunk};
    if (rows[1] > row_panels) rows[1] = row_panels;
    if (columns[1] > column_panels) columns[1] = column_panels;
    if (is_double)
      product_run_f64(job, index, rows, columns, scratch);
    else
      product_run_f32(job, index, rows, columns, scratch);
  }
}

/* One row of an integer product: c[j] = sum over p of a[p] * b[p][j], modulo 2^bits. */
#define PRODUCT_INTEGER_ROW(name, type)                                                                                \
  static void name(const matrix_product *product, const type *a, const type *b, type *c) {                             \
    for (int64_t j = 0; j < product->n; j++) c[j] = 0;                                                                 \
    for (int64_t p = 0; p < product->k; p++) {                                                                         \
      type left = a[p * product->a.column_stride];                                                                     \
      const type *right = b + p * product->b.row_stride;                                                               \
      for (int64_t j = 0; j < product->n; j++) c[j] += left * right[j * product->b.column_stride];                     \
    }                                                                                                                  \
  }

PRODUCT_INTEGER_ROW(product_row_u32, uint32_t)
PRODUCT_INTEGER_ROW(product_row_u64, uint64_t)

static void product_run_integer_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const struct product_job *job = argument;
  const matrix_product *product = job->product;
  bool wide = element_type_bytes(product->type) == sizeof(uint64_t);
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    int64_t index = i / product->m, row = i % product->m;
    int64_t a = product_matrix(product, &product->a, index) * product_elements(product, false);
    int64_t b = product_matrix(product, &product->b, index) * product_elements(product, true);
    a += row * product->a.row_stride;
    if (wide)
      product_row_u64(product, (const uint64_t *)job->a + a, (const uint64_t *)job->b + b,
                      (uint64_t *)job->c + i * product->n);
    else
      product_row_u32(product, (const uint32_t *)job->a + a, (const uint32_t *)job->b + b,
                      (uint32_t *)job->c + i * product->n);
  }
}

/* An operand as the kernels want it, unless it is packed. */
static const void *product_source(run_context *context, const matrix_product *product, bool is_b) {
  const product_operand *operand = is_b ? &product->b : &product->a;
  const norma_tensor *tensor = run_input(context, operand->input);
  if (operand->packed || !is_half(product->type)) return tensor->data;
  float *converted = (float *)((char *)context->scratch + operand->converted_at);
  half_to_float(context->kernels, product->type, converted, tensor->data,
                operand->count * product_elements(product, is_b));
  return converted;
}

void *product_result(run_context *context, const matrix_product *product) {
  if (product_uses_scratch(product)) return (char *)context->scratch + product->result_at;
  return run_output(context, 0)->data;
}

norma_status product_run(run_context *context, const matrix_product *product, const product_epilogue *epilogue) {
  if (product->batch == 0 || product->m == 0 || product->n == 0) return NORMA_OK;
  struct product_job job = {.context = context, .product = product, .epilogue = epilogue};
  job.a = product_source(context, product, false);
  job.b = product_source(context, product, true);
  job.c = product_result(context, product);
  if (product_is_integer(product)) {
    double cost = 2.0 * (double)product->n * (double)product->k;
    return run_parallel(context, product->batch * product->m, work_grain(cost), product_run_integer_rows, &job);
  }
  int64_t pieces = product->batch * product->row_chunks * product->column_chunks;
  return run_parallel(context, pieces, product->grain, product_run_pieces, &job);
}

norma_status product_finish(run_context *context, const matrix_product *product) {
  if (is_half(product->type))
    half_from_float(context->kernels, product->type, run_output(context, 0)->data, product_result(context, product),
                    product->batch * product->m * product->n);
  return NORMA_OK;
}
