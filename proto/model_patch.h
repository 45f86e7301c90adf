/*
 * A model file with single things changed and every other byte as it was: contents of initializers and of Constant
 * nodes, inputs, outputs and attributes of single nodes. It works on the wire format, so that what this build does not
 * know is kept as well. Only the main graph is changed.
 *
 * New contents keep the encoding (raw, typed, packed or not becomes packed). Contents that lie in an external file are
 * written into the model as raw data; the external file stays as it is, and other tensors go on referring to it.
 */
#ifndef PROTO_MODEL_PATCH_H
#define PROTO_MODEL_PATCH_H

#include "engine/base/tensor.h"
#include "proto/value_writer.h"
#include "proto/wire_check.h"

typedef struct model_patch model_patch;

/* Reads and checks the file. Errors: FILE, FORMAT, INVALID_MODEL, BUDGET, OUT_OF_MEMORY. */
norma_status model_patch_open(memory *memory, const char *path, const wire_limits *limits, model_patch **patch,
                              norma_error *error);
/* The same of a model in memory, which is copied; `read` (may be NULL) supplies external data. */
norma_status model_patch_open_memory(memory *memory, const void *data, size_t size, norma_read_external read,
                                     void *read_context, const wire_limits *limits, model_patch **patch,
                                     norma_error *error);
void model_patch_close(model_patch *patch); /* NULL is fine */

/* Tells files apart, by length and contents; not made against forgery. */
uint64_t model_patch_fingerprint(const model_patch *patch);

/* The contents of the initializer of that name, or of the Constant node with that output; later changes are seen. *into
 * must hold nothing. Errors: ARGUMENT (there is none), and those of tensor_read. */
norma_status model_patch_read(model_patch *patch, const char *name, value *into, norma_error *error);

/* New contents, of the same element type and as many elements; copied. Errors: ARGUMENT (there is none, type or count
 * differ, or strings), UNSUPPORTED (a sparse initializer), OUT_OF_MEMORY, BUDGET. */
norma_status model_patch_replace(model_patch *patch, const char *name, const norma_tensor *contents,
                                 norma_error *error);

/* A new initializer whose name begins with `stem`; *name is valid until the patch is closed. Below IR version 4 it is
 * declared as an input of the graph as well. Errors: ARGUMENT (strings), OUT_OF_MEMORY, BUDGET. */
norma_status model_patch_add(model_patch *patch, const char *stem, const norma_tensor *contents, const char **name,
                             norma_error *error);

/* Nodes are named by their first output. Errors: ARGUMENT (no such node or input). */
norma_status model_patch_set_input(model_patch *patch, const char *node, size_t index, const char *name,
                                   norma_error *error);
/* The node keeps `count` inputs or outputs. */
norma_status model_patch_keep_inputs(model_patch *patch, const char *node, size_t count, norma_error *error);
norma_status model_patch_keep_outputs(model_patch *patch, const char *node, size_t count, norma_error *error);
norma_status model_patch_remove_attribute(model_patch *patch, const char *node, const char *name, norma_error *error);
norma_status model_patch_set_int(model_patch *patch, const char *node, const char *name, int64_t i, norma_error *error);
/* Removes the declaration of a graph output, and the hint for the value's type. Nothing to remove is no error. */
norma_status model_patch_remove_output(model_patch *patch, const char *name, norma_error *error);

norma_status model_patch_write(const model_patch *patch, write_bytes write, void *context, norma_error *error);

/* Writes the file `path`, whole or not at all. It must not be the file that was read. External files that are still
 * referred to are copied beside it where they are not there yet; one that is there with other contents is an error, and
 * so are external data of a model from memory (UNSUPPORTED). */
norma_status model_patch_save(const model_patch *patch, const char *path, norma_error *error);

#endif
