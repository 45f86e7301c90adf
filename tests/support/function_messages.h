/* Models with functions, written as messages of protobuf-c, since Norma's own graph holds no functions. Strings are
 * borrowed. */
#ifndef TESTS_SUPPORT_FUNCTION_MESSAGES_H
#define TESTS_SUPPORT_FUNCTION_MESSAGES_H

#include "tests/support/model_reading.h"

#include "proto/onnx.pb-c.h"

#define MESSAGE_MOST 8

/* A node with room for what the tests need. */
typedef struct test_node {
  Onnx__NodeProto proto;
  char *inputs[MESSAGE_MOST], *outputs[MESSAGE_MOST];
  Onnx__AttributeProto attributes[MESSAGE_MOST], *attribute_list[MESSAGE_MOST];
} test_node;

typedef struct test_function {
  Onnx__FunctionProto proto;
  char *inputs[MESSAGE_MOST], *outputs[MESSAGE_MOST], *attributes[MESSAGE_MOST];
  Onnx__AttributeProto defaults[MESSAGE_MOST], *default_list[MESSAGE_MOST];
  Onnx__NodeProto *nodes[MESSAGE_MOST];
  Onnx__OperatorSetIdProto opsets[2], *opset_list[2];
} test_function;

/* Another input, output or attribute in a list with room for MESSAGE_MOST. */
void message_add_name(char **list, size_t *count, const char *name);

/* An empty node; `node` is returned. */
test_node *message_node(test_node *node, const char *name, const char *domain, const char *op_type);
void message_input(test_node *node, const char *name);
void message_output(test_node *node, const char *name);
Onnx__AttributeProto *message_attribute(test_node *node, const char *name);
void message_set_float(Onnx__AttributeProto *attribute, float f);
/* A reference to a float attribute of the function. */
void message_set_reference(Onnx__AttributeProto *attribute, const char *name);

/* An empty function of the domain "local", which imports opset 18 of ai.onnx and 1 of "local"; it is returned. */
test_function *message_function(test_function *function, const char *name);
void message_default(test_function *function, const char *name, float f);
void message_function_node(test_function *function, test_node *node);

/* "leaky(a) -> b": LeakyRelu with alpha of the function's attribute `slope`, which is not declared yet. */
void message_leaky(test_function *function, test_node *inner);
/* A node that calls a function of one input and one output. */
void message_call(test_node *call, const char *name, const char *function, const char *input, const char *output);

/* A model x -> y of these nodes and functions, which imports opset 17; the bytes are to be freed. */
void *pack_messages(test_node **nodes, size_t node_count, test_function **functions, size_t function_count,
                    size_t *size);
norma_status read_messages(model_reading *reading, test_node **nodes, size_t node_count, test_function **functions,
                           size_t function_count);

#endif
