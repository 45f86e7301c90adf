/* The BatchNormalization nodes of a model: where their statistics come from, in which order these follow from each
 * other, and models that compute what the nodes read. */
#include "engine/edit/bn_analysis.h"

#include "tests/support/built_model.h"
#include "tests/support/failing_allocations.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

static const norma_load_options defaults = {.struct_size = sizeof defaults};

/* The builder's model as a file, which belongs to this process; the builder is destroyed. */
static const char *write_model(model_builder *b) {
  static char path[64];
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  snprintf(path, sizeof path, "/tmp/norma_test_bn_analysis_%ld.onnx", (long)getpid());
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
  builder_destroy(b);
  return path;
}

static norma_status open_file(const char *path, const norma_load_options *options, bn_analysis **study,
                              norma_error *error) {
  const model_source source = {.path = path};
  return bn_analysis_open(&source, options, study, error);
}

static bn_analysis *open_study(model_builder *b) {
  bn_analysis *study;
  norma_error error;
  if (open_file(write_model(b), &defaults, &study, &error) != NORMA_OK) fail_msg("%s", error.message);
  return study;
}

static void close_study(bn_analysis *study) {
  bn_analysis_close(study);
  char path[64];
  snprintf(path, sizeof path, "/tmp/norma_test_bn_analysis_%ld.onnx", (long)getpid());
  remove(path);
}

static norma_model *open_stage(const bn_analysis *study, batch_setting *settings) {
  norma_model *stage;
  norma_error error;
  if (bn_analysis_stage(study, &defaults, settings, &stage, &error) != NORMA_OK) fail_msg("%s", error.message);
  return stage;
}

/* Two channels: scale 1 and 2, shift 0 and 1, and statistics as given. */
static void add_vectors(model_builder *b, const char *stem, const float mean[2], const float variance[2]) {
  static const float scale[2] = {1, 2}, shift[2] = {0, 1};
  static const char *const parts[] = {"scale", "shift", "mean", "variance"};
  const float *const vectors[] = {scale, shift, mean, variance};
  char name[64];
  for (int i = 0; i < 4; i++) {
    snprintf(name, sizeof name, "%s.%s", stem, parts[i]);
    if (vectors[i]) builder_floats(b, name, 1, DIMS(2), vectors[i]);
  }
}

/* A node of that name on x, which gives y. */
static node *add_normalization(model_builder *b, const char *name, const char *x, const char *y) {
  static const float mean[2] = {0.5f, -1}, variance[2] = {4, 0.25f};
  char inputs[300];
  add_vectors(b, name, mean, variance);
  snprintf(inputs, sizeof inputs, "%s %s.scale %s.shift %s.mean %s.variance", x, name, name, name, name);
  return builder_named_node(b, name, "", "BatchNormalization", inputs, y);
}

/* ------------------------------------------------------------------------------------------------------- statistics */

static void nodes_are_described(void **state) {
  (void)state;
  model_builder *b = builder_create(15);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(-1, 2, 5));
  node *first = add_normalization(b, "first", "x", "a");
  builder_float(first, "epsilon", 0.5f);
  builder_float(first, "momentum", 0.25f);
  builder_node(b, "Relu", "a", "r");
  add_normalization(b, "second", "r", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  bn_analysis *study = open_study(b);
  assert_int_equal(study->model->optimization, NORMA_OPTIMIZE_NONE);
  assert_int_equal(study->count, 2);
  assert_int_equal(study->inner_count, 0);
  for (size_t i = 0; i < 2; i++) {
    const batch_normalization *found = &study->nodes[i];
    assert_string_equal(found->node->name, i ? "second" : "first");
    assert_string_equal(found->input, i ? "r" : "x");
    assert_string_equal(found->output, i ? "y" : "a");
    assert_int_equal(found->channels, 2);
    assert_true(found->epsilon == (i ? (double)1e-5f : 0.5));
    assert_true(found->momentum == (i ? (double)0.9f : 0.25));
    assert_false(found->training);
    assert_null(found->obstacle);
    assert_true(found->chosen);
    const statistic *both[] = {&found->mean, &found->variance};
    for (int k = 0; k < 2; k++) {
      assert_int_equal(both[k]->home, STATISTIC_INITIALIZER);
      assert_false(both[k]->is_shared);
      assert_ptr_equal(both[k]->value, found->node->inputs[3 + k]);
      assert_string_equal(both[k]->name, found->node->inputs[3 + k]->name);
      assert_true(((const float *)both[k]->contents->tensor.data)[0] == (k ? 4 : 0.5f));
    }
    assert_true(((const float *)found->scale->data)[1] == 2);
    assert_true(((const float *)found->bias->data)[1] == 1);
  }
  close_study(study);
}

