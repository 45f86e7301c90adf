/* Scan in whole models: axes and directions, states, batches and lengths of version 8, refusals. */
#include "tests/support/opened_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* state = state + 2 * element (+ a captured number in versions from 9 on); the new state is stacked, twice. */
static model_builder *make_sum(int64_t opset, const char *inputs, node **scan) {
  model_builder *builder = builder_create(opset);
  builder_floats(builder, "two", 0, NULL, (float[]){2});
  *scan = builder_node(builder, "Scan", inputs, "last first second");
  builder_int(*scan, "num_scan_inputs", 1);
  model_builder *body = builder_subgraph(builder, *scan, "body");
  builder_input(body, "s", NORMA_FLOAT, -1, NULL);
  builder_input(body, "e", NORMA_FLOAT, -1, NULL);
  builder_node(body, "Mul", "e two", "doubled");
  builder_node(body, "Add", "s doubled", "next");
  builder_node(body, "Neg", "next", "negative");
  builder_output(body, "next", NORMA_UNDEFINED, -1, NULL);
  builder_output(body, "next", NORMA_UNDEFINED, -1, NULL);
  builder_output(body, "negative", NORMA_UNDEFINED, -1, NULL);
  builder_output(builder, "last", NORMA_FLOAT, -1, NULL);
  builder_output(builder, "first", NORMA_FLOAT, -1, NULL);
  builder_output(builder, "second", NORMA_FLOAT, -1, NULL);
  return builder;
}

/* Position of (t, i, j) in a tensor whose axis `axis` has the size `length` and the others, in order, 2 and 3. */
static int64_t position(int axis, int64_t length, int64_t t, int64_t i, int64_t j) {
  if (axis == 0) return (t * 2 + i) * 3 + j;
  return axis == 1 ? (i * length + t) * 3 + j : (i * 3 + j) * length + t;
}

enum { LENGTH = 5 };

/* What make_sum should give for states and elements of 2 x 3. */
static void sum_naively(const float *state, const float *x, int axis, bool reverse, int output_axis, bool prepend,
                        int64_t length, double *last, double *stacked) {
  for (int64_t i = 0; i < 2; i++) {
    for (int64_t j = 0; j < 3; j++) {
      double sum = state[3 * i + j];
      for (int64_t t = 0; t < length; t++) {
        sum += 2 * x[position(axis, length, reverse ? length - 1 - t : t, i, j)];
        stacked[position(output_axis, length, prepend ? length - 1 - t : t, i, j)] = sum;
      }
      last[3 * i + j] = sum;
    }
  }
}

static void insert_length(int64_t dims[3], int axis, int64_t length) {
  const int64_t others[2] = {2, 3};
  for (int i = 0, k = 0; i < 3; i++) dims[i] = i == axis ? length : others[k++];
}

static void axes_and_directions(void **state) {
  (void)state;
  static const int64_t opsets[] = {9, 11, 16, 19, 21, 23, 24, 25};
  float x[6 * LENGTH], initial[6] = {1, -1, 2, -2, 3, -3};
  for (int i = 0; i < 6 * LENGTH; i++) x[i] = (float)(i * 7 % 11);
  for (int variant = 0; variant < 3 * 3 * 2 * 2 * 2; variant++) {
    const int axis = variant % 3, output_axis = variant / 3 % 3;
    const bool reverse = variant / 9 % 2, prepend = variant / 18 % 2, negative = variant / 36 % 2;
    const int64_t length = variant % 4 == 3 ? 0 : LENGTH;
    double last[6], first[6 * LENGTH], second[6 * LENGTH];
    sum_naively(initial, x, axis, reverse, output_axis, prepend, length, last, first);
    sum_naively(initial, x, axis, reverse, 0, !prepend, length, last, second);
    for (int i = 0; i < 6 * LENGTH; i++) second[i] = -second[i];
    node *scan;
    model_builder *builder = make_sum(opsets[variant % 8], "initial x", &scan);
    builder_input(builder, "initial", NORMA_FLOAT, 2, (int64_t[]){2, 3});
    builder_input(builder, "x", NORMA_FLOAT, 3, (int64_t[]){-1, -1, -1});
    builder_ints(scan, "scan_input_axes", 1, (int64_t[]){negative ? axis - 3 : axis});
    builder_ints(scan, "scan_input_directions", 1, (int64_t[]){reverse});
    builder_ints(scan, "scan_output_axes", 2, (int64_t[]){negative ? output_axis - 3 : output_axis, 0});
    builder_ints(scan, "scan_output_directions", 2, (int64_t[]){prepend, !prepend});
    int64_t dims[3], first_dims[3];
    insert_length(dims, axis, length);
    insert_length(first_dims, output_axis, length);
    FOR_EACH_LEVEL(level) {
      opened_model opened = opened_load(builder, tested_levels[level]);
      opened_set(&opened, "initial", NORMA_FLOAT, 2, (int64_t[]){2, 3}, initial);
      opened_set(&opened, "x", NORMA_FLOAT, 3, dims, x);
      for (int round = 0; round < 2; round++) {
        opened_run(&opened);
        opened_assert_floats(&opened, 0, 2, (int64_t[]){2, 3}, last);
        opened_assert_floats(&opened, 1, 3, first_dims, first);
        opened_assert_floats(&opened, 2, 3, (int64_t[]){length, 2, 3}, second);
      }
      opened_free(&opened);
    }
    builder_destroy(builder);
  }
}

