/* Attention of com.microsoft against its formula in double precision. Masks are tested with MultiHeadAttention. */
#include "tests/support/operator_trial.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { IN_INPUT, IN_WEIGHTS, IN_BIAS, IN_MASK, IN_PAST, IN_ADDEND, IN_PAST_LENGTH };

typedef struct attention_case {
  norma_element_type type;
  int64_t batch, heads, queries, width, depth, values, past,
      room; /* room: rows of a buffer behind the past; 0: no buffer */
  bool bias, addend, causal, constant, has_past, mask;
} attention_case;

/* Element of part 0, 1 or 2 of the projection. */
static double projected(const attention_case *c, const trial *t, int part, int64_t b, int64_t h, int64_t row,
                        int64_t e) {
  int64_t size = part == 2 ? c->values : c->depth, columns = c->heads * (2 * c->depth + c->values);
  int64_t column = part * c->heads * c->depth + h * size + e;
  double x = c->bias ? t->numbers[IN_BIAS][column] : 0;
  for (int64_t i = 0; i < c->width; i++)
    x += t->numbers[IN_INPUT][(b * c->queries + row) * c->width + i] * t->numbers[IN_WEIGHTS][i * columns + column];
  return x;
}

static double key_or_value(const attention_case *c, const trial *t, int part, int64_t b, int64_t h, int64_t j,
                           int64_t e) {
  int64_t rows = c->past + c->room;
  if (j >= c->past) return projected(c, t, part, b, h, j - c->past, e);
  return t->numbers[IN_PAST][((((part - 1) * c->batch + b) * c->heads + h) * rows + j) * c->depth + e];
}

static void check_row(const attention_case *c, const trial *t, int64_t b, int64_t h, int64_t i) {
  int64_t keys = c->past + c->queries;
  double weights[32], sum = 0;
  for (int64_t j = 0; j < keys; j++) {
    double score = 0;
    for (int64_t e = 0; e < c->depth; e++) score += projected(c, t, 0, b, h, i, e) * key_or_value(c, t, 1, b, h, j, e);
    score /= sqrt((double)c->depth);
    if (c->mask && t->numbers[IN_MASK][b * keys + j] <= 0) score -= 20;
    if (c->addend) score += t->numbers[IN_ADDEND][((b * c->heads + h) * c->queries + i) * keys + j];
    bool hidden = c->causal && c->queries > 1 && j > c->past + i;
    sum += weights[j] = hidden ? 0 : exp(score);
  }
  for (int64_t e = 0; e < c->values; e++) {
    double y = 0;
    for (int64_t j = 0; j < keys; j++) y += weights[j] / sum * key_or_value(c, t, 2, b, h, j, e);
    trial_expect(t, 0, ((b * c->queries + i) * c->heads + h) * c->values + e, y, 1e-5);
  }
}

static void check_present(const attention_case *c, const trial *t) {
  int64_t rows = c->room ? c->past + c->room : c->past + c->queries, at = 0;
  trial_expect_shape(t, 1, c->type, 5, (int64_t[]){2, c->batch, c->heads, rows, c->depth});
  for (int part = 1; part < 3; part++)
    for (int64_t b = 0; b < c->batch; b++)
      for (int64_t h = 0; h < c->heads; h++)
        for (int64_t j = 0; j < rows; j++)
          for (int64_t e = 0; e < c->depth; e++)
            trial_expect(t, 1, at++, j < c->past + c->queries ? key_or_value(c, t, part, b, h, j, e) : 0, 1e-5);
}

static void begin_case(const attention_case *c, trial *t, uint64_t seed) {
  int64_t hidden = c->heads * c->depth, of_values = c->heads * c->values, keys = c->past + c->queries;
  static int64_t sizes[3];
  const double past = (double)c->past;
  trial_begin(t, "com.microsoft", "Attention", 1);
  t->seed = seed;
  trial_random(t, c->type, 3, (int64_t[]){c->batch, c->queries, c->width});
  trial_random(t, c->type, 2, (int64_t[]){c->width, 2 * hidden + of_values});
  if (c->constant) t->call.constants |= 1u << IN_WEIGHTS;
  if (c->bias)
    trial_random(t, c->type, 1, (int64_t[]){2 * hidden + of_values});
  else
    trial_absent(t);
  if (c->mask)
    trial_random(t, NORMA_INT32, 2, (int64_t[]){c->batch, keys});
  else
    trial_absent(t);
  if (c->has_past)
    trial_random(t, c->type, 5, (int64_t[]){2, c->batch, c->heads, c->past + c->room, c->depth});
  else
    trial_absent(t);
  if (c->addend)
    trial_random(t, c->type, 4, (int64_t[]){c->batch, c->heads, c->queries, keys});
  else
    trial_absent(t);
  if (c->room) trial_numbers(t, NORMA_INT32, 1, (int64_t[]){1}, &past);
  sizes[0] = sizes[1] = hidden;
  sizes[2] = of_values;
  trial_attribute(t, (attribute)DRIVER_INT("num_heads", c->heads));
  trial_attribute(t, (attribute)DRIVER_FLOAT("mask_filter_value", -20));
  if (c->values != c->depth) trial_attribute(t, (attribute)DRIVER_INTS("qkv_hidden_sizes", 3, sizes));
  if (c->causal) trial_attribute(t, (attribute)DRIVER_INT("unidirectional", 1));
  if (c->room) trial_attribute(t, (attribute)DRIVER_INT("past_present_share_buffer", 1));
}

