#include "engine/edit/bn_analysis.h"

#include "engine/base/status.h"
#include "engine/execute/runtime.h"
#include "engine/graph/query.h"
#include "ops/registry.h"

#include <string.h>

/* The stage reads models whose operators have not been found yet. */
static const operator_facts *facts_of(const norma_model *model, const node *node) {
  const operator_descriptor *op = node->op;
  if (!op) op = operator_registry_find(model->runtime->operators, node->domain, node->op_type);
  return op ? &op->facts : NULL;
}

static bool is_batch_normalization(const norma_model *model, const node *node) {
  const operator_facts *facts = facts_of(model, node);
  return facts && facts->statistics && facts->training;
}

/* ------------------------------------------------------------------------------------------------------- statistics */

static bool is_copy(const node *node) {
  return node && node->op && node->op->facts.is_identity && node->op->facts.is_identity(node);
}

/* Whether what the node holds can be given other contents of the same shape where it stands. */
static bool is_replaceable(const node *constant) {
  for (int i = 0; i < constant->attribute_count; i++) {
    const attribute_kind kind = constant->attributes[i].kind;
    if (kind == ATTRIBUTE_TENSOR || kind == ATTRIBUTE_FLOATS) return true;
  }
  return false;
}

/* What the attributes of a node hold; NULL: nothing. */
static norma_status read_held(const node *node, const value **contents, norma_error *error) {
  norma_tensor held;
  *contents = NULL;
  if (!node->op || !node->op->facts.constant || !node->op->facts.constant(node, &held)) return NORMA_OK;
  value *made = region_allocate(node->graph->region, sizeof *made);
  if (!made) return region_error(node->graph->region, error);
  made->kind = NORMA_VALUE_TENSOR;
  made->tensor = held;
  *contents = made;
  return NORMA_OK;
}

static norma_status find_statistic(const graph_value *read, statistic *found, norma_error *error) {
  const graph_value *holder = read;
  *found = (statistic){.home = STATISTIC_VARIABLE, .value = read, .name = read->name};
  found->is_shared = read->use_count + read->output_count > 1;
  bool is_plain = true;
  while (is_copy(holder->producer)) {
    holder = holder->producer->inputs[0];
    found->is_shared = true;
    is_plain = false;
  }
  if (holder->graph->parent) return NORMA_OK;
  const node *producer = holder->producer;
  found->name = holder->name;
  if (!producer && holder->constant) {
    found->home = STATISTIC_INITIALIZER;
    found->contents = holder->constant;
  } else if (producer) {
    found->home = STATISTIC_CONSTANT;
    TRY(read_held(producer, &found->contents, error));
    if (found->contents && !is_replaceable(producer)) is_plain = false;
    if (!found->contents) found->contents = holder->constant;
  }
  if (!found->contents || !norma_value_tensor(found->contents)) {
    found->home = STATISTIC_VARIABLE;
    found->contents = NULL;
  } else if (!is_plain) {
    found->home = STATISTIC_COPIED;
  }
  return NORMA_OK;
}

static norma_status constant_of(const graph_value *read, const norma_tensor **tensor, norma_error *error) {
  statistic found;
  *tensor = NULL;
  if (!read) return NORMA_OK;
  TRY(find_statistic(read, &found, error));
  if (found.contents) *tensor = norma_value_tensor(found.contents);
  return NORMA_OK;
}

/* The name of a value of an inlined function holds a slash and is not in the file; neither is its node. */
static const char *find_obstacle(const batch_normalization *found) {
  const norma_tensor *mean = found->mean.contents ? norma_value_tensor(found->mean.contents) : NULL;
  const norma_tensor *variance = found->variance.contents ? norma_value_tensor(found->variance.contents) : NULL;
  type_mask floats = TYPES_FLOAT;
  if (!mean && !variance) return "its mean and variance are not stored in the model but computed";
  if (!mean) return "its mean is not stored in the model but computed";
  if (!variance) return "its variance is not stored in the model but computed";
  if (!(floats & TYPE_BIT(mean->type)) || !(floats & TYPE_BIT(variance->type))) {
    return "its mean or variance has no float type";
  }
  if (norma_tensor_count(mean) != norma_tensor_count(variance) || norma_tensor_count(mean) < 1) {
    return "its mean and variance differ in size";
  }
  return NULL;
}