/* Without attributes; the shapes are known at load. */
static void defaults_and_inference(void **state) {
  (void)state;
  static const float x[3] = {1, 2, 3}, initial[1] = {10};
  node *scan;
  model_builder *builder = make_sum(9, "initial x", &scan);
  builder_input(builder, "initial", NORMA_FLOAT, 0, NULL);
  builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){3});
  FOR_EACH_LEVEL(level) {
    opened_model opened = opened_load(builder, tested_levels[level]);
    norma_value_info info;
    assert_int_equal(norma_model_output(opened.model, 0, &info), NORMA_OK);
    assert_int_equal(info.rank, 0);
    assert_int_equal(norma_model_output(opened.model, 1, &info), NORMA_OK);
    assert_int_equal(info.rank, 1);
    assert_int_equal(info.dims[0], 3);
    opened_set(&opened, "initial", NORMA_FLOAT, 0, NULL, initial);
    opened_set(&opened, "x", NORMA_FLOAT, 1, (int64_t[]){3}, x);
    opened_run(&opened);
    opened_assert_floats(&opened, 0, 0, NULL, (double[]){22});
    opened_assert_floats(&opened, 1, 1, (int64_t[]){3}, (double[]){12, 16, 22});
    opened_assert_floats(&opened, 2, 1, (int64_t[]){3}, (double[]){-12, -16, -22});
    opened_free(&opened);
  }
  builder_destroy(builder);
}

/* Two sequences in opposite directions and no state. */
static void zips_sequences(void **state) {
  (void)state;
  static const float x[3] = {1, 2, 3}, y[3] = {10, 20, 30};
  model_builder *builder = builder_create(16);
  builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){-1});
  builder_input(builder, "y", NORMA_FLOAT, 1, (int64_t[]){-1});
  node *scan = builder_node(builder, "Scan", "x y", "z");
  builder_int(scan, "num_scan_inputs", 2);
  builder_ints(scan, "scan_input_directions", 2, (int64_t[]){0, 1});
  model_builder *body = builder_subgraph(builder, scan, "body");
  builder_input(body, "a", NORMA_FLOAT, 0, NULL);
  builder_input(body, "b", NORMA_FLOAT, 0, NULL);
  builder_node(body, "Sub", "b a", "c");
  builder_output(body, "c", NORMA_UNDEFINED, -1, NULL);
  builder_output(builder, "z", NORMA_FLOAT, -1, NULL);
  FOR_EACH_LEVEL(level) {
    opened_model opened = opened_load(builder, tested_levels[level]);
    opened_set(&opened, "x", NORMA_FLOAT, 1, (int64_t[]){3}, x);
    opened_set(&opened, "y", NORMA_FLOAT, 1, (int64_t[]){3}, y);
    opened_run(&opened);
    opened_assert_floats(&opened, 0, 1, (int64_t[]){3}, (double[]){29, 18, 7});
    opened_set(&opened, "y", NORMA_FLOAT, 1, (int64_t[]){2}, y);
    assert_int_not_equal(opened_try_run(&opened), NORMA_OK);
    assert_non_null(strstr(opened.error.message, "length of 3 and of 2"));
    opened_free(&opened);
  }
  builder_destroy(builder);
}

