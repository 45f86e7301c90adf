/* Derivatives of reductions and global pools against differences: axes as attribute and input, kept and removed. */
#include "tests/support/gradient_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char *const names[] = {"ReduceSum",    "ReduceMean",      "ReduceSumSquare", "ReduceL1",  "ReduceL2",
                                    "ReduceLogSum", "ReduceLogSumExp", "ReduceMax",       "ReduceMin", "ReduceProd"};

/* form: 0 all axes, 1 the last two, 2 the middle one counted from the end, 3 an empty list; + 4: removed */
static void check_reduction(const char *op_type, int64_t opset, int form, bool twice) {
  gradient_check check;
  static const int64_t axes[][2] = {{0, 0}, {1, 2}, {-2, 0}, {0, 0}};
  const int64_t count = (int64_t[]){0, 2, 1, 0}[form % 4];
  print_message("%s %d\n", op_type, form);
  gradient_check_begin(&check, opset);
  gradient_check_variable(&check, "x", 3, (int64_t[]){2, 3, 4}, 0.5, 2);
  builder_ints64(check.builder, "axes", 1, &count, axes[form % 4]);
  const bool as_input = opset >= 18 && form % 4 != 0;
  node *node = builder_node(check.builder, op_type, as_input ? "x axes" : "x", "y");
  if (!as_input && count > 0) builder_ints(node, "axes", (size_t)count, axes[form % 4]);
  builder_int(node, "keepdims", form < 4);
  (twice ? gradient_check_finish_twice : gradient_check_finish)(&check, "y");
}

static void reductions_agree(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    for (int form = 0; form < 8; form++) {
      check_reduction(names[i], 18, form, form % 3 == 2);
      if (form % 4 != 3) check_reduction(names[i], 12, form, false);
    }
  }
}

/* The product of the other elements, of which one is 0, or two. */
static void a_product_with_zeros(void **state) {
  gradient_check check;
  (void)state;
  gradient_check_begin(&check, 18);
  gradient_check_variable(&check, "x", 2, (int64_t[]){2, 3}, 0.5, 2);
  check.data[0][1] = 0;
  check.data[0][3] = check.data[0][5] = 0;
  static const int64_t one = 1, axis = 1;
  builder_ints64(check.builder, "axes", 1, &one, &axis);
  builder_node(check.builder, "ReduceProd", "x axes", "y");
  gradient_check_finish(&check, "y");
}

static void global_pools_agree(void **state) {
  static const char *const pools[] = {"GlobalAveragePool", "GlobalMaxPool"};
  (void)state;
  for (int i = 0; i < 2; i++) {
    gradient_check check;
    gradient_check_begin(&check, 13);
    gradient_check_variable(&check, "x", 4, (int64_t[]){2, 3, 3, 2}, -1, 1);
    builder_node(check.builder, pools[i], "x", "y");
    gradient_check_finish_twice(&check, "y");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reductions_agree),
      cmocka_unit_test(a_product_with_zeros),
      cmocka_unit_test(global_pools_agree),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
