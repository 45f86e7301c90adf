/* Models that the optimiser has changed, written as ONNX: around proto/model_rewrite.h. */
#include "engine/base/struct_size.h"
#include "engine/execute/runtime.h"
#include "engine/load/load.h"
#include "proto/model_rewrite.h"

/* The model as its source has it, which tells what has changed. */
static norma_status load_source(const norma_model *model, const model_source *source, const norma_load_options *given,
                                interruption *interruption, norma_model **before, norma_error *error) {
  norma_load_options options;
  TRY(options_take(&options, sizeof options, given, "norma_load_options", error));
  interruption_begin(interruption, "saving", options.timeout, options.is_cancelled, options.cancel_context);
  const norma_load_options plain = {.struct_size = sizeof plain,
                                    .runtime = model->runtime,
                                    .optimization = NORMA_OPTIMIZE_NONE,
                                    .map_file = options.map_file,
                                    .read_external = options.read_external,
                                    .read_external_context = options.read_external_context,
                                    .timeout = options.timeout,
                                    .is_cancelled = options.is_cancelled,
                                    .cancel_context = options.cancel_context};
  return model_load_source(source, &plain, NULL, NULL, before, error);
}

static norma_status give_report(const rewrite_counts *counts, norma_save_report *report) {
  const norma_save_report filled = {.kept = counts->kept, .changed = counts->changed, .removed = counts->removed};
  return report ? info_give(report, &filled, sizeof filled) : NORMA_OK;
}

static norma_status check_savable(const norma_model *model, const norma_save_report *report, norma_error *error) {
  if (report && report->struct_size < sizeof report->struct_size) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "norma_save_report.struct_size is %zu", report->struct_size);
  }
  if (model->form != NORMA_FORM_INSPECT) return NORMA_OK;
  return error_set(error, NORMA_ERROR_ARGUMENT, "the model was loaded to be looked at, not to be written");
}

norma_status norma_model_save(const norma_model *model, const char *source, const norma_load_options *options,
                              const char *path, norma_save_report *report, norma_error *error) {
  if (!model || !source || !path) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a model, the path of its source and a path are needed");
  }
  TRY(check_savable(model, report, error));
  norma_model *before;
  rewrite_counts counts = {0};
  interruption interruption = {.work = NULL};
  TRY(load_source(model, &(model_source){.path = source}, options, &interruption, &before, error));
  norma_status status = model_rewrite(before, model, source, path, &interruption, &counts, error);
  norma_model_destroy(before);
  return status == NORMA_OK ? give_report(&counts, report) : status;
}

norma_status norma_model_write(const norma_model *model, const void *source, size_t size,
                               const norma_load_options *options, norma_write write, void *context,
                               norma_save_report *report, norma_error *error) {
  if (!model || !source || !write) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a model, its source and a function that takes the bytes are needed");
  }
  TRY(check_savable(model, report, error));
  norma_model *before;
  rewrite_counts counts = {0};
  interruption interruption = {.work = NULL};
  TRY(load_source(model, &(model_source){.data = source, .size = size}, options, &interruption, &before, error));
  norma_status status =
      model_rewrite_memory(before, model, source, size, write, context, &interruption, &counts, error);
  norma_model_destroy(before);
  return status == NORMA_OK ? give_report(&counts, report) : status;
}
