/* Stretches of half precision in channel blocks, on every kernel table, against the operators as they are exported. */
#include "tests/engine/passes/pass_check.h"

#include "ops/kernels/kernel_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})

static const norma_element_type half_types[] = {NORMA_FLOAT16, NORMA_BFLOAT16};

/* Rounding at each node, or once for several, moves results by some units in the last place. */
static double bound_of(norma_element_type type) {
  return type == NORMA_FLOAT16 ? 0x1p-9 : 0x1p-6;
}

static void add_conv(model_builder *b, norma_element_type type, const char *x, const char *y, int64_t inputs,
                     int64_t outputs, int64_t kernel, int64_t stride, int64_t group) {
  char weights[32], bias[32], names[96];
  snprintf(weights, sizeof weights, "w_%s", y);
  snprintf(bias, sizeof bias, "b_%s", y);
  const double limit = 1.0 / (double)(inputs / group * kernel);
  add_random(b, weights, type, 4, DIMS(outputs, inputs / group, kernel, kernel), -limit, limit);
  add_random(b, bias, type, 1, DIMS(outputs), -0.2, 0.2);
  snprintf(names, sizeof names, "%s %s %s", x, weights, bias);
  node *conv = builder_node(b, "Conv", names, y);
  builder_ints(conv, "strides", 2, DIMS(stride, stride));
  builder_ints(conv, "pads", 4, DIMS(kernel / 2, kernel / 2, kernel / 2, kernel / 2));
  builder_int(conv, "group", group);
}

/* Makes the model for each type and table; all its convolutions must have left the plain layout. */
static void check_in_blocks(model_builder *(*make)(norma_element_type type), int reorders) {
  const struct kernel_table *kernels;
  for (size_t i = 0; (kernels = kernel_table_at(i)); i++) {
    setenv("NORMA_KERNELS", kernels->name, 1);
    for (int t = 0; t < 2; t++) {
      model_builder *b = make(half_types[t]);
      builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
      checked c =
          check_passes(b, "fuse_activation fuse_residual block_layout fuse_elementwise", bound_of(half_types[t]));
      assert_true(count_nodes(&c, "UnblockChannels") <= reorders);
      free_checked(&c);
    }
  }
  unsetenv("NORMA_KERNELS");
}

static model_builder *make_pooled(norma_element_type type) {
  model_builder *b = builder_create(22);
  builder_input(b, "x", type, 4, DIMS(2, 3, 37, 41));
  add_conv(b, type, "x", "c1", 3, 40, 3, 1, 1);
  builder_node(b, "Relu", "c1", "r1");
  node *max = builder_node(b, "MaxPool", "r1", "p1");
  builder_ints(max, "kernel_shape", 2, DIMS(3, 3));
  builder_ints(max, "strides", 2, DIMS(2, 2));
  builder_int(max, "ceil_mode", 1);
  add_conv(b, type, "p1", "c2", 40, 40, 5, 1, 40);
  node *average = builder_node(b, "AveragePool", "c2", "p2");
  builder_ints(average, "kernel_shape", 2, DIMS(2, 3));
  builder_ints(average, "pads", 4, DIMS(1, 1, 0, 1));
  builder_int(average, "count_include_pad", 1);
  add_conv(b, type, "p2", "c3", 40, 64, 1, 1, 1);
  builder_node(b, "GlobalAveragePool", "c3", "y");
  return b;
}

static void windows_in_blocks(void **state) {
  (void)state;
  check_in_blocks(make_pooled, 1);
}

/* Large planes of one sample, which are cut in slices. */
static model_builder *make_large(norma_element_type type) {
  model_builder *b = builder_create(22);
  builder_input(b, "x", type, 4, DIMS(1, 8, 190, 67));
  add_conv(b, type, "x", "c1", 8, 16, 1, 1, 1);
  add_conv(b, type, "c1", "c2", 16, 16, 3, 2, 16);
  node *max = builder_node(b, "MaxPool", "c2", "p");
  builder_ints(max, "kernel_shape", 2, DIMS(3, 3));
  builder_ints(max, "strides", 2, DIMS(1, 1));
  builder_node(b, "Sigmoid", "p", "y");
  return b;
}

static void slices_in_blocks(void **state) {
  (void)state;
  check_in_blocks(make_large, 1);
}

/* A residual, parts that end within blocks, and a normalization that no convolution takes. */
static model_builder *make_joined(norma_element_type type) {
  model_builder *b = builder_create(22);
  builder_input(b, "x", type, 4, DIMS(3, 32, 9, 11));
  add_conv(b, type, "x", "c1", 32, 35, 3, 1, 1);
  add_conv(b, type, "x", "c2", 32, 13, 1, 1, 1);
  builder_int(builder_node(b, "Concat", "c1 c2", "c"), "axis", 1);
  for (int i = 0; i < 4; i++) {
    add_random(b, (const char *[]){"scale", "bias", "mean", "variance"}[i], type, 1, DIMS(48), 0.5, 1.5);
  }
  builder_node(b, "BatchNormalization", "c scale bias mean variance", "n");
  add_conv(b, type, "n", "c3", 48, 48, 3, 1, 1);
  builder_node(b, "Add", "c3 n", "s");
  builder_node(b, "HardSwish", "s", "y");
  return b;
}

static void residuals_and_joins_in_blocks(void **state) {
  (void)state;
  check_in_blocks(make_joined, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(windows_in_blocks),
      cmocka_unit_test(slices_in_blocks),
      cmocka_unit_test(residuals_and_joins_in_blocks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
