/* How passes are run: which ones, over which nodes, how often, and what is said about it. */
#include "engine/execute/runtime.h"
#include "engine/passes/pass.h"
#include "engine/plan/shape_inference.h"
#include "tests/support/model_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

typedef struct log_lines {
  char text[8192];
} log_lines;

static void keep_line(void *context, norma_log_level level, const char *line) {
  log_lines *lines = context;
  if (level != NORMA_LOG_DEBUG) return;
  size_t used = strlen(lines->text);
  snprintf(lines->text + used, sizeof lines->text - used, "%s\n", line);
}

typedef struct run_passes {
  norma_optimization level;
  bool exact;
  const char *disabled[8];
  size_t disabled_count;
  /* Found: */
  log_lines lines;
  norma_error error;
  int nodes;
} run_passes;

/* Loads what the builder has, which is destroyed. */
static norma_status load_with(run_passes *run, model_builder *b) {
  norma_runtime *runtime;
  norma_model *model;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .log = keep_line};
  options.log_context = &run->lines;
  assert_int_equal(norma_runtime_create(&options, &runtime, &run->error), NORMA_OK);
  norma_load_options load = {.struct_size = sizeof load, .runtime = runtime, .optimization = run->level};
  load.exact = run->exact;
  load.disabled_passes = run->disabled;
  load.disabled_pass_count = run->disabled_count;
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  norma_status status = norma_model_load_memory(bytes, size, &load, &model, &run->error);
  run->nodes = status == NORMA_OK ? model->graph->node_count : -1;
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  builder_destroy(b);
  return status;
}

/* An Identity (level 1), a factor behind a Conv (changes rounding), a Relu behind that (level 2, exact). */
static model_builder *mixed_model(void) {
  static const float weights[4] = {1, 2, 3, 4};
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 5, DIMS(1, 2, 1, 1, 5)); /* no channel blocks */
  builder_floats(b, "w", 5, DIMS(2, 2, 1, 1, 1), weights);
  builder_floats(b, "k", 0, NULL, &weights[2]);
  builder_node(b, "Identity", "x", "i");
  builder_node(b, "Conv", "i w", "c");
  builder_node(b, "Mul", "c k", "m");
  builder_node(b, "Relu", "m", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  return b;
}

static void levels_choose_passes(void **state) {
  static const struct {
    norma_optimization level;
    bool exact;
    int nodes;
  } cases[] = {{NORMA_OPTIMIZE_NONE, false, 4},    {NORMA_OPTIMIZE_BASIC, false, 3}, {NORMA_OPTIMIZE_FULL, false, 1},
               {NORMA_OPTIMIZE_DEFAULT, false, 1}, {NORMA_OPTIMIZE_FULL, true, 2}, /* Conv; Mul and Relu as a chain */
               {NORMA_OPTIMIZE_NONE, true, 4}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    run_passes run = {.level = cases[i].level, .exact = cases[i].exact};
    assert_int_equal(load_with(&run, mixed_model()), NORMA_OK);
    if (run.nodes != cases[i].nodes) fail_msg("case %d: %d nodes", (int)i, run.nodes);
  }
}

static void passes_can_be_switched_off(void **state) {
  static const struct {
    const char *names[2];
    int nodes;
  } cases[] = {{{"remove_identity"}, 2},
               {{"fuse_activation"}, 2},
               {{"fold_scale"}, 2},
               {{"remove_identity", "fuse_activation"}, 3}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    run_passes run = {.disabled = {cases[i].names[0], cases[i].names[1]}};
    run.disabled_count = cases[i].names[1] ? 2 : 1;
    assert_int_equal(load_with(&run, mixed_model()), NORMA_OK);
    if (run.nodes != cases[i].nodes) fail_msg("without %s: %d nodes", cases[i].names[0], run.nodes);
    assert_null(strstr(run.lines.text, cases[i].names[0]));
  }
}

