/* The graph that the reader makes of a model, and what it says to models that break the specification. */
#include "tests/support/model_builder.h"
#include "tests/support/model_reading.h"

#include "proto/model_writer.h"

#include "proto/onnx.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Reads what the builder has, and destroys it. */
static norma_status read_built(model_reading *reading, model_builder *b) {
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  norma_status status = reading_read(reading, bytes, size);
  builder_destroy(b);
  return status;
}

static void expect_refused(model_builder *b, norma_status status, const char *part) {
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), status);
  if (!strstr(reading.error.message, part)) fail_msg("expected '%s' in '%s'", part, reading.error.message);
  assert_int_equal(reading_release(&reading), 0);
}

static model_builder *unary_model(const char *op_type) {
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, (int64_t[]){2, 3});
  builder_node(b, op_type, "x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  return b;
}

/* ----------------------------------------------------------------------------------------------------- what is read */

static void model_and_graph_are_described(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(17);
  builder_import(b, "ai.onnx.ml", 3);
  builder_metadata(b, "author", "me");
  norma_model *model = builder_model(b);
  model->producer_name = "maker";
  model->producer_version = "1.2";
  model->model_domain = "example.org";
  model->doc_string = "what it is";
  model->model_version = 7;
  graph_value *x = builder_input(b, "x", NORMA_FLOAT16, 3, (int64_t[]){-1, 3, -1});
  builder_dim_name(b, x, 0, "batch");
  builder_node(b, "Relu", "x", "y");
  builder_output(b, "y", NORMA_FLOAT16, 3, (int64_t[]){9, 9, 9}); /* wrong, as exporters have it */
  builder_output(b, "y", NORMA_FLOAT16, -1, NULL);
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_OK);
  const norma_model *read = &reading.model;
  assert_int_equal(read->ir_version, 10);
  assert_string_equal(read->producer_name, "maker");
  assert_string_equal(read->producer_version, "1.2");
  assert_string_equal(read->model_domain, "example.org");
  assert_string_equal(read->doc_string, "what it is");
  assert_int_equal(read->model_version, 7);
  assert_int_equal(read->opset_count, 2);
  assert_string_equal(read->opsets[1].domain, "ai.onnx.ml");
  assert_int_equal(read->opsets[1].version, 3);
  assert_int_equal(read->metadata_count, 1);
  assert_string_equal(read->metadata[0].key, "author");
  assert_string_equal(read->metadata[0].value, "me");
  const graph_value *input = read->graph->inputs[0], *output = read->graph->outputs[0];
  assert_true(input->is_input && !input->has_initializer && !input->constant);
  assert_int_equal(input->info.type, NORMA_FLOAT16);
  assert_int_equal(input->info.shape.rank, 3);
  assert_int_equal(input->info.shape.dims[0], DIM_UNKNOWN);
  assert_int_equal(input->info.shape.dims[1], 3);
  assert_int_equal(input->info.shape.dims[2], DIM_UNKNOWN);
  assert_string_equal(input->dim_names[0], "batch");
  assert_null(input->dim_names[1]);
  assert_int_equal(output->info.type, NORMA_FLOAT16);
  assert_int_equal(output->info.shape.rank, RANK_UNKNOWN);
  assert_int_equal(read->graph->output_count, 2); /* one value, twice */
  assert_ptr_equal(read->graph->outputs[1], output);
  assert_int_equal(output->output_count, 2);
  assert_int_equal(reading_release(&reading), 0);
}

