/* Element types and elements for callers of the library: the public face of engine/base/element_type.h. */
#include "engine/base/tensor.h"

int norma_element_type_bits(norma_element_type type) {
  return element_type_bits(type);
}

norma_element_class norma_element_type_class(norma_element_type type) {
  if (!element_type_exists(type)) return NORMA_CLASS_NONE;
  const type_mask bit = TYPE_BIT(type);
  if (bit & TYPE_BIT(NORMA_STRING)) return NORMA_CLASS_STRING;
  if (bit & TYPE_BIT(NORMA_BOOL)) return NORMA_CLASS_BOOL;
  if (bit & TYPES_COMPLEX) return NORMA_CLASS_COMPLEX;
  if (bit & (TYPES_SIGNED | TYPE_BIT(NORMA_INT4) | TYPE_BIT(NORMA_INT2))) return NORMA_CLASS_SIGNED;
  if (bit & (TYPES_UNSIGNED | TYPE_BIT(NORMA_UINT4) | TYPE_BIT(NORMA_UINT2))) return NORMA_CLASS_UNSIGNED;
  return NORMA_CLASS_FLOAT;
}

norma_element_type norma_element_type_find(const char *name) {
  for (int type = 1; name && type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    if (strcmp(norma_element_type_name((norma_element_type)type), name) == 0) return (norma_element_type)type;
  }
  return NORMA_UNDEFINED;
}

/* --------------------------------------------------------------------------------------------------------- elements */

bool tensor_is_sound(const norma_tensor *tensor) {
  size_t bytes;
  return tensor && norma_tensor_size(tensor->type, tensor->rank, tensor->dims, &bytes) == NORMA_OK &&
         bytes == tensor->size_bytes && (tensor->data || bytes == 0);
}

/* Whether these are numbers that are there. */
static bool is_number_range(const norma_tensor *tensor, int64_t first, int64_t count, const void *numbers) {
  if (!tensor_is_sound(tensor) || first < 0 || count < 0 || (count > 0 && !numbers)) return false;
  const norma_element_class kind = norma_element_type_class(tensor->type);
  return kind != NORMA_CLASS_STRING && kind != NORMA_CLASS_COMPLEX && count <= norma_tensor_count(tensor) &&
         first <= norma_tensor_count(tensor) - count;
}

norma_status norma_tensor_get_doubles(const norma_tensor *tensor, int64_t first, int64_t count, double *result) {
  if (!is_number_range(tensor, first, count, result)) return NORMA_ERROR_ARGUMENT;
  if (TYPES_FLOAT & TYPE_BIT(tensor->type)) {
    elements_to_double(tensor->type, tensor->data, first, count, result);
    return NORMA_OK;
  }
  for (int64_t i = 0; i < count; i++) result[i] = element_get_double(tensor->type, tensor->data, first + i);
  return NORMA_OK;
}

norma_status norma_tensor_set_doubles(norma_tensor *tensor, int64_t first, int64_t count, const double *numbers) {
  if (!is_number_range(tensor, first, count, numbers)) return NORMA_ERROR_ARGUMENT;
  if (TYPES_FLOAT & TYPE_BIT(tensor->type)) {
    elements_from_double(tensor->type, tensor->data, first, count, numbers);
    return NORMA_OK;
  }
  for (int64_t i = 0; i < count; i++) element_set_double(tensor->type, tensor->data, first + i, numbers[i]);
  return NORMA_OK;
}

norma_status norma_tensor_get_integers(const norma_tensor *tensor, int64_t first, int64_t count, int64_t *result) {
  if (!is_number_range(tensor, first, count, result)) return NORMA_ERROR_ARGUMENT;
  for (int64_t i = 0; i < count; i++) result[i] = element_get_int64(tensor->type, tensor->data, first + i);
  return NORMA_OK;
}

norma_status norma_tensor_set_integers(norma_tensor *tensor, int64_t first, int64_t count, const int64_t *numbers) {
  if (!is_number_range(tensor, first, count, numbers)) return NORMA_ERROR_ARGUMENT;
  for (int64_t i = 0; i < count; i++) element_set_int64(tensor->type, tensor->data, first + i, numbers[i]);
  return NORMA_OK;
}
