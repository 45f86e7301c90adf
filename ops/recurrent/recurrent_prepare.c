/* Recurrent operators' plans: weights are packed, the walk over time is cut, scratch is laid out. */
#include "ops/recurrent/recurrent_plan.h"

#include "ops/half.h"
#include "ops/work.h"

/* Keys of what prepare_packed keeps. */
enum recurrent_packed { RECURRENT_PACKED_W, RECURRENT_PACKED_R, RECURRENT_PACKED_B, RECURRENT_PACKED_P };

/* Inputs of a block of time: half of a small second-level cache, but enough rows to keep the multipliers busy. */
#define RECURRENT_BLOCK_BYTES (1 << 20)
#define RECURRENT_BLOCK_ROWS  64

/* ---------------------------------------------------------------------------------------------------------- packing */

static size_t packed_size(const struct kernel_table *kernels, const recurrent_state *state, int64_t depth,
                          int64_t columns) {
  if (state->is_quantized) return recurrent_bytes_packed_size(kernels, depth, columns);
  return (state->in_double ? kernels->gemm_f64_packed_b_size : kernels->gemm_f32_packed_b_size)((size_t)depth,
                                                                                                (size_t)columns);
}

int recurrent_list_matrices(const recurrent_state *state, int input, recurrent_matrix *matrices) {
  const bool is_r = input == RECURRENT_R;
  const int64_t depth = is_r ? state->hidden : state->inputs;
  int count = 0;
  for (int d = 0; d < state->directions; d++) {
    const size_t at = (size_t)d * (is_r ? state->packed_r_size : state->packed_w_size);
    const int64_t first = d * state->width * depth;
    if (!is_r) {
      matrices[count++] = (recurrent_matrix){first, state->width, depth, at};
      continue;
    }
    for (int p = 0; p < state->phase_count; p++) {
      const recurrent_phase *phase = &state->phases[p];
      matrices[count++] = (recurrent_matrix){.first = first + phase->first_gate * state->hidden * depth,
                                             .rows = phase->gates * state->hidden,
                                             .depth = depth,
                                             .at = at + phase->packed_at};
    }
  }
  return count;
}

/* Half precision is converted a few columns of B at a time, and of these a part of the depth. */
static void pack_half_rows(const struct kernel_table *kernels, norma_element_type type, const recurrent_matrix *matrix,
                           const uint16_t *source, int64_t row, int64_t count, float *packed) {
  float converted[8192];
  const int64_t panel = (int64_t)kernels->gemm_f32_tile_columns, most = 8192 / panel;
  for (int64_t i = 0; i < count; i += panel) {
    const int64_t columns = count - i < panel ? count - i : panel;
    for (int64_t p = 0; p < matrix->depth; p += most) {
      const int64_t depth = matrix->depth - p < most ? matrix->depth - p : most;
      for (int64_t c = 0; c < columns; c++) {
        half_to_float(kernels, type, converted + c * depth, source + (i + c) * matrix->depth + p, depth);
      }
      const struct gemm_part part = {.k = (size_t)matrix->depth,
                                     .n = (size_t)matrix->rows,
                                     .row = (size_t)p,
                                     .rows = (size_t)depth,
                                     .column = (size_t)(row + i),
                                     .columns = (size_t)columns};
      kernels->gemm_f32_pack_b_part(packed, converted, &part, 1, (size_t)depth);
    }
  }
}

void recurrent_pack_rows(const struct kernel_table *kernels, norma_element_type type, const recurrent_matrix *matrix,
                         const void *source, int64_t row, int64_t count, void *packed) {
  const size_t depth = (size_t)matrix->depth, rows = (size_t)matrix->rows;
  if (type == NORMA_DOUBLE) {
    kernels->gemm_f64_pack_b((double *)packed + matrix->at, source, depth, rows, 1, depth);
  } else if (is_half(type)) {
    pack_half_rows(kernels, type, matrix, source, row, count, (float *)packed + matrix->at);
  } else {
    const struct gemm_part part = {
        .k = depth, .n = rows, .rows = depth, .column = (size_t)row, .columns = (size_t)count};
    kernels->gemm_f32_pack_b_part((float *)packed + matrix->at, source, &part, 1, depth);
  }
}