static void nodes_and_attributes_are_read(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){4});
  node *made = builder_named_node(b, "n", "", "Op", "x - x", "y - z");
  builder_int(made, "i", -5);
  builder_float(made, "f", 0.5f);
  builder_string(made, "s", "text");
  builder_ints(made, "is", 2, (int64_t[]){1, -2});
  builder_float_list(made, "fs", 2, (float[]){1, 2.5f});
  builder_string_list(made, "ss", 2, (const char *const[]){"a", ""});
  builder_tensor(made, "t", NORMA_INT32, 1, (int64_t[]){2}, (int32_t[]){7, 8});
  builder_ints(made, "none", 0, NULL);
  builder_node(b, "Op", "y", "w");
  builder_output(b, "z", NORMA_FLOAT, -1, NULL);
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_OK);
  const node *node = reading.model.graph->first;
  size_t count;
  assert_string_equal(node->name, "n");
  assert_int_equal(node->opset, 17);
  assert_int_equal(node->input_count, 3);
  assert_null(node->inputs[1]);
  assert_ptr_equal(node->inputs[0], node->inputs[2]);
  assert_int_equal(node->inputs[0]->use_count, 2);
  assert_int_equal(node->output_count, 3);
  assert_null(node->outputs[1]);
  assert_ptr_equal(node->outputs[2]->producer, node);
  assert_int_equal(node->outputs[2]->producer_index, 2);
  assert_int_equal(attribute_int(node, "i", 0), -5);
  assert_true(attribute_float(node, "f", 0) == 0.5f);
  assert_string_equal(attribute_string(node, "s", ""), "text");
  const int64_t *ints = attribute_ints(node, "is", &count);
  assert_int_equal(count, 2);
  assert_int_equal(ints[1], -2);
  const float *floats = attribute_floats(node, "fs", &count);
  assert_int_equal(count, 2);
  assert_true(floats[1] == 2.5f);
  const attribute *strings = node_attribute(node, "ss");
  assert_int_equal(strings->count, 2);
  assert_string_equal(strings->strings[0].data, "a");
  assert_int_equal(strings->strings[1].size, 0);
  assert_int_equal(((const int32_t *)attribute_tensor(node, "t")->tensor.data)[1], 8);
  assert_non_null(attribute_ints(node, "none", &count));
  assert_int_equal(count, 0);
  assert_string_equal(node->next->name, "#1 (Op)");
  assert_int_equal(reading_release(&reading), 0);
}

static void initializers_are_constant_unless_overridable(void **state) {
  (void)state;
  static const char *const overridable[] = {"v"};
  for (int i = 0; i < 2; i++) {
    model_reading reading;
    model_builder *b = builder_create(17);
    builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){2});
    builder_floats(b, "w", 1, (int64_t[]){2}, (float[]){1, 2});
    builder_floats(b, "v", 1, (int64_t[]){2}, (float[]){3, 4});
    builder_input(b, "v", NORMA_FLOAT, 1, (int64_t[]){2});
    builder_node(b, "Sum", "x w v", "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    reading_init(&reading, 0);
    reading.options.overridable = overridable;
    reading.options.overridable_count = (size_t)i;
    assert_int_equal(read_built(&reading, b), NORMA_OK);
    const node *node = reading.model.graph->first;
    const graph_value *w = node->inputs[1], *v = node->inputs[2];
    assert_true(w->has_initializer && !w->is_input && w->constant && !w->initial);
    assert_true(v->has_initializer && v->is_input);
    assert_int_equal(reading.model.graph->input_count, 2);
    const value *contents = i ? v->initial : v->constant;
    assert_non_null(contents);
    assert_null(i ? v->constant : v->initial);
    assert_true(((const float *)contents->tensor.data)[1] == 4);
    assert_int_equal(reading_release(&reading), 0);
  }
  model_reading reading;
  reading_init(&reading, 0);
  reading.options.overridable = overridable;
  reading.options.overridable_count = 1;
  assert_int_equal(read_built(&reading, unary_model("Relu")), NORMA_ERROR_ARGUMENT);
  assert_non_null(strstr(reading.error.message, "'v'"));
  assert_int_equal(reading_release(&reading), 0);
}

