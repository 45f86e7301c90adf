/* Unary functions of arrays: part of kernel_table_isa.c. Formulas stand in kernel_table.h.
 *
 * Largest error measured over every 211th bit pattern, all tables, in units of the last place of the true result (0
 * means correctly rounded everywhere): exp 0.96, log 0.87, tanh 1.24, sigmoid 2.29, erf 1.35, softplus 1.86, elu 0.90
 * (a = 1), softsign 1.50, sin 1.53, cos 1.56, tan 3.04, asin 2.06, acos 1.09, atan 1.92, sinh 1.53, cosh 1.26, asinh
 * 1.77, acosh 1.98, atanh 2.01; sqrt, reciprocal, square, floor, ceil, round, sign, abs, neg, relu, clip 0. GELU, SELU,
 * CELU, Mish, SiLU and the hard ones follow their formulas to 1e-6 of the larger of input and result.
 */

/* A function of arrays from a function of vectors. One copy of the body serves whole vectors and the rest. */
#define UNARY_FUNCTION(name, expression)                                                                               \
  static void name##_f32(float *y, const float *x, size_t n, float a_scalar, float b_scalar) {                         \
    const vf a = vf_set1(a_scalar), b = vf_set1(b_scalar);                                                             \
    (void)a, (void)b;                                                                                                  \
    for (size_t i = 0; i < n; i += VF_LANES) {                                                                         \
      const size_t left = n - i;                                                                                       \
      const vf v = left >= VF_LANES ? vf_load(x + i) : vf_load_n(x + i, left);                                         \
      const vf result = expression;                                                                                    \
      if (left >= VF_LANES)                                                                                            \
        vf_store(y + i, result);                                                                                       \
      else                                                                                                             \
        vf_store_n(y + i, result, left);                                                                               \
    }                                                                                                                  \
  }

