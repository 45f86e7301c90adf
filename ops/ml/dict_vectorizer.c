/*
 * DictVectorizer 1 (ai.onnx.ml): the values of a map as a row, [1, V]: Y[0][i] belongs to the i-th key of the
 * vocabulary.
 *
 * Keys are int64 or strings, as the vocabulary; values int64, float, double or strings (never both of a type). Keys
 * that the map lacks give 0 or the empty string; keys that the vocabulary lacks are left out. The definition calls Y a
 * vector; the models that are written expect a row, as other operators of ai.onnx.ml give it.
 */
#include "ops/key_table.h"
#include "ops/ml/class_labels.h"
#include "ops/ml/map_input.h"

#define TYPES_DICT_KEYS (TYPE_BIT(NORMA_INT64) | TYPE_BIT(NORMA_STRING))
#define TYPES_DICT_VALUES                                                                                              \
  (TYPE_BIT(NORMA_INT64) | TYPE_BIT(NORMA_STRING) | TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_DOUBLE))

typedef struct dict_vectorizer_state {
  class_labels vocabulary;
  key_table table;     /* finds the first of equal keys */
  const int64_t *next; /* the next key that is equal, or -1 */
} dict_vectorizer_state;

static int64_t find_in_vocabulary(const dict_vectorizer_state *state, const norma_tensor *keys, int64_t index) {
  if (keys->type == NORMA_INT64) return key_table_find_word(&state->table, ((const uint64_t *)keys->data)[index]);
  const norma_string *text = &((const norma_string *)keys->data)[index];
  return key_table_find_string(&state->table, text->data, text->size);
}

/* Chains equal keys together, so that each gets the value. */
static norma_status chain_equal_keys(const node *node, dict_vectorizer_state *state, norma_error *error) {
  const class_labels *vocabulary = &state->vocabulary;
  const size_t count = vocabulary->count;
  int64_t *next = region_array(node->graph->region, count, sizeof *next);
  int64_t *last = region_array(node->graph->region, state->table.has_equal ? count : 0, sizeof *last);
  if (!next || !last) return region_error(node->graph->region, error);
  for (size_t i = 0; i < count; i++) {
    next[i] = -1;
    if (!state->table.has_equal) continue;
    const int64_t first = vocabulary->strings ? key_table_find_string(&state->table, vocabulary->strings[i].data,
                                                                      vocabulary->strings[i].size)
                                              : key_table_find_word(&state->table, (uint64_t)vocabulary->ints[i]);
    if (first != (int64_t)i) next[last[first]] = (int64_t)i;
    last[first] = (int64_t)i;
  }
  state->next = next;
  return NORMA_OK;
}

static norma_status dict_vectorizer_read(const node *node, void *opaque, norma_error *error) {
  dict_vectorizer_state *state = opaque;
  region *region = node->graph->region;
  const class_labels *vocabulary = &state->vocabulary;
  TRY(class_labels_read(node, "int64_vocabulary", "string_vocabulary", &state->vocabulary, error));
  if (vocabulary->count == 0) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has no vocabulary");
  if (vocabulary->strings)
    TRY(key_table_of_strings(&state->table, region, vocabulary->strings, vocabulary->count, KEY_FIRST, error));
  else
    TRY(key_table_of_words(&state->table, region, (const uint64_t *)vocabulary->ints, vocabulary->count, KEY_FIRST,
                           error));
  return chain_equal_keys(node, state, error);
}

