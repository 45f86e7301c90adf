/*
 * Everything that may take long can be ended early: loading, optimising, packing, planning, running, saving, editing
 * and gathering statistics. Each piece of work is done again and again, and ended at the first question whether to go
 * on, then at the second, and so on until it comes to its end: each time it says CANCELLED, gives all its memory back,
 * and leaves nothing behind. The same with a deadline that has passed. No clock is looked at.
 */
#include "tests/support/counting_allocator.h"
#include "tests/support/file_folder.h"
#include "tests/support/model_builder.h"
#include "tests/support/model_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Whom work asks whether to go on. */
typedef struct questions {
  int asked, yes_at; /* the question that is answered with yes, from 1; 0: none */
} questions;

static bool answer(void *context) {
  questions *questions = context;
  return ++questions->asked == questions->yes_at;
}

/* What the work may use; `questions` goes into its options. */
typedef struct fixture {
  questions questions;
  norma_runtime *runtime;
  file_folder folder;
  double timeout;
  norma_error error;
} fixture;

typedef norma_status (*interrupted_work)(fixture *fixture);

static void limit_load(fixture *fixture, norma_load_options *options) {
  *options = (norma_load_options){.struct_size = sizeof *options,
                                  .runtime = fixture->runtime,
                                  .timeout = fixture->timeout,
                                  .is_cancelled = answer,
                                  .cancel_context = &fixture->questions};
}

static norma_limits limits_of(fixture *fixture) {
  return (norma_limits){.struct_size = sizeof(norma_limits),
                        .timeout = fixture->timeout,
                        .is_cancelled = answer,
                        .cancel_context = &fixture->questions};
}

/* Does the work once. Nothing may be left of it. */
static norma_status work_once(fixture *fixture, interrupted_work work, int yes_at, double timeout) {
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  memset(&fixture->error, 0, sizeof fixture->error);
  fixture->questions = (questions){.yes_at = yes_at};
  fixture->timeout = timeout;
  assert_int_equal(norma_runtime_create(&options, &fixture->runtime, NULL), NORMA_OK);
  const size_t before = norma_runtime_memory_used(fixture->runtime);
  const norma_status status = work(fixture);
  assert_int_equal(norma_runtime_memory_used(fixture->runtime), before);
  norma_runtime_destroy(fixture->runtime);
  return status;
}

/* `least`: so many questions at least. */
static void end_at_each_question(interrupted_work work, int least) {
  fixture fixture = {.timeout = 0};
  folder_open(&fixture.folder);
  const norma_status whole = work_once(&fixture, work, 0, 0);
  if (whole != NORMA_OK) fail_msg("%s", fixture.error.message);
  const int all = fixture.questions.asked;
  assert_true(all >= least);
  const int step = all > 400 ? all / 200 : 1; /* of very many each so manieth */
  for (int yes_at = 1; yes_at <= all; yes_at += step) {
    const norma_status status = work_once(&fixture, work, yes_at, 0);
    if (status != NORMA_ERROR_CANCELLED) {
      fail_msg("question %d of %d: status %d, %s", yes_at, all, (int)status, fixture.error.message);
    }
    assert_int_equal(fixture.questions.asked, yes_at); /* one yes is enough */
    assert_int_equal(fixture.error.status, NORMA_ERROR_CANCELLED);
    assert_non_null(strstr(fixture.error.message, "was cancelled"));
  }
  assert_int_equal(work_once(&fixture, work, 0, 1e-9), NORMA_ERROR_DEADLINE);
  assert_non_null(strstr(fixture.error.message, "took longer than its time limit"));
  assert_int_equal(work_once(&fixture, work, 0, 3600), NORMA_OK);
  folder_close(&fixture.folder);
}

/* ------------------------------------------------------------------------------------------------------------- load */

static norma_status load_file(fixture *fixture, norma_optimization optimization, norma_graph_form form) {
  norma_load_options options;
  norma_model *model;
  limit_load(fixture, &options);
  options.optimization = optimization;
  options.form = form;
  const norma_status status = norma_model_load(DIGITS_BN, &options, &model, &fixture->error);
  assert_true((model != NULL) == (status == NORMA_OK));
  norma_model_destroy(model);
  return status;
}

static norma_status load_as_exported(fixture *fixture) {
  return load_file(fixture, NORMA_OPTIMIZE_NONE, NORMA_FORM_RUN);
}

static norma_status load_and_pack(fixture *fixture) {
  return load_file(fixture, NORMA_OPTIMIZE_FULL, NORMA_FORM_RUN);
}

