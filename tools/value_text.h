/* Types, shapes and elements as text for people. */
#ifndef TOOLS_VALUE_TEXT_H
#define TOOLS_VALUE_TEXT_H

#include "engine/norma.h"

#include <stdio.h>

/* "float 1x3x224x224", "float N x 3 x ? x ?", "sequence of float ...". At least 256 bytes make sense. Returns `text`.
 */
const char *info_text(const norma_value_info *info, char *text, size_t size);

/* "2x3x?" (dimensions below 0 are not known), "scalar" for rank 0, "?" for rank -1. Returns `text`. */
const char *dims_text(int rank, const int64_t *dims, char *text, size_t size);

/* The same of something that exists: "int64 2x3", "sequence of 3", "nothing". */
const char *value_type_text(const norma_value *value, char *text, size_t size);

/* Element `index`: 0.125, -3, true, "abc", 1+2i. Floats with the digits that tell them apart. Returns `text`. */
const char *element_text(const norma_tensor *tensor, int64_t index, char *text, size_t size);

/* "[0, 3, 1]" for the element at flat `index`; "" for a scalar. */
const char *index_text(const norma_tensor *tensor, int64_t index, char *text, size_t size);

/* Name, type, range and first elements of a value, one or two lines; containers element by element up to a limit. */
void print_value(FILE *file, const char *name, const norma_value *value);

/* What a tensor of numbers looks like from afar; NaN and infinities do not count into the figures. */
typedef struct tensor_statistics {
  double minimum, maximum, mean;
  int64_t finite, nans, infinities;
} tensor_statistics;

/* false: no numbers, or none that are finite. */
bool tensor_measure(const norma_tensor *tensor, tensor_statistics *statistics);

/* Types whose values are rounded: floats of every size, and complex ones. */
bool type_is_inexact(norma_element_type type);

/* A tensor of complex elements as one of twice as many floats, real and imaginary parts in turn; others as they are,
 * all with rank 1. */
norma_tensor flat_view(const norma_tensor *tensor);

/* `count` elements from `first` on as double, whatever the numeric type; complex elements give their magnitude. */
void read_doubles(const norma_tensor *tensor, int64_t first, int64_t count, double *result);

#endif
