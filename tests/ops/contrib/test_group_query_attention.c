/* GroupQueryAttention against its formula in double precision, written over the absolute positions of all tokens:
 * prompts, steps, chunks and padded chunks, windows and caches of windows, rotation, normalization, sinks, quantized
 * caches. */
#include "tests/support/operator_trial.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum inputs {
  QUERY,
  KEY,
  VALUE,
  PAST_KEY,
  PAST_VALUE,
  LENGTHS,
  TOTAL,
  COS,
  SIN,
  POSITIONS,
  ADDEND,
  SINK,
  KEY_SCALE,
  VALUE_SCALE,
  QUERY_NORM,
  KEY_NORM,
  QUERY_LENGTHS
};
enum kind { PROMPT, STEP, CHUNK };
enum cache { PLAIN, INT8, INT4, FLOAT8 };
enum { MOST_BATCH = 3, MOST_KEYS = 64 };

typedef struct gqa_case {
  norma_element_type type;
  enum kind kind;
  enum cache cache;
  int64_t batch, key_heads, group, queries, depth, half, window; /* half 0: no rotation; window -1: none */
  int64_t past[MOST_BATCH], fresh[MOST_BATCH];                   /* tokens of each sample: before, and valid new ones */
  int64_t room, total;                                           /* rows of the past; total_sequence_length */
  bool packed, interleaved, ids, addend, sink, smooth, norm, windowed, bidirectional, per_channel, lengths;
  int scores;
  double softcap;
} gqa_case;

/* ----------------------------------------------------------------------------------------------------------- formula
 * */

static int64_t heads_of(const gqa_case *c) {
  return c->key_heads * c->group;
}

/* Rows that a cache of a window keeps of `tokens`. */
static int64_t resident(const gqa_case *c, int64_t tokens) {
  int64_t slack = c->room - c->window + 1;
  if (!c->windowed || tokens <= c->room) return tokens;
  while (tokens > c->room) tokens -= slack;
  return tokens;
}

/* Element of part 0, 1 or 2 as it was given. */
static double given(const gqa_case *c, const trial *t, int part, int64_t b, int64_t h, int64_t row, int64_t e) {
  int64_t n = part == 0 ? heads_of(c) : c->key_heads, all = heads_of(c) + 2 * c->key_heads;
  int64_t first = part == 0 ? 0 : part == 1 ? heads_of(c) : heads_of(c) + c->key_heads;
  if (c->packed) return t->numbers[QUERY][((b * c->queries + row) * all + first + h) * c->depth + e];
  return t->numbers[part][((b * c->queries + row) * n + h) * c->depth + e];
}

static double normalized(const gqa_case *c, const trial *t, int part, int64_t b, int64_t h, int64_t row, int64_t e) {
  double squares = 0, x = given(c, t, part, b, h, row, e);
  if (!c->norm || part == 2) return x;
  for (int64_t i = 0; i < c->depth; i++) squares += pow(given(c, t, part, b, h, row, i), 2);
  return x / sqrt(squares / (double)c->depth + 1e-6) * t->numbers[QUERY_NORM + part][e];
}

static double rotated(const gqa_case *c, const trial *t, int part, int64_t b, int64_t h, int64_t row, int64_t e) {
  double x = normalized(c, t, part, b, h, row, e);
  if (e >= 2 * c->half || part == 2) return x;
  int64_t position = c->past[b] + row, pair = c->interleaved ? e / 2 : e % c->half;
  bool real = c->interleaved ? e % 2 == 0 : e < c->half;
  if (c->ids)
    position = (int64_t)(c->kind == PROMPT ? t->numbers[POSITIONS][0] + (double)row
                                           : t->numbers[POSITIONS][b * c->queries + row]);
  int64_t other = c->interleaved ? (real ? e + 1 : e - 1) : real ? e + c->half : e - c->half;
  double y = normalized(c, t, part, b, h, row, other), cosine = t->numbers[COS][position * c->half + pair];
  double sine = t->numbers[SIN][position * c->half + pair];
  return real ? x * cosine - y * sine : x * cosine + y * sine;
}

static double scale_of(const gqa_case *c, const trial *t, int part, int64_t h, int64_t e) {
  if (c->cache == PLAIN) return 1;
  return t->numbers[KEY_SCALE + part - 1][c->per_channel ? h * c->depth + e : 0];
}

