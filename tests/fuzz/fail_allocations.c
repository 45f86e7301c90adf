/*
 * Fails every allocation of the lives of models: once that one alone, once all from there on.
 *
 *     fail_allocations [--each N] [--most N] [--jobs N] [--threads N] [--seconds S] [--table FILE] [--all] FOLDER...
 *     fail_allocations --only "KIND" K [once|from] FOLDER
 *
 * FOLDERs are tests in the layout of ONNX's backend tests, or hold such, at any depth. Of those that run as many are
 * taken, the smallest first, as give N (default 1) to every operator of the build; with --all, all there are. Each is
 * loaded, run, looked at, edited, written and, where it normalises, measured (see failing_life.h). Passes when nothing
 * crashes, hangs or is lost; when each life that runs out of memory says so, and goes on well once the step is done
 * again; and when each life that comes to its end all the same has the results of one in which nothing failed.
 * --most N: where a life has more allocations, N of them, taken evenly; so few that a model is done within S seconds
 * (default 600), where lives are long. --table writes a line for each operator. --only is for a debugger. Ends with a
 * line of counts; exit code 1 where something is wrong.
 */
#include "tests/fuzz/failing_life.h"
#include "tests/fuzz/operator_set.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_FOLDERS = 20000, MOST_JOBS = 16, MOST_FAULTS = 10 };

typedef struct candidate {
  char *folder;
  long size; /* of the model file */
  bool is_chosen;
  operator_set operators; /* as the file has it, and as it runs */
} candidate;

typedef struct counts {
  long lives, ran_out, went_on, wrong;
  bool plain_runs, full_runs, is_reproducible, is_sampled;
} counts;

typedef struct settings {
  long each, most;
  int jobs, threads;
  unsigned seconds;
  const char *table;
  bool all;
} settings;

/* What a process at work on a folder tells its parent; shared memory. */
typedef struct desk {
  counts counts;
  life_plan plan; /* in progress */
  pid_t child;
  size_t index; /* of the candidate */
} desk;

static candidate *candidates;
static size_t candidate_count;

/* ------------------------------------------------------------------------------------------------------- one folder */

static void tell(desk *desk, const vector_folder *vector, const life_result *result, const char *what) {
  const life_plan *plan = &desk->plan;
  if (desk->counts.wrong++ >= MOST_FAULTS) return;
  printf("WRONG %s: %s, allocation %ld %s: %s%s%s (step %s, %s)\n", vector->model_path, life_kind_name(plan->kind),
         plan->fail_at, plan->fail_from ? "and all from there on" : "once", what, result->fault[0] ? ": " : "",
         result->fault, result->step[0] ? result->step : "none", norma_status_text(result->status));
}

