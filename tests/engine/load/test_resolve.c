/* Nodes find their operators: whatever this build cannot run is named, all of it at once, by every way that a program
 * may listen; nodes that are wrong end the load. */
#include "engine/load/resolve.h"

#include "engine/base/status.h"
#include "ops/registry.h"
#include "tests/support/built_model.h"
#include "tests/support/failing_allocations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

/* What the program hears: a report for each node, and lines of the log. */
typedef struct heard {
  int reports, lines;
  char nodes[512]; /* "one two " */
  char reasons[2048];
  char log[2048];
} heard;

static void append(char *text, size_t size, const char *more, const char *end) {
  size_t used = strlen(text);
  snprintf(text + used, size - used, "%s%s", more, end);
}

static void hear_report(void *context, const norma_unsupported *item) {
  heard *heard = context;
  char line[400];
  heard->reports++;
  append(heard->nodes, sizeof heard->nodes, item->node, " ");
  snprintf(line, sizeof line, "%s %s %s %lld: %s", item->node, item->op_type, item->domain, (long long)item->opset,
           item->reason);
  append(heard->reasons, sizeof heard->reasons, line, "\n");
}

static void hear_line(void *context, norma_log_level level, const char *line) {
  heard *heard = context;
  if (level != NORMA_LOG_ERROR) return;
  heard->lines++;
  append(heard->log, sizeof heard->log, line, "\n");
}

/* Loads; the builder is destroyed. */
static norma_status listen(model_builder *b, heard *heard, norma_error *error) {
  norma_runtime *runtime;
  norma_model *model;
  size_t size;
  memset(heard, 0, sizeof *heard);
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .log = hear_line};
  options.log_context = heard;
  assert_int_equal(norma_runtime_create(&options, &runtime, error), NORMA_OK);
  norma_load_options load = {.struct_size = sizeof load, .runtime = runtime, .report = hear_report};
  load.report_context = heard;
  const void *bytes = builder_bytes(b, &size);
  norma_status status = norma_model_load_memory(bytes, size, &load, &model, error);
  if (status == NORMA_OK) norma_model_destroy(model);
  if (status != NORMA_OK) assert_null(model);
  builder_destroy(b);
  norma_runtime_destroy(runtime);
  return status;
}

static void assert_has(const char *text, const char *part) {
  if (!strstr(text, part)) fail_msg("\"%s\" lacks \"%s\"", text, part);
}

/* ------------------------------------------------------------------------------------------------ unsupported nodes */

/* Domains and operators that nobody knows, opsets before an operator, element types it does not take. */
static void all_unsupported_nodes_are_named(void **state) {
  (void)state;
  heard heard;
  norma_error error;
  model_builder *b = builder_create(13);
  builder_import(b, "nowhere", 3);
  builder_input(b, "x", NORMA_FLOAT, 1, DIMS(4));
  builder_input(b, "s", NORMA_STRING, 1, DIMS(4));
  builder_named_node(b, "one", "nowhere", "Add", "x", "a");
  builder_named_node(b, "two", "", "NoSuchOperator", "a", "b");
  builder_named_node(b, "three", "", "Relu", "b", "c");
  builder_named_node(b, "four", "nowhere", "Mul", "x", "d");
  builder_named_node(b, "five", "", "Relu", "s", "e");
  builder_named_node(b, "six", "", "Gelu", "x", "f"); /* since 20 */
  const char *const outputs[] = {"a", "b", "c", "d", "e", "f"};
  for (int i = 0; i < 6; i++) builder_output(b, outputs[i], NORMA_UNDEFINED, -1, NULL);
  assert_int_equal(listen(b, &heard, &error), NORMA_ERROR_UNSUPPORTED);
  assert_int_equal(heard.reports, 5);
  assert_string_equal(heard.nodes, "one two four six five ");
  assert_has(heard.reasons, "one Add nowhere 3: operator not known to this build\n");
  assert_has(heard.reasons, "two NoSuchOperator ai.onnx 13: operator not known to this build\n");
  assert_has(heard.reasons, "four Mul nowhere 3: operator not known to this build\n");
  assert_has(heard.reasons, "six Gelu ai.onnx 13: operator not supported at this opset version\n");
  assert_has(heard.reasons, "five Relu ai.onnx 13: element type string of input 0 ('s') is not supported\n");
  assert_int_equal(heard.lines, 5);
  assert_has(heard.log, "unsupported: node 'one' (Add, nowhere 3): operator not known to this build\n");
  assert_has(heard.log, "unsupported: node 'five' (Relu, ai.onnx 13): element type string");
  assert_has(error.message, "5 nodes are unsupported: 'one' (Add, nowhere 3): operator not known to this build; 'two'");
  assert_has(error.message, "'five' (Relu, ai.onnx 13): element type string");
}

