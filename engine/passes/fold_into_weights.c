#include "engine/passes/fold_into_weights.h"

#include "engine/graph/lazy_weights.h"

#include <float.h>
#include <math.h>

/* The weights as groups x first x second x inner; of first and second, one counts output and one input channels. */
typedef struct linear_layer {
  node *node;
  norma_element_type type;
  const norma_tensor *weights, *bias; /* weights NULL: not constant */
  bool has_bias;
  int64_t groups, first, second, inner;
  bool output_first;
  int64_t outputs, inputs; /* of all groups */
  int input_axis, output_axis;
  double alpha, beta; /* of Gemm */
  bool takes_bias;    /* a MatMul does where it can become a Gemm */
} linear_layer;

/* ------------------------------------------------------------------------------------------------------ recognition */

bool is_linear_layer(const node *node) {
  bool known =
      node_is(node, "Conv") || node_is(node, "ConvTranspose") || node_is(node, "Gemm") || node_is(node, "MatMul");
  return known && node->epilogue.residual_input == 0 && node->epilogue.activation.kind == UNARY_IDENTITY;
}

/* The producer of input `index` of `reader`, if it is such a layer that reader alone reads; else NULL. */
static node *single_linear_producer(const node *reader, int index) {
  const graph_value *value = index < reader->input_count ? reader->inputs[index] : NULL;
  node *producer = value ? value->producer : NULL;
  if (!producer || producer->graph != reader->graph || !value_has_single_use(value)) return NULL;
  return is_linear_layer(producer) ? producer : NULL;
}

static bool read_convolution(linear_layer *layer, const shape *w) {
  int64_t groups = attribute_int(layer->node, "group", 1);
  if (w->rank < 3 || groups < 1 || w->dims[0] % groups != 0) return false;
  layer->output_first = node_is(layer->node, "Conv");
  layer->groups = groups;
  layer->first = w->dims[0] / groups;
  layer->second = w->dims[1];
  layer->inner = dims_product(w->dims, 2, w->rank);
  layer->input_axis = layer->output_axis = 1;
  layer->takes_bias = true;
  return true;
}

static bool read_product(linear_layer *layer, const shape *w) {
  const shape *a = &layer->node->inputs[0]->info.shape;
  bool is_gemm = node_is(layer->node, "Gemm");
  if (w->rank != 2 || a->rank < 2 || (is_gemm && attribute_int(layer->node, "transA", 0) != 0)) return false;
  layer->output_first = is_gemm && attribute_int(layer->node, "transB", 0) != 0;
  layer->groups = layer->inner = 1;
  layer->first = w->dims[0];
  layer->second = w->dims[1];
  layer->input_axis = layer->output_axis = a->rank - 1;
  layer->takes_bias = a->rank == 2;
  if (is_gemm) {
    layer->alpha = (double)attribute_float(layer->node, "alpha", 1);
    layer->beta = (double)attribute_float(layer->node, "beta", 1);
  }
  return true;
}

/* Whether the bias is one that the layer can be given anew: constant, and the same in each row. */
static bool read_bias(linear_layer *layer) {
  const node *node = layer->node;
  bool is_gemm = node_is(node, "Gemm");
  layer->has_bias = node->input_count > 2 && node->inputs[2];
  if (!layer->has_bias) return true;
  layer->bias = node_constant_input(node, 2);
  if (!layer->bias) return true;
  int rank = layer->bias->rank;
  int64_t count = norma_tensor_count(layer->bias), columns = rank > 0 ? layer->bias->dims[rank - 1] : 1;
  return count == columns && (count == layer->outputs || (is_gemm && count == 1));
}

