/* Runs of graphs below nodes: what repeated runs allocate, and that results live on while the graph runs again. */
#include "tests/support/opened_model.h"
#include "tests/support/counting_allocator.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* A loop over a body of some nodes, an If among them; what is carried has `count` elements. */
static model_builder *make_loop(const char *inputs, const char *outputs) {
  model_builder *builder = builder_create(13);
  builder_input(builder, "trips", NORMA_INT64, 0, NULL);
  builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){-1});
  builder_node(builder, "Abs", "x", "captured");
  builder_node(builder, "SequenceEmpty", "", "empty");
  builder_floats(builder, "one", 0, NULL, (float[]){1});
  node *loop = builder_node(builder, "Loop", inputs, outputs);
  model_builder *body = builder_subgraph(builder, loop, "body");
  builder_input(body, "i", NORMA_INT64, 0, NULL);
  builder_input(body, "go", NORMA_BOOL, 0, NULL);
  builder_input(body, "v", NORMA_FLOAT, -1, NULL);
  builder_int(builder_node(body, "ReduceSum", "v", "sum"), "keepdims", 0);
  builder_node(body, "Less", "sum one", "negative");
  node *choice = builder_node(body, "If", "negative", "step");
  model_builder *yes = builder_subgraph(body, choice, "then_branch");
  builder_node(yes, "Add", "captured one", "up");
  builder_output(yes, "up", NORMA_UNDEFINED, -1, NULL);
  model_builder *no = builder_subgraph(body, choice, "else_branch");
  builder_node(no, "Sub", "one captured", "down");
  builder_output(no, "down", NORMA_UNDEFINED, -1, NULL);
  builder_node(body, "Add", "v step", "next");
  builder_output(body, "go", NORMA_UNDEFINED, -1, NULL);
  builder_output(body, "next", NORMA_UNDEFINED, -1, NULL);
  return builder;
}

/* Once plans and frames are there, iterations cost no call of the allocator, for small results and for large ones. */
static void iterations_allocate_nothing(void **state) {
  (void)state;
  static const float x[5000] = {1, 2, 3, 4};
  for (int round = 0; round < 6; round++) {
    const int level = round / 2;
    const int64_t size = round % 2 ? 5000 : 4;
    model_builder *builder = make_loop("trips - x", "y");
    builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
    counting_allocator counting = {0};
    norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
    options.allocator = counting_allocator_functions(&counting);
    norma_runtime *runtime;
    assert_int_equal(norma_runtime_create(&options, &runtime, NULL), NORMA_OK);
    opened_model opened;
    if (opened_try_load(&opened, builder, tested_levels[level], runtime) != NORMA_OK)
      fail_msg("%s", opened.error.message);
    opened_set(&opened, "x", NORMA_FLOAT, 1, &size, x);
    long counts[3];
    for (int i = 0; i < 3; i++) {
      const int64_t trips = i < 2 ? 20 : 2000;
      const long before = atomic_load(&counting.allocations);
      opened_set(&opened, "trips", NORMA_INT64, 0, NULL, &trips);
      opened_run(&opened);
      counts[i] = atomic_load(&counting.allocations) - before;
    }
    assert_true(counts[1] <= counts[0]);
    assert_int_equal(counts[2], counts[1]);
    opened_free(&opened);
    norma_runtime_destroy(runtime);
    assert_int_equal(atomic_load(&counting.outstanding), 0);
    builder_destroy(builder);
  }
}

/* A shape that is computed outside, from the shapes of the inputs, is known where the body is planned: its Reshape is a
 * step like others, and allocates nothing; other inputs get a plan of their own. */
static void captured_shapes_are_known(void **state) {
  (void)state;
  static const float x[24] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(13);
    builder_input(builder, "trips", NORMA_INT64, 0, NULL);
    builder_input(builder, "x", NORMA_FLOAT, 2, (int64_t[]){-1, -1});
    builder_node(builder, "Shape", "x", "dims");
    builder_ints64(builder, "swap", 1, (int64_t[]){2}, (int64_t[]){1, 0});
    builder_node(builder, "Gather", "dims swap", "swapped");
    node *loop = builder_node(builder, "Loop", "trips - x", "y");
    model_builder *body = builder_subgraph(builder, loop, "body");
    builder_input(body, "i", NORMA_INT64, 0, NULL);
    builder_input(body, "go", NORMA_BOOL, 0, NULL);
    builder_input(body, "v", NORMA_FLOAT, -1, NULL);
    builder_node(body, "Reshape", "v swapped", "other");
    builder_node(body, "Neg", "other", "minus");
    builder_node(body, "Reshape", "minus dims", "next");
    builder_output(body, "go", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "next", NORMA_UNDEFINED, -1, NULL);
    builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
    counting_allocator counting = {0};
    norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
    options.allocator = counting_allocator_functions(&counting);
    norma_runtime *runtime;
    assert_int_equal(norma_runtime_create(&options, &runtime, NULL), NORMA_OK);
    opened_model opened;
    if (opened_try_load(&opened, builder, tested_levels[level], runtime) != NORMA_OK)
      fail_msg("%s", opened.error.message);
    for (int round = 0; round < 6; round++) {
      const int64_t dims[2] = {2 + round % 3, round % 2 ? 4 : 6};
      long counts[2];
      opened_set(&opened, "x", NORMA_FLOAT, 2, dims, x);
      for (int i = -1; i < 2; i++) {
        const int64_t trips = i == 1 ? 501 : 11;
        const long before = atomic_load(&counting.allocations);
        opened_set(&opened, "trips", NORMA_INT64, 0, NULL, &trips);
        opened_run(&opened);
        if (i >= 0) counts[i] = atomic_load(&counting.allocations) - before;
        double expected[24];
        for (int k = 0; k < 24; k++) expected[k] = -(double)x[k];
        opened_assert_floats(&opened, 0, 2, dims, expected);
      }
      if (level > 0) assert_int_equal(counts[0], counts[1]); /* without optimisation nothing is computed beforehand */
    }
    opened_free(&opened);
    norma_runtime_destroy(runtime);
    builder_destroy(builder);
  }
}

