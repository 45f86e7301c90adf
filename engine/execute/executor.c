#include "engine/execute/executor.h"

#include "engine/plan/shape_inference.h"

#include <math.h>
#include <time.h>

void executor_init_serial(executor *executor, memory *memory, const struct kernel_table *kernels, packed_cache *packed,
                          bool exact) {
  memset(executor, 0, sizeof *executor);
  executor->memory = memory;
  executor->kernels = kernels;
  executor->packed = packed;
  executor->exact = exact;
  executor->workers = 1;
  executor->work_left = INFINITY;
}

uint64_t clock_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static norma_status executor_stop_reason(const executor *executor) {
  if (executor->cancelled && atomic_load_explicit(executor->cancelled, memory_order_relaxed)) {
    return NORMA_ERROR_CANCELLED;
  }
  if (executor->deadline_ns && clock_now_ns() >= executor->deadline_ns) return NORMA_ERROR_DEADLINE;
  return NORMA_OK;
}

norma_status executor_poll(const executor *executor, norma_error *error) {
  norma_status reason = executor_stop_reason(executor);
  if (reason == NORMA_OK) return NORMA_OK;
  return error_set(error, reason, "%s",
                   reason == NORMA_ERROR_CANCELLED ? "the run was cancelled"
                                                   : "the run took longer than its time limit");
}

bool run_cancelled(const run_context *context) {
  return executor_stop_reason(context->executor) != NORMA_OK;
}

norma_status run_poll(const run_context *context) {
  return executor_poll(context->executor, context->error);
}

int run_workers(const run_context *context) {
  return context->executor->workers;
}

/* --------------------------------------------------------------------------------------------------------- parallel */

typedef struct parallel_loop {
  const executor *executor;
  int64_t count, grain;
  parallel_body body;
  void *argument;
  atomic_bool stopped;
} parallel_loop;

/* Neighbouring chunks in one call. */
static void parallel_loop_run(void *argument, size_t first, size_t last, int worker) {
  parallel_loop *loop = argument;
  if (atomic_load_explicit(&loop->stopped, memory_order_relaxed)) return;
  if (executor_stop_reason(loop->executor) != NORMA_OK) {
    atomic_store_explicit(&loop->stopped, true, memory_order_relaxed);
    return;
  }
  int64_t begin = (int64_t)first * loop->grain, most = (int64_t)(last - first) * loop->grain;
  loop->body(loop->argument, begin, loop->count - begin < most ? loop->count : begin + most, worker);
}

static void parallel_loop_chunk(void *argument, size_t index, int worker) {
  parallel_loop_run(argument, index, index + 1, worker);
}

static void parallel_loop_chunks(void *argument, size_t first, size_t last, int worker) {
  for (size_t i = first; i < last; i++) parallel_loop_chunk(argument, i, worker);
}

static norma_status parallel_loop_start(run_context *context, parallel_loop *loop, thread_pool_body body) {
  const executor *executor = context->executor;
  int64_t chunks = (loop->count - 1) / loop->grain + 1;
  loop->executor = executor;
  if (chunks > 1 && executor->workers > 1 && executor->parallel) {
    executor->parallel(executor->parallel_context, (size_t)chunks, parallel_loop_chunk, loop);
  } else if (chunks > 1 && executor->workers > 1 && executor->pool) {
    thread_pool_run(executor->pool, (size_t)chunks, body, loop);
  } else {
    for (int64_t i = 0; i < chunks; i++) parallel_loop_chunk(loop, (size_t)i, 0);
  }
  return executor_poll(executor, context->error); /* bodies, too, may have returned early: a reason to stop stays one */
}

norma_status run_parallel(run_context *context, int64_t count, int64_t grain, parallel_body body, void *argument) {
  parallel_loop loop = {.count = count, .grain = grain < 1 ? 1 : grain, .body = body, .argument = argument};
  return count <= 0 ? NORMA_OK : parallel_loop_start(context, &loop, parallel_loop_chunks);
}

norma_status run_parallel_units(run_context *context, int64_t count, parallel_body body, void *argument) {
  parallel_loop loop = {.count = count, .grain = 1, .body = body, .argument = argument};
  return count <= 0 ? NORMA_OK : parallel_loop_start(context, &loop, parallel_loop_run);
}

/* ---------------------------------------------------------------------------------------------------------- outputs */

static norma_status complete_error(run_context *context, norma_status status) {
  if (status != NORMA_OK) error_add_node(context->error, context->node);
  return status;
}

/* Memory that is there already (a planned slot, or made from the inferred shape) is used when shape and type agree. */
static bool output_is_ready(const value *output, norma_element_type type, const shape *shape) {
  if (output->kind != NORMA_VALUE_TENSOR || output->tensor.type != type) return false;
  struct shape existing = shape_of_tensor(&output->tensor);
  return shape_equal(&existing, shape);
}

