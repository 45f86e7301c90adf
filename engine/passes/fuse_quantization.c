/*
 * An operator between DequantizeLinear and QuantizeLinear becomes the one that computes with integers.
 *
 *   y = QuantizeLinear(Conv(DequantizeLinear(x), DequantizeLinear(w)))   ->   y = QLinearConv(x, .., w, .., ..)
 *
 *   Conv                             QLinearConv, with a bias that was int32 of scale x_scale * w_scale
 *   MatMul, Gemm                     QLinearMatMul, QGemm (the bias likewise)
 *   Add, Sum of two, Mul             QLinearAdd, QLinearMul
 *   Softmax                          QLinearSoftmax
 *   Concat                           Concat, of parts that QuantizedActivation has brought to the scale of y
 *   AveragePool, GlobalAveragePool   QLinearAveragePool, QLinearGlobalAveragePool
 *   a function of one input, none    QuantizedActivation
 *
 * The root is QuantizeLinear. A Relu or Clip in front of it is left out where the range of y's type does the same, and
 * else limits what QLinearConv, QLinearAdd and QLinearMul store: rounding keeps the order of numbers.
 *
 * Legal where scales and zero points are constants, those of activations single numbers, and nobody else reads what is
 * in between. The results are those of the integer operators' definitions: sums are exact, but what was rounded to
 * float in between no longer is, so numbers next to a half may round to the other side.
 */
#include "engine/passes/quantization_pattern.h"

#include <math.h>

#define MOST_PARTS 32 /* of a Concat */

typedef struct fusion {
  node *quantize, *activation, *layer; /* activation may be NULL */
  quantized y;
  bool is_limited; /* to these integers of y's type */
  int64_t low, high;
} fusion;

/* An operator that has a form for integers. */
typedef struct layer_form {
  const char *op_type;
  bool takes_limits;
  norma_status (*make)(pass_context *context, const fusion *fusion, node **made); /* *made NULL: it is none */
} layer_form;

/* --------------------------------------------------------------------------------------------------------- building */

/* The node that takes the place of the layer, with its attributes; inputs are absent. */
static norma_status make_integer_node(pass_context *context, const fusion *fusion, const char *op_type,
                                      bool is_microsoft, int inputs, node **made) {
  const node *layer = fusion->layer;
  graph *graph = layer->graph;
  const int count = layer->attribute_count;
  *made = graph_insert_node(graph, fusion->quantize, layer->name, op_type, is_microsoft ? "com.microsoft" : "", inputs,
                            1, count);
  if (!*made) return region_error(graph->region, context->error);
  if (count) memcpy((*made)->attributes, layer->attributes, (size_t)count * sizeof *layer->attributes);
  (*made)->opset = is_microsoft ? 1 : layer->opset;
  return NORMA_OK;
}

/* Tensor, scale and zero point from input `first` on; `first` -1: no tensor. */
static norma_status set_quantized(pass_context *context, node *made, int first, bool has_tensor, quantized *of) {
  TRY(quantized_add_zero(context, made->graph, of));
  if (has_tensor) node_set_input(made, first++, of->q);
  node_set_input(made, first, of->scale);
  node_set_input(made, first + 1, of->zero);
  return NORMA_OK;
}

static norma_status set_result(pass_context *context, const fusion *fusion, node *made, int first) {
  quantized y = fusion->y;
  return set_quantized(context, made, first, false, &y);
}

/* What the node stores is limited, as a Relu or Clip does it. */
static void set_limits(const fusion *fusion, node *made) {
  if (!fusion->is_limited) return;
  made->epilogue.activation =
      (struct activation){.kind = UNARY_CLIP, .a = (float)fusion->low, .b = (float)fusion->high};
}

/* Without an attribute that the new operator does not know. */
static void drop_attribute(node *made, const char *name) {
  int kept = 0;
  for (int i = 0; i < made->attribute_count; i++) {
    if (strcmp(made->attributes[i].name, name) != 0) made->attributes[kept++] = made->attributes[i];
  }
  made->attribute_count = kept;
}

static bool is_byte(norma_element_type type) {
  return type == NORMA_INT8 || type == NORMA_UINT8;
}

