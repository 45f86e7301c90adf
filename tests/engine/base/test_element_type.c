/* Element types: every 8-bit and 16-bit code against its definition, rounding at every border between neighbours,
 * packed access, and saturation of integers. */
#include "engine/base/element_type.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* ----------------------------------------------------------------------------------------------------- small floats */

/* A format as its paper or standard gives it: numbers (-1)^s 2^(e - bias) (1 + m / 2^mantissa), below e = 1 without the
 * 1, and the codes that are no such numbers. */
typedef struct small_float {
  norma_element_type type;
  int bits, exponent, mantissa, bias;
  uint32_t first_special, last_special; /* magnitudes that are NaN, but for `infinity`; empty when first > last */
  uint32_t infinity;                    /* magnitude; 0: the format has none */
  uint32_t largest;                     /* magnitude of the largest number */
  bool negative_zero_is_nan;
  bool overflows; /* what is too large becomes infinity; else the largest number */
} small_float;

static const small_float small_floats[] = {
    {NORMA_FLOAT16, 16, 5, 10, 15, 0x7C01, 0x7FFF, 0x7C00, 0x7BFF, false, true},
    {NORMA_BFLOAT16, 16, 8, 7, 127, 0x7F81, 0x7FFF, 0x7F80, 0x7F7F, false, true},
    {NORMA_FLOAT8E4M3FN, 8, 4, 3, 7, 0x7F, 0x7F, 0, 0x7E, false, false},
    {NORMA_FLOAT8E4M3FNUZ, 8, 4, 3, 8, 1, 0, 0, 0x7F, true, false},
    {NORMA_FLOAT8E5M2, 8, 5, 2, 15, 0x7D, 0x7F, 0x7C, 0x7B, false, false},
    {NORMA_FLOAT8E5M2FNUZ, 8, 5, 2, 16, 1, 0, 0, 0x7F, true, false},
    {NORMA_FLOAT6E2M3, 6, 2, 3, 1, 1, 0, 0, 0x1F, false, false},
    {NORMA_FLOAT6E3M2, 6, 3, 2, 3, 1, 0, 0, 0x1F, false, false},
    {NORMA_FLOAT4E2M1, 4, 2, 1, 1, 1, 0, 0, 7, false, false},
};
#define SMALL_FLOAT_COUNT (sizeof small_floats / sizeof *small_floats)

static uint32_t small_sign(const small_float *format) {
  return 1u << (format->bits - 1);
}

static double small_value(const small_float *format, uint32_t code) {
  uint32_t magnitude = code & (small_sign(format) - 1);
  double sign = code & small_sign(format) ? -1 : 1;
  if (format->negative_zero_is_nan && code == small_sign(format)) return NAN;
  if (format->infinity && magnitude == format->infinity) return sign * INFINITY;
  if (magnitude >= format->first_special && magnitude <= format->last_special) return NAN;
  double fraction = (double)(magnitude % (1u << format->mantissa)) / (double)(1u << format->mantissa);
  int exponent = (int)(magnitude >> format->mantissa);
  return exponent ? sign * pow(2, exponent - format->bias) * (1 + fraction)
                  : sign * pow(2, 1 - format->bias) * fraction;
}

/* The code stored at `index` of an array, whatever its packing. */
static uint32_t read_code(const small_float *format, const uint8_t *data, int64_t index) {
  uint32_t code = 0;
  for (int bit = 0; bit < format->bits; bit++) {
    int64_t position = index * format->bits + bit;
    code |= (uint32_t)(data[position / 8] >> position % 8 & 1) << bit;
  }
  return code;
}

static void write_code(const small_float *format, uint8_t *data, int64_t index, uint32_t code) {
  for (int bit = 0; bit < format->bits; bit++) {
    int64_t position = index * format->bits + bit;
    data[position / 8] &= (uint8_t) ~(1u << position % 8);
    data[position / 8] |= (uint8_t)((code >> bit & 1) << position % 8);
  }
}

static uint32_t encode(const small_float *format, double value) {
  _Alignas(8) uint8_t data[8] = {0};
  element_set_double(format->type, data, 1, value);
  return read_code(format, data, 1);
}

static void assert_code(const small_float *format, double value, uint32_t expected) {
  uint32_t code = encode(format, value);
  if (code != expected) {
    fail_msg("%s of %a: expected code 0x%x, got 0x%x", norma_element_type_name(format->type), value, expected, code);
  }
}

static bool same_double(double a, double b) {
  return isnan(a) ? isnan(b) != 0 : a == b && signbit(a) == signbit(b);
}

