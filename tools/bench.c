/* norma bench: the time of loading, of the first run and of later ones, and of each node. */
#include "tools/command.h"
#include "tools/formats/json.h"
#include "tools/formats/output_file.h"
#include "tools/model_file.h"
#include "tools/profile_report.h"
#include "tools/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { DEFAULT_WARMUP = 3, LEAST_RUNS = 10, MOST_RUNS = 10000000 };

struct bench_settings {
  struct common_settings common;
  struct input_settings inputs;
  int warmup, runs; /* -1: not given */
  double duration;  /* negative: not given */
  bool json;
  const char *profile;
};

typedef struct measurement {
  double load_seconds, first_seconds;
  double *runs; /* seconds each, sorted at the end */
  size_t count, capacity;
  size_t arena_bytes, weights_bytes, peak_bytes;
  profile_shortest nodes; /* with --profile */
} measurement;

static bool note_run(measurement *measured, double seconds) {
  if (measured->count == measured->capacity) {
    size_t capacity = measured->capacity ? measured->capacity * 2 : 1024;
    double *runs = realloc(measured->runs, capacity * sizeof *runs);
    if (!runs) return false;
    measured->runs = runs;
    measured->capacity = capacity;
  }
  measured->runs[measured->count++] = seconds;
  return true;
}

static int compare_times(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return left < right ? -1 : left > right;
}

/* The nearest-rank percentile of the sorted times. */
static double percentile(const measurement *measured, double part) {
  size_t rank = (size_t)ceil(part * (double)measured->count);
  return measured->runs[rank > 0 ? rank - 1 : 0];
}

static double median(const measurement *measured) {
  size_t half = measured->count / 2;
  return measured->count % 2 ? measured->runs[half] : (measured->runs[half - 1] + measured->runs[half]) / 2;
}

static bool timed_run(norma_session *session, double *seconds) {
  norma_error error;
  double begin = clock_seconds();
  norma_status status = norma_session_run(session, &error);
  *seconds = clock_seconds() - begin;
  if (status != NORMA_OK) tool_library_error(NULL, &error);
  return status == NORMA_OK;
}

static bool measure_runs(const struct bench_settings *settings, norma_session *session, measurement *measured) {
  int warmup = settings->warmup >= 0 ? settings->warmup : DEFAULT_WARMUP;
  size_t least = settings->runs > 0 ? (size_t)settings->runs : LEAST_RUNS;
  double duration = settings->duration >= 0 ? settings->duration : settings->runs > 0 ? 0 : 1, seconds;
  progress progress;
  ticker *ticker = ticker_start("first run", settings->common.quiet);
  bool good = timed_run(session, &measured->first_seconds);
  ticker_stop(ticker);
  progress_start(&progress, settings->common.quiet);
  for (int i = 0; i < warmup && good; i++) {
    good = timed_run(session, &seconds);
    progress_show(&progress, "warming up, run %d of %d", i + 1, warmup);
  }
  norma_session_profile_reset(session);
  double begin = clock_seconds();
  while (good && measured->count < MOST_RUNS && (measured->count < least || clock_seconds() - begin < duration)) {
    good = timed_run(session, &seconds);
    if (good && !(note_run(measured, seconds) && profile_shortest_note(&measured->nodes, session))) {
      tool_error("out of memory");
      good = false;
    }
    progress_show(&progress, "run %zu", measured->count);
  }
  progress_clear(&progress);
  if (good) qsort(measured->runs, measured->count, sizeof *measured->runs, compare_times);
  return good;
}

static int level_of(const struct bench_settings *settings) {
  return settings->common.level >= 0 ? settings->common.level : 2;
}

static void print_json(const struct bench_settings *settings, int threads, const measurement *measured) {
  json_writer json;
  json_start(&json, stdout, false);
  json_object(&json, NULL);
  json_string(&json, "model", settings->common.arguments[0]);
  json_integer(&json, "threads", threads);
  json_integer(&json, "level", level_of(settings));
  json_unsigned(&json, "runs", measured->count);
  json_number(&json, "load_ms", measured->load_seconds * 1e3);
  json_number(&json, "first_ms", measured->first_seconds * 1e3);
  json_number(&json, "min_ms", measured->runs[0] * 1e3);
  json_number(&json, "median_ms", median(measured) * 1e3);
  json_number(&json, "p90_ms", percentile(measured, 0.90) * 1e3);
  json_number(&json, "p99_ms", percentile(measured, 0.99) * 1e3);
  json_unsigned(&json, "arena_bytes", measured->arena_bytes);
  json_unsigned(&json, "weights_bytes", measured->weights_bytes);
  json_unsigned(&json, "peak_rss_bytes", measured->peak_bytes);
  json_end_object(&json);
}

static void print_people(const struct bench_settings *settings, int threads, const measurement *measured) {
  char arena[32], weights[32], peak[32];
  print_text(stdout, settings->common.arguments[0]);
  printf("  %d thread%s, level %d, %zu runs\n", threads, threads == 1 ? "" : "s", level_of(settings), measured->count);
  printf("  load    %10.3f ms\n", measured->load_seconds * 1e3);
  printf("  first   %10.3f ms\n", measured->first_seconds * 1e3);
  printf("  min     %10.3f ms\n", measured->runs[0] * 1e3);
  printf("  median  %10.3f ms\n", median(measured) * 1e3);
  printf("  p90     %10.3f ms\n", percentile(measured, 0.90) * 1e3);
  printf("  p99     %10.3f ms\n", percentile(measured, 0.99) * 1e3);
  printf("  arena %s, weights %s, process %s at most\n", bytes_text((double)measured->arena_bytes, arena, sizeof arena),
         bytes_text((double)measured->weights_bytes, weights, sizeof weights),
         bytes_text((double)measured->peak_bytes, peak, sizeof peak));
}

