/*
 * norma compare: the same inputs through one model at two levels, or through two models, value by value. The first of
 * the two is the reference: its values are the expected ones, and its order of computation is the order of the report.
 */
#include "tools/command.h"
#include "tools/difference.h"
#include "tools/inputs.h"
#include "tools/report.h"
#include "tools/value_text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* One of the two. */
typedef struct side {
  const char *path;
  int level;
  norma_model *model;
  norma_session *session;
} side;

typedef struct comparison {
  const struct settings *settings;
  tolerance tolerance;
  side sides[2];
  size_t compared, missing, differing;
  int code; /* the tool's exit code */
} comparison;

static bool prepare_side(comparison *comparison, side *side, norma_runtime *runtime) {
  norma_error error;
  norma_load_options options = settings_load(comparison->settings, runtime, side->level);
  if (norma_model_load(side->path, &options, &side->model, &error) != NORMA_OK ||
      norma_session_create(side->model, NULL, &side->session, &error) != NORMA_OK ||
      norma_session_watch(side->session, "*", &error) != NORMA_OK) {
    comparison->code = tool_library_error(side->path, &error);
    return false;
  }
  if (comparison->settings->timeout > 0) norma_session_set_timeout(side->session, comparison->settings->timeout);
  return true;
}

static bool run_side(side *side, const input_set *inputs, bool quiet) {
  norma_error error;
  if (!inputs_bind(inputs, side->session)) return false;
  ticker *ticker = ticker_start("running", quiet);
  norma_status status = norma_session_run(side->session, &error);
  ticker_stop(ticker);
  if (status == NORMA_OK) return true;
  tool_library_error(side->path, &error);
  return false;
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
  compare_values(expected, actual, &comparison->tolerance, &difference);
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
    compare_values(expected, actual, &comparison->tolerance, &difference);
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

static void choose_sides(comparison *comparison) {
  const struct settings *settings = comparison->settings;
  bool two_models = settings->argument_count == 2;
  int level = settings->level >= 0 ? settings->level : 2;
  const int defaults[2] = {two_models ? level : 0, two_models ? level : 2};
  for (int i = 0; i < 2; i++) {
    comparison->sides[i].path = settings->arguments[two_models ? i : 0];
    comparison->sides[i].level = settings->levels[i] >= 0 ? settings->levels[i] : defaults[i];
  }
}

static void choose_tolerance(comparison *comparison) {
  const struct settings *settings = comparison->settings;
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

int command_compare(const struct settings *settings) {
  comparison comparison = {.settings = settings, .code = EXIT_REFUSED};
  input_set inputs = {.count = 0};
  choose_sides(&comparison);
  choose_tolerance(&comparison);
  side *sides = comparison.sides;
  norma_runtime *runtime = settings_create_runtime(settings);
  if (!runtime || !prepare_side(&comparison, &sides[0], runtime) || !prepare_side(&comparison, &sides[1], runtime) ||
      !inputs_collect(&inputs, settings, sides[0].model, FILL_RANDOM) ||
      !run_side(&sides[0], &inputs, settings->quiet) || !run_side(&sides[1], &inputs, settings->quiet)) {
    goto done;
  }
  for (int i = 0; i < 2; i++) {
    printf(i == 0 ? "expected: " : "actual:   ");
    print_text(stdout, sides[i].path);
    printf(" at level %d\n", sides[i].level);
  }
  norma_session_visit_values(sides[0].session, compare_one, &comparison);
  printf("%zu values are in both, %zu of them differ; %zu are in the first alone\n", comparison.compared,
         comparison.differing, comparison.missing);
  bool same = compare_outputs(&comparison);
  comparison.code = same && comparison.differing == 0 ? EXIT_YES : EXIT_NO;

done:
  for (int i = 0; i < 2; i++) norma_session_destroy(sides[i].session);
  inputs_free(&inputs);
  for (int i = 0; i < 2; i++) norma_model_destroy(sides[i].model);
  norma_runtime_destroy(runtime);
  return comparison.code;
}