/* The second node's statistics for each way of giving them. */
static void statistics_come_from_many_places(void **state) {
  enum {
    PLAIN,
    SHARED,
    NODE,
    COPIED,
    TWICE_COPIED,
    COPIED_NODE,
    INPUT_OF_GRAPH,
    COMPUTED,
    OUTPUT,
    LIST,
    COPIED_LIST,
    COUNT
  };
  static const struct {
    const char *mean; /* what the node reads */
    statistic_home home;
    const char *name; /* of what holds it */
    bool is_shared;
  } cases[COUNT] = {
      {"m", STATISTIC_INITIALIZER, "m", false},    {"m", STATISTIC_INITIALIZER, "m", true},
      {"c", STATISTIC_CONSTANT, "c", false},       {"i", STATISTIC_COPIED, "m", true},
      {"j", STATISTIC_COPIED, "m", true},          {"k", STATISTIC_COPIED, "c", true},
      {"free", STATISTIC_VARIABLE, "free", false}, {"n", STATISTIC_VARIABLE, "n", false},
      {"m", STATISTIC_INITIALIZER, "m", true},     {"f", STATISTIC_CONSTANT, "f", false},
      {"l", STATISTIC_COPIED, "f", true},
  };
  static const float mean[2] = {3, 4}, variance[2] = {1, 2};
  (void)state;
  for (int i = 0; i < COUNT; i++) {
    char inputs[100];
    model_builder *b = builder_create(15);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 2));
    builder_input(b, "free", NORMA_FLOAT, 1, DIMS(2));
    add_vectors(b, "p", NULL, variance);
    builder_floats(b, "m", 1, DIMS(2), mean);
    builder_tensor(builder_node(b, "Constant", "", "c"), "value", NORMA_FLOAT, 1, DIMS(2), mean);
    if (i == COPIED || i == TWICE_COPIED) builder_node(b, "Identity", "m", "i");
    if (i == TWICE_COPIED) builder_node(b, "Identity", "i", "j");
    if (i == COPIED_NODE) builder_node(b, "Identity", "c", "k");
    if (i == LIST || i == COPIED_LIST) {
      builder_float_list(builder_node(b, "Constant", "", "f"), "value_floats", 2, mean);
    }
    if (i == COPIED_LIST) builder_node(b, "Identity", "f", "l");
    if (i == COMPUTED) builder_node(b, "Neg", "m", "n");
    snprintf(inputs, sizeof inputs, "x p.scale p.shift %s p.variance", cases[i].mean);
    builder_node(b, "BatchNormalization", inputs, "y");
    if (i == SHARED) builder_node(b, "Sub", "y m", "z");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    if (i == SHARED) builder_output(b, "z", NORMA_FLOAT, -1, NULL);
    if (i == OUTPUT) builder_output(b, "m", NORMA_FLOAT, -1, NULL);
    bn_analysis *study = open_study(b);
    const batch_normalization *found = &study->nodes[0];
    const bool can = cases[i].home != STATISTIC_VARIABLE;
    assert_int_equal(found->mean.home, cases[i].home);
    assert_string_equal(found->mean.name, cases[i].name);
    assert_int_equal(found->mean.is_shared, cases[i].is_shared);
    assert_string_equal(found->mean.value->name, cases[i].mean);
    assert_int_equal(found->mean.contents != NULL, can);
    if (can) assert_true(((const float *)found->mean.contents->tensor.data)[1] == 4);
    assert_int_equal(found->variance.home, STATISTIC_INITIALIZER);
    assert_int_equal(found->chosen, can);
    assert_int_equal(found->obstacle == NULL, can);
    assert_int_equal(found->channels, can ? 2 : -1);
    if (!can) assert_string_equal(found->obstacle, "its mean is not stored in the model but computed");
    close_study(study);
  }
}

