/* Attention against its formula in double precision. */
#include "tests/support/operator_trial.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { IN_Q, IN_K, IN_V, IN_MASK, IN_PAST_KEY, IN_PAST_VALUE, IN_NONPAD };

typedef struct attention_case {
  norma_element_type type, value_type, mask_type; /* UNDEFINED: no mask */
  int64_t version, batch, heads, key_heads, queries, fresh, past, depth, values;
  int64_t mask[4], mask_rank;
  bool by_row, has_past, has_nonpad, causal, scores;
  int64_t left, right, mode; /* -1: no attribute */
  double scale, softcap;     /* 0: no attribute */
} attention_case;

/* Element of Q, or of K and V, new or past. */
static double element(const attention_case *c, const trial *t, int input, int64_t b, int64_t h, int64_t row,
                      int64_t e) {
  bool of_past = (input == IN_K || input == IN_V) && row < c->past;
  if ((input == IN_K || input == IN_V) && !of_past) row -= c->past;
  int64_t heads = input == IN_Q ? c->heads : c->key_heads, elements = input == IN_V ? c->values : c->depth;
  int64_t rows = input == IN_Q ? c->queries : of_past ? c->past : c->fresh;
  int from = !of_past ? input : input == IN_K ? IN_PAST_KEY : IN_PAST_VALUE;
  bool by_row = c->by_row && !of_past;
  int64_t at = by_row ? ((b * rows + row) * heads + h) * elements + e : ((b * heads + h) * rows + row) * elements + e;
  return t->numbers[from][at];
}

static double mask_of(const attention_case *c, const trial *t, int64_t b, int64_t h, int64_t i, int64_t j) {
  const int64_t position[4] = {b, h, i, j};
  if (c->mask_type == NORMA_UNDEFINED) return 0;
  int64_t at = 0, columns = c->mask[c->mask_rank - 1];
  if (columns < c->past + c->fresh && (c->version >= 24 || columns > 1) && j >= columns) return -INFINITY;
  for (int64_t d = 0; d < c->mask_rank; d++) {
    int64_t size = c->mask[d];
    at = at * size + (size == 1 ? 0 : position[4 - c->mask_rank + d]);
  }
  double number = t->numbers[IN_MASK][at];
  return c->mask_type != NORMA_BOOL ? number : number != 0 ? 0 : -INFINITY;
}

static bool is_seen(const attention_case *c, const trial *t, int64_t b, int64_t i, int64_t j) {
  int64_t keys = c->past + c->fresh, position = i + c->past;
  if (c->has_nonpad) {
    keys = (int64_t)t->numbers[IN_NONPAD][b];
    position = i + keys - c->queries;
  }
  if (j >= keys || (c->causal && j > position)) return false;
  return (c->left < 0 || j >= position - c->left) && (c->right < 0 || j <= position + c->right);
}

static void check_row(const attention_case *c, const trial *t, int64_t b, int64_t h, int64_t i) {
  int64_t keys = c->past + c->fresh, key_head = h / (c->heads / c->key_heads);
  double stages[4][64], most = -INFINITY, sum = 0;
  double scale = c->scale != 0 ? c->scale : 1 / sqrt((double)c->depth);
  for (int64_t j = 0; j < keys; j++) {
    double score = 0;
    for (int64_t e = 0; e < c->depth; e++)
      score += element(c, t, IN_Q, b, h, i, e) * element(c, t, IN_K, b, key_head, j, e);
    stages[0][j] = score *= scale;
    if (c->softcap > 0) score = c->softcap * tanh(score / c->softcap);
    stages[1][j] = score;
    score += mask_of(c, t, b, h, i, j);
    if (!is_seen(c, t, b, i, j)) score = -INFINITY;
    stages[2][j] = score;
    if (score > most) most = score;
  }
  for (int64_t j = 0; j < keys; j++) sum += most > -INFINITY ? exp(stages[2][j] - most) : 0;
  double error = c->type == NORMA_DOUBLE ? 1e-13 : 5e-6;
  for (int64_t j = 0; j < keys; j++) {
    stages[3][j] = sum > 0 ? exp(stages[2][j] - most) / sum : 0;
    if (c->scores)
      trial_expect(t, 3, ((b * c->heads + h) * c->queries + i) * keys + j, stages[c->mode < 0 ? 0 : c->mode][j], error);
  }
  for (int64_t e = 0; e < c->values; e++) {
    double y = 0;
    for (int64_t j = 0; j < keys; j++) y += stages[3][j] * element(c, t, IN_V, b, key_head, j, e);
    int64_t at = c->by_row ? ((b * c->queries + i) * c->heads + h) * c->values + e
                           : ((b * c->heads + h) * c->queries + i) * c->values + e;
    trial_expect(t, 0, at, y, error);
  }
}

