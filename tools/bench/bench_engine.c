/*
 * bench_engine ENGINE MODEL INPUT SHAPE THREADS OUTPUT
 *
 * One inference engine in one process, measured from inside: what tools/compare_engines.py starts once for
 * each engine and then asks in turns. ENGINE is "norma", or the path of ONNX Runtime's shared library. The model
 * has one float32 input, whose elements are the contents of the file INPUT and whose shape is SHAPE
 * ("1x3x224x224"), and one float32 output.
 *
 * Loads, runs once, writes the output's elements to the file OUTPUT and prints a line of JSON with the times and the
 * memory that this took. Then each line on standard input is a command, answered by one line of JSON:
 *   run N     one run that is not timed, then N that are
 *   idle MS   sleeps, and says how much CPU time the process took meanwhile
 * Every answer waits until the process is at rest, so that threads of one engine that are still spinning do not disturb
 * the engine that is asked next. Ends at the end of input.
 *
 * Both engines get the same treatment: input and output tensors are made once, runs are calls of the C interface.
 */
#include "engine/norma.h"
#include "tools/options.h"
#include "tools/report.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct engine engine;

/* What the rest of this file wants of an engine. On failure `open` and `run` print why. */
struct engine {
  bool (*open)(engine *engine, const char *model); /* loads; the time of this is the load time */
  bool (*bind)(engine *engine);                    /* the input tensor */
  bool (*run)(engine *engine);
  const float *(*output)(engine *engine, size_t *count);
  const char *(*version)(const engine *engine);
  void (*close)(engine *engine);
  const char *library;
  int threads;
  norma_tensor input;
};

/* ------------------------------------------------------------------------------------------------------------ Norma */

typedef struct norma_engine {
  engine engine;
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
} norma_engine;

static bool norma_open(engine *engine, const char *path) {
  norma_engine *own = (norma_engine *)engine;
  norma_error error;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = engine->threads};
  norma_load_options load = {.struct_size = sizeof load};
  bool good = norma_runtime_create(&options, &own->runtime, &error) == NORMA_OK;
  load.runtime = own->runtime;
  good = good && norma_model_load(path, &load, &own->model, &error) == NORMA_OK &&
         norma_session_create(own->model, NULL, &own->session, &error) == NORMA_OK;
  if (!good) tool_library_error(path, &error);
  return good;
}

static bool norma_bind(engine *engine) {
  norma_engine *own = (norma_engine *)engine;
  norma_error error;
  bool good = norma_session_set_input(own->session, NULL, &engine->input, &error) == NORMA_OK;
  if (!good) tool_library_error(NULL, &error);
  return good;
}

static bool norma_run(engine *engine) {
  norma_error error;
  bool good = norma_session_run(((norma_engine *)engine)->session, &error) == NORMA_OK;
  if (!good) tool_library_error(NULL, &error);
  return good;
}

static const float *norma_output(engine *engine, size_t *count) {
  const norma_tensor *tensor = norma_value_tensor(norma_session_output(((norma_engine *)engine)->session, 0));
  if (!tensor || tensor->type != NORMA_FLOAT) return NULL;
  *count = (size_t)norma_tensor_count(tensor);
  return tensor->data;
}

static const char *norma_engine_version(const engine *engine) {
  (void)engine;
  return norma_version();
}

static void norma_close(engine *engine) {
  norma_engine *own = (norma_engine *)engine;
  norma_session_destroy(own->session);
  norma_model_destroy(own->model);
  norma_runtime_destroy(own->runtime);
}

/* ----------------------------------------------------------------------------------------------------- ONNX Runtime */

/* The C interface of ONNX Runtime is a table of functions to which later versions only add at the end. Its header is
 * not in the Python package, so the few entries that are needed are named here by their place in the table. */
