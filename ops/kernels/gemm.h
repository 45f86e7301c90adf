/* gemm_f32 and gemm_f64: part of kernel_table_isa.c. */

/* Registers: rows x 2 sums, 2 vectors of b, 1 broadcast of a. */
#if defined(__AVX512F__) /* 32 registers */
#define GEMM_TILE_ROWS               14
#define GEMM_EACH_ROW_COUNT(X, more) GEMM_ROWS_1_TO_6(X, more) GEMM_ROWS_7_TO_12(X, more) X(13, more) X(14, more)
#elif defined(__AVX2__) /* 16 registers */
#define GEMM_TILE_ROWS               6
#define GEMM_EACH_ROW_COUNT(X, more) GEMM_ROWS_1_TO_6(X, more)
#elif defined(__aarch64__) /* 32 registers */
#define GEMM_TILE_ROWS               12
#define GEMM_EACH_ROW_COUNT(X, more) GEMM_ROWS_1_TO_6(X, more) GEMM_ROWS_7_TO_12(X, more)
#else /* 16 registers, two more taken by the products of a missing FMA */
#define GEMM_TILE_ROWS               4
#define GEMM_EACH_ROW_COUNT(X, more) X(1, more) X(2, more) X(3, more) X(4, more)
#endif
#define GEMM_ROWS_1_TO_6(X, more)  X(1, more) X(2, more) X(3, more) X(4, more) X(5, more) X(6, more)
#define GEMM_ROWS_7_TO_12(X, more) X(7, more) X(8, more) X(9, more) X(10, more) X(11, more) X(12, more)
#define GEMM_EACH_VECTOR_COUNT(X)  X(1) X(2)

/* A row panel this deep stays in the first-level cache (14 * 256 * 4 bytes) while the column panels pass by. */
#define GEMM_DEPTH_BLOCK 256
/* What a block of columns may take of the second-level cache: half. CPUs with AVX-512 have 1 MiB, others from 512 KiB.
 */
#if defined(__AVX512F__)
#define GEMM_CACHED_BYTES (512 * 1024)
#else
#define GEMM_CACHED_BYTES (256 * 1024)
#endif

#define GEMM_F32_TILE_COLUMNS (2 * VF_LANES)

#define GEMM(name)   gemm_f32_##name
#define GEMM_PROBLEM gemm_f32
#define GEMM_FLOAT
#define REAL        float
#define VEC         vf
#define LANES       VF_LANES
#define VEC_LOAD    vf_load
#define VEC_LOAD_N  vf_load_n
#define VEC_STORE   vf_store
#define VEC_STORE_N vf_store_n
#define VEC_SET1    vf_set1
#define VEC_FMA     vf_fma
#include "gemm_template.h"
#undef GEMM
#undef GEMM_PROBLEM
#undef GEMM_FLOAT
#undef REAL
#undef VEC
#undef LANES
#undef VEC_LOAD
#undef VEC_LOAD_N
#undef VEC_STORE
#undef VEC_STORE_N
#undef VEC_SET1
#undef VEC_FMA

#define GEMM(name)   gemm_f64_##name
#define GEMM_PROBLEM gemm_f64
#define REAL         double
#define VEC          vd
#define LANES        VD_LANES
#define VEC_LOAD     vd_load
#define VEC_LOAD_N   vd_load_n
#define VEC_STORE    vd_store
#define VEC_STORE_N  vd_store_n
#define VEC_SET1     vd_set1
#define VEC_FMA      vd_fma
#include "gemm_template.h"
#undef GEMM
#undef GEMM_PROBLEM
#undef REAL
#undef VEC
#undef LANES
#undef VEC_LOAD
#undef VEC_LOAD_N
#undef VEC_STORE
#undef VEC_STORE_N
#undef VEC_SET1
#undef VEC_FMA
