/* What operators of two inputs share: the rules of broadcasting by version, in binary_align and through operators. */
#include "ops/elementwise/binary.h"
#include "tests/support/workbench.h"

static void check_aligned(const binary_broadcast *broadcast, shape a, shape b, shape expected) {
  shape aligned;
  char text[100], wanted[100];
  assert_true(binary_align(broadcast, &a, &b, &aligned));
  if (!shape_equal(&aligned, &expected)) {
    fail_msg("aligned to %s, not %s", shape_text(&aligned, text, sizeof text),
             shape_text(&expected, wanted, sizeof wanted));
  }
}

static bool is_aligned(const binary_broadcast *broadcast, shape a, shape b) {
  shape aligned;
  return binary_align(broadcast, &a, &b, &aligned);
}

/* From version 7 on nothing needs to be added: shapes are aligned at their ends. */
static void shapes_stay_since_version_7(void **state) {
  const binary_broadcast numpy = {.limited = false};
  (void)state;
  check_aligned(&numpy, SHAPE(2, 3, 4), SHAPE(3, 1), SHAPE(3, 1));
  check_aligned(NULL, SHAPE(2, 3, 4), SHAPE(4), SHAPE(4));
  check_aligned(&numpy, SHAPE(4), SHAPE(2, 3, 4), SHAPE(2, 3, 4));
  check_aligned(&numpy, shape_unknown(), SHAPE(5), SHAPE(5));
}

static void an_axis_places_the_second_input(void **state) {
  const binary_broadcast middle = {.limited = true, .enabled = true, .has_axis = true, .axis = 1};
  const binary_broadcast from_the_end = {.limited = true, .enabled = true, .has_axis = true, .axis = -3};
  const binary_broadcast last = {.limited = true, .enabled = true};
  (void)state;
  check_aligned(&middle, SHAPE(2, 3, 4, 5), SHAPE(3, 4), SHAPE(3, 4, 1));
  check_aligned(&middle, SHAPE(2, 3, 4, 5), SHAPE(3), SHAPE(3, 1, 1));
  check_aligned(&from_the_end, SHAPE(2, 3, 4, 5), SHAPE(3, 4), SHAPE(3, 4, 1));
  check_aligned(&last, SHAPE(2, 3, 4, 5), SHAPE(4, 5), SHAPE(4, 5));
  /* One element fits anywhere. */
  check_aligned(&middle, SHAPE(2, 3), SHAPE(1, 1), SCALAR);
  check_aligned(&middle, SHAPE(2, 3), SCALAR, SCALAR);
}

static void what_no_version_before_7_knows(void **state) {
  const binary_broadcast none = {.limited = true},
                         middle = {.limited = true, .enabled = true, .has_axis = true, .axis = 1};
  const binary_broadcast beyond = {.limited = true, .enabled = true, .has_axis = true, .axis = 3};
  const binary_broadcast before = {.limited = true, .enabled = true, .has_axis = true, .axis = -4};
  const binary_broadcast last = {.limited = true, .enabled = true};
  (void)state;
  assert_false(is_aligned(&none, SHAPE(3), SHAPE(2, 3)));
  assert_false(is_aligned(&last, SHAPE(3), SHAPE(2, 3)));
  assert_false(is_aligned(&middle, SHAPE(3), SHAPE(2, 3)));
  assert_false(is_aligned(&middle, SHAPE(2, 3, 4), SHAPE(2, 3, 4)));
  assert_false(is_aligned(&beyond, SHAPE(2, 3, 4), SHAPE(4)));
  assert_false(is_aligned(&before, SHAPE(2, 3, 4), SHAPE(2)));
  /* Unknown ranks may fit. */
  assert_true(is_aligned(&middle, shape_unknown(), SHAPE(2, 3)));
  assert_true(is_aligned(&middle, SHAPE(2, 3), shape_unknown()));
}

static const char *const limited_operators[] = {"Add", "Sub", "Mul", "Div", "Pow"};

/* Through the operators: output[i][j][k] is f(a[i][j][k], b[j]) with axis 1, b[k] without. */
static void operators_follow(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t o = 0; o < COUNT(limited_operators); o++) {
    const value *a = bench_random(&bench, NORMA_FLOAT, SHAPE(2, 3, 2), 1, 2);
    const value *b = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NUMBERS(1, 2, 3));
    const value *c = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NUMBERS(1, 2));
    const value *one = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1), NUMBERS(2));
    driver_call whole = CALL(limited_operators[o], 14, a, a);
    double wide[3][12];
    for (int i = 0; i < 12; i++) {
      wide[0][i] = driver_element(b, i / 2 % 3);
      wide[1][i] = driver_element(c, i % 2);
      wide[2][i] = 2;
    }
    for (int way = 0; way < 3; way++) {
      whole.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3, 2), wide[way]);
      bench_run(&bench, &whole);
      const value *expected = bench_keep(&bench, 0);
      driver_call call = CALL(limited_operators[o], 6, a, way == 0 ? b : way == 1 ? c : one);
      call.attributes[0] = (attribute)DRIVER_INT("broadcast", 1);
      if (way != 1) call.attributes[1] = (attribute)DRIVER_INT("axis", way == 0 ? 1 : 0);
      const value *y = bench_run(&bench, &call);
      for (int i = 0; i < 12; i++) {
        assert_true(fabs(driver_element(y, i) - driver_element(expected, i)) <= 1e-6);
      }
    }
    driver_call refused = CALL(limited_operators[o], 6, a, b);
    bench_refuse(&bench, &refused, NORMA_ERROR_INPUT, "cannot be broadcast");
    refused.attributes[0] = (attribute)DRIVER_INT("broadcast", 1);
    bench_refuse(&bench, &refused, NORMA_ERROR_INPUT, "cannot be broadcast");
    refused.inputs[0] = b; /* the first input is never broadcast */
    refused.inputs[1] = a;
    bench_refuse(&bench, &refused, NORMA_ERROR_INVALID_MODEL, "cannot be broadcast");
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* Walks with a step of 0 on either side, or both, and of one element. */
static void rows_repeat_either_input(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *scalar = bench_tensor(&bench, NORMA_INT32, SCALAR, NUMBERS(10));
  const value *row = bench_tensor(&bench, NORMA_INT32, SHAPE(3), NUMBERS(1, 2, 3));
  const value *column = bench_tensor(&bench, NORMA_INT32, SHAPE(2, 1), NUMBERS(10, 20));
  driver_call call = CALL("Sub", 14, scalar, row);
  check_tensor(bench_run(&bench, &call), NORMA_INT32, SHAPE(3), NUMBERS(9, 8, 7));
  call.inputs[0] = row;
  call.inputs[1] = scalar;
  check_tensor(bench_run(&bench, &call), NORMA_INT32, SHAPE(3), NUMBERS(-9, -8, -7));
  call.inputs[0] = column;
  call.inputs[1] = row;
  check_tensor(bench_run(&bench, &call), NORMA_INT32, SHAPE(2, 3), NUMBERS(9, 8, 7, 19, 18, 17));
  call.inputs[0] = call.inputs[1] = scalar;
  check_tensor(bench_run(&bench, &call), NORMA_INT32, SCALAR, NUMBERS(0));
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes_stay_since_version_7),    cmocka_unit_test(an_axis_places_the_second_input),
      cmocka_unit_test(what_no_version_before_7_knows), cmocka_unit_test(operators_follow),
      cmocka_unit_test(rows_repeat_either_input),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