/* A tensor of 8 bits with one scale. */
static bool has_single_input(const node *layer, int index, quantized *x) {
  return input_is_dequantized(layer, index, x) && x->is_single && is_byte(x->type);
}

/* Weights of 8 bits with one scale, or one for each position of `axis`. */
static bool has_weights(const node *layer, int index, int axis, quantized *w) {
  if (!input_is_dequantized(layer, index, w) || !is_byte(w->type)) return false;
  const shape *shape = &w->q->info.shape;
  int own;
  return w->is_single || (shape->rank > axis && axis_normalize(w->axis, shape->rank, &own) && own == axis);
}

/* ----------------------------------------------------------------------------------------------------- convolutions */

/* A bias of int32 whose scale is the product of the others, as integer operators have it; `count` elements. */
static bool has_integer_bias(const node *layer, int index, const quantized *x, const quantized *w, int64_t count,
                             quantized *bias) {
  if (!input_is_dequantized(layer, index, bias) || bias->type != NORMA_INT32) return false;
  if (bias->q->info.shape.rank != 1 || bias->q->info.shape.dims[0] != count) return false;
  for (int64_t i = 0; i < count; i++) {
    const double expected = quantized_scale_at(x, 0) * quantized_scale_at(w, i);
    if (quantized_zero_at(bias, i) != 0 || fabs(quantized_scale_at(bias, i) - expected) > 1e-6 * expected) return false;
  }
  return true;
}

#define BIAS_MOST 1e9 /* of int32: sums have room above it */

/* Any other bias that is constant, in integers of that scale: off by half a step of the sums at most, which is less
 * than a hundredth of a step of y in all but strange models. */
static norma_status make_integer_bias(pass_context *context, const node *layer, int index, const quantized *x,
                                      const quantized *w, int64_t count, graph_value **bias) {
  quantized source;
  const bool is_integer = input_is_dequantized(layer, index, &source);
  const graph_value *held = is_integer ? source.q : layer->inputs[index];
  const norma_tensor *tensor = held->constant ? norma_value_tensor(held->constant) : NULL;
  const shape shape = shape_make(1, &count);
  value contents;
  *bias = NULL;
  if (!tensor || !tensor->data || tensor->rank != 1 || tensor->dims[0] != count) return NORMA_OK;
  if (!is_integer && tensor->type != NORMA_FLOAT) return NORMA_OK;
  TRY(value_allocate_tensor(layer->graph->memory, &contents, NORMA_INT32, &shape, context->error));
  for (int64_t i = 0; i < count; i++) {
    const double unit = quantized_scale_at(x, 0) * quantized_scale_at(w, i);
    const double number =
        is_integer ? (double)(element_get_int64(tensor->type, tensor->data, i) - quantized_zero_at(&source, i)) *
                         quantized_scale_at(&source, i)
                   : element_get_double(tensor->type, tensor->data, i);
    const double steps = rint(number / unit);
    if (!(fabs(steps) <= BIAS_MOST)) {
      value_clear(&contents);
      return NORMA_OK;
    }
    ((int32_t *)contents.tensor.data)[i] = (int32_t)steps;
  }
  return pass_add_constant(context, layer->graph, held->name, &contents, bias);
}

/* The bias of a layer of `count` outputs; NULL where it has none. *found: it has none, or one that integers hold. */
static norma_status find_bias(pass_context *context, const node *layer, int index, const quantized *x,
                              const quantized *w, int64_t count, graph_value **bias, bool *found) {
  quantized integers;
  *bias = NULL;
  *found = !node_has_input(layer, index);
  if (*found || count < 1) return NORMA_OK;
  if (has_integer_bias(layer, index, x, w, count, &integers))
    *bias = integers.q;
  else
    TRY(make_integer_bias(context, layer, index, x, w, count, bias));
  *found = *bias != NULL;
  return NORMA_OK;
}

