/*
 * norma bn reestimate: new means and variances from data, written back into the model.
 */
#include "tools/bn/bn_estimate.h"
#include "tools/bn/bn_moments_file.h"
#include "tools/bn/bn_report.h"
#include "tools/command.h"
#include "tools/report.h"

#include "engine/base/status.h"
#include "proto/model_patch.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool file_exists(const char *path) {
  struct stat facts;
  return path && stat(path, &facts) == 0;
}

/* ---------------------------------------------------------------------------------------------------------- writing */

/* Whether the value may be changed where it stands: nothing reads it but statistics that get the same new contents. */
static bool is_own(const statistic *statistic) {
  return (statistic->home == STATISTIC_INITIALIZER || statistic->home == STATISTIC_CONSTANT) && !statistic->is_shared;
}

static norma_status write_statistic(model_patch *patch, memory *memory, const batch_normalization *node, bool is_mean,
                                    const double *elements, size_t *copies, norma_error *error) {
  const statistic *statistic = is_mean ? &node->mean : &node->variance;
  const norma_tensor *old = norma_value_tensor(statistic->contents);
  shape shape = shape_of_tensor(old);
  value contents = {0};
  TRY(value_allocate_tensor(memory, &contents, old->type, &shape, error));
  elements_from_double(old->type, contents.tensor.data, 0, node->channels, elements);
  norma_status status;
  if (is_own(statistic)) {
    status = model_patch_replace(patch, statistic->name, &contents.tensor, error);
  } else {
    const char *name;
    char stem[512];
    snprintf(stem, sizeof stem, "%.400s.%s", node->output, is_mean ? "mean" : "variance");
    status = model_patch_add(patch, stem, &contents.tensor, &name, error);
    if (status == NORMA_OK) status = model_patch_set_input(patch, node->output, is_mean ? 3 : 4, name, error);
    if (status == NORMA_ERROR_ARGUMENT) {
      status = error_set(error, NORMA_ERROR_UNSUPPORTED,
                         "node '%s' shares its statistics and stands inside a function, where it cannot get its own",
                         node->node->name);
    }
    (*copies)++;
  }
  value_clear(&contents);
  return status;
}

static bool write_model(const bn_estimate *estimate, const char *path) {
  model_patch *patch = NULL;
  norma_error error;
  memory *memory = &estimate->runtime->memory;
  wire_limits limits = {estimate->runtime->max_nodes, estimate->runtime->max_depth};
  size_t copies = 0;
  norma_status status = model_patch_open(memory, estimate->study->source.path, &limits, &patch, &error);
  if (status == NORMA_OK && model_patch_fingerprint(patch) != estimate->fingerprint) {
    status = error_set(&error, NORMA_ERROR_FILE, "%s: has changed in the meantime", estimate->study->source.path);
  }
  for (size_t i = 0; status == NORMA_OK && i < estimate->study->count; i++) {
    const node_estimate *node = &estimate->nodes[i];
    const batch_normalization *about = &estimate->study->nodes[i];
    if (!node->done) continue;
    status = write_statistic(patch, memory, about, true, node->mean, &copies, &error);
    if (status == NORMA_OK) status = write_statistic(patch, memory, about, false, node->variance, &copies, &error);
  }
  if (status == NORMA_OK) status = model_patch_save(patch, path, &error);
  model_patch_close(patch);
  if (status != NORMA_OK) {
    tool_error("%s", error.message);
    return false;
  }
  if (copies > 0) printf("%zu shared statistics got copies of their own\n", copies);
  return true;
}

/* --------------------------------------------------------------------------------------------------------- settings */

/* What is read may not be written over, by whatever name. */
static bool check_not_model(const char *path, const char *model) {
  struct stat target, source;
  if (!path || stat(path, &target) != 0 || stat(model, &source) != 0 || target.st_dev != source.st_dev ||
      target.st_ino != source.st_ino) {
    return true;
  }
  tool_error("%s: is the model that is read; give the output another name", path);
  return false;
}

