/*
 * norma inspect: what is in a model. The graph is read as it stands in the file, so that a model with operators that
 * this build lacks can be looked at too; shapes are inferred as far as operators are known.
 */
#include "tools/command.h"
#include "tools/dot.h"
#include "tools/formats/json.h"
#include "tools/formats/output_file.h"
#include "tools/model_file.h"
#include "tools/page/inspect_page.h"
#include "tools/products.h"
#include "tools/report.h"
#include "tools/value_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct inspect_settings {
  struct common_settings common;
  struct input_settings inputs; /* the shapes alone are asked for */
  bool json;
  const char *dot;
  const char *html, *profile, *report; /* a page, and what it shows besides */
};

typedef struct operator_count {
  const char *domain, *op_type;
  size_t count;
} operator_count;

/* Everything that is printed, in either form. */
typedef struct inspection {
  const struct inspect_settings *settings;
  model_file file;
  norma_runtime *runtime;
  norma_model *model; /* as exported */
  norma_model *fixed; /* the same with all dimensions of inputs known */
  norma_model_info about;
  operator_count *operators;
  size_t operator_kinds, node_count;
  uint64_t products;
  bool products_complete;
  norma_model *optimised; /* at the asked level, its inputs zeros, and a session that has its plan */
  norma_session *session;
  input_set zeros;
  bool arena_known;
  size_t arena_bytes;
  char arena_problem[1024]; /* why it is not known */
} inspection;

/* ---------------------------------------------------------------------------------------------------------- reading */

static bool read_model(inspection *found, const norma_input_shape *shapes, size_t count, norma_model **model) {
  norma_error error;
  const norma_load_options options = {.struct_size = sizeof options,
                                      .runtime = found->runtime,
                                      .form = NORMA_FORM_INSPECT,
                                      .input_shapes = shapes,
                                      .input_shape_count = count};
  if (model_file_load(&found->file, &options, model, &error) == NORMA_OK) return true;
  tool_library_error(found->file.path, &error);
  return false;
}

/* Dynamic dimensions of inputs become 1, or what --shape says. */
static bool read_fixed(inspection *found) {
  const size_t count = norma_model_input_count(found->model);
  norma_input_shape *shapes = calloc(count + 1, sizeof *shapes);
  int64_t(*dims)[NORMA_MAX_RANK] = calloc(count + 1, sizeof *dims);
  size_t given = 0;
  bool good = shapes && dims;
  if (!good) tool_error("out of memory");
  for (size_t i = 0; good && i < count; i++) {
    norma_value_info info;
    norma_model_input(found->model, i, &info);
    int rank = inputs_find_shape(&found->settings->inputs.shapes, info.name, dims[given]);
    if (rank < 0 && (info.kind != NORMA_VALUE_TENSOR || info.rank < 0)) continue;
    for (int axis = 0; rank < 0 && axis < info.rank; axis++)
      dims[given][axis] = info.dims[axis] < 0 ? 1 : info.dims[axis];
    shapes[given] = (norma_input_shape){info.name, rank < 0 ? info.rank : rank, dims[given]};
    given++;
  }
  good = good && read_model(found, shapes, given, &found->fixed);
  free(shapes);
  free(dims);
  return good;
}

/* The arena of the model at the asked level with these input shapes: asked of a session. */
static void measure_arena(inspection *found) {
  const struct inspect_settings *settings = found->settings;
  norma_error error = {.status = NORMA_OK};
  norma_load_options load = settings_load(&settings->common, found->runtime, -1);
  norma_session_options options = settings_session(&settings->common);
  options.profile = settings->html != NULL;
  norma_status status = model_file_load(&found->file, &load, &found->optimised, &error);
  if (status == NORMA_OK) status = norma_session_create(found->optimised, &options, &found->session, &error);
  if (status == NORMA_OK &&
      inputs_collect(&found->zeros, &settings->inputs, found->runtime, found->optimised, FILL_ZEROS) &&
      inputs_bind(&found->zeros, found->session)) {
    status = norma_session_prepare(found->session, &error);
    found->arena_known = status == NORMA_OK;
    found->arena_bytes = norma_session_arena_bytes(found->session);
  }
  const char *problem = status == NORMA_ERROR_UNSUPPORTED ? "unsupported nodes, which norma check names"
                        : status != NORMA_OK              ? error.message
                                                          : "inputs cannot be made up";
  if (!found->arena_known) snprintf(found->arena_problem, sizeof found->arena_problem, "%s", problem);
}

