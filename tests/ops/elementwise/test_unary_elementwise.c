/* Functions of one number against their formulas in double precision: every function, type, version and attribute. */
#include "tests/support/builtin_operator.h"
#include "tests/support/workbench.h"

#include <float.h>
#include <stdlib.h>

typedef struct unary_case {
  const char *op;
  int64_t opset;
  attribute attributes[2];
  double low, high;
  double (*formula)(double x);
} unary_case;

static double relu(double x) {
  return x > 0 ? x : 0;
}
static double leaky_relu(double x) {
  return x < 0 ? 0.2f * x : x;
}
static double leaky_relu_default(double x) {
  return x < 0 ? 0.01f * x : x;
}
static double elu(double x) {
  return x < 0 ? 1.5 * (exp(x) - 1) : x;
}
static double elu_default(double x) {
  return x < 0 ? exp(x) - 1 : x;
}
static double selu(double x) {
  return 1.05070102214813232421875 * (x > 0 ? x : 1.67326319217681884765625 * (exp(x) - 1));
}
static double selu_1(double x) {
  return 1.0507f * (x > 0 ? x : 1.6732f * (exp(x) - 1));
}
static double selu_given(double x) {
  return 3 * (x > 0 ? x : 2 * (exp(x) - 1));
}
static double celu(double x) {
  return fmax(0, x) + fmin(0, 2 * (exp(x / 2) - 1));
}
static double sigmoid(double x) {
  return 1 / (1 + exp(-x));
}
static double hard_sigmoid(double x) {
  return fmax(0, fmin(1, 0.25 * x + 0.75));
}
static double hard_sigmoid_default(double x) {
  return fmax(0, fmin(1, 0.2f * x + 0.5));
}
static double hard_swish(double x) {
  return x * fmax(0, fmin(1, x / 6 + 0.5));
}
static double softplus(double x) {
  return log(1 + exp(x));
}
static double softsign(double x) {
  return x / (1 + fabs(x));
}
static double mish(double x) {
  return x * tanh(log(1 + exp(x)));
}
static double gelu(double x) {
  return x / 2 * (1 + erf(x / sqrt(2)));
}
static double gelu_tanh(double x) {
  return x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}
static double swish(double x) {
  return x / (1 + exp(-2 * x));
}
static double silu(double x) {
  return x / (1 + exp(-x));
}
static double thresholded_relu(double x) {
  return x > 0.5 ? x : 0;
}
static double thresholded_relu_default(double x) {
  return x > 1 ? x : 0;
}
static double shrink(double x) {
  return x < -1 ? x + 0.5 : x > 1 ? x - 0.5 : 0;
}
static double shrink_default(double x) {
  return x < -0.5 || x > 0.5 ? x : 0;
}
static double reciprocal(double x) {
  return 1 / x;
}
static double negative(double x) {
  return -x;
}
static double sign(double x) {
  return (x > 0) - (x < 0);
}

