/*
 * Hostile models: mutants of good ones, each loaded, run and looked at in a process of its own.
 *
 *     mutate_models [--seed N] [--from N] [--count N] [--seconds S] [--keep DIR] [--only N] [--verbose] MODEL...
 *
 * Mutant number i of a seed is the same on every machine. Most of the inputs are those of test_data_set_0 beside the
 * model, half of them mutated too; the others are made up. A mutant passes when it ends, with a result or an error,
 * within S seconds (default 10) and 4 GiB, without a crash or a report of a sanitizer, when no error is an internal one
 * or lacks a message, when the memory budget held, and when nothing stays allocated. Those that do not are written to
 * DIR. Ends with a line of counts; exit code 1 where a mutant failed. --only runs one mutant in this process, for a
 * debugger.
 */
#include "tests/fuzz/inspector.h"
#include "tests/fuzz/mutator.h"

#include "engine/base/memory.h"
#include "engine/base/status.h"
#include "proto/onnx.pb-c.h"
#include "proto/value_reader.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUDGET_BYTES   ((size_t)1 << 30)
#define MOST_BYTES     ((int64_t)4 << 30)
#define RUN_SECONDS    3
#define INPUT_ELEMENTS 200000
#define MOST_FILES     24

/* Exit codes of the process of one mutant; others mean that it failed. */
enum { REFUSED = 10, RUN_FAILED = 11, RAN = 12, WRONG = 1 };

typedef struct settings {
  uint64_t seed, from, count;
  int64_t only; /* -1: none */
  double seconds;
  const char *keep;
  bool verbose;
  size_t model_count;
  char **models;
} settings;

static bool read_file(const char *path, message_bytes *into) {
  FILE *file = fopen(path, "rb");
  *into = (message_bytes){NULL, 0};
  if (!file) return false;
  if (fseek(file, 0, SEEK_END) == 0) into->size = (size_t)ftell(file);
  rewind(file);
  into->data = malloc(into->size + 1);
  bool read = into->data && fread(into->data, 1, into->size, file) == into->size;
  fclose(file);
  return read;
}

/* ------------------------------------------------------------------------------------------------------- one mutant */

typedef struct mutant {
  random_source random;
  const char *model_path;
  message_bytes model;
  message_bytes inputs[MOST_FILES]; /* of test_data_set_0; data NULL where there is none */
} mutant;

static void read_inputs(mutant *mutant) {
  const char *slash = strrchr(mutant->model_path, '/');
  for (size_t i = 0; i < MOST_FILES; i++) {
    char path[1200];
    snprintf(path, sizeof path, "%.*stest_data_set_0/input_%zu.pb", slash ? (int)(slash - mutant->model_path) + 1 : 0,
             mutant->model_path, i);
    if (!read_file(path, &mutant->inputs[i])) {
      free(mutant->inputs[i].data);
      mutant->inputs[i] = (message_bytes){NULL, 0};
    }
  }
}

static void free_mutant(mutant *mutant) {
  free(mutant->model.data);
  for (size_t i = 0; i < MOST_FILES; i++) free(mutant->inputs[i].data);
}

static void make_mutant(const settings *settings, uint64_t index, mutant *mutant) {
  mutant->random.state = settings->seed * 0x100000001B3u + index;
  mutant->model_path = settings->models[random_below(&mutant->random, settings->model_count)];
  message_bytes original;
  if (!read_file(mutant->model_path, &original)) {
    fprintf(stderr, "mutate_models: %s cannot be read\n", mutant->model_path);
    exit(2);
  }
  mutant->model = original;
  read_inputs(mutant);
  if (random_one_in(&mutant->random, 8)) return; /* only its inputs are hostile */
  message_bytes changed = {NULL, 0};
  changed.data = mutate_model(&onnx__model_proto__descriptor, original.data, original.size, mutant->inputs, MOST_FILES,
                              &mutant->random, &changed.size);
  if (!changed.data) return;
  free(original.data);
  mutant->model = changed;
}

