/* What a caller or a model may do wrong without any harm: no place for errors, inputs that are absent, sizes beyond the
 * machine, containers nested without end, graphs of many thousand nodes. */
#include "engine/graph/graph.h"
#include "tests/support/model_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <pthread.h>

#include <cmocka.h>

static norma_status load(model_builder *b, norma_optimization level, norma_model **model, norma_error *error) {
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  norma_load_options options = {.struct_size = sizeof options, .optimization = level};
  return norma_model_load_memory(bytes, size, &options, model, error);
}

/* ---------------------------------------------------------------------------------------------- no place for errors */

/* Every status is the same with and without a place for the error. */
static void statuses_without_an_error(void **state) {
  (void)state;
  static const struct {
    const char *op_type, *inputs;
    norma_status load, run;
  } cases[] = {
      {"Relu", "x", NORMA_OK, NORMA_OK},
      {"Transpose", "x", NORMA_ERROR_INVALID_MODEL, NORMA_OK}, /* a permutation of another rank */
      {"NoSuchOperator", "x", NORMA_ERROR_UNSUPPORTED, NORMA_OK},
      {"Add", "x -", NORMA_ERROR_INVALID_MODEL, NORMA_OK},
      {"Add", "x y", NORMA_OK, NORMA_ERROR_INPUT},   /* shapes that do not fit, found while planning */
      {"Reshape", "x s", NORMA_OK, NORMA_ERROR_RUN}, /* found in the run */
  };
  float data[6] = {0};
  int64_t target[1] = {4};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    for (int with = 0; with <= 1; with++) {
      norma_error error = {0}, *place = with ? &error : NULL;
      model_builder *b = builder_create(17);
      builder_input(b, "x", NORMA_FLOAT, 2, (int64_t[]){-1, 3});
      builder_input(b, "y", NORMA_FLOAT, 2, (int64_t[]){-1, 3});
      builder_input(b, "s", NORMA_INT64, 1, (int64_t[]){1});
      node *node = builder_node(b, cases[i].op_type, cases[i].inputs, "z");
      if (i == 1) builder_ints(node, "perm", 3, (int64_t[]){2, 1, 0});
      builder_output(b, "z", NORMA_FLOAT, -1, NULL);
      norma_model *model = NULL;
      norma_session *session = NULL;
      assert_int_equal(load(b, NORMA_OPTIMIZE_FULL, &model, place), cases[i].load);
      if (cases[i].load == NORMA_OK) {
        assert_int_equal(norma_session_create(model, NULL, &session, place), NORMA_OK);
        norma_tensor x, y, s;
        norma_tensor_init(&x, NORMA_FLOAT, 2, (int64_t[]){2, 3}, data);
        norma_tensor_init(&y, NORMA_FLOAT, 2, (int64_t[]){0, 3}, data);
        norma_tensor_init(&s, NORMA_INT64, 1, (int64_t[]){1}, target);
        norma_session_set_input(session, "x", &x, place);
        norma_session_set_input(session, "y", &y, place);
        norma_session_set_input(session, "s", &s, place);
        norma_status prepared = norma_session_prepare(session, place);
        assert_int_equal(prepared, cases[i].run == NORMA_ERROR_INPUT ? NORMA_ERROR_INPUT : NORMA_OK);
        assert_int_equal(norma_session_run(session, place), cases[i].run);
      }
      norma_session_destroy(session);
      norma_model_destroy(model);
      builder_destroy(b);
    }
  }
}

/* ------------------------------------------------------------------------------------------------ absent in and out */

