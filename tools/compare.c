/*
 * norma compare: the same inputs through one model at two levels, or through two models, value by value. The first of
 * the two is the reference: its values are the expected ones, and its order of computation is the order of the report.
 */
#include "tools/command.h"
#include "tools/difference.h"
#include "tools/model_file.h"
#include "tools/report.h"
#include "tools/value_text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct compare_settings {
  struct common_settings common;
  struct input_settings inputs;
  int levels[2];                /* -1: not given */
  double rtol, atol, max_error; /* negative: not given */
  bool verbose;
};

/* One of the two. */
typedef struct side {
  const model_file *file;
  int level;
  norma_model *model;
  norma_session *session;
} side;

typedef struct comparison {
  const struct compare_settings *settings;
  tolerance tolerance;
  model_file files[2]; /* where the sides come from; one model alone stands in the first */
  side sides[2];
  size_t compared, missing, differing;
  int code; /* the tool's exit code */
} comparison;

static bool prepare_side(comparison *comparison, side *side, norma_runtime *runtime) {
  norma_error error;
  const struct compare_settings *settings = comparison->settings;
  norma_load_options options = settings_load(&settings->common, runtime, side->level);
  const norma_session_options session = settings_session(&settings->common);
  if (model_file_load_for(side->file, &options, &settings->inputs, &side->model, &error) != NORMA_OK ||
      norma_session_create(side->model, &session, &side->session, &error) != NORMA_OK ||
      norma_session_watch(side->session, "*", &error) != NORMA_OK) {
    comparison->code = tool_library_error(side->file->path, &error);
    return false;
  }
  if (settings->common.timeout > 0) norma_session_set_timeout(side->session, settings->common.timeout);
  return true;
}

static bool run_side(side *side, const input_set *inputs, bool quiet) {
  norma_error error;
  if (!inputs_bind(inputs, side->session)) return false;
  ticker *ticker = ticker_start("running", quiet);
  norma_status status = norma_session_run(side->session, &error);
  ticker_stop(ticker);
  if (status == NORMA_OK) return true;
  tool_library_error(side->file->path, &error);
  return false;
}

/* Half of the distance between 1 and the next larger number of the type; 0 for types that are exact here. */
static double rounding_of(norma_element_type type) {
  switch (type) {
  case NORMA_FLOAT16:
    return 0x1p-11;
  case NORMA_BFLOAT16:
    return 0x1p-8;
  case NORMA_FLOAT8E4M3FN:
  case NORMA_FLOAT8E4M3FNUZ:
    return 0x1p-4;
  case NORMA_FLOAT8E5M2:
  case NORMA_FLOAT8E5M2FNUZ:
    return 0x1p-3;
  default:
    return 0;
  }
}

/* Unless the caller has chosen one, the tolerance leaves room for the roundings of several layers in the value's
 * type. */
static tolerance tolerance_for(const comparison *comparison, const norma_value *expected) {
  enum { ROUNDINGS = 16 };
  tolerance tolerance = comparison->tolerance;
  const norma_tensor *tensor = norma_value_tensor(expected);
  if (tensor && tolerance.rule == COMPARE_MAX && comparison->settings->max_error < 0) {
    tolerance.max = fmax(tolerance.max, ROUNDINGS * rounding_of(tensor->type));
  }
  return tolerance;
}

/* "max error 1e-7, 2e-8 of the largest magnitude" */
static void print_figures(const difference *difference) {
  printf("max error %.3g", difference->max_error);
  if (difference->magnitude > 0)
    printf(", %.3g of the largest magnitude", difference->max_error / difference->magnitude);
}

