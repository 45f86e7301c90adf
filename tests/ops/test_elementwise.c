/* Elementwise operators against formulas in double precision, on random broadcast shapes, for every type. */
#include "tests/support/operator_driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const norma_element_type float_types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
static const norma_element_type integer_types[] = {NORMA_INT8,  NORMA_INT16,  NORMA_INT32,  NORMA_INT64,
                                                   NORMA_UINT8, NORMA_UINT16, NORMA_UINT32, NORMA_UINT64};

/* What a result may be off: of the type's own rounding, and of functions in float. */
static double tolerance(norma_element_type type) {
  switch (type) {
  case NORMA_DOUBLE:
    return 1e-12;
  case NORMA_FLOAT:
    return 4e-6;
  case NORMA_FLOAT16:
    return 1e-3;
  default:
    return 1e-2;
  }
}

static void assert_near(const char *op, norma_element_type type, double actual, double expected, double x, double z) {
  if (isnan(expected) && isnan(actual)) return;
  if (actual == expected || fabs(actual - expected) <= tolerance(type) * fmax(fabs(expected), 0.1)) return;
  fail_msg("%s of %s: f(%.17g, %.17g) is %.17g, not %.17g", op, norma_element_type_name(type), x, z, actual, expected);
}

static value random_tensor(driver *driver, norma_element_type type, int rank, const int64_t *dims, uint64_t *seed,
                           double low, double high, bool whole) {
  const int64_t count = dims_product(dims, 0, rank);
  double *elements = malloc(sizeof(double) * (size_t)(count + 1));
  for (int64_t i = 0; i < count; i++) {
    elements[i] = driver_random(seed, low, high);
    if (whole) elements[i] = floor(elements[i]);
  }
  value result = driver_tensor(driver, type, rank, dims, elements);
  free(elements);
  return result;
}

