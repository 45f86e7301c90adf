/* The classes that a classifier tells apart, by integers or strings, and their way to an output. */
#ifndef OPS_ML_CLASS_LABELS_H
#define OPS_ML_CLASS_LABELS_H

#include "ops/operator.h"

typedef struct class_labels {
  size_t count;
  const norma_string *strings; /* one of the two; both NULL where count is 0 */
  const int64_t *ints;
} class_labels;

/* Classes that have no label: 1 or "1", and 0 or "0". */
#define CLASS_POSITIVE (-1)
#define CLASS_NEGATIVE (-2)

/* Reads the two attributes, of which one may hold elements. */
norma_status class_labels_read(const node *node, const char *ints, const char *strings, class_labels *labels,
                               norma_error *error);

norma_element_type class_labels_type(const class_labels *labels);

/* Output `index`, of shape [count], becomes the labels of these classes (or CLASS_*). Does nothing where the output is
 * not wanted. */
norma_status class_labels_write(run_context *context, int index, const class_labels *labels, int64_t count,
                                const int32_t *classes);

#endif
