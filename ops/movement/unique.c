/*
 * Unique: the different elements of the flattened input, or the different slices along `axis`, each once.
 *
 *   Y                what is different, ascending (sorted = 1) or in the order in which it comes first
 *   indices          where each of these comes first in X
 *   inverse_indices  which of these each of X is
 *   counts           how often each comes
 *
 * Version 11; 28: bfloat16. Slices are compared element by element, from their first on; complex numbers by their real
 * parts and then by their imaginary ones; strings by their bytes. NaN is equal to NaN and larger than all numbers, -0
 * equals 0.
 */
#include "ops/movement/movement.h"
#include "ops/work.h"

#include <math.h>

typedef struct unique_state {
  bool has_axis, sorted;
  int64_t axis;
} unique_state;

/* An element or slice of X, with the first of what is compared. */
typedef struct unique_entry {
  uint64_t key;
  int64_t index;
} unique_entry;

/* X as outer x count x inner, of which `count` are compared. */
typedef struct unique_work {
  run_context *context;
  const norma_tensor *x;
  int64_t outer, count, inner;
  unique_entry *entries, *spare;
  int64_t *group;         /* by index: which of the different ones */
  int64_t *first, *times; /* by group */
  int64_t groups;
} unique_work;

static norma_status unique_read(const node *node, void *opaque, norma_error *error) {
  unique_state *state = opaque;
  const int64_t sorted = attribute_int(node, "sorted", 1);
  if (sorted != 0 && sorted != 1) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "sorted is %lld, which is neither 0 nor 1",
                         (long long)sorted);
  }
  state->sorted = sorted == 1;
  state->has_axis = node_attribute(node, "axis") != NULL;
  state->axis = attribute_int(node, "axis", 0);
  return NORMA_OK;
}

