/* The model that a command is given: a file, or "-" for standard input, which is read once and kept for all loads. */
#ifndef TOOLS_MODEL_FILE_H
#define TOOLS_MODEL_FILE_H

#include "engine/norma.h"
#include "tools/formats/input_file.h"
#include "tools/inputs.h"

typedef struct model_file {
  const char *path;    /* as it was given, for messages too */
  file_contents input; /* what standard input had; nothing: a file */
} model_file;

/* What is read counts against the budget of `runtime`. false: standard input cannot be read, which was printed.
 * model_file_close is due in either case, when all models of the file are gone, and before the runtime's end. */
bool model_file_open(model_file *file, const char *path, norma_runtime *runtime);
void model_file_close(model_file *file);

/* As norma_model_load. */
norma_status model_file_load(const model_file *file, const norma_load_options *options, norma_model **model,
                             norma_error *error);

/* The same for a model that is run with these inputs: an initializer that is a graph input as well, which would stay
 * constant, can be overridden where a -i names it. */
norma_status model_file_load_for(const model_file *file, const norma_load_options *options,
                                 const struct input_settings *inputs, norma_model **model, norma_error *error);

#endif
