/* Edited models as files: whole or not at all, with the external files that they refer to beside them. */
#include "proto/model_save.h"

#include "tests/support/failing_allocations.h"
#include "tests/support/file_folder.h"
#include "tests/support/model_reading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* A model with an initializer for each location (NULL ends the list). */
static byte_block *make_model(const char *const *locations) {
  byte_block *model = block_new(), *graph = block_new();
  for (int i = 0; locations[i]; i++) {
    char name[16];
    byte_block *tensor = block_new(), *entry = block_new();
    snprintf(name, sizeof name, "w%d", i);
    block_text(tensor, TENSOR_NAME, name);
    block_text(entry, 1, "location");
    block_text(entry, 2, locations[i]);
    block_message(tensor, TENSOR_EXTERNAL_DATA, entry);
    block_int(tensor, TENSOR_DATA_LOCATION, 1);
    block_message(graph, GRAPH_INITIALIZER, tensor);
  }
  block_int(model, 1, 8);
  block_message(model, 7, graph);
  return model;
}

#define LOCATIONS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_LOCATIONS   ((const char *const[]){NULL})

typedef struct fixture {
  file_folder folder;
  memory memory;
  region region;
  byte_block *model;
  model_parts parts;
  norma_error error;
} fixture;

/* The model stands in "in.onnx", beside it "data.bin" and "sub/data.bin"; there is a folder "other". */
static fixture *fixture_open(const char *const *locations) {
  fixture *made = calloc(1, sizeof *made);
  folder_open(&made->folder);
  folder_make(&made->folder, "other");
  folder_make(&made->folder, "sub");
  folder_write(&made->folder, "data.bin", "numbers", 7);
  folder_write(&made->folder, "sub/data.bin", "others", 6);
  memory_init(&made->memory, NULL, 0);
  region_init(&made->region, &made->memory);
  made->model = make_model(locations);
  folder_write(&made->folder, "in.onnx", made->model->bytes, made->model->size);
  const wire_span bytes = {made->model->bytes, made->model->size};
  assert_int_equal(model_parts_read(&made->parts, &made->region, bytes, &made->error), NORMA_OK);
  return made;
}

static void fixture_close(fixture *made) {
  region_free(&made->region);
  assert_int_equal(atomic_load(&made->memory.used), 0);
  folder_close(&made->folder);
  free(made->model);
  free(made);
}

static norma_status save(fixture *made, const char *name) {
  memset(&made->error, 0, sizeof made->error);
  return model_parts_save(&made->parts, folder_path(&made->folder, "in.onnx"), folder_path(&made->folder, name),
                          &made->error);
}

/* The names in a folder, but for those of the fixture. */
static void expect_nothing_in_other(fixture *made) {
  assert_int_equal(rmdir(folder_path(&made->folder, "other")), 0); /* which takes an empty one only */
  folder_make(&made->folder, "other");
}

/* -------------------------------------------------------------------------------------------------------- the model */

static void models_are_written(void **state) {
  (void)state;
  fixture *made = fixture_open(NO_LOCATIONS);
  assert_int_equal(save(made, "out.onnx"), NORMA_OK);
  folder_compare(&made->folder, "in.onnx", "out.onnx");
  made->parts.parts = NULL; /* the same with less in it, over what is there */
  made->parts.count = 0;
  assert_int_equal(save(made, "out.onnx"), NORMA_OK);
  size_t size;
  void *bytes = folder_read(&made->folder, "out.onnx", &size);
  assert_int_equal(size, 4);
  assert_memory_equal(bytes, "\x08\x08\x3A\x00", 4);
  free(bytes);
  fixture_close(made);
}

