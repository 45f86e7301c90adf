#include "engine/load/load.h"

#include "engine/base/struct_size.h"
#include "engine/execute/runtime.h"
#include "proto/model_reader.h"

/* One load. */
typedef struct loading {
  const model_source *source;
  norma_load_options options;
  model_edit edit; /* NULL: none */
  void *edit_context;
} loading;

static norma_status check_options(const norma_load_options *given, norma_load_options *options, norma_error *error) {
  TRY(options_take(options, sizeof *options, given, "norma_load_options", error));
  if ((unsigned)options->optimization > NORMA_OPTIMIZE_FULL) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "optimization level %d does not exist", (int)options->optimization);
  }
  if ((unsigned)options->form > NORMA_FORM_OPTIMIZED) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "graph form %d does not exist", (int)options->form);
  }
  if ((unsigned)options->denormals > NORMA_DENORMALS_FLUSH) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "way %d of treating denormals does not exist",
                     (int)options->denormals);
  }
  if (options->optimization == NORMA_OPTIMIZE_DEFAULT) options->optimization = NORMA_OPTIMIZE_FULL;
  if (options->form == NORMA_FORM_INSPECT) options->optimization = NORMA_OPTIMIZE_NONE;
  if (options->form == NORMA_FORM_FOLDED || options->form == NORMA_FORM_OPTIMIZED) {
    options->optimization = NORMA_OPTIMIZE_FULL;
    options->keep_constants = true;
  }
  return NORMA_OK;
}

/* Whether weights may stay unread until they are packed, or for good: not where somebody wants to see them. */
static bool may_be_lazy(const loading *loading) {
  const bool are_packed = loading->options.optimization == NORMA_OPTIMIZE_FULL;
  return (are_packed || loading->options.form == NORMA_FORM_INSPECT) && !loading->options.keep_constants &&
         !loading->edit;
}

static norma_status model_read_source(norma_model *model, const loading *loading, norma_error *error) {
  const norma_load_options *options = &loading->options;
  const model_source *source = loading->source;
  model_read_options read = {.overridable = options->overridable,
                             .overridable_count = options->overridable_count,
                             .max_nodes = model->runtime->max_nodes,
                             .max_depth = model->runtime->max_depth,
                             .interruption = model->interruption,
                             .lazy_source = may_be_lazy(loading) ? &model->lazy_source : NULL,
                             .map_file = options->map_file,
                             .read_external = options->read_external,
                             .read_external_context = options->read_external_context};
  return source->path ? model_read_file(model, source->path, &read, error)
                      : model_read_memory(model, source->data, source->size, &read, error);
}

static norma_status run_load(norma_model *model, const loading *loading, norma_error *error) {
  const norma_load_options *options = &loading->options;
  region_init(&model->region, model->memory);
  lazy_source_init(&model->lazy_source, model->memory, model->runtime->kernels);
  model->packed = packed_constants_create(model->memory);
  if (!model->packed) return memory_error(model->memory, sizeof *model, error);
  interruption interruption = {.work = NULL};
  interruption_begin(&interruption, "load", options->timeout, options->is_cancelled, options->cancel_context);
  model->interruption = &interruption;
  norma_status status = interruption_poll(&interruption, error);
  if (status == NORMA_OK) status = model_read_source(model, loading, error);
  if (status == NORMA_OK && loading->edit) status = loading->edit(loading->edit_context, model, error);
  if (status == NORMA_OK) status = load_prepare(model, &loading->options, error);
  lazy_source_close(&model->lazy_source);
  model->interruption = NULL;
  return status;
}

