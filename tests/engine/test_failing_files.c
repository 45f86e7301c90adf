/* Every call that opens, looks at, reads, maps, writes or renames a file is made to fail, one after the other and all
 * from there on, while a model with external data is loaded, edited, optimised and saved: a file error, nothing leaked,
 * no descriptor and no temporary file left, no half-written model, no silent success. Calls that are merely cut short
 * or interrupted change nothing.
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

/* X(name, what it may fail with). Those of `harmless` may fail without that the save does. */
#define CALL_LIST(X)                                                                                                   \
  X(open, EMFILE, false)                                                                                               \
  X(create, ENOSPC, false) /* open with O_CREAT */                                                                     \
  X(folder, EACCES, true)  /* open of a folder: to sync it, once all is written */                                     \
  X(openat, EMFILE, false)                                                                                             \
  X(openat2, EMFILE, false)                                                                                            \
  X(fstat, EIO, false)                                                                                                 \
  X(stat, EIO, true) /* to tell files apart; what is replaced is looked at anew */                                     \
  X(pread, EIO, false)                                                                                                 \
  X(mmap, ENOMEM, false)                                                                                               \
  X(write, ENOSPC, false)                                                                                              \
  X(fsync, EIO, false)                                                                                                 \
  X(fchmod, EPERM, true)                                                                                               \
  X(close, EIO, false)      /* of what was written */                                                                  \
  X(close_read, EIO, true)  /* of anything else */                                                                     \
  X(sync_folder, EIO, true) /* fsync of a folder */                                                                    \
  X(rename, EIO, false)

typedef enum call_kind {
#define CALL_ENTRY(name, reason, harmless) CALL_##name,
  CALL_LIST(CALL_ENTRY)
#undef CALL_ENTRY
      CALL_KINDS
} call_kind;

static const struct {
  const char *name;
  int reason;
  bool harmless;
} call_kinds[] = {
#define CALL_ENTRY(name, reason, harmless) {#name, reason, harmless},
    CALL_LIST(CALL_ENTRY)
#undef CALL_ENTRY
};

typedef enum failure {
  FAIL_ONCE,
  FAIL_FROM,      /* all later calls too */
  FAIL_AT_END,    /* reads find the file's end, writes take nothing */
  CUT_SHORT,      /* every read and write takes one byte at most; none fails */
  INTERRUPT_ONCE, /* a read or write is interrupted by a signal */
  FAILURES
} failure;

static const char *const failure_names[] = {"once", "from there on", "at the end", "cut short", "interrupted"};

static long calls, fail_at; /* 0: nothing fails */
static failure how;
static call_kind failed_kind; /* of the first that failed */
static int created = -1;      /* the file that was opened to be written */

/* Whether this call is one that fails. */
static bool fails(call_kind kind) {
  if (!fail_at || how == CUT_SHORT) return false;
  const long number = ++calls;
  if (number < fail_at || (number > fail_at && how != FAIL_FROM)) return false;
  if (number == fail_at) failed_kind = kind;
  errno = how == INTERRUPT_ONCE ? EINTR : call_kinds[kind].reason;
  return true;
}

/* The bytes that a read or write of `size` takes; -1: it fails. */
static ssize_t part_of(call_kind kind, size_t size) {
  if (fail_at && how == CUT_SHORT) {
    calls++;
    return size > 0;
  }
  if (!fails(kind)) return (ssize_t)size;
  return how == FAIL_AT_END ? 0 : -1;
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
  const bool is_folder = (flags & O_DIRECTORY) && !(flags & O_PATH);
  if (fails(flags & O_CREAT ? CALL_create : is_folder ? CALL_folder : CALL_open)) return -1;
  const int file = original(path, flags, mode);
  if (flags & O_CREAT) created = file;
  return file;
}

int openat(int folder, const char *path, int flags, ...) {
  typedef int openat_function(int, const char *, int, ...);
  ORIGINAL(openat_function, "openat")
  return fails(CALL_openat) ? -1 : original(folder, path, flags);
}

