/* Comparing values: the rule of ONNX's test runner, the other rules, exact types, containers. */
#include "tests/tools/unit/tool_runtime.h"
#include "tests/tools/unit/tool_test.h"

#include "tools/difference.h"

#include <math.h>

static difference compare(norma_element_type type, void *expected, void *actual, int64_t count, tolerance tolerance) {
  norma_tensor left = tensor_over(type, expected, 1, &count), right = tensor_over(type, actual, 1, &count);
  difference result;
  compare_tensors(&left, &right, &tolerance, &result);
  return result;
}

static void assert_says(const difference *difference, const char *words) {
  assert_false(difference->agrees);
  if (!strstr(difference->text, words)) fail_msg("expected \"%s\" in \"%s\"", words, difference->text);
}

static void tolerance_is_relative_to_the_expected_value(void **state) {
  (void)state;
  float expected[] = {1000, 0, 1}, actual[] = {1000.99f, 0.9e-7f, 1.0009f};
  assert_true(compare(NORMA_FLOAT, expected, actual, 3, tolerance_default()).agrees);
  actual[0] = 1001.1f;
  difference result = compare(NORMA_FLOAT, expected, actual, 3, tolerance_default());
  assert_says(&result, "element [0] expected 1000, got 1001.1");
  assert_says(&result, "1 of 3 elements differ");
  actual[1] = 1e-6f; /* the worst is the one furthest beyond what is allowed, not the largest error */
  result = compare(NORMA_FLOAT, expected, actual, 3, tolerance_default());
  assert_says(&result, "element [1]");
  assert_says(&result, "2 of 3 elements differ");
}

static void special_values(void **state) {
  (void)state;
  float expected[] = {NAN, INFINITY, -INFINITY, -0.0f}, actual[] = {NAN, INFINITY, -INFINITY, 0.0f};
  assert_true(compare(NORMA_FLOAT, expected, actual, 4, tolerance_default()).agrees);
  static const float wrong[][4] = {{0, INFINITY, -INFINITY, 0},
                                   {NAN, -INFINITY, -INFINITY, 0},
                                   {NAN, INFINITY, 3e38f, 0},
                                   {NAN, INFINITY, -INFINITY, NAN}};
  for (int i = 0; i < 4; i++) {
    memcpy(actual, wrong[i], sizeof actual);
    for (compare_rule rule = COMPARE_ELEMENTS; rule <= COMPARE_MAX; rule++) {
      tolerance tolerance = {.rule = rule, .rtol = 1e30, .atol = 1e30, .max = 1e30};
      difference result = compare(NORMA_FLOAT, expected, actual, 4, tolerance);
      assert_false(result.agrees);
      assert_true(isinf(result.max_error));
    }
  }
}

static void integers_are_exact(void **state) {
  (void)state;
  int64_t expected[] = {INT64_MAX, 5}, actual[] = {INT64_MAX - 1, 5}; /* the same as double */
  difference result = compare(NORMA_INT64, expected, actual, 2, tolerance_default());
  assert_says(&result, "9223372036854775807");
  actual[0] = INT64_MAX;
  assert_true(compare(NORMA_INT64, expected, actual, 2, tolerance_default()).agrees);
  tolerance loose = {.rule = COMPARE_MAX, .max = 1};
  actual[1] = 6;
  assert_false(compare(NORMA_INT64, expected, actual, 2, loose).agrees);
  uint8_t packed[] = {0x21, 0x0F}, other[] = {0x21, 0xFF}; /* three int4: what lies behind the last does not count */
  assert_true(compare(NORMA_INT4, packed, other, 3, tolerance_default()).agrees);
  other[1] = 0xFE;
  assert_false(compare(NORMA_INT4, packed, other, 3, tolerance_default()).agrees);
}

static void strings_are_exact(void **state) {
  (void)state;
  norma_string expected[] = {{"a", 1}, {"", 0}}, actual[] = {{"a", 1}, {NULL, 0}};
  assert_true(compare(NORMA_STRING, expected, actual, 2, tolerance_default()).agrees);
  actual[0] = (norma_string){"ab", 2};
  difference result = compare(NORMA_STRING, expected, actual, 2, tolerance_default());
  assert_says(&result, "expected \"a\", got \"ab\"");
}

static void complex_numbers_by_their_distance(void **state) {
  (void)state;
  float expected[] = {3, 4}, actual[] = {3.003f, 4.003f}; /* distance 0.0042, allowed 0.005 */
  assert_true(compare(NORMA_COMPLEX64, expected, actual, 1, tolerance_default()).agrees);
  actual[0] = 3.005f;
  difference result = compare(NORMA_COMPLEX64, expected, actual, 1, tolerance_default());
  assert_says(&result, "expected 3+4i");
}

static void half_precision(void **state) {
  (void)state;
  uint16_t expected[] = {0x3C00}, actual[] = {0x3C01}; /* 1 and the next */
  assert_true(compare(NORMA_FLOAT16, expected, actual, 1, tolerance_default()).agrees);
  assert_false(compare(NORMA_BFLOAT16, expected, actual, 1, tolerance_default()).agrees); /* 2^-7 apart */
}

static void max_is_relative_to_the_largest(void **state) {
  (void)state;
  float expected[] = {100, 0.01f}, actual[] = {100, 0.02f};
  tolerance tolerance = {.rule = COMPARE_MAX, .max = 1.01e-4, .atol = 0};
  assert_true(compare(NORMA_FLOAT, expected, actual, 2, tolerance).agrees);
  tolerance.max = 0.9e-4;
  difference result = compare(NORMA_FLOAT, expected, actual, 2, tolerance);
  assert_says(&result, "element [1]");
  assert_true(result.magnitude == 100);
  float zeros[] = {0, 0}, small[] = {0, 1e-3f};
  tolerance.atol = 1e-7;
  assert_false(compare(NORMA_FLOAT, zeros, small, 2, tolerance).agrees);
}

