/* Constants of QLinearConv on channel blocks, packed. */
#include "engine/graph/query.h"
#include "ops/quantized/blocked_integer_conv.h"
#include "ops/quantized/quantization.h"

enum { INTEGER_PACKED_WEIGHTS, INTEGER_PACKED_PARAMETERS };

/* ------------------------------------------------------------------------------------------------------- conditions */

static bool is_vector_of(const norma_tensor *tensor, int64_t count) {
  if (!tensor || !tensor->data) return false;
  const int64_t have = norma_tensor_count(tensor);
  return have == 1 || (have == count && tensor->rank == 1);
}

/* Kernels take signed weights without zero points: unsigned ones must be centred. */
static bool is_centred(const norma_tensor *zero) {
  const int64_t expected = zero->type == NORMA_UINT8 ? 128 : 0;
  for (int64_t i = 0; i < norma_tensor_count(zero); i++) {
    if (tensor_get_int64(zero, i) != expected) return false;
  }
  return true;
}

bool integer_conv_has_constants(const node *node, int64_t outputs) {
  static const int singles[] = {INTEGER_X_SCALE, INTEGER_X_ZERO, INTEGER_Y_SCALE, INTEGER_Y_ZERO};
  for (size_t i = 0; i < sizeof singles / sizeof *singles; i++) {
    if (!is_vector_of(node_constant_input(node, singles[i]), 1)) return false;
  }
  if (!is_vector_of(node_constant_input(node, INTEGER_W_SCALE), outputs)) return false;
  const norma_tensor *zero = node_constant_input(node, INTEGER_W_ZERO);
  if (!is_vector_of(zero, outputs) || !is_centred(zero)) return false;
  if (!node_has_input(node, INTEGER_BIAS)) return true;
  const norma_tensor *bias = node_constant_input(node, INTEGER_BIAS);
  return bias && bias->data && bias->rank == 1 && bias->dims[0] == outputs;
}

/* ---------------------------------------------------------------------------------------------------------- weights
 * Packed weights are followed by the sum of each output's, as they are packed. */

static size_t weights_bytes(const blocked_integer_conv_state *conv) {
  const size_t groups = conv->path == INTEGER_CONV_DEPTHWISE ? (size_t)conv->blocks : (size_t)conv->group;
  return size_align(groups * conv->group_bytes, MEMORY_ALIGNMENT);
}

static int32_t centred_weight(const blocked_integer_conv_state *conv, const uint8_t *weights, int64_t i) {
  return conv->w_type == NORMA_INT8 ? (int8_t)weights[i] : (int32_t)weights[i] - 128;
}

/* Channels block * 16 .. of one tap of one output; w: [inputs][taps]. */
static void gather_copied(const blocked_integer_conv_state *conv, const uint8_t *w, int64_t step, int8_t to[16]) {
  const int64_t first = step / conv->taps * BYTE_BLOCK, left = conv->inputs - first;
  const uint8_t *from = w + first * conv->taps + step % conv->taps;
  for (int64_t c = 0; c < BYTE_BLOCK; c++) to[c] = (int8_t)(c < left ? centred_weight(conv, from, c * conv->taps) : 0);
}

/* Where a step is four taps of a row, of four channels each. */
static void gather_planes(const blocked_integer_conv_state *conv, const uint8_t *w, int64_t step, int8_t to[16]) {
  const int64_t width = conv->window.kernel[1], fours = (int64_t)integer_planes_fours(conv);
  const int64_t row = step / fours, first = step % fours * 4;
  for (int64_t i = 0; i < 4; i++) {
    for (int64_t c = 0; c < 4; c++) {
      const bool is_weight = first + i < width && c < conv->inputs;
      to[4 * i + c] = (int8_t)(is_weight ? centred_weight(conv, w, c * conv->taps + row * width + first + i) : 0);
    }
  }
}

static int32_t pack_output(const prepare_context *context, const blocked_integer_conv_state *conv, const uint8_t *w,
                           int64_t output, char *packed) {
  int32_t sum = 0;
  for (int64_t step = 0; step < conv->steps; step++) {
    int8_t weights[BYTE_BLOCK];
    if (conv->path == INTEGER_CONV_PLANES)
      gather_planes(conv, w, step, weights);
    else
      gather_copied(conv, w, step, weights);
    for (int c = 0; c < BYTE_BLOCK; c++) sum += weights[c];
    context->kernels->conv_8bit_pack(packed, weights, (size_t)conv->outputs, (size_t)conv->steps, (size_t)output,
                                     (size_t)step);
  }
  return sum;
}

/* [fours][16][4] for each block, from [outputs][taps]. */
static void pack_depthwise_8bit(const blocked_integer_conv_state *conv, const uint8_t *weights, int8_t *packed,
                                int32_t *sums) {
  memset(packed, 0, (size_t)conv->blocks * conv->group_bytes);
  for (int64_t o = 0; o < conv->all_outputs; o++) {
    int8_t *block = packed + (size_t)(o / BYTE_BLOCK) * conv->group_bytes;
    for (int64_t tap = 0; tap < conv->taps; tap++) {
      const int32_t weight = centred_weight(conv, weights, o * conv->taps + tap);
      block[(tap / 4 * BYTE_BLOCK + o % BYTE_BLOCK) * 4 + tap % 4] = (int8_t)weight;
      sums[o] += weight;
    }
  }
}

