/*
 * Tensors of pseudo-random numbers for comparisons with a naive reference. Their data are blocks of exactly the
 * tensor's size, so that a sanitizer sees every access beyond them.
 */
#ifndef TESTS_SUPPORT_RANDOM_TENSOR_H
#define TESTS_SUPPORT_RANDOM_TENSOR_H

#include "engine/base/tensor.h"

/* Uniform in -1 .. 1; whole numbers -9 .. 9 for integer types. *seed is any number but 0. */
value random_tensor(uint64_t *seed, norma_element_type type, int rank, const int64_t *dims);
void random_tensor_free(value *tensor);
/* The elements of a tensor of numbers, to be freed. */
double *tensor_doubles(const value *tensor);

/* A whole number in low .. high. */
int64_t random_int(uint64_t *seed, int64_t low, int64_t high);
/* One of count numbers. */
#define random_of(seed, ...)                                                                                           \
  ((const int64_t[]){                                                                                                  \
      __VA_ARGS__}[random_int(seed, 0, (int64_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)) - 1)])

/* The relative error of one rounding to `type`. */
double rounding_error(norma_element_type type);

/* Whether two tensors have the same type, shape and bytes. */
bool same_tensor(const norma_tensor *a, const norma_tensor *b);

#endif
