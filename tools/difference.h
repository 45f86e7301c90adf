/* Comparing values as tests do: element by element within a tolerance, or by a property of the whole. */
#ifndef TOOLS_DIFFERENCE_H
#define TOOLS_DIFFERENCE_H

#include "engine/norma.h"

typedef enum compare_rule {
  COMPARE_ELEMENTS, /* |actual - expected| <= atol + rtol * |expected|, as NumPy's allclose */
  COMPARE_MAX,      /* |actual - expected| <= max * (largest |expected| of the tensor) */
  COMPARE_TOP1,     /* the largest element of each row (last axis longer than 1) is the same */
  COMPARE_COSINE,   /* the cosine of the angle between expected and actual, as vectors, is at least min */
  COMPARE_DOMAIN    /* only type and shape, and every actual value is 0 or 1 */
} compare_rule;

typedef struct tolerance {
  compare_rule rule;
  double rtol, atol, max, min;
} tolerance;

/* rtol 1e-3, atol 1e-7: those of ONNX's own test runner. */
tolerance tolerance_default(void);

typedef struct difference {
  bool agrees;
  double max_error;                 /* largest |actual - expected|; infinite where only one of them is finite */
  double magnitude;                 /* largest finite |expected| */
  int64_t rows, rows_with_same_top; /* rows of more than one element along the last such axis */
  char text[768]; /* why they do not agree: the worst element, or what differs in type or shape; "" if they do */
} difference;

/* Compares two values of any kind. Types and shapes must be the same; NaN equals NaN and infinities equal themselves.
 * Integers, bool and strings must be equal, except that COSINE takes numbers of any type. An optional with an element
 * is compared as that element. The figures of containers are the worst of their elements. */
void compare_values(const norma_value *expected, const norma_value *actual, const tolerance *tolerance,
                    difference *difference);
void compare_tensors(const norma_tensor *expected, const norma_tensor *actual, const tolerance *tolerance,
                     difference *difference);

#endif
