#include "engine/base/element_type.h"

#include <limits.h>
#include <math.h>

static const struct {
  const char *name;
  int bits;
} element_types[NORMA_ELEMENT_TYPE_COUNT] = {
#define ELEMENT_TYPE_ENTRY(constant, number, text, width) [number] = {.name = text, .bits = width},
    NORMA_ELEMENT_TYPE_LIST(ELEMENT_TYPE_ENTRY)
#undef ELEMENT_TYPE_ENTRY
};

bool element_type_exists(norma_element_type type) {
  return (int)type > 0 && (int)type < NORMA_ELEMENT_TYPE_COUNT;
}

int element_type_bits(norma_element_type type) {
  return element_type_exists(type) ? element_types[type].bits : 0;
}

const char *norma_element_type_name(norma_element_type type) {
  return element_types[element_type_exists(type) ? type : NORMA_UNDEFINED].name;
}

/* ----------------------------------------------------------------------------------------------------- small floats */

/* What the codes at the end of the range mean. */
typedef enum special_codes {
  SPECIAL_IEEE,  /* the highest exponent is infinity and NaN */
  SPECIAL_FN,    /* no infinity; all bits set but the sign is NaN */
  SPECIAL_FNUZ,  /* no infinity, no negative zero: its code is the only NaN */
  SPECIAL_FINITE /* neither; NaN becomes -0, as the official Cast vectors have it */
} special_codes;

/* A floating-point format of one sign bit, `exponent_bits` and `mantissa_bits`. */
typedef struct float_format {
  int exponent_bits, mantissa_bits, bias;
  special_codes special;
  bool saturate; /* what is too large becomes the largest finite number, infinity included */
} float_format;

static const float_format format_float16 = {5, 10, 15, SPECIAL_IEEE, false};
static const float_format format_bfloat16 = {8, 7, 127, SPECIAL_IEEE, false};
static const float_format format_float8e4m3fn = {4, 3, 7, SPECIAL_FN, true};
static const float_format format_float8e4m3fnuz = {4, 3, 8, SPECIAL_FNUZ, true};
static const float_format format_float8e5m2 = {5, 2, 15, SPECIAL_IEEE, true};
static const float_format format_float8e5m2fnuz = {5, 2, 16, SPECIAL_FNUZ, true};
static const float_format format_float6e2m3 = {2, 3, 1, SPECIAL_FINITE, true};
static const float_format format_float6e3m2 = {3, 2, 3, SPECIAL_FINITE, true};
static const float_format format_float4e2m1 = {2, 1, 1, SPECIAL_FINITE, true};

