/*
 * MatMulNBits 1 (com.microsoft)
 *
 *   Y = A * W + bias,  W[k][n] = scales[n][k / block_size] * (B[n][k] - zero_points[n][k / block_size])
 *
 * A [.., K], Y [.., N]. B [N, ceil(K / block_size), block_size * bits / 8] holds numbers of 2, 4 or 8 bits, the first
 * in the lowest bits; zero_points are packed in the same way, each column on its own, or numbers of A's type; without
 * them 2^(bits - 1). With g_idx (deprecated) step k has the scale and zero of block g_idx[k]. A B without elements
 * stands for weights of zero.
 *
 * The numbers stay packed, in the form that kernels read. By accuracy_level 4 rows of A are quantized to 8 bits, block
 * by block, for exact sums of integers; else it is computed in float: few rows directly, more on weights that are made
 * float in pieces of the cache. A row's result does not depend on the rows beside it.
 */
#include "engine/graph/query.h"
#include "ops/half.h"
#include "ops/operator.h"
#include "ops/work.h"

#include <inttypes.h>

enum { NBITS_A, NBITS_B, NBITS_SCALES, NBITS_ZEROS, NBITS_GROUPS, NBITS_BIAS };

enum nbits_algorithm { NBITS_EMPTY, NBITS_FEW_ROWS, NBITS_MANY_ROWS, NBITS_BYTES };

#define NBITS_PACK_BLOCKS 32  /* whose scales are converted at a time */
#define NBITS_MOST_LANES  16  /* of a panel */
#define NBITS_ROW_BLOCK   128 /* rows of A that stay in the cache while panels pass by */

typedef struct matmul_nbits_state {
  int64_t k, n, bits, block, blocks;
  bool quantizes; /* A, by accuracy_level */

  /* The plan's. */
  struct nbits nbits;
  enum nbits_algorithm algorithm;
  norma_element_type type; /* of A and Y */
  int64_t rows;
  bool is_indexed;                                /* by g_idx */
  const void *packed;                             /* NULL: made in each run */
  size_t packed_at, a_at, y_at, bias_at, rows_at; /* in scratch: what the algorithm and the type need */
  size_t weights_at, product_at;                  /* in worker scratch */
} matmul_nbits_state;

static norma_status matmul_nbits_read(const node *node, void *opaque, norma_error *error) {
  matmul_nbits_state *state = opaque;
  int64_t level = attribute_int(node, "accuracy_level", 0);
  state->k = attribute_int(node, "K", 0);
  state->n = attribute_int(node, "N", 0);
  state->bits = attribute_int(node, "bits", 4);
  state->block = attribute_int(node, "block_size", 0);
  state->quantizes = level == 4;
  bool is_power = state->block >= 16 && (state->block & (state->block - 1)) == 0;
  if (state->k < 1 || state->n < 1 || state->k > INT32_MAX || state->n > INT32_MAX)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "K is %" PRId64 " and N %" PRId64, state->k, state->n);
  if (!is_power || state->block > INT32_MAX)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                         "block_size is %" PRId64 ", which is no power of 2 of at least 16", state->block);
  if (level < 0 || level > 4)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "accuracy_level is %" PRId64 ", not 0 to 4", level);
  if (state->bits != 2 && state->bits != 4 && state->bits != 8)
    return error_at_node(error, NORMA_ERROR_UNSUPPORTED, node, "weights of %" PRId64 " bits are not supported",
                         state->bits);
  if (attribute_int(node, "weight_prepacked", 0) != 0)
    return error_at_node(error, NORMA_ERROR_UNSUPPORTED, node, "prepacked weights are not supported");
  state->blocks = divide_up(state->k, state->block);
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ infer */

/* Bytes that one column's zero points take. */
static int64_t matmul_nbits_zero_bytes(const matmul_nbits_state *state) {
  return divide_up(state->blocks * state->bits, 8);
}

