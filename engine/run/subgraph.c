#include "engine/run/subgraph.h"

#include "engine/run/frame.h"

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

norma_status run_infer_subgraph(run_context *context, const graph *subgraph, const value *const *inputs,
                                int input_count, value_info *outputs) {
  executor *executor = context->executor;
  subgraph_entry *entry = NULL;
  norma_error ignored;
  norma_status status = NORMA_ERROR_INPUT;
  if (executor->subgraphs && input_count == subgraph->input_count) {
    status = find_entry(executor, subgraph, inputs, input_count, &entry, &ignored);
  }
  if (status == NORMA_ERROR_OUT_OF_MEMORY || status == NORMA_ERROR_BUDGET) {
    *context->error = ignored;
    return status;
  }
  for (int i = 0; i < subgraph->output_count; i++) {
    const graph_value *output = subgraph->outputs[i];
    outputs[i] = status == NORMA_OK ? *inferrer_info(&entry->plan->inferrer, output) : output->info;
  }
  return NORMA_OK;
}