static void absent_inputs_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *op_type, *inputs;
    norma_status expected;
  } cases[] = {
      {"CastLike", "- x", NORMA_ERROR_INVALID_MODEL},
      {"Add", "- x", NORMA_ERROR_INVALID_MODEL},
      {"Identity", "-", NORMA_ERROR_INVALID_MODEL},
      {"Sum", "x - x", NORMA_ERROR_INVALID_MODEL}, /* any number, but each is there */
      {"Sum", "x -", NORMA_ERROR_INVALID_MODEL},
      {"Clip", "x - x", NORMA_OK},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    model_builder *b = builder_create(17);
    builder_input(b, "x", NORMA_FLOAT, 0, NULL);
    builder_node(b, cases[i].op_type, cases[i].inputs, "y");
    builder_output(b, "y", NORMA_FLOAT, -1, NULL);
    norma_model *model;
    norma_error error = {0};
    assert_int_equal(load(b, NORMA_OPTIMIZE_NONE, &model, &error), cases[i].expected);
    if (cases[i].expected != NORMA_OK) assert_non_null(strstr(error.message, "input"));
    norma_model_destroy(model);
    builder_destroy(b);
  }
}

/* An input whose type the model leaves open takes any, but not one that conflicts with another's. */
static void types_that_inputs_bring(void **state) {
  (void)state;
  model_builder *b = builder_create(19);
  uint64_t x_data[1] = {7};
  double y_data[60] = {0};
  builder_input(b, "x", NORMA_UINT64, 0, NULL);
  builder_input(b, "y", NORMA_UNDEFINED, 3, (int64_t[]){3, 4, 5});
  builder_node(b, "Equal", "x y", "z");
  builder_output(b, "z", NORMA_BOOL, -1, NULL);
  norma_model *model;
  norma_session *session;
  norma_error error;
  norma_tensor x, y;
  norma_tensor_init(&x, NORMA_UINT64, 0, NULL, x_data);
  assert_int_equal(load(b, NORMA_OPTIMIZE_FULL, &model, &error), NORMA_OK);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  assert_int_equal(norma_session_set_input(session, "x", &x, &error), NORMA_OK);
  static const norma_element_type types[] = {NORMA_UINT8, NORMA_FLOAT, NORMA_DOUBLE, NORMA_UINT64};
  for (int i = 0; i < 4; i++) {
    norma_tensor_init(&y, types[i], 3, (int64_t[]){3, 4, 5}, y_data);
    assert_int_equal(norma_session_set_input(session, "y", &y, &error), NORMA_OK);
    assert_int_equal(norma_session_run(session, &error), types[i] == NORMA_UINT64 ? NORMA_OK : NORMA_ERROR_INPUT);
    if (types[i] != NORMA_UINT64) assert_non_null(strstr(error.message, "'y'"));
  }
  norma_session_destroy(session);
  norma_model_destroy(model);
  builder_destroy(b);
}

/* What an optional or a sequence holds must be what the model declares, since later steps are planned on it. */
static void elements_of_inputs(void **state) {
  (void)state;
  static const norma_value_kind kinds[] = {NORMA_VALUE_OPTIONAL, NORMA_VALUE_SEQUENCE};
  for (int k = 0; k < 2; k++) {
    shape four = shape_make(1, (int64_t[]){4}), five = shape_make(1, (int64_t[]){5});
    value_info item = value_info_tensor(NORMA_FLOAT, &four);
    value_info list = {.kind = kinds[k], .shape = {.rank = RANK_UNKNOWN}, .item = &item};
    model_builder *b = builder_create(18);
    builder_input_info(b, "x", &list);
    builder_ints64(b, "i", 0, NULL, (int64_t[]){0});
    builder_node(b, k == 0 ? "OptionalGetElement" : "SequenceAt", k == 0 ? "x" : "x i", "y");
    builder_node(b, "Neg", "y", "z");
    builder_output(b, "z", NORMA_FLOAT, -1, NULL);
    norma_model *model;
    norma_session *session;
    norma_error error;
    memory memory;
    memory_init(&memory, NULL, 0);
    value right = {0}, wrong_type = {0}, wrong_shape = {0}, holder = {0};
    assert_int_equal(value_allocate_tensor(&memory, &right, NORMA_FLOAT, &four, &error), NORMA_OK);
    assert_int_equal(value_allocate_tensor(&memory, &wrong_type, NORMA_UINT8, &four, &error), NORMA_OK);
    assert_int_equal(value_allocate_tensor(&memory, &wrong_shape, NORMA_FLOAT, &five, &error), NORMA_OK);
    memset(right.tensor.data, 0, right.tensor.size_bytes);
    assert_int_equal(load(b, NORMA_OPTIMIZE_FULL, &model, &error), NORMA_OK);
    assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
    value *const elements[] = {&right, &wrong_type, &wrong_shape};
    for (int e = 0; e < 3; e++) {
      norma_status expected = e == 0 ? NORMA_OK : NORMA_ERROR_INPUT;
      assert_int_equal(value_allocate_list(&memory, &holder, kinds[k], 1, &error), NORMA_OK);
      holder.list->items[0] = *elements[e];
      assert_int_equal(norma_session_set_input_value(session, "x", &holder, &error), expected);
      if (e == 0) assert_int_equal(norma_session_run(session, &error), NORMA_OK);
      if (k == 0) assert_int_equal(norma_session_set_input_value(session, "x", elements[e], &error), expected);
      norma_session_clear_inputs(session);
      value_clear(&holder); /* and the element with it */
    }
    norma_session_destroy(session);
    norma_model_destroy(model);
    builder_destroy(b);
    assert_int_equal(atomic_load(&memory.used), 0);
  }
}

