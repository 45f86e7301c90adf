/* Files of the tool: groups of outputs that appear whole or not at all, whole files read, manifests of tests. */
#include "tests/tools/unit/tool_runtime.h"
#include "tests/tools/unit/tool_test.h"

#include "tools/formats/input_file.h"
#include "tools/manifest.h"
#include "tools/formats/output_file.h"

#include <dirent.h>
#include <sys/stat.h>

static char folder[64];

static int set_up(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/norma_test_XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

static const char *path_of(const char *name) {
  static char paths[4][256];
  static int next;
  next = (next + 1) % 4;
  snprintf(paths[next], sizeof paths[next], "%s/%s", folder, name);
  return paths[next];
}

static int count_entries(void) {
  int count = -2; /* . and .. */
  DIR *directory = opendir(folder);
  assert_non_null(directory);
  while (readdir(directory)) count++;
  closedir(directory);
  return count;
}

static void write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static void assert_holds(const char *path, const char *text) {
  char got[256] = "";
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  got[fread(got, 1, sizeof got - 1, file)] = '\0';
  fclose(file);
  assert_string_equal(got, text);
}

static void committed_files_appear_together(void **state) {
  (void)state;
  output_group group = {0};
  assert_true(output_make_folder(&group, path_of("a/b")));
  FILE *one = output_open(&group, path_of("a/b/one")), *two = output_open(&group, path_of("two"));
  assert_true(one && two);
  fputs("1", one);
  fputs("2", two);
  assert_int_not_equal(access(path_of("two"), F_OK), 0); /* not before the end */
  assert_true(output_commit(&group));
  assert_holds(path_of("a/b/one"), "1");
  assert_holds(path_of("two"), "2");
  struct stat facts;
  mode_t mask = umask(0);
  umask(mask);
  assert_int_equal(stat(path_of("two"), &facts), 0);
  assert_int_equal(facts.st_mode & 0777, 0666 & ~mask);
  assert_int_equal(count_entries(), 2);
  output_discard(&group);
  assert_holds(path_of("two"), "2");
}

static void discarded_files_leave_nothing(void **state) {
  (void)state;
  output_group group = {0};
  write_file(path_of("old"), "old");
  assert_true(output_make_folder(&group, path_of("a/b/c")));
  fputs("new", output_open(&group, path_of("old")));
  fputs("x", output_open(&group, path_of("a/b/c/x")));
  output_discard(&group);
  assert_holds(path_of("old"), "old");
  assert_int_equal(count_entries(), 1);
}

static void what_cannot_be_written_is_said_at_once(void **state) {
  (void)state;
  char errors[1024];
  output_group group = {0};
  FILE *file;
  write_file(path_of("file"), "");
  int saved = tool_test_mute(&file);
  assert_false(output_make_folder(&group, path_of("file")));
  assert_false(output_make_folder(&group, path_of("file/below")));
  assert_null(output_open(&group, path_of("absent/x")));
  assert_null(output_open(&group, folder));
  assert_null(output_open(&group, ""));
  tool_test_unmute(saved, file, errors, sizeof errors);
  output_discard(&group);
  int lines = 0;
  for (const char *c = errors; *c; c++) lines += *c == '\n';
  assert_int_equal(lines, 5);
  assert_int_equal(count_entries(), 1);
}

static void a_full_disk_leaves_nothing(void **state) {
  (void)state;
  char errors[1024];
  output_group group = {0};
  FILE *file;
  FILE *one = output_open(&group, path_of("one")), *full = output_open(&group, "/dev/full");
  if (!full) skip();
  fputs("1", one);
  fputs("2", full);
  int saved = tool_test_mute(&file);
  assert_false(output_commit(&group));
  tool_test_unmute(saved, file, errors, sizeof errors);
  assert_non_null(strstr(errors, "/dev/full: cannot write: No space left on device"));
  assert_int_equal(count_entries(), 0);
  assert_int_equal(access("/dev/full", F_OK), 0);
}

static void a_link_stays_a_link(void **state) {
  (void)state;
  output_group group = {0};
  struct stat facts;
  write_file(path_of("target"), "old");
  assert_int_equal(symlink("target", path_of("link")), 0);
  fputs("new", output_open(&group, path_of("link")));
  assert_true(output_commit(&group));
  assert_holds(path_of("target"), "new");
  assert_int_equal(lstat(path_of("link"), &facts), 0);
  assert_true(S_ISLNK(facts.st_mode));
}

static void whole_files(void **state) {
  (void)state;
  file_contents contents;
  norma_error error;
  norma_runtime *const owners[] = {NULL, runtime};
  write_file(path_of("text"), "hello");
  write_file(path_of("empty"), "");
  for (int i = 0; i < 2; i++) {
    assert_int_equal(file_read(owners[i], path_of("text"), &contents, &error), NORMA_OK);
    assert_int_equal(contents.size, 5);
    assert_string_equal(contents.bytes, "hello");
    file_contents_free(&contents);
    assert_int_equal(file_read(owners[i], path_of("empty"), &contents, &error), NORMA_OK);
    assert_int_equal(contents.size, 0);
    assert_string_equal(contents.bytes, "");
    file_contents_free(&contents);
    assert_int_equal(file_read(owners[i], path_of("absent"), &contents, &error), NORMA_ERROR_FILE);
    assert_non_null(strstr(error.message, "absent: cannot open"));
    assert_int_equal(file_read(owners[i], folder, &contents, &error), NORMA_ERROR_FILE);
    assert_ptr_equal(strstr(error.message, folder), error.message);
    file_contents_free(&contents);
  }
}

/* A pipe does not tell how much it holds: the room grows with it. */
static void a_pipe_is_read_to_its_end(void **state) {
  (void)state;
  enum { SIZE = 300000 };
  norma_runtime *const owners[] = {NULL, runtime};
  for (int i = 0; i < 2; i++) {
    file_contents contents;
    norma_error error;
    FILE *pipe = popen("head -c 299999 /dev/zero; printf x", "r");
    assert_non_null(pipe);
    assert_int_equal(file_read_rest(owners[i], fileno(pipe), "-", &contents, &error), NORMA_OK);
    assert_int_equal(contents.size, SIZE);
    assert_int_equal(contents.bytes[0], 0);
    assert_string_equal(contents.bytes + SIZE - 1, "x");
    file_contents_free(&contents);
    pclose(pipe);
  }
}

static void a_budget_ends_reading(void **state) {
  (void)state;
  const norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .max_memory_bytes = 2 << 20};
  norma_runtime *small;
  file_contents contents;
  norma_error error;
  assert_int_equal(norma_runtime_create(&options, &small, &error), NORMA_OK);
  assert_int_equal(file_read(small, "/dev/zero", &contents, &error), NORMA_ERROR_BUDGET);
  assert_ptr_equal(strstr(error.message, "/dev/zero: "), error.message);
  assert_null(contents.bytes);
  norma_runtime_destroy(small);
}

