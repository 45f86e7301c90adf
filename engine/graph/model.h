/*
 * A model: what the reader fills in, what passes rewrite, what sessions share. After norma_model_load it is immutable;
 * packed constants, which it owns, have a lock of their own.
 */
#ifndef ENGINE_GRAPH_MODEL_H
#define ENGINE_GRAPH_MODEL_H

#include "engine/graph/graph.h"
#include "engine/graph/lazy_weights.h"
#include "engine/norma.h"

typedef struct opset_import {
  const char *domain; /* "" for ai.onnx */
  int64_t version;
} opset_import;

typedef struct metadata_entry {
  const char *key, *value;
} metadata_entry;

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
  norma_graph_form form;
  bool exact;
  bool flush_denormals; /* in runs */

  size_t runtime_input_count; /* inputs of the graph that are no constants */
  graph_value **runtime_inputs;

  struct packed_constants *packed;
  lazy_source lazy_source;    /* closed when the model is loaded */
  interruption *interruption; /* of the load; NULL when it is done */
};

#endif
