#include "engine/graph/lazy_weights.h"

#include "engine/base/status.h"

#include <float.h>
#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

/* What the owner of a lazy value wraps. */
typedef struct lazy {
  memory *memory;
  uint64_t offset;
  double *factors; /* NULL: none */
  int64_t factor_count;
} lazy;

void lazy_source_init(lazy_source *lazy_source, memory *memory, const struct kernel_table *kernels) {
  *lazy_source = (struct lazy_source){.memory = memory, .kernels = kernels, .source = {.file = -1}};
}

/* Pages of a mapped file that were read once need not stay in this process' memory. */
static void forget_mapped(lazy_source *lazy_source) {
#ifdef MADV_DONTNEED
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), begin = lazy_source->mapped_begin / page * page;
  if (begin < lazy_source->mapped_end) {
    madvise((char *)tensor_read_only(lazy_source->source.data) + begin, (size_t)(lazy_source->mapped_end - begin),
            MADV_DONTNEED);
  }
#endif
  lazy_source->mapped_begin = lazy_source->mapped_end = 0;
}

void lazy_source_close(lazy_source *lazy_source) {
  if (lazy_source->source.mapping) forget_mapped(lazy_source);
  byte_source_close(&lazy_source->source);
  memory_free(lazy_source->memory, lazy_source->buffer);
  lazy_source->buffer = NULL;
  lazy_source->buffer_bytes = 0;
}

/* ----------------------------------------------------------------------------------------------------------- values */

static void release_lazy(void *context) {
  lazy *lazy = context;
  memory_free(lazy->memory, lazy->factors);
  memory_free(lazy->memory, lazy);
}

norma_status lazy_create(lazy_source *lazy_source, value *into, const norma_tensor *tensor, uint64_t offset,
                         norma_error *error) {
  memory *memory = lazy_source->memory;
  struct lazy *created = memory_allocate(memory, sizeof *created);
  if (!created) return memory_error(memory, sizeof *created, error);
  *created = (struct lazy){.memory = memory, .offset = offset};
  *into = (value){.kind = NORMA_VALUE_TENSOR, .tensor = *tensor};
  into->tensor.data = NULL;
  into->owner = buffer_wrap(memory, created, tensor->size_bytes, release_lazy, created);
  if (into->owner) return NORMA_OK;
  memory_free(memory, created);
  *into = (value){.kind = NORMA_VALUE_NONE};
  return memory_error(memory, sizeof(buffer), error);
}

bool value_is_lazy(const value *value) {
  return value->kind == NORMA_VALUE_TENSOR && value->owner && value->owner->release_data == release_lazy;
}

static lazy *lazy_of(const value *value) {
  return value->owner->release_context;
}

/* ---------------------------------------------------------------------------------------------------------- reading */

static norma_status lazy_reserve_buffer(lazy_source *lazy_source, size_t bytes, norma_error *error) {
  if (lazy_source->buffer_bytes >= bytes) return NORMA_OK;
  memory_free(lazy_source->memory, lazy_source->buffer);
  lazy_source->buffer_bytes = 0;
  lazy_source->buffer = memory_allocate(lazy_source->memory, bytes);
  if (!lazy_source->buffer) return memory_error(lazy_source->memory, bytes, error);
  lazy_source->buffer_bytes = bytes;
  return NORMA_OK;
}

static double largest_magnitude(const lazy_source *lazy_source, norma_element_type type, const void *data,
                                int64_t count) {
  if (type == NORMA_FLOAT) return (double)lazy_source->kernels->magnitude_f32(data, (size_t)count);
  double largest = 0;
  for (int64_t i = 0; i < count; i++) {
    const double magnitude = fabs(element_get_double(type, data, i));
    if (!(magnitude <= largest)) largest = magnitude; /* NaN stays */
  }
  return largest;
}

/* Whether a channel is still what it was, but for the rounding of its elements. */
static bool channel_keeps_digits(norma_element_type type, double factor, double largest) {
  const double least = type == NORMA_FLOAT16 ? 0x1p-14 : type == NORMA_DOUBLE ? DBL_MIN : (double)FLT_MIN;
  double element; /* room for one of any float type */
  element_set_double(type, &element, 0, largest * factor);
  const double scaled = element_get_double(type, &element, 0);
  if (!isfinite(scaled)) return false;
  return factor == 0 || largest < least || fabs(scaled) >= least;
}

