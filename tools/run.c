/* norma run: one run of a model, and its outputs in the form that was asked for. */
#include "tools/command.h"
#include "tools/formats/tensor_file.h"
#include "tools/model_file.h"
#include "tools/profile_report.h"
#include "tools/report.h"
#include "tools/value_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct run_settings {
  struct common_settings common;
  struct input_settings inputs;
  const char *output_folder;
  text_list dumps;
  int top; /* 0: not given */
  const char *profile;
};

/* All that one run holds; zeroed at the start, freed at the one exit. */
typedef struct run_state {
  const struct run_settings *settings;
  const char *path;
  model_file file;
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  input_set inputs;
  output_group files;
  FILE *trace; /* of --profile; belongs to the group */
  int code;    /* the tool's exit code */
} run_state;

/* ----------------------------------------------------------------------------------------------------- best classes */

typedef struct candidate {
  int64_t index;
  double score;
} candidate;

static int better_first(const void *a, const void *b) {
  const candidate *left = a, *right = b;
  double x = isnan(left->score) ? -INFINITY : left->score, y = isnan(right->score) ? -INFINITY : right->score;
  if (x != y) return x > y ? -1 : 1;
  return left->index < right->index ? -1 : left->index > right->index;
}

static bool is_score_type(norma_element_type type) {
  return norma_element_type_class(type) == NORMA_CLASS_FLOAT && norma_element_type_bits(type) >= 16;
}

/* The first output that scores classes: numbers in rows of more than one. */
static const norma_tensor *find_scores(const norma_session *session, size_t outputs, size_t *index) {
  for (*index = 0; *index < outputs; (*index)++) {
    const norma_tensor *tensor = norma_value_tensor(norma_session_output(session, *index));
    if (tensor && tensor->rank > 0 && is_score_type(tensor->type) && norma_tensor_count(tensor) > 1) return tensor;
  }
  return NULL;
}

/* Probabilities are printed as they are; other scores with their softmax beside them. */
static void print_row(const candidate *row, int64_t length, int64_t count, const char *prefix) {
  double sum = 0, exponentials = 0, largest = row[0].score;
  bool probabilities = true;
  for (int64_t i = 0; i < length; i++) {
    sum += row[i].score;
    exponentials += exp(row[i].score - largest);
    probabilities = probabilities && row[i].score >= 0 && row[i].score <= 1.0001;
  }
  probabilities = probabilities && fabs(sum - 1) < 1e-2;
  for (int64_t i = 0; i < count && i < length; i++) {
    printf("%sclass %" PRId64 ": ", prefix, row[i].index);
    if (probabilities) {
      printf("%.4f\n", row[i].score);
    } else {
      printf("%.6g (softmax %.4f)\n", row[i].score, exp(row[i].score - largest) / exponentials);
    }
  }
}

static int print_top(const run_state *state) {
  size_t index;
  const norma_tensor *scores = find_scores(state->session, norma_model_output_count(state->model), &index);
  if (!scores) return tool_error("%s: --top: no output holds scores of classes", state->path);
  int64_t length = scores->dims[scores->rank - 1], rows = norma_tensor_count(scores) / length;
  if (length == 1) { /* N x C x 1 x 1 and the like */
    length = norma_tensor_count(scores) / scores->dims[0];
    rows = scores->dims[0];
  }
  candidate *row = calloc((size_t)length, sizeof *row);
  if (!row) return tool_error("out of memory");
  for (int64_t r = 0; r < rows; r++) {
    char prefix[40] = "";
    for (int64_t i = 0; i < length; i++) {
      row[i].index = i;
      read_doubles(scores, r * length + i, 1, &row[i].score);
    }
    qsort(row, (size_t)length, sizeof *row, better_first);
    if (rows > 1) snprintf(prefix, sizeof prefix, "row %" PRId64 ": ", r);
    print_row(row, length, state->settings->top, prefix);
  }
  free(row);
  return EXIT_YES;
}

/* ---------------------------------------------------------------------------------------------------- values inside */

