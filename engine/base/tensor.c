#include "engine/base/tensor.h"

#include "engine/base/status.h"

#include <inttypes.h>
#include <stdio.h>

norma_status norma_tensor_size(norma_element_type type, int rank, const int64_t *dims, size_t *bytes) {
  if (!bytes || !element_type_exists(type) || rank < 0 || rank > NORMA_MAX_RANK || (rank > 0 && !dims)) {
    return NORMA_ERROR_ARGUMENT;
  }
  bool empty = false;
  for (int i = 0; i < rank; i++) {
    if (dims[i] < 0) return NORMA_ERROR_ARGUMENT;
    if (dims[i] == 0) empty = true;
  }
  /* Without those that are 0: products of any dimensions of a tensor can be relied on. */
  size_t count = 1, bits;
  for (int i = 0; i < rank; i++) {
    if (dims[i] != 0 && !size_multiply(count, (size_t)dims[i], &count)) return NORMA_ERROR_ARGUMENT;
  }
  if (count > SIZE_MAX / 16 || !size_multiply(count, (size_t)element_type_bits(type), &bits) || bits > SIZE_MAX - 7) {
    return NORMA_ERROR_ARGUMENT;
  }
  *bytes = empty ? 0 : (bits + 7) / 8;
  return NORMA_OK;
}

norma_status norma_tensor_init(norma_tensor *tensor, norma_element_type type, int rank, const int64_t *dims,
                               void *data) {
  size_t bytes;
  if (!tensor) return NORMA_ERROR_ARGUMENT;
  TRY(norma_tensor_size(type, rank, dims, &bytes));
  norma_tensor made = {.type = type, .rank = rank, .data = data, .size_bytes = bytes};
  for (int i = 0; i < rank; i++) made.dims[i] = dims[i]; /* which may be the tensor's own */
  *tensor = made;
  return NORMA_OK;
}

int64_t norma_tensor_count(const norma_tensor *tensor) {
  return dims_product(tensor->dims, 0, tensor->rank);
}

/* ------------------------------------------------------------------------------------------------------------ shape */

shape shape_unknown(void) {
  return (shape){.rank = RANK_UNKNOWN};
}

shape shape_of_rank(int rank) {
  shape result = {.rank = rank};
  for (int i = 0; i < rank; i++) result.dims[i] = DIM_UNKNOWN;
  return result;
}

shape shape_make(int rank, const int64_t *dims) {
  shape result = {.rank = rank};
  for (int i = 0; i < rank; i++) result.dims[i] = dims[i];
  return result;
}

shape shape_of_tensor(const norma_tensor *tensor) {
  shape result;
  result.rank = tensor->rank;
  memcpy(result.dims, tensor->dims, sizeof result.dims); /* all of them: that is one loop less */
  return result;
}

bool shape_is_known(const shape *shape) {
  if (shape->rank == RANK_UNKNOWN) return false;
  for (int i = 0; i < shape->rank; i++) {
    if (shape->dims[i] == DIM_UNKNOWN) return false;
  }
  return true;
}

bool shape_equal(const shape *a, const shape *b) {
  if (a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++) {
    if (a->dims[i] != b->dims[i]) return false;
  }
  return true;
}

int64_t shape_count(const shape *shape) {
  if (!shape_is_known(shape)) {
    for (int i = 0; i < shape->rank; i++) {
      if (shape->dims[i] == 0) return 0;
    }
    return DIM_UNKNOWN;
  }
  size_t bytes;
  if (norma_tensor_size(NORMA_UINT8, shape->rank, shape->dims, &bytes) != NORMA_OK) return DIM_UNKNOWN;
  return (int64_t)bytes;
}

int64_t dims_product(const int64_t *dims, int begin, int end) {
  int64_t product = 1;
  for (int i = begin; i < end; i++) {
    if (dims[i] == 0) return 0;
  }
  for (int i = begin; i < end; i++) {
    if (__builtin_mul_overflow(product, dims[i], &product)) return INT64_MAX;
  }
  return product;
}

const char *shape_text(const shape *shape, char *text, size_t size) {
  if (size == 0) return text;
  if (shape->rank <= 0) {
    snprintf(text, size, "%s", shape->rank == 0 ? "scalar" : "?");
    return text;
  }
  size_t used = 0;
  for (int i = 0; i < shape->rank && used < size; i++) {
    int written = shape->dims[i] == DIM_UNKNOWN
                      ? snprintf(text + used, size - used, "%s?", i ? "x" : "")
                      : snprintf(text + used, size - used, "%s%" PRId64, i ? "x" : "", shape->dims[i]);
    if (written < 0) break;
    used += (size_t)written;
  }
  return text;
}

