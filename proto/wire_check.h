/*
 * The check of a file's wire format before protobuf-c sees it, and the cut of its large payloads.
 *
 * protobuf-c recurses without limit, takes up to 140 bytes of memory per byte of file and merges repeated messages. So
 * the bytes are first walked here, without recursion, against a table of the schema: tags, wire types, lengths,
 * varints, packed arrays, UTF-8, NUL bytes in strings, fields that stand twice, and the counts and depths of the
 * limits. What comes out is a skeleton: the same message without unknown fields, without parts that Norma does not read
 * (training, sharding, hints for intermediate shapes, comments), and without the large arrays of tensors. In place of
 * such an array stands an unknown field WIRE_PAYLOAD + its field number that says where the array lies in the source;
 * the file's own unknown fields are gone, so it cannot be forged.
 *
 * The skeleton of a source is never longer than the source.
 */
#ifndef PROTO_WIRE_CHECK_H
#define PROTO_WIRE_CHECK_H

#include "engine/base/byte_source.h"

/* What the bytes are meant to be. */
typedef enum wire_root { WIRE_MODEL, WIRE_TENSOR, WIRE_SEQUENCE, WIRE_OPTIONAL, WIRE_MAP } wire_root;

typedef struct wire_limits {
  size_t max_nodes; /* NodeProto messages; attributes, fields and unknown fields are bounded by multiples of it */
  int max_depth;    /* graphs below the main graph */
  interruption *interruption; /* asked again and again; NULL: nobody is */
} wire_limits;

/* Arrays from this length on are cut out. */
#define WIRE_PAYLOAD_THRESHOLD 1024

/* A payload stands as field WIRE_PAYLOAD + number, length-prefixed, WIRE_PAYLOAD_BYTES long: offset and length, both
 * 64-bit little-endian. */
#define WIRE_PAYLOAD       1000
#define WIRE_PAYLOAD_BYTES 16

typedef struct wire_skeleton {
  unsigned char *bytes; /* from memory_allocate; transferred to the caller */
  size_t size;
} wire_skeleton;

/* Errors: FORMAT with byte offset and field path ("byte 120, graph.node[12].name: ..."), BUDGET, OUT_OF_MEMORY, FILE.
 * On failure nothing is transferred. `error` must not be NULL. */
norma_status wire_check(const byte_source *source, wire_root root, const wire_limits *limits, memory *memory,
                        wire_skeleton *skeleton, norma_error *error);

/* Decodes a varint of at most `available` bytes: the number of bytes taken, 0 when it is cut off, longer than ten bytes
 * or larger than 64 bits. */
size_t wire_varint(const unsigned char *bytes, size_t available, uint64_t *value);

#endif
