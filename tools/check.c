/* norma check: everything that keeps this build from running a model. */
#include "tools/command.h"
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

static int check_model(const struct settings *settings, const char *path) {
  int code = EXIT_REFUSED;
  checking checking = {path, 0};
  norma_error error;
  norma_model *model = NULL;
  norma_runtime *runtime = settings_create_runtime(settings);
  if (!runtime) return EXIT_REFUSED;
  norma_load_options options = settings_load(settings, runtime, -1);
  options.report = print_unsupported;
  options.report_context = &checking;
  norma_status status = norma_model_load(path, &options, &model, &error);
  if (status == NORMA_OK) {
    print_text(stdout, path);
    printf(": ok\n");
    code = EXIT_YES;
  } else if (status == NORMA_ERROR_UNSUPPORTED) {
    if (checking.count == 0) { /* the model as a whole: its IR version, an opset, a data type */
      print_text(stdout, path);
      printf(": ");
      print_text(stdout, error.message);
      putchar('\n');
    } else if (checking.count > 1) {
      print_text(stdout, path);
      printf(": %zu unsupported nodes\n", checking.count);
    }
    code = EXIT_NO;
  } else {
    tool_library_error(path, &error);
  }
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  return code;
}

int command_check(const struct settings *settings) {
  int code = EXIT_YES;
  for (size_t i = 0; i < settings->argument_count; i++) {
    int one = check_model(settings, settings->arguments[i]);
    if (one > code) code = one;
  }
  return code;
}
