/*
 * Shapes, value descriptions and run-time values.
 *
 * value_info  what is known of a value before it exists: kind, element type, shape with unknown dimensions.
 * value       the thing itself. A tensor's data are borrowed (owner NULL: arena, caller's input, model) or held through
 *             a reference on `owner`. Containers hold a reference on a list, which is immutable once shared.
 */
#ifndef ENGINE_BASE_TENSOR_H
#define ENGINE_BASE_TENSOR_H

#include "engine/base/element_type.h"
#include "engine/base/memory.h"
#include "engine/norma.h"

#define RANK_UNKNOWN (-1)
#define DIM_UNKNOWN  (-1)

typedef struct shape {
  int rank;                     /* RANK_UNKNOWN, or 0 to NORMA_MAX_RANK */
  int64_t dims[NORMA_MAX_RANK]; /* DIM_UNKNOWN, or at least 0 */
} shape;

shape shape_unknown(void);
shape shape_of_rank(int rank); /* all dimensions unknown */
shape shape_make(int rank, const int64_t *dims);
shape shape_of_tensor(const norma_tensor *tensor);
bool shape_is_known(const shape *shape); /* rank and all dimensions */
bool shape_equal(const shape *a, const shape *b);
/* The number of elements; DIM_UNKNOWN when a dimension is unknown (and none is 0) or the product overflows. */
int64_t shape_count(const shape *shape);
/* Product of dims[begin .. end - 1], which must be known; 1 for an empty range. Shapes of tensors that exist cannot
 * overflow, parts of one with a 0 elsewhere can: INT64_MAX. */
int64_t dims_product(const int64_t *dims, int begin, int end);
/* "2x3x?" or "scalar" or "?" into text. */
const char *shape_text(const shape *shape, char *text, size_t size);
/* A negative axis counts from the end; false when it is outside -rank .. rank - 1. */
bool axis_normalize(int64_t axis, int rank, int *result);
/* Merges what two descriptions know; false on contradiction. */
bool shape_merge(shape *into, const shape *from);
/* Multidirectional (NumPy) broadcasting with unknown dimensions; false when the shapes do not fit. */
bool shape_broadcast(const shape *a, const shape *b, shape *result);

typedef struct value_info {
  norma_value_kind kind;         /* NORMA_VALUE_NONE: not known yet */
  norma_element_type type;       /* of a tensor; key type of a map */
  shape shape;                   /* of a tensor */
  const struct value_info *item; /* element of a sequence or optional, value of a map; NULL if unknown */
} value_info;

value_info value_info_tensor(norma_element_type type, const shape *shape);
/* Bytes of a tensor, 0 where the shape is not known. */
double value_info_bytes(const value_info *info);

/* ------------------------------------------------------------------------------------------------------------ value */

typedef struct value_list {
  memory *memory;
  atomic_int references;
  int64_t count;
  int64_t capacity;
  struct norma_value *items;    /* each holds its own references */
  struct value_list *next_dead; /* while lists are freed: the next one to go */
} value_list;

struct norma_value {
  norma_value_kind kind;
  norma_tensor tensor; /* TENSOR */
  buffer *owner;       /* TENSOR: NULL when borrowed */
  value_list *list;    /* SEQUENCE, OPTIONAL, MAP; never NULL for these kinds */
};
typedef struct norma_value value;

/* Takes the value's references away and sets it to NORMA_VALUE_NONE. */
void value_clear(value *value);

/* *into (which must hold nothing) becomes another reference to the same contents; borrowed data stay borrowed. */
void value_share(value *into, const value *from);

/* *into becomes independent of borrowed data: owned data are shared, borrowed data are copied.
 * NORMA_ERROR_OUT_OF_MEMORY or BUDGET leave *into cleared. */
norma_status value_copy(memory *memory, value *into, const value *from, norma_error *error);

/* A tensor that owns fresh, undefined data (strings: all empty). `shape` must be known. */
norma_status value_allocate_tensor(memory *memory, value *into, norma_element_type type, const shape *shape,
                                   norma_error *error);

/* A string tensor of `count` strings whose characters take `bytes` bytes in all, in one block: *characters points at
 * room for them; the caller fills in data and size of each element. */
norma_status value_allocate_strings(memory *memory, value *into, const shape *shape, size_t bytes, char **characters,
                                    norma_error *error);

/* An empty container (SEQUENCE, OPTIONAL, MAP) with room for `capacity` elements, which are NONE until set. */
norma_status value_allocate_list(memory *memory, value *into, norma_value_kind kind, int64_t count, norma_error *error);

/* Whether a caller's tensor is one: type, shape, size_bytes and data agree. NULL is none. */
bool tensor_is_sound(const norma_tensor *tensor);

/* The description of an existing value. `item` stays NULL. */
value_info value_info_of(const value *value);

/* The i-th element of an integer tensor of any integer type. */
static inline int64_t tensor_get_int64(const norma_tensor *tensor, int64_t index) {
  return element_get_int64(tensor->type, tensor->data, index);
}

/* For descriptions of memory that is only read: a norma_tensor, like a walk over one, has one pointer for what is read
 * and what is written. Inputs and constants are never written. */
static inline void *tensor_read_only(const void *data) {
  return (void *)(uintptr_t)data;
}

#endif