static norma_status make_conv(pass_context *context, const fusion *fusion, node **made) {
  const node *layer = fusion->layer;
  quantized x, w;
  graph_value *bias;
  bool has_bias;
  if (!has_single_input(layer, 0, &x) || !has_weights(layer, 1, 0, &w) || w.q->info.shape.rank < 1) return NORMA_OK;
  TRY(find_bias(context, layer, 2, &x, &w, w.q->info.shape.dims[0], &bias, &has_bias));
  if (!has_bias) return NORMA_OK;
  TRY(make_integer_node(context, fusion, "QLinearConv", false, 9, made));
  TRY(set_quantized(context, *made, 0, true, &x));
  TRY(set_quantized(context, *made, 3, true, &w));
  TRY(set_result(context, fusion, *made, 6));
  node_set_input(*made, 8, bias);
  set_limits(fusion, *made);
  return NORMA_OK;
}

/* --------------------------------------------------------------------------------------------------------- products */

static norma_status make_matmul(pass_context *context, const fusion *fusion, node **made) {
  quantized a, b;
  if (!has_single_input(fusion->layer, 0, &a) || !has_weights(fusion->layer, 1, 1, &b)) return NORMA_OK;
  if (!b.is_single && b.q->info.shape.rank != 2) return NORMA_OK;
  TRY(make_integer_node(context, fusion, "QLinearMatMul", false, 8, made));
  TRY(set_quantized(context, *made, 0, true, &a));
  TRY(set_quantized(context, *made, 3, true, &b));
  return set_result(context, fusion, *made, 6);
}

static norma_status make_gemm(pass_context *context, const fusion *fusion, node **made) {
  const node *layer = fusion->layer;
  const int columns = attribute_int(layer, "transB", 0) ? 0 : 1;
  quantized a, b;
  graph_value *bias;
  bool has_bias;
  if (layer->version < 7 || !has_single_input(layer, 0, &a) || !has_weights(layer, 1, columns, &b)) return NORMA_OK;
  if (b.q->info.shape.rank != 2) return NORMA_OK;
  if (node_has_input(layer, 2) && (attribute_float(layer, "alpha", 1) != 1 || attribute_float(layer, "beta", 1) != 1))
    return NORMA_OK;
  TRY(find_bias(context, layer, 2, &a, &b, b.q->info.shape.dims[columns], &bias, &has_bias));
  if (!has_bias) return NORMA_OK;
  TRY(make_integer_node(context, fusion, "QGemm", true, 9, made));
  drop_attribute(*made, "beta");
  TRY(set_quantized(context, *made, 0, true, &a));
  TRY(set_quantized(context, *made, 3, true, &b));
  node_set_input(*made, 6, bias);
  return set_result(context, fusion, *made, 7);
}

/* -------------------------------------------------------------------------------------------- functions of elements */

static norma_status make_binary(pass_context *context, const fusion *fusion, const char *op_type, node **made) {
  const node *layer = fusion->layer;
  quantized a, b;
  if (layer->input_count != 2 || node_attribute(layer, "broadcast")) return NORMA_OK;
  if (!has_single_input(layer, 0, &a) || !has_single_input(layer, 1, &b)) return NORMA_OK;
  if (a.type != fusion->y.type || b.type != fusion->y.type) return NORMA_OK;
  TRY(make_integer_node(context, fusion, op_type, true, 8, made));
  TRY(set_quantized(context, *made, 0, true, &a));
  TRY(set_quantized(context, *made, 3, true, &b));
  set_limits(fusion, *made);
  return set_result(context, fusion, *made, 6);
}

static norma_status make_add(pass_context *context, const fusion *fusion, node **made) {
  return make_binary(context, fusion, "QLinearAdd", made);
}

static norma_status make_mul(pass_context *context, const fusion *fusion, node **made) {
  return make_binary(context, fusion, "QLinearMul", made);
}

/* Of one input, with attributes of the layer. */
static norma_status make_unary(pass_context *context, const fusion *fusion, const char *op_type, node **made) {
  quantized x;
  if (!has_single_input(fusion->layer, 0, &x) || x.type != fusion->y.type) return NORMA_OK;
  TRY(make_integer_node(context, fusion, op_type, true, 5, made));
  TRY(set_quantized(context, *made, 0, true, &x));
  return set_result(context, fusion, *made, 3);
}

static norma_status make_average_pool(pass_context *context, const fusion *fusion, node **made) {
  if (node_attribute(fusion->layer, "dilations")) return NORMA_OK;
  return make_unary(context, fusion, "QLinearAveragePool", made);
}