/* Whether the life is what it should be, compared with the one in which nothing failed. */
static void judge(desk *desk, const vector_folder *vector, const life_result *reference, const life_result *result) {
  const bool must_end_alike = desk->plan.tries_again || !result->ran_out;
  if (result->fault[0]) {
    tell(desk, vector, result, "a fault");
  } else if (must_end_alike && result->status != reference->status) {
    tell(desk, vector, result, "ends otherwise");
  } else if (!must_end_alike && result->status != NORMA_ERROR_OUT_OF_MEMORY) {
    tell(desk, vector, result, "is no lack of memory");
  } else if (must_end_alike && desk->counts.is_reproducible && result->digest != reference->digest) {
    tell(desk, vector, result, "has other results");
  }
  desk->counts.lives++;
  if (result->ran_out)
    desk->counts.ran_out++;
  else
    desk->counts.went_on++;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fail_each(desk *desk, const settings *settings, const vector_folder *vector, life_kind kind) {
  life_plan plan = {.kind = kind, .threads = settings->threads};
  life_result reference, again, result;
  desk->plan = plan;
  const double begun = now();
  live(vector, &plan, &reference);
  const double seconds = now() - begun;
  live(vector, &plan, &again);
  desk->counts.is_reproducible = reference.digest == again.digest;
  if (reference.status == NORMA_OK && kind == LIFE_RUN_PLAIN) desk->counts.plain_runs = true;
  if (reference.status == NORMA_OK && kind == LIFE_RUN_FULL) desk->counts.full_runs = true;
  if (reference.fault[0] || again.status != reference.status) tell(desk, vector, &reference, "without a failure");
  long most = settings->most > 0 ? settings->most : LONG_MAX;
  if (seconds * (double)most > settings->seconds / 16.0) most = 1 + (long)(settings->seconds / 16.0 / seconds);
  const long step = 1 + (reference.allocations - 1) / most;
  if (step > 1) desk->counts.is_sampled = true;
  for (int from = 0; from <= 1; from++) {
    plan.fail_from = from;
    for (plan.fail_at = 1;; plan.fail_at += step) {
      plan.tries_again = !from || plan.fail_at % 2 == 0;
      desk->plan = plan;
      live(vector, &plan, &result);
      if (!result.failed) break; /* past the last */
      judge(desk, vector, &reference, &result);
    }
  }
}

static void work_on(desk *desk, const settings *settings, const candidate *candidate) {
  vector_folder vector;
  if (!vector_open(&vector, candidate->folder)) return;
  for (int kind = 0; kind < LIFE_KINDS; kind++) {
    if (kind == LIFE_NORMALIZE && !operator_set_has(&candidate->operators, "ai.onnx", "BatchNormalization")) continue;
    fail_each(desk, settings, &vector, kind);
  }
  vector_close(&vector);
}

/* --------------------------------------------------------------------------------------------------------- choosing */

static bool looks_like_vector(const char *folder, long *size) {
  char path[1200];
  struct stat facts;
  snprintf(path, sizeof path, "%s/model.onnx", folder);
  if (stat(path, &facts) != 0) return false;
  *size = (long)facts.st_size;
  return true;
}

static void find_folders(const char *folder, int depth) {
  long size;
  if (candidate_count == MOST_FOLDERS || depth > 8) return;
  if (looks_like_vector(folder, &size)) {
    candidates[candidate_count++] = (candidate){.folder = strdup(folder), .size = size};
    return;
  }
  DIR *directory = opendir(folder);
  if (!directory) return;
  for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
    char path[1200];
    struct stat facts;
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (stat(path, &facts) == 0 && S_ISDIR(facts.st_mode)) find_folders(path, depth + 1);
  }
  closedir(directory);
}

static int compare_candidates(const void *a, const void *b) {
  const candidate *left = a, *right = b;
  if (left->size != right->size) return left->size < right->size ? -1 : 1;
  return strcmp(left->folder, right->folder);
}

static void add_operators(candidate *candidate, norma_graph_form form) {
  char path[1200];
  norma_model *model;
  norma_load_options options = {.struct_size = sizeof options, .form = form};
  snprintf(path, sizeof path, "%s/model.onnx", candidate->folder);
  if (norma_model_load(path, &options, &model, NULL) != NORMA_OK) return;
  operator_set_add_model(&candidate->operators, model);
  norma_model_destroy(model);
}

static bool runs(const candidate *candidate, const settings *settings) {
  vector_folder vector;
  life_result result = {.status = NORMA_ERROR_FILE};
  const life_plan plan = {.kind = LIFE_RUN_FULL, .threads = settings->threads};
  if (!vector_open(&vector, candidate->folder)) return false;
  live(&vector, &plan, &result);
  vector_close(&vector);
  return result.status == NORMA_OK;
}

/* From the smallest model to the largest: those that run and hold an operator of which there are too few. */
static void choose(const settings *settings) {
  static long covered[OPERATOR_SET_ROOM];
  qsort(candidates, candidate_count, sizeof *candidates, compare_candidates);
  for (size_t i = 0; i < candidate_count; i++) {
    candidate *candidate = &candidates[i];
    candidate->is_chosen = settings->all;
    if (candidate->size > 1 << 20 && !settings->all) continue;
    add_operators(candidate, NORMA_FORM_INSPECT);
    add_operators(candidate, NORMA_FORM_RUN);
    for (size_t o = 0; o < norma_operator_count(); o++) {
      if (candidate->operators.has[o] && covered[o] < settings->each) candidate->is_chosen = true;
    }
    if (!settings->all && candidate->is_chosen) candidate->is_chosen = runs(candidate, settings);
    for (size_t o = 0; candidate->is_chosen && o < norma_operator_count(); o++) {
      covered[o] += candidate->operators.has[o];
    }
  }
}