static norma_node_info describe_node(const norma_node *node) {
  norma_node_info info = {.struct_size = sizeof info};
  norma_node_describe(node, &info);
  if (strcmp(info.domain, "ai.onnx") == 0) info.domain = ""; /* which nobody writes */
  return info;
}

static int most_first(const void *a, const void *b) {
  const operator_count *left = a, *right = b;
  if (left->count != right->count) return left->count > right->count ? -1 : 1;
  int order = strcmp(left->domain, right->domain);
  return order != 0 ? order : strcmp(left->op_type, right->op_type);
}

static bool count_operator(inspection *found, const norma_node_info *node) {
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
  return true;
}

static bool count_graph(inspection *found, const norma_graph *graph) {
  for (const norma_node *node = norma_graph_first_node(graph); node; node = norma_node_next(node)) {
    const norma_node_info info = describe_node(node);
    const norma_graph *subgraph;
    if (!count_operator(found, &info)) return false;
    for (size_t i = 0; (subgraph = norma_node_subgraph(node, i)) != NULL; i++) {
      if (!count_graph(found, subgraph)) return false;
    }
  }
  return true;
}

/* --------------------------------------------------------------------------------------------------- normalizations */

/* A BatchNormalization node of the main graph. */
typedef struct normalization {
  norma_node_info node;
  int64_t channels; /* elements of the scale; -1 where they are not known */
  double epsilon;
  bool trains;
  bool has_producer; /* its input comes from a node */
  norma_node_info producer;
} normalization;

static int64_t normalization_channels(const norma_node *node) {
  for (size_t i = 1; i < 5; i++) {
    norma_graph_value_info info = {.struct_size = sizeof info};
    if (norma_graph_value_describe(norma_node_input(node, i), &info) != NORMA_OK) continue;
    const int rank = norma_type_rank(info.type);
    int64_t count = rank < 0 ? -1 : 1;
    for (int axis = 0; axis < rank && count >= 0; axis++) {
      const int64_t dim = norma_type_dims(info.type)[axis];
      count = dim < 0 ? -1 : count * dim;
    }
    if (count >= 0) return count;
  }
  return -1;
}

static bool normalization_trains(const norma_node *node, const norma_node_info *info) {
  const norma_attribute *mode = norma_node_find_attribute(node, info->opset >= 14 ? "training_mode" : "is_test");
  if (info->opset >= 14) return norma_attribute_int(mode, 0) != 0;
  if (info->opset < 7) return norma_attribute_int(mode, 0) == 0;
  for (size_t i = 1; i < info->output_count; i++) {
    if (norma_node_output(node, i)) return true;
  }
  return false;
}

/* false: the node is none. */
static bool read_normalization(const norma_node *node, normalization *result) {
  norma_graph_value_info input = {.struct_size = sizeof input};
  *result = (normalization){.node = describe_node(node)};
  if (strcmp(result->node.op_type, "BatchNormalization") != 0 || result->node.domain[0] != '\0') return false;
  const norma_attribute *epsilon = norma_node_find_attribute(node, "epsilon");
  result->channels = normalization_channels(node);
  result->epsilon = (double)(epsilon ? norma_attribute_float(epsilon, 0) : 1e-5f);
  result->trains = normalization_trains(node, &result->node);
  result->has_producer = norma_graph_value_describe(norma_node_input(node, 0), &input) == NORMA_OK && input.producer;
  if (result->has_producer) result->producer = describe_node(input.producer);
  return true;
}

/* ------------------------------------------------------------------------------------------------------------- text */

typedef norma_status (*model_value)(const norma_model *model, size_t index, norma_value_info *info);

static void print_values(const char *title, const norma_model *model, model_value value_at) {
  norma_value_info info;
  printf("\n%s\n", title);
  for (size_t i = 0; value_at(model, i, &info) == NORMA_OK; i++) {
    char text[512];
    printf("  ");
    print_text(stdout, info.name);
    printf("  %s\n", info_text(&info, text, sizeof text));
  }
}

