/*
 * Tokenizer 1 (com.microsoft): cuts the strings of X, [C] or [N, C] in UTF-8, into tokens along one more dimension of
 * Y.
 *
 *   separators  expressions, one applied to the pieces that the one before has left; a single empty one: each character
 *               is a token. Of an expression that matches an empty text, the character behind is cut out.
 *   tokenexp    an expression for the tokens, used where there are no separators; ".": each character is a token. What
 *               it finds that is shorter than mincharnum is passed over by one character.
 *   mincharnum  characters of the shortest token that is kept
 *   mark        a string of the character 2 goes before the tokens of each string, and one of 3 behind
 *   pad_value   fills rows up to the longest
 *
 * Expressions are those of regex.h; each separator sees its piece as if that were the whole text. Where no string of X
 * has a token, the last dimension of Y is 0, marks or not.
 */
#include "ops/text/regex.h"
#include "ops/text/unicode.h"
#include "ops/work.h"

#include <inttypes.h>

#define TOKENIZER_GRAIN 16 /* strings of one piece */

typedef enum tokenizer_mode { TOKENIZE_CHARACTERS, TOKENIZE_SEPARATED, TOKENIZE_MATCHES } tokenizer_mode;

typedef struct tokenizer_state {
  tokenizer_mode mode;
  bool has_marks;
  norma_string padding;
  size_t least; /* characters */
  size_t count; /* of expressions */
  const regex **expressions;
  size_t *scratch; /* where that of each expression lies in a worker's */
  size_t scratch_bytes;
  int workers;
} tokenizer_state;

/* A piece of a text that is being cut by an expression. */
typedef struct tokenizer_piece {
  size_t begin, end, next; /* what is before `next` is done; beyond `end`: all is */
} tokenizer_piece;

/* ------------------------------------------------------------------------------------------------------------- read */

/* Scratch of a worker: a piece for each expression, and what the expressions need. */
static norma_status tokenizer_compile(const node *node, tokenizer_state *state, const char *what,
                                      const norma_string *expressions, size_t count, norma_error *error) {
  region *region = node->graph->region;
  size_t at;
  state->count = count;
  state->expressions = region_array(region, count, sizeof *state->expressions);
  state->scratch = region_array(region, count, sizeof *state->scratch);
  if (!state->expressions || !state->scratch) return region_error(region, error);
  bool fits = scratch_append(&state->scratch_bytes, count, sizeof(tokenizer_piece), &at);
  for (size_t i = 0; i < count && fits; i++) {
    TRY(regex_compile(node, what, &expressions[i], &state->expressions[i], error));
    fits = scratch_append(&state->scratch_bytes, regex_scratch_bytes(state->expressions[i]), 1, &state->scratch[i]);
  }
  if (fits) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_BUDGET, node, "%s: the expressions are too large", what);
}

static norma_status tokenizer_read(const node *node, void *opaque, norma_error *error) {
  tokenizer_state *state = opaque;
  size_t count;
  const norma_string *separators = attribute_strings(node, "separators", &count);
  const attribute *expression = node_attribute(node, "tokenexp"), *padding = node_attribute(node, "pad_value");
  const int64_t least = attribute_int(node, "mincharnum", 1);
  state->has_marks = attribute_int(node, "mark", 0) != 0;
  state->padding = padding->s;
  state->least = (size_t)least;
  if (least < 1) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "mincharnum is %" PRId64, least);
  if (count == 0 && !expression)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has neither separators nor tokenexp");
  if (count == 0 && expression->s.size == 0)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "tokenexp is empty");
  if (count == 1 ? separators[0].size == 0 : count == 0 && strcmp(expression->s.data, ".") == 0) {
    state->mode = TOKENIZE_CHARACTERS;
    if (least == 1) return NORMA_OK;
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                         "tokens are single characters, and mincharnum is %" PRId64, least);
  }
  state->mode = count > 0 ? TOKENIZE_SEPARATED : TOKENIZE_MATCHES;
  if (count > 0) return tokenizer_compile(node, state, "separators", separators, count, error);
  return tokenizer_compile(node, state, "tokenexp", &expression->s, 1, error);
}

static norma_status tokenizer_infer(infer_context *context) {
  shape y = *infer_shape(context, 0);
  if (y.rank != RANK_UNKNOWN && y.rank != 1 && y.rank != 2)
    return infer_fail(context, "X has rank %d, and must be [C] or [N, C]", y.rank);
  if (y.rank != RANK_UNKNOWN) y.dims[y.rank++] = DIM_UNKNOWN;
  infer_output(context, 0, NORMA_STRING, &y);
  return NORMA_OK;
}