/* ------------------------------------------------------------------------------------------------------ all of them */

static void begin_work(desk *desk, const settings *settings, size_t index, const counts *none) {
  desk->counts = *none;
  desk->index = index;
  fflush(NULL);
  const pid_t child = fork();
  if (child != 0) {
    desk->child = child;
    return;
  }
  alarm(settings->seconds);
  work_on(desk, settings, &candidates[index]);
  exit(0);
}

/* A child has ended: what it has counted goes to `results`. */
static void end_work(desk *desk, int status, counts *results) {
  if (status != 0) {
    char what[64];
    if (WIFSIGNALED(status))
      snprintf(what, sizeof what, "%s", WTERMSIG(status) == SIGALRM ? "hangs" : strsignal(WTERMSIG(status)));
    else
      snprintf(what, sizeof what, "exit code %d", WEXITSTATUS(status));
    printf("WRONG %s: %s, allocation %ld %s: %s\n", candidates[desk->index].folder, life_kind_name(desk->plan.kind),
           desk->plan.fail_at, desk->plan.fail_from ? "and all from there on" : "once", what);
    desk->counts.wrong++;
  }
  results[desk->index] = desk->counts;
  desk->child = 0;
}

static void wait_for_one(desk *desks, int jobs, counts *results) {
  int status;
  const pid_t child = wait(&status);
  for (int j = 0; j < jobs; j++) {
    if (child > 0 && desks[j].child == child) end_work(&desks[j], status, results);
  }
}