static void print_normalizations(const norma_graph *graph) {
  normalization one;
  size_t count = 0;
  for (const norma_node *node = norma_graph_first_node(graph); node; node = norma_node_next(node)) {
    count += read_normalization(node, &one);
  }
  printf("\nBatchNormalization nodes: %zu\n", count);
  for (const norma_node *node = norma_graph_first_node(graph); node; node = norma_node_next(node)) {
    if (!read_normalization(node, &one)) continue;
    printf("  ");
    print_text(stdout, one.node.name);
    if (one.channels >= 0) printf("  %" PRId64 " channels,", one.channels);
    printf(" epsilon %g, %s", one.epsilon, one.trains ? "training" : "inference");
    if (one.has_producer) {
      printf(", after %s '", one.producer.op_type);
      print_text(stdout, one.producer.name);
      printf("'");
    }
    putchar('\n');
  }
}

static const char *exporter(const norma_model_info *about, char *text, size_t size) {
  char name[128], version[128];
  printable(about->producer_name, name, sizeof name);
  printable(about->producer_version, version, sizeof version);
  snprintf(text, size, "%s%s%s", name[0] ? name : "not named", version[0] ? " " : "", version);
  return text;
}

static void print_opsets(const norma_model *model) {
  const char *domain;
  int64_t version;
  char text[300];
  for (size_t i = 0; norma_model_opset(model, i, &domain, &version) == NORMA_OK; i++) {
    printf("%s %s %" PRId64, i > 0 ? "," : "", printable(domain, text, sizeof text), version);
  }
}

static void print_people(const inspection *found) {
  const norma_model_info *about = &found->about;
  char text[300], number[40];
  print_text(stdout, found->file.path);
  printf("\n  exporter              %s\n", exporter(about, text, sizeof text));
  printf("  IR version            %" PRId64 "\n  opsets               ", about->ir_version);
  print_opsets(found->model);
  printf("\n  nodes                 %s", count_text(found->node_count, number, sizeof number));
  if (about->function_count > 0) printf(" (%zu functions inlined)", about->function_count);
  printf("\n  parameters            %s", count_text(about->parameter_count, number, sizeof number));
  printf(" (%s)\n", bytes_text((double)about->parameter_bytes, number, sizeof number));
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
    print_text(stdout, found->arena_problem);
    putchar('\n');
  }
  print_values("inputs", found->model, norma_model_input);
  print_values("outputs", found->model, norma_model_output);
  printf("\noperators\n");
  for (size_t i = 0; i < found->operator_kinds; i++) {
    const operator_count *one = &found->operators[i];
    printf("  %6zu  %s%s", one->count, printable(one->domain, text, sizeof text), one->domain[0] ? "." : "");
    print_text(stdout, one->op_type);
    putchar('\n');
  }
  print_normalizations(norma_model_graph(found->fixed));
}

/* ------------------------------------------------------------------------------------------------------------- JSON */

static void print_json_shape(json_writer *json, const norma_value_info *info) {
  if (info->rank < 0) {
    json_null(json, "shape");
    return;
  }
  json_array(json, "shape");
  for (int axis = 0; axis < info->rank; axis++) {
    if (info->dims[axis] >= 0) {
      json_integer(json, NULL, info->dims[axis]);
    } else if (info->dim_names[axis]) {
      json_string(json, NULL, info->dim_names[axis]);
    } else {
      json_null(json, NULL);
    }
  }
  json_end_array(json);
}

static void print_json_values(json_writer *json, const char *key, const norma_model *model, model_value value_at) {
  static const char *const kinds[] = {"none", "tensor", "sequence", "optional", "map"};
  norma_value_info info;
  json_array(json, key);
  for (size_t i = 0; value_at(model, i, &info) == NORMA_OK; i++) {
    json_object(json, NULL);
    json_string(json, "name", info.name);
    json_string(json, "kind", kinds[info.kind]);
    json_string(json, "type", norma_element_type_name(info.type));
    print_json_shape(json, &info);
    json_end_object(json);
  }
  json_end_array(json);
}

