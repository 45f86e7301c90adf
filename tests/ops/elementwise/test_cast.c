/* Cast: every pair of types, the limits of each, texts. */
#include "tests/support/builtin_operator.h"
#include "tests/support/workbench.h"

static bool is_number(norma_element_type type) {
  return type != NORMA_STRING && !(TYPE_BIT(type) & TYPES_COMPLEX);
}

static norma_status cast(driver *driver, const value *x, norma_element_type to, int64_t saturate) {
  driver_call call = {.op_type = "Cast",
                      .opset = 28,
                      .inputs = {x},
                      .input_count = 1,
                      .output_count = 1,
                      .workers = 2,
                      .attributes = {DRIVER_INT("to", to), DRIVER_INT("saturate", saturate)}};
  return driver_run(driver, &call);
}

/* 0 and 1 exist in (nearly) every type: each pair of types keeps them. */
static void small_numbers_between_all_types(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  for (int a = 1; a < NORMA_ELEMENT_TYPE_COUNT; a++) {
    for (int b = 1; b < NORMA_ELEMENT_TYPE_COUNT; b++) {
      const norma_element_type from = (norma_element_type)a, to = (norma_element_type)b;
      if (!is_number(from) || !is_number(to)) continue;
      const double low = from == NORMA_FLOAT8E8M0 || to == NORMA_FLOAT8E8M0 ? 1 : 0;
      double elements[37];
      for (size_t i = 0; i < COUNT(elements); i++) elements[i] = i % 3 ? 1 : low;
      value x = driver_tensor(&driver, from, 1, (int64_t[]){37}, elements);
      assert_int_equal(cast(&driver, &x, to, 1), NORMA_OK);
      driver_assert_tensor(&driver.outputs[0], to, 1, (int64_t[]){37}, elements);
      value_clear(&x);
    }
  }
  driver_finish(&driver);
}

typedef struct cast_case {
  norma_element_type from, to;
  int count;
  double elements[6], expected[6];
} cast_case;

static const cast_case cases[] = {
    /* truncated, then limited to the range; NaN is 0 */
    {NORMA_FLOAT, NORMA_INT8, 6, {-129.5, -1.9, 1.9, 127.9, 1e10, NAN}, {-128, -1, 1, 127, 127, 0}},
    {NORMA_FLOAT, NORMA_UINT8, 6, {-0.5, -3, 255.9, 256, INFINITY, NAN}, {0, 0, 255, 255, 255, 0}},
    {NORMA_DOUBLE,
     NORMA_INT32,
     4,
     {-3e9, 3e9, -2147483648.5, 2147483647.5},
     {INT32_MIN, INT32_MAX, INT32_MIN, INT32_MAX}},
    {NORMA_FLOAT16, NORMA_INT16, 3, {-65504, 65504, 1.5}, {INT16_MIN, INT16_MAX, 1}},
    /* integers lose their high bits */
    {NORMA_INT16, NORMA_INT8, 4, {200, -200, 128, -1}, {-56, 56, -128, -1}},
    {NORMA_INT32, NORMA_UINT8, 3, {-1, 256, 300}, {255, 0, 44}},
    {NORMA_INT8, NORMA_INT4, 4, {7, 8, -9, 16}, {7, -8, 7, 0}},
    {NORMA_FLOAT, NORMA_INT4, 4, {-9, 7.9, 8, NAN}, {7, 7, -8, 0}},
    {NORMA_FLOAT, NORMA_UINT2, 4, {-1, 3.5, 4, 5}, {3, 3, 0, 1}},
    /* anything but 0 is true */
    {NORMA_FLOAT, NORMA_BOOL, 5, {0, -0.0, 0.25, -1, NAN}, {0, 0, 1, 1, 1}},
    {NORMA_INT64, NORMA_BOOL, 3, {0, 256, -1}, {0, 1, 1}},
    /* floats round to even, beyond the range they are infinite */
    {NORMA_DOUBLE, NORMA_FLOAT16, 5, {65520, 65519.99, -1e9, 1 + 0x1p-11, NAN}, {INFINITY, 65504, -INFINITY, 1, NAN}},
    {NORMA_FLOAT, NORMA_BFLOAT16, 3, {1 + 0x1p-8, 1 + 3 * 0x1p-8, -INFINITY}, {1, 1 + 0x1p-6, -INFINITY}},
    {NORMA_INT32, NORMA_FLOAT, 2, {16777217, -16777219}, {16777216, -16777220}},
    {NORMA_FLOAT, NORMA_FLOAT8E4M3FN, 5, {464, 1e9, -INFINITY, 0.3, NAN}, {448, 448, -448, 0.3125, NAN}},
    {NORMA_FLOAT, NORMA_FLOAT4E2M1, 4, {5, 100, -0.3, 0.2}, {4, 6, -0.5, 0}},
};

