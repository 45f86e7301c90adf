/* Values that callers make: the public face of engine/base/tensor.h, with the memory of a runtime. */
#include "engine/execute/owned_values.h"

/* What a caller holds. The value stands first, so that it is found again from the public pointer. */
typedef struct owned_value_block {
  value value;
  memory *memory;
} owned_value_block;

static norma_status block_create(norma_runtime *runtime, norma_value **result, norma_error *error) {
  if (!runtime || !result) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a runtime and a place for the value are needed");
  }
  *result = NULL;
  owned_value_block *block = memory_allocate_zeroed(&runtime->memory, sizeof *block);
  if (!block) return memory_error(&runtime->memory, sizeof *block, error);
  block->memory = &runtime->memory;
  *result = &block->value;
  return NORMA_OK;
}

/* Constructors begin with it: whatever goes wrong, nothing is there. */
static void owned_value_forget(norma_value **result) {
  if (result) *result = NULL;
}

/* Gives back what a failed constructor has made. */
static norma_status block_finish(norma_status status, norma_value **result) {
  if (status == NORMA_OK) return NORMA_OK;
  norma_value_destroy(*result);
  *result = NULL;
  return status;
}

norma_status owned_value_create(norma_runtime *runtime, value *contents, norma_value **result, norma_error *error) {
  norma_status status = block_create(runtime, result, error);
  if (status == NORMA_OK) {
    **result = *contents;
  } else {
    value_clear(contents);
  }
  return status;
}

void norma_value_destroy(norma_value *value) {
  if (!value) return;
  memory *memory = ((owned_value_block *)value)->memory;
  value_clear(value);
  memory_free(memory, value);
}

/* ---------------------------------------------------------------------------------------------------------- tensors */

static norma_status check_tensor_argument(const norma_tensor *tensor, norma_error *error) {
  if (!tensor_is_sound(tensor)) {
    return error_set(error, NORMA_ERROR_ARGUMENT,
                     "the tensor is malformed: type, shape, size_bytes and data do not agree");
  }
  if (tensor->type != NORMA_STRING) return NORMA_OK;
  const norma_string *strings = tensor->data;
  const int64_t count = norma_tensor_count(tensor);
  for (int64_t i = 0; i < count; i++) {
    if (!strings[i].data && strings[i].size > 0) {
      return error_set(error, NORMA_ERROR_ARGUMENT, "a string of the tensor has a size but no data");
    }
  }
  return NORMA_OK;
}

static norma_status wrap_tensor(norma_runtime *runtime, const norma_tensor *tensor, norma_value **result,
                                norma_error *error) {
  TRY(check_tensor_argument(tensor, error));
  TRY(block_create(runtime, result, error));
  (*result)->kind = NORMA_VALUE_TENSOR;
  (*result)->tensor = *tensor;
  return NORMA_OK;
}

norma_status norma_value_borrow_tensor(norma_runtime *runtime, const norma_tensor *tensor, norma_value **result,
                                       norma_error *error) {
  owned_value_forget(result);
  return wrap_tensor(runtime, tensor, result, error);
}

norma_status norma_value_adopt_tensor(norma_runtime *runtime, const norma_tensor *tensor, norma_release release,
                                      void *context, norma_value **result, norma_error *error) {
  owned_value_forget(result);
  TRY(wrap_tensor(runtime, tensor, result, error));
  buffer *owner = buffer_wrap(&runtime->memory, tensor->data, tensor->size_bytes, release, context);
  (*result)->owner = owner;
  return block_finish(owner ? NORMA_OK : memory_error(&runtime->memory, sizeof *owner, error), result);
}

norma_status norma_value_create_tensor(norma_runtime *runtime, const norma_tensor *tensor, norma_value **result,
                                       norma_error *error) {
  owned_value_forget(result);
  TRY(check_tensor_argument(tensor, error));
  TRY(block_create(runtime, result, error));
  const value view = {.kind = NORMA_VALUE_TENSOR, .tensor = *tensor};
  return block_finish(value_copy(&runtime->memory, *result, &view, error), result);
}

norma_status norma_value_create_strings(norma_runtime *runtime, int rank, const int64_t *dims,
                                        const norma_string *strings, norma_value **result, norma_error *error) {
  owned_value_forget(result);
  norma_tensor tensor;
  if (norma_tensor_init(&tensor, NORMA_STRING, rank, dims, tensor_read_only(strings)) != NORMA_OK) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "the shape of the strings cannot be");
  }
  return norma_value_create_tensor(runtime, &tensor, result, error);
}