static void compare_one(void *context, const char *name, const norma_value *expected) {
  comparison *comparison = context;
  const norma_value *actual = norma_session_value(comparison->sides[1].session, name);
  difference difference;
  char type[256];
  if (!expected || !actual) {
    comparison->missing++;
    return;
  }
  const tolerance tolerance = tolerance_for(comparison, expected);
  compare_values(expected, actual, &tolerance, &difference);
  comparison->compared++;
  bool first = !difference.agrees && comparison->differing++ == 0;
  if (!first && !comparison->settings->verbose) return;
  printf(first ? "first difference: " : difference.agrees ? "  same  " : "  DIFFERS  ");
  print_text(stdout, name);
  printf("  %s: ", value_type_text(expected, type, sizeof type));
  if (difference.agrees) {
    print_figures(&difference);
  } else {
    print_text(stdout, difference.text);
  }
  putchar('\n');
}

/* The output of the other model that stands for output `index` of the first: of the same name, else in the same place.
 */
static size_t matching_output(const comparison *comparison, const char *name, size_t index) {
  size_t count = norma_model_output_count(comparison->sides[1].model);
  for (size_t i = 0; i < count; i++) {
    norma_value_info info;
    norma_model_output(comparison->sides[1].model, i, &info);
    if (strcmp(info.name, name) == 0) return i;
  }
  return index;
}

/* false: an output differs. */
static bool compare_outputs(const comparison *comparison) {
  size_t count = norma_model_output_count(comparison->sides[0].model);
  bool good = true;
  printf("outputs\n");
  for (size_t i = 0; i < count; i++) {
    norma_value_info info;
    difference difference;
    char type[256];
    norma_model_output(comparison->sides[0].model, i, &info);
    const norma_value *expected = norma_session_output(comparison->sides[0].session, i);
    const norma_value *actual =
        norma_session_output(comparison->sides[1].session, matching_output(comparison, info.name, i));
    const tolerance tolerance = tolerance_for(comparison, expected);
    compare_values(expected, actual, &tolerance, &difference);
    printf(difference.agrees ? "  same     " : "  DIFFERS  ");
    print_text(stdout, info.name);
    printf("  %s: ", value_type_text(expected, type, sizeof type));
    print_figures(&difference);
    if (difference.rows > 0) printf(", top-1 %" PRId64 " of %" PRId64, difference.rows_with_same_top, difference.rows);
    if (!difference.agrees) {
      printf("; ");
      print_text(stdout, difference.text);
    }
    putchar('\n');
    good = good && difference.agrees;
  }
  if (norma_model_output_count(comparison->sides[1].model) != count) {
    printf("  DIFFERS  %zu outputs against %zu\n", count, norma_model_output_count(comparison->sides[1].model));
    good = false;
  }
  return good;
}

/* false: standard input cannot be read, which was printed. */
static bool choose_sides(comparison *comparison, norma_runtime *runtime) {
  const struct compare_settings *settings = comparison->settings;
  const char *const *paths = settings->common.arguments;
  const bool two_models = settings->common.argument_count == 2;
  const bool one_source = !two_models || (strcmp(paths[0], "-") == 0 && strcmp(paths[1], "-") == 0);
  const int level = settings->common.level >= 0 ? settings->common.level : 2;
  const int defaults[2] = {two_models ? level : 0, two_models ? level : 2};
  for (int i = 0; i < 2; i++) {
    comparison->sides[i].file = &comparison->files[one_source ? 0 : i];
    comparison->sides[i].level = settings->levels[i] >= 0 ? settings->levels[i] : defaults[i];
  }
  return model_file_open(&comparison->files[0], paths[0], runtime) &&
         (one_source || model_file_open(&comparison->files[1], paths[1], runtime));
}

static void choose_tolerance(comparison *comparison) {
  const struct compare_settings *settings = comparison->settings;
  tolerance *tolerance = &comparison->tolerance;
  *tolerance = tolerance_default();
  tolerance->max = settings->max_error >= 0 ? settings->max_error : 1e-4;
  if (settings->max_error < 0 && (settings->rtol >= 0 || settings->atol >= 0)) {
    tolerance->rtol = settings->rtol >= 0 ? settings->rtol : 0;
    tolerance->atol = settings->atol >= 0 ? settings->atol : 0;
  } else {
    tolerance->rule = COMPARE_MAX;
  }
}

