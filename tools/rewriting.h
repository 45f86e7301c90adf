/* What norma optimize and norma bn fold have in common: a model with fewer nodes, written as ONNX. With --verify the
 * new model is compared with the old one before it gets its name. */
#ifndef TOOLS_REWRITING_H
#define TOOLS_REWRITING_H

#include "tools/inputs.h"

struct rewriting_settings {
  struct common_settings common;
  struct input_settings inputs;
  const char *output_file;
  bool verify;
  double max_error; /* negative: not given */
};

extern const struct rewriting_settings rewriting_defaults;
extern const command_option rewriting_options[];

/* Does it, for the command of this name, and returns the exit code. */
int rewrite_model(const struct rewriting_settings *settings, const char *name, norma_graph_form form);

#endif
