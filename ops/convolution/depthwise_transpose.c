#include "ops/convolution/depthwise_transpose.h"
#include "ops/work.h"

/* Dimension d of the outputs that lie `first` behind a multiple of the stride; false where no tap meets them, or none
 * that lies before all inputs or on the first. */
static bool describe_phase_axis(const struct depthwise_transpose *transpose, size_t pad, size_t first, int d,
                                struct depthwise_phase *phase) {
  const size_t stride = transpose->stride[d], kernel = transpose->kernel[d], place = first + pad, tap = place % stride;
  if (tap >= kernel) return false;
  const size_t taps = (kernel - tap + stride - 1) / stride;
  if (taps - 1 < place / stride) return false;
  phase->last[d] = tap + (taps - 1) * stride;
  phase->plane.output[d] = first < transpose->y[d] ? (transpose->y[d] - first + stride - 1) / stride : 0;
  phase->plane.kernel[d] = taps;
  phase->plane.stride[d] = phase->plane.dilation[d] = 1;
  phase->plane.pad[d] = taps - 1 - place / stride;
  return true;
}

/* Whether rows are short enough for a kernel's scratch and a plane is soon done. */
static bool suits_kernels(const window *w) {
  const int last = w->axes - 1;
  const double most_floats = 4e6, taps = (double)window_taps(w);
  const double rows = w->axes == 2 ? (double)w->kernel[0] + 4 : 1;
  return rows * ((double)w->output[last] + (double)w->kernel[last] + 64) < most_floats && taps < 4096 &&
         2 * taps * (double)window_outputs(w) < WORK_MOST && (double)window_inputs(w) < WORK_MOST / WORK_ELEMENT;
}

bool depthwise_transpose_describe(const window *window, const struct kernel_table *kernels,
                                  struct depthwise_transpose *transpose) {
  size_t pad[2] = {0, 0}, x[2] = {1, 1}, weights_at = 0;
  *transpose = (struct depthwise_transpose){.stride = {1, 1}, .y = {1, 1}, .kernel = {1, 1}};
  if (window->axes > 2 || !suits_kernels(window)) return false;
  for (int i = 0; i < window->axes; i++) {
    const int d = 2 - window->axes + i;
    if (window->dilation[i] != 1 || window->stride[i] > DEPTHWISE_TRANSPOSE_MOST_PHASES) return false;
    transpose->stride[d] = (size_t)window->stride[i];
    transpose->y[d] = (size_t)window->input[i];
    pad[d] = (size_t)window->pad_begin[i];
    transpose->kernel[d] = (size_t)window->kernel[i];
    x[d] = (size_t)window->output[i];
  }
  const size_t phases = transpose->stride[0] * transpose->stride[1];
  if (phases > DEPTHWISE_TRANSPOSE_MOST_PHASES) return false;
  for (size_t i = 0; i < phases; i++) {
    struct depthwise_phase *phase = &transpose->phases[i];
    const size_t first[2] = {i / transpose->stride[1], i % transpose->stride[1]};
    for (int d = 0; d < 2; d++) {
      if (!describe_phase_axis(transpose, pad[d], first[d], d, phase)) return false;
      phase->plane.input[d] = x[d];
    }
    phase->weights_at = weights_at;
    weights_at += phase->plane.kernel[0] * phase->plane.kernel[1];
    const size_t bytes = kernels->window_scratch_size(&phase->plane);
    const size_t outputs = phase->plane.output[0] * phase->plane.output[1];
    if (bytes > transpose->scratch_bytes) transpose->scratch_bytes = bytes;
    if (outputs > transpose->outputs_size) transpose->outputs_size = outputs;
  }
  transpose->outputs_at = size_align(transpose->scratch_bytes, MEMORY_ALIGNMENT) / sizeof(float);
  transpose->scratch_bytes = (transpose->outputs_at + transpose->stride[1] * transpose->outputs_size) * sizeof(float);
  return true;
}

void depthwise_transpose_pack(const struct depthwise_transpose *transpose, float *packed, const float *weights) {
  const size_t *stride = transpose->stride;
  for (size_t i = 0; i < stride[0] * stride[1]; i++) {
    const struct depthwise_phase *phase = &transpose->phases[i];
    for (size_t k0 = 0; k0 < phase->plane.kernel[0]; k0++) {
      const float *row = weights + (phase->last[0] - k0 * stride[0]) * transpose->kernel[1];
      for (size_t k1 = 0; k1 < phase->plane.kernel[1]; k1++) *packed++ = row[phase->last[1] - k1 * stride[1]];
    }
  }
}

/* Row `row` of the outputs of some phases, which lie `step` apart, becomes one of `width` pixels. */
static void interleave_phases(float *y, const struct depthwise_phase *phases, size_t count, const float *outputs,
                              size_t step, size_t row, size_t width) {
  if (count == 2) {
    const float *even = outputs + row * phases[0].plane.output[1];
    const float *odd = outputs + step + row * phases[1].plane.output[1];
    for (size_t j = 0; j < width / 2; j++) {
      y[2 * j] = even[j];
      y[2 * j + 1] = odd[j];
    }
    if (width % 2) y[width - 1] = even[width / 2];
    return;
  }
  for (size_t i = 0; i < count; i++) {
    const size_t pixels = phases[i].plane.output[1];
    const float *from = outputs + i * step + row * pixels;
    for (size_t j = 0; j < pixels; j++) y[j * count + i] = from[j];
  }
}

void depthwise_transpose_run(const struct depthwise_transpose *transpose, const struct kernel_table *kernels,
                             const float *x, const float *packed, float bias, const float *residual,
                             struct activation activation, float *y, void *scratch) {
  const size_t *stride = transpose->stride, width = transpose->y[1], step = transpose->outputs_size;
  const struct activation none = {.kind = UNARY_IDENTITY};
  float *outputs = (float *)scratch + transpose->outputs_at;
  if (stride[0] * stride[1] == 1) {
    kernels->depthwise_f32(&transpose->phases[0].plane, x, packed, bias, residual, activation, y, scratch);
    return;
  }
  for (size_t first = 0; first < stride[0]; first++) {
    const struct depthwise_phase *phases = transpose->phases + first * stride[1];
    for (size_t i = 0; i < stride[1]; i++)
      kernels->depthwise_f32(&phases[i].plane, x, packed + phases[i].weights_at, bias, NULL, none, outputs + i * step,
                             scratch);
    for (size_t r = 0; r < phases[0].plane.output[0]; r++)
      interleave_phases(y + (r * stride[0] + first) * width, phases, stride[1], outputs, step, r, width);
  }
  if (residual || activation.kind != UNARY_IDENTITY)
    kernels->affine_f32(y, y, residual, transpose->y[0] * width, 1, 0, activation);
}
