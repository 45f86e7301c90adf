#include "tools/bn/bn_report.h"

#include "tools/formats/json.h"
#include "tools/formats/output_file.h"
#include "tools/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* How far one channel has moved. The variances that are compared have epsilon added, as the node divides by them. */
typedef struct channel_drift {
  size_t node;
  int64_t channel;
  double mean;       /* |difference of means| / stored deviation */
  double ratio;      /* measured deviation / stored deviation */
  double divergence; /* symmetric Kullback-Leibler divergence */
} channel_drift;

static channel_drift measure(const bn_estimate *estimate, size_t index, int64_t c) {
  const node_estimate *node = &estimate->nodes[index];
  double epsilon = node->about.epsilon;
  double stored = node->stored_variance[c] + epsilon, measured = node->variance[c] + epsilon;
  return (channel_drift){.node = index,
                         .channel = c,
                         .mean = norma_moments_drift(node->stored_mean[c], stored, node->mean[c]),
                         .ratio = stored > 0 ? sqrt(measured / stored) : (double)NAN,
                         .divergence = norma_moments_divergence(node->stored_mean[c], stored, node->mean[c], measured)};
}

enum { WORST = 5 };

/* The channels that diverge most, largest first. */
typedef struct worst_list {
  int count;
  channel_drift list[WORST];
} worst_list;

static void worst_add(worst_list *worst, channel_drift drift) {
  int at = worst->count < WORST ? worst->count++ : WORST;
  for (; at > 0 && drift.divergence > worst->list[at - 1].divergence; at--) {
    if (at < WORST) worst->list[at] = worst->list[at - 1];
  }
  if (at < WORST) worst->list[at] = drift;
}

static const char *node_name(const bn_estimate *estimate, size_t index) {
  return estimate->nodes[index].about.name;
}

void bn_report_print(const bn_estimate *estimate) {
  worst_list worst = {0};
  printf("%-40s %8s %12s %12s %12s\n", "node", "channels", "mean drift", "deviation", "divergence");
  for (size_t i = 0; i < estimate->count; i++) {
    const node_estimate *node = &estimate->nodes[i];
    double mean = 0, ratio = 1, divergence = 0;
    if (!node->done) continue;
    for (int64_t c = 0; c < node->channels; c++) {
      channel_drift drift = measure(estimate, i, c);
      mean = fmax(mean, drift.mean);
      if (fabs(log(drift.ratio)) > fabs(log(ratio))) ratio = drift.ratio;
      divergence = fmax(divergence, drift.divergence);
      worst_add(&worst, drift);
    }
    char name[256];
    printf("%-40s %8" PRId64 " %12.4g %11.4gx %12.4g\n", printable(node_name(estimate, i), name, sizeof name),
           node->channels, mean, ratio, divergence);
  }
  printf("(of each node the channel that moved most: |difference of means| / stored deviation, measured deviation /\n"
         "stored deviation, symmetric Kullback-Leibler divergence)\nfurthest channels:\n");
  for (int i = 0; i < worst.count; i++) {
    const channel_drift *drift = &worst.list[i];
    const node_estimate *node = &estimate->nodes[drift->node];
    printf("  ");
    print_text(stdout, node_name(estimate, drift->node));
    printf(" channel %" PRId64 ": mean %g -> %g, variance %g -> %g\n", drift->channel,
           node->stored_mean[drift->channel], node->mean[drift->channel], node->stored_variance[drift->channel],
           node->variance[drift->channel]);
  }
}

static void write_vector(json_writer *json, const char *key, const double *numbers, int64_t count) {
  json_array(json, key);
  for (int64_t c = 0; c < count; c++) json_exact(json, NULL, numbers[c]);
  json_end_array(json);
}

static void write_node(json_writer *json, const bn_estimate *estimate, size_t index) {
  const node_estimate *node = &estimate->nodes[index];
  json_object(json, NULL);
  json_string(json, "node", node_name(estimate, index));
  json_integer(json, "pass", estimate->simultaneous ? 1 : node->about.level);
  json_integer(json, "channels", node->channels);
  json_number(json, "values_per_channel", node->count);
  json_number(json, "epsilon", node->about.epsilon);
  write_vector(json, "stored_mean", node->stored_mean, node->channels);
  write_vector(json, "stored_variance", node->stored_variance, node->channels);
  write_vector(json, "mean", node->mean, node->channels);
  write_vector(json, "variance", node->variance, node->channels);
  static const char *const keys[] = {"mean_drift", "deviation_ratio", "divergence"};
  for (int k = 0; k < 3; k++) {
    json_array(json, keys[k]);
    for (int64_t c = 0; c < node->channels; c++) {
      channel_drift drift = measure(estimate, index, c);
      json_number(json, NULL, k == 0 ? drift.mean : k == 1 ? drift.ratio : drift.divergence);
    }
    json_end_array(json);
  }
  json_end_object(json);
}

static void write_worst(json_writer *json, const bn_estimate *estimate) {
  worst_list worst = {0};
  for (size_t i = 0; i < estimate->count; i++) {
    for (int64_t c = 0; estimate->nodes[i].done && c < estimate->nodes[i].channels; c++) {
      worst_add(&worst, measure(estimate, i, c));
    }
  }
  json_array(json, "worst");
  for (int i = 0; i < worst.count; i++) {
    json_object(json, NULL);
    json_string(json, "node", node_name(estimate, worst.list[i].node));
    json_integer(json, "channel", worst.list[i].channel);
    json_number(json, "mean_drift", worst.list[i].mean);
    json_number(json, "deviation_ratio", worst.list[i].ratio);
    json_number(json, "divergence", worst.list[i].divergence);
    json_end_object(json);
  }
  json_end_array(json);
}

bool bn_report_write(const bn_estimate *estimate, const char *path, const char *output) {
  output_group group = {0};
  FILE *file = output_open(&group, path);
  if (!file) return false;
  const struct reestimate_settings *settings = estimate->settings;
  json_writer json;
  json_start(&json, file, false);
  json_object(&json, NULL);
  json_string(&json, "model", estimate->path);
  json_string(&json, "output", output ? output : "");
  json_string(&json, "method", settings->method == METHOD_EMA ? "ema" : "population");
  json_string(&json, "order", estimate->simultaneous ? "simultaneous" : "sequential");
  json_string(&json, "variance", settings->sample_variance ? "sample" : "population");
  json_integer(&json, "passes", estimate->passes);
  json_integer(&json, "samples", estimate->samples);
  write_worst(&json, estimate);
  json_array(&json, "nodes");
  for (size_t i = 0; i < estimate->count; i++) {
    if (estimate->nodes[i].done) write_node(&json, estimate, i);
  }
  json_end_array(&json);
  json_end_object(&json);
  return output_commit(&group);
}
