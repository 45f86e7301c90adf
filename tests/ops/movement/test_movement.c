/* Operators that move elements, against index arithmetic, for elements of every width: whole bytes, packed, strings. */
#include "tests/support/operator_driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define MOST         100000 /* elements of one tensor here */

static const norma_element_type types[] = {NORMA_FLOAT,  NORMA_UINT8, NORMA_FLOAT16, NORMA_DOUBLE,    NORMA_COMPLEX128,
                                           NORMA_STRING, NORMA_INT4,  NORMA_INT2,    NORMA_FLOAT6E2M3};
/* Those that operators take which know no packed types. */
#define PLAIN 6

/* A tensor whose elements tell their place. */
static value numbered(driver *driver, norma_element_type type, const shape *shape) {
  static const char *const texts[] = {"", "a", "bc", "def", "ghij", "klmno", "pqrstu", "vwxyz01"};
  const int64_t count = shape_count(shape);
  assert_true(count >= 0 && count < MOST);
  const int modulus = type == NORMA_INT2 ? 2 : type == NORMA_INT4 || type == NORMA_FLOAT6E2M3 ? 7 : 251;
  double *elements = malloc(sizeof(double) * (size_t)(count + 1));
  const char **strings = malloc(sizeof(char *) * (size_t)(count + 1));
  for (int64_t i = 0; i < count; i++) {
    elements[i] = (double)(i * 7 % modulus);
    strings[i] = texts[i % 8];
  }
  value result = type == NORMA_STRING ? driver_strings(driver, shape->rank, shape->dims, strings)
                                      : driver_tensor(driver, type, shape->rank, shape->dims, elements);
  free(elements);
  free(strings);
  return result;
}

