/*
 * Moments as bytes, for going on with them later or elsewhere. Numbers of 8 bytes, little-endian:
 *
 *   the number of samples, then for each bit set in it, from the lowest: the count of elements per channel, the means
 *   and the sums of squared deviations of the channels, as doubles
 */
#ifndef ENGINE_EDIT_MOMENTS_STATE_H
#define ENGINE_EDIT_MOMENTS_STATE_H

#include "engine/edit/moments.h"

/* Errors: FILE (`write` said so). */
norma_status moments_write_state(const moments *moments, norma_write write, void *context, norma_error *error);

/* Takes the place of what was gathered. `moments` tells the channels; *used is how many of the bytes it was. On failure
 * nothing is gathered. Errors: FORMAT (the bytes end early, or no such numbers can be), OUT_OF_MEMORY, BUDGET. */
norma_status moments_read_state(moments *moments, const void *data, size_t size, size_t *used, norma_error *error);

#endif
