#include "engine/load/onnx_form.h"

#include "engine/passes/pass.h"

#include <string.h>

static const char *const folding[] = {"fold_batch_normalization_into_conv", "fold_batch_normalization_into_gemm",
                                      "fold_scale_shift_into_next", NULL};
/* Level 2 too, and standard operators all the same. */
static const char *const standard[] = {"collapse_scale_shift", "fold_bias", "fold_scale", NULL};

static bool is_listed(const char *name, const char *const *names) {
  for (; *names; names++) {
    if (strcmp(*names, name) == 0) return true;
  }
  return false;
}

static bool is_wanted(const pass *pass, norma_graph_form form) {
  if (is_listed(pass->name, folding)) return true;
  return form == NORMA_FORM_OPTIMIZED && (pass->level == 1 || is_listed(pass->name, standard));
}

/* --------------------------------------------------------------------------------------------------- Constant nodes */

/* Whether a layer, or what may be folded into one, reads it. */
static bool is_parameter(const graph_value *value) {
  for (const use *use = value->uses; use; use = use->next) {
    const operator_facts *facts = use->node->op ? &use->node->op->facts : NULL;
    if (facts && (facts->linear || facts->affine || facts->statistics)) return true;
  }
  return false;
}

norma_status onnx_form_take_constants(norma_model *model, norma_error *error) {
  for (node *node = model->graph->first, *next; node; node = next) {
    value contents = {0}, held = {.kind = NORMA_VALUE_TENSOR};
    next = node->next;
    if (!node->op || !node->op->facts.constant || !node->op->facts.constant(node, &held.tensor)) continue;
    graph_value *output = node->outputs[0];
    if (output->output_count > 0 || !is_parameter(output)) continue;
    TRY(value_copy(model->memory, &contents, &held, error));
    graph_remove_node(node);
    if (!graph_set_constant(output, &contents)) return region_error(&model->region, error);
  }
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- passes */

norma_status onnx_form_disable(norma_model *model, const norma_load_options *options, const char *const **disabled,
                               size_t *count, norma_error *error) {
  size_t passes = 0;
  while (pass_at(passes)) passes++;
  const char **names = region_array(&model->region, passes + options->disabled_pass_count, sizeof *names);
  if (!names) return region_error(&model->region, error);
  *count = 0;
  for (size_t i = 0; i < options->disabled_pass_count; i++) names[(*count)++] = options->disabled_passes[i];
  for (size_t i = 0; i < passes; i++) {
    if (!is_wanted(pass_at(i), options->form)) names[(*count)++] = pass_at(i)->name;
  }
  *disabled = names;
  return NORMA_OK;
}
