/* Operators of two broadcast inputs against a formula of two numbers. */
#ifndef TESTS_SUPPORT_BROADCAST_CHECK_H
#define TESTS_SUPPORT_BROADCAST_CHECK_H

#include "tests/support/workbench.h"

typedef struct broadcast_check {
  const char *op;
  int64_t opset;
  attribute attribute; /* without a name: none */
  double (*formula)(double x, double z);
  double low, high;                  /* of random elements of both inputs */
  norma_element_type x_type, z_type; /* z_type UNDEFINED: as x_type */
  norma_element_type y_type;         /* UNDEFINED: as x_type */
  double relative;                   /* 0: the formula's result, exactly */
} broadcast_check;

/* On `rounds` pairs of random shapes. */
void check_broadcast(workbench *bench, const broadcast_check *check, int rounds);

/* On all pairs of integers out of both ends of each type's range and around zero, as far as `accepts` (NULL: all) has
 * them; `formula` wraps around by itself or gives the low bits of the result. */
typedef int64_t integer_formula(int64_t x, int64_t z, bool is_unsigned);
void check_integer_pairs(workbench *bench, const char *op, int64_t opset, const attribute *attribute, type_mask types,
                         integer_formula *formula, bool (*accepts)(int64_t x, int64_t z));

/* Shapes that NumPy cannot broadcast are refused, with a message that names both. */
void check_refuses_shapes(workbench *bench, const char *op, int64_t opset, norma_element_type type);

#endif
