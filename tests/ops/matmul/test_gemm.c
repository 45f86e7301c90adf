/* Gemm against its formula in double precision, over random shapes, every kernel table and every kind of C. */
#include "tests/support/operator_driver.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct gemm_case {
  norma_element_type type;
  int64_t m, n, k;
  int64_t trans_a, trans_b;
  float alpha, beta;
  int c_rank; /* -1: no C */
  int64_t c[2];
  bool residual;
  struct activation activation;
  uint32_t constants;
} gemm_case;

static driver_call call_of(const gemm_case *c, const value *a, const value *b, const value *addend,
                           const value *residual) {
  driver_call call = {.op_type = "Gemm",
                      .opset = 13,
                      .attributes = {DRIVER_INT("transA", c->trans_a), DRIVER_INT("transB", c->trans_b),
                                     DRIVER_FLOAT("alpha", c->alpha), DRIVER_FLOAT("beta", c->beta)},
                      .inputs = {a, b, c->c_rank >= 0 ? addend : NULL, c->residual ? residual : NULL},
                      .input_count = c->residual      ? 4
                                     : c->c_rank >= 0 ? 3
                                                      : 2,
                      .constants = c->constants,
                      .output_count = 1,
                      .activation = c->activation,
                      .residual_input = c->residual ? 3 : 0};
  return call;
}

static void describe(const gemm_case *c, const char *kernels, char *text, size_t size) {
  snprintf(text, size, "%s %s %dx%dx%d trans %d%d alpha %g beta %g C %d [%d,%d] residual %d activation %d constants %u",
           kernels, norma_element_type_name(c->type), (int)c->m, (int)c->n, (int)c->k, (int)c->trans_a, (int)c->trans_b,
           (double)c->alpha, (double)c->beta, c->c_rank, (int)c->c[0], (int)c->c[1], (int)c->residual,
           (int)c->activation.kind, c->constants);
}

/* numbers: A, B, C, residual. */
static void check_elements(const gemm_case *c, const value *y, double *const numbers[4], const char *text) {
  norma_element_type inner = c->type == NORMA_DOUBLE ? NORMA_DOUBLE : NORMA_FLOAT;
  bool is_integer = (TYPE_BIT(c->type) & TYPES_INTEGER) != 0;
  int64_t rows = c->c_rank == 2 ? c->c[0] : 1, columns = c->c_rank == 2 ? c->c[1] : c->c_rank == 1 ? c->c[0] : 1;
  for (int64_t i = 0; i < c->m * c->n; i++) {
    int64_t row = i / c->n, column = i % c->n;
    double sum = 0, magnitude = 0;
    for (int64_t p = 0; p < c->k; p++) {
      double term = numbers[0][c->trans_a ? p * c->m + row : row * c->k + p] *
                    numbers[1][c->trans_b ? column * c->k + p : p * c->n + column];
      sum += term;
      magnitude += fabs(term);
    }
    sum *= (double)c->alpha;
    magnitude *= fabs((double)c->alpha);
    if (c->c_rank >= 0) {
      double term = (double)c->beta * numbers[2][(rows == 1 ? 0 : row) * columns + (columns == 1 ? 0 : column)];
      sum += term;
      magnitude += fabs(term);
    }
    if (c->residual) sum += numbers[3][i];
    if (c->residual) magnitude += fabs(numbers[3][i]);
    if (c->activation.kind == UNARY_RELU) sum = fmax(sum, 0);
    if (is_integer) sum = trunc(sum);
    double got = driver_element(y, i);
    double allowed =
        rounding_error(inner) * (2 * sqrt((double)c->k) + 6) * magnitude + 2 * rounding_error(c->type) * fabs(sum);
    if (is_integer) allowed = 0;
    if (!(fabs(got - sum) <= allowed))
      fail_msg("%s: element %d: expected %.9g, got %.9g, allowed error %.3g", text, (int)i, sum, got, allowed);
  }
}

