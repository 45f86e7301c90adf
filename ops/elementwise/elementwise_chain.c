/*
 * ElementwiseChain (norma)
 *
 *   Y[i] = f(A[i], B[i], ...), a program of functions of single elements (ops/elementwise/elementwise_chain.h)
 *
 * Inputs of float, broadcast as NumPy does; made by the pass fuse_elementwise only. The program runs over pieces that
 * the first-level cache holds, so memory is passed over once. Steps are the kernels that the operators would have run
 * by themselves: each element comes out the same to the bit, wherever the pieces begin.
 *
 * An input that a piece cannot point into (repeated along the rows of a piece, or read by a function that takes no
 * single number) is written out for the piece. Rows shorter than ROW_LEAST are taken several at a time: a factor for
 * each channel of channel blocks is written out once for a plane.
 */
#include "ops/elementwise/elementwise_chain.h"

#include "ops/strided.h"
#include "ops/work.h"

#define CHAIN_PIECE 1024 /* elements */
#define ROW_LEAST   256  /* rows of fewer elements share pieces */

/* --------------------------------------------------------------------------------------------------------- programs */

#define STEP_NUMBERS 6

static int64_t bits_of(float number) {
  uint32_t bits;
  memcpy(&bits, &number, sizeof bits);
  return (int64_t)bits;
}

static float float_of(int64_t number) {
  uint32_t bits = (uint32_t)number;
  float result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

bool is_elementwise_chain(const node *node) {
  return strcmp(node->domain, OPERATOR_INNER_DOMAIN) == 0 && strcmp(node->op_type, CHAIN_OPERATOR) == 0;
}

bool chain_program_write(const chain_program *program, node *node) {
  int64_t numbers[CHAIN_MOST_STEPS * STEP_NUMBERS];
  for (int i = 0; i < program->count; i++) {
    const chain_step *step = &program->steps[i];
    int64_t *n = numbers + (ptrdiff_t)i * STEP_NUMBERS;
    n[0] = step->kind;
    n[1] = step->kind == CHAIN_UNARY ? (int64_t)step->unary.kind : (int64_t)step->binary;
    n[2] = step->x;
    n[3] = step->z;
    n[4] = bits_of(step->unary.a);
    n[5] = bits_of(step->unary.b);
  }
  return node_set_attribute_ints(node, "program", numbers, (size_t)(program->count * STEP_NUMBERS));
}

static bool operand_is_valid(const node *node, int64_t operand, int step) {
  return operand < node->input_count && operand >= -step;
}

bool chain_program_read(const node *node, chain_program *program) {
  size_t count;
  const int64_t *numbers = attribute_ints(node, "program", &count);
  memset(program, 0, sizeof *program);
  if (!numbers || count == 0 || count % STEP_NUMBERS != 0 || count > CHAIN_MOST_STEPS * STEP_NUMBERS ||
      node->input_count > CHAIN_MOST_INPUTS) {
    return false;
  }
  program->count = (int)(count / STEP_NUMBERS);
  for (int i = 0; i < program->count; i++) {
    const int64_t *n = numbers + (ptrdiff_t)i * STEP_NUMBERS;
    int64_t kinds = n[0] == CHAIN_UNARY ? UNARY_KIND_COUNT : n[0] == CHAIN_BINARY ? BINARY_KIND_COUNT : 1;
    if (n[0] < CHAIN_UNARY || n[0] > CHAIN_PRELU || n[1] < 0 || n[1] >= kinds) return false;
    if (!operand_is_valid(node, n[2], i) || !operand_is_valid(node, n[3], i)) return false;
    program->steps[i] = (chain_step){.kind = (enum chain_step_kind)n[0],
                                     .unary = {(enum unary_kind)n[1], float_of(n[4]), float_of(n[5])},
                                     .binary = (enum binary_kind)n[1],
                                     .x = (int)n[2],
                                     .z = (int)n[3]};
  }
  return true;
}

/* The last step that reads the result of step `index`; `index` itself if none does. */
static int last_reader(const chain_program *program, int index) {
  for (int i = program->count - 1; i > index; i--) {
    const chain_step *step = &program->steps[i];
    if (step->x == chain_result(index) || (chain_operand_count(step) == 2 && step->z == chain_result(index))) return i;
  }
  return index;
}

int chain_assign_registers(const chain_program *program, int *registers) {
  int free_from[CHAIN_MOST_REGISTERS] = {0}, used = 0; /* the step from which on a register may be written */
  for (int i = 0; i + 1 < program->count; i++) {
    int choice = 0; /* a function may write over its operands, so a register is free for the step that reads it last */
    while (choice < CHAIN_MOST_REGISTERS && free_from[choice] > i) choice++;
    if (choice == CHAIN_MOST_REGISTERS) return -1;
    registers[i] = choice;
    free_from[choice] = last_reader(program, i);
    if (free_from[choice] == i) free_from[choice] = i + 1;
    if (choice + 1 > used) used = choice + 1;
  }
  return used;
}

/* --------------------------------------------------------------------------------------------------------- the plan */

/* How a piece comes to an input's elements. */
enum chain_access {
  ACCESS_DIRECT, /* points to them */
  ACCESS_NUMBER, /* one number for the whole piece */
  ACCESS_COPIED  /* written out for the piece */
};

typedef struct chain_input {
  enum chain_access access;
  bool repeats;                    /* ACCESS_COPIED: the same for each piece of a plane */
  int buffer;                      /* ACCESS_COPIED */
  int64_t row_step, step;          /* in elements, from row to row and within one */
  int64_t strides[NORMA_MAX_RANK]; /* of the dimensions around planes */
} chain_input;

typedef struct chain_state {
  chain_program program;
  int registers[CHAIN_MOST_STEPS];
  int register_count;

  /* The plan's: dims[0 .. rank - 1] around planes of rows x length. */
  int rank;
  int64_t dims[NORMA_MAX_RANK];
  int64_t rows, length;
  int64_t piece_rows, pieces; /* of a plane: rows of a piece; where one row is a plane, pieces are cut from it */
  int64_t planes;
  chain_input inputs[CHAIN_MOST_INPUTS];
} chain_state;

static norma_status chain_read(const node *node, void *opaque, norma_error *error) {
  chain_state *state = opaque;
  if (!chain_program_read(node, &state->program)) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "program cannot be run");
  }
  state->register_count = chain_assign_registers(&state->program, state->registers);
  if (state->register_count < 0) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "program needs too many registers");
  }
  return NORMA_OK;
}

