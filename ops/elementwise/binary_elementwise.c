/*
 * Arithmetic of two or more inputs, element by element.
 *
 * Add, Sub, Mul, Div   1, 6: limited broadcasting (see binary.h); 7: NumPy's; 13, 14: more types
 * Min, Max, Sum, Mean  of one or more inputs. 1, 6: of one shape; 8: broadcasting; 12, 13: more types
 *
 * float runs through the kernel table; float16 and bfloat16 are computed in float and rounded after each operation. Sum
 * and Mean of more than MOST_ROUNDED inputs are summed in double and rounded once, so that the error does not grow.
 * Integers wrap around; integer division truncates, its division by zero is an error, and the smallest number divided
 * by -1 is itself. Min and Max give NaN where an element is NaN.
 */
#include "engine/graph/query.h"
#include "ops/array_rows.h"
#include "ops/elementwise/binary.h"
#include "ops/half.h"

#include <math.h>

#define MOST_ROUNDED 8

typedef struct arithmetic_state {
  binary_broadcast broadcast;
  enum binary_kind kind;
  bool mean;
} arithmetic_state;

typedef struct arithmetic_job {
  const struct kernel_table *kernels;
  enum binary_kind kind;
  norma_element_type type;
  atomic_bool division_by_zero;
} arithmetic_job;

/* ------------------------------------------------------------------------------------------------------------- rows */

static void arithmetic_f32(const arithmetic_job *job, float *y, const float *x, bool x_steps, const float *z,
                           bool z_steps, int64_t count) {
  if (x_steps && z_steps) {
    job->kernels->binary_f32[job->kind](y, x, z, (size_t)count);
  } else if (x_steps) {
    job->kernels->binary_right_scalar_f32[job->kind](y, x, *z, (size_t)count);
  } else if (z_steps) {
    job->kernels->binary_left_scalar_f32[job->kind](y, z, *x, (size_t)count);
  } else { /* both are repeated where only a later input of a variadic operator is not */
    job->kernels->binary_f32[job->kind](y, x, z, 1);
    for (int64_t i = 1; i < count; i++) y[i] = y[0];
  }
}

static void arithmetic_row_float(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  arithmetic_f32(argument, (float *)(void *)pointers[0], (const float *)(const void *)pointers[1], steps[1] != 0,
                 (const float *)(const void *)pointers[2], steps[2] != 0, count);
}

static void arithmetic_row_half(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  const arithmetic_job *job = argument;
  float x[HALF_PIECE], z[HALF_PIECE];
  for (int64_t i = 0; i < count; i += HALF_PIECE) {
    const int64_t length = count - i < HALF_PIECE ? count - i : HALF_PIECE;
    half_to_float(job->kernels, job->type, x, pointers[1] + i * steps[1], steps[1] ? length : 1);
    half_to_float(job->kernels, job->type, z, pointers[2] + i * steps[2], steps[2] ? length : 1);
    float *y = steps[1] ? x : z;
    arithmetic_f32(job, y, x, steps[1] != 0, z, steps[2] != 0, length);
    half_from_float(job->kernels, job->type, pointers[0] + i * steps[0], y, length);
  }
}

#define DIVIDE_BY_ZERO                                                                                                 \
  (atomic_store_explicit(&((arithmetic_job *)argument)->division_by_zero, true, memory_order_relaxed), 0)
#define DIVIDE_SIGNED(x, z)   (z == 0 ? DIVIDE_BY_ZERO : z == -1 ? 0 - (uint64_t)x : (uint64_t)(x / z))
#define DIVIDE_UNSIGNED(x, z) (z == 0 ? DIVIDE_BY_ZERO : x / z)

#define DIVISION_ROW_SIGNED(constant, type)   BINARY_ROW(row_div_##type, type, type, type, DIVIDE_SIGNED(x, z))
#define DIVISION_ROW_UNSIGNED(constant, type) BINARY_ROW(row_div_##type, type, type, type, DIVIDE_UNSIGNED(x, z))
NATIVE_SIGNED(DIVISION_ROW_SIGNED)
NATIVE_UNSIGNED(DIVISION_ROW_UNSIGNED)

