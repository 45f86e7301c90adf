/* The file of --moments: what is written is read again; damaged files are refused, those with absurd numbers too. */
#include "tests/tools/unit/tool_test.h"

#include "tools/bn/bn_moments_file.h"

static char path[64];
static const struct reestimate_settings settings = {.common = {.threads = 1, .level = -1}, .momentum = -1};

static void open_estimate(bn_estimate *estimate) {
  int code;
  assert_true(bn_estimate_open(estimate, &settings, "models/digits_cnn_bn/model.onnx", &code));
}

static int set_up(void **state) {
  (void)state;
  snprintf(path, sizeof path, "/tmp/norma_moments_XXXXXX");
  const int file = mkstemp(path);
  return file < 0 ? -1 : close(file);
}

static int tear_down(void **state) {
  (void)state;
  return unlink(path);
}

/* Calls `taker` and returns whether it succeeded; what it said goes to `text`. */
static bool take(bool (*taker)(bn_estimate *estimate, const char *path), bn_estimate *estimate, char *text,
                 size_t size) {
  FILE *file;
  const int saved = tool_test_mute(&file);
  const bool taken = taker(estimate, path);
  tool_test_unmute(saved, file, text, size);
  return taken;
}

static void what_is_written_is_read(void **state) {
  (void)state;
  bn_estimate written, read;
  open_estimate(&written);
  open_estimate(&read);
  written.samples = 7;
  written.whole = true;
  assert_true(bn_moments_write(&written, path));
  assert_true(bn_moments_read(&read, path));
  assert_int_equal(read.samples, 7);
  assert_true(read.whole);
  assert_true(bn_moments_merge(&read, path));
  assert_int_equal(read.samples, 14);
  bn_estimate_close(&written);
  bn_estimate_close(&read);
}

/* Two files whose samples together are more than there are numbers. */
static void samples_do_not_overflow(void **state) {
  (void)state;
  bn_estimate estimate;
  char text[256];
  open_estimate(&estimate);
  estimate.samples = INT64_MAX;
  estimate.whole = true;
  assert_true(bn_moments_write(&estimate, path));
  assert_true(bn_moments_read(&estimate, path));
  assert_false(take(bn_moments_merge, &estimate, text, sizeof text));
  assert_non_null(strstr(text, "is damaged"));
  bn_estimate_close(&estimate);
}

/* Each byte of a file matters. */
static void damaged_files_are_refused(void **state) {
  (void)state;
  bn_estimate estimate;
  char text[256];
  open_estimate(&estimate);
  assert_true(bn_moments_write(&estimate, path));
  FILE *file = fopen(path, "r+b");
  assert_non_null(file);
  fseek(file, 0, SEEK_END);
  const long size = ftell(file);
  for (long at = 0; at < size; at += 97) {
    fseek(file, at, SEEK_SET);
    const int byte = fgetc(file);
    fseek(file, at, SEEK_SET);
    fputc(byte ^ 0x20, file);
    fflush(file);
    assert_false(take(bn_moments_read, &estimate, text, sizeof text));
    fseek(file, at, SEEK_SET);
    fputc(byte, file);
    fflush(file);
  }
  fclose(file);
  assert_true(bn_moments_read(&estimate, path));
  assert_int_equal(truncate(path, size - 8), 0);
  assert_false(take(bn_moments_read, &estimate, text, sizeof text));
  bn_estimate_close(&estimate);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(what_is_written_is_read, set_up, tear_down),
      cmocka_unit_test_setup_teardown(samples_do_not_overflow, set_up, tear_down),
      cmocka_unit_test_setup_teardown(damaged_files_are_refused, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
