#include "engine/compile/compiled_model.h"

/* ------------------------------------------------------------------------------------------------------------- pool */

static void *pool_allocate(void *context, size_t size, size_t alignment) {
  compiled_session *session = context;
  const size_t left = (size_t)(session->pool_end - session->pool_next);
  const size_t gap = (alignment - (uintptr_t)session->pool_next % alignment) % alignment;
  if (gap > left || size > left - gap) return NULL;
  void *block = session->pool_next + gap;
  session->pool_next += gap + size;
  return block;
}

/* What was taken last is free again, as that of a step is when it ends; the rest stays taken. */
static void pool_deallocate(void *context, void *pointer, size_t size) {
  compiled_session *session = context;
  if ((char *)pointer + size == session->pool_next) session->pool_next = pointer;
}

#define POOL_ALIGNMENT 16

/* A zeroed array; NULL when the pool is at its end. */
static void *pool_array(compiled_session *session, size_t count, size_t size) {
  const size_t bytes = count * size;
  void *block = pool_allocate(session, bytes, POOL_ALIGNMENT);
  return block && bytes ? memset(block, 0, bytes) : block;
}

static norma_status pool_error(const compiled_session *session, norma_error *error) {
  return error_set(error, NORMA_ERROR_BUDGET, "the pool of %zu bytes is too small", session->memory.limit);
}

size_t compiled_pool_bytes(size_t slots, size_t steps, size_t packed, size_t operands, size_t state_bytes) {
  const size_t arrays = 6 * POOL_ALIGNMENT; /* of a step, each rounded up */
  return slots * sizeof(value) + steps * (sizeof(run_context) + arrays) + operands * 3 * sizeof(void *) + state_bytes +
         packed_constants_need(packed) + 4 * POOL_ALIGNMENT;
}

/* ------------------------------------------------------------------------------------------------------------- open */

static void place_values(compiled_session *session, void *arena, void *const *inputs) {
  for (int i = 0; i < session->model->slot_count; i++) {
    const compiled_slot *slot = &session->model->slots[i];
    value *value = &session->values[i];
    if (slot->place == COMPILED_CONSTANT) {
      *value = *slot->contents;
      continue;
    }
    void *data = slot->place == COMPILED_INPUT ? inputs[slot->input] : (char *)arena + slot->offset;
    value->kind = NORMA_VALUE_TENSOR;
    norma_tensor_init(&value->tensor, slot->info.type, slot->info.shape.rank, slot->info.shape.dims, data);
  }
}

/* Arrays of a node, as operators see them. */
typedef struct compiled_arrays {
  const value_info **inputs, **outputs;
  const value **constants, **input_values;
  value **output_values;
} compiled_arrays;

static bool make_compiled_arrays(compiled_session *session, const compiled_step *step, compiled_arrays *arrays) {
  const size_t inputs = (size_t)step->node->input_count, outputs = (size_t)step->node->output_count;
  *arrays = (compiled_arrays){.inputs = pool_array(session, inputs, sizeof *arrays->inputs),
                              .outputs = pool_array(session, outputs, sizeof *arrays->outputs),
                              .constants = pool_array(session, inputs, sizeof *arrays->constants),
                              .input_values = pool_array(session, inputs, sizeof *arrays->input_values),
                              .output_values = pool_array(session, outputs, sizeof *arrays->output_values)};
  if (!arrays->inputs || !arrays->outputs || !arrays->constants || !arrays->input_values || !arrays->output_values) {
    return false;
  }
  for (size_t i = 0; i < inputs; i++) {
    if (step->inputs[i] < 0) continue;
    arrays->inputs[i] = &session->model->slots[step->inputs[i]].info;
    arrays->constants[i] = step->node->inputs[i]->constant;
    arrays->input_values[i] = &session->values[step->inputs[i]];
  }
  for (size_t i = 0; i < outputs; i++) {
    if (step->outputs[i] < 0) continue;
    arrays->outputs[i] = &session->model->slots[step->outputs[i]].info;
    arrays->output_values[i] = &session->values[step->outputs[i]];
  }
  return true;
}

