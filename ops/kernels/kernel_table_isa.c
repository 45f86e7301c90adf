/* The kernel table of one instruction set. Compiled once for each file of isa/, with its name as KERNEL_ISA and the
 * flags that it asks for. Everything but the table itself is static, so that no code built for one instruction set can
 * be linked into another's path; the kernels see each other and inline. */
#include "kernel_table.h"
#include "vector.h"
#include "vector_math.h"
#include "vector_trigonometry.h"

#include "unary.h"
#include "binary.h"
#include "reduce.h"
#include "resample.h"
#include "sample.h"
#include "multiply_add.h"
#include "transpose.h"
#include "softmax.h"
#include "convert.h"
#include "quantize.h"
#include "fft.h"
#include "linear_attention.h"
#include "stream_fetch.h"
#include "gemm.h"
#include "gemm_i8_pairs.h"
#include "gemm_i8.h"
#include "conv_8bit.h"
#include "conv.h"
#include "window.h"
#include "pool.h"
#include "blocked_pointwise.h"
#include "blocked_window.h"
#include "blocked_pool.h"
#include "blocked_tile.h"
#include "blocked_direct.h"
#include "blocked_winograd.h"
#include "blocked_conv.h"
#include "blocked_grouped.h"
#include "attention_tile.h"
#include "attention_few.h"
#include "attention.h"
#include "rotate.h"
#include "nbits.h"
#include "nbits_i8.h"

extern const struct array_kernels KERNEL_SYMBOL(array_kernels_, KERNEL_ISA);
extern const struct kernel_table KERNEL_SYMBOL(kernel_table_, KERNEL_ISA);