/* Strides of an input along the output's dimensions; 0 where it is repeated. */
static void broadcast_strides(const shape *x, const shape *y, int64_t *strides) {
  int64_t stride = 1;
  for (int i = y->rank - 1; i >= 0; i--) {
    int own = i - (y->rank - x->rank);
    int64_t size = own >= 0 ? x->dims[own] : 1;
    strides[i] = size == 1 ? 0 : stride;
    stride *= size;
  }
}

/* Joins dimensions that all inputs walk as one; strides[k] are input k's. Returns how many are left, at least 1. */
static int collapse(int inputs, int rank, int64_t *dims, int64_t (*strides)[NORMA_MAX_RANK]) {
  int kept = 0;
  for (int i = 0; i < rank; i++) {
    if (dims[i] == 1) continue;
    dims[kept] = dims[i];
    bool joins = kept > 0;
    for (int k = 0; k < inputs; k++) {
      strides[k][kept] = strides[k][i];
      if (kept > 0 && strides[k][kept - 1] != strides[k][kept] * dims[kept]) joins = false;
    }
    if (!joins) {
      kept++;
      continue;
    }
    dims[kept - 1] *= dims[kept];
    for (int k = 0; k < inputs; k++) strides[k][kept - 1] = strides[k][kept];
  }
  if (kept > 0) return kept;
  dims[0] = 1;
  for (int k = 0; k < inputs; k++) strides[k][0] = 0;
  return 1;
}

/* Whether a step wants the input as an array although it is one number: functions of one operand, and of two numbers.
 */
static bool needs_array(const chain_state *state, int input) {
  const chain_program *program = &state->program;
  for (int i = 0; i < program->count; i++) {
    const chain_step *step = &program->steps[i];
    bool alone = step->kind == CHAIN_UNARY;
    if (step->x == input) {
      if (alone || step->kind == CHAIN_PRELU) return true;
      if (step->z >= 0 && state->inputs[step->z].access == ACCESS_NUMBER) return true;
    }
  }
  return false;
}

static void plan_inputs(chain_state *state, int count, int *buffers) {
  for (int k = 0; k < count; k++) {
    chain_input *input = &state->inputs[k];
    bool is_number = input->step == 0 && (input->row_step == 0 || state->rows == 1);
    bool is_direct = input->step == 1 && (input->row_step == state->length || state->rows == 1);
    input->access = is_number ? ACCESS_NUMBER : is_direct ? ACCESS_DIRECT : ACCESS_COPIED;
    input->repeats = input->row_step == 0 && !is_direct;
  }
  *buffers = 0;
  for (int k = 0; k < count; k++) {
    chain_input *input = &state->inputs[k];
    if (input->access == ACCESS_NUMBER && needs_array(state, k)) input->access = ACCESS_COPIED;
    if (input->access == ACCESS_COPIED) input->buffer = (*buffers)++;
  }
}

