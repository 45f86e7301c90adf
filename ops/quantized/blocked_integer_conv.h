/* QLinearConv on channel blocks: what its files share. */
#ifndef OPS_QUANTIZED_BLOCKED_INTEGER_CONV_H
#define OPS_QUANTIZED_BLOCKED_INTEGER_CONV_H

#include "ops/byte_blocks.h"

/* Where the operator has its inputs. */
enum blocked_integer_conv_input {
  INTEGER_X,
  INTEGER_X_SCALE,
  INTEGER_X_ZERO,
  INTEGER_W,
  INTEGER_W_SCALE,
  INTEGER_W_ZERO,
  INTEGER_Y_SCALE,
  INTEGER_Y_ZERO,
  INTEGER_BIAS
};

/* How the inputs of a convolution come to its kernel. */
enum integer_conv_path {
  INTEGER_CONV_DIRECT,   /* pixels as they lie: kernels of 1 that step over nothing */
  INTEGER_CONV_COPIED,   /* rows are copied */
  INTEGER_CONV_PLANES,   /* rows of planes of a few channels are written out as blocks of four taps */
  INTEGER_CONV_DEPTHWISE /* one channel at a time, rows are copied */
};

typedef struct blocked_integer_conv_state {
  window_attributes attributes;
  int64_t group, channels;
  bool plain_input;

  /* The plan's. Counts are those of one group but where they say otherwise. */
  enum integer_conv_path path;
  window window;
  byte_blocks rows;
  norma_element_type x_type, w_type;
  uint8_t flip;                /* of x's bytes, for the kernel */
  int64_t samples;             /* of all */
  int64_t inputs, outputs;     /* channels */
  int64_t all_outputs, blocks; /* of all groups; blocks of outputs of all groups */
  int64_t x_blocks, taps, steps;
  int64_t x_sample, y_block;     /* bytes; of planes and of blocks */
  int64_t slice, slices;         /* rows of outputs (pixels where direct) of a piece of work; pieces */
  int64_t panels, parts;         /* of outputs; pieces that these are cut into */
  int64_t units;                 /* all pieces of work */
  int64_t grain;                 /* pieces that are worth a thread */
  size_t group_bytes;            /* of packed weights */
  size_t band_bytes, columns_at; /* in a worker's scratch: a block of copied rows; a row of planes */
  const void *weights;
  const int32_t *term; /* of all outputs, filled up to whole blocks; scale too */
  const float *scale;
} blocked_integer_conv_state;

/* Columns of planes that a row of outputs sees, and blocks of four of its taps. */
size_t integer_planes_columns(const blocked_integer_conv_state *conv);
size_t integer_planes_fours(const blocked_integer_conv_state *conv);

/* Packs weights, terms and scales, all of which are constant. */
norma_status blocked_integer_conv_prepare_weights(prepare_context *context, blocked_integer_conv_state *conv);

/* What a node with these inputs has for the block form: constants that can be packed. `outputs` is that of all groups.
 */
bool integer_conv_has_constants(const node *node, int64_t outputs);

#endif
