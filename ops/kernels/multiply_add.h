/* A measure of the CPU: part of kernel_table_isa.c. */

/* Twelve independent chains, so that latency does not count. Where products are rounded, they depend on the chain too:
 * nothing can be moved out of the loop. */
static float multiply_add_f32(size_t steps, float factor, float term) {
  const vf by = vf_set1(factor), plus = vf_set1(term);
  vf chain[12], sum = vf_zero();
  UNROLL
  for (int i = 0; i < 12; i++) chain[i] = vf_set1((float)i);
  for (; steps; steps--) {
    UNROLL
    for (int i = 0; i < 12; i++) chain[i] = vf_fma(chain[i], by, plus);
  }
  UNROLL
  for (int i = 0; i < 12; i++) sum += chain[i];
  return vf_sum(sum);
}
