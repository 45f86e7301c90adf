/* Tensors in channel blocks (ops/blocked.h), made and read element by element. */
#ifndef TESTS_SUPPORT_BLOCKED_TENSOR_H
#define TESTS_SUPPORT_BLOCKED_TENSOR_H

#include "tests/support/workbench.h"

/* b of the bench's kernels, for float. */
int64_t bench_block(const workbench *bench);
/* `plain` [N, C, H, W] of float or bytes in blocks; lanes from C on are NaN, or any bytes, which must never reach a
 * real one. */
const value *blocked_of(workbench *bench, const value *plain);
/* The other way round. */
const value *plain_of(workbench *bench, const value *blocked, int64_t channels);

/* Runs `call`, an operator of the domain norma, and `plain`, that of ai.onnx. Output 0 of the first, taken out of its
 * blocks where it has five dimensions, must be that of the second within relative * (|element| + 1); with 0 the same to
 * the bit. */
void check_blocked(workbench *bench, const driver_call *call, const driver_call *plain, double relative);

#endif
