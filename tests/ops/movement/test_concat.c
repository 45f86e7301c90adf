/* Concat and Split, which are inverse, for elements of every type. */
#include "tests/support/builtin_operator.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#define MOST_PARTS 4

/* Parts that differ in one dimension, and where each begins on that. */
typedef struct parts {
  shape whole, part[MOST_PARTS];
  int count, axis;
  int64_t sizes[MOST_PARTS], begins[MOST_PARTS];
  const value *values[MOST_PARTS];
} parts;

static parts random_parts(workbench *bench, norma_element_type type) {
  parts made = {.whole = random_shape(&bench->seed, 1, 4, 400)};
  int64_t total = 0;
  made.count = (int)random_int(&bench->seed, 1, MOST_PARTS);
  made.axis = (int)random_int(&bench->seed, 0, made.whole.rank - 1);
  for (int k = 0; k < made.count; k++) {
    made.part[k] = made.whole;
    made.begins[k] = total;
    made.part[k].dims[made.axis] = made.sizes[k] = random_int(&bench->seed, 0, 5);
    total += made.sizes[k];
    made.values[k] = bench_numbered(bench, type, made.part[k]);
  }
  made.whole.dims[made.axis] = total;
  return made;
}

/* Which part has the element, and where in it. */
static int find_part(const parts *of, int64_t index, int64_t *place) {
  int64_t at[NORMA_MAX_RANK];
  int k = 0;
  shape_coordinates(&of->whole, index, at);
  while (at[of->axis] >= of->begins[k] + of->sizes[k]) k++;
  at[of->axis] -= of->begins[k];
  *place = shape_place(&of->part[k], at);
  return k;
}

static void parts_are_joined_and_split_again(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 8; round++) {
    FOR_TYPES(type, TYPES_ALL) {
      const parts made = random_parts(&bench, type);
      driver_call call = {.op_type = "Concat", .opset = 13, .input_count = made.count, .output_count = 1};
      for (int k = 0; k < made.count; k++) call.inputs[k] = made.values[k];
      call.attributes[0] = (attribute)DRIVER_INT("axis", made.axis - (round % 2 ? made.whole.rank : 0));
      const value *y = bench_run(&bench, &call);
      check_tensor(y, type, made.whole, NULL);
      for (int64_t i = 0; i < shape_count(&made.whole); i++) {
        int64_t place;
        const int k = find_part(&made, i, &place);
        assert_true(same_element(y, i, made.values[k], place));
      }
      const value *sizes = bench_ints(&bench, SHAPE(made.count), made.sizes);
      driver_call split = CALL("Split", 18, bench_keep(&bench, 0), sizes);
      split.output_count = made.count;
      split.attributes[0] = call.attributes[0];
      bench_run(&bench, &split);
      for (int k = 0; k < made.count; k++) assert_true(same_value(&bench.driver.outputs[k], made.values[k]));
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

static void large_parts(void **state) {
  static const struct {
    shape part;
    int axis;
  } cases[] = {{{2, {3, 20001}}, 0}, {{2, {3, 20001}}, 1}, {{3, {300, 2, 33}}, 1}, {{2, {20001, 1}}, 1}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < COUNT(cases); c++) {
    FOR_TYPES(type, TYPE_BIT(NORMA_UINT8) | TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_COMPLEX128) | TYPE_BIT(NORMA_INT4)) {
      parts made = {.whole = cases[c].part, .count = 2, .axis = cases[c].axis, .part = {cases[c].part, cases[c].part}};
      const int64_t size = cases[c].part.dims[made.axis];
      for (int k = 0; k < 2; k++) {
        made.begins[k] = k * size;
        made.sizes[k] = size;
        made.values[k] = bench_numbered(&bench, type, made.part[k]);
      }
      made.whole.dims[made.axis] *= 2;
      driver_call call = CALL("Concat", 13, made.values[0], made.values[1]);
      call.attributes[0] = (attribute)DRIVER_INT("axis", made.axis);
      const value *y = bench_run(&bench, &call);
      for (int64_t i = 0; i < shape_count(&made.whole); i += 7) {
        int64_t place;
        const int k = find_part(&made, i, &place);
        assert_true(same_element(y, i, made.values[k], place));
      }
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

static void one_value_several_times(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NUMBERS(1, 2));
  driver_call call = CALL("Concat", 4, x, x, x);
  call.attributes[0] = (attribute)DRIVER_INT("axis", 0);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(6), NUMBERS(1, 2, 1, 2, 1, 2));
  bench_finish(&bench);
}

/* The axis is 1 by default up to version 3, and required later. */
static void axis_of_every_version(void **state) {
  const operator_descriptor *op = builtin_operator("", "Concat");
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 1), NUMBERS(1, 2));
  for (int v = 0; op->versions[v]; v++) {
    driver_call call = CALL("Concat", op->versions[v], x, x);
    if (op->versions[v] >= 4) bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute axis is missing");
    if (op->versions[v] >= 4) call.attributes[0] = (attribute)DRIVER_INT("axis", 1);
    check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(2, 2), NUMBERS(1, 1, 2, 2));
    call.attributes[0] = (attribute)DRIVER_INT("axis", -2);
    check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(4, 1), NUMBERS(1, 2, 1, 2));
  }
  bench_finish(&bench);
}

