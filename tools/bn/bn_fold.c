/* norma bn fold: a model with BatchNormalization folded away. */
#include "tools/command.h"
#include "tools/rewriting.h"

static int fold(const void *settings) {
  return rewrite_model(settings, "bn fold", NORMA_FORM_FOLDED);
}

const command command_bn_fold = {
    .name = "bn fold",
    .synopsis = "MODEL -o OUT [--verify] [--max X]",
    .summary = "write a model with BatchNormalization folded away",
    .text = "Moves BatchNormalization into the weights of the layer before or behind it, computed in double. Names of "
            "inputs and outputs stay, and so does what is not concerned.\n",
    .options = rewriting_options,
    .min_arguments = 1,
    .max_arguments = 1,
    .argument = "MODEL",
    .settings_size = sizeof(struct rewriting_settings),
    .defaults = &rewriting_defaults,
    .run = fold,
};