/* Refuses an input of another number of elements than one of two. */
static norma_status matmul_nbits_check(infer_context *context, int index, const char *name, int64_t count,
                                       int64_t other) {
  int64_t given = shape_count(infer_shape(context, index));
  char text[100];
  if (!infer_has_input(context, index) || given == DIM_UNKNOWN || given == count || given == other) return NORMA_OK;
  return infer_fail(context, "%s of shape %s does not have %" PRId64 " elements", name,
                    shape_text(infer_shape(context, index), text, sizeof text), count);
}

static norma_status matmul_nbits_infer(infer_context *context) {
  const matmul_nbits_state *state = context->state;
  const shape *a = infer_shape(context, NBITS_A);
  norma_element_type zeros = infer_type(context, NBITS_ZEROS), type = infer_type(context, NBITS_A);
  int64_t groups = state->n * state->blocks, weights = groups * (state->block * state->bits / 8);
  char text[100];
  if (a->rank == 0 || (a->rank > 0 && a->dims[a->rank - 1] != DIM_UNKNOWN && a->dims[a->rank - 1] != state->k))
    return infer_fail(context, "A of shape %s does not have rows of %" PRId64, shape_text(a, text, sizeof text),
                      state->k);
  TRY(matmul_nbits_check(context, NBITS_B, "B", weights, 0));
  if (shape_count(infer_shape(context, NBITS_B)) != 0) {
    int64_t of_zeros = zeros == NORMA_UINT8 ? state->n * matmul_nbits_zero_bytes(state) : groups;
    TRY(matmul_nbits_check(context, NBITS_SCALES, "scales", groups, groups));
    TRY(matmul_nbits_check(context, NBITS_ZEROS, "zero_points", of_zeros, of_zeros));
    TRY(matmul_nbits_check(context, NBITS_GROUPS, "g_idx", state->k, state->blocks * state->block));
  }
  TRY(matmul_nbits_check(context, NBITS_BIAS, "bias", state->n, state->n));
  if (zeros != NORMA_UNDEFINED && zeros != NORMA_UINT8 && type != NORMA_UNDEFINED && zeros != type)
    return infer_fail(context, "zero_points are %s, but A is %s", norma_element_type_name(zeros),
                      norma_element_type_name(type));
  shape y = *a;
  if (y.rank > 0) y.dims[y.rank - 1] = state->n;
  infer_output(context, 0, type, &y);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- packing */

/* The zero of a column's block: a number of zero_points. */
static float matmul_nbits_zero(const matmul_nbits_state *state, const norma_tensor *zeros, int64_t column,
                               int64_t block) {
  if (!zeros) return (float)(1 << (state->bits - 1));
  if (zeros->type != NORMA_UINT8)
    return (float)element_get_double(zeros->type, zeros->data, column * state->blocks + block);
  int64_t bit = block * state->bits;
  const uint8_t *bytes = (const uint8_t *)zeros->data + column * matmul_nbits_zero_bytes(state);
  return (float)(bytes[bit / 8] >> (bit % 8) & ((1 << state->bits) - 1));
}

/* A panel; weights: its first column. */
static void matmul_nbits_pack_panel(const struct kernel_table *kernels, const matmul_nbits_state *state,
                                    const norma_tensor *scales, const norma_tensor *zeros, const uint8_t *weights,
                                    int64_t panel, void *packed) {
  float scale[NBITS_MOST_LANES * NBITS_PACK_BLOCKS], zero[NBITS_MOST_LANES * NBITS_PACK_BLOCKS];
  int64_t lanes = (int64_t)kernels->nbits_panel_columns, column = panel * lanes;
  int64_t columns = state->n - column < lanes ? state->n - column : lanes;
  for (int64_t first = 0; first < state->blocks; first += NBITS_PACK_BLOCKS) {
    int64_t count = state->blocks - first < NBITS_PACK_BLOCKS ? state->blocks - first : NBITS_PACK_BLOCKS;
    for (int64_t c = 0; c < columns; c++) {
      elements_to_float(scales->type, scales->data, (column + c) * state->blocks + first, count, scale + c * count);
      for (int64_t b = 0; b < count && zeros; b++)
        zero[c * count + b] = matmul_nbits_zero(state, zeros, column + c, first + b);
    }
    kernels->nbits_pack(&state->nbits, packed, (size_t)panel, (size_t)first, (size_t)count, weights, scale,
                        zeros ? zero : NULL);
  }
}

/* Of constants, read in pieces of whole panels. */
static norma_status matmul_nbits_pack_constant(prepare_context *context, void *destination, const void *argument) {
  const matmul_nbits_state *state = argument;
  int64_t lanes = (int64_t)context->kernels->nbits_panel_columns, panels = divide_up(state->n, lanes);
  int64_t bytes = state->blocks * state->block * state->bits / 8, piece = PREPARE_PIECE_BYTES / (bytes * lanes);
  if (piece < 1) piece = 1;
  for (int64_t first = 0; first < panels; first += piece) {
    int64_t end = first + piece < panels ? first + piece : panels;
    int64_t columns = (end * lanes < state->n ? end * lanes : state->n) - first * lanes;
    const void *weights;
    TRY(prepare_read(context, NBITS_B, first * lanes * bytes, columns * bytes, &weights));
    for (int64_t panel = first; panel < end; panel++)
      matmul_nbits_pack_panel(context->kernels, state, prepare_constant(context, NBITS_SCALES),
                              prepare_constant(context, NBITS_ZEROS),
                              (const uint8_t *)weights + (panel - first) * lanes * bytes, panel, destination);
  }
  return NORMA_OK;
}

struct matmul_nbits_job {
  run_context *context;
  const struct nbits *nbits;
  const float *a; /* rows of float */
  float *y;
  void *packed;
};

static void matmul_nbits_pack_panels(void *argument, int64_t begin, int64_t end, int worker) {
  const struct matmul_nbits_job *job = argument;
  const matmul_nbits_state *state = job->context->state;
  const norma_tensor *b = run_input(job->context, NBITS_B);
  int64_t lanes = (int64_t)job->context->kernels->nbits_panel_columns;
  int64_t bytes = state->blocks * state->block * state->bits / 8;
  (void)worker;
  for (int64_t panel = begin; panel < end; panel++)
    matmul_nbits_pack_panel(job->context->kernels, state, run_input(job->context, NBITS_SCALES),
                            run_input(job->context, NBITS_ZEROS), (const uint8_t *)b->data + panel * lanes * bytes,
                            panel, job->packed);
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

/* Two panels are one of gemm_f32: packed for it, weights are just rows of both. */
static int64_t matmul_nbits_pair_columns(const struct kernel_table *kernels) {
  return 2 * (int64_t)kernels->nbits_panel_columns;
}

/* A chunk of depth for the rows of a block of them; the operands of one call. */
static struct gemm_f32 matmul_nbits_gemm(const matmul_nbits_state *state, int64_t rows, int64_t columns,
                                         int64_t depth) {
  return (struct gemm_f32){
      .m = (size_t)rows, .n = (size_t)columns, .k = (size_t)depth, .c_row_stride = (size_t)state->n};
}

static enum nbits_algorithm matmul_nbits_choose(const prepare_context *context, const matmul_nbits_state *state) {
  if (shape_count(prepare_shape(context, NBITS_B)) == 0) return NBITS_EMPTY;
  if (state->is_indexed) return NBITS_MANY_ROWS;
  if (state->quantizes) return NBITS_BYTES;
  return state->rows <= (int64_t)context->kernels->nbits_few ? NBITS_FEW_ROWS : NBITS_MANY_ROWS;
}

static norma_status matmul_nbits_prepare_packed(prepare_context *context, matmul_nbits_state *state) {
  size_t bytes = context->kernels->nbits_packed_size(&state->nbits);
  bool has_zeros = prepare_shape(context, NBITS_ZEROS)->rank != RANK_UNKNOWN;
  if (state->algorithm == NBITS_EMPTY || state->is_indexed) return NORMA_OK;
  if (!prepare_constant(context, NBITS_B) || !prepare_constant(context, NBITS_SCALES) ||
      (has_zeros && !prepare_constant(context, NBITS_ZEROS))) {
    if (scratch_append(&context->scratch_bytes, bytes, 1, &state->packed_at)) return NORMA_OK;
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the weights are too large");
  }
  TRY(prepare_packed_from(context, 0, bytes, matmul_nbits_pack_constant, state, &state->packed));
  context->packed_inputs |= INPUT(NBITS_B) | INPUT(NBITS_SCALES) | (has_zeros ? INPUT(NBITS_ZEROS) : 0);
  context->packed_for_good |= context->packed_inputs;
  return NORMA_OK;
}

static norma_status matmul_nbits_prepare_scratch(prepare_context *context, matmul_nbits_state *state) {
  const struct kernel_table *kernels = context->kernels;
  size_t *total = &context->scratch_bytes, rows = (size_t)state->rows, k = (size_t)state->k, n = (size_t)state->n;
  size_t element = sizeof(float), inputs, results;
  bool many = state->algorithm == NBITS_MANY_ROWS, converts = is_half(state->type), fits;
  fits = size_multiply(rows, k, &inputs) && size_multiply(rows, n, &results);
  if (fits && converts) fits = scratch_append(total, inputs, element, &state->a_at);
  if (fits && converts) fits = scratch_append(total, results, element, &state->y_at);
  fits = fits && scratch_append(total, n, element, &state->bias_at);
  if (fits && many) fits = scratch_append(total, inputs, element, &state->rows_at); /* A as gemm_f32 packs it */
  if (fits && state->algorithm == NBITS_BYTES)
    fits = scratch_append(total, rows, kernels->nbits_row_size(&state->nbits), &state->rows_at);
  if (fits && many) {
    size_t columns = (size_t)matmul_nbits_pair_columns(kernels);
    struct gemm_f32 gemm = matmul_nbits_gemm(state, NBITS_ROW_BLOCK, (int64_t)columns, (int64_t)kernels->nbits_chunk);
    gemm.packed_a = gemm.packed_b = (const float *)state; /* neither is packed there */
    fits =
        scratch_append(&context->worker_scratch_bytes, kernels->nbits_chunk * columns, element, &state->weights_at) &&
        scratch_append(&context->worker_scratch_bytes, kernels->gemm_f32_scratch_size(&gemm), 1, &state->product_at);
  }
  return fits ? NORMA_OK : prepare_fail(context, NORMA_ERROR_BUDGET, "the matrices are too large");
}

static norma_status matmul_nbits_prepare(prepare_context *context) {
  static const char *const names[] = {"no weights", "few rows", "rows", "bytes"};
  matmul_nbits_state *state = context->state;
  const shape *a = prepare_shape(context, NBITS_A);
  state->type = prepare_type(context, NBITS_A);
  state->rows = dims_product(a->dims, 0, a->rank - 1);
  state->is_indexed = prepare_shape(context, NBITS_GROUPS)->rank != RANK_UNKNOWN;
  state->nbits = (struct nbits){.n = (size_t)state->n,
                                .k = (size_t)state->k,
                                .bits = (size_t)state->bits,
                                .block = (size_t)state->block,
                                .has_zeros = prepare_shape(context, NBITS_ZEROS)->rank != RANK_UNKNOWN,
                                .zero = (float)(1 << (state->bits - 1))};
  state->algorithm = matmul_nbits_choose(context, state);
  context->kernel_name = names[state->algorithm];
  context->flops = 2.0 * (double)state->rows * (double)state->n * (double)state->k;
  if (context->kernels->nbits_panel_columns > NBITS_MOST_LANES)
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "a panel is too wide");
  TRY(matmul_nbits_prepare_packed(context, state));
  return matmul_nbits_prepare_scratch(context, state);
}

/* ---------------------------------------------------------------------------------------------------------- compute */

static void matmul_nbits_few_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const struct matmul_nbits_job *job = argument;
  const matmul_nbits_state *state = job->context->state;
  size_t panels = job->context->kernels->nbits_panels(job->nbits), last = (size_t)end * 4;
  (void)worker;
  job->context->kernels->nbits_few_f32(job->nbits, job->a, (size_t)state->k, (size_t)state->rows, job->y,
                                       (size_t)state->n, (size_t)begin * 4, last < panels ? last : panels);
}

