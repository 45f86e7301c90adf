#include "engine/run/frame.h"

/* ------------------------------------------------------------------------------------------------------------ frame */

/* Sizes of the arrays behind a frame, which lie in one block. */
typedef struct frame_layout {
  size_t values, contexts, overrides, inputs, outputs, profile, total;
} frame_layout;

static size_t take(size_t *total, size_t count, size_t size) {
  size_t offset = *total;
  *total = size_align(offset + count * size, MEMORY_ALIGNMENT);
  return offset;
}

static frame_layout frame_lay_out(const plan *plan, bool profile) {
  size_t inputs = 0, outputs = 0;
  for (int s = 0; s < plan->step_count; s++) {
    inputs += (size_t)plan->steps[s].node->input_count;
    outputs += (size_t)plan->steps[s].node->output_count;
  }
  frame_layout layout = {0};
  take(&layout.total, 1, sizeof(frame));
  layout.values = take(&layout.total, (size_t)plan->slot_count, sizeof(value));
  layout.contexts = take(&layout.total, (size_t)plan->step_count, sizeof(run_context));
  layout.overrides = take(&layout.total, (size_t)plan->slot_count, sizeof(void *));
  layout.inputs = take(&layout.total, inputs, sizeof(value *));
  layout.outputs = take(&layout.total, outputs, sizeof(value *));
  layout.profile = take(&layout.total, profile ? (size_t)plan->step_count : 0, sizeof(step_profile));
  return layout;
}

static void frame_fill_values(frame *frame) {
  for (int i = 0; i < frame->plan->slot_count; i++) {
    const slot *slot = &frame->plan->slots[i];
    if (slot->contents) {
      frame_set(frame, i, slot->contents);
    } else if (slot->kind == SLOT_ARENA) {
      frame->values[i].kind = NORMA_VALUE_TENSOR;
      norma_tensor_init(&frame->values[i].tensor, slot->info.type, slot->info.shape.rank, slot->info.shape.dims, NULL);
    }
  }
}

norma_status frame_create(memory *memory, const plan *plan, executor *executor, bool profile, frame **result,
                          norma_error *error) {
  frame_layout layout = frame_lay_out(plan, profile);
  char *block = memory_allocate_zeroed(memory, layout.total);
  *result = NULL;
  if (!block) return memory_error(memory, layout.total, error);
  frame *frame = (void *)block;
  frame->plan = plan;
  frame->memory = memory;
  frame->values = (void *)(block + layout.values);
  frame->contexts = (void *)(block + layout.contexts);
  frame->overrides = (void *)(block + layout.overrides);
  frame->profile = profile ? (void *)(block + layout.profile) : NULL;
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
  *result = frame;
  return NORMA_OK;
}

void frame_destroy(frame *frame) {
  if (!frame) return;
  frame_clear(frame);
  memory_free(frame->memory, frame);
}

/* Where the contents of an ARENA root are. */
static char *root_memory(const frame *frame, int root) {
  const slot *slot = &frame->plan->slots[root];
  if (slot->host >= 0) return root_memory(frame, slot->host) + slot->host_offset;
  return frame->overrides[root] ? frame->overrides[root] : frame->arena + slot->offset;
}

/* Points the values that share the memory of others at it; inputs move from run to run. */
static void frame_point_values(frame *frame, bool only_views_of_inputs) {
  for (int i = 0; i < frame->plan->slot_count; i++) {
    const slot *slot = &frame->plan->slots[i];
    if (slot->kind != SLOT_ARENA) continue;
    if (frame->plan->slots[slot->root].kind != SLOT_ARENA) {
      frame->values[i].tensor.data = frame->values[slot->root].tensor.data;
    } else if (!only_views_of_inputs) {
      frame->values[i].tensor.data = root_memory(frame, slot->root);
    }
  }
}

void frame_bind(frame *frame, void *arena) {
  frame->arena = arena;
  frame_point_values(frame, false);
  for (int s = 0; s < frame->plan->step_count; s++) {
    const step *step = &frame->plan->steps[s];
    frame->contexts[s].scratch = step->scratch_bytes ? frame->arena + step->scratch_offset : NULL;
    frame->contexts[s].worker_scratch = step->worker_scratch_stride ? frame->arena + step->worker_scratch_offset : NULL;
  }
}

