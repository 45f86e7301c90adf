/*
 * Small ONNX models for tests, made in memory:
 *
 *     model_builder *b = builder_create(17);
 *     builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){1, 1, 8, 8});
 *     builder_floats(b, "w", 4, (int64_t[]){2, 1, 3, 3}, weights);
 *     node *conv = builder_node(b, "Conv", "x w -", "y");        (inputs and outputs by name; "-" is an absent one)
 *     builder_ints(conv, "pads", 4, (int64_t[]){1, 1, 1, 1});
 *     builder_output(b, "y", NORMA_FLOAT, -1, NULL);
 *     size_t size;
 *     const void *bytes = builder_bytes(b, &size);
 *     ... norma_model_load_memory(bytes, size, ...) ...
 *     builder_destroy(b);
 *
 * Nothing is checked, so that wrong models can be made as well: a name that nobody defines, two nodes with the same
 * output, nodes in any order. Running out of memory, and calls that make no sense, end the program with a message.
 */
#ifndef TESTS_SUPPORT_MODEL_BUILDER_H
#define TESTS_SUPPORT_MODEL_BUILDER_H

#include "engine/graph/model.h"

typedef struct model_builder model_builder;

/* An empty model that imports this opset of ai.onnx (0: none). */
model_builder *builder_create(int64_t opset);
void builder_destroy(model_builder *builder);

/* Imports a further domain, such as "ai.onnx.ml". */
void builder_import(model_builder *builder, const char *domain, int64_t version);
void builder_metadata(model_builder *builder, const char *key, const char *value);

/* An input of the graph. rank -1: no shape; a dimension of -1 is unknown. */
graph_value *builder_input(model_builder *builder, const char *name, norma_element_type type, int rank,
                           const int64_t *dims);
/* Gives dimension `axis` of an input a name; its size should be -1. */
void builder_dim_name(model_builder *builder, graph_value *input, int axis, const char *name);
/* An output of the graph, of a type that is declared or (NORMA_UNDEFINED) not. */
graph_value *builder_output(model_builder *builder, const char *name, norma_element_type type, int rank,
                            const int64_t *dims);
/* Inputs and outputs that are no tensors: `info` is copied, its item is borrowed. */
graph_value *builder_input_info(model_builder *builder, const char *name, const value_info *info);
graph_value *builder_output_info(model_builder *builder, const char *name, const value_info *info);

/* Initializers; data are copied. */
void builder_initializer(model_builder *builder, const char *name, norma_element_type type, int rank,
                         const int64_t *dims, const void *data);
void builder_floats(model_builder *builder, const char *name, int rank, const int64_t *dims, const float *data);
void builder_ints64(model_builder *builder, const char *name, int rank, const int64_t *dims, const int64_t *data);
void builder_strings(model_builder *builder, const char *name, int rank, const int64_t *dims,
                     const char *const *strings);

/* A node; names are separated by spaces. */
node *builder_node(model_builder *builder, const char *op_type, const char *inputs, const char *outputs);
/* The same in another domain, with the node's own name (may be ""). */
node *builder_named_node(model_builder *builder, const char *name, const char *domain, const char *op_type,
                         const char *inputs, const char *outputs);

/* Attributes of a node. Arrays and strings are copied. */
void builder_int(node *node, const char *name, int64_t i);
void builder_float(node *node, const char *name, float f);
void builder_string(node *node, const char *name, const char *text);
void builder_ints(node *node, const char *name, size_t count, const int64_t *ints);
void builder_float_list(node *node, const char *name, size_t count, const float *floats);
void builder_string_list(node *node, const char *name, size_t count, const char *const *strings);
void builder_tensor(node *node, const char *name, norma_element_type type, int rank, const int64_t *dims,
                    const void *data);

/* A subgraph below the node, filled through a builder of its own, which belongs to `builder` and is not destroyed.
 * Names that it does not define are those of the outer graph. */
model_builder *builder_subgraph(model_builder *builder, node *node, const char *name);

/* The model as it stands, for norma_model_* and for model_write. Borrowed until builder_destroy. */
norma_model *builder_model(model_builder *builder);
/* Its bytes as an ONNX file, valid until the next call or builder_destroy. */
const void *builder_bytes(model_builder *builder, size_t *size);

#endif
