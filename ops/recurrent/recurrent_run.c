/* Recurrent operators' runs: the walk over time. */
#include "ops/half.h"
#include "ops/recurrent/recurrent_plan.h"
#include "ops/work.h"

static size_t real_offset(const recurrent_state *state, int64_t elements) {
  return (size_t)elements * state->real_bytes;
}

static bool is_reverse(const recurrent_state *state, int direction) {
  return direction == 1 || state->first_is_reverse;
}

/* The first point in time of the block, which is contiguous in either direction. */
static int64_t block_time(const recurrent_walk *walk, int direction) {
  const recurrent_state *state = walk->state;
  return is_reverse(state, direction) ? state->steps - walk->block - walk->block_steps : walk->block;
}

static int64_t step_time(const recurrent_walk *walk, int direction, int64_t step) {
  return is_reverse(walk->state, direction) ? walk->state->steps - 1 - step : step;
}

/* --------------------------------------------------------------------------------------------------------- products */

static void multiply_floats(const recurrent_walk *walk, const recurrent_product *product, const int64_t rows[2],
                            const int64_t columns[2], int worker) {
  const struct gemm_f32 gemm = {.m = (size_t)product->rows,
                                .n = (size_t)product->columns,
                                .k = (size_t)product->depth,
                                .a = product->a,
                                .a_row_stride = (size_t)product->depth,
                                .a_column_stride = 1,
                                .packed_b = product->packed,
                                .c = product->c,
                                .c_row_stride = (size_t)product->c_stride,
                                .epilogue = {.column_bias = product->bias,
                                             .residual = product->addend,
                                             .residual_stride = (size_t)product->addend_stride}};
  walk->context->kernels->gemm_f32_run(&gemm, (size_t)rows[0], (size_t)rows[1], (size_t)columns[0], (size_t)columns[1],
                                       run_worker_scratch(walk->context, worker));
}

/* The kernel knows no addend; `columns` are all. */
static void multiply_doubles(const recurrent_walk *walk, const recurrent_product *product, const int64_t rows[2],
                             const int64_t columns[2], int worker) {
  const struct gemm_f64 gemm = {.m = (size_t)product->rows,
                                .n = (size_t)product->columns,
                                .k = (size_t)product->depth,
                                .a = product->a,
                                .a_row_stride = (size_t)product->depth,
                                .a_column_stride = 1,
                                .packed_b = product->packed,
                                .c = product->c,
                                .c_row_stride = (size_t)product->c_stride,
                                .column_bias = product->bias};
  walk->context->kernels->gemm_f64_run(&gemm, (size_t)rows[0], (size_t)rows[1], (size_t)columns[0], (size_t)columns[1],
                                       run_worker_scratch(walk->context, worker));
  for (int64_t i = 0; product->addend && i < product->rows; i++) {
    double *sums = (double *)product->c + i * product->c_stride;
    const double *addends = (const double *)product->addend + i * product->addend_stride;
    for (int64_t j = 0; j < product->columns; j++) sums[j] += addends[j];
  }
}

static int64_t count_row_panels(const recurrent_walk *walk, int64_t rows) {
  const struct kernel_table *kernels = walk->context->kernels;
  if (walk->state->is_quantized) return (int64_t)kernels->gemm_i8_row_panels((size_t)rows);
  return (int64_t)(walk->state->in_double ? kernels->gemm_f64_row_panels : kernels->gemm_f32_row_panels)((size_t)rows);
}

static int64_t count_column_panels(const recurrent_walk *walk, int64_t columns) {
  const struct kernel_table *kernels = walk->context->kernels;
  if (walk->state->is_quantized) return (int64_t)kernels->gemm_i8_column_panels((size_t)columns);
  return (int64_t)(walk->state->in_double ? kernels->gemm_f64_column_panels
                                          : kernels->gemm_f32_column_panels)((size_t)columns);
}

