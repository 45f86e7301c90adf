/*
 * What operators of two broadcast inputs share: the rules of broadcasting by version, and rows of typed loops.
 *
 * From version 7 on both inputs are broadcast as NumPy does. Before, the attribute broadcast = 1 let B have one
 * element, or dimensions that match some adjacent ones of A: the last ones, or those from attribute axis on; else the
 * shapes are the same.
 */
#ifndef OPS_ELEMENTWISE_BINARY_H
#define OPS_ELEMENTWISE_BINARY_H

#include "ops/strided.h"

#include <stdatomic.h>

typedef struct binary_broadcast {
  bool limited; /* the rules before version 7 */
  bool enabled; /* attribute broadcast */
  bool has_axis;
  int64_t axis;
} binary_broadcast;

void binary_broadcast_read(const node *node, binary_broadcast *broadcast);

/* The shape that B has for plain broadcasting with A: trailing dimensions of 1 added where B stands for dimensions in
 * the middle of A. false when the shapes do not fit. */
bool binary_align(const binary_broadcast *broadcast, const shape *a, const shape *b, shape *aligned);

/* Output 0 has the broadcast shape of inputs 0 and 1, and this type. */
norma_status binary_infer_shape(infer_context *context, const binary_broadcast *broadcast, norma_element_type type);

/* Walks output 0 (operand 0) with inputs `a` and `b` (operands 1 and 2) in rows; broadcast may be NULL. In a row, the
 * step of an input is its element's size, or 0 where it is repeated; of the output it is the element's size. */
norma_status binary_run(run_context *context, const binary_broadcast *broadcast, const norma_tensor *a,
                        const norma_tensor *b, int64_t grain, strided_row *row, void *argument);

#define BINARY_ATTRIBUTES                                                                                              \
  {"consumed_inputs", ATTRIBUTE_INTS, 1, 5, false}, {"axis", ATTRIBUTE_INT, 1, 6, false}, {                            \
    "broadcast", ATTRIBUTE_INT, 1, 6, false                                                                            \
  }

/* X(element type, C type) */
#define NATIVE_SIGNED(X) X(NORMA_INT8, int8_t) X(NORMA_INT16, int16_t) X(NORMA_INT32, int32_t) X(NORMA_INT64, int64_t)
#define NATIVE_UNSIGNED(X)                                                                                             \
  X(NORMA_UINT8, uint8_t) X(NORMA_UINT16, uint16_t) X(NORMA_UINT32, uint32_t) X(NORMA_UINT64, uint64_t)

/* A strided_row named `name`: y = expression of x and z; `argument` may be used in it. */
#define BINARY_ROW(name, left, right, result, expression)                                                              \
  static void name(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {                       \
    result *ys = (result *)(void *)pointers[0];                                                                        \
    const left *xs = (const left *)(const void *)pointers[1];                                                          \
    const right *zs = (const right *)(const void *)pointers[2];                                                        \
    (void)argument;                                                                                                    \
    if (steps[1] && steps[2]) {                                                                                        \
      for (int64_t i = 0; i < count; i++) {                                                                            \
        const left x = xs[i];                                                                                          \
        const right z = zs[i];                                                                                         \
        ys[i] = (result)(expression);                                                                                  \
      }                                                                                                                \
    } else if (steps[1]) {                                                                                             \
      const right z = zs[0];                                                                                           \
      for (int64_t i = 0; i < count; i++) {                                                                            \
        const left x = xs[i];                                                                                          \
        ys[i] = (result)(expression);                                                                                  \
      }                                                                                                                \
    } else {                                                                                                           \
      const left x = xs[0];                                                                                            \
      for (int64_t i = 0; i < count; i++) {                                                                            \
        const right z = zs[steps[2] ? i : 0];                                                                          \
        ys[i] = (result)(expression);                                                                                  \
      }                                                                                                                \
    }                                                                                                                  \
  }

#endif