static void matmul_nbits_quantize_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const struct matmul_nbits_job *job = argument;
  const matmul_nbits_state *state = job->context->state;
  const struct kernel_table *kernels = job->context->kernels;
  char *rows = (char *)job->context->scratch + state->rows_at;
  size_t size = kernels->nbits_row_size(job->nbits);
  (void)worker;
  for (int64_t i = begin; i < end; i++)
    kernels->nbits_quantize_row(job->nbits, rows + (size_t)i * size, job->a + i * state->k);
}

static int64_t matmul_nbits_row_blocks(const matmul_nbits_state *state) {
  return divide_up(state->rows, NBITS_ROW_BLOCK);
}

/* Units count blocks of rows, and in each of them panels. */
static void matmul_nbits_bytes(void *argument, int64_t begin, int64_t end, int worker) {
  const struct matmul_nbits_job *job = argument;
  const matmul_nbits_state *state = job->context->state;
  const struct kernel_table *kernels = job->context->kernels;
  const char *rows = (const char *)job->context->scratch + state->rows_at;
  int64_t panels = (int64_t)kernels->nbits_panels(job->nbits), size = (int64_t)kernels->nbits_row_size(job->nbits);
  (void)worker;
  while (begin < end && !run_cancelled(job->context)) {
    int64_t row = begin / panels * NBITS_ROW_BLOCK, panel = begin % panels, left = state->rows - row;
    int64_t last = panel + (end - begin) < panels ? panel + (end - begin) : panels;
    kernels->nbits_run_i8(job->nbits, rows + row * size, (size_t)(left < NBITS_ROW_BLOCK ? left : NBITS_ROW_BLOCK),
                          job->y + row * state->n, (size_t)state->n, (size_t)panel, (size_t)last);
    begin += last - panel;
  }
}

