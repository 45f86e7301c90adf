#include "engine/run/frame.h"

#include "engine/base/platform.h"

/* ------------------------------------------------------------------------------------------------------------ frame */

/* Sizes of the arrays behind a frame, which lie in one block. */
typedef struct frame_layout {
  size_t values, contexts, overrides, dynamic, input_views, inputs, outputs, total;
} frame_layout;

static size_t take_space(size_t *total, size_t count, size_t size) {
  size_t offset = *total;
  *total = size_align(offset + count * size, MEMORY_ALIGNMENT);
  return offset;
}

/* Whether the slot is a view of what each run is given. */
static bool is_input_view(const plan *plan, const slot *slot) {
  return slot->kind == SLOT_ARENA && plan->slots[slot->root].kind != SLOT_ARENA;
}

static frame_layout frame_lay_out(const plan *plan) {
  size_t inputs = 0, outputs = 0, dynamic = 0, views = 0;
  for (int i = 0; i < plan->slot_count; i++) {
    dynamic += plan->slots[i].kind == SLOT_DYNAMIC;
    views += is_input_view(plan, &plan->slots[i]);
  }
  for (int s = 0; s < plan->step_count; s++) {
    inputs += (size_t)plan->steps[s].node->input_count;
    outputs += (size_t)plan->steps[s].node->output_count;
  }
  frame_layout layout = {0};
  take_space(&layout.total, 1, sizeof(frame));
  layout.values = take_space(&layout.total, (size_t)plan->slot_count, sizeof(value));
  layout.contexts = take_space(&layout.total, (size_t)plan->step_count, sizeof(run_context));
  layout.overrides = take_space(&layout.total, (size_t)plan->slot_count, sizeof(void *));
  layout.dynamic = take_space(&layout.total, dynamic, sizeof(int));
  layout.input_views = take_space(&layout.total, views, sizeof(int));
  layout.inputs = take_space(&layout.total, inputs, sizeof(value *));
  layout.outputs = take_space(&layout.total, outputs, sizeof(value *));
  return layout;
}

static void frame_fill_values(frame *frame) {
  for (int i = 0; i < frame->plan->slot_count; i++) {
    const slot *slot = &frame->plan->slots[i];
    if (slot->kind == SLOT_DYNAMIC) frame->dynamic[frame->dynamic_count++] = i;
    if (is_input_view(frame->plan, slot)) frame->input_views[frame->input_view_count++] = i;
    if (slot->contents) {
      frame_set(frame, i, slot->contents);
      frame->values[i].owner = NULL; /* results never point into the model */
    } else if (slot->kind == SLOT_ARENA) {
      frame->values[i].kind = NORMA_VALUE_TENSOR;
      norma_tensor_init(&frame->values[i].tensor, slot->info.type, slot->info.shape.rank, slot->info.shape.dims, NULL);
    }
  }
}

norma_status frame_set_profile(frame *frame, bool is_profiled, norma_error *error) {
  const size_t bytes = (size_t)frame->plan->step_count * sizeof *frame->profile;
  if (is_profiled && !frame->profile) {
    frame->profile = memory_allocate_zeroed(frame->memory, bytes);
    if (!frame->profile) return memory_error(frame->memory, bytes, error);
  }
  frame->is_profiled = is_profiled;
  return NORMA_OK;
}

norma_status frame_create(memory *memory, const plan *plan, executor *executor, bool profile, frame **result,
                          norma_error *error) {
  frame_layout layout = frame_lay_out(plan);
  char *block = memory_allocate_zeroed(memory, layout.total);
  *result = NULL;
  if (!block) return memory_error(memory, layout.total, error);
  frame *frame = (void *)block;
  frame->plan = plan;
  frame->memory = memory;
  frame->values = (void *)(block + layout.values);
  frame->contexts = (void *)(block + layout.contexts);
  frame->overrides = (void *)(block + layout.overrides);
  frame->dynamic = (void *)(block + layout.dynamic);
  frame->input_views = (void *)(block + layout.input_views);
  const value **inputs = (void *)(block + layout.inputs);
  value **outputs = (void *)(block + layout.outputs);
  for (int s = 0; s < plan->step_count; s++) {
    const step *step = &plan->steps[s];
    run_context *context = &frame->contexts[s];
    *context = (run_context){.node = step->node,
                             .state = step->state,
                             .input_count = step->node->input_count,
                             .output_count = step->node->output_count,
                             .inputs = inputs,
                             .outputs = outputs,
                             .worker_scratch_stride = step->worker_scratch_stride,
                             .kernels = executor->kernels,
                             .executor = executor};
    for (int i = 0; i < step->node->input_count; i++) {
      *inputs++ = step->inputs[i] >= 0 ? &frame->values[step->inputs[i]] : NULL;
    }
    for (int i = 0; i < step->node->output_count; i++) {
      *outputs++ = step->outputs[i] >= 0 ? &frame->values[step->outputs[i]] : NULL;
    }
  }
  frame_fill_values(frame);
  norma_status status = frame_set_profile(frame, profile, error);
  if (status != NORMA_OK) {
    frame_destroy(frame);
    return status;
  }
  *result = frame;
  return NORMA_OK;
}

