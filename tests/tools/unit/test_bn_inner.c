/* norma bn on models whose BatchNormalization nodes stand in branches, and on statistics that Constant nodes hold: what
 * is measured, and what is said of the rest. */
#include "tests/support/model_builder.h"
#include "tests/tools/unit/tool_command.h"
#include "tests/tools/unit/tool_runtime.h"

#include "tools/formats/npy.h"
#include "tools/report.h"

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

static char folder[64], model[96], data[96], result[96];

static int set_up(void **state) {
  static float samples[4][2] = {{1, 2}, {3, 4}, {5, 10}, {7, 0}}; /* mean 4 and 4, variance 5 and 14 */
  snprintf(folder, sizeof folder, "/tmp/norma_test_XXXXXX");
  if (!mkdtemp(folder) || tool_runtime_begin(state) != 0) return -1;
  snprintf(model, sizeof model, "%s/model.onnx", folder);
  snprintf(data, sizeof data, "%s/x.npy", folder);
  snprintf(result, sizeof result, "%s/result.onnx", folder);
  const norma_tensor tensor = tensor_over(NORMA_FLOAT, samples, 2, DIMS(4, 2));
  FILE *file = fopen(data, "wb");
  if (!file) return -1;
  npy_encode(file, &tensor);
  return fclose(file);
}

static int tear_down(void **state) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command) != 0 || tool_runtime_end(state) != 0;
}

/* Writes the model and destroys the builder. */
static void write_built(model_builder *b) {
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  FILE *file = fopen(model, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  fclose(file);
  builder_destroy(b);
  remove(result);
}

/* An If whose branches hold nodes "inside" and "other", behind a node "outside" in front of it or none. */
static void write_branches(bool has_outside) {
  model_builder *b = builder_create(15);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 2));
  builder_floats(b, "ones", 1, DIMS(2), (float[]){1, 1});
  builder_floats(b, "zeros", 1, DIMS(2), (float[]){0, 0});
  builder_floats(b, "mean", 1, DIMS(2), (float[]){0, 0});
  builder_floats(b, "variance", 1, DIMS(2), (float[]){1, 1});
  builder_initializer(b, "c", NORMA_BOOL, 0, NULL, &(bool){true});
  if (has_outside) builder_named_node(b, "outside", "", "BatchNormalization", "x ones zeros mean variance", "a");
  node *branches = builder_named_node(b, "branches", "", "If", "c", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *branch = builder_subgraph(b, branches, i ? "else_branch" : "then_branch");
    builder_named_node(branch, i ? "other" : "inside", "", "BatchNormalization",
                       has_outside ? "a ones zeros ones ones" : "x ones zeros ones ones", "d");
    builder_output(branch, "d", NORMA_UNDEFINED, -1, NULL);
  }
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  write_built(b);
}

static char output[4096], errors[4096];

/* norma bn reestimate of the model, with --only where it is not NULL. */
static int reestimate(char *only) {
  char *words[] = {(char[]){"bn reestimate"},
                   model,
                   (char[]){"--data"},
                   data,
                   (char[]){"-o"},
                   result,
                   only ? (char[]){"--only"} : NULL,
                   only,
                   NULL};
  return tool_call(words, output, sizeof output, errors, sizeof errors);
}

static void expect_text(const char *text, const char *part) {
  if (!strstr(text, part)) fail_msg("expected \"%s\" in: %s", part, text);
}

static void expect_no_text(const char *text, const char *part) {
  if (strstr(text, part)) fail_msg("did not expect \"%s\" in: %s", part, text);
}

static void nodes_in_branches_alone_are_refused(void **state) {
  (void)state;
  write_branches(false);
  assert_int_equal(reestimate(NULL), EXIT_REFUSED);
  expect_text(errors, "node 'inside' is left as it is: it stands inside of If 'branches', and only nodes of the main "
                      "graph are changed");
  expect_text(errors, "node 'other' is left as it is");
  expect_text(errors, "model.onnx: no BatchNormalization node can be given new statistics");
  expect_no_text(errors, "--only");
  assert_int_not_equal(access(result, F_OK), 0);
}

/* With --only the nodes in branches are found by their names, too, and nothing is said of the others. */
static void names_of_nodes_in_branches(void **state) {
  (void)state;
  for (int has_outside = 0; has_outside < 2; has_outside++) {
    write_branches(has_outside);
    assert_int_equal(reestimate((char[]){"ins*"}), EXIT_REFUSED);
    expect_text(errors, "node 'inside' is left as it is");
    expect_text(errors, "no BatchNormalization node of --only can be given new statistics");
    expect_no_text(errors, "'other'");
    assert_int_equal(reestimate((char[]){"absent*"}), EXIT_REFUSED);
    expect_text(errors, "--only absent*: no BatchNormalization node has such a name");
    expect_no_text(errors, "left as it is");
    assert_int_not_equal(access(result, F_OK), 0);
  }
}

