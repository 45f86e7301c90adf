/*
 * Constant         1: attribute value; 11: sparse_value; 12: value_int, value_float, value_string and their lists;
 *                  9, 13, 19, 21, 23, 24, 25: more types. Loading turns these nodes into constant values of the graph;
 *                  compute serves where that did not happen.
 * ConstantOfShape  9; 20, 21, 23, 24, 25: more types. A tensor of the shape given by the input, filled with one value.
 */
#include "ops/axes.h"
#include "ops/movement/movement.h"

/* --------------------------------------------------------------------------------------------------------- Constant */

typedef struct constant_state {
  const attribute *source; /* the one attribute that stands */
} constant_state;

static const operator_attribute constant_attributes[] = {
    {"value", ATTRIBUTE_TENSOR, 1, OPERATOR_LATEST, false},
    {"sparse_value", ATTRIBUTE_SPARSE_TENSOR, 11, OPERATOR_LATEST, false},
    {"value_int", ATTRIBUTE_INT, 12, OPERATOR_LATEST, false},
    {"value_ints", ATTRIBUTE_INTS, 12, OPERATOR_LATEST, false},
    {"value_float", ATTRIBUTE_FLOAT, 12, OPERATOR_LATEST, false},
    {"value_floats", ATTRIBUTE_FLOATS, 12, OPERATOR_LATEST, false},
    {"value_string", ATTRIBUTE_STRING, 12, OPERATOR_LATEST, false},
    {"value_strings", ATTRIBUTE_STRINGS, 12, OPERATOR_LATEST, false},
    {0},
};

static norma_status constant_read(const node *node, void *state, norma_error *error) {
  constant_state *constant = state;
  for (const operator_attribute *known = constant_attributes; known->name; known++) {
    const attribute *found = node_attribute(node, known->name);
    if (!found) continue;
    if (constant->source) {
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has both %s and %s", constant->source->name,
                           found->name);
    }
    constant->source = found;
  }
  if (!constant->source) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has no value");
  return NORMA_OK;
}

/* The attribute as a tensor: a view of the attribute's own memory. */
static norma_tensor constant_tensor(const attribute *source) {
  norma_element_type type = NORMA_UNDEFINED;
  const void *data = NULL;
  int rank = 0;
  const int64_t dims[1] = {(int64_t)source->count};
  norma_tensor tensor = {0};
  switch (source->kind) {
  case ATTRIBUTE_TENSOR:
  case ATTRIBUTE_SPARSE_TENSOR:
    return source->tensor->tensor;
  case ATTRIBUTE_INT:
    type = NORMA_INT64, data = &source->i;
    break;
  case ATTRIBUTE_FLOAT:
    type = NORMA_FLOAT, data = &source->f;
    break;
  case ATTRIBUTE_STRING:
    type = NORMA_STRING, data = &source->s;
    break;
  case ATTRIBUTE_INTS:
    type = NORMA_INT64, data = source->ints, rank = 1;
    break;
  case ATTRIBUTE_FLOATS:
    type = NORMA_FLOAT, data = source->floats, rank = 1;
    break;
  case ATTRIBUTE_STRINGS:
    type = NORMA_STRING, data = source->strings, rank = 1;
    break;
  default:
    break;
  }
  norma_tensor_init(&tensor, type, rank, dims, tensor_read_only(data));
  return tensor;
}

static norma_status constant_infer(infer_context *context) {
  const constant_state *state = context->state;
  const norma_tensor tensor = constant_tensor(state->source);
  const shape shape = shape_of_tensor(&tensor);
  infer_output(context, 0, tensor.type, &shape);
  return NORMA_OK;
}

static norma_status constant_compute(run_context *context) {
  const constant_state *state = context->state;
  const norma_tensor tensor = constant_tensor(state->source);
  const norma_tensor *output = run_output(context, 0);
  if (!output) return NORMA_OK;
  if (tensor.type == NORMA_STRING) return movement_finish(context, 0, &tensor);
  if (tensor.size_bytes) memcpy(output->data, tensor.data, tensor.size_bytes);
  return NORMA_OK;
}

