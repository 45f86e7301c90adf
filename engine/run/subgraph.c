#include "engine/run/subgraph.h"

#include "engine/run/frame.h"

#define SUBGRAPH_PLANS 4 /* kept per subgraph, for different shapes */

/* Results of up to this many bytes are computed in the arena and copied; larger ones are computed where they stay.
 * Either way their memory is used again once nobody holds the result any more. */
#define SUBGRAPH_SMALL_RESULT 4096

/* Of one output of the graph. */
typedef struct subgraph_result {
  int root;         /* the slot whose memory becomes the result's own; -1: the result is copied or shared */
  buffer *spare[2]; /* the last ones, of which a loop may still read one while it makes the next */
} subgraph_result;

typedef struct subgraph_entry {
  struct subgraph_entry *next;
  plan *plan;
  frame *frame;
  void *arena;
  subgraph_result *results;
} subgraph_entry;

/* Of one subgraph. */
typedef struct subgraph_plans {
  struct subgraph_plans *next;
  const graph *graph;
  subgraph_entry *entries; /* newest first */
  const value **captures;  /* of the run in progress; in one block with this */
} subgraph_plans;

/* ------------------------------------------------------------------------------------------------------------ cache */

static void subgraph_entry_free(memory *memory, subgraph_entry *entry) {
  for (int i = 0; entry->results && i < entry->plan->graph->output_count; i++) {
    for (int k = 0; k < 2; k++) buffer_release(entry->results[i].spare[k]);
  }
  memory_free(memory, entry->results);
  frame_destroy(entry->frame);
  plan_destroy(entry->plan);
  memory_free(memory, entry->arena);
  memory_free(memory, entry);
}

void subgraph_cache_free(subgraph_cache *cache) {
  for (int i = 0; i < SUBGRAPH_BUCKETS; i++) {
    while (cache->buckets[i]) {
      subgraph_plans *plans = cache->buckets[i];
      while (plans->entries) {
        subgraph_entry *next = plans->entries->next;
        subgraph_entry_free(cache->memory, plans->entries);
        plans->entries = next;
      }
      cache->buckets[i] = plans->next;
      memory_free(cache->memory, plans);
    }
  }
}

static norma_status find_plans(subgraph_cache *cache, const graph *graph, subgraph_plans **result, norma_error *error) {
  const uint64_t hash = (uint64_t)(uintptr_t)graph * 0x9E3779B97F4A7C15u; /* Fibonacci hashing */
  subgraph_plans **bucket = &cache->buckets[(hash >> 32) % SUBGRAPH_BUCKETS];
  for (subgraph_plans *plans = *bucket; plans; plans = plans->next) {
    *result = plans;
    if (plans->graph == graph) return NORMA_OK;
  }
  const size_t bytes = sizeof(subgraph_plans) + (size_t)graph->capture_count * sizeof(value *);
  subgraph_plans *plans = memory_allocate_zeroed(cache->memory, bytes);
  *result = plans;
  if (!plans) return memory_error(cache->memory, bytes, error);
  plans->graph = graph;
  plans->captures = (void *)(plans + 1);
  plans->next = *bucket;
  *bucket = plans;
  return NORMA_OK;
}

/* The last ones that are not running go. */
static void evict_entries(subgraph_cache *cache, subgraph_plans *plans) {
  int count = 0;
  for (subgraph_entry **link = &plans->entries; *link;) {
    subgraph_entry *entry = *link;
    if (++count >= SUBGRAPH_PLANS && !entry->frame->running) {
      *link = entry->next;
      subgraph_entry_free(cache->memory, entry);
    } else {
      link = &entry->next;
    }
  }
}

/* ---------------------------------------------------------------------------------------------------------- results */

/* The root whose memory can be the result's own: it holds nothing else when the run has ended, and lies in no other. */
static int own_root(const subgraph_entry *entry, int output) {
  const plan *plan = entry->plan;
  const slot *slot = &plan->slots[plan->outputs[output]];
  if (slot->kind != SLOT_ARENA) return -1;
  const struct slot *root = &plan->slots[slot->root];
  const double bytes = value_info_bytes(&slot->info);
  if (root->kind != SLOT_ARENA || root->parent >= 0 || bytes != value_info_bytes(&root->info)) return -1;
  if (bytes <= SUBGRAPH_SMALL_RESULT) return -1;
  for (int i = 0; i < output; i++) {
    if (entry->results[i].root == slot->root) return -1;
  }
  return slot->root;
}

/* A buffer that nobody else holds any more, or a new one. */
static buffer *result_buffer(executor *executor, subgraph_result *result, size_t bytes) {
  for (int k = 0; k < 2; k++) {
    buffer *spare = result->spare[k];
    const bool is_free = spare && atomic_load_explicit(&spare->references, memory_order_acquire) == 1;
    if (is_free && spare->bytes == bytes) return buffer_retain(spare);
    if (!spare) return buffer_retain(result->spare[k] = buffer_create(executor->memory, bytes));
  }
  buffer_release(result->spare[0]);
  result->spare[0] = result->spare[1];
  return buffer_retain(result->spare[1] = buffer_create(executor->memory, bytes));
}

