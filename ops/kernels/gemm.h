/* gemm_f32 and gemm_f64: part of kernel_table_isa.c. */

/* A tile takes rows x 2 sums, 2 vectors of b and 1 broadcast of a: the instruction set's file says how many rows it has
 * (GEMM_TILE_ROWS), and what a block of columns may take of the second-level cache, half of it (GEMM_CACHED_BYTES). */
#define GEMM_EACH_ROW_COUNT(X, more) EACH_UP_TO(GEMM_TILE_ROWS, X, more)
#define GEMM_EACH_VECTOR_COUNT(X)    X(1) X(2)

/* A row panel this deep stays in the first-level cache (14 * 256 * 4 bytes) while the column panels pass by. */
#define GEMM_DEPTH_BLOCK      256
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
