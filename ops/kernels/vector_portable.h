/* The primitives of vector.h in the vector extension alone, for those that the file of isa/ leaves out. The comments
 * here are the contracts of all. */
#ifndef OPS_KERNELS_VECTOR_PORTABLE_H
#define OPS_KERNELS_VECTOR_PORTABLE_H

/* ---- load and store of the first n lanes ---- */
#ifndef vf_load_n
INLINE vf vf_load_n(const float *p, size_t n) {
#if VF_LANES == 4
  switch (n) {
  case 0:
    return (vf){0, 0, 0, 0};
  case 1:
    return (vf){p[0], 0, 0, 0};
  case 2:
    return (vf){p[0], p[1], 0, 0};
  case 3:
    return (vf){p[0], p[1], p[2], 0};
  default:
    return vf_load(p);
  }
#else
  vf x = {0};
  memcpy(&x, p, n * sizeof *p);
  return x;
#endif
}
#endif

#ifndef vf_store_n
INLINE void vf_store_n(float *p, vf x, size_t n) {
  if (n >= VF_LANES) {
    vf_store(p, x);
    return;
  }
  UNROLL
  for (size_t i = 0; i + 1 < VF_LANES; i++)
    if (n > i) p[i] = x[i];
}
#endif

#ifndef vd_load_n
INLINE vd vd_load_n(const double *p, size_t n) {
  if (n >= VD_LANES) return vd_load(p);
  vd x = {0};
  UNROLL
  for (size_t i = 0; i + 1 < VD_LANES; i++)
    if (n > i) x[i] = p[i];
  return x;
}
#endif

#ifndef vd_store_n
INLINE void vd_store_n(double *p, vd x, size_t n) {
  UNROLL
  for (size_t i = 0; i < VD_LANES; i++)
    if (n > i) p[i] = x[i];
}
#endif

/* ---- masks: vm, one flag for each lane of vf ----
 * An instruction set with a type of its own for masks brings all of this group, vf_select to vf_load_masked,
 * vf_max_nan, vf_min_nan and conversion of half precision. */
#ifndef vm
typedef vi vm;

INLINE vm vf_lt(vf a, vf b) {
  return a < b;
}

INLINE vm vf_le(vf a, vf b) {
  return a <= b;
}

INLINE vm vf_eq(vf a, vf b) {
  return a == b;
}

INLINE vm vf_is_nan(vf a) {
  return a != a;
}

INLINE vm vi_lt(vi a, vi b) {
  return a < b;
}

/* Lane i is set where bit i of `bits` is. */
INLINE vm vm_from_bits(uint32_t bits) {
  vi lane;
  UNROLL
  for (int i = 0; i < VF_LANES; i++) lane[i] = 1 << i;
  return (lane & (int32_t)bits) != 0;
}
#endif

#ifndef vf_select
INLINE vf vf_select(vm mask, vf yes, vf no) {
  return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}
#endif

/* Whether any lane is set. */
#ifndef vm_any
INLINE bool vm_any(vm mask) {
  int32_t any = 0;
  UNROLL
  for (int i = 0; i < VF_LANES; i++) any |= mask[i];
  return any != 0;
}
#endif

/* The lanes of p[0..VF_LANES) that the mask names, zero elsewhere. Memory behind the other lanes is not touched. */
#ifndef vf_load_masked
INLINE vf vf_load_masked(const float *p, vm mask) {
  vf x = {0};
  for (int i = 0; i < VF_LANES; i++)
    if (mask[i]) x[i] = p[i];
  return x;
}
#endif

/* ---- arithmetic ---- */
#ifndef vf_fma
INLINE vf vf_fma(vf a, vf b, vf c) /* a * b + c */
{
  return a * b + c;
}
#endif

#ifndef vd_fma
INLINE vd vd_fma(vd a, vd b, vd c) {
  return a * b + c;
}
#endif

/* A NaN in x stays; the bound must be a number. */
#ifndef vf_max
INLINE vf vf_max(vf bound, vf x) {
  return vf_select(vf_lt(x, bound), bound, x);
}
#endif

#ifndef vf_min
INLINE vf vf_min(vf bound, vf x) {
  return vf_select(vf_lt(bound, x), bound, x);
}
#endif