static uint64_t double_bits(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static uint32_t float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static float float_from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* The code of the nearest number, ties to the even code. Works on the magnitude's bits: a carry out of the mantissa
 * moves into the exponent, which is where it belongs. */
static inline uint32_t float_encode(const float_format *format, double value) {
  const uint64_t bits = double_bits(value), fraction = bits & ((UINT64_C(1) << 52) - 1);
  const int exponent_field = (int)(bits >> 52 & 0x7FF), mantissa_bits = format->mantissa_bits;
  const uint32_t sign_bit = UINT32_C(1) << (format->exponent_bits + mantissa_bits);
  const uint32_t sign = bits >> 63 ? sign_bit : 0;
  const uint32_t infinity = ((UINT32_C(1) << format->exponent_bits) - 1) << mantissa_bits;
  const uint32_t largest = format->special == SPECIAL_IEEE ? infinity - 1
                           : format->special == SPECIAL_FN ? sign_bit - 2
                                                           : sign_bit - 1;
  if (exponent_field == 0x7FF && fraction) {
    switch (format->special) {
    case SPECIAL_IEEE: /* quiet, with what fits of the payload */
      return sign | infinity | UINT32_C(1) << (mantissa_bits - 1) | (uint32_t)(fraction >> (52 - mantissa_bits));
    case SPECIAL_FN:
      return sign | (sign_bit - 1);
    default:
      return sign_bit;
    }
  }
  uint32_t code;
  if (exponent_field == 0x7FF) {
    code = largest + 1;
  } else {
    const int lowest = 1 - format->bias;
    int exponent = exponent_field - 1023, drop = 52 - mantissa_bits;
    if (exponent < lowest) {
      drop += lowest - exponent;
      exponent = lowest;
    }
    if (drop > 53 || exponent_field == 0) {
      code = 0; /* less than half of the smallest number */
    } else {
      const uint64_t significand = fraction | UINT64_C(1) << 52, kept = significand >> drop;
      const uint64_t rest = significand & ((UINT64_C(1) << drop) - 1), half = UINT64_C(1) << (drop - 1);
      const uint64_t rounded = kept + (rest > half || (rest == half && (kept & 1)));
      const uint64_t scaled = ((uint64_t)(exponent - lowest) << mantissa_bits) + rounded;
      code = scaled > largest ? largest + 1 : (uint32_t)scaled;
    }
  }
  if (code > largest) code = format->saturate ? largest : infinity;
  if (code == 0 && format->special == SPECIAL_FNUZ) return 0;
  return sign | code;
}

static double float_decode(const float_format *format, uint32_t code) {
  const uint32_t sign_bit = UINT32_C(1) << (format->exponent_bits + format->mantissa_bits);
  const uint32_t magnitude = code & (sign_bit - 1);
  const uint32_t mantissa = magnitude & ((UINT32_C(1) << format->mantissa_bits) - 1);
  const int exponent = (int)(magnitude >> format->mantissa_bits), top = (1 << format->exponent_bits) - 1;
  double value;
  if ((format->special == SPECIAL_IEEE && exponent == top && mantissa) ||
      (format->special == SPECIAL_FN && magnitude == sign_bit - 1) ||
      (format->special == SPECIAL_FNUZ && code == sign_bit)) {
    value = NAN;
  } else if (format->special == SPECIAL_IEEE && exponent == top) {
    value = INFINITY;
  } else if (exponent == 0) {
    value = ldexp(mantissa, 1 - format->bias - format->mantissa_bits);
  } else {
    value = ldexp(mantissa + (1 << format->mantissa_bits), exponent - format->bias - format->mantissa_bits);
  }
  return code & sign_bit ? -value : value;
}

/* Powers of two with neither sign nor zero; 255 is NaN. Cast's default mode: rounds up and saturates at both ends. What
 * is negative has no meaning and becomes the smallest number. */
static uint8_t float8e8m0_encode(double value) {
  if (isnan(value)) return 255;
  if (value > 0x1p127) return 254;
  if (!(value > 0x1p-127)) return 0;
  int exponent;
  double mantissa = frexp(value, &exponent); /* 0.5 <= mantissa < 1 */
  return (uint8_t)(exponent - (mantissa == 0.5) + 127);
}

static double float8e8m0_decode(uint8_t code) {
  return code == 255 ? NAN : ldexp(1, code - 127);
}

float float16_to_float(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, mantissa = half & 1023;
  if (exponent == 0) { /* exact: the product is a normal float, or zero */
    float magnitude = (float)mantissa * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  if (exponent == 31) return float_from_bits(sign | 0x7F800000 | (mantissa ? 0x400000 | mantissa << 13 : 0));
  return float_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t float16_from_float(float value) {
  return (uint16_t)float_encode(&format_float16, value);
}

uint16_t float16_from_double(double value) {
  return (uint16_t)float_encode(&format_float16, value);
}

uint16_t bfloat16_from_float(float value) {
  uint32_t bits = float_bits(value);
  if (isnan(value)) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

uint16_t bfloat16_from_double(double value) {
  return (uint16_t)float_encode(&format_bfloat16, value);
}

/* -------------------------------------------------------------------------------------------------- single elements */

/* Elements of `bits` bits, the first in the lowest bits of the first byte; 6-bit elements may lie across two bytes.
 * Threads that write must not share a byte. */
static uint32_t packed_get(const void *data, int64_t index, int bits) {
  const uint8_t *bytes = (const uint8_t *)data + (uint64_t)index * (uint64_t)bits / 8;
  const int shift = (int)((uint64_t)index * (uint64_t)bits % 8);
  uint32_t value = (uint32_t)bytes[0] >> shift;
  if (shift + bits > 8) value |= (uint32_t)bytes[1] << (8 - shift);
  return value & ((UINT32_C(1) << bits) - 1);
}

static void packed_set(void *data, int64_t index, int bits, uint32_t value) {
  uint8_t *bytes = (uint8_t *)data + (uint64_t)index * (uint64_t)bits / 8;
  const int shift = (int)((uint64_t)index * (uint64_t)bits % 8);
  const uint32_t mask = (UINT32_C(1) << bits) - 1;
  value &= mask;
  bytes[0] = (uint8_t)((bytes[0] & ~(mask << shift)) | value << shift);
  if (shift + bits > 8) bytes[1] = (uint8_t)((bytes[1] & ~(mask >> (8 - shift))) | value >> (8 - shift));
}

static int32_t sign_extend(uint32_t value, int bits) {
  const uint32_t sign = UINT32_C(1) << (bits - 1);
  return (int32_t)(value ^ sign) - (int32_t)sign;
}

/* Truncated toward zero, limited to low .. high; NaN gives 0. */
static int64_t clamp_to_int64(double value, int64_t low, int64_t high) {
  if (isnan(value)) return 0;
  if (value <= (double)low) return low;
  if (value >= (double)high) return high; /* (double)INT64_MAX is 2^63, so a cast below it is defined */
  return (int64_t)value;
}

static uint64_t clamp_to_uint64(double value) {
  if (!(value > 0)) return 0;
  return value >= 0x1p64 ? UINT64_MAX : (uint64_t)value;
}

/* `value` as double, its lost bits gathered in the lowest one (rounding to odd): rounding this to a type of at most 51
 * bits gives what rounding `value` itself would give. */
static double int64_to_double_odd(int64_t value) {
  uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  int shift = 0;
  while (magnitude >> 53) {
    magnitude = magnitude >> 1 | (magnitude & 1);
    shift++;
  }
  double result = ldexp((double)magnitude, shift);
  return value < 0 ? -result : result;
}

double element_get_double(norma_element_type type, const void *data, int64_t index) {
  switch (type) {
  case NORMA_FLOAT:
    return ((const float *)data)[index];
  case NORMA_DOUBLE:
    return ((const double *)data)[index];
  case NORMA_FLOAT16:
    return float16_to_float(((const uint16_t *)data)[index]);
  case NORMA_BFLOAT16:
    return bfloat16_to_float(((const uint16_t *)data)[index]);
  case NORMA_UINT64:
    return (double)((const uint64_t *)data)[index];
  case NORMA_COMPLEX64:
    return ((const float *)data)[2 * index]; /* the real part */
  case NORMA_COMPLEX128:
    return ((const double *)data)[2 * index];
  case NORMA_FLOAT8E4M3FN:
    return float_decode(&format_float8e4m3fn, ((const uint8_t *)data)[index]);
  case NORMA_FLOAT8E4M3FNUZ:
    return float_decode(&format_float8e4m3fnuz, ((const uint8_t *)data)[index]);
  case NORMA_FLOAT8E5M2:
    return float_decode(&format_float8e5m2, ((const uint8_t *)data)[index]);
  case NORMA_FLOAT8E5M2FNUZ:
    return float_decode(&format_float8e5m2fnuz, ((const uint8_t *)data)[index]);
  case NORMA_FLOAT8E8M0:
    return float8e8m0_decode(((const uint8_t *)data)[index]);
  case NORMA_FLOAT6E2M3:
    return float_decode(&format_float6e2m3, packed_get(data, index, 6));
  case NORMA_FLOAT6E3M2:
    return float_decode(&format_float6e3m2, packed_get(data, index, 6));
  case NORMA_FLOAT4E2M1:
    return float_decode(&format_float4e2m1, packed_get(data, index, 4));
  case NORMA_UNDEFINED:
  case NORMA_STRING:
    return 0;
  default:
    return (double)element_get_int64(type, data, index);
  }
}

void element_set_double(norma_element_type type, void *data, int64_t index, double value) {
  switch (type) {
  case NORMA_FLOAT:
    ((float *)data)[index] = (float)value;
    break;
  case NORMA_DOUBLE:
    ((double *)data)[index] = value;
    break;
  case NORMA_FLOAT16:
    ((uint16_t *)data)[index] = float16_from_double(value);
    break;
  case NORMA_BFLOAT16:
    ((uint16_t *)data)[index] = bfloat16_from_double(value);
    break;
  case NORMA_BOOL:
    ((uint8_t *)data)[index] = value != 0;
    break;
  case NORMA_UINT8:
    ((uint8_t *)data)[index] = (uint8_t)clamp_to_int64(value, 0, UINT8_MAX);
    break;
  case NORMA_INT8:
    ((int8_t *)data)[index] = (int8_t)clamp_to_int64(value, INT8_MIN, INT8_MAX);
    break;
  case NORMA_UINT16:
    ((uint16_t *)data)[index] = (uint16_t)clamp_to_int64(value, 0, UINT16_MAX);
    break;
  case NORMA_INT16:
    ((int16_t *)data)[index] = (int16_t)clamp_to_int64(value, INT16_MIN, INT16_MAX);
    break;
  case NORMA_UINT32:
    ((uint32_t *)data)[index] = (uint32_t)clamp_to_int64(value, 0, UINT32_MAX);
    break;
  case NORMA_INT32:
    ((int32_t *)data)[index] = (int32_t)clamp_to_int64(value, INT32_MIN, INT32_MAX);
    break;
  case NORMA_UINT64:
    ((uint64_t *)data)[index] = clamp_to_uint64(value);
    break;
  case NORMA_INT64:
    ((int64_t *)data)[index] = clamp_to_int64(value, INT64_MIN, INT64_MAX);
    break;
  case NORMA_UINT4:
    packed_set(data, index, 4, (uint32_t)clamp_to_int64(value, 0, 15));
    break;
  case NORMA_INT4:
    packed_set(data, index, 4, (uint32_t)clamp_to_int64(value, -8, 7));
    break;
  case NORMA_UINT2:
    packed_set(data, index, 2, (uint32_t)clamp_to_int64(value, 0, 3));
    break;
  case NORMA_INT2:
    packed_set(data, index, 2, (uint32_t)clamp_to_int64(value, -2, 1));
    break;
  case NORMA_FLOAT8E4M3FN:
    ((uint8_t *)data)[index] = (uint8_t)float_encode(&format_float8e4m3fn, value);
    break;
  case NORMA_FLOAT8E4M3FNUZ:
    ((uint8_t *)data)[index] = (uint8_t)float_encode(&format_float8e4m3fnuz, value);
    break;
  case NORMA_FLOAT8E5M2:
    ((uint8_t *)data)[index] = (uint8_t)float_encode(&format_float8e5m2, value);
    break;
  case NORMA_FLOAT8E5M2FNUZ:
    ((uint8_t *)data)[index] = (uint8_t)float_encode(&format_float8e5m2fnuz, value);
    break;
  case NORMA_FLOAT8E8M0:
    ((uint8_t *)data)[index] = float8e8m0_encode(value);
    break;
  case NORMA_FLOAT6E2M3:
    packed_set(data, index, 6, float_encode(&format_float6e2m3, value));
    break;
  case NORMA_FLOAT6E3M2:
    packed_set(data, index, 6, float_encode(&format_float6e3m2, value));
    break;
  case NORMA_FLOAT4E2M1:
    packed_set(data, index, 4, float_encode(&format_float4e2m1, value));
    break;
  case NORMA_COMPLEX64:
    ((float *)data)[2 * index] = (float)value;
    ((float *)data)[2 * index + 1] = 0;
    break;
  case NORMA_COMPLEX128:
    ((double *)data)[2 * index] = value;
    ((double *)data)[2 * index + 1] = 0;
    break;
  case NORMA_UNDEFINED:
  case NORMA_STRING:
    break;
  }
}

int64_t element_get_int64(norma_element_type type, const void *data, int64_t index) {
  switch (type) {
  case NORMA_BOOL:
    return ((const uint8_t *)data)[index] != 0;
  case NORMA_UINT8:
    return ((const uint8_t *)data)[index];
  case NORMA_INT8:
    return ((const int8_t *)data)[index];
  case NORMA_UINT16:
    return ((const uint16_t *)data)[index];
  case NORMA_INT16:
    return ((const int16_t *)data)[index];
  case NORMA_UINT32:
    return ((const uint32_t *)data)[index];
  case NORMA_INT32:
    return ((const int32_t *)data)[index];
  case NORMA_UINT64:
    return (int64_t)((const uint64_t *)data)[index];
  case NORMA_INT64:
    return ((const int64_t *)data)[index];
  case NORMA_UINT4:
    return packed_get(data, index, 4);
  case NORMA_INT4:
    return sign_extend(packed_get(data, index, 4), 4);
  case NORMA_UINT2:
    return packed_get(data, index, 2);
  case NORMA_INT2:
    return sign_extend(packed_get(data, index, 2), 2);
  default:
    return clamp_to_int64(element_get_double(type, data, index), INT64_MIN, INT64_MAX);
  }
}

void element_set_int64(norma_element_type type, void *data, int64_t index, int64_t value) {
  switch (type) {
  case NORMA_BOOL:
    ((uint8_t *)data)[index] = value != 0;
    break;
  case NORMA_UINT8:
  case NORMA_INT8:
    ((uint8_t *)data)[index] = (uint8_t)value;
    break;
  case NORMA_UINT16:
  case NORMA_INT16:
    ((uint16_t *)data)[index] = (uint16_t)value;
    break;
  case NORMA_UINT32:
  case NORMA_INT32:
    ((uint32_t *)data)[index] = (uint32_t)value;
    break;
  case NORMA_UINT64:
  case NORMA_INT64:
    ((uint64_t *)data)[index] = (uint64_t)value;
    break;
  case NORMA_UINT4:
  case NORMA_INT4:
    packed_set(data, index, 4, (uint32_t)value);
    break;
  case NORMA_UINT2:
  case NORMA_INT2:
    packed_set(data, index, 2, (uint32_t)value);
    break;
  case NORMA_DOUBLE:
    ((double *)data)[index] = (double)value;
    break;
  case NORMA_COMPLEX128:
    element_set_double(type, data, index, (double)value);
    break;
  default:
    element_set_double(type, data, index, int64_to_double_odd(value));
    break;
  }
}

/* ----------------------------------------------------------------------------------------------------------- arrays */

void elements_to_float(norma_element_type type, const void *data, int64_t first, int64_t count, float *result) {
  switch (type) {
  case NORMA_FLOAT:
    if (count > 0) memcpy(result, (const float *)data + first, (size_t)count * sizeof(float));
    break;
  case NORMA_FLOAT16:
    for (int64_t i = 0; i < count; i++) result[i] = float16_to_float(((const uint16_t *)data)[first + i]);
    break;
  case NORMA_BFLOAT16:
    for (int64_t i = 0; i < count; i++) result[i] = bfloat16_to_float(((const uint16_t *)data)[first + i]);
    break;
  default:
    for (int64_t i = 0; i < count; i++) result[i] = (float)element_get_double(type, data, first + i);
    break;
  }
}

void elements_from_float(norma_element_type type, void *data, int64_t first, int64_t count, const float *values) {
  switch (type) {
  case NORMA_FLOAT:
    if (count > 0) memcpy((float *)data + first, values, (size_t)count * sizeof(float));
    break;
  case NORMA_FLOAT16:
    for (int64_t i = 0; i < count; i++) ((uint16_t *)data)[first + i] = float16_from_float(values[i]);
    break;
  case NORMA_BFLOAT16:
    for (int64_t i = 0; i < count; i++) ((uint16_t *)data)[first + i] = bfloat16_from_float(values[i]);
    break;
  default:
    for (int64_t i = 0; i < count; i++) element_set_double(type, data, first + i, values[i]);
    break;
  }
}

void elements_to_double(norma_element_type type, const void *data, int64_t first, int64_t count, double *result) {
  switch (type) {
  case NORMA_FLOAT:
    for (int64_t i = 0; i < count; i++) result[i] = ((const float *)data)[first + i];
    break;
  case NORMA_DOUBLE:
    if (count > 0) memcpy(result, (const double *)data + first, (size_t)count * sizeof(double));
    break;
  default:
    for (int64_t i = 0; i < count; i++) result[i] = element_get_double(type, data, first + i);
    break;
  }
}

void elements_from_double(norma_element_type type, void *data, int64_t first, int64_t count, const double *values) {
  switch (type) {
  case NORMA_FLOAT:
    for (int64_t i = 0; i < count; i++) ((float *)data)[first + i] = (float)values[i];
    break;
  case NORMA_DOUBLE:
    if (count > 0) memcpy((double *)data + first, values, (size_t)count * sizeof(double));
    break;
  default:
    for (int64_t i = 0; i < count; i++) element_set_double(type, data, first + i, values[i]);
    break;
  }
}