/* The result is `tensor`, in memory that is its own. */
static norma_status own_result(executor *executor, subgraph_result *result, const norma_tensor *tensor, value *output,
                               norma_error *error) {
  buffer *owner = result_buffer(executor, result, tensor->size_bytes);
  if (!owner) return memory_error(executor->memory, tensor->size_bytes, error);
  *output = (value){.kind = NORMA_VALUE_TENSOR, .tensor = *tensor, .owner = owner};
  output->tensor.data = owner->data;
  return NORMA_OK;
}

/* Gives large results memory of their own, before the run. */
static norma_status place_results(executor *executor, subgraph_entry *entry, value *outputs, int output_count,
                                  norma_error *error) {
  for (int i = 0; i < output_count; i++) {
    subgraph_result *result = &entry->results[i];
    if (result->root < 0) continue;
    const norma_tensor *tensor = &entry->frame->values[entry->plan->outputs[i]].tensor;
    TRY(own_result(executor, result, tensor, &outputs[i], error));
    if (entry->frame->overrides[result->root] != outputs[i].tensor.data) {
      frame_place(entry->frame, result->root, outputs[i].tensor.data);
    }
  }
  return NORMA_OK;
}

static norma_status take_result(executor *executor, subgraph_entry *entry, int index, value *output,
                                norma_error *error) {
  const int slot = entry->plan->outputs[index], root = entry->plan->slots[slot].root;
  const value *value = &entry->frame->values[slot];
  if (output->kind != NORMA_VALUE_NONE) return NORMA_OK; /* placed */
  if (entry->frame->values[root].owner) {                /* a view of an input or capture, or itself */
    value_share(output, &entry->frame->values[root]);
    if (root != slot) output->tensor = value->tensor;
    return NORMA_OK;
  }
  const bool is_small = value->kind == NORMA_VALUE_TENSOR && !value->owner && value->tensor.type != NORMA_STRING &&
                        value->tensor.size_bytes <= SUBGRAPH_SMALL_RESULT;
  if (!is_small) return value_copy(executor->memory, output, value, error);
  TRY(own_result(executor, &entry->results[index], &value->tensor, output, error));
  if (value->tensor.size_bytes) memcpy(output->tensor.data, value->tensor.data, value->tensor.size_bytes);
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ plans */

/* What is known of inputs and captures while a plan is made. Captures whose contents the plans around fix, such as
 * shapes that were computed outside, count by their contents. */
typedef struct subgraph_infos {
  region region;
  value_info *inputs, *captures;
  const value **known;
} subgraph_infos;

static norma_status describe_values(subgraph_infos *infos, const executor *executor, const subgraph_plans *plans,
                                    const value *const *inputs, norma_error *error) {
  const graph *graph = plans->graph;
  infos->inputs = region_array(&infos->region, (size_t)graph->input_count, sizeof *infos->inputs);
  infos->captures = region_array(&infos->region, (size_t)graph->capture_count, sizeof *infos->captures);
  infos->known = region_array(&infos->region, (size_t)graph->capture_count, sizeof *infos->known);
  if (!infos->inputs || !infos->captures || !infos->known) return region_error(&infos->region, error);
  for (int i = 0; i < graph->input_count; i++) infos->inputs[i] = value_info_of(inputs[i]);
  for (int i = 0; i < graph->capture_count; i++) {
    infos->captures[i] = value_info_of(plans->captures[i]);
    infos->captures[i].item = graph->captures[i]->info.item;
    if (frame_knows(executor->frame, graph->captures[i])) infos->known[i] = plans->captures[i];
  }
  return NORMA_OK;
}

static norma_status fill_entry(executor *executor, const subgraph_plans *plans, const value *const *inputs,
                               subgraph_entry *entry, norma_error *error) {
  subgraph_cache *cache = executor->subgraphs;
  const graph *graph = plans->graph;
  subgraph_infos infos;
  region_init(&infos.region, cache->memory);
  norma_status status = describe_values(&infos, executor, plans, inputs, error);
  plan_request request = {.executor = executor,
                          .graph = graph,
                          .inputs = infos.inputs,
                          .captures = infos.captures,
                          .capture_values = infos.known,
                          .keep_all = cache->keep_all};
  if (status == NORMA_OK) status = plan_create(&request, &entry->plan, error);
  region_free(&infos.region);
  TRY(status);
  TRY(frame_create(cache->memory, entry->plan, executor, false, &entry->frame, error));
  const size_t result_bytes = (size_t)graph->output_count * sizeof *entry->results;
  entry->arena = memory_allocate(cache->memory, entry->plan->arena_bytes);
  if (!entry->arena) return plan_arena_error(entry->plan, error);
  entry->results = memory_allocate_zeroed(cache->memory, result_bytes);
  if (!entry->results) return memory_error(cache->memory, result_bytes, error);
  for (int i = 0; i < graph->output_count; i++) entry->results[i].root = own_root(entry, i);
  frame_bind(entry->frame, entry->arena);
  return NORMA_OK;
}

static norma_status make_entry(executor *executor, subgraph_plans *plans, const value *const *inputs,
                               subgraph_entry **result, norma_error *error) {
  subgraph_cache *cache = executor->subgraphs;
  evict_entries(cache, plans);
  subgraph_entry *entry = memory_allocate_zeroed(cache->memory, sizeof *entry);
  if (!entry) return memory_error(cache->memory, sizeof *entry, error);
  norma_status status = fill_entry(executor, plans, inputs, entry, error);
  if (status != NORMA_OK) {
    subgraph_entry_free(cache->memory, entry);
    return status;
  }
  entry->next = plans->entries;
  plans->entries = entry;
  *result = entry;
  return NORMA_OK;
}

static norma_status subgraph_find_captures(executor *executor, subgraph_plans *plans, norma_error *error) {
  const graph *graph = plans->graph;
  for (int i = 0; i < graph->capture_count; i++) {
    plans->captures[i] = frame_find(executor->frame, graph->captures[i]);
    if (plans->captures[i]) continue;
    return error_set(error, NORMA_ERROR_INTERNAL, "captured value '%s' is not there", graph->captures[i]->name);
  }
  return NORMA_OK;
}

static norma_status find_entry(executor *executor, const graph *graph, const value *const *inputs,
                               subgraph_plans **plans, subgraph_entry **entry, norma_error *error) {
  TRY(find_plans(executor->subgraphs, graph, plans, error));
  TRY(subgraph_find_captures(executor, *plans, error));
  for (*entry = (*plans)->entries; *entry; *entry = (*entry)->next) {
    if (!(*entry)->frame->running && plan_matches_values((*entry)->plan, inputs, (*plans)->captures)) return NORMA_OK;
  }
  return make_entry(executor, *plans, inputs, entry, error);
}

/* -------------------------------------------------------------------------------------------------------------- run */

static norma_status run_entry(executor *executor, subgraph_entry *entry, value *outputs, int output_count,
                              norma_error *error) {
  TRY(place_results(executor, entry, outputs, output_count, error));
  TRY(frame_run(entry->frame, executor, error));
  for (int i = 0; i < output_count; i++) TRY(take_result(executor, entry, i, &outputs[i], error));
  return NORMA_OK;
}

norma_status run_subgraph(run_context *context, const graph *subgraph, const value *const *inputs, int input_count,
                          value *outputs, int output_count) {
  executor *executor = context->executor;
  for (int i = 0; i < output_count; i++) memset(&outputs[i], 0, sizeof outputs[i]);
  if (!executor->subgraphs || input_count != subgraph->input_count || output_count > subgraph->output_count) {
    return run_fail(context, NORMA_ERROR_INVALID_MODEL, "its graph has %d inputs and %d outputs, not %d and %d",
                    subgraph->input_count, subgraph->output_count, input_count, output_count);
  }
  subgraph_plans *plans;
  subgraph_entry *entry;
  TRY(find_entry(executor, subgraph, inputs, &plans, &entry, context->error));
  const plan *plan = entry->plan;
  for (int i = 0; i < input_count; i++) frame_set(entry->frame, plan->inputs[i], inputs[i]);
  for (int i = 0; i < subgraph->capture_count; i++) frame_set(entry->frame, plan->captures[i], plans->captures[i]);
  norma_status status = run_entry(executor, entry, outputs, output_count, context->error);
  for (int i = 0; i < output_count && status != NORMA_OK; i++) value_clear(&outputs[i]);
  frame_clear(entry->frame);
  return status;
}

norma_status run_infer_subgraph(run_context *context, const graph *subgraph, const value *const *inputs,
                                int input_count, value_info *outputs) {
  executor *executor = context->executor;
  subgraph_plans *plans;
  subgraph_entry *entry;
  norma_error ignored;
  norma_status status = NORMA_ERROR_INPUT;
  if (executor->subgraphs && input_count == subgraph->input_count) {
    status = find_entry(executor, subgraph, inputs, &plans, &entry, &ignored);
  }
  if (status_is_of_limits(status)) {
    *context->error = ignored;
    return status;
  }
  for (int i = 0; i < subgraph->output_count; i++) {
    const graph_value *output = subgraph->outputs[i];
    outputs[i] = status == NORMA_OK ? *inferrer_info(&entry->plan->inferrer, output) : output->info;
  }
  return NORMA_OK;
}