static void other_rules(void **state) {
  (void)state;
  float expected[] = {1, 5, 2, 7, 3, 1}, actual[] = {2, 3, 1, 5, 4, 3};
  const int64_t dims[] = {2, 3}, column[] = {2, 3, 1, 1};
  difference result;
  tolerance tolerance = {.rule = COMPARE_TOP1};
  norma_tensor left = tensor_over(NORMA_FLOAT, expected, 2, dims), right = tensor_over(NORMA_FLOAT, actual, 2, dims);
  compare_tensors(&left, &right, &tolerance, &result);
  assert_true(result.agrees);
  left = tensor_over(NORMA_FLOAT, expected, 4, column);
  right = tensor_over(NORMA_FLOAT, actual, 4, column);
  compare_tensors(&left, &right, &tolerance, &result);
  assert_true(result.agrees && result.rows == 2);
  actual[5] = 6;
  compare_tensors(&left, &right, &tolerance, &result);
  assert_says(&result, "row 1 has its largest element at 2, expected at 0");

  tolerance.rule = COMPARE_COSINE;
  tolerance.min = 0.99;
  float x[] = {1, 0}, y[] = {2, 0.1f}, z[] = {0, 1}, nan[] = {NAN, 1};
  assert_true(compare(NORMA_FLOAT, x, y, 2, tolerance).agrees);
  assert_false(compare(NORMA_FLOAT, x, z, 2, tolerance).agrees);
  assert_false(compare(NORMA_FLOAT, x, nan, 2, tolerance).agrees);

  tolerance.rule = COMPARE_DOMAIN;
  float draws[] = {0, 1}, half[] = {0, 0.5f};
  assert_true(compare(NORMA_FLOAT, x, draws, 2, tolerance).agrees);
  result = compare(NORMA_FLOAT, x, half, 2, tolerance);
  assert_says(&result, "[1] is 0.5");
}

static void types_and_shapes_must_agree(void **state) {
  (void)state;
  float data[6] = {0};
  tolerance loose = {.rule = COMPARE_DOMAIN};
  difference result;
  norma_tensor left = tensor_over(NORMA_FLOAT, data, 2, (const int64_t[]){2, 3});
  norma_tensor right = tensor_over(NORMA_FLOAT, data, 2, (const int64_t[]){3, 2});
  compare_tensors(&left, &right, &loose, &result);
  assert_says(&result, "expected float 2x3, got float 3x2");
  right = tensor_over(NORMA_INT32, data, 2, (const int64_t[]){2, 3});
  compare_tensors(&left, &right, &loose, &result);
  assert_says(&result, "got int32 2x3");
  right = tensor_over(NORMA_FLOAT, data, 3, (const int64_t[]){1, 2, 3});
  compare_tensors(&left, &right, &loose, &result);
  assert_says(&result, "got float 1x2x3");
}

static norma_value *sequence_of(const norma_value *first, const norma_value *second) {
  const norma_value *elements[] = {first, second};
  norma_value *sequence;
  assert_int_equal(norma_value_create_sequence(runtime, elements, second ? 2 : 1, &sequence, NULL), NORMA_OK);
  return sequence;
}

static norma_value *number_of(float number) {
  norma_value *value;
  const norma_tensor tensor = tensor_over(NORMA_FLOAT, &number, 1, (const int64_t[]){1});
  assert_int_equal(norma_value_create_tensor(runtime, &tensor, &value, NULL), NORMA_OK);
  return value;
}

static norma_value *optional_of(const norma_value *element) {
  norma_value *value;
  assert_int_equal(norma_value_create_optional(runtime, element, &value, NULL), NORMA_OK);
  return value;
}

static void containers(void **state) {
  (void)state;
  difference result;
  const tolerance tolerance = tolerance_default();
  norma_value *one = number_of(1), *two = number_of(2), *full = optional_of(one), *empty = optional_of(NULL);
  norma_value *left = sequence_of(one, one), *right = sequence_of(one, one), *other = sequence_of(one, two);
  norma_value *shorter = sequence_of(one, NULL);
  compare_values(left, right, &tolerance, &result);
  assert_true(result.agrees);
  compare_values(left, other, &tolerance, &result);
  assert_says(&result, "item 1: element [0] expected 1, got 2");
  /* an optional with an element is that element; an empty one is nothing */
  compare_values(full, one, &tolerance, &result);
  assert_true(result.agrees);
  compare_values(empty, NULL, &tolerance, &result);
  assert_true(result.agrees);
  compare_values(empty, left, &tolerance, &result);
  assert_says(&result, "expected nothing, got sequence of 2");
  compare_values(left, shorter, &tolerance, &result);
  assert_says(&result, "expected 2 elements, got 1");
  norma_value *const all[] = {one, two, full, empty, left, right, other, shorter};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) norma_value_destroy(all[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tolerance_is_relative_to_the_expected_value),
      cmocka_unit_test(special_values),
      cmocka_unit_test(integers_are_exact),
      cmocka_unit_test(strings_are_exact),
      cmocka_unit_test(complex_numbers_by_their_distance),
      cmocka_unit_test(half_precision),
      cmocka_unit_test(max_is_relative_to_the_largest),
      cmocka_unit_test(other_rules),
      cmocka_unit_test(types_and_shapes_must_agree),
      cmocka_unit_test(containers),
  };
  return cmocka_run_group_tests(tests, tool_runtime_begin, tool_runtime_end);
}
