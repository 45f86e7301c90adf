/* Floats of 8 bits where what is too large for them becomes infinite or NaN, as ONNX's saturate = 0 asks. */
#ifndef OPS_SMALL_FLOAT_H
#define OPS_SMALL_FLOAT_H

#include "engine/base/element_type.h"

#include <math.h>

/* The code that saturate = 0 gives for what is too large, 0 where `x` fits. Limits: the largest number and half a step,
 * where ties go to the even neighbour. */
static inline unsigned small_float_overflow(norma_element_type type, double x) {
  const unsigned sign = signbit(x) ? 0x80 : 0;
  const double magnitude = fabs(x);
  switch (type) {
  case NORMA_FLOAT8E4M3FN:
    return magnitude > 464 ? sign | 0x7F : 0;
  case NORMA_FLOAT8E4M3FNUZ:
    return magnitude >= 248 ? 0x80 : 0;
  case NORMA_FLOAT8E5M2:
    return magnitude >= 61440 ? sign | 0x7C : 0;
  case NORMA_FLOAT8E5M2FNUZ:
    return magnitude >= 61440 ? 0x80 : 0;
  default:
    return 0;
  }
}

#endif
