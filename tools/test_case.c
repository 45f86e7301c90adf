#include "tools/test_case.h"

#include "engine/base/memory.h"
#include "engine/base/tensor.h"
#include "tools/report.h"
#include "tools/formats/tensor_file.h"

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
  memory account;
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

static bool load(test_state *state, const struct settings *settings) {
  char path[PATH_SIZE];
  norma_error error;
  snprintf(path, sizeof path, "%s/model.onnx", state->folder);
  norma_runtime_options options = settings_runtime(settings);
  options.log = NULL; /* a test speaks through its result alone */
  if (norma_runtime_create(&options, &state->runtime, &error) != NORMA_OK) {
    return fail(state, "runtime: %s", error.message);
  }
  norma_load_options load_options = settings_load(settings, state->runtime, -1);
  load_options.report = note_unsupported;
  load_options.report_context = state->result;
  norma_status status = norma_model_load(path, &load_options, &state->model, &error);
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

static size_t count_files(const char *folder, int set, const char *stem) {
  char path[PATH_SIZE];
  for (size_t i = 0;; i++) {
    snprintf(path, sizeof path, "%s/test_data_set_%d/%s_%zu.pb", folder, set, stem, i);
    if (!file_exists(path)) return i;
  }
}

static bool read_value(test_state *state, int set, const char *stem, size_t index, const norma_value_info *info,
                       value *into) {
  char path[PATH_SIZE];
  norma_error error;
  snprintf(path, sizeof path, "%s/test_data_set_%d/%s_%zu.pb", state->folder, set, stem, index);
  if (tensor_file_read(&state->account, path, info, into, &error) == NORMA_OK) return true;
  return fail(state, "%s", error.message);
}

static bool bind_inputs(test_state *state, int set, value *inputs) {
  size_t count = norma_model_input_count(state->model), files = count_files(state->folder, set, "input");
  if (files != count) {
    return fail(state, "test_data_set_%d has %zu inputs, the model %zu", set, files, count);
  }
  for (size_t i = 0; i < count; i++) {
    norma_value_info info;
    norma_error error;
    norma_model_input(state->model, i, &info);
    if (!read_value(state, set, "input", i, &info, &inputs[i])) return false;
    if (norma_session_set_input_value(state->session, info.name, &inputs[i], &error) != NORMA_OK) {
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
    value expected = {0};
    difference difference = {.agrees = false};
    norma_model_output(state->model, i, &info);
    bool read = read_value(state, set, "output", i, &info, &expected);
    if (read) compare_values(&expected, norma_session_output(state->session, i), state->tolerance, &difference);
    value_clear(&expected);
    if (!read) return false;
    if (!difference.agrees) {
      return fail(state, "test_data_set_%d, output %zu '%.100s': %s", set, i, info.name, difference.text);
    }
  }
  return true;
}

static bool run_set(test_state *state, int set) {
  size_t count = norma_model_input_count(state->model);
  norma_error error;
  value *inputs = calloc(count + 1, sizeof *inputs);
  if (!inputs) return fail(state, "out of memory");
  norma_session_clear_inputs(state->session);
  bool good = bind_inputs(state, set, inputs);
  if (good && norma_session_run(state->session, &error) != NORMA_OK) {
    good = fail(state, "test_data_set_%d: %s", set, error.message);
  }
  good = good && check_outputs(state, set);
  norma_session_clear_inputs(state->session);
  for (size_t i = 0; i < count; i++) value_clear(&inputs[i]);
  free(inputs);
  return good;
}

void test_case_run(const struct settings *settings, const char *folder, const tolerance *tolerance,
                   test_result *result) {
  test_state state = {.folder = folder, .tolerance = tolerance, .result = result};
  int *sets = calloc(MAX_SETS, sizeof *sets);
  *result = (test_result){.outcome = TEST_PASSED};
  memory_init(&state.account, NULL, settings->max_memory);
  int count = sets ? list_sets(folder, sets, MAX_SETS) : 0;
  if (count <= 0) {
    fail(&state, "no test_data_set_N can be read");
  } else if (load(&state, settings)) {
    for (int i = 0; i < count && run_set(&state, sets[i]); i++) continue;
  }
  free(sets);
  norma_session_destroy(state.session);
  norma_model_destroy(state.model);
  norma_runtime_destroy(state.runtime);
}
