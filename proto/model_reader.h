/*
 * Reads an ONNX model into a norma_model: opset imports, metadata, and the graph with its values, nodes, attributes and
 * constants; subgraphs with lexical scoping of names; model-local functions inlined.
 *
 * What is checked here: the wire format, IR and opset versions, names (single assignment, nothing undefined, no
 * cycles), attributes (one of each name, kind and contents agree), tensors, recursion of functions, and the budgets.
 * What is left to the engine: resolving operators (node->op, node->version) and inferring types; declared types of
 * intermediate values are not read, since exporters get them wrong.
 *
 *   inputs       info and dim_names as declared; dimensions that are negative, symbolic or not given are unknown
 *   outputs      kind, element type and dim_names as declared; the shape is left unknown
 *   initializer  a constant value with has_initializer. One that is a graph input as well stays in graph->inputs; named
 *                overridable it gets `initial` instead of `constant`. In subgraphs such inputs are dropped.
 *   functions    nodes are named "call/inner" after the calling node, and so are values between them
 */
#ifndef PROTO_MODEL_READER_H
#define PROTO_MODEL_READER_H

#include "engine/graph/model.h"

typedef struct model_read_options {
  const char *const *overridable; /* initializers that are graph inputs; a name that is none is an ARGUMENT error */
  size_t overridable_count;
  size_t max_nodes;                  /* functions expanded */
  int max_depth;                     /* subgraphs and functions within each other */
  struct lazy_source *lazy_source;   /* where large initializers stay unread; NULL: all are read */
  bool map_file;                     /* map files instead of reading them; constants are then views */
  norma_read_external read_external; /* for model_read_memory; NULL: external data are refused */
  void *read_external_context;
  interruption *interruption; /* asked again and again; NULL: nobody is */
} model_read_options;

/* Newest versions that the reader accepts. */
#define MODEL_NEWEST_IR_VERSION 14
#define MODEL_NEWEST_OPSET      28
#define MODEL_NEWEST_ML_OPSET   5

/*
 * model->memory must be set and model->region initialised; graph, strings, opsets, metadata and function_count are
 * filled in. On failure model->graph is NULL, no data are held, and what was taken from the region stays there until it
 * is freed. Errors: FILE, FORMAT, INVALID_MODEL, UNSUPPORTED, BUDGET, OUT_OF_MEMORY, ARGUMENT,
 * CANCELLED, DEADLINE.
 */
norma_status model_read_file(norma_model *model, const char *path, const model_read_options *options,
                             norma_error *error);

/* The same from memory, which is borrowed during the call, or until the lazy_source is closed. */
norma_status model_read_memory(norma_model *model, const void *data, size_t size, const model_read_options *options,
                               norma_error *error);

#endif
