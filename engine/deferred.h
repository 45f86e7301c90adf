/*
 * Constants that still stand where the model comes from, while it is loaded.
 *
 * The weights of a layer are read once, by the operator that packs them, in pieces that fit the cache: so they exist
 * once, and no memory is taken for their own form. The reader leaves large initializers where they are (deferred
 * values: no data, an owner that knows the place), load.c sees to it that only layers read them, and passes may
 * multiply whole output channels by factors, which is done when they are read. When a model is loaded no value is
 * deferred any more.
 *
 * One thread at a time: all of this happens within norma_model_load.
 */
#ifndef ENGINE_DEFERRED_H
#define ENGINE_DEFERRED_H

#include "engine/tensor.h"
#include "ops/kernels/kernel_table.h"
#include "proto/byte_source.h"

#define DEFERRED_LEAST_BYTES ((size_t)64 << 10) /* smaller initializers are read at once */

/* What the deferred values of a model have in common. */
typedef struct deferral {
  memory *memory;
  const struct kernel_table *kernels;
  byte_source source; /* open until deferral_close */
  char *room;         /* of the piece that was read last */
  size_t room_bytes;
  uint64_t mapped_begin, mapped_end; /* what was read last of a mapped file */
  bool lost; /* factors would have taken a channel out of the range of its type: the model has to be loaded without */
} deferral;

void deferral_init(deferral *deferral, memory *memory, const struct kernel_table *kernels);
/* May be called twice; values that are still deferred can only be cleared from then on. */
void deferral_close(deferral *deferral);

/* *into becomes a deferred value of this type and shape (float) whose bytes stand at `offset`. */
norma_status deferred_create(deferral *deferral, value *into, const norma_tensor *tensor, uint64_t offset,
                             norma_error *error);
bool value_is_deferred(const value *value);

/* Whether the value has no factors yet. */
bool deferred_takes_factors(const value *value);
/* Element i is to be multiplied by factors[i / (elements / count)], in double precision, rounded once. */
norma_status deferred_set_factors(value *value, const double *factors, int64_t count, norma_error *error);

/* Elements first .. first + count - 1, all of the channels that have a factor; valid until the next call. */
norma_status deferred_read(const value *value, int64_t first, int64_t count, const float **data, norma_error *error);
/* The value becomes an ordinary one. Nothing happens to one that is. */
norma_status deferred_fetch(value *value, norma_error *error);

#endif