/* -------------------------------------------------------------------------------------------------- of one argument */

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
static double elu(double x) {
  return x < 0 ? 1.5 * (exp(x) - 1) : x;
}
static double selu(double x) {
  return 1.05070102214813232421875 * (x > 0 ? x : 1.67326319217681884765625 * (exp(x) - 1));
}
static double selu_1(double x) {
  return 1.0507f * (x > 0 ? x : 1.6732f * (exp(x) - 1));
}
static double celu(double x) {
  return fmax(0, x) + fmin(0, 2 * (exp(x / 2) - 1));
}
static double sigmoid(double x) {
  return 1 / (1 + exp(-x));
}
static double hard_sigmoid(double x) {
  return fmax(0, fmin(1, 0.25 * x + 0.5));
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
static double thresholded_relu(double x) {
  return x > 0.5 ? x : 0;
}
static double shrink(double x) {
  return x < -1 ? x + 0.5 : x > 1 ? x - 0.5 : 0;
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
static double clip(double x) {
  return fmax(-1, fmin(2, x));
}

static const unary_case unary_cases[] = {
    {"Relu", 14, {{0}}, -4, 4, relu},
    {"LeakyRelu", 16, {DRIVER_FLOAT("alpha", 0.2f)}, -4, 4, leaky_relu},
    {"Elu", 22, {DRIVER_FLOAT("alpha", 1.5f)}, -4, 4, elu},
    {"Selu", 22, {{0}}, -4, 4, selu},
    {"Selu", 1, {{0}}, -4, 4, selu_1},
    {"Celu", 28, {DRIVER_FLOAT("alpha", 2)}, -4, 4, celu},
    {"Sigmoid", 13, {{0}}, -20, 20, sigmoid},
    {"HardSigmoid", 22, {DRIVER_FLOAT("alpha", 0.25f)}, -4, 4, hard_sigmoid},
    {"HardSwish", 22, {{0}}, -5, 5, hard_swish},
    {"Softplus", 22, {{0}}, -10, 20, softplus},
    {"Softsign", 22, {{0}}, -10, 10, softsign},
    {"Mish", 22, {{0}}, -8, 8, mish},
    {"Gelu", 20, {{0}}, -3, 6, gelu},
    {"Gelu", 20, {DRIVER_STRING("approximate", "tanh")}, -3, 6, gelu_tanh},
    {"Swish", 24, {DRIVER_FLOAT("alpha", 2)}, -8, 8, swish},
    {"ThresholdedRelu", 22, {DRIVER_FLOAT("alpha", 0.5f)}, -4, 4, thresholded_relu},
    {"Shrink", 9, {DRIVER_FLOAT("lambd", 1), DRIVER_FLOAT("bias", 0.5f)}, -4, 4, shrink},
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
    {"Clip", 6, {DRIVER_FLOAT("min", -1), DRIVER_FLOAT("max", 2)}, -4, 4, clip},
};

static void unary_functions_of_every_float_type(void **state) {
  (void)state;
  static const int64_t sizes[] = {0, 1, 7, 33, 600, 20000};
  driver driver;
  driver_init(&driver);
  uint64_t seed = 1;
  const struct kernel_table *kernels;
  for (int k = 0; (kernels = driver_kernels(k)); k++) {
    for (size_t c = 0; c < COUNT(unary_cases); c++) {
      const unary_case *test = &unary_cases[c];
      for (size_t t = 0; t < COUNT(float_types); t++) {
        const norma_element_type type = float_types[t];
        const int64_t *size = &sizes[(c + t) % COUNT(sizes)];
        value x = random_tensor(&driver, type, 1, size, &seed, test->low, test->high, false);
        driver_call call = {.op_type = test->op,
                            .opset = test->opset,
                            .inputs = {&x},
                            .input_count = 1,
                            .output_count = 1,
                            .kernels = kernels,
                            .workers = 2,
                            .in_place = c % 2 == 0};
        memcpy(call.attributes, test->attributes, sizeof test->attributes);
        assert_int_equal(driver_run(&driver, &call), NORMA_OK);
        for (int64_t i = 0; i < *size; i++) {
          const double at = driver_element(&x, i);
          assert_near(test->op, type, driver_element(&driver.outputs[0], i), test->formula(at), at, 0);
        }
        value_clear(&x);
      }
    }
  }
  driver_finish(&driver);
}

static void unary_functions_of_integers(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_tensor(&driver, NORMA_INT8, 1, (int64_t[]){4}, (double[]){-128, -1, 0, 127});
  value u = driver_tensor(&driver, NORMA_UINT64, 1, (int64_t[]){2}, NULL);
  ((uint64_t *)u.tensor.data)[0] = UINT64_MAX;
  static const struct {
    const char *op;
    double expected[4];
  } cases[] = {{"Relu", {0, 0, 0, 127}},
               {"Abs", {-128, 1, 0, 127}},
               {"Neg", {-128, 1, 0, -127}},
               {"Sign", {-1, -1, 0, 1}},
               {"BitwiseNot", {127, 0, -1, -128}}};
  for (size_t c = 0; c < COUNT(cases); c++) {
    driver_call call = {.op_type = cases[c].op, .opset = 18, .inputs = {&x}, .input_count = 1, .output_count = 1};
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], NORMA_INT8, 1, (int64_t[]){4}, cases[c].expected);
  }
  driver_call call = {.op_type = "Abs", .opset = 18, .inputs = {&u}, .input_count = 1, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  assert_true(((uint64_t *)driver.outputs[0].tensor.data)[0] == UINT64_MAX);
  call.op_type = "Sign";
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  assert_true(((uint64_t *)driver.outputs[0].tensor.data)[0] == 1);
  value_clear(&x);
  value_clear(&u);
  driver_finish(&driver);
}

static void not_a_number_stays(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  for (size_t c = 0; c < COUNT(unary_cases); c++) {
    for (size_t t = 0; t < COUNT(float_types); t++) {
      value x = driver_tensor(&driver, float_types[t], 1, (int64_t[]){1}, (double[]){NAN});
      driver_call call = {.op_type = unary_cases[c].op,
                          .opset = unary_cases[c].opset,
                          .inputs = {&x},
                          .input_count = 1,
                          .output_count = 1};
      memcpy(call.attributes, unary_cases[c].attributes, sizeof unary_cases[c].attributes);
      assert_int_equal(driver_run(&driver, &call), NORMA_OK);
      if (!isnan(driver_element(&driver.outputs[0], 0))) {
        fail_msg("%s of %s turns NaN to a number", call.op_type, norma_element_type_name(float_types[t]));
      }
      value_clear(&x);
    }
  }
  driver_finish(&driver);
}

static void clip_takes_bounds_from_inputs(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  for (size_t t = 0; t < COUNT(integer_types); t++) {
    value x = driver_tensor(&driver, integer_types[t], 1, (int64_t[]){4}, (double[]){1, 5, 9, 3});
    value low = driver_tensor(&driver, integer_types[t], 0, NULL, (double[]){2});
    value high = driver_tensor(&driver, integer_types[t], 0, NULL, (double[]){6});
    driver_call call = {
        .op_type = "Clip", .opset = 13, .inputs = {&x, &low, &high}, .input_count = 3, .output_count = 1};
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], integer_types[t], 1, (int64_t[]){4}, (double[]){2, 5, 6, 3});
    call.inputs[1] = NULL;
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], integer_types[t], 1, (int64_t[]){4}, (double[]){1, 5, 6, 3});
    call.inputs[1] = &high;
    call.inputs[2] = &low; /* crossed: everything is the upper bound */
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], integer_types[t], 1, (int64_t[]){4}, (double[]){2, 2, 2, 2});
    value_clear(&x);
    value_clear(&low);
    value_clear(&high);
  }
  driver_finish(&driver);
}

