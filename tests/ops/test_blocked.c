/* Channel blocks: their shapes, the questions that operators ask before they take part, and slices of planes. */
#include "ops/blocked.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

static void shapes_in_blocks_and_back(void **state) {
  (void)state;
  for (int64_t block = 4; block <= 16; block *= 2) {
    for (int64_t channels = 1; channels < 40; channels++) {
      const shape plain = SHAPE(2, channels, 5, 7), blocked = blocked_shape(&plain, block),
                  again = plain_shape(&blocked, channels, 4);
      const shape expected = SHAPE(2, (channels - 1) / block + 1, 5, 7, block);
      assert_true(shape_equal(&blocked, &expected) && shape_equal(&again, &plain));
    }
  }
  const shape open = SHAPE(DIM_UNKNOWN, DIM_UNKNOWN, 3, DIM_UNKNOWN), blocked = blocked_shape(&open, 8);
  const shape expected = SHAPE(DIM_UNKNOWN, DIM_UNKNOWN, 3, DIM_UNKNOWN, 8);
  assert_true(shape_equal(&blocked, &expected));
}

/* ----------------------------------------------------------------------------------------------------------- graphs */

typedef struct fixture {
  memory memory;
  region region;
  graph *graph;
  norma_error error;
} fixture;

static void fixture_init(fixture *f) {
  memory_init(&f->memory, NULL, 0);
  region_init(&f->region, &f->memory);
  f->graph = graph_create(&f->region, &f->memory, "g", NULL, NULL);
}

static void fixture_finish(fixture *f) {
  graph_release(f->graph);
  region_free(&f->region);
}

static graph_value *value_of(fixture *f, norma_element_type type, shape shape) {
  graph_value *made = graph_add_unique_value(f->graph, "v");
  made->info = value_info_tensor(type, &shape);
  return made;
}

static node *node_of(fixture *f, const char *op_type, graph_value *x, graph_value *y) {
  node *made = graph_add_node(f->graph, "n", op_type, "", 3, 1, 0);
  made->op = NULL;
  node_set_input(made, 0, x);
  node_set_output(made, 0, y);
  return made;
}

static void inputs_are_of_five_dimensions(void **state) {
  static const struct {
    shape x;
    const char *words; /* NULL: it is fine */
  } cases[] = {{{5, {1, 2, 3, 4, 8}}, NULL},
               {{RANK_UNKNOWN, {0}}, NULL},
               {{4, {1, 2, 3, 4}}, "rank 4, expected 5"},
               {{0, {0}}, "rank 0, expected 5"}};
  fixture f;
  (void)state;
  fixture_init(&f);
  for (size_t c = 0; c < COUNT(cases); c++) {
    const value_info info = value_info_tensor(NORMA_FLOAT, &cases[c].x), *inputs[] = {&info};
    infer_context context = {.node = graph_add_node(f.graph, "n", "Conv", "norma", 0, 0, 0),
                             .input_count = 1,
                             .inputs = inputs,
                             .failure = NORMA_ERROR_INVALID_MODEL,
                             .error = &f.error};
    shape x;
    assert_int_equal(infer_blocked_input(&context, &x), cases[c].words ? NORMA_ERROR_INVALID_MODEL : NORMA_OK);
    if (cases[c].words) assert_non_null(strstr(f.error.message, cases[c].words));
    if (!cases[c].words) assert_int_equal(x.rank, 5);
  }
  fixture_finish(&f);
}

static void values_that_may_be_blocks(void **state) {
  fixture f;
  (void)state;
  fixture_init(&f);
  assert_true(value_is_blockable(value_of(&f, NORMA_FLOAT, SHAPE(1, 3, 4, 5))));
  assert_true(value_is_blockable(value_of(&f, NORMA_FLOAT, SHAPE(DIM_UNKNOWN, 3, DIM_UNKNOWN, DIM_UNKNOWN))));
  assert_false(value_is_blockable(value_of(&f, NORMA_FLOAT, SHAPE(1, DIM_UNKNOWN, 4, 5))));
  assert_false(value_is_blockable(value_of(&f, NORMA_FLOAT, SHAPE(1, 0, 4, 5))));
  assert_true(value_is_blockable(value_of(&f, NORMA_FLOAT, SHAPE(1, 3, 4))));
  assert_false(value_is_blockable(value_of(&f, NORMA_FLOAT, SHAPE(1, 3))));
  assert_false(value_is_blockable(value_of(&f, NORMA_FLOAT, SHAPE(1, 3, 4, 4, 4))));
  assert_false(value_is_blockable(value_of(&f, NORMA_FLOAT, shape_unknown())));
  assert_false(value_is_blockable(value_of(&f, NORMA_DOUBLE, SHAPE(1, 3, 4, 5))));
  assert_false(value_is_blockable(NULL));
  fixture_finish(&f);
}

