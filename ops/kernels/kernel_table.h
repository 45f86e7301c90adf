/* The kernel table: every compute kernel of one instruction set.
 *
 * A table is written once, in kernel_table_isa.c and the headers that it includes, and compiled for each file of isa/.
 * An override (override/NAME.c) replaces some entries of one table on CPUs that have more than the table needs. A table
 * is chosen once (kernel_table_default) and kept by the runtime. Kernels know neither graph nor tensor nor thread. They
 * take pointers, sizes and strides, allocate nothing, keep nothing, and may be called from any number of threads at a
 * time as long as the written ranges are apart. Work is split by the caller: functions with a begin/end range do that
 * part of the work and touch no other output.
 *
 * Sizes and strides count elements, scratch sizes count bytes. Pointers need the alignment of their element type only;
 * scratch is fastest when 64-byte aligned. No kernel reads or writes outside the ranges described, not even by a lane.
 *
 * Promise: for one table, an output element is a function of its inputs and of the length of its reduction, bit for
 * bit. It does not depend on the position in the array, on alignment, on the split into ranges, or on the sizes of
 * other dimensions. Element i of an elementwise function depends on input element i only. Overrides keep the bits of
 * their table. Between tables results differ in the last bits (SSE2 has no fused multiply-add); those of gemm_i8 do
 * not.
 *
 * Unless said otherwise, in and out may be the same pointer for elementwise functions, and must not overlap elsewhere.
 */
#ifndef OPS_KERNELS_KERNEL_TABLE_H
#define OPS_KERNELS_KERNEL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/activation.h"
#include "engine/base/cpu_features.h"
#include "engine/norma.h"
#include "ops/kernels/array_kernels.h"

/* ---- Functions of single elements, by the kinds of engine/base/activation.h -------------------------------------- */

/* y[i] = f(x[i]) for i < n. */
typedef void unary_f32_function(float *y, const float *x, size_t n, float a, float b);

/* y[i] = f(x[i], z[i]) for i < n; y may be x or z. */
typedef void binary_f32_function(float *y, const float *x, const float *z, size_t n);
/* y[i] = f(x[i], s), or f(s, x[i]) in the `left` form. */
typedef void binary_scalar_f32_function(float *y, const float *x, float s, size_t n);

/* ---- Reductions ------------------------------------------------------------------------------------------------- */
enum reduce_kind {
  REDUCE_SUM,
  REDUCE_SUM_SQUARES,
  REDUCE_SUM_ABS,
  REDUCE_MAX, /* NaN if any element is NaN */
  REDUCE_MIN,
  REDUCE_KIND_COUNT
};

/* ---- What happens to a matrix element before it is stored --------------------------------------------------------
 * c[i][j] = activation(sum + row_bias[i] + column_bias[j] + residual[i * residual_stride + j]), added in this order.
 * NULL pointers and a zero activation leave their step out. Indices are those of the whole matrix. `residual` must not
 * overlap the output, unless the depth K is one block (k <= gemm_depth_block of the table). */
struct epilogue_f32 {
  const float *row_bias;
  const float *column_bias;
  const float *residual;
  size_t residual_stride;
  struct activation activation;
};

/* ---- Matrix product ----------------------------------------------------------------------------------------------
 * c[i][j] = epilogue(sum over p < k of a[i][p] * b[p][j]) for i < m, j < n.
 *
 * Either operand may be packed beforehand (weights, once per model) and is packed by the kernel, into scratch, when it
 * is not. Strides make transposition free: the transpose of a row-major k x m matrix is row_stride 1, column_stride m.
 *
 * Order of the sum: p is cut in blocks whose length depends on k only; each block is summed from 0 upwards by fused
 * multiply-adds; the blocks' sums are added in order. All paths (m = 1 too, and convolution) keep it.
 *
 * Rows are grouped in row panels: gemm_f32_row_panels(m) of them, balanced, none larger than gemm_f32_tile_rows.
 * Columns are grouped in column panels of gemm_f32_tile_columns. A caller splits work at panels. */
struct gemm_f32 {
  size_t m, n, k;
  const float *a; /* unused when packed_a is given */
  size_t a_row_stride, a_column_stride;
  const float *packed_a; /* by gemm_f32_pack_a, or NULL */
  const float *b;        /* unused when packed_b is given */
  size_t b_row_stride, b_column_stride;
  const float *packed_b; /* by gemm_f32_pack_b, or NULL */
  float *c;              /* columns are adjacent */
  size_t c_row_stride;
  struct epilogue_f32 epilogue;
};

/* The same in double precision: c = activation-free sum + row_bias + column_bias. */
struct gemm_f64 {
  size_t m, n, k;
  const double *a;
  size_t a_row_stride, a_column_stride;
  const double *packed_a;
  const double *b;
  size_t b_row_stride, b_column_stride;
  const double *packed_b;
  double *c;
  size_t c_row_stride;
  const double *row_bias;
  const double *column_bias;
};

/* ---- Matrix product of 8-bit integers ------------------------------------------------------------------------------
 * sum[i][j] = bias[j] + sum over p < k of (a[i][p] - a_zero[i]) * (b[p][j] - b_zero[j]) for i < m, j < n, exact modulo
 * 2^32, and from it by c_type
 *
 *   NORMA_INT32             c[i][j] = sum[i][j]
 *   NORMA_FLOAT             c[i][j] = epilogue((float)sum[i][j] * scale[j])
 *   NORMA_INT8, _UINT8      c[i][j] = saturate(round((float)sum[i][j] * scale[j]) + c_zero), halves to even, and then
 *                           limited to c_low .. c_high where c_limited
 *
 * where (float) rounds to nearest, the product is rounded, and NaN saturates to the lowest. The bits are the same for
 * every table, but for activations other than Relu and Clip. Both operands are int8_t or uint8_t. b is packed
 * beforehand (weights, once per model); a is packed by the kernel, into scratch, unless it is before (one call after
 * the other may then share it). Packed operands are for the table, with its overrides, that has packed them. Panels are
 * as gemm_f32 has them, of other sizes. */