void frame_destroy(frame *frame) {
  if (!frame) return;
  frame_clear(frame);
  memory_free(frame->memory, frame->profile);
  memory_free(frame->memory, frame);
}

/* Where the contents of an ARENA root are. */
static char *root_memory(const frame *frame, int root) {
  const slot *slot = &frame->plan->slots[root];
  if (slot->parent >= 0) return root_memory(frame, slot->parent) + slot->parent_offset;
  return frame->overrides[root] ? frame->overrides[root] : frame->arena + slot->offset;
}

/* Inputs move from run to run, and views of them with them. */
static void frame_point_views(frame *frame) {
  for (int i = 0; i < frame->input_view_count; i++) {
    const int index = frame->input_views[i];
    frame->values[index].tensor.data = frame->values[frame->plan->slots[index].root].tensor.data;
  }
}

void frame_bind(frame *frame, void *arena) {
  frame->arena = arena;
  for (int i = 0; i < frame->plan->slot_count; i++) {
    const slot *slot = &frame->plan->slots[i];
    if (slot->kind != SLOT_ARENA || is_input_view(frame->plan, slot)) continue;
    frame->values[i].tensor.data = root_memory(frame, slot->root);
  }
  for (int s = 0; s < frame->plan->step_count; s++) {
    const step *step = &frame->plan->steps[s];
    frame->contexts[s].scratch = step->scratch_bytes ? frame->arena + step->scratch_offset : NULL;
    frame->contexts[s].worker_scratch = step->worker_scratch_stride ? frame->arena + step->worker_scratch_offset : NULL;
  }
}

void frame_place(frame *frame, int root, void *data) {
  const slot *slots = frame->plan->slots;
  frame->overrides[root] = data;
  for (int i = 0; i < frame->plan->slot_count; i++) {
    if (slots[i].kind != SLOT_ARENA) continue;
    const int own = slots[i].root;
    if (own == root || slots[own].parent == root) frame->values[i].tensor.data = root_memory(frame, own);
  }
}

void frame_set(frame *frame, int slot, const value *contents) {
  if (slot < 0) return;
  frame->values[slot] = *contents;
}

void frame_clear(frame *frame) {
  for (int i = 0; i < frame->dynamic_count; i++) value_clear(&frame->values[frame->dynamic[i]]);
}

const value *frame_find(const frame *frame, const graph_value *value) {
  if (value->constant) return value->constant;
  for (; frame; frame = frame->outer) {
    int slot = plan_find_slot(frame->plan, value);
    if (slot >= 0) return &frame->values[slot];
  }
  return NULL;
}

bool frame_knows(const frame *frame, const graph_value *value) {
  for (; frame; frame = frame->outer) {
    int slot = plan_find_slot(frame->plan, value);
    if (slot >= 0) return frame->plan->slots[slot].kind == SLOT_KNOWN;
  }
  return false;
}

/* -------------------------------------------------------------------------------------------------------------- run */

/* What was planned on from an inferred shape must hold, or later steps would read beyond it. */
static norma_status check_late_outputs(const frame *frame, const step *step, norma_error *error) {
  for (int i = 0; i < step->node->output_count; i++) {
    if (step->outputs[i] < 0) continue;
    const slot *slot = &frame->plan->slots[step->outputs[i]];
    const value *actual = &frame->values[step->outputs[i]];
    if (slot->info.kind != NORMA_VALUE_NONE && actual->kind != NORMA_VALUE_NONE && actual->kind != slot->info.kind) {
      return error_at_node(error, NORMA_ERROR_RUN, step->node, "output %d is of another kind than the model says", i);
    }
    if (slot->info.kind != NORMA_VALUE_TENSOR) continue;
    struct shape shape = shape_of_tensor(&actual->tensor);
    if (actual->kind != NORMA_VALUE_TENSOR || (slot->info.type && actual->tensor.type != slot->info.type) ||
        !shape_merge(&shape, &slot->info.shape)) {
      char text[200];
      return error_at_node(error, NORMA_ERROR_RUN, step->node,
                           "output %d (%s) has another type or shape than the model fixes", i,
                           shape_text(&shape, text, sizeof text));
    }
  }
  return NORMA_OK;
}

