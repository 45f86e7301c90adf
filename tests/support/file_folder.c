#include "tests/support/file_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

void folder_open(file_folder *folder) {
  snprintf(folder->path, sizeof folder->path, "/tmp/norma_test_XXXXXX");
  assert_non_null(mkdtemp(folder->path));
}

void folder_close(const file_folder *folder) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder->path);
  assert_int_equal(system(command), 0);
}

const char *folder_path(const file_folder *folder, const char *name) {
  enum { KEPT = 8 };
  static char paths[KEPT][256];
  static int next;
  char *path = paths[next++ % KEPT];
  assert_true((size_t)snprintf(path, sizeof paths[0], "%s/%s", folder->path, name) < sizeof paths[0]);
  return path;
}

void folder_make(const file_folder *folder, const char *name) {
  assert_int_equal(mkdir(folder_path(folder, name), 0700), 0);
}

void folder_write(const file_folder *folder, const char *name, const void *bytes, size_t size) {
  FILE *file = fopen(folder_path(folder, name), "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

void *folder_read(const file_folder *folder, const char *name, size_t *size) {
  struct stat facts;
  FILE *file = fopen(folder_path(folder, name), "rb");
  if (!file) fail_msg("there is no file '%s'", name);
  assert_int_equal(fstat(fileno(file), &facts), 0);
  *size = (size_t)facts.st_size;
  void *bytes = malloc(*size + 1);
  assert_non_null(bytes);
  assert_int_equal(fread(bytes, 1, *size, file), *size);
  fclose(file);
  return bytes;
}

bool folder_has(const file_folder *folder, const char *name) {
  return access(folder_path(folder, name), F_OK) == 0;
}

void folder_compare(const file_folder *folder, const char *name, const char *other) {
  size_t size, other_size;
  void *bytes = folder_read(folder, name, &size), *other_bytes = folder_read(folder, other, &other_size);
  assert_int_equal(size, other_size);
  assert_memory_equal(bytes, other_bytes, size);
  free(bytes);
  free(other_bytes);
}
