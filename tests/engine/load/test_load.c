/* The stages of a load: an edit stands between reading and finding operators; the stages follow each other, and an
 * error of any of them is the load's. */
#include "engine/load/load.h"

#include "engine/base/status.h"
#include "engine/passes/pass.h"
#include "tests/support/built_model.h"
#include "tests/support/failing_allocations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

/* The builder's model as a file; it is destroyed. The name belongs to this process. */
static const char *write_file(model_builder *b) {
  static char path[64];
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  snprintf(path, sizeof path, "/tmp/norma_test_load_%ld.onnx", (long)getpid());
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
  builder_destroy(b);
  return path;
}

static float run_one(norma_model *model, float x) {
  norma_session *session;
  norma_error error;
  norma_tensor tensor;
  norma_tensor_init(&tensor, NORMA_FLOAT, 0, NULL, &x);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  assert_int_equal(norma_session_set_input(session, "x", &tensor, &error), NORMA_OK);
  if (norma_session_run(session, &error) != NORMA_OK) fail_msg("%s", error.message);
  const float y = *(const float *)norma_value_tensor(norma_session_output(session, 0))->data;
  norma_session_destroy(session);
  return y;
}

/* ------------------------------------------------------------------------------------------------------------ edits */

static model_builder *make_sum(const char *op_type) {
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 0, NULL);
  builder_floats(b, "w", 0, NULL, (float[1]){3});
  builder_named_node(b, "sum", "", op_type, "x w", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  return b;
}

typedef struct seen {
  int calls;
  bool resolved, inferred, is_lazy;
  norma_status give;
} seen;

/* Puts Mul in the place of the only node. */
static norma_status replace_sum(void *context, norma_model *model, norma_error *error) {
  seen *seen = context;
  node *sum = model->graph->first;
  seen->calls++;
  seen->resolved = sum->op != NULL || sum->state != NULL;
  seen->inferred = sum->outputs[0]->info.shape.rank != RANK_UNKNOWN;
  for (int i = 0; i < model->graph->value_count; i++) {
    const value *constant = model->graph->values[i]->constant;
    if (constant) seen->is_lazy |= value_is_lazy(constant);
  }
  if (seen->give != NORMA_OK) return error_set(error, seen->give, "not like this");
  sum->op_type = "Mul";
  return NORMA_OK;
}

/* The operator of the file need not even be known. */
static void edits_come_before_operators_are_found(void **state) {
  (void)state;
  norma_error error;
  norma_model *model;
  seen seen = {0};
  const char *path = write_file(make_sum("NoSuchOperator"));
  for (int level = NORMA_OPTIMIZE_DEFAULT; level <= NORMA_OPTIMIZE_FULL; level++) {
    norma_load_options options = {.struct_size = sizeof options, .optimization = (norma_optimization)level};
    if (model_load_edited(path, &options, replace_sum, &seen, &model, &error) != NORMA_OK) {
      fail_msg("%s", error.message);
    }
    assert_int_equal(seen.calls, level + 1);
    assert_false(seen.resolved || seen.inferred);
    assert_true(run_one(model, 5) == 15);
    norma_model_destroy(model);
  }
  assert_int_equal(model_load_edited(path, NULL, replace_sum, &seen, &model, &error), NORMA_OK);
  norma_model_destroy(model);
  remove(path);
}

static void an_edit_that_fails_ends_the_load(void **state) {
  (void)state;
  norma_error error;
  norma_model *model = (norma_model *)&error;
  seen seen = {.give = NORMA_ERROR_RUN};
  const char *path = write_file(make_sum("Add"));
  assert_int_equal(model_load_edited(path, NULL, replace_sum, &seen, &model, &error), NORMA_ERROR_RUN);
  assert_null(model);
  assert_int_equal(error.status, NORMA_ERROR_RUN);
  assert_string_equal(error.message, "not like this");
  assert_int_equal(model_load_edited(path, NULL, replace_sum, &seen, &model, NULL), NORMA_ERROR_RUN);
  remove(path);
  assert_int_equal(model_load_edited(path, NULL, replace_sum, &seen, &model, &error), NORMA_ERROR_FILE);
  assert_null(model);
  assert_int_equal(seen.calls, 2); /* and not for a file that cannot be read */
}

/* Whoever edits sees all weights; else they may stay unread until they are packed. */
static void edits_see_all_weights(void **state) {
  static float w[256 * 128];
  (void)state;
  norma_error error;
  norma_model *model;
  seen seen = {0};
  model_builder *b = builder_create(17);
  for (int i = 0; i < 256 * 128; i++) w[i] = (float)i;
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(1, 256));
  builder_floats(b, "w", 2, DIMS(256, 128), w);
  builder_node(b, "MatMul", "x w", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  const char *path = write_file(b);
  seen.give = NORMA_ERROR_RUN;
  assert_int_equal(model_load_edited(path, NULL, replace_sum, &seen, &model, &error), NORMA_ERROR_RUN);
  assert_int_equal(seen.calls, 1);
  assert_false(seen.is_lazy);
  remove(path);
}

/* ----------------------------------------------------------------------------------------------------------- stages */

