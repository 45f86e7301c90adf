/*
 * A model: what the reader fills in, what passes rewrite, what sessions share. After norma_model_load it is immutable
 * but for the cache of packed constants, which has its own lock.
 */
#ifndef ENGINE_LOAD_MODEL_H
#define ENGINE_LOAD_MODEL_H

#include "engine/graph/lazy_weights.h"
#include "engine/graph/graph.h"
#include "engine/norma.h"
#include "ops/kernels/kernel_table.h"

#include <pthread.h>

typedef struct opset_import {
  const char *domain; /* "" for ai.onnx */
  int64_t version;
} opset_import;

typedef struct metadata_entry {
  const char *key, *value;
} metadata_entry;

#define PACKED_BUCKETS 512

/* Memory made once per node and key by prepare_packed, until the cache is freed. Thread-safe. */
typedef struct packed_cache {
  memory *memory;
  pthread_mutex_t lock;
  struct packed_constant *buckets[PACKED_BUCKETS];
  size_t bytes;
} packed_cache;

void packed_cache_init(packed_cache *cache, memory *memory);
void packed_cache_free(packed_cache *cache);

struct norma_model {
  norma_runtime *runtime;
  bool owns_runtime;
  memory *memory; /* the runtime's */
  region region;  /* graph, names, attributes */
  graph *graph;

  /* From the ModelProto; strings are never NULL. */
  int64_t ir_version;
  const char *producer_name, *producer_version, *model_domain, *doc_string;
  int64_t model_version;
  size_t opset_count;
  opset_import *opsets;
  size_t metadata_count;
  metadata_entry *metadata;
  size_t function_count; /* model-local functions that were inlined */

  norma_optimization optimization; /* never DEFAULT */
  bool exact;

  size_t runtime_input_count; /* inputs of the graph that are no constants */
  graph_value **runtime_inputs;

  packed_cache packed;
  lazy_source lazy_source; /* closed when the model is loaded */
};

/* The version imported for `domain`, 0 if none. */
int64_t model_opset(const norma_model *model, const char *domain);

/* norma_model_load of a file whose graph is changed after it was read and before operators are found. */
typedef norma_status (*model_edit)(void *context, norma_model *model, norma_error *error);
norma_status model_load_edited(const char *path, const norma_load_options *options, model_edit edit, void *context,
                               norma_model **model, norma_error *error);

#endif