/* A number as the cache holds it, without its scale. */
static double quantized(const gqa_case *c, double x) {
  uint8_t number;
  if (c->cache == INT8) return fmin(fmax(rint(x), -128), 127);
  if (c->cache == INT4) return fmin(fmax(rint(x), -8), 7);
  if (c->cache == PLAIN) return x;
  element_set_double(NORMA_FLOAT8E4M3FN, &number, 0, x);
  return element_get_double(NORMA_FLOAT8E4M3FN, &number, 0);
}

/* What a cache tensor holds at a row. */
static double stored(const gqa_case *c, const double *numbers, int64_t rows, int64_t b, int64_t h, int64_t row,
                     int64_t e) {
  int64_t width = c->cache == INT4 ? c->depth / 2 : c->depth, at = ((b * c->key_heads + h) * rows + row) * width;
  if (c->cache != INT4) return numbers[at + e];
  return (double)((int)numbers[at + e / 2] >> (e % 2 * 4) & 15) - 8;
}

/* Key (1) or value (2) of the token at a position, as attention sees it, in numbers of the cache. */
static double token(const gqa_case *c, const trial *t, int part, int64_t b, int64_t h, int64_t position, int64_t e) {
  int64_t past = c->past[b], first = past - resident(c, past);
  if (position >= past)
    return quantized(c, (float)rotated(c, t, part, b, h, position - past, e) / (float)scale_of(c, t, part, h, e));
  return stored(c, t->numbers[PAST_KEY + part - 1], c->room, b, h, position - first, e);
}

static void check_row(const gqa_case *c, const trial *t, int64_t b, int64_t h, int64_t i) {
  int64_t keys = c->past[b] + c->fresh[b], position = c->past[b] + i, first = c->past[b] - resident(c, c->past[b]);
  double scores[MOST_KEYS], sum = 0, most = -INFINITY;
  for (int64_t j = 0; j < c->total; j++) {
    double score = 0;
    for (int64_t e = 0; e < c->depth && j >= first && j < keys; e++)
      score +=
          rotated(c, t, 0, b, h, i, e) * token(c, t, 1, b, h / c->group, j, e) * scale_of(c, t, 1, h / c->group, e);
    score /= sqrt((double)c->depth);
    if (c->softcap > 0) score = c->softcap * tanh(score / c->softcap);
    if (c->addend) score += t->numbers[ADDEND][(h * c->queries + i) * c->total + j];
    bool seen =
        j >= first && j < keys && (c->bidirectional || j <= position) && (c->window < 0 || j > position - c->window);
    scores[j] = seen ? score : -INFINITY;
    most = fmax(most, scores[j]);
  }
  double sink = c->sink ? t->numbers[SINK][h] : 0;
  bool has_sink = c->sink || c->smooth;
  if (has_sink) most = fmax(most, sink);
  for (int64_t j = 0; j < c->total; j++) sum += exp(scores[j] - most);
  if (has_sink) sum += exp(sink - most);
  double error = c->cache == PLAIN ? 1e-5 : 2e-4;
  for (int64_t j = 0; j < c->total && c->scores; j++) {
    double expected = c->scores == 2 ? exp(scores[j] - most) / sum : scores[j] > -INFINITY ? scores[j] : 0;
    trial_expect(t, 3, ((b * heads_of(c) + h) * c->queries + i) * c->total + j, expected, error);
  }
  for (int64_t e = 0; e < c->depth; e++) {
    double y = 0;
    for (int64_t j = first; j < keys; j++)
      y += exp(scores[j] - most) / sum * token(c, t, 2, b, h / c->group, j, e) * scale_of(c, t, 2, h / c->group, e);
    trial_expect(t, 0, ((b * c->queries + i) * heads_of(c) + h) * c->depth + e, y, error);
  }
}

static void check_present(const gqa_case *c, const trial *t, int part) {
  int64_t rows = c->windowed || c->room > c->total ? c->room : c->total;
  int64_t count = norma_tensor_count(&t->driver.outputs[part].tensor);
  double *numbers = malloc((size_t)count * sizeof *numbers);
  for (int64_t i = 0; i < count; i++) numbers[i] = trial_output(t, part, i);
  bool rounds = c->cache != PLAIN && (c->half || c->norm); /* what lies between two numbers may become either */
  for (int64_t b = 0; b < c->batch; b++) {
    int64_t keys = c->past[b] + c->fresh[b], first = keys - resident(c, keys);
    for (int64_t h = 0; h < c->key_heads; h++)
      for (int64_t j = first; j < keys; j++)
        for (int64_t e = 0; e < c->depth; e++) {
          double got = stored(c, numbers, rows, b, h, j - first, e), expected = token(c, t, part, b, h, j, e);
          double allowed = c->cache == PLAIN ? rounding_error(c->type) * fabs(expected) + 1e-6 : rounds ? 1 : 0;
          if (c->cache == FLOAT8 && rounds) allowed = fabs(expected) / 8 + 0.01;
          if (!(fabs(got - expected) <= allowed))
            fail_msg("present %d row %d: expected %g, got %g", part, (int)j, expected, got);
        }
  }
  free(numbers);
}

