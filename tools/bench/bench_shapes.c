/*
 * bench_shapes MODEL THREADS SHAPES RUNS INPUT=DIMS...
 *
 * What it costs that shapes of inputs change from run to run, and whether memory stays flat meanwhile. INPUT is a glob
 * for names of inputs; DIMS are sizes with x between, where FIRST:LAST runs evenly from the first of SHAPES shapes to
 * the last ("1x12x128:227x64"). Inputs without DIMS keep the shape of the model. Floats are random, integers are ones.
 *
 * Two parts, and a line of JSON for each:
 *   cost   one session goes through all shapes once. For each: the time to plan, the time of the run after it, and the
 *          median of five more runs of the same shape. On one thread the time is the thread's own CPU time.
 *   soak   RUNS runs go through the shapes in scattered order; memory and descriptors after a tenth of them and at the
 *          end. Then every tenth shape is run in this session and in a new one, which must give the same bits.
 */
#include "engine/norma.h"
#include "tools/bench/process_state.h"
#include "tools/inputs.h"
#include "tools/option_values.h"
#include "tools/report.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_INPUTS = 256, FIXED_RUNS = 5, SCATTER = 7919 };

typedef struct size_range {
  int64_t first, last;
} size_range;

/* One input of the model: sizes, and data that are enough for the largest shape. */
typedef struct changing_input {
  const char *name;
  norma_element_type type;
  int rank;
  size_range sizes[NORMA_MAX_RANK];
  norma_value *data;
} changing_input;

typedef struct shape_study {
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  int64_t threads, shapes, runs;
  size_t input_count;
  changing_input inputs[MOST_INPUTS];
} shape_study;

static int64_t size_at(const shape_study *study, size_range range, int64_t index) {
  return study->shapes == 1 ? range.first : range.first + (range.last - range.first) * index / (study->shapes - 1);
}

/* -------------------------------------------------------------------------------------------------------- arguments */

static bool parse_sizes(const char *text, changing_input *input) {
  char part[64];
  input->rank = 0;
  for (; *text && input->rank < NORMA_MAX_RANK; input->rank++) {
    const size_t length = strcspn(text, "x");
    size_range *range = &input->sizes[input->rank];
    if (length >= sizeof part) return false;
    memcpy(part, text, length);
    part[length] = '\0';
    char *colon = strchr(part, ':');
    if (colon) *colon = '\0';
    if (!parse_integer(part, 0, INT32_MAX, &range->first)) return false;
    range->last = range->first;
    if (colon && !parse_integer(colon + 1, 0, INT32_MAX, &range->last)) return false;
    text += length + (text[length] == 'x');
  }
  return *text == '\0';
}

static bool take_declared_shape(const norma_value_info *info, changing_input *input) {
  input->rank = info->rank;
  for (int i = 0; i < info->rank; i++) {
    if (info->dims[i] < 0) return false;
    input->sizes[i] = (size_range){info->dims[i], info->dims[i]};
  }
  return info->rank >= 0;
}

static bool find_sizes(int count, char **arguments, const norma_value_info *info, changing_input *input) {
  for (int i = 0; i < count; i++) {
    char *equals = strrchr(arguments[i], '=');
    if (!equals) return false;
    *equals = '\0';
    const bool fits = fnmatch(arguments[i], info->name, 0) == 0;
    *equals = '=';
    if (fits) return parse_sizes(equals + 1, input);
  }
  return take_declared_shape(info, input);
}

static bool make_input(shape_study *study, int count, char **arguments, size_t index) {
  changing_input *input = &study->inputs[index];
  norma_value_info info = {0};
  norma_error error;
  int64_t dims[NORMA_MAX_RANK];
  if (norma_model_input(study->model, index, &info) != NORMA_OK || !find_sizes(count, arguments, &info, input)) {
    tool_error("bench_shapes: which sizes has input '%s'?", info.name);
    return false;
  }
  input->name = info.name;
  input->type = info.type;
  for (int i = 0; i < input->rank; i++) {
    const size_range *range = &input->sizes[i];
    dims[i] = range->first > range->last ? range->first : range->last;
  }
  const fill_kind fill = info.type == NORMA_FLOAT || info.type == NORMA_FLOAT16 ? FILL_RANDOM : FILL_ONES;
  if (fill_value(study->runtime, input->type, input->rank, dims, fill, index, &input->data, &error) == NORMA_OK) {
    return true;
  }
  tool_library_error(input->name, &error);
  return false;
}

