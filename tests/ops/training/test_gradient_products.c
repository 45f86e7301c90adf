/* Derivatives of Gemm, MatMul, Conv and ConvTranspose against differences. */
#include "tests/support/gradient_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void gemm_agrees(void **state) {
  (void)state;
  for (int form = 0; form < 8; form++) {
    gradient_check check;
    const bool turns_a = form & 1, turns_b = form & 2, has_c = form & 4;
    gradient_check_begin(&check, 13);
    gradient_check_variable(&check, "a", 2, turns_a ? (int64_t[]){4, 3} : (int64_t[]){3, 4}, -1, 1);
    gradient_check_variable(&check, "b", 2, turns_b ? (int64_t[]){5, 4} : (int64_t[]){4, 5}, -1, 1);
    if (has_c) gradient_check_variable(&check, "c", 1, (int64_t[]){5}, -1, 1);
    node *gemm = builder_node(check.builder, "Gemm", has_c ? "a b c" : "a b", "y");
    builder_int(gemm, "transA", turns_a);
    builder_int(gemm, "transB", turns_b);
    builder_float(gemm, "alpha", 0.5f);
    builder_float(gemm, "beta", 2);
    (form % 3 ? gradient_check_finish : gradient_check_finish_twice)(&check, "y");
  }
}

static void matmul_agrees(void **state) {
  static const struct {
    int a_rank, b_rank;
    int64_t a[4], b[4];
  } shapes[] = {
      {2, 2, {3, 4}, {4, 2}}, {1, 1, {4}, {4}},          {1, 2, {4}, {4, 3}},
      {2, 1, {3, 4}, {4}},    {3, 2, {2, 3, 4}, {4, 2}}, {2, 3, {3, 4}, {2, 4, 2}},
      {1, 3, {4}, {2, 4, 3}}, {3, 1, {2, 3, 4}, {4}},    {4, 3, {2, 1, 3, 4}, {5, 4, 2}},
  };
  (void)state;
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    gradient_check check;
    gradient_check_begin(&check, 13);
    gradient_check_variable(&check, "a", shapes[i].a_rank, shapes[i].a, -1, 1);
    gradient_check_variable(&check, "b", shapes[i].b_rank, shapes[i].b, -1, 1);
    builder_node(check.builder, "MatMul", "a b", "y");
    (i % 2 ? gradient_check_finish : gradient_check_finish_twice)(&check, "y");
  }
}

typedef struct conv_case {
  int64_t batch, channels, filters, group;
  int axes;
  int64_t size[3], kernel[3], stride[3], dilation[3], pads[6];
  const char *auto_pad;
} conv_case;

static const conv_case convs[] = {
    {2, 2, 3, 1, 2, {5, 6}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL},
    {2, 2, 3, 1, 2, {6, 7}, {3, 2}, {2, 3}, {1, 1}, {0, 1, 1, 0}, NULL}, /* the last rows are not read */
    {1, 4, 6, 2, 2, {5, 5}, {2, 3}, {1, 2}, {2, 1}, {1, 0, 0, 2}, NULL},
    {2, 3, 3, 3, 2, {4, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL}, /* each channel alone */
    {2, 2, 2, 1, 1, {9}, {3}, {4}, {1}, {0, 0}, NULL},
    {1, 2, 2, 1, 1, {6}, {3}, {3}, {1}, {2, 4}, NULL}, /* a window in the padding */
    {1, 2, 2, 1, 3, {3, 4, 3}, {2, 2, 2}, {1, 2, 1}, {1, 1, 1}, {0, 1, 0, 0, 0, 1}, NULL},
    {1, 1, 2, 1, 2, {5, 6}, {3, 2}, {2, 2}, {1, 1}, {0}, "SAME_UPPER"},
    {1, 1, 2, 1, 2, {5, 6}, {3, 2}, {2, 2}, {1, 1}, {0}, "VALID"},
};

static void conv_agrees(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof convs / sizeof *convs; i++) {
    const conv_case *c = &convs[i];
    gradient_check check;
    int64_t x[5] = {c->batch, c->channels}, w[5] = {c->filters, c->channels / c->group};
    print_message("case %zu\n", i);
    for (int d = 0; d < c->axes; d++) {
      x[2 + d] = c->size[d];
      w[2 + d] = c->kernel[d];
    }
    gradient_check_begin(&check, 13);
    gradient_check_variable(&check, "x", 2 + c->axes, x, -1, 1);
    gradient_check_variable(&check, "w", 2 + c->axes, w, -1, 1);
    gradient_check_variable(&check, "b", 1, &c->filters, -1, 1);
    node *conv = builder_node(check.builder, "Conv", "x w b", "y");
    builder_int(conv, "group", c->group);
    builder_ints(conv, "strides", (size_t)c->axes, c->stride);
    builder_ints(conv, "dilations", (size_t)c->axes, c->dilation);
    if (c->auto_pad) {
      builder_string(conv, "auto_pad", c->auto_pad);
    } else {
      builder_ints(conv, "pads", 2 * (size_t)c->axes, c->pads);
    }
    gradient_check_finish(&check, "y");
  }
}