static void multiply(const recurrent_walk *walk, const recurrent_product *product, const int64_t rows[2],
                     const int64_t columns[2], int worker) {
  const recurrent_state *state = walk->state;
  (state->is_quantized ? recurrent_bytes_multiply
   : state->in_double  ? multiply_doubles
                       : multiply_floats)(walk, product, rows, columns, worker);
}

/* --------------------------------------------------------------------------------------------------- inputs' blocks */

/* Rows of X in the order in which they are multiplied: by time, and at each time by batch. */
static void copy_x_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const recurrent_walk *walk = argument;
  const recurrent_state *state = walk->state;
  const char *x = run_input(walk->context, RECURRENT_X)->data;
  const size_t element = element_type_bytes(state->type);
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const int64_t row = i % state->batch, rest = i / state->batch;
    const int direction = (int)(rest / walk->block_steps);
    const int64_t time = block_time(walk, direction) + rest % walk->block_steps;
    const int64_t from = state->batch_first ? row * state->steps + time : time * state->batch + row;
    const int64_t to = (direction * state->block_steps + rest % walk->block_steps) * state->batch + row;
    const char *source = x + (size_t)(from * state->inputs) * element;
    char *target = walk->x + real_offset(state, to * state->inputs);
    if (state->is_quantized) {
      recurrent_bytes_take_x(walk, (const float *)(const void *)source, (uint8_t *)walk->x + to * state->inputs);
    } else if (state->in_double) {
      if (state->inputs) memcpy(target, source, (size_t)state->inputs * element);
    } else {
      float_from(walk->context->kernels, state->type, (float *)(void *)target, source, state->inputs);
    }
  }
}

static void multiply_inputs_piece(void *argument, int64_t begin, int64_t end, int worker) {
  const recurrent_walk *walk = argument;
  const recurrent_state *state = walk->state;
  const int64_t all_rows = walk->block_steps * state->batch;
  const int64_t row_panels = count_row_panels(walk, all_rows), column_panels = count_column_panels(walk, state->width);
  for (int64_t i = begin; i < end; i++) {
    const int direction = (int)(i / walk->input_pieces);
    const int64_t piece = i % walk->input_pieces;
    const int64_t row = piece % walk->input_row_chunks * walk->input_row_chunk;
    const int64_t column = piece / walk->input_row_chunks * walk->input_column_chunk;
    int64_t rows[2] = {row, row + walk->input_row_chunk}, columns[2] = {column, column + walk->input_column_chunk};
    if (rows[1] > row_panels) rows[1] = row_panels;
    if (columns[1] > column_panels) columns[1] = column_panels;
    const int64_t first = block_time(walk, direction) * state->batch, block_rows = state->block_steps * state->batch;
    const char *x = run_input(walk->context, RECURRENT_X)->data;
    recurrent_product product = {
        .rows = all_rows,
        .columns = state->width,
        .depth = state->inputs,
        .a = state->copies_x ? walk->x + real_offset(state, direction * block_rows * state->inputs)
                             : x + real_offset(state, first * state->inputs),
        .packed = (const char *)walk->packed_w + (size_t)direction * state->packed_w_size * state->real_bytes,
        .c = walk->cells.inputs + real_offset(state, direction * block_rows * state->width),
        .c_stride = state->width,
        .bias = walk->bias ? (const char *)walk->bias + real_offset(state, direction * state->width) : NULL};
    if (state->is_quantized) {
      product.a = (const uint8_t *)walk->x + direction * block_rows * state->inputs;
      product.a_zero = &walk->bytes.x.zero;
      product.b_zero = walk->bytes.w_zero + direction * state->width;
      product.scale = walk->bytes.w_scale + direction * state->width;
    }
    multiply(walk, &product, rows, columns, worker);
  }
}

