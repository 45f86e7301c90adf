/* Bytes from memory, from a file read in pieces, and from a mapped file: the same bytes, the same errors. */
#include "engine/base/byte_source.h"

#include "tests/support/failing_allocations.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE 100003 /* several pages, and no whole number of them */

static char folder[] = "/tmp/norma_byte_source_XXXXXX";
static unsigned char contents[SIZE];

static const char *path_of(const char *name) {
  static char path[128];
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
  if (!mkdtemp(folder)) return -1;
  for (int i = 0; i < SIZE; i++) contents[i] = (unsigned char)(i * 31 + i / 256);
  write_file("bytes", contents, SIZE);
  write_file("empty", "", 0);
  if (mkfifo(path_of("pipe"), 0600) != 0) return -1;
  char target[160];
  snprintf(target, sizeof target, "%s", path_of("bytes"));
  return symlink(target, path_of("link"));
}

static int tear_down(void **state) {
  (void)state;
  static const char *const names[] = {"bytes", "empty", "pipe", "link"};
  for (int i = 0; i < 4; i++) unlink(path_of(names[i]));
  return rmdir(folder);
}

typedef enum way { WAY_MEMORY, WAY_FILE, WAY_MAPPED, WAYS } way;

static byte_source open_way(way way, memory *memory) {
  byte_source source;
  norma_error error;
  if (way == WAY_MEMORY) return byte_source_from_memory(contents, SIZE);
  if (byte_source_open(&source, memory, path_of("bytes"), way == WAY_MAPPED, &error) != NORMA_OK) {
    fail_msg("%s", error.message);
  }
  return source;
}

/* ---------------------------------------------------------------------------------------------------------- reading */

static void parts_are_read(void **state) {
  static const struct {
    uint64_t offset;
    size_t length;
  } parts[] = {{0, SIZE}, {0, 1}, {SIZE - 1, 1}, {4095, 2}, {1, 70000}, {0, 0}, {SIZE, 0}};
  (void)state;
  for (way way = 0; way < WAYS; way++) {
    memory memory;
    static unsigned char read[SIZE + 1];
    memory_init(&memory, NULL, 0);
    byte_source source = open_way(way, &memory);
    assert_int_equal(source.size, SIZE);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
      memset(read, 0xEE, sizeof read);
      norma_status status = byte_source_read(&source, parts[i].offset, read, parts[i].length, NULL);
      assert_int_equal(status, NORMA_OK);
      assert_memory_equal(read, contents + parts[i].offset, parts[i].length);
      assert_int_equal(read[parts[i].length], 0xEE); /* no more */
    }
    byte_source_close(&source);
    assert_int_equal(atomic_load(&memory.used), 0);
  }
}

static void parts_outside_are_refused(void **state) {
  static const struct {
    uint64_t offset;
    size_t length;
  } parts[] = {{0, SIZE + 1},   {SIZE, 1},     {SIZE + 1, 0},         {1, SIZE},
               {UINT64_MAX, 1}, {1, SIZE_MAX}, {UINT64_MAX, SIZE_MAX}};
  (void)state;
  for (way way = 0; way < WAYS; way++) {
    memory memory;
    unsigned char byte = 7;
    norma_error error;
    memory_init(&memory, NULL, 0);
    byte_source source = open_way(way, &memory);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
      assert_int_equal(byte_source_read(&source, parts[i].offset, &byte, parts[i].length, &error), NORMA_ERROR_FORMAT);
      assert_non_null(strstr(error.message, "outside the file's 100003 bytes"));
      assert_int_equal(byte, 7);
    }
    byte_source_close(&source);
  }
}

/* Data that are there can be looked at without copying; of a file that is read in pieces there are none. */
static void views(void **state) {
  (void)state;
  memory memory;
  memory_init(&memory, NULL, 0);
  byte_source file = open_way(WAY_FILE, &memory), mapped = open_way(WAY_MAPPED, &memory);
  assert_null(file.data);
  assert_null(file.mapping);
  assert_memory_equal(mapped.data, contents, SIZE);
  buffer *held = buffer_retain(mapped.mapping); /* a view outlives the source */
  const unsigned char *data = mapped.data;
  byte_source_close(&mapped);
  assert_memory_equal(data, contents, SIZE);
  buffer_release(held);
  byte_source_close(&file);
  assert_int_equal(atomic_load(&memory.used), 0);
}

static void nothing_is_a_source_too(void **state) {
  (void)state;
  memory memory;
  memory_init(&memory, NULL, 0);
  byte_source source = byte_source_from_memory(NULL, 0);
  assert_int_equal(byte_source_read(&source, 0, NULL, 0, NULL), NORMA_OK);
  byte_source_close(&source);
  for (int map = 0; map < 2; map++) {
    char byte;
    assert_int_equal(byte_source_open(&source, &memory, path_of("empty"), map, NULL), NORMA_OK);
    assert_int_equal(source.size, 0);
    assert_int_equal(byte_source_read(&source, 0, &byte, 1, NULL), NORMA_ERROR_FORMAT);
    byte_source_close(&source);
  }
}

