/* MultiHeadAttention and DecoderMaskedMultiHeadAttention against their formula in double precision: all ways in which
 * queries, keys and values come, biases, masks, pasts, buffers and beams. */
#include "tests/support/operator_trial.h"
#include "tests/support/random_tensor.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum format { SEPARATE, BY_HEAD, PACKED_KV, PACKED, PACKED_ROWS, FORMATS };
enum mask { NO_MASK, ENDS, ENDS_AND_STARTS, FRESH, KEYS, QUERIES, POSITIONS, MASKS };
enum { ROOM = 3, MOST = 32 };

typedef struct mha_case {
  norma_element_type type;
  enum format format;
  enum mask mask;
  int64_t batch, heads, queries, fresh, past, depth, values, beams; /* beams 0: no indirection */
  bool decoder, bias, addend, buffer, causal, scores, has_past;
  double scale; /* 0: no attribute */
} mha_case;

/* Which inputs hold what. */
typedef struct mha_places {
  int key, value, bias, mask, addend, past_key, past_value, length, beams, indirection;
} mha_places;

static mha_places places(const mha_case *c) {
  static const mha_places encoder = {1, 2, 3, 4, 5, 6, 7, 8, -1, 9}, decoder = {1, 2, 10, 3, 4, 5, 6, 7, 8, 9};
  return c->decoder ? decoder : encoder;
}

/* ----------------------------------------------------------------------------------------------------------- formula
 * */

/* Element of part 0 (queries), 1 (keys) or 2 (values) that is new. */
static double fresh_element(const mha_case *c, const trial *t, int part, int64_t b, int64_t h, int64_t row, int64_t e) {
  int64_t n = c->heads, d = c->depth, size = part == 2 ? c->values : d, rows = part == 0 ? c->queries : c->fresh;
  const double *q = t->numbers[0], *k = t->numbers[1], *own = part == 0 ? q : part == 1 ? k : t->numbers[2];
  double x = own ? own[((b * rows + row) * n + h) * size + e] : 0;
  if (c->format == BY_HEAD && part > 0) x = own[((b * n + h) * rows + row) * size + e];
  if (c->format == PACKED_KV && part > 0) x = k[(((b * rows + row) * n + h) * 2 + part - 1) * d + e];
  if (c->format == PACKED) x = q[(((b * rows + row) * n + h) * 3 + part) * d + e];
  if (c->format == PACKED_ROWS) x = q[(((b * rows + row) * 3 + part) * n + h) * d + e];
  if (c->bias) x += t->numbers[places(c).bias][part * n * d + h * size + e];
  return x;
}

static double key_or_value(const mha_case *c, const trial *t, int part, int64_t b, int64_t h, int64_t j, int64_t e,
                           bool mixes) {
  if (j >= c->past) return fresh_element(c, t, part, b, h, j - c->past, e);
  int64_t length = c->past + (c->buffer ? ROOM + c->fresh : 0), size = part == 2 ? c->values : c->depth;
  if (c->beams && mixes) b = b / c->beams * c->beams + (int64_t)t->numbers[places(c).indirection][b * (length + 1) + j];
  return t
      ->numbers[part == 1 ? places(c).past_key : places(c).past_value][((b * c->heads + h) * length + j) * size + e];
}

static double mask_element(const mha_case *c, const trial *t, int64_t b, int64_t i, int64_t j) {
  const double *mask = t->numbers[places(c).mask];
  int64_t keys = c->past + c->fresh;
  bool seen = true;
  if (c->mask == ENDS || c->mask == ENDS_AND_STARTS) seen = (double)j < mask[b];
  if (c->mask == ENDS_AND_STARTS && (double)j < mask[c->batch + b]) seen = false;
  if (c->mask == FRESH) seen = j < c->past || mask[b * c->fresh + j - c->past] > 0;
  if (c->mask == KEYS) seen = mask[b * keys + j] > 0;
  if (c->mask == QUERIES) seen = mask[(b * c->queries + i) * keys + j] > 0;
  if (c->mask == POSITIONS) seen = mask[(b * MOST + keys - c->queries + i) * MOST + j] > 0;
  return seen ? 0 : -20;
}

