/*
 * Optional values: Optional, OptionalHasElement, OptionalGetElement.
 *
 * Version 15; 18: OptionalHasElement and OptionalGetElement take tensors and sequences as well, and OptionalHasElement
 * no input at all; 28: more element types. An optional holds its element by reference.
 */
#include "ops/movement/join.h"
#include "ops/operator.h"

/* The element of input 0: of an optional, what it holds; else the value itself. NULL: there is none. */
static const value *optional_element(const run_context *context) {
  const value *input = context->input_count > 0 ? context->inputs[0] : NULL;
  if (!input || input->kind == NORMA_VALUE_NONE) return NULL;
  if (input->kind != NORMA_VALUE_OPTIONAL) return input;
  bool holds = input->list->count > 0 && input->list->items[0].kind != NORMA_VALUE_NONE;
  return holds ? &input->list->items[0] : NULL;
}

/* --------------------------------------------------------------------------------------------------------- Optional */

typedef struct optional_state {
  const value_info *type; /* of the element; NULL: not given */
} optional_state;

static norma_status optional_read(const node *node, void *opaque, norma_error *error) {
  optional_state *state = opaque;
  const attribute *type = node_attribute(node, "type");
  bool has_input = node->input_count > 0 && node->inputs[0];
  state->type = type ? type->type : NULL;
  if (!state->type && !has_input) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has neither an input nor the attribute type");
  }
  return NORMA_OK;
}

static norma_status optional_infer(infer_context *context) {
  const optional_state *state = context->state;
  value_info optional = {.kind = NORMA_VALUE_OPTIONAL, .shape = {.rank = RANK_UNKNOWN}};
  const value_info *element = infer_has_input(context, 0) ? context->inputs[0] : state->type;
  norma_status status;
  /* No type nests deeper than the model writes it: what walks over types recurses. */
  if (element->kind == NORMA_VALUE_OPTIONAL) return infer_fail(context, "the element is an optional itself");
  optional.item = infer_new_item(context, element, &status);
  TRY(status);
  infer_output_info(context, 0, &optional);
  return NORMA_OK;
}

static norma_status optional_compute(run_context *context) {
  const value *element = context->input_count > 0 ? context->inputs[0] : NULL;
  TRY(run_allocate_list(context, 0, NORMA_VALUE_OPTIONAL, element ? 1 : 0));
  return element ? run_set_element(context, 0, 0, element) : NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------- OptionalHasElement */

/* Before version 18 the input is there, and an optional. While the model runs it may have become what it holds: Loop
 * carries an optional whose body gives a sequence. */
static norma_status optional_check_input(infer_context *context) {
  const value_info *input = infer_has_input(context, 0) ? context->inputs[0] : NULL;
  if (context->node->version >= 18) return NORMA_OK;
  if (!input) return infer_fail(context, "the optional is missing");
  bool is_loading = context->failure == NORMA_ERROR_INVALID_MODEL;
  if (is_loading && input->kind != NORMA_VALUE_NONE && input->kind != NORMA_VALUE_OPTIONAL) {
    return infer_fail(context, "before opset 18 input 0 must be an optional");
  }
  return NORMA_OK;
}

static norma_status optional_has_element_infer(infer_context *context) {
  shape scalar = shape_of_rank(0);
  TRY(optional_check_input(context));
  infer_output(context, 0, NORMA_BOOL, &scalar);
  return NORMA_OK;
}

static norma_status optional_has_element_compute(run_context *context) {
  *(uint8_t *)run_output(context, 0)->data = optional_element(context) != NULL;
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------- OptionalGetElement */

static norma_status optional_get_element_infer(infer_context *context) {
  value_info element = {.shape = {.rank = RANK_UNKNOWN}};
  TRY(optional_check_input(context));
  const value_info *input = infer_has_input(context, 0) ? context->inputs[0] : NULL;
  if (!input) return infer_fail(context, "the optional is missing");
  if (input->kind != NORMA_VALUE_OPTIONAL)
    element = *input;
  else if (input->item)
    element = *input->item;
  infer_output_info(context, 0, &element);
  return NORMA_OK;
}

static norma_status optional_get_element_compute(run_context *context) {
  const value *element = optional_element(context);
  if (!element) return run_fail(context, NORMA_ERROR_RUN, "the optional holds no element");
  return run_set_output(context, 0, element);
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

static const operator_attribute optional_attributes[] = {
    {"type", ATTRIBUTE_TYPE_PROTO, 15, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_optional[] = {
    {
        .domain = "",
        .name = "Optional",
        .versions = {15, 28},
        .min_inputs = 0,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .attributes = optional_attributes,
        .state_size = sizeof(optional_state),
        .read = optional_read,
        .infer = optional_infer,
        .compute = optional_compute,
    },
    {
        .domain = "",
        .name = "OptionalHasElement",
        .versions = {15, 18, 28},
        .min_inputs = 0,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .infer = optional_has_element_infer,
        .compute = optional_has_element_compute,
    },
    {
        .domain = "",
        .name = "OptionalGetElement",
        .versions = {15, 18, 28},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .infer = optional_get_element_infer,
        .compute = optional_get_element_compute,
    },
    {0},
};