static void limits_of_each_type(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  for (size_t c = 0; c < COUNT(cases); c++) {
    const int64_t count = cases[c].count;
    value x = driver_tensor(&driver, cases[c].from, 1, &count, cases[c].elements);
    assert_int_equal(cast(&driver, &x, cases[c].to, 1), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], cases[c].to, 1, &count, cases[c].expected);
    value_clear(&x);
  }
  driver_finish(&driver);
}

static void sixty_four_bits_stay_whole(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_ints(&driver, 1, (int64_t[]){3}, (int64_t[]){INT64_MAX, INT64_MIN, -1});
  value u = driver_tensor(&driver, NORMA_UINT64, 1, (int64_t[]){1}, NULL);
  ((uint64_t *)u.tensor.data)[0] = UINT64_MAX;
  assert_int_equal(cast(&driver, &x, NORMA_UINT64, 1), NORMA_OK);
  const uint64_t *y = driver.outputs[0].tensor.data;
  assert_true(y[0] == INT64_MAX && y[1] == UINT64_C(1) << 63 && y[2] == UINT64_MAX);
  assert_int_equal(cast(&driver, &u, NORMA_FLOAT, 1), NORMA_OK);
  assert_true(driver_element(&driver.outputs[0], 0) == 0x1p64);
  assert_int_equal(cast(&driver, &u, NORMA_DOUBLE, 1), NORMA_OK);
  assert_true(driver_element(&driver.outputs[0], 0) == 0x1p64);
  value large = driver_tensor(&driver, NORMA_DOUBLE, 1, (int64_t[]){3}, (double[]){1e30, -1e30, 0x1p63});
  assert_int_equal(cast(&driver, &large, NORMA_INT64, 1), NORMA_OK);
  const int64_t *z = driver.outputs[0].tensor.data;
  assert_true(z[0] == INT64_MAX && z[1] == INT64_MIN && z[2] == INT64_MAX);
  value_clear(&x);
  value_clear(&u);
  value_clear(&large);
  driver_finish(&driver);
}

static void small_floats_without_saturation(void **state) {
  (void)state;
  static const struct {
    norma_element_type type;
    double largest, too_large, becomes;
  } types[] = {{NORMA_FLOAT8E4M3FN, 464, 465, NAN},
               {NORMA_FLOAT8E4M3FNUZ, 247, 248, NAN},
               {NORMA_FLOAT8E5M2, 61439, 61440, INFINITY},
               {NORMA_FLOAT8E5M2FNUZ, 61439, 61440, NAN}};
  driver driver;
  driver_init(&driver);
  for (size_t t = 0; t < COUNT(types); t++) {
    value x = driver_floats(&driver, 1, (int64_t[]){4},
                            (float[]){(float)types[t].largest, (float)types[t].too_large, INFINITY, NAN});
    assert_int_equal(cast(&driver, &x, types[t].type, 0), NORMA_OK);
    assert_true(isfinite(driver_element(&driver.outputs[0], 0)));
    for (int i = 1; i < 3; i++) {
      const double found = driver_element(&driver.outputs[0], i);
      assert_true(isnan(types[t].becomes) ? isnan(found) : found == types[t].becomes);
    }
    assert_true(isnan(driver_element(&driver.outputs[0], 3)));
    value_clear(&x);
  }
  driver_finish(&driver);
}

