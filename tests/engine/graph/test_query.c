/* Questions about nodes and values that facts and passes ask. */
#include "engine/graph/query.h"

#include "engine/graph/model.h"
#include "tests/support/model_builder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

static norma_model *load(model_builder *b) {
  size_t size;
  norma_error error;
  norma_model *model;
  norma_load_options options = {.struct_size = sizeof options, .optimization = NORMA_OPTIMIZE_NONE};
  const void *bytes = builder_bytes(b, &size);
  if (norma_model_load_memory(bytes, size, &options, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  builder_destroy(b);
  return model;
}

static node *node_named(const norma_model *model, const char *name) {
  for (node *node = model->graph->first; node; node = node->next) {
    if (strcmp(node->name, name) == 0) return node;
  }
  fail_msg("there is no node %s", name);
  return NULL;
}

/* Constants of several kinds, and nodes that read each other in several ways. */
static norma_model *make_model(void) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(-1, 4));
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  builder_floats(b, "number", 2, DIMS(1, 1), (float[]){2.5f});
  builder_floats(b, "two", 1, DIMS(2), (float[]){1, 2});
  builder_ints64(b, "integer", 0, NULL, DIMS(3));
  builder_initializer(b, "half", NORMA_FLOAT16, 0, NULL, &(uint16_t){0x3C00});
  builder_named_node(b, "relu", "", "Relu", "x", "r");
  builder_named_node(b, "mul", "", "Mul", "r number", "m");
  builder_named_node(b, "square", "", "Mul", "m m", "s");
  builder_named_node(b, "split", "", "Split", "s", "u v");
  builder_int(node_named(builder_model(b), "split"), "axis", 1);
  builder_named_node(b, "neg", "", "Neg", "v", "n");
  builder_named_node(b, "clip", "", "Clip", "n - number", "c");
  builder_named_node(b, "abs", "", "Abs", "c", "a");
  node *branch = builder_named_node(b, "if", "", "If", "choice", "i");
  for (int k = 0; k < 2; k++) {
    model_builder *inner = builder_subgraph(b, branch, k ? "then_branch" : "else_branch");
    builder_named_node(inner, k ? "exp" : "tanh", "", k ? "Exp" : "Tanh", k ? "a" : "u", "z");
    builder_output(inner, "z", NORMA_FLOAT, -1, NULL);
  }
  builder_named_node(b, "cast", "", "Cast", "integer", "y");
  builder_int(node_named(builder_model(b), "cast"), "to", NORMA_FLOAT);
  builder_named_node(b, "sum", "", "Sum", "two y", "w");
  builder_named_node(b, "wide", "", "Cast", "half", "h");
  builder_int(node_named(builder_model(b), "wide"), "to", NORMA_FLOAT);
  static const char *const outputs[] = {"i", "w", "h", "r"};
  for (int k = 0; k < 4; k++) builder_output(b, outputs[k], NORMA_FLOAT, -1, NULL);
  return load(b);
}

static void operators_are_told_by_name_and_domain(void **state) {
  (void)state;
  norma_model *model = make_model();
  node *relu = node_named(model, "relu");
  assert_true(node_is(relu, "Relu"));
  assert_false(node_is(relu, "relu"));
  assert_false(node_is(relu, "Abs"));
  const char *domain = relu->domain;
  relu->domain = "norma"; /* of the same name, in another domain */
  assert_false(node_is(relu, "Relu"));
  relu->domain = domain;
  const struct operator_descriptor *op = relu->op;
  relu->op = NULL; /* whose operator was not found */
  assert_false(node_is(relu, "Relu"));
  relu->op = op;
  norma_model_destroy(model);
}

static void inputs_and_outputs_may_be_absent(void **state) {
  (void)state;
  norma_model *model = make_model();
  const node *clip = node_named(model, "clip"), *split = node_named(model, "split");
  assert_true(node_has_input(clip, 0));
  assert_false(node_has_input(clip, 1)); /* left out */
  assert_true(node_has_input(clip, 2));
  assert_false(node_has_input(clip, 3)); /* beyond the last one */
  assert_true(node_has_output(split, 1));
  assert_false(node_has_output(split, 2));
  assert_true(node_has_one_output(clip));
  assert_false(node_has_one_output(split));
  norma_model_destroy(model);
}

