/* A map from keys of one element type to values of another, by which LabelEncoder and CategoryMapper replace each
 * element of a tensor. Made once, while a model is loaded. */
#ifndef OPS_ML_LABEL_MAPPING_H
#define OPS_ML_LABEL_MAPPING_H

#include "ops/key_table.h"
#include "ops/operator.h"

#define TYPES_LABELS                                                                                                   \
  (TYPE_BIT(NORMA_STRING) | TYPE_BIT(NORMA_INT64) | TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT16) |                    \
   TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_DOUBLE))

/* A list of elements of one type, as attributes have them. */
typedef struct label_list {
  norma_element_type type; /* of TYPES_LABELS; UNDEFINED: there is none */
  size_t count;
  const void *data; /* norma_string, or numbers of the type */
} label_list;

typedef union label_element {
  norma_string string;
  int64_t int64;
  int32_t int32;
  int16_t int16;
  float float32;
  double float64;
} label_element;

typedef struct label_mapping {
  norma_element_type key_type; /* UNDEFINED: this mapping does not exist */
  key_table keys;
  bool counts;  /* the key is its own index, from 0 to values.count - 1; no table is asked */
  bool by_bits; /* float keys are equal where their bits are; else where they are equal, or both NaN */
  label_list values;
  label_element otherwise;
} label_mapping;

/* A list from attributes, of which only one may be there: lists of ints, floats and strings, and a tensor of rank 1 or
 * less (names may be NULL). `types` are those that the tensor may have. */
typedef struct label_names {
  const char *ints, *floats, *strings, *tensor;
} label_names;
norma_status label_list_read(const node *node, const label_names *names, type_mask types, label_list *list,
                             norma_error *error);

/* Fills in keys; the other members must be set before. Errors: OUT_OF_MEMORY, BUDGET. */
norma_status label_mapping_make(const node *node, label_mapping *mapping, const label_list *keys, key_order order,
                                norma_error *error);

/* infer and compute of an operator whose state is an array of two mappings: the one whose keys have the type of input 0
 * is applied. */
norma_status label_mapping_infer(infer_context *context);
norma_status label_mapping_compute(run_context *context);

#endif