static void check_case(const gemm_case *c, const struct kernel_table *kernels, uint64_t *seed) {
  int64_t a_dims[] = {c->trans_a ? c->k : c->m, c->trans_a ? c->m : c->k};
  int64_t b_dims[] = {c->trans_b ? c->n : c->k, c->trans_b ? c->k : c->n}, y_dims[] = {c->m, c->n};
  value inputs[4] = {random_tensor(seed, c->type, 2, a_dims), random_tensor(seed, c->type, 2, b_dims),
                     random_tensor(seed, c->type, c->c_rank < 0 ? 0 : c->c_rank, c->c),
                     random_tensor(seed, c->type, 2, y_dims)};
  double *numbers[4];
  char text[300];
  driver driver;
  driver_init(&driver);
  for (int i = 0; i < 4; i++) numbers[i] = tensor_doubles(&inputs[i]);
  driver_call call = call_of(c, &inputs[0], &inputs[1], &inputs[2], &inputs[3]);
  call.kernels = kernels;
  describe(c, kernels->name, text, sizeof text);
  if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s: %s", text, driver.error.message);
  check_elements(c, &driver.outputs[0], numbers, text);

  /* To the bit the same for other workers and constants. */
  value first = {0};
  assert_int_equal(value_copy(&driver.memory, &first, &driver.outputs[0], NULL), NORMA_OK);
  call.workers = 3;
  call.constants ^= INPUT(0) | INPUT(1);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  if (!same_tensor(&first.tensor, &driver.outputs[0].tensor)) fail_msg("%s: workers or packing matter", text);
  value_clear(&first);
  for (int i = 0; i < 4; i++) {
    free(numbers[i]);
    random_tensor_free(&inputs[i]);
  }
  driver_finish(&driver);
}

static gemm_case random_case(uint64_t *seed, norma_element_type type) {
  gemm_case c = {.type = type, .alpha = 1, .beta = 1, .c_rank = (int)random_int(seed, -1, 2)};
  c.m = random_of(seed, 1, 1, 2, 3, 5, 7, 13, 14, 15, 30, 67);
  c.n = random_of(seed, 1, 2, 3, 8, 15, 16, 17, 33, 70, 200);
  c.k = random_of(seed, 1, 2, 3, 7, 16, 64, 255, 256, 257, 600);
  c.trans_a = random_int(seed, 0, 1);
  c.trans_b = random_int(seed, 0, 1);
  if (random_int(seed, 0, 2) == 0) c.alpha = 0.5f;
  if (random_int(seed, 0, 2) == 0) c.beta = (float)random_of(seed, 0, 2, -3);
  if (c.beta < 0 && (TYPE_BIT(type) & TYPES_UNSIGNED)) c.beta = 3;
  c.c[0] = c.c_rank == 1 ? random_of(seed, 1, c.n) : random_of(seed, 1, c.m);
  c.c[1] = random_of(seed, 1, c.n);
  c.constants = (uint32_t)random_of(seed, 0, INPUT(1), INPUT(0), INPUT(1) | INPUT(2));
  if (type == NORMA_FLOAT) {
    c.residual = random_int(seed, 0, 2) == 0;
    c.activation.kind = random_int(seed, 0, 1) ? UNARY_RELU : UNARY_IDENTITY;
  }
  return c;
}

static void check_random(norma_element_type type, int cases) {
  const struct kernel_table *kernels;
  for (int t = 0; (kernels = driver_kernels(t)); t++) {
    uint64_t seed = 17 + (uint64_t)type;
    for (int i = 0; i < cases; i++) {
      gemm_case c = random_case(&seed, type);
      check_case(&c, kernels, &seed);
    }
  }
}

static void float_matches_the_formula(void **state) {
  (void)state;
  check_random(NORMA_FLOAT, 300);
}

static void other_floats_match_the_formula(void **state) {
  (void)state;
  check_random(NORMA_DOUBLE, 80);
  check_random(NORMA_FLOAT16, 60);
  check_random(NORMA_BFLOAT16, 60);
}

static void integers_are_exact(void **state) {
  (void)state;
  check_random(NORMA_INT32, 40);
  check_random(NORMA_UINT32, 40);
  check_random(NORMA_INT64, 40);
  check_random(NORMA_UINT64, 40);
}

