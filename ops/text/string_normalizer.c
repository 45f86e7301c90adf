/*
 * StringNormalizer 10: leaves out stop words, and changes the case of what is left.
 *
 * X is [C] or [1, C] in UTF-8, and so is Y, with as many strings as are left, or one empty string where none is. Unless
 * is_case_sensitive, strings and stop words are compared in the case that case_change_action asks for, and in lower
 * case where it asks for none. Of `locale` only the language counts, and of languages only those whose letters differ
 * from all others' (unicode.h). Strings that are not UTF-8 are an error of the run where case matters.
 */
#include "ops/key_table.h"
#include "ops/operator.h"
#include "ops/text/unicode.h"

#include <inttypes.h>

typedef struct string_normalizer_state {
  const char *language;
  bool compares_changed, writes_changed; /* strings in the other case, not as they are */
  bool is_upper;                         /* the other case */
  key_table stopwords;
} string_normalizer_state;

/* ------------------------------------------------------------------------------------------------------------- case */

/* ASCII at the begin of a text, in languages where it has no other case than its own; returns its bytes. */
static size_t change_ascii(const string_normalizer_state *state, const unicode_case *table, const char *text,
                           size_t size, char *to) {
  const size_t count = table->is_turkic ? 0 : utf8_ascii(text, size);
  const unsigned char first = state->is_upper ? 'a' : 'A';
  for (size_t i = 0; i < count && to; i++) {
    const unsigned char letter = (unsigned char)text[i];
    to[i] = (char)(letter ^ ((unsigned char)(letter - first) < 26 ? 0x20 : 0));
  }
  return count;
}

/* The size of a string in the other case, and the string itself at `to` unless that is NULL. */
static norma_status change_case(const string_normalizer_state *state, unicode_case *table, const norma_string *text,
                                char *to, size_t *size) {
  *size = text->size ? change_ascii(state, table, text->data, text->size, to) : 0;
  for (size_t at = *size; at < text->size;) {
    uint32_t character, other;
    char bytes[4];
    const int step = utf8_decode(text->data + at, text->size - at, &character);
    if (step == 0) return NORMA_ERROR_INPUT;
    if (!(state->is_upper ? unicode_upper : unicode_lower)(table, character, &other)) return NORMA_ERROR_UNSUPPORTED;
    const size_t count = (size_t)utf8_encode(other, bytes);
    if (to) memcpy(to + *size, bytes, count);
    *size += count;
    at += (size_t)step;
  }
  return NORMA_OK;
}

static const char *case_reason(norma_status status) {
  return status == NORMA_ERROR_INPUT ? "is not UTF-8" : "beyond ASCII needs the C library's locale C.UTF-8";
}

/* ------------------------------------------------------------------------------------------------------------- read */

static norma_status change_stopwords(const node *node, const string_normalizer_state *state, norma_string *words,
                                     size_t count, norma_error *error) {
  region *region = node->graph->region;
  unicode_case table;
  norma_status status = NORMA_OK;
  unicode_case_init(&table, state->language);
  for (size_t i = 0; i < count && status == NORMA_OK; i++) {
    char *changed = NULL;
    size_t size;
    status = change_case(state, &table, &words[i], NULL, &size);
    if (status == NORMA_OK && !(changed = region_allocate(region, size + 1))) status = region_error(region, error);
    if (status == NORMA_ERROR_INPUT || status == NORMA_ERROR_UNSUPPORTED)
      status = error_at_node(error, status == NORMA_ERROR_INPUT ? NORMA_ERROR_INVALID_MODEL : status, node,
                             "stop word %zu %s", i, case_reason(status));
    if (status == NORMA_OK) status = change_case(state, &table, &words[i], changed, &size);
    words[i] = (norma_string){changed, size};
  }
  unicode_case_close(&table);
  return status;
}

static norma_status string_normalizer_read(const node *node, void *opaque, norma_error *error) {
  string_normalizer_state *state = opaque;
  const char *action = attribute_string(node, "case_change_action", "NONE");
  const bool is_sensitive = attribute_int(node, "is_case_sensitive", 0) != 0;
  size_t count;
  const norma_string *given = attribute_strings(node, "stopwords", &count);
  state->language = attribute_string(node, "locale", "en_US");
  state->is_upper = strcmp(action, "UPPER") == 0;
  state->writes_changed = state->is_upper || strcmp(action, "LOWER") == 0;
  if (!state->writes_changed && strcmp(action, "NONE") != 0)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "case_change_action '%.40s' does not exist", action);
  state->compares_changed = !is_sensitive && count > 0;
  norma_string *words = region_array(node->graph->region, count, sizeof *words);
  if (!words) return region_error(node->graph->region, error);
  if (count) memcpy(words, given, count * sizeof *words);
  if (state->compares_changed) TRY(change_stopwords(node, state, words, count, error));
  return key_table_of_strings(&state->stopwords, node->graph->region, words, count, KEY_FIRST, error);
}