static bool same_element(const value *y, int64_t i, const value *x, int64_t k) {
  if (y->tensor.type != NORMA_STRING) return driver_element(y, i) == driver_element(x, k);
  const norma_string *a = (const norma_string *)y->tensor.data + i, *b = (const norma_string *)x->tensor.data + k;
  return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static int whole(uint64_t *seed, int low, int high) {
  return low + (int)driver_random(seed, 0, high - low + 0.999);
}

static shape random_shape(uint64_t *seed, int least, int most) {
  static const int64_t sizes[] = {1, 2, 3, 4, 5, 9, 40};
  shape result = {.rank = whole(seed, least, most)};
  for (int i = 0; i < result.rank; i++) result.dims[i] = sizes[whole(seed, 0, result.rank > 3 ? 4 : 6)];
  if (whole(seed, 0, 19) == 0 && result.rank > 0) result.dims[whole(seed, 0, result.rank - 1)] = 0;
  return result;
}

static void coordinates(const shape *shape, int64_t index, int64_t *at) {
  for (int i = shape->rank - 1; i >= 0; i--) {
    at[i] = index % shape->dims[i];
    index /= shape->dims[i];
  }
}

static int64_t place(const shape *shape, const int64_t *at) {
  int64_t index = 0;
  for (int i = 0; i < shape->rank; i++) index = index * shape->dims[i] + at[i];
  return index;
}

static void run_well(driver *driver, driver_call *call) {
  call->workers = 2;
  if (driver_run(driver, call) != NORMA_OK) fail_msg("%s: %s", call->op_type, driver->error.message);
}

static void assert_shape(const driver *driver, int output, norma_element_type type, const shape *expected) {
  const shape actual = shape_of_tensor(&driver->outputs[output].tensor);
  char a[200], b[200];
  if (!shape_equal(&actual, expected)) {
    fail_msg("shape %s, not %s", shape_text(&actual, a, sizeof a), shape_text(expected, b, sizeof b));
  }
  assert_int_equal(driver->outputs[output].tensor.type, type);
}

static value list(driver *driver, int count, const int64_t *elements) {
  return driver_ints(driver, 1, (int64_t[]){count}, elements);
}

/* ----------------------------------------------------------------------------------------------------- permutations */

static void transpose_permutes(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  uint64_t seed = 3;
  for (int round = 0; round < 200; round++) {
    const norma_element_type type = types[(size_t)round % COUNT(types)];
    const shape from = random_shape(&seed, 0, 5);
    shape to = {.rank = from.rank};
    int64_t permutation[NORMA_MAX_RANK], at[NORMA_MAX_RANK], source[NORMA_MAX_RANK];
    const bool given = whole(&seed, 0, 2) > 0;
    for (int i = 0; i < from.rank; i++) permutation[i] = given ? i : from.rank - 1 - i;
    for (int i = from.rank - 1; i > 0 && given; i--) {
      const int k = whole(&seed, 0, i);
      const int64_t swapped = permutation[i];
      permutation[i] = permutation[k];
      permutation[k] = swapped;
    }
    for (int i = 0; i < from.rank; i++) to.dims[i] = from.dims[permutation[i]];
    value x = numbered(&driver, type, &from);
    driver_call call = {.op_type = "Transpose", .opset = 25, .inputs = {&x}, .input_count = 1, .output_count = 1};
    if (given) call.attributes[0] = (attribute)DRIVER_INTS("perm", (size_t)from.rank, permutation);
    run_well(&driver, &call);
    assert_shape(&driver, 0, type, &to);
    for (int64_t i = 0; i < shape_count(&to); i++) {
      coordinates(&to, i, at);
      for (int k = 0; k < to.rank; k++) source[permutation[k]] = at[k];
      assert_true(same_element(&driver.outputs[0], i, &x, place(&from, source)));
    }
    value_clear(&x);
  }
  driver_finish(&driver);
}

static void blocks_move_between_depth_and_space(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  for (int round = 0; round < 2 * (int)COUNT(types); round++) {
    const norma_element_type type = types[round / 2];
    const bool crd = round % 2;
    const int64_t b = 2, n = 2, c = 3, h = 4, w = 5;
    const shape depth = shape_make(4, (int64_t[]){n, c * b * b, h, w});
    const shape space = shape_make(4, (int64_t[]){n, c, h * b, w * b});
    value x = numbered(&driver, type, &depth);
    driver_call call = {.op_type = "DepthToSpace",
                        .opset = 28,
                        .inputs = {&x},
                        .input_count = 1,
                        .output_count = 1,
                        .attributes = {DRIVER_INT("blocksize", b)}};
    if (crd) call.attributes[1] = (attribute)DRIVER_STRING("mode", "CRD");
    run_well(&driver, &call);
    assert_shape(&driver, 0, type, &space);
    for (int64_t i = 0; i < shape_count(&space); i++) {
      int64_t at[4];
      coordinates(&space, i, at);
      const int64_t row = at[2] % b, column = at[3] % b;
      const int64_t channel = crd ? (at[1] * b + row) * b + column : (row * b + column) * c + at[1];
      assert_true(
          same_element(&driver.outputs[0], i, &x, place(&depth, (int64_t[]){at[0], channel, at[2] / b, at[3] / b})));
    }
    value y = {0};
    assert_int_equal(value_copy(&driver.memory, &y, &driver.outputs[0], NULL), NORMA_OK);
    call.op_type = "SpaceToDepth";
    call.inputs[0] = &y;
    run_well(&driver, &call);
    assert_shape(&driver, 0, type, &depth);
    for (int64_t i = 0; i < shape_count(&depth); i++) assert_true(same_element(&driver.outputs[0], i, &x, i));
    value_clear(&x);
    value_clear(&y);
  }
  driver_finish(&driver);
}

/* ------------------------------------------------------------------------------------------------------- same order */

static void reshape_keeps_order(void **state) {
  (void)state;
  static const struct {
    int rank, from_rank;
    int64_t from[4], shape[4], to[4];
    int64_t allow_zero;
  } cases[] = {
      {2, 3, {2, 3, 4}, {6, 4}, {6, 4}, 0},
      {2, 3, {2, 3, 4}, {0, -1}, {2, 12}, 0},
      {1, 3, {2, 3, 4}, {-1}, {24}, 0},
      {3, 3, {0, 3, 4}, {3, 0, -1}, {3, 3, 0}, 0},
      {2, 3, {0, 3, 4}, {0, 5}, {0, 5}, 1},
      {0, 2, {1, 1}, {0}, {0}, 0},
      {4, 3, {2, 3, 4}, {1, -1, 1, 4}, {1, 6, 1, 4}, 0},
  };
  driver driver;
  driver_init(&driver);
  for (size_t c = 0; c < COUNT(cases); c++) {
    for (size_t t = 0; t < COUNT(types); t++) {
      const shape from = shape_make(cases[c].from_rank, cases[c].from), to = shape_make(cases[c].rank, cases[c].to);
      value x = numbered(&driver, types[t], &from), wanted = list(&driver, cases[c].rank, cases[c].shape);
      driver_call call = {.op_type = "Reshape",
                          .opset = 25,
                          .inputs = {&x, &wanted},
                          .input_count = 2,
                          .output_count = 1,
                          .attributes = {DRIVER_INT("allowzero", cases[c].allow_zero)}};
      /* the fourth: 0 copies a 3, where 3 x 3 x ? has no elements */
      if (c == 3) call.attributes[0].i = 0;
      run_well(&driver, &call);
      assert_shape(&driver, 0, types[t], &to);
      for (int64_t i = 0; i < shape_count(&to); i++) assert_true(same_element(&driver.outputs[0], i, &x, i));
      value_clear(&x);
      value_clear(&wanted);
    }
  }
  driver_finish(&driver);
}

static void reshape_refuses(void **state) {
  (void)state;
  static const struct {
    int rank;
    int64_t shape[3];
  } cases[] = {{2, {5, 5}}, {2, {-1, -1}}, {1, {-2}}, {2, {-1, 5}}, {3, {6, 4, 0}}, {2, {INT64_MAX, 2}}};
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 2, (int64_t[]){6, 4}, NULL);
  for (size_t c = 0; c < COUNT(cases); c++) {
    value wanted = list(&driver, cases[c].rank, cases[c].shape);
    driver_call call = {
        .op_type = "Reshape", .opset = 14, .inputs = {&x, &wanted}, .input_count = 2, .output_count = 1};
    assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
    value_clear(&wanted);
  }
  value_clear(&x);
  driver_finish(&driver);
}