static void fill_element(random_source *random, norma_element_type type, unsigned char *at, size_t size) {
  static const char *const texts[] = {"", "a", "cat", "1.5", "-7", "\xC3\xA4"};
  int64_t whole = random_one_in(random, 8) ? random_hostile_int(random) : (int64_t)random_below(random, 5);
  double number = random_one_in(random, 8) ? random_hostile_double(random) : (double)random_below(random, 200) / 50 - 2;
  float single = (float)number;
  if (type == NORMA_STRING) {
    const char *text = texts[random_below(random, sizeof texts / sizeof *texts)];
    *(norma_string *)(void *)at = (norma_string){text, strlen(text)};
  } else if (type == NORMA_BOOL) {
    *at = (unsigned char)random_below(random, 2);
  } else if (type == NORMA_FLOAT) {
    memcpy(at, &single, sizeof single);
  } else if (type == NORMA_DOUBLE) {
    memcpy(at, &number, sizeof number);
  } else if (type == NORMA_FLOAT16 || type == NORMA_BFLOAT16) {
    uint16_t half = (uint16_t)random_next(random);
    memcpy(at, &half, sizeof half);
  } else {
    memcpy(at, &whole, size < sizeof whole ? size : sizeof whole);
  }
}

/* A tensor as the input declares it, with unknown sizes chosen and large ones cut. */
static norma_status make_up_input(random_source *random, memory *account, const norma_value_info *info, value *into,
                                  norma_error *error) {
  shape shape = {.rank = info->rank < 0 ? (int)random_below(random, 5) : info->rank};
  int64_t count = 1;
  for (int i = 0; i < shape.rank; i++) {
    int64_t size = info->rank < 0 || info->dims[i] < 0 ? (int64_t)random_below(random, 5) : info->dims[i];
    if (size > 0 && count > INPUT_ELEMENTS / size) size = 1;
    shape.dims[i] = size;
    if (size > 0) count *= size;
  }
  norma_element_type type = info->type == NORMA_UNDEFINED ? NORMA_FLOAT : info->type;
  norma_status status = value_allocate_tensor(account, into, type, &shape, error);
  if (status != NORMA_OK) return status;
  size_t bits = 0;
  int64_t elements = norma_tensor_count(&into->tensor);
  if (elements > 0) bits = into->tensor.size_bytes * 8 / (size_t)elements;
  size_t step = bits < 8 ? 1 : bits / 8;
  for (size_t at = 0; at + step <= into->tensor.size_bytes; at += step) {
    fill_element(random, type, (unsigned char *)into->tensor.data + at, step);
  }
  return NORMA_OK;
}

static bool read_input(mutant *mutant, memory *account, size_t index, norma_value_kind kind, value *into) {
  if (index >= MOST_FILES || !mutant->inputs[index].data) return false;
  message_bytes file = mutant->inputs[index], changed = {NULL, 0};
  norma_error error;
  if (random_one_in(&mutant->random, 2)) {
    const ProtobufCMessageDescriptor *type = kind == NORMA_VALUE_SEQUENCE   ? &onnx__sequence_proto__descriptor
                                             : kind == NORMA_VALUE_OPTIONAL ? &onnx__optional_proto__descriptor
                                             : kind == NORMA_VALUE_MAP      ? &onnx__map_proto__descriptor
                                                                            : &onnx__tensor_proto__descriptor;
    changed.data = mutate_message(type, file.data, file.size, &mutant->random, &changed.size);
    if (changed.data) file = changed;
  }
  bool read = value_read_memory(account, file.data, file.size, kind, into, &error) == NORMA_OK;
  free(changed.data);
  return read;
}

static void check(bool right, const char *what, const norma_error *error) {
  if (right) return;
  fprintf(stderr, "mutate_models: %s (%s: %s)\n", what, norma_status_text(error->status), error->message);
  exit(WRONG);
}

static void check_status(norma_status status, const norma_error *error) {
  if (status == NORMA_OK) return;
  check(error->status == status, "status and error differ", error);
  check(error->message[0] != '\0', "an error without a message", error);
  check(status != NORMA_ERROR_INTERNAL, "an internal error", error);
  check(memchr(error->message, 0, sizeof error->message) != NULL, "a message without an end", error);
}

