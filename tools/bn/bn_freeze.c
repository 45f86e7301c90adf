/*
 * norma bn freeze: a model that was exported in training mode becomes one for inference. BatchNormalization normalises
 * by the statistics that are stored, Dropout lets everything pass; all other bytes of the model stay.
 */
#include "engine/edit/bn_analysis.h"
#include "engine/base/element_type.h"
#include "proto/model_patch.h"
#include "tools/command.h"
#include "tools/report.h"

#include "engine/execute/runtime.h"
#include "engine/base/status.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct freezing {
  const char *path;
  norma_runtime *runtime;
  bn_analysis *study;
  model_patch *patch;
  size_t frozen, dropouts;
} freezing;

/* ------------------------------------------------------------------------------------------------------- statistics */

/* Statistics that cannot be divided by are refused; such as training has never touched are worth a warning. */
static bool check_statistics(const batch_normalization *node) {
  const char *name = node->node->name;
  if (node->obstacle) {
    tool_error("node '%s': %s, so there is nothing to normalise by in inference", name, node->obstacle);
    return false;
  }
  const norma_tensor *mean = norma_value_tensor(node->mean.contents);
  const norma_tensor *variance = norma_value_tensor(node->variance.contents);
  bool untouched = true;
  for (int64_t c = 0; c < node->channels; c++) {
    double m = element_get_double(mean->type, mean->data, c), v = element_get_double(variance->type, variance->data, c);
    if (!isfinite(m) || !isfinite(v) || v < 0 || v + node->epsilon <= 0) {
      tool_error("node '%s': channel %" PRId64 " has mean %g and variance %g; norma bn reestimate can measure new ones",
                 name, c, m, v);
      return false;
    }
    untouched = untouched && m == 0 && v == 1;
  }
  if (untouched) {
    tool_warning("node '%s': mean is 0 and variance 1 everywhere, as before training; see norma bn reestimate", name);
  }
  return true;
}

/* The outputs beyond the first `kept` go; nobody may read them. */
static norma_status drop_outputs(freezing *work, const node *node, int kept, norma_error *error) {
  for (int i = kept; i < node->output_count; i++) {
    const graph_value *output = node->outputs[i];
    if (!output) continue;
    if (output->use_count > 0) {
      return error_set(error, NORMA_ERROR_UNSUPPORTED,
                       "node '%s': its output '%s' exists in training only, but node '%s' reads it", node->name,
                       output->name, output->uses->node->name);
    }
    if (output->output_count > 0)
      tool_warning("the output '%s' of the model exists in training only and goes", output->name);
    TRY(model_patch_remove_output(work->patch, output->name, error));
  }
  return model_patch_keep_outputs(work->patch, node->outputs[0]->name, (size_t)kept, error);
}

static norma_status freeze_node(freezing *work, const batch_normalization *node, norma_error *error) {
  TRY(drop_outputs(work, node->node, 1, error));
  if (node->node->opset < 7) return model_patch_set_int(work->patch, node->output, "is_test", 1, error);
  if (node->node->opset < 14) return NORMA_OK; /* the outputs said it */
  return model_patch_remove_attribute(work->patch, node->output, "training_mode", error);
}

/* ---------------------------------------------------------------------------------------------------------- Dropout */

/* Whether it drops: from version 12 on by its third input, up to version 6 by is_test. */
static bool dropout_trains(const node *node, bool *is_known) {
  *is_known = true;
  if (node->opset < 7) return attribute_int(node, "is_test", 0) == 0;
  if (node->opset < 12 || node->input_count < 3 || !node->inputs[2]) return false;
  const graph_value *mode = node->inputs[2];
  const value *contents = mode->constant;
  if (!contents && mode->producer && strcmp(mode->producer->op_type, "Constant") == 0) {
    contents = attribute_tensor(mode->producer, "value");
  }
  const norma_tensor *tensor = contents ? norma_value_tensor(contents) : NULL;
  *is_known = tensor && tensor->type == NORMA_BOOL && norma_tensor_count(tensor) == 1;
  return *is_known && *(const bool *)tensor->data;
}

static norma_status freeze_dropouts(freezing *work, norma_error *error) {
  for (const node *node = work->study->model->graph->first; node; node = node->next) {
    bool is_known;
    if (strcmp(node->op_type, "Dropout") != 0 || node->domain[0] || node->output_count < 1 || !node->outputs[0])
      continue;
    bool trains = dropout_trains(node, &is_known);
    if (!is_known) tool_warning("node '%s': whether it drops is not stored in the model but computed", node->name);
    if (!trains) continue;
    const char *output = node->outputs[0]->name;
    TRY(node->opset < 7 ? model_patch_set_int(work->patch, output, "is_test", 1, error)
                        : model_patch_keep_inputs(work->patch, output, 2, error));
    work->dropouts++;
  }
  return NORMA_OK;
}

/* -------------------------------------------------------------------------------------------------------------- all */

static int freeze(freezing *work, const char *output) {
  norma_error error;
  norma_status status = NORMA_OK;
  bn_analysis *study = work->study;
  if (study->count == 0 && study->inner_count == 0) {
    return tool_error("%s: has no BatchNormalization node", work->path);
  }
  if (study->inner_count > 0) {
    tool_warning("%zu BatchNormalization nodes inside the bodies of other nodes are left as they are",
                 study->inner_count);
  }
  for (size_t i = 0; i < study->count; i++) {
    const batch_normalization *node = &study->nodes[i];
    if (!node->training) continue;
    if (!check_statistics(node)) return EXIT_REFUSED;
    status = freeze_node(work, node, &error);
    if (status != NORMA_OK) break;
    work->frozen++;
  }
  if (status == NORMA_OK) status = freeze_dropouts(work, &error);
  if (status == NORMA_OK) status = model_patch_save(work->patch, output, &error);
  if (status != NORMA_OK) return tool_library_error(NULL, &error);
  printf("%zu of %zu BatchNormalization nodes and %zu Dropout nodes were in training mode and are frozen: ",
         work->frozen, study->count, work->dropouts);
  print_text(stdout, output);
  putchar('\n');
  return EXIT_YES;
}

int command_bn_freeze(const struct settings *settings) {
  freezing work = {.path = settings->arguments[0]};
  int code = EXIT_REFUSED;
  norma_error error;
  if (!settings->output_file) return tool_error("bn freeze: give -o OUT");
  work.runtime = settings_create_runtime(settings);
  if (!work.runtime) return code;
  norma_load_options options = settings_load(settings, work.runtime, -1);
  wire_limits limits = {work.runtime->max_nodes, work.runtime->max_depth};
  norma_status status = bn_analysis_open(&(model_source){.path = work.path}, &options, &work.study, &error);
  if (status == NORMA_OK) status = model_patch_open(&work.runtime->memory, work.path, &limits, &work.patch, &error);
  code = status == NORMA_OK ? freeze(&work, settings->output_file) : tool_library_error(work.path, &error);
  model_patch_close(work.patch);
  bn_analysis_close(work.study);
  norma_runtime_destroy(work.runtime);
  return code;
}
