/*
 * norma bn freeze: a model that was exported in training mode becomes one for inference. BatchNormalization normalises
 * by the statistics that are stored, Dropout lets everything pass; all other bytes of the model stay.
 */
#include "tools/bn/bn_inner.h"
#include "tools/command.h"
#include "tools/report.h"

#include <inttypes.h>
#include <math.h>

struct freeze_settings {
  struct common_settings common;
  const char *output_file;
};

/* Statistics that cannot be divided by are refused; such as training has never touched are worth a warning. */
static bool check_statistics(const norma_bn_info *node) {
  if (node->obstacle) {
    tool_error("node '%s': %s, so there is nothing to normalise by in inference", node->name, node->obstacle);
    return false;
  }
  bool untouched = true;
  for (int64_t c = 0; c < node->channels; c++) {
    double m = NAN, v = NAN;
    norma_tensor_get_doubles(node->mean, c, 1, &m);
    norma_tensor_get_doubles(node->variance, c, 1, &v);
    if (!isfinite(m) || !isfinite(v) || v < 0 || v + node->epsilon <= 0) {
      tool_error("node '%s': channel %" PRId64 " has mean %g and variance %g; norma bn reestimate can measure new ones",
                 node->name, c, m, v);
      return false;
    }
    untouched = untouched && m == 0 && v == 1;
  }
  if (untouched) {
    tool_warning("node '%s': mean is 0 and variance 1 everywhere, as before training; see norma bn reestimate",
                 node->name);
  }
  return true;
}

/* All nodes that train. */
static bool check_all(const norma_bn_study *study) {
  for (size_t i = 0; i < norma_bn_count(study); i++) {
    norma_bn_info info = {.struct_size = sizeof info};
    norma_bn_describe(study, i, &info);
    if (info.is_training && !check_statistics(&info)) return false;
  }
  return true;
}

static int freeze_study(const norma_bn_study *study, norma_editor *editor, const char *path, const char *output) {
  norma_error error;
  norma_bn_freeze_report report = {.struct_size = sizeof report};
  if (norma_bn_count(study) == 0 && norma_bn_inner_count(study) == 0) {
    return tool_error("%s: has no BatchNormalization node", path);
  }
  bn_inner_warn(norma_bn_model(study), NULL, NULL);
  if (!check_all(study)) return EXIT_REFUSED;
  if (norma_bn_freeze(study, editor, &report, &error) != NORMA_OK ||
      norma_editor_save(editor, output, &error) != NORMA_OK) {
    return tool_library_error(NULL, &error);
  }
  printf("%zu of %zu BatchNormalization nodes and %zu Dropout nodes were in training mode and are frozen: ",
         report.normalizations, norma_bn_count(study), report.dropouts);
  print_text(stdout, output);
  putchar('\n');
  return EXIT_YES;
}

static int freeze(const void *given) {
  const struct freeze_settings *settings = given;
  const char *path = settings->common.arguments[0];
  int code = EXIT_REFUSED;
  norma_error error;
  norma_bn_study *study = NULL;
  norma_editor *editor = NULL;
  if (!settings->output_file) return tool_error("bn freeze: give -o OUT");
  norma_runtime *runtime = settings_create_runtime(&settings->common);
  if (!runtime) return code;
  norma_load_options options = settings_load(&settings->common, runtime, -1);
  const norma_limits limits = settings_limits(&settings->common);
  if (norma_bn_open(path, &options, &study, &error) != NORMA_OK ||
      norma_editor_open_within(runtime, path, &limits, &editor, &error) != NORMA_OK) {
    code = tool_library_error(path, &error);
  } else {
    code = freeze_study(study, editor, path, settings->output_file);
  }
  norma_editor_destroy(editor);
  norma_bn_destroy(study);
  norma_runtime_destroy(runtime);
  return code;
}

static const command_option options[] = {
    {&shared_options[SHARED_OUTPUT_FILE], offsetof(struct freeze_settings, output_file)},
    {NULL, 0},
};

const command command_bn_freeze = {
    .name = "bn freeze",
    .synopsis = "MODEL -o OUT",
    .summary = "make a model exported in training mode one for inference",
    .text = "BatchNormalization then uses the statistics that are stored, and its further outputs are removed; Dropout "
            "lets everything pass. Statistics that are not finite or negative are refused.\n",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .argument = "MODEL",
    .settings_size = sizeof(struct freeze_settings),
    .run = freeze,
};