/* The error's other fields are those of the first one. */
static void error_is_of_the_first_node(void **state) {
  (void)state;
  heard heard;
  norma_error error;
  for (int more = 0; more < 2; more++) {
    model_builder *b = builder_create(13);
    builder_import(b, "nowhere", 3);
    builder_input(b, "x", NORMA_FLOAT, 0, NULL);
    builder_named_node(b, "good", "", "Relu", "x", "r");
    builder_named_node(b, "one", "nowhere", "First", "r", "y");
    if (more) builder_named_node(b, "two", "", "NoSuchOperator", "y", "z");
    builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
    assert_int_equal(listen(b, &heard, &error), NORMA_ERROR_UNSUPPORTED);
    assert_int_equal(error.status, NORMA_ERROR_UNSUPPORTED);
    assert_string_equal(error.node, "one");
    assert_string_equal(error.op_type, "First");
    assert_string_equal(error.domain, "nowhere");
    assert_int_equal(error.opset, 3);
    const char *message = "1 node is unsupported: 'one' (First, nowhere 3): operator not known to this build";
    if (!more) assert_string_equal(error.message, message);
    if (more) assert_has(error.message, "2 nodes are unsupported: 'one'");
  }
}

static norma_status refuse_setting(const node *node, void *state, norma_error *error) {
  (void)state;
  return attribute_int(node, "setting", 0) ? error_set(error, NORMA_ERROR_UNSUPPORTED, "setting 1 is not computed yet")
                                           : NORMA_OK;
}

/* Operators may refuse what attributes ask for as they read them: reported as the others. */
static void settings_that_are_unsupported(void **state) {
  static const operator_attribute attributes[] = {{"setting", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false}, {0}};
  static const operator_descriptor picky = {.domain = "test.house",
                                            .name = "Picky",
                                            .versions = {1},
                                            .min_inputs = 1,
                                            .max_inputs = 1,
                                            .min_outputs = 1,
                                            .max_outputs = 1,
                                            .attributes = attributes,
                                            .read = refuse_setting,
                                            .infer = infer_same};
  (void)state;
  heard heard = {0};
  norma_error error;
  norma_runtime *runtime;
  norma_model *model;
  size_t size;
  assert_int_equal(norma_runtime_create(NULL, &runtime, &error), NORMA_OK);
  assert_int_equal(operator_registry_add(runtime->operators, &picky, &error), NORMA_OK);
  model_builder *b = builder_create(13);
  builder_import(b, "test.house", 1);
  builder_input(b, "x", NORMA_FLOAT, 1, DIMS(4));
  for (int i = 0; i < 3; i++) {
    node *node =
        builder_named_node(b, (const char *[]){"first", "second", "third"}[i], "test.house", "Picky", "x", "-");
    builder_int(node, "setting", i > 0);
  }
  builder_output(b, "x", NORMA_UNDEFINED, -1, NULL);
  norma_load_options load = {.struct_size = sizeof load, .runtime = runtime, .report = hear_report};
  load.report_context = &heard;
  const void *bytes = builder_bytes(b, &size);
  assert_int_equal(norma_model_load_memory(bytes, size, &load, &model, &error), NORMA_ERROR_UNSUPPORTED);
  assert_string_equal(heard.nodes, "second third ");
  assert_has(error.message, "2 nodes are unsupported");
  assert_has(error.message, "setting 1 is not computed yet");
  builder_destroy(b);
  norma_runtime_destroy(runtime);
}

