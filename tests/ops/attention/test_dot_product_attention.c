/* DotProductAttention against the formula, with everything broadcast that can be, in every order of heads and rows, on
 * several workers with the same bits. */
#include "tests/support/operator_trial.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BATCH, HEADS, ROWS, ELEMENTS };

typedef struct dot_case {
  norma_element_type type;
  int rank;
  int64_t sizes[4]; /* of the scores: batch, heads, queries, keys */
  int64_t depth, values;
  int64_t inputs[3][4]; /* q, k, v: batch, heads, rows, elements */
  bool by_row[3], y_by_row;
  int masks;
  int64_t mask_dims[2][4];
  bool is_bool[2];
  bool hides; /* masks may be -inf, or false, for whole rows */
  float scale, filter;
} dot_case;

static int64_t some(uint64_t *seed, int64_t size, bool may_repeat) {
  return may_repeat && random_int(seed, 0, 3) == 0 ? 1 : size;
}

static void make_case(dot_case *c, uint64_t *seed) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_FLOAT, NORMA_FLOAT16, NORMA_BFLOAT16};
  *c = (dot_case){.type = types[random_int(seed, 0, 3)], .rank = (int)random_int(seed, 3, 4), .filter = -3e38f};
  c->scale = (float)random_int(seed, 1, 9) / 8;
  c->depth = random_int(seed, 1, 20);
  c->values = random_int(seed, 1, 20);
  c->sizes[BATCH] = c->rank == 3 ? 1 : random_int(seed, 1, 3);
  c->sizes[HEADS] = random_int(seed, 1, 3);
  c->sizes[ROWS] = random_of(seed, 1, 2, 5, 33, 70);
  c->sizes[ELEMENTS] = random_of(seed, 1, 3, 17, 140);
  c->masks = (int)random_int(seed, 0, 2);
  c->hides = random_int(seed, 0, 1);
  for (int m = 0; m < c->masks; m++) {
    c->is_bool[m] = random_int(seed, 0, 1);
    for (int d = 0; d < 4; d++) c->mask_dims[m][d] = some(seed, c->sizes[d], true);
  }
  for (int i = 0; i < 3; i++) {
    for (int d = 0; d < 2; d++) c->inputs[i][d] = some(seed, c->sizes[d], i > 0);
    c->inputs[i][ROWS] = i == 0 ? c->sizes[ROWS] : c->sizes[ELEMENTS];
    c->inputs[i][ELEMENTS] = i == 2 ? c->values : c->depth;
    c->by_row[i] = c->rank == 4 && random_int(seed, 0, 1);
  }
  c->y_by_row = c->rank == 4 && random_int(seed, 0, 1);
}

static void shape_of_case(const dot_case *c, const int64_t sizes[4], bool by_row, int64_t dims[4]) {
  int missing = 4 - c->rank;
  for (int d = missing; d < 4; d++) dims[d - missing] = sizes[d];
  if (!by_row) return;
  dims[HEADS] = sizes[ROWS];
  dims[ROWS] = sizes[HEADS];
}

static int64_t index_in(const int64_t sizes[4], bool by_row, const int64_t at[4]) {
  int64_t p[4];
  for (int d = 0; d < 4; d++) p[d] = sizes[d] == 1 ? 0 : at[d];
  int64_t outer = by_row ? (p[BATCH] * sizes[ROWS] + p[ROWS]) * sizes[HEADS] + p[HEADS]
                         : (p[BATCH] * sizes[HEADS] + p[HEADS]) * sizes[ROWS] + p[ROWS];
  return outer * sizes[ELEMENTS] + p[ELEMENTS];
}

static void begin_case(const dot_case *c, trial *t, uint64_t *seed) {
  int64_t dims[4];
  trial_begin(t, OPERATOR_INNER_DOMAIN, "DotProductAttention", 1);
  t->seed = *seed;
  for (int i = 0; i < 3; i++) {
    shape_of_case(c, c->inputs[i], c->by_row[i], dims);
    trial_random(t, c->type, c->rank, dims);
  }
  for (int m = 0; m < c->masks; m++) {
    int64_t count = 1;
    for (int d = 0; d < 4; d++) count *= c->mask_dims[m][d];
    double *numbers = calloc((size_t)count, sizeof *numbers);
    assert_non_null(numbers);
    for (int64_t e = 0; e < count; e++) {
      bool hidden = c->hides && (random_int(seed, 0, 2) == 0 || e / c->mask_dims[m][3] == 0);
      numbers[e] = c->is_bool[m] ? !hidden : hidden ? -(double)INFINITY : (double)random_int(seed, -8, 8) / 4;
    }
    shape_of_case(c, c->mask_dims[m], false, dims);
    trial_numbers(t, c->is_bool[m] ? NORMA_BOOL : c->type, c->rank, dims, numbers);
    free(numbers);
  }
  trial_attribute(t, (attribute)DRIVER_FLOAT("scale", c->scale));
  trial_attribute(t, (attribute)DRIVER_FLOAT("filter", c->filter));
  if (c->by_row[0]) trial_attribute(t, (attribute)DRIVER_INT("q_by_row", 1));
  if (c->by_row[1]) trial_attribute(t, (attribute)DRIVER_INT("k_by_row", 1));
  if (c->by_row[2]) trial_attribute(t, (attribute)DRIVER_INT("v_by_row", 1));
  if (c->y_by_row) trial_attribute(t, (attribute)DRIVER_INT("y_by_row", 1));
}