static void what_does_not_fit_is_not_joined(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3), NULL),
              *y = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 4), NULL);
  const value *cube = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3, 1), NULL),
              *d = bench_tensor(&bench, NORMA_DOUBLE, SHAPE(2, 3), NULL);
  const value *scalar = bench_tensor(&bench, NORMA_FLOAT, SCALAR, NULL);
  driver_call call = CALL("Concat", 13, x, y);
  call.attributes[0] = (attribute)DRIVER_INT("axis", 0);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "input 1 of shape 2x4 does not fit");
  call.inputs[1] = cube;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "input 1 of shape");
  call.inputs[1] = d;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "float and double differ");
  static const int64_t outside[] = {2, -3, INT64_MAX, INT64_MIN};
  call.inputs[1] = x;
  for (size_t i = 0; i < COUNT(outside); i++) {
    call.attributes[0].i = outside[i];
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "is outside a tensor of rank 2");
  }
  call.attributes[0].i = 0;
  call.inputs[0] = call.inputs[1] = scalar;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "is outside a tensor of rank 0");
  bench_finish(&bench);
}

/* ------------------------------------------------------------------------------------------------------------ Split */

/* Parts of ceil(size / n); the last ones take what is left. */
static void split_in_equal_parts(void **state) {
  static const struct {
    int64_t size;
    int parts;
    int64_t lengths[4];
  } cases[] = {{7, 3, {3, 3, 1}},    {6, 3, {2, 2, 2}}, {5, 4, {2, 2, 1, 0}},
               {2, 4, {1, 1, 0, 0}}, {0, 2, {0, 0}},    {4, 1, {4}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < COUNT(cases); c++) {
    const value *x = bench_numbered(&bench, NORMA_FLOAT, SHAPE(cases[c].size));
    driver_call call = CALL("Split", 18, x);
    call.output_count = cases[c].parts;
    call.attributes[0] = (attribute)DRIVER_INT("num_outputs", cases[c].parts);
    bench_run(&bench, &call);
    int64_t begin = 0;
    for (int k = 0; k < cases[c].parts; k++) {
      const value *y = &bench.driver.outputs[k];
      check_tensor(y, NORMA_FLOAT, SHAPE(cases[c].lengths[k]), NULL);
      for (int64_t i = 0; i < cases[c].lengths[k]; i++) assert_true(same_element(y, i, x, begin + i));
      begin += cases[c].lengths[k];
    }
  }
  bench_finish(&bench);
}

static void split_of_every_version(void **state) {
  static const int64_t sizes[] = {1, 3};
  const operator_descriptor *op = builtin_operator("", "Split");
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_numbered(&bench, NORMA_FLOAT, SHAPE(4)), *list = bench_ints(&bench, SHAPE(2), sizes);
  for (int v = 0; op->versions[v]; v++) {
    const bool is_input = op->versions[v] == 1 || op->versions[v] >= 13, is_attribute = op->versions[v] < 13;
    driver_call call = CALL("Split", op->versions[v], x, list);
    call.output_count = 2;
    if (is_input) {
      bench_run(&bench, &call);
      check_tensor(&bench.driver.outputs[1], NORMA_FLOAT, SHAPE(3), NUMBERS(5, 10, 15));
    }
    call.input_count = 1;
    bench_run(&bench, &call); /* in equal parts */
    check_tensor(&bench.driver.outputs[1], NORMA_FLOAT, SHAPE(2), NUMBERS(10, 15));
    call.attributes[0] = (attribute)DRIVER_INTS("split", 2, sizes);
    if (!is_attribute) {
      bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute split");
      continue;
    }
    bench_run(&bench, &call);
    check_tensor(&bench.driver.outputs[1], NORMA_FLOAT, SHAPE(3), NUMBERS(5, 10, 15));
  }
  bench_finish(&bench);
}

static void outputs_that_nobody_reads(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_numbered(&bench, NORMA_INT16, SHAPE(6));
  driver_call call = CALL("Split", 13, x);
  call.output_count = 3;
  call.unwanted_outputs = INPUT(0);
  bench_run(&bench, &call);
  check_tensor(&bench.driver.outputs[2], NORMA_INT16, SHAPE(2), NUMBERS(20, 25));
  assert_int_equal(bench.driver.outputs[0].kind, NORMA_VALUE_NONE);
  bench_finish(&bench);
}

static void sizes_that_do_not_fit_are_refused(void **state) {
  static const struct {
    int count;
    int64_t sizes[4];
    const char *words;
  } cases[] = {{3, {8, -2, 1}, "split has the size -2"},
               {3, {1, 2, 3}, "the sizes sum up to 6, not to 7"},
               {3, {INT64_MAX, INT64_MAX, 1}, "split has the size"},
               {2, {3, 4}, "must be a list of 3 sizes"},
               {4, {1, 2, 3, 1}, "must be a list of 3 sizes"}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_numbered(&bench, NORMA_FLOAT, SHAPE(7));
  for (size_t c = 0; c < COUNT(cases); c++) {
    driver_call call = CALL("Split", 13, x, bench_ints(&bench, SHAPE(cases[c].count), cases[c].sizes));
    call.output_count = 3;
    bench_refuse(&bench, &call, NORMA_ERROR_INPUT, cases[c].words);
    call = CALL("Split", 11, x);
    call.output_count = 3;
    call.attributes[0] = (attribute)DRIVER_INTS("split", (size_t)cases[c].count, cases[c].sizes);
    const bool is_sum = c == 1;
    bench_refuse(&bench, &call, is_sum ? NORMA_ERROR_INPUT : NORMA_ERROR_INVALID_MODEL,
                 c < 3 ? cases[c].words : "sizes for 3 outputs");
  }
  driver_call call = CALL("Split", 13, x);
  call.output_count = 3;
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "7 cannot be split in 3 equal parts");
  call.opset = 18;
  call.attributes[0] = (attribute)DRIVER_INT("num_outputs", 2);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "num_outputs is 2, but there are 3 outputs");
  call.attributes[0] = (attribute)DRIVER_INT("axis", 1);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "axis 1 is outside a tensor of rank 1");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parts_are_joined_and_split_again),
      cmocka_unit_test(large_parts),
      cmocka_unit_test(one_value_several_times),
      cmocka_unit_test(axis_of_every_version),
      cmocka_unit_test(what_does_not_fit_is_not_joined),
      cmocka_unit_test(split_in_equal_parts),
      cmocka_unit_test(split_of_every_version),
      cmocka_unit_test(outputs_that_nobody_reads),
      cmocka_unit_test(sizes_that_do_not_fit_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
