/* Models as C: what is written for good ones, and what is refused. That the source computes the same bits is tested by
 * tests/embedding/test_compile.sh. */
#include "tests/support/model_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct written {
  char *text;
  size_t length;
  size_t room; /* SIZE_MAX: all is taken */
} written;

static bool keep(void *context, const void *bytes, size_t count) {
  written *written = context;
  if (count > written->room - written->length) return false;
  char *longer = realloc(written->text, written->length + count + 1);
  assert_non_null(longer);
  memcpy(longer + written->length, bytes, count);
  written->text = longer;
  written->length += count;
  written->text[written->length] = '\0';
  return true;
}

typedef struct opened {
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  norma_error error;
} opened;

static opened open_builder(model_builder *builder, int threads, const char *kernels) {
  opened opened = {0};
  size_t size;
  const void *bytes = builder_bytes(builder, &size);
  const norma_runtime_options options = {.struct_size = sizeof options, .threads = threads, .kernels = kernels};
  assert_int_equal(norma_runtime_create(&options, &opened.runtime, &opened.error), NORMA_OK);
  const norma_load_options load = {.struct_size = sizeof load, .runtime = opened.runtime};
  assert_int_equal(norma_model_load_memory(bytes, size, &load, &opened.model, &opened.error), NORMA_OK);
  assert_int_equal(norma_session_create(opened.model, NULL, &opened.session, &opened.error), NORMA_OK);
  builder_destroy(builder);
  return opened;
}

static void close_opened(opened *opened) {
  norma_session_destroy(opened->session);
  norma_model_destroy(opened->model);
  norma_runtime_destroy(opened->runtime);
}

static norma_status write_part(opened *opened, norma_source_part part, const char *name, written *written) {
  const norma_source_options options = {.struct_size = sizeof options, .part = part, .name = name};
  return norma_session_write_source(opened->session, &options, keep, written, &opened->error);
}

static const char *plain_table(void) {
  static char name[64];
  norma_kernel_table_info table = {.struct_size = sizeof table};
  assert_int_equal(norma_kernel_table(0, &table), NORMA_OK);
  strcat(strcpy(name, table.name), ":plain");
  return name;
}

/* y = relu(x w + b) */
static model_builder *layer(void) {
  model_builder *b = builder_create(17);
  const float w[6] = {1, 2, 3, 4, 5, 6}, bias[3] = {1, -1, 0};
  builder_input(b, "x", NORMA_FLOAT, 2, (int64_t[]){1, 2});
  builder_floats(b, "w", 2, (int64_t[]){2, 3}, w);
  builder_floats(b, "b", 1, (int64_t[]){3}, bias);
  builder_named_node(b, "the \"layer\"", "", "Gemm", "x w b", "h");
  builder_node(b, "Relu", "h", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  return b;
}

static void a_layer_becomes_three_files(void **state) {
  (void)state;
  opened opened = open_builder(layer(), 1, plain_table());
  written data = {.room = SIZE_MAX}, again = {.room = SIZE_MAX}, header = {.room = SIZE_MAX}, main = {.room = SIZE_MAX};
  assert_int_equal(write_part(&opened, NORMA_SOURCE_DATA, "tiny", &data), NORMA_OK);
  assert_non_null(strstr(data.text, "extern const operator_descriptor operators_gemm[];"));
  assert_non_null(strstr(data.text, "the \\042layer\\042"));
  assert_non_null(strstr(data.text, "int tiny_open(void)"));
  assert_non_null(strstr(data.text, "packed_0"));
  assert_int_equal(write_part(&opened, NORMA_SOURCE_DATA, "tiny", &again), NORMA_OK);
  assert_string_equal(data.text, again.text);
  assert_int_equal(write_part(&opened, NORMA_SOURCE_HEADER, "tiny", &header), NORMA_OK);
  assert_non_null(strstr(header.text, "#define tiny_INPUT_0_BYTES 8\nfloat *tiny_input_0(void);"));
  assert_non_null(strstr(header.text, "#define tiny_OUTPUT_0_BYTES 12\nconst float *tiny_output_0(void);"));
  assert_int_equal(write_part(&opened, NORMA_SOURCE_MAIN, "tiny", &main), NORMA_OK);
  assert_non_null(strstr(main.text, "int main("));
  free(data.text);
  free(again.text);
  free(header.text);
  free(main.text);
  close_opened(&opened);
}

static void a_full_disk_is_an_error(void **state) {
  (void)state;
  opened opened = open_builder(layer(), 1, plain_table());
  written data = {.room = 1000};
  assert_int_equal(write_part(&opened, NORMA_SOURCE_DATA, "tiny", &data), NORMA_ERROR_FILE);
  free(data.text);
  close_opened(&opened);
}

static void wrong_calls_are_refused(void **state) {
  (void)state;
  opened opened = open_builder(layer(), 1, plain_table());
  written data = {.room = SIZE_MAX};
  static const char *const names[] = {"", "1st", "a-b", NULL};
  for (int i = 0; i < 4; i++) {
    assert_int_equal(write_part(&opened, NORMA_SOURCE_DATA, names[i], &data), NORMA_ERROR_ARGUMENT);
  }
  assert_int_equal(write_part(&opened, (norma_source_part)3, "tiny", &data), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_session_write_source(NULL, NULL, keep, &data, NULL), NORMA_ERROR_ARGUMENT);
  assert_int_equal(data.length, 0);
  close_opened(&opened);
  opened = open_builder(layer(), 2, plain_table());
  assert_int_equal(write_part(&opened, NORMA_SOURCE_DATA, "tiny", &data), NORMA_ERROR_ARGUMENT);
  assert_non_null(strstr(opened.error.message, "one thread"));
  close_opened(&opened);
}

/* Each node that cannot be compiled is named, with the reason. */
static void plans_that_are_not_fixed_are_refused(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){4});
  builder_named_node(b, "where", "", "NonZero", "x", "places");
  builder_named_node(b, "turn", "", "Transpose", "places", "y");
  builder_output(b, "y", NORMA_INT64, -1, NULL);
  opened opened = open_builder(b, 1, plain_table());
  written data = {.room = SIZE_MAX};
  assert_int_equal(write_part(&opened, NORMA_SOURCE_DATA, "tiny", &data), NORMA_ERROR_UNSUPPORTED);
  assert_non_null(strstr(opened.error.message, "'where' (NonZero): shapes that depend on data"));
  assert_non_null(strstr(opened.error.message, "'turn' (Transpose)"));
  assert_int_equal(data.length, 0);
  close_opened(&opened);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_layer_becomes_three_files),
      cmocka_unit_test(a_full_disk_is_an_error),
      cmocka_unit_test(wrong_calls_are_refused),
      cmocka_unit_test(plans_that_are_not_fixed_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