static norma_status unique_infer(infer_context *context) {
  const unique_state *state = context->state;
  const shape list = shape_of_rank(1), *x = infer_shape(context, 0);
  shape result = list, inverse = list;
  TRY(infer_types_since(context, TYPES_BFLOAT16, 28));
  if (!state->has_axis) {
    inverse.dims[0] = shape_count(x);
  } else {
    result = *x;
    int axis;
    if (x->rank != RANK_UNKNOWN) {
      if (!axis_normalize(state->axis, x->rank, &axis)) {
        return infer_fail(context, "axis %lld is outside a tensor of rank %d", (long long)state->axis, x->rank);
      }
      inverse.dims[0] = x->dims[axis];
      result.dims[axis] = DIM_UNKNOWN;
    }
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  infer_output(context, 1, NORMA_INT64, &list);
  infer_output(context, 2, NORMA_INT64, &inverse);
  infer_output(context, 3, NORMA_INT64, &list);
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ order */

/* Numbers whose order is that of the elements. */
static uint64_t key_of_bits(uint64_t bits, int width) {
  const uint64_t sign = (uint64_t)1 << (width - 1);
  return bits & sign ? sign - (bits - sign) : sign + bits; /* -0 and 0 become the same */
}

static uint64_t key_of_float(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return isnan(x) ? UINT64_MAX : key_of_bits(bits, 32);
}

static uint64_t key_of_double(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return isnan(x) ? UINT64_MAX : key_of_bits(bits, 64);
}

/* The first eight bytes, the first one highest. */
static uint64_t key_of_string(const norma_string *string) {
  uint64_t key = 0;
  for (size_t i = 0; i < 8; i++) key = key << 8 | (i < string->size ? (uint8_t)string->data[i] : 0);
  return key;
}

/* Element `index`; of complex numbers its real part (part 0) or its imaginary one. */
static uint64_t unique_key(const norma_tensor *x, int64_t index, int part) {
  switch (x->type) {
  case NORMA_FLOAT:
    return key_of_float(((const float *)x->data)[index]);
  case NORMA_DOUBLE:
    return key_of_double(((const double *)x->data)[index]);
  case NORMA_FLOAT16:
    return key_of_float(float16_to_float(((const uint16_t *)x->data)[index]));
  case NORMA_BFLOAT16:
    return key_of_float(bfloat16_to_float(((const uint16_t *)x->data)[index]));
  case NORMA_COMPLEX64:
    return key_of_float(((const float *)x->data)[2 * index + part]);
  case NORMA_COMPLEX128:
    return key_of_double(((const double *)x->data)[2 * index + part]);
  case NORMA_STRING:
    return key_of_string((const norma_string *)x->data + index);
  case NORMA_UINT64:
    return ((const uint64_t *)x->data)[index];
  default: /* integers and bool */
    return (uint64_t)element_get_int64(x->type, x->data, index) + ((uint64_t)1 << 63);
  }
}

static int compare_strings(const norma_string *a, const norma_string *b) {
  const size_t common = a->size < b->size ? a->size : b->size;
  const int order = common ? memcmp(a->data, b->data, common) : 0;
  return order ? order : (a->size > b->size) - (a->size < b->size);
}

static int compare_elements(const norma_tensor *x, int64_t a, int64_t b) {
  if (x->type == NORMA_STRING) {
    return compare_strings((const norma_string *)x->data + a, (const norma_string *)x->data + b);
  }
  const int parts = TYPE_BIT(x->type) & TYPES_COMPLEX ? 2 : 1;
  for (int part = 0; part < parts; part++) {
    const uint64_t ka = unique_key(x, a, part), kb = unique_key(x, b, part);
    if (ka != kb) return ka < kb ? -1 : 1;
  }
  return 0;
}

/* Whether keys alone do not tell. */
static bool unique_is_deep(const unique_work *work) {
  return work->outer * work->inner != 1 || work->x->type == NORMA_STRING ||
         (TYPE_BIT(work->x->type) & TYPES_COMPLEX) != 0;
}

static int unique_compare(const unique_work *work, const unique_entry *a, const unique_entry *b, bool deep) {
  if (a->key != b->key) return a->key < b->key ? -1 : 1;
  if (!deep) return 0;
  for (int64_t o = 0; o < work->outer; o++) {
    const int64_t from_a = (o * work->count + a->index) * work->inner,
                  from_b = (o * work->count + b->index) * work->inner;
    for (int64_t i = 0; i < work->inner; i++) {
      const int order = compare_elements(work->x, from_a + i, from_b + i);
      if (order) return order;
    }
  }
  return 0;
}

/* Merges two neighbouring parts; equal entries keep their order. */
static void unique_merge(const unique_work *work, const unique_entry *from, unique_entry *to, int64_t begin,
                         int64_t middle, int64_t end, bool deep) {
  int64_t a = begin, b = middle;
  for (int64_t i = begin; i < end; i++) {
    const bool takes_b = a == middle || (b < end && unique_compare(work, &from[b], &from[a], deep) < 0);
    to[i] = takes_b ? from[b++] : from[a++];
    if (work_interrupted(work->context, i)) return;
  }
}

static norma_status unique_sort(unique_work *work) {
  const bool deep = unique_is_deep(work), is_empty = work->outer * work->inner == 0;
  for (int64_t i = 0; i < work->count; i++) {
    work->entries[i] = (unique_entry){is_empty ? 0 : unique_key(work->x, i * work->inner, 0), i};
  }
  for (int64_t width = 1; width < work->count; width *= 2) {
    for (int64_t begin = 0; begin < work->count; begin += 2 * width) {
      const int64_t middle = begin + width < work->count ? begin + width : work->count;
      const int64_t end = middle + width < work->count ? middle + width : work->count;
      unique_merge(work, work->entries, work->spare, begin, middle, end, deep);
    }
    TRY(run_poll(work->context));
    unique_entry *swapped = work->entries;
    work->entries = work->spare;
    work->spare = swapped;
  }
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- outputs */

static void unique_group(unique_work *work, bool sorted) {
  const bool deep = unique_is_deep(work);
  for (int64_t i = 0; i < work->count; i++) {
    const unique_entry *entry = &work->entries[i];
    if (i == 0 || unique_compare(work, entry - 1, entry, deep) != 0) {
      work->first[work->groups] = entry->index;
      work->times[work->groups++] = 0;
    }
    work->group[entry->index] = work->groups - 1;
    work->times[work->groups - 1]++;
  }
  if (sorted) return;
  int64_t *first = (int64_t *)(void *)work->entries, *times = (int64_t *)(void *)work->spare; /* no longer needed */
  int64_t *rank = first + work->count, groups = 0;
  for (int64_t i = 0; i < work->count; i++) {
    const int64_t group = work->group[i];
    if (work->first[group] == i) {
      first[groups] = i;
      times[groups] = work->times[group];
      rank[group] = groups++;
    }
  }
  for (int64_t i = 0; i < work->count; i++) work->group[i] = rank[work->group[i]];
  if (groups) {
    memcpy(work->first, first, (size_t)groups * sizeof *first);
    memcpy(work->times, times, (size_t)groups * sizeof *times);
  }
}

static norma_status unique_give_list(run_context *context, int output, const int64_t *values, int64_t count) {
  if (output >= context->output_count || !context->outputs[output]) return NORMA_OK;
  norma_tensor *tensor;
  const shape list = shape_make(1, &count);
  TRY(run_allocate_output(context, output, NORMA_INT64, &list, &tensor));
  if (count) memcpy(tensor->data, values, (size_t)count * sizeof *values);
  return NORMA_OK;
}

static norma_status unique_give_values(run_context *context, const unique_work *work, const shape *result) {
  const norma_tensor *x = work->x;
  const size_t bytes = (size_t)work->inner * element_type_bytes(x->type);
  norma_tensor target, *y;
  if (norma_tensor_init(&target, x->type, result->rank, result->dims, NULL) != NORMA_OK) {
    return run_fail(context, NORMA_ERROR_BUDGET, "the output is too large");
  }
  if (x->type == NORMA_STRING) {
    TRY(run_allocate_temporary(context, target.size_bytes, &target.data));
  } else {
    TRY(run_allocate_output(context, 0, x->type, result, &y));
    target.data = y->data;
  }
  for (int64_t o = 0; o < work->outer && bytes; o++) {
    for (int64_t i = 0; i < work->groups; i++) {
      memcpy((char *)target.data + (size_t)(o * work->groups + i) * bytes,
             (const char *)x->data + (size_t)(o * work->count + work->first[i]) * bytes, bytes);
    }
    TRY(run_poll(context));
  }
  return x->type == NORMA_STRING ? movement_finish(context, 0, &target) : NORMA_OK;
}

static norma_status unique_compute(run_context *context) {
  const unique_state *state = context->state;
  const norma_tensor *x = run_input(context, 0);
  unique_work work = {.context = context, .x = x, .outer = 1, .count = norma_tensor_count(x), .inner = 1};
  shape result = {.rank = 1};
  int axis = 0;
  if (state->has_axis) {
    if (!axis_normalize(state->axis, x->rank, &axis)) {
      return run_fail(context, NORMA_ERROR_RUN, "axis %lld does not exist", (long long)state->axis);
    }
    result = shape_of_tensor(x);
    work.outer = dims_product(x->dims, 0, axis);
    work.count = x->dims[axis];
    work.inner = dims_product(x->dims, axis + 1, x->rank);
  }
  void *entries, *spare, *lists;
  size_t bytes;
  if (!size_multiply((size_t)work.count, 3 * sizeof(int64_t), &bytes)) {
    return run_fail(context, NORMA_ERROR_BUDGET, "the input is too large");
  }
  TRY(run_allocate_temporary(context, (size_t)work.count * sizeof(unique_entry), &entries));
  TRY(run_allocate_temporary(context, (size_t)work.count * sizeof(unique_entry), &spare));
  TRY(run_allocate_temporary(context, bytes, &lists));
  work.entries = entries;
  work.spare = spare;
  work.group = lists;
  work.first = work.group + work.count;
  work.times = work.first + work.count;
  TRY(unique_sort(&work));
  unique_group(&work, state->sorted);
  result.dims[axis] = work.groups;
  TRY(unique_give_values(context, &work, &result));
  TRY(unique_give_list(context, 1, work.first, work.groups));
  TRY(unique_give_list(context, 2, work.group, work.count));
  return unique_give_list(context, 3, work.times, work.groups);
}

static const operator_attribute unique_attributes[] = {
    {"axis", ATTRIBUTE_INT, 11, OPERATOR_LATEST, false},
    {"sorted", ATTRIBUTE_INT, 11, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_unique[] = {
    {
        .domain = "",
        .name = "Unique",
        .versions = {11, 28},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 4,
        .types = {{TYPES_NUMERIC | TYPES_COMPLEX | TYPE_BIT(NORMA_BOOL) | TYPE_BIT(NORMA_STRING), INPUT(0), OUTPUT(0)}},
        .attributes = unique_attributes,
        .state_size = sizeof(unique_state),
        .read = unique_read,
        .infer = unique_infer,
        .compute = unique_compute,
    },
    {0},
};
