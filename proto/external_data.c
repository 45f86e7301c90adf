#include "proto/external_data.h"

#include "engine/base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef SYS_openat2
#include <linux/openat2.h>
#endif

void external_data_init(external_data *external, memory *memory, const char *model_path, bool map,
                        norma_read_external read, void *read_context) {
  *external = (external_data){.memory = memory,
                              .model_path = model_path,
                              .map = map,
                              .read = read,
                              .read_context = read_context,
                              .folder = -1,
                              .file = {.file = -1}};
}

static void forget_file(external_data *external) {
  byte_source_close(&external->file);
  memory_free(external->memory, external->location);
  external->location = NULL;
}

void external_data_close(external_data *external) {
  forget_file(external);
  if (external->folder >= 0) close(external->folder);
  external->folder = -1;
}

/* Relative, without "..", without an empty name, not longer than a path may be. */
static bool location_is_allowed(const char *location) {
  if (location[0] == '\0' || location[0] == '/' || strlen(location) >= 4096) return false;
  for (const char *part = location; part;) {
    size_t length = strcspn(part, "/");
    if (length == 2 && part[0] == '.' && part[1] == '.') return false;
    part = part[length] ? part + length + 1 : NULL;
  }
  return true;
}

static norma_status open_folder(external_data *external, norma_error *error) {
  if (external->folder >= 0) return NORMA_OK;
  const char *slash = strrchr(external->model_path, '/');
  size_t length = slash ? (size_t)(slash - external->model_path) + 1 : 1;
  char *path = memory_allocate(external->memory, length + 1);
  if (!path) return memory_error(external->memory, length + 1, error);
  memcpy(path, slash ? external->model_path : ".", length);
  path[length] = '\0';
  external->folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  norma_status status = NORMA_OK;
  if (external->folder < 0) status = error_set(error, NORMA_ERROR_FILE, "%s: %s", path, strerror(errno));
  memory_free(external->memory, path);
  return status;
}

#define OPEN_FILE_FLAGS (O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

/* Without openat2: folder by folder, none of which may be a link. */
static int open_by_parts(int folder, const char *location) {
  int at = folder, file = -1;
  while (true) {
    char name[256];
    size_t length = strcspn(location, "/");
    if (length >= sizeof name) {
      errno = ENAMETOOLONG;
      break;
    }
    memcpy(name, location, length);
    name[length] = '\0';
    location += length + strspn(location + length, "/");
    if (*location == '\0') {
      file = openat(at, name, OPEN_FILE_FLAGS);
      break;
    }
    int next = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (at != folder) close(at);
    at = next;
    if (at < 0) return -1;
  }
  int reason = errno;
  if (at != folder) close(at);
  errno = reason;
  return file;
}

static int open_beneath(int folder, const char *location) {
#ifdef SYS_openat2
  struct open_how how = {.flags = OPEN_FILE_FLAGS,
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
  long file = syscall(SYS_openat2, folder, location, &how, sizeof how);
  if (file >= 0 || (errno != ENOSYS && errno != EPERM && errno != EINVAL)) return (int)file;
#endif
  return open_by_parts(folder, location);
}

static norma_status open_location(external_data *external, const char *location, norma_error *error) {
  if (external->location && strcmp(external->location, location) == 0) return NORMA_OK;
  forget_file(external);
  TRY(open_folder(external, error));
  int file = open_beneath(external->folder, location);
  if (file < 0) {
    return error_set(error, NORMA_ERROR_FILE, "external data '%s': %s", location,
                     errno == ELOOP || errno == EXDEV ? "the path leads through a link or out of the model's folder"
                                                      : strerror(errno));
  }
  struct stat facts;
  bool is_known = fstat(file, &facts) == 0;
  if (!is_known || (S_ISREG(facts.st_mode) && facts.st_nlink > 1)) {
    close(file);
    return error_set(error, NORMA_ERROR_FILE, "external data '%s': %s", location,
                     is_known ? "the file has more than one link" : "nothing is known of the file");
  }
  TRY(byte_source_adopt(&external->file, external->memory, file, location, external->map, error));
  external->file.interruption = external->interruption;
  size_t size = strlen(location) + 1;
  external->location = memory_allocate(external->memory, size);
  if (!external->location) {
    forget_file(external);
    return memory_error(external->memory, size, error);
  }
  memcpy(external->location, location, size);
  return NORMA_OK;
}

static norma_status check_range(external_data *external, const char *location, uint64_t offset, size_t length,
                                norma_error *error) {
  if (!location_is_allowed(location)) {
    return error_set(error, NORMA_ERROR_INVALID_MODEL,
                     "external data '%s': only files beneath the model's folder are read", location);
  }
  if (!external->model_path) return NORMA_OK;
  TRY(open_location(external, location, error));
  if (offset > external->file.size || length > external->file.size - offset) {
    return error_set(error, NORMA_ERROR_INVALID_MODEL,
                     "external data '%s': %zu bytes at %" PRIu64 " lie outside the file's %" PRIu64 " bytes", location,
                     length, offset, external->file.size);
  }
  return NORMA_OK;
}

norma_status external_data_read(external_data *external, const char *location, uint64_t offset, size_t length,
                                void *destination, norma_error *error) {
  TRY(check_range(external, location, offset, length, error));
  if (external->model_path) return byte_source_read(&external->file, offset, destination, length, error);
  if (!external->read) {
    return error_set(error, NORMA_ERROR_FILE, "external data '%s': a model from memory needs read_external to get them",
                     location);
  }
  if (external->read(external->read_context, location, offset, length, destination)) return NORMA_OK;
  return error_set(error, NORMA_ERROR_FILE, "external data '%s': read_external failed at %" PRIu64 ", %zu bytes",
                   location, offset, length);
}

norma_status external_data_view(external_data *external, const char *location, uint64_t offset, size_t length,
                                buffer **owner, const void **data, norma_error *error) {
  *owner = NULL;
  *data = NULL;
  if (!external->map || !external->model_path) return NORMA_OK;
  TRY(check_range(external, location, offset, length, error));
  *owner = buffer_retain(external->file.mapping);
  *data = external->file.data + offset;
  return NORMA_OK;
}
