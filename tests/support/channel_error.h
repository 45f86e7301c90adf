/* How near two tensors are, channel by channel, so that a large channel does not hide what is wrong in a small one. */
#ifndef TESTS_SUPPORT_CHANNEL_ERROR_H
#define TESTS_SUPPORT_CHANNEL_ERROR_H

#include "engine/base/tensor.h"

/* What may differ: in each channel (axis 1; fewer than two axes are one channel) each element by `error` times the
 * largest magnitude of that channel. A channel whose terms cancel each other is as inexact as its terms are, so it
 * counts as no smaller than `floor` times the largest one. An error of 0 asks for equal numbers; any other leaves room
 * for the steps between denormals. */
typedef struct channel_bound {
  double error, floor;
} channel_bound;

/* Fails the test unless both have the same type and shape, the same NaN and infinite elements, and differ by no more
 * than that. `what` begins the message. */
void assert_channels_near(const char *what, const norma_tensor *expected, const norma_tensor *found,
                          channel_bound bound);

#endif