/* Rows that are read and packed together: all of double, else pieces that end at panels of columns. */
static int64_t rows_of_piece(const struct kernel_table *kernels, const recurrent_state *state,
                             const recurrent_matrix *matrix) {
  if (state->in_double) return matrix->rows;
  const int64_t panel = (int64_t)kernels->gemm_f32_tile_columns, depth = matrix->depth ? matrix->depth : 1;
  const int64_t piece = PREPARE_PIECE_BYTES / (int64_t)sizeof(float) / depth / panel * panel;
  return piece < panel ? panel : piece;
}

struct recurrent_packing {
  const recurrent_state *state;
  int input;
};

static norma_status fill_quantized(prepare_context *context, void *destination, const void *argument) {
  const struct recurrent_packing *packing = argument;
  recurrent_bytes_pack(context->kernels, packing->state, packing->input, prepare_constant(context, packing->input),
                       destination);
  return NORMA_OK;
}

static norma_status recurrent_fill_weights(prepare_context *context, void *destination, const void *argument) {
  const struct recurrent_packing *packing = argument;
  recurrent_matrix matrices[RECURRENT_MOST_MATRICES];
  const int count = recurrent_list_matrices(packing->state, packing->input, matrices);
  for (int m = 0; m < count; m++) {
    const recurrent_matrix *matrix = &matrices[m];
    const int64_t piece = rows_of_piece(context->kernels, packing->state, matrix);
    for (int64_t row = 0; row < matrix->rows; row += piece) {
      const int64_t rows = matrix->rows - row < piece ? matrix->rows - row : piece;
      const void *data;
      TRY(prepare_read(context, packing->input, matrix->first + row * matrix->depth, rows * matrix->depth, &data));
      recurrent_pack_rows(context->kernels, packing->state->type, matrix, data, row, rows, destination);
    }
  }
  return NORMA_OK;
}

void recurrent_fill_bias(const recurrent_state *state, const void *source, void *destination) {
  const int64_t width = state->width, hidden = state->hidden;
  const size_t real = state->real_bytes;
  const bool splits = !state->phases[state->phase_count - 1].adds_inputs; /* the last gate's biases stay apart */
  char *recurrent = (char *)destination + (size_t)(state->directions * width) * real;
  for (int d = 0; d < state->directions; d++) {
    char *sum = (char *)destination + (size_t)(d * width) * real;
    for (int64_t i = 0; i < width; i++) {
      const int64_t at = 2 * width * d + i;
      const double w = element_get_double(state->type, source, at);
      const double r = element_get_double(state->type, source, at + width);
      const bool is_apart = splits && i >= width - hidden;
      const double value = is_apart ? w : state->in_double ? w + r : (double)((float)w + (float)r);
      element_set_double(state->in_double ? NORMA_DOUBLE : NORMA_FLOAT, sum, i, value);
      if (!is_apart) continue;
      element_set_double(state->in_double ? NORMA_DOUBLE : NORMA_FLOAT, recurrent, d * hidden + i - (width - hidden),
                         r);
    }
  }
}

static norma_status fill_bias(prepare_context *context, void *destination, const void *argument) {
  const struct recurrent_packing *packing = argument;
  const recurrent_state *state = packing->state;
  const void *data;
  TRY(prepare_read(context, RECURRENT_B, 0, 2 * state->directions * state->width, &data));
  recurrent_fill_bias(state, data, destination);
  return NORMA_OK;
}

void recurrent_fill_peepholes(const struct kernel_table *kernels, const recurrent_state *state, const void *source,
                              void *destination) {
  const int64_t count = 3 * state->directions * state->hidden;
  if (state->in_double) {
    if (count) memcpy(destination, source, (size_t)count * sizeof(double));
  } else {
    float_from(kernels, state->type, destination, source, count);
  }
}

static norma_status fill_peepholes(prepare_context *context, void *destination, const void *argument) {
  const struct recurrent_packing *packing = argument;
  const void *data;
  TRY(prepare_read(context, RECURRENT_P, 0, 3 * packing->state->directions * packing->state->hidden, &data));
  recurrent_fill_peepholes(context->kernels, packing->state, data, destination);
  return NORMA_OK;
}

