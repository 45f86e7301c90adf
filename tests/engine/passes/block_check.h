/*
 * Tests of channel blocks: a model is run as exported and with all passes, on every kernel table of this machine.
 *
 *     model_builder *b = builder_create(13);
 *     builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){-1, 8, 7, 7});
 *     block_conv(b, "x", "y", (block_conv_form){.channels = 8, .outputs = 20, .kernel = 3});
 *     builder_output(b, "y", NORMA_FLOAT, -1, NULL);
 *     check_blocks(b, &(block_case){.what = "3x3", .input = {2, 8, 7, 7}, .reorders = 2, .any_batch = true});
 */
#ifndef TESTS_ENGINE_PASSES_BLOCK_CHECK_H
#define TESTS_ENGINE_PASSES_BLOCK_CHECK_H

#include "tests/support/model_builder.h"

typedef struct block_case {
  const char *what;
  int64_t input[4]; /* the shape of "x"; of three dimensions where the last is 0 */
  int reorders;     /* steps that only change the order of elements; -1: any number, else no more than these */
  bool any_batch;   /* the model takes the first sample alone, and gives the same bits for it */
} block_case;

/*
 * Destroys the builder. Fails unless the first output is the same within some roundings of each channel (more where
 * Winograd's algorithm may be chosen), for `exact` within fewer, NaN and infinite elements being the same; and unless
 * all numbers of threads, and the first sample alone, give the same bits.
 */
void check_blocks(model_builder *b, const block_case *c);

/* Numbers in -1 .. 1, the same in each run of the program; to be freed. */
float *block_numbers(int64_t count);
/* A whole number in low .. high. */
int64_t block_random(int64_t low, int64_t high);

/* An initializer of random numbers in -scale .. scale. */
void block_constant(model_builder *b, const char *name, int rank, const int64_t *dims, float scale);

/* y = Conv(x) that pads to keep the size; zeros stand for 1. Of two spatial axes, or one: `is_line`. */
typedef struct block_conv_form {
  int64_t channels, outputs, group, kernel, stride, dilation;
  bool without_bias, is_line;
} block_conv_form;
void block_conv(model_builder *b, const char *x, const char *y, block_conv_form form);

#endif
