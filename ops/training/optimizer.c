/*
 * Adam 1, Adagrad 1, Momentum 1 (ai.onnx.preview.training): one step of an optimizer for n tensors.
 *
 * Inputs: the rate R and the count of steps T, of one element each; then n tensors X, their n gradients G, and n
 * tensors of each history (V an average of gradients, H one of their squares). Outputs: n new X, then n of each new
 * history.
 *
 *   all       g = norm_coefficient * X + G
 *   Adam      V' = alpha V + (1 - alpha) g,  H' = beta H + (1 - beta) g^2,
 *             r = T > 0 ? R sqrt(1 - beta^T) / (1 - alpha^T) : R,
 *             X' = (1 - norm_coefficient_post) (X - r V' / (sqrt(H') + epsilon))
 *   Adagrad   H' = H + g^2,  X' = X - R / (1 + T decay_factor) g / (sqrt(H') + epsilon)
 *   Momentum  V' = alpha V + (T > 0 ? beta : 1) g,
 *             X' = X - R V' (standard), X - R (g + alpha V') (nesterov)
 *
 * R is float or double, and so is each X, which its gradient and histories share. Elements are computed in their own
 * type, the coefficients of a step in double.
 */
#include "ops/work.h"

#include <math.h>

#define OPTIMIZER_PIECE       1024 /* elements */
#define OPTIMIZER_PIECE_BYTES (OPTIMIZER_PIECE * sizeof(double))

#define OPTIMIZER_TYPES (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_DOUBLE))

enum { OPTIMIZER_R, OPTIMIZER_T, OPTIMIZER_X }; /* inputs; X is the first of many */

enum optimizer_kind { OPTIMIZER_ADAM, OPTIMIZER_ADAGRAD, OPTIMIZER_MOMENTUM };

typedef struct optimizer_state {
  enum optimizer_kind kind;
  int histories; /* of a tensor */
  double norm, norm_post, alpha, beta, epsilon, decay;
  bool is_nesterov;
} optimizer_state;

/* What is the same for all elements of a run: history = keep * history + take * gradient, and of squares. */
struct optimizer_step {
  double norm, rate, keep, take, square_keep, square_take, epsilon, shrink;
  bool is_nesterov;
};

/* Elements of one tensor: X, G and histories; new X and new histories. */
struct optimizer_piece {
  int64_t count;
  const void *in[4];
  void *out[3];
};

#define REAL         float
#define STEP(name)   optimizer_##name##_float
#define STEP_SQRT(x) sqrtf(x)
#include "ops/training/optimizer_template.h"
#undef REAL
#undef STEP
#undef STEP_SQRT

#define REAL         double
#define STEP(name)   optimizer_##name##_double
#define STEP_SQRT(x) sqrt(x)
#include "ops/training/optimizer_template.h"
#undef REAL
#undef STEP
#undef STEP_SQRT

/* ----------------------------------------------------------------------------------------------- attributes, shapes */

/* How many tensors are optimized; 0 where the inputs are no such number. */
static int optimizer_tensors(const optimizer_state *state, int inputs) {
  int of_each = 2 + state->histories;
  int left = inputs - OPTIMIZER_X;
  return left > 0 && left % of_each == 0 ? left / of_each : 0;
}

static norma_status optimizer_read(const node *node, optimizer_state *state, enum optimizer_kind kind,
                                   norma_error *error) {
  state->kind = kind;
  state->histories = kind == OPTIMIZER_ADAM ? 2 : 1;
  state->norm = (double)attribute_float(node, "norm_coefficient", 0);
  state->epsilon = (double)attribute_float(node, "epsilon", 1e-6f);
  int tensors = optimizer_tensors(state, node->input_count), most = tensors * (1 + state->histories);
  if (tensors == 0)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%d inputs are not R, T and %d for each tensor",
                         node->input_count, 2 + state->histories);
  if (node->output_count > most)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%d outputs for %d inputs, expected %d",
                         node->output_count, node->input_count, most);
  return NORMA_OK;
}

static norma_status adam_read(const node *node, void *opaque, norma_error *error) {
  optimizer_state *state = opaque;
  state->alpha = (double)attribute_float(node, "alpha", 0.9f);
  state->beta = (double)attribute_float(node, "beta", 0.999f);
  state->norm_post = (double)attribute_float(node, "norm_coefficient_post", 0);
  return optimizer_read(node, state, OPTIMIZER_ADAM, error);
}

static norma_status adagrad_read(const node *node, void *opaque, norma_error *error) {
  optimizer_state *state = opaque;
  state->decay = (double)attribute_float(node, "decay_factor", 0);
  return optimizer_read(node, state, OPTIMIZER_ADAGRAD, error);
}