static norma_status analysis_read_node(bn_analysis *study, const node *node, norma_error *error) {
  batch_normalization *found = &study->nodes[study->count++];
  statistics_form form;
  training_form training;
  if (!node_has_output(node, 0)) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "lacks its output");
  for (int i = 0; i < node->input_count; i++) {
    if (!node->inputs[i]) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "lacks input %d", i);
  }
  if (!node->op->facts.statistics(node, &form) || !node->op->facts.training(node, &training)) {
    return error_at_node(error, NORMA_ERROR_INTERNAL, node, "says nothing of its statistics");
  }
  found->node = node;
  found->input = node->inputs[0]->name;
  found->output = node->outputs[0]->name;
  found->epsilon = form.epsilon;
  found->momentum = form.momentum;
  found->training = training.trains;
  found->mean_input = form.mean;
  found->variance_input = form.variance;
  TRY(find_statistic(node->inputs[form.mean], &found->mean, error));
  TRY(find_statistic(node->inputs[form.variance], &found->variance, error));
  TRY(constant_of(node->inputs[form.scale], &found->scale, error));
  TRY(constant_of(node->inputs[form.bias], &found->bias, error));
  found->obstacle = find_obstacle(found);
  found->chosen = !found->obstacle;
  found->channels = found->mean.contents ? norma_tensor_count(norma_value_tensor(found->mean.contents)) : -1;
  return NORMA_OK;
}

static bool count_inner(void *context, graph *subgraph) {
  bn_analysis *study = context;
  for (const node *node = subgraph->first; node; node = node->next) {
    study->inner_count += is_batch_normalization(study->model, node);
    node_visit_subgraphs(node, count_inner, context);
  }
  return true;
}

static norma_status analysis_read_nodes(bn_analysis *study, norma_error *error) {
  size_t count = 0;
  graph *graph = study->model->graph;
  for (const node *node = graph->first; node; node = node->next) {
    count += is_batch_normalization(study->model, node);
    node_visit_subgraphs(node, count_inner, study);
  }
  study->nodes = region_array(&study->model->region, count, sizeof *study->nodes);
  if (!study->nodes) return region_error(&study->model->region, error);
  for (const node *node = graph->first; node; node = node->next) {
    if (is_batch_normalization(study->model, node)) TRY(analysis_read_node(study, node, error));
  }
  return NORMA_OK;
}

/* The source of the later readings. */
static norma_status keep_source(bn_analysis *study, const model_source *source, norma_error *error) {
  study->source = *source;
  if (!source->path) return NORMA_OK;
  study->source.path = region_copy_string(&study->model->region, source->path, strlen(source->path));
  return study->source.path ? NORMA_OK : region_error(&study->model->region, error);
}

norma_status bn_analysis_open(const model_source *source, const norma_load_options *options, bn_analysis **result,
                              norma_error *error) {
  norma_model *model;
  norma_load_options plain = *options;
  plain.optimization = NORMA_OPTIMIZE_NONE;
  plain.form = NORMA_FORM_RUN;
  *result = NULL;
  TRY(model_load_source(source, &plain, NULL, NULL, &model, error));
  bn_analysis *study = region_allocate(&model->region, sizeof *study);
  norma_status status = study ? NORMA_OK : region_error(&model->region, error);
  if (study) study->model = model;
  if (status == NORMA_OK) status = keep_source(study, source, error);
  if (status == NORMA_OK) status = analysis_read_nodes(study, error);
  if (status != NORMA_OK) {
    norma_model_destroy(model);
    return status;
  }
  *result = study;
  return NORMA_OK;
}