/* The file that was read stays, however it is called; and what is no file cannot be written. */
static void the_source_is_not_overwritten(void **state) {
  (void)state;
  fixture *made = fixture_open(LOCATIONS("data.bin"));
  assert_int_equal(symlink("in.onnx", folder_path(&made->folder, "link.onnx")), 0);
  assert_int_equal(link(folder_path(&made->folder, "in.onnx"), folder_path(&made->folder, "second.onnx")), 0);
  static const char *const names[] = {"in.onnx", "./in.onnx", "sub/../in.onnx", "link.onnx", "second.onnx"};
  for (int i = 0; i < 5; i++) assert_int_equal(save(made, names[i]), NORMA_ERROR_ARGUMENT);
  assert_int_equal(save(made, "sub"), NORMA_ERROR_FILE);
  assert_int_equal(save(made, "nowhere/out.onnx"), NORMA_ERROR_FILE);
  assert_int_equal(model_parts_save(&made->parts, folder_path(&made->folder, "in.onnx"), "/dev/full", NULL),
                   NORMA_ERROR_FILE);
  size_t size;
  void *bytes = folder_read(&made->folder, "in.onnx", &size);
  assert_int_equal(size, made->model->size);
  free(bytes);
  fixture_close(made);
}

/* --------------------------------------------------------------------------------------------------- external files */

/* In the same folder they are there already. */
static void files_beside_the_model_stay(void **state) {
  (void)state;
  fixture *made = fixture_open(LOCATIONS("data.bin", "sub/data.bin", "not_there.bin"));
  assert_int_equal(save(made, "out.onnx"), NORMA_ERROR_FILE); /* for what is missing */
  assert_false(folder_has(&made->folder, "out.onnx"));
  folder_write(&made->folder, "not_there.bin", "", 0);
  assert_int_equal(save(made, "out.onnx"), NORMA_OK);
  fixture_close(made);
}

/* Elsewhere they are copied, once each; what is there already must be the same. */
static void files_are_copied_elsewhere(void **state) {
  (void)state;
  fixture *made = fixture_open(LOCATIONS("data.bin", "sub/data.bin", "data.bin", "./data.bin"));
  folder_make(&made->folder, "other/sub");
  for (int again = 0; again < 2; again++) {
    if (save(made, "other/out.onnx") != NORMA_OK) fail_msg("%s", made->error.message);
    folder_compare(&made->folder, "in.onnx", "other/out.onnx");
    folder_compare(&made->folder, "data.bin", "other/data.bin");
    folder_compare(&made->folder, "sub/data.bin", "other/sub/data.bin");
  }
  assert_int_equal(remove(folder_path(&made->folder, "other/out.onnx")), 0);
  static const char *const contents[] = {"Numbers", "number", "numbers and more", ""};
  for (int i = 0; i < 4; i++) {
    folder_write(&made->folder, "other/data.bin", contents[i], strlen(contents[i]));
    assert_int_equal(save(made, "other/out.onnx"), NORMA_ERROR_FILE);
    assert_non_null(strstr(made->error.message, "other/data.bin"));
    assert_non_null(strstr(made->error.message, "other contents"));
    assert_false(folder_has(&made->folder, "other/out.onnx"));
    size_t size;
    void *bytes = folder_read(&made->folder, "other/data.bin", &size);
    assert_int_equal(size, strlen(contents[i])); /* it is left as it was */
    free(bytes);
  }
  fixture_close(made);
}

/* Files larger than what is copied at a time; a difference in the last byte counts. */
static void large_files(void **state) {
  enum { SIZE = 200001 };
  (void)state;
  char *large = malloc(SIZE);
  for (int i = 0; i < SIZE; i++) large[i] = (char)(i * 31 % 251);
  fixture *made = fixture_open(LOCATIONS("large.bin"));
  folder_write(&made->folder, "large.bin", large, SIZE);
  assert_int_equal(save(made, "other/out.onnx"), NORMA_OK);
  folder_compare(&made->folder, "large.bin", "other/large.bin");
  assert_int_equal(save(made, "other/out.onnx"), NORMA_OK);
  large[SIZE - 1]++;
  folder_write(&made->folder, "other/large.bin", large, SIZE);
  assert_int_equal(save(made, "other/out.onnx"), NORMA_ERROR_FILE);
  free(large);
  fixture_close(made);
}

/* What the model does not refer to any more is not copied. */
static void dropped_tensors_leave_their_files(void **state) {
  (void)state;
  fixture *made = fixture_open(LOCATIONS("data.bin", "sub/data.bin"));
  made->parts.parts[1].dropped = true;
  assert_int_equal(save(made, "other/out.onnx"), NORMA_OK);
  assert_true(folder_has(&made->folder, "other/data.bin"));
  assert_false(folder_has(&made->folder, "other/sub"));
  fixture_close(made);
}