/* ------------------------------------------------------------------------------------------------------------ inputs
 * */

static void append_numbers(trial *t, norma_element_type type, int64_t count, const int64_t *numbers) {
  double wide[MOST_BATCH];
  for (int64_t i = 0; i < count; i++) wide[i] = (double)numbers[i];
  trial_numbers(t, type, 1, &count, wide);
}

static void append_past(const gqa_case *c, trial *t) {
  static const norma_element_type types[] = {NORMA_UNDEFINED, NORMA_INT8, NORMA_UINT8, NORMA_FLOAT8E4M3FN};
  int64_t width = c->cache == INT4 ? c->depth / 2 : c->depth;
  for (int i = 0; i < 2; i++) {
    if (c->kind == PROMPT)
      trial_absent(t);
    else
      trial_random(t, c->cache == PLAIN ? c->type : types[c->cache], 4,
                   (int64_t[]){c->batch, c->key_heads, c->room, width});
  }
}

static void append_rotation(const gqa_case *c, trial *t) {
  double ids[MOST_BATCH * 8];
  int64_t rows = c->total + 8;
  for (int i = 0; i < 2; i++) {
    if (c->half)
      trial_random(t, c->type, 2, (int64_t[]){rows, c->half});
    else
      trial_absent(t);
  }
  for (int64_t i = 0; i < c->batch * c->queries; i++) ids[i] = (double)random_int(&t->seed, 0, 7);
  if (c->ids)
    trial_numbers(t, NORMA_INT64, 2, (int64_t[]){c->batch, c->queries}, ids);
  else
    trial_absent(t);
}

static void append_rest(const gqa_case *c, trial *t) {
  int64_t n = heads_of(c);
  if (c->addend)
    trial_random(t, c->type, 4, (int64_t[]){1, n, c->queries, c->total});
  else
    trial_absent(t);
  if (c->sink)
    trial_random(t, c->type, 1, &n);
  else
    trial_absent(t);
  for (int i = 0; i < 2; i++) {
    if (c->cache == PLAIN) {
      trial_absent(t);
    } else {
      trial_random(t, NORMA_FLOAT, 4,
                   (int64_t[]){1, c->per_channel ? c->key_heads : 1, 1, c->per_channel ? c->depth : 1});
      trial_scale(t, 0.05);
    }
  }
  for (int i = 0; i < 2; i++) {
    if (c->norm)
      trial_random(t, c->type, 1, &c->depth);
    else
      trial_absent(t);
  }
  if (c->lengths) append_numbers(t, NORMA_INT32, c->batch, c->fresh);
}

static void begin_case(const gqa_case *c, trial *t, uint64_t seed) {
  int64_t lengths[MOST_BATCH], n = heads_of(c), rows = c->queries;
  trial_begin(t, "com.microsoft", "GroupQueryAttention", 1);
  t->seed = seed;
  trial_random(t, c->type, 3, (int64_t[]){c->batch, rows, (n + (c->packed ? 2 * c->key_heads : 0)) * c->depth});
  for (int i = 0; i < 2; i++) {
    if (c->packed)
      trial_absent(t);
    else
      trial_random(t, c->type, 3, (int64_t[]){c->batch, rows, c->key_heads * c->depth});
  }
  append_past(c, t);
  for (int64_t b = 0; b < c->batch; b++) lengths[b] = c->past[b] + c->fresh[b] - 1;
  append_numbers(t, NORMA_INT32, c->batch, lengths);
  append_numbers(t, NORMA_INT32, 1, &c->total);
  append_rotation(c, t);
  append_rest(c, t);
  trial_attribute(t, (attribute)DRIVER_INT("num_heads", n));
  trial_attribute(t, (attribute)DRIVER_INT("kv_num_heads", c->key_heads));
  if (c->half) trial_attribute(t, (attribute)DRIVER_INT("do_rotary", 1));
  if (c->interleaved) trial_attribute(t, (attribute)DRIVER_INT("rotary_interleaved", 1));
  if (c->window > 0) trial_attribute(t, (attribute)DRIVER_INT("local_window_size", c->window));
  if (c->windowed) trial_attribute(t, (attribute)DRIVER_INT("sliding_window_cache", 1));
  if (c->bidirectional) trial_attribute(t, (attribute)DRIVER_INT("causal", 0));
  if (c->smooth) trial_attribute(t, (attribute)DRIVER_INT("smooth_softmax", 1));
  if (c->scores) trial_attribute(t, (attribute)DRIVER_INT("qk_output", c->scores));
  if (c->softcap > 0) trial_attribute(t, (attribute)DRIVER_FLOAT("softcap", (float)c->softcap));
  if (c->cache == PLAIN) return;
  trial_attribute(t, (attribute)DRIVER_INT("kv_cache_bit_width", c->cache == INT4 ? 4 : 8));
  for (int i = 0; i < 2; i++) {
    const char *name = i ? "v_quant_type" : "k_quant_type";
    if (c->per_channel)
      trial_attribute(t, (attribute)DRIVER_STRING(name, "PER_CHANNEL"));
    else
      trial_attribute(t, (attribute)DRIVER_STRING(name, "PER_TENSOR"));
  }
}