static void subgraphs_see_outer_names(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(17);
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  builder_node(b, "Neg", "x", "m");
  node *branch = builder_node(b, "If", "c", "y");
  model_builder *then_branch = builder_subgraph(b, branch, "then_branch");
  builder_node(then_branch, "Abs", "m", "t");
  node *inner = builder_node(then_branch, "If", "c", "u");
  model_builder *deep = builder_subgraph(then_branch, inner, "then_branch");
  builder_node(deep, "Add", "t x", "d");
  builder_output(deep, "d", NORMA_UNDEFINED, -1, NULL);
  builder_output(then_branch, "u", NORMA_UNDEFINED, -1, NULL);
  model_builder *else_branch = builder_subgraph(b, branch, "else_branch");
  builder_node(else_branch, "Exp", "x", "t");                  /* the same name as in the other branch */
  builder_output(else_branch, "m", NORMA_UNDEFINED, -1, NULL); /* an outer value as an output */
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_OK);
  const graph *graph = reading.model.graph;
  const struct graph *outer = attribute_graph(graph->last, "then_branch");
  const struct graph *within = attribute_graph(outer->last, "then_branch");
  assert_int_equal(within->depth, 2);
  assert_ptr_equal(within->parent_node, outer->last);
  assert_ptr_equal(outer->first->inputs[0], graph->first->outputs[0]);
  assert_ptr_equal(within->first->inputs[0], outer->first->outputs[0]);
  assert_ptr_equal(within->first->inputs[1], graph->inputs[1]);
  const struct graph *other = attribute_graph(graph->last, "else_branch");
  assert_string_equal(other->first->outputs[0]->name, "t");
  assert_ptr_not_equal(other->first->outputs[0], outer->first->outputs[0]);
  assert_ptr_equal(other->outputs[0], graph->first->outputs[0]);
  assert_int_equal(reading_release(&reading), 0);
}

/* An inner name that hides an outer one is renamed: what a node sees has unique names. */
static void hidden_names_are_renamed(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(17);
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  builder_node(b, "Neg", "c", "m");
  node *branch = builder_node(b, "If", "c", "y");
  model_builder *then_branch = builder_subgraph(b, branch, "then_branch");
  builder_node(then_branch, "Abs", "m", "p");
  builder_node(then_branch, "Exp", "p", "m");
  builder_node(then_branch, "Log", "m", "q");
  builder_output(then_branch, "q", NORMA_UNDEFINED, -1, NULL);
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_OK);
  const graph *graph = reading.model.graph, *inner = attribute_graph(graph->last, "then_branch");
  const graph_value *outer_m = graph->first->outputs[0], *inner_m = inner->first->next->outputs[0];
  assert_ptr_equal(inner->first->inputs[0], outer_m); /* the outer one until the inner one is there */
  assert_ptr_equal(inner->last->inputs[0], inner_m);
  assert_string_not_equal(inner_m->name, outer_m->name);
  assert_int_equal(reading_release(&reading), 0);
}

static void unsorted_nodes_are_sorted(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  builder_node(b, "Sqrt", "p", "y");
  node *branch = builder_node(b, "If", "x", "p");
  model_builder *inner = builder_subgraph(b, branch, "then_branch");
  builder_node(inner, "Neg", "m", "t"); /* needs m from within */
  builder_output(inner, "t", NORMA_UNDEFINED, -1, NULL);
  model_builder *other = builder_subgraph(b, branch, "else_branch");
  builder_output(other, "k", NORMA_UNDEFINED, -1, NULL); /* needs k, as an output only */
  builder_node(b, "Abs", "x", "m");
  builder_node(b, "Exp", "x", "k");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  norma_status status = NORMA_ERROR_OUT_OF_MEMORY;
  for (size_t k = 1; status != NORMA_OK; k++) { /* memory may run out while sorting, too */
    reading_init(&reading, 0);
    reading.fail_at = k;
    status = reading_read(&reading, bytes, size);
    assert_int_equal(status, reading.allocations < k ? NORMA_OK : NORMA_ERROR_OUT_OF_MEMORY);
    if (status != NORMA_OK) assert_int_equal(reading_release(&reading), 0);
  }
  builder_destroy(b);
  static const char *const expected[] = {"Abs", "Exp", "If", "Sqrt"};
  const node *node = reading.model.graph->first;
  for (int i = 0; i < 4; i++, node = node->next) assert_string_equal(node->op_type, expected[i]);
  assert_null(node);
  assert_int_equal(reading_release(&reading), 0);
}