static void predicates(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  for (size_t t = 0; t < COUNT(float_types); t++) {
    value x = driver_tensor(&driver, float_types[t], 1, (int64_t[]){4}, (double[]){NAN, -INFINITY, INFINITY, 1});
    driver_call call = {.op_type = "IsNaN", .opset = 20, .inputs = {&x}, .input_count = 1, .output_count = 1};
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], NORMA_BOOL, 1, (int64_t[]){4}, (double[]){1, 0, 0, 0});
    call.op_type = "IsInf";
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], NORMA_BOOL, 1, (int64_t[]){4}, (double[]){0, 1, 1, 0});
    call.attributes[0] = (attribute)DRIVER_INT("detect_negative", 0);
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], NORMA_BOOL, 1, (int64_t[]){4}, (double[]){0, 0, 1, 0});
    value_clear(&x);
  }
  driver_finish(&driver);
}

/* ------------------------------------------------------------------------------------------------- of two arguments */

/* Two random shapes that can be broadcast, and what comes out. */
static void random_shapes(uint64_t *seed, shape *a, shape *b, shape *result) {
  static const int64_t sizes[] = {1, 1, 2, 3, 5, 8, 40};
  result->rank = (int)driver_random(seed, 0, 5.99);
  for (int i = 0; i < result->rank; i++) result->dims[i] = sizes[(int)driver_random(seed, 0, 6.99)];
  if (driver_random(seed, 0, 1) < 0.05 && result->rank > 0) result->dims[0] = 0;
  shape *const shapes[2] = {a, b};
  for (int k = 0; k < 2; k++) {
    const int skipped = driver_random(seed, 0, 1) < 0.5 ? 0 : (int)driver_random(seed, 0, result->rank + 0.99);
    shapes[k]->rank = result->rank - skipped;
    for (int i = 0; i < shapes[k]->rank; i++) {
      shapes[k]->dims[i] = driver_random(seed, 0, 1) < 0.3 ? 1 : result->dims[i + skipped];
    }
  }
  shape_broadcast(a, b, result);
}

/* The element of a broadcast tensor at position `index` of the result. */
static int64_t broadcast_index(const shape *own, const shape *result, int64_t index) {
  int64_t at = 0, stride = 1;
  for (int i = 1; i <= result->rank; i++) {
    const int64_t coordinate = index % result->dims[result->rank - i];
    index /= result->dims[result->rank - i];
    if (i > own->rank) continue;
    if (own->dims[own->rank - i] > 1) at += coordinate * stride;
    stride *= own->dims[own->rank - i];
  }
  return at;
}

typedef struct binary_case {
  const char *op;
  int64_t opset;
  double low, high;
  double (*formula)(double x, double z);
  bool floats, integers, is_bool;
} binary_case;

