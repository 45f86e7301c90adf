#include "engine/load/input_shapes.h"

#include "engine/base/status.h"

static graph_value *find_runtime_input(const graph *graph, const char *name) {
  for (int i = 0; i < graph->input_count; i++) {
    graph_value *input = graph->inputs[i];
    if (!input->constant && strcmp(input->name, name) == 0) return input;
  }
  return NULL;
}

static bool read_given_shape(const norma_input_shape *given, shape *result) {
  if (given->rank < 0 || given->rank > NORMA_MAX_RANK || (given->rank > 0 && !given->dims)) return false;
  *result = shape_make(given->rank, given->dims);
  for (int i = 0; i < given->rank; i++) {
    if (given->dims[i] < DIM_UNKNOWN) return false;
  }
  return true;
}

static norma_status set_input_shape(const graph *graph, const norma_input_shape *given, norma_error *error) {
  shape wanted;
  graph_value *input = given->name ? find_runtime_input(graph, given->name) : NULL;
  if (!input || input->info.kind != NORMA_VALUE_TENSOR) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "the model has no input '%s' that is a tensor",
                     given->name ? given->name : "");
  }
  if (!read_given_shape(given, &wanted)) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "the shape for input '%s' cannot be", input->name);
  }
  shape merged = input->info.shape;
  if (!shape_merge(&merged, &wanted)) {
    char declared[200], asked[200];
    return error_set(error, NORMA_ERROR_ARGUMENT, "input '%s' is %s, which %s contradicts", input->name,
                     shape_text(&input->info.shape, declared, sizeof declared),
                     shape_text(&wanted, asked, sizeof asked));
  }
  input->info.shape = merged;
  return NORMA_OK;
}

norma_status input_shapes_set(norma_model *model, const norma_load_options *options, norma_error *error) {
  for (size_t i = 0; i < options->input_shape_count; i++) {
    TRY(set_input_shape(model->graph, &options->input_shapes[i], error));
  }
  return NORMA_OK;
}