static norma_status load_for_looking(fixture *fixture) {
  return load_file(fixture, NORMA_OPTIMIZE_NONE, NORMA_FORM_INSPECT);
}

static norma_status load_folded(fixture *fixture) {
  return load_file(fixture, NORMA_OPTIMIZE_FULL, NORMA_FORM_OPTIMIZED);
}

static void loads_end_early(void **state) {
  (void)state;
  end_at_each_question(load_as_exported, 2);
  end_at_each_question(load_and_pack, 10);
  end_at_each_question(load_for_looking, 2);
  end_at_each_question(load_folded, 10);
}

/* Ten thousand nodes in the wrong order, each with a constant of its own; folded, it is one. */
static const void *long_chain(model_builder **builder, size_t *size) {
  enum { NODES = 3000 };
  static const float one[1] = {1};
  model_builder *b = *builder = builder_create(17);
  char inputs[64], output[32];
  builder_floats(b, "t0", 1, (int64_t[]){1}, one);
  for (int i = NODES; i > 0; i--) {
    snprintf(inputs, sizeof inputs, "t%d t0", i - 1);
    snprintf(output, sizeof output, "t%d", i);
    builder_node(b, "Add", inputs, output);
  }
  builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){1});
  snprintf(inputs, sizeof inputs, "x t%d", NODES);
  builder_node(b, "Add", inputs, "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  return builder_bytes(b, size);
}

static norma_status load_long_chain(fixture *fixture) {
  norma_load_options options;
  model_builder *b;
  norma_model *model;
  size_t size;
  const void *bytes = long_chain(&b, &size);
  limit_load(fixture, &options);
  const norma_status status = norma_model_load_memory(bytes, size, &options, &model, &fixture->error);
  norma_model_destroy(model);
  builder_destroy(b);
  return status;
}

static void every_stage_of_a_load_asks(void **state) {
  (void)state;
  end_at_each_question(load_long_chain, 50);
}

/* A constant that takes long to make: the fold is left in the middle. */
static norma_status load_with_long_fold(fixture *fixture) {
  enum { SIDE = 600 };
  norma_load_options options;
  norma_model *model;
  size_t size;
  model_builder *b = builder_create(17);
  float *matrix = calloc((size_t)SIDE * SIDE, sizeof *matrix);
  assert_non_null(matrix);
  builder_floats(b, "m", 2, (int64_t[]){SIDE, SIDE}, matrix);
  free(matrix);
  builder_node(b, "MatMul", "m m", "p");
  builder_node(b, "Softmax", "p", "q");
  builder_node(b, "CumSum", "q axis", "c");
  builder_ints64(b, "axis", 0, NULL, (int64_t[]){1});
  builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){SIDE});
  builder_node(b, "Add", "x c", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  const void *bytes = builder_bytes(b, &size);
  limit_load(fixture, &options);
  options.optimization = NORMA_OPTIMIZE_BASIC;
  const norma_status status = norma_model_load_memory(bytes, size, &options, &model, &fixture->error);
  norma_model_destroy(model);
  builder_destroy(b);
  return status;
}

static void folding_ends_early(void **state) {
  (void)state;
  end_at_each_question(load_with_long_fold, 20);
}

/* ------------------------------------------------------------------------------------------------------ plans, runs */

static norma_status plan_and_run(fixture *fixture) {
  norma_load_options load = {.struct_size = sizeof load, .runtime = fixture->runtime};
  norma_session_options options = {.struct_size = sizeof options,
                                   .timeout = fixture->timeout,
                                   .is_cancelled = answer,
                                   .cancel_context = &fixture->questions};
  norma_run_options run = {.struct_size = sizeof run,
                           .timeout = fixture->timeout,
                           .is_cancelled = answer,
                           .cancel_context = &fixture->questions};
  norma_model *model;
  norma_session *session;
  float *pictures = make_pictures(2, 1);
  assert_int_equal(norma_model_load(DIGITS_BN, &load, &model, NULL), NORMA_OK);
  norma_status status = norma_session_create(model, &options, &session, &fixture->error);
  if (status == NORMA_OK) set_pictures(session, pictures, 2);
  if (status == NORMA_OK) status = norma_session_prepare(session, &fixture->error);
  if (status == NORMA_OK) status = norma_session_run_with(session, &run, &fixture->error);
  if (status != NORMA_OK && session) { /* usable all the same */
    fixture->questions.yes_at = 0;
    const int asked = fixture->questions.asked;
    assert_int_equal(norma_session_run(session, NULL), NORMA_OK);
    assert_int_equal(fixture->questions.asked, asked); /* what the other call was told is forgotten */
  }
  norma_session_destroy(session);
  norma_model_destroy(model);
  free(pictures);
  return status;
}

