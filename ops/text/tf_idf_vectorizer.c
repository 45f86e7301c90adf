/*
 * TfIdfVectorizer 9: how often n-grams of a fixed pool are in each row of X (strings, int32, int64).
 *
 *   X [C] -> Y [M], X [N, C] -> Y [N, M], with M = max(ngram_indexes) + 1; n-gram i of the pool counts at
 *   ngram_indexes[i]
 *   mode TF     the count
 *   mode TFIDF  the count times the n-gram's weight
 *   mode IDF    the weight of an n-gram that is there
 *
 * An n-gram is made of n = min_gram_length to max_gram_length items that lie 1 to max_skip_count + 1 apart, all by the
 * same distance; single items count once. Where n-grams share a place in Y their counts add up, and of their weights in
 * mode IDF the last that is found stays: rows are gone through once for each distance, and from each item with rising
 * n.
 *
 * The pool is a tree: a node for each begin of an n-gram, found by the node before it and the item that follows.
 */
#include "ops/key_table.h"
#include "ops/work.h"

#include <inttypes.h>

#define TF_IDF_GRAIN 4 /* rows of one piece */

typedef enum tf_idf_mode { MODE_TF, MODE_IDF, MODE_TFIDF } tf_idf_mode;

typedef struct gram_node {
  int64_t place; /* in a row of Y; -1: no n-gram ends here */
  float weight;
  bool has_children;
} gram_node;

typedef struct gram_edge {
  uint64_t key;   /* the node above and the item */
  uint32_t child; /* 0: the slot is free; node 0 is the root */
} gram_edge;

typedef struct tf_idf_state {
  tf_idf_mode mode;
  int64_t least, most, distances; /* lengths; distances between items */
  int64_t width;                  /* of Y */
  bool has_strings;
  key_table items; /* of the pool */
  size_t node_count;
  gram_node *nodes;
  size_t edge_mask;
  gram_edge *edges;
  uint32_t *first_nodes; /* by item: what lies below the root, of the edges too */
} tf_idf_state;

/* ------------------------------------------------------------------------------------------------------------- tree */

/* The slot of an edge, free or not. */
static gram_edge *gram_slot(const tf_idf_state *state, uint32_t node, uint32_t item) {
  const uint64_t key = (uint64_t)node << 32 | item;
  size_t slot = key_hash_words(key, 0) & state->edge_mask;
  while (state->edges[slot].child && state->edges[slot].key != key) slot = (slot + 1) & state->edge_mask;
  return &state->edges[slot];
}

/* Adds the n-gram of items first .. first + size - 1 of the pool. false: it is there already. */
static bool add_gram(tf_idf_state *state, const uint32_t *pool, int64_t size, int64_t place, float weight) {
  uint32_t node = 0;
  for (int64_t i = 0; i < size; i++) {
    gram_edge *edge = gram_slot(state, node, pool[i]);
    if (!edge->child) {
      *edge = (gram_edge){(uint64_t)node << 32 | pool[i], (uint32_t)state->node_count};
      state->nodes[state->node_count++] = (gram_node){.place = -1};
      state->nodes[node].has_children = true;
    }
    node = edge->child;
  }
  if (state->nodes[node].place >= 0) return false;
  state->nodes[node].place = place;
  state->nodes[node].weight = weight;
  return true;
}

/* ------------------------------------------------------------------------------------------------------------- read */

/* What the attributes say about the pool. */
typedef struct gram_pool {
  const int64_t *ints;
  const norma_string *strings;
  const int64_t *starts, *places;
  const float *weights;
  size_t size, start_count, place_count, weight_count;
} gram_pool;

static norma_status tf_idf_wrong(const node *node, norma_error *error, const char *reason) {
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s", reason);
}

