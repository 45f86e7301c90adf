/* norma check: everything that keeps this build from running a model. */
#include "tools/command.h"
#include "tools/model_file.h"
#include "tools/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct check_settings {
  struct common_settings common;
  bool lists_operators;
};

typedef struct checking {
  const char *path;
  size_t count;
} checking;

static void print_unsupported(void *context, const norma_unsupported *item) {
  checking *checking = context;
  print_text(stdout, checking->path);
  printf(": node '");
  print_text(stdout, item->node ? item->node : "");
  printf("': ");
  print_text(stdout, item->op_type ? item->op_type : "");
  if (item->opset > 0) {
    printf(" (");
    print_text(stdout, item->domain && item->domain[0] ? item->domain : "ai.onnx");
    printf(" opset %" PRId64 ")", item->opset);
  }
  printf(": ");
  print_text(stdout, item->reason ? item->reason : "unsupported");
  putchar('\n');
  checking->count++;
}

/* What a load has said, as the answer. */
static int judge(const char *path, norma_status status, const checking *checking, const norma_error *error) {
  if (status == NORMA_OK) {
    print_text(stdout, path);
    printf(": ok\n");
    return EXIT_YES;
  }
  if (status != NORMA_ERROR_UNSUPPORTED) return tool_library_error(path, error);
  if (checking->count == 0) { /* the model as a whole: its IR version, an opset, a data type */
    print_text(stdout, path);
    printf(": ");
    print_text(stdout, error->message);
    putchar('\n');
  } else if (checking->count > 1) {
    print_text(stdout, path);
    printf(": %zu unsupported nodes\n", checking->count);
  }
  return EXIT_NO;
}

static int check_model(const struct common_settings *settings, const char *path) {
  int code = EXIT_REFUSED;
  checking checking = {path, 0};
  norma_error error;
  norma_model *model = NULL;
  model_file file = {0};
  norma_runtime *runtime = settings_create_runtime(settings);
  if (runtime && model_file_open(&file, path, runtime)) {
    norma_load_options options = settings_load(settings, runtime, -1);
    options.report = print_unsupported;
    options.report_context = &checking;
    norma_status status = model_file_load(&file, &options, &model, &error);
    code = judge(path, status, &checking, &error);
  }
  norma_model_destroy(model);
  model_file_close(&file);
  norma_runtime_destroy(runtime);
  return code;
}

/* -------------------------------------------------------------------------------------------------------- operators */

/* What models need: is_used[i] for norma_operator(i). */
typedef struct needed_operators {
  size_t count;
  bool *is_used;
} needed_operators;

/* Loads the model at a level, and remembers what it was made of. */
static int note_load(const struct check_settings *settings, norma_runtime *runtime, const model_file *file, int level,
                     bool exact) {
  checking checking = {file->path, 0};
  norma_error error;
  norma_model *model = NULL;
  norma_load_options options = settings_load(&settings->common, runtime, level);
  options.exact = exact;
  norma_status status = model_file_load(file, &options, &model, &error);
  norma_model_destroy(model);
  return status == NORMA_OK ? EXIT_YES : judge(file->path, status, &checking, &error);
}

/* The model with the kernels of one table at all levels: which operators optimisation makes depends on both. */
static int note_operators(const struct check_settings *settings, const model_file *file, const char *kernels,
                          needed_operators *needed) {
  norma_runtime_options options = settings_runtime(&settings->common);
  norma_runtime *runtime = NULL;
  norma_error error;
  int code = EXIT_YES;
  options.kernels = kernels;
  if (norma_runtime_create(&options, &runtime, &error) != NORMA_OK) return tool_library_error(NULL, &error);
  for (int level = 0; level <= 2 && code == EXIT_YES; level++) {
    code = note_load(settings, runtime, file, level, false);
    if (code == EXIT_YES && level == 2) code = note_load(settings, runtime, file, level, true);
  }
  for (size_t i = 0; i < needed->count; i++) {
    if (norma_runtime_uses_operator(runtime, i)) needed->is_used[i] = true;
  }
  norma_runtime_destroy(runtime);
  return code;
}

/* The same with all tables that run here. */
static int note_model(const struct check_settings *settings, const char *path, needed_operators *needed) {
  norma_runtime *runtime = settings_create_runtime(&settings->common);
  model_file file = {0};
  int code = runtime && model_file_open(&file, path, runtime) ? EXIT_YES : EXIT_REFUSED;
  for (size_t i = 0; i < norma_kernel_table_count() && code == EXIT_YES; i++) {
    norma_kernel_table_info table = {.struct_size = sizeof table};
    if (norma_kernel_table(i, &table) != NORMA_OK || !table.can_run) continue;
    code = note_operators(settings, &file, table.name, needed);
  }
  model_file_close(&file);
  norma_runtime_destroy(runtime);
  return code;
}

static void print_operators(const needed_operators *needed) {
  printf(
      "/* Operators for norma.c: -DNORMA_OPERATORS='\"THIS-FILE\"' or tools/amalgamate.py --operators THIS-FILE. */\n");
  for (size_t i = 0; i < needed->count; i++) {
    norma_operator_info info = {.struct_size = sizeof info};
    if (!needed->is_used[i] || norma_operator(i, &info) != NORMA_OK) continue;
    printf("#define NORMA_OPERATOR_%s", info.name);
    if (strcmp(info.domain, "ai.onnx") != 0) printf(" /* %s */", info.domain);
    putchar('\n');
  }
}

static int list_operators(const struct check_settings *settings) {
  needed_operators needed = {.count = norma_operator_count()};
  int code = EXIT_YES;
  needed.is_used = calloc(needed.count + 1, sizeof *needed.is_used);
  if (!needed.is_used) return tool_error("out of memory");
  for (size_t i = 0; i < settings->common.argument_count && code == EXIT_YES; i++) {
    code = note_model(settings, settings->common.arguments[i], &needed);
  }
  if (code == EXIT_YES) print_operators(&needed);
  free(needed.is_used);
  return code;
}

/* ---------------------------------------------------------------------------------------------------------- command */

static int check(const void *given) {
  const struct check_settings *own = given;
  const struct common_settings *settings = given;
  int code = EXIT_YES;
  if (own->lists_operators) return list_operators(own);
  for (size_t i = 0; i < settings->argument_count; i++) {
    int one = check_model(settings, settings->arguments[i]);
    if (one > code) code = one;
  }
  return code;
}

static const command_option options[] = {
    {&(const tool_option){"operators", 0, NULL,
                          "print the operators that the models consist of, optimised or not, as C: what a build of "
                          "norma.c for these models alone needs",
                          NULL, take_flag},
     offsetof(struct check_settings, lists_operators)},
    {NULL, 0},
};

const command command_check = {
    .name = "check",
    .synopsis = "MODEL... [--operators]",
    .summary = "whether this build can run a model",
    .text = "Names every node, element type and opset that this build does not support. Exit code 1 if there is any. "
            "MODEL - is read from standard input.\n",
    .options = options,
    .min_arguments = 1,
    .max_arguments = -1,
    .argument = "MODEL",
    .settings_size = sizeof(struct check_settings),
    .run = check,
};