static norma_status dict_vectorizer_infer(infer_context *context) {
  const dict_vectorizer_state *state = context->state;
  norma_element_type key_type, value_type;
  const shape row = shape_make(2, (int64_t[]){1, (int64_t)state->vocabulary.count});
  TRY(infer_map_input(context, TYPE_BIT(class_labels_type(&state->vocabulary)), TYPES_DICT_VALUES, &key_type,
                      &value_type));
  if (key_type != NORMA_UNDEFINED && key_type == value_type)
    return infer_fail(context, "takes no map from %s to %s", norma_element_type_name(key_type),
                      norma_element_type_name(value_type));
  const shape unknown = shape_unknown(); /* while a map is there, nothing is known of its values */
  infer_output(context, 0, value_type, value_type == NORMA_UNDEFINED ? &unknown : &row);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

#define FILL_DICT(type)                                                                                                \
  for (int64_t i = 0; i < count; i++)                                                                                  \
  ((type *)y->data)[i] = places[i] < 0 ? 0 : ((const type *)map->values->data)[places[i]]

static norma_status write_dict_strings(run_context *context, const map_input *map, const int64_t *places,
                                       int64_t count) {
  const norma_string *values = map->values->data;
  const shape row = shape_make(2, (int64_t[]){1, count});
  size_t bytes = 0;
  char *characters;
  norma_tensor *y;
  for (int64_t i = 0; i < count; i++) {
    if (places[i] >= 0 && !size_add(bytes, values[places[i]].size, &bytes))
      return run_fail(context, NORMA_ERROR_BUDGET, "the strings are too long");
  }
  TRY(run_allocate_strings(context, 0, &row, bytes, &characters, &y));
  for (int64_t i = 0; i < count; i++) {
    if (places[i] < 0 || values[places[i]].size == 0) continue;
    memcpy(characters, values[places[i]].data, values[places[i]].size);
    ((norma_string *)y->data)[i] = (norma_string){characters, values[places[i]].size};
    characters += values[places[i]].size;
  }
  return NORMA_OK;
}

static norma_status write_dict(run_context *context, const map_input *map, const int64_t *places, int64_t count) {
  const shape row = shape_make(2, (int64_t[]){1, count});
  norma_tensor *y;
  if (map->values->type == NORMA_STRING) return write_dict_strings(context, map, places, count);
  TRY(run_allocate_output(context, 0, map->values->type, &row, &y));
  if (y->type == NORMA_FLOAT)
    FILL_DICT(float);
  else if (y->type == NORMA_DOUBLE)
    FILL_DICT(double);
  else
    FILL_DICT(int64_t);
  return NORMA_OK;
}

static norma_status dict_vectorizer_compute(run_context *context) {
  const dict_vectorizer_state *state = context->state;
  const int64_t count = (int64_t)state->vocabulary.count;
  map_input map;
  void *block;
  if (!context->outputs[0]) return NORMA_OK;
  const graph_value *output = context->node->outputs[0];
  const norma_element_type otherwise = output->info.type == NORMA_UNDEFINED ? NORMA_FLOAT : output->info.type;
  TRY(run_map_input(context, TYPE_BIT(class_labels_type(&state->vocabulary)), TYPES_DICT_VALUES, otherwise, &map));
  if (map.keys->type == map.values->type) return run_fail(context, NORMA_ERROR_RUN, "keys and values have one type");
  TRY(run_allocate_temporary(context, (size_t)count * sizeof(int64_t), &block));
  int64_t *places = block; /* of the value for each key of the vocabulary, in the map */
  for (int64_t i = 0; i < count; i++) places[i] = -1;
  for (int64_t i = 0; i < map.count; i++) {
    for (int64_t at = find_in_vocabulary(state, map.keys, i); at >= 0; at = state->next[at]) places[at] = i;
  }
  return write_dict(context, &map, places, count);
}

static const operator_attribute dict_vectorizer_attributes[] = {
    {"int64_vocabulary", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"string_vocabulary", ATTRIBUTE_STRINGS, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_dict_vectorizer[] = {
    {
        .domain = "ai.onnx.ml",
        .name = "DictVectorizer",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_DICT_VALUES, 0, OUTPUT(0)}},
        .attributes = dict_vectorizer_attributes,
        .state_size = sizeof(dict_vectorizer_state),
        .read = dict_vectorizer_read,
        .infer = dict_vectorizer_infer,
        .compute = dict_vectorizer_compute,
    },
    {0},
};