static void choose_lengths(gqa_case *c, uint64_t *seed) {
  int64_t longest = 0, before = 0;
  for (int64_t b = 0; b < c->batch; b++) {
    c->fresh[b] = c->lengths ? random_int(seed, 0, c->queries) : c->queries;
    if (c->kind == PROMPT) c->fresh[b] = random_int(seed, 1, c->queries);
    if (c->kind != PROMPT) c->past[b] = random_int(seed, c->lengths ? 1 : 0, 9);
    if (c->past[b] + c->fresh[b] > longest) longest = c->past[b] + c->fresh[b];
    if (c->past[b] > before) before = c->past[b];
  }
  c->total = c->kind == PROMPT ? c->queries : longest + (c->lengths ? random_int(seed, 0, 2) : 0);
  c->room = c->kind == PROMPT ? 0 : before + random_int(seed, 0, 4);
  if (c->kind != PROMPT && c->total == c->queries && !c->lengths) c->total++; /* else it were a prompt */
  if (c->windowed) c->room = c->window + random_int(seed, 0, 3);
}

static gqa_case random_case(uint64_t *seed) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_FLOAT16, NORMA_BFLOAT16};
  gqa_case c = {.type = types[random_int(seed, 0, 2)],
                .kind = (enum kind)random_int(seed, 0, 2),
                .batch = random_int(seed, 1, MOST_BATCH),
                .key_heads = random_int(seed, 1, 2),
                .group = random_int(seed, 1, 3),
                .depth = 2 * random_int(seed, 1, 10),
                .window = random_int(seed, 0, 1) ? -1 : random_int(seed, 1, 6),
                .packed = random_int(seed, 0, 2) == 0,
                .interleaved = random_int(seed, 0, 1),
                .addend = random_int(seed, 0, 2) == 0,
                .sink = random_int(seed, 0, 2) == 0,
                .smooth = random_int(seed, 0, 3) == 0,
                .norm = random_int(seed, 0, 2) == 0,
                .per_channel = random_int(seed, 0, 1),
                .softcap = random_int(seed, 0, 2) ? 0 : 1.5};
  c.queries = c.kind == STEP ? 1 : random_int(seed, 2, 6);
  if (random_int(seed, 0, 1)) c.half = random_int(seed, 1, c.depth / 2);
  c.ids = c.half && random_int(seed, 0, 1);
  c.windowed = c.kind != PROMPT && c.window > 0 && random_int(seed, 0, 1);
  c.lengths = c.kind == CHUNK && random_int(seed, 0, 1);
  c.bidirectional = c.window < 0 && !c.lengths && random_int(seed, 0, 2) == 0;
  if (c.kind != PROMPT && random_int(seed, 0, 1)) c.cache = (enum cache)random_int(seed, 0, 3);
  if (c.cache != PLAIN) c.type = NORMA_FLOAT;
  if (!c.windowed) c.scores = (int)random_int(seed, 0, 2);
  choose_lengths(&c, seed);
  return c;
}

static void every_option_matches_the_formula(void **state) {
  uint64_t seed = 5;
  (void)state;
  for (int i = 0; i < 600; i++) {
    gqa_case c = random_case(&seed);
    trial t;
    begin_case(&c, &t, seed);
    trial_run(&t, c.scores ? 4 : 3);
    for (int64_t b = 0; b < c.batch; b++)
      for (int64_t h = 0; h < heads_of(&c); h++)
        for (int64_t r = 0; r < c.fresh[b]; r++) check_row(&c, &t, b, h, r);
    check_present(&c, &t, 1);
    check_present(&c, &t, 2);
    trial_end(&t);
  }
}

