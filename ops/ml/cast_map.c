/*
 * CastMap 1 (ai.onnx.ml): the values of a map from int64 to float or strings as a row, in the order of the keys.
 *
 *   map_form DENSE   Y [1, entries]: values one behind the other
 *   map_form SPARSE  Y [1, max_map]: each value at the place of its key, and 0 (as string "0.f") where there is none; a
 *                    key outside is an error of the run
 *
 * cast_to says the type of Y: TO_FLOAT, TO_INT64 (floats are truncated), TO_STRING (floats with six decimals). A string
 * that is no number, where a number is wanted, is an error of the run. Of equal keys the last counts.
 */
#include "ops/elementwise/cast_text.h"
#include "ops/heap_sort.h"
#include "ops/ml/map_input.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define TYPES_CAST_VALUES  (TYPE_BIT(NORMA_STRING) | TYPE_BIT(NORMA_FLOAT))
#define TYPES_CAST_RESULTS (TYPE_BIT(NORMA_STRING) | TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_INT64))
#define CAST_MAP_DIGITS    64 /* room for a float with six decimals */

typedef struct cast_map_state {
  norma_element_type type; /* of Y */
  int64_t length;          /* of Y in sparse form; -1: dense */
} cast_map_state;

static norma_status cast_map_read(const node *node, void *opaque, norma_error *error) {
  static const char *const names[] = {"TO_FLOAT", "TO_STRING", "TO_INT64"};
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_STRING, NORMA_INT64};
  cast_map_state *state = opaque;
  const char *cast_to = attribute_string(node, "cast_to", "TO_FLOAT");
  const char *form = attribute_string(node, "map_form", "DENSE");
  state->length = -1;
  if (strcmp(form, "SPARSE") == 0)
    state->length = attribute_int(node, "max_map", 1);
  else if (strcmp(form, "DENSE") != 0)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "map_form '%.40s' is not DENSE or SPARSE", form);
  if (state->length < -1 || (strcmp(form, "SPARSE") == 0 && state->length < 0))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "max_map is %" PRId64, state->length);
  for (int i = 0; i < 3; i++) {
    if (strcmp(cast_to, names[i]) == 0) state->type = types[i];
  }
  if (state->type == NORMA_UNDEFINED)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "cast_to '%.40s' does not exist", cast_to);
  return NORMA_OK;
}