static bool check_output(const char *path, const char *model) {
  struct stat target;
  char folder[4096];
  if (!check_not_model(path, model)) return false;
  if (stat(path, &target) == 0) {
    if (!S_ISREG(target.st_mode)) {
      tool_error("%s: is not a regular file", path);
      return false;
    }
  }
  const char *slash = strrchr(path, '/');
  snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
  if (path[0] && access(folder, W_OK | X_OK) == 0) return true;
  tool_error("%s: cannot write to this folder", path);
  return false;
}

static bool check_settings(const struct settings *settings, const char *model, const ranks *ranks) {
  if (settings->method == METHOD_EMA && settings->order == ORDER_SEQUENTIAL) {
    tool_error("--method ema does what training does, where all nodes normalise by their batch: it has no "
               "--order sequential");
    return false;
  }
  if (settings->method == METHOD_EMA && (ranks->size > 1 || settings->from_count > 0)) {
    tool_error("--method ema depends on the order of the batches: it runs in one process");
    return false;
  }
  if (settings->method == METHOD_POPULATION && (settings->momentum >= 0 || settings->epochs > 1)) {
    tool_error("--momentum and --epochs belong to --method ema");
    return false;
  }
  if (ranks->size > 1 && settings->moments && !settings->output_file) {
    tool_error("under mpirun the ranks join their moments themselves: give -o");
    return false;
  }
  if (!settings->output_file && !settings->moments) {
    tool_error("bn reestimate: give -o OUT, or --moments FILE for one share of the data");
    return false;
  }
  if (settings->data_count == 0 && settings->argument_count < 2 && settings->from_count == 0 &&
      !file_exists(settings->moments)) {
    tool_error("bn reestimate: --data is missing");
    return false;
  }
  return check_not_model(settings->report, model) && check_not_model(settings->moments, model) &&
         (!settings->output_file || check_output(settings->output_file, model));
}

/* ----------------------------------------------------------------------------------------------------------- passes */

typedef struct reestimation {
  const struct settings *settings;
  ranks ranks;
  bn_estimate estimate;
  bn_data data;
  bool has_data;
} reestimation;

static bool save_moments(void *context) {
  reestimation *work = context;
  return work->ranks.rank > 0 || bn_moments_write(&work->estimate, work->settings->moments);
}

/* What earlier runs have left: finished shares, then this share's own file. */
static bool load_moments(reestimation *work) {
  const struct settings *settings = work->settings;
  bn_estimate *estimate = &work->estimate;
  struct ranks alone = {.size = 1};
  for (size_t i = 0; i < settings->from_count; i++) {
    if (!(i == 0 ? bn_moments_read(estimate, settings->from[i]) : bn_moments_merge(estimate, settings->from[i]))) {
      return false;
    }
    if (i == 0 && !estimate->whole && estimate->pass <= estimate->passes) {
      tool_error("%s: pass %d is not done there yet", settings->from[i], estimate->pass);
      return false;
    }
  }
  if (settings->from_count > 0 && estimate->pass <= estimate->passes && !bn_estimate_finish_pass(estimate, &alone)) {
    return false;
  }
  if (!file_exists(settings->moments)) return true;
  if (settings->from_count == 0) return bn_moments_read(estimate, settings->moments);
  /* with --from the file is that of an earlier pass, to be replaced, or of this one, to be resumed */
  bn_estimate other;
  int code;
  if (!bn_estimate_open(&other, settings, estimate->study->source.path, &code)) {
    bn_estimate_close(&other);
    return false;
  }
  bool good = bn_moments_read(&other, settings->moments);
  if (good && other.pass == estimate->pass) {
    bn_estimate swapped = *estimate;
    *estimate = other;
    other = swapped;
  }
  bn_estimate_close(&other);
  return good;
}

static bool check_samples(reestimation *work, int64_t before) {
  work->estimate.samples = work->data.samples;
  if (before == 0 || before == work->data.samples || work->settings->from_count > 0) return true;
  tool_error("%s: was begun with %" PRId64 " samples, the data have %" PRId64, work->settings->moments, before,
             work->data.samples);
  return false;
}

