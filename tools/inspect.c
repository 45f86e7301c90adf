/*
 * norma inspect: what is in a model. The graph is read as it stands in the file, so that a model with operators that
 * this build lacks can be looked at too; shapes are inferred as far as operators are known.
 */
#include "engine/execute/runtime.h"
#include "engine/plan/shape_inference.h"
#include "proto/model_reader.h"
#include "tools/command.h"
#include "tools/dot.h"
#include "tools/inputs.h"
#include "tools/formats/json.h"
#include "tools/formats/output_file.h"
#include "tools/report.h"
#include "tools/value_text.h"
#include "tools/weights.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct operator_count {
  const char *domain, *op_type;
  size_t count;
} operator_count;

/* Everything that is printed, in either form. */
typedef struct inspection {
  const struct settings *settings;
  const char *path;
  norma_runtime *runtime;
  norma_model *model; /* as exported; filled by the reader alone */
  operator_count *operators;
  size_t operator_kinds, node_count;
  weight_count weights;
  uint64_t products;
  bool products_complete;
  bool arena_known;
  size_t arena_bytes;
  char arena_problem[1024]; /* why it is not known */
} inspection;

/* ---------------------------------------------------------------------------------------------------------- reading */

static bool read_model(inspection *found) {
  norma_error error;
  norma_runtime *runtime = found->runtime;
  norma_model *model = memory_allocate_zeroed(&runtime->memory, sizeof *model);
  if (!model) {
    tool_error("out of memory");
    return false;
  }
  model->runtime = runtime;
  model->memory = &runtime->memory;
  model->optimization = NORMA_OPTIMIZE_NONE;
  region_init(&model->region, model->memory);
  model->packed = packed_constants_create(model->memory);
  found->model = model;
  model_read_options options = {.max_nodes = runtime->max_nodes, .max_depth = runtime->max_depth};
  if (model_read_file(model, found->path, &options, &error) == NORMA_OK) return true;
  tool_library_error(found->path, &error);
  return false;
}

static void resolve_graph(norma_model *model, graph *graph);

typedef struct resolving {
  norma_model *model;
} resolving;

static bool resolve_subgraph(void *context, graph *subgraph) {
  resolve_graph(((resolving *)context)->model, subgraph);
  return true;
}

/* Finds the operators that there are; nodes of others stay without. */
static void resolve_graph(norma_model *model, graph *graph) {
  resolving resolving = {model};
  norma_error error;
  for (node *one = graph->first; one; one = one->next) {
    const char *reason = NULL;
    if (operator_resolve(model->runtime->operators, one, &reason, &error) != NORMA_OK || reason) one->op = NULL;
    node_visit_subgraphs(one, resolve_subgraph, &resolving);
  }
}

/* What fails leaves shapes unknown. */
static void infer_shapes(inspection *found) {
  executor executor;
  norma_error error;
  executor_init_serial(&executor, found->model->memory, found->runtime->kernels, found->model->packed, true);
  infer_graph(found->model->graph, &executor, &error);
}

/* Dynamic dimensions of inputs become 1, or what --shape says. */
static void fix_inputs(inspection *found) {
  norma_model *model = found->model;
  for (int i = 0; i < model->graph->input_count; i++) {
    shape *declared = &model->graph->inputs[i]->info.shape;
    for (int axis = 0; axis < declared->rank; axis++) {
      if (declared->dims[axis] == DIM_UNKNOWN) declared->dims[axis] = 1;
    }
    for (size_t s = 0; s < found->settings->shape_count; s++) {
      const char *text = found->settings->shapes[s], *equals = strrchr(text, '=');
      size_t length = (size_t)(equals - text);
      const char *name = model->graph->inputs[i]->name;
      if (strlen(name) != length || memcmp(name, text, length) != 0) continue;
      declared->rank = parse_shape(equals + 1, declared->dims);
    }
  }
}