int fstat(int file, struct stat *facts) {
  typedef int fstat_function(int, struct stat *);
  ORIGINAL(fstat_function, "fstat")
  return fails(CALL_fstat) ? -1 : original(file, facts);
}

int stat(const char *path, struct stat *facts) {
  typedef int stat_function(const char *, struct stat *);
  ORIGINAL(stat_function, "stat")
  return fails(CALL_stat) ? -1 : original(path, facts);
}

ssize_t pread(int file, void *bytes, size_t size, off_t offset) {
  typedef ssize_t pread_function(int, void *, size_t, off_t);
  ORIGINAL(pread_function, "pread")
  const ssize_t part = part_of(CALL_pread, size);
  return part <= 0 ? part : original(file, bytes, (size_t)part, offset);
}

ssize_t write(int file, const void *bytes, size_t size) {
  typedef ssize_t write_function(int, const void *, size_t);
  ORIGINAL(write_function, "write")
  const ssize_t part = part_of(CALL_write, size);
  return part <= 0 ? part : original(file, bytes, (size_t)part);
}

int fsync(int file) {
  typedef int fsync_function(int);
  ORIGINAL(fsync_function, "fsync")
  return fails(file == created ? CALL_fsync : CALL_sync_folder) ? -1 : original(file);
}

int fchmod(int file, mode_t mode) {
  typedef int fchmod_function(int, mode_t);
  ORIGINAL(fchmod_function, "fchmod")
  return fails(CALL_fchmod) ? -1 : original(file, mode);
}

/* As Linux does it, the file is closed all the same. */
int close(int file) {
  typedef int close_function(int);
  ORIGINAL(close_function, "close")
  const bool is_failing = fails(file == created ? CALL_close : CALL_close_read);
  const int reason = errno;
  const int result = original(file);
  if (file == created) created = -1;
  if (is_failing) errno = reason;
  return is_failing ? -1 : result;
}

int rename(const char *from, const char *to) {
  typedef int rename_function(const char *, const char *);
  ORIGINAL(rename_function, "rename")
  return fails(CALL_rename) ? -1 : original(from, to);
}