/* One value may be both, of one node or of two. */
static void nodes_that_share_statistics(void **state) {
  static const float numbers[2] = {1, 2};
  (void)state;
  model_builder *b = builder_create(15);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 2));
  add_vectors(b, "p", numbers, numbers);
  builder_node(b, "BatchNormalization", "x p.scale p.shift p.mean p.mean", "y");
  builder_node(b, "BatchNormalization", "y p.scale p.shift p.variance p.variance", "z");
  builder_node(b, "BatchNormalization", "z p.scale p.shift p.variance p.variance", "u");
  builder_output(b, "u", NORMA_FLOAT, -1, NULL);
  bn_analysis *study = open_study(b);
  assert_int_equal(study->count, 3);
  for (size_t i = 0; i < 3; i++) {
    assert_true(study->nodes[i].mean.is_shared && study->nodes[i].variance.is_shared);
    assert_true(study->nodes[i].chosen);
  }
  close_study(study);
}

/* In training mode a node says so, however its version does. */
static void training_is_told_by_each_version(void **state) {
  static const struct {
    int opset;
    const char *attribute; /* NULL: none */
    int64_t number;
    const char *outputs;
    bool trains;
  } cases[] = {
      {1, "is_test", 1, "y", false},
      {1, NULL, 0, "y", true},
      {6, "is_test", 1, "y", false},
      {6, NULL, 0, "y m v sm sv", true},
      {7, NULL, 0, "y", false},
      {9, NULL, 0, "y m v sm sv", true},
      {9, NULL, 0, "y - -", false},
      {14, NULL, 0, "y", false},
      {14, "training_mode", 1, "y m v", true},
      {15, "training_mode", 0, "y", false},
      {15, "training_mode", 1, "y m v", true},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    static const float mean[2] = {1, 2}, variance[2] = {3, 4};
    model_builder *b = builder_create(cases[i].opset);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, 2));
    add_vectors(b, "p", mean, variance);
    node *node = builder_node(b, "BatchNormalization", "x p.scale p.shift p.mean p.variance", cases[i].outputs);
    if (cases[i].attribute) builder_int(node, cases[i].attribute, cases[i].number);
    if (cases[i].opset == 1) builder_ints(node, "consumed_inputs", 5, DIMS(0, 0, 0, 1, 1));
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    bn_analysis *study = open_study(b);
    assert_int_equal(study->nodes[0].training, cases[i].trains);
    assert_int_equal(study->nodes[0].training, cases[i].trains);
    close_study(study);
  }
}

/* Statistics of any float type; without a number of channels there is nothing to measure. */
static void what_cannot_be_measured(void **state) {
  (void)state;
  for (int kind = 0; kind < 4; kind++) {
    static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_FLOAT};
    const int64_t channels = kind == 3 ? 0 : 2;
    const double zeros[2] = {0};
    model_builder *b = builder_create(15);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, channels));
    for (int i = 0; i < 4; i++) {
      builder_initializer(b, (const char *[]){"s", "b", "m", "v"}[i], i < 2 ? NORMA_FLOAT : types[kind], 1,
                          DIMS(channels), zeros);
    }
    builder_node(b, "BatchNormalization", "x s b m v", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    bn_analysis *study = open_study(b);
    assert_int_equal(study->nodes[0].chosen, kind != 3);
    assert_int_equal(study->nodes[0].obstacle == NULL, kind != 3);
    assert_int_equal(study->nodes[0].channels, channels);
    close_study(study);
  }
}