/* Sets what inputs there are and runs; the last status goes to *status. */
static void run_once(mutant *mutant, const norma_model *model, norma_session *session, memory *account,
                     norma_status *status, norma_error *error) {
  size_t count = norma_model_input_count(model);
  value *inputs = calloc(count + 1, sizeof *inputs);
  norma_error refused;
  norma_session_clear_inputs(session);
  for (size_t i = 0; inputs && i < count; i++) {
    norma_value_info info;
    norma_model_input(model, i, &info);
    bool there = !random_one_in(&mutant->random, 8) && read_input(mutant, account, i, info.kind, &inputs[i]);
    if (!there && info.kind == NORMA_VALUE_TENSOR) {
      there = make_up_input(&mutant->random, account, &info, &inputs[i], &refused) == NORMA_OK;
    }
    if (!there) continue;
    norma_status set = norma_session_set_input_value(session, info.name, &inputs[i], &refused);
    check_status(set, &refused);
    if (set == NORMA_OK || info.kind != NORMA_VALUE_TENSOR) continue;
    value_clear(&inputs[i]);
    if (make_up_input(&mutant->random, account, &info, &inputs[i], &refused) != NORMA_OK) continue;
    check_status(norma_session_set_input_value(session, info.name, &inputs[i], &refused), &refused);
  }
  *status = norma_session_run(session, error);
  norma_session_clear_inputs(session);
  for (size_t i = 0; inputs && i < count; i++) value_clear(&inputs[i]);
  free(inputs);
}

/* Loads and runs twice, with different inputs, checking all that can be checked. Returns an exit code. */
static int run_mutant(mutant *mutant) {
  random_source *random = &mutant->random;
  norma_runtime_options runtime_options = {.struct_size = sizeof runtime_options, .max_memory_bytes = BUDGET_BYTES};
  runtime_options.threads = 1 + (int)random_below(random, 2);
  norma_runtime *runtime;
  norma_model *model = NULL;
  norma_session *session = NULL;
  norma_error error = {0};
  memory account; /* of inputs; outputs may share their elements */
  memory_init(&account, NULL, (size_t)256 << 20);
  if (norma_runtime_create(&runtime_options, &runtime, &error) != NORMA_OK) return WRONG;
  size_t before = norma_runtime_memory_used(runtime);
  norma_load_options load_options = {.struct_size = sizeof load_options, .runtime = runtime};
  load_options.optimization = random_one_in(random, 3) ? NORMA_OPTIMIZE_NONE : NORMA_OPTIMIZE_FULL;
  int code = REFUSED;
  norma_status status = norma_model_load_memory(mutant->model.data, mutant->model.size, &load_options, &model, &error);
  check_status(status, &error);
  if (status == NORMA_OK) status = norma_session_create(model, NULL, &session, &error);
  check_status(status, &error);
  if (status == NORMA_OK) {
    norma_session_set_timeout(session, RUN_SECONDS);
    for (int i = 0; i < 2; i++) {
      run_once(mutant, model, session, &account, &status, &error);
      check_status(status, &error);
      if (code != RAN) code = status == NORMA_OK ? RAN : RUN_FAILED;
    }
  }
  norma_session_destroy(session);
  norma_model_destroy(model);
  check_status(inspect_bytes(runtime, mutant->model.data, mutant->model.size, random_one_in(random, 2), &error),
               &error);
  check(atomic_load(&account.used) == 0, "an input was kept", &error);
  /* Less where threads of the pool had not begun before. */
  check(norma_runtime_memory_used(runtime) <= before, "memory stays allocated", &error);
  check(norma_runtime_memory_peak(runtime) <= BUDGET_BYTES, "the budget did not hold", &error);
  norma_runtime_destroy(runtime);
  return code;
}

/* ------------------------------------------------------------------------------------------------------ all of them */

typedef struct outcome {
  bool ended;
  int status; /* of waitpid */
  double seconds;
  int64_t peak_bytes;
} outcome;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static outcome wait_for(pid_t child, double seconds) {
  outcome outcome = {.ended = true};
  struct rusage usage;
  double start = now();
  while (wait4(child, &outcome.status, outcome.ended ? WNOHANG : 0, &usage) == 0) {
    struct timespec pause = {.tv_nsec = 1000000};
    nanosleep(&pause, NULL);
    if (now() - start < seconds) continue;
    outcome.ended = false;
    kill(child, SIGKILL);
  }
  outcome.seconds = now() - start;
  outcome.peak_bytes = (int64_t)usage.ru_maxrss * 1024;
  return outcome;
}

static void keep_mutant(const settings *settings, uint64_t index) {
  if (!settings->keep) return;
  mutant mutant = {0};
  make_mutant(settings, index, &mutant);
  char path[1200];
  snprintf(path, sizeof path, "%s/%" PRIu64 "-%" PRIu64 ".onnx", settings->keep, settings->seed, index);
  FILE *file = fopen(path, "wb");
  if (file) {
    fwrite(mutant.model.data, 1, mutant.model.size, file);
    fclose(file);
  }
  free_mutant(&mutant);
}

