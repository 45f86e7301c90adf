/*
 * Gradients of a model in double precision against central differences:
 *
 *     gradient_check c;
 *     gradient_check_begin(&c, 17);
 *     gradient_check_variable(&c, "x", 2, (int64_t[]){2, 3}, -1, 1);
 *     builder_node(c.builder, "Tanh", "x", "y");
 *     gradient_check_finish(&c, "y");
 *
 * What is differentiated is the sum of sin(y), so that each element of y has a gradient of its own.
 */
#ifndef TESTS_SUPPORT_GRADIENT_CHECK_H
#define TESTS_SUPPORT_GRADIENT_CHECK_H

#include "tests/support/model_builder.h"

#define GRADIENT_CHECK_MOST 8

typedef struct gradient_check {
  model_builder *builder;
  uint64_t seed;
  int count; /* of variables */
  const char *names[GRADIENT_CHECK_MOST];
  int ranks[GRADIENT_CHECK_MOST];
  int64_t dims[GRADIENT_CHECK_MOST][8];
  double *data[GRADIENT_CHECK_MOST];
} gradient_check;

void gradient_check_begin(gradient_check *check, int64_t opset);
/* An input of the graph with random elements in low .. high, with respect to which is differentiated. */
void gradient_check_variable(gradient_check *check, const char *name, int rank, const int64_t *dims, double low,
                             double high);
/* Compares at all levels of optimisation; fails the test where a gradient is not that of the differences. */
void gradient_check_finish(gradient_check *check, const char *y);
/* The same for second derivatives: of the sum of the sines of the gradient with respect to the first variable. */
void gradient_check_finish_twice(gradient_check *check, const char *y);

/* A Gradient node with these names, each list separated by spaces; zs may be "". */
node *gradient_check_node(model_builder *builder, const char *xs, const char *zs, const char *y, const char *inputs,
                          const char *outputs);

#endif
