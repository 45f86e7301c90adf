/* NonMaxSuppression against a search for the best box that is left, again and again. */
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

/* y0, x0, y1, x1 in order. */
static void corners_of(const value *boxes, int64_t box, bool centers, float corners[4]) {
  float b[4];
  for (int i = 0; i < 4; i++) b[i] = (float)driver_element(boxes, box * 4 + i);
  if (centers) {
    corners[0] = b[1] - b[3] / 2, corners[2] = b[1] + b[3] / 2;
    corners[1] = b[0] - b[2] / 2, corners[3] = b[0] + b[2] / 2;
    return;
  }
  for (int i = 0; i < 2; i++) {
    corners[i] = fminf(b[i], b[i + 2]);
    corners[i + 2] = fmaxf(b[i], b[i + 2]);
  }
}

static float overlap(const float a[4], const float b[4]) {
  const float height = fminf(a[2], b[2]) - fmaxf(a[0], b[0]), width = fminf(a[3], b[3]) - fmaxf(a[1], b[1]);
  const float area_a = (a[2] - a[0]) * (a[3] - a[1]), area_b = (b[2] - b[0]) * (b[3] - b[1]);
  if (!(height > 0 && width > 0 && area_a > 0 && area_b > 0)) return -1;
  return height * width / (area_a + area_b - height * width);
}

typedef struct setting {
  int64_t most;
  float covering, least;
  bool has_least, centers;
} setting;

static int64_t expected_of(const value *boxes, const value *scores, const setting *s, int64_t *found) {
  const int64_t *dims = scores->tensor.dims, count = dims[2];
  int64_t total = 0;
  bool *gone = malloc((size_t)count + 1);
  for (int64_t unit = 0; unit < dims[0] * dims[1]; unit++) {
    const int64_t sample = unit / dims[1], first = total;
    memset(gone, 0, (size_t)count);
    for (;;) {
      int64_t best = -1;
      for (int64_t i = 0; i < count; i++) {
        const double score = driver_element(scores, unit * count + i);
        if (gone[i] || (s->has_least && !(score > (double)s->least))) continue;
        if (best < 0 || score > driver_element(scores, unit * count + best)) best = i;
      }
      if (best < 0 || total - first >= s->most) break;
      gone[best] = true;
      bool covered = false;
      float own[4], other[4];
      corners_of(boxes, sample * count + best, s->centers, own);
      for (int64_t k = first; k < total; k++) {
        corners_of(boxes, sample * count + found[3 * k + 2], s->centers, other);
        covered = covered || overlap(own, other) > s->covering;
      }
      if (covered) continue;
      found[3 * total] = sample, found[3 * total + 1] = unit % dims[1], found[3 * total + 2] = best;
      total++;
    }
  }
  free(gone);
  return total;
}

static void random_boxes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 150; round++) {
    const int64_t samples = random_int(&bench.seed, 0, 2), classes = random_int(&bench.seed, 1, 3),
                  count = random_int(&bench.seed, 0, round % 10 ? 30 : 400);
    const setting s = {.most = random_int(&bench.seed, -1, 40),
                       .covering = (float)driver_random(&bench.seed, 0, 1),
                       .least = (float)driver_random(&bench.seed, -0.5, 0.7),
                       .has_least = round % 2,
                       .centers = round % 3 == 0};
    const value *boxes = bench_random(&bench, NORMA_FLOAT, SHAPE(samples, count, 4), 0, 3);
    value *scores = bench_make(&bench, NORMA_FLOAT, SHAPE(samples, classes, count));
    for (int64_t i = 0; i < samples * classes * count; i++) /* many are equal */
      ((float *)scores->tensor.data)[i] = (float)random_int(&bench.seed, -8, 8) / 8;
    const value *covering = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1), NUMBERS((double)s.covering)),
                *least = bench_tensor(&bench, NORMA_FLOAT, SCALAR, NUMBERS((double)s.least));
    driver_call call = CALL("NonMaxSuppression", round % 2 ? 10 : 11, boxes, scores, bench_int(&bench, s.most),
                            covering, s.has_least ? least : NULL);
    call.attributes[0] = (attribute)DRIVER_INT("center_point_box", s.centers);
    int64_t *expected = malloc(sizeof *expected * (size_t)(3 * samples * classes * count + 1));
    const int64_t total = expected_of(boxes, scores, &s, expected);
    check_ints(bench_run(&bench, &call), SHAPE(total, 3), expected);
    free(expected);
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

/* Nothing is asked for by default; scores that are no numbers come last. */
static void defaults_and_nan(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *boxes = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 3, 4), NUMBERS(0, 0, 1, 1, 0, 2, 1, 3, 0, 4, 1, 5));
  const value *scores = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 3), NUMBERS(NAN, -INFINITY, 0.5));
  driver_call call = CALL("NonMaxSuppression", 11, boxes, scores);
  check_ints(bench_run(&bench, &call), SHAPE(0, 3), NULL);
  call = CALL("NonMaxSuppression", 11, boxes, scores, bench_list(&bench, INT64_MAX));
  check_ints(bench_run(&bench, &call), SHAPE(3, 3), (const int64_t[]){0, 0, 2, 0, 0, 1, 0, 0, 0});
  call = CALL("NonMaxSuppression", 11, boxes, scores, bench_list(&bench, 9), NULL,
              bench_tensor(&bench, NORMA_FLOAT, SCALAR, NUMBERS(-INFINITY)));
  check_ints(bench_run(&bench, &call), SHAPE(1, 3), (const int64_t[]){0, 0, 2});
  /* Boxes that are no numbers cover nothing and are not covered. */
  call.inputs[0] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 3, 4),
                                NUMBERS(NAN, 0, 1, 1, 0, 0, 1, 1, -INFINITY, -INFINITY, INFINITY, INFINITY));
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 3), NUMBERS(3, 2, 1));
  check_ints(bench_run(&bench, &call), SHAPE(3, 3), (const int64_t[]){0, 0, 0, 0, 0, 1, 0, 0, 2});
  bench_finish(&bench);
}

static void mistakes_are_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *boxes = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 3, 4), NULL),
              *scores = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 3), NULL), *most = bench_list(&bench, 3);
  driver_call call =
      CALL("NonMaxSuppression", 11, boxes, scores, most, bench_tensor(&bench, NORMA_FLOAT, SCALAR, NUMBERS(1.5)));
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "iou_threshold is 1.5");
  call.inputs[3] = bench_tensor(&bench, NORMA_FLOAT, SCALAR, NUMBERS(NAN));
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "iou_threshold is");
  call.inputs[3] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "2 numbers instead of one");
  call.input_count = 3;
  call.attributes[0] = (attribute)DRIVER_INT("center_point_box", 2);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "center_point_box is 2");
  call.attributes[0] = (attribute){0};
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 4), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "differ in their sizes");
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 3), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 2");
  call.inputs[0] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 3, 5), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 2");
  call.inputs[1] = scores;
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "four coordinates");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_boxes),
      cmocka_unit_test(defaults_and_nan),
      cmocka_unit_test(mistakes_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
