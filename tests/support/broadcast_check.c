#include "tests/support/broadcast_check.h"

#include <stdlib.h>

#define MOST_ELEMENTS 5000

static void check_once(workbench *bench, const broadcast_check *check) {
  shape a, b, result;
  random_broadcast(&bench->seed, MOST_ELEMENTS, &a, &b, &result);
  const norma_element_type z_type = check->z_type ? check->z_type : check->x_type;
  const value *x = bench_random(bench, check->x_type, a, check->low, check->high);
  const value *z = bench_random(bench, z_type, b, check->low, check->high);
  const int64_t count = shape_count(&result);
  double *expected = malloc(sizeof *expected * (size_t)(count + 1));
  assert_non_null(expected);
  for (int64_t i = 0; i < count; i++) {
    expected[i] = check->formula(driver_element(x, broadcast_place(&a, &result, i)),
                                 driver_element(z, broadcast_place(&b, &result, i)));
  }
  driver_call call = CALL(check->op, check->opset, x, z);
  call.attributes[0] = check->attribute;
  check_near(check->op, bench_run(bench, &call), check->y_type ? check->y_type : check->x_type, result, expected,
             check->relative);
  free(expected);
  bench_clear(bench);
}

void check_broadcast(workbench *bench, const broadcast_check *check, int rounds) {
  for (int i = 0; i < rounds; i++) check_once(bench, check);
}

#define EDGES 9

void check_integer_pairs(workbench *bench, const char *op, int64_t opset, const attribute *attribute, type_mask types,
                         integer_formula *formula, bool (*accepts)(int64_t x, int64_t z)) {
  FOR_TYPES(type, types) {
    const bool is_unsigned = (TYPE_BIT(type) & TYPES_UNSIGNED) != 0;
    const int64_t most = (int64_t)(UINT64_MAX >> (64 - element_type_bits(type) + !is_unsigned));
    const int64_t least = is_unsigned ? 0 : -most - 1;
    const int64_t edges[EDGES] = {least,    least + 1, is_unsigned ? 5 : -7, is_unsigned ? 2 : -1, 0, 1, 3,
                                  most - 1, most};
    int64_t xs[EDGES * EDGES], zs[EDGES * EDGES], count = 0;
    for (int i = 0; i < EDGES * EDGES; i++) {
      xs[count] = edges[i / EDGES];
      zs[count] = edges[i % EDGES];
      if (!accepts || accepts(xs[count], zs[count])) count++;
    }
    value *x = bench_make(bench, type, SHAPE(count)), *z = bench_make(bench, type, SHAPE(count));
    value *y = bench_make(bench, type, SHAPE(count));
    for (int64_t i = 0; i < count; i++) {
      element_set_int64(type, x->tensor.data, i, xs[i]);
      element_set_int64(type, z->tensor.data, i, zs[i]);
      element_set_int64(type, y->tensor.data, i, formula(xs[i], zs[i], is_unsigned));
    }
    driver_call call = CALL(op, opset, x, z);
    if (attribute) call.attributes[0] = *attribute;
    const value *found = bench_run(bench, &call);
    for (int64_t i = 0; i < count; i++) {
      const long long wanted = tensor_get_int64(&y->tensor, i), got = tensor_get_int64(&found->tensor, i);
      if (wanted != got || found->tensor.type != type) {
        fail_msg("%s of %s: %lld, %lld give %lld, not %lld", op, norma_element_type_name(type), (long long)xs[i],
                 (long long)zs[i], got, wanted);
      }
    }
    bench_clear(bench);
  }
}

void check_refuses_shapes(workbench *bench, const char *op, int64_t opset, norma_element_type type) {
  const value *a = bench_tensor(bench, type, SHAPE(2, 3), NULL), *b = bench_tensor(bench, type, SHAPE(2), NULL);
  driver_call call = CALL(op, opset, a, b);
  bench_refuse(bench, &call, NORMA_ERROR_INPUT, "shapes 2x3 and 2 cannot be broadcast");
  call.constants = INPUT(0) | INPUT(1); /* what can never be right is found at load */
  bench_refuse(bench, &call, NORMA_ERROR_INVALID_MODEL, "shapes 2x3 and 2 cannot be broadcast");
  bench_clear(bench);
}
