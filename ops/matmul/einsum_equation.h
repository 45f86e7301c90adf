/*
 * The equation of an Einsum: one term for each operand and one for the result, of labels for their dimensions.
 *
 * Labels are numbers: 0 to 25 are A to Z, 26 to 51 a to z, and EINSUM_ELLIPSIS + i is dimension i, counted from the
 * last one, of what "..." stands for; such dimensions are broadcast, and may be fewer in some operands.
 */
#ifndef OPS_MATMUL_EINSUM_EQUATION_H
#define OPS_MATMUL_EINSUM_EQUATION_H

#include "ops/operator.h"

#define EINSUM_ELLIPSIS 52
#define EINSUM_LABELS   (EINSUM_ELLIPSIS + NORMA_MAX_RANK)

typedef struct einsum_equation {
  const char *text;  /* the node's */
  size_t size, left; /* characters; those of the operands' terms */
  int terms;         /* of operands */
  bool has_arrow;
} einsum_equation;

/* The labels of a tensor's dimensions. */
typedef struct einsum_term {
  int count;
  uint8_t labels[NORMA_MAX_RANK];
} einsum_term;

/* Attribute equation, checked as far as it goes without shapes. */
norma_status einsum_read_equation(const node *node, einsum_equation *equation, norma_error *error);

/* The labels of the next operand if it has this rank, and how many dimensions "..." stands for in it. *cursor is 0
 * before the first one. NULL, or what does not fit. */
const char *einsum_next_term(const einsum_equation *equation, size_t *cursor, int rank, einsum_term *term,
                             int *ellipsis);
/* The labels of the result where "..." stands for that many dimensions at most. */
const char *einsum_result_term(const einsum_equation *equation, int ellipsis, einsum_term *term);

static inline bool einsum_has(const einsum_term *term, int label) {
  for (int i = 0; i < term->count; i++) {
    if (term->labels[i] == label) return true;
  }
  return false;
}

#endif
