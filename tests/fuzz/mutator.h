/*
 * Mutates ONNX files at the level of their messages: fields of every type take the values that break things (0, -1, the
 * ends of the integers, NaN), names move, elements are dropped, doubled and swapped, nodes become other operators and
 * get attributes that these know; tensors change shape, type and contents such that these still fit together; tables of
 * attributes get entries of each other, texts become equations, patterns and the words that operators know; declared
 * shapes are dropped, so that inputs of other shapes get as far as the operators. What comes out still unpacks, so that
 * it reaches the code behind the wire check; now and then bytes are changed as well.
 *
 * The same seed gives the same mutant on every machine. Running out of memory ends the program.
 */
#ifndef TESTS_FUZZ_MUTATOR_H
#define TESTS_FUZZ_MUTATOR_H

#include "engine/norma.h"

#include <protobuf-c/protobuf-c.h>

typedef struct random_source {
  uint64_t state;
} random_source;

uint64_t random_next(random_source *random);
uint64_t random_below(random_source *random, uint64_t limit); /* 0 where limit is 0 */
bool random_one_in(random_source *random, uint64_t count);
/* One of the integers that break things. */
int64_t random_hostile_int(random_source *random);
double random_hostile_double(random_source *random);

/* A mutant of `size` bytes of a message of this type, from malloc. NULL when the bytes do not unpack. */
unsigned char *mutate_message(const ProtobufCMessageDescriptor *type, const unsigned char *bytes, size_t size,
                              random_source *random, size_t *mutant_size);

typedef struct message_bytes {
  unsigned char *data; /* from malloc; NULL: none */
  size_t size;
} message_bytes;

/* The same of a model; `files` are tensors for the inputs of its graph. Now and then inputs become initializers with
 * these contents, and then the files of those that stay come first, in their order. */
unsigned char *mutate_model(const ProtobufCMessageDescriptor *type, const unsigned char *bytes, size_t size,
                            message_bytes *files, size_t file_count, random_source *random, size_t *mutant_size);

#endif