/* Statistics of the node that writes y in the result. */
static void read_statistics(const char *y, double mean[2], double variance[2]) {
  const norma_load_options options = {.struct_size = sizeof options, .runtime = runtime};
  norma_bn_study *study;
  norma_error error;
  if (norma_bn_open(result, &options, &study, &error) != NORMA_OK) fail_msg("%s", error.message);
  bool is_found = false;
  for (size_t i = 0; i < norma_bn_count(study); i++) {
    norma_bn_info info = {.struct_size = sizeof info};
    norma_bn_describe(study, i, &info);
    if (strcmp(info.output, y) != 0) continue;
    assert_non_null(info.mean);
    assert_non_null(info.variance);
    norma_tensor_get_doubles(info.mean, 0, 2, mean);
    norma_tensor_get_doubles(info.variance, 0, 2, variance);
    is_found = true;
  }
  norma_bn_destroy(study);
  assert_true(is_found);
}

static void expect_statistics(const char *y) {
  double mean[2], variance[2];
  read_statistics(y, mean, variance);
  assert_true(mean[0] == 4 && mean[1] == 4 && variance[0] == 5 && variance[1] == 14);
}

/* What can be measured is, and the branches are told of. */
static void nodes_before_branches_are_measured(void **state) {
  (void)state;
  write_branches(true);
  if (reestimate(NULL) != EXIT_YES) fail_msg("%s", errors);
  expect_text(errors, "node 'inside' is left as it is");
  expect_text(output, "1 of 1 BatchNormalization nodes have new statistics");
  expect_statistics("a");
}

static void freezing_tells_of_branches(void **state) {
  (void)state;
  write_branches(false);
  char *words[] = {(char[]){"bn freeze"}, model, (char[]){"-o"}, result, NULL};
  assert_int_equal(tool_call(words, output, sizeof output, errors, sizeof errors), EXIT_YES);
  expect_text(errors, "node 'inside' is left as it is: it stands inside of If 'branches'");
  expect_text(errors, "node 'other' is left as it is");
}

/* Nodes in branches of branches stand inside of the inner one. */
static void branches_in_branches(void **state) {
  (void)state;
  model_builder *b = builder_create(15);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 2));
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  builder_floats(b, "ones", 1, DIMS(2), (float[]){1, 1});
  node *outer = builder_named_node(b, "outer", "", "If", "c", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *branch = builder_subgraph(b, outer, i ? "else_branch" : "then_branch");
    if (i) {
      builder_node(branch, "Neg", "x", "e");
    } else {
      node *deeper = builder_named_node(branch, "deeper", "", "If", "c", "e");
      for (int k = 0; k < 2; k++) {
        model_builder *leaf = builder_subgraph(branch, deeper, k ? "else_branch" : "then_branch");
        builder_named_node(leaf, "leaf", "", k ? "Identity" : "BatchNormalization", k ? "x" : "x ones ones ones ones",
                           "f");
        builder_output(leaf, "f", NORMA_UNDEFINED, -1, NULL);
      }
    }
    builder_output(branch, "e", NORMA_UNDEFINED, -1, NULL);
  }
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  write_built(b);
  assert_int_equal(reestimate(NULL), EXIT_REFUSED);
  expect_text(errors, "node 'leaf' is left as it is: it stands inside of If 'deeper'");
}

/* A mean that is the value of a Constant node and a variance that is its value_floats are stored. */
static void lists_of_constant_nodes_are_measured(void **state) {
  (void)state;
  model_builder *b = builder_create(15);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 2));
  builder_floats(b, "ones", 1, DIMS(2), (float[]){1, 1});
  builder_floats(b, "zeros", 1, DIMS(2), (float[]){0, 0});
  builder_tensor(builder_node(b, "Constant", "", "mean"), "value", NORMA_FLOAT, 1, DIMS(2), (float[]){0, 0});
  builder_float_list(builder_node(b, "Constant", "", "variance"), "value_floats", 2, (float[]){1, 1});
  builder_named_node(b, "bn", "", "BatchNormalization", "x ones zeros mean variance", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  write_built(b);
  if (reestimate(NULL) != EXIT_YES) fail_msg("%s", errors);
  expect_no_text(errors, "computed");
  expect_statistics("y");
}

/* What is computed is named. */
static void computed_statistics_are_refused(void **state) {
  static const char *const inputs[] = {"x ones zeros half ones", "x ones zeros zeros half", "x ones zeros half half"};
  static const char *const what[] = {"its mean is not stored", "its variance is not stored",
                                     "its mean and variance are not stored"};
  (void)state;
  for (int i = 0; i < 3; i++) {
    model_builder *b = builder_create(15);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 2));
    builder_floats(b, "ones", 1, DIMS(2), (float[]){1, 1});
    builder_floats(b, "zeros", 1, DIMS(2), (float[]){0, 0});
    builder_node(b, "Sqrt", "ones", "half");
    builder_named_node(b, "bn", "", "BatchNormalization", inputs[i], "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    write_built(b);
    assert_int_equal(reestimate(NULL), EXIT_REFUSED);
    expect_text(errors, what[i]);
    expect_text(errors, "model.onnx: no BatchNormalization node can be given new statistics");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nodes_in_branches_alone_are_refused),
      cmocka_unit_test(names_of_nodes_in_branches),
      cmocka_unit_test(nodes_before_branches_are_measured),
      cmocka_unit_test(freezing_tells_of_branches),
      cmocka_unit_test(branches_in_branches),
      cmocka_unit_test(lists_of_constant_nodes_are_measured),
      cmocka_unit_test(computed_statistics_are_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
