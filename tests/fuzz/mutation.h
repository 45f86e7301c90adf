/* What the parts of the mutator share: one mutant in the making. */
#ifndef TESTS_FUZZ_MUTATION_H
#define TESTS_FUZZ_MUTATION_H

#include "tests/fuzz/mutator.h"

#include "proto/onnx.pb-c.h"

/* Everything that belongs to one mutant; freed together. */
typedef struct mutation_block {
  struct mutation_block *next;
} mutation_block;

typedef struct mutation {
  random_source *random;
  mutation_block *blocks;
  struct site *sites;
  size_t site_count, site_capacity;
  Onnx__NodeProto **nodes;
  size_t node_count, node_capacity;
  Onnx__TensorProto **tensors;
  size_t tensor_count, tensor_capacity;
  char **names; /* strings of the message: what names can be swapped for */
  size_t name_count, name_capacity;
} mutation;

/* Zeroed memory and a copy of a text, freed with the mutant. */
void *mutation_take(mutation *mutation, size_t bytes);
char *mutation_text(mutation *mutation, const char *text);

/* A word that some operator knows (mode, activation, image format), an Einsum equation, a regular expression, a number,
 * or text that is none of them. */
char *random_text(mutation *mutation);

/* Changes contents, shape or type of a tensor such that they mostly still fit together: what follows sees a valid
 * tensor that it does not expect. */
void mutate_tensor(mutation *mutation, Onnx__TensorProto *tensor);

/* Changes one element of the node's lists; where several lists have as many elements as each other, as the tables of
 * trees have, all of them lose or repeat the same one now and then. */
void mutate_tables(mutation *mutation, Onnx__NodeProto *node);

/* Drops what the graph declares of the shapes of inputs and outputs. */
void loosen_shapes(mutation *mutation, Onnx__GraphProto *graph);

#endif
