/* libFuzzer: any bytes as a picture of ImageDecoder; the first byte chooses the pixels' format. */
#include "tests/fuzz/fuzzing.h"
#include "tests/support/model_builder.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const formats[] = {"RGB", "BGR", "Grayscale"};
  if (size < 1) return 0;
  size_t model_size;
  const int64_t count = (int64_t)size - 1;
  norma_tensor input;
  norma_error error;
  norma_model *model = NULL;
  norma_session *session = NULL;
  norma_runtime *runtime = fuzz_runtime(1, NULL);
  norma_load_options options = {.struct_size = sizeof options, .runtime = runtime};
  norma_run_options run_options = {.struct_size = sizeof run_options, .timeout = 5};
  model_builder *builder = builder_create(20);
  builder_input(builder, "x", NORMA_UINT8, 1, (int64_t[]){-1});
  builder_string(builder_node(builder, "ImageDecoder", "x", "y"), "pixel_format", formats[data[0] % 3]);
  builder_output(builder, "y", NORMA_UINT8, 3, (int64_t[]){-1, -1, -1});
  const void *bytes = builder_bytes(builder, &model_size);
  norma_status status = norma_model_load_memory(bytes, model_size, &options, &model, &error);
  if (status == NORMA_OK) status = norma_session_create(model, NULL, &session, &error);
  if (status != NORMA_OK) abort();
  void *copy = malloc(size); /* an exact block, so that each byte behind it is seen */
  if (!copy) return 0;
  for (size_t i = 1; i < size; i++) ((uint8_t *)copy)[i - 1] = data[i];
  norma_tensor_init(&input, NORMA_UINT8, 1, &count, copy);
  status = norma_session_set_input(session, "x", &input, &error);
  if (status == NORMA_OK) status = norma_session_run_with(session, &run_options, &error);
  fuzz_check(status, &error);
  norma_session_destroy(session);
  norma_model_destroy(model);
  builder_destroy(builder);
  free(copy);
  fuzz_end(runtime);
  return 0;
}