static strided_row *division_row(norma_element_type type) {
#define DIVISION_CASE(constant, type)                                                                                  \
  case constant:                                                                                                       \
    return row_div_##type;
  switch (type) {
    NATIVE_SIGNED(DIVISION_CASE)
    NATIVE_UNSIGNED(DIVISION_CASE)
  default:
    return NULL;
  }
#undef DIVISION_CASE
}

/* ------------------------------------------------------------------------------------------------------ read, infer */

static norma_status arithmetic_read(const node *node, void *state, norma_error *error) {
  static const struct {
    const char *name;
    enum binary_kind kind;
  } kinds[] = {{"Add", BINARY_ADD}, {"Sub", BINARY_SUB}, {"Mul", BINARY_MUL}, {"Div", BINARY_DIV},
               {"Min", BINARY_MIN}, {"Max", BINARY_MAX}, {"Sum", BINARY_ADD}, {"Mean", BINARY_ADD}};
  arithmetic_state *arithmetic = state;
  (void)error;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(kinds[i].name, node->op->name) == 0) arithmetic->kind = kinds[i].kind;
  }
  arithmetic->mean = strcmp(node->op->name, "Mean") == 0;
  binary_broadcast_read(node, &arithmetic->broadcast);
  return NORMA_OK;
}

static norma_status arithmetic_infer(infer_context *context) {
  const arithmetic_state *state = context->state;
  return binary_infer_shape(context, &state->broadcast, infer_type(context, 0));
}

/* ---------------------------------------------------------------------------------------------------------- compute */

static norma_status arithmetic_apply(run_context *context, arithmetic_job *job, const binary_broadcast *broadcast,
                                     const norma_tensor *a, const norma_tensor *b) {
  const int64_t grain = job->type == NORMA_FLOAT ? 16384 : 8192;
  job->type = a->type;
  if (job->type == NORMA_FLOAT) return binary_run(context, broadcast, a, b, grain, arithmetic_row_float, job);
  if (is_half(job->type)) return binary_run(context, broadcast, a, b, grain, arithmetic_row_half, job);
  array_row_job row = {.function = context->kernels->arrays->arithmetic[job->type][job->kind],
                       .bytes = element_type_bytes(job->type)};
  if (row.function) return binary_run(context, broadcast, a, b, grain, array_binary_row, &row);
  TRY(binary_run(context, broadcast, a, b, grain, division_row(job->type), job));
  if (atomic_load_explicit(&job->division_by_zero, memory_order_relaxed)) {
    return run_fail(context, NORMA_ERROR_RUN, "an integer is divided by zero");
  }
  return NORMA_OK;
}

static norma_status arithmetic_compute(run_context *context) {
  const arithmetic_state *state = context->state;
  arithmetic_job job = {.kernels = context->kernels, .kind = state->kind};
  return arithmetic_apply(context, &job, &state->broadcast, run_input(context, 0), run_input(context, 1));
}

static void copy_row(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  const size_t bytes = *(const size_t *)argument;
  if (steps[1]) {
    if (pointers[0] != pointers[1]) memmove(pointers[0], pointers[1], (size_t)count * bytes);
  } else {
    strided_fill(pointers[0], pointers[1], bytes, count);
  }
}

/* Output 0 becomes input 0, repeated where others are larger. */
static norma_status copy_first(run_context *context) {
  const norma_tensor *input = run_input(context, 0);
  size_t bytes = element_type_bytes(input->type);
  return binary_run(context, NULL, input, input, 0, copy_row, &bytes);
}

/* Operands: the sums, an input. */
static void add_to_double_row(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  const norma_element_type type = *(const norma_element_type *)argument;
  double *sum = (double *)(void *)pointers[0];
  for (int64_t i = 0; i < count; i++) sum[i] += element_get_double(type, pointers[1] + i * steps[1], 0);
}

/* Operands: output 0, the sums. */
typedef struct mean_row {
  norma_element_type type;
  double divisor;
} mean_row;

static void divide_double_row(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  const mean_row *row = argument;
  const double *sum = (const double *)(const void *)pointers[1];
  (void)steps;
  for (int64_t i = 0; i < count; i++) element_set_double(row->type, pointers[0], i, sum[i] / row->divisor);
}

