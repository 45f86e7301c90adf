/* The array kernels of one instruction set (array_kernels.h): plain loops, which the compiler vectorises. */
#include "ops/kernels/array_kernels.h"

#include "ops/kernels/vector.h"

#if defined(__clang__)
#define EACH(i, n) _Pragma("clang loop vectorize(assume_safety)") for (size_t i = 0; i < n; i++)
#else
#define EACH(i, n) _Pragma("GCC ivdep") for (size_t i = 0; i < n; i++)
#endif

/* X(element type, C type) */
#define SIGNED_TYPES(X)   X(INT8, int8_t) X(INT16, int16_t) X(INT32, int32_t) X(INT64, int64_t)
#define UNSIGNED_TYPES(X) X(UINT8, uint8_t) X(UINT16, uint16_t) X(UINT32, uint32_t) X(UINT64, uint64_t)

#define ARRAY_FUNCTION(name, result, left, right, expression)                                                          \
  static void name(void *y, const void *x, const void *z, size_t n) {                                                  \
    result *ys = y;                                                                                                    \
    const left *xs = x;                                                                                                \
    const right *zs = z;                                                                                               \
    EACH(i, n) {                                                                                                       \
      const left a = xs[i];                                                                                            \
      const right b = zs[i];                                                                                           \
      ys[i] = (result)(expression);                                                                                    \
    }                                                                                                                  \
  }

#define ARRAY_UNARY_FUNCTION(name, result, operand, expression)                                                        \
  static void name(void *y, const void *x, size_t n) {                                                                 \
    result *ys = y;                                                                                                    \
    const operand *xs = x;                                                                                             \
    EACH(i, n) {                                                                                                       \
      const operand a = xs[i];                                                                                         \
      ys[i] = (result)(expression);                                                                                    \
    }                                                                                                                  \
  }

/* ---- arithmetic ----
 * Sums, differences and products of any integers are those of unsigned ones of their size; those of 16 bits must not be
 * multiplied as int, which may overflow. */
