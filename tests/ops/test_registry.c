/* The operators that a runtime knows: finding them, adding others, and resolving nodes. */
#include "ops/registry.h"
#include "tests/support/counting_allocator.h"
#include "tests/support/workbench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* A registry over memory that can be made to fail, and a graph for nodes. */
typedef struct fixture {
  counting_allocator counting;
  memory memory;
  operator_registry *registry;
  region region;
  graph *graph;
  norma_error error;
} fixture;

static void fixture_init(fixture *f) {
  memset(f, 0, sizeof *f);
  const norma_allocator allocator = counting_allocator_functions(&f->counting);
  memory_init(&f->memory, &allocator, 0);
  f->registry = operator_registry_create(&f->memory);
  assert_non_null(f->registry);
  region_init(&f->region, &f->memory);
  f->graph = graph_create(&f->region, &f->memory, "g", NULL, NULL);
}

static void fixture_finish(fixture *f) {
  graph_release(f->graph);
  region_free(&f->region);
  operator_registry_destroy(f->registry);
  assert_int_equal(atomic_load(&f->counting.outstanding), 0);
}

/* ---------------------------------------------------------------------------------------------------------- finding */

static void all_operators_of_the_build_are_found(void **state) {
  fixture f;
  const operator_descriptor *op;
  (void)state;
  fixture_init(&f);
  for (size_t i = 0; (op = operator_at(i)); i++)
    assert_ptr_equal(operator_registry_find(f.registry, op->domain, op->name), op);
  assert_null(operator_registry_find(f.registry, "", "conv"));
  assert_null(operator_registry_find(f.registry, "", ""));
  assert_null(operator_registry_find(f.registry, "ai.onnx.ml", "Conv"));
  assert_null(operator_registry_find(f.registry, "Conv", "")); /* the border between both counts */
  fixture_finish(&f);
}

static void an_added_operator_stands_before_older_ones(void **state) {
  fixture f;
  const operator_descriptor other = {.domain = "", .name = "Relu"}, own = {.domain = "mine", .name = "Relu"};
  (void)state;
  fixture_init(&f);
  const operator_descriptor *built_in = operator_registry_find(f.registry, "", "Relu");
  assert_int_equal(operator_registry_add(f.registry, &own, &f.error), NORMA_OK);
  assert_ptr_equal(operator_registry_find(f.registry, "mine", "Relu"), &own);
  assert_ptr_equal(operator_registry_find(f.registry, "", "Relu"), built_in);
  assert_int_equal(operator_registry_add(f.registry, &other, &f.error), NORMA_OK);
  assert_ptr_equal(operator_registry_find(f.registry, "", "Relu"), &other);
  fixture_finish(&f);
}

#define MANY 5000

static void thousands_may_be_added(void **state) {
  fixture f;
  (void)state;
  fixture_init(&f);
  operator_descriptor *added = calloc(MANY, sizeof *added);
  char(*names)[16] = calloc(MANY, sizeof *names);
  assert_true(added && names);
  for (int i = 0; i < MANY; i++) {
    snprintf(names[i], sizeof *names, "Op%d", i);
    added[i] = (operator_descriptor){.domain = "many", .name = names[i]};
    assert_int_equal(operator_registry_add(f.registry, &added[i], &f.error), NORMA_OK);
  }
  for (int i = 0; i < MANY; i++) assert_ptr_equal(operator_registry_find(f.registry, "many", names[i]), &added[i]);
  assert_non_null(operator_registry_find(f.registry, "", "Conv"));
  fixture_finish(&f);
  free(added);
  free(names);
}

/* When the table cannot grow the registry is as it was. */
static void memory_that_is_short(void **state) {
  (void)state;
  for (long fail_at = 1;; fail_at++) {
    counting_allocator counting = {.fail_at = fail_at, .fail_from = true};
    const norma_allocator allocator = counting_allocator_functions(&counting);
    memory memory;
    memory_init(&memory, &allocator, 0);
    operator_registry *registry = operator_registry_create(&memory);
    operator_registry_destroy(registry);
    assert_int_equal(atomic_load(&counting.outstanding), 0);
    if (registry) break;
  }
  fixture f;
  fixture_init(&f);
  operator_descriptor added[2000];
  char names[2000][16];
  norma_status status = NORMA_OK;
  int count = 0;
  f.memory.limit = 1; /* what is held already stays */
  for (; count < 2000 && status == NORMA_OK; count++) {
    snprintf(names[count], sizeof *names, "N%d", count);
    added[count] = (operator_descriptor){.domain = "d", .name = names[count]};
    status = operator_registry_add(f.registry, &added[count], &f.error);
  }
  assert_int_equal(status, NORMA_ERROR_BUDGET);
  assert_null(operator_registry_find(f.registry, "d", names[count - 1]));
  assert_ptr_equal(operator_registry_find(f.registry, "d", names[0]), &added[0]);
  fixture_finish(&f);
}

