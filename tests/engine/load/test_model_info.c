/* What a model says of itself: texts, opsets, metadata, sizes. */
#include "tests/support/model_builder.h"
#include "tests/support/model_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static norma_model *load(model_builder *b, norma_load_options options) {
  size_t size;
  norma_model *model;
  norma_error error;
  const void *bytes = builder_bytes(b, &size);
  options.struct_size = sizeof options;
  if (norma_model_load_memory(bytes, size, &options, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  return model;
}

static norma_model_info about(const norma_model *model) {
  norma_model_info info = {.struct_size = sizeof info};
  assert_int_equal(norma_model_describe(model, &info), NORMA_OK);
  return info;
}

static model_builder *make(void) {
  static float weights[6];
  model_builder *b = builder_create(17);
  builder_import(b, "ai.onnx.ml", 3);
  builder_metadata(b, "author", "somebody");
  builder_metadata(b, "classes", "cat,dog");
  builder_model(b)->producer_name = "a test";
  builder_model(b)->producer_version = "1.2";
  builder_model(b)->model_domain = "org.example";
  builder_model(b)->doc_string = "what it is for";
  builder_model(b)->model_version = 42;
  builder_model(b)->ir_version = 8;
  builder_input(b, "x", NORMA_FLOAT, 2, (int64_t[]){2, 3});
  builder_floats(b, "w", 2, (int64_t[]){2, 3}, weights);
  builder_floats(b, "unread", 1, (int64_t[]){6}, weights);
  node *constant = builder_node(b, "Constant", "", "c");
  builder_tensor(constant, "value", NORMA_FLOAT, 1, (int64_t[]){3}, weights);
  builder_node(b, "Add", "x w", "s");
  builder_node(b, "Mul", "s c", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  return b;
}

static void texts_versions_and_metadata(void **state) {
  (void)state;
  model_builder *b = make();
  norma_model *model = load(b, (norma_load_options){.form = NORMA_FORM_INSPECT});
  norma_model_info info = about(model);
  assert_string_equal(info.producer_name, "a test");
  assert_string_equal(info.producer_version, "1.2");
  assert_string_equal(info.domain, "org.example");
  assert_string_equal(info.doc_string, "what it is for");
  assert_true(info.model_version == 42 && info.ir_version == 8 && info.function_count == 0);
  assert_int_equal(info.opset_count, 2);
  const char *domain, *key, *text;
  int64_t version;
  assert_int_equal(norma_model_opset(model, 0, &domain, &version), NORMA_OK);
  assert_string_equal(domain, "ai.onnx");
  assert_int_equal(version, 17);
  assert_int_equal(norma_model_opset(model, 1, &domain, &version), NORMA_OK);
  assert_string_equal(domain, "ai.onnx.ml");
  assert_int_equal(norma_model_opset(model, 2, &domain, &version), NORMA_ERROR_ARGUMENT);
  assert_int_equal(info.metadata_count, 2);
  assert_int_equal(norma_model_metadata(model, 1, &key, &text), NORMA_OK);
  assert_string_equal(key, "classes");
  assert_string_equal(text, "cat,dog");
  assert_int_equal(norma_model_metadata(model, 2, &key, &text), NORMA_ERROR_ARGUMENT);
  assert_string_equal(norma_model_find_metadata(model, "author"), "somebody");
  assert_null(norma_model_find_metadata(model, "nobody"));
  norma_model_destroy(model);
  builder_destroy(b);
}

static void parameters_are_counted_once(void **state) {
  (void)state;
  model_builder *b = make();
  for (int form = NORMA_FORM_RUN; form <= NORMA_FORM_INSPECT; form++) {
    norma_model *model =
        load(b, (norma_load_options){.form = (norma_graph_form)form, .optimization = NORMA_OPTIMIZE_NONE});
    norma_model_info info = about(model);
    assert_int_equal(info.parameter_count, 9); /* w and the Constant; nobody reads the other */
    assert_int_equal(info.parameter_bytes, 36);
    norma_model_destroy(model);
  }
  builder_destroy(b);
}

static void packed_weights_have_a_size(void **state) {
  (void)state;
  loaded_model full = load_model(DIGITS_BN, NORMA_OPTIMIZE_FULL, 1, NULL);
  assert_true(about(full.model).packed_bytes > 0);
  assert_true(about(full.model).parameter_bytes > 0);
  assert_ptr_equal(norma_model_runtime(full.model), full.runtime);
  free_model(&full);
}

static void a_model_without_a_runtime_has_its_own(void **state) {
  (void)state;
  norma_model *model;
  norma_value *value;
  norma_error error;
  assert_int_equal(norma_model_load(DIGITS_BN, NULL, &model, &error), NORMA_OK);
  assert_true(norma_runtime_threads(norma_model_runtime(model)) >= 1);
  assert_true(norma_runtime_kernels(norma_model_runtime(model))[0] != '\0');
  assert_int_equal(norma_value_allocate_tensor(norma_model_runtime(model), NORMA_FLOAT, 0, NULL, &value, &error),
                   NORMA_OK);
  norma_value_destroy(value);
  norma_model_destroy(model);
  assert_null(norma_model_runtime(NULL));
  assert_null(norma_model_graph(NULL));
  assert_int_equal(norma_runtime_threads(NULL), 0);
  assert_string_equal(norma_runtime_kernels(NULL), "");
  norma_model_info info = {.struct_size = sizeof info};
  assert_int_equal(norma_model_describe(NULL, &info), NORMA_ERROR_ARGUMENT);
  assert_null(norma_model_find_metadata(NULL, "x"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts_versions_and_metadata),
      cmocka_unit_test(parameters_are_counted_once),
      cmocka_unit_test(packed_weights_have_a_size),
      cmocka_unit_test(a_model_without_a_runtime_has_its_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