/* ----------------------------------------------------------------------------------------------------------- memory */

/* Without a budget, a size beyond the machine's memory is refused and not promised. */
static void more_than_the_machine_has(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  int64_t dims[2] = {INT64_C(1) << 22, INT64_C(1) << 20}; /* 16 TiB of float */
  builder_input(b, "s", NORMA_INT64, 1, (int64_t[]){2});
  builder_node(b, "ConstantOfShape", "s", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *model;
  norma_session *session;
  norma_error error;
  norma_tensor s;
  assert_int_equal(load(b, NORMA_OPTIMIZE_FULL, &model, &error), NORMA_OK);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  norma_tensor_init(&s, NORMA_INT64, 1, (int64_t[]){2}, dims);
  assert_int_equal(norma_session_set_input(session, "s", &s, &error), NORMA_OK);
  assert_int_equal(norma_session_run(session, &error), NORMA_ERROR_BUDGET);
  dims[0] = dims[1] = 2; /* and the session is as good as before */
  assert_int_equal(norma_session_run(session, &error), NORMA_OK);
  norma_session_destroy(session);
  norma_model_destroy(model);
  builder_destroy(b);
}

static void *clear_nested(void *argument) {
  value_clear(argument);
  return NULL;
}

/* Containers in containers go without recursion: the depth is the data's to choose. */
static void nested_containers_on_a_small_stack(void **state) {
  (void)state;
  memory memory;
  norma_error error;
  memory_init(&memory, NULL, 0);
  value nested = {0}, outer = {0};
  assert_int_equal(value_allocate_list(&memory, &nested, NORMA_VALUE_SEQUENCE, 0, &error), NORMA_OK);
  for (int i = 0; i < 200000; i++) {
    assert_int_equal(value_allocate_list(&memory, &outer, NORMA_VALUE_SEQUENCE, 2, &error), NORMA_OK);
    outer.list->items[0] = nested;
    nested = outer;
  }
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  assert_int_equal(pthread_attr_setstacksize(&attributes, 256 * 1024), 0);
  assert_int_equal(pthread_create(&thread, &attributes, clear_nested, &nested), 0);
  pthread_join(thread, NULL);
  pthread_attr_destroy(&attributes);
  assert_int_equal(atomic_load(&memory.used), 0);
}

/* ------------------------------------------------------------------------------------------------------- many nodes */

#define MANY 20000

/* Chains that passes fuse into one node: names are joined up to a length, and say that they were cut. */
static void long_chain_is_fused(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "x0", NORMA_FLOAT, 1, (int64_t[]){2});
  builder_floats(b, "c", 1, (int64_t[]){2}, (float[]){1, -1});
  char input[40], output[20], name[40];
  for (int i = 0; i < MANY; i++) {
    snprintf(input, sizeof input, "x%d c", i);
    snprintf(output, sizeof output, "x%d", i + 1);
    snprintf(name, sizeof name, "multiply_%d", i);
    builder_named_node(b, name, "", "Mul", input, output);
  }
  builder_output(b, output, NORMA_FLOAT, -1, NULL);
  norma_model *model;
  norma_session *session;
  norma_error error;
  float data[2] = {5, 7};
  norma_tensor x;
  norma_tensor_init(&x, NORMA_FLOAT, 1, (int64_t[]){2}, data);
  assert_int_equal(load(b, NORMA_OPTIMIZE_FULL, &model, &error), NORMA_OK);
  for (const node *node = model->graph->first; node; node = node->next) assert_true(strlen(node->name) < 3000);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  assert_int_equal(norma_session_set_input(session, "x0", &x, &error), NORMA_OK);
  assert_int_equal(norma_session_run(session, &error), NORMA_OK);
  const float *y = norma_value_tensor(norma_session_output(session, 0))->data;
  assert_true(y[0] == 5 && y[1] == 7);
  norma_session_destroy(session);
  norma_model_destroy(model);
  builder_destroy(b);
}

