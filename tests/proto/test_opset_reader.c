/* Opset imports: which versions there may be, of the model and of each function, and which one a node is of. */
#include "proto/reader.h"

#include "tests/support/built_reading.h"
#include "tests/support/function_messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void versions_are_bounded(void **state) {
  (void)state;
  model_builder *b = unary_model("Relu");
  builder_model(b)->ir_version = 15;
  expect_unreadable(b, NORMA_ERROR_UNSUPPORTED, "ir version 15 is newer than 14, the newest this build knows");
  b = unary_model("Relu");
  builder_model(b)->ir_version = -1;
  expect_unreadable(b, NORMA_ERROR_INVALID_MODEL, "ir version -1");
  b = builder_create(29);
  expect_unreadable(b, NORMA_ERROR_UNSUPPORTED,
                    "opset 29 of domain ai.onnx is newer than 28, the newest this build knows");
  b = builder_create(-3);
  expect_unreadable(b, NORMA_ERROR_INVALID_MODEL, "opset -3 of domain ai.onnx");
  b = builder_create(17);
  builder_import(b, "ai.onnx.ml", 6);
  expect_unreadable(b, NORMA_ERROR_UNSUPPORTED, "opset 6 of domain ai.onnx.ml is newer than 5");
  b = builder_create(17);
  builder_import(b, "ai.onnx", 16);
  expect_unreadable(b, NORMA_ERROR_INVALID_MODEL, "imported twice, as 17 and 16");
  b = builder_create(28); /* the newest */
  builder_import(b, "ai.onnx.ml", 5);
  builder_import(b, "ai.onnx.preview.training", 1);
  builder_import(b, "com.example", 1000);
  builder_model(b)->ir_version = 14;
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_OK);
  assert_int_equal(reading_release(&reading), 0);
}

static void models_without_imports_have_opset_1(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(0);
  builder_model(b)->ir_version = 2;
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  builder_output(b, "x", NORMA_FLOAT, -1, NULL);
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_OK);
  assert_int_equal(reading.model.opsets[0].version, 1);
  assert_int_equal(reading_release(&reading), 0);
}

static void both_names_of_the_default_domain(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(0);
  builder_import(b, "ai.onnx", 12);
  builder_model(b)->opsets[0].domain = ""; /* for the builder's own node */
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  node *made = builder_node(b, "Relu", "x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  made->domain = builder_model(b)->opsets[0].domain = "ai.onnx";
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_OK);
  assert_string_equal(reading.model.opsets[0].domain, "");
  assert_string_equal(reading.model.graph->first->domain, "");
  assert_int_equal(reading.model.graph->first->opset, 12);
  assert_int_equal(reading_release(&reading), 0);
}

