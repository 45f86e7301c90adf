/* Nodes read as y = x * scale[c] + shift[c]: which ones are such, what they do, and two of them behind each other. */
#include "engine/passes/scale_shift.h"

#include "tests/engine/passes/pass_check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

/* ---------------------------------------------------------------------------------------------------------- reading */

/* A model as exported, whose last node is to be read. */
typedef struct reading {
  norma_model *model;
  norma_error error;
  pass_context context;
  scale_shift transform;
  bool found;
} reading;

static reading read_last(model_builder *b) {
  reading reading = {.found = true};
  size_t size;
  norma_load_options options = {.struct_size = sizeof options, .optimization = NORMA_OPTIMIZE_NONE};
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  const void *bytes = builder_bytes(b, &size);
  if (norma_model_load_memory(bytes, size, &options, &reading.model, &reading.error) != NORMA_OK) {
    fail_msg("%s", reading.error.message);
  }
  reading.context = (pass_context){.model = reading.model, .error = &reading.error};
  builder_destroy(b);
  const node *last = reading.model->graph->last;
  assert_int_equal(scale_shift_read(&reading.context, last, &reading.transform, &reading.found), NORMA_OK);
  return reading;
}

static void finish(reading *reading) {
  scale_shift_free(&reading->transform);
  norma_model_destroy(reading->model);
}

/* Whether the last node is one; what it does is forgotten. */
static void expect_found(model_builder *b, bool found) {
  reading reading = read_last(b);
  assert_int_equal(reading.found, found);
  if (!found) assert_null(reading.transform.scale); /* nothing to free */
  finish(&reading);
}

static model_builder *start(norma_element_type type) {
  model_builder *b = builder_create(13);
  builder_input(b, "x", type, 4, DIMS(2, 3, 4, 5));
  return b;
}

/* Arithmetic with a constant: which input is x, and what happens to it. */
static void arithmetic_is_read(void **state) {
  static const struct {
    const char *op_type, *inputs;
    int input;
    double scale, shift;
  } cases[] = {{"Add", "x k", 0, 1, 4}, {"Add", "k x", 1, 1, 4}, {"Sub", "x k", 0, 1, -4},  {"Sub", "k x", 1, -1, 4},
               {"Mul", "x k", 0, 4, 0}, {"Mul", "k x", 1, 4, 0}, {"Div", "x k", 0, 0.25, 0}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    model_builder *b = start(NORMA_FLOAT);
    add_number(b, "k", NORMA_FLOAT, 4);
    builder_node(b, cases[i].op_type, cases[i].inputs, "y");
    reading reading = read_last(b);
    assert_true(reading.found);
    assert_int_equal(reading.transform.input, cases[i].input);
    assert_int_equal(reading.transform.axis, -1);
    assert_int_equal(reading.transform.count, 1);
    assert_true(reading.transform.scale[0] == cases[i].scale && reading.transform.shift[0] == cases[i].shift);
    assert_int_equal(scale_shift_is_sum(&reading.transform), cases[i].scale == 1);
    assert_int_equal(scale_shift_is_product(&reading.transform), cases[i].shift == 0);
    for (int64_t c = 0; c < 3; c++) { /* the same for all channels */
      assert_true(scale_shift_scale(&reading.transform, c) == cases[i].scale);
      assert_true(scale_shift_shift(&reading.transform, c) == cases[i].shift);
    }
    finish(&reading);
  }
}

static void normalization_is_read(void **state) {
  (void)state;
  model_builder *b = start(NORMA_FLOAT);
  add_numbers(b, "scale", NORMA_FLOAT, 1, DIMS(3), (double[]){2, -1, 0});
  add_numbers(b, "bias", NORMA_FLOAT, 1, DIMS(3), (double[]){1, 2, 3});
  add_numbers(b, "mean", NORMA_FLOAT, 1, DIMS(3), (double[]){4, 5, 6});
  add_numbers(b, "variance", NORMA_FLOAT, 1, DIMS(3), (double[]){4, 16, 1});
  builder_float(builder_node(b, "BatchNormalization", "x scale bias mean variance", "y"), "epsilon", 0);
  reading reading = read_last(b);
  static const double scale[3] = {1, -0.25, 0}, shift[3] = {-3, 3.25, 3};
  assert_true(reading.found);
  assert_int_equal(reading.transform.axis, 1);
  assert_int_equal(reading.transform.count, 3);
  for (int c = 0; c < 3; c++) {
    assert_true(reading.transform.scale[c] == scale[c] && reading.transform.shift[c] == shift[c]);
  }
  assert_false(scale_shift_is_sum(&reading.transform));
  assert_false(scale_shift_is_product(&reading.transform));
  finish(&reading);
}