static void models_without_imports_have_opset_1(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(0);
  builder_model(b)->ir_version = 2;
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  builder_output(b, "x", NORMA_FLOAT, -1, NULL);
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_OK);
  assert_int_equal(reading.model.opsets[0].version, 1);
  assert_int_equal(reading_release(&reading), 0);
}

static void both_names_of_the_default_domain(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(0);
  builder_import(b, "ai.onnx", 12);
  builder_model(b)->opsets[0].domain = ""; /* for the builder's own node */
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  node *made = builder_node(b, "Relu", "x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  made->domain = builder_model(b)->opsets[0].domain = "ai.onnx";
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_OK);
  assert_string_equal(reading.model.opsets[0].domain, "");
  assert_string_equal(reading.model.graph->first->domain, "");
  assert_int_equal(reading.model.graph->first->opset, 12);
  assert_int_equal(reading_release(&reading), 0);
}

/* Before IR version 4 initializers had to be inputs, in subgraphs too: an If gives its branches nothing. */
static void initializers_of_subgraphs_are_no_inputs(void **state) {
  (void)state;
  model_reading reading;
  model_builder *b = builder_create(9);
  builder_model(b)->ir_version = 3;
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  node *branch = builder_node(b, "If", "c", "y");
  model_builder *inner = builder_subgraph(b, branch, "then_branch");
  builder_input(inner, "w", NORMA_FLOAT, 1, (int64_t[]){1});
  builder_floats(inner, "w", 1, (int64_t[]){1}, (float[]){5});
  builder_node(inner, "Neg", "w", "t");
  builder_output(inner, "t", NORMA_UNDEFINED, -1, NULL);
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_OK);
  const graph *graph = attribute_graph(reading.model.graph->first, "then_branch");
  assert_int_equal(graph->input_count, 0);
  assert_false(graph->first->inputs[0]->is_input);
  assert_non_null(graph->first->inputs[0]->constant);
  assert_int_equal(reading_release(&reading), 0);
}

/* -------------------------------------------------------------------------------------------------- what is refused */

static void versions_are_bounded(void **state) {
  (void)state;
  model_builder *b = unary_model("Relu");
  builder_model(b)->ir_version = 15;
  expect_refused(b, NORMA_ERROR_UNSUPPORTED, "ir version 15 is newer than 14, the newest this build knows");
  b = unary_model("Relu");
  builder_model(b)->ir_version = -1;
  expect_refused(b, NORMA_ERROR_INVALID_MODEL, "ir version -1");
  b = builder_create(29);
  expect_refused(b, NORMA_ERROR_UNSUPPORTED,
                 "opset 29 of domain ai.onnx is newer than 28, the newest this build knows");
  b = builder_create(-3);
  expect_refused(b, NORMA_ERROR_INVALID_MODEL, "opset -3 of domain ai.onnx");
  b = builder_create(17);
  builder_import(b, "ai.onnx.ml", 6);
  expect_refused(b, NORMA_ERROR_UNSUPPORTED, "opset 6 of domain ai.onnx.ml is newer than 5");
  b = builder_create(17);
  builder_import(b, "ai.onnx", 16);
  expect_refused(b, NORMA_ERROR_INVALID_MODEL, "imported twice, as 17 and 16");
  b = builder_create(28); /* the newest */
  builder_import(b, "ai.onnx.ml", 5);
  builder_import(b, "ai.onnx.preview.training", 1);
  builder_import(b, "com.example", 1000);
  builder_model(b)->ir_version = 14;
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_OK);
  assert_int_equal(reading_release(&reading), 0);
}

static void no_graph_is_no_model(void **state) {
  (void)state;
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(reading_read(&reading, "", 0), NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "no ir version"));
  assert_int_equal(reading_release(&reading), 0);
  assert_int_equal(reading_read(&reading, "\x08\x08\x42\x02\x10\x11", 6), NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(reading.error.message, "no graph"));
  assert_int_equal(reading_release(&reading), 0);
}