/* Steps first .. first + count - 1 of columns from `column` on, as rows of `width`; by g_idx each step on its own. */
static void matmul_nbits_weights(const struct matmul_nbits_job *job, int64_t column, int64_t width, int64_t first,
                                 int64_t count, float *weights) {
  const matmul_nbits_state *state = job->context->state;
  const struct kernel_table *kernels = job->context->kernels;
  int64_t lanes = (int64_t)kernels->nbits_panel_columns;
  if (!state->is_indexed) {
    for (int64_t c = 0; c < width; c += lanes)
      kernels->nbits_dequantize(job->nbits, (size_t)((column + c) / lanes), (size_t)first, (size_t)count, weights + c,
                                (size_t)width);
    return;
  }
  const norma_tensor *b = run_input(job->context, NBITS_B), *scales = run_input(job->context, NBITS_SCALES);
  const norma_tensor *zeros = run_input(job->context, NBITS_ZEROS);
  const int32_t *groups = run_input(job->context, NBITS_GROUPS)->data;
  for (int64_t c = 0; c < width; c++) {
    int64_t n = column + c;
    for (int64_t p = 0; p < count; p++) {
      int64_t bit = (n * state->blocks * state->block + first + p) * state->bits, group = groups[first + p];
      int number = ((const uint8_t *)b->data)[bit / 8 * (n < state->n)] >> (bit % 8) & ((1 << state->bits) - 1);
      float scale = n < state->n ? (float)element_get_double(scales->type, scales->data, n * state->blocks + group) : 0;
      weights[p * width + c] = n < state->n ? scale * ((float)number - matmul_nbits_zero(state, zeros, n, group)) : 0;
    }
  }
}

