/* Transpose, DepthToSpace and SpaceToDepth against index arithmetic, for elements of every type. */
#include "tests/support/builtin_operator.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#define MOST 40000 /* elements of a tensor here */

static int64_t sources[MOST];

static void check_transpose(workbench *bench, norma_element_type type, const shape *from, const int64_t *permutation) {
  shape to = shape_of_rank(from->rank);
  int64_t at[NORMA_MAX_RANK], source[NORMA_MAX_RANK], reversed[NORMA_MAX_RANK];
  for (int i = 0; i < from->rank; i++) reversed[i] = from->rank - 1 - i;
  const int64_t *order = permutation ? permutation : reversed;
  for (int i = 0; i < from->rank; i++) to.dims[i] = from->dims[order[i]];
  for (int64_t i = 0; i < shape_count(&to); i++) {
    shape_coordinates(&to, i, at);
    for (int k = 0; k < to.rank; k++) source[order[k]] = at[k];
    sources[i] = shape_place(from, source);
  }
  const value *x = bench_numbered(bench, type, *from);
  driver_call call = CALL("Transpose", 25, x);
  if (permutation) call.attributes[0] = (attribute)DRIVER_INTS("perm", (size_t)from->rank, permutation);
  check_moved(bench_run(bench, &call), to, x, sources, NULL);
  bench_clear(bench);
}

static void random_permutation(uint64_t *seed, int rank, int64_t *permutation) {
  for (int i = 0; i < rank; i++) permutation[i] = i;
  for (int i = rank - 1; i > 0; i--) {
    const int64_t k = random_int(seed, 0, i), swapped = permutation[i];
    permutation[i] = permutation[k];
    permutation[k] = swapped;
  }
}

static void every_type_and_permutation(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 12; round++) {
    FOR_TYPES(type, TYPES_ALL) {
      int64_t permutation[NORMA_MAX_RANK];
      const shape from = random_shape(&bench.seed, 0, 5, 3000);
      random_permutation(&bench.seed, from.rank, permutation);
      check_transpose(&bench, type, &from, round % 4 ? permutation : NULL);
    }
  }
  bench_finish(&bench);
}

/* Large enough for tiles and their tails, and for several workers. */
static void large_matrices(void **state) {
  static const struct {
    shape from;
    int64_t permutation[4];
  } cases[] = {{{2, {131, 257}}, {1, 0}},
               {{2, {3, 9001}}, {1, 0}},
               {{2, {9001, 2}}, {1, 0}},
               {{4, {2, 33, 17, 19}}, {0, 2, 3, 1}},
               {{4, {2, 17, 19, 33}}, {0, 3, 1, 2}},
               {{3, {65, 66, 7}}, {2, 1, 0}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (size_t c = 0; c < COUNT(cases); c++) {
      FOR_TYPES(type, TYPE_BIT(NORMA_UINT8) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_DOUBLE) |
                          TYPE_BIT(NORMA_COMPLEX128) | TYPE_BIT(NORMA_STRING)) {
        check_transpose(&bench, type, &cases[c].from, cases[c].permutation);
      }
    }
  }
  bench_finish(&bench);
}

static void rank_of_the_most(void **state) {
  shape from = shape_of_rank(NORMA_MAX_RANK);
  int64_t permutation[NORMA_MAX_RANK];
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int i = 0; i < NORMA_MAX_RANK; i++) from.dims[i] = i % 2 ? 1 : 1 + i % 4;
  random_permutation(&bench.seed, from.rank, permutation);
  check_transpose(&bench, NORMA_FLOAT, &from, permutation);
  check_transpose(&bench, NORMA_INT4, &from, NULL);
  bench_finish(&bench);
}

/* ----------------------------------------------------------------------------------------------------------- blocks */

/* Channel of the depth tensor that holds pixel (row, column) of a block of channel c of C. */
static int64_t depth_channel(bool column_first, int64_t b, int64_t c, int64_t channels, int64_t row, int64_t column) {
  return column_first ? (c * b + row) * b + column : (row * b + column) * channels + c;
}

static void check_blocks(workbench *bench, norma_element_type type, bool column_first, const int64_t *sizes) {
  const int64_t b = sizes[0], n = sizes[1], c = sizes[2], h = sizes[3], w = sizes[4];
  const shape depth = SHAPE(n, c * b * b, h, w), space = SHAPE(n, c, h * b, w * b);
  const value *x = bench_numbered(bench, type, depth), *y;
  for (int64_t i = 0; i < shape_count(&space); i++) {
    int64_t at[4];
    shape_coordinates(&space, i, at);
    const int64_t channel = depth_channel(column_first, b, at[1], c, at[2] % b, at[3] % b);
    sources[i] = shape_place(&depth, (int64_t[]){at[0], channel, at[2] / b, at[3] / b});
  }
  driver_call call = CALL("DepthToSpace", 28, x);
  call.attributes[0] = (attribute)DRIVER_INT("blocksize", b);
  if (column_first) call.attributes[1] = (attribute)DRIVER_STRING("mode", "CRD");
  check_moved(bench_run(bench, &call), space, x, sources, NULL);
  y = bench_keep(bench, 0);
  call.op_type = "SpaceToDepth";
  call.inputs[0] = y;
  if (!same_value(bench_run(bench, &call), x)) fail_msg("SpaceToDepth is not the inverse");
  bench_clear(bench);
}

