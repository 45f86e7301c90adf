#include "tools/formats/tensor_file.h"

#include "engine/base/status.h"
#include "proto/value_reader.h"
#include "proto/value_writer.h"
#include "tools/formats/input_file.h"
#include "tools/formats/npy.h"
#include "tools/formats/picture.h"
#include "tools/report.h"

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

shape declared_shape(const norma_value_info *expected) {
  return expected->rank < 0 ? shape_unknown() : shape_make(expected->rank, expected->dims);
}

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
static norma_status pick_member(memory *account, const void *bytes, size_t size, const char *name, value *into,
                                norma_error *error) {
  npz_member *members;
  size_t count;
  TRY(npz_list(account, bytes, size, &members, &count, error));
  size_t chosen = count == 1 ? 0 : count;
  for (size_t i = 0; i < count && chosen == count; i++) {
    if (members[i].name_size == strlen(name) && memcmp(members[i].name, name, members[i].name_size) == 0) chosen = i;
  }
  norma_status status =
      chosen < count
          ? npz_decode(account, &members[chosen], into, error)
          : error_set(error, NORMA_ERROR_INPUT, "the .npz file holds %zu arrays and none is called '%s'", count, name);
  memory_free(account, members);
  return status;
}

static norma_status decode(memory *account, const char *path, const void *bytes, size_t size,
                           const norma_value_info *expected, value *into, norma_error *error) {
  if (npy_recognise(bytes, size) || has_extension(path, npy_extensions))
    return npy_decode(account, bytes, size, into, error);
  if (npz_recognise(bytes, size) || has_extension(path, npz_extensions)) {
    return pick_member(account, bytes, size, expected->name, into, error);
  }
  if (!has_extension(path, pb_extensions)) {
    if (!picture_recognise(bytes, size) && !has_extension(path, picture_extensions)) {
      return error_set(error, NORMA_ERROR_FORMAT, "not a tensor; expected .npy, .npz, .pb or a picture");
    }
    struct picture picture;
    shape wanted = declared_shape(expected);
    TRY(picture_decode(account, bytes, size, &picture, error));
    norma_status status = picture_to_tensor(&picture, account, expected->type, &wanted, into, error);
    picture_free(&picture);
    return status;
  }
  return value_read_memory(account, bytes, size, expected->kind, into, error);
}

norma_status tensor_file_read(memory *account, const char *path, const norma_value_info *expected, value *into,
                              norma_error *error) {
  void *bytes = NULL;
  size_t size = 0;
  memset(into, 0, sizeof *into);
  TRY(file_read(account, path, &bytes, &size, error));
  norma_status status = decode(account, path, bytes, size, expected, into, error);
  if (status != NORMA_OK) error_prefix(error, "%s", path);
  memory_free(account, bytes);
  return status;
}

norma_status tensor_file_read_archive(memory *account, const char *path, tensor_file_visit visit, void *context,
                                      norma_error *error) {
  void *bytes = NULL;
  size_t size = 0, count = 0;
  npz_member *members = NULL;
  TRY(file_read(account, path, &bytes, &size, error));
  norma_status status = npz_list(account, bytes, size, &members, &count, error);
  for (size_t i = 0; i < count && status == NORMA_OK; i++) {
    char name[256];
    value contents = {0};
    snprintf(name, sizeof name, "%.*s", members[i].name_size < sizeof name ? (int)members[i].name_size : 255,
             members[i].name);
    status = npz_decode(account, &members[i], &contents, error);
    if (status == NORMA_OK) status = visit(context, name, &contents, error);
    value_clear(&contents);
  }
  if (status != NORMA_OK) error_prefix(error, "%s", path);
  memory_free(account, members);
  memory_free(account, bytes);
  return status;
}

static bool write_to_stream(void *context, const void *bytes, size_t count) {
  return fwrite(bytes, 1, count, context) == count;
}

bool tensor_file_write(output_group *group, const char *folder, const char *stem, const char *name,
                       const norma_value *contents) {
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
  memory account;
  norma_error error;
  memory_init(&account, NULL, 0);
  if (value_write(&account, contents, name, write_to_stream, file, &error) == NORMA_OK) return true;
  tool_error("%s: %s", path, error.message);
  return false;
}