/* Nodes below others are counted, and left alone. */
static void nodes_of_subgraphs_are_counted(void **state) {
  (void)state;
  model_builder *b = builder_create(15);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 2));
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  add_normalization(b, "outer", "x", "a");
  node *branches = builder_node(b, "If", "c", "y");
  for (int i = 0; i < 2; i++) {
    model_builder *branch = builder_subgraph(b, branches, i ? "else_branch" : "then_branch");
    add_normalization(branch, "inner", "a", "d");
    if (i) add_normalization(branch, "second_inner", "d", "e");
    builder_output(branch, i ? "e" : "d", NORMA_UNDEFINED, -1, NULL);
  }
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  bn_analysis *study = open_study(b);
  assert_int_equal(study->count, 1);
  assert_int_equal(study->inner_count, 3);
  close_study(study);
}

static void models_without_such_nodes(void **state) {
  (void)state;
  norma_error error;
  int levels = 7;
  model_builder *b = builder_create(15);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 2));
  builder_node(b, "Relu", "x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  bn_analysis *study = open_study(b);
  assert_int_equal(study->count, 0);
  assert_int_equal(bn_analysis_plan(study, &levels, &error), NORMA_OK);
  assert_int_equal(levels, 0);
  norma_model *stage;
  assert_int_equal(bn_analysis_stage(study, &defaults, NULL, &stage, &error), NORMA_ERROR_ARGUMENT);
  close_study(study);
  bn_analysis_close(NULL);
}

static void models_that_cannot_be_loaded(void **state) {
  (void)state;
  norma_error error;
  bn_analysis *study = (bn_analysis *)&error;
  assert_int_equal(open_file("no_such_file.onnx", &defaults, &study, &error), NORMA_ERROR_FILE);
  assert_null(study);
  model_builder *b = builder_create(15);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 2));
  add_vectors(b, "p", (float[2]){0}, (float[2]){0});
  builder_node(b, "BatchNormalization", "x p.scale - p.mean p.variance", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  const char *path = write_model(b);
  assert_int_equal(open_file(path, &defaults, &study, &error), NORMA_ERROR_INVALID_MODEL);
  assert_null(study);
  remove(path);
}

/* ----------------------------------------------------------------------------------------------------------- levels */

/*
 *   x -> first -> Relu -> second -> Add -> fourth -> y
 *   x -> third --------------------/
 */
static model_builder *make_network(void) {
  model_builder *b = builder_create(15);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 2));
  add_normalization(b, "first", "x", "a");
  builder_node(b, "Relu", "a", "r");
  add_normalization(b, "second", "r", "c");
  add_normalization(b, "third", "x", "t");
  builder_node(b, "Add", "c t", "s");
  add_normalization(b, "fourth", "s", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  return b;
}

static void expect_levels(bn_analysis *study, const bool chosen[4], const int expected[4]) {
  norma_error error;
  int levels, largest = 0;
  for (int i = 0; i < 4; i++) study->nodes[i].chosen = chosen[i];
  assert_int_equal(bn_analysis_plan(study, &levels, &error), NORMA_OK);
  for (int i = 0; i < 4; i++) {
    assert_int_equal(study->nodes[i].level, expected[i]);
    if (expected[i] > largest) largest = expected[i];
  }
  assert_int_equal(levels, largest);
}