static double add(double x, double z) {
  return x + z;
}
static double subtract(double x, double z) {
  return x - z;
}
static double multiply(double x, double z) {
  return x * z;
}
static double divide(double x, double z) {
  return x / z;
}
static double divide_whole(double x, double z) {
  return trunc(x / z);
}
static double smaller(double x, double z) {
  return x < z ? x : z;
}
static double larger(double x, double z) {
  return x > z ? x : z;
}
static double modulo(double x, double z) {
  return x - floor(x / z) * z;
}
static double equal(double x, double z) {
  return x == z;
}
static double less(double x, double z) {
  return x < z;
}
static double greater(double x, double z) {
  return x > z;
}
static double less_or_equal(double x, double z) {
  return x <= z;
}
static double greater_or_equal(double x, double z) {
  return x >= z;
}
static double bits_and(double x, double z) {
  return (double)((int64_t)x & (int64_t)z);
}
static double bits_or(double x, double z) {
  return (double)((int64_t)x | (int64_t)z);
}
static double bits_xor(double x, double z) {
  return (double)((int64_t)x ^ (int64_t)z);
}
static double mean(double x, double z) {
  return (x + z) / 2;
}

static const binary_case binary_cases[] = {
    {"Add", 14, 1, 50, add, true, true, false},
    {"Sub", 14, 1, 50, subtract, true, false, false},
    {"Mul", 14, 1, 11, multiply, true, true, false},
    {"Div", 14, 1, 50, divide, true, false, false},
    {"Div", 14, 1, 50, divide_whole, false, true, false},
    {"Min", 13, 1, 50, smaller, true, true, false},
    {"Max", 13, 1, 50, larger, true, true, false},
    {"Sum", 13, 1, 50, add, true, false, false},
    {"Mean", 13, 1, 50, mean, true, false, false},
    {"Mod", 13, 1, 50, modulo, false, true, false},
    {"Pow", 15, 0.5, 3, pow, true, false, false},
    {"Equal", 19, 1, 4, equal, true, true, true},
    {"Less", 13, 1, 4, less, true, true, true},
    {"Greater", 13, 1, 4, greater, true, true, true},
    {"LessOrEqual", 16, 1, 4, less_or_equal, true, true, true},
    {"GreaterOrEqual", 16, 1, 4, greater_or_equal, true, true, true},
    {"BitwiseAnd", 18, 0, 100, bits_and, false, true, false},
    {"BitwiseOr", 18, 0, 100, bits_or, false, true, false},
    {"BitwiseXor", 18, 0, 100, bits_xor, false, true, false},
};

static void check_binary(driver *driver, const binary_case *test, norma_element_type type, uint64_t *seed, bool whole,
                         const struct kernel_table *kernels) {
  shape a, b, result;
  random_shapes(seed, &a, &b, &result);
  value x = random_tensor(driver, type, a.rank, a.dims, seed, test->low, test->high, whole);
  value z = random_tensor(driver, type, b.rank, b.dims, seed, test->low, test->high, whole);
  driver_call call = {.op_type = test->op,
                      .opset = test->opset,
                      .inputs = {&x, &z},
                      .input_count = 2,
                      .output_count = 1,
                      .workers = 3,
                      .kernels = kernels,
                      .in_place = shape_equal(&a, &result) && !test->is_bool};
  if (driver_run(driver, &call) != NORMA_OK) fail_msg("%s: %s", test->op, driver->error.message);
  const value *y = &driver->outputs[0];
  const shape actual = shape_of_tensor(&y->tensor);
  assert_true(shape_equal(&actual, &result));
  assert_int_equal(y->tensor.type, test->is_bool ? NORMA_BOOL : type);
  for (int64_t i = 0; i < norma_tensor_count(&y->tensor); i++) {
    const double left = driver_element(&x, broadcast_index(&a, &result, i));
    const double right = driver_element(&z, broadcast_index(&b, &result, i));
    assert_near(test->op, type, driver_element(y, i), test->formula(left, right), left, right);
  }
  value_clear(&x);
  value_clear(&z);
}

