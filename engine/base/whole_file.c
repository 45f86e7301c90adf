#include "engine/base/whole_file.h"

#include "engine/base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static norma_status cannot_write(const char *path, int reason, norma_error *error) {
  return error_set(error, NORMA_ERROR_FILE, "%s: cannot write: %s", path, strerror(reason ? reason : EIO));
}

static norma_status check_target(const char *path, const char *source, mode_t *mode, norma_error *error) {
  struct stat target, origin;
  *mode = 0;
  if (path[0] == '\0') return cannot_write("(no name)", ENOENT, error);
  if (stat(path, &target) != 0) return errno == ENOENT ? NORMA_OK : cannot_write(path, errno, error);
  if (S_ISDIR(target.st_mode)) return cannot_write(path, EISDIR, error);
  *mode = target.st_mode & 07777;
  if (!S_ISREG(target.st_mode)) return error_set(error, NORMA_ERROR_FILE, "%s: is not a regular file", path);
  if (source && stat(source, &origin) != 0) {
    return errno == ENOENT ? NORMA_OK : error_set(error, NORMA_ERROR_FILE, "%s: %s", source, strerror(errno));
  }
  if (source && origin.st_dev == target.st_dev && origin.st_ino == target.st_ino) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "%s: is the model that is read; give the output another name", path);
  }
  return NORMA_OK;
}

#define TEMPORARY_LETTERS 6

/* Creates a file whose name ends in letters that nobody has taken, and writes these over the name's end. A new file
 * (`mode` 0) gets the rights that the system gives one, unlike those of mkstemp. -1 with errno on failure. */
static int create_temporary(char *name, mode_t mode) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
  char *end = name + strlen(name) - TEMPORARY_LETTERS;
  for (unsigned attempt = 0; attempt < 100; attempt++) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t bits = ((uint64_t)now.tv_nsec ^ (uint64_t)getpid() << 32 ^ (uint64_t)(uintptr_t)name) + attempt;
    bits = bits * 0x9E3779B97F4A7C15u >> 16;
    for (int i = 0; i < TEMPORARY_LETTERS; i++) end[i] = letters[bits >> (5 * i) & 31];
    int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode ? S_IRUSR | S_IWUSR : 0666);
    if (file >= 0 || errno != EEXIST) return file;
  }
  return -1;
}

norma_status whole_file_begin(whole_file *file, memory *memory, const char *path, const char *source,
                              norma_error *error) {
  mode_t mode;
  char resolved[PATH_MAX];
  *file = (whole_file){.memory = memory, .file = -1};
  TRY(check_target(path, source, &mode, error));
  const char *target = mode && realpath(path, resolved) ? resolved : path;
  size_t size = strlen(target) + 1;
  size_t bytes = 2 * size + 1 + TEMPORARY_LETTERS;
  file->path = memory_allocate(memory, bytes);
  if (!file->path) return memory_error(memory, bytes, error);
  memcpy(file->path, target, size);
  file->temporary = file->path + size;
  snprintf(file->temporary, size + 1 + TEMPORARY_LETTERS, "%s.%0*d", target, TEMPORARY_LETTERS, 0);
  file->file = create_temporary(file->temporary, mode);
  if (file->file < 0) {
    norma_status status = cannot_write(path, errno, error);
    file->temporary[0] = '\0'; /* nothing to remove */
    whole_file_discard(file);
    return status;
  }
  if (mode) fchmod(file->file, mode); /* where files have no rights to set, it stays the owner's alone */
  return NORMA_OK;
}

bool whole_file_write(void *context, const void *bytes, size_t count) {
  whole_file *file = context;
  const char *next = bytes;
  while (count > 0 && !file->error_number) {
    ssize_t written = write(file->file, next, count < 1u << 30 ? count : 1u << 30);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      file->error_number = written < 0 ? errno : EIO;
      break;
    }
    next += written;
    count -= (size_t)written;
  }
  return !file->error_number;
}

/* The new name is on disk when the folder is. */
static void sync_folder(const char *path) {
  char folder[PATH_MAX];
  const char *slash = strrchr(path, '/');
  size_t length = slash ? (size_t)(slash - path) + 1 : 1;
  if (length >= sizeof folder) return;
  memcpy(folder, slash ? path : ".", length);
  folder[length] = '\0';
  int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  fsync(descriptor);
  close(descriptor);
}

norma_status whole_file_commit(whole_file *file, norma_error *error) {
  int reason = file->error_number;
  if (!reason && fsync(file->file) != 0 && errno != EINVAL && errno != EROFS) reason = errno;
  if (close(file->file) != 0 && !reason) reason = errno;
  file->file = -1;
  if (!reason && rename(file->temporary, file->path) != 0) reason = errno;
  norma_status status = reason ? cannot_write(file->path, reason, error) : NORMA_OK;
  if (status == NORMA_OK) {
    sync_folder(file->path);
    file->temporary = NULL;
  }
  whole_file_discard(file);
  return status;
}

void whole_file_discard(whole_file *file) {
  if (file->file >= 0) close(file->file);
  if (file->temporary && file->temporary[0]) unlink(file->temporary);
  if (file->path) memory_free(file->memory, file->path);
  *file = (whole_file){.file = -1};
}
