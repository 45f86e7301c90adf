#include "engine/passes/fold_into_weights.h"

#include "ops/elementwise/elementwise_chain.h"

#include <float.h>
#include <math.h>

const char *const fold_operators[] = {OPERATOR_INNER_DOMAIN ":" CHAIN_OPERATOR, NULL};

/* A layer with what its form leaves open. Of all groups, inputs and outputs are counted. */
typedef struct linear_layer {
  node *node;
  linear_form form;
  norma_element_type type;
  const norma_tensor *weights, *bias; /* NULL: not constant */
  bool has_bias;
  int64_t outputs, inputs;
} linear_layer;

/* ------------------------------------------------------------------------------------------------------ recognition */

/* Whether the bias is one that the layer can be given anew: constant, and the same in each row. */
static bool read_bias(linear_layer *layer) {
  const node *node = layer->node;
  layer->has_bias = node_has_input(node, layer->form.bias);
  if (!layer->has_bias) return true;
  layer->bias = node_constant_input(node, layer->form.bias);
  if (!layer->bias) return true;
  int rank = layer->bias->rank;
  int64_t count = norma_tensor_count(layer->bias), columns = rank > 0 ? layer->bias->dims[rank - 1] : 1;
  return count == columns && (count == layer->outputs || (layer->form.repeats_bias && count == 1));
}

static bool read_layer(node *node, linear_layer *layer) {
  *layer = (linear_layer){.node = node};
  if (!node_has_plain_store(node) || !node_has_one_output(node) || !node_linear(node, &layer->form)) return false;
  const linear_form *form = &layer->form;
  const value_info *info = &node->inputs[form->weights]->info;
  layer->type = node->outputs[0]->info.type;
  if (!value_is_of(node->outputs[0], TYPES_FLOAT)) return false;
  if (info->kind != NORMA_VALUE_TENSOR || info->type != layer->type || !shape_is_known(&info->shape)) return false;
  layer->weights = node_constant_input(node, form->weights);
  layer->outputs = form->groups * (form->output_first ? form->first : form->second);
  layer->inputs = form->groups * (form->output_first ? form->second : form->first);
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
  int64_t from_i = group * layer->form.first + i, from_j = group * layer->form.second + j;
  return layer->form.output_first ? (channels){from_i, from_j} : (channels){from_j, from_i};
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
  if (shift != 0) change->bias[at.output] += layer->form.alpha * shift * run.sum;
  return true;
}

static bool change_keeps_digits(const linear_change *change) {
  double least = smallest_normal(change->layer->type);
  for (int64_t c = 0; c < change->layer->outputs; c++) {
    if (change->largest[2 * c] >= least && change->largest[2 * c + 1] < least) return false;
  }
  return true;
}

static bool change_all_weights(linear_change *change) {
  const linear_layer *layer = change->layer;
  const linear_form *form = &layer->form;
  int64_t at = 0, second = form->second, run = form->inner;
  if (form->output_first && !change->before) { /* all weights of an output channel share their factor */
    run *= second;
    second = 1;
  }
  for (int64_t g = 0; g < form->groups; g++) {
    for (int64_t i = 0; i < form->first; i++) {
      for (int64_t j = 0; j < second; j++, at += run) {
        if (!change_weights(change, at, run, channels_at(layer, g, i, j))) return false;
      }
    }
  }
  return change_keeps_digits(change);
}