struct gemm_i8 {
  size_t m, n, k;
  norma_element_type a_type, b_type, c_type;
  const void *a; /* unused when packed_a is given */
  size_t a_row_stride, a_column_stride;
  const void *packed_a; /* by gemm_i8_pack_a, or NULL */
  const void *packed_b; /* by gemm_i8_pack_b */
  void *c;              /* columns are adjacent */
  size_t c_row_stride;
  const int32_t *a_zero, *b_zero;      /* NULL: 0 */
  size_t a_zero_stride, b_zero_stride; /* 0: one value for all; 1: one for each row of a, or column of b */
  const int32_t *bias;                 /* n values, or NULL */
  const float *scale;                  /* unused for NORMA_INT32 */
  size_t scale_stride;                 /* 0: one value for all; 1: one for each column */
  int32_t c_zero;                      /* within the range of c_type */
  bool c_limited;
  int32_t c_low, c_high;        /* within the range of c_type, c_low <= c_high */
  struct epilogue_f32 epilogue; /* for NORMA_FLOAT; row_bias is not read */
  unary_f32_function *function; /* the table's for the epilogue's activation; not read for none, Relu and Clip */
};

/* ---- Sum and product of 8-bit integers -----------------------------------------------------------------------------
 * Of numbers that stand for (a - a_zero) * scale. Types are NORMA_INT8 and NORMA_UINT8.
 *
 *   sum       y = limit(round((a - a_zero) * a_factor + (b - b_zero) * b_factor) + zero)
 *   product   y = limit(round((float)((a - a_zero) * (b - b_zero)) * a_factor) + zero)
 *
 * Products and sums are rounded to float one by one, so that the bits are the same for every table; round takes halves
 * to even, and NaN becomes the lowest number; limit is to low .. high, which lie within y's type. */
struct binary_8bit {
  norma_element_type a_type, b_type, y_type;
  int32_t a_zero, b_zero, zero, low, high;
  float a_factor, b_factor;
};

/* ---- Windows over 8-bit integers, one channel at a time ------------------------------------------------------------
 * A row of outputs: sum[i] = bias + sum over t < taps of x[t][i] * w[t], exact modulo 2^32. NORMA_INT32 stores it,
 * NORMA_INT8 and _UINT8 limit(round((float)sum[i] * scale) + zero), halves to even; limit is to low .. high, which lie
 * within the type. Behind the n bytes of each x[t] 64 more must be readable. */
struct taps_8bit {
  norma_element_type x_type, y_type;
  size_t taps;
  const uint8_t *const *x;
  const int32_t *w;
  int32_t bias, zero, low, high;
  float scale;
};

/* ---- Convolution of 8-bit integers in channel blocks ---------------------------------------------------------------
 * A step is one tap of the window over 16 channels. For the outputs o of a group, at row r and pixel p:
 *
 *   sum = term[o] + over steps s, c < 16 of x[r * x_row + 16 * p + offsets[s] + c] * w[o][s][c], exact modulo 2^32
 *   y[o / 16][r][p][o % 16] = limit(round((float)sum * scale[o]) + zero), halves to even, to low .. high, which lie
 *   within the type of y
 *
 * w is signed, x as conv_8bit_signed says: bytes of the other sign have 128 added, which term makes good. Lanes of y's
 * last block that are no outputs are written or not. */
struct conv_8bit {
  size_t steps;
  const size_t *offsets; /* in bytes, as all strides */
  size_t outputs;
  const void *packed;  /* by conv_8bit_pack */
  const int32_t *term; /* outputs values, and behind them others up to a multiple of 16; scale too */
  const float *scale;
  int32_t zero, low, high;
  size_t rows, pixels;
  size_t x_row, y_row, y_block;
};

/* The same where each channel of a block has its own taps:
 *
 *   sum = term[c] + over taps t < 4 * fours of x[r * x_row + 16 * p + offsets[t] + c] * w(t, c)
 *
 * with w(t, c) at w[t / 4][c][t % 4]. Up to 64 bytes behind each row of x must be readable. */
struct depthwise_8bit {
  size_t fours;
  const size_t *offsets;
  const int8_t *w;
  const int32_t *term; /* 16 values, as scale */
  const float *scale;
  int32_t zero, low, high;
  size_t rows, pixels;
  size_t x_row, y_row;
};

/* ---- Convolution -------------------------------------------------------------------------------------------------
 * One group of one sample, NCHW; [0] is depth, [1] height, [2] width. For 2-D set every field [0] to 1 (pad 0), for 1-D
 * [1] too. With x[channels][input0][input1][input2] and weights w[outputs][channels * kernel0 * kernel1 * kernel2]:
 *
 *   y[o][p] = epilogue(sum over c, k0, k1, k2 of w[o][c][k0][k1][k2] * x[c][i0][i1][i2]),
 *   where p = (p0 * output1 + p1) * output2 + p2, i_d = p_d * stride_d + k_d * dilation_d - pad_d, zero outside x.
 *
 * The epilogue's rows are output channels and its columns pixels. Weights are packed by
 * gemm_f32_pack_a(outputs, channels * kernel0 * kernel1 * kernel2, w, row_stride, 1). The order of the sum is
 * gemm_f32's. */