/* One more than the largest level among the chosen nodes before. */
static void levels_count_chosen_nodes(void **state) {
  (void)state;
  bn_analysis *study = open_study(make_network());
  expect_levels(study, (bool[4]){1, 1, 1, 1}, (int[4]){1, 2, 1, 3});
  expect_levels(study, (bool[4]){0, 1, 1, 1}, (int[4]){0, 1, 1, 2});
  expect_levels(study, (bool[4]){1, 0, 0, 1}, (int[4]){1, 0, 0, 2});
  expect_levels(study, (bool[4]){0, 0, 0, 1}, (int[4]){0, 0, 0, 1});
  expect_levels(study, (bool[4]){0, 0, 0, 0}, (int[4]){0, 0, 0, 0});
  close_study(study);
}

/* What a branch reads from outside counts as read by its node. */
static void levels_go_through_branches(void **state) {
  (void)state;
  norma_error error;
  int levels;
  model_builder *b = builder_create(15);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 2));
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  add_normalization(b, "first", "x", "a");
  node *branches = builder_node(b, "If", "c", "o");
  for (int i = 0; i < 2; i++) {
    model_builder *branch = builder_subgraph(b, branches, i ? "else_branch" : "then_branch");
    node *inner = builder_node(branch, "If", "c", "d");
    for (int k = 0; k < 2; k++) {
      model_builder *deep = builder_subgraph(branch, inner, k ? "else_branch" : "then_branch");
      builder_node(deep, "Neg", i && k ? "a" : "x", "e");
      builder_output(deep, "e", NORMA_UNDEFINED, -1, NULL);
    }
    builder_output(branch, "d", NORMA_UNDEFINED, -1, NULL);
  }
  add_normalization(b, "second", "o", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  bn_analysis *study = open_study(b);
  assert_int_equal(bn_analysis_plan(study, &levels, &error), NORMA_OK);
  assert_int_equal(study->nodes[1].level, 2);
  close_study(study);
}

/* ----------------------------------------------------------------------------------------------------------- stages */

#define SAMPLES 3

static const float samples[SAMPLES][2] = {{1, -2}, {0.5f, 3}, {-4, 8}};

/* One output of the stage for the samples, of two channels. */
static void run_stage(norma_model *stage, size_t output, double y[SAMPLES][2]) {
  norma_session *session;
  norma_error error;
  norma_tensor x;
  float data[SAMPLES][2];
  memcpy(data, samples, sizeof data);
  norma_tensor_init(&x, NORMA_FLOAT, 2, DIMS(SAMPLES, 2), data);
  assert_int_equal(norma_session_create(stage, NULL, &session, &error), NORMA_OK);
  assert_int_equal(norma_session_set_input(session, "x", &x, &error), NORMA_OK);
  if (norma_session_run(session, &error) != NORMA_OK) fail_msg("%s", error.message);
  const norma_tensor *found = norma_value_tensor(norma_session_output(session, output));
  assert_int_equal(norma_tensor_count(found), SAMPLES * 2);
  for (int i = 0; i < SAMPLES * 2; i++) y[i / 2][i % 2] = element_get_double(found->type, found->data, i);
  norma_session_destroy(session);
}

/* In place, with statistics as given or (NULL) those of the samples. */
static void normalize(double x[SAMPLES][2], const double *mean, const double *variance) {
  for (int c = 0; c < 2; c++) {
    double sum = 0, squares = 0;
    for (int i = 0; i < SAMPLES; i++) sum += x[i][c];
    const double m = mean ? mean[c] : sum / SAMPLES;
    for (int i = 0; i < SAMPLES; i++) squares += (x[i][c] - m) * (x[i][c] - m);
    const double v = variance ? variance[c] : squares / SAMPLES;
    for (int i = 0; i < SAMPLES; i++) x[i][c] = (c + 1) * (x[i][c] - m) / sqrt(v + (double)1e-5f) + c;
  }
}

static void expect_near(double found[SAMPLES][2], double expected[SAMPLES][2]) {
  for (int i = 0; i < SAMPLES * 2; i++) {
    const double f = found[i / 2][i % 2], e = expected[i / 2][i % 2];
    if (!(fabs(f - e) <= 1e-5 * (1 + fabs(e)))) fail_msg("element %d: %g instead of %g", i, f, e);
  }
}