static norma_status read_lengths(const node *node, tf_idf_state *state, norma_error *error) {
  static const char *const modes[] = {"TF", "IDF", "TFIDF"};
  const char *mode = attribute_string(node, "mode", "");
  const int64_t skips = attribute_int(node, "max_skip_count", 0);
  int found = -1;
  for (int i = 0; i < 3; i++) {
    if (strcmp(mode, modes[i]) == 0) found = i;
  }
  if (found < 0) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "mode '%.40s' does not exist", mode);
  state->mode = (tf_idf_mode)found;
  state->least = attribute_int(node, "min_gram_length", 1);
  state->most = attribute_int(node, "max_gram_length", 1);
  if (state->least < 1 || state->most < state->least)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                         "min_gram_length is %" PRId64 " and max_gram_length %" PRId64, state->least, state->most);
  if (skips < 0 || skips > INT32_MAX)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "max_skip_count is %" PRId64, skips);
  state->distances = skips + 1;
  return NORMA_OK;
}

static norma_status read_pool(const node *node, tf_idf_state *state, gram_pool *pool, norma_error *error) {
  size_t ints, strings;
  pool->ints = attribute_ints(node, "pool_int64s", &ints);
  pool->strings = attribute_strings(node, "pool_strings", &strings);
  pool->starts = attribute_ints(node, "ngram_counts", &pool->start_count);
  pool->places = attribute_ints(node, "ngram_indexes", &pool->place_count);
  pool->weights = attribute_floats(node, "weights", &pool->weight_count);
  /* Lists without elements are as absent ones. */
  if (ints == 0) pool->ints = NULL;
  if (strings == 0) pool->strings = NULL;
  if (pool->weight_count == 0) pool->weights = NULL;
  pool->size = ints + strings;
  state->has_strings = strings > 0;
  if ((ints > 0) == (strings > 0)) return tf_idf_wrong(node, error, "wants pool_int64s or pool_strings, and not both");
  if (pool->size >= UINT32_MAX / 4) return tf_idf_wrong(node, error, "the pool is too large");
  if (pool->start_count < (size_t)state->most || pool->place_count == 0)
    return tf_idf_wrong(node, error, "ngram_counts has fewer than max_gram_length entries, or ngram_indexes none");
  if (pool->weight_count > 0 && pool->weight_count != pool->place_count)
    return tf_idf_wrong(node, error, "weights has not as many entries as ngram_indexes");
  for (size_t i = 0; i < pool->place_count; i++) {
    if (pool->places[i] < 0 || pool->places[i] == INT64_MAX)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "ngram_indexes[%zu] is %" PRId64, i,
                           pool->places[i]);
    if (pool->places[i] >= state->width) state->width = pool->places[i] + 1;
  }
  return NORMA_OK;
}

/* The items of the pool by their numbers: equal items have that of the first of them. */
static norma_status number_items(const node *node, tf_idf_state *state, const gram_pool *pool, uint32_t *numbers,
                                 norma_error *error) {
  region *region = node->graph->region;
  if (pool->strings) {
    TRY(key_table_of_strings(&state->items, region, pool->strings, pool->size, KEY_FIRST, error));
  } else {
    uint64_t *words = region_array(region, pool->size, sizeof *words);
    if (!words) return region_error(region, error);
    for (size_t i = 0; i < pool->size; i++) words[i] = (uint64_t)pool->ints[i];
    TRY(key_table_of_words(&state->items, region, words, pool->size, KEY_FIRST, error));
  }
  for (size_t i = 0; i < pool->size; i++) {
    const norma_string *text = pool->strings ? &pool->strings[i] : NULL;
    numbers[i] = (uint32_t)(text ? key_table_find_string(&state->items, text->data, text->size)
                                 : key_table_find_word(&state->items, (uint64_t)pool->ints[i]));
  }
  return NORMA_OK;
}