static void nodes_of_subgraphs_are_named(void **state) {
  (void)state;
  heard heard;
  norma_error error;
  model_builder *b = builder_create(13);
  builder_import(b, "nowhere", 1);
  builder_input(b, "x", NORMA_FLOAT, 0, NULL);
  builder_input(b, "s", NORMA_STRING, 0, NULL);
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  node *outer = builder_named_node(b, "outer", "", "If", "c", "y");
  model_builder *then_branch = builder_subgraph(b, outer, "then_branch");
  node *inner = builder_named_node(then_branch, "inner", "", "If", "c", "a");
  builder_output(then_branch, "a", NORMA_UNDEFINED, -1, NULL);
  model_builder *else_branch = builder_subgraph(b, outer, "else_branch");
  builder_named_node(else_branch, "refused", "", "Relu", "s", "b");
  builder_output(else_branch, "b", NORMA_UNDEFINED, -1, NULL);
  for (int i = 0; i < 2; i++) {
    model_builder *branch = builder_subgraph(then_branch, inner, i ? "else_branch" : "then_branch");
    builder_named_node(branch, i ? "deep_else" : "deep_then", "nowhere", "Own", "x", "d");
    builder_output(branch, "d", NORMA_UNDEFINED, -1, NULL);
  }
  builder_named_node(b, "behind", "nowhere", "Own", "y", "z");
  builder_output(b, "z", NORMA_UNDEFINED, -1, NULL);
  assert_int_equal(listen(b, &heard, &error), NORMA_ERROR_UNSUPPORTED);
  assert_int_equal(heard.reports, 4);
  for (int i = 0; i < 4; i++)
    assert_has(heard.nodes, (const char *[]){"deep_then ", "deep_else ", "refused ", "behind "}[i]);
}

/* The message has room for some of them; it says how many there are, and the report gets all. */
static void more_than_a_message_holds(void **state) {
  enum { MANY = 5000 };
  (void)state;
  heard heard;
  norma_error error;
  char name[32];
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 0, NULL);
  for (int i = 0; i < MANY; i++) {
    snprintf(name, sizeof name, "node_\xE2\x82\xAC_%d", i);
    builder_named_node(b, name, "", "NoSuchOperator", "x", "-");
  }
  builder_output(b, "x", NORMA_UNDEFINED, -1, NULL);
  assert_int_equal(listen(b, &heard, &error), NORMA_ERROR_UNSUPPORTED);
  assert_int_equal(heard.reports, MANY);
  assert_int_equal(heard.lines, MANY);
  assert_has(error.message, "5000 nodes are unsupported: 'node_\xE2\x82\xAC_0'");
  assert_has(error.message, "'node_\xE2\x82\xAC_1'");
  assert_int_equal(strlen(error.message), sizeof error.message - 1);
}

/* Nobody needs to listen. */
static void nobody_listens(void **state) {
  (void)state;
  size_t size;
  norma_model *model;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 0, NULL);
  builder_node(b, "NoSuchOperator", "x", "y");
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  const void *bytes = builder_bytes(b, &size);
  assert_int_equal(norma_model_load_memory(bytes, size, NULL, &model, NULL), NORMA_ERROR_UNSUPPORTED);
  assert_null(model);
  builder_destroy(b);
}

/* Operators that passes make are no operators of files. */
static void inner_operators_are_not_for_files(void **state) {
  (void)state;
  heard heard;
  norma_error error;
  model_builder *b = builder_create(13);
  builder_import(b, OPERATOR_INNER_DOMAIN, 1);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(1, 8, 4, 4));
  builder_named_node(b, "inner", OPERATOR_INNER_DOMAIN, "ElementwiseChain", "x", "y");
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  assert_int_equal(listen(b, &heard, &error), NORMA_ERROR_UNSUPPORTED);
  assert_string_equal(heard.nodes, "inner ");
  assert_has(error.message, "operator not known to this build");
}

/* What follows from nodes that nobody knows may fail to be inferred: that is the lesser news. */
static void unknown_results_are_no_reason(void **state) {
  (void)state;
  heard heard;
  norma_error error;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(2, 3));
  builder_named_node(b, "unknown", "", "NoSuchOperator", "x", "u");
  builder_named_node(b, "wrong", "", "MatMul", "x x", "m"); /* 2 x 3 times 2 x 3 */
  builder_named_node(b, "both", "", "Add", "u m", "y");
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  assert_int_equal(listen(b, &heard, &error), NORMA_ERROR_UNSUPPORTED);
  assert_string_equal(heard.nodes, "unknown ");
  assert_string_equal(error.node, "unknown");
}