/* Axes of planes, and of lines, whose height is axis 2 of blocks. */
static void axes_of_blocks(void **state) {
  fixture f;
  (void)state;
  fixture_init(&f);
  const graph_value *plane = value_of(&f, NORMA_FLOAT, SHAPE(1, 3, 4, 5)),
                    *line = value_of(&f, NORMA_FLOAT, SHAPE(1, 3, 4));
  static const int of_plane[] = {-1, 0, 1, 2, 3, 0, 1, 2, 3, -1}, of_line[] = {-1, -1, 0, 1, 3, 0, 1, 3, -1, -1};
  for (int axis = -5; axis < 5; axis++) {
    assert_int_equal(block_axis(plane, axis), of_plane[axis + 5]);
    assert_int_equal(block_axis(line, axis), of_line[axis + 5]);
  }
  fixture_finish(&f);
}

static void lines_are_planes(void **state) {
  (void)state;
  const shape line = SHAPE(2, 20, 7), plane = plane_shape(&line), blocked = blocked_shape(&line, 8);
  const shape expected = SHAPE(2, 20, 1, 7), in_blocks = SHAPE(2, 3, 1, 7, 8), again = plain_shape(&blocked, 20, 3);
  assert_true(shape_equal(&plane, &expected));
  assert_true(shape_equal(&blocked, &in_blocks));
  assert_true(shape_equal(&again, &line));
  const shape whole = plane_shape(&plane);
  assert_true(shape_equal(&whole, &plane));
}

static void nodes_that_follow_blocks(void **state) {
  fixture f;
  (void)state;
  fixture_init(&f);
  graph_value *x = value_of(&f, NORMA_FLOAT, SHAPE(1, 8, 4, 4)), *y = value_of(&f, NORMA_FLOAT, SHAPE(1, 8, 2, 2)),
              *blocks = value_of(&f, NORMA_FLOAT, SHAPE(1, 1, 4, 4, 8));
  node *tested = node_of(&f, "MaxPool", x, y);
  assert_null(value_blocked_copy(f.graph, x));
  assert_null(value_blocked_copy(f.graph, NULL));
  assert_false(node_follows_block(tested));
  x->blocked = blocks;
  assert_ptr_equal(value_blocked_copy(f.graph, x), blocks);
  assert_true(node_follows_block(tested));
  graph *inner = graph_create(&f.region, &f.memory, "inner", f.graph, tested); /* blocks are of one graph */
  assert_null(value_blocked_copy(inner, x));
  y->info.shape = SHAPE(1, 8); /* an output that cannot be blocks */
  assert_false(node_follows_block(tested));
  graph_release(inner);
  fixture_finish(&f);
}

/* By somebody whose output may be blocks too. */
static void values_that_are_wanted(void **state) {
  fixture f;
  (void)state;
  fixture_init(&f);
  graph_value *x = value_of(&f, NORMA_FLOAT, SHAPE(1, 8, 4, 4));
  assert_false(value_is_wanted_in_blocks(x));
  node_of(&f, "Reshape", x, value_of(&f, NORMA_FLOAT, SHAPE(1, 128)));
  assert_false(value_is_wanted_in_blocks(x));
  node_of(&f, "Relu", x, value_of(&f, NORMA_FLOAT, SHAPE(1, 8, 4, 4)));
  assert_true(value_is_wanted_in_blocks(x));
  fixture_finish(&f);
}

static void lanes_that_hold_channels(void **state) {
  static const struct {
    int64_t channels, block;
    bool fills;
  } cases[] = {{8, 8, true},  {6, 8, true},   {5, 8, false},   {1, 8, false},  {14, 8, true},
               {9, 8, false}, {12, 16, true}, {11, 16, false}, {100, 16, true}};
  (void)state;
  for (size_t c = 0; c < COUNT(cases); c++) {
    const block_form form = {.block = cases[c].block};
    assert_int_equal(block_fills_lanes(&form, cases[c].channels), cases[c].fills); /* at least three quarters */
  }
}

static void windows_that_kernels_take(void **state) {
  (void)state;
  assert_true(block_takes_window((const int64_t[]){3, 3}, 2));
  assert_true(block_takes_window((const int64_t[]){64, 64}, 2)); /* BLOCKED_MOST_TAPS */
  assert_false(block_takes_window((const int64_t[]){64, 65}, 2));
  assert_false(block_takes_window((const int64_t[]){INT64_MAX, INT64_MAX}, 2));
  assert_false(block_takes_window((const int64_t[]){DIM_UNKNOWN, 3}, 2));
}

/* ------------------------------------------------------------------------------------------------------------ forms */

