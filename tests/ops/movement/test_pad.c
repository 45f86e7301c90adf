/* Pad in its four modes against index arithmetic, for elements of every type. */
#include "tests/support/builtin_operator.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#define MOST 60000

static int64_t sources[MOST];
static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};

/* The source coordinate, -1 for none. What a negative count takes away is gone before the other modes look at the
 * rest. */
static int64_t pad_source(const char *mode, int64_t size, int64_t before, int64_t behind, int64_t at) {
  if (strcmp(mode, "constant") == 0) return at - before >= 0 && at - before < size ? at - before : -1;
  const int64_t first = before < 0 ? -before : 0, left = size - first - (behind < 0 ? -behind : 0);
  int64_t i = at - (before > 0 ? before : 0);
  while (i < 0 || i >= left) {
    if (strcmp(mode, "edge") == 0)
      i = i < 0 ? 0 : left - 1;
    else if (strcmp(mode, "wrap") == 0)
      i += i < 0 ? left : -left;
    else
      i = left == 1 ? 0 : i < 0 ? -i : 2 * (left - 1) - i;
  }
  return first + i;
}

/* The result's shape; fills sources. pads are those of all dimensions. */
static shape padded(const char *mode, const shape *from, const int64_t *pads) {
  shape to = *from;
  for (int i = 0; i < from->rank; i++) to.dims[i] += pads[i] + pads[from->rank + i];
  for (int64_t i = 0; i < shape_count(&to); i++) {
    int64_t at[NORMA_MAX_RANK];
    bool none = false;
    shape_coordinates(&to, i, at);
    for (int k = 0; k < to.rank; k++) {
      at[k] = pad_source(mode, from->dims[k], pads[k], pads[from->rank + k], at[k]);
      none |= at[k] < 0;
    }
    sources[i] = none ? -1 : shape_place(from, at);
  }
  return to;
}

static void random_pads(uint64_t *seed, const shape *from, int64_t most, int64_t *pads) {
  for (int i = 0; i < from->rank; i++) {
    const int64_t size = from->dims[i], least = size > 1 ? -(size / 2) : 0;
    pads[i] = random_int(seed, 0, 2) ? random_int(seed, least, most) : 0;
    pads[from->rank + i] = random_int(seed, 0, 2) ? random_int(seed, least + (least < 0), most) : 0;
  }
}

static void every_type_and_mode(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 20; round++) {
    FOR_TYPES(type, TYPES_ALL) {
      const char *mode = modes[(round + (int)type) % 4];
      shape from;
      int64_t pads[2 * NORMA_MAX_RANK];
      do {
        from = random_shape(&bench.seed, 1, 4, 500);
      } while (shape_count(&from) == 0);
      random_pads(&bench.seed, &from, round % 5 ? 3 : 9, pads);
      const shape to = padded(mode, &from, pads);
      if (shape_count(&to) > MOST) continue;
      const value *x = bench_numbered(&bench, type, from), *filler = bench_numbered(&bench, type, SHAPE(4));
      driver_call take = CALL("Gather", 13, filler, bench_int(&bench, 3)); /* a single element that is not 0 */
      bench_run_once(&bench, &take);
      filler = bench_keep(&bench, 0);
      driver_call call = CALL("Pad", 25, x, bench_ints(&bench, SHAPE(2 * from.rank), pads), filler);
      call.attributes[0] = (attribute)DRIVER_TEXT("mode", mode);
      check_moved(bench_run(&bench, &call), to, x, sources, filler);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

/* What is added is zero, or the empty string, where no constant is given. */
static void the_constant_is_zero_by_default(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *pads = bench_list(&bench, 1, 0, 0, 2);
  FOR_TYPES(type, TYPES_ALL) {
    const shape from = SHAPE(2, 3);
    const shape to = padded("constant", &from, (const int64_t[]){1, 0, 0, 2});
    const value *x = bench_numbered(&bench, type, from), *zero = bench_make(&bench, type, SCALAR);
    driver_call call = CALL("Pad", 25, x, pads);
    if (type == NORMA_FLOAT8E8M0) memset(zero->tensor.data, 0, 1); /* that has no zero: its code is 0 */
    check_moved(bench_run(&bench, &call), to, x, sources, zero);
  }
  bench_finish(&bench);
}

/* Before version 11 pads are an attribute, which version 1 calls paddings, and so is the constant. */
static void every_version(void **state) {
  static const int64_t pads[] = {1, 0, 0, 1};
  const operator_descriptor *op = builtin_operator("", "Pad");
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 2), NUMBERS(1, 2));
  for (int v = 0; op->versions[v]; v++) {
    const int version = op->versions[v];
    driver_call call = CALL("Pad", version, x, bench_ints(&bench, SHAPE(4), pads),
                            bench_tensor(&bench, NORMA_FLOAT, SCALAR, NUMBERS(7)));
    if (version < 11) {
      call.input_count = 1;
      call.attributes[0] = (attribute)DRIVER_INTS("pads", 4, pads);
      if (version == 1) call.attributes[0].name = "paddings";
      call.attributes[1] = (attribute)DRIVER_FLOAT("value", 7);
    }
    check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(2, 3), NUMBERS(7, 7, 7, 1, 2, 7));
  }
  bench_finish(&bench);
}