norma_status model_load_source(const model_source *source, const norma_load_options *given, model_edit edit,
                               void *context, norma_model **result, norma_error *error) {
  *result = NULL;
  norma_error local; /* the functions below complete what stands in the error */
  if (!error) error = &local;
  loading loading = {.source = source, .edit = edit, .edit_context = context};
  TRY(check_options(given, &loading.options, error));
  const norma_load_options *options = &loading.options;
  norma_runtime *runtime = options->runtime;
  if (!runtime) TRY(norma_runtime_create(NULL, &runtime, error));
  norma_model *model = memory_allocate_zeroed(&runtime->memory, sizeof *model);
  if (!model) {
    norma_status status = memory_error(&runtime->memory, sizeof *model, error);
    if (!options->runtime) norma_runtime_destroy(runtime);
    return status;
  }
  model->runtime = runtime;
  model->owns_runtime = !options->runtime;
  model->memory = &runtime->memory;
  model->optimization = options->optimization;
  model->form = options->form;
  model->exact = options->exact;
  model->flush_denormals = options->denormals == NORMA_DENORMALS_DEFAULT
                               ? options->optimization != NORMA_OPTIMIZE_NONE && !options->exact
                               : options->denormals == NORMA_DENORMALS_FLUSH;
  norma_status status = run_load(model, &loading, error);
  if (status != NORMA_OK) {
    norma_model_destroy(model);
    return status;
  }
  *result = model;
  return NORMA_OK;
}

norma_status norma_model_load(const char *path, const norma_load_options *options, norma_model **model,
                              norma_error *error) {
  if (!path || !model) return error_set(error, NORMA_ERROR_ARGUMENT, "a path and a place for the model are needed");
  const model_source source = {.path = path};
  return model_load_source(&source, options, NULL, NULL, model, error);
}

norma_status model_load_edited(const char *path, const norma_load_options *options, model_edit edit, void *context,
                               norma_model **model, norma_error *error) {
  const model_source source = {.path = path};
  return model_load_source(&source, options, edit, context, model, error);
}

norma_status norma_model_load_memory(const void *data, size_t size, const norma_load_options *options,
                                     norma_model **model, norma_error *error) {
  if (!data || !model) return error_set(error, NORMA_ERROR_ARGUMENT, "bytes and a place for the model are needed");
  const model_source source = {.data = data, .size = size};
  return model_load_source(&source, options, NULL, NULL, model, error);
}

void norma_model_destroy(norma_model *model) {
  if (!model) return;
  norma_runtime *owned = model->owns_runtime ? model->runtime : NULL;
  memory *memory = model->memory;
  packed_constants_destroy(model->packed);
  graph_release(model->graph);
  region_free(&model->region);
  memory_free(memory, model);
  norma_runtime_destroy(owned);
}

/* ---------------------------------------------------------------------------------------------------- introspection */

static void describe_value(const graph_value *value, norma_value_info *info) {
  const value_info *known = &value->info;
  const value_info *tensor = known;
  while (tensor->kind != NORMA_VALUE_TENSOR && tensor->item) tensor = tensor->item;
  memset(info, 0, sizeof *info);
  info->name = value->name;
  info->kind = known->kind;
  info->type = tensor->type;
  info->rank = tensor->shape.rank;
  info->optional = value->initial != NULL || known->kind == NORMA_VALUE_OPTIONAL;
  for (int i = 0; i < info->rank; i++) {
    info->dims[i] = tensor->shape.dims[i];
    info->dim_names[i] = value->dim_names && tensor == known ? value->dim_names[i] : NULL;
  }
}

size_t norma_model_input_count(const norma_model *model) {
  return model ? model->runtime_input_count : 0;
}

size_t norma_model_output_count(const norma_model *model) {
  return model ? (size_t)model->graph->output_count : 0;
}

norma_status norma_model_input(const norma_model *model, size_t index, norma_value_info *info) {
  if (!info || index >= norma_model_input_count(model)) return NORMA_ERROR_ARGUMENT;
  describe_value(model->runtime_inputs[index], info);
  return NORMA_OK;
}

norma_status norma_model_output(const norma_model *model, size_t index, norma_value_info *info) {
  if (!model || !info || index >= norma_model_output_count(model)) return NORMA_ERROR_ARGUMENT;
  describe_value(model->graph->outputs[index], info);
  return NORMA_OK;
}