static norma_status string_normalizer_infer(infer_context *context) {
  const string_normalizer_state *state = context->state;
  const shape *x = infer_shape(context, 0);
  shape result = *x;
  char text[200];
  if (x->rank != RANK_UNKNOWN && x->rank != 1 && !(x->rank == 2 && (x->dims[0] == 1 || x->dims[0] == DIM_UNKNOWN)))
    return infer_fail(context, "X is %s, and must be [C] or [1, C]", shape_text(x, text, sizeof text));
  if (x->rank == 2) result.dims[0] = 1;
  if (x->rank > 0 && (state->stopwords.count > 0 || result.dims[x->rank - 1] == 0))
    result.dims[x->rank - 1] = DIM_UNKNOWN;
  infer_output(context, 0, NORMA_STRING, &result);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* The strings in the other case, in memory of this step. */
static norma_status change_strings(run_context *context, unicode_case *table, const norma_string **changed) {
  const string_normalizer_state *state = context->state;
  const norma_string *x = run_input(context, 0)->data;
  const int64_t count = norma_tensor_count(run_input(context, 0));
  size_t bytes, size;
  void *block;
  if (!size_multiply((size_t)count, sizeof(norma_string), &bytes))
    return run_fail(context, NORMA_ERROR_BUDGET, "the input is too large");
  for (int64_t i = 0; i < count; i++) {
    const norma_status status = change_case(state, table, &x[i], NULL, &size);
    if (i % 1024 == 0) TRY(run_poll(context));
    if (status != NORMA_OK)
      return run_fail(context, status == NORMA_ERROR_INPUT ? NORMA_ERROR_RUN : status, "string %" PRId64 " %s", i,
                      case_reason(status));
    if (!size_add(bytes, size, &bytes)) return run_fail(context, NORMA_ERROR_BUDGET, "the input is too long");
  }
  TRY(run_allocate_temporary(context, bytes, &block));
  norma_string *strings = block;
  char *characters = (char *)(strings + count);
  for (int64_t i = 0; i < count; i++) {
    if (i % 1024 == 0) TRY(run_poll(context));
    TRY(change_case(state, table, &x[i], characters, &size));
    strings[i] = (norma_string){characters, size};
    characters += size;
  }
  *changed = strings;
  return NORMA_OK;
}

static norma_status write_left(run_context *context, const norma_string *strings, const int64_t *left, int64_t count) {
  shape result = shape_of_tensor(run_input(context, 0));
  size_t bytes = 0;
  char *characters;
  norma_tensor *y;
  result.dims[result.rank - 1] = count > 0 ? count : 1;
  for (int64_t i = 0; i < count; i++) {
    if (!size_add(bytes, strings[left[i]].size, &bytes))
      return run_fail(context, NORMA_ERROR_BUDGET, "the output is too long");
  }
  TRY(run_allocate_strings(context, 0, &result, bytes, &characters, &y));
  norma_string *written = y->data;
  if (count == 0) written[0] = (norma_string){NULL, 0};
  for (int64_t i = 0; i < count; i++) {
    const norma_string *from = &strings[left[i]];
    if (from->size) memcpy(characters, from->data, from->size);
    written[i] = (norma_string){from->size ? characters : NULL, from->size};
    characters += from->size;
  }
  return NORMA_OK;
}

static norma_status normalize_strings(run_context *context, unicode_case *table) {
  const string_normalizer_state *state = context->state;
  const norma_tensor *x = run_input(context, 0);
  const norma_string *given = x->data, *changed = NULL;
  const int64_t count = norma_tensor_count(x);
  int64_t left_count = 0;
  size_t bytes;
  void *block;
  if (!size_multiply((size_t)count, sizeof(int64_t), &bytes))
    return run_fail(context, NORMA_ERROR_BUDGET, "the input is too large");
  TRY(run_allocate_temporary(context, bytes, &block));
  int64_t *left = block;
  if (state->compares_changed || state->writes_changed) TRY(change_strings(context, table, &changed));
  const norma_string *compared = state->compares_changed ? changed : given;
  for (int64_t i = 0; i < count; i++) {
    if (i % 1024 == 0) TRY(run_poll(context));
    if (key_table_find_string(&state->stopwords, compared[i].data, compared[i].size) < 0) left[left_count++] = i;
  }
  return write_left(context, state->writes_changed ? changed : given, left, left_count);
}

static norma_status string_normalizer_compute(run_context *context) {
  const string_normalizer_state *state = context->state;
  const norma_tensor *x = run_input(context, 0);
  unicode_case table;
  if (!context->outputs[0]) return NORMA_OK;
  if (x->rank != 1 && !(x->rank == 2 && x->dims[0] == 1))
    return run_fail(context, NORMA_ERROR_RUN, "X must be [C] or [1, C]");
  unicode_case_init(&table, state->language);
  const norma_status status = normalize_strings(context, &table);
  unicode_case_close(&table);
  return status;
}

static const operator_attribute string_normalizer_attributes[] = {
    {"case_change_action", ATTRIBUTE_STRING, 10, OPERATOR_LATEST, false},
    {"is_case_sensitive", ATTRIBUTE_INT, 10, OPERATOR_LATEST, false},
    {"locale", ATTRIBUTE_STRING, 10, OPERATOR_LATEST, false},
    {"stopwords", ATTRIBUTE_STRINGS, 10, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_string_normalizer[] = {
    {
        .domain = "",
        .name = "StringNormalizer",
        .versions = {10},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_STRING), INPUT(0), OUTPUT(0)}},
        .attributes = string_normalizer_attributes,
        .state_size = sizeof(string_normalizer_state),
        .read = string_normalizer_read,
        .infer = string_normalizer_infer,
        .compute = string_normalizer_compute,
    },
    {0},
};