enum {
  ORT_GET_ERROR_MESSAGE = 2,
  ORT_CREATE_ENV = 3,
  ORT_CREATE_SESSION = 7,
  ORT_RUN = 9,
  ORT_CREATE_SESSION_OPTIONS = 10,
  ORT_SET_OPTIMIZATION_LEVEL = 23,
  ORT_SET_INTRA_OP_THREADS = 24,
  ORT_GET_INPUT_NAME = 36,
  ORT_GET_OUTPUT_NAME = 37,
  ORT_CREATE_TENSOR_WITH_DATA = 49,
  ORT_GET_TENSOR_DATA = 51,
  ORT_GET_ELEMENT_COUNT = 64,
  ORT_GET_TENSOR_INFO = 65,
  ORT_CREATE_CPU_MEMORY_INFO = 69,
  ORT_GET_DEFAULT_ALLOCATOR = 78,
  ORT_RELEASE_ENV = 92,
  ORT_RELEASE_MEMORY_INFO = 94,
  ORT_RELEASE_SESSION = 95,
  ORT_RELEASE_VALUE = 96,
  ORT_RELEASE_TENSOR_INFO = 99,
  ORT_RELEASE_SESSION_OPTIONS = 100,
};

enum { ORT_WARNING = 2, ORT_ALL_OPTIMIZATIONS = 99, ORT_ARENA_ALLOCATOR = 1, ORT_DEFAULT_MEMORY = 0, ORT_FLOAT = 1 };

typedef void (*ort_function)(void);
typedef void *ort_failure; /* NULL: it went well */

typedef struct ort_base {
  const ort_function *(*get_api)(uint32_t version);
  const char *(*get_version)(void);
} ort_base;

/* The functions' types; objects of ONNX Runtime are plain pointers here. */
typedef const char *ort_get_error_message(void *status);
typedef ort_failure ort_create_env(int level, const char *name, void **env);
typedef ort_failure ort_create(void **object);
typedef ort_failure ort_set_number(void *options, int number);
typedef ort_failure ort_create_session(void *env, const char *path, void *options, void **session);
typedef ort_failure ort_get_name(void *session, size_t index, void *allocator, char **name);
typedef ort_failure ort_create_memory_info(int allocator, int memory, void **info);
typedef ort_failure ort_create_tensor(void *info, void *data, size_t bytes, const int64_t *dims, size_t rank, int type,
                                      void **value);
typedef ort_failure ort_run_session(void *session, const void *options, const char *const *input_names,
                                    const void *const *inputs, size_t input_count, const char *const *output_names,
                                    size_t output_count, void **outputs);
typedef ort_failure ort_get(void *object, void **part);
typedef ort_failure ort_get_count(void *info, size_t *count);
typedef void ort_release(void *object);

typedef struct ort_engine {
  engine engine;
  void *library;
  const ort_base *base;
  const ort_function *api;
  void *env, *options, *session, *allocator, *memory_info, *input, *output;
  char *input_name, *output_name;
} ort_engine;

#define ORT(own, type, place) ((type *)(own)->api[place])

static bool ort_good(ort_engine *own, ort_failure failure) {
  if (failure) tool_error("ONNX Runtime: %s", ORT(own, ort_get_error_message, ORT_GET_ERROR_MESSAGE)(failure));
  return !failure;
}

static bool ort_load_library(ort_engine *own) {
  own->library = dlopen(own->engine.library, RTLD_NOW | RTLD_LOCAL);
  if (!own->library) {
    tool_error("%s", dlerror());
    return false;
  }
  const ort_base *(*get_base)(void);
  *(void **)&get_base = dlsym(own->library, "OrtGetApiBase");
  own->base = get_base ? get_base() : NULL;
  own->api = own->base ? own->base->get_api(1) : NULL;
  if (!own->api) tool_error("%s: not ONNX Runtime's library", own->engine.library);
  return own->api;
}