static bool read_layer(node *node, linear_layer *layer) {
  *layer = (linear_layer){.node = node, .alpha = 1, .beta = 1};
  if (!node->inputs[0] || !node->inputs[1] || !node->outputs[0]) return false;
  const value_info *info = &node->inputs[1]->info;
  layer->type = node->outputs[0]->info.type;
  if (node->outputs[0]->info.kind != NORMA_VALUE_TENSOR || !(TYPES_FLOAT & TYPE_BIT(layer->type))) return false;
  if (info->kind != NORMA_VALUE_TENSOR || info->type != layer->type || !shape_is_known(&info->shape)) return false;
  bool is_product = node_is(node, "Gemm") || node_is(node, "MatMul");
  if (!(is_product ? read_product(layer, &info->shape) : read_convolution(layer, &info->shape))) return false;
  layer->weights = node_constant_input(node, 1);
  layer->outputs = layer->groups * (layer->output_first ? layer->first : layer->second);
  layer->inputs = layer->groups * (layer->output_first ? layer->second : layer->first);
  return shape_count(&info->shape) > 0 && read_bias(layer);
}

/* ------------------------------------------------------------------------------------------------------ new weights */

/* What happens to a layer. Vectors are NULL where nothing does. */
typedef struct linear_change {
  pass_context *context;
  linear_layer *layer;
  const scale_shift *behind, *before;
  double *bias;    /* outputs elements: the new bias */
  double *largest; /* 2 x outputs: of each channel the largest old and new weight */
  value weights;
} linear_change;

typedef struct channels {
  int64_t output, input;
} channels;

static channels channels_at(const linear_layer *layer, int64_t group, int64_t i, int64_t j) {
  int64_t from_i = group * layer->first + i, from_j = group * layer->second + j;
  return layer->output_first ? (channels){from_i, from_j} : (channels){from_j, from_i};
}

static double smallest_normal(norma_element_type type) {
  return type == NORMA_FLOAT16 ? 0x1p-14 : type == NORMA_DOUBLE ? DBL_MIN : (double)FLT_MIN;
}

/* What becomes of a run of weights that share their factors. */
typedef struct weight_run {
  double scale, before; /* factors, applied in this order */
  double sum;           /* of the old weights */
  double old, new;      /* largest magnitudes */
} weight_run;

static bool change_run(weight_run *run, norma_element_type type, const void *from, void *to, int64_t first,
                       int64_t count) {
  for (int64_t k = first; k < first + count; k++) {
    double old = element_get_double(type, from, k);
    run->sum += old;
    element_set_double(type, to, k, old * run->scale * run->before);
    double new = element_get_double(type, to, k);
    if (!isfinite(new)) return false;
    run->old = fmax(run->old, fabs(old));
    run->new = fmax(run->new, fabs(new));
  }
  return true;
}

static uint32_t magnitude_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits & 0x7fffffff; /* larger for a larger magnitude, infinity and NaN above all numbers */
}

static double magnitude(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return (double)x;
}

/* The same for float32, without calls for each number and long chains of additions: these are most of all weights, and
 * loading waits for them. The sum is taken only where it is asked for. */
static bool change_float_run(weight_run *run, bool with_sum, const float *from, float *to, int64_t count) {
  const double scale = run->scale, before = run->before;
  uint32_t largest_old = 0, largest_new = 0;
  for (int64_t k = 0; k < count; k++) {
    float new = (float)((double)from[k] * scale * before);
    uint32_t old_bits = magnitude_bits(from[k]), new_bits = magnitude_bits(new);
    to[k] = new;
    largest_old = old_bits > largest_old ? old_bits : largest_old;
    largest_new = new_bits > largest_new ? new_bits : largest_new;
  }
  for (int64_t k = 0; with_sum && k < count; k++) run->sum += (double)from[k];
  run->old = magnitude(largest_old);
  run->new = magnitude(largest_new);
  return isfinite(run->new);
}