static void check_present(const attention_case *c, const trial *t, int output) {
  int input = output == 1 ? IN_K : IN_V;
  int64_t keys = c->past + c->fresh, elements = output == 1 ? c->depth : c->values, at = 0;
  for (int64_t b = 0; b < c->batch; b++)
    for (int64_t h = 0; h < c->key_heads; h++)
      for (int64_t j = 0; j < keys; j++)
        for (int64_t e = 0; e < elements; e++) trial_expect(t, output, at++, element(c, t, input, b, h, j, e), 0);
}

static void append_rows(const attention_case *c, trial *t, norma_element_type type, int64_t heads, int64_t rows,
                        int64_t elements) {
  if (c->by_row)
    trial_random(t, type, 3, (int64_t[]){c->batch, rows, heads * elements});
  else
    trial_random(t, type, 4, (int64_t[]){c->batch, heads, rows, elements});
  trial_scale(t, 2);
}

static void append_optional_inputs(const attention_case *c, trial *t) {
  double lengths[8];
  if (c->mask_type == NORMA_UNDEFINED) {
    trial_absent(t);
  } else {
    trial_random(t, c->mask_type, (int)c->mask_rank, c->mask);
  }
  if (c->has_past) {
    trial_random(t, c->type, 4, (int64_t[]){c->batch, c->key_heads, c->past, c->depth});
    trial_random(t, c->value_type, 4, (int64_t[]){c->batch, c->key_heads, c->past, c->values});
  } else {
    trial_absent(t);
    trial_absent(t);
  }
  for (int64_t b = 0; b < c->batch; b++) lengths[b] = (double)random_int(&t->seed, 0, c->fresh);
  if (c->has_nonpad) trial_numbers(t, NORMA_INT64, 1, (int64_t[]){c->batch}, lengths);
}

static void begin_case(const attention_case *c, trial *t, uint64_t seed) {
  trial_begin(t, "", "Attention", c->version);
  t->seed = seed;
  append_rows(c, t, c->type, c->heads, c->queries, c->depth);
  append_rows(c, t, c->type, c->key_heads, c->fresh, c->depth);
  append_rows(c, t, c->value_type, c->key_heads, c->fresh, c->values);
  append_optional_inputs(c, t);
  if (c->by_row) {
    trial_attribute(t, (attribute)DRIVER_INT("q_num_heads", c->heads));
    trial_attribute(t, (attribute)DRIVER_INT("kv_num_heads", c->key_heads));
  }
  if (c->causal) trial_attribute(t, (attribute)DRIVER_INT("is_causal", 1));
  if (c->left >= 0) trial_attribute(t, (attribute)DRIVER_INT("left_window_size", c->left));
  if (c->right >= 0) trial_attribute(t, (attribute)DRIVER_INT("right_window_size", c->right));
  if (c->mode >= 0) trial_attribute(t, (attribute)DRIVER_INT("qk_matmul_output_mode", c->mode));
  if (c->scale != 0) trial_attribute(t, (attribute)DRIVER_FLOAT("scale", (float)c->scale));
  if (c->softcap != 0) trial_attribute(t, (attribute)DRIVER_FLOAT("softcap", (float)c->softcap));
}