static void check_row(const mha_case *c, const trial *t, int64_t b, int64_t h, int64_t i) {
  int64_t keys = c->past + c->fresh;
  double scores[64], most = -INFINITY, sum = 0, scale = c->scale != 0 ? c->scale : 1 / sqrt((double)c->depth);
  for (int64_t j = 0; j < keys; j++) {
    double score = 0;
    for (int64_t e = 0; e < c->depth; e++)
      score += fresh_element(c, t, 0, b, h, i, e) * key_or_value(c, t, 1, b, h, j, e, true);
    score = score * scale + mask_element(c, t, b, i, j);
    if (c->addend) score += t->numbers[places(c).addend][(h * c->queries + i) * keys + j];
    scores[j] = score;
    if (c->causal && c->queries > 1 && j > c->past + i) scores[j] = -INFINITY;
    most = fmax(most, scores[j]);
    int64_t at = ((b * c->heads + h) * c->queries + i) * keys + j;
    if (c->scores && scores[j] > -INFINITY) trial_expect(t, 3, at, scores[j], 1e-5);
    if (c->scores && !(scores[j] > -INFINITY) && trial_output(t, 3, at) > -60000) fail_msg("a score is not masked");
  }
  for (int64_t j = 0; j < keys; j++) sum += exp(scores[j] - most);
  for (int64_t e = 0; e < c->values; e++) {
    double y = 0;
    for (int64_t j = 0; j < keys; j++) y += exp(scores[j] - most) / sum * key_or_value(c, t, 2, b, h, j, e, true);
    trial_expect(t, 0, ((b * c->queries + i) * c->heads + h) * c->values + e, y, 1e-5);
  }
}

static void check_present(const mha_case *c, const trial *t, int output) {
  int64_t rows = c->past + c->fresh + (c->buffer ? ROOM : 0), size = output == 2 ? c->values : c->depth, at = 0;
  trial_expect_shape(t, output, c->type, 4, (int64_t[]){c->batch, c->heads, rows, size});
  for (int64_t b = 0; b < c->batch; b++)
    for (int64_t h = 0; h < c->heads; h++)
      for (int64_t j = 0; j < rows; j++)
        for (int64_t e = 0; e < size; e++) {
          bool there = j < c->past + c->fresh;
          trial_expect(t, output, at++, there ? key_or_value(c, t, output, b, h, j, e, false) : 0, 2e-7);
        }
}

/* ------------------------------------------------------------------------------------------------------------ inputs
 * */

static void append_parts(const mha_case *c, trial *t) {
  int64_t b = c->batch, n = c->heads, s = c->queries, l = c->fresh, d = c->depth, v = c->values;
  if (c->format == PACKED) trial_random(t, c->type, 5, (int64_t[]){b, s, n, 3, d});
  if (c->format == PACKED_ROWS) trial_random(t, c->type, 3, (int64_t[]){b, s, 3 * n * d});
  if (c->format < PACKED) trial_random(t, c->type, 3, (int64_t[]){b, s, n * d});
  trial_scale(t, 2);
  if (c->format == SEPARATE) {
    trial_random(t, c->type, 3, (int64_t[]){b, l, n * d});
    trial_random(t, c->type, 3, (int64_t[]){b, l, n * v});
  } else if (c->format == BY_HEAD) {
    trial_random(t, c->type, 4, (int64_t[]){b, n, l, d});
    trial_random(t, c->type, 4, (int64_t[]){b, n, l, v});
  } else {
    if (c->format == PACKED_KV)
      trial_random(t, c->type, 5, (int64_t[]){b, l, n, 2, d});
    else
      trial_absent(t);
    trial_absent(t);
  }
}

static void append_mask(const mha_case *c, trial *t) {
  int64_t keys = c->past + c->fresh, b = c->batch, count;
  const int64_t shapes[MASKS][4] = {
      {0}, {b}, {2 * b}, {b, c->fresh}, {b, keys}, {b, c->queries, keys}, {b, 1, MOST, MOST}};
  static const int ranks[MASKS] = {0, 1, 1, 2, 2, 3, 4};
  if (c->mask == NO_MASK) {
    trial_absent(t);
    return;
  }
  count = dims_product(shapes[c->mask], 0, ranks[c->mask]);
  double *numbers = malloc((size_t)count * sizeof *numbers);
  for (int64_t i = 0; i < count; i++) {
    bool is_end = c->mask < FRESH && i < b;
    numbers[i] = (double)(is_end ? random_int(&t->seed, 1, keys) : random_int(&t->seed, 0, 1));
  }
  trial_numbers(t, NORMA_INT32, ranks[c->mask], shapes[c->mask], numbers);
  free(numbers);
}