/* ---------------------------------------------------------------------------------------------------------- running */

static bool bind_shape(const shape_study *study, norma_session *session, int64_t index) {
  norma_error error;
  for (size_t i = 0; i < study->input_count; i++) {
    const changing_input *input = &study->inputs[i];
    int64_t dims[NORMA_MAX_RANK];
    norma_tensor tensor;
    for (int axis = 0; axis < input->rank; axis++) dims[axis] = size_at(study, input->sizes[axis], index);
    if (norma_tensor_init(&tensor, input->type, input->rank, dims, norma_value_tensor(input->data)->data) != NORMA_OK ||
        norma_session_set_input(session, input->name, &tensor, &error) != NORMA_OK) {
      tool_library_error(input->name, &error);
      return false;
    }
  }
  return true;
}

static double study_clock(const shape_study *study) {
  return study->threads == 1 ? thread_cpu_seconds() : clock_seconds();
}

static bool timed(const shape_study *study, norma_status (*call)(norma_session *, norma_error *), double *seconds) {
  norma_error error;
  const double begin = study_clock(study);
  const bool good = call(study->session, &error) == NORMA_OK;
  *seconds = study_clock(study) - begin;
  if (!good) tool_library_error(NULL, &error);
  return good;
}

static int compare_numbers(const void *a, const void *b) {
  const double left = *(const double *)a, right = *(const double *)b;
  return left < right ? -1 : left > right;
}

static double median_of(double *numbers, int64_t count) {
  qsort(numbers, (size_t)count, sizeof *numbers, compare_numbers);
  return numbers[count / 2];
}

/* ------------------------------------------------------------------------------------------------------------- cost */

static bool measure_shape(const shape_study *study, int64_t index, double *plan, double *first, double *fixed) {
  double again[FIXED_RUNS];
  if (!bind_shape(study, study->session, index) || !timed(study, norma_session_prepare, plan) ||
      !timed(study, norma_session_run, first)) {
    return false;
  }
  for (int i = 0; i < FIXED_RUNS; i++) {
    if (!timed(study, norma_session_run, &again[i])) return false;
  }
  *fixed = median_of(again, FIXED_RUNS);
  return true;
}

static bool measure_cost(const shape_study *study) {
  const int64_t count = study->shapes;
  double plan_sum = 0, first_sum = 0, fixed_sum = 0, *plan_parts = calloc((size_t)count * 2, sizeof *plan_parts);
  double *whole_parts = plan_parts + count;
  bool good = plan_parts;
  for (int64_t i = 0; good && i < count; i++) {
    double plan, first, fixed;
    good = measure_shape(study, i, &plan, &first, &fixed);
    if (!good) break;
    plan_parts[i] = plan / fixed;
    whole_parts[i] = (plan + first) / fixed - 1;
    plan_sum += plan;
    first_sum += first;
    fixed_sum += fixed;
  }
  if (good) {
    printf("{\"part\": \"cost\", \"shapes\": %lld, \"fixed_ms\": %.4f, \"plan_ms\": %.4f, \"first_ms\": %.4f, "
           "\"plan_part\": %.4f, \"change_part\": %.4f}\n",
           (long long)count, fixed_sum * 1e3 / (double)count, plan_sum * 1e3 / (double)count,
           first_sum * 1e3 / (double)count, median_of(plan_parts, count), median_of(whole_parts, count));
    fflush(stdout);
  }
  free(plan_parts);
  return good;
}

/* ------------------------------------------------------------------------------------------------------------- soak */

static bool run_shape(const shape_study *study, norma_session *session, int64_t index) {
  norma_error error;
  if (!bind_shape(study, session, index)) return false;
  if (norma_session_run(session, &error) == NORMA_OK) return true;
  tool_library_error(NULL, &error);
  return false;
}