static void check_case(const attention_case *c, const struct kernel_table *kernels, uint64_t seed) {
  trial t;
  begin_case(c, &t, seed);
  t.call.kernels = kernels;
  trial_run(&t, c->scores ? 4 : c->has_nonpad ? 1 : 3);
  if (c->by_row)
    trial_expect_shape(&t, 0, c->type, 3, (int64_t[]){c->batch, c->queries, c->heads * c->values});
  else
    trial_expect_shape(&t, 0, c->type, 4, (int64_t[]){c->batch, c->heads, c->queries, c->values});
  for (int64_t b = 0; b < c->batch; b++)
    for (int64_t h = 0; h < c->heads; h++)
      for (int64_t i = 0; i < c->queries; i++) check_row(c, &t, b, h, i);
  if (t.call.output_count > 1) {
    check_present(c, &t, 1);
    check_present(c, &t, 2);
  }
  trial_end(&t);
}

static void choose_mask(attention_case *c, uint64_t *seed) {
  static const norma_element_type types[] = {NORMA_BOOL, NORMA_FLOAT, NORMA_FLOAT16, NORMA_DOUBLE, NORMA_INT32};
  c->mask_type = types[random_int(seed, 0, 4)];
  c->mask_rank = random_int(seed, 1, 4);
  const int64_t whole[4] = {c->batch, c->heads, c->queries, c->past + c->fresh};
  for (int64_t d = 0; d < c->mask_rank; d++) {
    int64_t size = whole[4 - c->mask_rank + d];
    c->mask[d] = d == c->mask_rank - 1    ? (random_int(seed, 0, 2) ? size : random_int(seed, 1, size))
                 : random_int(seed, 0, 2) ? size
                                          : 1;
  }
}

static attention_case random_case(uint64_t *seed) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_FLOAT, NORMA_FLOAT16, NORMA_BFLOAT16, NORMA_DOUBLE};
  attention_case c = {.type = types[random_int(seed, 0, 4)],
                      .version = random_int(seed, 23, 25),
                      .batch = random_int(seed, 1, 3),
                      .key_heads = random_int(seed, 1, 3),
                      .queries = random_int(seed, 1, random_int(seed, 0, 1) ? 3 : 33),
                      .fresh = random_int(seed, 1, 40),
                      .depth = random_int(seed, 1, 20),
                      .values = random_int(seed, 1, 20),
                      .by_row = random_int(seed, 0, 1),
                      .has_past = random_int(seed, 0, 2) == 0,
                      .causal = random_int(seed, 0, 2) == 0,
                      .scores = random_int(seed, 0, 3) == 0,
                      .left = -1,
                      .right = -1,
                      .mode = random_int(seed, -1, 3),
                      .scale = random_int(seed, 0, 1) ? 0.5 : 0,
                      .softcap = random_int(seed, 0, 2) ? 0 : 1.5};
  c.value_type = random_int(seed, 0, 3) ? c.type : types[random_int(seed, 0, 4)];
  c.heads = c.key_heads * random_int(seed, 1, 3);
  if (c.has_past) c.past = random_int(seed, 0, 20);
  c.has_nonpad = !c.has_past && c.version >= 24 && random_int(seed, 0, 2) == 0;
  if (c.has_nonpad) c.scores = false;
  if (c.version >= 25 && random_int(seed, 0, 1)) {
    c.left = random_int(seed, -1, 10);
    c.right = random_int(seed, -1, 10);
  }
  if (random_int(seed, 0, 1)) choose_mask(&c, seed);
  return c;
}

static void every_option_matches_the_formula(void **state) {
  const struct kernel_table *kernels;
  (void)state;
  for (int k = 0; (kernels = driver_kernels(k)); k++) {
    uint64_t seed = 3;
    for (int i = 0; i < 250; i++) {
      attention_case c = random_case(&seed);
      check_case(&c, kernels, seed);
    }
  }
}