struct conv_f32 {
  size_t channels; /* input channels of one group */
  size_t outputs;  /* output channels of one group */
  size_t input[3];
  size_t output[3];
  size_t kernel[3];
  size_t stride[3];
  size_t dilation[3];
  size_t pad[3]; /* before the first element; what is needed behind the last follows from output */
  const float *packed_weights;
  struct epilogue_f32 epilogue;
};

/* ---- Windows over one 2-D plane: depthwise convolution and pooling -------------------------------------------------
 */
struct window_2d {
  size_t input[2]; /* height, width */
  size_t output[2];
  size_t kernel[2];
  size_t stride[2];
  size_t dilation[2];
  size_t pad[2]; /* top, left */
};

/* ---- Channel blocks ------------------------------------------------------------------------------------------------
 * A blocked tensor of logical shape [N, C, H, W] is a tensor of shape [N, ceil(C / b), H, W, b], where b is the table's
 * channel_block of its element type: element (n, c, y, x) stands at [n][c / b][y][x][c % b]. Lanes from C on (padding
 * lanes) hold anything, NaN included, and never influence real lanes; kernels write something into those of their
 * outputs. */
enum blocked_algorithm {
  BLOCKED_DIRECT,     /* the definition's sum, blocked like gemm_f32's */
  BLOCKED_WINOGRAD_2, /* F(2x2, 3x3): 3x3 kernels, stride and dilation 1, blocked input */
  BLOCKED_WINOGRAD_4  /* F(4x4, 3x3): the same; larger error (see ops/kernels/blocked_winograd.h) */
};

/* Convolution of one group of one sample. x, y, residual and the weights that are packed are of type FLOAT, FLOAT16 or
 * BFLOAT16; it is computed in float. With x and y blocked, [0] height and [1] width:
 *
 *   y[o][p] = activation(sum over c, k0, k1 of w[o][c][k0][k1] * x[c][i0][i1] + bias[o] + residual[o][p]),
 *   where i_d = p_d * stride_d + k_d * dilation_d - pad_d, zero outside x.
 *
 * A group must begin at a block: with several groups, channels and outputs of a group are multiples of b. A NaN or Inf
 * of x reaches the outputs that it reaches by the definition, with every algorithm: Winograd's compute tiles anew that
 * do not come out finite. Their weights must be finite. The result depends on the algorithm and the table, never on
 * units, workers or the position in the batch. */
struct blocked_conv_f32 {
  norma_element_type type;
  size_t channels, outputs; /* true ones, of one group */
  size_t input[2];
  size_t output[2];
  size_t kernel[2];
  size_t stride[2];
  size_t dilation[2];
  size_t pad[2];                    /* top, left; what is needed behind the end follows from output */
  bool plain_input;                 /* x is planes [channels][height][width] (first layers), not blocked; DIRECT only */
  enum blocked_algorithm algorithm; /* the one that the weights were packed for */
  size_t row_parts, panel_parts;    /* by blocked_conv_divide */
  const float *packed_weights;      /* by blocked_conv_pack */
  const float *bias;                /* outputs values, padded with zeros to a multiple of b; NULL: none */
  const void *residual;             /* laid out as y; NULL: none; may be y itself */
  struct activation activation;
};

/* 1x1 convolution of one sample with several groups, of any number of channels, stride 1 and no padding; x and y
 * blocked. No group sees what the channels of another hold, infinite or not. */
struct blocked_grouped_f32 {
  size_t channels, outputs, groups; /* true ones, of all groups together */
  size_t pixels;
  const size_t *places;        /* the convolution's channel c is channel places[c] of x; NULL: c itself */
  const float *packed_weights; /* by blocked_grouped_pack */
  const float *bias;           /* outputs values, padded with zeros to a multiple of b; NULL: none */
  const float *residual;       /* laid out as y; NULL: none; may be y itself */
  struct activation activation;
};

/* Into how many parts pixels and panels of outputs should be cut; the work is every part of one with every of the
 * other. */
struct blocked_parts {
  size_t pixels, panels;
  size_t part_pixels; /* of each part but the last */
};

/* Rows and columns of b, k x n. A part begins at a column panel and ends at one or with the last column. */
struct gemm_part {
  size_t k, n;
  size_t row, rows;
  size_t column, columns;
};

/* ---- Fourier transforms --------------------------------------------------------------------------------------------
 * Signals side by side, one in each of fft_f32_lanes or fft_f64_lanes lanes: a row is that many elements, a complex row
 * a row of real parts and one of imaginary parts behind it. Lanes do not influence each other.
 *
 *   y[k] = sum over j < n of x[j] * exp(-2 pi sqrt(-1) j k / n)
 *
 * `n` is the product of `factors`, each 2, 3, 4, 5 or 7. For the factor f, with l the product of those before it and
 * m = n / (l f), `twiddles` holds exp(-2 pi sqrt(-1) i j l / n) for i < m and 0 < j < f, at [i][j - 1], real and
 * imaginary part; one factor after the other. */
#define FFT_MOST_FACTORS   64
#define FFT_LARGEST_FACTOR 7

struct fft_f32 {
  size_t n;
  size_t factor_count;
  uint8_t factors[FFT_MOST_FACTORS];
  const float *twiddles;
};

struct fft_f64 {
  size_t n;
  size_t factor_count;
  uint8_t factors[FFT_MOST_FACTORS];
  const double *twiddles;
};