#define WRAPPING_FUNCTIONS(NAME, type)                                                                                 \
  ARRAY_FUNCTION(array_add_##type, type, type, type, (uint64_t)a + b)                                                  \
  ARRAY_FUNCTION(array_sub_##type, type, type, type, (uint64_t)a - b)                                                  \
  ARRAY_FUNCTION(array_mul_##type, type, type, type, (type)(1u * a) * (1u * b))
#define LIMIT_FUNCTIONS(NAME, type)                                                                                    \
  ARRAY_FUNCTION(array_min_##type, type, type, type, a < b ? a : b)                                                    \
  ARRAY_FUNCTION(array_max_##type, type, type, type, a > b ? a : b)
UNSIGNED_TYPES(WRAPPING_FUNCTIONS)
SIGNED_TYPES(LIMIT_FUNCTIONS)
UNSIGNED_TYPES(LIMIT_FUNCTIONS)
ARRAY_FUNCTION(array_add_double, double, double, double, a + b)
ARRAY_FUNCTION(array_sub_double, double, double, double, a - b)
ARRAY_FUNCTION(array_mul_double, double, double, double, (a) * (b))
ARRAY_FUNCTION(array_div_double, double, double, double, a / b)
ARRAY_FUNCTION(array_min_double, double, double, double, a != a || a < b ? a : b)
ARRAY_FUNCTION(array_max_double, double, double, double, a != a || a > b ? a : b)

/* ---- comparison ---- */
#define EQUAL_FUNCTION(NAME, type) ARRAY_FUNCTION(array_equal_##type, uint8_t, type, type, a == b)
#define ORDER_FUNCTIONS(NAME, type)                                                                                    \
  ARRAY_FUNCTION(array_less_##type, uint8_t, type, type, a < b)                                                        \
  ARRAY_FUNCTION(array_less_or_equal_##type, uint8_t, type, type, a <= b)
UNSIGNED_TYPES(EQUAL_FUNCTION)
SIGNED_TYPES(ORDER_FUNCTIONS)
UNSIGNED_TYPES(ORDER_FUNCTIONS)
EQUAL_FUNCTION(FLOAT, float)
ORDER_FUNCTIONS(FLOAT, float)
EQUAL_FUNCTION(DOUBLE, double)
ORDER_FUNCTIONS(DOUBLE, double)

/* ---- logic and bits ---- */
ARRAY_FUNCTION(array_equal_bool, uint8_t, uint8_t, uint8_t, (a == 0) == (b == 0))
ARRAY_FUNCTION(array_logic_and, uint8_t, uint8_t, uint8_t, (a != 0) & (b != 0))
ARRAY_FUNCTION(array_logic_or, uint8_t, uint8_t, uint8_t, (a | b) != 0)
ARRAY_FUNCTION(array_logic_xor, uint8_t, uint8_t, uint8_t, (a == 0) != (b == 0))
ARRAY_UNARY_FUNCTION(array_logic_not, uint8_t, uint8_t, a == 0)
ARRAY_FUNCTION(array_bits_and, uint8_t, uint8_t, uint8_t, a &b)
ARRAY_FUNCTION(array_bits_or, uint8_t, uint8_t, uint8_t, a | b)
ARRAY_FUNCTION(array_bits_xor, uint8_t, uint8_t, uint8_t, a ^ b)

/* ---- selection ---- */
#define SELECT_FUNCTION(NAME, type)                                                                                    \
  static void array_select_##type(void *y, const uint8_t *condition, const void *x, const void *z, size_t n) {         \
    type *ys = y;                                                                                                      \
    const type *xs = x, *zs = z;                                                                                       \
    EACH(i, n) {                                                                                                       \
      const type a = xs[i], b = zs[i];                                                                                 \
      ys[i] = condition[i] ? a : b;                                                                                    \
    }                                                                                                                  \
  }
UNSIGNED_TYPES(SELECT_FUNCTION)

/* ---- conversion ----
 * Floats to integers are truncated; what does not fit becomes the limit, NaN 0. The largest integers are no floats: the
 * bound is the power of two above. */
#define CONVERT_FUNCTION(from, to) ARRAY_UNARY_FUNCTION(array_##from##_to_##to, to, from, a)
#define LIMITED_FUNCTION(from, to, low, high, above)                                                                   \
  ARRAY_UNARY_FUNCTION(array_##from##_to_##to, to, from, a >= above ? high : a <= low ? low : a != a ? 0 : (to)a)
#define SMALLER(a, b)          ((a) < (b) ? (a) : (b))
#define LARGER(a, b)           ((a) > (b) ? (a) : (b))
#define TO_BOOL_FUNCTION(from) ARRAY_UNARY_FUNCTION(array_##from##_to_bool, uint8_t, from, a != 0)
#define OF_BOOL_FUNCTION(to)   ARRAY_UNARY_FUNCTION(array_bool_to_##to, to, uint8_t, a != 0)
CONVERT_FUNCTION(uint8_t, float)
CONVERT_FUNCTION(int8_t, float)
CONVERT_FUNCTION(uint8_t, int32_t)
CONVERT_FUNCTION(uint8_t, int64_t)
CONVERT_FUNCTION(int32_t, float)
CONVERT_FUNCTION(int32_t, int64_t)
CONVERT_FUNCTION(int32_t, double)
CONVERT_FUNCTION(int64_t, float)
CONVERT_FUNCTION(int64_t, int32_t)
CONVERT_FUNCTION(int64_t, double)
CONVERT_FUNCTION(float, double)
CONVERT_FUNCTION(double, float)
ARRAY_UNARY_FUNCTION(array_float_to_uint8_t, uint8_t, float, (int32_t)SMALLER(a > 0 ? a : 0, (float)UINT8_MAX))
ARRAY_UNARY_FUNCTION(array_float_to_int8_t, int8_t, float,
                     (int32_t)SMALLER(LARGER(a == a ? a : 0, (float)INT8_MIN), (float)INT8_MAX))
LIMITED_FUNCTION(float, int32_t, INT32_MIN, INT32_MAX, 0x1p31f)
LIMITED_FUNCTION(float, int64_t, INT64_MIN, INT64_MAX, 0x1p63f)
TO_BOOL_FUNCTION(float)
TO_BOOL_FUNCTION(uint8_t)
TO_BOOL_FUNCTION(uint32_t)
TO_BOOL_FUNCTION(uint64_t)
OF_BOOL_FUNCTION(float)
OF_BOOL_FUNCTION(uint8_t)
OF_BOOL_FUNCTION(int32_t)
OF_BOOL_FUNCTION(int64_t)

static const struct array_conversion array_conversions[] = {
    {NORMA_UINT8, NORMA_FLOAT, array_uint8_t_to_float},
    {NORMA_UINT8, NORMA_INT32, array_uint8_t_to_int32_t},
    {NORMA_UINT8, NORMA_INT64, array_uint8_t_to_int64_t},
    {NORMA_UINT8, NORMA_BOOL, array_uint8_t_to_bool},
    {NORMA_INT8, NORMA_FLOAT, array_int8_t_to_float},
    {NORMA_INT8, NORMA_BOOL, array_uint8_t_to_bool},
    {NORMA_BOOL, NORMA_FLOAT, array_bool_to_float},
    {NORMA_BOOL, NORMA_UINT8, array_bool_to_uint8_t},
    {NORMA_BOOL, NORMA_INT8, array_bool_to_uint8_t},
    {NORMA_BOOL, NORMA_INT32, array_bool_to_int32_t},
    {NORMA_BOOL, NORMA_INT64, array_bool_to_int64_t},
    {NORMA_INT32, NORMA_FLOAT, array_int32_t_to_float},
    {NORMA_INT32, NORMA_DOUBLE, array_int32_t_to_double},
    {NORMA_INT32, NORMA_INT64, array_int32_t_to_int64_t},
    {NORMA_INT32, NORMA_BOOL, array_uint32_t_to_bool},
    {NORMA_INT64, NORMA_FLOAT, array_int64_t_to_float},
    {NORMA_INT64, NORMA_DOUBLE, array_int64_t_to_double},
    {NORMA_INT64, NORMA_INT32, array_int64_t_to_int32_t},
    {NORMA_INT64, NORMA_BOOL, array_uint64_t_to_bool},
    {NORMA_FLOAT, NORMA_DOUBLE, array_float_to_double},
    {NORMA_FLOAT, NORMA_UINT8, array_float_to_uint8_t},
    {NORMA_FLOAT, NORMA_INT8, array_float_to_int8_t},
    {NORMA_FLOAT, NORMA_INT32, array_float_to_int32_t},
    {NORMA_FLOAT, NORMA_INT64, array_float_to_int64_t},
    {NORMA_FLOAT, NORMA_BOOL, array_float_to_bool},
    {NORMA_DOUBLE, NORMA_FLOAT, array_double_to_float},
    {NORMA_UNDEFINED, NORMA_UNDEFINED, NULL},
};

/* ---- the rest ---- */
ARRAY_UNARY_FUNCTION(array_is_nan, uint8_t, float, a != a)
ARRAY_UNARY_FUNCTION(array_is_infinite, uint8_t, float, fabsf(a) == INFINITY)
ARRAY_UNARY_FUNCTION(array_is_positive_infinite, uint8_t, float, a == INFINITY)
ARRAY_UNARY_FUNCTION(array_is_negative_infinite, uint8_t, float, a == -INFINITY)

static void array_is_infinite_of(void *y, const void *x, size_t n, int sign) {
  (sign == 0 ? array_is_infinite : sign > 0 ? array_is_positive_infinite : array_is_negative_infinite)(y, x, n);
}

#define CUMULATE_ROW(r)                                                                                                \
  {                                                                                                                    \
    const double next = sum + (double)x[i + (r)*step];                                                                 \
    y[i + (r)*step] = (float)(exclusive ? sum : next);                                                                 \
    sum = next;                                                                                                        \
  }

/* `rows` and `exclusive` are constant. */
INLINE void array_cumulate_rows(float *y, const float *x, ptrdiff_t step, double *sums, size_t n, const int rows,
                                const bool exclusive) {
  EACH(i, n) {
    double sum = sums[i];
    CUMULATE_ROW(0)
    if (rows > 1) CUMULATE_ROW(1)
    if (rows > 2) CUMULATE_ROW(2)
    if (rows > 3) CUMULATE_ROW(3)
    sums[i] = sum;
  }
}

static void array_cumulate_f32(float *y, const float *x, ptrdiff_t step, size_t rows, double *sums, bool exclusive,
                               size_t n) {
  for (; rows >= 4; rows -= 4, y += 4 * step, x += 4 * step) {
    if (exclusive)
      array_cumulate_rows(y, x, step, sums, n, 4, true);
    else
      array_cumulate_rows(y, x, step, sums, n, 4, false);
  }
  for (; rows; rows--, y += step, x += step) {
    if (exclusive)
      array_cumulate_rows(y, x, step, sums, n, 1, true);
    else
      array_cumulate_rows(y, x, step, sums, n, 1, false);
  }
}

/* One comparison each: from -size to size - 1 becomes from 0 to 2 * size - 1, and all others are beyond. */
static bool array_indices_fit_i32(const int32_t *x, int64_t size, size_t n) {
  const uint64_t shift = (uint64_t)size;
  uint32_t beyond = 0;
  if (size > INT32_MAX / 2) { /* sizes whose double is no 32-bit number */
    uint64_t large = 0;
    EACH(i, n) large |= (uint64_t)(int64_t)x[i] + shift >= 2 * shift;
    return !large;
  }
  EACH(i, n) beyond |= (uint32_t)x[i] + (uint32_t)shift >= 2 * (uint32_t)shift;
  return !beyond;
}

static bool array_indices_fit_i64(const int64_t *x, int64_t size, size_t n) {
  const uint64_t shift = (uint64_t)size;
  uint64_t beyond = 0;
  EACH(i, n) beyond |= (uint64_t)x[i] + shift >= 2 * shift;
  return !beyond;
}

/* ---- the table ---- */
extern const struct array_kernels KERNEL_SYMBOL(array_kernels_, KERNEL_ISA);

#define ARITHMETIC_ENTRY(NAME, type, wrapping)                                                                         \
  [NORMA_##NAME] = {[BINARY_ADD] = array_add_##wrapping,                                                               \
                    [BINARY_SUB] = array_sub_##wrapping,                                                               \
                    [BINARY_MUL] = array_mul_##wrapping,                                                               \
                    [BINARY_MIN] = array_min_##type,                                                                   \
                    [BINARY_MAX] = array_max_##type},
#define SIGNED_ARITHMETIC(NAME, type)   ARITHMETIC_ENTRY(NAME, type, u##type)
#define UNSIGNED_ARITHMETIC(NAME, type) ARITHMETIC_ENTRY(NAME, type, type)
#define COMPARE_ENTRY(NAME, type, equal)                                                                               \
  [NORMA_##NAME] = {array_equal_##equal, array_less_##type, array_less_or_equal_##type},
#define SIGNED_COMPARE(NAME, type)   COMPARE_ENTRY(NAME, type, u##type)
#define UNSIGNED_COMPARE(NAME, type) COMPARE_ENTRY(NAME, type, type)

const struct array_kernels KERNEL_SYMBOL(array_kernels_, KERNEL_ISA) = {
    .arithmetic = {SIGNED_TYPES(SIGNED_ARITHMETIC)
                       UNSIGNED_TYPES(UNSIGNED_ARITHMETIC)[NORMA_DOUBLE] = {array_add_double, array_sub_double,
                                                                            array_mul_double, array_div_double,
                                                                            array_min_double, array_max_double}},
    .compare = {SIGNED_TYPES(SIGNED_COMPARE) UNSIGNED_TYPES(UNSIGNED_COMPARE) COMPARE_ENTRY(FLOAT, float, float)
                    COMPARE_ENTRY(DOUBLE, double, double)[NORMA_BOOL] = {array_equal_bool}},
    .logic = {array_logic_and, array_logic_or, array_logic_xor},
    .logic_not = array_logic_not,
    .bits = {array_bits_and, array_bits_or, array_bits_xor},
    .select = {array_select_uint8_t, array_select_uint16_t, array_select_uint32_t, array_select_uint64_t},
    .conversions = array_conversions,
    .is_nan = array_is_nan,
    .is_infinite = array_is_infinite_of,
    .cumulate_f32 = array_cumulate_f32,
    .indices_fit_i32 = array_indices_fit_i32,
    .indices_fit_i64 = array_indices_fit_i64,
};