static bool ort_open(engine *engine, const char *path) {
  ort_engine *own = (ort_engine *)engine;
  return ort_load_library(own) &&
         ort_good(own, ORT(own, ort_create_env, ORT_CREATE_ENV)(ORT_WARNING, "bench", &own->env)) &&
         ort_good(own, ORT(own, ort_create, ORT_CREATE_SESSION_OPTIONS)(&own->options)) &&
         ort_good(own, ORT(own, ort_set_number, ORT_SET_OPTIMIZATION_LEVEL)(own->options, ORT_ALL_OPTIMIZATIONS)) &&
         ort_good(own, ORT(own, ort_set_number, ORT_SET_INTRA_OP_THREADS)(own->options, engine->threads)) &&
         ort_good(own, ORT(own, ort_create_session, ORT_CREATE_SESSION)(own->env, path, own->options, &own->session));
}

static bool ort_bind(engine *engine) {
  ort_engine *own = (ort_engine *)engine;
  const norma_tensor *x = &engine->input;
  return ort_good(own, ORT(own, ort_create, ORT_GET_DEFAULT_ALLOCATOR)(&own->allocator)) &&
         ort_good(own, ORT(own, ort_get_name, ORT_GET_INPUT_NAME)(own->session, 0, own->allocator, &own->input_name)) &&
         ort_good(own,
                  ORT(own, ort_get_name, ORT_GET_OUTPUT_NAME)(own->session, 0, own->allocator, &own->output_name)) &&
         ort_good(own, ORT(own, ort_create_memory_info,
                           ORT_CREATE_CPU_MEMORY_INFO)(ORT_ARENA_ALLOCATOR, ORT_DEFAULT_MEMORY, &own->memory_info)) &&
         ort_good(own, ORT(own, ort_create_tensor, ORT_CREATE_TENSOR_WITH_DATA)(
                           own->memory_info, x->data, x->size_bytes, x->dims, (size_t)x->rank, ORT_FLOAT, &own->input));
}

/* The output of the first run is handed in for the following ones, which spares their allocation. */
static bool ort_run(engine *engine) {
  ort_engine *own = (ort_engine *)engine;
  const char *input_name = own->input_name, *output_name = own->output_name;
  const void *input = own->input;
  return ort_good(own, ORT(own, ort_run_session, ORT_RUN)(own->session, NULL, &input_name, &input, 1, &output_name, 1,
                                                          &own->output));
}

static const float *ort_output(engine *engine, size_t *count) {
  ort_engine *own = (ort_engine *)engine;
  void *info = NULL, *data = NULL;
  bool good = own->output && ort_good(own, ORT(own, ort_get, ORT_GET_TENSOR_INFO)(own->output, &info)) &&
              ort_good(own, ORT(own, ort_get_count, ORT_GET_ELEMENT_COUNT)(info, count)) &&
              ort_good(own, ORT(own, ort_get, ORT_GET_TENSOR_DATA)(own->output, &data));
  if (info) ORT(own, ort_release, ORT_RELEASE_TENSOR_INFO)(info);
  return good ? data : NULL;
}

static const char *ort_version(const engine *engine) {
  return ((const ort_engine *)engine)->base->get_version();
}

/* Its threads end with the session. The library stays: unloading it is not something that it supports. The two names go
 * with the process. */
static void ort_close(engine *engine) {
  ort_engine *own = (ort_engine *)engine;
  if (own->output) ORT(own, ort_release, ORT_RELEASE_VALUE)(own->output);
  if (own->input) ORT(own, ort_release, ORT_RELEASE_VALUE)(own->input);
  if (own->memory_info) ORT(own, ort_release, ORT_RELEASE_MEMORY_INFO)(own->memory_info);
  if (own->session) ORT(own, ort_release, ORT_RELEASE_SESSION)(own->session);
  if (own->options) ORT(own, ort_release, ORT_RELEASE_SESSION_OPTIONS)(own->options);
  if (own->env) ORT(own, ort_release, ORT_RELEASE_ENV)(own->env);
}

