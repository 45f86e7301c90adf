/* Taking protobuf messages apart into fields and putting messages together from pieces, so that what is not changed
 * keeps its bytes. Messages must have passed the wire check. A private header of proto/. */
#ifndef PROTO_WIRE_EDIT_H
#define PROTO_WIRE_EDIT_H

#include "proto/value_writer.h"

typedef struct wire_span {
  const unsigned char *bytes;
  size_t size;
} wire_span;

/* One field of a message. */
typedef struct wire_part {
  uint32_t number;
  wire_span whole;    /* with tag and length */
  wire_span contents; /* of a length-prefixed field; of the others the number's bytes */
  bool is_length;     /* length-prefixed */
  uint64_t value;     /* of a varint */
} wire_part;

/* Takes the next field off *rest; false at the end, and where the bytes are no fields. */
bool wire_next(wire_span *rest, wire_part *part);

/* The contents of the first field `number`; empty where there is none. */
wire_span wire_find(wire_span message, uint32_t number);
/* The first varint field `number`. */
int64_t wire_find_int(wire_span message, uint32_t number, int64_t otherwise);
/* The contents of field `number` counted by `index`; false where there are fewer. */
bool wire_find_nth(wire_span message, uint32_t number, size_t index, wire_span *contents);

bool span_equals(wire_span span, const char *text);
/* Its bytes are never NULL, which is what a failed build gives. */
wire_span span_of_bytes(const void *bytes, size_t size);
wire_span span_of_text(const char *text);

/* A message that grows from pieces, in order. Pieces are borrowed until the build is freed; what is made new lies in
 * the region. Running out of memory is noted in `failed` and found at the end. */
typedef struct wire_build {
  region *region;
  wire_span *pieces; /* from the region's memory account */
  size_t count, capacity;
  size_t size; /* of all pieces */
  bool failed;
} wire_build;

void build_init(wire_build *build, region *region);
void build_free(wire_build *build);

void build_add(wire_build *build, wire_span piece);
/* The same of bytes that the caller will change: they are copied. */
void build_copy(wire_build *build, const void *bytes, size_t size);
void build_varint(wire_build *build, uint64_t value);
void build_int(wire_build *build, uint32_t number, uint64_t value); /* a varint field */
/* Contents of NULL are those of a build that failed, and so does this one. */
void build_length_prefixed(wire_build *build, uint32_t number, wire_span contents);
void build_text(wire_build *build, uint32_t number, const char *text);
void build_message(wire_build *build, uint32_t number, const wire_build *message); /* pieces are shared */
/* All pieces as one block in the region; NULL bytes where memory was short. */
wire_span build_flatten(const wire_build *build);

/* Errors: OUT_OF_MEMORY or BUDGET where the build failed, FILE where write said so. */
norma_status build_write(const wire_build *build, write_bytes write, void *context, norma_error *error);

/* A TensorProto with raw data, and a ValueInfoProto, for names and tensors that did not exist before. */
wire_span make_tensor_message(region *region, const char *name, const norma_tensor *tensor);
wire_span make_value_info_message(region *region, const char *name, const norma_tensor *tensor);

#endif
