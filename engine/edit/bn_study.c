/* The BatchNormalization nodes of a model, for callers of the library: the public face of engine/edit/bn_analysis.h. */
#include "engine/base/struct_size.h"
#include "engine/edit/bn_analysis.h"
#include "engine/execute/runtime.h"

static const bn_analysis *study_inside(const norma_bn_study *study) {
  return (const bn_analysis *)study;
}

static norma_status study_open(const model_source *source, const norma_load_options *given, norma_bn_study **result,
                               norma_error *error) {
  norma_load_options options;
  bn_analysis *study;
  TRY(options_take(&options, sizeof options, given, "norma_load_options", error));
  options.struct_size = sizeof options;
  TRY(bn_analysis_open(source, &options, &study, error));
  *result = (norma_bn_study *)study;
  return NORMA_OK;
}

norma_status norma_bn_open(const char *path, const norma_load_options *options, norma_bn_study **result,
                           norma_error *error) {
  if (result) *result = NULL;
  if (!path || !result) return error_set(error, NORMA_ERROR_ARGUMENT, "a path and a place for the study are needed");
  return study_open(&(model_source){.path = path}, options, result, error);
}

norma_status norma_bn_open_memory(const void *data, size_t size, const norma_load_options *options,
                                  norma_bn_study **result, norma_error *error) {
  if (result) *result = NULL;
  if (!data || !result) return error_set(error, NORMA_ERROR_ARGUMENT, "bytes and a place for the study are needed");
  return study_open(&(model_source){.data = data, .size = size}, options, result, error);
}

void norma_bn_destroy(norma_bn_study *study) {
  if (study) bn_analysis_close((bn_analysis *)study);
}

size_t norma_bn_count(const norma_bn_study *study) {
  return study ? study_inside(study)->count : 0;
}

size_t norma_bn_inner_count(const norma_bn_study *study) {
  return study ? study_inside(study)->inner_count : 0;
}

const norma_model *norma_bn_model(const norma_bn_study *study) {
  return study ? study_inside(study)->model : NULL;
}

static const norma_tensor *statistic_tensor(const statistic *statistic) {
  return statistic->contents ? norma_value_tensor(statistic->contents) : NULL;
}

norma_status norma_bn_describe(const norma_bn_study *study, size_t index, norma_bn_info *info) {
  if (index >= norma_bn_count(study)) return NORMA_ERROR_ARGUMENT;
  const batch_normalization *one = &study_inside(study)->nodes[index];
  const norma_bn_info filled = {.node = (const norma_node *)one->node,
                                .name = one->node->name,
                                .input = one->input,
                                .output = one->output,
                                .channels = one->channels,
                                .epsilon = one->epsilon,
                                .momentum = one->momentum,
                                .is_training = one->training,
                                .mean_name = one->mean.name,
                                .variance_name = one->variance.name,
                                .mean = statistic_tensor(&one->mean),
                                .variance = statistic_tensor(&one->variance),
                                .scale = one->scale,
                                .bias = one->bias,
                                .is_shared = one->mean.is_shared || one->variance.is_shared,
                                .obstacle = one->obstacle,
                                .is_chosen = one->chosen,
                                .level = one->level};
  return info_give(info, &filled, sizeof filled);
}

norma_status norma_bn_choose(norma_bn_study *study, const bool *chosen, int *levels, norma_error *error) {
  if (!study || !levels) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a study and a place for the number of levels are needed");
  }
  bn_analysis *inside = (bn_analysis *)study;
  for (size_t i = 0; i < inside->count; i++) {
    inside->nodes[i].chosen = !inside->nodes[i].obstacle && (!chosen || chosen[i]);
  }
  return bn_analysis_plan(inside, levels, error);
}

static norma_status check_setting(const batch_normalization *node, const norma_bn_setting *setting,
                                  norma_error *error) {
  const char *wrong = NULL;
  if ((unsigned)setting->mode > NORMA_BN_BATCH) wrong = "has a mode that does not exist";
  if (setting->mode == NORMA_BN_FIXED && node->obstacle) wrong = "cannot be given statistics";
  if (setting->mode == NORMA_BN_FIXED && (!setting->mean || !setting->variance)) wrong = "lacks its statistics";
  return wrong ? error_set(error, NORMA_ERROR_ARGUMENT, "node '%s' %s", node->node->name, wrong) : NORMA_OK;
}

norma_status norma_bn_stage(const norma_bn_study *study, const norma_load_options *given, norma_bn_setting *settings,
                            norma_model **stage, norma_error *error) {
  if (stage) *stage = NULL;
  if (!study || !settings || !stage) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a study, settings and a place for the model are needed");
  }
  const bn_analysis *inside = study_inside(study);
  norma_load_options options;
  TRY(options_take(&options, sizeof options, given, "norma_load_options", error));
  options.struct_size = sizeof options;
  for (size_t i = 0; i < inside->count; i++) TRY(check_setting(&inside->nodes[i], &settings[i], error));
  memory *memory = inside->model->memory;
  const size_t bytes = inside->count * sizeof(batch_setting);
  batch_setting *own = memory_allocate_zeroed(memory, bytes);
  if (!own) return memory_error(memory, bytes, error);
  for (size_t i = 0; i < inside->count; i++) {
    own[i] = (batch_setting){.mode = (batch_mode)settings[i].mode,
                             .mean = settings[i].mean,
                             .variance = settings[i].variance,
                             .wanted = settings[i].is_wanted};
  }
  norma_status status = bn_analysis_stage(inside, &options, own, stage, error);
  for (size_t i = 0; status == NORMA_OK && i < inside->count; i++) settings[i].output = own[i].output;
  memory_free(memory, own);
  return status;
}