/* ---- Linear attention ----------------------------------------------------------------------------------------------
 * One token of one head, for columns j < columns of the state S[rows][state_stride], rows > 0:
 *
 *   S[i][j] *= decay[i], or decay[0]
 *   w[j]     = corrects ? rate * (value[j] - sum over i of key[i] * S[i][j]) : value[j]
 *   S[i][j] += key[i] * w[j]
 *   output[q][j] = scale * sum over i of queries[q][i] * S[i][j]       for each q < query_count > 0
 *
 * Sums run from the first row to the last by fused multiply-adds; columns do not see each other. */
struct linear_attention_f32 {
  size_t rows, columns;
  float *state;
  size_t state_stride;
  const float *decay; /* NULL: none */
  bool decays_by_row;
  bool corrects;
  float rate;
  const float *key;
  const float *value;
  const float *queries;
  size_t query_count, query_stride;
  float scale;
  float *output;
  size_t output_stride;
};

/* ---- Attention -----------------------------------------------------------------------------------------------------
 * Some rows of queries against all keys of one head:
 *
 *   y[r] = sum over j of w[r][j] * v[j],  w[r] = softmax over j of cap(scale * q[r] . k[j]) + bias[r][j]
 *
 * where cap(s) = softcap * tanh(s / softcap). Keys are given in blocks, one call after the other, and no more than a
 * block of scores exists at a time. A row's result depends on where blocks begin and on `few`, not on the rows beside
 * it. A row that sees no key becomes zeros. */
struct attention_f32 {
  size_t rows;          /* at most attention_f32_rows */
  size_t keys;          /* the most keys of a block */
  size_t depth, values; /* elements of a row of q and of k; of v and of y */
  float scale;
  float softcap; /* 0: none */
  bool few;      /* the algorithm for up to attention_f32_few rows, which is as correct for more */
  float hidden;  /* 0, or NaN: the results of a row that sees no key */
};

/* The mean of a row, and of the squares of its deviations from it. */
struct row_moments {
  double mean, variance;
};

/* A block of keys, which row r sees from first[r] to end[r] - 1, counted from the block's first. */
struct attention_keys_f32 {
  size_t keys;
  const float *k, *v;
  size_t k_stride, v_stride;  /* of rows, whose elements are adjacent */
  const float *bias;          /* [rows][keys]; an element of -inf masks its position, whatever the score. NULL: none */
  size_t bias_stride;         /* 0: the same for all rows */
  const int32_t *first, *end; /* NULL, both: all rows see all keys */
};

/* ---- Weights of a few bits -----------------------------------------------------------------------------------------
 * c[i][j] = bias[j] + sum over p < k of a[i][p] * scale[j][p / block] * (number[j][p] - zero[j][p / block]), j < n,
 * where numbers are unsigned, of 2, 4 or 8 bits. They stay so when they are packed. */
struct nbits {
  size_t n, k;
  size_t bits, block; /* block: a multiple of 16 */
  bool has_zeros;
  float zero;         /* without zeros of their own */
  const void *packed; /* by nbits_pack */
  const float *bias;  /* n values, or NULL */
};

/* ---- The table --------------------------------------------------------------------------------------------------- */
struct kernel_table {
  const char *name; /* "avx2": that of its file in isa/ */
  cpu_feature_set features;
  size_t vector_bytes;

  /* Multiplies and adds 12 * steps vectors in registers, for measuring what the CPU can do; returns some sum of
   * them. */
  float (*multiply_add_f32)(size_t steps, float factor, float term);

  /* ---- gemm_f32 ---- */
  size_t gemm_depth_block; /* longest block of k */
  size_t gemm_f32_tile_rows;
  size_t gemm_f32_tile_columns;
  size_t (*gemm_f32_row_panels)(size_t m);
  size_t (*gemm_f32_column_panels)(size_t n);
  /* Elements of a packed operand; zero for an empty one. */
  size_t (*gemm_f32_packed_a_size)(size_t m, size_t k);
  size_t (*gemm_f32_packed_b_size)(size_t k, size_t n);
  void (*gemm_f32_pack_a)(float *packed, const float *a, size_t m, size_t k, size_t row_stride, size_t column_stride);
  void (*gemm_f32_pack_b)(float *packed, const float *b, size_t k, size_t n, size_t row_stride, size_t column_stride);
  /* One part of gemm_f32_pack_b; b: the first element of the part. */
  void (*gemm_f32_pack_b_part)(float *packed, const float *b, const struct gemm_part *part, size_t row_stride,
                               size_t column_stride);
  /* Bytes of scratch that gemm_f32_run needs per concurrent call, for any range. 0 when nothing needs packing. */
  size_t (*gemm_f32_scratch_size)(const struct gemm_f32 *gemm);
  /* Computes row panels [row_panel_begin, row_panel_end) x column panels [column_panel_begin, column_panel_end).
   * Who splits columns rather than rows packs `a` again in each call, and the other way round. */
  void (*gemm_f32_run)(const struct gemm_f32 *gemm, size_t row_panel_begin, size_t row_panel_end,
                       size_t column_panel_begin, size_t column_panel_end, void *scratch);

  /* ---- gemm_f64: the same contract ---- */
  size_t (*gemm_f64_row_panels)(size_t m);
  size_t (*gemm_f64_column_panels)(size_t n);
  size_t (*gemm_f64_packed_a_size)(size_t m, size_t k);
  size_t (*gemm_f64_packed_b_size)(size_t k, size_t n);
  void (*gemm_f64_pack_a)(double *packed, const double *a, size_t m, size_t k, size_t row_stride, size_t column_stride);
  void (*gemm_f64_pack_b)(double *packed, const double *b, size_t k, size_t n, size_t row_stride, size_t column_stride);
  size_t (*gemm_f64_scratch_size)(const struct gemm_f64 *gemm);
  void (*gemm_f64_run)(const struct gemm_f64 *gemm, size_t row_panel_begin, size_t row_panel_end,
                       size_t column_panel_begin, size_t column_panel_end, void *scratch);

