/* Elementary functions of a vector of floats: part of kernel_table_isa.c.
 *
 * Each handles the whole range (zeros, denormals, infinities, NaN) without branches, so a lane's result depends on its
 * input only. Polynomials are minimax fits in relative error, made for these files by iteratively reweighted least
 * squares in double precision (Lawson's algorithm); the error of the fit stands next to each. Errors of the functions,
 * measured by tests/ops/kernels/test_unary.c against double precision in units of the last place, stand in unary.h. */
#ifndef OPS_KERNELS_VECTOR_MATH_H
#define OPS_KERNELS_VECTOR_MATH_H

#include "vector.h"

/* x = n * log(2) + r with |r| <= log(2)/2; log(2) is split so that n times its upper part is exact. */
INLINE vf vf_reduce_exp(vf x, vf *n) {
  *n = vf_round(x * vf_set1(0x1.715476p+0f));
  const vf r = vf_fma(*n, vf_set1(-0x1.63p-1f), x);
  return vf_fma(*n, vf_set1(0x1.bd0106p-13f), r);
}

/* exp(r) - 1 - r for |r| <= log(2)/2, relative error of 1 + r + this: 3.1e-9. */
INLINE vf vf_exp_tail(vf r) {
  vf p = vf_set1(0.00138144672f);
  p = vf_fma(p, r, vf_set1(0.00836878084f));
  p = vf_fma(p, r, vf_set1(0.0416683927f));
  p = vf_fma(p, r, vf_set1(0.166665196f));
  p = vf_fma(p, r, vf_set1(0.49999994f));
  return p * (r * r);
}

/* 2^t for t in -150.2 .. 128.4; beyond these t counts as they do, and gives zero and infinity. Relative error 9.1e-8
 * and roundings: for functions that need no more than the sum or product of it and something larger. */
INLINE vf vf_exp2(vf t) {
  t = vf_min(vf_set1(128.4f), vf_max(vf_set1(-150.2f), t));
  const vf n = vf_round(t), r = t - n;
  vf p = vf_set1(0.00132647273f);
  p = vf_fma(p, r, vf_set1(0.00967151299f));
  p = vf_fma(p, r, vf_set1(0.0555073358f));
  p = vf_fma(p, r, vf_set1(0.240222424f));
  p = vf_fma(p, r, vf_set1(0.693147004f));
  return vf_scale_by_power_of_2(vf_fma(p, r, vf_set1(1)), n);
}

/* ---- below the normal range ----
 * Products there cost many CPUs a hundred cycles each. Where they are flushed to zero they cost nothing; elsewhere
 * (!vector_flushes()) functions whose results often fall below are asked for `care`, and form them without such a
 * product: adding 1 to v * 2^126 leaves v, rounded to even, in units of the smallest float in the low bits. */
INLINE vf vf_form_below_normal(vf raised) {
  return (vf)((vi)(raised + vf_set1(1)) - 0x3f800000);
}

/* p * 2^n, 1/2 < p < 2, where results may be below the normal range. */
INLINE vf vf_scale_with_care(vf p, vf n) {
  const vf raised = vf_scale_by_power_of_2(p, vf_min(vf_set1(1), n + vf_set1(126)));
  const vm is_below = vf_lt(raised, vf_set1(1));
  const vf normal = vf_scale_by_power_of_2(vf_select(is_below, vf_set1(1), p), vf_max(vf_set1(-126), n));
  return vf_select(is_below, vf_form_below_normal(raised), normal);
}

/* exp(x) * 2^shift, which is normal for all x >= -104 where shift is 30 and more. */
INLINE vf vf_exp_shifted(vf x, const float shift, const bool care) {
  vf n;
  x = vf_min(vf_set1(89), vf_max(vf_set1(-104), x)); /* beyond: infinity and zero */
  const vf r = vf_reduce_exp(x, &n);
  const vf p = vf_exp_tail(r) + r + vf_set1(1);
  if (shift != 0) n += vf_set1(shift);
  if (care && vm_any(vf_lt(n, vf_set1(-125)))) return vf_scale_with_care(p, n);
  return vf_scale_by_power_of_2(p, n);
}

INLINE vf vf_exp(vf x) {
  return vf_exp_shifted(x, 0, false);
}

/* x * factor for x >= 0; `raised` is factor * 2^126. */
INLINE vf vf_multiply_with_care(vf x, vf factor, vf raised) {
  const vf above = x * raised;
  const vm is_below = vf_lt(above, vf_set1(1));
  return vf_select(is_below, vf_form_below_normal(above), vf_select(is_below, vf_set1(1), x) * factor);
}

/* exp(x) - 1 for x <= 0. */
INLINE vf vf_expm1_negative(vf x) {
  vf n;
  const vf r = vf_reduce_exp(vf_max(vf_set1(-30), x), &n);
  const vf scale = vf_scale_by_power_of_2(vf_set1(1), n);
  const vf p = vf_exp_tail(r) + r;
  const vf y = vf_fma(scale, p, scale - vf_set1(1));
  return vf_select(vf_is_nan(x), x, y);
}