/* Along which axis c counts follows from how the constant is broadcast. */
static void axes_follow_broadcasting(void **state) {
  static const struct {
    int rank;
    int64_t dims[5];
    int axis; /* -2: not one number per index of one axis */
  } forms[] = {{1, {5}, 3},           {1, {1}, -1},    {3, {3, 1, 1}, 1},     {4, {2, 1, 1, 1}, 0},    {2, {4, 1}, 2},
               {4, {1, 1, 1, 1}, -1}, {2, {4, 5}, -2}, {4, {2, 3, 4, 5}, -2}, {5, {1, 1, 1, 1, 1}, -2}};
  (void)state;
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    model_builder *b = start(NORMA_FLOAT);
    add_random(b, "k", NORMA_FLOAT, forms[i].rank, forms[i].dims, 1, 2);
    builder_node(b, "Add", "x k", "y");
    reading reading = read_last(b);
    assert_int_equal(reading.found, forms[i].axis >= -1);
    if (reading.found) assert_int_equal(reading.transform.axis, forms[i].axis);
    finish(&reading);
  }
}

static void what_is_none_is_not_read(void **state) {
  (void)state;
  model_builder *b = start(NORMA_INT32); /* integers */
  add_number(b, "k", NORMA_INT32, 4);
  builder_node(b, "Add", "x k", "y");
  expect_found(b, false);

  b = start(NORMA_FLOAT); /* two variables */
  builder_node(b, "Add", "x x", "y");
  expect_found(b, false);

  b = start(NORMA_FLOAT); /* another function */
  add_number(b, "k", NORMA_FLOAT, 4);
  builder_node(b, "Max", "x k", "y");
  expect_found(b, false);

  b = start(NORMA_FLOAT); /* the reciprocal */
  add_number(b, "k", NORMA_FLOAT, 4);
  builder_node(b, "Div", "k x", "y");
  expect_found(b, false);

  b = builder_create(13); /* y is larger than x */
  builder_input(b, "x", NORMA_FLOAT, 2, DIMS(1, 5));
  add_random(b, "k", NORMA_FLOAT, 2, DIMS(4, 1), 1, 2);
  builder_node(b, "Add", "x k", "y");
  expect_found(b, false);
}

static void constants_must_be_finite(void **state) {
  static const double numbers[] = {INFINITY, -INFINITY, NAN};
  (void)state;
  for (int i = 0; i < 3; i++) {
    model_builder *b = start(NORMA_FLOAT);
    add_numbers(b, "k", NORMA_FLOAT, 3, DIMS(3, 1, 1), (double[]){1, numbers[i], 2});
    builder_node(b, i == 1 ? "Add" : "Mul", "x k", "y");
    expect_found(b, false);
  }
  model_builder *b = start(NORMA_FLOAT);
  add_number(b, "k", NORMA_FLOAT, 0);
  builder_node(b, "Div", "x k", "y");
  expect_found(b, false);
}

/* What was fused into a node's store is done to the result as well. */
static void fused_nodes_are_not_read(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    model_builder *b = start(NORMA_FLOAT);
    add_number(b, "k", NORMA_FLOAT, 4);
    builder_node(b, "Add", "x k", "y");
    reading reading = read_last(b);
    node *last = reading.model->graph->last;
    scale_shift again;
    bool found;
    if (i == 1) last->epilogue.activation.kind = UNARY_RELU;
    assert_int_equal(scale_shift_read(&reading.context, last, &again, &found), NORMA_OK);
    assert_int_equal(found, i == 0);
    scale_shift_free(&again);
    finish(&reading);
  }
}

/* -------------------------------------------------------------------------------------------------------- appending */

typedef struct vectors {
  int axis;
  int64_t count;
  double scale[3], shift[3];
} vectors;

