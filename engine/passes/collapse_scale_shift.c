/*
 * Two neighbours that scale and shift each channel become one BatchNormalization.
 *
 *   a = BatchNormalization(x, ...)
 *   b = Mul(a, s)                      ->   y = BatchNormalization(x, scale', bias', mean 0, variance 1), epsilon 0
 *   y = Add(b, t)
 *
 * The neighbours are BatchNormalization in inference, Mul, Div, Add and Sub with constants of one element, or one per
 * channel and else dimensions of 1. Legal where nobody else reads what is between them and the number of channels (axis
 * 1) is known. Where a convolution or matrix product stands in front, the nodes go one by one into its weights instead.
 * Left undone where a factor would leave the range of the element type.
 */
#include "engine/passes/scale_shift.h"

#include <float.h>
#include <math.h>

static bool is_behind_layer(const graph_value *x) {
  linear_form form;
  return x->producer && value_has_single_use(x) && node_has_plain_store(x->producer) && node_linear(x->producer, &form);
}

/* Whether BatchNormalization can do what `transform` does on x. */
static bool is_expressible(const scale_shift *transform, const graph_value *x, const node *node) {
  const shape *shape = &x->info.shape;
  if (shape->rank < 2 || shape->dims[1] < 1) return false;
  if (x->info.type == NORMA_BFLOAT16 && node->opset < 14) return false;
  return transform->count == 1 || transform->axis == 1;
}

/* --------------------------------------------------------------------------------------------------------- new node */

typedef double channel_function(const scale_shift *transform, int64_t channel);

static double zero(const scale_shift *transform, int64_t channel) {
  (void)transform;
  (void)channel;
  return 0;
}

static double one(const scale_shift *transform, int64_t channel) {
  (void)transform;
  (void)channel;
  return 1;
}

static double factor(const scale_shift *transform, int64_t channel) {
  return scale_shift_scale(transform, channel);
}

static double summand(const scale_shift *transform, int64_t channel) {
  return scale_shift_shift(transform, channel);
}

static bool keeps_range(norma_element_type type, const scale_shift *transform) {
  double least = type == NORMA_FLOAT16 ? 0x1p-14 : type == NORMA_DOUBLE ? DBL_MIN : (double)FLT_MIN;
  double most = type == NORMA_FLOAT16 ? 65504 : type == NORMA_DOUBLE ? DBL_MAX : 0x1.fep127; /* bfloat16's, as float */
  for (int64_t c = 0; c < transform->count; c++) {
    double scale = fabs(transform->scale[c]);
    if (scale > most || fabs(transform->shift[c]) > most || (scale > 0 && scale < least)) return false;
  }
  return true;
}

static norma_status set_vector(pass_context *context, node *made, int index, const char *stem,
                               const scale_shift *transform, channel_function *of) {
  const value_info *x = &made->inputs[0]->info;
  shape shape = shape_make(1, &x->shape.dims[1]);
  value contents;
  graph_value *constant;
  TRY(value_allocate_tensor(context->model->memory, &contents, x->type, &shape, context->error));
  for (int64_t c = 0; c < shape.dims[0]; c++) {
    element_set_double(x->type, contents.tensor.data, c, of(transform, c));
  }
  TRY(pass_add_constant(context, made->graph, stem, &contents, &constant));
  node_set_input(made, index, constant);
  return NORMA_OK;
}

static norma_status make_node(pass_context *context, node *last, graph_value *x, const scale_shift *transform,
                              node **result) {
  graph *graph = last->graph;
  node *made = graph_insert_node(graph, last, last->name, "BatchNormalization", "", 5, 1, 0);
  if (!made) return region_error(graph->region, context->error);
  made->opset = last->opset;
  node_set_input(made, 0, x);
  TRY(set_vector(context, made, 1, "scale", transform, factor));
  TRY(set_vector(context, made, 2, "shift", transform, summand));
  TRY(set_vector(context, made, 3, "mean", transform, zero));
  TRY(set_vector(context, made, 4, "variance", transform, one));
  static const int64_t consumed[5] = {0};
  bool done = node_set_attribute_float(made, "epsilon", 0);
  if (done && made->opset < 7) done = node_set_attribute_int(made, "is_test", 1);
  if (done && made->opset < 6) done = node_set_attribute_ints(made, "consumed_inputs", consumed, 5);
  if (!done) return region_error(graph->region, context->error);
  *result = made;
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ merge */

/* `first` and `last` go; what they do together is `transform`. */
static norma_status replace_pair(pass_context *context, node *first, node *last, const scale_shift *transform) {
  node *made = NULL;
  TRY(make_node(context, last, first->inputs[transform->input], transform, &made));
  made->name = first->name;
  TRY(pass_take_over(context, made, last));
  TRY(pass_remove(context, first));
  return pass_resolve(context, made);
}

static norma_status merge(pass_context *context, node *last, const scale_shift *second, bool *changed) {
  node *first = node_sole_producer(last, second->input);
  if (!first) return NORMA_OK;
  scale_shift joined;
  bool found;
  TRY(scale_shift_read(context, first, &joined, &found));
  if (!found) return NORMA_OK;
  const graph_value *x = first->inputs[joined.input];
  norma_status status = NORMA_OK;
  if (!is_behind_layer(x)) status = scale_shift_append(context, &joined, second, changed);
  if (*changed) *changed = is_expressible(&joined, x, last) && keeps_range(x->info.type, &joined);
  if (status == NORMA_OK && *changed) status = replace_pair(context, first, last, &joined);
  scale_shift_free(&joined);
  return status;
}

static norma_status collapse_scale_shift_apply(pass_context *context, node *node, bool *changed) {
  scale_shift transform;
  bool found;
  TRY(scale_shift_read(context, node, &transform, &found));
  if (!found) return NORMA_OK;
  norma_status status = merge(context, node, &transform, changed);
  scale_shift_free(&transform);
  return status;
}

static const char *const collapse_makes[] = {"BatchNormalization", NULL};

const pass pass_collapse_scale_shift = {
    .name = "collapse_scale_shift",
    .level = 2,
    .changes_rounding = true,
    .makes = collapse_makes,
    .apply = collapse_scale_shift_apply,
};
