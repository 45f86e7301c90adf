/* libFuzzer: any model in a folder with files, links, a pipe and a folder that it may name as external data; and the
 * same from memory, with a function that supplies the data. */
#include "tests/fuzz/fuzzing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[128];

static void write_file(const char *name, const void *bytes, size_t size) {
  char at[160];
  snprintf(at, sizeof at, "%s/%s", folder, name);
  FILE *file = fopen(at, "wb");
  if (!file) abort();
  fwrite(bytes, 1, size, file);
  fclose(file);
}

static void remove_folder(void) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  if (system(command) != 0) abort();
}

static void make_folder(void) {
  static unsigned char numbers[4096];
  char at[160], to[160];
  snprintf(folder, sizeof folder, "/tmp/norma_fuzz_XXXXXX");
  if (!mkdtemp(folder)) abort();
  atexit(remove_folder);
  snprintf(path, sizeof path, "%s/model.onnx", folder);
  for (size_t i = 0; i < sizeof numbers; i++) numbers[i] = (unsigned char)(i * 7);
  write_file("data.bin", numbers, sizeof numbers);
  write_file("empty.bin", numbers, 0);
  snprintf(at, sizeof at, "%s/sub", folder);
  mkdir(at, 0700);
  write_file("sub/data.bin", numbers, 100);
  snprintf(at, sizeof at, "%s/link.bin", folder);
  if (symlink("/etc/hostname", at) != 0) abort();
  snprintf(at, sizeof at, "%s/pipe", folder);
  if (mkfifo(at, 0600) != 0) abort();
  snprintf(at, sizeof at, "%s/data.bin", folder);
  snprintf(to, sizeof to, "%s/hard.bin", folder);
  write_file("other.bin", numbers, 64);
  snprintf(at, sizeof at, "%s/other.bin", folder);
  if (link(at, to) != 0) abort();
}

static bool supply(void *context, const char *location, uint64_t offset, uint64_t length, void *destination) {
  (void)context;
  if (strlen(location) > 20 || offset > 4096 || length > 4096) return false;
  memset(destination, (int)offset & 255, length);
  return true;
}

static void load(norma_runtime *runtime, const uint8_t *data, size_t size, int kind) {
  norma_load_options options = {.struct_size = sizeof options, .runtime = runtime, .map_file = kind == 1};
  norma_model *model = NULL;
  norma_error error;
  norma_status status;
  if (kind == 2) {
    options.read_external = supply;
    status = norma_model_load_memory(data, size, &options, &model, &error);
  } else {
    status = norma_model_load(path, &options, &model, &error);
  }
  fuzz_check(status, &error);
  norma_model_destroy(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!folder[0]) make_folder();
  norma_runtime *runtime = fuzz_runtime(1, NULL);
  write_file("model.onnx", data, size);
  for (int kind = 0; kind < 3; kind++) load(runtime, data, size, kind);
  fuzz_end(runtime);
  return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed) {
  if (seed % 3 == 0) return LLVMFuzzerMutate(data, size, room); /* the dictionary has names of files */
  return fuzz_mutate_model(data, size, room, seed);
}
