/* libFuzzer: the files that the command-line tool reads: arrays of NumPy, archives of them, pictures, manifests, and
 * the moments of norma bn. The first byte chooses. A moments file comes without its checksum, which is put behind it
 * here. */
#include "tests/fuzz/fuzzing.h"
#include "tools/bn/bn_moments_file.h"
#include "tools/formats/npy.h"
#include "tools/formats/picture.h"
#include "tools/formats/tensor_file.h"
#include "tools/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Calls read with the path of a file of these bytes. */
static void with_file(const void *bytes, size_t size, void (*read)(const char *path, void *context), void *context) {
  char path[64];
  const int file = memfd_create("fuzz", MFD_CLOEXEC);
  if (file < 0) abort();
  if (write(file, bytes, size) == (ssize_t)size) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    read(path, context);
  }
  close(file);
}

/* ------------------------------------------------------------------------------------------------------------ NumPy */

static void read_npy(norma_runtime *runtime, const uint8_t *data, size_t size) {
  norma_value *value = NULL;
  norma_tensor view;
  norma_error error;
  bool is_plain;
  fuzz_check(npy_decode(runtime, data, size, &value, &error), &error);
  if (value && npy_can_hold(norma_value_tensor(value))) {
    FILE *nowhere = fopen("/dev/null", "wb");
    if (nowhere) {
      npy_encode(nowhere, norma_value_tensor(value));
      fclose(nowhere);
    }
  }
  norma_value_destroy(value);
  fuzz_check(npy_view(data, size, &view, &is_plain, &error), &error);
}

static void read_npz(norma_runtime *runtime, const uint8_t *data, size_t size) {
  npz_member *members = NULL;
  size_t count = 0;
  norma_error error;
  const norma_status status = npz_list(data, size, &members, &count, &error);
  fuzz_check(status, &error);
  for (size_t i = 0; status == NORMA_OK && i < count && i < 8; i++) {
    norma_value *value = NULL;
    fuzz_check(npz_decode(runtime, &members[i], &value, &error), &error);
    norma_value_destroy(value);
  }
  if (status == NORMA_OK) free(members);
}

/* --------------------------------------------------------------------------------------------------------- pictures */

static void read_picture(norma_runtime *runtime, const uint8_t *data, size_t size) {
  struct picture picture;
  norma_error error;
  norma_value_info wanted = {.kind = NORMA_VALUE_TENSOR, .type = NORMA_FLOAT, .rank = 4, .dims = {1, 3, 8, 8}};
  norma_value *value = NULL;
  const norma_status status = picture_decode(runtime, data, size, &picture, &error);
  fuzz_check(status, &error);
  if (status != NORMA_OK) return;
  fuzz_check(picture_to_tensor(&picture, runtime, &wanted, &value, &error), &error);
  norma_value_destroy(value);
  picture_free(&picture);
}

/* ----------------------------------------------------------------------------------------------------------- values */

static void read_tensor_file(const char *path, void *context) {
  const norma_value_info expected = {.name = "x", .kind = NORMA_VALUE_TENSOR, .type = NORMA_FLOAT, .rank = -1};
  norma_value *value = NULL;
  norma_error error;
  fuzz_check(tensor_file_read(context, path, &expected, &value, &error), &error);
  norma_value_destroy(value);
  tensor_file_is_archive(path);
}

/* -------------------------------------------------------------------------------------------- manifests and moments */

static void read_manifest(const char *path, void *context) {
  const tolerance otherwise = {0};
  manifest manifest = {0};
  (void)context;
  if (manifest_load(&manifest, path, &otherwise)) manifest_find(&manifest, "a/b/test_add", &otherwise);
  manifest_free(&manifest);
}

/* As bn_moments_file.c computes it. */
static uint64_t checksum(const uint8_t *bytes, size_t size) {
  uint64_t hash = size;
  for (size_t at = 0; at + 8 <= size; at += 8) {
    uint64_t word;
    memcpy(&word, bytes + at, 8);
    hash = (hash ^ word) * 0xBF58476D1CE4E5B9u;
    hash ^= hash >> 29;
  }
  return hash;
}

static void read_moments_file(const char *path, void *context) {
  struct reestimate_settings settings = {.momentum = -1};
  bn_estimate estimate = {0};
  int code = 0;
  (void)context;
  settings.common.threads = 1;
  settings.common.level = -1;
  if (bn_estimate_open(&estimate, &settings, "models/digits_cnn_bn/model.onnx", &code)) {
    if (bn_moments_read(&estimate, path)) bn_moments_merge(&estimate, path);
  }
  bn_estimate_close(&estimate);
}

static void read_moments(const uint8_t *data, size_t size) {
  uint8_t *whole = malloc(size + 8);
  if (!whole) return;
  size = size / 8 * 8;
  memcpy(whole, data, size);
  const uint64_t sum = checksum(data, size);
  memcpy(whole + size, &sum, 8);
  with_file(whole, size + 8, read_moments_file, NULL);
  free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  norma_runtime *runtime = fuzz_runtime(1, NULL);
  uint8_t *copy = malloc(size); /* an exact block */
  if (!copy) abort();
  memcpy(copy, data + 1, size - 1);
  switch (data[0] % 6) {
  case 0:
    read_npy(runtime, copy, size - 1);
    break;
  case 1:
    read_npz(runtime, copy, size - 1);
    break;
  case 2:
    read_picture(runtime, copy, size - 1);
    break;
  case 3:
    with_file(copy, size - 1, read_tensor_file, runtime);
    break;
  case 4:
    with_file(copy, size - 1, read_manifest, NULL);
    break;
  default:
    read_moments(copy, size - 1);
    break;
  }
  free(copy);
  fuzz_end(runtime);
  return 0;
}