static int run_here(const settings *settings, uint64_t index) {
  mutant mutant = {0};
  make_mutant(settings, index, &mutant);
  int code = run_mutant(&mutant);
  free_mutant(&mutant);
  return code;
}

/* What is wrong with it; NULL when nothing is. */
static const char *judge(const outcome *outcome) {
  if (!outcome->ended) return "hangs";
  if (WIFSIGNALED(outcome->status)) return strsignal(WTERMSIG(outcome->status));
  int code = WEXITSTATUS(outcome->status);
  if (code != REFUSED && code != RUN_FAILED && code != RAN) return "is wrong, or a sanitizer spoke";
  return outcome->peak_bytes > MOST_BYTES ? "takes more than 4 GiB" : NULL;
}

static bool run_all(const settings *settings) {
  uint64_t refused = 0, failed_runs = 0, ran = 0, wrong = 0;
  double slowest = 0;
  for (uint64_t index = settings->from; index < settings->from + settings->count; index++) {
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
      perror("mutate_models: fork");
      exit(2);
    }
    if (child == 0) exit(run_here(settings, index));
    outcome outcome = wait_for(child, settings->seconds);
    const char *fault = judge(&outcome);
    if (outcome.seconds > slowest) slowest = outcome.seconds;
    if (fault || settings->verbose) {
      mutant mutant = {.random.state = settings->seed * 0x100000001B3u + index};
      printf("mutant %" PRIu64 " of %s: %s, %.2f s, %" PRId64 " MiB\n", index,
             settings->models[random_below(&mutant.random, settings->model_count)], fault ? fault : "passes",
             outcome.seconds, outcome.peak_bytes >> 20);
    }
    if (fault) {
      keep_mutant(settings, index);
      wrong++;
    } else {
      int code = WEXITSTATUS(outcome.status);
      *(code == REFUSED ? &refused : code == RAN ? &ran : &failed_runs) += 1;
    }
  }
  printf("%" PRIu64 " mutants: %" PRIu64 " refused at load, %" PRIu64 " refused by a run, %" PRIu64 " ran, %" PRIu64
         " wrong; the slowest took %.2f s\n",
         settings->count, refused, failed_runs, ran, wrong, slowest);
  return wrong == 0;
}

static bool parse(int count, char **arguments, settings *settings) {
  *settings = (struct settings){.seed = 1, .count = 100, .only = -1, .seconds = 10};
  int i = 1;
  for (; i < count && strncmp(arguments[i], "--", 2) == 0; i++) {
    const char *name = arguments[i];
    if (strcmp(name, "--verbose") == 0) {
      settings->verbose = true;
      continue;
    }
    if (++i >= count) return false;
    if (strcmp(name, "--seed") == 0)
      settings->seed = strtoull(arguments[i], NULL, 10);
    else if (strcmp(name, "--from") == 0)
      settings->from = strtoull(arguments[i], NULL, 10);
    else if (strcmp(name, "--count") == 0)
      settings->count = strtoull(arguments[i], NULL, 10);
    else if (strcmp(name, "--only") == 0)
      settings->only = strtoll(arguments[i], NULL, 10);
    else if (strcmp(name, "--seconds") == 0)
      settings->seconds = strtod(arguments[i], NULL);
    else if (strcmp(name, "--keep") == 0)
      settings->keep = arguments[i];
    else
      return false;
  }
  settings->models = arguments + i;
  settings->model_count = (size_t)(count - i);
  return i < count;
}

int main(int count, char **arguments) {
  settings settings;
  if (!parse(count, arguments, &settings)) {
    fputs("usage: mutate_models [--seed N] [--from N] [--count N] [--seconds S] [--keep DIR] [--only N] [--verbose] "
          "MODEL...\n",
          stderr);
    return 2;
  }
  if (settings.only >= 0) {
    int code = run_here(&settings, (uint64_t)settings.only);
    puts(code == REFUSED ? "refused at load" : code == RUN_FAILED ? "refused by a run" : code == RAN ? "ran" : "wrong");
    return code >= REFUSED ? 0 : code;
  }
  return run_all(&settings) ? 0 : 1;
}
