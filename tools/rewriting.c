#include "tools/rewriting.h"

#include "tools/difference.h"
#include "tools/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct rewriting {
  const struct rewriting_settings *settings;
  norma_graph_form form;
  norma_runtime *runtime;
  const char *path;
  norma_model *before, *after; /* the file at level 0, and rewritten */
} rewriting;

/* ----------------------------------------------------------------------------------------------------------- verify */

static norma_session *run_model(const rewriting *work, norma_model *model, const char *path, const input_set *inputs) {
  const double timeout = work->settings->common.timeout;
  norma_error error;
  norma_session *session = NULL;
  const norma_session_options options = settings_session(&work->settings->common);
  norma_status status = norma_session_create(model, &options, &session, &error);
  if (status == NORMA_OK && timeout > 0) norma_session_set_timeout(session, timeout);
  if (status == NORMA_OK && !inputs_bind(inputs, session)) goto failed;
  if (status == NORMA_OK) status = norma_session_run(session, &error);
  if (status == NORMA_OK) return session;
  tool_library_error(path, &error);

failed:
  norma_session_destroy(session);
  return NULL;
}

static int compare_outputs(const rewriting *work, norma_session *expected, norma_session *actual, size_t count) {
  tolerance tolerance = tolerance_default();
  tolerance.rule = COMPARE_MAX;
  tolerance.max = work->settings->max_error >= 0 ? work->settings->max_error : 1e-4;
  int code = EXIT_YES;
  for (size_t i = 0; i < count; i++) {
    norma_value_info info;
    difference difference;
    norma_model_output(work->before, i, &info);
    compare_values(norma_session_output(expected, i), norma_session_output(actual, i), &tolerance, &difference);
    printf(difference.agrees ? "  same     " : "  DIFFERS  ");
    print_text(stdout, info.name);
    printf(": max error %.3g, largest magnitude %.3g\n", difference.max_error, difference.magnitude);
    if (!difference.agrees) code = EXIT_NO;
  }
  return code;
}

/* Both models at level 0 on the same inputs. */
static int verify(const rewriting *work, const char *written) {
  norma_error error;
  norma_model *model = NULL;
  norma_session *expected = NULL, *actual = NULL;
  input_set inputs = {.count = 0};
  int code = EXIT_REFUSED;
  norma_load_options options = settings_load(&work->settings->common, work->runtime, 0);
  if (norma_model_load(written, &options, &model, &error) != NORMA_OK) {
    code = tool_library_error(written, &error);
  } else if (norma_model_output_count(model) != norma_model_output_count(work->before)) {
    code = tool_error("the new model has another number of outputs");
  } else if (inputs_collect(&inputs, &work->settings->inputs, work->runtime, work->before, FILL_RANDOM)) {
    expected = run_model(work, work->before, work->path, &inputs);
    actual = expected ? run_model(work, model, written, &inputs) : NULL;
    if (actual) code = compare_outputs(work, expected, actual, norma_model_output_count(model));
  }
  norma_session_destroy(expected);
  norma_session_destroy(actual);
  inputs_free(&inputs);
  norma_model_destroy(model);
  return code;
}

/* ------------------------------------------------------------------------------------------------------------ write */

/* Counts the nodes of this type, and prints those of the main graph where `print` says how. */
static size_t visit_type(const norma_model *model, const char *op_type, void (*print)(const char *name)) {
  size_t count = 0;
  for (const norma_node *node = norma_graph_first_node(norma_model_graph(model)); node; node = norma_node_next(node)) {
    norma_node_info info = {.struct_size = sizeof info};
    norma_node_describe(node, &info);
    if (strcmp(info.op_type, op_type) != 0) continue;
    if (print) print(info.name);
    count++;
  }
  return count;
}

static size_t count_nodes(const norma_model *model) {
  norma_graph_info info = {.struct_size = sizeof info};
  norma_graph_describe(norma_model_graph(model), &info);
  return info.node_count;
}

static void print_survivor(const char *name) {
  printf("  stays: ");
  print_text(stdout, name);
  printf(" (norma bn list says why)\n");
}

