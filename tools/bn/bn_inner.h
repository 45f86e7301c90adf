/*
 * BatchNormalization nodes in the graphs below nodes: in branches of If, in bodies of Loop and Scan. The commands of
 * norma bn change the main graph alone; of each other node they say so, and where it stands.
 */
#ifndef TOOLS_BN_BN_INNER_H
#define TOOLS_BN_BN_INNER_H

#include "engine/norma.h"

/* Whether the user means the node of that name. */
typedef bool (*bn_inner_wanted)(const void *context, const char *name);

/* Warns of all that are wanted (NULL: of all), and returns how many these are. */
size_t bn_inner_warn(const norma_model *model, bn_inner_wanted wanted, const void *context);

#endif
