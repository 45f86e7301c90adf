#include "engine/load/unfold.h"

#include "engine/execute/runtime.h"
#include "engine/graph/query.h"
#include "ops/elementwise/elementwise_chain.h"

#include <float.h>
#include <math.h>

/* The value that has these contents, read by one layer alone. */
static graph_value *find_weights(const norma_model *model, const value *lost) {
  const graph *graph = model->graph;
  for (int i = 0; i < graph->value_count; i++) {
    if (graph->values[i]->constant != lost) continue;
    return value_has_single_use(graph->values[i]) ? graph->values[i] : NULL;
  }
  return NULL;
}

/* One number per output channel as a constant that is broadcast to `y`: channels are the last axis of matrices, axis 1
 * of planes, and axes 1 and 4 of channel blocks. */
static norma_status add_vector(const graph_value *y, const char *stem, const double *numbers, int64_t count,
                               graph_value **result, norma_error *error) {
  const shape *shape = &y->info.shape;
  const bool in_blocks = shape->rank == 5 && shape->dims[1] * shape->dims[4] >= count && shape->dims[1] < count;
  struct shape own = {.rank = shape->rank == 2 ? 1 : shape->rank - 1};
  int64_t padded = count;
  for (int i = 0; i < own.rank; i++) own.dims[i] = 1;
  own.dims[0] = count;
  if (in_blocks) {
    own.dims[0] = shape->dims[1];
    own.dims[3] = shape->dims[4];
    padded = shape->dims[1] * shape->dims[4];
  }
  value contents;
  TRY(value_allocate_tensor(y->graph->memory, &contents, y->info.type, &own, error));
  for (int64_t c = 0; c < padded; c++) {
    element_set_double(y->info.type, contents.tensor.data, c, c < count ? numbers[c] : 0);
  }
  *result = graph_add_constant(y->graph, stem, &contents);
  return *result ? NORMA_OK : region_error(y->graph->region, error);
}

/* The bias of the layer, which it loses; NULL where it has none. */
static norma_status take_bias(node *layer, int64_t count, graph_value **bias, norma_error *error) {
  const int input = layer->op->facts.bias;
  const norma_tensor *tensor = input ? node_constant_input(layer, input) : NULL;
  *bias = NULL;
  if (!tensor) return NORMA_OK;
  memory *memory = layer->graph->memory;
  double *numbers = memory_allocate(memory, (size_t)count * sizeof *numbers);
  if (!numbers) return memory_error(memory, (size_t)count * sizeof *numbers, error);
  const bool repeats = norma_tensor_count(tensor) == 1;
  for (int64_t c = 0; c < count; c++) {
    numbers[c] = element_get_double(tensor->type, tensor->data, repeats ? 0 : c);
  }
  norma_status status = add_vector(layer->outputs[0], "bias", numbers, count, bias, error);
  memory_free(memory, numbers);
  if (status == NORMA_OK) node_set_input(layer, input, NULL);
  return status;
}

/* What the layer did as it stored its elements. */
typedef struct store {
  chain_program program;
  graph_value *inputs[5];
  int input_count;
} store;

/* One more operand, which is combined with the result so far. */
static void store_add(store *store, enum binary_kind kind, graph_value *operand) {
  chain_step *step = &store->program.steps[store->program.count];
  if (!operand) return;
  *step = (chain_step){.kind = CHAIN_BINARY, .binary = kind, .z = store->input_count};
  step->x = store->program.count ? chain_result(store->program.count - 1) : 0;
  store->inputs[store->input_count++] = operand;
  store->program.count++;
}

static void store_apply(store *store, struct activation activation) {
  if (activation.kind == UNARY_IDENTITY) return;
  store->program.steps[store->program.count] =
      (chain_step){.kind = CHAIN_UNARY, .unary = activation, .x = chain_result(store->program.count - 1)};
  store->program.count++;
}

static norma_status insert_store(norma_model *model, node *layer, const store *store, norma_error *error) {
  graph *graph = layer->graph;
  graph_value *y = layer->outputs[0];
  node *made = graph_insert_node(graph, layer->next, layer->name, CHAIN_OPERATOR, OPERATOR_INNER_DOMAIN,
                                 store->input_count, 1, 0);
  if (!made || !chain_program_write(&store->program, made)) return region_error(graph->region, error);
  made->opset = 1;
  node_set_output(layer, 0, store->inputs[0]);
  for (int i = 0; i < store->input_count; i++) node_set_input(made, i, store->inputs[i]);
  node_set_output(made, 0, y);
  const char *reason;
  TRY(operator_resolve(model->runtime->operators, made, &reason, error));
  return operator_resolve(model->runtime->operators, layer, &reason, error);
}

/* Multiplies by the factors. One that float does not hold, or only with few digits, is split in two of half its
 * exponent, so that the product in between lies between what the layer computes and the result. */
static norma_status store_scale(store *store, const graph_value *y, double *factors, int64_t count,
                                norma_error *error) {
  memory *memory = y->graph->memory;
  double *rest = memory_allocate(memory, (size_t)count * sizeof *rest);
  if (!rest) return memory_error(memory, (size_t)count * sizeof *rest, error);
  bool is_split = false;
  for (int64_t c = 0; c < count; c++) {
    const double magnitude = fabs(factors[c]);
    rest[c] = 1;
    if (magnitude == 0 || (magnitude >= (double)FLT_MIN && magnitude <= (double)FLT_MAX)) continue;
    rest[c] = ldexp(1, ilogb(factors[c]) / 2);
    factors[c] /= rest[c];
    is_split = true;
  }
  graph_value *scale, *second = NULL;
  norma_status status = add_vector(y, "scale", factors, count, &scale, error);
  if (status == NORMA_OK && is_split) status = add_vector(y, "scale", rest, count, &second, error);
  memory_free(memory, rest);
  if (status != NORMA_OK) return status;
  store_add(store, BINARY_MUL, scale);
  store_add(store, BINARY_MUL, second);
  return NORMA_OK;
}

/* Changes `factors`. */
static norma_status move_store(norma_model *model, node *layer, double *factors, int64_t count, norma_error *error) {
  graph_value *y = layer->outputs[0], *bias;
  const int residual = layer->epilogue.residual_input;
  store store = {.inputs = {graph_add_unique_value(layer->graph, y->name)}, .input_count = 1};
  if (!store.inputs[0]) return region_error(layer->graph->region, error);
  store.inputs[0]->info = y->info;
  TRY(store_scale(&store, y, factors, count, error));
  TRY(take_bias(layer, count, &bias, error));
  store_add(&store, BINARY_ADD, bias);
  store_add(&store, BINARY_ADD, residual ? layer->inputs[residual] : NULL);
  store_apply(&store, layer->epilogue.activation);
  if (residual) node_set_input(layer, residual, NULL);
  layer->epilogue = (epilogue){0, 0, {UNARY_IDENTITY, 0, 0}};
  return insert_store(model, layer, &store, error);
}

norma_status unfold_scale(norma_model *model, const value *lost, norma_error *error) {
  graph_value *weights = find_weights(model, lost);
  if (!weights || !weights->uses->node->op) {
    return error_set(error, NORMA_ERROR_INTERNAL, "scaled weights have no single reader");
  }
  int64_t count;
  double *factors = lazy_take_factors(weights->constant, &count);
  norma_status status = move_store(model, weights->uses->node, factors, count, error);
  memory_free(model->memory, factors);
  return status;
}