static void print_result(const rewriting *work, const norma_save_report *report, const char *output) {
  if (work->form == NORMA_FORM_FOLDED) {
    size_t all = visit_type(work->before, "BatchNormalization", NULL);
    size_t left = visit_type(work->after, "BatchNormalization", NULL);
    printf("%zu of %zu BatchNormalization nodes are folded, %zu nodes are left: ", all > left ? all - left : 0, all,
           report->kept + report->changed);
  } else {
    printf("%zu nodes became %zu, %zu of them as they were: ", count_nodes(work->before), count_nodes(work->after),
           report->kept);
  }
  print_text(stdout, output);
  putchar('\n');
  if (work->form == NORMA_FORM_FOLDED) visit_type(work->after, "BatchNormalization", print_survivor);
}

/* The name that the file has until it is verified. */
static char *temporary_name(const char *output) {
  size_t size = strlen(output) + 32;
  char *name = malloc(size);
  if (name) snprintf(name, size, "%s.%ld.unverified", output, (long)getpid());
  return name;
}

static int check_output(const char *output, const char *path) {
  struct stat target, source;
  if (stat(output, &target) != 0) return EXIT_YES;
  if (stat(path, &source) == 0 && target.st_dev == source.st_dev && target.st_ino == source.st_ino) {
    return tool_error("%s: is the model that is read; give the output another name", output);
  }
  return S_ISREG(target.st_mode) ? EXIT_YES : tool_error("%s: is not a regular file", output);
}

static int write_and_verify(const rewriting *work, const char *output) {
  norma_error error;
  norma_save_report report = {.struct_size = sizeof report};
  int code = check_output(output, work->path);
  if (code != EXIT_YES) return code;
  char *temporary = work->settings->verify ? temporary_name(output) : NULL;
  if (work->settings->verify && !temporary) return tool_error("out of memory");
  const char *target = temporary ? temporary : output;
  norma_load_options options = settings_load(&work->settings->common, work->runtime, 0);
  if (norma_model_save(work->after, work->path, &options, target, &report, &error) != NORMA_OK) {
    code = tool_library_error(NULL, &error);
  } else if (temporary) {
    code = verify(work, temporary);
    if (code == EXIT_NO) tool_error("%s: is not written, since its outputs differ", output);
    if (code == EXIT_YES && rename(temporary, output) != 0) {
      code = tool_error("%s: cannot write: %s", output, strerror(errno));
    }
    if (code != EXIT_YES) unlink(temporary);
  }
  free(temporary);
  if (code == EXIT_YES) print_result(work, &report, output);
  return code;
}

int rewrite_model(const struct rewriting_settings *settings, const char *name, norma_graph_form form) {
  rewriting work = {.settings = settings, .form = form, .path = settings->common.arguments[0]};
  int code = EXIT_REFUSED;
  norma_error error;
  if (!settings->output_file) return tool_error("%s: give -o OUT", name);
  work.runtime = settings_create_runtime(&settings->common);
  if (!work.runtime) return code;
  norma_load_options options = settings_load(&settings->common, work.runtime, 0),
                     other = settings_load(&settings->common, work.runtime, -1);
  options.disabled_pass_count = 0;
  other.form = form;
  if (norma_model_load(work.path, &options, &work.before, &error) != NORMA_OK ||
      norma_model_load(work.path, &other, &work.after, &error) != NORMA_OK) {
    code = tool_library_error(work.path, &error);
  } else if (form == NORMA_FORM_FOLDED && visit_type(work.before, "BatchNormalization", NULL) == 0) {
    code = tool_error("%s: has no BatchNormalization node", work.path);
  } else {
    code = write_and_verify(&work, settings->output_file);
  }
  norma_model_destroy(work.before);
  norma_model_destroy(work.after);
  norma_runtime_destroy(work.runtime);
  return code;
}

const struct rewriting_settings rewriting_defaults = {.inputs = INPUT_DEFAULTS, .max_error = -1};

const command_option rewriting_options[] = {
    {&shared_options[SHARED_OUTPUT_FILE], offsetof(struct rewriting_settings, output_file)},
    {&shared_options[SHARED_VERIFY], offsetof(struct rewriting_settings, verify)},
    {&shared_options[SHARED_MAX_ERROR], offsetof(struct rewriting_settings, max_error)},
    INPUT_OPTIONS(struct rewriting_settings),
    {NULL, 0},
};
