/* norma bench: the time of loading, of the first run and of later ones, and of each node. */
#include "engine/graph/model.h"
#include "engine/execute/runtime.h"
#include "tools/command.h"
#include "tools/inputs.h"
#include "tools/formats/json.h"
#include "tools/formats/output_file.h"
#include "tools/profile_report.h"
#include "tools/report.h"
#include "tools/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { DEFAULT_WARMUP = 3, LEAST_RUNS = 10, MOST_RUNS = 10000000 };

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

static bool measure_runs(const struct settings *settings, norma_session *session, measurement *measured) {
  int warmup = settings->warmup >= 0 ? settings->warmup : DEFAULT_WARMUP;
  size_t least = settings->runs > 0 ? (size_t)settings->runs : LEAST_RUNS;
  double duration = settings->duration >= 0 ? settings->duration : settings->runs > 0 ? 0 : 1, seconds;
  progress progress;
  ticker *ticker = ticker_start("first run", settings->quiet);
  bool good = timed_run(session, &measured->first_seconds);
  ticker_stop(ticker);
  progress_start(&progress, settings->quiet);
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

static int level_of(const struct settings *settings) {
  return settings->level >= 0 ? settings->level : 2;
}

static void print_json(const struct settings *settings, int threads, const measurement *measured) {
  json_writer json;
  json_start(&json, stdout, false);
  json_object(&json, NULL);
  json_string(&json, "model", settings->arguments[0]);
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

static void print_people(const struct settings *settings, int threads, const measurement *measured) {
  char arena[32], weights[32], peak[32];
  print_text(stdout, settings->arguments[0]);
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

int command_bench(const struct settings *settings) {
  const char *path = settings->arguments[0];
  measurement measured = {0};
  input_set inputs = {.count = 0};
  norma_model *model = NULL;
  norma_session *session = NULL;
  output_group files = {NULL, 0, 0};
  FILE *trace = NULL;
  norma_error error;
  int code = EXIT_REFUSED;
  norma_runtime *runtime = settings_create_runtime(settings);
  if (!runtime) goto done;
  norma_load_options options = settings_load(settings, runtime, -1);
  norma_session_options session_options = {.struct_size = sizeof session_options, .profile = settings->profile != NULL};
  double begin = clock_seconds();
  if (norma_model_load(path, &options, &model, &error) != NORMA_OK ||
      norma_session_create(model, &session_options, &session, &error) != NORMA_OK) {
    code = tool_library_error(path, &error);
    goto done;
  }
  measured.load_seconds = clock_seconds() - begin;
  if (settings->timeout > 0) norma_session_set_timeout(session, settings->timeout);
  if (settings->profile && !(trace = output_open(&files, settings->profile))) goto done;
  if (!inputs_collect(&inputs, settings, model, FILL_RANDOM) || !inputs_bind(&inputs, session)) goto done;
  if (!measure_runs(settings, session, &measured)) goto done;
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  measured.arena_bytes = norma_session_arena_bytes(session);
  measured.weights_bytes = weights_of_model(model).bytes;
  measured.peak_bytes = (size_t)usage.ru_maxrss * 1024;
  measured.nodes.run_seconds = measured.runs[0];
  if (trace) profile_write_trace(trace, session, path);
  if (!output_commit(&files)) goto done;
  if (settings->json) {
    print_json(settings, model->runtime->workers, &measured);
  } else {
    print_people(settings, model->runtime->workers, &measured);
    if (trace) profile_print(stdout, runtime, session, &measured.nodes);
  }
  code = EXIT_YES;

done:
  output_discard(&files);
  free(measured.runs);
  profile_shortest_free(&measured.nodes);
  norma_session_destroy(session);
  inputs_free(&inputs);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  return code;
}
