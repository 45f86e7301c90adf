/*
 * A function of each element goes into the node that makes the elements, which applies it as it stores them.
 *
 *   c = Conv(x, W)
 *   y = Relu(c)      ->   y = Conv(x, W), activation Relu
 *
 * Legal where the producer's kernels can (facts.store.activation), it has no activation yet, nobody else reads c, and
 * the function is one of the kernel table's whose parameters are constant.
 */
#include "engine/passes/pass_helpers.h"

static node *find_producer(const node *last) {
  node *producer = node_sole_producer(last, 0);
  if (!producer || !producer->op || !node_can_fuse(producer, producer->op->facts.store.activation)) return NULL;
  return producer->epilogue.activation.kind == UNARY_IDENTITY ? producer : NULL;
}

static norma_status fuse_activation_apply(pass_context *context, node *node, bool *changed) {
  elementwise_form form;
  struct node *producer = node_has_output(node, 0) ? find_producer(node) : NULL;
  if (!producer || !node_elementwise(node, &form) || form.kind != ELEMENTWISE_UNARY) return NORMA_OK;
  producer->epilogue.activation = form.unary;
  *changed = true;
  return pass_take_over(context, producer, node);
}

const pass pass_fuse_activation = {
    .name = "fuse_activation",
    .level = 2,
    .apply = fuse_activation_apply,
};