/* ---------------------------------------------------------------------------------------------------- invalid nodes */

/* A node that is wrong ends the walk, and is the outcome even where unsupported nodes were found before it. */
static void invalid_nodes_are_the_outcome(void **state) {
  (void)state;
  heard heard;
  norma_error error;
  for (int inside = 0; inside < 2; inside++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 0, NULL);
    builder_input(b, "c", NORMA_BOOL, 0, NULL);
    builder_named_node(b, "unknown", "", "NoSuchOperator", "x", "u");
    if (!inside) builder_named_node(b, "wrong", "", "Add", "x", "a");
    node *branches = builder_named_node(b, "branches", "", "If", "c", "y");
    for (int i = 0; i < 2; i++) {
      model_builder *branch = builder_subgraph(b, branches, i ? "else_branch" : "then_branch");
      builder_named_node(branch, "wrong", "", "Add", i || !inside ? "x x" : "x", "d");
      builder_output(branch, "d", NORMA_UNDEFINED, -1, NULL);
    }
    builder_named_node(b, "unknown as well", "", "NoSuchOperator", "x", "v");
    builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
    assert_int_equal(listen(b, &heard, &error), NORMA_ERROR_INVALID_MODEL);
    assert_int_equal(error.status, NORMA_ERROR_INVALID_MODEL);
    assert_string_equal(error.node, "wrong");
    assert_has(error.message, "has 1 inputs, expected 2 to 2");
    assert_string_equal(heard.nodes, "unknown ");
  }
}

/* ------------------------------------------------------------------------------------------------------------ types */

/* Inputs that have to be of one type, and are not: the model is wrong. */
static void types_that_conflict(void **state) {
  (void)state;
  heard heard;
  norma_error error;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 0, NULL);
  builder_input(b, "i", NORMA_INT32, 0, NULL);
  builder_named_node(b, "sum", "", "Add", "x i", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  assert_int_equal(listen(b, &heard, &error), NORMA_ERROR_INVALID_MODEL);
  assert_int_equal(heard.reports, 0);
  assert_string_equal(error.node, "sum");
  assert_has(error.message, "input 1 ('i') has element type int32, expected float like the inputs before");
}

/* Beside an unsupported node a conflict is the lesser news; status and error agree. */
static void unsupported_and_conflicting(void **state) {
  (void)state;
  heard heard;
  norma_error error;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 0, NULL);
  builder_input(b, "i", NORMA_INT32, 0, NULL);
  builder_node(b, "NoSuchOperator", "x", "u");
  builder_node(b, "Add", "x i", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  assert_int_equal(listen(b, &heard, &error), NORMA_ERROR_UNSUPPORTED);
  assert_int_equal(error.status, NORMA_ERROR_UNSUPPORTED);
  assert_has(error.message, "NoSuchOperator");
}

/* Sequences where tensors are wanted. */
static void kinds_that_conflict(void **state) {
  (void)state;
  heard heard;
  norma_error error;
  const value_info item = {.kind = NORMA_VALUE_TENSOR, .type = NORMA_FLOAT, .shape = {.rank = 0}};
  const value_info sequence = {.kind = NORMA_VALUE_SEQUENCE, .item = &item};
  model_builder *b = builder_create(13);
  builder_input_info(b, "s", &sequence);
  builder_named_node(b, "relu", "", "Relu", "s", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  assert_int_equal(listen(b, &heard, &error), NORMA_ERROR_INVALID_MODEL);
  assert_string_equal(error.node, "relu");
  assert_has(error.message, "tensor");
}

static void types_inside_branches_are_checked(void **state) {
  (void)state;
  heard heard;
  norma_error error;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 0, NULL);
  builder_input(b, "i", NORMA_INT32, 0, NULL);
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  node *branches = builder_node(b, "If", "c", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *branch = builder_subgraph(b, branches, i ? "else_branch" : "then_branch");
    builder_named_node(branch, i ? "wrong" : "right", "", "Add", i ? "x i" : "x x", "d");
    builder_output(branch, "d", NORMA_UNDEFINED, -1, NULL);
  }
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  assert_int_equal(listen(b, &heard, &error), NORMA_ERROR_INVALID_MODEL);
  assert_string_equal(error.node, "wrong");
}