void bn_analysis_close(bn_analysis *study) {
  if (study) norma_model_destroy(study->model); /* the study lies in its region */
}

/* ----------------------------------------------------------------------------------------------------------- levels */

typedef struct capture_walk {
  const int *levels;
  int level;
} capture_walk;

static bool analysis_visit_captures(void *context, graph *subgraph) {
  capture_walk *walk = context;
  for (int i = 0; i < subgraph->capture_count; i++) {
    const graph_value *captured = subgraph->captures[i];
    if (!captured->graph->parent && walk->levels[captured->id] > walk->level) {
      walk->level = walk->levels[captured->id];
    }
  }
  return true;
}

/* The largest level among what a node reads, itself or in graphs below it. */
static int level_of_inputs(const node *node, const int *levels) {
  capture_walk walk = {levels, 0};
  for (int i = 0; i < node->input_count; i++) {
    if (node->inputs[i] && levels[node->inputs[i]->id] > walk.level) walk.level = levels[node->inputs[i]->id];
  }
  node_visit_subgraphs(node, analysis_visit_captures, &walk);
  return walk.level;
}

norma_status bn_analysis_plan(bn_analysis *study, int *deepest, norma_error *error) {
  const graph *graph = study->model->graph;
  memory *memory = study->model->memory;
  int *levels = memory_allocate_zeroed(memory, (size_t)graph->value_count * sizeof *levels);
  if (!levels) return memory_error(memory, (size_t)graph->value_count * sizeof *levels, error);
  batch_normalization *next = study->nodes;
  *deepest = 0;
  for (const node *node = graph->first; node; node = node->next) {
    int level = level_of_inputs(node, levels);
    if (is_batch_normalization(study->model, node)) {
      level += next->chosen;
      next->level = next->chosen ? level : 0;
      if (next->level > *deepest) *deepest = next->level;
      next++;
    }
    for (int i = 0; i < node->output_count; i++) {
      if (node->outputs[i]) levels[node->outputs[i]->id] = level;
    }
  }
  memory_free(memory, levels);
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- stages */

static bool set_int_of_node(node *node, const char *name, int64_t i) {
  for (int k = 0; k < node->attribute_count; k++) {
    if (strcmp(node->attributes[k].name, name) != 0) continue;
    node->attributes[k].i = i;
    return true;
  }
  return i == 0 || node_set_attribute_int(node, name, i);
}

static void drop_outputs(node *node) {
  for (int i = 1; i < node->output_count; i++) {
    if (node->outputs[i]) node_set_output(node, i, NULL);
  }
  node->output_count = 1;
}

/* Outputs that nobody reads but which say that the node trains. */
static bool add_outputs(node *node, int count) {
  graph_value **outputs = region_array(node->graph->region, (size_t)count, sizeof *outputs);
  if (!outputs) return false;
  graph_value *y = node->outputs[0];
  drop_outputs(node);
  outputs[0] = y;
  node->outputs = outputs;
  node->output_count = count;
  for (int i = 1; i < count; i++) {
    graph_value *created = graph_add_unique_value(node->graph, "of_training");
    if (!created) return false;
    node_set_output(node, i, created);
  }
  return true;
}

static bool set_mode(const norma_model *model, node *node, bool trains) {
  training_form form;
  facts_of(model, node)->training(node, &form);
  if (form.attribute) {
    const int64_t mode = trains ? 1 - form.inference : form.inference;
    if (!set_int_of_node(node, form.attribute, mode)) return false;
  }
  if (trains && form.outputs > 1) return add_outputs(node, form.outputs);
  drop_outputs(node);
  return true;
}

/* The file is read once more for each stage. */
static norma_status changed_file(norma_error *error) {
  return error_set(error, NORMA_ERROR_FILE, "the model's file has changed in the meantime");
}

static norma_status set_statistic(norma_model *model, node *node, int index, const statistic *old,
                                  const double *elements, norma_error *error) {
  value contents = {0};
  const norma_tensor *tensor = norma_value_tensor(old->contents);
  shape shape = shape_of_tensor(tensor);
  TRY(value_allocate_tensor(model->memory, &contents, tensor->type, &shape, error));
  elements_from_double(tensor->type, contents.tensor.data, 0, norma_tensor_count(tensor), elements);
  graph_value *created = graph_add_constant(node->graph, "statistic", &contents);
  if (!created) return region_error(&model->region, error);
  node_set_input(node, index, created);
  return NORMA_OK;
}

typedef struct stage {
  const bn_analysis *study;
  batch_setting *settings;
} stage;

/* Whether the input is another value, or one of another length. */
static bool statistic_has_changed(const statistic *known, const graph_value *read) {
  const norma_tensor *now = read && read->constant ? norma_value_tensor(read->constant) : NULL;
  const norma_tensor *then = known->contents ? norma_value_tensor(known->contents) : NULL;
  return !read || strcmp(read->name, known->value->name) != 0 ||
         (now && then && norma_tensor_count(now) != norma_tensor_count(then));
}

static bool has_changed(const batch_normalization *known, const node *node) {
  return node->input_count != known->node->input_count || !node_has_output(node, 0) || !node_has_input(node, 0) ||
         strcmp(node->name, known->node->name) != 0 ||
         statistic_has_changed(&known->mean, node->inputs[known->mean_input]) ||
         statistic_has_changed(&known->variance, node->inputs[known->variance_input]);
}

static norma_status apply_settings(const stage *stage, norma_model *model, norma_error *error) {
  size_t index = 0;
  for (node *node = model->graph->first; node; node = node->next) {
    if (!is_batch_normalization(model, node)) continue;
    if (index == stage->study->count || has_changed(&stage->study->nodes[index], node)) return changed_file(error);
    const batch_setting *one = &stage->settings[index];
    const batch_normalization *known = &stage->study->nodes[index++];
    if (one->mode == BATCH_AS_IT_IS) continue;
    if (!set_mode(model, node, one->mode == BATCH_OWN)) return region_error(&model->region, error);
    if (one->mode != BATCH_FIXED) continue;
    TRY(set_statistic(model, node, known->mean_input, &known->mean, one->mean, error));
    TRY(set_statistic(model, node, known->variance_input, &known->variance, one->variance, error));
  }
  return index == stage->study->count ? NORMA_OK : changed_file(error);
}

static norma_status set_outputs(norma_model *model, batch_setting *setting, norma_error *error) {
  graph *graph = model->graph;
  size_t *places = region_array(graph->region, (size_t)graph->value_count, sizeof *places); /* by value id */
  if (!places) return region_error(&model->region, error);
  for (int i = 0; i < graph->output_count; i++) graph->outputs[i]->output_count--;
  graph->output_count = 0;
  for (const node *node = graph->first; node; node = node->next) {
    if (!is_batch_normalization(model, node)) continue;
    batch_setting *one = setting++;
    if (!one->wanted) continue;
    graph_value *x = node->inputs[0];
    if (x->output_count == 0) {
      places[x->id] = (size_t)graph->output_count;
      if (!graph_add_output(graph, x)) return region_error(&model->region, error);
    }
    one->output = places[x->id];
  }
  if (graph->output_count > 0) return NORMA_OK;
  return error_set(error, NORMA_ERROR_ARGUMENT, "no node is wanted");
}

static norma_status edit_stage(void *context, norma_model *model, norma_error *error) {
  const stage *stage = context;
  TRY(apply_settings(stage, model, error));
  return set_outputs(model, stage->settings, error);
}

norma_status bn_analysis_stage(const bn_analysis *study, const norma_load_options *options, batch_setting *settings,
                               norma_model **result, norma_error *error) {
  stage stage = {study, settings};
  return model_load_source(&study->source, options, edit_stage, &stage, result, error);
}