/* Units count blocks of rows, and in each of them pairs of panels. */
static void matmul_nbits_many_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const struct matmul_nbits_job *job = argument;
  const matmul_nbits_state *state = job->context->state;
  const struct kernel_table *kernels = job->context->kernels;
  int64_t pair = matmul_nbits_pair_columns(kernels), pairs = divide_up(state->n, pair);
  int64_t chunk = (int64_t)kernels->nbits_chunk, lanes = (int64_t)kernels->nbits_panel_columns;
  char *scratch = run_worker_scratch(job->context, worker);
  float *weights = (float *)(scratch + state->weights_at);
  for (int64_t i = begin; i < end && !run_cancelled(job->context); i++) {
    int64_t row = i / pairs * NBITS_ROW_BLOCK, column = i % pairs * pair;
    int64_t rows = state->rows - row < NBITS_ROW_BLOCK ? state->rows - row : NBITS_ROW_BLOCK;
    int64_t columns = state->n - column < pair ? state->n - column : pair, width = columns <= lanes ? lanes : pair;
    const float *a = (const float *)((const char *)job->context->scratch + state->rows_at) + row * state->k;
    float *c = job->y + row * state->n + column;
    for (int64_t first = 0; first < state->k; first += chunk) {
      int64_t count = state->k - first < chunk ? state->k - first : chunk;
      matmul_nbits_weights(job, column, width, first, count, weights);
      struct gemm_f32 gemm = matmul_nbits_gemm(state, rows, columns, count);
      gemm.packed_a = a + rows * first;
      gemm.packed_b = weights;
      gemm.c = c;
      if (first + count == state->k && job->nbits->bias) gemm.epilogue.column_bias = job->nbits->bias + column;
      if (first > 0) {
        gemm.epilogue.residual = c;
        gemm.epilogue.residual_stride = (size_t)state->n;
      }
      kernels->gemm_f32_run(&gemm, 0, kernels->gemm_f32_row_panels((size_t)rows), 0,
                            kernels->gemm_f32_column_panels((size_t)columns), scratch + state->product_at);
    }
  }
}

