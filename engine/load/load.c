#include "engine/load/load.h"

#include "engine/load/gradient.h"
#include "engine/load/input_shapes.h"
#include "engine/load/inspect.h"
#include "engine/load/onnx_form.h"
#include "engine/load/pack.h"
#include "engine/load/resolve.h"
#include "engine/passes/pass.h"
#include "engine/plan/shape_inference.h"

/* Operations that nodes evaluated at load may cost in all, some seconds: what is not folded is computed by runs. A
 * number of operations rather than a time, so that each load gives the same graph; a deadline ends the load. */
#define LOAD_WORK 1e10

/* Puts derivatives in the place of Gradient nodes. These name tensors, which passes and a written file would lose. */
static norma_status differentiate(norma_model *model, resolution *resolution, const norma_load_options *options,
                                  executor *executor, norma_error *error) {
  bool replaced;
  TRY(gradient_replace_all(model, executor, &replaced, error));
  if (!replaced) return NORMA_OK;
  if (options->form != NORMA_FORM_RUN)
    return error_set(error, NORMA_ERROR_UNSUPPORTED, "models with Gradient are not written in another form");
  resolve_types(resolution);
  return resolution_finish(resolution, error);
}

static norma_status resolve_and_infer(norma_model *model, const norma_load_options *options, executor *executor,
                                      norma_error *error) {
  resolution resolution;
  resolution_init(&resolution, model, options);
  norma_status status = NORMA_OK;
  norma_error failed;
  if (!resolve_operators(&resolution)) {
    status = resolution.status;
    if (error) *error = resolution.invalid;
  } else if (options->form == NORMA_FORM_RUN || (status = onnx_form_take_constants(model, error)) == NORMA_OK) {
    status = infer_graph(model->graph, executor, &failed);
    /* Where nodes are unsupported, what follows from them may fail to be inferred: that is the lesser news. */
    if (status == NORMA_OK || resolution.unsupported > 0) {
      resolve_types(&resolution);
      status = resolution_finish(&resolution, error);
    } else if (error) {
      *error = failed;
    }
    if (status == NORMA_OK) status = differentiate(model, &resolution, options, executor, error);
  }
  resolution_free(&resolution);
  return status;
}

static bool list_runtime_inputs(norma_model *model) {
  const graph *graph = model->graph;
  model->runtime_inputs = region_array(&model->region, (size_t)graph->input_count, sizeof *model->runtime_inputs);
  if (!model->runtime_inputs) return false;
  for (int i = 0; i < graph->input_count; i++) {
    if (!graph->inputs[i]->constant) model->runtime_inputs[model->runtime_input_count++] = graph->inputs[i];
  }
  return true;
}

static norma_status run_passes(norma_model *model, const norma_load_options *options, executor *executor,
                               norma_error *error) {
  const char *const *disabled = options->disabled_passes;
  size_t count = options->disabled_pass_count;
  if (options->form != NORMA_FORM_RUN) TRY(onnx_form_disable(model, options, &disabled, &count, error));
  return passes_run(model, executor, disabled, count, error);
}

static norma_status run_stages(norma_model *model, const norma_load_options *options, executor *executor,
                               norma_error *error) {
  TRY(resolve_and_infer(model, options, executor, error));
  TRY(pack_fetch_shared(model, error));
  TRY(run_passes(model, options, executor, error));
  if (!graph_find_captures(model->graph) || !list_runtime_inputs(model)) return region_error(&model->region, error);
  if (model->optimization != NORMA_OPTIMIZE_FULL || options->keep_constants) return pack_fetch_all(model, error);
  executor->packed = model->packed;
  executor->workers = model->runtime->workers;
  return pack_constants(model, executor, error);
}

static norma_status look_at(norma_model *model, const norma_load_options *options, executor *executor,
                            norma_error *error) {
  TRY(inspect_graph(model, options, executor, error));
  if (!graph_find_captures(model->graph) || !list_runtime_inputs(model)) return region_error(&model->region, error);
  return options->keep_constants ? pack_fetch_all(model, error) : NORMA_OK;
}

norma_status load_prepare(norma_model *model, const norma_load_options *options, norma_error *error) {
  const bool is_inspected = options->form == NORMA_FORM_INSPECT;
  if (!is_inspected) TRY(input_shapes_set(model, options, error)); /* looking at a model sets them between inferences */
  packed_constants *packed = packed_constants_create(model->memory); /* of nodes that constants replace */
  if (!packed) return memory_error(model->memory, sizeof packed, error);
  executor executor;
  executor_init_serial(&executor, model->memory, model->runtime->kernels, packed, model->exact);
  executor.work_left = LOAD_WORK;
  executor.interruption = model->interruption;
  region spare;
  region_init(&spare, model->memory);
  executor.spare = &spare;
  norma_status status =
      is_inspected ? look_at(model, options, &executor, error) : run_stages(model, options, &executor, error);
  region_free(&spare);
  packed_constants_destroy(packed);
  return status;
}
