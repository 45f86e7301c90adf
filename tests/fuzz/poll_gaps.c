/*
 * How long work goes on without asking whether it should: the time in which a cancellation would not be noticed.
 *
 *   poll_gaps [--limit MS] MODEL...
 *
 * Each model is loaded, its inputs are filled (floats and integers small, strings of some words), and it is run once,
 * on one thread, for at most 20 s. A line per model tells the longest time between two questions of the load and of the
 * run, and how long the run took. It is the processor's time, so that others on the machine do not count. With --limit
 * the program fails where one is longer.
 */
#include "engine/norma.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LONGEST_RUN 20.0

typedef struct gaps {
  double begun, last, longest;
  long asked;
} gaps;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void gaps_begin(gaps *gaps) {
  memset(gaps, 0, sizeof *gaps);
  gaps->begun = gaps->last = now();
}

static bool gaps_ask(void *context) {
  gaps *gaps = context;
  const double time = now();
  if (time - gaps->last > gaps->longest) gaps->longest = time - gaps->last;
  gaps->last = time;
  gaps->asked++;
  return time - gaps->begun > LONGEST_RUN;
}

static void gaps_end(gaps *gaps) {
  gaps_ask(gaps);
}

/* ----------------------------------------------------------------------------------------------------------- inputs */

static uint64_t next_random(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 33;
}

static norma_status fill_strings(norma_runtime *runtime, const norma_value_info *info, norma_value **value) {
  static const char *const words[] = {"a", "norma", "an inference engine", "xxxx y", "ab c d", "no", ""};
  int64_t count = 1;
  uint64_t state = 1;
  for (int i = 0; i < info->rank; i++) count *= info->dims[i];
  norma_string *strings = malloc((size_t)count * sizeof *strings);
  if (!strings) return NORMA_ERROR_OUT_OF_MEMORY;
  for (int64_t i = 0; i < count; i++) {
    const char *word = words[next_random(&state) % (sizeof words / sizeof *words)];
    strings[i] = (norma_string){word, strlen(word)};
  }
  const norma_status status = norma_value_create_strings(runtime, info->rank, info->dims, strings, value, NULL);
  free(strings);
  return status;
}

static norma_status fill_numbers(norma_runtime *runtime, const norma_value_info *info, norma_value **value) {
  norma_status status = norma_value_allocate_tensor(runtime, info->type, info->rank, info->dims, value, NULL);
  if (status != NORMA_OK) return status;
  norma_tensor tensor = *norma_value_tensor(*value);
  const int64_t count = norma_tensor_count(&tensor);
  uint64_t state = 1;
  double piece[4096];
  const bool is_float = norma_element_type_class(info->type) == NORMA_CLASS_FLOAT;
  for (int64_t i = 0; i < count && status == NORMA_OK; i += 4096) {
    const int64_t some = count - i < 4096 ? count - i : 4096;
    for (int64_t k = 0; k < some; k++) {
      const uint64_t random = next_random(&state);
      piece[k] =
          is_float ? (double)(random % 65536) / 32768 - 1 : (double)(random % (info->type == NORMA_BOOL ? 2 : 10));
    }
    status = norma_tensor_set_doubles(&tensor, i, some, piece);
  }
  return status;
}

/* ----------------------------------------------------------------------------------------------------------- models */

typedef struct measured {
  gaps load, run;
  norma_error error;
} measured;

static norma_status run_session(norma_runtime *runtime, norma_model *model, norma_session *session, measured *found) {
  norma_value *values[32] = {NULL};
  norma_status status = NORMA_OK;
  const size_t count = norma_model_input_count(model);
  norma_value_info info;
  for (size_t i = 0; i < count && i < 32 && status == NORMA_OK; i++) {
    norma_model_input(model, i, &info);
    status =
        info.type == NORMA_STRING ? fill_strings(runtime, &info, &values[i]) : fill_numbers(runtime, &info, &values[i]);
    if (status == NORMA_OK) status = norma_session_set_input_value(session, info.name, values[i], &found->error);
  }
  norma_run_options options = {.struct_size = sizeof options, .is_cancelled = gaps_ask, .cancel_context = &found->run};
  gaps_begin(&found->run);
  if (status == NORMA_OK) status = norma_session_run_with(session, &options, &found->error);
  gaps_end(&found->run);
  for (size_t i = 0; i < 32; i++) norma_value_destroy(values[i]);
  return status;
}

static norma_status measure(norma_runtime *runtime, const char *path, measured *found) {
  norma_load_options options = {
      .struct_size = sizeof options, .runtime = runtime, .is_cancelled = gaps_ask, .cancel_context = &found->load};
  norma_model *model;
  norma_session *session;
  gaps_begin(&found->load);
  norma_status status = norma_model_load(path, &options, &model, &found->error);
  gaps_end(&found->load);
  if (status != NORMA_OK) return status;
  status = norma_session_create(model, NULL, &session, &found->error);
  if (status == NORMA_OK) status = run_session(runtime, model, session, found);
  norma_session_destroy(session);
  norma_model_destroy(model);
  return status;
}

int main(int argc, char **argv) {
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  double limit = 1e9;
  int first = 1, failed = 0;
  for (; first + 1 < argc && strncmp(argv[first], "--", 2) == 0; first += 2) {
    if (strcmp(argv[first], "--limit") == 0) limit = atof(argv[first + 1]);
  }
  norma_runtime *runtime;
  if (first >= argc || norma_runtime_create(&options, &runtime, NULL) != NORMA_OK) {
    fprintf(stderr, "usage: poll_gaps [--limit MS] MODEL...\n");
    return 2;
  }
  printf("%-28s %10s %10s %10s\n", "longest gap in ms", "load", "run", "whole run");
  for (int i = first; i < argc; i++) {
    measured found = {.error = {.status = NORMA_OK}};
    const norma_status status = measure(runtime, argv[i], &found);
    const char *slash = strrchr(argv[i], '/');
    const double load = found.load.longest * 1e3, run = found.run.longest * 1e3;
    const bool is_long = load > limit || run > limit;
    const bool is_wrong = status != NORMA_OK && status != NORMA_ERROR_CANCELLED;
    printf("%-28s %10.2f %10.2f %10.1f %s%s\n", slash ? slash + 1 : argv[i], load, run,
           (found.run.last - found.run.begun) * 1e3, is_long ? "LONG " : "", is_wrong ? found.error.message : "");
    fflush(stdout);
    failed += is_long || is_wrong;
  }
  norma_runtime_destroy(runtime);
  return failed ? 1 : 0;
}
