/*
 * A sum with what a layer makes goes into the layer, which adds the other summand as it stores its elements.
 *
 *   c = Conv(x, W)
 *   y = Add(c, r)    ->   y = Conv(x, W), residual r
 *
 * Legal for float where the layer can (OPERATOR_EPILOGUE), has neither residual nor activation yet, nobody else reads
 * c, and c and r have the same shape in every run. Where r comes later than the layer, the layer moves to the place of
 * the sum: its only reader is there, so r cannot depend on it.
 */
#include "engine/passes/pass_helpers.h"
#include "engine/graph/shape_relation.h"

static node *find_layer(const node *sum, int index) {
  const graph_value *value = sum->inputs[index];
  node *layer = value ? value->producer : NULL;
  if (!layer || layer->graph != sum->graph || !layer->op || !(layer->op->flags & OPERATOR_EPILOGUE)) return NULL;
  bool is_free = layer->epilogue.residual_input == 0 && layer->epilogue.activation.kind == UNARY_IDENTITY;
  return is_free && layer->output_count == 1 && value_has_single_use(value) ? layer : NULL;
}

/* Of two layers the later one takes the other's result, which is there by then. */
static node *choose_layer(const node *sum, int *residual) {
  node *layers[2] = {find_layer(sum, 0), find_layer(sum, 1)};
  int chosen = layers[0] ? 0 : 1;
  if (layers[0] && layers[1] && node_stands_before(layers[0], layers[1])) chosen = 1;
  *residual = !chosen;
  return layers[chosen];
}

static norma_status apply(pass_context *context, node *sum, bool *changed) {
  if (sum->input_count != 2 || !sum->inputs[0] || !sum->inputs[1] || !sum->outputs[0]) return NORMA_OK;
  int residual;
  node *layer = choose_layer(sum, &residual);
  graph_value *added = sum->inputs[residual];
  if (!layer || !value_is(added, NORMA_FLOAT) || !value_is(sum->inputs[!residual], NORMA_FLOAT)) return NORMA_OK;
  if (!values_have_same_shape(sum->inputs[0], sum->inputs[1])) return NORMA_OK;

  /* Behind all inputs that the operator knows. */
  int index = layer->op->max_inputs > layer->input_count ? layer->op->max_inputs : layer->input_count;
  if (layer->op->max_inputs == OPERATOR_VARIADIC) return NORMA_OK;
  if (!node_add_inputs(layer, index + 1 - layer->input_count)) return region_error(sum->graph->region, context->error);
  node *producer = added->producer;
  if (producer && producer->graph == sum->graph && !node_stands_before(producer, layer)) graph_move_before(layer, sum);
  node_set_input(layer, index, added);
  layer->epilogue.residual_input = index;
  *changed = true;
  return pass_take_over(context, layer, sum);
}

static const char *const roots[] = {"Add", "Sum", NULL};

const pass pass_fuse_residual = {
    .name = "fuse_residual",
    .phase = PASS_FINISH,
    .level = 2,
    .roots = roots,
    .apply = apply,
};
