/* Reshape, Transpose, Reshape become norma.ChannelShuffle where they are one, and nowhere else. */
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef struct shuffle_case {
  int64_t x[4];
  norma_element_type type;
  int rank; /* of the split tensor */
  int64_t split[6], perm[6], joined[4];
  bool is_read_twice; /* what is between */
  int shuffles;       /* expected */
} shuffle_case;

static const shuffle_case cases[] = {
    /* the usual form, with any batch, with one number for all pixels, with pixels in three dimensions */
    {{2, 12, 3, 5}, NORMA_FLOAT, 5, {2, 3, 4, 3, 5}, {0, 2, 1, 3, 4}, {2, 12, 3, 5}, false, 1},
    {{-1, 12, 3, 5}, NORMA_FLOAT, 5, {-1, 4, 3, 3, 5}, {0, 2, 1, 3, 4}, {-1, 12, 3, 5}, false, 1},
    {{-1, 12, 3, 5}, NORMA_FLOAT, 5, {0, 4, 3, 3, 5}, {0, 2, 1, 3, 4}, {0, 12, 3, 5}, false, 1},
    {{2, 12, 3, 5}, NORMA_FLOAT, 4, {2, 2, 6, 15}, {0, 2, 1, 3}, {2, 12, 3, 5}, false, 1},
    {{2, 12, 4, 5}, NORMA_FLOAT, 6, {2, 2, 6, 2, 2, 5}, {0, 2, 1, 3, 4, 5}, {2, 12, 4, 5}, false, 1},
    /* another permutation, another cut, another shape at the end, another type, another reader */
    {{2, 12, 3, 3}, NORMA_FLOAT, 5, {2, 3, 4, 3, 3}, {0, 2, 1, 4, 3}, {2, 12, 3, 3}, false, 0},
    {{2, 12, 3, 3}, NORMA_FLOAT, 5, {2, 3, 4, 3, 3}, {0, 1, 2, 4, 3}, {2, 12, 3, 3}, false, 0},
    {{2, 12, 3, 5}, NORMA_FLOAT, 5, {2, 6, 6, 1, 5}, {0, 2, 1, 3, 4}, {2, 12, 3, 5}, false, 0},
    {{2, 12, 3, 5}, NORMA_FLOAT, 5, {1, 6, 4, 3, 5}, {0, 2, 1, 3, 4}, {2, 12, 3, 5}, false, 0},
    {{2, 12, 3, 5}, NORMA_FLOAT, 5, {2, 3, 4, 3, 5}, {0, 2, 1, 3, 4}, {2, 12, 5, 3}, false, 0},
    {{2, 12, 3, 5}, NORMA_FLOAT, 5, {2, 3, 4, 3, 5}, {0, 2, 1, 3, 4}, {2, 4, 9, 5}, false, 0},
    {{2, 12, 3, 5}, NORMA_INT32, 5, {2, 3, 4, 3, 5}, {0, 2, 1, 3, 4}, {2, 12, 3, 5}, false, 0},
    {{2, 12, 3, 5}, NORMA_FLOAT, 5, {2, 3, 4, 3, 5}, {0, 2, 1, 3, 4}, {2, 12, 3, 5}, true, 0},
};

static void shuffles_are_recognized(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const shuffle_case *c = &cases[i];
    model_builder *b = builder_create(13);
    builder_input(b, "x", c->type, 4, c->x);
    builder_ints64(b, "split", 1, (int64_t[]){c->rank}, c->split);
    builder_ints64(b, "joined", 1, (int64_t[]){4}, c->joined);
    builder_node(b, "Reshape", "x split", "s");
    builder_ints(builder_node(b, "Transpose", "s", "t"), "perm", (size_t)c->rank, c->perm);
    builder_node(b, "Reshape", "t joined", "y");
    builder_output(b, "y", c->type, -1, NULL);
    if (c->is_read_twice) builder_output(b, "t", c->type, -1, NULL);
    checked checked = check_passes(b, "recognize_channel_shuffle", 0);
    if (count_nodes(&checked, "ChannelShuffle") != c->shuffles) fail_msg("case %d", (int)i);
    assert_int_equal(count_nodes(&checked, NULL), c->shuffles ? 1 : 3);
    free_checked(&checked);
  }
}

/* What the new node knows, and what is left of the three. */
static void the_new_node_knows_groups_and_channels(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){2, 12, 3, 5});
  builder_ints64(b, "split", 1, (int64_t[]){5}, (int64_t[]){2, 3, 4, 3, 5});
  builder_ints64(b, "joined", 1, (int64_t[]){4}, (int64_t[]){2, 12, 3, 5});
  builder_node(b, "Reshape", "x split", "s");
  builder_ints(builder_node(b, "Transpose", "s", "t"), "perm", 5, (int64_t[]){0, 2, 1, 3, 4});
  builder_node(b, "Reshape", "t joined", "y");
  checked c = check_nodes(b, "recognize_channel_shuffle", 0, 1);
  const node *shuffle = only_node(&c, "ChannelShuffle");
  assert_string_equal(shuffle->domain, "norma");
  assert_int_equal(attribute_int(shuffle, "group", 0), 3);
  assert_int_equal(attribute_int(shuffle, "channels", 0), 12);
  assert_string_equal(shuffle->name, "#0 (Reshape) + #1 (Transpose) + #2 (Reshape)");
  assert_null(graph_find_value(c.model->graph, "split")->constant);
  assert_null(graph_find_value(c.model->graph, "joined")->constant);
  free_checked(&c);
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){2, 12, 3, 5});
  builder_ints64(b, "split", 1, (int64_t[]){5}, (int64_t[]){2, 3, 4, 3, 5});
  builder_ints64(b, "joined", 1, (int64_t[]){4}, (int64_t[]){2, 12, 3, 5});
  builder_node(b, "Reshape", "x split", "s");
  builder_ints(builder_node(b, "Transpose", "s", "t"), "perm", 5, (int64_t[]){0, 2, 1, 3, 4});
  builder_node(b, "Reshape", "t joined", "y");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, "recognize_channel_shuffle");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shuffles_are_recognized),
      cmocka_unit_test(the_new_node_knows_groups_and_channels),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
