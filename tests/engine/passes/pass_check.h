/*
 * Tests of passes: a model is loaded as exported and rewritten, run on the same inputs, and compared; then the
 * rewritten graph is looked at.
 *
 *     model_builder *b = builder_create(13);
 *     builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){2, 3, 8, 8});
 *     add_random(b, "w", NORMA_FLOAT, 4, (int64_t[]){4, 3, 3, 3}, -1, 1);
 *     ...
 *     checked c = check_passes(b, "fold_bias", 1e-6);
 *     assert_int_equal(count_nodes(&c, "Add"), 0);
 *     free_checked(&c);                                        (destroys the builder too)
 */
#ifndef TESTS_ENGINE_PASSES_PASS_CHECK_H
#define TESTS_ENGINE_PASSES_PASS_CHECK_H

#include "tests/support/model_builder.h"

#define UNKNOWN_SIZE 6 /* what inputs have where their size is -1 */

typedef struct checked {
  model_builder *builder;
  norma_runtime *runtime;
  size_t used;        /* by the runtime alone */
  norma_model *model; /* rewritten */
} checked;

/* Runs `b` with no passes and with those in `passes`, separated by spaces (NULL: all but those that
 * change layouts), on random inputs in -2 .. 2.
 * Fails unless all outputs agree in type, in shape, and within bound times the largest magnitude of the output; NaN and
 * infinite elements must be the same. */
checked check_passes(model_builder *b, const char *passes, double bound);
void free_checked(checked *checked);

/* Nodes of this type, in subgraphs too; NULL: of any. */
int count_nodes(const checked *checked, const char *op_type);
/* The only node of this type in the main graph; fails if there is none or another. */
const node *only_node(const checked *checked, const char *op_type);

/* An initializer of random numbers, the same for the same name. */
void add_random(model_builder *b, const char *name, norma_element_type type, int rank, const int64_t *dims, double low,
                double high);
/* An initializer of given numbers. */
void add_numbers(model_builder *b, const char *name, norma_element_type type, int rank, const int64_t *dims,
                 const double *numbers);
/* A scalar. */
void add_number(model_builder *b, const char *name, norma_element_type type, double number);

#endif