static bool same_outputs(const shape_study *study, const norma_session *a, const norma_session *b) {
  for (size_t i = 0; i < norma_model_output_count(study->model); i++) {
    const norma_tensor *left = norma_value_tensor(norma_session_output(a, i));
    const norma_tensor *right = norma_value_tensor(norma_session_output(b, i));
    if (!left || !right || left->size_bytes != right->size_bytes) return false;
    if (left->size_bytes && memcmp(left->data, right->data, left->size_bytes) != 0) return false;
  }
  return true;
}

/* How many of every tenth shape give the same bits in a session that has seen no other. */
static bool check_results(const shape_study *study, int *checked, int *different) {
  norma_error error;
  for (int64_t i = 0; i < study->shapes; i += 10) {
    norma_session *fresh = NULL;
    bool good = norma_session_create(study->model, NULL, &fresh, &error) == NORMA_OK &&
                run_shape(study, study->session, i) && run_shape(study, fresh, i);
    if (good) {
      ++*checked;
      *different += !same_outputs(study, study->session, fresh);
    }
    norma_session_destroy(fresh);
    if (!good) return false;
  }
  return true;
}

static bool soak(const shape_study *study) {
  long early_kib = 0, early_peak_kib = 0;
  int early_descriptors = 0, checked = 0, different = 0;
  for (int64_t run = 0; run < study->runs; run++) {
    if (!run_shape(study, study->session, run * SCATTER % study->shapes)) return false;
    if (run + 1 != (study->runs + 9) / 10) continue;
    early_kib = process_status_kib("VmRSS");
    early_peak_kib = process_status_kib("VmHWM");
    early_descriptors = process_descriptors();
  }
  const long kib = process_status_kib("VmRSS"), peak_kib = process_status_kib("VmHWM");
  const int descriptors = process_descriptors();
  if (!check_results(study, &checked, &different)) return false;
  printf("{\"part\": \"soak\", \"runs\": %lld, \"early_kib\": %ld, \"early_peak_kib\": %ld, \"early_descriptors\": %d, "
         "\"kib\": %ld, \"peak_kib\": %ld, \"descriptors\": %d, \"checked\": %d, \"different\": %d}\n",
         (long long)study->runs, early_kib, early_peak_kib, early_descriptors, kib, peak_kib, descriptors, checked,
         different);
  return different == 0;
}

/* ------------------------------------------------------------------------------------------------------------ start */

static bool open_study(shape_study *study, int count, char **arguments) {
  norma_error error;
  const norma_runtime_options options = {.struct_size = sizeof options, .threads = (int)study->threads};
  norma_load_options load = {.struct_size = sizeof load};
  bool good = norma_runtime_create(&options, &study->runtime, &error) == NORMA_OK;
  load.runtime = study->runtime;
  good = good && norma_model_load(arguments[0], &load, &study->model, &error) == NORMA_OK &&
         norma_session_create(study->model, NULL, &study->session, &error) == NORMA_OK;
  if (!good) {
    tool_library_error(arguments[0], &error);
    return false;
  }
  const size_t inputs = norma_model_input_count(study->model);
  if (inputs > MOST_INPUTS) {
    tool_error("bench_shapes: more than %d inputs", MOST_INPUTS);
    return false;
  }
  for (; study->input_count < inputs; study->input_count++) {
    if (!make_input(study, count - 4, arguments + 4, study->input_count)) return false;
  }
  return true;
}

int main(int argc, char **argv) {
  shape_study study = {0};
  if (argc < 5 || !parse_integer(argv[2], 1, 256, &study.threads) ||
      !parse_integer(argv[3], 1, 100000, &study.shapes) || !parse_integer(argv[4], 0, 100000000, &study.runs)) {
    fprintf(stderr, "usage: bench_shapes MODEL THREADS SHAPES RUNS [INPUT=DIMS...]\n");
    return EXIT_REFUSED;
  }
  const bool good = open_study(&study, argc - 1, argv + 1) && measure_cost(&study) && (study.runs == 0 || soak(&study));
  norma_session_destroy(study.session);
  for (size_t i = 0; i < MOST_INPUTS; i++) norma_value_destroy(study.inputs[i].data);
  norma_model_destroy(study.model);
  norma_runtime_destroy(study.runtime);
  return good ? EXIT_YES : EXIT_REFUSED;
}