static void reshape(trial *t, int input, int rank, const int64_t *dims) {
  norma_tensor_init(&t->inputs[input].tensor, t->inputs[input].tensor.type, rank, dims, t->inputs[input].tensor.data);
}

static void what_does_not_fit_is_refused(void **state) {
  static const gqa_case good = {.type = NORMA_FLOAT,
                                .kind = CHUNK,
                                .cache = INT8,
                                .batch = 2,
                                .key_heads = 2,
                                .group = 2,
                                .queries = 3,
                                .depth = 8,
                                .half = 4,
                                .window = -1,
                                .past = {4, 5},
                                .fresh = {2, 3},
                                .room = 6,
                                .total = 9,
                                .ids = true,
                                .addend = true,
                                .sink = true,
                                .norm = true,
                                .lengths = true};
  static const char *const whats[] = {"heads that do not share",
                                      "keys of another width",
                                      "a past of another depth",
                                      "a short seqlens_k",
                                      "more keys than the total",
                                      "more new keys than queries",
                                      "a negative length",
                                      "more past than there is room",
                                      "a position that is not there",
                                      "caches wider than a head",
                                      "a short sink",
                                      "a short norm",
                                      "no scale",
                                      "attention_bias of another length",
                                      "a cache of float",
                                      "a window of 0",
                                      "a window of both sides",
                                      "qk_output of 3",
                                      "a cache smaller than its window",
                                      "3 bits",
                                      "an attention_bias without dimensions"};
  (void)state;
  for (int i = 0; i < (int)(sizeof whats / sizeof *whats); i++) {
    gqa_case c = good;
    trial t;
    if (i == 16) c.lengths = false;
    begin_case(&c, &t, 5);
    void *lengths = t.inputs[LENGTHS].tensor.data, *queries = t.inputs[QUERY_LENGTHS].tensor.data;
    if (i == 0) trial_attribute(&t, (attribute)DRIVER_INT("kv_num_heads", 3));
    if (i == 1) reshape(&t, KEY, 3, (int64_t[]){2, 3, 12});
    if (i == 2) reshape(&t, PAST_KEY, 4, (int64_t[]){2, 2, 6, 7});
    if (i == 3) reshape(&t, LENGTHS, 1, (int64_t[]){1});
    if (i == 4) element_set_double(NORMA_INT32, lengths, 1, 9);
    if (i == 5) element_set_double(NORMA_INT32, queries, 0, 4);
    if (i == 6) element_set_double(NORMA_INT32, lengths, 0, -2);
    if (i == 7) element_set_double(NORMA_INT32, queries, 1, 0);
    if (i == 8) element_set_double(NORMA_INT64, t.inputs[POSITIONS].tensor.data, 0, 17);
    if (i == 9) reshape(&t, COS, 2, (int64_t[]){13, 5}), reshape(&t, SIN, 2, (int64_t[]){13, 5});
    if (i == 10) reshape(&t, SINK, 1, (int64_t[]){3});
    if (i == 11) reshape(&t, KEY_NORM, 1, (int64_t[]){7});
    if (i == 12) t.call.inputs[KEY_SCALE] = NULL;
    if (i == 13) reshape(&t, ADDEND, 4, (int64_t[]){1, 4, 3, 8});
    if (i == 14) trial_attribute(&t, (attribute)DRIVER_STRING("k_quant_type", "NONE"));
    if (i == 15) trial_attribute(&t, (attribute)DRIVER_INT("local_window_size", 0));
    if (i == 16) {
      trial_attribute(&t, (attribute)DRIVER_INT("causal", 0));
      trial_attribute(&t, (attribute)DRIVER_INT("local_window_size", 2));
    }
    if (i == 17) trial_attribute(&t, (attribute)DRIVER_INT("qk_output", 3));
    if (i == 18) {
      trial_attribute(&t, (attribute)DRIVER_INT("local_window_size", 7));
      trial_attribute(&t, (attribute)DRIVER_INT("sliding_window_cache", 1));
    }
    if (i == 19) trial_attribute(&t, (attribute)DRIVER_INT("kv_cache_bit_width", 3));
    if (i == 20) reshape(&t, ADDEND, 0, NULL);
    trial_expect_refusal(&t, 3, whats[i]);
    if (i == 12) t.call.inputs[KEY_SCALE] = &t.inputs[KEY_SCALE];
    trial_end(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_option_matches_the_formula),
                                     cmocka_unit_test(what_does_not_fit_is_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