  /* ---- gemm_i8: the same contract; sizes of packed operands in bytes, which must be aligned for int32_t ---- */
  size_t gemm_i8_tile_rows;
  size_t gemm_i8_tile_columns;
  size_t (*gemm_i8_row_panels)(size_t m);
  size_t (*gemm_i8_column_panels)(size_t n);
  size_t (*gemm_i8_packed_a_size)(size_t m, size_t k);
  size_t (*gemm_i8_packed_b_size)(size_t k, size_t n);
  /* Packs the rows of row panels [begin, end); a: the first of these rows. */
  void (*gemm_i8_pack_a)(void *packed, const void *a, norma_element_type type, size_t m, size_t k, size_t row_stride,
                         size_t column_stride, size_t begin, size_t end);
  /* Packs the columns of column panels [begin, end); b: the first of these columns. */
  void (*gemm_i8_pack_b)(void *packed, const void *b, norma_element_type type, size_t k, size_t n, size_t row_stride,
                         size_t column_stride, size_t begin, size_t end);
  size_t (*gemm_i8_scratch_size)(const struct gemm_i8 *gemm);
  void (*gemm_i8_run)(const struct gemm_i8 *gemm, size_t row_panel_begin, size_t row_panel_end,
                      size_t column_panel_begin, size_t column_panel_end, void *scratch);

  /* ---- conv_f32 ----
   * Output channels are cut in gemm_f32_row_panels(outputs) panels, pixels anywhere; multiples of
   * conv_f32_pixel_block(conv) waste nothing. Patches are packed once per call, so a caller with several threads splits
   * pixels first and output channels only where there are too few pixels. */
  size_t (*conv_f32_pixel_block)(const struct conv_f32 *conv);
  size_t (*conv_f32_scratch_size)(const struct conv_f32 *conv); /* bytes per concurrent call */
  /* x: the group's first input channel; y: the group's first output channel. */
  void (*conv_f32_run)(const struct conv_f32 *conv, const float *x, float *y, size_t row_panel_begin,
                       size_t row_panel_end, size_t pixel_begin, size_t pixel_end, void *scratch);

  /* ---- depthwise convolution of one plane ----
   * y[p0][p1] = activation(bias + sum over k0, k1 of w[k0][k1] * x[p0*stride0 + k0*dilation0 - pad0][...]), zero
   * outside. `residual` has y's shape or is NULL and is added after the bias. */
  size_t (*window_scratch_size)(const struct window_2d *window); /* bytes per concurrent call, pooling too */
  void (*depthwise_f32)(const struct window_2d *window, const float *x, const float *w, float bias,
                        const float *residual, struct activation activation, float *y, void *scratch);

  /* ---- pooling of one plane ----
   * Maximum over the part of the window inside x, -inf if that is empty; NaN if the window holds one. */
  void (*max_pool_f32)(const struct window_2d *window, const float *x, float *y, void *scratch);
  /* Sum over the part of the window inside x, divided by the number of elements counted: with count_pad those in
   * the padding too, `pad_end` elements below and to the right included (ONNX's count_include_pad), else only those
   * inside x. What lies beyond the padding (ceil_mode) is never counted. */
  void (*average_pool_f32)(const struct window_2d *window, bool count_pad, const size_t pad_end[2], const float *x,
                           float *y, void *scratch);

  /* ---- channel blocks ---- */
  /* b by element type (NORMA_FLOAT ..), the floats of a vector for all that are computed in float; 0: no blocks of
   * it. */
  size_t channel_block[NORMA_ELEMENT_TYPE_COUNT];
  /* The fastest algorithm for a shape, by a model checked against measurement; BLOCKED_DIRECT if `exact`. Reads neither
   * pointers nor `algorithm`. */
  enum blocked_algorithm (*blocked_conv_choose)(const struct blocked_conv_f32 *conv, bool exact);
  /* Elements of the packed weights. Packing depends on channels, outputs, kernel, plain_input and `algorithm`, and on
   * no other member: it serves inputs of all sizes. */
  size_t (*blocked_conv_packed_size)(const struct blocked_conv_f32 *conv);
  /* Packs the weights [count][channels][kernel0][kernel1] of outputs first .. first + count - 1; `first` is a multiple
   * of b, and so is `count` unless these are the last. */
  void (*blocked_conv_pack)(const struct blocked_conv_f32 *conv, float *packed, const void *weights, size_t first,
                            size_t count);
  /* Sets row_parts and panel_parts: how to cut the work of `samples` samples for that many workers. Returns the number
   * of units of each sample; each unit writes its own part of y, to which the cut makes no difference. Neighbouring
   * units share work: give a worker a run of them rather than one here and one there. */
  size_t (*blocked_conv_divide)(struct blocked_conv_f32 *conv, size_t samples, int workers);
  size_t (*blocked_conv_scratch_size)(const struct blocked_conv_f32 *conv); /* bytes per concurrent call */
  /* Computes units [unit_begin, unit_end) of a sample. x and y: the group's first block of one sample (its first plane
   * with plain_input). scratch must be aligned for size_t. */
  void (*blocked_conv_run)(const struct blocked_conv_f32 *conv, const void *x, void *y, size_t unit_begin,
                           size_t unit_end, void *scratch);