void frame_set(frame *frame, int slot, const value *contents) {
  if (slot < 0) return;
  frame->values[slot] = *contents;
  frame->values[slot].owner = NULL; /* borrowed for the run */
}

void frame_clear(frame *frame) {
  for (int i = 0; i < frame->plan->slot_count; i++) {
    if (frame->plan->slots[i].kind == SLOT_DYNAMIC) value_clear(&frame->values[i]);
  }
}

const value *frame_find(const frame *frame, const graph_value *value) {
  if (value->constant) return value->constant;
  for (; frame; frame = frame->outer) {
    int slot = plan_find_slot(frame->plan, value);
    if (slot >= 0) return &frame->values[slot];
  }
  return NULL;
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

static norma_status run_late_step(frame *frame, const step *step, executor *executor, norma_error *error) {
  run_context *context = &frame->contexts[step - frame->plan->steps];
  const node *node = step->node;
  const value *constants[64] = {NULL};
  const value **constant_list = constants;
  if (node->input_count > 64) {
    constant_list = memory_allocate_zeroed(executor->memory, (size_t)node->input_count * sizeof *constant_list);
    if (!constant_list) return memory_error(executor->memory, (size_t)node->input_count * sizeof(value *), error);
  }
  for (int i = 0; i < node->input_count; i++) constant_list[i] = node->inputs[i] ? node->inputs[i]->constant : NULL;
  for (int i = 0; i < node->output_count; i++) {
    if (step->outputs[i] >= 0 && frame->plan->slots[step->outputs[i]].kind == SLOT_DYNAMIC) {
      value_clear(&frame->values[step->outputs[i]]);
    }
  }
  norma_status status =
      evaluate_node(executor, node, context->inputs, constant_list, context->outputs, NORMA_ERROR_RUN, error);
  if (constant_list != constants) memory_free(executor->memory, constant_list);
  return status == NORMA_OK ? check_late_outputs(frame, step, error) : status;
}

static norma_status run_step(frame *frame, int s, executor *executor, norma_error *error) {
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
  norma_status status = run_step(frame, s, executor, error);
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
  frame_point_values(frame, true);
  frame->outer = executor->frame;
  frame->running = true;
  executor->frame = frame;
  uint64_t run_start = frame->profile ? clock_now_ns() : 0;
  for (int s = 0; s < plan->step_count && status == NORMA_OK; s++) {
    const step *step = &plan->steps[s];
    status = executor_poll(executor, error);
    if (status != NORMA_OK) break;
    if (!step->skipped) {
      status = frame->profile ? run_profiled_step(frame, s, executor, run_start, error)
                              : run_step(frame, s, executor, error);
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

/* -------------------------------------------------------------------------------------------------------- subgraphs */

#define SUBGRAPH_PLANS 4 /* kept per subgraph, for different shapes */

typedef struct subgraph_entry {
  struct subgraph_entry *next;
  const graph *graph;
  plan *plan;
  frame *frame;
  void *arena;
} subgraph_entry;

static void subgraph_entry_free(memory *memory, subgraph_entry *entry) {
  frame_destroy(entry->frame);
  plan_destroy(entry->plan);
  memory_free(memory, entry->arena);
  memory_free(memory, entry);
}

void subgraph_cache_free(subgraph_cache *cache) {
  while (cache->first) {
    subgraph_entry *next = cache->first->next;
    subgraph_entry_free(cache->memory, cache->first);
    cache->first = next;
  }
}

/* Newest first, so the last one that is not running goes. */
static void evict_entries(subgraph_cache *cache, const graph *graph) {
  int count = 0;
  for (subgraph_entry **link = &cache->first; *link;) {
    subgraph_entry *entry = *link;
    if (entry->graph == graph && ++count >= SUBGRAPH_PLANS && !entry->frame->running) {
      *link = entry->next;
      subgraph_entry_free(cache->memory, entry);
    } else {
      link = &entry->next;
    }
  }
}

static norma_status make_entry(executor *executor, const graph *graph, const value_info *inputs,
                               const value_info *captures, subgraph_entry **result, norma_error *error) {
  subgraph_cache *cache = executor->subgraphs;
  evict_entries(cache, graph);
  subgraph_entry *entry = memory_allocate_zeroed(cache->memory, sizeof *entry);
  if (!entry) return memory_error(cache->memory, sizeof *entry, error);
  entry->graph = graph;
  plan_request request = {
      .executor = executor, .graph = graph, .inputs = inputs, .captures = captures, .keep_all = cache->keep_all};
  norma_status status = plan_create(&request, &entry->plan, error);
  if (status == NORMA_OK) status = frame_create(cache->memory, entry->plan, executor, false, &entry->frame, error);
  if (status == NORMA_OK) {
    entry->arena = memory_allocate(cache->memory, entry->plan->arena_bytes);
    if (!entry->arena) status = memory_error(cache->memory, entry->plan->arena_bytes, error);
  }
  if (status != NORMA_OK) {
    subgraph_entry_free(cache->memory, entry);
    return status;
  }
  frame_bind(entry->frame, entry->arena);
  entry->next = cache->first;
  cache->first = entry;
  *result = entry;
  return NORMA_OK;
}

static norma_status find_entry(executor *executor, const graph *graph, const value *const *inputs, int input_count,
                               subgraph_entry **result, norma_error *error) {
  region region;
  region_init(&region, executor->memory);
  norma_status status = NORMA_OK;
  *result = NULL;
  value_info *input_infos = region_array(&region, (size_t)graph->input_count, sizeof *input_infos);
  value_info *capture_infos = region_array(&region, (size_t)graph->capture_count, sizeof *capture_infos);
  if (!input_infos || !capture_infos) {
    status = region_error(&region, error);
    goto done;
  }
  for (int i = 0; i < graph->input_count && i < input_count; i++) input_infos[i] = value_info_of(inputs[i]);
  for (int i = 0; i < graph->capture_count; i++) {
    const value *captured = frame_find(executor->frame, graph->captures[i]);
    if (!captured) {
      status = error_set(error, NORMA_ERROR_INTERNAL, "captured value '%s' is not there", graph->captures[i]->name);
      goto done;
    }
    capture_infos[i] = value_info_of(captured);
    capture_infos[i].item = graph->captures[i]->info.item;
  }
  for (subgraph_entry *entry = executor->subgraphs->first; entry && !*result; entry = entry->next) {
    bool usable = entry->graph == graph && !entry->frame->running;
    if (usable && plan_matches(entry->plan, input_infos, capture_infos)) *result = entry;
  }
  if (!*result) status = make_entry(executor, graph, input_infos, capture_infos, result, error);
done:
  region_free(&region);
  return status;
}

norma_status run_subgraph(run_context *context, const graph *subgraph, const value *const *inputs, int input_count,
                          value *outputs, int output_count) {
  executor *executor = context->executor;
  for (int i = 0; i < output_count; i++) memset(&outputs[i], 0, sizeof outputs[i]);
  if (!executor->subgraphs || input_count != subgraph->input_count || output_count > subgraph->output_count) {
    return run_fail(context, NORMA_ERROR_INVALID_MODEL, "its graph has %d inputs and %d outputs, not %d and %d",
                    subgraph->input_count, subgraph->output_count, input_count, output_count);
  }
  subgraph_entry *entry;
  TRY(find_entry(executor, subgraph, inputs, input_count, &entry, context->error));
  frame *frame = entry->frame;
  for (int i = 0; i < input_count; i++) frame_set(frame, entry->plan->inputs[i], inputs[i]);
  for (int i = 0; i < subgraph->capture_count; i++) {
    frame_set(frame, entry->plan->captures[i], frame_find(executor->frame, subgraph->captures[i]));
  }
  norma_status status = frame_run(frame, executor, context->error);
  for (int i = 0; i < output_count && status == NORMA_OK; i++) {
    status = value_copy(executor->memory, &outputs[i], &frame->values[entry->plan->outputs[i]], context->error);
  }
  for (int i = 0; i < output_count && status != NORMA_OK; i++) value_clear(&outputs[i]);
  frame_clear(frame);
  return status;
}
