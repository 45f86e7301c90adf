/*
 * A node that has only constants to read is evaluated now, and its result becomes a constant; so does the shape of a
 * tensor whose shape the model fixes.
 *
 *   shape = Shape(w)           w' = constant
 *   w' = Reshape(v, shape)  -> y = Conv(x, w')
 *   y = Conv(x, w')
 *
 * Legal for every deterministic operator without subgraphs that is not of the embedding program; exact, since the same
 * code runs. A node that fails stays: it may stand in a branch that never runs; so does one that would take long.
 *
 * What it costs is memory for as long as the model lives. A result of up to FREE_BYTES, or not much larger than what it
 * is made of, is always kept. A larger one (ConstantOfShape, Expand, Tile) is cheap to make anew in each run, so it is
 * kept only where a reader packs its constants once per model, which it could not do otherwise; and never if it, with a
 * packed copy, would take more than half of what the runtime's memory budget has left.
 */
#include "engine/execute/evaluation.h"
#include "engine/passes/pass_helpers.h"

#define FREE_BYTES    ((size_t)1 << 20)
#define LARGEST_BYTES ((size_t)1 << 30)
#define GROWTH        4 /* float weights made of bytes are worth their memory */
#define READER_DEPTH  8 /* nodes between a constant and the one that packs it */

static bool reads_constants_only(const node *node) {
  for (int i = 0; i < node->input_count; i++) {
    if (node->inputs[i] && !node->inputs[i]->constant) return false;
  }
  return true;
}

static bool can_fold(const node *node) {
  if (!node->op || node->op->custom || (node->op->flags & (OPERATOR_RANDOM | OPERATOR_SUBGRAPHS))) return false;
  return node->output_count > 0 && reads_constants_only(node);
}

/* ----------------------------------------------------------------------------------------------------------- memory */

/* Whether the operator prepares constant contents of this input once, for all runs. */
static bool packs_input(const node *node, int index) {
  return node->op && index < 32 && (node->op->facts.packs & INPUT(index));
}

static bool reads_constants_beside(const node *node, int index) {
  for (int i = 0; i < node->input_count; i++) {
    if (i != index && node->inputs[i] && !node->inputs[i]->constant) return false;
  }
  return true;
}

/* Whether some reader packs the value, or what is made of it and constants alone. */
static bool has_packing_reader(const graph_value *value, int depth) {
  for (const use *use = value->uses; use; use = use->next) {
    if (packs_input(use->node, use->index)) return true;
    if (depth == 0 || !reads_constants_beside(use->node, use->index)) continue;
    for (int i = 0; i < use->node->output_count; i++) {
      if (use->node->outputs[i] && has_packing_reader(use->node->outputs[i], depth - 1)) return true;
    }
  }
  return false;
}

static size_t input_bytes(const node *node) {
  size_t sum = 0;
  for (int i = 0; i < node->input_count; i++) {
    const norma_tensor *tensor = node_constant_input(node, i);
    if (tensor && !size_add(sum, tensor->size_bytes, &sum)) return SIZE_MAX / 2;
  }
  return sum;
}

static bool is_worth(const pass_context *context, const node *node, const graph_value *output, size_t bytes) {
  const memory *memory = context->model->memory;
  if (bytes <= FREE_BYTES) return true;
  size_t used = atomic_load(&memory->used), left = memory->limit > used ? memory->limit - used : 0;
  if (bytes > LARGEST_BYTES || bytes > left / 4) return false;
  return bytes / GROWTH <= input_bytes(node) || has_packing_reader(output, READER_DEPTH);
}