static norma_status momentum_read(const node *node, void *opaque, norma_error *error) {
  optimizer_state *state = opaque;
  const char *mode = attribute_string(node, "mode", "");
  state->alpha = (double)attribute_float(node, "alpha", 0);
  state->beta = (double)attribute_float(node, "beta", 0);
  state->is_nesterov = strcmp(mode, "nesterov") == 0;
  if (!state->is_nesterov && strcmp(mode, "standard") != 0)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "mode is '%.40s', expected standard or nesterov",
                         mode);
  return optimizer_read(node, state, OPTIMIZER_MOMENTUM, error);
}

/* A tensor of one of these types, or unknown. */
static norma_status optimizer_check_input(infer_context *context, int input, type_mask types) {
  const value_info *given = context->inputs[input];
  if (!given) return infer_fail(context, "input %d is missing", input);
  if (given->kind == NORMA_VALUE_NONE) return NORMA_OK;
  if (given->kind != NORMA_VALUE_TENSOR) return infer_fail(context, "input %d is no tensor", input);
  if (given->type != NORMA_UNDEFINED && !(TYPE_BIT(given->type) & types))
    return infer_fail(context, "input %d cannot be of %s", input, norma_element_type_name(given->type));
  return NORMA_OK;
}

static norma_status optimizer_check_number(infer_context *context, int input, type_mask types) {
  const shape *shape = infer_shape(context, input);
  TRY(optimizer_check_input(context, input, types));
  if (shape_is_known(shape) && shape_count(shape) != 1)
    return infer_fail(context, "%s must have one element", input == OPTIMIZER_R ? "R" : "T");
  return NORMA_OK;
}

/* Type and shape that X, its gradient and its histories share. */
static norma_status optimizer_infer_tensor(infer_context *context, int tensors, int tensor, value_info *info) {
  const int of_x = OPTIMIZER_X + tensor;
  char texts[2][100];
  *info = (value_info){.kind = NORMA_VALUE_TENSOR, .shape = shape_unknown()};
  for (int i = of_x; i < context->input_count; i += tensors) {
    TRY(optimizer_check_input(context, i, OPTIMIZER_TYPES));
    norma_element_type type = infer_type(context, i);
    if (type != NORMA_UNDEFINED && info->type != NORMA_UNDEFINED && type != info->type)
      return infer_fail(context, "input %d is of %s, but belongs to input %d of %s", i, norma_element_type_name(type),
                        of_x, norma_element_type_name(info->type));
    if (type != NORMA_UNDEFINED) info->type = type;
    if (!shape_merge(&info->shape, infer_shape(context, i)))
      return infer_fail(context, "input %d has shape %s, but belongs to input %d of shape %s", i,
                        shape_text(infer_shape(context, i), texts[0], sizeof texts[0]), of_x,
                        shape_text(infer_shape(context, of_x), texts[1], sizeof texts[1]));
  }
  return NORMA_OK;
}

