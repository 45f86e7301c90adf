/*
 * Contraction of two views: by matrix products where both have labels of their own, by dot products where neither has,
 * element by element where nothing is summed.
 *
 * Labels fall into four groups: batch (in both, kept), inner (in both, summed), left (of a) and right (of b). A group
 * is one dimension of a matrix where its labels lie in memory as one does; an operand whose groups do not is copied
 * first.
 */
#include "ops/matmul/einsum_plan.h"

#include "ops/half.h"
#include "ops/strided.h"
#include "ops/work.h"

typedef struct einsum_product {
  const einsum_walk *walk;
  einsum_term batch, inner, left, right;
  einsum_view a, b, c;
  int64_t batches, m, n, k;
  int64_t a_row, a_column, b_row, b_column, c_row; /* strides */
  const void *packed_a, *packed_b;
  int64_t row_chunk, row_chunks, column_chunk, column_chunks, grain; /* of panels */
} einsum_product;

/* ----------------------------------------------------------------------------------------------------------- groups */

static void contract_add(einsum_term *term, uint8_t label) {
  term->labels[term->count++] = label;
}

/* Labels by their stride in a view, the largest first. */
static void contract_order(einsum_term *term, const einsum_view *view) {
  for (int i = 1; i < term->count; i++) {
    const uint8_t label = term->labels[i];
    int at = i;
    for (; at > 0 && einsum_stride(view, term->labels[at - 1]) < einsum_stride(view, label); at--)
      term->labels[at] = term->labels[at - 1];
    term->labels[at] = label;
  }
}

/* Whether the labels lie in the view as one dimension does; its stride. */
static bool contract_merges(const einsum_plan *plan, const einsum_view *view, const einsum_term *term,
                            int64_t *stride) {
  *stride = term->count > 0 ? einsum_stride(view, term->labels[term->count - 1]) : 1;
  for (int i = 0; i + 1 < term->count; i++) {
    const uint8_t label = term->labels[i + 1];
    if (einsum_stride(view, term->labels[i]) != einsum_stride(view, label) * plan->sizes[label]) return false;
  }
  return true;
}

static int64_t contract_size(const einsum_plan *plan, const einsum_term *term) {
  int64_t size = 1;
  for (int i = 0; i < term->count; i++) size *= plan->sizes[term->labels[i]];
  return size;
}

/* Where batch `index` begins in a view. */
static int64_t contract_offset(const einsum_product *product, const einsum_view *view, int64_t index) {
  int64_t offset = 0;
  for (int i = product->batch.count - 1; i >= 0; i--) {
    const uint8_t label = product->batch.labels[i];
    offset += index % product->walk->plan->sizes[label] * einsum_stride(view, label);
    index /= product->walk->plan->sizes[label];
  }
  return offset;
}

static void contract_append(einsum_view *view, const einsum_term *term) {
  for (int i = 0; i < term->count; i++) contract_add(&view->term, term->labels[i]);
}

/* Whether an operand serves as a matrix as it lies: rows and columns merge, and one of them has no gaps. */
static bool contract_is_matrix(const einsum_plan *plan, const einsum_view *view, const einsum_term *rows,
                               const einsum_term *columns, int64_t *row, int64_t *column) {
  return contract_merges(plan, view, rows, row) && contract_merges(plan, view, columns, column) &&
         (*row == 1 || *column == 1);
}

