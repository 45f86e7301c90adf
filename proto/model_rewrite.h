/*
 * Writes a graph that passes have changed as an edit of the file it was read from: nodes, initializers and inputs that
 * are still the same keep their bytes, with comments, metadata, unknown fields and encodings; what is new is written
 * new; what is gone is left out, with the hints for values that are gone. All other parts of the model stay, functions
 * included; calls of functions were expanded when the model was read, and are written expanded.
 */
#ifndef PROTO_MODEL_REWRITE_H
#define PROTO_MODEL_REWRITE_H

#include "engine/graph/model.h"
#include "proto/value_writer.h"

typedef struct rewrite_counts {
  size_t kept, changed, removed; /* nodes */
} rewrite_counts;

/* `before` is the model of the file `source` at level 0, `after` the changed one. Writes `path`, whole or not at all.
 * Errors: UNSUPPORTED (a node that has no form in ONNX), FILE, FORMAT, ARGUMENT (`path` is the source), BUDGET,
 * OUT_OF_MEMORY, CANCELLED, DEADLINE. `counts` and `interruption` may be NULL. */
norma_status model_rewrite(const norma_model *before, const norma_model *after, const char *source, const char *path,
                           interruption *interruption, rewrite_counts *counts, norma_error *error);

/* The same from and to memory: `data` is the model that `before` was read from. What refers to external data goes on
 * doing so. */
norma_status model_rewrite_memory(const norma_model *before, const norma_model *after, const void *data, size_t size,
                                  write_bytes write, void *context, interruption *interruption, rewrite_counts *counts,
                                  norma_error *error);

#endif