static norma_status chain_prepare(prepare_context *context) {
  chain_state *state = context->state;
  shape y = *prepare_shape(context, 0);
  int64_t dims[NORMA_MAX_RANK], strides[CHAIN_MOST_INPUTS][NORMA_MAX_RANK];
  for (int k = 1; k < context->input_count; k++) {
    if (!shape_broadcast(&y, prepare_shape(context, k), &y)) {
      return prepare_fail(context, NORMA_ERROR_INTERNAL, "the inputs' shapes do not fit");
    }
  }
  context->kernel_name = "chain";
  if (shape_count(&y) == 0) {
    state->planes = 0;
    return NORMA_OK;
  }
  for (int k = 0; k < context->input_count; k++) broadcast_strides(prepare_shape(context, k), &y, strides[k]);
  memcpy(dims, y.dims, sizeof dims);
  int rank = collapse(context->input_count, y.rank, dims, strides);
  int plane_rank = rank > 1 && dims[rank - 1] < ROW_LEAST ? 2 : 1;
  state->rank = rank - plane_rank;
  state->length = dims[rank - 1];
  state->rows = plane_rank == 2 ? dims[rank - 2] : 1;
  memcpy(state->dims, dims, sizeof dims);
  state->planes = dims_product(dims, 0, state->rank);
  for (int k = 0; k < context->input_count; k++) {
    chain_input *input = &state->inputs[k];
    input->step = strides[k][rank - 1];
    input->row_step = plane_rank == 2 ? strides[k][rank - 2] : 0;
    memcpy(input->strides, strides[k], sizeof input->strides);
  }
  state->piece_rows = plane_rank == 2 ? CHAIN_PIECE / state->length : 1;
  state->pieces = plane_rank == 2 ? divide_up(state->rows, state->piece_rows) : divide_up(state->length, CHAIN_PIECE);
  int buffers;
  plan_inputs(state, context->input_count, &buffers);
  context->worker_scratch_bytes = (size_t)(state->register_count + buffers) * CHAIN_PIECE * sizeof(float);
  context->flops = (double)shape_count(&y) * state->program.count;
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- running */

typedef struct chain_work {
  run_context *context;
  const chain_state *state;
  const float *x[CHAIN_MOST_INPUTS];
  float *y;
} chain_work;

/* Where the operands of a piece are. */
typedef struct chain_piece {
  const float *inputs[CHAIN_MOST_INPUTS];
  float *registers;
  float *y;
  size_t count;
} chain_piece;

static const float *operand(const chain_state *state, const chain_piece *piece, int operand) {
  if (operand >= 0) return piece->inputs[operand];
  return piece->registers + (ptrdiff_t)state->registers[-1 - operand] * CHAIN_PIECE;
}

static bool is_number(const chain_state *state, int operand) {
  return operand >= 0 && state->inputs[operand].access == ACCESS_NUMBER;
}

static void chain_run_step(const struct kernel_table *kernels, const chain_state *state, const chain_piece *piece,
                           const chain_step *step, float *y) {
  const float *x = operand(state, piece, step->x), *z = NULL;
  if (step->kind == CHAIN_UNARY) {
    kernels->unary_f32[step->unary.kind](y, x, piece->count, step->unary.a, step->unary.b);
    return;
  }
  z = operand(state, piece, step->z);
  if (step->kind == CHAIN_PRELU) {
    if (is_number(state, step->z)) {
      kernels->unary_f32[UNARY_LEAKY_RELU](y, x, piece->count, *z, 0);
    } else {
      kernels->prelu_f32(y, x, z, piece->count);
    }
  } else if (is_number(state, step->z)) {
    kernels->binary_right_scalar_f32[step->binary](y, x, *z, piece->count);
  } else if (is_number(state, step->x)) {
    kernels->binary_left_scalar_f32[step->binary](y, z, *x, piece->count);
  } else {
    kernels->binary_f32[step->binary](y, x, z, piece->count);
  }
}

static void run_program(const struct kernel_table *kernels, const chain_state *state, const chain_piece *piece) {
  const chain_program *program = &state->program;
  for (int i = 0; i + 1 < program->count; i++) {
    chain_run_step(kernels, state, piece, &program->steps[i],
                   piece->registers + (ptrdiff_t)state->registers[i] * CHAIN_PIECE);
  }
  chain_run_step(kernels, state, piece, &program->steps[program->count - 1], piece->y);
}

/* `rows` rows of the input from `x` on, one behind the other. */
static void copy_rows(const chain_input *input, float *target, const float *x, int64_t rows, int64_t length) {
  for (int64_t r = 0; r < rows; r++, x += input->row_step, target += length) {
    if (input->step == 1) {
      for (int64_t i = 0; i < length; i++) target[i] = x[i];
    } else {
      const float number = *x;
      for (int64_t i = 0; i < length; i++) target[i] = number;
    }
  }
}

/* Offsets of the inputs where plane `plane` begins. */
static void find_plane(const chain_state *state, int inputs, int64_t plane, int64_t *offsets) {
  for (int k = 0; k < inputs; k++) offsets[k] = 0;
  for (int i = state->rank - 1; i >= 0; i--) {
    int64_t index = plane % state->dims[i];
    plane /= state->dims[i];
    for (int k = 0; k < inputs; k++) offsets[k] += index * state->inputs[k].strides[i];
  }
}

static void chain_body(void *argument, int64_t begin, int64_t end, int worker) {
  const chain_work *work = argument;
  const chain_state *state = work->state;
  const int inputs = work->context->input_count;
  float *scratch = run_worker_scratch(work->context, worker);
  float *buffers = scratch + (ptrdiff_t)state->register_count * CHAIN_PIECE;
  const bool in_rows = state->rows == 1; /* pieces are cut from one row */
  int64_t offsets[CHAIN_MOST_INPUTS], found = -1, copied_plane[CHAIN_MOST_INPUTS];
  chain_piece piece = {.registers = scratch};
  for (int k = 0; k < inputs; k++) copied_plane[k] = -1;
  for (int64_t i = begin; i < end; i++) {
    const int64_t plane = i / state->pieces, part = i % state->pieces;
    const int64_t first_row = in_rows ? 0 : part * state->piece_rows, first = in_rows ? part * CHAIN_PIECE : 0;
    const int64_t rows =
        in_rows || state->rows - first_row < state->piece_rows ? state->rows - first_row : state->piece_rows;
    const int64_t length = in_rows && state->length - first > CHAIN_PIECE ? CHAIN_PIECE : state->length - first;
    if (plane != found) find_plane(state, inputs, found = plane, offsets);
    for (int k = 0; k < inputs; k++) {
      const chain_input *input = &state->inputs[k];
      const float *x = work->x[k] + offsets[k] + first_row * input->row_step + first * input->step;
      piece.inputs[k] = x;
      if (input->access != ACCESS_COPIED) continue;
      float *buffer = buffers + (ptrdiff_t)input->buffer * CHAIN_PIECE;
      piece.inputs[k] = buffer;
      if (input->repeats && copied_plane[k] == plane) continue; /* the first piece of a plane is the longest */
      copy_rows(input, buffer, x, rows, length);
      copied_plane[k] = input->repeats ? plane : -1;
    }
    piece.y = work->y + (plane * state->rows + first_row) * state->length + first;
    piece.count = (size_t)(rows * length);
    run_program(work->context->kernels, state, &piece);
  }
}

static norma_status chain_compute(run_context *context) {
  const chain_state *state = context->state;
  chain_work work = {.context = context, .state = state};
  if (!run_output(context, 0) || state->planes == 0) return NORMA_OK;
  for (int k = 0; k < context->input_count; k++) work.x[k] = run_input(context, k)->data;
  work.y = run_output(context, 0)->data;
  double piece = (double)state->rows * (double)state->length / (double)state->pieces;
  return run_parallel(context, state->planes * state->pieces, work_grain(8 * piece * state->program.count), chain_body,
                      &work);
}

static const operator_attribute chain_attributes[] = {
    {"program", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, true},
    {0},
};

const operator_descriptor operators_elementwise_chain[] = {
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = CHAIN_OPERATOR,
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = OPERATOR_VARIADIC,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_FLOAT), INPUT(0), OUTPUT(0)}},
        .attributes = chain_attributes,
        .in_place = (INPUT(CHAIN_MOST_INPUTS) - 1),
        .state_size = sizeof(chain_state),
        .read = chain_read,
        .infer = infer_broadcast,
        .prepare = chain_prepare,
        .compute = chain_compute,
    },
    {0},
};