/* The arena of the model at the asked level with these input shapes: asked of a session. */
static void measure_arena(inspection *found) {
  norma_model *model = NULL;
  norma_session *session = NULL;
  input_set inputs = {.count = 0};
  norma_error error = {.status = NORMA_OK};
  norma_load_options options = settings_load(found->settings, found->runtime, -1);
  norma_status status = norma_model_load(found->path, &options, &model, &error);
  if (status == NORMA_OK) status = norma_session_create(model, NULL, &session, &error);
  if (status == NORMA_OK && inputs_collect(&inputs, found->settings, model, FILL_ZEROS) &&
      inputs_bind(&inputs, session)) {
    status = norma_session_prepare(session, &error);
    found->arena_known = status == NORMA_OK;
    found->arena_bytes = norma_session_arena_bytes(session);
  }
  if (status == NORMA_ERROR_UNSUPPORTED) {
    snprintf(found->arena_problem, sizeof found->arena_problem, "unsupported nodes, which norma check names");
  } else if (status != NORMA_OK) {
    snprintf(found->arena_problem, sizeof found->arena_problem, "%s", error.message);
  }
  norma_session_destroy(session);
  inputs_free(&inputs);
  norma_model_destroy(model);
}

static int most_first(const void *a, const void *b) {
  const operator_count *left = a, *right = b;
  if (left->count != right->count) return left->count > right->count ? -1 : 1;
  int order = strcmp(left->domain, right->domain);
  return order != 0 ? order : strcmp(left->op_type, right->op_type);
}