/* Rows are cut first: that packs nothing twice. */
static void cut_inputs(recurrent_walk *walk) {
  const recurrent_state *state = walk->state;
  const int64_t rows = walk->block_steps * state->batch;
  const int64_t row_panels = count_row_panels(walk, rows), column_panels = count_column_panels(walk, state->width);
  const double cost = 2.0 * ((double)rows + 8) * (double)state->width * (double)state->inputs;
  int64_t pieces = state->workers > 1 ? divide_up(4 * (int64_t)state->workers, state->directions) : 1;
  if ((double)pieces > cost / WORK_LEAST) pieces = (int64_t)(cost / WORK_LEAST) + 1;
  if ((double)pieces < cost / WORK_MOST) pieces = (int64_t)(cost / WORK_MOST) + 1;
  const bool by_rows = row_panels >= pieces || state->in_double;
  walk->input_row_chunk = by_rows ? divide_up(row_panels, pieces) : row_panels;
  walk->input_column_chunk = by_rows ? column_panels : divide_up(column_panels, pieces);
  walk->input_row_chunks = divide_up(row_panels, walk->input_row_chunk);
  walk->input_pieces = walk->input_row_chunks * divide_up(column_panels, walk->input_column_chunk);
}

static norma_status multiply_inputs(recurrent_walk *walk) {
  const recurrent_state *state = walk->state;
  if (state->copies_x) {
    const int64_t grain = work_grain(WORK_ELEMENT * (double)state->inputs);
    TRY(run_parallel(walk->context, state->directions * walk->block_steps * state->batch, grain, copy_x_rows, walk));
  }
  cut_inputs(walk);
  return run_parallel(walk->context, state->directions * walk->input_pieces, 1, multiply_inputs_piece, walk);
}

/* ------------------------------------------------------------------------------------------------------------ steps */

/* Some rows of one direction. */
typedef struct recurrent_unit {
  int direction;
  int64_t first, rows;
} recurrent_unit;

static recurrent_unit find_unit(const recurrent_state *state, int64_t index) {
  const int64_t each = divide_up(state->batch, state->unit_rows), first = index % each * state->unit_rows;
  const int64_t left = state->batch - first;
  return (recurrent_unit){(int)(index / each), first, left < state->unit_rows ? left : state->unit_rows};
}

/* Whether any row of the unit takes part. */
static bool is_active(const recurrent_walk *walk, const recurrent_unit *unit, int64_t time) {
  for (int64_t i = 0; i < unit->rows; i++) {
    if (recurrent_takes_part(walk, unit->first + i, time)) return true;
  }
  return false;
}

/* The inputs of one row at one time, which lies in the block. */
static char *inputs_at(const recurrent_walk *walk, int direction, int64_t time, int64_t row) {
  const recurrent_state *state = walk->state;
  const int64_t step = direction * state->block_steps + time - block_time(walk, direction);
  return walk->cells.inputs + real_offset(state, (step * state->batch + row) * state->width);
}

static recurrent_product phase_product(const recurrent_walk *walk, const recurrent_unit *unit, int phase,
                                       int64_t time) {
  const recurrent_state *state = walk->state;
  const recurrent_phase *own = &state->phases[phase];
  const int64_t first = unit->direction * state->batch + unit->first, gate = own->first_gate * state->hidden;
  const char *states = own->of_reset ? walk->cells.reset : walk->cells.h;
  recurrent_product product = {.rows = unit->rows,
                               .columns = own->gates * state->hidden,
                               .depth = state->hidden,
                               .a = states + real_offset(state, first * state->hidden),
                               .packed = (const char *)walk->packed_r +
                                         ((size_t)unit->direction * state->packed_r_size + own->packed_at) *
                                             state->real_bytes,
                               .c = walk->cells.gates + real_offset(state, first * state->width + gate),
                               .c_stride = state->width};
  if (state->is_quantized) {
    product.a = (const uint8_t *)walk->cells.reset + first * state->hidden;
    product.a_zero = walk->bytes.h_zero + unit->direction;
    product.b_zero = walk->bytes.r_zero + unit->direction * state->width;
    product.scale = walk->bytes.h_scale + unit->direction * state->width;
  }
  if (own->adds_inputs) {
    product.addend = inputs_at(walk, unit->direction, time, unit->first) + real_offset(state, gate);
    product.addend_stride = state->width;
  } else if (walk->cells.recurrent_bias) {
    product.bias = walk->cells.recurrent_bias + real_offset(state, unit->direction * state->hidden);
  }
  return product;
}