static bool sums_in_double(const arithmetic_state *state, int input_count) {
  return state->kind == BINARY_ADD && input_count > MOST_ROUNDED;
}

/* Walks `target`, of the output's shape, with `source`. */
static norma_status walk_pair(run_context *context, void *target, size_t target_bytes, const void *source,
                              size_t source_bytes, const shape *source_shape, strided_row *row, void *argument) {
  const norma_tensor *output = run_output(context, 0);
  strided walk = {.rank = output->rank};
  memcpy(walk.dims, output->dims, sizeof output->dims);
  strided_add_broadcast(&walk, target, target_bytes, output->rank, output->dims);
  strided_add_broadcast(&walk, source, source_bytes, source_shape->rank, source_shape->dims);
  return strided_run(context, &walk, row, argument);
}

static norma_status sum_in_double(run_context *context) {
  const arithmetic_state *state = context->state;
  const norma_tensor *output = run_output(context, 0);
  const size_t bytes = (size_t)norma_tensor_count(output) * sizeof(double);
  const shape whole = shape_of_tensor(output);
  norma_element_type type = output->type;
  mean_row mean = {type, state->mean ? context->input_count : 1};
  void *sums;
  TRY(run_allocate_temporary(context, bytes, &sums));
  memset(sums, 0, bytes);
  for (int i = 0; i < context->input_count; i++) {
    const shape own = shape_of_tensor(run_input(context, i));
    TRY(walk_pair(context, sums, sizeof(double), run_input(context, i)->data, element_type_bytes(type), &own,
                  add_to_double_row, &type));
  }
  return walk_pair(context, output->data, element_type_bytes(type), sums, sizeof(double), &whole, divide_double_row,
                   &mean);
}

static norma_status variadic_compute(run_context *context) {
  const arithmetic_state *state = context->state;
  arithmetic_job job = {.kernels = context->kernels, .kind = state->kind};
  norma_tensor *output = run_output(context, 0);
  if (!output) return NORMA_OK;
  if (sums_in_double(state, context->input_count)) return sum_in_double(context);
  if (context->input_count < 2) TRY(copy_first(context));
  for (int i = 1; i < context->input_count; i++) {
    TRY(arithmetic_apply(context, &job, NULL, i == 1 ? run_input(context, 0) : output, run_input(context, i)));
  }
  if (!state->mean) return NORMA_OK;
  double count = context->input_count;
  uint64_t item;
  norma_tensor divisor;
  TRY(norma_tensor_init(&divisor, output->type, 0, NULL, &item));
  element_set_double(divisor.type, &item, 0, count);
  job.kind = BINARY_DIV;
  return arithmetic_apply(context, &job, NULL, output, &divisor);
}

