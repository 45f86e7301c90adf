/* No instruction set in particular: vectors of four elements as the compiler makes them, for CPUs that have no table of
 * their own, such as those of microcontrollers. No fused multiply-add. Built into other libraries only where asked for
 * (-DNORMA_GENERIC_KERNELS=ON), so that models can be compiled for such CPUs there.
 *
 * arch: generic
 * rank: 0
 * flags:
 */
#define ISA_FEATURES 0

#define VECTOR_BYTES 16
#include "ops/kernels/vector_types.h"

/* ---- sizes ---- */
#define GEMM_TILE_ROWS             4
#define GEMM_CACHED_BYTES          (32 * 1024)
#define GEMM_I8_TILE_ROWS          4
#define GEMM_I8_TILE_VECTORS       2
#define CONV_8BIT_PIXELS           4
#define CONV_8BIT_VECTORS          2
#define BLOCKED_PIXELS_1           8
#define BLOCKED_PIXELS_2           4
#define BLOCKED_PIXELS_3           3
#define BLOCKED_DEPTHWISE_ROW_TILE 8
#define BLOCKED_WEIGHT_COST        12
#define BLOCKED_FOREIGN_COST       18.0
#define BLOCKED_BAND_BYTES         (16 * 1024)
#define WINOGRAD_CACHED_BYTES      (32 * 1024)
#define ATTENTION_TILE_ROWS        4
#define ATTENTION_TILE_VECTORS     2
#define ATTENTION_FEW_VECTORS      2
#define NBITS_TILE_ROWS            4

/* ---- denormals ---- */
INLINE bool vector_flushes(void) {
  return false;
}
#define vector_flushes vector_flushes
