/*
 * A constant that is added to each row of a layer's output goes into the layer, as a bias that it adds as it stores.
 *
 *   c = MatMul(a, B)
 *   y = Add(c, b)    ->   y = MatMul(a, B), bias b
 *
 * For layers that have no bias of their own there: fold_bias has served the others. Legal where the layer's kernels can
 * (facts.store.bias), b has as many elements as the last axis of c, all along that axis, and c has neither residual nor
 * activation yet and no other reader.
 */
#include "engine/passes/pass_helpers.h"

/* Whether the constant has an element for each of the last axis, and does not give the sum more axes than `c` has. */
static bool is_bias_row(const norma_tensor *constant, const graph_value *c) {
  const shape *shape = &c->info.shape;
  if (constant->type != c->info.type || constant->rank < 1 || constant->rank > shape->rank) return false;
  const int64_t columns = shape->dims[shape->rank - 1];
  return columns > 0 && constant->dims[constant->rank - 1] == columns && norma_tensor_count(constant) == columns;
}

static norma_status fuse_bias_apply(pass_context *context, node *sum, bool *changed) {
  elementwise_form form;
  if (!node_is_sum(sum) || !node_elementwise(sum, &form) || !form.numpy) return NORMA_OK;
  for (int i = 0; i < 2; i++) {
    node *layer = node_sole_producer(sum, i);
    const norma_tensor *constant = node_constant_input(sum, !i);
    if (!layer || !constant || !layer->op || !node_can_fuse(layer, layer->op->facts.store.bias)) continue;
    if (!node_has_plain_store(layer) || !is_bias_row(constant, layer->outputs[0])) continue;
    TRY(pass_add_epilogue_input(context, layer, sum->inputs[!i], &layer->epilogue.bias_input));
    *changed = true;
    return pass_take_over(context, layer, sum);
  }
  return NORMA_OK;
}

const pass pass_fuse_bias = {
    .name = "fuse_bias",
    .level = 2,
    .apply = fuse_bias_apply,
};