  /* Grouped 1x1 convolution: weights [outputs][channels / groups] are packed; outputs are cut in panels, which a call
   * computes from panel_begin to panel_end, for pixels from pixel_begin to pixel_end. */
  size_t (*blocked_grouped_packed_size)(const struct blocked_grouped_f32 *conv); /* elements */
  void (*blocked_grouped_pack)(const struct blocked_grouped_f32 *conv, float *packed, const float *weights);
  size_t (*blocked_grouped_panels)(const struct blocked_grouped_f32 *conv);
  struct blocked_parts (*blocked_grouped_parts)(const struct blocked_grouped_f32 *conv, int workers);
  size_t (*blocked_grouped_scratch_size)(const struct blocked_grouped_f32 *conv); /* bytes per concurrent call */
  void (*blocked_grouped_run)(const struct blocked_grouped_f32 *conv, const float *x, float *y, size_t pixel_begin,
                              size_t pixel_end, size_t panel_begin, size_t panel_end, void *scratch);
  /* y[p * b + l] = x[p * b + l] for l < lanes <= b and p < pixels; nothing else is touched. */
  void (*blocked_copy_lanes_f32)(float *y, const float *x, size_t lanes, size_t pixels);

  /* Windows over one block of one sample: x is [input0][input1][b], y [output0][output1][b], w [kernel0][kernel1][b],
   * bias b values or NULL; the rest as depthwise_f32, max_pool_f32 and average_pool_f32 have it. No scratch. y may be
   * residual. */
  void (*blocked_depthwise_f32)(const struct window_2d *window, const float *x, const float *w, const float *bias,
                                const float *residual, struct activation activation, float *y);
  void (*blocked_max_pool_f32)(const struct window_2d *window, const float *x, float *y);
  void (*blocked_average_pool_f32)(const struct window_2d *window, bool count_pad, const size_t pad_end[2],
                                   const float *x, float *y);
  /* y[l] = sum over p < pixels of x[p][l]: global pooling without the division. */
  void (*blocked_sum_f32)(float *y, const float *x, size_t pixels);
  /* y[p][l] = activation(x[p][l] * scale[l] + shift[l] + residual[p][l]); residual may be NULL; y may be x or residual.
   */
  void (*blocked_affine_f32)(float *y, const float *x, const float *residual, size_t pixels, const float *scale,
                             const float *shift, struct activation activation);
  /* Between planes [channels][pixels] and one block [pixels][b], 1 <= channels <= b. Blocking writes zeros into the
   * padding lanes. FLOAT, FLOAT16, BFLOAT16, INT8, UINT8. */
  void (*block_channels)(void *y, const void *x, size_t channels, size_t pixels, norma_element_type type);
  void (*unblock_channels)(void *y, const void *x, size_t channels, size_t pixels, norma_element_type type);

  /* ---- Fourier transforms ---- */
  size_t fft_f32_lanes, fft_f64_lanes;
  /* Transforms n complex rows of x with the help of as many of y, both of which are overwritten; returns the one that
   * holds the result. `inverse`: exp(+2 pi ..), without a division. */
  float *(*fft_f32)(const struct fft_f32 *fft, float *x, float *y, bool inverse);
  double *(*fft_f64)(const struct fft_f64 *fft, double *x, double *y, bool inverse);
  /* z: the transform of the pairs of 2 * half real elements as complex ones; y: the first half + 1 rows of the
   * transform of these elements. twiddles[k] = exp(-2 pi sqrt(-1) k / (2 * half)) for k <= half. */
  void (*fft_split_real_f32)(float *y, const float *z, const float *twiddles, size_t half);
  void (*fft_split_real_f64)(double *y, const double *z, const double *twiddles, size_t half);
  /* The way back: from half + 1 rows to z. The imaginary parts of the first and the last row count as 0. */
  void (*fft_join_real_f32)(float *z, const float *x, const float *twiddles, size_t half);
  void (*fft_join_real_f64)(double *z, const double *x, const double *twiddles, size_t half);
  /* Rows times scale[i]. */
  void (*fft_scale_rows_f32)(float *x, const float *scale, size_t rows);
  void (*fft_scale_rows_f64)(double *x, const double *scale, size_t rows);
  /* Complex rows times the complex numbers factors[i], or their conjugates; y may be x. */
  void (*fft_scale_f64)(double *y, const double *x, const double *factors, size_t rows, bool conjugate);
  /* Complex rows times the complex numbers scalars[i] * vectors[i][lane], or their conjugates. */
  void (*fft_twist_f64)(double *x, const double *scalars, const double *vectors, size_t rows, bool conjugate);
  /* Rows of fft_f64_lanes elements to double, and back. */
  void (*fft_widen_f32)(double *y, const float *x, size_t rows);
  void (*fft_narrow_f32)(float *y, const double *x, size_t rows);

  /* ---- elementwise ---- */
  unary_f32_function *unary_f32[UNARY_KIND_COUNT];
  binary_f32_function *binary_f32[BINARY_KIND_COUNT];
  binary_scalar_f32_function *binary_right_scalar_f32[BINARY_KIND_COUNT]; /* f(x[i], s) */
  binary_scalar_f32_function *binary_left_scalar_f32[BINARY_KIND_COUNT];  /* f(s, x[i]) */

  /* y[i] = x[i] < 0 ? x[i] * slope[i] : x[i] */
  void (*prelu_f32)(float *y, const float *x, const float *slope, size_t n);

  /* y[i] = activation(x[i] * scale + shift + residual[i]); residual may be NULL and may be y. */
  void (*affine_f32)(float *y, const float *x, const float *residual, size_t n, float scale, float shift,
                     struct activation activation);
  /* y[j] = activation(x[j] * scale[j] + shift[j] + residual[j]): one row of a channels-last tensor. */
  void (*affine_row_f32)(float *y, const float *x, const float *residual, size_t n, const float *scale,
                         const float *shift, struct activation activation);
  /* y[j] = (x[j] - mean) * factor * scale[j] + shift[j]: LayerNormalization; scale and shift may be NULL. */
  void (*normalize_row_f32)(float *y, const float *x, size_t n, float mean, float factor, const float *scale,
                            const float *shift);

