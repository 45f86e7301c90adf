/* Tensor data in files beside the model: what is read, mapped or asked for, and the ways out of the folder that are
 * shut. */
#include "tests/support/model_reading.h"

#include "proto/onnx.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT 512 /* floats of the tensor */

static char folder[64];
static float numbers[COUNT + 8];

static const char *path_of(const char *name) {
  static char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void write_file(const char *name, const void *bytes, size_t size) {
  FILE *file = fopen(path_of(name), "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  fclose(file);
}

static int set_up(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/norma_external_XXXXXX");
  if (!mkdtemp(folder)) return -1;
  for (int i = 0; i < COUNT + 8; i++) numbers[i] = (float)i;
  mkdir(path_of("model"), 0700);
  mkdir(path_of("model/sub"), 0700);
  write_file("model/data.bin", numbers, sizeof numbers);
  write_file("model/sub/data.bin", numbers, sizeof numbers);
  write_file("secret.bin", numbers, sizeof numbers);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

/* A model whose initializer `w` has its data elsewhere; keys that are NULL are left out. */
static size_t pack_model(unsigned char *bytes, const char *location, const char *offset, const char *length) {
  static char *keys[] = {"location", "offset", "length"};
  const char *texts[] = {location, offset, length};
  int64_t dims[] = {COUNT};
  Onnx__StringStringEntryProto entries[3], *list[3];
  size_t count = 0;
  for (int i = 0; i < 3; i++) {
    if (!texts[i]) continue;
    onnx__string_string_entry_proto__init(&entries[count]);
    entries[count].key = keys[i];
    entries[count].value = (char *)(uintptr_t)texts[i];
    list[count] = &entries[count];
    count++;
  }
  Onnx__TensorProto tensor = ONNX__TENSOR_PROTO__INIT, *tensors[] = {&tensor};
  tensor.name = (char *)(uintptr_t) "w";
  tensor.has_data_type = tensor.has_data_location = 1;
  tensor.data_type = NORMA_FLOAT;
  tensor.data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
  tensor.n_dims = 1;
  tensor.dims = dims;
  tensor.n_external_data = count;
  tensor.external_data = list;
  Onnx__ValueInfoProto output = ONNX__VALUE_INFO_PROTO__INIT, *outputs[] = {&output};
  output.name = (char *)(uintptr_t) "w";
  Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
  graph.n_initializer = graph.n_output = 1;
  graph.initializer = tensors;
  graph.output = outputs;
  Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT, *opsets[] = {&opset};
  opset.has_version = 1;
  opset.version = 17;
  Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
  model.has_ir_version = 1;
  model.ir_version = 8;
  model.n_opset_import = 1;
  model.opset_import = opsets;
  model.graph = &graph;
  return onnx__model_proto__pack(&model, bytes);
}

static norma_status read_model(model_reading *reading, const char *location, const char *offset, const char *length) {
  unsigned char bytes[8192];
  size_t size = pack_model(bytes, location, offset, length);
  assert_true(size <= sizeof bytes);
  write_file("model/model.onnx", bytes, size);
  return reading_read_file(reading, path_of("model/model.onnx"));
}

static void expect_data(const char *location, const char *offset, const char *length, float first) {
  model_reading reading;
  for (int map = 0; map < 2; map++) {
    reading_init(&reading, 0);
    reading.options.map_file = map;
    norma_status status = read_model(&reading, location, offset, length);
    if (status != NORMA_OK) fail_msg("%s: %s", location, reading.error.message);
    const value *w = reading.model.graph->outputs[0]->constant;
    assert_true(((const float *)w->tensor.data)[0] == first);
    assert_true(((const float *)w->tensor.data)[COUNT - 1] == first + COUNT - 1);
    assert_int_equal(reading_release(&reading), 0);
  }
}

static void expect_refused(const char *location, const char *offset, const char *length, norma_status status,
                           const char *part) {
  model_reading reading;
  for (int map = 0; map < 2; map++) {
    reading_init(&reading, 0);
    reading.options.map_file = map;
    assert_int_equal(read_model(&reading, location, offset, length), status);
    if (!strstr(reading.error.message, part)) fail_msg("expected '%s' in '%s'", part, reading.error.message);
    assert_string_equal(reading.error.value, "w");
    assert_int_equal(reading_release(&reading), 0);
  }
}

static void files_beneath_the_folder_are_read(void **state) {
  (void)state;
  expect_data("data.bin", NULL, NULL, 0);
  expect_data("data.bin", "16", NULL, 4);
  expect_data("data.bin", "32", "2048", 8);
  expect_data("./data.bin", "0", "2048", 0);
  expect_data("sub/data.bin", "4", "2048", 1);
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  model_reading reading;
  for (int map = 0; map < 2; map++) {
    for (size_t k = 1;; k++) {
      reading_init(&reading, 0);
      reading.options.map_file = map;
      reading.fail_at = k;
      norma_status status = read_model(&reading, "sub/data.bin", "4", NULL);
      size_t allocations = reading.allocations;
      assert_int_equal(reading_release(&reading), 0);
      if (allocations < k) {
        assert_int_equal(status, NORMA_OK);
        assert_true(k > 5);
        break;
      }
      assert_int_equal(status, NORMA_ERROR_OUT_OF_MEMORY);
    }
  }
}

static void mapped_data_are_views(void **state) {
  (void)state;
  model_reading reading;
  reading_init(&reading, 0);
  reading.options.map_file = true;
  assert_int_equal(read_model(&reading, "data.bin", "4", NULL), NORMA_OK);
  assert_true(atomic_load(&reading.memory.peak) < 100000);
  assert_true(atomic_load(&reading.memory.used) < 16384);
  const value *w = reading.model.graph->outputs[0]->constant;
  assert_int_equal((uintptr_t)w->tensor.data % 4096, 4);
  assert_int_equal(reading_release(&reading), 0);
  reading_init(&reading, 0); /* not aligned to its elements: copied */
  reading.options.map_file = true;
  assert_int_equal(read_model(&reading, "data.bin", "2", NULL), NORMA_OK);
  w = reading.model.graph->outputs[0]->constant;
  assert_int_equal((uintptr_t)w->tensor.data % 64, 0);
  assert_int_equal(reading_release(&reading), 0);
}

static void wrong_ranges_are_refused(void **state) {
  (void)state;
  expect_refused("data.bin", "36", NULL, NORMA_ERROR_INVALID_MODEL, "lie outside the file's 2080 bytes");
  expect_refused("data.bin", "18446744073709551615", NULL, NORMA_ERROR_INVALID_MODEL, "lie outside");
  expect_refused("data.bin", "18446744073709551616", NULL, NORMA_ERROR_INVALID_MODEL,
                 "its offset is '18446744073709551616', not a number");
  expect_refused("data.bin", "-4", NULL, NORMA_ERROR_INVALID_MODEL, "'-4', not a number");
  expect_refused("data.bin", "", NULL, NORMA_ERROR_INVALID_MODEL, "its offset is '', not a number");
  expect_refused("data.bin", "0", "2044", NORMA_ERROR_INVALID_MODEL, "2044 bytes stand for the 2048");
  expect_refused("data.bin", "0", "0x800", NORMA_ERROR_INVALID_MODEL, "its length is '0x800', not a number");
  expect_refused(NULL, "0", NULL, NORMA_ERROR_INVALID_MODEL, "without a location");
}

static void ways_out_are_shut(void **state) {
  (void)state;
  expect_refused("../secret.bin", NULL, NULL, NORMA_ERROR_INVALID_MODEL, "beneath the model's folder");
  expect_refused("sub/../../secret.bin", NULL, NULL, NORMA_ERROR_INVALID_MODEL, "beneath the model's folder");
  expect_refused("..", NULL, NULL, NORMA_ERROR_INVALID_MODEL, "beneath the model's folder");
  expect_refused(path_of("secret.bin"), NULL, NULL, NORMA_ERROR_INVALID_MODEL, "beneath the model's folder");
  expect_refused("", NULL, NULL, NORMA_ERROR_INVALID_MODEL, "beneath the model's folder");
  expect_refused("sub", NULL, NULL, NORMA_ERROR_FILE, "directory");
  expect_refused("none.bin", NULL, NULL, NORMA_ERROR_FILE, "none.bin");

  char target[256];
  snprintf(target, sizeof target, "%s", path_of("secret.bin"));
  assert_int_equal(symlink(target, path_of("model/link.bin")), 0);
  expect_refused("link.bin", NULL, NULL, NORMA_ERROR_FILE, "link");
  assert_int_equal(symlink("data.bin", path_of("model/near.bin")), 0); /* a link within is one all the same */
  expect_refused("near.bin", NULL, NULL, NORMA_ERROR_FILE, "link");
  assert_int_equal(symlink(folder, path_of("model/up")), 0);
  expect_refused("up/secret.bin", NULL, NULL, NORMA_ERROR_FILE, "up/secret.bin");
  assert_int_equal(link(target, path_of("model/hard.bin")), 0);
  expect_refused("hard.bin", NULL, NULL, NORMA_ERROR_FILE, "more than one link");
  assert_int_equal(mkfifo(path_of("model/pipe"), 0600), 0);
  expect_refused("pipe", NULL, NULL, NORMA_ERROR_FILE, "not a regular file");
}

/* ------------------------------------------------------------------------------------------------------ from memory */

static bool give_data(void *context, const char *location, uint64_t offset, uint64_t length, void *destination) {
  int *calls = context;
  (*calls)++;
  if (strcmp(location, "data.bin") != 0 || offset + length > sizeof numbers) return false;
  memcpy(destination, (const char *)numbers + offset, length);
  return true;
}

static void models_from_memory_ask_for_data(void **state) {
  (void)state;
  unsigned char bytes[1024];
  model_reading reading;
  int calls = 0;
  size_t size = pack_model(bytes, "data.bin", "8", "2048");
  reading_init(&reading, 0);
  assert_int_equal(reading_read(&reading, bytes, size), NORMA_ERROR_FILE);
  assert_non_null(strstr(reading.error.message, "read_external"));
  assert_int_equal(reading_release(&reading), 0);
  reading.options.read_external = give_data;
  reading.options.read_external_context = &calls;
  assert_int_equal(reading_read(&reading, bytes, size), NORMA_OK);
  assert_int_equal(calls, 1);
  assert_true(((const float *)reading.model.graph->outputs[0]->constant->tensor.data)[0] == 2);
  assert_int_equal(reading_release(&reading), 0);
  size = pack_model(bytes, "data.bin", "999", NULL);
  assert_int_equal(reading_read(&reading, bytes, size), NORMA_ERROR_FILE);
  assert_non_null(strstr(reading.error.message, "data.bin"));
  assert_int_equal(reading_release(&reading), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(files_beneath_the_folder_are_read, set_up, tear_down),
      cmocka_unit_test_setup_teardown(every_allocation_may_fail, set_up, tear_down),
      cmocka_unit_test_setup_teardown(mapped_data_are_views, set_up, tear_down),
      cmocka_unit_test_setup_teardown(wrong_ranges_are_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(ways_out_are_shut, set_up, tear_down),
      cmocka_unit_test(models_from_memory_ask_for_data),
  };
  return cmocka_run_group_tests_name("external data", tests, NULL, NULL);
}