static void binary_functions_on_random_shapes(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  uint64_t seed = 7;
  const struct kernel_table *kernels;
  for (int k = 0; (kernels = driver_kernels(k)); k++) {
    for (size_t c = 0; c < COUNT(binary_cases); c++) {
      const binary_case *test = &binary_cases[c];
      for (int round = 0; round < 12; round++) {
        for (size_t t = 0; t < COUNT(float_types) && test->floats; t++) {
          check_binary(&driver, test, float_types[t], &seed, test->is_bool, kernels);
        }
        for (size_t t = 0; t < COUNT(integer_types) && test->integers; t++) {
          check_binary(&driver, test, integer_types[t], &seed, true, kernels);
        }
      }
    }
  }
  driver_finish(&driver);
}

static value *integers(driver *driver, value *into, norma_element_type type, int64_t x, int64_t z) {
  *into = driver_tensor(driver, type, 1, (int64_t[]){2}, NULL);
  element_set_int64(type, into->tensor.data, 0, x);
  element_set_int64(type, into->tensor.data, 1, z);
  return into;
}

static void integer_division_at_the_limits(void **state) {
  (void)state;
  static const struct {
    norma_element_type type;
    int64_t least;
  } types[] = {{NORMA_INT8, INT8_MIN}, {NORMA_INT16, INT16_MIN}, {NORMA_INT32, INT32_MIN}, {NORMA_INT64, INT64_MIN}};
  driver driver;
  driver_init(&driver);
  for (size_t t = 0; t < COUNT(types); t++) {
    value x, z, zero;
    integers(&driver, &x, types[t].type, types[t].least, -7);
    integers(&driver, &z, types[t].type, -1, 3);
    integers(&driver, &zero, types[t].type, 1, 0);
    driver_call call = {.op_type = "Div", .opset = 14, .inputs = {&x, &z}, .input_count = 2, .output_count = 1};
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    assert_true(tensor_get_int64(&driver.outputs[0].tensor, 0) == types[t].least);
    assert_true(tensor_get_int64(&driver.outputs[0].tensor, 1) == -2);
    call.op_type = "Mod";
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    assert_true(tensor_get_int64(&driver.outputs[0].tensor, 0) == 0);
    assert_true(tensor_get_int64(&driver.outputs[0].tensor, 1) == 2); /* the divisor's sign */
    call.attributes[0] = (attribute)DRIVER_INT("fmod", 1);
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    assert_true(tensor_get_int64(&driver.outputs[0].tensor, 1) == -1);
    call.inputs[1] = &zero;
    assert_int_equal(driver_run(&driver, &call), NORMA_ERROR_RUN);
    call = (driver_call){.op_type = "Div", .opset = 14, .inputs = {&x, &zero}, .input_count = 2, .output_count = 1};
    assert_int_equal(driver_run(&driver, &call), NORMA_ERROR_RUN);
    value_clear(&x);
    value_clear(&z);
    value_clear(&zero);
  }
  driver_finish(&driver);
}

static void floats_modulo_keep_the_divisors_sign(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){5}, (float[]){-7.5f, 7.5f, 0, 3, INFINITY});
  value z = driver_floats(&driver, 1, (int64_t[]){5}, (float[]){2, -2, -1, -INFINITY, 2});
  driver_call call = {.op_type = "Mod", .opset = 28, .inputs = {&x, &z}, .input_count = 2, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){5}, (double[]){0.5, -0.5, -0.0, -INFINITY, NAN});
  call.attributes[0] = (attribute)DRIVER_INT("fmod", 1);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){5}, (double[]){-1.5, 1.5, 0, 3, NAN});
  call = (driver_call){.op_type = "Mod", .opset = 13, .inputs = {&x, &z}, .input_count = 2, .output_count = 1};
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK); /* not defined before 28 */
  value_clear(&x);
  value_clear(&z);
  driver_finish(&driver);
}

