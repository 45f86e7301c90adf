/*
 * TensorProto -> value: every element type in every encoding that ONNX defines. A tensor's bytes are read once, from
 * the source that the wire check ran over, or from external data, straight into the memory where they stay.
 */
#ifndef PROTO_TENSOR_READER_H
#define PROTO_TENSOR_READER_H

#include "engine/base/tensor.h"
#include "proto/external_data.h"

#include "proto/onnx.pb-c.h"

typedef struct tensor_source {
  memory *memory;
  const byte_source *bytes;        /* what arrays that the wire check cut out are read from */
  external_data *external;         /* NULL: tensors with external data are refused */
  struct lazy_source *lazy_source; /* NULL: tensors are read at once; else large ones stay in `bytes`, which are its */
} tensor_source;

/* The tensor becomes owned by *into, which must hold nothing; where the source is mapped it may be a view that keeps
 * the mapping. Bytes of bool tensors other than 0 become 1. Errors: INVALID_MODEL (type, shape and data do not fit
 * together), UNSUPPORTED (segments), FORMAT, FILE, BUDGET, OUT_OF_MEMORY; they name the tensor. */
norma_status tensor_read(const tensor_source *source, const Onnx__TensorProto *proto, value *into, norma_error *error);

/* A SparseTensorProto as a dense tensor: zeros, and the values at their indices. Indices must rise strictly and lie
 * inside the shape. */
norma_status sparse_tensor_read(const tensor_source *source, const Onnx__SparseTensorProto *proto, value *into,
                                norma_error *error);

/* The dims of a tensor as a shape, checked: rank, sign. `name` is for messages. */
norma_status tensor_read_dims(const char *name, size_t rank, const int64_t *dims, shape *shape, norma_error *error);

#endif
