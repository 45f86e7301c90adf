/* Derivatives of operators that move elements against differences. */
#include "tests/support/gradient_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define LIST(b, name, ...)                                                                                             \
  builder_ints64(b, name, 1, (int64_t[]){sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)}, (int64_t[]){__VA_ARGS__})

/* x [2, 3, 4] -> y by one node, whose other inputs are lists "a" to "d". */
static gradient_check begin_moved(int64_t opset) {
  gradient_check check;
  gradient_check_begin(&check, opset);
  gradient_check_variable(&check, "x", 3, (int64_t[]){2, 3, 4}, -1, 1);
  return check;
}

static void shapes_go_back(void **state) {
  (void)state;
  gradient_check check = begin_moved(13);
  LIST(check.builder, "a", 4, -1);
  builder_node(check.builder, "Reshape", "x a", "y");
  gradient_check_finish(&check, "y");
  check = begin_moved(13);
  builder_node(check.builder, "Flatten", "x", "y");
  gradient_check_finish_twice(&check, "y");
  check = begin_moved(13);
  LIST(check.builder, "a", 0, -1);
  builder_node(check.builder, "Unsqueeze", "x a", "wide");
  builder_node(check.builder, "Squeeze", "wide a", "y");
  gradient_check_finish(&check, "y");
  check = begin_moved(13);
  LIST(check.builder, "a", 5, 1, 3, 4);
  LIST(check.builder, "one", 1);
  builder_node(check.builder, "Unsqueeze", "x one", "wide");
  LIST(check.builder, "many", 2, 5, 3, 4);
  builder_node(check.builder, "Expand", "wide many", "y");
  gradient_check_finish_twice(&check, "y");
}

static void transpose_agrees(void **state) {
  (void)state;
  gradient_check check = begin_moved(13);
  builder_ints(builder_node(check.builder, "Transpose", "x", "y"), "perm", 3, (int64_t[]){1, 2, 0});
  gradient_check_finish_twice(&check, "y");
  check = begin_moved(13);
  builder_node(check.builder, "Transpose", "x", "y");
  gradient_check_finish(&check, "y");
}

static void concat_and_split_agree(void **state) {
  (void)state;
  for (int64_t axis = -3; axis < 3; axis++) {
    gradient_check check = begin_moved(13);
    gradient_check_variable(&check, "z", 3, (int64_t[]){2, 3, 4}, -1, 1);
    builder_int(builder_node(check.builder, "Concat", "x z x", "y"), "axis", axis);
    gradient_check_finish(&check, "y");
  }
  gradient_check check = begin_moved(13); /* the middle one is not used */
  LIST(check.builder, "a", 1, 2, 1);
  builder_int(builder_node(check.builder, "Split", "x a", "p q r"), "axis", -1);
  builder_node(check.builder, "Mul", "p r", "y");
  gradient_check_finish_twice(&check, "y");
}

static void slice_agrees(void **state) {
  (void)state;
  gradient_check check = begin_moved(13);
  LIST(check.builder, "a", 0, 3);
  LIST(check.builder, "b", 2, -5);
  LIST(check.builder, "c", 1, 2);
  LIST(check.builder, "d", 1, -2);
  builder_node(check.builder, "Slice", "x a b c d", "y");
  gradient_check_finish_twice(&check, "y");
}

static void gather_agrees(void **state) {
  (void)state;
  gradient_check check = begin_moved(13);
  LIST(check.builder, "a", 2, 0, 2, -1);
  builder_int(builder_node(check.builder, "Gather", "x a", "y"), "axis", 1);
  gradient_check_finish_twice(&check, "y");
  check = begin_moved(13);
  builder_ints64(check.builder, "a", 3, (int64_t[]){1, 3, 2}, (int64_t[]){0, 3, 1, 1, -1, 2});
  builder_int(builder_node(check.builder, "GatherElements", "x a", "y"), "axis", 2);
  gradient_check_finish(&check, "y");
  check = begin_moved(13);
  builder_ints64(check.builder, "a", 2, (int64_t[]){3, 2}, (int64_t[]){0, 2, 1, 1, 0, 2});
  builder_node(check.builder, "GatherND", "x a", "y");
  gradient_check_finish(&check, "y");
}