norma_status norma_value_allocate_tensor(norma_runtime *runtime, norma_element_type type, int rank, const int64_t *dims,
                                         norma_value **result, norma_error *error) {
  owned_value_forget(result);
  norma_tensor tensor;
  if (norma_tensor_init(&tensor, type, rank, dims, NULL) != NORMA_OK) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "the type or shape of the tensor cannot be");
  }
  TRY(block_create(runtime, result, error));
  const shape shape = shape_make(rank, dims);
  return block_finish(value_allocate_tensor(&runtime->memory, *result, type, &shape, error), result);
}

/* ------------------------------------------------------------------------------------------------------- containers */

/* Whether `element` may stand behind `first` in one sequence. */
static bool is_alike(const value *first, const value *element) {
  return first->kind == element->kind &&
         (first->kind != NORMA_VALUE_TENSOR || first->tensor.type == element->tensor.type);
}

norma_status norma_value_create_sequence(norma_runtime *runtime, const norma_value *const *elements, size_t count,
                                         norma_value **result, norma_error *error) {
  owned_value_forget(result);
  bool good = count == 0 || elements;
  for (size_t i = 0; good && i < count; i++) {
    good = elements[i] && elements[i]->kind != NORMA_VALUE_NONE && is_alike(elements[0], elements[i]);
  }
  if (!good || count > INT64_MAX) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "the elements of a sequence are values of one kind and element type");
  }
  TRY(block_create(runtime, result, error));
  memory *memory = &runtime->memory;
  norma_status status = value_allocate_list(memory, *result, NORMA_VALUE_SEQUENCE, (int64_t)count, error);
  for (size_t i = 0; status == NORMA_OK && i < count; i++) {
    status = value_copy(memory, &(*result)->list->items[i], elements[i], error);
  }
  return block_finish(status, result);
}

norma_status norma_value_create_optional(norma_runtime *runtime, const norma_value *element, norma_value **result,
                                         norma_error *error) {
  owned_value_forget(result);
  const int64_t count = element && element->kind != NORMA_VALUE_NONE;
  TRY(block_create(runtime, result, error));
  norma_status status = value_allocate_list(&runtime->memory, *result, NORMA_VALUE_OPTIONAL, count, error);
  if (status == NORMA_OK && count > 0) {
    status = value_copy(&runtime->memory, &(*result)->list->items[0], element, error);
  }
  return block_finish(status, result);
}

static bool is_map_part(const value *keys, const value *values) {
  const norma_tensor *key = norma_value_tensor(keys), *tensor = norma_value_tensor(values);
  if (!key || key->rank != 1 || !((TYPES_INTEGER | TYPE_BIT(NORMA_STRING)) & TYPE_BIT(key->type))) return false;
  if (tensor) {
    const type_mask whole = TYPES_FIXED_SIZE | TYPE_BIT(NORMA_STRING); /* each element can stand alone */
    return tensor->rank == 1 && tensor->dims[0] == key->dims[0] && (whole & TYPE_BIT(tensor->type));
  }
  return norma_value_get_kind(values) == NORMA_VALUE_SEQUENCE && norma_value_count(values) == (size_t)key->dims[0];
}

norma_status norma_value_create_map(norma_runtime *runtime, const norma_value *keys, const norma_value *values,
                                    norma_value **result, norma_error *error) {
  owned_value_forget(result);
  if (!is_map_part(keys, values)) {
    return error_set(error, NORMA_ERROR_ARGUMENT,
                     "a map is a tensor of keys (integers or strings, of rank 1) and as many values: a tensor of rank "
                     "1 or a sequence");
  }
  TRY(block_create(runtime, result, error));
  norma_status status = value_allocate_list(&runtime->memory, *result, NORMA_VALUE_MAP, 2, error);
  if (status == NORMA_OK) status = value_copy(&runtime->memory, &(*result)->list->items[0], keys, error);
  if (status == NORMA_OK) status = value_copy(&runtime->memory, &(*result)->list->items[1], values, error);
  return block_finish(status, result);
}

norma_status norma_value_copy(norma_runtime *runtime, const norma_value *original, norma_value **value,
                              norma_error *error) {
  owned_value_forget(value);
  if (!original) return error_set(error, NORMA_ERROR_ARGUMENT, "a value is needed");
  TRY(block_create(runtime, value, error));
  return block_finish(value_copy(&runtime->memory, *value, original, error), value);
}