  /* ---- reductions of a contiguous run; n = 0 gives the identity (0, -inf, inf) ---- */
  float (*reduce_f32[REDUCE_KIND_COUNT])(const float *x, size_t n);
  /* y[i] = exp(x[i] - offset), returns the sum of y. y may be x, or NULL when only the sum is wanted. */
  float (*exp_sum_f32)(float *y, const float *x, size_t n, float offset);
  /* The product, in double precision and rounded once: what overflows on the way is no infinity. 1 if n is 0. */
  float (*product_f32)(const float *x, size_t n);
  /* Softmax of each of `lines` lines of n elements, one behind the other; y may be x. */
  void (*softmax_lines_f32)(float *y, const float *x, size_t lines, size_t n);

  /* ---- attention: begin, keys for each block, end ---- */
  size_t attention_f32_rows; /* the most rows of a call */
  size_t attention_f32_few;
  size_t (*attention_f32_state_size)(const struct attention_f32 *attention); /* bytes */
  /* sink: for each row the score of a further key whose value is 0; NULL: none. */
  void (*attention_f32_begin)(const struct attention_f32 *attention, const float *q, size_t q_stride, const float *sink,
                              void *state);
  void (*attention_f32_keys)(const struct attention_f32 *attention, const struct attention_keys_f32 *block,
                             void *state);
  void (*attention_f32_end)(const struct attention_f32 *attention, float *y, size_t y_stride, void *state);

  /* ---- weights of a few bits ----
   * Columns are cut in nbits_panels(nbits) panels of nbits_panel_columns. Nothing but the packing reads weights. */
  size_t nbits_panel_columns;
  size_t nbits_few;   /* up to this many rows nbits_few_f32 is best */
  size_t nbits_chunk; /* see nbits_few_f32 */
  size_t (*nbits_panels)(const struct nbits *nbits);
  size_t (*nbits_packed_size)(const struct nbits *nbits); /* bytes, to be aligned for a vector */
  /* Packs blocks first .. first + count - 1 of all ceil(k / block) of a panel. weights: whole columns of the panel,
   * [column][blocks][block * bits / 8] bytes, the first step of depth in the lowest bits. scales and zeros:
   * [column][count]; zeros NULL without has_zeros. */
  void (*nbits_pack)(const struct nbits *nbits, void *packed, size_t panel, size_t first, size_t count,
                     const uint8_t *weights, const float *scales, const float *zeros);
  /* y[p * y_stride + j] = weight of step first + p and column j of a panel, for p < count; first is a multiple of 16.
   * Columns behind n are written too. */
  void (*nbits_dequantize)(const struct nbits *nbits, size_t panel, size_t first, size_t count, float *y,
                           size_t y_stride);
  /* c for some rows and panels. Sums are those of gemm_f32 on nbits_chunk steps of depth after the other: a chunk's
   * sum, the bias with the last one, then what the chunks before gave. */
  void (*nbits_few_f32)(const struct nbits *nbits, const float *a, size_t a_stride, size_t rows, float *c,
                        size_t c_stride, size_t panel_begin, size_t panel_end);
  /* The same with a quantized to 8 bits, each block of a row by its largest magnitude: rows of nbits_row_size bytes,
   * aligned for a vector. A block with NaN or infinity makes its row NaN. */
  size_t (*nbits_row_size)(const struct nbits *nbits);
  void (*nbits_quantize_row)(const struct nbits *nbits, void *row, const float *a);
  void (*nbits_run_i8)(const struct nbits *nbits, const void *a, size_t rows, float *c, size_t c_stride,
                       size_t panel_begin, size_t panel_end);

  /* Rotates pairs of elements, (x[i], x[half + i]) or with `neighbours` (x[2 * i], x[2 * i + 1]), by the angle whose
   * cosine and sine are cos[i] and sin[i], i < half. y may be x. */
  void (*rotate_f32)(float *y, const float *x, const float *cos, const float *sin, size_t half, bool neighbours);

  /* Sums in double precision: of x, and of (x - mean)^2. */
  double (*sum_f32_to_f64)(const float *x, size_t n);
  double (*sum_squared_deviations_f32)(const float *x, size_t n, double mean);
  /* The mean of x, and of (x - mean)^2; with `centered` 0 instead of the mean. Sums of deviations in float in pieces,
   * and of these in double precision: within 1e-6 of the root of the mean square, and so however far the mean is from
   * 0. n is not 0. */
  struct row_moments (*row_moments_f32)(const float *x, size_t n, bool centered);
  /* See struct linear_attention_f32. */
  void (*linear_attention_f32)(const struct linear_attention_f32 *token);

  /* Sum of x[i] * z[i], single precision. */
  float (*dot_f32)(const float *x, const float *z, size_t n);
  /* Across rows: y[j] = reduction over i < rows of x[i * row_stride + j] for j < columns, in order of i. */
  void (*reduce_rows_f32[REDUCE_KIND_COUNT])(float *y, const float *x, size_t rows, size_t columns, size_t row_stride);

  /* The same of products, each in double precision and rounded once. */
  void (*product_rows_f32)(float *y, const float *x, size_t rows, size_t columns, size_t row_stride);
  /* y[j] = sum over i < rows of exp(x[i * row_stride + j] - offset[j]). */
  void (*exp_sum_rows_f32)(float *y, const float *x, size_t rows, size_t columns, size_t row_stride,
                           const float *offset);