/* Results that are kept (in a sequence) while the graph runs on stay what they were, small ones and large ones. */
static void results_live_on(void **state) {
  (void)state;
  static float x[3000];
  const int64_t sizes[] = {1, 3, 1024, 1025, 3000};
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(13);
    builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){-1});
    builder_ints64(builder, "trips", 0, NULL, (int64_t[]){6});
    builder_floats(builder, "one", 0, NULL, (float[]){1});
    builder_node(builder, "SequenceEmpty", "", "empty");
    node *loop = builder_node(builder, "Loop", "trips - x empty", "last list");
    model_builder *body = builder_subgraph(builder, loop, "body");
    value_info tensor = {.kind = NORMA_VALUE_TENSOR, .type = NORMA_FLOAT, .shape = {.rank = RANK_UNKNOWN}};
    value_info sequence = {.kind = NORMA_VALUE_SEQUENCE, .shape = {.rank = RANK_UNKNOWN}, .item = &tensor};
    builder_input(body, "i", NORMA_INT64, 0, NULL);
    builder_input(body, "go", NORMA_BOOL, 0, NULL);
    builder_input(body, "v", NORMA_FLOAT, -1, NULL);
    builder_input_info(body, "s", &sequence);
    builder_node(body, "SequenceInsert", "s v", "longer");
    builder_node(body, "Add", "v one", "more");
    builder_output(body, "go", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "more", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "longer", NORMA_UNDEFINED, -1, NULL);
    builder_output(builder, "last", NORMA_FLOAT, -1, NULL);
    builder_output_info(builder, "list", &sequence);
    opened_model opened = opened_load(builder, tested_levels[level]);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      opened_set(&opened, "x", NORMA_FLOAT, 1, &sizes[s], x);
      opened_run(&opened);
      const norma_value *list = norma_session_output(opened.session, 1);
      assert_int_equal(norma_value_count(list), 6);
      for (size_t i = 0; i < 7; i++) {
        const norma_tensor *kept = i < 6 ? norma_value_tensor(norma_value_element(list, i)) : opened_output(&opened, 0);
        assert_int_equal(norma_tensor_count(kept), sizes[s]);
        for (int64_t k = 0; k < sizes[s]; k++) assert_float_equal(((const float *)kept->data)[k], i, 0);
      }
    }
    opened_free(&opened);
    builder_destroy(builder);
  }
}

/* Two outputs of the body that are the same value, one that is a view of it, and one of the graph around. */
static void outputs_may_be_the_same_value(void **state) {
  (void)state;
  static float x[6000];
  const int64_t sizes[] = {2, 6000};
  for (int i = 0; i < 6000; i++) x[i] = (float)(i % 100);
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(13);
    builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){-1});
    builder_ints64(builder, "trips", 0, NULL, (int64_t[]){3});
    builder_node(builder, "Abs", "x", "outside");
    node *loop = builder_node(builder, "Loop", "trips - x x x x", "a b c d");
    model_builder *body = builder_subgraph(builder, loop, "body");
    static const char *const names[] = {"p", "q", "r", "s"};
    builder_input(body, "i", NORMA_INT64, 0, NULL);
    builder_input(body, "go", NORMA_BOOL, 0, NULL);
    for (int i = 0; i < 4; i++) builder_input(body, names[i], NORMA_FLOAT, -1, NULL);
    builder_node(body, "Neg", "p", "n");
    builder_ints64(body, "flat", 1, (int64_t[]){1}, (int64_t[]){-1});
    builder_node(body, "Reshape", "n flat", "view");
    builder_output(body, "go", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "n", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "n", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "view", NORMA_UNDEFINED, -1, NULL);
    builder_output(body, "outside", NORMA_UNDEFINED, -1, NULL);
    for (int i = 0; i < 4; i++) builder_output(builder, (const char *[]){"a", "b", "c", "d"}[i], NORMA_FLOAT, -1, NULL);
    opened_model opened = opened_load(builder, tested_levels[level]);
    for (int s = 0; s < 2; s++) {
      opened_set(&opened, "x", NORMA_FLOAT, 1, &sizes[s], x);
      opened_run(&opened);
      for (size_t o = 0; o < 4; o++) {
        const norma_tensor *y = opened_output(&opened, o);
        assert_int_equal(norma_tensor_count(y), sizes[s]);
        for (int64_t k = 0; k < sizes[s]; k++) assert_float_equal(((const float *)y->data)[k], o < 3 ? -x[k] : x[k], 0);
      }
    }
    opened_free(&opened);
    builder_destroy(builder);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(iterations_allocate_nothing),
      cmocka_unit_test(captured_shapes_are_known),
      cmocka_unit_test(results_live_on),
      cmocka_unit_test(outputs_may_be_the_same_value),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