static norma_status pack_groups(prepare_context *context, const blocked_integer_conv_state *conv, char *packed,
                                int32_t *sums) {
  const int64_t each = conv->inputs * conv->taps;
  const int64_t piece = each < PREPARE_PIECE_BYTES ? PREPARE_PIECE_BYTES / each : 1;
  for (int64_t first = 0; first < conv->all_outputs; first += piece) {
    const int64_t count = conv->all_outputs - first < piece ? conv->all_outputs - first : piece;
    const void *weights;
    TRY(prepare_read(context, INTEGER_W, first * each, count * each, &weights));
    for (int64_t i = 0; i < count; i++) {
      const int64_t group = (first + i) / conv->outputs, output = (first + i) % conv->outputs;
      sums[first + i] = pack_output(context, conv, (const uint8_t *)weights + i * each, output,
                                    packed + (size_t)group * conv->group_bytes);
    }
  }
  return NORMA_OK;
}

static norma_status fill_integer_weights(prepare_context *context, void *destination, const void *argument) {
  const blocked_integer_conv_state *conv = argument;
  int32_t *sums = (int32_t *)(void *)((char *)destination + weights_bytes(conv));
  memset(sums, 0, (size_t)(conv->blocks * BYTE_BLOCK) * sizeof *sums);
  if (conv->path != INTEGER_CONV_DEPTHWISE) {
    memset(destination, 0, weights_bytes(conv));
    return pack_groups(context, conv, destination, sums);
  }
  const void *weights;
  TRY(prepare_read(context, INTEGER_W, 0, conv->all_outputs * conv->taps, &weights));
  pack_depthwise_8bit(conv, weights, destination, sums);
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------- parameters */

static int64_t number_at(const norma_tensor *tensor, int64_t i) {
  return tensor_get_int64(tensor, norma_tensor_count(tensor) == 1 ? 0 : i);
}

/* Scales, and terms behind them. */
static norma_status fill_integer_parameters(prepare_context *context, void *destination, const void *argument) {
  const blocked_integer_conv_state *conv = argument;
  const int64_t padded = conv->blocks * BYTE_BLOCK;
  const int32_t *sums = (const int32_t *)(const void *)((const char *)conv->weights + weights_bytes(conv));
  float *scale = destination;
  int32_t *term = (int32_t *)(void *)(scale + padded);
  const norma_tensor *w_scale = prepare_constant(context, INTEGER_W_SCALE);
  const norma_tensor *bias = prepare_constant(context, INTEGER_BIAS);
  const float x_scale = quantization_scale(prepare_constant(context, INTEGER_X_SCALE));
  const float y_scale = quantization_scale(prepare_constant(context, INTEGER_Y_SCALE));
  int32_t zero = quantization_zero(prepare_constant(context, INTEGER_X_ZERO));
  if (conv->flip) zero += conv->x_type == NORMA_INT8 ? 128 : -128;
  memset(destination, 0, (size_t)padded * (sizeof *scale + sizeof *term));
  for (int64_t o = 0; o < conv->all_outputs; o++) {
    const float *scales = w_scale->data;
    scale[o] = x_scale * scales[norma_tensor_count(w_scale) == 1 ? 0 : o] / y_scale;
    term[o] = (int32_t)((bias ? (uint32_t)number_at(bias, o) : 0) - (uint32_t)zero * (uint32_t)sums[o]);
  }
  return NORMA_OK;
}

norma_status blocked_integer_conv_prepare_weights(prepare_context *context, blocked_integer_conv_state *conv) {
  static const int needed[] = {INTEGER_X_SCALE, INTEGER_X_ZERO,  INTEGER_W,     INTEGER_W_SCALE,
                               INTEGER_W_ZERO,  INTEGER_Y_SCALE, INTEGER_Y_ZERO};
  const size_t padded = (size_t)(conv->blocks * BYTE_BLOCK);
  const void *parameters;
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
    if (!prepare_constant(context, needed[i]))
      return prepare_fail(context, NORMA_ERROR_INTERNAL, "weights, scales and zero points must be constants");
  }
  TRY(prepare_packed_from(context, INTEGER_PACKED_WEIGHTS, weights_bytes(conv) + padded * sizeof(int32_t),
                          fill_integer_weights, conv, &conv->weights));
  TRY(prepare_packed_from(context, INTEGER_PACKED_PARAMETERS, padded * (sizeof(float) + sizeof(int32_t)),
                          fill_integer_parameters, conv, &parameters));
  conv->scale = parameters;
  conv->term = (const int32_t *)(const void *)(conv->scale + padded);
  context->packed_inputs |= INPUT(INTEGER_W);
  context->packed_for_good |= INPUT(INTEGER_W);
  return NORMA_OK;
}