/* Blocks of rows of A, each chunk of depth as gemm_f32 packs it. */
static void matmul_nbits_pack_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const struct matmul_nbits_job *job = argument;
  const matmul_nbits_state *state = job->context->state;
  int64_t chunk = (int64_t)job->context->kernels->nbits_chunk, k = state->k;
  float *packed = (float *)((char *)job->context->scratch + state->rows_at);
  (void)worker;
  for (int64_t block = begin; block < end; block++) {
    int64_t row = block * NBITS_ROW_BLOCK, left = state->rows - row,
            rows = left < NBITS_ROW_BLOCK ? left : NBITS_ROW_BLOCK;
    for (int64_t first = 0; first < k; first += chunk) {
      int64_t count = k - first < chunk ? k - first : chunk;
      job->context->kernels->gemm_f32_pack_a(packed + row * k + rows * first, job->a + row * k + first, (size_t)rows,
                                             (size_t)count, (size_t)k, 1);
    }
  }
}

static norma_status matmul_nbits_multiply(run_context *context, struct matmul_nbits_job *job) {
  const matmul_nbits_state *state = context->state;
  const struct kernel_table *kernels = context->kernels;
  int64_t panels = (int64_t)kernels->nbits_panels(job->nbits), blocks = matmul_nbits_row_blocks(state);
  double k = (double)state->k, lanes = (double)kernels->nbits_panel_columns, rows = (double)state->rows;
  if (!state->packed && !state->is_indexed)
    TRY(run_parallel(context, panels, work_grain(WORK_ELEMENT * lanes * k), matmul_nbits_pack_panels, job));
  if (state->algorithm == NBITS_FEW_ROWS)
    return run_parallel(context, divide_up(panels, 4), work_grain(2 * (rows + 2) * k * 4 * lanes),
                        matmul_nbits_few_rows, job);
  double of_block = rows < NBITS_ROW_BLOCK ? rows : NBITS_ROW_BLOCK;
  if (state->algorithm == NBITS_BYTES) {
    TRY(run_parallel(context, state->rows, work_grain(WORK_ELEMENT * k), matmul_nbits_quantize_rows, job));
    return run_parallel(context, blocks * panels, work_grain((of_block + 2) * k * lanes), matmul_nbits_bytes, job);
  }
  TRY(run_parallel(context, blocks, work_grain(WORK_ELEMENT * of_block * k), matmul_nbits_pack_rows, job));
  int64_t pairs = divide_up(state->n, matmul_nbits_pair_columns(kernels));
  return run_parallel(context, blocks * pairs, work_grain(2 * (of_block + 4) * k * 2 * lanes), matmul_nbits_many_rows,
                      job);
}

/* Y without weights. */
static void matmul_nbits_fill(const matmul_nbits_state *state, const float *bias, float *y) {
  for (int64_t i = 0; i < state->rows * state->n; i++) y[i] = bias ? bias[i % state->n] : 0;
}