bool axis_normalize(int64_t axis, int rank, int *result) {
  if (axis < -rank || axis >= rank) return false;
  *result = (int)(axis < 0 ? axis + rank : axis);
  return true;
}

bool shape_merge(shape *into, const shape *from) {
  if (from->rank == RANK_UNKNOWN) return true;
  if (into->rank == RANK_UNKNOWN) {
    *into = *from;
    return true;
  }
  if (into->rank != from->rank) return false;
  for (int i = 0; i < into->rank; i++) {
    if (into->dims[i] == DIM_UNKNOWN)
      into->dims[i] = from->dims[i];
    else if (from->dims[i] != DIM_UNKNOWN && from->dims[i] != into->dims[i])
      return false;
  }
  return true;
}

bool shape_broadcast(const shape *a, const shape *b, shape *result) {
  if (a->rank == RANK_UNKNOWN || b->rank == RANK_UNKNOWN) {
    *result = shape_unknown();
    return true;
  }
  shape merged = {.rank = a->rank > b->rank ? a->rank : b->rank};
  for (int i = 0; i < merged.rank; i++) {
    int ia = i - (merged.rank - a->rank), ib = i - (merged.rank - b->rank);
    int64_t da = ia < 0 ? 1 : a->dims[ia], db = ib < 0 ? 1 : b->dims[ib];
    if (da == db || db == 1)
      merged.dims[i] = da;
    else if (da == 1)
      merged.dims[i] = db;
    else if (da == DIM_UNKNOWN)
      merged.dims[i] = db; /* 1 or db: db either way, since db > 1 or 0 */
    else if (db == DIM_UNKNOWN)
      merged.dims[i] = da;
    else
      return false;
  }
  *result = merged;
  return true;
}

value_info value_info_tensor(norma_element_type type, const shape *shape) {
  return (value_info){.kind = NORMA_VALUE_TENSOR, .type = type, .shape = *shape};
}

double value_info_bytes(const value_info *info) {
  size_t bytes;
  bool known = info->kind == NORMA_VALUE_TENSOR && shape_is_known(&info->shape) &&
               norma_tensor_size(info->type, info->shape.rank, info->shape.dims, &bytes) == NORMA_OK;
  return known ? (double)bytes : 0;
}

/* ------------------------------------------------------------------------------------------------------------ value */

/* Gives a reference back; puts the list on *dead when it was the last one. */
static void value_list_drop(value_list *list, value_list **dead) {
  if (!list || atomic_fetch_sub_explicit(&list->references, 1, memory_order_acq_rel) != 1) return;
  list->next_dead = *dead;
  *dead = list;
}

/* Without recursion: how deep containers nest is for the data to say. */
void value_clear(value *value) {
  value_list *dead = NULL;
  buffer_release(value->owner);
  value_list_drop(value->list, &dead);
  while (dead) {
    value_list *list = dead;
    dead = list->next_dead;
    for (int64_t i = 0; i < list->count; i++) {
      buffer_release(list->items[i].owner);
      value_list_drop(list->items[i].list, &dead);
    }
    memory_free(list->memory, list->items);
    memory_free(list->memory, list);
  }
  memset(value, 0, sizeof *value);
}

void value_share(value *into, const value *from) {
  *into = *from;
  buffer_retain(into->owner);
  if (into->list) atomic_fetch_add_explicit(&into->list->references, 1, memory_order_relaxed);
}

static norma_status copy_strings(memory *memory, value *into, const norma_tensor *from, norma_error *error) {
  const norma_string *strings = from->data;
  int64_t count = norma_tensor_count(from);
  size_t bytes = 0;
  for (int64_t i = 0; i < count; i++) {
    if (!size_add(bytes, strings[i].size, &bytes)) return memory_error(memory, SIZE_MAX, error);
  }
  char *characters;
  shape shape = shape_of_tensor(from);
  TRY(value_allocate_strings(memory, into, &shape, bytes, &characters, error));
  norma_string *copies = into->tensor.data;
  for (int64_t i = 0; i < count; i++) {
    if (strings[i].size) memcpy(characters, strings[i].data, strings[i].size);
    copies[i] = (norma_string){.data = characters, .size = strings[i].size};
    characters += strings[i].size;
  }
  return NORMA_OK;
}

