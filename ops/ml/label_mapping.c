#include "ops/ml/label_mapping.h"

#include "ops/work.h"

#include <math.h>

#define LABEL_GRAIN 2048 /* elements of one piece */

/* ------------------------------------------------------------------------------------------------------------ lists */

static norma_status read_label_tensor(const node *node, const char *name, type_mask types, label_list *list,
                                      norma_error *error) {
  const value *given = attribute_tensor(node, name);
  if (!given) return NORMA_OK;
  const norma_tensor *tensor = &given->tensor;
  if (!(TYPE_BIT(tensor->type) & types))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s is of type %s", name,
                         norma_element_type_name(tensor->type));
  if (tensor->rank > 1)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s has rank %d", name, tensor->rank);
  *list = (label_list){tensor->type, (size_t)norma_tensor_count(tensor), tensor->data};
  return NORMA_OK;
}

norma_status label_list_read(const node *node, const label_names *names, type_mask types, label_list *list,
                             norma_error *error) {
  size_t ints = 0, floats = 0, strings = 0;
  const int64_t *int_list = names->ints ? attribute_ints(node, names->ints, &ints) : NULL;
  const float *float_list = names->floats ? attribute_floats(node, names->floats, &floats) : NULL;
  const norma_string *string_list = names->strings ? attribute_strings(node, names->strings, &strings) : NULL;
  *list = (label_list){.type = NORMA_UNDEFINED};
  if (names->tensor) TRY(read_label_tensor(node, names->tensor, types, list, error));
  const int lists = (ints > 0) + (floats > 0) + (strings > 0) + (list->type != NORMA_UNDEFINED);
  if (lists > 1)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has more than one of %s, %s and others like them",
                         names->ints, names->strings);
  if (ints > 0) *list = (label_list){NORMA_INT64, ints, int_list};
  if (floats > 0) *list = (label_list){NORMA_FLOAT, floats, float_list};
  if (strings > 0) *list = (label_list){NORMA_STRING, strings, string_list};
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------- keys */

/* An element as a word, so that elements are equal as keys where their words are. */
static uint64_t label_word(const label_mapping *mapping, norma_element_type type, const void *data, int64_t index) {
  double number;
  uint64_t word = 0;
  switch (type) {
  case NORMA_FLOAT:
    if (mapping->by_bits) {
      memcpy(&word, (const float *)data + index, sizeof(float));
      return word;
    }
    number = (double)((const float *)data)[index];
    break;
  case NORMA_DOUBLE:
    number = ((const double *)data)[index];
    break;
  default:
    return (uint64_t)element_get_int64(type, data, index);
  }
  if (isnan(number)) return UINT64_MAX; /* whatever its bits: all ones are a NaN too */
  if (number == 0) number = 0;          /* -0 is 0 */
  memcpy(&word, &number, sizeof word);
  return word;
}

norma_status label_mapping_make(const node *node, label_mapping *mapping, const label_list *keys, key_order order,
                                norma_error *error) {
  region *region = node->graph->region;
  mapping->key_type = keys->type;
  if (keys->type == NORMA_STRING)
    return key_table_of_strings(&mapping->keys, region, keys->data, keys->count, order, error);
  uint64_t *words = region_array(region, keys->count, sizeof *words);
  if (!words) return region_error(region, error);
  for (size_t i = 0; i < keys->count; i++) words[i] = label_word(mapping, keys->type, keys->data, (int64_t)i);
  return key_table_of_words(&mapping->keys, region, words, keys->count, order, error);
}

/* ---------------------------------------------------------------------------------------------------------- finding */

static const label_mapping *choose_mapping(const label_mapping *mappings, norma_element_type type) {
  for (int i = 0; i < 2; i++) {
    if (mappings[i].key_type == type) return &mappings[i];
  }
  return NULL;
}

norma_status label_mapping_infer(infer_context *context) {
  const label_mapping *mappings = context->state;
  const norma_element_type type = infer_type(context, 0);
  const label_mapping *mapping = choose_mapping(mappings, type);
  if (type != NORMA_UNDEFINED && !mapping)
    return infer_fail(context, "has no keys of type %s", norma_element_type_name(type));
  const bool is_open = type == NORMA_UNDEFINED && mappings[1].key_type != NORMA_UNDEFINED;
  if (type == NORMA_UNDEFINED) mapping = &mappings[0];
  infer_output(context, 0, is_open ? NORMA_UNDEFINED : mapping->values.type, infer_shape(context, 0));
  return NORMA_OK;
}

