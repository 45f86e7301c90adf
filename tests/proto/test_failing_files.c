/* Every call that opens, looks at, reads or maps a file is made to fail, one after the other, over loading a model with
 * external data: an error that is a file error, nothing leaked, no descriptor left open, no silent success.
 *
 * The functions of the C library are replaced in this program; they fail at call number `fail_at`. */
#include "tests/support/counting_allocator.h"

#include "engine/norma.h"
#include "proto/onnx.pb-c.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* Sanitizers that replace these functions themselves, before the program has begun, leave no room for others. */
#if defined(__SANITIZE_THREAD__)
#define CANNOT_REPLACE
#elif defined(__clang__)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CANNOT_REPLACE
#endif
#endif

#ifdef CANNOT_REPLACE

int main(void) {
  return 77; /* skipped */
}

#else

static long calls, fail_at; /* 0: nothing fails */
static bool fail_short;     /* reads find the file's end instead of an error */

/* Whether this call is the one. */
static bool fails(int reason) {
  if (!fail_at || ++calls != fail_at) return false;
  errno = reason;
  return true;
}

/* The C library's own function of that name and type. */
#define ORIGINAL(type, name)                                                                                           \
  static type *original;                                                                                               \
  if (!original) *(void **)(void *)&original = dlsym(RTLD_NEXT, name);

