/*
 * norma bn list: the BatchNormalization nodes of a model, what they follow, whether they can be folded, and whether
 * their statistics make sense.
 */
#include "engine/edit/bn_analysis.h"
#include "engine/base/element_type.h"
#include "engine/execute/runtime.h"
#include "engine/base/name_table.h"
#include "tools/command.h"
#include "tools/formats/json.h"
#include "tools/report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Channels with something that is worth a look. */
typedef struct health {
  int64_t tiny_variance; /* at most epsilon / 100: what the node divides by is its epsilon */
  int64_t negative_variance, not_finite, zero_scale;
  int64_t extreme_gain; /* |scale| / sqrt(variance + epsilon) of 1000 or more */
  double largest_gain;
  bool untouched; /* mean 0 and variance 1 everywhere: as before training */
} health;

static double element(const norma_tensor *tensor, int64_t c) {
  return element_get_double(tensor->type, tensor->data, norma_tensor_count(tensor) == 1 ? 0 : c);
}

static health measure_health(const batch_normalization *node) {
  health found = {.untouched = node->channels > 0};
  const norma_tensor *mean = node->mean.contents ? norma_value_tensor(node->mean.contents) : NULL;
  const norma_tensor *variance = node->variance.contents ? norma_value_tensor(node->variance.contents) : NULL;
  bool has_scale = node->scale && norma_tensor_count(node->scale) == node->channels;
  for (int64_t c = 0; mean && variance && !node->obstacle && c < node->channels; c++) {
    double m = element(mean, c), v = element(variance, c), scale = has_scale ? element(node->scale, c) : 1;
    bool finite = isfinite(m) && isfinite(v) && isfinite(scale);
    found.not_finite += !finite;
    found.negative_variance += v < 0;
    found.tiny_variance += v >= 0 && v <= node->epsilon / 100;
    found.zero_scale += scale == 0;
    found.untouched = found.untouched && m == 0 && v == 1;
    double gain = finite ? fabs(scale) / sqrt(v + node->epsilon) : 0;
    found.extreme_gain += !(gain < 1000);
    if (gain > found.largest_gain) found.largest_gain = gain;
  }
  return found;
}

/* ---------------------------------------------------------------------------------------------------------- folding */

/* The names of the nodes that are still there after all folding. false: out of memory. */
static bool list_survivors(const norma_model *folded, name_table *names) {
  for (const node *node = folded->graph->first; node; node = node->next) {
    bool added;
    if (strcmp(node->op_type, "BatchNormalization") == 0 && !name_table_add(names, node->name, &added)) return false;
  }
  return true;
}

static bool survives(const name_table *survivors, const char *name) {
  return name_table_find(survivors, name) != NULL;
}

static bool is_layer(const node *node) {
  static const char *const layers[] = {"Conv", "ConvTranspose", "Gemm", "MatMul", "Add"};
  for (size_t i = 0; node && i < sizeof layers / sizeof layers[0]; i++) {
    if (strcmp(node->op_type, layers[i]) == 0) return true;
  }
  return false;
}

static const char *why_not(const batch_normalization *node, char *text, size_t size) {
  const graph_value *x = node->node->inputs[0];
  if (node->training) return "it is in training mode (norma bn freeze)";
  if (node->obstacle) return node->obstacle;
  if (!node->scale || !node->bias) return "its scale or bias is no constant";
  if (!x->producer) return "it stands at the input of the model";
  if (!is_layer(x->producer)) {
    snprintf(text, size, "it follows %s, and no layer behind it can take it in", x->producer->op_type);
    return text;
  }
  if (x->use_count > 1 || x->output_count > 0) return "something else reads its input too";
  return "the layer before it has weights that are no constants, or would leave the range of their type";
}

/* ------------------------------------------------------------------------------------------------------------- text */

static void print_count(int64_t count, const char *what, bool *first) {
  if (count == 0) return;
  printf("%s%" PRId64 " %s", *first ? "" : ", ", count, what);
  *first = false;
}

static void print_health(const batch_normalization *node, const health *found) {
  bool first = true;
  if (node->obstacle) {
    printf("    statistics: %s\n", node->obstacle);
    return;
  }
  printf("    health: ");
  print_count(found->not_finite, "channels with NaN or infinity", &first);
  print_count(found->negative_variance, "with negative variance", &first);
  print_count(found->tiny_variance, "with variance near zero", &first);
  print_count(found->zero_scale, "with scale 0", &first);
  print_count(found->extreme_gain, "with a gain of 1000 or more", &first);
  if (found->untouched) {
    printf("%smean 0 and variance 1 everywhere, as before training", first ? "" : ", ");
    first = false;
  }
  printf("%s (largest gain %.4g)\n", first ? "good" : "", found->largest_gain);
}