/* Makes an operand a matrix, by a copy where need be: its batches, then rows, then columns. */
static norma_status contract_make_matrix(einsum_walk *walk, einsum_product *product, einsum_view *view,
                                         const einsum_term *rows, const einsum_term *columns, int region, int64_t *row,
                                         int64_t *column) {
  const einsum_plan *plan = walk->plan;
  if (contract_is_matrix(plan, view, rows, columns, row, column)) return NORMA_OK;
  einsum_view copy = {0};
  int64_t count;
  void *memory;
  for (int i = 0; i < product->batch.count; i++) {
    if (einsum_has(&view->term, product->batch.labels[i])) contract_add(&copy.term, product->batch.labels[i]);
  }
  contract_append(&copy, rows);
  contract_append(&copy, columns);
  einsum_count(plan, &copy.term, &count);
  TRY(einsum_reserve(walk, region, count, &memory));
  copy.data = memory;
  einsum_contiguous(plan, &copy);
  TRY(einsum_copy(walk, &copy, view));
  *view = copy;
  contract_merges(plan, view, rows, row);
  contract_merges(plan, view, columns, column);
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------- element by element */

static void contract_multiply_row(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  const einsum_walk *walk = argument;
  const struct kernel_table *kernels = walk->kernels;
  const int64_t size = (int64_t)walk->plan->element_bytes;
  const bool both = steps[1] == size && steps[2] == size && steps[0] == size;
  if (walk->plan->work == EINSUM_F32 && both) {
    kernels->binary_f32[BINARY_MUL]((float *)(void *)pointers[0], (const float *)(const void *)pointers[1],
                                    (const float *)(const void *)pointers[2], (size_t)count);
    return;
  }
  for (int side = 1; side < 3 && walk->plan->work == EINSUM_F32; side++) {
    if (steps[0] != size || steps[side] != size || steps[3 - side] != 0) continue;
    kernels->binary_right_scalar_f32[BINARY_MUL]((float *)(void *)pointers[0],
                                                 (const float *)(const void *)pointers[side],
                                                 *(const float *)(const void *)pointers[3 - side], (size_t)count);
    return;
  }
  for (int64_t i = 0; i < count; i++) {
    void *y = pointers[0] + i * steps[0];
    const void *a = pointers[1] + i * steps[1], *b = pointers[2] + i * steps[2];
    if (walk->plan->work == EINSUM_F32)
      *(float *)y = *(const float *)a * *(const float *)b;
    else if (walk->plan->work == EINSUM_F64)
      *(double *)y = *(const double *)a * *(const double *)b;
    else
      *(uint64_t *)y = *(const uint64_t *)a * *(const uint64_t *)b;
  }
}

static norma_status contract_multiply(einsum_walk *walk, const einsum_product *product) {
  const einsum_plan *plan = walk->plan;
  const einsum_view *const views[3] = {&product->c, &product->a, &product->b};
  strided multiply = {.rank = product->c.term.count, .operands = 3};
  if (!walk->context) return NORMA_OK;
  for (int v = 0; v < 3; v++) {
    multiply.data[v] = (char *)(uintptr_t)views[v]->data;
    multiply.element_bytes[v] = plan->element_bytes;
    for (int i = 0; i < multiply.rank; i++) {
      multiply.dims[i] = plan->sizes[product->c.term.labels[i]];
      multiply.strides[v][i] = einsum_stride(views[v], product->c.term.labels[i]);
    }
  }
  return strided_run(walk->context, &multiply, contract_multiply_row, walk);
}

/* ----------------------------------------------------------------------------------------------------- dot products */

#define CONTRACT_PIECE 4096 /* products that are summed in float */

static void contract_dot(const einsum_product *product, const void *a, const void *b, void *c) {
  const einsum_plan *plan = product->walk->plan;
  const int64_t k = product->k, p = product->a_column, q = product->b_row;
  double sum = 0;
  uint64_t whole = 0;
  if (plan->work == EINSUM_U64) {
    for (int64_t i = 0; i < k; i++) whole += ((const uint64_t *)a)[i * p] * ((const uint64_t *)b)[i * q];
    *(uint64_t *)c = whole;
    return;
  }
  if (plan->work == EINSUM_F64) {
    for (int64_t i = 0; i < k; i++) sum += ((const double *)a)[i * p] * ((const double *)b)[i * q];
    *(double *)c = sum;
    return;
  }
  if (p == 1 && q == 1) {
    for (int64_t i = 0; i < k; i += CONTRACT_PIECE)
      sum += (double)product->walk->kernels->dot_f32((const float *)a + i, (const float *)b + i,
                                                     (size_t)(k - i < CONTRACT_PIECE ? k - i : CONTRACT_PIECE));
  } else {
    for (int64_t i = 0; i < k; i++) sum += (double)((const float *)a)[i * p] * (double)((const float *)b)[i * q];
  }
  *(float *)c = (float)sum;
}

static void contract_dot_body(void *argument, int64_t begin, int64_t end, int worker) {
  const einsum_product *product = argument;
  const size_t bytes = product->walk->plan->element_bytes;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    contract_dot(product, product->a.data + contract_offset(product, &product->a, i) * (int64_t)bytes,
                 product->b.data + contract_offset(product, &product->b, i) * (int64_t)bytes,
                 (char *)(uintptr_t)product->c.data + contract_offset(product, &product->c, i) * (int64_t)bytes);
  }
}