static norma_status make_global_average_pool(pass_context *context, const fusion *fusion, node **made) {
  return make_unary(context, fusion, "QLinearGlobalAveragePool", made);
}

static norma_status make_softmax(pass_context *context, const fusion *fusion, node **made) {
  const bool is_late = fusion->layer->version >= 13;
  const int64_t axis = attribute_int(fusion->layer, "axis", is_late ? -1 : 1);
  TRY(make_unary(context, fusion, "QLinearSoftmax", made));
  if (!*made) return NORMA_OK;
  if (node_set_attribute_int(*made, "axis", axis) && node_set_attribute_int(*made, "opset", is_late ? 13 : 1))
    return NORMA_OK;
  return region_error(fusion->layer->graph->region, context->error);
}

/* The integers of a part, brought to y's scale and zero point in front of `position`. */
static norma_status requantize(pass_context *context, const fusion *fusion, node *position, quantized *part,
                               graph_value **result) {
  graph *graph = position->graph;
  *result = part->q;
  if (quantized_equal(part, &fusion->y)) return NORMA_OK;
  node *made = graph_insert_node(graph, position, part->q->name, "QuantizedActivation", OPERATOR_INNER_DOMAIN, 5, 1, 0);
  *result = graph_add_unique_value(graph, part->q->name);
  if (!made || !*result || !node_set_attribute_int(made, "kind", UNARY_IDENTITY))
    return region_error(graph->region, context->error);
  made->opset = 1;
  (*result)->info = part->q->info;
  (*result)->info.type = fusion->y.type;
  node_set_output(made, 0, *result);
  TRY(set_quantized(context, made, 0, true, part));
  TRY(set_result(context, fusion, made, 3));
  return pass_resolve(context, made);
}

static norma_status make_concat(pass_context *context, const fusion *fusion, node **made) {
  const node *layer = fusion->layer;
  quantized parts[MOST_PARTS];
  if (layer->input_count > MOST_PARTS || layer->version < 4) return NORMA_OK;
  for (int i = 0; i < layer->input_count; i++) {
    if (!has_single_input(layer, i, &parts[i])) return NORMA_OK;
  }
  TRY(make_integer_node(context, fusion, "Concat", false, layer->input_count, made));
  for (int i = 0; i < layer->input_count; i++) {
    graph_value *part;
    TRY(requantize(context, fusion, *made, &parts[i], &part));
    node_set_input(*made, i, part);
  }
  return NORMA_OK;
}

static const layer_form layer_forms[] = {
    {"Conv", true, make_conv},
    {"MatMul", false, make_matmul},
    {"Gemm", false, make_gemm},
    {"Add", true, make_add},
    {"Sum", true, make_add},
    {"Mul", true, make_mul},
    {"Concat", false, make_concat},
    {"Softmax", false, make_softmax},
    {"AveragePool", false, make_average_pool},
    {"GlobalAveragePool", false, make_global_average_pool},
};

/* ------------------------------------------------------------------------------------------------------ activations */

/* QuantizedActivation in place of `layer`, or of no layer at all, behind input 0 of `reader`. */
static norma_status make_activation(pass_context *context, const fusion *fusion, const node *reader,
                                    const struct activation *activation, node **made) {
  graph *graph = reader->graph;
  quantized x;
  if (!has_single_input(reader, 0, &x) || x.q->constant) return NORMA_OK;
  *made =
      graph_insert_node(graph, fusion->quantize, reader->name, "QuantizedActivation", OPERATOR_INNER_DOMAIN, 5, 1, 0);
  if (!*made || !node_set_attribute_int(*made, "kind", activation->kind) ||
      !node_set_attribute_float(*made, "a", activation->a) || !node_set_attribute_float(*made, "b", activation->b))
    return region_error(graph->region, context->error);
  (*made)->opset = 1;
  TRY(set_quantized(context, *made, 0, true, &x));
  return set_result(context, fusion, *made, 3);
}

static bool find_activation(const node *node, struct activation *activation) {
  elementwise_form form;
  if (!node_elementwise(node, &form) || form.kind != ELEMENTWISE_UNARY || !node_has_plain_store(node)) return false;
  *activation = form.unary;
  return true;
}