void *mmap(void *address, size_t size, int protection, int flags, int file, off_t offset) {
  typedef void *mmap_function(void *, size_t, int, int, int, off_t);
  ORIGINAL(mmap_function, "mmap")
  if (file >= 0 && fails(CALL_mmap)) return MAP_FAILED; /* not the memory of threads */
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
  if (number == SYS_openat2 && fails(CALL_openat2)) return -1;
#endif
  return original(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ------------------------------------------------------------------------------------------------------------ model */

#define COUNT 512

static char folder[64], model_path[128], out_path[160];

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
  /* In memory where there is room, as each save waits for the disk. */
  snprintf(folder, sizeof folder, "/dev/shm/norma_failing_XXXXXX");
  if (!mkdtemp(folder)) snprintf(folder, sizeof folder, "/tmp/norma_failing_XXXXXX");
  if (folder[1] == 't' && !mkdtemp(folder)) return -1;
  snprintf(sub, sizeof sub, "%s/sub", folder);
  snprintf(model_path, sizeof model_path, "%s/model.onnx", folder);
  snprintf(out_path, sizeof out_path, "%s/out/model.onnx", folder);
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

/* The folder `out`, with room for b.bin; `before` NULL: no model is there yet. */
static void make_out_folder(const char *before) {
  char command[512];
  snprintf(command, sizeof command, "rm -rf '%s/out' && mkdir -p '%s/out/sub'", folder, folder);
  assert_int_equal(system(command), 0);
  if (before) write_file(out_path, before, strlen(before));
}

/* The names in a folder, without "." and "..". */
static int count_names(const char *path) {
  DIR *list = opendir(path);
  int count = 0;
  assert_non_null(list);
  for (const struct dirent *entry = readdir(list); entry; entry = readdir(list)) count += entry->d_name[0] != '.';
  closedir(list);
  return count;
}

static bool has_contents(const char *path, const void *bytes, size_t size) {
  static unsigned char read[1 << 16];
  FILE *file = fopen(path, "rb");
  if (!file) return false;
  const size_t count = fread(read, 1, sizeof read, file);
  fclose(file);
  return count == size && memcmp(read, bytes, size) == 0;
}

/* ------------------------------------------------------------------------------------------------------------ works */

typedef norma_status file_work(norma_runtime *runtime, norma_error *error);

static norma_status load_with(norma_runtime *runtime, bool map, norma_error *error) {
  norma_model *model = NULL;
  norma_load_options options = {.struct_size = sizeof options, .runtime = runtime, .map_file = map};
  norma_status status = norma_model_load(model_path, &options, &model, error);
  assert_true((status == NORMA_OK) == (model != NULL));
  norma_model_destroy(model);
  return status;
}

static norma_status load_read(norma_runtime *runtime, norma_error *error) {
  return load_with(runtime, false, error);
}

static norma_status load_mapped(norma_runtime *runtime, norma_error *error) {
  return load_with(runtime, true, error);
}

static norma_status edit_and_save(norma_runtime *runtime, norma_error *error) {
  norma_editor *editor = NULL;
  norma_value *value = NULL;
  norma_status status = norma_editor_open(runtime, model_path, &editor, error);
  if (status == NORMA_OK) status = norma_editor_read_value(editor, "b", &value, error);
  if (status == NORMA_OK) status = norma_editor_replace(editor, "c", norma_value_tensor(value), error);
  if (status == NORMA_OK) status = norma_editor_save(editor, out_path, error);
  norma_value_destroy(value);
  norma_editor_destroy(editor);
  return status;
}

static norma_status optimize_and_save(norma_runtime *runtime, norma_error *error) {
  norma_model *model = NULL;
  norma_load_options options = {.struct_size = sizeof options, .runtime = runtime, .form = NORMA_FORM_OPTIMIZED};
  norma_status status = norma_model_load(model_path, &options, &model, error);
  if (status == NORMA_OK) status = norma_model_save(model, model_path, &options, out_path, NULL, error);
  norma_model_destroy(model);
  return status;
}

static const struct {
  const char *name;
  file_work *work;
  bool saves;
} works[] = {{"load", load_read, false},
             {"load, mapped", load_mapped, false},
             {"edit, save", edit_and_save, true},
             {"optimise, save", optimize_and_save, true}};

enum { WORKS = sizeof works / sizeof *works };

static norma_status do_work(int work, norma_error *error) {
  counting_allocator counting = {0};
  norma_runtime_options runtime_options = {.struct_size = sizeof runtime_options, .threads = 1};
  runtime_options.allocator = counting_allocator_functions(&counting);
  norma_runtime *runtime;
  assert_int_equal(norma_runtime_create(&runtime_options, &runtime, error), NORMA_OK);
  norma_status status = works[work].work(runtime, error);
  norma_runtime_destroy(runtime);
  assert_int_equal(atomic_load(&counting.outstanding), 0);
  return status;
}

/* ------------------------------------------------------------------------------------------------------------ tests */

/* What a save writes when nothing fails. */
typedef struct written_model {
  unsigned char bytes[1 << 14];
  size_t size;
} written_model;

static void read_written(written_model *written) {
  FILE *file = fopen(out_path, "rb");
  assert_non_null(file);
  written->size = fread(written->bytes, 1, sizeof written->bytes, file);
  assert_true(written->size > 2000 && written->size < sizeof written->bytes);
  fclose(file);
}

static long failed_calls[CALL_KINDS][FAILURES], survived[CALL_KINDS];

static const char before[] = "what was there before";

/* The model is there as a whole or not at all, and nothing else but external files. */
static void check_out_folder(bool is_saved, const written_model *written, bool was_there, bool may_leave) {
  char out[128];
  if (is_saved) {
    assert_true(has_contents(out_path, written->bytes, written->size));
  } else if (was_there) {
    assert_true(has_contents(out_path, before, strlen(before)));
  } else {
    assert_int_not_equal(access(out_path, F_OK), 0);
  }
  if (may_leave) return;
  snprintf(out, sizeof out, "%s/out", folder);
  const int without_data = count_names(out);
  assert_true(without_data <= 3 && without_data >= 1);
  char path[160];
  snprintf(path, sizeof path, "%s/a.bin", out);
  if (access(path, F_OK) != 0) assert_int_equal(without_data, 1 + (is_saved || was_there));
  snprintf(path, sizeof path, "%s/sub", out);
  assert_true(count_names(path) <= 1);
}

/* Call `number` fails. Whether there was such a call. */
static bool fail_call(int work, failure chosen, long number, bool was_there, const written_model *written) {
  norma_error error = {0};
  const int descriptors = count_descriptors();
  if (works[work].saves) make_out_folder(was_there ? before : NULL);
  calls = 0;
  how = chosen;
  fail_at = number;
  const norma_status status = do_work(work, &error);
  const long made = calls;
  fail_at = 0;
  assert_int_equal(count_descriptors(), descriptors);
  const bool failed = made >= number && chosen != CUT_SHORT;
  const bool may_survive = call_kinds[failed_kind].harmless || chosen == INTERRUPT_ONCE;
  if (status != NORMA_OK && (!failed || status != NORMA_ERROR_FILE || error.status != status || !error.message[0])) {
    fail_msg("%s, call %ld (%s) %s: %s (%s)", works[work].name, number, call_kinds[failed_kind].name,
             failure_names[chosen], norma_status_text(status), error.message);
  }
  if (status == NORMA_OK && failed && !may_survive) {
    fail_msg("%s, call %ld (%s) %s: succeeds", works[work].name, number, call_kinds[failed_kind].name,
             failure_names[chosen]);
  }
  if (works[work].saves) check_out_folder(status == NORMA_OK, written, was_there, chosen == FAIL_FROM);
  if (failed) failed_calls[failed_kind][chosen]++;
  if (failed && status == NORMA_OK) survived[failed_kind]++;
  return failed;
}

static void each_call_fails(void **state) {
  (void)state;
  static written_model written;
  for (int work = 0; work < WORKS; work++) {
    norma_error error = {0};
    if (works[work].saves) make_out_folder(NULL);
    if (do_work(work, &error) != NORMA_OK) fail_msg("%s: %s", works[work].name, error.message);
    if (works[work].saves) read_written(&written);
    for (int was_there = 0; was_there <= works[work].saves; was_there++) {
      for (int chosen = 0; chosen < FAILURES; chosen++) {
        long number = 1;
        while (fail_call(work, (failure)chosen, number, was_there, &written)) number++;
        assert_true(chosen == CUT_SHORT ||
                    number - 1 >= 9); /* the model, the folder and two more files: open and look */
      }
    }
  }
}

/* Runs behind the others. */
static void table(void **state) {
  (void)state;
  print_message("%-12s %8s %14s %11s %12s %16s\n", "call", "once", "from there on", "at the end", "interrupted",
                "no harm done");
  for (int kind = 0; kind < CALL_KINDS; kind++) {
    const long *failed = failed_calls[kind];
    print_message("%-12s %8ld %14ld %11ld %12ld %16ld\n", call_kinds[kind].name, failed[FAIL_ONCE], failed[FAIL_FROM],
                  failed[FAIL_AT_END], failed[INTERRUPT_ONCE], survived[kind]);
    if (kind != CALL_openat) assert_true(failed[FAIL_ONCE] > 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(each_call_fails), cmocka_unit_test(table)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

#endif