static const unary_case cases[] = {
    {"Relu", 14, {{0}}, -4, 4, relu},
    {"LeakyRelu", 16, {DRIVER_FLOAT("alpha", 0.2f)}, -4, 4, leaky_relu},
    {"LeakyRelu", 6, {{0}}, -4, 4, leaky_relu_default},
    {"Elu", 22, {DRIVER_FLOAT("alpha", 1.5f)}, -4, 4, elu},
    {"Elu", 6, {{0}}, -4, 4, elu_default},
    {"Selu", 22, {{0}}, -4, 4, selu},
    {"Selu", 1, {{0}}, -4, 4, selu_1},
    {"Selu", 22, {DRIVER_FLOAT("alpha", 2), DRIVER_FLOAT("gamma", 3)}, -4, 4, selu_given},
    {"Celu", 28, {DRIVER_FLOAT("alpha", 2)}, -4, 4, celu},
    {"Celu", 12, {{0}}, -4, 4, elu_default},
    {"Sigmoid", 13, {{0}}, -20, 20, sigmoid},
    {"HardSigmoid", 22, {DRIVER_FLOAT("alpha", 0.25f), DRIVER_FLOAT("beta", 0.75f)}, -4, 4, hard_sigmoid},
    {"HardSigmoid", 6, {{0}}, -4, 4, hard_sigmoid_default},
    {"HardSwish", 22, {{0}}, -5, 5, hard_swish},
    {"Softplus", 22, {{0}}, -10, 20, softplus},
    {"Softsign", 22, {{0}}, -10, 10, softsign},
    {"Mish", 22, {{0}}, -8, 8, mish},
    {"Gelu", 20, {{0}}, -3, 6, gelu},
    {"Gelu", 20, {DRIVER_STRING("approximate", "none")}, -3, 6, gelu},
    {"Gelu", 20, {DRIVER_STRING("approximate", "tanh")}, -3, 6, gelu_tanh},
    {"Swish", 24, {DRIVER_FLOAT("alpha", 2)}, -8, 8, swish},
    {"Swish", 24, {{0}}, -8, 8, silu},
    {"ThresholdedRelu", 22, {DRIVER_FLOAT("alpha", 0.5f)}, -4, 4, thresholded_relu},
    {"ThresholdedRelu", 10, {{0}}, -4, 4, thresholded_relu_default},
    {"Shrink", 9, {DRIVER_FLOAT("lambd", 1), DRIVER_FLOAT("bias", 0.5f)}, -4, 4, shrink},
    {"Shrink", 9, {{0}}, -4, 4, shrink_default},
    {"Tanh", 13, {{0}}, -10, 10, tanh},
    {"Exp", 13, {{0}}, -8, 8, exp},
    {"Log", 13, {{0}}, 1e-3, 60, log},
    {"Erf", 13, {{0}}, -5, 5, erf},
    {"Sqrt", 13, {{0}}, 0, 100, sqrt},
    {"Reciprocal", 13, {{0}}, 0.1, 10, reciprocal},
    {"Abs", 13, {{0}}, -10, 10, fabs},
    {"Neg", 13, {{0}}, -10, 10, negative},
    {"Floor", 13, {{0}}, -10, 10, floor},
    {"Ceil", 13, {{0}}, -10, 10, ceil},
    {"Round", 22, {{0}}, -10, 10, rint},
    {"Sign", 13, {{0}}, -10, 10, sign},
    {"Sin", 22, {{0}}, -10, 10, sin},
    {"Cos", 22, {{0}}, -10, 10, cos},
    {"Tan", 22, {{0}}, -1.4, 1.4, tan},
    {"Asin", 22, {{0}}, -1, 1, asin},
    {"Acos", 22, {{0}}, -1, 1, acos},
    {"Atan", 22, {{0}}, -10, 10, atan},
    {"Sinh", 22, {{0}}, -5, 5, sinh},
    {"Cosh", 22, {{0}}, -5, 5, cosh},
    {"Asinh", 22, {{0}}, -10, 10, asinh},
    {"Acosh", 22, {{0}}, 1, 10, acosh},
    {"Atanh", 22, {{0}}, -0.9, 0.9, atanh},
};

static driver_call call_of(const unary_case *tested, const value *x) {
  driver_call call = CALL(tested->op, tested->opset, x);
  memcpy(call.attributes, tested->attributes, sizeof tested->attributes);
  return call;
}

static void check_case(workbench *bench, const unary_case *tested, norma_element_type type, shape shape) {
  const value *x = bench_random(bench, type, shape, tested->low, tested->high);
  const int64_t count = shape_count(&shape);
  double *expected = malloc(sizeof *expected * (size_t)(count + 1));
  for (int64_t i = 0; i < count; i++) expected[i] = tested->formula(driver_element(x, i));
  driver_call call = call_of(tested, x);
  check_near(tested->op, bench_run(bench, &call), type, shape, expected, type_tolerance(type));
  free(expected);
  bench_clear(bench);
}

static void every_function_of_every_float_type(void **state) {
  static const int64_t lengths[] = {1, 7, 33, 600, 9000};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (size_t c = 0; c < COUNT(cases); c++) {
      FOR_TYPES(type, TYPES_FLOAT) check_case(&bench, &cases[c], type, SHAPE(lengths[(c + type) % COUNT(lengths)]));
    }
  }
  bench_finish(&bench);
}

static void shapes_of_every_rank(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < COUNT(cases); c++) {
    check_case(&bench, &cases[c], NORMA_FLOAT, SCALAR);
    check_case(&bench, &cases[c], NORMA_FLOAT, SHAPE(0, 3));
    check_case(&bench, &cases[c], NORMA_FLOAT, SHAPE(2, 1, 3, 1, 5));
  }
  bench_finish(&bench);
}

