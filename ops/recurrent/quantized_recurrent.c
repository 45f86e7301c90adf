/* What quantised weights add to recurrent operators: rounding what they are multiplied with, and products of 8 bits. */
#include "ops/recurrent/recurrent_plan.h"
#include "ops/work.h"

#include <math.h>

/* ---------------------------------------------------------------------------------------------------------- packing */

size_t recurrent_bytes_packed_size(const struct kernel_table *kernels, int64_t depth, int64_t columns) {
  const size_t bytes = kernels->gemm_i8_packed_b_size((size_t)depth, (size_t)columns);
  return size_align(bytes, MEMORY_ALIGNMENT) / sizeof(float);
}

void recurrent_bytes_pack(const struct kernel_table *kernels, const recurrent_state *state, int input,
                          const norma_tensor *weights, void *packed) {
  recurrent_matrix matrices[RECURRENT_MOST_MATRICES];
  const int count = recurrent_list_matrices(state, input, matrices);
  for (int m = 0; m < count; m++) {
    const recurrent_matrix *matrix = &matrices[m];
    const size_t columns = (size_t)matrix->rows;
    kernels->gemm_i8_pack_b((float *)packed + matrix->at, (const char *)weights->data + matrix->first, weights->type,
                            (size_t)matrix->depth, columns, (size_t)state->width, 1, 0,
                            kernels->gemm_i8_column_panels(columns));
  }
}

/* --------------------------------------------------------------------------------------------------------- products */

static struct gemm_i8 recurrent_bytes_gemm(const recurrent_product *product, norma_element_type weights) {
  return (struct gemm_i8){.m = (size_t)product->rows,
                          .n = (size_t)product->columns,
                          .k = (size_t)product->depth,
                          .a_type = NORMA_UINT8,
                          .b_type = weights,
                          .c_type = NORMA_FLOAT,
                          .a = product->a,
                          .a_row_stride = (size_t)product->depth,
                          .a_column_stride = 1,
                          .packed_b = product->packed,
                          .c = product->c,
                          .c_row_stride = (size_t)product->c_stride,
                          .a_zero = product->a_zero,
                          .b_zero = product->b_zero,
                          .b_zero_stride = 1,
                          .scale = product->scale,
                          .scale_stride = 1,
                          .epilogue = {.column_bias = product->bias,
                                       .residual = product->addend,
                                       .residual_stride = (size_t)product->addend_stride}};
}

size_t recurrent_bytes_scratch(const struct kernel_table *kernels, int64_t rows, int64_t depth, int64_t columns) {
  static const char packed; /* never read */
  const recurrent_product product = {.rows = rows, .columns = columns, .depth = depth, .packed = &packed};
  const struct gemm_i8 gemm = recurrent_bytes_gemm(&product, NORMA_INT8);
  return kernels->gemm_i8_scratch_size(&gemm);
}

/* W and R may differ in type; which of them is multiplied shows in what is added. */
void recurrent_bytes_multiply(const recurrent_walk *walk, const recurrent_product *product, const int64_t rows[2],
                              const int64_t columns[2], int worker) {
  const norma_tensor *weights = run_input(walk->context, product->addend ? RECURRENT_R : RECURRENT_W);
  const struct gemm_i8 gemm = recurrent_bytes_gemm(product, weights->type);
  walk->context->kernels->gemm_i8_run(&gemm, (size_t)rows[0], (size_t)rows[1], (size_t)columns[0], (size_t)columns[1],
                                      run_worker_scratch(walk->context, worker));
}

/* ----------------------------------------------------------------------------------------------------------- ranges */

typedef struct recurrent_range {
  float least, largest; /* NaN where there is one */
} recurrent_range;

static recurrent_range recurrent_range_with(const struct kernel_table *kernels, recurrent_range range, const float *x,
                                            int64_t n) {
  const float low = n ? kernels->reduce_f32[REDUCE_MIN](x, (size_t)n) : 0;
  const float high = n ? kernels->reduce_f32[REDUCE_MAX](x, (size_t)n) : 0;
  if (isnan(low) || low < range.least) range.least = low;
  if (isnan(high) || high > range.largest) range.largest = high;
  return range;
}

/* Steps behind a sample's length count for nothing. */
static void recurrent_bytes_find_ranges(void *argument, int64_t begin, int64_t end, int worker) {
  const recurrent_walk *walk = argument;
  const recurrent_state *state = walk->state;
  const float *x = run_input(walk->context, RECURRENT_X)->data;
  (void)worker;
  for (int64_t row = begin; row < end; row++) {
    const int64_t steps = walk->lengths ? walk->lengths[row] : state->steps;
    recurrent_range range = {0, 0};
    for (int64_t s = 0; s < steps; s++) {
      range = recurrent_range_with(walk->context->kernels, range, x + (s * state->batch + row) * state->inputs,
                                   state->inputs);
    }
    walk->bytes.ranges[2 * row] = range.least;
    walk->bytes.ranges[2 * row + 1] = range.largest;
  }
}