/* All that the command holds; zeroed at the start, freed at the one exit. */
typedef struct bench_state {
  const struct bench_settings *settings;
  model_file file;
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  input_set inputs;
  output_group files;
  FILE *trace; /* of --profile; belongs to the group */
  measurement measured;
} bench_state;

/* false: *code is set, everything has been said. */
static bool prepare(bench_state *state, int *code) {
  const struct bench_settings *settings = state->settings;
  const char *path = settings->common.arguments[0];
  norma_error error;
  state->runtime = settings_create_runtime(&settings->common);
  if (!state->runtime || !model_file_open(&state->file, path, state->runtime)) return false;
  norma_load_options options = settings_load(&settings->common, state->runtime, -1);
  norma_session_options session_options = settings_session(&settings->common);
  session_options.profile = settings->profile != NULL;
  double begin = clock_seconds();
  if (model_file_load_for(&state->file, &options, &settings->inputs, &state->model, &error) != NORMA_OK ||
      norma_session_create(state->model, &session_options, &state->session, &error) != NORMA_OK) {
    *code = tool_library_error(path, &error);
    return false;
  }
  state->measured.load_seconds = clock_seconds() - begin;
  if (settings->common.timeout > 0) norma_session_set_timeout(state->session, settings->common.timeout);
  if (settings->profile && !(state->trace = output_open(&state->files, settings->profile))) return false;
  return inputs_collect(&state->inputs, &settings->inputs, state->runtime, state->model, FILL_RANDOM) &&
         inputs_bind(&state->inputs, state->session);
}

/* What is known once the runs are done. */
static void take_sizes(bench_state *state) {
  struct rusage usage;
  norma_model_info about = {.struct_size = sizeof about};
  getrusage(RUSAGE_SELF, &usage);
  norma_model_describe(state->model, &about);
  state->measured.arena_bytes = norma_session_arena_bytes(state->session);
  state->measured.weights_bytes = about.parameter_bytes;
  state->measured.peak_bytes = (size_t)usage.ru_maxrss * 1024;
  state->measured.nodes.run_seconds = state->measured.runs[0];
}

static int print_results(bench_state *state) {
  const struct bench_settings *settings = state->settings;
  const int threads = norma_runtime_threads(state->runtime);
  if (state->trace) profile_write_trace(state->trace, state->session, settings->common.arguments[0]);
  if (!output_commit(&state->files)) return EXIT_REFUSED;
  if (settings->json) {
    print_json(settings, threads, &state->measured);
  } else {
    print_people(settings, threads, &state->measured);
    if (state->trace) profile_print(stdout, state->runtime, state->session, &state->measured.nodes);
  }
  return EXIT_YES;
}

static int bench(const void *given) {
  bench_state state = {.settings = given};
  int code = EXIT_REFUSED;
  if (prepare(&state, &code) && measure_runs(state.settings, state.session, &state.measured)) {
    take_sizes(&state);
    code = print_results(&state);
  }
  output_discard(&state.files);
  free(state.measured.runs);
  profile_shortest_free(&state.measured.nodes);
  norma_session_destroy(state.session);
  inputs_free(&state.inputs);
  norma_model_destroy(state.model);
  model_file_close(&state.file);
  norma_runtime_destroy(state.runtime);
  return code;
}

static const command_option options[] = {
    {&(const tool_option){"warmup", 0, "N", "runs before the clock starts (default: 3)", "a number", take_count},
     offsetof(struct bench_settings, warmup)},
    {&(const tool_option){"runs", 0, "N", "runs that are measured (default: as many as --duration allows, at least 10)",
                          "a number of at least 1", take_positive},
     offsetof(struct bench_settings, runs)},
    {&(const tool_option){"duration", 0, "TIME", "measure for at least this time (default: 1s unless --runs is given)",
                          "a time such as 2s", take_duration},
     offsetof(struct bench_settings, duration)},
    {&shared_options[SHARED_JSON], offsetof(struct bench_settings, json)},
    {&shared_options[SHARED_PROFILE], offsetof(struct bench_settings, profile)},
    INPUT_OPTIONS(struct bench_settings),
    {NULL, 0},
};

const command command_bench = {
    .name = "bench",
    .synopsis = "MODEL [--warmup N] [--runs N] [--duration TIME] [--json] [--profile FILE.json]",
    .summary = "how long a run takes",
    .text =
        "Loads the model, runs it on random inputs (or on given ones), and prints the times of loading, of the first "
        "run and of later ones, and the sizes of arena, weights and process; with --profile those of each node, over "
        "all measured runs. Takes -i, --fill, --seed and --shape of run too. MODEL - is read from standard input.\n",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .argument = "MODEL",
    .settings_size = sizeof(struct bench_settings),
    .defaults = &(const struct bench_settings){.inputs = INPUT_DEFAULTS, .warmup = -1, .runs = -1, .duration = -1},
    .run = bench,
};