static void print_json_normalizations(json_writer *json, const norma_graph *graph) {
  normalization one;
  json_array(json, "batch_normalizations");
  for (const norma_node *node = norma_graph_first_node(graph); node; node = norma_node_next(node)) {
    if (!read_normalization(node, &one)) continue;
    json_object(json, NULL);
    json_string(json, "node", one.node.name);
    json_integer(json, "opset", one.node.opset);
    json_integer(json, "channels", one.channels);
    json_number(json, "epsilon", one.epsilon);
    json_boolean(json, "training", one.trains);
    if (one.has_producer) json_string(json, "after", one.producer.name);
    json_end_object(json);
  }
  json_end_array(json);
}

static void print_json_opsets(json_writer *json, const norma_model *model) {
  const char *domain;
  int64_t version;
  json_object(json, "opsets");
  for (size_t i = 0; norma_model_opset(model, i, &domain, &version) == NORMA_OK; i++)
    json_integer(json, domain, version);
  json_end_object(json);
}

static void print_json_metadata(json_writer *json, const norma_model *model) {
  const char *key, *text;
  json_object(json, "metadata");
  for (size_t i = 0; norma_model_metadata(model, i, &key, &text) == NORMA_OK; i++) json_string(json, key, text);
  json_end_object(json);
}

static void print_json(const inspection *found) {
  const norma_model_info *about = &found->about;
  json_writer json;
  json_start(&json, stdout, false);
  json_object(&json, NULL);
  json_string(&json, "model", found->file.path);
  json_string(&json, "producer", about->producer_name);
  json_string(&json, "producer_version", about->producer_version);
  json_integer(&json, "ir_version", about->ir_version);
  print_json_opsets(&json, found->model);
  json_unsigned(&json, "nodes", found->node_count);
  json_unsigned(&json, "functions", about->function_count);
  json_unsigned(&json, "parameters", about->parameter_count);
  json_unsigned(&json, "weights_bytes", about->parameter_bytes);
  json_unsigned(&json, "multiply_accumulates", found->products);
  json_boolean(&json, "multiply_accumulates_complete", found->products_complete);
  if (found->arena_known) {
    json_unsigned(&json, "arena_bytes", found->arena_bytes);
  } else {
    json_null(&json, "arena_bytes");
  }
  print_json_values(&json, "inputs", found->model, norma_model_input);
  print_json_values(&json, "outputs", found->model, norma_model_output);
  json_object(&json, "operators");
  for (size_t i = 0; i < found->operator_kinds; i++) {
    char name[256];
    const operator_count *one = &found->operators[i];
    snprintf(name, sizeof name, "%.120s%s%.120s", one->domain, one->domain[0] ? "." : "", one->op_type);
    json_unsigned(&json, name, one->count);
  }
  json_end_object(&json);
  print_json_normalizations(&json, norma_model_graph(found->fixed));
  print_json_metadata(&json, found->model);
  json_end_object(&json);
}

/* -------------------------------------------------------------------------------------------------------------- all */

static bool write_dot(const inspection *found) {
  output_group files = {0};
  FILE *file = output_open(&files, found->settings->dot);
  if (file) dot_write(file, norma_model_graph(found->fixed));
  bool good = file && output_commit(&files);
  output_discard(&files);
  return good;
}

/* A file that the page shows; none where no path is given. false: the error was printed. */
static bool read_given(const inspection *found, const char *path, file_contents *contents) {
  norma_error error;
  if (!path || file_read(found->runtime, path, contents, &error) == NORMA_OK) return true;
  tool_library_error(path, &error);
  return false;
}

/* The statistics of its normalizations; NULL where there are none that can be looked at. */
static norma_bn_study *open_study(const inspection *found) {
  norma_bn_study *study = NULL;
  const norma_load_options options = {.struct_size = sizeof options, .runtime = found->runtime};
  norma_status status = found->file.input.bytes ? norma_bn_open_memory(found->file.input.bytes, found->file.input.size,
                                                                       &options, &study, NULL)
                                                : norma_bn_open(found->file.path, &options, &study, NULL);
  return status == NORMA_OK ? study : NULL;
}

