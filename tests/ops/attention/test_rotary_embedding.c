/* RotaryEmbedding of both domains against the rotation of pairs in double precision. */
#include "tests/support/operator_trial.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define POSITIONS 9

typedef struct rotary_case {
  norma_element_type type;
  int64_t batch, heads, rows, elements, rotary; /* rotary: all where `whole` */
  bool contrib, by_row, ids, one_id, interleaved, whole;
} rotary_case;

static void begin_case(const rotary_case *c, trial *t, uint64_t seed) {
  int64_t half = c->rotary / 2;
  double ids[64];
  trial_begin(t, c->contrib ? "com.microsoft" : "", "RotaryEmbedding", c->contrib ? 1 : 23);
  t->seed = seed;
  if (c->by_row)
    trial_random(t, c->type, 3, (int64_t[]){c->batch, c->rows, c->heads * c->elements});
  else
    trial_random(t, c->type, 4, (int64_t[]){c->batch, c->heads, c->rows, c->elements});
  for (int64_t i = 0; i < c->batch * c->rows; i++)
    ids[i] = (double)(c->one_id ? POSITIONS - c->rows : random_int(&t->seed, 0, POSITIONS - 1));
  int rank = c->one_id ? 1 : 2;
  const int64_t of_ids[2] = {c->one_id ? 1 : c->batch, c->rows}, cache[3] = {c->batch, c->rows, half};
  const int64_t table[2] = {POSITIONS, half};
  if (c->contrib) trial_numbers(t, NORMA_INT64, rank, of_ids, ids);
  for (int i = 0; i < 2; i++) trial_random(t, c->type, c->ids ? 2 : 3, c->ids ? table : cache);
  if (!c->contrib && c->ids) trial_numbers(t, NORMA_INT64, rank, of_ids, ids);
  if (c->by_row || (c->contrib && !c->whole)) trial_attribute(t, (attribute)DRIVER_INT("num_heads", c->heads));
  if (!c->whole) trial_attribute(t, (attribute)DRIVER_INT("rotary_embedding_dim", c->rotary));
  if (c->interleaved) trial_attribute(t, (attribute)DRIVER_INT("interleaved", 1));
}

static void check_case(const rotary_case *c, uint64_t seed) {
  trial t;
  begin_case(c, &t, seed);
  trial_run(&t, 1);
  int cos = c->contrib ? 2 : 1, ids = c->contrib ? 1 : 3;
  int64_t half = c->rotary / 2;
  for (int64_t b = 0; b < c->batch; b++)
    for (int64_t h = 0; h < c->heads; h++)
      for (int64_t r = 0; r < c->rows; r++) {
        int64_t at = c->by_row ? ((b * c->rows + r) * c->heads + h) : ((b * c->heads + h) * c->rows + r);
        int64_t position = b * c->rows + r;
        if (c->ids) position = (int64_t)(c->one_id ? t.numbers[ids][0] + (double)r : t.numbers[ids][position]);
        for (int64_t e = 0; e < c->elements; e++) {
          const double *x = t.numbers[0] + at * c->elements;
          bool real = c->interleaved ? e % 2 == 0 : e < half;
          int64_t pair = c->interleaved ? e / 2 : real ? e : e - half;
          int64_t other = c->interleaved ? (real ? e + 1 : e - 1) : real ? e + half : e - half;
          double expected = x[e];
          if (e < c->rotary) {
            double cosine = t.numbers[cos][position * half + pair], sine = t.numbers[cos + 1][position * half + pair];
            expected = real ? x[e] * cosine - x[other] * sine : x[e] * cosine + x[other] * sine;
          }
          trial_expect(&t, 0, at * c->elements + e, expected, 2e-7);
        }
      }
  trial_end(&t);
}

static void every_option_matches_the_formula(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_FLOAT16, NORMA_BFLOAT16};
  uint64_t seed = 7;
  (void)state;
  for (int i = 0; i < 300; i++) {
    rotary_case c = {.type = types[i % 3],
                     .batch = random_int(&seed, 1, 3),
                     .heads = random_int(&seed, 1, 3),
                     .rows = random_int(&seed, 1, 5),
                     .elements = 2 * random_int(&seed, 1, 30),
                     .contrib = random_int(&seed, 0, 1),
                     .by_row = random_int(&seed, 0, 1),
                     .ids = random_int(&seed, 0, 1),
                     .interleaved = random_int(&seed, 0, 1),
                     .whole = random_int(&seed, 0, 1)};
    c.rotary = c.whole ? c.elements : 2 * random_int(&seed, 1, c.elements / 2);
    if (c.contrib) c.ids = true;
    c.one_id = c.contrib && random_int(&seed, 0, 1);
    check_case(&c, seed);
  }
}

static void empty_tensors_work(void **state) {
  (void)state;
  trial t;
  trial_begin(&t, "", "RotaryEmbedding", 23);
  trial_random(&t, NORMA_FLOAT, 4, (int64_t[]){2, 2, 0, 4});
  for (int i = 0; i < 2; i++) trial_random(&t, NORMA_FLOAT, 3, (int64_t[]){2, 0, 2});
  trial_run(&t, 1);
  trial_expect_shape(&t, 0, NORMA_FLOAT, 4, (int64_t[]){2, 2, 0, 4});
  trial_end(&t);
}

static void what_does_not_fit_is_refused(void **state) {
  static const rotary_case good = {NORMA_FLOAT, 2, 2, 3, 8, 8, false, true, true, false, false, true};
  (void)state;
  for (int i = 0; i < 10; i++) {
    static const char *const whats[] = {"a position of 9",
                                        "a negative position",
                                        "an odd rotary_embedding_dim",
                                        "more than the head",
                                        "heads that do not divide",
                                        "no num_heads",
                                        "caches of another width",
                                        "rank 2",
                                        "packed batching",
                                        "more heads than can be counted"};
    rotary_case c = good;
    trial t;
    if (i == 6) c.rotary = 6;
    if (i == 8) c.contrib = true;
    begin_case(&c, &t, 9);
    if (i < 2) element_set_double(NORMA_INT64, t.inputs[3].tensor.data, 2, i ? -1 : POSITIONS);
    if (i == 2) trial_attribute(&t, (attribute)DRIVER_INT("rotary_embedding_dim", 3));
    if (i == 3) trial_attribute(&t, (attribute)DRIVER_INT("rotary_embedding_dim", 10));
    if (i == 4) trial_attribute(&t, (attribute)DRIVER_INT("num_heads", 3));
    if (i == 5) trial_attribute(&t, (attribute)DRIVER_INT("num_heads", 0));
    if (i == 7) norma_tensor_init(&t.inputs[0].tensor, NORMA_FLOAT, 2, (int64_t[]){2, 48}, t.inputs[0].tensor.data);
    if (i == 8) trial_attribute(&t, (attribute)DRIVER_INT("is_packed_batching", 1));
    if (i == 9) trial_attribute(&t, (attribute)DRIVER_INT("num_heads", INT64_MAX));
    trial_expect_refusal(&t, 1, whats[i]);
    trial_end(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_option_matches_the_formula),
      cmocka_unit_test(empty_tensors_work),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
