/* What operators that move elements share: how elements of every width are presented, packed and unpacked, strings with
 * their characters, and outputs that have the elements of an input. */
#include "ops/movement/movement.h"
#include "tests/support/workbench.h"

static void elements_are_whole_bytes(void **state) {
  (void)state;
  FOR_TYPES(type, TYPES_PACKED) assert_int_equal(movement_bytes(type), 1);
  FOR_TYPES(type, TYPES_FIXED_SIZE) assert_int_equal(movement_bytes(type), element_type_bits(type) / 8);
  assert_int_equal(movement_bytes(NORMA_STRING), sizeof(norma_string));
}

/* Codes of 2, 4 and 6 bits stand one behind the other from the lowest bit on, over the borders of bytes. */
static void single_elements(void **state) {
  static const uint8_t bytes[] = {0xC9, 0x5A, 0x3F, 0x81, 0x77, 0x02};
  (void)state;
  FOR_TYPES(type, TYPES_PACKED) {
    const int bits = element_type_bits(type);
    uint64_t whole = 0;
    for (int i = 0; i < 6; i++) whole |= (uint64_t)bytes[i] << (8 * i);
    for (int i = 0; i < 48 / bits; i++) {
      uint8_t item[16] = {0};
      movement_get(type, bytes, i, item);
      assert_int_equal(item[0], whole >> (i * bits) & ((1u << bits) - 1));
    }
  }
  const double numbers[] = {1, 2, 3};
  double item;
  movement_get(NORMA_DOUBLE, numbers, 2, &item);
  assert_true(item == 3);
}

/* Every count of elements up to some bytes; bits behind the last one are zeros, whatever they were in the input. */
static void packed_elements_of_every_count(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_PACKED) {
    const int bits = element_type_bits(type);
    for (int64_t count = 0; count < 20; count++) {
      value *x = bench_make(&bench, type, SHAPE(count, 1));
      uint8_t *from = x->tensor.data;
      for (size_t i = 0; i < x->tensor.size_bytes; i++) from[i] = (uint8_t)(0xB5 + 29 * i);
      driver_call call = CALL("Concat", 13, x); /* unpacks and packs */
      call.attributes[0] = (attribute)DRIVER_INT("axis", 0);
      const value *y = bench_run(&bench, &call);
      assert_int_equal(y->tensor.size_bytes, x->tensor.size_bytes);
      const uint8_t *to = y->tensor.data;
      for (size_t i = 0; i < y->tensor.size_bytes; i++) {
        const int64_t left = count * bits - 8 * (int64_t)i;
        assert_int_equal(to[i], left >= 8 ? from[i] : from[i] & ((1u << left) - 1));
      }
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* The characters of an output are its own: the input may go first. */
static void strings_are_copied(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  value x = driver_strings(&bench.driver, 2, (int64_t[]){2, 2}, (const char *[]){"a", "", "bcd", "a longer one"});
  driver_call call = CALL("Transpose", 13, &x);
  bench_run(&bench, &call);
  for (int i = 0; i < 4; i++) {
    norma_string *text = (norma_string *)x.tensor.data + i;
    if (text->size) memset((char *)(uintptr_t)text->data, '?', text->size);
  }
  value_clear(&x);
  check_strings(&bench.driver.outputs[0], SHAPE(2, 2), (const char *[]){"a", "bcd", "", "a longer one"});
  bench_finish(&bench);
}

/* movement_same behind operators that are views: tensors of every type, memory of its own or planned, and
 * containers. */
static void the_same_elements(void **state) {
  static const shape shapes[] = {{0, {0}}, {1, {0}}, {3, {3, 1, 7}}, {2, {300, 1000}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_ALL) {
    for (size_t i = 0; i < COUNT(shapes); i++) {
      if (i == 3 && type != NORMA_FLOAT && type != NORMA_INT2) continue;
      const value *x = bench_numbered(&bench, type, shapes[i]);
      driver_call call = CALL("Identity", 21, x);
      assert_true(same_value(bench_run(&bench, &call), x));
    }
    bench_clear(&bench);
  }
  const value *elements[] = {bench_strings(&bench, SHAPE(1), (const char *[]){"x"}),
                             bench_strings(&bench, SHAPE(0), NULL)};
  const value *sequence = bench_container(&bench, NORMA_VALUE_SEQUENCE, 2, elements);
  const value *optional = bench_container(&bench, NORMA_VALUE_OPTIONAL, 1, &sequence);
  driver_call call = CALL("Identity", 21, optional);
  assert_true(same_value(bench_run_once(&bench, &call), optional));
  bench_finish(&bench);
}

static void outputs_that_nobody_reads(void **state) {
  static const char *const ops[] = {"Identity", "Transpose", "Trilu", "Shape", "Size"};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t o = 0; o < COUNT(ops); o++) {
    driver_call call = CALL(ops[o], 21, bench_numbered(&bench, NORMA_FLOAT, SHAPE(3, 4)));
    call.unwanted_outputs = INPUT(0);
    assert_int_equal(bench_run_once(&bench, &call)->kind, NORMA_VALUE_NONE);
  }
  bench_finish(&bench);
}

static void strides_of_contiguous_tensors(void **state) {
  int64_t strides[4];
  (void)state;
  movement_strides(4, (const int64_t[]){2, 3, 4, 5}, strides);
  assert_true(strides[0] == 60 && strides[1] == 20 && strides[2] == 5 && strides[3] == 1);
  movement_strides(2, (const int64_t[]){7, 0}, strides);
  assert_true(strides[0] == 0 && strides[1] == 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(elements_are_whole_bytes),
      cmocka_unit_test(single_elements),
      cmocka_unit_test(packed_elements_of_every_count),
      cmocka_unit_test(strings_are_copied),
      cmocka_unit_test(the_same_elements),
      cmocka_unit_test(outputs_that_nobody_reads),
      cmocka_unit_test(strides_of_contiguous_tensors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
