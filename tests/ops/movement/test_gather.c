/* Gather, GatherElements and GatherND against index arithmetic, for elements of every type. */
#include "tests/support/builtin_operator.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#define MOST 40000

static int64_t sources[MOST], indices[MOST];

/* Indices of both signs into a dimension of `size`. */
static const value *random_indices(workbench *bench, norma_element_type type, shape shape, int64_t size) {
  value *made = bench_make(bench, type, shape);
  for (int64_t i = 0; i < shape_count(&shape); i++) {
    indices[i] = random_int(&bench->seed, -size, size - 1);
    element_set_int64(type, made->tensor.data, i, indices[i]);
    if (indices[i] < 0) indices[i] += size;
  }
  return made;
}

/* ----------------------------------------------------------------------------------------------------------- Gather */

static void check_gather(workbench *bench, norma_element_type type, norma_element_type index_type, shape data,
                         shape chosen, int axis, int64_t given_axis) {
  shape to = {0};
  int64_t at[NORMA_MAX_RANK], source[NORMA_MAX_RANK];
  const value *x = bench_numbered(bench, type, data),
              *index = random_indices(bench, index_type, chosen, data.dims[axis]);
  for (int i = 0; i < axis; i++) to.dims[to.rank++] = data.dims[i];
  for (int i = 0; i < chosen.rank; i++) to.dims[to.rank++] = chosen.dims[i];
  for (int i = axis + 1; i < data.rank; i++) to.dims[to.rank++] = data.dims[i];
  for (int64_t i = 0; i < shape_count(&to); i++) {
    shape_coordinates(&to, i, at);
    for (int k = 0; k < axis; k++) source[k] = at[k];
    source[axis] = indices[shape_place(&chosen, at + axis)];
    for (int k = axis + 1; k < data.rank; k++) source[k] = at[k - 1 + chosen.rank];
    sources[i] = shape_place(&data, source);
  }
  driver_call call = CALL("Gather", 13, x, index);
  if (given_axis) call.attributes[0] = (attribute)DRIVER_INT("axis", given_axis);
  check_moved(bench_run(bench, &call), to, x, sources, NULL);
  bench_clear(bench);
}

static void gather_takes_slices(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 10; round++) {
    FOR_TYPES(type, TYPES_ALL) {
      const shape data = random_shape(&bench.seed, 1, 3, 200);
      const int axis = (int)random_int(&bench.seed, 0, data.rank - 1);
      const shape chosen = data.dims[axis] ? random_shape(&bench.seed, 0, 2, 100) : SHAPE(0);
      check_gather(&bench, type, round % 2 ? NORMA_INT32 : NORMA_INT64, data, chosen, axis,
                   round % 3 ? axis : axis - data.rank);
    }
  }
  bench_finish(&bench);
}

/* Rows of an embedding, and single elements, for several workers. */
static void many_indices(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPE_BIT(NORMA_UINT8) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_INT64)) {
    check_gather(&bench, type, NORMA_INT64, SHAPE(50, 33), SHAPE(7, 150), 0, 0);
    check_gather(&bench, type, NORMA_INT32, SHAPE(300), SHAPE(30000), 0, 0);
    check_gather(&bench, type, NORMA_INT32, SHAPE(3, 5, 2), SHAPE(1000), 1, 1);
  }
  bench_finish(&bench);
}

/* --------------------------------------------------------------------------------------------------- GatherElements */

