#include "engine/execute/evaluation.h"

/* Everything that one evaluation needs beside inputs and outputs, in one region. */
typedef struct evaluation {
  executor *executor;
  const node *node;
  region region;
  value_info *input_infos, *output_infos;
  const value_info **inputs, **outputs;
  void *state, *scratch, *worker_scratch;
  bool *made; /* outputs that this evaluation allocated */
} evaluation;

static norma_status evaluation_begin(evaluation *evaluation, const value *const *inputs, norma_error *error) {
  const node *node = evaluation->node;
  region *region = &evaluation->region;
  size_t in = (size_t)node->input_count, out = (size_t)node->output_count;
  evaluation->input_infos = region_array(region, in, sizeof(value_info));
  evaluation->output_infos = region_array(region, out, sizeof(value_info));
  evaluation->inputs = region_array(region, in, sizeof(value_info *));
  evaluation->outputs = region_array(region, out, sizeof(value_info *));
  evaluation->state = region_allocate(region, node->op->state_size);
  evaluation->made = region_array(region, out, sizeof(bool));
  if (!evaluation->input_infos || !evaluation->output_infos || !evaluation->inputs || !evaluation->outputs ||
      !evaluation->state || !evaluation->made) {
    return region_error(region, error);
  }
  if (node->op->state_size) memcpy(evaluation->state, node->state, node->op->state_size);
  for (size_t i = 0; i < in; i++) {
    if (!inputs[i]) continue;
    evaluation->input_infos[i] = value_info_of(inputs[i]);
    evaluation->inputs[i] = &evaluation->input_infos[i];
  }
  for (size_t i = 0; i < out; i++) evaluation->output_infos[i].shape.rank = RANK_UNKNOWN;
  return NORMA_OK;
}

static norma_status evaluation_infer(evaluation *evaluation, const value *const *inputs, norma_status failure,
                                     norma_error *error) {
  const node *node = evaluation->node;
  type_conflict conflict; /* of types that were not known at load */
  if (!operator_accepts(node->op, node->input_count, evaluation->inputs, &conflict)) {
    return error_at_node(error, failure, node, "input %d has a type that it cannot take", conflict.input);
  }
  infer_context context = {.node = node,
                           .state = evaluation->state,
                           .input_count = node->input_count,
                           .output_count = node->output_count,
                           .inputs = evaluation->inputs,
                           .values = inputs,
                           .outputs = evaluation->output_infos,
                           .region = &evaluation->region,
                           .failure = failure,
                           .error = error};
  return node->op->infer(&context);
}

/* A view shares memory that is owned; borrowed memory may be taken over by a later step, so it is copied by compute. */
static bool evaluation_share_view(evaluation *evaluation, const value *input, value *output, const value_info *info) {
  if (!(evaluation->node->op->flags & OPERATOR_VIEW) || !input || !input->owner) return false;
  value_share(output, input);
  norma_tensor_init(&output->tensor, info->type, info->shape.rank, info->shape.dims, input->tensor.data);
  return true;
}

static norma_status evaluation_allocate_outputs(evaluation *evaluation, const value *const *inputs,
                                                value *const *outputs, norma_error *error) {
  const node *node = evaluation->node;
  for (int i = 0; i < node->output_count; i++) {
    const value_info *info = &evaluation->output_infos[i];
    evaluation->outputs[i] = outputs[i] ? info : NULL;
    if (!outputs[i]) continue;
    bool known = info->kind == NORMA_VALUE_TENSOR && shape_is_known(&info->shape);
    if (outputs[i]->kind == NORMA_VALUE_TENSOR) { /* planned memory */
      if (known && !output_is_ready(outputs[i], info->type, &info->shape)) {
        return error_at_node(error, NORMA_ERROR_RUN, node, "output %d has another shape than the model allows", i);
      }
      continue;
    }
    evaluation->made[i] = true;
    if (!known || info->type == NORMA_STRING) continue; /* compute allocates */
    if (i == 0 && node->input_count > 0 && evaluation_share_view(evaluation, inputs[0], outputs[0], info)) continue;
    norma_status status =
        value_allocate_tensor(evaluation->executor->memory, outputs[i], info->type, &info->shape, error);
    if (status != NORMA_OK) {
      error_add_node(error, node);
      return status;
    }
  }
  return NORMA_OK;
}

