/*
 * Tests of passes: a model is loaded as exported and rewritten, run on the same inputs, and compared; then the
 * rewritten graph is looked at.
 *
 *     model_builder *b = builder_create(13);
 *     builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){2, 3, 8, 8});
 *     add_random(b, "w", NORMA_FLOAT, 4, (int64_t[]){4, 3, 3, 3}, -1, 1);
 *     ...
 *     checked c = check_passes(b, "fold_bias", PASS_BOUND(NORMA_FLOAT));
 *     assert_int_equal(count_nodes(&c, "Add"), 0);
 *     free_checked(&c);                                        (destroys the builder too)
 */
#ifndef TESTS_ENGINE_PASSES_PASS_CHECK_H
#define TESTS_ENGINE_PASSES_PASS_CHECK_H

#include "tests/support/model_builder.h"
#include "tests/support/random_tensor.h"

#define UNKNOWN_SIZE 6 /* what inputs have where their size is -1 */

/* A bound for results that are rounded in another order: some roundings of the type. */
#define PASS_BOUND(type) (6 * rounding_error(type))

typedef struct checked {
  model_builder *builder;
  norma_runtime *runtime;
  size_t used;        /* by the runtime alone */
  norma_model *model; /* rewritten */
} checked;

/* Runs `b` with no passes and with those in `passes`, separated by spaces (NULL: all but those that change layouts), on
 * random inputs in -2 .. 2.
 * Fails unless all outputs agree in type, in shape, and within bound times the largest magnitude of each channel; see
 * tests/support/channel_error.h. */
checked check_passes(model_builder *b, const char *passes, double bound);
void free_checked(checked *checked);

/* The same for a model whose output is "y", which is declared here; fails unless it has `count` nodes then. */
checked check_nodes(model_builder *b, const char *passes, double bound, int count);
void expect_nodes(model_builder *b, const char *passes, double bound, int count);

/* Rewrites `b` by these passes while each allocation in turn fails: OUT_OF_MEMORY, and nothing lost. Destroys the
 * builder.
 */
void check_allocations(model_builder *b, const char *passes);

/* Loads `b` with these passes, three times; fails unless it has `count` nodes then (-1: any). Returns the CPU time of
 * the fastest load, in seconds; *used becomes the bytes that the model holds. Destroys the builder. */
double time_load(model_builder *b, const char *passes, int count, size_t *used);

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