static bool dumps_all(const struct run_settings *settings) {
  for (size_t i = 0; i < settings->dumps.count; i++) {
    if (strcmp(settings->dumps.items[i], "all") == 0) return true;
  }
  return false;
}

static bool watch_values(run_state *state) {
  const struct run_settings *settings = state->settings;
  norma_error error;
  for (size_t i = 0; i < settings->dumps.count; i++) {
    const char *name = strcmp(settings->dumps.items[i], "all") == 0 ? "*" : settings->dumps.items[i];
    if (norma_session_watch(state->session, name, &error) != NORMA_OK) {
      tool_error("--dump %s: %s", settings->dumps.items[i], error.message);
      return false;
    }
  }
  return true;
}

typedef struct dumping {
  run_state *state;
  size_t count;
  bool good;
} dumping;

/* A file name of a value's name: what means something to a shell or a file system becomes '_'. */
static void file_stem(const char *name, size_t number, char *stem, size_t size) {
  size_t used = (size_t)snprintf(stem, size, "value_");
  bool changed = false;
  for (; *name && used + 24 < size; name++) {
    unsigned char c = (unsigned char)*name;
    bool plain = isalnum(c) || strchr("._-+:", c) || c >= 0x80;
    stem[used++] = plain ? (char)c : '_';
    changed = changed || !plain;
  }
  stem[used] = '\0';
  /* two names must not meet in one file */
  if (changed || *name) snprintf(stem + used, size - used, ".%zu", number);
}

static void dump_value(void *context, const char *name, const norma_value *value) {
  dumping *dumping = context;
  const char *folder = dumping->state->settings->output_folder;
  char stem[200];
  if (!dumping->good || !value) return;
  if (folder) {
    file_stem(name, dumping->count, stem, sizeof stem);
    dumping->good = tensor_file_write(dumping->state->runtime, &dumping->state->files, folder, stem, name, value);
  } else {
    print_value(stdout, name, value);
  }
  dumping->count++;
}

static bool dump_values(run_state *state) {
  const struct run_settings *settings = state->settings;
  dumping dumping = {state, 0, true};
  if (dumps_all(settings)) {
    norma_session_visit_values(state->session, dump_value, &dumping);
  } else {
    for (size_t i = 0; i < settings->dumps.count; i++) {
      dump_value(&dumping, settings->dumps.items[i], norma_session_value(state->session, settings->dumps.items[i]));
    }
  }
  return dumping.good;
}

/* ------------------------------------------------------------------------------------------------------------ steps */

static bool prepare(run_state *state) {
  const struct run_settings *settings = state->settings;
  norma_error error;
  state->runtime = settings_create_runtime(&settings->common);
  if (!state->runtime || !model_file_open(&state->file, state->path, state->runtime)) return false;
  norma_load_options load = settings_load(&settings->common, state->runtime, -1);
  norma_session_options options = settings_session(&settings->common);
  options.profile = settings->profile != NULL;
  if (model_file_load_for(&state->file, &load, &settings->inputs, &state->model, &error) != NORMA_OK ||
      norma_session_create(state->model, &options, &state->session, &error) != NORMA_OK) {
    state->code = tool_library_error(state->path, &error);
    return false;
  }
  /* a long run should not end with an output that cannot be written */
  if (settings->output_folder && !output_make_folder(&state->files, settings->output_folder)) return false;
  if (settings->profile) {
    state->trace = output_open(&state->files, settings->profile);
    if (!state->trace) return false;
  }
  if (settings->common.timeout > 0) norma_session_set_timeout(state->session, settings->common.timeout);
  return watch_values(state) &&
         inputs_collect(&state->inputs, &settings->inputs, state->runtime, state->model, FILL_NONE) &&
         inputs_bind(&state->inputs, state->session);
}