static recurrent_row cell_row(const recurrent_walk *walk, int direction, int64_t row, int64_t time) {
  const recurrent_state *state = walk->state;
  const recurrent_cells *cells = &walk->cells;
  const int64_t index = direction * state->batch + row;
  const size_t at = real_offset(state, index * state->hidden);
  return (recurrent_row){
      .cells = cells,
      .direction = direction,
      .gates = cells->gates + real_offset(state, index * state->width),
      .inputs = inputs_at(walk, direction, time, row),
      .h = cells->h + at,
      .c = cells->c + at,
      .reset = cells->reset + at,
      .spare = cells->spare + at,
      .peepholes = cells->peepholes ? cells->peepholes + real_offset(state, 3 * direction * state->hidden) : NULL};
}

/* Writes a state (NULL: zeros) as row `row` of an output, whose rows have `hidden` elements. */
static void write_row(const recurrent_walk *walk, norma_tensor *output, int64_t row, const void *values) {
  const recurrent_state *state = walk->state;
  const size_t bytes = (size_t)state->hidden * element_type_bytes(state->type);
  char *target = (char *)output->data + (size_t)row * bytes;
  if (!values) {
    memset(target, 0, bytes);
  } else if (is_half(state->type)) {
    half_from_float(walk->context->kernels, state->type, target, values, state->hidden);
  } else {
    memcpy(target, values, bytes);
  }
}

static int64_t output_row(const recurrent_state *state, int direction, int64_t time, int64_t row) {
  if (state->batch_first) return (row * state->steps + time) * state->directions + direction;
  return (time * state->directions + direction) * state->batch + row;
}

static void run_cells(const recurrent_walk *walk, const recurrent_unit *unit, int phase, int64_t time) {
  const recurrent_state *state = walk->state;
  norma_tensor *y = phase == state->phase_count - 1 ? run_output(walk->context, 0) : NULL;
  for (int64_t i = unit->first; i < unit->first + unit->rows; i++) {
    const recurrent_row row = cell_row(walk, unit->direction, i, time);
    const bool active = recurrent_takes_part(walk, i, time);
    if (active) walk->cell(&row, phase);
    if (y) write_row(walk, y, output_row(state, unit->direction, time, i), active ? row.h : NULL);
  }
}

static void write_zeros(const recurrent_walk *walk, const recurrent_unit *unit, int64_t time) {
  norma_tensor *y = run_output(walk->context, 0);
  for (int64_t i = unit->first; y && i < unit->first + unit->rows; i++) {
    write_row(walk, y, output_row(walk->state, unit->direction, time, i), NULL);
  }
}

/* Some units, through all steps of the block. */
static void walk_units(void *argument, int64_t begin, int64_t end, int worker) {
  const recurrent_walk *walk = argument;
  const recurrent_state *state = walk->state;
  for (int64_t u = begin; u < end; u++) {
    const recurrent_unit unit = find_unit(state, u);
    const int64_t rows[2] = {0, count_row_panels(walk, unit.rows)};
    for (int64_t s = walk->block; s < walk->block + walk->block_steps; s++) {
      const int64_t time = step_time(walk, unit.direction, s);
      if (s % 16 == 0 && run_cancelled(walk->context)) return;
      if (!is_active(walk, &unit, time)) {
        write_zeros(walk, &unit, time);
        continue;
      }
      if (state->is_quantized) recurrent_bytes_take_h(walk, unit.direction, time);
      for (int p = 0; p < state->phase_count; p++) {
        const recurrent_product product = phase_product(walk, &unit, p, time);
        const int64_t columns[2] = {0, count_column_panels(walk, product.columns)};
        multiply(walk, &product, rows, columns, worker);
        run_cells(walk, &unit, p, time);
      }
    }
  }
}

/* ----------------------------------------------------------------------------------------------------- shared steps */