static void powers_of_two(void **state) {
  (void)state;
  static const struct {
    const char *mode;
    double expected[5];
  } modes[] = {{"up", {1, 2, 2, 4, 0x1p-127}}, {"down", {1, 1, 1, 2, 0x1p-127}}, {"nearest", {1, 1, 2, 4, 0x1p-127}}};
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){5}, (float[]){1, 1.25f, 1.5f, 3, 0});
  for (size_t m = 0; m < COUNT(modes); m++) {
    driver_call call = {
        .op_type = "Cast",
        .opset = 24,
        .inputs = {&x},
        .input_count = 1,
        .output_count = 1,
        .attributes = {DRIVER_INT("to", NORMA_FLOAT8E8M0),
                       {.name = "round_mode", .kind = ATTRIBUTE_STRING, .s = {modes[m].mode, strlen(modes[m].mode)}}}};
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT8E8M0, 1, (int64_t[]){5}, modes[m].expected);
  }
  value_clear(&x);
  driver_finish(&driver);
}

/* What the texts look like is ops/elementwise/cast_text.c's. */
static void texts_through_the_operator(void **state) {
  (void)state;
  workbench bench;
  bench_init(&bench);
  const value *f = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 2), NUMBERS(0.5, -1, INFINITY, 1e20));
  driver_call call = CALL("Cast", 9, f);
  call.attributes[0] = (attribute)DRIVER_INT("to", NORMA_STRING);
  check_strings(bench_run(&bench, &call), SHAPE(2, 2), (const char *[]){"0.5", "-1.0", "inf", "1e+20"});
  call.inputs[0] = bench_keep(&bench, 0);
  check_strings(bench_run(&bench, &call), SHAPE(2, 2), (const char *[]){"0.5", "-1.0", "inf", "1e+20"});
  FOR_TYPES(type, TYPES_FLOAT) {
    call.attributes[0].i = type;
    const double largest = type == NORMA_FLOAT16 ? INFINITY : type == NORMA_DOUBLE ? 1e20 : driver_element(f, 3);
    if (type == NORMA_BFLOAT16) continue; /* 1e20 is rounded */
    check_tensor(bench_run(&bench, &call), type, SHAPE(2, 2), NUMBERS(0.5, -1, INFINITY, largest));
  }
  call.inputs[0] = bench_strings(&bench, SHAPE(0), NULL);
  call.attributes[0].i = NORMA_INT64;
  check_tensor(bench_run(&bench, &call), NORMA_INT64, SHAPE(0), NULL);
  call.inputs[0] = bench_tensor(&bench, NORMA_INT8, SHAPE(0), NULL);
  call.attributes[0].i = NORMA_STRING;
  check_strings(bench_run(&bench, &call), SHAPE(0), NULL);
  bench_finish(&bench);
}

static void texts_that_are_no_numbers_are_errors(void **state) {
  (void)state;
  workbench bench;
  bench_init(&bench);
  driver_call call = CALL("Cast", 9, bench_strings(&bench, SHAPE(2), (const char *[]){"1", "Hello"}));
  call.attributes[0] = (attribute)DRIVER_INT("to", NORMA_FLOAT);
  bench_refuse_late(&bench, &call, NORMA_ERROR_RUN, "\"Hello\" is no number");
  bench_finish(&bench);
}