static norma_status matmul_nbits_check_groups(run_context *context) {
  const matmul_nbits_state *state = context->state;
  const norma_tensor *groups = run_input(context, NBITS_GROUPS);
  for (int64_t i = 0; i < state->k && state->is_indexed; i++) {
    int32_t group = ((const int32_t *)groups->data)[i];
    if (group < 0 || group >= state->blocks)
      return run_fail(context, NORMA_ERROR_RUN, "g_idx names block %d of %" PRId64, (int)group, state->blocks);
  }
  return NORMA_OK;
}

static norma_status matmul_nbits_compute(run_context *context) {
  const matmul_nbits_state *state = context->state;
  const norma_tensor *a = run_input(context, NBITS_A), *bias = run_input(context, NBITS_BIAS);
  norma_tensor *y = run_output(context, 0);
  char *scratch = context->scratch;
  bool converts = is_half(state->type);
  struct nbits nbits = state->nbits;
  struct matmul_nbits_job job = {.context = context, .nbits = &nbits, .a = a->data, .y = y->data};
  if (state->rows == 0) return NORMA_OK;
  if (state->algorithm != NBITS_EMPTY) TRY(matmul_nbits_check_groups(context));
  nbits.packed = state->packed;
  if (!state->packed) nbits.packed = job.packed = scratch + state->packed_at;
  if (converts) {
    half_to_float(context->kernels, state->type, (float *)(scratch + state->a_at), a->data, state->rows * state->k);
    job.a = (const float *)(scratch + state->a_at);
    job.y = (float *)(scratch + state->y_at);
  }
  if (bias) {
    float_from(context->kernels, bias->type, (float *)(scratch + state->bias_at), bias->data, state->n);
    nbits.bias = (const float *)(scratch + state->bias_at);
  }
  if (state->algorithm == NBITS_EMPTY)
    matmul_nbits_fill(state, nbits.bias, job.y);
  else
    TRY(matmul_nbits_multiply(context, &job));
  if (converts) half_from_float(context->kernels, state->type, y->data, job.y, state->rows * state->n);
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------- descriptor */

static const operator_attribute matmul_nbits_attributes[] = {
    {"K", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"N", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"accuracy_level", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"bits", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"block_size", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"weight_prepacked", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

/* All but the last are those of A. */
static bool matmul_nbits_dimension(const node *node, int output, int axis, dimension_source *source) {
  const shape *a = node_input_shape(node, NBITS_A);
  (void)output;
  if (a->rank == RANK_UNKNOWN || axis >= a->rank - 1) return false;
  *source = (dimension_source){.input = NBITS_A, .axis = axis, .stride = 1};
  return true;
}

#define TYPES_NBITS (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16))

const operator_descriptor operators_matmul_nbits[] = {
    {
        .domain = "com.microsoft",
        .name = "MatMulNBits",
        .versions = {1},
        .min_inputs = 3,
        .max_inputs = 6,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_NBITS, INPUT(NBITS_A) | INPUT(NBITS_SCALES) | INPUT(NBITS_BIAS), OUTPUT(0)},
                  {TYPE_BIT(NORMA_UINT8), INPUT(NBITS_B), 0},
                  {TYPES_NBITS | TYPE_BIT(NORMA_UINT8), INPUT(NBITS_ZEROS), 0},
                  {TYPE_BIT(NORMA_INT32), INPUT(NBITS_GROUPS), 0}},
        .attributes = matmul_nbits_attributes,
        .state_size = sizeof(matmul_nbits_state),
        .read = matmul_nbits_read,
        .infer = matmul_nbits_infer,
        .prepare = matmul_nbits_prepare,
        .facts = {.dimension = matmul_nbits_dimension,
                  .packs = INPUT(NBITS_B) | INPUT(NBITS_SCALES) | INPUT(NBITS_ZEROS),
                  .packs_alone = INPUT(NBITS_B) | INPUT(NBITS_SCALES) | INPUT(NBITS_ZEROS),
                  .weights = INPUT(NBITS_B)},
        .compute = matmul_nbits_compute,
    },
    {0},
};