/* A NaN in either operand stays. */
#ifndef vf_max_nan
INLINE vf vf_max_nan(vf a, vf b) {
  return (vf)((vi)vf_max(a, b) | vf_is_nan(a)); /* all bits set are a NaN */
}
#endif

#ifndef vf_min_nan
INLINE vf vf_min_nan(vf a, vf b) {
  return (vf)((vi)vf_min(a, b) | vf_is_nan(a));
}
#endif

#ifndef vf_sqrt
INLINE vf vf_sqrt(vf x) {
  UNROLL
  for (int i = 0; i < VF_LANES; i++) x[i] = sqrtf(x[i]);
  return x;
}
#endif

/* The larger of each pair. */
#ifndef vi_half_max
INLINE vi_half vi_half_max(vi_half a, vi_half b) {
  const vi_half is_larger = a > b;
  return (a & is_larger) | (b & ~is_larger);
}
#endif

/* sum[l] + a[2l] * b[2l] + a[2l + 1] * b[2l + 1], products and sums in 32 bits. */
#ifndef vi_dot_pairs
INLINE vi vi_dot_pairs(vi sum, vs a, vs b) {
  const vi even = ((vi)a << 16 >> 16) * ((vi)b << 16 >> 16), odd = ((vi)a >> 16) * ((vi)b >> 16);
  return (vi)((vu)sum + (vu)even + (vu)odd);
}
#endif

/* The sums of two neighbouring products of bytes, unsigned ones of a and signed ones of b. They must fit 16 bits. */
#ifndef vs_dot_bytes
INLINE vs vs_dot_bytes(vi a, vi b) {
  const vs even = ((vs)a & 255) * ((vs)b << 8 >> 8), odd = ((vs)a >> 8 & 255) * ((vs)b >> 8);
  return even + odd;
}
#endif

/* ---- rounding and conversion ---- */

/* To the nearest integer, halves to even; the sign of zero is kept. */
#ifndef vf_round
INLINE vf vf_round(vf x) {
  const vf magic = vf_set1(0x1p23f), magnitude = vf_abs(x);
  const vf rounded = vf_select(vf_lt(magnitude, magic), magnitude + magic - magic, magnitude);
  return vf_copysign(rounded, x);
}
#endif

#ifndef vf_floor
INLINE vf vf_floor(vf x) {
  const vf rounded = vf_round(x);
  return vf_copysign(rounded - vf_select(vf_lt(x, rounded), vf_set1(1), vf_zero()), x);
}
#endif

/* To the nearest integer, halves to even; x must fit. */
#ifndef vi_from_vf
INLINE vi vi_from_vf(vf x) {
  return __builtin_convertvector(vf_round(x), vi);
}
#endif

/* The low byte of each lane, one behind the other. */
#ifndef vi_store_low_bytes
INLINE void vi_store_low_bytes(uint8_t *p, vi x) {
  typedef uint8_t lane_bytes __attribute__((vector_size(VF_LANES)));
  const lane_bytes bytes = __builtin_convertvector(x, lane_bytes);
  memcpy(p, &bytes, sizeof bytes);
}
#endif

/* The low bytes of lanes 4 * g .. 4 * g + 3 of each of the four, in turn, are bytes 16 * g .. 16 * g + 15. */
#ifndef vi_low_bytes
INLINE vi vi_low_bytes(const vi x[4]) {
  uint8_t bytes[VECTOR_BYTES];
  for (int k = 0; k < 4; k++) {
    uint8_t own[VF_LANES];
    vi_store_low_bytes(own, x[k]);
    for (int g = 0; g < VF_LANES / 4; g++) memcpy(bytes + 16 * g + 4 * k, own + 4 * g, 4);
  }
  return vi_load(bytes);
}
#endif

/* The four lanes at p, in every four lanes. */
#ifndef vi_load_repeated
INLINE vi vi_load_repeated(const void *p) {
  vi x;
  UNROLL
  for (size_t i = 0; i < VECTOR_BYTES; i += 16) memcpy((char *)&x + i, p, 16);
  return x;
}
#endif