/* The input of the second node, for each setting of the first. */
static void stages_compute_what_nodes_read(void **state) {
  static const double mean[2] = {2, -3}, variance[2] = {0.5, 16}, old_mean[2] = {0.5, -1}, old_variance[2] = {4, 0.25};
  (void)state;
  bn_analysis *study = open_study(make_network());
  for (int mode = BATCH_AS_IT_IS; mode <= BATCH_OWN; mode++) {
    batch_setting settings[4] = {{.mode = (batch_mode)mode, .mean = mean, .variance = variance}, {.wanted = true}};
    norma_model *stage = open_stage(study, settings);
    assert_int_equal(norma_model_output_count(stage), 1);
    assert_int_equal(settings[1].output, 0);
    double found[SAMPLES][2], expected[SAMPLES][2];
    for (int i = 0; i < SAMPLES * 2; i++) expected[i / 2][i % 2] = (double)samples[i / 2][i % 2];
    normalize(expected,
              mode == BATCH_FIXED ? mean
              : mode == BATCH_OWN ? NULL
                                  : old_mean,
              mode == BATCH_FIXED ? variance
              : mode == BATCH_OWN ? NULL
                                  : old_variance);
    for (int i = 0; i < SAMPLES * 2; i++) expected[i / 2][i % 2] = fmax(expected[i / 2][i % 2], 0);
    run_stage(stage, 0, found);
    expect_near(found, expected);
    norma_model_destroy(stage);
  }
  close_study(study);
}

/* Every node's input at once; two nodes that read the same value share an output, which may be an input of the graph.
 * What nobody wants is not computed. */
static void outputs_are_what_is_wanted(void **state) {
  (void)state;
  bn_analysis *study = open_study(make_network());
  batch_setting settings[4] = {{.wanted = true}, {.wanted = true}, {.wanted = true}, {.wanted = true}};
  norma_value_info info;
  norma_model *stage = open_stage(study, settings);
  assert_int_equal(norma_model_output_count(stage), 3);
  assert_int_equal(settings[0].output, settings[2].output);
  static const char *const names[] = {"x", "r", "x", "s"};
  for (int i = 0; i < 4; i++) {
    assert_int_equal(norma_model_output(stage, settings[i].output, &info), NORMA_OK);
    assert_string_equal(info.name, names[i]);
  }
  double found[SAMPLES][2];
  run_stage(stage, settings[2].output, found);
  for (int i = 0; i < SAMPLES * 2; i++) assert_true(found[i / 2][i % 2] == (double)samples[i / 2][i % 2]);
  norma_model_destroy(stage);

  for (int i = 0; i < 4; i++) settings[i].wanted = i == 1;
  stage = open_stage(study, settings);
  for (const node *node = stage->graph->first; node; node = node->next) {
    assert_string_not_equal(node->op_type, "Add"); /* it stands behind */
  }
  norma_model_destroy(stage);

  norma_error error;
  settings[1].wanted = false;
  assert_int_equal(bn_analysis_stage(study, &defaults, settings, &stage, &error), NORMA_ERROR_ARGUMENT);
  assert_null(stage);
  close_study(study);
}

/* Nodes of every version can be made to train and to infer, whatever they did; statistics that are shared, copied or
 * stand in nodes get new ones without a change to others. */
