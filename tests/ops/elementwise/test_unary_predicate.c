/* Not, BitwiseNot, IsNaN and IsInf. */
#include "tests/support/builtin_operator.h"
#include "tests/support/workbench.h"

static void not_of_bools(void **state) {
  static const unsigned char bytes[] = {0, 1, 2, 255};
  workbench bench;
  (void)state;
  bench_init(&bench);
  value *x = bench_make(&bench, NORMA_BOOL, SHAPE(2, 2));
  memcpy(x->tensor.data, bytes, sizeof bytes); /* any byte but 0 is true */
  driver_call call = CALL("Not", 1, x);
  check_tensor(bench_run(&bench, &call), NORMA_BOOL, SHAPE(2, 2), NUMBERS(1, 0, 0, 0));
  bench_finish(&bench);
}

static void bitwise_not_turns_every_bit(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_INTEGER) {
    const value *x = bench_numbered(&bench, type, SHAPE(3, 30000)); /* several pieces of work */
    driver_call call = CALL("BitwiseNot", 18, x);
    const value *y = bench_run(&bench, &call);
    assert_int_equal(y->tensor.type, type);
    const unsigned char *from = x->tensor.data, *to = y->tensor.data;
    for (size_t i = 0; i < x->tensor.size_bytes; i++) assert_int_equal(to[i], (unsigned char)~from[i]);
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* Of float8 types some know no infinity and have it as NaN or as their largest number: what was stored counts. */
static void numbers_that_are_none(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_FLOAT | TYPES_FLOAT8) {
    const value *x = bench_tensor(&bench, type, SHAPE(6), NUMBERS(NAN, -INFINITY, INFINITY, 1, 0, -2));
    double is_nan[6], is_inf[6], positive[6], negative[6], none[6] = {0};
    for (int i = 0; i < 6; i++) {
      const double element = driver_element(x, i);
      is_nan[i] = isnan(element) != 0;
      is_inf[i] = isinf(element) != 0;
      positive[i] = isinf(element) && element > 0;
      negative[i] = isinf(element) && element < 0;
    }
    driver_call call = CALL("IsNaN", 20, x);
    check_tensor(bench_run(&bench, &call), NORMA_BOOL, SHAPE(6), is_nan);
    call.op_type = "IsInf";
    check_tensor(bench_run(&bench, &call), NORMA_BOOL, SHAPE(6), is_inf);
    call.attributes[0] = (attribute)DRIVER_INT("detect_negative", 0);
    check_tensor(bench_run(&bench, &call), NORMA_BOOL, SHAPE(6), positive);
    call.attributes[1] = (attribute)DRIVER_INT("detect_positive", 0);
    check_tensor(bench_run(&bench, &call), NORMA_BOOL, SHAPE(6), none);
    call.attributes[0].i = 1;
    check_tensor(bench_run(&bench, &call), NORMA_BOOL, SHAPE(6), negative);
    if (TYPE_BIT(type) & TYPES_FLOAT) assert_true(is_nan[0] == 1 && positive[2] == 1 && negative[1] == 1);
  }
  bench_finish(&bench);
}

static void every_version_and_shape(void **state) {
  static const char *const ops[] = {"Not", "BitwiseNot", "IsNaN", "IsInf"};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t o = 0; o < COUNT(ops); o++) {
    const operator_descriptor *op = builtin_operator("", ops[o]);
    const norma_element_type type = o == 0 ? NORMA_BOOL : o == 1 ? NORMA_UINT8 : NORMA_FLOAT;
    const norma_element_type result = o == 1 ? NORMA_UINT8 : NORMA_BOOL;
    const double of_zero = o == 0 ? 1 : o == 1 ? 255 : 0;
    for (int v = 0; op->versions[v]; v++) {
      driver_call call = CALL(ops[o], op->versions[v], bench_tensor(&bench, type, SCALAR, NULL));
      check_tensor(bench_run(&bench, &call), result, SCALAR, &of_zero);
      call.inputs[0] = bench_tensor(&bench, type, SHAPE(2, 0, 3), NULL);
      check_tensor(bench_run(&bench, &call), result, SHAPE(2, 0, 3), NULL);
    }
  }
  bench_finish(&bench);
}

static void other_types_are_refused(void **state) {
  static const struct {
    const char *op;
    norma_element_type type;
  } cases[] = {{"Not", NORMA_UINT8},   {"Not", NORMA_FLOAT},  {"BitwiseNot", NORMA_BOOL}, {"BitwiseNot", NORMA_FLOAT},
               {"IsNaN", NORMA_INT32}, {"IsInf", NORMA_INT8}, {"IsNaN", NORMA_STRING}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < COUNT(cases); c++) {
    driver_call call = CALL(cases[c].op, 20, bench_make(&bench, cases[c].type, SHAPE(2)));
    bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, norma_element_type_name(cases[c].type));
  }
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(not_of_bools),
      cmocka_unit_test(bitwise_not_turns_every_bit),
      cmocka_unit_test(numbers_that_are_none),
      cmocka_unit_test(every_version_and_shape),
      cmocka_unit_test(other_types_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
