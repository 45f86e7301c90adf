/* Reads bytes that hold one value: a TensorProto, SequenceProto, OptionalProto or MapProto (inputs and outputs of
 * tests). */
#ifndef PROTO_VALUE_READER_H
#define PROTO_VALUE_READER_H

#include "engine/base/tensor.h"

/* `kind` says which message the bytes hold, since they do not: SEQUENCE, OPTIONAL (an empty one becomes a list without
 * elements), MAP (values that are scalars of one type become one tensor); TENSOR. The `size` bytes are borrowed during
 * the call; *into, which must hold nothing, owns its data afterwards. Errors: ARGUMENT (NONE), FORMAT, INVALID_MODEL (a
 * tensor whose parts do not fit together), UNSUPPORTED (external data), BUDGET, OUT_OF_MEMORY. */
norma_status value_read_memory(memory *memory, const void *data, size_t size, norma_value_kind kind, value *into,
                               norma_error *error);

#endif
