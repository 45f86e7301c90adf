/*
 * A constant that is added to each row of a matrix product goes into the node, as its input 2.
 *
 *   c = MatMul(a, B)
 *   y = Add(c, b)    ->   y = MatMul(a, B), bias b
 *
 * For products of any rank: those of rank 2 have become Gemm before (fold_bias). Legal for float where b has as many
 * elements as B has columns, all along the last axis, the product has neither residual nor activation yet and nobody
 * else reads c.
 */
#include "engine/passes/pass_helpers.h"

#define BIAS 2

static node *find_product(const node *sum, int index) {
  node *product = node_single_producer(sum, index, "MatMul");
  if (!product || product->input_count != BIAS || product->epilogue.residual_input != 0) return NULL;
  return product->epilogue.activation.kind == UNARY_IDENTITY ? product : NULL;
}

/* Whether the constant has an element for each column, and does not give the sum more axes than the product has. */
static bool is_row(const norma_tensor *constant, const node *product) {
  const shape *b = &product->inputs[1]->info.shape, *c = &product->outputs[0]->info.shape;
  if (constant->type != NORMA_FLOAT || constant->rank < 1 || b->rank < 2 || constant->rank > c->rank) return false;
  int64_t columns = b->dims[b->rank - 1];
  return columns > 0 && constant->dims[constant->rank - 1] == columns && norma_tensor_count(constant) == columns;
}

static norma_status apply(pass_context *context, node *sum, bool *changed) {
  for (int i = 0; i < 2 && sum->input_count == 2 && sum->version >= 7; i++) {
    node *product = find_product(sum, i);
    const norma_tensor *constant = node_constant_input(sum, !i);
    if (!product || !constant || !value_is(product->outputs[0], NORMA_FLOAT) || !is_row(constant, product)) continue;
    if (!node_add_inputs(product, 1)) return region_error(sum->graph->region, context->error);
    node_set_input(product, BIAS, sum->inputs[!i]);
    *changed = true;
    return pass_take_over(context, product, sum);
  }
  return NORMA_OK;
}

static const char *const roots[] = {"Add", NULL};

const pass pass_fuse_matmul_bias = {
    .name = "fuse_matmul_bias",
    .phase = PASS_FINISH,
    .level = 2,
    .roots = roots,
    .apply = apply,
};
