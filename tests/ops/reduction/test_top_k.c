/* TopK: the k largest or smallest elements along an axis, in order, and where they lie. */
#include "tests/support/builtin_operator.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

/* Whether element i of a line stands before element j in the order. */
static bool stands_before(double x, int64_t i, double other, int64_t j, bool smallest) {
  if (isnan(x) && isnan(other)) return i < j;
  if (isnan(x) || isnan(other)) return isnan(x) != smallest; /* larger than any number */
  return x == other ? i < j : (x < other) == smallest;
}

/* Each result is an element with as many others before it as its own place says. */
static void check_top_k(workbench *bench, const value *x, int axis, int64_t k, bool smallest, driver_call *call) {
  const shape from = shape_of_tensor(&x->tensor);
  shape to = from;
  to.dims[axis] = k;
  bench_run(bench, call);
  const value *values = &bench->driver.outputs[0], *indices = &bench->driver.outputs[1];
  check_tensor(values, x->tensor.type, to, NULL);
  check_tensor(indices, NORMA_INT64, to, NULL);
  for (int64_t i = 0; i < shape_count(&to); i++) {
    int64_t at[NORMA_MAX_RANK], before = 0;
    shape_coordinates(&to, i, at);
    const int64_t place = at[axis], index = ((const int64_t *)indices->tensor.data)[i];
    assert_true(index >= 0 && index < from.dims[axis]);
    at[axis] = index;
    const int64_t found = shape_place(&from, at);
    assert_true(same_element(values, i, x, found));
    for (int64_t other = 0; other < from.dims[axis]; other++) {
      at[axis] = other;
      before += other != index && stands_before(driver_element(x, shape_place(&from, at)), other,
                                                driver_element(x, found), index, smallest);
    }
    assert_int_equal(before, place);
  }
}