static norma_status make_tree(const node *node, tf_idf_state *state, const gram_pool *pool, const uint32_t *numbers,
                              norma_error *error) {
  region *region = node->graph->region;
  size_t slots = 16, gram = 0;
  while (slots < 2 * pool->size) slots *= 2;
  state->edges = region_array(region, slots, sizeof *state->edges);
  state->nodes = region_array(region, pool->size + 1, sizeof *state->nodes);
  state->first_nodes = region_array(region, pool->size, sizeof *state->first_nodes);
  if (!state->edges || !state->nodes || !state->first_nodes) return region_error(region, error);
  state->edge_mask = slots - 1;
  state->nodes[state->node_count++] = (gram_node){.place = -1};
  for (size_t length = 1; length <= pool->start_count; length++) {
    const int64_t begin = pool->starts[length - 1];
    const int64_t end = length < pool->start_count ? pool->starts[length] : (int64_t)pool->size;
    if (begin < 0 || end < begin || end > (int64_t)pool->size || (size_t)(end - begin) % length != 0)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                           "ngram_counts says that %zu-grams are items %" PRId64 " to %" PRId64 " of %zu", length,
                           begin, end, pool->size);
    for (int64_t at = begin; at < end; at += (int64_t)length, gram++) {
      if (gram >= pool->place_count) return tf_idf_wrong(node, error, "ngram_indexes is shorter than the pool");
      if ((int64_t)length < state->least || (int64_t)length > state->most) continue;
      const float weight = state->mode != MODE_TF && pool->weights ? pool->weights[gram] : 1;
      if (!add_gram(state, numbers + at, (int64_t)length, pool->places[gram], weight))
        return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "n-gram %zu is in the pool twice", gram);
    }
  }
  for (uint32_t item = 0; item < pool->size; item++) state->first_nodes[item] = gram_slot(state, 0, item)->child;
  return gram == pool->place_count ? NORMA_OK : tf_idf_wrong(node, error, "ngram_indexes is longer than the pool");
}

static norma_status tf_idf_read(const node *node, void *opaque, norma_error *error) {
  tf_idf_state *state = opaque;
  gram_pool pool;
  TRY(read_lengths(node, state, error));
  TRY(read_pool(node, state, &pool, error));
  uint32_t *numbers = region_array(node->graph->region, pool.size, sizeof *numbers);
  if (!numbers) return region_error(node->graph->region, error);
  TRY(number_items(node, state, &pool, numbers, error));
  return make_tree(node, state, &pool, numbers, error);
}