/* One row alone and among others. */
static void rows_do_not_depend_on_the_batch(void **state) {
  uint64_t seed = 5;
  (void)state;
  for (int i = 0; i < 40; i++) {
    int64_t k = random_int(&seed, 1, 700), n = random_int(&seed, 1, 80);
    int64_t a_dims[] = {9, k}, b_dims[] = {k, n}, one_dims[] = {1, k};
    driver driver;
    driver_init(&driver);
    value a = random_tensor(&seed, NORMA_FLOAT, 2, a_dims), b = random_tensor(&seed, NORMA_FLOAT, 2, b_dims);
    value row = a, all = {0};
    driver_call call = {.op_type = "Gemm", .opset = 13, .inputs = {&a, &b}, .input_count = 2, .output_count = 1};
    call.constants = i % 2 ? INPUT(1) : 0;
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    assert_int_equal(value_copy(&driver.memory, &all, &driver.outputs[0], NULL), NORMA_OK);
    assert_int_equal(norma_tensor_init(&row.tensor, NORMA_FLOAT, 2, one_dims, (float *)a.tensor.data + 6 * k),
                     NORMA_OK);
    call.inputs[0] = &row;
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    assert_memory_equal(driver.outputs[0].tensor.data, (float *)all.tensor.data + 6 * n, (size_t)n * sizeof(float));
    value_clear(&all);
    random_tensor_free(&a);
    random_tensor_free(&b);
    driver_finish(&driver);
  }
}

static void sizes_of_zero(void **state) {
  static const int64_t sizes[][3] = {{0, 3, 4}, {3, 0, 4}, {3, 4, 0}, {0, 0, 0}};
  const struct kernel_table *kernels;
  uint64_t seed = 3;
  (void)state;
  for (int t = 0; (kernels = driver_kernels(t)); t++) {
    for (int i = 0; i < 8; i++) {
      gemm_case c = {.type = i < 4 ? NORMA_FLOAT : NORMA_DOUBLE, .alpha = 1, .beta = 1, .c_rank = 0};
      c.m = sizes[i % 4][0];
      c.n = sizes[i % 4][1];
      c.k = sizes[i % 4][2];
      check_case(&c, kernels, &seed);
    }
  }
}

static void what_does_not_fit_is_refused(void **state) {
  static const struct {
    int64_t opset, broadcast;
    int a_rank, c_rank;
    int64_t a[3], b[2], c[2];
    bool accepted;
  } cases[] = {
      {13, 0, 2, 2, {2, 3, 1}, {4, 5}, {2, 5}, false}, /* inner size */
      {13, 0, 2, 2, {2, 3, 1}, {3, 5}, {2, 4}, false}, /* C */
      {13, 0, 2, 2, {2, 3, 1}, {3, 5}, {3, 5}, false}, /* C has more rows */
      {13, 0, 3, 2, {2, 3, 1}, {3, 5}, {2, 5}, false}, /* A is no matrix */
      {6, 0, 2, 1, {2, 3, 1}, {3, 5}, {5, 0}, false},  /* C is not broadcast before 7 */
      {6, 1, 2, 1, {2, 3, 1}, {3, 5}, {5, 0}, true},   /* unless the attribute says so */
      {7, 0, 2, 1, {2, 3, 1}, {3, 5}, {5, 0}, true},   /* since 7 it is */
      {13, 0, 2, -1, {2, 3, 1}, {3, 5}, {0, 0}, true}, /* C is optional */
      {9, 0, 2, -1, {2, 3, 1}, {3, 5}, {0, 0}, false}, /* since 11 */
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    driver driver;
    driver_init(&driver);
    value a = driver_floats(&driver, cases[i].a_rank, cases[i].a, NULL),
          b = driver_floats(&driver, 2, cases[i].b, NULL);
    value c = driver_floats(&driver, cases[i].c_rank < 0 ? 0 : cases[i].c_rank, cases[i].c, NULL);
    driver_call call = {.op_type = "Gemm",
                        .opset = cases[i].opset,
                        .inputs = {&a, &b, cases[i].c_rank < 0 ? NULL : &c},
                        .input_count = cases[i].c_rank < 0 ? 2 : 3,
                        .output_count = 1};
    if (cases[i].broadcast) call.attributes[0] = (attribute)DRIVER_INT("broadcast", 1);
    bool accepted = driver_run(&driver, &call) == NORMA_OK;
    if (accepted != cases[i].accepted) fail_msg("case %d: %s", (int)i, driver.error.message);
    value_clear(&a);
    value_clear(&b);
    value_clear(&c);
    driver_finish(&driver);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(float_matches_the_formula),
      cmocka_unit_test(other_floats_match_the_formula),
      cmocka_unit_test(integers_are_exact),
      cmocka_unit_test(rows_do_not_depend_on_the_batch),
      cmocka_unit_test(sizes_of_zero),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