/* Nothing is read or written outside of the folders. */
static void ways_out_are_shut(void **state) {
  static const char *const locations[] = {"/etc/hostname", "..", "../data.bin", "sub/../../data.bin", "sub/..", ""};
  (void)state;
  for (size_t i = 0; i < sizeof locations / sizeof *locations; i++) {
    fixture *made = fixture_open(LOCATIONS(locations[i]));
    assert_int_equal(save(made, "other/out.onnx"), NORMA_ERROR_INVALID_MODEL);
    if (!strstr(made->error.message, "only files beneath the model's folder")) fail_msg("%s", made->error.message);
    expect_nothing_in_other(made);
    fixture_close(made);
  }
  static char long_location[5000];
  memset(long_location, 'a', sizeof long_location - 1);
  fixture *made = fixture_open(LOCATIONS(long_location));
  assert_int_equal(save(made, "other/out.onnx"), NORMA_ERROR_INVALID_MODEL);
  expect_nothing_in_other(made);
  fixture_close(made);
}

/* Names with two dots that lead nowhere else are as good as any. */
static void dots_in_names(void **state) {
  (void)state;
  fixture *made = fixture_open(LOCATIONS("..data", "a..b", "..."));
  static const char *const names[] = {"..data", "a..b", "..."};
  for (int i = 0; i < 3; i++) folder_write(&made->folder, names[i], names[i], strlen(names[i]));
  assert_int_equal(save(made, "other/out.onnx"), NORMA_OK);
  folder_compare(&made->folder, "a..b", "other/a..b");
  fixture_close(made);
}

/* A model whose files cannot all be had is not written. */
static void files_that_are_missing(void **state) {
  (void)state;
  fixture *made = fixture_open(LOCATIONS("not_there.bin", "data.bin"));
  assert_int_equal(save(made, "other/out.onnx"), NORMA_ERROR_FILE);
  assert_non_null(strstr(made->error.message, "not_there.bin"));
  expect_nothing_in_other(made);
  fixture_close(made);
  made = fixture_open(LOCATIONS("sub/data.bin")); /* where there is no folder for it */
  assert_int_equal(save(made, "other/out.onnx"), NORMA_ERROR_FILE);
  expect_nothing_in_other(made);
  fixture_close(made);
}

/* ----------------------------------------------------------------------------------------------------------- memory */

static norma_status save_in(void *context, const norma_allocator *allocator, norma_error *error) {
  fixture *made = context;
  memory memory;
  region region;
  model_parts parts;
  const wire_span bytes = {made->model->bytes, made->model->size};
  memory_init(&memory, allocator, 0);
  region_init(&region, &memory);
  remove(folder_path(&made->folder, "other/data.bin"));
  remove(folder_path(&made->folder, "other/out.onnx"));
  norma_status status = model_parts_read(&parts, &region, bytes, error);
  if (status == NORMA_OK) {
    status = model_parts_save(&parts, folder_path(&made->folder, "in.onnx"),
                              folder_path(&made->folder, "other/out.onnx"), error);
  }
  assert_int_equal(folder_has(&made->folder, "other/out.onnx"), status == NORMA_OK);
  region_free(&region);
  assert_int_equal(atomic_load(&memory.used), 0);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  fixture *made = fixture_open(LOCATIONS("data.bin", "data.bin"));
  assert_int_equal(fail_each_allocation(save_in, made), 0);
  fixture_close(made);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(models_are_written),
      cmocka_unit_test(the_source_is_not_overwritten),
      cmocka_unit_test(files_beside_the_model_stay),
      cmocka_unit_test(files_are_copied_elsewhere),
      cmocka_unit_test(large_files),
      cmocka_unit_test(dropped_tensors_leave_their_files),
      cmocka_unit_test(ways_out_are_shut),
      cmocka_unit_test(dots_in_names),
      cmocka_unit_test(files_that_are_missing),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
