/* Questions about nodes and values that operators' facts and passes have in common. */
#ifndef ENGINE_GRAPH_QUERY_H
#define ENGINE_GRAPH_QUERY_H

#include "engine/graph/graph.h"

/* Whether the node's operator, which was found, is that one of ai.onnx. */
bool node_is(const node *node, const char *op_type);
/* Whether input or output `index` is there. */
static inline bool node_has_input(const node *node, int index) {
  return index < node->input_count && node->inputs[index];
}
static inline bool node_has_output(const node *node, int index) {
  return index < node->output_count && node->outputs[index];
}
/* Whether outputs behind the first are all absent. */
bool node_has_one_output(const node *node);

/* The constant tensor behind input `index`; NULL if the input is absent, no constant, or no tensor. */
const norma_tensor *node_constant_input(const node *node, int index);
/* The number behind input `index`, if that is a constant of a float type with one element. */
bool node_constant_number(const node *node, int index, double *number);
/* What is known of the shape of input or output `index`; of unknown rank where it is absent. */
const shape *node_input_shape(const node *node, int index);
const shape *node_output_shape(const node *node, int index);

/* The node that computes input `index` as its output 0, stands in the same graph, and is read there by this node alone
 * (once), being no graph output; else NULL. */
node *node_sole_producer(const node *node, int index);
/* The same, if it is `op_type` of ai.onnx. */
node *node_single_producer(const node *node, int index, const char *op_type);

/* Whether the value is a tensor of this element type; of one of these. */
bool value_is(const graph_value *value, norma_element_type type);
bool value_is_of(const graph_value *value, type_mask types);
/* Whether nothing reads the value. */
static inline bool value_is_unread(const graph_value *value) {
  return value->use_count == 0 && value->output_count == 0;
}

#endif