static bool constant_held(const node *node, norma_tensor *held) {
  const constant_state *state = node->state;
  *held = constant_tensor(state->source);
  return true;
}

/* -------------------------------------------------------------------------------------------------- ConstantOfShape */

typedef struct constant_of_shape_state {
  norma_element_type type;
  char item[16]; /* as movement_get gives it */
} constant_of_shape_state;

static norma_status constant_of_shape_read(const node *node, void *state, norma_error *error) {
  constant_of_shape_state *constant = state;
  constant->type = NORMA_FLOAT;
  const value *given = attribute_tensor(node, "value");
  if (!given) return NORMA_OK;
  if (norma_tensor_count(&given->tensor) != 1 || given->tensor.type == NORMA_STRING) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "value must be a tensor of one number");
  }
  constant->type = given->tensor.type;
  movement_get(constant->type, given->tensor.data, 0, constant->item);
  return NORMA_OK;
}

static norma_status constant_of_shape_infer(infer_context *context) {
  const constant_of_shape_state *state = context->state;
  const shape *dims = infer_shape(context, 0);
  shape result = shape_unknown();
  integers sizes;
  norma_status status;
  if (infer_ints(context, 0, sizes.values, NORMA_MAX_RANK, &sizes.count, &status)) {
    for (int i = 0; i < sizes.count; i++) {
      if (sizes.values[i] < 0) return infer_fail(context, "shape has the size %lld", (long long)sizes.values[i]);
    }
    result = shape_make(sizes.count, sizes.values);
  } else if (dims->rank == 1 && dims->dims[0] >= 0 && dims->dims[0] <= NORMA_MAX_RANK) {
    result = shape_of_rank((int)dims->dims[0]);
  }
  TRY(status);
  infer_output(context, 0, state->type, &result);
  return NORMA_OK;
}

typedef struct fill_job {
  char *target;
  const char *item;
  size_t bytes;
} fill_job;

static void fill_body(void *argument, int64_t begin, int64_t end, int worker) {
  const fill_job *job = argument;
  (void)worker;
  strided_fill(job->target + (size_t)begin * job->bytes, job->item, job->bytes, end - begin);
}

static norma_status constant_of_shape_compute(run_context *context) {
  const constant_of_shape_state *state = context->state;
  norma_tensor target;
  if (!context->outputs[0]) return NORMA_OK;
  TRY(movement_target(context, 0, &target));
  fill_job job = {target.data, state->item, movement_bytes(state->type)};
  TRY(run_parallel(context, norma_tensor_count(&target), 64 * 1024, fill_body, &job));
  return movement_finish(context, 0, &target);
}

static const operator_attribute constant_of_shape_attributes[] = {
    {"value", ATTRIBUTE_TENSOR, 9, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_constant[] = {
    {.name = "Constant",
     .domain = "",
     .versions = {1, 9, 11, 12, 13, 19, 21, 23, 24, 25},
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_ALL, 0, OUTPUT(0)}},
     .attributes = constant_attributes,
     .state_size = sizeof(constant_state),
     .read = constant_read,
     .infer = constant_infer,
     .facts = {.constant = constant_held},
     .compute = constant_compute},
    {.name = "ConstantOfShape",
     .domain = "",
     .versions = {9, 20, 21, 23, 24, 25},
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPE_BIT(NORMA_INT64), INPUT(0), 0}, {TYPES_DENSE, 0, OUTPUT(0)}},
     .attributes = constant_of_shape_attributes,
     .state_size = sizeof(constant_of_shape_state),
     .read = constant_of_shape_read,
     .infer = constant_of_shape_infer,
     .compute = constant_of_shape_compute},
    {0},
};