/* Version 8: samples of a batch run one after the other, each as long as sequence_lens says. */
static void batches_of_version_8(void **state) {
  (void)state;
  enum { BATCH = 3 };
  float x[BATCH * 6 * LENGTH], initial[BATCH * 6];
  for (int i = 0; i < BATCH * 6 * LENGTH; i++) x[i] = (float)(i * 7 % 11);
  for (int i = 0; i < BATCH * 6; i++) initial[i] = (float)(i % 4);
  for (int variant = 0; variant < 8; variant++) {
    const bool has_lengths = variant & 1, reverse = variant & 2, empty = variant & 4;
    const int64_t lengths[BATCH] = {empty ? 0 : 2, empty ? 0 : LENGTH, 0};
    double last[BATCH * 6], stacked[BATCH * 6 * LENGTH] = {0}, negative[BATCH * 6 * LENGTH] = {0};
    for (int b = 0; b < BATCH; b++) {
      const int64_t length = has_lengths ? lengths[b] : LENGTH;
      float sample[6 * LENGTH];
      for (int64_t t = 0; t < length; t++) { /* reversed within its own length */
        memcpy(sample + 6 * t, x + (b * LENGTH + (reverse ? length - 1 - t : t)) * 6, 6 * sizeof *x);
      }
      sum_naively(initial + 6 * b, sample, 0, false, 0, false, length, last + 6 * b, stacked + 6 * LENGTH * b);
    }
    for (int i = 0; i < BATCH * 6 * LENGTH; i++) negative[i] = -stacked[i];
    node *scan;
    model_builder *builder = make_sum(8, has_lengths ? "lengths initial x" : "- initial x", &scan);
    if (has_lengths) builder_input(builder, "lengths", NORMA_INT64, 1, (int64_t[]){-1});
    builder_input(builder, "initial", NORMA_FLOAT, 3, (int64_t[]){-1, 2, 3});
    builder_input(builder, "x", NORMA_FLOAT, 4, (int64_t[]){-1, -1, 2, 3});
    if (reverse) builder_ints(scan, "directions", 1, (int64_t[]){1});
    FOR_EACH_LEVEL(level) {
      opened_model opened = opened_load(builder, tested_levels[level]);
      if (has_lengths) opened_set(&opened, "lengths", NORMA_INT64, 1, (int64_t[]){BATCH}, lengths);
      opened_set(&opened, "initial", NORMA_FLOAT, 3, (int64_t[]){BATCH, 2, 3}, initial);
      opened_set(&opened, "x", NORMA_FLOAT, 4, (int64_t[]){BATCH, LENGTH, 2, 3}, x);
      opened_run(&opened);
      opened_assert_floats(&opened, 0, 3, (int64_t[]){BATCH, 2, 3}, last);
      opened_assert_floats(&opened, 1, 4, (int64_t[]){BATCH, LENGTH, 2, 3}, stacked);
      opened_assert_floats(&opened, 2, 4, (int64_t[]){BATCH, LENGTH, 2, 3}, negative);
      if (has_lengths) {
        opened_set(&opened, "lengths", NORMA_INT64, 1, (int64_t[]){BATCH}, (int64_t[]){0, 1, LENGTH + 1});
        opened_assert_run_fails(&opened, NORMA_ERROR_RUN, "sequence_lens holds 6");
        opened_set(&opened, "lengths", NORMA_INT64, 1, (int64_t[]){BATCH}, (int64_t[]){0, -1, 1});
        opened_assert_run_fails(&opened, NORMA_ERROR_RUN, "sequence_lens holds -1");
        opened_set(&opened, "lengths", NORMA_INT64, 1, (int64_t[]){0}, lengths);
      }
      opened_set(&opened, "initial", NORMA_FLOAT, 3, (int64_t[]){0, 2, 3}, initial);
      opened_set(&opened, "x", NORMA_FLOAT, 4, (int64_t[]){0, LENGTH, 2, 3}, x);
      opened_run(&opened);
      opened_assert_floats(&opened, 0, 3, (int64_t[]){0, 2, 3}, NULL);
      opened_assert_floats(&opened, 1, 4, (int64_t[]){0, LENGTH, 2, 3}, NULL);
      opened_free(&opened);
    }
    builder_destroy(builder);
  }
}