static void append_past(const mha_case *c, trial *t) {
  int64_t length = c->past + (c->buffer ? ROOM + c->fresh : 0);
  const double past = (double)c->past;
  if (!c->has_past) {
    for (int i = 0; i < 3; i++) trial_absent(t);
    return;
  }
  trial_random(t, c->type, 4, (int64_t[]){c->batch, c->heads, length, c->depth});
  trial_random(t, c->type, 4, (int64_t[]){c->batch, c->heads, length, c->values});
  if (c->buffer)
    trial_numbers(t, NORMA_INT32, 1, (int64_t[]){1}, &past);
  else
    trial_absent(t);
}

static void append_beams(const mha_case *c, trial *t) {
  int64_t length = c->past + (c->buffer ? ROOM + c->fresh : 0) + 1, count = c->batch * length;
  double *numbers = malloc((size_t)count * sizeof *numbers), beams = (double)c->beams;
  if (c->decoder && c->beams) trial_numbers(t, NORMA_INT32, 1, (int64_t[]){1}, &beams);
  if (c->decoder && !c->beams) trial_absent(t);
  for (int64_t i = 0; i < count && c->beams; i++) numbers[i] = (double)random_int(&t->seed, 0, c->beams - 1);
  if (c->beams)
    trial_numbers(t, NORMA_INT32, 3, (int64_t[]){c->batch / c->beams, c->beams, length}, numbers);
  else
    trial_absent(t);
  free(numbers);
}

static void append_bias(const mha_case *c, trial *t) {
  if (c->bias)
    trial_random(t, c->type, 1, (int64_t[]){c->heads * (2 * c->depth + c->values)});
  else
    trial_absent(t);
}

static void begin_case(const mha_case *c, trial *t, uint64_t seed) {
  trial_begin(t, "com.microsoft", c->decoder ? "DecoderMaskedMultiHeadAttention" : "MultiHeadAttention", 1);
  t->seed = seed;
  append_parts(c, t);
  if (!c->decoder) append_bias(c, t);
  append_mask(c, t);
  if (c->addend)
    trial_random(t, c->type, 4, (int64_t[]){1, c->heads, c->queries, c->past + c->fresh});
  else
    trial_absent(t);
  append_past(c, t);
  append_beams(c, t);
  if (c->decoder) append_bias(c, t);
  trial_attribute(t, (attribute)DRIVER_INT("num_heads", c->heads));
  trial_attribute(t, (attribute)DRIVER_FLOAT("mask_filter_value", -20));
  if (c->scale != 0) trial_attribute(t, (attribute)DRIVER_FLOAT("scale", (float)c->scale));
  if (c->causal) trial_attribute(t, (attribute)DRIVER_INT("unidirectional", 1));
}

static mha_case random_case(uint64_t *seed) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_FLOAT16, NORMA_BFLOAT16};
  mha_case c = {.type = types[random_int(seed, 0, 2)],
                .format = (enum format)random_int(seed, 0, FORMATS - 1),
                .mask = (enum mask)(random_int(seed, 0, 1) * random_int(seed, 0, MASKS - 1)),
                .batch = random_int(seed, 1, 4),
                .heads = random_int(seed, 1, 3),
                .queries = random_int(seed, 1, 5),
                .fresh = random_int(seed, 1, 9),
                .depth = random_int(seed, 1, 12),
                .values = random_int(seed, 1, 12),
                .decoder = random_int(seed, 0, 1),
                .bias = random_int(seed, 0, 1),
                .addend = random_int(seed, 0, 2) == 0,
                .has_past = random_int(seed, 0, 1),
                .scores = random_int(seed, 0, 3) == 0,
                .scale = random_int(seed, 0, 1) ? 0.5 : 0};
  if (c.format == PACKED_ROWS) c.decoder = true;
  if (c.format == PACKED) c.decoder = false;
  if (c.format >= PACKED_KV) c.values = c.depth;
  if (c.format >= PACKED) c.fresh = c.queries;
  if (c.format == BY_HEAD) c.has_past = c.bias = false;
  c.causal = !c.decoder && random_int(seed, 0, 2) == 0;
  if (c.has_past) c.past = random_int(seed, 0, 6);
  c.buffer = c.has_past && random_int(seed, 0, 1);
  if (c.buffer) c.scores = false;
  if (c.has_past && random_int(seed, 0, 1)) {
    c.beams = random_int(seed, 1, 3);
    c.batch = c.beams * random_int(seed, 1, 2);
  }
  if (c.mask == FRESH && c.fresh == c.past + c.fresh) c.mask = KEYS;
  if (c.mask == POSITIONS && c.queries > c.past + c.fresh) c.mask = NO_MASK; /* queries are the last positions */
  return c;
}