static const operator_attribute arithmetic_attributes[] = {BINARY_ATTRIBUTES, {0}};
static const operator_attribute variadic_attributes[] = {
    {"consumed_inputs", ATTRIBUTE_INTS, 1, 5, false},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ facts */

static bool arithmetic_form(const node *node, elementwise_form *form) {
  const arithmetic_state *state = node->state;
  form->kind = state->mean || sums_in_double(state, node->input_count) ? ELEMENTWISE_OTHER : ELEMENTWISE_BINARY;
  form->binary = state->kind;
  form->numpy = node->version >= 7 || !node_attribute(node, "broadcast");
  return true;
}

/* How the elements of a constant lie along x: one for all, or one for each index of one axis. */
static bool find_constant_axis(const shape *x, const shape *constant, int *axis) {
  *axis = -1;
  if (constant->rank > x->rank || shape_count(constant) < 1) return false;
  for (int i = 0; i < constant->rank; i++) {
    int of_x = i + x->rank - constant->rank;
    if (constant->dims[i] == 1) continue;
    if (*axis >= 0 || x->dims[of_x] != constant->dims[i]) return false;
    *axis = of_x;
  }
  return true;
}

/* Which of the four, and for Sub which operand is the constant. */
enum affine_arithmetic { AFFINE_ADD, AFFINE_SUBTRACT, AFFINE_SUBTRACT_FROM, AFFINE_MULTIPLY, AFFINE_DIVIDE };

static void arithmetic_affine_at(const affine_form *form, int64_t c, double *scale, double *shift) {
  const double element = element_get_double(form->vectors[0]->type, form->vectors[0]->data, c);
  *scale = 1;
  *shift = 0;
  switch ((enum affine_arithmetic)form->kind) {
  case AFFINE_ADD:
    *shift = element;
    break;
  case AFFINE_SUBTRACT:
    *shift = -element;
    break;
  case AFFINE_SUBTRACT_FROM:
    *scale = -1;
    *shift = element;
    break;
  case AFFINE_MULTIPLY:
    *scale = element;
    break;
  case AFFINE_DIVIDE:
    *scale = 1 / element;
    break;
  }
}

static bool affine_kind(enum binary_kind kind, int constant, int *found) {
  switch (kind) {
  case BINARY_ADD:
    *found = AFFINE_ADD;
    return true;
  case BINARY_SUB:
    *found = constant == 1 ? AFFINE_SUBTRACT : AFFINE_SUBTRACT_FROM;
    return true;
  case BINARY_MUL:
    *found = AFFINE_MULTIPLY;
    return true;
  case BINARY_DIV:
    *found = AFFINE_DIVIDE;
    return constant == 1;
  default:
    return false;
  }
}

/* With a constant that has one element, or one for each index of an axis of the other operand. */
static bool arithmetic_affine(const node *node, affine_form *form) {
  const arithmetic_state *state = node->state;
  const int constant = node_constant_input(node, 1) ? 1 : 0;
  form->vectors[0] = node_constant_input(node, constant);
  form->input = !constant;
  if (!form->vectors[0] || node_constant_input(node, !constant)) return false;
  if (!affine_kind(state->kind, constant, &form->kind)) return false;
  if (node->version < 7 && constant == 0) return false; /* there only B is broadcast */
  const shape *x = node_input_shape(node, !constant);
  const shape given = shape_of_tensor(form->vectors[0]);
  shape aligned;
  if (x->rank == RANK_UNKNOWN || !binary_align(&state->broadcast, x, &given, &aligned)) return false;
  form->count = norma_tensor_count(form->vectors[0]);
  form->at = arithmetic_affine_at;
  return find_constant_axis(x, &aligned, &form->axis);
}

#define ARITHMETIC(op)                                                                                                 \
  {                                                                                                                    \
    .name = op, .domain = "", .versions = {1, 6, 7, 13, 14}, .min_inputs = 2, .max_inputs = 2, .min_outputs = 1,       \
    .max_outputs = 1, .types = {{TYPES_NUMERIC, INPUT(0) | INPUT(1), OUTPUT(0)}}, .attributes = arithmetic_attributes, \
    .in_place = INPUT(0) | INPUT(1), .state_size = sizeof(arithmetic_state), .read = arithmetic_read,                  \
    .infer = arithmetic_infer, .facts = {.elementwise = arithmetic_form, .affine = arithmetic_affine},                 \
    .compute = arithmetic_compute,                                                                                     \
  }
#define VARIADIC(op, mask, ...)                                                                                        \
  {                                                                                                                    \
    .name = op, .domain = "", .versions = {__VA_ARGS__}, .min_inputs = 1, .max_inputs = OPERATOR_VARIADIC,             \
    .min_outputs = 1, .max_outputs = 1, .types = {{mask, INPUT(0), OUTPUT(0)}}, .attributes = variadic_attributes,     \
    .in_place = INPUT(0), .state_size = sizeof(arithmetic_state), .read = arithmetic_read, .infer = infer_broadcast,   \
    .facts = {.elementwise = arithmetic_form, .is_identity = fact_has_one_input}, .compute = variadic_compute,         \
  }

const operator_descriptor operators_binary_elementwise[] = {
    ARITHMETIC("Add"),
    ARITHMETIC("Sub"),
    ARITHMETIC("Mul"),
    ARITHMETIC("Div"),
    VARIADIC("Min", TYPES_NUMERIC, 1, 6, 8, 12, 13),
    VARIADIC("Max", TYPES_NUMERIC, 1, 6, 8, 12, 13),
    VARIADIC("Sum", TYPES_FLOAT, 1, 6, 8, 13),
    VARIADIC("Mean", TYPES_FLOAT, 1, 6, 8, 13),
    {0},
};
