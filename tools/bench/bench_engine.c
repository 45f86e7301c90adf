/*
 * bench_engine ENGINE MODEL INPUTS THREADS OUTPUTS [PRECISION]
 *
 * One inference engine in one process, measured from inside: what tools/compare_engines.py starts once for
 * each engine and then asks in turns. ENGINE is "norma", or the path of ONNX Runtime's shared library. INPUTS is a
 * folder with a file input_N.pb for each input of the model, in its order. Inputs and outputs are tensors, no strings.
 * PRECISION is for other engines.
 *
 * Loads, runs once, writes the outputs as output_N.npy to the folder OUTPUTS and prints a line of JSON with the times
 * and the memory that this took. Then each line on standard input is a command, answered by one line of JSON:
 *   run N     one run that is not timed, then N that are
 *   idle MS   sleeps, and says how much CPU time the process took meanwhile
 * Every answer waits until the process is at rest, so that threads of one engine that are still spinning do not disturb
 * the engine that is asked next. Ends at the end of input.
 *
 * Both engines get the same treatment: input and output tensors are made once, runs are calls of the C interface.
 */
#include "engine/norma.h"
#include "tools/bench/process_state.h"
#include "tools/formats/npy.h"
#include "tools/formats/tensor_file.h"
#include "tools/option_values.h"
#include "tools/report.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_VALUES = 128 }; /* inputs, and outputs */

typedef struct engine engine;

/* What the rest of this file wants of an engine. On failure `open` and `run` print why. */
struct engine {
  bool (*open)(engine *engine, const char *model); /* loads; the time of this is the load time */
  bool (*bind)(engine *engine);                    /* the inputs */
  bool (*run)(engine *engine);
  size_t (*output_count)(engine *engine);
  bool (*output)(engine *engine, size_t index, norma_tensor *view); /* of the last run */
  const char *(*version)(const engine *engine);
  void (*close)(engine *engine);
  const char *library;
  int threads;
  norma_runtime *values; /* whose memory the inputs are */
  size_t input_count;
  norma_value *inputs[MOST_VALUES];
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
  bool good = true;
  for (size_t i = 0; good && i < engine->input_count; i++) {
    good = norma_session_set_input_value(own->session, NULL, engine->inputs[i], &error) == NORMA_OK;
  }
  if (!good) tool_library_error(NULL, &error);
  return good;
}

static bool norma_run(engine *engine) {
  norma_error error;
  bool good = norma_session_run(((norma_engine *)engine)->session, &error) == NORMA_OK;
  if (!good) tool_library_error(NULL, &error);
  return good;
}

static size_t norma_output_count(engine *engine) {
  return norma_model_output_count(((norma_engine *)engine)->model);
}