static void every_code_decodes_to_its_definition(void **state) {
  (void)state;
  for (size_t f = 0; f < SMALL_FLOAT_COUNT; f++) {
    const small_float *format = &small_floats[f];
    for (uint32_t code = 0; code < 1u << format->bits; code++) {
      _Alignas(8) uint8_t data[8] = {0};
      write_code(format, data, 1, code);
      double expected = small_value(format, code), value = element_get_double(format->type, data, 1);
      if (!same_double(value, expected)) {
        fail_msg("%s code 0x%x: expected %a, got %a", norma_element_type_name(format->type), code, expected, value);
      }
    }
  }
}

static void every_number_encodes_to_its_code(void **state) {
  (void)state;
  for (size_t f = 0; f < SMALL_FLOAT_COUNT; f++) {
    const small_float *format = &small_floats[f];
    for (uint32_t code = 0; code < 1u << format->bits; code++) {
      double value = small_value(format, code);
      if (isnan(value)) continue;
      if (isinf(value) && !format->overflows) continue;
      assert_code(format, value, code);
    }
  }
}

/* Between each pair of neighbours: the middle goes to the even code, everything else to the nearer one. */
static void rounding_is_to_nearest_even(void **state) {
  (void)state;
  for (size_t f = 0; f < SMALL_FLOAT_COUNT; f++) {
    const small_float *format = &small_floats[f];
    for (uint32_t code = 0; code < format->largest; code++) {
      double low = small_value(format, code), high = small_value(format, code + 1), middle = (low + high) / 2;
      uint32_t even = code % 2 ? code + 1 : code;
      for (int negative = 0; negative < 2; negative++) {
        uint32_t sign = negative ? small_sign(format) : 0;
        uint32_t below = code == 0 && format->negative_zero_is_nan ? 0 : sign | code;
        double s = negative ? -1 : 1;
        assert_code(format, s * middle, even == code ? below : sign | even);
        assert_code(format, s * nextafter(middle, 0), below);
        assert_code(format, s * nextafter(middle, INFINITY), sign | (code + 1));
        assert_code(format, s * nextafter(high, 0), sign | (code + 1));
        if (code > 0) assert_code(format, s * nextafter(low, INFINITY), below);
      }
    }
  }
}

static void overflow_saturates_or_becomes_infinity(void **state) {
  (void)state;
  for (size_t f = 0; f < SMALL_FLOAT_COUNT; f++) {
    const small_float *format = &small_floats[f];
    double largest = small_value(format, format->largest);
    double step = largest - small_value(format, format->largest - 1);
    uint32_t above = format->overflows ? format->infinity : format->largest, sign = small_sign(format);
    assert_code(format, nextafter(largest + step / 2, 0), format->largest);
    assert_code(format, largest + step / 2, above);
    assert_code(format, 1e300, above);
    assert_code(format, -1e300, sign | above);
    assert_code(format, INFINITY, above);
    assert_code(format, -INFINITY, sign | above);
  }
}

static void nan_stays_nan(void **state) {
  (void)state;
  for (size_t f = 0; f < SMALL_FLOAT_COUNT; f++) {
    const small_float *format = &small_floats[f];
    double stored = small_value(format, encode(format, NAN));
    if (format->first_special > format->last_special && !format->negative_zero_is_nan) {
      assert_true(stored == 0 && signbit(stored)); /* no NaN in the format: -0 */
    } else {
      assert_true(isnan(stored));
    }
  }
  assert_int_equal(encode(&small_floats[4], NAN), 0x7E); /* the codes of ONNX's test vectors */
  assert_int_equal(encode(&small_floats[2], NAN), 0x7F);
}

static void double_subnormals_round_to_zero(void **state) {
  (void)state;
  for (size_t f = 0; f < SMALL_FLOAT_COUNT; f++) {
    const small_float *format = &small_floats[f];
    assert_code(format, 5e-324, 0);
    assert_code(format, 0x1p-1022, 0);
    assert_code(format, -0x1p-1022, format->negative_zero_is_nan ? 0 : small_sign(format));
  }
}