/* -------------------------------------------------------------------------------------------------- matrix products */

static struct gemm_f32 contract_gemm_f32(const einsum_product *product, int64_t a, int64_t b, int64_t c) {
  const float *a_data = (const float *)(const void *)product->a.data,
              *b_data = (const float *)(const void *)product->b.data;
  return (struct gemm_f32){.m = (size_t)product->m,
                           .n = (size_t)product->n,
                           .k = (size_t)product->k,
                           .a = product->packed_a || !a_data ? NULL : a_data + a,
                           .a_row_stride = (size_t)product->a_row,
                           .a_column_stride = (size_t)product->a_column,
                           .packed_a = product->packed_a,
                           .b = product->packed_b || !b_data ? NULL : b_data + b,
                           .b_row_stride = (size_t)product->b_row,
                           .b_column_stride = (size_t)product->b_column,
                           .packed_b = product->packed_b,
                           .c = product->c.data ? (float *)(uintptr_t)product->c.data + c : NULL,
                           .c_row_stride = (size_t)product->c_row};
}

static struct gemm_f64 contract_gemm_f64(const einsum_product *product, int64_t a, int64_t b, int64_t c) {
  const double *a_data = (const double *)(const void *)product->a.data;
  const double *b_data = (const double *)(const void *)product->b.data;
  return (struct gemm_f64){.m = (size_t)product->m,
                           .n = (size_t)product->n,
                           .k = (size_t)product->k,
                           .a = a_data ? a_data + a : NULL,
                           .a_row_stride = (size_t)product->a_row,
                           .a_column_stride = (size_t)product->a_column,
                           .b = b_data ? b_data + b : NULL,
                           .b_row_stride = (size_t)product->b_row,
                           .b_column_stride = (size_t)product->b_column,
                           .c = product->c.data ? (double *)(uintptr_t)product->c.data + c : NULL,
                           .c_row_stride = (size_t)product->c_row};
}

/* One row of integers: modulo 2^64. */
static void contract_integer_row(const einsum_product *product, const uint64_t *a, const uint64_t *b, uint64_t *c) {
  for (int64_t j = 0; j < product->n; j++) c[j] = 0;
  for (int64_t p = 0; p < product->k; p++) {
    const uint64_t left = a[p * product->a_column];
    for (int64_t j = 0; j < product->n; j++) c[j] += left * b[p * product->b_row + j * product->b_column];
  }
}

static void contract_rows_body(void *argument, int64_t begin, int64_t end, int worker) {
  const einsum_product *product = argument;
  const uint64_t *a = (const uint64_t *)(const void *)product->a.data;
  const uint64_t *b = (const uint64_t *)(const void *)product->b.data;
  uint64_t *c = (uint64_t *)(uintptr_t)product->c.data;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const int64_t batch = i / product->m, row = i % product->m;
    contract_integer_row(product, a + contract_offset(product, &product->a, batch) + row * product->a_row,
                         b + contract_offset(product, &product->b, batch),
                         c + contract_offset(product, &product->c, batch) + row * product->c_row);
  }
}

static int64_t contract_row_panels(const einsum_product *product) {
  const struct kernel_table *kernels = product->walk->kernels;
  const size_t m = (size_t)product->m;
  return (int64_t)(product->walk->plan->work == EINSUM_F64 ? kernels->gemm_f64_row_panels(m)
                                                           : kernels->gemm_f32_row_panels(m));
}

static int64_t contract_column_panels(const einsum_product *product) {
  const struct kernel_table *kernels = product->walk->kernels;
  const size_t n = (size_t)product->n;
  return (int64_t)(product->walk->plan->work == EINSUM_F64 ? kernels->gemm_f64_column_panels(n)
                                                           : kernels->gemm_f32_column_panels(n));
}