static void tile_agrees(void **state) {
  (void)state;
  gradient_check check = begin_moved(13);
  LIST(check.builder, "a", 2, 1, 3);
  builder_node(check.builder, "Tile", "x a", "y");
  gradient_check_finish_twice(&check, "y");
}

static void pad_agrees(void **state) {
  static const char *const modes[] = {"constant", "edge", "reflect", "wrap"};
  (void)state;
  for (int form = 0; form < 5; form++) {
    const double number = 0.3;
    gradient_check check = begin_moved(19);
    LIST(check.builder, "a", 0, 1, 2, 1, 0, 1); /* no more than reflect has */
    builder_initializer(check.builder, "number", NORMA_DOUBLE, 0, NULL, &number);
    node *pad = builder_node(check.builder, "Pad", form == 4 ? "x a number" : "x a", "y");
    builder_string(pad, "mode", modes[form % 4]);
    (form % 3 ? gradient_check_finish : gradient_check_finish_twice)(&check, "y");
  }
  gradient_check check = begin_moved(13); /* what is taken away */
  LIST(check.builder, "a", 0, -1, 2, 1, 0, -1);
  builder_node(check.builder, "Pad", "x a", "y");
  gradient_check_finish(&check, "y");
}

static void depth_and_space_agree(void **state) {
  (void)state;
  for (int form = 0; form < 3; form++) {
    gradient_check check;
    gradient_check_begin(&check, 13);
    gradient_check_variable(&check, "x", 4, form ? (int64_t[]){2, 8, 2, 3} : (int64_t[]){2, 3, 4, 6}, -1, 1);
    node *node = builder_node(check.builder, form ? "DepthToSpace" : "SpaceToDepth", "x", "y");
    builder_int(node, "blocksize", 2);
    if (form) builder_string(node, "mode", form == 1 ? "DCR" : "CRD");
    gradient_check_finish_twice(&check, "y");
  }
}

static void chosen_and_reversed_agree(void **state) {
  static const bool condition[] = {false, true, true};
  static const int64_t three = 3;
  (void)state;
  gradient_check check = begin_moved(13);
  builder_initializer(check.builder, "a", NORMA_BOOL, 1, &three, condition);
  builder_int(builder_node(check.builder, "Compress", "x a", "y"), "axis", 1);
  gradient_check_finish(&check, "y");
  check = begin_moved(13);
  LIST(check.builder, "a", 1, 2, 2);
  node *node = builder_node(check.builder, "ReverseSequence", "x a", "y");
  builder_int(node, "time_axis", 0);
  builder_int(node, "batch_axis", 1);
  gradient_check_finish(&check, "y");
}

static void linear_ones_agree(void **state) {
  static const int64_t axis = -2, diagonal = 1;
  (void)state;
  for (int form = 0; form < 4; form++) {
    gradient_check check = begin_moved(14);
    builder_ints64(check.builder, "a", 0, NULL, &axis);
    node *node = builder_node(check.builder, "CumSum", "x a", "y");
    builder_int(node, "exclusive", form & 1);
    builder_int(node, "reverse", form >> 1);
    gradient_check_finish_twice(&check, "y");
    check = begin_moved(14);
    builder_ints64(check.builder, "k", 0, NULL, &diagonal);
    node = builder_node(check.builder, "Trilu", form & 1 ? "x k" : "x", "y");
    builder_int(node, "upper", form >> 1);
    gradient_check_finish_twice(&check, "y");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes_go_back),
      cmocka_unit_test(transpose_agrees),
      cmocka_unit_test(concat_and_split_agree),
      cmocka_unit_test(slice_agrees),
      cmocka_unit_test(gather_agrees),
      cmocka_unit_test(tile_agrees),
      cmocka_unit_test(pad_agrees),
      cmocka_unit_test(depth_and_space_agree),
      cmocka_unit_test(chosen_and_reversed_agree),
      cmocka_unit_test(linear_ones_agree),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
