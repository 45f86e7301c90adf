/*
 * Constants that still stand where the model comes from, while it is loaded.
 *
 * The weights of a layer are read once, by the operator that packs them, in pieces that fit the cache: so they exist
 * once, and no memory is taken for their own form. The reader leaves large initializers where they are (lazy
 * values: no data, an owner that knows the place), load.c sees to it that only layers read them, and passes may
 * multiply whole output channels by factors, which is done when they are read. When a model is loaded no value is
 * lazy any more.
 *
 * One thread at a time: all of this happens within norma_model_load.
 */
#ifndef ENGINE_GRAPH_LAZY_WEIGHTS_H
#define ENGINE_GRAPH_LAZY_WEIGHTS_H

#include "engine/base/tensor.h"
#include "ops/kernels/kernel_table.h"
#include "engine/base/byte_source.h"

#define LAZY_LEAST_BYTES ((size_t)64 << 10) /* smaller initializers are read at once */

/* What the lazy values of a model have in common. */
typedef struct lazy_source {
  memory *memory;
  const struct kernel_table *kernels;
  byte_source source; /* open until lazy_source_close */
  char *room;         /* of the piece that was read last */
  size_t room_bytes;
  uint64_t mapped_begin, mapped_end; /* what was read last of a mapped file */
  bool lost; /* factors would have taken a channel out of the range of its type: the model has to be loaded without */
} lazy_source;

void lazy_source_init(lazy_source *lazy_source, memory *memory, const struct kernel_table *kernels);
/* May be called twice; values that are still lazy can only be cleared from then on. */
void lazy_source_close(lazy_source *lazy_source);

/* *into becomes a lazy value of this type and shape (float) whose bytes stand at `offset`. */
norma_status lazy_create(lazy_source *lazy_source, value *into, const norma_tensor *tensor, uint64_t offset,
                         norma_error *error);
bool value_is_lazy(const value *value);

/* Whether the value has no factors yet. */
bool lazy_takes_factors(const value *value);
/* Element i is to be multiplied by factors[i / (elements / count)], in double precision, rounded once. */
norma_status lazy_set_factors(value *value, const double *factors, int64_t count, norma_error *error);

/* Elements first .. first + count - 1, all of the channels that have a factor; valid until the next call. */
norma_status lazy_read(const value *value, int64_t first, int64_t count, const float **data, norma_error *error);
/* The value becomes an ordinary one. Nothing happens to one that is. */
norma_status lazy_fetch(value *value, norma_error *error);

#endif
