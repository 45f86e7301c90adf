#include "engine/base/struct_size.h"

#include "engine/base/status.h"

#include <string.h>

static size_t size_of_struct(const void *given) {
  size_t size;
  memcpy(&size, given, sizeof size);
  return size;
}

norma_status options_take(void *options, size_t size, const void *given, const char *name, norma_error *error) {
  memset(options, 0, size);
  if (!given) return NORMA_OK;
  const size_t own = size_of_struct(given);
  if (own < sizeof own || own > size) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "%s.struct_size is %zu, expected %zu", name, own, size);
  }
  memcpy(options, given, own);
  return NORMA_OK;
}

norma_status info_give(void *info, const void *filled, size_t size) {
  if (!info || size_of_struct(info) < sizeof size) return NORMA_ERROR_ARGUMENT;
  const size_t own = size_of_struct(info), known = own < size ? own : size;
  memcpy((char *)info + sizeof own, (const char *)filled + sizeof own, known - sizeof own);
  memset((char *)info + known, 0, own - known);
  return NORMA_OK;
}