static void dimensions_of_one_come_and_go(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  const shape from = shape_make(4, (int64_t[]){1, 3, 1, 2}), squeezed = shape_make(3, (int64_t[]){3, 1, 2});
  const shape all = shape_make(2, (int64_t[]){3, 2}), more = shape_make(6, (int64_t[]){1, 1, 3, 1, 2, 1});
  const shape flat = shape_make(2, (int64_t[]){3, 2});
  value x = numbered(&driver, NORMA_INT4, &from), first = list(&driver, 1, (int64_t[]){-4});
  value outer = list(&driver, 2, (int64_t[]){0, -1}), twice = list(&driver, 2, (int64_t[]){0, -6});
  value wrong = list(&driver, 1, (int64_t[]){1});
  driver_call call = {.op_type = "Squeeze", .opset = 25, .inputs = {&x, &first}, .input_count = 2, .output_count = 1};
  run_well(&driver, &call);
  assert_shape(&driver, 0, NORMA_INT4, &squeezed);
  call.inputs[1] = &wrong;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  call.input_count = 1;
  run_well(&driver, &call);
  assert_shape(&driver, 0, NORMA_INT4, &all);
  call = (driver_call){.op_type = "Squeeze",
                       .opset = 1,
                       .inputs = {&x},
                       .input_count = 1,
                       .output_count = 1,
                       .attributes = {DRIVER_INTS("axes", 2, ((int64_t[]){0, 2}))}};
  run_well(&driver, &call);
  assert_shape(&driver, 0, NORMA_INT4, &all);
  call =
      (driver_call){.op_type = "Unsqueeze", .opset = 25, .inputs = {&x, &outer}, .input_count = 2, .output_count = 1};
  run_well(&driver, &call);
  assert_shape(&driver, 0, NORMA_INT4, &more);
  for (int64_t i = 0; i < 6; i++) assert_true(same_element(&driver.outputs[0], i, &x, i));
  call.inputs[1] = &twice;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  call = (driver_call){.op_type = "Flatten",
                       .opset = 25,
                       .inputs = {&x},
                       .input_count = 1,
                       .output_count = 1,
                       .attributes = {DRIVER_INT("axis", -2)}};
  run_well(&driver, &call);
  assert_shape(&driver, 0, NORMA_INT4, &flat);
  value_clear(&x);
  value_clear(&first);
  value_clear(&outer);
  value_clear(&twice);
  value_clear(&wrong);
  driver_finish(&driver);
}

/* ------------------------------------------------------------------------------------------------ parts and repeats */

static void concat_and_split_are_inverse(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  uint64_t seed = 11;
  for (int round = 0; round < 100; round++) {
    const norma_element_type type = types[(size_t)round % COUNT(types)];
    shape part = random_shape(&seed, 1, 4), total;
    const int parts = whole(&seed, 1, 4), axis = whole(&seed, 0, part.rank - 1);
    int64_t sizes[4], begin[4], sum = 0;
    value x[4];
    driver_call call = {.op_type = "Concat",
                        .opset = 13,
                        .input_count = parts,
                        .output_count = 1,
                        .attributes = {DRIVER_INT("axis", axis - (round % 2 ? part.rank : 0))}};
    for (int k = 0; k < parts; k++) {
      begin[k] = sum;
      part.dims[axis] = sizes[k] = whole(&seed, 0, 5);
      sum += sizes[k];
      x[k] = numbered(&driver, type, &part);
      call.inputs[k] = &x[k];
    }
    total = part;
    total.dims[axis] = sum;
    run_well(&driver, &call);
    assert_shape(&driver, 0, type, &total);
    for (int64_t i = 0; i < shape_count(&total); i++) {
      int64_t at[NORMA_MAX_RANK];
      coordinates(&total, i, at);
      int k = 0;
      while (at[axis] >= begin[k] + sizes[k]) k++;
      at[axis] -= begin[k];
      part.dims[axis] = sizes[k];
      assert_true(same_element(&driver.outputs[0], i, &x[k], place(&part, at)));
    }
    value whole_tensor = {0}, split = list(&driver, parts, sizes);
    assert_int_equal(value_copy(&driver.memory, &whole_tensor, &driver.outputs[0], NULL), NORMA_OK);
    call = (driver_call){.op_type = "Split",
                         .opset = 18,
                         .inputs = {&whole_tensor, &split},
                         .input_count = 2,
                         .output_count = parts,
                         .attributes = {DRIVER_INT("axis", axis)}};
    run_well(&driver, &call);
    for (int k = 0; k < parts; k++) {
      part.dims[axis] = sizes[k];
      assert_shape(&driver, k, type, &part);
      for (int64_t i = 0; i < shape_count(&part); i++) assert_true(same_element(&driver.outputs[k], i, &x[k], i));
    }
    for (int k = 0; k < parts; k++) value_clear(&x[k]);
    value_clear(&whole_tensor);
    value_clear(&split);
  }
  driver_finish(&driver);
}

