/* TfIdfVectorizer against counting n-gram by n-gram. */
#include "tests/support/workbench.h"

#include <stdlib.h>
#include <string.h>

#define WORDS 4
#define GRAMS (WORDS + 6) /* all single words, and six pairs */

static const int64_t pool[WORDS + 12] = {0, 1, 2, 3, 0, 1, 1, 0, 2, 2, 3, 1, 0, 3, 3, 3};
static const int64_t starts[] = {0, WORDS}, places[GRAMS] = {9, 8, 7, 6, 5, 4, 3, 2, 1, 0};

static driver_call make_call(const value *x, const char *mode, int64_t skips) {
  driver_call call = CALL("TfIdfVectorizer", 9, x);
  call.attributes[0] = (attribute)DRIVER_TEXT("mode", mode);
  call.attributes[1] = (attribute)DRIVER_INT("min_gram_length", 1);
  call.attributes[2] = (attribute)DRIVER_INT("max_gram_length", 2);
  call.attributes[3] = (attribute)DRIVER_INT("max_skip_count", skips);
  call.attributes[4] = (attribute)DRIVER_INTS("ngram_counts", 2, starts);
  call.attributes[5] = (attribute)DRIVER_INTS("ngram_indexes", GRAMS, places);
  call.attributes[6] = (attribute)DRIVER_INTS("pool_int64s", WORDS + 12, pool);
  return call;
}

static void count_grams(const int64_t *row, int64_t length, int64_t skips, double *counts) {
  memset(counts, 0, GRAMS * sizeof *counts);
  for (int g = 0; g < GRAMS; g++) {
    for (int64_t i = 0; i < length; i++) {
      if (g < WORDS) {
        counts[places[g]] += row[i] == pool[g];
        continue;
      }
      const int64_t *pair = pool + WORDS + 2 * (g - WORDS);
      for (int64_t d = 1; d <= skips + 1 && i + d < length; d++)
        counts[places[g]] += row[i] == pair[0] && row[i + d] == pair[1];
    }
  }
}

static void rows_of_any_length(void **state) {
  static const char *const modes[] = {"TF", "IDF", "TFIDF"};
  float weights[GRAMS];
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int g = 0; g < GRAMS; g++) weights[g] = 0.5f + (float)g;
  for (int round = 0; round < 90; round++) {
    const int64_t rows = (int64_t)driver_random(&bench.seed, 1, 9), length = (int64_t)driver_random(&bench.seed, 0, 30);
    const int64_t skips = (int64_t)driver_random(&bench.seed, 0, 6);
    const value *x = bench_random(&bench, round % 2 ? NORMA_INT32 : NORMA_INT64, SHAPE(rows, length), 0, WORDS + 1);
    const int mode = round % 3;
    double *expected = calloc((size_t)rows * GRAMS, sizeof *expected);
    for (int64_t r = 0; r < rows; r++) {
      int64_t row[32];
      for (int64_t i = 0; i < length; i++) row[i] = (int64_t)driver_element(x, r * length + i);
      double *counts = expected + r * GRAMS;
      count_grams(row, length, skips, counts);
      for (int g = 0; g < GRAMS; g++) {
        double *count = &counts[places[g]];
        if (mode == 1) *count = *count > 0 ? (double)weights[g] : 0;
        if (mode == 2) *count *= (double)weights[g];
      }
    }
    driver_call call = make_call(x, modes[mode], skips);
    call.attributes[7] = (attribute)DRIVER_FLOATS("weights", GRAMS, weights);
    check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(rows, GRAMS), expected);
    free(expected);
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void strings(void **state) {
  static const norma_string words[] = {{"a", 1}, {"b", 1}, {"a", 1}, {"b", 1}};
  static const int64_t two[] = {0, 2}, indexes[] = {0, 1, 2};
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call = make_call(bench_strings(&bench, SHAPE(5), (const char *[]){"a", "b", "", "a", "b"}), "TF", 0);
  call.attributes[4] = (attribute)DRIVER_INTS("ngram_counts", 2, two);
  call.attributes[5] = (attribute)DRIVER_INTS("ngram_indexes", 3, indexes);
  call.attributes[6] = (attribute)DRIVER_STRINGS("pool_strings", 4, words);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(3), NUMBERS(2, 2, 2));
  bench_finish(&bench);
}

/* A list without elements is as one that is absent. */
static void empty_lists(void **state) {
  static const norma_string no_words[1];
  static const float no_weights[1];
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call = make_call(bench_list(&bench, 1, 2, 3), "TFIDF", 0);
  value y = {0};
  assert_int_equal(value_copy(&bench.driver.memory, &y, bench_run(&bench, &call), NULL), NORMA_OK);
  call.attributes[7] = (attribute)DRIVER_STRINGS("pool_strings", 0, no_words);
  call.attributes[8] = (attribute)DRIVER_FLOATS("weights", 0, no_weights);
  assert_true(same_value(bench_run(&bench, &call), &y));
  value_clear(&y);
  bench_finish(&bench);
}

static void refusals(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_list(&bench, 1, 2, 3);
  driver_call call = make_call(x, "COUNT", 0);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "'COUNT'");
  call = make_call(x, "TF", -1);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "max_skip_count is -1");
  call = make_call(bench_strings(&bench, SHAPE(1), (const char *[]){"a"}), "TF", 0);
  assert_int_not_equal(driver_run(&bench.driver, &call), NORMA_OK);
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_of_any_length),
      cmocka_unit_test(strings),
      cmocka_unit_test(empty_lists),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
