#include "tools/bn/bn_estimate.h"

#include "tools/bn/bn_inner.h"
#include "tools/report.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------------------- open */

static norma_load_options load_options(const bn_estimate *estimate) {
  /* What is measured is what the model says: nodes folded into weights would round differently, and far from the mean
   * of a channel with little variance that shows. */
  int level = estimate->settings->common.level >= 0 ? -1 : 1;
  norma_load_options options = settings_load(&estimate->settings->common, estimate->runtime, level);
  options.exact = true;
  return options;
}

static bool matches(const void *given, const char *name) {
  const struct reestimate_settings *settings = given;
  for (size_t i = 0; i < settings->only.count; i++) {
    if (fnmatch(settings->only.items[i], name, 0) == 0) return true;
  }
  return settings->only.count == 0;
}

static norma_bn_info describe(const bn_estimate *estimate, size_t index) {
  norma_bn_info info = {.struct_size = sizeof info};
  norma_bn_describe(estimate->study, index, &info);
  return info;
}

/* Marks the nodes that --only names; false: none can be given new statistics, which was printed. */
static bool match_nodes(bn_estimate *estimate, bool *wanted, int *code) {
  const struct reestimate_settings *settings = estimate->settings;
  size_t chosen = 0, matching = 0;
  if (estimate->count == 0 && norma_bn_inner_count(estimate->study) == 0) {
    *code = tool_error("%s: has no BatchNormalization node; its exporter has folded them into other layers, export it "
                       "again with them kept",
                       estimate->path);
    return false;
  }
  for (size_t i = 0; i < estimate->count; i++) {
    const norma_bn_info info = describe(estimate, i);
    wanted[i] = matches(settings, info.name);
    matching += wanted[i];
    if (wanted[i] && info.obstacle) tool_warning("node '%s' is left as it is: %s", info.name, info.obstacle);
    chosen += wanted[i] && !info.obstacle;
  }
  matching += bn_inner_warn(norma_bn_model(estimate->study), matches, settings);
  if (chosen > 0) return true;
  const char *only = settings->only.count > 0 ? settings->only.items[0] : NULL;
  if (matching == 0 && only) {
    *code = tool_error("--only %s: no BatchNormalization node has such a name", only);
  } else {
    *code = tool_error("%s: no BatchNormalization node%s can be given new statistics", estimate->path,
                       only ? " of --only" : "");
  }
  return false;
}

static bool choose_nodes(bn_estimate *estimate, int *code) {
  norma_error error;
  bool *wanted = calloc(estimate->count + 1, sizeof *wanted);
  if (!wanted) {
    tool_error("out of memory");
    return false;
  }
  bool good = match_nodes(estimate, wanted, code);
  if (good && norma_bn_choose(estimate->study, wanted, &estimate->passes, &error) != NORMA_OK) {
    *code = tool_library_error(estimate->path, &error);
    good = false;
  }
  free(wanted);
  return good;
}

/* Room for the results of one node, with the model's own statistics in it. */
static bool prepare_node(bn_estimate *estimate, size_t index) {
  node_estimate *result = &estimate->nodes[index];
  norma_error error;
  result->about = describe(estimate, index);
  result->channels = result->about.channels;
  if (!result->about.is_chosen) return true;
  result->stored_mean = calloc((size_t)result->channels * 4, sizeof(double));
  if (!result->stored_mean) {
    tool_error("out of memory");
    return false;
  }
  result->stored_variance = result->stored_mean + result->channels;
  result->mean = result->stored_variance + result->channels;
  result->variance = result->mean + result->channels;
  norma_tensor_get_doubles(result->about.mean, 0, result->channels, result->stored_mean);
  norma_tensor_get_doubles(result->about.variance, 0, result->channels, result->stored_variance);
  memcpy(result->mean, result->stored_mean, (size_t)result->channels * 2 * sizeof(double)); /* where ema begins */
  if (norma_moments_create(estimate->runtime, result->channels, &result->moments, &error) == NORMA_OK) return true;
  tool_library_error(estimate->path, &error);
  return false;
}

