#include "tools/model_file.h"

#include "tools/formats/file_error.h"
#include "tools/report.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool model_file_open(model_file *file, const char *path, norma_runtime *runtime) {
  norma_error error;
  *file = (model_file){.path = path};
  if (strcmp(path, "-") != 0) return true;
  if (file_read_rest(runtime, STDIN_FILENO, "-", &file->input, &error) == NORMA_OK) return true;
  tool_error("%s", error.message);
  return false;
}

void model_file_close(model_file *file) {
  file_contents_free(&file->input);
  *file = (model_file){0};
}

norma_status model_file_load(const model_file *file, const norma_load_options *options, norma_model **model,
                             norma_error *error) {
  return file->input.bytes ? norma_model_load_memory(file->input.bytes, file->input.size, options, model, error)
                           : norma_model_load(file->path, options, model, error);
}

/* ----------------------------------------------------------------------------------------------- overridable inputs */

/* Whether the graph declares an input of that name that stays constant unless the load is told otherwise. */
static bool is_constant_input(const norma_model *model, const char *name) {
  const norma_graph *graph = norma_model_graph(model);
  norma_graph_info about = {.struct_size = sizeof about};
  norma_graph_describe(graph, &about);
  for (size_t i = 0; i < about.input_count; i++) {
    norma_graph_value_info info = {.struct_size = sizeof info};
    norma_graph_value_describe(norma_graph_input(graph, i), &info);
    if (strcmp(info.name, name) == 0) return info.is_initializer && info.is_constant;
  }
  return false;
}

/* The names in front of the '='s of all -i that are such inputs, into `names`, which has room. A name may hold '='
 * itself; the strings are the caller's to free. false: out of memory. */
static bool find_overridden(const norma_model *model, const struct input_settings *inputs, char **names,
                            size_t *count) {
  for (size_t i = 0; i < inputs->files.count; i++) {
    const char *text = inputs->files.items[i];
    for (const char *equals = strchr(text, '='); equals; equals = strchr(equals + 1, '=')) {
      char *name = strndup(text, (size_t)(equals - text));
      if (!name) return false;
      if (is_constant_input(model, name)) {
        names[(*count)++] = name;
        break;
      }
      free(name);
    }
  }
  return true;
}

norma_status model_file_load_for(const model_file *file, const norma_load_options *options,
                                 const struct input_settings *inputs, norma_model **model, norma_error *error) {
  TRY(model_file_load(file, options, model, error));
  if (inputs->files.count == 0) return NORMA_OK;
  size_t count = 0;
  char **names = calloc(inputs->files.count, sizeof *names);
  norma_status status = NORMA_OK;
  if (!names || !find_overridden(*model, inputs, names, &count)) {
    status = set_error(error, NORMA_ERROR_OUT_OF_MEMORY, "out of memory");
  } else if (count > 0) {
    norma_load_options changed = *options;
    changed.overridable = (const char *const *)names;
    changed.overridable_count = count;
    norma_model_destroy(*model);
    status = model_file_load(file, &changed, model, error);
  }
  if (status != NORMA_OK) {
    norma_model_destroy(*model);
    *model = NULL;
  }
  for (size_t i = 0; names && i < inputs->files.count; i++) free(names[i]);
  free(names);
  return status;
}