static norma_status tokenizer_prepare(prepare_context *context) {
  tokenizer_state *state = context->state;
  state->workers = context->workers;
  context->worker_scratch_bytes = state->scratch_bytes;
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- tokens */

typedef struct token_walk {
  const run_context *context;
  const tokenizer_state *state;
  const char *text;
  size_t size;
  char *scratch;
  tokenizer_piece *pieces; /* that of each separator, from the whole text on */
  size_t depth;            /* of the piece that is cut, plus 1; 0: all is done */
  size_t steps;            /* bytes read since it was last asked whether the run has to end */
} token_walk;

#define TOKENIZER_POLL_BYTES 0x100000

/* What is read for matches that are no tokens, or that end before what was read, may be much more than the text. */
static bool token_interrupted(token_walk *walk) {
  if (walk->steps < TOKENIZER_POLL_BYTES) return false;
  walk->steps = 0;
  return run_cancelled(walk->context);
}

static token_walk token_begin(const run_context *context, const norma_string *text, int worker) {
  token_walk walk = {.context = context, .state = context->state, .text = text->size ? text->data : "", .depth = 1};
  walk.size = text->size;
  walk.scratch = run_worker_scratch(context, worker);
  walk.pieces = (tokenizer_piece *)walk.scratch;
  if (walk.state->count) walk.pieces[0] = (tokenizer_piece){0, text->size, 0};
  return walk;
}

/* Whether part of the text, which is UTF-8, has the characters of a token. */
static bool is_long_enough(const token_walk *walk, size_t begin, size_t end) {
  const size_t least = walk->state->least, size = end - begin;
  size_t characters = 0;
  if (size < least || size / 4 >= least) return size >= least; /* a character has 1 to 4 bytes */
  for (size_t i = begin; i < end; i++) characters += ((unsigned char)walk->text[i] & 0xC0) != 0x80;
  return characters >= least;
}

/* Cuts the next part off a piece; where a match is empty, the character behind goes with it. */
static void cut_piece(token_walk *walk, size_t separator, tokenizer_piece *piece, size_t *begin, size_t *end) {
  const size_t size = piece->end - piece->begin;
  size_t first, last;
  *begin = piece->next;
  if (!regex_search(walk->context, walk->state->expressions[separator], walk->text + piece->begin, size,
                    piece->next - piece->begin, walk->scratch + walk->state->scratch[separator], &first, &last,
                    &walk->steps)) {
    *end = piece->end;
    piece->next = piece->end + 1;
    return;
  }
  *end = piece->begin + first;
  if (last == first) last = first < size ? first + (size_t)utf8_step(walk->text + *end, size - first) : size + 1;
  piece->next = piece->begin + last;
}

static bool next_separated(token_walk *walk, size_t *begin, size_t *end) {
  while (walk->depth > 0 && !token_interrupted(walk)) {
    tokenizer_piece *piece = &walk->pieces[walk->depth - 1];
    if (piece->next > piece->end) {
      walk->depth--;
      continue;
    }
    cut_piece(walk, walk->depth - 1, piece, begin, end);
    if (!is_long_enough(walk, *begin, *end)) continue;
    if (walk->depth == walk->state->count) return true;
    walk->pieces[walk->depth++] = (tokenizer_piece){*begin, *end, *begin};
  }
  return false;
}

static bool next_match(token_walk *walk, size_t *begin, size_t *end) {
  tokenizer_piece *piece = &walk->pieces[0];
  while (piece->next <= piece->end && !token_interrupted(walk) &&
         regex_search(walk->context, walk->state->expressions[0], walk->text, walk->size, piece->next,
                      walk->scratch + walk->state->scratch[0], begin, end, &walk->steps)) {
    const bool is_token = is_long_enough(walk, *begin, *end);
    if (is_token)
      piece->next = *end;
    else
      piece->next =
          *begin < walk->size ? *begin + (size_t)utf8_step(walk->text + *begin, walk->size - *begin) : walk->size + 1;
    if (is_token) return true;
  }
  return false;
}

/* The bounds of the next token; false: there is none. */
static bool token_next(token_walk *walk, size_t *begin, size_t *end) {
  if (walk->state->mode == TOKENIZE_SEPARATED) return next_separated(walk, begin, end);
  if (walk->state->mode == TOKENIZE_MATCHES) return next_match(walk, begin, end);
  *begin = *end;
  if (*begin == walk->size) return false;
  *end = *begin + (size_t)utf8_step(walk->text + *begin, walk->size - *begin);
  return true;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* What is known of a string's tokens. */
typedef struct token_row {
  int64_t count; /* -1: the string is not UTF-8 */
  size_t place;  /* of the string's characters, which are copied whole: tokens lie in the copy */
} token_row;

typedef struct tokenizer_job {
  const run_context *context;
  const norma_string *x;
  token_row *rows;
  norma_string *y;
  int64_t width; /* of a row of Y */
  char *characters;
  norma_string marks[2], padding;
} tokenizer_job;

static void tokenizer_count_range(void *argument, int64_t first, int64_t last, int worker) {
  const tokenizer_job *job = argument;
  for (int64_t i = first; i < last; i++) {
    token_row row = {0};
    size_t begin = 0, end = 0, characters;
    token_walk walk = token_begin(job->context, &job->x[i], worker);
    if (!utf8_count(walk.text, walk.size, &characters)) {
      job->rows[i] = (token_row){.count = -1};
      continue;
    }
    for (; token_next(&walk, &begin, &end); row.count++) {
      if (work_interrupted(job->context, row.count)) return;
    }
    job->rows[i] = row;
  }
}

static void tokenizer_write_range(void *argument, int64_t first, int64_t last, int worker) {
  const tokenizer_job *job = argument;
  for (int64_t i = first; i < last; i++) {
    norma_string *row = job->y + i * job->width;
    const norma_string copy = {job->characters + job->rows[i].place, job->x[i].size};
    size_t begin = 0, end = 0;
    int64_t made = 0;
    if (copy.size) memcpy(job->characters + job->rows[i].place, job->x[i].data, copy.size);
    token_walk walk = token_begin(job->context, &copy, worker);
    if (job->marks[0].size) row[made++] = job->marks[0];
    for (int64_t left = job->rows[i].count; left > 0 && token_next(&walk, &begin, &end); left--) {
      row[made++] = (norma_string){walk.text + begin, end - begin};
      if (work_interrupted(job->context, left)) return;
    }
    if (job->marks[1].size) row[made++] = job->marks[1];
    while (made < job->width) row[made++] = job->padding;
  }
}

/* The most tokens of a string, and where the characters of each string go; *bytes is their end. */
static norma_status place_tokens(run_context *context, const tokenizer_job *job, int64_t count, int64_t *most,
                                 size_t *bytes) {
  *most = 0;
  for (int64_t i = 0; i < count; i++) {
    token_row *row = &job->rows[i];
    row->place = *bytes;
    if (row->count < 0) return run_fail(context, NORMA_ERROR_RUN, "string %" PRId64 " is not UTF-8", i);
    if (row->count > *most) *most = row->count;
    if (!size_add(*bytes, job->x[i].size, bytes))
      return run_fail(context, NORMA_ERROR_BUDGET, "the output is too long");
  }
  return NORMA_OK;
}

static norma_status tokenizer_compute(run_context *context) {
  const tokenizer_state *state = context->state;
  const norma_tensor *x = run_input(context, 0);
  const int64_t count = norma_tensor_count(x);
  tokenizer_job job = {.context = context, .x = x->data};
  shape result = shape_of_tensor(x);
  size_t bytes, extra = 2 + state->padding.size; /* marks and padding have their characters once, before all others */
  int64_t most;
  void *rows;
  char *characters;
  norma_tensor *y;
  if (!context->outputs[0]) return NORMA_OK;
  if (x->rank != 1 && x->rank != 2) return run_fail(context, NORMA_ERROR_RUN, "X must be [C] or [N, C]");
  if (!size_multiply((size_t)count, sizeof(token_row), &bytes))
    return run_fail(context, NORMA_ERROR_BUDGET, "the input is too large");
  TRY(run_allocate_temporary(context, bytes, &rows));
  job.rows = rows;
  for (int worker = 0; worker < state->workers && state->scratch_bytes; worker++)
    memset(run_worker_scratch(context, worker), 0, state->scratch_bytes);
  TRY(run_parallel(context, count, TOKENIZER_GRAIN, tokenizer_count_range, &job));
  TRY(place_tokens(context, &job, count, &most, &extra));
  job.width = result.dims[result.rank++] = most == 0 ? 0 : most + (state->has_marks ? 2 : 0);
  TRY(run_allocate_strings(context, 0, &result, extra, &characters, &y));
  if (most == 0) return NORMA_OK;
  memcpy(characters, "\2\3", 2);
  memcpy(characters + 2, state->padding.data, state->padding.size);
  for (int i = 0; i < 2 && state->has_marks; i++) job.marks[i] = (norma_string){characters + i, 1};
  job.padding = (norma_string){state->padding.size ? characters + 2 : NULL, state->padding.size};
  job.characters = characters;
  job.y = y->data;
  return run_parallel(context, count, TOKENIZER_GRAIN, tokenizer_write_range, &job);
}

static const operator_attribute tokenizer_attributes[] = {
    {"mark", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"mincharnum", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"pad_value", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, true},
    {"separators", ATTRIBUTE_STRINGS, 1, OPERATOR_LATEST, false},
    {"tokenexp", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_tokenizer[] = {
    {
        .domain = "com.microsoft",
        .name = "Tokenizer",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_STRING), INPUT(0), OUTPUT(0)}},
        .attributes = tokenizer_attributes,
        .state_size = sizeof(tokenizer_state),
        .read = tokenizer_read,
        .infer = tokenizer_infer,
        .prepare = tokenizer_prepare,
        .compute = tokenizer_compute,
    },
    {0},
};