static bool prepare_nodes(bn_estimate *estimate) {
  estimate->nodes = calloc(estimate->count + 1, sizeof *estimate->nodes);
  if (!estimate->nodes) {
    tool_error("out of memory");
    return false;
  }
  for (size_t i = 0; i < estimate->count; i++) {
    if (!prepare_node(estimate, i)) return false;
  }
  return true;
}

static bool fingerprint(bn_estimate *estimate) {
  norma_editor *editor;
  norma_error error;
  const norma_limits limits = settings_limits(&estimate->settings->common);
  if (norma_editor_open_within(estimate->runtime, estimate->path, &limits, &editor, &error) != NORMA_OK) {
    tool_library_error(estimate->path, &error);
    return false;
  }
  estimate->fingerprint = norma_editor_fingerprint(editor);
  norma_editor_destroy(editor);
  return true;
}

bool bn_estimate_open(bn_estimate *estimate, const struct reestimate_settings *settings, const char *path, int *code) {
  norma_error error;
  *estimate = (bn_estimate){.settings = settings, .path = path, .pass = 1};
  *code = EXIT_REFUSED;
  estimate->simultaneous = settings->method == METHOD_EMA || settings->order == ORDER_SIMULTANEOUS;
  estimate->runtime = settings_create_runtime(&settings->common);
  if (!estimate->runtime) return false;
  norma_load_options options = load_options(estimate);
  if (norma_bn_open(path, &options, &estimate->study, &error) != NORMA_OK) {
    *code = tool_library_error(path, &error);
    return false;
  }
  estimate->count = norma_bn_count(estimate->study);
  if (!choose_nodes(estimate, code) || !fingerprint(estimate)) return false;
  if (estimate->simultaneous) estimate->passes = settings->method == METHOD_EMA ? settings->epochs : 1;
  return prepare_nodes(estimate);
}

void bn_estimate_close(bn_estimate *estimate) {
  for (size_t i = 0; estimate->nodes && i < estimate->count; i++) {
    norma_moments_destroy(estimate->nodes[i].moments);
    free(estimate->nodes[i].stored_mean);
  }
  free(estimate->nodes);
  norma_bn_destroy(estimate->study);
  norma_runtime_destroy(estimate->runtime);
  *estimate = (bn_estimate){0};
}

/* ------------------------------------------------------------------------------------------------------------ stage */

/* A pass at work. */
typedef struct pass_run {
  bn_estimate *estimate;
  bn_data *data;
  norma_bn_setting *settings; /* one per node */
  norma_model *model;
  norma_session *session;
  norma_value **inputs;
  progress progress;
  double started, saved;
} pass_run;

static bool is_measured(const bn_estimate *estimate, size_t index) {
  const norma_bn_info *about = &estimate->nodes[index].about;
  return about->is_chosen && (estimate->simultaneous || about->level == estimate->pass);
}

static bool open_stage(pass_run *run) {
  bn_estimate *estimate = run->estimate;
  norma_error error;
  run->settings = calloc(estimate->count + 1, sizeof *run->settings);
  run->inputs = calloc(run->data->input_count + 1, sizeof *run->inputs);
  if (!run->settings || !run->inputs) {
    tool_error("out of memory");
    return false;
  }
  for (size_t i = 0; i < estimate->count; i++) {
    const node_estimate *node = &estimate->nodes[i];
    norma_bn_setting *setting = &run->settings[i];
    setting->is_wanted = is_measured(estimate, i);
    if (!node->about.is_chosen) continue;
    if (estimate->simultaneous) {
      setting->mode = NORMA_BN_BATCH;
    } else if (node->done) {
      *setting = (norma_bn_setting){.mode = NORMA_BN_FIXED, .mean = node->mean, .variance = node->variance};
    }
  }
  norma_load_options options = load_options(estimate);
  const norma_session_options session = settings_session(&estimate->settings->common);
  if (norma_bn_stage(estimate->study, &options, run->settings, &run->model, &error) != NORMA_OK ||
      norma_session_create(run->model, &session, &run->session, &error) != NORMA_OK) {
    tool_library_error(estimate->path, &error);
    return false;
  }
  norma_session_set_timeout(run->session, session.timeout);
  return true;
}