/* More rows and keys than a block has, where some blocks are seen in part or not at all. */
static void long_sequences_match_the_formula(void **state) {
  (void)state;
  for (int i = 0; i < 8; i++) {
    trial t;
    int64_t rows = 150, keys = 300, depth = 70;
    bool causal = i & 1, few = i & 2, window = i & 4;
    if (few) rows = 2;
    trial_begin(&t, "", "Attention", 25);
    trial_random(&t, NORMA_FLOAT, 4, (int64_t[]){1, 1, rows, depth});
    trial_random(&t, NORMA_FLOAT, 4, (int64_t[]){1, 1, keys - 50, depth});
    trial_random(&t, NORMA_FLOAT, 4, (int64_t[]){1, 1, keys - 50, 1});
    trial_absent(&t);
    trial_random(&t, NORMA_FLOAT, 4, (int64_t[]){1, 1, 50, depth});
    trial_random(&t, NORMA_FLOAT, 4, (int64_t[]){1, 1, 50, 1});
    if (causal) trial_attribute(&t, (attribute)DRIVER_INT("is_causal", 1));
    if (window) trial_attribute(&t, (attribute)DRIVER_INT("left_window_size", 60));
    trial_run(&t, 3);
    for (int64_t r = 0; r < rows; r++) {
      double sum = 0, y = 0;
      for (int64_t j = 0; j < keys; j++) {
        double score = 0;
        if ((causal && j > r + 50) || (window && j < r + 50 - 60)) continue;
        const double *k = j < 50 ? t.numbers[4] + j * depth : t.numbers[1] + (j - 50) * depth;
        for (int64_t e = 0; e < depth; e++) score += t.numbers[0][r * depth + e] * k[e];
        double weight = exp(score / sqrt((double)depth));
        sum += weight;
        y += weight * (j < 50 ? t.numbers[5][j] : t.numbers[2][j - 50]);
      }
      trial_expect(&t, 0, r, y / sum, 5e-6);
    }
    for (int64_t j = 0; j < keys; j++) trial_expect(&t, 2, j, j < 50 ? t.numbers[5][j] : t.numbers[2][j - 50], 0);
    trial_end(&t);
  }
}

static void empty_tensors_work(void **state) {
  static const int64_t sizes[][4] = {{0, 2, 3, 4}, {1, 2, 0, 4}, {1, 2, 3, 0}, {2, 2, 1, 1}};
  (void)state;
  for (int i = 0; i < 4; i++) {
    for (int64_t keys = 0; keys < 2; keys++) {
      trial t;
      trial_begin(&t, "", "Attention", 24);
      trial_random(&t, NORMA_FLOAT, 4, sizes[i]);
      trial_random(&t, NORMA_FLOAT, 4, (int64_t[]){sizes[i][0], 2, keys, sizes[i][3]});
      trial_random(&t, NORMA_FLOAT, 4, (int64_t[]){sizes[i][0], 2, keys, 2});
      trial_run(&t, 4);
      int64_t count = norma_tensor_count(&t.driver.outputs[0].tensor);
      for (int64_t k = 0; k < count && keys == 0; k++) trial_expect(&t, 0, k, 0, 0);
      trial_end(&t);
    }
  }
}