static void every_option_matches_the_formula(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_FLOAT16, NORMA_BFLOAT16};
  uint64_t seed = 3;
  (void)state;
  for (int i = 0; i < 300; i++) {
    attention_case c = {.type = types[random_int(&seed, 0, 2)],
                        .batch = random_int(&seed, 1, 3),
                        .heads = random_int(&seed, 1, 3),
                        .queries = random_int(&seed, 1, 6),
                        .width = random_int(&seed, 1, 9),
                        .depth = random_int(&seed, 1, 9),
                        .values = random_int(&seed, 1, 9),
                        .bias = random_int(&seed, 0, 1),
                        .addend = random_int(&seed, 0, 2) == 0,
                        .causal = random_int(&seed, 0, 1),
                        .constant = random_int(&seed, 0, 1),
                        .has_past = random_int(&seed, 0, 2) == 0,
                        .mask = random_int(&seed, 0, 2) == 0};
    if (c.has_past || random_int(&seed, 0, 1)) c.values = c.depth;
    if (c.has_past) c.past = random_int(&seed, 0, 5);
    if (c.has_past && random_int(&seed, 0, 1)) c.room = c.queries + random_int(&seed, 0, 2);
    trial t;
    begin_case(&c, &t, seed);
    trial_run(&t, c.values == c.depth ? 2 : 1);
    for (int64_t b = 0; b < c.batch; b++)
      for (int64_t h = 0; h < c.heads; h++)
        for (int64_t r = 0; r < c.queries; r++) check_row(&c, &t, b, h, r);
    if (c.values == c.depth) check_present(&c, &t);
    trial_end(&t);
  }
}

static void what_does_not_fit_is_refused(void **state) {
  static const attention_case good = {.type = NORMA_FLOAT,
                                      .batch = 2,
                                      .heads = 2,
                                      .queries = 3,
                                      .width = 4,
                                      .depth = 5,
                                      .values = 5,
                                      .past = 2,
                                      .room = 4,
                                      .bias = true,
                                      .addend = true,
                                      .has_past = true,
                                      .mask = true};
  static const char *const whats[] = {"no heads",
                                      "columns that do not divide",
                                      "a width that differs",
                                      "a short bias",
                                      "a mask of another length",
                                      "a past of another depth",
                                      "rotation",
                                      "more past than the buffer",
                                      "a present of two sizes",
                                      "sizes that are not the weights'",
                                      "an attention_bias without dimensions",
                                      "more heads than can be counted"};
  static int64_t sizes[3] = {10, 10, 8}, wrong[3] = {10, 8, 10};
  (void)state;
  for (int i = 0; i < (int)(sizeof whats / sizeof *whats); i++) {
    trial t;
    begin_case(&good, &t, 3);
    norma_tensor *inputs[7];
    for (int k = 0; k < 7; k++) inputs[k] = &t.inputs[k].tensor;
    if (i == 0) trial_attribute(&t, (attribute)DRIVER_INT("num_heads", 0));
    if (i == 1) trial_attribute(&t, (attribute)DRIVER_INT("num_heads", 3));
    if (i == 2) norma_tensor_init(inputs[0], NORMA_FLOAT, 3, (int64_t[]){2, 3, 3}, inputs[0]->data);
    if (i == 3) norma_tensor_init(inputs[2], NORMA_FLOAT, 1, (int64_t[]){29}, inputs[2]->data);
    if (i == 4) norma_tensor_init(inputs[3], NORMA_INT32, 2, (int64_t[]){2, 4}, inputs[3]->data);
    if (i == 5) norma_tensor_init(inputs[4], NORMA_FLOAT, 5, (int64_t[]){2, 2, 2, 6, 4}, inputs[4]->data);
    if (i == 6) trial_attribute(&t, (attribute)DRIVER_INT("do_rotary", 1));
    if (i == 7) element_set_double(NORMA_INT32, inputs[6]->data, 0, 4);
    if (i == 8) trial_attribute(&t, (attribute)DRIVER_INTS("qkv_hidden_sizes", 3, sizes));
    if (i == 9) trial_attribute(&t, (attribute)DRIVER_INTS("qkv_hidden_sizes", 3, wrong));
    if (i == 10) norma_tensor_init(inputs[5], NORMA_FLOAT, 0, NULL, inputs[5]->data);
    if (i == 11) trial_attribute(&t, (attribute)DRIVER_INT("num_heads", INT64_MAX));
    trial_expect_refusal(&t, 2, whats[i]);
    trial_end(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_option_matches_the_formula),
                                     cmocka_unit_test(what_does_not_fit_is_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