static bool write_page(const inspection *found) {
  const struct inspect_settings *settings = found->settings;
  output_group files = {0};
  file_contents profile = {0}, report = {0};
  bool good = read_given(found, settings->profile, &profile) && read_given(found, settings->report, &report);
  FILE *file = good ? output_open(&files, settings->html) : NULL;
  norma_bn_study *study = file ? open_study(found) : NULL;
  const inspect_page page = {.path = found->file.path,
                             .model = found->fixed,
                             .multiply_accumulates = found->products,
                             .session = found->arena_known ? found->session : NULL,
                             .problem = found->arena_problem,
                             .study = study,
                             .profile = profile.bytes,
                             .report = report.bytes};
  if (file) inspect_page_write(file, &page);
  good = file && output_commit(&files);
  output_discard(&files);
  norma_bn_destroy(study);
  file_contents_free(&profile);
  file_contents_free(&report);
  return good;
}

/* Reads and measures; false: everything has been said. */
static bool look(inspection *found) {
  found->runtime = settings_create_runtime(&found->settings->common);
  if (!found->runtime || !model_file_open(&found->file, found->settings->common.arguments[0], found->runtime) ||
      !read_model(found, NULL, 0, &found->model) || !inputs_check_shapes(&found->settings->inputs, found->model)) {
    return false;
  }
  norma_model_describe(found->model, &found->about);
  if (!count_graph(found, norma_model_graph(found->model))) {
    tool_error("out of memory");
    return false;
  }
  qsort(found->operators, found->operator_kinds, sizeof *found->operators, most_first);
  if (!read_fixed(found)) return false;
  measure_arena(found);
  found->products = multiply_accumulates(norma_model_graph(found->fixed), &found->products_complete);
  return (!found->settings->dot || write_dot(found)) && (!found->settings->html || write_page(found));
}

static int inspect(const void *given) {
  const struct inspect_settings *settings = given;
  inspection found = {.settings = settings, .about = {.struct_size = sizeof found.about}};
  int code = EXIT_REFUSED;
  if (look(&found)) {
    if (settings->json) {
      print_json(&found);
    } else {
      print_people(&found);
    }
    code = EXIT_YES;
  }
  free(found.operators);
  norma_session_destroy(found.session);
  inputs_free(&found.zeros);
  norma_model_destroy(found.optimised);
  norma_model_destroy(found.model);
  norma_model_destroy(found.fixed);
  model_file_close(&found.file);
  norma_runtime_destroy(found.runtime);
  return code;
}

static const command_option options[] = {
    {&shared_options[SHARED_JSON], offsetof(struct inspect_settings, json)},
    {&(const tool_option){"dot", 0, "FILE", "write the graph for Graphviz", NULL, take_text},
     offsetof(struct inspect_settings, dot)},
    {&(const tool_option){"html", 0, "FILE",
                          "write a page for a browser: the graph by blocks, the plan, memory over its "
                          "steps, the statistics of normalizations",
                          NULL, take_text},
     offsetof(struct inspect_settings, html)},
    {&(const tool_option){"profile", 0, "FILE.json", "times for the page, as norma run --profile writes them", NULL,
                          take_text},
     offsetof(struct inspect_settings, profile)},
    {&(const tool_option){"report", 0, "FILE.json", "drift for the page, as norma bn reestimate --report writes it",
                          NULL, take_text},
     offsetof(struct inspect_settings, report)},
    {&shared_options[SHARED_SHAPE], offsetof(struct inspect_settings, inputs.shapes)},
    {NULL, 0},
};

const command command_inspect = {
    .name = "inspect",
    .synopsis = "MODEL [--json] [--dot FILE] [--html FILE [--profile FILE.json]\n[--report FILE.json]]",
    .summary = "what is in a model",
    .text =
        "Prints inputs, outputs, opsets, exporter, operators, parameters, multiply-accumulates, the sizes of weights "
        "and arena (dynamic dimensions taken as 1), and the BatchNormalization nodes. MODEL - is read from standard "
        "input.\n",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .argument = "MODEL",
    .settings_size = sizeof(struct inspect_settings),
    .defaults = &(const struct inspect_settings){.inputs = INPUT_DEFAULTS},
    .run = inspect,
};
