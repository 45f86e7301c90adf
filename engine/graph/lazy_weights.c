#include "engine/graph/lazy_weights.h"

#include "engine/base/status.h"

#include <float.h>
#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

/* What the owner of a lazy value wraps. */
typedef struct lazy {
  lazy_source *lazy_source;
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
    madvise((char *)(uintptr_t)lazy_source->source.data + begin, (size_t)(lazy_source->mapped_end - begin),
            MADV_DONTNEED);
  }
#endif
  lazy_source->mapped_begin = lazy_source->mapped_end = 0;
}

void lazy_source_close(lazy_source *lazy_source) {
  if (lazy_source->source.mapping) forget_mapped(lazy_source);
  byte_source_close(&lazy_source->source);
  memory_free(lazy_source->memory, lazy_source->room);
  lazy_source->room = NULL;
  lazy_source->room_bytes = 0;
}

/* ----------------------------------------------------------------------------------------------------------- values */

static void release_lazy(void *context) {
  lazy *lazy = context;
  memory *memory = lazy->lazy_source->memory;
  memory_free(memory, lazy->factors);
  memory_free(memory, lazy);
}

norma_status lazy_create(lazy_source *lazy_source, value *into, const norma_tensor *tensor, uint64_t offset,
                         norma_error *error) {
  struct lazy *created = memory_allocate(lazy_source->memory, sizeof *created);
  if (!created) return memory_error(lazy_source->memory, sizeof *created, error);
  *created = (struct lazy){.lazy_source = lazy_source, .offset = offset};
  *into = (value){.kind = NORMA_VALUE_TENSOR, .tensor = *tensor};
  into->tensor.data = NULL;
  into->owner = buffer_wrap(lazy_source->memory, created, tensor->size_bytes, release_lazy, created);
  if (into->owner) return NORMA_OK;
  memory_free(lazy_source->memory, created);
  *into = (value){.kind = NORMA_VALUE_NONE};
  return memory_error(lazy_source->memory, sizeof(buffer), error);
}

bool value_is_lazy(const value *value) {
  return value->kind == NORMA_VALUE_TENSOR && value->owner && value->owner->release_data == release_lazy;
}

static lazy *lazy_of(const value *value) {
  return value->owner->release_context;
}

bool lazy_takes_factors(const value *value) {
  return !lazy_of(value)->factors;
}

norma_status lazy_set_factors(value *value, const double *factors, int64_t count, norma_error *error) {
  lazy *lazy = lazy_of(value);
  memory *memory = lazy->lazy_source->memory;
  size_t bytes = (size_t)count * sizeof *factors;
  lazy->factors = memory_allocate(memory, bytes);
  if (!lazy->factors) return memory_error(memory, bytes, error);
  memcpy(lazy->factors, factors, bytes);
  lazy->factor_count = count;
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- reading */

static norma_status make_room(lazy_source *lazy_source, size_t bytes, norma_error *error) {
  if (lazy_source->room_bytes >= bytes) return NORMA_OK;
  memory_free(lazy_source->memory, lazy_source->room);
  lazy_source->room_bytes = 0;
  lazy_source->room = memory_allocate(lazy_source->memory, bytes);
  if (!lazy_source->room) return memory_error(lazy_source->memory, bytes, error);
  lazy_source->room_bytes = bytes;
  return NORMA_OK;
}

/* Whether a channel is still what it was, but for the rounding of its elements. */
static bool keeps_digits(double factor, const float largest[2]) {
  if (!isfinite(largest[1])) return false;
  return factor == 0 || largest[0] < FLT_MIN || largest[1] >= FLT_MIN;
}

/* to = from times the factors; both may be the same. */
static norma_status multiply(const value *value, int64_t first, int64_t count, const float *from, float *to,
                             norma_error *error) {
  const lazy *lazy = lazy_of(value);
  int64_t run = norma_tensor_count(&value->tensor) / lazy->factor_count;
  if (first % run != 0 || count % run != 0) {
    return error_set(error, NORMA_ERROR_INTERNAL, "a part of a channel is read that has to be scaled as a whole");
  }
  for (int64_t i = 0; i < count; i += run) {
    double factor = lazy->factors[(first + i) / run];
    float largest[2];
    lazy->lazy_source->kernels->scale_f32(to + i, from + i, (size_t)run, factor, largest);
    if (keeps_digits(factor, largest)) continue;
    lazy->lazy_source->lost = true;
    return error_set(error, NORMA_ERROR_INTERNAL, "a factor takes weights out of the range of their type");
  }
  return NORMA_OK;
}

/* The bytes where they are, or NULL where they must be copied first. */
static const float *bytes_in_place(lazy_source *lazy_source, uint64_t offset, size_t length) {
  if (!lazy_source->source.data) return NULL;
  if (lazy_source->source.mapping) { /* whether they are copied or not: what was read before is forgotten */
    forget_mapped(lazy_source);
    lazy_source->mapped_begin = offset;
    lazy_source->mapped_end = offset + length;
  }
  const void *bytes = lazy_source->source.data + offset;
  return (uintptr_t)bytes % sizeof(float) == 0 ? bytes : NULL;
}

norma_status lazy_read(const value *value, int64_t first, int64_t count, const float **data, norma_error *error) {
  const lazy *lazy = lazy_of(value);
  lazy_source *lazy_source = lazy->lazy_source;
  uint64_t offset = lazy->offset + (uint64_t)first * sizeof(float);
  size_t length = (size_t)count * sizeof(float);
  *data = bytes_in_place(lazy_source, offset, length);
  if (*data && !lazy->factors) return NORMA_OK;
  TRY(make_room(lazy_source, length, error));
  if (!*data) TRY(byte_source_read(&lazy_source->source, offset, lazy_source->room, length, error));
  float *room = (float *)(void *)lazy_source->room;
  if (lazy->factors) TRY(multiply(value, first, count, *data ? *data : room, room, error));
  *data = room;
  return NORMA_OK;
}

norma_status lazy_fetch(value *value, norma_error *error) {
  if (!value_is_lazy(value)) return NORMA_OK;
  const lazy *lazy = lazy_of(value);
  shape shape = shape_of_tensor(&value->tensor);
  struct norma_value whole;
  TRY(value_allocate_tensor(lazy->lazy_source->memory, &whole, value->tensor.type, &shape, error));
  float *data = whole.tensor.data;
  bytes_in_place(lazy->lazy_source, lazy->offset, whole.tensor.size_bytes);
  norma_status status =
      byte_source_read(&lazy->lazy_source->source, lazy->offset, data, whole.tensor.size_bytes, error);
  if (status == NORMA_OK && lazy->factors) {
    status = multiply(value, 0, norma_tensor_count(&value->tensor), data, data, error);
  }
  if (status != NORMA_OK) {
    value_clear(&whole);
    return status;
  }
  value_clear(value);
  *value = whole;
  return NORMA_OK;
}