static void split_in_equal_parts(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){7}, (float[]){0, 1, 2, 3, 4, 5, 6});
  value negative = list(&driver, 3, (int64_t[]){8, -2, 1}), short_list = list(&driver, 3, (int64_t[]){1, 2, 3});
  driver_call call = {.op_type = "Split",
                      .opset = 18,
                      .inputs = {&x},
                      .input_count = 1,
                      .output_count = 3,
                      .attributes = {DRIVER_INT("num_outputs", 3)}};
  run_well(&driver, &call);
  driver_assert_tensor(&driver.outputs[1], NORMA_FLOAT, 1, (int64_t[]){3}, (double[]){3, 4, 5});
  driver_assert_tensor(&driver.outputs[2], NORMA_FLOAT, 1, (int64_t[]){1}, (double[]){6});
  call.attributes[0].i = 2; /* of three */
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  call = (driver_call){.op_type = "Split", .opset = 13, .inputs = {&x}, .input_count = 1, .output_count = 3};
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  call.input_count = 2;
  call.inputs[1] = &negative;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  call.inputs[1] = &short_list;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  value_clear(&x);
  value_clear(&negative);
  value_clear(&short_list);
  driver_finish(&driver);
}

static void expand_and_tile_repeat(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  uint64_t seed = 5;
  for (int round = 0; round < 100; round++) {
    const norma_element_type type = types[(size_t)round % COUNT(types)];
    const shape from = random_shape(&seed, 0, 3);
    shape tiled = from, expanded = from;
    int64_t repeats[NORMA_MAX_RANK], wanted[NORMA_MAX_RANK], at[NORMA_MAX_RANK];
    for (int i = 0; i < from.rank; i++) {
      repeats[i] = whole(&seed, 0, 3);
      tiled.dims[i] *= repeats[i];
      wanted[i] = from.dims[i] == 1 ? whole(&seed, 0, 5) : whole(&seed, 0, 1) ? 1 : from.dims[i];
      if (from.dims[i] == 1) expanded.dims[i] = wanted[i];
    }
    value x = numbered(&driver, type, &from), counts = list(&driver, from.rank, repeats);
    value target = list(&driver, from.rank, wanted);
    driver_call call = {.op_type = "Tile", .opset = 13, .inputs = {&x, &counts}, .input_count = 2, .output_count = 1};
    run_well(&driver, &call);
    assert_shape(&driver, 0, type, &tiled);
    for (int64_t i = 0; i < shape_count(&tiled); i++) {
      coordinates(&tiled, i, at);
      for (int k = 0; k < from.rank; k++) at[k] %= from.dims[k];
      assert_true(same_element(&driver.outputs[0], i, &x, place(&from, at)));
    }
    call.op_type = "Expand";
    call.inputs[1] = &target;
    run_well(&driver, &call);
    assert_shape(&driver, 0, type, &expanded);
    for (int64_t i = 0; i < shape_count(&expanded); i++) {
      coordinates(&expanded, i, at);
      for (int k = 0; k < from.rank; k++) at[k] %= from.dims[k];
      assert_true(same_element(&driver.outputs[0], i, &x, place(&from, at)));
    }
    value_clear(&x);
    value_clear(&counts);
    value_clear(&target);
  }
  driver_finish(&driver);
}

static void bombs_are_refused(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  driver.memory.limit = 1 << 20;
  value x = driver_floats(&driver, 2, (int64_t[]){1, 1}, (float[]){1});
  value huge = list(&driver, 2, (int64_t[]){INT64_C(1) << 40, INT64_C(1) << 40});
  value negative = list(&driver, 2, (int64_t[]){-3, 1});
  const value *const lists[] = {&huge, &negative};
  for (int i = 0; i < 2; i++) {
    driver_call call = {
        .op_type = "Expand", .opset = 13, .inputs = {&x, lists[i]}, .input_count = 2, .output_count = 1};
    assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
    call.op_type = "Tile";
    assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
    call = (driver_call){
        .op_type = "ConstantOfShape", .opset = 9, .inputs = {lists[i]}, .input_count = 1, .output_count = 1};
    assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  }
  value_clear(&x);
  value_clear(&huge);
  value_clear(&negative);
  driver_finish(&driver);
}

