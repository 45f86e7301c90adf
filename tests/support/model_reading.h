/* Reads models for tests, with an allocator that can be made to fail and that finds what is not given back. */
#ifndef TESTS_SUPPORT_MODEL_READING_H
#define TESTS_SUPPORT_MODEL_READING_H

#include "engine/graph/model.h"
#include "proto/model_reader.h"

typedef struct model_reading {
  memory memory;
  norma_model model;
  model_read_options options; /* max_nodes 10,000 and max_depth 16 unless changed */
  norma_error error;
  size_t allocations; /* so far */
  size_t fail_at;     /* the number of the first allocation that fails, counted from 1; 0: none */
  bool fail_once;     /* only that one fails; else all from there on */
} model_reading;

void reading_init(model_reading *reading, size_t memory_limit);
/* Reads; what was read before must have been released. */
norma_status reading_read(model_reading *reading, const void *bytes, size_t size);
norma_status reading_read_file(model_reading *reading, const char *path);
/* Frees the model and returns the bytes that are still held: 0 unless something leaks. */
size_t reading_release(model_reading *reading);

/* The node of that name, or the first of that operator, in the main graph; NULL if there is none. */
node *reading_node(const model_reading *reading, const char *name);

/* A growing block of bytes, for messages written by hand. */
typedef struct byte_block {
  unsigned char bytes[1 << 16];
  size_t size;
} byte_block;

void block_add(byte_block *block, const void *bytes, size_t size);
void block_varint(byte_block *block, uint64_t value);
void block_tag(byte_block *block, unsigned field, unsigned wire_type);
/* A length-prefixed field. */
void block_field(byte_block *block, unsigned field, const void *bytes, size_t size);
void block_text(byte_block *block, unsigned field, const char *text);
void block_int(byte_block *block, unsigned field, uint64_t number);

/* An empty one, to be freed by block_message, which makes it a field of another, or with free. */
byte_block *block_new(void);
void block_message(byte_block *block, unsigned field, byte_block *inner);

#endif
