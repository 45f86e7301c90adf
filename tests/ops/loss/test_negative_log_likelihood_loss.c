/* NegativeLogLikelihoodLoss against the definition, label by label. */
#include "tests/support/operator_driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef struct loss_case {
  int rank;
  int64_t dims[5]; /* of the scores */
} loss_case;

static const loss_case cases[] = {{2, {5, 4}},       {2, {1, 1}},       {2, {300, 7}},        {3, {2, 3, 40}},
                                  {3, {3, 2, 9000}}, {4, {2, 5, 3, 4}}, {5, {1, 3, 2, 2, 3}}, {2, {0, 3}},
                                  {3, {2, 3, 0}},    {2, {20000, 3}}};
static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
static const char *const reductions[] = {"none", "sum", "mean"};

static void check(driver *driver, const loss_case *c, norma_element_type type, int reduction, bool weighted,
                  int64_t ignored, bool narrow, uint64_t *seed) {
  static const int threads[] = {1, 2, 3, 7};
  int64_t inner = 1, labels_dims[4] = {c->dims[0]};
  for (int i = 2; i < c->rank; i++) inner *= labels_dims[i - 1] = c->dims[i];
  const int64_t samples = c->dims[0], classes = c->dims[1], count = samples * inner;
  double *scores = malloc(sizeof(double) * (size_t)(count * classes + 1)),
         *chosen = malloc(sizeof(double) * (size_t)(count + 1));
  double *expected = malloc(sizeof(double) * (size_t)(count + 1)), weights[8], sum = 0, total = 0;
  for (int64_t i = 0; i < count * classes; i++) scores[i] = driver_random(seed, -3, 0);
  for (int64_t i = 0; i < classes; i++) weights[i] = driver_random(seed, 0.1, 2);
  for (int64_t i = 0; i < count; i++) {
    chosen[i] = floor(driver_random(seed, 0, (double)classes - 0.001));
    if (ignored != INT64_MIN && driver_random(seed, 0, 1) < 0.2) chosen[i] = (double)ignored;
  }
  value x = driver_tensor(driver, type, c->rank, c->dims, scores),
        w = driver_tensor(driver, type, 1, &classes, weights);
  value labels = driver_tensor(driver, narrow ? NORMA_INT32 : NORMA_INT64, c->rank - 1, labels_dims, chosen);
  for (int64_t i = 0; i < count; i++) {
    const bool skip = ignored != INT64_MIN && chosen[i] == (double)ignored;
    const int64_t at = skip ? 0 : (i / inner * classes + (int64_t)chosen[i]) * inner + i % inner;
    const double weight = skip ? 0 : weighted ? driver_element(&w, (int64_t)chosen[i]) : 1;
    expected[i] = skip ? 0 : -driver_element(&x, at) * weight;
    sum += expected[i];
    total += weight;
  }
  void *first = NULL;
  for (size_t t = 0; t < COUNT(threads); t++) {
    driver_call call = {.op_type = "NegativeLogLikelihoodLoss",
                        .opset = 22,
                        .inputs = {&x, &labels, &w},
                        .input_count = weighted ? 3 : 2,
                        .output_count = 1,
                        .workers = threads[t],
                        .attributes = {{.name = "reduction",
                                        .kind = ATTRIBUTE_STRING,
                                        .s = {reductions[reduction], strlen(reductions[reduction])}}}};
    if (ignored != INT64_MIN) call.attributes[1] = (attribute)DRIVER_INT("ignore_index", ignored);
    if (driver_run(driver, &call) != NORMA_OK) fail_msg("%s", driver->error.message);
    const norma_tensor *y = &driver->outputs[0].tensor;
    assert_int_equal(y->rank, reduction == 0 ? c->rank - 1 : 0);
    const int64_t outputs = reduction == 0 ? count : 1;
    assert_int_equal(norma_tensor_count(y), outputs);
    for (int64_t i = 0; i < outputs; i++) {
      const double wanted = reduction == 0 ? expected[i] : reduction == 1 ? sum : sum / total;
      const double found = driver_element(&driver->outputs[0], i);
      const double tolerance = type == NORMA_DOUBLE    ? 1e-12
                               : type == NORMA_FLOAT   ? 1e-6
                               : type == NORMA_FLOAT16 ? 1e-3
                                                       : 8e-3;
      if (isinf(found) && fabs(wanted) > 65000) continue;
      if (isnan(wanted) ? !isnan(found) : !(fabs(found - wanted) <= tolerance * (1e-3 + fabs(wanted))))
        fail_msg("%s, loss %d is %.9g, not %.9g", reductions[reduction], (int)i, found, wanted);
    }
    if (t == 0) {
      first = malloc(y->size_bytes + 1);
      memcpy(first, y->data, y->size_bytes);
    }
    assert_memory_equal(first, y->data, y->size_bytes);
  }
  free(first), free(scores), free(chosen), free(expected);
  value_clear(&x), value_clear(&w), value_clear(&labels);
}

