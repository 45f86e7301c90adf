/* WebP by libwebp. */
#include "ops/image/image_decoding.h"

#define WEBP_PIXEL_BYTES 8 /* that decoding takes at most: colors of 32 bits, and transparency */

typedef struct webp_functions {
  int (*info)(const uint8_t *bytes, size_t size, int *width, int *height);
  uint8_t *(*decode)(const uint8_t *bytes, size_t size, uint8_t *pixels, size_t pixels_size, int stride);
} webp_functions;

static const image_symbol webp_symbols[] = {
    {"WebPGetInfo", offsetof(webp_functions, info)},
    {"WebPDecodeRGBInto", offsetof(webp_functions, decode)},
    {0},
};

norma_status image_decode_webp(image_decoding *d) {
  static const char *const names[] = {"libwebp.so.7", "libwebp.so", "libwebp.dylib", NULL};
  webp_functions functions;
  int width, height;
  TRY(image_library_open(d, "WebP", names, webp_symbols, &functions));
  if (!functions.info(d->bytes, d->size, &width, &height)) return image_fail(d, "it has no header of WebP");
  TRY(image_begin(d, width, height));
  TRY(image_reserve(d, (uint64_t)(d->width * d->height), WEBP_PIXEL_BYTES));
  if (!functions.decode(d->bytes, d->size, d->pixels, (size_t)width * (size_t)height * 3, width * 3))
    return image_fail(d, "its data are broken");
  return NORMA_OK;
}