static void undefined_values_are_named(void **state) {
  (void)state;
  model_builder *b = unary_model("Relu");
  builder_named_node(b, "reader", "", "Neg", "nowhere", "z");
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_ERROR_INVALID_MODEL);
  assert_string_equal(reading.error.node, "reader");
  assert_string_equal(reading.error.op_type, "Neg");
  assert_string_equal(reading.error.value, "nowhere");
  assert_string_equal(reading.error.domain, "ai.onnx");
  assert_int_equal(reading.error.opset, 17);
  assert_string_equal(reading.error.message, "node 'reader' (Neg): the value 'nowhere' is not defined");
  assert_int_equal(reading_release(&reading), 0);

  b = builder_create(17);
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  expect_refused(b, NORMA_ERROR_INVALID_MODEL, "output 'y': the value 'y' is not defined");
}

static void names_are_defined_once(void **state) {
  (void)state;
  model_builder *b = unary_model("Relu");
  builder_node(b, "Neg", "x", "y");
  expect_refused(b, NORMA_ERROR_INVALID_MODEL, "node '#1 (Neg)': the name 'y' is defined twice");
  b = unary_model("Relu");
  builder_node(b, "Neg", "y", "x"); /* an input */
  expect_refused(b, NORMA_ERROR_INVALID_MODEL, "the name 'x' is defined twice");
  b = unary_model("Relu");
  builder_floats(b, "y", 0, NULL, (float[]){1}); /* would be a constant: make it look like one */
  node *made = builder_node(b, "Neg", "x", "-");
  made->outputs[0] = builder_model(b)->graph->first->outputs[0];
  made->outputs[0]->producer = NULL; /* the writer writes initializers of what no node makes */
  expect_refused(b, NORMA_ERROR_INVALID_MODEL, "the name 'y' is defined twice");
  b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  expect_refused(b, NORMA_ERROR_INVALID_MODEL, "the name 'x' is defined twice");
}

static void cycles_are_refused(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  builder_named_node(b, "free", "", "Neg", "x", "f");
  builder_named_node(b, "one", "", "Add", "x b", "a");
  builder_named_node(b, "two", "", "Neg", "a", "b");
  builder_output(b, "b", NORMA_FLOAT, -1, NULL);
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(read_built(&reading, b), NORMA_ERROR_INVALID_MODEL);
  assert_string_equal(reading.error.node, "one");
  assert_non_null(strstr(reading.error.message, "cycle"));
  assert_int_equal(reading_release(&reading), 0);

  b = builder_create(17); /* through a subgraph */
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  node *branch = builder_named_node(b, "branch", "", "If", "c", "y");
  model_builder *inner = builder_subgraph(b, branch, "then_branch");
  builder_node(inner, "Neg", "y", "t");
  builder_output(inner, "t", NORMA_UNDEFINED, -1, NULL);
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  expect_refused(b, NORMA_ERROR_INVALID_MODEL, "cycle");
}

static void domains_must_be_imported(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, -1, NULL);
  builder_import(b, "com.example", 1);
  builder_named_node(b, "n", "com.example", "Op", "x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  unsigned char *changed = malloc(size);
  assert_non_null(changed);
  memcpy(changed, bytes, size);
  unsigned char *last = NULL; /* the import stands behind the graph */
  for (size_t i = 0; i + 11 <= size; i++) {
    if (memcmp(changed + i, "com.example", 11) == 0) last = changed + i;
  }
  assert_non_null(last);
  last[0] = 'd';
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(reading_read(&reading, changed, size), NORMA_ERROR_INVALID_MODEL);
  assert_string_equal(reading.error.node, "n");
  assert_string_equal(reading.error.domain, "com.example");
  assert_non_null(strstr(reading.error.message, "imports no opset of domain com.example"));
  assert_int_equal(reading_release(&reading), 0);
  free(changed);
  builder_destroy(b);
}

