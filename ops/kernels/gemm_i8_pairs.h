/* The dot product of gemm_i8.h without an instruction for it: part of kernel_table_isa.c. Bytes are widened to 16 bits,
 * even and odd ones apart, so that no sum saturates. */

#define GEMM_I8_A_SIGNED false

INLINE vi gemm_i8_dot(vi sum, vi a, vi b) {
  const vs a_even = (vs)(a & 0x00ff00ff), a_odd = (vs)(((vu)a >> 8) & 0x00ff00ffu);
  const vs b_even = ((vs)b << 8) >> 8, b_odd = (vs)b >> 8;
  return vi_dot_pairs(vi_dot_pairs(sum, a_even, b_even), a_odd, b_odd);
}