typedef struct reader {
  operator_registry *registry;
  atomic_bool *stop;
} reader;

static void *keep_finding(void *argument) {
  const reader *reader = argument;
  size_t found = 0;
  while (!atomic_load(reader->stop)) found += operator_registry_find(reader->registry, "", "Conv") != NULL;
  return (void *)(uintptr_t)(found > 0);
}

static void one_thread_adds_while_others_find(void **state) {
  fixture f;
  atomic_bool stop = false;
  pthread_t threads[2];
  (void)state;
  fixture_init(&f);
  reader reader = {f.registry, &stop};
  for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, keep_finding, &reader), 0);
  operator_descriptor added[1500];
  char names[1500][16];
  for (int i = 0; i < 1500; i++) {
    snprintf(names[i], sizeof *names, "T%d", i);
    added[i] = (operator_descriptor){.domain = "t", .name = names[i]};
    assert_int_equal(operator_registry_add(f.registry, &added[i], &f.error), NORMA_OK);
  }
  atomic_store(&stop, true);
  for (int i = 0; i < 2; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  fixture_finish(&f);
}

/* -------------------------------------------------------------------------------------------------------- resolving */

/* A node of this operator with `inputs` of which bit i of `absent` leaves out input i. */
static node *node_of(fixture *f, const char *op_type, int64_t opset, int inputs, uint32_t absent, int outputs,
                     int attributes) {
  node *node = graph_add_node(f->graph, "n", op_type, "", inputs, outputs, attributes);
  assert_non_null(node);
  node->opset = opset;
  for (int i = 0; i < inputs; i++) {
    if (!(absent >> i & 1)) node_set_input(node, i, graph_add_unique_value(f->graph, "x"));
  }
  for (int i = 0; i < outputs; i++) node_set_output(node, i, graph_add_unique_value(f->graph, "y"));
  return node;
}

static void check_resolved(fixture *f, node *node, norma_status expected, const char *words) {
  const char *reason = "";
  memset(&f->error, 0, sizeof f->error);
  const norma_status status = operator_resolve(f->registry, node, &reason, &f->error);
  const char *message = status == NORMA_OK ? (reason ? reason : "") : f->error.message;
  if (status != expected || !strstr(message, words))
    fail_msg("expected %s \"%s\", got %s \"%s\"", norma_status_text(expected), words, norma_status_text(status),
             message);
}

static void nodes_are_resolved(void **state) {
  fixture f;
  (void)state;
  fixture_init(&f);
  node *node = node_of(&f, "LeakyRelu", 15, 1, 0, 1, 1);
  node->attributes[0] = (attribute)DRIVER_FLOAT("alpha", 0.5f);
  check_resolved(&f, node, NORMA_OK, "");
  assert_ptr_equal(node->op, operator_registry_find(f.registry, "", "LeakyRelu"));
  assert_int_equal(node->version, 6);
  assert_non_null(node->state);
  fixture_finish(&f);
}

static void what_is_not_supported_has_a_reason(void **state) {
  fixture f;
  (void)state;
  fixture_init(&f);
  check_resolved(&f, node_of(&f, "NoSuchOperator", 15, 1, 0, 1, 0), NORMA_OK, "operator not known to this build");
  check_resolved(&f, node_of(&f, "Mish", 17, 1, 0, 1, 0), NORMA_OK, "operator not supported at this opset version");
  check_resolved(&f, node_of(&f, "Mish", -1, 1, 0, 1, 0), NORMA_OK, "operator not supported at this opset version");
  fixture_finish(&f);
}