static void shifts_beyond_the_width(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_tensor(&driver, NORMA_INT8, 1, (int64_t[]){4}, (double[]){-128, 127, -1, 5});
  value by = driver_tensor(&driver, NORMA_INT8, 1, (int64_t[]){4}, (double[]){1, 7, 8, -1});
  driver_call call = {.op_type = "BitShift",
                      .opset = 28,
                      .inputs = {&x, &by},
                      .input_count = 2,
                      .output_count = 1,
                      .attributes = {DRIVER_STRING("direction", "RIGHT")}};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT8, 1, (int64_t[]){4}, (double[]){-64, 0, -1, 0});
  call.attributes[0] = (attribute)DRIVER_STRING("direction", "LEFT");
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT8, 1, (int64_t[]){4}, (double[]){0, -128, 0, 0});
  call.attributes[0] = (attribute)DRIVER_STRING("direction", "UP");
  assert_int_equal(driver_run(&driver, &call), NORMA_ERROR_INVALID_MODEL);
  value_clear(&x);
  value_clear(&by);
  driver_finish(&driver);
}

static void broadcasting_before_version_7(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value a = driver_floats(&driver, 3, (int64_t[]){2, 3, 2}, (float[]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  value middle = driver_floats(&driver, 1, (int64_t[]){3}, (float[]){100, 200, 300});
  value last = driver_floats(&driver, 1, (int64_t[]){2}, (float[]){100, 200});
  value one = driver_floats(&driver, 2, (int64_t[]){1, 1}, (float[]){1});
  driver_call call = {.op_type = "Add",
                      .opset = 6,
                      .inputs = {&a, &middle},
                      .input_count = 2,
                      .output_count = 1,
                      .attributes = {DRIVER_INT("broadcast", 1), DRIVER_INT("axis", 1)}};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 3, (int64_t[]){2, 3, 2},
                       (double[]){100, 101, 202, 203, 304, 305, 106, 107, 208, 209, 310, 311});
  call.inputs[1] = &one;
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  assert_true(driver_element(&driver.outputs[0], 11) == 12);
  call.inputs[1] = &last;
  call.attributes[1] = (attribute){0}; /* the last dimensions */
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  assert_true(driver_element(&driver.outputs[0], 11) == 211);
  call.attributes[0] = (attribute){0};
  call.inputs[1] = &a;
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  call.inputs[1] = &middle;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  /* PRelu had one slope for each channel. */
  call = (driver_call){.op_type = "PRelu", .opset = 6, .inputs = {&a, &middle}, .input_count = 2, .output_count = 1};
  ((float *)a.tensor.data)[2] = -1;
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  assert_true(driver_element(&driver.outputs[0], 2) == -200);
  value_clear(&a);
  value_clear(&middle);
  value_clear(&last);
  value_clear(&one);
  driver_finish(&driver);
}

static void powers_of_mixed_types(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_tensor(&driver, NORMA_INT32, 1, (int64_t[]){4}, (double[]){2, -3, 1, -1});
  value z = driver_tensor(&driver, NORMA_INT64, 1, (int64_t[]){4}, (double[]){10, 3, -5, -3});
  value half = driver_tensor(&driver, NORMA_FLOAT, 0, NULL, (double[]){2.0});
  driver_call call = {.op_type = "Pow", .opset = 15, .inputs = {&x, &z}, .input_count = 2, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT32, 1, (int64_t[]){4}, (double[]){1024, -27, 1, -1});
  call.inputs[1] = &half;
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT32, 1, (int64_t[]){4}, (double[]){4, 9, 1, 1});
  value_clear(&x);
  value_clear(&z);
  value_clear(&half);
  driver_finish(&driver);
}

static void minimum_and_maximum_give_not_a_number(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  for (size_t t = 0; t < COUNT(float_types); t++) {
    value x = driver_tensor(&driver, float_types[t], 1, (int64_t[]){2}, (double[]){NAN, 1});
    value z = driver_tensor(&driver, float_types[t], 1, (int64_t[]){2}, (double[]){1, NAN});
    static const char *const ops[] = {"Min", "Max"};
    for (int o = 0; o < 2; o++) {
      driver_call call = {.op_type = ops[o], .opset = 13, .inputs = {&x, &z}, .input_count = 2, .output_count = 1};
      assert_int_equal(driver_run(&driver, &call), NORMA_OK);
      assert_true(isnan(driver_element(&driver.outputs[0], 0)) && isnan(driver_element(&driver.outputs[0], 1)));
    }
    value_clear(&x);
    value_clear(&z);
  }
  driver_finish(&driver);
}

