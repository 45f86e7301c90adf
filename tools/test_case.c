#include "tools/test_case.h"

#include "tools/formats/tensor_file.h"
#include "tools/report.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What one test holds. */
typedef struct test_state {
  const char *folder;
  const tolerance *tolerance;
  test_result *result;
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
} test_state;

static bool fail(test_state *state, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(test_state *state, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  state->result->outcome = TEST_FAILED;
  vsnprintf(state->result->text, sizeof state->result->text, format, arguments);
  va_end(arguments);
  return false;
}

static bool file_exists(const char *path) {
  struct stat facts;
  return stat(path, &facts) == 0;
}

/* The numbers N of the folders test_data_set_N, rising; -1 where the folder cannot be read. */
static int list_sets(const char *folder, int *sets, int room) {
  DIR *directory = opendir(folder);
  int count = 0;
  if (!directory) return -1;
  for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
    static const char stem[] = "test_data_set_";
    int64_t number;
    if (strncmp(entry->d_name, stem, sizeof stem - 1) != 0) continue;
    if (!parse_integer(entry->d_name + sizeof stem - 1, 0, 1000000, &number) || count == room) continue;
    int at = count++;
    for (; at > 0 && sets[at - 1] > (int)number; at--) sets[at] = sets[at - 1];
    sets[at] = (int)number;
  }
  closedir(directory);
  return count;
}

enum { MAX_SETS = 1000, PATH_SIZE = 4096 };

bool test_case_exists(const char *folder) {
  char path[PATH_SIZE];
  int set;
  snprintf(path, sizeof path, "%s/model.onnx", folder);
  return file_exists(path) && list_sets(folder, &set, 1) > 0;
}

/* ---------------------------------------------------------------------------------------------------------- loading */

static void note_unsupported(void *context, const norma_unsupported *item) {
  test_result *result = context;
  if (result->reason[0] != '\0') return;
  const char *domain = item->domain && item->domain[0] && strcmp(item->domain, "ai.onnx") != 0 ? item->domain : NULL;
  snprintf(result->reason, sizeof result->reason, "%s%s%s: %s", domain ? domain : "", domain ? "." : "", item->op_type,
           item->reason);
}

static size_t count_files(const char *folder, int set, const char *stem) {
  char path[PATH_SIZE];
  for (size_t i = 0;; i++) {
    snprintf(path, sizeof path, "%s/test_data_set_%d/%s_%zu.pb", folder, set, stem, i);
    if (!file_exists(path)) return i;
  }
}

/* Names of the graph's inputs that are initializers, for a load with these overridable. `names` is freed by the
 * caller. */
static size_t list_initializer_inputs(const norma_model *model, const char ***names, size_t *declared) {
  const norma_graph *graph = norma_model_graph(model);
  norma_graph_info about = {.struct_size = sizeof about};
  norma_graph_describe(graph, &about);
  size_t count = 0;
  *declared = about.input_count;
  *names = calloc(about.input_count + 1, sizeof **names);
  for (size_t i = 0; *names && i < about.input_count; i++) {
    norma_graph_value_info info = {.struct_size = sizeof info};
    norma_graph_value_describe(norma_graph_input(graph, i), &info);
    if (info.is_initializer && info.is_constant) (*names)[count++] = info.name;
  }
  return count;
}

/* Where the data have a file for every declared input, initializers among them are overridden by theirs. */
static norma_status load_overridable(test_state *state, const char *path, const norma_load_options *options,
                                     size_t files, norma_error *error) {
  const char **names = NULL;
  size_t declared = 0, count = 0;
  norma_status status = NORMA_OK;
  if (files <= norma_model_input_count(state->model)) return NORMA_OK;
  count = list_initializer_inputs(state->model, &names, &declared);
  if (count > 0 && files == declared) {
    norma_load_options changed = *options;
    norma_model *other = NULL;
    changed.overridable = names;
    changed.overridable_count = count;
    status = norma_model_load(path, &changed, &other, error);
    norma_model_destroy(state->model); /* it holds the names */
    state->model = other;
  }
  free(names);
  return status;
}