/* `count` elements made of input `input`: once per model where it is constant, else in scratch. */
static norma_status prepare_part(prepare_context *context, int input, uint64_t key, size_t count, prepare_fill fill,
                                 const void **packed, size_t *at) {
  const recurrent_state *state = context->state;
  size_t bytes;
  *packed = NULL;
  if (input >= context->input_count || !context->inputs[input]) return NORMA_OK;
  if (!size_multiply(count, state->real_bytes, &bytes)) {
    return prepare_fail(context, NORMA_ERROR_BUDGET, "input %d is too large", input);
  }
  if (prepare_constant(context, input)) {
    const struct recurrent_packing packing = {state, input};
    context->packed_inputs |= INPUT(input);
    context->packed_for_good |= INPUT(input);
    return prepare_packed_from(context, key, bytes, fill, &packing, packed);
  }
  if (scratch_append(&context->scratch_bytes, count, state->real_bytes, at)) return NORMA_OK;
  return prepare_fail(context, NORMA_ERROR_BUDGET, "input %d is too large", input);
}

size_t recurrent_bias_size(const recurrent_state *state) {
  return (size_t)(state->directions * (state->width + state->hidden));
}

static norma_status prepare_parts(prepare_context *context) {
  recurrent_state *state = context->state;
  const size_t directions = (size_t)state->directions;
  state->packed_w_size = packed_size(context->kernels, state, state->inputs, state->width);
  state->packed_r_size = 0;
  for (int p = 0; p < state->phase_count; p++) {
    recurrent_phase *phase = &state->phases[p];
    phase->packed_at = state->packed_r_size;
    state->packed_r_size += packed_size(context->kernels, state, state->hidden, phase->gates * state->hidden);
  }
  const prepare_fill fill_weights = state->is_quantized ? fill_quantized : recurrent_fill_weights;
  TRY(prepare_part(context, RECURRENT_W, RECURRENT_PACKED_W, directions * state->packed_w_size, fill_weights,
                   &state->packed_w, &state->w_at));
  TRY(prepare_part(context, RECURRENT_R, RECURRENT_PACKED_R, directions * state->packed_r_size, fill_weights,
                   &state->packed_r, &state->r_at));
  TRY(prepare_part(context, RECURRENT_B, RECURRENT_PACKED_B, recurrent_bias_size(state), fill_bias, &state->bias,
                   &state->bias_at));
  if (!state->form.has_cell) return NORMA_OK;
  return prepare_part(context, RECURRENT_P, RECURRENT_PACKED_P, 3 * directions * (size_t)state->hidden, fill_peepholes,
                      &state->peepholes, &state->peepholes_at);
}

/* ------------------------------------------------------------------------------------------------------------- walk */

/* Steps whose inputs are multiplied together. */
static int64_t steps_of_block(const recurrent_state *state) {
  const double step_bytes = (double)state->batch * (double)state->width * (double)state->real_bytes;
  int64_t steps = (int64_t)(RECURRENT_BLOCK_BYTES / step_bytes);
  const int64_t least = divide_up(RECURRENT_BLOCK_ROWS, state->batch);
  if (steps < least) steps = least;
  return steps < state->steps ? steps : state->steps;
}

/* Workers walk through time on their own, each with some rows of one direction; where that leaves too many without
 * work, and a step is worth waking them, they share each step. */
static void cut_walk(const prepare_context *context, recurrent_state *state) {
  const double row_cost = 2.0 * (double)state->width * (double)state->hidden;
  const double walk_cost = row_cost * (double)state->block_steps;
  int64_t per_direction = divide_up(context->workers, state->directions);
  if ((double)per_direction * WORK_LEAST > walk_cost * (double)state->batch) per_direction = 1;
  if (per_direction > state->batch) per_direction = state->batch;
  if (state->is_quantized) per_direction = 1; /* the states of a step have one range */
  state->unit_rows = divide_up(state->batch, per_direction);
  state->units = state->directions * divide_up(state->batch, state->unit_rows);
  /* A single row waits for memory rather than compute. */
  const double step_cost = row_cost * ((double)state->batch + 8) * state->directions;
  state->splits_steps = !state->in_double && 2 * state->units <= context->workers && step_cost > 8 * WORK_LEAST;
  if (state->splits_steps) state->unit_rows = state->batch;
}

