/* Reshape, Flatten, Squeeze, Unsqueeze and Identity: other shapes for the same elements in the same order. */
#include "tests/support/builtin_operator.h"
#include "tests/support/workbench.h"

#define MOST 1000

static int64_t in_order[MOST];

/* Output 0 is x with this shape, for elements of every type. */
static void check_order(workbench *bench, driver_call *call, shape from, shape to) {
  for (int i = 0; i < MOST; i++) in_order[i] = i;
  FOR_TYPES(type, TYPES_ALL) {
    const value *x = bench_numbered(bench, type, from);
    call->inputs[0] = x;
    check_moved(bench_run(bench, call), to, x, in_order, NULL);
  }
}

static const value *list_of(workbench *bench, int count, const int64_t *elements) {
  return bench_ints(bench, SHAPE(count), elements);
}

/* ---------------------------------------------------------------------------------------------------------- Reshape */

static const struct {
  shape from;
  int64_t allow_zero;
  int count;
  int64_t wanted[4];
  shape to;
} reshapes[] = {
    {{3, {2, 3, 4}}, 0, 2, {6, 4}, {2, {6, 4}}},
    {{3, {2, 3, 4}}, 0, 2, {0, -1}, {2, {2, 12}}}, /* 0 copies, -1 takes the rest */
    {{3, {2, 3, 4}}, 0, 3, {-1, 0, 1}, {3, {8, 3, 1}}},
    {{3, {2, 3, 4}}, 0, 1, {-1}, {1, {24}}},
    {{3, {2, 3, 4}}, 0, 4, {1, -1, 1, 4}, {4, {1, 6, 1, 4}}},
    {{3, {2, 3, 4}}, 1, 2, {-1, 4}, {2, {6, 4}}},
    {{2, {1, 1}}, 0, 0, {0}, {0, {0}}}, /* a scalar */
    {{0, {0}}, 0, 3, {1, 1, 1}, {3, {1, 1, 1}}},
    {{3, {0, 3, 4}}, 0, 3, {3, 0, -1}, {3, {3, 3, 0}}}, /* 3 x 3 x ? has no elements */
    {{3, {0, 3, 4}}, 1, 2, {0, 5}, {2, {0, 5}}},        /* 0 is a size */
    {{2, {0, 3}}, 0, 2, {0, 7}, {2, {0, 7}}},
    {{2, {3, 0}}, 1, 3, {2, 0, 9}, {3, {2, 0, 9}}},
};

static void reshape_keeps_the_order(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < COUNT(reshapes); c++) {
    driver_call call = CALL("Reshape", 25, NULL, list_of(&bench, reshapes[c].count, reshapes[c].wanted));
    call.attributes[0] = (attribute)DRIVER_INT("allowzero", reshapes[c].allow_zero);
    check_order(&bench, &call, reshapes[c].from, reshapes[c].to);
  }
  bench_finish(&bench);
}

static void reshape_of_every_version(void **state) {
  static const int64_t wanted[] = {3, 0, -1};
  const operator_descriptor *op = builtin_operator("", "Reshape");
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int v = 0; op->versions[v]; v++) {
    driver_call call = CALL("Reshape", op->versions[v], NULL, list_of(&bench, 3, wanted));
    if (op->versions[v] < 5) {
      call.attributes[0] = (attribute)DRIVER_INTS("shape", 3, wanted);
      call.input_count = 1;
    }
    check_order(&bench, &call, SHAPE(6, 2), SHAPE(3, 2, 2));
  }
  bench_finish(&bench);
}

static void reshape_refuses(void **state) {
  static const struct {
    int count;
    int64_t wanted[3];
    int64_t allow_zero;
    norma_status status;
    const char *words;
  } cases[] = {{2, {5, 5}, 0, NORMA_ERROR_INPUT, "24 elements cannot become 25"},
               {2, {-1, -1}, 0, NORMA_ERROR_INPUT, "more than one -1"},
               {1, {-2}, 0, NORMA_ERROR_INPUT, "negative size -2"},
               {2, {-1, 5}, 0, NORMA_ERROR_INPUT, "cannot be divided by 5"},
               {3, {6, 4, 0}, 0, NORMA_ERROR_INPUT, "copies dimension 2"},
               {2, {-1, 0}, 1, NORMA_ERROR_INPUT, "both 0 and -1"},
               {2, {0, 24}, 1, NORMA_ERROR_INPUT, "24 elements cannot become 0"},
               {2, {INT64_MAX, 2}, 0, NORMA_ERROR_INPUT, "too large"},
               {1, {INT64_MIN}, 0, NORMA_ERROR_INPUT, "negative size"}};
  static const int64_t ones[NORMA_MAX_RANK + 1] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(6, 4), NULL);
  for (size_t c = 0; c < COUNT(cases); c++) {
    driver_call call = CALL("Reshape", 14, x, list_of(&bench, cases[c].count, cases[c].wanted));
    call.attributes[0] = (attribute)DRIVER_INT("allowzero", cases[c].allow_zero);
    bench_refuse(&bench, &call, cases[c].status, cases[c].words);
    call.constants = INPUT(0) | INPUT(1);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, cases[c].words);
  }
  driver_call call = CALL("Reshape", 14, x, list_of(&bench, NORMA_MAX_RANK + 1, ones));
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "at most 16 integers");
  call.inputs[1] = bench_ints(&bench, SHAPE(1, 2), (const int64_t[]){6, 4}); /* no list */
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "must be a list");
  call.inputs[1] = bench_tensor(&bench, NORMA_INT32, SHAPE(1), NUMBERS(24));
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type int32");
  call.input_count = 1;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "input 1 (shape) is missing");
  call = CALL("Reshape", 13, x, list_of(&bench, 1, (const int64_t[]){-1}));
  call.attributes[0] = (attribute)DRIVER_INT("allowzero", 0);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute allowzero");
  bench_finish(&bench);
}