/* Before the evaluation: what is known of the outputs' sizes. */
static bool is_worth_by_shape(const pass_context *context, const node *node) {
  for (int i = 0; i < node->output_count; i++) {
    const graph_value *output = node->outputs[i];
    if (!output || output->info.kind != NORMA_VALUE_TENSOR || !shape_is_known(&output->info.shape)) continue;
    size_t bytes;
    const shape *shape = &output->info.shape;
    if (norma_tensor_size(output->info.type, shape->rank, shape->dims, &bytes) != NORMA_OK) return false;
    if (!is_worth(context, node, output, bytes)) return false;
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------------- evaluation */

/* The node goes; its outputs become constants. Those without contents were not wanted. */
static norma_status become_constants(pass_context *context, node *node, value *results) {
  graph *graph = node->graph;
  int count = node->output_count;
  graph_value **outputs = region_array(graph->region, (size_t)count, sizeof *outputs);
  graph_value **inputs = region_array(graph->region, (size_t)node->input_count, sizeof *inputs);
  if (!outputs || !inputs) return region_error(graph->region, context->error);
  memcpy(outputs, node->outputs, (size_t)count * sizeof *outputs);
  int input_count = node->input_count;
  for (int i = 0; i < input_count; i++) inputs[i] = node->inputs[i];
  graph_remove_node(node);
  for (int i = 0; i < input_count; i++) {
    if (inputs[i]) pass_release_constant(inputs[i]);
  }
  for (int i = 0; i < count; i++) {
    if (outputs[i] && !graph_set_constant(outputs[i], &results[i])) return region_error(graph->region, context->error);
  }
  return NORMA_OK;
}

static bool all_are_tensors(const pass_context *context, const node *node, const value *results) {
  for (int i = 0; i < node->output_count; i++) {
    if (!node->outputs[i]) continue;
    if (results[i].kind != NORMA_VALUE_TENSOR) return false;
    if (!is_worth(context, node, node->outputs[i], results[i].tensor.size_bytes)) return false;
  }
  return true;
}

static norma_status evaluate(pass_context *context, node *node, bool *changed) {
  memory *memory = context->model->memory;
  region region;
  region_init(&region, memory);
  size_t in = (size_t)node->input_count, out = (size_t)node->output_count;
  const value **inputs = region_array(&region, in, sizeof *inputs);
  value **outputs = region_array(&region, out, sizeof *outputs);
  value *results = region_array(&region, out, sizeof *results);
  norma_status status = NORMA_OK;
  if (!inputs || !outputs || !results) {
    status = region_error(&region, context->error);
    goto done;
  }
  for (size_t i = 0; i < in && status == NORMA_OK; i++) {
    inputs[i] = node->inputs[i] ? node->inputs[i]->constant : NULL;
    if (inputs[i]) status = lazy_fetch(&context->model->lazy_source, node->inputs[i]->constant, context->error);
  }
  if (status != NORMA_OK) goto done;
  for (size_t i = 0; i < out; i++) outputs[i] = node->outputs[i] ? &results[i] : NULL;
  norma_error ignored;
  norma_status evaluated =
      evaluate_node(context->executor, node, inputs, inputs, outputs, NORMA_ERROR_INVALID_MODEL, &ignored);
  if (evaluated == NORMA_ERROR_OUT_OF_MEMORY) {
    status = evaluated;
    *context->error = ignored;
  }
  if (status == NORMA_OK) status = executor_poll(context->executor, context->error);
  if (evaluated != NORMA_OK || status != NORMA_OK) goto clear;
  if (all_are_tensors(context, node, results)) {
    status = become_constants(context, node, results);
    *changed = status == NORMA_OK;
  }
clear:
  for (size_t i = 0; i < out; i++) value_clear(&results[i]);
done:
  region_free(&region);
  return status;
}

/* ----------------------------------------------------------------------------------------------------------- shapes */

/* What such an operator tells of its input is known from the description alone. */
static norma_status infer_contents(pass_context *context, node *node, region *region, norma_tensor *contents) {
  const value_info *inputs[1] = {&node->inputs[0]->info};
  const value *values[1] = {NULL};
  value_info outputs[1] = {{.shape = {.rank = RANK_UNKNOWN}}};
  infer_context infer = {.node = node,
                         .state = node->state,
                         .input_count = 1,
                         .output_count = 1,
                         .inputs = inputs,
                         .values = values,
                         .outputs = outputs,
                         .known = contents,
                         .region = region,
                         .failure = NORMA_ERROR_INVALID_MODEL,
                         .error = context->error};
  return node->op->infer(&infer);
}

static norma_status fold_shape(pass_context *context, node *node, bool *changed) {
  if (node->input_count != 1 || node->output_count != 1 || !node->inputs[0] || !node->outputs[0]) return NORMA_OK;
  region region;
  region_init(&region, context->model->memory);
  norma_tensor contents = {0};
  value result = {0};
  norma_status status = infer_contents(context, node, &region, &contents);
  if (status == NORMA_OK && contents.type != NORMA_UNDEFINED) {
    const value borrowed = {.kind = NORMA_VALUE_TENSOR, .tensor = contents};
    status = value_copy(context->model->memory, &result, &borrowed, context->error);
    if (status == NORMA_OK) status = become_constants(context, node, &result);
    *changed = status == NORMA_OK;
  }
  value_clear(&result);
  region_free(&region);
  return status;
}

static norma_status constant_folding_apply(pass_context *context, node *node, bool *changed) {
  if (node->op && (node->op->flags & OPERATOR_SHAPE_ONLY)) {
    TRY(fold_shape(context, node, changed));
    if (*changed) return NORMA_OK;
  }
  if (!can_fold(node) || !is_worth_by_shape(context, node)) return NORMA_OK;
  return evaluate(context, node, changed);
}

const pass pass_constant_folding = {
    .name = "constant_folding",
    .level = 1,
    .apply = constant_folding_apply,
};
