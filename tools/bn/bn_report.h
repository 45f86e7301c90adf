/* What changed: stored against measured statistics. */
#ifndef TOOLS_BN_BN_REPORT_H
#define TOOLS_BN_BN_REPORT_H

#include "tools/bn/bn_estimate.h"

/* A line per node on stdout, and the channels that have moved furthest. */
void bn_report_print(const bn_estimate *estimate);

/* The whole of it as JSON. Prints errors. */
bool bn_report_write(const bn_estimate *estimate, const char *path, const char *output);

#endif
