/* Shape and Size, of tensors of every type; both are known before anything runs. */
#include "tests/support/builtin_operator.h"
#include "tests/support/workbench.h"

static void shapes_of_every_type(void **state) {
  static const shape shapes[] = {{0, {0}}, {1, {5}}, {3, {2, 0, 4}}, {4, {1, 2, 3, 4}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_ALL) {
    for (size_t i = 0; i < COUNT(shapes); i++) {
      const value *x = bench_make(&bench, type, shapes[i]);
      driver_call call = CALL("Shape", 25, x);
      check_ints(bench_run(&bench, &call), SHAPE(shapes[i].rank), shapes[i].dims);
      const int64_t count = shape_count(&shapes[i]);
      call.op_type = "Size";
      check_ints(bench_run(&bench, &call), SCALAR, &count);
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void every_version(void **state) {
  static const char *const ops[] = {"Shape", "Size"};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3, 2), NULL);
  for (size_t o = 0; o < COUNT(ops); o++) {
    const operator_descriptor *op = builtin_operator("", ops[o]);
    for (int v = 0; op->versions[v]; v++) {
      driver_call call = CALL(ops[o], op->versions[v], x);
      check_ints(bench_run(&bench, &call), o == 0 ? SHAPE(2) : SCALAR,
                 o == 0 ? (const int64_t[]){3, 2} : (const int64_t[]){6});
      call.attributes[0] = (attribute)DRIVER_INT("start", 0);
      if (o == 1 || op->versions[v] < 15) bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute start");
    }
  }
  bench_finish(&bench);
}

/* start and end are as those of Python's slices: negative ones count from the end, both are moved into the range. */
static void parts_of_a_shape(void **state) {
  static const int64_t dims[] = {2, 3, 4};
  static const int64_t numbers[] = {INT64_MIN, -4, -3, -2, -1, 0, 1, 2, 3, 4, INT64_MAX};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3, 4), NULL);
  for (size_t s = 0; s < COUNT(numbers); s++) {
    for (size_t e = 0; e < COUNT(numbers); e++) {
      int64_t start = numbers[s], end = numbers[e];
      driver_call call = CALL("Shape", 15, x);
      call.attributes[0] = (attribute)DRIVER_INT("start", start);
      call.attributes[1] = (attribute)DRIVER_INT("end", end);
      start = start < -3 ? 0 : start < 0 ? start + 3 : start > 3 ? 3 : start;
      end = end < -3 ? 0 : end < 0 ? end + 3 : end > 3 ? 3 : end;
      check_ints(bench_run(&bench, &call), SHAPE(end > start ? end - start : 0), dims + start);
    }
  }
  bench_finish(&bench);
}

/* Types and shapes alone tell the contents, where these are known; only their number, where a rank is. */
static void contents_are_known_early(void **state) {
  static const struct {
    shape x;
    int64_t start;
    int count; /* of known contents; -1: none are known */
    int64_t contents[2];
  } cases[] = {{{2, {3, 5}}, 0, 2, {3, 5}},
               {{2, {DIM_UNKNOWN, 5}}, 0, -1, {0}},
               {{2, {DIM_UNKNOWN, 5}}, 1, 1, {5}},
               {{2, {DIM_UNKNOWN, 5}}, 2, 0, {0}},
               {{RANK_UNKNOWN, {0}}, 0, -1, {0}}};
  const operator_descriptor *op = builtin_operator("", "Shape");
  (void)state;
  for (size_t c = 0; c < COUNT(cases); c++) {
    memory memory;
    region region;
    memory_init(&memory, NULL, 0);
    region_init(&region, &memory);
    graph *graph = graph_create(&region, &memory, "g", NULL, NULL);
    node *node = graph_add_node(graph, "n", "Shape", "", 1, 1, 1);
    node->attributes[0] = (attribute)DRIVER_INT("start", cases[c].start);
    node->op = op;
    node->version = 15;
    node->state = region_allocate(&region, op->state_size);
    norma_error error;
    assert_int_equal(op->read(node, node->state, &error), NORMA_OK);
    const value_info x = value_info_tensor(NORMA_FLOAT, &cases[c].x), *inputs[] = {&x};
    const value *values[] = {NULL};
    value_info output = {.shape = shape_unknown()};
    norma_tensor known = {0};
    infer_context context = {.node = node,
                             .state = node->state,
                             .input_count = 1,
                             .output_count = 1,
                             .inputs = inputs,
                             .values = values,
                             .outputs = &output,
                             .known = &known,
                             .region = &region,
                             .error = &error};
    assert_int_equal(op->infer(&context), NORMA_OK);
    assert_true(output.type == NORMA_INT64 && output.shape.rank == 1);
    if (cases[c].count < 0) {
      assert_null(known.data);
    } else {
      assert_int_equal(known.dims[0], cases[c].count);
      assert_memory_equal(known.data, cases[c].contents, (size_t)cases[c].count * sizeof(int64_t));
    }
    graph_release(graph);
    region_free(&region);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes_of_every_type),
      cmocka_unit_test(every_version),
      cmocka_unit_test(parts_of_a_shape),
      cmocka_unit_test(contents_are_known_early),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
