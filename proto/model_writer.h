/*
 * Writes a model's graph as an ONNX file: opset imports, metadata, inputs and outputs with their types, nodes,
 * attributes, subgraphs, and constants as initializers with raw data. Model-local functions were inlined when the model
 * was read.
 *
 * What ONNX has no form for is refused as UNSUPPORTED: nodes that an optimisation fused, and nodes whose opset version
 * is not the one that the model imports.
 */
#ifndef PROTO_MODEL_WRITER_H
#define PROTO_MODEL_WRITER_H

#include "engine/graph/model.h"
#include "proto/value_writer.h"

/* Reads ir_version (0: the newest), texts, opsets, metadata, memory and graph of the model. Errors: UNSUPPORTED, FILE
 * (write said so), ARGUMENT (a constant was packed and given back, or never read), BUDGET, OUT_OF_MEMORY. */
norma_status model_write(const norma_model *model, write_bytes write, void *context, norma_error *error);

/* The same into memory: *bytes is for the caller to free with memory_free. `interruption` may be NULL. Errors: the
 * same, CANCELLED, DEADLINE. */
norma_status model_write_memory(const norma_model *model, interruption *interruption, void **bytes, size_t *size,
                                norma_error *error);

#endif