static void attributes_and_lists_of_a_form(void **state) {
  fixture f;
  (void)state;
  fixture_init(&f);
  block_form form = {.block = 8, .region = &f.region};
  block_set_int(&form, "axis", -1);
  int64_t *ints = block_set_ints(&form, "pads", 3);
  for (int i = 0; i < 3; i++) ints[i] = i;
  assert_int_equal(form.attribute_count, 2);
  assert_true(strcmp(form.attributes[0].name, "axis") == 0 && form.attributes[0].kind == ATTRIBUTE_INT &&
              form.attributes[0].i == -1);
  assert_true(form.attributes[1].kind == ATTRIBUTE_INTS && form.attributes[1].count == 3 &&
              form.attributes[1].ints[2] == 2);
  block_list *list = block_add_list(&form, 4, "steps");
  assert_true(form.list_count == 1 && list == &form.lists[0] && list->input == 4 && list->count == 0 &&
              strcmp(list->stem, "steps") == 0);
  graph_value *x = value_of(&f, NORMA_FLOAT, SHAPE(1, 12, 4, 4));
  node *tested = node_of(&f, "LRN", x, value_of(&f, NORMA_FLOAT, SHAPE(1, 12, 4, 4)));
  form = (block_form){.block = 8, .region = &f.region};
  assert_true(block_as_inner(tested, &form, "LRN"));
  assert_true(strcmp(form.inner, "LRN") == 0 && form.uses[0] == BLOCK_FOLLOW && form.attribute_count == 2);
  assert_true(form.attributes[0].i == 8 && form.attributes[1].i == 12);
  fixture_finish(&f);
}

/* An attribute; where the node has none of that name a constant input; else neither. */
static void lists_of_nodes(void **state) {
  static const int64_t ones[] = {1, 1}, many[2 * NORMA_MAX_RANK + 1] = {0};
  fixture f;
  workbench bench;
  block_list list;
  (void)state;
  fixture_init(&f);
  bench_init(&bench);
  node *tested = graph_add_node(f.graph, "n", "Pad", "", 2, 1, 1);
  assert_true(node_lacks_list(tested, "pads", 1));
  assert_false(node_read_list(tested, "pads", 1, &list));
  FOR_TYPES(type, TYPES_INTEGER) {
    graph_value *input = value_of(&f, type, SHAPE(3));
    value contents;
    value_share(&contents, bench_tensor(&bench, type, SHAPE(3), NUMBERS(5, 6, 7)));
    assert_true(graph_set_constant(input, &contents));
    node_set_input(tested, 1, input);
    assert_false(node_lacks_list(tested, "pads", 1));
    assert_true(node_read_list(tested, "pads", 1, &list) && list.count == 3 && list.values[2] == 7);
  }
  assert_false(node_read_list(tested, "pads", 0, &list)); /* input 0 stands for none */
  tested->attributes[0] = (attribute)DRIVER_INTS("pads", 2, ones);
  assert_true(node_read_list(tested, "pads", 1, &list) && list.count == 2 && list.values[0] == 1); /* it goes first */
  assert_false(node_lacks_list(tested, "pads", 7));
  tested->attributes[0] = (attribute)DRIVER_INTS("pads", COUNT(many), many);
  assert_false(node_read_list(tested, "pads", 1, &list));
  tested->attributes[0] = (attribute)DRIVER_INT("axis", 0);
  node_set_input(tested, 1, value_of(&f, NORMA_INT64, SHAPE(3))); /* that may change */
  assert_false(node_lacks_list(tested, "pads", 1));
  assert_false(node_read_list(tested, "pads", 1, &list));
  fixture_finish(&f);
  bench_finish(&bench);
}

/* ----------------------------------------------------------------------------------------------------------- slices */

/* Items are rows of planes: together they are all rows of all planes, each once. */
static void slices_are_all_rows(void **state) {
  uint64_t seed = 17;
  (void)state;
  for (int round = 0; round < 2000; round++) {
    window w = {.axes = 2, .input = {9, 9}, .kernel = {3, 3}, .stride = {1, 1}, .dilation = {1, 1}};
    w.output[0] = random_int(&seed, 1, 70);
    w.output[1] = random_of(&seed, 5, 5, 3000, 300000); /* planes that are worth cutting */
    const int64_t samples = random_int(&seed, 1, 5), blocks = random_int(&seed, 1, 5);
    const struct blocked_slices slices = blocked_slices_of(&w, samples, blocks, (int)random_int(&seed, 1, 9));
    int seen[25][70] = {{0}};
    assert_true(slices.rows >= 1 && slices.count == divide_up(w.output[0], slices.rows));
    for (int64_t i = 0; i < samples * blocks * slices.count; i++) {
      size_t first;
      const int64_t plane = blocked_slice_plane(&slices, i, &first);
      assert_true(plane >= 0 && plane < samples * blocks && (int64_t)first < w.output[0]);
      for (int64_t row = (int64_t)first; row < (int64_t)first + slices.rows && row < w.output[0]; row++)
        seen[plane][row]++;
    }
    for (int64_t i = 0; i < samples * blocks; i++) {
      for (int64_t row = 0; row < w.output[0]; row++) assert_int_equal(seen[i][row], 1);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes_in_blocks_and_back),
      cmocka_unit_test(inputs_are_of_five_dimensions),
      cmocka_unit_test(values_that_may_be_blocks),
      cmocka_unit_test(axes_of_blocks),
      cmocka_unit_test(lines_are_planes),
      cmocka_unit_test(nodes_that_follow_blocks),
      cmocka_unit_test(values_that_are_wanted),
      cmocka_unit_test(lanes_that_hold_channels),
      cmocka_unit_test(windows_that_kernels_take),
      cmocka_unit_test(attributes_and_lists_of_a_form),
      cmocka_unit_test(lists_of_nodes),
      cmocka_unit_test(slices_are_all_rows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
