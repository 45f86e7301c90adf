/* EmbedLayerNormalization against its formula. */
#include "tests/support/operator_trial.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum inputs { IDS, SEGMENTS, WORD, POSITION, SEGMENT, GAMMA, BETA, MASK, POSITIONS };
enum { WORDS = 7, PLACES = 9, KINDS = 2 };

typedef struct embed_case {
  norma_element_type type;
  int64_t batch, rows, hidden;
  bool segments, mask;
  int64_t positions; /* samples of position_ids; 0: none */
} embed_case;

static void append_ids(trial *t, int64_t batch, int64_t rows, int64_t limit) {
  double ids[64];
  for (int64_t i = 0; i < batch * rows; i++) ids[i] = (double)random_int(&t->seed, 0, limit - 1);
  trial_numbers(t, NORMA_INT32, 2, (int64_t[]){batch, rows}, ids);
}

static void begin_case(const embed_case *c, trial *t, uint64_t seed) {
  trial_begin(t, "com.microsoft", "EmbedLayerNormalization", 1);
  t->seed = seed;
  append_ids(t, c->batch, c->rows, WORDS);
  if (c->segments)
    append_ids(t, c->batch, c->rows, KINDS);
  else
    trial_absent(t);
  trial_random(t, c->type, 2, (int64_t[]){WORDS, c->hidden});
  trial_random(t, c->type, 2, (int64_t[]){PLACES, c->hidden});
  if (c->segments)
    trial_random(t, c->type, 2, (int64_t[]){KINDS, c->hidden});
  else
    trial_absent(t);
  trial_random(t, c->type, 1, &c->hidden);
  trial_random(t, c->type, 1, &c->hidden);
  if (c->mask)
    append_ids(t, c->batch, c->rows, 2);
  else
    trial_absent(t);
  if (c->positions) append_ids(t, c->positions, c->rows, PLACES);
  trial_attribute(t, (attribute)DRIVER_FLOAT("epsilon", 1e-3f));
}

static double element(const embed_case *c, const trial *t, int table, int64_t row, int64_t e) {
  return t->numbers[table][row * c->hidden + e];
}

static void check_token(const embed_case *c, const trial *t, int64_t token) {
  double sums[40], mean = 0, squares = 0, n = (double)c->hidden;
  int64_t s = token % c->rows, position = s;
  if (c->positions) position = (int64_t)t->numbers[POSITIONS][c->positions == 1 ? s : token];
  for (int64_t e = 0; e < c->hidden; e++) {
    sums[e] = element(c, t, WORD, (int64_t)t->numbers[IDS][token], e) + element(c, t, POSITION, position, e);
    if (c->segments) sums[e] += element(c, t, SEGMENT, (int64_t)t->numbers[SEGMENTS][token], e);
    mean += sums[e] / n;
    trial_expect(t, 2, token * c->hidden + e, sums[e], 1e-6);
  }
  for (int64_t e = 0; e < c->hidden; e++) squares += pow(sums[e] - mean, 2) / n;
  double inverse = 1 / sqrt(squares + (double)1e-3f);
  for (int64_t e = 0; e < c->hidden; e++)
    trial_expect(t, 0, token * c->hidden + e, (sums[e] - mean) * inverse * t->numbers[GAMMA][e] + t->numbers[BETA][e],
                 1e-5 * inverse);
}

static void every_option_matches_the_formula(void **state) {
  uint64_t seed = 3;
  (void)state;
  for (int i = 0; i < 120; i++) {
    embed_case c = {.type = i % 2 ? NORMA_FLOAT : NORMA_FLOAT16,
                    .batch = random_int(&seed, 1, 4),
                    .rows = random_int(&seed, 1, PLACES),
                    .hidden = random_int(&seed, 1, 33),
                    .segments = random_int(&seed, 0, 1),
                    .mask = random_int(&seed, 0, 1)};
    if (random_int(&seed, 0, 1)) c.positions = random_int(&seed, 0, 1) ? 1 : c.batch;
    trial t;
    begin_case(&c, &t, seed);
    trial_run(&t, 3);
    for (int64_t token = 0; token < c.batch * c.rows; token++) check_token(&c, &t, token);
    for (int64_t b = 0; b < c.batch; b++) {
      double count = 0;
      for (int64_t s = 0; s < c.rows && c.mask; s++) count += t.numbers[MASK][b * c.rows + s];
      trial_expect(&t, 1, b, count, 0);
    }
    trial_end(&t);
  }
}

static void what_does_not_fit_is_refused(void **state) {
  static const embed_case good = {NORMA_FLOAT, 2, 3, 4, true, true, 2};
  static const char *const whats[] = {"a word that is not there", "a negative position", "a segment that is not there",
                                      "a table of another width", "a short gamma",       "segments without a table"};
  (void)state;
  for (int i = 0; i < 6; i++) {
    trial t;
    begin_case(&good, &t, 3);
    if (i == 0) element_set_double(NORMA_INT32, t.inputs[IDS].tensor.data, 4, WORDS);
    if (i == 1) element_set_double(NORMA_INT32, t.inputs[POSITIONS].tensor.data, 4, -1);
    if (i == 2) element_set_double(NORMA_INT32, t.inputs[SEGMENTS].tensor.data, 4, KINDS);
    norma_tensor *table = &t.inputs[POSITION].tensor, *gamma = &t.inputs[GAMMA].tensor;
    if (i == 3) norma_tensor_init(table, NORMA_FLOAT, 2, (int64_t[]){PLACES, 3}, table->data);
    if (i == 4) norma_tensor_init(gamma, NORMA_FLOAT, 1, (int64_t[]){3}, gamma->data);
    if (i == 5) t.call.inputs[SEGMENT] = NULL;
    trial_expect_refusal(&t, 3, whats[i]);
    if (i == 5) t.call.inputs[SEGMENT] = &t.inputs[SEGMENT];
    trial_end(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_option_matches_the_formula),
                                     cmocka_unit_test(what_does_not_fit_is_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