/* VF_LANES bytes as numbers from 0 to 255. */
#ifndef vi_load_bytes
INLINE vi vi_load_bytes(const uint8_t *p) {
  typedef uint8_t lane_bytes __attribute__((vector_size(VF_LANES)));
  lane_bytes bytes;
  memcpy(&bytes, p, sizeof bytes);
  return __builtin_convertvector(bytes, vi);
}
#endif

/* p * 2^n for whole |n| <= 254, with one rounding even where the result is denormal. */
#ifndef vf_scale_by_power_of_2
INLINE vf vf_scale_by_power_of_2(vf p, vf n) {
  const vi power = vi_from_vf(n), half = power >> 1, rest = power - half;
  return p * (vf)((vu)(half + 127) << 23) * (vf)((vu)(rest + 127) << 23);
}
#endif

/* IEEE half precision, as bits; to the nearest, halves to even; NaN stays NaN (quiet). */
#ifndef vf_from_f16
INLINE vf vf_from_f16(vh x) {
  const vu bits = __builtin_convertvector(x, vu);
  const vu sign = (bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
  /* Exponent and fraction in place, the bias changed; denormals are integers of 2^-24. No step passes through denormals
   * of float, which a thread that flushes would lose. Infinity and NaN: all ones. */
  const vf normal = (vf)((magnitude << 13) + (112u << 23));
  const vf denormal = __builtin_convertvector((vi)magnitude, vf) * vf_set1(0x1p-24f);
  const vf value = vf_select((vm)(vi)(magnitude < 0x400u), denormal, normal);
  const vu special = (magnitude << 13) | 0x7f800000u;
  const vu quiet = (magnitude << 13) | 0x7fc00000u;
  const vm is_special = (vi)(magnitude >= 0x7c00u), is_nan = (vi)(magnitude > 0x7c00u);
  vf result = vf_select(is_special, (vf)special, value);
  result = vf_select(is_nan, (vf)quiet, result);
  return (vf)((vu)result | sign);
}
#endif

#ifndef vf_to_f16
INLINE vh vf_to_f16(vf x) {
  const vu sign = ((vu)x >> 16) & 0x8000u;
  const vf magnitude = vf_abs(x);
  /* Normal: round the 13 bits that go away into the rest; overflow carries into the exponent and becomes infinity. */
  const vu bits = (vu)magnitude;
  vu normal = (bits + 0xfffu + ((bits >> 13) & 1u) - (112u << 23)) >> 13;
  normal = (vu)vf_select(vf_le(vf_set1(65520.0f), magnitude), (vf)vi_set1(0x7c00), (vf)normal);
  /* Denormal: adding 1/2 leaves the value in units of 2^-24 in the low bits, rounded to even by the addition. */
  const vu denormal = (vu)(magnitude + vf_set1(0.5f)) - 0x3f000000u;
  vu result = (vu)vf_select(vf_lt(magnitude, vf_set1(0x1p-14f)), (vf)denormal, (vf)normal);
  result = (vu)vf_select(vf_is_nan(x), (vf)(((bits >> 13) & 0x3ffu) | 0x7e00u), (vf)result);
  return __builtin_convertvector(result | sign, vh);
}
#endif

/* ---- control ---- */

/* Whether this thread's results below the normal range become zero; where that cannot be told, yes. */
#ifndef vector_flushes
INLINE bool vector_flushes(void) {
  return true;
}
#endif

/* ---- lanes ---- */

/* Four floats from each of VF_LANES / 4 places, `stride` apart. */
#ifndef vf_load_groups
INLINE vf vf_load_groups(const float *p, size_t stride) {
#if VF_LANES == 4
  (void)stride;
  return v4f_load(p);
#else
  vf x;
  UNROLL
  for (int i = 0; i < VF_LANES / 4; i++) memcpy((char *)&x + 16 * i, p + (size_t)i * stride, 16);
  return x;
#endif
}
#endif

/* Lane i of the result is the lane of `table` that lanes[i] modulo VF_LANES names. */
#ifndef vf_look_up
INLINE vf vf_look_up(vf table, vi lanes) {
  vf x;
  UNROLL
  for (int i = 0; i < VF_LANES; i++) x[i] = table[lanes[i] & (VF_LANES - 1)];
  return x;
}
#endif

#endif