static int64_t contract_chunk(int64_t panels, int64_t pieces, int64_t least) {
  int64_t chunk = divide_up(panels, pieces);
  if (chunk < least) chunk = least;
  return chunk < panels ? chunk : panels;
}

/* Cuts the longer side of the matrices, where batches are too few for the workers or one takes too long; a piece of
 * rows packs b again, one of columns a. */
static void contract_split(einsum_product *product) {
  const int64_t rows = contract_row_panels(product), columns = contract_column_panels(product);
  const int workers = product->walk->plan->workers;
  const double cost = 2.0 * ((double)product->m + 8) * (double)product->n * (double)product->k;
  const int64_t wanted = 4 * (int64_t)workers;
  int64_t pieces = workers > 1 && product->batches < wanted ? divide_up(wanted, product->batches) : 1;
  if ((double)pieces > cost / WORK_LEAST) pieces = (int64_t)(cost / WORK_LEAST) + 1;
  if ((double)pieces < cost / WORK_MOST) pieces = (int64_t)(cost / WORK_MOST) + 1;
  const bool by_rows = product->packed_b   ? rows >= pieces
                       : product->packed_a ? columns < pieces
                                           : product->m >= product->n;
  const int64_t rows_least = product->packed_b ? 1 : divide_up(128 * rows, product->m);
  const int64_t columns_least = product->packed_a ? 1 : divide_up(64 * columns, product->n);
  product->row_chunk = contract_chunk(rows, by_rows ? pieces : 1, rows_least);
  product->row_chunks = divide_up(rows, product->row_chunk);
  product->column_chunk =
      contract_chunk(columns, by_rows ? divide_up(pieces, product->row_chunks) : pieces, columns_least);
  product->column_chunks = divide_up(columns, product->column_chunk);
  product->grain = work_grain(cost / (double)product->row_chunks / (double)product->column_chunks);
}

static void contract_pieces_body(void *argument, int64_t begin, int64_t end, int worker) {
  const einsum_product *product = argument;
  const struct kernel_table *kernels = product->walk->kernels;
  const int64_t row_panels = contract_row_panels(product), column_panels = contract_column_panels(product);
  void *scratch = run_worker_scratch(product->walk->context, worker);
  for (int64_t i = begin; i < end; i++) {
    const int64_t row = i % product->row_chunks * product->row_chunk, rest = i / product->row_chunks;
    const int64_t column = rest % product->column_chunks * product->column_chunk, batch = rest / product->column_chunks;
    const int64_t row_end = row + product->row_chunk < row_panels ? row + product->row_chunk : row_panels;
    const int64_t column_end =
        column + product->column_chunk < column_panels ? column + product->column_chunk : column_panels;
    const int64_t a = contract_offset(product, &product->a, batch), b = contract_offset(product, &product->b, batch);
    const int64_t c = contract_offset(product, &product->c, batch);
    if (product->walk->plan->work == EINSUM_F64) {
      const struct gemm_f64 gemm = contract_gemm_f64(product, a, b, c);
      kernels->gemm_f64_run(&gemm, (size_t)row, (size_t)row_end, (size_t)column, (size_t)column_end, scratch);
    } else {
      const struct gemm_f32 gemm = contract_gemm_f32(product, a, b, c);
      kernels->gemm_f32_run(&gemm, (size_t)row, (size_t)row_end, (size_t)column, (size_t)column_end, scratch);
    }
  }
}

/* --------------------------------------------------------------------------------------------- constants in prepare */

typedef struct contract_packing {
  const einsum_product *product;
  const struct kernel_table *kernels;
  const void *source;
  norma_element_type type;
  int64_t count;
  bool is_a;
} contract_packing;

static void contract_widen(void *destination, const void *argument) {
  const contract_packing *packing = argument;
  half_to_float(packing->kernels, packing->type, destination, packing->source, packing->count);
}

static void contract_pack(void *destination, const void *argument) {
  const contract_packing *packing = argument;
  const einsum_product *product = packing->product;
  if (packing->is_a)
    packing->kernels->gemm_f32_pack_a(destination, packing->source, (size_t)product->m, (size_t)product->k,
                                      (size_t)product->a_row, (size_t)product->a_column);
  else
    packing->kernels->gemm_f32_pack_b(destination, packing->source, (size_t)product->k, (size_t)product->n,
                                      (size_t)product->b_row, (size_t)product->b_column);
}

