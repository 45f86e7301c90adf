#include "tools/formats/input_file.h"

#include "tools/formats/file_error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void file_contents_free(file_contents *contents) {
  if (contents->held) {
    norma_value_destroy(contents->held);
  } else {
    free(contents->bytes);
  }
  *contents = (file_contents){0};
}

/* How much to expect: the size of a regular file, one byte that shows its end, and the zero behind it. */
static size_t first_room(int file) {
  struct stat facts;
  bool known = fstat(file, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_size >= 0;
  return known ? (size_t)facts.st_size + 2 : 65536;
}

/* Memory of a runtime is had as a tensor of bytes. */
static norma_status allocate(norma_runtime *runtime, size_t room, file_contents *contents, norma_error *error) {
  if (!runtime) {
    contents->bytes = malloc(room);
    return contents->bytes ? NORMA_OK : set_error(error, NORMA_ERROR_OUT_OF_MEMORY, "out of memory");
  }
  const int64_t count = room > INT64_MAX ? INT64_MAX : (int64_t)room;
  TRY(norma_value_allocate_tensor(runtime, NORMA_UINT8, 1, &count, &contents->held, error));
  contents->bytes = norma_value_tensor(contents->held)->data;
  return NORMA_OK;
}

static norma_status grow(norma_runtime *runtime, size_t *room, file_contents *contents, norma_error *error) {
  file_contents larger = {0};
  const size_t wanted = *room > SIZE_MAX / 2 ? SIZE_MAX : *room * 2;
  TRY(allocate(runtime, wanted, &larger, error));
  memcpy(larger.bytes, contents->bytes, contents->size);
  larger.size = contents->size;
  file_contents_free(contents);
  *contents = larger;
  *room = wanted;
  return NORMA_OK;
}

static norma_status read_all(norma_runtime *runtime, int file, file_contents *contents, norma_error *error) {
  size_t room = first_room(file);
  TRY(allocate(runtime, room, contents, error));
  for (;;) {
    if (room - contents->size < 2) TRY(grow(runtime, &room, contents, error));
    ssize_t count = read(file, contents->bytes + contents->size, room - contents->size - 1);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return set_error(error, NORMA_ERROR_FILE, "cannot read: %s", strerror(errno));
    if (count == 0) break;
    contents->size += (size_t)count;
  }
  contents->bytes[contents->size] = '\0';
  return NORMA_OK;
}

norma_status file_read_rest(norma_runtime *runtime, int file, const char *name, file_contents *contents,
                            norma_error *error) {
  *contents = (file_contents){0};
  norma_status status = read_all(runtime, file, contents, error);
  if (status == NORMA_OK) return status;
  file_contents_free(contents);
  prefix_error(error, name);
  return status;
}

norma_status file_read(norma_runtime *runtime, const char *path, file_contents *contents, norma_error *error) {
  *contents = (file_contents){0};
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return set_error(error, NORMA_ERROR_FILE, "%s: cannot open: %s", path, strerror(errno));
  norma_status status = file_read_rest(runtime, file, path, contents, error);
  close(file);
  return status;
}