/* Attributes as protobuf-c packs them, put into a node by hand. */
static void expect_attribute(const Onnx__AttributeProto *attribute, norma_status status, const char *part) {
  Onnx__NodeProto node = ONNX__NODE_PROTO__INIT, *nodes[] = {&node};
  Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
  Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT, *opsets[] = {&opset};
  Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
  Onnx__AttributeProto *attributes[] = {(Onnx__AttributeProto *)(uintptr_t)attribute};
  node.op_type = (char *)(uintptr_t) "Op";
  node.name = (char *)(uintptr_t) "n";
  node.n_attribute = 1;
  node.attribute = attributes;
  graph.n_node = 1;
  graph.node = nodes;
  opset.has_version = 1;
  opset.version = 17;
  model.has_ir_version = 1;
  model.ir_version = 8;
  model.n_opset_import = 1;
  model.opset_import = opsets;
  model.graph = &graph;
  unsigned char bytes[512];
  size_t size = onnx__model_proto__pack(&model, bytes);
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(reading_read(&reading, bytes, size), status);
  if (status != NORMA_OK && !strstr(reading.error.message, part)) {
    fail_msg("expected '%s' in '%s'", part, reading.error.message);
  }
  if (status != NORMA_OK) assert_string_equal(reading.error.node, "n");
  if (status == NORMA_OK) assert_int_equal(reading.model.graph->first->attributes[0].kind, atoi(part));
  assert_int_equal(reading_release(&reading), 0);
}

static void kinds_of_attributes_are_checked(void **state) {
  (void)state;
  Onnx__AttributeProto attribute = ONNX__ATTRIBUTE_PROTO__INIT;
  expect_attribute(&attribute, NORMA_ERROR_INVALID_MODEL, "an attribute has no name");
  attribute.name = (char *)(uintptr_t) "a";
  expect_attribute(&attribute, NORMA_ERROR_INVALID_MODEL, "attribute 'a': it has no type and no value");
  attribute.has_i = 1;
  expect_attribute(&attribute, NORMA_OK, "2"); /* IR version 1 had no types */
  attribute.has_f = 1;
  expect_attribute(&attribute, NORMA_ERROR_INVALID_MODEL, "it has no type and several values");
  attribute.has_type = 1;
  attribute.type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
  expect_attribute(&attribute, NORMA_ERROR_INVALID_MODEL, "its type is int but it has a value of type float");
  attribute.has_f = 0;
  expect_attribute(&attribute, NORMA_OK, "2");
  attribute.has_i = 0;
  expect_attribute(&attribute, NORMA_OK, "2"); /* writers of proto3 leave out zeros */
  attribute.type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
  expect_attribute(&attribute, NORMA_ERROR_INVALID_MODEL, "its type is tensor but it has no value");
  attribute.type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS;
  expect_attribute(&attribute, NORMA_OK, "8");
  attribute.type = (Onnx__AttributeProto__AttributeType)77;
  expect_attribute(&attribute, NORMA_ERROR_INVALID_MODEL, "77 is not a type of attributes");
  attribute.type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
  attribute.ref_attr_name = (char *)(uintptr_t) "outer";
  expect_attribute(&attribute, NORMA_ERROR_INVALID_MODEL, "stands in none");
}

static void attributes_stand_once(void **state) {
  (void)state;
  model_builder *b = unary_model("Op");
  node *made = builder_model(b)->graph->first;
  builder_int(made, "a", 1);
  builder_float(made, "b", 1);
  made->attributes[1].name = "a";
  expect_refused(b, NORMA_ERROR_INVALID_MODEL, "attribute 'a' is there twice");
}

static void depth_is_bounded(void **state) {
  (void)state;
  model_builder *b = builder_create(17), *at = b;
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  for (int depth = 0; depth < 5; depth++) {
    node *branch = builder_node(at, "If", "c", "y");
    builder_output(at, "y", NORMA_UNDEFINED, -1, NULL);
    at = builder_subgraph(at, branch, "then_branch");
  }
  builder_output(at, "c", NORMA_UNDEFINED, -1, NULL);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  model_reading reading;
  for (int limit = 4; limit <= 5; limit++) {
    reading_init(&reading, 0);
    reading.options.max_depth = limit;
    assert_int_equal(reading_read(&reading, bytes, size), limit < 5 ? NORMA_ERROR_BUDGET : NORMA_OK);
    assert_int_equal(reading_release(&reading), 0);
  }
  builder_destroy(b);
}