static void planning_and_running_end_early(void **state) {
  (void)state;
  end_at_each_question(plan_and_run, 5);
}

/* ---------------------------------------------------------------------------------------------------------- writing */

static norma_status save_folded(fixture *fixture) {
  norma_load_options load = {.struct_size = sizeof load, .runtime = fixture->runtime, .form = NORMA_FORM_OPTIMIZED};
  norma_load_options options;
  norma_model *model;
  const char *path = folder_path(&fixture->folder, "out.onnx");
  remove(path);
  assert_int_equal(norma_model_load(DIGITS_BN, &load, &model, NULL), NORMA_OK);
  limit_load(fixture, &options);
  const norma_status status = norma_model_save(model, DIGITS_BN, &options, path, NULL, &fixture->error);
  assert_int_equal(folder_has(&fixture->folder, "out.onnx"), status == NORMA_OK);
  norma_model_destroy(model);
  return status;
}

static norma_status edit_and_save(fixture *fixture) {
  norma_editor *editor;
  norma_limits limits = limits_of(fixture);
  const char *path = folder_path(&fixture->folder, "out.onnx");
  remove(path);
  norma_status status = norma_editor_open_within(fixture->runtime, DIGITS_BN, &limits, &editor, &fixture->error);
  assert_true((editor != NULL) == (status == NORMA_OK));
  if (status == NORMA_OK) status = norma_editor_save(editor, path, &fixture->error);
  assert_int_equal(folder_has(&fixture->folder, "out.onnx"), status == NORMA_OK);
  if (status != NORMA_OK && editor) { /* with other limits it goes on */
    assert_int_equal(norma_editor_set_limits(editor, NULL, NULL), NORMA_OK);
    assert_int_equal(norma_editor_save(editor, path, NULL), NORMA_OK);
  }
  norma_editor_destroy(editor);
  return status;
}

static void writing_ends_early_and_leaves_no_file(void **state) {
  (void)state;
  end_at_each_question(save_folded, 10);
  end_at_each_question(edit_and_save, 3);
}

/* ----------------------------------------------------------------------------------------------- BatchNormalization */

static norma_status measure(fixture *fixture) {
  norma_load_options options;
  norma_bn_study *study = NULL;
  norma_model *stage = NULL;
  int levels;
  limit_load(fixture, &options);
  norma_status status = norma_bn_open(DIGITS_BN, &options, &study, &fixture->error);
  if (status == NORMA_OK) status = norma_bn_choose(study, NULL, &levels, &fixture->error);
  if (status == NORMA_OK) {
    norma_bn_setting settings[16] = {{.mode = NORMA_BN_BATCH, .is_wanted = true}};
    assert_true(norma_bn_count(study) > 0 && norma_bn_count(study) <= 16);
    status = norma_bn_stage(study, &options, settings, &stage, &fixture->error);
  }
  norma_model_destroy(stage);
  norma_bn_destroy(study);
  return status;
}

static norma_status gather(fixture *fixture) {
  enum { CHANNELS = 64, INNER = 20000 };
  static float elements[CHANNELS * INNER];
  norma_limits limits = limits_of(fixture);
  norma_moments *moments;
  norma_tensor tensor;
  norma_tensor_init(&tensor, NORMA_FLOAT, 3, (int64_t[]){1, CHANNELS, INNER}, elements);
  assert_int_equal(norma_moments_create(fixture->runtime, CHANNELS, &moments, NULL), NORMA_OK);
  assert_int_equal(norma_moments_set_limits(moments, &limits, NULL), NORMA_OK);
  const norma_status status = norma_moments_add(moments, &tensor, &fixture->error);
  double count, mean[CHANNELS], variance[CHANNELS];
  assert_int_equal(norma_moments_read(moments, &count, mean, variance, NULL), NORMA_OK);
  assert_true(count == (status == NORMA_OK ? INNER : 0)); /* all of it or nothing */
  norma_moments_destroy(moments);
  return status;
}

static void statistics_end_early(void **state) {
  (void)state;
  end_at_each_question(measure, 10);
  end_at_each_question(gather, 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(loads_end_early),
      cmocka_unit_test(every_stage_of_a_load_asks),
      cmocka_unit_test(folding_ends_early),
      cmocka_unit_test(planning_and_running_end_early),
      cmocka_unit_test(writing_ends_early_and_leaves_no_file),
      cmocka_unit_test(statistics_end_early),
  };
  return cmocka_run_group_tests_name("interrupted work", tests, NULL, NULL);
}