/* A transform with memory of its own, as reading makes it. */
static scale_shift make_transform(memory *memory, const vectors *from) {
  scale_shift made = {.memory = memory, .axis = from->axis, .count = from->count};
  made.scale = memory_allocate(memory, 2 * (size_t)from->count * sizeof(double));
  assert_non_null(made.scale);
  made.shift = made.scale + from->count;
  for (int64_t c = 0; c < from->count; c++) {
    made.scale[c] = from->scale[c];
    made.shift[c] = from->shift[c];
  }
  return made;
}

/* (x * s1 + t1) * s2 + t2; NULL for `expected`: they cannot be joined. */
static void expect_joined(const vectors *first, const vectors *second, const vectors *expected) {
  memory memory;
  norma_model model = {.memory = &memory};
  pass_context context = {.model = &model};
  bool found;
  memory_init(&memory, NULL, 0);
  scale_shift a = make_transform(&memory, first), b = make_transform(&memory, second);
  const double *before = a.scale;
  assert_int_equal(scale_shift_append(&context, &a, &b, &found), NORMA_OK);
  assert_int_equal(found, expected != NULL);
  if (!expected) assert_ptr_equal(a.scale, before); /* as it was */
  const vectors *now = expected ? expected : first;
  assert_int_equal(a.count, now->count);
  assert_int_equal(a.axis, now->axis);
  for (int64_t c = 0; c < a.count; c++) assert_true(a.scale[c] == now->scale[c] && a.shift[c] == now->shift[c]);
  scale_shift_free(&a);
  scale_shift_free(&b);
  assert_int_equal(atomic_load(&memory.used), 0);
}

static void transforms_are_joined(void **state) {
  static const vectors number = {-1, 1, {2}, {3}}, other = {-1, 1, {-5}, {0.5}};
  static const vectors channels = {1, 3, {1, 2, 4}, {8, 0, -1}}, more = {1, 3, {0, 1, -1}, {1, 2, 3}};
  static const vectors columns = {2, 3, {1, 2, 4}, {8, 0, -1}};
  (void)state;
  expect_joined(&number, &other, &(vectors){-1, 1, {-10}, {-14.5}});
  expect_joined(&number, &channels, &(vectors){1, 3, {2, 4, 8}, {11, 6, 11}});
  expect_joined(&channels, &number, &(vectors){1, 3, {2, 4, 8}, {19, 3, 1}});
  expect_joined(&channels, &more, &(vectors){1, 3, {0, 2, -4}, {1, 2, 4}});
  expect_joined(&channels, &columns, NULL); /* another axis */
}

static void products_must_be_finite(void **state) {
  static const vectors large = {-1, 1, {1e300}, {0}}, far = {1, 3, {1, 1, 1}, {0, 1e308, 0}};
  (void)state;
  expect_joined(&large, &large, NULL);
  expect_joined(&far, &large, NULL);
  expect_joined(&far, &far, NULL);
}

static void short_memory_leaves_it_as_it_was(void **state) {
  (void)state;
  static const vectors channels = {1, 3, {1, 2, 4}, {8, 0, -1}};
  memory memory, none;
  norma_error error;
  norma_model model = {.memory = &none};
  pass_context context = {.model = &model, .error = &error};
  bool found = true;
  memory_init(&memory, NULL, 0);
  memory_init(&none, NULL, 1);
  scale_shift a = make_transform(&memory, &channels), b = make_transform(&memory, &channels);
  assert_int_equal(scale_shift_append(&context, &a, &b, &found), NORMA_ERROR_BUDGET);
  assert_false(found);
  assert_true(a.count == 3 && a.scale[2] == 4 && a.shift[0] == 8);
  scale_shift_free(&a);
  scale_shift_free(&b);
  scale_shift_free(&b); /* all zero by now */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arithmetic_is_read),
      cmocka_unit_test(normalization_is_read),
      cmocka_unit_test(axes_follow_broadcasting),
      cmocka_unit_test(what_is_none_is_not_read),
      cmocka_unit_test(constants_must_be_finite),
      cmocka_unit_test(fused_nodes_are_not_read),
      cmocka_unit_test(transforms_are_joined),
      cmocka_unit_test(products_must_be_finite),
      cmocka_unit_test(short_memory_leaves_it_as_it_was),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
