/* BatchNormalization nodes of a model file changed: new statistics, and training turned into inference. */
#include "engine/base/struct_size.h"
#include "engine/edit/bn_analysis.h"
#include "engine/edit/editor.h"
#include "engine/graph/query.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static const bn_analysis *analysis_of(const norma_bn_study *study) {
  return (const bn_analysis *)study;
}

/* ------------------------------------------------------------------------------------------------------- statistics */

/* Whether the value may be changed where it stands: nothing reads it but statistics that get the same new contents. */
static bool is_own(const statistic *statistic) {
  return (statistic->home == STATISTIC_INITIALIZER || statistic->home == STATISTIC_CONSTANT) && !statistic->is_shared;
}

/* A copy of its own, which the node reads from now on. */
static norma_status add_statistic(const norma_editor *editor, const batch_normalization *node, bool is_mean,
                                  const norma_tensor *contents, norma_error *error) {
  const char *name;
  char stem[512];
  snprintf(stem, sizeof stem, "%.400s.%s", node->output, is_mean ? "mean" : "variance");
  TRY(model_patch_add(editor->patch, stem, contents, &name, error));
  norma_status status = model_patch_set_input(editor->patch, node->output, is_mean ? 3 : 4, name, error);
  if (status != NORMA_ERROR_ARGUMENT) return status;
  return error_set(error, NORMA_ERROR_UNSUPPORTED,
                   "node '%s' shares its statistics and stands inside a function, where it cannot get its own",
                   node->node->name);
}

/* Whether all of them can be stored in the type. */
static norma_status check_numbers(const batch_normalization *node, bool is_mean, norma_element_type type,
                                  const double *numbers, norma_error *error) {
  for (int64_t c = 0; c < node->channels; c++) {
    double stored[1];
    element_set_double(type, stored, 0, numbers[c]);
    if (isfinite(element_get_double(type, stored, 0))) continue;
    return error_set(error, NORMA_ERROR_ARGUMENT, "node '%s': the %s %g of channel %" PRId64 " does not fit %s",
                     node->node->name, is_mean ? "mean" : "variance", numbers[c], c, norma_element_type_name(type));
  }
  return NORMA_OK;
}

static norma_status write_statistic(const norma_editor *editor, const batch_normalization *node, bool is_mean,
                                    const double *numbers, size_t *copies, norma_error *error) {
  const statistic *statistic = is_mean ? &node->mean : &node->variance;
  const norma_tensor *old = norma_value_tensor(statistic->contents);
  const shape shape = shape_of_tensor(old);
  value contents = {0};
  TRY(check_numbers(node, is_mean, old->type, numbers, error));
  TRY(value_allocate_tensor(&editor->runtime->memory, &contents, old->type, &shape, error));
  elements_from_double(old->type, contents.tensor.data, 0, node->channels, numbers);
  norma_status status = NORMA_OK;
  bool is_replaced = is_own(statistic);
  if (is_replaced) {
    status = model_patch_replace(editor->patch, statistic->name, &contents.tensor, error);
    is_replaced = status != NORMA_ERROR_UNSUPPORTED; /* a sparse initializer */
  }
  if (!is_replaced) {
    status = add_statistic(editor, node, is_mean, &contents.tensor, error);
    ++*copies;
  }
  value_clear(&contents);
  return status;
}

norma_status norma_bn_set_statistics(const norma_bn_study *study, size_t index, norma_editor *editor,
                                     const double *mean, const double *variance, size_t *copies, norma_error *error) {
  size_t ignored;
  if (!copies) copies = &ignored;
  *copies = 0;
  if (!editor || !mean || !variance || index >= norma_bn_count(study)) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a study, one of its nodes, an editor and statistics are needed");
  }
  const batch_normalization *node = &analysis_of(study)->nodes[index];
  if (node->obstacle) {
    return error_set(error, NORMA_ERROR_UNSUPPORTED, "node '%s': %s", node->node->name, node->obstacle);
  }
  TRY(write_statistic(editor, node, true, mean, copies, error));
  return write_statistic(editor, node, false, variance, copies, error);
}

/* ----------------------------------------------------------------------------------------------------------- freeze */

typedef struct freezing {
  const bn_analysis *study;
  const norma_runtime *runtime;
  model_patch *patch;
  norma_bn_freeze_report report;
} freezing;

