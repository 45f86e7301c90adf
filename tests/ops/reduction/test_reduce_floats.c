/* Reductions of float and half precision that are cut in units: digits of long sums, any number of threads. */
#include "tests/support/operator_driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef struct reduction_case {
  int rank;
  int64_t dims[4];
  int axis_count;
  int64_t axes[4];
} reduction_case;

/* Runs, strips of columns, and both in several units; many short rows for one output. */
static const reduction_case cases[] = {
    {1, {300001}, 1, {0}},        {2, {3, 200000}, 1, {1}},      {2, {200000, 3}, 1, {0}},
    {2, {700, 600}, 1, {0}},      {2, {700, 600}, 2, {0, 1}},    {3, {30000, 2, 9}, 2, {0, 2}},
    {3, {9, 300, 170}, 1, {1}},   {3, {40, 7, 2000}, 2, {0, 2}}, {4, {300, 3, 200, 2}, 2, {0, 2}},
    {3, {20000, 3, 7}, 1, {0}},   {2, {5, 49}, 1, {1}},          {2, {8, 300}, 1, {0}},
    {4, {2, 3, 4, 5}, 2, {1, 3}},
};

static const char *const operators[] = {"ReduceSum", "ReduceMean", "ReduceL1",     "ReduceL2",   "ReduceSumSquare",
                                        "ReduceMax", "ReduceMin",  "ReduceLogSum", "ReduceProd", "ReduceLogSumExp"};

static bool is_reduced(const reduction_case *c, int axis) {
  for (int i = 0; i < c->axis_count; i++) {
    if (c->axes[i] == axis) return true;
  }
  return false;
}

static double step(const char *op, double sum, double x) {
  if (strcmp(op, "ReduceMax") == 0) return fmax(sum, x);
  if (strcmp(op, "ReduceMin") == 0) return fmin(sum, x);
  if (strcmp(op, "ReduceL2") == 0 || strcmp(op, "ReduceSumSquare") == 0) return sum + x * x;
  if (strcmp(op, "ReduceProd") == 0) return sum * x;
  if (strcmp(op, "ReduceLogSumExp") == 0) return sum + exp(x);
  return sum + fabs(x);
}

static double finish(const char *op, double sum, double count) {
  if (strcmp(op, "ReduceMean") == 0) return sum / count;
  if (strcmp(op, "ReduceL2") == 0) return sqrt(sum);
  return strcmp(op, "ReduceLogSum") == 0 || strcmp(op, "ReduceLogSumExp") == 0 ? log(sum) : sum;
}

static void check_case(driver *driver, const reduction_case *c, const char *op, norma_element_type type,
                       const double *elements, int64_t count) {
  static const int threads[] = {1, 2, 3, 7};
  int64_t outputs = 1, reduced = 1;
  for (int i = 0; i < c->rank; i++) *(is_reduced(c, i) ? &reduced : &outputs) *= c->dims[i];
  double *expected = calloc((size_t)outputs, sizeof *expected);
  value x = driver_tensor(driver, type, c->rank, c->dims, elements);
  const double start = strcmp(op, "ReduceMin") == 0 ? (double)INFINITY : strcmp(op, "ReduceProd") == 0;
  for (int64_t i = 0; i < outputs; i++) expected[i] = start;
  for (int64_t i = 0; i < count; i++) {
    int64_t rest = i, at = 0, stride = 1;
    for (int axis = c->rank - 1; axis >= 0; axis--) {
      if (!is_reduced(c, axis)) {
        at += rest % c->dims[axis] * stride;
        stride *= c->dims[axis];
      }
      rest /= c->dims[axis];
    }
    expected[at] = step(op, expected[at], driver_element(&x, i));
  }
  value axes = driver_ints(driver, 1, (int64_t[]){c->axis_count}, c->axes);
  void *first = NULL;
  for (size_t t = 0; t < COUNT(threads); t++) {
    driver_call call = {.op_type = op,
                        .opset = 18,
                        .inputs = {&x, &axes},
                        .input_count = 2,
                        .output_count = 1,
                        .workers = threads[t],
                        .attributes = {DRIVER_INT("keepdims", 0)}};
    if (driver_run(driver, &call) != NORMA_OK) fail_msg("%s: %s", op, driver->error.message);
    const norma_tensor *y = &driver->outputs[0].tensor;
    assert_int_equal(norma_tensor_count(y), outputs);
    if (t == 0) {
      first = malloc(y->size_bytes);
      memcpy(first, y->data, y->size_bytes);
      for (int64_t i = 0; i < outputs; i++) {
        const double wanted = finish(op, expected[i], (double)reduced), found = driver_element(&driver->outputs[0], i);
        const double tolerance = type == NORMA_FLOAT ? 1e-6 : type == NORMA_FLOAT16 ? 1e-3 : 8e-3;
        if (isinf(found) && type == NORMA_FLOAT16 && wanted > 65504) continue;
        const double denormal = type == NORMA_FLOAT16 ? 0x1p-24 : 0x1p-126;
        if (!(fabs(found - wanted) <= tolerance * fabs(wanted) + denormal))
          fail_msg("%s of rank %d, output %d: %.9g, not %.9g", op, c->rank, (int)i, found, wanted);
      }
    }
    assert_memory_equal(first, y->data, y->size_bytes);
  }
  free(first), free(expected);
  value_clear(&x);
  value_clear(&axes);
}

static void check_all(bool equal) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_FLOAT, NORMA_FLOAT16, NORMA_BFLOAT16};
  driver driver;
  driver_init(&driver);
  uint64_t seed = 11;
  for (size_t i = 0; i < COUNT(cases); i++) {
    int64_t count = 1;
    for (int k = 0; k < cases[i].rank; k++) count *= cases[i].dims[k];
    double *elements = malloc(sizeof(double) * (size_t)count);
    for (int64_t k = 0; k < count; k++) elements[k] = equal ? 0.1 : driver_random(&seed, 0.01, 0.9);
    for (size_t op = 0; op < COUNT(operators); op++)
      check_case(&driver, &cases[i], operators[op], types[(i + op) % COUNT(types)], elements, count);
    free(elements);
  }
  driver_finish(&driver);
}

static void equal_elements(void **state) {
  (void)state;
  check_all(true);
}

static void random_elements(void **state) {
  (void)state;
  check_all(false);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(equal_elements), cmocka_unit_test(random_elements)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
