/* Fourier transforms of signals side by side in lanes, float and double: part of kernel_table_isa.c. */

/* cos and sin of 2 pi k / radix. */
static const double fft_cosines_3[3] = {1, -0.5, -0.5};
static const double fft_sines_3[3] = {0, 0.86602540378443864676, -0.86602540378443864676};
static const double fft_cosines_5[5] = {1, 0.3090169943749474241, -0.8090169943749474241, -0.8090169943749474241,
                                        0.3090169943749474241};
static const double fft_sines_5[5] = {0, 0.95105651629515357212, 0.58778525229247312917, -0.58778525229247312917,
                                      -0.95105651629515357212};
static const double fft_cosines_7[7] = {1,
                                        0.62348980185873353053,
                                        -0.22252093395631440429,
                                        -0.90096886790241912624,
                                        -0.90096886790241912624,
                                        -0.22252093395631440429,
                                        0.62348980185873353053};
static const double fft_sines_7[7] = {0,
                                      0.78183148246802980871,
                                      0.97492791218182360702,
                                      0.43388373911755812048,
                                      -0.43388373911755812048,
                                      -0.97492791218182360702,
                                      -0.78183148246802980871};

#define FFT(name)   fft_f32_##name
#define FFT_PROBLEM fft_f32
#define REAL        float
#define VEC         vf
#define LANES       VF_LANES
#define VEC_LOAD    vf_load
#define VEC_STORE   vf_store
#define VEC_SET1    vf_set1
#include "fft_template.h"
#undef FFT
#undef FFT_PROBLEM
#undef REAL
#undef VEC
#undef LANES
#undef VEC_LOAD
#undef VEC_STORE
#undef VEC_SET1

#define FFT(name)   fft_f64_##name
#define FFT_PROBLEM fft_f64
#define REAL        double
#define VEC         vd
#define LANES       VD_LANES
#define VEC_LOAD    vd_load
#define VEC_STORE   vd_store
#define VEC_SET1    vd_set1
#include "fft_template.h"
#undef FFT
#undef FFT_PROBLEM
#undef REAL
#undef VEC
#undef LANES
#undef VEC_LOAD
#undef VEC_STORE
#undef VEC_SET1

/* ---- double only: for transforms that are made of several ---- */
static void fft_scale_f64(double *y, const double *x, const double *factors, size_t rows, bool conjugate) {
  for (size_t i = 0; i < rows; i++) {
    const double im = conjugate ? -factors[2 * i + 1] : factors[2 * i + 1];
    fft_f64_store(y, i, 0, fft_f64_times(fft_f64_load(x, i, 0), vd_set1(factors[2 * i]), vd_set1(im)));
  }
}

static void fft_twist_f64(double *x, const double *scalars, const double *vectors, size_t rows, bool conjugate) {
  for (size_t i = 0; i < rows; i++) {
    const struct fft_f64_lanes step = fft_f64_load(vectors, i, 0);
    struct fft_f64_lanes turn = fft_f64_times(step, vd_set1(scalars[2 * i]), vd_set1(scalars[2 * i + 1]));
    if (conjugate) turn.im = -turn.im;
    fft_f64_store(x, i, 0, fft_f64_times(fft_f64_load(x, i, 0), turn.re, turn.im));
  }
}

static void fft_widen_f32(double *y, const float *x, size_t rows) {
  for (size_t i = 0; i < rows; i++) vd_store(y + i * VD_LANES, vd_load_f32(x + i * VD_LANES));
}

static void fft_narrow_f32(float *y, const double *x, size_t rows) {
  for (size_t i = 0; i < rows; i++)
    *(vf_half_in_memory *)(y + i * VD_LANES) = __builtin_convertvector(vd_load(x + i * VD_LANES), vf_half_in_memory);
}
