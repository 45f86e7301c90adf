/* Fourier transforms for one element type: part of kernel_table_isa.c, which includes it once for float and once for
 * double. The contract stands in kernel_table.h.
 *
 * Expects: REAL, VEC, LANES, VEC_LOAD, VEC_STORE, VEC_SET1; FFT(name), which makes a name of its own from `name`;
 * FFT_PROBLEM, the struct of the contract.
 *
 * Self-sorting mixed-radix transform (Stockham), one pass for each factor: with l the product of the factors before it,
 * r the factor and m = n / (l r), elements i + m (j + r k) of the input, j < r, are transformed, and output j is
 * element i + m (k + l j), times exp(-2 pi sqrt(-1) i j l / n).
 *
 * Products and sums are rounded one by one, in the order in which NumPy's transform has them, so that what cancels
 * there cancels here. */

struct FFT(lanes) {
  VEC re, im;
};

INLINE struct FFT(lanes) FFT(add)(struct FFT(lanes) a, struct FFT(lanes) b) {
  return (struct FFT(lanes)){a.re + b.re, a.im + b.im};
}

INLINE struct FFT(lanes) FFT(sub)(struct FFT(lanes) a, struct FFT(lanes) b) {
  return (struct FFT(lanes)){a.re - b.re, a.im - b.im};
}

/* x times exp(-pi sqrt(-1) / 2). */
INLINE struct FFT(lanes) FFT(turn)(struct FFT(lanes) x) {
  return (struct FFT(lanes)){x.im, -x.re};
}

INLINE struct FFT(lanes) FFT(times)(struct FFT(lanes) x, VEC re, VEC im) {
  return (struct FFT(lanes)){x.re * re - x.im * im, x.re * im + x.im * re};
}

/* Odd lengths: outputs k and radix - k from the sums and differences of inputs j and radix - j; `cosines` and `sines`
 * of 2 pi k / radix. radix is a constant of the compiler. */
INLINE void FFT(butterfly_odd)(struct FFT(lanes) * x, const double *cosines, const double *sines, const int radix) {
  struct FFT(lanes) sum[FFT_LARGEST_FACTOR / 2], rest[FFT_LARGEST_FACTOR / 2], first = x[0];
  const int pairs = radix / 2;
  UNROLL
  for (int j = 0; j < pairs; j++) {
    sum[j] = FFT(add)(x[j + 1], x[radix - 1 - j]);
    rest[j] = FFT(sub)(x[j + 1], x[radix - 1 - j]);
    x[0] = FFT(add)(x[0], sum[j]);
  }
  UNROLL
  for (int k = 1; k <= pairs; k++) {
    struct FFT(lanes) even = first, odd = {VEC_SET1(0), VEC_SET1(0)};
    UNROLL
    for (int j = 0; j < pairs; j++) {
      const VEC cosine = VEC_SET1((REAL)cosines[k * (j + 1) % radix]),
                sine = VEC_SET1((REAL)sines[k * (j + 1) % radix]);
      even = (struct FFT(lanes)){even.re + cosine * sum[j].re, even.im + cosine * sum[j].im};
      odd = (struct FFT(lanes)){odd.re + sine * rest[j].re, odd.im + sine * rest[j].im};
    }
    odd = FFT(turn)(odd);
    x[k] = FFT(add)(even, odd);
    x[radix - k] = FFT(sub)(even, odd);
  }
}

INLINE void FFT(butterfly_2)(struct FFT(lanes) * x) {
  const struct FFT(lanes) a = x[0], b = x[1];
  x[0] = FFT(add)(a, b);
  x[1] = FFT(sub)(a, b);
}

INLINE void FFT(butterfly_4)(struct FFT(lanes) * x) {
  const struct FFT(lanes) even = FFT(add)(x[0], x[2]), other = FFT(sub)(x[0], x[2]);
  const struct FFT(lanes) odd = FFT(add)(x[1], x[3]), turned = FFT(turn)(FFT(sub)(x[1], x[3]));
  x[0] = FFT(add)(even, odd);
  x[1] = FFT(add)(other, turned);
  x[2] = FFT(sub)(even, odd);
  x[3] = FFT(sub)(other, turned);
}

/* Row `row` of complex numbers; `real` is where its real parts stand: 0, or LANES where both parts change places. */
INLINE struct FFT(lanes) FFT(load)(const REAL *x, size_t row, size_t real) {
  const REAL *at = x + row * 2 * LANES;
  return (struct FFT(lanes)){VEC_LOAD(at + real), VEC_LOAD(at + LANES - real)};
}

