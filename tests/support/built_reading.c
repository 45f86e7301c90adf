#include "tests/support/built_reading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

norma_status read_built(model_reading *reading, model_builder *builder) {
  size_t size;
  const void *bytes = builder_bytes(builder, &size);
  norma_status status = reading_read(reading, bytes, size);
  builder_destroy(builder);
  return status;
}

void must_read_built(model_reading *reading, model_builder *builder) {
  if (read_built(reading, builder) != NORMA_OK) fail_msg("%s", reading->error.message);
}

void expect_unreadable(model_builder *builder, norma_status status, const char *part) {
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, builder), status);
  if (!strstr(reading.error.message, part)) fail_msg("expected '%s' in '%s'", part, reading.error.message);
  assert_int_equal(reading_release(&reading), 0);
}

model_builder *unary_model(const char *op_type) {
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, (int64_t[]){2, 3});
  builder_node(b, op_type, "x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  return b;
}

norma_status read_model_message(model_reading *reading, const Onnx__ModelProto *model) {
  size_t size = onnx__model_proto__get_packed_size(model);
  unsigned char *bytes = malloc(size);
  assert_non_null(bytes);
  onnx__model_proto__pack(model, bytes);
  norma_status status = reading_read(reading, bytes, size);
  free(bytes);
  return status;
}

norma_status read_graph_message(model_reading *reading, Onnx__GraphProto *graph) {
  Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT, *opsets[] = {&opset};
  Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
  opset.has_version = 1;
  opset.version = 17;
  model.has_ir_version = 1;
  model.ir_version = 8;
  model.n_opset_import = 1;
  model.opset_import = opsets;
  model.graph = graph;
  return read_model_message(reading, &model);
}
