/* Circular and hyperbolic functions of a vector of floats, and their inverses: part of kernel_table_isa.c. Fits, errors
 * and ranges are as in vector_math.h. */
#ifndef OPS_KERNELS_VECTOR_TRIGONOMETRY_H
#define OPS_KERNELS_VECTOR_TRIGONOMETRY_H

#include "vector_math.h"

/* ---- sine, cosine, tangent ----
 * |x| = n * pi/2 + r, |r| <= pi/4, with pi/2 in four parts: the first three have so few digits that their products with
 * n are exact as long as n has 12 bits. Larger numbers go through libm, in double precision, one lane at a time. */
#define TRIGONOMETRY_LIMIT 6400.0f

struct reduced_angle {
  vf sine, cosine; /* of r */
  vi quadrant;     /* n */
};

INLINE struct reduced_angle vf_reduce_angle(vf x) {
  const vf n = vf_round(x * vf_set1(0x1.45f306p-1f));
  vf r = vf_fma(n, vf_set1(-0x1.92p+0f), x);
  r = vf_fma(n, vf_set1(-0x1.fb4p-12f), r);
  r = vf_fma(n, vf_set1(-0x1.444p-24f), r);
  r = vf_fma(n, vf_set1(-0x1.68c234p-39f), r);
  const vf z = r * r;
  /* sin(r) = r + r z p(z), relative error 3.8e-9; cos(r) = 1 - z/2 + z^2 q(z), relative error 1.2e-10 */
  vf p = vf_fma(vf_set1(-0x1.994222p-13f), z, vf_set1(0x1.110736p-7f));
  p = vf_fma(p, z, vf_set1(-0x1.555546p-3f));
  vf q = vf_fma(vf_set1(0x1.99ea04p-16f), z, vf_set1(-0x1.6c0c2ep-10f));
  q = vf_fma(q, z, vf_set1(0x1.55554ap-5f));
  return (struct reduced_angle){.sine = vf_fma(p * z, r, r),
                                .cosine = vf_fma(q, z * z, vf_fma(vf_set1(-0.5f), z, vf_set1(1))),
                                .quadrant = vi_from_vf(n)};
}

INLINE vf vf_with_large_lanes(vf y, vf x, double (*exact)(double)) {
  if (__builtin_expect(!vm_any(vf_le(vf_set1(TRIGONOMETRY_LIMIT), vf_abs(x))), true)) return y;
  for (int i = 0; i < VF_LANES; i++)
    if (fabsf(x[i]) >= TRIGONOMETRY_LIMIT) y[i] = (float)exact((double)x[i]);
  return y;
}

/* Lanes of `a` where the quadrant is odd, else of `b`. */
INLINE vf vf_by_quadrant(vi quadrant, vf a, vf b) {
  return vf_select(vi_lt(vi_set1(0), quadrant & 1), a, b);
}

INLINE vf vf_flip_sign(vf x, vu signs) {
  return (vf)((vu)x ^ (signs & 0x80000000u));
}

INLINE vf vf_sin(vf x) {
  const vf magnitude = vf_min(vf_set1(TRIGONOMETRY_LIMIT), vf_abs(x));
  const struct reduced_angle a = vf_reduce_angle(magnitude);
  const vf y = vf_by_quadrant(a.quadrant, a.cosine, a.sine);
  return vf_with_large_lanes(vf_flip_sign(vf_flip_sign(y, (vu)a.quadrant << 30), (vu)x), x, sin);
}

INLINE vf vf_cos(vf x) {
  const struct reduced_angle a = vf_reduce_angle(vf_min(vf_set1(TRIGONOMETRY_LIMIT), vf_abs(x)));
  const vf y = vf_by_quadrant(a.quadrant, a.sine, a.cosine);
  return vf_with_large_lanes(vf_flip_sign(y, (vu)(a.quadrant + 1) << 30), x, cos);
}

INLINE vf vf_tan(vf x) {
  const struct reduced_angle a = vf_reduce_angle(vf_min(vf_set1(TRIGONOMETRY_LIMIT), vf_abs(x)));
  const vf y = vf_by_quadrant(a.quadrant, a.cosine, a.sine) / vf_by_quadrant(a.quadrant, -a.sine, a.cosine);
  return vf_with_large_lanes(vf_flip_sign(y, (vu)x), x, tan);
}

/* ---- their inverses ---- */
#define HALF_PI_HIGH 0x1.921fb6p+0f
#define HALF_PI_LOW  -0x1.777a5cp-25f

/* |x| is brought below tan(pi/8) by atan(x) = pi/4 + atan((x - 1) / (x + 1)) = pi/2 - atan(1 / x). */
INLINE vf vf_atan(vf x) {
  const vf t = vf_abs(x);
  const vm is_large = vf_lt(vf_set1(0x1.3504f4p+1f), t), is_middle = vf_lt(vf_set1(0x1.a8279ap-2f), t);
  const vf above = vf_select(is_large, vf_set1(-1), vf_select(is_middle, t - vf_set1(1), t));
  const vf below = vf_select(is_large, t, vf_select(is_middle, t + vf_set1(1), vf_set1(1)));
  const vf high =
      vf_select(is_large, vf_set1(HALF_PI_HIGH), vf_select(is_middle, vf_set1(HALF_PI_HIGH / 2), vf_zero()));
  const vf low = vf_select(is_large, vf_set1(HALF_PI_LOW), vf_select(is_middle, vf_set1(HALF_PI_LOW / 2), vf_zero()));
  const vf u = above / below, z = u * u;
  /* u + u z p(z), relative error 6.8e-10 */
  vf p = vf_fma(vf_set1(-0x1.f18cd6p-5f), z, vf_set1(0x1.b1d9fep-4f));
  p = vf_fma(p, z, vf_set1(-0x1.23b3f8p-3f));
  p = vf_fma(p, z, vf_set1(0x1.999188p-3f));
  p = vf_fma(p, z, vf_set1(-0x1.55554ap-2f));
  return vf_flip_sign(high + (vf_fma(p * z, u, u) + low), (vu)x);
}

