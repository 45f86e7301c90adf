/* Derivatives of functions of several tensors, element by element. Operands are broadcast, so what comes back is summed
 * to the shape that they have. */
#include "ops/training/gradient.h"

static void gradient_of_add(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  for (int i = 0; i < n->input_count; i++) {
    if (b->wanted[i]) dx[i] = gradient_sum_to(b, g[0], n->inputs[i]);
  }
}

static void gradient_of_mean(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  graph_value *share = gradient_times(b, g[0], n->outputs[0], 1.0 / n->input_count);
  for (int i = 0; i < n->input_count; i++) {
    if (b->wanted[i]) dx[i] = gradient_sum_to(b, share, n->inputs[i]);
  }
}

static void gradient_of_sub(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  if (b->wanted[0]) dx[0] = gradient_sum_to(b, g[0], n->inputs[0]);
  if (b->wanted[1]) dx[1] = gradient_sum_to(b, gradient_negative(b, g[0]), n->inputs[1]);
}

static void gradient_of_mul(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  for (int i = 0; i < 2; i++) {
    if (b->wanted[i]) dx[i] = gradient_sum_to(b, gradient_product(b, g[0], n->inputs[!i]), n->inputs[i]);
  }
}

static void gradient_of_div(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  graph_value *part = gradient_quotient(b, g[0], n->inputs[1]);
  if (b->wanted[0]) dx[0] = gradient_sum_to(b, part, n->inputs[0]);
  if (!b->wanted[1]) return;
  dx[1] = gradient_sum_to(b, gradient_negative(b, gradient_product(b, part, n->outputs[0])), n->inputs[1]);
}

/* x^e: e x^(e - 1), and y ln x where x is above 0, else 0. */
static void gradient_of_pow(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  graph_value *x = n->inputs[0], *e = n->inputs[1], *zero = gradient_number(b, x, 0);
  graph_value *exponent = gradient_cast(b, e, x);
  if (b->wanted[0]) {
    graph_value *lower = gradient_difference(b, exponent, gradient_number(b, x, 1));
    graph_value *slope = gradient_product(b, exponent, gradient_make(b, "Pow", 2, x, lower));
    graph_value *is_flat = gradient_make(b, "Equal", 2, exponent, zero);
    slope = gradient_make(b, "Where", 3, is_flat, zero, slope);
    dx[0] = gradient_sum_to(b, gradient_product(b, g[0], slope), x);
  }
  if (b->wanted[1]) {
    graph_value *is_positive = gradient_make(b, "Greater", 2, x, zero);
    graph_value *safe = gradient_make(b, "Where", 3, is_positive, x, gradient_number(b, x, 1));
    graph_value *slope = gradient_product(b, n->outputs[0], gradient_make(b, "Log", 1, safe));
    slope = gradient_cast(b, gradient_product(b, g[0], slope), e);
    dx[1] = gradient_sum_to(b, slope, e);
  }
}

/* Operands that are equal share the gradient. */
static void gradient_of_extreme(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  graph_value *count = NULL, *masks[64] = {NULL}, *y = n->outputs[0];
  if (n->input_count > 64) {
    gradient_refuse(b, "%d operands, more than 64", n->input_count);
    return;
  }
  for (int i = 0; i < n->input_count; i++) {
    masks[i] = gradient_cast(b, gradient_make(b, "Equal", 2, n->inputs[i], y), y);
    count = count ? gradient_sum(b, count, masks[i]) : masks[i];
  }
  graph_value *share = gradient_quotient(b, g[0], count);
  for (int i = 0; i < n->input_count; i++) {
    if (b->wanted[i]) dx[i] = gradient_sum_to(b, gradient_product(b, share, masks[i]), n->inputs[i]);
  }
}

static void gradient_of_where(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  graph_value *y = n->outputs[0];
  if (b->wanted[1]) dx[1] = gradient_sum_to(b, gradient_where(b, n->inputs[0], g[0], y), n->inputs[1]);
  if (!b->wanted[2]) return;
  graph_value *otherwise = gradient_make(b, "Where", 3, n->inputs[0], gradient_number(b, y, 0), g[0]);
  dx[2] = gradient_sum_to(b, otherwise, n->inputs[2]);
}

static void gradient_of_prelu(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  graph_value *x = n->inputs[0], *slope = n->inputs[1];
  graph_value *is_positive = gradient_make(b, "Greater", 2, x, gradient_number(b, x, 0));
  if (b->wanted[0]) dx[0] = gradient_make(b, "Where", 3, is_positive, g[0], gradient_product(b, g[0], slope));
  if (!b->wanted[1]) return;
  graph_value *part = gradient_product(b, g[0], x);
  dx[1] = gradient_sum_to(b, gradient_make(b, "Where", 3, is_positive, gradient_number(b, x, 0), part), slope);
}

/* The bound of a Clip: an attribute in early versions, an input later; NULL where there is none. */
static graph_value *gradient_clip_bound(gradient_builder *b, const node *n, int input, const char *name) {
  if (n->version >= 11) return input < n->input_count ? n->inputs[input] : NULL;
  return node_attribute(n, name) ? gradient_number(b, n->inputs[0], (double)attribute_float(n, name, 0)) : NULL;
}

/* min(max(x, low), high): of crossed bounds `high` is the result. */
static void gradient_of_clip(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  graph_value *x = n->inputs[0], *low = gradient_clip_bound(b, n, 1, "min"),
              *high = gradient_clip_bound(b, n, 2, "max");
  graph_value *raised = low ? gradient_make(b, "Max", 2, x, low) : x;
  graph_value *is_above = high ? gradient_make(b, "Greater", 2, raised, high) : NULL;
  graph_value *is_below = low ? gradient_make(b, "Less", 2, x, low) : NULL;
  graph_value *kept = g[0], *zero = gradient_number(b, x, 0);
  if (is_above && n->input_count > 2 && b->wanted[2]) {
    dx[2] = gradient_sum_to(b, gradient_where(b, is_above, kept, x), high);
  }
  if (is_above) kept = gradient_make(b, "Where", 3, is_above, zero, kept);
  if (is_below && n->input_count > 1 && b->wanted[1]) {
    dx[1] = gradient_sum_to(b, gradient_where(b, is_below, kept, x), low);
  }
  if (is_below) kept = gradient_make(b, "Where", 3, is_below, zero, kept);
  if (b->wanted[0]) dx[0] = kept;
}

const gradient_entry gradient_of_operands[] = {
    {"Add", 7, gradient_of_add},
    {"Sub", 7, gradient_of_sub},
    {"Mul", 7, gradient_of_mul},
    {"Div", 7, gradient_of_div},
    {"Pow", 7, gradient_of_pow},
    {"Sum", 6, gradient_of_add},
    {"Mean", 6, gradient_of_mean},
    {"Max", 6, gradient_of_extreme},
    {"Min", 6, gradient_of_extreme},
    {"Where", 9, gradient_of_where},
    {"PRelu", 7, gradient_of_prelu},
    {"Clip", 6, gradient_of_clip},
    {0},
};