static void every_version_takes_every_mode(void **state) {
  static const int opsets[] = {1, 6, 7, 9, 14, 15, 17};
  static const double mean[2] = {2, -3}, variance[2] = {0.5, 16}, old[2] = {1, 2};
  (void)state;
  for (size_t i = 0; i < sizeof opsets / sizeof *opsets; i++) {
    for (int trains = 0; trains < 2; trains++) {
      const int opset = opsets[i];
      model_builder *b = builder_create(opset);
      builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 2));
      add_vectors(b, "p", (float[2]){1, 2}, (float[2]){1, 2});
      builder_node(b, "Identity", "p.mean", "copy");
      const char *outputs = trains && opset >= 7 && opset < 14 ? "a m v sm sv" : trains && opset >= 14 ? "a m v" : "a";
      node *first = builder_node(b, "BatchNormalization", "x p.scale p.shift copy p.mean", outputs);
      node *second = builder_node(b, "BatchNormalization", "a p.scale p.shift p.mean copy", "c");
      node *third = builder_node(b, "BatchNormalization", "c p.scale p.shift p.mean p.mean", "y");
      node *const all[] = {first, second, third};
      for (int k = 0; k < 3; k++) {
        if (opset == 1) builder_ints(all[k], "consumed_inputs", 5, DIMS(0, 0, 0, 1, 1));
        if (opset < 7 && !(trains && k == 0)) builder_int(all[k], "is_test", 1);
        if (opset >= 14 && trains && k == 0) builder_int(all[k], "training_mode", 1);
      }
      builder_output(b, "y", NORMA_FLOAT, -1, NULL);
      bn_analysis *study = open_study(b);
      for (int mode = BATCH_AS_IT_IS; mode <= BATCH_OWN; mode++) {
        batch_setting settings[3] = {{.mode = (batch_mode)mode, .mean = mean, .variance = variance}};
        settings[2].wanted = true;
        norma_model *stage = open_stage(study, settings);
        double found[SAMPLES][2], expected[SAMPLES][2];
        for (int k = 0; k < SAMPLES * 2; k++) expected[k / 2][k % 2] = (double)samples[k / 2][k % 2];
        const bool is_own = mode == BATCH_OWN || (mode == BATCH_AS_IT_IS && trains);
        normalize(expected,
                  is_own                ? NULL
                  : mode == BATCH_FIXED ? mean
                                        : old,
                  is_own                ? NULL
                  : mode == BATCH_FIXED ? variance
                                        : old);
        normalize(expected, old, old);
        run_stage(stage, settings[2].output, found);
        expect_near(found, expected);
        norma_model_destroy(stage);
      }
      close_study(study);
    }
  }
}

/* New statistics are rounded to the type of the old ones. */
static void statistics_keep_their_type(void **state) {
  static const uint16_t half[2] = {0x3C00, 0x4000}; /* 1, 2 */
  static const double mean[2] = {1.0 / 3, 0.1}, variance[2] = {1, 1};
  (void)state;
  model_builder *b = builder_create(15);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 2));
  add_vectors(b, "p", NULL, NULL);
  builder_initializer(b, "m", NORMA_FLOAT16, 1, DIMS(2), half);
  builder_initializer(b, "v", NORMA_FLOAT16, 1, DIMS(2), half);
  builder_node(b, "BatchNormalization", "x p.scale p.shift m v", "a");
  builder_node(b, "BatchNormalization", "a p.scale p.shift m v", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  bn_analysis *study = open_study(b);
  batch_setting settings[2] = {{.mode = BATCH_FIXED, .mean = mean, .variance = variance}, {.wanted = true}};
  norma_model *stage = open_stage(study, settings);
  double found[SAMPLES][2], expected[SAMPLES][2];
  for (int k = 0; k < SAMPLES * 2; k++) expected[k / 2][k % 2] = (double)samples[k / 2][k % 2];
  normalize(expected, (double[2]){0.333251953125, 0.0999755859375}, variance);
  run_stage(stage, 0, found);
  expect_near(found, expected);
  norma_model_destroy(stage);
  close_study(study);
}

