#include "engine/load/load.h"

#include "engine/execute/runtime.h"
#include "proto/model_reader.h"

/* Where the bytes come from: a path, or memory. */
typedef struct model_source {
  const char *path;
  const void *data;
  size_t size;
  model_edit edit; /* NULL: none */
  void *edit_context;
} model_source;

static norma_status check_options(const norma_load_options *given, norma_load_options *options, norma_error *error) {
  memset(options, 0, sizeof *options);
  if (given) {
    if (given->struct_size == 0 || given->struct_size > sizeof *options) {
      return error_set(error, NORMA_ERROR_ARGUMENT, "norma_load_options.struct_size is %zu, expected %zu",
                       given->struct_size, sizeof *options);
    }
    memcpy(options, given, given->struct_size);
  }
  if ((unsigned)options->optimization > NORMA_OPTIMIZE_FULL) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "optimization level %d does not exist", (int)options->optimization);
  }
  if (options->optimization == NORMA_OPTIMIZE_DEFAULT) options->optimization = NORMA_OPTIMIZE_FULL;
  return NORMA_OK;
}

/* Whether weights may stay unread until they are packed: not where somebody wants to see them. */
static bool may_be_lazy(const model_source *source, const norma_load_options *options) {
  return options->optimization == NORMA_OPTIMIZE_FULL && !options->keep_constants && !source->edit;
}

static norma_status model_read_source(norma_model *model, const model_source *source, const norma_load_options *options,
                                      bool lazily, norma_error *error) {
  model_read_options read = {.overridable = options->overridable,
                             .overridable_count = options->overridable_count,
                             .max_nodes = model->runtime->max_nodes,
                             .max_depth = model->runtime->max_depth,
                             .lazy_source = lazily ? &model->lazy_source : NULL,
                             .map_file = options->map_file,
                             .read_external = options->read_external,
                             .read_external_context = options->read_external_context};
  return source->path ? model_read_file(model, source->path, &read, error)
                      : model_read_memory(model, source->data, source->size, &read, error);
}

static norma_status run_load(norma_model *model, const model_source *source, const norma_load_options *options,
                             norma_error *error) {
  region_init(&model->region, model->memory);
  lazy_source_init(&model->lazy_source, model->memory, model->runtime->kernels);
  model->packed = packed_constants_create(model->memory);
  if (!model->packed) return memory_error(model->memory, sizeof *model, error);
  norma_status status = model_read_source(model, source, options, may_be_lazy(source, options), error);
  if (status == NORMA_OK && source->edit) status = source->edit(source->edit_context, model, error);
  if (status == NORMA_OK) status = load_prepare(model, options, error);
  lazy_source_close(&model->lazy_source);
  return status;
}

static norma_status load(const model_source *source, const norma_load_options *given, norma_model **result,
                         norma_error *error) {
  *result = NULL;
  norma_error local; /* the functions below complete what stands in the error */
  if (!error) error = &local;
  norma_load_options options;
  TRY(check_options(given, &options, error));
  norma_runtime *runtime = options.runtime;
  if (!runtime) TRY(norma_runtime_create(NULL, &runtime, error));
  norma_model *model = memory_allocate_zeroed(&runtime->memory, sizeof *model);
  if (!model) {
    norma_status status = memory_error(&runtime->memory, sizeof *model, error);
    if (!options.runtime) norma_runtime_destroy(runtime);
    return status;
  }
  model->runtime = runtime;
  model->owns_runtime = !options.runtime;
  model->memory = &runtime->memory;
  model->optimization = options.optimization;
  model->exact = options.exact;
  norma_status status = run_load(model, source, &options, error);
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
  model_source source = {.path = path};
  return load(&source, options, model, error);
}

norma_status model_load_edited(const char *path, const norma_load_options *options, model_edit edit, void *context,
                               norma_model **model, norma_error *error) {
  model_source source = {.path = path, .edit = edit, .edit_context = context};
  return load(&source, options, model, error);
}

norma_status norma_model_load_memory(const void *data, size_t size, const norma_load_options *options,
                                     norma_model **model, norma_error *error) {
  if (!data || !model) return error_set(error, NORMA_ERROR_ARGUMENT, "bytes and a place for the model are needed");
  model_source source = {.data = data, .size = size};
  return load(&source, options, model, error);
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