/* Of two operands, one that is a constant matrix without batches is packed once per model. */
static norma_status contract_prepare_constant(einsum_walk *walk, const einsum_product *product, bool is_a) {
  const einsum_view *view = is_a ? &product->a : &product->b;
  einsum_plan *plan = walk->plan;
  if (plan->operands != 2 || plan->work != EINSUM_F32 || view->input < 0 || plan->packed[0] || plan->packed[1])
    return NORMA_OK;
  const norma_tensor *constant = prepare_constant(walk->prepare, view->input);
  for (int i = 0; i < product->batch.count; i++) {
    if (einsum_stride(view, product->batch.labels[i]) != 0) return NORMA_OK;
  }
  if (!constant) return NORMA_OK;
  contract_packing packing = {product, walk->kernels, constant->data, plan->type, norma_tensor_count(constant), is_a};
  const size_t size = is_a ? walk->kernels->gemm_f32_packed_a_size((size_t)product->m, (size_t)product->k)
                           : walk->kernels->gemm_f32_packed_b_size((size_t)product->k, (size_t)product->n);
  uint64_t key = (uint64_t)view->input * 2 + is_a; /* and what tells the order of rows and columns */
  const int64_t strides[] = {product->m,        product->n,     product->k,       product->a_row,
                             product->a_column, product->b_row, product->b_column};
  for (size_t i = 0; i < sizeof strides / sizeof *strides; i++)
    key = (key ^ (uint64_t)strides[i]) * UINT64_C(0x9E3779B97F4A7C15);
  const void *packed;
  if (plan->type != NORMA_FLOAT)
    TRY(prepare_packed(walk->prepare, (uint64_t)view->input, (size_t)packing.count * sizeof(float), contract_widen,
                       &packing, &packing.source));
  TRY(prepare_packed(walk->prepare, key | 2, size * sizeof(float), contract_pack, &packing, &packed));
  plan->packed[view->input] = packed;
  walk->prepare->packed_inputs |= INPUT(view->input);
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ whole */

/* Labels of the inner group in the order in which most elements need no copy. */
static void contract_order_inner(const einsum_plan *plan, einsum_product *product) {
  int64_t row, column;
  contract_order(&product->inner, &product->b);
  if (contract_is_matrix(plan, &product->b, &product->inner, &product->right, &row, &column) &&
      (contract_is_matrix(plan, &product->a, &product->left, &product->inner, &row, &column) ||
       product->n > product->m))
    return;
  contract_order(&product->inner, &product->a);
}

static void contract_exchange(einsum_product *product) {
  const einsum_view a = product->a;
  const einsum_term left = product->left;
  product->a = product->b;
  product->b = a;
  product->left = product->right;
  product->right = left;
}

/* Whether c can be written where `place` says: rows and columns merge there, and columns lie together. Else with a and
 * b exchanged. */
static bool contract_fits_place(const einsum_plan *plan, einsum_product *product, const einsum_view *place) {
  int64_t row, column;
  if (product->right.count == 0) contract_exchange(product); /* one row rather than one column */
  for (int turn = 0; turn < 2; turn++) {
    contract_order(&product->left, place);
    contract_order(&product->right, place);
    if (contract_merges(plan, place, &product->left, &row) && contract_merges(plan, place, &product->right, &column) &&
        column == 1)
      return true;
    contract_exchange(product);
  }
  return false;
}

/* c in memory of its own: batch, left, right, in the order of the operands. */
static norma_status contract_own_place(einsum_walk *walk, einsum_product *product, int region) {
  int64_t count;
  void *memory;
  if (product->right.count == 0) contract_exchange(product);
  product->c = (einsum_view){0};
  contract_append(&product->c, &product->batch);
  contract_append(&product->c, &product->left);
  contract_append(&product->c, &product->right);
  if (!einsum_count(walk->plan, &product->c.term, &count))
    return prepare_fail(walk->prepare, NORMA_ERROR_BUDGET, "an intermediate product is too large");
  TRY(einsum_reserve(walk, region, count, &memory));
  product->c.data = memory;
  einsum_contiguous(walk->plan, &product->c);
  return NORMA_OK;
}

static norma_status contract_matrices(einsum_walk *walk, einsum_product *product) {
  const einsum_plan *plan = walk->plan;
  contract_order_inner(plan, product);
  TRY(contract_make_matrix(walk, product, &product->a, &product->left, &product->inner, EINSUM_LEFT, &product->a_row,
                           &product->a_column));
  TRY(contract_make_matrix(walk, product, &product->b, &product->inner, &product->right, EINSUM_RIGHT, &product->b_row,
                           &product->b_column));
  contract_merges(plan, &product->c, &product->left, &product->c_row);
  if (plan->work == EINSUM_U64) {
    if (!walk->context) return NORMA_OK;
    const double cost = 2.0 * (double)product->n * (double)product->k;
    return run_parallel(walk->context, product->batches * product->m, work_grain(cost), contract_rows_body, product);
  }
  if (walk->context && plan->operands == 2) {
    if (product->a.input >= 0) product->packed_a = plan->packed[product->a.input];
    if (product->b.input >= 0) product->packed_b = plan->packed[product->b.input];
  }
  if (!walk->context) {
    TRY(contract_prepare_constant(walk, product, false));
    TRY(contract_prepare_constant(walk, product, true));
    const struct gemm_f32 f32 = contract_gemm_f32(product, 0, 0, 0);
    const struct gemm_f64 f64 = contract_gemm_f64(product, 0, 0, 0);
    const size_t bytes = plan->work == EINSUM_F64 ? walk->kernels->gemm_f64_scratch_size(&f64)
                                                  : walk->kernels->gemm_f32_scratch_size(&f32);
    if (walk->plan->worker_bytes < bytes) walk->plan->worker_bytes = bytes;
    return NORMA_OK;
  }
  contract_split(product);
  return run_parallel(walk->context, product->batches * product->row_chunks * product->column_chunks, product->grain,
                      contract_pieces_body, product);
}

norma_status einsum_contract(einsum_walk *walk, const einsum_view *a, const einsum_view *b, const einsum_term *kept,
                             int region, const einsum_view *place, einsum_view *to) {
  einsum_plan *plan = walk->plan;
  einsum_product product = {.walk = walk, .a = *a, .b = *b};
  for (int i = 0; i < a->term.count; i++) {
    const uint8_t label = a->term.labels[i];
    if (!einsum_has(&b->term, label))
      contract_add(&product.left, label);
    else
      contract_add(einsum_has(kept, label) ? &product.batch : &product.inner, label);
  }
  for (int i = 0; i < b->term.count; i++) {
    if (!einsum_has(&a->term, b->term.labels[i])) contract_add(&product.right, b->term.labels[i]);
  }
  contract_order(&product.left, a);
  contract_order(&product.right, b);
  contract_order(&product.batch, place ? place : a);
  const bool is_elementwise = product.inner.count == 0;
  if (place && (is_elementwise || contract_fits_place(plan, &product, place)))
    product.c = *place;
  else
    TRY(contract_own_place(walk, &product, place ? EINSUM_UNORDERED : region));
  product.batches = contract_size(plan, &product.batch);
  product.m = contract_size(plan, &product.left);
  product.n = contract_size(plan, &product.right);
  product.k = contract_size(plan, &product.inner);
  *to = product.c;
  to->input = -1;
  if (!walk->context)
    plan->flops += 2.0 * (double)product.batches * (double)product.m * (double)product.n * (double)product.k;
  if (is_elementwise) return contract_multiply(walk, &product);
  contract_order(&product.inner, &product.a);
  if (product.left.count > 0 || product.right.count > 0 ||
      !contract_merges(plan, &product.a, &product.inner, &product.a_column) ||
      !contract_merges(plan, &product.b, &product.inner, &product.b_row))
    return contract_matrices(walk, &product);
  if (!walk->context) return NORMA_OK;
  return run_parallel(walk->context, product.batches, work_grain(4.0 * (double)product.k), contract_dot_body, &product);
}
