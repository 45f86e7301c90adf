/*
 * ZipMap 1 (ai.onnx.ml): a sequence of maps, one for each row of X, [N, C] or [C].
 *
 * The keys of all maps are the C labels, int64 or strings; they stand in rising order (strings by their bytes), and of
 * equal labels the last counts. All maps share the memory of their keys, and are parts of one array of values.
 */
#include "ops/heap_sort.h"
#include "ops/ml/class_labels.h"
#include "ops/ml/features.h"

#include <inttypes.h>

typedef struct zip_map_state {
  class_labels keys;       /* in order */
  const int64_t *columns;  /* of X, by key */
  int64_t given;           /* labels, equal ones included */
  norma_tensor key_tensor; /* of the keys; data of the region */
} zip_map_state;

/* ---------------------------------------------------------------------------------------------------------- reading */

typedef struct zip_key {
  norma_string string;
  int64_t number, column;
} zip_key;

static int compare_labels(const zip_key *a, const zip_key *b) {
  if (a->number != b->number) return a->number < b->number ? -1 : 1;
  const size_t shorter = a->string.size < b->string.size ? a->string.size : b->string.size;
  const int order = shorter ? memcmp(a->string.data, b->string.data, shorter) : 0;
  if (order != 0) return order;
  return (a->string.size > b->string.size) - (a->string.size < b->string.size);
}

static int compare_zip_keys(const void *left, const void *right) {
  const zip_key *a = left, *b = right;
  const int order = compare_labels(a, b);
  return order ? order : (a->column > b->column) - (a->column < b->column);
}

/* Sorts the labels and keeps the last of equal ones; returns how many are left. */
static size_t sort_labels(const class_labels *labels, zip_key *keys) {
  size_t kept = 0;
  for (size_t i = 0; i < labels->count; i++) {
    keys[i] = (zip_key){.column = (int64_t)i};
    if (labels->strings)
      keys[i].string = labels->strings[i];
    else
      keys[i].number = labels->ints[i];
  }
  heap_sort(keys, labels->count, sizeof *keys, compare_zip_keys);
  for (size_t i = 0; i < labels->count; i++) {
    if (kept > 0 && compare_labels(&keys[kept - 1], &keys[i]) == 0) kept--;
    keys[kept++] = keys[i];
  }
  return kept;
}

static norma_status zip_map_read(const node *node, void *opaque, norma_error *error) {
  zip_map_state *state = opaque;
  region *region = node->graph->region;
  TRY(class_labels_read(node, "classlabels_int64s", "classlabels_strings", &state->keys, error));
  const class_labels given = state->keys;
  if (given.count == 0) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has no labels");
  zip_key *keys = region_array(region, given.count, sizeof *keys);
  norma_string *strings = region_array(region, given.strings ? given.count : 0, sizeof *strings);
  int64_t *ints = region_array(region, given.ints ? given.count : 0, sizeof *ints);
  int64_t *columns = region_array(region, given.count, sizeof *columns);
  if (!keys || !strings || !ints || !columns) return region_error(region, error);
  const int64_t count = (int64_t)sort_labels(&given, keys);
  for (int64_t i = 0; i < count; i++) {
    columns[i] = keys[i].column;
    if (given.strings)
      strings[i] = keys[i].string;
    else
      ints[i] = keys[i].number;
  }
  state->given = (int64_t)given.count;
  state->columns = columns;
  state->keys = (class_labels){(size_t)count, given.strings ? strings : NULL, given.ints ? ints : NULL};
  norma_tensor_init(&state->key_tensor, class_labels_type(&given), 1, &count, given.strings ? (void *)strings : ints);
  return NORMA_OK;
}

static norma_status zip_map_infer(infer_context *context) {
  const zip_map_state *state = context->state;
  int64_t rows, features;
  value_info *items = region_array(context->region, 2, sizeof *items);
  if (!items) return region_error(context->region, context->error);
  TRY(infer_feature_rows(context, state->given, &rows, &features));
  const shape scalar = shape_of_rank(0);
  items[0] = (value_info){
      .kind = NORMA_VALUE_MAP, .type = class_labels_type(&state->keys), .shape = shape_unknown(), .item = &items[1]};
  items[1] = value_info_tensor(NORMA_FLOAT, &scalar);
  const value_info sequence = {.kind = NORMA_VALUE_SEQUENCE, .shape = shape_unknown(), .item = items};
  infer_output_info(context, 0, &sequence);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* One map for each row of `values`, [rows, keys]. */
static norma_status make_maps(run_context *context, const value *values, int64_t rows) {
  const zip_map_state *state = context->state;
  const int64_t count = (int64_t)state->keys.count;
  const value keys = {.kind = NORMA_VALUE_TENSOR, .tensor = state->key_tensor};
  TRY(run_allocate_list(context, 0, NORMA_VALUE_SEQUENCE, rows));
  for (int64_t row = 0; row < rows; row++) {
    value part = *values;
    if (row % 1024 == 0) TRY(run_poll(context));
    norma_tensor_init(&part.tensor, NORMA_FLOAT, 1, &count, (float *)values->tensor.data + row * count);
    const value *first = row == 0 ? NULL : norma_value_element(context->outputs[0], 0);
    TRY(run_set_map(context, 0, row, first ? norma_value_element(first, 0) : &keys, &part));
  }
  return NORMA_OK;
}

static norma_status zip_map_compute(run_context *context) {
  const zip_map_state *state = context->state;
  const norma_tensor *x = run_input(context, 0);
  const int64_t count = (int64_t)state->keys.count;
  int64_t rows, features;
  value values;
  if (!context->outputs[0]) return NORMA_OK;
  TRY(run_feature_rows(context, state->given, &rows, &features));
  const shape shape = shape_make(2, (int64_t[]){rows, count});
  TRY(run_create_tensor(context, NORMA_FLOAT, &shape, &values));
  for (int64_t row = 0; row < rows; row++) {
    const float *from = (const float *)x->data + row * features;
    float *to = (float *)values.tensor.data + row * count;
    for (int64_t i = 0; i < count; i++) to[i] = from[state->columns[i]];
  }
  const norma_status status = make_maps(context, &values, rows);
  value_clear(&values);
  return status;
}

static const operator_attribute zip_map_attributes[] = {
    {"classlabels_int64s", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"classlabels_strings", ATTRIBUTE_STRINGS, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_zip_map[] = {
    {
        .domain = "ai.onnx.ml",
        .name = "ZipMap",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_FLOAT), INPUT(0), 0}},
        .attributes = zip_map_attributes,
        .state_size = sizeof(zip_map_state),
        .read = zip_map_read,
        .infer = zip_map_infer,
        .compute = zip_map_compute,
    },
    {0},
};
