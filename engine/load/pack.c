#include "engine/load/pack.h"

#include "engine/load/unfold.h"
#include "engine/plan/shape_inference.h"

/* ------------------------------------------------------------------------------------------------- unread constants */

/* Whether one operator reads the value, and only as it packs it. */
static bool is_read_by_packing(const graph_value *value) {
  const use *use = value->uses;
  if (!use || !value_has_single_use(value) || use->node->graph != value->graph || use->index >= 32) return false;
  return use->node->op && (use->node->op->facts.weights & INPUT(use->index));
}

static norma_status fetch_constants(norma_model *model, bool all, norma_error *error) {
  graph *graph = model->graph;
  unsigned polls = 0;
  for (int i = 0; i < graph->value_count; i++) {
    graph_value *value = graph->values[i];
    TRY(interruption_poll_often(model->interruption, &polls, error));
    if (!value->constant || !value_is_lazy(value->constant) || (!all && is_read_by_packing(value))) continue;
    TRY(lazy_fetch(&model->lazy_source, value->constant, error));
  }
  return NORMA_OK;
}

norma_status pack_fetch_shared(norma_model *model, norma_error *error) {
  return fetch_constants(model, false, error);
}

/* Whether the step failed for a fold that could not be: it is undone, and the step is to be made again. */
static bool undo_fold(norma_model *model, norma_status *status, norma_error *error) {
  const value *lost = model->lazy_source.lost;
  if (*status == NORMA_OK || !lost) return false;
  model->lazy_source.lost = NULL;
  *status = unfold_scale(model, lost, error);
  return *status == NORMA_OK;
}

norma_status pack_fetch_all(norma_model *model, norma_error *error) {
  norma_status status;
  do {
    status = fetch_constants(model, true, error);
  } while (undo_fold(model, &status, error));
  return status;
}

/* ---------------------------------------------------------------------------------------------------------- packing */

typedef struct packer {
  norma_model *model;
  executor *executor;
  region region; /* of one node's arrays */
  inferrer inferrer;
  bool *needed;    /* by value id: what steps and outputs read */
  bool open_batch; /* inputs are taken to be batches of 1 */
} packer;

/* The inputs' descriptions, with batches of 1 where the model leaves them open. false where it leaves more open. */
static bool fix_inputs(packer *packer) {
  const graph *graph = packer->model->graph;
  for (int i = 0; i < graph->input_count; i++) {
    const graph_value *input = graph->inputs[i];
    if (input->constant) continue;
    value_info *info = &packer->inferrer.infos[input->id];
    if (info->kind != NORMA_VALUE_TENSOR) return false;
    if (info->shape.rank > 0 && info->shape.dims[0] == DIM_UNKNOWN) {
      info->shape.dims[0] = 1;
      packer->open_batch = true;
    }
    if (!shape_is_known(&info->shape)) return false;
  }
  return true;
}

static bool has_constants_to_pack(const node *node) {
  if (!node->op || !node->op->prepare || !node->op->facts.packs) return false;
  for (int i = 0; i < node->input_count && i < 32; i++) {
    if ((node->op->facts.packs & INPUT(i)) && node->inputs[i] && node->inputs[i]->constant) return true;
  }
  return false;
}

static void pack_mark_needed(packer *packer, const graph_value *value) {
  if (value && value->graph == packer->model->graph) packer->needed[value->id] = true;
}

static bool pack_mark_captures(void *context, graph *subgraph) {
  for (int i = 0; i < subgraph->capture_count; i++) pack_mark_needed(context, subgraph->captures[i]);
  return true;
}

/* Whether a step will compute the node: something reads a result, and not only its shape; results known by now need no
 * step. */
static bool will_run(const packer *packer, const node *node) {
  for (int i = 0; i < node->output_count; i++) {
    const graph_value *output = node->outputs[i];
    if (output && packer->needed[output->id] && !packer->inferrer.known[output->id]) return true;
  }
  return false;
}

/* Backwards from the outputs, as plans do. */
static void find_needed(packer *packer) {
  const graph *graph = packer->model->graph;
  for (int i = 0; i < graph->output_count; i++) pack_mark_needed(packer, graph->outputs[i]);
  for (const node *node = graph->last; node; node = node->previous) {
    if (!will_run(packer, node)) continue;
    for (int i = 0; i < node->input_count; i++) pack_mark_needed(packer, node->inputs[i]);
    node_visit_subgraphs(node, pack_mark_captures, packer);
  }
}

static bool infos_are_known(const value_info *const *infos, int count) {
  for (int i = 0; i < count; i++) {
    if (infos[i] && (infos[i]->kind != NORMA_VALUE_TENSOR || !shape_is_known(&infos[i]->shape))) return false;
  }
  return true;
}

