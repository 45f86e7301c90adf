/* The list of passes: complete, without doubles, and in the order that the passes rely on. */
#include "engine/passes/pass.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

extern const pass *const pass_table[];
extern const size_t pass_table_count;

/* How many passes come before this one. */
static size_t position_of(const char *name) {
  const pass *pass;
  for (size_t i = 0; (pass = pass_at(i)); i++) {
    if (strcmp(pass->name, name) == 0) return i;
  }
  fail_msg("%s is in no group", name);
  return 0;
}

static const char *group_of(const char *name) {
  for (const pass_group *group = pass_groups; group->name; group++) {
    for (const char *const *pass = group->passes; *pass; pass++) {
      if (strcmp(*pass, name) == 0) return group->name;
    }
  }
  return "";
}

/* Each file that exports a pass is listed once, and each name that is listed has a file. */
static void every_pass_runs_in_one_group(void **state) {
  (void)state;
  size_t listed = 0;
  for (const pass_group *group = pass_groups; group->name; group++) {
    for (const char *const *name = group->passes; *name; name++, listed++) {
      if (!pass_find(*name)) fail_msg("%s is listed, but there is no such pass", *name);
    }
  }
  assert_int_equal(listed, pass_table_count);
  for (size_t i = 0; i < pass_table_count; i++) {
    assert_string_not_equal(group_of(pass_table[i]->name), "");
    for (size_t k = 0; k < i; k++) assert_string_not_equal(pass_table[i]->name, pass_table[k]->name);
  }
}

static void passes_are_visited_in_order(void **state) {
  (void)state;
  size_t index = 0;
  for (const pass_group *group = pass_groups; group->name; group++) {
    for (const char *const *name = group->passes; *name; name++) {
      assert_string_equal(pass_at(index++)->name, *name);
    }
  }
  assert_null(pass_at(index));
  assert_null(pass_at(index + 1000));
  assert_null(pass_find("no_such_pass"));
  assert_null(pass_find(""));
}

static void every_pass_has_a_level(void **state) {
  const pass *pass;
  (void)state;
  for (size_t i = 0; (pass = pass_at(i)); i++) {
    assert_true(pass->level == 1 || pass->level == 2);
    assert_non_null(pass->apply);
    if (pass->changes_rounding) assert_int_equal(pass->level, 2); /* level 1 is exact */
  }
}

/* What one pass leaves for another. */
static void the_order_that_passes_rely_on(void **state) {
  static const char *const pairs[][2] = {
      {"recognize_activation", "fuse_activation"},               /* which takes the recognised functions */
      {"recognize_activation", "fuse_elementwise"},              /* before their operators are joined with others */
      {"recognize_attention", "fold_scale"},                     /* whose factors the operator takes */
      {"recognize_layer_normalization", "collapse_scale_shift"}, /* which would join its scale and bias with others */
      {"fold_bias", "fuse_bias"},                                /* which is for layers without a bias of their own */
      {"fold_batch_normalization_into_conv", "fuse_activation"}, /* after which a layer is linear no more */
      {"fold_scale", "fuse_residual"},
      {"fuse_residual", "block_layout"}, /* what was fused moves to blocks with its layer */
      {"fuse_activation", "block_layout"},
      {"recognize_channel_shuffle", "block_layout"},
      {"block_layout", "fold_channel_shuffle"}, /* which is for shuffles of blocks */
      {"block_layout", "fuse_elementwise"},     /* whose chains have no form in blocks */
  };
  (void)state;
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    if (position_of(pairs[i][0]) >= position_of(pairs[i][1])) fail_msg("%s comes too late", pairs[i][0]);
  }
  assert_string_equal(group_of("constant_folding"), "clean");
  assert_string_not_equal(group_of("fuse_activation"), group_of("fold_bias"));
  assert_string_not_equal(group_of("block_layout"), group_of("fuse_residual"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_pass_runs_in_one_group),
      cmocka_unit_test(passes_are_visited_in_order),
      cmocka_unit_test(every_pass_has_a_level),
      cmocka_unit_test(the_order_that_passes_rely_on),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