/* The functions for 16-bit types alone, over all floats whose lower 8 bits are interesting. */
static void float_and_double_agree_for_16_bit_types(void **state) {
  (void)state;
  static const uint32_t low[] = {0, 1, 0x7F, 0x80, 0x81, 0xFF};
  for (uint32_t high = 0; high < 1u << 24; high++) {
    for (size_t i = 0; i < sizeof low / sizeof *low; i++) {
      uint32_t bits = high << 8 | low[i];
      float value;
      memcpy(&value, &bits, sizeof value);
      if (isnan(value)) continue;
      uint16_t half = float16_from_float(value), brain = bfloat16_from_float(value);
      if (half != float16_from_double(value) || brain != bfloat16_from_double(value)) {
        fail_msg("%a rounds differently as float and as double", value);
      }
    }
  }
  for (uint32_t code = 0; code < 1u << 16; code++) {
    double half = small_value(&small_floats[0], code), brain = small_value(&small_floats[1], code);
    assert_true(same_double(float16_to_float((uint16_t)code), half));
    assert_true(same_double(bfloat16_to_float((uint16_t)code), brain));
  }
  assert_true(isnan(float16_to_float(float16_from_float(NAN))));
  assert_true(isnan(bfloat16_to_float(bfloat16_from_float(NAN))));
  uint32_t bits = 0x7F800001; /* a NaN whose payload is lost must not become infinity */
  float signalling;
  memcpy(&signalling, &bits, sizeof signalling);
  assert_true(isnan(bfloat16_to_float(bfloat16_from_float(signalling))));
  assert_true(isnan(float16_to_float(float16_from_float(signalling))));
}

static void double_rounds_once(void **state) {
  (void)state;
  /* Just above the middle of 1 and the next number, by less than a float can tell. */
  assert_int_equal(float16_from_double(1 + 0x1p-11 + 0x1p-40), 0x3C01);
  assert_int_equal(float16_from_float((float)(1 + 0x1p-11 + 0x1p-40)), 0x3C00);
  assert_int_equal(bfloat16_from_double(1 + 0x1p-8 + 0x1p-40), 0x3F81);
}

static void float8e8m0_holds_powers_of_two(void **state) {
  (void)state;
  uint8_t code;
  for (int i = 0; i < 255; i++) {
    code = (uint8_t)i;
    assert_true(element_get_double(NORMA_FLOAT8E8M0, &code, 0) == pow(2, i - 127));
    element_set_double(NORMA_FLOAT8E8M0, &code, 0, pow(2, i - 127));
    assert_int_equal(code, i);
    element_set_double(NORMA_FLOAT8E8M0, &code, 0, pow(2, i - 127) * 1.0001); /* upwards, as Cast does by default */
    assert_int_equal(code, i == 254 ? 254 : i + 1);
  }
  code = 255;
  assert_true(isnan(element_get_double(NORMA_FLOAT8E8M0, &code, 0)));
  static const struct {
    double value;
    int code;
  } special[] = {{0, 0}, {1e-300, 0}, {INFINITY, 254}, {1e300, 254}, {NAN, 255}, {1, 127}, {1.1, 128}, {0.124, 124}};
  for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
    element_set_double(NORMA_FLOAT8E8M0, &code, 0, special[i].value);
    assert_int_equal(code, special[i].code);
  }
}

/* --------------------------------------------------------------------------------------------------------- integers */

typedef struct integer_type {
  norma_element_type type;
  int64_t low, high;
} integer_type;

static const integer_type integers[] = {
    {NORMA_UINT8, 0, UINT8_MAX},
    {NORMA_INT8, INT8_MIN, INT8_MAX},
    {NORMA_UINT16, 0, UINT16_MAX},
    {NORMA_INT16, INT16_MIN, INT16_MAX},
    {NORMA_UINT32, 0, UINT32_MAX},
    {NORMA_INT32, INT32_MIN, INT32_MAX},
    {NORMA_INT64, INT64_MIN, INT64_MAX},
    {NORMA_UINT4, 0, 15},
    {NORMA_INT4, -8, 7},
    {NORMA_UINT2, 0, 3},
    {NORMA_INT2, -2, 1},
};
#define INTEGER_COUNT (sizeof integers / sizeof *integers)