static void unknown_names_are_refused(void **state) {
  (void)state;
  for (norma_optimization level = NORMA_OPTIMIZE_NONE; level <= NORMA_OPTIMIZE_FULL; level++) {
    run_passes run = {.level = level, .disabled = {"fold_bias", "fold_everything"}, .disabled_count = 2};
    assert_int_equal(load_with(&run, mixed_model()), NORMA_ERROR_ARGUMENT);
    assert_non_null(strstr(run.error.message, "'fold_everything'"));
  }
}

/* One line of the log for each pass that changed something, with how much. */
static void changes_are_logged(void **state) {
  (void)state;
  run_passes run = {.level = NORMA_OPTIMIZE_FULL};
  assert_int_equal(load_with(&run, mixed_model()), NORMA_OK);
  assert_string_equal(run.lines.text, "pass remove_identity: 1 changes\n"
                                      "pass fold_scale: 1 changes\n"
                                      "pass fuse_activation: 1 changes\n");
}

/* What one pass makes possible another one does in the next round: the transpositions become an identity, which goes,
 * which makes the next two neighbours. */
static void groups_are_repeated(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, 4));
  char from[16] = "x", to[16];
  for (int i = 0; i < 12; i++) {
    snprintf(to, sizeof to, "t%d", i);
    builder_node(b, i % 3 == 1 ? "Identity" : "Transpose", from, to);
    strcpy(from, to);
  }
  builder_node(b, "Exp", from, "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  run_passes run = {.level = NORMA_OPTIMIZE_BASIC};
  assert_int_equal(load_with(&run, b), NORMA_OK);
  assert_int_equal(run.nodes, 1);
}

/* After a pass that changed something types and shapes are inferred anew: the Transpose that stays has the shape of
 * what it reads now. */
static void shapes_are_inferred_anew(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 3, DIMS(2, 3, 4));
  builder_ints(builder_node(b, "Transpose", "x", "t"), "perm", 3, DIMS(1, 2, 0));
  builder_ints(builder_node(b, "Transpose", "t", "u"), "perm", 3, DIMS(1, 2, 0));
  builder_node(b, "Shape", "u", "s");
  builder_node(b, "Exp", "u", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  builder_output(b, "s", NORMA_INT64, -1, NULL);
  size_t size;
  norma_error error;
  norma_model *model;
  const void *bytes = builder_bytes(b, &size);
  assert_int_equal(norma_model_load_memory(bytes, size, NULL, &model, &error), NORMA_OK);
  for (const node *node = model->graph->first; node; node = node->next) {
    for (int i = 0; i < node->output_count; i++) {
      const shape *shape = &node->outputs[i]->info.shape;
      assert_int_equal(node->outputs[i]->info.type, NORMA_FLOAT);
      assert_int_equal(shape->rank, 3);
      assert_true(shape->dims[0] == 4 && shape->dims[1] == 2 && shape->dims[2] == 3);
    }
  }
  norma_model_destroy(model);
  builder_destroy(b);
}

static bool count_identities(void *context, graph *graph) {
  for (const node *node = graph->first; node; node = node->next) {
    *(int *)context += strcmp(node->op_type, "Identity") == 0;
    node_visit_subgraphs(node, count_identities, context);
  }
  return true;
}