static bool count_graph(void *context, graph *graph) {
  inspection *found = context;
  for (const node *node = graph->first; node; node = node->next) {
    size_t at = 0;
    while (at < found->operator_kinds && (strcmp(found->operators[at].op_type, node->op_type) != 0 ||
                                          strcmp(found->operators[at].domain, node->domain) != 0)) {
      at++;
    }
    if (at == found->operator_kinds) {
      operator_count *longer = realloc(found->operators, (at + 1) * sizeof *longer);
      if (!longer) return false;
      found->operators = longer;
      found->operators[at] = (operator_count){node->domain, node->op_type, 0};
      found->operator_kinds++;
    }
    found->operators[at].count++;
    found->node_count++;
    node_visit_subgraphs(node, count_graph, found);
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------------- describing */

static norma_value_info describe(const graph_value *one) {
  norma_value_info info = {
      .name = one->name, .kind = one->info.kind, .type = one->info.type, .rank = one->info.shape.rank};
  const value_info *inner = &one->info;
  while (inner->kind != NORMA_VALUE_TENSOR && inner->item) inner = inner->item;
  info.type = inner->type;
  info.rank = inner->shape.rank;
  for (int i = 0; i < info.rank; i++) {
    info.dims[i] = inner->shape.dims[i];
    info.dim_names[i] = one->dim_names ? one->dim_names[i] : NULL;
  }
  return info;
}

static const char *exporter(const norma_model *model, char *text, size_t size) {
  char name[128], version[128];
  printable(model->producer_name, name, sizeof name);
  printable(model->producer_version, version, sizeof version);
  snprintf(text, size, "%s%s%s", name[0] ? name : "not named", version[0] ? " " : "", version);
  return text;
}

static bool is_batch_normalization(const node *node) {
  return strcmp(node->op_type, "BatchNormalization") == 0 && node->domain[0] == '\0';
}

/* Elements of the scale: C. -1 where it is not known. */
static int64_t normalization_channels(const node *node) {
  for (int i = 1; i < node->input_count && i < 5; i++) {
    if (node->inputs[i] && shape_is_known(&node->inputs[i]->info.shape))
      return shape_count(&node->inputs[i]->info.shape);
  }
  return -1;
}

static bool normalization_trains(const node *node) {
  if (node->opset >= 14) return attribute_int(node, "training_mode", 0) != 0;
  if (node->opset < 7) return attribute_int(node, "is_test", 0) == 0;
  for (int i = 1; i < node->output_count; i++) {
    if (node->outputs[i]) return true;
  }
  return false;
}

static const node *normalization_producer(const node *node) {
  return node->input_count > 0 && node->inputs[0] ? node->inputs[0]->producer : NULL;
}

/* ------------------------------------------------------------------------------------------------------------- text */

static void print_values(const char *title, graph_value *const *values, const norma_value_info *infos, int count) {
  printf("\n%s\n", title);
  for (int i = 0; i < count; i++) {
    char text[512];
    if (values[i]->constant) continue;
    printf("  ");
    print_text(stdout, values[i]->name);
    printf("  %s\n", info_text(&infos[i], text, sizeof text));
  }
}

static void print_normalizations(const graph *graph) {
  size_t count = 0;
  for (const node *node = graph->first; node; node = node->next) count += is_batch_normalization(node);
  printf("\nBatchNormalization nodes: %zu\n", count);
  for (const node *node = graph->first; node; node = node->next) {
    if (!is_batch_normalization(node)) continue;
    int64_t channels = normalization_channels(node);
    const struct node *producer = normalization_producer(node);
    printf("  ");
    print_text(stdout, node->name);
    if (channels >= 0) printf("  %" PRId64 " channels,", channels);
    printf(" epsilon %g, %s", (double)attribute_float(node, "epsilon", 1e-5f),
           normalization_trains(node) ? "training" : "inference");
    if (producer) {
      printf(", after %s '", producer->op_type);
      print_text(stdout, producer->name);
      printf("'");
    }
    putchar('\n');
  }
}

static void print_people(const inspection *found, const norma_value_info *inputs, const norma_value_info *outputs) {
  const norma_model *model = found->model;
  char text[300], number[40];
  print_text(stdout, found->path);
  printf("\n  exporter              %s\n", exporter(model, text, sizeof text));
  printf("  IR version            %" PRId64 "\n  opsets               ", model->ir_version);
  for (size_t i = 0; i < model->opset_count; i++) {
    printf("%s %s %" PRId64, i > 0 ? "," : "", printable(domain_text(model->opsets[i].domain), text, sizeof text),
           model->opsets[i].version);
  }
  printf("\n  nodes                 %s", count_text(found->node_count, number, sizeof number));
  if (model->function_count > 0) printf(" (%zu functions inlined)", model->function_count);
  printf("\n  parameters            %s", count_text(found->weights.elements, number, sizeof number));
  printf(" (%s)\n", bytes_text((double)found->weights.bytes, number, sizeof number));
  if (found->products_complete || found->products > 0) {
    printf("  multiply-accumulates  %s%s\n", found->products_complete ? "" : "at least ",
           count_text(found->products, number, sizeof number));
  } else {
    printf("  multiply-accumulates  not known\n");
  }
  if (found->arena_known) {
    printf("  arena                 %s\n", bytes_text((double)found->arena_bytes, number, sizeof number));
  } else {
    printf("  arena                 not known: ");
    print_text(stdout, found->arena_problem[0] ? found->arena_problem : "inputs cannot be made up");
    putchar('\n');
  }
  print_values("inputs", model->graph->inputs, inputs, model->graph->input_count);
  print_values("outputs", model->graph->outputs, outputs, model->graph->output_count);
  printf("\noperators\n");
  for (size_t i = 0; i < found->operator_kinds; i++) {
    const operator_count *one = &found->operators[i];
    printf("  %6zu  %s%s", one->count, printable(one->domain, text, sizeof text), one->domain[0] ? "." : "");
    print_text(stdout, one->op_type);
    putchar('\n');
  }
  print_normalizations(model->graph);
}

/* ------------------------------------------------------------------------------------------------------------- JSON */

static void print_json_values(json_writer *json, const char *key, graph_value *const *values,
                              const norma_value_info *infos, int count) {
  static const char *const kinds[] = {"none", "tensor", "sequence", "optional", "map"};
  json_array(json, key);
  for (int i = 0; i < count; i++) {
    if (values[i]->constant) continue;
    json_object(json, NULL);
    json_string(json, "name", infos[i].name);
    json_string(json, "kind", kinds[infos[i].kind]);
    json_string(json, "type", norma_element_type_name(infos[i].type));
    if (infos[i].rank >= 0) {
      json_array(json, "shape");
      for (int axis = 0; axis < infos[i].rank; axis++) {
        if (infos[i].dims[axis] >= 0) {
          json_integer(json, NULL, infos[i].dims[axis]);
        } else if (infos[i].dim_names[axis]) {
          json_string(json, NULL, infos[i].dim_names[axis]);
        } else {
          json_null(json, NULL);
        }
      }
      json_end_array(json);
    } else {
      json_null(json, "shape");
    }
    json_end_object(json);
  }
  json_end_array(json);
}

static void print_json_normalizations(json_writer *json, const graph *graph) {
  json_array(json, "batch_normalizations");
  for (const node *node = graph->first; node; node = node->next) {
    if (!is_batch_normalization(node)) continue;
    const struct node *producer = normalization_producer(node);
    json_object(json, NULL);
    json_string(json, "node", node->name);
    json_integer(json, "opset", node->opset);
    json_integer(json, "channels", normalization_channels(node));
    json_number(json, "epsilon", (double)attribute_float(node, "epsilon", 1e-5f));
    json_boolean(json, "training", normalization_trains(node));
    if (producer) json_string(json, "after", producer->name);
    json_end_object(json);
  }
  json_end_array(json);
}

static void print_json(const inspection *found, const norma_value_info *inputs, const norma_value_info *outputs) {
  const norma_model *model = found->model;
  json_writer json;
  json_start(&json, stdout, false);
  json_object(&json, NULL);
  json_string(&json, "model", found->path);
  json_string(&json, "producer", model->producer_name);
  json_string(&json, "producer_version", model->producer_version);
  json_integer(&json, "ir_version", model->ir_version);
  json_object(&json, "opsets");
  for (size_t i = 0; i < model->opset_count; i++)
    json_integer(&json, domain_text(model->opsets[i].domain), model->opsets[i].version);
  json_end_object(&json);
  json_unsigned(&json, "nodes", found->node_count);
  json_unsigned(&json, "functions", model->function_count);
  json_unsigned(&json, "parameters", found->weights.elements);
  json_unsigned(&json, "weights_bytes", found->weights.bytes);
  json_unsigned(&json, "multiply_accumulates", found->products);
  json_boolean(&json, "multiply_accumulates_complete", found->products_complete);
  if (found->arena_known) {
    json_unsigned(&json, "arena_bytes", found->arena_bytes);
  } else {
    json_null(&json, "arena_bytes");
  }
  print_json_values(&json, "inputs", model->graph->inputs, inputs, model->graph->input_count);
  print_json_values(&json, "outputs", model->graph->outputs, outputs, model->graph->output_count);
  json_object(&json, "operators");
  for (size_t i = 0; i < found->operator_kinds; i++) {
    char name[256];
    const operator_count *one = &found->operators[i];
    snprintf(name, sizeof name, "%.120s%s%.120s", one->domain, one->domain[0] ? "." : "", one->op_type);
    json_unsigned(&json, name, one->count);
  }
  json_end_object(&json);
  print_json_normalizations(&json, model->graph);
  json_object(&json, "metadata");
  for (size_t i = 0; i < model->metadata_count; i++)
    json_string(&json, model->metadata[i].key, model->metadata[i].value);
  json_end_object(&json);
  json_end_object(&json);
}

/* -------------------------------------------------------------------------------------------------------------- all */

static bool write_dot(const inspection *found) {
  output_group files = {0};
  FILE *file = output_open(&files, found->settings->dot);
  if (file) dot_write(file, found->model->graph);
  bool good = file && output_commit(&files);
  output_discard(&files);
  return good;
}

int command_inspect(const struct settings *settings) {
  inspection found = {.settings = settings, .path = settings->arguments[0]};
  norma_value_info *inputs = NULL, *outputs = NULL;
  int code = EXIT_REFUSED;
  found.runtime = settings_create_runtime(settings);
  if (!found.runtime || !read_model(&found)) goto done;
  const graph *graph = found.model->graph;
  inputs = calloc((size_t)graph->input_count + 1, sizeof *inputs);
  outputs = calloc((size_t)graph->output_count + 1, sizeof *outputs);
  if (!inputs || !outputs || !count_graph(&found, found.model->graph)) {
    tool_error("out of memory");
    goto done;
  }
  qsort(found.operators, found.operator_kinds, sizeof *found.operators, most_first);
  /* as declared: before dynamic dimensions are replaced */
  for (int i = 0; i < graph->input_count; i++) inputs[i] = describe(graph->inputs[i]);
  for (int i = 0; i < graph->output_count; i++) outputs[i] = describe(graph->outputs[i]);
  found.weights = weights_of_model(found.model);
  measure_arena(&found);
  resolve_graph(found.model, found.model->graph);
  infer_shapes(&found);
  for (int i = 0; i < graph->output_count; i++) { /* behind an unknown operator what is declared is all there is */
    norma_value_info inferred = describe(graph->outputs[i]);
    if (inferred.type != NORMA_UNDEFINED) outputs[i] = inferred;
  }
  fix_inputs(&found);
  infer_shapes(&found);
  found.products = multiply_accumulates(graph, &found.products_complete);
  if (settings->dot && !write_dot(&found)) goto done;
  if (settings->json) {
    print_json(&found, inputs, outputs);
  } else {
    print_people(&found, inputs, outputs);
  }
  code = EXIT_YES;

done:
  free(inputs);
  free(outputs);
  free(found.operators);
  norma_model_destroy(found.model);
  norma_runtime_destroy(found.runtime);
  return code;
}