static bool norma_output(engine *engine, size_t index, norma_tensor *view) {
  const norma_tensor *tensor = norma_value_tensor(norma_session_output(((norma_engine *)engine)->session, index));
  if (tensor) *view = *tensor;
  return tensor;
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
  ORT_GET_INPUT_COUNT = 30,
  ORT_GET_OUTPUT_COUNT = 31,
  ORT_GET_INPUT_NAME = 36,
  ORT_GET_OUTPUT_NAME = 37,
  ORT_CREATE_TENSOR_WITH_DATA = 49,
  ORT_GET_TENSOR_DATA = 51,
  ORT_GET_ELEMENT_TYPE = 60,
  ORT_GET_RANK = 61,
  ORT_GET_DIMS = 62,
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

enum { ORT_WARNING = 2, ORT_ALL_OPTIMIZATIONS = 99, ORT_ARENA_ALLOCATOR = 1, ORT_DEFAULT_MEMORY = 0 };

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
typedef ort_failure ort_get_count(void *object, size_t *count);
typedef ort_failure ort_get_number(void *info, int *number);
typedef ort_failure ort_get_dims(void *info, int64_t *dims, size_t rank);
typedef void ort_release(void *object);

typedef struct ort_engine {
  engine engine;
  void *library;
  const ort_base *base;
  const ort_function *api;
  void *env, *options, *session, *allocator, *memory_info;
  size_t input_count, output_count;
  void *inputs[MOST_VALUES], *outputs[MOST_VALUES];
  char *input_names[MOST_VALUES], *output_names[MOST_VALUES];
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

/* ONNX Runtime numbers element types as ONNX does, and as Norma. */
static bool ort_bind_input(ort_engine *own, size_t index) {
  const norma_tensor *x = norma_value_tensor(own->engine.inputs[index]);
  if (!x) {
    tool_error("bench_engine: input %zu is no tensor", index);
    return false;
  }
  return ort_good(own, ORT(own, ort_get_name, ORT_GET_INPUT_NAME)(own->session, index, own->allocator,
                                                                  &own->input_names[index])) &&
         ort_good(own, ORT(own, ort_create_tensor, ORT_CREATE_TENSOR_WITH_DATA)(own->memory_info, x->data,
                                                                                x->size_bytes, x->dims, (size_t)x->rank,
                                                                                (int)x->type, &own->inputs[index]));
}

static bool ort_bind(engine *engine) {
  ort_engine *own = (ort_engine *)engine;
  bool good = ort_good(own, ORT(own, ort_create, ORT_GET_DEFAULT_ALLOCATOR)(&own->allocator)) &&
              ort_good(own, ORT(own, ort_create_memory_info, ORT_CREATE_CPU_MEMORY_INFO)(
                                ORT_ARENA_ALLOCATOR, ORT_DEFAULT_MEMORY, &own->memory_info)) &&
              ort_good(own, ORT(own, ort_get_count, ORT_GET_INPUT_COUNT)(own->session, &own->input_count)) &&
              ort_good(own, ORT(own, ort_get_count, ORT_GET_OUTPUT_COUNT)(own->session, &own->output_count));
  if (good && (own->input_count != engine->input_count || own->output_count > MOST_VALUES)) {
    tool_error("bench_engine: %zu inputs are given, the model has %zu, and %zu outputs", engine->input_count,
               own->input_count, own->output_count);
    return false;
  }
  for (size_t i = 0; good && i < own->input_count; i++) good = ort_bind_input(own, i);
  for (size_t i = 0; good && i < own->output_count; i++) {
    good = ort_good(
        own, ORT(own, ort_get_name, ORT_GET_OUTPUT_NAME)(own->session, i, own->allocator, &own->output_names[i]));
  }
  return good;
}

/* The outputs of the first run are handed in for the following ones, which spares their allocation. */
static bool ort_run(engine *engine) {
  ort_engine *own = (ort_engine *)engine;
  return ort_good(own, ORT(own, ort_run_session, ORT_RUN)(
                           own->session, NULL, (const char *const *)own->input_names, (const void *const *)own->inputs,
                           own->input_count, (const char *const *)own->output_names, own->output_count, own->outputs));
}

static size_t ort_output_count(engine *engine) {
  return ((ort_engine *)engine)->output_count;
}

static bool ort_output(engine *engine, size_t index, norma_tensor *view) {
  ort_engine *own = (ort_engine *)engine;
  void *info = NULL, *data = NULL;
  int type = 0;
  size_t rank = 0;
  int64_t dims[NORMA_MAX_RANK];
  void *output = own->outputs[index];
  bool good = output && ort_good(own, ORT(own, ort_get, ORT_GET_TENSOR_INFO)(output, &info)) &&
              ort_good(own, ORT(own, ort_get_number, ORT_GET_ELEMENT_TYPE)(info, &type)) &&
              ort_good(own, ORT(own, ort_get_count, ORT_GET_RANK)(info, &rank)) && rank <= NORMA_MAX_RANK &&
              ort_good(own, ORT(own, ort_get_dims, ORT_GET_DIMS)(info, dims, rank)) &&
              ort_good(own, ORT(own, ort_get, ORT_GET_TENSOR_DATA)(output, &data));
  if (info) ORT(own, ort_release, ORT_RELEASE_TENSOR_INFO)(info);
  return good && norma_tensor_init(view, (norma_element_type)type, (int)rank, dims, data) == NORMA_OK;
}

static const char *ort_version(const engine *engine) {
  return ((const ort_engine *)engine)->base->get_version();
}

/* Its threads end with the session. The library stays: unloading it is not something that it supports. Names go with
 * the process. */
static void ort_close(engine *engine) {
  ort_engine *own = (ort_engine *)engine;
  for (size_t i = 0; i < MOST_VALUES; i++) {
    if (own->outputs[i]) ORT(own, ort_release, ORT_RELEASE_VALUE)(own->outputs[i]);
    if (own->inputs[i]) ORT(own, ort_release, ORT_RELEASE_VALUE)(own->inputs[i]);
  }
  if (own->memory_info) ORT(own, ort_release, ORT_RELEASE_MEMORY_INFO)(own->memory_info);
  if (own->session) ORT(own, ort_release, ORT_RELEASE_SESSION)(own->session);
  if (own->options) ORT(own, ort_release, ORT_RELEASE_SESSION_OPTIONS)(own->options);
  if (own->env) ORT(own, ort_release, ORT_RELEASE_ENV)(own->env);
}

/* ------------------------------------------------------------------------------------------------------ measurement */

static int by_size(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return left < right ? -1 : left > right;
}

/* The outputs of the first run, kept to see that later ones are the same. */
typedef struct expected_outputs {
  size_t count;
  norma_tensor views[MOST_VALUES]; /* with data of their own */
} expected_outputs;

static bool same_outputs(engine *engine, const expected_outputs *expected) {
  bool same = engine->output_count(engine) == expected->count;
  for (size_t i = 0; same && i < expected->count; i++) {
    norma_tensor view;
    same = engine->output(engine, i, &view) && view.size_bytes == expected->views[i].size_bytes &&
           (view.size_bytes == 0 || memcmp(view.data, expected->views[i].data, view.size_bytes) == 0);
  }
  return same;
}

static bool command_run(engine *engine, const expected_outputs *expected, long count) {
  double *times = malloc((size_t)count * sizeof *times);
  bool good = times && engine->run(engine);
  double cpu = process_cpu_seconds(), total = 0;
  for (long i = 0; i < count && good; i++) {
    double begin = clock_seconds();
    good = engine->run(engine);
    times[i] = clock_seconds() - begin;
    total += times[i];
  }
  cpu = process_cpu_seconds() - cpu;
  if (good) {
    double awake = process_come_to_rest();
    qsort(times, (size_t)count, sizeof *times, by_size);
    printf("{\"median_ms\": %.6f, \"min_ms\": %.6f, \"wall_ms\": %.6f, \"cpu_ms\": %.6f, \"awake_ms\": %.3f, "
           "\"same\": %s}\n",
           times[count / 2] * 1e3, times[0] * 1e3, total * 1e3, cpu * 1e3, awake * 1e3,
           same_outputs(engine, expected) ? "true" : "false");
  }
  free(times);
  return good;
}

static bool command_idle(long ms) {
  double cpu = process_cpu_seconds();
  sleep_milliseconds(ms);
  printf("{\"cpu_ms\": %.3f}\n", (process_cpu_seconds() - cpu) * 1e3);
  return true;
}

static bool serve(engine *engine, const expected_outputs *expected) {
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

static bool read_inputs(engine *engine, const char *folder) {
  const norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  const norma_value_info anything = {.name = ""};
  norma_error error;
  char path[4096];
  if (norma_runtime_create(&options, &engine->values, &error) != NORMA_OK) {
    tool_library_error(NULL, &error);
    return false;
  }
  for (; engine->input_count < MOST_VALUES; engine->input_count++) {
    snprintf(path, sizeof path, "%s/input_%zu.pb", folder, engine->input_count);
    if (access(path, R_OK) != 0) break;
    if (tensor_file_read(engine->values, path, &anything, &engine->inputs[engine->input_count], &error) != NORMA_OK) {
      tool_library_error(path, &error);
      return false;
    }
  }
  return true;
}

static bool keep_output(engine *engine, size_t index, const char *folder, norma_tensor *kept) {
  char path[4096];
  norma_tensor view;
  if (!engine->output(engine, index, &view) || !npy_can_hold(&view)) {
    tool_error("bench_engine: output %zu is no tensor of numbers", index);
    return false;
  }
  *kept = view;
  kept->data = malloc(view.size_bytes ? view.size_bytes : 1);
  if (!kept->data) return false;
  if (view.size_bytes) memcpy(kept->data, view.data, view.size_bytes);
  snprintf(path, sizeof path, "%s/output_%zu.npy", folder, index);
  FILE *file = fopen(path, "wb");
  if (file) npy_encode(file, &view);
  bool good = file && !ferror(file);
  if (file && fclose(file) != 0) good = false;
  if (!good) tool_error("bench_engine: cannot write %s", path);
  return good;
}

static bool keep_outputs(engine *engine, const char *folder, expected_outputs *expected) {
  const size_t count = engine->output_count(engine);
  if (count > MOST_VALUES) {
    tool_error("bench_engine: more than %d outputs", MOST_VALUES);
    return false;
  }
  while (expected->count < count) {
    if (!keep_output(engine, expected->count, folder, &expected->views[expected->count])) return false;
    expected->count++;
  }
  return true;
}

static bool measure(engine *engine, char **argv) {
  expected_outputs expected = {.count = 0};
  double begin = clock_seconds(), begin_cpu = process_cpu_seconds();
  bool good = engine->open(engine, argv[2]);
  double loaded = clock_seconds(), loaded_cpu = process_cpu_seconds();
  long load_peak = process_status_kib("VmHWM"), load_now = process_status_kib("VmRSS");
  good = good && read_inputs(engine, argv[3]) && engine->bind(engine);
  double bound = clock_seconds();
  good = good && engine->run(engine);
  double first = clock_seconds() - bound;
  if (good) {
    printf("{\"version\": \"%s\", \"load_ms\": %.3f, \"load_cpu_ms\": %.3f, \"first_ms\": %.3f, \"load_peak_kib\": "
           "%ld, \"load_kib\": %ld, "
           "\"peak_kib\": %ld, \"kib\": %ld}\n",
           engine->version(engine), (loaded - begin) * 1e3, (loaded_cpu - begin_cpu) * 1e3, first * 1e3, load_peak,
           load_now, process_status_kib("VmHWM"), process_status_kib("VmRSS"));
    fflush(stdout);
    good = keep_outputs(engine, argv[5], &expected) && serve(engine, &expected);
  }
  engine->close(engine);
  for (size_t i = 0; i < expected.count; i++) free(expected.views[i].data);
  for (size_t i = 0; i < engine->input_count; i++) norma_value_destroy(engine->inputs[i]);
  norma_runtime_destroy(engine->values);
  return good;
}

int main(int argc, char **argv) {
  int64_t threads = 0;
  if (argc < 6 || argc > 7 || !parse_integer(argv[4], 1, 256, &threads)) {
    fprintf(stderr, "usage: bench_engine norma|LIBONNXRUNTIME MODEL INPUTS THREADS OUTPUTS [PRECISION]\n");
    return EXIT_REFUSED;
  }
  norma_engine norma = {.engine = {.open = norma_open,
                                   .bind = norma_bind,
                                   .run = norma_run,
                                   .output_count = norma_output_count,
                                   .output = norma_output,
                                   .version = norma_engine_version,
                                   .close = norma_close}};
  ort_engine ort = {.engine = {.open = ort_open,
                               .bind = ort_bind,
                               .run = ort_run,
                               .output_count = ort_output_count,
                               .output = ort_output,
                               .version = ort_version,
                               .close = ort_close}};
  engine *engine = strcmp(argv[1], "norma") == 0 ? &norma.engine : &ort.engine;
  engine->library = argv[1];
  engine->threads = (int)threads;
  return measure(engine, argv) ? EXIT_YES : EXIT_REFUSED;
}
