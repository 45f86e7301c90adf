/*
 * norma bn reestimate: new means and variances from data, written back into the model.
 */
#include "tools/bn/bn_estimate.h"
#include "tools/bn/bn_moments_file.h"
#include "tools/bn/bn_report.h"
#include "tools/command.h"
#include "tools/formats/file_error.h"
#include "tools/report.h"

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

/* Puts the results into the editor; *copies counts the statistics that got copies of their own. */
static norma_status write_results(const bn_estimate *estimate, norma_editor *editor, size_t *copies,
                                  norma_error *error) {
  norma_status status = NORMA_OK;
  for (size_t i = 0; status == NORMA_OK && i < estimate->count; i++) {
    const node_estimate *node = &estimate->nodes[i];
    size_t added = 0;
    if (!node->done) continue;
    status = norma_bn_set_statistics(estimate->study, i, editor, node->mean, node->variance, &added, error);
    *copies += added;
  }
  return status;
}

static bool write_model(const bn_estimate *estimate, const char *path) {
  norma_editor *editor = NULL;
  norma_error error;
  size_t copies = 0;
  const norma_limits limits = settings_limits(&estimate->settings->common);
  norma_status status = norma_editor_open_within(estimate->runtime, estimate->path, &limits, &editor, &error);
  if (status == NORMA_OK && norma_editor_fingerprint(editor) != estimate->fingerprint) {
    status = set_error(&error, NORMA_ERROR_FILE, "%s: has changed in the meantime", estimate->path);
  }
  if (status == NORMA_OK) status = write_results(estimate, editor, &copies, &error);
  if (status == NORMA_OK) status = norma_editor_save(editor, path, &error);
  norma_editor_destroy(editor);
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

static bool check_settings(const struct reestimate_settings *settings, const char *model, const ranks *ranks) {
  if (settings->method == METHOD_EMA && settings->order == ORDER_SEQUENTIAL) {
    tool_error("--method ema does what training does, where all nodes normalise by their batch: it has no "
               "--order sequential");
    return false;
  }
  if (settings->method == METHOD_EMA && (ranks->size > 1 || settings->from.count > 0)) {
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
  if (settings->data.count == 0 && settings->common.argument_count < 2 && settings->from.count == 0 &&
      !file_exists(settings->moments)) {
    tool_error("bn reestimate: --data is missing");
    return false;
  }
  return check_not_model(settings->report, model) && check_not_model(settings->moments, model) &&
         (!settings->output_file || check_output(settings->output_file, model));
}

/* ----------------------------------------------------------------------------------------------------------- passes */

typedef struct reestimation {
  const struct reestimate_settings *settings;
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
  const struct reestimate_settings *settings = work->settings;
  bn_estimate *estimate = &work->estimate;
  struct ranks alone = {.size = 1};
  for (size_t i = 0; i < settings->from.count; i++) {
    if (!(i == 0 ? bn_moments_read(estimate, settings->from.items[i])
                 : bn_moments_merge(estimate, settings->from.items[i]))) {
      return false;
    }
    if (i == 0 && !estimate->whole && estimate->pass <= estimate->passes) {
      tool_error("%s: pass %d is not done there yet", settings->from.items[i], estimate->pass);
      return false;
    }
  }
  if (settings->from.count > 0 && estimate->pass <= estimate->passes && !bn_estimate_finish_pass(estimate, &alone)) {
    return false;
  }
  if (!file_exists(settings->moments)) return true;
  if (settings->from.count == 0) return bn_moments_read(estimate, settings->moments);
  /* with --from the file is that of an earlier pass, to be replaced, or of this one, to be resumed */
  bn_estimate other;
  int code;
  if (!bn_estimate_open(&other, settings, estimate->path, &code)) {
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
  if (before == 0 || before == work->data.samples || work->settings->from.count > 0) return true;
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
  const struct reestimate_settings *settings = work->settings;
  const bn_estimate *estimate = &work->estimate;
  double skipped = (double)work->data.skipped / (estimate->passes ? estimate->passes : 1);
  if (!ranks_sum(&work->ranks, &skipped)) return false;
  if (work->ranks.rank > 0) return true;
  if (settings->report && !bn_report_write(estimate, settings->report, settings->output_file)) return false;
  if (!write_model(estimate, settings->output_file)) {
    if (settings->report) unlink(settings->report);
    return false;
  }
  if (!settings->common.quiet) bn_report_print(estimate);
  if (skipped >= 1) printf("%.0f samples were left out, since they held NaN or infinities\n", skipped);
  size_t done = 0;
  for (size_t i = 0; i < estimate->count; i++) done += estimate->nodes[i].done;
  printf("%zu of %zu BatchNormalization nodes have new statistics, from %" PRId64 " samples in %d %s: ", done,
         estimate->count, estimate->samples, estimate->passes, estimate->passes == 1 ? "pass" : "passes");
  print_text(stdout, settings->output_file);
  putchar('\n');
  return true;
}

static int reestimate(reestimation *work, const char *model) {
  int code = EXIT_REFUSED;
  const struct reestimate_settings *settings = work->settings;
  if (!check_settings(settings, model, &work->ranks)) return code;
  if (!bn_estimate_open(&work->estimate, settings, model, &code)) return code;
  code = EXIT_REFUSED;
  if (!load_moments(work)) return code;
  int64_t before = settings->from.count == 0 ? work->estimate.samples : 0;
  work->has_data = settings->data.count > 0 || settings->common.argument_count > 1;
  if (work->has_data) {
    if (!bn_data_open(&work->data, settings, work->estimate.runtime, norma_bn_model(work->estimate.study)) ||
        !check_samples(work, before))
      return code;
  }
  bn_catch_signals();
  int share_code = EXIT_REFUSED;
  if (!run_passes(work, &share_code)) return code;
  if (!settings->output_file) return share_code;
  return finish(work) ? EXIT_YES : code;
}

static int reestimate_ranks(const void *given) {
  const struct reestimate_settings *settings = given;
  reestimation work = {.settings = settings};
  struct reestimate_settings quiet;
  int code = EXIT_REFUSED;
  if (ranks_start(&work.ranks)) {
    if (work.ranks.rank > 0) { /* one rank speaks */
      quiet = *settings;
      quiet.common.quiet = true;
      work.settings = &quiet;
    }
    code = reestimate(&work, settings->common.arguments[0]);
  }
  bn_data_close(&work.data);
  bn_estimate_close(&work.estimate);
  return ranks_finish(&work.ranks, code);
}

/* ---------------------------------------------------------------------------------------------------------- options */

static bool take_method(void *place, const char *text, option_pool *pool) {
  const int word = find_word(text, (const char *const[]){"population", "ema", NULL});
  (void)pool;
  *(estimate_method *)place = word == 1 ? METHOD_EMA : METHOD_POPULATION;
  return word >= 0;
}

static bool take_order(void *place, const char *text, option_pool *pool) {
  const int word = find_word(text, (const char *const[]){"sequential", "simultaneous", NULL});
  (void)pool;
  *(estimate_order *)place = word == 1 ? ORDER_SIMULTANEOUS : ORDER_SEQUENTIAL;
  return word >= 0;
}

static bool take_variance(void *place, const char *text, option_pool *pool) {
  const int word = find_word(text, (const char *const[]){"population", "sample", NULL});
  (void)pool;
  *(bool *)place = word == 1;
  return word >= 0;
}

static bool take_layout(void *place, const char *text, option_pool *pool) {
  const int word = find_word(text, (const char *const[]){"nchw", "nhwc", NULL});
  (void)pool;
  *(picture_layout *)place = word == 1 ? LAYOUT_NHWC : LAYOUT_NCHW;
  return word >= 0;
}

static bool take_momentum(void *place, const char *text, option_pool *pool) {
  double *momentum = place;
  (void)pool;
  return parse_real(text, momentum) && *momentum >= 0 && *momentum <= 1;
}

static bool take_scale(void *place, const char *text, option_pool *pool) {
  (void)pool;
  return parse_real(text, place) && *(const double *)place != 0;
}

static bool take_numbers(void *place, const char *text, option_pool *pool) {
  (void)pool;
  return parse_numbers(text, place);
}

static bool take_positive_numbers(void *place, const char *text, option_pool *pool) {
  const number_list *list = place;
  bool good = take_numbers(place, text, pool);
  for (int i = 0; good && i < list->count; i++) good = list->numbers[i] > 0;
  return good;
}

/* An option of this command alone. */
#define OWN(member, ...)                                                                                               \
  { &(const tool_option){__VA_ARGS__}, offsetof(struct reestimate_settings, member) }

static const command_option options[] = {
    OWN(data, "data", 0, "[NAME=]PATH...",
        "samples: .npy (the first axis counts them), .npz with an array per input, pictures, or a folder of these or "
        "of test_data_set_N; may be given several times; arrays are mapped and may be larger than memory",
        NULL, take_list),
    {&shared_options[SHARED_OUTPUT_FILE], offsetof(struct reestimate_settings, output_file)},
    OWN(method, "method", 0, "HOW",
        "population (default): mean and variance of all samples; ema: the moving average of training, batch by batch",
        "population or ema", take_method),
    OWN(order, "order", 0, "HOW",
        "sequential (default): each node sees the nodes before it on their new statistics; simultaneous: one pass, "
        "every node normalises by its batch",
        "sequential or simultaneous", take_order),
    OWN(batch, "batch", 0, "N", "samples of one run, where the model leaves that open (default: 32)",
        "a number of at least 1", take_positive),
    OWN(momentum, "momentum", 0, "M",
        "of ema: running * M + batch * (1 - M), which is 1 minus PyTorch's (default: each node's attribute)",
        "a number from 0 to 1", take_momentum),
    OWN(epochs, "epochs", 0, "N", "of ema: how often the data are gone through (default: 1)", "a number of at least 1",
        take_positive),
    OWN(sample_variance, "variance", 0, "HOW",
        "population (default) divides by N, as the operator does; sample by N - 1, as PyTorch stores it",
        "population or sample", take_variance),
    OWN(only, "only", 0, "GLOB", "only nodes whose name matches; may be given several times",
        "a glob over names of nodes", take_list),
    OWN(report, "report", 0, "FILE.json", "write stored and measured statistics and their drift, channel by channel",
        NULL, take_text),
    OWN(moments, "moments", 0, "FILE",
        "save the moments there every few seconds and go on from there when the file exists; without -o, measure one "
        "pass over this share of the data and stop",
        NULL, take_text),
    OWN(from, "from", 0, "FILE", "begin with the moments of a finished share; several are merged exactly", NULL,
        take_list),
    OWN(skip_bad, "skip-bad", 0, NULL, "leave out samples that hold NaN or infinities instead of refusing them", NULL,
        take_flag),
    OWN(scale, "scale", 0, "X", "multiply the data by this first, such as 1/255 (the default for pictures)",
        "a number other than 0 such as 1/255", take_scale),
    OWN(mean, "mean", 0, "M,...", "subtract this from the data, one number or one per channel, after --scale",
        "numbers such as 0.485,0.456,0.406", take_numbers),
    OWN(std, "std", 0, "S,...", "divide the data by this, after --mean", "numbers above 0 such as 0.229,0.224,0.225",
        take_positive_numbers),
    OWN(layout, "layout", 0, "ORDER", "nchw or nhwc: where channels stand (default: as the model's input says)",
        "nchw or nhwc", take_layout),
    {NULL, 0},
};

const command command_bn_reestimate = {
    .name = "bn reestimate",
    .synopsis =
        "MODEL --data PATH... -o OUT [--method population|ema] [--order sequential|simultaneous] [--batch N] "
        "[--momentum M] [--epochs N] [--variance population|sample] [--only GLOB]... [--report FILE.json] "
        "[--moments FILE] [--from FILE]... [--skip-bad] [--scale X] [--mean M,...] [--std S,...] [--layout nchw|nhwc]",
    .summary = "measure means and variances anew and write the model with them",
    .text =
        "Runs data without labels through the model and replaces the stored mean and variance of every "
        "BatchNormalization node. All else in the file stays byte for byte. A node whose statistics something else "
        "reads too gets copies of its own.\n"
        "With --order sequential the result does not depend on batches, threads or processes beyond 1e-12; as many "
        "passes over the data are made as nodes stand behind each other. Interrupted with --moments FILE, the same "
        "command goes on where it was.\n"
        "mpirun -n N norma bn reestimate ... shares the batches among N processes. Without MPI: run each share with "
        "--moments FILE and without -o, then the next pass with --from for each of these files, and at the end once "
        "with --from and -o and without --data.\n",
    .options = options,
    .min_arguments = 1,
    .max_arguments = -1,
    .argument = "MODEL",
    .settings_size = sizeof(struct reestimate_settings),
    .defaults = &(const struct reestimate_settings){.momentum = -1, .epochs = 1},
    .run = reestimate_ranks,
};