INLINE void FFT(store)(REAL *y, size_t row, size_t real, struct FFT(lanes) value) {
  REAL *at = y + row * 2 * LANES;
  VEC_STORE(at + real, value.re);
  VEC_STORE(at + LANES - real, value.im);
}

/* One pass; radix is a constant of the compiler. */
INLINE void FFT(pass)(REAL *y, const REAL *x, size_t before, size_t behind, const REAL *twiddles, size_t real,
                      const int radix) {
  for (size_t i = 0; i < behind; i++) {
    const REAL *twiddle = twiddles + i * 2 * (size_t)(radix - 1);
    for (size_t k = 0; k < before; k++) {
      struct FFT(lanes) value[FFT_LARGEST_FACTOR];
      UNROLL
      for (int j = 0; j < radix; j++) value[j] = FFT(load)(x, i + behind * ((size_t)j + (size_t)radix * k), real);
      if (radix == 2) FFT(butterfly_2)(value);
      if (radix == 3) FFT(butterfly_odd)(value, fft_cosines_3, fft_sines_3, 3);
      if (radix == 4) FFT(butterfly_4)(value);
      if (radix == 5) FFT(butterfly_odd)(value, fft_cosines_5, fft_sines_5, 5);
      if (radix == 7) FFT(butterfly_odd)(value, fft_cosines_7, fft_sines_7, 7);
      FFT(store)(y, i + behind * k, real, value[0]);
      UNROLL
      for (int j = 1; j < radix; j++) {
        const REAL *factor = twiddle + 2 * (j - 1);
        if (i > 0) value[j] = FFT(times)(value[j], VEC_SET1(factor[0]), VEC_SET1(factor[1]));
        FFT(store)(y, i + behind * (k + before * (size_t)j), real, value[j]);
      }
    }
  }
}

static REAL *FFT(run)(const struct FFT_PROBLEM *fft, REAL *x, REAL *y, bool inverse) {
  const size_t real = inverse ? LANES : 0;
  const REAL *twiddles = fft->twiddles;
  size_t before = 1;
  for (size_t f = 0; f < fft->factor_count; f++) {
    const size_t radix = fft->factors[f], behind = fft->n / (before * radix);
    if (radix == 2)
      FFT(pass)(y, x, before, behind, twiddles, real, 2);
    else if (radix == 3)
      FFT(pass)(y, x, before, behind, twiddles, real, 3);
    else if (radix == 4)
      FFT(pass)(y, x, before, behind, twiddles, real, 4);
    else if (radix == 5)
      FFT(pass)(y, x, before, behind, twiddles, real, 5);
    else
      FFT(pass)(y, x, before, behind, twiddles, real, 7);
    twiddles += behind * 2 * (radix - 1);
    before *= radix;
    REAL *swap = x;
    x = y;
    y = swap;
  }
  return x;
}

static void FFT(split_real)(REAL *y, const REAL *z, const REAL *twiddles, size_t half) {
  const VEC one_half = VEC_SET1((REAL)0.5);
  for (size_t k = 0; k <= half; k++) {
    const struct FFT(lanes) a = FFT(load)(z, k == half ? 0 : k, 0), b = FFT(load)(z, k == 0 ? 0 : half - k, 0);
    const struct FFT(lanes) even = {one_half * (a.re + b.re), one_half * (a.im - b.im)};
    const struct FFT(lanes) odd = {one_half * (a.im + b.im), one_half * (b.re - a.re)};
    FFT(store)(y, k, 0, FFT(add)(even, FFT(times)(odd, VEC_SET1(twiddles[2 * k]), VEC_SET1(twiddles[2 * k + 1]))));
  }
}

static void FFT(join_real)(REAL *z, const REAL *x, const REAL *twiddles, size_t half) {
  const VEC one_half = VEC_SET1((REAL)0.5), zero = VEC_SET1(0);
  for (size_t k = 0; k < half; k++) {
    struct FFT(lanes) a = FFT(load)(x, k, 0), b = FFT(load)(x, half - k, 0);
    if (k == 0) a.im = b.im = zero; /* whatever stands there */
    const struct FFT(lanes) even = {one_half * (a.re + b.re), one_half * (a.im - b.im)};
    struct FFT(lanes) odd = {one_half * (a.re - b.re), one_half * (a.im + b.im)};
    odd = FFT(times)(odd, VEC_SET1(twiddles[2 * k]), VEC_SET1(-twiddles[2 * k + 1]));
    FFT(store)(z, k, 0, FFT(sub)(even, FFT(turn)(odd)));
  }
}

static void FFT(scale_rows)(REAL *x, const REAL *scale, size_t rows) {
  for (size_t i = 0; i < rows; i++) VEC_STORE(x + i * LANES, VEC_LOAD(x + i * LANES) * VEC_SET1(scale[i]));
}
