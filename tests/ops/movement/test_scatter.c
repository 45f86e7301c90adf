/* ScatterElements, Scatter and ScatterND: a copy of the data in which updates replace elements, or join them. */
#include "tests/support/builtin_operator.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

static const char *const reductions[] = {"none", "add", "mul", "min", "max"};

static double join(int reduction, double x, double update) {
  switch (reduction) {
  case 1:
    return x + update;
  case 2:
    return x * update;
  case 3:
    return isnan(x) || x < update ? x : update;
  case 4:
    return isnan(x) || x > update ? x : update;
  default:
    return update;
  }
}

/* Integers wrap around. */
static int64_t join_whole(int reduction, int64_t x, int64_t update) {
  if (reduction == 1) return (int64_t)((uint64_t)x + (uint64_t)update);
  if (reduction == 2) return (int64_t)((uint64_t)x * (uint64_t)update);
  return (int64_t)join(reduction, (double)x, (double)update);
}

/* Element `at` of y, joined with element `from` of the updates; numbers are rounded each time. */
static void apply(value *y, int64_t at, const value *updates, int64_t from, int reduction) {
  const norma_element_type type = y->tensor.type;
  if (type == NORMA_STRING) {
    ((norma_string *)y->tensor.data)[at] = ((const norma_string *)updates->tensor.data)[from];
  } else if (reduction == 0 && element_type_bytes(type) > 0) {
    const size_t bytes = element_type_bytes(type);
    memcpy((char *)y->tensor.data + (size_t)at * bytes, (const char *)updates->tensor.data + (size_t)from * bytes,
           bytes);
  } else if (TYPE_BIT(type) & TYPES_INTEGER) {
    const int64_t x = tensor_get_int64(&y->tensor, at), update = tensor_get_int64(&updates->tensor, from);
    element_set_int64(type, y->tensor.data, at, join_whole(reduction, x, update));
  } else {
    element_set_double(type, y->tensor.data, at, join(reduction, driver_element(y, at), driver_element(updates, from)));
  }
}

/* A copy that can be changed. */
static value *copy_of(workbench *bench, const value *x) {
  value *copy = bench_make(bench, x->tensor.type, shape_of_tensor(&x->tensor));
  if (x->tensor.size_bytes) memcpy(copy->tensor.data, x->tensor.data, x->tensor.size_bytes);
  return copy;
}

static bool can_be_joined(norma_element_type type) {
  return (TYPE_BIT(type) & TYPES_NUMERIC) != 0;
}

/* -------------------------------------------------------------------------------------------------- ScatterElements */

static void check_elements(workbench *bench, norma_element_type type, int reduction) {
  shape data, chosen;
  do {
    data = random_shape(&bench->seed, 1, 4, 500);
  } while (shape_count(&data) == 0);
  const int axis = (int)random_int(&bench->seed, 0, data.rank - 1);
  chosen = data;
  for (int i = 0; i < data.rank; i++) chosen.dims[i] = random_int(&bench->seed, 0, data.dims[i]);
  chosen.dims[axis] =
      random_int(&bench->seed, 0, 2 * data.dims[axis] > 20 ? 20 : 2 * data.dims[axis]); /* indices come twice */
  const value *x = bench_numbered(bench, type, data), *updates = bench_numbered(bench, type, chosen);
  value *indices = bench_make(bench, random_int(&bench->seed, 0, 1) ? NORMA_INT32 : NORMA_INT64, chosen),
        *y = copy_of(bench, x);
  for (int64_t i = 0; i < shape_count(&chosen); i++) {
    int64_t at[NORMA_MAX_RANK];
    const int64_t index = random_int(&bench->seed, -data.dims[axis], data.dims[axis] - 1);
    element_set_int64(indices->tensor.type, indices->tensor.data, i, index);
    shape_coordinates(&chosen, i, at);
    at[axis] = index < 0 ? index + data.dims[axis] : index;
    apply(y, shape_place(&data, at), updates, i, reduction);
  }
  driver_call call = CALL("ScatterElements", 18, x, indices, updates);
  call.attributes[0] = (attribute)DRIVER_INT("axis", random_int(&bench->seed, 0, 1) ? axis : axis - data.rank);
  call.attributes[1] = (attribute)DRIVER_TEXT("reduction", reductions[reduction]);
  if (!same_value(bench_run(bench, &call), y)) fail_msg("%s, %s", norma_element_type_name(type), reductions[reduction]);
  bench_clear(bench);
}

