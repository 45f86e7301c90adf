/*
 * norma bn list: the BatchNormalization nodes of a model, what they follow, whether they can be folded, and whether
 * their statistics make sense.
 */
#include "tools/command.h"
#include "tools/formats/json.h"
#include "tools/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct list_settings {
  struct common_settings common;
  bool json;
};

/* What one node is, and what it reads. */
typedef struct listed_node {
  norma_bn_info info;
  norma_node_info node;
  bool has_producer; /* X comes from a node */
  norma_node_info producer;
  norma_graph_value_info x;
  bool is_foldable;
} listed_node;

/* Channels with something that is worth a look. */
typedef struct health {
  int64_t tiny_variance; /* at most epsilon / 100: what the node divides by is its epsilon */
  int64_t negative_variance, not_finite, zero_scale;
  int64_t extreme_gain; /* |scale| / sqrt(variance + epsilon) of 1000 or more */
  double largest_gain;
  bool untouched; /* mean 0 and variance 1 everywhere: as before training */
} health;

static double element(const norma_tensor *tensor, int64_t c) {
  double number = NAN;
  norma_tensor_get_doubles(tensor, norma_tensor_count(tensor) == 1 ? 0 : c, 1, &number);
  return number;
}

static health measure_health(const norma_bn_info *node) {
  health found = {.untouched = node->channels > 0};
  bool has_scale = node->scale && norma_tensor_count(node->scale) == node->channels;
  for (int64_t c = 0; node->mean && node->variance && !node->obstacle && c < node->channels; c++) {
    double m = element(node->mean, c), v = element(node->variance, c), scale = has_scale ? element(node->scale, c) : 1;
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

/* Names of nodes in the order of strcmp. */
typedef struct name_list {
  const char **names;
  size_t count;
} name_list;

static int compare_names(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The nodes that are still there after all folding. false: out of memory. */
static bool list_survivors(const norma_model *folded, name_list *survivors) {
  norma_graph_info graph = {.struct_size = sizeof graph};
  norma_graph_describe(norma_model_graph(folded), &graph);
  survivors->names = calloc(graph.node_count + 1, sizeof *survivors->names);
  if (!survivors->names) return false;
  for (const norma_node *node = norma_graph_first_node(norma_model_graph(folded)); node; node = norma_node_next(node)) {
    norma_node_info info = {.struct_size = sizeof info};
    norma_node_describe(node, &info);
    if (strcmp(info.op_type, "BatchNormalization") == 0) survivors->names[survivors->count++] = info.name;
  }
  qsort(survivors->names, survivors->count, sizeof *survivors->names, compare_names);
  return true;
}

static bool survives(const name_list *survivors, const char *name) {
  return bsearch(&name, survivors->names, survivors->count, sizeof *survivors->names, compare_names) != NULL;
}

static bool is_layer(const norma_node_info *node) {
  static const char *const layers[] = {"Conv", "ConvTranspose", "Gemm", "MatMul", "Add"};
  for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
    if (strcmp(node->op_type, layers[i]) == 0) return true;
  }
  return false;
}

static const char *why_not(const listed_node *one, char *text, size_t size) {
  const norma_bn_info *info = &one->info;
  if (info->is_training) return "it is in training mode (norma bn freeze)";
  if (info->obstacle) return info->obstacle;
  if (!info->scale || !info->bias) return "its scale or bias is no constant";
  if (!one->has_producer) return "it stands at the input of the model";
  if (!is_layer(&one->producer)) {
    snprintf(text, size, "it follows %s, and no layer behind it can take it in", one->producer.op_type);
    return text;
  }
  if (one->x.reader_count > 1 || one->x.is_output) return "something else reads its input too";
  return "the layer before it has weights that are no constants, or would leave the range of their type";
}

static listed_node list_node(const norma_bn_study *study, size_t index, const name_list *survivors) {
  listed_node one = {.info = {.struct_size = sizeof one.info},
                     .node = {.struct_size = sizeof one.node},
                     .producer = {.struct_size = sizeof one.producer},
                     .x = {.struct_size = sizeof one.x}};
  norma_bn_describe(study, index, &one.info);
  norma_node_describe(one.info.node, &one.node);
  norma_graph_value_describe(norma_node_input(one.info.node, 0), &one.x);
  one.has_producer = one.x.producer != NULL;
  if (one.has_producer) norma_node_describe(one.x.producer, &one.producer);
  one.is_foldable = !survives(survivors, one.info.name);
  return one;
}

/* ------------------------------------------------------------------------------------------------------------- text */

static void print_count(int64_t count, const char *what, bool *first) {
  if (count == 0) return;
  printf("%s%" PRId64 " %s", *first ? "" : ", ", count, what);
  *first = false;
}

static void print_health(const norma_bn_info *node, const health *found) {
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

static void print_node(const listed_node *one) {
  char reason[256];
  const norma_bn_info *info = &one->info;
  const health found = measure_health(info);
  print_text(stdout, info->name);
  printf("\n    ");
  if (info->channels >= 0) printf("%" PRId64 " channels, ", info->channels);
  printf("opset %" PRId64 ", epsilon %g, momentum %g, %s", one->node.opset, info->epsilon, info->momentum,
         info->is_training ? "training" : "inference");
  if (one->has_producer) {
    printf(", after %s '", one->producer.op_type);
    print_text(stdout, one->producer.name);
    printf("'");
  } else {
    printf(", at the input");
  }
  printf("\n    %s%s\n",
         one->is_foldable ? "foldable" : "not foldable: ", one->is_foldable ? "" : why_not(one, reason, sizeof reason));
  if (info->is_shared)
    printf("    its mean or variance is read elsewhere too; new statistics get copies of their own\n");
  print_health(info, &found);
}

static void print_people(const norma_bn_study *study, const name_list *survivors) {
  const size_t count = norma_bn_count(study), inner = norma_bn_inner_count(study);
  size_t foldable = 0;
  for (size_t i = 0; i < count; i++) {
    const listed_node one = list_node(study, i, survivors);
    print_node(&one);
    foldable += one.is_foldable;
  }
  printf("%zu BatchNormalization %s, %zu foldable", count, count == 1 ? "node" : "nodes", foldable);
  if (inner > 0) printf("; %zu more inside the bodies of other nodes", inner);
  printf(count + inner == 0 ? ": an exporter folds them into other layers unless told not to\n" : "\n");
}

/* ------------------------------------------------------------------------------------------------------------- json */

static void write_health(json_writer *json, const health *found) {
  json_object(json, "health");
  json_integer(json, "not_finite", found->not_finite);
  json_integer(json, "negative_variance", found->negative_variance);
  json_integer(json, "tiny_variance", found->tiny_variance);
  json_integer(json, "zero_scale", found->zero_scale);
  json_integer(json, "extreme_gain", found->extreme_gain);
  json_number(json, "largest_gain", found->largest_gain);
  json_boolean(json, "untouched", found->untouched);
  json_end_object(json);
}

static void write_node(json_writer *json, const listed_node *one) {
  char reason[256];
  const norma_bn_info *info = &one->info;
  const health found = measure_health(info);
  json_object(json, NULL);
  json_string(json, "name", info->name);
  json_integer(json, "channels", info->channels);
  json_integer(json, "opset", one->node.opset);
  json_number(json, "epsilon", info->epsilon);
  json_number(json, "momentum", info->momentum);
  json_string(json, "mode", info->is_training ? "training" : "inference");
  json_string(json, "input", info->input);
  json_string(json, "output", info->output);
  if (one->has_producer) {
    json_string(json, "follows", one->producer.op_type);
    json_string(json, "follows_name", one->producer.name);
  }
  json_boolean(json, "foldable", one->is_foldable);
  if (!one->is_foldable) json_string(json, "not_foldable_because", why_not(one, reason, sizeof reason));
  json_boolean(json, "replaceable", !info->obstacle);
  if (info->obstacle) json_string(json, "not_replaceable_because", info->obstacle);
  json_integer(json, "pass", info->level);
  json_string(json, "mean", info->mean_name);
  json_string(json, "variance", info->variance_name);
  json_boolean(json, "shared", info->is_shared);
  write_health(json, &found);
  json_end_object(json);
}

static void print_json(const norma_bn_study *study, const char *path, const name_list *survivors) {
  json_writer json;
  json_start(&json, stdout, false);
  json_object(&json, NULL);
  json_string(&json, "model", path);
  json_unsigned(&json, "inside_other_nodes", norma_bn_inner_count(study));
  json_array(&json, "nodes");
  for (size_t i = 0; i < norma_bn_count(study); i++) {
    const listed_node one = list_node(study, i, survivors);
    write_node(&json, &one);
  }
  json_end_array(&json);
  json_end_object(&json);
}

/* -------------------------------------------------------------------------------------------------------------- all */

static int print_list(const struct list_settings *settings, const norma_bn_study *study, const norma_model *folded) {
  name_list survivors = {0};
  if (!list_survivors(folded, &survivors)) return tool_error("out of memory");
  if (settings->json) {
    print_json(study, settings->common.arguments[0], &survivors);
  } else {
    print_people(study, &survivors);
  }
  free(survivors.names);
  return EXIT_YES;
}

static int list(const void *given) {
  const struct list_settings *settings = given;
  const char *path = settings->common.arguments[0];
  int code = EXIT_REFUSED, levels;
  norma_error error;
  norma_bn_study *study = NULL;
  norma_model *folded = NULL;
  norma_runtime *runtime = settings_create_runtime(&settings->common);
  if (!runtime) return code;
  norma_load_options options = settings_load(&settings->common, runtime, -1), folding = options;
  folding.form = NORMA_FORM_FOLDED;
  if (norma_bn_open(path, &options, &study, &error) != NORMA_OK ||
      norma_bn_choose(study, NULL, &levels, &error) != NORMA_OK ||
      norma_model_load(path, &folding, &folded, &error) != NORMA_OK) {
    code = tool_library_error(path, &error);
  } else {
    code = print_list(settings, study, folded);
  }
  norma_model_destroy(folded);
  norma_bn_destroy(study);
  norma_runtime_destroy(runtime);
  return code;
}

static const command_option options[] = {
    {&shared_options[SHARED_JSON], offsetof(struct list_settings, json)},
    {NULL, 0},
};

const command command_bn_list = {
    .name = "bn list",
    .synopsis = "MODEL [--json]",
    .summary = "the BatchNormalization nodes of a model",
    .text =
        "Prints each node: channels, opset, epsilon, momentum, mode, what it follows, whether it can be folded and if "
        "not why, and its health: variance near zero, negative or NaN, scale 0, extreme gain, statistics that "
        "training never touched.\n",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .argument = "MODEL",
    .settings_size = sizeof(struct list_settings),
    .run = list,
};