/* Thousands of values read by a branch: captures are each there once. */
static void many_captures(void **state) {
  (void)state;
  model_builder *b = builder_create(17);
  builder_input(b, "c", NORMA_BOOL, 0, NULL);
  builder_input(b, "x", NORMA_FLOAT, 1, (int64_t[]){2});
  node *branch = NULL;
  model_builder *branches[2];
  char name[40], names[40];
  for (int i = 0; i < 3000; i++) {
    snprintf(name, sizeof name, "v%d", i);
    builder_node(b, "Neg", "x", name);
  }
  branch = builder_node(b, "If", "c", "y");
  for (int k = 0; k < 2; k++) {
    branches[k] = builder_subgraph(b, branch, k ? "else_branch" : "then_branch");
    builder_node(branches[k], "Add", "v0 v0", "s0");
    for (int i = 1; i < 3000; i++) {
      snprintf(names, sizeof names, "s%d v%d", i - 1, k ? 2999 - i : i);
      snprintf(name, sizeof name, "s%d", i);
      builder_node(branches[k], "Add", names, name);
    }
    builder_output(branches[k], name, NORMA_FLOAT, -1, NULL);
  }
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  norma_model *model;
  norma_session *session;
  norma_error error;
  float data[2] = {1, -2};
  bool condition;
  norma_tensor x, c;
  norma_tensor_init(&x, NORMA_FLOAT, 1, (int64_t[]){2}, data);
  norma_tensor_init(&c, NORMA_BOOL, 0, NULL, &condition);
  assert_int_equal(load(b, NORMA_OPTIMIZE_FULL, &model, &error), NORMA_OK);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  assert_int_equal(norma_session_set_input(session, "x", &x, &error), NORMA_OK);
  assert_int_equal(norma_session_set_input(session, "c", &c, &error), NORMA_OK);
  for (int k = 0; k < 2; k++) {
    condition = k == 0;
    if (norma_session_run(session, &error) != NORMA_OK) fail_msg("%s", error.message);
    const float *y = norma_value_tensor(norma_session_output(session, 0))->data;
    assert_true(y[0] == -3001 && y[1] == 6002);
  }
  norma_session_destroy(session);
  norma_model_destroy(model);
  builder_destroy(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(statuses_without_an_error), cmocka_unit_test(absent_inputs_are_refused),
      cmocka_unit_test(types_that_inputs_bring),   cmocka_unit_test(elements_of_inputs),
      cmocka_unit_test(more_than_the_machine_has), cmocka_unit_test(nested_containers_on_a_small_stack),
      cmocka_unit_test(long_chain_is_fused),       cmocka_unit_test(many_captures),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