/* The same that a plan does for a step, whose places are known here. */
static norma_status open_step(compiled_session *session, const compiled_step *step, run_context *context, char *arena,
                              norma_error *error) {
  const node *node = step->node;
  compiled_arrays arrays;
  void *state = pool_array(session, 1, node->op->state_size);
  if (!state || !make_compiled_arrays(session, step, &arrays)) return pool_error(session, error);
  if (node->op->read) TRY(node->op->read(node, state, error));
  if (node->op->prepare) {
    prepare_context prepare = executor_prepare_context(&session->executor, node, state, arrays.inputs, arrays.constants,
                                                       arrays.outputs, error);
    TRY(node->op->prepare(&prepare));
    TRY(executor_check_scratch(&session->executor, &prepare));
    if (prepare.scratch_bytes > step->scratch_bytes || prepare.worker_scratch_bytes > step->worker_scratch_bytes) {
      return error_at_node(error, NORMA_ERROR_INTERNAL, node, "needs more memory than when it was compiled");
    }
  }
  *context = (run_context){.node = node,
                           .state = state,
                           .input_count = node->input_count,
                           .output_count = node->output_count,
                           .inputs = arrays.input_values,
                           .outputs = arrays.output_values,
                           .scratch = step->scratch_bytes ? arena + step->scratch_offset : NULL,
                           .worker_scratch = step->worker_scratch_bytes ? arena + step->worker_scratch_offset : NULL,
                           .worker_scratch_stride = step->worker_scratch_bytes,
                           .kernels = session->executor.kernels,
                           .executor = &session->executor};
  return NORMA_OK;
}

static norma_status open_packed(compiled_session *session, norma_error *error) {
  const compiled_model *model = session->model;
  session->executor.packed = packed_constants_create(&session->memory);
  if (!session->executor.packed) return pool_error(session, error);
  for (int i = 0; i < model->packed_count; i++) {
    const compiled_packed *packed = &model->packed[i];
    if (!packed_constants_lend(session->executor.packed, packed->node, packed->key, packed->data)) {
      return pool_error(session, error);
    }
  }
  return NORMA_OK;
}

static bool table_runs_here(const struct kernel_table *wanted) {
  return !(wanted->features & ~cpu_features());
}

norma_status compiled_open(compiled_session *session, const compiled_model *model, void *pool, size_t pool_bytes,
                           void *arena, void *const *inputs, size_t *used, norma_error *error) {
  if (!table_runs_here(model->kernels)) {
    return error_set(error, NORMA_ERROR_UNSUPPORTED, "the model was compiled for %s, which this CPU lacks",
                     model->kernels->name);
  }
  memset(session, 0, sizeof *session);
  session->model = model;
  session->pool_next = pool;
  session->pool_end = session->pool_next + pool_bytes;
  const norma_allocator allocator = {.allocate = pool_allocate, .deallocate = pool_deallocate, .context = session};
  memory_init(&session->memory, &allocator, pool_bytes);
  region_init(&session->region, &session->memory);
  model->graph->memory = &session->memory;
  model->graph->region = &session->region;
  executor_init_serial(&session->executor, &session->memory, model->kernels, NULL, model->exact);
  session->executor.flush_denormals = model->flush_denormals;
  session->values = pool_array(session, (size_t)model->slot_count, sizeof *session->values);
  session->contexts = pool_array(session, (size_t)model->step_count, sizeof *session->contexts);
  if (!session->values || !session->contexts) return pool_error(session, error);
  TRY(open_packed(session, error));
  place_values(session, arena, inputs);
  for (int s = 0; s < model->step_count; s++) {
    if (model->steps[s].skipped) continue;
    TRY(open_step(session, &model->steps[s], &session->contexts[s], arena, error));
  }
  if (used) *used = pool_bytes - (size_t)(session->pool_end - session->pool_next);
  return NORMA_OK;
}

/* -------------------------------------------------------------------------------------------------------------- run */

norma_status compiled_run(compiled_session *session, norma_error *error) {
  const compiled_model *model = session->model;
  norma_status status = NORMA_OK;
  const float_control before = executor_enter_floats(&session->executor);
  for (int s = 0; s < model->step_count && status == NORMA_OK; s++) {
    if (model->steps[s].skipped) continue;
    run_context *context = &session->contexts[s];
    context->error = error;
    status = model->steps[s].node->op->compute(context);
    if (context->temporaries) run_free_temporaries(context);
  }
  float_control_restore(before);
  return status;
}

const norma_tensor *compiled_output(const compiled_session *session, int index) {
  return &session->values[session->model->outputs[index]].tensor;
}