norma_status run_allocate_output(run_context *context, int index, norma_element_type type, const shape *shape,
                                 norma_tensor **tensor) {
  value *output = context->outputs[index];
  *tensor = NULL;
  if (!output_is_ready(output, type, shape)) {
    if (output->kind == NORMA_VALUE_TENSOR && !output->owner) {
      return run_fail(context, NORMA_ERROR_RUN, "output %d has another type or shape than the model fixes", index);
    }
    value_clear(output);
    TRY(complete_error(context, value_allocate_tensor(context->executor->memory, output, type, shape, context->error)));
  }
  *tensor = &output->tensor;
  return NORMA_OK;
}

norma_status run_allocate_strings(run_context *context, int index, const shape *shape, size_t bytes, char **characters,
                                  norma_tensor **tensor) {
  value *output = context->outputs[index];
  value_clear(output);
  *tensor = NULL;
  TRY(complete_error(
      context, value_allocate_strings(context->executor->memory, output, shape, bytes, characters, context->error)));
  *tensor = &output->tensor;
  return NORMA_OK;
}

norma_status run_allocate_list(run_context *context, int index, norma_value_kind kind, int64_t count) {
  value *output = context->outputs[index];
  value_clear(output);
  return complete_error(context, value_allocate_list(context->executor->memory, output, kind, count, context->error));
}

norma_status run_set_element(run_context *context, int index, int64_t element, const value *contents) {
  value *item = &context->outputs[index]->list->items[element];
  value_clear(item);
  return complete_error(context, value_copy(context->executor->memory, item, contents, context->error));
}

norma_status run_set_output(run_context *context, int index, const value *contents) {
  value *output = context->outputs[index];
  if (contents->kind == NORMA_VALUE_TENSOR && output->kind == NORMA_VALUE_TENSOR && !output->owner) {
    shape shape = shape_of_tensor(&contents->tensor);
    if (!output_is_ready(output, contents->tensor.type, &shape)) {
      return run_fail(context, NORMA_ERROR_RUN, "output %d has another type or shape than the model fixes", index);
    }
    if (contents->tensor.size_bytes) memcpy(output->tensor.data, contents->tensor.data, contents->tensor.size_bytes);
    return NORMA_OK;
  }
  value_clear(output);
  return complete_error(context, value_copy(context->executor->memory, output, contents, context->error));
}

struct temporary {
  struct temporary *next;
  void *block;
};

norma_status run_allocate_temporary(run_context *context, size_t bytes, void **block) {
  memory *memory = context->executor->memory;
  struct temporary *entry = memory_allocate(memory, sizeof *entry);
  *block = entry ? memory_allocate(memory, bytes) : NULL;
  if (!*block) {
    memory_free(memory, entry);
    return complete_error(context, memory_error(memory, bytes, context->error));
  }
  *entry = (struct temporary){context->temporaries, *block};
  context->temporaries = entry;
  return NORMA_OK;
}

void run_free_temporaries(run_context *context) {
  while (context->temporaries) {
    struct temporary *entry = context->temporaries;
    context->temporaries = entry->next;
    memory_free(context->executor->memory, entry->block);
    memory_free(context->executor->memory, entry);
  }
}

/* ------------------------------------------------------------------------------------------------- packed constants */

typedef struct packed_constant {
  const node *node;
  uint64_t key;
  void *data;
  struct packed_constant *next;
} packed_constant;

void packed_cache_init(packed_cache *cache, memory *memory) {
  memset(cache, 0, sizeof *cache);
  cache->memory = memory;
  pthread_mutex_init(&cache->lock, NULL);
}

void packed_cache_free(packed_cache *cache) {
  if (!cache->memory) return;
  for (int i = 0; i < PACKED_BUCKETS; i++) {
    while (cache->buckets[i]) {
      packed_constant *entry = cache->buckets[i];
      cache->buckets[i] = entry->next;
      memory_free(cache->memory, entry->data);
      memory_free(cache->memory, entry);
    }
  }
  pthread_mutex_destroy(&cache->lock);
  cache->memory = NULL;
}

static packed_constant **packed_bucket(packed_cache *cache, const node *node, uint64_t key) {
  uint64_t hash = ((uint64_t)(uintptr_t)node / sizeof(void *) ^ key) * 0x9E3779B97F4A7C15u;
  return &cache->buckets[(hash >> 32) % PACKED_BUCKETS];
}

static packed_constant *packed_find(packed_constant *entry, const node *node, uint64_t key) {
  while (entry && (entry->node != node || entry->key != key)) entry = entry->next;
  return entry;
}

