#include "tools/formats/tensor_file.h"

#include "tools/formats/file_error.h"
#include "tools/formats/input_file.h"
#include "tools/formats/npy.h"
#include "tools/formats/picture.h"
#include "tools/report.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool has_extension(const char *path, const char *const *extensions) {
  const char *dot = strrchr(path, '.');
  for (; dot && *extensions; extensions++) {
    if (strcasecmp(dot + 1, *extensions) == 0) return true;
  }
  return false;
}

static const char *const npy_extensions[] = {"npy", NULL};
static const char *const npz_extensions[] = {"npz", NULL};
static const char *const pb_extensions[] = {"pb", NULL};
static const char *const picture_extensions[] = {"png", "jpg", "jpeg", "pgm", "ppm",  "pnm",
                                                 "bmp", "gif", "webp", "tif", "tiff", NULL};

bool tensor_file_is_archive(const char *path) {
  char start[4];
  if (has_extension(path, npz_extensions)) return true;
  if (has_extension(path, npy_extensions) || has_extension(path, pb_extensions)) return false;
  FILE *file = fopen(path, "rb");
  bool archive = file && fread(start, 1, sizeof start, file) == sizeof start && npz_recognise(start, sizeof start);
  if (file) fclose(file);
  return archive;
}

/* The only array, or the one of the expected name. */
static norma_status pick_member(norma_runtime *runtime, const void *bytes, size_t size, const char *name,
                                norma_value **value, norma_error *error) {
  npz_member *members;
  size_t count;
  TRY(npz_list(bytes, size, &members, &count, error));
  size_t chosen = count == 1 ? 0 : count;
  for (size_t i = 0; i < count && chosen == count; i++) {
    if (members[i].name_size == strlen(name) && memcmp(members[i].name, name, members[i].name_size) == 0) chosen = i;
  }
  norma_status status =
      chosen < count
          ? npz_decode(runtime, &members[chosen], value, error)
          : set_error(error, NORMA_ERROR_INPUT, "the .npz file holds %zu arrays and none is called '%s'", count, name);
  free(members);
  return status;
}

static norma_status decode_picture(norma_runtime *runtime, const void *bytes, size_t size,
                                   const norma_value_info *expected, norma_value **value, norma_error *error) {
  struct picture picture;
  TRY(picture_decode(runtime, bytes, size, &picture, error));
  norma_status status = picture_to_tensor(&picture, runtime, expected, value, error);
  picture_free(&picture);
  return status;
}

/* What is declared as nothing known is read as a tensor. */
static norma_value_kind message_kind(const norma_value_info *expected) {
  return expected->kind == NORMA_VALUE_NONE ? NORMA_VALUE_TENSOR : expected->kind;
}

static norma_status decode(norma_runtime *runtime, const char *path, const void *bytes, size_t size,
                           const norma_value_info *expected, norma_value **value, norma_error *error) {
  if (npy_recognise(bytes, size) || has_extension(path, npy_extensions)) {
    return npy_decode(runtime, bytes, size, value, error);
  }
  if (npz_recognise(bytes, size) || has_extension(path, npz_extensions)) {
    return pick_member(runtime, bytes, size, expected->name, value, error);
  }
  if (has_extension(path, pb_extensions)) {
    return norma_value_read(runtime, bytes, size, message_kind(expected), value, error);
  }
  if (picture_recognise(bytes, size) || has_extension(path, picture_extensions)) {
    return decode_picture(runtime, bytes, size, expected, value, error);
  }
  return set_error(error, NORMA_ERROR_FORMAT, "not a tensor; expected .npy, .npz, .pb or a picture");
}

norma_status tensor_file_read(norma_runtime *runtime, const char *path, const norma_value_info *expected,
                              norma_value **value, norma_error *error) {
  file_contents file;
  *value = NULL;
  TRY(file_read(runtime, path, &file, error));
  norma_status status = decode(runtime, path, file.bytes, file.size, expected, value, error);
  if (status != NORMA_OK) prefix_error(error, path);
  file_contents_free(&file);
  return status;
}

norma_status tensor_file_read_archive(norma_runtime *runtime, const char *path, tensor_file_visit visit, void *context,
                                      norma_error *error) {
  file_contents file;
  size_t count = 0;
  npz_member *members = NULL;
  TRY(file_read(runtime, path, &file, error));
  norma_status status = npz_list(file.bytes, file.size, &members, &count, error);
  for (size_t i = 0; i < count && status == NORMA_OK; i++) {
    char name[256];
    norma_value *value;
    snprintf(name, sizeof name, "%.*s", members[i].name_size < sizeof name ? (int)members[i].name_size : 255,
             members[i].name);
    status = npz_decode(runtime, &members[i], &value, error);
    if (status == NORMA_OK) status = visit(context, name, value, error);
  }
  if (status != NORMA_OK) prefix_error(error, path);
  free(members);
  file_contents_free(&file);
  return status;
}

static bool write_to_stream(void *context, const void *bytes, size_t count) {
  return fwrite(bytes, 1, count, context) == count;
}

bool tensor_file_write(norma_runtime *runtime, output_group *group, const char *folder, const char *stem,
                       const char *name, const norma_value *contents) {
  char path[4096];
  const norma_tensor *tensor = norma_value_tensor(contents);
  bool npy = tensor && npy_can_hold(tensor);
  if ((size_t)snprintf(path, sizeof path, "%s/%s.%s", folder, stem, npy ? "npy" : "pb") >= sizeof path) {
    tool_error("%s: the path is too long", folder);
    return false;
  }
  FILE *file = output_open(group, path);
  if (!file) return false;
  if (npy) {
    npy_encode(file, tensor);
    return true;
  }
  norma_error error;
  if (norma_value_write(runtime, contents, name, write_to_stream, file, &error) == NORMA_OK) return true;
  tool_error("%s: %s", path, error.message);
  return false;
}