/* A body that gives its element back: axis 1 of 2 x 3 becomes axis 0 (and the other way round) for every type. */
static void moves_every_element_type(void **state) {
  (void)state;
  for (int type = 1; type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    if (!element_type_exists((norma_element_type)type) || type == NORMA_STRING) continue;
    const int bits = element_type_bits((norma_element_type)type);
    uint8_t data[6 * 16];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(type == NORMA_BOOL ? i % 3 == 0 : 37 * i + 11);
    model_builder *builder = builder_create(25);
    builder_input(builder, "x", (norma_element_type)type, 2, (int64_t[]){2, 3});
    node *scan = builder_node(builder, "Scan", "x", "y");
    builder_int(scan, "num_scan_inputs", 1);
    builder_ints(scan, "scan_input_axes", 1, (int64_t[]){1});
    model_builder *body = builder_subgraph(builder, scan, "body");
    builder_input(body, "e", (norma_element_type)type, 1, (int64_t[]){2});
    builder_node(body, "Identity", "e", "same");
    builder_output(body, "same", NORMA_UNDEFINED, -1, NULL);
    builder_output(builder, "y", (norma_element_type)type, -1, NULL);
    opened_model opened = opened_load(builder, NORMA_OPTIMIZE_FULL);
    opened_set(&opened, "x", (norma_element_type)type, 2, (int64_t[]){2, 3}, data);
    opened_run(&opened);
    const norma_tensor *y = opened_output(&opened, 0);
    assert_int_equal(y->type, type);
    assert_int_equal(y->dims[0], 3);
    assert_int_equal(y->dims[1], 2);
    for (int i = 0; i < 6; i++) {
      for (int bit = 0; bit < bits; bit++) {
        const int from = (i % 2 * 3 + i / 2) * bits + bit, to = i * bits + bit;
        const int expected = data[from / 8] >> (from % 8) & 1, got = ((const uint8_t *)y->data)[to / 8] >> (to % 8) & 1;
        if (got != expected) fail_msg("type %d, element %d: bit %d differs", type, i, bit);
      }
    }
    opened_free(&opened);
    builder_destroy(builder);
  }
}

static void moves_strings(void **state) {
  (void)state;
  static const char *const words[6] = {"", "b", "cc", "ddd", "a longer text", "f"};
  for (int64_t opset = 8; opset < 10; opset++) {
    model_builder *builder = builder_create(opset);
    builder_strings(builder, "initial", (int)(9 - opset), (int64_t[]){1}, words + 4); /* [1] or a scalar */
    builder_strings(builder, "x", (int)(11 - opset), opset == 8 ? (int64_t[]){1, 3, 2} : (int64_t[]){2, 3}, words);
    node *scan = builder_node(builder, "Scan", opset == 8 ? "- initial x" : "initial x", "last y");
    builder_int(scan, "num_scan_inputs", 1);
    if (opset == 9) builder_ints(scan, "scan_input_axes", 1, (int64_t[]){1});
    model_builder *body = builder_subgraph(builder, scan, "body");
    builder_input(body, "s", NORMA_STRING, 0, NULL);
    builder_input(body, "e", NORMA_STRING, 1, (int64_t[]){2});
    builder_output(body, "s", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "e", NORMA_UNDEFINED, -1, NULL);
    builder_output(builder, "last", NORMA_STRING, -1, NULL);
    builder_output(builder, "y", NORMA_STRING, -1, NULL);
    FOR_EACH_LEVEL(level) {
      opened_model opened = opened_load(builder, tested_levels[level]);
      opened_run(&opened);
      const norma_tensor *last = opened_output(&opened, 0), *y = opened_output(&opened, 1);
      assert_int_equal(norma_tensor_count(y), 6);
      for (int i = 0; i < 7; i++) {
        const norma_string *got = i < 6 ? (const norma_string *)y->data + i : (const norma_string *)last->data;
        const char *expected = i == 6 ? words[4] : opset == 8 ? words[i] : words[i % 2 * 3 + i / 2];
        assert_int_equal(got->size, strlen(expected));
        if (got->size) assert_memory_equal(got->data, expected, got->size);
      }
      opened_free(&opened);
    }
    builder_destroy(builder);
  }
}

/* --------------------------------------------------------------------------------------------------------- refusals */