static void elements_of_every_type_and_reduction(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 10; round++) {
    FOR_TYPES(type, TYPES_ALL) {
      for (int r = 0; r < (can_be_joined(type) ? 5 : 1); r++) check_elements(&bench, type, r);
    }
  }
  bench_finish(&bench);
}

/* -------------------------------------------------------------------------------------------------------- ScatterND */

static void check_slices(workbench *bench, norma_element_type type, int reduction) {
  shape data, list = {0}, of_updates = {0};
  do {
    data = random_shape(&bench->seed, 1, 4, 500);
  } while (shape_count(&data) == 0);
  const int tuple = (int)random_int(&bench->seed, 0, data.rank);
  list.dims[list.rank++] = random_int(&bench->seed, 0, 4);
  if (random_int(&bench->seed, 0, 1)) list.dims[list.rank++] = random_int(&bench->seed, 1, 3);
  of_updates = list;
  list.dims[list.rank++] = tuple;
  for (int i = tuple; i < data.rank; i++) of_updates.dims[of_updates.rank++] = data.dims[i];
  const value *x = bench_numbered(bench, type, data), *updates = bench_numbered(bench, type, of_updates);
  value *indices = bench_make(bench, random_int(&bench->seed, 0, 1) ? NORMA_INT32 : NORMA_INT64, list),
        *y = copy_of(bench, x);
  const int64_t block = dims_product(data.dims, tuple, data.rank);
  for (int64_t t = 0; t < dims_product(list.dims, 0, list.rank - 1); t++) {
    int64_t place = 0;
    for (int k = 0; k < tuple; k++) {
      const int64_t index = random_int(&bench->seed, -data.dims[k], data.dims[k] - 1);
      element_set_int64(indices->tensor.type, indices->tensor.data, t * tuple + k, index);
      place = place * data.dims[k] + (index < 0 ? index + data.dims[k] : index);
    }
    for (int64_t i = 0; i < block; i++) apply(y, place * block + i, updates, t * block + i, reduction);
  }
  driver_call call = CALL("ScatterND", 18, x, indices, updates);
  call.attributes[0] = (attribute)DRIVER_TEXT("reduction", reductions[reduction]);
  if (!same_value(bench_run(bench, &call), y)) fail_msg("%s, %s", norma_element_type_name(type), reductions[reduction]);
  bench_clear(bench);
}

static void slices_of_every_type_and_reduction(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 10; round++) {
    FOR_TYPES(type, TYPES_ALL) {
      for (int r = 0; r < (can_be_joined(type) ? 5 : 1); r++) check_slices(&bench, type, r);
    }
  }
  bench_finish(&bench);
}

/* ----------------------------------------------------------------------------------------------------------- limits */

static void integers_are_joined_exactly(void **state) {
  static const struct {
    const char *reduction;
    int64_t of_signed;
    uint64_t of_unsigned;
  } cases[] = {{"add", INT64_MIN, 0}, {"mul", INT64_MAX, UINT64_MAX}, {"min", 1, 1}, {"max", INT64_MAX, UINT64_MAX}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *zero = bench_list(&bench, 0);
  value *u = bench_make(&bench, NORMA_UINT64, SHAPE(1)), *one = bench_make(&bench, NORMA_UINT64, SHAPE(1));
  *(uint64_t *)u->tensor.data = UINT64_MAX;
  *(uint64_t *)one->tensor.data = 1;
  for (size_t c = 0; c < COUNT(cases); c++) {
    driver_call call = CALL("ScatterElements", 18, bench_list(&bench, INT64_MAX), zero, bench_list(&bench, 1));
    call.attributes[0] = (attribute)DRIVER_TEXT("reduction", cases[c].reduction);
    check_ints(bench_run(&bench, &call), SHAPE(1), &cases[c].of_signed);
    call.inputs[0] = u;
    call.inputs[2] = one;
    assert_true(*(const uint64_t *)bench_run(&bench, &call)->tensor.data == cases[c].of_unsigned);
  }
  bench_finish(&bench);
}

static void not_a_number_stays(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_FLOAT) {
    for (int r = 1; r < 5; r++) {
      driver_call call = CALL("ScatterElements", 18, bench_tensor(&bench, type, SHAPE(2), NUMBERS(NAN, 1)),
                              bench_list(&bench, 0, 1), bench_tensor(&bench, type, SHAPE(2), NUMBERS(1, NAN)));
      call.attributes[0] = (attribute)DRIVER_TEXT("reduction", reductions[r]);
      check_tensor(bench_run(&bench, &call), type, SHAPE(2), NUMBERS(NAN, NAN));
    }
  }
  bench_finish(&bench);
}

