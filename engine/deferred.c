#include "engine/deferred.h"

#include "engine/status.h"

#include <float.h>
#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

/* What the owner of a deferred value wraps. */
typedef struct deferred {
  deferral *deferral;
  uint64_t offset;
  double *factors; /* NULL: none */
  int64_t factor_count;
} deferred;

void deferral_init(deferral *deferral, memory *memory, const struct kernel_table *kernels) {
  *deferral = (struct deferral){.memory = memory, .kernels = kernels, .source = {.file = -1}};
}

/* Pages of a mapped file that were read once need not stay in this process' memory. */
static void forget_mapped(deferral *deferral) {
#ifdef MADV_DONTNEED
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), begin = deferral->mapped_begin / page * page;
  if (begin < deferral->mapped_end) {
    madvise((char *)(uintptr_t)deferral->source.data + begin, (size_t)(deferral->mapped_end - begin), MADV_DONTNEED);
  }
#endif
  deferral->mapped_begin = deferral->mapped_end = 0;
}

void deferral_close(deferral *deferral) {
  if (deferral->source.mapping) forget_mapped(deferral);
  byte_source_close(&deferral->source);
  memory_free(deferral->memory, deferral->room);
  deferral->room = NULL;
  deferral->room_bytes = 0;
}

/* -------------------------------------------------------------------------------------------------------------- values
 */

static void release_deferred(void *context) {
  deferred *deferred = context;
  memory *memory = deferred->deferral->memory;
  memory_free(memory, deferred->factors);
  memory_free(memory, deferred);
}

norma_status deferred_create(deferral *deferral, value *into, const norma_tensor *tensor, uint64_t offset,
                             norma_error *error) {
  struct deferred *created = memory_allocate(deferral->memory, sizeof *created);
  if (!created) return memory_error(deferral->memory, sizeof *created, error);
  *created = (struct deferred){.deferral = deferral, .offset = offset};
  *into = (value){.kind = NORMA_VALUE_TENSOR, .tensor = *tensor};
  into->tensor.data = NULL;
  into->owner = buffer_wrap(deferral->memory, created, tensor->size_bytes, release_deferred, created);
  if (into->owner) return NORMA_OK;
  memory_free(deferral->memory, created);
  *into = (value){.kind = NORMA_VALUE_NONE};
  return memory_error(deferral->memory, sizeof(buffer), error);
}

bool value_is_deferred(const value *value) {
  return value->kind == NORMA_VALUE_TENSOR && value->owner && value->owner->release_data == release_deferred;
}

static deferred *deferred_of(const value *value) {
  return value->owner->release_context;
}

bool deferred_takes_factors(const value *value) {
  return !deferred_of(value)->factors;
}

norma_status deferred_set_factors(value *value, const double *factors, int64_t count, norma_error *error) {
  deferred *deferred = deferred_of(value);
  memory *memory = deferred->deferral->memory;
  size_t bytes = (size_t)count * sizeof *factors;
  deferred->factors = memory_allocate(memory, bytes);
  if (!deferred->factors) return memory_error(memory, bytes, error);
  memcpy(deferred->factors, factors, bytes);
  deferred->factor_count = count;
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------- reading
 */

static norma_status make_room(deferral *deferral, size_t bytes, norma_error *error) {
  if (deferral->room_bytes >= bytes) return NORMA_OK;
  memory_free(deferral->memory, deferral->room);
  deferral->room_bytes = 0;
  deferral->room = memory_allocate(deferral->memory, bytes);
  if (!deferral->room) return memory_error(deferral->memory, bytes, error);
  deferral->room_bytes = bytes;
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
  const deferred *deferred = deferred_of(value);
  int64_t run = norma_tensor_count(&value->tensor) / deferred->factor_count;
  if (first % run != 0 || count % run != 0) {
    return error_set(error, NORMA_ERROR_INTERNAL, "a part of a channel is read that has to be scaled as a whole");
  }
  for (int64_t i = 0; i < count; i += run) {
    double factor = deferred->factors[(first + i) / run];
    float largest[2];
    deferred->deferral->kernels->scale_f32(to + i, from + i, (size_t)run, factor, largest);
    if (keeps_digits(factor, largest)) continue;
    deferred->deferral->lost = true;
    return error_set(error, NORMA_ERROR_INTERNAL, "a factor takes weights out of the range of their type");
  }
  return NORMA_OK;
}

/* The bytes where they are, or NULL where they must be copied first. */
static const float *bytes_in_place(deferral *deferral, uint64_t offset, size_t length) {
  if (!deferral->source.data) return NULL;
  if (deferral->source.mapping) { /* whether they are copied or not: what was read before is forgotten */
    forget_mapped(deferral);
    deferral->mapped_begin = offset;
    deferral->mapped_end = offset + length;
  }
  const void *bytes = deferral->source.data + offset;
  return (uintptr_t)bytes % sizeof(float) == 0 ? bytes : NULL;
}

norma_status deferred_read(const value *value, int64_t first, int64_t count, const float **data, norma_error *error) {
  const deferred *deferred = deferred_of(value);
  deferral *deferral = deferred->deferral;
  uint64_t offset = deferred->offset + (uint64_t)first * sizeof(float);
  size_t length = (size_t)count * sizeof(float);
  *data = bytes_in_place(deferral, offset, length);
  if (*data && !deferred->factors) return NORMA_OK;
  TRY(make_room(deferral, length, error));
  if (!*data) TRY(byte_source_read(&deferral->source, offset, deferral->room, length, error));
  float *room = (float *)(void *)deferral->room;
  if (deferred->factors) TRY(multiply(value, first, count, *data ? *data : room, room, error));
  *data = room;
  return NORMA_OK;
}

norma_status deferred_fetch(value *value, norma_error *error) {
  if (!value_is_deferred(value)) return NORMA_OK;
  const deferred *deferred = deferred_of(value);
  shape shape = shape_of_tensor(&value->tensor);
  struct norma_value whole;
  TRY(value_allocate_tensor(deferred->deferral->memory, &whole, value->tensor.type, &shape, error));
  float *data = whole.tensor.data;
  bytes_in_place(deferred->deferral, deferred->offset, whole.tensor.size_bytes);
  norma_status status =
      byte_source_read(&deferred->deferral->source, deferred->offset, data, whole.tensor.size_bytes, error);
  if (status == NORMA_OK && deferred->factors) {
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