/* Only where this node alone reads the constant. The value stays, with its type and shape, and without data. */
static void give_back(const node *node, uint32_t packed_inputs) {
  for (int i = 0; i < node->input_count && i < 32; i++) {
    graph_value *value = packed_inputs & INPUT(i) ? node->inputs[i] : NULL;
    if (!value || !value->constant || !value_has_single_use(value)) continue;
    buffer_release(value->constant->owner);
    value->constant->owner = NULL;
    value->constant->tensor.data = NULL;
  }
}

static bool pack_read_lazy(prepare_context *context, const value *constant, int64_t first, int64_t count,
                           const void **data, norma_status *status) {
  if (!value_is_lazy(constant)) return false;
  *status = lazy_read(context->lazy, constant, first, count, data, context->error);
  return true;
}

/* The state that prepare fills in goes: plans make their own, and find what was packed. */
static norma_status pack_node(packer *packer, const node *node, norma_error *error) {
  region *region = &packer->region;
  const value_info **inputs = region_array(region, (size_t)node->input_count, sizeof *inputs);
  const value_info **outputs = region_array(region, (size_t)node->output_count, sizeof *outputs);
  const value **constants = region_array(region, (size_t)node->input_count, sizeof *constants);
  void *state = region_allocate(region, node->op->state_size);
  if (!inputs || !outputs || !constants || !state) return region_error(region, error);
  if (node->op->state_size) memcpy(state, node->state, node->op->state_size);
  for (int i = 0; i < node->input_count; i++) {
    if (!node->inputs[i]) continue;
    inputs[i] = inferrer_info(&packer->inferrer, node->inputs[i]);
    constants[i] = node->inputs[i]->constant;
    const bool by_pieces = i < 32 && (node->op->facts.weights & INPUT(i));
    if (constants[i] && !by_pieces) {
      TRY(lazy_fetch(&packer->model->lazy_source, node->inputs[i]->constant, error));
    }
  }
  for (int i = 0; i < node->output_count; i++) {
    if (node->outputs[i]) outputs[i] = inferrer_info(&packer->inferrer, node->outputs[i]);
  }
  if (!infos_are_known(inputs, node->input_count) || !infos_are_known(outputs, node->output_count)) return NORMA_OK;
  prepare_context prepare = executor_prepare_context(packer->executor, node, state, inputs, constants, outputs, error);
  prepare.read_lazy = pack_read_lazy;
  prepare.lazy = &packer->model->lazy_source;
  TRY(node->op->prepare(&prepare));
  give_back(node, packer->open_batch ? prepare.packed_for_good : prepare.packed_inputs);
  return NORMA_OK;
}

static norma_status pack_nodes(packer *packer, norma_error *error) {
  find_needed(packer);
  for (const node *node = packer->model->graph->first; node; node = node->next) {
    if (!has_constants_to_pack(node) || !will_run(packer, node)) continue;
    norma_status status = executor_poll(packer->executor, error);
    if (status == NORMA_OK) status = pack_node(packer, node, error);
    region_free(&packer->region);
    if (status != NORMA_OK) return status;
  }
  return NORMA_OK;
}

/* What was packed before a fold was undone is found again. */
static norma_status pack_graph(norma_model *model, executor *executor, norma_error *error) {
  packer packer = {.model = model, .executor = executor};
  region region;
  region_init(&region, model->memory);
  region_init(&packer.region, model->memory);
  norma_status status =
      inferrer_init(&packer.inferrer, executor, &region, model->graph, NULL, NORMA_ERROR_INPUT, error);
  packer.needed = region_array(&region, (size_t)model->graph->value_count, sizeof *packer.needed);
  if (status == NORMA_OK && !packer.needed) status = region_error(&region, error);
  if (status == NORMA_OK && fix_inputs(&packer)) {
    status = inferrer_run(&packer.inferrer, error);
    if (status == NORMA_OK) status = pack_nodes(&packer, error);
    if (packer.open_batch && status == NORMA_ERROR_INPUT) status = NORMA_OK; /* the model wants another batch */
  }
  inferrer_release(&packer.inferrer);
  region_free(&packer.region);
  region_free(&region);
  return status;
}

norma_status pack_constants(norma_model *model, executor *executor, norma_error *error) {
  norma_error refused;
  norma_status status;
  do {
    status = pack_graph(model, executor, &refused);
  } while (undo_fold(model, &status, &refused));
  if (status != NORMA_OK && error) *error = refused;
  return status == NORMA_OK ? pack_fetch_all(model, error) : status;
}