/* Scales `count` weights of one pair of channels and adds to the bias what a shift before the layer brings. */
static bool change_weights(linear_change *change, int64_t first, int64_t count, channels at) {
  const linear_layer *layer = change->layer;
  const void *from = layer->weights->data;
  void *to = change->weights.tensor.data;
  double *largest = change->largest + 2 * at.output;
  double shift = change->before ? scale_shift_shift(change->before, at.input) : 0;
  weight_run run = {.scale = change->behind ? scale_shift_scale(change->behind, at.output) : 1,
                    .before = change->before ? scale_shift_scale(change->before, at.input) : 1};
  bool finite = layer->type == NORMA_FLOAT
                    ? change_float_run(&run, shift != 0, (const float *)from + first, (float *)to + first, count)
                    : change_run(&run, layer->type, from, to, first, count);
  if (!finite) return false;
  if (run.scale != 0 && run.before != 0) { /* else exactly 0, which is no loss */
    largest[0] = fmax(largest[0], run.old);
    largest[1] = fmax(largest[1], run.new);
  }
  if (shift != 0) change->bias[at.output] += layer->alpha * shift * run.sum;
  return true;
}

static bool keeps_digits(const linear_change *change) {
  double least = smallest_normal(change->layer->type);
  for (int64_t c = 0; c < change->layer->outputs; c++) {
    if (change->largest[2 * c] >= least && change->largest[2 * c + 1] < least) return false;
  }
  return true;
}

static bool change_all_weights(linear_change *change) {
  const linear_layer *layer = change->layer;
  int64_t at = 0, second = layer->second, run = layer->inner;
  if (layer->output_first && !change->before) { /* all weights of an output channel share their factor */
    run *= second;
    second = 1;
  }
  for (int64_t g = 0; g < layer->groups; g++) {
    for (int64_t i = 0; i < layer->first; i++) {
      for (int64_t j = 0; j < second; j++, at += run) {
        if (!change_weights(change, at, run, channels_at(layer, g, i, j))) return false;
      }
    }
  }
  return keeps_digits(change);
}

/* The bias that stands, then what a shift before the layer adds, then what happens behind the layer. */
static void read_old_bias(linear_change *change) {
  const linear_layer *layer = change->layer;
  bool is_scalar = layer->bias && norma_tensor_count(layer->bias) == 1;
  for (int64_t c = 0; c < layer->outputs; c++) {
    change->bias[c] =
        layer->bias ? layer->beta * element_get_double(layer->bias->type, layer->bias->data, is_scalar ? 0 : c) : 0;
  }
}

static void change_bias(linear_change *change) {
  for (int64_t c = 0; change->behind && c < change->layer->outputs; c++) {
    change->bias[c] = change->bias[c] * scale_shift_scale(change->behind, c) + scale_shift_shift(change->behind, c);
  }
}

static norma_status make_bias(linear_change *change, value *result, bool *is_finite) {
  const linear_layer *layer = change->layer;
  norma_error *error = change->context->error;
  shape shape = shape_make(1, &layer->outputs);
  TRY(value_allocate_tensor(change->context->model->memory, result, layer->type, &shape, error));
  *is_finite = true;
  for (int64_t c = 0; c < layer->outputs; c++) {
    element_set_double(layer->type, result->tensor.data, c, change->bias[c]);
    if (!isfinite(element_get_double(layer->type, result->tensor.data, c))) *is_finite = false;
  }
  if (!*is_finite) value_clear(result);
  return NORMA_OK;
}

/* -------------------------------------------------------------------------------------------------------- rewriting */

static bool set_float(node *node, const char *name, float f) {
  for (int i = 0; i < node->attribute_count; i++) {
    if (strcmp(node->attributes[i].name, name) != 0) continue;
    node->attributes[i].f = f;
    return true;
  }
  return f == 1 || node_set_attribute_float(node, name, f); /* 1 is the default of alpha and beta */
}

static bool set_int(node *node, const char *name, int64_t number) {
  for (int i = 0; i < node->attribute_count; i++) {
    if (strcmp(node->attributes[i].name, name) != 0) continue;
    node->attributes[i].i = number;
    return true;
  }
  return node_set_attribute_int(node, name, number);
}

static norma_status out_of_memory(linear_change *change) {
  return region_error(change->layer->node->graph->region, change->context->error);
}