static void refuses_nodes_that_do_not_fit(void **state) {
  (void)state;
  static const struct {
    const char *name, *text;
    int64_t values[2];
    int count;
  } lists[] = {{"scan_input_axes", "scan_input_axes has 2 elements, expected 1", {0, 0}, 2},
               {"scan_input_axes", "axis 3 is outside input 1", {3}, 1},
               {"scan_input_axes", "scan_input_axes holds 16", {16}, 1},
               {"scan_output_axes", "axis -4 is outside output 1", {-4, 0}, 2},
               {"scan_output_axes", "scan_output_axes has 1 elements", {0}, 1},
               {"scan_input_directions", "scan_input_directions holds 2", {2}, 1},
               {"scan_output_directions", "scan_output_directions holds -1", {0, -1}, 2},
               {"directions", "has no attribute 'directions'", {0}, 1}};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    node *scan;
    model_builder *builder = make_sum(11, "initial x", &scan);
    builder_input(builder, "initial", NORMA_FLOAT, 2, (int64_t[]){2, 3});
    builder_input(builder, "x", NORMA_FLOAT, 3, (int64_t[]){5, 2, 3});
    builder_ints(scan, lists[i].name, (size_t)lists[i].count, lists[i].values);
    opened_assert_refused(builder, lists[i].text);
  }
  for (int i = 0; i < 2; i++) {
    node *scan;
    model_builder *builder = make_sum(11, "initial x", &scan);
    builder_input(builder, "initial", NORMA_FLOAT, 2, (int64_t[]){2, 3});
    builder_input(builder, "x", NORMA_FLOAT, 3, (int64_t[]){5, 2, 3});
    scan->attributes[0].i = i ? 0 : 3;
    opened_assert_refused(builder, i ? "num_scan_inputs is 0" : "num_scan_inputs is 3");
  }
  node *scan;
  model_builder *builder = make_sum(11, "initial x x", &scan);
  builder_input(builder, "initial", NORMA_FLOAT, 2, (int64_t[]){2, 3});
  builder_input(builder, "x", NORMA_FLOAT, 3, (int64_t[]){5, 2, 3});
  opened_assert_refused(builder, "body has 2 inputs");

  builder = make_sum(11, "initial x", &scan);
  builder_input(builder, "initial", NORMA_FLOAT, 1, (int64_t[]){3}); /* the body makes it 2 x 3 */
  builder_input(builder, "x", NORMA_FLOAT, 3, (int64_t[]){5, 2, 3});
  opened_assert_refused(builder, "changes type or shape of state 0");

  builder = make_sum(8, "lengths initial x", &scan);
  builder_input(builder, "lengths", NORMA_INT64, 1, (int64_t[]){4});
  builder_input(builder, "initial", NORMA_FLOAT, 2, (int64_t[]){2, 3});
  builder_input(builder, "x", NORMA_FLOAT, 3, (int64_t[]){2, 5, 3});
  opened_assert_refused(builder, "a batch of 4 and of 2");

  builder = make_sum(8, "lengths initial x", &scan);
  builder_input(builder, "lengths", NORMA_INT32, 1, (int64_t[]){2});
  builder_input(builder, "initial", NORMA_FLOAT, 2, (int64_t[]){2, 3});
  builder_input(builder, "x", NORMA_FLOAT, 3, (int64_t[]){2, 5, 3});
  opened_assert_refused(builder, "sequence_lens is not int64");
}

/* Where shapes are not known at load. */
static void fails_in_the_run(void **state) {
  (void)state;
  static const float x[30];
  node *scan;
  model_builder *builder = make_sum(11, "initial x", &scan);
  builder_ints(scan, "scan_input_axes", 1, (int64_t[]){2});
  builder_input(builder, "initial", NORMA_FLOAT, -1, NULL);
  builder_input(builder, "x", NORMA_FLOAT, -1, NULL);
  FOR_EACH_LEVEL(level) {
    opened_model opened = opened_load(builder, tested_levels[level]);
    opened_set(&opened, "initial", NORMA_FLOAT, 1, (int64_t[]){3}, x);
    opened_set(&opened, "x", NORMA_FLOAT, 3, (int64_t[]){2, 3, 5}, x);
    assert_int_not_equal(opened_try_run(&opened), NORMA_OK);
    assert_non_null(strstr(opened.error.message, "changes type or shape of state 0"));
    opened_set(&opened, "x", NORMA_FLOAT, 2, (int64_t[]){6, 5}, x);
    assert_int_not_equal(opened_try_run(&opened), NORMA_OK);
    assert_non_null(strstr(opened.error.message, "axis 2 is outside input 1"));
    opened_set(&opened, "x", NORMA_FLOAT, 3, (int64_t[]){1, 3, 5}, x);
    opened_set(&opened, "initial", NORMA_FLOAT, 2, (int64_t[]){1, 3}, x);
    opened_run(&opened);
    opened_free(&opened);
  }
  builder_destroy(builder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(axes_and_directions),
      cmocka_unit_test(defaults_and_inference),
      cmocka_unit_test(zips_sequences),
      cmocka_unit_test(batches_of_version_8),
      cmocka_unit_test(moves_every_element_type),
      cmocka_unit_test(moves_strings),
      cmocka_unit_test(refuses_nodes_that_do_not_fit),
      cmocka_unit_test(fails_in_the_run),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
