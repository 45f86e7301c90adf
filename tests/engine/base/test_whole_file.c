/* Files that appear whole or not at all. */
#include "engine/base/whole_file.h"

#include "tests/support/failing_allocations.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/norma_whole_file_XXXXXX";
static memory account;

static const char *path_of(const char *name) {
  static char path[2][128];
  static int next;
  char *chosen = path[next++ % 2];
  snprintf(chosen, sizeof path[0], "%s/%s", folder, name);
  return chosen;
}

static void write_plain(const char *name, const char *text) {
  FILE *file = fopen(path_of(name), "wb");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static void expect_contents(const char *name, const char *text) {
  char read[200] = "";
  FILE *file = fopen(path_of(name), "rb");
  assert_non_null(file);
  size_t count = fread(read, 1, sizeof read - 1, file);
  fclose(file);
  read[count] = '\0';
  assert_string_equal(read, text);
}

/* The names in the folder. */
static int count_files(void) {
  DIR *list = opendir(folder);
  int count = 0;
  for (const struct dirent *entry = readdir(list); entry; entry = readdir(list)) count += entry->d_name[0] != '.';
  closedir(list);
  return count;
}

static int set_up(void **state) {
  (void)state;
  signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error, not an end */
  memory_init(&account, NULL, 0);
  snprintf(folder, sizeof folder, "/tmp/norma_whole_file_XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  char command[160];
  assert_int_equal(atomic_load(&account.used), 0);
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

static norma_status write_whole(const char *name, const char *text, norma_error *error) {
  whole_file file;
  norma_status status = whole_file_begin(&file, &account, path_of(name), NULL, error);
  if (status != NORMA_OK) return status;
  assert_true(whole_file_write(&file, text, strlen(text)));
  return whole_file_commit(&file, error);
}

/* ---------------------------------------------------------------------------------------------------------- writing */

/* Nothing is there under the name before the commit, and all of it afterwards. */
static void a_file_appears_with_the_commit(void **state) {
  (void)state;
  whole_file file;
  assert_int_equal(whole_file_begin(&file, &account, path_of("new"), NULL, NULL), NORMA_OK);
  assert_true(whole_file_write(&file, "one ", 4));
  assert_true(whole_file_write(&file, "", 0));
  assert_true(whole_file_write(&file, "two", 3));
  assert_int_equal(access(path_of("new"), F_OK), -1);
  assert_int_equal(whole_file_commit(&file, NULL), NORMA_OK);
  expect_contents("new", "one two");
  whole_file_discard(&file); /* nothing to discard any more */
  expect_contents("new", "one two");
  assert_int_equal(count_files(), 1);
}

static void a_file_is_replaced_with_the_commit(void **state) {
  (void)state;
  whole_file file;
  write_plain("old", "before");
  assert_int_equal(whole_file_begin(&file, &account, path_of("old"), NULL, NULL), NORMA_OK);
  assert_true(whole_file_write(&file, "after", 5));
  expect_contents("old", "before");
  assert_int_equal(whole_file_commit(&file, NULL), NORMA_OK);
  expect_contents("old", "after");
  assert_int_equal(count_files(), 1);
}

static void discarding_leaves_everything_as_it_was(void **state) {
  (void)state;
  whole_file file;
  write_plain("old", "before");
  assert_int_equal(whole_file_begin(&file, &account, path_of("old"), NULL, NULL), NORMA_OK);
  assert_true(whole_file_write(&file, "after", 5));
  whole_file_discard(&file);
  whole_file_discard(&file);
  expect_contents("old", "before");
  assert_int_equal(count_files(), 1);
  assert_int_equal(whole_file_begin(&file, &account, path_of("new"), NULL, NULL), NORMA_OK);
  whole_file_discard(&file);
  assert_int_equal(count_files(), 1);
}

static mode_t mode_of(const char *name) {
  struct stat facts;
  assert_int_equal(stat(path_of(name), &facts), 0);
  return facts.st_mode & 07777;
}

/* A new file gets what open would give it, one that is replaced keeps its mode. */
static void modes_are_kept(void **state) {
  (void)state;
  const mode_t mask = umask(027);
  assert_int_equal(write_whole("new", "x", NULL), NORMA_OK);
  assert_int_equal(mode_of("new"), 0640);
  write_plain("old", "before");
  chmod(path_of("old"), 0604);
  assert_int_equal(write_whole("old", "x", NULL), NORMA_OK);
  assert_int_equal(mode_of("old"), 0604);
  umask(mask);
}

/* A symbolic link stays one: what it points to is replaced, in its own folder. */
static void links_stay_links(void **state) {
  (void)state;
  struct stat facts;
  assert_int_equal(mkdir(path_of("deep"), 0700), 0);
  write_plain("deep/target", "before");
  assert_int_equal(symlink("deep/target", path_of("link")), 0);
  assert_int_equal(write_whole("link", "after", NULL), NORMA_OK);
  assert_int_equal(lstat(path_of("link"), &facts), 0);
  assert_true(S_ISLNK(facts.st_mode));
  expect_contents("deep/target", "after");
}

static void names_without_a_folder(void **state) {
  (void)state;
  char before[1024];
  assert_non_null(getcwd(before, sizeof before));
  assert_int_equal(chdir(folder), 0);
  whole_file file;
  assert_int_equal(whole_file_begin(&file, &account, "plain", NULL, NULL), NORMA_OK);
  assert_true(whole_file_write(&file, "x", 1));
  assert_int_equal(whole_file_commit(&file, NULL), NORMA_OK);
  assert_int_equal(chdir(before), 0);
  expect_contents("plain", "x");
}

/* ---------------------------------------------------------------------------------------------------------- refused */

static void targets_that_cannot_be(void **state) {
  (void)state;
  norma_error error;
  assert_int_equal(mkdir(path_of("folder"), 0700), 0);
  assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
  assert_int_equal(write_whole("folder", "x", &error), NORMA_ERROR_FILE);
  assert_non_null(strstr(error.message, "Is a directory"));
  assert_int_equal(write_whole("pipe", "x", &error), NORMA_ERROR_FILE);
  assert_non_null(strstr(error.message, "is not a regular file"));
  assert_int_equal(write_whole("missing/file", "x", &error), NORMA_ERROR_FILE);
  assert_non_null(strstr(error.message, "missing/file"));
  whole_file file;
  assert_int_equal(whole_file_begin(&file, &account, "", NULL, &error), NORMA_ERROR_FILE);
  whole_file_discard(&file);
  assert_int_equal(count_files(), 2);
}

/* By whatever name: another path, a symbolic link, a hard link. */
static void the_source_is_not_overwritten(void **state) {
  static const char *const names[] = {"source", "./source", "link", "hard"};
  (void)state;
  norma_error error;
  write_plain("source", "before");
  assert_int_equal(symlink("source", path_of("link")), 0);
  assert_int_equal(link(path_of("source"), path_of("hard")), 0);
  for (int i = 0; i < 4; i++) {
    whole_file file;
    char source[128];
    snprintf(source, sizeof source, "%s", path_of("source"));
    assert_int_equal(whole_file_begin(&file, &account, path_of(names[i]), source, &error), NORMA_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "give the output another name"));
    whole_file_discard(&file);
  }
  expect_contents("source", "before");
  assert_int_equal(count_files(), 3);
}

/* A disk that is full, by way of the limit for the size of files: no write after it does anything, and the commit
 * tells.
 */
static void failed_writes_leave_nothing(void **state) {
  (void)state;
  whole_file file;
  norma_error error;
  struct rlimit before, little;
  char bytes[4096] = {0};
  write_plain("old", "before");
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  little = before;
  little.rlim_cur = 10000;
  assert_int_equal(whole_file_begin(&file, &account, path_of("old"), NULL, NULL), NORMA_OK);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
  int good = 0;
  for (int i = 0; i < 6; i++) good += whole_file_write(&file, bytes, sizeof bytes);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  assert_int_equal(good, 2);
  assert_int_equal(file.error_number, EFBIG);
  assert_false(whole_file_write(&file, bytes, 1)); /* though there is room again */
  assert_int_equal(whole_file_commit(&file, &error), NORMA_ERROR_FILE);
  assert_non_null(strstr(error.message, "cannot write"));
  expect_contents("old", "before");
  assert_int_equal(count_files(), 1);
}

/* The folder vanishes in the meantime. */
static void failed_renames_are_told(void **state) {
  (void)state;
  whole_file file;
  norma_error error;
  assert_int_equal(mkdir(path_of("gone"), 0700), 0);
  assert_int_equal(whole_file_begin(&file, &account, path_of("gone/file"), NULL, NULL), NORMA_OK);
  assert_true(whole_file_write(&file, "x", 1));
  char command[160];
  snprintf(command, sizeof command, "rm -rf '%s'", path_of("gone"));
  assert_int_equal(system(command), 0);
  assert_int_equal(whole_file_commit(&file, &error), NORMA_ERROR_FILE);
  assert_non_null(strstr(error.message, "gone/file"));
}

static norma_status begin_and_commit(void *context, const norma_allocator *allocator, norma_error *error) {
  memory memory;
  whole_file file;
  (void)context;
  memory_init(&memory, allocator, 0);
  norma_status status = whole_file_begin(&file, &memory, path_of("file"), NULL, error);
  if (status == NORMA_OK) status = whole_file_commit(&file, error);
  whole_file_discard(&file);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  assert_int_equal(fail_each_allocation(begin_and_commit, NULL), 0);
  assert_int_equal(count_files(), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_file_appears_with_the_commit, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_file_is_replaced_with_the_commit, set_up, tear_down),
      cmocka_unit_test_setup_teardown(discarding_leaves_everything_as_it_was, set_up, tear_down),
      cmocka_unit_test_setup_teardown(modes_are_kept, set_up, tear_down),
      cmocka_unit_test_setup_teardown(links_stay_links, set_up, tear_down),
      cmocka_unit_test_setup_teardown(names_without_a_folder, set_up, tear_down),
      cmocka_unit_test_setup_teardown(targets_that_cannot_be, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_source_is_not_overwritten, set_up, tear_down),
      cmocka_unit_test_setup_teardown(failed_writes_leave_nothing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(failed_renames_are_told, set_up, tear_down),
      cmocka_unit_test_setup_teardown(allocations_that_fail_are_reported, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