/* Each error is that of the stage that failed. */
static void errors_of_each_stage(void **state) {
  static const struct {
    const char *op_type, *inputs;
    norma_status status;
    const char *part;
  } cases[] = {
      {"Add", "x nobody", NORMA_ERROR_INVALID_MODEL, "nobody"}, /* read */
      {"Add", "x", NORMA_ERROR_INVALID_MODEL, "has 1 inputs"},  /* resolve */
      {"MatMul", "m m", NORMA_ERROR_INVALID_MODEL, "MatMul"},   /* infer */
      {"Add", "x i", NORMA_ERROR_INVALID_MODEL, "int32"},       /* types */
      {"Unheard", "x", NORMA_ERROR_UNSUPPORTED, "not known"},   /* resolve */
      {"Add", "x x", NORMA_OK, ""},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    norma_error error;
    norma_model *model;
    model_builder *b = builder_create(17);
    builder_input(b, "x", NORMA_FLOAT, 0, NULL);
    builder_input(b, "m", NORMA_FLOAT, 2, DIMS(2, 3));
    builder_input(b, "i", NORMA_INT32, 0, NULL);
    builder_node(b, cases[i].op_type, cases[i].inputs, "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    assert_int_equal(try_built(b, NORMA_OPTIMIZE_FULL, NULL, &model, &error), cases[i].status);
    if (cases[i].status != NORMA_OK && !strstr(error.message, cases[i].part)) fail_msg("%s", error.message);
    norma_model_destroy(model);
  }
}

/* What sessions need of the model: inputs without constants, and what branches read from outside. */
static void sessions_find_inputs_and_captures(void **state) {
  (void)state;
  for (int level = NORMA_OPTIMIZE_NONE; level <= NORMA_OPTIMIZE_FULL; level++) {
    model_builder *b = builder_create(17);
    builder_input(b, "w", NORMA_FLOAT, 0, NULL);
    builder_input(b, "x", NORMA_FLOAT, 0, NULL);
    builder_floats(b, "w", 0, NULL, (float[1]){3});
    builder_input(b, "c", NORMA_BOOL, 0, NULL);
    builder_node(b, "Neg", "x", "n");
    node *branches = builder_named_node(b, "branches", "", "If", "c", "y");
    for (int i = 0; i < 2; i++) {
      model_builder *branch = builder_subgraph(b, branches, i ? "else_branch" : "then_branch");
      builder_node(branch, i ? "Exp" : "Mul", i ? "n" : "n x", "d");
      builder_output(branch, "d", NORMA_UNDEFINED, -1, NULL);
    }
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    norma_model *model = load_built(b, (norma_optimization)level, NULL);
    assert_int_equal(model->runtime_input_count, 2);
    assert_string_equal(model->runtime_inputs[0]->name, "x");
    assert_string_equal(model->runtime_inputs[1]->name, "c");
    const node *found = find_node(model, "branches");
    const graph *then_branch = node_attribute(found, "then_branch")->graph;
    const graph *else_branch = node_attribute(found, "else_branch")->graph;
    assert_int_equal(then_branch->capture_count, 2);
    assert_int_equal(else_branch->capture_count, 1);
    assert_string_equal(else_branch->captures[0]->name, "n");
    norma_model_destroy(model);
  }
}

/* Loading has no deadline, so it leaves long computations on constants to the runs, which have one. */
static void constants_that_take_long(void **state) {
  (void)state;
  static float picture[600 * 600];
  model_builder *b = builder_create(17);
  builder_floats(b, "x", 4, DIMS(1, 1, 600, 600), picture);
  node *pool = builder_node(b, "LpPool", "x", "y"); /* 600^4 operations */
  builder_ints(pool, "kernel_shape", 2, DIMS(599, 599));
  builder_ints(pool, "pads", 4, DIMS(300, 300, 300, 300));
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *model = load_built(b, NORMA_OPTIMIZE_FULL, NULL);
  norma_session *session;
  norma_error error;
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  norma_session_set_timeout(session, 0.05);
  assert_int_equal(norma_session_run(session, &error), NORMA_ERROR_DEADLINE);
  norma_session_destroy(session);
  norma_model_destroy(model);
}

/* A model that nobody optimises has all that is constant in the form of the file; one that is optimised has packed it.
 */
static void constants_of_each_level(void **state) {
  static float w[256 * 128];
  (void)state;
  for (int level = NORMA_OPTIMIZE_NONE; level <= NORMA_OPTIMIZE_FULL; level++) {
    model_builder *b = builder_create(17);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(1, 256));
    builder_floats(b, "w", 2, DIMS(256, 128), w);
    builder_node(b, "MatMul", "x w", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    norma_model *model = load_built(b, (norma_optimization)level, NULL);
    const value *constant = graph_find_value(model->graph, "w")->constant;
    assert_false(value_is_lazy(constant));
    assert_int_equal(constant->tensor.data == NULL, level == NORMA_OPTIMIZE_FULL);
    norma_model_destroy(model);
  }
}

/* ----------------------------------------------------------------------------------------------------------- memory */

typedef struct edited_file {
  const char *path;
  seen seen;
} edited_file;

static norma_status load_edited_in(void *context, const norma_allocator *allocator, norma_error *error) {
  edited_file *file = context;
  norma_runtime *runtime = NULL;
  norma_model *model = NULL;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .allocator = *allocator};
  norma_load_options load = {.struct_size = sizeof load};
  norma_status status = norma_runtime_create(&options, &runtime, error);
  load.runtime = runtime;
  if (status == NORMA_OK) status = model_load_edited(file->path, &load, replace_sum, &file->seen, &model, error);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  edited_file file = {.path = write_file(make_sum("NoSuchOperator"))};
  assert_int_equal(fail_each_allocation(load_edited_in, &file), 0);
  remove(file.path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(edits_come_before_operators_are_found),
      cmocka_unit_test(an_edit_that_fails_ends_the_load),
      cmocka_unit_test(edits_see_all_weights),
      cmocka_unit_test(errors_of_each_stage),
      cmocka_unit_test(sessions_find_inputs_and_captures),
      cmocka_unit_test(constants_that_take_long),
      cmocka_unit_test(constants_of_each_level),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