static void depth_to_space_and_back(void **state) {
  static const int64_t sizes[][5] = {{1, 2, 3, 4, 5}, {2, 2, 3, 4, 5}, {3, 1, 1, 2, 7},
                                     {4, 2, 5, 1, 1}, {2, 0, 3, 4, 5}, {2, 1, 3, 0, 5}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t i = 0; i < COUNT(sizes); i++) {
    FOR_TYPES(type, TYPES_ALL) {
      check_blocks(&bench, type, false, sizes[i]);
      check_blocks(&bench, type, true, sizes[i]);
    }
  }
  bench_finish(&bench);
}

static void every_version(void **state) {
  static const char *const ops[] = {"Transpose", "DepthToSpace", "SpaceToDepth"};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_numbered(&bench, NORMA_FLOAT, SHAPE(1, 4, 2, 2));
  for (size_t o = 0; o < COUNT(ops); o++) {
    const operator_descriptor *op = builtin_operator("", ops[o]);
    for (int v = 0; op->versions[v]; v++) {
      driver_call call = CALL(ops[o], op->versions[v], x);
      if (o > 0) call.attributes[0] = (attribute)DRIVER_INT("blocksize", 2);
      const shape expected = o == 0 ? SHAPE(2, 2, 4, 1) : o == 1 ? SHAPE(1, 1, 4, 4) : SHAPE(1, 16, 1, 1);
      check_tensor(bench_run(&bench, &call), NORMA_FLOAT, expected, NULL);
    }
  }
  bench_finish(&bench);
}

/* --------------------------------------------------------------------------------------------------------- refusals */

static void what_is_no_permutation_is_refused(void **state) {
  static const struct {
    size_t count;
    int64_t order[3];
  } wrong[] = {{3, {0, 1, 1}}, {3, {0, 1, 3}}, {3, {-1, 0, 1}}, {3, {0, 1, INT64_MAX}}, {3, {0, 1, INT64_MIN}}};
  static const int64_t two[] = {1, 0}, many[NORMA_MAX_RANK + 1] = {0};
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call = CALL("Transpose", 13, bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3, 4), NULL));
  for (size_t i = 0; i < COUNT(wrong); i++) {
    call.attributes[0] = (attribute)DRIVER_INTS("perm", wrong[i].count, wrong[i].order);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "perm is no permutation");
  }
  call.attributes[0] = (attribute)DRIVER_INTS("perm", NORMA_MAX_RANK + 1, many);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "perm is no permutation");
  call.attributes[0] = (attribute)DRIVER_INTS("perm", 2, two);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "perm has 2 entries for a tensor of rank 3");
  bench_finish(&bench);
}

static void blocks_that_do_not_fit_are_refused(void **state) {
  static const char *const ops[] = {"DepthToSpace", "SpaceToDepth"};
  static const int64_t sizes[] = {0, -1, INT64_MIN, INT64_MAX, (int64_t)INT32_MAX + 1};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 4, 3, 4), NULL),
              *flat = bench_tensor(&bench, NORMA_FLOAT, SHAPE(4, 4, 4), NULL);
  for (size_t o = 0; o < COUNT(ops); o++) {
    driver_call call = CALL(ops[o], 28, x);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute blocksize is missing");
    for (size_t i = 0; i < COUNT(sizes); i++) {
      call.attributes[0] = (attribute)DRIVER_INT("blocksize", sizes[i]);
      bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "blocksize is");
    }
    call.attributes[0].i = o == 0 ? 3 : 2; /* 4 channels, 3 rows */
    bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "do not fit the shape 1x4x3x4");
    call.attributes[0].i = INT32_MAX;
    bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "do not fit the shape");
    call.attributes[0].i = 2;
    call.attributes[1] = (attribute)DRIVER_STRING("mode", "RCD");
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "mode is \"RCD\"");
    call.attributes[1] = (attribute){0};
    call.inputs[0] = flat;
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 3, not 4");
  }
  driver_call early = CALL("SpaceToDepth", 13, x);
  early.attributes[0] = (attribute)DRIVER_INT("blocksize", 1);
  early.attributes[1] = (attribute)DRIVER_STRING("mode", "DCR"); /* since 28 */
  bench_refuse(&bench, &early, NORMA_ERROR_INVALID_MODEL, "attribute mode");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_and_permutation),
      cmocka_unit_test(large_matrices),
      cmocka_unit_test(rank_of_the_most),
      cmocka_unit_test(depth_to_space_and_back),
      cmocka_unit_test(every_version),
      cmocka_unit_test(what_is_no_permutation_is_refused),
      cmocka_unit_test(blocks_that_do_not_fit_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