static void every_option_matches_the_formula(void **state) {
  uint64_t seed = 5;
  (void)state;
  for (int i = 0; i < 600; i++) {
    mha_case c = random_case(&seed);
    trial t;
    begin_case(&c, &t, seed);
    trial_run(&t, c.scores ? 4 : 3);
    for (int64_t b = 0; b < c.batch; b++)
      for (int64_t h = 0; h < c.heads; h++)
        for (int64_t r = 0; r < c.queries; r++) check_row(&c, &t, b, h, r);
    check_present(&c, &t, 1);
    check_present(&c, &t, 2);
    trial_end(&t);
  }
}

static void set_shape(trial *t, int input, int rank, const int64_t *dims) {
  norma_tensor_init(&t->inputs[input].tensor, t->inputs[input].tensor.type, rank, dims, t->inputs[input].tensor.data);
}

static void what_does_not_fit_is_refused(void **state) {
  const mha_case good = {.type = NORMA_FLOAT,
                         .format = SEPARATE,
                         .mask = QUERIES,
                         .batch = 2,
                         .heads = 2,
                         .queries = 3,
                         .fresh = 4,
                         .past = 2,
                         .depth = 4,
                         .values = 4,
                         .bias = true,
                         .addend = true,
                         .has_past = true};
  static const char *const whats[] = {"zero heads",
                                      "heads that do not divide",
                                      "keys of another depth",
                                      "values of another length",
                                      "a short bias",
                                      "a mask of another length",
                                      "attention_bias of another length",
                                      "a past of another depth",
                                      "a query of rank 2",
                                      "more past than the buffer",
                                      "a negative past",
                                      "a beam that is not there",
                                      "value without key",
                                      "more heads than can be counted"};
  (void)state;
  for (int i = 0; i < (int)(sizeof whats / sizeof *whats); i++) {
    mha_case c = good;
    trial t;
    if (i == 9 || i == 10) c.buffer = true;
    if (i == 11) c.beams = 2;
    begin_case(&c, &t, 7);
    if (i == 0) trial_attribute(&t, (attribute)DRIVER_INT("num_heads", 0));
    if (i == 1) trial_attribute(&t, (attribute)DRIVER_INT("num_heads", 3));
    if (i == 2) set_shape(&t, 1, 3, (int64_t[]){2, 4, 6});
    if (i == 3) set_shape(&t, 2, 3, (int64_t[]){2, 3, 8});
    if (i == 4) set_shape(&t, 3, 1, (int64_t[]){20});
    if (i == 5) set_shape(&t, 4, 3, (int64_t[]){2, 3, 5});
    if (i == 6) set_shape(&t, 5, 4, (int64_t[]){1, 2, 3, 5});
    if (i == 7) set_shape(&t, 6, 4, (int64_t[]){2, 2, 2, 3});
    if (i == 8) set_shape(&t, 0, 2, (int64_t[]){2, 24});
    if (i == 9) element_set_double(NORMA_INT32, t.inputs[8].tensor.data, 0, 9);
    if (i == 10) element_set_double(NORMA_INT32, t.inputs[8].tensor.data, 0, -1);
    if (i == 11) element_set_double(NORMA_INT32, t.inputs[9].tensor.data, 1, 2);
    if (i == 12) t.call.inputs[1] = NULL;
    if (i == 13) trial_attribute(&t, (attribute)DRIVER_INT("num_heads", INT64_MAX));
    trial_expect_refusal(&t, 3, whats[i]);
    if (i == 12) t.call.inputs[1] = &t.inputs[1];
    trial_end(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_option_matches_the_formula),
                                     cmocka_unit_test(what_does_not_fit_is_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