static void clear_dynamic_outputs(frame *frame, const step *step) {
  for (int i = 0; i < step->node->output_count; i++) {
    if (step->outputs[i] >= 0 && frame->plan->slots[step->outputs[i]].kind == SLOT_DYNAMIC) {
      value_clear(&frame->values[step->outputs[i]]);
    }
  }
}

/* Steps that run graphs and have nothing to prepare make all their outputs themselves. */
static norma_status run_graph_step(frame *frame, const step *step, executor *executor, norma_error *error) {
  run_context *context = &frame->contexts[step - frame->plan->steps];
  context->state = step->node->state;
  context->executor = executor;
  context->error = error;
  clear_dynamic_outputs(frame, step);
  norma_status status = step->node->op->compute(context);
  if (context->temporaries) run_free_temporaries(context);
  if (status == NORMA_OK) status = check_late_outputs(frame, step, error);
  if (status != NORMA_OK) clear_dynamic_outputs(frame, step);
  return status;
}

static norma_status run_late_step(frame *frame, const step *step, executor *executor, norma_error *error) {
  run_context *context = &frame->contexts[step - frame->plan->steps];
  const node *node = step->node;
  const bool is_bare = (node->op->flags & OPERATOR_SUBGRAPHS) && !node->op->prepare;
  if (is_bare) return run_graph_step(frame, step, executor, error);
  const value *constants[64] = {NULL};
  const value **constant_list = constants;
  if (node->input_count > 64) {
    constant_list = memory_allocate_zeroed(executor->memory, (size_t)node->input_count * sizeof *constant_list);
    if (!constant_list) return memory_error(executor->memory, (size_t)node->input_count * sizeof(value *), error);
  }
  for (int i = 0; i < node->input_count; i++) constant_list[i] = node->inputs[i] ? node->inputs[i]->constant : NULL;
  clear_dynamic_outputs(frame, step);
  norma_status status =
      evaluate_node(executor, node, context->inputs, constant_list, context->outputs, NORMA_ERROR_RUN, error);
  if (constant_list != constants) memory_free(executor->memory, constant_list);
  return status == NORMA_OK ? check_late_outputs(frame, step, error) : status;
}

static norma_status frame_run_step(frame *frame, int s, executor *executor, norma_error *error) {
  const step *step = &frame->plan->steps[s];
  if (step->late) return run_late_step(frame, step, executor, error);
  run_context *context = &frame->contexts[s];
  context->executor = executor;
  context->error = error;
  norma_status status = step->node->op->compute(context);
  if (context->temporaries) run_free_temporaries(context);
  return status;
}

static norma_status run_profiled_step(frame *frame, int s, executor *executor, uint64_t run_start, norma_error *error) {
  uint64_t start = clock_now_ns();
  norma_status status = frame_run_step(frame, s, executor, error);
  step_profile *profile = &frame->profile[s];
  profile->runs++;
  profile->start_ns = start - run_start;
  profile->last_ns = clock_now_ns() - start;
  profile->total_ns += profile->last_ns;
  return status;
}

norma_status frame_run(frame *frame, executor *executor, norma_error *error) {
  const plan *plan = frame->plan;
  norma_status status = NORMA_OK;
  frame_point_views(frame);
  frame->outer = executor->frame;
  frame->running = true;
  executor->frame = frame;
  uint64_t run_start = frame->is_profiled ? clock_now_ns() : 0;
  for (int s = 0; s < plan->step_count && status == NORMA_OK; s++) {
    const step *step = &plan->steps[s];
    status = executor_poll(executor, error);
    if (status != NORMA_OK) break;
    if (!step->skipped) {
      status = frame->is_profiled ? run_profiled_step(frame, s, executor, run_start, error)
                                  : frame_run_step(frame, s, executor, error);
    }
    for (int i = 0; i < step->release_count; i++) value_clear(&frame->values[step->releases[i]]);
    if (executor->progress && !frame->outer && status == NORMA_OK) {
      executor->progress(executor->progress_context, (size_t)s + 1, (size_t)plan->step_count);
    }
  }
  executor->frame = frame->outer;
  frame->outer = NULL;
  frame->running = false;
  return status;
}
