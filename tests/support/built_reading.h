/* Models of a builder, read without being loaded, and messages of protobuf-c read as models. */
#ifndef TESTS_SUPPORT_BUILT_READING_H
#define TESTS_SUPPORT_BUILT_READING_H

#include "tests/support/model_builder.h"
#include "tests/support/model_reading.h"

#include "proto/onnx.pb-c.h"

/* Reads what the builder has, and destroys it. */
norma_status read_built(model_reading *reading, model_builder *builder);
/* The same with a check that says why it failed. */
void must_read_built(model_reading *reading, model_builder *builder);
/* Fails the test unless reading ends with this status and a message that holds `part`; the builder is destroyed. */
void expect_unreadable(model_builder *builder, norma_status status, const char *part);

/* x of 2 x 3 floats -> y, by one node. */
model_builder *unary_model(const char *op_type);

/* A model of this graph, IR version 8 and opset 17. */
norma_status read_graph_message(model_reading *reading, Onnx__GraphProto *graph);
norma_status read_model_message(model_reading *reading, const Onnx__ModelProto *model);

#endif