/* ------------------------------------------------------------------------------------------------------ measurement */

static double cpu_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void sleep_ms(long ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

/* Whether another thread of this process computes, or waits for a CPU to do so. */
static bool others_run(void) {
  DIR *folder = opendir("/proc/self/task");
  bool runs = false;
  for (struct dirent *entry; folder && !runs && (entry = readdir(folder)) != NULL;) {
    char path[300], text[128] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", entry->d_name);
    FILE *file = atoi(entry->d_name) > 0 && atoi(entry->d_name) != gettid() ? fopen(path, "r") : NULL;
    if (!file) continue;
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    const char *end = strrchr(text, ')'); /* of the thread's name, which the state follows */
    runs = end && end[1] == ' ' && end[2] == 'R';
    fclose(file);
  }
  if (folder) closedir(folder);
  return runs;
}

/* Waits, 2 s at most, until no other thread of this process runs. Returns the CPU time that was taken until then. */
static double come_to_rest(void) {
  double start = cpu_seconds();
  for (int i = 0, quiet = 0; i < 2000 && quiet < 2; i++) {
    quiet = others_run() ? 0 : quiet + 1;
    sleep_ms(1);
  }
  return cpu_seconds() - start;
}

/* A number of KiB from /proc/self/status; 0 if there is none of that name. */
static long status_kib(const char *name) {
  char line[256];
  long kib = 0;
  FILE *file = fopen("/proc/self/status", "r");
  while (file && fgets(line, sizeof line, file)) {
    if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':') kib = atol(line + strlen(name) + 1);
  }
  if (file) fclose(file);
  return kib;
}

static int by_size(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return left < right ? -1 : left > right;
}

/* The first output, kept to see that later ones are the same. */
typedef struct expected_output {
  float *data;
  size_t count;
} expected_output;

static bool same_output(engine *engine, const expected_output *expected) {
  size_t count = 0;
  const float *data = engine->output(engine, &count);
  return data && count == expected->count && memcmp(data, expected->data, count * sizeof *data) == 0;
}

static bool command_run(engine *engine, const expected_output *expected, long count) {
  double *times = malloc((size_t)count * sizeof *times);
  bool good = times && engine->run(engine);
  double cpu = cpu_seconds(), total = 0;
  for (long i = 0; i < count && good; i++) {
    double begin = clock_seconds();
    good = engine->run(engine);
    times[i] = clock_seconds() - begin;
    total += times[i];
  }
  cpu = cpu_seconds() - cpu;
  if (good) {
    double awake = come_to_rest();
    qsort(times, (size_t)count, sizeof *times, by_size);
    printf("{\"median_ms\": %.6f, \"min_ms\": %.6f, \"wall_ms\": %.6f, \"cpu_ms\": %.6f, \"awake_ms\": %.3f, "
           "\"same\": %s}\n",
           times[count / 2] * 1e3, times[0] * 1e3, total * 1e3, cpu * 1e3, awake * 1e3,
           same_output(engine, expected) ? "true" : "false");
  }
  free(times);
  return good;
}

static bool command_idle(long ms) {
  double cpu = cpu_seconds();
  sleep_ms(ms);
  printf("{\"cpu_ms\": %.3f}\n", (cpu_seconds() - cpu) * 1e3);
  return true;
}

static bool serve(engine *engine, const expected_output *expected) {
  char line[64];
  bool good = true;
  while (good && fgets(line, sizeof line, stdin)) {
    long number = atol(line + strcspn(line, " "));
    if (strncmp(line, "run ", 4) == 0 && number > 0) {
      good = command_run(engine, expected, number);
    } else if (strncmp(line, "idle ", 5) == 0 && number > 0) {
      good = command_idle(number);
    } else {
      tool_error("bench_engine: no command: %s", line);
      good = false;
    }
    fflush(stdout);
  }
  return good;
}