static void floats_to_integers_truncate_and_saturate(void **state) {
  (void)state;
  for (size_t i = 0; i < INTEGER_COUNT; i++) {
    const integer_type *t = &integers[i];
    const struct {
      double value;
      int64_t expected;
    } cases[] = {
        {0.99, 0},
        {-0.99, 0},
        {1.99, 1},
        {1e300, t->high},
        {-1e300, t->low},
        {INFINITY, t->high},
        {-INFINITY, t->low},
        {NAN, 0},
        {-1.5, t->low < 0 ? -1 : 0},
        {(double)t->high, t->high},
        {(double)t->low, t->low},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
      _Alignas(8) uint8_t data[32];
      memset(data, 0xA5, sizeof data);
      element_set_double(t->type, data, 3, cases[c].value);
      int64_t stored = element_get_int64(t->type, data, 3);
      if (stored != cases[c].expected) {
        fail_msg("%s of %g: expected %lld, got %lld", norma_element_type_name(t->type), cases[c].value,
                 (long long)cases[c].expected, (long long)stored);
      }
      assert_true(element_get_double(t->type, data, 3) == (double)stored);
    }
  }
  uint64_t wide;
  element_set_double(NORMA_UINT64, &wide, 0, 0x1p63);
  assert_true(wide == UINT64_C(1) << 63);
  element_set_double(NORMA_UINT64, &wide, 0, 0x1p64);
  assert_true(wide == UINT64_MAX);
  element_set_double(NORMA_UINT64, &wide, 0, -1);
  assert_true(wide == 0);
  wide = UINT64_MAX;
  assert_true(element_get_double(NORMA_UINT64, &wide, 0) == 0x1p64);
}

static void integers_keep_their_low_bits(void **state) {
  (void)state;
  static const int64_t values[] = {0, 1, -1, 200, -200, 0x123456789ABCDEF, INT64_MIN, INT64_MAX};
  for (size_t i = 0; i < INTEGER_COUNT; i++) {
    const integer_type *t = &integers[i];
    int bits = element_type_bits(t->type);
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
      _Alignas(8) uint8_t data[32] = {0};
      element_set_int64(t->type, data, 2, values[v]);
      int64_t stored = element_get_int64(t->type, data, 2);
      uint64_t mask = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
      assert_true(((uint64_t)stored & mask) == ((uint64_t)values[v] & mask));
      assert_true(stored >= t->low && stored <= t->high);
    }
  }
}

static void large_integers_round_once_to_floats(void **state) {
  (void)state;
  float f;
  uint16_t brain;
  double d;
  /* Half of a float's step above a float, and one more: lost in a double, and still above the middle. */
  int64_t value = (INT64_C(1) << 62) + (INT64_C(1) << 38) + 1;
  element_set_int64(NORMA_FLOAT, &f, 0, value);
  assert_true(f == 0x1p62f + 0x1p39f);
  element_set_int64(NORMA_FLOAT, &f, 0, -value);
  assert_true(f == -(0x1p62f + 0x1p39f));
  element_set_int64(NORMA_FLOAT, &f, 0, value - 1);
  assert_true(f == 0x1p62f);
  element_set_int64(NORMA_BFLOAT16, &brain, 0, (INT64_C(1) << 62) + (INT64_C(1) << 54) + 1);
  assert_true(bfloat16_to_float(brain) == 0x1p62f + 0x1p55f);
  element_set_int64(NORMA_DOUBLE, &d, 0, (INT64_C(1) << 53) + 1);
  assert_true(d == 0x1p53);
  element_set_int64(NORMA_FLOAT, &f, 0, INT64_MIN);
  assert_true(f == -0x1p63f);
}

static void bool_is_zero_or_one(void **state) {
  (void)state;
  uint8_t b = 7;
  assert_int_equal(element_get_int64(NORMA_BOOL, &b, 0), 1);
  element_set_double(NORMA_BOOL, &b, 0, 0.25);
  assert_int_equal(b, 1);
  element_set_double(NORMA_BOOL, &b, 0, NAN);
  assert_int_equal(b, 1);
  element_set_double(NORMA_BOOL, &b, 0, -0.0);
  assert_int_equal(b, 0);
  element_set_int64(NORMA_BOOL, &b, 0, 256);
  assert_int_equal(b, 1);
}

/* Each element of a packed array is written alone and leaves its neighbours as they are. */
static void packed_elements_do_not_disturb_each_other(void **state) {
  (void)state;
  static const norma_element_type types[] = {NORMA_UINT4, NORMA_INT4,       NORMA_FLOAT4E2M1, NORMA_UINT2,
                                             NORMA_INT2,  NORMA_FLOAT6E2M3, NORMA_FLOAT6E3M2};
  for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
    for (int64_t written = 0; written < 9; written++) {
      uint8_t zeros[8] = {0}, ones[8];
      memset(ones, 0xFF, sizeof ones);
      element_set_double(types[t], zeros, written, 1);
      element_set_double(types[t], ones, written, 1);
      int bits = element_type_bits(types[t]);
      for (int64_t bit = 0; bit < 64; bit++) {
        bool inside = bit >= written * bits && bit < (written + 1) * bits;
        int z = zeros[bit / 8] >> bit % 8 & 1, o = ones[bit / 8] >> bit % 8 & 1;
        if (inside)
          assert_int_equal(z, o);
        else
          assert_true(z == 0 && o == 1);
      }
      assert_true(element_get_double(types[t], ones, written) == 1);
    }
  }
}

