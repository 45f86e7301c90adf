/* Initializers that are inputs of the graph as well: norma run and norma test override them where they are given. */
#include "tests/support/model_builder.h"
#include "tests/tools/unit/tool_command.h"
#include "tests/tools/unit/tool_runtime.h"

#include "tools/formats/npy.h"
#include "tools/report.h"

#include <sys/stat.h>

static char folder[64];

static const char *path_of(const char *name) {
  static char paths[4][256];
  static int next;
  next = (next + 1) % 4;
  snprintf(paths[next], sizeof paths[next], "%s/%s", folder, name);
  return paths[next];
}

static void write_bytes(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  fclose(file);
}

static bool write_to(void *context, const void *bytes, size_t count) {
  return fwrite(bytes, 1, count, context) == count;
}

/* Two floats into a .npy or .pb file. */
static void write_floats(const char *path, float first, float second) {
  float data[] = {first, second};
  const norma_tensor tensor = tensor_over(NORMA_FLOAT, data, 1, (const int64_t[]){2});
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  if (strstr(path, ".npy")) {
    npy_encode(file, &tensor);
  } else {
    norma_value *value;
    assert_int_equal(norma_value_borrow_tensor(runtime, &tensor, &value, NULL), NORMA_OK);
    assert_int_equal(norma_value_write(runtime, value, NULL, write_to, file, NULL), NORMA_OK);
    norma_value_destroy(value);
  }
  fclose(file);
}

/* y = x * k + c, where k and c are initializers and k is an input too. */
static int set_up(void **state) {
  snprintf(folder, sizeof folder, "/tmp/norma_test_XXXXXX");
  if (!mkdtemp(folder) || tool_runtime_begin(state) != 0) return -1;
  model_builder *b = builder_create(17);
  size_t size;
  builder_input(b, "k", NORMA_FLOAT, 1, (int64_t[]){2});
  builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){2});
  builder_floats(b, "k", 1, (int64_t[]){2}, (float[]){10, 20});
  builder_floats(b, "c", 1, (int64_t[]){2}, (float[]){1, 1});
  builder_node(b, "Mul", "x k", "p");
  builder_node(b, "Add", "p c", "y");
  builder_output(b, "y", NORMA_FLOAT, 1, (int64_t[]){2});
  const void *bytes = builder_bytes(b, &size);
  write_bytes(path_of("model.onnx"), bytes, size);
  builder_destroy(b);
  write_floats(path_of("x.npy"), 1, 2);
  write_floats(path_of("k.npy"), 3, 5);
  return 0;
}

static int tear_down(void **state) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command) != 0 || tool_runtime_end(state) != 0;
}

/* norma run with up to two -i, and what it must print of y. */
static void expect_run(const char *first, const char *second, const char *values) {
  char output[2048], errors[1024], options[2][300];
  char *words[8] = {(char[]){"run"}, strdup(path_of("model.onnx"))};
  int count = 2;
  snprintf(options[0], sizeof options[0], "-i%s", first);
  words[count++] = options[0];
  snprintf(options[1], sizeof options[1], "-i%s", second ? second : "");
  if (second) words[count++] = options[1];
  const int code = tool_call(words, output, sizeof output, errors, sizeof errors);
  free(words[1]);
  if (code != EXIT_YES) fail_msg("%s %s: code %d: %s", first, second ? second : "", code, errors);
  if (!strstr(output, values)) fail_msg("expected %s in %s", values, output);
}

static void an_initializer_is_overridden_where_it_is_named(void **state) {
  (void)state;
  char x[300], k[300];
  snprintf(x, sizeof x, "x=%s", path_of("x.npy"));
  snprintf(k, sizeof k, "k=%s", path_of("k.npy"));
  expect_run(x, NULL, "11 41");
  expect_run(x, k, "4 11");
  expect_run(k, x, "4 11");
  expect_run(path_of("x.npy"), NULL, "11 41"); /* the next input in order: k stays a constant */
}

static void an_initializer_that_is_no_input_cannot_be_given(void **state) {
  (void)state;
  char output[2048], errors[1024], option[300];
  char *words[] = {(char[]){"run"}, strdup(path_of("model.onnx")), option, NULL};
  snprintf(option, sizeof option, "-ic=%s", path_of("k.npy"));
  assert_int_equal(tool_call(words, output, sizeof output, errors, sizeof errors), EXIT_REFUSED);
  assert_non_null(strstr(errors, "'c'"));
  free(words[1]);
}

/* norma test of the folder; expects this closing line. */
static void expect_test(const char *closing) {
  char output[2048], errors[1024];
  char *words[] = {(char[]){"test"}, folder, NULL};
  tool_call(words, output, sizeof output, errors, sizeof errors);
  if (!strstr(output, closing)) fail_msg("expected %s in %s%s", closing, output, errors);
}

static void data_may_override_initializers(void **state) {
  (void)state;
  assert_int_equal(mkdir(path_of("test_data_set_0"), 0777), 0);
  /* for the inputs that stay open alone */
  write_floats(path_of("test_data_set_0/input_0.pb"), 1, 2);
  write_floats(path_of("test_data_set_0/output_0.pb"), 11, 41);
  expect_test("1 passed, 0 failed, 0 skipped");
  /* and for all that are declared, in their order */
  write_floats(path_of("test_data_set_0/input_0.pb"), 3, 5);
  write_floats(path_of("test_data_set_0/input_1.pb"), 1, 2);
  write_floats(path_of("test_data_set_0/output_0.pb"), 4, 11);
  expect_test("1 passed, 0 failed, 0 skipped");
  write_floats(path_of("test_data_set_0/output_0.pb"), 11, 41);
  expect_test("0 passed, 1 failed, 0 skipped");
  /* more files than inputs */
  write_floats(path_of("test_data_set_0/input_2.pb"), 1, 2);
  expect_test("0 passed, 1 failed, 0 skipped");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_initializer_is_overridden_where_it_is_named),
      cmocka_unit_test(an_initializer_that_is_no_input_cannot_be_given),
      cmocka_unit_test(data_may_override_initializers),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