/* Graphs below nodes are walked too, however deep. */
static void subgraphs_are_walked(void **state) {
  enum { DEPTH = 5 };
  (void)state;
  model_builder *b = builder_create(13), *at = b;
  builder_input(b, "x", NORMA_FLOAT, 1, DIMS(2));
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  for (int depth = 0; depth < DEPTH; depth++) {
    node *branch = builder_node(at, "If", "choice", "z");
    builder_output(at, "z", NORMA_FLOAT, -1, NULL);
    model_builder *else_branch = builder_subgraph(at, branch, "else_branch");
    builder_node(else_branch, "Neg", "x", "n");
    builder_output(else_branch, "n", NORMA_FLOAT, -1, NULL);
    at = builder_subgraph(at, branch, "then_branch");
  }
  builder_node(at, "Exp", "x", "e");
  builder_node(at, "Identity", "e", "i");
  builder_node(at, "Abs", "i", "a");
  builder_output(at, "a", NORMA_FLOAT, -1, NULL);
  size_t size;
  norma_error error;
  norma_model *model;
  const void *bytes = builder_bytes(b, &size);
  assert_int_equal(norma_model_load_memory(bytes, size, NULL, &model, &error), NORMA_OK);
  int identities = 0;
  count_identities(&identities, model->graph);
  assert_int_equal(identities, 0);
  norma_model_destroy(model);
  builder_destroy(b);
}

/* A pass that takes the node away that stands behind the one it was offered: the walk goes on behind what is left. */
static void walks_survive_what_passes_remove(void **state) {
  (void)state;
  for (int count = 1; count <= 70; count += 23) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, 4));
    char from[16] = "x", to[16], inputs[40];
    for (int i = 0; i < count; i++) { /* dead nodes between those that are alive */
      snprintf(to, sizeof to, "a%d", i);
      builder_node(b, i % 2 ? "Neg" : "Exp", from, to);
      snprintf(inputs, sizeof inputs, "%s x", to);
      char dead[16];
      snprintf(dead, sizeof dead, "d%d", i);
      builder_node(b, "Sub", inputs, dead);
      strcpy(from, to);
    }
    builder_node(b, "ReduceSum", from, "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    run_passes run = {.level = NORMA_OPTIMIZE_FULL};
    assert_int_equal(load_with(&run, b), NORMA_OK);
    assert_int_equal(run.nodes, 1 + (count == 1 ? 1 : (count + 31) / 32));
  }
}

static void models_without_nodes_pass(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 1, DIMS(2));
  builder_output(b, "x", NORMA_FLOAT, 1, DIMS(2));
  run_passes run = {.level = NORMA_OPTIMIZE_FULL};
  assert_int_equal(load_with(&run, b), NORMA_OK);
  assert_int_equal(run.nodes, 0);
  assert_string_equal(run.lines.text, "");
}

/* A model that was rewritten is not rewritten again: the passes of each group have come to an end. */
static void rewriting_comes_to_an_end(void **state) {
  (void)state;
  size_t size;
  norma_error error;
  norma_model *model;
  log_lines lines = {{0}};
  model_builder *b = mixed_model();
  const void *bytes = builder_bytes(b, &size);
  norma_runtime_options options = {
      .struct_size = sizeof options, .threads = 1, .log = keep_line, .log_context = &lines};
  norma_load_options load = {.struct_size = sizeof load, .keep_constants = true};
  assert_int_equal(norma_runtime_create(&options, &load.runtime, &error), NORMA_OK);
  assert_int_equal(norma_model_load_memory(bytes, size, &load, &model, &error), NORMA_OK);
  lines.text[0] = '\0';
  executor executor;
  executor_init_serial(&executor, model->memory, load.runtime->kernels, model->packed, false);
  assert_int_equal(passes_run(model, &executor, NULL, 0, &error), NORMA_OK);
  assert_string_equal(lines.text, "");
  norma_model_destroy(model);
  norma_runtime_destroy(load.runtime);
  builder_destroy(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(levels_choose_passes),      cmocka_unit_test(passes_can_be_switched_off),
      cmocka_unit_test(unknown_names_are_refused), cmocka_unit_test(changes_are_logged),
      cmocka_unit_test(groups_are_repeated),       cmocka_unit_test(shapes_are_inferred_anew),
      cmocka_unit_test(subgraphs_are_walked),      cmocka_unit_test(walks_survive_what_passes_remove),
      cmocka_unit_test(models_without_nodes_pass), cmocka_unit_test(rewriting_comes_to_an_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
