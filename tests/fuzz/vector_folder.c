#include "tests/fuzz/vector_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool read_file_bytes(const char *path, file_bytes *bytes) {
  FILE *file = fopen(path, "rb");
  *bytes = (file_bytes){NULL, 0};
  if (!file) return false;
  if (fseek(file, 0, SEEK_END) == 0) bytes->size = (size_t)ftell(file);
  rewind(file);
  bytes->data = malloc(bytes->size + 1);
  bool read = bytes->data && fread(bytes->data, 1, bytes->size, file) == bytes->size;
  fclose(file);
  if (!read) {
    free(bytes->data);
    *bytes = (file_bytes){NULL, 0};
  }
  return read;
}

/* Notes the initializers among the declared inputs, if the data have a file for each of these. */
static void find_overridable(vector_folder *vector) {
  norma_model *model;
  norma_load_options options = {.struct_size = sizeof options, .form = NORMA_FORM_INSPECT};
  norma_graph_info about = {.struct_size = sizeof about};
  if (norma_model_load(vector->model_path, &options, &model, NULL) != NORMA_OK) return;
  const norma_graph *graph = norma_model_graph(model);
  norma_graph_describe(graph, &about);
  if (vector->input_count == about.input_count && vector->input_count > norma_model_input_count(model)) {
    vector->overridable = calloc(about.input_count, sizeof *vector->overridable);
  }
  for (size_t i = 0; vector->overridable && i < about.input_count; i++) {
    norma_graph_value_info info = {.struct_size = sizeof info};
    norma_graph_value_describe(norma_graph_input(graph, i), &info);
    if (!info.is_initializer || !info.is_constant) continue;
    vector->overridable[vector->overridable_count] = strdup(info.name);
    if (vector->overridable[vector->overridable_count]) vector->overridable_count++;
  }
  norma_model_destroy(model);
}

bool vector_open(vector_folder *vector, const char *folder) {
  *vector = (vector_folder){.input_count = 0};
  snprintf(vector->model_path, sizeof vector->model_path, "%s/model.onnx", folder);
  if (!read_file_bytes(vector->model_path, &vector->model)) return false;
  for (size_t i = 0; i < VECTOR_MOST_FILES; i++) {
    char path[1100];
    snprintf(path, sizeof path, "%s/test_data_set_0/input_%zu.pb", folder, i);
    if (!read_file_bytes(path, &vector->inputs[i])) break;
    vector->input_count++;
  }
  find_overridable(vector);
  return true;
}

void vector_close(vector_folder *vector) {
  free(vector->model.data);
  for (size_t i = 0; i < vector->input_count; i++) free(vector->inputs[i].data);
  for (size_t i = 0; i < vector->overridable_count; i++) free(vector->overridable[i]);
  free(vector->overridable);
}

norma_load_options vector_load_options(const vector_folder *vector, norma_runtime *runtime) {
  norma_load_options options = {.struct_size = sizeof options, .runtime = runtime};
  options.overridable = (const char *const *)vector->overridable;
  options.overridable_count = vector->overridable_count;
  return options;
}