int open(const char *path, int flags, ...) {
  typedef int open_function(const char *, int, ...);
  ORIGINAL(open_function, "open")
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return fails(EMFILE) ? -1 : original(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
  typedef int openat_function(int, const char *, int, ...);
  ORIGINAL(openat_function, "openat")
  return fails(EMFILE) ? -1 : original(folder, path, flags);
}

int fstat(int file, struct stat *facts) {
  typedef int fstat_function(int, struct stat *);
  ORIGINAL(fstat_function, "fstat")
  return fails(EIO) ? -1 : original(file, facts);
}

ssize_t pread(int file, void *bytes, size_t size, off_t offset) {
  typedef ssize_t pread_function(int, void *, size_t, off_t);
  ORIGINAL(pread_function, "pread")
  if (fails(EIO)) return fail_short ? 0 : -1;
  return original(file, bytes, size, offset);
}

void *mmap(void *address, size_t size, int protection, int flags, int file, off_t offset) {
  typedef void *mmap_function(void *, size_t, int, int, int, off_t);
  ORIGINAL(mmap_function, "mmap")
  if (file >= 0 && fails(ENOMEM)) return MAP_FAILED; /* not the memory of threads */
  return original(address, size, protection, flags, file, offset);
}

/* openat2 has no function of its own. */
long syscall(long number, ...) {
  typedef long syscall_function(long, ...);
  ORIGINAL(syscall_function, "syscall")
  long a[6];
  va_list arguments;
  va_start(arguments, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(arguments, long);
  va_end(arguments);
#ifdef SYS_openat2
  if (number == SYS_openat2 && fails(EMFILE)) return -1;
#endif
  return original(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ------------------------------------------------------------------------------------------------------------ model */

#define COUNT 512

static char folder[64], model_path[128];

static void write_file(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  fclose(file);
}

/* Two initializers with their data in two files, and one in the model, large enough to be read apart. */
static void write_model(void) {
  static char *keys[] = {"location"}, *locations[] = {"a.bin", "sub/b.bin"}, *names[] = {"a", "b", "c"};
  static float numbers[COUNT];
  int64_t dims[] = {COUNT};
  Onnx__TensorProto tensors[3], *tensor_list[3];
  Onnx__ValueInfoProto outputs[3], *output_list[3];
  Onnx__StringStringEntryProto entries[2], *entry_lists[2][1];
  for (int i = 0; i < 3; i++) {
    onnx__tensor_proto__init(&tensors[i]);
    onnx__value_info_proto__init(&outputs[i]);
    tensors[i].name = outputs[i].name = names[i];
    tensors[i].has_data_type = true;
    tensors[i].data_type = NORMA_FLOAT;
    tensors[i].n_dims = 1;
    tensors[i].dims = dims;
    tensor_list[i] = &tensors[i];
    output_list[i] = &outputs[i];
    if (i == 2) {
      tensors[i].has_raw_data = true;
      tensors[i].raw_data = (ProtobufCBinaryData){sizeof numbers, (uint8_t *)numbers};
      continue;
    }
    onnx__string_string_entry_proto__init(&entries[i]);
    entries[i].key = keys[0];
    entries[i].value = locations[i];
    entry_lists[i][0] = &entries[i];
    tensors[i].has_data_location = true;
    tensors[i].data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    tensors[i].n_external_data = 1;
    tensors[i].external_data = entry_lists[i];
  }
  Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
  graph.n_initializer = graph.n_output = 3;
  graph.initializer = tensor_list;
  graph.output = output_list;
  Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT, *opsets[] = {&opset};
  opset.has_version = true;
  opset.version = 17;
  Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
  model.has_ir_version = true;
  model.ir_version = 8;
  model.n_opset_import = 1;
  model.opset_import = opsets;
  model.graph = &graph;
  unsigned char bytes[8192];
  assert_true(onnx__model_proto__get_packed_size(&model) <= sizeof bytes);
  write_file(model_path, bytes, onnx__model_proto__pack(&model, bytes));
  char path[128];
  snprintf(path, sizeof path, "%s/a.bin", folder);
  write_file(path, numbers, sizeof numbers);
  snprintf(path, sizeof path, "%s/sub/b.bin", folder);
  write_file(path, numbers, sizeof numbers);
}

static int set_up(void **state) {
  (void)state;
  char sub[128];
  snprintf(folder, sizeof folder, "/tmp/norma_failing_XXXXXX");
  if (!mkdtemp(folder)) return -1;
  snprintf(sub, sizeof sub, "%s/sub", folder);
  snprintf(model_path, sizeof model_path, "%s/model.onnx", folder);
  if (mkdir(sub, 0700) != 0) return -1;
  write_model();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  char command[128];
  fail_at = 0;
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

static int count_descriptors(void) {
  DIR *list = opendir("/proc/self/fd");
  int count = 0;
  assert_non_null(list);
  while (readdir(list)) count++;
  closedir(list);
  return count;
}

/* ------------------------------------------------------------------------------------------------------------ tests */

static norma_status load(bool map, norma_error *error) {
  counting_allocator counting = {0};
  norma_runtime_options runtime_options = {.struct_size = sizeof runtime_options, .threads = 1};
  runtime_options.allocator = counting_allocator_functions(&counting);
  norma_runtime *runtime;
  norma_model *model = NULL;
  assert_int_equal(norma_runtime_create(&runtime_options, &runtime, error), NORMA_OK);
  norma_load_options options = {.struct_size = sizeof options, .runtime = runtime, .map_file = map};
  norma_status status = norma_model_load(model_path, &options, &model, error);
  assert_true((status == NORMA_OK) == (model != NULL));
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  assert_int_equal(atomic_load(&counting.outstanding), 0);
  return status;
}

static void each_call_fails(void **state) {
  (void)state;
  int descriptors = count_descriptors();
  for (int map = 0; map <= 1; map++) {
    for (int cut = 0; cut <= 1; cut++) {
      fail_short = cut;
      long k = 1;
      for (;; k++) {
        norma_error error = {0};
        calls = 0;
        fail_at = k;
        norma_status status = load(map, &error);
        long made = calls;
        fail_at = 0;
        assert_int_equal(count_descriptors(), descriptors);
        if (made < k) { /* k is past the last call */
          assert_int_equal(status, NORMA_OK);
          break;
        }
        if (status != NORMA_ERROR_FILE || error.status != status || !error.message[0]) {
          fail_msg("call %ld, map %d: %s (%s)", k, map, norma_status_text(status), error.message);
        }
      }
      print_message("%s: %ld calls failed, each once\n", map ? "mapped" : "read", k - 1);
      assert_true(k - 1 >= 9); /* the model, the folder and two more files: open and look, and something of each */
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(each_call_fails, set_up, tear_down)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