const struct kernel_table KERNEL_SYMBOL(kernel_table_, KERNEL_ISA) = {
    .name = KERNEL_NAME(KERNEL_ISA),
    .features = ISA_FEATURES,
    .vector_bytes = VECTOR_BYTES,
    .multiply_add_f32 = multiply_add_f32,

    .gemm_depth_block = GEMM_DEPTH_BLOCK,
    .gemm_f32_tile_rows = GEMM_TILE_ROWS,
    .gemm_f32_tile_columns = GEMM_F32_TILE_COLUMNS,
    .gemm_f32_row_panels = gemm_f32_row_panels,
    .gemm_f32_column_panels = gemm_f32_column_panels,
    .gemm_f32_packed_a_size = gemm_f32_packed_a_size,
    .gemm_f32_packed_b_size = gemm_f32_packed_b_size,
    .gemm_f32_pack_a = gemm_f32_pack_a,
    .gemm_f32_pack_b = gemm_f32_pack_b,
    .gemm_f32_pack_b_part = gemm_f32_pack_b_part,
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

    .gemm_i8_tile_rows = GEMM_I8_TILE_ROWS,
    .gemm_i8_tile_columns = GEMM_I8_TILE_COLUMNS,
    .gemm_i8_row_panels = gemm_i8_row_panels,
    .gemm_i8_column_panels = gemm_i8_column_panels,
    .gemm_i8_packed_a_size = gemm_i8_packed_a_size,
    .gemm_i8_packed_b_size = gemm_i8_packed_b_size,
    .gemm_i8_pack_a = gemm_i8_pack_a,
    .gemm_i8_pack_b = gemm_i8_pack_b,
    .gemm_i8_scratch_size = gemm_i8_scratch_size,
    .gemm_i8_run = gemm_i8_run,

    .conv_f32_pixel_block = conv_f32_pixel_block,
    .conv_f32_scratch_size = conv_f32_scratch_size,
    .conv_f32_run = conv_f32_run,

    .window_scratch_size = window_scratch_size,
    .depthwise_f32 = depthwise_f32,
    .max_pool_f32 = max_pool_f32,
    .average_pool_f32 = average_pool_f32,

    .channel_block = {[NORMA_FLOAT] = VF_LANES,
                      [NORMA_FLOAT16] = VF_LANES,
                      [NORMA_BFLOAT16] = VF_LANES,
                      [NORMA_INT8] = 16,
                      [NORMA_UINT8] = 16},
    .blocked_conv_choose = blocked_conv_choose,
    .blocked_conv_packed_size = blocked_conv_packed_size,
    .blocked_conv_pack = blocked_conv_pack,
    .blocked_conv_divide = blocked_conv_divide,
    .blocked_conv_scratch_size = blocked_conv_scratch_size,
    .blocked_conv_run = blocked_conv_run,
    .blocked_grouped_packed_size = blocked_grouped_packed_size,
    .blocked_grouped_pack = blocked_grouped_pack,
    .blocked_grouped_panels = grouped_panels,
    .blocked_grouped_parts = blocked_grouped_parts,
    .blocked_grouped_scratch_size = blocked_grouped_scratch_size,
    .blocked_grouped_run = blocked_grouped_run,
    .blocked_copy_lanes_f32 = blocked_copy_lanes_f32,
    .blocked_depthwise_f32 = blocked_depthwise_f32,
    .blocked_max_pool_f32 = blocked_max_pool_f32,
    .blocked_average_pool_f32 = blocked_average_pool_f32,
    .blocked_sum_f32 = blocked_sum_f32,
    .blocked_affine_f32 = blocked_affine_f32,
    .block_channels = block_channels,
    .unblock_channels = unblock_channels,

    .fft_f32_lanes = VF_LANES,
    .fft_f64_lanes = VD_LANES,
    .fft_f32 = fft_f32_run,
    .fft_f64 = fft_f64_run,
    .fft_split_real_f32 = fft_f32_split_real,
    .fft_split_real_f64 = fft_f64_split_real,
    .fft_join_real_f32 = fft_f32_join_real,
    .fft_join_real_f64 = fft_f64_join_real,
    .fft_scale_rows_f32 = fft_f32_scale_rows,
    .fft_scale_rows_f64 = fft_f64_scale_rows,
    .fft_scale_f64 = fft_scale_f64,
    .fft_twist_f64 = fft_twist_f64,
    .fft_widen_f32 = fft_widen_f32,
    .fft_narrow_f32 = fft_narrow_f32,

    .unary_f32 =
        {
#define UNARY_ENTRY(NAME, function, formula) function##_f32,
            UNARY_KINDS(UNARY_ENTRY)
#undef UNARY_ENTRY
        },
    .binary_f32 = {BINARY_KINDS(BINARY_ENTRY)},
    .binary_right_scalar_f32 = {BINARY_KINDS(BINARY_RIGHT_SCALAR_ENTRY)},
    .binary_left_scalar_f32 = {BINARY_KINDS(BINARY_LEFT_SCALAR_ENTRY)},
    .prelu_f32 = prelu_f32,
    .affine_f32 = affine_channel_f32,
    .affine_row_f32 = affine_row_f32,
    .normalize_row_f32 = normalize_row_f32,

    .reduce_f32 = {sum_f32, sum_squares_f32, sum_abs_f32, maximum_f32, minimum_f32},
    .reduce_rows_f32 = {sum_rows_f32, sum_squares_rows_f32, sum_abs_rows_f32, maximum_rows_f32, minimum_rows_f32},
    .product_f32 = product_f32,
    .product_rows_f32 = product_rows_f32,
    .exp_sum_f32 = exp_sum_f32,
    .exp_sum_rows_f32 = exp_sum_rows_f32,
    .softmax_lines_f32 = softmax_lines_f32,
    .attention_f32_rows = ATTENTION_ROWS,
    .attention_f32_few = ATTENTION_FEW,
    .attention_f32_state_size = attention_f32_state_size,
    .attention_f32_begin = attention_f32_begin,
    .attention_f32_keys = attention_f32_keys,
    .attention_f32_end = attention_f32_end,
    .nbits_panel_columns = VF_LANES,
    .nbits_few = NBITS_FEW,
    .nbits_chunk = NBITS_CHUNK,
    .nbits_panels = nbits_panels,
    .nbits_packed_size = nbits_packed_size,
    .nbits_pack = nbits_pack,
    .nbits_dequantize = nbits_dequantize,
    .nbits_few_f32 = nbits_few_f32,
    .nbits_row_size = nbits_row_size,
    .nbits_quantize_row = nbits_quantize_row,
    .nbits_run_i8 = nbits_run_i8,

    .rotate_f32 = rotate_f32,
    .sum_f32_to_f64 = sum_f32_to_f64,
    .sum_squared_deviations_f32 = sum_squared_deviations_f32,
    .row_moments_f32 = row_moments_f32,
    .linear_attention_f32 = linear_attention_f32,
    .dot_f32 = dot_f32,

    .scale_f32 = scale_f32,
    .magnitude_f32 = magnitude_f32,
    .interpolate_rows_f32 = interpolate_rows_f32,
    .sample_points_f32 = sample_points_f32,

    .transpose_32 = transpose_32,
    .f16_to_f32 = f16_to_f32,
    .f32_to_f16 = f32_to_f16,
    .bf16_to_f32 = bf16_to_f32,
    .f32_to_bf16 = f32_to_bf16,

    .quantize_f32 = quantize_f32,
    .dequantize_f32 = dequantize_f32,
    .sum_8bit = sum_8bit,
    .product_8bit = product_8bit,
    .taps_8bit = taps_8bit,
    .maximum_8bit = maximum_8bit,
    .transpose_8bit = transpose_8bit,
    .lookup_8bit = lookup_8bit,
    .conv_8bit_signed = GEMM_I8_A_SIGNED,
    .conv_8bit_columns = CONV_8BIT_COLUMNS,
    .conv_8bit_pixels = CONV_8BIT_PIXELS,
    .conv_8bit_packed_size = conv_8bit_packed_size,
    .conv_8bit_pack = conv_8bit_pack,
    .conv_8bit_run = conv_8bit_run,
    .depthwise_8bit_run = depthwise_8bit_run,

    .arrays = &KERNEL_SYMBOL(array_kernels_, KERNEL_ISA),
};