/* Statistics that cannot be divided by. */
static norma_status check_statistics(const batch_normalization *node, norma_error *error) {
  if (node->obstacle) {
    return error_set(error, NORMA_ERROR_INVALID_MODEL,
                     "node '%s': %s, so there is nothing to normalise by in inference", node->node->name,
                     node->obstacle);
  }
  const norma_tensor *mean = norma_value_tensor(node->mean.contents),
                     *variance = norma_value_tensor(node->variance.contents);
  for (int64_t c = 0; c < node->channels; c++) {
    const double m = element_get_double(mean->type, mean->data, c),
                 v = element_get_double(variance->type, variance->data, c);
    if (isfinite(m) && isfinite(v) && v >= 0 && v + node->epsilon > 0) continue;
    return error_set(error, NORMA_ERROR_INVALID_MODEL, "node '%s': channel %" PRId64 " has mean %g and variance %g",
                     node->node->name, c, m, v);
  }
  return NORMA_OK;
}

/* The outputs beyond the first go; nobody may read them. */
static norma_status drop_training_outputs(const freezing *work, const node *node, norma_error *error) {
  for (int i = 1; i < node->output_count; i++) {
    const graph_value *output = node->outputs[i];
    if (!output) continue;
    if (output->use_count > 0) {
      return error_set(error, NORMA_ERROR_UNSUPPORTED,
                       "node '%s': its output '%s' exists in training only, but node '%s' reads it", node->name,
                       output->name, output->uses->node->name);
    }
    if (output->output_count > 0) {
      runtime_log(work->runtime, NORMA_LOG_WARNING, "the output '%s' of the model exists in training only and goes",
                  output->name);
    }
    TRY(model_patch_remove_output(work->patch, output->name, error));
  }
  return model_patch_keep_outputs(work->patch, node->outputs[0]->name, 1, error);
}

/* Attribute and input that say that the node trains; what outputs say has been dropped. */
static norma_status set_inference(const freezing *work, const node *node, const training_form *form,
                                  norma_error *error) {
  const char *output = node->outputs[0]->name;
  if (form->mode_input > 0) return model_patch_keep_inputs(work->patch, output, form->mode_input, error);
  if (!form->attribute) return NORMA_OK;
  return form->is_default ? model_patch_remove_attribute(work->patch, output, form->attribute, error)
                          : model_patch_set_int(work->patch, output, form->attribute, form->inference, error);
}

static norma_status freeze_node(freezing *work, const batch_normalization *node, norma_error *error) {
  training_form form;
  TRY(check_statistics(node, error));
  TRY(drop_training_outputs(work, node->node, error));
  work->report.normalizations++;
  node->node->op->facts.training(node->node, &form);
  return set_inference(work, node->node, &form, error);
}

/* A node without statistics that does more in training: Dropout. */
static norma_status freeze_other(freezing *work, const node *node, norma_error *error) {
  training_form form;
  if (!node->op || node->op->facts.statistics || !node_has_output(node, 0) || !node->op->facts.training ||
      !node->op->facts.training(node, &form)) {
    return NORMA_OK;
  }
  if (!form.is_known) {
    runtime_log(work->runtime, NORMA_LOG_WARNING,
                "node '%s': whether it trains is not stored in the model but computed", node->name);
  }
  if (!form.trains) return NORMA_OK;
  work->report.dropouts++;
  return set_inference(work, node, &form, error);
}

static norma_status freeze_all(freezing *work, norma_error *error) {
  const bn_analysis *study = work->study;
  for (size_t i = 0; i < study->count; i++) {
    if (study->nodes[i].training) TRY(freeze_node(work, &study->nodes[i], error));
  }
  for (const node *node = study->model->graph->first; node; node = node->next) TRY(freeze_other(work, node, error));
  return NORMA_OK;
}

norma_status norma_bn_freeze(const norma_bn_study *study, norma_editor *editor, norma_bn_freeze_report *report,
                             norma_error *error) {
  if (!study || !editor || (report && report->struct_size < sizeof report->struct_size)) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a study, an editor and a report with its size are needed");
  }
  freezing work = {.study = analysis_of(study), .runtime = editor->runtime, .patch = editor->patch};
  TRY(freeze_all(&work, error));
  return report ? info_give(report, &work.report, sizeof work.report) : NORMA_OK;
}