static void closing_twice_is_fine(void **state) {
  (void)state;
  memory memory;
  memory_init(&memory, NULL, 0);
  for (way way = 0; way < WAYS; way++) {
    byte_source source = open_way(way, &memory);
    byte_source_close(&source);
    byte_source_close(&source);
    assert_int_equal(source.file, -1);
  }
  byte_source source;
  assert_int_equal(byte_source_open(&source, &memory, "/no/such/file", false, NULL), NORMA_ERROR_FILE);
  byte_source_close(&source);
}

/* ---------------------------------------------------------------------------------------------------------- opening */

static int count_descriptors(void) {
  int count = 0;
  for (int i = 0; i < 256; i++) count += fcntl(i, F_GETFD) >= 0;
  return count;
}

/* Regular files, and links to such; nothing that would make a reader wait, and no descriptor is left open. */
static void only_regular_files_are_opened(void **state) {
  static const struct {
    const char *name, *part;
  } cases[] = {{"link", NULL},
               {"missing", "No such file"},
               {"pipe", "is not a regular file"},
               {".", "is a directory"},
               {"bytes/below", "Not a directory"}};
  (void)state;
  const int before = count_descriptors();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    for (int map = 0; map < 2; map++) {
      memory memory;
      byte_source source;
      norma_error error;
      memory_init(&memory, NULL, 0);
      norma_status status = byte_source_open(&source, &memory, path_of(cases[i].name), map, &error);
      assert_int_equal(status, cases[i].part ? NORMA_ERROR_FILE : NORMA_OK);
      if (cases[i].part && (!strstr(error.message, cases[i].part) || !strstr(error.message, cases[i].name))) {
        fail_msg("'%s' lacks '%s'", error.message, cases[i].part);
      }
      byte_source_close(&source);
      assert_int_equal(atomic_load(&memory.used), 0);
    }
  }
  assert_int_equal(count_descriptors(), before);
  memory memory;
  byte_source source;
  memory_init(&memory, NULL, 0);
  assert_int_equal(byte_source_open(&source, &memory, "/dev/null", false, NULL), NORMA_ERROR_FILE);
}

/* The descriptor belongs to the source, whether it can be used or not. */
static void descriptors_are_taken_over(void **state) {
  (void)state;
  memory memory;
  norma_error error;
  byte_source source;
  memory_init(&memory, NULL, 0);
  int file = open(path_of("bytes"), O_RDONLY);
  assert_int_equal(byte_source_adopt(&source, &memory, file, "the file", true, &error), NORMA_OK);
  assert_int_equal(source.size, SIZE);
  byte_source_close(&source);
  assert_int_equal(fcntl(file, F_GETFD), -1);
  file = open(folder, O_RDONLY);
  assert_int_equal(byte_source_adopt(&source, &memory, file, "the folder", true, &error), NORMA_ERROR_FILE);
  assert_string_equal(error.message, "the folder: is a directory");
  assert_int_equal(fcntl(file, F_GETFD), -1);
}

/* A file that is cut while it is read: an error, and not bytes that were never there. */
static void files_that_become_shorter(void **state) {
  (void)state;
  memory memory;
  norma_error error;
  static unsigned char read[SIZE];
  memory_init(&memory, NULL, 0);
  byte_source source = open_way(WAY_FILE, &memory);
  assert_int_equal(truncate(path_of("bytes"), 1000), 0);
  assert_int_equal(byte_source_read(&source, 0, read, 1000, &error), NORMA_OK);
  assert_int_equal(byte_source_read(&source, 0, read, 1001, &error), NORMA_ERROR_FILE);
  assert_non_null(strstr(error.message, "shorter"));
  byte_source_close(&source);
  write_file("bytes", contents, SIZE);
}

static norma_status open_mapped(void *context, const norma_allocator *allocator, norma_error *error) {
  memory memory;
  byte_source source;
  (void)context;
  memory_init(&memory, allocator, 0);
  norma_status status = byte_source_open(&source, &memory, path_of("bytes"), true, error);
  byte_source_close(&source);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  const int before = count_descriptors();
  assert_int_equal(fail_each_allocation(open_mapped, NULL), 0);
  assert_int_equal(count_descriptors(), before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parts_are_read),
      cmocka_unit_test(parts_outside_are_refused),
      cmocka_unit_test(views),
      cmocka_unit_test(nothing_is_a_source_too),
      cmocka_unit_test(closing_twice_is_fine),
      cmocka_unit_test(only_regular_files_are_opened),
      cmocka_unit_test(descriptors_are_taken_over),
      cmocka_unit_test(files_that_become_shorter),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