/* to = from times the factors; both may be the same. */
static norma_status lazy_multiply(lazy_source *lazy_source, const value *value, int64_t first, int64_t count,
                                  const void *from, void *to, norma_error *error) {
  const lazy *lazy = lazy_of(value);
  const norma_element_type type = value->tensor.type;
  const int64_t run = norma_tensor_count(&value->tensor) / lazy->factor_count;
  if (first % run != 0 || count % run != 0) {
    return error_set(error, NORMA_ERROR_INTERNAL, "a part of a channel is read that has to be scaled as a whole");
  }
  unsigned polls = 0;
  for (int64_t i = 0; i < count; i += run) {
    TRY(interruption_poll_often(lazy_source->source.interruption, &polls, error));
    const double factor = lazy->factors[(first + i) / run];
    const size_t offset = (size_t)i * element_type_bytes(type);
    const void *channel = (const char *)from + offset;
    if (!channel_keeps_digits(type, factor, largest_magnitude(lazy_source, type, channel, run))) {
      lazy_source->lost = value;
      return error_set(error, NORMA_ERROR_INTERNAL, "a factor takes weights out of the range of their type");
    }
    if (type == NORMA_FLOAT) {
      lazy_source->kernels->scale_f32((float *)to + i, (const float *)from + i, (size_t)run, factor);
      continue;
    }
    for (int64_t k = i; k < i + run; k++) element_set_double(type, to, k, element_get_double(type, from, k) * factor);
  }
  return NORMA_OK;
}

/* The bytes where they are, or NULL where they must be copied first. */
static const void *bytes_in_place(lazy_source *lazy_source, uint64_t offset, size_t length, size_t alignment) {
  if (!lazy_source->source.data) return NULL;
  if (lazy_source->source.mapping) { /* whether they are copied or not: what was read before is forgotten */
    forget_mapped(lazy_source);
    lazy_source->mapped_begin = offset;
    lazy_source->mapped_end = offset + length;
  }
  const void *bytes = lazy_source->source.data + offset;
  return (uintptr_t)bytes % alignment == 0 ? bytes : NULL;
}

/* Elements as they stand in the file. */
static norma_status read_unscaled(lazy_source *lazy_source, const value *value, int64_t first, int64_t count,
                                  const void **data, norma_error *error) {
  const size_t element = element_type_bytes(value->tensor.type), length = (size_t)count * element;
  const uint64_t offset = lazy_of(value)->offset + (uint64_t)first * element;
  *data = bytes_in_place(lazy_source, offset, length, element);
  if (*data) return NORMA_OK;
  TRY(lazy_reserve_buffer(lazy_source, length, error));
  TRY(byte_source_read(&lazy_source->source, offset, lazy_source->buffer, length, error));
  *data = lazy_source->buffer;
  return NORMA_OK;
}

norma_status lazy_read(lazy_source *lazy_source, const value *value, int64_t first, int64_t count, const void **data,
                       norma_error *error) {
  TRY(interruption_poll(lazy_source->source.interruption, error));
  TRY(read_unscaled(lazy_source, value, first, count, data, error));
  if (!lazy_of(value)->factors) return NORMA_OK;
  if (*data != lazy_source->buffer) {
    TRY(lazy_reserve_buffer(lazy_source, (size_t)count * element_type_bytes(value->tensor.type), error));
  }
  TRY(lazy_multiply(lazy_source, value, first, count, *data, lazy_source->buffer, error));
  *data = lazy_source->buffer;
  return NORMA_OK;
}

norma_status lazy_fetch(lazy_source *lazy_source, value *value, norma_error *error) {
  if (!value_is_lazy(value)) return NORMA_OK;
  const lazy *lazy = lazy_of(value);
  shape shape = shape_of_tensor(&value->tensor);
  struct norma_value whole;
  TRY(value_allocate_tensor(lazy_source->memory, &whole, value->tensor.type, &shape, error));
  void *data = whole.tensor.data;
  bytes_in_place(lazy_source, lazy->offset, whole.tensor.size_bytes, 1);
  norma_status status = byte_source_read(&lazy_source->source, lazy->offset, data, whole.tensor.size_bytes, error);
  if (status == NORMA_OK && lazy->factors) {
    status = lazy_multiply(lazy_source, value, 0, norma_tensor_count(&value->tensor), data, data, error);
  }
  if (status != NORMA_OK) {
    value_clear(&whole);
    return status;
  }
  value_clear(value);
  *value = whole;
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- scaling */

norma_status lazy_scale(value *value, const double *factors, int64_t count, bool *done, norma_error *error) {
  lazy *lazy = lazy_of(value);
  const size_t bytes = (size_t)count * sizeof *factors;
  *done = false;
  if (lazy->factors || count < 1 || norma_tensor_count(&value->tensor) == 0) return NORMA_OK;
  lazy->factors = memory_allocate(lazy->memory, bytes);
  if (!lazy->factors) return memory_error(lazy->memory, bytes, error);
  memcpy(lazy->factors, factors, bytes);
  lazy->factor_count = count;
  *done = true;
  return NORMA_OK;
}

double *lazy_take_factors(value *value, int64_t *count) {
  lazy *lazy = lazy_of(value);
  double *factors = lazy->factors;
  *count = lazy->factor_count;
  lazy->factors = NULL;
  lazy->factor_count = 0;
  return factors;
}
