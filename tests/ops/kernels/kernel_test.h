/* What the kernel tests share: running a test for every table that this machine can run, random data in buffers of
 * exactly the size asked for (so that AddressSanitizer sees an access one element too far), and comparison. */
#ifndef TESTS_OPS_KERNELS_KERNEL_TEST_H
#define TESTS_OPS_KERNELS_KERNEL_TEST_H

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ops/kernels/kernel_table.h"

typedef void table_test(const struct kernel_table *table);

/* The table of that name without its overrides. */
static inline const struct kernel_table *plain_table(const char *name) {
  char text[64];
  snprintf(text, sizeof text, "%s:plain", name);
  const struct kernel_table *plain = kernel_table_find(text);
  assert_non_null(plain);
  return plain;
}

/* Each table that this machine runs without overrides, and with each of its overrides alone. */
static inline void run_for_every_table(table_test *test) {
  const struct kernel_table *table;
  size_t tables = 0;
  for (; (table = kernel_table_at(tables)); tables++) {
    const struct kernel_override *override;
    test(plain_table(table->name));
    for (size_t i = 0; (override = kernel_override_at(i)); i++) {
      if (strcmp(override->table, table->name) != 0) continue;
      struct kernel_table with = *plain_table(table->name);
      char name[64];
      snprintf(name, sizeof name, "%s+%s", table->name, override->name);
      with.name = name;
      override->apply(&with);
      test(&with);
    }
  }
  assert_true(tables > 0);
}

/* Defines the cmocka test `name`, whose body runs once per table, and per table and override, with `table` bound to it.
 */
#define TABLE_TEST(name)                                                                                               \
  static void name##_with(const struct kernel_table *table);                                                           \
  static void name(void **state) {                                                                                     \
    (void)state;                                                                                                       \
    run_for_every_table(name##_with);                                                                                  \
  }                                                                                                                    \
  static void name##_with(const struct kernel_table *table)

/* ---- random numbers: a fixed sequence, so that a failure can be repeated ---- */
static uint64_t test_random_state = 0x9e3779b97f4a7c15u;

static inline uint32_t random_bits(void) {
  test_random_state = test_random_state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(test_random_state >> 32);
}

static inline size_t random_size(size_t lowest, size_t highest) {
  return lowest + random_bits() % (highest - lowest + 1);
}

/* Uniform in [-1, 1). */
static inline float random_float(void) {
  return (float)(int32_t)random_bits() * 0x1p-31f;
}

/* ---- buffers; never NULL, freed by free() ---- */
static inline void *exact_buffer(size_t bytes) {
  void *p = malloc(bytes ? bytes : 1);
  if (!p) abort();
  return p;
}

static inline float *float_buffer(size_t n) {
  return exact_buffer(n * sizeof(float));
}

static inline float *random_floats(size_t n) {
  float *x = float_buffer(n);
  for (size_t i = 0; i < n; i++) x[i] = random_float();
  return x;
}

/* ---- comparison ---- */

/* |got - expected| <= tolerance * scale, or both the same non-finite value. `what` and `where` go into the message. */
static inline void expect_close(const struct kernel_table *table, const char *what, size_t where, double got,
                                double expected, double scale, double tolerance) {
  if (isnan(expected) ? isnan(got) : got == expected || fabs(got - expected) <= tolerance * scale) return;
  fail_msg("%s %s: element %zu is %.9g, expected %.9g (scale %g, tolerance %g)", table->name, what, where, got,
           expected, scale, tolerance);
}

static inline void expect_same_bits(const struct kernel_table *table, const char *what, const void *got,
                                    const void *expected, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    if (((const uint8_t *)got)[i] != ((const uint8_t *)expected)[i])
      fail_msg("%s %s: results differ in byte %zu of %zu", table->name, what, i, bytes);
}

#endif