static void recurrent_bytes_quantize(const recurrent_walk *walk, const float *x, uint8_t *y, int64_t n, float scale,
                                     int32_t zero) {
  walk->context->kernels->quantize_f32(y, x, (size_t)n, scale, zero, NORMA_UINT8);
}

void recurrent_bytes_take_x(const recurrent_walk *walk, const float *x, uint8_t *y) {
  recurrent_bytes_quantize(walk, x, y, walk->state->inputs, walk->bytes.x.scale, walk->bytes.x.zero);
}

void recurrent_bytes_take_h(const recurrent_walk *walk, int direction, int64_t time) {
  const recurrent_state *state = walk->state;
  const int64_t first = direction * state->batch, width = state->width;
  const float *h = (const float *)(const void *)walk->cells.h + first * state->hidden;
  uint8_t *rounded = (uint8_t *)walk->cells.reset + first * state->hidden;
  recurrent_range range = {0, 0};
  for (int64_t row = 0; row < state->batch; row++) {
    if (!recurrent_takes_part(walk, row, time)) continue;
    range = recurrent_range_with(walk->context->kernels, range, h + row * state->hidden, state->hidden);
  }
  const dynamic_quantization found = dynamic_quantization_of(range.least, range.largest);
  recurrent_bytes_quantize(walk, h, rounded, state->batch * state->hidden, found.scale, found.zero);
  walk->bytes.h_zero[direction] = found.zero;
  walk->context->kernels->binary_right_scalar_f32[BINARY_MUL](
      walk->bytes.h_scale + direction * width, walk->bytes.r_scale + direction * width, found.scale, (size_t)width);
}

/* ------------------------------------------------------------------------------------------------------------- open */

#define RECURRENT_BYTE_PARAMETERS 5 /* arrays by direction and column */

bool recurrent_bytes_lay_out(recurrent_state *state, size_t *total) {
  const size_t columns = (size_t)(state->directions * state->width);
  return columns <= SIZE_MAX / RECURRENT_BYTE_PARAMETERS - 1 &&
         scratch_append(total, 2 * (size_t)state->batch, sizeof(float), &state->ranges_at) &&
         scratch_append(total, RECURRENT_BYTE_PARAMETERS * columns + 2, sizeof(float), &state->parameters_at);
}

/* One number for each column of each direction, from these or from one for a direction; times `factor`. */
static void recurrent_bytes_spread(const recurrent_walk *walk, int input, float factor, float *numbers) {
  const norma_tensor *given = run_input(walk->context, input);
  const int64_t width = walk->state->width, each = norma_tensor_count(given) / walk->state->directions;
  for (int64_t i = 0; i < walk->state->directions * width; i++) {
    const int64_t place = each == 1 ? i / width : i;
    numbers[i] = (float)element_get_double(given->type, given->data, place) * factor;
  }
}

static void recurrent_bytes_spread_zeros(const recurrent_walk *walk, int input, int32_t *numbers) {
  const norma_tensor *given = run_input(walk->context, input);
  const int64_t width = walk->state->width, each = norma_tensor_count(given) / walk->state->directions;
  for (int64_t i = 0; i < walk->state->directions * width; i++)
    numbers[i] = (int32_t)element_get_int64(given->type, given->data, each == 1 ? i / width : i);
}

norma_status recurrent_bytes_open(recurrent_walk *walk) {
  const recurrent_state *state = walk->state;
  const int64_t columns = state->directions * state->width;
  recurrent_bytes *bytes = &walk->bytes;
  char *scratch = walk->context->scratch;
  float *scales = (float *)(void *)(scratch + state->parameters_at), *r_scale = scales + 2 * columns;
  int32_t *zeros = (int32_t *)(void *)(scales + 3 * columns);
  *bytes = (recurrent_bytes){.ranges = (float *)(void *)(scratch + state->ranges_at),
                             .w_scale = scales,
                             .h_scale = scales + columns,
                             .r_scale = r_scale,
                             .w_zero = zeros,
                             .r_zero = zeros + columns,
                             .h_zero = zeros + 2 * columns};
  const double cost = WORK_ELEMENT * (double)state->steps * (double)state->inputs;
  TRY(run_parallel(walk->context, state->batch, work_grain(cost), recurrent_bytes_find_ranges, walk));
  const recurrent_range all =
      recurrent_range_with(walk->context->kernels, (recurrent_range){0, 0}, bytes->ranges, 2 * state->batch);
  bytes->x = dynamic_quantization_of(all.least, all.largest);
  recurrent_bytes_spread(walk, RECURRENT_W_SCALE, bytes->x.scale, bytes->w_scale);
  recurrent_bytes_spread(walk, RECURRENT_R_SCALE, 1, r_scale);
  recurrent_bytes_spread_zeros(walk, RECURRENT_W_ZERO, zeros);
  recurrent_bytes_spread_zeros(walk, RECURRENT_R_ZERO, zeros + columns);
  return NORMA_OK;
}
