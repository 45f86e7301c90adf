/* Writes a value as the bytes of a TensorProto, SequenceProto, OptionalProto or MapProto, as value_reader.h reads them.
 */
#ifndef PROTO_VALUE_WRITER_H
#define PROTO_VALUE_WRITER_H

#include "engine/base/tensor.h"

/* Takes the next `count` bytes; false ends the writing with a FILE error. */
typedef bool (*write_bytes)(void *context, const void *bytes, size_t count);

/* Which message it is follows from the value's kind. `name` may be NULL. Errors: ARGUMENT (NORMA_VALUE_NONE, and what
 * has no form as a message: a sequence with elements of several kinds, an optional with more than one, a map without a
 * value for each key), FILE, BUDGET, OUT_OF_MEMORY. */
norma_status value_write(memory *memory, const value *from, const char *name, write_bytes write, void *context,
                         norma_error *error);

/* The same into memory: *bytes is for the caller to free with memory_free. */
norma_status value_write_memory(memory *memory, const value *from, const char *name, void **bytes, size_t *size,
                                norma_error *error);

#endif
