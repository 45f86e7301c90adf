#include "engine/edit/onnx_form.h"

#include "engine/load/load.h"
#include "engine/passes/pass.h"
#include "engine/base/status.h"

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

static bool is_wanted(const pass *pass, onnx_form form) {
  if (is_listed(pass->name, folding)) return true;
  return form == STANDARD_OPTIMIZED && (pass->level == 1 || is_listed(pass->name, standard));
}

/* --------------------------------------------------------------------------------------------------- Constant nodes */

static bool is_of(const node *node, const char *const *types) {
  return node->domain[0] == '\0' && is_listed(node->op_type, types);
}

static bool is_parameter(const graph_value *value) {
  static const char *const readers[] = {
      "BatchNormalization", "Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Mul", "Sub", "Div", NULL};
  for (const use *use = value->uses; use; use = use->next) {
    if (is_of(use->node, readers)) return true;
  }
  return false;
}

/* Parameters that stand in Constant nodes become constants, which folding can see. */
static norma_status take_constants(void *context, norma_model *model, norma_error *error) {
  static const char *const constant[] = {"Constant", NULL};
  (void)context;
  for (node *node = model->graph->first, *next; node; node = next) {
    next = node->next;
    const value *held = is_of(node, constant) && node->output_count == 1 ? attribute_tensor(node, "value") : NULL;
    graph_value *output = held ? node->outputs[0] : NULL;
    if (!output || output->output_count > 0 || !is_parameter(output)) continue;
    value contents = {0};
    TRY(value_copy(model->memory, &contents, held, error));
    graph_remove_node(node);
    if (!graph_set_constant(output, &contents)) return region_error(&model->region, error);
  }
  return NORMA_OK;
}

norma_status onnx_form_load(const char *path, const norma_load_options *options, onnx_form form, norma_model **model,
                            norma_error *error) {
  memory account;
  norma_load_options changed = *options;
  *model = NULL;
  memory_init(&account, NULL, 0);
  size_t passes = 0;
  while (pass_at(passes)) passes++;
  size_t bytes = (passes + options->disabled_pass_count + 1) * sizeof(char *);
  const char **disabled = memory_allocate(&account, bytes);
  if (!disabled) return memory_error(&account, bytes, error);
  size_t count = 0;
  for (size_t i = 0; i < options->disabled_pass_count; i++) disabled[count++] = options->disabled_passes[i];
  for (size_t i = 0; i < passes; i++) {
    if (!is_wanted(pass_at(i), form)) disabled[count++] = pass_at(i)->name;
  }
  changed.optimization = NORMA_OPTIMIZE_FULL;
  changed.keep_constants = true;
  changed.disabled_passes = disabled;
  changed.disabled_pass_count = count;
  norma_status status = model_load_edited(path, &changed, take_constants, NULL, model, error);
  memory_free(&account, (void *)disabled);
  return status;
}