/* One phase of one step of all directions. */
typedef struct shared_step {
  const recurrent_walk *walk;
  int phase;
  int64_t step, pieces, chunk; /* of one direction: pieces, panels of columns in each */
} shared_step;

static void multiply_shared_piece(void *argument, int64_t begin, int64_t end, int worker) {
  const shared_step *shared = argument;
  const recurrent_walk *walk = shared->walk;
  for (int64_t i = begin; i < end; i++) {
    const recurrent_unit unit = find_unit(walk->state, i / shared->pieces);
    const int64_t time = step_time(walk, unit.direction, shared->step);
    const recurrent_product product = phase_product(walk, &unit, shared->phase, time);
    const int64_t panels = count_column_panels(walk, product.columns), column = i % shared->pieces * shared->chunk;
    const int64_t rows[2] = {0, count_row_panels(walk, unit.rows)};
    const int64_t columns[2] = {column, column + shared->chunk < panels ? column + shared->chunk : panels};
    multiply(walk, &product, rows, columns, worker);
  }
}

static norma_status walk_together(recurrent_walk *walk) {
  const recurrent_state *state = walk->state;
  for (int64_t s = walk->block; s < walk->block + walk->block_steps; s++) {
    for (int d = 0; state->is_quantized && d < state->directions; d++)
      recurrent_bytes_take_h(walk, d, step_time(walk, d, s));
    for (int p = 0; p < state->phase_count; p++) {
      shared_step shared = {.walk = walk, .phase = p, .step = s};
      const int64_t panels = count_column_panels(walk, state->phases[p].gates * state->hidden);
      shared.chunk = divide_up(panels, divide_up(2 * (int64_t)state->workers, state->units));
      if (shared.chunk < 4) shared.chunk = 4; /* what the kernel computes side by side */
      shared.pieces = divide_up(panels, shared.chunk);
      TRY(run_parallel(walk->context, state->units * shared.pieces, 1, multiply_shared_piece, &shared));
      for (int64_t u = 0; u < state->units; u++) {
        const recurrent_unit unit = find_unit(state, u);
        run_cells(walk, &unit, p, step_time(walk, unit.direction, s));
      }
    }
  }
  return NORMA_OK;
}

/* -------------------------------------------------------------------------------------------------------------- run */

/* What the model does not hold as constants is packed now. */
static const void *pack_input(const recurrent_walk *walk, int input, const void *packed, size_t at) {
  const recurrent_state *state = walk->state;
  const norma_tensor *tensor = run_input(walk->context, input);
  const struct kernel_table *kernels = walk->context->kernels;
  if (packed || !tensor) return packed;
  char *made = (char *)walk->context->scratch + at;
  if (state->is_quantized && (input == RECURRENT_W || input == RECURRENT_R)) {
    recurrent_bytes_pack(kernels, state, input, tensor, made);
  } else if (input == RECURRENT_B) {
    recurrent_fill_bias(state, tensor->data, made);
  } else if (input == RECURRENT_P) {
    recurrent_fill_peepholes(kernels, state, tensor->data, made);
  } else {
    recurrent_matrix matrices[RECURRENT_MOST_MATRICES];
    const int count = recurrent_list_matrices(state, input, matrices);
    for (int m = 0; m < count; m++) {
      const size_t first = (size_t)matrices[m].first * element_type_bytes(state->type);
      recurrent_pack_rows(kernels, state->type, &matrices[m], (const char *)tensor->data + first, 0, matrices[m].rows,
                          made);
    }
  }
  return made;
}