static void gather_elements_takes_elements(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 10; round++) {
    FOR_TYPES(type, TYPES_ALL) {
      const shape data = random_shape(&bench.seed, 1, 4, 1000);
      const int axis = (int)random_int(&bench.seed, 0, data.rank - 1);
      shape chosen = data;
      int64_t at[NORMA_MAX_RANK];
      for (int i = 0; i < data.rank; i++) chosen.dims[i] = random_int(&bench.seed, 0, data.dims[i]);
      chosen.dims[axis] = data.dims[axis] ? random_int(&bench.seed, 0, 9) : 0;
      const value *x = bench_numbered(&bench, type, data);
      const value *index = random_indices(&bench, round % 2 ? NORMA_INT32 : NORMA_INT64, chosen, data.dims[axis]);
      for (int64_t i = 0; i < shape_count(&chosen); i++) {
        shape_coordinates(&chosen, i, at);
        at[axis] = indices[i];
        sources[i] = shape_place(&data, at);
      }
      driver_call call = CALL("GatherElements", round % 3 ? 11 : 13, x, index);
      call.attributes[0] = (attribute)DRIVER_INT("axis", round % 4 ? axis : axis - data.rank);
      check_moved(bench_run(&bench, &call), chosen, x, sources, NULL);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

/* --------------------------------------------------------------------------------------------------------- GatherND */

static void gather_nd_takes_tuples(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 12; round++) {
    FOR_TYPES(type, TYPES_ALL) {
      const shape data = random_shape(&bench.seed, 1, 4, 500);
      const int batch = (int)random_int(&bench.seed, 0, data.rank - 1),
                tuple = (int)random_int(&bench.seed, 1, data.rank - batch);
      if (shape_count(&data) == 0) continue;
      shape list = shape_make(batch, data.dims);
      if (random_int(&bench.seed, 0, 2)) list.dims[list.rank++] = random_int(&bench.seed, 0, 6);
      const int64_t tuples = shape_count(&list);
      shape to = list;
      list.dims[list.rank++] = tuple;
      for (int i = batch + tuple; i < data.rank; i++) to.dims[to.rank++] = data.dims[i];
      value *index = bench_make(&bench, round % 2 ? NORMA_INT32 : NORMA_INT64, list);
      for (int64_t i = 0; i < tuples * tuple; i++) {
        const int64_t size = data.dims[batch + i % tuple];
        indices[i] = random_int(&bench.seed, -size, size - 1);
        element_set_int64(index->tensor.type, index->tensor.data, i, indices[i]);
      }
      const int64_t block = dims_product(data.dims, batch + tuple, data.rank);
      for (int64_t i = 0; i < shape_count(&to); i++) {
        const int64_t t = i / block, of_batch = t / (tuples / dims_product(data.dims, 0, batch));
        int64_t place = of_batch;
        for (int k = 0; k < tuple; k++) {
          const int64_t size = data.dims[batch + k], chosen = indices[t * tuple + k];
          place = place * size + (chosen < 0 ? chosen + size : chosen);
        }
        sources[i] = place * block + i % block;
      }
      const value *x = bench_numbered(&bench, type, data);
      driver_call call = CALL("GatherND", batch ? 12 : round % 3 ? 11 : 13, x, index);
      if (batch) call.attributes[0] = (attribute)DRIVER_INT("batch_dims", batch);
      check_moved(bench_run(&bench, &call), to, x, sources, NULL);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

/* --------------------------------------------------------------------------------------------------------- refusals */

static void indices_outside_are_errors(void **state) {
  static const char *const ops[] = {"Gather", "GatherElements", "GatherND"};
  static const int64_t wrong[] = {3, -4, INT64_MAX, INT64_MIN, INT32_MIN};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NUMBERS(1, 2, 3));
  for (size_t o = 0; o < COUNT(ops); o++) {
    for (size_t i = 0; i < COUNT(wrong); i++) {
      const bool is_tuple = o == 2;
      const int64_t list[] = {0, 1, wrong[i]};
      driver_call call = CALL(ops[o], 13, x, bench_ints(&bench, is_tuple ? SHAPE(3, 1) : SHAPE(3), list));
      bench_refuse(&bench, &call, NORMA_ERROR_RUN, "index");
    }
    /* Nothing can be taken from nothing, but nothing may be. */
    driver_call call = CALL(ops[o], 13, bench_tensor(&bench, NORMA_FLOAT, SHAPE(0), NULL),
                            bench_ints(&bench, o == 2 ? SHAPE(1, 1) : SHAPE(1), (const int64_t[]){0}));
    bench_refuse(&bench, &call, NORMA_ERROR_RUN, "index");
    call.inputs[1] = bench_ints(&bench, o == 2 ? SHAPE(0, 1) : SHAPE(0), NULL);
    check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(0), NULL);
  }
  bench_finish(&bench);
}

static void shapes_that_do_not_fit_are_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3), NULL),
              *scalar = bench_tensor(&bench, NORMA_FLOAT, SCALAR, NULL);
  const value *two = bench_list(&bench, 0, 1), *square = bench_ints(&bench, SHAPE(3, 3), NULL);
  static const int64_t outside[] = {2, -3, INT64_MAX, INT64_MIN};
  for (size_t i = 0; i < COUNT(outside); i++) {
    driver_call call = CALL("Gather", 13, x, two);
    call.attributes[0] = (attribute)DRIVER_INT("axis", outside[i]);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "is outside a tensor of rank 2");
    call = CALL("GatherElements", 13, x, square);
    call.attributes[0] = (attribute)DRIVER_INT("axis", outside[i]);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "do not fit");
  }
  driver_call call = CALL("Gather", 13, scalar, two);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "is outside a tensor of rank 0");
  call = CALL("Gather", 13, x, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1), NULL));
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type float");
  shape long_list = shape_of_rank(NORMA_MAX_RANK);
  for (int i = 0; i < NORMA_MAX_RANK; i++) long_list.dims[i] = 1;
  call = CALL("Gather", 13, x, bench_ints(&bench, long_list, NULL));
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "the output's rank is too large");
  call = CALL("GatherElements", 13, x, two);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "data of rank 2, indices of rank 1");
  call = CALL("GatherElements", 13, x, square);
  call.attributes[0] = (attribute)DRIVER_INT("axis", 1);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "indices have 3 entries in dimension 0, the data only 2");
  call = CALL("GatherND", 13, x, square);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "tuples of 3 indices do not fit rank 2");
  call = CALL("GatherND", 13, x, bench_ints(&bench, SHAPE(3, 0), NULL));
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "tuples of 0 indices do not fit rank 2");
  call = CALL("GatherND", 13, x, square);
  call.attributes[0] = (attribute)DRIVER_INT("batch_dims", 1);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "differ in batch dimension 0");
  call.attributes[0].i = 2;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "batch_dims 2 does not fit ranks 2 and 2");
  call.attributes[0].i = -1;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "batch_dims is -1");
  call.attributes[0].i = INT64_MAX;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "batch_dims is");
  call.opset = 11;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute batch_dims");
  bench_finish(&bench);
}

static void every_version(void **state) {
  static const char *const ops[] = {"Gather", "GatherElements", "GatherND"};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NUMBERS(1, 2, 3));
  for (size_t o = 0; o < COUNT(ops); o++) {
    const operator_descriptor *op = builtin_operator("", ops[o]);
    for (int v = 0; op->versions[v]; v++) {
      driver_call call = CALL(ops[o], op->versions[v], x,
                              bench_ints(&bench, o == 2 ? SHAPE(2, 1) : SHAPE(2), (const int64_t[]){2, 0}));
      check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(2), NUMBERS(3, 1));
    }
  }
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gather_takes_slices),
      cmocka_unit_test(many_indices),
      cmocka_unit_test(gather_elements_takes_elements),
      cmocka_unit_test(gather_nd_takes_tuples),
      cmocka_unit_test(indices_outside_are_errors),
      cmocka_unit_test(shapes_that_do_not_fit_are_refused),
      cmocka_unit_test(every_version),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
