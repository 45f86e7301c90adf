/* Questions about nodes and steps of a rewrite that passes have in common. */
#include "engine/passes/pass_helpers.h"

#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

/* A model as exported, for calls on its nodes. */
typedef struct plain_model {
  norma_model *model;
  graph *graph;
  norma_error error;
  pass_context context;
} plain_model;

static void load_plain(plain_model *plain, model_builder *b) {
  size_t size;
  norma_load_options options = {.struct_size = sizeof options, .optimization = NORMA_OPTIMIZE_NONE};
  const void *bytes = builder_bytes(b, &size);
  memset(plain, 0, sizeof *plain);
  if (norma_model_load_memory(bytes, size, &options, &plain->model, &plain->error) != NORMA_OK) {
    fail_msg("%s", plain->error.message);
  }
  plain->graph = plain->model->graph;
  plain->context = (pass_context){.model = plain->model, .error = &plain->error};
  builder_destroy(b);
}

static void free_plain(plain_model *plain) {
  norma_model_destroy(plain->model);
}

static model_builder *start(int opset) {
  model_builder *b = builder_create(opset);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, 4));
  builder_input(b, "z", NORMA_FLOAT, 2, DIMS(3, 4));
  return b;
}

static graph_value *value_of(const plain_model *plain, const char *name) {
  graph_value *value = graph_find_value(plain->graph, name);
  assert_non_null(value);
  return value;
}

/* ------------------------------------------------------------------------------------------------------------ facts */