typedef struct transpose_case {
  int64_t batch, channels, filters, group; /* filters: of each group */
  int axes;
  int64_t size[3], kernel[3], stride[3], dilation[3], pads[6], beyond[3];
} transpose_case;

static const transpose_case transposes[] = {
    {2, 2, 3, 1, 2, {3, 4}, {3, 3}, {1, 1}, {1, 1}, {0, 0, 0, 0}, {0, 0}},
    {2, 2, 3, 1, 2, {3, 4}, {3, 2}, {2, 3}, {1, 1}, {1, 0, 1, 1}, {1, 2}},
    {1, 4, 3, 2, 2, {3, 3}, {2, 3}, {1, 2}, {2, 1}, {1, 0, 0, 2}, {0, 1}},
    {2, 3, 1, 3, 2, {3, 4}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, {1, 1}}, /* each channel alone */
    {2, 2, 2, 1, 1, {4}, {3}, {4}, {1}, {0, 0}, {3}},
    {1, 2, 2, 1, 3, {2, 3, 2}, {2, 2, 2}, {1, 2, 1}, {1, 1, 1}, {0, 1, 0, 0, 0, 1}, {0}},
};

static void conv_transpose_agrees(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof transposes / sizeof *transposes; i++) {
    const transpose_case *c = &transposes[i];
    const int64_t outputs = c->filters * c->group;
    gradient_check check;
    int64_t x[5] = {c->batch, c->channels}, w[5] = {c->channels, c->filters};
    print_message("case %zu\n", i);
    for (int d = 0; d < c->axes; d++) {
      x[2 + d] = c->size[d];
      w[2 + d] = c->kernel[d];
    }
    gradient_check_begin(&check, 13);
    gradient_check_variable(&check, "x", 2 + c->axes, x, -1, 1);
    gradient_check_variable(&check, "w", 2 + c->axes, w, -1, 1);
    gradient_check_variable(&check, "b", 1, &outputs, -1, 1);
    node *conv = builder_node(check.builder, "ConvTranspose", "x w b", "y");
    builder_int(conv, "group", c->group);
    builder_ints(conv, "strides", (size_t)c->axes, c->stride);
    builder_ints(conv, "dilations", (size_t)c->axes, c->dilation);
    builder_ints(conv, "pads", 2 * (size_t)c->axes, c->pads);
    builder_ints(conv, "output_padding", (size_t)c->axes, c->beyond);
    (i % 3 ? gradient_check_finish : gradient_check_finish_twice)(&check, "y");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gemm_agrees),
      cmocka_unit_test(matmul_agrees),
      cmocka_unit_test(conv_agrees),
      cmocka_unit_test(conv_transpose_agrees),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