/* ---------------------------------------------------------------------------------------------------------- Flatten */

static void flatten_to_a_matrix(void **state) {
  static const struct {
    int64_t axis;
    shape to;
  } cases[] = {{0, {2, {1, 24}}}, {1, {2, {2, 12}}},  {2, {2, {6, 4}}},  {3, {2, {24, 1}}},
               {-1, {2, {6, 4}}}, {-3, {2, {1, 24}}}, {-2, {2, {2, 12}}}};
  const operator_descriptor *op = builtin_operator("", "Flatten");
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < COUNT(cases); c++) {
    driver_call call = CALL("Flatten", 25, NULL);
    call.attributes[0] = (attribute)DRIVER_INT("axis", cases[c].axis);
    check_order(&bench, &call, SHAPE(2, 3, 4), cases[c].to);
  }
  for (int v = 0; op->versions[v]; v++) {
    driver_call call = CALL("Flatten", op->versions[v], NULL); /* axis is 1 */
    check_order(&bench, &call, SHAPE(2, 3, 4), SHAPE(2, 12));
    check_order(&bench, &call, SHAPE(0, 3, 4), SHAPE(0, 12));
    check_order(&bench, &call, SHAPE(5), SHAPE(5, 1));
  }
  driver_call scalar = CALL("Flatten", 13, NULL);
  scalar.attributes[0] = (attribute)DRIVER_INT("axis", 0);
  check_order(&bench, &scalar, SCALAR, SHAPE(1, 1));
  bench_finish(&bench);
}

static void flatten_refuses_axes_outside(void **state) {
  static const int64_t outside[] = {4, -4, 17, INT64_MAX, INT64_MIN};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t i = 0; i < COUNT(outside); i++) {
    driver_call call = CALL("Flatten", 13, bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3, 4), NULL));
    call.attributes[0] = (attribute)DRIVER_INT("axis", outside[i]);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "axis");
  }
  bench_finish(&bench);
}

/* -------------------------------------------------------------------------------------------- Squeeze and Unsqueeze */

static const struct {
  const char *op;
  shape from;
  int count; /* of axes; -1: none are given */
  int64_t axes[3];
  shape to;
} ones[] = {
    {"Squeeze", {4, {1, 3, 1, 2}}, 2, {0, 2}, {2, {3, 2}}},
    {"Squeeze", {4, {1, 3, 1, 2}}, 1, {-4}, {3, {3, 1, 2}}},
    {"Squeeze", {4, {1, 3, 1, 2}}, 2, {-2, 0}, {2, {3, 2}}},
    {"Squeeze", {4, {1, 3, 1, 2}}, -1, {0}, {2, {3, 2}}},
    {"Squeeze", {4, {1, 3, 1, 2}}, 0, {0}, {4, {1, 3, 1, 2}}},
    {"Squeeze", {3, {1, 1, 1}}, -1, {0}, {0, {0}}},
    {"Squeeze", {3, {1, 0, 1}}, -1, {0}, {1, {0}}},
    {"Unsqueeze", {2, {3, 2}}, 2, {0, 2}, {4, {1, 3, 1, 2}}},
    {"Unsqueeze", {2, {3, 2}}, 2, {2, 0}, {4, {1, 3, 1, 2}}}, /* in any order */
    {"Unsqueeze", {2, {3, 2}}, 3, {0, -1, 1}, {5, {1, 1, 3, 2, 1}}},
    {"Unsqueeze", {0, {0}}, 2, {0, 1}, {2, {1, 1}}},
    {"Unsqueeze", {1, {0}}, 1, {1}, {2, {0, 1}}},
};

