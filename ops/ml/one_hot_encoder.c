/*
 * OneHotEncoder 1 (ai.onnx.ml): each element of X becomes a vector of float with a 1 at the place of its category.
 *
 * Categories are integers (cats_int64s), for an X of int64, int32, float or double, which are truncated to integers, or
 * strings (cats_strings). What is in none of them becomes zeros throughout, or with zeros = 0 an error of the run. Of
 * equal categories the last counts.
 */
#include "ops/key_table.h"
#include "ops/operator.h"
#include "ops/work.h"

typedef struct one_hot_encoder_state {
  key_table categories;
  bool fails; /* for what is in no category */
} one_hot_encoder_state;

static norma_status one_hot_encoder_read(const node *node, void *opaque, norma_error *error) {
  one_hot_encoder_state *state = opaque;
  region *region = node->graph->region;
  size_t ints, strings;
  const int64_t *int_categories = attribute_ints(node, "cats_int64s", &ints);
  const norma_string *string_categories = attribute_strings(node, "cats_strings", &strings);
  state->fails = attribute_int(node, "zeros", 1) == 0;
  if ((ints > 0) == (strings > 0))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "needs one of cats_int64s and cats_strings");
  if (strings > 0) return key_table_of_strings(&state->categories, region, string_categories, strings, KEY_LAST, error);
  return key_table_of_words(&state->categories, region, (const uint64_t *)int_categories, ints, KEY_LAST, error);
}

static norma_status one_hot_encoder_infer(infer_context *context) {
  const one_hot_encoder_state *state = context->state;
  const norma_element_type type = infer_type(context, 0);
  shape y = *infer_shape(context, 0);
  if (type != NORMA_UNDEFINED && (type == NORMA_STRING) != (state->categories.strings != NULL))
    return infer_fail(context, "has no categories of type %s", norma_element_type_name(type));
  if (y.rank == NORMA_MAX_RANK) return infer_fail(context, "the output's rank is too large");
  if (y.rank != RANK_UNKNOWN) y.dims[y.rank++] = (int64_t)state->categories.count;
  infer_output(context, 0, NORMA_FLOAT, &y);
  return NORMA_OK;
}

typedef struct one_hot_encoder_work {
  const run_context *context;
  const one_hot_encoder_state *state;
  const norma_tensor *x;
  float *y;
  atomic_bool failed;
} one_hot_encoder_work;

static int64_t find_category(const one_hot_encoder_work *work, int64_t index) {
  const key_table *categories = &work->state->categories;
  if (categories->strings) {
    const norma_string *text = &((const norma_string *)work->x->data)[index];
    return key_table_find_string(categories, text->data, text->size);
  }
  if (!(TYPE_BIT(work->x->type) & TYPES_FLOAT))
    return key_table_find_word(categories, (uint64_t)tensor_get_int64(work->x, index));
  const double number = element_get_double(work->x->type, work->x->data, index);
  if (!(number >= -0x1p63 && number < 0x1p63)) return -1; /* NaN too */
  return key_table_find_word(categories, (uint64_t)(int64_t)number);
}

static void one_hot_encoder_body(void *argument, int64_t begin, int64_t end, int worker) {
  one_hot_encoder_work *work = argument;
  const size_t width = work->state->categories.count;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    float *row = work->y + (size_t)i * width;
    const int64_t category = find_category(work, i);
    if (work_interrupted(work->context, i)) return;
    memset(row, 0, width * sizeof *row);
    if (category >= 0)
      row[category] = 1;
    else if (work->state->fails)
      atomic_store_explicit(&work->failed, true, memory_order_relaxed);
  }
}

static norma_status one_hot_encoder_compute(run_context *context) {
  const one_hot_encoder_state *state = context->state;
  if (!context->outputs[0]) return NORMA_OK;
  one_hot_encoder_work work = {.context = context, .state = state};
  work.x = run_input(context, 0);
  work.y = run_output(context, 0)->data;
  const int64_t grain = work_grain(100 + (double)state->categories.count);
  TRY(run_parallel(context, norma_tensor_count(work.x), grain, one_hot_encoder_body, &work));
  if (atomic_load_explicit(&work.failed, memory_order_relaxed))
    return run_fail(context, NORMA_ERROR_RUN, "an element is in no category, and zeros is 0");
  return NORMA_OK;
}

#define TYPES_ENCODED                                                                                                  \
  (TYPE_BIT(NORMA_STRING) | TYPE_BIT(NORMA_INT64) | TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_FLOAT) |                    \
   TYPE_BIT(NORMA_DOUBLE))

static const operator_attribute one_hot_encoder_attributes[] = {
    {"cats_int64s", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"cats_strings", ATTRIBUTE_STRINGS, 1, OPERATOR_LATEST, false},
    {"zeros", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_one_hot_encoder[] = {
    {
        .domain = "ai.onnx.ml",
        .name = "OneHotEncoder",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_ENCODED, INPUT(0), 0}},
        .attributes = one_hot_encoder_attributes,
        .state_size = sizeof(one_hot_encoder_state),
        .read = one_hot_encoder_read,
        .infer = one_hot_encoder_infer,
        .compute = one_hot_encoder_compute,
    },
    {0},
};