/* The definitions differ between versions in element types alone, but for the defaults of Selu. */
static void every_version_is_the_same_function(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < COUNT(cases); c++) {
    unary_case tested = cases[c];
    const operator_descriptor *op = builtin_operator("", tested.op);
    const bool has_defaults = strcmp(tested.op, "Selu") == 0 && !tested.attributes[0].name;
    for (int v = 0; op->versions[v] && !has_defaults; v++) {
      tested.opset = op->versions[v];
      check_case(&bench, &tested, NORMA_FLOAT, SHAPE(5));
    }
  }
  bench_finish(&bench);
}

static void not_a_number_stays(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < COUNT(cases); c++) {
    FOR_TYPES(type, TYPES_FLOAT) {
      const value *x = bench_tensor(&bench, type, SHAPE(1), NUMBERS(NAN));
      driver_call call = call_of(&cases[c], x);
      if (!isnan(driver_element(bench_run(&bench, &call), 0))) {
        fail_msg("%s of %s turns NaN to a number", call.op_type, norma_element_type_name(type));
      }
    }
  }
  bench_finish(&bench);
}

/* What the formulas give at the ends of the range. */
static const struct {
  const char *op;
  double at_minus_infinity, at_minus_zero, at_zero, at_infinity;
} limits[] = {
    {"Relu", 0, 0, 0, INFINITY},
    {"LeakyRelu", -INFINITY, -0.0, 0, INFINITY},
    {"Elu", -1, -0.0, 0, INFINITY},
    {"Selu", -1.05070102214813232421875 * 1.67326319217681884765625, -0.0, 0, INFINITY},
    {"Celu", -1, -0.0, 0, INFINITY},
    {"Sigmoid", 0, 0.5, 0.5, 1},
    {"HardSigmoid", 0, 0.5, 0.5, 1},
    {"Softplus", 0, 0.69314718055994531, 0.69314718055994531, INFINITY},
    {"Softsign", NAN, -0.0, 0, NAN},
    {"Mish", NAN, -0.0, 0, INFINITY},
    {"Gelu", NAN, -0.0, 0, INFINITY},
    {"Swish", NAN, -0.0, 0, INFINITY},
    {"HardSwish", NAN, -0.0, 0, INFINITY},
    {"Tanh", -1, -0.0, 0, 1},
    {"Exp", 0, 1, 1, INFINITY},
    {"Log", NAN, -INFINITY, -INFINITY, INFINITY},
    {"Erf", -1, -0.0, 0, 1},
    {"Sqrt", NAN, -0.0, 0, INFINITY},
    {"Reciprocal", -0.0, -INFINITY, INFINITY, 0},
    {"Abs", INFINITY, 0, 0, INFINITY},
    {"Neg", INFINITY, 0, -0.0, -INFINITY},
    {"Floor", -INFINITY, -0.0, 0, INFINITY},
    {"Ceil", -INFINITY, -0.0, 0, INFINITY},
    {"Round", -INFINITY, -0.0, 0, INFINITY},
    {"Sign", -1, 0, 0, 1},
    {"Sin", NAN, -0.0, 0, NAN},
    {"Cos", NAN, 1, 1, NAN},
    {"Atan", -1.5707963267948966, -0.0, 0, 1.5707963267948966},
    {"Acosh", NAN, NAN, NAN, INFINITY},
    {"Atanh", NAN, -0.0, 0, NAN},
    {"Sinh", -INFINITY, -0.0, 0, INFINITY},
    {"Cosh", INFINITY, 1, 1, INFINITY},
};