static void dimensions_of_one_come_and_go(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < COUNT(ones); c++) {
    const operator_descriptor *op = builtin_operator("", ones[c].op);
    for (int v = 0; op->versions[v]; v++) {
      driver_call call = CALL(ones[c].op, op->versions[v], NULL);
      if (ones[c].count >= 0 && op->versions[v] >= 13)
        call.inputs[call.input_count++] = list_of(&bench, ones[c].count, ones[c].axes);
      if (ones[c].count >= 0 && op->versions[v] < 13)
        call.attributes[0] = (attribute)DRIVER_INTS("axes", (size_t)ones[c].count, ones[c].axes);
      check_order(&bench, &call, ones[c].from, ones[c].to);
    }
  }
  bench_finish(&bench);
}

static void axes_that_do_not_fit_are_refused(void **state) {
  static const struct {
    const char *op;
    int count;
    int64_t axes[2];
    const char *words;
  } cases[] = {{"Squeeze", 1, {1}, "dimension 1 has size 3 and cannot be squeezed"},
               {"Squeeze", 1, {3}, "axes do not fit rank 3"},
               {"Squeeze", 1, {-4}, "axes do not fit rank 3"},
               {"Squeeze", 2, {0, -3}, "axes do not fit rank 3"}, /* twice the same */
               {"Squeeze", 1, {INT64_MIN}, "axes do not fit rank 3"},
               {"Unsqueeze", 1, {4}, "axes do not fit an output of rank 4"},
               {"Unsqueeze", 1, {-5}, "axes do not fit an output of rank 4"},
               {"Unsqueeze", 2, {0, -5}, "axes do not fit an output of rank 5"},
               {"Unsqueeze", 1, {INT64_MAX}, "axes do not fit an output of rank 4"}};
  static const int64_t many[NORMA_MAX_RANK + 1] = {0};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 3, 1), NULL);
  for (size_t c = 0; c < COUNT(cases); c++) {
    driver_call call = CALL(cases[c].op, 13, x, list_of(&bench, cases[c].count, cases[c].axes));
    bench_refuse(&bench, &call, NORMA_ERROR_INPUT, cases[c].words);
    call = CALL(cases[c].op, 11, x);
    call.attributes[0] = (attribute)DRIVER_INTS("axes", (size_t)cases[c].count, cases[c].axes);
    bench_refuse(&bench, &call, c == 0 ? NORMA_ERROR_INPUT : NORMA_ERROR_INVALID_MODEL, cases[c].words);
    call.attributes[0] = (attribute)DRIVER_INTS("axes", COUNT(many), many);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "more than 16 axes");
  }
  driver_call call = CALL("Unsqueeze", 13, x);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "axes are missing");
  call.opset = 11;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute axes is missing");
  shape most = shape_of_rank(NORMA_MAX_RANK);
  for (int i = 0; i < most.rank; i++) most.dims[i] = 1;
  call = CALL("Unsqueeze", 13, bench_tensor(&bench, NORMA_FLOAT, most, NULL), list_of(&bench, 1, many));
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "rank 17");
  bench_finish(&bench);
}

/* --------------------------------------------------------------------------------------------------------- Identity */

static void identity_of_anything(void **state) {
  const operator_descriptor *op = builtin_operator("", "Identity");
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int v = 0; op->versions[v]; v++) {
    driver_call call = CALL("Identity", op->versions[v], NULL);
    check_order(&bench, &call, SHAPE(2, 3, 4), SHAPE(2, 3, 4));
    check_order(&bench, &call, SCALAR, SCALAR);
    check_order(&bench, &call, SHAPE(0, 3), SHAPE(0, 3));
  }
  const value *elements[] = {bench_numbered(&bench, NORMA_FLOAT, SHAPE(2)),
                             bench_numbered(&bench, NORMA_FLOAT, SHAPE(3, 1))};
  static const norma_value_kind kinds[] = {NORMA_VALUE_SEQUENCE, NORMA_VALUE_OPTIONAL};
  for (int k = 0; k < 2; k++) {
    for (int count = 0; count <= 2 - k; count++) {
      const value *x = bench_container(&bench, kinds[k], count, elements);
      driver_call call = CALL("Identity", 16, x);
      assert_true(same_value(bench_run_once(&bench, &call), x));
    }
  }
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reshape_keeps_the_order),
      cmocka_unit_test(reshape_of_every_version),
      cmocka_unit_test(reshape_refuses),
      cmocka_unit_test(flatten_to_a_matrix),
      cmocka_unit_test(flatten_refuses_axes_outside),
      cmocka_unit_test(dimensions_of_one_come_and_go),
      cmocka_unit_test(axes_that_do_not_fit_are_refused),
      cmocka_unit_test(identity_of_anything),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
