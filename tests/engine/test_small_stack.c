/*
 * Threads with little stack: load, optimise, plan, run on two workers, write and free on 256 KiB, for a network of
 * convolutions and for graphs below nodes as deep as the default budget allows. The results are those of a thread with
 * a common stack, to the bit.
 */
#include "tests/support/file_folder.h"
#include "tests/support/model_builder.h"
#include "tests/support/model_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>

#include <cmocka.h>

#define SMALL_STACK    (256 * 1024)
#define DEEPEST        32 /* graphs below nodes: the default of norma_runtime_options.max_depth */
#define MOST_ELEMENTS  64
#define ELEMENTS_OF_IF 4

/* What a life works on, and what came out of it; assertions of cmocka belong to the thread of the test. */
typedef struct small_life {
  const char *path, *saved; /* the model's file, and where it is written */
  const char *input[2];     /* names; the second may be NULL */
  norma_tensor tensors[2];
  float outputs[MOST_ELEMENTS];
  int64_t count; /* of outputs */
  norma_status status;
  norma_error error;
} small_life;

static norma_status run_once(small_life *life, norma_session *session) {
  norma_status status = NORMA_OK;
  for (int i = 0; i < 2 && life->input[i] && status == NORMA_OK; i++) {
    status = norma_session_set_input(session, life->input[i], &life->tensors[i], &life->error);
  }
  if (status == NORMA_OK) status = norma_session_run(session, &life->error);
  if (status != NORMA_OK) return status;
  const norma_tensor *output = norma_value_tensor(norma_session_output(session, 0));
  life->count = norma_tensor_count(output);
  if (life->count <= MOST_ELEMENTS) memcpy(life->outputs, output->data, (size_t)life->count * sizeof(float));
  return NORMA_OK;
}

static norma_status load_and_run(small_life *life, norma_runtime *runtime, norma_optimization level) {
  const norma_load_options options = {.struct_size = sizeof options, .runtime = runtime, .optimization = level};
  norma_model *model;
  norma_session *session = NULL;
  norma_status status = norma_model_load(life->path, &options, &model, &life->error);
  if (status == NORMA_OK) status = norma_session_create(model, NULL, &session, &life->error);
  if (status == NORMA_OK) status = run_once(life, session);
  norma_session_destroy(session);
  norma_model_destroy(model);
  return status;
}

static norma_status write_optimized(small_life *life, norma_runtime *runtime) {
  const norma_load_options options = {.struct_size = sizeof options, .runtime = runtime, .form = NORMA_FORM_OPTIMIZED};
  norma_model *model;
  norma_status status = norma_model_load(life->path, &options, &model, &life->error);
  if (status == NORMA_OK) status = norma_model_save(model, life->path, &options, life->saved, NULL, &life->error);
  norma_model_destroy(model);
  return status;
}

static norma_status write_edited(small_life *life, norma_runtime *runtime) {
  norma_editor *editor;
  norma_status status = norma_editor_open(runtime, life->path, &editor, &life->error);
  if (status == NORMA_OK) status = norma_editor_save(editor, life->saved, &life->error);
  norma_editor_destroy(editor);
  return status;
}

static void *live(void *argument) {
  small_life *life = argument;
  const norma_runtime_options options = {.struct_size = sizeof options, .threads = 2};
  norma_runtime *runtime;
  life->status = norma_runtime_create(&options, &runtime, &life->error);
  if (life->status == NORMA_OK) life->status = load_and_run(life, runtime, NORMA_OPTIMIZE_NONE);
  if (life->status == NORMA_OK) life->status = write_edited(life, runtime);
  if (life->status == NORMA_OK) life->status = write_optimized(life, runtime);
  if (life->status == NORMA_OK) life->status = load_and_run(life, runtime, NORMA_OPTIMIZE_FULL);
  norma_runtime_destroy(runtime);
  return NULL;
}

/* On a thread with `stack` bytes. */
static void live_on(small_life *life, size_t stack) {
  pthread_t thread;
  pthread_attr_t attributes;
  assert_int_equal(pthread_attr_init(&attributes), 0);
  assert_int_equal(pthread_attr_setstacksize(&attributes, stack), 0);
  assert_int_equal(pthread_create(&thread, &attributes, live, life), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  pthread_attr_destroy(&attributes);
  if (life->status != NORMA_OK) fail_msg("%s", life->error.message);
}

/* The same life on a common stack and on a small one; what was written loads again. */
static void compare_lives(const small_life *life, int64_t count) {
  small_life common = *life, small = *life;
  live_on(&common, 8 * 1024 * 1024);
  remove(life->saved);
  live_on(&small, SMALL_STACK);
  assert_int_equal(common.count, count);
  assert_int_equal(small.count, count);
  assert_memory_equal(small.outputs, common.outputs, (size_t)count * sizeof(float));
  small.path = life->saved;
  assert_int_equal(load_and_run(&small, NULL, NORMA_OPTIMIZE_FULL), NORMA_OK);
  assert_int_equal(small.count, count);
}

static void a_network_of_convolutions(void **state) {
  (void)state;
  file_folder folder;
  folder_open(&folder);
  float *pictures = make_pictures(2, 1);
  small_life life = {.path = DIGITS_BN, .saved = folder_path(&folder, "saved.onnx"), .input = {"picture"}};
  norma_tensor_init(&life.tensors[0], NORMA_FLOAT, 4, (int64_t[]){2, 1, 8, 8}, pictures);
  compare_lives(&life, (int64_t)2 * DIGIT_CLASSES);
  free(pictures);
  folder_close(&folder);
}

/* If within If: each branch adds one and goes on, or negates and is done. */
static void fill_branch(model_builder *b, int depth) {
  builder_node(b, "Add", "x one", "a");
  if (depth == 0) {
    builder_node(b, "Mul", "a a", "y");
  } else {
    node *choice = builder_node(b, "If", "c", "r");
    fill_branch(builder_subgraph(b, choice, "then_branch"), depth - 1);
    model_builder *other = builder_subgraph(b, choice, "else_branch");
    builder_node(other, "Neg", "a", "n");
    builder_output(other, "n", NORMA_FLOAT, -1, NULL);
    builder_node(b, "Sub", "r a", "y");
  }
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
}

static void graphs_below_nodes(void **state) {
  (void)state;
  file_folder folder;
  folder_open(&folder);
  size_t size;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){ELEMENTS_OF_IF});
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  builder_floats(b, "one", 1, (int64_t[]){1}, (float[]){1});
  fill_branch(b, DEEPEST);
  const void *bytes = builder_bytes(b, &size);
  folder_write(&folder, "nested.onnx", bytes, size);
  builder_destroy(b);
  float x[ELEMENTS_OF_IF] = {1, -2, 3.5f, 0};
  for (int c = 0; c < 2; c++) {
    bool condition = c == 1;
    small_life life = {
        .path = folder_path(&folder, "nested.onnx"), .saved = folder_path(&folder, "saved.onnx"), .input = {"x", "c"}};
    norma_tensor_init(&life.tensors[0], NORMA_FLOAT, 1, (int64_t[]){ELEMENTS_OF_IF}, x);
    norma_tensor_init(&life.tensors[1], NORMA_BOOL, 0, NULL, &condition);
    compare_lives(&life, ELEMENTS_OF_IF);
    remove(life.saved);
  }
  folder_close(&folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_network_of_convolutions),
      cmocka_unit_test(graphs_below_nodes),
  };
  return cmocka_run_group_tests_name("small stack", tests, NULL, NULL);
}
