/* Constant, from each of its attributes, and ConstantOfShape, of every type. */
#include "tests/support/builtin_operator.h"
#include "tests/support/workbench.h"

static const value *run_constant(workbench *bench, int64_t opset, attribute given) {
  driver_call call = {.op_type = "Constant", .opset = opset, .output_count = 1, .attributes = {given}};
  return bench_run(bench, &call);
}

static void tensors_of_every_type_and_version(void **state) {
  const operator_descriptor *op = builtin_operator("", "Constant");
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int v = 0; op->versions[v]; v++) {
    FOR_TYPES(type, TYPES_ALL) {
      value contents;
      value_share(&contents, bench_numbered(&bench, type, SHAPE(3, 5)));
      assert_true(
          same_value(run_constant(&bench, op->versions[v], (attribute)DRIVER_TENSOR("value", &contents)), &contents));
      value_clear(&contents);
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void numbers_and_texts_since_version_12(void **state) {
  static const float floats[] = {0.5f, -2};
  static const int64_t ints[] = {INT64_MIN, 7};
  static const norma_string strings[] = {{"a", 1}, {"", 0}, {"bc", 2}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  check_tensor(run_constant(&bench, 12, (attribute)DRIVER_FLOAT("value_float", 0.5f)), NORMA_FLOAT, SCALAR,
               NUMBERS(0.5));
  check_tensor(run_constant(&bench, 12, (attribute)DRIVER_FLOATS("value_floats", 2, floats)), NORMA_FLOAT, SHAPE(2),
               NUMBERS(0.5, -2));
  check_ints(run_constant(&bench, 12, (attribute)DRIVER_INT("value_int", INT64_MAX)), SCALAR,
             (const int64_t[]){INT64_MAX});
  check_ints(run_constant(&bench, 12, (attribute)DRIVER_INTS("value_ints", 2, ints)), SHAPE(2), ints);
  check_ints(run_constant(&bench, 12, (attribute)DRIVER_INTS("value_ints", 0, ints)), SHAPE(0), NULL);
  check_strings(run_constant(&bench, 12, (attribute)DRIVER_STRING("value_string", "text")), SCALAR,
                (const char *[]){"text"});
  const attribute list = {.name = "value_strings", .kind = ATTRIBUTE_STRINGS, .count = 3, .strings = strings};
  check_strings(run_constant(&bench, 12, list), SHAPE(3), (const char *[]){"a", "", "bc"});
  /* The reader makes sparse tensors dense. */
  value sparse;
  value_share(&sparse, bench_tensor(&bench, NORMA_FLOAT, SHAPE(4), NUMBERS(0, 0, 3, 0)));
  attribute given = DRIVER_TENSOR("sparse_value", &sparse);
  given.kind = ATTRIBUTE_SPARSE_TENSOR;
  check_tensor(run_constant(&bench, 11, given), NORMA_FLOAT, SHAPE(4), NUMBERS(0, 0, 3, 0));
  value_clear(&sparse);
  bench_finish(&bench);
}

static void there_is_one_value(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call = {.op_type = "Constant", .opset = 12, .output_count = 1};
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "has no value");
  call.attributes[0] = (attribute)DRIVER_INT("value_int", 1);
  call.attributes[1] = (attribute)DRIVER_FLOAT("value_float", 1);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "has both value_int and value_float");
  call.attributes[1] = (attribute){0};
  call.opset = 11;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute value_int");
  bench_finish(&bench);
}

/* -------------------------------------------------------------------------------------------------- ConstantOfShape */

static void shapes_filled_with_one_value(void **state) {
  static const shape shapes[] = {{0, {0}}, {2, {3, 5}}, {3, {2, 0, 4}}, {1, {100001}}};
  const operator_descriptor *op = builtin_operator("", "ConstantOfShape");
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_DENSE) {
    value one;
    value_share(&one, bench_tensor(&bench, type, SHAPE(1), NUMBERS(1)));
    for (size_t i = 0; i < COUNT(shapes); i++) {
      driver_call call = CALL("ConstantOfShape", 25, bench_ints(&bench, SHAPE(shapes[i].rank), shapes[i].dims));
      call.attributes[0] = (attribute)DRIVER_TENSOR("value", &one);
      const value *y = bench_run(&bench, &call);
      check_tensor(y, type, shapes[i], NULL);
      for (int64_t e = 0; e < shape_count(&shapes[i]); e++) assert_true(same_element(y, e, &one, 0));
    }
    value_clear(&one);
    bench_clear(&bench);
  }
  for (int v = 0; op->versions[v]; v++) { /* zeros of float by default */
    driver_call call = CALL("ConstantOfShape", op->versions[v], bench_list(&bench, 2, 2));
    check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(2, 2), NUMBERS(0, 0, 0, 0));
  }
  bench_finish(&bench);
}

static void shapes_that_cannot_be_are_refused(void **state) {
  static const int64_t many[NORMA_MAX_RANK + 1] = {0};
  workbench bench;
  (void)state;
  bench_init(&bench);
  bench.driver.memory.limit = 1 << 20;
  driver_call call = CALL("ConstantOfShape", 9, bench_list(&bench, -3, 1));
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "shape has the size -3");
  call.inputs[0] = bench_list(&bench, INT64_C(1) << 40, INT64_C(1) << 40);
  bench_refuse(&bench, &call, NORMA_ERROR_BUDGET, "too large");
  call.inputs[0] = bench_list(&bench, INT64_C(1) << 40);
  bench_refuse(&bench, &call, NORMA_ERROR_BUDGET, "");
  call.inputs[0] = bench_ints(&bench, SHAPE(NORMA_MAX_RANK + 1), many);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "at most 16 integers");
  call.inputs[0] = bench_ints(&bench, SHAPE(1, 1), many);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "must be a list");
  call.inputs[0] = bench_tensor(&bench, NORMA_INT32, SHAPE(1), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type int32");
  value two, text;
  value_share(&two, bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL));
  value_share(&text, bench_strings(&bench, SHAPE(1), (const char *[]){"x"}));
  call.inputs[0] = bench_list(&bench, 1);
  call.attributes[0] = (attribute)DRIVER_TENSOR("value", &two);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "value must be a tensor of one number");
  call.attributes[0].tensor = &text;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "value must be a tensor of one number");
  value_clear(&two);
  value_clear(&text);
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tensors_of_every_type_and_version),
      cmocka_unit_test(numbers_and_texts_since_version_12),
      cmocka_unit_test(there_is_one_value),
      cmocka_unit_test(shapes_filled_with_one_value),
      cmocka_unit_test(shapes_that_cannot_be_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