/* Softmax of the scores of one row, NaN where all of them are -inf. */
static void weigh(const dot_case *c, const trial *t, const int64_t row[3], double *weights) {
  double largest = -(double)INFINITY, sum = 0;
  for (int64_t j = 0; j < c->sizes[ELEMENTS]; j++) {
    double score = 0;
    for (int64_t e = 0; e < c->depth; e++)
      score += t->numbers[0][index_in(c->inputs[0], c->by_row[0], (int64_t[]){row[0], row[1], row[2], e})] *
               t->numbers[1][index_in(c->inputs[1], c->by_row[1], (int64_t[]){row[0], row[1], j, e})];
    score *= (double)c->scale;
    for (int m = 0; m < c->masks; m++) {
      double mask = t->numbers[3 + m][index_in(c->mask_dims[m], false, (int64_t[]){row[0], row[1], row[2], j})];
      score = (double)(float)(score + (!c->is_bool[m] ? mask : mask != 0 ? 0 : (double)c->filter));
    }
    weights[j] = score;
    largest = fmax(largest, score);
  }
  for (int64_t j = 0; j < c->sizes[ELEMENTS]; j++) sum += weights[j] = exp(weights[j] - largest);
  for (int64_t j = 0; j < c->sizes[ELEMENTS]; j++) weights[j] /= sum;
}

static void check_row(const dot_case *c, const trial *t, const int64_t row[3]) {
  const int64_t y_sizes[4] = {c->sizes[BATCH], c->sizes[HEADS], c->sizes[ROWS], c->values};
  double weights[140];
  weigh(c, t, row, weights);
  for (int64_t e = 0; e < c->values; e++) {
    double expected = 0;
    for (int64_t j = 0; j < c->sizes[ELEMENTS]; j++)
      expected += weights[j] * t->numbers[2][index_in(c->inputs[2], c->by_row[2], (int64_t[]){row[0], row[1], j, e})];
    trial_expect(t, 0, index_in(y_sizes, c->y_by_row, (int64_t[]){row[0], row[1], row[2], e}), expected, 3e-6);
  }
}

static void every_form_matches_the_formula(void **state) {
  uint64_t seed = 20260301;
  (void)state;
  for (int i = 0; i < 250; i++) {
    dot_case c;
    trial t;
    make_case(&c, &seed);
    for (int d = 0; d < 2; d++) { /* q may be repeated where something else is not */
      bool spread = c.inputs[1][d] == c.sizes[d] || c.inputs[2][d] == c.sizes[d];
      if (spread && random_int(&seed, 0, 3) == 0) c.inputs[0][d] = 1;
    }
    if (c.masks && c.mask_dims[0][ROWS] == c.sizes[ROWS] && random_int(&seed, 0, 3) == 0) c.inputs[0][ROWS] = 1;
    if (c.masks && c.mask_dims[0][ELEMENTS] == c.sizes[ELEMENTS] && random_int(&seed, 0, 3) == 0) c.inputs[1][ROWS] = 1;
    begin_case(&c, &t, &seed);
    trial_run(&t, 1);
    for (int64_t b = 0; b < c.sizes[BATCH]; b++)
      for (int64_t h = 0; h < c.sizes[HEADS]; h++)
        for (int64_t r = 0; r < c.sizes[ROWS]; r++) check_row(&c, &t, (int64_t[]){b, h, r});
    trial_end(&t);
  }
}

/* Without keys there is a sum of nothing, without rows nothing at all. */
static void empty_tensors_work(void **state) {
  (void)state;
  for (int empty = 0; empty < 4; empty++) {
    trial t;
    const int64_t queries = empty == 1 ? 0 : 3, keys = empty == 0 ? 0 : 4, heads = empty == 2 ? 0 : 2;
    const int64_t depth = empty == 3 ? 0 : 5;
    trial_begin(&t, OPERATOR_INNER_DOMAIN, "DotProductAttention", 1);
    trial_random(&t, NORMA_FLOAT, 4, (int64_t[]){1, heads, queries, depth});
    trial_random(&t, NORMA_FLOAT, 4, (int64_t[]){1, heads, keys, depth});
    trial_random(&t, NORMA_FLOAT, 4, (int64_t[]){1, heads, keys, 6});
    trial_run(&t, 1);
    trial_expect_shape(&t, 0, NORMA_FLOAT, 4, (int64_t[]){1, heads, queries, 6});
    for (int64_t i = 0; i < heads * queries * 6 && empty == 0; i++) trial_expect(&t, 0, i, 0, 0);
    trial_end(&t);
  }
}

static void what_does_not_fit_is_refused(void **state) {
  static const char *const whats[] = {"keys of another depth", "values for fewer keys", "heads that do not match",
                                      "a mask of too many keys", "rank 2"};
  (void)state;
  for (int i = 0; i < 5; i++) {
    trial t;
    int rank = i == 4 ? 2 : 4;
    trial_begin(&t, OPERATOR_INNER_DOMAIN, "DotProductAttention", 1);
    trial_random(&t, NORMA_FLOAT, rank, (int64_t[]){2, 3, 5, 8});
    trial_random(&t, NORMA_FLOAT, rank, (int64_t[]){2, 3, 7, i == 0 ? 9 : 8});
    trial_random(&t, NORMA_FLOAT, rank, (int64_t[]){2, i == 2 ? 2 : 3, i == 1 ? 6 : 7, 8});
    if (i == 3) trial_random(&t, NORMA_FLOAT, 1, (int64_t[]){8});
    trial_expect_refusal(&t, 1, whats[i]);
    trial_end(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_form_matches_the_formula),
      cmocka_unit_test(empty_tensors_work),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
