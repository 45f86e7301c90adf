/* Binary functions of arrays, and scale and shift: part of kernel_table_isa.c. */

/* Three functions from an expression of v and w: of two arrays, with a scalar on the right, with a scalar on the left.
 */
#define BINARY_LOOP(v_full, v_rest, w_full, w_rest, expression)                                                        \
  for (size_t i = 0; i < n; i += VF_LANES) {                                                                           \
    const size_t left = n - i;                                                                                         \
    if (left >= VF_LANES) {                                                                                            \
      const vf v = v_full, w = w_full;                                                                                 \
      vf_store(y + i, expression);                                                                                     \
    } else {                                                                                                           \
      const vf v = v_rest, w = w_rest;                                                                                 \
      vf_store_n(y + i, expression, left);                                                                             \
    }                                                                                                                  \
  }

#define BINARY_FUNCTIONS(name, expression)                                                                             \
  static void name##_f32(float *y, const float *x, const float *z, size_t n) {                                         \
    BINARY_LOOP(vf_load(x + i), vf_load_n(x + i, left), vf_load(z + i), vf_load_n(z + i, left), expression)            \
  }                                                                                                                    \
  static void name##_right_scalar_f32(float *y, const float *x, float s, size_t n) {                                   \
    const vf scalar = vf_set1(s);                                                                                      \
    BINARY_LOOP(vf_load(x + i), vf_load_n(x + i, left), scalar, scalar, expression)                                    \
  }                                                                                                                    \
  static void name##_left_scalar_f32(float *y, const float *x, float s, size_t n) {                                    \
    const vf scalar = vf_set1(s);                                                                                      \
    BINARY_LOOP(scalar, scalar, vf_load(x + i), vf_load_n(x + i, left), expression)                                    \
  }

/* The functions of enum binary_kind, and the entries of the table. */
#define BINARY_KINDS(X)                                                                                                \
  X(ADD, add, v + w)                                                                                                   \
  X(SUB, sub, v - w)                                                                                                   \
  X(MUL, mul, v *w)                                                                                                    \
  X(DIV, div, v / w)                                                                                                   \
  X(MIN, min, vf_min_nan(v, w))                                                                                        \
  X(MAX, max, vf_max_nan(v, w))

#define BINARY_KIND(NAME, name, expression) BINARY_FUNCTIONS(name, expression)
BINARY_KINDS(BINARY_KIND)

#define BINARY_ENTRY(NAME, name, expression)              [BINARY_##NAME] = name##_f32,
#define BINARY_RIGHT_SCALAR_ENTRY(NAME, name, expression) [BINARY_##NAME] = name##_right_scalar_f32,
#define BINARY_LEFT_SCALAR_ENTRY(NAME, name, expression)  [BINARY_##NAME] = name##_left_scalar_f32,

/* x < 0 ? x * slope : x */
static void prelu_f32(float *y, const float *x, const float *slope, size_t n) {
  BINARY_LOOP(vf_load(x + i), vf_load_n(x + i, left), vf_load(slope + i), vf_load_n(slope + i, left),
              vf_select(vf_lt(v, vf_zero()), v * w, v))
}

/* ---- scale and shift ---- */

/* What follows a sum: a clamp in registers (infinite: none), other activations over the stored run afterwards. */
struct pointwise_end {
  float low, high;
  unary_f32_function *function;
};

INLINE struct pointwise_end pointwise_end_of(struct activation activation) {
  struct pointwise_end end = {.low = -INFINITY, .high = INFINITY};
  if (activation.kind == UNARY_RELU) {
    end.low = 0;
  } else if (activation.kind == UNARY_CLIP) {
    end.low = activation.a;
    end.high = activation.b;
  } else if (activation.kind != UNARY_IDENTITY) {
    end.function = unary_f32_functions[activation.kind];
  }
  return end;
}

INLINE vf affine_finish(const struct pointwise_end *end, vf sum, vf residual) {
  sum += residual;
  return vf_min(vf_set1(end->high), vf_max(vf_set1(end->low), sum));
}

/* scale and shift are arrays where `per_element`, else single values. Activations run over short pieces that the
 * first-level cache still holds. */
INLINE void affine_body(float *y, const float *x, const float *residual, size_t n, const float *scale,
                        const float *shift, const bool per_element, struct activation activation) {
  enum { BINARY_PIECE = 64 * VF_LANES };
  const struct pointwise_end end = pointwise_end_of(activation);
  const vf one_scale = vf_set1(n ? *scale : 0), one_shift = vf_set1(n ? *shift : 0), none = -vf_zero();
  for (size_t begin = 0; begin < n; begin += BINARY_PIECE) {
    const size_t stop = n - begin < BINARY_PIECE ? n : begin + BINARY_PIECE;
    size_t i = begin;
    for (; i + VF_LANES <= stop; i += VF_LANES) {
      const vf factor = per_element ? vf_load(scale + i) : one_scale,
               term = per_element ? vf_load(shift + i) : one_shift;
      vf_store(y + i,
               affine_finish(&end, vf_fma(vf_load(x + i), factor, term), residual ? vf_load(residual + i) : none));
    }
    if (i < stop) {
      const size_t left = stop - i;
      const vf factor = per_element ? vf_load_n(scale + i, left) : one_scale;
      const vf term = per_element ? vf_load_n(shift + i, left) : one_shift;
      vf_store_n(y + i,
                 affine_finish(&end, vf_fma(vf_load_n(x + i, left), factor, term),
                               residual ? vf_load_n(residual + i, left) : none),
                 left);
    }
    if (end.function) end.function(y + begin, y + begin, stop - begin, activation.a, activation.b);
  }
}

static void affine_channel_f32(float *y, const float *x, const float *residual, size_t n, float scale, float shift,
                               struct activation activation) {
  affine_body(y, x, residual, n, &scale, &shift, false, activation);
}

static void affine_row_f32(float *y, const float *x, const float *residual, size_t n, const float *scale,
                           const float *shift, struct activation activation) {
  affine_body(y, x, residual, n, scale, shift, true, activation);
}

static void normalize_row_f32(float *y, const float *x, size_t n, float mean, float factor, const float *scale,
                              const float *shift) {
  const vf center = vf_set1(mean), spread = vf_set1(factor);
  for (size_t i = 0; i < n; i += VF_LANES) {
    const size_t left = n - i;
    if (left >= VF_LANES) {
      vf v = (vf_load(x + i) - center) * spread;
      if (scale) v = v * vf_load(scale + i);
      if (shift) v += vf_load(shift + i);
      vf_store(y + i, v);
    } else {
      vf v = (vf_load_n(x + i, left) - center) * spread;
      if (scale) v = v * vf_load_n(scale + i, left);
      if (shift) v += vf_load_n(shift + i, left);
      vf_store_n(y + i, v, left);
    }
  }
}