static void missing_file_is_a_file_error(void **state) {
  (void)state;
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(reading_read_file(&reading, "/nonexistent/model.onnx"), NORMA_ERROR_FILE);
  assert_non_null(strstr(reading.error.message, "/nonexistent/model.onnx"));
  assert_int_equal(reading_release(&reading), 0);
  assert_int_equal(reading_read_file(&reading, "/tmp"), NORMA_ERROR_FILE);
  assert_non_null(strstr(reading.error.message, "directory"));
  assert_int_equal(reading_release(&reading), 0);
  assert_int_equal(reading_read_file(&reading, "/dev/null"), NORMA_ERROR_FILE);
  assert_int_equal(reading_release(&reading), 0);
}

/* Written and read again, a model gives the same bytes. */
static void written_models_read_the_same(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  value_info tensor = value_info_tensor(NORMA_INT64, &(shape){.rank = 1, .dims = {DIM_UNKNOWN}});
  value_info sequence = {.kind = NORMA_VALUE_SEQUENCE, .item = &tensor, .shape = shape_unknown()};
  value_info optional = {.kind = NORMA_VALUE_OPTIONAL, .item = &sequence, .shape = shape_unknown()};
  value_info map = {.kind = NORMA_VALUE_MAP, .type = NORMA_STRING, .item = &tensor, .shape = shape_unknown()};
  builder_input_info(b, "s", &sequence);
  builder_input_info(b, "o", &optional);
  builder_input_info(b, "m", &map);
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  builder_strings(b, "words", 1, (int64_t[]){2}, (const char *const[]){"", "w"});
  builder_initializer(b, "packed", NORMA_INT4, 1, (int64_t[]){3}, "\x21\x03");
  node *branch = builder_node(b, "If", "c", "y");
  model_builder *inner = builder_subgraph(b, branch, "then_branch");
  builder_floats(inner, "w", 0, NULL, (float[]){5});
  builder_output(inner, "w", NORMA_FLOAT, 0, NULL);
  builder_node(b, "Op", "s o m words packed", "z");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  builder_output_info(b, "z", &sequence);
  size_t size, again_size;
  const void *bytes = builder_bytes(b, &size);
  void *again;
  model_reading reading;
  reading_init(&reading, 0);
  assert_int_equal(reading_read(&reading, bytes, size), NORMA_OK);
  assert_int_equal(reading.model.graph->inputs[1]->info.item->item->type, NORMA_INT64);
  assert_int_equal(model_write_memory(&reading.model, &again, &again_size, &reading.error), NORMA_OK);
  assert_int_equal(again_size, size);
  assert_memory_equal(again, bytes, size);
  memory_free(&reading.memory, again);
  assert_int_equal(reading_release(&reading), 0);
  builder_destroy(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(model_and_graph_are_described),
      cmocka_unit_test(nodes_and_attributes_are_read),
      cmocka_unit_test(initializers_are_constant_unless_overridable),
      cmocka_unit_test(subgraphs_see_outer_names),
      cmocka_unit_test(hidden_names_are_renamed),
      cmocka_unit_test(unsorted_nodes_are_sorted),
      cmocka_unit_test(models_without_imports_have_opset_1),
      cmocka_unit_test(both_names_of_the_default_domain),
      cmocka_unit_test(initializers_of_subgraphs_are_no_inputs),
      cmocka_unit_test(versions_are_bounded),
      cmocka_unit_test(no_graph_is_no_model),
      cmocka_unit_test(undefined_values_are_named),
      cmocka_unit_test(names_are_defined_once),
      cmocka_unit_test(cycles_are_refused),
      cmocka_unit_test(domains_must_be_imported),
      cmocka_unit_test(kinds_of_attributes_are_checked),
      cmocka_unit_test(attributes_stand_once),
      cmocka_unit_test(depth_is_bounded),
      cmocka_unit_test(missing_file_is_a_file_error),
      cmocka_unit_test(written_models_read_the_same),
  };
  return cmocka_run_group_tests_name("model reader", tests, NULL, NULL);
}