/* Since version 18 pads may be those of some axes, in any order. */
static void pads_of_some_axes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64)) {
    for (int m = 0; m < 4; m++) {
      const shape from = SHAPE(2, 3, 4, 2);
      const shape to = padded(modes[m], &from, (const int64_t[]){0, 2, 0, 1, 0, 1, 0, -1});
      const value *x = bench_numbered(&bench, NORMA_INT16, from),
                  *filler = bench_tensor(&bench, NORMA_INT16, SHAPE(1), NUMBERS(-5));
      driver_call call = CALL("Pad", 18 + (m == 3), x, bench_list(&bench, 1, 2, -1, 1), filler,
                              bench_tensor(&bench, type, SHAPE(2), NUMBERS(-1, 1)));
      call.attributes[0] = (attribute)DRIVER_TEXT("mode", modes[m]);
      check_moved(bench_run(&bench, &call), to, x, sources, filler);
    }
  }
  bench_finish(&bench);
}

static void large_images(void **state) {
  static const struct {
    shape from;
    int64_t pads[8];
  } cases[] = {{{4, {1, 3, 57, 61}}, {0, 0, 3, 2, 0, 0, 1, 4}},
               {{2, {3, 15000}}, {0, 5, 0, 7}},
               {{3, {50, 7, 100}}, {1, 0, 0, 2, 0, 0}},
               {{1, {40000}}, {-100, 200}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < COUNT(cases); c++) {
    for (int m = 0; m < 4; m++) {
      FOR_TYPES(type, TYPE_BIT(NORMA_UINT8) | TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_DOUBLE)) {
        const shape to = padded(modes[m], &cases[c].from, cases[c].pads);
        const value *x = bench_numbered(&bench, type, cases[c].from), *zero = bench_tensor(&bench, type, SCALAR, NULL);
        driver_call call = CALL("Pad", 19, x, bench_ints(&bench, SHAPE(2 * cases[c].from.rank), cases[c].pads));
        call.attributes[0] = (attribute)DRIVER_TEXT("mode", modes[m]);
        check_moved(bench_run(&bench, &call), to, x, sources, zero);
        bench_clear(&bench);
      }
    }
  }
  bench_finish(&bench);
}

static void nothing_and_scalars(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *empty = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 0), NULL),
              *two = bench_tensor(&bench, NORMA_FLOAT, SCALAR, NUMBERS(2));
  driver_call call = CALL("Pad", 13, empty, bench_list(&bench, 0, 1, 0, 2), two);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(2, 3), NUMBERS(2, 2, 2, 2, 2, 2));
  call.inputs[1] = bench_list(&bench, 1, 0, 0, 0);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(3, 0), NULL);
  call.inputs[0] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NUMBERS(1, 2, 3));
  call.inputs[1] = bench_list(&bench, -1, -2); /* all is taken away */
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(0), NULL);
  call = CALL("Pad", 13, two, bench_ints(&bench, SHAPE(0), NULL));
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SCALAR, NUMBERS(2));
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  static const struct {
    int count;
    int64_t pads[4];
    const char *words;
  } cases[] = {{2, {-3, 0}, "do not fit dimension 0 of size 2"},
               {2, {INT64_MAX, INT64_MAX}, "do not fit dimension 0"},
               {2, {INT64_MIN, 0}, "do not fit dimension 0"},
               {3, {1, 1, 1}, "two entries for each axis"},
               {0, {0}, "two entries for each axis"}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL), *ones = bench_list(&bench, 1, 1);
  for (size_t c = 0; c < COUNT(cases); c++) {
    driver_call call = CALL("Pad", 13, x, bench_ints(&bench, SHAPE(cases[c].count), cases[c].pads));
    bench_refuse(&bench, &call, NORMA_ERROR_INPUT, cases[c].words);
    call = CALL("Pad", 2, x);
    call.attributes[0] = (attribute)DRIVER_INTS("pads", (size_t)cases[c].count, cases[c].pads);
    if (cases[c].count > 0)
      bench_refuse(&bench, &call, c < 3 ? NORMA_ERROR_INPUT : NORMA_ERROR_INVALID_MODEL, cases[c].words);
  }
  for (int m = 1; m < 4; m++) { /* there is nothing to repeat */
    driver_call call = CALL("Pad", 19, bench_tensor(&bench, NORMA_FLOAT, SHAPE(0), NULL), ones);
    call.attributes[0] = (attribute)DRIVER_TEXT("mode", modes[m]);
    bench_refuse(&bench, &call, NORMA_ERROR_RUN, "dimension 0 has no elements to pad with");
  }
  driver_call call = CALL("Pad", 13, x, ones, x);
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "constant_value must be a scalar");
  call = CALL("Pad", 18, x, ones, NULL, bench_list(&bench, 1));
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "an axis is outside");
  call = CALL("Pad", 18, x, bench_list(&bench, 1, 1, 1, 1), NULL, bench_list(&bench, 0, -1));
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "comes twice");
  call = CALL("Pad", 13, x);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "pads is missing");
  call = CALL("Pad", 13, x, ones);
  call.attributes[0] = (attribute)DRIVER_STRING("mode", "mirror");
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "mode is \"mirror\"");
  call = CALL("Pad", 13, x, ones, bench_tensor(&bench, NORMA_DOUBLE, SCALAR, NULL));
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "float and double differ");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_and_mode),
      cmocka_unit_test(the_constant_is_zero_by_default),
      cmocka_unit_test(every_version),
      cmocka_unit_test(pads_of_some_axes),
      cmocka_unit_test(large_images),
      cmocka_unit_test(nothing_and_scalars),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