static norma_status packed_make(prepare_context *context, size_t bytes, prepare_fill fill, const void *argument,
                                packed_constant **made) {
  memory *memory = context->packed->memory;
  packed_constant *entry = memory_allocate(memory, sizeof *entry);
  void *data = entry ? memory_allocate(memory, bytes) : NULL;
  norma_status status = NORMA_OK;
  if (data) {
    status = fill(context, data, argument);
  } else {
    memory_error(memory, bytes, context->error);
    status = error_add_node(context->error, context->node);
    if (!context->error) status = NORMA_ERROR_OUT_OF_MEMORY;
  }
  if (status == NORMA_OK) {
    entry->data = data;
    *made = entry;
    return NORMA_OK;
  }
  memory_free(memory, data);
  memory_free(memory, entry);
  return status;
}

norma_status prepare_packed_from(prepare_context *context, uint64_t key, size_t bytes, prepare_fill fill,
                                 const void *argument, const void **packed) {
  packed_cache *cache = context->packed;
  norma_status status = NORMA_OK;
  pthread_mutex_lock(&cache->lock);
  packed_constant **bucket = packed_bucket(cache, context->node, key);
  packed_constant *entry = packed_find(*bucket, context->node, key);
  if (!entry) {
    status = packed_make(context, bytes, fill, argument, &entry);
    if (status == NORMA_OK) {
      *entry = (packed_constant){context->node, key, entry->data, *bucket};
      *bucket = entry;
      cache->bytes += bytes;
    }
  }
  *packed = status == NORMA_OK ? entry->data : NULL; /* last, since the argument may be the place of the result */
  pthread_mutex_unlock(&cache->lock);
  return status;
}

typedef struct plain_fill {
  void (*fill)(void *destination, const void *argument);
  const void *argument;
} plain_fill;

static norma_status fill_plainly(prepare_context *context, void *destination, const void *argument) {
  const plain_fill *plain = argument;
  (void)context;
  plain->fill(destination, plain->argument);
  return NORMA_OK;
}

norma_status prepare_packed(prepare_context *context, uint64_t key, size_t bytes,
                            void (*fill)(void *destination, const void *argument), const void *argument,
                            const void **packed) {
  plain_fill plain = {fill, argument};
  return prepare_packed_from(context, key, bytes, fill_plainly, &plain, packed);
}

/* ------------------------------------------------------------------------------------------------------- evaluation */

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
  if (node->op->flags & OPERATOR_SUBGRAPHS) return NORMA_OK; /* their outputs come from what runs */
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

static double info_bytes(const value_info *info) {
  size_t bytes;
  bool known = info && info->kind == NORMA_VALUE_TENSOR && shape_is_known(&info->shape) &&
               norma_tensor_size(info->type, info->shape.rank, info->shape.dims, &bytes) == NORMA_OK;
  return known ? (double)bytes : 0;
}

/* Takes what the node will cost from what is left. */
static norma_status evaluation_pay(evaluation *evaluation, double flops, norma_error *error) {
  const node *node = evaluation->node;
  double cost = flops;
  for (int i = 0; i < node->input_count; i++) cost += info_bytes(evaluation->inputs[i]);
  for (int i = 0; i < node->output_count; i++) cost += info_bytes(evaluation->outputs[i]);
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
  prepare_context prepare = {.node = node,
                             .state = evaluation->state,
                             .input_count = node->input_count,
                             .output_count = node->output_count,
                             .inputs = evaluation->inputs,
                             .constants = constants,
                             .outputs = evaluation->outputs,
                             .kernels = executor->kernels,
                             .workers = executor->workers,
                             .exact = executor->exact,
                             .packed = executor->packed,
                             .error = error};
  if (node->op->prepare) TRY(node->op->prepare(&prepare));
  TRY(evaluation_pay(evaluation, prepare.flops, error));
  if (prepare.worker_scratch_bytes > SIZE_MAX / 4 / (size_t)executor->workers) {
    return error_at_node(error, NORMA_ERROR_BUDGET, node, "needs more scratch memory than can be addressed");
  }
  size_t stride = size_align(prepare.worker_scratch_bytes, MEMORY_ALIGNMENT);
  size_t worker_bytes = stride * (size_t)executor->workers;
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

norma_status evaluate_node(executor *executor, const node *node, const value *const *inputs,
                           const value *const *constants, value *const *outputs, norma_status failure,
                           norma_error *error) {
  norma_error local;
  if (!error) error = &local;
  evaluation evaluation = {.executor = executor, .node = node};
  region_init(&evaluation.region, executor->memory);
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
  region_free(&evaluation.region);
  return status;
}
