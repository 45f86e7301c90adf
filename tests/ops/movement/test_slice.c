/* Slice: what Python's slices take, for elements of every type, and backwards from the first element where a start lies
 * before it. */
#include "tests/support/builtin_operator.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#define MOST 40000

static int64_t sources[MOST];

/* Python's range(*slice(max(start, -size), end, step).indices(size)), one index after the other. */
static int64_t definition_slice(int64_t size, int64_t start, int64_t end, int64_t step, int64_t *first) {
  const int64_t low = step < 0 ? -1 : 0, high = step < 0 ? size - 1 : size;
  if (start < 0) start = start == INT64_MIN || start + size < 0 ? 0 : start + size;
  if (start > high) start = high;
  if (end < 0) end = end == INT64_MIN || end + size < low ? low : end + size;
  if (end > high) end = high;
  int64_t count = 0;
  for (int64_t i = start; step > 0 ? i < end : i > end; i += step) {
    count++;
    if (step > size || step < -size) break;
  }
  *first = start;
  return count;
}

typedef struct slice_lists {
  int count;
  int64_t starts[4], ends[4], axes[4], steps[4];
} slice_lists;

/* The result's shape; fills sources. */
static shape slice_sources(const slice_lists *lists, const shape *from) {
  shape to = *from;
  int64_t first[NORMA_MAX_RANK] = {0}, step[NORMA_MAX_RANK], at[NORMA_MAX_RANK];
  for (int i = 0; i < from->rank; i++) step[i] = 1;
  for (int i = 0; i < lists->count; i++) {
    const int axis = (int)(lists->axes[i] < 0 ? lists->axes[i] + from->rank : lists->axes[i]);
    step[axis] = lists->steps[i];
    to.dims[axis] = definition_slice(from->dims[axis], lists->starts[i], lists->ends[i], lists->steps[i], &first[axis]);
  }
  for (int64_t i = 0; i < shape_count(&to); i++) {
    shape_coordinates(&to, i, at);
    for (int k = 0; k < to.rank; k++) at[k] = first[k] + (at[k] ? at[k] * step[k] : 0);
    sources[i] = shape_place(from, at);
  }
  return to;
}

static const value *index_list(workbench *bench, norma_element_type type, int count, const int64_t *elements) {
  value *made = bench_make(bench, type, SHAPE(count));
  for (int i = 0; i < count; i++) element_set_int64(type, made->tensor.data, i, elements[i]);
  return made;
}

static int64_t odd_number(uint64_t *seed) {
  return random_of(seed, INT64_MIN, INT64_MIN + 1, INT64_MAX, -100, 100);
}

