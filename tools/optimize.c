/*
 * norma optimize and norma bn fold: a model with fewer nodes, as ONNX. With --verify the new model is compared with the
 * old one before it gets its name.
 */
#include "proto/model_rewrite.h"
#include "tools/command.h"
#include "tools/difference.h"
#include "tools/inputs.h"
#include "tools/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct rewriting {
  const struct settings *settings;
  norma_graph_form form;
  norma_runtime *runtime;
  const char *path;
  norma_model *before, *after; /* the file at level 0, and rewritten */
} rewriting;

/* ----------------------------------------------------------------------------------------------------------- verify */

static norma_session *run_model(const rewriting *work, norma_model *model, const char *path, const input_set *inputs) {
  norma_error error;
  norma_session *session = NULL;
  norma_status status = norma_session_create(model, NULL, &session, &error);
  if (status == NORMA_OK && work->settings->timeout > 0) norma_session_set_timeout(session, work->settings->timeout);
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
  norma_load_options options = settings_load(work->settings, work->runtime, 0);
  if (norma_model_load(written, &options, &model, &error) != NORMA_OK) {
    code = tool_library_error(written, &error);
  } else if (norma_model_output_count(model) != norma_model_output_count(work->before)) {
    code = tool_error("the new model has another number of outputs");
  } else if (inputs_collect(&inputs, work->settings, work->before, FILL_RANDOM)) {
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

static size_t count_type(const norma_model *model, const char *op_type) {
  size_t count = 0;
  for (const node *node = model->graph->first; node; node = node->next) count += strcmp(node->op_type, op_type) == 0;
  return count;
}

static void print_result(const rewriting *work, const rewrite_counts *counts, const char *output) {
  size_t folded = count_type(work->before, "BatchNormalization"), left = count_type(work->after, "BatchNormalization");
  if (work->form == NORMA_FORM_FOLDED) {
    printf("%zu of %zu BatchNormalization nodes are folded, %zu nodes are left: ", folded > left ? folded - left : 0,
           folded, counts->kept + counts->changed);
  } else {
    printf("%d nodes became %d, %zu of them as they were: ", work->before->graph->node_count,
           work->after->graph->node_count, counts->kept);
  }
  print_text(stdout, output);
  putchar('\n');
  for (const node *node = work->after->graph->first; work->form == NORMA_FORM_FOLDED && node; node = node->next) {
    if (strcmp(node->op_type, "BatchNormalization") != 0) continue;
    printf("  stays: ");
    print_text(stdout, node->name);
    printf(" (norma bn list says why)\n");
  }
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
  rewrite_counts counts = {0};
  int code = check_output(output, work->path);
  if (code != EXIT_YES) return code;
  char *temporary = work->settings->verify ? temporary_name(output) : NULL;
  if (work->settings->verify && !temporary) return tool_error("out of memory");
  const char *target = temporary ? temporary : output;
  if (model_rewrite(work->before, work->after, work->path, target, &counts, &error) != NORMA_OK) {
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
  if (code == EXIT_YES) print_result(work, &counts, output);
  return code;
}

static int rewrite(const struct settings *settings, norma_graph_form form) {
  rewriting work = {.settings = settings, .form = form, .path = settings->arguments[0]};
  int code = EXIT_REFUSED;
  norma_error error;
  work.runtime = settings_create_runtime(settings);
  if (!work.runtime) return code;
  norma_load_options options = settings_load(settings, work.runtime, 0),
                     other = settings_load(settings, work.runtime, -1);
  options.disabled_pass_count = 0;
  other.form = form;
  if (norma_model_load(work.path, &options, &work.before, &error) != NORMA_OK ||
      norma_model_load(work.path, &other, &work.after, &error) != NORMA_OK) {
    code = tool_library_error(work.path, &error);
  } else if (form == NORMA_FORM_FOLDED && count_type(work.before, "BatchNormalization") == 0) {
    code = tool_error("%s: has no BatchNormalization node", work.path);
  } else {
    code = write_and_verify(&work, settings->output_file);
  }
  norma_model_destroy(work.before);
  norma_model_destroy(work.after);
  norma_runtime_destroy(work.runtime);
  return code;
}

int command_optimize(const struct settings *settings) {
  return settings->output_file ? rewrite(settings, NORMA_FORM_OPTIMIZED) : tool_error("optimize: give -o OUT");
}

int command_bn_fold(const struct settings *settings) {
  return settings->output_file ? rewrite(settings, NORMA_FORM_FOLDED) : tool_error("bn fold: give -o OUT");
}
