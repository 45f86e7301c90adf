/*
 * A sum with what a layer makes goes into the layer, which adds the other summand as it stores its elements.
 *
 *   c = Conv(x, W)
 *   y = Add(c, r)    ->   y = Conv(x, W), residual r
 *
 * Legal where the layer's kernels can (facts.store.residual), it has neither residual nor activation yet, nobody else
 * reads c, and c and r have the same shape in every run. Where r comes later than the layer, the layer moves to the
 * place of the sum: its only reader is there, so r cannot depend on it.
 */
#include "engine/passes/shape_relation.h"
#include "engine/passes/pass_helpers.h"

static node *find_layer(const node *sum, int index) {
  node *layer = node_sole_producer(sum, index);
  if (!layer || !layer->op || layer->output_count != 1 || layer->op->max_inputs == OPERATOR_VARIADIC) return NULL;
  if (!node_can_fuse(layer, layer->op->facts.store.residual)) return NULL;
  const bool is_free = !layer->epilogue.residual_input && layer->epilogue.activation.kind == UNARY_IDENTITY;
  return is_free ? layer : NULL;
}

/* Of two layers the later one takes the other's result, which is there by then. */
static node *choose_layer(const node *sum, int *residual) {
  node *layers[2] = {find_layer(sum, 0), find_layer(sum, 1)};
  int chosen = layers[0] ? 0 : 1;
  if (layers[0] && layers[1] && node_stands_before(layers[0], layers[1])) chosen = 1;
  *residual = !chosen;
  return layers[chosen];
}

static norma_status fuse_residual_apply(pass_context *context, node *sum, bool *changed) {
  int residual;
  node *layer = node_is_sum(sum) ? choose_layer(sum, &residual) : NULL;
  if (!layer) return NORMA_OK;
  graph_value *added = sum->inputs[residual];
  if (!value_is(added, layer->outputs[0]->info.type)) return NORMA_OK;
  if (!values_have_same_shape(sum->inputs[0], sum->inputs[1])) return NORMA_OK;
  const node *producer = added->producer;
  if (producer && producer->graph == sum->graph && !node_stands_before(producer, layer)) graph_move_before(layer, sum);
  TRY(pass_add_epilogue_input(context, layer, added, &layer->epilogue.residual_input));
  *changed = true;
  return pass_take_over(context, layer, sum);
}

const pass pass_fuse_residual = {
    .name = "fuse_residual",
    .level = 2,
    .apply = fuse_residual_apply,
};
