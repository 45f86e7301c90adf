/* CumSum and CumProd: running sums and products along an axis, from either end, with or without the element itself. */
#include "tests/support/builtin_operator.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#define CUMULATE_TYPES                                                                                                 \
  (TYPES_FLOAT | TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64) | TYPE_BIT(NORMA_UINT32) | TYPE_BIT(NORMA_UINT64))

typedef struct cumulate_case {
  bool product, exclusive, reverse;
  int axis;
} cumulate_case;

static void check_cumulate(workbench *bench, const cumulate_case *c, const value *x, const value *axis) {
  const norma_element_type type = x->tensor.type;
  const bool is_float = (TYPE_BIT(type) & TYPES_FLOAT) != 0;
  const shape shape = shape_of_tensor(&x->tensor);
  value *expected = bench_make(bench, type, shape);
  for (int64_t i = 0; i < shape_count(&shape); i++) {
    int64_t at[NORMA_MAX_RANK];
    shape_coordinates(&shape, i, at);
    const int64_t place = at[c->axis], size = shape.dims[c->axis];
    double sum = c->product;
    uint64_t whole = c->product;
    for (int64_t n = 0; n < size; n++) { /* in the order of the sum, up to this place */
      const int64_t k = c->reverse ? size - 1 - n : n;
      if (k == place && c->exclusive) break;
      at[c->axis] = k;
      const int64_t from = shape_place(&shape, at);
      if (is_float)
        sum = c->product ? sum * driver_element(x, from) : sum + driver_element(x, from);
      else
        whole = c->product ? whole * (uint64_t)tensor_get_int64(&x->tensor, from)
                           : whole + (uint64_t)tensor_get_int64(&x->tensor, from);
      if (k == place) break;
    }
    if (is_float)
      element_set_double(type, expected->tensor.data, i, sum);
    else
      element_set_int64(type, expected->tensor.data, i, (int64_t)whole);
  }
  driver_call call = CALL(c->product ? "CumProd" : "CumSum", c->product ? 26 : 14, x, axis);
  call.attributes[0] = (attribute)DRIVER_INT("exclusive", c->exclusive);
  call.attributes[1] = (attribute)DRIVER_INT("reverse", c->reverse);
  if (!same_value(bench_run(bench, &call), expected)) {
    fail_msg("%s of %s%s%s", call.op_type, norma_element_type_name(type), c->exclusive ? ", exclusive" : "",
             c->reverse ? ", reverse" : "");
  }
}

static void every_type_and_way(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 24; round++) {
    FOR_TYPES(type, CUMULATE_TYPES) {
      const shape shape = random_shape(&bench.seed, 1, 4, 600);
      const cumulate_case c = {round & 1, round & 2, round & 4, (int)random_int(&bench.seed, 0, shape.rank - 1)};
      const double axis = random_int(&bench.seed, 0, 1) ? c.axis : c.axis - shape.rank;
      const bool is_unsigned = (TYPE_BIT(type) & TYPES_UNSIGNED) != 0;
      const value *x = bench_random(&bench, type, shape, is_unsigned ? 0 : -2, 2);
      check_cumulate(&bench, &c, x,
                     bench_tensor(&bench, round % 3 ? NORMA_INT32 : NORMA_INT64, round % 2 ? SCALAR : SHAPE(1), &axis));
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

static void long_lines(void **state) {
  static const shape shapes[] = {{2, {3, 5000}}, {2, {700, 9}}, {1, {6000}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t s = 0; s < COUNT(shapes); s++) {
    for (int axis = 0; axis < shapes[s].rank; axis++) {
      FOR_TYPES(type, TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_INT32)) {
        const shape shape = shapes[s];
        const value *x = bench_random(&bench, type, shape, -2, 2);
        driver_call call = CALL("CumSum", 14, x, bench_int(&bench, axis));
        const value *y = bench_run(&bench, &call);
        const int64_t size = shape.dims[axis], inner = dims_product(shape.dims, axis + 1, shape.rank);
        for (int64_t lane = 0; lane < shape_count(&shape) / size; lane++) {
          const int64_t first = lane / inner * size * inner + lane % inner;
          double sum = 0, rounded = 0; /* in double, rounded when stored */
          for (int64_t i = 0; i < size; i++) {
            sum += driver_element(x, first + i * inner);
            element_set_double(type, &rounded, 0, sum);
            assert_true(driver_element(y, first + i * inner) == element_get_double(type, &rounded, 0));
          }
        }
        bench_clear(&bench);
      }
    }
  }
  bench_finish(&bench);
}

static void limits(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *axis = bench_int(&bench, 0);
  driver_call call = CALL("CumSum", 14, bench_list(&bench, INT64_MAX, 1, -1), axis);
  check_ints(bench_run(&bench, &call), SHAPE(3), (const int64_t[]){INT64_MAX, INT64_MIN, INT64_MAX});
  FOR_TYPES(type, TYPES_FLOAT) {
    call.inputs[0] = bench_tensor(&bench, type, SHAPE(4), NUMBERS(1, INFINITY, -INFINITY, 2));
    check_tensor(bench_run(&bench, &call), type, SHAPE(4), NUMBERS(1, INFINITY, NAN, NAN));
    call.inputs[0] = bench_tensor(&bench, type, SHAPE(2, 0), NULL);
    check_tensor(bench_run(&bench, &call), type, SHAPE(2, 0), NULL);
  }
  bench_finish(&bench);
}

static void every_version(void **state) {
  const operator_descriptor *op = builtin_operator("", "CumSum");
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int v = 0; op->versions[v]; v++) { /* neither exclusive nor reverse by default */
    driver_call call = CALL("CumSum", op->versions[v], bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NUMBERS(1, 2, 3)),
                            bench_int(&bench, 0));
    check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(3), NUMBERS(1, 3, 6));
  }
  bench_finish(&bench);
}

static void axes_outside_are_errors(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3), NULL);
  const value *const axes[] = {bench_int(&bench, 2), bench_int(&bench, -3), bench_int(&bench, INT64_MIN),
                               bench_list(&bench, 0, 1), bench_ints(&bench, SHAPE(0), NULL)};
  for (size_t i = 0; i < COUNT(axes); i++) {
    driver_call call = CALL("CumSum", 14, x, axes[i]);
    bench_refuse(&bench, &call, NORMA_ERROR_RUN, "axis must be one number within rank 2");
  }
  driver_call call = CALL("CumSum", 14, bench_tensor(&bench, NORMA_FLOAT, SCALAR, NULL), axes[0]);
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "within rank 0");
  call = CALL("CumSum", 14, bench_tensor(&bench, NORMA_INT8, SHAPE(2), NULL), axes[0]);
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type int8");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_and_way),
      cmocka_unit_test(long_lines),
      cmocka_unit_test(limits),
      cmocka_unit_test(every_version),
      cmocka_unit_test(axes_outside_are_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