static bool write_outputs(run_state *state) {
  size_t count = norma_model_output_count(state->model);
  for (size_t i = 0; i < count; i++) {
    norma_value_info info;
    char stem[40];
    norma_model_output(state->model, i, &info);
    snprintf(stem, sizeof stem, "output_%zu", i);
    const norma_value *value = norma_session_output(state->session, i);
    if (!value ||
        !tensor_file_write(state->runtime, &state->files, state->settings->output_folder, stem, info.name, value))
      return false;
  }
  return true;
}

static void print_outputs(const run_state *state) {
  size_t count = norma_model_output_count(state->model);
  for (size_t i = 0; i < count; i++) {
    norma_value_info info;
    norma_model_output(state->model, i, &info);
    print_value(stdout, info.name, norma_session_output(state->session, i));
  }
}

static int report_results(run_state *state) {
  const struct run_settings *settings = state->settings;
  if (settings->output_folder && !write_outputs(state)) return EXIT_REFUSED;
  if (settings->dumps.count > 0 && !dump_values(state)) return EXIT_REFUSED;
  if (state->trace) profile_write_trace(state->trace, state->session, state->path);
  if (!output_commit(&state->files)) return EXIT_REFUSED;
  if (settings->top > 0) {
    int code = print_top(state);
    if (code != EXIT_YES) return code;
  } else if (!settings->output_folder) {
    print_outputs(state);
  }
  if (settings->profile) profile_print(stdout, state->runtime, state->session, NULL);
  return EXIT_YES;
}

static int run(const void *given) {
  const struct run_settings *settings = given;
  run_state state = {.settings = settings, .path = settings->common.arguments[0], .code = EXIT_REFUSED};
  norma_error error;
  if (prepare(&state)) {
    ticker *ticker = ticker_start("running", settings->common.quiet);
    norma_status status = norma_session_run(state.session, &error);
    ticker_stop(ticker);
    if (status != NORMA_OK) {
      state.code = tool_library_error(state.path, &error);
    } else {
      state.code = report_results(&state);
    }
  }
  output_discard(&state.files);
  norma_session_destroy(state.session);
  inputs_free(&state.inputs);
  norma_model_destroy(state.model);
  model_file_close(&state.file);
  norma_runtime_destroy(state.runtime);
  return state.code;
}

static const command_option options[] = {
    INPUT_OPTIONS(struct run_settings),
    {&(const tool_option){NULL, 'o', "DIR",
                          "write output_0.npy, output_1.npy, ... into DIR, which is made if need be; .pb for what .npy "
                          "cannot hold",
                          NULL, take_text},
     offsetof(struct run_settings, output_folder)},
    {&(const tool_option){"dump", 0, "NAME|all",
                          "print this value inside the graph too; with -o, write it as value_NAME.npy",
                          "a value's name", take_list},
     offsetof(struct run_settings, dumps)},
    {&(const tool_option){"top", 0, "K",
                          "print the K largest elements of the first output, a line each: class and probability",
                          "a number of at least 1", take_positive},
     offsetof(struct run_settings, top)},
    {&shared_options[SHARED_PROFILE], offsetof(struct run_settings, profile)},
    {NULL, 0},
};

const command command_run = {
    .name = "run",
    .synopsis =
        "MODEL [-i [NAME=]FILE]... [--fill random|zeros|ones] [--seed N] [--shape NAME=1x3x224x224]... [-o DIR] "
        "[--dump NAME|all]... [--top K] [--profile FILE.json]",
    .summary = "run a model once",
    .text = "Runs the model and prints each output's name, type, shape, range and first elements, or writes the "
            "outputs, or prints the best classes. An input that is not given is an error unless --fill is there. An "
            "initializer that is an input of the graph as well keeps its contents unless -i names it. MODEL - is read "
            "from standard input.\n"
            "A picture becomes N x C x H x W (or N x H x W x C where the last dimension is 1 or 3): 0 to 1 for floats, "
            "0 to 255 for uint8, grey where the input has one channel.\n",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .argument = "MODEL",
    .settings_size = sizeof(struct run_settings),
    .defaults = &(const struct run_settings){.inputs = INPUT_DEFAULTS},
    .run = run,
};