static void domains_must_be_imported(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  builder_import(b, "com.example", 1);
  builder_named_node(b, "n", "com.example", "Op", "x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  unsigned char *changed = malloc(size);
  assert_non_null(changed);
  memcpy(changed, bytes, size);
  unsigned char *last = NULL; /* the import stands behind the graph */
  for (size_t i = 0; i + 11 <= size; i++) {
    if (memcmp(changed + i, "com.example", 11) == 0) last = changed + i;
  }
  assert_non_null(last);
  last[0] = 'd';
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(reading_read(&reading, changed, size), NORMA_ERROR_INVALID_MODEL);
  assert_string_equal(reading.error.node, "n");
  assert_string_equal(reading.error.domain, "com.example");
  assert_non_null(strstr(reading.error.message, "imports no opset of domain com.example"));
  assert_int_equal(reading_release(&reading), 0);
  free(changed);
  builder_destroy(b);
}

/* An import may stand twice if it says the same both times, under either name of the default domain. */
static void imports_that_repeat(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = unary_model("Relu");
  builder_import(b, "ai.onnx", 17);
  builder_import(b, "com.example", 2);
  builder_import(b, "com.example", 2);
  reading_init(&reading, 0);
  must_read_built(&reading, b);
  assert_int_equal(reading.model.opset_count, 2);
  assert_string_equal(reading.model.opsets[1].domain, "com.example");
  assert_int_equal(reading_release(&reading), 0);
  b = unary_model("Relu");
  builder_import(b, "com.example", 2);
  builder_import(b, "com.example", 3);
  expect_unreadable(b, NORMA_ERROR_INVALID_MODEL, "domain com.example is imported twice, as 2 and 3");
}

static void number_of_domains_is_bounded(void **state) {
  enum { MOST_DOMAINS = 100 };
  (void)state;
  for (size_t more = 0; more < 2; more++) {
    char domains[MOST_DOMAINS + 1][24];
    Onnx__OperatorSetIdProto opsets[MOST_DOMAINS + 1], *list[MOST_DOMAINS + 1];
    Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    for (int i = 0; i <= MOST_DOMAINS; i++) {
      snprintf(domains[i], sizeof domains[i], "domain%d", i);
      onnx__operator_set_id_proto__init(&opsets[i]);
      opsets[i].domain = domains[i];
      opsets[i].has_version = 1;
      opsets[i].version = 1;
      list[i] = &opsets[i];
    }
    model.has_ir_version = 1;
    model.ir_version = 8;
    model.n_opset_import = MOST_DOMAINS + more;
    model.opset_import = list;
    model.graph = &graph;
    model_reading reading;
    reading_init(&reading, 0);
    assert_int_equal(read_model_message(&reading, &model), more ? NORMA_ERROR_BUDGET : NORMA_OK);
    assert_int_equal(reading_release(&reading), 0);
  }
}

/* The error says which domain and version it is about. */
static void errors_name_domain_and_version(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = unary_model("Relu");
  builder_import(b, "ai.onnx.ml", 99);
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_ERROR_UNSUPPORTED);
  assert_string_equal(reading.error.domain, "ai.onnx.ml");
  assert_int_equal(reading.error.opset, 99);
  assert_int_equal(reading_release(&reading), 0);
}

/* Nodes of a body are of the opsets that the function imports; a domain that it does not import is none of its. */
static void functions_import_for_themselves(void **state) {
  (void)state;
  model_reading reading;
  test_function leaky;
  test_node inner, call;
  message_leaky(&leaky, &inner);
  message_default(&leaky, "slope", 0.5f);
  leaky.opsets[0].version = 16;
  message_call(&call, "call", "leaky", "x", "y");
  reading_init(&reading, 0);
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, (test_function *[]){&leaky}, 1), NORMA_OK);
  assert_int_equal(reading.model.graph->first->opset, 16);
  assert_int_equal(reading.model.opsets[0].version, 17);
  assert_int_equal(reading_release(&reading), 0);

  leaky.opsets[0].version = MODEL_NEWEST_OPSET + 1;
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, (test_function *[]){&leaky}, 1),
                   NORMA_ERROR_UNSUPPORTED);
  assert_non_null(strstr(reading.error.message, "function 'leaky'"));
  assert_int_equal(reading_release(&reading), 0);

  leaky.opsets[0].version = 16;
  leaky.opsets[0].domain = (char *)(uintptr_t) "other";
  assert_int_equal(read_messages(&reading, (test_node *[]){&call}, 1, (test_function *[]){&leaky}, 1),
                   NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "the function imports no opset of domain ai.onnx"));
  assert_string_equal(reading.error.node, "call/inner");
  assert_int_equal(reading_release(&reading), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(versions_are_bounded),
      cmocka_unit_test(models_without_imports_have_opset_1),
      cmocka_unit_test(both_names_of_the_default_domain),
      cmocka_unit_test(domains_must_be_imported),
      cmocka_unit_test(imports_that_repeat),
      cmocka_unit_test(number_of_domains_is_bounded),
      cmocka_unit_test(errors_name_domain_and_version),
      cmocka_unit_test(functions_import_for_themselves),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