/* What a Relu or Clip leaves of y's integers. */
static bool find_limits(const struct activation *activation, fusion *fusion) {
  const int64_t lowest = quantized_number(&fusion->y, -(double)INFINITY);
  const int64_t highest = quantized_number(&fusion->y, (double)INFINITY);
  if (activation->kind != UNARY_RELU && activation->kind != UNARY_CLIP) return false;
  const bool is_relu = activation->kind == UNARY_RELU;
  if (!is_relu && !(activation->a <= activation->b)) return false;
  fusion->low = quantized_number(&fusion->y, is_relu ? 0 : (double)activation->a);
  fusion->high = is_relu ? highest : quantized_number(&fusion->y, (double)activation->b);
  fusion->is_limited = fusion->low > lowest || fusion->high < highest;
  return true;
}

/* ---------------------------------------------------------------------------------------------------------- rewrite */

static norma_status make_layer(pass_context *context, const fusion *fusion, node **made) {
  const node *layer = fusion->layer;
  if (!layer || !layer->op || !node_has_one_output(layer) || !node_has_plain_store(layer)) return NORMA_OK;
  for (size_t i = 0; i < sizeof layer_forms / sizeof *layer_forms; i++) {
    const layer_form *form = &layer_forms[i];
    if (node_is(layer, form->op_type) && (form->takes_limits || !fusion->is_limited))
      return form->make(context, fusion, made);
  }
  return NORMA_OK;
}

/* Removes a node that nothing reads any more, and the DequantizeLinear nodes of its inputs likewise. */
static norma_status remove_unread(pass_context *context, node *node) {
  graph_value *inputs[MOST_PARTS];
  const int count = node->input_count < MOST_PARTS ? node->input_count : MOST_PARTS;
  for (int i = 0; i < count; i++) inputs[i] = node->inputs[i];
  TRY(pass_remove(context, node));
  for (int i = 0; i < count; i++) {
    struct node *producer = inputs[i] ? inputs[i]->producer : NULL;
    quantized source;
    if (producer && value_is_unread(inputs[i]) && node_dequantizes(producer, &source))
      TRY(pass_remove(context, producer));
  }
  return NORMA_OK;
}

static norma_status fuse_quantization_apply(pass_context *context, node *quantize, bool *changed) {
  fusion fusion = {.quantize = quantize};
  struct activation activation = {.kind = UNARY_IDENTITY};
  node *made = NULL, *last;
  if (!node_quantizes(quantize, &fusion.y) || !fusion.y.is_single) return NORMA_OK;
  last = node_sole_producer(quantize, 0);
  if (!last) return NORMA_OK;
  fusion.layer = last;
  TRY(make_layer(context, &fusion, &made));
  if (!made && find_activation(last, &activation) && find_limits(&activation, &fusion)) {
    fusion.activation = last;
    fusion.layer = node_sole_producer(last, 0);
    TRY(make_layer(context, &fusion, &made));
  }
  if (!made && (activation.kind != UNARY_IDENTITY || find_activation(last, &activation))) {
    fusion.activation = last;
    fusion.layer = NULL;
    TRY(make_activation(context, &fusion, last, &activation, &made));
  }
  if (!made) return NORMA_OK;
  *changed = true;
  TRY(pass_take_over(context, made, quantize));
  if (fusion.activation) TRY(remove_unread(context, fusion.activation));
  if (fusion.layer) TRY(remove_unread(context, fusion.layer));
  return pass_resolve(context, made);
}

static const char *const fuse_quantization_makes[] = {"QLinearConv",
                                                      "QLinearMatMul",
                                                      "com.microsoft:QGemm",
                                                      "com.microsoft:QLinearAdd",
                                                      "com.microsoft:QLinearMul",
                                                      "com.microsoft:QLinearAveragePool",
                                                      "com.microsoft:QLinearGlobalAveragePool",
                                                      "com.microsoft:QLinearSoftmax",
                                                      "com.microsoft:QLinearConcat",
                                                      OPERATOR_INNER_DOMAIN ":QuantizedActivation",
                                                      NULL};

const pass pass_fuse_quantization = {
    .name = "fuse_quantization",
    .level = 2,
    .changes_rounding = true,
    .makes = fuse_quantization_makes,
    .apply = fuse_quantization_apply,
};
