#include "tools/page/inspect_page.h"

#include "tools/formats/json.h"
#include "tools/value_text.h"

#include <stdlib.h>
#include <string.h>

extern const char inspect_page_template[]; /* inspect_page.html; the build makes it a string */

/* ------------------------------------------------------------------------------------------------------------ graph */

static void write_value(json_writer *json, const norma_graph_value *value) {
  norma_graph_value_info info = {.struct_size = sizeof info};
  char text[256] = "";
  if (!value || norma_graph_value_describe(value, &info) != NORMA_OK) {
    json_null(json, NULL);
    return;
  }
  if (norma_type_kind(info.type) == NORMA_VALUE_TENSOR) {
    dims_text(norma_type_rank(info.type), norma_type_dims(info.type), text, sizeof text);
  }
  json_object(json, NULL);
  json_string(json, "name", info.name);
  json_string(json, "type", norma_element_type_name(norma_type_element(info.type)));
  json_string(json, "shape", text);
  json_boolean(json, "constant", info.is_constant);
  json_end_object(json);
}

static void write_nodes(json_writer *json, const norma_graph *graph);

static void write_node(json_writer *json, const norma_node *node) {
  norma_node_info info = {.struct_size = sizeof info};
  norma_node_describe(node, &info);
  json_object(json, NULL);
  json_string(json, "name", info.name);
  json_string(json, "op", info.op_type);
  json_array(json, "inputs");
  for (size_t i = 0; i < info.input_count; i++) write_value(json, norma_node_input(node, i));
  json_end_array(json);
  json_array(json, "outputs");
  for (size_t i = 0; i < info.output_count; i++) write_value(json, norma_node_output(node, i));
  json_end_array(json);
  const norma_graph *subgraph;
  if (norma_node_subgraph(node, 0)) {
    json_array(json, "subgraphs");
    for (size_t i = 0; (subgraph = norma_node_subgraph(node, i)) != NULL; i++) {
      json_object(json, NULL);
      write_nodes(json, subgraph);
      json_end_object(json);
    }
    json_end_array(json);
  }
  json_end_object(json);
}

static void write_nodes(json_writer *json, const norma_graph *graph) {
  norma_graph_info info = {.struct_size = sizeof info};
  norma_graph_describe(graph, &info);
  json_array(json, "inputs");
  for (size_t i = 0; i < info.input_count; i++) write_value(json, norma_graph_input(graph, i));
  json_end_array(json);
  json_array(json, "outputs");
  for (size_t i = 0; i < info.output_count; i++) write_value(json, norma_graph_output(graph, i));
  json_end_array(json);
  json_array(json, "nodes");
  for (const norma_node *node = norma_graph_first_node(graph); node; node = norma_node_next(node)) {
    write_node(json, node);
  }
  json_end_array(json);
}

/* ------------------------------------------------------------------------------------------------------------- plan */

static void write_use(void *context, const norma_arena_use *use) {
  json_writer *json = context;
  json_object(json, NULL);
  if (use->value) json_string(json, "value", use->value);
  json_unsigned(json, "offset", use->offset);
  json_unsigned(json, "bytes", use->bytes);
  json_unsigned(json, "first", use->first_step);
  if (use->last_step == SIZE_MAX) {
    json_null(json, "last");
  } else {
    json_unsigned(json, "last", use->last_step);
  }
  json_end_object(json);
}

static void write_plan(json_writer *json, const norma_session *session) {
  json_object(json, "plan");
  json_unsigned(json, "arena", norma_session_arena_bytes(session));
  json_boolean(json, "static", norma_session_is_static(session));
  json_array(json, "steps");
  for (size_t i = 0; i < norma_session_profile_count(session); i++) {
    norma_profile_entry entry;
    if (norma_session_profile(session, i, &entry) != NORMA_OK) break;
    json_object(json, NULL);
    json_string(json, "node", entry.node);
    json_string(json, "op", entry.op_type);
    json_string(json, "kernel", entry.kernel);
    json_number(json, "flops", entry.flops);
    json_number(json, "bytes", entry.bytes);
    json_end_object(json);
  }
  json_end_array(json);
  json_array(json, "memory");
  norma_session_visit_arena(session, write_use, json);
  json_end_array(json);
  json_end_object(json);
}

