/*
 * StringSplit 20: cuts the strings of X into pieces.
 *
 *   Y  the pieces, along one more dimension at the end, with empty strings behind the last
 *   Z  how many pieces each string has
 *
 * Without a delimiter, or with an empty one, runs of white space (Unicode's) are between pieces, and what is at either
 * end of the string belongs to none. With one, every two delimiters have a piece between them, an empty one too; a
 * string without any is one piece, an empty string included. After `maxsplit` cuts (absent or negative: no bound) the
 * rest is the last piece.
 */
#include "ops/text/unicode.h"

#include "ops/work.h"

#include <inttypes.h>

typedef struct string_split_state {
  norma_string delimiter; /* of size 0: white space */
  int64_t most;           /* cuts */
} string_split_state;

static norma_status string_split_read(const node *node, void *opaque, norma_error *error) {
  string_split_state *state = opaque;
  const attribute *delimiter = node_attribute(node, "delimiter");
  (void)error;
  if (delimiter) state->delimiter = delimiter->s;
  state->most = attribute_int(node, "maxsplit", -1);
  if (state->most < 0) state->most = INT64_MAX;
  return NORMA_OK;
}

static norma_status string_split_infer(infer_context *context) {
  const shape *x = infer_shape(context, 0);
  shape pieces = *x;
  if (x->rank == NORMA_MAX_RANK) return infer_fail(context, "X has rank %d, and Y would have one more", x->rank);
  if (x->rank != RANK_UNKNOWN) pieces.dims[pieces.rank++] = DIM_UNKNOWN;
  infer_output(context, 0, NORMA_STRING, &pieces);
  infer_output(context, 1, NORMA_INT64, x);
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- pieces */

/* What is left of a string to be cut. */
typedef struct split_walk {
  const string_split_state *state;
  const char *next, *end;
  int64_t cuts;
  bool is_done;
} split_walk;

static size_t space_at(const char *text, size_t size) { /* bytes of the white space there, or 0 */
  uint32_t character;
  const int bytes = utf8_decode(text, size, &character);
  return bytes > 0 && utf8_is_space(character) ? (size_t)bytes : 0;
}

static void skip_space(split_walk *walk) {
  for (size_t bytes; walk->next < walk->end && (bytes = space_at(walk->next, (size_t)(walk->end - walk->next)));)
    walk->next += bytes;
}

/* Where the white space that ends the text begins. */
static const char *before_space(const char *begin, const char *end) {
  while (end > begin) {
    const char *last = end - 1;
    while (last > begin && end - last < 4 && ((unsigned char)*last & 0xC0) == 0x80) last--;
    if (space_at(last, (size_t)(end - last)) != (size_t)(end - last)) break;
    end = last;
  }
  return end;
}

static split_walk split_begin(const string_split_state *state, const norma_string *text) {
  split_walk walk = {.state = state, .next = text->size ? text->data : ""};
  walk.end = walk.next + text->size;
  if (state->delimiter.size) return walk;
  skip_space(&walk);
  walk.end = before_space(walk.next, walk.end);
  walk.is_done = walk.next == walk.end;
  return walk;
}

/* The next piece; false: there is none. */
static bool split_next(split_walk *walk, norma_string *piece) {
  const norma_string *delimiter = &walk->state->delimiter;
  const char *cut = NULL, *from = walk->next;
  if (walk->is_done) return false;
  if (walk->cuts++ < walk->state->most) {
    if (delimiter->size == 1) {
      cut = memchr(from, delimiter->data[0], (size_t)(walk->end - from));
    } else if (delimiter->size) {
      cut = memmem(from, (size_t)(walk->end - from), delimiter->data, delimiter->size);
    } else {
      for (cut = from; cut < walk->end && !space_at(cut, (size_t)(walk->end - cut));)
        cut += utf8_step(cut, (size_t)(walk->end - cut));
      if (cut == walk->end) cut = NULL;
    }
  }
  walk->is_done = !cut;
  *piece = (norma_string){from, (size_t)((cut ? cut : walk->end) - from)};
  if (!cut) return true;
  walk->next = cut + delimiter->size;
  if (!delimiter->size) skip_space(walk);
  return true;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* Pieces of each string, the most of any, and the characters of all strings. */
static norma_status count_pieces(run_context *context, int64_t *counts, int64_t *most, size_t *bytes) {
  const norma_tensor *x = run_input(context, 0);
  const norma_string *strings = x->data;
  const int64_t count = norma_tensor_count(x);
  int64_t steps = 0;
  *most = 0;
  *bytes = 0;
  for (int64_t i = 0; i < count; i++) {
    split_walk walk = split_begin(context->state, &strings[i]);
    norma_string piece;
    TRY(work_poll(context, steps++));
    for (counts[i] = 0; split_next(&walk, &piece); counts[i]++) TRY(work_poll(context, steps++));
    if (!size_add(*bytes, strings[i].size, bytes))
      return run_fail(context, NORMA_ERROR_BUDGET, "the output is too long");
    if (counts[i] > *most) *most = counts[i];
  }
  return NORMA_OK;
}

/* Each string is copied whole: its pieces lie in the copy. */
static norma_status write_pieces(run_context *context, int64_t most, size_t bytes) {
  const norma_tensor *x = run_input(context, 0);
  const norma_string *strings = x->data;
  const int64_t count = norma_tensor_count(x);
  shape pieces = shape_of_tensor(x);
  char *characters;
  norma_tensor *y;
  int64_t steps = 0;
  pieces.dims[pieces.rank++] = most;
  TRY(run_allocate_strings(context, 0, &pieces, bytes, &characters, &y));
  for (int64_t i = 0; i < count; i++) {
    norma_string *row = (norma_string *)y->data + i * most, piece;
    const norma_string copy = {characters, strings[i].size};
    if (copy.size) memcpy(characters, strings[i].data, copy.size);
    characters += copy.size;
    split_walk walk = split_begin(context->state, &copy);
    int64_t made = 0;
    TRY(work_poll(context, steps++));
    for (; made < most && split_next(&walk, &piece); made++) {
      row[made] = piece;
      TRY(work_poll(context, steps++));
    }
    for (; made < most; made++) {
      row[made] = (norma_string){NULL, 0};
      TRY(work_poll(context, steps++));
    }
  }
  return NORMA_OK;
}

static norma_status string_split_compute(run_context *context) {
  const norma_tensor *x = run_input(context, 0);
  int64_t most;
  size_t bytes;
  void *counts;
  if (context->outputs[1]) {
    const shape same = shape_of_tensor(x);
    norma_tensor *z;
    TRY(run_allocate_output(context, 1, NORMA_INT64, &same, &z));
    counts = z->data;
  } else {
    if (!size_multiply((size_t)norma_tensor_count(x), sizeof(int64_t), &bytes))
      return run_fail(context, NORMA_ERROR_BUDGET, "the input is too large");
    TRY(run_allocate_temporary(context, bytes, &counts));
  }
  TRY(count_pieces(context, counts, &most, &bytes));
  return context->outputs[0] ? write_pieces(context, most, bytes) : NORMA_OK;
}

static const operator_attribute string_split_attributes[] = {
    {"delimiter", ATTRIBUTE_STRING, 20, OPERATOR_LATEST, false},
    {"maxsplit", ATTRIBUTE_INT, 20, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_string_split[] = {
    {
        .domain = "",
        .name = "StringSplit",
        .versions = {20},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 2,
        .max_outputs = 2,
        .types = {{TYPE_BIT(NORMA_STRING), INPUT(0), OUTPUT(0)}, {TYPE_BIT(NORMA_INT64), 0, OUTPUT(1)}},
        .attributes = string_split_attributes,
        .state_size = sizeof(string_split_state),
        .read = string_split_read,
        .infer = string_split_infer,
        .compute = string_split_compute,
    },
    {0},
};
