/* A folder of a test's own, which goes with all that is in it. */
#ifndef TESTS_SUPPORT_FILE_FOLDER_H
#define TESTS_SUPPORT_FILE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct file_folder {
  char path[64];
} file_folder;

void folder_open(file_folder *folder);
void folder_close(const file_folder *folder);

/* The path of `name` in it; valid for the next seven calls. */
const char *folder_path(const file_folder *folder, const char *name);
/* A folder within it. */
void folder_make(const file_folder *folder, const char *name);

void folder_write(const file_folder *folder, const char *name, const void *bytes, size_t size);
/* To be freed; the test fails where it cannot be read. */
void *folder_read(const file_folder *folder, const char *name, size_t *size);
bool folder_has(const file_folder *folder, const char *name);
/* Fails the test unless both have the same bytes. */
void folder_compare(const file_folder *folder, const char *name, const char *other);

#endif
