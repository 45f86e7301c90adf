#include "tools/formats/output_file.h"

#include "tools/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct output_entry {
  FILE *file;      /* NULL: a folder that was made, or a file that is closed */
  char *path;      /* the final name; of a folder its name */
  char *temporary; /* NULL once renamed, and for folders and devices */
  bool folder, renamed;
} output_entry;

static output_entry *add_entry(output_group *group, const char *path) {
  if (group->count == group->capacity) {
    size_t capacity = group->capacity ? group->capacity * 2 : 8;
    output_entry *entries = realloc(group->entries, capacity * sizeof *entries);
    if (!entries) return NULL;
    group->entries = entries;
    group->capacity = capacity;
  }
  output_entry entry = {.path = strdup(path)};
  if (!entry.path) return NULL;
  group->entries[group->count] = entry;
  return &group->entries[group->count++];
}

static bool make_one_folder(output_group *group, const char *path) {
  if (mkdir(path, 0777) != 0) return errno == EEXIST;
  output_entry *entry = add_entry(group, path);
  if (!entry) {
    rmdir(path);
    errno = ENOMEM;
    return false;
  }
  entry->folder = true;
  return true;
}

bool output_make_folder(output_group *group, const char *path) {
  char *part = strdup(path);
  bool made = part != NULL;
  for (char *slash = part; made && slash && (slash = strchr(slash + 1, '/')) != NULL;) {
    *slash = '\0';
    made = make_one_folder(group, part);
    *slash = '/';
  }
  made = made && (make_one_folder(group, part) || errno == EEXIST);
  struct stat status;
  if (made && stat(path, &status) == 0 && !S_ISDIR(status.st_mode)) {
    errno = ENOTDIR;
    made = false;
  }
  made = made && access(path, W_OK | X_OK) == 0;
  if (!made) tool_error("%s: cannot write to this folder: %s", path, strerror(errno));
  free(part);
  return made;
}

/* Opens a temporary file beside entry->path. */
static FILE *open_temporary(output_entry *entry) {
  size_t size = strlen(entry->path) + 16;
  entry->temporary = malloc(size);
  if (!entry->temporary) return NULL;
  snprintf(entry->temporary, size, "%s.XXXXXX", entry->path);
  int descriptor = mkstemp(entry->temporary);
  if (descriptor < 0) {
    free(entry->temporary);
    entry->temporary = NULL;
    return NULL;
  }
  mode_t mask = umask(0);
  umask(mask);
  fchmod(descriptor, 0666 & ~mask); /* mkstemp makes them private */
  FILE *file = fdopen(descriptor, "wb");
  if (!file) close(descriptor);
  return file;
}

FILE *output_open(output_group *group, const char *path) {
  struct stat facts;
  FILE *file = NULL;
  char *target = realpath(path, NULL); /* what a link points to is replaced, not the link */
  bool exists = target && stat(target, &facts) == 0;
  if (path[0] == '\0') {
    errno = ENOENT;
  } else if (exists && S_ISDIR(facts.st_mode)) {
    errno = EISDIR; /* found now rather than after the work, by rename */
  } else {
    output_entry *entry = add_entry(group, target ? target : path);
    /* a device or a pipe is written to, not replaced */
    if (entry) entry->file = exists && !S_ISREG(facts.st_mode) ? fopen(target, "wb") : open_temporary(entry);
    file = entry ? entry->file : NULL;
  }
  if (!file) tool_error("%s: cannot write: %s", path, strerror(errno));
  free(target);
  return file;
}

bool output_commit(output_group *group) {
  bool good = true;
  for (size_t i = 0; i < group->count && good; i++) {
    output_entry *entry = &group->entries[i];
    if (!entry->file) continue;
    errno = 0;
    bool failed = ferror(entry->file) != 0 || fflush(entry->file) != 0;
    if (!failed && group->is_durable && entry->temporary) failed = fsync(fileno(entry->file)) != 0;
    if (fclose(entry->file) != 0) failed = true;
    entry->file = NULL;
    if (failed) {
      tool_error("%s: cannot write: %s", entry->path, errno ? strerror(errno) : "write error");
      good = false;
    }
  }
  for (size_t i = 0; i < group->count && good; i++) {
    output_entry *entry = &group->entries[i];
    if (!entry->temporary) continue;
    if (rename(entry->temporary, entry->path) != 0) {
      tool_error("%s: cannot write: %s", entry->path, strerror(errno));
      good = false;
      while (i-- > 0) { /* those before were renamed already */
        if (group->entries[i].renamed) unlink(group->entries[i].path);
      }
      break;
    }
    free(entry->temporary);
    entry->temporary = NULL;
    entry->renamed = true;
  }
  if (!good) {
    output_discard(group);
    return false;
  }
  for (size_t i = 0; i < group->count; i++) free(group->entries[i].path);
  free(group->entries);
  *group = (output_group){0};
  return true;
}

void output_discard(output_group *group) {
  for (size_t i = group->count; i-- > 0;) {
    output_entry *entry = &group->entries[i];
    if (entry->file) fclose(entry->file);
    if (entry->temporary) unlink(entry->temporary);
    if (entry->folder) rmdir(entry->path); /* fails, as it should, where others put something into it */
    free(entry->temporary);
    free(entry->path);
  }
  free(group->entries);
  *group = (output_group){0};
}