static void every_type_and_axis(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 25; round++) {
    FOR_TYPES(type, TYPES_NUMERIC) {
      const shape from = random_shape(&bench.seed, 1, 3, 600);
      const int axis = (int)random_int(&bench.seed, 0, from.rank - 1);
      const int64_t k = random_int(&bench.seed, 0, from.dims[axis]);
      const bool smallest = random_int(&bench.seed, 0, 1), is_unsigned = (TYPE_BIT(type) & TYPES_UNSIGNED) != 0;
      const value *x = bench_random(&bench, type, from, is_unsigned ? 0 : -10, 10);
      for (int64_t i = 0; i < norma_tensor_count(&x->tensor) && round % 2; i++) { /* many are equal */
        element_set_double(type, x->tensor.data, i, floor(driver_element(x, i)));
      }
      driver_call call = CALL("TopK", round % 3 ? 11 : 24, x, bench_list(&bench, k));
      call.output_count = 2;
      call.attributes[0] = (attribute)DRIVER_INT("axis", random_int(&bench.seed, 0, 1) ? axis : axis - from.rank);
      call.attributes[1] = (attribute)DRIVER_INT("largest", !smallest);
      call.attributes[2] = (attribute)DRIVER_INT("sorted", round % 4 > 0); /* left open, it is sorted as well */
      check_top_k(&bench, x, axis, k, smallest, &call);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

static void zeros_infinities_and_not_a_number(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_FLOAT) {
    const value *x = bench_tensor(&bench, type, SHAPE(9), NUMBERS(1, NAN, -0.0, 0, INFINITY, NAN, -INFINITY, -0.0, 5));
    for (int64_t k = 0; k <= 9; k++) {
      for (int largest = 0; largest < 2; largest++) {
        driver_call call = CALL("TopK", 11, x, bench_list(&bench, k));
        call.output_count = 2;
        call.attributes[0] = (attribute)DRIVER_INT("largest", largest);
        check_top_k(&bench, x, 0, k, !largest, &call);
      }
    }
  }
  bench_finish(&bench);
}

static void integers_of_64_bits_are_compared_exactly(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call =
      CALL("TopK", 11, bench_list(&bench, INT64_MAX - 1, INT64_MIN, INT64_MAX, INT64_MIN + 1), bench_list(&bench, 4));
  call.output_count = 2;
  bench_run(&bench, &call);
  check_ints(&bench.driver.outputs[1], SHAPE(4), (const int64_t[]){2, 0, 3, 1});
  value *u = bench_make(&bench, NORMA_UINT64, SHAPE(3));
  const uint64_t us[] = {UINT64_MAX - 1, UINT64_MAX, 0};
  memcpy(u->tensor.data, us, sizeof us);
  call.inputs[0] = u;
  call.inputs[1] = bench_list(&bench, 3);
  bench_run(&bench, &call);
  check_ints(&bench.driver.outputs[1], SHAPE(3), (const int64_t[]){1, 0, 2});
  bench_finish(&bench);
}

static void large_tensors(void **state) {
  static const struct {
    shape from;
    int axis;
    int64_t k;
  } cases[] = {{{2, {3, 9000}}, 1, 5}, {{2, {900, 40}}, 0, 7}, {{1, {3000}}, 0, 3000}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < COUNT(cases); c++) {
    for (int largest = 0; largest < 2; largest++) {
      const value *x = bench_random(&bench, NORMA_FLOAT, cases[c].from, -1, 1);
      driver_call call = CALL("TopK", 11, x, bench_list(&bench, cases[c].k));
      call.output_count = 2;
      call.attributes[0] = (attribute)DRIVER_INT("axis", cases[c].axis);
      call.attributes[1] = (attribute)DRIVER_INT("largest", largest);
      check_top_k(&bench, x, cases[c].axis, cases[c].k, !largest, &call);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

/* Version 1 has k as an attribute; before 11 the largest are meant. The axis is the last one by default. */
static void every_version(void **state) {
  const operator_descriptor *op = builtin_operator("", "TopK");
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3), NUMBERS(1, 3, 2, 6, 4, 5));
  for (int v = 0; op->versions[v]; v++) {
    driver_call call = CALL("TopK", op->versions[v], x, bench_list(&bench, 2));
    call.output_count = 2;
    if (op->versions[v] < 10) {
      call.input_count = 1;
      bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute k is missing");
      call.attributes[0] = (attribute)DRIVER_INT("k", 2);
    }
    check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(2, 2), NUMBERS(3, 2, 6, 5));
    check_ints(&bench.driver.outputs[1], SHAPE(2, 2), (const int64_t[]){1, 2, 0, 2});
    call.unwanted_outputs = INPUT(0); /* either alone */
    bench_run(&bench, &call);
    check_ints(&bench.driver.outputs[1], SHAPE(2, 2), (const int64_t[]){1, 2, 0, 2});
    call.unwanted_outputs = INPUT(1);
    check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(2, 2), NUMBERS(3, 2, 6, 5));
  }
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3), NULL);
  driver_call call = CALL("TopK", 11, x, bench_list(&bench, 4));
  call.output_count = 2;
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "4 elements are asked for of 3");
  call.inputs[1] = bench_list(&bench, -1);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "K is -1");
  call.inputs[1] = bench_list(&bench, INT64_MAX);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "elements are asked for of 3");
  call.inputs[1] = bench_list(&bench, 1, 1);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "K must be one number");
  call.inputs[1] = bench_list(&bench, 1);
  static const int64_t outside[] = {2, -3, INT64_MIN};
  for (size_t i = 0; i < COUNT(outside); i++) {
    call.attributes[0] = (attribute)DRIVER_INT("axis", outside[i]);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "is outside a tensor of rank 2");
  }
  call = CALL("TopK", 1, x);
  call.output_count = 2;
  call.attributes[0] = (attribute)DRIVER_INT("k", -2);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "k is -2");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_and_axis),
      cmocka_unit_test(zeros_infinities_and_not_a_number),
      cmocka_unit_test(integers_of_64_bits_are_compared_exactly),
      cmocka_unit_test(large_tensors),
      cmocka_unit_test(every_version),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