/* ------------------------------------------------------------------------------------------------------------ start */

static bool read_input(const char *path, const char *shape, norma_tensor *tensor) {
  int64_t dims[NORMA_MAX_RANK];
  int rank = parse_shape(shape, dims);
  FILE *file = NULL;
  bool good = rank >= 0 && norma_tensor_init(tensor, NORMA_FLOAT, rank, dims, NULL) == NORMA_OK;
  if (good) tensor->data = aligned_alloc(64, (tensor->size_bytes + 63) / 64 * 64);
  if (good && tensor->data) file = fopen(path, "rb");
  good = file && fread(tensor->data, 1, tensor->size_bytes, file) == tensor->size_bytes && fgetc(file) == EOF;
  if (!good) tool_error("bench_engine: %s does not hold an input of shape %s", path, shape);
  if (file) fclose(file);
  return good;
}

static bool keep_output(engine *engine, const char *path, expected_output *expected) {
  const float *data = engine->output(engine, &expected->count);
  expected->data = data ? malloc(expected->count * sizeof *data) : NULL;
  if (!expected->data) {
    tool_error("bench_engine: no float32 output");
    return false;
  }
  memcpy(expected->data, data, expected->count * sizeof *data);
  FILE *file = fopen(path, "wb");
  bool good = file && fwrite(data, sizeof *data, expected->count, file) == expected->count;
  if (file && fclose(file) != 0) good = false;
  if (!good) tool_error("bench_engine: cannot write %s", path);
  return good;
}

static bool measure(engine *engine, char **argv) {
  expected_output expected = {NULL, 0};
  double begin = clock_seconds(), begin_cpu = cpu_seconds();
  bool good = engine->open(engine, argv[2]);
  double loaded = clock_seconds(), loaded_cpu = cpu_seconds();
  long load_peak = status_kib("VmHWM"), load_now = status_kib("VmRSS");
  good = good && read_input(argv[3], argv[4], &engine->input) && engine->bind(engine);
  double bound = clock_seconds();
  good = good && engine->run(engine);
  double first = clock_seconds() - bound;
  if (good) {
    printf("{\"version\": \"%s\", \"load_ms\": %.3f, \"load_cpu_ms\": %.3f, \"first_ms\": %.3f, \"load_peak_kib\": "
           "%ld, \"load_kib\": %ld, "
           "\"peak_kib\": %ld, \"kib\": %ld}\n",
           engine->version(engine), (loaded - begin) * 1e3, (loaded_cpu - begin_cpu) * 1e3, first * 1e3, load_peak,
           load_now, status_kib("VmHWM"), status_kib("VmRSS"));
    fflush(stdout);
    good = keep_output(engine, argv[6], &expected) && serve(engine, &expected);
  }
  engine->close(engine);
  free(expected.data);
  free(engine->input.data);
  return good;
}

int main(int argc, char **argv) {
  int64_t threads = 0;
  if (argc != 7 || !parse_integer(argv[5], 1, 256, &threads)) {
    fprintf(stderr, "usage: bench_engine norma|LIBONNXRUNTIME MODEL INPUT SHAPE THREADS OUTPUT\n");
    return EXIT_REFUSED;
  }
  norma_engine norma = {.engine = {.open = norma_open,
                                   .bind = norma_bind,
                                   .run = norma_run,
                                   .output = norma_output,
                                   .version = norma_engine_version,
                                   .close = norma_close}};
  ort_engine ort = {.engine = {.open = ort_open,
                               .bind = ort_bind,
                               .run = ort_run,
                               .output = ort_output,
                               .version = ort_version,
                               .close = ort_close}};
  engine *engine = strcmp(argv[1], "norma") == 0 ? &norma.engine : &ort.engine;
  engine->library = argv[1];
  engine->threads = (int)threads;
  return measure(engine, argv) ? EXIT_YES : EXIT_REFUSED;
}
