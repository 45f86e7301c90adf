/* The generator against published numbers: those of the C++ standard for MT19937, those of NumPy for what it makes of
 * them. */
#include "ops/generation/random_numbers.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static random_numbers begin(uint32_t value) {
  random_numbers numbers;
  const random_seed seed = {true, value};
  random_begin(&numbers, &seed);
  return numbers;
}

static void bits_are_those_of_mt19937(void **state) {
  (void)state;
  random_numbers numbers = begin(5489);
  assert_int_equal(random_bits(&numbers), 3499211612u);
  for (int i = 2; i < 10000; i++) random_bits(&numbers);
  assert_int_equal(random_bits(&numbers), 4123659995u);
}

static void numbers_are_those_of_numpy(void **state) {
  (void)state;
  random_numbers numbers = begin(0);
  const double uniform[] = {0.5488135039273248, 0.7151893663724195, 0.6027633760716439};
  for (int i = 0; i < 3; i++) assert_true(random_uniform(&numbers) == uniform[i]);
  numbers = begin(0);
  const double normal[] = {1.764052345967664, 0.4001572083672233, 0.9787379841057392, 2.240893199201458};
  for (int i = 0; i < 4; i++) assert_true(fabs(random_normal(&numbers) - normal[i]) < 1e-15);
}

static void without_a_seed_each_begins_elsewhere(void **state) {
  (void)state;
  const random_seed none = {false, 7};
  int same = 0;
  random_numbers first, other;
  random_begin(&first, &none);
  const uint32_t bits = random_bits(&first);
  for (int i = 0; i < 8; i++) {
    random_begin(&other, &none);
    same += random_bits(&other) == bits;
  }
  assert_true(same < 8);
}

static random_seed read_seed(attribute seed) {
  const node node = {.attributes = &seed, .attribute_count = 1};
  random_seed result;
  random_read_seed(&node, &result);
  return result;
}

static void seeds_are_whole_numbers(void **state) {
  (void)state;
  static const struct {
    float f;
    uint32_t value;
  } floats[] = {{0, 0}, {7.9f, 7}, {-1, UINT32_MAX}, {0x1p32f, 0}, {0x1p33f, 0}, {4294967040.0f, 4294967040u}};
  for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
    const random_seed seed = read_seed((attribute){.name = "seed", .kind = ATTRIBUTE_FLOAT, .f = floats[i].f});
    assert_true(seed.given);
    assert_int_equal(seed.value, floats[i].value);
  }
  const random_seed whole = read_seed((attribute){.name = "seed", .kind = ATTRIBUTE_INT, .i = 12345});
  assert_true(whole.given && whole.value == 12345);
  assert_false(read_seed((attribute){.name = "seed", .kind = ATTRIBUTE_FLOAT, .f = NAN}).given);
  assert_false(read_seed((attribute){.name = "other", .kind = ATTRIBUTE_INT}).given);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bits_are_those_of_mt19937), cmocka_unit_test(numbers_are_those_of_numpy),
      cmocka_unit_test(without_a_seed_each_begins_elsewhere), cmocka_unit_test(seeds_are_whole_numbers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