static void ends_of_the_range(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (size_t c = 0; c < COUNT(limits); c++) {
      const double expected[] = {limits[c].at_minus_infinity, limits[c].at_minus_zero, limits[c].at_zero,
                                 limits[c].at_infinity};
      const operator_descriptor *op = builtin_operator("", limits[c].op);
      FOR_TYPES(type, TYPES_FLOAT) {
        const value *x = bench_tensor(&bench, type, SHAPE(4), NUMBERS(-INFINITY, -0.0, 0, INFINITY));
        driver_call call = CALL(op->name, 28, x);
        const value *y = bench_run(&bench, &call);
        check_near(op->name, y, type, SHAPE(4), expected, type_tolerance(type));
      }
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

/* Functions that only look at or change a sign, or round, keep every bit; zeros keep their sign. */
static void exact_functions_are_exact(void **state) {
  static const struct {
    const char *op;
    double expected[6];
  } exact[] = {{"Abs", {0, 0x1p-149, 2.5, 0.5, 1e38, 3.5}}, {"Neg", {0, -0x1p-149, 2.5, -0.5, -1e38, 3.5}},
               {"Floor", {-0.0, 0, -3, 0, 1e38, -4}},       {"Ceil", {-0.0, 1, -2, 1, 1e38, -3}},
               {"Round", {-0.0, 0, -2, 0, 1e38, -4}},       {"Sign", {0, 1, -1, 1, 1, -1}},
               {"Relu", {0, 0x1p-149, 0, 0.5, 1e38, 0}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    const float elements[] = {-0.0f, 0x1p-149f, -2.5f, 0.5f, 1e38f, -3.5f};
    for (size_t c = 0; c < COUNT(exact); c++) {
      value *x = bench_make(&bench, NORMA_FLOAT, SHAPE(6));
      memcpy(x->tensor.data, elements, sizeof elements);
      driver_call call = CALL(exact[c].op, 22, x);
      const value *y = bench_run(&bench, &call);
      for (int i = 0; i < 6; i++) {
        const double wanted = (double)(float)exact[c].expected[i], got = driver_element(y, i);
        if (wanted != got ||
            (strcmp(exact[c].op, "Relu") != 0 && strcmp(exact[c].op, "Sign") != 0 && signbit(wanted) != signbit(got))) {
          fail_msg("%s(%g) is %g, not %g", exact[c].op, (double)elements[i], got, wanted);
        }
      }
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* Large arguments must not overflow on the way to a result that is representable. */
static void no_overflow_inside(void **state) {
  static const struct {
    const char *op;
    double x, y;
  } large[] = {{"Softplus", 1000, 1000}, {"Softplus", -1000, 0}, {"Sigmoid", -1000, 0}, {"Sigmoid", 1000, 1},
               {"Mish", 1000, 1000},     {"Swish", 1000, 1000},  {"Swish", -1000, 0},   {"Tanh", 1000, 1},
               {"Softsign", 1e30, 1},    {"Elu", -1000, -1},     {"Gelu", 1000, 1000},  {"Gelu", -1000, 0},
               {"Mish", -1000, 0},       {"Erf", -1000, -1},     {"Exp", -1000, 0},     {"HardSwish", -1000, 0}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (size_t c = 0; c < COUNT(large); c++) {
      FOR_TYPES(type, TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_DOUBLE) | TYPE_BIT(NORMA_BFLOAT16)) {
        const value *x = bench_tensor(&bench, type, SHAPE(1), &large[c].x);
        driver_call call = CALL(large[c].op, 28, x);
        check_near(large[c].op, bench_run(&bench, &call), type, SHAPE(1), &large[c].y, type_tolerance(type));
      }
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* --------------------------------------------------------------------------------------------------------- integers */

/* Of signed types; the smallest number has no opposite and stays. */
static void signed_integers_wrap_around(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_SIGNED) {
    const int64_t most = (int64_t)(UINT64_MAX >> (65 - element_type_bits(type))), least = -most - 1;
    const int64_t elements[] = {least, -7, 0, 7, most};
    const struct {
      const char *op;
      int64_t expected[5];
    } wrapped[] = {{"Abs", {least, 7, 0, 7, most}},
                   {"Neg", {least, 7, 0, -7, -most}},
                   {"Sign", {-1, -1, 0, 1, 1}},
                   {"Relu", {0, 0, 0, 7, most}}};
    for (size_t c = 0; c < COUNT(wrapped); c++) {
      value *x = bench_make(&bench, type, SHAPE(5));
      for (int i = 0; i < 5; i++) element_set_int64(type, x->tensor.data, i, elements[i]);
      driver_call call = CALL(wrapped[c].op, 14, x);
      const value *y = bench_run(&bench, &call);
      assert_int_equal(y->tensor.type, type);
      for (int i = 0; i < 5; i++) assert_true(tensor_get_int64(&y->tensor, i) == wrapped[c].expected[i]);
    }
  }
  bench_finish(&bench);
}

static void unsigned_integers_are_never_negative(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_UNSIGNED) {
    value *x = bench_make(&bench, type, SHAPE(3));
    for (int i = 0; i < 3; i++) element_set_int64(type, x->tensor.data, i, i == 2 ? -1 : i); /* 0, 1, the largest */
    driver_call call = CALL("Abs", 13, x);
    assert_true(same_value(bench_run(&bench, &call), x));
    call.op_type = "Sign";
    check_tensor(bench_run(&bench, &call), type, SHAPE(3), NUMBERS(0, 1, 1));
  }
  bench_finish(&bench);
}

/* Shrink and Erf of integers go through double and are truncated. */
static void shrink_and_erf_of_integers(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_INTEGER) {
    const value *x = bench_tensor(&bench, type, SHAPE(4), NUMBERS(0, 1, 2, 100));
    driver_call call = CALL("Shrink", 9, x);
    call.attributes[0] = (attribute)DRIVER_FLOAT("bias", 1.5f);
    call.attributes[1] = (attribute)DRIVER_FLOAT("lambd", 1);
    check_tensor(bench_run(&bench, &call), type, SHAPE(4), NUMBERS(0, 0, 0, 98));
    driver_call erf_call = CALL("Erf", 13, x);
    check_tensor(bench_run(&bench, &erf_call), type, SHAPE(4), NUMBERS(0, 0, 0, 1));
  }
  const value *x = bench_tensor(&bench, NORMA_INT8, SHAPE(3), NUMBERS(-5, -1, 1));
  driver_call call = CALL("Shrink", 9, x);
  call.attributes[0] = (attribute)DRIVER_FLOAT("bias", 2);
  call.attributes[1] = (attribute)DRIVER_FLOAT("lambd", 1);
  check_tensor(bench_run(&bench, &call), NORMA_INT8, SHAPE(3), NUMBERS(-3, 0, 0));
  bench_finish(&bench);
}

/* --------------------------------------------------------------------------------------------------------- refusals */

static void what_makes_no_sense_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL);
  for (size_t c = 0; c < COUNT(cases); c++) {
    driver_call call = call_of(&cases[c], x);
    const value *text = bench_strings(&bench, SHAPE(1), (const char *[]){"x"});
    call.inputs[0] = text;
    bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type string");
    call = call_of(&cases[c], x);
    call.inputs[call.input_count++] = x;
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "wrong number of inputs");
    call = call_of(&cases[c], x);
    call.attributes[0] = (attribute)DRIVER_INT("alpha", 1); /* none has an integer of that name */
    call.attributes[1] = (attribute){0};
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute alpha");
    const operator_descriptor *op = builtin_operator("", cases[c].op);
    call = call_of(&cases[c], x);
    call.opset = op->versions[0] - 1;
    if (call.opset > 0) bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "not known");
  }
  driver_call call = CALL("Gelu", 20, x);
  call.attributes[0] = (attribute)DRIVER_STRING("approximate", "erf");
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "approximate is \"erf\"");
  bench_finish(&bench);
}