/* Runs both and compares; the answer. */
static int compare_runs(comparison *comparison) {
  side *sides = comparison->sides;
  for (int i = 0; i < 2; i++) {
    printf(i == 0 ? "expected: " : "actual:   ");
    print_text(stdout, sides[i].file->path);
    printf(" at level %d\n", sides[i].level);
  }
  norma_session_visit_values(sides[0].session, compare_one, comparison);
  printf("%zu values are in both, %zu of them differ; %zu are in the first alone\n", comparison->compared,
         comparison->differing, comparison->missing);
  const bool same = compare_outputs(comparison);
  return same && comparison->differing == 0 ? EXIT_YES : EXIT_NO;
}

static int compare(const void *given) {
  const struct compare_settings *settings = given;
  comparison comparison = {.settings = settings, .code = EXIT_REFUSED};
  input_set inputs = {.count = 0};
  side *sides = comparison.sides;
  choose_tolerance(&comparison);
  norma_runtime *runtime = settings_create_runtime(&settings->common);
  if (runtime && choose_sides(&comparison, runtime) && prepare_side(&comparison, &sides[0], runtime) &&
      prepare_side(&comparison, &sides[1], runtime) &&
      inputs_collect(&inputs, &settings->inputs, runtime, sides[0].model, FILL_RANDOM) &&
      run_side(&sides[0], &inputs, settings->common.quiet) && run_side(&sides[1], &inputs, settings->common.quiet)) {
    comparison.code = compare_runs(&comparison);
  }
  for (int i = 0; i < 2; i++) norma_session_destroy(sides[i].session);
  inputs_free(&inputs);
  for (int i = 0; i < 2; i++) norma_model_destroy(sides[i].model);
  for (int i = 0; i < 2; i++) model_file_close(&comparison.files[i]);
  norma_runtime_destroy(runtime);
  return comparison.code;
}

static bool take_levels(void *place, const char *text, option_pool *pool) {
  int *levels = place;
  (void)pool;
  if (strlen(text) != 3 || text[1] != ',') return false;
  for (int i = 0; i < 2; i++) {
    if (text[2 * i] < '0' || text[2 * i] > '2') return false;
    levels[i] = text[2 * i] - '0';
  }
  return true;
}

static const command_option options[] = {
    {&(const tool_option){"levels", 0, "A,B", "the two levels to compare (default: 0,2; with two models -O for both)",
                          "two levels such as 0,2", take_levels},
     offsetof(struct compare_settings, levels)},
    {&shared_options[SHARED_MAX_ERROR], offsetof(struct compare_settings, max_error)},
    {&shared_options[SHARED_RTOL], offsetof(struct compare_settings, rtol)},
    {&shared_options[SHARED_ATOL], offsetof(struct compare_settings, atol)},
    INPUT_OPTIONS(struct compare_settings),
    {&shared_options[SHARED_VERBOSE], offsetof(struct compare_settings, verbose)},
    {NULL, 0},
};

const command command_compare = {
    .name = "compare",
    .synopsis = "MODEL [OTHER] [--levels 0,2] [--max X] [--rtol X --atol X]",
    .summary = "where two levels, or two models, differ",
    .text =
        "Runs the same inputs (random unless given) through MODEL at two levels, or through MODEL and OTHER, and "
        "compares every value that exists in both by its name, in the order of computation. Prints the first tensor "
        "that differs beyond the tolerance, then the error of every output. Exit code 1 if any tensor differs. Unless "
        "a tolerance is given, tensors of 16 and 8 bit floating-point types may differ by 16 roundings of their type. "
        "MODEL - is read from standard input.\n",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 2,
    .argument = "MODEL",
    .settings_size = sizeof(struct compare_settings),
    .defaults =
        &(const struct compare_settings){
            .inputs = INPUT_DEFAULTS, .levels = {-1, -1}, .rtol = -1, .atol = -1, .max_error = -1},
    .run = compare,
};