static void the_last_line_that_matches_wins(void **state) {
  (void)state;
  manifest manifest;
  tolerance otherwise = tolerance_default();
  write_file(path_of("manifest"), "# comment\n\ntest_* rtol=1e-2\n  test_add*  atol=0.5 # more\r\n"
                                  "node/test_mul max=1e-4\ntop compare=top1\ncos compare=cosine min=0.9\n"
                                  "test_b* compare=domain\nplain");
  assert_true(manifest_load(&manifest, path_of("manifest"), &otherwise));
  tolerance found = manifest_find(&manifest, "/x/node/test_sub", &otherwise);
  assert_true(found.rule == COMPARE_ELEMENTS && found.rtol == 1e-2 && found.atol == 1e-7);
  found = manifest_find(&manifest, "/x/node/test_add_1", &otherwise);
  assert_true(found.rtol == 1e-3 && found.atol == 0.5); /* the earlier line does not add to it */
  found = manifest_find(&manifest, "/x/node/test_mul", &otherwise);
  assert_true(found.rule == COMPARE_MAX && found.max == 1e-4);
  found = manifest_find(&manifest, "node/test_mul", &otherwise);
  assert_int_equal(found.rule, COMPARE_MAX);
  found = manifest_find(&manifest, "/x/other/test_mul", &otherwise);
  assert_true(found.rule == COMPARE_ELEMENTS && found.rtol == 1e-2);
  assert_int_equal(manifest_find(&manifest, "top", &otherwise).rule, COMPARE_TOP1);
  found = manifest_find(&manifest, "a/cos", &otherwise);
  assert_true(found.rule == COMPARE_COSINE && found.min == 0.9);
  assert_int_equal(manifest_find(&manifest, "test_bernoulli", &otherwise).rule, COMPARE_DOMAIN);
  assert_true(manifest_find(&manifest, "unknown", &otherwise).rtol == 1e-3);
  manifest_free(&manifest);
}

static void mistakes_in_a_manifest_name_the_line(void **state) {
  (void)state;
  static const char *const bad[] = {"x rtol",   "x rtol=",        "x rtol=-1", "x rtol=nan",
                                    "x frob=1", "x compare=frob", "x =1"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    char text[64], errors[512];
    FILE *file;
    manifest manifest;
    tolerance otherwise = tolerance_default();
    snprintf(text, sizeof text, "good rtol=1\n%s\n", bad[i]);
    write_file(path_of("manifest"), text);
    int saved = tool_test_mute(&file);
    bool loaded = manifest_load(&manifest, path_of("manifest"), &otherwise);
    tool_test_unmute(saved, file, errors, sizeof errors);
    manifest_free(&manifest);
    assert_false(loaded);
    if (!strstr(errors, "manifest:2: ")) fail_msg("'%s': %s", bad[i], errors);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(committed_files_appear_together, set_up, tear_down),
      cmocka_unit_test_setup_teardown(discarded_files_leave_nothing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_cannot_be_written_is_said_at_once, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_full_disk_leaves_nothing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_link_stays_a_link, set_up, tear_down),
      cmocka_unit_test_setup_teardown(whole_files, set_up, tear_down),
      cmocka_unit_test(a_pipe_is_read_to_its_end),
      cmocka_unit_test(a_budget_ends_reading),
      cmocka_unit_test_setup_teardown(the_last_line_that_matches_wins, set_up, tear_down),
      cmocka_unit_test_setup_teardown(mistakes_in_a_manifest_name_the_line, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, tool_runtime_begin, tool_runtime_end);
}