static void arity_is_checked(void **state) {
  static const struct {
    const char *op;
    int inputs;
    uint32_t absent;
    int outputs;
    const char *words; /* NULL: it is fine */
  } cases[] = {{"Conv", 1, 0, 1, "has 1 inputs, expected 2 to 3"},
               {"Conv", 4, 0, 1, "has 4 inputs, expected 2 to 3"},
               {"Conv", 3, INPUT(2), 1, NULL},                       /* an absent one at the end */
               {"Conv", 5, INPUT(2) | INPUT(3) | INPUT(4), 1, NULL}, /* and more of them */
               {"Conv", 3, INPUT(1), 1, "input 1 is absent, but Conv needs it"},
               {"Conv", 2, INPUT(1), 1, "has 1 inputs"},
               {"Clip", 3, INPUT(1), 1, NULL},
               {"Sum", 3, INPUT(1), 1, "input 1 is absent, but Sum needs it"}, /* any number may follow */
               {"Sum", 0, 0, 1, "has 0 inputs"},
               {"Relu", 1, 0, 2, "has 2 outputs, expected 1 to 1"},
               {"Relu", 1, 0, 0, "has 0 outputs, expected 1 to 1"},
               {"Dropout", 1, 0, 2, NULL}};
  fixture f;
  (void)state;
  fixture_init(&f);
  for (size_t c = 0; c < COUNT(cases); c++) {
    node *node = node_of(&f, cases[c].op, 13, cases[c].inputs, cases[c].absent, cases[c].outputs, 0);
    check_resolved(&f, node, cases[c].words ? NORMA_ERROR_INVALID_MODEL : NORMA_OK,
                   cases[c].words ? cases[c].words : "");
  }
  node *fused = node_of(&f, "Conv", 13, 4, INPUT(2), 1, 0); /* what passes add stands behind, and is not counted */
  fused->epilogue.residual_input = 3;
  check_resolved(&f, fused, NORMA_OK, "");
  fused->epilogue.residual_input = 0;
  check_resolved(&f, fused, NORMA_ERROR_INVALID_MODEL, "has 4 inputs");
  fixture_finish(&f);
}

static void attributes_are_checked(void **state) {
  static const int64_t ones[] = {1, 1};
  const struct {
    const char *op;
    int64_t opset;
    attribute given;
    const char *words; /* NULL: it is fine */
  } cases[] = {{"Clip", 6, DRIVER_FLOAT("min", 0), NULL},
               {"Clip", 11, DRIVER_FLOAT("min", 0), "has no attribute 'min' in version 11 of Clip"},
               {"Clip", 6, DRIVER_INT("min", 0), "attribute 'min' has kind 2, expected 1"},
               {"Clip", 6, DRIVER_FLOAT("least", 0), "has no attribute 'least'"},
               {"Cast", 13, {0}, "lacks the attribute 'to'"},
               {"Cast", 5, DRIVER_INT("to", 1), "attribute 'to' has kind 2, expected 3"},
               {"Cast", 13, DRIVER_INT("to", 1), NULL},
               {"Transpose", 13, DRIVER_INTS("perm", 2, ones), "perm is no permutation"}}; /* read says so */
  fixture f;
  (void)state;
  fixture_init(&f);
  for (size_t c = 0; c < COUNT(cases); c++) {
    node *node = node_of(&f, cases[c].op, cases[c].opset, 1, 0, 1, cases[c].given.name != NULL);
    if (cases[c].given.name) node->attributes[0] = cases[c].given;
    check_resolved(&f, node, cases[c].words ? NORMA_ERROR_INVALID_MODEL : NORMA_OK,
                   cases[c].words ? cases[c].words : "");
    if (cases[c].words) assert_non_null(strstr(f.error.message, "node 'n'"));
  }
  fixture_finish(&f);
}

static norma_status needs_more(const node *node, void *state, norma_error *error) {
  (void)state;
  return error_at_node(error, NORMA_ERROR_UNSUPPORTED, node, "not in this build");
}

/* Operators from outside look after their attributes themselves, and any of their inputs may be absent. */
static void custom_operators_are_trusted(void **state) {
  fixture f;
  (void)state;
  fixture_init(&f);
  const operator_descriptor custom = {.domain = "",
                                      .name = "Custom",
                                      .versions = {1},
                                      .max_inputs = OPERATOR_VARIADIC,
                                      .min_outputs = 1,
                                      .max_outputs = 1,
                                      .custom = &f};
  const operator_descriptor partial = {
      .domain = "", .name = "Partial", .versions = {1}, .min_outputs = 1, .max_outputs = 1, .read = needs_more};
  assert_int_equal(operator_registry_add(f.registry, &custom, &f.error), NORMA_OK);
  assert_int_equal(operator_registry_add(f.registry, &partial, &f.error), NORMA_OK);
  node *node = node_of(&f, "Custom", 1, 3, INPUT(1), 1, 1);
  node->attributes[0] = (attribute)DRIVER_INT("anything", 1);
  check_resolved(&f, node, NORMA_OK, "");
  check_resolved(&f, node_of(&f, "Partial", 1, 0, 0, 1, 0), NORMA_ERROR_UNSUPPORTED, "not in this build");
  fixture_finish(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_operators_of_the_build_are_found),
      cmocka_unit_test(an_added_operator_stands_before_older_ones),
      cmocka_unit_test(thousands_may_be_added),
      cmocka_unit_test(memory_that_is_short),
      cmocka_unit_test(one_thread_adds_while_others_find),
      cmocka_unit_test(nodes_are_resolved),
      cmocka_unit_test(what_is_not_supported_has_a_reason),
      cmocka_unit_test(arity_is_checked),
      cmocka_unit_test(attributes_are_checked),
      cmocka_unit_test(custom_operators_are_trusted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