/* ------------------------------------------------------------------------------------------------------------ Slice */

/* What Python's slice takes along one dimension. */
static int64_t python_slice(int64_t size, int64_t start, int64_t end, int64_t step, int64_t *first) {
  const int64_t low = step < 0 ? -1 : 0, high = step < 0 ? size - 1 : size;
  if (start < 0) start = start + size < low || start == INT64_MIN ? low : start + size;
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

static void slice_takes_what_python_takes(void **state) {
  (void)state;
  static const int64_t odd[] = {INT64_MIN, INT64_MAX, -100, 100};
  driver driver;
  driver_init(&driver);
  uint64_t seed = 17;
  for (int round = 0; round < 300; round++) {
    const norma_element_type type = types[(size_t)round % COUNT(types)];
    const shape from = random_shape(&seed, 1, 4);
    shape to = from;
    int64_t starts[4], ends[4], axes[4], steps[4], first[4] = {0}, step[4] = {1, 1, 1, 1}, at[4];
    int count = 0;
    for (int i = from.rank - 1; i >= 0; i--) {
      if (whole(&seed, 0, 2) == 0) continue;
      starts[count] = whole(&seed, 0, 4) ? whole(&seed, -12, 12) : odd[whole(&seed, 0, 3)];
      ends[count] = whole(&seed, 0, 4) ? whole(&seed, -12, 12) : odd[whole(&seed, 0, 3)];
      steps[count] = whole(&seed, 0, 9) ? whole(&seed, 1, 3) * (whole(&seed, 0, 1) ? 1 : -1) : odd[whole(&seed, 0, 3)];
      axes[count] = whole(&seed, 0, 1) ? i : i - from.rank;
      step[i] = steps[count];
      to.dims[i] = python_slice(from.dims[i], starts[count], ends[count], steps[count], &first[i]);
      count++;
    }
    value x = numbered(&driver, type, &from), s = list(&driver, count, starts), e = list(&driver, count, ends);
    value a = list(&driver, count, axes), p = list(&driver, count, steps);
    driver_call call = {
        .op_type = "Slice", .opset = 13, .inputs = {&x, &s, &e, &a, &p}, .input_count = 5, .output_count = 1};
    run_well(&driver, &call);
    assert_shape(&driver, 0, type, &to);
    for (int64_t i = 0; i < shape_count(&to); i++) {
      coordinates(&to, i, at);
      for (int k = 0; k < to.rank; k++) at[k] = first[k] + (at[k] ? at[k] * step[k] : 0);
      assert_true(same_element(&driver.outputs[0], i, &x, place(&from, at)));
    }
    value_clear(&x);
    value_clear(&s);
    value_clear(&e);
    value_clear(&a);
    value_clear(&p);
  }
  driver_finish(&driver);
}

static void slice_refuses_steps_of_zero(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){3}, NULL), zero = list(&driver, 1, (int64_t[]){0});
  value one = list(&driver, 1, (int64_t[]){1});
  driver_call call = {
      .op_type = "Slice", .opset = 13, .inputs = {&x, &zero, &one, &zero, &zero}, .input_count = 5, .output_count = 1};
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  call.inputs[4] = &one;
  call.inputs[3] = &one; /* an axis that is not there */
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  value_clear(&x);
  value_clear(&zero);
  value_clear(&one);
  driver_finish(&driver);
}

/* ----------------------------------------------------------------------------------------------------------- Gather */

static value random_indices(driver *driver, uint64_t *seed, const shape *shape, int64_t size, int64_t *indices) {
  const int64_t count = shape_count(shape);
  for (int64_t i = 0; i < count; i++) indices[i] = whole(seed, (int)-size, (int)size - 1);
  return driver_ints(driver, shape->rank, shape->dims, indices);
}