static void six_bit_elements_are_packed_as_onnx_packs_them(void **state) {
  (void)state;
  /* Codes 1, 2, 3, 4: byte 0 = v0 | v1 << 6, byte 1 = v1 >> 2 | v2 << 4, byte 2 = v2 >> 4 | v3 << 2. */
  const uint8_t data[3] = {1 | (2 << 6 & 0xFF), 3 << 4, 4 << 2};
  for (int i = 0; i < 4; i++) {
    assert_true(element_get_double(NORMA_FLOAT6E2M3, data, i) == (i + 1) / 8.0);
  }
}

/* ------------------------------------------------------------------------------------------------------------ facts */

static void names_and_sizes(void **state) {
  (void)state;
  assert_string_equal(norma_element_type_name(NORMA_FLOAT16), "float16");
  assert_string_equal(norma_element_type_name(NORMA_FLOAT6E3M2), "float6e3m2");
  assert_string_equal(norma_element_type_name((norma_element_type)NORMA_ELEMENT_TYPE_COUNT), "undefined");
  assert_string_equal(norma_element_type_name((norma_element_type)-1), "undefined");
  assert_false(element_type_exists(NORMA_UNDEFINED));
  assert_false(element_type_exists((norma_element_type)1000));
  assert_true(element_type_exists(NORMA_STRING));
  assert_int_equal(element_type_bits((norma_element_type)-5), 0);
  assert_int_equal(element_type_bits(NORMA_INT2), 2);
  assert_int_equal(element_type_bytes(NORMA_DOUBLE), 8);
  assert_int_equal(element_type_bytes(NORMA_UINT4), 0);
  assert_int_equal(element_type_bytes(NORMA_COMPLEX128), 16);
  for (int type = 1; type < NORMA_ELEMENT_TYPE_COUNT; type++) {
    assert_true(element_type_exists((norma_element_type)type) && (TYPES_ALL & TYPE_BIT(type)));
  }
}

static void arrays_convert_from_any_position(void **state) {
  (void)state;
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  const float floats[3] = {1.5f, -2, 0.25f};
  const double doubles[3] = {4, -0.5, 96};
  for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
    _Alignas(8) uint8_t data[64] = {0};
    float f[3] = {0};
    double d[3] = {0};
    elements_from_float(types[t], data, 2, 3, floats);
    elements_to_float(types[t], data, 2, 3, f);
    elements_to_double(types[t], data, 2, 3, d);
    for (int i = 0; i < 3; i++) assert_true(f[i] == floats[i] && d[i] == floats[i]);
    assert_true(element_get_double(types[t], data, 1) == 0 && element_get_double(types[t], data, 5) == 0);
    elements_from_double(types[t], data, 1, 3, doubles);
    elements_to_double(types[t], data, 1, 3, d);
    for (int i = 0; i < 3; i++) assert_true(d[i] == doubles[i]);
    elements_to_float(types[t], data, 0, 0, NULL);
    elements_from_float(types[t], data, 0, 0, NULL);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_code_decodes_to_its_definition),
      cmocka_unit_test(every_number_encodes_to_its_code),
      cmocka_unit_test(rounding_is_to_nearest_even),
      cmocka_unit_test(overflow_saturates_or_becomes_infinity),
      cmocka_unit_test(nan_stays_nan),
      cmocka_unit_test(double_subnormals_round_to_zero),
      cmocka_unit_test(float_and_double_agree_for_16_bit_types),
      cmocka_unit_test(double_rounds_once),
      cmocka_unit_test(float8e8m0_holds_powers_of_two),
      cmocka_unit_test(floats_to_integers_truncate_and_saturate),
      cmocka_unit_test(integers_keep_their_low_bits),
      cmocka_unit_test(large_integers_round_once_to_floats),
      cmocka_unit_test(bool_is_zero_or_one),
      cmocka_unit_test(packed_elements_do_not_disturb_each_other),
      cmocka_unit_test(six_bit_elements_are_packed_as_onnx_packs_them),
      cmocka_unit_test(names_and_sizes),
      cmocka_unit_test(arrays_convert_from_any_position),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
