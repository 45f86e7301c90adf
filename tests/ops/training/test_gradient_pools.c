/* Derivatives of MaxPool and AveragePool against differences. */
#include "tests/support/gradient_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

typedef struct pool_case {
  int axes;
  int64_t size[3], kernel[3], stride[3], pads[6], dilation[3];
  int ceil_mode;
} pool_case;

static const pool_case pools[] = {
    {2, {4, 6}, {2, 2}, {2, 2}, {0}, {1, 1}, 0},
    {2, {5, 6}, {3, 2}, {1, 2}, {1, 0, 1, 1}, {1, 1}, 0},
    {2, {6, 5}, {3, 2}, {2, 3}, {1, 1, 0, 0}, {1, 1}, 1},
    {2, {7, 6}, {2, 3}, {2, 1}, {0, 1, 1, 1}, {3, 2}, 0},
    {1, {9}, {3}, {2}, {1, 1}, {1}, 0},
    {3, {3, 4, 3}, {2, 2, 2}, {1, 2, 1}, {0, 0, 1, 0, 0, 0}, {1, 1, 1}, 0},
};

static void check_pool(const char *op_type, const pool_case *c, int64_t count_pad, bool twice) {
  gradient_check check;
  int64_t dims[5] = {2, 3};
  for (int d = 0; d < c->axes; d++) dims[2 + d] = c->size[d];
  gradient_check_begin(&check, 19);
  gradient_check_variable(&check, "x", 2 + c->axes, dims, -1, 1);
  node *node = builder_node(check.builder, op_type, "x", "y");
  builder_ints(node, "kernel_shape", (size_t)c->axes, c->kernel);
  builder_ints(node, "strides", (size_t)c->axes, c->stride);
  builder_ints(node, "pads", 2 * (size_t)c->axes, c->pads);
  builder_ints(node, "dilations", (size_t)c->axes, c->dilation);
  builder_int(node, "ceil_mode", c->ceil_mode);
  if (count_pad >= 0) builder_int(node, "count_include_pad", count_pad);
  (twice ? gradient_check_finish_twice : gradient_check_finish)(&check, "y");
}

static void max_pool_agrees(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) check_pool("MaxPool", &pools[i], -1, i % 2);
}

static void average_pool_agrees(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) {
    check_pool("AveragePool", &pools[i], 0, i % 2);
    check_pool("AveragePool", &pools[i], 1, i % 3 == 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(max_pool_agrees),
      cmocka_unit_test(average_pool_agrees),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