static norma_status optimizer_infer(infer_context *context) {
  const optimizer_state *state = context->state;
  const int tensors = optimizer_tensors(state, context->input_count);
  TRY(optimizer_check_number(context, OPTIMIZER_R, OPTIMIZER_TYPES));
  TRY(optimizer_check_number(context, OPTIMIZER_T, TYPE_BIT(NORMA_INT64)));
  for (int k = 0; k < tensors; k++) {
    value_info info;
    TRY(optimizer_infer_tensor(context, tensors, k, &info));
    for (int i = k; i < context->output_count; i += tensors) infer_output(context, i, info.type, &info.shape);
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------- prepare, compute */

static norma_status optimizer_prepare(prepare_context *context) {
  const optimizer_state *state = context->state;
  const int tensors = optimizer_tensors(state, context->input_count);
  context->worker_scratch_bytes = (size_t)(1 + state->histories) * OPTIMIZER_PIECE_BYTES;
  context->kernel_name = "elements";
  for (int k = 0; k < tensors; k++)
    context->flops += 10.0 * (double)shape_count(prepare_shape(context, OPTIMIZER_X + k));
  return NORMA_OK;
}

static struct optimizer_step optimizer_begin_step(const run_context *context) {
  const optimizer_state *state = context->state;
  const norma_tensor *r = run_input(context, OPTIMIZER_R);
  const double rate = r->type == NORMA_DOUBLE ? *(const double *)r->data : (double)*(const float *)r->data;
  const int64_t t = *(const int64_t *)run_input(context, OPTIMIZER_T)->data;
  const double steps = (double)t, alpha = state->alpha, beta = state->beta;
  struct optimizer_step step = {
      .norm = state->norm, .rate = rate, .epsilon = state->epsilon, .is_nesterov = state->is_nesterov};
  switch (state->kind) {
  case OPTIMIZER_ADAM:
    if (t > 0) step.rate = rate * sqrt(1 - pow(beta, steps)) / (1 - pow(alpha, steps));
    step.keep = alpha;
    step.take = 1 - alpha;
    step.square_keep = beta;
    step.square_take = 1 - beta;
    step.shrink = 1 - state->norm_post;
    break;
  case OPTIMIZER_ADAGRAD:
    step.rate = rate / (1 + steps * state->decay);
    break;
  case OPTIMIZER_MOMENTUM:
    step.keep = alpha;
    step.take = t > 0 ? beta : 1;
    break;
  }
  return step;
}

struct optimizer_job {
  run_context *context;
  const struct optimizer_step *step;
  int tensors, tensor;
  int64_t count;
};

static void optimizer_update(const struct optimizer_job *job, bool is_double, const struct optimizer_piece *piece) {
  const optimizer_state *state = job->context->state;
  switch (state->kind) {
  case OPTIMIZER_ADAM:
    (is_double ? optimizer_adam_double : optimizer_adam_float)(job->step, piece);
    break;
  case OPTIMIZER_ADAGRAD:
    (is_double ? optimizer_adagrad_double : optimizer_adagrad_float)(job->step, piece);
    break;
  case OPTIMIZER_MOMENTUM:
    (is_double ? optimizer_momentum_double : optimizer_momentum_float)(job->step, piece);
    break;
  }
}

/* Outputs that nobody wants go to scratch. */
static void optimizer_pieces(void *argument, int64_t begin, int64_t end, int worker) {
  const struct optimizer_job *job = argument;
  const optimizer_state *state = job->context->state;
  const bool is_double = run_input(job->context, OPTIMIZER_X + job->tensor)->type == NORMA_DOUBLE;
  const size_t bytes = is_double ? sizeof(double) : sizeof(float);
  char *unwanted = run_worker_scratch(job->context, worker);
  for (int64_t i = begin; i < end; i++) {
    struct optimizer_piece piece = {.count = job->count - i * OPTIMIZER_PIECE};
    size_t offset = (size_t)(i * OPTIMIZER_PIECE) * bytes;
    if (piece.count > OPTIMIZER_PIECE) piece.count = OPTIMIZER_PIECE;
    for (int k = 0; k < 2 + state->histories; k++)
      piece.in[k] = (const char *)run_input(job->context, OPTIMIZER_X + k * job->tensors + job->tensor)->data + offset;
    for (int k = 0; k < 1 + state->histories; k++) {
      const norma_tensor *y = run_output(job->context, k * job->tensors + job->tensor);
      piece.out[k] = y ? (char *)y->data + offset : unwanted + (size_t)k * OPTIMIZER_PIECE_BYTES;
    }
    optimizer_update(job, is_double, &piece);
  }
}

static norma_status optimizer_compute(run_context *context) {
  const optimizer_state *state = context->state;
  const struct optimizer_step step = optimizer_begin_step(context);
  struct optimizer_job job = {context, &step, optimizer_tensors(state, context->input_count), 0, 0};
  const int64_t grain = work_grain(OPTIMIZER_PIECE * WORK_ELEMENT * (2 + state->histories));
  for (job.tensor = 0; job.tensor < job.tensors; job.tensor++) {
    job.count = norma_tensor_count(run_input(context, OPTIMIZER_X + job.tensor));
    TRY(run_parallel(context, divide_up(job.count, OPTIMIZER_PIECE), grain, optimizer_pieces, &job));
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------- descriptor */

static bool optimizer_dimension(const node *node, int output, int axis, dimension_source *source) {
  const optimizer_state *state = node->state;
  const int tensors = optimizer_tensors(state, node->input_count);
  *source = (dimension_source){.input = OPTIMIZER_X + output % tensors, .axis = axis, .stride = 1};
  return true;
}

static const operator_attribute adam_attributes[] = {
    {"alpha", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"beta", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"epsilon", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"norm_coefficient", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"norm_coefficient_post", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute adagrad_attributes[] = {
    {"decay_factor", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"epsilon", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"norm_coefficient", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute momentum_attributes[] = {
    {"alpha", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, true},
    {"beta", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, true},
    {"mode", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, true},
    {"norm_coefficient", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, true},
    {0},
};

/* Tensors may differ in type, which rules do not know: infer checks them all. */
#define OPTIMIZER(operator_name, least, read_attributes, known_attributes)                                             \
  {                                                                                                                    \
    .domain = "ai.onnx.preview.training", .name = operator_name, .versions = {1}, .min_inputs = least,                 \
    .max_inputs = OPERATOR_VARIADIC, .min_outputs = 1, .max_outputs = OPERATOR_VARIADIC,                               \
    .attributes = known_attributes, .state_size = sizeof(optimizer_state), .read = read_attributes,                    \
    .infer = optimizer_infer, .prepare = optimizer_prepare, .facts = {.dimension = optimizer_dimension},               \
    .compute = optimizer_compute,                                                                                      \
  }

const operator_descriptor operators_optimizer[] = {
    OPTIMIZER("Adam", 6, adam_read, adam_attributes),
    OPTIMIZER("Adagrad", 5, adagrad_read, adagrad_attributes),
    OPTIMIZER("Momentum", 5, momentum_read, momentum_attributes),
    {0},
};