static void drop_inputs(pass_run *run) {
  for (size_t i = 0; run->inputs && i < run->data->input_count; i++) {
    norma_value_destroy(run->inputs[i]);
    run->inputs[i] = NULL;
  }
}

static void close_stage(pass_run *run) {
  norma_session_destroy(run->session);
  norma_model_destroy(run->model);
  drop_inputs(run);
  free(run->inputs);
  free(run->settings);
}

/* ------------------------------------------------------------------------------------------------------------ batch */

static bool fail_node(const bn_estimate *estimate, size_t index, const char *what) {
  tool_error("node '%s': %s", estimate->nodes[index].about.name, what);
  return false;
}

/* Rows of X that belong to the samples that count, where a fixed batch was filled up. */
static int64_t valid_rows(const bn_data *data, const norma_tensor *x, int64_t valid) {
  if (!data->batch_is_fixed || valid == data->batch) return x->rank > 0 ? x->dims[0] : 0;
  return x->rank > 0 && x->dims[0] % data->batch == 0 ? x->dims[0] / data->batch * valid : -1;
}

/* The first `rows` indices of axis 0. */
static norma_tensor first_rows(const norma_tensor *x, int64_t rows) {
  norma_tensor result = *x;
  if (x->rank > 0 && x->dims[0] > 0) {
    result.size_bytes = x->size_bytes / (size_t)x->dims[0] * (size_t)rows;
    result.dims[0] = rows;
  }
  return result;
}

/* running = running * momentum + batch * (1 - momentum) */
static bool update_running(const bn_estimate *estimate, size_t index, double count) {
  node_estimate *node = &estimate->nodes[index];
  const struct reestimate_settings *settings = estimate->settings;
  double momentum = settings->momentum >= 0 ? settings->momentum : node->about.momentum, total;
  norma_error error;
  double divisor = settings->sample_variance ? count - 1 : count;
  double *mean = malloc((size_t)node->channels * 2 * sizeof(double));
  if (!mean) return fail_node(estimate, index, "out of memory");
  double *squares = mean + node->channels;
  norma_moments_total(node->moments, &total, mean, squares, &error);
  for (int64_t c = 0; c < node->channels; c++) {
    node->mean[c] = node->mean[c] * momentum + mean[c] * (1 - momentum);
    node->variance[c] = node->variance[c] * momentum + squares[c] / divisor * (1 - momentum);
  }
  node->count += count;
  free(mean);
  return true;
}

static bool add_node(pass_run *run, size_t index, int64_t valid) {
  bn_estimate *estimate = run->estimate;
  node_estimate *node = &estimate->nodes[index];
  norma_error error;
  const norma_tensor *x = norma_value_tensor(norma_session_output(run->session, run->settings[index].output));
  if (!x) return fail_node(estimate, index, "its input is no tensor");
  int64_t rows = valid_rows(run->data, x, valid);
  if (rows < 0) return fail_node(estimate, index, "an incomplete batch cannot be told apart in its input");
  double count = node->channels > 0 ? (double)norma_tensor_count(x) / (double)node->channels : 0;
  if (estimate->simultaneous && count < 2) {
    return fail_node(estimate, index, "a batch has fewer than 2 values per channel; choose another --batch");
  }
  const norma_tensor counted = first_rows(x, rows);
  const norma_limits limits = settings_limits(&estimate->settings->common);
  norma_moments_set_limits(node->moments, &limits, NULL);
  if (norma_moments_add(node->moments, &counted, &error) != NORMA_OK) return fail_node(estimate, index, error.message);
  if (estimate->settings->method == METHOD_EMA) {
    bool good = update_running(estimate, index, count);
    norma_moments_reset(node->moments);
    return good;
  }
  return true;
}