static void gather_takes_slices(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  uint64_t seed = 23;
  static int64_t indices[MOST];
  for (int round = 0; round < 150; round++) {
    const norma_element_type type = types[(size_t)round % COUNT(types)];
    const shape data = random_shape(&seed, 1, 3);
    shape chosen = random_shape(&seed, 0, 2), to = {0};
    const int axis = whole(&seed, 0, data.rank - 1);
    if (data.dims[axis] == 0) chosen = shape_make(1, (int64_t[]){0});
    value x = numbered(&driver, type, &data);
    value index = random_indices(&driver, &seed, &chosen, data.dims[axis], indices);
    for (int i = 0; i < axis; i++) to.dims[to.rank++] = data.dims[i];
    for (int i = 0; i < chosen.rank; i++) to.dims[to.rank++] = chosen.dims[i];
    for (int i = axis + 1; i < data.rank; i++) to.dims[to.rank++] = data.dims[i];
    driver_call call = {.op_type = "Gather",
                        .opset = 13,
                        .inputs = {&x, &index},
                        .input_count = 2,
                        .output_count = 1,
                        .attributes = {DRIVER_INT("axis", axis)}};
    run_well(&driver, &call);
    assert_shape(&driver, 0, type, &to);
    for (int64_t i = 0; i < shape_count(&to); i++) {
      int64_t at[NORMA_MAX_RANK], source[NORMA_MAX_RANK];
      coordinates(&to, i, at);
      for (int k = 0; k < axis; k++) source[k] = at[k];
      const int64_t found = indices[place(&chosen, at + axis)];
      source[axis] = found < 0 ? found + data.dims[axis] : found;
      for (int k = axis + 1; k < data.rank; k++) source[k] = at[k - 1 + chosen.rank];
      assert_true(same_element(&driver.outputs[0], i, &x, place(&data, source)));
    }
    value_clear(&x);
    value_clear(&index);
  }
  driver_finish(&driver);
}

static void gather_elements_takes_elements(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  uint64_t seed = 29;
  static int64_t indices[MOST];
  for (int round = 0; round < 150; round++) {
    const norma_element_type type = types[(size_t)round % COUNT(types)];
    const shape data = random_shape(&seed, 1, 4);
    shape chosen = data;
    const int axis = whole(&seed, 0, data.rank - 1);
    for (int i = 0; i < data.rank; i++) chosen.dims[i] = whole(&seed, 0, (int)data.dims[i]);
    chosen.dims[axis] = data.dims[axis] ? whole(&seed, 0, 7) : 0;
    value x = numbered(&driver, type, &data);
    value index = random_indices(&driver, &seed, &chosen, data.dims[axis], indices);
    driver_call call = {.op_type = "GatherElements",
                        .opset = 13,
                        .inputs = {&x, &index},
                        .input_count = 2,
                        .output_count = 1,
                        .attributes = {DRIVER_INT("axis", axis - data.rank)}};
    run_well(&driver, &call);
    assert_shape(&driver, 0, type, &chosen);
    for (int64_t i = 0; i < shape_count(&chosen); i++) {
      int64_t at[NORMA_MAX_RANK];
      coordinates(&chosen, i, at);
      at[axis] = indices[i] < 0 ? indices[i] + data.dims[axis] : indices[i];
      assert_true(same_element(&driver.outputs[0], i, &x, place(&data, at)));
    }
    value_clear(&x);
    value_clear(&index);
  }
  driver_finish(&driver);
}

static void gather_nd_takes_tuples(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  const shape data = shape_make(4, (int64_t[]){2, 3, 4, 5}), chosen = shape_make(3, (int64_t[]){2, 3, 2});
  const shape to = shape_make(3, (int64_t[]){2, 3, 5});
  static const int64_t tuples[] = {0, 0, 2, 3, -1, -4, 1, 1, 2, 2, 0, -1};
  for (size_t t = 0; t < COUNT(types); t++) {
    value x = numbered(&driver, types[t], &data), index = driver_ints(&driver, 3, chosen.dims, tuples);
    driver_call call = {.op_type = "GatherND",
                        .opset = 13,
                        .inputs = {&x, &index},
                        .input_count = 2,
                        .output_count = 1,
                        .attributes = {DRIVER_INT("batch_dims", 1)}};
    run_well(&driver, &call);
    assert_shape(&driver, 0, types[t], &to);
    for (int64_t i = 0; i < 30; i++) {
      int64_t at[3];
      coordinates(&to, i, at);
      const int64_t *tuple = tuples + (at[0] * 3 + at[1]) * 2;
      const int64_t source[4] = {at[0], (tuple[0] + 3) % 3, (tuple[1] + 4) % 4, at[2]};
      assert_true(same_element(&driver.outputs[0], i, &x, place(&data, source)));
    }
    value_clear(&x);
    value_clear(&index);
  }
  driver_finish(&driver);
}

static void indices_outside_are_errors(void **state) {
  (void)state;
  static const char *const ops[] = {"Gather", "GatherElements", "GatherND"};
  static const int64_t wrong[] = {3, -4, INT64_MAX, INT64_MIN};
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){3}, NULL);
  for (int o = 0; o < 3; o++) {
    for (size_t i = 0; i < COUNT(wrong); i++) {
      value index = list(&driver, 1, &wrong[i]);
      driver_call call = {.op_type = ops[o], .opset = 13, .inputs = {&x, &index}, .input_count = 2, .output_count = 1};
      assert_int_equal(driver_run(&driver, &call), NORMA_ERROR_RUN);
      value_clear(&index);
    }
  }
  value_clear(&x);
  driver_finish(&driver);
}

