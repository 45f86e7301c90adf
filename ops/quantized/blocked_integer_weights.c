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

bool integer_conv_has_constants(const node *node, int64_t outputs) {
  static const int singles[] = {INTEGER_X_SCALE, INTEGER_X_ZERO, INTEGER_Y_SCALE, INTEGER_Y_ZERO};
  for (size_t i = 0; i < sizeof singles / sizeof *singles; i++) {
    if (!is_vector_of(node_constant_input(node, singles[i]), 1)) return false;
  }
  if (!is_vector_of(node_constant_input(node, INTEGER_W_SCALE), outputs)) return false;
  if (!is_vector_of(node_constant_input(node, INTEGER_W_ZERO), outputs)) return false;
  if (!node_has_input(node, INTEGER_BIAS)) return true;
  const norma_tensor *bias = node_constant_input(node, INTEGER_BIAS);
  return bias && bias->data && bias->rank == 1 && bias->dims[0] == outputs;
}

static int64_t number_at(const norma_tensor *tensor, int64_t i) {
  return tensor_get_int64(tensor, norma_tensor_count(tensor) == 1 ? 0 : i);
}

/* The zero point of output o's weights, as these are packed. */
static int64_t packed_zero(const prepare_context *context, const blocked_integer_conv_state *conv, int64_t o) {
  return number_at(prepare_constant(context, INTEGER_W_ZERO), o) - (conv->w_type == NORMA_UINT8 ? 128 : 0);
}

void blocked_integer_conv_find_zeros(const prepare_context *context, blocked_integer_conv_state *conv) {
  int64_t least = 0, most = 0;
  if (!prepare_constant(context, INTEGER_W_ZERO)) return; /* which is refused later */
  for (int64_t o = 0; o < conv->all_outputs; o++) {
    const int64_t zero = packed_zero(context, conv, o);
    if (zero < least) least = zero;
    if (zero > most) most = zero;
  }
  conv->has_w_zero = conv->path != INTEGER_CONV_DEPTHWISE && (least < 0 || most > 0);
  /* Differences lie in -128 - most .. 127 - least: one, two or, for 255, three bytes. */
  conv->parts_of_tap = least == 0 && most == 0 ? 1 : least >= -127 ? 2 : 3;
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

/* [fours][16][4] for each block, from [outputs][taps]; a weight without its zero point in parts that fit a byte. */
static void pack_depthwise_8bit(const prepare_context *context, const blocked_integer_conv_state *conv,
                                const uint8_t *weights, int8_t *packed, int32_t *sums) {
  memset(packed, 0, (size_t)conv->blocks * conv->group_bytes);
  for (int64_t o = 0; o < conv->all_outputs; o++) {
    int8_t *block = packed + (size_t)(o / BYTE_BLOCK) * conv->group_bytes;
    const int32_t zero = (int32_t)packed_zero(context, conv, o);
    for (int64_t tap = 0; tap < conv->taps; tap++) {
      int32_t rest = centred_weight(conv, weights, o * conv->taps + tap) - zero;
      sums[o] += rest;
      for (int64_t part = 0; part < conv->parts_of_tap; part++) {
        const int64_t at = part * conv->taps + tap;
        const int32_t own = rest < -128 ? -128 : rest > 127 ? 127 : rest;
        block[(at / 4 * BYTE_BLOCK + o % BYTE_BLOCK) * 4 + at % 4] = (int8_t)own;
        rest -= own;
      }
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
  pack_depthwise_8bit(context, conv, weights, destination, sums);
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------- parameters */

/* Which of the 16 channels of a step are some. */
static void fill_ones(const blocked_integer_conv_state *conv, int8_t *ones) {
  const int64_t width = conv->window.kernel[1], fours = (int64_t)integer_planes_fours(conv);
  for (int64_t i = 0; i < conv->steps * BYTE_BLOCK; i++) {
    const int64_t step = i / BYTE_BLOCK, c = i % BYTE_BLOCK;
    if (conv->path == INTEGER_CONV_PLANES)
      ones[i] = c % 4 < conv->inputs && step % fours * 4 + c / 4 < width;
    else
      ones[i] = step / conv->taps * BYTE_BLOCK + c < conv->inputs;
  }
}

/* Scales, and terms, zero points and ones behind them. */
static norma_status fill_integer_parameters(prepare_context *context, void *destination, const void *argument) {
  const blocked_integer_conv_state *conv = argument;
  const int64_t padded = conv->blocks * BYTE_BLOCK;
  const int32_t *sums = (const int32_t *)(const void *)((const char *)conv->weights + weights_bytes(conv));
  float *scale = destination;
  int32_t *term = (int32_t *)(void *)(scale + padded), *w_zero = term + padded;
  const norma_tensor *w_scale = prepare_constant(context, INTEGER_W_SCALE);
  const norma_tensor *bias = prepare_constant(context, INTEGER_BIAS);
  const float x_scale = quantization_scale(prepare_constant(context, INTEGER_X_SCALE));
  const float y_scale = quantization_scale(prepare_constant(context, INTEGER_Y_SCALE));
  const uint32_t count = (uint32_t)(conv->inputs * conv->taps); /* of products */
  int32_t zero = quantization_zero(prepare_constant(context, INTEGER_X_ZERO));
  if (conv->flip) zero += conv->x_type == NORMA_INT8 ? 128 : -128;
  memset(destination, 0, (size_t)padded * 3 * sizeof *scale);
  for (int64_t o = 0; o < conv->all_outputs; o++) {
    const float *scales = w_scale->data;
    scale[o] = x_scale * scales[norma_tensor_count(w_scale) == 1 ? 0 : o] / y_scale;
    w_zero[o] = conv->has_w_zero ? (int32_t)packed_zero(context, conv, o) : 0;
    const uint32_t sum = (uint32_t)sums[o] - count * (uint32_t)w_zero[o];
    term[o] = (int32_t)((bias ? (uint32_t)number_at(bias, o) : 0) - (uint32_t)zero * sum);
  }
  if (conv->has_w_zero) fill_ones(conv, (int8_t *)(w_zero + padded));
  return NORMA_OK;
}

norma_status blocked_integer_conv_prepare_weights(prepare_context *context, blocked_integer_conv_state *conv) {
  static const int needed[] = {INTEGER_X_SCALE, INTEGER_X_ZERO,  INTEGER_W,     INTEGER_W_SCALE,
                               INTEGER_W_ZERO,  INTEGER_Y_SCALE, INTEGER_Y_ZERO};
  const size_t padded = (size_t)(conv->blocks * BYTE_BLOCK);
  const size_t ones = conv->has_w_zero ? (size_t)conv->steps * BYTE_BLOCK : 0;
  const void *parameters;
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
    if (!prepare_constant(context, needed[i]))
      return prepare_fail(context, NORMA_ERROR_INTERNAL, "weights, scales and zero points must be constants");
  }
  TRY(prepare_packed_from(context, INTEGER_PACKED_WEIGHTS, weights_bytes(conv) + padded * sizeof(int32_t),
                          fill_integer_weights, conv, &conv->weights));
  TRY(prepare_packed_from(context, INTEGER_PACKED_PARAMETERS, padded * 3 * sizeof(float) + ones,
                          fill_integer_parameters, conv, &parameters));
  conv->scale = parameters;
  conv->term = (const int32_t *)(const void *)(conv->scale + padded);
  conv->w_zero = conv->term + padded;
  conv->ones = (const int8_t *)(conv->w_zero + padded);
  context->packed_inputs |= INPUT(INTEGER_W);
  context->packed_for_good |= INPUT(INTEGER_W);
  return NORMA_OK;
}