/* Version 1 of some knew the attribute consumed_inputs, which means nothing. */
static void consumed_inputs_end_with_version_6(void **state) {
  static const char *const known[] = {"Relu", "LeakyRelu", "Elu", "Selu", "Sigmoid",    "HardSigmoid", "Tanh", "Exp",
                                      "Log",  "Abs",       "Neg", "Sqrt", "Reciprocal", "Floor",       "Ceil"};
  static const int64_t zero = 0;
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NUMBERS(1, 1));
  for (size_t i = 0; i < COUNT(known); i++) {
    driver_call call = CALL(known[i], 5, x);
    call.attributes[0] = (attribute)DRIVER_INTS("consumed_inputs", 1, &zero);
    bench_run(&bench, &call);
    call.opset = 6;
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "consumed_inputs");
  }
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_function_of_every_float_type),
      cmocka_unit_test(shapes_of_every_rank),
      cmocka_unit_test(every_version_is_the_same_function),
      cmocka_unit_test(not_a_number_stays),
      cmocka_unit_test(ends_of_the_range),
      cmocka_unit_test(exact_functions_are_exact),
      cmocka_unit_test(no_overflow_inside),
      cmocka_unit_test(signed_integers_wrap_around),
      cmocka_unit_test(unsigned_integers_are_never_negative),
      cmocka_unit_test(shrink_and_erf_of_integers),
      cmocka_unit_test(what_makes_no_sense_is_refused),
      cmocka_unit_test(consumed_inputs_end_with_version_6),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
