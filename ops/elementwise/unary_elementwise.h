/* What fusion asks of the operators that are functions of one number. */
#ifndef OPS_ELEMENTWISE_UNARY_ELEMENTWISE_H
#define OPS_ELEMENTWISE_UNARY_ELEMENTWISE_H

#include "ops/operator.h"

/* The kernel and the parameters with which the node, resolved, computes float; false where it is another operator, or
 * one that runs through libm. */
bool unary_activation(const node *node, struct activation *activation);

#endif