/* The given states, or zeros. */
static void read_states(const recurrent_walk *walk, int input, char *states) {
  const recurrent_state *state = walk->state;
  const norma_tensor *tensor = run_input(walk->context, input);
  const size_t element = element_type_bytes(state->type);
  for (int d = 0; d < state->directions; d++) {
    for (int64_t row = 0; row < state->batch; row++) {
      char *target = states + real_offset(state, (d * state->batch + row) * state->hidden);
      const int64_t from = state->batch_first ? row * state->directions + d : d * state->batch + row;
      const char *source = tensor ? (const char *)tensor->data + (size_t)(from * state->hidden) * element : NULL;
      if (!source) {
        memset(target, 0, real_offset(state, state->hidden));
      } else if (is_half(state->type)) {
        half_to_float(walk->context->kernels, state->type, (float *)(void *)target, source, state->hidden);
      } else {
        memcpy(target, source, (size_t)state->hidden * element);
      }
    }
  }
}

static void write_states(const recurrent_walk *walk, int output, const char *states) {
  const recurrent_state *state = walk->state;
  norma_tensor *tensor = run_output(walk->context, output);
  for (int d = 0; tensor && d < state->directions; d++) {
    for (int64_t row = 0; row < state->batch; row++) {
      const int64_t to = state->batch_first ? row * state->directions + d : d * state->batch + row;
      write_row(walk, tensor, to, states + real_offset(state, (d * state->batch + row) * state->hidden));
    }
  }
}

static norma_status walk_check_lengths(recurrent_walk *walk) {
  const recurrent_state *state = walk->state;
  const norma_tensor *lengths = run_input(walk->context, RECURRENT_LENGTHS);
  if (!lengths) return NORMA_OK;
  walk->lengths = lengths->data;
  for (int64_t i = 0; i < state->batch; i++) {
    if (walk->lengths[i] >= 0 && walk->lengths[i] <= state->steps) continue;
    return run_fail(walk->context, NORMA_ERROR_RUN, "sequence_lens holds %d, but X has %lld steps",
                    (int)walk->lengths[i], (long long)state->steps);
  }
  return NORMA_OK;
}

static void open_walk(recurrent_walk *walk) {
  const recurrent_state *state = walk->state;
  char *scratch = walk->context->scratch;
  walk->packed_w = pack_input(walk, RECURRENT_W, state->packed_w, state->w_at);
  walk->packed_r = pack_input(walk, RECURRENT_R, state->packed_r, state->r_at);
  walk->bias = pack_input(walk, RECURRENT_B, state->bias, state->bias_at);
  walk->x = scratch + state->x_at;
  walk->cells = (recurrent_cells){.state = state,
                                  .kernels = walk->context->kernels,
                                  .inputs = scratch + state->inputs_at,
                                  .gates = scratch + state->gates_at,
                                  .h = scratch + state->h_at,
                                  .c = scratch + state->c_at,
                                  .reset = scratch + state->reset_at,
                                  .spare = scratch + state->spare_at};
  if (state->form.has_cell) {
    walk->cells.peepholes = pack_input(walk, RECURRENT_P, state->peepholes, state->peepholes_at);
    read_states(walk, RECURRENT_INITIAL_C, walk->cells.c);
  }
  if (walk->bias) {
    walk->cells.recurrent_bias = (const char *)walk->bias + real_offset(state, state->directions * state->width);
  }
  read_states(walk, RECURRENT_INITIAL_H, walk->cells.h);
}

norma_status recurrent_run(run_context *context, recurrent_cell *cell) {
  const recurrent_state *state = context->state;
  recurrent_walk walk = {.context = context, .state = state, .cell = cell};
  if (state->batch == 0 || state->hidden == 0) return NORMA_OK;
  TRY(walk_check_lengths(&walk));
  open_walk(&walk);
  if (state->is_quantized) TRY(recurrent_bytes_open(&walk));
  for (; walk.block < state->steps; walk.block += walk.block_steps) {
    const int64_t left = state->steps - walk.block;
    walk.block_steps = left < state->block_steps ? left : state->block_steps;
    TRY(multiply_inputs(&walk));
    if (state->splits_steps) {
      TRY(walk_together(&walk));
    } else {
      TRY(run_parallel(context, state->units, 1, walk_units, &walk));
    }
  }
  write_states(&walk, 1, walk.cells.h);
  if (state->form.has_cell) write_states(&walk, 2, walk.cells.c);
  return NORMA_OK;
}