/* Work for several workers: pieces of packed types begin with a byte. */
static void large_tensors_of_every_pair(void **state) {
  (void)state;
  workbench bench;
  bench_init(&bench);
  const type_mask numbers = TYPES_DENSE & ~(TYPES_COMPLEX | TYPE_BIT(NORMA_FLOAT8E8M0));
  double elements[33333];
  for (size_t i = 0; i < COUNT(elements); i++) elements[i] = (double)(i * 7 % 2);
  FOR_TYPES(from, numbers) {
    const value *x = bench_tensor(&bench, from, SHAPE(COUNT(elements)), elements);
    FOR_TYPES(to, numbers) {
      driver_call call = CALL("Cast", 28, x);
      call.attributes[0] = (attribute)DRIVER_INT("to", to);
      call.workers = 3;
      check_tensor(bench_run_once(&bench, &call), to, SHAPE(COUNT(elements)), elements);
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void targets_by_name_and_by_example(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){2}, (float[]){1.5f, -2}),
        like = driver_bools(&driver, 0, NULL, (bool[]){0});
  driver_call call = {.op_type = "Cast",
                      .opset = 1,
                      .inputs = {&x},
                      .input_count = 1,
                      .output_count = 1,
                      .attributes = {DRIVER_STRING("to", "INT32")}};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT32, 1, (int64_t[]){2}, (double[]){1, -2});
  call.attributes[0] = (attribute)DRIVER_STRING("to", "INT33");
  assert_int_equal(driver_run(&driver, &call), NORMA_ERROR_INVALID_MODEL);
  call = (driver_call){.op_type = "CastLike", .opset = 19, .inputs = {&x, &like}, .input_count = 2, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_BOOL, 1, (int64_t[]){2}, (double[]){1, 1});
  call = (driver_call){.op_type = "BitCast",
                       .opset = 26,
                       .inputs = {&x},
                       .input_count = 1,
                       .output_count = 1,
                       .attributes = {DRIVER_INT("to", NORMA_UINT32)}};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_UINT32, 1, (int64_t[]){2}, (double[]){0x3FC00000, 0xC0000000});
  call.attributes[0].i = NORMA_INT64;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  value_clear(&x);
  value_clear(&like);
  driver_finish(&driver);
}

static void every_version(void **state) {
  static const char *const ops[] = {"Cast", "CastLike", "BitCast"};
  (void)state;
  workbench bench;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NUMBERS(1.5, -2, 0));
  const value *like = bench_tensor(&bench, NORMA_INT32, SCALAR, NULL);
  for (size_t o = 0; o < COUNT(ops); o++) {
    const operator_descriptor *op = builtin_operator("", ops[o]);
    for (int v = 0; op->versions[v]; v++) {
      driver_call call = CALL(ops[o], op->versions[v], x, like);
      if (o != 1) call.input_count = 1;
      if (o != 1) call.attributes[0] = (attribute)DRIVER_INT("to", NORMA_INT32);
      if (o == 0 && op->versions[v] < 6) call.attributes[0] = (attribute)DRIVER_STRING("to", "int32");
      const double bits[] = {0x3FC00000, -0x40000000, 0}, numbers[] = {1, -2, 0};
      check_tensor(bench_run(&bench, &call), NORMA_INT32, SHAPE(3), o == 2 ? bits : numbers);
    }
  }
  bench_finish(&bench);
}

static void what_makes_no_sense_is_refused(void **state) {
  (void)state;
  workbench bench;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL),
              *c = bench_tensor(&bench, NORMA_COMPLEX64, SHAPE(2), NULL);
  static const int64_t none[] = {0, -1, 1000, INT64_MAX};
  for (size_t i = 0; i < COUNT(none); i++) {
    driver_call call = CALL("Cast", 13, x);
    call.attributes[0] = (attribute)DRIVER_INT("to", none[i]);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "is no element type");
  }
  driver_call call = CALL("Cast", 13, x);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute to is missing");
  call.attributes[0] = (attribute)DRIVER_INT("to", NORMA_COMPLEX64);
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "complex64");
  call.attributes[0].i = NORMA_FLOAT;
  call.inputs[0] = c;
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "complex64");
  call.inputs[0] = x;
  call.attributes[1] = (attribute)DRIVER_INT("saturate", 1);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute saturate");
  call.opset = 24;
  call.attributes[1] = (attribute)DRIVER_STRING("round_mode", "odd");
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "round_mode is \"odd\"");
  call = CALL("BitCast", 26, x);
  call.attributes[0] = (attribute)DRIVER_INT("to", NORMA_INT64);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "differ in width");
  call.attributes[0].i = NORMA_STRING;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "differ in width");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(small_numbers_between_all_types),
      cmocka_unit_test(limits_of_each_type),
      cmocka_unit_test(sixty_four_bits_stay_whole),
      cmocka_unit_test(small_floats_without_saturation),
      cmocka_unit_test(powers_of_two),
      cmocka_unit_test(texts_through_the_operator),
      cmocka_unit_test(texts_that_are_no_numbers_are_errors),
      cmocka_unit_test(large_tensors_of_every_pair),
      cmocka_unit_test(targets_by_name_and_by_example),
      cmocka_unit_test(every_version),
      cmocka_unit_test(what_makes_no_sense_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
