/*
 * Derivatives of operators, written as operators.
 *
 * A rule gives the gradients of a node's inputs from those of its outputs: values that ordinary nodes compute, placed
 * before the node that asks for them. So kernels, plans and threads are those of any model, and what a rule made can be
 * differentiated again. Where ai.onnx has no operator for a step, there are three of the inner domain, which have rules
 * themselves (ops/training/gradient_steps.c), and AveragePoolGradient (ops/pooling/pool_gradient.c).
 *
 * Types and ranks of the values of `node` are known when a rule is asked; those of gradients are not yet.
 */
#ifndef OPS_TRAINING_GRADIENT_H
#define OPS_TRAINING_GRADIENT_H

#include "ops/operator.h"

#define GRADIENT_OPSET 22 /* of the nodes that rules make */

/* Where nodes are made. They are left without their operator, so that attributes can still be set. */
typedef struct gradient_builder {
  graph *graph;
  node *before;        /* new nodes stand before this one */
  const node *of;      /* the node that is differentiated */
  const bool *wanted;  /* of its inputs: which gradients are asked for */
  norma_status status; /* of the first failure; afterwards nothing is made */
  norma_error *error;
} gradient_builder;

/* Sets gradients[i] for each wanted input i on which an output depends; NULL stays for those of gradient zero.
 * `of_outputs` are NULL where the gradient is zero. */
typedef void gradient_rule(gradient_builder *builder, const node *node, graph_value *const *of_outputs,
                           graph_value **gradients);

typedef struct gradient_entry {
  const char *op_type; /* NULL ends a table */
  int since;           /* the first version of the definition that the rule knows */
  gradient_rule *rule; /* NULL: the derivative is zero wherever there is one */
} gradient_entry;

/* The entry for the node's operator; NULL if there is none for its version. */
const gradient_entry *gradient_find(const node *node);

/* Whether the node is a Gradient of ai.onnx.preview.training. */
bool gradient_is_asked(const node *node);

/* ---------------------------------------------------------------------------------------------------- made of nodes */

/* A node of ai.onnx and of the inner domain; the result is its output 0, NULL after a failure. */
graph_value *gradient_make(gradient_builder *builder, const char *op_type, int inputs, ...);
graph_value *gradient_make_inner(gradient_builder *builder, const char *op_type, int inputs, ...);
/* The same with as many outputs; NULL after a failure. */
node *gradient_make_node(gradient_builder *builder, const char *op_type, const char *domain, int inputs,
                         graph_value *const *values, int outputs);
/* Attributes of the node that computes `value`; nothing after a failure. */
void gradient_set_int(gradient_builder *builder, graph_value *value, const char *name, int64_t i);
void gradient_set_ints(gradient_builder *builder, graph_value *value, const char *name, const int64_t *ints, int count);
/* Those of another node, as they are. */
void gradient_copy_attributes(gradient_builder *builder, struct node *made, const node *from);

graph_value *gradient_negative(gradient_builder *builder, graph_value *a);
graph_value *gradient_sum(gradient_builder *builder, graph_value *a, graph_value *b);
graph_value *gradient_difference(gradient_builder *builder, graph_value *a, graph_value *b);
graph_value *gradient_product(gradient_builder *builder, graph_value *a, graph_value *b);
graph_value *gradient_quotient(gradient_builder *builder, graph_value *a, graph_value *b);

/* A scalar of the type of `like`, and a * number. */
graph_value *gradient_number(gradient_builder *builder, const graph_value *like, double number);
graph_value *gradient_times(gradient_builder *builder, graph_value *a, const graph_value *like, double number);
/* A list of int64. */
graph_value *gradient_list(gradient_builder *builder, const int64_t *values, int count);
/* The shape of a value as int64; dimensions from `begin` up to `end` of it, which count from 0. */
graph_value *gradient_shape(gradient_builder *builder, graph_value *value);
graph_value *gradient_dims(gradient_builder *builder, graph_value *value, int begin, int end);
/* `a` as the output of a node of its own. */
graph_value *gradient_alone(gradient_builder *builder, graph_value *a);
/* `a` with the type of `like`. */
graph_value *gradient_cast(gradient_builder *builder, graph_value *a, const graph_value *like);
/* `a` summed to the shape of `like`, which was broadcast; repeated to it; with its elements in that shape. */
graph_value *gradient_sum_to(gradient_builder *builder, graph_value *a, graph_value *like);
graph_value *gradient_expand(gradient_builder *builder, graph_value *a, graph_value *like);
graph_value *gradient_reshape(gradient_builder *builder, graph_value *a, graph_value *like);
/* condition ? a : 0, of the type of `like`. */
graph_value *gradient_where(gradient_builder *builder, graph_value *condition, graph_value *a, const graph_value *like);
/* Sum over these axes; sizes of 1 stay where `keeps` says so. */
graph_value *gradient_reduce(gradient_builder *builder, graph_value *a, const int64_t *axes, int count, bool keeps);

/* Refuses the node: UNSUPPORTED, with its name and operator. */
void gradient_refuse(gradient_builder *builder, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The rank of a value; -1 after refusing where it is not known. */
int gradient_rank(gradient_builder *builder, const graph_value *value);

/* ----------------------------------------------------------------------------------------------------------- tables */

extern const gradient_entry gradient_of_functions[], gradient_of_operands[], gradient_of_products[],
    gradient_of_normalizations[], gradient_of_losses[], gradient_of_movements[], gradient_of_reductions[],
    gradient_of_pools[], gradient_of_steps[], gradient_of_layer_normalizations[];

#endif