static void all_shapes_and_reductions(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  uint64_t seed = 5;
  static const int64_t ignored[] = {INT64_MIN, -1, 0, 1000};
  for (size_t i = 0; i < COUNT(cases); i++) {
    for (int reduction = 0; reduction < 3; reduction++) {
      for (int k = 0; k < 4; k++) {
        check(&driver, &cases[i], types[(i + (size_t)k) % 4], reduction, (k + reduction) % 2, ignored[k], k % 2, &seed);
      }
    }
  }
  driver_finish(&driver);
}

/* What is ignored does not count, infinite or not. */
static void ignored_scores_may_be_anything(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 2, (int64_t[]){2, 2}, (float[]){INFINITY, NAN, -1, -2});
  value labels = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){0, 1});
  driver_call call = {.op_type = "NegativeLogLikelihoodLoss",
                      .opset = 13,
                      .inputs = {&x, &labels},
                      .input_count = 2,
                      .output_count = 1,
                      .attributes = {DRIVER_INT("ignore_index", 0)}};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 0, NULL, (double[]){2});
  value_clear(&x), value_clear(&labels);
  driver_finish(&driver);
}

static void refused(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 2, (int64_t[]){2, 3}, NULL),
        vector = driver_floats(&driver, 1, (int64_t[]){2}, NULL);
  value good = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){0, 2});
  value outside = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){0, 3});
  value negative = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){-1, 0});
  value three = driver_ints(&driver, 1, (int64_t[]){3}, NULL),
        matrix = driver_ints(&driver, 2, (int64_t[]){2, 1}, NULL);
  const struct {
    const value *x, *labels, *weights;
    attribute attribute;
  } wrong[] = {{&x, &outside, NULL, {0}},
               {&x, &negative, NULL, {0}},
               {&x, &negative, NULL, DRIVER_INT("ignore_index", -2)},
               {&x, &three, NULL, {0}},
               {&x, &matrix, NULL, {0}},
               {&vector, &good, NULL, {0}},
               {&x, &good, &vector, {0}}, /* two weights for three classes */
               {&x, &good, &x, {0}},
               {&x, &good, NULL, DRIVER_STRING("reduction", "average")}};
  for (size_t i = 0; i < COUNT(wrong); i++) {
    driver_call call = {.op_type = "NegativeLogLikelihoodLoss",
                        .opset = 13,
                        .inputs = {wrong[i].x, wrong[i].labels, wrong[i].weights},
                        .input_count = wrong[i].weights ? 3 : 2,
                        .output_count = 1,
                        .attributes = {wrong[i].attribute}};
    if (driver_run(&driver, &call) == NORMA_OK) fail_msg("case %d was accepted", (int)i);
  }
  value half = driver_tensor(&driver, NORMA_BFLOAT16, 2, (int64_t[]){2, 3}, NULL);
  driver_call call = {.op_type = "NegativeLogLikelihoodLoss",
                      .opset = 13,
                      .inputs = {&half, &good},
                      .input_count = 2,
                      .output_count = 1};
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  value_clear(&x), value_clear(&vector), value_clear(&good), value_clear(&outside), value_clear(&negative);
  value_clear(&three), value_clear(&matrix), value_clear(&half);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(all_shapes_and_reductions),
                                     cmocka_unit_test(ignored_scores_may_be_anything), cmocka_unit_test(refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
