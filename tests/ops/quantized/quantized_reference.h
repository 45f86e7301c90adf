/* Numbers of quantised tests. Scales are powers of two, so that every quotient is exact and a result can be told to the
 * bit. */
#ifndef TESTS_OPS_QUANTIZED_QUANTIZED_REFERENCE_H
#define TESTS_OPS_QUANTIZED_QUANTIZED_REFERENCE_H

#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

#define BYTE_TYPES (TYPE_BIT(NORMA_INT8) | TYPE_BIT(NORMA_UINT8))

static inline double lowest_of(norma_element_type type) {
  return type == NORMA_INT8    ? -128
         : type == NORMA_INT16 ? -32768
         : type == NORMA_INT4  ? -8
         : type == NORMA_INT2  ? -2
                               : 0;
}

static inline double highest_of(norma_element_type type) {
  return lowest_of(type) + exp2((double)element_type_bits(type)) - 1;
}

/* What a quotient becomes: rounded with halves to even, the zero point added, limited. */
static inline double quantized_reference(double quotient, double zero, norma_element_type type) {
  const double floor_of = floor(quotient), rest = quotient - floor_of;
  double whole = rest < 0.5 ? floor_of : rest > 0.5 ? floor_of + 1 : fmod(floor_of, 2) == 0 ? floor_of : floor_of + 1;
  whole += zero;
  return fmin(fmax(whole, lowest_of(type)), highest_of(type));
}

/* Any numbers of an integer type. */
static inline const value *any_numbers(workbench *bench, norma_element_type type, shape shape) {
  return bench_random(bench, type, shape, lowest_of(type), highest_of(type) + 1);
}

static inline const value *one_number(workbench *bench, norma_element_type type, double number) {
  return bench_tensor(bench, type, SCALAR, NUMBERS(number));
}

/* Powers of two from 1/8 to 1/2. */
static inline const value *scales_of(workbench *bench, norma_element_type type, shape shape) {
  value *made = bench_make(bench, type, shape);
  for (int64_t i = 0; i < norma_tensor_count(&made->tensor); i++)
    element_set_double(type, made->tensor.data, i, exp2((double)random_int(&bench->seed, -3, -1)));
  return made;
}

#endif