static norma_status cast_map_infer(infer_context *context) {
  const cast_map_state *state = context->state;
  norma_element_type key_type, value_type;
  shape row = shape_make(2, (int64_t[]){1, state->length < 0 ? DIM_UNKNOWN : state->length});
  TRY(infer_map_input(context, TYPE_BIT(NORMA_INT64), TYPES_CAST_VALUES, &key_type, &value_type));
  infer_output(context, 0, state->type, &row);
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ order */

typedef struct cast_map_entry {
  int64_t key, place; /* in the map */
} cast_map_entry;

static int compare_entries(const void *left, const void *right) {
  const cast_map_entry *a = left, *b = right;
  if (a->key != b->key) return a->key < b->key ? -1 : 1;
  return (a->place > b->place) - (a->place < b->place);
}

/* Entries by rising keys, of equal ones the last; *count are left. */
static norma_status sort_entries(run_context *context, const map_input *map, cast_map_entry **sorted, int64_t *count) {
  void *block;
  size_t bytes;
  if (!size_multiply((size_t)map->count, sizeof(cast_map_entry), &bytes))
    return run_fail(context, NORMA_ERROR_BUDGET, "the map is too large");
  TRY(run_allocate_temporary(context, bytes, &block));
  cast_map_entry *entries = *sorted = block;
  for (int64_t i = 0; i < map->count; i++) entries[i] = (cast_map_entry){((const int64_t *)map->keys->data)[i], i};
  heap_sort(entries, (size_t)map->count, sizeof *entries, compare_entries);
  *count = 0;
  for (int64_t i = 0; i < map->count; i++) {
    if (*count > 0 && entries[*count - 1].key == entries[i].key) (*count)--;
    entries[(*count)++] = entries[i];
  }
  return NORMA_OK;
}

static norma_status check_sparse_keys(run_context *context, const cast_map_entry *entries, int64_t count,
                                      int64_t length) {
  if (count == 0) return NORMA_OK;
  const int64_t wrong = entries[0].key < 0 ? entries[0].key : entries[count - 1].key;
  if (wrong < 0 || wrong >= length)
    return run_fail(context, NORMA_ERROR_RUN, "key %" PRId64 " is outside a map of %" PRId64, wrong, length);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

static norma_status cast_map_number(run_context *context, const norma_tensor *values, int64_t from, norma_tensor *y,
                                    int64_t to) {
  if (values->type != NORMA_STRING) {
    element_set_double(y->type, y->data, to, (double)((const float *)values->data)[from]);
    return NORMA_OK;
  }
  const norma_string *text = &((const norma_string *)values->data)[from];
  if (cast_text_to_number(text, y->type, y->data, to)) return NORMA_OK;
  return run_fail(context, NORMA_ERROR_RUN, "\"%.*s\" is no number", text->size > 60 ? 60 : (int)text->size,
                  text->data ? text->data : "");
}

/* The text of a value; numbers are written to `digits`, with a point whatever the program's locale. */
static norma_string cast_map_text(const norma_tensor *values, int64_t place, char digits[CAST_MAP_DIGITS]) {
  if (values->type == NORMA_STRING) return ((const norma_string *)values->data)[place];
  const double number = (double)((const float *)values->data)[place];
  const size_t size = (size_t)snprintf(digits, CAST_MAP_DIGITS, "%.6f", number);
  if (!isfinite(number)) return (norma_string){digits, size};
  const size_t whole = strspn(digits, "-0123456789");
  digits[whole] = '.';
  memmove(digits + whole + 1, digits + size - 6, 6);
  return (norma_string){digits, whole + 7};
}

/* The map that is cast, sorted, and how. */
typedef struct cast_map_job {
  const cast_map_state *state;
  const norma_tensor *values;
  const cast_map_entry *entries;
  int64_t count, length; /* of entries; of Y */
} cast_map_job;

static norma_status count_characters(run_context *context, const cast_map_job *job, size_t *bytes) {
  const norma_string missing = {"0.f", 3};
  char digits[CAST_MAP_DIGITS];
  bool fits = size_multiply((size_t)(job->length - job->count), missing.size, bytes);
  for (int64_t i = 0; fits && i < job->count; i++)
    fits = size_add(*bytes, cast_map_text(job->values, job->entries[i].place, digits).size, bytes);
  return fits ? NORMA_OK : run_fail(context, NORMA_ERROR_BUDGET, "the output is too long");
}

static norma_status write_cast_strings(run_context *context, const cast_map_job *job) {
  const shape row = shape_make(2, (int64_t[]){1, job->length});
  char digits[CAST_MAP_DIGITS], *characters;
  size_t bytes;
  norma_tensor *y;
  TRY(count_characters(context, job, &bytes));
  TRY(run_allocate_strings(context, 0, &row, bytes, &characters, &y));
  for (int64_t i = 0, next = 0; i < job->length; i++) {
    norma_string text = {"0.f", 3};
    if (i % 1024 == 0) TRY(run_poll(context));
    if (next < job->count && (job->state->length < 0 || job->entries[next].key == i))
      text = cast_map_text(job->values, job->entries[next++].place, digits);
    if (text.size) memcpy(characters, text.data, text.size);
    ((norma_string *)y->data)[i] = (norma_string){characters, text.size};
    characters += text.size;
  }
  return NORMA_OK;
}

static norma_status cast_map_compute(run_context *context) {
  const cast_map_state *state = context->state;
  map_input map;
  cast_map_entry *entries = NULL;
  cast_map_job job = {.state = state};
  if (!context->outputs[0]) return NORMA_OK;
  TRY(run_map_input(context, TYPE_BIT(NORMA_INT64), TYPES_CAST_VALUES, NORMA_FLOAT, &map));
  TRY(sort_entries(context, &map, &entries, &job.count));
  if (state->length >= 0) TRY(check_sparse_keys(context, entries, job.count, state->length));
  job.values = map.values;
  job.entries = entries;
  job.length = state->length < 0 ? job.count : state->length;
  if (state->type == NORMA_STRING) return write_cast_strings(context, &job);
  const shape row = shape_make(2, (int64_t[]){1, job.length});
  norma_tensor *y;
  TRY(run_allocate_output(context, 0, state->type, &row, &y));
  if (y->size_bytes) memset(y->data, 0, y->size_bytes);
  for (int64_t i = 0; i < job.count; i++)
    TRY(cast_map_number(context, map.values, entries[i].place, y, state->length < 0 ? i : entries[i].key));
  return NORMA_OK;
}

static const operator_attribute cast_map_attributes[] = {
    {"cast_to", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"map_form", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"max_map", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_cast_map[] = {
    {
        .domain = "ai.onnx.ml",
        .name = "CastMap",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_CAST_RESULTS, 0, OUTPUT(0)}},
        .attributes = cast_map_attributes,
        .state_size = sizeof(cast_map_state),
        .read = cast_map_read,
        .infer = cast_map_infer,
        .compute = cast_map_compute,
    },
    {0},
};