  /* Interpolation along rows: y[o][j] = sum over k < taps of weights[o][k] * x[first[o] + k][j] for o < count and j <
   * columns, in order of k, products rounded; rows before the first and behind the last are these. rows > 0. */
  void (*interpolate_rows_f32)(float *y, const float *x, size_t rows, size_t columns, const int64_t *first,
                               const float *weights, size_t taps, size_t count);

  /* y[i] = sum over t < taps of weights[t * stride + i] * x[offsets[t * stride + i]] for i < n, in order of t; where an
   * offset is negative, the element counts as 0. */
  void (*sample_points_f32)(float *y, const float *x, const int32_t *offsets, const float *weights, size_t taps,
                            size_t stride, size_t n);

  /* ---- data movement and conversion ---- */
  /* y[i] = x[i] * factor, computed in double and rounded once. y may be x. */
  void (*scale_f32)(float *y, const float *x, size_t n, double factor);
  /* The largest magnitude, NaN where an element is NaN; 0 if n is 0. */
  float (*magnitude_f32)(const float *x, size_t n);
  /* y[j * y_row_stride + i] = x[i * x_row_stride + j] for i < rows, j < columns; 4-byte elements of any type. */
  void (*transpose_32)(void *y, size_t y_row_stride, const void *x, size_t x_row_stride, size_t rows, size_t columns);
  /* IEEE half and bfloat16, bit patterns in uint16_t; to the nearest, halves to even; NaN stays NaN (quiet). */
  void (*f16_to_f32)(float *y, const uint16_t *x, size_t n);
  void (*f32_to_f16)(uint16_t *y, const float *x, size_t n);
  void (*bf16_to_f32)(float *y, const uint16_t *x, size_t n);
  void (*f32_to_bf16)(uint16_t *y, const float *x, size_t n);

  /* ---- integers of 8 bits: NORMA_INT8, NORMA_UINT8 ---- */
  /* y[i] = saturate(round(x[i] / scale) + zero), halves to even, NaN to the lowest number; `zero` is one of y's. */
  void (*quantize_f32)(void *y, const float *x, size_t n, float scale, int32_t zero, norma_element_type type);
  /* y[i] = (float)(x[i] - zero) * scale */
  void (*dequantize_f32)(float *y, const void *x, size_t n, float scale, int32_t zero, norma_element_type type);
  /* y[i] from a[i] and b[i]; y may be a or b. */
  void (*sum_8bit)(void *y, const void *a, const void *b, size_t n, const struct binary_8bit *of);
  void (*product_8bit)(void *y, const void *a, const void *b, size_t n, const struct binary_8bit *of);
  void (*taps_8bit)(void *y, size_t n, const struct taps_8bit *of);
  /* y[i] = the greatest of x[0][i] .. x[rows - 1][i]; rows is not 0. Behind the n bytes 64 more must be readable. */
  void (*maximum_8bit)(void *y, size_t n, const uint8_t *const *x, size_t rows, norma_element_type type);
  /* y[j * y_stride + i] = x[i * x_stride + j] for i < rows, j < columns. */
  void (*transpose_8bit)(uint8_t *y, size_t y_stride, const uint8_t *x, size_t x_stride, size_t rows, size_t columns);
  bool conv_8bit_signed;
  size_t conv_8bit_columns, conv_8bit_pixels; /* outputs of a panel; pixels of a tile, which rows are cut into */
  size_t (*conv_8bit_packed_size)(size_t outputs, size_t steps); /* bytes */
  /* Packs the weights of one step of one output. What is not packed must be zero. */
  void (*conv_8bit_pack)(void *packed, const int8_t w[16], size_t outputs, size_t steps, size_t output, size_t step);
  void (*conv_8bit_run)(const struct conv_8bit *of, const uint8_t *x, uint8_t *y, size_t panel_begin, size_t panel_end);
  void (*depthwise_8bit_run)(const struct depthwise_8bit *of, const uint8_t *x, uint8_t *y);
  /* y[i] = table[x[i]], x as unsigned bytes; y may be x. */
  void (*lookup_8bit)(void *y, const void *x, size_t n, const uint8_t table[256]);

  /* Other element types, of which no kernel depends on the table. */
  const struct array_kernels *arrays;
};

/* Entries of one table that are better on CPUs with further features. Where two of a table replace the same entry, the
 * one whose name is later in the alphabet does. */
struct kernel_override {
  const char *name;
  const char *table;
  cpu_feature_set features; /* besides those of the table */
  void (*apply)(struct kernel_table *table);
};

/* Table number `index` of this build, in rising order of preference, without overrides and whether this CPU runs it or
 * not (kernel_table_find knows); NULL behind the last. */
const struct kernel_table *kernel_table_built_at(size_t index);

/* Table number `index` of those that this CPU runs, in rising order of preference, with all overrides that it runs;
 * NULL behind the last. Tables live as long as the process. */
const struct kernel_table *kernel_table_at(size_t index);

/* The table of that name, NULL if this build has none or this CPU does not run it. "avx2:plain" is avx2 without its
 * overrides, and so with the others. */
const struct kernel_table *kernel_table_find(const char *name);

/* The last of kernel_table_at, unless the environment variable NORMA_KERNELS names another for kernel_table_find. A
 * name that is not found is ignored. There is always one: the lowest table of an architecture needs no more than all
 * its CPUs have. */
const struct kernel_table *kernel_table_default(void);

/* Override number `index` of those that this CPU runs, for any table; NULL behind the last. */
const struct kernel_override *kernel_override_at(size_t index);

#endif