static norma_status tf_idf_infer(infer_context *context) {
  const tf_idf_state *state = context->state;
  const norma_element_type type = infer_type(context, 0);
  const shape *x = infer_shape(context, 0);
  shape y = shape_unknown();
  if (type != NORMA_UNDEFINED && (type == NORMA_STRING) != state->has_strings)
    return infer_fail(context, "X is of type %s, and the pool is of %s", norma_element_type_name(type),
                      state->has_strings ? "strings" : "integers");
  if (x->rank > 2) return infer_fail(context, "X has rank %d, and must be [C] or [N, C]", x->rank);
  if (x->rank == 2)
    y = shape_make(2, (int64_t[]){x->dims[0], state->width});
  else if (x->rank != RANK_UNKNOWN)
    y = shape_make(1, &state->width);
  infer_output(context, 0, NORMA_FLOAT, &y);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

#define ITEM_UNKNOWN UINT32_MAX

typedef struct tf_idf_job {
  const run_context *context;
  const tf_idf_state *state;
  const norma_tensor *x;
  float *y;
  uint32_t *numbers; /* of the items of X */
  int64_t length;    /* of a row of X */
} tf_idf_job;

static uint32_t item_number(const tf_idf_job *job, int64_t index) {
  const key_table *items = &job->state->items;
  int64_t found;
  if (job->x->type == NORMA_STRING) {
    const norma_string *text = &((const norma_string *)job->x->data)[index];
    found = key_table_find_string(items, text->data, text->size);
  } else {
    found = key_table_find_word(items, (uint64_t)tensor_get_int64(job->x, index));
  }
  return found < 0 ? ITEM_UNKNOWN : (uint32_t)found;
}

/* Counts the n-grams that begin at item `first` of a row, with items `distance` apart. */
static void count_grams(const tf_idf_job *job, const uint32_t *row, int64_t first, int64_t distance, int64_t least,
                        float *y) {
  const tf_idf_state *state = job->state;
  uint32_t node = 0;
  int64_t at = first;
  for (int64_t size = 1; size <= state->most && at < job->length; size++, at += distance) {
    if (row[at] == ITEM_UNKNOWN) return;
    node = size == 1 ? state->first_nodes[row[at]] : gram_slot(state, node, row[at])->child;
    if (node == 0) return;
    const gram_node *found = &state->nodes[node];
    if (size >= least && found->place >= 0) {
      if (state->mode == MODE_IDF)
        y[found->place] = found->weight;
      else
        y[found->place] += found->weight;
    }
    if (!found->has_children) return;
  }
}

static void tf_idf_row(const tf_idf_job *job, int64_t n) {
  const tf_idf_state *state = job->state;
  const int64_t length = job->length;
  uint32_t *row = job->numbers + n * length;
  float *y = job->y + n * state->width;
  int64_t steps = 0;
  memset(y, 0, (size_t)state->width * sizeof *y);
  for (int64_t i = 0; i < length; i++) {
    row[i] = item_number(job, n * length + i);
    if (work_interrupted(job->context, steps++)) return;
  }
  for (int64_t distance = 1; distance <= state->distances; distance++) {
    const int64_t least = distance > 1 && state->least == 1 ? 2 : state->least; /* single items count once */
    if (least > state->most || (least > 1 && distance > (length - 1) / (least - 1))) return;
    for (int64_t i = 0, end = length - (least - 1) * distance; i < end; i++) {
      count_grams(job, row, i, distance, least, y);
      if (work_interrupted(job->context, steps++)) return;
    }
  }
}

static void tf_idf_rows(void *argument, int64_t begin, int64_t end, int worker) {
  (void)worker;
  for (int64_t n = begin; n < end; n++) tf_idf_row(argument, n);
}

static norma_status tf_idf_compute(run_context *context) {
  tf_idf_job job = {.context = context, .state = context->state, .x = run_input(context, 0)};
  const norma_tensor *x = job.x;
  const int64_t rows = x->rank == 2 ? x->dims[0] : 1;
  const shape result =
      x->rank == 2 ? shape_make(2, (int64_t[]){rows, job.state->width}) : shape_make(1, &job.state->width);
  norma_tensor *y;
  void *numbers;
  size_t bytes;
  if (!context->outputs[0]) return NORMA_OK;
  if ((x->type == NORMA_STRING) != job.state->has_strings)
    return run_fail(context, NORMA_ERROR_RUN, "X is not of the type of the pool");
  job.length = x->rank == 0 ? 1 : x->dims[x->rank - 1];
  if (!size_multiply((size_t)norma_tensor_count(x), sizeof(uint32_t), &bytes))
    return run_fail(context, NORMA_ERROR_BUDGET, "the input is too large");
  TRY(run_allocate_output(context, 0, NORMA_FLOAT, &result, &y));
  TRY(run_allocate_temporary(context, bytes, &numbers));
  job.y = y->data;
  job.numbers = numbers;
  return run_parallel(context, rows, TF_IDF_GRAIN, tf_idf_rows, &job);
}

static const operator_attribute tf_idf_attributes[] = {
    {"max_gram_length", ATTRIBUTE_INT, 9, OPERATOR_LATEST, true},
    {"max_skip_count", ATTRIBUTE_INT, 9, OPERATOR_LATEST, true},
    {"min_gram_length", ATTRIBUTE_INT, 9, OPERATOR_LATEST, true},
    {"mode", ATTRIBUTE_STRING, 9, OPERATOR_LATEST, true},
    {"ngram_counts", ATTRIBUTE_INTS, 9, OPERATOR_LATEST, true},
    {"ngram_indexes", ATTRIBUTE_INTS, 9, OPERATOR_LATEST, true},
    {"pool_int64s", ATTRIBUTE_INTS, 9, OPERATOR_LATEST, false},
    {"pool_strings", ATTRIBUTE_STRINGS, 9, OPERATOR_LATEST, false},
    {"weights", ATTRIBUTE_FLOATS, 9, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_tf_idf_vectorizer[] = {
    {
        .domain = "",
        .name = "TfIdfVectorizer",
        .versions = {9},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_STRING) | TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64), INPUT(0), 0},
                  {TYPE_BIT(NORMA_FLOAT), 0, OUTPUT(0)}},
        .attributes = tf_idf_attributes,
        .state_size = sizeof(tf_idf_state),
        .read = tf_idf_read,
        .infer = tf_idf_infer,
        .compute = tf_idf_compute,
    },
    {0},
};
