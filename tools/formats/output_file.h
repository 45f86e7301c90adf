/*
 * Files that appear whole or not at all: a group of files is written under temporary names beside the final ones and
 * renamed together at the end. What is not committed is removed, folders that were made for it too.
 */
#ifndef TOOLS_FORMATS_OUTPUT_FILE_H
#define TOOLS_FORMATS_OUTPUT_FILE_H

#include <stdbool.h>
#include <stdio.h>

typedef struct output_group {
  struct output_entry *entries;
  size_t count, capacity;
  bool is_durable; /* commit forces files to disk before it renames them */
} output_group;    /* zeroed: empty */

/* Makes the folder `path` with its parents where it does not exist, and checks that files can be made in it. All
 * functions that return false have printed the error. */
bool output_make_folder(output_group *group, const char *path);

/* Opens a file that will be called `path`. The stream belongs to the group; write errors are found at commit. */
FILE *output_open(output_group *group, const char *path);

/* Renames everything into place. On failure nothing of the group is left. The group is empty afterwards. */
bool output_commit(output_group *group);

/* Removes what was not committed. */
void output_discard(output_group *group);

#endif
