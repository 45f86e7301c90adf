/*
 * Derivatives of SoftmaxCrossEntropyLoss and NegativeLogLikelihoodLoss: scores or log probabilities [N, C, D1 ..] and
 * labels [N, D1 ..].
 *
 *   w = weight of the label's class, 0 where the label is ignore_index; u = g, or g / sum(w) where the loss is a mean
 *   NegativeLogLikelihoodLoss   dx = -onehot(label) w u
 *   SoftmaxCrossEntropyLoss     dx = (softmax(x) - onehot(label)) w u, and that of the output log_prob
 */
#include "ops/training/gradient.h"

typedef struct loss_parts {
  graph_value *chosen; /* onehot(label) [N, C, D1 ..] */
  graph_value *factor; /* w u [N, 1, D1 ..], or a scalar */
} loss_parts;

static graph_value *gradient_unsqueeze_classes(gradient_builder *b, graph_value *value) {
  return gradient_make(b, "Unsqueeze", 2, value, gradient_list(b, (int64_t[]){1}, 1));
}

/* [2] of the numbers 0 and 1. */
static graph_value *gradient_off_on(gradient_builder *b, const graph_value *like) {
  graph_value *list = gradient_list(b, (int64_t[]){0, 1}, 2);
  return list ? gradient_cast(b, list, like) : NULL;
}

/* w [N, 1, D1 ..]; NULL where it is 1 everywhere. */
static graph_value *gradient_loss_weights(gradient_builder *b, const node *n, graph_value *chosen) {
  graph_value *x = n->inputs[0], *labels = n->inputs[1], *weights = n->input_count > 2 ? n->inputs[2] : NULL;
  const attribute *ignored = node_attribute(n, "ignore_index");
  graph_value *w = NULL;
  if (weights) {
    int64_t sizes[NORMA_MAX_RANK] = {1, -1};
    const int rank = x->info.shape.rank;
    for (int i = 2; i < rank; i++) sizes[i] = 1;
    graph_value *by_class = gradient_make(b, "Reshape", 2, weights, gradient_list(b, sizes, rank));
    w = gradient_reduce(b, gradient_product(b, chosen, by_class), (int64_t[]){1}, 1, true);
  }
  if (!ignored) return w;
  graph_value *label = gradient_number(b, labels, (double)ignored->i);
  graph_value *counts = gradient_make(b, "Not", 1, gradient_make(b, "Equal", 2, labels, label));
  counts = gradient_unsqueeze_classes(b, gradient_cast(b, counts, x));
  return w ? gradient_product(b, w, counts) : counts;
}

static graph_value *gradient_loss_share(gradient_builder *b, const node *n, graph_value *g, graph_value *w) {
  const char *reduction = attribute_string(n, "reduction", "mean");
  graph_value *labels = n->inputs[1], *x = n->inputs[0];
  if (strcmp(reduction, "none") == 0) {
    g = gradient_unsqueeze_classes(b, g);
  } else if (strcmp(reduction, "mean") == 0) {
    graph_value *count = w;
    if (w) {
      count = gradient_make(b, "ReduceSum", 1, w);
      gradient_set_int(b, count, "keepdims", 0);
    } else {
      count = gradient_cast(b, gradient_make(b, "Size", 1, labels), x);
    }
    g = gradient_quotient(b, g, count);
  }
  return w ? gradient_product(b, g, w) : g;
}

static bool gradient_loss(gradient_builder *b, const node *n, graph_value *g, loss_parts *parts) {
  graph_value *x = n->inputs[0];
  if (gradient_rank(b, x) < 2) return false;
  graph_value *depth = gradient_dims(b, x, 1, 2);
  graph_value *chosen = gradient_make(b, "OneHot", 3, n->inputs[1], depth, gradient_off_on(b, x));
  gradient_set_int(b, chosen, "axis", 1);
  graph_value *w = gradient_loss_weights(b, n, chosen);
  *parts = (loss_parts){chosen, gradient_loss_share(b, n, g, w)};
  return b->status == NORMA_OK;
}

static void gradient_of_likelihood(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  loss_parts parts;
  if (!b->wanted[0] || !gradient_loss(b, n, g[0], &parts)) return;
  dx[0] = gradient_negative(b, gradient_product(b, parts.chosen, parts.factor));
}

static void gradient_of_cross_entropy(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  if (!b->wanted[0]) return;
  graph_value *chances = gradient_make(b, "Softmax", 1, n->inputs[0]);
  gradient_set_int(b, chances, "axis", 1);
  loss_parts parts;
  if (g[0] && gradient_loss(b, n, g[0], &parts)) {
    dx[0] = gradient_product(b, gradient_difference(b, chances, parts.chosen), parts.factor);
  }
  if (n->output_count < 2 || !g[1]) return;
  graph_value *sum = gradient_reduce(b, g[1], (int64_t[]){1}, 1, true);
  graph_value *logarithms = gradient_difference(b, g[1], gradient_product(b, chances, sum));
  dx[0] = dx[0] ? gradient_sum(b, dx[0], logarithms) : logarithms;
}

const gradient_entry gradient_of_losses[] = {
    {"NegativeLogLikelihoodLoss", 12, gradient_of_likelihood},
    {"SoftmaxCrossEntropyLoss", 12, gradient_of_cross_entropy},
    {0},
};