static bool run_all(const settings *settings, counts *results) {
  const counts none = {.is_reproducible = true};
  desk *desks = mmap(NULL, sizeof(desk) * MOST_JOBS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (desks == MAP_FAILED) return false;
  for (size_t i = 0; i < candidate_count; i++) {
    int free_desk = -1;
    if (!candidates[i].is_chosen) continue;
    while (free_desk < 0) {
      for (int j = 0; j < settings->jobs && free_desk < 0; j++) {
        if (desks[j].child == 0) free_desk = j;
      }
      if (free_desk < 0) wait_for_one(desks, settings->jobs, results);
    }
    begin_work(&desks[free_desk], settings, i, &none);
    if (desks[free_desk].child < 0) return false;
  }
  for (int j = 0; j < settings->jobs; j++) {
    while (desks[j].child != 0) wait_for_one(desks, settings->jobs, results);
  }
  munmap(desks, sizeof(desk) * MOST_JOBS);
  return true;
}

static void write_table_line(FILE *file, size_t operator, const counts * results) {
  counts sum = {.is_reproducible = true};
  long models = 0, runs = 0;
  for (size_t i = 0; i < candidate_count; i++) {
    if (!candidates[i].is_chosen || !candidates[i].operators.has[operator]) continue;
    models++;
    runs += results[i].plain_runs && results[i].full_runs;
    sum.lives += results[i].lives;
    sum.ran_out += results[i].ran_out;
    sum.went_on += results[i].went_on;
    sum.wrong += results[i].wrong;
    sum.is_sampled |= results[i].is_sampled;
    sum.is_reproducible &= results[i].is_reproducible;
  }
  fprintf(file, "%-44s %6ld %5ld %8ld %8ld %8ld %6ld%s%s\n", operator_set_name(operator), models, runs, sum.lives,
          sum.ran_out, sum.went_on, sum.wrong, sum.is_sampled ? "  sampled" : "",
          sum.is_reproducible ? "" : "  random results");
}

/* How many operators no chosen model has. */
static size_t write_table(const char *path, const counts *results) {
  FILE *file = path ? fopen(path, "w") : NULL;
  size_t missing = 0;
  if (file) {
    fprintf(file, "%-44s %6s %5s %8s %8s %8s %6s\n", "operator", "models", "run", "lives", "ran out", "went on",
            "wrong");
  }
  for (size_t o = 0; o < norma_operator_count(); o++) {
    bool is_there = false;
    for (size_t i = 0; i < candidate_count && !is_there; i++) {
      is_there = candidates[i].is_chosen && candidates[i].operators.has[o];
    }
    missing += !is_there;
    if (file) write_table_line(file, o, results);
    if (!is_there && file) printf("no model has %s\n", operator_set_name(o));
  }
  if (file) fclose(file);
  return missing;
}

static bool report(const settings *settings, const counts *results) {
  counts sum = {.lives = 0};
  long models = 0, still = 0;
  for (size_t i = 0; i < candidate_count; i++) {
    if (!candidates[i].is_chosen) continue;
    models++;
    if (!results[i].plain_runs || !results[i].full_runs) still++;
    sum.lives += results[i].lives;
    sum.ran_out += results[i].ran_out;
    sum.went_on += results[i].went_on;
    sum.wrong += results[i].wrong;
  }
  const size_t missing = write_table(settings->table, results);
  printf("%ld models (%ld of them do not run), %zu of %zu operators: %ld lives, %ld ran out of memory and said so, "
         "%ld went on to the same results, %ld wrong\n",
         models, still, norma_operator_count() - missing, norma_operator_count(), sum.lives, sum.ran_out, sum.went_on,
         sum.wrong);
  return sum.wrong == 0 && models > 0;
}

/* --only KIND K WHEN FOLDER */
static int live_once(char **arguments) {
  vector_folder vector;
  life_result result;
  life_plan plan = {.kind = LIFE_KINDS, .threads = 1, .fail_at = atol(arguments[1])};
  for (int kind = 0; kind < LIFE_KINDS; kind++) {
    if (strcmp(life_kind_name(kind), arguments[0]) == 0) plan.kind = kind;
  }
  plan.fail_from = strcmp(arguments[2], "from") == 0;
  plan.tries_again = !plan.fail_from || plan.fail_at % 2 == 0;
  if (plan.kind == LIFE_KINDS || !vector_open(&vector, arguments[3])) return 2;
  live(&vector, &plan, &result);
  vector_close(&vector);
  printf("%s, %s, digest %016llx, %ld allocations, %s, %s\n", norma_status_text(result.status),
         result.ran_out ? "ran out" : "did not run out", (unsigned long long)result.digest, result.allocations,
         result.step[0] ? result.step : "no failed step", result.fault[0] ? result.fault : "no fault");
  return result.fault[0] != '\0';
}

static bool parse(int count, char **arguments, settings *settings, int *first) {
  *settings = (struct settings){.each = 1, .jobs = 2, .threads = 1, .seconds = 600};
  int i = 1;
  for (; i < count && strncmp(arguments[i], "--", 2) == 0; i++) {
    const char *name = arguments[i];
    if (strcmp(name, "--all") == 0) {
      settings->all = true;
      continue;
    }
    if (++i >= count) return false;
    if (strcmp(name, "--each") == 0)
      settings->each = atol(arguments[i]);
    else if (strcmp(name, "--most") == 0)
      settings->most = atol(arguments[i]);
    else if (strcmp(name, "--jobs") == 0)
      settings->jobs = atoi(arguments[i]);
    else if (strcmp(name, "--threads") == 0)
      settings->threads = atoi(arguments[i]);
    else if (strcmp(name, "--seconds") == 0)
      settings->seconds = (unsigned)atoi(arguments[i]);
    else if (strcmp(name, "--table") == 0)
      settings->table = arguments[i];
    else
      return false;
  }
  *first = i;
  return i < count && settings->jobs >= 1 && settings->jobs <= MOST_JOBS;
}

int main(int count, char **arguments) {
  settings settings;
  int first;
  if (count == 6 && strcmp(arguments[1], "--only") == 0) return live_once(arguments + 2);
  if (!parse(count, arguments, &settings, &first)) {
    fputs("usage: fail_allocations [--each N] [--most N] [--jobs N] [--threads N] [--seconds S] [--table FILE] [--all] "
          "FOLDER...\n       fail_allocations --only KIND K once|from FOLDER\n",
          stderr);
    return 2;
  }
  candidates = calloc(MOST_FOLDERS, sizeof *candidates);
  if (!candidates) return 2;
  for (int i = first; i < count; i++) find_folders(arguments[i], 0);
  choose(&settings);
  counts *results = calloc(candidate_count + 1, sizeof *results);
  const bool good = results && run_all(&settings, results) && report(&settings, results);
  free(results);
  for (size_t i = 0; i < candidate_count; i++) free(candidates[i].folder);
  free(candidates);
  return good ? 0 : 1;
}