static void many_inputs(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value a = driver_floats(&driver, 1, (int64_t[]){3}, (float[]){1, 2, 3});
  value b = driver_floats(&driver, 2, (int64_t[]){2, 1}, (float[]){10, 20});
  value c = driver_floats(&driver, 0, NULL, (float[]){100});
  driver_call call = {.op_type = "Sum", .opset = 13, .inputs = {&a, &b, &c}, .input_count = 3, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 2, (int64_t[]){2, 3}, (double[]){111, 112, 113, 121, 122, 123});
  call.op_type = "Mean";
  call.input_count = 1;
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){3}, (double[]){1, 2, 3});

  /* Of more, sums are rounded once: 2^24 + 1 + .. + 1 would stay 2^24. */
  value large = driver_floats(&driver, 0, NULL, (float[]){0x1p24f}),
        one = driver_floats(&driver, 0, NULL, (float[]){1});
  call = (driver_call){.op_type = "Sum", .opset = 13, .inputs = {&large, &a, &b}, .input_count = 15, .output_count = 1};
  for (int i = 3; i < call.input_count; i++) call.inputs[i] = &one;
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  double expected[6];
  for (int i = 0; i < 6; i++) expected[i] = (double)(float)(0x1p24 + 12 + (1 + i % 3) + (i < 3 ? 10 : 20));
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 2, (int64_t[]){2, 3}, expected);
  value_clear(&large);
  value_clear(&one);
  value_clear(&a);
  value_clear(&b);
  value_clear(&c);
  driver_finish(&driver);
}

static void logic_and_strings(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value a = driver_bools(&driver, 1, (int64_t[]){4}, (bool[]){false, false, true, true});
  value b = driver_bools(&driver, 1, (int64_t[]){4}, (bool[]){false, true, false, true});
  static const struct {
    const char *op;
    double expected[4];
  } cases[] = {{"And", {0, 0, 0, 1}}, {"Or", {0, 1, 1, 1}}, {"Xor", {0, 1, 1, 0}}, {"Equal", {1, 0, 0, 1}}};
  for (size_t c = 0; c < COUNT(cases); c++) {
    driver_call call = {.op_type = cases[c].op, .opset = 19, .inputs = {&a, &b}, .input_count = 2, .output_count = 1};
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], NORMA_BOOL, 1, (int64_t[]){4}, cases[c].expected);
  }
  value s = driver_strings(&driver, 1, (int64_t[]){3}, (const char *[]){"a", "", "bc"});
  value t = driver_strings(&driver, 1, (int64_t[]){1}, (const char *[]){"bc"});
  driver_call call = {.op_type = "Equal", .opset = 19, .inputs = {&s, &t}, .input_count = 2, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_BOOL, 1, (int64_t[]){3}, (double[]){0, 0, 1});
  value_clear(&a);
  value_clear(&b);
  value_clear(&s);
  value_clear(&t);
  driver_finish(&driver);
}

static void shapes_that_do_not_fit(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value a = driver_floats(&driver, 1, (int64_t[]){3}, NULL);
  value b = driver_floats(&driver, 1, (int64_t[]){2}, NULL);
  driver_call call = {.op_type = "Mul", .opset = 14, .inputs = {&a, &b}, .input_count = 2, .output_count = 1};
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  assert_non_null(strstr(driver.error.message, "cannot be broadcast"));
  value_clear(&a);
  value_clear(&b);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unary_functions_of_every_float_type),
      cmocka_unit_test(unary_functions_of_integers),
      cmocka_unit_test(not_a_number_stays),
      cmocka_unit_test(clip_takes_bounds_from_inputs),
      cmocka_unit_test(predicates),
      cmocka_unit_test(binary_functions_on_random_shapes),
      cmocka_unit_test(integer_division_at_the_limits),
      cmocka_unit_test(floats_modulo_keep_the_divisors_sign),
      cmocka_unit_test(shifts_beyond_the_width),
      cmocka_unit_test(broadcasting_before_version_7),
      cmocka_unit_test(powers_of_mixed_types),
      cmocka_unit_test(minimum_and_maximum_give_not_a_number),
      cmocka_unit_test(many_inputs),
      cmocka_unit_test(logic_and_strings),
      cmocka_unit_test(shapes_that_do_not_fit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