static void every_version(void **state) {
  static const char *const ops[] = {"ScatterElements", "Scatter", "ScatterND"};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t o = 0; o < COUNT(ops); o++) {
    const operator_descriptor *op = builtin_operator("", ops[o]);
    for (int v = 0; op->versions[v]; v++) {
      const shape list = o == 2 ? SHAPE(2, 1) : SHAPE(2);
      driver_call call = CALL(ops[o], op->versions[v], bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NUMBERS(1, 2, 3)),
                              bench_ints(&bench, list, (const int64_t[]){2, -3}),
                              bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NUMBERS(7, 8)));
      check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(3), NUMBERS(8, 2, 7));
      call.attributes[0] = (attribute)DRIVER_STRING("reduction", "none");
      if (op->versions[v] < 16) bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute reduction");
    }
  }
  bench_finish(&bench);
}

/* --------------------------------------------------------------------------------------------------------- refusals */

static void indices_outside_are_errors(void **state) {
  static const char *const ops[] = {"ScatterElements", "Scatter", "ScatterND"};
  static const int64_t wrong[] = {3, -4, INT64_MAX, INT64_MIN};
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_INT4) | TYPE_BIT(NORMA_STRING)) {
    for (size_t o = 0; o < COUNT(ops); o++) {
      for (size_t i = 0; i < COUNT(wrong); i++) {
        driver_call call = CALL(ops[o], 13, bench_make(&bench, type, SHAPE(3)),
                                bench_ints(&bench, o == 2 ? SHAPE(2, 1) : SHAPE(2), (const int64_t[]){0, wrong[i]}),
                                bench_make(&bench, type, SHAPE(2)));
        bench_refuse(&bench, &call, NORMA_ERROR_RUN, "is outside an axis of 3");
      }
    }
  }
  bench_finish(&bench);
}

static void shapes_that_do_not_fit_are_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3), NULL),
              *two = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL);
  const value *list = bench_list(&bench, 0, 1), *wide = bench_ints(&bench, SHAPE(1, 4), NULL),
              *floats = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 4), NULL);
  driver_call call = CALL("ScatterElements", 18, x, list, two);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "data of rank 2, indices of rank 1");
  call = CALL("ScatterElements", 18, x, wide, two);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "indices and updates differ in shape");
  call = CALL("ScatterElements", 18, x, wide, floats);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "indices have 4 entries in dimension 1, the data only 3");
  call.attributes[0] = (attribute)DRIVER_INT("axis", 2);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "axis 2 do not fit");
  call.attributes[0] = (attribute)DRIVER_STRING("reduction", "sub");
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "reduction is \"sub\"");
  call = CALL("ScatterND", 18, x, wide, floats);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "tuples of 4 indices do not fit rank 2");
  call = CALL("ScatterND", 18, x, bench_ints(&bench, SHAPE(2, 1), NULL), two);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "updates do not fit data and indices");
  call = CALL("ScatterND", 18, x, bench_int(&bench, 0), two);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "tuples of 0 indices do not fit");
  call = CALL("ScatterND", 18, x, bench_ints(&bench, SHAPE(2, 2), NULL),
              bench_tensor(&bench, NORMA_DOUBLE, SHAPE(2), NULL));
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "float and double differ");
  const value *s = bench_strings(&bench, SHAPE(2), (const char *[]){"a", "b"});
  call = CALL("ScatterElements", 18, s, list, s);
  call.attributes[0] = (attribute)DRIVER_STRING("reduction", "add");
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "string cannot be added or compared");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(elements_of_every_type_and_reduction),
      cmocka_unit_test(slices_of_every_type_and_reduction),
      cmocka_unit_test(integers_are_joined_exactly),
      cmocka_unit_test(not_a_number_stays),
      cmocka_unit_test(every_version),
      cmocka_unit_test(indices_outside_are_errors),
      cmocka_unit_test(shapes_that_do_not_fit_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
