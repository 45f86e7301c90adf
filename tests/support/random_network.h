/*
 * Networks of random nodes and shapes, the same for the same seed: convolutions of every kind, pools, normalizations,
 * sums, Concat, Resize, and matrix products at the end, as odd as ONNX allows (channels that fill no block, images of
 * one pixel, asymmetric pads, strides and dilations beyond the image).
 *
 *     random_network network;
 *     random_network_make(&network, seed, 6, false);
 *     ... builder_bytes(network.builder, &size) ... network.input ...
 *     random_network_free(&network);
 */
#ifndef TESTS_SUPPORT_RANDOM_NETWORK_H
#define TESTS_SUPPORT_RANDOM_NETWORK_H

#include "tests/support/model_builder.h"

typedef struct random_network {
  model_builder *builder;
  int64_t input[4]; /* of "x"; its batch is unknown in the model: any will do */
  bool late;        /* height and width are known in the run only, from the inputs "starts" and "ends" */
  char text[2000];  /* the nodes, for a failing check */
  struct network_value {
    char name[24];
    int64_t dims[3]; /* channels, height, width */
  } values[64];
  size_t value_count;
  uint64_t seed;
} random_network;

/* About `nodes` nodes. Outputs are "y", the last value, and some of those before it. With `late` every value behind the
 * input is an allocation of its own, so that a sanitizer sees accesses beyond it. */
void random_network_make(random_network *network, uint64_t seed, int nodes, bool late);
void random_network_free(random_network *network);

#endif