static bool load(test_state *state, const struct common_settings *settings, int first_set) {
  char path[PATH_SIZE];
  norma_error error;
  snprintf(path, sizeof path, "%s/model.onnx", state->folder);
  norma_runtime_options options = settings_runtime(settings);
  options.log = NULL; /* a test speaks through its result alone */
  if (norma_runtime_create(&options, &state->runtime, &error) != NORMA_OK) {
    return fail(state, "runtime: %s", error.message);
  }
  norma_load_options load_options = settings_load(settings, state->runtime, -1);
  load_options.timeout = 0; /* the limit is for the process of the whole test */
  load_options.report = note_unsupported;
  load_options.report_context = state->result;
  norma_status status = norma_model_load(path, &load_options, &state->model, &error);
  if (status == NORMA_OK) {
    status = load_overridable(state, path, &load_options, count_files(state->folder, first_set, "input"), &error);
  }
  if (status == NORMA_OK) status = norma_session_create(state->model, NULL, &state->session, &error);
  if (status == NORMA_OK) return true;
  fail(state, "%s", error.message);
  if (status == NORMA_ERROR_UNSUPPORTED && !state->model) {
    state->result->outcome = TEST_SKIPPED;
    if (state->result->reason[0] == '\0')
      snprintf(state->result->reason, sizeof state->result->reason, "%.250s", error.message);
  }
  return false;
}

/* ---------------------------------------------------------------------------------------------------------- running */

static norma_value *read_value(test_state *state, int set, const char *stem, size_t index,
                               const norma_value_info *info) {
  char path[PATH_SIZE];
  norma_error error;
  norma_value *value;
  snprintf(path, sizeof path, "%s/test_data_set_%d/%s_%zu.pb", state->folder, set, stem, index);
  if (tensor_file_read(state->runtime, path, info, &value, &error) == NORMA_OK) return value;
  fail(state, "%s", error.message);
  return NULL;
}

static bool bind_inputs(test_state *state, int set, norma_value **inputs) {
  size_t count = norma_model_input_count(state->model), files = count_files(state->folder, set, "input");
  if (files != count) {
    return fail(state, "test_data_set_%d has %zu inputs, the model %zu", set, files, count);
  }
  for (size_t i = 0; i < count; i++) {
    norma_value_info info;
    norma_error error;
    norma_model_input(state->model, i, &info);
    inputs[i] = read_value(state, set, "input", i, &info);
    if (!inputs[i]) return false;
    if (norma_session_set_input_value(state->session, info.name, inputs[i], &error) != NORMA_OK) {
      return fail(state, "test_data_set_%d: %s", set, error.message);
    }
  }
  return true;
}

static bool check_outputs(test_state *state, int set) {
  size_t count = norma_model_output_count(state->model), files = count_files(state->folder, set, "output");
  if (files != count) return fail(state, "test_data_set_%d has %zu outputs, the model %zu", set, files, count);
  for (size_t i = 0; i < count; i++) {
    norma_value_info info;
    difference difference;
    norma_model_output(state->model, i, &info);
    norma_value *expected = read_value(state, set, "output", i, &info);
    if (!expected) return false;
    compare_values(expected, norma_session_output(state->session, i), state->tolerance, &difference);
    norma_value_destroy(expected);
    if (!difference.agrees) {
      return fail(state, "test_data_set_%d, output %zu '%.100s': %s", set, i, info.name, difference.text);
    }
  }
  return true;
}

static bool run_set(test_state *state, int set) {
  size_t count = norma_model_input_count(state->model);
  norma_error error;
  norma_value **inputs = calloc(count + 1, sizeof *inputs);
  if (!inputs) return fail(state, "out of memory");
  norma_session_clear_inputs(state->session);
  bool good = bind_inputs(state, set, inputs);
  if (good && norma_session_run(state->session, &error) != NORMA_OK) {
    good = fail(state, "test_data_set_%d: %s", set, error.message);
  }
  good = good && check_outputs(state, set);
  norma_session_clear_inputs(state->session);
  for (size_t i = 0; i < count; i++) norma_value_destroy(inputs[i]);
  free(inputs);
  return good;
}

void test_case_run(const struct common_settings *settings, const char *folder, const tolerance *tolerance,
                   test_result *result) {
  test_state state = {.folder = folder, .tolerance = tolerance, .result = result};
  int *sets = calloc(MAX_SETS, sizeof *sets);
  *result = (test_result){.outcome = TEST_PASSED};
  int count = sets ? list_sets(folder, sets, MAX_SETS) : 0;
  if (count <= 0) {
    fail(&state, "no test_data_set_N can be read");
  } else if (load(&state, settings, sets[0])) {
    for (int i = 0; i < count && run_set(&state, sets[i]); i++) continue;
  }
  free(sets);
  norma_session_destroy(state.session);
  norma_model_destroy(state.model);
  norma_runtime_destroy(state.runtime);
}