/* -------------------------------------------------------------------------------------------------------------- Pad */

/* The source coordinate, -1 for none. What a negative count takes away is gone first. */
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

static void pad_in_every_mode(void **state) {
  (void)state;
  static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
  driver driver;
  driver_init(&driver);
  uint64_t seed = 31;
  for (int round = 0; round < 400; round++) {
    const norma_element_type type = types[(size_t)round % COUNT(types)];
    const char *mode = modes[round % 4];
    const shape from = random_shape(&seed, 1, 4);
    shape to = from;
    int64_t pads[8];
    bool empty = false;
    for (int i = 0; i < from.rank; i++) {
      const int least = -(int)from.dims[i] / 2 + (from.dims[i] < 2);
      pads[i] = whole(&seed, least, 4);
      pads[from.rank + i] = whole(&seed, least < 0 ? least + 1 : least, 4);
      to.dims[i] += pads[i] + pads[from.rank + i];
      empty |= from.dims[i] == 0;
    }
    if (shape_count(&to) >= MOST || (empty && round % 4 != 0)) continue;
    value x = numbered(&driver, type, &from), counts = list(&driver, 2 * from.rank, pads);
    const shape scalar = shape_make(0, NULL);
    value constant = numbered(&driver, type, &scalar);
    if (type != NORMA_STRING) element_set_double(type, constant.tensor.data, 0, 1);
    driver_call call = {.op_type = "Pad",
                        .opset = 25,
                        .inputs = {&x, &counts, &constant},
                        .input_count = 3,
                        .output_count = 1,
                        .attributes = {{.name = "mode", .kind = ATTRIBUTE_STRING, .s = {mode, strlen(mode)}}}};
    run_well(&driver, &call);
    assert_shape(&driver, 0, type, &to);
    for (int64_t i = 0; i < shape_count(&to); i++) {
      int64_t at[NORMA_MAX_RANK];
      bool none = false;
      coordinates(&to, i, at);
      for (int k = 0; k < to.rank; k++) {
        at[k] = pad_source(mode, from.dims[k], pads[k], pads[from.rank + k], at[k]);
        none |= at[k] < 0;
      }
      assert_true(none ? same_element(&driver.outputs[0], i, &constant, 0)
                       : same_element(&driver.outputs[0], i, &x, place(&from, at)));
    }
    value_clear(&x);
    value_clear(&counts);
    value_clear(&constant);
  }
  driver_finish(&driver);
}

static void pad_refuses(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){2}, NULL), empty = driver_floats(&driver, 1, (int64_t[]){0}, NULL);
  static const int64_t wrong[][2] = {{-3, 0}, {INT64_MAX, INT64_MAX}, {INT64_MIN, 0}};
  for (size_t i = 0; i < COUNT(wrong); i++) {
    value counts = list(&driver, 2, wrong[i]);
    driver_call call = {.op_type = "Pad", .opset = 13, .inputs = {&x, &counts}, .input_count = 2, .output_count = 1};
    assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
    value_clear(&counts);
  }
  value one = list(&driver, 2, (int64_t[]){1, 1}), three = list(&driver, 3, (int64_t[]){1, 1, 1});
  driver_call call = {.op_type = "Pad",
                      .opset = 13,
                      .inputs = {&empty, &one},
                      .input_count = 2,
                      .output_count = 1,
                      .attributes = {DRIVER_STRING("mode", "edge")}};
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  call.inputs[0] = &x;
  call.inputs[1] = &three;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  value_clear(&x);
  value_clear(&empty);
  value_clear(&one);
  value_clear(&three);
  driver_finish(&driver);
}

/* ------------------------------------------------------------------------------------------------------------ other */

static void where_chooses(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  const shape wide = shape_make(2, (int64_t[]){2, 3}), column = shape_make(2, (int64_t[]){2, 1});
  for (size_t t = 0; t < PLAIN; t++) {
    value condition = driver_bools(&driver, 1, (int64_t[]){3}, (bool[]){true, false, true});
    value x = numbered(&driver, types[t], &wide), y = numbered(&driver, types[t], &column);
    driver_call call = {
        .op_type = "Where", .opset = 16, .inputs = {&condition, &x, &y}, .input_count = 3, .output_count = 1};
    run_well(&driver, &call);
    assert_shape(&driver, 0, types[t], &wide);
    for (int64_t i = 0; i < 6; i++) {
      assert_true(i % 3 == 1 ? same_element(&driver.outputs[0], i, &y, i / 3)
                             : same_element(&driver.outputs[0], i, &x, i));
    }
    value_clear(&condition);
    value_clear(&x);
    value_clear(&y);
  }
  driver_finish(&driver);
}

