/* Values from and to the bytes of ONNX's messages, for callers of the library: around proto/value_reader.h and
 * proto/value_writer.h. */
#include "engine/execute/owned_values.h"
#include "proto/value_reader.h"
#include "proto/value_writer.h"

norma_status norma_value_read(norma_runtime *runtime, const void *data, size_t size, norma_value_kind kind,
                              norma_value **result, norma_error *error) {
  if (result) *result = NULL;
  if (!runtime || !result || (!data && size > 0)) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a runtime, bytes and a place for the value are needed");
  }
  value contents = {0};
  TRY(value_read_memory(&runtime->memory, data, size, kind, &contents, error));
  return owned_value_create(runtime, &contents, result, error);
}

norma_status norma_value_write(norma_runtime *runtime, const norma_value *value, const char *name, norma_write write,
                               void *context, norma_error *error) {
  if (!runtime || !value || !write) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a runtime, a value and a function that takes the bytes are needed");
  }
  return value_write(&runtime->memory, value, name, write, context, error);
}
