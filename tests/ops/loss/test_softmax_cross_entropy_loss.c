/* SoftmaxCrossEntropyLoss against the definition in double precision, with and without the second output. */
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

static const loss_case cases[] = {{2, {5, 4}},     {2, {1, 1}},       {2, {300, 70}},       {2, {40, 5000}},
                                  {3, {2, 3, 40}}, {3, {3, 50, 700}}, {4, {2, 5, 3, 4}},    {5, {1, 3, 2, 2, 3}},
                                  {2, {0, 3}},     {3, {2, 3, 0}},    {4, {1, 40, 20, 20}}, {3, {2, 3000, 3}}};
static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
static const char *const reductions[] = {"none", "sum", "mean"};

static double tolerance_of(norma_element_type type) {
  return type == NORMA_DOUBLE ? 1e-12 : type == NORMA_FLOAT ? 2e-6 : type == NORMA_FLOAT16 ? 1e-3 : 8e-3;
}

static void compare(const value *found, const double *expected, int64_t count, norma_element_type type,
                    const char *what) {
  assert_int_equal(found->tensor.type, type);
  assert_int_equal(norma_tensor_count(&found->tensor), count);
  for (int64_t i = 0; i < count; i++) {
    const double x = driver_element(found, i);
    if (isinf(x) && fabs(expected[i]) > 65000) continue;
    if (isnan(expected[i]) ? !isnan(x) : !(fabs(x - expected[i]) <= tolerance_of(type) * (1 + fabs(expected[i]))))
      fail_msg("%s: element %d is %.9g, not %.9g", what, (int)i, x, expected[i]);
  }
}

static void check(driver *driver, const loss_case *c, norma_element_type type, int reduction, bool weighted,
                  int64_t ignored, uint64_t *seed) {
  static const int threads[] = {1, 2, 3, 7};
  int64_t inner = 1, labels_dims[4] = {c->dims[0]};
  for (int i = 2; i < c->rank; i++) inner *= labels_dims[i - 1] = c->dims[i];
  const int64_t samples = c->dims[0], classes = c->dims[1], count = samples * inner;
  double *scores = malloc(sizeof(double) * (size_t)(count * classes + 1)),
         *y = malloc(sizeof(double) * (size_t)(count * classes + 1));
  double *chosen = malloc(sizeof(double) * (size_t)(count + 1)), *losses = malloc(sizeof(double) * (size_t)(count + 1));
  double *weights = malloc(sizeof(double) * (size_t)classes), sum = 0, total = 0;
  for (int64_t i = 0; i < count * classes; i++) scores[i] = driver_random(seed, -4, 4);
  for (int64_t i = 0; i < classes; i++) weights[i] = driver_random(seed, 0.1, 2);
  for (int64_t i = 0; i < count; i++) {
    chosen[i] = floor(driver_random(seed, 0, (double)classes - 0.001));
    if (ignored != INT64_MIN && driver_random(seed, 0, 1) < 0.2) chosen[i] = (double)ignored;
  }
  value x = driver_tensor(driver, type, c->rank, c->dims, scores),
        w = driver_tensor(driver, type, 1, &classes, weights);
  value labels = driver_tensor(driver, NORMA_INT64, c->rank - 1, labels_dims, chosen);
  for (int64_t i = 0; i < count; i++) {
    const int64_t first = i / inner * classes * inner + i % inner;
    double powers = 0;
    for (int64_t k = 0; k < classes; k++) powers += exp(driver_element(&x, first + k * inner));
    for (int64_t k = 0; k < classes; k++) y[first + k * inner] = driver_element(&x, first + k * inner) - log(powers);
    const bool skip = ignored != INT64_MIN && chosen[i] == (double)ignored;
    const double weight = skip ? 0 : weighted ? driver_element(&w, (int64_t)chosen[i]) : 1;
    losses[i] = skip ? 0 : -y[first + (int64_t)chosen[i] * inner] * weight;
    sum += losses[i];
    total += weight;
  }
  void *firsts[2] = {NULL, NULL};
  for (int with_y = 0; with_y < 2; with_y++) {
    for (size_t t = 0; t < COUNT(threads); t++) {
      driver_call call = {.op_type = "SoftmaxCrossEntropyLoss",
                          .opset = 13,
                          .inputs = {&x, &labels, &w},
                          .input_count = weighted ? 3 : 2,
                          .output_count = 1 + with_y,
                          .workers = threads[t],
                          .attributes = {{.name = "reduction",
                                          .kind = ATTRIBUTE_STRING,
                                          .s = {reductions[reduction], strlen(reductions[reduction])}}}};
      if (ignored != INT64_MIN) call.attributes[1] = (attribute)DRIVER_INT("ignore_index", ignored);
      if (driver_run(driver, &call) != NORMA_OK) fail_msg("%s", driver->error.message);
      const double one = reduction == 1 ? sum : sum / total;
      compare(&driver->outputs[0], reduction == 0 ? losses : &one, reduction == 0 ? count : 1, type, "loss");
      if (with_y) compare(&driver->outputs[1], y, count * classes, type, "log_prob");
      for (int o = 0; o < 1 + with_y; o++) {
        const norma_tensor *tensor = &driver->outputs[o].tensor;
        if (t == 0) {
          free(firsts[o]);
          firsts[o] = malloc(tensor->size_bytes + 1);
          memcpy(firsts[o], tensor->data, tensor->size_bytes);
        }
        assert_memory_equal(firsts[o], tensor->data, tensor->size_bytes);
      }
    }
  }
  free(firsts[0]), free(firsts[1]), free(scores), free(y), free(chosen), free(losses), free(weights);
  value_clear(&x), value_clear(&w), value_clear(&labels);
}

static void all_shapes_and_reductions(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  uint64_t seed = 9;
  static const int64_t ignored[] = {INT64_MIN, -5, 0, 100000};
  for (size_t i = 0; i < COUNT(cases); i++) {
    for (int reduction = 0; reduction < 3; reduction++) {
      for (int k = 0; k < 4; k++)
        check(&driver, &cases[i], types[(i + (size_t)k) % 4], reduction, (k + reduction) % 2, ignored[k], &seed);
    }
  }
  driver_finish(&driver);
}

static void refused(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 2, (int64_t[]){2, 3}, NULL),
        half = driver_tensor(&driver, NORMA_BFLOAT16, 2, (int64_t[]){2, 3}, NULL);
  value good = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){0, 2});
  value outside = driver_ints(&driver, 1, (int64_t[]){2}, (int64_t[]){0, 3});
  driver_call call = {
      .op_type = "SoftmaxCrossEntropyLoss", .opset = 13, .inputs = {&x, &outside}, .input_count = 2, .output_count = 2};
  assert_int_equal(driver_run(&driver, &call), NORMA_ERROR_RUN);
  call.inputs[1] = &good;
  call.attributes[0] = (attribute)DRIVER_STRING("reduction", "NONE");
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  call.attributes[0] = (attribute){0};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  call.inputs[0] = &half;
  call.opset = 12;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  value_clear(&x), value_clear(&half), value_clear(&good), value_clear(&outside);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(all_shapes_and_reductions), cmocka_unit_test(refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