INLINE vf vf_log(vf x) {
  const vm denormal = vf_lt(x, vf_set1(FLT_MIN));
  const vf scaled = vf_select(denormal, x * vf_set1(0x1p23f), x);
  /* x = 2^e * (1 + z), sqrt(1/2) <= 1 + z < sqrt(2) */
  const vi exponent = (vi)((vu)scaled - 0x3f3504f3u) >> 23;
  const vf z = (vf)((vu)scaled - ((vu)exponent << 23)) - vf_set1(1);
  const vf e = vf_from_vi(exponent) - vf_select(denormal, vf_set1(23), vf_zero());

  /* log(1 + z) = z - z^2/2 + z^3 p(z), relative error 5.9e-9 */
  vf p = vf_set1(-0.0763450116f);
  p = vf_fma(p, z, vf_set1(0.127615839f));
  p = vf_fma(p, z, vf_set1(-0.13160184f));
  p = vf_fma(p, z, vf_set1(0.142017573f));
  p = vf_fma(p, z, vf_set1(-0.166233569f));
  p = vf_fma(p, z, vf_set1(0.200012267f));
  p = vf_fma(p, z, vf_set1(-0.250008196f));
  p = vf_fma(p, z, vf_set1(0.333333313f));
  const vf z2 = z * z;
  vf y = vf_fma(e, vf_set1(-0x1.bd0106p-13f), p * z2 * z);
  y = vf_fma(vf_set1(-0.5f), z2, y);
  y = vf_fma(e, vf_set1(0x1.63p-1f), z + y);

  y = vf_select(vf_lt(x, vf_set1(INFINITY)), y, x); /* infinity and NaN */
  y = vf_select(vf_eq(x, vf_zero()), vf_set1(-INFINITY), y);
  return vf_select(vf_lt(x, vf_zero()), vf_set1(NAN), y);
}

/* log(1 + x) for 0 <= x <= 1. The sum's rounding error comes back as a first-order term. */
INLINE vf vf_log1p_unit(vf x) {
  const vf u = x + vf_set1(1);
  return vf_log(u) + (x - (u - vf_set1(1))) / u;
}

INLINE vf vf_tanh(vf x) {
  const vf magnitude = vf_abs(x), z = x * x;
  /* |x| <= 0.625: x + x z p(z), relative error 5.7e-9 */
  vf p = vf_set1(-0.00559101393f);
  p = vf_fma(p, z, vf_set1(0.0205388181f));
  p = vf_fma(p, z, vf_set1(-0.053709656f));
  p = vf_fma(p, z, vf_set1(0.133310929f));
  p = vf_fma(p, z, vf_set1(-0.333332688f));
  const vf small = vf_fma(p * z, x, x);
  const vf large = vf_set1(1) - vf_set1(2) / (vf_exp(magnitude + magnitude) + vf_set1(1));
  return vf_select(vf_le(magnitude, vf_set1(0.625f)), small, vf_copysign(large, x));
}

/* Below the normal range it is exp(x). */
INLINE vf vf_sigmoid_with(vf x, const bool care) {
  const vf e = vf_exp(-x);
  if (!care || !vm_any(vf_lt(x, vf_set1(-87)))) return vf_set1(1) / (vf_set1(1) + e);
  const vf y = vf_set1(1) / (vf_set1(1) + vf_min(vf_set1(0x1p126f), e)), below = vf_exp_shifted(x, 0, true);
  return vf_select(vf_lt(below, vf_set1(FLT_MIN)), below, y);
}

INLINE vf vf_sigmoid(vf x) {
  return vf_sigmoid_with(x, false);
}

INLINE vf vf_erf(vf x) {
  const vf t = vf_abs(x), z = x * x;
  /* |x| <= 0.925: x + x p(z), relative error 1.7e-8 */
  vf p = vf_set1(-0.000595374207f);
  p = vf_fma(p, z, vf_set1(0.00498594064f));
  p = vf_fma(p, z, vf_set1(-0.02676172f));
  p = vf_fma(p, z, vf_set1(0.112816826f));
  p = vf_fma(p, z, vf_set1(-0.376124799f));
  p = vf_fma(p, z, vf_set1(0.128379151f));
  const vf small = vf_fma(p, x, x);
  /* beyond: 1 - exp(-(t + t q(t))), relative error of erf 3e-9; from 3.95 on it rounds to 1 */
  const vf s = vf_min(vf_set1(3.95f), t);
  vf q = vf_set1(-0.000213985026f);
  q = vf_fma(q, s, vf_set1(0.00321495626f));
  q = vf_fma(q, s, vf_set1(-0.0228899661f));
  q = vf_fma(q, s, vf_set1(0.105261847f));
  q = vf_fma(q, s, vf_set1(0.635718286f));
  q = vf_fma(q, s, vf_set1(0.128514364f));
  const vf large = vf_set1(1) - vf_exp(-vf_fma(q, s, s));
  return vf_select(vf_le(t, vf_set1(0.925f)), small, vf_copysign(large, x));
}

/* log(1 + exp(x)) */
INLINE vf vf_softplus(vf x) {
  return vf_max(vf_zero(), x) + vf_log1p_unit(vf_exp(-vf_abs(x)));
}

#endif
