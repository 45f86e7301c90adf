/* norma check: everything that keeps this build from running a model. */
#include "tools/command.h"
#include "tools/model_file.h"
#include "tools/report.h"

#include <inttypes.h>

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

static int check(const void *given) {
  const struct common_settings *settings = given;
  int code = EXIT_YES;
  for (size_t i = 0; i < settings->argument_count; i++) {
    int one = check_model(settings, settings->arguments[i]);
    if (one > code) code = one;
  }
  return code;
}

const command command_check = {
    .name = "check",
    .synopsis = "MODEL...",
    .summary = "whether this build can run a model",
    .text = "Names every node, element type and opset that this build does not support. Exit code 1 if there is any. "
            "MODEL - is read from standard input.\n",
    .min_arguments = 1,
    .max_arguments = -1,
    .argument = "MODEL",
    .settings_size = sizeof(struct common_settings),
    .run = check,
};