norma_status value_copy(memory *memory, value *into, const value *from, norma_error *error) {
  memset(into, 0, sizeof *into);
  if (from->kind != NORMA_VALUE_TENSOR || from->owner) {
    value_share(into, from); /* lists hold owned values only */
    return NORMA_OK;
  }
  if (from->tensor.type == NORMA_STRING) return copy_strings(memory, into, &from->tensor, error);
  shape shape = shape_of_tensor(&from->tensor);
  TRY(value_allocate_tensor(memory, into, from->tensor.type, &shape, error));
  if (from->tensor.size_bytes) memcpy(into->tensor.data, from->tensor.data, from->tensor.size_bytes);
  return NORMA_OK;
}

norma_status value_allocate_tensor(memory *memory, value *into, norma_element_type type, const shape *shape,
                                   norma_error *error) {
  memset(into, 0, sizeof *into);
  norma_tensor tensor;
  if (norma_tensor_init(&tensor, type, shape->rank, shape->dims, NULL) != NORMA_OK) {
    char text[200];
    return error_set(error, NORMA_ERROR_BUDGET, "a tensor of shape %s is too large",
                     shape_text(shape, text, sizeof text));
  }
  buffer *owner = buffer_create(memory, tensor.size_bytes);
  if (!owner) return memory_error(memory, tensor.size_bytes, error);
  if (type == NORMA_STRING) memset(owner->data, 0, tensor.size_bytes);
  tensor.data = owner->data;
  into->kind = NORMA_VALUE_TENSOR;
  into->tensor = tensor;
  into->owner = owner;
  return NORMA_OK;
}

norma_status value_allocate_strings(memory *memory, value *into, const shape *shape, size_t bytes, char **characters,
                                    norma_error *error) {
  memset(into, 0, sizeof *into);
  norma_tensor tensor;
  size_t total;
  if (norma_tensor_init(&tensor, NORMA_STRING, shape->rank, shape->dims, NULL) != NORMA_OK ||
      !size_add(tensor.size_bytes, bytes, &total)) {
    return error_set(error, NORMA_ERROR_BUDGET, "a string tensor is too large");
  }
  buffer *owner = buffer_create(memory, total);
  if (!owner) return memory_error(memory, total, error);
  memset(owner->data, 0, tensor.size_bytes);
  tensor.data = owner->data;
  *characters = (char *)owner->data + tensor.size_bytes;
  into->kind = NORMA_VALUE_TENSOR;
  into->tensor = tensor;
  into->owner = owner;
  return NORMA_OK;
}

norma_status value_allocate_list(memory *memory, value *into, norma_value_kind kind, int64_t count,
                                 norma_error *error) {
  memset(into, 0, sizeof *into);
  size_t bytes;
  if (count < 0 || !size_multiply((size_t)count, sizeof(value), &bytes)) return memory_error(memory, SIZE_MAX, error);
  value_list *list = memory_allocate_zeroed(memory, sizeof *list);
  value *items = memory_allocate_zeroed(memory, bytes);
  if (!list || !items) {
    memory_free(memory, list);
    memory_free(memory, items);
    return memory_error(memory, bytes, error);
  }
  list->memory = memory;
  list->count = list->capacity = count;
  list->items = items;
  atomic_init(&list->references, 1);
  into->kind = kind;
  into->list = list;
  return NORMA_OK;
}

value_info value_info_of(const value *value) {
  if (value->kind != NORMA_VALUE_TENSOR) return (value_info){.kind = value->kind, .shape = {.rank = RANK_UNKNOWN}};
  return (value_info){.kind = NORMA_VALUE_TENSOR, .type = value->tensor.type, .shape = shape_of_tensor(&value->tensor)};
}

norma_value_kind norma_value_get_kind(const norma_value *value) {
  return value ? value->kind : NORMA_VALUE_NONE;
}

const norma_tensor *norma_value_tensor(const norma_value *value) {
  return value && value->kind == NORMA_VALUE_TENSOR ? &value->tensor : NULL;
}

size_t norma_value_count(const norma_value *value) {
  return value && value->list ? (size_t)value->list->count : 0;
}

const norma_value *norma_value_element(const norma_value *value, size_t index) {
  return index < norma_value_count(value) ? &value->list->items[index] : NULL;
}
