/*
 * ImageDecoder 20 (ai.onnx): the bytes of an image file -> [height, width, channels] of uint8
 *
 * pixel_format is RGB, BGR or Grayscale (one channel, (19595 R + 38470 G + 7471 B) / 2^16 rounded). The format is told
 * by the first bytes: BMP, JPEG, JPEG 2000, TIFF, PNG, WebP, PBM, PGM, PPM. Transparency is left out, 16-bit samples
 * lose their lower half.
 *
 * Bytes that cannot be decoded (no known format, cut off, broken) become an empty tensor, [0, 0, channels]; a warning
 * says why. That a decoder's library is missing, or memory, is not the bytes' fault: it ends the run with an error.
 */
#include "ops/image/image_decoding.h"
#include "ops/work.h"

enum image_pixels { IMAGE_RGB, IMAGE_BGR, IMAGE_GRAY };

typedef struct image_decoder_state {
  enum image_pixels pixels;
} image_decoder_state;

static norma_status image_decoder_read(const node *node, void *opaque, norma_error *error) {
  static const char *const names[] = {"RGB", "BGR", "Grayscale"};
  const char *name = attribute_string(node, "pixel_format", "RGB");
  for (int i = 0; i < 3; i++) {
    if (strcmp(name, names[i]) != 0) continue;
    ((image_decoder_state *)opaque)->pixels = (enum image_pixels)i;
    return NORMA_OK;
  }
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                       "pixel_format is \"%.40s\" but must be RGB, BGR or Grayscale", name);
}

static norma_status image_decoder_infer(infer_context *context) {
  const image_decoder_state *state = context->state;
  const shape *x = infer_shape(context, 0);
  if (x->rank != RANK_UNKNOWN && x->rank != 1) return infer_fail(context, "the bytes have rank %d, not 1", x->rank);
  infer_output(context, 0, NORMA_UINT8,
               &(shape){.rank = 3, .dims = {DIM_UNKNOWN, DIM_UNKNOWN, state->pixels == IMAGE_GRAY ? 1 : 3}});
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

static bool image_has(const image_decoding *d, size_t at, const char *magic, size_t count) {
  return d->size >= at + count && memcmp(d->bytes + at, magic, count) == 0;
}

typedef norma_status image_decode(image_decoding *d);

static image_decode *image_decoder_for(const image_decoding *d) {
  if (image_has(d, 0, "\xFF\xD8\xFF", 3)) return image_decode_jpeg;
  if (image_has(d, 0, "\x89PNG\r\n\x1A\n", 8)) return image_decode_png;
  if (image_has(d, 0, "BM", 2)) return image_decode_bmp;
  if (image_has(d, 0, "RIFF", 4) && image_has(d, 8, "WEBP", 4)) return image_decode_webp;
  if (image_has(d, 0, "II*\0", 4) || image_has(d, 0, "MM\0*", 4) || image_has(d, 0, "II+\0", 4) ||
      image_has(d, 0, "MM\0+", 4))
    return image_decode_tiff;
  if (image_has(d, 0, "\0\0\0\x0CjP  \r\n\x87\n", 12) || image_has(d, 0, "\xFF\x4F\xFF\x51", 4))
    return image_decode_jpeg2000;
  if (d->size > 2 && d->bytes[0] == 'P' && d->bytes[1] >= '1' && d->bytes[1] <= '6') return image_decode_pnm;
  return NULL;
}

typedef struct image_conversion {
  const image_decoding *decoding;
  enum image_pixels pixels;
} image_conversion;

static void image_convert(void *argument, int64_t begin, int64_t end, int worker) {
  const image_conversion *conversion = argument;
  uint8_t *from = conversion->decoding->pixels, *to = conversion->decoding->output->data;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const uint8_t red = from[3 * i], green = from[3 * i + 1], blue = from[3 * i + 2];
    if (conversion->pixels == IMAGE_GRAY) {
      to[i] = (uint8_t)((red * 19595u + green * 38470u + blue * 7471u + 0x8000u) >> 16);
    } else {
      to[3 * i] = blue;
      to[3 * i + 2] = red;
    }
  }
}

static norma_status image_decode_pixels(image_decoding *d) {
  image_decode *const decode = image_decoder_for(d);
  return decode ? decode(d) : image_fail(d, "its %zu bytes are of no known format", d->size);
}

static norma_status image_decoder_compute(run_context *context) {
  const image_decoder_state *state = context->state;
  const norma_tensor *x = run_input(context, 0);
  image_decoding d = {
      .context = context, .bytes = x->data, .size = x->size_bytes, .channels = state->pixels == IMAGE_GRAY ? 1 : 3};
  if (!context->outputs[0]) return NORMA_OK;
  const norma_status status = image_decode_pixels(&d);
  if (d.is_broken) {
    run_warn(context, "the image cannot be decoded: %s", d.reason);
    return run_allocate_output(context, 0, NORMA_UINT8, &(shape){.rank = 3, .dims = {0, 0, d.channels}}, &d.output);
  }
  TRY(status);
  image_conversion conversion = {&d, state->pixels};
  if (state->pixels == IMAGE_RGB) return NORMA_OK;
  return run_parallel(context, d.width * d.height, work_grain(8), image_convert, &conversion);
}

static const operator_attribute image_decoder_attributes[] = {
    {"pixel_format", ATTRIBUTE_STRING, 20, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_image_decoder[] = {
    {
        .domain = "",
        .name = "ImageDecoder",
        .versions = {20},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_UINT8), INPUT(0), OUTPUT(0)}},
        .attributes = image_decoder_attributes,
        .state_size = sizeof(image_decoder_state),
        .read = image_decoder_read,
        .infer = image_decoder_infer,
        .compute = image_decoder_compute,
    },
    {0},
};