/* The bias that stands, then what a shift before the layer adds, then what happens behind the layer. */
static void read_old_bias(linear_change *change) {
  const linear_layer *layer = change->layer;
  bool is_scalar = layer->bias && norma_tensor_count(layer->bias) == 1;
  for (int64_t c = 0; c < layer->outputs; c++) {
    change->bias[c] =
        layer->bias ? layer->form.beta * element_get_double(layer->bias->type, layer->bias->data, is_scalar ? 0 : c)
                    : 0;
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

static norma_status change_out_of_memory(linear_change *change) {
  return region_error(change->layer->node->graph->region, change->context->error);
}

/* The node's place is taken by the operator that takes a bias as well. */
static norma_status become_biased(linear_change *change) {
  linear_layer *layer = change->layer;
  node *old = layer->node;
  node *made = graph_insert_node(old->graph, old, old->name, layer->form.biased, "", layer->form.bias + 1, 1, 0);
  if (!made) return change_out_of_memory(change);
  made->opset = old->opset;
  graph_value *output = old->outputs[0];
  for (int i = 0; i < old->input_count; i++) node_set_input(made, i, old->inputs[i]);
  graph_remove_node(old);
  node_set_output(made, 0, output);
  layer->node = made;
  return NORMA_OK;
}

/* What makes the operator add the bias as it is. */
static bool apply_bias_settings(node *node, const bias_setting *settings) {
  for (; settings && settings->name; settings++) {
    if (settings->until && node->opset > settings->until) continue;
    bool done = settings->kind == ATTRIBUTE_FLOAT
                    ? node_set_attribute_float(node, settings->name, (float)settings->value)
                    : node_set_attribute_int(node, settings->name, (int64_t)settings->value);
    if (!done) return false;
  }
  return true;
}

static norma_status replace_constant(linear_change *change, int index, const char *suffix, value *contents) {
  node *node = change->layer->node;
  if (index >= node->input_count && !node_add_inputs(node, index + 1 - node->input_count)) {
    value_clear(contents);
    return change_out_of_memory(change);
  }
  graph_value *old = node->inputs[index], *made;
  TRY(pass_add_constant(change->context, node->graph, old ? old->name : suffix, contents, &made));
  node_set_input(node, index, made);
  if (old) pass_release_constant(old);
  return NORMA_OK;
}

static norma_status set_bias(linear_change *change, value *bias) {
  const linear_form *form = &change->layer->form;
  norma_status status = form->biased ? become_biased(change) : NORMA_OK;
  if (status != NORMA_OK) {
    value_clear(bias);
    return status;
  }
  node *node = change->layer->node;
  TRY(replace_constant(change, form->bias, "bias", bias));
  if (!apply_bias_settings(node, form->settings)) return change_out_of_memory(change);
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
  if (new_bias && layer->form.biased && !pass_can_make(change->context, layer->form.biased)) return false;
  return !new_bias || (layer->form.takes_bias && (!layer->has_bias || layer->bias));
}

/* The weights, if they are still unread. */
static value *unread_weights(const linear_layer *layer) {
  value *constant = layer->weights ? layer->node->inputs[layer->form.weights]->constant : NULL;
  return constant && value_is_lazy(constant) ? constant : NULL;
}

/* Factors of whole output channels wait until the weights are read. *done: false where they cannot. Should they then
 * turn out to leave the range of the type, the fold is undone (engine/load/unfold.h). */
static norma_status scale_unread(linear_change *change, bool *done) {
  const linear_layer *layer = change->layer;
  double *factors = change->largest; /* which is not needed then */
  value *weights = unread_weights(layer);
  *done = false;
  if (!weights || change->before || !layer->form.output_first || layer->type != NORMA_FLOAT) return NORMA_OK;
  if (!value_has_single_use(layer->node->inputs[layer->form.weights])) return NORMA_OK;
  for (int64_t c = 0; c < layer->outputs; c++) factors[c] = scale_shift_scale(change->behind, c);
  return lazy_scale(weights, factors, layer->outputs, done, change->context->error);
}

static norma_status make_weights(linear_change *change, bool *possible) {
  const linear_layer *layer = change->layer;
  norma_error *error = change->context->error;
  value *unread = unread_weights(layer);
  if (unread) TRY(lazy_fetch(&change->context->model->lazy_source, unread, error));
  for (int64_t i = 0; i < 2 * layer->outputs; i++) change->largest[i] = 0;
  shape shape = shape_of_tensor(layer->weights);
  TRY(value_allocate_tensor(change->context->model->memory, &change->weights, layer->type, &shape, error));
  *possible = change_all_weights(change);
  return NORMA_OK;
}

/* The new bias is made first, since nothing has changed yet where it cannot be. A shift in front of the layer is
 * weighted, so then the weights come before it. */
static norma_status apply_change(linear_change *change, bool *done) {
  const bool new_weights = weights_change(change), new_bias = bias_changes(change);
  bool waits = false, possible = true, finite = true;
  if (!is_possible(change, new_weights, new_bias)) return NORMA_OK;
  read_old_bias(change);
  value bias = {0};
  if (!change->before) {
    change_bias(change);
    if (new_bias) TRY(make_bias(change, &bias, &finite));
    if (!finite) return NORMA_OK;
  }
  norma_status status = NORMA_OK;
  if (new_weights) status = scale_unread(change, &waits);
  if (status == NORMA_OK && new_weights && !waits) status = make_weights(change, &possible);
  if (status == NORMA_OK && possible && change->before && new_bias) status = make_bias(change, &bias, &finite);
  if (status != NORMA_OK || !possible || !finite) {
    value_clear(&bias);
    return status;
  }
  if (new_weights && !waits)
    status = replace_constant(change, change->layer->form.weights, "weights", &change->weights);
  if (status == NORMA_OK && new_bias) {
    status = set_bias(change, &bias);
  } else {
    value_clear(&bias);
  }
  *done = status == NORMA_OK;
  return status;
}

/* Without the room for all its numbers a change is left undone, and so it is where the layer is not of the right
 * kind. */
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

/* Lets *node compute what `transform` makes of its output. The layer's infos stay those of the old output. */
static norma_status fold_append(pass_context *context, node **node, const scale_shift *transform, bool *done) {
  linear_layer layer;
  *done = false;
  if (!read_layer(*node, &layer)) return NORMA_OK;
  const bool fits =
      transform->count == 1 || (transform->axis == layer.form.output_axis && transform->count == layer.outputs);
  return fits ? change_layer(context, node, &layer, transform, NULL, done) : NORMA_OK;
}

norma_status fold_behind(pass_context *context, node *last, bool (*accepts)(const linear_form *form), bool *changed) {
  scale_shift transform;
  bool found;
  TRY(scale_shift_read(context, last, &transform, &found));
  if (!found) return NORMA_OK;
  norma_status status = NORMA_OK;
  linear_form form;
  node *layer = node_sole_producer(last, transform.input);
  if (layer && node_linear(layer, &form) && (!accepts || accepts(&form))) {
    status = fold_append(context, &layer, &transform, changed);
    if (status == NORMA_OK && *changed) status = pass_take_over(context, layer, last);
  }
  scale_shift_free(&transform);
  return status;
}

norma_status fold_before(pass_context *context, node **node, const scale_shift *transform, bool *done) {
  linear_layer layer;
  *done = false;
  if (!read_layer(*node, &layer)) return NORMA_OK;
  const bool fits =
      transform->count == 1 || (transform->axis == layer.form.input_axis && transform->count == layer.inputs);
  if (!fits || (layer.form.has_borders && !scale_shift_is_product(transform))) return NORMA_OK;
  return change_layer(context, node, &layer, NULL, transform, done);
}
