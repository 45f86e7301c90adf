/* The kernel table of one instruction set. Compiled once for each, with KERNEL_ISA = sse2, avx2, avx512 or neon and the
 * compiler's flags for it. Everything but the table itself is static, so that no code built for one instruction set can
 * be linked into another's path; the kernels see each other and inline. */
#include "kernel_table.h"
#include "vector.h"

static unary_f32_function *const unary_f32_functions[UNARY_KIND_COUNT] = {0};
#include "gemm.h"
#include "conv.h"

#define KERNEL_PASTE(a, b)  a##b
#define KERNEL_SYMBOL(a, b) KERNEL_PASTE(a, b)
#define KERNEL_STRING(x)    #x
#define KERNEL_NAME(x)      KERNEL_STRING(x)

extern const struct kernel_table KERNEL_SYMBOL(kernel_table_, KERNEL_ISA);

const struct kernel_table KERNEL_SYMBOL(kernel_table_, KERNEL_ISA) = {
    .name = KERNEL_NAME(KERNEL_ISA),
    .vector_bytes = VECTOR_BYTES,

    .gemm_depth_block = GEMM_DEPTH_BLOCK,
    .gemm_f32_tile_rows = GEMM_TILE_ROWS,
    .gemm_f32_tile_columns = GEMM_F32_TILE_COLUMNS,
    .gemm_f32_row_panels = gemm_f32_row_panels,
    .gemm_f32_column_panels = gemm_f32_column_panels,
    .gemm_f32_packed_a_size = gemm_f32_packed_a_size,
    .gemm_f32_packed_b_size = gemm_f32_packed_b_size,
    .gemm_f32_pack_a = gemm_f32_pack_a,
    .gemm_f32_pack_b = gemm_f32_pack_b,
    .gemm_f32_scratch_size = gemm_f32_scratch_size,
    .gemm_f32_run = gemm_f32_run,

    .gemm_f64_row_panels = gemm_f64_row_panels,
    .gemm_f64_column_panels = gemm_f64_column_panels,
    .gemm_f64_packed_a_size = gemm_f64_packed_a_size,
    .gemm_f64_packed_b_size = gemm_f64_packed_b_size,
    .gemm_f64_pack_a = gemm_f64_pack_a,
    .gemm_f64_pack_b = gemm_f64_pack_b,
    .gemm_f64_scratch_size = gemm_f64_scratch_size,
    .gemm_f64_run = gemm_f64_run,

    .conv_f32_pixel_block = conv_f32_pixel_block,
    .conv_f32_scratch_size = conv_f32_scratch_size,
    .conv_f32_run = conv_f32_run,
};
