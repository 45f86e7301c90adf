/* Facts about element types, masks of them, and conversion of single elements. */
#ifndef ENGINE_BASE_ELEMENT_TYPE_H
#define ENGINE_BASE_ELEMENT_TYPE_H

#include "engine/norma.h"

#include <string.h>

bool element_type_exists(norma_element_type type); /* UNDEFINED and unknown numbers do not */
int element_type_bits(norma_element_type type);    /* 0 for types that do not exist */

/* Bytes of one element; types below 8 bits give 0, since they are packed. */
static inline size_t element_type_bytes(norma_element_type type) {
  return (size_t)element_type_bits(type) / 8;
}

/* Sets of element types. */
typedef uint32_t type_mask;
#define TYPE_BIT(type) ((type_mask)1 << (type))
#define TYPES_FLOAT                                                                                                    \
  (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_DOUBLE) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16))
#define TYPES_SIGNED (TYPE_BIT(NORMA_INT8) | TYPE_BIT(NORMA_INT16) | TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64))
#define TYPES_UNSIGNED                                                                                                 \
  (TYPE_BIT(NORMA_UINT8) | TYPE_BIT(NORMA_UINT16) | TYPE_BIT(NORMA_UINT32) | TYPE_BIT(NORMA_UINT64))
#define TYPES_INTEGER (TYPES_SIGNED | TYPES_UNSIGNED)
#define TYPES_NUMERIC (TYPES_FLOAT | TYPES_INTEGER)
#define TYPES_COMPLEX (TYPE_BIT(NORMA_COMPLEX64) | TYPE_BIT(NORMA_COMPLEX128))
#define TYPES_FLOAT8                                                                                                   \
  (TYPE_BIT(NORMA_FLOAT8E4M3FN) | TYPE_BIT(NORMA_FLOAT8E4M3FNUZ) | TYPE_BIT(NORMA_FLOAT8E5M2) |                        \
   TYPE_BIT(NORMA_FLOAT8E5M2FNUZ) | TYPE_BIT(NORMA_FLOAT8E8M0))
#define TYPES_PACKED                                                                                                   \
  (TYPE_BIT(NORMA_UINT4) | TYPE_BIT(NORMA_INT4) | TYPE_BIT(NORMA_FLOAT4E2M1) | TYPE_BIT(NORMA_UINT2) |                 \
   TYPE_BIT(NORMA_INT2) | TYPE_BIT(NORMA_FLOAT6E2M3) | TYPE_BIT(NORMA_FLOAT6E3M2))
#define TYPES_FIXED_SIZE                                                                                               \
  (TYPES_NUMERIC | TYPES_COMPLEX | TYPES_FLOAT8 | TYPE_BIT(NORMA_BOOL)) /* a whole number of bytes, no strings */
#define TYPES_DENSE (TYPES_FIXED_SIZE | TYPES_PACKED)                   /* all but strings */
#define TYPES_ALL   (TYPES_DENSE | TYPE_BIT(NORMA_STRING))

/* IEEE half and bfloat16; rounding to nearest even, NaN stays NaN. */
float float16_to_float(uint16_t half);
uint16_t float16_from_float(float value);
uint16_t float16_from_double(double value); /* rounds once */
static inline float bfloat16_to_float(uint16_t value) {
  uint32_t bits = (uint32_t)value << 16;
  float result;
  memcpy(&result, &bits, sizeof result);
  return result;
}
uint16_t bfloat16_from_float(float value);
uint16_t bfloat16_from_double(double value);

/* Element `index` of a packed or unpacked numeric or bool array as double; 64-bit integers may lose low bits. */
double element_get_double(norma_element_type type, const void *data, int64_t index);
/* Stores `value`, rounded to the type's nearest value (ties to even); floats to integers truncate toward zero and
 * saturate at the type's range, NaN becomes 0. Small floats saturate as ONNX's Cast does by default. */
void element_set_double(norma_element_type type, void *data, int64_t index, double value);
/* Element of an integer or bool array; floats are truncated. */
int64_t element_get_int64(norma_element_type type, const void *data, int64_t index);
void element_set_int64(norma_element_type type, void *data, int64_t index, int64_t value);

/* Arrays of f32, f64, f16, bf16 to and from float or double, element by element. */
void elements_to_float(norma_element_type type, const void *data, int64_t first, int64_t count, float *result);
void elements_from_float(norma_element_type type, void *data, int64_t first, int64_t count, const float *values);
void elements_to_double(norma_element_type type, const void *data, int64_t first, int64_t count, double *result);
void elements_from_double(norma_element_type type, void *data, int64_t first, int64_t count, const double *values);

#endif
