/* Convolution on channel blocks: part of kernel_table_isa.c. */

static enum blocked_algorithm blocked_conv_choose(const struct blocked_conv_f32 *conv, bool exact) {
  (void)conv, (void)exact;
  return BLOCKED_DIRECT;
}

INLINE size_t blocked_count(size_t channels) {
  return (channels + VF_LANES - 1) / VF_LANES;
}

static size_t blocked_conv_packed_size(const struct blocked_conv_f32 *conv) {
  return blocked_count(conv->outputs) * VF_LANES * conv->channels * conv->kernel[0] * conv->kernel[1];
}

/* [block of outputs][channels * kernel][b] */
static void blocked_conv_pack(const struct blocked_conv_f32 *conv, float *packed, const float *weights) {
  const size_t k = conv->channels * conv->kernel[0] * conv->kernel[1];
  for (size_t o = 0; o < conv->outputs; o += VF_LANES)
    for (size_t i = 0; i < k; i++)
      for (size_t lane = 0; lane < VF_LANES; lane++)
        *packed++ = o + lane < conv->outputs ? weights[(o + lane) * k + i] : 0;
}

static size_t blocked_conv_units(const struct blocked_conv_f32 *conv, int workers) {
  (void)workers;
  return blocked_count(conv->outputs);
}

static size_t blocked_conv_scratch_size(const struct blocked_conv_f32 *conv) {
  (void)conv;
  return 0;
}

static vf blocked_conv_pixel(const struct blocked_conv_f32 *conv, const float *x, const float *weights, size_t p0,
                             size_t p1) {
  vf sum = vf_zero();
  for (size_t c = 0; c < conv->channels; c++)
    for (size_t k0 = 0; k0 < conv->kernel[0]; k0++)
      for (size_t k1 = 0; k1 < conv->kernel[1]; k1++, weights += VF_LANES) {
        const size_t i0 = p0 * conv->stride[0] + k0 * conv->dilation[0] - conv->pad[0];
        const size_t i1 = p1 * conv->stride[1] + k1 * conv->dilation[1] - conv->pad[1];
        if (i0 >= conv->input[0] || i1 >= conv->input[1]) continue;
        const size_t size = conv->input[0] * conv->input[1], pixel = i0 * conv->input[1] + i1;
        const float value =
            conv->plain_input ? x[c * size + pixel] : x[(c / VF_LANES * size + pixel) * VF_LANES + c % VF_LANES];
        sum = vf_fma(vf_set1(value), vf_load(weights), sum);
      }
  return sum;
}

static void blocked_conv_run(const struct blocked_conv_f32 *conv, int workers, const float *x, float *y,
                             size_t unit_begin, size_t unit_end, void *scratch) {
  const struct pointwise_end end = pointwise_end_of(conv->activation);
  const size_t k = conv->channels * conv->kernel[0] * conv->kernel[1], pixels = conv->output[0] * conv->output[1];
  (void)workers, (void)scratch;
  for (size_t block = unit_begin; block < unit_end; block++) {
    const float *residual = conv->residual ? conv->residual + block * pixels * VF_LANES : NULL;
    const vf bias = conv->bias ? vf_load(conv->bias + block * VF_LANES) : -vf_zero();
    float *to = y + block * pixels * VF_LANES;
    for (size_t p = 0; p < pixels; p++) {
      const vf sum = blocked_conv_pixel(conv, x, conv->packed_weights + block * k * VF_LANES, p / conv->output[1],
                                        p % conv->output[1]);
      vf_store(to + p * VF_LANES,
               affine_finish(&end, sum + bias, residual ? vf_load(residual + p * VF_LANES) : -vf_zero()));
    }
    if (end.function) end.function(to, to, pixels * VF_LANES, conv->activation.a, conv->activation.b);
  }
}