/* Two of them, of which the one is taken that this thread needs. */
#define UNARY_FUNCTION_WITH_CARE(name, expression, careful)                                                            \
  UNARY_FUNCTION(name##_flushed, expression)                                                                           \
  UNARY_FUNCTION(name##_careful, careful)                                                                              \
  static void name##_f32(float *y, const float *x, size_t n, float a, float b) {                                       \
    (vector_flushes() ? name##_flushed_f32 : name##_careful_f32)(y, x, n, a, b);                                       \
  }

INLINE vf vf_hard_sigmoid(vf x, vf a, vf b) {
  return vf_max(vf_zero(), vf_min(vf_set1(1), vf_fma(a, x, b)));
}

/* a * (exp(x) - 1) below zero, x above. */
INLINE vf vf_elu(vf x, vf a) {
  return vf_select(vf_lt(x, vf_zero()), a * vf_expm1_negative(x), x);
}

INLINE vf vf_selu(vf x, vf a, vf b) {
  return b * vf_elu(x, a);
}

INLINE vf vf_celu(vf x, vf a) {
  return vf_max(vf_zero(), x) + vf_min(vf_zero(), a * vf_expm1_negative(vf_min(vf_zero(), x / a)));
}

/* tanh(log(1 + e)) = e (e + 2) / (e (e + 2) + 2); from 20 on it is 1. */
INLINE vf vf_mish(vf x) {
  const vf e = vf_exp(vf_min(vf_set1(20), x)), w = e * (e + vf_set1(2));
  return x * (w / (w + vf_set1(2)));
}

/* x * sigmoid(a * x) */
INLINE vf vf_silu(vf x, vf a) {
  return x / (vf_set1(1) + vf_exp2(x * (a * vf_set1(-0x1.715476p+0f))));
}

/* x (1 + erf(x / sqrt(2))) / 2 = x (1 - h) above zero, x h below, h = erfc(|x| / sqrt(2)) / 2 = 2^p(|x|): p is fitted
 * such that |x| h is right to 8e-9 of |x|. It falls everywhere; from 10.3 on h is zero. */
INLINE vf vf_gelu_erf(vf x) {
  const vf t = vf_abs(x);
  vf p = vf_set1(-2.83491272e-06f);
  p = vf_fma(p, t, vf_set1(3.9377690e-05f));
  p = vf_fma(p, t, vf_set1(-0.00018618023f));
  p = vf_fma(p, t, vf_set1(-0.000136936389f));
  p = vf_fma(p, t, vf_set1(0.00706342002f));
  p = vf_fma(p, t, vf_set1(-0.0524961799f));
  p = vf_fma(p, t, vf_set1(-0.45920819f));
  p = vf_fma(p, t, vf_set1(-1.15110517f));
  const vf h = vf_exp2(vf_fma(p, t, vf_set1(-1)));
  return x * vf_select(vf_lt(x, vf_zero()), h, vf_set1(1) - h);
}

/* x (1 + tanh(y)) / 2 = x sigmoid(2 y), y = sqrt(2 / pi) (x + 0.044715 x^3) */
INLINE vf vf_gelu_tanh(vf x) {
  const vf factor = vf_fma(x * x, vf_set1(-0.102943240f), vf_set1(-2.30220819f));
  return x / (vf_set1(1) + vf_exp2(x * factor));
}

INLINE vf vf_shrink(vf x, vf bias, vf lambd) {
  const vf outside = vf_select(vf_lt(x, -lambd), x + bias, x - bias);
  return vf_select(vf_le(x, lambd), vf_select(vf_le(-lambd, x), vf_zero(), outside), outside);
}

INLINE vf vf_sign(vf x) {
  const vf above = vf_select(vf_lt(vf_zero(), x), vf_set1(1), x);
  return vf_select(vf_lt(x, vf_zero()), vf_set1(-1), above);
}

UNARY_FUNCTION(identity, v)
UNARY_FUNCTION(relu, vf_max(vf_zero(), v))
UNARY_FUNCTION(clip, vf_min(b, vf_max(a, v)))
UNARY_FUNCTION(leaky_relu, vf_select(vf_lt(v, vf_zero()), a *v, v))
UNARY_FUNCTION(elu, vf_elu(v, a))
UNARY_FUNCTION(selu, vf_selu(v, a, b))
UNARY_FUNCTION(celu, vf_celu(v, a))
UNARY_FUNCTION_WITH_CARE(sigmoid, vf_sigmoid(v), vf_sigmoid_with(v, true))
UNARY_FUNCTION(hard_sigmoid, vf_hard_sigmoid(v, a, b))
UNARY_FUNCTION(hard_swish, v *vf_hard_sigmoid(v, vf_set1(1.0f / 6), vf_set1(0.5f)))
UNARY_FUNCTION(softplus, vf_softplus(v))
UNARY_FUNCTION(softsign, v / (vf_set1(1) + vf_abs(v)))
UNARY_FUNCTION(mish, vf_mish(v))
UNARY_FUNCTION(gelu_erf, vf_gelu_erf(v))
UNARY_FUNCTION(gelu_tanh, vf_gelu_tanh(v))
UNARY_FUNCTION(silu, vf_silu(v, a))
UNARY_FUNCTION(tanh, vf_tanh(v))
UNARY_FUNCTION(scaled_tanh, a *vf_tanh(b *v))
UNARY_FUNCTION(thresholded_relu, vf_select(vf_le(v, a), vf_zero(), v))
UNARY_FUNCTION(shrink, vf_shrink(v, a, b))
UNARY_FUNCTION_WITH_CARE(exp, vf_exp(v), vf_exp_shifted(v, 0, true))
UNARY_FUNCTION(log, vf_log(v))
UNARY_FUNCTION(erf, vf_erf(v))
UNARY_FUNCTION(sqrt, vf_sqrt(v))
UNARY_FUNCTION(reciprocal, vf_set1(1) / v)
UNARY_FUNCTION(abs, vf_abs(v))
UNARY_FUNCTION(neg, -v)
UNARY_FUNCTION(square, v *v)
UNARY_FUNCTION(floor, vf_floor(v))
UNARY_FUNCTION(ceil, vf_ceil(v))
UNARY_FUNCTION(round, vf_round(v))
UNARY_FUNCTION(sign, vf_sign(v))
UNARY_FUNCTION(sin, vf_sin(v))
UNARY_FUNCTION(cos, vf_cos(v))
UNARY_FUNCTION(tan, vf_tan(v))
UNARY_FUNCTION(asin, vf_asin(v))
UNARY_FUNCTION(acos, vf_acos(v))
UNARY_FUNCTION(atan, vf_atan(v))
UNARY_FUNCTION(sinh, vf_sinh(v))
UNARY_FUNCTION(cosh, vf_cosh(v))
UNARY_FUNCTION(asinh, vf_asinh(v))
UNARY_FUNCTION(acosh, vf_acosh(v))
UNARY_FUNCTION(atanh, vf_atanh(v))
UNARY_FUNCTION(affine, vf_fma(a, v, b))

static unary_f32_function *const unary_f32_functions[UNARY_KIND_COUNT] = {
#define UNARY_ENTRY(NAME, function, formula) function##_f32,
    UNARY_KINDS(UNARY_ENTRY)
#undef UNARY_ENTRY
};
