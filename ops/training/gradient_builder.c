#include "ops/training/gradient.h"

#include <stdarg.h>
#include <stdio.h>

static void gradient_out_of_memory(gradient_builder *builder) {
  if (builder->status == NORMA_OK) builder->status = region_error(builder->graph->region, builder->error);
}

void gradient_refuse(gradient_builder *builder, const char *format, ...) {
  if (builder->status != NORMA_OK) return;
  char text[300];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  builder->status = error_at_node(builder->error, NORMA_ERROR_UNSUPPORTED, builder->of, "no gradient: %s", text);
}

int gradient_rank(gradient_builder *builder, const graph_value *value) {
  if (value->info.kind == NORMA_VALUE_TENSOR && value->info.shape.rank != RANK_UNKNOWN) return value->info.shape.rank;
  gradient_refuse(builder, "the rank of '%.100s' is not known when the model is loaded", value->name);
  return -1;
}

/* ------------------------------------------------------------------------------------------------------------ nodes */

node *gradient_make_node(gradient_builder *builder, const char *op_type, const char *domain, int inputs,
                         graph_value *const *values, int outputs) {
  if (builder->status != NORMA_OK) return NULL;
  char name[300];
  snprintf(name, sizeof name, "gradient of %.200s (%.60s)", builder->of->name, op_type);
  node *made = graph_insert_node(builder->graph, builder->before, name, op_type, domain, inputs, outputs, 0);
  if (made) made->opset = *domain ? 1 : GRADIENT_OPSET;
  for (int i = 0; made && i < inputs; i++) node_set_input(made, i, values[i]);
  for (int i = 0; made && i < outputs; i++) {
    graph_value *output = graph_add_unique_value(builder->graph, name);
    if (output) {
      node_set_output(made, i, output);
    } else {
      made = NULL;
    }
  }
  if (!made) gradient_out_of_memory(builder);
  return made;
}

#define GRADIENT_MOST_INPUTS 4

static graph_value *gradient_make_of(gradient_builder *builder, const char *op_type, const char *domain, int inputs,
                                     va_list arguments) {
  graph_value *values[GRADIENT_MOST_INPUTS] = {NULL};
  for (int i = 0; i < inputs && i < GRADIENT_MOST_INPUTS; i++) values[i] = va_arg(arguments, graph_value *);
  node *made = gradient_make_node(builder, op_type, domain, inputs, values, 1);
  return made ? made->outputs[0] : NULL;
}

graph_value *gradient_make(gradient_builder *builder, const char *op_type, int inputs, ...) {
  va_list arguments;
  va_start(arguments, inputs);
  graph_value *made = gradient_make_of(builder, op_type, "", inputs, arguments);
  va_end(arguments);
  return made;
}

graph_value *gradient_make_inner(gradient_builder *builder, const char *op_type, int inputs, ...) {
  va_list arguments;
  va_start(arguments, inputs);
  graph_value *made = gradient_make_of(builder, op_type, OPERATOR_INNER_DOMAIN, inputs, arguments);
  va_end(arguments);
  return made;
}

void gradient_set_int(gradient_builder *builder, graph_value *value, const char *name, int64_t i) {
  if (builder->status == NORMA_OK && !node_set_attribute_int(value->producer, name, i)) gradient_out_of_memory(builder);
}

void gradient_set_ints(gradient_builder *builder, graph_value *value, const char *name, const int64_t *ints,
                       int count) {
  if (builder->status != NORMA_OK) return;
  if (!node_set_attribute_ints(value->producer, name, ints, (size_t)count)) gradient_out_of_memory(builder);
}

void gradient_copy_attributes(gradient_builder *builder, node *made, const node *from) {
  if (builder->status != NORMA_OK) return;
  attribute *copies = region_array(builder->graph->region, (size_t)from->attribute_count, sizeof *copies);
  if (!copies) {
    gradient_out_of_memory(builder);
    return;
  }
  for (int i = 0; i < from->attribute_count; i++) copies[i] = from->attributes[i];
  made->attributes = copies;
  made->attribute_count = from->attribute_count;
}

/* -------------------------------------------------------------------------------------------------------- constants */