/* s + s z p(z) = asin(s), z = s^2 <= 1/4, relative error 4.9e-9 */
INLINE vf vf_asin_small(vf s, vf z) {
  vf p = vf_fma(vf_set1(0x1.599f3p-5f), z, vf_set1(0x1.8bf124p-6f));
  p = vf_fma(p, z, vf_set1(0x1.748376p-5f));
  p = vf_fma(p, z, vf_set1(0x1.3301b4p-4f));
  p = vf_fma(p, z, vf_set1(0x1.5555cap-3f));
  return vf_fma(p * z, s, s);
}

/* Beyond 1/2: asin(x) = pi/2 - 2 asin(sqrt((1 - x) / 2)), which is NaN beyond 1. */
INLINE vf vf_asin(vf x) {
  const vf t = vf_abs(x);
  const vm is_large = vf_lt(vf_set1(0.5f), t);
  const vf z = vf_select(is_large, vf_set1(0.5f) - vf_set1(0.5f) * t, t * t);
  const vf s = vf_asin_small(vf_select(is_large, vf_sqrt(z), t), z);
  const vf large = vf_set1(HALF_PI_HIGH) - (s + s - vf_set1(HALF_PI_LOW));
  return vf_flip_sign(vf_select(is_large, large, s), (vu)x);
}

INLINE vf vf_acos(vf x) {
  const vf t = vf_abs(x);
  const vm is_large = vf_lt(vf_set1(0.5f), t), is_negative = vf_lt(x, vf_zero());
  const vf z = vf_select(is_large, vf_set1(0.5f) - vf_set1(0.5f) * t, t * t);
  const vf s = vf_asin_small(vf_select(is_large, vf_sqrt(z), x), z);
  const vf twice = s + s;
  const vf far = vf_set1(2 * HALF_PI_HIGH) - (twice - vf_set1(2 * HALF_PI_LOW));
  const vf near = vf_set1(HALF_PI_HIGH) - (s - vf_set1(HALF_PI_LOW));
  return vf_select(is_large, vf_select(is_negative, far, twice), near);
}

/* ---- hyperbolic functions ---- */

/* exp(x) / 2, finite as long as sinh and cosh are. */
INLINE vf vf_half_exp(vf x) {
  vf n;
  const vf r = vf_reduce_exp(vf_min(vf_set1(91), x), &n);
  return vf_scale_by_power_of_2(vf_exp_tail(r) + r + vf_set1(1), n - vf_set1(1));
}

INLINE vf vf_sinh(vf x) {
  const vf t = vf_abs(x), z = t * t, half = vf_half_exp(t);
  /* up to 1: t + t z p(z), relative error 5.2e-11 */
  vf p = vf_fma(vf_set1(0x1.7a17d2p-19f), z, vf_set1(0x1.9ffe84p-13f));
  p = vf_fma(p, z, vf_set1(0x1.111136p-7f));
  p = vf_fma(p, z, vf_set1(0x1.555556p-3f));
  const vf y = vf_select(vf_le(t, vf_set1(1)), vf_fma(p * z, t, t), half - vf_set1(0.25f) / half);
  return vf_flip_sign(y, (vu)x);
}

INLINE vf vf_cosh(vf x) {
  const vf half = vf_half_exp(vf_abs(x));
  return half + vf_set1(0.25f) / half;
}

/* log(1 + x) for x > -1: the rounding error of the sum comes back as a first-order term, which is 0 at infinity. */
INLINE vf vf_log1p(vf x) {
  const vf u = x + vf_set1(1), term = (x - (u - vf_set1(1))) / u;
  return vf_log(u) + vf_select(vf_lt(vf_abs(term), vf_set1(1)), term, vf_zero());
}

/* Squares of larger numbers would leave the range; adding 1 to them makes no difference. */
#define HYPERBOLIC_LARGE 0x1p30f
#define LOG_OF_2         0x1.62e43p-1f

INLINE vf vf_asinh(vf x) {
  const vf t = vf_abs(x), small = vf_min(vf_set1(HYPERBOLIC_LARGE), t), z = small * small;
  const vf near = vf_log1p(small + z / (vf_set1(1) + vf_sqrt(vf_set1(1) + z)));
  const vf far = vf_log(t) + vf_set1(LOG_OF_2);
  return vf_flip_sign(vf_select(vf_le(t, vf_set1(HYPERBOLIC_LARGE)), near, far), (vu)x);
}

INLINE vf vf_acosh(vf x) {
  const vf t = vf_min(vf_set1(HYPERBOLIC_LARGE), x) - vf_set1(1);
  const vf near = vf_log1p(t + vf_sqrt(t * (t + vf_set1(2))));
  const vf y = vf_select(vf_le(x, vf_set1(HYPERBOLIC_LARGE)), near, vf_log(x) + vf_set1(LOG_OF_2));
  return vf_select(vf_lt(x, vf_set1(1)), vf_set1(NAN), y);
}

INLINE vf vf_atanh(vf x) {
  const vf t = vf_abs(x);
  return vf_flip_sign(vf_set1(0.5f) * vf_log1p((t + t) / (vf_set1(1) - t)), (vu)x);
}

#endif
