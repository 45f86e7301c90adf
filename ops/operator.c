#include "ops/operator.h"

#include <stdarg.h>
#include <stdio.h>

int operator_version(const operator_descriptor *op, int64_t opset) {
  int found = 0;
  for (int i = 0; i < OPERATOR_MAX_VERSIONS && op->versions[i]; i++) {
    if (op->versions[i] <= opset) found = op->versions[i];
  }
  return found;
}

/* ------------------------------------------------------------------------------------------------------------ types */

/* The last input of a variadic operator stands for all that follow. */
static bool rule_names_input(const type_rule *rule, int index, bool variadic) {
  int last = 31 - __builtin_clz(rule->inputs | 1);
  if (variadic && index > last) index = last;
  return index < 32 && (rule->inputs & INPUT(index));
}

static bool rule_accepts(const operator_descriptor *op, const type_rule *rule, int input_count,
                         const value_info *const *inputs, type_conflict *conflict) {
  norma_element_type common = NORMA_UNDEFINED;
  for (int i = 0; i < input_count && rule->inputs; i++) {
    if (!inputs[i] || !rule_names_input(rule, i, op->max_inputs == OPERATOR_VARIADIC)) continue;
    if (inputs[i]->kind == NORMA_VALUE_NONE) continue;
    *conflict = (type_conflict){.input = i, .is_kind = inputs[i]->kind != NORMA_VALUE_TENSOR};
    if (conflict->is_kind) return false;
    if (inputs[i]->type == NORMA_UNDEFINED) continue;
    if (!(rule->types & TYPE_BIT(inputs[i]->type))) return false;
    conflict->expected = common;
    if (common != NORMA_UNDEFINED && inputs[i]->type != common) return false;
    common = inputs[i]->type;
  }
  return true;
}

bool operator_accepts(const operator_descriptor *op, int input_count, const value_info *const *inputs,
                      type_conflict *conflict) {
  for (int r = 0; r < 8 && op->types[r].types; r++) {
    if (!rule_accepts(op, &op->types[r], input_count, inputs, conflict)) return false;
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------------------ infer */

static const shape no_shape = {.rank = RANK_UNKNOWN};

bool infer_has_input(const infer_context *context, int index) {
  return index < context->input_count && context->inputs[index];
}

norma_element_type infer_type(const infer_context *context, int index) {
  bool is_tensor = infer_has_input(context, index) && context->inputs[index]->kind == NORMA_VALUE_TENSOR;
  return is_tensor ? context->inputs[index]->type : NORMA_UNDEFINED;
}

const shape *infer_shape(const infer_context *context, int index) {
  bool is_tensor = infer_has_input(context, index) && context->inputs[index]->kind == NORMA_VALUE_TENSOR;
  return is_tensor ? &context->inputs[index]->shape : &no_shape;
}

const norma_tensor *infer_value(const infer_context *context, int index) {
  if (index >= context->input_count || !context->values[index]) return NULL;
  return norma_value_tensor(context->values[index]);
}

bool infer_ints(infer_context *context, int index, int64_t *values, int capacity, int *count, norma_status *status) {
  *status = NORMA_OK;
  *count = 0;
  const norma_tensor *tensor = infer_value(context, index);
  if (!tensor) return false;
  int64_t elements = norma_tensor_count(tensor);
  if (tensor->rank > 1 || elements > capacity || !(TYPE_BIT(tensor->type) & TYPES_INTEGER)) {
    *status = infer_fail(context, "input %d must be a list of at most %d integers", index, capacity);
    return false;
  }
  for (int64_t i = 0; i < elements; i++) values[i] = tensor_get_int64(tensor, i);
  *count = (int)elements;
  return true;
}

void infer_output(infer_context *context, int index, norma_element_type type, const shape *shape) {
  if (index < context->output_count) context->outputs[index] = value_info_tensor(type, shape);
}

void infer_output_info(infer_context *context, int index, const value_info *info) {
  if (index < context->output_count) context->outputs[index] = *info;
}

norma_status infer_output_ints(infer_context *context, int index, const int64_t *values, int count, int rank) {
  int64_t dims[1] = {count};
  shape shape = shape_make(rank, dims);
  infer_output(context, index, NORMA_INT64, &shape);
  if (index >= context->output_count || !context->known) return NORMA_OK;
  int64_t *copy = region_array(context->region, (size_t)count, sizeof *copy);
  if (!copy) return region_error(context->region, context->error);
  if (count) memcpy(copy, values, (size_t)count * sizeof *copy);
  norma_tensor_init(&context->known[index], NORMA_INT64, rank, dims, copy);
  return NORMA_OK;
}

norma_status infer_fail(infer_context *context, const char *format, ...) {
  char text[sizeof context->error->message];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return error_at_node(context->error, context->failure, context->node, "%s", text);
}

norma_status infer_same(infer_context *context) {
  if (infer_has_input(context, 0)) infer_output_info(context, 0, context->inputs[0]);
  return NORMA_OK;
}

norma_status infer_broadcast(infer_context *context) {
  shape result = *infer_shape(context, 0);
  for (int i = 1; i < context->input_count; i++) {
    if (shape_broadcast(&result, infer_shape(context, i), &result)) continue;
    char a[200], b[200];
    return infer_fail(context, "shapes %s and %s cannot be broadcast", shape_text(&result, a, sizeof a),
                      shape_text(infer_shape(context, i), b, sizeof b));
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

const norma_tensor *prepare_constant(const prepare_context *context, int index) {
  if (index >= context->input_count || !context->constants[index]) return NULL;
  return norma_value_tensor(context->constants[index]);
}

norma_status prepare_read(prepare_context *context, int index, int64_t first, int64_t count, const void **data) {
  const value *constant = context->constants[index];
  norma_status status;
  if (context->read_lazy && context->read_lazy(context, constant, first, count, data, &status)) {
    return status == NORMA_OK ? NORMA_OK : error_add_node(context->error, context->node);
  }
  const norma_tensor *tensor = &constant->tensor;
  if (!tensor->data && tensor->size_bytes > 0) { /* given back when it was packed: asked for again only by mistake */
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "the contents of input %d are gone", index);
  }
  const size_t offset = (size_t)first * element_type_bytes(tensor->type);
  *data = tensor->data ? (const char *)tensor->data + offset : NULL;
  return NORMA_OK;
}

bool prepare_sample_is_fixed(const prepare_context *context, int index) {
  const shape *known = &context->node->inputs[index]->info.shape;
  for (int i = 1; i < known->rank; i++) {
    if (known->dims[i] == DIM_UNKNOWN) return false;
  }
  return known->rank > 0;
}

const shape *prepare_shape(const prepare_context *context, int index) {
  return index < context->input_count && context->inputs[index] ? &context->inputs[index]->shape : &no_shape;
}

norma_element_type prepare_type(const prepare_context *context, int index) {
  return index < context->input_count && context->inputs[index] ? context->inputs[index]->type : NORMA_UNDEFINED;
}

norma_status prepare_fail(prepare_context *context, norma_status status, const char *format, ...) {
  char text[sizeof context->error->message];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return error_at_node(context->error, status, context->node, "%s", text);
}

/* -------------------------------------------------------------------------------------------------------------- run */

norma_status run_fail(run_context *context, norma_status status, const char *format, ...) {
  char text[sizeof context->error->message];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return error_at_node(context->error, status, context->node, "%s", text);
}