static void sums_have_two_operands(void **state) {
  static const struct {
    const char *op_type, *inputs;
    bool is_sum;
  } cases[] = {{"Add", "x z", true},  {"Sum", "x z", true},  {"Sum", "x z x", false}, {"Sum", "x", false},
               {"Sub", "x z", false}, {"Mul", "x z", false}, {"Mean", "x z", false},  {"Neg", "x", false}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    plain_model plain;
    model_builder *b = start(13);
    builder_node(b, cases[i].op_type, cases[i].inputs, "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    load_plain(&plain, b);
    if (node_is_sum(plain.graph->first) != cases[i].is_sum) fail_msg("%s of %s", cases[i].op_type, cases[i].inputs);
    free_plain(&plain);
  }
}

/* What an operator does not say is not known; a node without an operator says nothing at all. */
static void facts_that_are_left_out_are_not_known(void **state) {
  (void)state;
  plain_model plain;
  model_builder *b = start(13);
  builder_int(builder_node(b, "CumSum", "x axis", "y"), "reverse", 1);
  builder_initializer(b, "axis", NORMA_INT32, 0, NULL, &(int32_t){0});
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  load_plain(&plain, b);
  node *node = plain.graph->first;
  const struct operator_descriptor *op = node->op;
  for (int i = 0; i < 2; i++) {
    elementwise_form elementwise;
    affine_form affine;
    linear_form linear;
    node->op = i ? NULL : op;
    assert_false(node_is_identity(node));
    assert_false(node_elementwise(node, &elementwise));
    assert_false(node_affine(node, &affine));
    assert_false(node_linear(node, &linear));
    assert_false(node_is_sum(node));
  }
  node->op = op;
  free_plain(&plain);
}

static void a_store_is_plain_until_something_is_fused(void **state) {
  (void)state;
  plain_model plain;
  model_builder *b = start(13);
  builder_node(b, "Add", "x z", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  load_plain(&plain, b);
  node *node = plain.graph->first;
  assert_true(node_has_plain_store(node));
  node->epilogue = (epilogue){.bias_input = 2};
  assert_false(node_has_plain_store(node));
  node->epilogue = (epilogue){.residual_input = 2};
  assert_false(node_has_plain_store(node));
  node->epilogue = (epilogue){.activation = {UNARY_RELU, 0, 0}};
  assert_false(node_has_plain_store(node));
  node->epilogue = (epilogue){0};
  free_plain(&plain);
}

/* Fusing is a matter of the element type of output 0, where there is no other output. */
static void fusing_depends_on_type_and_outputs(void **state) {
  (void)state;
  plain_model plain;
  model_builder *b = start(13);
  builder_int(builder_node(b, "Split", "x", "y u"), "axis", 0 + 1);
  builder_node(b, "Neg", "x", "n");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  builder_output(b, "u", NORMA_FLOAT, -1, NULL);
  builder_output(b, "n", NORMA_FLOAT, -1, NULL);
  load_plain(&plain, b);
  assert_false(node_can_fuse(plain.graph->first, TYPE_BIT(NORMA_FLOAT)));
  assert_true(node_can_fuse(plain.graph->last, TYPE_BIT(NORMA_FLOAT)));
  assert_false(node_can_fuse(plain.graph->last, TYPE_BIT(NORMA_DOUBLE)));
  assert_false(node_can_fuse(plain.graph->last, 0));
  free_plain(&plain);
}

/* ------------------------------------------------------------------------------------------------------------ names */

static void names_are_joined(void **state) {
  (void)state;
  plain_model plain;
  model_builder *b = start(13);
  builder_named_node(b, "first", "", "Neg", "x", "n");
  builder_named_node(b, "second", "", "Abs", "n", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  load_plain(&plain, b);
  assert_int_equal(pass_join_names(&plain.context, plain.graph->first, plain.graph->last), NORMA_OK);
  assert_string_equal(plain.graph->first->name, "first + second");
  assert_string_equal(plain.graph->last->name, "second");
  free_plain(&plain);
}

/* Names of what thousands of nodes became are cut at about 2,000 characters, and grow no more. */
static void long_names_end_in_dots(void **state) {
  (void)state;
  plain_model plain;
  model_builder *b = start(13);
  builder_named_node(b, "0123456789", "", "Neg", "x", "n");
  builder_named_node(b, "0123456789", "", "Abs", "n", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  load_plain(&plain, b);
  node *node = plain.graph->first;
  const char *last = NULL;
  for (int i = 0; i < 1000; i++) {
    last = node->name;
    assert_int_equal(pass_join_names(&plain.context, node, plain.graph->last), NORMA_OK);
  }
  assert_ptr_equal(node->name, last); /* no copy is made any more */
  assert_true(strlen(last) > 1900 && strlen(last) < 2100);
  assert_string_equal(last + strlen(last) - 6, " + ...");
  free_plain(&plain);
}

/* ---------------------------------------------------------------------------------------------------------- rewrite */

static void a_node_takes_over_the_output_of_another(void **state) {
  (void)state;
  plain_model plain;
  model_builder *b = start(13);
  add_random(b, "k", NORMA_FLOAT, 1, DIMS(4), -1, 1);
  builder_named_node(b, "sum", "", "Add", "x z", "s");
  builder_named_node(b, "product", "", "Mul", "s k", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  load_plain(&plain, b);
  node *first = plain.graph->first;
  graph_value *y = value_of(&plain, "y"), *s = value_of(&plain, "s");
  assert_int_equal(pass_take_over(&plain.context, first, plain.graph->last), NORMA_OK);
  assert_int_equal(plain.graph->node_count, 1);
  assert_ptr_equal(first->outputs[0], y);
  assert_ptr_equal(y->producer, first);
  assert_null(s->producer);
  assert_int_equal(s->use_count, 0);
  assert_string_equal(first->name, "sum + product");
  assert_null(value_of(&plain, "k")->constant); /* which nobody else read */
  free_plain(&plain);
}

static void constants_that_others_read_are_kept(void **state) {
  (void)state;
  plain_model plain;
  model_builder *b = start(13);
  add_random(b, "k", NORMA_FLOAT, 1, DIMS(4), -1, 1);
  builder_node(b, "Mul", "x k", "m");
  builder_node(b, "Add", "z k", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  load_plain(&plain, b);
  const graph_value *k = value_of(&plain, "k");
  assert_int_equal(pass_remove(&plain.context, plain.graph->first), NORMA_OK);
  assert_non_null(k->constant);
  assert_int_equal(k->use_count, 1);
  pass_release_constant(value_of(&plain, "k")); /* does nothing while somebody reads */
  assert_non_null(k->constant);
  node_set_input(plain.graph->first, 1, value_of(&plain, "x"));
  pass_release_constant(value_of(&plain, "k"));
  assert_null(k->constant);
  pass_release_constant(value_of(&plain, "k"));
  pass_release_constant(value_of(&plain, "x")); /* no constant */
  free_plain(&plain);
}

/* Readers of a node that does nothing read its input; at the graph's border the producer takes the output's name. */
static void bypassing_keeps_names_of_outputs(void **state) {
  (void)state;
  for (int at_border = 0; at_border < 2; at_border++) {
    plain_model plain;
    model_builder *b = start(13);
    builder_node(b, "Neg", "x", "n");
    builder_node(b, "Identity", "n", at_border ? "y" : "i");
    if (!at_border) builder_node(b, "Abs", "i", "y");
    builder_node(b, "Exp", "n", "e");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    builder_output(b, "e", NORMA_FLOAT, -1, NULL);
    load_plain(&plain, b);
    bool changed = false;
    pass_bypass(plain.graph->first->next, 0, &changed);
    assert_true(changed);
    assert_int_equal(plain.graph->node_count, at_border ? 2 : 3);
    const graph_value *left = value_of(&plain, at_border ? "y" : "n");
    assert_ptr_equal(plain.graph->first->outputs[0], left);
    assert_int_equal(left->use_count, at_border ? 1 : 2);
    assert_ptr_equal(plain.graph->last->inputs[0], left);
    free_plain(&plain);
  }
}

static void bypassing_between_borders_changes_nothing(void **state) {
  (void)state;
  plain_model plain;
  model_builder *b = start(13);
  builder_node(b, "Identity", "x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  load_plain(&plain, b);
  bool changed = false;
  pass_bypass(plain.graph->first, 0, &changed);
  assert_false(changed);
  assert_int_equal(plain.graph->node_count, 1);
  free_plain(&plain);
}

static void constants_get_names_that_are_free(void **state) {
  (void)state;
  plain_model plain;
  model_builder *b = start(13);
  builder_node(b, "Neg", "x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  load_plain(&plain, b);
  graph_value *made[3];
  const shape shape = shape_make(1, DIMS(2));
  for (int i = 0; i < 3; i++) {
    value contents;
    assert_int_equal(value_allocate_tensor(plain.model->memory, &contents, NORMA_FLOAT, &shape, NULL), NORMA_OK);
    assert_int_equal(pass_add_constant(&plain.context, plain.graph, "x", &contents, &made[i]), NORMA_OK);
    assert_int_equal(made[i]->name[0], 'x');
    assert_ptr_equal(graph_find_value(plain.graph, made[i]->name), made[i]);
    assert_int_equal(made[i]->info.shape.dims[0], 2);
    for (int k = 0; k < i; k++) assert_string_not_equal(made[k]->name, made[i]->name);
  }
  free_plain(&plain);
}

/* Behind all inputs that the operator knows, absent ones included. */
static void epilogue_inputs_stand_behind_the_operators_own(void **state) {
  (void)state;
  plain_model plain;
  model_builder *b = start(13);
  add_random(b, "w", NORMA_FLOAT, 2, DIMS(4, 4), -1, 1);
  builder_node(b, "Gemm", "x w", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  load_plain(&plain, b);
  node *gemm = plain.graph->first;
  int first, second;
  assert_int_equal(pass_add_epilogue_input(&plain.context, gemm, value_of(&plain, "z"), &first), NORMA_OK);
  assert_int_equal(pass_add_epilogue_input(&plain.context, gemm, value_of(&plain, "x"), &second), NORMA_OK);
  assert_int_equal(first, 3);
  assert_int_equal(second, 4);
  assert_int_equal(gemm->input_count, 5);
  assert_null(gemm->inputs[2]);
  assert_ptr_equal(gemm->inputs[3], value_of(&plain, "z"));
  assert_int_equal(value_of(&plain, "x")->use_count, 2);
  free_plain(&plain);
}

static void nodes_without_an_operator_are_a_defect(void **state) {
  (void)state;
  plain_model plain;
  model_builder *b = start(13);
  builder_node(b, "Neg", "x", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  load_plain(&plain, b);
  node *made = graph_add_node(plain.graph, "made", "NoSuchOperator", "", 1, 1, 0);
  made->opset = 13;
  assert_int_equal(pass_resolve(&plain.context, made), NORMA_ERROR_INTERNAL);
  assert_string_equal(plain.error.node, "made");
  graph_remove_node(made);
  made = graph_add_node(plain.graph, "made", "Abs", "", 1, 1, 0);
  made->opset = 13;
  node_set_input(made, 0, value_of(&plain, "x"));
  assert_int_equal(pass_resolve(&plain.context, made), NORMA_OK);
  assert_int_equal(made->version, 13);
  assert_non_null(made->op);
  free_plain(&plain);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sums_have_two_operands),
      cmocka_unit_test(facts_that_are_left_out_are_not_known),
      cmocka_unit_test(a_store_is_plain_until_something_is_fused),
      cmocka_unit_test(fusing_depends_on_type_and_outputs),
      cmocka_unit_test(names_are_joined),
      cmocka_unit_test(long_names_end_in_dots),
      cmocka_unit_test(a_node_takes_over_the_output_of_another),
      cmocka_unit_test(constants_that_others_read_are_kept),
      cmocka_unit_test(bypassing_keeps_names_of_outputs),
      cmocka_unit_test(bypassing_between_borders_changes_nothing),
      cmocka_unit_test(constants_get_names_that_are_free),
      cmocka_unit_test(epilogue_inputs_stand_behind_the_operators_own),
      cmocka_unit_test(nodes_without_an_operator_are_a_defect),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