/* Takes what the node will cost from what is left. */
static norma_status evaluation_pay(evaluation *evaluation, double flops, norma_error *error) {
  const node *node = evaluation->node;
  double cost = flops;
  for (int i = 0; i < node->input_count; i++) {
    if (evaluation->inputs[i]) cost += value_info_bytes(evaluation->inputs[i]);
  }
  for (int i = 0; i < node->output_count; i++) {
    if (evaluation->outputs[i]) cost += value_info_bytes(evaluation->outputs[i]);
  }
  if (cost > evaluation->executor->work_left) {
    return error_at_node(error, NORMA_ERROR_DEADLINE, node, "would take too long before the first run");
  }
  evaluation->executor->work_left -= cost;
  return NORMA_OK;
}

static norma_status evaluation_compute(evaluation *evaluation, const value *const *inputs,
                                       const value *const *constants, value *const *outputs, norma_error *error) {
  const node *node = evaluation->node;
  executor *executor = evaluation->executor;
  prepare_context prepare = executor_prepare_context(executor, node, evaluation->state, evaluation->inputs, constants,
                                                     evaluation->outputs, error);
  if (node->op->prepare) TRY(node->op->prepare(&prepare));
  TRY(evaluation_pay(evaluation, prepare.flops, error));
  TRY(executor_check_scratch(executor, &prepare));
  const size_t stride = prepare.worker_scratch_bytes, worker_bytes = stride * (size_t)executor->workers;
  if (prepare.scratch_bytes) {
    evaluation->scratch = memory_allocate(executor->memory, prepare.scratch_bytes);
    if (!evaluation->scratch) return memory_error(executor->memory, prepare.scratch_bytes, error);
  }
  if (worker_bytes) {
    evaluation->worker_scratch = memory_allocate(executor->memory, worker_bytes);
    if (!evaluation->worker_scratch) return memory_error(executor->memory, worker_bytes, error);
  }
  run_context run = {.node = node,
                     .state = evaluation->state,
                     .input_count = node->input_count,
                     .output_count = node->output_count,
                     .inputs = inputs,
                     .outputs = outputs,
                     .scratch = evaluation->scratch,
                     .worker_scratch = evaluation->worker_scratch,
                     .worker_scratch_stride = stride,
                     .kernels = executor->kernels,
                     .executor = executor,
                     .error = error};
  norma_status status = node->op->compute(&run);
  run_free_temporaries(&run);
  return status;
}

/* One evaluation at a time has the spare memory: a node may evaluate others. */
static void evaluation_take_memory(evaluation *evaluation) {
  region *spare = evaluation->executor->spare;
  region_init(&evaluation->region, evaluation->executor->memory);
  if (!spare) return;
  evaluation->region = *spare;
  region_init(spare, spare->memory);
}

static void evaluation_give_memory(evaluation *evaluation) {
  region *spare = evaluation->executor->spare;
  if (!spare || spare->chunks) {
    region_free(&evaluation->region);
    return;
  }
  region_reset(&evaluation->region);
  *spare = evaluation->region;
}

norma_status evaluate_node(executor *executor, const node *node, const value *const *inputs,
                           const value *const *constants, value *const *outputs, norma_status failure,
                           norma_error *error) {
  norma_error local;
  if (!error) error = &local;
  evaluation evaluation = {.executor = executor, .node = node};
  evaluation_take_memory(&evaluation);
  norma_status status = evaluation_begin(&evaluation, inputs, error);
  if (status == NORMA_OK) status = evaluation_infer(&evaluation, inputs, failure, error);
  if (status == NORMA_OK) status = evaluation_allocate_outputs(&evaluation, inputs, outputs, error);
  if (status == NORMA_OK) status = evaluation_compute(&evaluation, inputs, constants, outputs, error);
  if (status != NORMA_OK && evaluation.made) {
    for (int i = 0; i < node->output_count; i++) {
      if (outputs[i] && evaluation.made[i]) value_clear(outputs[i]);
    }
  }
  memory_free(executor->memory, evaluation.scratch);
  memory_free(executor->memory, evaluation.worker_scratch);
  evaluation_give_memory(&evaluation);
  return status;
}