/* What the model leaves open fits all rules, until an input brings it. */
static void open_types_are_no_conflict(void **state) {
  (void)state;
  heard heard;
  norma_error error;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_UNDEFINED, -1, NULL);
  builder_input(b, "i", NORMA_INT32, 0, NULL);
  builder_node(b, "Add", "x i", "y");
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  assert_int_equal(listen(b, &heard, &error), NORMA_OK);
  assert_int_equal(heard.reports + heard.lines, 0);
}

/* ---------------------------------------------------------------------------------------------------------- outputs */

/* A required output without a name is computed for nobody. */
static void required_output_without_a_name(void **state) {
  (void)state;
  float data[4] = {3, 1, 4, 1};
  norma_session *session;
  norma_error error;
  norma_tensor x;
  norma_tensor_init(&x, NORMA_FLOAT, 1, DIMS(4), data);
  for (int level = NORMA_OPTIMIZE_NONE; level <= NORMA_OPTIMIZE_FULL; level++) {
    model_builder *b = builder_create(17);
    builder_input(b, "x", NORMA_FLOAT, 1, DIMS(4));
    builder_ints64(b, "k", 1, DIMS(1), DIMS(2));
    builder_node(b, "TopK", "x k", "- indices");
    builder_node(b, "Relu", "x", "-");
    builder_output(b, "indices", NORMA_INT64, -1, NULL);
    norma_model *model = load_built(b, (norma_optimization)level, NULL);
    assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
    assert_int_equal(norma_session_set_input(session, "x", &x, &error), NORMA_OK);
    assert_int_equal(norma_session_run(session, &error), NORMA_OK);
    const int64_t *indices = norma_value_tensor(norma_session_output(session, 0))->data;
    assert_int_equal(indices[0], 2);
    assert_int_equal(indices[1], 0);
    norma_session_destroy(session);
    norma_model_destroy(model);
  }
}

/* ----------------------------------------------------------------------------------------------------------- memory */

typedef struct model_bytes {
  const void *data;
  size_t size;
} model_bytes;

static norma_status load_in(void *context, const norma_allocator *allocator, norma_error *error) {
  const model_bytes *bytes = context;
  norma_runtime *runtime = NULL;
  norma_model *model = NULL;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .allocator = *allocator};
  norma_load_options load = {.struct_size = sizeof load, .optimization = NORMA_OPTIMIZE_NONE};
  norma_status status = norma_runtime_create(&options, &runtime, error);
  load.runtime = runtime;
  if (status == NORMA_OK) status = norma_model_load_memory(bytes->data, bytes->size, &load, &model, error);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_bytes bytes;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 1, DIMS(4));
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  builder_ints64(b, "k", 1, DIMS(1), DIMS(2));
  builder_node(b, "TopK", "x k", "- -");
  node *branches = builder_node(b, "If", "c", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *branch = builder_subgraph(b, branches, i ? "else_branch" : "then_branch");
    builder_node(branch, "TopK", "x k", "- d");
    builder_output(branch, "d", NORMA_UNDEFINED, -1, NULL);
  }
  builder_output(b, "y", NORMA_INT64, -1, NULL);
  bytes.data = builder_bytes(b, &bytes.size);
  assert_int_equal(fail_each_allocation(load_in, &bytes), 0);
  builder_destroy(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_unsupported_nodes_are_named),   cmocka_unit_test(error_is_of_the_first_node),
      cmocka_unit_test(settings_that_are_unsupported),     cmocka_unit_test(nodes_of_subgraphs_are_named),
      cmocka_unit_test(more_than_a_message_holds),         cmocka_unit_test(nobody_listens),
      cmocka_unit_test(inner_operators_are_not_for_files), cmocka_unit_test(unknown_results_are_no_reason),
      cmocka_unit_test(invalid_nodes_are_the_outcome),     cmocka_unit_test(types_that_conflict),
      cmocka_unit_test(unsupported_and_conflicting),       cmocka_unit_test(kinds_that_conflict),
      cmocka_unit_test(types_inside_branches_are_checked), cmocka_unit_test(open_types_are_no_conflict),
      cmocka_unit_test(required_output_without_a_name),    cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