/* The MatMul node's place is taken by a Gemm with the same inputs. */
static norma_status become_gemm(linear_change *change) {
  node *matmul = change->layer->node;
  node *gemm = graph_insert_node(matmul->graph, matmul, matmul->name, "Gemm", "", 3, 1, 0);
  if (!gemm) return out_of_memory(change);
  gemm->opset = matmul->opset;
  graph_value *output = matmul->outputs[0];
  node_set_input(gemm, 0, matmul->inputs[0]);
  node_set_input(gemm, 1, matmul->inputs[1]);
  graph_remove_node(matmul);
  node_set_output(gemm, 0, output);
  gemm->version = operator_version(operator_find("", "Gemm"), gemm->opset);
  change->layer->node = gemm;
  return NORMA_OK;
}

static norma_status replace_constant(linear_change *change, int index, const char *suffix, value *contents) {
  node *node = change->layer->node;
  if (index >= node->input_count && !node_add_inputs(node, index + 1 - node->input_count)) {
    value_clear(contents);
    return out_of_memory(change);
  }
  graph_value *old = node->inputs[index], *made;
  TRY(pass_add_constant(change->context, node->graph, old ? old->name : suffix, contents, &made));
  node_set_input(node, index, made);
  if (old) pass_release_constant(old);
  return NORMA_OK;
}

static norma_status set_bias(linear_change *change, value *bias) {
  norma_status status = NORMA_OK;
  if (node_is(change->layer->node, "MatMul")) status = become_gemm(change);
  if (status != NORMA_OK) {
    value_clear(bias);
    return status;
  }
  node *node = change->layer->node;
  TRY(replace_constant(change, 2, "bias", bias));
  if (strcmp(node->op_type, "Gemm") == 0) {
    if (!set_float(node, "beta", 1)) return out_of_memory(change);
    if (node->version < 7 && !set_int(node, "broadcast", 1)) return out_of_memory(change);
  }
  return pass_resolve(change->context, node);
}

/* Whether the bias comes out different from what it is. */
static bool bias_changes(const linear_change *change) {
  if (change->layer->has_bias && change->behind && !scale_shift_is_sum(change->behind)) return true;
  return (change->behind && !scale_shift_is_product(change->behind)) ||
         (change->before && !scale_shift_is_product(change->before));
}

static bool weights_change(const linear_change *change) {
  return change->before || (change->behind && !scale_shift_is_sum(change->behind));
}

static bool is_possible(const linear_change *change, bool new_weights, bool new_bias) {
  const linear_layer *layer = change->layer;
  if (new_weights && !layer->weights) return false;
  return !new_bias || (layer->takes_bias && (!layer->has_bias || layer->bias));
}

static value *lazy_weights(const linear_layer *layer) {
  const graph_value *constant = layer->node->inputs[1];
  bool is_lazy = layer->weights && value_is_lazy(constant->constant);
  return is_lazy ? (value *)(uintptr_t)constant->constant : NULL;
}

/* Factors of whole output channels can wait until the weights are read. */
static bool may_wait(const linear_change *change) {
  const value *weights = lazy_weights(change->layer);
  return weights && !change->before && change->layer->output_first && lazy_takes_factors(weights) &&
         value_has_single_use(change->layer->node->inputs[1]);
}

static norma_status scale_later(linear_change *change) {
  int64_t outputs = change->layer->outputs;
  double *factors = change->largest; /* which is not needed then */
  for (int64_t c = 0; c < outputs; c++) factors[c] = scale_shift_scale(change->behind, c);
  return lazy_set_factors(lazy_weights(change->layer), factors, outputs, change->context->error);
}

static norma_status make_weights(linear_change *change, bool *possible) {
  const linear_layer *layer = change->layer;
  norma_error *error = change->context->error;
  value *lazy = lazy_weights(layer);
  if (lazy) TRY(lazy_fetch(lazy, error));
  shape shape = shape_of_tensor(layer->weights);
  TRY(value_allocate_tensor(change->context->model->memory, &change->weights, layer->type, &shape, error));
  *possible = change_all_weights(change);
  return NORMA_OK;
}

