#include "proto/model_save.h"

#include "engine/base/status.h"
#include "engine/base/byte_source.h"
#include "engine/base/whole_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* One save. */
typedef struct saving {
  memory *memory;
  const char *source, *path;  /* source NULL: memory */
  name_table copied;          /* locations that were dealt with */
  interruption *interruption; /* NULL: nothing ends it early */
} saving;

/* "folder of path" + location; false where it is too long. */
static bool beside(const char *path, const char *location, char *result) {
  const char *slash = strrchr(path, '/');
  int folder = slash ? (int)(slash - path) + 1 : 0;
  return snprintf(result, PATH_MAX, "%.*s%s", folder, path, location) < PATH_MAX;
}

static bool is_same_file(const char *a, const char *b) {
  struct stat first, second;
  return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

static bool location_is_plain(const char *location) {
  if (location[0] == '\0' || location[0] == '/') return false;
  for (const char *part = location; part;) {
    size_t length = strcspn(part, "/");
    if (length == 2 && part[0] == '.' && part[1] == '.') return false;
    part = part[length] ? part + length + 1 : NULL;
  }
  return true;
}

#define COPY_PIECE 65536

/* Whether both hold the same bytes, or (file NULL) copies `from` into `file`. */
static norma_status walk_bytes(const byte_source *from, const byte_source *to, whole_file *file, bool *same,
                               norma_error *error) {
  unsigned char first[COPY_PIECE], second[COPY_PIECE];
  *same = !to || from->size == to->size;
  for (uint64_t done = 0; done < from->size && *same;) {
    size_t count = from->size - done < COPY_PIECE ? (size_t)(from->size - done) : COPY_PIECE;
    TRY(interruption_poll(from->interruption, error));
    TRY(byte_source_read(from, done, first, count, error));
    if (to) {
      TRY(byte_source_read(to, done, second, count, error));
      *same = memcmp(first, second, count) == 0;
    } else {
      whole_file_write(file, first, count);
    }
    done += count;
  }
  return NORMA_OK;
}

static norma_status copy_file(saving *saving, const char *from, const char *to, norma_error *error) {
  byte_source source, target = {.file = -1};
  whole_file file = {.file = -1};
  struct stat facts;
  bool same = false, exists = stat(to, &facts) == 0;
  TRY(byte_source_open(&source, saving->memory, from, false, error));
  source.interruption = saving->interruption;
  norma_status status = exists ? byte_source_open(&target, saving->memory, to, false, error)
                               : whole_file_begin(&file, saving->memory, to, from, error);
  if (status == NORMA_OK) status = walk_bytes(&source, exists ? &target : NULL, &file, &same, error);
  if (status == NORMA_OK && exists && !same) {
    status = error_set(error, NORMA_ERROR_FILE, "%s: is there already, with other contents than %s", to, from);
  }
  if (status == NORMA_OK && !exists) status = whole_file_commit(&file, error);
  whole_file_discard(&file);
  byte_source_close(&target);
  byte_source_close(&source);
  return status;
}

static norma_status take_location(void *context, const char *location, norma_error *error) {
  saving *saving = context;
  char from[PATH_MAX], to[PATH_MAX];
  bool added;
  if (!name_table_add(&saving->copied, location, &added)) return memory_error(saving->memory, 64, error);
  if (!added) return NORMA_OK;
  if (!saving->source) {
    return error_set(error, NORMA_ERROR_UNSUPPORTED, "external data '%s' of a model from memory cannot be copied",
                     location);
  }
  if (!location_is_plain(location) || !beside(saving->source, location, from) || !beside(saving->path, location, to)) {
    return error_set(error, NORMA_ERROR_INVALID_MODEL,
                     "external data '%s': only files beneath the model's folder are copied", location);
  }
  return is_same_file(from, to) ? NORMA_OK : copy_file(saving, from, to, error);
}

norma_status model_parts_save(const model_parts *parts, const char *source, const char *path, norma_error *error) {
  norma_error unwanted;
  whole_file file;
  saving saving = {.memory = parts->memory, .source = source, .path = path, .interruption = parts->interruption};
  if (!error) error = &unwanted;
  name_table_init(&saving.copied, parts->memory);
  norma_status status = whole_file_begin(&file, parts->memory, path, source, error);
  if (status == NORMA_OK) {
    status = model_parts_write(parts, whole_file_write, &file, error);
    if (status == NORMA_ERROR_FILE && file.error_number) {
      error_set(error, status, "%s: cannot write: %s", path, strerror(file.error_number));
    }
  }
  if (status == NORMA_OK) status = model_parts_external(parts, take_location, &saving, error);
  if (status == NORMA_OK) status = interruption_poll(parts->interruption, error);
  if (status == NORMA_OK) status = whole_file_commit(&file, error);
  whole_file_discard(&file);
  name_table_free(&saving.copied);
  return status;
}
