/*
 * Constants that still stand where the model comes from, while it is loaded.
 *
 * The weights of a layer are read once, by the operator that packs them, in pieces that fit the cache: so they exist
 * once, and no memory is taken for their own form. The reader leaves large initializers where they are (lazy values: no
 * data, an owner that knows the place), the loader sees to it that only operators that pack them read them
 * (facts.weights), and passes may multiply whole output channels by factors, which is done when they are read. When a
 * model is loaded no value is lazy any more.
 *
 * One thread at a time: all of this happens within norma_model_load.
 */
#ifndef ENGINE_GRAPH_LAZY_WEIGHTS_H
#define ENGINE_GRAPH_LAZY_WEIGHTS_H

#include "engine/base/byte_source.h"
#include "engine/base/tensor.h"
#include "ops/kernels/kernel_table.h"

#define LAZY_LEAST_BYTES ((size_t)64 << 10) /* smaller initializers are read at once */

/* Element types of values that may be lazy: their bytes are those of raw_data. */
#define TYPES_LAZY (TYPES_NUMERIC | TYPES_COMPLEX | TYPES_FLOAT8)

/* Where the lazy values of a model stand. */
typedef struct lazy_source {
  memory *memory;
  const struct kernel_table *kernels;
  byte_source source; /* open until lazy_source_close */
  char *buffer;       /* holds the piece that was read last */
  size_t buffer_bytes;
  uint64_t mapped_begin, mapped_end; /* what was read last of a mapped file */
  const value *lost;                 /* factors took a channel of it out of the range of its type; NULL: none */
} lazy_source;

void lazy_source_init(lazy_source *lazy_source, memory *memory, const struct kernel_table *kernels);
/* May be called twice; values that are still lazy can only be cleared from then on. */
void lazy_source_close(lazy_source *lazy_source);

/* *into becomes a lazy value of this type and shape whose bytes stand at `offset`. */
norma_status lazy_create(lazy_source *lazy_source, value *into, const norma_tensor *tensor, uint64_t offset,
                         norma_error *error);
bool value_is_lazy(const value *value);
/* *into becomes a lazy value of the same numbers as float; `from`, lazy and of half precision, has no factors. */
norma_status lazy_widen(lazy_source *lazy_source, value *into, const value *from, norma_error *error);

/* Element i of a value of a float type is to be multiplied by factors[i / (elements / count)], in double precision,
 * rounded once, when it is read. *done: false where the value has factors already. A channel that leaves the range of
 * its type by that (becomes infinite, or as a whole too small to keep its digits) is noticed when it is read: reading
 * fails, and lazy_source.lost is the value. */
norma_status lazy_scale(value *value, const double *factors, int64_t count, bool *done, norma_error *error);
/* Takes the factors away again: the caller frees them, and none are left. NULL: there were none. */
double *lazy_take_factors(value *value, int64_t *count);

/* Elements first .. first + count - 1, all of the channels that have a factor; valid until the next call. */
norma_status lazy_read(lazy_source *lazy_source, const value *value, int64_t first, int64_t count, const void **data,
                       norma_error *error);
/* The value becomes an ordinary one. Nothing happens to one that is. */
norma_status lazy_fetch(lazy_source *lazy_source, value *value, norma_error *error);

#endif