typedef struct label_work {
  const label_mapping *mapping;
  const norma_tensor *x;
  int32_t *found; /* for strings: the index of each element's value; -1: none */
  void *y;        /* for numbers */
} label_work;

static int64_t find_label(const label_work *work, int64_t index) {
  const label_mapping *mapping = work->mapping;
  if (work->x->type == NORMA_STRING) {
    const norma_string *text = &((const norma_string *)work->x->data)[index];
    return key_table_find_string(&mapping->keys, text->data, text->size);
  }
  const uint64_t word = label_word(mapping, work->x->type, work->x->data, index);
  if (mapping->counts) return word < mapping->values.count ? (int64_t)word : -1;
  return key_table_find_word(&mapping->keys, word);
}

#define MAP_LABELS(type, member)                                                                                       \
  for (int64_t i = begin; i < end; i++) {                                                                              \
    const int64_t at = find_label(work, i);                                                                            \
    ((type *)work->y)[i] = at < 0 ? work->mapping->otherwise.member : ((const type *)work->mapping->values.data)[at];  \
  }

static void label_body(void *argument, int64_t begin, int64_t end, int worker) {
  const label_work *work = argument;
  (void)worker;
  switch (work->mapping->values.type) {
  case NORMA_INT64:
    MAP_LABELS(int64_t, int64)
    break;
  case NORMA_INT32:
    MAP_LABELS(int32_t, int32)
    break;
  case NORMA_INT16:
    MAP_LABELS(int16_t, int16)
    break;
  case NORMA_FLOAT:
    MAP_LABELS(float, float32)
    break;
  case NORMA_DOUBLE:
    MAP_LABELS(double, float64)
    break;
  default:
    for (int64_t i = begin; i < end; i++) work->found[i] = (int32_t)find_label(work, i);
    break;
  }
}

/* ---------------------------------------------------------------------------------------------------------- compute */

static norma_status write_label_strings(run_context *context, const label_work *work) {
  const label_mapping *mapping = work->mapping;
  const norma_string *values = mapping->values.data;
  const shape shape = shape_of_tensor(work->x);
  const int64_t count = norma_tensor_count(work->x);
  size_t bytes = 0;
  char *characters;
  norma_tensor *y;
  for (int64_t i = 0; i < count; i++) {
    const size_t size = work->found[i] < 0 ? mapping->otherwise.string.size : values[work->found[i]].size;
    if (!size_add(bytes, size, &bytes)) return run_fail(context, NORMA_ERROR_BUDGET, "the strings are too long");
  }
  TRY(run_allocate_strings(context, 0, &shape, bytes, &characters, &y));
  for (int64_t i = 0; i < count; i++) {
    const norma_string *value = work->found[i] < 0 ? &mapping->otherwise.string : &values[work->found[i]];
    if (i % LABEL_GRAIN == 0) TRY(run_poll(context));
    if (value->size) memcpy(characters, value->data, value->size);
    ((norma_string *)y->data)[i] = (norma_string){characters, value->size};
    characters += value->size;
  }
  return NORMA_OK;
}

norma_status label_mapping_compute(run_context *context) {
  const norma_tensor *x = run_input(context, 0);
  label_work work = {.mapping = choose_mapping(context->state, x->type), .x = x};
  const int64_t count = norma_tensor_count(x);
  if (!context->outputs[0]) return NORMA_OK;
  if (!work.mapping)
    return run_fail(context, NORMA_ERROR_RUN, "has no keys of type %s", norma_element_type_name(x->type));
  if (work.mapping->values.type != NORMA_STRING) {
    work.y = run_output(context, 0)->data;
    return run_parallel(context, count, LABEL_GRAIN, label_body, &work);
  }
  void *found;
  TRY(run_allocate_temporary(context, (size_t)count * sizeof *work.found, &found));
  work.found = found;
  TRY(run_parallel(context, count, LABEL_GRAIN, label_body, &work));
  return write_label_strings(context, &work);
}
