/* Elements of any type as doubles and integers, and what element types say of themselves. */
#include "engine/norma.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void element_types_describe_themselves(void **state) {
  (void)state;
  static const struct {
    norma_element_type type;
    norma_element_class kind;
    int bits;
  } cases[] = {{NORMA_UNDEFINED, NORMA_CLASS_NONE, 0},     {NORMA_BOOL, NORMA_CLASS_BOOL, 8},
               {NORMA_FLOAT, NORMA_CLASS_FLOAT, 32},       {NORMA_BFLOAT16, NORMA_CLASS_FLOAT, 16},
               {NORMA_FLOAT8E8M0, NORMA_CLASS_FLOAT, 8},   {NORMA_FLOAT6E3M2, NORMA_CLASS_FLOAT, 6},
               {NORMA_FLOAT4E2M1, NORMA_CLASS_FLOAT, 4},   {NORMA_INT64, NORMA_CLASS_SIGNED, 64},
               {NORMA_INT2, NORMA_CLASS_SIGNED, 2},        {NORMA_UINT4, NORMA_CLASS_UNSIGNED, 4},
               {NORMA_COMPLEX64, NORMA_CLASS_COMPLEX, 64}, {NORMA_STRING, NORMA_CLASS_STRING, 128}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(norma_element_type_class(cases[i].type), cases[i].kind);
    assert_int_equal(norma_element_type_bits(cases[i].type), cases[i].bits);
  }
  assert_int_equal(norma_element_type_class((norma_element_type)99), NORMA_CLASS_NONE);
  assert_int_equal(norma_element_type_bits((norma_element_type)-1), 0);
  for (int type = 1; type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    assert_int_equal(norma_element_type_find(norma_element_type_name((norma_element_type)type)), type);
    assert_int_not_equal(norma_element_type_class((norma_element_type)type), NORMA_CLASS_NONE);
  }
  assert_int_equal(norma_element_type_find("undefined"), NORMA_UNDEFINED);
  assert_int_equal(norma_element_type_find("floats"), NORMA_UNDEFINED);
  assert_int_equal(norma_element_type_find(NULL), NORMA_UNDEFINED);
}

/* Every type of numbers gives back what it can hold, and leaves its neighbours alone. */
static void every_type_keeps_small_numbers(void **state) {
  (void)state;
  const int64_t count = 7;
  for (int type = 1; type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    const norma_element_class kind = norma_element_type_class((norma_element_type)type);
    if (kind == NORMA_CLASS_STRING || kind == NORMA_CLASS_COMPLEX) continue;
    unsigned char data[64] = {0};
    norma_tensor tensor;
    double numbers[7] = {1, 0, 1, 1, 0, 1, 0}, back[7];
    int64_t whole[7], two[2];
    if (type == NORMA_FLOAT8E8M0) { /* powers of two: it has no zero */
      for (int i = 0; i < 7; i++) numbers[i] = 1 + numbers[i];
    }
    assert_int_equal(norma_tensor_init(&tensor, (norma_element_type)type, 1, &count, data), NORMA_OK);
    assert_int_equal(norma_tensor_set_doubles(&tensor, 0, 7, numbers), NORMA_OK);
    assert_int_equal(norma_tensor_get_doubles(&tensor, 0, 7, back), NORMA_OK);
    assert_memory_equal(back, numbers, sizeof numbers);
    assert_int_equal(norma_tensor_get_integers(&tensor, 0, 7, whole), NORMA_OK);
    for (int i = 0; i < 7; i++) assert_int_equal(whole[i], (int64_t)numbers[i]);
    assert_int_equal(norma_tensor_set_integers(&tensor, 2, 2, (int64_t[]){1, 1}), NORMA_OK);
    assert_int_equal(norma_tensor_get_integers(&tensor, 2, 2, two), NORMA_OK);
    assert_true(two[0] == 1 && two[1] == 1);
    numbers[2] = numbers[3] = 1;
    assert_int_equal(norma_tensor_get_doubles(&tensor, 0, 7, back), NORMA_OK);
    assert_memory_equal(back, numbers, sizeof numbers);
    for (size_t i = tensor.size_bytes; i < sizeof data; i++) assert_int_equal(data[i], 0);
  }
}