/* Scores that are no numbers do not leave masked places, and rows that see nothing are zero. */
static void what_is_masked_does_not_count(void **state) {
  (void)state;
  for (int scores = 0; scores < 2; scores++) {
    trial t;
    trial_begin(&t, "", "Attention", 24);
    trial_numbers(&t, NORMA_FLOAT, 4, (int64_t[]){1, 1, 2, 1}, (double[]){1, NAN});
    trial_numbers(&t, NORMA_FLOAT, 4, (int64_t[]){1, 1, 3, 1}, (double[]){NAN, 0, 0});
    trial_numbers(&t, NORMA_FLOAT, 4, (int64_t[]){1, 1, 3, 1}, (double[]){5, 2, 4});
    trial_numbers(&t, NORMA_BOOL, 2, (int64_t[]){2, 3}, (double[]){0, 1, 1, 0, 0, 0});
    trial_attribute(&t, (attribute)DRIVER_INT("qk_matmul_output_mode", 3));
    trial_run(&t, scores ? 4 : 1);
    trial_expect(&t, 0, 0, 3, 1e-6);
    trial_expect(&t, 0, 1, 0, 0);
    for (int j = 0; j < 3 && scores; j++) {
      trial_expect(&t, 3, j, j ? 0.5 : 0, 1e-6);
      trial_expect(&t, 3, 3 + j, 0, 0);
    }
    trial_end(&t);
  }
}

static void what_does_not_fit_is_refused(void **state) {
  static const attention_case good = {.type = NORMA_FLOAT,
                                      .value_type = NORMA_FLOAT,
                                      .version = 25,
                                      .batch = 2,
                                      .heads = 4,
                                      .key_heads = 2,
                                      .queries = 3,
                                      .fresh = 5,
                                      .depth = 4,
                                      .values = 2,
                                      .left = -1,
                                      .right = -1,
                                      .mode = -1};
  (void)state;
  for (int i = 0;; i++) {
    attention_case c = good;
    trial t;
    const char *what = NULL;
    if (i == 0) c.heads = 3, what = "heads that do not share";
    if (i == 1) c.has_past = c.has_nonpad = true, c.past = 1, what = "nonpad beside past";
    if (i == 2) c.version = 23, c.has_nonpad = true, what = "nonpad in 23";
    if (i == 3) c.version = 24, c.left = 1, what = "window in 24";
    if (i == 4) c.mode = 4, what = "mode 4";
    if (i == 5) c.mask_type = NORMA_FLOAT, c.mask_rank = 2, c.mask[0] = 2, c.mask[1] = 5, what = "mask of 2 rows";
    if (i == 6) c.mask_type = NORMA_BOOL, c.mask_rank = 1, c.mask[0] = 6, what = "mask of 6 keys";
    if (i >= 7) what = "";
    begin_case(&c, &t, 5);
    if (i == 7) trial_attribute(&t, (attribute)DRIVER_INT("q_num_heads", 5)), what = "attributes that contradict";
    if (i == 8) trial_attribute(&t, (attribute)DRIVER_INT("softmax_precision", 3)), what = "softmax in int8";
    if (i == 9) trial_attribute(&t, (attribute)DRIVER_INT("left_window_size", -2)), what = "window of -2";
    if (i == 10) t.inputs[IN_V].tensor.dims[2]--, what = "V shorter than K";
    if (i == 11) t.inputs[IN_K].tensor.dims[3]--, what = "K less deep than Q";
    if (i == 12) t.inputs[IN_Q].tensor.dims[0]--, what = "batches that differ";
    if (i == 13) {
      trial_numbers(&t, NORMA_INT64, 1, (int64_t[]){2}, (double[]){5, 6});
      what = "nonpad beyond the keys";
    }
    if (i == 14) {
      trial_numbers(&t, NORMA_INT64, 1, (int64_t[]){2}, (double[]){-1, 1});
      what = "negative nonpad";
    }
    if (i >= 10 && i <= 12) {
      norma_tensor *tensor = &t.inputs[i == 10 ? IN_V : i == 11 ? IN_K : IN_Q].tensor;
      norma_tensor_init(tensor, tensor->type, tensor->rank, tensor->dims, tensor->data);
    }
    if (*what) trial_expect_refusal(&t, 1, what);
    trial_end(&t);
    if (!*what) break;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_option_matches_the_formula),
      cmocka_unit_test(long_sequences_match_the_formula),
      cmocka_unit_test(empty_tensors_work),
      cmocka_unit_test(what_is_masked_does_not_count),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