static norma_status lay_out_scratch(prepare_context *context, recurrent_state *state) {
  const size_t real = state->real_bytes, rows = (size_t)state->batch, hidden = (size_t)state->hidden;
  const size_t all = (size_t)state->directions * rows, block = rows * (size_t)state->block_steps;
  const bool has_reset = state->phase_count > 1 || state->phases[0].of_reset;
  size_t *total = &context->scratch_bytes, states = 0, gates = 0, inputs = 0, x = 0;
  const bool fits =
      size_multiply(all, hidden, &states) && size_multiply(all, (size_t)state->width, &gates) &&
      size_multiply(gates, (size_t)state->block_steps, &inputs) &&
      size_multiply(state->copies_x ? block : 0, (size_t)state->inputs * state->directions, &x) &&
      scratch_append(total, x, real, &state->x_at) && scratch_append(total, inputs, real, &state->inputs_at) &&
      scratch_append(total, gates, real, &state->gates_at) && scratch_append(total, states, real, &state->h_at) &&
      scratch_append(total, state->form.has_cell ? states : 0, real, &state->c_at) &&
      scratch_append(total, has_reset ? states : 0, real, &state->reset_at) &&
      scratch_append(total, states, real, &state->spare_at) &&
      (!state->is_quantized || recurrent_bytes_lay_out(state, total));
  return fits ? NORMA_OK : prepare_fail(context, NORMA_ERROR_BUDGET, "the sequences are too large");
}

/* The most that any of the products needs, for any number of rows. */
static size_t product_scratch(const struct kernel_table *kernels, const recurrent_state *state, int64_t rows,
                              int64_t depth, int64_t columns) {
  static const char packed; /* never read */
  if (state->is_quantized) return recurrent_bytes_scratch(kernels, rows, depth, columns);
  if (state->in_double) {
    const struct gemm_f64 gemm = {.m = (size_t)rows,
                                  .n = (size_t)columns,
                                  .k = (size_t)depth,
                                  .a_row_stride = (size_t)depth,
                                  .a_column_stride = 1,
                                  .packed_b = (const void *)&packed};
    return kernels->gemm_f64_scratch_size(&gemm);
  }
  const struct gemm_f32 gemm = {.m = (size_t)rows,
                                .n = (size_t)columns,
                                .k = (size_t)depth,
                                .a_row_stride = (size_t)depth,
                                .a_column_stride = 1,
                                .packed_b = (const void *)&packed};
  return kernels->gemm_f32_scratch_size(&gemm);
}

norma_status recurrent_prepare(prepare_context *context) {
  recurrent_state *state = context->state;
  const shape *x = prepare_shape(context, RECURRENT_X), *r = prepare_shape(context, RECURRENT_R);
  state->type = prepare_type(context, RECURRENT_X);
  state->in_double = state->type == NORMA_DOUBLE;
  state->real_bytes = state->in_double ? sizeof(double) : sizeof(float);
  state->steps = x->dims[state->batch_first];
  state->batch = x->dims[!state->batch_first];
  state->inputs = x->dims[2];
  state->hidden = r->dims[state->is_quantized ? 1 : 2];
  state->width = state->form.gates * state->hidden;
  state->copies_x = is_half(state->type) || state->is_quantized || (state->batch_first && state->batch > 1);
  context->flops = 2.0 * (double)state->steps * (double)state->batch * (double)state->directions *
                   (double)state->width * (double)(state->inputs + state->hidden);
  context->kernel_name = "empty";
  TRY(prepare_parts(context));
  if (state->batch == 0 || state->hidden == 0) return NORMA_OK;
  state->workers = context->workers;
  state->block_steps = steps_of_block(state);
  cut_walk(context, state);
  TRY(lay_out_scratch(context, state));
  const size_t of_inputs =
      product_scratch(context->kernels, state, state->block_steps * state->batch, state->inputs, state->width);
  const size_t of_states = product_scratch(context->kernels, state, state->batch, state->hidden, state->width);
  context->worker_scratch_bytes = of_inputs > of_states ? of_inputs : of_states;
  context->kernel_name = state->splits_steps ? "shared steps" : state->packed_r ? "packed" : "packed in the run";
  return NORMA_OK;
}