static void every_type_and_slice(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 16; round++) {
    FOR_TYPES(type, TYPES_ALL) {
      const shape from = random_shape(&bench.seed, 1, 4, 2000);
      slice_lists lists = {0};
      for (int i = from.rank - 1; i >= 0; i--) {
        if (random_int(&bench.seed, 0, 2) == 0) continue;
        const int n = lists.count++;
        lists.starts[n] = random_int(&bench.seed, 0, 4) ? random_int(&bench.seed, -12, 12) : odd_number(&bench.seed);
        lists.ends[n] = random_int(&bench.seed, 0, 4) ? random_int(&bench.seed, -12, 12) : odd_number(&bench.seed);
        lists.steps[n] =
            random_int(&bench.seed, 0, 9) ? random_of(&bench.seed, -3, -2, -1, 1, 1, 2, 3) : odd_number(&bench.seed);
        lists.axes[n] = random_int(&bench.seed, 0, 1) ? i : i - from.rank;
      }
      const shape to = slice_sources(&lists, &from);
      const value *x = bench_numbered(&bench, type, from);
      driver_call call =
          CALL("Slice", 13, x, bench_ints(&bench, SHAPE(lists.count), lists.starts),
               bench_ints(&bench, SHAPE(lists.count), lists.ends), bench_ints(&bench, SHAPE(lists.count), lists.axes),
               bench_ints(&bench, SHAPE(lists.count), lists.steps));
      check_moved(bench_run(&bench, &call), to, x, sources, NULL);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

/* Steps are 1 and axes all from the first on, where they are left out; lists may be of int32. */
static void lists_that_are_left_out(void **state) {
  const slice_lists lists = {2, {1, -3}, {INT32_MAX, -1}, {0, 1}, {1, 1}};
  const operator_descriptor *op = builtin_operator("", "Slice");
  workbench bench;
  (void)state;
  bench_init(&bench);
  const shape from = SHAPE(3, 5, 2);
  const value *x = bench_numbered(&bench, NORMA_FLOAT, from);
  const shape to = slice_sources(&lists, &from);
  for (int v = 0; op->versions[v]; v++) {
    if (op->versions[v] < 10) {
      driver_call call = CALL("Slice", op->versions[v], x);
      call.attributes[0] = (attribute)DRIVER_INTS("starts", 2, lists.starts);
      call.attributes[1] = (attribute)DRIVER_INTS("ends", 2, lists.ends);
      check_moved(bench_run(&bench, &call), to, x, sources, NULL);
      call.attributes[2] = (attribute)DRIVER_INTS("axes", 2, lists.axes);
      check_moved(bench_run(&bench, &call), to, x, sources, NULL);
      continue;
    }
    FOR_TYPES(type, TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64)) {
      driver_call call = CALL("Slice", op->versions[v], x, index_list(&bench, type, 2, lists.starts),
                              index_list(&bench, type, 2, lists.ends));
      check_moved(bench_run(&bench, &call), to, x, sources, NULL);
      call.inputs[call.input_count++] = index_list(&bench, type, 2, lists.axes);
      check_moved(bench_run(&bench, &call), to, x, sources, NULL);
      call.inputs[call.input_count++] = index_list(&bench, type, 2, lists.steps);
      check_moved(bench_run(&bench, &call), to, x, sources, NULL);
      call.inputs[3] = NULL;
      check_moved(bench_run(&bench, &call), to, x, sources, NULL);
    }
  }
  bench_finish(&bench);
}

static void large_slices(void **state) {
  static const slice_lists lists[] = {{1, {100}, {-100}, {1}, {1}},
                                      {2, {-1, -1}, {INT64_MIN, INT64_MIN}, {0, 1}, {-1, -1}},
                                      {1, {3}, {INT64_MAX}, {-1}, {2}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t i = 0; i < COUNT(lists); i++) {
    FOR_TYPES(type, TYPE_BIT(NORMA_UINT8) | TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_DOUBLE)) {
      const shape from = SHAPE(3, 10001);
      const shape to = slice_sources(&lists[i], &from);
      const int n = lists[i].count;
      const value *x = bench_numbered(&bench, type, from);
      driver_call call = CALL("Slice", 13, x, bench_ints(&bench, SHAPE(n), lists[i].starts),
                              bench_ints(&bench, SHAPE(n), lists[i].ends), bench_ints(&bench, SHAPE(n), lists[i].axes),
                              bench_ints(&bench, SHAPE(n), lists[i].steps));
      check_moved(bench_run(&bench, &call), to, x, sources, NULL);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

static void lists_that_do_not_fit_are_refused(void **state) {
  static const struct {
    int count[4];
    int64_t lists[4][2];
    const char *words;
  } cases[] = {{{1, 1, 1, 1}, {{0}, {1}, {0}, {0}}, "a step is 0"},
               {{1, 1, 1, 1}, {{0}, {1}, {2}, {1}}, "an axis is outside"},
               {{1, 1, 1, 1}, {{0}, {1}, {-3}, {1}}, "an axis is outside"},
               {{1, 1, 1, 1}, {{0}, {1}, {INT64_MIN}, {1}}, "an axis is outside"},
               {{2, 2, 2, 2}, {{0, 0}, {1, 1}, {0, -2}, {1, 1}}, "comes twice"},
               {{2, 1, 1, 1}, {{0, 0}, {1}, {0}, {1}}, "differ in length"},
               {{1, 2, 1, 1}, {{0}, {1, 1}, {0}, {1}}, "differ in length"},
               {{1, 1, 2, 1}, {{0}, {1}, {0, 1}, {1}}, "differ in length"},
               {{1, 1, 1, 2}, {{0}, {1}, {0}, {1, 1}}, "differ in length"}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3, 4), NULL);
  for (size_t c = 0; c < COUNT(cases); c++) {
    driver_call call = CALL("Slice", 13, x);
    for (int i = 0; i < 4; i++)
      call.inputs[call.input_count++] = bench_ints(&bench, SHAPE(cases[c].count[i]), cases[c].lists[i]);
    bench_refuse(&bench, &call, NORMA_ERROR_INPUT, cases[c].words);
    call.constants = 0x1F;
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, cases[c].words);
    if (c < 1 || cases[c].count[3] > 1) continue;
    call = CALL("Slice", 9, x);
    call.attributes[0] = (attribute)DRIVER_INTS("starts", (size_t)cases[c].count[0], cases[c].lists[0]);
    call.attributes[1] = (attribute)DRIVER_INTS("ends", (size_t)cases[c].count[1], cases[c].lists[1]);
    call.attributes[2] = (attribute)DRIVER_INTS("axes", (size_t)cases[c].count[2], cases[c].lists[2]);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, cases[c].words);
  }
  driver_call call = CALL("Slice", 13, x, bench_list(&bench, 0));
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "starts or ends are missing");
  call = CALL("Slice", 13, x, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1), NULL), bench_list(&bench, 0));
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type float");
  call = CALL("Slice", 9, x);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "is missing");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_and_slice),
      cmocka_unit_test(lists_that_are_left_out),
      cmocka_unit_test(large_slices),
      cmocka_unit_test(lists_that_do_not_fit_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