/* The file is read once more for each stage, and may be another one by then. */
static void files_that_change(void **state) {
  (void)state;
  norma_error error;
  norma_model *stage;
  bn_analysis *study = open_study(make_network());
  batch_setting settings[4] = {{.wanted = true}};
  for (int nodes = 0; nodes < 3; nodes++) {
    model_builder *b = builder_create(15);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 2));
    builder_node(b, "Relu", "x", "n0");
    const int count = nodes == 0 ? 0 : nodes == 1 ? 3 : 5;
    char name[16], x[16], y[16];
    for (int i = 0; i < count; i++) {
      snprintf(name, sizeof name, "bn%d", i);
      snprintf(x, sizeof x, "n%d", i);
      snprintf(y, sizeof y, "n%d", i + 1);
      add_normalization(b, name, x, y);
    }
    snprintf(y, sizeof y, "n%d", count);
    builder_output(b, y, NORMA_FLOAT, -1, NULL);
    write_model(b);
    assert_int_equal(bn_analysis_stage(study, &defaults, settings, &stage, &error), NORMA_ERROR_FILE);
    assert_null(stage);
    assert_non_null(strstr(error.message, "changed"));
  }
  /* As many nodes, of which the first has other statistics. */
  static const double numbers[2] = {1, 2};
  settings[0] = (batch_setting){.mode = BATCH_FIXED, .mean = numbers, .variance = numbers};
  settings[3].wanted = true;
  model_builder *b = make_network();
  node *first = find_node(builder_model(b), "first");
  builder_floats(b, "longer", 1, DIMS(3), (float[3]){1, 2, 3});
  node_set_input(first, 3, graph_find_value(builder_model(b)->graph, "longer"));
  write_model(b);
  assert_int_equal(bn_analysis_stage(study, &defaults, settings, &stage, &error), NORMA_ERROR_FILE);
  char path[64];
  snprintf(path, sizeof path, "/tmp/norma_test_bn_analysis_%ld.onnx", (long)getpid());
  remove(path);
  assert_int_equal(bn_analysis_stage(study, &defaults, settings, &stage, &error), NORMA_ERROR_FILE);
  close_study(study);
}

/* ----------------------------------------------------------------------------------------------------------- memory */

static norma_status study_in(void *context, const norma_allocator *allocator, norma_error *error) {
  static const double numbers[2] = {1, 2};
  norma_runtime *runtime = NULL;
  norma_model *stage = NULL;
  bn_analysis *study = NULL;
  int levels;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .allocator = *allocator};
  norma_load_options load = {.struct_size = sizeof load};
  batch_setting settings[4] = {{.mode = BATCH_FIXED, .mean = numbers, .variance = numbers}, {.mode = BATCH_OWN}};
  settings[3].wanted = true;
  norma_status status = norma_runtime_create(&options, &runtime, error);
  load.runtime = runtime;
  if (status == NORMA_OK) status = open_file(context, &load, &study, error);
  if (status == NORMA_OK) status = bn_analysis_plan(study, &levels, error);
  if (status == NORMA_OK) status = bn_analysis_stage(study, &load, settings, &stage, error);
  norma_model_destroy(stage);
  bn_analysis_close(study);
  norma_runtime_destroy(runtime);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  char path[64];
  snprintf(path, sizeof path, "%s", write_model(make_network()));
  assert_int_equal(fail_each_allocation(study_in, path), 0);
  remove(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nodes_are_described),
      cmocka_unit_test(statistics_come_from_many_places),
      cmocka_unit_test(nodes_that_share_statistics),
      cmocka_unit_test(training_is_told_by_each_version),
      cmocka_unit_test(what_cannot_be_measured),
      cmocka_unit_test(nodes_of_subgraphs_are_counted),
      cmocka_unit_test(models_without_such_nodes),
      cmocka_unit_test(models_that_cannot_be_loaded),
      cmocka_unit_test(levels_count_chosen_nodes),
      cmocka_unit_test(levels_go_through_branches),
      cmocka_unit_test(stages_compute_what_nodes_read),
      cmocka_unit_test(outputs_are_what_is_wanted),
      cmocka_unit_test(every_version_takes_every_mode),
      cmocka_unit_test(statistics_keep_their_type),
      cmocka_unit_test(files_that_change),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