static void what_does_not_fit_is_rounded_as_promised(void **state) {
  (void)state;
  int8_t bytes[3];
  uint64_t bits[1] = {UINT64_MAX};
  uint16_t halves[1];
  int64_t three = 3, one = 1, whole;
  double number;
  norma_tensor tensor;
  norma_tensor_init(&tensor, NORMA_INT8, 1, &three, bytes);
  assert_int_equal(norma_tensor_set_doubles(&tensor, 0, 3, (double[]){300, -1.9, NAN}), NORMA_OK);
  assert_true(bytes[0] == 127 && bytes[1] == -1 && bytes[2] == 0);
  assert_int_equal(norma_tensor_set_integers(&tensor, 0, 1, (int64_t[]){0x181}), NORMA_OK);
  assert_int_equal(bytes[0], -127);
  norma_tensor_init(&tensor, NORMA_UINT64, 1, &one, bits);
  assert_int_equal(norma_tensor_get_integers(&tensor, 0, 1, &whole), NORMA_OK);
  assert_int_equal(whole, -1);
  norma_tensor_init(&tensor, NORMA_FLOAT16, 1, &one, halves);
  assert_int_equal(norma_tensor_set_doubles(&tensor, 0, 1, (double[]){1 + 0x1p-11}), NORMA_OK); /* a tie, to even */
  assert_int_equal(norma_tensor_get_doubles(&tensor, 0, 1, &number), NORMA_OK);
  assert_true(number == 1);
  assert_int_equal(norma_tensor_set_doubles(&tensor, 0, 1, (double[]){-2.75}), NORMA_OK);
  assert_int_equal(norma_tensor_get_integers(&tensor, 0, 1, &whole), NORMA_OK);
  assert_int_equal(whole, -2);
}

static void what_is_not_there_is_refused(void **state) {
  (void)state;
  float data[4] = {1, 2, 3, 4};
  double numbers[4] = {9, 9, 9, 9};
  int64_t whole[4];
  norma_tensor tensor, wrong;
  const int64_t dims[] = {2, 2};
  norma_tensor_init(&tensor, NORMA_FLOAT, 2, dims, data);
  static const int64_t ranges[][2] = {{-1, 1}, {0, 5}, {4, 1}, {5, 0}, {0, -1}, {INT64_MAX, 2}, {1, INT64_MAX}};
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
    assert_int_equal(norma_tensor_get_doubles(&tensor, ranges[i][0], ranges[i][1], numbers), NORMA_ERROR_ARGUMENT);
    assert_int_equal(norma_tensor_set_doubles(&tensor, ranges[i][0], ranges[i][1], numbers), NORMA_ERROR_ARGUMENT);
    assert_int_equal(norma_tensor_get_integers(&tensor, ranges[i][0], ranges[i][1], whole), NORMA_ERROR_ARGUMENT);
    assert_int_equal(norma_tensor_set_integers(&tensor, ranges[i][0], ranges[i][1], whole), NORMA_ERROR_ARGUMENT);
  }
  assert_true(numbers[0] == 9 && data[0] == 1);
  assert_int_equal(norma_tensor_get_doubles(&tensor, 4, 0, NULL), NORMA_OK);
  assert_int_equal(norma_tensor_get_doubles(&tensor, 0, 1, NULL), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_tensor_get_doubles(NULL, 0, 0, numbers), NORMA_ERROR_ARGUMENT);
  wrong = tensor;
  wrong.rank = NORMA_MAX_RANK + 1;
  assert_int_equal(norma_tensor_get_doubles(&wrong, 0, 1, numbers), NORMA_ERROR_ARGUMENT);
  wrong = tensor;
  wrong.size_bytes = 12;
  assert_int_equal(norma_tensor_get_doubles(&wrong, 0, 1, numbers), NORMA_ERROR_ARGUMENT);
  wrong = tensor;
  wrong.data = NULL;
  assert_int_equal(norma_tensor_get_doubles(&wrong, 0, 1, numbers), NORMA_ERROR_ARGUMENT);
  norma_string text[4] = {{0}};
  norma_tensor_init(&wrong, NORMA_STRING, 2, dims, text);
  assert_int_equal(norma_tensor_get_doubles(&wrong, 0, 1, numbers), NORMA_ERROR_ARGUMENT);
  double pairs[8];
  norma_tensor_init(&wrong, NORMA_COMPLEX128, 2, dims, pairs);
  assert_int_equal(norma_tensor_get_integers(&wrong, 0, 1, whole), NORMA_ERROR_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(element_types_describe_themselves),
      cmocka_unit_test(every_type_keeps_small_numbers),
      cmocka_unit_test(what_does_not_fit_is_rounded_as_promised),
      cmocka_unit_test(what_is_not_there_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
