/* norma optimize: a model with fewer nodes, as ONNX. */
#include "tools/command.h"
#include "tools/rewriting.h"

static int optimize(const void *settings) {
  return rewrite_model(settings, "optimize", NORMA_FORM_OPTIMIZED);
}

const command command_optimize = {
    .name = "optimize",
    .synopsis = "IN -o OUT [--verify] [--max X]",
    .summary = "write a model with fewer nodes, as ONNX",
    .text = "Folds constants and BatchNormalization, removes what does nothing, and writes the result with standard "
            "operators only. What is not changed keeps its bytes: names, comments, metadata, encodings, external data. "
            "Exit code 1 if --verify finds that the outputs differ; then nothing is written.\n",
    .options = rewriting_options,
    .min_arguments = 1,
    .max_arguments = 1,
    .argument = "IN",
    .settings_size = sizeof(struct rewriting_settings),
    .defaults = &rewriting_defaults,
    .run = optimize,
};
