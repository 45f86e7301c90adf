/* A test in the layout of ONNX's backend tests, with its files in memory: model.onnx and test_data_set_0/input_I.pb. */
#ifndef TESTS_FUZZ_VECTOR_FOLDER_H
#define TESTS_FUZZ_VECTOR_FOLDER_H

#include "engine/norma.h"

#define VECTOR_MOST_FILES 64

typedef struct file_bytes {
  unsigned char *data; /* NULL: no such file */
  size_t size;
} file_bytes;

typedef struct vector_folder {
  char model_path[1024];
  file_bytes model;
  file_bytes inputs[VECTOR_MOST_FILES];
  size_t input_count; /* files there are */
  /* Names of initializers that the data override, `overridable_count` of them; see vector_open. */
  char **overridable;
  size_t overridable_count;
} vector_folder;

/* False, with nothing to close, where the folder has no model that can be read. */
bool vector_open(vector_folder *vector, const char *folder);
void vector_close(vector_folder *vector);

/* The options of a load, which borrow from the vector. Where there is a file for every declared input, initializers
 * among them are overridden. */
norma_load_options vector_load_options(const vector_folder *vector, norma_runtime *runtime);

/* Whether the file can be read; free(bytes->data). */
bool read_file_bytes(const char *path, file_bytes *bytes);

#endif
