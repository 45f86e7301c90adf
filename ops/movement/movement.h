/*
 * Data movement over every element type. Operators that only move elements see them as 1, 2, 4, 8 or 16 bytes: elements
 * of packed types are unpacked to a byte each before and packed after, strings are moved as norma_string and their
 * characters copied at the end.
 */
#ifndef OPS_MOVEMENT_MOVEMENT_H
#define OPS_MOVEMENT_MOVEMENT_H

#include "ops/strided.h"

/* Bytes of one element as the functions below present it. */
size_t movement_bytes(norma_element_type type);

/* The elements of an input, each of movement_bytes; valid until compute returns. */
norma_status movement_source(run_context *context, const norma_tensor *tensor, const void **source);

/* Where the elements of output `index`, each of movement_bytes, are to be written: a view that has the output's type
 * and shape. (Outputs of strings have neither before they are made.) The output must be wanted. */
norma_status movement_target(run_context *context, int index, norma_tensor *target);

/* Turns what was written to `target` (or what lies in memory of the same layout) into output `index`. */
norma_status movement_finish(run_context *context, int index, const norma_tensor *target);

/* Copies bytes, in parallel; nothing where both pointers are the same. */
norma_status movement_copy_bytes(run_context *context, void *to, const void *from, size_t bytes);

/* The compute of operators whose output 0 has the elements of input 0 in the same order; copies where they do not share
 * memory already. Any kind of value. */
norma_status movement_same(run_context *context);

/* The strided copy of what movement_source gave to what movement_target gave: `walk` has rank, dims and the strides of
 * both (in elements, operand 0 is the target); offsets are where its index 0, ..., 0 lies. */
norma_status movement_strided(run_context *context, strided *walk, const norma_tensor *target, int64_t target_offset,
                              const void *source, int64_t source_offset);

/* The strides of a contiguous tensor. */
static inline void movement_strides(int rank, const int64_t *dims, int64_t *strides) {
  int64_t stride = 1;
  for (int i = rank - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= dims[i];
  }
}

/* One element of `type` at `index`, in the presentation above, into item[16]. */
void movement_get(norma_element_type type, const void *data, int64_t index, void *item);

/* `count` elements of a packed type to a byte each, and back; what is left of the last byte becomes zero.
 * Errors: those of run_poll. */
norma_status movement_unpack(const run_context *context, norma_element_type type, uint8_t *codes, const void *data,
                             int64_t count);
norma_status movement_pack(const run_context *context, norma_element_type type, void *data, const uint8_t *codes,
                           int64_t count);

#endif
