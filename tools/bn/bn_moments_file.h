/*
 * The file of --moments and --from: where an estimation stands. Little-endian:
 *
 *   "NORMAMOM", version, fingerprints of model and settings, samples, pass, next batch, whether the pass is whole,
 *   the number of chosen nodes, then per node: its number, channels, whether it is done, the elements behind the
 * result, mean and variance, the number of samples of the current pass, and for each bit set in it a group: count,
 * means, sums of squared deviations; at the end a checksum of all before.
 *
 * All fields have 8 bytes: unsigned numbers or doubles.
 */
#ifndef TOOLS_BN_BN_MOMENTS_FILE_H
#define TOOLS_BN_BN_MOMENTS_FILE_H

#include "tools/bn/bn_estimate.h"

/* Writes the file, whole or not at all. Prints errors. */
bool bn_moments_write(const bn_estimate *estimate, const char *path);

/* Takes over where the file stands. Refuses a file of another model, of other settings, or damaged. Prints errors. */
bool bn_moments_read(bn_estimate *estimate, const char *path);

/* Adds the moments of a further share of the same pass; it must be whole, and so must what is there. Prints errors. */
bool bn_moments_merge(bn_estimate *estimate, const char *path);

#endif