static graph_value *gradient_constant(gradient_builder *builder, norma_element_type type, const shape *shape,
                                      const double *numbers) {
  if (builder->status != NORMA_OK) return NULL;
  value contents = {.kind = NORMA_VALUE_NONE};
  builder->status = value_allocate_tensor(builder->graph->memory, &contents, type, shape, builder->error);
  if (builder->status != NORMA_OK) return NULL;
  const int64_t count = norma_tensor_count(&contents.tensor);
  for (int64_t i = 0; i < count; i++) element_set_double(type, contents.tensor.data, i, numbers[i]);
  graph_value *made = graph_add_constant(builder->graph, "gradient", &contents);
  if (!made) gradient_out_of_memory(builder);
  return made;
}

graph_value *gradient_number(gradient_builder *builder, const graph_value *like, double number) {
  const shape scalar = shape_make(0, NULL);
  if (like->info.kind != NORMA_VALUE_TENSOR || like->info.type == NORMA_UNDEFINED) {
    gradient_refuse(builder, "the type of '%.100s' is not known when the model is loaded", like->name);
    return NULL;
  }
  return gradient_constant(builder, like->info.type, &scalar, &number);
}

graph_value *gradient_list(gradient_builder *builder, const int64_t *values, int count) {
  double numbers[2 * NORMA_MAX_RANK];
  const shape list = shape_make(1, (int64_t[]){count});
  for (int i = 0; i < count; i++) numbers[i] = (double)values[i];
  return gradient_constant(builder, NORMA_INT64, &list, numbers);
}

/* ------------------------------------------------------------------------------------------------------- arithmetic */

graph_value *gradient_negative(gradient_builder *builder, graph_value *a) {
  return gradient_make(builder, "Neg", 1, a);
}

graph_value *gradient_sum(gradient_builder *builder, graph_value *a, graph_value *b) {
  return gradient_make(builder, "Add", 2, a, b);
}

graph_value *gradient_difference(gradient_builder *builder, graph_value *a, graph_value *b) {
  return gradient_make(builder, "Sub", 2, a, b);
}

graph_value *gradient_product(gradient_builder *builder, graph_value *a, graph_value *b) {
  return gradient_make(builder, "Mul", 2, a, b);
}

graph_value *gradient_quotient(gradient_builder *builder, graph_value *a, graph_value *b) {
  return gradient_make(builder, "Div", 2, a, b);
}

graph_value *gradient_times(gradient_builder *builder, graph_value *a, const graph_value *like, double number) {
  return number == 1 ? a : gradient_product(builder, a, gradient_number(builder, like, number));
}

graph_value *gradient_alone(gradient_builder *builder, graph_value *a) {
  return gradient_make(builder, "Identity", 1, a);
}

graph_value *gradient_cast(gradient_builder *builder, graph_value *a, const graph_value *like) {
  graph_value *cast = gradient_make(builder, "Cast", 1, a);
  gradient_set_int(builder, cast, "to", like->info.type);
  return cast;
}

graph_value *gradient_where(gradient_builder *builder, graph_value *condition, graph_value *a,
                            const graph_value *like) {
  return gradient_make(builder, "Where", 3, condition, a, gradient_number(builder, like, 0));
}

/* ----------------------------------------------------------------------------------------------------------- shapes */

graph_value *gradient_shape(gradient_builder *builder, graph_value *value) {
  return gradient_make(builder, "Shape", 1, value);
}

graph_value *gradient_dims(gradient_builder *builder, graph_value *value, int begin, int end) {
  graph_value *dims = gradient_shape(builder, value);
  gradient_set_int(builder, dims, "start", begin);
  gradient_set_int(builder, dims, "end", end);
  return dims;
}

graph_value *gradient_sum_to(gradient_builder *builder, graph_value *a, graph_value *like) {
  return gradient_make_inner(builder, "SumTo", 2, a, like);
}

graph_value *gradient_expand(gradient_builder *builder, graph_value *a, graph_value *like) {
  return gradient_make(builder, "Expand", 2, a, gradient_shape(builder, like));
}

graph_value *gradient_reshape(gradient_builder *builder, graph_value *a, graph_value *like) {
  graph_value *reshaped = gradient_make(builder, "Reshape", 2, a, gradient_shape(builder, like));
  gradient_set_int(builder, reshaped, "allowzero", 1);
  return reshaped;
}

graph_value *gradient_reduce(gradient_builder *builder, graph_value *a, const int64_t *axes, int count, bool keeps) {
  graph_value *reduced = gradient_make(builder, "ReduceSum", 2, a, gradient_list(builder, axes, count));
  gradient_set_int(builder, reduced, "keepdims", keeps);
  if (count == 0) gradient_set_int(builder, reduced, "noop_with_empty_axes", 1);
  return reduced;
}