static void constants_of_every_type(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  const shape to = shape_make(2, (int64_t[]){3, 5});
  value dims = list(&driver, 2, to.dims);
  for (size_t t = 0; t < COUNT(types); t++) {
    if (types[t] == NORMA_STRING) continue;
    /* The graph gives up what its attributes hold when it goes. */
    value item = driver_tensor(&driver, types[t], 1, (int64_t[]){1}, (double[]){1}), again = {0};
    value_share(&again, &item);
    driver_call call = {.op_type = "ConstantOfShape",
                        .opset = 25,
                        .inputs = {&dims},
                        .input_count = 1,
                        .output_count = 1,
                        .attributes = {DRIVER_TENSOR("value", &item)}};
    run_well(&driver, &call);
    assert_shape(&driver, 0, types[t], &to);
    for (int64_t i = 0; i < 15; i++) assert_true(driver_element(&driver.outputs[0], i) == 1);
    call.op_type = "Constant";
    call.input_count = 0;
    call.attributes[0].tensor = &again;
    run_well(&driver, &call);
    driver_assert_tensor(&driver.outputs[0], types[t], 1, (int64_t[]){1}, (double[]){1});
    value_clear(&item);
    value_clear(&again);
  }
  value_clear(&dims);
  driver_finish(&driver);
}

static void shapes_are_known_without_data(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 3, (int64_t[]){2, 0, 4}, NULL);
  driver_call call = {.op_type = "Shape", .opset = 25, .inputs = {&x}, .input_count = 1, .output_count = 1};
  run_well(&driver, &call);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 1, (int64_t[]){3}, (double[]){2, 0, 4});
  call.attributes[0] = (attribute)DRIVER_INT("start", -2);
  call.attributes[1] = (attribute)DRIVER_INT("end", 100);
  run_well(&driver, &call);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 1, (int64_t[]){2}, (double[]){0, 4});
  call.attributes[0].i = 5;
  run_well(&driver, &call);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 1, (int64_t[]){0}, NULL);
  call = (driver_call){.op_type = "Size", .opset = 25, .inputs = {&x}, .input_count = 1, .output_count = 1};
  run_well(&driver, &call);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 0, NULL, (double[]){0});
  value_clear(&x);
  driver_finish(&driver);
}

static void dropout_repeats_the_generator(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){6}, (float[]){1, 1, 1, 1, 1, 1});
  value ratio = driver_floats(&driver, 0, NULL, (float[]){0.5f}),
        train = driver_bools(&driver, 0, NULL, (bool[]){true});
  driver_call call = {.op_type = "Dropout",
                      .opset = 22,
                      .inputs = {&x, &ratio, &train},
                      .input_count = 3,
                      .output_count = 2,
                      .attributes = {DRIVER_INT("seed", 0)}};
  run_well(&driver, &call);
  /* numpy.random.seed(0): 0.549, 0.715, 0.603, 0.545, 0.424, 0.646 */
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){6}, (double[]){2, 2, 2, 2, 0, 2});
  driver_assert_tensor(&driver.outputs[1], NORMA_BOOL, 1, (int64_t[]){6}, (double[]){1, 1, 1, 1, 0, 1});
  call.input_count = 1;
  run_well(&driver, &call);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){6}, (double[]){1, 1, 1, 1, 1, 1});
  driver_assert_tensor(&driver.outputs[1], NORMA_BOOL, 1, (int64_t[]){6}, (double[]){1, 1, 1, 1, 1, 1});
  value_clear(&x);
  value_clear(&ratio);
  value_clear(&train);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(transpose_permutes),
      cmocka_unit_test(blocks_move_between_depth_and_space),
      cmocka_unit_test(reshape_keeps_order),
      cmocka_unit_test(reshape_refuses),
      cmocka_unit_test(dimensions_of_one_come_and_go),
      cmocka_unit_test(concat_and_split_are_inverse),
      cmocka_unit_test(split_in_equal_parts),
      cmocka_unit_test(expand_and_tile_repeat),
      cmocka_unit_test(bombs_are_refused),
      cmocka_unit_test(slice_takes_what_python_takes),
      cmocka_unit_test(slice_refuses_steps_of_zero),
      cmocka_unit_test(gather_takes_slices),
      cmocka_unit_test(gather_elements_takes_elements),
      cmocka_unit_test(gather_nd_takes_tuples),
      cmocka_unit_test(indices_outside_are_errors),
      cmocka_unit_test(pad_in_every_mode),
      cmocka_unit_test(pad_refuses),
      cmocka_unit_test(where_chooses),
      cmocka_unit_test(constants_of_every_type),
      cmocka_unit_test(shapes_are_known_without_data),
      cmocka_unit_test(dropout_repeats_the_generator),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