/* A stage may need fewer inputs than the model. */
static bool is_stage_input(const pass_run *run, const char *name) {
  norma_value_info info;
  for (size_t i = 0; norma_model_input(run->model, i, &info) == NORMA_OK; i++) {
    if (strcmp(info.name, name) == 0) return true;
  }
  return false;
}

static bool bind_batch(pass_run *run) {
  norma_error error;
  for (size_t i = 0; i < run->data->input_count; i++) {
    const char *name = run->data->inputs[i].name;
    if (!run->inputs[i] || !is_stage_input(run, name)) continue;
    if (norma_session_set_input_value(run->session, name, run->inputs[i], &error) != NORMA_OK) {
      tool_library_error(NULL, &error);
      return false;
    }
  }
  return true;
}

static bool run_batch(pass_run *run, int64_t batch) {
  bn_estimate *estimate = run->estimate;
  bn_data *data = run->data;
  norma_error error;
  int64_t first = batch * data->batch, valid = 0;
  int64_t count = data->samples - first < data->batch ? data->samples - first : data->batch;
  drop_inputs(run);
  if (!bn_data_read(data, first, count, run->inputs, &valid)) return false;
  if (valid == 0) return true;
  if (estimate->simultaneous && data->batch_is_fixed && valid < data->batch) {
    tool_error("samples %" PRId64 " to %" PRId64 " do not fill the model's fixed batch of %" PRId64
               "; every node would take statistics of a batch that is not real",
               first, first + count - 1, data->batch);
    return false;
  }
  if (!bind_batch(run)) return false;
  if (norma_session_run(run->session, &error) != NORMA_OK) {
    tool_error("samples %" PRId64 " to %" PRId64 ": %s", first, first + count - 1, error.message);
    return false;
  }
  for (size_t i = 0; i < estimate->count; i++) {
    if (run->settings[i].is_wanted && !add_node(run, i, valid)) return false;
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------------------- pass */

static volatile sig_atomic_t stop_asked; /* what a signal handler may write is global by necessity */

static void ask_stop(int signal_number) {
  (void)signal_number;
  stop_asked = 1;
}

void bn_catch_signals(void) {
  struct sigaction action = {.sa_handler = ask_stop, .sa_flags = SA_RESTART | SA_RESETHAND};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

static void show_progress(pass_run *run, int64_t done, int64_t begun, int64_t all) {
  double spent = clock_seconds() - run->started;
  double left = done > begun ? spent / (double)(done - begun) * (double)(all - done) : 0;
  progress_show(&run->progress, "pass %d of %d: %" PRId64 " of %" PRId64 " batches, about %.0f s left in this pass",
                run->estimate->pass, run->estimate->passes, done, all, left);
}

bool bn_estimate_run(bn_estimate *estimate, bn_data *data, const ranks *ranks, bn_save save, void *context,
                     bool *interrupted) {
  enum { SAVE_SECONDS = 10 };
  pass_run run = {.estimate = estimate, .data = data, .started = clock_seconds(), .saved = clock_seconds()};
  int64_t batches = (data->samples + data->batch - 1) / data->batch;
  int64_t begin = batches * ranks->rank / ranks->size, end = batches * (ranks->rank + 1) / ranks->size;
  int64_t begun = estimate->next;
  *interrupted = false;
  bool good = open_stage(&run);
  progress_start(&run.progress, estimate->settings->common.quiet || ranks->rank > 0);
  while (good && begin + estimate->next < end && !*interrupted) {
    good = run_batch(&run, begin + estimate->next);
    estimate->next += good;
    show_progress(&run, estimate->next, begun, end - begin);
    *interrupted = stop_asked && begin + estimate->next < end;
    if (good && save && clock_seconds() - run.saved > SAVE_SECONDS) {
      good = save(context);
      run.saved = clock_seconds();
    }
  }
  progress_clear(&run.progress);
  estimate->whole = good && !*interrupted;
  if (good && save) good = save(context);
  close_stage(&run);
  return good;
}

/* ---------------------------------------------------------------------------------------------------------- results */

/* Whether a number can be stored in the model's type. */
static bool can_store(norma_element_type type, double number) {
  unsigned char place[8];
  norma_tensor tensor;
  double stored = NAN;
  norma_tensor_init(&tensor, type, 0, NULL, place);
  norma_tensor_set_doubles(&tensor, 0, 1, &number);
  norma_tensor_get_doubles(&tensor, 0, 1, &stored);
  return isfinite(stored);
}

/* Whether the results can be stored in the model's types. */
static bool check_result(const bn_estimate *estimate, size_t index) {
  const node_estimate *result = &estimate->nodes[index];
  const norma_element_type types[2] = {result->about.mean->type, result->about.variance->type};
  for (int64_t c = 0; c < result->channels; c++) {
    for (int i = 0; i < 2; i++) {
      const double element = i == 0 ? result->mean[c] : result->variance[c];
      if (can_store(types[i], element)) continue;
      tool_error("node '%s': the %s %g of channel %" PRId64 " does not fit %s", result->about.name,
                 i == 0 ? "mean" : "variance", element, c, norma_element_type_name(types[i]));
      return false;
    }
  }
  return true;
}

static bool take_result(bn_estimate *estimate, size_t index, const double *triples) {
  node_estimate *node = &estimate->nodes[index];
  double count = triples[0];
  if (count < 2) return fail_node(estimate, index, "fewer than 2 values per channel were seen; give more samples");
  double divisor = estimate->settings->sample_variance ? count - 1 : count;
  for (int64_t c = 0; c < node->channels; c++) {
    node->mean[c] = triples[3 * c + 1];
    node->variance[c] = triples[3 * c + 2] / divisor;
  }
  node->count = count;
  node->done = true;
  norma_moments_reset(node->moments);
  return check_result(estimate, index);
}

static void write_triples(const node_estimate *node, double *triples, double *vectors) {
  double count = 0;
  norma_error error;
  norma_moments_total(node->moments, &count, vectors, vectors + node->channels, &error);
  for (int64_t c = 0; c < node->channels; c++) {
    triples[3 * c] = count;
    triples[3 * c + 1] = vectors[c];
    triples[3 * c + 2] = vectors[node->channels + c];
  }
}

static bool finish_population(bn_estimate *estimate, const ranks *ranks) {
  size_t channels = 0, at = 0;
  for (size_t i = 0; i < estimate->count; i++) {
    if (is_measured(estimate, i)) channels += (size_t)estimate->nodes[i].channels;
  }
  double *triples = malloc((channels * 5 + 1) * sizeof *triples), *vectors = triples + 3 * channels;
  if (!triples) {
    tool_error("out of memory");
    return false;
  }
  for (size_t i = 0; i < estimate->count; i++) {
    if (!is_measured(estimate, i)) continue;
    write_triples(&estimate->nodes[i], triples + 3 * at, vectors);
    at += (size_t)estimate->nodes[i].channels;
  }
  bool good = ranks_join_moments(ranks, triples, channels);
  at = 0;
  for (size_t i = 0; good && i < estimate->count; i++) {
    if (!is_measured(estimate, i)) continue;
    good = take_result(estimate, i, triples + 3 * at);
    at += (size_t)estimate->nodes[i].channels;
  }
  free(triples);
  return good;
}

bool bn_estimate_finish_pass(bn_estimate *estimate, const ranks *ranks) {
  bool good = true, is_ema = estimate->settings->method == METHOD_EMA;
  if (!is_ema) good = finish_population(estimate, ranks);
  for (size_t i = 0; good && is_ema && estimate->pass == estimate->passes && i < estimate->count; i++) {
    if (!is_measured(estimate, i)) continue;
    estimate->nodes[i].done = true;
    good = estimate->nodes[i].count >= 2 ? check_result(estimate, i) : fail_node(estimate, i, "no samples were seen");
  }
  estimate->pass += good;
  estimate->next = 0;
  estimate->whole = false;
  return good;
}