/* ----------------------------------------------------------------------------------------------- BatchNormalization */

static void write_statistic(json_writer *json, const char *key, const norma_tensor *tensor) {
  double number;
  json_array(json, key);
  for (int64_t i = 0; tensor && i < norma_tensor_count(tensor); i++) {
    if (norma_tensor_get_doubles(tensor, i, 1, &number) != NORMA_OK) break;
    json_number(json, NULL, number);
  }
  json_end_array(json);
}

static void write_normalizations(json_writer *json, const norma_bn_study *study) {
  json_array(json, "normalizations");
  for (size_t i = 0; study && i < norma_bn_count(study); i++) {
    norma_bn_info info = {.struct_size = sizeof info};
    if (norma_bn_describe(study, i, &info) != NORMA_OK) break;
    json_object(json, NULL);
    json_string(json, "node", info.name);
    json_number(json, "epsilon", info.epsilon);
    json_boolean(json, "training", info.is_training);
    if (info.obstacle) json_string(json, "obstacle", info.obstacle);
    write_statistic(json, "mean", info.mean);
    write_statistic(json, "variance", info.variance);
    write_statistic(json, "scale", info.scale);
    write_statistic(json, "bias", info.bias);
    json_end_object(json);
  }
  json_end_array(json);
}

/* ------------------------------------------------------------------------------------------------------------- page */

static void write_model(FILE *file, const inspect_page *page) {
  norma_model_info about = {.struct_size = sizeof about};
  json_writer json;
  norma_model_describe(page->model, &about);
  json_start(&json, file, true);
  json_object(&json, NULL);
  json_string(&json, "norma", norma_version());
  json_string(&json, "model", page->path);
  json_string(&json, "producer", about.producer_name);
  json_string(&json, "producer_version", about.producer_version);
  json_unsigned(&json, "parameters", about.parameter_count);
  json_unsigned(&json, "weights_bytes", about.parameter_bytes);
  json_unsigned(&json, "multiply_accumulates", page->multiply_accumulates);
  json_object(&json, "opsets");
  const char *domain;
  int64_t version;
  for (size_t i = 0; norma_model_opset(page->model, i, &domain, &version) == NORMA_OK; i++) {
    json_integer(&json, domain[0] ? domain : "ai.onnx", version);
  }
  json_end_object(&json);
  write_nodes(&json, norma_model_graph(page->model));
  if (page->session) {
    write_plan(&json, page->session);
  } else {
    json_string(&json, "problem", page->problem);
  }
  write_normalizations(&json, page->study);
  json_end_object(&json);
}

/* JSON that somebody gives, for a script element: what would end the element is written as JSON's own escape. Outside
 * strings, where that would be wrong, JSON has no such character. */
static void write_given(FILE *file, const char *text) {
  for (; *text; text++) {
    if (*text == '<') {
      fputs("\\u003c", file);
    } else {
      fputc(*text, file);
    }
  }
}

void inspect_page_write(FILE *file, const inspect_page *page) {
  const char *rest = inspect_page_template;
  for (const char *mark; (mark = strstr(rest, "@{")) != NULL;) {
    fwrite(rest, 1, (size_t)(mark - rest), file);
    if (strncmp(mark, "@{model}", 8) == 0) {
      write_model(file, page);
    } else if (strncmp(mark, "@{profile}", 10) == 0) {
      write_given(file, page->profile ? page->profile : "null");
    } else {
      write_given(file, page->report ? page->report : "null");
    }
    rest = strchr(mark, '}') + 1;
  }
  fputs(rest, file);
}