static norma_status apply_change(linear_change *change, bool *done) {
  bool new_weights = weights_change(change), new_bias = bias_changes(change), finite = true;
  if (!is_possible(change, new_weights, new_bias)) return NORMA_OK;
  bool later = new_weights && may_wait(change), possible = true;
  read_old_bias(change);
  if (new_weights && !later) TRY(make_weights(change, &possible));
  if (!possible) return NORMA_OK;
  change_bias(change);
  value bias = {0};
  if (new_bias) TRY(make_bias(change, &bias, &finite));
  if (!finite) return NORMA_OK;
  norma_status status = NORMA_OK;
  if (later) status = scale_later(change);
  if (new_weights && !later) status = replace_constant(change, 1, "weights", &change->weights);
  if (status == NORMA_OK && new_bias)
    status = set_bias(change, &bias);
  else
    value_clear(&bias);
  *done = status == NORMA_OK;
  return status;
}

/* Without the room for all its numbers a change is left undone, and so it is where the layer is not of the right kind.
 */
static norma_status change_layer(pass_context *context, node **node, linear_layer *layer, const scale_shift *behind,
                                 const scale_shift *before, bool *done) {
  linear_change change = {.context = context, .layer = layer, .behind = behind, .before = before};
  memory *memory = context->model->memory;
  size_t bytes = 3 * (size_t)layer->outputs * sizeof(double);
  change.bias = memory_allocate_zeroed(memory, bytes);
  if (!change.bias) return memory_error(memory, bytes, context->error);
  change.largest = change.bias + layer->outputs;
  norma_status status = apply_change(&change, done);
  *node = layer->node;
  value_clear(&change.weights);
  memory_free(memory, change.bias);
  return status;
}

norma_status linear_layer_append(pass_context *context, node **node, const scale_shift *transform, bool *done) {
  linear_layer layer;
  *done = false;
  if (!read_layer(*node, &layer)) return NORMA_OK;
  bool fits = transform->count == 1 || (transform->axis == layer.output_axis && transform->count == layer.outputs);
  return fits ? change_layer(context, node, &layer, transform, NULL, done) : NORMA_OK;
}

norma_status linear_layer_absorb(pass_context *context, node *last, bool (*accepts)(const node *layer), bool *changed) {
  scale_shift transform;
  bool found;
  TRY(scale_shift_read(context, last, &transform, &found));
  if (!found) return NORMA_OK;
  norma_status status = NORMA_OK;
  node *layer = single_linear_producer(last, transform.input);
  if (layer && accepts(layer)) {
    status = linear_layer_append(context, &layer, &transform, changed);
    if (status == NORMA_OK && *changed) status = pass_take_over(context, layer, last);
  }
  scale_shift_free(&transform);
  return status;
}

/* Whether some outputs see zeros of the padding, which no transform has seen, or do not see all weights. */
static bool has_borders(const node *node) {
  if (!node_is(node, "Conv")) return node_is(node, "ConvTranspose");
  const char *automatic = attribute_string(node, "auto_pad", "NOTSET");
  if (strcmp(automatic, "VALID") == 0) return false;
  if (strcmp(automatic, "NOTSET") != 0) return true;
  size_t count;
  const int64_t *pads = attribute_ints(node, "pads", &count);
  for (size_t i = 0; i < count; i++) {
    if (pads[i] != 0) return true;
  }
  return false;
}

norma_status linear_layer_prepend(pass_context *context, node **node, const scale_shift *transform, bool *done) {
  linear_layer layer;
  *done = false;
  if (!read_layer(*node, &layer)) return NORMA_OK;
  bool fits = transform->count == 1 || (transform->axis == layer.input_axis && transform->count == layer.inputs);
  if (!fits || (has_borders(*node) && !scale_shift_is_product(transform))) return NORMA_OK;
  return change_layer(context, node, &layer, NULL, transform, done);
}