static void constants_are_found(void **state) {
  (void)state;
  norma_model *model = make_model();
  const node *mul = node_named(model, "mul"), *clip = node_named(model, "clip"), *sum = node_named(model, "sum");
  double number = 7;
  assert_null(node_constant_input(mul, 0)); /* computed */
  assert_int_equal(node_constant_input(mul, 1)->rank, 2);
  assert_null(node_constant_input(clip, 1)); /* absent */
  assert_null(node_constant_input(clip, 9));
  assert_true(node_constant_number(mul, 1, &number) && number == 2.5);                     /* of any rank */
  assert_true(node_constant_number(node_named(model, "wide"), 0, &number) && number == 1); /* of any float type */
  number = 7;
  assert_false(node_constant_number(sum, 0, &number));                       /* two elements */
  assert_false(node_constant_number(node_named(model, "cast"), 0, &number)); /* an integer */
  assert_false(node_constant_number(mul, 0, &number));
  assert_false(node_constant_number(clip, 1, &number));
  assert_true(number == 7);
  norma_model_destroy(model);
}

static void shapes_of_what_is_absent_are_unknown(void **state) {
  (void)state;
  norma_model *model = make_model();
  const node *clip = node_named(model, "clip"), *relu = node_named(model, "relu");
  assert_int_equal(node_input_shape(relu, 0)->rank, 2);
  assert_int_equal(node_input_shape(relu, 0)->dims[0], DIM_UNKNOWN);
  assert_int_equal(node_output_shape(relu, 0)->dims[1], 4);
  assert_int_equal(node_input_shape(clip, 1)->rank, RANK_UNKNOWN);
  assert_int_equal(node_input_shape(clip, 5)->rank, RANK_UNKNOWN);
  assert_int_equal(node_output_shape(clip, 1)->rank, RANK_UNKNOWN);
  norma_model_destroy(model);
}

/* The producer that nobody else has an interest in. */
static void sole_producers(void **state) {
  (void)state;
  norma_model *model = make_model();
  const node *square = node_named(model, "square"), *abs = node_named(model, "abs");
  assert_ptr_equal(node_sole_producer(abs, 0), node_named(model, "clip"));
  assert_ptr_equal(node_single_producer(abs, 0, "Clip"), node_named(model, "clip"));
  assert_null(node_single_producer(abs, 0, "Neg"));
  assert_null(node_sole_producer(node_named(model, "relu"), 0)); /* an input of the graph */
  assert_null(node_sole_producer(node_named(model, "mul"), 0));  /* an output of the graph */
  assert_null(node_sole_producer(node_named(model, "mul"), 1));  /* a constant */
  assert_null(node_sole_producer(square, 0));                    /* read twice, by the same node */
  assert_null(node_sole_producer(node_named(model, "neg"), 0));  /* output 1 of its producer */
  assert_null(node_sole_producer(node_named(model, "clip"), 1)); /* absent */
  assert_null(node_sole_producer(node_named(model, "clip"), 4));
  assert_ptr_equal(node_sole_producer(node_named(model, "split"), 0), square);
  const node *exp = attribute_graph(node_named(model, "if"), "then_branch")->first;
  assert_string_equal(exp->name, "exp");
  assert_null(node_sole_producer(exp, 0)); /* in the graph around */
  norma_model_destroy(model);
}

static void element_types_are_told(void **state) {
  (void)state;
  norma_model *model = make_model();
  const graph_value *x = graph_find_value(model->graph, "x"), *choice = graph_find_value(model->graph, "choice");
  assert_true(value_is(x, NORMA_FLOAT));
  assert_false(value_is(x, NORMA_DOUBLE));
  assert_false(value_is(NULL, NORMA_FLOAT));
  assert_true(value_is_of(x, TYPES_FLOAT));
  assert_false(value_is_of(choice, TYPES_FLOAT));
  assert_true(value_is_of(choice, TYPES_ALL));
  assert_false(value_is_of(NULL, TYPES_ALL));
  graph_value none = {.info = {.kind = NORMA_VALUE_NONE, .type = NORMA_FLOAT}};
  assert_false(value_is(&none, NORMA_FLOAT) || value_is_of(&none, TYPES_ALL)); /* of which nothing is known */
  none.info.kind = NORMA_VALUE_SEQUENCE;
  assert_false(value_is(&none, NORMA_FLOAT) || value_is_of(&none, TYPES_ALL));
  norma_model_destroy(model);
}

static void unread_values_are_told(void **state) {
  (void)state;
  graph_value value = {.use_count = 0};
  assert_true(value_is_unread(&value));
  value.use_count = 1;
  assert_false(value_is_unread(&value));
  value = (graph_value){.output_count = 1};
  assert_false(value_is_unread(&value));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(operators_are_told_by_name_and_domain),
      cmocka_unit_test(inputs_and_outputs_may_be_absent),
      cmocka_unit_test(constants_are_found),
      cmocka_unit_test(shapes_of_what_is_absent_are_unknown),
      cmocka_unit_test(sole_producers),
      cmocka_unit_test(element_types_are_told),
      cmocka_unit_test(unread_values_are_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