/* All passes, or with -o absent the current one. *stopped: a signal ended it, or the share is done. */
static bool run_passes(reestimation *work, int *code) {
  bn_estimate *estimate = &work->estimate;
  bool share = !work->settings->output_file, interrupted = false;
  bn_save save = work->settings->moments && work->ranks.size == 1 ? save_moments : NULL;
  while (estimate->pass <= estimate->passes) {
    if (!estimate->whole && !work->has_data) {
      tool_error("pass %d of %d is due: give --data", estimate->pass, estimate->passes);
      return false;
    }
    if (!estimate->whole && !bn_estimate_run(estimate, &work->data, &work->ranks, save, work, &interrupted)) {
      return false;
    }
    if (interrupted) {
      tool_error("interrupted in pass %d of %d after %" PRId64 " batches%s", estimate->pass, estimate->passes,
                 estimate->next, save ? "; the same command goes on from there" : "");
      return false;
    }
    if (share) {
      printf("pass %d of %d of this share is done: %" PRId64 " samples\n", estimate->pass, estimate->passes,
             work->data.samples);
      *code = EXIT_YES;
      return true;
    }
    if (!bn_estimate_finish_pass(estimate, &work->ranks)) return false;
    if (work->settings->moments && !save_moments(work)) return false;
  }
  return true;
}

static bool finish(reestimation *work) {
  const struct settings *settings = work->settings;
  const bn_estimate *estimate = &work->estimate;
  double skipped = (double)work->data.skipped / (estimate->passes ? estimate->passes : 1);
  if (!ranks_sum(&work->ranks, &skipped)) return false;
  if (work->ranks.rank > 0) return true;
  if (settings->report && !bn_report_write(estimate, settings->report, settings->output_file)) return false;
  if (!write_model(estimate, settings->output_file)) {
    if (settings->report) unlink(settings->report);
    return false;
  }
  if (!settings->quiet) bn_report_print(estimate);
  if (skipped >= 1) printf("%.0f samples were left out, since they held NaN or infinities\n", skipped);
  size_t done = 0;
  for (size_t i = 0; i < estimate->study->count; i++) done += estimate->nodes[i].done;
  printf("%zu of %zu BatchNormalization nodes have new statistics, from %" PRId64 " samples in %d %s: ", done,
         estimate->study->count, estimate->samples, estimate->passes, estimate->passes == 1 ? "pass" : "passes");
  print_text(stdout, settings->output_file);
  putchar('\n');
  return true;
}

static int reestimate(reestimation *work, const char *model) {
  int code = EXIT_REFUSED;
  const struct settings *settings = work->settings;
  if (!check_settings(settings, model, &work->ranks)) return code;
  if (!bn_estimate_open(&work->estimate, settings, model, &code)) return code;
  code = EXIT_REFUSED;
  if (!load_moments(work)) return code;
  int64_t before = settings->from_count == 0 ? work->estimate.samples : 0;
  work->has_data = settings->data_count > 0 || settings->argument_count > 1;
  if (work->has_data) {
    if (!bn_data_open(&work->data, settings, work->estimate.study->model) || !check_samples(work, before)) return code;
  }
  bn_catch_signals();
  int share_code = EXIT_REFUSED;
  if (!run_passes(work, &share_code)) return code;
  if (!settings->output_file) return share_code;
  return finish(work) ? EXIT_YES : code;
}

int command_bn_reestimate(const struct settings *settings) {
  reestimation work = {.settings = settings};
  struct settings quiet;
  int code = EXIT_REFUSED;
  if (ranks_start(&work.ranks)) {
    if (work.ranks.rank > 0) { /* one rank speaks */
      quiet = *settings;
      quiet.quiet = true;
      work.settings = &quiet;
    }
    code = reestimate(&work, settings->arguments[0]);
  }
  bn_data_close(&work.data);
  bn_estimate_close(&work.estimate);
  return ranks_finish(&work.ranks, code);
}