static void print_node(const batch_normalization *node, const name_table *survivors) {
  char reason[256];
  health found = measure_health(node);
  const struct node *producer = node->node->inputs[0]->producer;
  print_text(stdout, node->node->name);
  printf("\n    ");
  if (node->channels >= 0) printf("%" PRId64 " channels, ", node->channels);
  printf("opset %" PRId64 ", epsilon %g, momentum %g, %s", node->node->opset, node->epsilon, node->momentum,
         node->training ? "training" : "inference");
  if (producer) {
    printf(", after %s '", producer->op_type);
    print_text(stdout, producer->name);
    printf("'");
  } else {
    printf(", at the input");
  }
  bool foldable = !survives(survivors, node->node->name);
  printf("\n    %s%s\n",
         foldable ? "foldable" : "not foldable: ", foldable ? "" : why_not(node, reason, sizeof reason));
  if (node->mean.is_shared || node->variance.is_shared) {
    printf("    its mean or variance is read elsewhere too; new statistics get copies of their own\n");
  }
  print_health(node, &found);
}

static void print_people(const bn_analysis *study, const name_table *survivors) {
  for (size_t i = 0; i < study->count; i++) print_node(&study->nodes[i], survivors);
  size_t foldable = 0;
  for (size_t i = 0; i < study->count; i++) foldable += !survives(survivors, study->nodes[i].node->name);
  printf("%zu BatchNormalization %s, %zu foldable", study->count, study->count == 1 ? "node" : "nodes", foldable);
  if (study->inner_count > 0) printf("; %zu more inside the bodies of other nodes", study->inner_count);
  printf(study->count + study->inner_count == 0 ? ": an exporter folds them into other layers unless told not to\n"
                                                : "\n");
}

/* ------------------------------------------------------------------------------------------------------------- json */

static void write_node(json_writer *json, const batch_normalization *node, const name_table *survivors) {
  char reason[256];
  health found = measure_health(node);
  const struct node *producer = node->node->inputs[0]->producer;
  bool foldable = !survives(survivors, node->node->name);
  json_object(json, NULL);
  json_string(json, "name", node->node->name);
  json_integer(json, "channels", node->channels);
  json_integer(json, "opset", node->node->opset);
  json_number(json, "epsilon", node->epsilon);
  json_number(json, "momentum", node->momentum);
  json_string(json, "mode", node->training ? "training" : "inference");
  json_string(json, "input", node->input);
  json_string(json, "output", node->output);
  if (producer) {
    json_string(json, "follows", producer->op_type);
    json_string(json, "follows_name", producer->name);
  }
  json_boolean(json, "foldable", foldable);
  if (!foldable) json_string(json, "not_foldable_because", why_not(node, reason, sizeof reason));
  json_boolean(json, "replaceable", !node->obstacle);
  if (node->obstacle) json_string(json, "not_replaceable_because", node->obstacle);
  json_integer(json, "pass", node->level);
  json_string(json, "mean", node->mean.name);
  json_string(json, "variance", node->variance.name);
  json_boolean(json, "shared", node->mean.is_shared || node->variance.is_shared);
  json_object(json, "health");
  json_integer(json, "not_finite", found.not_finite);
  json_integer(json, "negative_variance", found.negative_variance);
  json_integer(json, "tiny_variance", found.tiny_variance);
  json_integer(json, "zero_scale", found.zero_scale);
  json_integer(json, "extreme_gain", found.extreme_gain);
  json_number(json, "largest_gain", found.largest_gain);
  json_boolean(json, "untouched", found.untouched);
  json_end_object(json);
  json_end_object(json);
}

static void print_json(const bn_analysis *study, const name_table *survivors) {
  json_writer json;
  json_start(&json, stdout, false);
  json_object(&json, NULL);
  json_string(&json, "model", study->source.path);
  json_unsigned(&json, "inside_other_nodes", study->inner_count);
  json_array(&json, "nodes");
  for (size_t i = 0; i < study->count; i++) write_node(&json, &study->nodes[i], survivors);
  json_end_array(&json);
  json_end_object(&json);
}

int command_bn_list(const struct settings *settings) {
  int code = EXIT_REFUSED, levels;
  const char *path = settings->arguments[0];
  norma_error error;
  bn_analysis *study = NULL;
  norma_model *folded = NULL;
  norma_runtime *runtime = settings_create_runtime(settings);
  if (!runtime) return code;
  name_table survivors;
  name_table_init(&survivors, &runtime->memory);
  norma_load_options options = settings_load(settings, runtime, -1);
  norma_status status = bn_analysis_open(&(model_source){.path = path}, &options, &study, &error);
  if (status == NORMA_OK) status = bn_analysis_plan(study, &levels, &error);
  options.form = NORMA_FORM_FOLDED;
  if (status == NORMA_OK) status = norma_model_load(path, &options, &folded, &error);
  if (status == NORMA_OK && !list_survivors(folded, &survivors)) {
    status = memory_error(&runtime->memory, 64, &error);
  }
  if (status != NORMA_OK) {
    code = tool_library_error(path, &error);
  } else if (settings->json) {
    print_json(study, &survivors);
    code = EXIT_YES;
  } else {
    print_people(study, &survivors);
    code = EXIT_YES;
  }
  name_table_free(&survivors);
  norma_model_destroy(folded);
  bn_analysis_close(study);
  norma_runtime_destroy(runtime);
  return code;
}
